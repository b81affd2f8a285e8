"""How long a thousand runs of a dead dispatcher take until each is claimable again or ended."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from adapters.log_sqlite import SqliteLog
from adapters.process_table import boot_id
from bench import dispatcher, harness
from bench.harness import Row
from bench.story import Teller, store
from commands.recover import recover
from commands.wiring import Runtime
from domain.events import Put, Recorded

ROUNDS = 5
RUNS = 1_000
OUTPUTS = 2
SECONDS_MAX = 2.0
DEAD_PID = 4_194_303  # the last pid that Linux can give; the start time would not match either


def measure() -> list[Row]:
    with harness.folder() as folder:
        found = harness.rounds(
            ROUNDS,
            {"raw": lambda: _append(harness.empty(folder / "raw")), "rt": lambda: _recover(folder / "home")},
        )
    took_s = harness.median(found["rt"])
    return [
        Row(
            what=f"recovery of {RUNS:,} interrupted runs, each with a started call",
            target=f"< {SECONDS_MAX:.0f} s",
            measured=f"{took_s:.2f} s",
            floor=f"append the same three events a run, 256 runs a commit: {harness.median(found['raw']):.2f} s",
            ratio=harness.ratio(found["raw"], found["rt"]),
            ok=took_s < SECONDS_MAX,
        )
    ]


def _interrupted(teller: Teller) -> tuple[list[Put], Put]:
    """A run until it stands, and the put that would end it."""
    _, queued = teller.queued()
    tip, claim = teller.claimed(queued)
    tip, start = teller.started(tip, queued)
    tip, spawn = teller.spawned(tip, DEAD_PID)
    outputs = []
    for number in range(OUTPUTS):
        tip, output = teller.printed(tip, [b"working\n"], number * 8)
        outputs.append(output)
    _, end = teller.exited(tip, 1)
    teller.position -= len(end.events)
    return [queued, claim, start, spawn, *outputs], end


def _recover(folder: Path) -> float:
    runtime = dispatcher.runtime(harness.empty(folder))
    teller = Teller(boot_id=boot_id())
    store(runtime.log, [put for _ in range(RUNS) for put in _interrupted(teller)[0]])
    runtime.liveness.hold(teller.dispatcher)
    runtime.liveness.drop(teller.dispatcher)
    took_s = asyncio.run(_recovered(runtime.log, runtime))
    assert not runtime.log.running()
    waiting = runtime.log.ready(1 << 60, RUNS + 1)
    assert len(waiting) == RUNS, len(waiting)
    runtime.close()
    return took_s


async def _recovered(log: SqliteLog, runtime: Runtime) -> float:
    def watch(_events: Sequence[Recorded]) -> None:
        return

    def warn(text: str) -> None:
        raise AssertionError(text)

    async with runtime.world(watch, warn) as world:
        start_s = time.perf_counter()
        count = await recover(world, world.ids.new())
        took_s = time.perf_counter() - start_s
    assert count == RUNS, f"{count} of {len(log.running())}"
    return took_s


def _append(folder: Path) -> float:
    log = SqliteLog(folder, create=True)
    told = [_interrupted(teller) for teller in [Teller()] for _ in range(RUNS)]
    store(log, [put for puts, _ in told for put in puts])
    ends = [end for _, end in told]

    def work() -> None:
        for at in range(0, RUNS, 256):
            store(log, ends[at : at + 256])

    took_s = harness.timed(work)
    log.close()
    return took_s


if __name__ == "__main__":
    harness.main(measure)
