"""What a workflow instance is at one moment: the fold of its events. `domain.workflow` decides on it."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec

from domain.bounds import TIME_US_MAX, WORKFLOW_EPOCHS_MAX
from domain.events import Recorded
from domain.payload import Payload
from domain.workflow_events import (
    WorkflowCanceled,
    WorkflowCompleteAsked,
    WorkflowCompleted,
    WorkflowCreated,
    WorkflowEvent,
    WorkflowParked,
    WorkflowRetryAsked,
    WorkflowSignaled,
    WorkflowTaskDropped,
    WorkflowTaskEnded,
    WorkflowTaskWanted,
    WorkflowTransitioned,
    WorkflowUnparked,
)
from domain.workflow_template import Caps, StateTemplate, Template, decode

_NO_TEXTS: Mapping[str, bytes] = {}


class Status(StrEnum):
    """The states of an instance; which state of its template it is in is another matter."""

    ACTIVE = "active"
    PARKED = "parked"
    COMPLETED = "completed"
    CANCELED = "canceled"


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """How far the instance may go without a person; counted anew each time that one lets it go on."""

    iterations: int = 0  # the highest number of an iteration
    revisions: int = 0
    epochs: int = WORKFLOW_EPOCHS_MAX
    until_us: int = 0  # 0 = no cap
    cost_nusd: int = 0  # 0 = no cap


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The folded state of an instance."""

    workflow: str
    instance_key: str
    template: str
    template_version: str
    definition: Template | None  # None where it cannot be read: erased, or never one
    context: dict[str, Any]
    state: str
    created_at_us: int
    updated_at_us: int
    entered_at_us: int
    ended_at_us: int = 0
    status: Status = Status.ACTIVE
    cause: str = ""  # why it is parked
    message: str = ""
    held_up: str = ""  # the signal that a cap, or a failed rendering, held up
    epoch: int = 1
    attempt: int = 0  # tasks of this epoch so far
    reasks: int = 0  # of them, because the one before named no signal
    retries: int = 0  # of them, because the one before failed
    iteration: int = 1
    revisions: int = 0
    task: str = ""  # the latest
    task_status: str = ""  # "open", or how it ended
    cost_nusd: int = 0
    allowed: Allowance = Allowance()

    @property
    def over(self) -> bool:
        """Whether nothing can follow."""
        return self.status in (Status.COMPLETED, Status.CANCELED)

    @property
    def open_task(self) -> str:
        """The task that the instance waits for."""
        return self.task if self.task_status == "open" else ""

    @property
    def here(self) -> StateTemplate | None:
        """What the definition says about the current state."""
        return self.definition.states.get(self.state) if self.definition else None

    @property
    def caps(self) -> Caps:
        """What the definition says about caps."""
        return self.definition.caps if self.definition else Caps()


def belongs(state: State, ended: WorkflowTaskEnded) -> bool:
    """Whether this end is news: of the latest task, in the entry of the state that it was made for.

    A parked instance still hears that a person made its failed task succeed; what completed once never counts again.
    """
    mine = (ended.task, ended.state, ended.epoch) == (state.task, state.state, state.epoch)
    revived = state.status is Status.PARKED and ended.status == "completed" and state.task_status != "completed"
    return mine and not state.over and (bool(state.open_task) or revived)


def fold(events: Iterable[Recorded]) -> State | None:
    """The state after these events of one stream; None when there are none."""
    state: State | None = None
    for event in events:
        state = evolve(state, ours(event.data), stream=event.stream, at_us=event.at_us, texts=event.texts)
    return state


def ours(data: Payload) -> WorkflowEvent:
    """An event of a workflow's stream, as such."""
    assert isinstance(data, WorkflowEvent), f"{type(data).__name__} does not belong on a workflow's stream"
    return data


def evolve(
    state: State | None,
    data: WorkflowEvent,
    *,
    stream: str = "",
    at_us: int = 0,
    texts: Mapping[str, bytes] = _NO_TEXTS,
) -> State:
    """Fold one event; refuses nothing: the log is the truth. `stream` matters for the first one only."""
    if isinstance(data, WorkflowCreated):
        return _created(data, stream, at_us, texts)
    assert state is not None, "a workflow's stream begins with workflow.created"
    late = state.over and not isinstance(data, WorkflowTaskDropped)  # which follows a cancel
    if late or (isinstance(data, WorkflowTaskEnded) and not belongs(state, data)):
        return state
    return msgspec.structs.replace(_evolved(state, data, at_us, texts), updated_at_us=at_us)


