"""One transaction on the log in the making, and the view that works have of it from inside."""

import json
import sqlite3
from collections.abc import Sequence
from hashlib import sha256

from adapters.codec import Codec, Row
from adapters.compress import pack, unpack
from adapters.log_schema import (
    CHILDREN,
    COLUMNS,
    EVENT_ROW,
    GENESIS,
    INDEXED,
    INTO_EVENTS,
    NOUNS,
    NOUNS_DUE,
    PROMOTE,
    READY,
    RUNNING_PROFILES,
    SETTLE,
    THREADS,
    IndexRows,
    insert,
    link,
)
from domain import errors
from domain.bounds import BLOB_BYTES_MAX
from domain.events import Put, Recorded, Text, hydrated
from domain.ids import DISPATCH
from domain.ports import Appended, Follower, Work
from domain.stream_index import Noun
from domain.task import Task, fold

_Stored = tuple[int, str, int, str, int, bytes, bytes]  # a row of stored_events


class View:
    """Reading through one cursor: inside an append's transaction, or on a connection of its own."""

    def __init__(self, cursor: sqlite3.Cursor, codec: Codec) -> None:
        self._cursor = cursor
        self._codec = codec

    def stream(self, stream: str, after: int = 0) -> list[Recorded]:
        """See domain.ports.LogView."""
        where = "originator_id = ? AND originator_version > ? ORDER BY originator_version"
        self._cursor.execute(f"SELECT {COLUMNS} FROM stored_events WHERE {where}", (stream, after))  # noqa: S608
        return [hydrated(self._codec.decode(Row(*row)), self.text) for row in self._cursor.fetchall()]

    def text(self, scope: str, text: Text) -> bytes | None:
        """A text; None for one that was erased."""
        found = self._cursor.connection.execute(
            "SELECT codec, data FROM blobs WHERE scope = ? AND sha256 = ?", (scope, text.sha256)
        ).fetchone()
        return None if found is None else unpack(*found)

    def version(self, stream: str) -> int:
        """See domain.ports.LogView."""
        self._cursor.execute(
            "SELECT originator_version FROM stored_events WHERE originator_id = ?"
            " ORDER BY originator_version DESC LIMIT 1",
            (stream,),
        )
        found = self._cursor.fetchone()
        return int(found[0]) if found else 0

    def task(self, task: str) -> Task | None:
        """See domain.ports.LogView."""
        return fold(self.stream(task))

    def blob(self, scope: str, text: Text) -> bytes:
        """See domain.ports.LogView."""
        found = self.text(scope, text)
        if found is None:
            raise errors.BlobNotFound(sha256=text.sha256[:12], scope=scope[:8])
        if sha256(found).hexdigest() != text.sha256:  # what is about to be acted on must be what was stored
            raise errors.TextDamaged(sha256=text.sha256[:12])
        return found

    def paused(self) -> bool:
        """See domain.ports.LogView."""
        self._cursor.execute(
            "SELECT topic FROM stored_events WHERE originator_id = ? ORDER BY originator_version DESC LIMIT 1",
            (DISPATCH,),
        )
        found = self._cursor.fetchone()
        return found is not None and str(found[0]).startswith("dispatcher.paused.")

    def ready(self, now_us: int, limit: int, full: Sequence[str] = ()) -> list[str]:
        """See domain.ports.LogView. Becoming due is a change of the index, no event."""
        self._cursor.execute(PROMOTE, (now_us,))
        self._cursor.execute(READY, (json.dumps(full), limit))
        return [row[0] for row in self._cursor.fetchall()]

    def running_profiles(self) -> dict[str, int]:
        """See domain.ports.LogView."""
        self._cursor.execute(RUNNING_PROFILES)
        return dict(self._cursor.fetchall())

    def children(self, run: str) -> list[str]:
        """See domain.ports.LogView."""
        self._cursor.execute(CHILDREN, (run,))
        return [row[0] for row in self._cursor.fetchall()]

    def due(self, kind: str, now_us: int, limit: int) -> list[str]:
        """See domain.ports.LogView."""
        self._cursor.execute(NOUNS_DUE, (kind, now_us, limit))
        return [row[0] for row in self._cursor.fetchall()]

    def nouns(self, kind: str, status: str = "") -> list[Noun]:
        """See domain.ports.LogView."""
        self._cursor.execute(NOUNS, (kind, status, status))
        return [Noun(*row) for row in self._cursor.fetchall()]

    def has(self, kind: str) -> bool:
        """See domain.ports.LogView."""
        self._cursor.execute("SELECT 1 FROM noun_index WHERE kind = ? LIMIT 1", (kind,))
        return self._cursor.fetchone() is not None

    def settle(self, stream: str) -> None:
        """See domain.ports.LogView. Having looked is a change of the index, no event."""
        self._cursor.execute(SETTLE, (stream,))

    def threads(self) -> list[str]:
        """See domain.ports.LogView."""
        self._cursor.execute(THREADS)
        return [row[0] for row in self._cursor.fetchall()]


