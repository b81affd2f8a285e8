"""What SQLite and the system complain of: said in our words where it is no bug, and left alone where it may be one."""

import errno
import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters import log_problems
from domain import errors

HOME = Path("/srv/project/.rt")


def raised(call: Callable[[], object]) -> Exception:
    try:
        call()
    except Exception as problem:  # noqa: BLE001  # that is what is asked for
        return problem
    pytest.fail("it raised nothing")


def closed() -> object:
    db = sqlite3.connect(":memory:")
    db.close()
    return db.execute("SELECT 1")


def elsewhere() -> object:
    db = sqlite3.connect(":memory:")
    found: list[Exception] = []
    thread = threading.Thread(target=lambda: found.append(raised(lambda: db.execute("SELECT 1"))))
    thread.start()
    thread.join()
    db.close()
    raise found[0]


def asked(statement: str, *values: object) -> object:
    db = sqlite3.connect(":memory:")
    try:
        return db.execute(statement, values)
    finally:
        db.close()


BUGS: dict[str, Callable[[], object]] = {
    "a connection that was closed": closed,
    "a connection of another thread": elsewhere,
    "a column that is not there": lambda: asked("SELECT nothing"),
    "a value that is missing": lambda: asked("SELECT ?"),
    "a constraint": lambda: asked("SELECT RAISE(ABORT, 'no')"),
    "a number": lambda: 1 / 0,
}


@pytest.mark.parametrize("call", BUGS.values(), ids=BUGS)
def test_what_may_be_a_bug_stays_one(call: Callable[[], object]) -> None:
    assert log_problems.known(raised(call), HOME) is None


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EMFILE, errno.ENOENT])
def test_a_file_that_we_may_not_use_says_nothing_about_the_disk(number: int) -> None:
    assert log_problems.known(OSError(number, os.strerror(number), "/home/ann/secret"), HOME) is None


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_nothing_is_named_without_the_file(number: int) -> None:
    found = log_problems.known(OSError(number, os.strerror(number), "/home/ann/secret"), HOME)
    assert isinstance(found, errors.StoreFull)
    assert str(found) == f"{HOME} cannot be written: {os.strerror(number)}"


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 8192)
    db = sqlite3.connect(path)
    found = log_problems.known(raised(lambda: db.execute("SELECT * FROM stored_events")), HOME)
    db.close()
    assert type(found) is errors.Corrupt


def test_a_disk_that_cannot_be_read_is_named() -> None:
    problem = sqlite3.OperationalError("disk I/O error")
    problem.sqlite_errorcode = sqlite3.SQLITE_IOERR_READ
    assert type(log_problems.known(problem, Path("/"))) is errors.Corrupt


@pytest.mark.parametrize(
    ("name", "matters"),
    [
        (".", True),
        ("log.db", True),
        ("log.db-wal", True),
        ("log.db-shm", True),
        ("head.json.lock", True),
        ("head.json.new", True),
        ("head.json", False),  # it is replaced
        ("other", False),
    ],
)
def test_a_file_that_appends_need_and_cannot_write_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *, matters: bool
) -> None:
    for each in ("log.db", "log.db-wal", "log.db-shm", "head.json", "head.json.lock", "head.json.new", "other"):
        (tmp_path / each).touch()
    assert log_problems.unwritable(tmp_path) is None
    closed_path = tmp_path / name
    monkeypatch.setattr(os, "access", lambda path, _mode: path != closed_path)  # who tests as root may write anything
    assert log_problems.unwritable(tmp_path) == (closed_path if matters else None)
