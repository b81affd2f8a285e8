"""`rt why`: from what happened back to who or what wanted it, in plain words, each with its position."""

import json
from itertools import pairwise
from typing import Any

import pytest

from tests.commands.asking import RULES, begin
from tests.commands.place import Place, interrupt, until


def says(place: Place, *argv: str) -> list[str]:
    return [each["says"] for each in place.rows("why", *argv)]


def is_a_chain(rows: list[dict[str, Any]]) -> bool:
    """Each names the one before it as its cause, but for decisions, which stand beside the next."""
    positions = {row["position"] for row in rows}
    return all(one["position"] < two["position"] for one, two in pairwise(rows)) and all(
        row["caused_by"] in positions for row in rows[1:]
    )


def test_a_command_goes_back_to_the_person_who_wanted_it(place: Place) -> None:
    place.ok("--actor", "ann", "do", "--", "sh", "-c", "exit 0")
    rows = place.rows("why", "@last")
    assert is_a_chain(rows)
    said = [row["says"] for row in rows]
    assert said[0].startswith("ann took in the task")
    assert "claimed it: run" in said[1]
    assert said[3] == "call c1 was asked for: process: sh -c 'exit 0'"
    assert said[-2:] == ["its process exited with 0 after " + said[-2].split()[-2] + " s", "the task is completed"]


def test_text_for_people_has_position_time_and_words(place: Place) -> None:
    place.ok("do", "--", "true")
    first = place.ok("why", "@last").text.splitlines()[0].split(maxsplit=2)
    assert first[0] == "1"
    assert len(first[1].split(":")) == 3
    assert "took in the task" in first[2]


def test_a_decision_stands_between_the_line_that_it_saw_and_what_it_led_to(place: Place) -> None:
    place.rt("do", "--cancel-on", "hopeless", "--", "sh", "-c", "echo this is hopeless; exec sleep 60")
    said = says(place, "@last")
    at = next(at for at, each in enumerate(said) if "printed" in each)
    assert said[at].endswith("to stdout, the last line: this is hopeless")
    assert said[at + 1].startswith("decision ")
    assert "urgent" in said[at + 1]
    assert said[at + 2] == "call c1 is to end: controller"


def test_what_a_person_approved_goes_through_their_yes_and_the_policy(place: Place) -> None:
    place.config(RULES)
    begin(place)
    place.ok("--actor", "jo", "approve", "@last", "--note", "go ahead")
    place.ok("run-once")
    said = says(place, "@last", "run.tool_exited")
    text = "\n".join(said)
    assert "the policy asks a person" in text
    assert "jo approved call c1: go ahead" in text
    assert "the run may go on" in text
    assert "took the run up again" in text
    words = ("the policy asks", "jo approved", "took the run up again", "its process began")
    assert sorted(words, key=text.index) == list(words)


def test_a_retry_goes_back_through_the_attempt_that_failed(place: Place) -> None:
    place.config("[retry]\nbackoff_s = 0.01\nattempts = 2\n")
    task = place.queue("false")
    with place.started("work") as process:
        until(lambda: place.task(task)["status"] == "blocked")
        interrupt(process)
    text = "\n".join(says(place, "@last"))
    assert "the task will be tried again" in text
    assert "attempt 1 of 2" in text
    assert "attempt 2 of 2" in text


def test_a_scheduled_task_goes_back_to_its_schedule(place: Place) -> None:
    place.ok("init")
    place.ok("--actor", "ann", "schedule", "create", "beat", "--every", "30m", "--", "true")
    place.ok("schedule", "tick")
    place.ok("work", "--until-idle")
    said = says(place, "@last")
    assert any("the schedule made its task number 1" in each for each in said)
    assert any("made by a schedule" in each for each in said)


def test_a_workflow_task_goes_back_to_its_workflow(place: Place) -> None:
    place.script("helper", "#!/bin/sh\necho done\n")
    place.config('default_adapter = "helper"\n[adapters.helper]\ncommand = "./helper"\noutcome = "text"\n')
    place.ok("workflow", "create", "--template", "goal-loop", "--instance_key", "w", "--context", '{"summary": "s"}')
    place.ok("run-once")
    said = says(place, "@last")
    assert "created workflow w from goal-loop" in said[0]
    assert any("the workflow wants a task for its state" in each for each in said)


# what is asked about


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Place:
    place = Place(tmp_path_factory.mktemp("why"))
    place.ok("do", "demo", "early-cancel")
    return place


def test_an_event_is_named_by_position_name_or_decision(demo: Place) -> None:
    last = demo.rows("why", "@last", "@decision1")[-1]
    assert last["topic"] == "run.decision_made.v1"
    assert demo.rows("why", "@last", str(last["position"]))[-1] == last
    assert demo.rows("why", "@last", "tool_exited")[-1]["topic"] == "run.tool_exited.v1"
    assert demo.rows("why", "@last", "output.appended")[-1]["topic"] == "output.appended.v1"


def test_a_field_means_the_event_that_last_changed_it(demo: Place) -> None:
    assert demo.rows("why", "@last", "status")[-1]["topic"] == "run.finished.v1"
    decisions = [each for each in demo.rows("run", "log", "@last") if each["topic"] == "run.decision_made.v1"]
    assert demo.rows("why", "@last", "mind.decisions")[-1]["position"] == decisions[-1]["position"]
    assert demo.rows("why", "@last", "calls[c1].pid")[-1]["topic"] == "run.tool_started.v1"


def test_a_task_is_asked_about_like_a_run(place: Place) -> None:
    task = place.queue("true")
    assert says(place, task)[-1].endswith("took in the task 'true' (kind command, source cli)")
    place.ok("cancel", task, "--reason", "no need")
    assert says(place, task)[-1].endswith("canceled the task: no need")
    assert says(place, task, "queued")[-1].endswith("(kind command, source cli)")
    assert place.rt("why", task, "finished").code == 2


@pytest.mark.parametrize(
    ("argv", "code", "says_"),
    [
        (("@last", "statu"), 2, "near it: status"),
        (("@last", "nothing"), 2, "no event or field"),
        (("@last", "1"), 3, "its events lie from"),
        (("@last", "@decision7"), 3, "its events lie from"),
        (("@last", "@x"), 2, "@decision3"),
        (("deadbeef",), 3, "no task begins with"),
    ],
)
def test_what_is_not_there_is_said(demo: Place, argv: tuple[str, ...], code: int, says_: str) -> None:
    done = demo.rt("why", *argv)
    assert done.code == code
    assert says_ in done.errors


def test_what_strangers_wrote_does_nothing_to_a_terminal(place: Place) -> None:
    evil = "\x1b[2J\u202eevil"
    document = {"kind": "k", "source": evil, "subject": evil, "payload": {"argv": ["printf", evil]}}
    place.ok("intake", json.dumps(document))
    place.ok("work", "--until-idle")
    for argv in (("why", "@last"), ("why", "@last", "output.appended")):
        text = place.ok(*argv).text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "evil" in text


@pytest.mark.parametrize("argv", [("why", "@last"), ("run", "log", "@last"), ("run", "show", "@last")])
def test_an_empty_log_says_that_nothing_happened_yet(place: Place, argv: tuple[str, ...]) -> None:
    place.ok("init")
    error = place.rt(*argv, "--json").error
    assert (error["code"], error["hint"]) == ("id.not_found", "rt do -- echo hello")
    assert error["message"] in ("@last: nothing ran yet", "@last: nothing was taken in yet")


def test_a_log_without_a_failure_says_so(demo: Place) -> None:
    assert demo.rt("task", "show", "@waiting", "--json").error["message"] == "@waiting: no task is blocked"
