"""The state of a workspace as git tells it, with nothing of the repository's own configuration carried out.

A repository belongs to whoever wrote it: its hooks, filters, monitors and transports are switched off. Failure is a
value, since "unknown" is a fact about a workspace like any other.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from adapters import own_children
from adapters.artifacts import seen_at
from domain.bounds import (
    GIT_DIFF_BYTES_MAX,
    GIT_ERROR_BYTES_MAX,
    GIT_FILTERS_MAX,
    GIT_OUTPUT_BYTES_MAX,
    GIT_S,
    GIT_STATUS_LINE_CHARS_MAX,
    GIT_STATUS_LINES_MAX,
)
from domain.managed_path import Workspace, below

_LATE = "git did not answer in time"
_OFF = {
    "core.fsmonitor": "false",  # a program, run at each status
    "core.hooksPath": "/dev/null",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.untrackedCache": "false",
    "core.sshCommand": "false",
    "credential.helper": "",
    "diff.external": "",
    "gc.auto": "0",
    "protocol.allow": "never",  # a partial clone would fetch what it lacks
    "safe.directory": "*",  # nothing of the repository is carried out, so its owner does not matter
    "safe.bareRepository": "explicit",  # a folder that merely looks like a repository is none
    "submodule.recurse": "false",
}
_ENVIRONMENT = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_ASKPASS": "false",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "SSH_ASKPASS": "false",
    "XDG_CONFIG_HOME": "/nonexistent",
}  # all of it: no GIT_DIR or the like of ours gets through
_STATUS = (
    *("status", "--porcelain=v2", "--branch", "-z", "--no-renames", "--untracked-files=all"),
    "--ignore-submodules=dirty",  # git would be started inside of them, with their configuration
)
_FIELDS = {"1": 8, "u": 10}  # before the path, in the second form of porcelain


class _Unknown(Exception):
    """Git did not say."""

    def __init__(self, *, why: str) -> None:
        super().__init__(why)
        self.why = why


class _Answer(NamedTuple):
    code: int
    out: bytes
    error: str
    is_cut: bool


class _Change(NamedTuple):
    """A changed path: the two letters of porcelain, the path, and all that git said of it."""

    code: str
    path: bytes
    record: bytes


class _Git:
    """Git in one folder, with one deadline for all that is asked."""

    def __init__(self, program: str, folder: str, timeout_s: float) -> None:
        self._program = program
        self._folder = folder
        self._ends_s = time.monotonic() + timeout_s
        self._off = dict(_OFF)

    def left_s(self) -> float:
        """How long there is left. Raises _Unknown when the time is over."""
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0:
            raise _Unknown(why=_LATE)
        return left_s

    def switch_off(self, name: str) -> None:
        """Run no filter of this name: a file then counts as changed when git would have to run it to know better."""
        self._off |= {f"filter.{name}.clean": "", f"filter.{name}.process": "", f"filter.{name}.required": "false"}

    def ask(self, *arguments: str) -> _Answer:
        """Run one command. Raises _Unknown when it cannot be started or does not end in time."""
        off = [each for name, value in self._off.items() for each in ("-c", f"{name}={value}")]
        argv = [self._program, "--no-pager", *off, *arguments]
        done = own_children.run(
            argv,
            _ENVIRONMENT | {"PATH": _path()},
            cwd=self._folder,
            timeout_s=self.left_s(),
            out_max=GIT_OUTPUT_BYTES_MAX,
            errors_max=GIT_ERROR_BYTES_MAX,
        )
        if done.code is None and not done.is_cut:
            raise _Unknown(why=_LATE)
        return _Answer(done.code or 0, done.out, done.errors.decode("utf-8", "replace").strip(), done.is_cut)


def workspace(folder: str, timeout_s: float = GIT_S) -> Workspace:
    """What git says of a folder. Never raises; what could not be told is `unknown`, with the reason."""
    try:
        return _asked(folder, timeout_s)
    except _Unknown as problem:
        why = problem.why
    except (OSError, ValueError) as problem:  # ValueError: a folder's name that holds a NUL, or is no text
        why = f"git could not be asked: {problem}"
    return Workspace(kind="unknown", root=folder.encode("utf-8", "replace").decode(), why=why)


def _asked(folder: str, timeout_s: float) -> Workspace:
    if not folder.startswith("/"):  # it would lie below wherever this process happens to be
        raise _Unknown(why="is not an absolute path")
    root = os.path.realpath(folder)
    root.encode()
    if not Path(root).is_dir():
        raise _Unknown(why="is not a folder")
    git = _Git(_program(), root, timeout_s)
    repo_root = _top(git, root)
    if not repo_root:
        return Workspace(kind="no-repo", root=root)
    _switch_filters_off(git)
    return _state(git, root, repo_root)


def _program() -> str:
    found = shutil.which("git", path=_path())
    if found is None:
        raise _Unknown(why="git is not installed")
    return found


def _path() -> str:
    """Our search path without relative entries: those would name programs of the workspace."""
    entries = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(entry for entry in entries if entry.startswith("/"))


def _top(git: _Git, root: str) -> str:
    """The root of the repository; "" without one."""
    answer = git.ask("rev-parse", "--show-toplevel")
    if answer.code == 0:
        top = answer.out.decode().removesuffix("\n")
        if below(root, top) is None:
            raise _Unknown(why="the repository says that it belongs to another folder")
        return top
    above = [Path(root), *Path(root).parents]
    if "not a git repository" in answer.error and not any(os.path.lexists(each / ".git") for each in above):
        return ""
    raise _Unknown(why=_said(answer))


def _switch_filters_off(git: _Git) -> None:
    answer = git.ask("config", "--null", "--name-only", "--get-regexp", r"^filter\.")
    if answer.code not in (0, 1):  # 1: there is none
        raise _Unknown(why=_said(answer))
    keys = answer.out.decode("utf-8", "surrogateescape").split("\0")
    names = {key[len("filter.") : key.rindex(".")] for key in keys if key.count(".") > 1}
    if len(names) > GIT_FILTERS_MAX or any("=" in name or "\n" in name for name in names):
        raise _Unknown(why="the repository has filters that cannot be switched off")
    for name in names:
        git.switch_off(name)


def _state(git: _Git, root: str, repo_root: str) -> Workspace:
    answer = git.ask(*_STATUS)
    if answer.code != 0:
        raise _Unknown(why=_said(answer))
    records = answer.out.split(b"\0")[:-1]  # the last one is empty, or cut
    sha = next((record.split()[-1].decode() for record in records if record.startswith(b"# branch.oid ")), "")
    changes = [_change(record) for record in records if not record.startswith(b"# ")]
    is_cut = answer.is_cut or len(changes) > GIT_STATUS_LINES_MAX
    digest, why = ("", "there are too many changes") if is_cut else _digest(git, repo_root, changes)
    return Workspace(
        kind="git",
        root=root,
        repo_root=repo_root,
        sha="" if sha == "(initial)" else sha,
        dirty=bool(changes) or answer.is_cut,
        status=tuple(_line(change) for change in changes[:GIT_STATUS_LINES_MAX]),
        is_cut=is_cut,
        diff_sha256=digest,
        why=why,
    )


def _change(record: bytes) -> _Change:
    kind = record[:1].decode("ascii", "replace")
    if kind == "?":
        return _Change("??", record[2:], record)
    fields = record.split(b" ", _FIELDS.get(kind, 0))
    if len(fields) == 1:
        raise _Unknown(why="git said something that is not understood")
    return _Change(fields[1].decode("ascii", "replace").replace(".", " "), fields[-1], record)


def _line(change: _Change) -> str:
    return f"{change.code} {change.path.decode('utf-8', 'replace')}"[:GIT_STATUS_LINE_CHARS_MAX]


def _digest(git: _Git, repo_root: str, changes: Sequence[_Change]) -> tuple[str, str]:
    """A digest of how the workspace differs from its commit, and why there is none.

    It covers what git says of each path and what the file holds. A repository inside of this one counts by its name.
    """
    if not changes:
        return "", ""
    whole, left = hashlib.sha256(), GIT_DIFF_BYTES_MAX
    for change in changes:
        git.left_s()
        names = [name for name in os.fsdecode(change.path).split("/") if name]
        seen = seen_at(repo_root, names, bytes_max=left)
        left -= seen.size if seen.kind == "file" else 0
        if seen.kind == "refused" and seen.size > left:
            return "", "the changed files are too large to be digested"
        content = seen.sha256 or _target(Path(repo_root, *names)) or seen.kind
        for part in (change.record, content.encode("utf-8", "surrogateescape")):
            whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest(), ""


def _target(path: Path) -> str:
    with suppress(OSError):
        return f"-> {path.readlink()}"
    return ""


def _said(answer: _Answer) -> str:
    return f"git failed: {answer.error.splitlines()[0][:300]}" if answer.error else f"git failed with {answer.code}"
