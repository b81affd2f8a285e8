"""Commands about schedules: what brings work in again and again."""

from typing import Annotated, Any

import typer

from commands import documents, options, render
from commands.approvals import seconds, short
from commands.invocation import invocation
from commands.scheduling import Known, Scheduler, Ticked
from commands.taking_in import announce
from commands.wiring import Runtime
from domain import errors, schedule
from domain.config import BUILT_IN
from domain.intake import parse_time
from domain.schedule_input import Accepted

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(metavar="NAME", help="The schedule's name.")]


@app.command(
    "create", help="Create a schedule, or replace the one of that name: NAME --every 30m -- ARGV, or a document."
)
def create(  # the fields of a schedule
    name: Annotated[str, typer.Argument(metavar="NAME|DOC", help="A name; or the whole schedule: JSON, @file, or -.")],
    task: Annotated[str | None, typer.Argument(metavar="[TASK]", help="The task: JSON, @file, or -.")] = None,
    every: Annotated[str, typer.Option("--every", help="An interval: 90s, 30m, 8h, 7d.")] = "",
    cron: Annotated[str, typer.Option("--cron", help="Minute hour day month weekday.")] = "",
    tz: Annotated[str, typer.Option("--tz", help="The cron's time zone, such as Europe/Berlin.")] = "",
    catch_up: Annotated[str, typer.Option("--catch-up", help="Missed slots: one, skip, all, all:N.")] = "",
    overlap: Annotated[str, typer.Option("--overlap", help="While an earlier task is open: allow, skip, queue.")] = "",
    anchor: Annotated[str, typer.Option("--anchor", help="An interval counts from the tick or from its slot.")] = "",
    jitter: Annotated[str, typer.Option("--jitter", help="Up to so much later, the same for the same slot.")] = "",
    starts: Annotated[str, typer.Option("--start", help="The first slot.")] = "",
    ends: Annotated[str, typer.Option("--end", help="No slot after this time.")] = "",
    disabled: Annotated[bool, typer.Option("--disabled", help="Not yet.")] = False,
    as_json: options.Json = False,
) -> None:
    """Create or replace a schedule."""
    given = {"cron": cron, "timezone": tz, "catch_up": catch_up, "overlap": overlap, "anchor": anchor}
    fields: dict[str, Any] = {key: value for key, value in given.items() if value}
    fields |= {key: value for key, value in (("next_run_at", starts), ("ends_at", ends)) if value}
    if every:
        fields["interval_seconds"] = _whole(seconds(every, "--every"), "--every")
    if jitter:
        fields["jitter_seconds"] = _whole(seconds(jitter, "--jitter"), "--jitter")
    if disabled:
        fields["enabled"] = False
    runtime = invocation.runtime(create=True)
    document = _document(name, task, fields)
    made = accepted(runtime, document)
    announce(runtime)
    position, changed, found = upsert(runtime, made)
    runtime.close()
    if as_json:
        answer = shown(found) | {"ok": True, "changed": changed, "position": position}
        render.document("rt.schedule.v1", answer | {"ignored_keys": list(made.ignored_keys)})
        return
    how = "scheduled" if changed else "unchanged"
    render.out(f"{how}: {render.line(made.event.name)}, next at {_when(found)}, at position {position}")
    if made.ignored_keys:
        render.note(f"ignored keys: {', '.join(made.ignored_keys)}")


def accepted(runtime: Runtime, document: object) -> Accepted:
    """A schedule as it may be stored. Raises Invalid."""
    made = Scheduler(runtime.config).accepted(document, runtime.clock.now_us())
    if runtime.secrets.text(made.task.decode()) != made.task.decode():
        raise errors.Invalid(where="schedule.task", why="contains the value of a registered secret")
    return made


def upsert(runtime: Runtime, made: Accepted) -> tuple[int, bool, Known]:
    """Create the schedule, or replace the one of its name: where, whether anything changed, and how it is now."""
    scheduler = Scheduler(runtime.config)
    position, changed = scheduler.upsert(runtime.log, made, runtime.clock.now_us(), runtime.actor)
    return position, changed, scheduler.named(runtime.log, made.event.name)


