"""`rt do`: take in a task, run it here, follow it."""

import os
import stat
import time
from pathlib import Path

import pytest

from tests.commands.place import Place, finished, interrupt, is_running, until

HOSTILE = b"plain\n\xff\xfe\x80 not utf-8\n\0\0nul\n\x1b[31mred\r\nno end"


def test_a_command_that_works_is_a_completed_task(place: Place) -> None:
    done = place.rt("do", "--", "sh", "-c", "echo to stdout; echo to stderr >&2")
    assert done.code == 0
    assert done.out == b"to stdout\n"
    assert b"to stderr\n" in done.err
    assert b"to stdout" not in done.err
    assert "completed" in done.errors


def test_a_command_that_fails_is_exit_1_and_the_output_is_there(place: Place) -> None:
    done = place.rt("do", "--", "sh", "-c", "echo before; exit 9")
    assert (done.code, done.out) == (1, b"before\n")
    assert "exit:9" in done.errors


def test_output_is_byte_exact_into_a_pipe_and_in_the_log(place: Place) -> None:
    (place.folder / "hostile").write_bytes(HOSTILE)
    done = place.rt("-q", "do", "--", "sh", "-c", "cat hostile; cat hostile >&2")
    assert (done.code, done.out, done.err) == (0, HOSTILE, HOSTILE)
    assert place.ok("run", "output", "@last", "--stream", "stdout").out == HOSTILE
    assert place.ok("run", "output", "@last", "--stream", "stderr").out == HOSTILE


def test_arguments_arrive_as_they_were_given(place: Place) -> None:
    given = ("a b", "$HOME", "*", "--json", "", "ä\n", "-q", "--", "'\"")
    done = place.rt("-q", "do", "--", "printf", "%s|", *given)
    assert done.out == "".join(f"{each}|" for each in given).encode()


def test_a_shell_line_is_for_the_shell(place: Place) -> None:
    assert place.rt("-q", "do", "--shell", "echo $((6 * 7)) | tr 4 5").out == b"52\n"


def test_the_command_runs_in_the_current_folder_with_little_of_the_environment(place: Place) -> None:
    below = place.folder / "below"
    below.mkdir()
    done = place.rt("-q", "do", "--", "sh", "-c", "pwd; env", cwd=below, env={"SOME_THING": "leaks", "LC_ALL": "C"})
    lines = done.text.splitlines()
    assert lines[0] == str(below)
    names = {line.partition("=")[0] for line in lines[1:]}
    assert {"PATH", "HOME", "LC_ALL", "RT_TASK_ID", "RT_RUN_ID", "RT_CALL", "RT_EFFECT_KEY"} <= names
    assert not {"SOME_THING", "PYTHONPATH"} & names


def test_standard_input_of_a_command_is_empty(place: Place) -> None:
    assert place.rt("-q", "do", "--", "cat", stdin=b"not for you").out == b""


def test_json_says_what_became_of_it_on_one_line(place: Place) -> None:
    done = place.rt("do", "--json", "--", "sh", "-c", "echo loud; exit 2")
    assert done.code == 1
    answer = done.document
    assert answer.keys() == {"schema", "position", "task", "run", "status", "cause", "attempts", "summary"}
    assert answer["schema"] == "rt.do.v1"
    assert (answer["status"], answer["cause"], answer["attempts"]) == ("blocked", "attempts_exhausted", 1)
    assert answer["position"] == place.head()
    assert answer["run"] == place.json("run", "show", "@last")["run"]


def test_attempts_are_spent_one_after_the_other(place: Place) -> None:
    place.config()
    counting = "n=$(cat n 2>/dev/null || echo 0); n=$((n + 1)); echo $n > n; echo try $n; [ $n -ge 3 ]"
    done = place.rt("do", "--attempts", "5", "--", "sh", "-c", counting)
    assert (done.code, done.out) == (0, b"try 1\ntry 2\ntry 3\n")
    runs = place.rows("run", "list")
    assert [(run["attempt"], run["state"]) for run in runs] == [(3, "completed"), (2, "failed"), (1, "failed")]


def test_when_the_attempts_are_spent_the_task_is_blocked(place: Place) -> None:
    place.config()
    answer = place.do("false", options=("--attempts", "2"))
    assert (answer["status"], answer["cause"], answer["attempts"]) == ("blocked", "attempts_exhausted", 2)


def test_an_exit_status_that_no_attempt_would_mend_is_a_permanent_failure(place: Place) -> None:
    answer = place.do("sh", "-c", "exit 64", options=("--attempts", "3"))
    assert (answer["status"], answer["attempts"]) == ("permanent_failure", 1)


def test_a_timeout_ends_the_whole_tree(place: Place) -> None:
    place.config()
    stubborn = "(trap '' TERM; sh -c 'echo $$ > a; exec sleep 60') & setsid sh -c 'echo $$ > b; exec sleep 60' &"
    tree = f"trap '' TERM; {stubborn} wait"
    start_s = time.monotonic()
    done = place.rt("do", "--timeout", "0.5", "--json", "--", "sh", "-c", tree)
    assert time.monotonic() - start_s < 10
    assert done.code == 1
    assert place.events("run.cancel_requested.v1") == [{"type": "run.cancel_requested", "call": 1, "cause": "timeout"}]
    assert place.events("run.finished.v1")[0]["cause"] == "timeout"
    pids = [int((place.folder / name).read_text()) for name in ("a", "b")]
    assert not any(is_running(pid) for pid in pids)


