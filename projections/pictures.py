"""The pictures of a period: each is one query, and a sentence that says what its rows show.

A query is the one that gives the same numbers in `rt sql`; `{since}` and `{until}` become times.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple

from projections.drawing import SERIES, STATES, Drawn, axes, bars, label, line, many, percent, points

Row = dict[str, Any]
_NEARLY_ALL = 0.95


class Picture(NamedTuple):
    """One picture. `make` is called with at least one row."""

    name: str
    sql: str
    empty: str  # what to say where there are no rows
    make: Callable[[Sequence[Row]], Drawn]


def _runs_a_day(rows: Sequence[Row]) -> Drawn:
    total = sum(row["runs"] for row in rows)
    failed = [row for row in rows if row["state"] in ("failed", "lost")]
    wrong = sum(row["runs"] for row in failed)
    title = (
        f"{wrong} of {many(total, 'run')} failed or were lost ({percent(wrong, total)})"
        if wrong
        else f"of {many(total, 'run')} none failed or was lost"
    )
    states = list(dict.fromkeys(row["state"] for row in rows))
    traces = [
        bars(
            state,
            [row["day"] for row in rows if row["state"] == state],
            [row["runs"] for row in rows if row["state"] == state],
            STATES.get(state, SERIES[-1]),
        )
        for state in states
    ]
    return Drawn(title, tuple(traces), axes("day (UTC)", "runs", barmode="stack"), total)


def _raster(rows: Sequence[Row]) -> Drawn:
    states = list(dict.fromkeys(row["state"] for row in rows))
    traces = [
        points(
            state,
            [row["claimed_at"] for row in rows if row["state"] == state],
            [label(row["adapter"] or "none") for row in rows if row["state"] == state],
            STATES.get(state, SERIES[-1]),
            marker={"symbol": "square", "size": 8},
        )
        for state in states
    ]
    adapters = len({row["adapter"] for row in rows})
    title = f"{many(adapters, 'adapter')} carried out the latest {many(len(rows), 'run')}"
    return Drawn(title, tuple(traces), axes("claimed (UTC)", "adapter"), len(rows))


def _durations(rows: Sequence[Row]) -> Drawn:
    adapters = list(dict.fromkeys(row["adapter"] for row in rows))
    traces = []
    slowest, worst = "", 0.0
    for number, adapter in enumerate(adapters):
        mine = [row for row in rows if row["adapter"] == adapter]
        traces.append(
            line(
                adapter or "none", [row["seconds"] for row in mine], [row["share"] for row in mine], SERIES[number % 8]
            )
        )
        p95 = next((row["seconds"] for row in mine if row["share"] >= _NEARLY_ALL), 0.0)
        if p95 >= worst:
            slowest, worst = adapter or "none", p95
    title = f"19 of 20 runs end within {worst:.2f} s, also with the slowest adapter, {label(slowest)}"
    layout = axes("seconds from claim to end (log scale)", "share of runs")
    layout["xaxis"]["type"] = "log"
    return Drawn(title, tuple(traces), layout, len(rows))


def _waits(rows: Sequence[Row]) -> Drawn:
    kinds = [label(row["kind"]) for row in rows]
    parts = (("queue_s", "in the queue"), ("person_s", "for a person"), ("run_s", "running"))
    totals = {text: sum(row[name] * row["tasks"] for row in rows) for name, text in parts}
    largest = max(totals, key=lambda text: totals[text])
    whole = sum(totals.values())
    title = f"most of the time of tasks is spent {largest} ({percent(totals[largest], whole)})"
    traces = [bars(text, kinds, [row[name] for row in rows], SERIES[at]) for at, (name, text) in enumerate(parts)]
    return Drawn(
        title, tuple(traces), axes("kind of task", "mean seconds", barmode="stack"), sum(row["tasks"] for row in rows)
    )


def _cost(rows: Sequence[Row]) -> Drawn:
    spent = sum(float(row["cost_usd"] or 0) for row in rows)
    unknown = sum(row["unknown"] for row in rows)
    more = f"; of {unknown} answers nobody knows the price" if unknown else ""
    models = list(dict.fromkeys(row["model"] for row in rows))
    traces = [
        bars(
            model or "none",
            [row["day"] for row in rows if row["model"] == model],
            [float(row["cost_usd"] or 0) for row in rows if row["model"] == model],
            SERIES[at % 8],
        )
        for at, model in enumerate(models)
    ]
    title = f"models cost ${spent:.4f}{more}"
    return Drawn(
        title, tuple(traces), axes("day (UTC)", "US dollars", barmode="stack"), sum(row["answers"] for row in rows)
    )


def _failures(rows: Sequence[Row]) -> Drawn:
    total = sum(row["runs"] for row in rows)
    causes = [label(row["cause"] or "none") for row in rows]
    shares = [100 * so_far / total for so_far in accumulate(row["runs"] for row in rows)]
    title = f"{causes[0]} is behind {percent(rows[0]['runs'], total)} of {many(total, 'failed run')}"
    traces = (
        bars("runs", causes, [row["runs"] for row in rows], SERIES[5]),
        line("share so far", causes, shares, SERIES[0], yaxis="y2", mode="lines+markers"),
    )
    second = {"title": {"text": "% of failures"}, "overlaying": "y", "side": "right", "range": [0, 105]}
    return Drawn(title, traces, axes("cause", "runs", yaxis2=second), total)


def _attempts(rows: Sequence[Row]) -> Drawn:
    total = sum(row["tasks"] for row in rows)
    first = sum(row["tasks"] for row in rows if row["attempts"] == 1)
    title = f"{percent(first, total)} of {many(total, 'completed task')} needed one attempt"
    trace = bars("tasks", [row["attempts"] for row in rows], [row["tasks"] for row in rows], SERIES[2])
    return Drawn(
        title,
        (trace,),
        axes("attempts", "completed tasks", xaxis={"title": {"text": "attempts"}, "type": "category"}),
        total,
    )


def _people(rows: Sequence[Row]) -> Drawn:
    seconds = sorted(row["seconds"] for row in rows if row["seconds"] is not None)
    open_ones = sum(row["seconds"] is None for row in rows)
    more = f"; {open_ones} still wait" if open_ones else ""
    if not seconds:
        return Drawn(f"{open_ones} approvals still wait, none was answered", (), {}, len(rows))
    middle = seconds[len(seconds) // 2]
    tools = list(dict.fromkeys(row["tool"] for row in rows))
    traces = [
        points(
            tool,
            [row["requested_at"] for row in rows if row["tool"] == tool and row["seconds"] is not None],
            [row["seconds"] for row in rows if row["tool"] == tool and row["seconds"] is not None],
            SERIES[at % 8],
        )
        for at, tool in enumerate(tools)
    ]
    title = f"half of {many(len(seconds), 'approval')} came within {middle:.1f} s{more}"
    layout = axes("asked (UTC)", "seconds to the answer (log scale)")
    layout["yaxis"] = {"title": layout["yaxis"]["title"], "type": "log"}
    return Drawn(title, tuple(traces), layout, len(rows))


def _schedules(rows: Sequence[Row]) -> Drawn:
    fired, skipped = sum(row["fired"] for row in rows), sum(row["skipped"] for row in rows)
    names = [label(row["name"]) for row in rows]
    title = f"schedules made {many(fired, 'task')} and skipped {many(skipped, 'slot')}"
    traces = (
        bars("fired", names, [row["fired"] for row in rows], SERIES[2]),
        bars("skipped", names, [row["skipped"] for row in rows], SERIES[5]),
    )
    return Drawn(title, traces, axes("schedule", "slots", barmode="stack"), fired + skipped)


def _saved(rows: Sequence[Row]) -> Drawn:
    known = [row for row in rows if row["saved_s"] is not None]
    saved = sum(row["saved_s"] for row in known)
    unknown = len(rows) - len(known)
    more = f"; of {unknown} there is no baseline" if unknown else ""
    title = f"{many(len(known), 'early cancel')} saved {saved:.0f} s against a stated baseline{more}"
    bases = list(dict.fromkeys(row["basis"] for row in known))
    traces = [
        bars(
            basis,
            [label(row["tool"]) for row in known if row["basis"] == basis],
            [row["saved_s"] for row in known if row["basis"] == basis],
            SERIES[at % 8],
        )
        for at, basis in enumerate(bases)
    ]
    return Drawn(title, tuple(traces), axes("tool", "seconds not waited", barmode="stack"), len(rows))


def _growth(rows: Sequence[Row]) -> Drawn:
    events, size = sum(row["events"] for row in rows), sum(row["bytes"] for row in rows)
    topics: dict[str, int] = {}
    for row in rows:
        topics[row["topic"]] = topics.get(row["topic"], 0) + row["events"]
    largest = sorted(topics, key=lambda topic: -topics[topic])[:7]
    traces = [
        bars(
            topic,
            [row["day"] for row in rows if row["topic"] == topic],
            [row["events"] for row in rows if row["topic"] == topic],
            SERIES[at % 8],
        )
        for at, topic in enumerate(largest)
    ]
    title = f"the log grew by {many(events, 'event')}, {size / 1e6:.2f} MB of JSON; most are {largest[0]}"
    return Drawn(title, tuple(traces), axes("day (UTC)", "events", barmode="stack"), events)


def _lag(rows: Sequence[Row]) -> Drawn:
    worst = max(row["behind"] for row in rows)
    oldest = max(row["behind_s"] for row in rows)
    title = f"when somebody looked, the tables lacked at most {many(worst, 'event')}, the oldest {oldest:.0f} s old"
    trace = line("behind", [row["recorded_at"] for row in rows], [row["behind"] for row in rows], SERIES[0])
    return Drawn(title, (trace,), axes("measured (UTC)", "events that the tables lack until asked"), len(rows))


def _appends(rows: Sequence[Row]) -> Drawn:
    appends = sum(row["appends"] for row in rows)
    worst = max(rows, key=lambda row: row["p99_ms"])
    title = f"99 of 100 of {many(appends, 'append')} were durable within {worst['p99_ms']:.1f} ms at every time"
    times = [row["recorded_at"] for row in rows]
    traces = (
        line("p50", times, [row["p50_ms"] for row in rows], SERIES[2]),
        line("p99", times, [row["p99_ms"] for row in rows], SERIES[5]),
    )
    layout = axes("measured (UTC)", "milliseconds until durable (log scale)")
    layout["yaxis"] = {"title": layout["yaxis"]["title"], "type": "log"}
    return Drawn(title, traces, layout, appends)


PERIOD: Final[tuple[Picture, ...]] = (
    Picture(
        "runs",
        """SELECT claimed_at::DATE AS day, state, count(*) AS runs FROM runs
