"""The built-in demo: a program that crashes, is retried, completes, and is replayed. Real, through the normal path."""

import sys
from pathlib import Path

from commands import render
from commands.replaying import replay_runs
from commands.session import run_here
from commands.wiring import Runtime
from domain.config import Config, Retry

PROGRAM = """\
import pathlib, sys, time
first = pathlib.Path(sys.argv[1])
print("looking for a server", flush=True)
time.sleep(0.2)
if not first.exists():
    first.write_text("seen")
    print("Traceback (most recent call last): ConnectionError: nobody answers", file=sys.stderr, flush=True)
    sys.exit(75)
print("it answers now", flush=True)
"""


def run(runtime: Runtime) -> int:
    """Run the demo in the nearest home, or in a new one here; the exit status."""
    _ = runtime.config  # a wrong one is said, also where the demo brings its own
    runtime.__dict__["config"] = Config(retry=Retry(attempts=2, backoff_s=0.5, backoff_max_s=0.5))
    seen = runtime.home.state / "tmp" / f"demo-{runtime.ids.new()[:8]}"
    seen.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    document = {
        "kind": "demo",
        "source": "cli",
        "subject": "demo: a program that crashes once",
        "payload": {"argv": [sys.executable, "-c", PROGRAM, str(seen)], "cwd": str(Path.cwd())},
        "max_attempts": 2,
        "requested_adapter": "command",
    }
    try:
        status = run_here(runtime, document, as_json=False)
    finally:
        seen.unlink(missing_ok=True)
    if status == 0:
        render.note("and now both runs again, from the log alone:")
        status = replay_runs(runtime, runtime.reader.recent_runs(2), summary=False, as_json=False)
        runtime.close()
    return status
