"""Given, when, then over the run core: what a fact leads to, told as a sentence."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from domain import run
from domain.events import Consequence, Event, OutputAppended, Recorded, TaskClaimed, Text

TASK = "7a" * 16
RUN = "9b" * 16
NOW_US = 1_700_000_000_000_000


def recorded(data: Event, *, at_us: int = NOW_US, body: bytes | None = None) -> Recorded:
    """An event in an envelope that the core may read: stream and time."""
    stream = TASK if str(data.__struct_config__.tag).startswith("task.") else RUN
    if isinstance(data, OutputAppended):
        stream = f"{RUN}.output"
    return Recorded(stream=stream, version=1, at_us=at_us, actor="dispatcher:test", data=data, body=body)


def claimed(*, attempt: int = 1, max_attempts: int = 3, run: str = RUN) -> TaskClaimed:
    """The claim with which each run begins."""
    return TaskClaimed(run=run, epoch=attempt, attempt=attempt, max_attempts=max_attempts, dispatcher="d1")


def stdout(body: bytes, *, call: int = 1) -> Recorded:
    """Output of a call, with its bytes."""
    event = OutputAppended(call=call, stream="stdout", offset=0, size=len(body), lines=body.count(b"\n"), digest="")
    return recorded(event, body=body)


def text(of: str) -> Text:
    """A reference to a text that nobody looks at."""
    return Text(of * 64, 1)


@dataclass(frozen=True)
class Story:
    """`given` folds facts with their consequences, `when` keeps one, `then` compares all it led to and goes on."""

    state: run.Run | None = None
    fact: Recorded | None = None

    def given(self, *facts: Event | Recorded) -> "Story":
        """These facts happened, with all that followed from them."""
        state = self.state
        for fact in facts:
            state = run.step(state, _recorded(fact)).state
        return replace(self, state=state)

    def when(self, fact: Event | Recorded, *, at_us: int = NOW_US) -> "Story":
        """This fact happens now."""
        return replace(self, fact=_recorded(fact, at_us))

    def then(self, *consequences: Consequence) -> "Story":
        """Exactly this follows, in this order."""
        step = self.step()
        assert step.consequences == consequences
        return Story(step.state)

    def then_nothing_changes(self) -> "Story":
        """Nothing follows, and the state is the one from before."""
        step = self.step()
        assert step.consequences == ()
        assert step.state == self.state
        return Story(step.state)

    def refused(self, error: type[BaseException]) -> BaseException:
        """The core refuses to be fed that: it is no fact of this story."""
        assert self.fact is not None, "refused() needs a when()"
        with pytest.raises(error) as caught:
            run.step(self.state, self.fact)
        return caught.value

    def made(self) -> tuple[Any, ...]:
        """What the fact leads to."""
        return self.step().consequences

    def step(self) -> run.Step:
        """What the fact leads to, for a closer look."""
        assert self.fact is not None, "then() needs a when()"
        return run.step(self.state, self.fact)

    @property
    def now(self) -> run.Run:
        """The state that the story has reached."""
        assert self.state is not None, "the story has not begun"
        return self.state


def _recorded(fact: Event | Recorded, at_us: int = NOW_US) -> Recorded:
    return fact if isinstance(fact, Recorded) else recorded(fact, at_us=at_us)
