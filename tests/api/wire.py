"""HTTP as bytes on a socket, for requests that no decent client sends: doubled hosts, bad heads, many at once."""

import json
import socket
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.api.serving import WITHIN_S

Headers = Sequence[tuple[str, str]]


class Reply(NamedTuple):
    """What came back, with every header as often as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """The value of a header that comes once; empty where it does not come."""
        found = [value for each, value in self.headers if each == name]
        assert len(found) <= 1, f"{name} comes {len(found)} times: {found}"
        return found[0] if found else ""

    def json(self) -> Any:  # noqa: ANN401  # a document
        return json.loads(self.body)


class Closed(Exception):
    """The server ended the connection before an answer was whole."""


class Wire:
    """One connection."""

    def __init__(self, port: int, *, source: str = "127.0.0.1", within_s: float = WITHIN_S) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), within_s, (source, 0))
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.socket.close()

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def head(self) -> Reply:
        """The next answer without its body, which is still to be read. Raises Closed."""
        while True:
            line, *lines = self._upto(b"\r\n\r\n").decode("latin-1").split("\r\n")
            status = int(line.split(" ")[1])
            if status != 100:
                break
        headers = [(name.lower(), value.strip()) for name, _, value in (each.partition(":") for each in lines)]
        return Reply(status, headers, b"")

    def reply(self, method: str = "GET") -> Reply:
        """The next answer; which method it answers says whether there is a body. Raises Closed."""
        found = self.head()
        return found._replace(body=self.rest(method, found))

    def rest(self, method: str, found: Reply) -> bytes:
        """The body of an answer whose head was read."""
        if method == "HEAD" or found.status in (204, 304):
            return b""
        assert "event-stream" not in found.header("content-type"), "a stream has no end"
        if found.header("transfer-encoding") == "chunked":
            return b"".join(self._chunks())
        return self._exactly(int(found.header("content-length")))

    def ask(self, method: str, path: str, headers: Headers, body: bytes = b"") -> Reply:
        """Send a request and wait for what comes back."""
        self.send(request(method, path, headers, body))
        return self.reply(method)

    def is_closed(self) -> bool:
        """Wait until the server ends the connection; what it still says is passed over."""
        try:
            while self.socket.recv(65_536):
                pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True

    def _chunks(self) -> Iterable[bytes]:
        while size := int(self._upto(b"\r\n"), 16):
            yield self._exactly(size)
            self._exactly(2)
        self._exactly(2)

    def _upto(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._more()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        found, self._buffer = self._buffer[:size], self._buffer[size:]
        return found

    def _more(self) -> None:
        try:
            part = self.socket.recv(65_536)
        except ConnectionError:
            part = b""
        if not part:
            raise Closed(self._buffer[:200])
        self._buffer += part


def named(port: int, token: str = "") -> list[tuple[str, str]]:
    """The headers of a request that this server answers."""
    shown = [("Authorization", f"Bearer {token}")] if token else []
    return [("Host", f"127.0.0.1:{port}"), *shown]


def request(method: str, path: str, headers: Headers, body: bytes = b"") -> bytes:
    """A request as bytes, with exactly these headers, and the length of the body where there is one."""
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
