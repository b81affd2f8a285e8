"""The controller program: goal, decision, tools, output, decision again; told as sentences."""

from typing import Any

from domain import agents
from domain.agent_config import (
    BudgetsConfig,
    ControllerConfig,
    LimitsConfig,
    PolicyConfig,
    ProfileConfig,
    ToolConfig,
)
from domain.agent_events import (
    ApprovalRequested,
    BudgetReached,
    CallRefused,
    CallSettled,
    ControllerAsked,
    DecisionMade,
)
from domain.config import Config
from domain.events import (
    CancelRequested,
    RunCancelAsked,
    RunFinished,
    RunOwnerLost,
    TaskBlocked,
    TaskClaimed,
    TaskCompleted,
    TaskFailed,
    TaskParked,
    TaskResumed,
    TimerFired,
    ToolCallRequested,
    ToolExited,
    ToolStarted,
)
from domain.run import next_timer
from domain.run_state import Status
from tests.agents import ALLOW, CALL, answer, approved, begun, config, edited, mind, printed, rejected, resumed, started
from tests.story import NOW_US, RUN, Story, claimed

TOOL = {"type": "tool", "calls": [{"tool": "local-process", "input": {"command": "serve", "args": ["--port", "1"]}}]}
RULES = config(controller="rules", policies=[ALLOW])
FREE = config(policies=[ALLOW])
STARTED = ToolStarted(call=1, pid=7, start_ticks=8, boot_id="b")


def kinds(made: Any) -> list[type]:  # noqa: ANN401  # consequences
    return [type(each) for each in made]


def running(of: Any = RULES) -> Story:  # noqa: ANN401  # a configuration
    return begun(of, calls=(CALL,)).given(STARTED)


def exited(call: int = 1, code: int | None = 0, signal: str = "") -> ToolExited:
    return ToolExited(call=call, duration_us=5, exit_code=code, signal=signal)


def test_a_rules_run_starts_the_call_that_its_task_names_in_the_same_put() -> None:
    from domain.run import step

    state = Story().given(claimed()).state
    made: Any = step(state, started(RULES, calls=(CALL,))).consequences
    assert kinds(made) == [DecisionMade, ToolCallRequested]
    assert made[0].triggers == ("start",)
    assert made[0].rule == "start"


def test_an_urgent_line_cancels_the_call_and_its_end_ends_the_run() -> None:
    story = running().when(printed(b"boring\nTraceback (most recent call last):\n  x\nKeyError: 'a'\n"))
    made = story.made()
    assert kinds(made) == [DecisionMade, CancelRequested]
    assert made[0].path == "fast"
    assert made[0].triggers == ("urgent:traceback (most recent call last)@c1",)
    story = running().given(printed(b"Traceback (most recent call last):\n  x\nKeyError: 'a'\n"))
    ended = story.when(exited(signal="SIGTERM", code=None)).step()
    assert kinds(ended.consequences) == [RunFinished, TaskFailed]
    assert b"KeyError: 'a'" in ended.texts[-1]


def test_a_milestone_finishes_the_run_after_the_call_has_ended() -> None:
    story = running().given(printed(b"listening on 1234\n"))
    assert [call.cancel for call in story.now.calls] == ["finish"]
    assert kinds(story.when(exited(signal="SIGTERM", code=None)).made()) == [RunFinished, TaskCompleted]


def test_a_command_whose_text_contains_the_phrase_is_not_canceled() -> None:
    from domain.setup import Wanted

    call = Wanted("local-process", {"command": "echo", "args": ["Traceback (most recent call last):"]})
    story = begun(RULES, calls=(call,)).given(STARTED).when(printed(b"fine\n"))
    assert story.made() == ()


def test_a_model_is_asked_with_the_digest_of_the_exact_request() -> None:
    story = begun(FREE)
    question = mind(story.now).question
    assert question.ask == 1
    made = story.when(answer(story, TOOL)).made()
    assert kinds(made) == [DecisionMade, ToolCallRequested]
    decision = made[0]
    assert isinstance(decision, DecisionMade)
    assert (decision.ask, decision.calls, decision.request) == (1, (2,), question.request)


def test_triggers_that_come_meanwhile_lead_to_one_step_that_names_them_all_and_stays_urgent() -> None:
    story = begun(FREE)
    story = story.given(answer(story, TOOL)).given(ToolStarted(call=2, pid=7, start_ticks=8, boot_id="b"))
    story = story.given(printed(b"listening on 1\n", call=2))
    assert mind(story.now).question.path == "slow"
    story = story.given(printed(b"fatal: no\n", call=2), printed(b"listening on 2\n", call=2))
    made = story.when(answer(story, {"type": "wait"})).made()
    assert kinds(made) == [DecisionMade, ControllerAsked]
    assert isinstance(made[1], ControllerAsked)
    assert made[1].path == "fast"
    assert made[1].triggers == ("urgent:fatal:@c2", "milestone:listening on@c2")


