"""What an older runtime (agent-runtime) called things: its names of events, its state, its items of tasks."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from commands import render
from commands.api.house_routes import paused
from commands.api.route import Asked
from domain.bounds import OLD_STREAM_DETAIL_CHARS_MAX
from domain.events import Recorded, RunStarted, TaskRetryScheduled, topic
from domain.payload import AdapterChoice
from domain.workflow_events import WorkflowCompleted, WorkflowParked

if TYPE_CHECKING:
    from projections.board import Board


# ours, without version -> theirs; what has no name there is told with underscores
NAMES: Final = {
    "task.queued": "task_enqueued",
    "task.claimed": "task_claimed",
    "task.completed": "task_finished",
    "task.failed": "task_finished",
    "task.blocked": "task_finished",
    "task.retry_scheduled": "task_retry_scheduled",
    "task.canceled": "task_operator_canceled",
    "run.started": "bundle_compiled",
    "run.finished": "task_attempt_finished",
    "run.owner_lost": "boot_sweep_reclaimed",
    "dispatcher.paused": "dispatch_pause_enabled",
    "dispatcher.resumed": "dispatch_pause_cleared",
    "schedule.created": "schedule_upserted",
    "schedule.fired": "schedule_task_created",
    "sensor.accepted": "sensor_event_recorded",
    "sensor.deduplicated": "sensor_event_deduped",
    "workflow.transitioned": "workflow_transitioned",
    "workflow.completed": "workflow_completed",
    "workflow.task_wanted": "workflow_task_created",
    "workflow.unparked": "workflow_state_requeued_after_failure",
}


_PARKED: Final = {
    "task_canceled": "workflow_state_operator_canceled",
    "task_failed": "workflow_state_retry_limit_reached",
    "task_blocked": "workflow_state_retry_limit_reached",
}  # by cause


def name(event: Recorded) -> str:
    """Their name of an event."""
    ours = topic(type(event.data)).rpartition(".v")[0]
    match event.data:
        case TaskRetryScheduled(refunded=True):
            return "rate_limit_rescheduled"
        case RunStarted(choice=AdapterChoice() as choice) if choice.selected != choice.wanted:
            return "adapter_fallback_used"
        case WorkflowCompleted() if event.actor.startswith("system:"):
            return "workflow_completed_from_task"
        case WorkflowParked() as parked:
            return _PARKED.get(parked.cause, "workflow_parked")
        case _:
            return NAMES.get(ours, ours.replace(".", "_"))


def item(event: Recorded) -> dict[str, Any]:
    """An event as they listed it."""
    data = msgspec.to_builtins(event.data)
    ours = topic(type(event.data))
    is_of_run = ours.startswith(("run.", "output."))
    made = data.get("task")
    task = event.correlation if is_of_run or ours.startswith("task.") else made if isinstance(made, str) else ""
    run = data.get("run") or (event.stream.partition(".")[0] if is_of_run else "")
    detail = ", ".join(
        f"{key}={value}" for key, value in data.items() if isinstance(value, str | int) and key not in ("type", "run")
    )
    return {
        "id": event.position,
        "event_type": name(event),
        "task_id": task or None,
        "attempt_id": run or None,
        "detail": render.line(detail)[:OLD_STREAM_DETAIL_CHARS_MAX],
        "created_at": render.moment_us(event.at_us),
    }


def state(board: "Board", runtime_name: str) -> dict[str, Any]:
    """Their `/api/state`."""
    counts = board.counts
    is_running = bool(counts["running"])
    queued = counts["pending"] + counts["retryable_failure"]
    return {
        "runtime_name": runtime_name,
        "runtime_state": "paused" if board.paused else "running" if is_running else "idle",
        "counts": {
            "queued": queued,
            "running": counts["running"],
            "completed": counts["completed"],
            "blocked": counts["blocked"],
            "waiting_for_approval": counts["waiting_for_approval"],
            "retryable_failure": counts["retryable_failure"],
            "permanent_failure": counts["permanent_failure"],
            "operator_canceled": counts["operator_canceled"],
        },
        "dispatch_paused": paused(board),
        "last_event": item(board.last) if board.last is not None else None,
        "position": board.position,
    }


async def state_text(asked: Asked) -> tuple[bytes, int]:
    """Their state as JSON, and its position."""
    runtime_name = asked.runtime.config.runtime_name
    return await asked.house.live.screen("state", lambda board: state(board, runtime_name))


async def dashboard(asked: Asked) -> tuple[bytes, int]:
    """What their stream says first."""
    text, position = await state_text(asked)
    policy = asked.runtime.config.runtime_policy
    return msgspec.json.encode({"state": msgspec.Raw(text), "runtime_policy": policy}), position


async def progress(asked: Asked, events: Sequence[Recorded]) -> dict[str, Any]:
    """What their stream says of new events."""
    text, _ = await state_text(asked)
    now = msgspec.json.decode(text)
    return {
        "events": [item(event) for event in events],
        "status": {
            "runtime_state": now["runtime_state"],
            "counts": now["counts"],
            "last_event": now["last_event"],
            "recent": [item(event) for event in events[-5:]],
        },
        "state": now,
    }