def _whole(value: float, where: str) -> int:
    if value != int(value) or value < 1:
        raise errors.Invalid(where=where, why="expected whole seconds, 1 at least")
    return int(value)


def _document(name: str, task: str | None, fields: dict[str, Any]) -> object:
    """What the options say; or the document, which brings its own fields."""
    if task is None and invocation.tail is None and name[:1] in ("{", "@", "-"):
        if fields:
            raise typer.BadParameter("a document brings its own fields; give either DOC or the options")
        return documents.read(name, "schedule")
    if task is not None and invocation.tail is not None:
        raise typer.BadParameter("give one of them: TASK, or a command behind --")
    if invocation.tail is not None:
        from pathlib import Path

        wanted: object = {
            "kind": "command",
            "source": f"schedule:{name}",
            "subject": " ".join(invocation.tail)[:200],
            "payload": {"argv": list(invocation.tail), "cwd": str(Path.cwd())},
            "requested_adapter": BUILT_IN,
        }
    elif task is not None:
        wanted = documents.read(task, "schedule.task")
    else:
        raise errors.Invalid(where="schedule.task", why="is missing; give a document or a command behind --")
    return {"name": name, "task": wanted} | fields


@app.command("list", help="All schedules, enabled ones first, then by their next slot.")
def list_schedules(as_json: options.Json = False) -> None:
    """List schedules."""
    runtime = invocation.runtime()
    found = listed(runtime)
    position = runtime.readable.head().position
    runtime.close()
    if as_json:
        render.documents("rt.schedule.v1", [shown(each) for each in found], position=position)
        return
    rows = [
        (each.state.definition.name, _rhythm(each), _status(each), _when(each), each.state.fired, each.state.skipped)
        for each in found
    ]
    render.table(("name", "when", "status", "next", "fired", "skipped"), rows)


def listed(runtime: Runtime) -> list[Known]:
    """All schedules, enabled ones first, then by their next slot."""
    found = Scheduler(runtime.config).all(runtime.readable)
    found.sort(key=lambda each: (not each.state.active, each.state.next_us or 1 << 62, each.state.definition.name))
    return found


@app.command("show", help="One schedule: its definition, its task, what it did.")
def show(name: Name, as_json: options.Json = False) -> None:
    """Show a schedule."""
    runtime = invocation.runtime()
    found = Scheduler(runtime.config).named(runtime.readable, name)
    position = runtime.readable.head().position
    runtime.close()
    document = shown(found) | {"position": position}
    if as_json:
        render.document("rt.schedule.v1", document)
        return
    for key, value in document.items():
        if value not in (None, "", []):
            render.out(f"{key:<16} {render.value(value)}")


@app.command("enable", help="Let a schedule fire again; what was missed meanwhile is not made up for.")
def enable(name: Name, as_json: options.Json = False) -> None:
    """Enable a schedule."""
    _change(name, "enable", "", as_json=as_json)


@app.command("disable", help="Let a schedule pause.")
def disable(name: Name, reason: options.Reason = "", as_json: options.Json = False) -> None:
    """Disable a schedule."""
    _change(name, "disable", reason, as_json=as_json)


@app.command("remove", help="Remove a schedule; what it made stays.")
def remove(name: Name, reason: options.Reason = "", as_json: options.Json = False) -> None:
    """Remove a schedule."""
    _change(name, "remove", reason, as_json=as_json)


def _change(name: str, verb: str, reason: str, *, as_json: bool) -> None:
    options.no_tail()
    runtime = invocation.runtime()
    scheduler = Scheduler(runtime.config)
    text = short(runtime, reason, "--reason")
    position, changed = scheduler.change(runtime.log, name, verb, runtime.clock.now_us(), runtime.actor, text)
    runtime.close()
    if as_json:
        render.document("rt.schedule.v1", {"name": name, "verb": verb, "changed": changed, "position": position})
    else:
        render.out(f"{verb}d: {render.line(name)} at position {position}" if changed else f"was {verb}d already")


