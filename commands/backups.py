"""Backups of the log: one file that is complete at its position, and the head of the log beside it.

Written and verified out of sight, then given its name: a file with that name is a whole backup.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

from adapters import archive, sealed
from domain import errors

HEAD_SUFFIX = ".head.json"  # of the file that names the end of the log, in the form of a home's head.json


class Saved(NamedTuple):
    """A backup that was verified: where it ends, and how large it is."""

    position: int
    hash: str
    size_bytes: int
    head_file: Path


def save(state: Path, target: Path) -> Saved:
    """Write the log of a home to a file, also while others append. Raises FileThere, StoreFull, Corrupt."""
    head_file = target.with_name(target.name + HEAD_SUFFIX)
    for path in (target, head_file):
        if path.exists():
            raise errors.FileThere(path=str(path))
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            return _saved(state, Path(folder), target, head_file)
    except FileExistsError as problem:  # another backup was faster
        raise errors.FileThere(path=str(problem.filename2 or target)) from None
    except OSError as problem:
        raise errors.StoreFull(path=str(target), why=str(problem.strerror)) from None


def _saved(state: Path, folder: Path, target: Path, head_file: Path) -> Saved:
    copy, head = folder / "log.db", folder / "head.json"
    _copy(state, copy)
    found = _verified(folder)
    head.write_text(json.dumps({"position": found.events, "hash": found.hash}))
    for path in (copy, head):
        _synced(path)
    os.link(head, head_file)  # unlike a rename, this never replaces a file
    try:
        os.link(copy, target)
    except OSError:
        head_file.unlink()
        raise
    _synced(target.parent)
    return Saved(found.events, found.hash, copy.stat().st_size, head_file)


def _copy(state: Path, copy: Path) -> None:
    """One read transaction over the whole log: writers go on, and nothing of theirs is in it in part."""
    db = archive.connect(state)
    try:
        db.execute("VACUUM INTO ?", (str(copy),))
    except db.Error as problem:
        raise errors.StoreFull(path=str(copy.parent.parent), why=str(problem)) from problem
    finally:
        db.close()
    sealed.whole(copy, state)


def _verified(folder: Path) -> archive.Verified:
    db = archive.connect(folder)
    try:
        return archive.verify(db)
    finally:
        db.close()


def _synced(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
