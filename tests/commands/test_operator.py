"""What an operator does to tasks: cancel, retry, unblock, pause, resume."""

import json
import os
import signal
from typing import Any

import pytest

from tests.commands.place import Place, finished, interrupt, is_running, until


def test_a_pending_task_is_canceled_and_never_runs(place: Place) -> None:
    task = place.queue("touch", "never")
    answer = place.json("cancel", task, "--reason", "changed my mind")
    assert answer == {"schema": "rt.cancel.v1", "task": task, "position": 2, "state": "is canceled"}
    assert place.events("task.canceled.v1") == [{"type": "task.canceled", "reason": "changed my mind"}]
    assert place.json("work", "--until-idle")["runs"] == 0
    assert place.task(task)["status"] == "operator_canceled"


def test_a_second_cancel_says_so_and_changes_nothing(place: Place) -> None:
    task = place.queue("true")
    place.ok("cancel", task)
    head = place.head()
    assert "was canceled already" in place.ok("cancel", task).text
    assert place.head() == head


@pytest.mark.parametrize("verb", ["cancel", "retry", "unblock"])
def test_an_id_that_is_not_there_is_exit_3(place: Place, verb: str) -> None:
    place.queue("true")
    for given in ("deadbeef", "xyz", "@failed", "''", "0"):
        done = place.rt(verb, given, "--json")
        assert done.code == 3, (given, done)
        assert done.error["code"] == "id.not_found"


def test_a_task_that_is_over_is_not_canceled(history: Place) -> None:
    head = history.head()
    for state in ("completed", "permanent_failure"):
        (task,) = history.rows("task", "list", "--state", state)
        done = history.rt("cancel", task["task"], "--json")
        assert (done.code, done.error["code"]) == (5, "task.wrong_state")
        assert state in done.error["message"]
    assert history.head() == head


def test_a_run_in_another_process_is_canceled_with_all_of_its_processes(place: Place) -> None:
    place.config()
    task = place.queue("sh", "-c", "trap '' TERM; sleep 60 & echo $! > child; echo $$ > leader; wait; sleep 60")
    with place.started("work") as process:
        until(lambda: (place.folder / "leader").exists() and place.events("run.tool_started.v1"))
        answer = place.json("cancel", task, "--reason", "enough")
        assert answer["state"] == "is operator_canceled"
        pids = [int((place.folder / name).read_text()) for name in ("leader", "child")]
        assert not any(is_running(pid) for pid in pids), "cancel returns when nothing of it is left"
        assert place.task(task)["status"] == "operator_canceled"
        assert place.events("run.cancel_asked.v1")[0]["reason"] == "enough"
        assert "was canceled already" in place.ok("cancel", task).text
        interrupt(process)
        finished(process)
    place.ok("replay", "--all")


def test_a_run_can_be_named_instead_of_its_task_and_need_not_be_waited_for(place: Place) -> None:
    place.config()
    place.queue("sh", "-c", "touch begun; exec sleep 60")
    with place.started("work") as process:
        until((place.folder / "begun").exists)
        run = place.json("run", "show", "@last")["run"]
        assert place.json("cancel", run, "--no-wait")["state"] == "is asked to end"
        place.ok("cancel", run)
        assert place.task("@last")["status"] == "operator_canceled"
        interrupt(process)
        finished(process)


def test_a_run_whose_dispatcher_died_is_canceled_by_whoever_asks(place: Place) -> None:
    place.config()
    task = place.queue("sh", "-c", "echo $$ > leader; exec sleep 60")
    with place.started("work") as process:
        until(lambda: (place.folder / "leader").exists() and place.events("run.tool_started.v1"))
        os.kill(process.pid, signal.SIGKILL)
        finished(process)
    assert place.json("cancel", task)["state"] == "is operator_canceled"
    assert not is_running(int((place.folder / "leader").read_text()))
    assert place.json("run", "show", "@last")["state"] == "canceled"
    place.ok("replay", "@last")


