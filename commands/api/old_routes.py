"""The addresses of an older runtime (agent-runtime), with its JSON, so that its clients go on working with a token."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from commands import schedules, tasks, workflows
from commands.api import feeding_routes, file_routes, looking_routes, run_routes, work_routes
from commands.api.file_routes import PathQuery
from commands.api.house_routes import paused
from commands.api.old_words import item, state_text
from commands.api.route import Answer, Asked, Row, located
from commands.api.work_routes import Position, Reason, TaskStatus, Word, keyed
from commands.taking_in import check, take_in_grouped
from commands.workflow_doors import all_of
from domain import bounds, errors
from domain.intake import refuse_argv

_TASKS = """SELECT t.*, r.adapter AS selected_adapter, r.claimed_at AS started_at, r.finished_at,
  (SELECT sum(cost_usd) FROM costs c WHERE c.task = t.task) AS cost_usd
FROM tasks t LEFT JOIN runs r ON r.run = t.run WHERE ? IN ('', t.status)
ORDER BY t.updated_at DESC, t.position DESC LIMIT ?"""
_SENSED = "SELECT * FROM sensor_events ORDER BY position DESC LIMIT ?"


class OldTasksQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tasks, those that changed last first."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 20
    status: TaskStatus = ""


class OldEventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Events behind `since`, or the newest."""

    since: Position = 0
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class OldLimitQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many at most."""

    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class OldPauseBody(msgspec.Struct, frozen=True):
    """Whether claiming rests, and why."""

    paused: bool
    reason: Reason | None = None


class OldQueueBody(msgspec.Struct, frozen=True):
    """What an operator wants done, in words."""

    message: Annotated[str, Meta(min_length=1, max_length=bounds.DESCRIPTION_CHARS_MAX)]
    subject: Annotated[str, Meta(max_length=bounds.SUBJECT_CHARS_MAX)] | None = None
    description: Annotated[str, Meta(max_length=bounds.DESCRIPTION_CHARS_MAX)] | None = None
    priority: Annotated[int, Meta(ge=bounds.PRIORITY_MIN, le=bounds.PRIORITY_MAX)] | None = None
    parent_id: Word | None = None
    skill_refs: Annotated[tuple[Word, ...], Meta(max_length=bounds.SKILLS_SHOWN_MAX)] | None = None
    kind: Word | None = None
    requested_profile: Word | None = None
    requested_adapter: Word | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=bounds.ATTEMPTS_MAX)] | None = None


class OldCancelBody(msgspec.Struct, frozen=True):
    """Why."""

    reason: Reason | None = None


class OldTickBody(msgspec.Struct, frozen=True):
    """As of which time."""

    at: Annotated[str, Meta(max_length=64)] | None = None


class OldSnapshotQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a snapshot."""

    path: Word


class OldReportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The names of two snapshots, or positions or times."""

    before: Word
    after: Word


async def heartbeat(asked: Asked) -> Answer:
    """A bare ok, without a token."""
    _ = asked
    return Answer({"ok": True, "latency_ms": 0})


async def show_state(asked: Asked) -> Answer:
    """The state of the runtime, from memory."""
    text, position = await state_text(asked)
    return Answer(None, position, content=text)


async def show_pause(asked: Asked) -> Answer:
    """Whether claiming rests."""
    text, position = await asked.house.live.screen("paused", paused)
    return Answer(None, position, content=text)


def pause(asked: Asked) -> Answer:
    """Stop claiming, or claim again."""
    from commands import render

    runtime = asked.runtime
    reason = tasks.reason_of(runtime, asked.body.reason or "", "body.reason")
    _, position = tasks.paused(runtime, reason, "claiming") if asked.body.paused else tasks.resumed(runtime)
    made = {"ok": True, "paused": asked.body.paused, "reason": reason, "position": position}
    return Answer(made | {"updated_at": render.moment_us(runtime.clock.now_us())}, position)


def list_tasks(asked: Asked) -> Answer:
    """Tasks, those that changed last first."""
    from projections.status import rows

    query = asked.query
    found, head = asked.runtime.projection().ask(
        lambda database, at: (rows(database, _TASKS, query.status, query.limit), at)
    )
    return Answer({"tasks": [_task(asked, row) for row in found]}, head)


def _task(asked: Asked, row: dict[str, Any]) -> dict[str, Any]:
    runtime = asked.runtime
    stored = tasks.payload(runtime, row["task"])
    reported = run_routes.outcome(runtime.readable, row["run"], row["task"]) if row["run"] else None
    outcome: dict[str, Any] = reported if isinstance(reported, dict) else {}
    is_over = row["status"] in ("completed", "permanent_failure", "blocked", "operator_canceled")
    return {
        "task_id": row["task"],
        "kind": row["kind"],
        "source": row["source"],
        "subject": row["subject"],
        "description": stored.get("description", ""),
        "priority": row["priority"],
        "payload": stored.get("payload"),
        "status": row["status"],
        "requested_profile": row["profile"] or None,
        "requested_adapter": row["adapter"] or None,
        "selected_adapter": row["selected_adapter"] or None,
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "started_at": row["started_at"],
        "finished_at": row["finished_at"] if is_over else None,
        "attempt_count": row["attempts"],
        "max_attempts": row["max_attempts"],
        "available_at": row["due_at"],
        "last_error": row["cause"] or None,
        "cause": row["cause"] or None,
        "artifact_paths": outcome.get("artifact_paths", []),
        "operator_summary": outcome.get("operator_summary", ""),
        "machine_status": outcome.get("machine_status") or ("canceled" if "canceled" in row["status"] else None),
        "cost_usd": row["cost_usd"],
    }


async def queue(asked: Asked) -> Answer:
    """Take in what an operator wants done; who carries it out is for the profile and the configuration."""
    body: OldQueueBody = asked.body
    skills = dict.fromkeys([*(body.skill_refs or ()), *_skills(body.message)])
    payload: dict[str, Any] = {"message": body.message, "objective": body.message}
    payload |= {"skill_refs": list(skills)} if skills else {}
    payload |= {"kind_override": body.kind} if body.kind else {}
    payload |= {"parent_id": body.parent_id} if body.parent_id else {}
    document = {
        "kind": "operator",
        "source": "operator-ui",
        "subject": body.subject or "".join(each if each.isprintable() else " " for each in body.message)[:120],
        "payload": payload,
    }
    for name in ("description", "priority", "requested_profile", "requested_adapter", "max_attempts"):
        if (value := getattr(body, name)) is not None:
            document[name] = value
    refuse_argv(document, "http", asked.runtime.config)
    accepted = check(asked.runtime, keyed(document, asked.key))
    taken = await take_in_grouped(asked.runtime, asked.house.writer, accepted)
    made = {"ok": True, "task_id": taken.task, "kind": "operator", "source": "operator-ui", "position": taken.position}
    return Answer(made, taken.position, 200 if taken.deduplicated else 201, located("tasks", taken.task))


def _skills(message: str) -> list[str]:
    """Every /word of a message."""
    words = [word[1:].rstrip(".,;:!?") for word in message.split() if word.startswith("/")]
    found = [word for word in words if word and word.replace("-", "").replace("_", "").isalnum()]
    return found[: bounds.SKILLS_SHOWN_MAX]


def cancel(asked: Asked) -> Answer:
    """End a task in whatever state it is."""
    answer = work_routes.cancel(msgspec.structs.replace(asked, body=work_routes.ReasonBody(asked.body.reason or "")))
    found = answer.document
    made = {"ok": True, "task_id": found["task"], "status": found["status"], "position": found["position"]}
    return Answer(made, answer.position)


def events(asked: Asked) -> Answer:
    """Events behind `since`, or the newest, in the order of the log."""
    log, query = asked.runtime.readable, asked.query
    head = log.head().position
    after = query.since or max(0, head - query.limit)
    return Answer({"events": [item(event) for event in log.read(after, query.limit, head)]}, head)


def list_workflows(asked: Asked) -> Answer:
    """Workflows with their contexts, the oldest first."""
    log = asked.runtime.readable
    head = log.head().position
    return Answer({"workflows": [workflows.shown(each) for each in all_of(log)][:1_000]}, head)


def list_schedules(asked: Asked) -> Answer:
    """All schedules, enabled ones first, then by their next slot."""
    head = asked.runtime.readable.head().position
    return Answer({"schedules": [schedules.shown(each) for each in schedules.listed(asked.runtime)]}, head)


def tick(asked: Asked) -> Answer:
    """Evaluate the schedules now, or as of another time."""
    done = schedules.evaluated(asked.runtime, asked.body.at or "", "", "body.at")
    return Answer(schedules.ticked(done), done.position)


def sensor_events(asked: Asked) -> Answer:
    """What sensors told, the newest first."""
    from projections.status import rows

    found, head = asked.runtime.projection().ask(lambda database, at: (rows(database, _SENSED, asked.query.limit), at))
    return Answer({"events": [_sensed(row) for row in found]}, head)


def _sensed(row: dict[str, Any]) -> dict[str, Any]:
    named = {"sensor_id": row["sensor"], "event_id": row["event"], "dedupe_key": row["key"]}
    made = {"task_id": row["task"] or None, "workflow_id": row["workflow"] or None, "created_at": row["recorded_at"]}
    return named | {"source_ref": row["source_ref"], "observed_at": row["observed_at"]} | made


def list_snapshots(asked: Asked) -> Answer:
    """Snapshots, the newest first."""
    answer = looking_routes.list_snapshots(asked)
    return Answer({"snapshots": answer.document["items"]}, answer.position)


def show_snapshot(asked: Asked) -> Answer:
    """One snapshot; its path is its name."""
    name = asked.query.path.removeprefix("snapshots/")
    return looking_routes.show_snapshot(msgspec.structs.replace(asked, path={"name": name}))


def latest_report(asked: Asked) -> Answer:
    """What the two newest snapshots say differently."""
    from commands import snapshots

    found = [each["name"] for each in snapshots.listed(asked.runtime, 10) if "error" not in each][:2]
    if len(found) < 2:  # noqa: PLR2004  # two make a difference
        return Answer({"report": None}, asked.runtime.readable.head().position)
    query = looking_routes.CompareQuery(before=found[1], after=found[0])
    answer = looking_routes.compare(msgspec.structs.replace(asked, query=query))
    return Answer({"report": answer.document}, answer.position)


def _many(method: Literal["GET", "POST"], paths: tuple[str, ...], *rest: Any, **more: Any) -> list[Row]:  # noqa: ANN401  # of a Row
    return [Row(method, path, *rest, **more) for path in paths]


_NO_TASK = (errors.IdNotFound, errors.IdAmbiguous, errors.TaskStateRefused)
_BIG = bounds.HTTP_INTAKE_BYTES_MAX
ROWS = (
    Row("GET", "/api/state", "read", show_state),
    Row("GET", "/api/heartbeat", "open", heartbeat),
    Row("GET", "/api/pause", "read", show_pause),
    Row("POST", "/api/pause", "operate", pause, body=OldPauseBody),
    Row("GET", "/api/tasks", "read", list_tasks, OldTasksQuery),
    Row("POST", "/api/tasks/queue", "operate", queue, body=OldQueueBody, body_bytes_max=_BIG),
    Row("GET", "/api/tasks/{task}", "read", work_routes.show_task, problems=_NO_TASK[:2]),
    Row("POST", "/api/tasks/{task}/cancel", "operate", cancel, body=OldCancelBody, problems=_NO_TASK),
    Row("GET", "/api/runs/{run}", "read", run_routes.show_run, problems=_NO_TASK[:2]),
    Row("GET", "/api/events", "read", events, OldEventsQuery),
    Row("GET", "/api/workflows", "read", list_workflows),
    Row("GET", "/api/schedules", "read", list_schedules),
    Row("POST", "/api/schedules", "operate", feeding_routes.put_schedule, body=feeding_routes.OldSchedule,
        body_bytes_max=_BIG),
    Row("POST", "/api/schedules/tick", "operate", tick, body=OldTickBody),
    Row("GET", "/api/sensors/events", "read", sensor_events, OldLimitQuery),
    Row("POST", "/api/sensors/events", "operate", feeding_routes.ingest, body=feeding_routes.OldSensed,
        body_bytes_max=_BIG),
    *_many("GET", ("/api/artifacts", "/artifacts"), "read", file_routes.listed, PathQuery,
           problems=(errors.ArtifactNotFound,)),
    Row("GET", "/api/artifact", "read", file_routes.shown, PathQuery, problems=(errors.ArtifactNotFound,)),
    *_many("GET", ("/api/snapshots", "/snapshots"), "read", list_snapshots),
    Row("GET", "/api/snapshot", "read", show_snapshot, OldSnapshotQuery, problems=(errors.SnapshotNotFound,)),
    Row("GET", "/api/report", "read", looking_routes.compare, OldReportQuery, heavy=True,
        problems=(errors.PositionUnknown, errors.SnapshotNotFound)),
    Row("GET", "/api/report/latest", "read", latest_report, heavy=True),
)  # fmt: skip
