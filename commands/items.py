"""What callers of a run are given as it goes: the log's own events as items of a few kinds. No second path."""

from typing import Any, Literal

import msgspec

from commands import render
from domain.agent_events import (
    ApprovalClosed,
    ApprovalRequested,
    BudgetReached,
    CallApproved,
    CallEdited,
    CallRefused,
    CallRejected,
    CallSettled,
    ControllerAsked,
    DecisionMade,
    ToolReturned,
)
from domain.events import (
    AgentReported,
    OutputAppended,
    Recorded,
    RunFinished,
    TaskParked,
    TaskResumed,
    ToolCallRequested,
    ToolExited,
    ToolNotStarted,
    topic,
)

Kind = Literal[
    "content", "reasoning", "output", "step", "tool-call", "tool-result", "decision", "approval", "state", "event"
]


def kind(event: Recorded) -> Kind:  # noqa: PLR0911  # one line a kind
    """The kind of item that an event is."""
    match event.data:
        case OutputAppended(stream="content"):
            return "content"
        case OutputAppended(stream="reasoning"):
            return "reasoning"
        case OutputAppended():
            return "output"
        case ControllerAsked() | AgentReported():
            return "step"
        case DecisionMade() | BudgetReached():
            return "decision"
        case ToolCallRequested():
            return "tool-call"
        case ToolExited() | ToolNotStarted() | ToolReturned() | CallRefused():
            return "tool-result"
        case _:
            return _of_people(event)


def _of_people(event: Recorded) -> Kind:
    match event.data:
        case ApprovalRequested() | ApprovalClosed() | CallApproved() | CallEdited() | CallRejected() | CallSettled():
            return "approval"
        case RunFinished() | TaskParked() | TaskResumed():
            return "state"
        case _:
            return "event"


def event_document(event: Recorded) -> dict[str, Any]:
    """An event for programs."""
    return {
        "position": event.position,
        "stream": event.stream,
        "version": event.version,
        "topic": topic(type(event.data)),
        "at": render.moment_us(event.at_us),
        "actor": event.actor,
        "task": event.correlation,
        "caused_by": event.caused_by,
        "data": msgspec.to_builtins(event.data),
    }


def item(event: Recorded, document: dict[str, Any]) -> dict[str, Any]:
    """An event as an item: its document, its kind, and the text where it has one."""
    made = document | {"kind": kind(event)}
    if isinstance(event.data, OutputAppended):
        made["text"] = (event.body or b"").decode("utf-8", "replace")
    elif isinstance(event.data, AgentReported):
        made["text"] = event.text("text").decode()
    return made
