"""What a run is at one moment: the folded state that programs decide on. `domain.run` folds it."""

from enum import StrEnum

import msgspec

from domain.bounds import ANSWER_BYTES_MAX
from domain.events import Policy


class Status(StrEnum):
    """The states of a run."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    LOST = "lost"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One process that the run asked for; its ordinal in the run is its id."""

    ordinal: int
    input_sha256: str
    pid: int = 0
    start_ticks: int = 0
    boot_id: str = ""
    started_at_us: int = 0
    cancel: str = ""  # the cause of the latest request to end it
    over: bool = False


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The folded state of a run."""

    run: str
    task: str
    dispatcher: str
    epoch: int
    attempt: int
    max_attempts: int
    status: Status = Status.RUNNING
    policy: Policy | None = None
    calls: tuple[Call, ...] = ()
    answer: bytes = b""  # the tail of stdout, kept where the policy looks for an outcome in it ...
    answer_more: tuple[bytes, ...] = ()  # ... and what followed it, joined now and then: see `answered`
    cancel_reason: str = ""

    @property
    def answered(self) -> bytes:
        """The tail of stdout in which an outcome is looked for."""
        return b"".join((self.answer, *self.answer_more))[-ANSWER_BYTES_MAX:]

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return self.status is not Status.RUNNING

    @property
    def open_calls(self) -> tuple[Call, ...]:
        """What was asked for and not yet answered."""
        return tuple(call for call in self.calls if not call.over)
