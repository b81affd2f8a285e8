"""What the measurements share: a folder on disk, interleaved rounds, medians, and the table."""

import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

SCRATCH = Path(os.environ.get("RT_BENCH_DIR", "/var/tmp"))  # noqa: S108  # on disk: a tmpfs syncs nothing
ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure. `ok` is None where there is no target; `floor` says what it was compared with."""

    what: str
    measured: str
    target: str = ""
    floor: str = ""
    ratio: float | None = None
    ok: bool | None = None


@contextmanager
def folder() -> Iterator[Path]:
    """A folder on disk that is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=SCRATCH, prefix="rt-bench-") as made:
        yield Path(made)


def empty(path: Path) -> Path:
    """The folder, made anew."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return path


def rounds(count: int, subjects: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Run the subjects in turn, `count` times; what each returned. Floor and subject see the same noise."""
    found: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(count):
        for name, subject in subjects.items():
            found[name].append(subject())
    return found


def median(values: list[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def ratio(subject: list[float], floor: list[float]) -> float:
    """The median of the ratios of each round."""
    return statistics.median(mine / its for mine, its in zip(subject, floor, strict=True))


def timed(work: Callable[[], object]) -> float:
    """Seconds that it took."""
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def keep_bytecode(folder: Path) -> None:
    """Let what is started keep its bytecode in a folder, as an installed program has it."""
    os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def rt_ms(cwd: Path, *arguments: str) -> float:
    """Milliseconds that an `rt` command takes as a whole, in a process of its own."""
    return command_ms([sys.executable, "-P", "-m", "rt_runtime", *arguments], cwd)


def command_ms(argv: list[str], cwd: Path | None = None) -> float:
    """Milliseconds from the start of a process to its end. It must succeed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RT_")}
    start_s = time.perf_counter()
    subprocess.run(
        argv,
        cwd=cwd,
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return (time.perf_counter() - start_s) * 1000


def rate(per_s: float) -> str:
    """A rate for people."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if per_s >= 10 * size or (unit == "M" and per_s >= size):
            return f"{per_s / size:.1f} {unit}/s"
    return f"{per_s:,.0f}/s"


def raw_log(path: Path, *, unique: bool) -> sqlite3.Connection:
    """The floor of an append: one table, WAL, every commit synced. With `unique`, what any event store checks."""
    db = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=1000"):
        db.execute(f"PRAGMA {pragma}")
    constraint = ", UNIQUE(stream, version)" if unique else ""
    db.execute(
        "CREATE TABLE events(position INTEGER PRIMARY KEY, stream TEXT, version INTEGER, topic TEXT, state BLOB"
        f"{constraint})"
    )
    return db


def peak_kib(*, reset: bool = False) -> int:
    """The most memory that this process ever had resident; since now, with `reset`."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    message = "this kernel tells no VmHWM"
    raise OSError(message)


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| what | target | measured | floor | ratio | |", "|---|---|---|---|---|---|"]
    for row in rows:
        verdict = "" if row.ok is None else "ok" if row.ok else "**missed**"
        shown = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(f"| {row.what} | {row.target} | {row.measured} | {row.floor} | {shown} | {verdict} |")
    return "\n".join(lines)


def machine() -> str:
    """One line about where and how."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return (
        f"{os.cpu_count()} cores ({model}), load {os.getloadavg()[0]:.1f}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, files under {SCRATCH}. "
        "Floor and subject in the same run, interleaved; medians; a ratio is the median of the rounds' ratios."
    )


def main(measure: Callable[[], list[Row]]) -> None:
    """Measure, then print the table, or JSON lines with --json (for `python -m bench`)."""
    rows = measure()
    if "--json" in sys.argv:
        for row in rows:
            print(json.dumps(asdict(row)))
    else:
        print(table(rows))
        print(f"\n{machine()}")