WHERE claimed_at BETWEEN {since} AND {until} GROUP BY ALL ORDER BY day, state""",
        "no run was claimed",
        _runs_a_day,
    ),
    Picture(
        "raster",
        """SELECT claimed_at, adapter, state FROM runs WHERE claimed_at BETWEEN {since} AND {until}
ORDER BY position DESC LIMIT 2000""",
        "no run was claimed",
        _raster,
    ),
    Picture(
        "durations",
        """WITH ended AS (
  SELECT adapter, greatest(epoch(finished_at - claimed_at), 0.001) AS seconds FROM runs
  WHERE finished_at IS NOT NULL AND claimed_at BETWEEN {since} AND {until}
), quantiles AS (
  SELECT adapter, quantile_cont(seconds, [0, .05, .1, .15, .2, .25, .3, .35, .4, .45, .5, .55, .6, .65, .7,
         .75, .8, .85, .9, .95, 1]) AS found FROM ended GROUP BY adapter
)
SELECT adapter, (i - 1) / 20.0 AS share, round(found[i], 4) AS seconds
FROM quantiles, (SELECT unnest(range(1, 22)) AS i) ORDER BY adapter, share""",
        "no run ended",
        _durations,
    ),
    Picture(
        "waits",
        """SELECT t.kind, count(*) AS tasks,
       round(avg(greatest(epoch(r.claimed_at - greatest(t.created_at, coalesce(t.due_at, t.created_at))), 0)), 3)
           AS queue_s,
       round(avg(coalesce(a.person_s, 0)), 3) AS person_s,
       round(avg(greatest(epoch(coalesce(r.finished_at, r.claimed_at) - r.claimed_at) - coalesce(a.person_s, 0), 0)), 3)
           AS run_s
