"""Cold starts: each command in a process of its own, compared with a Python that does nothing."""

import sys
from pathlib import Path

from adapters.log_sqlite import SqliteLog
from bench import harness
from bench.harness import Row
from bench.story import Teller, fill, store

ROUNDS = 7
SMALL, LARGE = 100, 100_000
PENDING = 5
RUN_OF = 4  # one task in four has a run of nine events; the others were canceled before
BEHIND = 900
STATUS_MS_MAX = 220
GROWTH_MAX = 1.5


def measure() -> list[Row]:
    with harness.folder() as folder:
        harness.keep_bytecode(folder)
        logs = {count: _Home(folder / str(count), count) for count in (SMALL, LARGE)}
        work = _Home(folder / "work", 0)
        found = harness.rounds(
            ROUNDS,
            {
                "python": lambda: harness.command_ms([sys.executable, "-c", "pass"]),
                "--help": lambda: work.rt("--help"),
                "intake": lambda: work.rt("intake", "--", "true"),
                "do": lambda: work.rt("do", "--", "true"),
                "status 100": logs[SMALL].status,
                "status 100000": logs[LARGE].status,
                "behind 100": logs[SMALL].status_behind,
                "behind 100000": logs[LARGE].status_behind,
            },
        )
    python_ms = harness.median(found["python"])

    def row(what: str, name: str, target: str = "", *, ok: bool | None = None) -> Row:
        return Row(
            what=what,
            target=target,
            measured=f"{harness.median(found[name]):.0f} ms",
            floor=f"python -c pass: {python_ms:.0f} ms",
            ratio=harness.ratio(found[name], found["python"]),
            ok=ok,
        )

    rows = [row(f"cold start: rt {name}", name) for name in ("--help", "intake", "do")]
    for name, what in (("status", "projection up to date"), ("behind", f"{BEHIND} events behind")):
        for count in (SMALL, LARGE):
            ms = harness.median(found[f"{name} {count}"])
            target = f"< {STATUS_MS_MAX} ms"
            text = f"cold start: rt status, {count:,} tasks, {what}"
            rows.append(row(text, f"{name} {count}", target, ok=ms < STATUS_MS_MAX))
        growth = harness.ratio(found[f"{name} {LARGE}"], found[f"{name} {SMALL}"])
        rows.append(
            Row(
                what=f"growth of rt status from {SMALL:,} to {LARGE:,} tasks, {what}",
                target=f"< {GROWTH_MAX} x",
                measured=f"{growth:.2f} x",
                ok=growth < GROWTH_MAX,
            )
        )
    return rows


class _Home:
    """A log with so many tasks whose projection is there."""

    def __init__(self, folder: Path, tasks: int) -> None:
        self._folder = folder
        self._state = folder / ".rt"
        self._state.mkdir(parents=True)
        self._teller = Teller()
        log = SqliteLog(self._state, create=True)
        if tasks:
            runs = tasks // RUN_OF
            fill(log, self._teller, runs=runs, canceled=tasks - runs - PENDING, pending=PENDING)
        log.close()
        self.rt("status")

    def rt(self, *arguments: str) -> float:
        return harness.rt_ms(self._folder, *arguments)

    def status(self) -> float:
        return self.rt("status")

    def status_behind(self) -> float:
        log = SqliteLog(self._state)
        puts = [put for _ in range(BEHIND // 9) for put in self._teller.life()]
        store(log, puts)
        log.close()
        took_ms = self.rt("status")
        self.rt("status")  # leaves the file as the other measurements find it
        return took_ms


if __name__ == "__main__":
    harness.main(measure)
