"""Who is told what: which rule matches which event, under which key, and that nothing of a run's output is told."""

from typing import Any

import pytest

from domain import notify
from domain.agent_events import ApprovalRequested, BudgetReached
from domain.config import Config
from domain.events import (
    Event,
    Recorded,
    TaskBlocked,
    TaskCanceled,
    TaskCompleted,
    TaskFailed,
    TaskRetryScheduled,
)
from domain.notify import Expiring
from domain.task import Status, Task
from domain.work_config import NotifyConfig
from tests.story import NOW_US, RUN, TASK, text

EVERYTHING = ("approval", "approval_expiring", "blocked", "failed", "budget", "completed")
ASKED = ApprovalRequested(
    call=3, tool="deploy", arguments=text("a"), digest="d1", policy="p", rules=(), kind="approval", expires_at_us=9
)


def config(*rules: NotifyConfig) -> Config:
    return Config(notify=rules)


def rule(**given: Any) -> NotifyConfig:  # noqa: ANN401  # fields of a rule
    return NotifyConfig(**({"on": EVERYTHING, "to": "hook", "id": "r"} | given))


def task(**given: Any) -> Task:  # noqa: ANN401  # fields of a task
    fields: dict[str, Any] = {
        "task": TASK, "version": 2, "status": Status.RUNNING, "kind": "report", "source": "s", "subject": "the weekly",
        "adapter": "", "profile": "it", "priority": 5, "payload": text("b"), "attempts": 1, "max_attempts": 3,
        "epoch": 1, "created_at_us": NOW_US, "updated_at_us": NOW_US, "queued_position": 1,
    }  # fmt: skip
    return Task(**(fields | given))


def event(data: Event, *, version: int = 3) -> Recorded:
    stream = TASK if str(data.__struct_config__.tag).startswith("task.") else RUN
    return Recorded(stream=stream, version=version, at_us=NOW_US, actor="system:d", data=data, correlation=TASK)


TOLD: list[tuple[str, Event, dict[str, Any], str]] = [
    ("completed", TaskCompleted(run=RUN), {"run": RUN}, f"tasks/{TASK[:12]}"),
    ("failed", TaskFailed(run=RUN, cause="exit:64"), {"cause": "exit:64", "run": RUN}, f"tasks/{TASK[:12]}"),
    ("blocked", TaskBlocked(cause="queue_expired"), {"cause": "queue_expired"}, f"tasks/{TASK[:12]}"),
    ("blocked", TaskBlocked(cause="c", run=RUN), {"cause": "c", "run": RUN}, f"tasks/{TASK[:12]}"),
    ("budget", BudgetReached(budget="tokens", limit=10, used=11),
     {"run": RUN, "budget": "tokens", "limit": 10, "used": 11}, f"runs/{RUN[:12]}"),
    ("approval", ASKED, {"run": RUN, "call": 3, "tool": "deploy", "digest": "d1", "expires_at_us": 9},
     f"approvals/{RUN[:12]}/c3"),
]  # fmt: skip


@pytest.mark.parametrize(("on", "data", "more", "path"), TOLD, ids=[each[0] for each in TOLD])
def test_each_kind_of_event_is_told_to_those_who_want_it(on: str, data: Event, more: dict[str, Any], path: str) -> None:
    [found] = notify.notices(config(rule(on=(on,))), task(), event(data))
    common = {"event": on, "task": TASK, "kind": "report", "subject": "the weekly", "profile": "it"}
    assert (found.document, found.path, found.target, found.rule) == (common | more, path, "hook", "r")


@pytest.mark.parametrize(("on", "data", "more", "path"), TOLD, ids=[each[0] for each in TOLD])
def test_who_does_not_want_it_is_not_told(on: str, data: Event, more: dict[str, Any], path: str) -> None:
    others = tuple(each for each in EVERYTHING if each != on)
    assert notify.notices(config(rule(on=others)), task(), event(data)) == [], (more, path)


def test_what_is_no_end_is_told_to_nobody() -> None:
    for data in (TaskCanceled(reason="r"), TaskRetryScheduled(run=RUN, cause="c", backoff_us=1, due_at_us=1)):
        assert notify.notices(config(rule()), task(), event(data)) == []


@pytest.mark.parametrize(
    ("given", "matches"),
    [
        ({}, True),
        ({"profile": "it"}, True),
        ({"profile": "i*"}, True),
        ({"profile": "other"}, False),
        ({"kind": "rep*"}, True),
        ({"kind": "review"}, False),
        ({"kind": "rep*", "profile": "other"}, False),
    ],
)
def test_a_rule_is_for_profiles_and_kinds(given: dict[str, str], matches: bool) -> None:  # noqa: FBT001  # a table's column
    assert bool(notify.notices(config(rule(**given)), task(), event(TaskCompleted(run=RUN)))) is matches


def test_each_rule_tells_for_itself_and_the_same_event_has_the_same_key() -> None:
    """Keys are what makes a repetition no second message."""
    of = config(rule(id="a"), rule(id="b", to="other"), rule(id=""))
    first, again = (notify.notices(of, task(), event(TaskCompleted(run=RUN))) for _ in range(2))
    assert first == again
    assert [(each.rule, each.target) for each in first] == [("a", "hook"), ("b", "other"), ("2", "hook")]
    assert len({each.key for each in first}) == 3
    later = notify.notices(of, task(), event(TaskCompleted(run=RUN), version=7))
    assert not {each.key for each in later} & {each.key for each in first}


def test_an_approval_is_told_before_it_expires_and_not_earlier() -> None:
    of, expires_us = config(rule(before_s=60.0)), NOW_US + 100_000_000
    approval = Expiring(RUN, 2, expires_us)
    assert notify.expiring(of, task(), approval, expires_us - 60_000_001) == []
    [found] = notify.expiring(of, task(), approval, expires_us - 60_000_000)
    assert found.document["expires_at_us"] == expires_us
    assert (found.document["event"], found.document["run"], found.document["call"]) == ("approval_expiring", RUN, 2)
    [later] = notify.expiring(of, task(), approval, expires_us - 1)
    assert later.key == found.key


def test_a_new_deadline_is_told_again() -> None:
    of = config(rule())
    first, second = (notify.expiring(of, task(), Expiring(RUN, 1, NOW_US + at), NOW_US) for at in (1, 2))
    assert first[0].key != second[0].key


def test_an_expiring_approval_is_told_to_those_alone_who_want_it() -> None:
    of = config(rule(on=("approval",)))
    assert notify.expiring(of, task(), Expiring(RUN, 1, NOW_US), NOW_US) == []
