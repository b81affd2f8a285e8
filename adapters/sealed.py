"""The sealed prefix of a log: its oldest events, moved to a file beside it that is only read from then on.

One chain goes through both files: the log holds where it was cut, and the hash of the last event before the cut. A
connection that has the archive attached sees both as one, through views with the names of the tables.
"""

import sqlite3
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from domain import errors

FILE = "archive.db"
SEALED_SCHEMA = 4  # of a log that has an archive: programs that know of none must not read it

# Events with the bytes of their output. A view, so that the same words read a log with an archive and one without.
_BODIES = (
    "SELECT e.position, e.originator_id, e.originator_version, e.topic, e.caused_by, e.state, e.hash, b.codec, b.data"
    " FROM {schema}.stored_events e LEFT JOIN {schema}.bodies b ON b.position = e.position"
)
_UPTO = "position <= (SELECT upto FROM main.sealed)"
_PLAIN = (f"CREATE TEMP VIEW event_bodies AS {_BODIES.format(schema='main')}",)
_BOTH = (
    f"CREATE TEMP VIEW stored_events AS SELECT * FROM archive.stored_events WHERE {_UPTO}"  # noqa: S608  # our own words
    " UNION ALL SELECT * FROM main.stored_events",
    f"CREATE TEMP VIEW bodies AS SELECT * FROM archive.bodies WHERE {_UPTO} UNION ALL SELECT * FROM main.bodies",  # noqa: S608
    f"CREATE TEMP VIEW event_bodies AS {_BODIES.format(schema='archive')} WHERE e.{_UPTO}"
    f" UNION ALL {_BODIES.format(schema='main')}",
)
_TABLES = (
    "CREATE TABLE archive.stored_events(position INTEGER PRIMARY KEY, originator_id TEXT NOT NULL,"
    " originator_version INTEGER NOT NULL, topic TEXT NOT NULL, caused_by INTEGER NOT NULL, state BLOB NOT NULL,"
    " hash BLOB NOT NULL, UNIQUE(originator_id, originator_version)) STRICT",
    "CREATE TABLE archive.bodies(position INTEGER PRIMARY KEY, codec INTEGER NOT NULL, data BLOB NOT NULL) STRICT",
    "CREATE TRIGGER archive.no_update BEFORE UPDATE ON stored_events BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    "CREATE TRIGGER archive.no_delete BEFORE DELETE ON stored_events BEGIN SELECT RAISE(ABORT, 'append-only'); END",
)


class Cut(NamedTuple):
    """Where a log is, or would be, cut: the last position of the archive, and what would move."""

    upto: int
    events: int
    size: int  # bytes of JSON and of outputs, as stored


def is_sealed(db: sqlite3.Connection) -> bool:
    """Whether this log has an archive."""
    return bool(db.execute("PRAGMA main.user_version").fetchone()[0] == SEALED_SCHEMA)


def open_views(db: sqlite3.Connection, folder: Path, *, writable: bool = False) -> None:
    """Make the views that readers use, over the archive where there is one. Raises Corrupt without the right one."""
    db.execute("PRAGMA temp_store = MEMORY")
    if not is_sealed(db):
        _make(db, _PLAIN)
        return
    path = folder / FILE
    if not path.exists():
        raise errors.Corrupt(why=f"{path} is missing: it holds the oldest events of this log; put it back")
    try:
        _attach(db, path, "rw" if writable else "ro")
        _make(db, _BOTH)
        found = db.execute(
            "SELECT s.hash = e.hash FROM main.sealed s LEFT JOIN archive.stored_events e ON e.position = s.upto"
        ).fetchone()
    except sqlite3.DatabaseError as problem:
        raise errors.Corrupt(why=f"{path}: {problem}") from problem
    if found is None or not found[0]:
        raise errors.Corrupt(why=f"{path} is not what this log was cut from: put the right one back")


def _make(db: sqlite3.Connection, views: tuple[str, ...]) -> None:
    for view in views:
        db.execute(view)


def _attach(db: sqlite3.Connection, path: Path, mode: str) -> None:
    db.execute("ATTACH ? AS archive", (f"file:{quote(str(path))}?mode={mode}",))


def cut(db: sqlite3.Connection, before_us: int) -> Cut:
    """Where the log may be cut: before that time and the first event of a task that goes on, and never the tail."""
    upto = db.execute(
        "SELECT min(coalesce((SELECT min(position) FROM main.stored_events"
        "   WHERE json_extract(CAST(state AS TEXT), '$.at_us') >= ?), 1 << 62),"
        " coalesce((SELECT min(queued) FROM task_index WHERE status IN"
        "   ('pending', 'retryable_failure', 'running', 'waiting_for_approval')), 1 << 62),"
        " (SELECT max(position) FROM main.stored_events)) - 1",
        (before_us,),
    ).fetchone()[0]
    events, size = db.execute(
        "SELECT count(*), coalesce(sum(length(state)), 0) FROM main.stored_events WHERE position <= ?", (upto,)
    ).fetchone()
    bodies = db.execute(
        "SELECT coalesce(sum(length(data)), 0) FROM main.bodies WHERE position <= ?", (upto,)
    ).fetchone()[0]
    return Cut(upto, events, size + bodies)


