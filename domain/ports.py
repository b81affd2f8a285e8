"""The ports: what the shell needs from the world. Each has a real adapter and a fake, held to one contract test."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from domain.events import Put, Recorded, Text
from domain.task import Task


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
        """A UUIDv4 as 32 hex digits."""
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
        """A text. Raises BlobNotFound."""
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


class Log(RunView, Protocol):
    """The append-only store: positions contiguous and equal to commit order, versions per stream, a hash chain."""

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


class ProcessSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A process to start: argv only, never a shell line. `env` is the whole environment of the child."""

    call: str  # the marker that its processes carry
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    stdin: bytes = b""  # the whole of it; nothing is read otherwise
    hold_stdin: bool = False  # instead: a pipe that stays open until the call is to end


class ProcessIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What names a process for ever."""

    pid: int
    start_ticks: int
    boot_id: str


NotStartedCause = Literal[
    "command_not_found", "not_executable", "cwd_missing", "argument_too_large", "out_of_resources"
]


class NotStarted(Exception):  # an answer of the port, not an error that a user meets
    """The process could not be started."""

    def __init__(self, cause: NotStartedCause, text: str) -> None:
        super().__init__(text)
        self.cause: NotStartedCause = cause


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How a call ended, after the drain and with nothing left of its tree (but for `escaped`)."""

    exit_code: int | None
    signal: str = ""
    duration_us: int = 0
    drain_cut: bool = False
    killed: int = 0
    escaped: tuple[int, ...] = ()


class Piece(msgspec.Struct, frozen=True):
    """Bytes that one stream of a call printed, in arrival order among both streams."""

    stream: Literal["stdout", "stderr"]
    data: bytes


class Output(msgspec.Struct, frozen=True):
    """What came since an offset. `exit` is set once nothing more can come."""

    pieces: tuple[Piece, ...]
    exit: Exit | None


class Processes(Protocol):
    """Starts, reads and ends process trees. Runs in the dispatcher's event loop and never blocks it for long."""

    def spawn(self, spec: ProcessSpec, changed: Callable[[], None]) -> ProcessIdentity:
        """Start a process in a session of its own. `changed` is called whenever `read` may have something new.

        Raises NotStarted.
        """
        ...

    def read(self, call: str, offset: int) -> Output:
        """What the call printed beyond `offset` bytes (both streams together). Never waits.

        Asking for an offset releases what lies before it; what is not read holds the child back.
        """
        ...

    def adopt(self, call: str, identity: ProcessIdentity, changed: Callable[[], None]) -> bool:
        """Take over a call whose dispatcher died; False when its output and exit status went with the dispatcher."""
        ...

    def kill(self, call: str, grace_s: float) -> None:
        """Begin to end the call's whole tree: TERM, grace, KILL. The end arrives through `read`. Idempotent."""
        ...

    def release(self, call: str) -> None:
        """Forget a call that has ended."""
        ...

    async def sweep(self, calls: Mapping[str, ProcessIdentity | None]) -> dict[str, int]:
        """End what dead dispatchers left of these calls; how many processes each had. Others are never signalled."""
        ...


class Liveness(Protocol):
    """Which dispatchers are alive, by a lock that the kernel drops with the process."""

    def hold(self, dispatcher: str) -> None:
        """Declare this dispatcher alive until `drop` or death."""
        ...

    def drop(self, dispatcher: str) -> None:
        """No longer alive."""
        ...

    def alive(self, dispatcher: str) -> bool:
        """Whether that dispatcher still holds its lock."""
        ...

    def bury(self, dispatcher: str) -> None:
        """Remove what a dead dispatcher left of its lock. An id is never used again."""
        ...


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One outgoing request with its bounds."""

    method: str
    url: str
    headers: dict[str, str] = {}
    body: bytes = b""
    private: bool = True  # whether an address of a private network, or of this machine, may be reached
    total_s: float  # for the whole exchange: a peer that drips a byte a second must not hold it open
    bytes_max: int  # of the decoded answer


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes


HttpFailure = Literal["timeout", "too_large", "connection", "refused"]


class HttpFailed(Exception):  # an answer of the port, not an error that a user meets
    """No whole answer came within the bounds."""

    def __init__(self, cause: HttpFailure, text: str) -> None:
        super().__init__(text)
        self.cause: HttpFailure = cause


class Http(Protocol):
    """Outgoing HTTP: no redirects, no proxies from the environment, no compression that could be a bomb."""

    async def send(self, request: Request, part: Callable[[bytes], None] | None = None) -> Response:
        """Send a request and read its whole answer; `part` gets what came, as it comes. Raises HttpFailed."""
        ...


class Redactor(Protocol):
    """Takes known secret values out of one stream of bytes, also across borders."""

    def feed(self, data: bytes, *, final: bool = False) -> bytes:
        """The bytes that may be stored now; a tail that could begin a secret waits for the next feed."""
        ...
