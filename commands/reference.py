"""The reference pages, generated from the code. `rt help reference DIR` writes them; a test holds them current."""

from collections.abc import Sequence
from typing import Any

import typer

from commands.app import build
from domain import bounds, errors
from domain.events import REGISTRY, UPCASTS, Fact, topic

_ABOUT_SQL = """# SQL

Everything that ever happened is in DuckDB tables, computed from the log whenever somebody asks. Times are UTC; ids are
32 hex digits; a view is computed from the events when it is asked.

```
rt sql "SELECT status, count(*) FROM tasks GROUP BY 1"    one SELECT; --table --csv --json --jsonl --parquet FILE
rt sql                                                    a shell, with completion and history
rt sql --param state=failed 'SELECT * FROM runs WHERE state = $state'
rt sql --at 1834 "SELECT …"                               the tables as they were at a position or time
rt sql --open copy.duckdb                                 a private copy for any DuckDB client
```

In Python, `rt_runtime.connect(home)` gives a DuckDB connection on such a copy. An answer says at which position of the
log it is true. A query runs in a process of its own, on a private copy, read-only, without files and network, for some
seconds and with bounded memory: it blocks nobody and changes nothing. What cannot fit within those limits can be asked
of a copy. `--at` computes the tables anew from the log, which takes about 8 s for a million events.

"""
MADE = "<!-- made by `rt help reference docs/reference`; change the code instead -->\n\n"


def pages(exit_codes: tuple[tuple[int, str], ...]) -> dict[str, str]:
    """File name and content of every page."""
    command = typer.main.get_command(build(None))
    return {
        "cli.md": MADE + _cli(command),
        "errors.md": MADE + _errors(),
        "events.md": MADE + _events(),
        "exit-codes.md": MADE
        + _table("# Exit status", ("status", "meaning"), [(str(code), text) for code, text in exit_codes]),
        "http.md": MADE + _routes(),
        "limits.md": MADE + _limits(),
        "../sql.md": MADE + _sql(),
    }


def _table(title: str, headings: tuple[str, ...], rows: Sequence[Sequence[str]]) -> str:
    lines = [title, "", f"| {' | '.join(headings)} |", f"|{' --- |' * len(headings)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def _cli(command: Any) -> str:  # noqa: ANN401  # a click group
    parts = ["# Command line", "", "Global options stand before or behind the verb.", ""]
    for path, each in _commands(command, ("rt",)):
        parts += [f"## `{' '.join(path)}`", "", (each.help or "").strip(), ""]
        rows = [(_spelling(parameter), (getattr(parameter, "help", "") or "").strip()) for parameter in each.params]
        rows = [row for row in rows if row[0] != "--help"]
        if rows:
            parts.append(_table("", ("argument or option", "meaning"), rows).strip())
            parts.append("")
    return "\n".join(parts)


def _spelling(parameter: Any) -> str:  # noqa: ANN401  # a click parameter
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name)
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def _commands(command: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:  # noqa: ANN401  # click
    inner = getattr(command, "commands", None)
    if inner is None:
        return [(path, command)]
    found: list[tuple[tuple[str, ...], Any]] = [(path, command)] if path == ("rt",) else []
    for name, each in inner.items():
        found += _commands(each, (*path, name))
    return found


def _errors() -> str:
    rows = [
        (f"`{kind.code}`", str(kind.exit), str(kind.http), _first(kind), f"`{kind.hint}`" if kind.hint else "")
        for kind in sorted(errors.tree(), key=lambda kind: kind.code)
    ]
    return _table("# Errors", ("code", "exit", "http", "meaning", "try"), rows)


def _events() -> str:
    parts = ["# Events", "", "F is a fact (it came from outside), C a consequence (the core derived it).", ""]
    for kind in REGISTRY.values():
        role = "F" if issubclass(kind, Fact) else "C"
        parts += [f"## `{topic(kind)}` ({role})", "", " ".join((kind.__doc__ or "").split()), ""]
        rows = [(f"`{name}`", f"`{_type(kind.__annotations__[name])}`") for name in kind.__struct_fields__]
        parts += [_table("", ("field", "type"), rows).strip(), ""]
    old = ", ".join(f"`{name}.v{version}`" for name, version in UPCASTS) or "none so far"
    return "\n".join([*parts, f"Old versions that are still read: {old}.", ""])


def _type(annotation: object) -> str:
    name = getattr(annotation, "__name__", "")
    return (
        (name if isinstance(annotation, type) else str(annotation)).replace("typing.", "").replace("domain.events.", "")
    )


def _routes() -> str:
    import inspect

    from commands.api.app import TABLE

    rows = [
        (
            row.method,
            f"`{row.path}`",
            row.scope,
            (inspect.getdoc(row.does) or "").partition("\n")[0],
            ", ".join(f"`{name}`" for name in row.query.__struct_fields__),
            ", ".join(f"`{name}`" for name in row.body.__struct_fields__) if row.body is not None else "",
        )
        for row in TABLE
        if not row.is_page
    ]
    return _table("# HTTP routes", ("method", "path", "scope", "what it does", "query", "body"), rows)


def _limits() -> str:
    rows = [(f"`{name}`", str(getattr(bounds, name))) for name in sorted(vars(bounds)) if name.isupper()]
    return _table("# Limits", ("name, unit last", "value"), rows)


def _sql() -> str:
    from projections.questions import QUESTIONS
    from projections.tables import COLUMNS, TABLE_DOCS, VIEWS

    parts = [_ABOUT_SQL]
    parts += ["## Questions", ""]
    for each in QUESTIONS:
        parts += [f"{each.asks}", "", "```sql", each.sql, "```", ""]
    parts += ["## Tables and views", ""]
    for table, meaning in TABLE_DOCS.items():
        rows = [(f"`{name}`", kind, text) for name, (kind, text) in COLUMNS[table].items()]
        parts += [f"### `{table}`: {meaning}", "", _table("", ("column", "type", "meaning"), rows).strip(), ""]
    for view, (meaning, _, columns) in VIEWS.items():
        described = [(f"`{name}`", text) for name, text in columns.items()]
        parts += [f"### `{view}`: {meaning}", "", _table("", ("column", "meaning"), described).strip(), ""]
    return "\n".join(parts)


def _first(kind: type) -> str:
    return (kind.__doc__ or "").splitlines()[0]
