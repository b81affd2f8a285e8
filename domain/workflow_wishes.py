"""What people and programs wish of a workflow: each wish becomes a fact, or is refused with a reason."""

from collections.abc import Iterable
from typing import Any

import msgspec

from domain import errors, intake
from domain.bounds import BASE_CHARS_MAX, INSTANCE_KEY_CHARS_MAX, REASON_CHARS_MAX, WORKFLOW_CONTEXT_BYTES_MAX
from domain.ids import text_of
from domain.payload import Fact, Text
from domain.workflow_events import (
    OpenTask,
    WorkflowCanceled,
    WorkflowCompleteAsked,
    WorkflowCreated,
    WorkflowRetryAsked,
    WorkflowSignaled,
)
from domain.workflow_render import slug
from domain.workflow_state import State, Status, moment
from domain.workflow_template import Template, encode, version

_FIXED = ("base_name", "execution_iteration")  # made once, or counted: a later patch must not disagree


class Made(msgspec.Struct, frozen=True):
    """The fact that a wish became, with the contents that it names (field -> content)."""

    event: Fact
    texts: dict[str, bytes] = {}


def create(template: Template, instance_key: str, context: object, state: str | None, now_us: int) -> Made:
    """A new instance, in `state` or where the template starts. Raises Invalid."""
    intake.check_text(instance_key, "workflow.instance_key")
    if not instance_key.strip() or len(instance_key) > INSTANCE_KEY_CHARS_MAX:
        why = f"expected a text of 1 to {INSTANCE_KEY_CHARS_MAX} characters that is not blank"
        raise errors.Invalid(where="workflow.instance_key", why=why)
    begin = state or template.start
    if begin not in template.states:
        why = f"{template.name} has no state {begin!r}; there are: {', '.join(template.states)}"
        raise errors.Invalid(where="workflow.state", why=why)
    given = _object(context, "workflow.context")
    full = _encoded(given | {"base_name": _base_name(given, instance_key, now_us)}, "workflow.context")
    definition = encode(template)
    event = WorkflowCreated(
        instance_key=instance_key,
        template=template.name,
        template_version=version(template),
        definition=text_of(definition),
        context=text_of(full),
        state=begin,
    )
    return Made(event, {"definition": definition, "context": full})


def transition(
    state: State, *, to: str = "", signal: str = "", patch: object = None, open_task: OpenTask = "cancel"
) -> Made:
    """Move an instance by hand, by a signal of its state or to a state that one leads to. Raises Invalid."""
    _check_going(state)
    signals = _ways_on(state)
    if signal and signal not in signals:
        raise errors.Invalid(where="workflow.signal", why=f"{signal!r} is {_none_of(state, signals)}")
    chosen = next((each for each, leads in signals.items() if signal in ("", each) and to in ("", leads)), "")
    if not chosen or not (to or signal):
        raise errors.Invalid(where="workflow.to", why=f"{to!r} is {_none_of(state, signals.values())}")
    named, texts = _patch(state, patch)
    event = WorkflowSignaled(
        to=signals[chosen], signal=chosen, patch=named, open_task=open_task if state.open_task else ""
    )
    return Made(event, texts)


def skip(state: State, *, open_task: OpenTask = "cancel") -> Made:
    """Go on as if the state's task had been completed; where there are several ways, one has to be named.

    Raises Invalid.
    """
    _check_going(state)
    signals = _ways_on(state)
    if state.held_up in signals:
        return transition(state, signal=state.held_up, open_task=open_task)
    if state.here is not None and state.here.completion_kinds:
        return complete(state, open_task=open_task)
    if len(signals) != 1:
        why = f"state {state.state!r} has several ways on, name one of: {', '.join(signals) or 'none'}"
        raise errors.Invalid(where="workflow.signal", why=why)
    return transition(state, signal=next(iter(signals)), open_task=open_task)


