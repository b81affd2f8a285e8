"""A run at one of its events. Of a long one, from the state nearest before it that is kept beside the log."""

from collections.abc import Generator, Iterable
from contextlib import closing
from typing import TYPE_CHECKING

from domain import errors
from domain.bounds import STATE_EVERY_EVENTS
from domain.events import Consequence, Recorded
from replays.replay import is_derived, is_erased
from replays.states import Before, Moment, Wanted, moment, moments

if TYPE_CHECKING:
    from adapters.state_cache import Mark
    from commands.wiring import Runtime
    from domain.run_state import Run


def at(runtime: "Runtime", run: str, wanted: Wanted) -> Moment:
    """The run at the wanted event. Raises PositionUnknown for a decision that it did not make, or before it began."""
    generation = runtime.states.generation()
    known = before(runtime, run, wanted)
    if known.position:
        known = known._replace(number=runtime.readable.count_run_events(run, known.position))
    events = runtime.readable.run_events(run, bodies=True, after=known.position)
    try:
        return _moment(runtime, run, wanted, known, events, generation)
    except errors.PositionUnknown:
        if not known.position:
            raise
        # it says from where to where the whole run lies
        events = runtime.readable.run_events(run, bodies=True)
        return _moment(runtime, run, wanted, Before(), events, generation)


def from_there(runtime: "Runtime", run: str, wanted: Wanted) -> tuple[Before, list[Recorded], Moment]:
    """The wanted event, and all events of the run from the kept state on; how many came before is not told.

    Raises PositionUnknown, as `at`.
    """
    generation = runtime.states.generation()
    known = before(runtime, run, wanted)
    events = list(runtime.readable.run_events(run, bodies=True, after=known.position))
    if known.position and (not events or _is_derived(events[0])):
        known, events = Before(), list(runtime.readable.run_events(run, bodies=True))
    return known, events, _moment(runtime, run, wanted, known, events, generation)


def before(runtime: "Runtime", run: str, wanted: Wanted) -> Before:
    """The nearest state that is kept before the wanted event; the run's beginning where none is."""
    if wanted.at_us:
        return Before()  # clocks jump: which events lie before a time is known of those alone that were looked at

    def is_before(mark: "Mark") -> bool:
        if wanted.decision:
            return mark.decisions < wanted.decision
        return not wanted.position or mark.position < wanted.position

    kept = runtime.states.nearest(run, is_before)
    return Before() if kept is None else Before(kept.mark.position, kept.state)


def _moment(
    runtime: "Runtime",
    run: str,
    wanted: Wanted,
    known: Before,
    events: Iterable[Recorded],
    generation: frozenset[str],
) -> Moment:
    """`generation` was asked for before anything was read: what is erased meanwhile is not kept."""
    kept: list[tuple[int, Run]] = []
    with closing(_kept(moments(events, known), kept)) as told:
        found = moment(told, wanted, run)
    if kept:
        runtime.states.keep(generation, run, kept)
    return found


def _kept(told: Iterable[Moment], into: "list[tuple[int, Run]]") -> Generator[Moment, None, None]:
    """The same moments. Now and then a state is put aside, before a fact: what that led to comes behind it."""
    since, last = 0, 0
    for each in told:
        if is_erased(each.event):
            since = -(1 << 62)  # nobody knows what it was: no state behind it is kept
        if since >= STATE_EVERY_EVENTS and each.before is not None and not _is_derived(each.event):
            into.append((last, each.before))
            since = 0
        since, last = since + 1, each.event.position
        yield each


def _is_derived(event: Recorded) -> bool:
    return isinstance(event.data, Consequence) and is_derived(event.data)
