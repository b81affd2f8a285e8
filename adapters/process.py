"""Processes of this machine behind the port: own session, bounded reading, and an end that leaves nothing behind.

The dispatcher is made a subreaper, so that every descendant of a call stays below it, whatever it forks. A call is
over when its leader exited, its pipes were drained (for a bounded time) and no process of it is left.
"""

import asyncio
import ctypes
import fcntl
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal

from adapters import process_table as table
from adapters.process_start import memory_file, not_started, signal_name
from adapters.process_tree import Call, Trees
from domain.bounds import BUFFERED_BYTES_MAX, DRAIN_S, ESCAPED_MAX, KILL_S_MAX, READ_BYTES_MAX, STDIN_GRACE_S
from domain.ports import Exit, NotStarted, Output, Piece, ProcessIdentity, ProcessSpec

_TICK_S = 0.02
_OBSERVE_S = 1.0
_EMPTY_LOOKS = 3
_LEFT_OVER_GRACE_S = 0.5  # between TERM and KILL for what a finished leader left behind
_PIPE_BYTES = 256 * 1024
_PR_SET_CHILD_SUBREAPER = 36


class _Running(Call):
    """A call of ours: its leader, its pipes, what was read and not taken yet, and how far its end has come."""

    def __init__(self, marker: str, popen: subprocess.Popen[bytes], start: int, changed: Callable[[], None]) -> None:
        super().__init__(marker, popen.pid, start)
        self.popen = popen
        self.changed = changed
        self.pieces: deque[Piece] = deque()
        self.buffered = 0
        self.taken = 0
        self.paused = False
        self.pipes: dict[int, Literal["stdout", "stderr"]] = {}
        self.pidfd = -1
        self.stdin = -1  # our end of a pipe that is held open
        self.waiting: asyncio.TimerHandle | None = None  # between the end of stdin and the first rung of the ladder
        self.started_s = 0.0
        self.ended_s = 0.0
        self.returncode: int | None = None
        self.drain: asyncio.TimerHandle | None = None
        self.drain_cut = False
        self.killing_until_s: float | None = None  # when TERM becomes KILL
        self.told: set[tuple[int, int]] = set()
        self.killed: set[tuple[int, int]] = set()
        self.exit: Exit | None = None

    def close_stdin(self) -> None:
        """Let the process see the end of its stdin."""
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1


