"""A real `rt serve` as a process of its own, on a free port, with tokens of every scope."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from adapters.log_reader import LogReader

T = TypeVar("T")
SCOPES: Final = ("read", "approve", "operate", "admin", "sql")
_NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # else each client reads the certificates of the whole world
WITHIN_S: Final = 60.0  # generous: a slow machine is no defect


class Served:
    """A server and its home."""

    def __init__(self, folder: Path, process: subprocess.Popen[str], said: dict[str, Any]) -> None:
        self.folder = folder
        self.process = process
        self.url: str = said["url"]
        self.link: str = said["link"]
        self.tokens: dict[str, str] = {}

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def code(self) -> str:
        """The one-time code of the link that was printed."""
        return self.link.partition("#code=")[2]

    def rt(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in this home."""
        return run(self.folder, *arguments, check=check)

    def token(self, *scopes: str) -> str:
        """A token with these scopes, made once."""
        name = "-".join(scopes)
        if name not in self.tokens:
            given = [word for scope in scopes for word in ("--scope", scope)]
            made = self.rt("token", "new", *given, "--name", name, "--json")
            self.tokens[name] = json.loads(made.stdout)["token"]
        return self.tokens[name]

    def client(self, *scopes: str, headers: dict[str, str] | None = None) -> httpx.Client:
        """A client with a token of these scopes; without any, a stranger."""
        own = {"authorization": f"Bearer {self.token(*scopes)}"} if scopes else {}
        return httpx.Client(
            base_url=self.url, headers=own | (headers or {}), timeout=WITHIN_S, trust_env=False, verify=_NO_TLS
        )

    def head(self) -> tuple[int, bytes]:
        """The last position of the log and its hash, as the file has it."""
        log = LogReader(self.folder / ".rt")
        try:
            return log.head()
        finally:
            log.close()

    def stop(self) -> int:
        """End it as Ctrl-C does; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)


def environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("RT_")}
    return own | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def run(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "rt_runtime", *arguments],
        cwd=folder, env=environment(), capture_output=True, text=True, timeout=WITHIN_S, check=False,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stderr
    return done


@contextmanager
def served(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Served]:
    """A server of the home in a folder, which is made where there is none."""
    folder.mkdir(exist_ok=True, parents=True)
    if not (folder / ".rt").exists() and not (folder / "rt.toml").exists():
        run(folder, "init")
    with (folder / "serve.err").open("w") as problems:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "rt_runtime", "serve", "--port", "0", "--json", *arguments],
            cwd=folder, env=environment() | (env or {}), stdout=subprocess.PIPE, stderr=problems, text=True,
        )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, (folder / "serve.err").read_text()
    found = Served(folder, process, json.loads(line))
    try:
        yield found
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def until(answer: Callable[[], T], what: str, within_s: float = WITHIN_S) -> T:
    """Ask again and again until the answer is true; what it was."""
    ends_s = time.monotonic() + within_s
    while time.monotonic() < ends_s:
        found = answer()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(what)
