"""Pictures as plain data for plotly's JavaScript: traces and layouts. Its Python takes long to load, and is not needed.

Colours: Okabe and Ito's, which people with any colour vision tell apart (source: jfly.uni-koeln.de/color).
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

STATES: Mapping[str, str] = {
    "completed": "#009E73",
    "failed": "#D55E00",
    "canceled": "#999999",
    "lost": "#CC79A7",
    "running": "#56B4E9",
    "waiting_for_approval": "#E69F00",
    "needs_reconcile": "#F0E442",
    "resuming": "#0072B2",
}
SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
LABEL_CHARS = 40
Trace = dict[str, Any]


class Drawn(NamedTuple):
    """A picture: what it finds, as a sentence, and what plotly draws; no traces where there is nothing to draw."""

    title: str
    traces: tuple[Trace, ...] = ()
    layout: Mapping[str, Any] = {}
    n: int = 0


def label(text: object) -> str:
    """A text of the log as a label: short, and none of the markup that plotly would read in it."""
    shown = "".join(each if each.isprintable() else " " for each in str(text))
    shown = shown if len(shown) <= LABEL_CHARS else f"{shown[: LABEL_CHARS - 1]}…"
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def bars(name: str, x: Sequence[Any], y: Sequence[Any], color: str, **more: Any) -> Trace:  # noqa: ANN401  # plotly's
    """Bars that begin at zero."""
    return {"type": "bar", "name": label(name), "x": list(x), "y": list(y), "marker": {"color": color}} | more


def line(name: str, x: Sequence[Any], y: Sequence[Any], color: str, **more: Any) -> Trace:  # noqa: ANN401  # plotly's
    """A line, or steps with `line={"shape": "hv"}`."""
    look = {"color": color} | more.pop("line", {})
    return {"type": "scatter", "mode": "lines", "name": label(name), "x": list(x), "y": list(y), "line": look} | more


def points(name: str, x: Sequence[Any], y: Sequence[Any], color: str, **more: Any) -> Trace:  # noqa: ANN401  # plotly's
    """Points."""
    marker = {"color": color, "size": 7} | more.pop("marker", {})
    return {
        "type": "scatter", "mode": "markers", "name": label(name), "x": list(x), "y": list(y), "marker": marker,
    } | more  # fmt: skip


def axes(x: str, y: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # plotly's
    """A layout with a unit on each axis."""
    xaxis = {"title": {"text": x}} | ({"type": "category"} if x.startswith("day") else {})
    return {"xaxis": xaxis, "yaxis": {"title": {"text": y}, "rangemode": "tozero"}} | more


def many(count: int, noun: str) -> str:
    """A number of things: 1 run, 2 runs."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def percent(part: float, whole: float) -> str:
    """A share in words."""
    return f"{100 * part / whole:.0f} %" if whole else "none"
