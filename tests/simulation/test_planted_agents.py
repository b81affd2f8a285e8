"""Bugs planted into agents: the simulator must find each of them, or it proves nothing."""

import itertools
from typing import Any

import msgspec
import pytest

from commands import answers, drive
from domain import acting, controller, policies
from domain import mind as minds
from domain.events import TaskResumed
from domain.ids import effect_key
from domain.plan import Plan as Consequences
from tests.simulation.exploring import deaths
from tests.simulation.model_scenarios import LOST_LOCK, named
from tests.simulation.plan import Plan, Scenario
from tests.simulation.simulator import simulate


def found(scenario: Scenario, *, seeds: int = 1, most: int = 16) -> str:
    """All that is violated when the dispatcher dies at any append."""
    plans = itertools.chain((Plan(seed=seed) for seed in range(seeds)), itertools.islice(deaths(scenario), most))
    return "\n".join(violation for plan in plans for violation in simulate(scenario, plan).violations)


@pytest.mark.parametrize("name", ["approved", "edited", "it did happen", "denied by now"])
def test_without_a_planted_bug_nothing_is_found_with_agents(name: str) -> None:
    assert found(named(name)) == ""


def test_a_policy_that_allows_everything_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = policies.Verdict(effect="allow", rules=("planted",))
    monkeypatch.setattr(policies, "evaluate", lambda *_: allowed)
    assert "nobody said yes" in found(named("rejected"), most=0)
    assert "which nobody may allow" in found(named("the same call, always refused"), most=0)


def test_a_policy_that_is_not_looked_at_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = acting._take_up_answer  # noqa: SLF001

    def trusting(plan: Consequences, approval: minds.Approval) -> None:
        before = policies.evaluate
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(policies, "evaluate", lambda *_: policies.Verdict(effect="allow", rules=()))
            honest(plan, approval)
        assert policies.evaluate is before

    monkeypatch.setattr(acting, "_take_up_answer", trusting)
    assert "ran, expected []" in found(named("denied by now"), most=0)


def test_an_edit_that_is_ignored_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = minds.decided

    def deaf(mind: minds.Mind, now: minds.Approval) -> minds.Mind:
        return honest(mind, msgspec.structs.replace(now, edited=b""))

    monkeypatch.setattr(minds, "decided", deaf)
    assert "ran, expected ['risky edited']" in found(named("edited"), most=0)


def test_a_run_that_goes_on_before_it_is_known_what_happened_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def hasty(plan: Consequences, cause: str) -> None:
        if plan.run.status.value != "resuming":
            plan.add(TaskResumed(run=plan.run.run, cause=cause))

    monkeypatch.setattr(controller, "_resume", hasty)
    scenario = named("approved while it is not known whether another one happened")
    assert "was carried out 2 times" in found(scenario)


def test_a_lost_effect_that_is_done_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minds, "unknown", lambda _: ())
    assert "was carried out 2 times" in found(named("one that must not be repeated"))
    assert "was sent 2 times" in found(named("a request that must not be repeated"))


def test_another_effect_key_for_a_repetition_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(run: str, call: int) -> str:
        careless.calls += 1  # type: ignore[attr-defined]
        return effect_key(run, call + careless.calls)  # type: ignore[attr-defined]

    careless.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr("domain.bundle.effect_key", careless)
    assert "another effect key" in found(named("a tool and done"))


def test_an_answer_after_its_time_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = answers.asked

    def patient(*given: Any) -> answers.Asked:  # noqa: ANN401  # as the original
        asked = honest(*given)
        return asked._replace(approval=msgspec.structs.replace(asked.approval, expires_at_us=0))

    monkeypatch.setattr(answers, "asked", patient)
    assert "['risky'] ran, expected []" in found(named("somebody answers when time is over"), most=0)


def test_a_dispatcher_that_goes_on_with_the_claim_of_another_one_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(self: drive.Driver) -> bool:
        return self.state.ended or self.state.parked

    monkeypatch.setattr(drive.Driver, "_is_over", careless)
    assert found(LOST_LOCK, seeds=40, most=0) != ""
