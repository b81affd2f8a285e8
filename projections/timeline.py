"""A run as an SVG: lanes for the run, its calls, its controller and people; ticks for decisions and output."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

WIDTH = 960
_LEFT, _LANE, _BAR, _TOP = 150, 26, 14, 30
_TICKS = 6


class Bar(NamedTuple):
    """Something that took time. Seconds from the beginning of the run; `kind` is a class of the style sheet."""

    lane: str
    begin_s: float
    end_s: float
    kind: str
    text: str


class Tick(NamedTuple):
    """Something that happened at a moment."""

    lane: str
    at_s: float
    kind: str
    text: str


Row = Mapping[str, Any]


def of_run(run: Row, calls: Sequence[Row], about: Mapping[str, Sequence[Row]]) -> str:
    """The timeline of a run from rows of the tables `runs`, `tool_calls`, and `about`: decisions, approvals, output."""
    return draw(*parts(run, calls, about))


def parts(run: Row, calls: Sequence[Row], about: Mapping[str, Sequence[Row]]) -> tuple[list[Bar], list[Tick], float]:
    """What is drawn of a run, and how many seconds all of it took; from the same rows as `of_run`."""
    start = run["claimed_at"]
    last = max(each for row in (run, *calls) for each in row.values() if hasattr(each, "isoformat"))

    def since(moment: Any) -> float:  # noqa: ANN401  # a datetime
        return max(0.0, float((moment - start).total_seconds()))

    whole = since(run["finished_at"] or last)
    bars = [Bar("run", 0.0, whole, "run", f"{run['state']}, {whole:.2f} s")]
    for call in calls:
        lane = f"c{call['call']} {call['tool']}"
        begin = since(call["started_at"] or call["requested_at"])
        end = since(call["ended_at"]) if call["ended_at"] else whole
        bars.append(Bar(lane, begin, end, "call", f"{call['state']}{' ' + call['cause'] if call['cause'] else ''}"))
    lanes = {call["call"]: f"c{call['call']} {call['tool']}" for call in calls}
    ticks = [
        Tick(lanes[each["call"]], since(each["recorded_at"]), "output", f"{each['size']} bytes")
        for each in about.get("output", ())
        if each["call"] in lanes
    ]
    for each in about.get("decisions", ()):
        at = since(each["recorded_at"])
        thought = each["latency_s"] or 0.0
        if thought:
            bars.append(Bar("controller", max(0.0, at - thought), at, "thinks", f"answered after {thought:.2f} s"))
        words = f"{each['number'] or ''} {each['decision']} {each['cause']}".strip()
        ticks.append(Tick("controller", at, "decision", words))
    for each in about.get("approvals", ()):
        end = since(each["resolved_at"]) if each["resolved_at"] else whole
        bars.append(Bar("people", since(each["requested_at"]), end, "waits", f"{each['tool']}: {each['state']}"))
    return bars, ticks, whole


def draw(bars: Sequence[Bar], ticks: Sequence[Tick], whole_s: float) -> str:
    """The SVG of lanes in the order in which they first appear."""
    lanes = list(dict.fromkeys([*(bar.lane for bar in bars), *(tick.lane for tick in ticks)]))
    whole_s = max(whole_s, 0.001)
    height = _TOP + _LANE * len(lanes) + 10

    def x(at_s: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - 20) * min(1.0, at_s / whole_s), 1)

    def y(lane: str) -> int:
        return _TOP + _LANE * lanes.index(lane)

    parts = [
        f'<svg class="timeline" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="timeline of the run"'
        ' xmlns="http://www.w3.org/2000/svg">'
    ]
    parts += _grid(x, height, whole_s)
    parts += [f'<text class="lane" x="4" y="{y(lane) + 12}">{escape(_short(lane))}</text>' for lane in lanes]
    parts += [
        f'<rect class="{bar.kind}" x="{x(bar.begin_s)}" y="{y(bar.lane)}" height="{_BAR}"'
        f' width="{max(1.5, round(x(bar.end_s) - x(bar.begin_s), 1))}" rx="2">'
        f"<title>{escape(_tame(bar.text))}</title></rect>"
        for bar in bars
    ]
    parts += [
        f'<path class="{tick.kind}" d="M{x(tick.at_s)} {y(tick.lane) - 2}v{_BAR + 4}">'
        f"<title>{escape(_tame(tick.text))}</title></path>"
        for tick in ticks
    ]
    return "".join([*parts, "</svg>"])


def _grid(x: Any, height: int, whole_s: float) -> Iterable[str]:  # noqa: ANN401  # seconds to pixels
    for step in range(_TICKS + 1):
        at_s = whole_s * step / _TICKS
        place = x(at_s)
        yield f'<path class="grid" d="M{place} {_TOP - 8}V{height - 6}"/>'
        yield f'<text class="grid" x="{place}" y="{_TOP - 14}" text-anchor="middle">{_seconds(at_s)}</text>'


def _seconds(at_s: float) -> str:
    return f"{at_s:.0f} s" if at_s >= 10 else f"{at_s:.2f} s" if at_s >= 1 else f"{at_s * 1000:.0f} ms"  # noqa: PLR2004


def _short(text: str) -> str:
    text = _tame(text)
    return text if len(text) <= 20 else f"{text[:19]}…"  # noqa: PLR2004  # what fits beside the lanes


def _tame(text: str) -> str:
    """Nothing that is invisible or turns text around."""
    return "".join(each if each.isprintable() else "·" for each in text)[:200]
