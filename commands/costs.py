"""`rt cost`: what models took, by whatever is asked."""

from typing import Annotated, Any, Literal

import typer

from commands import moments, options, render
from commands.invocation import invocation
from commands.wiring import Runtime
from domain import errors
from domain.bounds import LIST_ROWS
from projections.run_pictures import rows

By = Literal["model", "agent", "task", "day", "controller"]
_WHAT: dict[str, str] = {
    "model": "c.model",
    "agent": "t.profile",
    "task": "left(c.task, 8) || ' ' || t.subject",
    "day": "c.recorded_at::DATE::VARCHAR",
    "controller": "c.controller",
}
_SQL = """SELECT {what} AS {by}, count(*) AS answers, sum(c.tokens_in) AS tokens_in, sum(c.tokens_out) AS tokens_out,
       sum(c.cost_usd) AS cost_usd, count(*) FILTER (c.cost_usd IS NULL) AS unknown
FROM costs c JOIN tasks t USING (task) WHERE c.recorded_at >= make_timestamp({since})
GROUP BY 1 ORDER BY cost_usd DESC NULLS LAST, answers DESC, 1 LIMIT {limit}"""


def cost(
    by: Annotated[str, typer.Option("--by", help=f"One of {', '.join(_WHAT)}.")] = "model",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="From then on: 24h, 7d, or a time.")] = "",
    limit: options.Limit = LIST_ROWS,
    as_json: options.Json = False,
) -> None:
    """Show what models cost."""
    options.no_tail()
    runtime = invocation.runtime()
    found, position = costs(runtime, by, since, limit)
    runtime.close()
    if as_json:
        render.documents("rt.cost.v1", found, position=position)
        return
    if not found:
        render.note("no model was asked")
        return
    shown = [
        (
            render.line(str(row[by] or "none")),
            row["answers"],
            row["tokens_in"] or 0,
            row["tokens_out"] or 0,
            "unknown" if row["cost_usd"] is None else f"{row['cost_usd']:.6f}",
            row["unknown"],
        )
        for row in found
    ]
    render.table((by, "answers", "tokens in", "tokens out", "usd", "price unknown"), shown)


def costs(
    runtime: Runtime, by: str, since: str, limit: int, where: tuple[str, str] = ("--by", "--since")
) -> tuple[list[dict[str, Any]], int]:
    """What models took, the dearest first, and the position at which that is true. Raises Invalid."""
    if by not in _WHAT:
        raise errors.Invalid(where=where[0], why=f"{by!r}: one of {', '.join(_WHAT)}")
    since_us = moments.since(since, runtime.clock.now_us(), where[1]) if since else 0
    sql = _SQL.format(what=_WHAT[by], by=by, since=since_us, limit=limit)
    return runtime.projection().ask(lambda database, at: (rows(database, sql), at))
