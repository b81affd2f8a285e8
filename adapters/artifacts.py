"""Files beneath a root: looked at, listed and written without following any link, and without ever hanging."""

import errno
import hashlib
import itertools
import os
import stat
import uuid
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Final, NamedTuple

from domain import errors
from domain.bounds import LOOK_BYTES_MAX, MIB, SNAPSHOT_BYTES_MAX, TIME_US_MAX, TREE_DEPTH_MAX, TREE_ENTRIES_MAX
from domain.managed_path import MISSING, BadPath, Place, Seen, components

HEAD_CHARS: Final = 4_000

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A FIFO or a device that takes a file's place between two calls must not hang or become the terminal.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SPECIAL = {
    stat.S_IFLNK: "is a symbolic link",
    stat.S_IFIFO: "is a FIFO",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}  # of a file system without hard links


_TOO_MANY = Seen(exists=False, kind="refused", why="was not looked at: there are too many files")


class Tree(NamedTuple):
    """What lies below a folder, by relative path and sorted; `is_cut`: there is more."""

    seen: dict[str, Seen]
    is_cut: bool


class _Refused(Exception):
    """Something is there, and is not looked into."""

    def __init__(self, found: os.stat_result, *, why: str) -> None:
        super().__init__(why)
        self.seen = Seen(exists=True, kind="refused", size=_size(found), mtime_us=_mtime_us(found), why=why)


def look(root: str, relative: str, *, bytes_max: int = LOOK_BYTES_MAX) -> Seen:
    """What is at a path beneath a root. Never raises: what cannot be told is `refused`, with the reason."""
    try:
        names = _relative(relative)
    except BadPath as problem:
        return Seen(exists=False, kind="refused", why=problem.why)
    return seen_at(root, names, bytes_max=bytes_max)


def seen_at(root: str, names: Sequence[str], *, bytes_max: int = LOOK_BYTES_MAX) -> Seen:
    """As `look`, for a path that is split already and may hold any name that the file system has."""
    try:
        with _beneath(root, names[:-1]) as folder:
            return _seen(folder, names[-1], bytes_max)
    except _Refused as problem:
        return problem.seen
    except FileNotFoundError:
        return MISSING
    except OSError as problem:
        return Seen(exists=False, kind="refused", why=_said(problem))


def snapshot(root: str, paths: Iterable[str], *, bytes_max: int = SNAPSHOT_BYTES_MAX) -> dict[str, Seen]:
    """What is at these paths, and below those that are folders; digests are taken as long as the bytes last."""
    found: dict[str, Seen] = {}
    for path in dict.fromkeys(paths):
        if len(found) > TREE_ENTRIES_MAX:
            found.setdefault(path, _TOO_MANY)
            continue
        for each in itertools.chain((path,), _below(root, path, found)):
            if each not in found:
                found[each] = look(root, each, bytes_max=min(LOOK_BYTES_MAX, bytes_max))
                bytes_max -= found[each].size if found[each].kind == "file" else 0
    return found


def survey(wanted: Iterable[Place], *, bytes_max: int = SNAPSHOT_BYTES_MAX) -> dict[str, Seen]:
    """As `snapshot`, for places below several roots, by absolute path."""
    by_root: dict[str, list[str]] = {}
    for place in wanted:
        by_root.setdefault(place.root, []).append(place.relative)
    found: dict[str, Seen] = {}
    for root, paths in by_root.items():
        below = snapshot(root, paths, bytes_max=bytes_max)
        bytes_max -= sum(seen.size for seen in below.values() if seen.kind == "file")
        found |= {Place(root, path).path: seen for path, seen in below.items()}
    return found


def tree(
    root: str, below: str = "", *, skip: frozenset[str] = frozenset({".git"}), entries_max: int = TREE_ENTRIES_MAX
) -> Tree:
    """What lies below a folder, without digests. Folders named in `skip` are left out, links are not followed."""
    try:
        start = _relative(below) if below else ()
        with _beneath(root, start) as folder:
            prefix = "".join(f"{name}/" for name in start)
            with closing(_walk(folder, prefix, skip, TREE_DEPTH_MAX)) as walk:
                entries = list(itertools.islice(walk, entries_max + 1))
    except (BadPath, FileNotFoundError):
        return Tree({}, is_cut=False)
    except OSError:
        return Tree({}, is_cut=True)
    is_cut = len(entries) > entries_max or any(path.endswith("/") for path, _ in entries)
    return Tree(dict(sorted((path, seen) for path, seen in entries[:entries_max] if path[-1] != "/")), is_cut)


