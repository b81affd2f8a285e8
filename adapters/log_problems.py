"""What SQLite and the disk complain of, in the words of our errors."""

import errno
import os
import shutil
import sqlite3
from pathlib import Path

from adapters.log_reader import BUSY_S
from domain import errors
from domain.bounds import MIB

_NO_WRITING = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
_DAMAGED = ("malformed", "not a database", "no such table")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
FULL = "there is no space left on the disk"


def is_full(path: Path) -> bool:
    """Whether the disk below a path has hardly any space left."""
    folder = path if path.is_dir() else path.parent
    try:
        return shutil.disk_usage(folder).free < MIB
    except OSError:
        return False


def unwritable(folder: Path) -> Path | None:
    """What of a log in a folder cannot be written by us: a mode, an owner, or a disk that is mounted to be read."""
    # the head record is replaced, so its own mode does not matter
    names = ("log.db", "log.db-wal", "log.db-shm", "head.json.lock", "head.json.new")
    files = [folder, *(folder / name for name in names)]
    return next((each for each in files if each.exists() and not os.access(each, os.W_OK)), None)


def translated(problem: Exception, path: Path) -> errors.RtError:
    """The error of ours that says it. `path` is the file that was used."""
    why = str(problem)
    code = getattr(problem, "sqlite_errorcode", 0)
    if code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return errors.LogBusy(seconds=int(BUSY_S))
    if isinstance(problem, OSError) or code & 0xFF in _NO_WRITING or code == sqlite3.SQLITE_IOERR_WRITE:
        return errors.StoreFull(path=str(path), why=why)
    if code & 0xFF == sqlite3.SQLITE_IOERR and is_full(path):  # not even its shared memory could grow
        return errors.StoreFull(path=str(path), why=FULL)
    if any(each in why for each in _DAMAGED):
        return errors.Corrupt(why=why)
    return errors.OutcomeUnknown(why=why)


def known(problem: Exception, path: Path) -> errors.RtError | None:
    """What to tell of an exception that nobody translated; None for what may be a bug. `path` is the home's folder.

    What writes translates by itself, so errors of SQLite come from readers here.
    """
    if isinstance(problem, OSError) and problem.errno in _FULL:
        return errors.StoreFull(path=str(path), why=str(problem.strerror))
    if not isinstance(problem, sqlite3.Error):
        return None
    found = translated(problem, path)
    if not isinstance(found, errors.OutcomeUnknown):
        return found
    is_disk = getattr(problem, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_IOERR
    return errors.Corrupt(why=str(problem)) if is_disk else None
