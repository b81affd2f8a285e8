"""A task: who may move it from where to where, and what the claim index keeps."""

import msgspec
import pytest

from domain import errors, task
from domain.events import (
    LossAccepted,
    OutputAppended,
    RunFinished,
    TaskBlocked,
    TaskCanceled,
    TaskCompleted,
    TaskEvent,
    TaskFailed,
    TaskQueued,
    TaskRetried,
    TaskRetryScheduled,
    TaskUnblocked,
)
from domain.task import Status, Task, Wish
from tests.story import RUN, claimed, recorded, text

QUEUED = TaskQueued(
    kind="k", source="s", adapter="a", payload=text("p"), priority=5, max_attempts=3, subject="t", profile="x"
)
LATER = TaskRetryScheduled(run=RUN, cause="exit:1", backoff_us=5, due_at_us=1005)
HISTORIES: dict[Status, tuple[TaskEvent, ...]] = {
    Status.PENDING: (QUEUED,),
    Status.RUNNING: (QUEUED, claimed()),
    Status.COMPLETED: (QUEUED, claimed(), TaskCompleted(run=RUN)),
    Status.RETRYABLE_FAILURE: (QUEUED, claimed(), LATER),
    Status.PERMANENT_FAILURE: (QUEUED, claimed(), TaskFailed(run=RUN, cause="exit:64")),
    Status.BLOCKED: (QUEUED, claimed(attempt=3), TaskBlocked(run=RUN, cause="attempts_exhausted")),
    Status.OPERATOR_CANCELED: (QUEUED, TaskCanceled(reason="r")),
}
CANCEL, RETRY, UNBLOCK = (Wish("cancel", "why"), Wish("retry", "why"), Wish("unblock", "why"))


def told(*events: TaskEvent) -> Task:
    stream = [
        msgspec.structs.replace(recorded(event, at_us=1000 + at), version=at + 1, position=10 * at + 10)
        for at, event in enumerate(events)
    ]
    state = task.fold(stream)
    assert state is not None
    return state


@pytest.mark.parametrize(("status", "history"), HISTORIES.items())
def test_each_status_is_reached_by_its_events(status: Status, history: tuple[TaskEvent, ...]) -> None:
    assert told(*history).status is status


@pytest.mark.parametrize(
    ("event", "cause"),
    [
        (LATER, "exit:1"),
        (TaskFailed(run=RUN, cause="exit:64"), "exit:64"),
        (TaskBlocked(run=RUN, cause="needs_reconcile"), "needs_reconcile"),
        (TaskCanceled(run=RUN), "operator_canceled"),
        (TaskCompleted(run=RUN), ""),
    ],
)
def test_a_task_that_stands_still_says_why(event: TaskEvent, cause: str) -> None:
    assert told(QUEUED, claimed(), event).cause == cause


def test_a_queued_task_is_as_old_as_its_event() -> None:
    state = told(QUEUED)
    assert (state.created_at_us, state.queued_position, state.version) == (1000, 10, 1)
    assert (state.kind, state.source, state.subject, state.adapter, state.profile) == ("k", "s", "t", "a", "x")


def test_a_claim_spends_an_attempt_and_names_its_run() -> None:
    state = told(QUEUED, claimed(), LATER, claimed(attempt=2))
    assert (state.attempts, state.epoch, state.run, state.version) == (2, 2, RUN, 4)


def test_a_retry_waits_for_its_time() -> None:
    assert told(QUEUED, claimed(), LATER).due_at_us == 1005


def test_the_next_claim_counts_epoch_and_attempt_on() -> None:
    made = task.claim(told(QUEUED, claimed(), LATER), run="r2", dispatcher="d2")
    assert (made.run, made.epoch, made.attempt, made.max_attempts, made.dispatcher) == ("r2", 2, 2, 3, "d2")


