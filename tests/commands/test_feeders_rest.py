"""DC-2: a feeder that fails says so, rests after five failures in a row, and never holds up claims or other feeders."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, cast

import pytest

from adapters.system import SystemClock
from commands.feeders import Feeders
from commands.home import Home
from commands.wiring import Runtime
from commands.world import World
from domain.bounds import FEEDER_FAILURES_MAX, FEEDER_PAUSE_S
from domain.ports import Log
from domain.stream_index import EXPIRY, SCHEDULE
from tests.commands.place import Place

SCHEDULED = {"name": "s", "task": {"kind": "k", "payload": {"argv": ["true"]}}, "interval_seconds": 3600}
FEEDERS = {"schedules": SCHEDULE, "expiry": EXPIRY}


class Turned(SystemClock):
    """A clock that a test turns on."""

    ahead_s = 0.0

    def monotonic_s(self) -> float:
        return super().monotonic_s() + self.ahead_s


class BrokenLog:
    """A log that fails whoever asks it what is due of one kind, as long as a test wants that."""

    def __init__(self, log: Log, kind: str) -> None:
        self._log = log
        self._kind = kind
        self.is_broken = True

    def due(self, kind: str, now_us: int, limit: int) -> list[str]:
        if kind == self._kind and self.is_broken:
            raise ZeroDivisionError
        return self._log.due(kind, now_us, limit)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the log has
        return getattr(self._log, name)


class Fed:
    """The feeders of a place, one of which is broken."""

    def __init__(self, world: World, kind: str, warnings: list[str]) -> None:
        self.clock = Turned()
        self.log = BrokenLog(world.log, kind)
        self.warnings = warnings
        self.feeders = Feeders(replace(world, log=cast(Log, self.log), clock=self.clock), "me")

    async def turn(self, times: int) -> int:
        """So many turns; how many of them were warned of."""
        before = len(self.warnings)
        for _ in range(times):
            await self.feeders.turn()
        return len(self.warnings) - before


@contextmanager
def home(place: Place) -> Iterator[Runtime]:
    place.ok("schedule", "create", json.dumps(SCHEDULED))
    runtime = Runtime(Home(place.state, None, place.folder), "test")
    runtime.liveness.hold("me")
    yield runtime
    runtime.liveness.drop("me")
    runtime.close()


def fed(place: Place, kind: str, body: Callable[[Fed], Awaitable[None]]) -> list[str]:
    warnings: list[str] = []

    async def main(runtime: Runtime) -> None:
        async with runtime.world(lambda _events: None, warnings.append) as world:
            await body(Fed(world, kind, warnings))

    with home(place) as runtime:
        asyncio.run(main(runtime))
    return warnings


@pytest.mark.parametrize(("name", "kind"), FEEDERS.items())
def test_dc2_it_rests_after_five_failures_in_a_row_and_is_tried_again_later(place: Place, name: str, kind: str) -> None:
    async def body(found: Fed) -> None:
        assert await found.turn(FEEDER_FAILURES_MAX) == FEEDER_FAILURES_MAX == 5
        assert await found.turn(10) == 0
        found.clock.ahead_s += FEEDER_PAUSE_S + 1
        assert await found.turn(10) == 1  # once, and then it rests again
        found.clock.ahead_s += FEEDER_PAUSE_S + 1
        found.log.is_broken = False
        assert await found.turn(1) == 0
        found.log.is_broken = True
        assert await found.turn(10) == 5  # it had worked, and is counted from the beginning

    warnings = fed(place, kind, body)
    assert {each.partition(":")[0] for each in warnings} == {f"{name} failed"}


def test_dc2_one_that_fails_holds_up_no_other(place: Place) -> None:
    async def body(found: Fed) -> None:
        assert await found.turn(1) == 1

    fed(place, EXPIRY, body)
    assert len(place.events("schedule.fired.v1")) == 1


def test_dc2_a_failure_now_and_then_is_no_row(place: Place) -> None:
    async def body(found: Fed) -> None:
        for _ in range(4):
            assert await found.turn(4) == 4
            found.log.is_broken = False
            assert await found.turn(1) == 0
            found.log.is_broken = True

    fed(place, EXPIRY, body)
