"""A workflow instance: what its tasks' ends and people's wishes lead to (WF-1 to WF-9)."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec
import pytest

from domain import workflow
from domain.errors import Invalid, WorkflowRefused
from domain.events import Recorded
from domain.ids import keyed_task, text_of
from domain.intake import TaskInput
from domain.payload import Consequence, Payload
from domain.workflow import Made, State, Status
from domain.workflow_events import (
    WorkflowCanceled,
    WorkflowCompleteAsked,
    WorkflowCompleted,
    WorkflowCreated,
    WorkflowEvent,
    WorkflowParked,
    WorkflowRetryAsked,
    WorkflowSignaled,
    WorkflowTaskDropped,
    WorkflowTaskEnded,
    WorkflowTaskWanted,
)
from domain.workflow_template import Template, parse
from tests.domain.test_workflow_template import shipped, small

WORKFLOW = "3c" * 16
NOW_US = 1_700_000_000_123_456  # 2023-11-14T22:13:20.123456Z
SECOND_US = 1_000_000
How = Literal["completed", "permanent_failure", "blocked", "operator_canceled", "refused"]


def recorded(data: Payload, texts: dict[str, bytes] | None = None, at_us: int = NOW_US) -> Recorded:
    event: Any = data
    return Recorded(stream=WORKFLOW, version=1, at_us=at_us, actor="operator", data=event, texts=texts or {})


@dataclass(frozen=True)
class Tale:
    """An instance, its whole log, and what the latest fact led to."""

    now: State
    log: tuple[Recorded, ...]
    led_to: tuple[Consequence, ...]
    texts: dict[str, bytes]

    def happens(self, fact: Made | Payload, *, at_us: int = NOW_US) -> "Tale":
        """This fact is recorded, and what follows from it."""
        made = fact if isinstance(fact, Made) else Made(fact)  # type: ignore[arg-type]  # only facts are told
        return _told(self.now, self.log, recorded(made.event, made.texts, at_us))

    def ends(self, status: How = "completed", signal: str = "", *, at_us: int = NOW_US, **fields: object) -> "Tale":
        """The open task ends."""
        return self.happens(ended(self.now, status, signal, **fields), at_us=at_us)

    def document(self) -> dict[str, Any]:
        """The task input of the task that the latest fact wants."""
        wanted = next(each for each in self.led_to if isinstance(each, WorkflowTaskWanted))
        found: dict[str, Any] = json.loads(self.texts[wanted.document.sha256])
        assert msgspec.convert(found, TaskInput).kind, "it is a task input"
        return found

    def kinds(self) -> list[str]:
        """What followed, by name."""
        return [type(each).__name__.removeprefix("Workflow") for each in self.led_to]


def ended(now: State, status: How = "completed", signal: str = "", **fields: object) -> WorkflowTaskEnded:
    """The end of the latest task, or of another one by its fields."""
    kind = now.here.task.kind if now.here and now.here.task else "none"
    known = {"task": now.task, "state": now.state, "epoch": now.epoch, "kind": kind}
    return msgspec.convert(
        known | {"type": "workflow.task_ended", "status": status, "signal": signal} | fields, WorkflowTaskEnded
    )


def _told(state: State | None, log: tuple[Recorded, ...], fact: Recorded) -> Tale:
    """One step. Its consequences are recorded with the texts that they name, as a store would hand them out."""
    made = workflow.step(state, fact)
    texts = {text_of(content).sha256: content for content in made.texts}
    new = [fact]
    for each in made.consequences:
        named = {field: getattr(each, field) for field in each.TEXTS}
        new.append(recorded(each, {field: texts[text.sha256] for field, text in named.items() if text}, fact.at_us))
    return Tale(made.state, (*log, *new), made.consequences, texts)


def begun(template: Template, *, state: object = "", **context: object) -> Tale:
    assert isinstance(state, str)
    made = workflow.create(template, "key-1", context, state, NOW_US)
    return _told(None, (), recorded(made.event, made.texts))


def goal(**context: object) -> Tale:
    return begun(shipped("goal-loop"), **({"summary": "Ship the new page"} | context))


def verifying(**context: object) -> Tale:
    return goal(**context).ends(signal="plan_ready").ends(signal="execute_ready")


def tiny(path: str = "", value: object = None, **caps: object) -> Template:
    return parse(small(path, value) | {"caps": caps}, "tiny.toml")


# creation


def test_wf1_a_created_instance_wants_the_task_of_its_first_state_and_nothing_else() -> None:
    tale = goal()
    key = f"workflow:{WORKFLOW}:plan:1:1"
    (wanted,) = tale.led_to
    assert isinstance(wanted, WorkflowTaskWanted)
    assert (wanted.task, wanted.state, wanted.epoch, wanted.attempt) == (keyed_task(key), "plan", 1, 1)
    assert (tale.now.status, tale.now.open_task) == (Status.ACTIVE, wanted.task)
    assert tale.document()["idempotency_key"] == key


def test_a_task_says_which_workflow_it_belongs_to() -> None:
    document = goal().document()
    assert document["source"] == f"workflow:{WORKFLOW}:plan"
    named = {name: value for name, value in document["payload"].items() if name.startswith("workflow_")}
    assert named == {
        "workflow_id": WORKFLOW,
        "workflow_template": "goal-loop",
        "workflow_state": "plan",
        "workflow_instance_key": "key-1",
        "workflow_epoch": 1,
    }


def test_wf4_the_base_name_is_made_of_recorded_time_and_summary_and_names_every_artifact() -> None:
    tale = goal()
    base = "2023-11-14T22-13-20.123Z-ship-the-new-page"
    assert tale.now.context["base_name"] == base
    payload = tale.document()["payload"]
    assert payload["proposal_artifact"] == payload["required_artifacts"][0] == f"plans/{base}-plan.md"
    later = tale.ends(signal="plan_ready", at_us=NOW_US + 86_400 * SECOND_US)
    assert later.document()["payload"]["implementation_artifact"] == f"reports/{base}-execute-1.md"
    assert later.document()["payload"]["proposal_artifact"] == payload["proposal_artifact"]


@pytest.mark.parametrize(
    ("context", "base"),
    [
        ({"base_name": "mine", "plan_artifact": "plans/other-plan.md"}, "mine"),
        ({"plan_artifact": "plans/2023-old-plan.md", "summary": "s"}, "2023-old"),
        ({"plan_artifact": "deep/down/custom.md"}, "custom"),
        ({"objective": "The Goal"}, "2023-11-14T22-13-20.123Z-the-goal"),
        ({"summary": "!!!"}, "2023-11-14T22-13-20.123Z-key-1"),
        ({}, "2023-11-14T22-13-20.123Z-key-1"),
    ],
)
def test_wf4_a_given_base_name_counts_first_then_that_of_a_given_plan(context: dict[str, Any], base: str) -> None:
    made = workflow.create(shipped("goal-loop"), "key-1", context, None, NOW_US)
    assert json.loads(made.texts["context"])["base_name"] == base


@pytest.mark.parametrize(
    ("key", "context", "state", "where", "why"),
    [
        ("", {}, "", "workflow.instance_key", "not blank"),
        (" ", {}, "", "workflow.instance_key", "not blank"),
        ("k" * 501, {}, "", "workflow.instance_key", "1 to 500"),
        ("a\0b", {}, "", "workflow.instance_key", "NUL"),
        ("k", {}, "nowhere", "workflow.state", "no state 'nowhere'; there are: plan, execute, verify, complete"),
        ("k", None, "", "workflow.context", "expected an object, got NoneType"),
        ("k", [], "", "workflow.context", "expected an object, got list"),
        ("k", "{}", "", "workflow.context", "expected an object, got str"),
        ("k", {"a": "\0"}, "", "workflow.context.a", "NUL"),
        ("k", {"a": object()}, "", "workflow.context", "not JSON"),
        ("k", {"a": "x" * 256 * 1024}, "", "workflow.context", "at most 262144"),
        ("k", {"base_name": "../up"}, "", "workflow.context.base_name", "no part of a file name"),
        ("k", {"base_name": ".hidden"}, "", "workflow.context.base_name", "no part of a file name"),
        ("k", {"base_name": 7}, "", "workflow.context.base_name", "no part of a file name"),
        ("k", {"base_name": "x" * 201}, "", "workflow.context.base_name", "1 to 200"),
    ],
)
def test_wf7_a_wrong_creation_is_refused_naming_the_field(
    key: str, context: object, state: str, where: str, why: str
) -> None:
    with pytest.raises(Invalid) as caught:
        workflow.create(shipped("goal-loop"), key, context, state, NOW_US)
    assert caught.value.fields["where"] == where
    assert why in str(caught.value)


def test_wf7_an_instance_may_begin_in_any_state_of_its_template() -> None:
    assert goal(state="execute", execution_iteration=4).document()["payload"]["iteration"] == 4
    assert goal(state="complete").kinds() == ["Completed"]


def test_wf5_an_instance_keeps_the_definition_that_it_was_created_with() -> None:
    tale = begun(tiny())
    created = tale.log[0].data
    assert isinstance(created, WorkflowCreated)
    assert created.template_version == created.definition.sha256 == tale.now.template_version
    assert tale.now.definition == tiny()


# whole walks


def test_wf1_a_goal_is_planned_continued_twice_revised_and_completed() -> None:
    tale = goal(objective="One page more", scope=["docs/"])
    walk: list[tuple[str, int, int, str]] = []
    for signal in (
        "plan_ready", "execute_ready", "continue", "execute_ready", "continue", "execute_ready", "revise_plan",
        "plan_ready", "execute_ready",
    ):  # fmt: skip
        tale = tale.ends(signal=signal)
        assert tale.kinds() == ["Transitioned", "TaskWanted"]
        payload = tale.document()["payload"]
        assert payload["workflow_epoch"] == tale.now.epoch
        walk.append((tale.now.state, payload.get("iteration", 0), tale.now.revisions, payload["required_artifacts"][0]))
    base = tale.now.context["base_name"]
    assert walk == [
        ("execute", 1, 0, f"reports/{base}-execute-1.md"),
        ("verify", 1, 0, f"reports/{base}-verify-1.md"),
        ("execute", 2, 0, f"reports/{base}-execute-2.md"),
        ("verify", 2, 0, f"reports/{base}-verify-2.md"),
        ("execute", 3, 0, f"reports/{base}-execute-3.md"),
        ("verify", 3, 0, f"reports/{base}-verify-3.md"),
        ("plan", 0, 1, f"plans/{base}-plan.md"),
        ("execute", 3, 1, f"reports/{base}-execute-3.md"),
        ("verify", 3, 1, f"reports/{base}-verify-3.md"),
    ]
    done = tale.ends(signal="complete")
    assert done.kinds() == ["Transitioned", "Completed"]
    assert done.led_to[-1] == WorkflowCompleted(state="complete", signal="complete")
    assert (done.now.status, done.now.open_task, done.now.epoch) == (Status.COMPLETED, "", 11)


def test_the_goal_loop_hands_out_what_its_phases_need() -> None:
    plan = goal(objective="O", scope=["docs/"], requested_profile="builder", plan_phase_skills=["mine"])
    document = plan.document()
    assert (document["kind"], document["priority"], document["requested_profile"]) == ("goal-plan", 7, "builder")
    assert document["subject"] == "Plan: Ship the new page"
    payload = document["payload"]
    assert (payload["objective"], payload["summary"], payload["phase"]) == ("O", "Ship the new page", "plan")
    assert (payload["scope"], payload["phase_skills"]) == (["docs/"], ["mine"])
    assert len(payload["acceptance_criteria"]) == 4
    assert payload["response_contract"] == {"required_workflow_signal": "plan_ready"}
    assert "accepted_signals" not in payload
    verify = plan.ends(signal="plan_ready").ends(signal="execute_ready").document()
    assert verify["subject"] == "Verify, iteration 1: Ship the new page"
    assert verify["payload"]["accepted_signals"] == ["continue", "complete", "revise_plan"]
    assert verify["payload"]["phase_skills"] == ["review", "verification", "artifact-reporting"]


@pytest.mark.parametrize(
    ("context", "objective"),
    [({"objective": "o", "summary": "s"}, "o"), ({"summary": "s"}, "s"), ({}, "workflow goal")],
)
def test_an_objective_falls_back_to_the_summary_and_then_to_a_fixed_text(
    context: dict[str, Any], objective: str
) -> None:
    tale = begun(shipped("goal-loop"), **context)
    assert tale.document()["payload"]["objective"] == objective
    assert tale.document()["requested_profile"] == "proving-codex"


def test_the_context_remembers_what_moved_it() -> None:
    tale = goal()
    moved = tale.ends(signal="plan_ready")
    added = {name: moved.now.context[name] for name in set(moved.now.context) - set(tale.now.context)}
    assert added == {
        "last_completed_task_id": tale.now.task,
        "last_completed_task_kind": "goal-plan",
        "last_completed_task_at": "2023-11-14T22:13:20.123Z",
        "last_workflow_signal": "plan_ready",
        "execution_iteration": 1,
        "plan_artifact": f"plans/{tale.now.context['base_name']}-plan.md",
    }


def test_community_research_walks_through_its_five_states_on_completed_tasks_alone() -> None:
    tale = begun(shipped("community-research"), slug="Lumen Wiki", topic="a platform")
    seen = []
    while tale.now.status is Status.ACTIVE:
        document = tale.document()
        payload = document["payload"]
        seen.append((tale.now.state, document["kind"], document["priority"], payload["output_path"], payload["focus"]))
        assert {"topic", "operator_goal"} <= payload.keys()
        tale = tale.ends()
    research, wiki = "community-research", "community-wiki"
    assert seen == [
        ("discover-aibtc-basics", research, 6, f"{wiki}/aibtc-basics.md", "platform-basics"),
        ("draft-community-wiki-outline", f"{wiki}-outline", 5, f"{wiki}/lumen-wiki-outline.md", "wiki-outline"),
        (
            "research-wallet-onboarding",
            "wallet-onboarding-research",
            6,
            f"{wiki}/lumen-wallet-onboarding.md",
            "wallet-onboarding",
        ),
        ("draft-wallet-setup-guide", "wallet-setup-guide", 5, f"{wiki}/lumen-wallet-setup-guide.md", "wallet-guide"),
        ("review-and-publish-wiki", f"{wiki}-review", 4, f"{wiki}/review.md", "review"),
    ]
    assert tale.led_to == (WorkflowCompleted(state="review-and-publish-wiki"),)


@pytest.mark.parametrize(
    ("context", "path"),
    [
        ({}, "community-wiki/outline.md"),
        ({"slug": "s"}, "community-wiki/s-outline.md"),
        ({"slug": "s", "outline_path": "o.md"}, "o.md"),
    ],
)
def test_the_outline_lies_where_the_context_says_or_under_its_slug(context: dict[str, Any], path: str) -> None:
    tale = begun(shipped("community-research"), **context).ends()
    assert tale.document()["payload"]["output_path"] == path


def test_wallet_onboarding_walks_through_its_two_states() -> None:
    tale = begun(shipped("wallet-onboarding"))
    first = tale.document()
    assert (first["kind"], first["priority"]) == ("wallet-registration-research", 6)
    assert first["payload"]["sources"] == ["docs/aibtc-platform.md"]
    tale = tale.ends()
    second = tale.document()
    assert (second["kind"], second["priority"]) == ("wallet-checklist-draft", 5)
    assert second["payload"]["checklist_path"] == "community-wiki/lumen-wallet-checklist.md"
    assert tale.ends().kinds() == ["Completed"]


# WF-1: a task counts once


def test_wf1_a_thousand_evaluations_without_a_new_outcome_change_nothing() -> None:
    tale = verifying()
    first = ended(tale.now, signal="continue")
    tale = tale.happens(first)
    state = tale.now
    assert tale.document()["payload"]["iteration"] == 2
    for _ in range(1_000):
        again = workflow.step(state, recorded(first, at_us=NOW_US + 1))
        assert (again.state, again.consequences) == (state, ())


def test_wf1_an_end_counts_for_the_latest_task_of_its_state_entry_only() -> None:
    tale = goal()
    for fields in ({"epoch": 2}, {"state": "execute"}, {"task": "0" * 32}):
        assert tale.ends(signal="plan_ready", **fields).led_to == ()


def test_wf1_the_end_of_a_task_that_was_replaced_is_too_late() -> None:
    tale = begun(tiny())
    first = ended(tale.now)
    retried = tale.ends("blocked")
    assert retried.kinds() == ["TaskWanted"]
    assert retried.happens(first).led_to == ()


# WF-2: signals


@pytest.mark.parametrize("signal", ["", "done", "Continue", "everything is fine"])
def test_wf2_a_missing_or_unknown_signal_asks_twice_more_with_the_issue_and_then_parks(signal: str) -> None:
    tale = verifying()
    for attempt in (2, 3):
        tale = tale.ends(signal=signal)
        assert tale.kinds() == ["TaskWanted"]
        document = tale.document()
        assert document["idempotency_key"].endswith(f":verify:3:{attempt}")
        assert "workflow_signal has to be one of: continue, complete, revise_plan" in document["description"]
        assert (repr(signal) if signal else "named no signal") in document["description"]
    tale = tale.ends(signal=signal)
    assert tale.kinds() == ["Parked"]
    assert (tale.now.status, tale.now.cause, tale.now.state) == (Status.PARKED, "signal_missing", "verify")


def test_wf2_a_signal_that_only_people_may_give_moves_nothing_when_a_task_names_it() -> None:
    template = tiny("states/review/required_signals", ["fine"])
    tale = begun(template).ends().ends(signal="again")
    assert tale.kinds() == ["TaskWanted"]
    assert tale.happens(workflow.transition(tale.now, signal="again")).now.state == "draft"


def test_wf2_a_good_answer_after_a_bad_one_moves_on_and_the_next_state_has_all_its_tries() -> None:
    tale = goal().ends().ends().ends(signal="plan_ready").ends().ends()
    assert (tale.now.state, tale.now.status, tale.now.reasks) == ("execute", Status.ACTIVE, 2)


# WF-3: caps


def test_wf3_the_eleventh_iteration_parks_and_a_person_may_allow_ten_more() -> None:
    tale = verifying()
    for _ in range(9):
        tale = tale.ends(signal="continue").ends(signal="execute_ready")
    assert tale.now.iteration == 10
    tale = tale.ends(signal="continue")
    assert tale.led_to == (
        WorkflowParked(cause="max_iterations", state="verify", message="10 iterations were allowed", signal="continue"),
    )
    tale = tale.happens(workflow.retry(tale.now))
    assert tale.kinds() == ["Unparked", "Transitioned", "TaskWanted"]
    assert (tale.now.state, tale.now.iteration, tale.now.allowed.iterations) == ("execute", 11, 20)


def test_wf3_the_fourth_revision_of_the_plan_parks() -> None:
    tale = verifying()
    for _ in range(3):
        tale = tale.ends(signal="revise_plan").ends(signal="plan_ready").ends(signal="execute_ready")
    tale = tale.ends(signal="revise_plan")
    assert (tale.now.cause, tale.now.revisions, tale.now.iteration) == ("max_revisions", 3, 1)


def test_wf3_an_end_is_reached_whatever_the_caps_say() -> None:
    tale = begun(tiny(wall_s=1, cost_usd=1)).ends()
    assert tale.ends(signal="fine", at_us=NOW_US + 9 * SECOND_US, cost_nusd=10**10).now.status is Status.COMPLETED


@pytest.mark.parametrize("status", ["completed", "blocked"])
def test_wf3_no_further_task_is_wanted_after_the_wall_time(status: How) -> None:
    tale = begun(tiny(wall_s=60))
    assert tale.ends(status, at_us=NOW_US + 60 * SECOND_US - 1).now.open_task
    late = tale.ends(status, at_us=NOW_US + 60 * SECOND_US)
    assert (late.kinds(), late.now.cause, late.now.state) == (["Parked"], "wall_time", "draft")


def test_wf3_no_further_task_is_wanted_when_the_money_is_spent_and_a_person_may_grant_as_much_again() -> None:
    tale = begun(tiny(cost_usd=0.5)).ends("blocked", cost_nusd=300_000_000)
    assert tale.now.open_task
    tale = tale.ends("completed", cost_nusd=200_000_000)
    assert (tale.now.cause, tale.now.message, tale.now.cost_nusd) == ("cost", "0.5 USD were allowed", 500_000_000)
    tale = tale.happens(workflow.retry(tale.now))
    assert (tale.now.state, tale.now.allowed.cost_nusd) == ("review", 1_000_000_000)


def test_wf3_a_loop_that_no_cap_counts_ends_at_the_general_bound() -> None:
    tale = begun(tiny("states/review/signals/again", "draft"))
    for _ in range(2_000):
        tale = replace(tale, log=()).ends(signal="again")
        if tale.now.status is not Status.ACTIVE:
            break
    assert (tale.now.cause, tale.now.epoch) == ("max_epochs", 1_001)


# WF-6: parked, and what a person can do


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ("blocked", "task_blocked"),
        ("permanent_failure", "task_failed"),
        ("operator_canceled", "task_canceled"),
        ("refused", "task_refused"),
    ],
)
def test_wf6_a_phase_of_the_goal_loop_that_fails_parks_with_a_cause(status: How, cause: str) -> None:
    tale = goal().ends(status, cause="attempts_exhausted")
    assert tale.led_to == (WorkflowParked(cause=cause, state="plan", message="attempts_exhausted"),)


@pytest.mark.parametrize("status", ["blocked", "permanent_failure"])
def test_wf9_a_failed_state_is_queued_again_as_often_as_its_template_says(status: How) -> None:
    tale = begun(tiny(state_retry_max=2))
    assert [(tale := tale.ends(status)).kinds() for _ in range(3)] == [["TaskWanted"], ["TaskWanted"], ["Parked"]]
    assert tale.now.attempt == 3


@pytest.mark.parametrize("status", ["operator_canceled", "refused"])
def test_wf9_what_a_person_canceled_or_an_intake_refused_is_not_queued_again(status: How) -> None:
    assert begun(tiny(state_retry_max=2)).ends(status).kinds() == ["Parked"]


def test_wf6_a_retry_wants_the_task_again_with_all_its_tries() -> None:
    tale = begun(tiny(state_retry_max=1)).ends("blocked").ends("blocked")
    tale = tale.happens(workflow.retry(tale.now))
    assert tale.kinds() == ["Unparked", "TaskWanted"]
    assert (tale.now.status, tale.now.attempt, tale.now.retries) == (Status.ACTIVE, 3, 0)
    assert tale.ends("blocked").now.open_task


def test_wf6_a_parked_instance_moves_when_a_person_makes_its_task_succeed_after_all() -> None:
    tale = goal().ends("blocked")
    assert tale.ends("blocked").led_to == ()
    tale = tale.ends("completed", "plan_ready")
    assert tale.kinds() == ["Unparked", "Transitioned", "TaskWanted"]


def test_wf6_a_completed_task_that_parked_its_instance_does_not_count_a_second_time() -> None:
    tale = goal().ends().ends().ends()
    assert tale.now.cause == "signal_missing"
    assert tale.ends(signal="plan_ready").led_to == ()


def test_wf6_a_skip_goes_on_as_if_the_task_had_been_completed() -> None:
    tale = goal().ends("blocked")
    tale = tale.happens(workflow.skip(tale.now))
    assert tale.kinds() == ["Unparked", "Transitioned", "TaskWanted"]
    assert tale.now.state == "execute"


def test_wf6_a_skip_of_a_state_that_completes_on_its_task_completes() -> None:
    tale = begun(shipped("wallet-onboarding")).ends()
    tale = tale.happens(workflow.skip(tale.now))
    assert tale.kinds() == ["TaskDropped", "Completed"]


def test_wf6_a_skip_past_a_cap_takes_the_move_that_was_held_up() -> None:
    tale = begun(tiny(max_iterations=1)).ends().ends(signal="again")
    assert tale.now.cause == "max_iterations"
    assert tale.happens(workflow.skip(tale.now)).now.state == "draft"


def test_wf6_a_skip_with_several_ways_on_has_to_name_one() -> None:
    with pytest.raises(Invalid, match="name one of: complete, continue, revise_plan"):
        workflow.skip(verifying().now)


def test_wf6_only_a_parked_instance_can_be_retried() -> None:
    with pytest.raises(WorkflowRefused, match="only a parked one can be retried"):
        workflow.retry(goal().now)


# WF-7 and WF-8: by hand


@pytest.mark.parametrize("how", ["cancel", "detach"])
def test_wf8_a_manual_transition_cancels_or_detaches_the_open_task(how: Literal["cancel", "detach"]) -> None:
    tale = verifying()
    late = ended(tale.now, signal="complete")
    moved = tale.happens(workflow.transition(tale.now, to="plan", open_task=how))
    assert moved.kinds() == ["TaskDropped", "Transitioned", "TaskWanted"]
    assert moved.led_to[0] == WorkflowTaskDropped(task=late.task, state="verify", epoch=3, how=how)
    assert moved.now.revisions == 1
    assert moved.happens(late).led_to == ()


def test_wf8_a_manual_transition_into_a_terminal_state_completes() -> None:
    tale = verifying()
    tale = tale.happens(workflow.transition(tale.now, to="complete", patch={"note": "by hand"}))
    assert tale.kinds() == ["TaskDropped", "Transitioned", "Completed"]
    assert tale.now.context["note"] == "by hand"


@pytest.mark.parametrize(
    ("wanted", "where", "why"),
    [
        ({"to": "verify"}, "workflow.to", "'verify' is no way on from state 'plan'; there are: execute"),
        ({"to": "nowhere"}, "workflow.to", "there are: execute"),
        ({"signal": "continue"}, "workflow.signal", "there are: plan_ready"),
        ({"signal": "plan_ready", "to": "plan"}, "workflow.to", "there are: execute"),
        ({}, "workflow.to", "there are: execute"),
        ({"to": "execute", "patch": []}, "workflow.context", "expected an object"),
        ({"to": "execute", "patch": {"base_name": "x"}}, "workflow.context.base_name", "cannot be set"),
        ({"to": "execute", "patch": {"a": "x" * 256 * 1024}}, "workflow.context", "at most 262144"),
    ],
)
def test_wf7_a_wrong_transition_is_refused_naming_what_there_is(wanted: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(Invalid) as caught:
        workflow.transition(goal().now, **wanted)
    assert caught.value.fields["where"] == where
    assert why in str(caught.value)


WISHES: dict[str, Callable[[State], Made]] = {
    "transition": lambda state: workflow.transition(state, to="execute"),
    "skip": workflow.skip,
    "retry": workflow.retry,
    "complete": workflow.complete,
    "cancel": workflow.cancel,
}


@pytest.mark.parametrize("verb", WISHES)
@pytest.mark.parametrize("end", [WorkflowCompleteAsked(), WorkflowCanceled(reason="r")], ids=["completed", "canceled"])
def test_wf7_nothing_can_be_wished_of_an_instance_that_is_over(verb: str, end: Payload) -> None:
    tale = goal().happens(end)
    with pytest.raises(Invalid, match="never moves again"):
        WISHES[verb](tale.now)


def test_wf7_a_person_completes_or_cancels_and_the_open_task_is_dropped() -> None:
    tale = goal()
    completed = tale.happens(workflow.complete(tale.now, open_task="detach"))
    assert completed.kinds() == ["TaskDropped", "Completed"]
    canceled = tale.happens(workflow.cancel(tale.now, reason="no longer wanted"))
    assert canceled.led_to == (WorkflowTaskDropped(task=tale.now.task, state="plan", epoch=1, how="cancel"),)
    assert (canceled.now.status, canceled.now.open_task) == (Status.CANCELED, "")


@pytest.mark.parametrize(("reason", "fits"), [("r" * 2_000, True), ("r" * 2_001, False), ("\0", False)])
def test_the_reason_of_a_cancel_is_bounded(reason: str, fits: bool) -> None:  # noqa: FBT001  # a table's column
    if fits:
        assert workflow.cancel(goal().now, reason=reason).event == WorkflowCanceled(reason=reason, open_task="cancel")
    else:
        with pytest.raises(Invalid, match=r"workflow\.reason"):
            workflow.cancel(goal().now, reason=reason)


# what cannot be rendered


def test_a_context_that_cannot_be_rendered_parks_its_instance_and_a_patch_mends_it() -> None:
    template = tiny("states/review/task/subject", "{ctx.summary}")
    tale = begun(template).ends()
    assert tale.kinds() == ["Transitioned", "Parked"]
    assert (tale.now.cause, tale.now.message, tale.now.state) == ("render_failed", "ctx.summary is not given", "review")
    tale = tale.happens(workflow.retry(tale.now, patch={"summary": "now it is"}))
    assert tale.kinds() == ["Unparked", "TaskWanted"]
    assert tale.document()["subject"] == "now it is"


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ({"summary": ["a"]}, "the subject is no text"),
        ({"summary": 7}, "the subject is no text"),
    ],
)
def test_a_context_of_the_wrong_shape_parks_too(context: dict[str, Any], message: str) -> None:
    tale = begun(tiny(), **context)
    assert (tale.now.cause, tale.now.message) == ("render_failed", message)


def test_a_task_beyond_the_bound_of_a_payload_parks() -> None:
    template = tiny("states/draft/task/payload/path", "{ctx.summary}" * 5)
    tale = begun(template, summary="s" * 250_000)
    assert tale.now.cause == "render_failed"
    assert "at most 1048576" in tale.now.message


def test_a_remembered_value_that_grows_without_end_parks_before_the_move_and_can_be_retried() -> None:
    template = tiny("states/draft/remember", {"summary": "{ctx.summary}{ctx.summary}"})
    tale = begun(template, summary="s" * 200_000).ends()
    assert (tale.now.cause, tale.now.state, tale.now.held_up) == ("render_failed", "draft", "ready")
    assert "the context would have" in tale.now.message
    tale = tale.happens(workflow.retry(tale.now, patch={"summary": "short"}))
    assert (tale.now.state, tale.now.context["summary"]) == ("review", "shortshort")


def test_a_long_subject_is_cut_where_it_can_be_seen() -> None:
    subject = begun(tiny(), summary="s" * 600).document()["subject"]
    assert (len(subject), subject[-2:]) == (500, "s…")


@pytest.mark.parametrize(
    "texts",
    [{}, {"definition": b"null", "context": b"null"}, {"definition": b"{}", "context": b"[]"}, {"definition": b"\xff"}],
)
def test_an_instance_whose_definition_cannot_be_read_is_parked_and_stays_so(texts: dict[str, bytes]) -> None:
    made = workflow.create(tiny(), "k", {}, "", NOW_US)
    tale = _told(None, (), recorded(made.event, texts))
    assert (tale.now.status, tale.now.cause, tale.now.context) == (Status.PARKED, "unreadable", {})
    again = tale.happens(WorkflowRetryAsked())
    assert (again.kinds(), again.now.cause) == (["Unparked", "Parked"], "unreadable")


def test_a_context_that_is_null_gives_its_templates_defaults() -> None:
    made = workflow.create(tiny(), "k", {}, "", NOW_US)
    tale = _told(None, (), recorded(made.event, made.texts | {"context": b"null"}))
    assert tale.document()["subject"] == "a draft"


def test_a_signal_that_the_definition_does_not_know_moves_nothing() -> None:
    tale = goal()
    assert tale.happens(WorkflowSignaled(to="nowhere", signal="plan_ready")).led_to == ()
    assert tale.happens(WorkflowSignaled(to="execute", signal="nothing")).led_to == ()


def test_every_event_of_a_workflow_survives_its_json() -> None:
    union: Any = WorkflowEvent
    tale = begun(tiny(max_iterations=1)).ends().ends(signal="again")
    tale = tale.happens(workflow.retry(tale.now)).happens(WorkflowSignaled(to="review", signal="ready"))
    tale = tale.happens(workflow.complete(tale.now))
    seen = {type(each.data) for each in tale.log} | {WorkflowCanceled}
    assert seen == set(union.__args__)
    for each in tale.log:
        assert msgspec.json.decode(msgspec.json.encode(each.data), type=union) == each.data
