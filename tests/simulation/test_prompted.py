"""Runs with a brief end as they should, whichever append their dispatcher dies at; no bound is passed on the way."""

from typing import Any

import pytest

from domain import judging
from domain.bounds import HINT_REFUNDS_MAX
from domain.events import EvidenceGathered, RunFinished, RunStarted, RunVerified, TaskClaimed, TaskRetryScheduled
from tests.simulation.exploring import appends, deaths, double_deaths, errors_of_the_store, explore
from tests.simulation.plan import Plan, Scenario
from tests.simulation.prompted_scenarios import PROMPTED, named
from tests.simulation.simulator import Simulation, simulate

each_scenario = pytest.mark.parametrize("scenario", PROMPTED, ids=lambda scenario: scenario.name.replace(" ", "-"))
FEW = 40  # appends, above which only each third death is tried


def told(simulation: Simulation, kind: type) -> list[Any]:
    """The data of all events of a kind."""
    rows = max(1, len(simulation.log.rows))
    return [event.data for event in simulation.log.read(0, rows) if isinstance(event.data, kind)]


@each_scenario
def test_a_scenario_ends_as_expected_when_nothing_fails(scenario: Scenario) -> None:
    simulation = simulate(scenario)
    assert not simulation.violations, simulation
    assert len(scenario.ends) == len(scenario.tasks) == len(simulation.tasks)


@each_scenario
def test_a_dispatcher_may_die_before_and_after_every_append(scenario: Scenario) -> None:
    plans = list(deaths(scenario))
    tried = plans if appends(scenario) <= FEW else plans[::3]
    assert explore(scenario, iter(tried), 1) == len(tried)


@each_scenario
def test_a_dispatcher_may_die_again_while_it_recovers(scenario: Scenario) -> None:
    plans = list(double_deaths(scenario, every=3))
    assert explore(scenario, iter(plans if appends(scenario) <= FEW else plans[::5]), 2) > 0


@each_scenario
def test_a_store_that_is_full_or_busy_or_conflicts_once_is_waited_for(scenario: Scenario) -> None:
    plans = list(errors_of_the_store(scenario, every=3))
    assert explore(scenario, iter(plans), 0) == len(plans)


@each_scenario
def test_the_same_seed_gives_the_same_trace(scenario: Scenario) -> None:
    first, second = simulate(scenario, Plan(seed=3)), simulate(scenario, Plan(seed=3))
    assert first.trace() == second.trace()


def test_a_wait_that_is_asked_for_costs_no_attempt() -> None:
    """RT-2, RT-4: the only attempt is still there after it."""
    simulation = simulate(named("an agent is told to wait"))
    assert [each.refunded for each in told(simulation, TaskRetryScheduled)] == [True]
    assert [each.attempt for each in told(simulation, TaskClaimed)] == [1, 1]


def test_nobody_is_waited_for_for_ever() -> None:
    """FB-1: nothing is launched, no attempt is spent, and in the end a person is told."""
    simulation = simulate(named("nobody is there"))
    assert told(simulation, RunStarted) == []
    assert len(told(simulation, TaskClaimed)) == HINT_REFUNDS_MAX + 1
    assert {each.attempt for each in told(simulation, TaskClaimed)} == {1}


def test_who_stands_in_is_recorded() -> None:
    """FB-5."""
    (started,) = told(simulate(named("a model stands in")), RunStarted)
    assert [(each.adapter, each.ok) for each in started.choice.chain] == [("absent", False), ("model", True)]


def test_what_is_claimed_is_looked_at_once_a_run() -> None:
    simulation = simulate(named("an agent claims what nobody finds"))
    assert len(told(simulation, EvidenceGathered)) == len(told(simulation, RunVerified)) == 2
    assert [each.cause for each in told(simulation, RunFinished)] == ["unverified", "unverified"]


def test_a_look_that_is_skipped_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the scenarios would prove nothing."""
    monkeypatch.setattr(judging, "_is_verified", lambda *_: False)
    assert simulate(named("an agent claims what nobody finds")).violations
