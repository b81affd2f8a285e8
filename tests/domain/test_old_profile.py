"""A profile of agent-runtime becomes one prompt for one adapter; what cannot be held is said."""

from typing import Any

import msgspec
import pytest

from domain import errors
from domain.agent_config import ProfileConfig
from domain.old_profile import is_old_profile, style_hint, translate

EVERY: dict[str, Any] = {
    "profile_id": "helper", "style": "codex-like", "role": "Repairs things.",
    "system_prompt_parts": ["Be brief.", "Be exact."], "skills": ["repo-edit"], "default_adapter": "codex",
    "tool_policy": {"shell": True, "network": False, "mail": False},
    "context_policy": {"include_recent_task_memory": True, "max_prompt_chars": 16_000},
    "result_schema": {
        "primary_output": "summary", "allow_follow_up_tasks": True, "allow_external_messages": True,
        "on_unverified": "block",
    },
    "integration_policies": {"aibtc": "none", "discord": "bridge-only"},
}  # fmt: skip


def document(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever stands in a file
    return translate(EVERY | changes, "p.json").document


def told(**changes: Any) -> str:  # noqa: ANN401  # whatever stands in a file
    return "\n".join(translate(EVERY | changes, "p.json").warnings)


def test_a_profile_with_every_key_is_said_in_the_new_form() -> None:
    """Section 18 of the old documentation; CC-3 for the integration that means no MCP servers."""
    assert document() == {
        "program": "one_shot", "style": "codex-like", "role": "Repairs things.",
        "prompt": ["Be brief.", "Be exact."], "skills": ["repo-edit"], "adapter": "codex", "memory": ["workspace"],
        "max_prompt_chars": 16_000, "follow_up_tasks": True, "external_messages": True, "on_unverified": "block",
        "mcp": "none",
    }  # fmt: skip
    assert isinstance(msgspec.convert(document(), ProfileConfig), ProfileConfig)


@pytest.mark.parametrize(
    "words",
    [
        "p.json: tool_policy: deny network, mail: is not enforced",
        "p.json: result_schema.primary_output: is not enforced",
        "p.json: integration_policies.discord: bridge-only: is not enforced",
        "p.json: context_policy.include_recent_task_memory: puts what is remembered",
    ],
)
def test_what_cannot_be_enforced_is_named(words: str) -> None:
    """PR-1."""
    assert words in told()
    assert len(told().splitlines()) == 4


def test_what_is_enforced_is_not_worth_a_word() -> None:
    quiet = {
        "tool_policy": {"shell": True}, "context_policy": {"max_prompt_chars": 2_000}, "integration_policies": {},
        "result_schema": {"allow_follow_up_tasks": False},
    }  # fmt: skip
    assert told(**quiet) == ""


def test_a_quarantined_profile_has_no_way_out() -> None:
    """PR-4: it can never run with a bypass flag, and makes no tasks."""
    made = document(style="quarantine")
    assert (made["autonomy"], made["follow_up_tasks"]) == ("restricted", False)
    assert made["external_messages"] is True, "its result is one of those"
    assert "allow_follow_up_tasks: is not used" in told(style="quarantine")
    assert "autonomy" not in document()


@pytest.mark.parametrize(
    ("style", "near"),
    [
        ("codx-like", "codex-like"),
        ("claud-like", "claude-like"),
        ("hermes_like", "hermes-like"),
        ("quarantin", "quarantine"),
    ],
)
def test_a_misspelled_style_gets_a_hint(style: str, near: str) -> None:
    """PR-3."""
    assert f"did you mean {near!r}?" in told(style=style)
    assert document(style=style)["style"] == style, "and is legal"


@pytest.mark.parametrize("style", ["", "codex-like", "quarantine", "other", "poet"])
def test_a_style_of_its_own_is_a_style(style: str) -> None:
    """PR-3."""
    assert style_hint(style) == ""


@pytest.mark.parametrize(
    ("changes", "where", "why"),
    [
        ({"profile_id": ""}, "profile_id", ""),
        ({"profile_id": 5}, "profile_id", ""),
        ({"system_prompt_parts": "one"}, "system_prompt_parts", "expected `array`"),
        ({"system_prompt_parts": [5]}, "system_prompt_parts[0]", ""),
        ({"skills": [""]}, "skills[0]", ""),
        ({"tool_policy": {"shell": "no"}}, "tool_policy[...]", "expected `bool`"),
        ({"context_policy": {"max_prompt_chars": 1_999}}, "context_policy.max_prompt_chars", ">= 2000"),
        ({"context_policy": {"max_prompt_chars": 200_001}}, "context_policy.max_prompt_chars", "<= 200000"),
        ({"context_policy": {"max_prompt_char": 1}}, "context_policy", "did you mean 'max_prompt_chars'?"),
        ({"result_schema": {"allow_follow_up_tasks": "yes"}}, "result_schema.allow_follow_up_tasks", ""),
        ({"result_schema": []}, "result_schema", ""),
        ({"integration_policies": {"aibtc": False}}, "integration_policies[...]", ""),
    ],
)
def test_a_wrong_value_is_refused_under_its_name(changes: dict[str, Any], where: str, why: str) -> None:
    """PR-2."""
    with pytest.raises(errors.InvalidConfig) as refusal:
        translate(EVERY | changes, "p.json")
    assert refusal.value.fields["where"] == f"p.json: {where}"
    assert why in str(refusal.value.fields["why"])


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("system_prompt_part", "did you mean 'system_prompt_parts'?"),
        ("max_prompt_chars", "belongs to the new form"),
        ("zzz", "unknown field 'zzz'"),
    ],
)
def test_what_is_unknown_is_refused_with_the_nearest_known_name(key: str, why: str) -> None:
    """CF-1."""
    with pytest.raises(errors.InvalidConfig, match=r"^p\.json: ") as refusal:
        translate(EVERY | {key: 5}, "p.json")
    assert why in str(refusal.value)


def test_null_says_nothing() -> None:
    assert translate(dict.fromkeys(EVERY), "p.json").document == {"program": "one_shot"}
    assert document(result_schema={"allow_follow_up_tasks": None}).get("follow_up_tasks") is None


@pytest.mark.parametrize(
    ("found", "old"),
    [
        ({"profile_id": "p"}, True),
        ({"system_prompt_parts": []}, True),
        ({"style": "other", "role": "r", "prompt": []}, False),
        ({}, False),
        ([], False),
    ],
)
def test_the_old_form_is_known_by_its_keys(found: object, old: bool) -> None:  # noqa: FBT001  # a table
    assert is_old_profile(found) is old
