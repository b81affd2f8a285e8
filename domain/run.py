"""The run core: facts in, consequences out. The same function serves the dispatcher, recovery and replay.

A program decides (`domain.one_shot`, `domain.controller`); this module folds and chooses the program.
"""

from collections.abc import Iterable, Mapping

import msgspec

from domain import brief as briefs
from domain import controller, one_shot, reports
from domain.agent_events import RunResumed, ToolReturned
from domain.bounds import ANSWER_BYTES_MAX, ANSWER_PARTS_MAX, CHUNK_BYTES_MAX, ERRORS_BYTES_MAX
from domain.ending import Ending, backoff_us, finish
from domain.events import (
    AgentReported,
    AnswerRead,
    CancelRequested,
    Consequence,
    Event,
    EvidenceGathered,
    Fact,
    OutputAppended,
    Recorded,
    RunCancelAsked,
    RunFinished,
    RunOwnerLost,
    RunStarted,
    TaskClaimed,
    TaskParked,
    TaskResumed,
    ToolCallRequested,
    ToolExited,
    ToolNotStarted,
    ToolStarted,
    VerificationRequested,
)
from domain.payload import Payload
from domain.plan import Plan
from domain.remember import begin, remember
from domain.run_state import Call, Run, Status
from domain.timers import Timer, next_timer

_NO_TEXTS: Mapping[str, bytes] = {}


class Step(msgspec.Struct, frozen=True):
    """What one fact led to. `texts` are the contents that the consequences name by digest."""

    state: Run
    consequences: tuple[Consequence, ...]
    texts: tuple[bytes, ...] = ()


def step(state: Run | None, fact: Recorded) -> Step:
    """Fold a fact, decide on the new state, fold the consequences. They trigger nothing further."""
    after = evolve(state, fact.data, stream=fact.stream, at_us=fact.at_us, body=fact.body, texts=fact.texts)
    if state is not None and state.ended:
        return Step(after, ())  # late facts change nothing
    if after.mind is not None and not isinstance(fact.data, TaskClaimed):
        plan = Plan(after, fact.at_us, _folded)
        controller.decide(plan, fact.data)  # type: ignore[arg-type]  # only facts are fed to the core
        return Step(plan.run, tuple(plan.out), tuple(plan.texts))
    if isinstance(fact.data, OutputAppended):
        return _reported(state, after, fact, fact.data)
    if isinstance(fact.data, TaskClaimed | RunResumed):
        return Step(after, ())  # one-shot programs do not decide on those
    assert isinstance(fact.data, Fact), "only facts are fed to the core"
    ending = one_shot.decide(after, fact.data, fact.texts)
    consequences: tuple[Consequence, ...] = ending if isinstance(ending, tuple) else finish(after, ending, fact.at_us)
    texts: tuple[bytes, ...] = ()
    if isinstance(ending, Ending):
        texts = (*ending.texts, ending.outcome) if ending.outcome else ending.texts
    for consequence in consequences:
        after = evolve(after, consequence, at_us=fact.at_us)
    return Step(after, consequences, texts)


def _reported(before: Run | None, after: Run, fact: Recorded, data: OutputAppended) -> Step:
    """One-shot programs do not decide on output; what a coding agent tells in it is told on."""
    if before is None or after.brief is None or not after.brief.reports:
        return Step(after, ())
    consequences, texts = reports.reported(before, data, fact.body)
    for consequence in consequences:
        after = evolve(after, consequence, at_us=fact.at_us)
    return Step(after, consequences, texts)


def _folded(run: Run, consequence: Consequence, at_us: int) -> Run:
    return evolve(run, consequence, at_us=at_us)


def evolve(  # noqa: PLR0913  # what an envelope holds
    state: Run | None,
    data: Event | Payload,
    *,
    stream: str = "",
    at_us: int = 0,
    body: bytes | None = None,
    texts: Mapping[str, bytes] = _NO_TEXTS,
) -> Run:
    """Fold one event; refuses nothing: the log is the truth. `stream` matters for the claim only."""
    if state is None:
        assert isinstance(data, TaskClaimed), "a run begins with the claim of its task"
        return Run(
            run=data.run,
            task=stream,
            dispatcher=data.dispatcher,
            epoch=data.epoch,
            attempt=data.attempt,
            max_attempts=data.max_attempts,
            refunds=data.refunds,
        )
    known = state.mind
    if known is not None:
        known = remember(state, known, data, at_us=at_us, body=body, texts=texts)
    elif isinstance(data, RunStarted) and data.setup is not None:
        known = begin(texts["setup"], at_us)
    elif isinstance(data, RunStarted | AnswerRead | ToolReturned):
        state = _told(state, data, at_us, texts)
    after = _evolve(state, data, at_us, body)
    return after if known is after.mind else msgspec.structs.replace(after, mind=known)


