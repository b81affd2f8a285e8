"""The one screen of `rt status`, from the projection. Needs nothing that reads a command line."""

from typing import TYPE_CHECKING, Any, Final

from commands import render
from commands.invocation import invocation

if TYPE_CHECKING:
    from commands.wiring import Runtime

_WATCH_S: Final = 0.5


def show(*, as_json: bool) -> None:
    """Print it."""
    runtime = invocation.runtime()
    found = _now(runtime)
    standing = runtime.reader.standing()
    runtime.close()
    if as_json:
        render.document("rt.status.v1", found)
    else:
        _print(_lines(found) + _still(standing))


_STILL: Final = {
    "workflow": ("workflow", "is parked", "are parked", "rt workflow list"),
    "sensor": ("sensor", "rests after failures", "rest after failures", "rt sensor run NAME"),
    "outbox": ("message", "did not get through", "did not get through", "rt outbox list"),
}


def _still(standing: dict[str, int]) -> list[str]:
    """What waits for a person and is no task."""
    lines = []
    for kind, count in sorted(standing.items()):
        noun, one, many, command = _STILL[kind]
        lines.append(f"{count} {noun} {one}: {command}" if count == 1 else f"{count} {noun}s {many}: {command}")
    return ["", *lines] if lines else []


def show_past(at: str, *, as_json: bool) -> None:
    """Print it as it was at a position, a time, or a snapshot's label. Raises PositionUnknown, Invalid."""
    from commands import past, snapshots
    from projections import status as questions

    runtime = invocation.runtime()
    found = past.ask(runtime, snapshots.position(runtime, at), questions.status)
    runtime.close()
    if as_json:
        render.document("rt.status.v1", found)
    else:
        _print(_lines(found))


def watch(*, as_json: bool) -> None:
    """Print it, and again whenever the log goes on; on a terminal in place of what was there."""
    import sys
    import time

    runtime = invocation.runtime()
    is_terminal = sys.stdout.isatty()
    while True:
        found = _now(runtime)
        if as_json:
            render.document("rt.status.v1", found)
        elif is_terminal:
            render.screen(_lines(found) + _still(runtime.reader.standing()))
        else:
            _print([*_lines(found), *_still(runtime.reader.standing()), ""])
        while runtime.reader.head()[0] == found["position"]:
            time.sleep(_WATCH_S)


def _now(runtime: "Runtime") -> dict[str, Any]:
    from projections import status as questions

    found = runtime.projection().ask(questions.status)
    dead = {each[2] for each in runtime.reader.running() if not runtime.liveness.alive(each[2])}
    for run in found["running"]:
        run["dispatcher_alive"] = not dead or _owner(runtime.reader.running(), run["run"]) not in dead
    return found


def _owner(running: list[tuple[str, str, str]], run: str) -> str:
    return next((dispatcher for _, its, dispatcher in running if its == run), "")


def _print(lines: list[str]) -> None:
    for line in lines:
        render.out(line)


def _lines(found: dict[str, Any]) -> list[str]:
    counts = "  ".join(f"{render.mark(name)} {count}" for name, count in found["counts"].items() if count)
    lines = [f"{counts or 'no tasks yet: rt do -- echo hello'}  · position {found['position']}"]
    if found["paused"]:
        lines.append("dispatching is paused; rt resume")
    sections = (
        ("waiting for you", "needs_you", lambda row: f"{render.mark(row['status'])}  {row['cause']}"),
        ("running", "running", _running),
        ("failed", "failed", lambda row: row["cause"]),
        ("next", "next", lambda row: f"{render.mark(row['status'])}  at {render.moment(row['due_at'])}"),
    )
    for title, key, describe in sections:
        if found[key]:
            lines += ["", title]
        for row in found[key]:
            subject = render.line(row["subject"] or row["kind"])[:60]
            lines.append(f"  {row['task'][:8]}  {subject:<40}  {describe(row)}")
    if found["needs_you"]:
        waits = any(
            row["status"] == "waiting_for_approval" or row["cause"] == "needs_reconcile" for row in found["needs_you"]
        )
        answer = "rt approval list · " if waits else ""
        lines += ["", f"{answer}rt task show TASK · rt retry TASK · rt unblock TASK · rt cancel TASK"]
    if found["oldest_due"]:
        since = render.moment(found["oldest_due"]["since"])
        lines += ["", f"oldest task that is due: {found['oldest_due']['task'][:8]}, since {since}; rt work"]
    return lines


def _running(row: dict[str, Any]) -> str:
    alive = "" if row.get("dispatcher_alive", True) else "  its dispatcher is dead: rt work ends it and goes on"
    return f"attempt {row['attempt']} of {row['max_attempts']}, {row['adapter'] or 'starting'}{alive}"
