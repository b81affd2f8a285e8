"""A real dispatcher on a log of its own, wired as `rt work` wires it."""

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.log_sqlite import SqliteLog
from bench.story import store
from commands.dispatch import Dispatcher
from commands.home import CONFIG, STATE, Home
from commands.wiring import Runtime
from domain import intake
from domain.events import Blob, Put, Recorded


def runtime(folder: Path, config: str = "") -> Runtime:
    """A runtime with a new log in `folder`."""
    file = folder / CONFIG
    file.write_text(config)
    made = Runtime(Home(folder / STATE, file, folder), "bench")
    made.create_log()
    return made


def queue(made: Runtime, payload: dict[str, Any], count: int = 1) -> None:
    """Take in so many tasks that run this."""
    queue_document(made, {"kind": "command", "source": "bench", "payload": payload}, count)


def queue_document(made: Runtime, document: dict[str, Any], count: int = 1) -> None:
    """Take in so many tasks of this document."""
    puts = []
    for _ in range(count):
        accepted = intake.accept(document, made.config, 0)
        task = made.ids.new()
        event = Recorded(
            stream=task, version=1, at_us=made.clock.now_us(), actor=made.actor, data=accepted.event, correlation=task
        )
        puts.append(Put(events=(event,), blobs=(Blob(task, accepted.payload),)))
    store(made.log, puts)


async def dispatch(made: Runtime, concurrency: int) -> float:
    """Drive what is ready; the seconds from the first claim to the last durable end."""

    def watch(_events: Sequence[Recorded]) -> None:
        return

    def warn(text: str) -> None:
        raise AssertionError(text)

    async with made.world(watch, warn) as world:
        start_s = time.perf_counter()
        await Dispatcher(world, concurrency).work(until=lambda: not made.log.ready(made.clock.now_us(), 1))
        return time.perf_counter() - start_s


def drive(made: Runtime, concurrency: int) -> float:
    """See `dispatch`, in an event loop of its own."""
    return asyncio.run(dispatch(made, concurrency))


def completed(log: SqliteLog) -> int:
    """How many runs completed."""
    topics = [each.data.__struct_config__.tag for each in _all(log)]
    return topics.count("task.completed")


def _all(log: SqliteLog) -> list[Recorded]:
    found: list[Recorded] = []
    while page := log.read(found[-1].position if found else 0, 10_000):
        found += page
    return found


def toml(values: dict[str, Any]) -> str:
    """Tables of plain values."""
    lines = []
    for name, table in values.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"
