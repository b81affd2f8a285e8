"""The tables of the SQLite log, its hash chain, and the claim index that is kept in the same transaction."""

import hashlib
import sqlite3
import struct

from domain.events import Recorded, RunFinished, TaskClaimed, TaskEvent, TaskPrioritized, TaskQueued
from domain.task import CLAIMABLE, index_change

SCHEMA = 2
COLUMNS = "position, originator_id, originator_version, topic, caused_by, state"

TABLES = (
    "CREATE TABLE stored_events(position INTEGER PRIMARY KEY, originator_id TEXT NOT NULL,"
    " originator_version INTEGER NOT NULL, topic TEXT NOT NULL, caused_by INTEGER NOT NULL, state BLOB NOT NULL,"
    " hash BLOB NOT NULL, UNIQUE(originator_id, originator_version)) STRICT",
    "CREATE TRIGGER no_update BEFORE UPDATE ON stored_events BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    "CREATE TRIGGER no_delete BEFORE DELETE ON stored_events BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    # the next position, and a version that nobody has: REPLACE would remove the event that it collides with, past
    # no_delete on a connection without recursive_triggers
    "CREATE TRIGGER gapless BEFORE INSERT ON stored_events WHEN NEW.position IS NOT"
    " (SELECT coalesce(max(position), 0) + 1 FROM stored_events) OR EXISTS (SELECT 1 FROM stored_events"
    " WHERE originator_id = NEW.originator_id AND originator_version = NEW.originator_version)"
    " BEGIN SELECT RAISE(ROLLBACK, 'not the next event'); END",
    # what may have to be erased lies apart from the events, which hold digests only
    "CREATE TABLE bodies(position INTEGER PRIMARY KEY, codec INTEGER NOT NULL, data BLOB NOT NULL) STRICT",
    "CREATE TABLE blobs(scope TEXT NOT NULL, sha256 TEXT NOT NULL, size INTEGER NOT NULL, codec INTEGER NOT NULL,"
    " data BLOB NOT NULL, UNIQUE(scope, sha256)) STRICT",
    "CREATE TABLE salts(stream TEXT PRIMARY KEY, salt BLOB NOT NULL) STRICT, WITHOUT ROWID",
)

# ready: 0 not claimable, 1 claimable in the order of claims, 2 claimable once due_at_us is reached. Rows lie in the
# order of the log, so that those which change together share pages; an index has only the rows that are looked for.
INDEX = (
    "CREATE TABLE task_index(queued INTEGER PRIMARY KEY, task TEXT NOT NULL UNIQUE, status TEXT NOT NULL,"
    " ready INTEGER NOT NULL, priority INTEGER NOT NULL, due_at_us INTEGER NOT NULL, run TEXT NOT NULL,"
    " dispatcher TEXT NOT NULL, thread TEXT NOT NULL, profile TEXT NOT NULL, parent_run TEXT NOT NULL) STRICT",
    "CREATE INDEX task_ready ON task_index(priority DESC, run = '', queued) WHERE ready = 1",
    "CREATE INDEX task_waiting ON task_index(due_at_us) WHERE ready = 2",
    "CREATE INDEX task_running ON task_index(status) WHERE status = 'running'",
    "CREATE INDEX task_parked ON task_index(run) WHERE run <> '' AND status IN ('waiting_for_approval', 'blocked')",
    "CREATE INDEX task_thread ON task_index(thread) WHERE thread <> ''",
    "CREATE INDEX task_parent ON task_index(parent_run) WHERE parent_run <> ''",
    "CREATE TABLE run_index(claimed INTEGER PRIMARY KEY, run TEXT NOT NULL UNIQUE, task TEXT NOT NULL,"
    " state TEXT NOT NULL) STRICT",
)

# a refused event ends its transaction; to end the statement alone, SQLite would copy each page that an insert touches
INSERT = "INSERT OR ROLLBACK INTO stored_events VALUES (?,?,?,?,?,?,?)"

_HEAD = struct.Struct(">32sQQQII").pack
_sha256 = hashlib.sha256
GENESIS = bytes(32)


def link(  # noqa: PLR0913, PLR0917  # every column is covered
    prev: bytes, position: int, stream: str, version: int, name: str, caused_by: int, state: bytes
) -> bytes:
    """The chain hash of an event: SHA-256 over the previous hash and every column, with lengths in the header."""
    kind = name.encode()
    header = _HEAD(prev, position, version, caused_by, len(kind), len(state))
    return _sha256(b"".join((header, stream.encode(), kind, state))).digest()


