"""A log whose oldest events lie in an archive is the same log: to read, to append to, to verify, and after a crash."""

import hashlib
import os
import sqlite3
import traceback
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from adapters import archive, erasure, sealed
from adapters.log_read import ReadLog
from adapters.log_reader import LogReader
from adapters.log_sqlite import SqliteLog
from adapters.transfer import Entry
from domain import errors
from domain.events import Put
from domain.ids import output_stream
from tests.adapters.puts import RUN, TASK, append, claim, note, notes, output, put, queued

LAST = 12
EVER = 1 << 60


def told(version: int, body: bytes) -> Put:
    """Output with the digest that a verification looks for."""
    [made] = output(version, body).events
    data = msgspec.structs.replace(made.data, digest=hashlib.sha256(body).hexdigest())
    return put(msgspec.structs.replace(made, data=data))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of a task with a run and output, of a stream that began early, and of one that goes on."""
    made = tmp_path / "log"
    log = SqliteLog(made, create=True)
    append(log, notes("early", 1, 3), queued(), claim(), told(1, b"one\n"), told(2, b"two\n"), notes("long", 1, 5))
    assert log.head().position == LAST
    log.close()
    return made


def seal(folder: Path, upto: int) -> None:
    log = SqliteLog(folder)
    try:
        log.bulk(lambda writer: sealed.seal(writer, folder, upto))
    finally:
        log.close()


def entries(folder: Path) -> list[Entry]:
    db = archive.connect(folder)
    try:
        return list(archive.entries(db, 1 << 60))
    finally:
        db.close()


def verified(folder: Path) -> archive.Verified:
    db = archive.connect(folder)
    try:
        return archive.verify(db)
    finally:
        db.close()


def in_log(folder: Path) -> list[int]:
    db = sqlite3.connect(folder / "log.db")
    try:
        return [row[0] for row in db.execute("SELECT position FROM main.stored_events ORDER BY position")]
    finally:
        db.close()


@pytest.mark.parametrize("upto", [1, 3, 5, 6, 7, LAST - 1])
def test_every_reader_sees_the_same_wherever_it_is_cut(folder: Path, upto: int) -> None:
    def seen() -> object:
        log, reader = ReadLog(folder), LogReader(folder)
        try:
            return (
                [log.read(0, 100), log.read(4, 3), log.stream("long"), log.stream("long", 3), log.head()],
                [list(log.run_events(RUN, bodies=bodies)) for bodies in (True, False)],
                [log.output(RUN), log.version("early"), log.task(TASK), log.salt(RUN), log.touched(2)],
                [reader.lines(0, 100), reader.bodies(0, 100, 1 << 20), reader.hash_at(2), reader.rows(1, 9, 3)],
            )
        finally:
            log.close()

    before, whole, entry = seen(), verified(folder), entries(folder)
    seal(folder, upto)
    assert in_log(folder) == list(range(upto + 1, LAST + 1))
    assert seen() == before
    assert (verified(folder), entries(folder)) == (whole, entry)


def test_it_goes_on_after_the_cut_and_is_cut_again(folder: Path) -> None:
    seal(folder, 7)
    log = SqliteLog(folder)
    append(log, put(note("early", 4)), notes("new", 1, 2))
    assert log.head().position == LAST + 3
    assert log.version("early") == 4
    log.close()
    seal(folder, LAST + 1)
    assert in_log(folder) == [LAST + 2, LAST + 3]
    assert verified(folder).events == LAST + 3


def test_a_stream_that_began_in_the_archive_cannot_begin_again(folder: Path) -> None:
    seal(folder, 7)
    log = SqliteLog(folder)
    try:
        for first in (note("early", 1), note("early", 3)):
            [refused] = log.append([put(first)])
            assert isinstance(refused, errors.StreamConflict)
        assert log.head().position == LAST
    finally:
        log.close()


def _deaths(folder: Path, upto: int) -> Iterator[int]:
    """Die at the first statement, at the second, ...; each time the number, until it comes through."""
    for number in range(1, 100):
        child = os.fork()
        if child == 0:
            left = number
            try:
                log = SqliteLog(folder)

                def count(_: str) -> None:
                    nonlocal left
                    left -= 1
                    if not left:
                        os._exit(9)

                def work(writer: sqlite3.Connection) -> None:
                    writer.set_trace_callback(count)
                    sealed.seal(writer, folder, upto)
                    writer.set_trace_callback(None)

                log.bulk(work)
                os._exit(0)
            except BaseException:  # noqa: BLE001  # the child never returns into pytest
                traceback.print_exc()
                os._exit(1)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert code in (0, 9)
        yield number
        if code == 0:
            return
    pytest.fail("it never came through")


def test_a_death_at_any_statement_loses_nothing_and_the_next_time_goes_through(folder: Path) -> None:
    entry = entries(folder)
    for upto in (5, LAST - 1):
        deaths = 0
        for number in _deaths(folder, upto):
            deaths = number
            assert entries(folder) == entry
            assert verified(folder).events == LAST
        assert deaths > 10  # statements
        assert in_log(folder)[0] == upto + 1


def test_what_an_interrupted_move_left_does_not_bring_back_what_was_erased(folder: Path) -> None:
    for _ in _deaths(folder, LAST - 1):
        if b"one\n" in _content(folder / sealed.FILE):
            break
    assert not _is_sealed(folder)
    log = SqliteLog(folder)
    log.bulk(lambda writer: erasure.erase(writer, [erasure.Target(RUN, TASK)]))
    log.close()
    seal(folder, LAST - 1)
    assert verified(folder).bodies == 0
    assert b"one\n" not in _content(folder / sealed.FILE)


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _is_sealed(folder: Path) -> bool:
    db = sqlite3.connect(folder / "log.db")
    try:
        return sealed.is_sealed(db)
    finally:
        db.close()


def test_outputs_in_the_archive_are_erased_there(folder: Path) -> None:
    seal(folder, LAST - 1)
    log = SqliteLog(folder)
    log.bulk(lambda writer: erasure.erase(writer, [erasure.Target(RUN, TASK)]))
    log.close()
    found = verified(folder)
    assert (found.bodies, found.bodies_missing, found.events) == (0, 2, LAST)
    reader = ReadLog(folder)
    assert [each.body for each in reader.stream(output_stream(RUN))] == [None, None]
    reader.close()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE stored_events SET topic = 'x' WHERE position = 2",
        "UPDATE stored_events SET hash = x'00' WHERE position = 2",
        "DELETE FROM stored_events WHERE position = 2",
        "UPDATE bodies SET data = x'00'",
    ],
)
def test_a_change_in_the_archive_is_found(folder: Path, damage: str) -> None:
    seal(folder, LAST - 1)
    db = sqlite3.connect(folder / sealed.FILE, isolation_level=None)
    db.execute("DROP TRIGGER no_update")
    db.execute("DROP TRIGGER no_delete")
    db.execute(damage)
    db.close()
    with pytest.raises(errors.Corrupt):
        verified(folder)


def test_the_archive_refuses_to_be_changed(folder: Path) -> None:
    seal(folder, 5)
    db = sqlite3.connect(folder / sealed.FILE, isolation_level=None)
    for statement in ("UPDATE stored_events SET topic = 'x'", "DELETE FROM stored_events"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            db.execute(statement)
    db.close()
    assert (folder / sealed.FILE).stat().st_mode & 0o077 == 0


def test_a_missing_archive_is_named(folder: Path) -> None:
    seal(folder, 5)
    (folder / sealed.FILE).rename(folder / "elsewhere.db")
    for opened in (ReadLog, SqliteLog, LogReader):
        with pytest.raises(errors.Corrupt, match=r"archive\.db is missing"):
            opened(folder)


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000])
def test_an_archive_that_is_none_is_named(folder: Path, content: bytes) -> None:
    seal(folder, 5)
    (folder / sealed.FILE).write_bytes(content)
    for opened in (ReadLog, SqliteLog, LogReader):
        with pytest.raises(errors.Corrupt, match=r"archive\.db"):
            opened(folder)


def _other(tmp_path: Path) -> Path:
    other = tmp_path / "other"
    log = SqliteLog(other, create=True)
    append(log, notes("other", 1, 9))
    log.close()
    seal(other, 5)
    return other


def test_the_archive_of_another_log_is_refused(folder: Path, tmp_path: Path) -> None:
    other = _other(tmp_path)
    (other / sealed.FILE).replace(folder / sealed.FILE)
    with pytest.raises(errors.Corrupt, match="holds other events than this log"):
        seal(folder, 5)
    assert in_log(folder) == list(range(1, LAST + 1))
    (folder / sealed.FILE).unlink()
    seal(folder, 5)
    (folder / sealed.FILE).replace(other / sealed.FILE)
    with pytest.raises(errors.Corrupt, match="not what this log was cut from"):
        verified(other)


def test_never_the_tail_and_nothing_of_a_task_that_is_not_over(folder: Path) -> None:
    db = archive.connect(folder)
    assert sealed.cut(db, EVER).upto == 3, "the task was queued at 4 and runs"
    assert sealed.cut(db, 0) == (0, 0, 0)
    db.close()
    alone = folder.parent / "alone"
    log = SqliteLog(alone, create=True)
    append(log, notes("a", 1, 1))
    db = archive.connect(alone)
    assert sealed.cut(db, EVER).upto == 0
    db.close()
    log.close()


def test_a_program_that_knows_of_no_archive_refuses_the_log(folder: Path) -> None:
    seal(folder, 5)
    db = sqlite3.connect(folder / "log.db")
    assert db.execute("PRAGMA user_version").fetchone()[0] > 3
    db.close()


def test_a_copy_is_whole_again(folder: Path, tmp_path: Path) -> None:
    entry = entries(folder)
    seal(folder, 7)
    copy = tmp_path / "copy"
    copy.mkdir()
    db = archive.connect(folder)
    db.execute("VACUUM INTO ?", (str(copy / "log.db"),))
    db.close()
    sealed.whole(copy / "log.db", folder)
    assert entries(copy) == entry
    log = SqliteLog(copy)
    append(log, put(note("early", 4)))
    assert log.head().position == LAST + 1
    log.close()
    assert verified(copy).events == LAST + 1
