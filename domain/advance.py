"""From facts to one put: each fact is followed by its consequences, so that the log is closed under `decide`.

Whoever appends to a run uses this: its dispatcher, recovery, and a person's cancel from another process.
"""

from collections.abc import Sequence

import msgspec

from domain import run as core
from domain.agent_events import (
    ApprovalRequested,
    CallApproved,
    CallEdited,
    CallRejected,
    ControllerAnswered,
    ControllerAsked,
    RunResumed,
    ToolReturned,
)
from domain.events import (
    Blob,
    CancelRequested,
    Consequence,
    Fact,
    OutputAppended,
    Payload,
    Put,
    Recorded,
    RunRefused,
    RunStarted,
    TaskClaimed,
    ToolCallRequested,
    ToolExited,
    ToolNotStarted,
    ToolStarted,
)
from domain.ids import output_stream, text_of

_CLAIM = 0


class Happened(msgspec.Struct, frozen=True):
    """A fact on its way to the log, with its actor where that is not the one who records it."""

    fact: Fact
    body: bytes | None = None
    actor: str = ""
    texts: dict[str, bytes] = {}  # field -> content, where the fact names texts


class Tip(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run stands: its state, the versions of its streams, and the positions that later events refer to."""

    state: core.Run
    versions: dict[str, int]
    asked: dict[int, int] = {}  # call -> position of the latest event that asked something of it; 0 -> of the claim


def claimed(event: Recorded) -> Tip:
    """A run at its beginning: the claim of its task."""
    state = core.step(None, event).state
    versions = {event.stream: event.version, state.run: 0, output_stream(state.run): 0}
    return Tip(state=state, versions=versions, asked={_CLAIM: event.position})


def catch_up(tip: Tip, events: Sequence[Recorded]) -> Tip:
    """The run after events that are in the log already, by position; the claim of another run is not its own."""
    state, versions, asked = tip.state, dict(tip.versions), dict(tip.asked)
    for event in events:
        if isinstance(event.data, TaskClaimed) and event.data.run != state.run:
            break
        state = core.evolve(
            state, event.data, stream=event.stream, at_us=event.at_us, body=event.body, texts=event.texts
        )
        versions[event.stream] = event.version
        _note(asked, event.data, event.position)
    return Tip(state=state, versions=versions, asked=asked)


def advance(tip: Tip, happened: Sequence[Happened], *, at_us: int, actor: str) -> tuple[core.Run, Put]:
    """The state after these facts and the put that records them; it is fenced by the decision stream's version."""
    state = tip.state
    versions = dict(tip.versions)
    events: list[Recorded] = []
    texts: list[bytes] = []

    def add(
        data: Payload, caused_by: int, who: str, each: Happened | None = None, named: Sequence[bytes] = ()
    ) -> Recorded:
        stream = stream_of(state, data)
        versions[stream] += 1
        recorded = Recorded(
            stream=stream,
            version=versions[stream],
            at_us=at_us,
            actor=who,
            data=data,  # type: ignore[arg-type]  # every Payload of ours is an Event
            correlation=state.task,
            caused_by=caused_by,
            body=each.body if each else None,
            texts=each.texts if each else _named(data, named),
        )
        events.append(recorded)
        return recorded

    for each in happened:
        if state.ended and not tip.state.ended:  # it ends in this put, and nothing follows the end
            break
        fact = add(each.fact, _cause(tip, each.fact), each.actor or actor, each)
        texts += each.texts.values()
        step = core.step(state, fact)
        state = step.state
        texts += step.texts
        at = len(events)
        for number, consequence in enumerate(step.consequences):
            add(consequence, at - 1 - (at + number), actor, named=step.texts)
    fence = {state.run: tip.versions[state.run]}
    blobs = tuple(Blob(state.task, text) for text in texts)
    return state, Put(events=tuple(events), fence=fence, blobs=blobs)


def appended(tip: Tip, state: core.Run, put: Put, positions: Sequence[int]) -> Tip:
    """The run after a put of its own became durable."""
    versions, asked = dict(tip.versions), dict(tip.asked)
    for event, position in zip(put.events, positions, strict=True):
        versions[event.stream] = event.version
        _note(asked, event.data, position)
    return Tip(state=state, versions=versions, asked=asked)


def _named(data: Payload, texts: Sequence[bytes]) -> dict[str, bytes]:
    """Of these texts those that an event names in the fields that are read with it."""
    if not data.TEXTS or not texts:
        return {}
    known = {text_of(text): text for text in texts}
    named = {field: getattr(data, field) for field in data.TEXTS}
    return {field: known[text] for field, text in named.items() if text in known}


def stream_of(state: core.Run, data: Payload) -> str:
    """The stream on which an event of this run lies."""
    if isinstance(data, OutputAppended):
        return output_stream(state.run)
    kind = str(data.__struct_config__.tag)
    return state.task if kind.startswith("task.") else state.run


def _note(asked: dict[int, int], data: Payload, position: int) -> None:
    if isinstance(data, ToolCallRequested | CancelRequested | ToolStarted | ApprovalRequested):
        asked[data.call] = position
    elif isinstance(data, ControllerAsked):
        asked[data.ask] = position
    elif isinstance(data, TaskClaimed):
        asked[_CLAIM] = position


def _cause(tip: Tip, fact: Fact) -> int:
    if isinstance(fact, ToolStarted | ToolNotStarted | ToolExited | OutputAppended):
        return tip.asked.get(fact.call, 0)
    if isinstance(fact, RunStarted | RunRefused | RunResumed):
        return tip.asked.get(_CLAIM, 0)
    if isinstance(fact, ToolReturned | CallApproved | CallEdited | CallRejected):
        return tip.asked.get(fact.call, 0)
    return tip.asked.get(fact.ask, 0) if isinstance(fact, ControllerAnswered) else 0


__all__ = ["Consequence", "Happened", "Tip", "advance", "appended", "catch_up", "claimed", "stream_of"]
