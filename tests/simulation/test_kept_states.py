"""What a dispatcher keeps of a run on its way is the state that the log folds to."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from adapters.state_cache import Kept, Mark, StateCache
from commands import drive
from domain import run as core
from domain.events import RunStarted
from tests.simulation.model_scenarios import SCENARIOS as OF_AGENTS
from tests.simulation.plan import Fault, Plan, Scenario
from tests.simulation.scenarios import SCENARIOS
from tests.simulation.simulator import Simulation, simulate


def hash_at(position: int) -> str:
    return f"{position:064x}"[::-1]


def kept(cache: StateCache, run: str) -> Sequence[Kept]:
    found: list[Kept] = []
    upto = 1 << 40
    while (each := cache.nearest(run, lambda mark: mark.position < upto)) is not None:  # noqa: B023  # asked at once
        found.append(each)
        upto = each.mark.position
    return found


@pytest.mark.parametrize("scenario", [*SCENARIOS, *OF_AGENTS][::4], ids=lambda each: each.name.replace(" ", "-"))
@pytest.mark.parametrize("plan", [Plan(), Plan((Fault(7, "after"),))], ids=["whole", "after-a-death"])
def test_every_state_that_is_kept_is_what_the_log_folds_to(
    scenario: Scenario, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = StateCache(tmp_path, hash_at)
    monkeypatch.setattr(Simulation, "states", cache)
    monkeypatch.setattr(drive, "STATE_EVERY_EVENTS", 3)
    simulation = simulate(scenario, plan)
    assert not simulation.violations, simulation
    log = simulation.log
    started = {each.stream for each in log.read(0, 1 << 20) if isinstance(each.data, RunStarted)}
    for run in started:
        events = list(log.run_events(run, bodies=True))
        for mark, state in kept(cache, run):
            assert state == core.fold(each for each in events if each.position <= mark.position)
            assert mark == Mark(mark.position, hash_at(mark.position)[:16], state.mind.decisions if state.mind else 0)
    assert not started or any(kept(cache, run) for run in started) or len(log.rows) < 12
