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
_TAKES_NOTHING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}
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
    files = [folder, *(folder / name for name in ("log.db", "log.db-wal", "log.db-shm", "head.json"))]
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
    """What to tell of an exception that is none of ours; None for what may be a bug. `path` is the home's folder."""
    if isinstance(problem, sqlite3.Error):  # of a reader: what writes translates by itself
        return translated(problem, path)
    if isinstance(problem, OSError) and problem.errno in _TAKES_NOTHING:
        return errors.StoreFull(path=str(problem.filename or path), why=str(problem.strerror))
    return None
