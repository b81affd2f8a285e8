"""Moves of workflows: a fact goes in, and what follows lies in the same put: the move, and the task that it wants."""

from typing import Any

import msgspec

from commands.making import Making, accepted_from
from domain import errors, workflow
from domain.bounds import WORKFLOW_REFUSALS_MAX
from domain.config import Config
from domain.payload import Fact
from domain.ports import LogView
from domain.work_events import Origin
from domain.workflow import Made, State
from domain.workflow_events import WorkflowTaskEnded, WorkflowTaskWanted


def state_of(view: LogView, stream: str) -> State | None:
    """The state of an instance; None where there is none."""
    return workflow.fold(view.stream(stream))


def feed(
    making: Making, state: State | None, stream: str, made: Made, config: Config, *, cause: int | None = None
) -> State:
    """The state after a fact, whose consequences are in the making. A task that is refused is a fact of its own."""
    facts = [made]
    for _ in range(WORKFLOW_REFUSALS_MAX):
        if not facts:
            break
        state, refused = _step(making, state, stream, facts.pop(), config, cause)
        facts += refused
    assert state is not None, "an instance that a fact went into has a state"
    return state


def _step(
    making: Making, state: State | None, stream: str, made: Made, config: Config, cause: int | None
) -> tuple[State, list[Made]]:
    at = making.here
    fact = making.add(stream, made.event, correlation=stream, cause=cause, texts=made.texts)
    step = workflow.step(state, fact)
    making.keep(stream, *step.texts)
    texts = {_digest(text): text for text in step.texts}
    refused: list[Made] = []
    for consequence in step.consequences:
        place = making.here
        making.add(stream, consequence, correlation=stream, cause=at)
        if isinstance(consequence, WorkflowTaskWanted):
            document = msgspec.json.decode(texts[consequence.document.sha256])
            why = _queue(making, step.state, consequence, document, config, place)
            if why:
                refused.append(Made(_refused(consequence, why)))
    return step.state, refused


def _digest(text: bytes) -> str:
    from domain.ids import text_of

    return text_of(text).sha256


def _queue(
    making: Making, state: State, wanted: WorkflowTaskWanted, document: dict[str, Any], config: Config, cause: int
) -> str:
    """Queue the task of a state; why not, where it is refused."""
    here = state.here
    origin = Origin(
        kind="workflow",
        stream=state.workflow,
        state=wanted.state,
        epoch=wanted.epoch,
        signals=tuple(here.required_signals) if here else (),
    )
    try:
        accepted, _ = accepted_from(_served(document, config), "workflow", config, making.at_us)
    except errors.RtError as problem:
        return str(problem)
    making.queue(accepted, wanted.task, origin=origin, cause=cause)
    return ""


def _served(document: dict[str, Any], config: Config) -> dict[str, Any]:
    """A profile that a template names and nobody configured gives way to the default one."""
    from domain.agents import profiles

    profile = document.get("requested_profile", "")
    if not profile or profile in profiles(config):
        return document
    return {name: value for name, value in document.items() if name != "requested_profile"} | (
        {"requested_profile": config.default_profile} if config.default_profile else {}
    )


def _refused(wanted: WorkflowTaskWanted, why: str) -> Fact:
    return WorkflowTaskEnded(
        task=wanted.task, state=wanted.state, epoch=wanted.epoch, status="refused", kind="", cause=why[:500]
    )