FROM runs r JOIN tasks t USING (task) LEFT JOIN (
  SELECT run, sum(epoch(resolved_at - requested_at)) AS person_s FROM approvals
  WHERE resolved_at IS NOT NULL GROUP BY run
) a ON a.run = r.run WHERE r.claimed_at BETWEEN {since} AND {until} GROUP BY t.kind ORDER BY tasks DESC LIMIT 12""",
        "no run was claimed",
        _waits,
    ),
    Picture(
        "cost",
        """SELECT recorded_at::DATE AS day, model, count(*) AS answers, sum(cost_usd) AS cost_usd,
       count(*) FILTER (cost_usd IS NULL) AS unknown FROM costs
WHERE recorded_at BETWEEN {since} AND {until} GROUP BY ALL ORDER BY day, model""",
        "no model was asked",
        _cost,
    ),
    Picture(
        "failures",
        """SELECT cause, count(*) AS runs FROM runs
WHERE state IN ('failed', 'lost') AND claimed_at BETWEEN {since} AND {until}
GROUP BY cause ORDER BY runs DESC LIMIT 15""",
        "no run failed",
        _failures,
    ),
    Picture(
        "attempts",
        """SELECT attempts, count(*) AS tasks FROM tasks
WHERE status = 'completed' AND updated_at BETWEEN {since} AND {until} GROUP BY attempts ORDER BY attempts""",
        "no task was completed",
        _attempts,
    ),
    Picture(
        "people",
        """SELECT tool, requested_at, epoch(resolved_at - requested_at) AS seconds FROM approvals
