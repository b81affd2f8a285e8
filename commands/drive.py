"""Drives one run: feeds facts to the core, appends them with their consequences, carries out what became durable.

Order in the log is the order in which the core saw things. One put of a run is in flight at a time; meanwhile output
waits in the pipe. Every put names the version of the decision stream that it was decided on.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from adapters.canonical import canonical
from commands import circuit
from commands.effects import Effects
from commands.preparing import NotReady, prepare
from commands.surroundings import grants, surroundings
from commands.world import World
from domain import agents, bundle, errors
from domain import run as core
from domain.advance import Happened, Tip, advance, appended, catch_up, claimed
from domain.agent_events import RunResumed
from domain.bounds import STATE_EVERY_EVENTS
from domain.bundle_parts import Compiled
from domain.events import (
    Blob,
    Fact,
    OutputAppended,
    Recorded,
    RunOwnerLost,
    RunRefused,
    TaskClaimed,
    TimerFired,
    ToolNotStarted,
    ToolStarted,
)
from domain.ids import output_stream, text_of
from domain.task import Task


class Driver:
    """One run, from its claim to its end, or until it waits for a person."""

    def __init__(self, world: World, dispatcher: str, task: Task, claim: Recorded) -> None:
        self._world = world
        self._actor = f"system:{dispatcher}"
        self._task = task
        assert isinstance(claim.data, TaskClaimed), "a run begins with a claim"
        self._resumes = claim.data.resumed
        self._epoch = claim.data.epoch
        self._tip = self._read(claim.data.run) if self._resumes else claimed(claim)
        self._changed = asyncio.Event()
        self._stale = False
        self._abandoned = False
        self._effects = Effects(world, self._tip.state.run, self._changed.set)
        self._salted = bool(self._effects.known_salt)
        self._timers: dict[tuple[str, int], float] = {}  # timer -> when it is due on the monotonic clock
        self._since_kept = 0  # events since a state was kept
        self._timed: tuple[core.Run, core.Timer | None] | None = None  # a state never changes, so it is asked once

    @property
    def state(self) -> core.Run:
        """The run as it is in the log."""
        return self._tip.state

    def look_again(self) -> None:
        """Somebody else may have appended to the run."""
        self._stale = True
        self._changed.set()

    def abandon(self) -> None:
        """The dispatcher stops now: end the run's processes and give the task back."""
        self._abandoned = True
        self._changed.set()

    async def drive(self) -> None:
        """Drive the run until it has ended, here or by somebody else's hand, or waits for a person."""
        try:
            if not self._abandoned:
                await (self._resume() if self._resumes else self._start())
            while not self._is_over():
                await self._turn()
        finally:
            await self._effects.clear()

    async def give_up(self) -> None:
        """The drive itself broke: end the run with what is known, so that its task goes on by its retry rule."""
        await self._record(Happened(RunOwnerLost(dispatcher=self.state.dispatcher, cause="internal_error")))

    def _is_over(self) -> bool:
        return self.state.ended or self.state.parked or self.state.epoch != self._epoch

    def _read(self, run: str) -> Tip:
        events = list(self._world.log.run_events(run, bodies=True))
        return catch_up(claimed(events[0]), events[1:])

    async def _start(self) -> None:
        compiled = await self._compile()
        texts = {"setup": compiled.setup} if compiled.setup else compiled.read
        self._effects.call = compiled.call
        await self._record(Happened(compiled.fact, None, "", texts), texts=compiled.texts)

    async def _resume(self) -> None:
        """Go on where the run stood, by the policy of now."""
        log = self._world.log
        book = msgspec.json.encode(agents.book(self._world.config, grants(log, self._world.clock.now_us())))
        await self._record(Happened(RunResumed(book=text_of(book)), None, "", {"book": book}))

    async def _compile(self) -> Compiled:
        try:
            payload = self._effects.payload = self._world.log.blob(self._task.task, self._task.payload)
            ready = await prepare(self._world, self._task, self.state.run, payload)
            prepared = None
            if ready is not None:
                prepared, self._effects.own_env = ready.prepared, ready.own_env
            around = surroundings(self._world, self._task)
            return bundle.compile_run(
                self._task, payload, self._world.config, self._world.folder, around, prepared, canonical
            )
        except NotReady as problem:
            return Compiled(fact=self._without_secrets(problem.fact))
        except (errors.RtError, ValueError, KeyError, TypeError) as problem:
            code = problem.code if isinstance(problem, errors.RtError) else type(problem).__name__
            return Compiled(fact=RunRefused(cause="bundle_failed", message=code))

    def _without_secrets(self, fact: RunRefused) -> RunRefused:
        return msgspec.structs.replace(fact, message=self._world.secrets.text(fact.message)[:2_000])

    async def _turn(self) -> None:
        """Carry out what was asked for, then record what happened, or wait for it."""
        if self._stale:
            self._refresh()
        if self.state.mind is not None and not self.state.mind.resumed and not (self._is_over() or self._abandoned):
            await self._resume()  # a person answered while the run went on
        while not self._is_over():  # after each fact the run may be another one: a call may be canceled by now
            fact = next(self._effects.carry_out(self.state, abandoned=self._abandoned), None)
            if fact is None:
                break
            await self._record(fact)
            await self._note_start(fact.fact)
        if self._is_over():
            return
        self._changed.clear()
        if self._stale:  # since the beginning of this turn: its wake-up is cleared by now
            return
        happened = self._collect()
        if happened:
            await self._record(*happened)
        else:
            await self._wait()

    async def _note_start(self, fact: Fact) -> None:
        """Whether the adapter of a one-shot run could be started concerns the runs after it."""
        call = self._effects.call
        if call is None or call.adapter not in self._world.config.adapters:
            return
        if isinstance(fact, ToolStarted):
            await circuit.note(self._world, self._actor, call.adapter, self.state.run)
        elif isinstance(fact, ToolNotStarted) and fact.cause != "canceled":
            await circuit.note(self._world, self._actor, call.adapter, self.state.run, fact.cause)

    def _collect(self) -> list[Happened]:
        now_s = self._world.clock.monotonic_s()
        happened = self._effects.collect(now_s)
        if self._abandoned and self._effects.idle:
            lost = RunOwnerLost(dispatcher=self.state.dispatcher, cause="dispatcher_stopped")
            return [*(each for each in happened if isinstance(each.fact, OutputAppended)), Happened(lost)]
        timer = self._next_timer()
        if not happened and timer is not None and self._due_s(timer) <= now_s:
            happened.append(Happened(TimerFired(timer=timer.timer, due_us=timer.due_us)))
        return happened

    def _next_timer(self) -> core.Timer | None:
        if self._timed is None or self._timed[0] is not self.state:
            self._timed = (self.state, core.next_timer(self.state))
        return self._timed[1]

    def _due_s(self, timer: core.Timer) -> float:
        """When a timer is due on the monotonic clock: a jump of the wall clock ends no run."""
        name = (timer.timer, timer.due_us)
        if name not in self._timers:
            now_s = self._world.clock.monotonic_s()
            left_us = min(timer.due_us - self._world.clock.now_us(), timer.after_us)
            self._timers = {name: now_s + max(0, left_us) / 1_000_000} | {
                each: due_s for each, due_s in self._timers.items() if due_s > now_s
            }
        return self._timers[name]

    async def _wait(self) -> None:
        """Until something changed, output became due, or the core's timer did."""
        now_s = self._world.clock.monotonic_s()
        waits = [due_s - now_s for due_s in self._effects.due_s()]
        timer = self._next_timer()
        if timer is not None:
            waits.append(self._due_s(timer) - now_s)
        if not waits:
            await self._changed.wait()
            return
        handle = asyncio.get_running_loop().call_later(max(0.0, min(waits)), self._changed.set)
        await self._changed.wait()
        handle.cancel()

    async def _record(self, *happened: Happened, texts: Sequence[bytes] = ()) -> None:
        """Make facts and their consequences durable. When refused, fold what others appended and feed them again."""
        while not self._is_over():
            state, put = advance(self._tip, happened, at_us=self._world.clock.now_us(), actor=self._actor)
            if texts:
                put = msgspec.structs.replace(put, blobs=put.blobs + tuple(Blob(state.task, text) for text in texts))
            salts = any(isinstance(each.fact, OutputAppended) for each in happened) and not self._salted
            if salts:
                put = msgspec.structs.replace(put, salts={output_stream(state.run): self._effects.salt})
            try:
                positions = await self._world.append(put)
            except errors.StreamConflict:
                self._refresh()
                continue
            self._salted = self._salted or salts
            self._tip = appended(self._tip, state, put, positions)
            self._world.watch(put.events)
            await self._keep_state(positions)
            return

    async def _keep_state(self, positions: Sequence[int]) -> None:
        """Now and then of a long run, so that whoever looks at it need not fold it from its beginning."""
        self._since_kept += len(positions)
        states = self._world.states
        if self._since_kept >= STATE_EVERY_EVENTS and states is not None:
            self._since_kept = 0
            kept = [(positions[-1], self.state)]
            await self._world.aside(states.keep, states.generation(), self.state.run, kept)

    def _refresh(self) -> None:
        """Fold what others appended to the run or to its task."""
        self._stale = False
        log, versions = self._world.log, self._tip.versions
        new = [event for stream in (self._task.task, self.state.run) for event in log.stream(stream, versions[stream])]
        self._tip = catch_up(self._tip, sorted(new, key=lambda event: event.position))
