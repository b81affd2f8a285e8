"""Arbitrary histories: whatever happens in whatever order, the core answers, and its answers hang together."""

from itertools import pairwise

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from domain.events import (
    CancelRequested,
    Fact,
    OutputAppended,
    Recorded,
    RunCancelAsked,
    RunFinished,
    RunOwnerLost,
    RunRefused,
    RunStarted,
    TaskBlocked,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskRetryScheduled,
    TimerFired,
    ToolCallRequested,
    ToolExited,
    ToolNotStarted,
    ToolStarted,
)
from domain.run import Run, Step, evolve, fold, next_timer, step
from tests.domain.test_one_shot import POLICY
from tests.story import NOW_US, claimed, recorded, text

ENDS_OF_TASK = TaskCompleted | TaskRetryScheduled | TaskFailed | TaskBlocked | TaskCanceled
SAID = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [b'{"status":"completed"}', b'{"status":"blocked"}', b'{"status": "done", "file_changes": [{}]}', b"{"]
    ),
)
ANYTIME = st.one_of(
    st.builds(RunCancelAsked, reason=st.text(max_size=5)),
    st.builds(
        RunOwnerLost,
        dispatcher=st.just("d1"),
        cause=st.sampled_from(["dispatcher_died", "dispatcher_stopped", "internal_error"]),
        killed=st.integers(0, 3),
    ),
    st.builds(TimerFired, timer=st.sampled_from(["timeout:1", "timeout:2", "?"]), due_us=st.integers(0, 1 << 52)),
)
OF_A_CALL = st.one_of(
    st.builds(ToolStarted, call=st.just(1), pid=st.integers(2, 99), start_ticks=st.just(1), boot_id=st.just("b")),
    st.builds(
        ToolNotStarted,
        call=st.just(1),
        cause=st.sampled_from(["command_not_found", "not_executable", "out_of_resources", "canceled"]),
    ),
    st.builds(ToolExited, call=st.just(1), duration_us=st.just(1), exit_code=st.integers(0, 255)),
    st.builds(ToolExited, call=st.just(1), duration_us=st.just(1), signal=st.sampled_from(["SIGKILL", "SIGTERM"])),
)
POLICIES = st.builds(
    msgspec.structs.replace,
    st.just(POLICY),
    outcome=st.sampled_from(["exit", "json", "text"]),
    effect=st.sampled_from(["idempotent", "once"]),
    timeout_us=st.sampled_from([0, 1, 60_000_000]),
    backoff_base_us=st.integers(0, 1 << 42),
)
BEGINNINGS = st.one_of(
    st.builds(
        RunStarted,
        program=st.just("one_shot"),
        adapter=st.just("a"),
        bundle=st.just(text("b")),
        call=st.just(text("c")),
        policy=POLICIES,
    ),
    st.builds(RunRefused, cause=st.sampled_from(["adapter_not_found", "invalid_payload"])),
)


def output(body: bytes) -> Recorded:
    event = OutputAppended(call=1, stream="stdout", offset=0, size=len(body), lines=0, digest="")
    return recorded(event, body=body)


def possible(state: Run) -> st.SearchStrategy[Recorded]:
    """The facts that may happen in this state: a call's facts only for a call that was asked for."""
    facts: list[st.SearchStrategy[Fact]] = [ANYTIME]
    if state.policy is None:
        facts.append(BEGINNINGS)
    called: list[st.SearchStrategy[Recorded]] = []
    if state.calls:
        facts.append(OF_A_CALL)
        called.append(SAID.map(output))
    plain = st.builds(recorded, st.one_of(facts), at_us=st.integers(NOW_US, NOW_US + 10**9))
    return st.one_of(plain, *called)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Recorded, Step]]:
    """A run from its claim on: each fact with what it led to."""
    attempt = draw(st.integers(1, 4))
    first = recorded(claimed(attempt=attempt, max_attempts=draw(st.integers(attempt, 4))))
    told = [(first, step(None, first))]
    for _ in range(draw(st.integers(0, 12))):
        state = told[-1][1].state
        fact = draw(possible(state))
        told.append((fact, step(state, fact)))
    return told


@given(history=histories())
def test_a_run_ends_at_most_once_and_its_task_hears_of_it_in_the_same_step(
    history: list[tuple[Recorded, Step]],
) -> None:
    ends = [each for _, each in history if any(isinstance(one, RunFinished) for one in each.consequences)]
    assert len(ends) <= 1
    for _, each in history:
        of_task = [one for one in each.consequences if isinstance(one, ENDS_OF_TASK)]
        assert len(of_task) == (1 if each in ends else 0)
    assert history[-1][1].state.ended == bool(ends)


@given(history=histories())
def test_nothing_follows_after_the_end(history: list[tuple[Recorded, Step]]) -> None:
    for (_, before), (_, after) in pairwise(history):
        if before.state.ended:
            assert after.consequences == ()
            assert after.state.status is before.state.status


@given(history=histories())
def test_the_log_folds_to_the_state_that_the_core_had(history: list[tuple[Recorded, Step]]) -> None:
    log: list[Recorded] = []
    for fact, each in history:
        log += [fact, *(recorded(one, at_us=fact.at_us) for one in each.consequences)]  # type: ignore[arg-type]
    assert fold(log) == history[-1][1].state


@given(history=histories())
def test_one_process_is_asked_for_and_no_end_of_it_twice_for_one_cause(history: list[tuple[Recorded, Step]]) -> None:
    asked = [one for _, each in history for one in each.consequences]
    assert sum(isinstance(one, ToolCallRequested) for one in asked) <= 1
    ends = [one for one in asked if isinstance(one, CancelRequested)]
    assert len({one.cause for one in ends}) == len(ends)


@given(history=histories())
def test_a_timer_is_only_waited_for_while_firing_it_would_ask_for_something(
    history: list[tuple[Recorded, Step]],
) -> None:
    state = history[-1][1].state
    timer = next_timer(state)
    if timer is not None:
        fired = recorded(TimerFired(timer=timer.timer, due_us=timer.due_us), at_us=timer.due_us)
        assert [type(each) for each in step(state, fired).consequences] == [CancelRequested]


@given(history=histories())
def test_every_text_that_is_named_travels_with_the_step(history: list[tuple[Recorded, Step]]) -> None:
    for _, each in history:
        named = [one.outcome.size for one in each.consequences if isinstance(one, RunFinished) and one.outcome]
        assert named == [len(found) for found in each.texts]


def test_a_step_is_the_fold_of_its_fact_and_its_consequences() -> None:
    first = recorded(claimed())
    begun = recorded(RunStarted(program="one_shot", adapter="a", bundle=text("b"), call=text("c"), policy=POLICY))
    made = step(step(None, first).state, begun)
    state = evolve(evolve(None, first.data, stream=first.stream), begun.data)
    assert evolve(state, made.consequences[0]) == made.state