def _evolved(  # noqa: C901, PLR0911  # one arm an event: splitting it would hide what is missing
    state: State, data: WorkflowEvent, at_us: int, texts: Mapping[str, bytes]
) -> State:
    replace = msgspec.structs.replace
    match data:
        case WorkflowTaskEnded():
            return replace(state, task_status=data.status, cost_nusd=state.cost_nusd + data.cost_nusd)
        case WorkflowSignaled() | WorkflowRetryAsked():
            return replace(state, context=state.context | read_object(texts.get("patch", b"")))
        case WorkflowTransitioned():
            return _entered(state, data, at_us, texts)
        case WorkflowTaskWanted():
            return _wanted(state, data)
        case WorkflowTaskDropped():
            return replace(state, task_status=f"{data.how}ed")
        case WorkflowParked():
            return replace(state, status=Status.PARKED, cause=data.cause, message=data.message, held_up=data.signal)
        case WorkflowUnparked():
            allowed = allowance(state, at_us)
            return replace(state, status=Status.ACTIVE, cause="", message="", held_up="", allowed=allowed)
        case WorkflowCompleted():
            return replace(state, status=Status.COMPLETED, cause="", message="", held_up="", ended_at_us=at_us)
        case WorkflowCanceled():
            return replace(state, status=Status.CANCELED, cause="canceled", message=data.reason, ended_at_us=at_us)
        case WorkflowCreated() | WorkflowCompleteAsked():
            return state


def _created(data: WorkflowCreated, stream: str, at_us: int, texts: Mapping[str, bytes]) -> State:
    context = read_object(texts.get("context", b""))
    begun = State(
        workflow=stream,
        instance_key=data.instance_key,
        template=data.template,
        template_version=data.template_version,
        definition=_definition(texts.get("definition", b"")),
        context=context,
        state=data.state,
        created_at_us=at_us,
        updated_at_us=at_us,
        entered_at_us=at_us,
        iteration=_first_iteration(context),
    )
    return msgspec.structs.replace(begun, allowed=allowance(begun, at_us, first=True))


def _definition(content: bytes) -> Template | None:
    try:
        return decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def read_object(content: bytes) -> dict[str, Any]:
    """A context or a patch; what is no object, or was erased, gives nothing."""
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _first_iteration(context: Mapping[str, object]) -> int:
    given = context.get("execution_iteration")
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 < given <= WORKFLOW_EPOCHS_MAX else 1


def allowance(state: State, at_us: int, *, first: bool = False) -> Allowance:
    """What the caps allow from here on. At creation the current iteration is the first of them."""
    caps = state.caps
    return Allowance(
        iterations=state.iteration + caps.max_iterations - first,
        revisions=state.revisions + caps.max_revisions,
        epochs=state.epoch + WORKFLOW_EPOCHS_MAX,
        until_us=min(at_us + int(caps.wall_s * 1_000_000), TIME_US_MAX) if caps.wall_s else 0,
        cost_nusd=state.cost_nusd + int(caps.cost_usd * 1_000_000_000) if caps.cost_usd else 0,
    )


def _entered(state: State, data: WorkflowTransitioned, at_us: int, texts: Mapping[str, bytes]) -> State:
    return msgspec.structs.replace(
        state,
        state=data.to_state,
        epoch=data.epoch,
        iteration=data.iteration,
        revisions=data.revisions,
        context=state.context | read_object(texts.get("patch", b"")),
        entered_at_us=at_us,
        attempt=0,
        reasks=0,
        retries=0,
        task="",
        task_status="",
    )


def _wanted(state: State, data: WorkflowTaskWanted) -> State:
    anew = data.why in ("entered", "asked")  # a person's retry gives all tries back
    return msgspec.structs.replace(
        state,
        attempt=data.attempt,
        task=data.task,
        task_status="open",
        reasks=0 if anew else state.reasks + (data.why == "signal"),
        retries=0 if anew else state.retries + (data.why == "failed"),
    )


def moment(at_us: int) -> str:
    """A recorded time in UTC, to the millisecond."""
    return (datetime(1970, 1, 1) + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds") + "Z"  # noqa: DTZ001  # UTC throughout