def _one(place: Place, state: str) -> dict[str, Any]:
    (task,) = place.rows("task", "list", "--state", state)
    return task


def test_a_blocked_task_is_retried_once_more(history: Place) -> None:
    task = _one(history, "blocked")["task"]
    answer = history.json("retry", task, "--reason", "once more")
    assert answer == {"schema": "rt.retry.v1", "task": task, "edited": False, "position": history.head()}
    shown = history.task(task)
    assert (shown["status"], shown["attempts"], shown["max_attempts"]) == ("pending", 2, 3)
    history.ok("work", "--until-idle")
    shown = history.task(task)
    assert (shown["status"], shown["attempts"]) == ("blocked", 3)


def test_a_blocked_task_is_unblocked_with_a_note(history: Place) -> None:
    task = _one(history, "blocked")["task"]
    history.ok("unblock", task, "--note", "the disk is larger now")
    assert history.events("task.unblocked.v1")[0]["note"] == "the disk is larger now"
    assert history.task(task)["status"] == "pending"
    done = history.rt("unblock", task, "--json")
    assert (done.code, done.error["code"]) == (5, "task.wrong_state")


def test_a_failed_task_is_retried_by_its_alias(history: Place) -> None:
    task = _one(history, "permanent_failure")["task"]
    assert history.json("retry", "@failed")["task"] == task
    assert history.task(task)["status"] == "pending"


@pytest.mark.parametrize(
    ("state", "verb"),
    [
        ("completed", "retry"),
        ("completed", "unblock"),
        ("operator_canceled", "retry"),
        ("operator_canceled", "unblock"),
        ("permanent_failure", "unblock"),
    ],
)
def test_a_wish_that_the_state_does_not_allow_is_exit_5(history: Place, state: str, verb: str) -> None:
    head = history.head()
    done = history.rt(verb, _one(history, state)["task"], "--json")
    assert (done.code, done.error["code"]) == (5, "task.wrong_state")
    assert state in done.error["message"]
    assert history.head() == head


def test_pause_and_resume_are_events_and_can_be_repeated(place: Place) -> None:
    place.queue("true")
    first = place.json("pause", "--reason", "lunch")
    assert (first["paused"], first["changed"]) == (True, True)
    assert place.json("pause")["changed"] is False
    assert place.events("dispatcher.paused.v1") == [{"type": "dispatcher.paused", "reason": "lunch"}]
    assert place.json("status")["paused"] is True
    assert place.json("work", "--until-idle") | {"position": 0} == {
        "schema": "rt.work.v1",
        "position": 0,
        "runs": 0,
        "paused": True,
        "next_due_at": None,
    }
    assert place.json("resume")["changed"] is True
    assert place.json("resume")["changed"] is False
    assert place.json("status")["paused"] is False
    assert place.json("work", "--until-idle")["runs"] == 1


def test_a_pause_lets_running_runs_go_on(place: Place) -> None:
    place.queue("sh", "-c", "touch begun; while test ! -e go; do sleep 0.05; done; touch done")
    place.queue("touch", "never")
    with place.started("work", "--concurrency", "1") as process:
        until((place.folder / "begun").exists)
        place.ok("pause")
        (place.folder / "go").touch()
        until((place.folder / "done").exists)
        until(lambda: place.events("task.completed.v1"))
        place.ok("status")
        assert process.poll() is None
        interrupt(process)
        finished(process)
    assert not (place.folder / "never").exists()


@pytest.mark.parametrize("verb", [("cancel", "@last"), ("retry", "@last"), ("pause",)])
def test_a_reason_is_bounded(place: Place, verb: tuple[str, ...]) -> None:
    place.queue("true")
    done = place.rt(*verb, "--reason", "x" * 2001, "--json")
    assert (done.code, done.error["code"]) == (2, "rt.invalid")
    assert place.head() == 1


