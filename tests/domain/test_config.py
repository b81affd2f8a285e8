"""The configuration: every field is enforced or refused, and each refusal names file and field (CF-1)."""

from typing import Any

import pytest

from domain import errors
from domain.config import Config, as_document, looks_secret, parse, secret_values, to_us


def refused(document: object) -> errors.InvalidConfig:
    with pytest.raises(errors.InvalidConfig) as refusal:
        parse(document, "rt.toml")
    return refusal.value


def adapter(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever stands in a file
    return {"adapters": {"build": {"command": "./b", **fields}}}


def test_an_empty_document_is_the_default_configuration() -> None:
    assert parse({}, "rt.toml") == Config()


def test_every_field_can_be_set() -> None:
    found = parse(
        {
            "runtime_name": "r",
            "default_adapter": "build",
            "retry": {"attempts": 5, "backoff_s": 1.5, "backoff_max_s": 2},
            "work": {"concurrency": 2, "kill_grace_s": 0, "output_max_bytes": 10},
            "secrets": {"env": ["TOKEN"]},
            **adapter(args=["-x"], timeout_s=0, env={"A": "b"}, inherit_env="all", outcome="text", effect="once"),
        },
        "rt.toml",
    )
    assert found.retry.attempts == 5
    assert found.work.concurrency == 2
    assert found.secrets.env == ("TOKEN",)
    assert found.adapters["build"].inherit_env == "all"
    assert found.adapters["build"].outcome == "text"


@pytest.mark.parametrize(
    ("document", "field", "near"),
    [
        ({"wrok": {}}, "wrok", "work"),
        ({"work": {"concurency": 1}}, "concurency", "concurrency"),
        (adapter(timeout=5), "timeout", "timeout_s"),
        ({"retry": {"atempts": 1}}, "atempts", "attempts"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_known_name(document: object, field: str, near: str) -> None:
    assert f"unknown field {field!r}; did you mean {near!r}?" in str(refused(document))


def test_an_unknown_field_that_resembles_nothing_is_refused_without_a_guess() -> None:
    assert str(refused({"qqqq": 1})).endswith("unknown field 'qqqq'")


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ([], "the document"),
        ({"runtime_name": 5}, "runtime_name"),
        ({"runtime_name": ""}, "runtime_name"),
        ({"retry": {"attempts": "3"}}, "retry.attempts"),
        ({"retry": {"attempts": 0}}, "retry.attempts"),
        ({"retry": {"attempts": 101}}, "retry.attempts"),
        ({"retry": {"backoff_s": -1}}, "retry.backoff_s"),
        ({"retry": {"backoff_s": 10, "backoff_max_s": 9}}, "retry.backoff_max_s"),
        ({"work": {"concurrency": 0}}, "work.concurrency"),
        ({"work": {"concurrency": 257}}, "work.concurrency"),
        ({"work": {"kill_grace_s": 600.1}}, "work.kill_grace_s"),
        ({"work": {"output_max_bytes": -1}}, "work.output_max_bytes"),
        ({"secrets": {"env": "TOKEN"}}, "secrets.env"),
        ({"default_adapter": "nobody"}, "default_adapter"),
        ({"adapters": {"command": {"command": "x"}}}, "adapters.command"),
    ],
)
def test_a_wrong_value_is_refused_with_file_and_field(document: object, where: str) -> None:
    assert refused(document).fields["where"] == f"rt.toml: {where}"


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"timeout_s": -1}, "adapters.build.timeout_s"),
        ({"timeout_s": 2_592_001}, "adapters.build.timeout_s"),
        ({"command": ""}, "adapters.build.command"),
        ({"outcome": "xml"}, "adapters.build.outcome"),
        ({"exit_permanent": [0]}, "adapters.build.exit_permanent[0]"),
        ({"inherit_env": ["not a name"]}, "adapters.build.inherit_env[0]"),
        ({"oucome": "json"}, "adapters.build"),
    ],
)
def test_a_wrong_value_of_an_adapter_is_refused_with_the_name_of_the_adapter(
    fields: dict[str, object], where: str
) -> None:
    """A file has many adapters: `adapters[...]` sends a person searching."""
    assert refused(adapter(**fields)).fields["where"] == f"rt.toml: {where}"


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 65])
def test_a_name_that_is_no_name_is_refused_by_name(name: str) -> None:
    assert repr(name) in str(refused({"adapters": {name: {"command": "x"}}}))


def test_a_default_adapter_that_is_missing_is_refused_with_the_configured_ones() -> None:
    text = str(refused({"default_adapter": "biuld"} | adapter()))
    assert "no adapter 'biuld'; configured: command, build" in text


def test_the_limits_themselves_are_allowed() -> None:
    parse({"retry": {"attempts": 100}, "work": {"concurrency": 256, "kill_grace_s": 600}}, "rt.toml")


@pytest.mark.parametrize(
    "name", ["API_TOKEN", "my_secret", "DbPassword", "PASSWD", "OPENAI_KEY", "AUTH", "CREDENTIALS"]
)
def test_names_of_secrets_are_recognised(name: str) -> None:
    assert looks_secret(name)


def test_ordinary_names_are_not_secrets() -> None:
    assert not any(map(looks_secret, ["PATH", "HOME", "LANG", "NAME"]))


ENVIRON = {"PLAIN": "plain value", "GH_TOKEN": "hunter22", "CI": "yes, really", "OTHER_KEY": "not handed on"}


def test_secrets_are_the_registered_variables_and_inherited_ones_that_look_so() -> None:
    config = parse({"secrets": {"env": ["PLAIN", "MISSING"]}} | adapter(inherit_env=["GH_TOKEN", "CI"]), "rt.toml")
    assert secret_values(config, ENVIRON) == {"plain value", "hunter22"}


def test_an_adapter_that_inherits_everything_makes_every_secret_looking_variable_one() -> None:
    config = parse(adapter(inherit_env="all"), "rt.toml")
    assert secret_values(config, ENVIRON) == {"hunter22", "not handed on"}


def test_a_value_that_only_looks_like_a_secret_by_name_is_none_when_it_is_too_short() -> None:
    config = parse(adapter(inherit_env=["AUTH_MODE"]), "rt.toml")
    assert secret_values(config, {"AUTH_MODE": "none"}) == set()


def test_secrets_that_stand_in_the_file_are_known_by_value() -> None:
    config = parse(adapter(env={"GH_TOKEN": "hunter22", "MODE": "fast"}), "rt.toml")
    assert secret_values(config, {}) == {"hunter22"}


def test_the_shown_configuration_masks_secrets() -> None:
    shown = as_document(parse(adapter(env={"GH_TOKEN": "hunter22", "MODE": "fast"}), "rt.toml"))
    assert shown["adapters"]["build"]["env"] == {"GH_TOKEN": "***", "MODE": "fast"}


def test_seconds_become_whole_microseconds() -> None:
    assert to_us(1.5) == 1_500_000


def test_a_secret_that_a_tool_hands_on_is_known_as_one() -> None:
    found = parse({"tools": {"t": {"kind": "local-process", "inherit_env": ["GH_TOKEN", "MODE"]}}}, "rt.toml")
    assert secret_values(found, {"GH_TOKEN": "hunter2-hunter2", "MODE": "harmless", "OTHER_TOKEN": "not-ours"}) == {
        "hunter2-hunter2"
    }
