"""The rules controller: a table, a list of triggers, an answer. No network, no clock, no surprise."""

from domain.mind import FAST, Mind, Trigger
from domain.setup import Rule

VERSION = "rules/1"


def answer(mind: Mind, triggers: tuple[Trigger, ...]) -> Rule | None:
    """The first rule of the table that one of the triggers fits; None means wait."""
    for rule in mind.controller.rules:
        if rule.then == "tool" and not (rule.calls or mind.setup.calls):
            continue  # there is nothing that it could start
        if any(_fits(rule, trigger) for trigger in triggers):
            return rule
    return None


def _fits(rule: Rule, trigger: Trigger) -> bool:
    kind, _, detail = rule.when.partition(":")
    if kind == "phrase":
        return trigger.kind in {"urgent", "milestone"} and trigger.detail.lower() == detail.lower()
    return kind == trigger.kind and detail in ("", trigger.detail)


def is_fast(triggers: tuple[Trigger, ...]) -> bool:
    """Whether these triggers call for the fast path: urgency survives whatever else came."""
    return any(trigger.kind in FAST for trigger in triggers)


DEFAULT: tuple[Rule, ...] = (
    Rule(id="start", when="start", then="tool"),
    Rule(id="urgent", when="urgent", then="cancel", message="{line}", outcome="failed"),
    Rule(id="failed", when="exit:failed", then="finish", message="the process failed: {line}", outcome="failed"),
    Rule(id="milestone", when="milestone", then="finish", message="{line}"),
    Rule(id="done", when="exit:ok", then="finish", message="process exited"),
    Rule(id="result", when="result:ok", then="finish", message="{line}"),
    Rule(id="no-result", when="result:failed", then="finish", message="{line}", outcome="failed"),
    Rule(id="refused", when="refused", then="finish", message="the call was refused: {line}", outcome="blocked"),
    Rule(id="rejected", when="rejected", then="finish", message="a person said no", outcome="blocked"),
    Rule(id="expired", when="expired", then="finish", message="nobody answered in time", outcome="blocked"),
    Rule(id="answered", when="answered", then="finish", message="{line}"),
    Rule(id="settled", when="settled", then="finish", message="a person settled what happened"),
    Rule(id="nothing", when="idle", then="finish", message="nothing is left to do", outcome="blocked"),
)
