"""Bugs planted into the product: the simulator must find each of them, or it proves nothing."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from adapters.log_memory import MemoryLog
from adapters.process_fake import FakeProcesses
from adapters.writer import InlineWriter
from commands import drive
from domain import advance as advancing
from domain import ending, errors, one_shot
from domain import run as core
from domain.advance import Happened, advance
from domain.events import Put, Recorded
from domain.ports import Appended, ProcessIdentity, Work
from tests.simulation.plan import Fault, Kind, Plan, Scenario
from tests.simulation.scenarios import LOST_LOCK, named
from tests.simulation.simulator import simulate

DEATHS: tuple[Kind, ...] = ("before", "after")


def found(scenario: Scenario, *, seeds: int = 1, most: int = 12) -> str:
    """All that is violated when the dispatcher dies at any of the first appends."""
    plans: Iterator[Plan] = itertools.chain(
        (Plan(seed=seed) for seed in range(seeds)),
        (Plan((Fault(at, kind),)) for at in range(1, most + 1) for kind in DEATHS),
    )
    violations: list[str] = []
    for plan in plans:
        violations += simulate(scenario, plan).violations
    return "\n".join(violations)


@pytest.mark.parametrize("name", ["success", "once", "retry"])
def test_without_a_planted_bug_nothing_is_found(name: str) -> None:
    assert found(named(name)) == ""


def test_an_acknowledgement_before_the_commit_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hasty(self: InlineWriter, work: Work) -> Appended:
        log = self._log
        put = work if isinstance(work, Put) else work(log)
        if put is None:
            return ()
        asyncio.get_running_loop().call_later(0.005, log.append, [put])
        first = log.head().position + 1
        return range(first, first + len(put.events))

    monkeypatch.setattr(InlineWriter, "submit", hasty)
    assert "was acknowledged at" in found(replace(named("success"), horizon_s=10), most=6)


def test_an_effect_before_its_request_is_durable_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hasty(self: drive.Driver) -> None:
        world = self._world
        compiled = await self._compile()
        self._effects.call = compiled.call
        state, _ = advance(self._tip, [Happened(compiled.fact)], at_us=world.clock.now_us(), actor=self._actor)
        begun = list(self._effects.carry_out(state, abandoned=False))
        await self._record(Happened(compiled.fact), texts=compiled.texts)
        await self._record(*begun)

    monkeypatch.setattr(drive.Driver, "_start", hasty)
    assert "before its request is durable" in found(named("success"))


def test_a_recovery_that_leaves_processes_alive_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async def lazy(self: FakeProcesses, calls: Mapping[str, ProcessIdentity | None]) -> dict[str, int]:
        _ = self, calls
        return {}

    monkeypatch.setattr(FakeProcesses, "sweep", lazy)
    assert "of the same task is alive" in found(named("timeout ignored, child left over"))
    assert "is left" in found(named("cancel of who ignores it"))


def test_a_takeover_without_the_fence_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = MemoryLog._check  # noqa: SLF001

    def careless(self: MemoryLog, put: Put) -> None:
        honest(self, msgspec.structs.replace(put, fence={}))

    monkeypatch.setattr(MemoryLog, "_check", careless)
    assert "was recorded after its end" in found(LOST_LOCK, seeds=30, most=0)


def test_a_once_effect_that_is_carried_out_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def eager(run: core.Run, fact: Any) -> ending.Ending:  # noqa: ANN401  # as the original
        _ = run
        return ending.Ending(state="lost", retry="retryable", cause=fact.cause)

    monkeypatch.setattr(one_shot, "_lost", eager)
    assert "was carried out 2 times" in found(named("once"))


def test_a_decision_by_a_clock_or_a_die_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count(200_000)
    monkeypatch.setattr(ending, "backoff_us", lambda _: next(ticks))
    assert "does not replay" in found(named("retry"), most=0)


def test_consequences_in_another_order_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def reversed_step(state: core.Run | None, fact: Recorded) -> core.Step:
        step = core.step(state, fact)
        return msgspec.structs.replace(step, consequences=step.consequences[::-1])

    changed = SimpleNamespace(**(vars(core) | {"step": reversed_step}))
    monkeypatch.setattr(advancing, "core", changed)
    assert "does not replay" in found(named("success"), most=0)


def test_a_text_that_is_not_stored_with_its_event_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = drive.Driver._record  # noqa: SLF001

    async def forgetful(self: drive.Driver, *happened: Happened, texts: Sequence[bytes] = ()) -> None:
        _ = texts
        await honest(self, *happened)

    monkeypatch.setattr(drive.Driver, "_record", forgetful)
    assert "a text that event" in found(named("success"), most=0)


def test_a_conflict_that_is_taken_for_a_success_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = InlineWriter.submit

    async def deaf(self: InlineWriter, work: Work) -> Appended:
        try:
            return await honest(self, work)
        except errors.StreamConflict:
            assert isinstance(work, Put)
            return range(1, len(work.events) + 1)

    monkeypatch.setattr(InlineWriter, "submit", deaf)
    simulation = simulate(named("success"), Plan((Fault(2, "conflict"),)))
    assert "was acknowledged at" in str(simulation)
