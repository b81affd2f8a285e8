"""Runs that another program decides: the request on its stdin, the decision on its stdout, and nothing of it left."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands.place import Done, Place, is_running, until

TOML = """
[work]
kill_grace_s = 0.3
[controllers.it]
kind = "command"
argv = {argv}
timeout_s = {timeout}
retries = 1
retry_s = 0.01
{more}
[profiles.it]
controller = "it"
[[policies]]
id = "free"
effect = "allow"
tool = "local-process"
"""
FINISH = '{"type":"finish","message":"all is well"}'


def go(place: Place, script: str, *argv: str, timeout: float = 20, more: str = "") -> Done:
    """Run a goal, or a command, with a shell script that decides."""
    place.script("decider", f"#!/bin/sh\necho $$ >> pids\n{script}\n")
    place.config(TOML.format(argv=json.dumps([str(place.folder / "decider")]), timeout=timeout, more=more))
    return place.rt("do", "--agent", "it", "--json", *(argv or ("the goal",)))


def events(place: Place, topic: str) -> list[dict[str, Any]]:
    """The data of the latest run's events of a topic."""
    return [line["data"] for line in place.rows("run", "log", "@last") if line["topic"] == f"{topic}.v1"]


def causes(place: Place) -> list[str]:
    """How each ask ended; empty for an answer."""
    return [each.get("cause", "") for each in events(place, "run.controller_answered")]


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One log for all these runs: at the end each of them replays to the same."""
    home = Place(tmp_path_factory.mktemp("deciders"))
    yield home
    assert home.rt("replay", "--all").code == 0


@pytest.fixture
def place(_home: Place, tmp_path: Path) -> Place:
    """A folder of its own with the common log."""
    (tmp_path / ".rt").symlink_to(_home.state)
    _home.state.mkdir(exist_ok=True)
    return Place(tmp_path)


def is_sound(place: Place) -> None:
    """Has an end and left no process behind."""
    assert events(place, "run.finished")
    for path in place.folder.glob("pids*"):
        for pid in path.read_text().split():
            until(lambda pid=pid: not is_running(int(pid)))  # type: ignore[misc]  # a default of a lambda


def blocked(place: Place, done: Done) -> None:
    assert (done.code, done.document["status"], done.document["cause"]) == (1, "blocked", "controller_failed")
    is_sound(place)


def test_a_program_that_answers_completes_the_run(place: Place) -> None:
    done = go(place, f"cat > asked; echo '{FINISH}'")
    assert (done.code, done.document["summary"]) == (0, "all is well")
    asked = json.loads((place.folder / "asked").read_bytes())
    assert (asked["goal"], asked["path"], asked["triggers"]) == ("the goal", "slow", ["start"])
    (decision,) = events(place, "run.decision_made")
    assert (decision["controller"], decision.get("tokens_in"), decision.get("cost_nusd")) == ("it", None, None)
    is_sound(place)


@pytest.mark.parametrize("script", ["true", "exec <&-", "cat >/dev/null"])
def test_a_program_may_read_its_request_or_not(place: Place, script: str) -> None:
    (place.folder / "big.json").write_text(json.dumps({"much": "x" * 300_000}))
    done = go(place, f"{script}; echo '{FINISH}'", "--context", "@big.json", "the goal")
    assert done.code == 0, done
    is_sound(place)


def test_what_a_program_says_on_stderr_is_no_part_of_its_answer(place: Place) -> None:
    assert go(place, f"echo 'thinking' >&2; printf '```json\\n%s\\n```\\n' '{FINISH}'").code == 0
    is_sound(place)


@pytest.mark.parametrize(
    ("script", "cause"),
    [
        (f"echo '{FINISH}'; exit 3", "exit:3"),
        ("kill -SEGV $$", "signal:SIGSEGV"),
        (f"echo '{FINISH}'; kill -KILL $$", "signal:SIGKILL"),
    ],
)
def test_a_program_that_crashes_decided_nothing_whatever_it_said(place: Place, script: str, cause: str) -> None:
    blocked(place, go(place, script))
    assert causes(place) == [cause, cause]


@pytest.mark.parametrize(
    ("script", "refused"),
    [
        ("true", "not_json"),
        ("echo I would rather not", "not_json"),
        (r"printf '\377\376\000'", "not_json"),
        ("echo '[]'", "not_an_object"),
        ("""echo '{"type":"finish"}'""", "wrong_shape"),
        (f"echo '{FINISH}'; echo '{FINISH}'", "not_json"),
    ],
)
def test_an_answer_that_is_none_is_asked_again_then_the_run_is_blocked(place: Place, script: str, refused: str) -> None:
    blocked(place, go(place, script))
    found = [each["refused"] for each in events(place, "run.decision_made")]
    assert len(found) == 2
    assert all(each.startswith(refused) for each in found)


@pytest.mark.parametrize(
    "script",
    [
        "sleep 1000",
        "trap '' TERM INT; while :; do sleep 0.05; done",
        "sleep 1000 & echo $! >> pids2; wait",
        "setsid sleep 1000 & echo $! >> pids2; wait",
        f"echo '{FINISH}'; exec >&-; sleep 1000",
    ],
)
def test_a_program_that_hangs_is_ended_at_its_deadline_with_all_that_it_started(place: Place, script: str) -> None:
    blocked(place, go(place, script, timeout=0.4))
    assert causes(place) == ["timeout", "timeout"]


def test_a_child_that_outlives_its_program_does_not_hold_up_the_answer(place: Place) -> None:
    done = go(place, f"sleep 1000 & echo $! >> pids2; echo '{FINISH}'")
    assert done.code == 0, done
    is_sound(place)


@pytest.mark.parametrize("script", ["yes", "yes >&2", "cat /dev/zero"])
def test_endless_output_is_cut_off(place: Place, script: str) -> None:
    blocked(place, go(place, f"exec {script}", timeout=1))
    assert set(causes(place)) <= {"too_large", "timeout"}
    assert sum(path.stat().st_size for path in place.state.rglob("*") if path.is_file()) < 8 << 20


@pytest.mark.parametrize("how", ["missing", "not executable", "a folder"])
def test_a_program_that_cannot_be_started_ends_the_run(place: Place, how: str) -> None:
    path = place.folder / "program"
    if how == "not executable":
        path.write_text("no")
    elif how == "a folder":
        path.mkdir()
    place.config(TOML.format(argv=json.dumps([str(path)]), timeout=5, more=""))
    blocked(place, place.rt("do", "--agent", "it", "--json", "the goal"))
    assert all(causes(place))


def test_a_program_decides_on_tools_and_sees_their_output(place: Place) -> None:
    tool = '{"type":"tool","calls":[{"tool":"local-process","input":{"command":"echo","args":["found it"]}}]}'
    done = go(place, f"cat > asked; if grep -q '\"found it' asked; then echo '{FINISH}'; else echo '{tool}'; fi")
    assert done.code == 0, done
    assert [each["exit_code"] for each in events(place, "run.tool_exited")] == [0]
    assert b"found it" in (place.folder / "asked").read_bytes()
    is_sound(place)


def test_a_program_is_given_little_of_the_environment_and_no_secret(place: Place) -> None:
    place.script("decider", f"#!/bin/sh\nenv > env\necho '{FINISH}'\n")
    place.config(TOML.format(argv=json.dumps([str(place.folder / "decider")]), timeout=20, more=""))
    done = place.rt("do", "--agent", "it", "the goal", env={"OPENAI_API_KEY": "sk-canary-55aa66bb", "OTHER": "leaks"})
    assert done.code == 0, done
    names = {line.partition("=")[0] for line in (place.folder / "env").read_text().splitlines()}
    assert {"RT_RUN_ID", "RT_TASK_ID", "PATH"} <= names
    assert not {"OPENAI_API_KEY", "OTHER"} & names


def test_where_the_program_fails_the_rules_go_on_with_the_command(place: Place) -> None:
    done = go(place, "exit 1", "--", "sh", "-c", "echo worked")
    assert done.code == 0, done
    assert [each["controller"].partition(":")[0] for each in events(place, "run.decision_made")][:3] == [
        "it",
        "it",
        "fallback",
    ]
    is_sound(place)


def test_an_adversary_that_wants_everything_gets_what_the_policy_gives_and_nothing_else(place: Place) -> None:
    victim = place.folder / "victim"
    victim.write_text("alive")
    wanted = [
        {"tool": "local-process", "input": {"command": "rm", "args": [str(victim)]}},
        {"tool": "ssh-command", "input": {"host": "-oProxyCommand=touch x", "command": "id"}},
        {"tool": "local-process", "input": {"command": f"rm {victim}"}},
        {"tool": "shell", "input": {}},
    ]
    place.script("decider", f"#!/bin/sh\necho '{json.dumps({'type': 'tool', 'calls': wanted})}'\n")
    text = TOML.format(argv=json.dumps([str(place.folder / "decider")]), timeout=20, more="fast = false")
    place.config(text + '[[policies]]\nid = "no"\neffect = "deny"\ntool = "*"\narguments = {command = "rm"}\n')
    done = place.rt("do", "--agent", "it", "--json", "the goal")
    assert (done.code, done.document["status"]) == (1, "blocked")
    assert victim.read_text() == "alive"
    assert not (place.folder / "x").exists()
    found = {each["cause"] for each in events(place, "run.call_refused")}
    assert found == {"denied", "unknown_tool", "wrong_input"}
    assert events(place, "run.tool_started") == []
    is_sound(place)
