"""What every event is made of: its base classes, and the small Structs that events share."""

from typing import ClassVar, Literal

import msgspec

CallKind = Literal["process", "http", "memory"]  # what carries a call out


# gc=False here and for what carries these: nothing in them can refer to itself, so the collector need not look at them
class Text(msgspec.Struct, frozen=True, gc=False):
    """A large text by reference: SHA-256 (hex) and size in bytes; the content lies in the blobs of its task."""

    sha256: str
    size: int


class Payload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of all events. No floats and no integer above 2^53: the JSON must read the same everywhere."""

    VERSION: ClassVar[int] = 1
    TEXTS: ClassVar[tuple[str, ...]] = ()  # the fields whose contents the core reads: stores hand them out with it
    VOLATILE: ClassVar[tuple[str, ...]] = ()  # the fields that differ between any two runs: no comparison


class Fact(Payload, frozen=True, kw_only=True):
    """What the outside told us. Recorded before it is acted on; never refused, for it has happened."""


class Consequence(Payload, frozen=True, kw_only=True):
    """What the core derived from the facts. Replay derives it again and compares."""


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The rules a run is decided by, frozen at its start. No defaults: a later default must not change an old run."""

    outcome: Literal["exit", "json", "text"]
    effect: Literal["idempotent", "once"]
    timeout_us: int  # 0 = none
    grace_us: int
    output_bytes_max: int
    backoff_base_us: int
    backoff_max_us: int
    exit_retryable: tuple[int, ...]
    exit_permanent: tuple[int, ...]


class Probed(msgspec.Struct, frozen=True, omit_defaults=True):
    """An adapter that was looked at: whether it was healthy, and why not."""

    adapter: str
    ok: bool
    reason: str = ""


class AdapterChoice(msgspec.Struct, frozen=True):
    """Which adapter was wanted, which was taken, and what was looked at on the way."""

    wanted: str
    selected: str
    chain: tuple[Probed, ...]


class Window(msgspec.Struct, frozen=True):
    """What a controller saw of the output: versions of the output stream, and bytes up to the end of the last chunk."""

    first: int
    last: int
    offset: int
