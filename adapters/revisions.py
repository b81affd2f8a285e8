"""Revisions of a git repository, each checked out beside the others for as long as somebody looks.

The repository is the operator's own, and named by them; hooks are switched off all the same.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from domain import errors

_TIMEOUT_S = 120.0
_OFF = ("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0")
_CHECKED = (0, 4)  # identical, diverged


class Commit(NamedTuple):
    """A commit, as people read of it."""

    sha: str
    author: str
    date: str
    subject: str


class Repository:
    """The repository that a folder lies in."""

    def __init__(self, folder: Path) -> None:
        """Raises Invalid where there is none."""
        self.root = Path(self._git(["rev-parse", "--show-toplevel"], folder, "--repo").strip())

    def commit(self, revision: str, where: str) -> Commit:
        """The commit that a revision names. Raises Invalid."""
        if revision.startswith("-"):
            raise errors.Invalid(where=where, why=f"{revision!r} is no revision")
        text = self._git(["log", "-1", "--format=%H%x00%an%x00%aI%x00%s", revision, "--"], self.root, where)
        return Commit(*text.strip().split("\0", 3))

    def between(self, good: Commit, bad: Commit) -> list[Commit]:
        """The commits behind the good one up to the bad one, oldest first. Raises Invalid where there are none."""
        spec = f"{good.sha}..{bad.sha}"
        text = self._git(
            ["log", "--reverse", "--first-parent", "--format=%H%x00%an%x00%aI%x00%s", spec, "--"], self.root, "--good"
        )
        found = [Commit(*line.split("\0", 3)) for line in text.splitlines()]
        if not found or found[-1].sha != bad.sha:
            raise errors.Invalid(where="--good, --bad", why="the bad revision must come after the good one")
        return found

    @contextmanager
    def checked_out(self, commit: Commit) -> Iterator[Path]:
        """A folder with the files of a commit; gone afterwards, also from git's list of worktrees."""
        with tempfile.TemporaryDirectory(prefix="rt-bisect-") as folder:
            tree = Path(folder) / "tree"
            self._git(["worktree", "add", "--detach", "--quiet", str(tree), commit.sha], self.root, commit.sha[:12])
            try:
                yield tree
            finally:
                self._git(["worktree", "remove", "--force", str(tree)], self.root, commit.sha[:12])

    @staticmethod
    def _git(argv: Sequence[str], folder: Path, where: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        try:
            done = subprocess.run(  # noqa: S603  # git, with arguments of ours
                ["git", *_OFF, *argv],  # noqa: S607  # the one that is on the path
                cwd=folder,
                env=environment | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
                capture_output=True,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as problem:
            raise errors.Invalid(where=where, why=f"git does not answer: {type(problem).__name__}") from None
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise errors.Invalid(where=where, why=f"git says: {said[-1][:300] if said else done.returncode}")
        return done.stdout.decode("utf-8", "replace")


def check_with(tree: Path, golden: Path) -> dict[str, Any] | None:
    """What the rt in a checkout says of a folder with one golden log; None where it cannot say anything."""
    environment = {
        "PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", "PYTHONPATH": str(tree), "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603  # the program of that revision
            [sys.executable, "-P", "-m", "rt_runtime", "golden", "check", str(golden), "--json"],
            cwd=golden,
            env=environment,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
    except (subprocess.TimeoutExpired, ValueError):
        return None
    found = [each for each in lines if each.get("schema") == "rt.golden.v1"]
    return found[0] if done.returncode in _CHECKED and found else None
