"""`rt report`: a period, a run, or two moments beside each other; as text, as JSON, as one HTML file."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from commands import documents, moments, options, render
from commands.invocation import invocation
from commands.report_page import Page, Section, html
from commands.wiring import Runtime
from domain import errors
from projections.drawing import Drawn, many
from projections.pictures import PERIOD, Picture
from projections.run_pictures import RUN, about, rows

if TYPE_CHECKING:
    from projections.catch_up import Database

_RECENT = """SELECT run, adapter, claimed_at::DATE AS day FROM runs
WHERE claimed_at BETWEEN {since} AND {until} AND finished_at IS NOT NULL ORDER BY position DESC LIMIT 200"""
_TOTALS = """SELECT
  (SELECT count(*) FROM runs WHERE claimed_at BETWEEN {since} AND {until}) AS runs,
  (SELECT count(*) FROM tasks WHERE created_at BETWEEN {since} AND {until}) AS tasks_taken_in,
  (SELECT count(*) FROM tasks WHERE status = 'completed' AND updated_at BETWEEN {since} AND {until}) AS tasks_completed,
  (SELECT count(*) FROM tasks WHERE status IN ('blocked', 'waiting_for_approval')) AS wait_for_people,
  (SELECT coalesce(sum(cost_usd), 0)::DOUBLE FROM costs WHERE recorded_at BETWEEN {since} AND {until}) AS cost_usd"""


class Report(NamedTuple):
    """What a report says, before it takes a form."""

    page: Page
    document: dict[str, Any]


def report(  # what is reported, and in which form
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help="One run; else a period.")] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="From then on: 24h, 7d, or a time.")] = "",
    before: Annotated[
        str,
        typer.Option("--before", "--from", metavar="POS", help="Compare: a position, a time, a snapshot."),
    ] = "",
    after: Annotated[str, typer.Option("--after", "--to", metavar="POS", help="… with this one; else now.")] = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write one HTML file.")] = None,
    only: Annotated[str, typer.Option("--only", metavar="NAME", help="Only this picture.")] = "",
    as_json: options.Json = False,
) -> None:
    """Report."""
    options.no_tail()
    if (before or after) and (run or since):
        raise errors.Invalid(where="--before, --after", why="compare two moments: leave RUN and --since out")
    if after and not before:
        raise errors.Invalid(where="--after", why="belongs to --before")
    runtime = invocation.runtime()
    try:
        if before:
            from commands import snapshots

            snapshots.compare(runtime, before, after, as_json=as_json, out=out)
            return
        found = of_run(runtime, runtime.find_run(run), only) if run else of_period(runtime, since or "24h", only)
        _give(runtime, found, out, as_json=as_json)
    finally:
        runtime.close()


def _give(runtime: Runtime, found: Report, out: Path | None, *, as_json: bool) -> None:
    if out is not None:
        write(runtime, out, found.page)
    if as_json:
        render.document("rt.report.v1", found.document)
    elif out is None:
        show(found.page)


def write(runtime: Runtime, target: Path, page: Page) -> None:
    """Write the file, whole or not at all, over one that is there."""
    runtime.files.write(documents.target(target), html(page).encode())
    render.note(f"{target}: {len(page.sections)} pictures and tables, in one file")


def show(page: Page) -> None:
    """The report as text: what each picture finds."""
    render.out(render.line(page.title))
    render.out(render.line(page.subtitle))
    for name, value in page.cards:
        render.out(f"  {name:<22} {render.line(value)}")
    for finding in dict.fromkeys(each.drawn.title for each in page.sections):  # several can find the same
        render.out(f"· {_unescaped(finding)}")
    render.note(page.footer)


def _unescaped(title: str) -> str:
    from html import unescape

    return render.line(unescape(title))


def of_period(runtime: Runtime, since: str, only: str, *, jobs: int = 0) -> Report:
    """The report of a period that ends now; `only` one of its pictures. Raises Invalid. `jobs`: see replays.audit."""
    from replays.audit import RUN as KIND
    from replays.audit import Wanted, audit

    wanted = _pictures(PERIOD, only, also=("replay",))

    def question(database: "Database", position: int) -> tuple[Any, ...]:
        [[head]] = database.execute("SELECT max(recorded_at) FROM events").fetchall()
        until_us = _us(head) if head is not None else runtime.clock.now_us()  # of an empty log: of now
        from_us = moments.since(since, until_us)
        named = {"since": _timestamp(from_us), "until": _timestamp(until_us)}
        sections = [_section(database, each, named) for each in wanted]
        recent = rows(database, _RECENT.format(**named))
        return position, from_us, until_us, sections, recent, _totals(database, named)

    position, from_us, until_us, sections, recent, totals = runtime.projection().ask(question)
    if only in ("", "replay"):
        verdicts = list(audit(runtime.home.state, [Wanted(KIND, each["run"]) for each in recent], jobs=jobs))
        sections = [*sections, replay_matrix(recent, [each.cause is None for each in verdicts])]
    span = f"{render.moment_us(from_us)[:19]}Z to {render.moment_us(until_us)[:19]}Z"
    page = Page(
        title=f"{runtime.config.runtime_name}: what happened",
        subtitle=span,
        cards=[(name, str(value)) for name, value in totals.items()],
        sections=sections,
        footer=_footer(runtime, position),
    )
    return Report(page, _document(page, position, {"since": span[:20], "until": span[-20:], "totals": totals}))


def _totals(database: "Database", named: dict[str, str]) -> dict[str, Any]:
    [found] = rows(database, _TOTALS.format(**named))
    return found


def replay_matrix(recent: Sequence[dict[str, Any]], identical: Sequence[bool]) -> Section:
    """Which runs today's code decides as recorded, by adapter and day: only an event-sourced runtime can say that."""
    if not recent:
        return Section("replay", Drawn("no run ended, so none was replayed"))
    days = sorted({each["day"] for each in recent})
    adapters = sorted({each["adapter"] or "none" for each in recent})
    cells: dict[tuple[Any, Any], list[bool]] = {}
    for each, same in zip(recent, identical, strict=True):
        cells.setdefault((each["adapter"] or "none", each["day"]), []).append(same)
    shares = [[_share(cells.get((adapter, day))) for day in days] for adapter in adapters]
    wrong = len(identical) - sum(identical)
    title = (
        f"{wrong} of the latest {many(len(identical), 'run')} would be decided otherwise by today's code"
        if wrong
        else f"today's code decides the latest {many(len(identical), 'run')} exactly as recorded"
    )
    trace = {
        "type": "heatmap", "x": days, "y": adapters, "z": shares, "zmin": 0, "zmax": 1, "xgap": 2, "ygap": 2,
        "colorscale": [[0, "#D55E00"], [0.999, "#E69F00"], [1, "#009E73"]],
        "colorbar": {"title": {"text": "identical"}, "tickformat": ".0%"},
    }  # fmt: skip
    layout = {"xaxis": {"title": {"text": "day (UTC)"}, "type": "category"}, "yaxis": {"title": {"text": "adapter"}}}
    table = [
        {"adapter": adapter, "day": day, "runs": len(found), "identical": sum(found)}
        for (adapter, day), found in sorted(cells.items())
    ]
    return Section("replay", Drawn(title, (trace,), layout, len(identical)), "rt replay --all --since …", table)


