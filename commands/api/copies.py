"""Private copies of the tables for queries that come together: one that is begun after them serves all of them."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from commands.wiring import Runtime


class _Copy:
    """A copy, in a folder of its own, and who still reads it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rt-sql-"))
        self.file = self.folder / "copy"  # a neutral name: queries can see it
        self.position = 0
        self.readers = 0
        self.begun = False
        self.made = threading.Event()
        self.problem: BaseException | None = None


class Copies:
    """The copies of one home. Whoever asks gets one that was begun after the question came, so it is never too old."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._next: _Copy | None = None

    @contextmanager
    def copied(self, runtime: Runtime) -> Iterator[tuple[Path, int]]:
        """A private copy of the tables, and the position at which it is true; it goes with its last reader."""
        with self._lock:
            mine = self._next = self._next or _Copy()
            mine.readers += 1
        try:
            self._make(mine, runtime)
            yield mine.file, mine.position
        finally:
            with self._lock:
                mine.readers -= 1
                is_last = mine.readers == 0 and mine is not self._next
            if is_last:
                shutil.rmtree(mine.folder, ignore_errors=True)

    def _make(self, mine: _Copy, runtime: Runtime) -> None:
        """Made by the first of its readers whose turn it is; the others wait for that."""
        with self._making:
            if not mine.begun:
                mine.begun = True
                with self._lock:
                    self._next = None  # who comes from now on needs a newer one
                try:
                    mine.position = runtime.projection().copy(mine.file)
                except BaseException as problem:
                    mine.problem = problem
                    raise
                finally:
                    mine.made.set()
        mine.made.wait()
        if mine.problem is not None:
            raise mine.problem