@pytest.mark.parametrize("status", [each for each in HISTORIES if each not in task.CLAIMABLE])
def test_only_a_claimable_task_is_claimed(status: Status) -> None:
    with pytest.raises(AssertionError):
        task.claim(told(*HISTORIES[status]), run="r2", dispatcher="d2")


def test_no_event_means_no_task() -> None:
    assert task.fold([]) is None


def test_a_stream_begins_with_its_intake() -> None:
    with pytest.raises(AssertionError, match=r"begins with task\.queued"):
        task.fold([recorded(claimed())])


# wishes


ALLOWED = {
    ("cancel", Status.PENDING): TaskCanceled(reason="why"),
    ("cancel", Status.RETRYABLE_FAILURE): TaskCanceled(reason="why"),
    ("cancel", Status.BLOCKED): TaskCanceled(reason="why"),
    ("retry", Status.BLOCKED): TaskRetried(max_attempts=4, reason="why"),
    ("retry", Status.PERMANENT_FAILURE): TaskRetried(max_attempts=3, reason="why"),
    ("retry", Status.RETRYABLE_FAILURE): TaskRetried(max_attempts=3, reason="why"),
    ("unblock", Status.BLOCKED): TaskUnblocked(max_attempts=4, note="why"),
}


@pytest.mark.parametrize(("verb", "status"), ALLOWED, ids=str)
def test_a_wish_that_the_state_allows_becomes_its_event(verb: str, status: Status) -> None:
    wish = {"cancel": CANCEL, "retry": RETRY, "unblock": UNBLOCK}[verb]
    assert task.decide(told(*HISTORIES[status]), wish) == ALLOWED[verb, status]


@pytest.mark.parametrize("status", HISTORIES)
@pytest.mark.parametrize("wish", [CANCEL, RETRY, UNBLOCK], ids=lambda wish: wish.verb)
def test_every_other_wish_is_refused_and_told_the_state(wish: Wish, status: Status) -> None:
    if (wish.verb, status) in ALLOWED:
        return
    with pytest.raises(errors.TaskStateRefused) as refusal:
        task.decide(told(*HISTORIES[status]), wish)
    assert f"is {status}: {wish.verb} needs" in str(refusal.value)


@pytest.mark.parametrize("event", [TaskRetried(max_attempts=4), TaskUnblocked(max_attempts=4)])
def test_a_granted_wish_makes_the_task_claimable_at_once_with_an_attempt_left(event: TaskEvent) -> None:
    state = told(*HISTORIES[Status.BLOCKED], event)
    assert (state.status, state.due_at_us, state.cause) == (Status.PENDING, 0, "")
    assert state.attempts < state.max_attempts


# the claim index


@pytest.mark.parametrize("status", HISTORIES)
def test_the_index_agrees_with_the_fold(status: Status) -> None:
    history = HISTORIES[status]
    state, change = told(*history), task.index_change(history[-1])
    assert change is not None
    assert (change.status, change.due_at_us, change.cause) == (state.status, state.due_at_us, state.cause)


def test_only_a_running_task_names_run_and_dispatcher_in_the_index() -> None:
    named = {status: task.index_change(history[-1]) for status, history in HISTORIES.items()}
    assert {status for status, change in named.items() if change and change.run} == {Status.RUNNING}
    assert {status for status, change in named.items() if change and change.dispatcher} == {Status.RUNNING}


@pytest.mark.parametrize(
    "event",
    [
        OutputAppended(call=1, stream="stdout", offset=0, size=1, lines=1, digest="d"),
        RunFinished(state="completed", retry="none"),
        LossAccepted(end=1, recorded_position=2, recorded_hash="h"),
    ],
)
def test_events_of_other_streams_do_not_concern_the_index(event: object) -> None:
    assert task.index_change(event) is None


def test_no_state_is_a_dead_end_without_a_cause() -> None:
    for status, history in HISTORIES.items():
        state = told(*history)
        moves = status in task.CLAIMABLE or status is Status.RUNNING
        assert moves or status is Status.COMPLETED or state.cause, status
