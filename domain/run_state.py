"""What a run is at one moment: the folded state that programs decide on. `domain.run` folds it."""

from enum import StrEnum
from typing import Literal

import msgspec

from domain.bounds import ANSWER_BYTES_MAX
from domain.brief import Brief
from domain.mind import Mind
from domain.payload import CallKind, Policy, Text


class Status(StrEnum):
    """The states of a run."""

    RUNNING = "running"
    WAITING_FOR_APPROVAL = "waiting_for_approval"
    NEEDS_RECONCILE = "needs_reconcile"
    RESUMING = "resuming"  # a person answered, and its task waits to be claimed
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    LOST = "lost"


OVER = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED, Status.LOST})
PARKED = frozenset({Status.WAITING_FOR_APPROVAL, Status.NEEDS_RECONCILE, Status.RESUMING})


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One effect that the run asked for; its ordinal in the run is its id."""

    ordinal: int
    input: Text
    tool: str = ""
    kind: CallKind = "process"
    effect: Literal["idempotent", "once"] = "idempotent"
    timeout_us: int = 0  # its own; 0 = that of the run's policy
    repeats: int = 0  # the lost call that it does again
    digest: str = ""  # what was allowed or approved
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
    brief: Brief | None = None  # what a one-shot run is judged by
    prompt: bytes = b""
    started_at_us: int = 0
    line_rest: bytes = b""  # of an agent that reports line by line: the one that is not finished
    reports: int = 0
    printed_errors: bytes = b""  # the tail of stderr, where the brief reads it
    last_message: bytes | None = None  # of a coding agent, from its file
    returned: str = ""  # why a request of a one-shot run failed
    wait_us: int = 0  # how long its server asks to wait
    verifying: bool = False  # what it claims is being looked at
    refunds: int = 0
    mind: Mind | None = None  # what a controller's run remembers

    @property
    def answered(self) -> bytes:
        """The tail of stdout in which an outcome is looked for."""
        return b"".join((self.answer, *self.answer_more))[-ANSWER_BYTES_MAX:]

    @property
    def ended(self) -> bool:
        """Whether nothing can follow."""
        return self.status in OVER

    @property
    def parked(self) -> bool:
        """Whether it waits for a person, or to be claimed again, and nobody drives it."""
        return self.status in PARKED

    @property
    def open_calls(self) -> tuple[Call, ...]:
        """What was asked for and not yet answered."""
        return tuple(call for call in self.calls if not call.over)
