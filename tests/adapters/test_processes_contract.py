"""The promises of the process port, kept by the processes of this machine and by the fake alike.

Each scenario is given twice: as a real argv and as the script of the fake.
"""

import asyncio
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from adapters.process import LocalProcesses
from adapters.process_fake import FakeProcesses, Fork, Machine, Print, Program, Sleep
from adapters.process_table import marked
from domain.bounds import BUFFERED_BYTES_MAX, DRAIN_S, KILL_S_MAX, READ_BYTES_MAX
from domain.ports import Exit, NotStarted, NotStartedCause, Piece, Processes, ProcessIdentity, ProcessSpec
from tests.simulation import loop as virtual

_SHELL = ("/bin/sh", "-c")
ONE, TWO, DEAD, OTHER, UNKNOWN = CALLS = [f"{uuid.uuid4().hex}-1" for _ in range(5)]
_ROOT = Path(__file__).parents[2]


class Lab(Protocol):
    """A place in which a scenario can be tried."""

    processes: Processes

    def spec(self, call: str, shell: str, program: Program) -> ProcessSpec:
        """What to start."""
        ...

    async def abandoned(self, call: str, shell: str, program: Program) -> ProcessIdentity:
        """A call whose dispatcher was killed."""
        ...

    def living(self, call: str) -> int:
        """How many processes of a call are alive."""
        ...


class RealLab:
    def __init__(self) -> None:
        self.processes: Processes = LocalProcesses()

    def spec(self, call: str, shell: str, program: Program) -> ProcessSpec:
        _ = program
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        return ProcessSpec(call=call, argv=(*_SHELL, shell), cwd="/", env=env)

    async def abandoned(self, call: str, shell: str, program: Program) -> ProcessIdentity:
        _ = program
        found = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", _DIES, call, shell],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=False,  # it kills itself
        )
        pid, start_ticks, boot_id = found.stdout.split()
        return ProcessIdentity(pid=int(pid), start_ticks=int(start_ticks), boot_id=boot_id)

    def living(self, call: str) -> int:
        return len(marked({call: None}).get(call, []))


