"""Changing a task before it is tried again: the same checks as at its intake, on what it would be then."""

from typing import Any

import msgspec

from domain import errors
from domain.config import Config
from domain.intake import accept
from domain.task import Task
from domain.task_events import TaskEdited

EDITABLE = ("subject", "description", "payload", "requested_adapter", "requested_profile")


def edited(state: Task, stored: bytes, change: object, config: Config, now_us: int) -> tuple[TaskEdited, bytes]:
    """The event by which a task becomes what `change` makes of it, and the text that it names.

    `change` is an object with some of `EDITABLE`, each whole; what it leaves out stays. Raises Invalid, UnknownAdapter,
    UnknownProfile.
    """
    if not isinstance(change, dict) or not change:
        raise errors.Invalid(where="--edit", why=f"expected an object with some of: {', '.join(EDITABLE)}")
    unknown = sorted(set(change) - set(EDITABLE))
    if unknown:
        why = f"cannot be changed; what can: {', '.join(EDITABLE)} (the place in the queue: rt prioritize)"
        raise errors.Invalid(where=f"--edit.{unknown[0][:100]}", why=why)
    was = _document(state, stored)
    document = was | change
    accepted = accept(document | {"kind": state.kind, "source": state.source}, config, now_us)
    becomes = _document(state, accepted.payload) | {
        "subject": accepted.event.subject,
        "requested_adapter": accepted.event.adapter,
        "requested_profile": accepted.event.profile,
    }
    changed = tuple(name for name in EDITABLE if becomes[name] != was[name])
    if not changed:
        raise errors.Invalid(where="--edit", why="changes nothing: the task is like that already")
    event = TaskEdited(
        changed=changed,
        payload=accepted.event.payload,
        adapter=accepted.event.adapter,
        subject=accepted.event.subject,
        profile=accepted.event.profile,
    )
    return event, accepted.payload


def _document(state: Task, stored: bytes) -> dict[str, Any]:
    """What can be changed of a task, as it is."""
    text = msgspec.json.decode(stored)
    return {
        "subject": state.subject,
        "description": text["description"],
        "payload": text["payload"],
        "requested_adapter": state.adapter,
        "requested_profile": state.profile,
    }
