"""The tables as they were: computed from the log up to a position, beside those of now."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from adapters.log_reader import LogReader
from commands import moments
from commands.wiring import Runtime
from domain import errors
from projections.catch_up import Projection
from projections.reached import FILE

if TYPE_CHECKING:
    from projections.catch_up import Database

Answer = TypeVar("Answer")


class Upto:
    """A log that ends at a position."""

    def __init__(self, reader: LogReader, position: int) -> None:
        self._reader = reader
        self._position = position

    def head(self) -> tuple[int, bytes]:
        """See projections.catch_up.Feed."""
        return self._position, self._reader.hash_at(self._position) or bytes(32)

    def hash_at(self, position: int) -> bytes | None:
        """See projections.catch_up.Feed."""
        return self._reader.hash_at(position) if position <= self._position else None

    def lines(self, after: int, upto: int) -> bytes:
        """See projections.catch_up.Feed."""
        return self._reader.lines(after, min(upto, self._position))

    def bodies(self, after: int, upto: int, bytes_max: int) -> tuple[int, Sequence[tuple[int, str]]]:
        """See projections.catch_up.Feed."""
        return self._reader.bodies(after, min(upto, self._position), bytes_max)


def position(runtime: Runtime, at: str, where: str = "--at") -> int:
    """The position that is meant by a number or a time. Raises PositionUnknown beyond the head, Invalid."""
    wanted = moments.at(at, where)
    head = runtime.reader.head()[0]
    if wanted.decision:
        raise errors.Invalid(where=where, why=f"{at!r}: a decision belongs to a run; give a position or a time")
    found = wanted.position or runtime.reader.position_before(wanted.at_us + 1)
    if found > head:
        raise errors.PositionUnknown(what="the log", given=at, first=1, last=head)
    return found


def tables(runtime: Runtime, target: Path, upto: int) -> int:
    """Compute the tables up to a position into a file; the position."""
    folder = target.with_name(f"{target.name}.past")
    folder.mkdir()
    found = Projection(folder, Upto(runtime.reader, upto)).copy(target)
    for each in folder.glob(f"{FILE}*"):
        each.unlink()
    folder.rmdir()
    return found


def ask(runtime: Runtime, upto: int, question: Callable[["Database", int], Answer]) -> Answer:
    """Ask the tables as they were at a position; nothing of them stays."""
    with tempfile.TemporaryDirectory(prefix="rt-past-") as folder:
        return Projection(Path(folder), Upto(runtime.reader, upto)).ask(question)
