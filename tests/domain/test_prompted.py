"""Bundles of adapters that get a prompt: same inputs, same bytes; what belongs to one run alone changes no hash."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import brief as briefs
from domain import task_types
from domain.agent_config import ProfileConfig
from domain.bundle import compile_run
from domain.bundle_parts import Compiled
from domain.calls import CallInput, HttpInput
from domain.config import Adapter, Config
from domain.events import RunRefused, RunStarted
from domain.ids import marker, text_of
from domain.managed_path import Before, Workspace
from domain.payload import AdapterChoice, Probed
from domain.prompted import Prepared, cli_of, compile_prompted, external_inputs, grade, nonce
from domain.task import Status, Task
from domain.verification import Where
from tests.story import RUN, TASK

OTHER_RUN = "c4" * 16
CLEAN = Workspace(kind="git", root="/p/ws", repo_root="/p/ws", sha="ab" * 20, dirty=False)
ADAPTERS = {
    "codex": Adapter(kind="codex", working_dir="ws", env={"API_TOKEN": "canary-canary"}, timeout_s=7),
    "hermes": Adapter(kind="hermes-agent", command="bin/hermes"),
    "filed": Adapter(kind="claude-code", prompt_by="file"),
    "trusted": Adapter(kind="claude-code", autonomy="trusted-vm", args=("--yolo",)),
    "ollama": Adapter(kind="ollama", endpoint="http://h:1/", model="m", timeout_s=9),
    "openai": Adapter(kind="openai", endpoint="http://h:1/v1", model="m", key_env="KEY", outcome="text"),
}
PROFILES = {
    "strict": ProfileConfig(program="one_shot", adapter="trusted", autonomy="restricted", mcp="none"),
    "triage": ProfileConfig(program="one_shot", adapter="trusted", style="quarantine"),
    "small": ProfileConfig(program="one_shot", adapter="codex", max_prompt_chars=2_000, role="r" * 3_000),
}
CONFIG = Config(adapters=ADAPTERS, profiles=PROFILES)


def canonical(document: Any) -> bytes:  # noqa: ANN401  # any JSON
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def task(adapter: str, **fields: Any) -> Task:  # noqa: ANN401  # fields of a task
    plain: dict[str, Any] = {
        "task": TASK,
        "version": 1,
        "status": Status.RUNNING,
        "kind": "k",
        "source": "s",
        "subject": "",
        "adapter": adapter,
        "profile": "",
        "priority": 5,
        "payload": text_of(b""),
        "attempts": 1,
        "max_attempts": 3,
        "epoch": 1,
        "created_at_us": 1,
        "updated_at_us": 1,
        "queued_position": 1,
    }
    return Task(**(plain | fields))


def prepared(adapter: str, run: str = RUN, **fields: Any) -> Prepared:  # noqa: ANN401  # fields
    choice = AdapterChoice(adapter, adapter, (Probed(adapter, ok=True),))
    where = Where(artifact_root="/a", roots=("/p/ws",))
    plain: dict[str, Any] = {
        "tmp": "/t",
        "marker": marker(run, 1),
        "choice": choice,
        "where": where,
        "workspace": CLEAN,
    }
    return Prepared(run=run, **(plain | fields))


def compiled(
    adapter: str,
    payload: dict[str, Any] | None = None,
    *,
    found: Prepared | None = None,
    of: Config = CONFIG,
    **fields: Any,  # noqa: ANN401  # fields of a task
) -> Compiled:
    stored = json.dumps({"description": "", "payload": payload or {}}).encode()
    return compile_run(
        task(adapter, **fields), stored, of, "/p", prepared=found or prepared(adapter), canonical=canonical
    )


def started(made: Compiled) -> RunStarted:
    assert isinstance(made.fact, RunStarted), made.fact
    return made.fact


def refusal(made: Compiled) -> RunRefused:
    assert isinstance(made.fact, RunRefused), made.fact
    return made.fact


def document(made: Compiled) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(made.texts[0])
    return found


def request(made: Compiled) -> HttpInput:
    return msgspec.json.decode(made.texts[1], type=HttpInput)


each_adapter = pytest.mark.parametrize("adapter", sorted(ADAPTERS))


# bytes and hashes


@each_adapter
def test_pm6_the_same_inputs_give_the_same_bytes(adapter: str) -> None:
    assert compiled(adapter) == compiled(adapter)


@each_adapter
def test_every_text_that_the_fact_names_is_handed_over(adapter: str) -> None:
    """BN-7: what is started later comes from the stored copies."""
    made = compiled(adapter)
    fact = started(made)
    stored = {text_of(each) for each in (*made.texts, *made.read.values())}
    assert {fact.bundle, fact.call, fact.brief, fact.prompt} <= stored
    if made.call is not None and made.call.stdin is not None:
        assert made.call.stdin in stored, "else nobody could be told it"


@each_adapter
def test_another_run_of_the_task_has_the_same_hashes(adapter: str) -> None:
    rows = {"rows": ["x" * 900] * 40}
    one = compiled(adapter, rows)
    other = compiled(adapter, rows, found=prepared(adapter, OTHER_RUN))
    assert started(one).bundle_hash == started(other).bundle_hash
    assert started(one).input_hash == started(other).input_hash
    assert document(one)["prompt"]["cuts"], "the prompt names a private file"
    assert started(one).prompt != started(other).prompt


@each_adapter
def test_bn4_equal_work_of_another_task_has_the_same_input_hash_only(adapter: str) -> None:
    one, other = compiled(adapter), compiled(adapter, task="d5" * 16, created_at_us=99, queued_position=7)
    assert started(one).bundle_hash != started(other).bundle_hash
    assert started(one).input_hash == started(other).input_hash


def changed(name: str, **fields: Any) -> Config:  # noqa: ANN401  # fields of an adapter
    adapters = ADAPTERS | {name: msgspec.structs.replace(ADAPTERS[name], **fields)}
    return msgspec.structs.replace(CONFIG, adapters=adapters)


@pytest.mark.parametrize(
    "other",
    [
        compiled("codex", {"n": 2}),
        compiled("codex", {"n": 1}, kind="another"),
        compiled("codex", {"n": 1}, subject="another"),
        compiled("codex", {"n": 1}, priority=6),
        compiled("codex", {"n": 1}, of=changed("codex", args=("--color", "never"))),
        compiled("codex", {"n": 1}, of=changed("codex", sandbox="read-only")),
        compiled("codex", {"n": 1}, of=changed("codex", model="m")),
        compiled("codex", {"n": 1}, of=changed("codex", timeout_s=8)),
        compiled("codex", {"n": 1}, of=msgspec.structs.replace(CONFIG, runtime_policy="Be kind.")),
        compiled("codex", {"n": 1}, found=prepared("codex", constitution={"soul": "11"})),
        compiled("codex", {"n": 1}, found=prepared("codex", env_names=("A",))),
        compiled("codex", {"n": 1}, found=prepared("codex", workspace=msgspec.structs.replace(CLEAN, sha="cd" * 20))),
        compiled("codex", {"n": 1}, found=prepared("codex", rt_version="2")),
    ],
)
def test_any_other_input_changes_both_hashes(other: Compiled) -> None:
    one = started(compiled("codex", {"n": 1}))
    assert started(other).bundle_hash != one.bundle_hash
    assert started(other).input_hash != one.input_hash


def test_no_value_of_a_variable_is_in_any_text() -> None:
    """BN-3: names only."""
    made = compiled("codex", found=prepared("codex", env_names=("API_TOKEN",)))
    assert not any(b"canary-canary" in each for each in (*made.texts, *made.read.values()))
    assert document(made)["adapter"]["env_names"] == ["API_TOKEN"]


# what is started or sent


def test_the_arguments_are_documented_as_a_template() -> None:
    """BN-3: neither the prompt a second time, nor a path of this run alone."""
    made = compiled("hermes")
    assert document(made)["adapter"]["argv"] == ["/p/bin/hermes", "chat", "-Q", "-q", "{prompt}"]
    assert made.call is not None
    assert made.call.argv[-1].encode() == made.read["prompt"]
    assert "/t/{run}.last" in document(compiled("codex"))["adapter"]["argv"]


def test_a_call_names_its_private_files() -> None:
    codex, filed = compiled("codex").call, compiled("filed").call
    assert codex is not None
    assert filed is not None
    assert (codex.last_message_file, codex.prompt_file) == (f"/t/{marker(RUN, 1)}.last", "")
    assert (filed.last_message_file, filed.prompt_file) == ("", f"/t/{marker(RUN, 1)}.prompt")
    assert codex.cwd == "/p/ws"


def test_a_model_is_sent_its_prompt_in_its_own_way() -> None:
    made = compiled("ollama")
    sent = request(made)
    assert (sent.method, sent.url, sent.total_us, sent.whole) == ("POST", "http://h:1/api/generate", 9_000_000, True)
    prompt = made.read["prompt"].decode()
    assert json.loads(sent.body) == {"model": "m", "prompt": prompt, "stream": True, "format": "json"}
    talked = request(compiled("openai"))
    assert (talked.url, talked.key_env) == ("http://h:1/v1/chat/completions", "KEY")
    assert json.loads(talked.body).keys() - {"stream", "stream_options"} == {"model", "messages"}, "prose has no form"
    assert (sent.stream, talked.stream) == ("ollama", "openai")


@pytest.mark.parametrize(
    ("adapter", "reader"), [("codex", "cli"), ("hermes", "cli"), ("ollama", "ollama"), ("openai", "openai")]
)
def test_the_brief_says_who_answers(adapter: str, reader: str) -> None:
    found = briefs.decode(compiled(adapter).read["brief"])
    assert found.reader == reader
    assert (found.cli is None) == (reader != "cli")
    assert found.blocked_phrases, "the built-in ones, where none are configured"


def test_only_what_speaks_of_artifacts_is_kept_of_the_payload() -> None:
    found = briefs.decode(compiled("codex", {"output_path": "r/a.md", "secret": "x", "phase": "plan"}).read["brief"])
    assert found.payload == {"output_path": "r/a.md", "phase": "plan"}


# refusals


def test_inputs_that_are_not_fit_refuse_the_run() -> None:
    found = refusal(compiled("codex", found=prepared("codex", input_issues=("a is missing", "b is foreign"))))
    assert (found.cause, found.message) == ("input_verification_failed", "a is missing; b is foreign")


def test_pm1_a_prompt_that_cannot_be_made_short_enough_refuses_the_run() -> None:
    found = refusal(compiled("", profile="small", found=prepared("codex")))
    assert found.cause == "prompt_too_long"
    assert "2000" in found.message


@pytest.mark.parametrize(
    ("policy", "cause"), [("\0", "nul_in_argument"), ("x" * 20_000, "argument_too_large")], ids=["nul", "large"]
)
def test_ad4_what_no_system_would_start_refuses_the_run(policy: str, cause: str) -> None:
    wide = ProfileConfig(program="one_shot", adapter="hermes", max_prompt_chars=150_000, role="\u00e4" * 60_000)
    config = msgspec.structs.replace(CONFIG, runtime_policy=policy, profiles={"wide": wide})
    found = refusal(compiled("hermes", of=config, profile="wide"))
    assert found.cause == cause
    assert "\u00e4" not in found.message


def test_ad4_an_environment_that_leaves_no_room_refuses_the_run() -> None:
    found = refusal(compiled("codex", found=prepared("codex", inherited_bytes=2 << 20)))
    assert found.cause == "argument_too_large"


# caps


@pytest.mark.parametrize("profile", ["strict", "triage"])
def test_pr4_under_a_restricted_profile_nothing_takes_a_restraint_away(profile: str) -> None:
    """Nor under one that reads strangers' texts, whatever else it says."""
    made = compiled("", profile=profile, found=prepared("trusted"))
    assert made.call is not None
    assert made.call.argv == ("claude", "-p", "--output-format", "stream-json", "--verbose", "--strict-mcp-config")
    assert started(made).bypass == ()