class LocalProcesses:
    """The processes of one dispatcher. Lives in its event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "this kernel does not let a process be a subreaper")
        self._calls: dict[str, _Running] = {}
        self._trees = Trees(table.Scanner(os.getpid()))
        self._boot_id = table.boot_id()
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._settling: set[str] = set()
        self._settle_handle: asyncio.Handle | None = None
        self._observing: asyncio.TimerHandle | None = None

    def spawn(self, spec: ProcessSpec, changed: Callable[[], None]) -> ProcessIdentity:
        """See domain.ports.Processes."""
        if not os.path.isdir(spec.cwd):  # noqa: PTH112  # once a spawn: the plain call
            raise NotStarted("cwd_missing", f"{spec.cwd} is not a folder")
        opened: list[int] = []
        try:
            for _ in ("stdout", "stderr"):
                opened += os.pipe2(os.O_CLOEXEC)
            spare = os.dup(self._null)  # room for the pidfd: a start must not fail halfway
            opened.append(spare)
            given, held = self._stdin(spec)
            opened += [each for each in (given, held) if each not in (self._null, -1)]
            popen = self._popen(spec, given, opened[1], opened[3])
        except (OSError, ValueError) as problem:
            for descriptor in opened:
                os.close(descriptor)
            raise not_started(problem, spec) from problem
        for descriptor in (opened[1], *opened[3:]):
            if descriptor != held:
                os.close(descriptor)
        found = table.entry(popen.pid)  # not reaped yet, so it is there
        call = _Running(spec.call, popen, found.start if found else 0, changed)
        call.started_s = self._loop.time()
        call.stdin = held
        self._calls[spec.call] = call
        self._trees.leaders.add(popen.pid)
        self._watch(call, opened[0], opened[2])
        return ProcessIdentity(pid=popen.pid, start_ticks=call.start, boot_id=self._boot_id)

    def _stdin(self, spec: ProcessSpec) -> tuple[int, int]:
        """What the process reads from, and our end of it where it is held open."""
        if spec.hold_stdin:
            return os.pipe2(os.O_CLOEXEC)
        return (memory_file(spec.stdin) if spec.stdin else self._null), -1

    @staticmethod
    def _popen(spec: ProcessSpec, stdin: int, stdout: int, stderr: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603  # starting what was asked for is what this is for
            spec.argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=spec.cwd,
            env=spec.env | {"RT_CALL": spec.call},
            start_new_session=True,
        )

    def _watch(self, call: _Running, out_read: int, err_read: int) -> None:
        call.pipes = {out_read: "stdout", err_read: "stderr"}
        for descriptor in call.pipes:
            os.set_blocking(descriptor, False)
            self._loop.add_reader(descriptor, self._readable, call, descriptor)
        call.pidfd = os.pidfd_open(call.pid)
        self._loop.add_reader(call.pidfd, self._leader_exited, call)
        if self._observing is None:
            self._observe()

    def _observe(self) -> None:
        """Remember who descends from whom while it can be seen; reap what was adopted."""
        self._observing = None
        if self._calls:
            self._trees.observe(self._live())
            self._observing = self._loop.call_later(_OBSERVE_S, self._observe)

    def _live(self) -> list[Call]:
        return [call for call in self._calls.values() if call.exit is None]

    def _readable(self, call: _Running, descriptor: int) -> bool:
        """Read once; whether there was anything."""
        try:
            data = os.read(descriptor, READ_BYTES_MAX)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close_pipe(call, descriptor)
            if not call.pipes and call.returncode is not None:
                self._drained(call)
            return False
        if len(data) == READ_BYTES_MAX:
            self._widen(descriptor)
        call.pieces.append(Piece(call.pipes[descriptor], data))
        call.buffered += len(data)
        if call.buffered >= BUFFERED_BYTES_MAX and not call.paused:
            call.paused = True
            for pipe in call.pipes:
                self._loop.remove_reader(pipe)
        call.changed()
        return True

    @staticmethod
    def _widen(descriptor: int) -> None:
        """A program that fills its pipe gets a larger one; not granted is no harm."""
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            return

    def _close_pipe(self, call: _Running, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        del call.pipes[descriptor]
        os.close(descriptor)

    def read(self, call: str, offset: int) -> Output:
        """See domain.ports.Processes."""
        running = self._calls[call]
        assert offset == running.taken, "pipes cannot be read twice"
        pieces = tuple(running.pieces)
        running.pieces.clear()
        running.taken += running.buffered
        running.buffered = 0
        if running.paused:
            running.paused = False
            for pipe in running.pipes:
                self._loop.add_reader(pipe, self._readable, running, pipe)
        return Output(pieces, running.exit)

    def adopt(self, call: str, identity: ProcessIdentity, changed: Callable[[], None]) -> bool:
        """See domain.ports.Processes: pipes die with their reader, so there is nothing to take over."""
        _ = call, identity, changed
        return False

    def kill(self, call: str, grace_s: float) -> None:
        """See domain.ports.Processes."""
        running = self._calls.get(call)
        if running is None or running.exit is not None:
            return
        until_s = self._loop.time() + grace_s
        if running.killing_until_s is not None:  # asked again: only ever sooner
            running.killing_until_s = min(running.killing_until_s, until_s)
            return
        running.killing_until_s = until_s
        if running.stdin >= 0:  # the far side ends first, and by itself, so that its end is seen
            running.close_stdin()
            running.waiting = self._loop.call_later(min(grace_s, STDIN_GRACE_S), self._climb, running)
        else:
            self._climb(running)

    def _climb(self, call: _Running) -> None:  # noqa: C901  # the ladder, rung by rung
        """One step of the ladder: TERM to whoever was not told, KILL to all once the grace is over."""
        call.waiting = None
        if call.exit is not None:
            return
        assert call.killing_until_s is not None, "the ladder was begun"
        now_s = self._loop.time()
        left = self._trees.members(call, self._live())
        if call.returncode is not None:
            call.killed.update((each.pid, each.start) for each in left)
        if not left and call.returncode is not None:
            if call.pipes and call.drain is not None:
                self._end_drain(call)  # whoever held the pipe is gone: the last bytes are in it
            else:
                self._over(call, ())
            return
        if now_s > call.killing_until_s + KILL_S_MAX:
            self._escaped(call, left)
            return
        number = signal.SIGTERM if now_s < call.killing_until_s else signal.SIGKILL
        for each in left:
            if number is signal.SIGKILL or (each.pid, each.start) not in call.told:
                table.send(each, number)
                call.told.add((each.pid, each.start))
                if each.pid != call.pid:
                    call.killed.add((each.pid, each.start))
        self._loop.call_later(_TICK_S, self._climb, call)

    def _escaped(self, call: _Running, left: list[table.Entry]) -> None:
        if call.returncode is None:  # in an uninterruptible sleep: the kernel will end it when it can
            call.returncode = -signal.SIGKILL
            call.ended_s = self._loop.time()
        self._over(call, tuple(each.pid for each in left[:ESCAPED_MAX]))

    def _leader_exited(self, call: _Running) -> None:
        self._loop.remove_reader(call.pidfd)
        os.close(call.pidfd)
        call.pidfd = -1
        call.returncode = call.popen.wait()
        self._trees.leaders.discard(call.pid)
        call.ended_s = self._loop.time()
        for descriptor in list(call.pipes):
            if not call.paused:
                self._readable(call, descriptor)  # what is there already, without another turn of the loop
        if call.pipes:
            call.drain = self._loop.call_later(DRAIN_S, self._cut_drain, call)
        else:
            self._drained(call)
        if call.waiting is not None:  # it ended by itself, as it was asked to: now what it left behind
            call.waiting.cancel()
            call.waiting = None
            self._climb(call)

    def _cut_drain(self, call: _Running) -> None:
        if call.paused:  # held back by its reader, not by a holder of the pipe
            call.drain = self._loop.call_later(DRAIN_S, self._cut_drain, call)
            return
        call.drain_cut = True
        self._end_drain(call)

    def _end_drain(self, call: _Running) -> None:
        for descriptor in list(call.pipes):
            for _ in range(_PIPE_BYTES // READ_BYTES_MAX):  # what a full pipe holds, and no more: a holder may go on
                if not self._readable(call, descriptor):
                    break
        for descriptor in list(call.pipes):
            self._close_pipe(call, descriptor)
        self._drained(call)

    def _drained(self, call: _Running) -> None:
        """Nothing more to read. Calls that end together share one look at the process table."""
        if call.drain is not None:
            call.drain.cancel()
            call.drain = None
        if call.exit is None:
            self._settling.add(call.marker)
            if self._settle_handle is None:
                self._settle_handle = self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        self._settle_handle = None
        settling, self._settling = self._settling, set()
        alone = self._trees.only_leaders()
        if not alone:
            self._trees.look()
        for marker in settling:
            call = self._calls.get(marker)  # one that was given back meanwhile is nobody's any more
            if call is None or call.exit is not None:
                continue
            if alone or not self._trees.members(call, self._live(), fresh=False):
                self._over(call, ())
            elif call.killing_until_s is None:
                self.kill(marker, _LEFT_OVER_GRACE_S)

    def _over(self, call: _Running, escaped: tuple[int, ...]) -> None:
        for descriptor in list(call.pipes):
            self._close_pipe(call, descriptor)
        call.close_stdin()
        code = call.returncode
        assert code is not None, "a call is over after its leader"
        if call.drain is not None:
            call.drain.cancel()
        call.exit = Exit(
            exit_code=code if code >= 0 else None,
            signal=signal_name(-code) if code < 0 else "",
            duration_us=int((call.ended_s - call.started_s) * 1_000_000),
            drain_cut=call.drain_cut,
            killed=len(call.killed),
            escaped=escaped,
        )
        call.changed()

    def release(self, call: str) -> None:
        """See domain.ports.Processes."""
        del self._calls[call]

    async def sweep(self, calls: Mapping[str, ProcessIdentity | None]) -> dict[str, int]:
        """See domain.ports.Processes."""
        killed: dict[str, set[tuple[int, int]]] = {}
        until_s = self._loop.time() + KILL_S_MAX
        looks = 0
        while looks < _EMPTY_LOOKS:  # in the middle of an exec a process shows no environment, so once is not enough
            left = self._trees.left_over(calls, self._boot_id)
            looks = 0 if left else looks + 1
            for marker, entries in left.items():
                killed.setdefault(marker, set()).update((each.pid, each.start) for each in entries)
                for each in entries:
                    table.send(each, signal.SIGKILL)
            if self._loop.time() > until_s:
                break
            await asyncio.sleep(_TICK_S)
        return {marker: len(each) for marker, each in killed.items()}

    def close(self) -> None:
        """Give back the descriptors. Calls that still run are ended at once."""
        for call in self._calls.values():
            if call.exit is None:
                for each in self._trees.members(call, self._live()):
                    table.send(each, signal.SIGKILL)
            call.close_stdin()
            for descriptor in list(call.pipes):
                self._close_pipe(call, descriptor)
            if call.pidfd >= 0:
                self._loop.remove_reader(call.pidfd)
                os.close(call.pidfd)
            if call.returncode is None:
                call.popen.wait()
        self._calls.clear()
        if self._observing is not None:
            self._observing.cancel()
        os.close(self._null)
