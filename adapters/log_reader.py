"""Raw, read-only access to the SQLite log, for bulk readers and quick commands. Needs neither codec nor library."""

import fcntl
import sqlite3
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from adapters.sealed import SEALED_SCHEMA, open_views
from domain import errors

_INDEX_SCHEMA = 3  # from here on the claim index is this one
BUSY_S = 5.0
_MAKING_S = 0.02
SQLITE_VERSION = sqlite3.sqlite_version_info


_LINES = (
    "SELECT CAST(group_concat(line, char(10)) AS BLOB) FROM (SELECT '{\"position\":' || position"
    " || ',\"stream\":' || json_quote(originator_id) || ',\"version\":' || originator_version"
    " || ',\"topic\":' || json_quote(topic) || ',\"caused_by\":' || caused_by"
    " || ',\"state\":' || CAST(state AS TEXT) || '}' AS line"
    " FROM stored_events WHERE position > ? AND position <= ? ORDER BY position)"
)


class RawRow(NamedTuple):
    """An event as stored; `state` is JSON text."""

    position: int
    stream: str
    version: int
    topic: str
    caused_by: int
    state: str


def open_read_only(folder: Path) -> sqlite3.Connection:
    """A connection to the log of a home that creates nothing. Raises HomeNotFound, NewerLog, Corrupt, StoreFull."""
    path = folder / "log.db"
    if not path.exists():
        raise errors.HomeNotFound(folder=str(folder))
    db, found = _opened(path)
    until_s = time.monotonic() + BUSY_S
    is_being_made = True
    while not found and is_being_made and time.monotonic() < until_s:  # another process may have begun it just now
        db.close()
        time.sleep(_MAKING_S)
        is_being_made = _is_being_made(path)  # before looking once more: it may be made meanwhile
        db, found = _opened(path)
    if not found:
        db.close()
        raise errors.Corrupt(why=f"{path} is not a log of rt")
    if found > SEALED_SCHEMA:
        db.close()
        raise errors.NewerLog(what=str(path), found=f"schema {found}", known=f"schema {SEALED_SCHEMA}")
    if found < _INDEX_SCHEMA:
        db.close()
        raise errors.OlderIndex(path=str(path))
    _open_views(db, path)
    return db


def _is_being_made(path: Path) -> bool:
    """Whether a process makes the log at this moment: it holds the lock beside it."""
    try:
        with Path(f"{path}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _opened(path: Path) -> tuple[sqlite3.Connection, int]:
    """A connection and the schema of the file; 0 for one that has none."""
    try:
        db = _connect(f"{address(path)}?mode=ro")
        try:
            found = db.execute("PRAGMA user_version").fetchone()[0]
            db.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError as problem:
            db.close()
            if problem.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
                raise errors.LogBusy(seconds=int(BUSY_S)) from None
            # a folder that cannot be written: read the file as it lies
            wal = Path(f"{path}-wal")
            if wal.exists() and wal.stat().st_size:
                why = "the folder is read-only and the last events lie in its WAL file"
                raise errors.StoreFull(path=str(path), why=why) from None
            db = _connect(f"{address(path)}?mode=ro&immutable=1")
            found = db.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.Error as problem:
        raise errors.Corrupt(why=f"{path}: {problem}") from problem
    return db, int(found)


def _open_views(db: sqlite3.Connection, path: Path) -> None:
    try:
        open_views(db, path.parent)
    except sqlite3.Error as problem:
        db.close()
        raise errors.Corrupt(why=f"{path}: {problem}") from problem
    except errors.Corrupt:
        db.close()
        raise


def address(path: Path) -> str:
    """The path as SQLite's URI: a folder may have any name."""
    return f"file:{quote(str(path))}"


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_S, check_same_thread=False)


