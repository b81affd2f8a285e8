"""One call of a run while it is open: what its process did becomes facts."""

import hashlib

from adapters.chunks import Chunker
from domain.advance import Happened
from domain.events import OutputAppended, ToolExited
from domain.ports import Exit, Processes

_ACTOR = "adapter:process"


class OpenCall:
    """Reads a process and hands out its output, coalesced, and at last its exit. Offsets count stored bytes."""

    def __init__(  # what a call is made of
        self,
        ordinal: int,
        marker: str,
        *,
        processes: Processes,
        chunker: Chunker,
        salt: bytes,
        started_s: float,
        last_message_file: str = "",
    ) -> None:
        self.ordinal = ordinal
        self.marker = marker
        self.last_message_file = last_message_file
        self.ending = False
        self.over = False
        self.started_s = started_s  # on the monotonic clock, for timeouts
        self._processes = processes
        self._chunker = chunker
        self._salt = salt
        self._offset = 0
        self._stored = {"stdout": 0, "stderr": 0}

    def collect(self, now_s: float) -> list[Happened]:
        """What may be recorded now."""
        found = self._processes.read(self.marker, self._offset)
        self._offset += sum(len(piece.data) for piece in found.pieces)
        self._chunker.feed(found.pieces, now_s, final=found.exit is not None)
        due_s = self._chunker.due_s()
        happened: list[Happened] = []
        if due_s is not None and (due_s <= now_s or found.exit is not None):
            for stream, data in self._chunker.take(now_s):
                fact = OutputAppended(
                    call=self.ordinal,
                    stream=stream,
                    offset=self._stored[stream],
                    size=len(data),
                    lines=data.count(b"\n"),
                    digest=hashlib.sha256(self._salt + data).hexdigest(),
                )
                self._stored[stream] += len(data)
                happened.append(Happened(fact, data, _ACTOR))
        if found.exit is not None:
            self.over = True
            happened.append(Happened(self._exited(found.exit), None, _ACTOR))
        return happened

    def end(self, grace_s: float) -> None:
        """Begin to end its whole tree."""
        self._processes.kill(self.marker, grace_s)

    def release(self) -> None:
        """Forget it."""
        self._processes.release(self.marker)

    def due_s(self) -> float | None:
        """When output that waits now should be collected."""
        return self._chunker.due_s()

    def _exited(self, found: Exit) -> ToolExited:
        return ToolExited(
            call=self.ordinal,
            duration_us=found.duration_us,
            exit_code=found.exit_code,
            signal=found.signal,
            stdout_bytes=self._stored["stdout"],
            stderr_bytes=self._stored["stderr"],
            dropped_bytes=self._chunker.dropped,
            drain_cut=found.drain_cut,
            killed=found.killed,
            escaped=found.escaped,
        )