@pytest.mark.parametrize(
    ("argv", "cause"),
    [
        (("no-such-command-anywhere",), "command_not_found"),
        (("./no-such-file",), "command_not_found"),
        (("./plain-file",), "not_executable"),
        ((".",), "not_executable"),
        (("./bad-interpreter",), "command_not_found"),
    ],
)
def test_what_cannot_be_started_is_a_permanent_failure_that_says_why(
    place: Place, argv: tuple[str, ...], cause: str
) -> None:
    (place.folder / "plain-file").write_text("echo hi")
    place.script("bad-interpreter", "#!/no/such/interpreter\n")
    done = place.rt("do", "--", *argv)
    assert (done.code, done.out) == (1, b"")
    assert cause in done.errors
    assert argv[0] in done.errors
    assert place.events("run.finished.v1")[0]["cause"] == cause


def test_a_missing_working_folder_is_said_so(place: Place) -> None:
    document = '{"kind": "k", "source": "s", "payload": {"argv": ["true"], "cwd": "/no/such/folder"}}'
    place.ok("intake", document)
    answer = place.json("run-once")
    assert (answer["status"], answer["cause"]) == ("permanent_failure", "cwd_missing")
    assert "/no/such/folder" in place.events("run.tool_not_started.v1")[0]["message"]


@pytest.mark.parametrize(
    "argv",
    [
        ("do",),
        ("do", "--"),
        ("do", "--", ""),
        ("do", "--shell", ""),
        ("do", "--shell", "true", "--", "true"),
        ("do", "write", "a", "poem", "--", "true"),
        ("do", "--attempts", "0", "--", "true"),
        ("do", "--attempts", "101", "--", "true"),
        ("do", "--timeout", "-1", "--", "true"),
        ("do", "--timeout", "1e400", "--", "true"),
        ("do", "--timeout", "nan", "--", "true"),
        ("do", "--adapter", "nobody", "--", "true"),
    ],
)
def test_what_cannot_be_a_task_is_refused_and_makes_no_home(place: Place, argv: tuple[str, ...]) -> None:
    done = place.rt(*argv)
    assert (done.code, done.out) == (2, b""), done
    assert not place.state.exists()


def test_an_argument_that_is_not_utf8_is_refused_in_words(place: Place) -> None:
    done = place.rt("do", "--", "printf", b"\xff")
    assert (done.code, done.out) == (2, b"")
    assert "not UTF-8" in done.errors


def test_a_goal_in_words_names_the_ways(place: Place) -> None:
    done = place.rt("do", "tidy", "up", "--json")
    assert done.code == 2
    for way in ("-- ARGV", "--shell", "--adapter"):
        assert way in done.error["message"]


def test_ctrl_c_cancels_the_task_and_leaves_nothing_running(place: Place) -> None:
    place.config()
    with place.started("do", "--", "sh", "-c", "echo $$ > leader; sleep 60 & echo $! > child; wait") as process:
        until(lambda: (place.folder / "child").exists() and (place.folder / "child").read_text())
        interrupt(process)
        done = finished(process)
    assert done.code == 130
    pids = [int((place.folder / name).read_text()) for name in ("leader", "child")]
    until(lambda: not any(is_running(pid) for pid in pids), seconds=2)
    task = place.task("@last")
    assert (task["status"], task["cause"]) == ("operator_canceled", "operator_canceled")
    assert place.json("run", "show", "@last")["state"] == "canceled"
    assert place.events("run.cancel_asked.v1")[0]["reason"]
    assert place.ok("replay", "@last").code == 0


def test_ctrl_c_between_two_attempts_cancels_the_task(place: Place) -> None:
    place.config("[retry]\nbackoff_s = 30.0\nbackoff_max_s = 30.0\n")
    with place.started("do", "--attempts", "2", "--", "false") as process:
        until(lambda: place.head() and "task.retry_scheduled.v1" in place.topics())
        interrupt(process)
        done = finished(process)
    assert done.code == 130, done
    assert place.task("@last")["status"] == "operator_canceled"


def test_what_rt_writes_is_for_its_user_alone(place: Place) -> None:
    place.do("true")
    for folder, _, names in os.walk(place.state):
        assert stat.S_IMODE(Path(folder).stat().st_mode) & 0o077 == 0, folder
        for name in names:
            assert stat.S_IMODE((Path(folder) / name).stat().st_mode) & 0o077 == 0, name


def test_the_demo_crashes_once_completes_and_replays(place: Place) -> None:
    done = place.rt("do", "demo")
    assert done.code == 0, done
    assert "2 of 2 runs identical" in done.text or done.text.count("identical") == 2
    assert [run["state"] for run in place.rows("run", "list")] == ["completed", "failed"]
    assert not list((place.state / "tmp").iterdir())
