"""A schedule: a recurring source of tasks. Which slots fire, which are skipped, and why.

A slot is the nominal time of one occurrence. Which slots exist is the calendar's knowledge and arrives in facts; jitter
moves the moment at which a slot comes due, never the slot.
"""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

import msgspec

from domain.bounds import CLOCK_BACK_US_MAX, SCHEDULE_LATE_US_MAX
from domain.schedule_events import (
    ScheduleCameDue,
    ScheduleCreated,
    ScheduleDisabled,
    ScheduleEnabled,
    ScheduleEnded,
    ScheduleEvent,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSkipped,
)


class State(msgspec.Struct, frozen=True, kw_only=True):
    """The folded state of a schedule."""

    definition: ScheduleCreated  # the last one that was wanted
    next_us: int  # the slot that it waits for; 0 = none will come
    enabled: bool
    created_at_us: int
    updated_at_us: int
    removed: bool = False
    ended: bool = False
    reason: str = ""  # why it is disabled or removed
    tick_us: int = 0  # the last evaluation with something due
    due_us: int = 0  # the first slot that was due then
    last_run_us: int = 0  # the last evaluation that fired
    last_slot_us: int = 0
    fired: int = 0
    missed: int = 0  # slots that a task of another slot stands for
    skipped: int = 0

    @property
    def active(self) -> bool:
        """Whether slots can come due."""
        return self.enabled and not self.removed and not self.ended


Made = tuple[ScheduleFired | ScheduleSkipped | ScheduleEnded, ...]


class Step(NamedTuple):
    """What a fact led to."""

    state: State
    consequences: Made


def step(state: State, fact: ScheduleCameDue, at_us: int) -> Step:
    """Fold the fact, decide on the new state, fold the consequences."""
    after = evolve(state, fact, at_us)
    made = decide(after, fact)
    for each in made:
        after = evolve(after, each, at_us)
    return Step(after, made)


def upsert(state: State | None, wanted: ScheduleCreated) -> ScheduleCreated | None:
    """What is to be recorded of a wish: nothing where the same was wanted before (SC-8), also if it was disabled since.

    A changed definition starts over at its own `next_us`; what the schedule did before stays known.
    """
    if state is None or state.removed:
        return wanted
    before = msgspec.structs.replace(state.definition, next_us=wanted.next_us)
    return None if wanted == before else wanted


def starting(event: ScheduleCreated, next_us: int | None) -> ScheduleCreated:
    """The same schedule waiting for this slot; for none where it lies beyond the schedule's end."""
    return msgspec.structs.replace(event, next_us=0 if _beyond(event, next_us or 0) else next_us)


def evolve(state: State | None, event: ScheduleEvent, at_us: int) -> State:
    """Fold one event; refuses nothing: the log is the truth."""
    if isinstance(event, ScheduleCreated):
        return _created(state, event, at_us)
    assert state is not None, "a schedule's stream begins with schedule.created"
    return msgspec.structs.replace(state, updated_at_us=at_us, **_changes(state, event))


def _created(state: State | None, event: ScheduleCreated, at_us: int) -> State:
    fresh = State(
        definition=event,
        next_us=event.next_us,
        enabled=event.enabled,
        created_at_us=at_us,
        updated_at_us=at_us,
        ended=event.next_us == 0,
    )
    if state is None:
        return fresh
    kept = ("created_at_us", "tick_us", "last_run_us", "last_slot_us", "fired", "missed", "skipped")
    return msgspec.structs.replace(fresh, **{name: getattr(state, name) for name in kept})


def _changes(state: State, event: ScheduleEvent) -> dict[str, Any]:
    match event:
        case ScheduleEnabled():
            ended = _beyond(state.definition, event.next_us)
            return {"enabled": True, "reason": "", "next_us": 0 if ended else event.next_us, "ended": ended}
        case ScheduleDisabled():
            return {"enabled": False, "reason": event.reason}
        case ScheduleRemoved():
            return {"removed": True, "reason": event.reason}
        case _:
            return _evaluated(state, event)


def _evaluated(state: State, event: ScheduleEvent) -> dict[str, Any]:
    match event:
        case ScheduleCameDue(forced=True):  # beside the slots: those come as they would have come
            return {"tick_us": event.tick_us, "due_us": event.tick_us}
        case ScheduleCameDue():
            return {"tick_us": event.tick_us, "due_us": state.next_us, "next_us": event.next_us}
        case ScheduleFired():
            fired = {"fired": event.ordinal, "missed": state.missed + event.missed}
            return fired | {"last_run_us": state.tick_us, "last_slot_us": event.slot_us}
        case ScheduleSkipped():
            return {"skipped": state.skipped + event.count}
        case ScheduleEnded():
            return {"ended": True, "next_us": 0}
        case _:
            message = f"{type(event).__name__} does not belong on a schedule's stream"
            raise AssertionError(message)


# decisions


def decide(state: State, fact: ScheduleCameDue) -> Made:
    """What becomes of the slots that came due. `state` has the fact folded in, as `step` does."""
    if fact.forced:
        return _overlapping(state, fact, ((fact.tick_us, 0),))
    if not state.active:
        return _too_late(state, fact)
    made: Made = ()
    in_time = tuple(slot for slot in fact.slots if not _beyond(state.definition, slot))
    beyond = fact.slots[len(in_time) :]
    if in_time or fact.missed:
        wanted, left_out = _catching_up(state, fact, in_time)
        if left_out:
            made += (ScheduleSkipped(slot_us=state.due_us, reason="catch_up", count=left_out),)
        made += _overlapping(state, fact, wanted)
    if beyond:
        made += (ScheduleSkipped(slot_us=beyond[0], reason="ended", count=len(beyond)),)
    if _beyond(state.definition, fact.next_us):
        made += (ScheduleEnded(),)
    return made


