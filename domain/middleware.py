"""Middleware of a profile: an ordered list, each item of which changes what the profile is compiled to.

Nothing is wrapped around a run at run time: what an item does is part of the run's frozen setup, and so is replayed.
"""

import msgspec

from domain.agent_config import CallLimits, HumanApproval, Middleware, ProfileConfig, TrimContext, TrimHistory
from domain.setup import Effect


def applied(profile: ProfileConfig) -> ProfileConfig:
    """The profile as its middleware leaves it, in order. Nothing is ever widened."""
    for item in profile.middleware:
        profile = _apply(profile, item)
    return profile


def _apply(profile: ProfileConfig, item: Middleware) -> ProfileConfig:
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
            asked: dict[str, Effect] = dict.fromkeys(item.tools or profile.tools, "ask")
            return msgspec.structs.replace(profile, approvals=profile.approvals | asked | kept)
    return msgspec.structs.replace(profile, limits=limits, budgets=budgets)


def _smaller(limit: int, other: int) -> int:
    """The smaller of two limits, of which 0 is none."""
    return min(limit, other) if limit and other else limit or other
