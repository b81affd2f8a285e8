"""Homes for the tests of the page: what is configured in them, what happened there, and a server with a dispatcher."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.api.serving import WITHIN_S, Served, environment, run, served, until
from tests.commands.asking import DECIDED, DECIDER, ECHO, RULES

_KILL: Final = "[work]\nkill_grace_s = 0.3\n"
CONFIG: Final = (
    """
runtime_name = "workshop"
default_adapter = "worker"
allow_argv_from = ["http"]
[retry]
attempts = 2
backoff_s = 0.05
backoff_max_s = 0.05
[work]
kill_grace_s = 0.3
concurrency = 4
[routing]
default = "one"
[adapters.worker]
command = "./worker"
[adapters.waits]
command = "./waits"
[sensors.disk]
argv = ["true"]
every_s = 3600
[outbox]
default = "desk"
[outbox.destinations.desk]
kind = "command"
argv = ["true"]
hold = true
[profiles.it]
program = "one_shot"
external_messages = true
[profiles.runner]
controller = "asker"
tools = ["local-process"]
[[policies]]
id = "soon"
effect = "ask"
tool = "local-process"
arguments = {command = "hurry"}
expires_s = 2
"""
    + RULES.replace(_KILL, "")
    + DECIDED.replace(_KILL, "")
)
WORKER: Final = """#!/bin/sh
mkdir -p .rt/artifacts/reports
echo '# a report' > .rt/artifacts/reports/s.md
echo '{"status":"completed","operator_summary":"wrote it down","artifact_paths":["reports/s.md"],\
"external_messages":[{"text":"hello"},{"text":"again"}]}'
"""
WAITS: Final = """#!/bin/sh
echo waiting
for each in $(seq 1200); do [ -e go ] && break; sleep 0.05; done
mkdir -p .rt/artifacts/waited
echo 'it waited' > .rt/artifacts/waited/w.md
echo '{"status":"completed","operator_summary":"it went on","artifact_paths":["waited/w.md"]}'
"""
LATER: Final = "2200-01-01T00:00:00Z"
BOTH: Final = ["sh", "-c", "echo hello; echo 'a problem' >&2; sleep 0.05; echo bye"]
Change = Callable[[str], str]


class House:
    """A server, and what is done there from outside of the page."""

    def __init__(self, at: Served) -> None:
        self.at = at
        self.folder = at.folder
        self._client = at.client("admin")

    def close(self) -> None:
        """Leave."""
        self._client.close()

    def get(self, path: str, **query: Any) -> Any:  # noqa: ANN401  # a document
        """What the API says."""
        return self._client.get(f"/api/v1/{path}", params=query).raise_for_status().json()

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:  # noqa: ANN401  # parameters
        """What a list of the API holds."""
        found: list[dict[str, Any]] = self.get(path, **query)["items"]
        return found

    def post(self, path: str, **body: Any) -> Any:  # noqa: ANN401  # documents
        """Something that is done by somebody else."""
        answer = self._client.post(f"/api/v1/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()

    def queue(self, payload: dict[str, Any], **fields: Any) -> str:  # noqa: ANN401  # fields of a task
        """A task that is taken in."""
        task = {"kind": "k", "source": "test", "payload": payload, "max_attempts": 1}
        return str(self.post("tasks", **(task | fields))["task_id"])

    def command(self, *argv: str, **fields: Any) -> str:  # noqa: ANN401  # fields of a task
        """A task that is a command."""
        return self.queue({"argv": list(argv)}, **({"requested_adapter": "command"} | fields))

    def agent(self, *calls: dict[str, Any], profile: str = "asker", **fields: Any) -> str:  # noqa: ANN401
        """A task of an agent that makes these calls; the asker waits for a person before each."""
        named = [{"tool": "local-process", "input": each} for each in calls or (ECHO,)]
        wanted = {"requested_adapter": "agent", "requested_profile": profile}
        return self.queue({"goal": "do it", "calls": named}, **(wanted | fields))

    def status(self, task: str) -> str:
        """The state of a task."""
        return str(self.get(f"tasks/{task}")["status"])

    def state(self, run: str) -> str:
        """The state of a run."""
        return str(self.get(f"runs/{run}")["state"])

    def reaches(self, task: str, *states: str) -> str:
        """Wait until a task is in one of these states; its latest run."""
        until(lambda: self.status(task) in states, f"{task} does not become {states}, it is {self.status(task)}")
        return self.run_of(task)

    def run_of(self, task: str) -> str:
        """The latest run of a task."""
        found = self.get(f"tasks/{task}")["runs"]
        return str(max(found, key=lambda each: int(each["attempt"]))["run"]) if found else ""

    def waits(self, *calls: dict[str, Any], **fields: Any) -> str:  # noqa: ANN401  # fields of a task
        """The run of an agent that waits for a yes to its first call."""
        return self.reaches(self.agent(*calls, **fields), "waiting_for_approval")

    def asked(self, run: str) -> dict[str, Any]:
        """What a run waits for."""
        return next(each for each in self.items("approvals") if each["run"] == run)

    def done(self, *argv: str, **fields: Any) -> str:  # noqa: ANN401  # fields of a task
        """The run of a command that is over."""
        return self.reaches(self.command(*argv, **fields), "completed", "blocked")

    def by_people(self, after: int) -> list[str]:
        """What people did behind a position, whichever way; what dispatchers do meanwhile is none of it."""
        found = self.items("events", after=after, limit=500)
        return [each["topic"] for each in found if each["actor"].startswith("operator:")]

    def events(self, run: str) -> list[str]:
        """The topics of a run, without their versions."""
        return [each["topic"].rpartition(".v")[0] for each in self.items(f"runs/{run}/events", limit=500)]


class Rich(House):
    """A house in which everything that the page shows is there once."""

    def __init__(self, at: Served) -> None:
        super().__init__(at)
        self.hello = self.reaches(self.command(*BOTH, subject="says hello"), "completed")
        self.failed_task = self.command("sh", "-c", "echo no >&2; exit 3", subject="says no")
        self.failed = self.reaches(self.failed_task, "blocked")
        self.report = self.reaches(self.queue({"objective": "x"}, requested_profile="it", kind="report"), "completed")
        self.watched = self.reaches(self.agent(ECHO, profile="runner", subject="an agent"), "completed")
        self.later = self.queue({"objective": "y"}, available_at=LATER, subject="much later")
        self.asks = self.waits(ECHO, subject="asks first")
        self.question = self._asked()
        self.post("schedules", name="nightly", task=_ticks(), interval_seconds=1800)
        self.post("workflows", template="goal-loop", instance_key="w1", context={"goal": "x"})
        told = {"sensor_id": "disk", "event_id": "e1", "source_ref": "x", "dedupe_key": "k1", "payload": {"free": 1}}
        self.post("sensors/events", **told)
        until(self._is_quiet, "it does not come to rest")
        self.post("snapshots", label="first")

    def _is_quiet(self) -> bool:
        """Whether all that can be done is done."""
        open_ones = [
            each
            for each in self.items("tasks", limit=500)
            if each["status"] in ("pending", "running", "retryable_failure")
        ]
        return [each["task"] for each in open_ones] == [self.later]

    def _asked(self) -> str:
        task = self.post("threads/t1/messages", text="a question")["task_id"]
        return self.reaches(task, "waiting_for_approval")

    def addresses(self) -> dict[str, str]:
        """Every page, by a name for its picture."""
        sides = ("timeline", "log", "output", "state", "decisions", "artifacts", "why")
        plain = (
            "tasks", "runs", "approvals", "threads", "schedules", "sensors", "workflows", "adapters", "outbox",
            "files", "log", "sql", "report",
        )  # fmt: skip
        asked = self.asked(self.question)["call"]
        return (
            {"now": "/"} | {name: f"/{name}" for name in plain}
            | {f"run-{side}": f"/runs/{self.watched}#{side}" for side in sides}
            | {
                "task": f"/tasks/{self.failed_task}", "replay": f"/runs/{self.watched}/replay",
                "approval": f"/approvals/{self.asks}/c1", "question": f"/approvals/{self.question}/c{asked}",
                "thread": "/threads/t1", "workflow": "/workflows/w1", "file": "/files?path=reports/s.md",
                "event": "/log?at=5", "answer": "/sql?q=SELECT status, count(*) AS n FROM tasks GROUP BY 1",
                "compared": "/report?before=1", "run-report": f"/runs/{self.report}#artifacts",
            }
        )  # fmt: skip


def _ticks() -> dict[str, Any]:
    return {"kind": "tick", "source": "schedule", "payload": {"objective": "look"}, "requested_adapter": "worker"}


def furnished(folder: Path, more: str = "") -> Path:
    """A home with this configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    run(folder, "init")
    (folder / "rt.toml").write_text(CONFIG + more)
    (folder / "decider.py").write_text(DECIDER)
    for name, text in (("worker", WORKER), ("waits", WAITS)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return folder


@contextmanager
def house(folder: Path, *arguments: str, more: str = "") -> Iterator[House]:
    """Such a home, served, with a dispatcher in the server."""
    with served(furnished(folder, more), "--work", *arguments) as at:
        found = House(at)
        try:
            yield found
        finally:
            found.close()


@contextmanager
def rich(folder: Path, *arguments: str) -> Iterator[Rich]:
    """A home in which much happened, served, with a dispatcher in the server."""
    with served(furnished(folder), "--work", *arguments) as at:
        found = Rich(at)
        try:
            yield found
        finally:
            found.close()


@contextmanager
def served_by(folder: Path, program: str) -> Iterator[Served]:
    """The home, served by a program that is not quite today's: the changes stand in it before it serves."""
    serve = "import sys\nfrom commands.cli import main\nsys.argv = ['rt', 'serve', '--port', '0', '--json']\nmain()\n"
    with (folder / "changed.err").open("w") as problems:
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", program + serve],
            cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=problems, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, (folder / "changed.err").read_text()
    try:
        yield Served(folder, process, json.loads(line))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(WITHIN_S)
        process.stdout.close()
