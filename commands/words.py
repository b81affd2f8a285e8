"""What a model says while it says it, as output of its call: no second path for those who watch."""

import hashlib

from adapters.chunks import Chunker
from commands.world import World
from domain.advance import Happened
from domain.bounds import ANSWER_STORED_BYTES_MAX
from domain.events import OutputAppended
from domain.ports import Piece


class Words:
    """What a model says while it says it: output of its call, on the streams `content` and `reasoning`."""

    def __init__(self, world: World, ordinal: int, salt: bytes, actor: str) -> None:
        self._world = world
        self._ordinal = ordinal
        self._salt = salt
        self._actor = actor
        self._chunks = Chunker(world.secrets, None, ANSWER_STORED_BYTES_MAX)
        self._stored = {"stdout": 0, "stderr": 0}

    def feed(self, new: list[tuple[str, str]]) -> None:
        """Take in new pieces of content or reasoning."""
        pieces = [
            Piece("stdout" if name == "content" else "stderr", text.encode("utf-8", "replace")) for name, text in new
        ]
        self._chunks.feed(pieces, self._world.clock.monotonic_s())

    def due_s(self) -> float | None:
        """When words that wait now should be collected."""
        return self._chunks.due_s()

    def take(self, now_s: float, *, final: bool) -> list[Happened]:
        """The words that may be recorded now."""
        if final:
            self._chunks.feed((), now_s, final=True)
        due_s = self._chunks.due_s()
        if due_s is None or (due_s > now_s and not final):
            return []
        return [self._said(stream, data) for stream, data in self._chunks.take(now_s)]

    def _said(self, stream: str, data: bytes) -> Happened:
        fact = OutputAppended(
            call=self._ordinal,
            stream="content" if stream == "stdout" else "reasoning",
            offset=self._stored[stream],
            size=len(data),
            lines=data.count(b"\n"),
            digest=hashlib.sha256(self._salt + data).hexdigest(),
        )
        self._stored[stream] += len(data)
        return Happened(fact, data, self._actor)