def seal(db: sqlite3.Connection, folder: Path, upto: int) -> None:
    """Move all events up to a position. A crash leaves them in the log, or in the archive, and never in neither.

    They are durable in the archive before one transaction cuts the log. What an interrupted move left there is beyond
    the cut, so that nobody sees it, and is removed before the next one. Raises Corrupt for the archive of another log.
    """
    if not is_sealed(db):
        _begin(db, folder / FILE)
    db.execute("PRAGMA archive.synchronous = FULL")
    db.execute("BEGIN IMMEDIATE")
    _remove(db, "archive", f"position > {_cut_at(db)}")
    for table in ("stored_events", "bodies"):
        db.execute(f"INSERT INTO archive.{table} SELECT * FROM main.{table} WHERE position <= ?", (upto,))  # noqa: S608
    db.execute("COMMIT")
    db.execute("BEGIN IMMEDIATE")
    db.execute(
        "CREATE TABLE IF NOT EXISTS main.sealed(one INTEGER PRIMARY KEY CHECK (one = 1), upto INTEGER NOT NULL,"
        " hash BLOB NOT NULL) STRICT"
    )
    db.execute(
        "INSERT OR REPLACE INTO main.sealed SELECT 1, position, hash FROM main.stored_events WHERE position = ?",
        (upto,),
    )
    _remove(db, "main", f"position <= {upto}")
    db.execute(f"PRAGMA main.user_version = {SEALED_SCHEMA}")
    db.execute("COMMIT")
    db.execute("PRAGMA main.wal_checkpoint(TRUNCATE)")
    db.execute("VACUUM main")


def _begin(db: sqlite3.Connection, path: Path) -> None:
    clear_leftover(db, path.parent)
    path.touch(0o600)
    _attach(db, path, "rw")
    for statement in _TABLES:
        db.execute(statement)


def clear_leftover(db: sqlite3.Connection, folder: Path) -> None:
    """Remove what a move left that never came to its cut: all of it is in the log. Raises Corrupt for another log's."""
    path = folder / FILE
    if is_sealed(db) or not path.exists():
        return
    _attach(db, path, "rw")
    try:
        strange = _holds_others(db)
    except sqlite3.DatabaseError as problem:
        raise errors.Corrupt(why=f"{path}: {problem}") from problem
    finally:
        db.execute("DETACH archive")
    if strange:
        raise errors.Corrupt(why=f"{path} holds other events than this log: move it away")
    path.unlink()


def _holds_others(db: sqlite3.Connection) -> bool:
    if not db.execute("SELECT 1 FROM archive.sqlite_master WHERE name = 'stored_events'").fetchone():
        return False  # it came to nothing
    others = "SELECT position, hash FROM archive.stored_events EXCEPT SELECT position, hash FROM main.stored_events"
    return db.execute(others).fetchone() is not None


def _cut_at(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT upto FROM main.sealed").fetchone()[0]) if is_sealed(db) else 0


def _remove(db: sqlite3.Connection, schema: str, where: str) -> None:
    """What stands in the other file as well."""
    db.execute(f"DROP TRIGGER {schema}.no_delete")
    db.execute(f"DELETE FROM {schema}.stored_events WHERE {where}")  # noqa: S608  # our own words
    db.execute(f"DELETE FROM {schema}.bodies WHERE {where}")  # noqa: S608  # our own words
    db.execute(
        f"CREATE TRIGGER {schema}.no_delete BEFORE DELETE ON stored_events"
        " BEGIN SELECT RAISE(ABORT, 'append-only'); END"
    )


def whole(copy: Path, folder: Path) -> None:
    """Put the archive back into a copy of the log, which nobody else has open: a backup is one file."""
    db = sqlite3.connect(copy, isolation_level=None, uri=True)
    try:
        if not is_sealed(db):
            return
        _attach(db, folder / FILE, "ro")
        gapless = db.execute("SELECT sql FROM main.sqlite_master WHERE name = 'gapless'").fetchone()[0]
        db.execute("BEGIN IMMEDIATE")
        db.execute("DROP TRIGGER main.gapless")
        for table in ("stored_events", "bodies"):
            db.execute(f"INSERT INTO main.{table} SELECT * FROM archive.{table} WHERE {_UPTO}")  # noqa: S608
        db.execute(gapless)
        db.execute("DROP TABLE main.sealed")
        db.execute(f"PRAGMA main.user_version = {SEALED_SCHEMA - 1}")
        db.execute("COMMIT")
    finally:
        db.close()
