"""What a person answers: approve, edit, reject, settle, grant. Each answer is one put, bound to what was shown.

Used by every door: the command line now, HTTP later. The first valid answer wins.
"""

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from commands.recover import read_tip
from commands.surroundings import grants as standing
from domain import acting, errors, mind, policies, tools
from domain.advance import Happened, Tip, advance
from domain.agent_events import (
    ApprovalClosed,
    CallApproved,
    CallEdited,
    CallRejected,
    CallSettled,
    GrantMade,
    GrantRevoked,
)
from domain.bounds import GRANT_S_MAX, PREFIX_CHARS_MIN
from domain.events import Put, Recorded
from domain.ids import POLICY, text_of
from domain.intake import check_text
from domain.mind import Approval, Mind
from domain.payload import Fact, Text
from domain.ports import Log, RunView
from domain.setup import Tool

_TRIES = 20  # against a run that is busy appending
_LATE = "as nobody answered in time"


class Asked(NamedTuple):
    """What waits for a person: the approval, its exact canonical arguments, and the mind that asks."""

    tip: Tip
    approval: Approval
    arguments: bytes
    mind: Mind


class Who(NamedTuple):
    """Who answers, how, and when."""

    actor: str
    channel: str
    at_us: int
    key: str = ""  # the same key twice is the same answer


def asked(log: RunView, run: str, call: int | None) -> Asked:
    """The call that waits; without an ordinal the only one. Raises ApprovalNotFound, ApprovalResolved."""
    tip = read_tip(log, run)
    known = tip.state.mind
    waiting = mind.pending(known) if known is not None else ()
    if call is None and len(waiting) > 1:
        names = ", ".join(str(each.call) for each in waiting)
        raise errors.ApprovalNotFound(what=f"run {run[:8]} has several calls that wait, name one: {names}")
    found = next((each for each in waiting if call in (None, each.call)), None)
    if found is None:
        _refuse_resolved(log, run, call)
        name = f"call {call} of run" if call is not None else "run"
        raise errors.ApprovalNotFound(
            what=f"no call of {name} {run[:8]} waits for a person".replace("no call of call", "no call")
        )
    assert known is not None, "an approval is in a mind"
    about = mind.watched(known, found.call)
    tool = known.setup.tool(found.tool)
    assert about is not None, "what waits was wished for"
    assert tool is not None, "what waits has a tool"
    return Asked(tip, found, tools.canonical(tool, about.arguments), known)


def _refuse_resolved(log: RunView, run: str, call: int | None) -> None:
    """Say who was faster, or that it is too late; without an ordinal, of what waited last."""
    for event in reversed(log.stream(run)):
        data = event.data
        if isinstance(data, CallApproved | CallEdited | CallRejected) and call in (None, data.call):
            how = str(data.__struct_config__.tag).rpartition("_")[2]
            raise errors.ApprovalResolved(
                call=data.call, run=run[:8], how=how, by=f"by {event.actor} at position {event.position}"
            )
        if isinstance(data, ApprovalClosed) and call in (None, data.call):
            by = _LATE if data.how == "expired" else "as its run ended"
            raise errors.ApprovalResolved(call=data.call, run=run[:8], how=data.how, by=by)


Answer = CallApproved | CallEdited | CallRejected | CallSettled


class Under(NamedTuple):
    """An answer that may have been given before under its key: to which call, and what makes it the same one."""

    key: str
    call: int | None
    digest: str  # or its beginning, where one was named
    same: Callable[[Answer], bool]


class Given(NamedTuple):
    """An answer that is in the log, and where."""

    position: int
    data: Answer

    @property
    def how(self) -> str:
        """How it was put."""
        return str(self.data.__struct_config__.tag).rpartition("_")[2]


def given(log: RunView, run: str, wanted: Under) -> Given | None:
    """The answer that was given under this key; None when there is none. Raises AnswerKeyConflict for another one."""
    for event in log.stream(run) if wanted.key else ():
        data = event.data
        if isinstance(data, Answer) and data.key == wanted.key:
            found = Given(event.position, data)
            bound = "" if isinstance(data, CallSettled) else data.digest
            if not (wanted.call in (None, data.call) and bound.startswith(wanted.digest) and wanted.same(data)):
                raise errors.AnswerKeyConflict(key=wanted.key, how=found.how, position=found.position)
            return found
    return None


def is_approval(log: RunView, run: str, data: Answer, note: str, *, standing: bool) -> bool:
    """Whether an answer is a yes with these words, and with a standing one, or without."""
    if not isinstance(data, CallApproved) or data.note != _words(note):
        return False
    made = (event.data for event in log.stream(POLICY) if isinstance(event.data, GrantMade))
    return standing == any((grant.from_run, grant.from_call) == (run, data.call) for grant in made)


