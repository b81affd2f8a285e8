"""The pictures of one run: what was decided when, spend against its budgets, gaps in its output, its states."""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any, Final

from projections.drawing import SERIES, STATES, Drawn, axes, bars, label, line, many, points
from projections.pictures import Picture, Row

_KINDS: Final[Mapping[str, str]] = {
    "wait": SERIES[7], "tool": SERIES[0], "call": SERIES[0], "ask": SERIES[1], "cancel": SERIES[5], "finish": SERIES[2],
    "none": SERIES[3], "retry": SERIES[6], "block": SERIES[5],
}  # fmt: skip


def _strip(rows: Sequence[Row]) -> Drawn:
    kinds = list(dict.fromkeys(row["decision"] for row in rows))
    traces = [
        points(
            kind,
            [row["at_s"] for row in rows if row["decision"] == kind],
            [label(row["why"] or "derived") for row in rows if row["decision"] == kind],
            _KINDS.get(kind, SERIES[7]),
            marker={"symbol": "line-ns-open", "size": 18, "line": {"width": 4}},
        )
        for kind in kinds
    ]
    last = rows[-1]
    why = label(last["why"] or "its facts")
    title = f"{many(len(rows), 'decision')}; the last one, {label(last['decision'])}, because of {why}"
    layout = {"xaxis": axes("seconds from the claim", "")["xaxis"], "yaxis": {"automargin": True}}
    return Drawn(title, tuple(traces), layout, len(rows))


def _spend(rows: Sequence[Row]) -> Drawn:
    tokens = list(accumulate(row["tokens"] for row in rows))
    costs = list(accumulate(float(row["cost_usd"] or 0) for row in rows))
    unknown = sum(row["cost_usd"] is None for row in rows)
    more = f"; the price of {unknown} answers is not known" if unknown else ""
    times = [row["at_s"] for row in rows]
    traces = (
        line("tokens", times, tokens, SERIES[0], line={"shape": "hv"}, mode="lines+markers"),
        line("US dollars", times, costs, SERIES[1], line={"shape": "hv"}, yaxis="y2", mode="lines+markers"),
    )
    second = {"title": {"text": "US dollars"}, "overlaying": "y", "side": "right", "rangemode": "tozero"}
    title = f"{many(len(rows), 'answer')} took {tokens[-1]} tokens and ${costs[-1]:.4f}{more}"
    return Drawn(title, traces, axes("seconds from the claim", "tokens so far", yaxis2=second), len(rows))


def _gaps(rows: Sequence[Row]) -> Drawn:
    times = [row["at_s"] for row in rows]
    if len(times) < 2:  # noqa: PLR2004  # two ends make a gap
        return Drawn("one piece of output: there are no gaps", (), {}, len(rows))
    gaps = [max(later - earlier, 0.0001) for earlier, later in pairwise(times)]
    longest = max(gaps)
    at = times[gaps.index(longest)]
    layout = axes("seconds from the claim", "seconds to the next output (log scale)")
    layout["yaxis"] = {"title": layout["yaxis"]["title"], "type": "log"}
    trace = points("gap", times[:-1], gaps, SERIES[0])
    return Drawn(f"the longest silence lasted {longest:.2f} s, from {at:.2f} s on", (trace,), layout, len(rows))


def _states(rows: Sequence[Row]) -> Drawn:
    names = list(dict.fromkeys(row["state"] for row in rows))
    spent = {name: sum(row["seconds"] for row in rows if row["state"] == name) for name in names}
    longest = max(spent, key=lambda name: spent[name])
    traces = [bars(name, [spent[name]], ["run"], STATES.get(name, SERIES[7]), orientation="h") for name in names]
    title = f"the run was {label(longest).replace('_', ' ')} for {spent[longest]:.2f} s of {sum(spent.values()):.2f} s"
    return Drawn(title, tuple(traces), axes("seconds", "", barmode="stack"), len(rows))


RUN: Final[tuple[Picture, ...]] = (
    Picture(
        "decisions",
        """SELECT round(epoch(recorded_at - (SELECT claimed_at FROM runs WHERE run = {run})), 4) AS at_s, decision,
       coalesce(nullif(triggers, ''), cause) AS why
FROM decisions WHERE run = {run} ORDER BY position LIMIT 2000""",
        "nothing was decided",
        _strip,
    ),
    Picture(
        "spend",
        """SELECT round(epoch(recorded_at - (SELECT claimed_at FROM runs WHERE run = {run})), 4) AS at_s,
       coalesce(tokens_in, 0) + coalesce(tokens_out, 0) AS tokens, cost_usd
FROM costs WHERE run = {run} ORDER BY position LIMIT 2000""",
        "no model was asked",
        _spend,
    ),
    Picture(
        "gaps",
        """SELECT round(epoch(recorded_at - (SELECT claimed_at FROM runs WHERE run = {run})), 4) AS at_s, size
FROM output WHERE run = {run} ORDER BY position LIMIT 5000""",
        "nothing was printed",
        _gaps,
    ),
    Picture(
        "states",
        """WITH moves AS (
  SELECT position, recorded_at, CASE WHEN topic LIKE 'task.parked.v%' THEN data->>'$.status'
         WHEN topic LIKE 'task.resumed.v%' THEN 'resuming' ELSE 'running' END AS state
  FROM events WHERE data->>'$.run' = {run} AND regexp_matches(topic, '^task\\.(claimed|parked|resumed)\\.v')
), ends AS (SELECT coalesce(finished_at, (SELECT max(recorded_at) FROM events)) AS moment FROM runs WHERE run = {run})
SELECT state, greatest(round(epoch(lead(recorded_at, 1, (SELECT moment FROM ends)) OVER (ORDER BY position)
       - recorded_at), 4), 0) AS seconds FROM moves ORDER BY position""",
        "the run was never claimed",
        _states,
    ),
)


def about(database: Any, run: str) -> dict[str, list[Row]]:  # noqa: ANN401  # a DuckDB connection
    """What a timeline needs beside the run and its calls."""
    queries = {
        "output": "SELECT call, recorded_at, size FROM output WHERE run = ? ORDER BY position LIMIT 2000",
        "decisions": "SELECT recorded_at, number, decision, cause, latency_s FROM decisions WHERE run = ?"
        " ORDER BY position LIMIT 2000",
        "approvals": "SELECT tool, state, requested_at, resolved_at FROM approvals WHERE run = ? ORDER BY position",
        "runs": "SELECT * FROM runs WHERE run = ?",
        "calls": "SELECT * FROM tool_calls WHERE run = ? ORDER BY position LIMIT 200",
    }
    return {name: rows(database, sql, [run]) for name, sql in queries.items()}


def rows(database: Any, sql: str, given: Sequence[Any] = ()) -> list[Row]:  # noqa: ANN401  # a DuckDB connection
    """What a query finds, as objects."""
    found = database.execute(sql, list(given))
    names = [each[0] for each in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]
