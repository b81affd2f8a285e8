"""The names under which an older runtime's clients know two events that are ours under one name with a field."""

from pathlib import Path

import msgspec
import pytest

from commands.api import old_words
from domain.events import Recorded, RunStarted, TaskRetryScheduled
from domain.payload import AdapterChoice, Probed
from domain.workflow_events import WorkflowParked
from tests.adapters.representatives import REPRESENTATIVES


def named(data: RunStarted | TaskRetryScheduled | WorkflowParked) -> str:
    event = Recorded(stream="a", version=1, at_us=1, actor="system:x", data=data)
    assert old_words.item(event)["event_type"] == old_words.name(event)
    return old_words.name(event)


@pytest.mark.parametrize(("refunded", "name"), [(True, "rate_limit_rescheduled"), (False, "task_retry_scheduled")])
def test_a_retry_that_gives_the_attempt_back_is_a_rate_limit_of_theirs(refunded: bool, name: str) -> None:  # noqa: FBT001
    assert named(TaskRetryScheduled(run="r", cause="c", backoff_us=1, due_at_us=2, refunded=refunded)) == name


def test_a_run_of_another_adapter_than_wanted_is_a_fallback_of_theirs() -> None:
    [started] = [each.data for each in REPRESENTATIVES if isinstance(each.data, RunStarted)]
    choice = AdapterChoice("codex", "other", (Probed("codex", ok=False, reason="gone"), Probed("other", ok=True)))
    assert named(msgspec.structs.replace(started, choice=choice)) == "adapter_fallback_used"
    assert named(msgspec.structs.replace(started, choice=None)) == "bundle_compiled"


THEIRS = frozenset((
    *("task_enqueued", "task_claimed", "bundle_compiled", "task_attempt_finished", "task_finished"),
    *("task_retry_scheduled", "rate_limit_rescheduled", "task_operator_canceled", "adapter_fallback_used"),
    *("boot_sweep_reclaimed", "dispatch_pause_enabled", "dispatch_pause_cleared", "schedule_upserted"),
    *("schedule_task_created", "sensor_event_recorded", "sensor_event_deduped", "workflow_transitioned"),
    *("workflow_completed", "workflow_completed_from_task", "workflow_task_created"),
    *("workflow_state_operator_canceled", "workflow_state_retry_limit_reached"),
    "workflow_state_requeued_after_failure",
))  # fmt: skip
NEVER_TOLD = frozenset((
    *("dispatch_lock_stale_cleared", "dispatch_paused", "dispatch_idle", "sensor_workflow_created"),
    *("sensor_workflow_deduped", "sensor_task_created", "workflow_unknown_template", "workflow_state_retry_disabled"),
))  # fmt: skip


def test_every_name_of_theirs_is_told_or_is_documented_as_never_told() -> None:
    fields = {"task_canceled": 1, "task_failed": 1, "cost": 1}
    parked = [WorkflowParked(cause=cause, state="s") for cause in fields]
    events = [msgspec.structs.replace(each, actor=actor) for each in REPRESENTATIVES for actor in ("system:x", "op:y")]
    [started] = [each.data for each in REPRESENTATIVES if isinstance(each.data, RunStarted)]
    retried = TaskRetryScheduled(run="r", cause="c", backoff_us=1, due_at_us=2)
    more: tuple[RunStarted | TaskRetryScheduled | WorkflowParked, ...] = (
        *parked,
        *(msgspec.structs.replace(started, choice=choice) for choice in (None, AdapterChoice("a", "b", ()))),
        *(msgspec.structs.replace(retried, refunded=refunded) for refunded in (True, False)),
    )
    events += [Recorded(stream="a", version=1, at_us=1, actor="system:x", data=data) for data in more]
    told = {old_words.name(event) for event in events}
    assert THEIRS - told == set()
    assert told & NEVER_TOLD == set()
    text = (Path(__file__).parents[2] / "docs/compatibility.md").read_text()
    assert [each for each in sorted(NEVER_TOLD) if f"`{each}`" not in text] == []


@pytest.mark.parametrize(
    ("cause", "name"),
    [
        ("task_canceled", "workflow_state_operator_canceled"),
        ("task_failed", "workflow_state_retry_limit_reached"),
        ("task_blocked", "workflow_state_retry_limit_reached"),
        ("cost", "workflow_parked"),
    ],
)
def test_why_an_instance_stands_still_is_in_their_name_of_it(cause: str, name: str) -> None:
    assert named(WorkflowParked(cause=cause, state="s")) == name


def test_an_adapter_that_was_wanted_and_taken_is_no_fallback() -> None:
    [started] = [each.data for each in REPRESENTATIVES if isinstance(each.data, RunStarted)]
    assert named(msgspec.structs.replace(started, choice=AdapterChoice("a", "a", ()))) == "bundle_compiled"
