"""TL-2: what stands in the input of a tool arrives in the process byte by byte, whatever it looks like to a shell."""

import asyncio
import random
import sys
from collections.abc import Iterator

import pytest

from adapters.process import LocalProcesses
from domain import agents, tools
from domain.bounds import ARGUMENT_BYTES_MAX
from domain.calls import CallInput
from domain.ports import ProcessSpec
from domain.setup import Tool
from tests.agents import config

ARGUMENTS = 100_000
BATCH = 500
LONG_BYTES = 4_096
SOURCE = "import sys; sys.stdout.buffer.write(open('/proc/self/cmdline', 'rb').read())"  # as the kernel passed them
PROBE = ("-I", "-S", "-c", SOURCE)
LOCAL = Tool(name="local-process", kind="local-process")
NASTY = (
    "'\"`\\", " \t\n\r\v\f", "$(){}[]*?!#~&|;<>=%^", "-", "--", "-rf", "\x01\x1b\x7f", "\u00e4\u00df\u20ac\u2028",
    "\U0001f600\U0010ffff", "\u202e\u2066", "e\u0301\ufeff", "abc", "${HOME}", "$(reboot)", "%n%s", "@file", "*", ".",
    "/", "\\0",
)  # fmt: skip
WHOLE = ("", " ", "\n", "-", "--", "-c", "--help", "'", '"', "\\", "$HOME", "*", "~", "a\nb", "\u00a0", "\ufffd", "x=1")


def drawn(chance: random.Random, number: int) -> str:
    """The n-th argument: each class of character in turn, mixed with others, short, or 4 KiB long."""
    if number % 16 == 0:
        return WHOLE[number // 16 % len(WHOLE)]
    parts = [NASTY[number % len(NASTY)], *chance.choices(NASTY, k=chance.randrange(6))]
    chance.shuffle(parts)
    text = "".join(parts)
    if number % 400 == 1:  # at least one in each batch
        text = (text * LONG_BYTES).encode()[:LONG_BYTES].decode("utf-8", "ignore")
    return text


def batches(seed: int) -> Iterator[list[str]]:
    """All of them, in a new order for each seed."""
    chance = random.Random(seed)
    for first in range(0, ARGUMENTS, BATCH):
        yield [drawn(chance, number) for number in range(first, first + BATCH)]


def described(args: list[str]) -> CallInput:
    """What the tool makes of an input: the same way that a controller's wish goes."""
    setup = agents.setup(config(), "it", agents.Given(goal="g", cwd="/"))
    wanted = {"command": sys.executable, "args": [*PROBE, *args]}
    made = tools.describe(setup, LOCAL, tools.canonical(LOCAL, wanted))
    assert isinstance(made, CallInput)
    return made


async def arrived(processes: LocalProcesses, name: str, wanted: CallInput) -> list[bytes]:
    """The arguments that a probe was started with."""
    woken = asyncio.Event()
    processes.spawn(ProcessSpec(call=name, argv=wanted.argv, cwd=wanted.cwd, env={}), woken.set)
    read, ended = bytearray(), False
    while not ended:
        await asyncio.wait_for(woken.wait(), 20)
        woken.clear()
        output = processes.read(name, len(read))
        for piece in output.pieces:
            read += piece.data
        if output.exit is not None:
            assert output.exit.exit_code == 0, bytes(read)
            ended = True
    processes.release(name)
    return bytes(read).split(b"\0")[1 + len(PROBE) : -1]


def test_a_hundred_thousand_arguments_arrive_byte_by_byte() -> None:
    async def story() -> int:
        processes, seen = LocalProcesses(), 0
        try:
            for number, args in enumerate(batches(seed=1)):
                found = await arrived(processes, f"run-{number}", described(args))
                assert found == [each.encode() for each in args], f"batch {number}"
                seen += len(found)
        finally:
            processes.close()
        return seen

    assert asyncio.run(story()) == ARGUMENTS


def test_the_arguments_are_as_nasty_as_they_claim() -> None:
    """Of each class many, in each place."""
    everything = [each for args in batches(seed=1) for each in args]
    assert all(sum(part in each for each in everything) > 1_000 for part in NASTY)
    assert all(everything.count(each) > 100 for each in WHOLE)
    assert sum(each.startswith("-") for each in everything) > 5_000
    assert sum(LONG_BYTES - 4 < len(each.encode()) <= LONG_BYTES for each in everything) >= 200
    assert all("\0" not in each and len(each.encode()) <= ARGUMENT_BYTES_MAX for each in everything)


def test_one_argument_of_the_largest_size_arrives_and_a_larger_one_is_refused() -> None:
    async def story() -> None:
        processes = LocalProcesses()
        try:
            largest = "x" * ARGUMENT_BYTES_MAX
            assert await arrived(processes, "run-1", described([largest])) == [largest.encode()]
        finally:
            processes.close()

    asyncio.run(story())
    with pytest.raises(tools.WrongInput):
        described(["x" * (ARGUMENT_BYTES_MAX + 1)])
