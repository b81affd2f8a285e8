"""`rt sql`: one SELECT on a private copy of the tables, in a child that can do nothing else; or a shell for many."""

import csv
import io
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from commands import documents, options, render
from commands.invocation import invocation
from commands.wiring import Runtime
from domain import errors
from domain.bounds import SQL_ROWS_MAX

if TYPE_CHECKING:
    from adapters.sandbox import Forge

Form = Literal["table", "csv", "json", "jsonl"]


class Answer(NamedTuple):
    """What a query found, and at which position it is true."""

    found: dict[str, Any]
    position: int


def sql(  # forms of output
    query: Annotated[
        str | None, typer.Argument(metavar="[QUERY]", help="A SELECT, @file, or - for stdin; without it a shell.")
    ] = None,
    as_json: options.Json = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="Print a JSON object a row.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    as_table: Annotated[bool, typer.Option("--table", help="Print a table (the default).")] = False,
    parquet: Annotated[Path | None, typer.Option("--parquet", metavar="FILE", help="Write a Parquet file.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=SQL_ROWS_MAX, help="At most so many rows.")
    ] = SQL_ROWS_MAX,
    at: Annotated[
        str, typer.Option("--at", metavar="POS", help="The past as it was at a position or time, from the log itself.")
    ] = "",
    param: Annotated[
        list[str] | None, typer.Option("--param", metavar="NAME=VALUE", help="A value for $NAME in the query.")
    ] = None,
    open_it: Annotated[
        Path | None,
        typer.Option(
            "--open", metavar="FILE", help="Write a copy of the tables, for any DuckDB client, and ask nothing."
        ),
    ] = None,
) -> None:
    """Ask one SELECT."""
    options.no_tail()
    if as_json + as_jsonl + as_csv + as_table + (parquet is not None) > 1:
        raise typer.BadParameter("choose one of --json, --jsonl, --csv, --table, --parquet")
    form: Form = "json" if as_json else "jsonl" if as_jsonl else "csv" if as_csv else "table"
    runtime = invocation.runtime()
    if open_it is not None:
        if query is not None or param or parquet:
            raise errors.Invalid(where="--open", why="writes a file and asks nothing: leave QUERY and --param out")
        _hand_out(runtime, open_it, at, as_json=as_json)
        return
    parameters = _parameters(param or [])
    if query is None:
        _shell(runtime, form, at)
        return
    text = _text(query)
    with copied(runtime, at) as (copy, position):
        runtime.close()
        answer = ask(copy, position, text, rows_max=limit, parameters=parameters)
    if parquet is not None:
        _write_parquet(answer, parquet)
    else:
        show(answer, form)


def ask(
    copy: Path,
    position: int,
    text: str,
    *,
    rows_max: int,
    parameters: dict[str, Any] | None = None,
    forge: "Forge | None" = None,
) -> Answer:
    """Ask one query of a copy. Raises SqlRefused, SqlInvalid."""
    from adapters import sandbox

    return Answer(sandbox.ask(copy, text, rows_max=rows_max, parameters=parameters or {}, forge=forge), position)


@contextmanager
def copied(runtime: Runtime, at: str = "") -> Iterator[tuple[Path, int]]:
    """A private copy of the tables, and the position at which it is true; it is gone afterwards.

    Raises PositionUnknown, Invalid.
    """
    with tempfile.TemporaryDirectory(prefix="rt-sql-") as folder:
        copy = Path(folder) / "copy"  # a neutral name: queries can see it
        yield copy, _copy(runtime, copy, at)


def _copy(runtime: Runtime, target: Path, at: str) -> int:
    if not at:
        return runtime.projection().copy(target)
    from commands import past

    return past.tables(runtime, target, past.position(runtime, at))


def _text(query: str) -> str:
    if query == "-":
        return documents.decode(sys.stdin.buffer.read(), "standard input")
    if not query.startswith("@"):
        return query
    try:
        return documents.decode(Path(query[1:]).read_bytes(), query[1:])
    except OSError as problem:
        raise errors.Invalid(where=query[1:], why=f"cannot be read: {problem.strerror}") from None


def _parameters(given: list[str]) -> dict[str, Any]:
    """Values by name: JSON where they read as a number, true, false or null; text otherwise."""
    found: dict[str, Any] = {}
    for each in given:
        name, separator, value = each.partition("=")
        if not separator or not name.isidentifier():
            raise errors.Invalid(where="--param", why=f"{each[:100]!r}: expected NAME=VALUE, for $NAME in the query")
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        found[name] = value if isinstance(read, str | list | dict) else read
    return found


def show(answer: Answer, form: Form) -> None:
    """Print what was found."""
    found, position = answer
    if form == "json":
        render.document("rt.sql.v1", {"position": position} | found)
        return
    if form == "jsonl":
        for row in found["rows"]:
            render.line_of_json(dict(zip(found["columns"], row, strict=True)))
    elif form == "csv":
        render.raw(_csv(found).encode())
    elif found["rows"]:
        render.table(found["columns"], [[_cell(cell) for cell in row] for row in found["rows"]])
    cut = ", cut: there are more (--limit)" if found["truncated"] else ""
    render.note(f"-- at position {position}, {len(found['rows'])} rows{cut}")


def _csv(found: dict[str, Any]) -> str:
    made = io.StringIO()
    writer = csv.writer(made, lineterminator="\n")
    writer.writerow(found["columns"])
    writer.writerows([_cell(cell) for cell in row] for row in found["rows"])
    return made.getvalue()


def _cell(cell: object) -> object:
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, list | dict) else cell


def _write_parquet(answer: Answer, target: Path) -> None:
    from projections import parquet

    parquet.write(answer.found["columns"], answer.found["types"], answer.found["rows"], target)
    render.note(f"{target}: {len(answer.found['rows'])} rows, at position {answer.position}")


def _hand_out(runtime: Runtime, target: Path, at: str, *, as_json: bool) -> None:
    """A file for other programs: theirs alone, true at one position."""
    if target.exists():
        raise errors.FileThere(path=str(target))
    with copied(runtime, at) as (copy, position):
        runtime.close()
        try:
            target.write_bytes(copy.read_bytes())
        except OSError as problem:
            raise errors.StoreFull(path=str(target), why=str(problem.strerror)) from None
    if as_json:
        render.document("rt.copy.v1", {"file": str(target.resolve()), "position": position})
        return
    render.out(str(target))
    render.note(f"true at position {position}; open it with any client, for example: duckdb -readonly {target}")


def _shell(runtime: Runtime, form: Form, at: str) -> None:
    if not sys.stdin.isatty():
        why = 'is missing; for example: rt sql "SELECT status, count(*) FROM tasks GROUP BY 1"'
        raise errors.Invalid(where="QUERY", why=why)
    from commands import sql_shell

    def answered(text: str) -> Answer:
        with copied(runtime, at) as (copy, position):
            return ask(copy, position, text, rows_max=SQL_ROWS_MAX)

    sql_shell.run(runtime, answered, form)


Answered = Callable[[str], Answer]
