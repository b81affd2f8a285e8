"""What a dispatcher measures of its own work, told in the log now and then for reports to draw."""

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from commands.making import Making
from domain.bounds import MEASURED_APPENDS_MAX
from domain.events import LogMeasured, Put
from domain.ids import LOG
from projections import reached

if TYPE_CHECKING:
    from commands.world import World
    from domain.ports import LogView


class Latencies:
    """How long appends took to become durable, since this was last asked."""

    def __init__(self) -> None:
        self._us: deque[int] = deque(maxlen=MEASURED_APPENDS_MAX)
        self._count = 0
        self._since_s: float | None = None

    def note(self, began_s: float, now_s: float) -> None:
        """One append, on the monotonic clock."""
        self._since_s = began_s if self._since_s is None else self._since_s
        self._us.append(round((now_s - began_s) * 1_000_000))
        self._count += 1

    def told(self, now_s: float, behind: int, behind_us: int) -> LogMeasured | None:
        """What was measured; None where there was nothing."""
        if not self._us or self._since_s is None:
            return None
        ordered = sorted(self._us)
        return LogMeasured(
            seconds=round(now_s - self._since_s),
            appends=self._count,
            p50_us=ordered[len(ordered) // 2],
            p99_us=ordered[len(ordered) * 99 // 100],
            most_us=ordered[-1],
            behind=behind,
            behind_us=behind_us,
        )

    def forget(self) -> None:
        """Begin anew."""
        self._us.clear()
        self._count, self._since_s = 0, None


async def measure(world: "World", actor: str) -> None:
    """Tell what was measured, where anything was: who only waits writes nothing."""
    found = world.latencies.told(world.clock.monotonic_s(), *_behind(world))
    if found is None:
        return

    def work(view: "LogView") -> Put | None:
        making = Making(view, at_us=world.clock.now_us(), actor=actor)
        making.add(LOG, found)
        return making.put()

    await world.append(work)
    world.latencies.forget()  # telling is an append too, and no reason to tell again


def _behind(world: "World") -> tuple[int, int]:
    """How many events the tables lack, and how long ago the first of them was recorded."""
    head = world.log.head().position
    at = min(reached.read(Path(world.state)), head)
    missing = world.log.read(at, 1)
    age_us = max(0, world.clock.now_us() - missing[0].at_us) if missing else 0
    return head - at, age_us
