"""What the log says of a run's surroundings when it starts: standing grants, and what its task brought along."""

from commands.world import World
from domain import bundle
from domain.agent_events import GrantMade, GrantRevoked
from domain.ids import POLICY
from domain.ports import LogView
from domain.setup import Grant
from domain.task import Task


def grants(log: LogView, at_us: int) -> tuple[Grant, ...]:
    """The standing grants of this moment."""
    found: dict[str, Grant] = {}
    for event in log.stream(POLICY):
        match event.data:
            case GrantMade() as made:
                found[made.grant] = Grant(
                    id=made.grant,
                    tool=made.tool,
                    arguments=made.arguments,
                    until_us=made.until_us,
                    profile=made.profile,
                )
            case GrantRevoked() as revoked:
                found.pop(revoked.grant, None)
            case _:
                pass
    return tuple(grant for grant in found.values() if grant.until_us > at_us)


def surroundings(world: World, task: Task) -> bundle.Surroundings:
    """What a run is given beside its task and the configuration."""
    if not bundle.is_agent(task, world.config):
        return bundle.ALONE
    return bundle.Surroundings(grants=grants(world.log, world.clock.now_us()))
