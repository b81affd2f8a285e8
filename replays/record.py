"""What a run's record says of its calls, questions and timers from a moment on, for a run that goes on otherwise."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from domain.agent_events import ControllerAnswered, ControllerAsked, ToolReturned
from domain.events import (
    AnswerRead,
    CancelRequested,
    EvidenceGathered,
    OutputAppended,
    Recorded,
    TimerFired,
    ToolCallRequested,
    ToolExited,
    ToolNotStarted,
    ToolStarted,
)
from domain.mind import Question
from domain.run_state import Call, Run
from domain.timers import Timer

_OF_CALLS = (ToolStarted, ToolNotStarted, ToolExited, ToolReturned, OutputAppended, AnswerRead, CancelRequested)
_ENDS = (ToolNotStarted, ToolExited, ToolReturned)


class Record:
    """The facts that are still to come, each told once. A call is the recorded one of the same tool and arguments."""

    def __init__(self, state: Run, events: Sequence[Recorded], at: int) -> None:
        """`state` is that of the run before the event of index `at`, which is not told again."""
        self._calls: dict[int, int] = {call.ordinal: call.ordinal for call in state.calls}  # here -> recorded
        self._later_us: dict[int, int] = dict.fromkeys(self._calls, 0)  # here -> how much later it began
        self._open: list[tuple[Recorded, ToolCallRequested]] = []  # recorded from then on, and not yet asked for here
        self._facts: dict[int, deque[Recorded]] = {}
        self._cut: set[int] = set()  # calls of here that were asked to end where the record says so too
        self._answers: dict[str, deque[Recorded]] = {}
        self._timers: dict[tuple[str, int], int] = {}
        self._evidence: deque[Recorded] = deque()
        asked = {each.data.ask: each.data.request.sha256 for each in events if isinstance(each.data, ControllerAsked)}
        if state.mind is not None and state.mind.question is not None:
            asked[state.mind.question.ask] = state.mind.question.request.sha256
        for each in events[at + 1 :]:
            self._keep(each, asked)

    def _keep(self, event: Recorded, asked: dict[int, str]) -> None:
        data = event.data
        if isinstance(data, ToolCallRequested):
            self._open.append((event, data))
        elif isinstance(data, ControllerAnswered) and data.ask in asked:
            self._answers.setdefault(asked[data.ask], deque()).append(event)
        elif isinstance(data, TimerFired):
            self._timers[data.timer, data.due_us] = event.at_us
        elif isinstance(data, EvidenceGathered):
            self._evidence.append(event)
        elif isinstance(data, _OF_CALLS):
            self._facts.setdefault(data.call, deque()).append(event)

    def find(self, wanted: ToolCallRequested, now_us: int) -> None:
        """Look for the recorded call that is the same as one asked for here; it happens as much later as this one."""
        for each in self._open:
            event, data = each
            if (data.tool, data.input.sha256, data.kind) == (wanted.tool, wanted.input.sha256, wanted.kind):
                self._open.remove(each)
                self._calls[wanted.call] = data.call
                self._later_us[wanted.call] = now_us - event.at_us
                return

    def knows(self, call: Call) -> bool:
        """Whether there is such a call in the record."""
        return call.ordinal in self._calls

    def provide(self, call: Call, facts: Iterable[Recorded]) -> None:
        """What was found out of a call that is not in the record."""
        self._calls[call.ordinal] = -call.ordinal  # no recorded one has such a number
        self._later_us[call.ordinal] = 0
        self._facts[-call.ordinal] = deque(facts)

    def next_of(self, state: Run, now_us: int) -> Recorded | None:
        """The earliest that is known of the open calls and of what is verified; its time is that here.

        A `run.cancel_requested` is where the recorded run ended a call that here goes on: what follows nobody knows.
        """
        known = [found for call in state.open_calls if (found := self._next(call, now_us)) is not None]
        if state.verifying and self._evidence:
            known.append(_at(self._evidence[0], max(now_us, self._evidence[0].at_us)))
        return min(known, key=lambda event: event.at_us, default=None)

    def _next(self, call: Call, now_us: int) -> Recorded | None:
        facts = self._facts.get(self._calls.get(call.ordinal, 0))
        if facts and call.cancel and isinstance(facts[0].data, CancelRequested):
            self._cut.add(call.ordinal)
            facts.popleft()
        if not facts or self._goes_on(call, facts[0]):
            return None
        data: Any = facts[0].data
        moved = msgspec.structs.replace(data, call=call.ordinal)
        at_us = max(now_us, facts[0].at_us + self._later_us[call.ordinal])
        return msgspec.structs.replace(facts[0], data=moved, at_us=at_us)

    def _goes_on(self, call: Call, following: Recorded) -> bool:
        """Whether the call was asked to end here, and goes on in the record."""
        return bool(call.cancel) and call.ordinal not in self._cut and not isinstance(following.data, _ENDS)

    def ends_unknown(self, call: Call) -> bool:
        """Whether the call was asked to end here, and the record cannot say how it did."""
        return bool(call.cancel) and self._next(call, 0) is None

    def is_exhausted(self, call: Call) -> bool:
        """Whether a known call is open of which nothing more is recorded."""
        return not self._facts.get(self._calls.get(call.ordinal, 0))

    def take(self, event: Recorded) -> Literal["record", "live"]:
        """An event of `next_of` is told now; where it is from."""
        data: Any = event.data
        if isinstance(data, EvidenceGathered):
            self._evidence.popleft()
            return "record"
        recorded = self._calls[data.call]
        self._facts[recorded].popleft()
        return "record" if recorded > 0 else "live"

    def answer(self, question: Question, now_us: int) -> Recorded | None:
        """The recorded answer to the same request, to the letter."""
        known = self._answers.get(question.request.sha256)
        if not known:
            return None
        data: Any = known[0].data
        moved = msgspec.structs.replace(data, ask=question.ask)
        return msgspec.structs.replace(known[0], data=moved, at_us=max(now_us, known[0].at_us))

    def take_answer(self, question: Question) -> None:
        """The event of `answer` is told now."""
        self._answers[question.request.sha256].popleft()

    def fires_us(self, timer: Timer, now_us: int) -> int:
        """When a timer fires: as recorded where it is the same, and else when it is due."""
        return max(now_us, self._timers.get((timer.timer, timer.due_us), timer.due_us))


def _at(event: Recorded, at_us: int) -> Recorded:
    return msgspec.structs.replace(event, at_us=at_us)
