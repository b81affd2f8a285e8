"""The path rule of artifacts and workspace files, and what it proves to have seen a path twice. Touches no file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from domain.bounds import NAME_BYTES_MAX, PATH_BYTES_MAX

MTIME_LAG_US: Final = 50_000  # file systems take their time from a clock that lags behind by some milliseconds

_SECOND_US = 1_000_000
# Control characters, line separators, half characters, and the marks that let a name read backwards.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_AREA = ("state", "artifacts")  # how the managed root is spelled from a checkout, and below deploy/<x>

Result = Literal["passed", "unverifiable", "failed"]  # from good to bad


class BadPath(Exception):
    """A path that names no file beneath the root; `why` completes "the path …"."""

    def __init__(self, *, why: str) -> None:
        super().__init__(why)
        self.why = why


class Seen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was at a path at one time. `refused`: something that is not looked into, and `why`."""

    exists: bool
    kind: Literal["file", "folder", "missing", "refused"]
    sha256: str = ""  # of a file that was read
    size: int = 0
    mtime_us: int = 0
    why: str = ""


MISSING: Final = Seen(exists=False, kind="missing")


class Workspace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A workspace as git tells it. What is not known stays None or empty, and `why` says why."""

    kind: Literal["git", "no-repo", "unknown"]
    root: str = ""
    repo_root: str = ""
    sha: str = ""  # "" before the first commit
    dirty: bool | None = None
    status: tuple[str, ...] = ()  # "XY path" for each changed path, from the repository's root
    is_cut: bool = False  # there are more than `status` lists
    diff_sha256: str = ""  # of a dirty workspace: how it differs from its commit
    why: str = ""


class Before(msgspec.Struct, frozen=True, kw_only=True):
    """What was there before the launch: artifacts by managed path, files of the workspace by absolute path."""

    artifacts: Mapping[str, Seen] = {}
    files: Mapping[str, Seen] = {}
    workspace: Workspace | None = None
    is_complete: bool = False  # `files` names all that was below the workspace's root, but for folders of git


class After(msgspec.Struct, frozen=True, kw_only=True):
    """What was there when the run had ended; keys as in Before."""

    artifacts: Mapping[str, Seen] = {}
    files: Mapping[str, Seen] = {}
    workspace: Workspace | None = None


class Proof(NamedTuple):
    """Whether something holds, why, and the digest of what was there."""

    result: Result
    why: str
    sha256: str = ""


_YOUNG = "its time lies in this run"
_NOT_LOOKED = Proof("unverifiable", "was not looked at")
_UNKNOWN = Workspace(kind="unknown")
_WORSE: tuple[Result, ...] = get_args(Result)


class Place(NamedTuple):
    """A normal relative path, and the absolute folder that it must not leave."""

    root: str
    relative: str

    @property
    def path(self) -> str:
        """The absolute path."""
        return f"{self.root.rstrip('/')}/{self.relative}"


def components(path: str) -> tuple[str, ...]:
    """The names of a path, without empty ones and dots. Raises BadPath for what no path of ours may hold."""
    if not path:
        raise BadPath(why="is empty")
    if len(path) > PATH_BYTES_MAX:
        raise BadPath(why=f"is longer than {PATH_BYTES_MAX} bytes")
    if "\\" in path:
        raise BadPath(why="holds a backslash")
    if _UNFIT.search(path):
        raise BadPath(why="holds a control character")
    if len(path.encode()) > PATH_BYTES_MAX:
        raise BadPath(why=f"is longer than {PATH_BYTES_MAX} bytes")
    names = _names(path)
    for name in names:
        _check(name)
    return names


def _check(name: str) -> None:
    if name == "..":
        raise BadPath(why="goes upwards")
    if not name.strip():
        raise BadPath(why="holds a name of blanks")
    if len(name.encode()) > NAME_BYTES_MAX:
        raise BadPath(why=f"holds a name of more than {NAME_BYTES_MAX} bytes")


def managed(path: str, artifact_root: str) -> str:
    """The normal form of an artifact's path, relative to the managed root. Raises BadPath.

    An absolute path is exact: it lies inside the root or is refused. What is spelled from a checkout, as
    `state/artifacts/…` or `deploy/<x>/state/artifacts/…`, loses that beginning once, also behind a leading slash.
    """
    names = components(path)
    inside = _below(names, artifact_root) if path.startswith("/") else None
    if inside is None:
        area = _area(names)
        if path.startswith("/") and not area:
            raise BadPath(why="is outside of the artifact folder")
        inside = names[area:]
    if not inside:
        raise BadPath(why="names the artifact folder itself")
    if _area(inside):  # it would lose this when it is normalised again
        raise BadPath(why="names the artifact folder inside of itself")
    return "/".join(inside)


def places(path: str, roots: Sequence[str]) -> tuple[Place, ...]:
    """Where a workspace path may lie: a relative one below each root, an absolute one below the deepest that fits.

    Roots are absolute. A path that is bad, or absolute and outside of all of them, has no place.
    """
    try:
        names = components(path)
    except BadPath:
        return ()
    if not path.startswith("/"):
        return tuple(Place(root, "/".join(names)) for root in dict.fromkeys(roots) if names)
    fitting = {root: inside for root in roots if (inside := _below(names, root))}
    deepest = min(fitting, key=lambda root: len(fitting[root]), default=None)
    return () if deepest is None else (Place(deepest, "/".join(fitting[deepest])),)


def below(path: str, root: str) -> str | None:
    """An absolute path relative to a root, "" for the root itself; None outside of it. Whole names are compared."""
    inside = _below(_names(path), root)
    return None if inside is None else "/".join(inside)


def _below(names: tuple[str, ...], root: str) -> tuple[str, ...] | None:
    above = _names(root)
    if not root.startswith("/") or ".." in above or names[: len(above)] != above:
        return None
    return names[len(above) :]


def _names(path: str) -> tuple[str, ...]:
    return tuple(name for name in path.split("/") if name not in ("", "."))


def _area(names: tuple[str, ...]) -> int:
    """How many of the first names spell the managed root."""
    if names[:2] == _AREA:
        return 2
    return 4 if names[:1] == ("deploy",) and names[2:4] == _AREA else 0


# what it proves to have seen a path before and after a run


def written(was: Seen | None, now: Seen, started_us: int, *, same: Result = "failed") -> Proof:
    """Whether a run that began then made what is there now; `was` is None when nobody knows what was there before.

    `same` is what it counts for that a file was written again with the content that it had.
    """
    if now.kind == "missing":
        return Proof("failed", "does not exist")
    if now.kind == "refused":
        return Proof("unverifiable", now.why)
    is_young = _is_young(now, started_us)
    if was is not None:
        return _rewritten(was, now, same, is_young=is_young)
    return Proof(*(("passed", _YOUNG) if is_young else ("failed", "is older than this run")), now.sha256)


def _rewritten(was: Seen, now: Seen, same: Result, *, is_young: bool) -> Proof:
    both_read = bool(was.sha256 and now.sha256)
    if was.kind != now.kind:
        return Proof("passed", "was something else before" if was.exists else "was not there before", now.sha256)
    if was.size != now.size or (both_read and was.sha256 != now.sha256):
        return Proof("passed", "its content differs", now.sha256)
    if was.mtime_us == now.mtime_us or not is_young:
        return Proof("failed", "is as it was before the run", now.sha256)
    if both_read:
        return Proof(same, "was written again with the same content", now.sha256)
    return Proof("passed", _YOUNG, now.sha256)


def _is_young(now: Seen, started_us: int) -> bool:
    """Whether its time lies in the run, as far as the file system is exact."""
    lag_us = MTIME_LAG_US if now.mtime_us % _SECOND_US else _SECOND_US
    return now.mtime_us + lag_us >= started_us


class Files:
    """One sort of files as it was before and is now; `same` as for `written`."""

    def __init__(self, before: Mapping[str, Seen], after: Mapping[str, Seen], started_us: int, same: Result) -> None:
        self.before = before
        self.after = after
        self.started_us = started_us
        self.same: Result = same

    @cached_property
    def stirred(self) -> frozenset[str]:
        """The folders below which something differs."""
        files = (path for path, now in self.after.items() if now.kind != "folder" and self._differs(path, now))
        return _with_folders(path.rpartition("/")[0] for path in files)

    def _differs(self, path: str, now: Seen) -> bool:
        was = self.was(path)
        if now.kind == "missing":
            return was is not None and was.exists
        return self.made(path).result == "passed"

    def was(self, path: str) -> Seen | None:
        """What was there before; None when nobody knows."""
        found = self.before.get(path)
        return None if found is None or found.kind == "refused" else found

    def made(self, path: str) -> Proof:
        """Whether this run made what is there now; a folder counts by what is below it too."""
        now = self.after.get(path)
        if now is None:
            return _NOT_LOOKED
        if now.kind == "folder" and path in self.stirred:
            return Proof("passed", "something below it differs")
        return written(self.was(path), now, self.started_us, same=self.same)


class WorkspaceFiles(Files):
    """The files of a workspace, with what git says of them and what a complete listing says of the others."""

    def __init__(self, before: Before, after: After, started_us: int) -> None:
        super().__init__(before.files, after.files, started_us, "failed")
        self._was, self._now = before.workspace or _UNKNOWN, after.workspace or _UNKNOWN
        self._complete = self._was.root if before.is_complete else ""

    def was(self, path: str) -> Seen | None:
        """See Files."""
        is_listed = self._complete and below(path, self._complete) is not None and ".git" not in path.split("/")
        return MISSING if is_listed and path not in self.before else super().was(path)

    def is_known(self, path: str) -> bool:
        """Whether something is or was there."""
        was, now = self.was(path), self.after.get(path)
        return bool(now and now.exists) or bool(was and was.exists) or self.git(path) == "differs"

    @cached_property
    def _listed(self) -> tuple[frozenset[str], frozenset[str]] | None:
        """What git's two lists of changes do not share, and what the later one names, with all folders above."""
        was, now = self._was, self._now
        if (was.repo_root, was.sha) != (now.repo_root, now.sha) or was.is_cut or now.is_cut:
            return None
        before, after = ({line[3:] for line in state.status} for state in (was, now))
        return _with_folders(before ^ after), _with_folders(after)

    def git(self, path: str) -> Literal["differs", "same", "unknown"]:
        """What the two states of git say of a path, or of what is below it."""
        relative = below(path, self._now.repo_root)
        if self._listed is None or not relative:
            return "unknown"
        differing, listed = self._listed
        if relative in differing:
            return "differs"
        return "same" if relative not in listed or self._was.diff_sha256 == self._now.diff_sha256 != "" else "unknown"

    def made(self, path: str) -> Proof:
        """See Files. Git is a witness where no digest from before is known."""
        was, now, proof = self.was(path), self.after.get(path), super().made(path)
        if now is None or not now.exists or (was is not None and was.sha256):
            return proof
        git = self.git(path)
        if git == "differs":
            return Proof("passed", "git sees a difference", now.sha256)
        if git == "same" and proof.why == _YOUNG:
            return Proof("unverifiable", f"{_YOUNG}, but git sees no difference", now.sha256)
        return proof

    def gone(self, path: str) -> Proof:
        """Whether this run took away what was there."""
        was, now = self.was(path), self.after.get(path)
        if now is None:
            return _NOT_LOOKED
        if now.kind != "missing":
            return Proof("failed", "is still there", now.sha256) if now.exists else Proof("unverifiable", now.why)
        if was is not None:
            return Proof("passed", "is gone") if was.exists else Proof("failed", "was not there before the run either")
        if self.git(path) == "same":
            return Proof("unverifiable", "is not there, but git knows of no deletion")
        return Proof("passed", "is not there")

    def moved(self, old: str, new: str) -> Proof:
        """Whether this run gave a file another name: that leaves its time as it was."""
        gone, made, now = self.gone(old), self.made(new), self.after.get(new, MISSING)
        was = self.was(old)
        if made.result == "failed" and now.kind == "file" and self.was(new) is None:
            is_same = was is not None and was.sha256 == now.sha256 != ""
            made = Proof("passed" if is_same else "unverifiable", "has the old one's content" if is_same else made.why)
        return max(gone, made._replace(sha256=now.sha256), key=lambda proof: _WORSE.index(proof.result))


def _with_folders(paths: Iterable[str]) -> frozenset[str]:
    """These paths and every folder above one of them."""
    return frozenset(above for path in paths for above in accumulate(path.split("/"), "{}/{}".format))
