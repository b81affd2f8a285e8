"""Commands about tasks, and what an operator does to them."""

import asyncio
import contextlib
import time
from typing import Annotated, Any, Literal

import msgspec
import typer

from commands import documents, options, render
from commands.cancel import Edit, cancel_task, fulfil
from commands.invocation import invocation
from commands.taking_in import check_secrets
from commands.wiring import Runtime
from domain import errors
from domain import task as tasks
from domain.bounds import LIST_ROWS, PRIORITY_MAX, PRIORITY_MIN, REASON_CHARS_MAX
from domain.editing import EDITABLE, edited
from domain.events import DispatchPaused, DispatchResumed, Put, Recorded, TaskEdited
from domain.ids import DISPATCH
from domain.intake import check_text
from domain.ports import LogView
from domain.task import Status, Wish

app = typer.Typer(no_args_is_help=True)
Scope = Literal["claiming", "feeders", "stop"]
_EDITABLE = ", ".join(EDITABLE)
_HEADINGS = ("task", "status", "kind", "attempts", "subject", "cause", "created")


@app.command("list", help="Tasks, newest first.")
def list_tasks(  # filters
    state: Annotated[str, typer.Option("--state", help="Only tasks in this state.")] = "",
    kind: Annotated[str, typer.Option("--kind", help="Only tasks of this kind.")] = "",
    source: Annotated[str, typer.Option("--source", help="Only tasks from there.")] = "",
    limit: options.Limit = LIST_ROWS,
    before: options.Before = None,
    as_json: options.Json = False,
) -> None:
    """List tasks."""
    from projections import status

    if state and state not in tuple(Status):
        raise errors.Invalid(where="--state", why=f"{state!r} is none of: {', '.join(Status)}")
    runtime = invocation.runtime()
    where = {"status": state, "kind": kind, "source": source}
    found, position = runtime.projection().ask(
        lambda database, at: (status.tasks(database, where=where, before=before or 1 << 62, limit=limit), at)
    )
    runtime.close()
    following = found[-1]["position"] if len(found) == limit else None
    if as_json:
        render.documents("rt.task.v1", found, position=position, following=following)
        return
    rows = [
        (
            task["task"][:8],
            render.Marked(render.mark(task["status"])),
            task["kind"],
            f"{task['attempts']}/{task['max_attempts']}",
            task["subject"][:60],
            task["cause"],
            render.moment(task["created_at"])[:19],
        )
        for task in found
    ]
    render.table(_HEADINGS, rows)
    if following:
        render.note(f"cut at {limit}; go on with --before {following}")


@app.command("show", help="One task with its runs and its payload.")
def show(task: options.TaskArgument, *, as_json: options.Json = False) -> None:
    """Show a task."""
    from projections import status

    runtime = invocation.runtime()
    wanted = runtime.find_task(task)
    found, position = runtime.projection().ask(lambda database, at: (status.task(database, wanted), at))
    assert found is not None, "an id of the index is in the tables"
    found |= payload(runtime, wanted)
    runtime.close()
    if as_json:
        render.document("rt.task.v1", found | {"at_position": position})
        return
    for name, value in found.items():
        if name not in ("runs", "payload") and value not in ("", None):
            render.out(f"{name:<13} {render.mark(value) if name == 'status' else render.value(value)}")
    render.out(f"{'payload':<13} {render.value(found['payload'])}")
    for run in found["runs"]:
        cause = f"  {render.line(run['cause'])}" if run["cause"] else ""
        render.out(f"run {run['run'][:8]}  attempt {run['attempt']}  {render.mark(run['state'])}{cause}")


def payload(runtime: Runtime, task: str) -> dict[str, Any]:
    """A task's description and payload; None for a payload that was erased."""
    import msgspec

    state = runtime.readable.task(task)
    assert state is not None, "an id of the index is in the log"
    try:
        stored: dict[str, Any] = msgspec.json.decode(runtime.readable.blob(task, state.payload))
    except errors.BlobNotFound:
        return {"description": "", "payload": None}
    return stored


def reason_of(runtime: Runtime, text: str, where: str = "--reason") -> str:
    """A reason as it may be stored: bounded, and without secrets."""
    check_text(text, where)
    if len(text) > REASON_CHARS_MAX:
        raise errors.Invalid(where=where, why=f"{len(text)} characters; at most {REASON_CHARS_MAX}")
    return runtime.secrets.text(text)


