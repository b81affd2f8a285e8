"""`rt diff`: two runs beside each other."""

from typing import Any

import typer

from commands import options, render
from commands.invocation import invocation
from commands.wiring import Runtime
from replays.diff import Difference

_ROWS = ("state", "cause", "events", "decisions", "tool_calls", "output_bytes", "seconds", "tokens", "cost_usd")


def diff(one: options.RunArgument, other: options.RunArgument, *, as_json: options.Json = False) -> None:
    """Compare two runs."""
    from replays.diff import diff as difference

    options.no_tail()
    runtime = invocation.runtime()
    a, b = runtime.find_run(one), runtime.find_run(other)
    found = difference(*(runtime.readable.run_events(run, bodies=True) for run in (a, b)))
    position = runtime.readable.head().position
    runtime.close()
    if as_json:
        render.document("rt.diff.v1", {"same": found.first is None, "position": position} | _document(found))
    else:
        _show(found)
    if found.first is not None:
        raise typer.Exit(1)


def compared(runtime: Runtime, a: str, b: str) -> dict[str, Any]:
    """Two runs beside each other, for programs."""
    from replays.diff import diff as difference

    found = difference(*(runtime.readable.run_events(run, bodies=True) for run in (a, b)))
    return {"same": found.first is None} | _document(found)


def _document(found: Difference) -> dict[str, Any]:
    import msgspec

    document: dict[str, Any] = msgspec.to_builtins(found)
    return document


def _show(found: Difference) -> None:
    a, b = found.a, found.b
    first = found.first
    if first is None:
        render.out(f"the same: runs {a.run[:8]} and {b.run[:8]} say the same in every event")
    else:
        field = f", field {first.field}" if first.field else ""
        render.out(f"first difference at event {first.number}: {first.event}{field}")
        for run, position, value in ((a.run, first.a_position, first.a), (b.run, first.b_position, first.b)):
            at = f"at {position}" if position else "ends before"
            render.out(f"  {run[:8]} {at:<12} {render.line('nothing' if value is None else value)}")
    rows = [(name, _cell(getattr(a, name)), _cell(getattr(b, name))) for name in _ROWS]
    render.table(("", a.run[:8], b.run[:8]), rows)


def _cell(value: object) -> str:
    return "unknown" if value is None else f"{value:.6f}" if isinstance(value, float) and value < 1 else str(value)
