"""From reads to chunks: redact, keep line borders, coalesce. The last stop before the log.

A chunk holds whole lines of one stream, or a bounded part of one long line. No per-line work is done.
"""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from ahocorasick_rs import BytesAhoCorasick

from adapters.redact import Secrets
from domain.bounds import CHUNK_BYTES_MAX, PARTIAL_LINE_S, QUIET_S
from domain.ports import Piece

Stream = Literal["stdout", "stderr"]
_STREAMS: tuple[Stream, ...] = ("stdout", "stderr")


class Chunk(NamedTuple):
    """What becomes one output event."""

    stream: Stream
    data: bytes


class Chunker:
    """The output of one call on its way to the log. Times are monotonic seconds, given by the caller."""

    def __init__(self, secrets: Secrets, urgent: BytesAhoCorasick | None, bytes_max: int) -> None:
        self._redactors = {"stdout": secrets.stream(), "stderr": secrets.stream()}
        self._urgent = urgent
        self._partial = {"stdout": b"", "stderr": b""}
        self._since_s = {"stdout": 0.0, "stderr": 0.0}  # when the unfinished line of a stream began
        self._ready: list[tuple[Stream, list[bytes]]] = []
        self._ready_bytes = 0
        self._first_s = 0.0  # when the oldest ready byte came
        self._taken_s = -QUIET_S  # the first is due at once
        self._hit = False
        self._room = bytes_max
        self.dropped = 0

    def feed(self, pieces: Iterable[Piece], now_s: float, *, final: bool = False) -> None:
        """Take in what was read."""
        for piece in pieces:
            self._take(piece.stream, self._redactors[piece.stream].feed(piece.data), now_s)
        if final:
            for stream in _STREAMS:
                self._take(stream, self._redactors[stream].feed(b"", final=True), now_s)
                self._release(stream, now_s)

    def due_s(self) -> float | None:
        """When `take` is worth calling: at once for a full chunk or an urgent text; None when nothing waits."""
        if self._hit or self._ready_bytes >= CHUNK_BYTES_MAX:
            return 0.0
        ready = max(self._first_s, _next_beat_s(self._taken_s)) if self._ready else None
        partial = (self._since_s[stream] + PARTIAL_LINE_S for stream, data in self._partial.items() if data)
        return min((at for at in (ready, *partial) if at is not None), default=None)

    def take(self, now_s: float) -> list[Chunk]:
        """The chunks that may be stored now, in arrival order."""
        for stream in _STREAMS:
            if now_s >= self._since_s[stream] + PARTIAL_LINE_S:
                self._release(stream, now_s)
        chunks = [
            Chunk(stream, data)
            for stream, parts in self._ready
            for data in _cut(parts[0] if len(parts) == 1 else b"".join(parts))
        ]
        self._ready, self._ready_bytes, self._hit, self._taken_s = [], 0, False, now_s
        return chunks

    def _take(self, stream: Stream, data: bytes, now_s: float) -> None:
        if not data:
            return
        if self._urgent is not None and self._urgent.find_matches_as_indexes(data.lower()):
            self._hit = True  # a latency hint only: nothing is decided here
        end = data.rfind(b"\n") + 1
        head = self._partial[stream]
        if end:
            self._append(stream, head + data[:end] if head else data[:end], now_s)
            head, data = b"", data[end:]
        rest = head + data if head else data
        while len(rest) >= CHUNK_BYTES_MAX:
            self._append(stream, rest[:CHUNK_BYTES_MAX], now_s)
            rest = rest[CHUNK_BYTES_MAX:]
        if end or not self._partial[stream]:
            self._since_s[stream] = now_s
        self._partial[stream] = rest

    def _release(self, stream: Stream, now_s: float) -> None:
        if self._partial[stream]:
            self._append(stream, self._partial[stream], now_s)
            self._partial[stream] = b""

    def _append(self, stream: Stream, data: bytes, now_s: float) -> None:
        if len(data) > self._room:
            self.dropped += len(data) - self._room
            data = data[: self._room]
        self._room -= len(data)
        if not data:
            return
        if not self._ready:
            self._first_s = now_s
        if self._ready and self._ready[-1][0] == stream:
            self._ready[-1][1].append(data)
        else:
            self._ready.append((stream, [data]))
        self._ready_bytes += len(data)


def _next_beat_s(after_s: float) -> float:
    """The next multiple of the quiet time: calls that print all the time are stored together, in one commit."""
    return (math.floor(after_s / QUIET_S) + 1) * QUIET_S


def _cut(data: bytes) -> Iterable[bytes]:
    """Parts of at most CHUNK_BYTES_MAX, cut behind a line end where there is one."""
    at = 0
    while len(data) - at > CHUNK_BYTES_MAX:
        end = data.rfind(b"\n", at, at + CHUNK_BYTES_MAX) + 1 or at + CHUNK_BYTES_MAX
        yield data[at:end]
        at = end
    yield data[at:] if at else data
