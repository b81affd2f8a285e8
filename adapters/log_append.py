"""One transaction on the log in the making, and the view that works have of it from inside."""

import sqlite3

from adapters.codec import Codec, Row
from adapters.compress import pack, unpack
from adapters.log_schema import COLUMNS, GENESIS, PROMOTE, READY, IndexRows, link
from domain import errors
from domain.bounds import BLOB_BYTES_MAX
from domain.events import Put, Recorded, Text, hydrated
from domain.ids import DISPATCH, text_of
from domain.ports import Appended, Work
from domain.task import Task, fold


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
        self._cursor.execute("SELECT max(originator_version) FROM stored_events WHERE originator_id = ?", (stream,))
        found = self._cursor.fetchone()[0]
        return int(found) if found else 0

    def task(self, task: str) -> Task | None:
        """See domain.ports.LogView."""
        return fold(self.stream(task))

    def blob(self, scope: str, text: Text) -> bytes:
        """See domain.ports.LogView."""
        found = self.text(scope, text)
        if found is None:
            raise errors.BlobNotFound(sha256=text.sha256[:12], scope=scope[:8])
        return found

    def paused(self) -> bool:
        """See domain.ports.LogView."""
        self._cursor.execute(
            "SELECT topic FROM stored_events WHERE originator_id = ? ORDER BY originator_version DESC LIMIT 1",
            (DISPATCH,),
        )
        found = self._cursor.fetchone()
        return found is not None and str(found[0]).startswith("dispatcher.paused.")

    def ready(self, now_us: int, limit: int) -> list[str]:
        """See domain.ports.LogView. Becoming due is a change of the index, no event."""
        self._cursor.execute(PROMOTE, (now_us,))
        self._cursor.execute(READY, (limit,))
        return [row[0] for row in self._cursor.fetchall()]


class Batch:
    """One transaction in the making: checks each put, collects its rows, writes them before anybody reads."""

    def __init__(self, cursor: sqlite3.Cursor, codec: Codec, versions: dict[str, int]) -> None:
        """`versions` are last versions of streams that are known to hold; the batch adds to them."""
        self._cursor = cursor
        self._codec = codec
        self._rows: list[tuple[int, str, int, str, int, bytes, bytes]] = []
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
        try:
            versions = self._checked(work)
            encoded = [self._codec.encode(event) for event in work.events]
        except Exception as problem:  # noqa: BLE001  # nothing of it was taken in; the others' works go on
            return problem
        first = self.position + 1
        for event, (name, state) in zip(work.events, encoded, strict=True):
            self._link(event, name, state)
        self._versions.update(versions)
        self._attach(work)
        return range(first, self.position + 1)

    def flush(self) -> None:
        """Write the collected rows."""
        if self._rows:
            self._cursor.executemany("INSERT INTO stored_events VALUES (?,?,?,?,?,?,?)", self._rows)
            self.written = Row(*self._rows[-1][:6])
            self._rows = []
        if self._bodies:
            self._cursor.executemany("INSERT INTO bodies VALUES (?, ?, ?)", self._bodies)
            self._bodies = []
        if self._blobs:
            self._cursor.executemany("INSERT INTO blobs VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", self._blobs)
            self._blobs = []
        if self._salts:
            self._cursor.executemany("INSERT INTO salts VALUES (?, ?) ON CONFLICT DO NOTHING", self._salts)
            self._salts = []
        self._index.write(self._cursor)

    def _checked(self, put: Put) -> dict[str, int]:
        """The streams' versions after the put. Raises StreamConflict."""
        expected = dict(put.fence)
        after: dict[str, int] = {}
        for event in put.events:
            if event.stream not in after:
                expected[event.stream] = event.version - 1
            assert event.version == after.get(event.stream, event.version - 1) + 1, (
                "versions of a put follow each other"
            )
            after[event.stream] = event.version
        for stream, version in expected.items():
            found = self._versions.get(stream)
            if found is None:
                found = self._versions[stream] = self._view.version(stream)
            if found != version:
                raise errors.StreamConflict(stream=stream[:8], found=found, expected=version)
        for blob in put.blobs:
            if len(blob.content) > BLOB_BYTES_MAX:
                raise errors.Invalid(where="text", why=f"{len(blob.content)} bytes; at most {BLOB_BYTES_MAX}")
        return after

    def _link(self, event: Recorded, name: str, state: bytes) -> None:
        self.position += 1
        cause = event.caused_by if event.caused_by >= 0 else self.position + event.caused_by
        self.hash = link(self.hash, self.position, event.stream, event.version, name, cause, state)
        self._rows.append((self.position, event.stream, event.version, name, cause, state, self.hash))
        if event.body is not None:
            self._bodies.append((self.position, *pack(event.body)))
        else:
            self._index.add(event, self.position)

    def _attach(self, put: Put) -> None:
        for blob in put.blobs:
            sha256 = text_of(blob.content).sha256
            self._blobs.append((blob.scope, sha256, len(blob.content), *pack(blob.content)))
        self._salts += put.salts.items()
