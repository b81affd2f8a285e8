"""A dispatcher is killed before and after every append of every one-shot scenario, and again while it recovers."""

from collections import Counter

import pytest

from commands import dispatch
from domain.events import RunFinished, RunOwnerLost, TaskCanceled, ToolStarted
from tests.simulation.exploring import DEATHS, THOROUGH, appends, deaths, double_deaths, errors_of_the_store, explore
from tests.simulation.plan import Fault, Plan, Scenario
from tests.simulation.scenarios import A_DAY, LOST_LOCK, SCENARIOS, named
from tests.simulation.simulator import simulate

each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))


@each_scenario
def test_a_scenario_ends_as_expected_when_nothing_fails(scenario: Scenario) -> None:
    simulation = simulate(scenario)
    assert not simulation.violations, simulation
    assert len(scenario.ends) == len(scenario.tasks) == len(simulation.tasks)


@each_scenario
def test_a_dispatcher_may_die_before_and_after_every_append(scenario: Scenario) -> None:
    assert explore(scenario, deaths(scenario), 1) == 2 * appends(scenario)


@each_scenario
def test_a_dispatcher_may_die_again_while_it_recovers(scenario: Scenario) -> None:
    explored = explore(scenario, double_deaths(scenario), 2)
    assert not THOROUGH or explored >= appends(scenario), "second deaths come while the first is recovered from"


@each_scenario
def test_a_store_that_is_full_or_busy_or_conflicts_once_is_waited_for(scenario: Scenario) -> None:
    assert explore(scenario, errors_of_the_store(scenario), 0) == 3 * appends(scenario)


def test_the_search_does_not_shrink_unnoticed() -> None:
    points = [2 * appends(scenario) for scenario in SCENARIOS]
    assert sum(points) >= 440
    assert len(SCENARIOS) >= 25
    assert [each for scenario in SCENARIOS if (each := appends(scenario)) < 3] == [0], "only the cancel before"


def test_the_rare_states_are_reached() -> None:
    reached: Counter[str] = Counter()
    for name in ("success", "timeout ignored, child left over", "once", "cancel of who ignores it", "two dispatchers"):
        for plan in deaths(named(name)):
            simulation = simulate(named(name), plan)
            events = simulation.log.read(0, len(simulation.log.rows))
            started = {event.stream for event in events if isinstance(event.data, ToolStarted)}
            for event in events:
                if isinstance(event.data, RunOwnerLost):
                    reached["lost"] += 1
                    reached["lost with left-overs"] += event.data.killed > 0
                    reached["lost before its start was recorded"] += (
                        event.data.killed > 0 and event.stream not in started
                    )
                if isinstance(event.data, RunFinished):
                    reached["parked"] += event.data.cause == "needs_reconcile"
                if isinstance(event.data, TaskCanceled):
                    reached["canceled"] += 1
    assert reached["lost"] >= 60
    assert reached["lost with left-overs"] >= 20
    assert reached["lost before its start was recorded"] >= 3
    assert reached["parked"] >= 5
    assert reached["canceled"] >= 5


@pytest.mark.parametrize("name", ["json outcome", "permanent failure", "once"])
def test_no_payload_file_outlives_its_run(name: str) -> None:
    scenario = named(name)
    for plan in deaths(scenario):
        simulation = simulate(scenario, plan)
        assert simulation.payload_files() == [], plan


@pytest.mark.parametrize("seed", range(1, 41))
def test_a_dispatcher_that_counts_as_dead_without_being_it_is_fenced(seed: int) -> None:
    simulation = simulate(LOST_LOCK, Plan(seed=seed))
    assert not simulation.violations, simulation


@pytest.mark.parametrize("faults", [(), (5, 60), (9, 12), (17, 19)])
def test_a_day_later_everything_has_ended_or_says_what_it_waits_for(
    faults: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "FOLLOW_POLL_S", 10.0)  # a day of looking fifty times a second takes minutes
    monkeypatch.setattr(dispatch, "RECOVERY_CHECK_S", 10.0)
    simulation = simulate(A_DAY, Plan(tuple(Fault(at, DEATHS[at % 2]) for at in faults)))
    assert not simulation.violations, simulation
    assert simulation.crashes == len(faults)
    assert simulation.loop.time() >= 86_400
