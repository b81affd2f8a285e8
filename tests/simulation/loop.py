"""An event loop in which time passes only when nobody has anything to do."""

import asyncio
import random
import selectors
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

START_US = 1_700_000_000_000_000
_TURN_NS = 1_000  # what a turn of the loop costs, so that time never stands still


class Deadlock(AssertionError):
    """Everybody waits, and nothing will ever happen."""


class _NeverBlocks(selectors.SelectSelector):
    """Moves the virtual time to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 0
        self.shuffle: list[Any] = []  # the loop's queue
        self.random: random.Random | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock
        self.now_ns += max(_TURN_NS, round(timeout * 1e9))
        if self.random is not None and len(self.shuffle) > 1:
            handles = list(self.shuffle)
            self.random.shuffle(handles)
            self.shuffle.clear()
            self.shuffle.extend(handles)
        return []


class NoThreads(AssertionError):
    """The simulated world has no threads: what blocks goes through World.aside."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio as it is, but for the clock. A seed shuffles what is ready: asyncio itself hides races."""

    def __init__(self, seed: int = 0) -> None:
        self._virtual = _NeverBlocks()
        super().__init__(self._virtual)
        self._virtual.shuffle = self._ready  # type: ignore[attr-defined]
        self._virtual.random = random.Random(seed) if seed else None

    def time(self) -> float:
        return self._virtual.now_ns / 1e9

    def run_in_executor(self, *_: object) -> NoReturn:
        """No threads: they take real time, and a seed would not repeat."""
        raise NoThreads


class VirtualClock:
    """See domain.ports.Clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now_us(self) -> int:
        return START_US + round(self._loop.time() * 1_000_000)

    def monotonic_s(self) -> float:
        return self._loop.time()


T = TypeVar("T")


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end in virtual time."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()