def test_the_operator_is_recorded(place: Place) -> None:
    place.ok("--actor", "alice", "intake", "--", "true")
    place.ok("pause", "--actor", "bob")
    Place(place.folder, {"RT_ACTOR": "carol"}).ok("resume")
    actors = [event["actor"] for event in place.rows("log", "tail")]
    assert actors == ["operator:alice", "operator:bob", "operator:carol"]


def test_a_task_is_moved_in_the_queue_and_one_that_is_over_is_not(place: Place) -> None:
    place.ok("init")
    first, second = (place.ok("intake", "--json", "--", "true").document["task_id"] for _ in range(2))
    moved = place.ok("prioritize", second, "9", "--json").document
    assert (moved["task"], moved["priority"]) == (second, 9)
    assert [each["task"] for each in place.ok("status", "--json").document["queue"]] == [second, first]
    assert place.rt("prioritize", first, "5000").code == 2
    place.ok("work", "--until-idle")
    assert place.rt("prioritize", first, "1").code == 5
    assert place.ok("projection", "rebuild", "--json").code == 0


# a change before the next attempt


def test_a_failed_task_is_changed_and_tried_again(place: Place) -> None:
    """OP-4."""
    task = place.queue("false", options=["--attempts", "1"])
    place.ok("work", "--until-idle")
    change = json.dumps({"payload": {"argv": ["true"]}, "subject": "now it works"})
    assert place.json("retry", task, "--edit", change, "--reason", "wrong program")["edited"] is True
    [event] = place.events("task.edited.v1")
    assert (event["changed"], event["reason"]) == (["subject", "payload"], "wrong program")
    shown = place.task(task)
    assert (shown["payload"], shown["subject"], shown["status"]) == ({"argv": ["true"]}, "now it works", "pending")
    place.ok("work", "--until-idle")
    assert place.task(task)["status"] == "completed"
    place.ok("replay", "--all")
    assert place.json("task", "show", task)["runs"][0]["state"] == "failed"


def test_a_changed_task_goes_to_its_new_adapter_and_profile(place: Place) -> None:
    place.config('[adapters.script]\ncommand = "./go"\noutcome = "text"\n[profiles.careful]\n[retry]\nattempts = 1\n')
    place.script("go", "#!/bin/sh\necho went\n")
    task = place.queue("false")
    place.ok("work", "--until-idle")
    change = {"requested_adapter": "script", "requested_profile": "careful", "description": "go"}
    place.ok("retry", task, "--edit", json.dumps(change))
    shown = place.task(task)
    assert (shown["adapter"], shown["profile"], shown["description"]) == ("script", "careful", "go")
    place.ok("projection", "rebuild")
    assert place.task(task) == shown
    place.ok("work", "--until-idle")
    assert place.task(task)["status"] == "completed"
    assert place.events("run.started.v1")[-1]["adapter"] == "script"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("[]", "expected an object"),
        ("{}", "expected an object"),
        ('{"priority": 3}', "rt prioritize"),
        ('{"payload": {"argv": []}}', "argv"),
        ('{"payload": 3}', "payload"),
        ('{"requested_adapter": "nobody"}', "nobody"),
        ('{"requested_profile": "nobody"}', "nobody"),
        ('{"requested_profile": null}', "changes nothing"),
        ('{"subject": "a\\u0000b"}', "NUL"),
        ("not json", "not JSON"),
        ("@nowhere", "nowhere"),
    ],
)
def test_a_change_that_does_not_fit_leaves_the_task_as_it_is(history: Place, change: str, why: str) -> None:
    head = history.head()
    done = history.rt("retry", "@failed", "--edit", change)
    assert done.code in (2, 3)
    assert why in done.errors
    assert history.head() == head


def test_a_running_task_is_not_changed(place: Place) -> None:
    task = place.queue("sleep", "20")
    with place.started("work") as process:
        until(lambda: place.task(task)["status"] == "running")
        assert place.rt("retry", task, "--edit", '{"subject": "x"}').code == 5
        interrupt(process)
        interrupt(process)
    assert place.events("task.edited.v1") == []
