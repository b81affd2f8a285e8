"""The consequences of one fact in the making: each is folded as it is added, so that the next one sees it."""

from collections.abc import Callable

from domain.ending import Ending, finish
from domain.ids import text_of
from domain.mind import Mind
from domain.payload import Consequence, Text
from domain.run_state import Run

Fold = Callable[[Run, Consequence, int], Run]


class Plan:
    """What follows from a fact, on the state that already contains it."""

    def __init__(self, run: Run, at_us: int, fold: Fold) -> None:
        self.run = run
        self.at_us = at_us
        self.out: list[Consequence] = []
        self.texts: list[bytes] = []
        self._fold = fold

    def add(self, consequence: Consequence) -> None:
        """Let this follow."""
        self.out.append(consequence)
        self.run = self._fold(self.run, consequence, self.at_us)

    def text(self, content: bytes) -> Text:
        """A text that a consequence names."""
        self.texts.append(content)
        return text_of(content)

    def end(self, ending: Ending) -> None:
        """The run ends."""
        if ending.outcome:
            self.texts.append(ending.outcome)
        for consequence in finish(self.run, ending, self.at_us):
            self.add(consequence)

    @property
    def mind(self) -> Mind:
        """What the run remembers."""
        assert self.run.mind is not None, "a controller's run that was started has a mind"
        return self.run.mind
