"""The tables of the SQLite log, its hash chain, and the claim index that is kept in the same transaction."""

import hashlib
import sqlite3
import struct
from collections.abc import Sequence
from itertools import chain
from typing import Any

from domain import stream_index
from domain.events import Recorded, RunFinished, TaskClaimed, TaskEdited, TaskEvent, TaskPrioritized, TaskQueued
from domain.schedule_events import ScheduleEvent
from domain.task import CLAIMABLE, Status, index_change
from domain.work_events import AdapterEvent, OutboxEvent, SensorEvent
from domain.workflow_events import WorkflowEvent

SCHEMA = 3  # 4 is a log with an archive (`adapters.sealed`)
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
    "CREATE TABLE noun_index(first INTEGER PRIMARY KEY, stream TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
    " name TEXT NOT NULL, status TEXT NOT NULL, due_us INTEGER NOT NULL) STRICT",
    "CREATE INDEX noun_due ON noun_index(kind, due_us) WHERE due_us > 0",
    "CREATE INDEX noun_kind ON noun_index(kind, status)",
)
INDEX_TABLES = ("task_index", "run_index", "noun_index")

# a refused event ends its transaction; to end the statement alone, SQLite would copy each page that an insert touches
INTO_EVENTS = "INSERT OR ROLLBACK INTO main.stored_events"
EVENT_ROW = "(?, ?, ?, ?, ?, ?, ?)"

_ROWS_MANY = 250  # from here on long statements pay: a tenth off a thousand tasks, a loss for a hundred events
_ROWS_AT_ONCE = 25  # more save nothing; SQLite allows 32766 values a statement, and a row has up to 9


def insert(cursor: sqlite3.Cursor, into: str, row: str, rows: Sequence[Sequence[Any]], rest: str = "") -> None:
    """Insert rows; of many some at once. `row` is the place of one, as in VALUES."""
    whole = len(rows) - len(rows) % _ROWS_AT_ONCE if len(rows) >= _ROWS_MANY else 0
    if whole:
        many = f"{into} VALUES {', '.join([row] * _ROWS_AT_ONCE)} {rest}"
        for at in range(0, whole, _ROWS_AT_ONCE):
            cursor.execute(many, list(chain.from_iterable(rows[at : at + _ROWS_AT_ONCE])))
    if whole < len(rows):
        cursor.executemany(f"{into} VALUES {row} {rest}", rows[whole:])


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


_PENDING = Status.PENDING.value
_TASKS = frozenset(TaskEvent.__args__)
_NOUNS = frozenset(
    each for kind in (ScheduleEvent, WorkflowEvent, OutboxEvent, SensorEvent, AdapterEvent) for each in kind.__args__
)
INDEXED = _TASKS | _NOUNS | {RunFinished}  # events that may change the index


class IndexRows:
    """Changes of the claim index, collected and written in a few statements. What counts is a row's last change."""

    def __init__(self) -> None:
        self._tasks: list[tuple[int, str, str, int, int, int, str, str, str]] = []
        self._runs: list[tuple[int, str, str]] = []
        self._changed: dict[str, tuple[str, int, int, str, str, str]] = {}
        self._ended: dict[str, tuple[str, str]] = {}
        self._moved: dict[str, tuple[int, str]] = {}
        self._edited: dict[str, tuple[str, str]] = {}
        self._nouns: dict[str, tuple[int, str, str, str, str, int]] = {}

    def add(self, event: Recorded, position: int) -> None:
        """Take in what an event changes."""
        data = event.data
        kind = type(data)
        if isinstance(data, TaskQueued):
            self._add_queued(data, event, position)
        elif kind in _TASKS:
            self._add_task(event, position)
        elif kind in _NOUNS:
            self._add_noun(event, position)
        elif isinstance(data, RunFinished):
            self._ended[event.stream] = (data.state, event.stream)

    def _add_task(self, event: Recorded, position: int) -> None:
        data, task = event.data, event.stream
        if isinstance(data, TaskPrioritized):
            self._moved[task] = (data.priority, task)
            return
        if isinstance(data, TaskEdited):
            self._edited[task] = (data.profile, task)
            return
        change = index_change(data)
        if change is None:
            return
        status = change.status.value  # a plain text: sqlite3 looks long for how to store a subclass
        ready = 0 if change.status not in CLAIMABLE else 2 if change.due_at_us else 1
        if isinstance(data, TaskClaimed) and not data.resumed:
            self._runs.append((position, data.run, task))
        self._changed[task] = (status, ready, change.due_at_us, change.run, change.dispatcher, task)

    def _add_queued(self, data: TaskQueued, event: Recorded, position: int) -> None:
        if data.expires_us:
            self._add_noun(event, position)
        ready = 2 if data.due_at_us else 1  # as `index_change` would have it, in a third of the time
        wanted = (data.priority, data.due_at_us, data.thread, data.profile, data.parent_run)
        self._tasks.append((position, event.stream, _PENDING, ready, *wanted))

    def _add_noun(self, event: Recorded, position: int) -> None:
        found = stream_index.change(event.data)
        if found is None:
            return
        known = self._nouns.get(event.stream)
        first, kind, name = (
            (known[0], known[2], known[3]) if known and not found.kind else (position, found.kind, found.name)
        )
        self._nouns[event.stream] = (first, event.stream, kind, name, found.status, found.due_us)

    def write(self, cursor: sqlite3.Cursor) -> None:
        """Bring the tables up to date: new rows before changes."""
        if self._tasks:
            insert(cursor, "INSERT INTO task_index", "(?, ?, ?, ?, ?, ?, '', '', ?, ?, ?)", self._tasks)
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
        if self._edited:
            cursor.executemany("UPDATE task_index SET profile = ? WHERE task = ?", self._edited.values())
        if self._nouns:
            cursor.executemany(
                "INSERT INTO noun_index VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (stream) DO UPDATE"
                " SET status = excluded.status, due_us = excluded.due_us",
                [row for row in self._nouns.values() if row[2]],
            )
            cursor.executemany(
                "UPDATE noun_index SET status = ?, due_us = ? WHERE stream = ?",
                [(row[4], row[5], row[1]) for row in self._nouns.values() if not row[2]],
            )
        self._tasks, self._runs, self._changed, self._ended = [], [], {}, {}
        self._moved, self._edited, self._nouns = {}, {}, {}


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
NOUNS_DUE = "SELECT stream FROM noun_index WHERE kind = ? AND due_us > 0 AND due_us <= ? ORDER BY due_us, first LIMIT ?"
NOUNS = "SELECT stream, name, status, due_us FROM noun_index WHERE kind = ? AND (status = ? OR ? = '') ORDER BY first"
SETTLE = "UPDATE noun_index SET due_us = 0 WHERE stream = ?"
PROMOTE = "UPDATE task_index SET ready = 1 WHERE ready = 2 AND due_at_us <= ?"
NEXT_DUE = "SELECT min(due_at_us) FROM task_index WHERE ready = 2"
RUNNING = "SELECT task, run, dispatcher FROM task_index WHERE status = 'running' ORDER BY queued"
WAITING = (
    "SELECT task, run, due_at_us FROM task_index WHERE status IN ('waiting_for_approval', 'blocked') AND run <> ''"
    " ORDER BY queued"
)
