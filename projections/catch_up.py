"""The projection file: held open by nobody. Whoever asks locks it, catches up with the log, asks, and closes it.

Rows and position commit together, with the chain hash, so that a log whose tail was lost and written again is
noticed. A damaged or outdated file is set aside and rebuilt.
"""

import fcntl
import os
import re
import shutil
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

import _duckdb as duckdb  # without the package around it, whose import takes longer than all questions of `rt status`

from domain import errors
from domain.bounds import MIB
from projections import reached, tables
from projections.reached import FILE

BATCH = 50_000
_BATCH_BYTES = 64 << 20  # of output text in one transaction
# by default every 16 MiB of the WAL are written once more, into the file: a rebuild would do little else
_CONFIG: dict[str, str | bool | int | float | list[str]] = {"threads": 2, "checkpoint_threshold": "64MB"}
# Writing the WAL into the file takes twice as long as reading it back at the next question, up to about here.
_WAL_BYTES = 1 << 20
_HELD = re.compile(r"Conflicting lock is held in (.{1,200}?) \(PID (\d+)\)")
_FULL = "No space left on device"
Answer = TypeVar("Answer")
Database = duckdb.DuckDBPyConnection


class Feed(Protocol):
    """The log as the projection reads it (`adapters.log_reader.LogReader`)."""

    def head(self) -> tuple[int, bytes]:
        """The last position and its hash."""
        ...

    def hash_at(self, position: int) -> bytes | None:
        """The chain hash of one event."""
        ...

    def lines(self, after: int, upto: int) -> bytes:
        """Events by position as JSON, one a line."""
        ...

    def bodies(self, after: int, upto: int, bytes_max: int) -> tuple[int, Sequence[tuple[int, str]]]:
        """The last position up to which the texts of output events fit, at least the next one; and these texts."""
        ...


class _Batch(NamedTuple):
    """Events up to `last`, read and ready to be taken in."""

    last: int
    hash: bytes | None
    lines: bytes
    bodies: Sequence[tuple[int, str]]


class Stale(Exception):  # caught here: the file is set aside
    """Another schema, or the log's tail was lost and written again."""


