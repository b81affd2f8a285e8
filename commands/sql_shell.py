"""The shell of `rt sql`: lines are read until a semicolon, with completion of tables and columns, and a history."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commands import render
from commands.wiring import Runtime
from domain import errors
from projections.questions import QUESTIONS
from projections.tables import COLUMNS, TABLE_DOCS, VIEWS

if TYPE_CHECKING:
    from commands.sql import Answered, Form

FORMS: tuple["Form", ...] = ("table", "csv", "json", "jsonl")

HISTORY = "sql_history"
_HISTORY_LINES = 1_000
_WORDS = (
    *("select", "from", "where", "group by", "order by", "having", "limit", "join", "left join", "using", "with"),
    *("distinct", "count(*)", "sum(", "avg(", "min(", "max(", "case", "when", "then", "else", "end", "and", "or"),
    *("not", "null", "like"),
)
_HELP = (
    "a SELECT, ended by a semicolon      each one is asked of the tables as they are then",
    ".tables  .schema [NAME]             what there is, with what it means",
    ".questions                          examples",
    ".mode table|csv|json|jsonl          how answers are shown",
    ".help  .quit                        also Ctrl-D",
)


def run(runtime: Runtime, answered: "Answered", form: "Form") -> None:
    """Read and answer until the end of input."""
    history = runtime.home.state / HISTORY
    with _editing(history):
        render.note("rt sql: .help for help, .quit to leave")
        Shell(answered, form).run(input)
    runtime.close()


class Shell:
    """One shell. `read` shows a prompt and gives a line; it raises EOFError at the end."""

    def __init__(self, answered: "Answered", form: "Form") -> None:
        self._answered = answered
        self._form = form
        self._parts: list[str] = []
        self._left = False

    def run(self, read: Callable[[str], str]) -> None:
        """Until somebody leaves."""
        while not self._left:
            try:
                self.line(read("  ...> " if self._parts else "rt> "))
            except EOFError:
                render.out()
                return
            except KeyboardInterrupt:  # the line, not the shell
                self._parts = []
                render.out()

    def line(self, text: str) -> None:
        """Take a line."""
        if not self._parts and text.strip().startswith("."):
            self._command(*text.split())
            return
        self._parts += [text] if text.strip() or self._parts else []
        if text.rstrip().endswith(";"):
            query, self._parts = "\n".join(self._parts).strip(), []
            self._ask(query)

    def _ask(self, query: str) -> None:
        from commands.sql import show

        try:
            show(self._answered(query), self._form)
        except errors.RtError as problem:
            render.error(problem, as_json=False)

    def _command(self, name: str, *rest: str) -> None:
        known: dict[str, Callable[..., None]] = {
            ".quit": self._quit,
            ".exit": self._quit,
            ".tables": self._tables,
            ".schema": self._schemas,
            ".questions": self._questions,
            ".mode": self._mode,
            ".help": self._help,
        }
        try:
            known[name](*rest)
        except (KeyError, TypeError):
            render.note(f"error: {render.line(' '.join((name, *rest)))} is no command of this shell; try .help")

    def _quit(self) -> None:
        self._left = True

    def _mode(self, form: str) -> None:
        self._form = {each: each for each in FORMS}[form]  # type: ignore[index]  # another one is no command

    @staticmethod
    def _help() -> None:
        for each in _HELP:
            render.out(each)

    @staticmethod
    def _questions() -> None:
        for each in QUESTIONS:
            render.out(f"-- {each.asks}\n{each.sql};\n")

    @staticmethod
    def _tables() -> None:
        for table, meaning in (TABLE_DOCS | {view: each[0] for view, each in VIEWS.items()}).items():
            render.out(f"{table:<16} {meaning}")

    def _schemas(self, *only: str) -> None:
        for table in only or (*COLUMNS, *VIEWS):
            self._schema(table)

    @staticmethod
    def _schema(table: str) -> None:
        render.out(f"{table}: {VIEWS[table][0] if table in VIEWS else TABLE_DOCS[table]}")
        described = VIEWS[table][2] if table in VIEWS else {name: doc for name, (_, doc) in COLUMNS[table].items()}
        for name, meaning in described.items():
            render.out(f"  {name:<18} {meaning}")


def completions(line: str, word: str) -> list[str]:
    """What a word may become: columns behind a table's name and a dot; else tables, columns and words of SQL."""
    table, dot, begun = word.rpartition(".")
    if dot and table in VIEWS | COLUMNS:
        return [f"{table}.{name}" for name in _columns(table) if name.startswith(begun)]
    named = [each for each in (*COLUMNS, *VIEWS) if each in line.split()]
    columns = {name for each in named or (*COLUMNS, *VIEWS) for name in _columns(each)}
    every = (*COLUMNS, *VIEWS, *sorted(columns), *_WORDS, ".tables", ".schema", ".questions", ".mode", ".help", ".quit")
    return [each for each in dict.fromkeys(every) if each.startswith(word.lower()) and word]


def _columns(table: str) -> Sequence[str]:
    return tuple(VIEWS[table][2]) if table in VIEWS else tuple(COLUMNS[table])


@contextlib.contextmanager
def _editing(history: Path) -> Iterator[None]:
    """Line editing, where Python was built with it."""
    try:
        import readline
    except ImportError:
        yield
        return
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    found: list[str] = []

    def complete(word: str, at: int) -> str | None:
        if at == 0:
            found[:] = completions(readline.get_line_buffer(), word)
        return found[at] if at < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n(),;=<>")
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(_HISTORY_LINES)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(history)
