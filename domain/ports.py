"""The ports: what the shell needs from the world. Each has a real adapter and a fake, held to one contract test."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Protocol

import msgspec

from domain.events import Put, Recorded, Text
from domain.stream_index import Noun
from domain.task import Task
from domain.world_ports import Aside as Aside
from domain.world_ports import Exit as Exit
from domain.world_ports import Http as Http
from domain.world_ports import HttpFailed as HttpFailed
from domain.world_ports import HttpFailure as HttpFailure
from domain.world_ports import Liveness as Liveness
from domain.world_ports import NotStarted as NotStarted
from domain.world_ports import NotStartedCause as NotStartedCause
from domain.world_ports import Output as Output
from domain.world_ports import Piece as Piece
from domain.world_ports import Processes as Processes
from domain.world_ports import ProcessIdentity as ProcessIdentity
from domain.world_ports import ProcessSpec as ProcessSpec
from domain.world_ports import Redactor as Redactor
from domain.world_ports import Request as Request
from domain.world_ports import Response as Response


class Clock(Protocol):
    """Wall time for the record, monotonic time for waiting."""

    def now_us(self) -> int:
        """Microseconds since 1970, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never jump."""
        ...


class Ids(Protocol):
    """Where ids and salts come from."""

    def new(self) -> str:
        """A UUID as 32 hex digits. Ids made one after the other differ in the first eight."""
        ...

    def many(self, count: int) -> list[str]:
        """As many of them, one after the other."""
        ...

    def salt(self) -> bytes:
        """Sixteen unpredictable bytes."""
        ...


class Environment(Protocol):
    """The process's environment, read in one place."""

    def all(self) -> Mapping[str, str]:
        """Every variable."""
        ...


class Files(Protocol):
    """Small files that are written whole: the head record, exports, golden logs."""

    def read(self, path: str) -> bytes | None:
        """The content, or None when there is no such file."""
        ...

    def write(self, path: str, content: bytes) -> None:
        """Replace the file durably: beside it, synced, renamed. Never half a file. Makes missing folders.

        Only the owner may read it.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove the file, if it is there."""
        ...

    def make_folder(self, path: str) -> None:
        """Make a folder, and those above it, for the owner alone; one that is there stays. Raises OSError."""
        ...


class LogView(Protocol):
    """Reading the log; the same view inside an append's transaction and outside."""

    def stream(self, stream: str, after: int = 0) -> list[Recorded]:
        """The events of one stream with a version above `after`. Bodies are not read."""
        ...

    def version(self, stream: str) -> int:
        """The last version of a stream, 0 when it is empty."""
        ...

    def task(self, task: str) -> Task | None:
        """The folded state of a task."""
        ...

    def blob(self, scope: str, text: Text) -> bytes:
        """A text. Raises BlobNotFound, and TextDamaged for one that is not what was stored."""
        ...

    def paused(self) -> bool:
        """Whether dispatching is paused."""
        ...

    def ready(self, now_us: int, limit: int, full: Sequence[str] = ()) -> list[str]:
        """Tasks that may be claimed, in claim order: priority high first, then age.

        Of a thread only the oldest that is not over; none of a profile that is `full`.
        """
        ...

    def running_profiles(self) -> dict[str, int]:
        """How many tasks of each wanted profile run."""
        ...

    def children(self, run: str) -> list[str]:
        """The tasks that a run has taken in, in order."""
        ...

    def due(self, kind: str, now_us: int, limit: int) -> list[str]:
        """The streams of a kind (domain.stream_index) for which something is due, the earliest first."""
        ...

    def nouns(self, kind: str, status: str = "") -> list[Noun]:
        """The streams of a kind, in the order in which they began; those in one state, or all."""
        ...

    def has(self, kind: str) -> bool:
        """Whether there is, or was, any stream of a kind. Cheap."""
        ...

    def settle(self, stream: str) -> None:
        """Inside a transaction: nothing is due for this stream until an event says so."""
        ...

    def threads(self) -> list[str]:
        """The threads that tasks belong to, in the order in which they began."""
        ...


class Running(msgspec.Struct, frozen=True):
    """A claimed task, as the claim index has it."""

    task: str
    run: str
    dispatcher: str


class Waiting(msgspec.Struct, frozen=True):
    """A task whose open run waits for a person, as the claim index has it; `due_at_us` is when something expires."""

    task: str
    run: str
    due_at_us: int


class Head(msgspec.Struct, frozen=True):
    """Where the log ends: position and chain hash (hex); 0 and "" when it is empty."""

    position: int
    hash: str


class RunView(LogView, Protocol):
    """Reading whole runs: what commands need that change nothing."""

    def run_events(self, run: str, *, bodies: bool, after: int = 0) -> Iterator[Recorded]:
        """A run by position, beyond `after`: its part of the task's stream, its decisions, its output.

        Raises IdNotFound.
        """
        ...


# a function runs inside the transaction: what it reads cannot change; it may be called again, for a second try
Work = Put | Callable[[LogView], Put | None]
Appended = Sequence[int]  # the positions


class Follower(Protocol):
    """What follows from a put in the same transaction, whoever appends it."""

    def wants(self, put: Put) -> bool:
        """Whether anything could follow. Cheap: it is asked about every put."""
        ...

    def follow(self, view: LogView, put: Put) -> Put | None:
        """What is appended behind the put's own events; causes count back across both. Never raises."""
        ...


class Log(RunView, Protocol):
    """The append-only store: positions contiguous and equal to commit order, versions per stream, a hash chain."""

    def followed_by(self, follower: Follower) -> None:
        """From now on, what the follower makes of a put is appended with it, and not among its positions."""
        ...

    def append(self, works: Sequence[Work]) -> list["Appended | Exception"]:
        """Append each work whole or not at all, all that succeed in one synced transaction.

        Returns one result per work: its positions (empty when a function returned None), or StreamConflict when a
        stream or a fence was not at the expected version, or what the function raised. Raises StoreFull, LogBusy or
        OutcomeUnknown when the transaction itself failed; then nothing was appended.
        """
        ...

    def head(self) -> Head:
        """The end of the log."""
        ...

    def read(self, after: int, limit: int, upto: int | None = None) -> list[Recorded]:
        """Events by position, without bodies."""
        ...

    def output(self, run: str, after: int = 0, limit: int = 64) -> list[Recorded]:
        """A run's output events with their bodies, from the version after `after`."""
        ...

    def salt(self, run: str) -> bytes:
        """The salt of the run's output digests; empty when it has none."""
        ...

    def running(self) -> list[Running]:
        """The claimed tasks."""
        ...

    def waiting(self) -> list[Waiting]:
        """The tasks whose run waits for a person."""
        ...

    def next_due_us(self) -> int | None:
        """When the next task that waits for its time becomes claimable."""
        ...

    def touched(self, after: int) -> tuple[int, set[str]]:
        """The end of the log, and the streams that were appended to after a position."""
        ...

    def changed(self) -> bool:
        """Whether anything may have been appended since the last time this was asked. Cheap."""
        ...

    def idle(self) -> None:
        """Nothing is going on: bring the head record up to date, shrink what can be shrunk."""
        ...

    def close(self) -> None:
        """Give back what is held. The log is complete on disk after every append."""
        ...


class Writer(Protocol):
    """Appends for many concurrent runs, grouped into shared transactions."""

    def submit(self, work: Work) -> Awaitable[Appended]:
        """Append durably. Raises StreamConflict, or an error of the store.

        Waits while the queue is full; works of one caller that awaits each are appended in order.
        """
        ...

    def close(self) -> None:
        """Finish what is queued and stop."""
        ...
