"""One process, from its request to the end of the run: every way that it can go."""

import msgspec
import pytest

from domain import outcome
from domain.events import (
    CancelRequested,
    Policy,
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
from domain.ids import text_of
from domain.ports import NotStartedCause
from domain.run import Status, backoff_us, fold, next_timer
from tests.story import NOW_US, RUN, Story, claimed, recorded, stdout, text

POLICY = Policy(
    outcome="exit",
    effect="idempotent",
    timeout_us=60_000_000,
    grace_us=5_000_000,
    output_bytes_max=1 << 20,
    backoff_base_us=60_000_000,
    backoff_max_us=3_600_000_000,
    exit_retryable=(75,),
    exit_permanent=(64, 77, 126, 127),
)
ONCE = msgspec.structs.replace(POLICY, effect="once")
JSON = msgspec.structs.replace(POLICY, outcome="json")
TEXT = msgspec.structs.replace(POLICY, outcome="text")
RUNS = ToolStarted(call=1, pid=4711, start_ticks=99, boot_id="b")
TIMEOUT = TimerFired(timer="timeout:1", due_us=NOW_US + 60_000_000)
CANCEL = RunCancelAsked(reason="not today")
LOST = RunOwnerLost(dispatcher="d1", cause="dispatcher_died")
ASKED = CancelRequested(call=1, cause="operator")
OVERDUE = CancelRequested(call=1, cause="timeout")
CANCELED = (RunFinished(state="canceled", retry="none", cause="operator"), TaskCanceled(run=RUN, reason="not today"))
COMPLETED = (RunFinished(state="completed", retry="none"), TaskCompleted(run=RUN))


def started(policy: Policy = POLICY) -> RunStarted:
    return RunStarted(program="one_shot", adapter="command", bundle=text("b"), call=text("c"), policy=policy)


def exited(code: int | None = 0, *, signal: str = "") -> ToolExited:
    return ToolExited(call=1, duration_us=5, exit_code=code, signal=signal)


def running(policy: Policy = POLICY, *, attempt: int = 1) -> Story:
    return Story().given(claimed(attempt=attempt), started(policy), RUNS)


def failed(story: Story, cause: str) -> tuple[RunFinished, TaskRetryScheduled]:
    """What a failure that may be tried again leads to."""
    pause = backoff_us(story.now)
    scheduled = TaskRetryScheduled(run=RUN, cause=cause, backoff_us=pause, due_at_us=NOW_US + pause)
    return RunFinished(state="failed", retry="retryable", cause=cause), scheduled


# from the claim to the process


def test_a_claim_alone_asks_for_nothing() -> None:
    Story().when(claimed()).then()


def test_a_started_run_asks_for_its_process() -> None:
    request = ToolCallRequested(call=1, tool="process", input=text("c"), effect="idempotent")
    Story().given(claimed()).when(started()).then(request)


def test_the_request_says_whether_its_effect_may_be_repeated() -> None:
    request = ToolCallRequested(call=1, tool="process", input=text("c"), effect="once")
    Story().given(claimed()).when(started(ONCE)).then(request)


def test_a_started_process_asks_for_nothing() -> None:
    story = Story().given(claimed(), started()).when(RUNS).then()
    assert story.now.open_calls[0].pid == 4711


def test_output_asks_for_nothing() -> None:
    running(JSON).when(stdout(b'{"status": "completed"}')).then()


def test_a_run_without_a_claim_cannot_be() -> None:
    Story().when(started()).refused(AssertionError)


def test_a_consequence_is_not_fed_to_the_core() -> None:
    running().when(ASKED).refused(AssertionError)


# how processes end


def test_exit_zero_completes_run_and_task() -> None:
    story = running().when(exited(0)).then(*COMPLETED)
    assert story.now.status is Status.COMPLETED
    assert story.now.open_calls == ()


@pytest.mark.parametrize("code", [64, 77, 126, 127])
def test_an_exit_code_of_the_permanent_table_fails_the_task(code: int) -> None:
    cause = f"exit:{code}"
    end = RunFinished(state="failed", retry="permanent", cause=cause)
    running().when(exited(code)).then(end, TaskFailed(run=RUN, cause=cause))


@pytest.mark.parametrize("code", [1, 2, 63, 65, 75, 125, 128, 255])
def test_any_other_exit_code_is_tried_again(code: int) -> None:
    story = running()
    story.when(exited(code)).then(*failed(story, f"exit:{code}"))


def test_an_exit_code_in_both_tables_is_tried_again() -> None:
    story = running(msgspec.structs.replace(POLICY, exit_retryable=(64,)))
    story.when(exited(64)).then(*failed(story, "exit:64"))


def test_a_signal_is_tried_again_and_named() -> None:
    story = running()
    story.when(exited(None, signal="SIGSEGV")).then(*failed(story, "signal:SIGSEGV"))


@pytest.mark.parametrize("cause", ["command_not_found", "not_executable", "cwd_missing", "argument_too_large"])
def test_what_cannot_be_started_is_not_tried_again(cause: NotStartedCause) -> None:
    end = RunFinished(state="failed", retry="permanent", cause=cause)
    fact = ToolNotStarted(call=1, cause=cause)
    Story().given(claimed(), started()).when(fact).then(end, TaskFailed(run=RUN, cause=cause))


def test_a_lack_of_resources_is_tried_again() -> None:
    story = Story().given(claimed(), started())
    fact = ToolNotStarted(call=1, cause="out_of_resources")
    story.when(fact).then(*failed(story, "out_of_resources"))


def test_a_missing_adapter_fails_the_task() -> None:
    end = RunFinished(state="failed", retry="permanent", cause="adapter_not_found")
    fact = RunRefused(cause="adapter_not_found")
    Story().given(claimed()).when(fact).then(end, TaskFailed(run=RUN, cause="adapter_not_found"))


def test_any_other_failing_bundle_blocks_the_task() -> None:
    end = RunFinished(state="failed", retry="permanent", cause="task_args_refused")
    fact = RunRefused(cause="task_args_refused")
    Story().given(claimed()).when(fact).then(end, TaskBlocked(run=RUN, cause="task_args_refused"))


# time


def test_the_timer_asks_to_end_the_process() -> None:
    running().when(TIMEOUT).then(OVERDUE)


def test_a_process_that_ended_after_its_timeout_is_tried_again_whatever_it_said() -> None:
    story = running().given(TIMEOUT)
    story.when(exited(0)).then(*failed(story, "timeout"))


def test_the_timer_asks_once() -> None:
    running().given(TIMEOUT).when(TIMEOUT).then_nothing_changes()


def test_a_timer_of_another_call_asks_for_nothing() -> None:
    running().when(TimerFired(timer="timeout:2", due_us=0)).then_nothing_changes()


def test_the_timer_to_wait_for_is_the_start_plus_the_timeout() -> None:
    timer = next_timer(running().now)
    assert timer is not None
    assert (timer.timer, timer.due_us) == ("timeout:1", NOW_US + 60_000_000)


def test_there_is_no_timer_before_the_process_runs() -> None:
    assert next_timer(Story().given(claimed()).now) is None
    assert next_timer(Story().given(claimed(), started()).now) is None


def test_there_is_no_timer_without_a_timeout() -> None:
    assert next_timer(running(msgspec.structs.replace(POLICY, timeout_us=0)).now) is None


def test_there_is_no_timer_once_the_process_was_asked_to_end() -> None:
    assert next_timer(running().given(TIMEOUT).now) is None
    assert next_timer(running().given(CANCEL).now) is None


def test_there_is_no_timer_after_the_end() -> None:
    assert next_timer(running().given(exited(0)).now) is None


# a person's cancel


def test_a_cancel_before_the_start_ends_the_run_at_once() -> None:
    Story().given(claimed()).when(CANCEL).then(*CANCELED)


def test_a_cancel_while_running_asks_to_end_the_process() -> None:
    running().when(CANCEL).then(ASKED)


def test_a_cancel_between_request_and_start_is_asked_of_the_call() -> None:
    Story().given(claimed(), started()).when(CANCEL).then(ASKED)


@pytest.mark.parametrize("end", [exited(0), exited(3), exited(None, signal="SIGTERM")])
def test_a_canceled_process_ends_the_task_however_it_exits(end: ToolExited) -> None:
    running().given(CANCEL).when(end).then(*CANCELED)


def test_a_process_that_was_not_started_because_of_the_cancel_ends_the_task() -> None:
    fact = ToolNotStarted(call=1, cause="canceled")
    Story().given(claimed(), started(), CANCEL).when(fact).then(*CANCELED)


def test_a_second_cancel_asks_for_nothing_more() -> None:
    running().given(CANCEL).when(CANCEL).then_nothing_changes()


def test_a_cancel_after_the_timeout_was_asked_is_asked_too_and_wins() -> None:
    running().given(TIMEOUT).when(CANCEL).then(ASKED).when(exited(0)).then(*CANCELED)


def test_a_timeout_after_the_cancel_asks_for_nothing() -> None:
    running().given(CANCEL).when(TIMEOUT).then_nothing_changes()


# a lost dispatcher


def test_a_lost_idempotent_run_is_tried_again() -> None:
    story = running()
    pause = backoff_us(story.now)
    story.when(LOST).then(
        RunFinished(state="lost", retry="retryable", cause="dispatcher_died"),
        TaskRetryScheduled(run=RUN, cause="dispatcher_died", backoff_us=pause, due_at_us=NOW_US + pause),
    )


@pytest.mark.parametrize("story", [running(ONCE), Story().given(claimed(), started(ONCE))], ids=["running", "asked"])
def test_a_lost_run_with_an_open_once_effect_waits_for_a_person(story: Story) -> None:
    end = RunFinished(state="lost", retry="none", cause="needs_reconcile")
    story.when(LOST).then(end, TaskBlocked(run=RUN, cause="needs_reconcile"))


@pytest.mark.parametrize("policy", [POLICY, ONCE], ids=["idempotent", "once"])
def test_a_lost_run_that_a_person_had_canceled_is_canceled(policy: Policy) -> None:
    running(policy).given(CANCEL).when(LOST).then(*CANCELED)


def test_a_run_lost_before_its_bundle_goes_back_without_a_pause_of_its_own() -> None:
    Story().given(claimed()).when(LOST).then(
        RunFinished(state="lost", retry="retryable", cause="dispatcher_died"),
        TaskRetryScheduled(run=RUN, cause="dispatcher_died", backoff_us=0, due_at_us=NOW_US),
    )


def test_what_broke_before_the_bundle_was_known_waits_as_usual() -> None:
    (ended, again) = (
        Story().given(claimed()).when(RunOwnerLost(dispatcher="d1", cause="internal_error")).step().consequences
    )
    assert ended == RunFinished(state="lost", retry="retryable", cause="internal_error")
    assert isinstance(again, TaskRetryScheduled)
    assert 48_000_000 <= again.backoff_us <= 72_000_000, "a minute, a fifth more or less"
    assert again.due_at_us == NOW_US + again.backoff_us


# attempts and pauses


@pytest.mark.parametrize(
    ("fact", "state", "cause"),
    [(exited(1), "failed", "exit:1"), (exited(None, signal="SIGKILL"), "failed", "signal:SIGKILL")],
)
def test_the_last_attempt_blocks_the_task(fact: ToolExited, state: str, cause: str) -> None:
    step = running(attempt=3).when(fact).step()
    assert step.consequences == (
        RunFinished(state=state, retry="retryable", cause=cause),  # type: ignore[arg-type]  # of the table above
        TaskBlocked(run=RUN, cause="attempts_exhausted"),
    )


def test_a_run_lost_on_the_last_attempt_blocks_the_task() -> None:
    end = RunFinished(state="lost", retry="retryable", cause="dispatcher_died")
    running(attempt=3).when(LOST).then(end, TaskBlocked(run=RUN, cause="attempts_exhausted"))


def pause_s(attempt: int, run: str = RUN) -> float:
    story = Story().given(claimed(attempt=attempt, max_attempts=100, run=run), started())
    return backoff_us(story.now) / 1e6


@pytest.mark.parametrize("attempt", range(1, 101))
def test_the_pause_doubles_up_to_the_cap_within_a_fifth(attempt: int) -> None:
    nominal = min(60 * 2 ** (attempt - 1), 3600)
    assert nominal * 0.8 <= pause_s(attempt) <= nominal * 1.2


def test_the_jitter_spreads_runs_over_the_whole_fifth() -> None:
    pauses = [pause_s(1, f"{number:032x}") for number in range(300)]
    assert min(pauses) < 50
    assert max(pauses) > 70


def test_the_jitter_is_the_same_in_every_replay() -> None:
    assert pause_s(2) == pause_s(2)
    assert backoff_us(running().now) == 51_022_712  # a golden number: replays of old logs rest on it


# late facts


@pytest.mark.parametrize("fact", [CANCEL, TIMEOUT, LOST, exited(1), exited(0), stdout(b"late")], ids=repr)
def test_nothing_follows_from_a_late_fact(fact: object) -> None:
    over = running(JSON).given(exited(7))
    step = over.when(fact).step()  # type: ignore[arg-type]  # events and recorded output
    assert step.consequences == ()
    assert step.state.status is Status.FAILED


@pytest.mark.parametrize("first", [LOST, exited(0)], ids=["lost", "exited"])
def test_a_cancel_after_the_end_does_not_change_how_it_ended(first: RunOwnerLost | ToolExited) -> None:
    over = running().given(first)
    assert over.when(CANCEL).then().now.status is over.now.status


# outcomes that programs report


def reported(status: str, **more: str) -> bytes:
    return msgspec.json.encode({"status": status, "operator_summary": "s", **more})


@pytest.mark.parametrize(
    ("said", "task"),
    [
        (reported("completed"), TaskCompleted(run=RUN)),
        (reported("blocked"), TaskBlocked(run=RUN, cause="reported_blocked")),
        (reported("failed"), TaskFailed(run=RUN, cause="reported_failure")),
        (reported("completed", machine_status="failed"), TaskFailed(run=RUN, cause="reported_failure")),
    ],
)
def test_a_reported_outcome_decides_the_task(said: bytes, task: object) -> None:
    consequences = running(JSON).given(stdout(said)).when(exited(0)).step().consequences
    assert consequences[-1] == task


@pytest.mark.parametrize(
    ("said", "cause"), [(reported("needs_retry"), "reported_retry"), (b"", "no_outcome"), (b"[]", "no_outcome")]
)
def test_a_run_that_reports_nothing_useful_is_tried_again(said: bytes, cause: str) -> None:
    consequences = running(JSON).given(stdout(said)).when(exited(0)).step().consequences
    assert isinstance(consequences[-1], TaskRetryScheduled)
    assert consequences[-1].cause == cause


def test_the_canonical_outcome_travels_with_the_step_and_is_named_by_digest() -> None:
    step = running(JSON).given(stdout(reported("done"))).when(exited(0)).step()
    end = step.consequences[0]
    assert isinstance(end, RunFinished)
    assert end.outcome == text_of(step.texts[0])
    assert msgspec.json.decode(step.texts[0], type=outcome.Outcome).reported_status == "done"


def test_a_reported_outcome_counts_for_nothing_when_the_program_failed() -> None:
    story = running(JSON).given(stdout(reported("completed")))
    story.when(exited(1)).then(*failed(story, "exit:1"))


def test_an_outcome_may_arrive_in_pieces() -> None:
    said = reported("completed")
    story = running(JSON).given(stdout(said[:9]), stdout(said[9:]))
    assert story.when(exited(0)).step().consequences[-1] == TaskCompleted(run=RUN)


def test_an_outcome_on_stderr_does_not_count() -> None:
    said = stdout(reported("completed"))
    said = msgspec.structs.replace(said, data=msgspec.structs.replace(said.data, stream="stderr"))
    end = running(JSON).given(said).when(exited(0)).step().consequences[-1]
    assert isinstance(end, TaskRetryScheduled)


def test_prose_completes_where_the_adapter_says_so() -> None:
    end = running(TEXT).given(stdout(b"all is well")).when(exited(0)).step().consequences[-1]
    assert end == TaskCompleted(run=RUN)


def test_the_answer_that_is_kept_is_bounded() -> None:
    story = running(JSON)
    for _ in range(10):
        story = story.given(stdout(b"x" * 65536))
    assert len(story.now.answer) == 256 * 1024


@pytest.mark.parametrize(
    "field", ["operator_summary", "machine_status", "status_note"], ids=["summary", "machine", "unknown"]
)
def test_an_outcome_with_a_lone_surrogate_still_ends_the_run(field: str) -> None:
    """JSON may spell half a character; no text that a program prints may stop the core."""
    said = b'{"status": "completed", "%s": "\\ud800"}' % field.encode()
    end = running(JSON).given(stdout(said)).when(exited(0)).step().consequences[0]
    assert isinstance(end, RunFinished)


def test_a_path_with_a_lone_surrogate_still_ends_the_run() -> None:
    said = b'{"status": "completed", "file_changes": ["a\\udfff.txt"]}'
    end = running(JSON).given(stdout(said)).when(exited(0)).step().consequences[0]
    assert isinstance(end, RunFinished)


def test_output_that_is_not_text_still_ends_the_run() -> None:
    end = running(TEXT).given(stdout(b"\xff\xfe\x00 \xed\xa0\x80")).when(exited(0)).step().consequences[-1]
    assert end == TaskCompleted(run=RUN)


def test_the_fold_of_the_log_is_the_state_that_the_core_had() -> None:
    facts = (claimed(), started(), RUNS, TIMEOUT, CANCEL, exited(0))
    log, story = [], Story()
    for fact in facts:
        step = story.when(fact).step()
        log += [recorded(fact), *(recorded(each) for each in step.consequences)]  # type: ignore[arg-type]
        story = Story(step.state)
    assert fold(log) == story.now
