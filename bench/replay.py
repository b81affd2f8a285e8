"""How fast a long run is replayed, end to end from the SQLite log as `rt replay` does it."""

from pathlib import Path

from adapters.log_sqlite import SqliteLog
from bench import harness
from bench.harness import Row
from bench.story import LINE, Teller, store
from domain.bounds import CHUNK_BYTES_MAX, MIB
from replays.replay import replay

ROUNDS = 3
SMALL_EVENTS = 100_000
SMALL_BYTES = 512
LARGE_EVENTS = 3_000
AT_ONCE = 500
EVENTS_PER_S_MIN = 50_000
MIB_PER_S_MIN = 150


def measure() -> list[Row]:
    with harness.folder() as folder:
        logs = {
            (adapter, size): LongRun(folder / f"{adapter}-{size}", adapter, size)
            for adapter in ("says", "answers")
            for size in ("small", "large")
        }
        subjects = {f"rt {adapter} {size}": log.replay for (adapter, size), log in logs.items()}
        floors = {f"read {size}": logs["says", size].read for size in ("small", "large")}
        found = harness.rounds(ROUNDS, floors | subjects)
        mib = {size: logs["says", size].bytes / MIB for size in ("small", "large")}
        events = {size: logs["says", size].events for size in ("small", "large")}
    rows = []
    for adapter, how in (("says", "exit status"), ("answers", "JSON outcome in stdout")):
        took_s = harness.median(found[f"rt {adapter} small"])
        per_s = events["small"] / took_s
        rows.append(
            Row(
                what=f"replay, {events['small']:,} events with bodies of at most {SMALL_BYTES} B, ends by {how}",
                target=f"> {harness.rate(EVENTS_PER_S_MIN)}",
                measured=harness.rate(per_s),
                floor=f"SELECT of the same rows: {harness.rate(events['small'] / harness.median(found['read small']))}",
                ratio=harness.ratio(found["read small"], found[f"rt {adapter} small"]),
                ok=per_s > EVENTS_PER_S_MIN,
            )
        )
        mib_per_s = mib["large"] / harness.median(found[f"rt {adapter} large"])
        rows.append(
            Row(
                what=f"replay, {mib['large']:.0f} MiB in bodies of 64 KiB, ends by {how}",
                target=f"> {MIB_PER_S_MIN} MiB/s",
                measured=f"{mib_per_s:.0f} MiB/s",
                floor=f"SELECT of the same rows: {mib['large'] / harness.median(found['read large']):.0f} MiB/s",
                ratio=harness.ratio(found["read large"], found[f"rt {adapter} large"]),
                ok=mib_per_s > MIB_PER_S_MIN,
            )
        )
    return rows


class LongRun:
    """A log with one long run."""

    def __init__(self, folder: Path, adapter: str, size: str) -> None:
        small = size == "small"
        body_bytes = SMALL_BYTES if small else CHUNK_BYTES_MAX
        count = SMALL_EVENTS if small else LARGE_EVENTS
        self.log = SqliteLog(folder, create=True)
        teller = Teller()
        _, queued = teller.queued(adapter)
        tip, claim = teller.claimed(queued)
        tip, start = teller.started(tip, queued)
        tip, spawn = teller.spawned(tip)
        store(self.log, [queued, claim, start, spawn])
        text = LINE * (body_bytes // len(LINE) + 2)
        self.bytes = 0
        for at in range(0, count, AT_ONCE):
            bodies = [text[each % len(LINE) :][: body_bytes - each % 64] for each in range(at, at + AT_ONCE)]
            tip, put = teller.printed(tip, bodies, self.bytes)
            store(self.log, [put])
            self.bytes += sum(map(len, bodies))
        last = b'{"status": "completed", "operator_summary": "done"}\n'
        tip, put = teller.printed(tip, [last], self.bytes)
        self.bytes += len(last)
        _, end = teller.exited(tip, 0, self.bytes)
        store(self.log, [put, end])
        self.run = tip.state.run
        self.events = self.log.head().position

    def replay(self) -> float:
        def work() -> None:
            result = replay(self.log.run_events(self.run, bodies=True), self.log.salt(self.run))
            assert result.difference is None, str(result.difference)
            assert result.state == "completed"

        return harness.timed(work)

    def read(self) -> float:
        def work() -> None:
            query = "SELECT * FROM stored_events LEFT JOIN bodies USING (position) ORDER BY position"
            assert self.log.bulk(lambda db: sum(1 for _ in db.execute(query))) == self.events

        return harness.timed(work)


if __name__ == "__main__":
    harness.main(measure)
