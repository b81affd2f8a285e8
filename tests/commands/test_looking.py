"""Commands that look: task, run, watch, and following a run from another process."""

import json
import os
import signal
import time

import pytest

from tests.commands.place import Place, finished, interrupt, until


def test_tasks_are_listed_newest_first_with_the_position(shared: Place) -> None:
    done = shared.ok("task", "list", "--json")
    states = [task["status"] for task in done.documents]
    assert states == ["pending", "pending", "operator_canceled", "permanent_failure", "blocked", "completed"]
    assert done.end == {"schema": "rt.end.v1", "count": 6, "position": shared.head(), "next": None}
    positions = [task["position"] for task in done.documents]
    assert positions == sorted(positions, reverse=True)


def test_a_cut_list_says_where_to_go_on(shared: Place) -> None:
    whole = [task["task"] for task in shared.rows("task", "list")]
    pages: list[str] = []
    before: tuple[str, ...] = ()
    while True:
        done = shared.ok("task", "list", "--limit", "2", *before, "--json")
        pages += [task["task"] for task in done.documents]
        if done.end["next"] is None:
            break
        before = ("--before", str(done.end["next"]))
    assert pages == whole
    assert "cut at 2; go on with --before" in shared.ok("task", "list", "--limit", "2").errors


@pytest.mark.parametrize(
    ("argv", "count"),
    [
        (("task", "list", "--state", "pending"), 2),
        (("task", "list", "--kind", "command"), 6),
        (("task", "list", "--kind", "other"), 0),
        (("task", "list", "--source", "cli", "--state", "blocked"), 1),
        (("run", "list"), 4),
        (("run", "list", "--state", "failed"), 3),
        (("run", "list", "--state", "lost"), 0),
        (("run", "list", "--limit", "1"), 1),
    ],
)
def test_lists_are_filtered(shared: Place, argv: tuple[str, ...], count: int) -> None:
    assert len(shared.rows(*argv)) == count


def test_runs_of_one_task(shared: Place) -> None:
    (task,) = shared.rows("task", "list", "--state", "blocked")
    runs = shared.rows("run", "list", "--task", task["task"])
    assert [(run["attempt"], run["cause"]) for run in runs] == [(2, "exit:3"), (1, "exit:3")]


@pytest.mark.parametrize("noun", ["task", "run"])
def test_an_unknown_state_names_the_known_ones(shared: Place, noun: str) -> None:
    done = shared.rt(noun, "list", "--state", "nonsense", "--json")
    assert done.code == 2
    assert "completed" in done.error["message"]


def test_show_tells_a_task_with_its_runs_and_payload(shared: Place) -> None:
    (task,) = shared.rows("task", "list", "--state", "blocked")
    shown = shared.task(task["task"])
    assert shown["schema"] == "rt.task.v1"
    assert [run["attempt"] for run in shown["runs"]] == [1, 2]
    assert shown["payload"]["argv"] == ["sh", "-c", "echo broken; exit 3"]
    text = shared.ok("task", "show", task["task"][:8]).text
    for part in ("attempts_exhausted", "exit:3", "echo broken", "attempt 2"):
        assert part in text


def test_show_tells_a_run_with_its_calls(shared: Place) -> None:
    (run,) = shared.rows("run", "list", "--state", "completed")
    shown = shared.json("run", "show", run["run"])
    (call,) = shown["calls"]
    assert (shown["state"], call["exit_code"], call["stdout_bytes"], call["stderr_bytes"]) == ("completed", 0, 6, 5)
    text = shared.ok("run", "show", run["run"]).text
    assert "call 1  process  exited  exit 0  6 + 5 bytes of output" in text


@pytest.mark.parametrize("noun", ["task", "run"])
def test_ids_are_found_by_prefix_with_dashes_and_in_capitals(shared: Place, noun: str) -> None:
    found = shared.rows(noun, "list")[0][noun]
    dashed = f"{found[:8]}-{found[8:12]}-{found[12:16]}-{found[16:20]}-{found[20:]}"
    for given in (found, found[:8], found[:12].upper(), dashed):
        assert shared.json(noun, "show", given)[noun] == found


