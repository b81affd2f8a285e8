"""Commands that ask the projection, and what keeps it in shape."""

import csv
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from commands import documents, options, render
from commands.invocation import invocation
from domain import errors
from domain.bounds import SQL_ROWS_MAX

projection = typer.Typer(no_args_is_help=True)


def sql(  # forms of output
    query: Annotated[str | None, typer.Argument(metavar="[QUERY]", help="A SELECT, @file, or - for stdin.")] = None,
    as_json: options.Json = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_table: Annotated[bool, typer.Option("--table", help="Print a table (the default).")] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=SQL_ROWS_MAX, help="At most so many rows.")
    ] = SQL_ROWS_MAX,
) -> None:
    """Ask one SELECT."""
    options.no_tail()
    from adapters import sandbox

    if as_json + as_csv + as_table > 1:
        raise typer.BadParameter("choose one of --json, --csv, --table")
    if query is None:
        raise errors.Invalid(
            where="QUERY", why='is missing; for example: rt sql "SELECT status, count(*) FROM tasks GROUP BY 1"'
        )
    text = query
    if query == "-":
        text = documents.decode(sys.stdin.buffer.read(), "standard input")
    elif query.startswith("@"):
        try:
            text = documents.decode(Path(query[1:]).read_bytes(), query[1:])
        except OSError as problem:
            raise errors.Invalid(where=query[1:], why=f"cannot be read: {problem.strerror}") from None
    runtime = invocation.runtime()
    with tempfile.TemporaryDirectory(prefix="rt-sql-") as folder:
        copy = Path(folder) / "copy"  # a neutral name: queries can see it
        position = runtime.projection().copy(copy)
        runtime.close()
        found = sandbox.ask(copy, text, rows_max=limit)
    _show_rows(found, position, "json" if as_json else "csv" if as_csv else "table")


def _show_rows(found: dict[str, Any], position: int, form: str) -> None:
    if form == "json":
        render.document("rt.sql.v1", {"position": position} | found)
        return
    if form == "csv":
        made = io.StringIO()
        writer = csv.writer(made, lineterminator="\n")
        writer.writerow(found["columns"])
        writer.writerows([_cell(cell) for cell in row] for row in found["rows"])
        render.raw(made.getvalue().encode())
    elif found["rows"]:
        render.table(found["columns"], [[_cell(cell) for cell in row] for row in found["rows"]])
    render.note(
        f"-- at position {position}, {len(found['rows'])} rows{', cut: there are more' if found['truncated'] else ''}"
    )


def _cell(cell: object) -> object:
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, list | dict) else cell


@projection.command("rebuild", help="Throw the tables away and compute them from the whole log.")
def rebuild(*, as_json: options.Json = False) -> None:
    """Rebuild the tables."""
    runtime = invocation.runtime()
    runtime.reader.head()  # there must be a log
    if not os.access(runtime.home.state, os.W_OK):
        raise errors.StoreFull(path=str(runtime.home.state), why="it cannot be written, so there is nothing to rebuild")

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            render.note(f"{done} of {total} events")

    position = runtime.projection(progress).rebuild()
    runtime.close()
    if as_json:
        render.document("rt.projection.v1", {"position": position})
    else:
        render.out(f"rebuilt: true at position {position}")


@projection.command("tables", help="The tables and their columns, with what each means.")
def tables(*, as_json: options.Json = False) -> None:
    """Describe the tables."""
    from projections.tables import COLUMNS, TABLE_DOCS

    described = [
        {"table": table, "column": name, "type": kind, "meaning": meaning}
        for table, columns in COLUMNS.items()
        for name, (kind, meaning) in columns.items()
    ]
    if as_json:
        render.documents("rt.column.v1", described, position=0)
        return
    for table, meaning in TABLE_DOCS.items():
        render.out(f"{table}: {meaning}")
        for row in described:
            if row["table"] == table:
                render.out(f"  {row['column']:<18} {row['type']:<10} {row['meaning']}")
