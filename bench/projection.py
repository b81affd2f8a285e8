"""How fast the projection is computed from nothing, and how fast it catches up."""

from pathlib import Path

import duckdb

from adapters.log_reader import LogReader
from adapters.log_sqlite import SqliteLog
from bench import harness
from bench.harness import Row
from bench.story import Teller, fill, store
from projections import status
from projections.catch_up import Projection

EVENTS = 500_000  # the time grows with the events; a log of a million takes too long to make
MILLION = 1_000_000
BEHIND = 1_000
ROUNDS = 1
CATCH_UPS = 9
SECONDS_MAX = 10


def measure() -> list[Row]:
    with harness.folder() as folder:
        state = folder / ".rt"
        log = SqliteLog(state, create=True)
        teller = Teller()
        fill(log, teller, runs=EVENTS // 9 + 1)
        assert log.head().position >= EVENTS
        reader = LogReader(state)
        projection = Projection(state, reader)
        found = harness.rounds(
            ROUNDS,
            {"raw": lambda: _raw(folder, reader), "rt": lambda: harness.timed(projection.rebuild)},
        )

        def behind() -> float:
            store(log, [put for _ in range(BEHIND // 9) for put in teller.life()])
            return harness.timed(lambda: projection.ask(status.status))

        caught_up = harness.rounds(
            CATCH_UPS, {"behind": behind, "there": lambda: harness.timed(lambda: projection.ask(status.status))}
        )
        reader.close()
        log.close()
    took_s = harness.median(found["rt"]) * MILLION / EVENTS
    raw_s = harness.median(found["raw"]) * MILLION / EVENTS
    return [
        Row(
            what=f"projection of {MILLION:,} events from nothing (measured with {EVENTS:,})",
            target=f"< {SECONDS_MAX} s",
            measured=f"{took_s:.1f} s ({harness.rate(MILLION / took_s)})",
            floor=f"read them and append them to one DuckDB table: {raw_s:.1f} s",
            ratio=harness.ratio(found["raw"], found["rt"]),
            ok=took_s < SECONDS_MAX,
        ),
        Row(
            what=f"catch up with {BEHIND // 9 * 9} events and answer `status`, {EVENTS:,} events there",
            measured=f"{harness.median(caught_up['behind']) * 1000:.0f} ms",
            floor=f"nothing to catch up: {harness.median(caught_up['there']) * 1000:.0f} ms",
            ratio=harness.ratio(caught_up["there"], caught_up["behind"]),
        ),
    ]


def _raw(folder: Path, reader: LogReader) -> float:
    path = harness.empty(folder / "raw") / "raw.duckdb"

    def work() -> None:
        db = duckdb.connect(str(path), config={"threads": 2})
        db.execute(
            "CREATE TABLE events(position BIGINT, stream VARCHAR, version INTEGER, topic VARCHAR, caused_by BIGINT,"
            " state VARCHAR)"
        )
        head = reader.head()[0]
        at = 0
        while at < head:
            rows = reader.rows(at, head, 50_000)
            at = rows[-1][0]
            appender = db.appender("events")
            appender.append_rows(rows)
            appender.flush()
        db.close()

    return harness.timed(work)


if __name__ == "__main__":
    harness.main(measure)