def _told(state: Run, data: RunStarted | AnswerRead | ToolReturned, at_us: int, texts: Mapping[str, bytes]) -> Run:
    """What a one-shot run learns from texts."""
    match data:
        case RunStarted(brief=None):
            return state
        case RunStarted():
            brief = briefs.decode(texts["brief"]) if "brief" in texts else None
            prompt = texts.get("prompt", b"")
            return msgspec.structs.replace(state, brief=brief, prompt=prompt, started_at_us=at_us)
        case AnswerRead():
            return msgspec.structs.replace(state, last_message=texts.get("text") if data.text is not None else None)
        case ToolReturned():
            failed = "" if data.ok else data.cause or "failed"
            return msgspec.structs.replace(
                state, answer=texts.get("result", b""), returned=failed, wait_us=data.retry_after_us
            )


def _evolve(  # noqa: C901, PLR0911, PLR0912  # one arm an event: splitting it would hide what is missing
    state: Run, data: Event | Payload, at_us: int, body: bytes | None
) -> Run:
    match data:
        case OutputAppended():
            return _answered(state, data, body)
        case AgentReported():
            return msgspec.structs.replace(state, reports=state.reports + 1)
        case TaskClaimed():
            return msgspec.structs.replace(
                state, dispatcher=data.dispatcher, epoch=data.epoch, status=Status.RUNNING, attempt=data.attempt
            )
        case RunStarted():
            return msgspec.structs.replace(state, policy=data.policy)
        case ToolCallRequested():
            return _with(
                state,
                Call(
                    ordinal=data.call,
                    input=data.input,
                    tool=data.tool,
                    kind=data.kind,
                    effect=data.effect,
                    timeout_us=data.timeout_us,
                    repeats=data.repeats,
                    digest=data.digest,
                ),
            )
        case ToolStarted():
            call = msgspec.structs.replace(
                _call(state, data.call),
                pid=data.pid,
                start_ticks=data.start_ticks,
                boot_id=data.boot_id,
                started_at_us=at_us,
            )
            return _with(state, call)
        case ToolNotStarted() | ToolExited() | ToolReturned():
            return _with(state, msgspec.structs.replace(_call(state, data.call), over=True))
        case VerificationRequested():
            return msgspec.structs.replace(state, verifying=True)
        case EvidenceGathered():
            return msgspec.structs.replace(state, verifying=False)
        case CancelRequested():
            return _with(state, msgspec.structs.replace(_call(state, data.call), cancel=data.cause))
        case RunCancelAsked():
            return msgspec.structs.replace(state, cancel_reason=data.reason)
        case RunFinished():
            return msgspec.structs.replace(state, status=Status(data.state))
        case RunOwnerLost() if state.mind is not None:
            over = tuple(msgspec.structs.replace(call, over=True) for call in state.calls)
            return msgspec.structs.replace(state, calls=over)
        case TaskParked():
            parked = Status.WAITING_FOR_APPROVAL if data.status == "waiting_for_approval" else Status.NEEDS_RECONCILE
            return msgspec.structs.replace(state, status=parked)
        case TaskResumed():
            return msgspec.structs.replace(state, status=Status.RESUMING)
        case _:  # what a controller alone remembers, timers, refusals, and the task's own events
            return state


def fold(events: Iterable[Recorded], state: Run | None = None) -> Run | None:
    """The state after these events: the run's part of the task's stream, its decisions, its output, by position.

    `state` is that of the run before them, where they do not begin with its claim.
    """
    for event in events:
        state = evolve(state, event.data, stream=event.stream, at_us=event.at_us, body=event.body, texts=event.texts)
    return state


def _answered(state: Run, data: OutputAppended, body: bytes | None) -> Run:
    if state.brief is not None and state.brief.reports:
        state = msgspec.structs.replace(state, line_rest=reports.rest(state, data, body))
    if state.policy is None or state.policy.outcome == "exit" or data.stream != "stdout":
        if state.brief is None or data.stream != "stderr":
            return state
        return msgspec.structs.replace(state, printed_errors=(state.printed_errors + (body or b""))[-ERRORS_BYTES_MAX:])
    more = (*state.answer_more, body or b"")
    if len(more) < ANSWER_PARTS_MAX and data.size < CHUNK_BYTES_MAX // ANSWER_PARTS_MAX:
        return msgspec.structs.replace(state, answer_more=more)
    joined = b"".join((state.answer, *more))[-ANSWER_BYTES_MAX:]
    return msgspec.structs.replace(state, answer=joined, answer_more=())


def _call(state: Run, ordinal: int) -> Call:
    return next(call for call in state.calls if call.ordinal == ordinal)


def _with(state: Run, call: Call) -> Run:
    others = tuple(other for other in state.calls if other.ordinal != call.ordinal)
    return msgspec.structs.replace(state, calls=(*others, call))


__all__ = ["Call", "Run", "Status", "Step", "Timer", "backoff_us", "evolve", "finish", "fold", "next_timer", "step"]