def head(root: str, relative: str, *, chars: int = HEAD_CHARS) -> str | None:
    """The first characters of a text, bytes that are none replaced; None when no file that can be read is there."""
    try:
        *folders, name = _relative(relative)
        with _beneath(root, folders) as folder, _regular(folder, name) as (descriptor, _):
            content = b"".join(_chunks(descriptor, 4 * chars))
    except (BadPath, _Refused, OSError):
        return None
    return content.decode("utf-8-sig", "replace")[:chars]


def listing(root: str, relative: str) -> list[tuple[str, Seen]]:
    """What is directly in a folder beneath a root, without digests. Raises BadPath, FileNotFoundError, OSError."""
    with _beneath(root, _relative(relative) if relative else ()) as folder, os.scandir(folder) as found:
        entries = sorted(itertools.islice(found, TREE_ENTRIES_MAX), key=lambda entry: entry.name)
        return [
            (os.fsencode(entry.name).decode("utf-8", "replace"), _listed(entry.stat(follow_symlinks=False)))
            for entry in entries
        ]


@contextmanager
def opened(root: str, relative: str) -> Iterator[tuple[int, os.stat_result]]:
    """A regular file beneath a root, open for reading. Raises BadPath, FileNotFoundError, OSError, NotRegular."""
    *folders, name = _relative(relative)
    try:
        with _beneath(root, folders) as folder, _regular(folder, name) as found:
            yield found
    except _Refused as problem:
        raise NotRegular(problem.seen.why) from None


class NotRegular(Exception):  # for whoever asked for a file to say
    """Something is there that is not read."""


def write_atomic(root: str, relative: str, content: bytes) -> Seen:
    """Write a new file durably: all of it, or nothing. Parents are made; nothing is ever replaced.

    Raises FileThere when the name is taken, and Invalid when the path is bad or cannot be written.
    """
    try:
        *folders, name = _relative(relative)
        with _beneath(root, folders, make=True) as folder:
            _publish(folder, name, content)
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except BadPath as problem:
        raise errors.Invalid(where=relative[:200], why=f"the path {problem.why}") from None
    except FileExistsError:
        raise errors.FileThere(path=relative) from None
    except OSError as problem:
        raise errors.Invalid(where=relative, why=f"cannot be written: {_said(problem)}") from None
    return Seen(
        exists=True,
        kind="file",
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        mtime_us=_mtime_us(found),
    )


def _relative(path: str) -> tuple[str, ...]:
    """The names of a path that begins nowhere else than at the root. Raises BadPath."""
    names = components(path)
    if path.startswith("/"):
        raise BadPath(why="is absolute")
    if not names:
        raise BadPath(why="names the folder itself")
    return names


@contextmanager
def _beneath(root: str, folders: Sequence[str], *, make: bool = False) -> Iterator[int]:
    """The folder, open. Each name is opened in the folder before it, so that no link is followed. Raises OSError."""
    if make:
        os.makedirs(root, exist_ok=True)  # noqa: PTH103  # the root is the operator's own, links and all
    here = os.open(root, _FOLDER)
    try:
        for name in folders:
            deeper = _folder(here, name, make=make)
            os.close(here)
            here = deeper
        yield here
    finally:
        os.close(here)


