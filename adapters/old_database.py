"""The SQLite database of agent-runtime, read as it lies: whatever tables and columns it has, and never written."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from adapters.log_reader import address
from domain import errors
from domain.bounds import IMPORT_IDS_AT_ONCE, IMPORTED_HISTORY_BYTES_MAX, TIME_US_MAX
from domain.intake import parse_time
from domain.json_text import UNREADABLE

Kind = Literal["tasks", "attempts", "events", "workflows", "schedules", "sensor_events"]
Record = dict[str, Any]

# under which names a table may lie, and the columns of which one it must have
TABLES: Final[Mapping[Kind, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "tasks": (("tasks",), ("task_id", "id")),
    "attempts": (("attempts", "task_attempts"), ("task_id",)),
    "events": (("events", "runtime_events"), ("task_id",)),
    "workflows": (("workflows", "workflow_instances"), ("instance_key",)),
    "schedules": (("schedules",), ("name",)),
    "sensor_events": (("sensor_events",), ("dedupe_key",)),
}
_AGES = ("created_at", "started_at", "id")  # by which of its columns a table is in order

_DOCUMENTS = ("payload", "outcome", "context", "task", "detail", "diagnostics", "result")  # columns of JSON
_KEPT = (20, 5, 0)  # attempts and events of a task whose history is too long
_MS_ABOVE = 100_000_000_000  # a larger number of a time counts milliseconds
_PAGE = 500


class OldDatabase:
    """A read-only connection. Rows are dicts; a column that is not there is no key, one of JSON loses `_json`."""

    def __init__(self, path: Path) -> None:
        """Raises Invalid where there is no database, or one of something else."""
        self._path = path
        if not path.is_file():
            raise errors.Invalid(where=str(path), why="is not there, or no file")
        try:
            self._db = _opened(path)
            names = {str(name) for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            self._tables = {kind: found for kind in TABLES if (found := self._table(kind, names))}
        except sqlite3.Error as problem:
            raise errors.Invalid(where=str(path), why=f"is no SQLite database that can be read: {problem}") from None
        if "tasks" not in self._tables:
            self._db.close()
            raise errors.Invalid(where=str(path), why="has no table of tasks; is it the database of agent-runtime?")

    def _table(self, kind: Kind, names: set[str]) -> str:
        """The table of a kind; empty where there is none of that name with what tells its rows apart."""
        wanted, keys = TABLES[kind]
        for name in wanted:
            if name in names and {*keys} & {*self._columns(name)}:
                return name
        return ""

    def _columns(self, table: str) -> list[str]:
        return [str(row[1]) for row in self._db.execute(f'PRAGMA table_info("{table}")')]

    def count(self, kind: Kind) -> int:
        """How many rows of a kind there are."""
        if kind not in self._tables:
            return 0
        return int(self._asked(f'SELECT count(*) FROM "{self._tables[kind]}"')[0][0])  # noqa: S608  # a name of ours

    def rows(self, kind: Kind) -> Iterator[Record]:
        """Every row of a kind, oldest first. Raises Invalid where it is damaged."""
        table = self._tables.get(kind)
        if table is None:
            return
        columns = self._columns(table)
        try:
            cursor = self._db.execute(f'SELECT * FROM "{table}"{_in_order(columns)}')  # noqa: S608  # names of ours
            while page := cursor.fetchmany(_PAGE):
                yield from (_record(columns, row) for row in page)
        except sqlite3.Error as problem:
            raise errors.Invalid(where=f"{self._path}: {table}", why=f"cannot be read: {problem}") from None

    def of_tasks(self, kind: Literal["attempts", "events"], tasks: Sequence[str]) -> dict[str, list[Record]]:
        """The attempts or events of some tasks, each oldest first. Raises Invalid where they are damaged."""
        found: dict[str, list[Record]] = {task: [] for task in tasks}
        table = self._tables.get(kind)
        if table is None:
            return found
        columns = self._columns(table)
        for first in range(0, len(tasks), IMPORT_IDS_AT_ONCE):
            some = tasks[first : first + IMPORT_IDS_AT_ONCE]
            marks = ",".join("?" * len(some))
            query = f'SELECT * FROM "{table}" WHERE task_id IN ({marks}){_in_order(columns)}'  # noqa: S608  # names of ours
            for row in self._asked(query, some):
                record = _record(columns, row)
                found[str(record["task_id"])].append(record)
        return found

    def _asked(self, query: str, parameters: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, parameters).fetchall()
        except sqlite3.Error as problem:
            raise errors.Invalid(where=str(self._path), why=f"cannot be read: {problem}") from None

    def close(self) -> None:
        """Give back the connection."""
        self._db.close()


def _in_order(columns: Sequence[str]) -> str:
    found = next((name for name in _AGES if name in columns), "")
    return f" ORDER BY {found}" if found else ""


def _opened(path: Path) -> sqlite3.Connection:
    """A connection that creates nothing; where not even the WAL's index can be made, the file as it lies."""
    db = _connected(f"{address(path.absolute())}?mode=ro")
    try:
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        db.close()
        wal = Path(f"{path}-wal")
        if wal.exists() and wal.stat().st_size:
            raise
        db = _connected(f"{address(path.absolute())}?mode=ro&immutable=1")
        db.execute("SELECT 1 FROM sqlite_master").fetchone()
    return db


