"""The promises of the Http port, on the scripted one that other tests use and on httpx with a real server."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

import pytest

from adapters.http import HttpxHttp, ScriptedHttp
from domain.ports import HttpFailed, Request, Response

Kind = Literal["scripted", "httpx"]
pytestmark = pytest.mark.parametrize("kind", ["scripted", "httpx"])


class _Peer(BaseHTTPRequestHandler):
    """A server that is good or bad, as the path asks for."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/drip":
            self._begin(200, 1000)
            for _ in range(40):
                if self.server.stopping.wait(0.05):  # type: ignore[attr-defined]
                    return
                self.wfile.write(b".")
                self.wfile.flush()
        elif self.path == "/huge":
            self._begin(200, 1 << 20)
            self.wfile.write(b"x" * (1 << 20))
        elif self.path == "/bomb":
            self._begin(200, 4, ("content-encoding", "gzip"))
            self.wfile.write(b"\x1f\x8b\x08\x00")
        elif self.path == "/moved":
            self._begin(302, 0, ("location", "/echo"))
        else:
            self._begin(200, len(body))
            self.wfile.write(body)

    def _begin(self, status: int, length: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*headers, ("content-length", str(length)), ("connection", "close")):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Stay silent."""


class _Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Peer)
        self.stopping = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is what is tested."""


@contextmanager
def _peer() -> Iterator[str]:
    server = _Server()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.stopping.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _scripted(request: Request) -> tuple[float, Response]:
    path = request.url.removeprefix("http://peer")
    answers = {
        "/drip": (2.0, Response(status=200, headers={}, body=b"." * 40)),
        "/huge": (0.0, Response(status=200, headers={}, body=b"x" * (1 << 20))),
        "/bomb": (0.0, Response(status=200, headers={"content-encoding": "gzip"}, body=b"\x1f\x8b\x08\x00")),
        "/moved": (0.0, Response(status=302, headers={"location": "/echo"}, body=b"")),
    }
    return answers.get(path, (0.0, Response(status=200, headers={}, body=request.body)))


def _send(kind: Kind, path: str, *, total_s: float = 5.0, bytes_max: int = 1000) -> Response:
    async def go(base: str, http: HttpxHttp | ScriptedHttp) -> Response:
        try:
            wanted = Request(method="POST", url=base + path, body=b"question", total_s=total_s, bytes_max=bytes_max)
            return await http.send(wanted)
        finally:
            await http.close()

    if kind == "scripted":
        return asyncio.run(go("http://peer", ScriptedHttp(_scripted)))

    async def real(base: str) -> Response:
        return await go(base, HttpxHttp())

    with _peer() as base:
        return asyncio.run(real(base))


def test_an_answer_comes_back_whole(kind: Kind) -> None:
    answer = _send(kind, "/echo")
    assert (answer.status, answer.body) == (200, b"question")


def test_a_peer_that_drips_is_cut_off_at_the_total_deadline(kind: Kind) -> None:
    with pytest.raises(HttpFailed) as failed:
        _send(kind, "/drip", total_s=0.3)
    assert failed.value.cause == "timeout"


def test_an_answer_beyond_the_cap_is_not_read_to_its_end(kind: Kind) -> None:
    with pytest.raises(HttpFailed) as failed:
        _send(kind, "/huge")
    assert failed.value.cause == "too_large"


def test_an_encoded_answer_is_refused_before_it_is_unpacked(kind: Kind) -> None:
    with pytest.raises(HttpFailed) as failed:
        _send(kind, "/bomb")
    assert failed.value.cause == "refused"


def test_a_redirect_is_an_answer_and_not_followed(kind: Kind) -> None:
    assert _send(kind, "/moved").status == 302
