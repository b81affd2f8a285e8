"""What a run wants done next: made with its end where that is allowed, refused by name where it is not (OU-9)."""

import json
from typing import Any

import pytest

from domain.bounds import FOLLOW_UP_DEPTH_MAX, FOLLOW_UPS_MAX
from tests.commands.place import Place

TASK: dict[str, Any] = {"kind": "next", "source": "run", "payload": {"objective": "more"}, "priority": 8}


def config(place: Place, more: str = "", *, allowed: str = "true") -> Place:
    if not place.state.exists():
        place.ok("init")
    return place.config(
        f'default_profile = "it"\ndefault_adapter = "helper"\n{more}\n[adapters.helper]\ncommand = "./helper"\n'
        f'[profiles.it]\nprogram = "one_shot"\nfollow_up_tasks = {allowed}\n'
        '[profiles.other]\nprogram = "one_shot"\n'
    )


def wants(place: Place, *tasks: dict[str, Any], status: str = "completed", always: bool = False) -> None:
    """Let the first run, or every one, want these tasks."""
    plain = json.dumps({"status": "completed", "operator_summary": "s"})
    (place.folder / "plain").write_text(plain)
    (place.folder / "outcome").write_text(json.dumps(json.loads(plain) | {"status": status, "follow_up_tasks": tasks}))
    rest = "cat outcome" if always else "if [ -e ran ]; then cat plain; else touch ran; cat outcome; fi"
    place.script("helper", f"#!/bin/sh\n{rest}\n")
    place.ok("intake", "--kind", "first", "--payload", '{"objective": "x"}', "--attempts", "1")


def work(place: Place) -> None:
    place.ok("work", "--until-idle")


def tasks(place: Place, kind: str = "next") -> list[dict[str, Any]]:
    return place.rows("task", "list", "--kind", kind, "--limit", "100")


def test_what_is_wanted_next_is_made_with_the_end_and_run(place: Place) -> None:
    """OU-9, LC-4: in the finishing transaction, with its cause."""
    config(place)
    wants(place, TASK, TASK | {"kind": "next", "subject": "second", "priority": 9})
    work(place)
    made = tasks(place)
    assert [(task["status"], task["priority"]) for task in made] == [("completed", 9), ("completed", 8)]
    topics = place.topics()
    end = topics.index("task.completed.v1")
    assert topics[end - 1 : end + 3] == ["run.finished.v1", "task.completed.v1", "task.queued.v1", "task.queued.v1"]
    query = "SELECT caused_by FROM events WHERE topic = 'task.queued.v1' ORDER BY position"
    assert place.json("sql", query)["rows"][1:] == [[end + 1], [end + 1]]
    origins = [each["origin"] for each in place.events("task.queued.v1")[1:]]
    assert {(each["kind"], each["depth"]) for each in origins} == {("follow_up", 1)}
    place.ok("log", "verify")
    assert place.ok("replay", "--all").text.startswith("3 of 3 runs identical\n")


@pytest.mark.parametrize("status", ["permanent_failure", "blocked", "retryable_failure"])
def test_only_a_completed_run_has_follow_ups(place: Place, status: str) -> None:
    config(place)
    wants(place, TASK, status=status)
    work(place)
    assert tasks(place) == []


def test_a_profile_that_allows_none_has_none_and_says_so(place: Place) -> None:
    """OU-9."""
    config(place, allowed="false")
    wants(place, TASK, TASK)
    work(place)
    assert tasks(place) == []
    [refused] = place.events("outbox.refused.v1")
    assert (refused["what"], refused["count"]) == ("follow_up", 2)
    assert "the profile 'it' allows no follow-up tasks" in refused["reason"]
    assert place.rows("task", "list")[0]["status"] == "completed"


def test_follow_ups_of_follow_ups_end(place: Place) -> None:
    """OU-9: a run that always wants another one stops at its depth."""
    config(place)
    wants(place, TASK, always=True)
    work(place)
    assert len(tasks(place)) == FOLLOW_UP_DEPTH_MAX
    [refused] = place.events("outbox.refused.v1")
    assert f"depth {FOLLOW_UP_DEPTH_MAX}" in refused["reason"]
    place.ok("replay", "--all")


