"""A task: its states, who may move it, and what the claim index keeps of it."""

from enum import StrEnum
from typing import Any, Literal

import msgspec

from domain import errors
from domain.events import (
    OutputAppended,
    Recorded,
    TaskBlocked,
    TaskCanceled,
    TaskClaimed,
    TaskCompleted,
    TaskEdited,
    TaskEvent,
    TaskFailed,
    TaskParked,
    TaskPrioritized,
    TaskQueued,
    TaskResumed,
    TaskRetried,
    TaskRetryScheduled,
    TaskUnblocked,
    Text,
)
from domain.work_events import Origin


class Status(StrEnum):
    """The states of a task."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    RETRYABLE_FAILURE = "retryable_failure"
    PERMANENT_FAILURE = "permanent_failure"
    BLOCKED = "blocked"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    OPERATOR_CANCELED = "operator_canceled"


CLAIMABLE = frozenset({Status.PENDING, Status.RETRYABLE_FAILURE})
OPEN = CLAIMABLE | {Status.RUNNING, Status.BLOCKED, Status.WAITING_FOR_APPROVAL}
RETRYABLE_BY_PERSON = frozenset({Status.BLOCKED, Status.PERMANENT_FAILURE, Status.RETRYABLE_FAILURE})


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """The folded state of a task."""

    task: str
    version: int
    status: Status
    kind: str
    source: str
    subject: str
    adapter: str
    profile: str
    priority: int
    payload: Text
    attempts: int
    max_attempts: int
    refunds: int = 0  # attempts given back in a row
    epoch: int
    created_at_us: int
    updated_at_us: int
    queued_position: int
    ready_position: int = 0  # of what made it claimable: its intake, a retry, an answer
    due_at_us: int = 0
    thread: str = ""
    parent_run: str = ""
    depth: int = 0
    run: str = ""  # the latest
    open_run: str = ""  # the latest, while it has not ended
    cause: str = ""
    origin: Origin | None = None
    expires_us: int = 0
    own_adapter_only: bool = False


class Wish(msgspec.Struct, frozen=True):
    """A person's wish for a task, which its state may refuse."""

    verb: Literal["cancel", "retry", "unblock"]
    note: str = ""


def decide(state: Task, wish: Wish) -> TaskEvent:
    """Turn a wish into the event that fulfils it, or refuse it. A running task is canceled through its run."""
    where = {"task": state.task[:8], "status": state.status.value, "verb": wish.verb}
    limit = max(state.max_attempts, state.attempts + 1)
    if wish.verb != "cancel" and state.open_run and state.status is not Status.RUNNING:
        raise errors.RunWaits(task=state.task[:8], run=state.open_run[:8], cause=state.cause)
    match wish.verb:
        case "cancel":
            if state.status not in OPEN or state.open_run:
                raise errors.TaskStateRefused(**where, needs="a task that is not over")
            return TaskCanceled(reason=wish.note)
        case "retry":
            if state.status not in RETRYABLE_BY_PERSON:
                raise errors.TaskStateRefused(**where, needs="a task that failed or is blocked")
            return TaskRetried(max_attempts=limit, reason=wish.note)
        case "unblock":
            if state.status is not Status.BLOCKED:
                raise errors.TaskStateRefused(**where, needs="a blocked task")
            return TaskUnblocked(max_attempts=limit, note=wish.note)


def prioritize(state: Task, priority: int) -> TaskPrioritized:
    """Move a task in the queue. Raises TaskStateRefused for one that runs or is over."""
    if state.status not in OPEN or state.status is Status.RUNNING:
        where = {"task": state.task[:8], "status": state.status.value, "verb": "prioritize"}
        raise errors.TaskStateRefused(**where, needs="a task that waits")
    return TaskPrioritized(priority=priority)


def claim(state: Task, *, run: str, dispatcher: str) -> TaskClaimed:
    """The next attempt of a claimable task; a run that is open goes on, and no attempt is spent."""
    assert state.status in CLAIMABLE, "the claim index offered a task that is not claimable"
    if state.open_run:
        return TaskClaimed(
            run=state.open_run,
            epoch=state.epoch + 1,
            attempt=state.attempts,
            max_attempts=state.max_attempts,
            dispatcher=dispatcher,
            resumed=True,
        )
    return TaskClaimed(
        run=run,
        epoch=state.epoch + 1,
        attempt=state.attempts + 1,
        max_attempts=state.max_attempts,
        dispatcher=dispatcher,
        refunds=state.refunds,
    )


