"""Plans by seed: what is ready is shuffled, the store is slow, and faults come anywhere."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.plan import Fault, Kind, Plan, Scenario
from tests.simulation.scenarios import LOST_LOCK, SCENARIOS, named
from tests.simulation.simulator import simulate

BLOCK = 40
BLOCKS = 10
_ROOT = Path(__file__).parents[2]
_KINDS: tuple[Kind, ...] = ("before", "after", "before", "after", "conflict", "full", "busy")


def drawn(seed: int) -> tuple[Scenario, Plan]:
    """The scenario and the plan of a seed."""
    chance = random.Random(seed)
    scenario = chance.choice(SCENARIOS)
    faults = {at: chance.choice(_KINDS) for at in (chance.randint(1, 12) for _ in range(chance.randint(0, 2)))}
    return scenario, Plan(tuple(Fault(at, kind) for at, kind in sorted(faults.items())), seed)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_whatever_the_order_and_the_faults(block: int) -> None:
    fired = 0
    for seed in range(1 + block * BLOCK, 1 + (block + 1) * BLOCK):
        simulation = simulate(*drawn(seed))
        assert not simulation.violations, simulation
        fired += len(simulation.fired)
    assert fired >= BLOCK / 5, "the faults miss the scenarios"


@pytest.mark.parametrize("name", ["two dispatchers", "stopped", "timeout ignored, child left over", "much output"])
def test_the_same_seed_gives_the_same_trace(name: str) -> None:
    for seed in range(6):
        plan = Plan((Fault(4 + seed, "after"), Fault(9, "before")), seed)
        first, second = simulate(named(name), plan), simulate(named(name), plan)
        assert first.trace() == second.trace()
        assert first.log.rows


def test_another_seed_gives_another_trace() -> None:
    traces = [simulate(LOST_LOCK, Plan(seed=seed)).log.head().hash for seed in range(4)]
    assert len(set(traces)) == len(traces)


def test_the_trace_does_not_depend_on_the_hashes_of_strings() -> None:
    program = (
        "from tests.simulation.test_seeds import drawn\n"
        "from tests.simulation.simulator import simulate\n"
        "print([simulate(*drawn(seed)).log.head().hash for seed in range(1, 41)])\n"
    )

    def traces(hash_seed: str) -> bytes:
        environment = dict(os.environ) | {"PYTHONHASHSEED": hash_seed}
        return subprocess.run(
            [sys.executable, "-c", program], cwd=_ROOT, env=environment, capture_output=True, check=True
        ).stdout

    assert traces("1") == traces("2")
