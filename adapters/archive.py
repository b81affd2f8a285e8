"""Whole-log work on the SQLite file: verify every byte, read out for an export, write in from one."""

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from adapters.codec import Codec, Row
from adapters.compress import pack, unpack
from adapters.log_reader import open_read_only
from adapters.log_schema import COLUMNS, EVENT_ROW, GENESIS, INDEX_TABLES, INTO_EVENTS, NEXT_CLAIM, IndexRows, link
from adapters.transfer import Entry
from domain import errors
from domain.events import Blob
from domain.ids import output_stream, text_of
from domain.json_text import UNREADABLE

_BATCH = 2_000


class Verified(NamedTuple):
    """What a verification looked at."""

    events: int
    hash: str
    bodies: int
    bodies_missing: int
    texts: int


def connect(folder: Path) -> sqlite3.Connection:
    """A read-only connection for bulk work. Raises HomeNotFound."""
    return open_read_only(folder)


def verify(db: sqlite3.Connection) -> Verified:
    """Check chain, bodies and texts. Raises Corrupt naming the first bad position."""
    try:
        return _verify(db)
    except sqlite3.Error as problem:
        raise errors.Corrupt(why=f"SQLite cannot read it: {problem}") from problem


def _verify(db: sqlite3.Connection) -> Verified:
    upto = db.execute("SELECT coalesce(max(position), 0) FROM stored_events").fetchone()[0]
    prev, bodies, missing = GENESIS, 0, 0
    salts = {stream: bytes(salt) for stream, salt in db.execute("SELECT stream, salt FROM salts")}
    rows = db.execute(
        f"SELECT {COLUMNS}, hash, codec, data FROM event_bodies"  # noqa: S608
        " WHERE position <= ? ORDER BY position",
        (upto,),
    )
    versions: dict[str, int] = {}
    for expected, row in enumerate(rows, 1):
        position, stream, version, topic, cause, state, found, codec, body = row
        prev = link(prev, expected, stream, version, topic, cause, state)
        if position != expected or prev != found:
            raise _damaged(expected)
        if version != versions.get(stream, 0) + 1:
            raise _damaged(expected, f"is version {version} of stream {stream}, and {version - 1} is missing")
        versions[stream] = version
        if topic.startswith("output."):
            bodies += body is not None
            missing += body is None
            if body is not None and not _is_output(state, salts.get(stream, b""), codec, body):
                raise errors.Corrupt(why=f"the output of event {position} is not what was recorded")
    texts = 0
    for scope, sha256, codec, data in db.execute("SELECT scope, sha256, codec, data FROM blobs"):
        texts += 1
        if not _is_text(sha256, codec, data):
            raise errors.Corrupt(why=f"the text {sha256[:12]} of task {scope[:8]} is not what was recorded")
    return Verified(upto, prev.hex() if upto else "", bodies, missing, texts)


def _damaged(position: int, why: str = "is not the one that was written") -> errors.EventDamaged:
    return errors.EventDamaged(position=position, before=position - 1, why=why)


class _Digest(msgspec.Struct):
    digest: str


class _Output(msgspec.Struct):
    data: _Digest


_output = msgspec.json.Decoder(_Output).decode


def _is_output(state: bytes, salt: bytes, codec: int, body: bytes) -> bool:
    try:
        return hashlib.sha256(salt + unpack(codec, body)).hexdigest() == _output(state).data.digest
    except (errors.Corrupt, *UNREADABLE):  # it does not even unpack
        return False


def _is_text(sha256: str, codec: int, data: bytes) -> bool:
    try:
        return text_of(unpack(codec, data)).sha256 == sha256
    except errors.Corrupt:
        return False


def entries(db: sqlite3.Connection, upto: int) -> Iterator[Entry]:
    """The log up to a position, each text and salt with the first event of its task or stream. Raises Corrupt."""
    try:
        rows = db.execute(
            f"SELECT {COLUMNS}, hash, codec, data FROM event_bodies"  # noqa: S608
            " WHERE position <= ? ORDER BY position",
            (upto,),
        )
        prev = GENESIS
        for expected, entry in enumerate(_entries(db, rows, texts_of_run=None), 1):
            prev = link(prev, expected, *entry.row[1:])
            if entry.row.position != expected or prev != entry.hash:
                raise _damaged(expected)
            yield entry
    except sqlite3.Error as problem:
        raise errors.Corrupt(why=f"SQLite cannot read it: {problem}") from problem


