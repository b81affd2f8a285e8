"""The points of a run at which its controller decided: what it knew there, and what it said."""

from collections.abc import Iterable, Iterator

import msgspec

from domain import run as core
from domain import setup
from domain.agent_events import ControllerAsked, DecisionMade
from domain.events import Consequence, Recorded
from domain.run_state import Run
from domain.setup import Controller


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One decision: the state before the fact that made it due, that fact, and what was recorded."""

    before: Run
    fact: Recorded
    recorded: DecisionMade
    position: int


def points(events: Iterable[Recorded]) -> Iterator[Point]:
    """The decisions of a run, in order. One that needed several questions is one point, at the first of them."""
    state: Run | None = None
    fact: tuple[Run, Recorded] | None = None  # the latest fact, with the state that it met
    due: tuple[Run, Recorded] | None = None  # the fact that made the open question due
    for event in events:
        data = event.data
        if isinstance(data, ControllerAsked) and data.purpose == "decision" and due is None:
            due = fact
        elif isinstance(data, DecisionMade):
            found = due or fact
            due = None
            if found is not None:
                yield Point(before=found[0], fact=found[1], recorded=data, position=event.position)
        elif not isinstance(data, Consequence) and state is not None:
            fact = (state, event)
        state = core.evolve(state, data, stream=event.stream, at_us=event.at_us, body=event.body, texts=event.texts)


def setup_of(point: Point) -> setup.Setup:
    """The frozen inputs of the run. At its first decision they are what its start brought."""
    if point.before.mind is not None:
        return point.before.mind.setup
    return setup.decode(point.fact.texts["setup"])


def with_controller(point: Point, controller: Controller) -> tuple[Run, Recorded]:
    """The same moment and fact with another controller, which nobody stands in for."""
    changed = msgspec.structs.replace(setup_of(point), controller=controller, spares=())
    mind = point.before.mind
    if mind is None:
        texts = point.fact.texts | {"setup": setup.encode(changed)}
        return point.before, msgspec.structs.replace(point.fact, texts=texts)
    mind = msgspec.structs.replace(mind, setup=changed, replaced=0, attempt=0)
    return msgspec.structs.replace(point.before, mind=mind), point.fact
