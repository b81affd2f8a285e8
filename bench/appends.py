"""How fast events are appended, acknowledged when synced, compared with plain sqlite3 and the same bytes."""

import asyncio
import functools
import sqlite3
from pathlib import Path

import msgspec

from adapters.codec import Codec
from adapters.log_sqlite import SqliteLog
from adapters.writer import GroupWriter
from bench import harness, stock
from bench.harness import Row
from bench.story import LINE, Teller
from domain.events import Put
from domain.ids import output_stream

ROUNDS = 9
SINGLES = 600
BATCHES = 60
BATCH = 100
ONE, PUT, MIXED = "one event a commit", "a put of 100 events", "66 puts of 48 runs, 100 events a commit"
SIDE_BY_SIDE = 48  # runs whose puts meet in a batch
RawEvent = tuple[str, int, str, bytes]


def measure() -> list[Row]:
    with harness.folder() as folder:
        bench = _Bench(folder)
        found = harness.rounds(
            ROUNDS,
            {
                **{
                    f"{how} {name}": functools.partial(measured, works)
                    for name, works in bench.shapes.items()
                    for how, measured in (("raw", bench.raw), ("unique", bench.unique), ("rt", bench.rt))
                },
                "stock": bench.stock,
                "writer 1": lambda: bench.writer(1),
                "writer 8": lambda: bench.writer(8),
                "writer 64": lambda: bench.writer(64),
            },
        )
    rows = []
    for name, target in ((ONE, 0.50), (PUT, 0.40), (MIXED, None)):
        ratio = harness.ratio(found[f"rt {name}"], found[f"raw {name}"])
        rows.append(
            Row(
                what=f"append, {name} ({bench.bytes_mean(name):.0f} B of JSON)",
                target="" if target is None else f">= {target:.2f} x raw",
                measured=harness.rate(harness.median(found[f"rt {name}"])),
                floor=f"sqlite3, one table: {harness.rate(harness.median(found[f'raw {name}']))}",
                ratio=ratio,
                ok=None if target is None else ratio >= target,
            )
        )
        rows.append(
            Row(
                what=f"the same, floor with UNIQUE(stream, version), {name}",
                measured=harness.rate(harness.median(found[f"rt {name}"])),
                floor=harness.rate(harness.median(found[f"unique {name}"])),
                ratio=harness.ratio(found[f"rt {name}"], found[f"unique {name}"]),
            )
        )
    rows.append(
        Row(
            what="the eventsourcing library as shipped, app.save of 100 events of an aggregate",
            measured=harness.rate(harness.median(found["stock"])),
            floor=f"sqlite3, one table: {harness.rate(harness.median(found[f'raw {PUT}']))}",
            ratio=harness.ratio(found["stock"], found[f"raw {PUT}"]),
        )
    )
    rows += [
        Row(
            what=f"group commit, {count} submitters, each awaits its put",
            measured=harness.rate(harness.median(found[f"writer {count}"])),
            floor=f"sqlite3, one event a commit: {harness.rate(harness.median(found[f'raw {ONE}']))}",
            ratio=harness.ratio(found[f"writer {count}"], found[f"raw {ONE}"]),
        )
        for count in (1, 8, 64)
    ]
    return rows


class _Bench:
    """Fresh logs for each round, fed with the same sort of events."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._codec = Codec()
        singles = [each for put in _lives(SINGLES) for each in _one_by_one(put)][:SINGLES]
        self.shapes: dict[str, list[list[Put]]] = {
            ONE: [[put] for put in singles],
            PUT: [[put] for put in _long_puts(BATCHES)],
            MIXED: _batches(_lives(BATCHES * BATCH + 2 * BATCH))[:BATCHES],
        }

    def bytes_mean(self, name: str) -> float:
        sizes = [len(row[3]) for works in self.shapes[name] for row in self._encoded(works)]
        return sum(sizes) / len(sizes)

    def raw(self, works: list[list[Put]]) -> float:
        return self._raw(works, unique=False)

    def unique(self, works: list[list[Put]]) -> float:
        return self._raw(works, unique=True)

    def _raw(self, works: list[list[Put]], *, unique: bool) -> float:
        rows = list(map(self._encoded, works))
        db = harness.raw_log(harness.empty(self._folder / "raw") / "raw.db", unique=unique)
        took_s = harness.timed(lambda: _raw(db, rows))
        db.close()
        return sum(map(len, rows)) / took_s

    def rt(self, works: list[list[Put]]) -> float:
        log = SqliteLog(harness.empty(self._folder / "rt"), create=True)
        took_s = harness.timed(lambda: _append(log, works))
        events = log.head().position
        log.close()
        return events / took_s

    def stock(self) -> float:
        return stock.saved(harness.empty(self._folder / "stock") / "stock.db", BATCHES, BATCH)

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


def _long_puts(count: int) -> list[Put]:
    """A run that begins, then puts of a hundred events each, all of its output."""
    teller = Teller()
    _, queued = teller.queued()
    tip, claim = teller.claimed(queued)
    tip, start = teller.started(tip, queued)
    tip, spawn = teller.spawned(tip)
    puts = [queued, claim, start, spawn]
    offset = 0
    for _ in range(count):
        tip, output = teller.printed(tip, [LINE] * BATCH, offset)
        offset += len(LINE) * BATCH
        puts.append(output)
    return [_bare(put) for put in puts]


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
