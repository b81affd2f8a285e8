"""What agents remember is kept exactly once, whatever dies; no summary twice; and what is denied stays so.

That each of these scenarios ends as it should after every death is checked with all the others, in `test_agents`.
"""

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest

from commands import memory_call
from domain import policies
from domain.agent_events import (
    ControllerAsked,
    ControllerReplaced,
    HistorySummarized,
    MemoryForgotten,
    MemoryKept,
    RunDenied,
    ToolReturned,
)
from domain.events import Event, RunOwnerLost, RunRefused, ToolCallRequested
from tests.simulation.exploring import deaths, double_deaths
from tests.simulation.model_scenarios import SCENARIOS, named
from tests.simulation.more_scenarios import DENIED, MORE, REMEMBERED, REPLACED, SUMMARIZED
from tests.simulation.plan import Plan, Scenario
from tests.simulation.simulator import Simulation, simulate

KEPT = {
    "remembers": 1,
    "remembers two things at once": 2,
    "remembers and forgets": 1,
    "remembers for all with a yes": 1,
    "remembers nothing for all with a no": 0,
    "two remember at once": 2,
    "stopped while it remembers": 1,
}


def each_death(scenario: Scenario) -> Iterator[Simulation]:
    """The scenario without a fault, with a death at each append, and with some second ones."""
    for plan in itertools.chain((Plan(),), deaths(scenario), double_deaths(scenario, every=3)):
        yield simulate(scenario, plan)


def told(simulation: Simulation) -> list[tuple[str, Event]]:
    """All that was recorded, with its stream."""
    return [(event.stream, event.data) for event in simulation.log.read(0, max(1, len(simulation.log.rows)))]


def by_name(*scenarios: Scenario) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scenario", scenarios, ids=lambda each: each.name.replace(" ", "-"))


def test_all_of_them_are_among_those_that_are_tried_with_every_death() -> None:
    assert {each.name for each in MORE} <= {each.name for each in SCENARIOS}
    assert set(KEPT) == {each.name for each in REMEMBERED}


@by_name(*REMEMBERED)
def test_what_a_run_remembers_is_kept_exactly_once(scenario: Scenario) -> None:
    """ME-2: once for each call of each run, however often the call was begun."""
    for simulation in each_death(scenario):
        kept = [data for _, data in told(simulation) if isinstance(data, MemoryKept)]
        assert len(kept) == KEPT[scenario.name], simulation.plan
        assert set(Counter((each.from_run, each.from_call) for each in kept).values()) <= {1}
        assert all(each.from_run and each.from_call for each in kept)


def test_what_was_forgotten_before_its_dispatcher_died_is_not_said_to_be_unknown() -> None:
    for simulation in each_death(named("remembers and forgets")):
        everything = [data for _, data in told(simulation)]
        assert sum(isinstance(data, MemoryForgotten) for data in everything) == 1
        assert all(data.ok for data in everything if isinstance(data, ToolReturned)), simulation.plan


def test_a_call_is_begun_again_where_its_dispatcher_died_in_the_middle_of_it() -> None:
    """Else the tests above would prove nothing."""
    repeated = [
        simulation.plan
        for simulation in each_death(named("remembers"))
        for _, data in told(simulation)
        if isinstance(data, ToolCallRequested) and data.repeats
    ]
    assert len(repeated) >= 3


def test_a_memory_that_is_kept_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_call, "_is_of", lambda *_: False)
    with pytest.raises(AssertionError):
        test_what_a_run_remembers_is_kept_exactly_once(named("remembers"))


@by_name(*SUMMARIZED)
def test_each_run_summarizes_at_most_once_and_asks_again_only_after_a_death(scenario: Scenario) -> None:
    for simulation in each_death(scenario):
        events = told(simulation)
        made = Counter(stream for stream, data in events if isinstance(data, HistorySummarized))
        asked = Counter(
            stream for stream, data in events if isinstance(data, ControllerAsked) and data.purpose == "summary"
        )
        lost = Counter(stream for stream, data in events if isinstance(data, RunOwnerLost))
        assert set(made.values()) <= {1}
        assert all(count <= 1 + lost[run] for run, count in asked.items()), simulation.plan


def test_what_was_said_of_a_summary_is_in_the_log_before_anybody_is_shown_it() -> None:
    (scenario,) = (each for each in SUMMARIZED if each.name == "a summary")
    for simulation in each_death(scenario):
        shown = [request for request in simulation.sent if b"They said hello." in request.body]
        summarized = [data for _, data in told(simulation) if isinstance(data, HistorySummarized) and data.answer]
        assert len(summarized) == 2, simulation.plan
        assert len(shown) >= 2


@by_name(*REPLACED)
def test_a_controller_is_replaced_once_whatever_dies(scenario: Scenario) -> None:
    for simulation in each_death(scenario):
        replaced = [data for _, data in told(simulation) if isinstance(data, ControllerReplaced)]
        assert [(each.controller, each.by) for each in replaced] == [("it", "other")], simulation.plan


@by_name(*DENIED)
def test_a_denial_leaves_its_record_whatever_dies(scenario: Scenario) -> None:
    """PO-2 and PO-3."""
    for simulation in each_death(scenario):
        events = [data for _, data in told(simulation)]
        denied = [data for data in events if isinstance(data, RunDenied)]
        refused = [data for data in events if isinstance(data, RunRefused)]
        assert len(denied) + len(refused) == len(scenario.tasks), simulation.plan
        assert all((each.rules, each.reason) == (("frozen",), "not today") for each in denied)
        assert all("not today (rules frozen of policy" in each.message for each in refused)


def test_a_denial_that_nobody_looks_at_on_resume_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = policies.Verdict(effect="allow", rules=())
    monkeypatch.setattr(policies, "admits", lambda *_: allowed)
    assert "['risky'] ran, expected []" in "\n".join(simulate(named("the run is denied by now")).violations)
