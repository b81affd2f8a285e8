"""Programs that stand in for coding agents: each notes byte for byte what it was given, then does what a test says.

`Bench` is a folder with such programs; what its log holds is read from the log itself.
"""

import base64
import contextlib
import json
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec

from adapters.log_read import ReadLog
from domain.bundle import BASE_ENV
from domain.events import Event, Recorded, Text
from domain.verification import Check
from tests.commands.place import Done, Place, until

RETRY = "[retry]\nattempts = 3\nbackoff_s = 0.01\nbackoff_max_s = 0.01\n[work]\nkill_grace_s = 0.3\n"
_PRELUDE = """\
#!{python} -IS
import base64, json, os, signal, subprocess, sys, time
if sys.argv[1:] == ["--version"]:
    print("fake 1.2")
    sys.exit()
given = sys.stdin.buffer.read()
folder = {folder!r}
number = 1 + len([each for each in os.listdir(folder) if each.endswith(".json")])
seen = {{
    "argv": [base64.b64encode(os.fsencode(each)).decode() for each in sys.argv],
    "env": {{name: value for name, value in os.environ.items()}},
    "stdin": base64.b64encode(given).decode(),
    "cwd": os.getcwd(),
    "pid": os.getpid(),
}}
with open(f"{{folder}}/{{number}}.new", "w") as file:
    json.dump(seen, file)
os.rename(f"{{folder}}/{{number}}.new", f"{{folder}}/{{number}}.json")
def option(name):
    return sys.argv[sys.argv.index(name) + 1]
def out(text):
    sys.stdout.buffer.write(text.encode() if isinstance(text, str) else text)
    sys.stdout.buffer.flush()
def err(text):
    sys.stderr.write(text)
    sys.stderr.flush()
def write(path, text):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
def last(text):
    write(option("--output-last-message"), text if isinstance(text, str) else json.dumps(text))
def artifact(path, text):
    write(os.path.join(os.environ["RT_ARTIFACT_DIR"], path), text)
def event(kind, **fields):
    out(json.dumps({{"type": kind, **fields}}) + "\\n")
DONE = {{"status": "completed", "operator_summary": "did it", "machine_status": "ok"}}
"""


@dataclass(frozen=True)
class Seen:
    """What a program was given."""

    argv: list[bytes]
    env: dict[str, str]
    stdin: bytes
    cwd: str
    pid: int

    @property
    def arguments(self) -> list[str]:
        """The arguments behind the command."""
        return [each.decode() for each in self.argv[1:]]


@dataclass(frozen=True)
class Run:
    """A run as it is in the log."""

    task: str
    run: str
    events: tuple[Recorded, ...]
    log: ReadLog

    def of(self, name: str) -> list[Any]:
        """The events of this name, such as `run.finished`."""
        return [each.data for each in self.events if each.data.__struct_config__.tag == name]

    def one(self, name: str) -> Any:  # noqa: ANN401  # an event of that name
        """The only event of this name."""
        (found,) = self.of(name)
        return found

    @property
    def names(self) -> list[str]:
        """The names of all events of the run, in order."""
        return [str(each.data.__struct_config__.tag) for each in self.events]

    @property
    def end(self) -> tuple[str, str, str]:
        """How it ended: state, retry, cause."""
        found = self.one("run.finished")
        return found.state, found.retry, found.cause

    @property
    def usage(self) -> tuple[int | None, int | None, int | None]:
        """Tokens in, tokens out, billionths of a dollar."""
        found = self.one("run.finished")
        return found.tokens_in, found.tokens_out, found.cost_nusd

    @property
    def task_event(self) -> Event:
        """What its end meant for the task."""
        return [each.data for each in self.events if each.stream == self.task][-1]

    def text(self, text: Text | None) -> bytes:
        """The content of a text that an event names."""
        assert text is not None, "there is no such text"
        return self.log.blob(self.task, text)

    @cached_property
    def outcome(self) -> dict[str, Any]:
        """The outcome that it reported."""
        found: dict[str, Any] = json.loads(self.text(self.one("run.finished").outcome))
        return found

    @cached_property
    def bundle(self) -> dict[str, Any]:
        """The document of its bundle."""
        found: dict[str, Any] = json.loads(self.text(self.one("run.started").bundle))
        return found

    @cached_property
    def prompt(self) -> str:
        """The prompt as it is stored."""
        return self.text(self.one("run.started").prompt).decode()

    @cached_property
    def checks(self) -> list[tuple[str, str, str]]:
        """What was verified: what, path, result."""
        found = msgspec.json.decode(self.text(self.one("run.verified").checks), type=tuple[Check, ...])
        return [(each.what, each.path, each.result) for each in found]

    @property
    def issues(self) -> list[tuple[str, str]]:
        """What was found wrong: what, path."""
        return [(what, path) for what, path, result in self.checks if result == "failed"]


