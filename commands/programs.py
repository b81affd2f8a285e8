"""A small program run to its end on behalf of the house: a sensor, a delivery. Bounded in time and output."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

from commands.world import World
from domain.bounds import KILL_S_MAX
from domain.bundle import BASE_ENV
from domain.ports import NotStarted, ProcessSpec

_GRACE_S = 1.0
_LOOK_S = 0.01
_STDERR_BYTES = 4_096


class Program(NamedTuple):
    """What is run."""

    argv: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    timeout_s: float
    bytes_max: int
    stdin: bytes = b""


class Ran(NamedTuple):
    """How it went: `cause` is empty for exit 0 in time and within bounds."""

    cause: str
    stdout: bytes
    stderr: bytes
    duration_us: int


async def run(world: World, program: Program) -> Ran:
    """Run it. Its whole tree has ended when this returns."""
    name = world.ids.new()
    changed = asyncio.Event()
    since_s = world.clock.monotonic_s()
    try:
        world.processes.spawn(
            ProcessSpec(call=name, argv=program.argv, cwd=program.cwd, env=dict(program.env), stdin=program.stdin),
            changed.set,
        )
    except NotStarted as problem:
        return Ran(problem.cause, b"", str(problem).encode()[-_STDERR_BYTES:], 0)
    try:
        return await _followed(world, program, name, changed, since_s)
    finally:
        world.processes.release(name)


async def _followed(world: World, program: Program, name: str, changed: asyncio.Event, since_s: float) -> Ran:
    stdout, stderr, cause, offset = bytearray(), bytearray(), "", 0
    while True:
        changed.clear()
        found = world.processes.read(name, offset)
        for piece in found.pieces:
            offset += len(piece.data)
            (stdout if piece.stream == "stdout" else stderr).extend(piece.data)
        del stderr[:-_STDERR_BYTES]
        left_s = since_s + program.timeout_s - world.clock.monotonic_s()
        if found.exit is not None:
            duration_us = int((world.clock.monotonic_s() - since_s) * 1_000_000)
            ended = f"signal:{found.exit.signal}" if found.exit.signal else f"exit:{found.exit.exit_code}"
            return Ran(cause or ("" if ended == "exit:0" else ended), bytes(stdout), bytes(stderr), duration_us)
        if not cause and (left_s <= 0 or len(stdout) > program.bytes_max):
            cause = "timeout" if left_s <= 0 else "too_much_output"
            world.processes.kill(name, _GRACE_S)
        del stdout[program.bytes_max + 1 :]
        handle = asyncio.get_running_loop().call_later(max(0.05, left_s), changed.set)
        try:
            await changed.wait()
        except asyncio.CancelledError:
            await _ended(world, name, offset)
            raise
        finally:
            handle.cancel()


async def _ended(world: World, name: str, offset: int) -> None:
    """End its whole tree now: nothing in the log names it, so nobody could later."""
    world.processes.kill(name, 0.0)
    until_s = world.clock.monotonic_s() + 2 * KILL_S_MAX
    while (found := world.processes.read(name, offset)).exit is None and world.clock.monotonic_s() < until_s:
        offset += sum(len(piece.data) for piece in found.pieces)
        await asyncio.sleep(_LOOK_S)


def environment(
    environ: Mapping[str, str], inherit: tuple[str, ...] = (), own: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The allow-listed environment of such a program."""
    names = {*BASE_ENV, *inherit}
    chosen = {name: value for name, value in environ.items() if name in names or name.startswith("LC_")}
    return chosen | dict(own or {})
