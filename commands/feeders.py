"""What a dispatcher does beside driving runs: schedules, sensors, deliveries, what expires. Each apart from the others.

One that fails says so and is left alone for a while; it never holds up the claims.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from commands.deliveries import Deliveries
from commands.making import Making
from commands.scheduling import Scheduler
from commands.sensor_programs import SensorPrograms
from commands.world import World
from domain import errors, notify
from domain.agent_events import ApprovalRequested
from domain.bounds import FEEDER_FAILURES_MAX, FEEDER_PAUSE_S
from domain.events import DispatchPaused, Put, TaskBlocked
from domain.ids import DISPATCH, outbox_stream, text_of
from domain.ports import LogView, Waiting
from domain.stream_index import EXPIRY, OUTBOX, SCHEDULE
from domain.task import CLAIMABLE, Task
from domain.work_events import OutboxQueued

_EXPIRE_AT_ONCE = 500
_OUTSIDE = "outside"  # the duty of starting sensors and delivering messages, which are not undone by a transaction


def _readable(view: LogView, task: str) -> Task | None:
    """A task; None for one whose events cannot be read, which whoever claims parks."""
    try:
        return view.task(task)
    except errors.Corrupt:
        return None


class Feeders:
    """The feeders of one dispatcher."""

    def __init__(self, world: World, me: str) -> None:
        self._world = world
        self._me = me
        self._actor = f"system:{me}"
        folder = Path(world.folder)
        self._scheduler = Scheduler(world.config)
        self._sensors = SensorPrograms(world, self._actor, folder)
        self._deliveries = Deliveries(world, self._actor)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, int] = {}
        self._resting: dict[str, float] = {}  # feeder -> until when, on the monotonic clock
        self._told: set[str] = set()
        self._ticked_us = 0  # when the schedules were looked at
        self._turning = asyncio.Lock()

    @property
    def idle(self) -> bool:
        """Whether nothing of theirs runs, and nothing is due for delivery, unless another dispatcher delivers."""
        if self._running:
            return False
        return not self._world.log.due(OUTBOX, self._world.clock.now_us(), 1) or not self._is_on_duty()

    async def turn(self) -> None:
        """Do what is due; one turn at a time."""
        async with self._turning:
            await self._turn()

    async def _turn(self) -> None:
        on_duty = self._is_on_duty()
        await self._guarded("expiry", self._expire)
        if not self._held():
            await self._guarded("schedules", self._tick)
            for name in self._sensors.due() if on_duty and self._world.config.sensors else ():
                self._begin(f"sensor {name}", self._sense(name))
            await self._guarded("freshness", self._sensors.tell_stale)
        if self._world.config.notify:
            await self._guarded("expiring approvals", self._tell_expiring)
        for stream in self._deliveries.due() if on_duty else ():
            self._begin(f"message {stream[:8]}", self._deliveries.deliver(stream))

    def _is_on_duty(self) -> bool:
        return self._world.liveness.on_duty(self._me, _OUTSIDE)

    async def settled(self) -> None:
        """Wait for what runs."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def close(self) -> None:
        """Give up what runs: it is done again by whoever comes next."""
        for running in self._running.values():
            running.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _held(self) -> bool:
        """Whether a person paused more than claiming."""
        if not self._world.log.paused():
            return False
        last = self._world.log.stream(DISPATCH)[-1].data
        return isinstance(last, DispatchPaused) and last.scope != "claiming"

    async def _guarded(self, name: str, feed: Callable[[], Awaitable[None]]) -> None:
        now_s = self._world.clock.monotonic_s()
        if self._resting.get(name, 0.0) > now_s:
            return
        try:
            await feed()
        except Exception as problem:  # noqa: BLE001  # whatever broke, the claims and the other feeders go on
            self._failed(name, problem)
        else:
            self._failures.pop(name, None)

    def _failed(self, name: str, problem: BaseException) -> None:
        count = self._failures[name] = self._failures.get(name, 0) + 1
        self._world.warn(f"{name} failed: {type(problem).__name__}: {problem}")
        if count >= FEEDER_FAILURES_MAX:
            self._resting[name] = self._world.clock.monotonic_s() + FEEDER_PAUSE_S

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        if name in self._running or self._resting.get(name, 0.0) > self._world.clock.monotonic_s():
            work.close()
            return
        running = self._running[name] = asyncio.get_running_loop().create_task(work)
        running.add_done_callback(lambda done: self._ended(name, done))

    def _ended(self, name: str, done: "asyncio.Task[None]") -> None:
        self._running.pop(name, None)
        if done.cancelled():
            return
        problem = done.exception()
        if problem is not None:
            self._failed(name, problem)
        else:
            self._failures.pop(name, None)

    async def _sense(self, name: str) -> None:
        done = await self._sensors.run(name)
        if done["cause"]:
            self._world.warn(": ".join(filter(None, (f"sensor {name}", done["cause"], done["message"])))[:500])

    async def _tick(self) -> None:
        now_us = self._world.clock.now_us()
        jumped, self._ticked_us = now_us < self._ticked_us or not self._ticked_us, now_us  # also before we began
        if not self._world.log.has(SCHEDULE):
            return
        is_due = self._world.log.due(SCHEDULE, now_us, 1)
        if not is_due and not (jumped and self._scheduler.stranded(self._world.log, now_us)):
            return
        evaluation = self._scheduler.evaluation(now_us, self._actor)
        await self._world.append(evaluation.work)
        for name, why in evaluation.done.failed:
            self._world.warn(f"schedule {name} is disabled: {why}")

    async def _expire(self) -> None:
        """Tasks that nobody claimed in time."""
        now_us = self._world.clock.now_us()
        if not self._world.log.due(EXPIRY, now_us, 1):
            return

        def work(view: LogView) -> Put | None:
            making = Making(view, at_us=now_us, actor=self._actor)
            for task in view.due(EXPIRY, now_us, _EXPIRE_AT_ONCE):
                state = _readable(view, task)
                if state is not None and state.status in CLAIMABLE and not state.attempts:
                    making.add(task, TaskBlocked(cause="queue_expired"), correlation=task)
                view.settle(task)
            return making.put()

        await self._world.append(work)

    async def _tell_expiring(self) -> None:
        now_us, config = self._world.clock.now_us(), self._world.config
        for waiting in self._world.log.waiting():
            task = self._world.log.task(waiting.task) if waiting.due_at_us > now_us else None
            if task is None:
                continue
            about = notify.Expiring(waiting.run, 0, waiting.due_at_us)
            new = {notice.key for notice in notify.expiring(config, task, about, now_us)} - self._told
            if not new:
                continue
            self._told |= new
            about = about._replace(call=self._call(waiting))
            for notice in notify.expiring(config, task, about, now_us):
                await self._tell(notice, waiting.task, waiting.run)

    def _call(self, waiting: Waiting) -> int:
        """The call whose approval expires first."""
        events = (event.data for event in self._world.log.stream(waiting.run))
        asked = (each for each in events if isinstance(each, ApprovalRequested))
        return next((each.call for each in asked if each.expires_at_us == waiting.due_at_us), 0)

    async def _tell(self, notice: notify.Notice, task: str, run: str) -> None:
        content = notify.content(notice, self._world.config, self._world.clock.now_us())
        text = self._world.secrets.text(content.decode()).encode()
        held = self._world.config.outbox.destinations[notice.target].hold
        queued = OutboxQueued(
            kind="notification",
            target=notice.target,
            message=text_of(text),
            key=notice.key,
            task=task,
            run=run,
            rule=notice.rule,
            held=held,
        )

        def work(view: LogView) -> Put | None:
            making = Making(view, at_us=self._world.clock.now_us(), actor=self._actor)
            if making.version(outbox_stream(notice.key)):
                return None
            making.add(outbox_stream(notice.key), queued, correlation=task)
            making.keep(task, text)
            return making.put()

        await self._world.append(work)
