"""A home in which everything that the API shows is there once: also what waits, what failed, and what goes out."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.api.serving import Served, run, served
from tests.commands.asking import ECHO, RULES

HOOK_SECRET: Final = "hook-canary-5512"  # noqa: S105  # made up
CONFIG: Final = """
default_adapter = "worker"
[adapters.worker]
command = "./worker"
[sensors.disk]
argv = ["true"]
[outbox]
default = "desk"
[outbox.destinations.desk]
kind = "command"
argv = ["true"]
hold = true
[bridges.github]
secret_env = "HOOK_SECRET"
[profiles.it]
program = "one_shot"
external_messages = true
"""
WORKER: Final = """#!/bin/sh
mkdir -p .rt/artifacts/reports
echo 'a report' > .rt/artifacts/reports/s.md
echo '{"status":"completed","operator_summary":"s","artifact_paths":["reports/s.md"],\
"external_messages":[{"text":"hello"},{"text":"again"}]}'
"""
LATER: Final = "2200-01-01T00:00:00Z"


class Rich:
    """The server of such a home, and what is in it."""

    def __init__(self, at: Served) -> None:
        self.at = at
        with at.client("admin") as client:
            self._client = client
            tasks = self._items("tasks?limit=500")
            self.blocked = [each["task"] for each in tasks if each["status"] == "blocked"]
            self.pending = [each["task"] for each in tasks if each["status"] == "pending"]
            self.waiting = next(each["run"] for each in tasks if each["status"] == "waiting_for_approval")
            self.done = next(each for each in tasks if each["profile"] == "it")
            self.grant: str = self._items("grants")[0]["id"]
            self.messages: list[str] = [each["message"] for each in self._items("outbox")]
            self.snapshot: str = self._items("snapshots")[0]["name"]
            self.digest: str = self._items("approvals")[0]["digest"]

    def _items(self, of: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.get(f"/api/v1/{of}").raise_for_status().json()["items"]
        return found

    def path(self, path: str, **other: str) -> str:
        """A route with real ids in the place of its parameters."""
        known = {
            "task": self.done["task"], "run": self.done["run"], "call": "1", "grant": self.grant, "thread": "t1",
            "name": "nightly", "key": "w1", "message": self.messages[0], "position": "1",
        }  # fmt: skip
        if path.startswith("/api/v1/snapshots/"):
            known["name"] = self.snapshot
        elif path == "/assets/{name}":
            known["name"] = "index.html"
        elif "/approvals/" in path or "/effects/" in path:
            known["run"] = self.waiting
        return path.format_map(known | other)

    def query(self, path: str) -> str:
        """The parameters that a route cannot do without."""
        run, snapshot, file = self.done["run"], self.snapshot, "reports/s.md"
        needed = {
            "/api/artifact": f"path={file}", "/api/v1/artifacts/text": f"path={file}",
            "/api/v1/artifacts/file": f"path={file}", "/api/snapshot": f"path={snapshot}",
            "/api/report": f"before=1&after={snapshot}", "/api/v1/report/compare": f"before={snapshot}",
            "/api/v1/why": f"of={run}", "/api/v1/diff": f"a={run}&b={self.waiting}",
        }  # fmt: skip
        return f"?{needed[path]}" if path in needed else ""


@contextmanager
def rich(folder: Path, *arguments: str) -> Iterator[Rich]:
    """Such a home, served."""
    shutil.copytree(_made(folder.parent / "made"), folder)
    with served(folder, *arguments, env={"HOOK_SECRET": HOOK_SECRET}) as found:
        yield Rich(found)


_MADE: Final[list[Path]] = []


def _made(wanted: Path) -> Path:
    """Such a home, made once in the life of this process."""
    if not _MADE:
        wanted.mkdir(parents=True)
        _fill(wanted)
        _MADE.append(wanted)
    return _MADE[0]


def _fill(folder: Path) -> None:
    run(folder, "init")
    (folder / "rt.toml").write_text(CONFIG + RULES)
    (folder / "worker").write_text(WORKER)
    (folder / "worker").chmod(0o755)
    run(folder, "intake", json.dumps(_agent(ECHO, thread="t1")))
    run(folder, "work", "--until-idle")
    run(folder, "approve", "@last", "--always-for", "8h")
    (folder / "tasks.json").write_text(json.dumps({"tasks": _tasks()}))
    run(folder, "seed", "@tasks.json")
    run(folder, "work", "--until-idle")
    run(folder, "schedule", "create", "nightly", "--every", "30m", "--", "echo", "hi")
    run(folder, "workflow", "create", "--template", "goal-loop", "--key", "w1", "--context", '{"goal":"x"}')
    run(folder, "snapshot", "--label", "first")


def _tasks() -> list[dict[str, Any]]:
    named = {"kind": "k", "source": "s", "max_attempts": 1}
    failing = {"requested_adapter": "command", "payload": {"argv": ["sh", "-c", "echo no >&2; exit 3"]}}
    return [
        named | {"requested_profile": "it", "payload": {"objective": "x"}},
        _agent({"command": "echo", "args": ["another"]}),
        *[named | failing | {"subject": f"fails {each}"} for each in range(3)],
        *[named | {"payload": {}, "available_at": LATER, "subject": f"later {each}"} for each in range(4)],
    ]


def _agent(call: dict[str, Any], **more: str) -> dict[str, Any]:
    payload = {"goal": "do it", "calls": [{"tool": "local-process", "input": call}]}
    named = {"kind": "k", "source": "s", "max_attempts": 1, "requested_adapter": "agent"}
    return named | {"requested_profile": "asker", "payload": payload} | more