_DIES = """
import asyncio, os, signal, sys
from adapters.process import LocalProcesses
from domain.ports import ProcessSpec

async def main():
    spec = ProcessSpec(call=sys.argv[1], argv=("/bin/sh", "-c", sys.argv[2]), cwd="/", env={"PATH": os.environ["PATH"]})
    found = LocalProcesses().spawn(spec, lambda: None)
    await asyncio.sleep(0.2)
    print(found.pid, found.start_ticks, found.boot_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


class FakeLab:
    def __init__(self) -> None:
        self._programs: dict[str, list[Program]] = {}
        self.machine = Machine(self._programs)
        self.processes: Processes = FakeProcesses(self.machine)

    def spec(self, call: str, shell: str, program: Program) -> ProcessSpec:
        self._programs[call] = [program]  # a command of its own for each call
        _ = shell
        return ProcessSpec(call=call, argv=(call,), cwd="/", env={})

    async def abandoned(self, call: str, shell: str, program: Program) -> ProcessIdentity:
        dead = FakeProcesses(self.machine)
        identity = dead.spawn(self.spec(call, shell, program), lambda: None)
        await asyncio.sleep(0.2)
        dead.die()
        return identity

    def living(self, call: str) -> int:
        return len(self.machine.living(call))


Scenario = Callable[[Lab], Awaitable[None]]
Try = Callable[[Scenario], None]


@pytest.fixture(params=["fake", "real"])
def attempt(request: pytest.FixtureRequest) -> Try:
    """Try a scenario: in virtual time with the fake, in real time with the processes of this machine."""

    async def main(scenario: Scenario) -> None:
        lab: FakeLab | RealLab = FakeLab() if request.param == "fake" else RealLab()
        try:
            await scenario(lab)
        finally:
            assert isinstance(lab.processes, FakeProcesses | LocalProcesses)
            lab.processes.close()
            await lab.processes.sweep(dict.fromkeys(CALLS))  # a failed test leaves nothing to the next one

    def in_the_lab(scenario: Scenario) -> None:
        if request.param == "fake":
            virtual.run(main(scenario))
        else:
            asyncio.run(main(scenario))

    return in_the_lab


class Reader:
    """Reads a call as a run does: whenever it is told to."""

    def __init__(self, lab: Lab, call: str, shell: str, program: Program) -> None:
        self.changed = asyncio.Event()
        self.told = 0
        self.pieces: list[Piece] = []
        self.size = 0
        self._lab = lab
        self._call = call
        self.identity = lab.processes.spawn(lab.spec(call, shell, program), self._tell)

    def _tell(self) -> None:
        self.told += 1
        self.changed.set()

    def read(self) -> Exit | None:
        found = self._lab.processes.read(self._call, self.size)
        self.pieces += found.pieces
        self.size += sum(len(piece.data) for piece in found.pieces)
        return found.exit

    async def until(self, text: bytes) -> None:
        """Wait for a text on stdout."""
        async with asyncio.timeout(10):
            while self.read() is None and text not in self.text("stdout"):
                self.changed.clear()
                await self.changed.wait()

    async def exit(self) -> Exit:
        async with asyncio.timeout(20):
            while (found := self.read()) is None:
                self.changed.clear()
                await self.changed.wait()
        assert self._lab.living(self._call) == 0, "the end of a call leaves nothing behind"
        self._lab.processes.release(self._call)
        return found

    def text(self, stream: str) -> bytes:
        return b"".join(piece.data for piece in self.pieces if piece.stream == stream)


SLEEPER = ("exec sleep 60", Program(steps=(Sleep(60),)))


def test_output_of_both_streams_and_the_exit_code_arrive(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        steps = (Print(b"one\n"), Sleep(0.05), Print(b"two\n", "stderr"), Sleep(0.05), Print(b"three"))
        reader = Reader(lab, ONE, "echo one; sleep .05; echo two >&2; sleep .05; printf three", Program(steps=steps))
        found = await reader.exit()
        assert (found.exit_code, found.signal, found.killed, found.drain_cut) == (0, "", 0, False)
        assert reader.text("stdout") == b"one\nthree"
        assert [piece.stream for piece in reader.pieces] == ["stdout", "stderr", "stdout"]
        assert reader.text("stderr") == b"two\n"
        assert 90_000 < found.duration_us < 5_000_000

    attempt(scenario)


def test_an_exit_code_is_reported_as_it_is(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        found = await Reader(lab, ONE, "exit 75", Program(exit_code=75)).exit()
        assert (found.exit_code, found.signal) == (75, "")

    attempt(scenario)


def test_a_signal_is_reported_by_name_and_without_a_code(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        found = await Reader(lab, ONE, "kill -9 $$", Program(signal="SIGKILL")).exit()
        assert (found.exit_code, found.signal) == (None, "SIGKILL")

    attempt(scenario)


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        ("command_not_found", {"argv": ("/no/such/program",)}),
        ("not_executable", {"argv": ("/etc/passwd",)}),
        ("cwd_missing", {"cwd": "/no/such/folder"}),
        ("argument_too_large", {"argv": ("/bin/echo", "x" * 200_000)}),
    ],
)
def test_what_cannot_be_started_says_why(
    attempt: Try, cause: NotStartedCause, change: dict[str, str | tuple[str, ...]]
) -> None:
    async def scenario(lab: Lab) -> None:
        spec = lab.spec(ONE, "", Program(refused=cause))
        if isinstance(lab, RealLab):
            spec = msgspec.structs.replace(spec, **change)
        with pytest.raises(NotStarted) as caught:
            lab.processes.spawn(spec, lambda: None)
        assert caught.value.cause == cause
        assert str(caught.value)

    attempt(scenario)


def test_a_command_that_nobody_knows_is_not_found() -> None:
    async def scenario() -> None:
        spec = ProcessSpec(call=ONE, argv=("unheard-of",), cwd="/", env={})
        with pytest.raises(NotStarted) as caught:
            FakeProcesses(Machine({})).spawn(spec, lambda: None)
        assert caught.value.cause == "command_not_found"

    virtual.run(scenario())


def test_two_starts_have_two_identities(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        readers = [Reader(lab, call, *SLEEPER) for call in (ONE, TWO)]
        assert readers[0].identity != readers[1].identity
        assert readers[0].identity.boot_id == readers[1].identity.boot_id
        for call in (ONE, TWO):
            lab.processes.kill(call, 0)
        for reader in readers:
            await reader.exit()

    attempt(scenario)


def test_who_obeys_term_ends_at_once(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        reader = Reader(lab, ONE, *SLEEPER)
        lab.processes.kill(ONE, 30)
        found = await reader.exit()
        assert (found.exit_code, found.signal) == (None, "SIGTERM")
        assert found.duration_us < 5_000_000

    attempt(scenario)


def test_who_ignores_term_is_killed_after_the_grace(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        program = Program(steps=(Print(b"ready\n"), Sleep(60)), ignores_term=True)
        reader = Reader(lab, ONE, "trap '' TERM; echo ready; while :; do sleep .1; done", program)
        await reader.until(b"ready\n")
        began_s = asyncio.get_running_loop().time()
        lab.processes.kill(ONE, 0.4)
        found = await reader.exit()
        assert found.signal == "SIGKILL"
        assert 0.4 <= asyncio.get_running_loop().time() - began_s < 0.4 + KILL_S_MAX

    attempt(scenario)


def test_without_grace_the_end_is_immediate_and_asking_again_only_makes_it_sooner(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        program = Program(steps=(Print(b"ready\n"), Sleep(60)), ignores_term=True)
        reader = Reader(lab, ONE, "trap '' TERM; echo ready; while :; do sleep .1; done", program)
        await reader.until(b"ready\n")
        began_s = asyncio.get_running_loop().time()
        lab.processes.kill(ONE, 60)
        lab.processes.kill(ONE, 0)
        lab.processes.kill(ONE, 60)
        assert (await reader.exit()).signal == "SIGKILL"
        assert asyncio.get_running_loop().time() - began_s < KILL_S_MAX

    attempt(scenario)


def test_a_kill_after_the_end_or_of_an_unknown_call_does_nothing(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        lab.processes.kill(UNKNOWN, 0)
        reader = Reader(lab, ONE, "exit 3", Program(exit_code=3))
        await reader.until(b"what it never prints")
        before = reader.read()
        lab.processes.kill(ONE, 0)
        assert await reader.exit() == before
        assert before is not None
        assert (before.exit_code, before.killed) == (3, 0)

    attempt(scenario)


def test_a_child_left_behind_is_ended_and_counted(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        child = Program(steps=(Sleep(60),), closes_pipes=True)
        reader = Reader(
            lab, ONE, "sleep 60 >/dev/null 2>&1 & echo done", Program(steps=(Fork(child), Print(b"done\n")))
        )
        found = await reader.exit()
        assert (found.exit_code, found.killed, found.drain_cut) == (0, 1, False)
        assert reader.text("stdout") == b"done\n"

    attempt(scenario)


def test_a_child_left_behind_that_ignores_term_is_killed(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        child = Program(steps=(Sleep(60),), closes_pipes=True, ignores_term=True)
        shell = "(trap '' TERM; exec sleep 60) >/dev/null 2>&1 & sleep .2"
        found = await Reader(lab, ONE, shell, Program(steps=(Fork(child), Sleep(0.2)))).exit()
        assert (found.exit_code, found.killed) == (0, 1)

    attempt(scenario)


def test_a_held_pipe_is_cut_after_the_drain(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        began_s = asyncio.get_running_loop().time()
        reader = Reader(
            lab, ONE, "sleep 60 & echo done", Program(steps=(Fork(Program(steps=(Sleep(60),))), Print(b"done\n")))
        )
        found = await reader.exit()
        assert (found.exit_code, found.drain_cut, found.killed) == (0, True, 1)
        assert found.duration_us < 1_000_000, "the leader's end counts"
        assert DRAIN_S <= asyncio.get_running_loop().time() - began_s < DRAIN_S + KILL_S_MAX
        assert reader.text("stdout") == b"done\n"

    attempt(scenario)


def test_what_a_child_prints_during_the_drain_belongs_to_the_call(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        child = Program(steps=(Sleep(0.3), Print(b"late\n")))
        reader = Reader(lab, ONE, "(sleep .3; echo late) & echo done", Program(steps=(Fork(child), Print(b"done\n"))))
        found = await reader.exit()
        assert (found.exit_code, found.drain_cut) == (0, False)
        assert found.killed <= 1, "a process is seen for a moment after it closed its pipes"
        assert reader.text("stdout") == b"done\nlate\n"

    attempt(scenario)


def test_a_kill_ends_the_children_too(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        child = Program(steps=(Sleep(60),))
        program = Program(steps=(Fork(child), Print(b"ready\n"), Sleep(60)))
        reader = Reader(lab, ONE, "sleep 60 & echo ready; wait", program)
        await reader.until(b"ready\n")
        lab.processes.kill(ONE, 30)
        found = await reader.exit()
        assert (found.signal, found.killed, found.drain_cut) == ("SIGTERM", 1, False)

    attempt(scenario)


def test_who_is_not_read_is_held_back_and_nothing_is_lost(attempt: Try) -> None:
    size = 4 * BUFFERED_BYTES_MAX

    async def scenario(lab: Lab) -> None:
        program = Program(steps=(Print(b"x" * size),))
        reader = Reader(lab, ONE, f"head -c {size} /dev/zero | tr '\\0' x", program)
        await asyncio.sleep(0.5)
        assert lab.living(ONE) > 0, "it waits for its reader"
        assert reader.read() is None
        assert BUFFERED_BYTES_MAX <= reader.size <= BUFFERED_BYTES_MAX + READ_BYTES_MAX
        assert all(len(piece.data) <= READ_BYTES_MAX for piece in reader.pieces)
        assert (await reader.exit()).exit_code == 0
        assert reader.text("stdout") == b"x" * size

    attempt(scenario)


def test_the_reader_is_told_of_output_and_of_the_end_but_never_inside_the_start(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        program = Program(steps=(Print(b"ready\n"), Sleep(0.2)))
        reader = Reader(lab, ONE, "echo ready; sleep .2", program)
        assert reader.told == 0
        await reader.until(b"ready\n")
        before = reader.told
        assert before > 0
        await reader.exit()
        assert reader.told > before

    attempt(scenario)


def test_what_a_dead_dispatcher_left_is_swept_and_others_are_spared(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        identity = await lab.abandoned(DEAD, *SLEEPER)
        other = await lab.abandoned(OTHER, *SLEEPER)
        reader = Reader(lab, ONE, *SLEEPER)
        assert lab.living(DEAD) == 1
        assert not lab.processes.adopt(DEAD, identity, lambda: None), "its output went with its dispatcher"
        assert await lab.processes.sweep({DEAD: identity, UNKNOWN: None}) == {DEAD: 1}
        assert [lab.living(call) for call in (DEAD, OTHER, ONE)] == [0, 1, 1]
        assert await lab.processes.sweep({DEAD: identity, OTHER: None}) == {OTHER: 1}
        assert await lab.processes.sweep({DEAD: identity, OTHER: other}) == {}
        lab.processes.kill(ONE, 0)
        await reader.exit()

    attempt(scenario)


def test_children_of_a_dead_dispatchers_call_are_swept_with_it(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        child = Program(steps=(Sleep(60),), ignores_term=True, closes_pipes=True)
        shell = "(trap '' TERM; exec sleep 60) >/dev/null 2>&1 & exec sleep 60"
        identity = await lab.abandoned(DEAD, shell, Program(steps=(Fork(child), Sleep(60))))
        assert lab.living(DEAD) == 2
        assert await lab.processes.sweep({DEAD: identity}) == {DEAD: 2}
        assert lab.living(DEAD) == 0

    attempt(scenario)


def test_who_prints_to_a_dead_dispatcher_ends_by_itself(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        steps = (Sleep(0.5), Print(b"too late\n"), Sleep(60))
        identity = await lab.abandoned(DEAD, "sleep .5; exec yes", Program(steps=steps))
        await asyncio.sleep(1)
        assert lab.living(DEAD) == 0
        assert await lab.processes.sweep({DEAD: identity}) == {}

    attempt(scenario)


def test_closing_ends_what_still_runs(attempt: Try) -> None:
    async def scenario(lab: Lab) -> None:
        other = FakeProcesses(lab.machine) if isinstance(lab, FakeLab) else LocalProcesses()
        other.spawn(lab.spec(ONE, *SLEEPER), lambda: None)
        await asyncio.sleep(0.1)  # while it becomes another program, it has no marker
        assert lab.living(ONE) == 1
        other.close()
        await asyncio.sleep(0.1)
        assert lab.living(ONE) == 0

    attempt(scenario)