@app.command("tick", help="Evaluate the schedules now, or as if it were another time: what is due then is made now.")
def tick(
    at: Annotated[str, typer.Option("--at", help="Evaluate as of this time.")] = "", as_json: options.Json = False
) -> None:
    """Evaluate the schedules."""
    _tick(at, "", as_json=as_json)


@app.command("run", help="Run a schedule's task now, whatever its time.")
def run(name: Name, as_json: options.Json = False) -> None:
    """Fire a schedule by hand."""
    _tick("", name, as_json=as_json)


def _tick(at: str, only: str, *, as_json: bool) -> None:
    options.no_tail()
    runtime = invocation.runtime()
    done = evaluated(runtime, at, only)
    runtime.close()
    if as_json:
        render.document("rt.tick.v1", ticked(done))
        return
    counts = (("schedule", done.evaluated, "evaluated"), ("task", len(done.tasks), "created"))
    told = [f"{count} {noun}{'' if count == 1 else 's'} {did}" for noun, count, did in counts]
    skipped = f", {done.skipped} slot{'' if done.skipped == 1 else 's'} skipped" if done.skipped else ""
    render.out(", ".join(told) + skipped)
    for name, why in done.failed:
        render.note(f"disabled: {name}: {why}")


def evaluated(runtime: Runtime, at: str, only: str = "", where: str = "--at") -> Ticked:
    """Evaluate the schedules now or as of a time, or run one of them. Raises Invalid, ScheduleNotFound."""
    clock_us = runtime.clock.now_us()
    now_us = parse_time(at, where) if at else clock_us
    scheduler = Scheduler(runtime.config)
    return scheduler.tick(runtime.log, now_us, runtime.actor, explicit=True, only=only, recorded_us=clock_us)


def ticked(done: Ticked) -> dict[str, Any]:
    """An evaluation for programs."""
    return {
        "schedulesEvaluated": done.evaluated,
        "tasksCreated": len(done.tasks),
        "taskIds": list(done.tasks),
        "skipped": done.skipped,
        "failed": [{"name": name, "why": why} for name, why in done.failed],
        "position": done.position,
    }


def shown(each: Known) -> dict[str, Any]:
    """A schedule for programs."""
    state, wanted = each.state, each.state.definition
    return {
        "schedule_id": each.stream,
        "name": wanted.name,
        "enabled": state.enabled,
        "status": _status(each),
        "interval_seconds": wanted.every_us // 1_000_000 or None,
        "cron": wanted.cron or None,
        "timezone": wanted.zone if wanted.cron else None,
        "catch_up": wanted.catch_up,
        "overlap": wanted.overlap,
        "anchor": wanted.anchor,
        "jitter_seconds": wanted.jitter_us // 1_000_000,
        "next_run_at": render.moment_us(state.next_us) if state.next_us else None,
        "last_run_at": render.moment_us(state.last_run_us) if state.last_run_us else None,
        "ends_at": render.moment_us(wanted.ends_us) if wanted.ends_us else None,
        "created_at": render.moment_us(state.created_at_us),
        "updated_at": render.moment_us(state.updated_at_us),
        "fired": state.fired,
        "missed": state.missed,
        "skipped": state.skipped,
        "reason": state.reason,
        "task": each.task,
    }


def _status(each: Known) -> str:
    state = each.state
    return "removed" if state.removed else "ended" if state.ended else "enabled" if state.enabled else "disabled"


def _rhythm(each: Known) -> str:
    wanted = each.state.definition
    return f"{wanted.cron} {wanted.zone}" if wanted.cron else f"every {wanted.every_us // 1_000_000} s"


def _when(each: Known) -> str:
    due_us = schedule.due_at_us(each.state)
    return render.moment_us(due_us) if due_us else "never"