@pytest.mark.parametrize("noun", ["task", "run"])
@pytest.mark.parametrize("given", ["ffff", "abc", "", "zzzz", "@nothing", "%", "../..", "\x1b[2J"])
def test_what_is_no_id_is_exit_3(shared: Place, noun: str, given: str) -> None:
    done = shared.rt(noun, "show", given, "--json")
    assert (done.code, done.error["code"]) == (3, "id.not_found")
    assert done.error["hint"] == f"rt {noun} list"


def test_an_ambiguous_prefix_names_the_candidates(place: Place) -> None:
    from commands.home import Home
    from commands.taking_in import check, take_in
    from commands.wiring import Runtime

    runtime = Runtime(Home(place.state, None, place.folder), "test")
    runtime.create_log()
    names = iter(["abcd" + f"{number:028x}" for number in range(7)])
    runtime.ids.new = lambda: next(names)  # type: ignore[method-assign]  # ids that begin alike
    accepted = check(runtime, {"kind": "k", "source": "s", "payload": {"argv": ["true"]}})
    tasks = [take_in(runtime, accepted).task for _ in range(7)]
    runtime.close()
    done = place.rt("task", "show", "abcd", "--json")
    assert (done.code, done.error["code"]) == (3, "id.ambiguous")
    assert tasks[0][:12] in done.error["message"]
    assert place.rt("cancel", "abcd").code == 3
    assert place.task(tasks[3])["task"] == tasks[3]


def test_aliases(shared: Place) -> None:
    assert shared.task("@last")["task"] == shared.rows("task", "list")[0]["task"]
    assert shared.task("@failed")["status"] == "permanent_failure"
    assert shared.task("@waiting")["status"] == "blocked"
    assert shared.json("run", "show", "@last")["run"] == shared.rows("run", "list")[0]["run"]
    assert shared.json("run", "show", "@failed")["state"] == "failed"
    (task,) = shared.rows("task", "list", "--state", "blocked")
    assert shared.json("run", "show", task["task"])["attempt"] == 2, "a task stands for its latest run"


def test_a_task_without_a_run_has_none_to_show(shared: Place) -> None:
    task = shared.rows("task", "list")[0]["task"]
    assert shared.rt("run", "show", task).code == 3


def test_the_log_of_a_run_is_its_events_in_order(shared: Place) -> None:
    (run,) = shared.rows("run", "list", "--state", "completed")
    done = shared.ok("run", "log", run["run"], "--json")
    topics = [event["topic"] for event in done.documents]
    assert topics[:4] == ["task.claimed.v1", "run.started.v1", "run.tool_call_requested.v1", "run.tool_started.v1"]
    assert topics[-3:] == ["run.tool_exited.v1", "run.finished.v1", "task.completed.v1"]
    assert done.end["count"] == len(topics)
    assert len(shared.ok("run", "log", run["run"]).text.splitlines()) == len(topics)
    by_position = {event["position"]: event for event in done.documents}
    for event in done.documents[2:]:
        assert event["caused_by"] == 0 or event["caused_by"] in by_position, event


def test_output_is_told_by_stream(shared: Place) -> None:
    (run,) = shared.rows("run", "list", "--state", "completed")
    assert shared.ok("run", "output", run["run"], "--stream", "stdout").out == b"first\n"
    assert shared.ok("run", "output", run["run"], "--stream", "stderr").out == b"loud\n"
    assert sorted(shared.ok("run", "output", run["run"]).out.splitlines()) == [b"first", b"loud"]
    parts = shared.rows("run", "output", run["run"])
    assert {(part["data"]["stream"], part["text"]) for part in parts} == {("stdout", "first\n"), ("stderr", "loud\n")}
    assert shared.rt("run", "output", run["run"], "--stream", "both").code == 2


