"""`rt fork`: what would have been, from the record, and live only where it was allowed; the log is not touched."""

import json
from typing import Any

import pytest

from tests.commands.asking import ECHO, wanting
from tests.commands.place import Place

CONFIG = """
[controllers.patient]
kind = "rules"
rules = [
  {when = "start", then = "tool"},
  {when = "urgent", then = "wait"},
  {when = "exit", then = "finish", message = "over"},
]
[controllers.elsewhere]
kind = "rules"
rules = [
  {when = "start", then = "tool", calls = [{tool = "local-process", input = {command = "./touches", args = []}}]},
  {when = "exit:ok", then = "finish", message = "went well"},
]
[profiles.free]
controller = "patient"
tools = ["local-process"]
approvals = {local-process = "allow"}
[controllers.program]
kind = "command"
argv = ["./decide"]
"""
TOUCHES = '#!/bin/sh\necho "$RT_RUN_ID" >> touched\necho done\n'
DECIDES = '#!/bin/sh\ncat >/dev/null\necho \'{"type": "finish", "message": "enough"}\'\n'


@pytest.fixture
def demo(place: Place) -> Place:
    place.config(CONFIG)
    place.script("touches", TOUCHES)
    place.script("decide", DECIDES)
    place.ok("do", "demo", "early-cancel")
    return place


def forked(place: Place, *argv: str) -> dict[str, Any]:
    return place.json("fork", "@last", *argv)


def kinds(found: dict[str, Any], source: str) -> list[str]:
    return [each["data"]["type"] for each in found["events"] if each["source"] == source]


def test_without_other_inputs_it_goes_as_recorded_and_writes_nothing(demo: Place) -> None:
    head = demo.head()
    found = forked(demo, "--at", "@decision1")
    assert (found["state"], found["stopped"], found["difference"]) == ("completed", "", None)
    assert "live" not in {each["source"] for each in found["events"]}
    assert "says the same as the recorded run" in demo.ok("fork", "@last", "--at", "@decision1").text
    assert demo.head() == head


def test_another_controller_decides_until_nobody_knows_on(demo: Place) -> None:
    found = forked(demo, "--at", "@decision1", "--controller", "patient")
    assert "ended its c1 here" in found["stopped"]
    assert "decision=wait" in found["difference"]["fork"]
    assert "decision=cancel" in found["difference"]["parent"]


def test_a_call_that_was_never_made_is_made_only_when_it_was_named_live(demo: Place) -> None:
    demo.ok("intake", wanting([ECHO], profile="free"))
    demo.ok("run-once")
    argv = ("--at", "@decision1", "--controller", "elsewhere")
    found = forked(demo, *argv)
    assert "--live local-process" in found["stopped"]
    assert not (demo.folder / "touched").exists()
    head = demo.head()
    found = forked(demo, *argv, "--live", "local-process")
    assert (found["state"], found["stopped"]) == ("completed", "")
    assert kinds(found, "live") == ["run.tool_started", "output.appended", "run.tool_exited"]
    assert demo.head() == head
    own = (demo.folder / "touched").read_text().strip()
    assert own
    assert own not in {each["run"] for each in demo.rows("run", "list")}


def test_a_controller_is_asked_only_when_it_was_named_live(demo: Place) -> None:
    argv = ("--at", "@decision1", "--controller", "program")
    assert "--live controller" in forked(demo, *argv)["stopped"]
    found = forked(demo, *argv, "--live", "controller")
    assert found["state"] == "completed"
    assert kinds(found, "live") == ["run.controller_answered"]


def test_a_budget_that_is_smaller_ends_it_where_it_would_have(demo: Place) -> None:
    found = forked(demo, "--at", "@decision1", "--set", "budgets.wall_us=100000")
    assert (found["state"], found["assumed"]) == ("failed", 1)
    assert "run.budget_reached" in kinds(found, "derived")
    assert (
        "1 ends of calls are assumed"
        in demo.ok("fork", "@last", "--at", "@decision1", "--set", "budgets.wall_us=100000").errors
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--at", "@decision99"), "99"),
        (("--at", "99999"), "99999"),
        (("--at", "1"), "1"),
        (("--at", "@decision1", "--controller", "nobody"), "nobody"),
        (("--at", "@decision1", "--set", "budgets.wal_us=1"), "wall_us"),
        (("--at", "@decision1", "--set", "budgets.wall_us=soon"), "Expected `int`"),
        (("--at", "@decision1", "--set", "budgets"), "PATH=JSON"),
        (("--at", "@decision1", "--set", "goal.x.y=1"), "no object"),
        (("--at", "@decision1", "--set", "book.rules=[]", "--live", "demo"), "by the policy that it was started with"),
    ],
)
def test_what_cannot_be_is_refused_with_the_field_that_mends_it(demo: Place, argv: tuple[str, ...], said: str) -> None:
    done = demo.rt("fork", "@last", *argv)
    assert done.code in (2, 3)
    assert said in done.errors
    assert "Traceback" not in done.errors


def test_runs_without_a_controller_are_refused(place: Place) -> None:
    place.ok("do", "--", "true")
    done = place.rt("fork", "@last", "--at", str(place.head()))
    assert done.code == 2
    assert "only runs with a controller" in done.errors


def test_the_fork_of_a_long_text_is_json_that_a_program_reads(demo: Place) -> None:
    found = json.loads(demo.ok("fork", "@last", "--at", "@decision2", "--json").text)
    assert found["schema"] == "rt.fork.v1"
    assert found["after"] < found["position"]
