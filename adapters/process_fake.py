"""Processes that follow a script: for tests, the simulator and dry runs. The same promises as the real ones.

A `Machine` runs the programs and outlives every dispatcher; `FakeProcesses` is what one dispatcher holds of it. Pipes
die with their reader: what was not read is gone, and a program that goes on printing ends by SIGPIPE, as real ones do.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import msgspec

from domain.bounds import BUFFERED_BYTES_MAX, DRAIN_S, READ_BYTES_MAX
from domain.ports import Exit, NotStarted, NotStartedCause, Output, Piece, ProcessIdentity, ProcessSpec

_TICK_S = 0.02
_LEFT_OVER_GRACE_S = 0.5  # between TERM and KILL for what a finished leader left behind
_BOOT_ID = "00000000-0000-4000-8000-000000000000"


class Print(NamedTuple):
    """Write to a pipe; waits while the reader does not read."""

    data: bytes
    stream: Literal["stdout", "stderr"] = "stdout"


class Sleep(NamedTuple):
    """Do nothing for a while."""

    seconds: float


class Fork(NamedTuple):
    """Start a child and do not wait for it. It has the call's marker, and its pipes unless it closes them."""

    program: "Program"


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What a process does, and how it ends: with a code, or by a signal of its own."""

    steps: tuple[Print | Sleep | Fork, ...] = ()
    exit_code: int = 0
    signal: str = ""
    ignores_term: bool = False
    ignores_pipe: bool = False  # goes on when nobody reads any more
    closes_pipes: bool = False  # a child that gave its pipes back at once
    refused: NotStartedCause | None = None  # cannot be started at all


class _Pipe:
    """Both pipes of a call: what lies in them, who waits to write, and how many could still write."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.changed = changed
        self.open = True  # at the reading end
        self.pieces: deque[Piece] = deque()
        self.buffered = 0
        self.writers = 0
        self.waiting: list[_Process] = []

    @property
    def full(self) -> bool:
        """Whether a writer has to wait."""
        return self.buffered >= BUFFERED_BYTES_MAX

    def take(self) -> tuple[Piece, ...]:
        """Empty it."""
        pieces = tuple(self.pieces)
        self.pieces.clear()
        self.buffered = 0
        return pieces

    def close(self) -> None:
        """Close the reading end; what lies in it is gone."""
        self.open = False
        self.take()


class _Process:
    """A living process and how far it has come."""

    def __init__(self, pid: int, start_ticks: int, marker: str, program: Program, pipe: _Pipe) -> None:
        self.pid = pid
        self.start_ticks = start_ticks
        self.marker = marker
        self.program = program
        self.pipe = None if program.closes_pipes else pipe
        self.inherited = pipe
        self.at = 0
        self.written = 0  # of the step at which it is
        self.alive = True
        self.ended_s = 0.0
        self.exit_code: int | None = None
        self.signal = ""
        self.timer: asyncio.Handle | None = None
        self.noticed: Callable[[], None] = _nothing  # who wants to hear of its end


