"""What of an outcome's wishes is carried out: follow-up tasks, and messages to others. Pure rules over a profile."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from domain.bounds import FOLLOW_UP_DEPTH_MAX, FOLLOW_UPS_MAX, MESSAGE_BYTES_MAX, MESSAGES_MAX
from domain.config import Config
from domain.outcome import Outcome

What = Literal["follow_up", "message"]
Refused = tuple[What, int, str]  # how many, and why


class Message(NamedTuple):
    """A message that goes out: where, and its bytes."""

    target: str
    content: bytes


class Wanted(NamedTuple):
    """What may follow, and what is refused: reasons with how many they concern."""

    tasks: tuple[dict[str, Any], ...]
    messages: tuple[Message, ...]
    refused: tuple[Refused, ...]


def wanted(outcome: Outcome, config: Config, profile: str, depth: int) -> Wanted:
    """What an outcome wants and may have. `depth` is how many follow-ups the task itself stands behind."""
    refused: list[Refused] = []
    tasks = _tasks(outcome.follow_up_tasks, config, profile, depth, refused)
    messages = _messages(outcome.external_messages, config, profile, refused)
    return Wanted(tasks, messages, tuple(refused))


def _tasks(
    given: Sequence[dict[str, Any]], config: Config, profile: str, depth: int, refused: list[Refused]
) -> tuple[dict[str, Any], ...]:
    if not given:
        return ()
    found = config.profiles.get(profile)
    if found is None or not found.follow_up_tasks:
        refused.append(("follow_up", len(given), f"the profile {profile or 'of the task'!r} allows no follow-up tasks"))
        return ()
    if depth >= FOLLOW_UP_DEPTH_MAX:
        refused.append(("follow_up", len(given), f"follow-ups of follow-ups end at depth {FOLLOW_UP_DEPTH_MAX}"))
        return ()
    if len(given) > FOLLOW_UPS_MAX:
        refused.append(("follow_up", len(given) - FOLLOW_UPS_MAX, f"at most {FOLLOW_UPS_MAX} of one run"))
    return tuple(_own(each) for each in given[:FOLLOW_UPS_MAX])


def _own(task: dict[str, Any]) -> dict[str, Any]:
    """Without what a run cannot say for others: whose task it is, and under which key."""
    return {name: value for name, value in task.items() if name not in ("parent_run", "thread", "idempotency_key")}


def _messages(
    given: Sequence[dict[str, Any]], config: Config, profile: str, refused: list[Refused]
) -> tuple[Message, ...]:
    if not given:
        return ()
    found = config.profiles.get(profile)
    if found is None or not found.external_messages:
        refused.append(("message", len(given), f"the profile {profile or 'of the task'!r} allows no external messages"))
        return ()
    kept: list[Message] = []
    for each in given[:MESSAGES_MAX]:
        target = each.get("target") or each.get("destination") or config.outbox.default
        content = msgspec.json.encode(each, order="sorted")
        if not isinstance(target, str) or target not in config.outbox.destinations:
            known = ", ".join(config.outbox.destinations) or "none"
            refused.append(("message", 1, f"no destination {str(target)[:100]!r}; configured: {known}"))
        elif len(content) > MESSAGE_BYTES_MAX:
            refused.append(("message", 1, f"{len(content)} bytes; at most {MESSAGE_BYTES_MAX}"))
        else:
            kept.append(Message(target, content))
    if len(given) > MESSAGES_MAX:
        refused.append(("message", len(given) - MESSAGES_MAX, f"at most {MESSAGES_MAX} of one run"))
    return tuple(kept)
