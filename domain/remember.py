"""How each event changes what a controller's run remembers."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from domain import decisions, mind, setup, tools
from domain.agent_events import (
    ApprovalClosed,
    ApprovalRequested,
    BudgetReached,
    CallApproved,
    CallEdited,
    CallRefused,
    CallRejected,
    CallSettled,
    ControllerAnswered,
    ControllerAsked,
    ControllerReplaced,
    DecisionMade,
    HistorySummarized,
    RunDenied,
    RunResumed,
    ToolReturned,
    ToolsDiscovered,
)
from domain.bounds import OBSERVATION_CHARS_MAX
from domain.decided import decided
from domain.events import (
    CancelRequested,
    OutputAppended,
    RunCancelAsked,
    RunOwnerLost,
    TaskClaimed,
    TaskParked,
    TimerFired,
    ToolCallRequested,
    ToolExited,
    ToolNotStarted,
    ToolStarted,
)
from domain.mind import Answer, Approval, Entry, Finishing, Lost, Mind, Question, Trigger, Watched
from domain.payload import Payload
from domain.policies import DENIED
from domain.run_state import Run
from domain.spending import answered_spending

replace = msgspec.structs.replace


def begin(document: bytes, at_us: int) -> Mind:
    """The mind of a run that starts with this setup."""
    found = setup.decode(document)
    return Mind(setup=found, book=found.book, waiting=(Trigger("start"),), since_us=at_us, decided_us=at_us)


def remember(  # noqa: C901, PLR0911, PLR0912, PLR0913  # one arm an event: splitting it would hide what is missing
    run: Run, known: Mind, data: Payload, *, at_us: int, body: bytes | None, texts: Mapping[str, bytes]
) -> Mind:
    """Fold one event. `run` is the run before it."""
    match data:
        case OutputAppended():
            end = data.offset + data.size
            return mind.output(known, call=data.call, stream=data.stream, block=body or b"", end=end, at_us=at_us)
        case ToolCallRequested():
            return _requested(known, data)
        case ToolStarted() | ToolNotStarted() | ToolExited() | ToolReturned():
            return _called(known, data, at_us, texts)
        case ControllerAsked():
            return _asked(known, data)
        case ControllerAnswered():
            return _answered(known, data, texts)
        case DecisionMade():
            return decided(known, data, at_us)
        case RunDenied():
            return replace(known, finishing=Finishing(outcome="blocked", cause=DENIED, message=data.reason))
        case ControllerReplaced():
            return replace(known, replaced=known.replaced + 1, attempt=0, retry_at_us=0, errors=0)
        case HistorySummarized():
            said = known.answer.said if known.answer is not None else ""
            return replace(known, summary=said, question=None, answer=None)
        case ToolsDiscovered():
            return replace(known, setup=tools.extended(known.setup, data.server, texts.get("tools", b"[]")))
        case CallRefused():
            return _refused(known, data)
        case ApprovalRequested() | ApprovalClosed() | CallApproved() | CallEdited() | CallRejected():
            return _approval(known, data, texts)
        case CallSettled():
            return _settled(known, data, texts)
        case TimerFired():
            return _timer(known, data)
        case RunOwnerLost():
            return _lost(run, known, data, at_us)
        case RunResumed():
            return _resumed(known, texts)
        case TaskClaimed():
            return replace(known, since_us=at_us)
        case TaskParked():
            return replace(known, active_us=known.active_us + max(0, at_us - known.since_us), since_us=at_us)
        case BudgetReached():
            return replace(known, finishing=_out_of_budget(data))
        case RunCancelAsked():
            return replace(known, finishing=Finishing(outcome="canceled", cause="operator"))
        case CancelRequested():
            return known
        case _:
            return known


def _requested(known: Mind, data: ToolCallRequested) -> Mind:
    about = mind.watched(known, data.repeats or data.call)
    answered = mind.approval(known, data.call)
    arguments, origin = (about.arguments, about.origin) if about else ({}, "controller")
    if answered is not None and answered.edited:
        arguments = msgspec.json.decode(answered.edited)
    known = replace(
        known,
        calls=max(known.calls, data.call),
        tool_calls=known.tool_calls + 1,
        approvals=tuple(each for each in known.approvals if each.call != data.call),
        lost=tuple(each for each in known.lost if each.original != data.repeats),
        repeats=0,
    )
    now = Watched(call=data.call, tool=data.tool, at_us=0, arguments=arguments, origin=origin)
    return mind.keep(known, now)


def _called(
    known: Mind,
    data: ToolStarted | ToolNotStarted | ToolExited | ToolReturned,
    at_us: int,
    texts: Mapping[str, bytes],
) -> Mind:
    about = mind.watched(known, data.call)
    tool = about.tool if about else ""
    match data:
        case ToolStarted():
            if about is not None:
                known = mind.keep(known, replace(about, at_us=at_us, started_us=at_us))
            return mind.note(known, Entry(kind="started", call=data.call, text=tool))
        case ToolNotStarted():
            text = f"not started: {data.cause}" + (f": {data.message}" if data.message else "")
            known = mind.note(known, Entry(kind="exited", call=data.call, text=text))
            return mind.trigger(known, Trigger("exit", data.call, "failed"))
        case ToolExited():
            how = f"signal {data.signal}" if data.signal else f"exit {data.exit_code}"
            used = known.setup.tool(tool)
            if used is not None and used.kind == "ssh-command" and data.signal:  # the client was killed, not asked
                how += ", remote state unknown"
                known = replace(known, remote_unknown=(*known.remote_unknown, data.call))
            known = mind.note(known, Entry(kind="exited", call=data.call, text=how))
            return mind.trigger(known, Trigger("exit", data.call, "ok" if data.exit_code == 0 else "failed"))
        case ToolReturned():
            text = texts.get("result", b"").decode("utf-8", "replace")[-OBSERVATION_CHARS_MAX:]
            shown = text if data.ok else f"failed: {data.cause} {text}".rstrip()
            if about is not None:
                known = mind.keep(known, replace(about, tail=shown))
            known = mind.note(known, Entry(kind="observation", call=data.call, text=shown))
            return mind.trigger(known, Trigger("result", data.call, "ok" if data.ok else "failed"))


def _asked(known: Mind, data: ControllerAsked) -> Mind:
    question = Question(
        ask=data.ask,
        path=data.path,
        triggers=known.waiting or (Trigger("idle"),),
        window=data.window,
        request=data.request,
        attempt=data.attempt,
        reserved_tokens=data.reserved_tokens,
        reserved_nusd=data.reserved_nusd,
        purpose=data.purpose,
    )
    if data.purpose == "summary":  # what waits for a decision goes on waiting
        return replace(
            known,
            calls=data.ask,
            question=question,
            tokens=known.tokens + data.reserved_tokens,
            cost_nusd=known.cost_nusd + data.reserved_nusd,
        )
    return replace(
        known,
        calls=data.ask,
        question=question,
        waiting=(),
        more=0,
        retry_at_us=0,
        until_us=0,
        tokens=known.tokens + data.reserved_tokens,
        cost_nusd=known.cost_nusd + data.reserved_nusd,
    )


def _answered(known: Mind, data: ControllerAnswered, texts: Mapping[str, bytes]) -> Mind:
    question = known.question
    if question is None or question.ask != data.ask:
        return known
    body = texts.get("answer", b"")
    controller = known.asked
    read, model, usage, said = decisions.Read(None, data.cause), "", decisions.Usage(), ""
    if not data.cause and controller.kind == "openai":
        found = decisions.completion(body)
        if found is None:
            read = decisions.Read(None, "not_a_completion")
        else:
            model, usage = found.model[:200], found.usage or usage
            text = found.choices[0].message.content or "" if found.choices else ""
            if question.purpose == "summary":
                said = text.strip()[: known.setup.summary_chars]
                read = decisions.Read(None, "" if said else "empty")
            else:
                chat = known.setup.program == "chat"
                read = decisions.read_chat(found) if chat else decisions.read(text, path=question.path)
    elif not data.cause:
        read = decisions.read(body.decode("utf-8", "replace"), path=question.path)
    answer = Answer(
        cause=data.cause,
        text=data.answer,
        read=read,
        latency_us=data.latency_us,
        retry_after_us=data.retry_after_us,
        model=model,
        tokens_in=usage.prompt_tokens,
        tokens_out=usage.completion_tokens,
        said=said,
    )
    known = answered_spending(known, question, answer)
    if known.finishing is not None:  # nobody decides any more
        return replace(known, question=None)
    return replace(known, answer=answer)


def _refused(known: Mind, data: CallRefused) -> Mind:
    answered = mind.approval(known, data.call)
    reason = data.reason or (answered.note if answered is not None else "")
    happened = data.cause == "lost"
    text = reason if happened else f"refused: {data.cause}" + (f": {reason}" if reason else "")
    known = replace(known, calls=max(known.calls, data.call))
    known = replace(
        known,
        approvals=tuple(each for each in known.approvals if each.call != data.call),
        lost=tuple(each for each in known.lost if each.call != data.call),
    )
    if data.call:
        about = mind.watched(known, data.call) or Watched(call=data.call, tool=data.tool, at_us=0)
        known = mind.keep(known, replace(about, tail=text))
    known = mind.note(known, Entry(kind="observation", call=data.call, text=text))
    failed = answered is not None and (
        (data.cause == "rejected" and answered.on_reject == "fail")
        or (data.cause == "expired" and answered.on_expire == "fail")
    )
    if failed and known.finishing is None:
        known = replace(known, finishing=Finishing(outcome="failed", cause=f"approval_{data.cause}", message=reason))
    return mind.trigger(known, Trigger(_REFUSED.get(data.cause, "refused"), data.call))


_REFUSED: dict[str, mind.TriggerKind] = {"rejected": "rejected", "expired": "expired", "lost": "settled"}


def _approval(
    known: Mind,
    data: ApprovalRequested | ApprovalClosed | CallApproved | CallEdited | CallRejected,
    texts: Mapping[str, bytes],
) -> Mind:
    if isinstance(data, ApprovalRequested):
        asked = Approval(
            call=data.call,
            tool=data.tool,
            arguments=data.arguments,
            digest=data.digest,
            kind=data.kind,
            expires_at_us=data.expires_at_us,
            on_expire=data.on_expire,
            on_reject=data.on_reject,
        )
        known = replace(known, calls=max(known.calls, data.call))
        others = tuple(each for each in known.approvals if each.call != data.call)
        lost = tuple(each for each in known.lost if each.call != data.call)
        return replace(known, approvals=(*others, asked), lost=lost)
    found = mind.approval(known, data.call)
    if found is None:
        return known
    said = texts.get("note", b"").decode("utf-8", "replace")
    match data:
        case ApprovalClosed(how="expired"):
            return mind.decided(known, replace(found, verdict="expired"))
        case ApprovalClosed():
            others = tuple(each for each in known.approvals if each.call != data.call)
            return replace(known, approvals=others)
        case CallApproved():
            known = mind.decided(known, replace(found, verdict="approved", note=said))
        case CallEdited():
            edited = texts.get("arguments", b"")
            known = mind.decided(
                known, replace(found, verdict="edited", edited=edited, digest=data.edited_digest, note=said)
            )
        case CallRejected():
            reason = texts.get("reason", b"").decode("utf-8", "replace")
            known = mind.decided(known, replace(found, verdict="rejected", note=reason))
    return replace(known, resumed=False)


def _settled(known: Mind, data: CallSettled, texts: Mapping[str, bytes]) -> Mind:
    said = texts.get("note", b"").decode("utf-8", "replace")
    happened: Literal["yes", "no"] = "yes" if data.happened else "no"
    lost = tuple(replace(each, happened=happened, note=said) if each.call == data.call else each for each in known.lost)
    return replace(known, lost=lost, resumed=False)


def _timer(known: Mind, data: TimerFired) -> Mind:
    kind, _, call = data.timer.partition(":")
    if kind in {"silence", "max_wait"}:
        about = mind.watched(known, int(call or 0))
        if about is not None:
            known = mind.keep(known, replace(about, at_us=data.due_us))
        return mind.trigger(replace(known, decided_us=data.due_us), Trigger("silence", int(call or 0)))
    if kind == "until":
        return mind.trigger(replace(known, until_us=0), Trigger("silence"))
    if kind == "retry":
        return replace(known, retry_at_us=0)
    return known


def _lost(run: Run, known: Mind, data: RunOwnerLost, at_us: int) -> Mind:
    """Calls are remembered as lost; an ask is repeated, and counts as spent in full."""
    lost = known.lost
    until_us = at_us  # it was at work: to the last sign of life where it died unnoticed
    if data.cause == "dispatcher_died":
        until_us = max((known.decided_us, *(each.at_us for each in known.watched)))
    active_us = known.active_us + max(0, until_us - known.since_us)
    for call in run.open_calls:
        if call.cancel:
            known = mind.note(known, Entry(kind="exited", call=call.ordinal, text="ended with its dispatcher"))
            known = mind.trigger(known, Trigger("exit", call.ordinal, "failed"))
        else:
            lost = (*lost, Lost(call=call.ordinal, original=call.repeats or call.ordinal, effect=call.effect))
    died = data.cause != "dispatcher_stopped"
    known = replace(
        known, lost=lost, recoveries=known.recoveries + died, resumed=False, active_us=active_us, since_us=at_us
    )
    if known.question is not None:
        again = tuple(each for each in known.question.triggers if each not in known.waiting)
        again = () if known.question.purpose == "summary" else again  # they never left
        known = replace(known, question=None, answer=None, waiting=(*again, *known.waiting))
    return known


def _resumed(known: Mind, texts: Mapping[str, bytes]) -> Mind:
    book = setup.decode_book(texts["book"]) if texts.get("book") else known.book
    known = replace(known, book=book, resumed=True)
    for each in known.approvals:
        if each.kind == "question" and each.verdict == "approved":
            known = _replied(known, each)
    return known


def _replied(known: Mind, question: Approval) -> Mind:
    about = mind.watched(known, question.call)
    if about is not None:
        known = mind.keep(known, replace(about, tail=question.note))
    others = tuple(each for each in known.approvals if each.call != question.call)
    known = mind.note(
        replace(known, approvals=others), Entry(kind="observation", call=question.call, text=question.note)
    )
    return mind.trigger(known, Trigger("answered", question.call))


def _out_of_budget(data: BudgetReached) -> Finishing:
    if data.budget == "errors":
        return Finishing(outcome="blocked", cause="controller_failed")
    if data.budget == "stuck":
        return Finishing(outcome="blocked", cause="controller_stuck")
    if data.budget == "recoveries":
        return Finishing(outcome="failed", cause="recoveries_exhausted", retryable=True)
    return Finishing(outcome="blocked", cause=f"budget:{data.budget}")


__all__ = ["begin", "remember"]
