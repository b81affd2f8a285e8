"""`rt redecide`: another controller at each recorded moment; nothing is carried out, nothing is written."""

import json
from typing import Any

import pytest

from replays.points import points
from tests.adapters.model_server import FINISH, completion, serving
from tests.commands.place import Place
from tests.replays.recorded import golden_events, golden_names

CONFIG = """
[controllers.patient]
kind = "rules"
rules = [
  {when = "start", then = "tool"},
  {when = "urgent", then = "wait"},
  {when = "exit", then = "finish", message = "over"},
]
[controllers.program]
kind = "command"
argv = ["./decide"]
[controllers.broken]
kind = "command"
argv = ["./nowhere"]
"""
ASKED = '#!/bin/sh\ncat >> asked; echo >> asked\necho \'{"type": "cancel", "runId": "c1"}\'\n'


@pytest.fixture
def demo(place: Place) -> Place:
    place.config(CONFIG)
    place.script("decide", ASKED)
    place.ok("do", "demo", "early-cancel")
    return place


def redecided(place: Place, controller: str) -> list[dict[str, Any]]:
    return place.rows("redecide", "@last", "--controller", controller)


def test_rules_are_asked_at_each_moment_and_only_what_differs_differs(demo: Place) -> None:
    head = demo.head()
    found = redecided(demo, "patient")
    assert [each["number"] for each in found] == list(range(1, len(found) + 1))
    assert [each["same"] for each in found] == [True] * (len(found) - 1) + [False]
    assert (found[-1]["recorded"]["decision"], found[-1]["other"]["decision"]) == ("cancel", "wait")
    assert demo.head() == head
    text = demo.ok("redecide", "@last", "--controller", "patient")
    assert f"1 of {len(found)} would differ" in text.errors
    assert "differs" in text.text


def test_the_controller_that_decided_would_decide_the_same_again(demo: Place) -> None:
    demo.config(CONFIG + '[controllers.same]\nkind = "rules"\nrules = [{when = "start", then = "tool"},'
                ' {when = "urgent", then = "cancel"}]\n')  # fmt: skip
    found = redecided(demo, "same")
    assert found[-1]["same"] is True


def test_a_program_sees_what_was_known_then_and_nothing_of_it_is_carried_out(demo: Place) -> None:
    head, files = demo.head(), demo.files()
    found = redecided(demo, "program")
    asked = [json.loads(line) for line in (demo.folder / "asked").read_text().splitlines() if line]
    assert len(asked) == len(found)
    assert asked[0]["triggers"] == ["start"]
    assert "Traceback" not in json.dumps(asked[0])
    assert "Traceback" in json.dumps(asked[-1])
    assert found[-1]["same"] is True, "it cancels where the run was canceled"
    assert demo.head() == head
    assert demo.files() - files == {"asked"}


def test_a_program_that_is_not_there_has_no_answer(demo: Place) -> None:
    found = redecided(demo, "broken")
    assert all(each["other"] is None or each["other"]["refused"] for each in found)
    assert not any(each["same"] for each in found)


def test_a_model_is_really_asked(demo: Place) -> None:
    with serving() as server:
        server.script += [completion(FINISH)] * 10
        demo.config(
            CONFIG + f'[models.m]\nbase_url = "{server.base}/script/v1"\nname = "m"\nprivate = true\nstream = false\n'
            '[controllers.model]\nkind = "openai"\nmodel = "m"\nretries = 0\n'
        )
        found = redecided(demo, "model")
        assert len(server.seen) == len(found)
    assert {each["other"]["decision"] for each in found if each["other"]} == {"finish"}


def test_at_most_so_many_are_asked(demo: Place) -> None:
    assert len(demo.rows("redecide", "@last", "--controller", "program", "--limit", "1")) == 1


@pytest.mark.parametrize(
    ("argv", "code"), [(("@last", "--controller", "nobody"), 3), (("beef", "--controller", "patient"), 3)]
)
def test_what_is_not_there_is_said(demo: Place, argv: tuple[str, ...], code: int) -> None:
    assert demo.rt("redecide", *argv).code == code


def test_a_run_that_no_controller_decided_is_refused(place: Place) -> None:
    place.config(CONFIG)
    place.ok("do", "--", "true")
    assert place.rt("redecide", "@last", "--controller", "patient").code == 2


@pytest.mark.parametrize("name", golden_names())
def test_each_decision_of_a_run_is_one_point(name: str) -> None:
    events = golden_events(name)
    decisions = [each.position for each in events if each.data.__struct_config__.tag == "run.decision_made"]
    assert [each.position for each in points(events)] == decisions