def _folder(parent: int, name: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
            os.fsync(parent)
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except NotADirectoryError:
        mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise OSError(errno.ELOOP, "a symbolic link is on the way") from None
        if make:
            raise
        raise FileNotFoundError(errno.ENOENT, "no folder, so nothing is below it") from None


def _seen(folder: int, name: str, bytes_max: int) -> Seen:
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISDIR(found.st_mode):
        return _listed(found)
    with _regular(folder, name) as (descriptor, found):
        if found.st_size > bytes_max:
            raise _Refused(found, why=f"has more than {max(bytes_max, 0)} bytes")
        digest, size = hashlib.sha256(), 0
        for chunk in _chunks(descriptor, bytes_max + 1):
            digest.update(chunk)
            size += len(chunk)
        if size > bytes_max:
            raise _Refused(found, why=f"has more than {bytes_max} bytes")
        why = "" if size == found.st_size else "changed while it was read"
        return Seen(exists=True, kind="file", sha256=digest.hexdigest(), size=size, mtime_us=_mtime_us(found), why=why)


@contextmanager
def _regular(folder: int, name: str) -> Iterator[tuple[int, os.stat_result]]:
    """A regular file, open. Looked at before it is opened too: opening a device can have effects. Raises _Refused."""
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(found.st_mode):
        raise _Refused(found, why=_special(found))
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as problem:
        raise _Refused(found, why=_said(problem)) from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _Refused(found, why="became something else while it was opened")
        yield descriptor, found
    finally:
        os.close(descriptor)


def _chunks(descriptor: int, bytes_max: int) -> Iterator[bytes]:
    while bytes_max > 0 and (chunk := os.read(descriptor, min(MIB, bytes_max))):
        bytes_max -= len(chunk)
        yield chunk


def _below(root: str, path: str, found: dict[str, Seen]) -> Iterator[str]:
    """What is below a path that was found to be a folder. A generator: it begins after the path was looked at."""
    if found[path].kind == "folder":
        yield from tree(root, path).seen


def _walk(folder: int, prefix: str, skip: frozenset[str], depth: int) -> Generator[tuple[str, Seen]]:
    """The entries below, folders before what they hold. What was not entered is marked by a path that ends in "/"."""
    with os.scandir(folder) as listing:
        entries = sorted(itertools.islice(listing, TREE_ENTRIES_MAX + 1), key=lambda entry: entry.name)
    for entry in entries:
        path = prefix + os.fsencode(entry.name).decode("utf-8", "replace")
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:  # gone meanwhile
            continue
        if entry.name in skip and stat.S_ISDIR(found.st_mode):
            continue
        yield path, _listed(found)
        if stat.S_ISDIR(found.st_mode):
            yield from _inside(folder, entry.name, path, skip, depth - 1)


def _inside(parent: int, name: str, path: str, skip: frozenset[str], depth: int) -> Iterator[tuple[str, Seen]]:
    folder = -1
    with suppress(OSError):
        folder = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent) if depth > 0 else -1
    if folder < 0:
        yield f"{path}/", MISSING
        return
    try:
        yield from _walk(folder, f"{path}/", skip, depth)
    finally:
        os.close(folder)


def _listed(found: os.stat_result) -> Seen:
    """An entry by its kind, size and time alone."""
    if stat.S_ISDIR(found.st_mode):
        return Seen(exists=True, kind="folder", mtime_us=_mtime_us(found))
    if not stat.S_ISREG(found.st_mode):
        return _Refused(found, why=_special(found)).seen
    return Seen(exists=True, kind="file", size=_size(found), mtime_us=_mtime_us(found))


def _publish(folder: int, name: str, content: bytes) -> None:
    """Written beside, synced, then given its name. Raises FileExistsError when the name is taken."""
    beside = f".{uuid.uuid4().hex}.new"
    try:
        with os.fdopen(os.open(beside, _NEW, 0o644, dir_fd=folder), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _name(folder, beside, name)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(beside, dir_fd=folder)
    os.fsync(folder)


def _name(folder: int, beside: str, name: str) -> None:
    """Link, since a rename would replace what has the name; where links do not exist, look first and rename."""
    try:
        os.link(beside, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
    except OSError as problem:
        if problem.errno not in _NO_LINKS:
            raise
        with suppress(FileNotFoundError):
            os.stat(name, dir_fd=folder, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, "the name is taken") from None
        os.rename(beside, name, src_dir_fd=folder, dst_dir_fd=folder)


def _special(found: os.stat_result) -> str:
    return _SPECIAL.get(stat.S_IFMT(found.st_mode), "is not a file")


def _size(found: os.stat_result) -> int:
    return min(found.st_size, TIME_US_MAX)


def _mtime_us(found: os.stat_result) -> int:
    """Whoever owns a file sets its time to anything; what no reader of JSON holds is clamped."""
    return min(max(found.st_mtime_ns // 1000, 0), TIME_US_MAX)


def _said(problem: OSError) -> str:
    return (problem.strerror or "unknown error").lower()