def test_too_many_follow_ups_are_counted(place: Place) -> None:
    """OU-9."""
    config(place)
    wants(place, *[TASK | {"subject": str(at)} for at in range(FOLLOW_UPS_MAX + 3)])
    work(place)
    assert len(tasks(place)) == FOLLOW_UPS_MAX
    [refused] = place.events("outbox.refused.v1")
    assert (refused["count"], refused["reason"]) == (3, f"at most {FOLLOW_UPS_MAX} of one run")


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("a command", {"payload": {"argv": ["true"]}}, "payload.argv is not accepted from a follow-up"),
    ("a line for the shell", {"payload": {"shell": "true"}}, "payload.shell is not accepted from a follow-up"),
    ("calls", {"payload": {"calls": []}}, "payload.calls is not accepted from a follow-up"),
    ("an unknown adapter", {"requested_adapter": "codex"}, "no adapter 'codex'"),
    ("an unknown profile", {"requested_profile": "nobody"}, "nobody"),
]


@pytest.mark.parametrize(("fields", "why"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_one_that_is_refused_is_named_and_the_others_are_made(place: Place, fields: dict[str, Any], why: str) -> None:
    """OU-2b, OU-9: the end of the task stands."""
    config(place)
    wants(place, TASK | fields, TASK)
    work(place)
    assert [task["status"] for task in tasks(place)] == ["completed"]
    [refused] = place.events("outbox.refused.v1")
    assert why in refused["reason"]
    assert tasks(place, "first")[0]["status"] == "completed"


def test_commands_come_from_a_run_only_where_the_configuration_says_so(place: Place) -> None:
    """OU-2b."""
    config(place, 'allow_argv_from = ["follow_up"]')
    wants(
        place, TASK | {"payload": {"argv": ["touch", "made"], "cwd": str(place.folder)}, "requested_adapter": "command"}
    )
    work(place)
    assert (place.folder / "made").exists()


def test_a_follow_up_cannot_say_whose_task_it_is(place: Place) -> None:
    config(place)
    wants(place, TASK | {"parent_run": "9" * 32, "thread": "mine", "idempotency_key": "mine"})
    work(place)
    [made] = place.events("task.queued.v1")[1:]
    assert not {"parent_run", "thread"} & made.keys()
    again = place.json("intake", "--key", "mine", "--kind", "k", "--payload", '{"objective": "x"}')
    assert again["deduplicated"] is False


def test_a_follow_up_is_of_the_profile_that_it_names(place: Place) -> None:
    config(place)
    wants(place, TASK | {"requested_profile": "other"}, always=True)
    work(place)
    assert [task["profile"] for task in tasks(place)] == ["other"]
    assert "'other' allows no follow-up tasks" in place.events("outbox.refused.v1")[0]["reason"]


def test_the_same_end_is_never_followed_twice(place: Place) -> None:
    """LC-3: a dispatcher that is killed right after it cannot make them again."""
    config(place)
    wants(place, TASK)
    place.ok("run-once")
    first = [event["payload"] for event in place.events("task.queued.v1")]
    work(place)
    work(place)
    assert len(first) == len(place.events("task.queued.v1")) == 2


def test_a_task_that_nobody_claims_in_time_is_blocked_with_its_cause(place: Place) -> None:
    """IN-1, LC-1: and another one that was claimed in time is not."""
    config(place)
    place.script("helper", '#!/bin/sh\necho \'{"status": "completed", "operator_summary": "s"}\'\n')
    late = place.json("intake", json.dumps(TASK | {"queue_max_wait_seconds": 0.001}))["task_id"]
    good = place.json("intake", json.dumps(TASK | {"queue_max_wait_seconds": 3600}))["task_id"]
    work(place)
    assert (place.task(late)["status"], place.task(late)["cause"]) == ("blocked", "queue_expired")
    assert place.task(good)["status"] == "completed"
    place.ok("unblock", late)
    work(place)
    assert place.task(late)["status"] == "completed"
