"""A disk without space: what only reads goes on, what writes says why, and all is well when there is space again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.adapters.test_log_disk import private_mounts
from tests.commands.place import Place

READING = ("status", "run list", "task list", "log verify", "replay --all", "doctor", "health")
WRITING = ("intake -- true", "do --json -- true", "sql SHOW-TABLES")
STORY = """
import json, subprocess, sys
folder, reading, writing = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "none", folder], check=True)
def rt(command):
    words = [word.replace("-TABLES", " TABLES") for word in command.split()]
    argv = [sys.executable, "-P", "-m", "rt_runtime", *words]
    done = subprocess.run(argv, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr
rt("init"); rt("do -- true"); rt("do -- true"); rt("run list")
with open(f"{folder}/fill", "wb", buffering=0) as file:
    try:
        while file.write(b"x" * 4096): pass
    except OSError: pass
found = {command: rt(command) for command in reading + writing}
import os
os.unlink(f"{folder}/fill")
found["afterwards"] = rt("do -- true")
found["healthy"] = rt("health")
subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
found["doctor, read-only"], found["health, read-only"] = rt("doctor"), rt("health")
print(json.dumps(found))
"""


@pytest.mark.skipif(not private_mounts(), reason="mounting a small disk is not allowed here")
def test_a_full_disk_is_said_to_be_one_and_is_no_bug(tmp_path: Path) -> None:
    argv = [*private_mounts(), sys.executable, "-c", STORY, str(tmp_path), json.dumps(READING), json.dumps(WRITING)]
    done = subprocess.run(argv, env=Place(tmp_path).environment, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {command: found[command][0] for command in READING if command not in ("doctor", "health")} == dict.fromkeys(
        READING[:-2], 0
    )
    assert (found["doctor"][0], found["health"][0]) == (1, 1)
    for command in WRITING:
        code, text = found[command]
        assert code == 7, (command, text)
        assert "log.not_writable" in text
    assert found["afterwards"][0] == 0
    assert "cannot be written" not in found["healthy"][1]
    for command in ("doctor", "health"):
        code, text = found[f"{command}, read-only"]
        assert code == 1, (command, text)
        assert "cannot be written" in text