class Machine:
    """Where processes live, whatever becomes of the dispatchers. Belongs to one event loop.

    A command is a name and what it does: the n-th start of it takes the n-th program, later ones the last.
    """

    def __init__(
        self, programs: Mapping[str, Sequence[Program]], on_start: Callable[[ProcessSpec], None] | None = None
    ) -> None:
        self.started: list[ProcessSpec] = []  # the ground truth: every start there ever was
        self._programs = programs
        self._asked: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._on_start = on_start
        self._processes: dict[int, _Process] = {}
        self._next_pid = 1000

    def markers(self) -> list[str]:
        """The call of every living process."""
        return [each.marker for each in self._processes.values()]

    def living(self, marker: str) -> list[_Process]:
        """The living processes of a call."""
        return [each for each in self._processes.values() if each.marker == marker]

    def start(self, spec: ProcessSpec, pipe: _Pipe) -> _Process:
        """Start the leader of a call. Raises NotStarted."""
        known = self._programs.get(spec.argv[0], ())
        if not known:
            cause: NotStartedCause = "command_not_found"
            raise NotStarted(cause, f"{spec.argv[0]}: No such file or directory")
        program = known[min(self._asked[spec.argv[0]], len(known) - 1)]
        self._asked[spec.argv[0]] += 1
        if program.refused is not None:
            raise NotStarted(program.refused, f"{spec.argv[0]}: {program.refused}")
        if self._on_start is not None:
            self._on_start(spec)
        self.started.append(spec)
        return self._launch(program, spec.call, pipe)

    def _launch(self, program: Program, marker: str, pipe: _Pipe) -> _Process:
        process = _Process(self._next_pid, int(self._loop.time() * 100), marker, program, pipe)
        self._next_pid += 1
        self._processes[process.pid] = process
        if process.pipe is not None:
            process.pipe.writers += 1
        process.timer = self._loop.call_soon(self.go_on, process)
        return process

    def go_on(self, process: _Process) -> None:
        """Carry out steps until one takes time, or has to wait."""
        process.timer = None
        while process.alive and process.at < len(process.program.steps):
            match process.program.steps[process.at]:
                case Print() as step:
                    if not self._write(process, step):
                        return
                case Fork(program):
                    process.at += 1
                    self._launch(program, process.marker, process.inherited)
                case Sleep(seconds):
                    process.at += 1
                    process.timer = self._loop.call_later(seconds, self.go_on, process)
                    return
        self._end(process, process.program.signal)

    def _write(self, process: _Process, step: Print) -> bool:
        """Write as much as goes in; whether the process goes on."""
        pipe = process.pipe
        while pipe is not None and pipe.open and process.written < len(step.data):
            if pipe.full:
                pipe.waiting.append(process)
                return False
            data = step.data[process.written : process.written + READ_BYTES_MAX]
            process.written += len(data)
            pipe.pieces.append(Piece(step.stream, data))
            pipe.buffered += len(data)
            pipe.changed()
        if pipe is not None and not pipe.open and not process.program.ignores_pipe:
            self._end(process, "SIGPIPE")
            return False
        process.at, process.written = process.at + 1, 0
        return True

    def wake(self, pipe: _Pipe) -> None:
        """Let those go on that waited for room."""
        waiting, pipe.waiting = pipe.waiting, []
        for process in waiting:
            if process.alive:
                process.timer = self._loop.call_soon(self.go_on, process)

    def signal(self, process: _Process, name: str) -> None:
        """Send a signal; a dead process does not mind."""
        if name != "SIGTERM" or not process.program.ignores_term:
            self._end(process, name)

    def _end(self, process: _Process, signal: str) -> None:
        if not process.alive:
            return
        process.alive = False
        process.ended_s = self._loop.time()
        process.signal = signal
        process.exit_code = None if signal else process.program.exit_code
        del self._processes[process.pid]
        if process.timer is not None:
            process.timer.cancel()
        if process.pipe is not None:
            process.pipe.writers -= 1
        self._loop.call_soon(process.noticed)
        self._loop.call_soon(process.inherited.changed)


class _Call:
    """A call of this dispatcher: its leader, its pipes, and how far its end has come."""

    def __init__(self, marker: str, leader: _Process, pipe: _Pipe, started_s: float) -> None:
        self.marker = marker
        self.leader = leader
        self.pipe = pipe
        self.started_s = started_s
        self.taken = 0
        self.drain: asyncio.TimerHandle | None = None
        self.drain_cut = False
        self.killing_until_s: float | None = None  # when TERM becomes KILL
        self.told: set[int] = set()
        self.killed: set[int] = set()
        self.exit: Exit | None = None


