"""Real processes of this machine, polite and hostile: what a call starts ends with the call, and nothing else does."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from adapters import own_children
from adapters import process_table as table
from adapters.process import LocalProcesses
from domain.bounds import BUFFERED_BYTES_MAX, DRAIN_S, KILL_S_MAX, READ_BYTES_MAX
from domain.ports import Exit, NotStarted, ProcessIdentity, ProcessSpec
from tests.adapters.children import ROOT

Result = TypeVar("Result")
ENV = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}

# Trees that do not want to end. Each writes the pids of its members to the file that it is given.
NOTE = """
import os, signal, sys, time
def note(*pids):
    with open(sys.argv[1], "a") as file:
        file.write("".join(f"{pid}\\n" for pid in pids or (os.getpid(),)))
def ignore():
    signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.signal(signal.SIGHUP, signal.SIG_IGN)
def close():
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2): os.dup2(null, number)
def stay():
    note(); time.sleep(60); os._exit(0)
def bare():
    note(); os.execve("/bin/sleep", ["sleep", "60"], {})
"""
TREES = {
    "setsid grandchild": """
if os.fork() == 0:
    os.setsid(); ignore(); close(); stay()
""",
    "double-forked orphan": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: ignore(); close(); stay()
    os._exit(0)
os.wait()
""",
    "orphan with cleared environment": """
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: ignore(); close(); bare()
    os._exit(0)
os.wait()
""",
    "three generations of orphans": """
def spread(depth):
    if os.fork() == 0:
        os.setsid(); ignore(); close()
        if depth: spread(depth - 1)
        stay()
spread(3)
""",
    "background child in the same session": """
if os.fork() == 0: ignore(); close(); stay()
""",
    "child that holds the pipe": """
if os.fork() == 0: ignore(); stay()
""",
}
WAITS = "\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.005)\ntime.sleep(0.1)\n"
GOES = WAITS + "sys.exit(3)\n"
STAYS = WAITS + "ignore(); note(); print('up', flush=True); time.sleep(60)\n"


class Shell:
    """A dispatcher's hands for a test: starts calls and reads them to their end."""

    def __init__(self) -> None:
        self.processes = LocalProcesses()
        self.woken: dict[str, asyncio.Event] = {}
        self.read: dict[str, dict[str, bytes]] = {}

    def start(
        self, *argv: str, call: str = "run-1", env: dict[str, str] | None = None, cwd: str = "/"
    ) -> ProcessIdentity:
        self.woken[call] = asyncio.Event()
        self.read[call] = {"stdout": b"", "stderr": b""}
        spec = ProcessSpec(call=call, argv=argv, cwd=cwd, env=ENV if env is None else env)
        return self.processes.spawn(spec, self.woken[call].set)

    def python(self, source: str, *arguments: object, call: str = "run-1") -> ProcessIdentity:
        return self.start(sys.executable, "-c", NOTE + source, *map(str, arguments), call=call)

    async def until(self, call: str, enough: Callable[[dict[str, bytes]], bool]) -> Exit | None:
        """Read until there is enough, or the end."""
        while True:
            await asyncio.wait_for(self.woken[call].wait(), 20)
            self.woken[call].clear()
            offset = sum(map(len, self.read[call].values()))
            output = self.processes.read(call, offset)
            for piece in output.pieces:
                self.read[call][piece.stream] += piece.data
            if output.exit is not None or enough(self.read[call]):
                return output.exit

    async def end(self, call: str = "run-1") -> Exit:
        found = await self.until(call, lambda _: False)
        assert found is not None
        self.processes.release(call)
        return found


def driven(story: Callable[[Shell], Awaitable[Result]]) -> Result:
    """Run a story with a dispatcher of its own."""

    async def run() -> Result:
        shell = Shell()
        try:
            return await story(shell)
        finally:
            shell.processes.close()

    return asyncio.run(run())


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def alive(*found: int) -> list[int]:
    """Which of these processes still run."""
    return [pid for pid in found if (entry := table.entry(pid)) is not None and not entry.zombie]


