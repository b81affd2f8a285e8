"""The real dispatcher under load, killed at a hundred random moments: nothing is lost, nothing is stuck."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from adapters import process_table
from adapters.log_sqlite import SqliteLog
from domain.config import Config
from domain.events import Blob, Put, Recorded
from domain.ids import marker
from domain.intake import accept
from domain.task import Status
from replays.replay import replay

ROOT = Path(__file__).resolve().parents[2]
KILLS = 100
PROGRAMS = (
    "echo one; echo two >&2",
    "echo begin; sleep 0.05; echo end",
    "(sleep 30 & setsid sleep 31 &) ; echo orphans; sleep 0.03",
    "trap '' TERM; echo stubborn; sleep 0.1",
    "head -c 300000 /dev/zero | tr '\\0' x; echo",
    "exit 75",
    "exit 77",
    "kill -9 $$",
)
CONFIG = """
[retry]
attempts = 100
backoff_s = 0.0
backoff_max_s = 0.0
[work]
kill_grace_s = 0.2
"""


def _start(home: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "rt_runtime", *arguments],
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _queue(log: SqliteLog, rng: random.Random, number: int) -> list[tuple[int, str]]:
    """Take tasks in; what was acknowledged, as position and task."""
    acknowledged: list[tuple[int, str]] = []
    for _ in range(number):
        task = rng.randbytes(16).hex()
        program = rng.choice(PROGRAMS)
        attempts = 2 if program.startswith(("exit", "kill")) else 100
        document = {"kind": "chaos", "source": "test", "payload": {"shell": program}, "max_attempts": attempts}
        accepted = accept(document, Config(), time.time_ns() // 1000)
        event = Recorded(stream=task, version=1, at_us=1, actor="operator:test", data=accepted.event, correlation=task)
        result = log.append([Put(events=(event,), blobs=(Blob(task, accepted.payload),))])[0]
        assert not isinstance(result, Exception), result
        acknowledged.append((result[0], task))
    return acknowledged


def _left_over(log: SqliteLog) -> dict[str, list[process_table.Entry]]:
    calls = {
        marker(event.stream, 1): None
        for event in log.read(0, 1 << 40)
        if event.data.__struct_config__.tag == "run.started"
    }
    return process_table.marked(calls)


@pytest.mark.chaos
def test_a_hundred_kills_lose_nothing_and_leave_nothing_behind(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201  # shown when the test fails
    rng = random.Random(seed)
    (tmp_path / "rt.toml").write_text(CONFIG)
    log = SqliteLog(tmp_path / ".rt", create=True)
    acknowledged = _queue(log, rng, 20)
    durable: list[tuple[int, str]] = []  # what a reader saw: position and hash
    for _ in range(KILLS):
        dispatcher = _start(tmp_path, "work", "--concurrency", "4")
        time.sleep(rng.uniform(0.05, 0.6))
        acknowledged += _queue(log, rng, rng.randrange(3))
        head = log.head()
        durable.append((head.position, head.hash))
        time.sleep(rng.uniform(0.0, 0.1))
        dispatcher.send_signal(signal.SIGKILL)
        dispatcher.wait()
    log.close()

    log = SqliteLog(tmp_path / ".rt")  # checks the head record
    last = _start(tmp_path, "work", "--until-idle", "--concurrency", "8")
    assert last.wait(timeout=120) == 0

    for position, task in acknowledged:
        assert log.stream(task)[0].position == position
    hashes = {row.position: row.hash for row in _hashes(tmp_path)}
    assert all(hashes.get(position, "") == found for position, found in durable if position)
    states = {task: state for _, task in acknowledged if (state := log.task(task)) is not None}
    assert len(states) == len(acknowledged)
    over = {Status.COMPLETED, Status.BLOCKED, Status.PERMANENT_FAILURE}
    assert [(state.status, state.cause) for state in states.values() if state.status not in over] == []
    assert log.running() == []
    assert _left_over(log) == {}
    runs = [event.data.run for event in log.read(0, 1 << 40) if event.data.__struct_config__.tag == "task.claimed"]  # type: ignore[union-attr]
    assert len(runs) > KILLS  # the load was real
    lost = 0
    for run in runs:
        found = replay(log.run_events(run, bodies=True), log.salt(run))
        assert found.difference is None, str(found.difference)
        assert found.state != "running"
        lost += found.state == "lost"
    assert lost >= KILLS // 10  # the kills hit running work
    log.close()
    verified = subprocess.run(
        [sys.executable, "-P", "-m", "rt_runtime", "log", "verify", "--json"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    assert json.loads(verified.stdout)["position"] == len(hashes)


class _Hash:
    def __init__(self, position: int, found: bytes) -> None:
        self.position = position
        self.hash = found.hex()


def _hashes(home: Path) -> list[_Hash]:
    import sqlite3

    db = sqlite3.connect(home / ".rt" / "log.db")
    rows = db.execute("SELECT position, hash FROM stored_events").fetchall()
    db.close()
    return [_Hash(*row) for row in rows]
