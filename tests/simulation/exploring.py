"""Every way in which one scenario can be disturbed, and how to try them all."""

import os
from collections.abc import Iterator
from typing import Final

from tests.simulation.plan import Fault, Kind, Plan, Scenario
from tests.simulation.simulator import simulate

DEATHS: tuple[Kind, ...] = ("before", "after")
ERRORS: tuple[Kind, ...] = ("conflict", "full", "busy")
AGAIN_MAX = 6
_APPENDS: dict[int, tuple[Scenario, int]] = {}


def appends(scenario: Scenario) -> int:
    """How many appends a scenario takes when nothing fails."""
    if id(scenario) not in _APPENDS:
        _APPENDS[id(scenario)] = scenario, simulate(scenario).appends
    return _APPENDS[id(scenario)][1]


THOROUGH: Final = bool(os.environ.get("RT_THOROUGH"))  # scripts/soak --simulation


def deaths(scenario: Scenario) -> Iterator[Plan]:
    """A death before and after every append."""
    for at in range(1, appends(scenario) + 1):
        for kind in DEATHS:
            yield Plan((Fault(at, kind),))


def double_deaths(scenario: Scenario, every: int = 1) -> Iterator[Plan]:
    """Each death, and another one while it is recovered from; or a part of them, a third where there is little time."""
    every *= 1 if THOROUGH else 3
    for at in range(1, appends(scenario) + 1):
        for kind in DEATHS:
            for later in range(1 + (at % every), AGAIN_MAX + 1, every):
                yield Plan((Fault(at, kind), Fault(at + later, DEATHS[(at + later) % 2])))


def errors_of_the_store(scenario: Scenario, every: int = 1) -> Iterator[Plan]:
    """A store that is full, busy, or conflicts once, at every append; or one of the three in turn."""
    for at in range(1, appends(scenario) + 1):
        for kind in ERRORS if every == 1 else (ERRORS[at % len(ERRORS)],):
            yield Plan((Fault(at, kind),))


def explore(scenario: Scenario, plans: Iterator[Plan], crashes: int) -> int:
    """Try all plans; how many of them had all their faults."""
    fired = 0
    for plan in plans:
        simulation = simulate(scenario, plan)
        assert not simulation.violations, simulation
        assert simulation.crashes <= crashes
        assert simulation.fired[:1] == list(plan.faults[:1]), "the fault did not happen"
        fired += len(simulation.fired) == len(plan.faults)
    return fired
