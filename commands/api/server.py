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


class Bounded(HttpToolsProtocol):
    """A connection whose request line and headers are bounded in size and in time."""

    _head_bytes = 0
    _is_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A client came: its first request has to arrive."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HTTP_REQUEST_S, self._late)

    def data_received(self, data: bytes) -> None:
        """A part of a request."""
        if self._is_head:
            self._head_bytes += len(data)
            if self._head_bytes > HTTP_HEADER_BYTES_MAX and not self._ends_head(data):
                self._refuse()
                return
        super().data_received(data)

    def _ends_head(self, data: bytes) -> bool:
        """Whether the head ends within what came: then the rest of it is the body, which has bounds of its own."""
        at = data.find(b"\r\n\r\n")
        return at >= 0 and self._head_bytes - len(data) + at <= HTTP_HEADER_BYTES_MAX

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._is_head = True
        if self._deadline is None:
            self._deadline = self.loop.call_later(HTTP_REQUEST_S, self._late)

    def on_headers_complete(self) -> None:
        """Its head is there; what it brings is timed by who reads it."""
        self._is_head, self._head_bytes = False, 0
        self._disarm()
        if not self.url.startswith(b"/"):  # a whole address: its host counts, whatever the Host header says
            self.scope["rt.authority"] = _authority(self.url)  # type: ignore[typeddict-unknown-key]
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there: what comes next is the head of another one."""
        super().on_message_complete()
        self._is_head, self._head_bytes = True, 0

    def connection_lost(self, exc: Exception | None) -> None:
        """The client went away."""
        self._disarm()
        super().connection_lost(exc)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self) -> None:
        if not self.transport.is_closing():
            head = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head)
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