def _wish(runtime: Runtime, task: str, wish: Wish) -> int:
    return fulfil(runtime.log, task, wish, runtime.clock.now_us(), runtime.actor)


def _done(schema: str, text: str, answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        render.document(schema, answer)
    else:
        render.out(text)


def retry(
    task: options.TaskArgument,
    *,
    edit: Annotated[
        str | None, typer.Option("--edit", metavar="DOC", help=f"Change it first: an object with some of {_EDITABLE}.")
    ] = None,
    reason: options.Reason = "",
    as_json: options.Json = False,
) -> None:
    """Give a task another attempt."""
    runtime = invocation.runtime()
    wanted = runtime.find_task(task)
    wish = Wish("retry", reason_of(runtime, reason))
    how = None if edit is None else edit_of(runtime, documents.read(edit, "--edit"), wish.note)
    position = fulfil(runtime.log, wanted, wish, runtime.clock.now_us(), runtime.actor, how)
    runtime.close()
    text = f"task {wanted[:8]} is {'changed and ' if edit else ''}pending again"
    _done("rt.retry.v1", text, {"task": wanted, "edited": edit is not None, "position": position}, as_json=as_json)


def edit_of(runtime: Runtime, change: object, reason: str) -> Edit:
    """What changes a task before its next attempt. Raises Invalid when it is applied."""

    def edit(state: tasks.Task, stored: bytes) -> tuple[TaskEdited, bytes]:
        event, text = edited(state, stored, change, runtime.config, runtime.clock.now_us())
        event = msgspec.structs.replace(event, reason=reason)
        check_secrets(runtime, text, event)
        return event, text

    return edit


def prioritize(
    task: options.TaskArgument,
    priority: Annotated[int, typer.Argument(metavar="N", help="-1000 to 1000; larger is sooner.")],
    as_json: options.Json = False,
) -> None:
    """Move a task in the queue."""
    if not PRIORITY_MIN <= priority <= PRIORITY_MAX:
        raise errors.Invalid(where="N", why=f"{priority}; from {PRIORITY_MIN} to {PRIORITY_MAX}")
    runtime = invocation.runtime()
    wanted = runtime.find_task(task)
    position = moved(runtime, wanted, priority)
    runtime.close()
    values = {"task": wanted, "priority": priority, "position": position}
    _done("rt.prioritize.v1", f"task {wanted[:8]} has priority {priority}", values, as_json=as_json)


def moved(runtime: Runtime, wanted: str, priority: int) -> int:
    """Give a task that waits another priority; where that is recorded. Raises TaskStateRefused."""

    def move(view: LogView) -> Put:
        state = view.task(wanted)
        assert state is not None, "an id of the index is in the log"
        event = Recorded(
            stream=wanted,
            version=state.version + 1,
            at_us=runtime.clock.now_us(),
            actor=runtime.actor,
            data=tasks.prioritize(state, priority),
            correlation=wanted,
        )
        return Put(events=(event,))

    result = runtime.log.append([move])[0]
    if isinstance(result, Exception):
        raise result
    return result[-1]


def unblock(
    task: options.TaskArgument,
    *,
    note: Annotated[str, typer.Option("--note", help="Recorded with the event.")] = "",
    as_json: options.Json = False,
) -> None:
    """Let a blocked task go on."""
    runtime = invocation.runtime()
    wanted = runtime.find_task(task)
    position = _wish(runtime, wanted, Wish("unblock", reason_of(runtime, note)))
    runtime.close()
    _done(
        "rt.unblock.v1", f"task {wanted[:8]} is pending again", {"task": wanted, "position": position}, as_json=as_json
    )


def cancel(
    target: Annotated[str, typer.Argument(metavar="TASK|RUN", help="Id, unique prefix, or @last.")],
    *,
    reason: options.Reason = "",
    no_wait: Annotated[bool, typer.Option("--no-wait", help="Return when the request is durable.")] = False,
    as_json: options.Json = False,
) -> None:
    """End a task, also while it runs."""
    runtime = invocation.runtime()
    task = task_of(runtime, target)
    text = reason_of(runtime, reason)
    position, was = cancel_task(runtime.log, task, runtime.clock.now_us(), runtime.actor, text)
    if was == "is asked to end" and not no_wait:
        was = f"is {_wait(runtime, task)}"
    runtime.close()
    _done("rt.cancel.v1", f"task {task[:8]} {was}", {"task": task, "position": position, "state": was}, as_json=as_json)


def task_of(runtime: Runtime, target: str) -> str:
    """The task that is named, or the one whose run is."""
    try:
        return runtime.find_task(target)
    except errors.IdNotFound:
        run = runtime.find_run(target)
        return next(iter(runtime.log.run_events(run, bodies=False))).stream


def _wait(runtime: Runtime, task: str) -> str:
    """Until the run has ended: by its dispatcher, or by us when that one is dead. Bounded by grace and kill."""
    until_s = time.monotonic() + runtime.config.work.kill_grace_s + 10
    while time.monotonic() < until_s:
        state = runtime.log.task(task)
        assert state is not None, "an id of the index is in the log"
        if state.status is not Status.RUNNING:
            return state.status.value
        claims = [each for each in runtime.log.running() if each.task == task]
        if claims and not runtime.liveness.alive(claims[0].dispatcher):
            asyncio.run(_recover(runtime))
        time.sleep(0.02)
    return "still running: its dispatcher does not answer"


async def _recover(runtime: Runtime) -> None:
    from commands.recover import recover

    async with runtime.world(lambda _events: None, render.note) as world:
        await recover(world, "")


def _dispatching(runtime: Runtime, event: DispatchPaused | DispatchResumed) -> tuple[bool, int]:
    def decide(view: LogView) -> Put | None:
        if not _changes(view, event):
            return None
        version = view.version(DISPATCH) + 1
        at_us = runtime.clock.now_us()
        return Put(events=(Recorded(stream=DISPATCH, version=version, at_us=at_us, actor=runtime.actor, data=event),))

    result = runtime.log.append([decide])[0]
    if isinstance(result, Exception):
        raise result
    return bool(result), result[-1] if result else runtime.log.head().position


def _changes(view: LogView, event: DispatchPaused | DispatchResumed) -> bool:
    """Whether a pause or a resume is news; a pause is, where it holds more than the one that there is."""
    if not view.paused():
        return isinstance(event, DispatchPaused)
    last = view.stream(DISPATCH, view.version(DISPATCH) - 1)[-1].data
    assert isinstance(last, DispatchPaused), "it is what makes it paused"
    return isinstance(event, DispatchResumed) or _WIDTH.index(event.scope) > _WIDTH.index(last.scope)


def pause(
    *,
    reason: options.Reason = "",
    scope: Annotated[
        str, typer.Option("--scope", help="claiming; feeders: schedules and sensors too; stop: cancels what runs too.")
    ] = "claiming",
    as_json: options.Json = False,
) -> None:
    """Stop claiming."""
    if scope not in _SCOPES:
        raise errors.Invalid(where="--scope", why=f"{scope!r}: claiming, feeders or stop")
    runtime = invocation.runtime()
    changed, position = paused(runtime, reason_of(runtime, reason), _SCOPES[scope])
    runtime.close()
    text = _PAUSED[scope] if changed else "was paused already"
    _done("rt.pause.v1", text, {"paused": True, "changed": changed, "position": position}, as_json=as_json)


_WIDTH: tuple[Scope, ...] = ("claiming", "feeders", "stop")
_SCOPES: dict[str, Scope] = {each: each for each in _WIDTH}
_PAUSED = {
    "claiming": "paused: running runs go on, nothing new is claimed",
    "feeders": "paused: running runs go on, nothing new is claimed, schedules and sensors rest",
    "stop": "paused: what runs is asked to end, nothing new is claimed, schedules and sensors rest",
}


def paused(runtime: Runtime, reason: str, scope: Scope) -> tuple[bool, int]:
    """Stop claiming, with `stop` also what runs: whether that changed anything, and where it is recorded."""
    done = _dispatching(runtime, DispatchPaused(reason=reason, scope=scope))
    for task in [each.task for each in runtime.log.running()] if scope == "stop" else ():  # by now nobody claims
        with contextlib.suppress(errors.TaskStateRefused):  # over by now
            cancel_task(runtime.log, task, runtime.clock.now_us(), runtime.actor, "dispatching was stopped")
    return done


def resumed(runtime: Runtime) -> tuple[bool, int]:
    """Claim again: whether that changed anything, and where it is recorded."""
    return _dispatching(runtime, DispatchResumed())


def resume(*, as_json: options.Json = False) -> None:
    """Claim again."""
    runtime = invocation.runtime()
    changed, position = resumed(runtime)
    runtime.close()
    text = "resumed" if changed else "was not paused"
    _done("rt.resume.v1", text, {"paused": False, "changed": changed, "position": position}, as_json=as_json)