def retry(state: State, *, patch: object = None) -> Made:
    """Let a parked instance go on. Raises WorkflowRefused, Invalid."""
    _check_going(state)
    if state.status is not Status.PARKED:
        why = f"workflow {state.instance_key!r} is {state.status}; only a parked one can be retried"
        raise errors.WorkflowRefused(why=why)
    named, texts = _patch(state, patch)
    return Made(WorkflowRetryAsked(patch=named), texts)


def complete(state: State, *, open_task: OpenTask = "cancel") -> Made:
    """Declare an instance done. Raises Invalid."""
    _check_going(state)
    return Made(WorkflowCompleteAsked(open_task=open_task if state.open_task else ""))


def cancel(state: State, *, reason: str = "", open_task: OpenTask = "cancel") -> Made:
    """Give an instance up. Raises Invalid."""
    _check_going(state)
    intake.check_text(reason, "workflow.reason")
    if len(reason) > REASON_CHARS_MAX:
        raise errors.Invalid(where="workflow.reason", why=f"{len(reason)} characters; at most {REASON_CHARS_MAX}")
    return Made(WorkflowCanceled(reason=reason, open_task=open_task if state.open_task else ""))


def _check_going(state: State) -> None:
    if state.over:
        raise errors.Invalid(where="workflow", why=f"{state.instance_key!r} is {state.status} and never moves again")


def _ways_on(state: State) -> dict[str, str]:
    """Signal -> state that it leads to, from here."""
    if state.definition is None or state.here is None:
        return {}
    moves = {signal: state.definition.move(state.state, signal) for signal in state.here.signals}
    return {signal: move.to for signal, move in moves.items() if move is not None}


def _none_of(state: State, ways: Iterable[str]) -> str:
    return f"no way on from state {state.state!r}; there are: {', '.join(ways) or 'none'}"


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise errors.Invalid(where=where, why=f"expected an object, got {type(value).__name__}")
    return value


def _encoded(value: dict[str, Any], where: str) -> bytes:
    try:
        content = msgspec.json.encode(value, order="sorted")
    except (TypeError, ValueError, OverflowError, RecursionError) as problem:
        raise errors.Invalid(where=where, why=f"not JSON: {problem}") from None
    if len(content) > WORKFLOW_CONTEXT_BYTES_MAX:
        raise errors.Invalid(where=where, why=f"{len(content)} bytes; at most {WORKFLOW_CONTEXT_BYTES_MAX}")
    intake.parse_json(content.decode(), where)
    return content


def _patch(state: State, patch: object) -> tuple[Text | None, dict[str, bytes]]:
    """What goes into the context, shallowly."""
    if patch is None:
        return None, {}
    given = _object(patch, "workflow.context")
    for name in _FIXED:
        if name in given:
            raise errors.Invalid(where=f"workflow.context.{name}", why="is kept by the workflow and cannot be set")
    _encoded(state.context | given, "workflow.context")
    content = _encoded(given, "workflow.context")
    return text_of(content), {"patch": content}


def _base_name(context: dict[str, Any], instance_key: str, now_us: int) -> str:
    """What the files of this instance are named after: given, that of a given plan, or made of time and summary."""
    given = context.get("base_name")
    if given not in (None, ""):
        return _checked(given)
    plan = context.get("plan_artifact")
    if isinstance(plan, str) and plan.strip():
        return _checked(plan.strip().rpartition("/")[2].removesuffix(".md").removesuffix("-plan"))
    texts = (context.get("summary"), context.get("objective"), instance_key, "workflow")
    named = next(found for found in (slug(text) for text in texts if isinstance(text, str)) if found)
    return f"{moment(now_us).replace(':', '-')}-{named}"


def _checked(base: object) -> str:
    fits = isinstance(base, str) and 0 < len(base) <= BASE_CHARS_MAX and not base.startswith(".")
    if not fits or any(character in str(base) for character in "/\\\0\n"):
        why = f"{base!r:.100} is no part of a file name: 1 to {BASE_CHARS_MAX} characters, no slash, no leading dot"
        raise errors.Invalid(where="workflow.context.base_name", why=why)
    return str(base)
