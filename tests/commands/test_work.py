"""`rt run-once` and `rt work`: claims, concurrency, several dispatchers, signals, a kill."""

import json
import os
import signal
import sqlite3
import subprocess
import time

import pytest

from tests.commands.place import RT, Place, finished, interrupt, is_running, until


def test_run_once_with_nothing_to_do_is_idle(place: Place) -> None:
    place.ok("init")
    assert place.json("run-once") == {"schema": "rt.cycle.v1", "ok": True, "status": "idle", "position": 0}
    assert place.ok("run-once").text == "idle: nothing was run\n"


def test_run_once_while_paused_claims_nothing(place: Place) -> None:
    place.queue("true")
    place.ok("pause")
    assert place.json("run-once")["status"] == "paused"
    assert place.task("@last")["status"] == "pending"


def test_run_once_drives_one_task(place: Place) -> None:
    first, second = place.queue("echo", "one"), place.queue("echo", "two")
    answer = place.json("run-once")
    assert (answer["status"], answer["task_id"]) == ("completed", first)
    assert answer["attempt_id"] == place.json("run", "show", "@last")["run"]
    assert answer["position"] == place.head()
    assert place.task(second)["status"] == "pending"


@pytest.mark.parametrize(
    ("argv", "options", "plain", "strict"),
    [
        (("true",), (), 0, 0),
        (("sh", "-c", "exit 64"), (), 0, 1),
        (("false",), ("--attempts", "1"), 0, 1),
        (("false",), ("--attempts", "2"), 0, 8),
    ],
)
def test_run_once_tells_the_outcome_on_request(
    place: Place, argv: tuple[str, ...], options: tuple[str, ...], plain: int, strict: int
) -> None:
    place.queue(*argv, options=options)
    place.queue(*argv, options=options)
    assert place.rt("run-once").code == plain
    assert place.rt("run-once", "--fail-on-outcome").code == strict


def test_work_goes_by_priority_then_age(place: Place) -> None:
    for name, priority in (("a", 5), ("b", 9), ("c", 5), ("d", -2), ("e", 9)):
        place.queue("sh", "-c", f"echo {name} >> order", options=("--priority", str(priority)))
    answer = place.json("work", "--until-idle", "--concurrency", "1")
    assert (place.folder / "order").read_text().split() == ["b", "e", "a", "c", "d"]
    assert answer == {
        "schema": "rt.work.v1",
        "position": place.head(),
        "runs": 5,
        "paused": False,
        "next_due_at": None,
    }


def test_work_runs_tasks_side_by_side_up_to_the_limit(place: Place) -> None:
    for number in range(4):
        place.queue("sh", "-c", f"touch in-{number}; ls in-* | wc -l >> seen; sleep 0.4; rm in-{number}")
    place.ok("work", "--until-idle", "--concurrency", "2")
    assert max(map(int, (place.folder / "seen").read_text().split())) == 2


def test_work_until_idle_leaves_what_is_due_later_and_says_when(place: Place) -> None:
    place.queue("true", options=("--in-minutes", "60"))
    answer = place.json("work", "--until-idle")
    assert (answer["runs"], answer["next_due_at"]) == (0, place.task("@last")["due_at"])


def test_work_waits_for_a_retry_that_is_due_soon(place: Place) -> None:
    place.config()
    place.queue("sh", "-c", "[ -e seen ] || { touch seen; exit 1; }")
    with place.started("work") as process:
        until(lambda: place.task("@last")["status"] == "completed")
        interrupt(process)
        assert finished(process).code == 130


def test_what_comes_in_while_work_waits_is_run_at_once(place: Place) -> None:
    place.ok("init")
    with place.started("work") as process:
        until(lambda: any((place.state / "dispatchers").glob("*.lock")))
        place.queue("touch", "there")
        until((place.folder / "there").exists, seconds=3)
        interrupt(process, signal.SIGTERM)
        assert finished(process).code == 143


