"""Commands about runs: list, show, their events, their output, and following one live."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from commands import follow, options, render
from commands.invocation import invocation
from commands.items import event_document
from commands.wiring import Runtime
from domain import errors
from domain.bounds import FOLLOW_POLL_S, LIST_ROWS
from domain.events import OutputAppended, Recorded
from domain.run import Status

app = typer.Typer(no_args_is_help=True)
Stream = Annotated[str, typer.Option("--stream", help="stdout or stderr; both without it.")]


@app.command("list", help="Runs, newest first.")
def list_runs(
    state: Annotated[str, typer.Option("--state", help="Only runs in this state.")] = "",
    task: Annotated[str, typer.Option("--task", help="Only runs of this task.")] = "",
    limit: options.Limit = LIST_ROWS,
    before: options.Before = None,
    as_json: options.Json = False,
) -> None:
    """List runs."""
    from projections import status

    if state and state not in tuple(Status):
        raise errors.Invalid(where="--state", why=f"{state!r} is none of: {', '.join(Status)}")
    runtime = invocation.runtime()
    wanted = runtime.find_task(task) if task else ""
    found, position = runtime.projection().ask(
        lambda database, at: (
            status.runs(database, task=wanted, state=state, before=before or 1 << 62, limit=limit),
            at,
        )
    )
    runtime.close()
    following = found[-1]["position"] if len(found) == limit else None
    if as_json:
        render.documents("rt.run.v1", found, position=position, following=following)
        return
    rows = [
        (
            run["run"][:8],
            run["task"][:8],
            render.Marked(render.mark(run["state"])),
            f"{run['attempt']}/{run['max_attempts']}",
            f"{run['adapter']} (bypass)" if run["bypass"] else run["adapter"],
            run["cause"],
            _seconds(run),
            run["subject"][:50],
        )
        for run in found
    ]
    render.table(("run", "task", "state", "attempt", "adapter", "cause", "took", "subject"), rows)
    if following:
        render.note(f"cut at {limit}; go on with --before {following}")


def _seconds(run: dict[str, Any]) -> str:
    ended = run["finished_at"]
    return "" if ended is None else f"{(ended - run['claimed_at']).total_seconds():.2f} s"


@app.command("show", help="One run with its calls.")
def show(run: options.RunArgument, *, as_json: options.Json = False) -> None:
    """Show a run."""
    from projections import status

    runtime = invocation.runtime()
    wanted = runtime.find_run(run)
    found, position = runtime.projection().ask(lambda database, at: (status.run(database, wanted), at))
    assert found is not None, "an id of the index is in the tables"
    runtime.close()
    if as_json:
        render.document("rt.run.v1", found | {"at_position": position})
        return
    for name, value in found.items():
        if name != "calls" and value not in ("", None):
            render.out(f"{name:<18} {render.mark(value) if name == 'state' else render.value(value)}")
    for call in found["calls"]:
        how = call["signal"] or ("" if call["exit_code"] is None else f"exit {call['exit_code']}")
        sizes = f"{call['stdout_bytes']} + {call['stderr_bytes']} bytes of output"
        dropped = f", {call['dropped_bytes']} dropped" if call["dropped_bytes"] else ""
        cause = f"  {call['cause']}" if call["cause"] else ""
        render.out(f"call {call['call']}  {call['tool']}  {call['state']}  {how}{cause}  {sizes}{dropped}")
    render.note(f"at position {position}")


@app.command("log", help="The run's events by position: its task's part, its decisions, its output.")
def log(run: options.RunArgument, *, as_json: options.Json = False) -> None:
    """Show a run's events."""
    runtime = invocation.runtime()
    wanted = runtime.find_run(run)
    start_us = 0
    count = 0
    for event in runtime.readable.run_events(wanted, bodies=False):
        start_us = start_us or event.at_us
        count += 1
        if as_json:
            render.document("rt.event.v1", event_document(event))
        else:
            render.out(follow.one_line(event, start_us))
    if as_json:
        render.document("rt.end.v1", {"count": count, "position": runtime.readable.head().position, "next": None})
    runtime.close()


@app.command("audit", help="Write all that the log holds of a run as files: calls, prompts, answers, output, events.")
def audit(
    run: options.RunArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A folder that is made for it.")],
    *,
    as_json: options.Json = False,
) -> None:
    """Write the audit files of a run."""
    from commands import audits

    runtime = invocation.runtime()
    wanted = runtime.find_run(run)
    written, erased = audits.write(runtime.readable, wanted, folder)
    runtime.close()
    if as_json:
        render.document("rt.audit.v1", {"run": wanted, "folder": str(folder), "files": written, "erased": erased})
        return
    for name in written:
        render.out(name)
    render.note(f"{len(written)} files in {folder}" + (f"; {len(erased)} texts were erased" if erased else ""))


@app.command("output", help="What the run printed: the exact bytes into a pipe, cleaned onto a terminal.")
def output(
    run: options.RunArgument,
    *,
    stream: Stream = "",
    follow_it: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show a run's output."""
    if stream not in ("", "stdout", "stderr"):
        raise errors.Invalid(where="--stream", why=f"{stream!r} is neither stdout nor stderr")
    runtime = invocation.runtime()
    wanted = runtime.find_run(run)
    count = 0
    for event in _output(runtime, wanted, follow_it=follow_it):
        data = event.data
        if not isinstance(data, OutputAppended) or (stream and data.stream != stream):
            continue
        count += 1
        if as_json:
            text = {"text": (event.body or b"").decode("utf-8", "replace"), "erased": event.body is None}
            render.document("rt.output.v1", event_document(event) | text)
        else:
            render.raw(event.body or b"")
    if as_json:
        render.document("rt.end.v1", {"count": count, "position": runtime.readable.head().position, "next": None})
    runtime.close()


def _output(runtime: Runtime, run: str, *, follow_it: bool) -> Iterator[Recorded]:
    after = 0
    while True:
        over = (
            not follow_it or runtime.reader.run_state(run) != "running"
        )  # before the read: what came last is still read
        while events := runtime.readable.output(run, after):
            after = events[-1].version
            yield from events
        if over:
            return
        time.sleep(FOLLOW_POLL_S)


def watch(
    run: options.RunArgument,
    *,
    after: Annotated[int, typer.Option("--after", min=0, help="Only what lies beyond this position.")] = 0,
    as_json: options.Json = False,
) -> None:
    """Follow a run: its events and output as they become durable."""
    from commands.items import item

    runtime = invocation.runtime()
    wanted = runtime.find_run(run)
    seen, start_us, ended = after, 0, False
    while not ended:
        ended = runtime.reader.run_state(wanted) != "running"
        for event in runtime.readable.run_events(wanted, bodies=True, after=seen):
            start_us = start_us or event.at_us
            seen = event.position
            if as_json:
                render.document("rt.item.v1", item(event, event_document(event)))
            else:
                _show(event, start_us)
        if not ended:
            while not runtime.readable.changed():
                time.sleep(FOLLOW_POLL_S)
    runtime.close()


def _show(event: Recorded, start_us: int) -> None:
    if not isinstance(event.data, OutputAppended):
        render.out(follow.one_line(event, start_us))
        return
    for text in (event.body or b"").decode("utf-8", "replace").splitlines():
        render.out(f"{'':>7}  {'':>10}  {event.data.stream} │ {render.line(text)}")
