"""Reading the SQLite log through the codec: the same for commands that only read and for the log that is written."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from adapters.codec import Codec, Row
from adapters.compress import unpack
from adapters.log_append import View
from adapters.log_reader import open_read_only
from adapters.log_schema import COLUMNS, NEXT_CLAIM, NEXT_DUE, READY_OR_DUE, RUNNING, WAITING
from domain import errors
from domain.events import Recorded, Text, hydrated
from domain.ids import output_stream
from domain.ports import Head, Running, Waiting
from domain.stream_index import Noun
from domain.task import Task


class ReadLog:
    """The reading half of domain.ports.Log. Creates nothing, works in a folder that cannot be written. Thread-safe."""

    def __init__(self, folder: Path, *, codec: Codec | None = None) -> None:
        self._readers: list[sqlite3.Connection] = []
        self.path = folder / "log.db"
        self._folder = folder
        self._codec = codec or Codec()
        self._local = threading.local()
        self._seen = -1
        self._watch = self._reader()

    def _reader(self) -> sqlite3.Connection:
        connection = open_read_only(self._folder)
        self._readers.append(connection)
        return connection

    def _cursor(self) -> sqlite3.Cursor:
        """A cursor on this thread's read connection."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._reader()
        cursor: sqlite3.Cursor = connection.cursor()
        return cursor

    def _view(self) -> View:
        return View(self._cursor(), self._codec)

    def stream(self, stream: str, after: int = 0) -> list[Recorded]:
        """See domain.ports.LogView."""
        return self._view().stream(stream, after)

    def version(self, stream: str) -> int:
        """See domain.ports.LogView."""
        return self._view().version(stream)

    def task(self, task: str) -> Task | None:
        """See domain.ports.LogView."""
        return self._view().task(task)

    def blob(self, scope: str, text: Text) -> bytes:
        """See domain.ports.LogView."""
        return self._view().blob(scope, text)

    def paused(self) -> bool:
        """See domain.ports.LogView."""
        return self._view().paused()

    def ready(self, now_us: int, limit: int, full: Sequence[str] = ()) -> list[str]:
        """See domain.ports.LogView; outside a transaction what just became due is counted in, not moved."""
        cursor = self._cursor()
        cursor.execute(READY_OR_DUE, (now_us, json.dumps(full), limit))
        return [row[0] for row in cursor.fetchall()]

    def running_profiles(self) -> dict[str, int]:
        """See domain.ports.LogView."""
        return self._view().running_profiles()

    def children(self, run: str) -> list[str]:
        """See domain.ports.LogView."""
        return self._view().children(run)

    def due(self, kind: str, now_us: int, limit: int) -> list[str]:
        """See domain.ports.LogView."""
        return self._view().due(kind, now_us, limit)

    def nouns(self, kind: str, status: str = "") -> list[Noun]:
        """See domain.ports.LogView."""
        return self._view().nouns(kind, status)

    def has(self, kind: str) -> bool:
        """See domain.ports.LogView."""
        return self._view().has(kind)

    def settle(self, stream: str) -> None:
        """See domain.ports.LogView: outside of a transaction nothing is changed."""

    def threads(self) -> list[str]:
        """See domain.ports.LogView."""
        return self._view().threads()

    def head(self) -> Head:
        """See domain.ports.Log."""
        found = (
            self._cursor().execute("SELECT position, hash FROM stored_events ORDER BY position DESC LIMIT 1").fetchone()
        )
        return Head(found[0], found[1].hex()) if found else Head(0, "")

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]:
        """See domain.ports.Log."""
        last = 1 << 62 if upto is None else upto
        where = "position > ? AND position <= ? ORDER BY position LIMIT ?"
        cursor = self._cursor()
        cursor.execute(f"SELECT {COLUMNS} FROM stored_events WHERE {where}", (after, last, limit))  # noqa: S608
        return [self._codec.decode(Row(*row)) for row in cursor.fetchall()]

    def run_events(self, run: str, *, bodies: bool, after: int = 0) -> Iterator[Recorded]:
        """See domain.ports.Log."""
        cursor = self._cursor()
        sql, values = self._of_run(run, after)
        cursor.execute(
            f"SELECT {COLUMNS}, {'codec, data FROM event_bodies' if bodies else 'NULL, NULL FROM stored_events'}"  # noqa: S608
            f" WHERE position IN ({sql}) ORDER BY position",
            values,
        )
        return self._decoded(cursor)

    def count_run_events(self, run: str, upto: int) -> int:
        """How many events of a run lie up to a position."""
        sql, values = self._of_run(run, 0)
        found = self._cursor().execute(f"SELECT count(*) FROM ({sql}) WHERE position <= ?", (*values, upto))  # noqa: S608
        return int(found.fetchone()[0])

    def _of_run(self, run: str, after: int) -> tuple[str, tuple[object, ...]]:
        """The query of the positions of a run's events: its part of the task's stream, its decisions, its output."""
        cursor = self._cursor()
        found = cursor.execute("SELECT task, claimed FROM run_index WHERE run = ?", (run,)).fetchone()
        if found is None:
            raise errors.IdNotFound(what="run", given=run)
        task, claimed = found
        upto = cursor.execute(NEXT_CLAIM, (task, claimed)).fetchone()[0]
        part = "SELECT position FROM stored_events WHERE originator_id = ? AND position > ?"
        sql = f"{part} AND position < ? UNION ALL {part} UNION ALL {part}"
        return sql, (task, max(after, claimed - 1), upto, run, after, output_stream(run), after)

    def _decoded(self, cursor: sqlite3.Cursor) -> Iterator[Recorded]:
        text = self._view().text
        while rows := cursor.fetchmany(500):
            for row in rows:
                event = self._codec.decode(Row(*row[:6]), None if row[7] is None else unpack(row[6], row[7]))
                yield hydrated(event, text)

    def output(self, run: str, after: int = 0, limit: int = 64) -> list[Recorded]:
        """See domain.ports.Log."""
        cursor = self._cursor()
        cursor.execute(
            f"SELECT {COLUMNS}, codec, data FROM event_bodies"  # noqa: S608  # our own words
            " WHERE originator_id = ? AND originator_version > ? ORDER BY originator_version LIMIT ?",
            (output_stream(run), after, limit),
        )
        return list(self._decoded(cursor))

    def salt(self, run: str) -> bytes:
        """See domain.ports.Log."""
        found = self._cursor().execute("SELECT salt FROM salts WHERE stream = ?", (output_stream(run),)).fetchone()
        return bytes(found[0]) if found else b""

    def running(self) -> list[Running]:
        """See domain.ports.Log."""
        return [Running(*row) for row in self._cursor().execute(RUNNING).fetchall()]

    def waiting(self) -> list[Waiting]:
        """See domain.ports.Log."""
        return [Waiting(*row) for row in self._cursor().execute(WAITING).fetchall()]

    def next_due_us(self) -> int | None:
        """See domain.ports.Log."""
        found = self._cursor().execute(NEXT_DUE).fetchone()[0]
        return None if found is None else int(found)

    def touched(self, after: int) -> tuple[int, set[str]]:
        """See domain.ports.Log."""
        cursor = self._cursor()
        cursor.execute(
            "SELECT position, originator_id FROM stored_events WHERE position > ? ORDER BY position", (after,)
        )
        rows = cursor.fetchall()
        return (rows[-1][0] if rows else self.head().position), {row[1] for row in rows}

    def changed(self) -> bool:
        """See domain.ports.Log: SQLite's own counter, which a connection that never writes sees move."""
        now: int = self._watch.execute("PRAGMA data_version").fetchone()[0]
        moved, self._seen = now != self._seen, now
        return moved

    def hash_at(self, position: int) -> str:
        """The chain hash of one event, hex; empty when there is none."""
        found = self._cursor().execute("SELECT hash FROM stored_events WHERE position = ?", (position,)).fetchone()
        return found[0].hex() if found else ""

    def close(self) -> None:
        """See domain.ports.Log. Also of a log whose opening failed halfway."""
        for reader in getattr(self, "_readers", ()):
            reader.close()
