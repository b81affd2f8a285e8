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
    """One answer. `late_s`: how long it takes; `length` lies about its size.

    With `parts` it is a stream: each part after a pause, and the end of the connection behind the last one.
    """

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    late_s: float = 0.0
    length: int | None = None
    parts: tuple[bytes, ...] = ()
    pause_s: float = 0.0


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


def streamed(*pieces: str, done: bool = True, pause_s: float = 0.0, **more: Any) -> Answer:  # noqa: ANN401
    """The same answer piece by piece, as Ollama streams it; without its end where it is not done."""
    lines = [{"model": "m", "done": False, "response": piece} for piece in pieces]
    used = {"prompt_eval_count": 26, "eval_count": 298, "total_duration": 5_043_500_667, "context": [1, 2, 3]}
    last = [{"model": "m", "done": True, "response": ""} | used | more] if done else []
    parts = tuple(json.dumps(each).encode() + b"\n" for each in [*lines, *last])
    return Answer(headers={"content-type": "application/x-ndjson"}, parts=parts, pause_s=pause_s)


def spoken(*pieces: str, done: bool = True) -> Answer:
    """The same as server-sent events of OpenAI's kind."""
    events: list[Any] = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
    if done:
        events += [
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 7}},
        ]
    parts = [b"data: " + json.dumps(each).encode() + b"\n\n" for each in events]
    parts += [b"data: [DONE]\n\n"] if done else []
    return Answer(headers={"content-type": "text/event-stream; charset=utf-8"}, parts=tuple(parts))


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
        if answer.parts:
            self._stream(answer)
            return
        size = len(answer.body) if answer.length is None else answer.length
        for name, value in {"content-type": "application/json", "content-length": str(size)}.items():
            self.send_header(name, value)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)
        self.close_connection = True

    def _stream(self, answer: Answer) -> None:
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        end_s = time.monotonic() + _SECONDS_MAX
        for part in answer.parts:
            self.wfile.write(part)
            self.wfile.flush()
            if time.monotonic() > end_s or self.server.stopping.wait(answer.pause_s):
                break
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