def test_ad11_without_a_profile_it_is_named() -> None:
    assert "--yolo" in started(compiled("trusted")).bypass


@pytest.mark.parametrize("profile", ["strict", "triage", ""])
def test_pr4_a_bypass_by_a_variable_is_refused_under_a_cap_and_named_without(profile: str) -> None:
    made = compiled("hermes", profile=profile, found=prepared("hermes", env={"HERMES_YOLO_MODE": "1"}))
    if profile:
        assert refusal(made).cause == "autonomy_refused"
    else:
        assert started(made).bypass == ("HERMES_YOLO_MODE",)


# signals


@pytest.mark.parametrize(
    ("payload", "line"),
    [
        ({"response_contract": {"required_workflow_signal": "done"}}, '"workflow_signal": "done"'),
        ({"response_contract": {"required_workflow_signal": "go or stop"}}, '"workflow_signal": one of "go", "stop"'),
        ({"accepted_signals": ["a", "b"]}, '"workflow_signal": one of "a", "b"'),
        ({"response_contract": "nothing of the kind"}, ""),
        ({"response_contract": {"required_workflow_signal": 7}}, ""),
        ({}, ""),
    ],
)
def test_pm2_the_contract_names_the_signal_that_is_wanted(payload: dict[str, Any], line: str) -> None:
    text = compiled("codex", payload).read["prompt"].decode()
    told = [each for each in text.splitlines() if "workflow_signal" in each and "required_" not in each]
    assert bool(told) == bool(line)
    assert all(signal in told[0] for signal in re.findall(r'"(\w+)"', line)), told


