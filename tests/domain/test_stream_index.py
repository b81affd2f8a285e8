"""What the index keeps of schedules, workflows, messages, sensors and tasks with a deadline, event by event."""

import msgspec
import pytest

from domain.events import Event, TaskCompleted, TaskQueued
from domain.schedule_events import (
    ScheduleCameDue,
    ScheduleCreated,
    ScheduleDisabled,
    ScheduleEnabled,
    ScheduleEnded,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSkipped,
)
from domain.stream_index import ADAPTER, EXPIRY, OUTBOX, SCHEDULE, SENSOR, WORKFLOW, Change, change
from domain.work_events import (
    AdapterFailedToStart,
    AdapterStarted,
    OutboxDelivered,
    OutboxDropped,
    OutboxFailed,
    OutboxQueued,
    OutboxRefused,
    OutboxRetried,
    SensorParked,
    SensorRan,
    SensorWentStale,
)
from domain.workflow_events import (
    WorkflowCanceled,
    WorkflowCompleted,
    WorkflowCreated,
    WorkflowParked,
    WorkflowSignaled,
    WorkflowTransitioned,
    WorkflowUnparked,
)
from tests.story import text

EVERY = ScheduleCreated(
    name="n", every_us=5, cron="", zone="UTC", task=text("a"), task_source="", catch_up="coalesce", catch_up_max=1,
    overlap="allow", anchor="tick", jitter_us=0, ends_us=0, next_us=70, enabled=True,
)  # fmt: skip
DUE = ScheduleCameDue(tick_us=70, slots=(70,), missed=0, next_us=75)
FLOW = WorkflowCreated(
    instance_key="w", template="t", template_version="1", definition=text("a"), context=text("b"), state="s"
)
QUEUED = OutboxQueued(kind="message", target="hook", message=text("a"), key="k")
RAN = SensorRan(sensor="s", accepted=1, deduplicated=0, next_us=9)
BROKEN = AdapterFailedToStart(adapter="a", run="r", cause="not_executable", failures=1)
TASK = TaskQueued(kind="k", source="s", adapter="", payload=text("a"), priority=5, max_attempts=1)

ROWS: list[tuple[str, Event, Change | None]] = [
    ("a schedule begins", EVERY, Change("enabled", 70, SCHEDULE, "n")),
    ("one that is not enabled waits for nothing", msgspec.structs.replace(EVERY, enabled=False),
     Change("disabled", 0, SCHEDULE, "n")),
    ("enabled", ScheduleEnabled(next_us=80), Change("enabled", 80)),
    ("disabled", ScheduleDisabled(), Change("disabled")),
    ("removed", ScheduleRemoved(), Change("removed")),
    ("ended", ScheduleEnded(), Change("ended")),
    ("came due", DUE, Change("enabled", 75)),
    ("was run by hand", msgspec.structs.replace(DUE, forced=True), None),
    ("fired", ScheduleFired(slot_us=70, missed=0, ordinal=1), None),
    ("skipped", ScheduleSkipped(slot_us=70, reason="overlap", count=1), None),
    ("a workflow begins", FLOW, Change("active", 0, WORKFLOW, "w")),
    ("parked", WorkflowParked(cause="c", state="s"), Change("parked")),
    ("goes on", WorkflowUnparked(state="s"), Change("active")),
    ("completed", WorkflowCompleted(state="s"), Change("completed")),
    ("canceled", WorkflowCanceled(), Change("canceled")),
    ("moved", WorkflowTransitioned(from_state="a", to_state="b", epoch=2, signal="s", iteration=1, revisions=0), None),
    ("signaled", WorkflowSignaled(to="b", signal="s"), None),
    ("a message begins", QUEUED, Change("queued", 1, OUTBOX, "hook")),
    ("one that is held is not due", msgspec.structs.replace(QUEUED, held=True), Change("held", 0, OUTBOX, "hook")),
    ("delivered", OutboxDelivered(attempt=1), Change("delivered")),
    ("failed, and tried again", OutboxFailed(attempt=1, cause="c", next_us=90), Change("queued", 90)),
    ("failed for good", OutboxFailed(attempt=8, cause="c"), Change("failed")),
    ("retried", OutboxRetried(), Change("queued", 1)),
    ("dropped", OutboxDropped(), Change("dropped")),
    ("refused", OutboxRefused(what="message", count=1, reason="r"), None),
    ("a sensor ran", RAN, Change("fresh", 9, SENSOR, "s")),
    ("a sensor failed", msgspec.structs.replace(RAN, cause="exit:1"), Change("failing", 9, SENSOR, "s")),
    ("a sensor is parked", SensorParked(sensor="s", failures=5), Change("parked", 0, SENSOR, "s")),
    ("an adapter did not start", BROKEN, Change("failing", 0, ADAPTER, "a")),
    ("and rests", msgspec.structs.replace(BROKEN, rests_until_us=9), Change("failing", 9, ADAPTER, "a")),
    ("and starts again", AdapterStarted(adapter="a", run="r"), Change("started", 0, ADAPTER, "a")),
    ("a sensor is silent", SensorWentStale(sensor="s", last_us=1, deadline_us=2), None),
    ("a task without a deadline", TASK, None),
    ("a task with one", msgspec.structs.replace(TASK, expires_us=60), Change("waiting", 60, EXPIRY)),
    ("the end of a task", TaskCompleted(run="r"), None),
]  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_an_event_changes_its_row_and_no_other(data: Event, expected: Change | None) -> None:
    assert change(data) == expected
