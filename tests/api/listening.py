"""A listener as bytes on a socket: it can be cut anywhere, be slow on purpose, and knows only what it saw whole."""

import itertools
import json
import socket
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from adapters.log_read import ReadLog
from domain.events import Recorded
from tests.api.serving import WITHIN_S, Served

STREAM: Final = "/api/v1/stream"
OLD: Final = "/api/stream"
ADAPTER: Final = 'default_adapter = "it"\n[adapters.it]\ncommand = "/bin/true"\noutcome = "exit"\n'
_NUMBERS = itertools.count(1)


class Told(NamedTuple):
    """A server-sent event that came whole."""

    id: int | None
    name: str
    data: Any


class Ear:
    """One connection that listens."""

    def __init__(
        self, served: Served, path: str = STREAM, *, last: int | str | None = None, receive_bytes: int = 0
    ) -> None:
        self.heard: list[Told] = []
        self.comments = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()  # all of it, as it came
        self.is_over = False  # the server ended the stream, though the connection may live on
        self._raw, self._text, self._left = bytearray(), bytearray(), 0
        token = served.token("read")
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(WITHIN_S)
        self.socket.connect(("127.0.0.1", served.port))
        named = "" if last is None else f"Last-Event-ID: {last}\r\n"
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
            f"Authorization: Bearer {token}\r\n{named}\r\n".encode("latin-1")
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    @property
    def last(self) -> int | None:
        """The id of the last event that came whole and had one."""
        return next((told.id for told in reversed(self.heard) if told.id is not None), None)

    @property
    def positions(self) -> list[int]:
        """The positions of the log's events that came, in the order in which they came."""
        return positions(self.heard)

    def more(self, most: int = 65_536) -> int:
        """Wait for some bytes, so many at most; how many came, 0 at the end."""
        if self.is_over:
            return 0
        try:
            part = self.socket.recv(most)
        except ConnectionError:
            return 0
        self._raw += part
        self._parse()
        return len(part)

    def until(self, fits: Callable[[Told], bool]) -> Told:
        """Listen until an event fits; that one."""
        looked = 0
        while True:
            for told in self.heard[looked:]:
                if fits(told):
                    return told
            looked = len(self.heard)
            assert self.more(), f"the stream ended: {self.status} {bytes(self.body[-300:])!r}"

    def until_position(self, position: int) -> None:
        """Listen until it knows everything up to a position."""
        self.until(lambda told: told.id is not None and told.id >= position)

    def caught_up(self) -> Told:
        """Listen until everything that was there has come."""
        return self.until(lambda told: told.name in ("caught_up", "dashboard"))

    def to_the_end(self) -> "Ear":
        """Listen until the server ends it."""
        while self.more():
            pass
        return self

    def problem(self) -> dict[str, Any]:
        """The document of an answer that is no stream."""
        while not (self.status and len(self.body) >= int(self.headers["content-length"])):
            assert self.more()
        found: dict[str, Any] = json.loads(self.body)
        return found

    def _parse(self) -> None:
        if not self.status:
            head, mark, rest = bytes(self._raw).partition(b"\r\n\r\n")
            if not mark:
                return
            line, *lines = head.decode("latin-1").split("\r\n")
            self.status = int(line.split(" ")[1])
            self.headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
            self._raw = bytearray(rest)
        self._unchunk()
        *whole, rest = bytes(self._text).split(b"\n\n")
        self._text = bytearray(rest)
        if self.status == 200:
            for text in whole:
                self._one(text.decode())

    def _unchunk(self) -> None:
        """Move the body out of its chunks, also the part of one that is not here whole."""
        if self.headers.get("transfer-encoding") != "chunked":
            self._keep(len(self._raw))
            return
        while self._raw:
            if self._left > 2:  # and the two bytes behind it
                self._left -= self._keep(min(self._left - 2, len(self._raw)))
            elif self._left:
                taken = min(self._left, len(self._raw))
                del self._raw[:taken]
                self._left -= taken
            elif (end := self._raw.find(b"\r\n")) >= 0:
                size = int(self._raw[:end], 16)
                self._left, self.is_over = size + 2, not size
                del self._raw[: end + 2]
            else:
                return

    def _keep(self, size: int) -> int:
        self.body += self._raw[:size]
        self._text += self._raw[:size]
        del self._raw[:size]
        return size

    def _one(self, text: str) -> None:
        fields = dict(line.split(": ", 1) for line in text.split("\n") if not line.startswith(":"))
        if text.startswith(":"):
            self.comments += 1
        if "event" in fields:
            named = fields.get("id")
            self.heard.append(Told(None if named is None else int(named), fields["event"], json.loads(fields["data"])))


def positions(heard: list[Told]) -> list[int]:
    """The positions of the log's events among what was heard, of both streams."""
    found: list[int] = []
    for told in heard:
        if told.name == "events":
            found += [event["id"] for event in told.data["events"]]
        elif told.name not in ("caught_up", "dashboard", "overflow"):
            found.append(told.data["position"])
    return found


def recorded(served: Served, after: int = 0) -> list[Recorded]:
    """What is in the log, read from its file by this process."""
    log = ReadLog(served.folder / ".rt")
    try:
        return log.read(after, 1 << 40)
    finally:
        log.close()


def task(**more: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of a task
    """A task that waits for long, under a number of its own."""
    number = next(_NUMBERS)
    made = {"kind": "k", "source": "test", "subject": f"part {number}", "payload": {"goal": f"part {number}"}}
    return made | {"available_at": "2099-01-01T00:00:00Z"} | more


def lines(folder: Path, count: int, **more: Any) -> Path:  # noqa: ANN401  # fields of each task
    """A file of so many tasks, for `rt intake --lines`."""
    path = folder / f"lines-{next(_NUMBERS)}.jsonl"
    path.write_text("".join(f"{json.dumps(task(**more))}\n" for _ in range(count)))
    return path


def told(served: Served) -> int:
    """Wait until the server has told everything that is in the log; its head."""
    head = served.head()[0]
    with served.client("read") as client:
        assert client.get("/api/v1/status", params={"min_position": head}).status_code == 200
    return head


def taken_in(served: Served, **more: Any) -> int:  # noqa: ANN401  # fields of a task
    """Take a task in; the position at which it is durable."""
    with served.client("operate") as client:
        done = client.post("/api/v1/tasks", json=task(**more))
        assert done.status_code == 201, done.text
        return int(done.json()["position"])
