"""Golden logs for people: recorded, checked, taken over when a change is wanted, and refused when they are no good."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain import ending, rules
from domain import run as core
from domain.agent_events import DecisionMade
from domain.errors import GoldenRefused
from domain.secret_shapes import looks_like
from replays import golden
from replays.golden import check, update
from tests.commands.place import Place
from tests.replays.recorded import GOLDEN, golden_names

LOG = "tests/golden/runs/{}/log.jsonl"


def lines(name: str) -> list[bytes]:
    return (GOLDEN / name / golden.FILE).read_bytes().splitlines(keepends=True)


@pytest.fixture
def recorded(place: Place) -> Place:
    place.ok("do", "demo", "early-cancel")
    place.ok("golden", "record", "@last", "early")
    return place


# what is kept


def test_a_run_that_failed_is_kept_only_when_that_is_wanted(place: Place) -> None:
    place.rt("do", "--", "false")
    done = place.rt("golden", "record", "@last", "bad")
    assert done.code == 2
    assert "--failed" in done.errors
    place.ok("golden", "record", "@last", "bad", "--failed")
    assert place.ok("golden", "check").text == "1 of 1 golden logs identical\n"


@pytest.mark.parametrize(
    "text",
    [
        "ghp_" + "a1B2" * 9,
        "AKIA" + "ABCD1234" * 2,
        "sk-proj-" + "x" * 30,
        "xoxb-1234567890-abc",
        "-----BEGIN RSA PRIVATE KEY-----",
        "glpat-" + "z" * 20,
    ],
)
def test_what_looks_like_a_credential_is_not_kept_in_a_file_that_is_passed_on(place: Place, text: str) -> None:
    place.ok("do", "--", "printf", "%s", f"key: {text}\n")
    done = place.rt("golden", "record", "@last", "leaky")
    assert done.code == 2
    assert "looks like" in done.errors
    assert text not in done.errors
    assert not (place.folder / LOG.format("leaky")).exists()


def test_the_value_of_a_secret_that_became_known_later_is_not_kept(place: Place) -> None:
    place.ok("do", "--", "echo", "hunter2hunter2")
    place.config('[secrets]\nenv = ["PASS"]\n')
    done = place.rt("golden", "record", "@last", "leaky", env={"PASS": "hunter2hunter2"})
    assert done.code == 2
    assert "registered secret" in done.errors


def test_ordinary_text_looks_like_no_credential() -> None:
    for name in golden_names():
        assert looks_like(b"".join(lines(name)).decode("utf-8", "replace")) == ""
    assert looks_like("sk-short AKIA123 ghp_abc the private key of the house") == ""


# what is checked


def test_the_list_says_what_they_hold(recorded: Place) -> None:
    [row] = recorded.rows("golden", "list")
    assert (row["name"], row["ends"]) == ("early", "task.completed")
    assert row["bytes"] == (recorded.folder / LOG.format("early")).stat().st_size
    assert "early" in recorded.ok("golden", "list").text
    assert recorded.rt("golden", "list", "nowhere").code == 3


def test_a_file_of_a_newer_rt_says_so(recorded: Place) -> None:
    path = recorded.folder / LOG.format("early")
    path.write_bytes(path.read_bytes().replace(b'"format":1', b'"format":2', 1))
    done = recorded.rt("golden", "check")
    assert done.code == 7
    assert "newer rt" in done.errors


def test_a_recorded_effect_that_nothing_asks_for_and_one_that_is_missing_both_fail(recorded: Place) -> None:
    path = recorded.folder / LOG.format("early")
    whole = path.read_bytes().splitlines(keepends=True)
    at = next(at for at, line in enumerate(whole) if b"run.tool_call_requested" in line)
    header = json.loads(whole[0])
    for changed in (whole[1:at] + whole[at + 1 :], [*whole[1 : at + 1], whole[at], *whole[at + 1 :]]):
        header["events"] = len(changed)
        path.write_bytes(json.dumps(header).encode() + b"\n" + b"".join(changed))
        done = recorded.rt("golden", "check")
        assert done.code == 4
        assert "run.tool_call_requested" in done.text or "missing" in done.text


def test_a_difference_is_shown_in_at_most_twenty_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in golden_names():
        with monkeypatch.context() as patched:
            change_rules(patched)
            found = check(lines(name), name).result.difference
        assert found is None or len(str(found).splitlines()) <= 20


# what is taken over


def change_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same decisions in other words: each decision says another version of its rules."""
    right = core.step

    def other(state: core.Run | None, fact: Any) -> core.Step:  # noqa: ANN401  # any fact
        made = right(state, fact)
        changed = tuple(
            type(each)(**{**{name: getattr(each, name) for name in each.__struct_fields__}, "controller": "rules/2"})
            if isinstance(each, DecisionMade)
            else each
            for each in made.consequences
        )
        return core.Step(made.state, changed, made.texts)

    monkeypatch.setattr(core, "step", other)


