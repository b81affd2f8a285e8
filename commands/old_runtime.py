"""The command that imports the database of agent-runtime: its rows become events of ours, with their old times.

Attempts and events are kept as text with their task: made into runs they would be runs that nobody can replay.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import typer

from adapters.old_database import OldDatabase, Record, history, text, time_us, whole
from commands import noted, options, render
from commands.invocation import invocation
from commands.making import Making, accepted_from
from commands.scheduling import Scheduler
from commands.taking_in import announce
from commands.wiring import Runtime
from commands.workflow_doors import Wanted, Workflows
from commands.workflow_moves import feed
from domain import bounds, errors, intake, workflow
from domain.events import Put, TaskBlocked, TaskCanceled, TaskCompleted, TaskFailed, TaskQueued, TaskRetryScheduled
from domain.ids import keyed_task, schedule_stream, sensed_stream, sensor_event_stream, text_of, workflow_stream
from domain.payload import Payload
from domain.ports import LogView
from domain.work_events import SensorAccepted, SensorNamed
from domain.workflow import Made
from domain.workflow_events import WorkflowTaskEnded, WorkflowTaskWanted

app = typer.Typer(no_args_is_help=True)

ACTOR: Final = "import:agent-runtime"
GROUP: Final = 200  # rows that share a transaction, at most

_OPEN = ("pending", "running", "retryable_failure")
_PARKED = ("blocked", "permanent_failure", "operator_canceled")
_OF_WORKFLOW = re.compile(r"workflow:(.+):([^:]+)")  # the source of a workflow's task


@app.command("agent-runtime", help="Import the SQLite database of agent-runtime as history; again changes nothing.")
def agent_runtime(
    database: Annotated[Path, typer.Argument(metavar="DB", help="Its database file; it is only read.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    as_json: options.Json = False,
) -> None:
    """Import the database of agent-runtime."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    old = OldDatabase(database.expanduser())
    try:
        importing = Importing(runtime, old, _appending(runtime, dry_run=dry_run))
        found = importing.run()
        position = 0 if dry_run else runtime.log.head().position
    finally:
        old.close()
        runtime.close()
    answer = {"source": str(database), "dry_run": dry_run, **found, "position": position}
    if as_json:
        render.document("rt.import_agent_runtime.v1", answer)
        return
    for kind, counts in found["counts"].items():
        told = ", ".join(f"{count} {what}" for what, count in counts.items() if count or what == "found")
        render.out(f"{kind:<14} {told}")
    for line in noted.lines(found["notes"]):
        render.note(line)
    if found["notes_left_out"]:
        render.note(f"and {found['notes_left_out']} more")


class _Nobody:
    """Follows nothing: what ended long ago moves no workflow, and nobody is told of it."""

    def wants(self, put: Put) -> bool:
        """See domain.ports.Follower."""
        _ = put
        return False

    def follow(self, view: LogView, put: Put) -> Put | None:
        """See domain.ports.Follower."""
        _ = view, put
        return None


Row = Callable[[LogView], Put | None]  # the work of one row: nothing where it is there already
Append = Callable[[Sequence[Row]], list[Any]]


def _appending(runtime: Runtime, *, dry_run: bool) -> Append:
    """How rows get into the log; in a dry run they only get to see it."""
    if not dry_run:
        announce(runtime)
        runtime.log.followed_by(_Nobody())
        return runtime.log.append
    from adapters.log_memory import MemoryLog

    view: LogView = runtime.readable if (runtime.home.state / "log.db").exists() else MemoryLog()

    def look(rows: Sequence[Row]) -> list[Any]:
        results: list[Any] = []
        for row in rows:
            try:
                results.append(row(view))
            except errors.RtError as problem:
                results.append(problem)
        return results

    return look


class _Given(NamedTuple):
    """One row to be imported: what it is called, its work, the bytes that it brings."""

    name: str
    work: Row
    size: int = 0
    attempts: int = 0
    events: int = 0


