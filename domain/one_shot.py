"""The one-shot program: start one process, stream it, read its outcome, then retry or finish."""

from typing import Literal

import msgspec

from domain import outcome
from domain.ending import Ending
from domain.events import (
    CancelRequested,
    Consequence,
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
from domain.run_state import Run

Decided = tuple[Consequence, ...] | Ending


def decide(run: Run, fact: Fact) -> Decided:  # noqa: C901, PLR0911  # one arm a fact
    """What follows from a fact, on the state that already contains it."""
    match fact:
        case RunStarted():
            assert fact.call is not None, "a one-shot run starts with its call"
            return (ToolCallRequested(call=1, tool="process", input=fact.call, effect=fact.policy.effect),)
        case RunRefused():
            permanent = fact.cause == "adapter_not_found"
            return Ending(state="failed", retry="permanent", cause=fact.cause, blocked=not permanent)
        case ToolNotStarted(cause="canceled"):
            return Ending(state="canceled", cause="operator")
        case ToolNotStarted():
            retry: Literal["retryable", "permanent"] = "retryable" if fact.cause == "out_of_resources" else "permanent"
            return Ending(state="failed", retry=retry, cause=fact.cause)
        case TimerFired():
            return tuple(
                CancelRequested(call=call.ordinal, cause="timeout")
                for call in run.open_calls
                if fact.timer == f"timeout:{call.ordinal}" and not call.cancel
            )
        case RunCancelAsked():
            return _cancel(run)
        case RunOwnerLost():
            return _lost(run, fact)
        case ToolExited():
            return _exited(run, fact)
        case _:
            return ()


def _cancel(run: Run) -> Decided:
    if not run.open_calls:
        return Ending(state="canceled", cause="operator")
    return tuple(
        CancelRequested(call=call.ordinal, cause="operator") for call in run.open_calls if call.cancel != "operator"
    )


def _lost(run: Run, fact: RunOwnerLost) -> Ending:
    if any(call.cancel == "operator" for call in run.calls):
        return Ending(state="canceled", cause="operator")
    if run.open_calls and run.policy is not None and run.policy.effect == "once":
        return Ending(state="lost", retry="none", cause="needs_reconcile", blocked=True)
    return Ending(state="lost", retry="retryable", cause=fact.cause)


def _exited(run: Run, fact: ToolExited) -> Ending:
    assert run.policy is not None, "a call is asked for by a run that was started"
    call = next(call for call in run.calls if call.ordinal == fact.call)
    if call.cancel == "operator":
        return Ending(state="canceled", cause="operator")
    if call.cancel == "timeout" or fact.signal:
        if run.policy.effect == "once":  # ended in the middle: whether it happened is for a person to find out
            return Ending(state="failed", cause="needs_reconcile", blocked=True)
        cause = "timeout" if call.cancel == "timeout" else f"signal:{fact.signal}"
        return Ending(state="failed", retry="retryable", cause=cause)
    code = fact.exit_code
    if code != 0:  # or unknown, which is no success either
        permanent = code in run.policy.exit_permanent and code not in run.policy.exit_retryable
        cause = "exit:unknown" if code is None else f"exit:{code}"
        return Ending(state="failed", retry="permanent" if permanent else "retryable", cause=cause)
    if run.policy.outcome == "exit":
        return Ending(state="completed")
    return _reported(run)


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