def test_a_tool_decision_on_the_fast_path_is_refused_and_asked_again() -> None:
    story = begun(FREE)
    story = story.given(answer(story, TOOL)).given(ToolStarted(call=2, pid=7, start_ticks=8, boot_id="b"))
    story = story.given(printed(b"fatal: no\n", call=2))
    made = story.when(answer(story, TOOL)).made()
    assert kinds(made) == [DecisionMade]
    assert made[0].refused == "not_on_the_fast_path: tool"
    story = story.given(answer(story, TOOL))
    timer = next_timer(story.now)
    assert timer is not None
    assert timer.timer.startswith("retry:")
    assert kinds(story.when(TimerFired(timer=timer.timer, due_us=timer.due_us)).made()) == [ControllerAsked]


def test_an_answer_that_never_comes_ends_as_controller_failed() -> None:
    story = begun(FREE)
    for _ in range(3):
        story = story.given(answer(story, "", cause="timeout"))
        timer = next_timer(story.now)
        assert timer is not None
        story = story.given(TimerFired(timer=timer.timer, due_us=timer.due_us))
    made = story.when(answer(story, "garbage")).made()
    assert kinds(made) == [DecisionMade, BudgetReached, RunFinished, TaskBlocked]
    assert made[-1].cause == "controller_failed"


def test_what_a_policy_asks_for_parks_the_run_and_an_approval_lets_it_go_on() -> None:
    story = begun()
    made = story.when(answer(story, TOOL)).made()
    assert kinds(made) == [DecisionMade, ApprovalRequested, TaskParked]
    story = story.given(answer(story, TOOL))
    assert story.now.status is Status.WAITING_FOR_APPROVAL
    assert kinds(story.when(approved(story, 2)).made()) == [TaskResumed]
    story = story.given(approved(story, 2))
    story = story.given(TaskClaimed(run=RUN, epoch=2, attempt=1, max_attempts=3, dispatcher="d2", resumed=True))
    assert story.now.status is Status.RUNNING
    assert kinds(story.when(resumed()).made()) == [ToolCallRequested]


def claimed_again(story: Story) -> Story:
    return story.given(TaskClaimed(run=RUN, epoch=2, attempt=1, max_attempts=3, dispatcher="d2", resumed=True))


def test_what_was_approved_and_is_denied_by_now_is_not_executed() -> None:
    story = begun()
    story = story.given(answer(story, TOOL))
    story = claimed_again(story.given(approved(story, 2)))
    deny = config(policies=[PolicyConfig(id="no", effect="deny", tool="local-process", reason="not today")])
    made = story.when(resumed(deny)).made()
    assert kinds(made) == [CallRefused, ControllerAsked]
    assert made[0].cause == "denied"


def test_another_policy_that_asks_needs_another_yes() -> None:
    story = begun()
    story = story.given(answer(story, TOOL))
    story = claimed_again(story.given(approved(story, 2)))
    ask = config(policies=[PolicyConfig(id="hm", effect="ask", tool="local-process")])
    assert kinds(story.when(resumed(ask)).made()) == [ApprovalRequested, TaskParked]


def test_a_rejection_is_told_to_the_controller_with_its_reason() -> None:
    story = begun()
    story = story.given(answer(story, TOOL))
    story = claimed_again(story.given(rejected(story, 2, "too risky")))
    step = story.when(resumed()).step()
    assert kinds(step.consequences) == [CallRefused, ControllerAsked]
    assert b"too risky" in step.texts[-1]


def test_an_edit_is_executed_as_edited() -> None:
    story = begun()
    story = story.given(answer(story, TOOL))
    story = claimed_again(story.given(edited(story, 2, {"command": "serve", "args": ["--port", "2"]})))
    step = story.when(resumed()).step()
    assert kinds(step.consequences) == [ToolCallRequested]
    assert b'"--port","2"' in step.texts[-1]


def test_a_budget_of_decisions_ends_the_run_visibly() -> None:
    story = begun(config(budgets=BudgetsConfig(decisions=1), policies=[ALLOW]))
    story = story.given(answer(story, TOOL)).given(ToolStarted(call=2, pid=7, start_ticks=8, boot_id="b"))
    made = story.when(exited(2)).made()
    assert kinds(made) == [BudgetReached, RunFinished, TaskBlocked]
    assert made[2].cause == "budget:decisions"


def test_a_lost_idempotent_call_is_repeated_and_a_once_call_waits_for_a_person() -> None:
    story = running()
    lost = RunOwnerLost(dispatcher="d1", cause="dispatcher_died")
    made = story.when(lost).made()
    assert kinds(made) == [TaskParked]
    assert made[0].cause == "needs_reconcile"


def test_a_cancel_withdraws_what_waits() -> None:
    story = begun()
    story = story.given(answer(story, TOOL))
    made = story.when(RunCancelAsked(reason="enough")).made()
    assert [type(each).__name__ for each in made] == ["ApprovalClosed", "RunFinished", "TaskCanceled"]