WHERE requested_at BETWEEN {since} AND {until} ORDER BY position DESC LIMIT 2000""",
        "nobody was asked for a yes",
        _people,
    ),
    Picture(
        "schedules",
        """SELECT s.name, count(*) FILTER (e.topic LIKE 'schedule.fired.v%') AS fired,
       coalesce(sum((e.data->>'$.count')::BIGINT) FILTER (e.topic LIKE 'schedule.skipped.v%'), 0)::BIGINT AS skipped
FROM events e JOIN schedules s ON s.schedule = e.stream
WHERE e.topic LIKE 'schedule.%' AND e.recorded_at BETWEEN {since} AND {until}
GROUP BY s.name HAVING fired + skipped > 0 ORDER BY fired DESC LIMIT 20""",
        "no schedule came due",
        _schedules,
    ),
    Picture(
        "saved",
        """SELECT e.tool, e.saved_s, coalesce(e.basis, '') AS basis FROM early_cancels e JOIN runs r USING (run)
WHERE r.claimed_at BETWEEN {since} AND {until} ORDER BY e.saved_s DESC NULLS LAST LIMIT 500""",
        "no call was ended early",
        _saved,
    ),
    Picture(
        "growth",
        """SELECT recorded_at::DATE AS day, regexp_replace(topic, '\\.v[0-9]+$', '') AS topic,
       count(*) AS events, sum(strlen(data::VARCHAR)) AS bytes FROM events
WHERE recorded_at BETWEEN {since} AND {until} GROUP BY ALL ORDER BY day, topic""",
        "nothing happened",
        _growth,
    ),
    Picture(
        "lag",
        """SELECT recorded_at, (data->>'$.behind')::BIGINT AS behind, (data->>'$.behind_us')::BIGINT / 1e6 AS behind_s
FROM events WHERE topic LIKE 'log.measured.v%' AND recorded_at BETWEEN {since} AND {until}
ORDER BY position DESC LIMIT 2000""",
        "no dispatcher worked for ten minutes at a stretch",
        _lag,
    ),
    Picture(
        "appends",
        """SELECT recorded_at, (data->>'$.appends')::BIGINT AS appends, (data->>'$.p50_us')::BIGINT / 1e3 AS p50_ms,
       (data->>'$.p99_us')::BIGINT / 1e3 AS p99_ms, (data->>'$.most_us')::BIGINT / 1e3 AS most_ms
FROM events WHERE topic LIKE 'log.measured.v%' AND recorded_at BETWEEN {since} AND {until}
ORDER BY position DESC LIMIT 2000""",
        "no dispatcher worked for ten minutes at a stretch",
        _appends,
    ),
)
