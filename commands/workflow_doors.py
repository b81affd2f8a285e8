"""Workflows as every door uses them: create, and what a person may want of one. Each is one transaction."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from commands.making import Making
from commands.templates import template
from commands.workflow_moves import feed, state_of
from domain import errors, workflow
from domain.config import Config
from domain.events import Put
from domain.ids import workflow_stream
from domain.ports import Log, LogView
from domain.stream_index import WORKFLOW
from domain.workflow import Made, State


class Done(NamedTuple):
    """An instance after a wish: its state, where it lies in the log, and whether anything happened."""

    state: State
    position: int
    changed: bool


class Wanted(NamedTuple):
    """An instance that is wanted."""

    template: str
    instance_key: str
    context: object
    state: str | None = None


class Workflows:
    """The doors to workflows of one home."""

    def __init__(self, config: Config, folder: Path) -> None:
        self._config = config
        self._folder = folder

    def begin(self, making: Making, wanted: Wanted, cause: int | None = None) -> tuple[State, bool]:
        """Let an instance begin, in a put that is in the making; the one that is there already, for a known key.

        Raises UnknownTemplate, Invalid.
        """
        stream = workflow_stream(wanted.instance_key)
        there = state_of(making.view, stream)
        if there is not None:
            return there, False
        found = template(self._config, self._folder, wanted.template)
        made = workflow.create(found, wanted.instance_key, wanted.context, wanted.state, making.at_us)
        return feed(making, None, stream, made, self._config, cause=cause), True

    def create(self, log: Log, wanted: Wanted, now_us: int, actor: str) -> Done:
        """Create an instance. Raises UnknownTemplate, Invalid."""
        made: list[tuple[State, bool]] = []

        def work(view: LogView) -> Put | None:
            making = Making(view, at_us=now_us, actor=actor)
            made[:] = [self.begin(making, wanted)]
            return making.put()

        position = _appended(log, work)
        return Done(made[0][0], position, made[0][1])

    def wish(self, log: Log, given: str, wish: Callable[[State], Made], now_us: int, actor: str) -> Done:
        """What a person wants of an instance. Raises WorkflowNotFound, WorkflowRefused, Invalid."""
        stream = find(log, given)
        made: list[State] = []

        def work(view: LogView) -> Put | None:
            making = Making(view, at_us=now_us, actor=actor)
            state = state_of(view, stream)
            assert state is not None, "an id of the index is in the log"
            if state.over:
                raise errors.WorkflowRefused(
                    why=f"workflow {state.instance_key!r} is {state.status} and never moves again"
                )
            made[:] = [feed(making, state, stream, wish(state), self._config)]
            return making.put()

        position = _appended(log, work)
        return Done(made[0], position, changed=True)


def find(log: LogView, given: str) -> str:
    """The stream of an instance, from its key or its id or a prefix of that. Raises WorkflowNotFound, IdAmbiguous."""
    nouns = log.nouns(WORKFLOW)
    found = [each.stream for each in nouns if each.name == given]
    if not found and len(given) >= 4:  # noqa: PLR2004  # as of every id
        found = [each.stream for each in nouns if each.stream.startswith(given.replace("-", "").lower())]
    if not found:
        raise errors.WorkflowNotFound(given=given[:100])
    if len(found) > 1:
        shown = ", ".join(each[:12] for each in found[:5])
        raise errors.IdAmbiguous(what="workflow", given=given, count=len(found), candidates=shown)
    return found[0]


def all_of(log: LogView, status: str = "") -> list[State]:
    """Every instance in one status, or all, oldest first. One that cannot be read is left out, and never in the way."""
    found = [state_of(log, noun.stream) for noun in log.nouns(WORKFLOW, status)]
    return [state for state in found if state is not None]


def _appended(log: Log, work: Any) -> int:  # noqa: ANN401  # a Work
    result = log.append([work])[0]
    if isinstance(result, Exception):
        raise result
    return result[-1] if result else log.head().position
