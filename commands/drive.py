"""Drives one run: feeds facts to the core, appends them with their consequences, carries out what became durable.

Order in the log is the order in which the core saw things. One put of a run is in flight at a time; meanwhile output
waits in the pipe. Every put names the version of the decision stream that it was decided on.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from adapters.chunks import Chunker
from commands.call import OpenCall
from commands.world import World
from domain import bundle, errors
from domain import run as core
from domain.advance import Happened, advance, appended, catch_up, claimed
from domain.bounds import KILL_S_MAX
from domain.events import (
    Blob,
    OutputAppended,
    Recorded,
    RunOwnerLost,
    RunRefused,
    TimerFired,
    ToolNotStarted,
    ToolStarted,
)
from domain.ids import marker, output_stream
from domain.ports import NotStarted, ProcessSpec
from domain.task import Task

_ACTOR = "adapter:process"


class Driver:
    """One run, from its claim to its end."""

    def __init__(self, world: World, dispatcher: str, task: Task, claim: Recorded) -> None:
        self._world = world
        self._actor = f"system:{dispatcher}"
        self._task = task
        self._tip = claimed(claim)
        self._changed = asyncio.Event()
        self._stale = False
        self._abandoned = False
        self._calls: dict[int, OpenCall] = {}
        self._salt = world.ids.salt()
        self._salted = False
        self._payload = b""
        self._input: bundle.CallInput | None = None
        self._payload_files: list[str] = []

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
        """Drive the run until it has ended, here or by somebody else's hand."""
        try:
            await self._start()
            while not self.state.ended:
                await self._turn()
        finally:
            await self._clear()

    async def give_up(self) -> None:
        """The drive itself broke: end the run with what is known, so that its task goes on by its retry rule."""
        await self._record(Happened(RunOwnerLost(dispatcher=self.state.dispatcher, cause="internal_error")))

    async def _start(self) -> None:
        compiled = self._compile()
        self._input = compiled.call
        await self._record(Happened(compiled.fact), texts=compiled.texts)

    def _compile(self) -> bundle.Compiled:
        try:
            self._payload = self._world.log.blob(self._task.task, self._task.payload)
            return bundle.compile_run(self._task, self._payload, self._world.config, self._world.folder)
        except (errors.RtError, ValueError, KeyError, TypeError) as problem:
            code = problem.code if isinstance(problem, errors.RtError) else type(problem).__name__
            return bundle.Compiled(fact=RunRefused(cause="bundle_failed", message=code))

    async def _turn(self) -> None:
        """Carry out what was asked for, then record what happened, or wait for it."""
        if self._stale:
            self._refresh()
        for call in self.state.open_calls:
            await self._carry_out(call)
        if self.state.ended:
            return
        self._changed.clear()
        happened = self._collect()
        if happened:
            await self._record(*happened)
        else:
            await self._wait()

    async def _carry_out(self, call: core.Call) -> None:
        known = self._calls.get(call.ordinal)
        if known is None and self._abandoned:
            return
        if known is None and not call.cancel:
            await self._spawn(call)
        elif known is None:  # asked to end before it was started: it never will be
            await self._record(Happened(ToolNotStarted(call=call.ordinal, cause="canceled")))
        elif (call.cancel or self._abandoned) and not known.ending:
            assert self.state.policy is not None, "a call is asked for by a run that was started"
            known.ending = True
            self._world.processes.kill(known.marker, self.state.policy.grace_us / 1_000_000)

    async def _spawn(self, call: core.Call) -> None:
        assert self.state.policy is not None, "a call is asked for by a run that was started"
        name = marker(self.state.run, call.ordinal)
        try:
            identity = self._world.processes.spawn(self._spec(call.ordinal, name), self._changed.set)
        except NotStarted as problem:
            self._world.files.remove(self._world.payload_file(name))
            message = self._world.secrets.text(str(problem))
            await self._record(Happened(ToolNotStarted(call=call.ordinal, cause=problem.cause, message=message)))
            return
        self._calls[call.ordinal] = OpenCall(
            call.ordinal,
            name,
            processes=self._world.processes,
            chunker=Chunker(self._world.secrets, self._world.urgent, self.state.policy.output_bytes_max),
            salt=self._salt,
            started_s=self._world.clock.monotonic_s(),
        )
        started = ToolStarted(
            call=call.ordinal, pid=identity.pid, start_ticks=identity.start_ticks, boot_id=identity.boot_id
        )
        await self._record(Happened(started, None, _ACTOR))

    def _spec(self, ordinal: int, name: str) -> ProcessSpec:
        assert self._input is not None, "a started run knows its call"
        world = self._world
        path = world.payload_file(name)
        folders = {"artifacts": f"{world.state}/artifacts", "state": world.state, "payload_file": path}
        payload = None
        if self._input.payload_file:
            payload = msgspec.json.encode(msgspec.json.decode(self._payload)["payload"])
            world.files.write(path, payload)
            self._payload_files.append(path)
        told = bundle.task_variables(
            self.state, ordinal, name=world.config.runtime_name, folders=folders, payload=payload
        )
        env = bundle.child_environment(self._input, world.config, world.environment.all(), told)
        return ProcessSpec(call=name, argv=self._input.argv, cwd=self._input.cwd, env=env)

    def _collect(self) -> list[Happened]:
        now_s = self._world.clock.monotonic_s()
        happened: list[Happened] = []
        for call in [call for call in self._calls.values() if not call.over]:
            happened += call.collect(now_s)
            if call.over:  # before its end is durable: after that nobody would look for it
                self._world.files.remove(self._world.payload_file(call.marker))
        if self._abandoned and all(call.over for call in self._calls.values()):
            lost = RunOwnerLost(dispatcher=self.state.dispatcher, cause="dispatcher_stopped")
            return [*(each for each in happened if isinstance(each.fact, OutputAppended)), Happened(lost)]
        timer = core.next_timer(self.state)
        if not happened and timer is not None and self._due_s(timer) <= now_s:
            happened.append(Happened(TimerFired(timer=timer.timer, due_us=timer.due_us)))
        return happened

    def _due_s(self, timer: core.Timer) -> float:
        """When a timer is due on the monotonic clock: a jump of the wall clock ends no run."""
        return self._calls[timer.call].started_s + timer.after_us / 1_000_000

    async def _wait(self) -> None:
        """Until something changed, output became due, or the core's timer did."""
        now_s = self._world.clock.monotonic_s()
        waits = [due_s - now_s for call in self._calls.values() if (due_s := call.due_s()) is not None]
        timer = core.next_timer(self.state)
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
        while not self.state.ended:
            state, put = advance(self._tip, happened, at_us=self._world.clock.now_us(), actor=self._actor)
            if texts:
                put = msgspec.structs.replace(put, blobs=put.blobs + tuple(Blob(state.task, text) for text in texts))
            salts = any(isinstance(each.fact, OutputAppended) for each in happened) and not self._salted
            if salts:
                put = msgspec.structs.replace(put, salts={output_stream(state.run): self._salt})
            try:
                positions = await self._world.append(put)
            except errors.StreamConflict:
                self._refresh()
                continue
            self._salted = self._salted or salts
            self._tip = appended(self._tip, state, put, positions)
            self._world.watch(put.events)
            return

    def _refresh(self) -> None:
        """Fold what others appended to the run or to its task."""
        self._stale = False
        log, versions = self._world.log, self._tip.versions
        new = [event for stream in (self._task.task, self.state.run) for event in log.stream(stream, versions[stream])]
        self._tip = catch_up(self._tip, sorted(new, key=lambda event: event.position))

    async def _clear(self) -> None:
        """Leave nothing behind: also when the run was ended by another hand, or this drive broke."""
        for call in self._calls.values():
            if not call.over:
                self._world.processes.kill(call.marker, 0)
        for call in self._calls.values():
            until_s = self._world.clock.monotonic_s() + 2 * KILL_S_MAX + 1
            while not call.over and self._world.clock.monotonic_s() < until_s:
                call.collect(self._world.clock.monotonic_s())
                await asyncio.sleep(0.01)
            self._world.processes.release(call.marker)
        for path in self._payload_files:
            self._world.files.remove(path)
