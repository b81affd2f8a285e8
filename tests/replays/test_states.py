"""A run at each of its events: the same state as at its end, and only what changed counts as changed."""

from itertools import pairwise

import pytest

from domain import errors
from domain.run_state import Status
from replays.states import Wanted, changes, flat, is_set, moment, moments
from tests.replays.recorded import golden_events, golden_names

RUN = "r" * 32


@pytest.mark.parametrize("name", golden_names())
def test_the_last_moment_of_a_run_is_its_end(name: str) -> None:
    events = golden_events(name)
    found = list(moments(events))
    assert [each.event.position for each in found] == [each.position for each in events]
    assert found[-1].state.ended
    assert all(one.state == other.before for one, other in pairwise(found))


def test_a_position_means_the_event_there_or_the_last_one_before() -> None:
    events = golden_events("early-cancel")
    at = events[4].position
    assert moment(moments(events), Wanted(position=at), RUN).number == 5
    assert moment(moments(events), Wanted(position=events[-1].position + 1_000), RUN).number == len(events)
    assert moment(moments(events), Wanted(), RUN).number == len(events)


def test_a_time_means_the_last_event_at_or_before_it() -> None:
    events = golden_events("early-cancel")
    at_us = events[3].at_us
    found = moment(moments(events), Wanted(at_us=at_us), RUN)
    assert found.event.at_us <= at_us
    assert all(each.at_us > at_us for each in events[found.number :])


def test_a_decision_is_found_by_its_number() -> None:
    events = golden_events("early-cancel")
    found = moment(moments(events), Wanted(decision=2), RUN)
    assert getattr(found.event.data, "number", 0) == 2


@pytest.mark.parametrize("wanted", [Wanted(decision=99), Wanted(position=1), Wanted(at_us=1)])
def test_what_lies_outside_of_the_run_is_refused_with_where_it_lies(wanted: Wanted) -> None:
    events = golden_events("early-cancel")
    events = [each for each in events if each.position > 1]
    with pytest.raises(errors.PositionUnknown, match=rf"from {events[0].position} to {events[-1].position}"):
        moment(moments(events), wanted, RUN)


def test_the_flat_state_has_plain_values_by_path_and_only_changes_are_changes() -> None:
    found = list(moments(golden_events("success")))
    before, after = flat(found[-2].state), flat(found[-1].state)
    assert {each.path for each in changes(flat(found[0].before), flat(found[0].state))} >= {"run", "task", "epoch"}
    assert changes(after, after) == []
    assert all(value is None or isinstance(value, str | int | float | bool) for value in after.values())
    assert after["status"] == Status.COMPLETED
    assert all(is_set(each.before) or is_set(each.after) for each in changes(before, after))


def test_long_texts_are_cut_and_bytes_are_text() -> None:
    found = list(moments(golden_events("reported")))
    assert all(len(value) < 300 for value in flat(found[-1].state).values() if isinstance(value, str))