def run_entries(db: sqlite3.Connection, run: str) -> list[Entry]:
    """One run: its part of the task's stream, its decisions, its output, with the texts of its task."""
    found = db.execute("SELECT task, claimed FROM run_index WHERE run = ?", (run,)).fetchone()
    if found is None:
        raise errors.IdNotFound(what="run", given=run)
    task, claimed = found
    upto = db.execute(NEXT_CLAIM, (task, claimed)).fetchone()[0]
    rows = db.execute(
        f"SELECT {COLUMNS}, hash, codec, data FROM event_bodies"  # noqa: S608
        " WHERE (originator_id = ? AND position >= ? AND position < ?) OR originator_id IN (?, ?) ORDER BY position",
        (task, claimed, upto, run, output_stream(run)),
    )
    return list(_entries(db, rows, texts_of_run=task))


def _entries(db: sqlite3.Connection, rows: sqlite3.Cursor, *, texts_of_run: str | None) -> Iterator[Entry]:
    told: set[str] = set()
    for position, stream, version, topic, cause, state, found, codec, body in rows:
        texts: tuple[Blob, ...] = ()
        scope = texts_of_run if texts_of_run and not told else stream
        salt = b""
        if scope not in told:
            told.add(scope)
            texts = tuple(
                Blob(scope, unpack(kind, data))
                for kind, data in db.execute("SELECT codec, data FROM blobs WHERE scope = ? ORDER BY rowid", (scope,))
            )
        if version == 1 and topic.startswith("output."):
            kept = db.execute("SELECT salt FROM salts WHERE stream = ?", (stream,)).fetchone()
            salt = bytes(kept[0]) if kept else b""
        content = None if body is None else unpack(codec, body)
        row = Row(position, stream, version, topic, cause, bytes(state))
        yield Entry(row=row, hash=bytes(found), body=content, texts=texts, salt=salt)


def restore(
    db: sqlite3.Connection, found: Iterable[Entry], codec: Codec, end: tuple[int, str], folder: str
) -> tuple[int, str]:
    """Write an exported log into an empty one, in one transaction: all of it or nothing.

    `end` is the position and hash that the export names. Raises Corrupt, LogNotEmpty.
    """
    cursor = db.cursor()
    cursor.execute("BEGIN IMMEDIATE")
    try:
        _refuse_unless_empty(cursor, folder)
        reached = _restore(cursor, found, codec, end)
        cursor.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # a refused event has ended it
            cursor.execute("ROLLBACK")
        raise
    return reached


def _refuse_unless_empty(cursor: sqlite3.Cursor, folder: str) -> None:
    count = cursor.execute("SELECT count(*) FROM stored_events").fetchone()[0]
    if count:
        raise errors.LogNotEmpty(folder=folder, count=count)


def _restore(cursor: sqlite3.Cursor, found: Iterable[Entry], codec: Codec, end: tuple[int, str]) -> tuple[int, str]:
    position, prev = 0, GENESIS
    for entry in found:
        position += 1
        prev = _insert(cursor, entry, position, prev, codec)
    reached = (position, prev.hex() if position else "")
    if reached != (end[0], end[1] if end[0] else ""):
        raise errors.Corrupt(why=f"the export ends at {position}; its header says {end[0]}")
    return reached


def _insert(cursor: sqlite3.Cursor, entry: Entry, position: int, prev: bytes, codec: Codec) -> bytes:
    row = entry.row
    linked = link(prev, position, row.stream, row.version, row.topic, row.caused_by, row.state)
    if row.position != position or linked != entry.hash:
        raise errors.Corrupt(why=f"event {position} of the export is not the one that was written")
    cursor.execute(f"{INTO_EVENTS} VALUES {EVENT_ROW}", (*row, linked))
    event = codec.decode(row, entry.body)
    if entry.body is not None:
        cursor.execute("INSERT INTO main.bodies VALUES (?, ?, ?)", (position, *pack(entry.body)))
    for blob in entry.texts:
        stored = (blob.scope, text_of(blob.content).sha256, len(blob.content), *pack(blob.content))
        cursor.execute("INSERT INTO blobs VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", stored)
    if entry.salt:
        cursor.execute("INSERT INTO salts VALUES (?, ?)", (row.stream, entry.salt))
    index = IndexRows()
    index.add(event, position)
    index.write(cursor)
    return linked


def reindex(db: sqlite3.Connection, codec: Codec) -> int:
    """Compute the claim index again from the events; how many there are."""
    db.execute("BEGIN IMMEDIATE")
    try:
        count = reindex_within(db, codec)
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    return count


def reindex_within(db: sqlite3.Connection, codec: Codec) -> int:
    """The same in the transaction of the caller."""
    cursor, reader = db.cursor(), db.cursor()
    for table in INDEX_TABLES:
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608  # our own names
    count = 0
    reader.execute(f"SELECT {COLUMNS} FROM stored_events WHERE topic NOT LIKE 'output.%' ORDER BY position")  # noqa: S608
    index = IndexRows()
    while rows := reader.fetchmany(_BATCH):
        for row in rows:
            count += 1
            index.add(codec.decode(Row(*row)), row[0])
        index.write(cursor)
    return count
