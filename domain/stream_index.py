"""What the index keeps of streams that are neither tasks nor runs: their names, their states, what is due when.

Kept in the transaction of the events, and rebuildable from them.
"""

import msgspec

from domain.events import Event, TaskQueued
from domain.schedule_events import (
    ScheduleCameDue,
    ScheduleCreated,
    ScheduleDisabled,
    ScheduleEnabled,
    ScheduleEnded,
    ScheduleRemoved,
)
from domain.work_events import (
    AdapterFailedToStart,
    AdapterStarted,
    OutboxDelivered,
    OutboxDropped,
    OutboxFailed,
    OutboxQueued,
    OutboxRetried,
    SensorParked,
    SensorRan,
)
from domain.workflow_events import (
    WorkflowCanceled,
    WorkflowCompleted,
    WorkflowCreated,
    WorkflowParked,
    WorkflowUnparked,
)

SCHEDULE, WORKFLOW, OUTBOX, SENSOR, EXPIRY = "schedule", "workflow", "outbox", "sensor", "expiry"
ADAPTER = "adapter"


class Change(msgspec.Struct, frozen=True):
    """A row of the index after an event. `due_us` 0: nothing is due. `kind` and `name`: where a stream begins."""

    status: str
    due_us: int = 0
    kind: str = ""
    name: str = ""


class Noun(msgspec.Struct, frozen=True):
    """A row of the index."""

    stream: str
    name: str
    status: str
    due_us: int


def change(data: Event) -> Change | None:
    """What an event changes; None for events that do not concern the index."""
    kind = type(data)
    if kind is TaskQueued:
        assert isinstance(data, TaskQueued)
        return Change("waiting", data.expires_us, EXPIRY) if data.expires_us else None
    if kind not in _CONCERNED:
        return None
    return _changed(data)


def _changed(data: Event) -> Change | None:  # noqa: C901, PLR0911, PLR0912  # one arm an event
    match data:
        case ScheduleCreated():
            status = "enabled" if data.enabled else "disabled"
            return Change(status, data.next_us if data.enabled else 0, SCHEDULE, data.name)
        case ScheduleEnabled():
            return Change("enabled", data.next_us)
        case ScheduleDisabled():
            return Change("disabled")
        case ScheduleRemoved():
            return Change("removed")
        case ScheduleEnded():
            return Change("ended")
        case ScheduleCameDue():
            return Change("enabled", data.next_us) if not data.forced else None
        case WorkflowCreated():
            return Change("active", 0, WORKFLOW, data.instance_key)
        case WorkflowParked():
            return Change("parked")
        case WorkflowUnparked():
            return Change("active")
        case WorkflowCompleted():
            return Change("completed")
        case WorkflowCanceled():
            return Change("canceled")
        case OutboxQueued():
            return Change("held" if data.held else "queued", 0 if data.held else 1, OUTBOX, data.target)
        case OutboxDelivered():
            return Change("delivered")
        case OutboxFailed():
            return Change("queued" if data.next_us else "failed", data.next_us)
        case OutboxRetried():
            return Change("queued", 1)
        case OutboxDropped():
            return Change("dropped")
        case SensorRan():
            return Change("failing" if data.cause else "fresh", data.next_us, SENSOR, data.sensor)
        case AdapterFailedToStart():
            return Change("failing", data.rests_until_us, ADAPTER, data.adapter)
        case AdapterStarted():
            return Change("started", 0, ADAPTER, data.adapter)
        case SensorParked():
            return Change("parked", 0, SENSOR, data.sensor)
        case _:
            return None


_CONCERNED = frozenset((
    ScheduleCreated, ScheduleEnabled, ScheduleDisabled, ScheduleRemoved, ScheduleEnded, ScheduleCameDue,
    WorkflowCreated, WorkflowParked, WorkflowUnparked, WorkflowCompleted, WorkflowCanceled,
    OutboxQueued, OutboxDelivered, OutboxFailed, OutboxRetried, OutboxDropped, SensorRan, SensorParked,
    AdapterFailedToStart, AdapterStarted,
))  # fmt: skip
