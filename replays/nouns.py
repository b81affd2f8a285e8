"""Replay of what is no run: workflows and schedules, each from its own stream, by the same comparison."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from domain import schedule, workflow
from domain.events import Consequence, Payload, Recorded
from domain.schedule_events import ScheduleCameDue
from domain.stream_index import SCHEDULE, WORKFLOW
from replays.replay import Replayed, Replaying, Stepped


class _Folded(NamedTuple):
    """A fact that nothing follows from."""

    state: Any
    consequences: tuple[Consequence, ...] = ()


class _Stream(Replaying):
    """One stream."""

    def __init__(self, stream: str) -> None:
        super().__init__(b"")
        self._stream = stream

    def is_derived(self, data: Consequence) -> bool:
        """All of them are."""
        _ = data
        return True

    def stream(self, data: Payload) -> str:
        """Its own."""
        _ = data
        return self._stream


class _Workflow(_Stream):
    def step(self, fact: Recorded) -> Stepped:
        """See domain.workflow."""
        return workflow.step(self.state, fact)


class _Schedule(_Stream):
    def step(self, fact: Recorded) -> Stepped:
        """See domain.schedule: only an evaluation leads to anything."""
        data: Any = fact.data
        if isinstance(data, ScheduleCameDue):
            return schedule.step(self.state, data, fact.at_us)
        return _Folded(schedule.evolve(self.state, data, fact.at_us))


_KINDS: dict[str, type[_Stream]] = {WORKFLOW: _Workflow, SCHEDULE: _Schedule}
KINDS = tuple(_KINDS)


def replay_stream(kind: str, stream: str, events: Iterable[Recorded]) -> Replayed:
    """Replay a workflow or a schedule from the events of its stream."""
    replaying = _KINDS[kind](stream)
    for event in events:
        if replaying.take(event):
            break
    else:
        replaying.finish()
    return Replayed(
        run=stream,
        events=replaying.events,
        consequences=replaying.consequences,
        output_bytes=0,
        state=_status(replaying.state),
        difference=replaying.difference,
    )


def _status(state: Any) -> str:  # noqa: ANN401  # of one of two kinds
    if isinstance(state, schedule.State):
        return "enabled" if state.active else "not active"
    return state.status.value if state is not None else ""
