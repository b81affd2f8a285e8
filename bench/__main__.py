"""All measurements, each in a process of its own, as one table: `python -m bench [NAME…]`."""

import json
import subprocess
import sys
import time

from bench import harness
from bench.harness import Row

NAMES = (
    "appends",
    "output",
    "runs",
    "cold",
    "replay",
    "projection",
    "recovery",
    "controllers",
    "work",
    "looking",
    "forks",
)
SECONDS_MAX = 480  # a log of a million events is made in one of them


def main() -> None:
    """Measure what was named, or all."""
    wanted = sys.argv[1:] or NAMES
    rows: list[Row] = []
    start_s = time.monotonic()
    for name in wanted:
        print(f"{name} …", file=sys.stderr, flush=True)
        done = subprocess.run(
            [sys.executable, "-m", f"bench.{name}", "--json"],
            cwd=harness.ROOT,
            stdout=subprocess.PIPE,
            check=True,
            timeout=SECONDS_MAX,
        )
        rows += [Row(**json.loads(line)) for line in done.stdout.splitlines()]
    print(harness.table(rows))
    print(f"\n{harness.machine()} Took {time.monotonic() - start_s:.0f} s.")


if __name__ == "__main__":
    main()
