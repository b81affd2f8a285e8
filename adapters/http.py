"""Outgoing HTTP behind the port, on httpx: a total deadline and a cap on the answer, whatever the peer does."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable

import httpx

from domain.ports import HttpFailed, Request, Response


class HttpxHttp:
    """One client for the life of a process. Nothing is taken from the environment, no redirect is followed."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=None)  # noqa: S113  # see send

    async def send(self, request: Request, part: Callable[[bytes], None] | None = None) -> Response:
        """See domain.ports.Http. httpx's own timeouts are per read, so the deadline is set around the exchange."""
        try:
            async with asyncio.timeout(request.total_s):
                return await self._send(request, part)
        except TimeoutError:
            raise HttpFailed("timeout", f"no whole answer within {request.total_s} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as problem:
            raise HttpFailed("connection", type(problem).__name__) from problem
        except (ValueError, OverflowError, ExceptionGroup) as problem:  # no name of a host, no port, no header
            raise HttpFailed("refused", f"the request cannot be sent: {type(problem).__name__}") from None

    async def _send(self, request: Request, part: Callable[[bytes], None] | None) -> Response:
        headers = {"accept-encoding": "identity"} | request.headers  # a compressed answer could be a bomb
        url, extensions = httpx.URL(request.url), {}
        if not request.private:
            address = await _public_address(url)
            extensions = {"sni_hostname": url.host}  # the certificate is still that of the name
            headers |= {"host": url.netloc.decode()}
            url = url.copy_with(host=address)
        async with self._client.stream(
            request.method, url, headers=headers, content=request.body, extensions=extensions
        ) as answer:
            coding = answer.headers.get("content-encoding", "identity")
            if coding != "identity":
                raise HttpFailed("refused", f"the answer is encoded as {coding[:50]!r}; it was asked for as it is")
            body = bytearray()
            async for piece in answer.aiter_raw():  # as it comes: a slow peer is still seen at once
                if len(body) + len(piece) > request.bytes_max:
                    raise HttpFailed("too_large", f"more than {request.bytes_max} bytes")
                body += piece
                if part is not None:
                    part(piece)
            return Response(status=answer.status_code, headers=dict(answer.headers), body=bytes(body))

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.aclose()


async def _public_address(url: httpx.URL) -> str:
    """The one address that is then connected to: a name cannot point elsewhere in between. Raises HttpFailed."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(url.host, url.port or 0, type=socket.SOCK_STREAM)
    except OSError as problem:
        raise HttpFailed("connection", "the host was not found") from problem
    addresses = [ipaddress.ip_address(each[4][0]) for each in found]
    refused = [address for address in addresses if not address.is_global or address.is_multicast]
    if refused or not addresses:
        raise HttpFailed("private_address", "an address of a private network; allow it with private = true")
    return str(addresses[0])


class ScriptedHttp:
    """Answers from a function, under the same bounds: for tests and the simulator."""

    def __init__(self, answer: Callable[[Request], tuple[float, Response]]) -> None:
        self._answer = answer  # request -> (seconds it takes, response)

    async def send(self, request: Request, part: Callable[[bytes], None] | None = None) -> Response:
        """See domain.ports.Http."""
        takes_s, response = self._answer(request)
        await asyncio.sleep(min(takes_s, request.total_s))
        if takes_s >= request.total_s:
            raise HttpFailed("timeout", f"no whole answer within {request.total_s} s")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise HttpFailed("refused", "the answer is encoded; it was asked for as it is")
        if len(response.body) > request.bytes_max:
            raise HttpFailed("too_large", f"more than {request.bytes_max} bytes")
        if part is not None:
            part(response.body)
        return response

    async def close(self) -> None:
        """Nothing to give back."""
