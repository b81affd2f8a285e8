"""A server of models on 127.0.0.1, of Ollama's kind and of OpenAI's: it answers what a test puts into it, in order."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIGEST = "sha256:" + "ab" * 32
_SECONDS_MAX = 30.0  # no answer takes longer, whatever the test forgot


@dataclass(frozen=True)
class Answer:
    """One answer. `late_s`: how long it takes; `length` lies about its size."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    late_s: float = 0.0
    length: int | None = None


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Models:
    """What the test holds. The last answer stays; what is asked by GET goes by `listed`."""

    base: str = ""
    answers: list[Answer] = field(default_factory=list)
    listed: Answer = field(default_factory=Answer)
    asked: list[Asked] = field(default_factory=list)

    @property
    def posts(self) -> list[Asked]:
        """The requests for an answer."""
        return [each for each in self.asked if each.method == "POST"]

    def begin(self, *answers: Answer) -> None:
        """Forget what came, and answer this from now on."""
        self.asked.clear()
        self.answers[:] = answers
        self.listed = Answer(json.dumps({"models": [{"name": "m:latest", "digest": DIGEST}]}).encode())


def generated(response: object, **more: Any) -> Answer:  # noqa: ANN401  # fields of the answer
    """An answer of `api/generate`; the response is JSON, or a text as it is."""
    text = response if isinstance(response, str) else json.dumps(response)
    used = {"prompt_eval_count": 26, "eval_count": 298, "total_duration": 5_043_500_667}
    return Answer(json.dumps({"model": "m", "done": True, "response": text} | used | more).encode())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_GET(self) -> None:
        self._note(b"")
        self._send(self.server.models.listed)

    def do_POST(self) -> None:
        self._note(self.rfile.read(int(self.headers["content-length"])))
        answers = self.server.models.answers
        self._send(answers.pop(0) if len(answers) > 1 else answers[0])

    def _note(self, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.models.asked.append(Asked(self.command, self.path, headers, body))

    def _send(self, answer: Answer) -> None:
        end_s = time.monotonic() + min(answer.late_s, _SECONDS_MAX)
        while time.monotonic() < end_s and not self.server.stopping.wait(0.02):
            pass
        self.send_response(answer.status)
        size = len(answer.body) if answer.length is None else answer.length
        for name, value in {"content-type": "application/json", "content-length": str(size)}.items():
            self.send_header(name, value)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        self.close_connection = True

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # its name in the base class
        """What comes is noted already."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stopping = threading.Event()
        self.models = Models(f"http://127.0.0.1:{self.server_address[1]}")

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what is tested."""


@contextmanager
def serving() -> Iterator[Models]:
    """The server in a thread, for the length of a test."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.models
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