# what success is


def briefed(made: Compiled) -> briefs.Brief:
    return briefs.decode(made.read["brief"])


def test_pm5_where_the_answer_is_all_no_artifact_is_asked_for() -> None:
    payload = {"output_path": "reports/a.md", "phase": "x"}
    assert briefed(compiled("codex", payload, kind="k")).payload == payload
    assert briefed(compiled("codex", payload, kind="github-story")).payload == {"phase": "x"}


def test_pm5_the_keys_by_which_a_kind_declares_artifacts_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = task_types.TaskType(kind="mine", declared_keys=("checklist_path",))
    monkeypatch.setattr(task_types, "TYPES", {"mine": mine})
    payload = {"output_path": "reports/a.md", "checklist_path": "reports/b.md"}
    assert briefed(compiled("codex", payload, kind="mine")).payload == {"checklist_path": "reports/b.md"}


# fallbacks


def test_who_was_selected_runs_the_task_and_the_choice_is_recorded() -> None:
    choice = AdapterChoice("codex", "ollama", (Probed("codex", ok=False, reason="gone"), Probed("ollama", ok=True)))
    made = compiled("codex", found=prepared("codex", choice=choice))
    assert (started(made).adapter, started(made).choice) == ("ollama", choice)
    assert made.call is None, "it is sent, not started"