def descriptors() -> int:
    """The pipes and process descriptors that this process has open."""
    found = 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names only
        with contextlib.suppress(OSError):  # the descriptor of the listing itself
            found += os.readlink(f"/proc/self/fd/{name}").startswith(("pipe:", "anon_inode:[pidfd]"))  # noqa: PTH115
    return found


def children(*, zombies: bool) -> list[table.Entry]:
    entries = [entry for pid in table.pids() if (entry := table.entry(pid)) is not None]
    return [entry for entry in entries if entry.parent == os.getpid() and entry.zombie is zombies]


@pytest.fixture
def noted(tmp_path: Path) -> Iterator[Path]:
    """The file with the pids of a hostile tree; whatever survives a failing test is ended here."""
    path = tmp_path / "pids"
    yield path
    for pid in alive(*pids(path)):
        os.kill(pid, signal.SIGKILL)


# a polite call


def test_both_streams_arrive_apart_and_the_exit_code_with_them() -> None:
    async def story(shell: Shell) -> None:
        shell.start("/bin/sh", "-c", "echo out; echo err >&2; exit 7")
        end = await shell.end()
        assert (end.exit_code, end.signal, end.killed, end.escaped, end.drain_cut) == (7, "", 0, (), False)
        assert shell.read["run-1"] == {"stdout": b"out\n", "stderr": b"err\n"}

    driven(story)


def test_the_identity_names_the_process_and_its_session() -> None:
    async def story(shell: Shell) -> None:
        identity = shell.start("sleep", "60")
        found = table.entry(identity.pid)
        assert found is not None
        assert (found.start, found.session, found.parent) == (identity.start_ticks, identity.pid, os.getpid())
        assert identity.boot_id == table.boot_id()
        shell.processes.kill("run-1", 5)
        assert (await shell.end()).signal == "SIGTERM"

    driven(story)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR1, signal.SIGRTMIN + 1])
def test_a_signal_has_its_name_and_no_code(number: int) -> None:
    async def story(shell: Shell) -> None:
        shell.start("/bin/sh", "-c", f"ulimit -c 0; kill -{int(number)} $$")
        end = await shell.end()
        assert end.exit_code is None
        assert end.signal == (signal.Signals(number).name if number < signal.SIGRTMIN else f"SIG{int(number)}")

    driven(story)


def test_the_environment_is_the_given_one_and_the_marker() -> None:
    async def story(shell: Shell) -> None:
        shell.start("/usr/bin/env", env={"A": "1"}, call="run-9")
        await shell.end("run-9")
        assert sorted(shell.read["run-9"]["stdout"].split()) == [b"A=1", b"RT_CALL=run-9"]

    driven(story)


def test_a_call_gets_nothing_on_stdin_and_no_descriptor_of_ours(tmp_path: Path) -> None:
    async def story(shell: Shell) -> None:
        with (tmp_path / "ours").open("w") as ours:
            os.set_inheritable(ours.fileno(), False)  # noqa: FBT003  # the function's signature
            shell.start("/bin/sh", "-c", "cat; ls -l /proc/self/fd | grep -c ours; exit 0")
            await shell.end()
        assert shell.read["run-1"]["stdout"] == b"0\n"

    driven(story)


def test_arguments_arrive_as_they_are() -> None:
    awkward = ["", " ", "$HOME", "`id`", "a\nb", "';\"", "--", "*", "ü☃", "\\"]

    async def story(shell: Shell) -> None:
        shell.start(sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))", *awkward)
        await shell.end()
        assert json.loads(shell.read["run-1"]["stdout"]) == awkward

    driven(story)


def test_the_call_runs_in_its_folder(tmp_path: Path) -> None:
    async def story(shell: Shell) -> None:
        shell.start("pwd", "-P", cwd=str(tmp_path))
        await shell.end()
        assert shell.read["run-1"]["stdout"].decode().strip() == os.path.realpath(tmp_path)  # noqa: ASYNC240  # nothing else waits

    driven(story)


# what cannot be started