class Projection:
    """The projection of one log, in `folder/projection.duckdb`."""

    def __init__(self, folder: Path, feed: Feed, progress: Callable[[int, int], None] | None = None) -> None:
        self._path = folder / FILE
        self._feed = feed
        self._progress = progress or (lambda _done, _total: None)

    def ask(self, question: Callable[[Database, int], Answer]) -> Answer:
        """Answer a question on tables that are caught up with the head as it was at the start; it gets the position.

        Raises ProjectionFailed when an event breaks a table even in a fresh file, ProjectionHeld where another
        program has the file open.
        """
        with self._lock():
            return self._ask(question)

    def copy(self, target: Path) -> int:
        """A private copy, caught up; the position at which it is true. Others wait only while it is made."""

        def checkpoint(database: Database, position: int) -> int:
            database.execute("CHECKPOINT")
            return position

        with self._lock():
            position = self._ask(checkpoint)
            shutil.copyfile(self._path, target)
        return position

    def rebuild(self) -> int:
        """Throw the tables away and compute them from the whole log; the position reached."""
        with self._lock():
            for part in ("", ".wal"):
                Path(f"{self._path}{part}").unlink(missing_ok=True)
            return self._ask(lambda _database, position: position)

    def _ask(self, question: Callable[[Database, int], Answer]) -> Answer:
        try:
            return self._once(question)
        except duckdb.ProgrammingError:  # the question is wrong, not the file
            raise
        except duckdb.OutOfMemoryException as problem:
            raise errors.ProjectionFailed(why=f"there is not enough memory: {str(problem)[:300]}") from None
        except duckdb.IOException as problem:
            self._raise_if_full()
            self._raise_if_whole(str(problem))
            self._set_aside()
        except (duckdb.Error, Stale, errors.ProjectionFailed):
            self._raise_if_full()
            self._set_aside()
        try:
            return self._once(question)
        except duckdb.ProgrammingError:
            raise
        except duckdb.Error as problem:
            self._raise_if_full()
            raise errors.ProjectionFailed(why=str(problem)[:300]) from None

    def _raise_if_full(self) -> None:
        """A disk without space damages no tables: they are good again when there is some."""
        if shutil.disk_usage(self._path.parent).free < MIB:
            raise errors.StoreFull(path=str(self._path), why="there is no space left on the disk") from None

    def _once(self, question: Callable[[Database, int], Answer]) -> Answer:
        building = not self._path.exists() and self._feed.head()[0] > BATCH
        database: Database | None = None
        try:
            database = _new(self._path) if building else duckdb.connect(str(self._path), config=_CONFIG)
            database.execute("PRAGMA disable_checkpoint_on_shutdown")
            position = self._catch_up(database)
            reached.write(self._path.parent, position)
            if building or self._wal_bytes() > _WAL_BYTES:
                database.execute("CHECKPOINT")
            return question(database, position)
        finally:  # an open handle would keep a damaged file alive in this process
            if database is not None:
                database.close()

    def _catch_up(self, database: Database) -> int:
        head, _ = self._feed.head()  # read once: the bound
        at, known = self._stored(database)
        if at > head or (at and self._feed.hash_at(at) != known):
            raise Stale
        first, size = at, BATCH
        while at < head:
            try:
                with closing(self._batches(at, head, size)) as batches:
                    for batch in batches:
                        _ingest(database, batch)
                        at = batch.last
                        self._progress(at - first, head - first)
            except duckdb.ConversionException as problem:  # some event is not what its topic says: find out which
                database.execute("ROLLBACK")
                if size == 1:
                    raise errors.ProjectionFailed(why=f"event {at + 1} does not fit: {str(problem)[:300]}") from problem
                size = max(1, min(size, head - at) // 2)
        return head

    def _batches(self, after: int, upto: int, size: int) -> Generator[_Batch, None, None]:
        """Batches up to the end: SQLite reads the next one while DuckDB takes this one in, without the interpreter."""
        batch = self._read(after, min(upto, after + size))
        while batch.last < upto:
            following: list[_Batch | BaseException] = []
            reader = threading.Thread(target=self._keep, args=(batch.last, min(upto, batch.last + size), following))
            reader.start()
            try:
                yield batch
            finally:
                reader.join()
            found = following[0]
            if isinstance(found, BaseException):
                raise found
            batch = found
        yield batch

    def _keep(self, after: int, upto: int, into: list[_Batch | BaseException]) -> None:
        try:
            into.append(self._read(after, upto))
        except BaseException as problem:  # noqa: BLE001  # it is raised where the batch is asked for
            into.append(problem)

    def _read(self, after: int, upto: int) -> _Batch:
        last, bodies = self._feed.bodies(after, upto, _BATCH_BYTES)
        return _Batch(last, self._feed.hash_at(last), self._feed.lines(after, last), bodies)

    @staticmethod
    def _stored(database: Database) -> tuple[int, bytes]:
        try:
            found = database.execute("SELECT schema, position, hash FROM meta").fetchone()
        except duckdb.CatalogException:  # a new file
            database.execute("BEGIN")
            for statement in tables.create_statements():
                database.execute(statement)
            database.execute("INSERT INTO meta VALUES (?, 0, ?)", [tables.SCHEMA, bytes(32)])
            database.execute("COMMIT")
            return 0, bytes(32)
        if found is None or found[0] != tables.SCHEMA:
            raise Stale
        return int(found[1]), bytes(found[2])

    def _wal_bytes(self) -> int:
        try:
            return Path(f"{self._path}.wal").stat().st_size
        except FileNotFoundError:
            return 0

    def _raise_if_whole(self, why: str) -> None:
        """Raise for what is wrong around the file and not in it."""
        if held := _HELD.search(why):
            raise errors.ProjectionHeld(program=held[1], pid=held[2])
        if _FULL in why:
            raise errors.StoreFull(path=str(self._path), why=_FULL)

    def _set_aside(self) -> None:
        for part in ("", ".wal"):
            found = Path(f"{self._path}{part}")
            if found.exists():
                found.replace(f"{found}.set-aside")

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            descriptor = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise errors.StoreFull(path=str(self._path), why=str(problem.strerror)) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _new(path: Path) -> Database:
    """A new file for a long log, without a WAL: a sixth faster, and what a kill loses is computed again."""
    database = duckdb.connect(":memory:", config=_CONFIG | {"temp_directory": f"{path}.tmp"})
    quoted = str(path).replace("'", "''")
    database.execute(f"ATTACH '{quoted}' AS projection (RECOVERY_MODE no_wal_writes)")
    database.execute("USE projection")
    return database


def _ingest(database: Database, batch: _Batch) -> None:
    """Take a batch into all tables, in one transaction.

    The lines go over as a file in memory, which DuckDB reads in a third of the time that a parameter takes.
    """
    database.execute("BEGIN")
    with os.fdopen(os.memfd_create("rt-events"), "wb") as file:
        file.write(batch.lines)
        file.flush()
        database.execute(tables.FRESH.format(file=f"/proc/self/fd/{file.fileno()}"))
    names = {name for (name,) in database.execute("SELECT DISTINCT e FROM fresh").fetchall()}
    if "output.appended" in names:
        database.execute(tables.BODIES)
        if batch.bodies:
            appender = database.appender("bodies")
            appender.append_rows(batch.bodies)
            appender.flush()  # without it rows would be dropped silently
    for wanted, statement in tables.UPDATES:
        if not wanted or not names.isdisjoint(wanted):
            database.execute(statement)
    database.execute("UPDATE meta SET position = ?, hash = ?", [batch.last, batch.hash])
    database.execute("COMMIT")