def _share(found: list[bool] | None) -> float | None:
    return None if not found else sum(found) / len(found)


def of_run(runtime: Runtime, run: str, only: str) -> Report:
    """The report of one run."""
    from projections import timeline
    from replays.audit import RUN as KIND
    from replays.audit import Wanted, verdict

    wanted = _pictures(RUN, only, also=("timeline", "replay"))

    def question(database: "Database", position: int) -> tuple[Any, ...]:
        return position, [_section(database, each, {"run": f"'{run}'"}) for each in wanted], about(database, run)

    position, pictures, found = runtime.projection().ask(question)
    [row] = found["runs"]
    [task] = runtime.projection().ask(
        lambda database, _: rows(database, "SELECT * FROM tasks WHERE task = ?", [row["task"]])
    )
    took = ((row["finished_at"] or row["claimed_at"]) - row["claimed_at"]).total_seconds()
    drawn = Drawn(f"the run took {took:.2f} s and made {many(len(found['calls']), 'call')}", n=len(found["calls"]))
    sections = [Section("timeline", drawn, svg=timeline.of_run(row, found["calls"], found))]
    seen = verdict(runtime.readable, Wanted(KIND, run))
    difference = seen.result.difference
    said = (
        "today's code decides this run exactly as recorded" if difference is None else "today's code decides otherwise"
    )
    sections += [*pictures, Section("replay", Drawn(said), text=str(difference or ""))]
    sections = [each for each in sections if only in ("", each.name)]
    cards = [
        ("state", row["state"]),
        ("cause", row["cause"] or "none"),
        ("adapter", row["adapter"]),
        ("attempt", f"{row['attempt']} of {task['max_attempts']}"),
        ("took", f"{took:.2f} s"),
    ]
    title = f"run {run[:8]}: {task['subject'] or task['kind']}"
    page = Page(
        title, f"task {row['task'][:8]}, claimed {row['claimed_at']}Z", cards, sections, _footer(runtime, position)
    )
    return Report(page, _document(page, position, {"run": run, "state": row["state"], "cause": row["cause"]}))


def _pictures(every: Sequence[Picture], only: str, also: Sequence[str]) -> list[Picture]:
    if only and only not in (*(each.name for each in every), *also):
        known = ", ".join((*(each.name for each in every), *also))
        raise errors.Invalid(where="--only", why=f"no picture {only!r}; there are: {known}")
    return [each for each in every if only in ("", each.name)]


def _section(database: "Database", picture: Picture, named: dict[str, str]) -> Section:
    sql = picture.sql.format(**named)
    found = rows(database, sql)
    return Section(picture.name, picture.make(found) if found else Drawn(picture.empty), sql, found)


def _document(page: Page, position: int, about_it: dict[str, Any]) -> dict[str, Any]:
    pictures = [
        {
            "name": each.name,
            "finding": _unescaped(each.drawn.title),
            "n": each.drawn.n,
            "query": each.sql,
            "rows": each.rows,
        }
        for each in page.sections
    ]
    return {"position": position} | about_it | {"pictures": pictures}


def _footer(runtime: Runtime, position: int) -> str:
    from importlib.metadata import version

    head = (runtime.reader.hash_at(position) or b"").hex()[:16]
    return f"true at position {position} of the log, chain hash {head}; drawn with plotly {version('plotly')}"


def _us(moment: datetime) -> int:
    since = moment - datetime(1970, 1, 1)  # noqa: DTZ001  # the tables hold UTC without saying so
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _timestamp(at_us: int) -> str:
    return f"make_timestamp({at_us})"
