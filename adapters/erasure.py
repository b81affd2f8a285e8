"""Erasing outputs and texts from the SQLite log. Events are never touched: they hold digests, and the chain holds.

What is deleted is overwritten (`secure_delete`) and leaves the WAL at once. Backups are out of reach.
"""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from adapters.sealed import is_sealed
from domain.bounds import ERASE_RUNS_AT_ONCE
from domain.ids import output_stream

_DIGEST = re.compile(r'"sha256":"([0-9a-f]{64})"')


class Target(NamedTuple):
    """A run, and whether its whole task goes with it."""

    run: str
    task: str
    whole: bool = False


class Erased(NamedTuple):
    """What there was to erase: outputs, texts, and their bytes as stored."""

    bodies: int = 0
    texts: int = 0
    size: int = 0

    def __add__(self, other: object) -> "Erased":
        """The sum."""
        assert isinstance(other, Erased), "sums are of the same kind"
        return Erased(self.bodies + other.bodies, self.texts + other.texts, self.size + other.size)


def measure(db: sqlite3.Connection, targets: Iterable[Target]) -> Erased:
    """What erasing would erase."""
    total = Erased()
    for target in targets:
        bodies, size = db.execute(
            "SELECT count(*), coalesce(sum(length(data)), 0) FROM bodies WHERE position IN"
            " (SELECT position FROM stored_events WHERE originator_id = ?)",
            (output_stream(target.run),),
        ).fetchone()
        texts, more = 0, 0
        for digest in _texts(db, target):
            found = db.execute(
                "SELECT length(data) FROM blobs WHERE scope = ? AND sha256 = ?", (target.task, digest)
            ).fetchone()
            texts, more = texts + (found is not None), more + (found[0] if found else 0)
        total += Erased(bodies, texts, size + more)
    return total


def erase(db: sqlite3.Connection, targets: Sequence[Target]) -> None:
    """Erase; again and again does no harm."""
    db.execute("PRAGMA secure_delete = ON")
    for at in range(0, len(targets), ERASE_RUNS_AT_ONCE):
        db.execute("BEGIN IMMEDIATE")
        for target in targets[at : at + ERASE_RUNS_AT_ONCE]:
            _erase(db, target)
        db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _erase(db: sqlite3.Connection, target: Target) -> None:
    stream = output_stream(target.run)
    texts = [(target.task, digest) for digest in _texts(db, target)]
    for schema in ("main", "archive") if is_sealed(db) else ("main",):
        found = f"SELECT position FROM {schema}.stored_events WHERE originator_id = ?"  # noqa: S608  # our own names
        db.execute(f"DELETE FROM {schema}.bodies WHERE position IN ({found})", (stream,))  # noqa: S608  # our own names
    db.executemany("DELETE FROM blobs WHERE scope = ? AND sha256 = ?", texts)
    db.execute("DELETE FROM salts WHERE stream = ?", (stream,))


def _texts(db: sqlite3.Connection, target: Target) -> list[str]:
    """The digests of the texts that go: those that only this run's events name, or all of the task."""
    if target.whole:
        found = db.execute("SELECT sha256 FROM blobs WHERE scope = ?", (target.task,)).fetchall()
        return [row[0] for row in found]
    mine = _named(db, [target.run])
    others = [
        run for (run,) in db.execute("SELECT run FROM run_index WHERE task = ? AND run <> ?", (target.task, target.run))
    ]
    return sorted(mine - _named(db, [target.task, *others]))


def _named(db: sqlite3.Connection, streams: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for stream in streams:
        rows = db.execute("SELECT CAST(state AS TEXT) FROM stored_events WHERE originator_id = ?", (stream,))
        for (state,) in rows:
            found.update(_DIGEST.findall(state))
    return found


def ended_before(db: sqlite3.Connection, at_us: int, keep: int) -> list[Target]:
    """Runs that were claimed before a time, but for the latest `keep` of all, of tasks that are over."""
    rows = db.execute(
        "SELECT r.run, r.task FROM run_index r JOIN stored_events e ON e.position = r.claimed"
        " JOIN task_index t ON t.task = r.task WHERE json_extract(CAST(e.state AS TEXT), '$.at_us') < ?"
        " AND t.status IN ('completed', 'permanent_failure', 'operator_canceled') AND r.claimed <= coalesce("
        "   (SELECT claimed FROM run_index ORDER BY claimed DESC LIMIT 1 OFFSET ?), 0) ORDER BY r.claimed",
        (at_us, keep),
    )
    return [Target(run, task) for run, task in rows]


def stats(db: sqlite3.Connection) -> dict[str, int]:
    """What lies in the file, in rows and bytes."""
    queries = {
        "events": "SELECT count(*) FROM stored_events",
        "event_bytes": "SELECT coalesce(sum(length(state)), 0) FROM stored_events",
        "tasks": "SELECT count(*) FROM task_index",
        "runs": "SELECT count(*) FROM run_index",
        "bodies": "SELECT count(*) FROM bodies",
        "body_bytes": "SELECT coalesce(sum(length(data)), 0) FROM bodies",
        "texts": "SELECT count(*) FROM blobs",
        "text_bytes": "SELECT coalesce(sum(length(data)), 0) FROM blobs",
        "text_bytes_unpacked": "SELECT coalesce(sum(size), 0) FROM blobs",
        "free_pages": "PRAGMA freelist_count",
        "page_bytes": "PRAGMA page_size",
    }
    return {name: int(db.execute(sql).fetchone()[0]) for name, sql in queries.items()}


def by_topic(db: sqlite3.Connection, limit: int) -> list[tuple[str, int, int]]:
    """Topics with their events and bytes of JSON, the largest first."""
    rows = db.execute(
        "SELECT topic, count(*), sum(length(state)) AS bytes FROM stored_events GROUP BY topic"
        " ORDER BY bytes DESC LIMIT ?",
        (limit,),
    )
    return [(str(topic), int(count), int(size)) for topic, count, size in rows]
