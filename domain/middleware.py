"""Middleware of a profile: an ordered list, each item of which changes what the profile is compiled to.

Nothing is wrapped around a run at run time: what an item does is part of the run's frozen setup, and so is replayed.
"""

from collections.abc import Collection

import msgspec

from domain.agent_config import (
    CallLimits,
    HumanApproval,
    Middleware,
    ModelFallback,
    ProfileConfig,
    Redaction,
    RetryMiddleware,
    SummarizeHistory,
    TrimContext,
    TrimHistory,
)
from domain.setup import Effect


def applied(profile: ProfileConfig, denied: Collection[str] = ()) -> ProfileConfig:
    """The profile as its middleware leaves it, in order. Nothing is ever widened: not the tools that are denied."""
    for item in profile.middleware:
        profile = _apply(profile, item, denied)
    return profile


def _apply(profile: ProfileConfig, item: Middleware, denied: Collection[str]) -> ProfileConfig:
    limits, budgets = profile.limits, profile.budgets
    match item:
        case TrimContext():
            limits = msgspec.structs.replace(
                limits,
                window_bytes=min(limits.window_bytes, item.bytes),
                window_events=min(limits.window_events, item.events),
            )
        case TrimHistory():
            limits = msgspec.structs.replace(limits, history_messages=min(limits.history_messages, item.messages))
        case CallLimits():
            budgets = msgspec.structs.replace(
                budgets,
                decisions=_smaller(budgets.decisions, item.decisions),
                tool_calls=_smaller(budgets.tool_calls, item.tool_calls),
            )
        case HumanApproval():
            kept = {tool: effect for tool, effect in profile.approvals.items() if effect == "deny"}
            closed = {tool for tool in denied if tool not in profile.approvals}  # the profile says nothing else
            wanted = [tool for tool in item.tools or profile.tools if tool not in closed]
            asked: dict[str, Effect] = dict.fromkeys(wanted, "ask")
            return msgspec.structs.replace(profile, approvals=profile.approvals | asked | kept)
        case Redaction() | RetryMiddleware() | ModelFallback() | SummarizeHistory():  # not about limits: see below
            return profile
    return msgspec.structs.replace(profile, limits=limits, budgets=budgets)


def humans(profile: ProfileConfig) -> frozenset[str]:
    """The tools of which a person allows each call."""
    items = [item for item in profile.middleware if isinstance(item, HumanApproval)]
    return frozenset(tool for item in items for tool in item.tools or profile.tools)


def hidden(profile: ProfileConfig) -> tuple[str, ...]:
    """The literals that no request may hold, the longest first."""
    found = {phrase for item in profile.middleware if isinstance(item, Redaction) for phrase in item.phrases}
    return tuple(sorted(found, key=lambda phrase: (-len(phrase), phrase)))


def retries(profile: ProfileConfig) -> int | None:
    """How often a question is put again, where the middleware says it; the last word counts."""
    said = [item.attempts for item in profile.middleware if isinstance(item, RetryMiddleware)]
    return said[-1] if said else None


def fallbacks(profile: ProfileConfig) -> tuple[str, ...]:
    """The controllers that decide once the one before did not answer."""
    items = [item for item in profile.middleware if isinstance(item, ModelFallback)]
    return tuple(dict.fromkeys(name for item in items for name in item.controllers))


def summarizer(profile: ProfileConfig) -> SummarizeHistory | None:
    """Who is asked for a summary of what the history leaves out; the last word counts."""
    items = [item for item in profile.middleware if isinstance(item, SummarizeHistory)]
    return items[-1] if items else None


def _smaller(limit: int, other: int) -> int:
    """The smaller of two limits, of which 0 is none."""
    return min(limit, other) if limit and other else limit or other
