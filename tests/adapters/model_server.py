"""A chat endpoint on 127.0.0.1 that is good or bad, as the path of its base URL asks for. It stops by itself."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FINISH = '{"type":"finish","message":"all is well"}'
_SECONDS_MAX = 30.0  # no answer takes longer, whatever the test forgot
_JSON = ("content-type", "application/json")


def completion(content: str | None, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of a message
    """A whole answer. `usage` and `finish_reason` stand beside the message, all else is in it."""
    usage = more.pop("usage", {"prompt_tokens": 100, "completion_tokens": 20})
    choice = {"index": 0, "finish_reason": more.pop("finish_reason", "stop")}
    message = {"role": "assistant", "content": content} | more
    document = {"object": "chat.completion", "model": "m-1", "choices": [choice | {"message": message}]}
    return document | ({"usage": usage} if usage is not None else {})


def called(*calls: tuple[str, str]) -> dict[str, Any]:
    """An answer that calls tools, each with its arguments as text."""
    made = [
        {"id": f"x{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for at, (name, arguments) in enumerate(calls)
    ]
    return completion(None, tool_calls=made, finish_reason="tool_calls")


def events(*deltas: dict[str, Any], finish: str = "stop", done: bool = True) -> bytes:
    """The same as server-sent events."""
    sent: list[dict[str, Any]] = [{"model": "m-1", "choices": [{"index": 0, "delta": each}]} for each in deltas]
    if finish:
        sent.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    sent.append({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20}})
    text = ": comment\n\n" + "".join(f"data: {json.dumps(each)}\n\n" for each in sent)
    return (text + ("data: [DONE]\n\n" if done else "")).encode()


@dataclass
class Seen:
    """A request that came."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Model:
    """What the test holds: where the server is, what it was asked, and what it answers next."""

    base: str = ""
    seen: list[Seen] = field(default_factory=list)
    script: list[dict[str, Any]] = field(default_factory=list)  # answers under /script, in order; the last one stays

    @property
    def paths(self) -> list[str]:
        """The paths of all requests."""
        return [each.path for each in self.seen]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "_Server"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        self.server.model.seen.append(Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        way = self.path.split("/")[1]
        _WAYS[way](self)

    def send(self, body: bytes, *headers: tuple[str, str], status: int = 200, length: int | None = None) -> None:
        """An answer; `length` lies about its size."""
        self.send_response(status)
        size = str(len(body) if length is None else length)
        for name, value in (*(headers or (_JSON,)), ("content-length", size), ("connection", "close")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
        self.close_connection = True

    def answer(self, document: object) -> None:
        """A JSON answer."""
        self.send(json.dumps(document).encode())

    def stream(self, body: bytes) -> None:
        """Server-sent events, until the connection is closed."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream; charset=utf-8")
        self.send_header("connection", "close")
        self.end_headers()
        for at in range(0, len(body), 7):  # pieces that respect no border
            self.wfile.write(body[at : at + 7])
        self.wfile.flush()
        self.close_connection = True

    def drip(self, seconds: float) -> None:
        """One byte now and then."""
        self.send(b"", length=100_000)
        until_s = time.monotonic() + min(seconds, _SECONDS_MAX)
        while time.monotonic() < until_s and not self.server.stopping.wait(0.05):
            self.wfile.write(b" ")
            self.wfile.flush()

    def late(self, seconds: float) -> None:
        """A good answer, after a while."""
        if not self.server.stopping.wait(min(seconds, _SECONDS_MAX)):
            self.answer(completion(FINISH))

    def scripted(self) -> None:
        """The next of the answers that the test gave."""
        script = self.server.model.script
        self.answer(script.pop(0) if len(script) > 1 else script[0])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Stay silent."""


def _busy(value: str | None) -> Callable[[_Handler], None]:
    def answer(handler: _Handler) -> None:
        after = (("retry-after", value),) if value is not None else ()
        handler.send(b'{"error":"slow down"}', _JSON, *after, status=429)

    return answer


def _says(document: object) -> Callable[[_Handler], None]:
    return lambda handler: handler.answer(document)


def _streams(body: bytes) -> Callable[[_Handler], None]:
    return lambda handler: handler.stream(body)


def _in_s(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


def _echo_key(handler: _Handler) -> None:
    handler.answer(completion(f"you sent {handler.headers['authorization']}"))


_WAYS: dict[str, Callable[[_Handler], None]] = {
    "good": _says(completion(FINISH)),
    "fenced": _says(completion(f"```json\n{FINISH}\n```")),
    "unknown": _says(completion(FINISH[:-1] + ',"mood":"fine"}') | {"mood": "fine"}),
    "nousage": _says(completion(FINISH, usage=None)),
    "garbage": _says(completion("I would rather not say.")),
    "schema": _says(completion('{"type":"finish"}')),
    "empty": _says(completion("")),
    "nochoice": _says({"choices": []}),
    "array": _says([1, 2, 3]),
    "deep": _says(completion('{"type":"tool","calls":[{"tool":"x","input":{"a":' + "[" * 5000 + "]" * 5000 + "}}]}")),
    "deepcall": _says(called(("local-process", '{"a":' + "[" * 5000 + "]" * 5000 + "}"))),
    "fence": _says(completion("```\n" + " " * 120_000)),
    "debt": _says(completion(FINISH, usage={"prompt_tokens": -7, "completion_tokens": 10**40})),
    "notjson": lambda handler: handler.send(b"<html>\xff\xfe no json</html>", ("content-type", "text/html")),
    "nothing": lambda handler: handler.send(b""),
    "huge": lambda handler: handler.send(b" " * (1 << 20)),
    "bomb": lambda handler: handler.send(gzip.compress(b" " * (1 << 20)), _JSON, ("content-encoding", "gzip")),
    "drip": lambda handler: handler.drip(_SECONDS_MAX),
    "late": lambda handler: handler.late(_SECONDS_MAX),
    "soon": lambda handler: handler.late(0.3),
    "busy": _busy(None),
    "busy1": _busy("1"),
    "busyday": _busy("86400"),
    "busydate": lambda handler: handler.send(b"", _JSON, ("retry-after", _in_s(2)), status=429),
    "busynonsense": _busy("9" * 5000),
    "broken": lambda handler: handler.send(b"oh no", status=500),
    "forbidden": lambda handler: handler.send(b'{"error":"no such key"}', status=401),
    "moved": lambda handler: handler.send(b"", ("location", f"{handler.server.model.base}/good"), status=307),
    "cut": lambda handler: handler.send(b'{"choices":[', length=10_000),
    "key": _echo_key,
    "script": lambda handler: handler.scripted(),
    "words": _streams(events({"reasoning_content": "hm"}, {"content": "hello "}, {"content": "w\u00f6rld"})),
    "finishes": _streams(events(*({"content": each} for each in FINISH))),
    "cutstream": _streams(events({"content": "hello"}, finish="", done=False)[:-20]),
    "nostream": _streams(b"\0\xff garbage\n\ndata: {oops\n\ndata: [1]\n\ndata: [DONE]\n\n"),
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.stopping = threading.Event()
        self.model: Model = Model(f"http://127.0.0.1:{self.server_address[1]}")

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what is tested."""


@contextmanager
def serving() -> Iterator[Model]:
    """The server in a thread, for the length of a test."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.model
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
