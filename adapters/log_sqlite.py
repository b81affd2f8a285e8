"""The log in one SQLite file: every commit synced, positions contiguous, one hash chain, append-only by trigger.

The classes of the eventsourcing library give pool, recorder and mapper; what is appended takes one path, `append`.
"""

import contextlib
import fcntl
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from eventsourcing.persistence import Notification, PersistenceError, StoredEvent
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteDatastore,
)

from adapters.codec import Codec, Row
from adapters.head_record import HeadRecord
from adapters.log_append import Batch
from adapters.log_problems import translated
from adapters.log_read import ReadLog
from adapters.log_reader import BUSY_S, address, open_read_only
from adapters.log_schema import COLUMNS, INDEX, INDEX_TABLES, SCHEMA, TABLES
from adapters.sealed import SEALED_SCHEMA, is_sealed, open_views
from domain import errors
from domain.bounds import VERSIONS_KEPT_MAX
from domain.ports import Appended, Follower, Work

Answer = TypeVar("Answer")

PRAGMAS = ("synchronous=FULL", "wal_autocheckpoint=1000", "recursive_triggers=ON", "trusted_schema=OFF")


class Pool(SQLiteConnectionPool):
    """Connections that sync every commit, and see the archive where there is one."""

    folder: Path

    def _create_connection(self) -> SQLiteConnection:
        connection = super()._create_connection()
        raw = connection._sqlite_conn  # noqa: SLF001  # the library offers no hook for pragmas
        raw.row_factory = None
        for pragma in PRAGMAS:
            raw.execute(f"PRAGMA {pragma}")
        if raw.execute("PRAGMA synchronous").fetchone()[0] < 2:  # noqa: PLR2004  # FULL
            raise errors.Corrupt(why="SQLite did not accept synchronous=FULL")
        if is_sealed(raw):
            open_views(raw, self.folder, writable=True)
        return connection


