"""How fast events are appended, acknowledged when synced, compared with plain sqlite3 and the same bytes."""

import asyncio
import sqlite3
from pathlib import Path

import msgspec

from adapters.codec import Codec
from adapters.log_sqlite import SqliteLog
from adapters.writer import GroupWriter
from bench import harness
from bench.harness import Row
from bench.story import Teller
from domain.events import Put
from domain.ids import output_stream

ROUNDS = 9
SINGLES = 600
BATCHES = 60
BATCH = 100
SIDE_BY_SIDE = 48  # runs whose puts meet in a batch
RawEvent = tuple[str, int, str, bytes]


def measure() -> list[Row]:
    with harness.folder() as folder:
        bench = _Bench(folder)
        found = harness.rounds(
            ROUNDS,
            {
                "raw 1": lambda: bench.raw(singles=True, unique=False),
                "unique 1": lambda: bench.raw(singles=True, unique=True),
                "rt 1": lambda: bench.rt(singles=True),
                "raw 100": lambda: bench.raw(singles=False, unique=False),
                "unique 100": lambda: bench.raw(singles=False, unique=True),
                "rt 100": lambda: bench.rt(singles=False),
                "writer 1": lambda: bench.writer(1),
                "writer 8": lambda: bench.writer(8),
                "writer 64": lambda: bench.writer(64),
            },
        )
    rows = []
    for size, target in (("1", 0.50), ("100", 0.40)):
        each = f"{'one event' if size == '1' else '100 events'} a commit"
        ratio = harness.ratio(found[f"rt {size}"], found[f"raw {size}"])
        rows.append(
            Row(
                what=f"append, {each} ({bench.bytes_mean:.0f} B of JSON)",
                target=f">= {target:.2f} x raw",
                measured=harness.rate(harness.median(found[f"rt {size}"])),
                floor=f"sqlite3, one table: {harness.rate(harness.median(found[f'raw {size}']))}",
                ratio=ratio,
                ok=ratio >= target,
            )
        )
        rows.append(
            Row(
                what=f"the same, floor with UNIQUE(stream, version), {each}",
                measured=harness.rate(harness.median(found[f"rt {size}"])),
                floor=harness.rate(harness.median(found[f"unique {size}"])),
                ratio=harness.ratio(found[f"rt {size}"], found[f"unique {size}"]),
            )
        )
    rows += [
        Row(
            what=f"group commit, {count} submitters, each awaits its put",
            measured=harness.rate(harness.median(found[f"writer {count}"])),
            floor=f"sqlite3, one event a commit: {harness.rate(harness.median(found['raw 1']))}",
            ratio=harness.ratio(found[f"writer {count}"], found["raw 1"]),
        )
        for count in (1, 8, 64)
    ]
    return rows


class _Bench:
    """Fresh logs for each round, fed with the same sort of events."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._codec = Codec()
        self.bytes_mean = 0.0
        self._singles = [each for put in _lives(SINGLES) for each in _one_by_one(put)][:SINGLES]
        self._batches = _batches(_lives(BATCHES * BATCH + 2 * BATCH))[:BATCHES]
        sizes = [len(row[3]) for row in self._encoded(self._singles)]
        self.bytes_mean = sum(sizes) / len(sizes)

    def raw(self, *, singles: bool, unique: bool) -> float:
        rows = [[row] for row in self._encoded(self._singles)] if singles else list(map(self._encoded, self._batches))
        db = harness.raw_log(harness.empty(self._folder / "raw") / "raw.db", unique=unique)
        took_s = harness.timed(lambda: _raw(db, rows))
        db.close()
        return sum(map(len, rows)) / took_s

    def rt(self, *, singles: bool) -> float:
        works = [[put] for put in self._singles] if singles else self._batches
        log = SqliteLog(harness.empty(self._folder / "rt"), create=True)
        took_s = harness.timed(lambda: _append(log, works))
        events = log.head().position
        log.close()
        return events / took_s

    def writer(self, submitters: int) -> float:
        lives = _chains(max(16, submitters * 2) if submitters < 64 else 256)
        return asyncio.run(_submit(harness.empty(self._folder / "writer"), lives, submitters))

    def _encoded(self, puts: list[Put]) -> list[RawEvent]:
        return [(event.stream, event.version, *self._codec.encode(event)) for put in puts for event in put.events]


def _raw(db: sqlite3.Connection, batches: list[list[RawEvent]]) -> None:
    cursor = db.cursor()
    for rows in batches:
        cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany("INSERT INTO events(stream, version, topic, state) VALUES (?, ?, ?, ?)", rows)
        cursor.execute("COMMIT")


def _append(log: SqliteLog, works: list[list[Put]]) -> None:
    for batch in works:
        for result in log.append(batch):
            if isinstance(result, Exception):
                raise result


def _chains(count: int) -> list[list[Put]]:
    teller = Teller()
    return [[_bare(put) for put in teller.life()] for _ in range(count)]


def _lives(events: int) -> list[Put]:
    """Puts of runs side by side, so that a batch never holds two of one run; the last runs run out."""
    chains = _chains(events // 9 + SIDE_BY_SIDE)
    groups = [chains[at : at + SIDE_BY_SIDE] for at in range(0, len(chains), SIDE_BY_SIDE)]
    return [put for group in groups for step in zip(*group, strict=True) for put in step]


def _bare(put: Put) -> Put:
    """Events only: the floor has no texts and bodies either."""
    events = tuple(msgspec.structs.replace(event, body=None) for event in put.events)
    return msgspec.structs.replace(put, events=events, blobs=(), salts={})


def _one_by_one(put: Put) -> list[Put]:
    """The put's events one a put, each with its fence."""
    fence = dict(put.fence)
    made = []
    for event in put.events:
        made.append(Put(events=(msgspec.structs.replace(event, caused_by=max(0, event.caused_by)),), fence=dict(fence)))
        if event.stream in fence:
            fence[event.stream] = event.version
        assert "." not in event.stream or event.stream == output_stream(event.stream.partition(".")[0])
    return made


def _batches(puts: list[Put]) -> list[list[Put]]:
    made: list[list[Put]] = [[]]
    count = 0
    for put in puts:
        made[-1].append(put)
        count += len(put.events)
        if count >= BATCH:
            made.append([])
            count = 0
    return made[:-1]


async def _submit(folder: Path, lives: list[list[Put]], submitters: int) -> float:
    log = SqliteLog(folder, create=True)
    writer = GroupWriter(log)
    waiting = iter(lives)

    async def submitter() -> None:
        for life in waiting:
            for put in life:
                await writer.submit(put)

    loop = asyncio.get_running_loop()
    start_s = loop.time()
    await asyncio.gather(*(submitter() for _ in range(submitters)))
    took_s = loop.time() - start_s
    writer.close()
    events = log.head().position
    log.close()
    return events / took_s


if __name__ == "__main__":
    harness.main(measure)