def test_output_is_followed_from_another_process_before_the_run_ends(place: Place) -> None:
    place.queue("sh", "-c", "echo early; while [ ! -e go ]; do sleep 0.02; done; echo late")
    with place.started("work", "--until-idle") as worker:
        until(lambda: place.head() and "output.appended.v1" in place.topics())
        with place.started("run", "output", "@last", "--follow") as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline() == b"early\n"
            assert worker.poll() is None
            (place.folder / "go").touch()
            done = finished(follower)
        assert (done.code, done.out) == (0, b"late\n")
        assert finished(worker).code == 0


def test_watch_shows_events_as_they_come_and_ends_with_the_run(place: Place) -> None:
    place.queue("sh", "-c", "echo early; while [ ! -e go ]; do sleep 0.02; done; echo late")
    with place.started("work", "--until-idle") as worker:
        until(lambda: place.head() and "output.appended.v1" in place.topics())
        with place.started("watch", "@last", "--json") as watcher:
            assert watcher.stdout is not None
            first = json.loads(watcher.stdout.readline())
            assert first["topic"] == "task.claimed.v1"
            (place.folder / "go").touch()
            done = finished(watcher)
        assert done.code == 0
        events = [json.loads(line) for line in done.out.splitlines()]
        assert [event["topic"] for event in events if event["schema"] == "rt.item.v1"][-1] == "task.completed.v1"
        positions = [event["position"] for event in events if event["schema"] == "rt.item.v1"]
        assert positions == sorted(set(positions))
        finished(worker)
    assert "stdout │ late" in place.ok("watch", "@last").text


def test_ctrl_c_detaches_a_watcher_and_the_run_goes_on(place: Place) -> None:
    place.queue("sh", "-c", "touch begun; while [ ! -e go ]; do sleep 0.02; done")
    with place.started("work", "--until-idle") as worker:
        until((place.folder / "begun").exists)
        with place.started("watch", "@last") as watcher:
            assert watcher.stdout is not None
            watcher.stdout.readline()
            interrupt(watcher)
            assert finished(watcher).code == 130
        (place.folder / "go").touch()
        assert finished(worker).code == 0
    assert place.task("@last")["status"] == "completed"


def test_status_counts_and_names_what_waits(shared: Place) -> None:
    status = shared.json("status")
    assert status["schema"] == "rt.status.v1"
    assert status["position"] == shared.head()
    assert status["counts"] == {
        "pending": 2,
        "running": 0,
        "waiting_for_approval": 0,
        "blocked": 1,
        "retryable_failure": 0,
        "completed": 1,
        "permanent_failure": 1,
        "operator_canceled": 1,
    }
    assert [task["cause"] for task in status["needs_you"]] == ["attempts_exhausted"]
    assert [task["cause"] for task in status["failed"]] == ["command_not_found"]
    assert [task["status"] for task in status["next"]] == ["pending"]
    assert status["oldest_due"]["subject"] == "a waiting one"
    text = shared.ok("status").text
    assert f"position {status['position']}" in text
    assert "oldest task that is due" in text


def test_status_of_an_empty_log_names_the_first_command(place: Place) -> None:
    place.ok("init")
    assert "no tasks yet: rt do -- echo hello" in place.ok("status").text
    assert place.json("status")["position"] == 0


def test_status_shows_a_run_whose_dispatcher_lives(place: Place) -> None:
    place.queue("sh", "-c", "touch begun; exec sleep 60", options=("--subject", "a long one"))
    with place.started("work") as process:
        until((place.folder / "begun").exists)
        (running,) = place.json("status")["running"]
        assert (running["dispatcher_alive"], running["attempt"], running["adapter"]) == (True, 1, "command")
        text = place.ok("status").text
        assert "a long one" in text
        assert "dispatcher is dead" not in text
        interrupt(process)
        time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        finished(process)