class Importing:
    """One import."""

    def __init__(self, runtime: Runtime, old: OldDatabase, append: Append) -> None:
        self._config, self._secrets = runtime.config, runtime.secrets
        self._now_us = runtime.clock.now_us()
        self._scheduler = Scheduler(runtime.config)
        self._workflows = Workflows(runtime.config, runtime.home.folder)
        self._old, self._append = old, append
        self._latest: dict[tuple[str, str], str] = {}  # workflow, state -> the status of its newest task
        self._going: dict[str, str] = {}  # old workflow -> ours
        self._counts: dict[str, dict[str, int]] = {}
        self._notes: list[dict[str, str]] = []

    def run(self) -> dict[str, Any]:
        """Import all of it: what came of each kind of row, and why some were left out."""
        for record in self._old.rows("tasks"):
            if found := _OF_WORKFLOW.fullmatch(str(record.get("source", ""))):
                self._latest[found[1], found[2]] = str(record.get("status", ""))
        for kind in ("attempts", "events"):
            self._counts[kind] = {"found": self._old.count(kind), "imported": 0}
        self._import("workflows", (self._workflow(each) for each in self._old.rows("workflows")))
        self._import("tasks", self._tasks())
        self._import("schedules", (self._schedule(each) for each in self._old.rows("schedules")))
        self._import("sensor_events", (self._sensed(each) for each in self._old.rows("sensor_events")))
        told = self._notes[: bounds.IMPORT_NOTES_MAX]
        return {"counts": self._counts, "notes": told, "notes_left_out": len(self._notes) - len(told)}

    # rows into the log

    def _import(self, kind: str, rows: Iterator[_Given]) -> None:
        self._counts[kind] = {"found": 0, "imported": 0, "known": 0, "skipped": 0}
        group: list[_Given] = []
        for row in rows:
            group.append(row)
            if len(group) == GROUP or sum(each.size for each in group) > bounds.IMPORT_GROUP_BYTES_MAX:
                self._put(kind, group)
                group = []
        self._put(kind, group)

    def _put(self, kind: str, group: list[_Given]) -> None:
        counts = self._counts[kind]
        for row, result in zip(group, self._append([each.work for each in group]), strict=True):
            counts["found"] += 1
            if isinstance(result, errors.RtError):
                counts["skipped"] += 1
                self._note(kind, row.name, str(result))
            elif isinstance(result, Exception):
                raise result
            elif not result:
                counts["known"] += 1
            else:
                counts["imported"] += 1
                self._counts["attempts"]["imported"] += row.attempts
                self._counts["events"]["imported"] += row.events

    def _note(self, kind: str, name: str, why: str) -> None:
        self._notes.append({"kind": kind, "id": name[:100], "why": why[:500]})

    def _refuse_secret(self, said: str, where: str) -> None:
        if self._secrets.text(said) != said:
            raise errors.Invalid(where=where, why="contains the value of a registered secret")

    # workflows

    def _workflow(self, record: Record) -> _Given:
        key, state = text(record, "instance_key"), text(record, "current_state", "state")
        old, stream = text(record, "id", "workflow_id"), workflow_stream(key)
        completed = bool(record.get("completed_at"))
        parked = self._latest.get((old, state), "") in _PARKED
        at_us = self._at(record, "created_at")

        def work(view: LogView) -> Put | None:
            if view.version(stream):
                return None
            self._refuse_secret(f"{key}\n{record.get('context')}", "workflow.context")
            making = Making(view, at_us=at_us, actor=ACTOR)
            wanted = Wanted(text(record, "template"), key, record.get("context") or {}, state or None)
            made, _ = self._workflows.begin(making, wanted)
            if completed and not made.over:
                feed(making, made, stream, workflow.complete(made, open_task="cancel"), self._config)
                _cancel_wanted(making, "its workflow was completed in agent-runtime")
            elif parked and made.open_task:
                _cancel_wanted(making, "the task of this state had failed or was canceled in agent-runtime")
                feed(making, made, stream, _given_up(made), self._config)
            return making.put()

        if not completed:
            self._going[old] = stream
        return _Given(key, work)

    # tasks

    def _tasks(self) -> Iterator[_Given]:
        rows = self._old.rows("tasks")
        while page := list(islice(rows, GROUP)):
            yield from self._of_page(page)

    def _of_page(self, page: list[Record]) -> Iterator[_Given]:
        names = [text(record, "task_id", "id") for record in page]
        attempts, happened = self._old.of_tasks("attempts", names), self._old.of_tasks("events", names)
        for name, record in zip(names, page, strict=True):
            yield self._task(name, record, attempts[name], happened[name])

    def _task(self, name: str, record: Record, attempts: list[Record], happened: list[Record]) -> _Given:
        task = _task_id(name)
        stored = {"description": text(record, "description"), "payload": _object(record.get("payload"))}
        past = history(record, attempts, happened)
        content = self._secrets.text(msgspec.json.encode(stored | {"imported": past}, order="sorted").decode())
        queued = self._queued(record, content.encode())
        ended = self._ended(record, queued, stored, name)
        created_us = self._at(record, "created_at")
        ended_us = max(created_us, self._at(record, "finished_at", "updated_at", "created_at"))

        def work(view: LogView) -> Put | None:
            if view.version(task):
                return None
            if len(content.encode()) > bounds.BLOB_BYTES_MAX:
                raise errors.Invalid(where="task.payload", why=f"more than {bounds.BLOB_BYTES_MAX} bytes with its past")
            making = Making(view, at_us=created_us, actor=ACTOR)
            making.add(task, queued, correlation=task, texts={"payload": content.encode()})
            making.at_us = ended_us
            if ended is not None:
                making.add(task, ended, correlation=task)
            return making.put()

        return _Given(name, work, len(content), len(attempts), len(happened))

    def _queued(self, record: Record, content: bytes) -> TaskQueued:
        limit = whole(record.get("max_attempts"), self._config.retry.attempts)
        spent = whole(record.get("attempt_count"), 0) if record.get("status") in _OPEN else 0
        due_us = self._at(record, "available_at") if record.get("available_at") else 0
        priority = whole(record.get("priority"), 5)
        return TaskQueued(
            kind=self._word(record, "kind", bounds.KIND_CHARS_MAX) or "unknown",
            source=self._word(record, "source", bounds.KIND_CHARS_MAX) or "agent-runtime",
            adapter=self._word(record, "requested_adapter", bounds.KIND_CHARS_MAX),
            profile=self._word(record, "requested_profile", bounds.KIND_CHARS_MAX),
            subject=self._word(record, "subject", bounds.SUBJECT_CHARS_MAX),
            payload=text_of(content),
            priority=min(max(priority, bounds.PRIORITY_MIN), bounds.PRIORITY_MAX),
            max_attempts=min(max(limit - spent, 1), bounds.ATTEMPTS_MAX),  # of those that it has left
            due_at_us=due_us if due_us > self._now_us else 0,
        )

    def _ended(self, record: Record, queued: TaskQueued, stored: dict[str, Any], name: str) -> Payload | None:
        """The event that brings the task into its state; None for one that is pending."""
        if record.get("status") in _OPEN:
            return self._goes_on(record, queued, stored, name)
        match record.get("status"):
            case "completed":
                return TaskCompleted(run="")
            case "permanent_failure":
                return TaskFailed(run="", cause="imported")
            case "operator_canceled":
                return TaskCanceled(reason=self._summary(record))
            case _:
                return TaskBlocked(cause="imported")

    def _goes_on(self, record: Record, queued: TaskQueued, stored: dict[str, Any], name: str) -> Payload | None:
        """What becomes of an open task: it waits its turn, or for a person where it could not be taken in here."""
        mine = _OF_WORKFLOW.fullmatch(queued.source)
        if mine and mine[1] in self._going:
            return TaskCanceled(reason="its workflow goes on with a task of its own")
        limit, spent = whole(record.get("max_attempts"), 0), whole(record.get("attempt_count"), 0)
        if record["status"] != "pending" and 0 < limit <= spent:
            return TaskBlocked(cause="attempts_exhausted")
        try:
            accepted_from(stored | _asked(queued), "import", self._config, self._now_us)
        except errors.RtError as problem:
            self._note("tasks", name, f"is blocked: {problem}")
            return TaskBlocked(cause="import_refused")
        if record["status"] == "pending":
            return None
        cause = "imported_running" if record["status"] == "running" else "imported"
        return TaskRetryScheduled(run="", cause=cause, backoff_us=0, due_at_us=queued.due_at_us)

    def _summary(self, record: Record) -> str:
        found = _object(record.get("outcome")).get("operator_summary") or record.get("last_error") or ""
        return self._secrets.text(str(found))[: bounds.REASON_CHARS_MAX]

    def _word(self, record: Record, name: str, chars_max: int) -> str:
        found = self._secrets.text(text(record, name))
        return found if len(found) <= chars_max else f"{found[: chars_max - 1]}…"

    # schedules and sensor events

    def _schedule(self, record: Record) -> _Given:
        name, at_us = text(record, "name"), self._at(record, "created_at")
        stream, task = schedule_stream(name), record.get("task")
        document = {"name": name, "task": task, "enabled": bool(record.get("enabled", True))}
        document["interval_seconds"] = whole(record.get("interval_seconds"), 0)
        if record.get("next_run_at"):
            document["next_run_at"] = render.moment_us(self._at(record, "next_run_at"))

        def work(view: LogView) -> Put | None:
            if view.version(stream):
                return None
            self._refuse_secret(f"{name}\n{task}", "schedule.task")
            intake.refuse_argv(_object(task), "import", self._config)
            made = self._scheduler.accepted(document, self._now_us)
            making = Making(view, at_us=at_us, actor=ACTOR)
            making.add(stream, made.event, correlation=stream, texts={"task": made.task})
            return making.put()

        return _Given(name, work)

    def _sensed(self, record: Record) -> _Given:
        key = text(record, "dedupe_key")
        sensor, name = text(record, "sensor_id"), text(record, "event_id")
        stream, alias = sensed_stream(key), sensor_event_stream(sensor, name)
        task, was = text(record, "task_id"), text(record, "workflow_id")
        payload = msgspec.json.encode(record.get("payload"), order="sorted")
        content = self._secrets.text(payload.decode()).encode()
        event = SensorAccepted(
            sensor=self._word(record, "sensor_id", bounds.KEY_CHARS_MAX),
            event=self._word(record, "event_id", bounds.KEY_CHARS_MAX),
            source_ref=self._word(record, "source_ref", bounds.REASON_CHARS_MAX),
            key=self._word(record, "dedupe_key", bounds.KEY_CHARS_MAX),
            payload=text_of(content),
            observed_us=self._at(record, "observed_at", "created_at"),
            task=_task_id(task) if task else "",
            workflow=self._going.get(was, ""),
        )
        at_us = self._at(record, "created_at", "observed_at")

        def work(view: LogView) -> Put | None:
            if view.version(stream):
                return None
            making = Making(view, at_us=at_us, actor=ACTOR)
            making.add(stream, event, correlation=event.task or stream, texts={"payload": content})
            if not view.version(alias):
                making.add(alias, SensorNamed(sensor=event.sensor, event=event.event, stream=stream), cause=0)
            return making.put()

        return _Given(key, work, len(content))

    def _at(self, record: Record, *names: str) -> int:
        return time_us(record, names, self._now_us)


