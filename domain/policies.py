"""The one function that says whether a call is allowed, asked for, or denied; on every path the same."""

import hashlib
import re
from fnmatch import translate
from functools import lru_cache
from typing import Any, Literal

import msgspec

from domain.setup import Book, Effect, Grant, PolicyRule, Tool

Origin = Literal["task", "controller"]
_STRICTNESS: dict[Effect, int] = {"allow": 0, "ask": 1, "deny": 2}
DENIED = "denied_by_policy"  # the cause of a run that a rule about runs denies
EXFILTRATING = "exfiltrating"  # a tool with this tag gets no standing grant


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a call, by which rules, and how an approval would behave."""

    effect: Effect
    rules: tuple[str, ...]
    reason: str = ""
    expires_us: int = 0
    on_expire: Literal["tell_agent", "fail"] = "tell_agent"
    on_reject: Literal["tell_agent", "fail"] = "tell_agent"


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """The call that is wanted."""

    tool: Tool
    arguments: dict[str, Any]
    profile: str
    origin: Origin
    cost_nusd: int
    at_us: int


def evaluate(book: Book, wish: Wish) -> Verdict:
    """The strictest of the rules that match; where none does, a standing grant, then what the tool itself says.

    A tool that says nothing is asked for, but for calls that the task itself spells out, and questions to a person.
    """
    verdict = _evaluate(book, wish)
    if verdict.effect != "allow" or not wish.tool.always_ask or verdict.rules[0].startswith("grant:"):
        return verdict
    if (grant := _granted(book, wish)) is not None:
        return Verdict(effect="allow", rules=(f"grant:{grant.id}",))
    return Verdict(effect="ask", rules=("human-approval",))


def _evaluate(book: Book, wish: Wish) -> Verdict:  # noqa: PLR0911  # one return a rule, in their order
    matching = [rule for rule in book.rules if rule.on == "call" and _matches(rule, wish)]
    if matching:
        strictest = max(matching, key=lambda rule: _STRICTNESS[rule.effect])
        same = tuple(rule.id for rule in matching if rule.effect == strictest.effect)
        if strictest.effect == "ask" and (grant := _granted(book, wish)) is not None:
            return Verdict(effect="allow", rules=(f"grant:{grant.id}",))
        return Verdict(
            effect=strictest.effect,
            rules=same,
            reason=strictest.reason,
            expires_us=strictest.expires_us,
            on_expire=strictest.on_expire,
            on_reject=strictest.on_reject,
        )
    if wish.tool.approval == "deny":
        return Verdict(effect="deny", rules=("tool",), reason="the tool is switched off")
    if wish.tool.kind == "ask-person":  # nothing is carried out: asking is the whole effect
        return Verdict(effect="allow", rules=("question",))
    if wish.tool.approval == "allow" or _is_own_memory(wish):
        return Verdict(effect="allow", rules=("tool",))
    if (grant := _granted(book, wish)) is not None:
        return Verdict(effect="allow", rules=(f"grant:{grant.id}",))
    if wish.origin == "task" and not wish.tool.approval:
        return Verdict(effect="allow", rules=("task",))
    return Verdict(effect="ask", rules=("default",))


class RunWish(msgspec.Struct, frozen=True, kw_only=True):
    """The run that is wanted: of which profile or adapter, for what sort of work."""

    profile: str
    adapter: str
    kind: str
    source: str


def admits(book: Book, wish: RunWish) -> Verdict:
    """Whether a run may begin or go on: every way into a run is checked by this. Never `ask`."""
    matching = [rule for rule in book.rules if rule.on == "run" and _admits(rule, wish)]
    denying = [rule for rule in matching if rule.effect == "deny"]
    if denying:
        reason = "; ".join(rule.reason or rule.id for rule in denying)
        return Verdict(effect="deny", rules=tuple(rule.id for rule in denying), reason=reason)
    return Verdict(effect="allow", rules=tuple(rule.id for rule in matching))


def _admits(rule: PolicyRule, wish: RunWish) -> bool:
    return (
        matches(rule.profile, wish.profile)
        and matches(rule.adapter, wish.adapter)
        and matches(rule.kind, wish.kind)
        and matches(rule.source, wish.source)
    )


def _is_own_memory(wish: Wish) -> bool:
    """Whether a memory is looked up, or written for the thread alone: nobody else is ever shown it."""
    if wish.tool.kind != "memory" or wish.tool.approval:
        return False
    return wish.arguments.get("do") == "recall" or wish.arguments.get("scope", "thread") == "thread"


def _granted(book: Book, wish: Wish) -> Grant | None:
    if EXFILTRATING in wish.tool.tags:
        return None
    for grant in book.grants:
        mine = grant.tool == wish.tool.name and grant.profile in ("", wish.profile) and wish.at_us < grant.until_us
        if mine and grant.arguments and fits(grant.arguments, wish.arguments):
            return grant
    return None


def _matches(rule: PolicyRule, wish: Wish) -> bool:
    return (
        matches(rule.tool, wish.tool.name)
        and matches(rule.profile, wish.profile)
        and rule.origin in ("*", wish.origin)
        and wish.cost_nusd > rule.cost_over_nusd
        and fits(rule.arguments, wish.arguments)
    )


def fits(patterns: dict[str, str], arguments: dict[str, Any]) -> bool:
    """Whether each pattern (path in the arguments -> glob) matches."""
    return all(_fits_one(arguments, path, glob) for path, glob in patterns.items())


def _fits_one(arguments: dict[str, Any], path: str, glob: str) -> bool:
    found: Any = arguments
    for step in path.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list | tuple) and step.isdecimal() and int(step) < len(found):
            found = found[int(step)]
        else:
            return False
    text = found if isinstance(found, str) else msgspec.json.encode(found, order="sorted").decode()
    return matches(glob, text)


def matches(glob: str, text: str) -> bool:
    """Whether a text fits a glob, all of it."""
    return glob == "*" or _compiled(glob).match(text) is not None


@lru_cache(maxsize=1024)
def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))  # its repetitions are atomic: it never goes back on itself


def digest_of(book: Book) -> str:
    """The version of a policy: what its approvals are bound to."""
    return hashlib.sha256(msgspec.json.encode(book.rules, order="sorted")).hexdigest()


def action_digest(*, tool: str, arguments: bytes, profile: str, cwd: str, policy: str) -> str:
    """What an approval is bound to: exactly this tool with exactly these canonical arguments under this policy."""
    parts = {"arguments": arguments.decode(), "cwd": cwd, "policy": policy, "profile": profile, "tool": tool}
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()
