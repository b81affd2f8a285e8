"""How fast a person gets an answer about the past: a run's state, why, a report, old tables, golden logs, an audit.

Commands are measured as a whole, in processes of their own, on projections that are up to date.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from adapters.log_reader import LogReader
from adapters.log_sqlite import SqliteLog
from bench import harness
from bench.harness import Row
from bench.replay import SMALL_BYTES, LongRun
from bench.story import Teller, fill
from commands.home import STATE
from replays.replay import replay
from replays.states import Wanted, moment, moments

ROUNDS = 3
WHYS = 7
EVENTS = 1_000_000
EVENTS_A_RUN = 9
REPORTED_RUNS = 100_000
STEP_US = 31_500_000  # between two events: what is reported spans a year
PAST_EVENTS = 100_000
GOLDEN_LOGS = 100
GOLDEN = harness.ROOT / "tests" / "golden" / "runs"
AUDITED_RUNS = (2_000, 20_000)
STATE_S_MAX, WHY_MS_MAX, REPORT_S_MAX, GOLDEN_S_MAX = 1.0, 200, 5.0, 10.0
NOTHING = [sys.executable, "-c", "pass"]


def measure() -> list[Row]:
    with harness.folder() as folder:
        harness.keep_bytecode(folder)
        rows = [
            *_state(folder / "state"),
            *_past(folder / "past"),
            _golden(folder / "golden"),
            *_audits(folder / "audit"),
        ]
        return rows + _million(folder / "million")


def _state(folder: Path) -> list[Row]:
    """The state at the last event of one long run."""
    long = LongRun(folder / STATE, "says", "small")
    last = long.events

    def in_process() -> None:
        found = moment(moments(long.log.run_events(long.run, bodies=True)), Wanted(position=last), long.run)
        assert found.event.position == last
        assert found.number == long.events - 1, "all of them but the task's creation"

    def replayed() -> None:
        assert replay(long.log.run_events(long.run, bodies=True), long.log.salt(long.run)).difference is None

    found = harness.rounds(
        ROUNDS,
        {
            "read": long.read,
            "replay": lambda: harness.timed(replayed),
            "rt": lambda: harness.timed(in_process),
            "command": lambda: harness.rt_ms(folder, "replay", long.run, "--at", str(last)) / 1000,
        },
    )
    long.log.close()
    what = f"state at the last of {last:,} events with bodies of at most {SMALL_BYTES} B"
    floor = f"SELECT of the same rows: {harness.median(found['read']):.2f} s"
    return [
        _seconds(what, found["rt"], STATE_S_MAX, floor=floor, against=found["read"]),
        _seconds(
            f"{what}: rt replay RUN --at POS",
            found["command"],
            STATE_S_MAX,
            floor=f"replay, in process: {harness.median(found['replay']):.2f} s",
            against=found["replay"],
        ),
    ]


def _million(folder: Path) -> list[Row]:
    """Why, and the report of a period, on one large log."""
    runs = EVENTS // EVENTS_A_RUN + 1
    run = _home(folder, runs, runs // 2)
    harness.rt_ms(folder, "status")  # computes the projection
    why = harness.rounds(
        WHYS,
        {
            "python": lambda: harness.command_ms(NOTHING),
            "why": lambda: harness.rt_ms(folder, "why", run),
            "last": lambda: harness.rt_ms(folder, "why", "@last"),
        },
    )
    period = ("report", "--since", "400d")
    report = harness.rounds(
        ROUNDS,
        {
            "status": lambda: harness.rt_ms(folder, "status") / 1000,
            "json": lambda: harness.rt_ms(folder, *period, "--json") / 1000,
            "file": lambda: harness.rt_ms(folder, *period, "--out", str(folder / "report.html")) / 1000,
        },
    )
    nothing = f"python -c pass: {harness.median(why['python']):.0f} ms"
    rows = []
    for name, what in (("why", "rt why RUN"), ("last", "rt why @last")):
        ms = harness.median(why[name])
        rows.append(
            Row(
                what=f"{what}, {EVENTS:,} events",
                target=f"< {WHY_MS_MAX} ms",
                measured=f"{ms:.0f} ms",
                floor=nothing,
                ratio=harness.ratio(why[name], why["python"]),
                ok=ms < WHY_MS_MAX,
            )
        )
    floor = f"rt status there: {harness.median(report['status']) * 1000:.0f} ms"
    for name, how in (("json", "--json"), ("file", "--out FILE")):
        what = f"rt report --since 400d {how}, {runs:,} runs of a year, projection up to date"
        rows.append(_seconds(what, report[name], REPORT_S_MAX, floor=floor, against=report["status"]))
    return rows


def _past(folder: Path) -> list[Row]:
    """Tables as they were, computed for one query."""
    _home(folder, PAST_EVENTS // EVENTS_A_RUN + 1)
    harness.rt_ms(folder, "status")
    query = "SELECT status, count(*) FROM tasks GROUP BY 1"
    found = harness.rounds(
        ROUNDS,
        {
            "now": lambda: harness.rt_ms(folder, "sql", query) / 1000,
            "half": lambda: harness.rt_ms(folder, "sql", "--at", str(PAST_EVENTS // 2), query) / 1000,
            "all": lambda: harness.rt_ms(folder, "sql", "--at", str(PAST_EVENTS), query) / 1000,
        },
    )
    floor = f"rt sql of now: {harness.median(found['now']) * 1000:.0f} ms"
    return [
        _seconds(f"rt sql --at {at:,}, log of {PAST_EVENTS:,} events", found[name], floor=floor, against=found["now"])
        for name, at in (("half", PAST_EVENTS // 2), ("all", PAST_EVENTS))
    ]


def _golden(folder: Path) -> Row:
    """Copies of the golden logs that lie in the repository."""
    originals = sorted(each.parent for each in GOLDEN.glob("*/log.jsonl"))
    for number in range(GOLDEN_LOGS):
        shutil.copytree(originals[number % len(originals)], folder / f"golden-{number:03}")
    size = sum(each.stat().st_size for each in folder.glob("*/log.jsonl"))
    found = harness.rounds(
        ROUNDS,
        {
            "read": lambda: harness.timed(lambda: [each.read_bytes() for each in folder.glob("*/log.jsonl")]),
            "python": lambda: harness.command_ms(NOTHING) / 1000,
            "rt": lambda: harness.rt_ms(folder, "golden", "check", str(folder)) / 1000,
        },
    )
    return _seconds(
        f"rt golden check of {GOLDEN_LOGS} logs, {size / 1e6:.1f} MB",
        found["rt"],
        GOLDEN_S_MAX,
        floor=f"python -c pass: {harness.median(found['python']) * 1000:.0f} ms",
        against=found["python"],
    )


def _audits(folder: Path) -> list[Row]:
    """Many small runs replayed."""
    return [row for runs in AUDITED_RUNS for row in _audit(folder / str(runs), runs)]


def _audit(home: Path, runs: int) -> list[Row]:
    """So many small runs replayed, by one process and by two."""
    _home(home, runs)
    events = runs * EVENTS_A_RUN

    def with_jobs(count: int) -> Callable[[], float]:
        return lambda: harness.rt_ms(home, "replay", "--all", "--jobs", str(count)) / 1000

    found = harness.rounds(ROUNDS, {"1": with_jobs(1), "2": with_jobs(2)})
    one_s, two_s = (harness.median(found[name]) for name in ("1", "2"))
    what = f"rt replay --all, {runs:,} runs of {EVENTS_A_RUN} events"
    return [
        Row(what=f"{what}, one job", measured=f"{harness.rate(events / one_s)} ({one_s:.2f} s)"),
        Row(
            what=f"{what}, two jobs",
            measured=f"{harness.rate(events / two_s)} ({two_s:.2f} s)",
            floor=f"one job: {harness.rate(events / one_s)}",
            ratio=harness.ratio(found["1"], found["2"]),  # of the rates: above 1 the second process pays
        ),
    ]


def _home(folder: Path, runs: int, wanted: int = 1) -> str:
    """A home with so many runs that ended; the id of the one with this number."""
    (folder / STATE).mkdir(parents=True)
    log = SqliteLog(folder / STATE, create=True)
    fill(log, Teller(step_us=STEP_US), runs=runs)
    log.close()
    reader = LogReader(folder / STATE)
    run = reader.recent_runs(1 + runs - wanted)[0]
    reader.close()
    return run


def _seconds(
    what: str, took: list[float], most: float | None = None, *, floor: str = "", against: list[float] | None = None
) -> Row:
    took_s = harness.median(took)
    return Row(
        what=what,
        target="" if most is None else f"< {most:.0f} s",
        measured=f"{took_s:.2f} s",
        floor=floor,
        ratio=None if against is None else harness.ratio(took, against),
        ok=None if most is None else took_s < most,
    )


if __name__ == "__main__":
    harness.main(measure)