def is_edit(log: RunView, run: str, data: Answer, document: object) -> bool:
    """Whether an answer is a yes to these arguments."""
    known = read_tip(log, run).state.mind
    about = mind.watched(known, data.call) if known is not None else None
    tool = known.setup.tool(about.tool) if known is not None and about is not None else None
    if not isinstance(data, CallEdited) or not isinstance(document, dict) or tool is None:
        return False
    try:
        return text_of(tools.canonical(tool, document)) == data.arguments
    except tools.WrongInput:
        return False


def is_rejection(data: Answer, reason: str) -> bool:
    """Whether an answer is a no for this reason."""
    return isinstance(data, CallRejected) and data.reason == _words(reason)


def is_settlement(data: Answer, note: str, *, happened: bool) -> bool:
    """Whether an answer says the same of an effect, in the same words."""
    return isinstance(data, CallSettled) and (data.happened, data.note) == (happened, _words(note))


def _words(text: str) -> Text | None:
    return text_of(text.encode()) if text else None


class Scope(NamedTuple):
    """A standing grant that is made with an approval: until when, and for which arguments (path -> glob)."""

    grant: str  # its id
    until_us: int
    arguments: dict[str, str]


def approve(
    log: Log, run: str, call: int | None, who: Who, *, digest: str = "", note: str = "", scope: Scope | None = None
) -> tuple[int, Asked]:
    """Say yes to exactly what waits; the position. Raises what `asked` raises, and ApprovalChanged."""

    def fact(found: Asked) -> Happened:
        if found.approval.kind == "question" and not note.strip():
            raise errors.Invalid(where="--note", why="a question is answered with a text")
        texts = {"note": note.encode()} if note else {}
        made = CallApproved(
            call=found.approval.call,
            digest=found.approval.digest,
            channel=who.channel,
            note=text_of(texts["note"]) if note else None,
            key=who.key,
        )
        return Happened(made, None, who.actor, texts)

    return _answer(log, run, call, who, digest, fact, scope)


def edit(log: Log, run: str, call: int | None, who: Who, document: object, *, digest: str = "") -> tuple[int, Asked]:
    """Say yes to other arguments. Raises also Invalid, when they do not fit the tool."""

    def fact(found: Asked) -> Happened:
        tool = found.mind.setup.tool(found.approval.tool)
        assert tool is not None, "what waits has a tool"
        if found.approval.kind == "question":
            raise errors.Invalid(where="--edit", why="a question has nothing to edit; answer it with --note")
        if not isinstance(document, dict):
            raise errors.Invalid(where="--edit", why=f"expected an object, got {type(document).__name__}")
        try:
            arguments = tools.canonical(tool, document)
        except tools.WrongInput as problem:
            raise errors.Invalid(where="--edit", why=f"does not fit the tool {tool.name!r}: {problem}") from None
        _refuse_denied(found, tool, arguments, who.at_us)
        made = CallEdited(
            call=found.approval.call,
            digest=found.approval.digest,
            arguments=text_of(arguments),
            edited_digest=acting.digest(found.mind, tool, arguments),
            channel=who.channel,
            key=who.key,
        )
        return Happened(made, None, who.actor, {"arguments": arguments})

    return _answer(log, run, call, who, digest, fact, None)


def _refuse_denied(found: Asked, tool: Tool, arguments: bytes, at_us: int) -> None:
    """An edit into what the policy denies would only be refused later, and the question would be used up."""
    wish = policies.Wish(
        tool=tool,
        arguments=msgspec.json.decode(arguments),
        profile=found.mind.setup.profile,
        origin="controller",
        cost_nusd=found.mind.cost_nusd,
        at_us=at_us,
    )
    verdict = policies.evaluate(found.mind.book, wish)
    if verdict.effect == "deny":
        why = f"the policy denies the edited call: {verdict.reason or ', '.join(verdict.rules)}"
        raise errors.Refused(why=why)


def reject(log: Log, run: str, call: int | None, who: Who, reason: str, *, digest: str = "") -> tuple[int, Asked]:
    """Say no, with a reason that the agent is told."""
    if not reason.strip():
        raise errors.Invalid(where="--reason", why="say why: the agent is told")

    def fact(found: Asked) -> Happened:
        text = reason.encode()
        made = CallRejected(
            call=found.approval.call,
            digest=found.approval.digest,
            channel=who.channel,
            reason=text_of(text),
            key=who.key,
        )
        return Happened(made, None, who.actor, {"reason": text})

    return _answer(log, run, call, who, digest, fact, None)


