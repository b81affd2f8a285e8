"""A fresh folder in which the real program is run, and what it answered."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters.log_reader import LogReader, RawRow
from tests.commands.zygote import fits, zygote

ROOT = Path(__file__).resolve().parents[2]
RT = (sys.executable, "-P", "-m", "rt_runtime")
FAST_RETRY = "[retry]\nattempts = 3\nbackoff_s = 0.01\nbackoff_max_s = 0.01\n[work]\nkill_grace_s = 0.3\n"


@dataclass(frozen=True)
class Done:
    """How the program ended, and what it said."""

    code: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def errors(self) -> str:
        return self.err.decode()

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        (line,) = self.out.splitlines()
        found: dict[str, Any] = json.loads(line)
        return found

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The JSON lines on stdout, without the closing one."""
        return self._lines()[:-1]

    @property
    def end(self) -> dict[str, Any]:
        """The closing line of a list."""
        return self._lines()[-1]

    @property
    def error(self) -> dict[str, Any]:
        """The error of a --json command: the last line on stderr, nothing on stdout."""
        assert self.out == b"", self
        assert self.err, self
        found: dict[str, Any] = json.loads(self.err.splitlines()[-1])["error"]
        return found

    def _lines(self) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.out.splitlines()]
        assert found, self
        assert found[-1]["schema"] == "rt.end.v1"
        return found


@dataclass(frozen=True)
class Place:
    """A folder that is current directory and HOME of the program at once."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        return self.folder / ".rt"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of ours but the path."""
        own = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
        return own | self.variables

    def rt(
        self,
        *argv: str | bytes,
        stdin: bytes = b"",
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> Done:
        """Run a command to its end."""
        own = self.environment | dict(env or {})
        if prepare is None and fits(own):
            return Done(*zygote().run(argv, cwd or self.folder, own, stdin, 60))
        done = subprocess.run(
            [*RT, *argv],
            input=stdin,
            capture_output=True,
            cwd=cwd or self.folder,
            env=own,
            timeout=60,
            check=False,
            preexec_fn=prepare,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def ok(self, *argv: str | bytes, stdin: bytes = b"") -> Done:
        """Run a command that must work."""
        done = self.rt(*argv, stdin=stdin)
        assert done.code == 0, done
        return done

    def json(self, *argv: str) -> dict[str, Any]:
        """The one object that a command prints."""
        return self.ok(*_with_json(argv)).document

    def rows(self, *argv: str) -> list[dict[str, Any]]:
        """The objects that a command lists."""
        return self.ok(*_with_json(argv)).documents

    def do(self, *argv: str, options: Sequence[str] = ()) -> dict[str, Any]:
        """Run a command as a task here; what `rt do --json` answers, whatever came of it."""
        return self.rt("do", *options, "--json", "--", *argv).document

    def queue(self, *argv: str, options: Sequence[str] = ()) -> str:
        """Take a command in; its task."""
        found: str = self.ok("intake", *options, "--json", "--", *argv).document["task_id"]
        return found

    def config(self, text: str = FAST_RETRY) -> "Place":
        """Write rt.toml."""
        (self.folder / "rt.toml").write_text(text)
        return self

    def script(self, name: str, text: str) -> str:
        """An executable file; its path."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    @contextmanager
    def started(self, *argv: str) -> Iterator["subprocess.Popen[bytes]"]:
        """A command that runs beside the test; whatever is left of it is killed."""
        with subprocess.Popen(
            [*RT, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def head(self) -> int:
        """The log's last position; 0 when there is no log yet."""
        return len(self._stored())

    def topics(self) -> list[str]:
        """The topics of all events, in order."""
        return [row.topic for row in self._stored()]

    def events(self, topic: str) -> list[dict[str, Any]]:
        """The fields of all events of a topic."""
        return [json.loads(row.state)["data"] for row in self._stored() if row.topic == topic]

    def _stored(self) -> list[RawRow]:
        """Every event; none while the log is still being made."""
        if not (self.state / "log.db").exists():
            return []
        reader = LogReader(self.state)
        try:
            return reader.rows(0, 1 << 62, 1 << 30)
        except sqlite3.OperationalError:
            return []
        finally:
            reader.close()

    def task(self, task: str) -> dict[str, Any]:
        """A task as `rt task show` tells it."""
        return self.json("task", "show", task)

    def files(self) -> set[str]:
        """Everything below the folder."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}


def _with_json(argv: Sequence[str]) -> list[str]:
    at = argv.index("--") if "--" in argv else len(argv)
    return [*argv[:at], "--json", *argv[at:]]


def until(holds: Callable[[], object], *, seconds: float = 15.0) -> None:
    """Wait for something that must come true."""
    end_s = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end_s, "waited in vain"
        time.sleep(0.01)


def finished(process: "subprocess.Popen[bytes]", *, seconds: float = 20.0) -> Done:
    """Wait for a started command."""
    out, err = process.communicate(timeout=seconds)
    return Done(process.returncode, out, err)


def interrupt(process: "subprocess.Popen[bytes]", number: signal.Signals = signal.SIGINT) -> None:
    """Send a signal to the program alone, as `kill` does."""
    os.kill(process.pid, number)


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
