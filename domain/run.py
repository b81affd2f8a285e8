"""The run core: facts in, consequences out. The same function serves the dispatcher, recovery and replay.

A program (`domain.one_shot`) decides; this module folds, and ends runs: the run's end, its retry decision and the
task's event belong together.
"""

import hashlib
from collections.abc import Iterable

import msgspec

from domain import one_shot
from domain.bounds import ANSWER_BYTES_MAX, CHUNK_BYTES_MAX
from domain.events import (
    CancelRequested,
    Consequence,
    Event,
    Fact,
    OutputAppended,
    Recorded,
    RunCancelAsked,
    RunFinished,
    RunStarted,
    TaskBlocked,
    TaskCanceled,
    TaskClaimed,
    TaskCompleted,
    TaskFailed,
    TaskRetryScheduled,
    ToolCallRequested,
    ToolExited,
    ToolNotStarted,
    ToolStarted,
)
from domain.ids import text_of
from domain.run_state import Call, Run, Status

_ANSWER_PARTS_MAX = 64  # small pieces of output that are kept before they are joined


class Timer(msgspec.Struct, frozen=True):
    """When the core wants to be told that time has passed: so long after the start of a call.

    `due_us` is that moment on the recorded clock; whoever waits does so on a clock that never jumps.
    """

    timer: str
    call: int
    after_us: int
    due_us: int


class Step(msgspec.Struct, frozen=True):
    """What one fact led to. `texts` are the contents that the consequences name by digest."""

    state: Run
    consequences: tuple[Consequence, ...]
    texts: tuple[bytes, ...] = ()


def step(state: Run | None, fact: Recorded) -> Step:
    """Fold a fact, decide on the new state, fold the consequences. They trigger nothing further."""
    after = evolve(state, fact.data, stream=fact.stream, at_us=fact.at_us, body=fact.body)
    if isinstance(fact.data, OutputAppended) or (state is not None and state.ended):
        return Step(after, ())  # one-shot programs do not decide on output; late facts change nothing
    assert isinstance(fact.data, Fact), "only facts are fed to the core"
    ending = one_shot.decide(after, fact.data)
    consequences: tuple[Consequence, ...] = ending if isinstance(ending, tuple) else finish(after, ending, fact.at_us)
    texts = (ending.outcome,) if isinstance(ending, one_shot.Ending) and ending.outcome else ()
    for consequence in consequences:
        after = evolve(after, consequence, at_us=fact.at_us)
    return Step(after, consequences, texts)


def evolve(  # noqa: C901, PLR0911  # one arm an event: splitting it would hide what is missing
    state: Run | None, data: Event | Consequence, *, stream: str = "", at_us: int = 0, body: bytes | None = None
) -> Run:
    """Fold one event; refuses nothing: the log is the truth. `stream` matters for the claim only."""
    if isinstance(data, TaskClaimed):
        return Run(
            run=data.run,
            task=stream,
            dispatcher=data.dispatcher,
            epoch=data.epoch,
            attempt=data.attempt,
            max_attempts=data.max_attempts,
        )
    assert state is not None, "a run begins with the claim of its task"
    match data:
        case OutputAppended():
            return _answered(state, data, body)
        case RunStarted():
            return msgspec.structs.replace(state, policy=data.policy)
        case ToolCallRequested():
            return _with(state, Call(ordinal=data.call, input_sha256=data.input.sha256))
        case ToolStarted():
            call = msgspec.structs.replace(
                _call(state, data.call),
                pid=data.pid,
                start_ticks=data.start_ticks,
                boot_id=data.boot_id,
                started_at_us=at_us,
            )
            return _with(state, call)
        case ToolNotStarted() | ToolExited():
            return _with(state, msgspec.structs.replace(_call(state, data.call), over=True))
        case CancelRequested():
            return _with(state, msgspec.structs.replace(_call(state, data.call), cancel=data.cause))
        case RunCancelAsked():
            return msgspec.structs.replace(state, cancel_reason=data.reason)
        case RunFinished():
            return msgspec.structs.replace(state, status=Status(data.state))
        case _:  # timers, refusals and the task's own events change nothing in the run
            return state


def fold(events: Iterable[Recorded]) -> Run | None:
    """The state after these events: the run's part of the task's stream, its decisions, its output, by position."""
    state: Run | None = None
    for event in events:
        state = evolve(state, event.data, stream=event.stream, at_us=event.at_us, body=event.body)
    return state


def next_timer(state: Run) -> Timer | None:
    """The timer to wait for in this state."""
    if state.ended or state.policy is None or not state.policy.timeout_us:
        return None
    for call in state.open_calls:
        if call.started_at_us and not call.cancel:
            after_us = state.policy.timeout_us
            return Timer(f"timeout:{call.ordinal}", call.ordinal, after_us, call.started_at_us + after_us)
    return None


def finish(state: Run, ending: one_shot.Ending, at_us: int) -> tuple[Consequence, ...]:
    """The end of the run and what it means for the task."""
    outcome = text_of(ending.outcome) if ending.outcome else None
    finished = RunFinished(state=ending.state, retry=ending.retry, cause=ending.cause, outcome=outcome)
    return (finished, _task_event(state, ending, at_us))


def _task_event(state: Run, ending: one_shot.Ending, at_us: int) -> Consequence:
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
    draw = int.from_bytes(hashlib.sha256(f"{state.run}:{state.attempt}".encode()).digest()[:4]) / 2**32
    return int(pause * (0.8 + 0.4 * draw))


def _answered(state: Run, data: OutputAppended, body: bytes | None) -> Run:
    if state.policy is None or state.policy.outcome == "exit" or data.stream != "stdout":
        return state
    more = (*state.answer_more, body or b"")
    if len(more) < _ANSWER_PARTS_MAX and data.size < CHUNK_BYTES_MAX // _ANSWER_PARTS_MAX:
        return msgspec.structs.replace(state, answer_more=more)
    joined = b"".join((state.answer, *more))[-ANSWER_BYTES_MAX:]
    return msgspec.structs.replace(state, answer=joined, answer_more=())


def _call(state: Run, ordinal: int) -> Call:
    return next(call for call in state.calls if call.ordinal == ordinal)


def _with(state: Run, call: Call) -> Run:
    others = tuple(other for other in state.calls if other.ordinal != call.ordinal)
    return msgspec.structs.replace(state, calls=(*others, call))


__all__ = ["Call", "Run", "Status", "Step", "Timer", "backoff_us", "evolve", "finish", "fold", "next_timer", "step"]
