"""Why something happened: the chain of causes of an event, and what each link says in plain words."""

from collections.abc import Sequence
from typing import NamedTuple

from adapters.log_read import ReadLog
from commands import telling
from domain.agent_events import DecisionMade
from domain.bounds import CAUSES_MAX
from domain.events import OutputAppended, Recorded
from domain.ids import output_stream


class Link(NamedTuple):
    """An event of a chain, and what it says."""

    event: Recorded
    says: str


def chain(log: ReadLog, event: Recorded) -> list[Recorded]:
    """The causes of an event, the first one first, and the event itself. Decisions on the way are links too."""
    found = [event]
    while found[-1].caused_by and len(found) < CAUSES_MAX:
        cause = log.read(found[-1].caused_by - 1, 1)
        if not cause or cause[0].position >= found[-1].position:  # a cause lies before what it caused
            break
        found += [*_decisions(log, cause[0], found[-1])[::-1], cause[0]]
    return found[::-1]


def _decisions(log: ReadLog, cause: Recorded, effect: Recorded) -> list[Recorded]:
    """What was decided between a fact and what followed from it in the same put."""
    if isinstance(effect.data, DecisionMade) or effect.position - cause.position > 64:  # noqa: PLR2004  # another put
        return []
    between = log.read(cause.position, effect.position - cause.position - 1)
    return [each for each in between if isinstance(each.data, DecisionMade) and each.caused_by == cause.position]


def links(log: ReadLog, events: Sequence[Recorded]) -> list[Link]:
    """What each event of a chain says in plain words."""
    return [Link(each, telling.tell(_whole(log, each), log)) for each in events]


def _whole(log: ReadLog, event: Recorded) -> Recorded:
    """An output event with its bytes: reading by position leaves them away."""
    if not isinstance(event.data, OutputAppended):
        return event
    run = event.stream.partition(".")[0]
    found = log.output(run, event.version - 1, 1) if event.stream == output_stream(run) else []
    return found[0] if found else event