@dataclass(frozen=True)
class Bench:
    """A folder with fake programs, and the real `rt`."""

    place: Place
    earlier: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where rt.toml lies."""
        return self.place.folder

    def program(self, name: str, body: str = "") -> str:
        """An executable of this name that does `body`; its path. What earlier ones saw is forgotten."""
        folder = self.folder / "seen" / name
        folder.mkdir(parents=True, exist_ok=True)
        for each in folder.iterdir():
            each.unlink()
        prelude = _PRELUDE.format(python=sys.executable, folder=str(folder))
        return self.place.script(name, prelude + textwrap.dedent(body))

    def seen(self, name: str) -> list[Seen]:
        """What this program was given, each time that it was started."""
        files = sorted((self.folder / "seen" / name).glob("*.json"), key=lambda path: int(path.stem))
        return [_seen(json.loads(path.read_text())) for path in files]

    def config(self, text: str) -> None:
        """What is configured from now on."""
        self.place.config(textwrap.dedent(text) + RETRY)

    def queue_also(self, **task: Any) -> str:  # noqa: ANN401  # fields of a task input
        """Take a further task in beside the others; its id."""
        others = [self.earlier.pop() for _ in list(self.earlier)]
        found = self.queue(**task)
        self.earlier.extend(others)
        return found

    def queue(self, **task: Any) -> str:  # noqa: ANN401  # fields of a task input
        """Take a task in; its id. What is left of earlier ones is canceled first."""
        while self.earlier:
            task_before = self.earlier.pop()
            if self.status(task_before)[0] in ("pending", "retryable_failure"):
                self.place.ok("cancel", task_before, "--reason", "another test")
        document = {"kind": "work", "source": "test", "payload": {}} | task
        found: str = self.place.ok("intake", "-", "--json", stdin=json.dumps(document).encode()).document["task_id"]
        self.earlier.append(found)
        return found

    def cycle(self, *, env: dict[str, str] | None = None) -> Done:
        """Drive at most one run."""
        return self.place.rt("run-once", "--json", env=env)

    def run(self, *, env: dict[str, str] | None = None, **task: Any) -> Run:  # noqa: ANN401  # fields of a task input
        """Take a task in and drive one run of it."""
        queued = self.queue(**task)
        done = self.cycle(env=env)
        assert done.code == 0, done
        assert done.document["task_id"] == queued, done
        return self.last(queued)

    def again(self, task: str) -> Run:
        """Drive one more run of a task that is due."""
        self.place.ok("run-once", "--json")
        return self.last(task)

    def settle(self, task: str, *, most: int = 30) -> list[Run]:
        """Drive a task until nothing is tried again, but at most so many runs; all its runs."""
        for _ in range(most):
            found = self.log.task(task)
            assert found is not None, "it was taken in"
            if found.status.value not in ("pending", "retryable_failure", "running"):  # the last: of one who died
                break
            until(lambda due_us=found.due_at_us: time.time_ns() // 1_000 >= due_us)  # type: ignore[misc]  # its default
            self.place.ok("run-once", "--json")
        return self.runs(task)

    @cached_property
    def log(self) -> ReadLog:
        """The log, to be looked into."""
        return ReadLog(self.place.state)

    def runs(self, task: str) -> list[Run]:
        """All runs of a task, oldest first."""
        own = self.log.stream(task)
        claims = [at for at, event in enumerate(own) if event.data.__struct_config__.tag == "task.claimed"]
        return [self._run(task, own[at:end]) for at, end in zip(claims, [*claims[1:], len(own)], strict=True)]

    def _run(self, task: str, own: list[Recorded]) -> Run:
        run: str = own[0].data.run  # type: ignore[union-attr]  # it begins with a claim
        events = sorted([*own, *self.log.stream(run)], key=lambda event: event.position)
        return Run(task, run, tuple(events), self.log)

    def last(self, task: str) -> Run:
        """The latest run of a task."""
        return self.runs(task)[-1]

    def status(self, task: str) -> tuple[str, str]:
        """The state of a task, and its cause."""
        found = self.log.task(task)
        assert found is not None, "it was taken in"
        return found.status.value, found.cause

    def everything(self) -> Iterator[tuple[str, bytes]]:
        """Every file below the home, and the log as it is exported."""
        for path in self.place.state.rglob("*"):
            if path.is_file():
                with contextlib.suppress(FileNotFoundError):
                    yield str(path), path.read_bytes()
        yield "the exported log", self.place.ok("log", "export").out

    def replays(self) -> None:
        """Each run of the log replays identically, whatever the hashes of strings are."""
        for seed in ("0", "4242"):
            done = self.place.rt("replay", "--all", env={"PYTHONHASHSEED": seed})
            assert done.code == 0, done


def allowed(seen: Seen) -> set[str]:
    """The variables of a program beside the fixed list, the locale, and those that tell it of its task."""
    told = ("RT_", "AGENT_RUNTIME_", "LC_")
    return {name for name in seen.env if name not in BASE_ENV and not name.startswith(told)}


def _seen(document: dict[str, Any]) -> Seen:
    argv, stdin = [base64.b64decode(each) for each in document["argv"]], base64.b64decode(document["stdin"])
    return Seen(argv=argv, env=document["env"], stdin=stdin, cwd=document["cwd"], pid=document["pid"])