def test_two_dispatchers_run_every_task_exactly_once(place: Place) -> None:
    tasks = [place.queue("sh", "-c", f"echo {number} >> ran") for number in range(4)]
    document = '{{"kind": "k", "source": "s", "payload": {{"shell": "echo {0} >> ran", "cwd": "{1}"}}}}'
    from commands.home import Home
    from commands.taking_in import check, take_in
    from commands.wiring import Runtime

    runtime = Runtime(Home(place.state, None, place.folder), "test")
    for number in range(4, 60):
        given = json.loads(document.format(number, place.folder))
        tasks.append(take_in(runtime, check(runtime, given)).task)
    runtime.close()
    with place.started("work", "--until-idle") as one, place.started("work", "--until-idle") as other:
        ends = [finished(one), finished(other)]
    assert [end.code for end in ends] == [0, 0]
    assert sorted(map(int, (place.folder / "ran").read_text().split())) == list(range(60))
    assert len(place.events("task.claimed.v1")) == 60
    assert {task["status"] for task in place.rows("task", "list", "--limit", "100")} == {"completed"}
    place.ok("log", "verify")
    assert place.ok("replay", "--all").text == "60 of 60 runs identical\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_first_signal_drains(place: Place, number: signal.Signals) -> None:
    """Also of a terminal that went away."""
    place.queue("sh", "-c", "touch begun; while [ ! -e go ]; do sleep 0.02; done; touch done")
    place.queue("touch", "never")
    with place.started("work", "--concurrency", "1") as process:
        until((place.folder / "begun").exists)
        interrupt(process, number)
        time.sleep(0.3)
        (place.folder / "go").touch()
        done = finished(process)
    assert done.code == 128 + number
    assert (place.folder / "done").exists()
    assert not (place.folder / "never").exists()
    assert [task["status"] for task in place.rows("task", "list")] == ["pending", "completed"]


