"""The one-shot program: start one process, stream it, read its outcome, then retry or finish."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from domain import judging, outcome
from domain.agent_events import ToolReturned
from domain.bounds import HINT_REFUNDS_MAX
from domain.ending import Ending, usual_backoff_us
from domain.events import (
    CancelRequested,
    Consequence,
    EvidenceGathered,
    Fact,
    RunCancelAsked,
    RunOwnerLost,
    RunRefused,
    RunStarted,
    TimerFired,
    ToolCallRequested,
    ToolExited,
    ToolNotStarted,
)
from domain.payload import CallKind
from domain.run_state import Run

_NO_TEXTS: Mapping[str, bytes] = {}
Decided = tuple[Consequence, ...] | Ending


def decide(  # noqa: C901, PLR0911  # one arm a fact
    run: Run, fact: Fact, texts: Mapping[str, bytes] = _NO_TEXTS
) -> Decided:
    """What follows from a fact, on the state that already contains it."""
    match fact:
        case RunStarted():
            return _started(run, fact)
        case RunRefused():
            return _refused(run, fact)
        case ToolNotStarted():
            return _not_started(fact)
        case TimerFired() | RunCancelAsked():
            return _asked_to_end(run, fact)
        case RunOwnerLost():
            return _lost(run, fact)
        case ToolExited():
            return _exited(run, fact)
        case ToolReturned():
            return _returned(run)
        case EvidenceGathered():
            return judging.judged(run, texts["after"]) if "after" in texts else judging.lost_evidence(run)
        case _:
            return ()


def _started(run: Run, fact: RunStarted) -> Decided:
    assert fact.call is not None, "a one-shot run starts with its call"
    asks = run.brief is not None and run.brief.reader in ("ollama", "openai")
    kind: CallKind = "http" if asks else "process"
    tool = "model" if asks else "process"
    return (ToolCallRequested(call=1, tool=tool, input=fact.call, effect=fact.policy.effect, kind=kind),)


def _refused(run: Run, fact: RunRefused) -> Ending:
    if fact.retry_after_us and not (fact.refunded and run.refunds >= HINT_REFUNDS_MAX):
        wait_us = fact.retry_after_us
        return Ending(state="failed", retry="retryable", cause=fact.cause, wait_us=wait_us, refund=fact.refunded)
    permanent = fact.cause == "adapter_not_found"
    return Ending(state="failed", retry="permanent", cause=fact.cause, blocked=not permanent)


def _not_started(fact: ToolNotStarted) -> Ending:
    if fact.cause == "canceled":
        return Ending(state="canceled", cause="operator")
    retry: Literal["retryable", "permanent"] = "retryable" if fact.cause == "out_of_resources" else "permanent"
    return Ending(state="failed", retry=retry, cause=fact.cause)


def _asked_to_end(run: Run, fact: TimerFired | RunCancelAsked) -> Decided:
    if isinstance(fact, RunCancelAsked):
        return _cancel(run)
    return tuple(
        CancelRequested(call=call.ordinal, cause="timeout")
        for call in run.open_calls
        if fact.timer == f"timeout:{call.ordinal}" and not call.cancel
    )


def _returned(run: Run) -> Decided:
    call = run.calls[-1]
    if call.cancel == "operator":
        return Ending(state="canceled", cause="operator")
    if call.cancel == "timeout":
        return Ending(state="failed", retry="retryable", cause="timeout")
    return judging.ended(run)


def _cancel(run: Run) -> Decided:
    if not run.open_calls:
        return Ending(state="canceled", cause="operator")
    return tuple(
        CancelRequested(call=call.ordinal, cause="operator") for call in run.open_calls if call.cancel != "operator"
    )


def _lost(run: Run, fact: RunOwnerLost) -> Ending:
    if any(call.cancel == "operator" for call in run.calls):
        return Ending(state="canceled", cause="operator")
    if run.verifying:
        return judging.lost_evidence(run)
    if run.open_calls and run.policy is not None and run.policy.effect == "once":
        return Ending(state="lost", retry="none", cause="needs_reconcile", blocked=True)
    broke = fact.cause == "internal_error" and run.policy is None
    wait_us = usual_backoff_us(run) if broke else 0
    return Ending(state="lost", retry="retryable", cause=fact.cause, wait_us=wait_us)


def _exited(run: Run, fact: ToolExited) -> Decided:
    assert run.policy is not None, "a call is asked for by a run that was started"
    call = next(call for call in run.calls if call.ordinal == fact.call)
    if call.cancel == "operator":
        return Ending(state="canceled", cause="operator")
    if call.cancel == "timeout" or fact.signal:
        if run.policy.effect == "once":  # ended in the middle: whether it happened is for a person to find out
            return Ending(state="failed", cause="needs_reconcile", blocked=True)
        cause = "timeout" if call.cancel == "timeout" else f"signal:{fact.signal}"
        return Ending(state="failed", retry="retryable", cause=cause)
    return _by_code(run, fact.exit_code)


def _by_code(run: Run, code: int | None) -> Decided:
    assert run.policy is not None, "a call is asked for by a run that was started"
    permanent = code in run.policy.exit_permanent and code not in run.policy.exit_retryable
    cause = "" if code == 0 else "exit:unknown" if code is None else f"exit:{code}"  # unknown is no success either
    if run.brief is not None:
        return judging.ended(run, cause, permanent=permanent)
    if cause:
        return Ending(state="failed", retry="permanent" if permanent else "retryable", cause=cause)
    return Ending(state="completed") if run.policy.outcome == "exit" else _reported(run)


def _reported(run: Run) -> Ending:
    assert run.policy is not None, "a call is asked for by a run that was started"
    text = run.answered.decode("utf-8", "replace")
    found = outcome.from_text(text) if run.policy.outcome == "text" else outcome.from_json(text)
    document = msgspec.json.encode(found)
    match found.status:
        case "completed":
            return Ending(state="completed", outcome=document)
        case "blocked":
            return Ending(state="failed", cause="reported_blocked", blocked=True, outcome=document)
        case "permanent_failure":
            return Ending(state="failed", retry="permanent", cause="reported_failure", outcome=document)
        case "retryable_failure":
            cause = found.machine_status if found.machine_status == "no_outcome" else "reported_retry"
            return Ending(state="failed", retry="retryable", cause=cause, outcome=document)
