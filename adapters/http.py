"""Outgoing HTTP behind the port, on httpx: a total deadline and a cap on the answer, whatever the peer does."""

import asyncio
from collections.abc import Callable

import httpx

from domain.ports import HttpFailed, Request, Response

_READ_BYTES = 65_536


class HttpxHttp:
    """One client for the life of a process. Nothing is taken from the environment, no redirect is followed."""

    def __init__(self) -> None:
        self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=None)  # noqa: S113  # see send

    async def send(self, request: Request) -> Response:
        """See domain.ports.Http. httpx's own timeouts are per read, so the deadline is set around the exchange."""
        try:
            async with asyncio.timeout(request.total_s):
                return await self._send(request)
        except TimeoutError:
            raise HttpFailed("timeout", f"no whole answer within {request.total_s} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as problem:
            raise HttpFailed("connection", type(problem).__name__) from problem

    async def _send(self, request: Request) -> Response:
        headers = {"accept-encoding": "identity"} | request.headers  # a compressed answer could be a bomb
        async with self._client.stream(request.method, request.url, headers=headers, content=request.body) as answer:
            coding = answer.headers.get("content-encoding", "identity")
            if coding != "identity":
                raise HttpFailed("refused", f"the answer is encoded as {coding[:50]!r}; it was asked for as it is")
            body = bytearray()
            async for part in answer.aiter_raw(_READ_BYTES):
                if len(body) + len(part) > request.bytes_max:
                    raise HttpFailed("too_large", f"more than {request.bytes_max} bytes")
                body += part
            return Response(status=answer.status_code, headers=dict(answer.headers), body=bytes(body))

    async def close(self) -> None:
        """Give back the connections."""
        await self._client.aclose()


class ScriptedHttp:
    """Answers from a function, under the same bounds: for tests and the simulator."""

    def __init__(self, answer: Callable[[Request], tuple[float, Response]]) -> None:
        self._answer = answer  # request -> (seconds it takes, response)

    async def send(self, request: Request) -> Response:
        """See domain.ports.Http."""
        takes_s, response = self._answer(request)
        await asyncio.sleep(min(takes_s, request.total_s))
        if takes_s >= request.total_s:
            raise HttpFailed("timeout", f"no whole answer within {request.total_s} s")
        if response.headers.get("content-encoding", "identity") != "identity":
            raise HttpFailed("refused", "the answer is encoded; it was asked for as it is")
        if len(response.body) > request.bytes_max:
            raise HttpFailed("too_large", f"more than {request.bytes_max} bytes")
        return response

    async def close(self) -> None:
        """Nothing to give back."""
