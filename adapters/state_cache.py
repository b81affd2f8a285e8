"""States of long runs at some of their events, so that nobody folds a hundred thousand events to look at the last.

A cache beside the log: a file is what today's core made of the log, so it is named after both, and one that does not
fit is as if it were not there. Replays never look at it. It holds texts of runs: `forget` it when some are erased.
"""

import hashlib
import secrets
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

import domain
from adapters.owned_file import held
from domain.bounds import STATE_BYTES_MAX, STATE_RUNS_MAX, STATES_OF_RUN_MAX
from domain.json_text import UNREADABLE
from domain.run_state import Run

_DIGEST_BYTES: Final = 16
_HASH_CHARS: Final = 16
_DECODER: Final = msgspec.msgpack.Decoder(Run)


class Mark(NamedTuple):
    """Behind which event of a run a state is true: its position, the log's hash there, and the decisions until then."""

    position: int
    hash: str
    decisions: int

    def __str__(self) -> str:
        """The name of its file."""
        return f"{self.position}-{self.decisions}-{self.hash[:_HASH_CHARS]}"


class Kept(NamedTuple):
    """A state, and behind which event it is true."""

    mark: Mark
    state: Run


class StateCache:
    """The states of one home. Nothing of it is ever an error: without it, everything only takes longer."""

    def __init__(self, home: Path, hash_at: Callable[[int], str]) -> None:
        self._root = home / "states"
        self._lock = home / "states.lock"
        self._hash_at = hash_at

    def nearest(self, run: str, is_before: Callable[[Mark], bool]) -> Kept | None:
        """The latest state of a run at a mark that lies before what is looked for."""
        folder = self._own(self.generation()) / run
        for mark in sorted(_marks(folder), reverse=True):
            if is_before(mark) and self._hash_at(mark.position)[:_HASH_CHARS] == mark.hash:
                state = _read(folder / str(mark))
                if state is not None and state.run == run:
                    return Kept(mark, state)
        return None

    def generation(self) -> frozenset[str]:
        """To be asked for before anything is read that goes into a state: another one, and something was erased."""
        with suppress(OSError):
            return frozenset(each.name for each in self._root.iterdir())
        return frozenset()

    def keep(self, generation: frozenset[str], run: str, states: Iterable[tuple[int, Run]]) -> None:
        """Keep states behind their positions, unless something was erased meanwhile."""
        with suppress(OSError), held(self._lock):
            if self.generation() != generation:
                return
            folder = self._own(generation)
            if folder.name not in generation:
                self._begin()  # what another core left is of no use
                folder = self._own(self.generation())
            others = [each for each in folder.iterdir() if each.name != run]
            for each in sorted(others, key=lambda each: each.stat().st_mtime_ns)[: -STATE_RUNS_MAX + 1]:
                shutil.rmtree(each, ignore_errors=True)
            (folder / run).mkdir(mode=0o700, exist_ok=True)
            for position, state in states:
                self._write(folder / run, position, state)
            _thin(folder / run)

    def forget(self) -> None:
        """Remove all of them. Raises OSError."""
        with held(self._lock):
            self._begin()

    def _own(self, generation: frozenset[str]) -> Path:
        return self._root / next((each for each in generation if each.startswith(f"{_core()}-")), "none")

    def _begin(self) -> None:
        if self._root.exists():
            shutil.rmtree(self._root)
        (self._root / f"{_core()}-{secrets.token_hex(8)}").mkdir(mode=0o700, parents=True)

    def _write(self, folder: Path, position: int, state: Run) -> None:
        content = msgspec.msgpack.encode(state)
        if len(content) > STATE_BYTES_MAX:
            return
        decisions = 0 if state.mind is None else state.mind.decisions
        name = str(Mark(position, self._hash_at(position), decisions))
        beside = folder / f".{name}.new"
        beside.write_bytes(hashlib.sha256(content).digest()[:_DIGEST_BYTES] + content)
        beside.replace(folder / name)


def _marks(folder: Path) -> Iterator[Mark]:
    with suppress(OSError):
        for each in folder.iterdir():
            position, _, rest = each.name.partition("-")
            decisions, _, known = rest.partition("-")
            if position.isdecimal() and decisions.isdecimal():
                yield Mark(int(position), known, int(decisions))


def _thin(folder: Path) -> None:
    """Every second one goes where there are too many."""
    found = sorted(_marks(folder))
    if len(found) > STATES_OF_RUN_MAX:
        for each in found[:-1:2]:
            (folder / str(each)).unlink(missing_ok=True)


def _read(path: Path) -> Run | None:
    with suppress(OSError, *UNREADABLE):
        content = path.read_bytes()
        if hashlib.sha256(content[_DIGEST_BYTES:]).digest()[:_DIGEST_BYTES] == content[:_DIGEST_BYTES]:
            return _DECODER.decode(content[_DIGEST_BYTES:])
    return None


@lru_cache(maxsize=1)
def _core() -> str:
    """The core that is running: what it makes of a log is of no use to another one."""
    assert domain.__file__ is not None, "a package with an __init__"
    made = hashlib.sha256(f"{sys.version} {msgspec.__version__}".encode())
    for each in sorted(Path(domain.__file__).parent.rglob("*.py")):
        found = each.stat()
        made.update(f"{each.name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return made.hexdigest()[:16]