def fold(events: list[Recorded]) -> Task | None:
    """The state after these events of one task's stream; None when there are none."""
    state: Task | None = None
    for event in events:
        state = evolve(state, event)
    return state


def evolve(state: Task | None, recorded: Recorded) -> Task:
    """Fold one event; refuses nothing: the log is the truth."""
    data = recorded.data
    if isinstance(data, TaskQueued):
        return _queued(recorded, data)
    assert state is not None, "a task's stream begins with task.queued"
    if isinstance(data, TaskPrioritized):
        return msgspec.structs.replace(
            state, version=recorded.version, updated_at_us=recorded.at_us, priority=data.priority
        )
    if isinstance(data, TaskEdited):
        return msgspec.structs.replace(
            state,
            version=recorded.version,
            updated_at_us=recorded.at_us,
            payload=data.payload,
            adapter=data.adapter,
            subject=data.subject,
            profile=data.profile,
        )
    change = index_change(data)
    assert change is not None, f"{type(data).__name__} does not belong on a task's stream"
    state = msgspec.structs.replace(
        state,
        version=recorded.version,
        updated_at_us=recorded.at_us,
        status=change.status,
        due_at_us=change.due_at_us,
        cause=change.cause,
        open_run=state.open_run if isinstance(data, TaskParked | TaskResumed) else "",
        ready_position=recorded.position if change.status in CLAIMABLE else state.ready_position,
    )
    return msgspec.structs.replace(state, **_counted(state, data))


def _counted(state: Task, data: object) -> dict[str, Any]:
    """What an event changes in the attempts, and which run is the latest."""
    match data:
        case TaskClaimed():
            return {"attempts": data.attempt, "epoch": data.epoch, "run": data.run, "open_run": data.run}
        case TaskRetried() | TaskUnblocked():
            return {"max_attempts": data.max_attempts, "refunds": 0}
        case TaskRetryScheduled(refunded=True):
            return {"attempts": state.attempts - 1, "refunds": state.refunds + 1}
        case TaskRetryScheduled():
            return {"refunds": 0}
        case _:
            return {}


def _queued(recorded: Recorded, data: TaskQueued) -> Task:
    return Task(
        task=recorded.stream,
        version=recorded.version,
        status=Status.PENDING,
        kind=data.kind,
        source=data.source,
        subject=data.subject,
        adapter=data.adapter,
        profile=data.profile,
        priority=data.priority,
        payload=data.payload,
        attempts=0,
        max_attempts=data.max_attempts,
        epoch=0,
        created_at_us=recorded.at_us,
        updated_at_us=recorded.at_us,
        queued_position=recorded.position,
        ready_position=recorded.position,
        due_at_us=data.due_at_us,
        thread=data.thread,
        parent_run=data.parent_run,
        depth=data.depth,
        origin=data.origin,
        expires_us=data.expires_us,
        own_adapter_only=data.own_adapter_only,
    )


class IndexChange(msgspec.Struct, frozen=True):
    """What an event changes in the claim index: the whole mutable part of a task's row."""

    status: Status
    due_at_us: int = 0
    run: str = ""
    dispatcher: str = ""
    cause: str = ""


def index_change(data: object) -> IndexChange | None:  # noqa: PLR0911  # one return an event
    """The row of the claim index after this event; None for events that do not concern it."""
    match data:
        case OutputAppended():  # by far the most frequent
            return None
        case TaskQueued():
            return IndexChange(Status.PENDING, data.due_at_us)
        case TaskClaimed():
            return IndexChange(Status.RUNNING, 0, data.run, data.dispatcher)
        case TaskRetryScheduled():
            return IndexChange(Status.RETRYABLE_FAILURE, data.due_at_us, cause=data.cause)
        case TaskRetried() | TaskUnblocked():
            return IndexChange(Status.PENDING)
        case TaskResumed():
            return IndexChange(Status.PENDING, run=data.run)
        case TaskParked():
            return IndexChange(Status(data.status), data.due_at_us, data.run, cause=data.cause)
        case _:
            return _ended(data)


def _ended(data: object) -> IndexChange | None:
    match data:
        case TaskCompleted():
            return IndexChange(Status.COMPLETED)
        case TaskFailed():
            return IndexChange(Status.PERMANENT_FAILURE, cause=data.cause)
        case TaskBlocked():
            return IndexChange(Status.BLOCKED, cause=data.cause)
        case TaskCanceled():
            return IndexChange(Status.OPERATOR_CANCELED, cause="operator_canceled")
        case _:
            return None
