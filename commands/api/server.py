"""uvicorn, with bounds that it does not have: how large a head may be, and how long it may take to arrive."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from commands.api.gate import security_headers
from domain.bounds import HTTP_CONNECTIONS_MAX, HTTP_HEADER_BYTES_MAX, HTTP_IDLE_S, HTTP_REQUEST_S

_GRACE_S = 5
_LINE_BYTES = len("  HTTP/1.1")  # of a head up to its blank line, beside method, address and fields
_LINGER_S = 2.0  # after an answer to what was not read whole


class Bounded(HttpToolsProtocol):
    """A connection whose request line and fields are bounded in size and in time, also those behind a body."""

    _since = 0  # bytes since something of a request was whole: a field that does not end is not told before
    _fields = 0  # bytes of the fields of this request
    _is_refused = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client came: its first request has to arrive."""
        super().connection_made(transport)
        self._arm(HTTP_REQUEST_S)

    def data_received(self, data: bytes) -> None:
        """A part of a request, or several of them."""
        if self._is_refused:
            return
        self._since += len(data)
        super().data_received(data)
        if self._since > HTTP_HEADER_BYTES_MAX or self._fields > HTTP_HEADER_BYTES_MAX:
            self._refuse()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._fields = 0
        if self._deadline is None:
            self._arm(HTTP_REQUEST_S)

    def on_url(self, url: bytes) -> None:
        """A part of its address."""
        self._fields += len(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field, before its body or behind it."""
        self._fields += len(name) + len(value) + 4  # as it was sent
        if self._fields <= HTTP_HEADER_BYTES_MAX:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Its head is there; what it brings is timed by who reads it."""
        self._since = 0
        self._disarm()
        if self._fields + len(self.parser.get_method()) + _LINE_BYTES > HTTP_HEADER_BYTES_MAX:
            self._refuse()
            return
        if not self.url.startswith(b"/"):  # a whole address: its host counts, whatever the Host header says
            self.scope["rt.authority"] = _authority(self.url)  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of its body."""
        self._since = 0
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there: what comes next is the head of another one."""
        self._since = 0
        if not self._is_refused:
            self._disarm()
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered. Whoever was refused before the body was read has a moment to hear of it."""
        super().on_response_complete()
        if self.cycle is not None and self.cycle.response_complete and self.cycle.more_body:
            self._arm(_LINGER_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went away."""
        self._disarm()
        super().connection_lost(exc)

    def _arm(self, within_s: float) -> None:
        self._disarm()
        self._deadline = self.loop.call_later(within_s, self._late)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self) -> None:
        if self._is_refused:
            return
        self._is_refused = True
        if not self.transport.is_closing():
            fields = {**security_headers(), "content-length": "0", "connection": "close"}
            lines = [f"{name}: {value}" for name, value in fields.items()]
            head = "\r\n".join(["HTTP/1.1 431 Request Header Fields Too Large", *lines, "", ""])
            self.transport.write(head.encode("ascii"))
            self.transport.close()


def _authority(url: bytes) -> bytes:
    found = httptools.parse_url(url)
    host = found.host or b""
    return host if found.port is None else b"%s:%d" % (host, found.port)


class Server:
    """One uvicorn in the running loop, on a socket that listens already; signals are somebody else's."""

    def __init__(self, app: ASGIApp, *, is_secure: bool) -> None:
        headers = list(security_headers().items())
        if is_secure:
            headers.append(("strict-transport-security", "max-age=31536000"))
        self._config = uvicorn.Config(
            app,
            http=Bounded,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            log_level="critical",  # what is no HTTP is answered, and is no news
            server_header=False,
            proxy_headers=False,
            headers=headers,
            timeout_keep_alive=HTTP_IDLE_S,
            timeout_graceful_shutdown=_GRACE_S,
            limit_concurrency=HTTP_CONNECTIONS_MAX,
        )
        self._server = _Quiet(self._config)

    async def serve(self, listener: socket.socket, context: ssl.SSLContext | None) -> None:
        """Until it is stopped."""
        self._config.load()
        self._config.ssl = context
        await self._server.serve(sockets=[listener])

    def stop(self) -> None:
        """Take no more requests, and end when those that are here are answered."""
        self._server.should_exit = True


class _Quiet(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[Any]:
        """Whoever runs this server looks after signals."""
        yield