def change_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "jittered", lambda pause_us, _seed: pause_us + 1)


@pytest.mark.parametrize(
    ("name", "change"),
    [("early-cancel", change_rules), ("server-check", change_rules), ("retry", change_backoff)],
)
def test_a_wanted_change_is_taken_over_and_holds_from_then_on(
    name: str, change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch)
    assert check(lines(name), name).result.difference is not None
    made = update(lines(name), name)
    assert made.difference is not None
    again = made.content.splitlines(keepends=True)
    assert check(again, name).result.difference is None
    assert update(again, name).difference is None
    monkeypatch.undo()
    assert check(again, name).result.difference is not None, "what was taken over is the change, and nothing else"


@pytest.mark.parametrize("name", golden_names())
def test_what_has_not_changed_is_left_alone(name: str) -> None:
    assert update(lines(name), name).difference is None


def test_code_that_asks_for_other_effects_needs_another_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "answer", lambda *_: None)
    with pytest.raises(GoldenRefused, match=r"other effects: missing .*; unused run.tool_call_requested c1"):
        update(lines("early-cancel"), "early-cancel")


def test_update_names_what_it_changed_and_nothing_changes_twice(recorded: Place) -> None:
    path = recorded.folder / LOG.format("early")
    text = path.read_text()
    path.write_text(text.replace('"rule":"root-cause"', '"rule":"other"').replace('"rule":"urgent"', '"rule":"other"'))
    assert recorded.rt("golden", "check").code == 4
    assert "updated: early" in recorded.ok("golden", "update").text
    assert recorded.ok("golden", "update").text == "0 golden logs updated\n"
    assert recorded.ok("golden", "check").text == "1 of 1 golden logs identical\n"
    assert recorded.rt("golden", "update", "nobody").code == 2


# the plugin for pytest


def own_project(recorded: Place, settings: str, test: str = "") -> Path:
    """A project with packages of our names, which are never imported."""
    for name in ("domain", "commands"):
        (recorded.folder / name).mkdir()
        (recorded.folder / name / "__init__.py").write_text('raise RuntimeError("the wrong package")\n')
    (recorded.folder / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
    if test:
        (recorded.folder / "test_golden.py").write_text(test)
    return recorded.folder


def pytest_in(recorded: Place, *argv: str) -> tuple[int, str]:
    import os
    import subprocess
    import sys

    own = {**recorded.environment, "PATH": os.environ["PATH"], "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-p", "rt_runtime.pytest_plugin", "-p", "no:cacheprovider", "-q", *argv]
    done = subprocess.run(command, cwd=recorded.folder, env=own, capture_output=True, check=False, timeout=60)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def test_each_golden_log_is_a_test_of_the_project(recorded: Place) -> None:
    recorded.ok("do", "--", "true")
    recorded.ok("golden", "record", "@last", "plain")
    own_project(recorded, "rt_golden = tests/golden/runs")
    code, text = pytest_in(recorded, "-v")
    assert code == 0, text
    assert "early" in text
    assert "2 passed" in text


def test_a_changed_decision_fails_its_test_with_the_difference(recorded: Place) -> None:
    path = recorded.folder / LOG.format("early")
    path.write_text(path.read_text().replace('"decision":"cancel"', '"decision":"wait"'))
    own_project(recorded, "rt_golden = tests/golden/runs")
    code, text = pytest_in(recorded)
    assert code == 1
    assert "golden log early diverged" in text
    assert "recorded  wait" in text
    assert "today     cancel" in text
    assert "rt golden update early" in text


def test_the_first_golden_test_takes_two_lines(recorded: Place) -> None:
    test = 'def test_our_agents_decide_as_recorded(rt_golden):\n    rt_golden("tests/golden/runs")\n'
    own_project(recorded, "", test)
    assert pytest_in(recorded)[0] == 0
    path = recorded.folder / LOG.format("early")
    path.write_text(path.read_text().replace('"decision":"cancel"', '"decision":"wait"'))
    code, text = pytest_in(recorded)
    assert code == 1
    assert "today     cancel" in text


def test_a_folder_without_golden_logs_fails(recorded: Place) -> None:
    own_project(recorded, "", 'def test_it(rt_golden):\n    rt_golden("nowhere")\n')
    code, text = pytest_in(recorded)
    assert code == 1
    assert "nowhere" in text
