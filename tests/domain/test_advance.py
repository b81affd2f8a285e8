"""From facts to one put: the log is closed under `decide`, fenced, and says what caused what."""

import msgspec

from domain.advance import Happened, Tip, advance, appended, catch_up, claimed
from domain.events import (
    CancelRequested,
    OutputAppended,
    Put,
    Recorded,
    RunCancelAsked,
    RunFinished,
    RunStarted,
    TaskCompleted,
    TimerFired,
    ToolCallRequested,
    ToolExited,
    ToolStarted,
)
from domain.ids import output_stream, text_of
from tests import story
from tests.domain.test_one_shot import POLICY
from tests.story import NOW_US, RUN, TASK

CLAIM = msgspec.structs.replace(story.recorded(story.claimed()), version=2, position=2)
STARTED = RunStarted(program="one_shot", adapter="a", bundle=story.text("b"), call=story.text("c"), policy=POLICY)
RUNS = ToolStarted(call=1, pid=4711, start_ticks=99, boot_id="b")
EXITED = ToolExited(call=1, duration_us=5, exit_code=0)
OUT = OutputAppended(call=1, stream="stdout", offset=0, size=2, lines=1, digest="d")


def tip_after(*puts: tuple[Happened, ...]) -> Tip:
    """A run driven so far, its puts at the positions 3, 4, …"""
    tip, position = claimed(CLAIM), 3
    for happened in puts:
        state, put = advance(tip, happened, at_us=NOW_US, actor="d")
        positions = range(position, position + len(put.events))
        tip, position = appended(tip, state, put, positions), positions[-1] + 1
    return tip


def put_of(tip: Tip, *happened: Happened) -> Put:
    return advance(tip, happened, at_us=NOW_US, actor="dispatcher:d")[1]


def kinds(put: Put) -> list[type]:
    return [type(event.data) for event in put.events]


def test_a_fact_is_followed_by_its_consequences_in_one_put() -> None:
    put = put_of(claimed(CLAIM), Happened(STARTED))
    assert kinds(put) == [RunStarted, ToolCallRequested]


def test_every_event_lies_in_its_stream_with_the_next_version() -> None:
    tip = tip_after((Happened(STARTED),), (Happened(RUNS),))
    put = put_of(tip, Happened(OUT, b"hi"), Happened(EXITED))
    assert [(event.stream, event.version) for event in put.events] == [
        (output_stream(RUN), 1),
        (RUN, 4),
        (RUN, 5),
        (TASK, 3),
    ]
    assert kinds(put) == [OutputAppended, ToolExited, RunFinished, TaskCompleted]


def test_consequences_name_their_fact_by_its_distance() -> None:
    put = put_of(tip_after((Happened(STARTED),)), Happened(RUNS), Happened(EXITED))
    assert [event.caused_by for event in put.events[2:]] == [-1, -2]


def test_each_fact_of_a_put_has_its_own_consequences() -> None:
    put = put_of(claimed(CLAIM), Happened(STARTED), Happened(RUNS), Happened(RunCancelAsked(reason="r")))
    assert kinds(put) == [RunStarted, ToolCallRequested, ToolStarted, RunCancelAsked, CancelRequested]
    assert put.events[1].caused_by == -1
    assert put.events[4].caused_by == -1


def test_facts_of_a_call_name_what_asked_for_them_last() -> None:
    tip = tip_after((Happened(STARTED),))
    assert put_of(tip, Happened(RUNS)).events[0].caused_by == 4
    tip = tip_after((Happened(STARTED),), (Happened(RUNS),))
    assert put_of(tip, Happened(OUT, b"hi")).events[0].caused_by == 5
    tip = tip_after((Happened(STARTED),), (Happened(RUNS),), (Happened(RunCancelAsked()),))
    assert put_of(tip, Happened(EXITED)).events[0].caused_by == 7


def test_a_run_starts_because_its_task_was_claimed() -> None:
    assert put_of(claimed(CLAIM), Happened(STARTED)).events[0].caused_by == CLAIM.position


def test_a_fact_that_nothing_in_the_log_asked_for_names_nothing() -> None:
    tip = tip_after((Happened(STARTED),))
    assert put_of(tip, Happened(TimerFired(timer="timeout:1", due_us=1))).events[0].caused_by == 0


def test_every_put_is_fenced_by_the_decision_stream_output_only_ones_too() -> None:
    assert put_of(claimed(CLAIM), Happened(STARTED)).fence == {RUN: 0}
    tip = tip_after((Happened(STARTED),), (Happened(RUNS),))
    assert put_of(tip, Happened(OUT, b"hi")).fence == {RUN: 3}


def test_output_carries_its_bytes() -> None:
    tip = tip_after((Happened(STARTED),), (Happened(RUNS),))
    assert put_of(tip, Happened(OUT, b"hi")).events[0].body == b"hi"


def test_texts_that_the_consequences_name_are_stored_under_the_task() -> None:
    policy = msgspec.structs.replace(POLICY, outcome="text")
    started = msgspec.structs.replace(STARTED, policy=policy)
    tip = tip_after((Happened(started),), (Happened(RUNS),), (Happened(OUT, b"all is well"),))
    put = put_of(tip, Happened(EXITED))
    end = put.events[1].data
    assert isinstance(end, RunFinished)
    assert [(blob.scope, text_of(blob.content)) for blob in put.blobs] == [(TASK, end.outcome)]


def test_actor_time_and_task_stand_in_every_envelope() -> None:
    put = put_of(claimed(CLAIM), Happened(STARTED), Happened(RunCancelAsked(), actor="operator:me"))
    assert [event.actor for event in put.events] == ["dispatcher:d", "dispatcher:d", "operator:me", "dispatcher:d"]
    assert {event.at_us for event in put.events} == {NOW_US}
    assert {event.correlation for event in put.events} == {TASK}


def test_a_run_that_caught_up_stands_where_the_one_that_appended_stands() -> None:
    tip, log, position = claimed(CLAIM), list[Recorded](), 3
    for happened in ((Happened(STARTED),), (Happened(RUNS),), (Happened(OUT, b"x"), Happened(RunCancelAsked()))):
        state, put = advance(tip, happened, at_us=NOW_US, actor="d")
        positions = range(position, position + len(put.events))
        log += [msgspec.structs.replace(event, position=at) for event, at in zip(put.events, positions, strict=True)]
        tip, position = appended(tip, state, put, positions), positions[-1] + 1
    assert catch_up(claimed(CLAIM), log) == tip


def test_advancing_changes_nothing_until_it_is_appended() -> None:
    tip = claimed(CLAIM)
    assert put_of(tip, Happened(STARTED)) == put_of(tip, Happened(STARTED))
    assert tip == claimed(CLAIM)


def test_a_late_fact_is_recorded_without_consequences() -> None:
    tip = tip_after((Happened(STARTED),), (Happened(RUNS),), (Happened(EXITED),))
    assert kinds(put_of(tip, Happened(RunCancelAsked()))) == [RunCancelAsked]
