"""The dispatcher: claims tasks, drives their runs side by side, and looks after runs whose dispatcher died."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import msgspec

from commands import slots
from commands.drive import Driver
from commands.feeders import Feeders
from commands.measuring import measure
from commands.policy import note_policy
from commands.recover import expire, recover
from commands.world import World
from domain import errors
from domain import task as tasks
from domain.bounds import FOLLOW_POLL_S, MEASURE_EVERY_S, RECOVERY_CHECK_S
from domain.events import Put, Recorded, TaskBlocked, TaskClaimed
from domain.ports import LogView
from domain.task import Task


class Dispatcher:
    """One dispatcher process. It is alive while it holds its lock; its id is in every claim that it makes."""

    def __init__(self, world: World, concurrency: int) -> None:
        self.id = world.ids.new()
        self._world = world
        self._concurrency = concurrency
        self._drivers: dict[str, Driver] = {}  # by run
        self._tasks: dict[asyncio.Task[None], Driver] = {}
        self._signal = asyncio.Event()
        self._draining = False
        self._stopping = False
        self._only = ""
        self._failed: BaseException | None = None
        self._feeders = Feeders(world, self.id)
        self.driven = 0

    def drain(self) -> None:
        """Claim nothing more; return when the running runs have ended."""
        self._draining = True
        self._signal.set()

    def stop(self) -> None:
        """End the running runs' processes now and give their tasks back."""
        self._draining = self._stopping = True
        for driver in self._drivers.values():
            driver.abandon()
        self._signal.set()

    async def work(
        self,
        *,
        begin: Callable[[], Awaitable[None]] | None = None,
        until: Callable[[], bool] = lambda: False,
        most: int | None = None,
    ) -> None:
        """Dispatch until drained or `until` holds while nothing runs here.

        `begin` is awaited first, once this dispatcher counts as alive. `most` bounds the number of claims.
        """
        self._world.liveness.hold(self.id)
        follower = asyncio.create_task(self._follow())
        follower.add_done_callback(self._follower_done)
        try:
            await note_policy(self._world, self.id)
            await recover(self._world, self.id)
            await expire(self._world, self.id)
            if begin is not None:
                await begin()
            else:
                await self._feeders.turn()
            while self._failed is None:
                self._signal.clear()
                if not self._draining and (most is None or self.driven < most):
                    await self._claim(most)
                if not self._tasks and (
                    self._draining or (until() and await self._is_quiet(begin is None) and until())
                ):
                    break
                await self._pause()
            if self._failed is not None:
                raise self._failed
        finally:
            follower.cancel()
            await self._end_all()
            self._world.liveness.drop(self.id)

    async def _is_quiet(self, whole: bool) -> bool:  # noqa: FBT001  # whether it looks after more than one task
        """Whether the feeders have nothing to do either."""
        if not whole:
            return True
        await self._feeders.turn()
        await self._feeders.settled()
        return self._feeders.idle

    def take(self, task: Task, claim: Recorded | None) -> None:
        """Drive a task that this dispatcher claimed while it was taken in, or when its turn comes; claim no other."""
        self._only = task.task
        if claim is not None:
            assert isinstance(claim.data, TaskClaimed), "a run begins with a claim"
            self._start(task, claim, claim.data.run)

    async def _claim(self, most: int | None) -> None:
        """Pick and append in one transaction: exact order, no lost races."""
        free = self._concurrency - len(self._tasks)
        if most is not None:
            free = min(free, most - self.driven)
        now_us = self._world.clock.now_us()
        if free <= 0 or not self._world.log.ready(now_us, 1):
            return
        picked: list[tuple[Task, Recorded]] = []
        made: list[str] = []  # the tasks of all events, also of those that are parked

        def pick(view: LogView) -> Put | None:
            picked.clear()
            made.clear()
            if view.paused():
                return None
            wanted = slots.wanted(view, self._world.config, now_us, free, only=self._only)
            events = [event for task in wanted for event in self._claims(view, task, now_us, picked)]
            made.extend(event.stream for event in events)
            return Put(events=tuple(events)) if events else None

        positions = await self._world.append(pick)
        at = dict(zip(made, positions, strict=False))
        for task, event in picked if positions else ():
            claim = msgspec.structs.replace(event, position=at[task.task])
            self._start(task, claim, claim.data.run if isinstance(claim.data, TaskClaimed) else "")

    def _claims(self, view: LogView, task: str, now_us: int, picked: list[tuple[Task, Recorded]]) -> list[Recorded]:
        """The claim of one task; a task whose events do not decode is parked, and the others go on."""
        actor = f"system:{self.id}"
        try:
            state = view.task(task)
        except errors.Corrupt:
            blocked = TaskBlocked(cause="undecodable")
            version = view.version(task) + 1
            return [Recorded(stream=task, version=version, at_us=now_us, actor=actor, data=blocked, correlation=task)]
        if state is None or state.status not in tasks.CLAIMABLE or state.due_at_us > now_us:
            return []
        claim = Recorded(
            stream=task,
            version=state.version + 1,
            at_us=now_us,
            actor=actor,
            data=tasks.claim(state, run=self._world.ids.new(), dispatcher=self.id),
            correlation=task,
            caused_by=state.ready_position,
        )
        picked.append((state, claim))
        return [claim]

    def _start(self, task: Task, claim: Recorded, run: str) -> None:
        self._world.watch([claim])
        driver = self._drivers[run] = Driver(self._world, self.id, task, claim)
        self.driven += 1
        running = asyncio.create_task(self._drive(driver))
        self._tasks[running] = driver
        if self._stopping:  # it was claimed meanwhile
            driver.abandon()
        running.add_done_callback(self._done)

    async def _drive(self, driver: Driver) -> None:
        try:
            await driver.drive()
        except errors.Corrupt:
            raise  # the store cannot be trusted any more: stop, and start again from disk
        except Exception as problem:  # noqa: BLE001  # whatever broke, the run ends and its task goes on
            self._world.warn(f"run {driver.state.run[:8]} broke: {type(problem).__name__}: {problem}")
            await driver.give_up()

    def _done(self, running: asyncio.Task[None]) -> None:
        driver = self._tasks.pop(running)
        if self._drivers.get(driver.state.run) is driver:  # else it was claimed again, while this one was leaving
            del self._drivers[driver.state.run]
        if not running.cancelled() and (problem := running.exception()) is not None:
            self._failed = problem
        self._signal.set()

    def _follower_done(self, follower: asyncio.Task[None]) -> None:
        if not follower.cancelled() and (problem := follower.exception()) is not None:
            self._failed = problem
            self._signal.set()

    async def _pause(self) -> None:
        """Until something happened here or in the log, a task becomes due, or it is time to look around."""
        due_us = self._world.log.next_due_us()
        wait_s = RECOVERY_CHECK_S
        if due_us is not None:
            wait_s = min(wait_s, max(0.001, (due_us - self._world.clock.now_us()) / 1_000_000))
        handle = asyncio.get_running_loop().call_later(wait_s, self._signal.set)
        await self._signal.wait()
        handle.cancel()

    async def _follow(self) -> None:
        """Notice what others append: new work, a cancel, a pause. Look for dead dispatchers now and then."""
        at = self._world.log.head().position
        for tick in itertools.count(1):
            await asyncio.sleep(FOLLOW_POLL_S)
            if self._world.log.changed():
                at, touched = self._world.log.touched(at)
                for run in touched & self._drivers.keys():
                    self._drivers[run].look_again()
                self._signal.set()
            if tick % max(1, round(RECOVERY_CHECK_S / FOLLOW_POLL_S)) == 0:
                await recover(self._world, self.id)
                await expire(self._world, self.id)
                if not self._only:
                    await self._feeders.turn()
                if not self._tasks:
                    self._world.log.idle()
            if tick % max(1, round(MEASURE_EVERY_S / FOLLOW_POLL_S)) == 0:
                await measure(self._world, f"system:{self.id}")

    async def _end_all(self) -> None:
        """The dispatcher itself failed or was canceled: no process may outlive it."""
        for running in list(self._tasks):
            running.cancel()
        await self._feeders.close()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
