"""Commands about the projection: what its tables are, and what keeps it in shape."""

import os
import sys

import typer

from commands import options, render
from commands.invocation import invocation
from domain import errors

projection = typer.Typer(no_args_is_help=True)


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
    from projections.tables import COLUMNS, TABLE_DOCS, VIEWS

    described = [
        {"table": table, "column": name, "type": kind, "meaning": meaning}
        for table, columns in COLUMNS.items()
        for name, (kind, meaning) in columns.items()
    ]
    described += [
        {"table": view, "column": name, "type": "", "meaning": meaning}
        for view, (_, _, columns) in VIEWS.items()
        for name, meaning in columns.items()
    ]
    if as_json:
        render.documents("rt.column.v1", described, position=0)
        return
    for table, meaning in (TABLE_DOCS | {view: each[0] for view, each in VIEWS.items()}).items():
        render.out(f"{table}: {meaning}")
        for row in described:
            if row["table"] == table:
                render.out(f"  {row['column']:<18} {row['type']:<10} {row['meaning']}")