def _too_late(state: State, fact: ScheduleCameDue) -> Made:
    """A person was faster than the evaluation: nothing fires any more."""
    due = len(fact.slots) + fact.missed
    if not due:
        return ()
    reason: Literal["ended", "disabled"] = "ended" if state.ended else "disabled"
    return (ScheduleSkipped(slot_us=state.due_us or fact.tick_us, reason=reason, count=due),)


_Wanted = tuple[tuple[int, int], ...]  # slots that are to fire, each with the number of others that it stands for


def _catching_up(state: State, fact: ScheduleCameDue, slots: tuple[int, ...]) -> tuple[_Wanted, int]:
    """Which of the slots are to fire, and how many older ones are left out."""
    due = len(slots) + fact.missed
    match state.definition.catch_up:
        case "coalesce":
            return ((state.due_us, due - 1),), 0
        case "all":
            newest = slots[-state.definition.catch_up_max :]
            return tuple((slot, 0) for slot in newest), due - len(newest)
        case "skip":
            late = not slots or fact.tick_us - slots[-1] > SCHEDULE_LATE_US_MAX + state.definition.jitter_us
            return ((), due) if late else (((slots[-1], 0),), due - 1)


def _overlapping(state: State, fact: ScheduleCameDue, wanted: _Wanted) -> Made:
    """What fires, as if the slots came one after the other while nothing ends; the rest is skipped."""
    running = bool(fact.open_task)
    waiting = bool(fact.queued_task)
    room = {"allow": len(wanted), "skip": 1 - (running or waiting), "queue_one": 2 - running - waiting}
    fitting = room[state.definition.overlap]
    fired = tuple(
        ScheduleFired(
            slot_us=slot_us,
            missed=missed,
            ordinal=state.fired + at,
            waits=state.definition.overlap == "queue_one" and (running or at > 1),
        )
        for at, (slot_us, missed) in enumerate(wanted[:fitting], 1)
    )
    rest = wanted[fitting:]
    if not rest:
        return fired
    count = sum(1 + missed for _, missed in rest)
    return (*fired, ScheduleSkipped(slot_us=rest[0][0], reason="overlap", count=count))


def _beyond(definition: ScheduleCreated, slot_us: int) -> bool:
    """Whether there is no such slot: none was found, or it lies behind the end."""
    return slot_us == 0 or 0 < definition.ends_us < slot_us


# time and names


def source(name: str, task_source: str, slot_us: int) -> str:
    """The source of a slot's task: by it, a second task of the same slot is known."""
    slot = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=slot_us)
    return f"{task_source or f'schedule:{name}'}:{slot.isoformat(timespec='milliseconds').replace('+00:00', 'Z')}"


def task_of(state: State, task: dict[str, Any], slot_us: int) -> dict[str, Any]:
    """The task input of one slot, for the intake."""
    return task | {"source": source(state.definition.name, state.definition.task_source, slot_us)}


def jitter_us(name: str, slot_us: int, most_us: int) -> int:
    """How much later than its slot it comes due: from 0 to `most_us`, the same for the same slot (SC-6)."""
    drawn = int.from_bytes(hashlib.sha256(f"{name}:{slot_us}".encode()).digest()[:8])
    return drawn % (most_us + 1)


def due_at_us(state: State) -> int:
    """When the next slot comes due; 0 for a schedule that waits for none."""
    if not state.active or not state.next_us:
        return 0
    return state.next_us + jitter_us(state.definition.name, state.next_us, state.definition.jitter_us)


def due(states: Iterable[State], now_us: int) -> list[State]:
    """The schedules with something due, in the order in which they are evaluated: by slot, then name."""
    found = [state for state in states if 0 < due_at_us(state) <= now_us]
    return sorted(found, key=lambda state: (state.next_us, state.definition.name))


def horizon_us(state: State, now_us: int) -> int:
    """Up to where the slots of a schedule that is due have come due: whatever their jitter, and not behind the end."""
    latest = now_us - state.definition.jitter_us
    if state.definition.ends_us:
        latest = min(latest, state.definition.ends_us)
    return max(state.next_us, latest)


def next_after_tick(state: State, tick_us: int) -> int:
    """The next slot of an interval after an evaluation (SC-4): from the tick on, or on the grid of its slots."""
    every_us = state.definition.every_us
    assert every_us > 0, "a cron's next slot is the calendar's knowledge"
    if state.definition.anchor == "tick":
        return tick_us + every_us
    return _on_grid(state.next_us, every_us, horizon_us(state, tick_us))


def next_when_enabled(state: State, now_us: int) -> int:
    """The slot that an interval waits for once it is enabled: one still to come, for nothing is made up for."""
    every_us = state.definition.every_us
    assert every_us > 0, "a cron's next slot is the calendar's knowledge"
    from_us = state.next_us or state.definition.next_us or now_us
    return from_us if from_us > now_us else _on_grid(from_us, every_us, now_us)


def _on_grid(from_us: int, every_us: int, after_us: int) -> int:
    """The first of from + k * every that is later than `after_us`, however long ago `from` was."""
    return from_us + (max(0, after_us - from_us) // every_us + 1) * every_us


def stranded(state: State, now_us: int) -> bool:
    """Whether the clock was wrong at the last evaluation, so that the next slot may be years away (SC-7).

    An evaluation without slots, whose `next_us` counts from now, brings such a schedule back and makes no task.
    """
    return state.active and state.tick_us - now_us > CLOCK_BACK_US_MAX
