"""Middleware: an ordered list that only ever narrows what a profile may do, and is frozen into each run's setup."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import agents, errors
from domain.agent_checks import check
from domain.agent_config import (
    BudgetsConfig,
    CallLimits,
    HumanApproval,
    LimitsConfig,
    ProfileConfig,
    ToolConfig,
    TrimContext,
    TrimHistory,
)
from domain.config import Config, parse
from domain.middleware import applied

TOOLS = {"shell": ToolConfig(kind="local-process"), "off": ToolConfig(kind="local-process", approval="deny")}


def profile(*middleware: Any, **more: Any) -> ProfileConfig:  # noqa: ANN401  # fields of a profile
    return ProfileConfig(middleware=middleware, **({"tools": ("shell", "off")} | more))


def setup(each: ProfileConfig) -> Any:  # noqa: ANN401  # a Setup
    return agents.setup(Config(tools=TOOLS, profiles={"it": each}), "it", agents.Given(goal="x"))


def test_trimming_narrows_the_window_and_the_history() -> None:
    made = setup(profile(TrimContext(bytes=2048, events=10), TrimHistory(messages=3)))
    assert (made.limits.window_bytes, made.limits.window_events, made.limits.history_messages) == (2048, 10, 3)


def test_nothing_that_is_narrower_already_is_widened() -> None:
    narrow = LimitsConfig(window_bytes=1024, window_events=4, history_messages=1)
    made = applied(profile(TrimContext(bytes=4096), TrimHistory(messages=9), limits=narrow))
    assert made.limits == narrow
    few = BudgetsConfig(decisions=2, tool_calls=3)
    assert applied(profile(CallLimits(decisions=5, tool_calls=5), budgets=few)).budgets == few


@pytest.mark.parametrize(("own", "limit", "left"), [(0, 5, 5), (5, 0, 5), (0, 0, 0), (3, 5, 3), (5, 3, 3)])
def test_a_limit_of_nought_is_none(own: int, limit: int, left: int) -> None:
    made = applied(
        profile(CallLimits(decisions=limit, tool_calls=limit), budgets=BudgetsConfig(decisions=own, tool_calls=own))
    )
    assert (made.budgets.decisions, made.budgets.tool_calls) == (left, left)


def test_approval_by_a_person_asks_for_all_tools_or_for_those_that_are_named() -> None:
    asks = {tool.name: tool.approval for tool in setup(profile(HumanApproval())).tools}
    assert asks == {"shell": "ask", "off": "deny"}
    named = profile(HumanApproval(tools=("shell",)), tools=("shell", "local-process"))
    assert {tool.name: tool.approval for tool in setup(named).tools} == {"shell": "ask", "local-process": ""}


def test_approval_by_a_person_opens_no_tool_that_is_denied() -> None:
    for middleware in (HumanApproval(), HumanApproval(tools=("off", "shell"))):
        made = setup(profile(middleware, approvals={"shell": "deny"}))
        assert [tool.approval for tool in made.tools] == ["deny", "deny"]
    assert setup(profile(HumanApproval(), approvals={"shell": "allow"})).tools[0].approval == "ask"


@given(st.permutations([TrimContext(bytes=2048), TrimHistory(messages=3), CallLimits(decisions=9), HumanApproval()]))
def test_what_only_narrows_is_the_same_in_any_order(items: list[Any]) -> None:
    made, other = applied(profile(*items)), applied(profile(*reversed(items)))
    assert msgspec.structs.replace(made, middleware=()) == msgspec.structs.replace(other, middleware=())


@pytest.mark.parametrize(
    "item",
    [{"kind": "magic"}, {}, {"kind": "trim-history"}, {"kind": "trim-history", "messages": -1},
     {"kind": "trim-context", "bytes": 10}, {"kind": "call-limits", "bogus": 1}, "trim-history"],
)  # fmt: skip
def test_an_unknown_kind_or_a_wrong_field_is_refused_by_name(item: object) -> None:
    with pytest.raises(errors.InvalidConfig, match=r"profiles\.it"):
        parse({"profiles": {"it": {"middleware": [item]}}}, "rt.toml")


def test_a_tool_that_the_profile_does_not_have_is_refused() -> None:
    found = parse({"profiles": {"it": {"middleware": [{"kind": "human-approval", "tools": ["other"]}]}}}, "rt.toml")
    with pytest.raises(errors.InvalidConfig, match="middleware"):
        check(found, "rt.toml")
