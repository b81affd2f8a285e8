"""How runs end: the run's end, its retry decision and the task's event belong together."""

import hashlib
from typing import Literal

import msgspec

from domain.events import RunFinished, TaskBlocked, TaskCanceled, TaskCompleted, TaskFailed, TaskRetryScheduled
from domain.ids import text_of
from domain.payload import Consequence
from domain.run_state import Run


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How the run ends; `outcome` is the canonical outcome as JSON."""

    state: Literal["completed", "failed", "canceled", "lost"]
    retry: Literal["none", "retryable", "permanent"] = "none"
    cause: str = ""
    blocked: bool = False
    outcome: bytes = b""


def finish(state: Run, ending: Ending, at_us: int) -> tuple[Consequence, ...]:
    """The end of the run and what it means for the task."""
    outcome = text_of(ending.outcome) if ending.outcome else None
    finished = RunFinished(state=ending.state, retry=ending.retry, cause=ending.cause, outcome=outcome)
    return (finished, _task_event(state, ending, at_us))


def _task_event(state: Run, ending: Ending, at_us: int) -> Consequence:
    if ending.state == "completed":
        return TaskCompleted(run=state.run)
    if ending.state == "canceled":
        return TaskCanceled(run=state.run, reason=state.cancel_reason)
    if ending.blocked:
        return TaskBlocked(run=state.run, cause=ending.cause)
    if ending.retry == "permanent":
        return TaskFailed(run=state.run, cause=ending.cause)
    if state.attempt >= state.max_attempts:
        return TaskBlocked(run=state.run, cause="attempts_exhausted")
    pause = backoff_us(state)
    return TaskRetryScheduled(run=state.run, cause=ending.cause, backoff_us=pause, due_at_us=at_us + pause)


def backoff_us(state: Run) -> int:
    """Base * 2^(attempt - 1), capped, with a jitter of at most a fifth that is the same in every replay."""
    if state.policy is None:  # lost before its bundle was known
        return 0
    exponent = min(state.attempt - 1, 40)
    pause = min(state.policy.backoff_base_us << exponent, state.policy.backoff_max_us)
    return jittered(pause, f"{state.run}:{state.attempt}")


def jittered(pause: int, seed: str) -> int:
    """A pause, a fifth longer or shorter, the same for the same seed."""
    draw = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]) / 2**32
    return int(pause * (0.8 + 0.4 * draw))
