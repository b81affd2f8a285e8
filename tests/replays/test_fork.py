"""A fork without other inputs goes as its parent did; with others, only what is known follows."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from domain import errors, setup
from domain.agent_events import ApprovalRequested, DecisionMade
from domain.events import Consequence, Recorded, RunFinished, RunStarted, ToolExited
from domain.run_state import Call, Run
from replays.diff import said
from replays.fork import Change, Forked, fork
from replays.replay import is_derived
from replays.states import Before, moments
from tests.replays.recorded import golden_events, golden_names

PARKED = "it waits for a person, or to be claimed again: neither is inherited"
DECIDED = "what a person decided led to this, and that is not inherited"


class Nobody:
    """Finds nothing out."""

    def answer(self, _state: Run, _texts: dict[str, bytes]) -> Recorded | None:
        return None

    def carry_out(self, _state: Run, _call: Call, _texts: dict[str, bytes]) -> list[Recorded] | None:
        return None


def same(frozen: setup.Setup) -> setup.Setup:
    return frozen


def told(events: Sequence[Recorded]) -> list[tuple[str, dict[str, Any]]]:
    return [(each.event, each.fields) for each in said(list(events))]


def is_controlled(name: str) -> bool:
    return any(isinstance(each.data, RunStarted) and "setup" in each.texts for each in golden_events(name))


CONTROLLED = [name for name in golden_names() if is_controlled(name)]


def forked(name: str, position: int, change: Change = same) -> Forked:
    return fork(list(golden_events(name)), position, change, Nobody())


@pytest.mark.parametrize("name", CONTROLLED)
def test_with_the_same_inputs_it_goes_as_recorded_from_every_moment(name: str) -> None:
    events = list(golden_events(name))
    start = next(at for at, each in enumerate(events) if isinstance(each.data, RunStarted))
    for each in events[start:]:
        found = forked(name, each.position)
        assert told([one.event for one in found.told]) == told(found.replaced[: len(found.told)])
        assert found.stopped or len(told(found.replaced)) == len(told([one.event for one in found.told]))
        assert found.stopped in ("", PARKED, DECIDED)
    assert forked(name, events[-1].position).stopped == ""
    asked = any(isinstance(each.data, ApprovalRequested) for each in events)
    assert forked(name, events[start].position).stopped == (PARKED if asked else "")


@pytest.mark.parametrize("name", CONTROLLED)
def test_it_goes_the_same_way_where_its_beginning_is_a_state_alone(name: str) -> None:
    every = list(moments(golden_events(name)))
    start = next(at for at, each in enumerate(every) if isinstance(each.event.data, RunStarted))
    facts = [
        at
        for at, each in enumerate(every)
        if at > start and not (isinstance(each.event.data, Consequence) and is_derived(each.event.data))
    ]
    for at in facts[:: max(1, len(facts) // 4)]:
        before = Before(every[at - 1].event.position, every[at].before)
        events = [each.event for each in every[at:]]
        for each in events[:: max(1, len(events) // 4)]:
            assert fork(events, each.position, same, Nobody(), before) == forked(name, each.position)


def test_its_own_events_follow_the_last_one_that_it_shares() -> None:
    events = list(golden_events("early-cancel"))
    decision = next(each for each in events if isinstance(each.data, DecisionMade) and each.data.number == 3)
    found = forked("early-cancel", decision.position)
    shared = [each for each in events if each.position <= found.at]
    assert [each.position for each in shared] + [each.position for each in found.replaced] == [
        each.position for each in events
    ]
    assert not isinstance(found.told[0].event.data, DecisionMade)  # it is decided anew, from the fact on


def waits(frozen: setup.Setup) -> setup.Setup:
    rules = tuple(
        msgspec.structs.replace(rule, then="wait") if rule.then == "cancel" else rule
        for rule in frozen.controller.rules
    )
    return msgspec.structs.replace(frozen, controller=msgspec.structs.replace(frozen.controller, rules=rules))


def test_where_the_recorded_run_ended_a_call_and_this_one_does_not_nobody_knows_on() -> None:
    events = list(golden_events("early-cancel"))
    start = next(each.position for each in events if isinstance(each.data, RunStarted))
    found = forked("early-cancel", start, waits)
    assert "the recorded run ended its c1 here" in found.stopped
    decisions = [each.event.data for each in found.told if isinstance(each.event.data, DecisionMade)]
    assert decisions[-1].decision == "wait"
    assert not any(isinstance(each.event.data, ToolExited | RunFinished) for each in found.told)


def hurried(frozen: setup.Setup) -> setup.Setup:
    return msgspec.structs.replace(frozen, budgets=msgspec.structs.replace(frozen.budgets, wall_us=1))


def test_what_ends_here_and_not_in_the_record_is_assumed_to_end_and_marked() -> None:
    events = list(golden_events("early-cancel"))
    start = next(each.position for each in events if isinstance(each.data, RunStarted))
    found = forked("early-cancel", start, hurried)
    assert [each.source for each in found.told if isinstance(each.event.data, ToolExited)] == ["assumed"]
    assert found.state.ended
    assert [each.source for each in found.told].count("timer") == 1


def test_a_call_that_stands_in_no_record_stops_it_and_says_how_to_make_it() -> None:
    def otherwise(frozen: setup.Setup) -> setup.Setup:
        [first, *rest] = frozen.controller.rules
        wanted = setup.Wanted(frozen.calls[0].tool, {"command": "/bin/true", "args": []})
        first = msgspec.structs.replace(first, calls=(wanted,))
        controller = msgspec.structs.replace(frozen.controller, rules=(first, *rest))
        free = setup.Book(rules=(setup.PolicyRule(id="free", effect="allow"),))
        return msgspec.structs.replace(frozen, controller=controller, book=free)

    events = list(golden_events("early-cancel"))
    start = next(each.position for each in events if isinstance(each.data, RunStarted))
    found = forked("early-cancel", start, otherwise)
    assert "there is no such call of demo in the record: --live demo makes it" in found.stopped


def test_runs_without_a_controller_and_moments_before_the_start_are_refused() -> None:
    events = list(golden_events("success"))
    with pytest.raises(errors.Invalid, match="only runs with a controller"):
        fork(events, events[-1].position, same, Nobody())
    events = list(golden_events("early-cancel"))
    with pytest.raises(errors.PositionUnknown):
        fork(events, events[0].position - 1, same, Nobody())


def test_a_run_whose_texts_were_erased_is_refused() -> None:
    events = list(golden_events("early-cancel"))
    erased = [msgspec.structs.replace(each, body=None) for each in events]
    with pytest.raises(errors.Invalid, match="erased"):
        fork(erased, events[-1].position, same, Nobody())