@pytest.mark.parametrize(
    ("argv", "cause"),
    [
        (("/no/such/command",), "command_not_found"),
        (("no-such-command-anywhere",), "command_not_found"),
        (("/etc/passwd/x",), "command_not_found"),
        (("/etc/passwd",), "not_executable"),
        (("/etc",), "not_executable"),
        (("echo", "x" * 131_072), "argument_too_large"),
        (("echo", *["x" * 100_000] * 40), "argument_too_large"),
        (("echo", "nul\0byte"), "command_not_found"),
    ],
    ids=lambda given: str(given)[:30],
)
def test_what_cannot_be_started_says_why_and_leaves_nothing(argv: tuple[str, ...], cause: str) -> None:
    async def story(shell: Shell) -> None:
        open_before = descriptors()
        with pytest.raises(NotStarted) as problem:
            shell.start(*argv)
        assert problem.value.cause == cause
        assert descriptors() == open_before

    driven(story)


def test_a_script_that_names_no_interpreter_is_not_executable(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo hello\n")
    script.chmod(0o755)

    async def story(shell: Shell) -> None:
        with pytest.raises(NotStarted) as problem:
            shell.start(str(script))
        assert problem.value.cause == "not_executable"

    driven(story)


@pytest.mark.parametrize("cwd", ["/no/such/folder", "/etc/passwd"])
def test_a_missing_folder_is_named(cwd: str) -> None:
    async def story(shell: Shell) -> None:
        with pytest.raises(NotStarted) as problem:
            shell.start("true", cwd=cwd)
        assert problem.value.cause == "cwd_missing"
        assert cwd in str(problem.value)

    driven(story)


def test_a_call_that_was_not_started_may_be_started_again() -> None:
    async def story(shell: Shell) -> None:
        with pytest.raises(NotStarted):
            shell.start("/no/such/command")
        shell.start("true")
        assert (await shell.end()).exit_code == 0

    driven(story)


def test_a_lack_of_descriptors_is_a_lack_of_resources() -> None:
    """Also when they run out between two steps of a start; nothing may be left running or open."""
    source = """
import asyncio, os, resource, sys
sys.path.insert(0, sys.argv[2])
from adapters.process import LocalProcesses
from domain.ports import NotStarted, ProcessSpec
async def main():
    processes = LocalProcesses()
    held = len(os.listdir("/proc/self/fd")) - 1
    causes = set()
    for room in range(12):
        resource.setrlimit(resource.RLIMIT_NOFILE, (held + room, 4096))
        try:
            processes.spawn(ProcessSpec(call=f"c-{room}", argv=("true",), cwd="/", env={"PATH": "/bin"}), lambda: None)
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
            causes.add("started")
            break
        except NotStarted as problem:
            causes.add(problem.cause)
        except OSError as problem:
            causes.add(type(problem).__name__ + " escaped")
        resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
        assert len(os.listdir("/proc/self/fd")) - 1 == held, f"leaked with room for {room}"
    processes.close()
    print(sorted(causes))
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", source, "", str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['out_of_resources', 'started']\n"


# output


def test_a_mebibyte_arrives_complete() -> None:
    async def story(shell: Shell) -> None:
        shell.python("sys.stdout.buffer.write(bytes(range(256)) * 4096); sys.stderr.buffer.write(b'e' * 70_000)")
        assert (await shell.end()).exit_code == 0
        assert shell.read["run-1"] == {"stdout": bytes(range(256)) * 4096, "stderr": b"e" * 70_000}

    driven(story)


def test_who_is_not_read_is_held_back_and_then_completes(tmp_path: Path) -> None:
    """The child says how much it got rid of; the dispatcher holds no more than its bound."""
    progress = tmp_path / "progress"
    source = """
with open(sys.argv[1], "w") as file:
    for number in range(256):
        os.write(1, bytes([number]) * 65536)
        file.seek(0); file.write(f"{number + 1:3}"); file.flush()
"""

    async def story(shell: Shell) -> None:
        shell.python(source, progress)
        seen = -1
        while (now := int(progress.read_text() or 0) if progress.exists() else 0) != seen or not now:
            seen = now
            await asyncio.sleep(0.3)
        taken = seen * 65536
        assert taken <= BUFFERED_BYTES_MAX + READ_BYTES_MAX + 2 * 256 * 1024
        first = shell.processes.read("run-1", 0)
        assert first.exit is None
        assert sum(len(piece.data) for piece in first.pieces) <= BUFFERED_BYTES_MAX + READ_BYTES_MAX
        for piece in first.pieces:
            shell.read["run-1"][piece.stream] += piece.data
        assert (await shell.end()).exit_code == 0
        assert shell.read["run-1"]["stdout"] == b"".join(bytes([number]) * 65536 for number in range(256))

    driven(story)


def test_what_was_printed_before_the_end_arrives_also_when_nobody_read_until_then() -> None:
    async def story(shell: Shell) -> None:
        shell.python("os.write(1, b'x' * 60_000)")
        await asyncio.sleep(0.3)
        assert (await shell.end()).exit_code == 0
        assert shell.read["run-1"]["stdout"] == b"x" * 60_000

    driven(story)


def test_a_closed_pipe_is_not_the_end_of_the_call() -> None:
    async def story(shell: Shell) -> None:
        shell.python("os.close(1); os.close(2); time.sleep(0.2); os._exit(5)")
        assert (await shell.end()).exit_code == 5

    driven(story)


# ending


def test_who_obeys_term_has_the_time_to_say_goodbye() -> None:
    source = """
def bye(*_):
    os.write(1, b"bye\\n"); os._exit(9)
signal.signal(signal.SIGTERM, bye); os.write(1, b"up\\n"); time.sleep(60)
"""

    async def story(shell: Shell) -> None:
        shell.python(source)
        await shell.until("run-1", lambda read: b"up" in read["stdout"])
        shell.processes.kill("run-1", 5)
        end = await shell.end()
        assert (end.exit_code, shell.read["run-1"]["stdout"]) == (9, b"up\nbye\n")

    driven(story)


def test_who_ignores_term_is_killed_within_two_seconds_after_the_grace() -> None:
    async def story(shell: Shell) -> None:
        shell.python("ignore(); print('up', flush=True); time.sleep(60)")
        await shell.until("run-1", lambda read: b"up" in read["stdout"])
        began_s = time.monotonic()
        shell.processes.kill("run-1", 0.3)
        end = await shell.end()
        assert end.signal == "SIGKILL"
        assert 0.3 <= time.monotonic() - began_s <= 0.3 + KILL_S_MAX

    driven(story)


def test_a_stopped_process_is_killed_too() -> None:
    async def story(shell: Shell) -> None:
        identity = shell.python("print('up', flush=True); time.sleep(60)")
        await shell.until("run-1", lambda read: b"up" in read["stdout"])
        os.kill(identity.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, identity.pid, os.WSTOPPED | os.WNOWAIT)  # noqa: ASYNC222  # at once
        shell.processes.kill("run-1", 0.2)
        assert (await shell.end()).signal == "SIGKILL"

    driven(story)


@pytest.mark.parametrize("tree", TREES)
def test_nothing_of_a_call_survives_its_own_end(tree: str, noted: Path) -> None:
    async def story(shell: Shell) -> Exit:
        shell.python(TREES[tree] + GOES, noted)
        return await shell.end()

    began_s = time.monotonic()
    end = driven(story)
    assert (end.exit_code, end.escaped) == (3, ())
    assert pids(noted)
    assert alive(*pids(noted)) == []
    assert end.killed >= 1
    assert time.monotonic() - began_s <= DRAIN_S + KILL_S_MAX + 1


@pytest.mark.parametrize("tree", TREES)
def test_nothing_of_a_call_survives_its_kill(tree: str, noted: Path) -> None:
    async def story(shell: Shell) -> tuple[Exit, float]:
        shell.python(TREES[tree] + STAYS, noted)
        await shell.until("run-1", lambda read: b"up" in read["stdout"])
        began_s = time.monotonic()
        shell.processes.kill("run-1", 0.2)
        return await shell.end(), time.monotonic() - began_s

    end, took_s = driven(story)
    assert (end.signal, end.escaped) == ("SIGKILL", ())
    assert len(pids(noted)) >= 2
    assert alive(*pids(noted)) == []
    assert took_s <= 0.2 + KILL_S_MAX


def test_a_held_pipe_ends_the_call_after_the_drain_and_is_recorded(noted: Path) -> None:
    async def story(shell: Shell) -> tuple[Exit, float]:
        shell.python("print('mine', flush=True)\n" + TREES["child that holds the pipe"] + GOES, noted)
        began_s = time.monotonic()
        return await shell.end(), time.monotonic() - began_s

    end, took_s = driven(story)
    assert end.exit_code == 3
    assert end.drain_cut or end.killed
    assert took_s <= DRAIN_S + KILL_S_MAX + 0.5


def test_the_duration_is_the_leaders_and_not_the_drains(noted: Path) -> None:
    async def story(shell: Shell) -> Exit:
        shell.python(TREES["child that holds the pipe"] + GOES, noted)
        return await shell.end()

    assert driven(story).duration_us < DRAIN_S * 1_000_000


def test_a_tree_that_keeps_forking_is_ended(noted: Path) -> None:
    source = """
def breed():
    while True:
        ignore(); note()
        if os.fork(): os._exit(0)
        os.setsid(); time.sleep(0.01)
if os.fork() == 0: close(); breed()
"""

    async def story(shell: Shell) -> Exit:
        shell.python(source + STAYS, noted)
        await shell.until("run-1", lambda read: b"up" in read["stdout"])
        shell.processes.kill("run-1", 0)
        return await shell.end()

    end = driven(story)
    assert end.escaped == ()
    assert alive(*pids(noted)) == []


# calls side by side


def test_ending_one_call_leaves_the_others_alone(tmp_path: Path, noted: Path) -> None:
    async def story(shell: Shell) -> None:
        shell.python(TREES["double-forked orphan"] + STAYS, noted, call="bad-1")
        shell.python(
            "print('up', flush=True)\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.01)\nprint('done')",
            tmp_path / "go",
            call="good-1",
        )
        await shell.until("bad-1", lambda read: b"up" in read["stdout"])
        await shell.until("good-1", lambda read: b"up" in read["stdout"])
        shell.processes.kill("bad-1", 0)
        bad = await shell.end("bad-1")
        (tmp_path / "go").touch()
        good = await shell.end("good-1")
        assert bad.signal == "SIGKILL"
        assert (good.exit_code, good.signal, good.killed) == (0, "", 0)
        assert shell.read["good-1"]["stdout"] == b"up\ndone\n"

    driven(story)


@pytest.mark.parametrize("other_first", [True, False], ids=["beside an older call", "beside a younger call"])
def test_an_orphan_of_a_running_call_is_not_taken_for_one_of_another(
    tmp_path: Path, noted: Path, *, other_first: bool
) -> None:
    """A daemon of one call, without marker and session, must live while its call does and end with it."""
    daemon = TREES["orphan with cleared environment"] + WAITS
    daemon += "print('up', flush=True)\nwhile not os.path.exists(sys.argv[2]): time.sleep(0.01)\n"

    async def story(shell: Shell) -> None:
        if other_first:
            shell.start("sleep", "60", call="other-1")
        shell.python(daemon, noted, tmp_path / "go", call="daemon-1")
        await shell.until("daemon-1", lambda read: b"up" in read["stdout"])
        if not other_first:
            shell.start("sleep", "60", call="other-1")
        shell.processes.kill("other-1", 0)
        assert (await shell.end("other-1")).killed == 0
        assert alive(*pids(noted)) == pids(noted)
        (tmp_path / "go").touch()
        assert (await shell.end("daemon-1")).exit_code == 0
        assert alive(*pids(noted)) == []

    driven(story)


def test_orphans_that_could_be_anybodys_are_gone_when_all_calls_are_over(tmp_path: Path) -> None:
    async def story(shell: Shell) -> None:
        for number in range(3):
            shell.python(TREES["orphan with cleared environment"] + GOES, tmp_path / f"{number}", call=f"c-{number}")
        for number in range(3):
            assert (await shell.end(f"c-{number}")).exit_code == 3

    driven(story)
    for number in range(3):
        assert pids(tmp_path / f"{number}")
        assert alive(*pids(tmp_path / f"{number}")) == []


def test_a_child_of_the_dispatcher_that_is_no_call_is_left_alone() -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:

        async def story(shell: Shell) -> None:
            await asyncio.sleep(0.05)
            shell.python(STAYS, "/dev/null")
            await shell.until("run-1", lambda read: b"up" in read["stdout"])
            shell.processes.kill("run-1", 0)
            await shell.end()

        driven(story)
        assert alive(bystander.pid) == [bystander.pid]
    finally:
        bystander.kill()
        bystander.wait()


def test_fifty_hostile_trees_in_a_row_leave_nothing_behind(tmp_path: Path) -> None:
    kinds = [each for each in TREES if each != "child that holds the pipe"]  # they take their drain each
    before = children(zombies=False)  # of other tests

    async def story(shell: Shell) -> None:
        for number in range(50):
            shell.python(TREES[kinds[number % len(kinds)]] + STAYS, tmp_path / f"{number}", call=f"c-{number}")
            if number % 5 == 4:
                for call in [f"c-{each}" for each in range(number - 4, number + 1)]:
                    await shell.until(call, lambda read: b"up" in read["stdout"])
                    shell.processes.kill(call, 0)
                for call in [f"c-{each}" for each in range(number - 4, number + 1)]:
                    end = await shell.end(call)
                    assert (end.signal, end.escaped) == ("SIGKILL", ())
        assert children(zombies=False) == before
        open_before = descriptors()
        shell.start("true")
        await shell.end()
        assert descriptors() == open_before
        assert children(zombies=True) == []

    driven(story)
    for path in tmp_path.iterdir():
        assert alive(*pids(path)) == []


def test_no_zombie_stays_when_the_last_call_is_over(noted: Path) -> None:
    async def story(shell: Shell) -> None:
        shell.python(TREES["three generations of orphans"] + STAYS, noted)
        await shell.until("run-1", lambda read: b"up" in read["stdout"])
        shell.processes.kill("run-1", 0)
        await shell.end()
        assert children(zombies=True) == []

    driven(story)


def test_closing_ends_what_runs(noted: Path) -> None:
    async def story(shell: Shell) -> None:
        shell.python(TREES["setsid grandchild"] + STAYS, noted)
        await shell.until("run-1", lambda read: b"up" in read["stdout"])

    driven(story)
    assert len(pids(noted)) == 2
    time.sleep(0.05)  # the kernel ends them when it gets to it
    assert alive(*pids(noted)) == []


# after a dispatcher's death

DEAD = f"dead-{os.getpid()}"  # the sweep of another worker of the tests finds it by its name else

DISPATCHER = """
import asyncio, json, os, sys
from adapters.process import LocalProcesses
from domain.ports import ProcessSpec
async def main():
    processes = LocalProcesses()
    found = {}
    for number in range(2):
        argv = (*sys.argv[1:3], sys.argv[3] + str(number))
        spec = ProcessSpec(call=f"{sys.argv[4]}-{number}", argv=argv, cwd="/", env=dict(PATH=os.environ["PATH"]))
        identity = processes.spawn(spec, lambda: None)
        found[spec.call] = [identity.pid, identity.start_ticks, identity.boot_id]
    print(json.dumps(found), flush=True)
    while True:
        await asyncio.sleep(0.05)
asyncio.run(main())
"""


@pytest.fixture
def dead(tmp_path: Path) -> Iterator[dict[str, ProcessIdentity]]:
    """Two calls of a dispatcher that was killed; each is a leader with a grandchild in a session of its own."""
    source = NOTE + TREES["setsid grandchild"] + STAYS
    helper = tmp_path / "tree.py"
    helper.write_text(source.replace("print('up', flush=True); ", ""))
    dispatcher = subprocess.Popen(
        [sys.executable, "-c", DISPATCHER, sys.executable, str(helper), str(tmp_path / "pids"), DEAD],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert dispatcher.stdout is not None
    told = json.loads(dispatcher.stdout.readline())
    paths = [Path(f"{tmp_path}/pids{number}") for number in range(2)]
    until_s = time.monotonic() + 10
    while any(len(pids(path)) < 2 for path in paths) and time.monotonic() < until_s:
        time.sleep(0.01)
    dispatcher.kill()
    dispatcher.wait()
    dispatcher.stdout.close()
    yield {call: ProcessIdentity(pid=each[0], start_ticks=each[1], boot_id=each[2]) for call, each in told.items()}
    for path in paths:
        for pid in alive(*pids(path)):
            os.kill(pid, signal.SIGKILL)


def swept(calls: dict[str, ProcessIdentity | None]) -> dict[str, int]:
    async def story(shell: Shell) -> dict[str, int]:
        return await shell.processes.sweep(calls)

    return driven(story)


def test_left_overs_of_a_dead_dispatcher_are_swept(dead: dict[str, ProcessIdentity], tmp_path: Path) -> None:
    members = [pid for number in range(2) for pid in pids(tmp_path / f"pids{number}")]
    assert sorted(alive(*members)) == sorted(members)
    assert swept(dict(dead)) == {f"{DEAD}-0": 2, f"{DEAD}-1": 2}
    assert alive(*members) == []


def test_a_sweep_goes_by_the_marker_where_no_process_was_recorded(
    dead: dict[str, ProcessIdentity], tmp_path: Path
) -> None:
    assert swept(dict.fromkeys(dead)) == {f"{DEAD}-0": 2, f"{DEAD}-1": 2}
    assert alive(*pids(tmp_path / "pids0"), *pids(tmp_path / "pids1")) == []


def test_a_sweep_ends_the_named_calls_and_nothing_else(dead: dict[str, ProcessIdentity], tmp_path: Path) -> None:
    bystander = subprocess.Popen(["sleep", "60"], env={"RT_CALL": "alive-0"})
    assert swept({f"{DEAD}-0": dead[f"{DEAD}-0"]}) == {f"{DEAD}-0": 2}
    assert alive(*pids(tmp_path / "pids0")) == []
    assert len(alive(*pids(tmp_path / "pids1"))) == 2
    assert alive(bystander.pid) == [bystander.pid]
    bystander.kill()
    bystander.wait()


def test_a_recorded_pid_that_another_process_has_now_is_not_touched() -> None:
    stranger = subprocess.Popen(["sleep", "60"], start_new_session=True)
    found = table.entry(stranger.pid)
    assert found is not None
    older = ProcessIdentity(pid=stranger.pid, start_ticks=found.start - 1, boot_id=table.boot_id())
    other_boot = ProcessIdentity(pid=stranger.pid, start_ticks=found.start, boot_id="another boot")
    assert swept({"a-1": older, "b-1": other_boot}) == {}
    assert alive(stranger.pid) == [stranger.pid]
    stranger.kill()
    stranger.wait()


def test_a_sweep_without_left_overs_ends_nothing() -> None:
    assert swept({"nobody-1": None}) == {}


def test_a_signal_never_hits_a_successor() -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    found = table.entry(stranger.pid)
    assert found is not None
    table.send(found._replace(start=found.start + 1), signal.SIGKILL)
    assert alive(stranger.pid) == [stranger.pid]
    table.send(found, signal.SIGKILL)
    stranger.wait()
    table.send(found, signal.SIGKILL)  # gone: nothing happens


def test_a_call_cannot_be_adopted_because_its_pipes_died_with_its_dispatcher() -> None:
    async def story(shell: Shell) -> bool:
        identity = ProcessIdentity(pid=os.getpid(), start_ticks=1, boot_id="b")
        return shell.processes.adopt("c", identity, lambda: None)

    assert driven(story) is False


def test_a_helper_of_the_dispatcher_is_nobodys_stray_and_keeps_its_exit_status() -> None:
    """Git and the like run beside calls: what ends or is ended there leaves them alone, and their zombies too."""

    def helper(seconds: str) -> int | None:
        argv = ["/bin/sh", "-c", f"sleep {seconds}; exit 7"]
        return own_children.run(argv, {"PATH": "/usr/bin:/bin"}, timeout_s=10, out_max=0).code

    async def story(shell: Shell) -> tuple[Exit, list[int | None]]:
        shell.start("sleep", "0.3")
        short, long = (asyncio.create_task(asyncio.to_thread(helper, each)) for each in ("0.1", "0.8"))
        ended = await shell.end()
        return ended, [await short, await long]

    ended, codes = driven(story)
    assert (ended.exit_code, ended.killed, ended.escaped) == (0, 0, ())
    assert codes == [7, 7]