class Recorder(SQLiteApplicationRecorder):
    """The library's recorder on our table, for its readers and followers. Appending goes through the log."""

    def construct_create_table_statements(self) -> list[str]:
        """Nothing: the log makes its tables in one transaction of its own."""
        return []

    def select_events(
        self,
        originator_id: Any,  # noqa: ANN401  # the library allows UUID and str
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """The events of one stream."""
        order = "DESC" if desc else "ASC"
        where = (
            f"originator_id=? AND originator_version>? AND originator_version<=? ORDER BY originator_version {order}"
        )
        upto = 1 << 62 if lte is None else lte
        rows = self._select(f"{where} LIMIT ?", originator_id, gt or 0, upto, -1 if limit is None else limit)
        return [StoredEvent(row.stream, row.version, row.topic, row.state) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """The events from a position on."""
        marks = f"AND topic IN ({','.join('?' * len(topics))}) " if topics else ""
        first = (start or 0) + (not inclusive_of_start)
        upto = 1 << 62 if stop is None else stop
        rows = self._select(
            f"position>=? AND position<=? {marks}ORDER BY position LIMIT ?", first, upto, *topics, limit
        )
        return [Notification(row.stream, row.version, row.topic, row.state, row.position) for row in rows]

    def _select(self, where: str, *parameters: object) -> list[Row]:
        with self.datastore.transaction(commit=False) as cursor:
            cursor.execute(f"SELECT {COLUMNS} FROM stored_events WHERE {where}", parameters)  # noqa: S608  # ours
            return [Row(*row) for row in cursor.fetchall()]


class SqliteLog(ReadLog):
    """The log in `folder/log.db`, with its head record in `folder/head.json`. Thread-safe."""

    def __init__(self, folder: Path, *, create: bool = False, codec: Codec | None = None) -> None:
        path = folder / "log.db"
        self._lock = threading.Lock()
        self._versions: dict[str, int] = {}
        self._versions_at = -1
        self._follower: Follower | None = None
        self._record = HeadRecord(folder / "head.json")
        recorded = self._record.read()  # before the log's end: what is appended meanwhile must not look lost
        if not create and not path.exists():
            raise errors.HomeNotFound(folder=str(folder))
        try:
            if create:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with _creating(folder) if create else contextlib.nullcontext():
                self._open(path, create=create)
        except (sqlite3.Error, OSError, PersistenceError) as problem:
            raise translated(problem, path) from problem
        try:
            super().__init__(folder, codec=codec)
            self.recorder = Recorder(self._datastore)
            self._sealed = is_sealed(self._writer)  # the table does not know the streams that began in the archive
            self._record.check(recorded, self.head().position, self.hash_at)
        except sqlite3.Error as problem:
            self.close()
            raise translated(problem, path) from problem
        except BaseException:
            self.close()
            raise

    def _open(self, path: Path, *, create: bool) -> None:
        self._datastore = SQLiteDatastore(address(path), originator_id_type="text")
        self._datastore.pool.close()
        self._datastore.pool = pool = Pool(db_name=address(path), lock_timeout=int(BUSY_S))
        pool.folder = path.parent
        self._connection = self._datastore.pool.get_connection(is_writer=True)
        self._writer = self._connection._sqlite_conn  # noqa: SLF001  # held for the log's life
        try:
            self._prepare(path, create=create)
        except BaseException:
            self._datastore.pool.put_connection(self._connection)
            self._datastore.close()
            raise

    def _prepare(self, path: Path, *, create: bool) -> None:
        found = self._writer.execute("PRAGMA user_version").fetchone()[0]
        if found == SEALED_SCHEMA:
            return
        if found > SCHEMA:
            raise errors.NewerLog(what=str(path), found=f"schema {found}", known=f"schema {SEALED_SCHEMA}")
        if 0 < found < SCHEMA:
            with contextlib.nullcontext() if create else _creating(path.parent):  # who creates has that lock
                self._renew_index()
            return
        if found == SCHEMA or not create:
            if found != SCHEMA:
                raise errors.Corrupt(why=f"{path} is not a log of rt")
            return
        self._writer.execute("BEGIN IMMEDIATE")
        if self._writer.execute("PRAGMA user_version").fetchone()[0] == 0:  # else another process was faster
            for statement in TABLES + INDEX:
                self._writer.execute(statement)
            self._writer.execute(f"PRAGMA user_version = {SCHEMA}")
        self._writer.execute("COMMIT")

    def _renew_index(self) -> None:
        """Make the claim index of this version from the events, whatever an older one had, in one transaction."""
        from adapters.archive import reindex_within

        self._writer.execute("BEGIN IMMEDIATE")
        try:
            if self._writer.execute("PRAGMA user_version").fetchone()[0] < SCHEMA:  # else another process was faster
                for table in INDEX_TABLES:
                    self._writer.execute(f"DROP TABLE IF EXISTS {table}")
                for statement in INDEX:
                    self._writer.execute(statement)
                reindex_within(self._writer, Codec())
                self._writer.execute(f"PRAGMA user_version = {SCHEMA}")
            self._writer.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def followed_by(self, follower: Follower) -> None:
        """See domain.ports.Log."""
        self._follower = follower

    def append(self, works: Sequence[Work]) -> list[Appended | Exception]:
        """See domain.ports.Log."""
        with self._lock:
            try:
                batch, results = self._appended(works, hopeful=not self._sealed)
            except sqlite3.IntegrityError:  # a stream was to begin that is there: look, and refuse only that work
                batch, results = self._appended(works, hopeful=False)
            self._record.advance(batch.position, batch.hash.hex())
            return results

    def _appended(self, works: Sequence[Work], *, hopeful: bool) -> tuple[Batch, list[Appended | Exception]]:
        cursor = self._writer.cursor()
        batch: Batch | None = None
        results: list[Appended | Exception] = []
        try:
            cursor.execute("BEGIN IMMEDIATE")
            versions = self._known_versions(cursor)
            batch = Batch(cursor, self._codec, versions, follower=self._follower, hopeful=hopeful)
            results = [batch.add(work) for work in works]
            batch.flush()
            cursor.execute("COMMIT")
        except sqlite3.Error as problem:
            self._versions.clear()
            self._roll_back()
            if hopeful and isinstance(problem, sqlite3.IntegrityError):
                raise
            if batch is None or not self._is_there(batch.written):
                raise translated(problem, self.path) from problem
        except BaseException:
            self._versions.clear()
            self._roll_back()
            raise
        return batch, results

    def _known_versions(self, cursor: sqlite3.Cursor) -> dict[str, int]:
        """Last versions of streams from earlier appends, as long as no other connection has written since."""
        found = cursor.execute("PRAGMA data_version").fetchone()[0]
        if found != self._versions_at or len(self._versions) > VERSIONS_KEPT_MAX:
            self._versions.clear()
            self._versions_at = found
        return self._versions

    def _roll_back(self) -> None:
        try:
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except sqlite3.Error as problem:
            raise errors.OutcomeUnknown(why=str(problem)) from problem

    def _is_there(self, last: Row | None) -> bool:
        """Whether a commit that reported an error happened: its last row is in the log, byte for byte."""
        if last is None:
            return False
        try:
            reader = open_read_only(self.path.parent)
            try:
                found = reader.execute(f"SELECT {COLUMNS} FROM stored_events WHERE position = ?", (last.position,))  # noqa: S608
                return bool(found.fetchone() == tuple(last))
            finally:
                reader.close()
        except sqlite3.Error as problem:
            raise errors.OutcomeUnknown(why=str(problem)) from problem

    def bulk(self, task: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Lend the write connection to whole-log work (`adapters.archive`), then note the new end."""
        with self._lock:
            self._versions.clear()
            try:
                answer = task(self._writer)
            except sqlite3.Error as problem:
                raise translated(problem, self.path) from problem
        head = self.head()
        self._record.advance(head.position, head.hash)
        return answer

    def idle(self) -> None:
        """See domain.ports.Log: the head record catches up, the WAL shrinks."""
        self._record.flush()
        with self._lock, contextlib.suppress(sqlite3.Error):  # busy or full: the next time will do
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """See domain.ports.Log."""
        self._record.flush()
        super().close()
        self._datastore.pool.put_connection(self._connection)
        self._datastore.close()


@contextlib.contextmanager
def _creating(folder: Path) -> Iterator[None]:
    """One process at a time: the switch to WAL of a new file does not wait for others."""
    with (folder / "log.db.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