def with_what_follows(put: Put, more: Put | None) -> Put:
    """One put of both."""
    if more is None:
        return put
    return Put(
        events=put.events + more.events,
        fence=put.fence,
        blobs=put.blobs + more.blobs,
        salts=put.salts,
    )


class Batch:
    """One transaction in the making: checks each put, collects its rows, writes them before anybody reads."""

    def __init__(  # what a transaction needs
        self,
        cursor: sqlite3.Cursor,
        codec: Codec,
        versions: dict[str, int],
        *,
        follower: Follower | None = None,
        hopeful: bool = True,
    ) -> None:
        """`versions` are last versions of streams that are known to hold; the batch adds to them.

        A hopeful batch does not look whether a stream that begins is new: the table refuses it if it is not, and the
        whole batch must then be made again by one that looks.
        """
        self._cursor = cursor
        self._codec = codec
        self._hopeful = hopeful
        self._follower = follower
        self._rows: list[_Stored] = []
        self._bodies: list[tuple[int, int, bytes]] = []
        self._blobs: list[tuple[str, str, int, int, bytes]] = []
        self._salts: list[tuple[str, bytes]] = []
        self._index = IndexRows()
        self._versions = versions
        self.written: Row | None = None  # the last
        self._view = View(cursor, codec)
        cursor.execute("SELECT position, hash FROM stored_events ORDER BY position DESC LIMIT 1")
        last: tuple[int, bytes] = cursor.fetchone() or (0, GENESIS)
        self.position, self.hash = last

    def add(self, work: Work) -> Appended | Exception:
        """Take a work in, whole or not at all."""
        if not isinstance(work, Put):
            self.flush()
            try:
                made = work(self._view)
            except Exception as problem:  # noqa: BLE001  # the caller's own error; the others' works go on
                return problem
            if made is None:
                return ()
            work = made
        own = len(work.events)
        try:
            if self._follower is not None and self._follower.wants(work):
                self.flush()
                work = with_what_follows(work, self._follower.follow(self._view, work))
            rows, versions = self._prepared(work)
        except Exception as problem:  # noqa: BLE001  # nothing of it was taken in; the others' works go on
            return problem
        first = self.position + 1
        if rows:
            self.position, self.hash = rows[-1][0], rows[-1][6]
            self._rows += rows
        self._versions.update(versions)
        self._attach(work, first)
        return range(first, first + own)

    def flush(self) -> None:
        """Write the collected rows."""
        if self._rows:
            insert(self._cursor, INTO_EVENTS, EVENT_ROW, self._rows)
            self.written = Row(*self._rows[-1][:6])
            self._rows = []
        if self._bodies:
            self._cursor.executemany("INSERT INTO main.bodies VALUES (?, ?, ?)", self._bodies)
            self._bodies = []
        if self._blobs:
            insert(self._cursor, "INSERT INTO blobs", "(?, ?, ?, ?, ?)", self._blobs, "ON CONFLICT DO NOTHING")
            self._blobs = []
        if self._salts:
            self._cursor.executemany("INSERT INTO salts VALUES (?, ?) ON CONFLICT DO NOTHING", self._salts)
            self._salts = []
        self._index.write(self._cursor)

    def _prepared(self, put: Put) -> tuple[list[_Stored], dict[str, int]]:
        """The rows of a put, and the versions of its streams after it. Raises StreamConflict."""
        position, prev = self.position, self.hash
        encode = self._codec.encode
        rows: list[_Stored] = []
        after: dict[str, int] = {}
        for event in put.events:
            stream, version, cause = event.stream, event.version, event.caused_by
            if stream in after:
                assert after[stream] == version - 1, "versions of a put follow each other"
            else:
                self._expect(stream, version - 1, begins=version == 1)
            after[stream] = version
            name, state = encode(event)
            position += 1
            if cause < 0:
                cause += position
            prev = link(prev, position, stream, version, name, cause, state)
            rows.append((position, stream, version, name, cause, state, prev))
        for stream, version in put.fence.items():
            if stream not in after:
                self._expect(stream, version)
        for blob in put.blobs:
            if len(blob.content) > BLOB_BYTES_MAX:
                raise errors.Invalid(where="text", why=f"{len(blob.content)} bytes; at most {BLOB_BYTES_MAX}")
        return rows, after

    def _expect(self, stream: str, version: int, *, begins: bool = False) -> None:
        found = self._versions.get(stream)
        if found is None:
            if begins and self._hopeful:
                return
            found = self._versions[stream] = self._view.version(stream)
        if found != version:
            raise errors.StreamConflict(stream=stream[:8], found=found, expected=version)

    def _attach(self, put: Put, first: int) -> None:
        for position, event in enumerate(put.events, first):
            if event.body is not None:
                self._bodies.append((position, *pack(event.body)))
            elif type(event.data) in INDEXED:
                self._index.add(event, position)
        for blob in put.blobs:
            content = blob.content
            digest = blob.sha256 or sha256(content).hexdigest()
            self._blobs.append((blob.scope, digest, len(content), *pack(content)))
        if put.salts:
            self._salts += put.salts.items()
