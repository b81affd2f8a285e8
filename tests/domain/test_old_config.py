"""A configuration of agent-runtime is read in the words of the new one; nothing of it is lost in silence."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors
from domain.adapter_checks import check_adapters
from domain.config import Config, parse
from domain.old_config import QUEUE, check_queue, fields, is_old, translate

TOP = {
    "runtimeName", "runtimePolicy", "stateDir", "logDir", "artifactDir", "dbPath", "lockPath", "defaultProfile",
    "defaultAdapter", "maxAttempts", "retryBackoffSeconds", "profiles", "adapters", "substrate", "extends",
}  # fmt: skip
OF_AGENTS = {
    "mode", "driver", "command", "timeoutMs", "model", "workingDir", "sandbox", "envFile", "settingsFile", "env",
    "extraArgs", "providerId", "providerName", "providerBaseUrl", "providerWireApi", "providerRequiresOpenAIAuth",
    "autonomy", "retry_hint_service", "fallback_adapter",
}  # fmt: skip
OF_MODELS = {"mode", "endpoint", "model", "timeoutMs", "fallback_adapter"}
OF_SCRIPTS = {
    "mode", "command", "timeoutMs", "workingDir", "envFile", "env", "extraArgs", "retry_hint_service",
    "fallback_adapter",
}  # fmt: skip
OF_THE_QUEUE = {
    "enabled", "credential", "kinds", "slotId", "host", "port", "database", "user", "leaseSecs",
    "leaseRecoveryCadenceSecs", "isLeaseRecoveryOwner",
}  # fmt: skip

CODEX = {
    "mode": "agent-cli", "driver": "codex", "command": "codex", "timeoutMs": 900_000, "model": "m1",
    "workingDir": "work", "sandbox": "read-only", "envFile": "codex.env", "settingsFile": "settings.json",
    "env": {"A": "b"}, "extraArgs": ["-x"], "providerId": "p", "providerName": "P",
    "providerBaseUrl": "https://models.example.org/v1", "providerWireApi": "responses",
    "providerRequiresOpenAIAuth": True, "autonomy": "restricted", "retry_hint_service": "hiro",
    "fallback_adapter": "local",
}  # fmt: skip
LOCAL = {
    "mode": "ollama-generate", "endpoint": "http://127.0.0.1:11434", "model": "tiny", "timeoutMs": 120_000,
    "fallback_adapter": "script",
}  # fmt: skip
SCRIPT = {
    "mode": "script", "command": "./run.sh", "timeoutMs": 60_000, "workingDir": ".", "envFile": "run.env",
    "env": {"C": "d"}, "extraArgs": ["--fast"], "retry_hint_service": "aibtc", "fallback_adapter": "",
}  # fmt: skip
SUBSTRATE = {
    "enabled": False, "credential": "db", "kinds": ["k"], "slotId": "s", "host": "db.example.org", "port": 5432,
    "database": "substrate", "user": "substrate_app", "leaseSecs": 300, "leaseRecoveryCadenceSecs": 60,
    "isLeaseRecoveryOwner": True,
}  # fmt: skip
EVERY: dict[str, Any] = {
    "runtimeName": "lumen", "runtimePolicy": "Be careful.", "stateDir": "state", "logDir": "logs",
    "artifactDir": "state/artifacts", "dbPath": "state/runtime.db", "lockPath": "state/lock",
    "defaultProfile": "helper", "defaultAdapter": "codex", "maxAttempts": 5, "retryBackoffSeconds": 30,
    "profiles": {"helper": "profiles/helper.json"}, "adapters": {"codex": CODEX, "local": LOCAL, "script": SCRIPT},
    "substrate": SUBSTRATE, "extends": "",
}  # fmt: skip


def translated(adapter: object) -> dict[str, Any]:
    """What becomes of one adapter."""
    made: dict[str, Any] = translate({"adapters": {"x": adapter}}, "old.json").document["adapters"]["x"]
    return made


def told(adapter: object) -> str:
    return "\n".join(translate({"adapters": {"x": adapter}}, "old.json").warnings)


def refused(document: Any) -> errors.InvalidConfig:  # noqa: ANN401  # whatever stands in a file
    with pytest.raises(errors.InvalidConfig) as refusal:
        translate(document, "old.json")
    return refusal.value


def test_the_configuration_of_these_tests_has_every_key() -> None:
    """CF-7: the tables above are those of the old documentation."""
    assert set(EVERY) == TOP
    assert (set(CODEX), set(LOCAL), set(SCRIPT)) == (OF_AGENTS, OF_MODELS, OF_SCRIPTS)
    assert set(SUBSTRATE) == OF_THE_QUEUE


def test_a_configuration_with_every_key_is_said_in_the_new_form() -> None:
    """CF-7."""
    assert translate(EVERY, "old.json").document == {
        "runtime_name": "lumen",
        "runtime_policy": "Be careful.",
        "artifact_dir": "state/artifacts",
        "default_profile": "helper",
        "default_adapter": "codex",
        "retry": {"attempts": 5, "backoff_s": 30},
        "profiles": {"helper": "profiles/helper.json"},
        "adapters": {
            "codex": {
                "kind": "codex", "command": "codex", "timeout_s": 900, "model": "m1", "working_dir": "work",
                "sandbox": "read-only", "env_file": "codex.env", "env_file_optional": True, "env": {"A": "b"},
                "args": ["-x"], "provider_id": "p", "provider_name": "P",
                "provider_base_url": "https://models.example.org/v1", "provider_requires_openai_auth": True,
                "autonomy": "restricted", "retry_hint_service": "hiro", "fallback": "local", "outcome": "json",
            },
            "local": {
                "kind": "ollama", "endpoint": "http://127.0.0.1:11434", "model": "tiny", "timeout_s": 120,
                "fallback": "script", "outcome": "json", "private": True,
            },
            "script": {
                "kind": "script", "command": "./run.sh", "timeout_s": 60, "working_dir": ".", "env_file": "run.env",
                "env_file_optional": True, "env": {"C": "d"}, "args": ["--fast"], "retry_hint_service": "aibtc",
                "fallback": "", "outcome": "json", "allow_task_args": True,
            },
        },
        "substrate": SUBSTRATE,
    }  # fmt: skip


def test_what_comes_out_is_a_good_configuration() -> None:
    made = translate(EVERY, "old.json").document
    del made[QUEUE]
    config = parse(made | {"profiles": {"helper": {}}}, "old.json")
    check_adapters(config, "old.json")
    assert config.retry.attempts == 5


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("stateDir", "the log lies in the home"),
        ("dbPath", "the log lies in the home"),
        ("lockPath", "kernel locks"),
        ("logDir", "rt log tail"),
        ("adapters.codex.settingsFile", "it means nothing for codex"),
        ("adapters.script.allowTaskArgs", "false where tasks come from strangers"),
        ("adapters", 'codex, script: gets PATH, HOME and the like only; inheritEnv names more, or "all" as before'),
    ],
)
def test_what_has_another_meaning_or_none_is_told(key: str, why: str) -> None:
    """CF-6, SX-1, AD-5."""
    (warning,) = [each for each in translate(EVERY, "old.json").warnings if each.startswith(f"old.json: {key}: ")]
    assert why in warning
    assert len(translate(EVERY, "old.json").warnings) == 7


def test_what_keeps_its_meaning_is_not_worth_a_word() -> None:
    quiet = {"mode": "script", "command": "x", "inheritEnv": ["CI"], "allowTaskArgs": False}
    assert translate({"runtimeName": "r", "adapters": {"x": quiet}}, "old.json").warnings == ()


@pytest.mark.parametrize(
    ("document", "old"),
    [
        ({"runtimeName": "r"}, True),
        ({"stateDir": "s"}, True),
        ({"maxAttempts": 1}, True),
        ({"adapters": {"x": {"mode": "script"}}}, True),
        ({"adapters": {"x": {"merge": "deep", "timeoutMs": 1}}}, True),
        ({"adapters": {"x": {"retry_hint_service": "hiro"}}}, False),
        ({"adapters": {"x": {"merge": "deep", "model": "m"}}}, False),
        ({"adapters": {"x": {"kind": "script", "command": "x"}}}, False),
        ({"runtime_name": "r"}, False),
        ({"profiles": {"p": "p.json"}, "extends": "x.json"}, False),
        ({"adapters": 5}, False),
        ({}, False),
        ([], False),
        (None, False),
    ],
)
def test_the_old_form_is_known_by_its_keys(document: object, old: bool) -> None:  # noqa: FBT001  # a table
    assert is_old(document) is old


@pytest.mark.parametrize(
    ("document", "where", "why"),
    [
        ({"runtimName": "r"}, "old.json", "unknown field 'runtimName'; did you mean 'runtimeName'?"),
        ({"zzz": 1}, "old.json", "unknown field 'zzz'"),
        ({"stateDir": "s", "retry": {}}, "old.json", "'retry' belongs to the new form"),
        ({"adapters": {"x": SCRIPT | {"timeoutMS": 1}}}, "old.json: adapters.x", "did you mean 'timeoutMs'?"),
        ({"adapters": {"x": SCRIPT | {"timeout_s": 1}}}, "old.json: adapters.x", "belongs to the new form"),
        ({"substrate": {"hosst": "h"}}, "old.json: substrate", "did you mean 'host'?"),
        ({"adapters": {"x": {}}}, "old.json: adapters.x.mode", "is missing; there are: ollama-generate, script"),
        ({"adapters": {"x": {"mode": "scirpt"}}}, "old.json: adapters.x.mode", "did you mean 'script'?"),
        ({"adapters": {"x": {"mode": ["script"]}}}, "old.json: adapters.x.mode", "is not known"),
        ({"adapters": {"x": {"mode": "agent-cli"}}}, "old.json: adapters.x.driver", "is missing; there are: codex"),
        (
            {"adapters": {"x": {"mode": "agent-cli", "driver": "claude"}}},
            "old.json: adapters.x.driver",
            "did you mean 'claude-code'?",
        ),
    ],
)
def test_what_is_unknown_is_refused_with_the_nearest_known_name(document: object, where: str, why: str) -> None:
    """CF-1."""
    refusal = refused(document)
    assert refusal.fields["where"] == where
    assert why in str(refusal.fields["why"])


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({"runtimeName": 5}, "runtimeName"),
        ({"runtimeName": ""}, "runtimeName"),
        ({"stateDir": 5}, "stateDir"),
        ({"maxAttempts": 0}, "maxAttempts"),
        ({"maxAttempts": 101}, "maxAttempts"),
        ({"maxAttempts": True}, "maxAttempts"),
        ({"retryBackoffSeconds": -1}, "retryBackoffSeconds"),
        ({"profiles": []}, "profiles"),
        ({"profiles": {"p": 5}}, "profiles.p"),
        ({"adapters": []}, "adapters"),
        ({"adapters": {"x": "script"}}, "adapters.x"),
        ({"adapters": {"x": SCRIPT | {"timeoutMs": 0}}}, "adapters.x.timeoutMs"),
        ({"adapters": {"x": SCRIPT | {"timeoutMs": "60"}}}, "adapters.x.timeoutMs"),
        ({"adapters": {"x": SCRIPT | {"timeoutMs": 2_592_000_001}}}, "adapters.x.timeoutMs"),
        ({"adapters": {"x": SCRIPT | {"extraArgs": "-x"}}}, "adapters.x.extraArgs"),
        ({"adapters": {"x": SCRIPT | {"extraArgs": ["-x", 5]}}}, "adapters.x.extraArgs[1]"),
        ({"adapters": {"x": SCRIPT | {"inheritEnv": "some"}}}, "adapters.x.inheritEnv"),
        ({"adapters": {"x": CODEX | {"sandbox": "none"}}}, "adapters.x.sandbox"),
        ({"adapters": {"x": CODEX | {"autonomy": "yolo"}}}, "adapters.x.autonomy"),
        ({"adapters": {"x": CODEX | {"providerWireApi": "chat"}}}, "adapters.x.providerWireApi"),
        ({"substrate": True}, "substrate"),
        ({"substrate": {"enabled": "no"}}, "substrate.enabled"),
        ({"substrate": {"port": "5432"}}, "substrate.port"),
    ],
)
def test_a_wrong_value_is_refused_under_the_name_that_stands_in_the_file(document: object, where: str) -> None:
    """CF-1."""
    assert refused(document).fields["where"] == f"old.json: {where}"


def test_the_bounds_themselves_are_allowed() -> None:
    assert translate({"maxAttempts": 100}, "old.json").document == {"retry": {"attempts": 100}}
    assert translated(SCRIPT | {"timeoutMs": 2_592_000_000})["timeout_s"] == 2_592_000
    assert translated(SCRIPT | {"timeoutMs": 1})["timeout_s"] == 0.001


@pytest.mark.parametrize(
    ("given", "kind", "timeout_s"),
    [
        ({"mode": "agent-cli", "driver": "codex"}, "codex", 900),
        ({"mode": "agent-cli", "driver": "claude-code"}, "claude-code", 900),
        ({"mode": "agent-cli", "driver": "hermes-agent"}, "hermes-agent", 900),
        ({"mode": "ollama-generate"}, "ollama", 120),
        ({"mode": "script"}, "script", 60),
    ],
)
def test_a_mode_and_a_driver_are_a_kind_with_the_time_it_used_to_have(
    given: dict[str, str], kind: str, timeout_s: float
) -> None:
    assert (translated(given)["kind"], translated(given)["timeout_s"]) == (kind, timeout_s)


@pytest.mark.parametrize(
    ("adapter", "key", "field"),
    [
        (SCRIPT | {"sandbox": "read-only"}, "sandbox", "sandbox"),
        (SCRIPT | {"driver": "codex"}, "driver", "driver"),
        (LOCAL | {"command": "ollama"}, "command", "command"),
        (LOCAL | {"workingDir": "w"}, "workingDir", "working_dir"),
        ({"mode": "agent-cli", "driver": "claude-code", "sandbox": "read-only"}, "sandbox", "sandbox"),
        ({"mode": "agent-cli", "driver": "hermes-agent", "settingsFile": "s"}, "settingsFile", "settings_file"),
    ],
)
def test_an_option_that_the_old_runtime_ignored_is_left_out_and_named(
    adapter: dict[str, Any], key: str, field: str
) -> None:
    """CF-6: such a file loads as before."""
    assert field not in translated(adapter)
    assert f"old.json: adapters.x.{key}: is not used" in told(adapter)


def test_arguments_of_tasks_reach_a_script_unless_the_file_says_no() -> None:
    """SX-1."""
    assert translated(SCRIPT)["allow_task_args"] is True
    assert translated(SCRIPT | {"allowTaskArgs": False})["allow_task_args"] is False
    assert "allow_task_options" not in translated(SCRIPT), "an option still stands behind --"
    assert "allow_task_args" not in translated(CODEX)


def test_a_missing_env_file_is_an_empty_one_unless_the_file_says_no() -> None:
    """CR-1."""
    assert translated(SCRIPT)["env_file_optional"] is True
    assert translated(SCRIPT | {"envFileOptional": False})["env_file_optional"] is False
    assert "env_file_optional" not in translated({"mode": "script", "command": "x"})


def test_null_says_nothing() -> None:
    made = translate({"runtimeName": None, "substrate": None, "adapters": {"x": LOCAL | {"timeoutMs": None}}}, "o")
    assert made.document.keys() == {"adapters"}
    assert made.document["adapters"]["x"]["timeout_s"] == 120


def test_a_part_of_an_adapter_is_translated_as_far_as_it_goes() -> None:
    """CF-3: it belongs to an adapter that another file declares, whose defaults it must not touch."""
    assert translated({"merge": "deep", "timeoutMs": 5_000}) == {"merge": "deep", "timeout_s": 5}
    assert translated({"merge": "deep", "driver": "codex", "model": "m"}) == {
        "merge": "deep", "kind": "codex", "model": "m",
    }  # fmt: skip
    assert told({"merge": "deep", "mode": "script", "command": "x"}) == ""


def test_a_pause_above_the_usual_cap_lifts_the_cap() -> None:
    made = translate({"retryBackoffSeconds": 7_200}, "old.json").document
    assert parse(made, "old.json").retry.backoff_max_s == 7_200


def test_the_old_job_queue_is_refused_with_a_way_out() -> None:
    with pytest.raises(errors.InvalidConfig) as refusal:
        check_queue({"enabled": True}, "old.json: substrate")
    assert refusal.value.fields["where"] == "old.json: substrate.enabled"
    assert "rt intake --key" in str(refusal.value)


@pytest.mark.parametrize("settings", [None, {}, {"enabled": False}, {"host": "h"}])
def test_an_old_job_queue_that_is_off_is_no_problem(settings: object) -> None:
    check_queue(settings, "old.json: substrate")


NEW = {*fields(Config), QUEUE}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
ADAPTERS = st.dictionaries(st.sampled_from(sorted(OF_AGENTS | OF_MODELS | {"merge"})), VALUES, max_size=4)
CONFIGS = st.dictionaries(st.sampled_from(sorted(TOP)), VALUES, max_size=4) | st.builds(
    lambda found: {"adapters": found}, st.dictionaries(st.text(max_size=5), ADAPTERS, max_size=3)
)


@given(document=CONFIGS)
def test_any_document_is_translated_or_refused(document: dict[str, Any]) -> None:
    where = ""
    try:
        made = translate(document, "old.json").document
    except errors.InvalidConfig as refusal:
        made, where = {}, str(refusal.fields["where"])
    assert where.startswith("old.json") or made.keys() <= NEW, (made, where)