def test_a_script_that_stands_in_is_started_as_a_script() -> None:
    config = msgspec.structs.replace(CONFIG, adapters=ADAPTERS | {"script": Adapter(command="./s")})
    choice = AdapterChoice("codex", "script", (Probed("codex", ok=False, reason="gone"), Probed("script", ok=True)))
    made = compiled("codex", found=prepared("codex", choice=choice), of=config)
    assert isinstance(made.call, CallInput)
    assert (made.call.argv, made.call.stdin) == (("/p/./s",), None)
    assert (started(made).adapter, started(made).choice) == ("script", choice)


# small things


@pytest.mark.parametrize(
    ("given_", "source", "status"),
    [
        ("https://example.org", "https://example.org", "uncached"),
        ({"source": "a", "url": "b", "cache_hash": "h"}, "a", "cached"),
        ({"url": "b", "cached_content": "c"}, "b", "cached"),
        ({"name": "n", "cache_path": " "}, "n", "uncached"),
        ({"source": 7}, "external_input_0", "uncached"),
        (None, "external_input_0", "uncached"),
    ],
)
def test_an_external_input_is_frozen_only_where_its_content_is(given_: object, source: str, status: str) -> None:
    """Section 7."""
    assert external_inputs({"external_inputs": [given_]}) == ({"index": 0, "source": source, "cache_status": status},)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=8,
    )
)
def test_whatever_stands_there_every_external_input_has_a_source_and_a_status(value: Any) -> None:  # noqa: ANN401
    for at, each in enumerate(external_inputs({"external_inputs": value})):
        assert each["index"] == at
        assert isinstance(each["source"], str)
        assert each["cache_status"] in ("cached", "uncached")


@pytest.mark.parametrize(
    ("adapter", "fields", "expected"),
    [
        ("codex", {}, "non_replayable_model"),
        ("ollama", {}, "non_replayable_model"),
        ("ollama", {"model_digest": "sha256:1"}, "inputs_frozen"),
        ("codex", {"model_digest": "sha256:1"}, "non_replayable_model"),
        ("ollama", {"workspace": msgspec.structs.replace(CLEAN, dirty=True)}, "best_effort"),
        ("ollama", {"workspace": msgspec.structs.replace(CLEAN, dirty=None)}, "best_effort"),
        ("ollama", {"workspace": Workspace(kind="no-repo")}, "best_effort"),
        ("ollama", {"workspace": Workspace(kind="unknown", why="git did not answer in time")}, "best_effort"),
        ("ollama", {"model_digest": "d", "external": ({"cache_status": "uncached"},)}, "best_effort"),
        ("ollama", {"model_digest": "d", "external": ({"cache_status": "cached"},)}, "inputs_frozen"),
    ],
)
def test_bn2_the_grade_counts_what_is_unknown_as_not_frozen(
    adapter: str, fields: dict[str, Any], expected: str
) -> None:
    assert grade(ADAPTERS[adapter], prepared(adapter, **fields)) == expected


def test_pm3_no_two_tasks_have_one_nonce() -> None:
    made = {nonce(task("codex", queued_position=at, created_at_us=at)) for at in range(100)}
    assert len(made) == 100
    assert all(each.isalnum() for each in made)


def test_a_model_or_a_script_has_no_command_line() -> None:
    assert cli_of("ollama", ADAPTERS["ollama"], "/p") is None
    assert cli_of("s", Adapter(command="./s"), "/p") is None


def test_a_command_with_a_slash_lies_below_the_configuration_and_others_are_looked_up() -> None:
    hermes, codex = cli_of("hermes", ADAPTERS["hermes"], "/p"), cli_of("codex", ADAPTERS["codex"], "/p")
    assert hermes is not None
    assert codex is not None
    assert (hermes.command, codex.command) == ("/p/bin/hermes", "codex")


def test_what_is_prepared_can_be_compiled_directly() -> None:
    stored = json.dumps({"description": "", "payload": {}}).encode()
    direct = compile_prompted(task("codex"), stored, CONFIG, "/p", prepared("codex", before=Before()), canonical)
    assert direct == compiled("codex")
