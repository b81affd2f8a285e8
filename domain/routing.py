"""Which profile gets new input. A decision like any other: its candidates, what chose, and why are recorded."""

import msgspec

from domain import errors
from domain.agent_config import PROFILES
from domain.config import Config
from domain.patterns import Seen, scan
from domain.routed import Routed
from domain.setup import Pattern, Patterns


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be routed."""

    text: str
    source: str = ""
    kind: str = ""
    requested: str = ""  # a profile, or auto, or nothing
    thread_profile: str = ""  # that of the thread, where there is one


def candidates(config: Config) -> tuple[str, ...]:
    """The profiles that new input may be given to without being named."""
    return tuple(name for name, each in config.profiles.items() if each.host_facing)


def route(config: Config, given: Input) -> Routed | None:
    """The choice, where the configuration alone can make it; None where only a model or nobody can.

    Raises UnknownProfile for one that is named and not there.
    """
    known = PROFILES | config.profiles
    asked = given.requested if given.requested != "auto" else ""
    if asked:
        if asked not in known:
            raise errors.UnknownProfile(name=asked, known=", ".join(known))
        reason = f"handed over from {given.thread_profile}" if given.thread_profile not in ("", asked) else "named"
        return Routed(selected=asked, by="explicit", requested=given.requested, reason=reason)
    there = candidates(config)
    if config.routing.sticky and given.thread_profile in known:
        return Routed(
            selected=given.thread_profile, by="thread", requested=given.requested, candidates=there, reason="sticky"
        )
    ranked = sorted(enumerate(config.routing.rules), key=lambda each: (-each[1].priority, each[0]))
    for number, rule in ranked:
        phrase = _matches(rule.phrases, given.text)
        if rule.source not in ("", given.source) or rule.kind not in ("", given.kind) or phrase is None:
            continue
        reason = f"phrase {phrase!r}" if phrase else "source or kind"
        return Routed(
            selected=rule.profile, by="rule", requested=given.requested, rule=number, candidates=there, reason=reason
        )
    return None


def default(config: Config, given: Input, why: str = "no rule matches") -> Routed | None:
    """The choice where nothing else chose; None when no default is configured."""
    if not config.routing.default:
        return None
    return Routed(
        selected=config.routing.default,
        by="default",
        requested=given.requested,
        candidates=candidates(config),
        reason=why,
    )


def _matches(phrases: tuple[str, ...], text: str) -> str | None:
    """The first phrase that the text holds; empty where none is asked for, None where none is there."""
    if not phrases:
        return ""
    wanted = Patterns(tuple(Pattern(phrase) for phrase in phrases), ())
    _, hits = scan(wanted, Seen(), "stdout", text.encode("utf-8", "replace"))
    return hits[0].phrase if hits else None
