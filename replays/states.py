"""A run at each of its events: the folded state as flat values, and what an event changed in it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from domain import errors
from domain import run as core
from domain.agent_events import DecisionMade
from domain.events import Recorded, RunStarted
from domain.run_state import Run

_HEAD_CHARS = 200
Flat = dict[str, Any]  # path -> a plain value


class Change(NamedTuple):
    """A value before and after an event; None where there is none."""

    path: str
    before: Any
    after: Any


class Before(NamedTuple):
    """What came before the events that are at hand: the position of the last one, and the run behind it."""

    position: int = 0
    state: Run | None = None
    number: int = 0  # of events


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """A run at one of its events. `number` counts the run's events from 1."""

    number: int
    event: Recorded
    before: Run | None
    state: Run


def moments(events: Iterable[Recorded], before: Before = Before()) -> Iterator[Moment]:  # noqa: B008  # a constant
    """The run at each of its events, as the log has them: nothing is decided anew.

    Raises Invalid where the inputs of a controller's run are gone: nobody knows its state any more.
    """
    state = before.state
    for number, event in enumerate(events, before.number + 1):
        if isinstance(event.data, RunStarted) and event.data.setup is not None and "setup" not in event.texts:
            raise errors.Invalid(where="RUN", why="its inputs were erased: nobody knows what its controller saw")
        after = core.evolve(
            state, event.data, stream=event.stream, at_us=event.at_us, body=event.body, texts=event.texts
        )
        yield Moment(number=number, event=event, before=state, state=after)
        state = after


def moment(told: Iterable[Moment], wanted: "Wanted", run: str) -> Moment:
    """The run at the wanted event. Raises PositionUnknown for a decision that it did not make, or before it began."""
    found: Moment | None = None
    first = last = 0
    for each in told:
        first, last = first or each.event.position, each.event.position
        if wanted.is_beyond(each.event):
            if found is not None:
                break
            continue  # it begins later: where it ends is said too
        found = each
        if wanted.is_it(each.event):
            return each
    if found is None or wanted.decision:
        raise errors.PositionUnknown(what=f"run {run[:8]}", given=str(wanted), first=first, last=last)
    return found


class Wanted(NamedTuple):
    """Which event is meant: the last one at or before a position or time, or a decision. All 0: the last one."""

    position: int = 0
    at_us: int = 0
    decision: int = 0

    def is_beyond(self, event: Recorded) -> bool:
        """Whether what is meant lies before this event."""
        return bool((self.position and event.position > self.position) or (self.at_us and event.at_us > self.at_us))

    def is_it(self, event: Recorded) -> bool:
        """Whether it is exactly this one."""
        if self.decision:
            return isinstance(event.data, DecisionMade) and event.data.number == self.decision
        return bool(self.position) and event.position == self.position

    def __str__(self) -> str:
        """As it was given."""
        if self.decision:
            return f"@decision{self.decision}"
        return str(self.position) if self.position else f"the time {self.at_us}"


def flat(state: Run | None) -> Flat:
    """The state as paths and plain values. Long texts are cut, bytes shown as text; calls go by their ordinal."""
    found: Flat = {}
    if state is not None:
        _flatten("", msgspec.to_builtins(state, builtin_types=(bytes,)), found)
    return found


def _flatten(path: str, value: Any, into: Flat) -> None:  # noqa: ANN401  # any plain value
    if isinstance(value, Mapping):
        for name, each in value.items():
            _flatten(f"{path}.{name}" if path else str(name), each, into)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for at, each in enumerate(value):
            name = f"c{each['ordinal']}" if isinstance(each, Mapping) and "ordinal" in each else str(at)
            _flatten(f"{path}[{name}]", each, into)
    else:
        into[path] = _plain(value)


def _plain(value: Any) -> Any:  # noqa: ANN401  # any plain value
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if isinstance(text, str) and len(text) > _HEAD_CHARS:
        return f"{text[:_HEAD_CHARS]}… ({len(text)} characters)"
    return text


def changes(before: Flat, after: Flat) -> list[Change]:
    """What differs, by path. What has its default before and after is no change."""
    paths = dict.fromkeys((*before, *after))
    found = (Change(path, before.get(path), after.get(path)) for path in paths)
    return [each for each in found if each.before != each.after]


def is_set(value: Any) -> bool:  # noqa: ANN401  # any plain value
    """Whether a value says anything."""
    return value not in ("", None, 0, False)