def test_cost_is_reserved_and_settled() -> None:
    story = begun(FREE)
    reserved = mind(story.now).tokens
    assert reserved > 2048
    story = story.given(answer(story, TOOL, usage=(100, 20)))
    assert mind(story.now).tokens == 120


def test_silence_is_a_trigger() -> None:
    story = begun(FREE)
    story = story.given(answer(story, TOOL)).given(ToolStarted(call=2, pid=7, start_ticks=8, boot_id="b"))
    timer = next_timer(story.now)
    assert timer is not None
    assert (timer.timer, timer.due_us) == ("silence:2", NOW_US + 30_000_000)
    made = story.when(TimerFired(timer="silence:2", due_us=timer.due_us)).made()
    assert kinds(made) == [ControllerAsked]
    assert made[0].path == "fast"


def test_a_lost_call_is_not_repeated_without_a_yes_where_the_policy_asks_by_now() -> None:
    story = begun(FREE)
    story = story.given(answer(story, TOOL)).given(ToolStarted(call=2, pid=7, start_ticks=8, boot_id="b"))
    story = story.given(RunOwnerLost(dispatcher="d1", cause="dispatcher_died"), CallSettled(call=2, happened=False))
    ask = config(policies=[PolicyConfig(id="hm", effect="ask", tool="local-process")])
    assert ApprovalRequested in kinds(claimed_again(story).when(resumed(ask)).made())


def test_a_model_is_asked_on_the_slow_path_once_nothing_runs_any_more() -> None:
    story = begun(FREE)
    story = story.given(answer(story, TOOL)).given(ToolStarted(call=2, pid=7, start_ticks=8, boot_id="b"))
    made = story.when(exited(2)).made()
    assert [each.path for each in made] == ["slow"]


def test_rules_do_not_call_a_goal_completed_that_a_model_was_still_working_on() -> None:
    story = begun(FREE)
    story = story.given(answer(story, TOOL)).given(ToolStarted(call=2, pid=7, start_ticks=8, boot_id="b"))
    story = story.given(exited(2))
    for _ in range(3):
        story = story.given(answer(story, "no decision"))
        timer = next_timer(story.now)
        assert timer is not None
        story = story.given(TimerFired(timer=timer.timer, due_us=timer.due_us))
    assert TaskCompleted not in kinds(story.when(answer(story, "no decision")).made())


def test_the_line_that_an_end_rests_on_may_come_after_the_decision() -> None:
    story = running().given(printed(b"Traceback (most recent call last):\n"))
    story = story.given(printed(b"  File \"x\"\nKeyError: 'late'\n", offset=35))
    assert b"KeyError: 'late'" in story.when(exited(signal="SIGTERM", code=None)).step().texts[-1]


def test_many_short_calls_leave_the_output_of_the_latest_in_the_window() -> None:
    story, call = begun(FREE), 0
    for _ in range(30):
        story = story.given(answer(story, TOOL))
        call = mind(story.now).calls
        story = story.given(ToolStarted(call=call, pid=7, start_ticks=8, boot_id="b"))
        story = story.given(printed(b"line of call %d\n" % call, call=call), exited(call))
    shown = [entry.text for entry in mind(story.now).entries if entry.kind == "output"]
    assert shown[-1] == f"line of call {call}\n"
    assert len(shown) > 20


def test_a_limit_of_cost_stops_a_run_whose_cost_nobody_knows() -> None:
    made = Story().given(claimed()).when(started(config(budgets=BudgetsConfig(cost_usd=1), policies=[ALLOW]))).made()
    assert kinds(made) == [BudgetReached, RunFinished, TaskBlocked]
    assert made[0].budget == "cost"


def test_a_decision_names_the_oldest_output_that_is_still_in_its_window() -> None:
    small = LimitsConfig(window_bytes=1_024)
    story = begun(config(controller="rules", policies=[ALLOW], limits=small), calls=(CALL,)).given(STARTED)
    for number in range(10):
        story = story.given(printed(b"%0300d\n" % number))
    (decision, _) = story.when(printed(b"fatal: no\n")).made()
    assert (decision.window.first, decision.window.last) == (8, 11), "three of 301 bytes fit beside the last line"


def test_what_is_relative_in_the_configuration_is_meant_from_its_folder() -> None:
    of = Config(
        controllers={"it": ControllerConfig(kind="command", argv=("./decide", "./x"))},
        tools={"t": ToolConfig(kind="local-process", working_dir="w")},
        profiles={"it": ProfileConfig(controller="it", tools=("t",))},
    )
    made = agents.setup(of, "it", agents.Given(goal="g", cwd="/elsewhere", folder="/home/rt"))
    assert made.controller.argv == ("/home/rt/./decide", "./x")
    assert made.tools[0].cwd == "/home/rt/w"
