"""Arbitrary histories of a workflow: whatever ends and whatever is wished for, it keeps what it promises."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from domain import workflow
from domain.errors import Invalid, WorkflowRefused
from domain.events import Recorded
from domain.payload import Payload
from domain.workflow import Made, State, Status
from domain.workflow_events import (
    WorkflowParked,
    WorkflowTaskDropped,
    WorkflowTaskEnded,
    WorkflowTaskWanted,
    WorkflowTransitioned,
    WorkflowUnparked,
)
from tests.domain.test_workflow import NOW_US, SECOND_US, WISHES, How, Tale, begun, ended, tiny
from tests.domain.test_workflow_template import SHIPPED, shipped

SIGNALS = ["", "plan_ready", "again", "nonsense"]
FAILED: list[How] = ["permanent_failure", "blocked", "operator_canceled", "refused"]
STATUSES: list[How] = [*FAILED, *["completed"] * 12]  # type: ignore[list-item]  # a list of one literal
TEMPLATES = [*map(shipped, SHIPPED), tiny(max_iterations=2), tiny(wall_s=5, cost_usd=0.1), tiny(signal_retry_max=0)]
POISONED = tiny("states/review/task/subject", "{ctx.summary}")


@st.composite
def facts(draw: st.DrawFn, tale: Tale) -> Made | Payload:
    """Something that may be recorded now: an end (of now, or of long ago), or a wish that is not refused."""
    choice = draw(st.integers(0, 9))
    log: list[Payload] = [each.data for each in tale.log]
    old = [each for each in log if isinstance(each, WorkflowTaskEnded)]
    if choice == 9 and old:
        return draw(st.sampled_from(old))
    if choice > 6:
        verb = draw(st.sampled_from(["skip", "retry", "skip", "retry", "transition", "complete", "cancel"]))
        try:
            return WISHES[verb](tale.now)
        except (Invalid, WorkflowRefused):
            pass  # another end instead
    known = sorted(tale.now.here.signals) if tale.now.here else []
    signal = draw(st.sampled_from(known * 3 + SIGNALS))
    return ended(tale.now, draw(st.sampled_from(STATUSES)), signal, cost_nusd=draw(st.integers(0, 10**8)))


@st.composite
def histories(draw: st.DrawFn) -> list[Tale]:
    """An instance from its creation on, fact by fact."""
    contexts: list[dict[str, object]] = [{}, {"summary": "s"}, {"summary": ["no text"]}]
    context = draw(st.sampled_from(contexts))
    told = [begun(draw(st.sampled_from([*TEMPLATES, POISONED])), **context)]
    at_us = NOW_US
    for _ in range(draw(st.integers(0, 30))):
        at_us += draw(st.integers(0, 2 * SECOND_US))
        told.append(told[-1].happens(draw(facts(told[-1])), at_us=at_us))
    return told


@given(history=histories())
def test_wf1_one_state_entry_has_one_open_task_at_most_and_each_task_is_wanted_once(history: list[Tale]) -> None:
    open_tasks: set[tuple[str, int]] = set()
    wanted: list[str] = []
    before: State | None = None
    for tale in history:
        fact: Payload = tale.log[-1 - len(tale.led_to)].data
        if isinstance(fact, WorkflowTaskEnded) and before is not None and fact.task == before.open_task:
            open_tasks.discard((fact.state, fact.epoch))
        for each in tale.led_to:
            if isinstance(each, WorkflowTaskDropped):
                open_tasks.remove((each.state, each.epoch))
            if isinstance(each, WorkflowTaskWanted):
                assert not open_tasks
                open_tasks.add((each.state, each.epoch))
                wanted.append(each.task)
        before = tale.now
    assert len(set(wanted)) == len(wanted)


@given(history=histories())
def test_wf1_the_epoch_grows_by_one_with_each_state_entry_and_never_otherwise(history: list[Tale]) -> None:
    for before, after in pairwise(history):
        entered = [each for each in after.led_to if isinstance(each, WorkflowTransitioned)]
        assert after.now.epoch - before.now.epoch == len(entered) <= 1
        assert [each.epoch for each in entered] == [after.now.epoch] * len(entered)


@given(history=histories())
def test_wf6_an_instance_that_is_not_over_has_an_open_task_or_is_parked_with_a_cause(history: list[Tale]) -> None:
    for tale in history:
        waits, parked = bool(tale.now.open_task), tale.now.status is Status.PARKED
        assert parked == bool(tale.now.cause and not tale.now.over)
        assert waits + parked + tale.now.over == 1


@given(history=histories())
def test_nothing_follows_after_the_end_of_an_instance(history: list[Tale]) -> None:
    for before, after in pairwise(history):
        if before.now.over:
            assert (after.now, after.led_to) == (before.now, ())


@given(history=histories())
def test_wf6_parking_and_unparking_alternate(history: list[Tale]) -> None:
    """One event per change, not one per pass."""
    turns = [each for tale in history for each in tale.led_to if isinstance(each, WorkflowParked | WorkflowUnparked)]
    for first, second in pairwise(turns):
        assert type(first) is not type(second)


@given(history=histories())
def test_the_log_folds_to_the_state_that_the_core_had(history: list[Tale]) -> None:
    log: list[Recorded] = []
    for tale in history:
        log += tale.log[len(log) :]
    assert workflow.fold(log) == history[-1].now


@given(history=histories())
def test_every_text_that_is_named_travels_with_the_step(history: list[Tale]) -> None:
    for tale in history:
        named = [getattr(each, field, None) for each in tale.led_to for field in ("patch", "document")]
        assert {text.sha256 for text in named if text} == set(tale.texts)
