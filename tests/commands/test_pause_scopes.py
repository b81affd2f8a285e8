"""`rt pause --scope`: what rests, what ends, and what is said of it. The same through HTTP lies with the API."""

import json
from typing import Any

import pytest

from tests.commands.place import FAST_RETRY, Place, finished, interrupt, is_running, until

SCHEDULE = {"name": "s", "task": {"kind": "k", "payload": {"argv": ["true"]}}, "interval_seconds": 3600}


def running(place: Place) -> tuple[str, int]:
    """A task that sleeps for a minute, and its process; once a dispatcher works."""
    pid = place.folder / "pid"
    until(lambda: pid.exists() and pid.read_text().strip())
    return place.json("run", "show", "@last")["task"], int(pid.read_text())


def sleeping(place: Place) -> str:
    return place.queue("sh", "-c", "echo $$ > pid; exec sleep 60", options=("--attempts", "3"))


def paused(place: Place) -> list[dict[str, Any]]:
    return place.events("dispatcher.paused.v1")


def test_op2_stop_ends_what_runs_and_holds_the_rest(place: Place) -> None:
    place.config(FAST_RETRY)
    task = sleeping(place)
    with place.started("work", "--concurrency", "1") as process:
        _, pid = running(place)
        other = place.queue("touch", "never")
        answer = place.json("--actor", "ann", "pause", "--scope", "stop", "--reason", "the disk smells")
        assert (answer["paused"], answer["changed"]) == (True, True)
        until(lambda: place.task(task)["status"] != "running")
        assert not is_running(pid)
        assert (place.task(task)["status"], place.task(other)["status"]) == ("operator_canceled", "pending")
        interrupt(process)
        finished(process)
    assert place.rt("run-once", "--json").document["status"] == "paused"
    assert not (place.folder / "never").exists()
    place.ok("resume")
    place.ok("work", "--until-idle")
    assert (place.task(task)["status"], place.task(other)["status"]) == ("operator_canceled", "completed")
    assert place.ok("replay", "--all").text.startswith("2 of 2 runs identical")


def test_op2_a_pause_is_an_event_with_actor_scope_and_reason(place: Place) -> None:
    place.queue("true")
    place.ok("--actor", "ann", "pause", "--scope", "stop", "--reason", "the disk smells")
    [event] = paused(place)
    assert (event["scope"], event["reason"]) == ("stop", "the disk smells")
    [row] = [each for each in place.rows("log", "tail") if each["topic"] == "dispatcher.paused.v1"]
    assert row["actor"] == "operator:ann"


def test_op2_what_is_to_run_at_once_is_refused_while_claims_are_paused(place: Place) -> None:
    place.ok("init")
    place.ok("pause", "--reason", "the disk smells")
    head = place.head()
    refused = place.rt("do", "--json", "--", "touch", "never")
    assert (refused.code, json.loads(refused.errors.splitlines()[-1])["error"]["code"]) == (5, "dispatch.paused")
    assert "the disk smells" in refused.errors
    assert (place.head(), (place.folder / "never").exists()) == (head, False)
    place.ok("resume")
    place.ok("do", "--", "touch", "now")
    assert (place.folder / "now").exists()


def test_op2_while_claims_are_paused_no_model_is_asked_who_would_serve_a_goal(place: Place) -> None:
    place.config(
        '[models.gone]\nbase_url = "http://127.0.0.1:1/v1"\nname = "m"\nprivate = true\n[routing]\nmodel = "gone"\n'
    )
    place.ok("intake", "--", "true")
    place.ok("pause")
    for argv in (("do", "a goal", "--agent", "auto"), ("reply", "t", "a goal")):
        assert place.rt(*argv, "--json").error["code"] == "dispatch.paused"


def test_op2_claiming_is_the_default_and_what_runs_goes_on(place: Place) -> None:
    task = place.queue("sh", "-c", "touch begun; while [ ! -e go ]; do sleep 0.02; done")
    with place.started("work") as process:
        until((place.folder / "begun").exists)
        place.ok("pause")
        assert place.task(task)["status"] == "running"
        (place.folder / "go").touch()
        until(lambda: place.task(task)["status"] == "completed")
        interrupt(process)
        finished(process)
    assert paused(place)[0].get("scope", "claiming") == "claiming"


def test_op2_with_stop_schedules_rest_too_and_are_coalesced_on_resume(place: Place) -> None:
    place.ok("schedule", "create", json.dumps(SCHEDULE | {"interval_seconds": 1}))
    place.ok("pause", "--scope", "stop")
    place.ok("run-once")
    place.ok("schedule", "list")
    assert place.events("task.queued.v1") == []
    place.ok("resume")
    place.ok("run-once")
    assert len(place.events("task.queued.v1")) == 1


@pytest.mark.parametrize("wider", ["feeders", "stop"])
def test_op2_who_pauses_more_than_is_paused_is_heard(place: Place, wider: str) -> None:
    place.ok("schedule", "create", json.dumps(SCHEDULE))
    place.ok("pause", "--reason", "first")
    answer = place.json("pause", "--scope", wider, "--reason", "then more")
    assert answer["changed"]
    assert [each["reason"] for each in paused(place)] == ["first", "then more"]
    place.ok("run-once")
    assert place.events("task.queued.v1") == []


@pytest.mark.parametrize("again", ["claiming", "feeders", "stop"])
def test_op2_who_pauses_no_more_than_is_paused_changes_nothing(place: Place, again: str) -> None:
    place.queue("true")
    place.ok("pause", "--scope", "stop")
    head = place.head()
    assert not place.json("pause", "--scope", again)["changed"]
    assert place.head() == head


def test_op2_stop_ends_what_runs_also_where_claims_rest_already(place: Place) -> None:
    place.config(FAST_RETRY)
    task = sleeping(place)
    with place.started("work") as process:
        running(place)
        place.ok("pause")
        place.ok("pause", "--scope", "stop")
        until(lambda: place.task(task)["status"] == "operator_canceled")
        interrupt(process)
        finished(process)


def test_op2_an_unknown_scope_is_refused(place: Place) -> None:
    place.queue("true")
    done = place.rt("pause", "--scope", "everything", "--json")
    assert (done.code, done.error["where"]) == (2, "--scope")
    assert paused(place) == []
