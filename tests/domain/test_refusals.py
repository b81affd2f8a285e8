"""What a wrong value of a document is answered with: where it is, and what may stand there."""

import re
from typing import Any

import pytest

from domain import errors, schedule_input
from domain.adapter_checks import check_adapters
from domain.agent_checks import check
from domain.config import parse


def refused(document: object) -> tuple[str, str]:
    with pytest.raises(errors.InvalidConfig) as refusal:
        _check(document)
    return str(refusal.value.fields["where"]).removeprefix("rt.toml: "), str(refusal.value.fields["why"])


def _check(document: object) -> None:
    config = parse(document, "rt.toml")
    check(config, "rt.toml")
    check_adapters(config, "rt.toml")


def adapter(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever stands in a file
    return {"adapters": {"a": {"command": "./b", **fields}}}


@pytest.mark.parametrize(
    ("document", "where", "why"),
    [
        (
            adapter(kind="foo"),
            "adapters.a.kind",
            "'foo' is none of: script, codex, claude-code, hermes-agent, cli, ollama, openai",
        ),
        (adapter(outcome="foo"), "adapters.a.outcome", "'foo' is none of: json, text, exit"),
        (adapter(mcp="some"), "adapters.a.mcp", "'some' is none of: \"\", none"),
        (adapter(inherit_env="foo"), "adapters.a.inherit_env", "'foo' is none of: a list, all"),
        ({"profiles": {"p": {"program": "x"}}}, "profiles.p.program", "'x' is none of: controller, chat, one_shot"),
        ({"profiles": {"p": {"approvals": {"t": "x"}}}}, "profiles.p.approvals.t", "'x' is none of: allow, ask, deny"),
        ({"policies": [{"id": "a", "effect": "x"}]}, "policies[0].effect", "'x' is none of: allow, ask, deny"),
        ({"credentials": {"resolver": "x"}}, "credentials.resolver", 'is none of: "", command, file, env, keyring'),
        ({"allow_argv_from": ["x"]}, "allow_argv_from[0]", "is none of: sensor, bridge, http, follow_up, workflow"),
        ({"notify": [{"on": ["x"], "to": "a"}]}, "notify[0].on[0]", "is none of: approval, approval_expiring, blocked"),
        (
            {"profiles": {"p": {"middleware": [{"kind": "x"}]}}},
            "profiles.p.middleware[0].kind",
            "'x' is none of: trim-context, trim-history",
        ),
        (
            {"profiles": {"p": {"patterns": {"urgent": ["ok", {"phrase": "ab", "stream": "x"}]}}}},
            "profiles.p.patterns.urgent[1].stream",
            "'x' is none of: \"\", stdout, stderr",
        ),
        (
            {"outbox": {"destinations": {"good": {}, "bad": {"kind": "x"}}}},
            "outbox.destinations.bad.kind",
            "'x' is none of: webhook, command",
        ),
        (adapter(kind="x" * 1_000), "adapters.a.kind", "xxx is none of: script"),
    ],
)
def test_a_word_that_may_not_stand_there_is_answered_with_those_that_may(
    document: object, where: str, why: str
) -> None:
    found = refused(document)
    assert found[0] == where
    assert why in found[1]
    assert len(found[1]) < 250


@pytest.mark.parametrize(
    ("document", "where", "why"),
    [
        ({"bridges": {"d": {"public_key": "zz"}}}, "bridges.d.public_key", "expected 64 hex digits"),
        (adapter(env={"A": "x", "A-B": "x"}), "adapters.a.env", "'A-B': expected the name of a variable"),
        (adapter(env={"A": "x", "PORT": 80}), "adapters.a.env.PORT", "expected `str`, got `int`"),
        (adapter(key_env="sk-very-secret"), "adapters.a.key_env", "expected the name of a variable"),
        ({"constitution": {"a b": "x"}}, "constitution", "'a b': expected a name"),
        ({"models": {"m": {"base_url": "ftp://x", "name": "m"}}}, "models.m.base_url", "http:// or https://"),
    ],
)
def test_a_text_of_another_form_is_answered_with_the_form_in_words(document: object, where: str, why: str) -> None:
    found = refused(document)
    assert found[0] == where
    assert why in found[1]
    assert not re.search("regex|very-secret", found[1])


@pytest.mark.parametrize(
    "document",
    [
        {"models": {"m": {"base_url": "https://me:hunter22@host/v1", "name": "m"}}},
        {"models": {"m": {"base_url": "ftp://me:hunter22@host/v1", "name": "m"}}},
        {"adapters": {"a": {"kind": "openai", "model": "m", "endpoint": "https://me:hunter22@host/v1"}}},
        {"tools": {"t": {"kind": "http-request", "hosts": ["https://me:hunter22@host"]}}},
    ],
)
def test_an_address_is_refused_without_its_password(document: object) -> None:
    assert "hunter22" not in " ".join(refused(document))


@pytest.mark.parametrize("table", ["secrets", "retry", "work"])
def test_a_key_of_the_top_that_stands_behind_a_table_is_told_where_it_belongs(table: str) -> None:
    """TOML gives it to the table before it; the same word is no correction of itself."""
    why = refused({table: {"default_profile": "w"}})[1]
    assert why == "unknown field 'default_profile'; it belongs to the top of the file, before the first [table]"


def test_a_field_of_another_table_is_no_correction_of_itself() -> None:
    assert "did you mean 'outcome'" not in refused({"retry": {"outcome": "json"}})[1]


def test_an_entry_of_a_table_tells_the_same() -> None:
    assert "before the first [table]" in refused(adapter(default_profile="w"))[1]


@pytest.mark.parametrize(
    ("fields", "where", "why"),
    [
        ({"overlap": "foo"}, "schedule.overlap", "'foo' is none of: allow, skip, queue_one, queue"),
        ({"anchor": "foo"}, "schedule.anchor", "'foo' is none of: tick, slot"),
        ({"next_run_at": "foo"}, "schedule.next_run_at", "not a date and time: 'foo'; write 2026-01-31T12:00:00Z"),
        ({"next_run_at": "2026-02-30"}, "schedule.next_run_at", "day is out of range for month; write 2026-01-31T"),
    ],
)
def test_a_schedule_is_answered_in_the_same_words(fields: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        schedule_input.accept({"name": "n", "interval_seconds": 60, "task": {}} | fields, 0)
    assert refusal.value.fields["where"] == where
    assert why in str(refusal.value.fields["why"])
