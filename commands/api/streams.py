"""Server-sent events: the log as it grows, from any position on, each event once and in order."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.types import Receive, Scope, Send

from commands.api import old_words
from commands.api.live import Filter, Frame, Listener, framed, sent
from commands.api.route import Asked, Row
from domain import bounds, errors
from domain.bounds import PAGE_EVENTS_MAX, SSE_BEAT_S, SSE_KEEP_ALIVE_S, SSE_STALLED_S

_CHECK_S = 5.0  # how long a token that was revoked may still listen
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class StreamQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to begin, and what to hear of; `Last-Event-ID` goes before `after`, and without both it begins now."""

    after: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    topic: Annotated[str, Meta(max_length=200)] = ""
    stream: Annotated[str, Meta(max_length=200)] = ""
    run: Annotated[str, Meta(max_length=64)] = ""
    task: Annotated[str, Meta(max_length=64)] = ""


class OldStreamQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to begin."""

    since: Annotated[int, Meta(ge=0, le=2**53)] | None = None


class Stream:
    """One client that listens."""

    def __init__(self, asked: Asked, wanted: Filter, start: int | None, send: Send) -> None:
        self._asked = asked
        self._live = asked.house.live
        self._send = send
        self._listener = Listener(wanted)
        self.position = self._begin(start)

    def _begin(self, start: int | None) -> int:
        named = self._asked.headers.get("last-event-id", "")
        if named:
            if not (named.isascii() and named.isdecimal() and len(named) < 17):  # noqa: PLR2004  # of a position
                raise errors.Invalid(where="Last-Event-ID", why="expected a position")
            start = int(named)
        head = self._asked.runtime.readable.head().position
        if start is not None and start > head:
            raise errors.PositionAhead(given=start, head=head)
        return self._live.position if start is None else start

    async def batches(self, receive: Receive) -> AsyncIterator[list[Frame]]:
        """What is for this client, from its position on; an empty list where it has caught up or nothing came."""
        listener = self._listener
        self._live.join(listener)
        watching = asyncio.create_task(self._watch(receive))
        try:
            await self._send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self.write(b": connected\nretry: 1000\n\n")
            while self._is_on() and not listener.is_live:
                if self.position >= self._live.position:
                    listener.begin(self.position)
                    break
                if frames := await self._page():  # an empty one would mean that it has caught up
                    yield frames
            yield []  # caught up
            while self._is_on():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_CHECK_S):
                        await listener.awake.wait()
                if not listener.awake.is_set():
                    yield []
                    continue
                await asyncio.sleep(SSE_BEAT_S)
                if listener.overflowed:
                    break  # what waited is gone: it comes back from what it was sent last
                frames, self.position = listener.take(), listener.position
                if frames:
                    yield frames
        finally:
            watching.cancel()
            self._live.leave(listener)

    async def _page(self) -> list[Frame]:
        """The next part of what was before, up to what was told to those who listen."""
        log, upto, after = self._asked.runtime.readable, self._live.position, self.position
        events = await asyncio.to_thread(log.read, after, PAGE_EVENTS_MAX, upto)
        self.position = events[-1].position if events else upto
        frames = await asyncio.to_thread(lambda: [framed(event) for event in events])
        return [frame for frame in frames if self._listener.wanted.wants(frame)]

    def _is_on(self) -> bool:
        listener = self._listener
        if listener.is_gone or self._live.is_closing or listener.overflowed:
            return False
        return self._asked.house.doors.still(self._asked.grant)

    async def _watch(self, receive: Receive) -> None:
        """Until the client goes away."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._listener.is_gone = True
        self._listener.awake.set()

    async def write(self, text: bytes) -> None:
        """Send something; a client that takes nothing for long is dropped."""
        try:
            async with asyncio.timeout(SSE_STALLED_S):
                await self._send({"type": "http.response.body", "body": text, "more_body": True})
        except (TimeoutError, OSError):
            self._listener.is_gone = True

    async def end(self) -> None:
        """The last words: a client that was too slow is told from where to come back."""
        if self._listener.overflowed and not self._listener.is_gone:
            await self.write(sent("overflow", {"position": self.position}, self.position))
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(1):
                await self._send({"type": "http.response.body", "body": b""})


class _KeepAlive:
    """A comment now and then, so that nobody in between takes a quiet stream for a dead one."""

    def __init__(self) -> None:
        self._silent_s = 0.0

    def due(self, *, silent: bool) -> bool:
        self._silent_s = self._silent_s + _CHECK_S if silent else 0.0
        if self._silent_s < SSE_KEEP_ALIVE_S:
            return False
        self._silent_s = 0.0
        return True


async def stream(asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
    """The log's events as they become durable."""
    if await _is_head(scope, send):
        return
    query: StreamQuery = asked.query
    run = asked.runtime.find_run(query.run) if query.run else ""
    task = asked.runtime.find_task(query.task) if query.task else ""
    client = Stream(asked, Filter(query.topic, query.stream, run, task), query.after, send)
    alive, caught_up = _KeepAlive(), False
    async for frames in client.batches(receive):
        if frames:
            await client.write(b"".join(frame.data for frame in frames))
        elif not caught_up:
            caught_up = True
            await client.write(sent("caught_up", {"head": client.position}, client.position))
        if alive.due(silent=not frames):
            await client.write(sent("caught_up", {"head": client.position}, client.position))
    await client.end()


async def old_stream(asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
    """The events and the state as an older runtime told them, with positions as ids."""
    if await _is_head(scope, send):
        return
    client = Stream(asked, Filter(), asked.query.since, send)
    alive, begun = _KeepAlive(), False
    async for frames in client.batches(receive):
        if not begun:
            begun = True
            text, _ = await old_words.dashboard(asked)
            await client.write(b"event: dashboard\ndata: %s\n\n" % text)  # no id: what it tells of is yet to come
        for at in range(0, len(frames), bounds.OLD_STREAM_EVENTS_MAX):
            await client.write(await _told(asked, frames[at : at + bounds.OLD_STREAM_EVENTS_MAX]))
        if alive.due(silent=not frames):
            await client.write(b": still here\n\n")
    await client.end()


async def _is_head(scope: Scope, send: Send) -> bool:
    """Whether only the head of a stream is asked for; then it is sent."""
    if scope["method"] != "HEAD":
        return False
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b""})
    return True


async def _told(asked: Asked, frames: Sequence[Frame]) -> bytes:
    document: dict[str, Any] = await old_words.progress(asked, [frame.event for frame in frames])
    return sent("events", document, frames[-1].position)


ROWS = (
    Row("GET", "/api/v1/stream", "read", stream, StreamQuery, stream=True, media="text/event-stream",  # type: ignore[arg-type]  # it sends by itself
        problems=(errors.PositionAhead, errors.IdNotFound, errors.TooMany)),
    Row("GET", "/api/stream", "read", old_stream, OldStreamQuery, stream=True, media="text/event-stream",  # type: ignore[arg-type]
        problems=(errors.PositionAhead, errors.TooMany)),
)  # fmt: skip