def _connected(uri: str) -> sqlite3.Connection:
    db = sqlite3.connect(uri, uri=True, isolation_level=None)
    db.execute("PRAGMA query_only = ON")
    db.execute("PRAGMA trusted_schema = OFF")
    db.text_factory = lambda text: text.decode("utf-8", "replace").replace("\0", "\ufffd")
    return db


def _record(columns: Sequence[str], row: Sequence[object]) -> Record:
    named = ((name.removesuffix("_json"), value) for name, value in zip(columns, row, strict=True))
    return {name: _decoded(value) if name in _DOCUMENTS else value for name, value in named}


def _decoded(value: object) -> Any:  # noqa: ANN401  # what a column held
    """What a column of JSON says; the text where it says nothing."""
    if not isinstance(value, str | bytes):
        return value
    try:
        return msgspec.json.decode(value)
    except UNREADABLE:
        return value


# what a row says


def text(record: Record, *names: str) -> str:
    """The first of these columns that has a value, as text."""
    return next((str(record[name]) for name in names if record.get(name) is not None), "")


def whole(value: object, default: int) -> int:
    """A number without its fraction."""
    try:
        return int(float(str(value)))
    except (ValueError, OverflowError):
        return default


def time_us(record: Record, names: Sequence[str], default_us: int) -> int:
    """The first of these columns that reads as a time: a date, or a number of seconds or milliseconds."""
    for name in names:
        value = record.get(name)
        try:
            if isinstance(value, int | float):
                return min(int(value * (1_000 if value > _MS_ABOVE else 1_000_000)), TIME_US_MAX)
            if value:
                return parse_time(str(value), name)
        except (errors.Invalid, OverflowError, ValueError):
            continue
    return default_us


def history(record: Record, attempts: list[Record], happened: list[Record]) -> dict[str, Any]:
    """What is kept of a task's past: the newest of it, where it is too long."""
    known = {name: value for name, value in record.items() if name not in ("payload", "description")}
    past = {"attempts": attempts, "events": happened}
    found: dict[str, Any] = {"task": known, **past}
    for kept in _KEPT:
        if len(msgspec.json.encode(found)) <= IMPORTED_HISTORY_BYTES_MAX:
            return found
        newest = {name: each[len(each) - min(kept, len(each)) :] for name, each in past.items()}
        left_out = len(attempts) + len(happened) - sum(map(len, newest.values()))
        found = {"task": known if kept else {}, **newest, "left_out": left_out}
    return found
