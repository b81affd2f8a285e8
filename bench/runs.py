"""Runs of `true` end to end, every state change durable, compared with nothing but spawning `true`."""

import asyncio
from pathlib import Path

from bench import dispatcher, harness
from bench.harness import Row

ROUNDS = 7
RUNS = 240
CONCURRENCY = 8
RATIO_MIN = 0.35


def measure() -> list[Row]:
    with harness.folder() as folder:
        harness.rounds(1, {"bare": lambda: asyncio.run(_bare()), "rt": lambda: _rt(folder)})  # warm
        found = harness.rounds(ROUNDS, {"bare": lambda: asyncio.run(_bare()), "rt": lambda: _rt(folder)})
    bare, rt = harness.median(found["bare"]), harness.median(found["rt"])
    ratio = harness.ratio(found["rt"], found["bare"])
    return [
        Row(
            what=f"runs of `true`, {CONCURRENCY} side by side, every state change durable",
            target=f">= {RATIO_MIN} x bare, {350} runs/s where bare reaches 1,000",
            measured=f"{rt:.0f} runs/s",
            floor=f"bare asyncio spawn with pipes: {bare:.0f}/s",
            ratio=ratio,
            ok=ratio >= RATIO_MIN,
        )
    ]


def _rt(folder: Path) -> float:
    runtime = dispatcher.runtime(harness.empty(folder / "home"))
    dispatcher.queue(runtime, {"argv": ["true"]}, RUNS)
    took_s = dispatcher.drive(runtime, CONCURRENCY)
    assert dispatcher.completed(runtime.log) == RUNS
    runtime.close()
    return RUNS / took_s


async def _bare() -> float:
    slots = asyncio.Semaphore(CONCURRENCY)
    pipe = asyncio.subprocess.PIPE

    async def one() -> None:
        async with slots:
            process = await asyncio.create_subprocess_exec(
                "true", stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
            )
            await process.communicate()

    loop = asyncio.get_running_loop()
    start_s = loop.time()
    await asyncio.gather(*(one() for _ in range(RUNS)))
    return RUNS / (loop.time() - start_s)


if __name__ == "__main__":
    harness.main(measure)
