"""How runs end: the run's end, its retry decision and the task's event belong together."""

import hashlib
from typing import Literal

import msgspec

from domain.bounds import BACKOFF_BASE_S, BACKOFF_MAX_S
from domain.cli_answers import Usage
from domain.events import RunFinished, TaskBlocked, TaskCanceled, TaskCompleted, TaskFailed, TaskRetryScheduled
from domain.ids import text_of
from domain.payload import Consequence
from domain.run_state import Run

_NOTHING = Usage()


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How the run ends; `outcome` is the canonical outcome as JSON."""

    state: Literal["completed", "failed", "canceled", "lost"]
    retry: Literal["none", "retryable", "permanent"] = "none"
    cause: str = ""
    blocked: bool = False
    outcome: bytes = b""
    usage: Usage | None = None
    wait_us: int = 0  # at least so long
    refund: bool = False  # the attempt does not count
    hint: str = ""
    before: tuple[Consequence, ...] = ()  # what is to be said first ...
    texts: tuple[bytes, ...] = ()  # ... and the texts that this names


def finish(state: Run, ending: Ending, at_us: int) -> tuple[Consequence, ...]:
    """The end of the run and what it means for the task."""
    outcome = text_of(ending.outcome) if ending.outcome else None
    usage = ending.usage or _NOTHING
    finished = RunFinished(
        state=ending.state,
        retry=ending.retry,
        cause=ending.cause,
        outcome=outcome,
        tokens_in=usage.tokens_in,
        tokens_out=usage.tokens_out,
        cost_nusd=usage.cost_nusd,
    )
    return (*ending.before, finished, _task_event(state, ending, at_us))


def _task_event(state: Run, ending: Ending, at_us: int) -> Consequence:
    if ending.state == "completed":
        return TaskCompleted(run=state.run)
    if ending.state == "canceled":
        return TaskCanceled(run=state.run, reason=state.cancel_reason)
    if ending.blocked:
        return TaskBlocked(run=state.run, cause=ending.cause)
    if ending.retry == "permanent":
        return TaskFailed(run=state.run, cause=ending.cause)
    if state.attempt >= state.max_attempts and not ending.refund:
        return TaskBlocked(run=state.run, cause="attempts_exhausted")
    pause = max(backoff_us(state), ending.wait_us) if not ending.refund else ending.wait_us
    return TaskRetryScheduled(
        run=state.run,
        cause=ending.cause,
        backoff_us=pause,
        due_at_us=at_us + pause,
        refunded=ending.refund,
        hint=ending.hint,
    )


def backoff_us(state: Run) -> int:
    """Base * 2^(attempt - 1), capped, with a jitter of at most a fifth that is the same in every replay."""
    if state.policy is None:  # lost before its bundle was known
        return 0
    return _pause_us(state, state.policy.backoff_base_us, state.policy.backoff_max_us)


def usual_backoff_us(state: Run) -> int:
    """The same by the defaults: for what broke before the bundle was known."""
    return _pause_us(state, round(BACKOFF_BASE_S * 1_000_000), round(BACKOFF_MAX_S * 1_000_000))


def _pause_us(state: Run, base_us: int, max_us: int) -> int:
    pause = min(base_us << min(state.attempt - 1, 40), max_us)
    return jittered(pause, f"{state.run}:{state.attempt}")


def jittered(pause: int, seed: str) -> int:
    """A pause, a fifth longer or shorter, the same for the same seed."""
    draw = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4]) / 2**32
    return int(pause * (0.8 + 0.4 * draw))