_CONCERNED = frozenset((*TaskEvent.__args__, RunFinished))


class IndexRows:
    """Changes of the claim index, collected and written in a few statements. What counts is a row's last change."""

    def __init__(self) -> None:
        self._tasks: list[tuple[int, str, str, int, int, int, str, str, str]] = []
        self._runs: list[tuple[int, str, str]] = []
        self._changed: dict[str, tuple[str, int, int, str, str, str]] = {}
        self._ended: dict[str, tuple[str, str]] = {}
        self._moved: dict[str, tuple[int, str]] = {}

    def add(self, event: Recorded, position: int) -> None:
        """Take in what an event changes."""
        data = event.data
        if type(data) not in _CONCERNED:
            return
        if isinstance(data, RunFinished):
            self._ended[event.stream] = (data.state, event.stream)
            return
        if isinstance(data, TaskPrioritized):
            self._moved[event.stream] = (data.priority, event.stream)
            return
        change = index_change(data)
        if change is None:
            return
        ready = 0 if change.status not in CLAIMABLE else 2 if change.due_at_us else 1
        if isinstance(data, TaskQueued):
            wanted = (data.priority, change.due_at_us, data.thread, data.profile, data.parent_run)
            self._tasks.append((position, event.stream, change.status, ready, *wanted))
            return
        if isinstance(data, TaskClaimed) and not data.resumed:
            self._runs.append((position, data.run, event.stream))
        row = (change.status, ready, change.due_at_us, change.run, change.dispatcher, event.stream)
        self._changed[event.stream] = row

    def write(self, cursor: sqlite3.Cursor) -> None:
        """Bring the tables up to date: new rows before changes."""
        if self._tasks:
            cursor.executemany("INSERT INTO task_index VALUES (?, ?, ?, ?, ?, ?, '', '', ?, ?, ?)", self._tasks)
        if self._runs:
            cursor.executemany("INSERT INTO run_index VALUES (?, ?, ?, 'running')", self._runs)
        if self._changed:
            cursor.executemany(
                "UPDATE task_index SET status = ?, ready = ?, due_at_us = ?, run = ?, dispatcher = ? WHERE task = ?",
                self._changed.values(),
            )
        if self._ended:
            cursor.executemany("UPDATE run_index SET state = ? WHERE run = ?", self._ended.values())
        if self._moved:
            cursor.executemany("UPDATE task_index SET priority = ? WHERE task = ?", self._moved.values())
        self._tasks, self._runs, self._changed, self._ended, self._moved = [], [], {}, {}, {}


# the position at which the next run of a task was claimed: claims by which the same run goes on are in no index
NEXT_CLAIM = (
    "SELECT coalesce(min(claimed), 1 << 62) FROM stored_events JOIN run_index ON claimed = position"
    " WHERE originator_id = ? AND topic LIKE 'task.claimed.v%' AND position > ?"
)
# of a thread only the oldest task that is not over: messages do not overtake each other
_TURN = (
    "(thread = '' OR NOT EXISTS (SELECT 1 FROM task_index o WHERE o.thread = t.thread AND o.thread <> ''"
    " AND o.queued < t.queued AND o.status IN ('pending', 'retryable_failure', 'running', 'waiting_for_approval')))"
)
READY = (
    f"SELECT task FROM task_index t WHERE ready = 1 AND {_TURN}"  # noqa: S608  # our own text
    " AND (profile = '' OR profile NOT IN (SELECT value FROM json_each(?)))"
    " ORDER BY priority DESC, run = '', queued LIMIT ?"
)
READY_OR_DUE = READY.replace("ready = 1", "(ready = 1 OR (ready = 2 AND due_at_us <= ?))")
RUNNING_PROFILES = "SELECT profile, count(*) FROM task_index WHERE status = 'running' GROUP BY profile"
CHILDREN = "SELECT task FROM task_index WHERE parent_run = ? AND parent_run <> '' ORDER BY queued"
THREADS = "SELECT thread FROM task_index WHERE thread <> '' GROUP BY thread ORDER BY min(queued)"
PROMOTE = "UPDATE task_index SET ready = 1 WHERE ready = 2 AND due_at_us <= ?"
NEXT_DUE = "SELECT min(due_at_us) FROM task_index WHERE ready = 2"
RUNNING = "SELECT task, run, dispatcher FROM task_index WHERE status = 'running' ORDER BY queued"
WAITING = (
    "SELECT task, run, due_at_us FROM task_index WHERE status IN ('waiting_for_approval', 'blocked') AND run <> ''"
    " ORDER BY queued"
)
