"""The ports to processes, to other dispatchers, and to HTTP. Read them from `domain.ports`."""

from collections.abc import Callable, Mapping
from typing import Literal, ParamSpec, Protocol, TypeVar

import msgspec

P = ParamSpec("P")
T = TypeVar("T")


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

    def on_duty(self, dispatcher: str, duty: str) -> bool:
        """Whether this dispatcher has a duty that one has at a time; takes it where nobody does, until `drop`."""
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


HttpFailure = Literal["timeout", "too_large", "connection", "refused", "private_address"]


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


class Aside(Protocol):
    """Does what blocks (a look at files, at git) beside the event loop."""

    async def __call__(self, look: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of the look; what it raises is raised here."""
        ...
