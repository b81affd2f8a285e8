"""A run as it would have gone on from some moment with other inputs. Nothing is appended to any log.

What the tools did comes from the record where the same call is there; what nobody knows ends the fork, unless somebody
finds out (`Live`). Yeses are never inherited. A fork shares its parent's events up to its first one and has only its
own; it is made anew whenever it is asked for.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from domain import errors, setup
from domain import run as core
from domain.agent_events import CallApproved, CallEdited, CallRejected, CallSettled, RunResumed
from domain.bounds import FORK_STEPS_MAX
from domain.events import (
    CancelRequested,
    Consequence,
    Fact,
    OutputAppended,
    Recorded,
    RunCancelAsked,
    RunStarted,
    TaskClaimed,
    TimerFired,
    ToolCallRequested,
    ToolExited,
)
from domain.ids import text_of
from domain.run_state import Call, Run
from domain.timers import next_timer
from replays.record import Record
from replays.replay import is_derived, is_erased
from replays.states import Before

_OF_PEOPLE = (CallApproved, CallEdited, CallRejected, CallSettled, RunCancelAsked, TaskClaimed, RunResumed)
Change = Callable[[setup.Setup], setup.Setup]


class Live(Protocol):
    """Who finds out what the record does not say; None where it is not allowed to. `texts` are those of the fork."""

    def answer(self, state: Run, texts: dict[str, bytes]) -> Recorded | None:
        """What the controller says to the open question."""
        ...

    def carry_out(self, state: Run, call: Call, texts: dict[str, bytes]) -> list[Recorded] | None:
        """The facts of a call that is really made, to its end."""
        ...


class Told(NamedTuple):
    """An event of a fork, and where it is from: `record`, `derived`, `timer`, `live` or `assumed`."""

    event: Recorded
    source: str


class Forked(msgspec.Struct, frozen=True, kw_only=True):
    """How it went on; `stopped` says why it stops where nobody knows on, and is empty where the run ended."""

    at: int  # the position of the last event that it shares; 0 = none
    told: tuple[Told, ...]
    state: Run
    stopped: str
    replaced: tuple[Recorded, ...]  # what the parent did instead


_CLAIM = Before()


def fork(events: Sequence[Recorded], position: int, change: Change, live: Live, before: Before = _CLAIM) -> Forked:
    """Go on from the event at a position, decided anew with other inputs: of a derived event, from its fact on.

    The events may leave out the beginning of the run, where they begin with a fact.
    Raises Invalid for a run without a controller or with erased texts, PositionUnknown for a moment before it began.
    """
    at = _beginning(events, position, before.state)
    going = _Going(events, at, core.fold(events[:at], before.state), change, live)
    stopped = going.go()
    return Forked(
        at=events[at - 1].position if at else before.position,
        told=tuple(going.told),
        state=going.state,
        stopped=stopped,
        replaced=tuple(events[at:]),
    )


def _beginning(events: Sequence[Recorded], position: int, before: Run | None) -> int:
    """The index of the fact that led to the event at a position."""
    start = next((at for at, each in enumerate(events) if isinstance(each.data, RunStarted)), None)
    if before is not None:
        start = 0 if before.mind is not None else None
    if start is None or (before is None and not events[start].texts.get("setup")):
        raise errors.Invalid(where="RUN", why="only runs with a controller can be forked: the others decide nothing")
    if any(is_erased(each) for each in events):
        raise errors.Invalid(where="RUN", why="texts of it were erased: nobody knows what its controller would see")
    at = sum(each.position <= position for each in events) - 1
    if at < start:
        first, last = events[start].position, events[-1].position
        raise errors.PositionUnknown(what="the run, from its start on,", given=position, first=first, last=last)
    while isinstance(data := events[at].data, Consequence) and is_derived(data):
        at -= 1
    return at


class _Going:
    """A fork on its way."""

    def __init__(self, events: Sequence[Recorded], at: int, state: Run | None, change: Change, live: Live) -> None:
        assert state is not None, "a run begins with its claim"
        self.told: list[Told] = []
        self._live = live
        self._texts: dict[str, bytes] = {}
        self._sizes: dict[tuple[int, str], int] = {}  # of the output of each call and stream that was told here
        self.state, self._first = _changed(state, events[at], change)
        self._now_us = self._first.at_us
        self._record = Record(state, events, at)

    def go(self) -> str:
        """Go on until the run ends or nobody knows on; why it stops."""
        if isinstance(self._first.data, _OF_PEOPLE):
            return "what a person decided led to this, and that is not inherited"
        self._feed(self._first, "record")
        for _ in range(FORK_STEPS_MAX):
            if self.state.ended:
                return ""
            if self.state.parked:
                return "it waits for a person, or to be claimed again: neither is inherited"
            stopped = self._step()
            if stopped:
                return stopped
        return f"it went on for {FORK_STEPS_MAX} steps"

    def _step(self) -> str:
        """One fact on; where there is none, why."""
        question = self.state.mind.question if self.state.mind is not None else None
        answer = None if question is None else self._record.answer(question, self._now_us)
        if question is not None and answer is None:
            return self._ask()
        for call in self.state.open_calls:
            if self._record.ends_unknown(call):
                self._feed(self._end(call), "assumed")
                return ""
            if not self._record.knows(call):
                return self._carry_out(call)
        found = self._record.next_of(self.state, self._now_us)
        if question is not None and answer is not None and (found is None or answer.at_us <= found.at_us):
            self._record.take_answer(question)
            self._feed(answer, "record")
            return ""
        return self._go_on(found)

    def _go_on(self, found: Recorded | None) -> str:
        """Tell what is recorded next, or the timer that fires before it."""
        timer = next_timer(self.state)
        fires_us = 0 if timer is None else self._record.fires_us(timer, self._now_us)
        unknown = found is None and any(self._record.is_exhausted(call) for call in self.state.open_calls)
        if timer is not None and not unknown and (found is None or fires_us < found.at_us):
            self._feed(self._made(TimerFired(timer=timer.timer, due_us=timer.due_us), fires_us), "timer")
            return ""
        if found is None:
            return "the record ends here"
        if isinstance(found.data, CancelRequested):
            return f"the recorded run ended its c{found.data.call} here, and nobody knows what it would have done"
        source = self._record.take(found)
        self._feed(found, source)
        return ""

    def _ask(self) -> str:
        fact = self._live.answer(self.state, self._texts)
        if fact is None:
            return "its controller was never asked this: --live controller asks it"
        took_us = getattr(fact.data, "latency_us", 0)
        self._feed(msgspec.structs.replace(fact, at_us=self._now_us + took_us), "live")
        return ""

    def _carry_out(self, call: Call) -> str:
        facts = self._live.carry_out(self.state, call, self._texts)
        if facts is None:
            return f"there is no such call of {call.tool} in the record: --live {call.tool} makes it (c{call.ordinal})"
        begun_us = facts[0].at_us if facts else 0
        later_us = self._now_us - begun_us
        self._record.provide(call, [msgspec.structs.replace(each, at_us=each.at_us + later_us) for each in facts])
        return ""

    def _end(self, call: Call) -> Recorded:
        """What is asked to end ends at once: an assumption, for in the record it went on."""
        exited = ToolExited(
            call=call.ordinal,
            duration_us=max(0, self._now_us - call.started_at_us) if call.started_at_us else 0,
            signal="SIGTERM",
            stdout_bytes=self._sizes.get((call.ordinal, "stdout"), 0),
            stderr_bytes=self._sizes.get((call.ordinal, "stderr"), 0),
        )
        return self._made(exited, self._now_us)

    def _made(self, fact: Fact | Consequence, at_us: int) -> Recorded:
        data: Any = fact
        return Recorded(
            stream=self.state.run, version=0, at_us=at_us, actor="fork", data=data, correlation=self.state.task
        )

    def _feed(self, fact: Recorded, source: str) -> None:
        self._now_us = max(self._now_us, fact.at_us)
        if isinstance(data := fact.data, OutputAppended):
            self._sizes[data.call, data.stream] = data.offset + data.size
        step = core.step(self.state, fact)
        self.state = step.state
        self.told.append(Told(fact, source))
        self._texts |= {text_of(text).sha256: text for text in step.texts}
        for consequence in step.consequences:
            derived: Any = consequence
            self.told.append(Told(self._made(derived, self._now_us), "derived"))
            if isinstance(consequence, ToolCallRequested):
                self._record.find(consequence, self._now_us)


def _changed(state: Run, first: Recorded, change: Change) -> tuple[Run, Recorded]:
    """The state and the fact with other inputs: until a run has started, its start brings them."""
    if state.mind is None:
        made = setup.encode(change(setup.decode(first.texts["setup"])))
        return state, msgspec.structs.replace(first, texts=first.texts | {"setup": made})
    made_setup = change(state.mind.setup)
    replaced = state.mind.replaced if made_setup.controller == state.mind.setup.controller else 0
    return msgspec.structs.replace(
        state, mind=msgspec.structs.replace(state.mind, setup=made_setup, replaced=replaced)
    ), first
