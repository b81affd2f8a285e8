"""Adapters that rest: one that could not be started several times in a row is left alone for a while, by everybody."""

from commands.making import Making
from commands.world import World
from domain.bounds import CIRCUIT_FAILURES, CIRCUIT_S
from domain.config import to_us
from domain.events import Put
from domain.ids import adapter_stream
from domain.payload import Fact
from domain.ports import LogView
from domain.stream_index import ADAPTER
from domain.work_events import AdapterFailedToStart, AdapterStarted

_FAILING = "failing"


def resting(log: LogView, now_us: int) -> frozenset[str]:
    """The adapters that rest now. A rest that is longer than any could be is a clock's mistake."""
    if not log.has(ADAPTER):
        return frozenset()
    most_us = now_us + to_us(CIRCUIT_S)
    return frozenset(each.name for each in log.nouns(ADAPTER, _FAILING) if now_us < each.due_us <= most_us)


async def note(world: World, actor: str, adapter: str, run: str, cause: str = "") -> None:
    """A call of this adapter was started, or was not for this cause. Starts are written after failures only."""
    if not cause and not _is_failing(world.log, adapter):
        return

    def work(view: LogView) -> Put | None:
        making = Making(view, at_us=world.clock.now_us(), actor=actor)
        making.add(adapter_stream(adapter), _fact(view, adapter, run, cause, world.clock.now_us()))
        return making.put()

    await world.append(work)


def _is_failing(log: LogView, adapter: str) -> bool:
    return log.has(ADAPTER) and any(each.name == adapter for each in log.nouns(ADAPTER, _FAILING))


def _fact(view: LogView, adapter: str, run: str, cause: str, now_us: int) -> Fact:
    if not cause:
        return AdapterStarted(adapter=adapter, run=run)
    stream = adapter_stream(adapter)
    last = next((each.data for each in view.stream(stream, max(0, view.version(stream) - 1))), None)
    failures = 1 + (last.failures if isinstance(last, AdapterFailedToStart) else 0)
    rests_until_us = now_us + to_us(CIRCUIT_S) if failures >= CIRCUIT_FAILURES else 0
    return AdapterFailedToStart(adapter=adapter, run=run, cause=cause, failures=failures, rests_until_us=rests_until_us)