def _answer(
    log: Log,
    run: str,
    call: int | None,
    who: Who,
    digest: str,
    fact: Callable[[Asked], Happened],
    scope: Scope | None,  # a function
) -> tuple[int, Asked]:
    for _ in range(_TRIES):
        found = asked(log, run, call)
        if digest and digest != found.approval.digest:
            raise errors.ApprovalChanged(call=found.approval.call, run=run[:8], digest=found.approval.digest[:12])
        if 0 < found.approval.expires_at_us <= who.at_us:  # also where no dispatcher has noticed yet
            raise errors.ApprovalResolved(call=found.approval.call, run=run[:8], how="expired", by=_LATE)
        happened = fact(found)
        for text in happened.texts.values():
            check_text(text.decode(), "the answer")
        _, put = advance(found.tip, [happened], at_us=who.at_us, actor=who.actor)
        if scope is not None:
            put = _with_grant(log, put, found, scope, who)
        result = log.append([put])[0]
        if isinstance(result, errors.StreamConflict):
            continue  # the run went on meanwhile: look again whether it still waits
        if isinstance(result, Exception):
            raise result
        return result[-1], found
    raise errors.LogBusy(seconds=1)


def _with_grant(log: Log, put: Put, found: Asked, scope: Scope, who: Who) -> Put:
    tool = found.mind.setup.tool(found.approval.tool)
    assert tool is not None, "what waits has a tool"
    if policies.EXFILTRATING in tool.tags:
        raise errors.GrantRefused(why=f"the tool {tool.name!r} may carry data away; each call of it is asked for")
    if found.approval.kind == "question":
        raise errors.GrantRefused(why="a question has no standing answer")
    if not 0 < scope.until_us - who.at_us <= GRANT_S_MAX * 1_000_000:
        raise errors.GrantRefused(why=f"a grant ends within {GRANT_S_MAX / 86_400:.0f} days")
    if not policies.fits(scope.arguments, msgspec.json.decode(found.arguments)):
        raise errors.GrantRefused(why="it would not cover the call that is approved; see --match")
    if not scope.arguments:
        raise errors.GrantRefused(why="a grant names arguments; one for every call of a tool is a policy")
    made = GrantMade(
        grant=scope.grant,
        tool=tool.name,
        arguments=scope.arguments,
        until_us=scope.until_us,
        profile=found.mind.setup.profile,
        from_run=found.tip.state.run,
        from_call=found.approval.call,
    )
    event = _policy_event(log, made, who)
    return msgspec.structs.replace(put, events=(*put.events, event))


def revoke(log: Log, grant: str, who: Who, reason: str) -> tuple[int, str]:
    """End a standing grant; the position and its whole id. Raises IdNotFound, IdAmbiguous."""
    made = [each.id for each in standing(log, 0)]
    found = [each for each in made if each.startswith(grant)] if len(grant) >= PREFIX_CHARS_MIN else []
    if not found:
        raise errors.IdNotFound(what="grant", given=grant)
    if len(found) > 1:
        raise errors.IdAmbiguous(what="grant", given=grant, count=len(found), candidates=", ".join(found[:5]))
    event = _policy_event(log, GrantRevoked(grant=found[0], reason=reason), who)
    result = log.append([Put(events=(event,))])[0]
    if isinstance(result, Exception):
        raise result
    return result[-1], found[0]


def _policy_event(log: Log, data: Fact, who: Who) -> Recorded:
    return Recorded(
        stream=POLICY,
        version=log.version(POLICY) + 1,
        at_us=who.at_us,
        actor=who.actor,
        data=data,  # type: ignore[arg-type]  # a grant is an Event
    )


def settle(log: Log, run: str, call: int | None, who: Who, *, happened: bool, note: str) -> tuple[int, int]:
    """Say whether an effect of unknown outcome happened; position and call. Raises ApprovalNotFound."""
    for _ in range(_TRIES):
        tip = read_tip(log, run)
        lost = mind.unknown(tip.state.mind) if tip.state.mind is not None else ()
        found = [each for each in lost if call in (None, each.call)]
        if not found:
            raise errors.ApprovalNotFound(what=f"run {run[:8]} has no effect of unknown outcome")
        if len(found) > 1:
            names = ", ".join(str(each.call) for each in found)
            raise errors.ApprovalNotFound(
                what=f"run {run[:8]} has several effects of unknown outcome, name one: {names}"
            )
        texts = {"note": note.encode()} if note else {}
        fact = CallSettled(
            call=found[0].call, happened=happened, note=text_of(texts["note"]) if note else None, key=who.key
        )
        _, put = advance(tip, [Happened(fact, None, who.actor, texts)], at_us=who.at_us, actor=who.actor)
        result = log.append([put])[0]
        if isinstance(result, errors.StreamConflict):
            continue
        if isinstance(result, Exception):
            raise result
        return result[-1], found[0].call
    raise errors.LogBusy(seconds=1)
