"""How fast a process's output becomes durable, what memory that takes, and what it takes on disk.

The dispatcher runs in a child (`python -m bench.output --child …`), so that its memory can be measured.
"""

import json
import os
import random
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from adapters.log_reader import LogReader
from bench import dispatcher, harness
from bench.harness import Row
from domain.bounds import MIB

ROUNDS = 3
LINES = 1_000_000
LINE_BYTES = 41
BLOCK_BYTES = 64 * 1024
GIB = 1024 * MIB
RANDOM_BYTES = 24 * MIB
MEMORY_MIB_MAX = 64
_CHATTY = """
import sys, time
for line, _ in zip(open(sys.argv[1]), range(300)):
    print(line, end="", flush=True)
    time.sleep(0.005)
"""
SECRETS = {f"BENCH_SECRET_{number}": f"tok-{number}-{'abcdefghij'[number] * 20}" for number in range(10)}


def measure() -> list[Row]:
    with harness.folder() as folder:
        text = folder / "lines"
        text.write_bytes(_lines())
        assert text.stat().st_size == LINES * LINE_BYTES
        noise = folder / "noise"
        noise.write_bytes(os.urandom(RANDOM_BYTES))
        cat = {"argv": ["cat", str(text)]}
        children: list[dict[str, float]] = []

        def subject() -> float:
            children.append(_child(folder / "home", cat))
            return LINES / children[-1]["took_s"]

        found = harness.rounds(
            ROUNDS,
            {
                "thrown away": lambda: LINES / harness.timed(lambda: _throw_away(text)),
                "rows": lambda: LINES / harness.timed(lambda: _rows(folder, text)),
                "rt": subject,
            },
        )
        random_bytes = _child(folder / "home", {"argv": ["cat", str(noise)]})
        long_line = _child(folder / "home", {"shell": f"head -c {GIB} /dev/zero | tr '\\0' x"})
        chatty = _child(folder / "home", {"argv": [sys.executable, "-c", _CHATTY, str(text)]})
    lines_per_s = harness.median(found["rt"])
    shown = harness.rate(lines_per_s)
    memory = [child["peak_mib"] for child in children]
    return [
        Row(
            what="10^6 lines of 41 B through the dispatcher, ten secrets, default patterns: lines",
            target=">= 1.0 M/s",
            measured=shown,
            floor=f"read 64 KiB, throw away: {harness.rate(harness.median(found['thrown away']))}",
            ratio=harness.ratio(found["rt"], found["thrown away"]),
            ok=lines_per_s >= 1e6,
        ),
        Row(
            what="the same",
            measured=shown,
            floor=f"one SQLite row a 64 KiB block: {harness.rate(harness.median(found['rows']))}",
            ratio=harness.ratio(found["rt"], found["rows"]),
        ),
        _memory("memory over idle, 10^6 lines", max(memory)),
        _memory(f"memory over idle, one line of 1 GiB ({1024 / long_line['took_s']:.0f} MiB/s)", long_line["peak_mib"]),
        _disk("bytes on disk per byte of output, log text", harness.median([c["per_byte"] for c in children]), 0.5),
        _disk("bytes on disk per byte of output, incompressible", random_bytes["per_byte"], 1.2),
        Row(
            what="bytes on disk per byte of output, 300 lines, one every 5 ms",
            measured=f"{chatty['per_byte']:.2f} ({chatty['events']:.0f} events)",
        ),
    ]


def _memory(what: str, mib: float) -> Row:
    return Row(what=what, target=f"< {MEMORY_MIB_MAX} MiB", measured=f"{mib:.0f} MiB", ok=mib < MEMORY_MIB_MAX)


def _disk(what: str, per_byte: float, most: float) -> Row:
    return Row(what=what, target=f"< {most}", measured=f"{per_byte:.3f}", ok=per_byte < most)


def _lines() -> bytes:
    """Lines as services print them: times, levels, numbers that differ."""
    draw = random.Random(7)  # noqa: S311  # lines, not secrets
    verbs = ("fetched", "stored", "skipped", "checked")
    made = []
    for number in range(LINES):
        verb = verbs[draw.randrange(4)]
        head = (
            f"{number // 977 % 24:02}:{number // 53 % 60:02}:{number % 60:02} INFO {verb} item {draw.randrange(10**6)} "
        )
        made.append(f"{head}{draw.randrange(10**6)}"[: LINE_BYTES - 1].ljust(LINE_BYTES - 1, "."))
    return ("\n".join(made) + "\n").encode()


def _throw_away(path: Path) -> None:
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while os.read(process.stdout.fileno(), BLOCK_BYTES):
            pass


def _rows(folder: Path, path: Path) -> None:
    db = sqlite3.connect(harness.empty(folder / "rows") / "rows.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE blocks(id INTEGER PRIMARY KEY, data BLOB)")
    with subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        block = b""
        while data := os.read(process.stdout.fileno(), BLOCK_BYTES):
            block += data
            if len(block) >= BLOCK_BYTES:
                db.execute("INSERT INTO blocks(data) VALUES (?)", (block,))
                block = b""
        db.execute("INSERT INTO blocks(data) VALUES (?)", (block,))
    db.close()


def _child(home: Path, payload: dict[str, Any]) -> dict[str, float]:
    argv = [sys.executable, "-m", "bench.output", "--child", str(harness.empty(home)), json.dumps(payload)]
    done = subprocess.run(argv, cwd=harness.ROOT, env=os.environ | SECRETS, stdout=subprocess.PIPE, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def child(folder: Path, payload: dict[str, Any]) -> dict[str, float]:
    """Run something small, then the payload; seconds, peak memory over idle, bytes on disk per byte of output."""
    config = dispatcher.toml({"work": {"output_max_bytes": 2 * GIB}, "secrets": {"env": sorted(SECRETS)}})
    runtime = dispatcher.runtime(folder, config)
    dispatcher.queue(runtime, {"argv": ["true"]})
    dispatcher.drive(runtime, 4)
    runtime.close()
    before = _disk_bytes(folder)
    idle_kib = harness.peak_kib(reset=True)
    dispatcher.queue(runtime, payload)
    took_s = dispatcher.drive(runtime, 4)
    peak_kib = harness.peak_kib()
    assert dispatcher.completed(runtime.log) == 2, "both runs complete"
    reader = LogReader(folder / ".rt")
    run = reader.last_run()
    reader.close()
    assert run is not None
    outputs = 0
    size = 0
    version = 0
    while page := runtime.log.output(run, version):
        outputs += len(page)
        size += sum(len(event.body or b"") for event in page)
        version = page[-1].version
    runtime.close()
    return {
        "took_s": took_s,
        "peak_mib": (peak_kib - idle_kib) / 1024,
        "per_byte": (_disk_bytes(folder) - before) / size,
        "events": outputs,
        "bytes": size,
    }


def _disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / ".rt").glob("log.db*"))


if __name__ == "__main__":
    if "--child" in sys.argv:
        print(json.dumps(child(Path(sys.argv[2]), json.loads(sys.argv[3]))))
    else:
        harness.main(measure)
