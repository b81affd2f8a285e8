"""Private copies of the tables for queries that come together, or shortly after each other: one serves all of them."""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands.wiring import Runtime
from domain.bounds import SQL_COPY_S


class _Copy:
    """A copy, in a folder of its own, and who still reads it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rt-sql-"))
        self.file = self.folder / "copy"  # a neutral name: queries can see it
        self.position = 0
        self.begun_s = 0.0
        self.readers = 0
        self.begun = False
        self.made = threading.Event()
        self.problem: BaseException | None = None


class Copies:
    """The copies of one home. Whoever asks gets one that is true at what they know of, and a moment old at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._next: _Copy | None = None
        self._latest: _Copy | None = None  # made, and kept for a moment
        self._timer: threading.Timer | None = None

    @contextmanager
    def copied(self, runtime: Runtime, min_position: int) -> Iterator[tuple[Path, int]]:
        """A private copy of the tables, and the position at which it is true; it goes with its last reader."""
        mine = self._taken(min_position)
        try:
            if not mine.made.is_set():
                self._make(mine, runtime)
            if mine.problem is not None:
                raise mine.problem
            yield mine.file, mine.position
        finally:
            self._left(mine)

    def close(self) -> None:
        """Nobody asks any more."""
        self._keep(None)

    def _taken(self, min_position: int) -> _Copy:
        with self._lock:
            latest = self._latest
            if latest is None or latest.position < min_position or time.monotonic() > latest.begun_s + SQL_COPY_S:
                latest = self._next = self._next or _Copy()
            latest.readers += 1
            return latest

    def _left(self, copy: _Copy) -> None:
        with self._lock:
            copy.readers -= 1
            is_last = copy.readers == 0 and copy is not self._next
        if is_last:
            shutil.rmtree(copy.folder, ignore_errors=True)

    def _make(self, mine: _Copy, runtime: Runtime) -> None:
        """Made by the first of its readers whose turn it is; the others wait for that."""
        with self._making:
            if not mine.begun:
                mine.begun = True
                with self._lock:
                    self._next = None  # who comes from now on may need a newer one
                mine.begun_s = time.monotonic()
                try:
                    mine.position = runtime.projection().copy(mine.file)
                except BaseException as problem:
                    mine.problem = problem
                    raise
                finally:
                    mine.made.set()
                self._keep(mine)
        mine.made.wait()

    def _keep(self, copy: _Copy | None) -> None:
        """The latest one, which is kept for a moment as if somebody read it."""
        with self._lock:
            before, self._latest = self._latest, copy
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if copy is not None:
                copy.readers += 1
                self._timer = threading.Timer(SQL_COPY_S, self._forget, (copy,))
                self._timer.daemon = True
                self._timer.start()
        if before is not None:
            self._left(before)

    def _forget(self, copy: _Copy) -> None:
        with self._lock:
            if self._latest is not copy:
                return
            self._latest = None
        self._left(copy)
