"""The one screen of `rt status`, from the projection. Needs nothing that reads a command line."""

from typing import Any

from commands import render
from commands.invocation import invocation


def show(*, as_json: bool) -> None:
    """Print it."""
    from projections import status as questions

    runtime = invocation.runtime()
    found = runtime.projection().ask(questions.status)
    dead = {each[2] for each in runtime.reader.running() if not runtime.liveness.alive(each[2])}
    for run in found["running"]:
        run["dispatcher_alive"] = not dead or _owner(runtime.reader.running(), run["run"]) not in dead
    runtime.close()
    if as_json:
        render.document("rt.status.v1", found)
        return
    _show_status(found)


def _owner(running: list[tuple[str, str, str]], run: str) -> str:
    return next((dispatcher for _, its, dispatcher in running if its == run), "")


def _show_status(found: dict[str, Any]) -> None:
    counts = "  ".join(f"{render.mark(name)} {count}" for name, count in found["counts"].items() if count)
    render.out(f"{counts or 'no tasks yet: rt do -- echo hello'}  · position {found['position']}")
    if found["paused"]:
        render.out("dispatching is paused; rt resume")
    sections = (
        ("waiting for you", "needs_you", lambda row: f"{render.mark(row['status'])}  {row['cause']}"),
        ("running", "running", _running),
        ("failed", "failed", lambda row: row["cause"]),
        ("next", "next", lambda row: f"{render.mark(row['status'])}  at {render.moment(row['due_at'])}"),
    )
    for title, key, describe in sections:
        if found[key]:
            render.out(f"\n{title}")
        for row in found[key]:
            subject = render.line(row["subject"] or row["kind"])[:60]
            render.out(f"  {row['task'][:8]}  {subject:<40}  {describe(row)}")
    if found["needs_you"]:
        waits = any(
            row["status"] == "waiting_for_approval" or row["cause"] == "needs_reconcile" for row in found["needs_you"]
        )
        answer = "rt approval list · " if waits else ""
        render.out(f"\n{answer}rt task show TASK · rt retry TASK · rt unblock TASK · rt cancel TASK")
    if found["oldest_due"]:
        since = render.moment(found["oldest_due"]["since"])
        render.out(f"\noldest task that is due: {found['oldest_due']['task'][:8]}, since {since}; rt work")


def _running(row: dict[str, Any]) -> str:
    alive = "" if row["dispatcher_alive"] else "  its dispatcher is dead: rt work ends it and goes on"
    return f"attempt {row['attempt']} of {row['max_attempts']}, {row['adapter'] or 'starting'}{alive}"