class FakeProcesses:
    """See domain.ports.Processes: the processes of one dispatcher on a machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._loop = asyncio.get_running_loop()
        self._calls: dict[str, _Call] = {}

    def spawn(self, spec: ProcessSpec, changed: Callable[[], None]) -> ProcessIdentity:
        """See domain.ports.Processes."""
        pipe = _Pipe(changed)
        leader = self._machine.start(spec, pipe)
        call = self._calls[spec.call] = _Call(spec.call, leader, pipe, self._loop.time())
        leader.noticed = lambda: self._look(call)
        return ProcessIdentity(pid=leader.pid, start_ticks=leader.start_ticks, boot_id=_BOOT_ID)

    def read(self, call: str, offset: int) -> Output:
        """See domain.ports.Processes."""
        mine = self._calls[call]
        assert offset == mine.taken, "pipes cannot be read twice"
        pieces = mine.pipe.take()
        mine.taken += sum(len(piece.data) for piece in pieces)
        self._machine.wake(mine.pipe)
        return Output(pieces, mine.exit)

    def adopt(self, call: str, identity: ProcessIdentity, changed: Callable[[], None]) -> bool:
        """See domain.ports.Processes: pipes die with their reader, so there is nothing to take over."""
        _ = call, identity, changed
        return False

    def kill(self, call: str, grace_s: float) -> None:
        """See domain.ports.Processes."""
        mine = self._calls.get(call)
        if mine is None or mine.exit is not None:
            return
        until_s = self._loop.time() + grace_s
        if mine.killing_until_s is not None:  # asked again: only ever sooner
            mine.killing_until_s = min(mine.killing_until_s, until_s)
            return
        mine.killing_until_s = until_s
        self._climb(mine)

    def _climb(self, call: _Call) -> None:
        """One step of the ladder: TERM to whoever was not told, KILL to all once the grace is over."""
        if call.exit is not None:
            return
        assert call.killing_until_s is not None, "the ladder was begun"
        left = self._machine.living(call.marker)
        if not left:
            self._look(call)
            return
        mild = self._loop.time() < call.killing_until_s
        for each in left:
            if each is not call.leader or not call.leader.alive:
                call.killed.add(each.pid)
            if not mild or each.pid not in call.told:
                call.told.add(each.pid)
                self._machine.signal(each, "SIGTERM" if mild else "SIGKILL")
        self._loop.call_later(_TICK_S, self._climb, call)

    def _look(self, call: _Call) -> None:
        """The leader ended, the drain is over, or somebody who was told to end did: see what is left."""
        if call.exit is not None or call.leader.alive or call.marker not in self._calls:
            return
        if call.pipe.open and call.pipe.writers:
            if call.drain is None:
                call.drain = self._loop.call_later(DRAIN_S, self._cut_drain, call)
            self._loop.call_later(_TICK_S, self._look, call)
        elif not self._machine.living(call.marker):
            self._over(call)
        elif call.killing_until_s is None:
            self.kill(call.marker, _LEFT_OVER_GRACE_S)

    def _cut_drain(self, call: _Call) -> None:
        call.drain = None
        if call.exit is None and call.pipe.full:  # held back by its reader, not by a holder of the pipe
            call.drain = self._loop.call_later(DRAIN_S, self._cut_drain, call)
        elif call.exit is None and call.pipe.writers:
            call.drain_cut = True
            call.pipe.open = False  # what lies in it can still be read
            self._machine.wake(call.pipe)

    def _over(self, call: _Call) -> None:
        if call.drain is not None:
            call.drain.cancel()
        call.pipe.open = False
        call.exit = Exit(
            exit_code=call.leader.exit_code,
            signal=call.leader.signal,
            duration_us=int((call.leader.ended_s - call.started_s) * 1_000_000),
            drain_cut=call.drain_cut,
            killed=len(call.killed),
        )
        call.pipe.changed()

    def release(self, call: str) -> None:
        """See domain.ports.Processes."""
        del self._calls[call]

    async def sweep(self, calls: Mapping[str, ProcessIdentity | None]) -> dict[str, int]:
        """See domain.ports.Processes."""
        killed: dict[str, int] = {}
        while left := {marker: found for marker in calls if (found := self._machine.living(marker))}:
            for marker, found in left.items():
                killed[marker] = killed.get(marker, 0) + len(found)
                for each in found:
                    self._machine.signal(each, "SIGKILL")
            await asyncio.sleep(_TICK_S)
        return killed

    def die(self) -> None:
        """What the kernel does when the dispatcher's process is killed: the pipes close, the processes live on."""
        for call in self._calls.values():
            call.pipe.changed = call.leader.noticed = _nothing
            call.pipe.close()
            self._machine.wake(call.pipe)
            if call.drain is not None:
                call.drain.cancel()
            call.exit = Exit(exit_code=None)  # nobody climbs a ladder any more
        self._calls.clear()

    def close(self) -> None:
        """Calls that still run are ended at once."""
        for marker in self._calls:
            for each in self._machine.living(marker):
                self._machine.signal(each, "SIGKILL")
        self.die()


def _nothing() -> None:
    """Nobody listens."""
