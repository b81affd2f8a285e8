"""Agents under crashes: what a person did not allow is not carried out, nothing twice, and no run hangs.

As the one-shot scenarios: a dispatcher dies before and after every append, and a part of the time again.
"""

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.agent_events import (
    ApprovalClosed,
    BudgetReached,
    CallApproved,
    CallEdited,
    CallRefused,
    CallRejected,
    CallSettled,
    RunResumed,
)
from domain.events import RunOwnerLost, TaskParked, ToolCallRequested
from tests.simulation.exploring import DEATHS, THOROUGH, appends, deaths, double_deaths, errors_of_the_store, explore
from tests.simulation.model_scenarios import LOST_LOCK, SCENARIOS, named
from tests.simulation.plan import Fault, Kind, Plan, Scenario
from tests.simulation.simulator import simulate

BLOCK = 40
BLOCKS = 8
_ROOT = Path(__file__).parents[2]
_KINDS: tuple[Kind, ...] = ("before", "after", "before", "after", "conflict", "full", "busy")
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))


def drawn(seed: int) -> tuple[Scenario, Plan]:
    """The scenario and the plan of a seed."""
    chance = random.Random(seed)
    scenario = chance.choice(SCENARIOS)
    faults = {at: chance.choice(_KINDS) for at in (chance.randint(1, 16) for _ in range(chance.randint(0, 2)))}
    return scenario, Plan(tuple(Fault(at, kind) for at, kind in sorted(faults.items())), seed)


@each_scenario
def test_an_agent_ends_as_expected_when_nothing_fails(scenario: Scenario) -> None:
    simulation = simulate(scenario)
    assert not simulation.violations, simulation
    assert len(scenario.ends) == len(scenario.tasks) == len(simulation.tasks)


@each_scenario
def test_the_dispatcher_of_an_agent_may_die_before_and_after_every_append(scenario: Scenario) -> None:
    assert explore(scenario, deaths(scenario), 1) == 2 * appends(scenario)


@each_scenario
def test_the_dispatcher_of_an_agent_may_die_again_while_it_recovers(scenario: Scenario) -> None:
    explored = explore(scenario, double_deaths(scenario, every=6), 2)
    wanted = appends(scenario) / 2 if THOROUGH else 1
    assert explored >= wanted or "canceled" in scenario.name, "a cancel may leave nothing to die in"


@each_scenario
def test_an_agent_survives_a_store_that_is_full_or_busy_or_conflicts_once(scenario: Scenario) -> None:
    assert explore(scenario, errors_of_the_store(scenario, every=2), 0) == appends(scenario)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_agents_whatever_the_order_and_the_faults(block: int) -> None:
    for seed in range(1 + block * BLOCK, 1 + (block + 1) * BLOCK):
        simulation = simulate(*drawn(seed))
        assert not simulation.violations, simulation


def test_the_search_among_agents_does_not_shrink_unnoticed() -> None:
    assert len(SCENARIOS) >= 85
    assert sum(2 * appends(scenario) for scenario in SCENARIOS) >= 1500


RARE = (
    "three at once",
    "edited and repeated",
    "it did not happen",
    "approved while it is not known whether another one happened",
    "nobody answers in time",
    "rejected",
)


def states(data: object) -> Iterator[str]:
    """What an event shows of what was reached."""
    yield type(data).__name__
    match data:
        case ToolCallRequested(repeats=repeats) if repeats:
            yield "repeated"
        case TaskParked(cause="needs_reconcile"):
            yield "parked until it is known"
        case CallRefused(cause=cause):
            yield cause
        case _:
            pass


def test_the_rare_states_of_agents_are_reached() -> None:
    reached: Counter[str] = Counter()
    for simulation in (simulate(named(name), plan) for name in RARE for plan in deaths(named(name))):
        for event in simulation.log.read(0, len(simulation.log.rows)):
            reached.update(states(event.data))
    for kind in (ApprovalClosed, CallApproved, CallEdited, CallRejected, CallSettled, RunOwnerLost, RunResumed):
        assert reached[kind.__name__] >= 5, kind
    for what in ("repeated", "parked until it is known", "rejected", "expired"):
        assert reached[what] >= 5, what


def test_every_budget_ends_a_run() -> None:
    budgets = Counter(
        event.data.budget
        for scenario in SCENARIOS
        for simulation in [simulate(scenario)]
        for event in simulation.log.read(0, max(1, len(simulation.log.rows)))
        if isinstance(event.data, BudgetReached)
    )
    assert set(budgets) >= {"decisions", "tool_calls", "tokens", "wall", "errors", "stuck"}


@pytest.mark.parametrize("seed", range(1, 31))
def test_an_agents_dispatcher_that_counts_as_dead_without_being_it_is_fenced(seed: int) -> None:
    simulation = simulate(LOST_LOCK, Plan(seed=seed))
    assert not simulation.violations, simulation


@pytest.mark.parametrize("name", ["three at once", "two dispatchers", "it did not happen", "streaming chat"])
def test_the_same_seed_gives_the_same_trace_of_an_agent(name: str) -> None:
    for seed in range(4):
        plan = Plan((Fault(4 + seed, "after"), Fault(9, "before")), seed)
        assert simulate(named(name), plan).trace() == simulate(named(name), plan).trace()


def test_the_trace_of_agents_depends_neither_on_hashes_of_strings_nor_on_the_time_zone() -> None:
    program = (
        "from tests.simulation.test_agents import drawn\n"
        "from tests.simulation.simulator import simulate\n"
        "print([simulate(*drawn(seed)).log.head().hash for seed in range(1, 41)])\n"
    )

    def traces(**told: str) -> bytes:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=_ROOT, env=dict(os.environ) | told, capture_output=True, check=True
        )
        return done.stdout

    assert traces(PYTHONHASHSEED="1", TZ="UTC") == traces(PYTHONHASHSEED="2", TZ="Pacific/Kiritimati")


def test_an_approval_survives_a_death_at_every_append_and_is_carried_out_once() -> None:
    """Between the yes and the request nothing is lost: see RS-2 and AV-4."""
    scenario = named("edited and repeated")
    for at in range(1, appends(scenario) + 1):
        for kind in DEATHS:
            simulation = simulate(scenario, Plan((Fault(at, kind),)))
            wishes = [
                event.data
                for event in simulation.log.read(0, len(simulation.log.rows))
                if isinstance(event.data, ToolCallRequested)
            ]
            keys = {spec.env["RT_EFFECT_KEY"] for spec in simulation.machine.started}
            assert len(keys) == 1, "each repetition carries the key of the call that it repeats"
            assert len({wish.input.sha256 for wish in wishes}) == 1
