"""Runs whose dispatcher died: what is left of them is ended, then they end as lost and their tasks go on by rule."""

import asyncio
from collections.abc import Sequence

from commands.world import World
from domain import errors
from domain.advance import Happened, Tip, advance, catch_up, claimed
from domain.events import RunOwnerLost, RunStarted, TimerFired
from domain.ids import marker
from domain.ports import ProcessIdentity, Running, RunView
from domain.run import next_timer


async def recover(world: World, me: str) -> int:
    """End the lost runs of dead dispatchers; how many there were. Safe to do twice, and by several at once."""
    alive: dict[str, bool] = {me: True}
    lost: list[Running] = []
    for running in world.log.running():
        if running.dispatcher not in alive:
            alive[running.dispatcher] = world.liveness.alive(running.dispatcher)
        if not alive[running.dispatcher]:
            lost.append(running)
    if not lost:
        return 0
    tips = [tip for running in lost if (tip := _tip(world, running.run)) is not None and not tip.state.ended]
    killed = await world.processes.sweep(_calls(tips))
    ended = await asyncio.gather(*(_end(world, me, tip, killed) for tip in tips))
    for dispatcher in {running.dispatcher for running in lost}:
        world.liveness.bury(dispatcher)
    return sum(ended)


def read_tip(log: RunView, run: str) -> Tip:
    """Where a run stands, from the log. Raises IdNotFound."""
    events = list(log.run_events(run, bodies=False))
    if any(isinstance(event.data, RunStarted) and event.data.setup is not None for event in events[:3]):
        events = list(log.run_events(run, bodies=True))  # what a controller saw is part of where it stands
    return catch_up(claimed(events[0]), events[1:])


async def expire(world: World, me: str) -> None:
    """What waited for a person for too long: the timers of runs that nobody drives."""
    now_us = world.clock.now_us()
    for waiting in world.log.waiting():
        if not 0 < waiting.due_at_us <= now_us:
            continue
        tip = _tip(world, waiting.run)
        timer = next_timer(tip.state) if tip is not None else None
        if tip is None or timer is None or timer.due_us > now_us:
            continue
        fired = Happened(TimerFired(timer=timer.timer, due_us=timer.due_us))
        _, put = advance(tip, [fired], at_us=now_us, actor=f"system:{me}")
        try:
            await world.append(put)
        except errors.StreamConflict:  # somebody else was faster, or the person was
            continue
        world.watch(put.events)


def _tip(world: World, run: str) -> Tip | None:
    try:
        return read_tip(world.log, run)
    except errors.Corrupt as problem:  # one bad run never stops the others
        world.warn(f"run {run[:8]} cannot be recovered: {problem}")
        return None


def _calls(tips: Sequence[Tip]) -> dict[str, ProcessIdentity | None]:
    found: dict[str, ProcessIdentity | None] = {}
    for tip in tips:
        for call in tip.state.open_calls:
            identity = ProcessIdentity(pid=call.pid, start_ticks=call.start_ticks, boot_id=call.boot_id)
            found[marker(tip.state.run, call.ordinal)] = identity if call.pid else None
        mind = tip.state.mind
        if mind is not None and mind.question is not None and mind.asked.kind == "command":
            found[marker(tip.state.run, mind.question.ask)] = None  # its pid is not recorded; its marker finds it
    return found


async def _end(world: World, me: str, tip: Tip, killed: dict[str, int]) -> bool:
    count = sum(killed.get(marker(tip.state.run, call.ordinal), 0) for call in tip.state.calls)
    lost = RunOwnerLost(dispatcher=tip.state.dispatcher, cause="dispatcher_died", killed=count)
    for call in tip.state.calls:
        for path in world.private_files(marker(tip.state.run, call.ordinal)):
            world.files.remove(path)
    _, put = advance(tip, [Happened(lost)], at_us=world.clock.now_us(), actor=f"system:{me}")
    try:
        await world.append(put)
    except errors.StreamConflict:  # somebody else was faster
        return False
    world.watch(put.events)
    return True
