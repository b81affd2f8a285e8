"""What a decision leaves behind in the mind of a run: calls to come, an end to come, a question to put again."""

import re
from typing import Literal

import msgspec

from domain import decisions, mind
from domain.agent_events import DecisionMade
from domain.ending import jittered
from domain.mind import Answer, Finishing, Mind, Question, Turn, Watched
from domain.setup import Wanted

replace = msgspec.structs.replace
HOPELESS = frozenset(
    {"no_key", "refused", "private_address", "http:400", "http:401", "http:403", "http:404"}
)  # asking again is idle


def decided(known: Mind, data: DecisionMade, at_us: int) -> Mind:
    """A decision was made: what it answered is answered, and what it wants is remembered for its calls."""
    question, answer = known.question, known.answer
    now = replace(
        known,
        decisions=data.number,
        decided_us=at_us,
        dropped_lines=0,
        last_words=data.decision + (f" ({data.refused})" if data.refused else ""),
        question=None,
        answer=None,
    )
    if data.decision == "none":
        return _misunderstood(now, question, answer, at_us)
    fell_back = data.controller.startswith("fallback")
    now = replace(now, attempt=0, until_us=0, errors=known.errors if fell_back else 0)
    if not data.ask:
        now = replace(now, waiting=(), more=0)
    now = _unchanged(now, data)
    if data.ask and answer is not None:
        return _meant(now, data, answer.read.decision, at_us)
    return _ruled(now, data) if data.rule else now


def _unchanged(known: Mind, data: DecisionMade) -> Mind:
    """Count decisions that come in a row and change nothing; a call that is really made begins anew."""
    if data.decision == "wait" and not any(name.startswith("idle") for name in data.triggers):
        return known
    if data.decision in {"finish", "cancel"}:
        return replace(known, repeated="", repeats=0)
    same = known.repeats + 1 if known.repeated == data.decision else 1
    return replace(known, repeated=data.decision, repeats=same)


def _misunderstood(known: Mind, question: Question | None, answer: Answer | None, at_us: int) -> Mind:
    """An answer that was none: the question is put again after a pause, with all that came meanwhile."""
    assert question is not None, "an answer belongs to a question"
    assert answer is not None, "an answer came"
    controller = known.controller
    attempt = known.attempt + 1 if answer.cause not in HOPELESS else controller.retries + 1
    again = tuple(each for each in question.triggers if each not in known.waiting)
    pause = min(controller.retry_base_us << min(known.attempt, 20), controller.retry_max_us)
    pause = max(
        jittered(pause, f"{question.request.sha256}:{attempt}"), min(answer.retry_after_us, controller.retry_max_us)
    )
    return replace(
        known,
        waiting=(*again, *known.waiting),
        errors=known.errors + 1,
        attempt=attempt,
        retry_at_us=at_us + pause if attempt <= controller.retries else 0,
    )


def _meant(known: Mind, data: DecisionMade, decision: decisions.Decision | None, at_us: int) -> Mind:
    match decision:
        case decisions.Finish():
            end = Finishing(
                outcome=decision.outcome, cause="controller", message=decision.message, evidence=decision.evidence
            )
            return replace(known, finishing=end)
        case decisions.CancelRun(then="finish"):
            message = decision.rationale or "canceled"
            return replace(known, finishing=Finishing(outcome="completed", cause="controller", message=message))
        case decisions.Wait(until_seconds=float() | int() as seconds):
            return replace(known, until_us=at_us + int(seconds * 1_000_000))
        case decisions.ToolCalls():
            known = _wished(known, data, decision.calls)
            turn = Turn(
                tuple(
                    (ordinal, each.tool, _json(each.input))
                    for ordinal, each in zip(data.calls, decision.calls, strict=True)
                )
            )
            return replace(known, turns=(*known.turns, turn))
        case decisions.Ask():
            return _wished(known, data, (Wanted("ask-person", {"question": decision.question}),))
        case _:
            return known


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _wished(known: Mind, data: DecisionMade, wanted: tuple[Wanted, ...], *, by_task: bool = False) -> Mind:
    for ordinal, each in zip(data.calls, wanted, strict=True):
        origin: Literal["task", "controller"] = "task" if by_task else "controller"
        about = Watched(call=ordinal, tool=each.tool[:100], at_us=0, arguments=each.input, origin=origin)
        known = mind.keep(known, about)
    return known


def _ruled(known: Mind, data: DecisionMade) -> Mind:
    rule = next(each for each in known.controller.rules if each.id == data.rule)
    if rule.then == "tool":
        return _wished(known, data, rule.calls or known.setup.calls, by_task=not rule.calls)
    if rule.then == "ask":
        return _wished(known, data, (Wanted("ask-person", {"question": rule.message or "go on?"}),))
    if rule.then == "wait" or (rule.then == "cancel" and not rule.message):
        return known
    end = Finishing(outcome=rule.outcome, cause=f"rule:{rule.id}", message=rule.message, triggers=data.triggers)
    return replace(known, finishing=end)


def line_of(known: Mind, triggers: tuple[str, ...]) -> str:
    """The line that a decision rests on: the one with the phrase that fired, else the last one that was printed."""
    phrase = next(
        (name.partition(":")[2].rpartition("@")[0] for name in triggers if name[:6] in {"urgent", "milest"}), ""
    )
    last = ""
    for about in known.watched:
        for text in (about.first.text if about.first else "", about.tail):
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            found = [at for at, line in enumerate(lines) if phrase and phrase in line.lower()]
            if found:
                return _cause(lines, found[0])[:300]
            last = lines[-1] if lines else last
    return last[:300]


def _cause(lines: list[str], at: int) -> str:
    """Of a traceback, the line that names the error, where it is there already."""
    if not lines[at].lower().startswith("traceback"):
        return lines[at]
    named = [
        line for line in lines[at + 1 :] if re.match(r"[A-Za-z_.]+(Error|Exception|Exit|Interrupt|Warning)\b", line)
    ]
    return named[0] if named else lines[at]