def _asked(queued: TaskQueued) -> dict[str, Any]:
    """The fields of the task input that a queued task was made of."""
    given = {"requested_profile": queued.profile, "requested_adapter": queued.adapter}
    fields = {"kind": queued.kind, "source": queued.source, "subject": queued.subject, "priority": queued.priority}
    return fields | {name: value for name, value in given.items() if value}


def _cancel_wanted(making: Making, reason: str) -> None:
    """Cancel the tasks that a workflow in the making wants."""
    for event in list(making.events):
        if isinstance(event.data, WorkflowTaskWanted) and making.version(event.data.task):
            making.add(event.data.task, TaskCanceled(reason=reason), correlation=event.data.task)


def _given_up(state: workflow.State) -> Made:
    """The fact that the open task of a state is not worth another try before a person looked."""
    kind = state.here.task.kind if state.here and state.here.task else ""
    ended = WorkflowTaskEnded(
        task=state.task, state=state.state, epoch=state.epoch, status="operator_canceled", kind=kind, cause="imported"
    )
    return Made(ended)


def _object(value: object) -> dict[str, Any]:
    """An object of JSON; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def _task_id(old: str) -> str:
    """The id of a task here: its old one where that is a UUID, else one that is made of it."""
    try:
        return uuid.UUID(old).hex
    except ValueError:
        return keyed_task(f"agent-runtime:{old}")
