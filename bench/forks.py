"""How soon a run of a hundred thousand events is forked, from the states that its dispatcher kept and without them."""

import asyncio
import shutil
import time
from pathlib import Path

from adapters.log_sqlite import SqliteLog
from adapters.state_cache import StateCache
from adapters.writer import GroupWriter
from bench import harness
from bench.controllers import frozen_inputs
from bench.harness import Row
from commands.forking import Wish, forked
from commands.home import STATE, Home
from commands.wiring import Runtime
from domain.advance import Happened, Tip, advance, appended, claimed
from domain.bounds import STATE_EVERY_EVENTS
from domain.events import (
    OutputAppended,
    Policy,
    Put,
    Recorded,
    RunStarted,
    TaskClaimed,
    TaskQueued,
    ToolExited,
    ToolStarted,
)
from domain.ids import text_of

EVENTS = 100_000
AT_ONCE = 100
URGENT_EVERY = 20
ROUNDS = 7
MS_MAX, BYTES_MAX = 50, 8 * 1024
TASK, RUN = f"{1:032x}", f"{2:032x}"


def measure() -> list[Row]:
    with harness.folder() as folder:
        home = folder / STATE
        asyncio.run(_tell(home))
        size = _size(home)
        kept = [_fork_ms(home, EVENTS) for _ in range(ROUNDS)]
        grown = _size(home) - size
        middle = [_fork_ms(home, EVENTS // 2) for _ in range(3)]
        without = []
        for _ in range(3):
            shutil.rmtree(home / "states")
            without.append(_fork_ms(home, EVENTS))
    ms = harness.median(kept)
    others = (
        f"without: {harness.median(without):,.0f} ms; in its middle, on to its end: {harness.median(middle):,.0f} ms"
    )
    return [
        Row(
            what=f"fork of a run of {EVENTS:,} events at its last decision, from kept states",
            target=f"< {MS_MAX} ms",
            measured=f"{ms:.0f} ms",
            floor=others,
            ok=ms < MS_MAX,
        ),
        Row(
            what="bytes that a fork keeps",
            target=f"< {BYTES_MAX} B",
            measured=f"{grown} B",
            ok=grown < BYTES_MAX,
        ),
    ]


def _size(home: Path) -> int:
    """All files but SQLite's shared memory, which is there while somebody reads."""
    return sum(each.stat().st_size for each in home.rglob("*") if each.is_file() and not each.name.endswith("-shm"))


def _fork_ms(home: Path, position: int) -> float:
    runtime = Runtime(Home(home, None, home.parent), "bench")
    runtime.readable.head()
    start_s = time.perf_counter()
    forked(runtime, RUN, Wish(str(position)))
    took_s = time.perf_counter() - start_s
    runtime.close()
    return took_s * 1_000


async def _tell(home: Path) -> None:
    """The run as a dispatcher writes it: facts with what the core made of them, and a state now and then."""
    log = SqliteLog(home, create=True)
    writer = GroupWriter(log)
    states = StateCache(home, log.hash_at)
    document = frozen_inputs()
    policy = Policy(
        outcome="exit", effect="idempotent", timeout_us=0, grace_us=0, output_bytes_max=1 << 40,
        backoff_base_us=0, backoff_max_us=0, exit_retryable=(), exit_permanent=(),
    )  # fmt: skip
    payload = text_of(b"{}")
    queued = TaskQueued(kind="k", source="bench", adapter="agent", payload=payload, priority=0, max_attempts=1)
    claim = TaskClaimed(run=RUN, epoch=1, attempt=1, max_attempts=1, dispatcher="d")
    events = [
        Recorded(stream=TASK, version=1, at_us=1, actor="bench", data=queued, correlation=TASK),
        Recorded(stream=TASK, version=2, at_us=2, actor="bench", data=claim, correlation=TASK),
    ]
    for event in events:
        await writer.submit(Put(events=(event,)))
    tip, since, offset = claimed(events[1]), 0, 0

    async def record(*happened: Happened) -> Tip:
        nonlocal since
        state, put = advance(tip, happened, at_us=time.time_ns() // 1_000, actor="bench")
        positions = await writer.submit(put)
        since += len(positions)
        if since >= STATE_EVERY_EVENTS:
            since = 0
            states.keep(states.generation(), RUN, [(positions[-1], state)])
        return appended(tip, state, put, positions)

    fact = RunStarted(
        program="controller", adapter="agent", bundle=text_of(b""), policy=policy, setup=text_of(document)
    )
    tip = await record(Happened(fact, None, "", {"setup": document}))
    tip = await record(Happened(ToolStarted(call=1, pid=1, start_ticks=1, boot_id="b")))
    while log.head().position < EVENTS:
        lines = [b"fatal: again\n" if at % URGENT_EVERY == 0 else b"a step is done\n" for at in range(AT_ONCE)]
        printed = []
        for line in lines:
            data = OutputAppended(call=1, stream="stdout", offset=offset, size=len(line), lines=1, digest="d" * 64)
            printed.append(Happened(data, line))
            offset += len(line)
        tip = await record(*printed)
    tip = await record(Happened(ToolExited(call=1, duration_us=1, exit_code=0, stdout_bytes=offset)))
    await asyncio.to_thread(writer.close)
    log.close()


if __name__ == "__main__":
    harness.main(measure)
