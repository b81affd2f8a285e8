"""What a simulation is given: the work, what people do, what fails, and how the tasks may end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from adapters.process_fake import Program
from domain.config import Config
from domain.ports import Request, Response

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

Kind = Literal["before", "after", "conflict", "full", "busy"]


class Fault(NamedTuple):
    """What happens at the n-th append of any dispatcher; `before` and `after` kill the one that appends."""

    at: int
    kind: Kind


class Plan(NamedTuple):
    """All that is left to chance. Seed 0: asyncio's own order, and a store that answers at once."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0


Act = Callable[["Simulation"], None]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Work for dispatchers, what people do meanwhile, and how each task may end (the first: when nothing fails)."""

    name: str
    tasks: tuple[dict[str, Any], ...]
    programs: dict[str, tuple[Program, ...]]
    ends: tuple[tuple[str, ...], ...]  # a task's status, with its cause behind a colon
    config: Config = field(default_factory=Config)
    acts: tuple[tuple[float, Act], ...] = ()  # at a time; 0: before the first dispatcher
    on_crash: Act | None = None  # between the first crash and the restart
    nodes: int = 1
    concurrency: int = 2
    horizon_s: float = 600.0  # far beyond every timeout and pause: who is not done by then is stuck
    model: Callable[[int, Request], tuple[float, Response]] | None = None  # what a model says, and how long it takes
    verify: Callable[["Simulation"], Iterator[str]] | None = None  # what else must hold when nothing failed
    configs: tuple[Config, ...] = ()  # of the first dispatcher, the second, ...; else all have `config`
    later: Config | None = None  # what dispatchers are configured with that start after `reconfigured`
    here: bool = False  # as `rt do`: the first dispatcher takes the tasks in and claims them in the same put
