"""Two hundred hostile process trees, each ended by its controller at the first telling line: none survives."""

import json
import os
import subprocess
import sys
from pathlib import Path

from adapters.log_sqlite import SqliteLog
from domain.agent_events import DecisionMade
from domain.events import ToolExited
from domain.task import Status
from replays.replay import replay

ROOT = Path(__file__).resolve().parents[2]
CANCELS = 200
TREES = (
    "sleep 300 & setsid sleep 301 & echo ready; sleep 302",
    "trap '' TERM HUP INT; (trap '' TERM; sleep 300) & echo ready; while :; do sleep 1; done",
    "(setsid sh -c 'trap \"\" TERM; sleep 300 & sleep 301' &) ; echo ready; sleep 302",
    "setsid sh -c '(setsid sleep 300 &) ; sleep 301' & echo ready; exec sleep 302",
    "exec 3>&1; (sleep 300 >&3 &) ; echo ready; kill -STOP $$",
)
CONFIG = "[work]\nkill_grace_s = 0.1\nconcurrency = 12\n"


def _rt(home: Path, *arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-P", "-m", "rt_runtime", *arguments],
        cwd=home,
        env=environment,
        input=given,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def _take_in(home: Path) -> None:
    from commands.home import STATE, Home
    from commands.taking_in import check, take_in
    from commands.wiring import Runtime

    runtime = Runtime(Home(home / STATE, home / "rt.toml", home), "ann")
    for number in range(CANCELS):
        document = {
            "kind": "watch",
            "source": "test",
            "payload": {"argv": ["sh", "-c", TREES[number % len(TREES)]], "cancel_on": ["ready"]},
            "requested_adapter": "agent",
            "requested_profile": "watch",
            "max_attempts": 1,
        }
        take_in(runtime, check(runtime, document))
    runtime.close()


def _left_over(home: Path) -> list[str]:
    """Processes of this home's calls: each carries its folder in its environment."""
    found = []
    for each in Path("/proc").iterdir():
        try:
            environment = (each / "environ").read_bytes() if each.name.isdecimal() else b""
            if b"RT_CALL=" in environment and f"HOME={home}".encode() in environment:
                found.append(f"{each.name} {(each / 'cmdline').read_bytes()!r}")
        except OSError:  # it ended meanwhile
            continue
    return found


def test_no_process_survives_two_hundred_cancels_of_hostile_trees(tmp_path: Path) -> None:
    (tmp_path / "rt.toml").write_text(CONFIG)
    assert _rt(tmp_path, "init", "--force").returncode == 0
    (tmp_path / "rt.toml").write_text(CONFIG)
    _take_in(tmp_path)
    done = _rt(tmp_path, "work", "--until-idle", "--json")
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["runs"] == CANCELS
    assert _left_over(tmp_path) == []
    log = SqliteLog(tmp_path / ".rt")
    events = log.read(0, 1 << 30)
    canceled = [event for event in events if isinstance(event.data, DecisionMade) and event.data.decision == "cancel"]
    assert len(canceled) == CANCELS
    assert not [event.data for event in events if isinstance(event.data, ToolExited) and event.data.escaped]
    for run in {event.stream for event in canceled}:
        assert replay(log.run_events(run, bodies=True), log.salt(run)).difference is None
    tasks = {event.correlation for event in canceled}
    states = [log.task(task) for task in tasks]
    assert {state.status for state in states if state is not None} == {Status.PERMANENT_FAILURE}
    log.close()