class LogReader:
    """A read-only connection. Creates nothing."""

    def __init__(self, folder: Path) -> None:
        self._db = open_read_only(folder)

    def head(self) -> tuple[int, bytes]:
        """The last position and its hash."""
        found = self._db.execute("SELECT position, hash FROM stored_events ORDER BY position DESC LIMIT 1").fetchone()
        return (found[0], bytes(found[1])) if found else (0, bytes(32))

    def hash_at(self, position: int) -> bytes | None:
        """The chain hash of one event."""
        found = self._db.execute("SELECT hash FROM stored_events WHERE position = ?", (position,)).fetchone()
        return bytes(found[0]) if found else None

    def rows(self, after: int, upto: int, limit: int) -> list[RawRow]:
        """Events by position."""
        found = self._db.execute(
            "SELECT position, originator_id, originator_version, topic, caused_by, CAST(state AS TEXT)"
            " FROM stored_events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?",
            (after, upto, limit),
        )
        return list(map(RawRow._make, found.fetchall()))

    def lines(self, after: int, upto: int) -> bytes:
        """The same for a bulk reader, one JSON object a line. SQLite does the work."""
        return self._db.execute(_LINES, (after, upto)).fetchone()[0] or b""

    def bodies(self, after: int, upto: int, bytes_max: int) -> tuple[int, list[tuple[int, str]]]:
        """The last position up to which the texts of output events fit, at least the next one; and these texts.

        Undecodable bytes are replaced.
        """
        from adapters.compress import unpack

        found = self._db.execute(
            "SELECT position, codec, data FROM bodies WHERE position > ? AND position <= ? ORDER BY position",
            (after, upto),
        )
        texts: list[tuple[int, str]] = []
        room = bytes_max
        for position, codec, data in found:
            body = unpack(codec, data)
            room -= len(body)
            if room < 0 and position > after + 1:
                return position - 1, texts
            texts.append((position, body.decode("utf-8", "replace")))
        return upto, texts

    def running(self) -> list[tuple[str, str, str]]:
        """Claimed tasks: task, run, dispatcher."""
        return self._db.execute("SELECT task, run, dispatcher FROM task_index WHERE status = 'running'").fetchall()

    def standing(self) -> dict[str, int]:
        """What stands still until a person acts, beside tasks: how many workflows, sensors and outgoing messages."""
        query = (
            "SELECT kind, count(*) FROM noun_index WHERE (kind, status) IN"
            " (VALUES ('workflow', 'parked'), ('sensor', 'parked'), ('outbox', 'failed')) GROUP BY kind"
        )
        return dict(self._db.execute(query).fetchall())

    def tasks(self, prefix: str, limit: int) -> list[str]:
        """Ids of tasks that begin so."""
        return self._ids(
            "SELECT task FROM task_index WHERE task >= ? AND task < ? ORDER BY task LIMIT ?", prefix, limit
        )

    def runs(self, prefix: str, limit: int) -> list[str]:
        """Ids of runs that begin so."""
        return self._ids("SELECT run FROM run_index WHERE run >= ? AND run < ? ORDER BY run LIMIT ?", prefix, limit)

    def _ids(self, query: str, prefix: str, limit: int) -> list[str]:
        return [row[0] for row in self._db.execute(query, (prefix, prefix + "g", limit))]

    def last_task(self, status: str = "") -> str | None:
        """The newest task, of those with a status where one is given."""
        where = "WHERE status = ?" if status else ""
        found = self._db.execute(
            f"SELECT task FROM task_index {where} ORDER BY queued DESC LIMIT 1",  # noqa: S608  # our own words
            (status,) if status else (),
        ).fetchone()
        return found[0] if found else None

    def last_run(self, *, failed: bool = False) -> str | None:
        """The newest run, of those that failed or were lost where asked so."""
        where = "WHERE state IN ('failed', 'lost')" if failed else ""
        found = self._db.execute(
            f"SELECT run FROM run_index {where} ORDER BY claimed DESC LIMIT 1"  # noqa: S608  # our own words
        ).fetchone()
        return found[0] if found else None

    def run_state(self, run: str) -> str:
        """The state of a run; empty when there is none."""
        found = self._db.execute("SELECT state FROM run_index WHERE run = ?", (run,)).fetchone()
        return found[0] if found else ""

    def last_run_of(self, task: str) -> str | None:
        """The newest run of a task."""
        query = (
            "SELECT state->>'$.data.run' FROM stored_events WHERE originator_id = ? AND topic LIKE 'task.claimed.v%'"
            " ORDER BY originator_version DESC LIMIT 1"
        )
        found = self._db.execute(query, (task,)).fetchone()
        return found[0] if found else None

    def recent_runs(self, limit: int, since: int = 0) -> list[str]:
        """Runs in the order of their claims, the newest `limit` of those claimed after a position."""
        query = "SELECT run FROM run_index WHERE claimed > ? ORDER BY claimed DESC LIMIT ?"
        return [row[0] for row in self._db.execute(query, (since, limit)).fetchall()][::-1]

    def position_before(self, at_us: int) -> int:
        """The last position that was recorded before a time; 0 for none. Right unless the clock jumped back."""
        low, high = 0, self.head()[0]
        while low < high:
            middle = (low + high + 1) // 2
            query = "SELECT json_extract(CAST(state AS TEXT), '$.at_us') FROM stored_events WHERE position = ?"
            if self._db.execute(query, (middle,)).fetchone()[0] < at_us:
                low = middle
            else:
                high = middle - 1
        return low

    def close(self) -> None:
        """Give back the connection."""
        self._db.close()
