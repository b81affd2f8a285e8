"""Walking through a run's events in a terminal, forward and back."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence

from commands import render
from commands.debugging import lines
from commands.wiring import Runtime
from domain import errors
from domain.agent_events import DecisionMade
from domain.events import Recorded
from replays.states import Moment, Wanted, moments

KEYS = (
    ("n", "next event"), ("p", "event before"), ("d", "next decision"), ("D", "decision before"),
    ("c", "what caused it"), ("s", "whole state"), ("0", "first"), ("$", "last"), ("q", "leave"),
)  # fmt: skip
_NAMES = {
    " ": "n",
    "j": "n",
    "k": "p",
    "\x1b[C": "n",
    "\x1b[B": "n",
    "\x1b[D": "p",
    "\x1b[A": "p",
    "\x03": "q",
    "": "q",
}
_NOWHERE = {
    "n": "this is the last event",
    "p": "this is the first event",
    "c": "its cause is no event of this run",
}


class Walk:
    """Where somebody stands in a run. Keys move; `left` says that they are done."""

    def __init__(self, found: Sequence[Moment], at: int = 0) -> None:
        self._moments = found
        self.at = at
        self.whole = False
        self.left = False
        self.said = ""

    def press(self, key: str) -> None:
        """Take a key."""
        name = _NAMES.get(key, key)
        self.said = ""
        if name in "npdDc0$":
            self._move(name)
        elif name == "s":
            self.whole = not self.whole
        elif name == "q":
            self.left = True
        else:
            self.said = f"no key {render.line(key)}"

    def _move(self, name: str) -> None:
        wanted = {
            "n": self.at + 1 if self.at + 1 < len(self._moments) else None,
            "p": self.at - 1 if self.at else None,
            "d": self._decision(range(self.at + 1, len(self._moments))),
            "D": self._decision(range(self.at - 1, -1, -1)),
            "c": self._cause(),
            "0": 0,
            "$": len(self._moments) - 1,
        }[name]
        if wanted is None:
            self.said = _NOWHERE.get(name, "no decision there")
            return
        self.at = wanted

    def _decision(self, among: range) -> int | None:
        return next((at for at in among if isinstance(self._moments[at].event.data, DecisionMade)), None)

    def _cause(self) -> int | None:
        position = self._moments[self.at].event.caused_by
        return next((at for at, each in enumerate(self._moments) if each.event.position == position), None)

    def screen(self) -> list[str]:
        """What is shown."""
        keys = "  ".join(f"{key} {text}" for key, text in KEYS)
        found = self._moments[self.at]
        return [*lines(found, whole=self.whole), "", f"event {self.at + 1} of {len(self._moments)}  {self.said}", keys]


def walk(runtime: Runtime, run: str, start: Wanted | None, *, as_json: bool) -> None:
    """Let a person walk. Raises Invalid where there is no terminal."""
    if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise errors.Invalid(where="--step", why="needs a terminal; without one: rt replay RUN --at POS --json")
    found = list(moments(runtime.readable.run_events(run, bodies=True)))
    at = _start([each.event for each in found], start, run)
    walking = Walk(found, at)
    with _keys() as key:
        while not walking.left:
            render.screen(walking.screen())
            walking.press(key())


def _start(events: Sequence[Recorded], wanted: Wanted | None, run: str) -> int:
    if wanted is None:
        return 0
    before = [at for at, each in enumerate(events) if not wanted.is_beyond(each)]
    exact = [at for at in before if wanted.is_it(events[at])]
    if not before or (wanted.decision and not exact):
        ends = (events[0].position, events[-1].position)
        raise errors.PositionUnknown(what=f"run {run[:8]}", given=str(wanted), first=ends[0], last=ends[1])
    return exact[0] if exact else before[-1]


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[], str]]:
    """One key at a time, without waiting for the end of a line; arrows are three characters.

    Set once for the whole walk: each change of the terminal drops what was typed ahead.
    """
    import os
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield lambda: os.read(descriptor, 8).decode("utf-8", "replace")
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
