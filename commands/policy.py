"""The policy in force is part of the log: a dispatcher that starts with another one than the last says so first."""

import msgspec

from commands.world import World
from domain import agents, policies
from domain.agent_events import PolicyChanged
from domain.events import Blob, Put, Recorded
from domain.ids import POLICY, text_of
from domain.ports import LogView


async def note_policy(world: World, dispatcher: str) -> None:
    """Record the policy of the configuration, where it is not the one that was recorded last."""
    book = agents.book(world.config)
    digest = policies.digest_of(book)
    last = _last(world.log)
    if digest == last or (not last and not book.rules):
        return
    content = msgspec.json.encode(book.rules, order="sorted")

    def changed(view: LogView) -> Put | None:
        previous = _last(view)
        if previous == digest:  # another dispatcher was faster
            return None
        event = Recorded(
            stream=POLICY,
            version=view.version(POLICY) + 1,
            at_us=world.clock.now_us(),
            actor=f"system:{dispatcher}",
            data=PolicyChanged(digest=digest, previous=previous, rules=text_of(content)),
            correlation=POLICY,
        )
        return Put(events=(event,), blobs=(Blob(POLICY, content),))

    await world.append(changed)


def _last(view: LogView) -> str:
    """The digest of the policy that was recorded last."""
    said = [event.data for event in view.stream(POLICY) if isinstance(event.data, PolicyChanged)]
    return said[-1].digest if said else ""