def test_under_nohup_a_terminal_that_goes_away_ends_nothing(place: Place) -> None:
    place.queue("sh", "-c", "touch begun; while [ ! -e go ]; do sleep 0.02; done; touch done")
    with subprocess.Popen(
        ["nohup", *RT, "work", "--until-idle"],
        cwd=place.folder,
        env=place.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        until((place.folder / "begun").exists)
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        (place.folder / "go").touch()
        assert process.wait(30) == 0
    assert (place.folder / "done").exists()


def test_a_second_signal_stops_and_the_task_goes_on_by_its_retry_rule(place: Place) -> None:
    place.config()
    place.queue("sh", "-c", "if [ -e begun ]; then exit 0; fi; echo $$ > begun; exec sleep 60")
    place.queue("sh", "-c", "echo $$ > last; exec sleep 60", options=("--attempts", "1"))
    with place.started("work") as process:
        until(lambda: all((place.folder / name).exists() for name in ("begun", "last")))
        interrupt(process)
        time.sleep(0.1)
        interrupt(process)
        done = finished(process)
    assert done.code == 130
    assert not any(is_running(int((place.folder / name).read_text())) for name in ("begun", "last"))
    tasks = [(task["status"], task["cause"]) for task in place.rows("task", "list")]
    assert tasks == [("blocked", "attempts_exhausted"), ("retryable_failure", "dispatcher_stopped")]
    assert {run["state"] for run in place.rows("run", "list")} == {"lost"}
    time.sleep(0.1)
    assert place.json("work", "--until-idle")["runs"] == 1
    assert place.rows("task", "list", "--state", "completed")
    place.ok("replay", "--all")


def test_a_killed_dispatcher_is_noticed_and_its_tasks_go_on(place: Place) -> None:
    place.config()
    place.queue("sh", "-c", "[ -e again ] && exit 0; (setsid sleep 60 & echo $! > stray); echo $$ > again; sleep 60")
    place.queue("sh", "-c", "echo $$ > last; sleep 60", options=("--attempts", "1"))
    with place.started("work") as process:
        until(lambda: all((place.folder / name).exists() for name in ("again", "stray", "last")))
        until(lambda: len(place.events("run.tool_started.v1")) == 2)
        os.kill(process.pid, signal.SIGKILL)
        finished(process)
    pids = [int((place.folder / name).read_text()) for name in ("again", "stray", "last")]
    status = place.json("status")
    assert [run["dispatcher_alive"] for run in status["running"]] == [False, False]
    assert "its dispatcher is dead: rt work" in place.ok("status").text
    doctor = place.json("doctor")
    assert next(check for check in doctor["checks"] if check["what"] == "dispatchers")["level"] == "warning"

    place.ok("work", "--until-idle")
    time.sleep(0.05)
    place.ok("work", "--until-idle")
    assert not any(is_running(pid) for pid in pids)
    tasks = [(task["status"], task["cause"], task["attempts"]) for task in place.rows("task", "list")]
    assert tasks == [("blocked", "attempts_exhausted", 1), ("completed", "", 2)]
    lost = place.rows("run", "list", "--state", "lost")
    assert [run["cause"] for run in lost] == ["dispatcher_died", "dispatcher_died"]
    assert sum(event.get("killed", 0) for event in place.events("run.owner_lost.v1")) >= 3
    assert place.json("status")["running"] == []
    place.ok("replay", "--all")
    place.ok("log", "verify")


def test_an_effect_that_may_happen_once_is_parked_after_a_kill(place: Place) -> None:
    script = place.script("helper", "#!/bin/sh\necho $$ > begun\nsleep 60\n")
    place.config(f'[adapters.helper]\ncommand = "{script}"\neffect = "once"\n')
    place.ok("intake", "--adapter", "helper", "--payload", "{}")
    with place.started("work") as process:
        until(lambda: (place.folder / "begun").exists() and place.events("run.tool_started.v1"))
        os.kill(process.pid, signal.SIGKILL)
        finished(process)
    place.ok("work", "--until-idle")
    task = place.task("@last")
    assert (task["status"], task["cause"]) == ("blocked", "needs_reconcile")
    assert len(place.events("run.tool_started.v1")) == 1


def test_work_without_a_home_says_how_to_make_one(place: Place) -> None:
    done = place.rt("work", "--json")
    assert done.code == 3
    assert done.error["hint"] == "rt init"
    assert place.files() == set()


def test_a_collector_of_logs_gets_an_object_a_line(place: Place) -> None:
    place.ok("do", "--", "true")
    place.ok(
        "intake", "-", stdin=b'{"kind": "k", "source": "s", "subject": "\\u001b[31mred", "payload": {"argv": ["true"]}}'
    )
    done = place.rt("work", "--until-idle", "--log", "json")
    told = [json.loads(line) for line in done.errors.splitlines()]
    assert {each["schema"] for each in told} == {"rt.note.v1", "rt.event.v1"}
    topics = [each["topic"] for each in told if each["schema"] == "rt.event.v1"]
    assert topics[0] == "task.claimed.v1"
    assert topics[-2:] == ["run.finished.v1", "task.completed.v1"]
    assert all({"at", "stream", "version", "task", "data"} <= each.keys() for each in told if "topic" in each)
    assert "\x1b" not in done.errors
    assert place.rt("work", "--log", "xml").code == 2


def test_a_task_that_cannot_be_read_is_parked_and_holds_up_no_other(place: Place) -> None:
    """Also where something would follow from its end."""
    place.config(
        '[outbox.destinations.me]\nkind = "command"\nargv = ["true"]\n[[notify]]\non = ["blocked"]\nto = "me"\n'
    )
    broken, healthy = (
        place.ok(
            "intake", "-", "--json", stdin=b'{"kind": "k", "source": "s", "payload": {"argv": ["true"]}}'
        ).document["task_id"]
        for _ in range(2)
    )
    database = sqlite3.connect(place.state / "log.db")
    triggers = database.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    with database:
        for name, _ in triggers:
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE stored_events SET state = X'7B7D' WHERE originator_id = ?", (broken,))
        for _, sql in triggers:
            database.execute(sql)
    database.close()
    assert place.json("work", "--until-idle")["runs"] == 1
    assert place.task(healthy)["status"] == "completed"
    assert place.topics().count("task.blocked.v1") == 1
