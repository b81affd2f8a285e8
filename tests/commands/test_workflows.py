"""`rt workflow`: instances move by what the real tasks of a script report, and by what a person says (WF-1 to WF-9)."""

import json
import sys
from typing import Any

import pytest

from tests.commands.place import Place, finished, interrupt, until

CONFIG = """default_adapter = "helper"
[retry]
attempts = 1
[adapters.helper]
command = "./helper"
"""
HELPER = f"""#!{sys.executable}
import json, os, pathlib, sys
payload = json.loads(os.environ["RT_TASK_PAYLOAD_JSON"])
key, state = payload["workflow_instance_key"], payload["workflow_state"]
paths = [payload.get(key) for key in ("output_path", "checklist_path")]
named = payload.get("required_artifacts", []) + [path for path in paths if path]
for name in named:
    path = pathlib.Path(".rt/artifacts") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{{os.getpid()}} wrote this for {{state}}")
seen = pathlib.Path("seen-" + key)
before = seen.read_text().split() if seen.exists() else []
with seen.open("a") as file:
    file.write(state + "\\n")
answers = json.loads(pathlib.Path("answers.json").read_text())
said = answers.get(key, answers["*"]).get(state, [""])
said = said[min(before.count(state), len(said) - 1)]
if isinstance(said, int):
    sys.exit(said)
report = {{"status": "completed", "operator_summary": state, "workflow_signal": said, "artifact_paths": named}}
print(json.dumps(report))
"""
CLAUDE = """#!/usr/bin/env python3
import json, pathlib, sys
if "--version" in sys.argv:
    sys.exit()
sys.stdin.read()
first = not pathlib.Path("asked").exists()
pathlib.Path("asked").touch()
outcome = {"status": "completed", "operator_summary": "done", "workflow_signal": "next"}
said = {"type": "result", "subtype": "success", "is_error": False, "result": json.dumps(outcome)}
said["total_cost_usd"] = 0.02
print(json.dumps(said | ({"is_error": True, "subtype": "error_during_execution"} if first else {})))
"""
LOOP = {"plan": ["plan_ready"], "execute": ["execute_ready"], "verify": ["continue", "complete"]}
SMALL: dict[str, Any] = {
    "name": "small",
    "start": "one",
    "states": {
        "one": {"task": {"kind": "k1"}, "signals": {"next": "two"}},
        "two": {"task": {"kind": "k2"}, "completion_kinds": ["k2"]},
    },
    "caps": {"state_retry_max": 1},
}


def going(place: Place, answers: dict[str, Any] | None = None, more: str = "", **of: Any) -> Place:  # noqa: ANN401  # of one key
    """A place whose tasks answer as it is said: for each state one signal after the other; a number is an exit code."""
    if not place.state.exists():
        place.ok("init")
    place.script("helper", HELPER)
    (place.folder / "answers.json").write_text(json.dumps({"*": answers or LOOP} | of))
    (place.folder / "small.json").write_text(json.dumps(SMALL))
    return place.config(CONFIG + more + '[workflows]\nsmall = "small.json"\n')


def create(place: Place, key: str = "w", template: str = "goal-loop", **context: object) -> dict[str, Any]:
    argv = ("--template", template, "--key", key, "--context", json.dumps({"summary": "tidy up"} | context))
    return place.json("workflow", "create", *argv)


def shown(place: Place, key: str = "w") -> dict[str, Any]:
    return place.json("workflow", "show", key)


def work(place: Place) -> None:
    place.ok("work", "--until-idle")


def seen(place: Place, key: str = "w") -> list[str]:
    """The states whose tasks ran."""
    path = place.folder / f"seen-{key}"
    return path.read_text().split() if path.exists() else []


def is_sound(place: Place) -> None:
    place.ok("log", "verify")
    place.ok("replay", "--all")


# moving


def test_a_goal_is_planned_carried_out_and_verified_until_it_is_reached(place: Place) -> None:
    """WF-1, WF-4: each completed task moves it once; the second iteration has a task of its own."""
    going(place)
    made = create(place)
    assert (made["created"], made["workflow"]["current_state"]) == (True, "plan")
    work(place)
    assert seen(place) == ["plan", "execute", "verify", "execute", "verify"]
    found = shown(place)
    assert (found["status"], found["current_state"], found["iteration"]) == ("completed", "complete", 2)
    assert found["context"]["last_workflow_signal"] == "complete"
    iterations = [each["iteration"] for each in place.events("workflow.transitioned.v1")]
    assert iterations == [1, 1, 2, 2, 2]
    tasks = place.rows("task", "list", "--limit", "10")
    assert {(task["status"], task["priority"]) for task in tasks} == {("completed", 7)}
    assert len(tasks) == 5
    is_sound(place)


def test_further_evaluations_without_outcomes_change_nothing(place: Place) -> None:
    """WF-1, DC-7."""
    going(place, LOOP | {"verify": ["continue", "continue", "revise_plan"]})
    create(place)
    for _ in range(4):
        place.ok("run-once")
    before = [topic for topic in place.topics() if topic.startswith(("workflow.", "task."))]
    place.ok("pause")
    for _ in range(3):
        place.ok("run-once")
    place.ok("work", "--until-idle")
    assert [topic for topic in place.topics() if topic.startswith(("workflow.", "task."))] == before


def test_the_names_of_its_files_are_made_once(place: Place) -> None:
    """WF-4: the proposal is the required artifact, in every phase."""
    going(place)
    create(place)
    work(place)
    payloads = [place.task(task["task"])["payload"] for task in place.rows("task", "list")][::-1]
    base = shown(place)["context"]["base_name"]
    assert base.endswith("-tidy-up")
    assert {each["proposal_artifact"] for each in payloads} == {f"plans/{base}-plan.md"}
    assert payloads[0]["required_artifacts"] == [payloads[0]["proposal_artifact"]]
    assert payloads[3]["required_artifacts"] == [f"reports/{base}-execute-2.md"]


def test_a_plan_is_revised_and_its_iteration_kept(place: Place) -> None:
    going(place, LOOP | {"verify": ["revise_plan", "complete"]})
    create(place)
    work(place)
    assert seen(place) == ["plan", "execute", "verify", "plan", "execute", "verify"]
    assert (shown(place)["status"], shown(place)["iteration"]) == ("completed", 1)
    is_sound(place)


@pytest.mark.parametrize(
    ("answer", "cause", "verified"), [("continue", "max_iterations", 10), ("revise_plan", "max_revisions", 4)]
)
def test_what_never_ends_is_parked_with_its_cause_and_goes_on_when_a_person_says_so(
    place: Place, answer: str, cause: str, verified: int
) -> None:
    """WF-3."""
    going(place, LOOP | {"verify": [answer]})
    create(place)
    work(place)
    assert (shown(place)["status"], shown(place)["cause"]) == ("parked", cause)
    assert seen(place).count("verify") == verified
    assert place.json("workflow", "retry", "w")["status"] == "active"
    work(place)
    assert shown(place)["cause"] == cause
    assert seen(place).count("verify") > verified


@pytest.mark.parametrize("answer", ["", "maybe", "COMPLETE"])
def test_a_signal_that_is_missing_is_asked_for_again_and_then_a_person(place: Place, answer: str) -> None:
    """WF-2: twice, with the issue stated."""
    going(place, LOOP | {"verify": [answer]})
    create(place)
    work(place)
    assert seen(place) == ["plan", "execute", "verify", "verify", "verify"]
    assert (shown(place)["status"], shown(place)["cause"]) == ("parked", "signal_missing")
    last = place.task(shown(place)["task_id"])
    assert "workflow_signal has to be one of: continue, complete, revise_plan" in last["description"]
    assert place.topics().count("workflow.parked.v1") == 1
    is_sound(place)


def test_a_signal_that_comes_when_it_is_asked_for_again_counts(place: Place) -> None:
    """WF-2."""
    going(place, LOOP | {"verify": ["maybe", "complete"]})
    create(place)
    work(place)
    assert shown(place)["status"] == "completed"


def test_prose_never_moves_a_workflow(place: Place) -> None:
    going(place, more='outcome = "text"\n')
    place.script("helper", "#!/bin/sh\necho 'workflow_signal: plan_ready, plan_ready'\n")
    create(place)
    work(place)
    assert (shown(place)["current_state"], shown(place)["cause"]) == ("plan", "signal_missing")


@pytest.mark.parametrize(("template", "tasks", "cause"), [("goal-loop", 1, "task_failed"), ("small", 2, "task_failed")])
def test_a_failed_state_is_tried_again_as_often_as_its_template_says(
    place: Place, template: str, tasks: int, cause: str
) -> None:
    """WF-9: 0 for the goal loop, 1 here."""
    going(place, {"plan": [64], "one": [64]})
    create(place, template=template)
    work(place)
    assert len(seen(place)) == tasks
    assert (shown(place)["status"], shown(place)["cause"]) == ("parked", cause)


def test_a_blocked_task_parks_its_workflow_and_a_retry_goes_on(place: Place) -> None:
    """WF-6, LC-1."""
    going(place, LOOP | {"plan": [3, "plan_ready"]})
    create(place)
    work(place)
    assert (shown(place)["status"], shown(place)["cause"]) == ("parked", "task_blocked")
    assert "attempts_exhausted" in shown(place)["message"]
    assert place.json("workflow", "retry", "w", "--context", '{"note": "again"}')["status"] == "active"
    work(place)
    assert (shown(place)["status"], shown(place)["context"]["note"]) == ("completed", "again")
    is_sound(place)


def test_a_blocked_task_that_a_person_retries_moves_its_workflow_on(place: Place) -> None:
    """WF-6: mending the task mends the workflow."""
    going(place, LOOP | {"plan": [3, "plan_ready"]})
    create(place)
    work(place)
    place.ok("retry", shown(place)["task_id"])
    work(place)
    assert shown(place)["status"] == "completed"


def test_a_task_that_a_person_cancels_parks_its_workflow(place: Place) -> None:
    going(place)
    create(place)
    place.ok("cancel", shown(place)["task_id"], "--reason", "no")
    assert (shown(place)["status"], shown(place)["cause"]) == ("parked", "task_canceled")


def test_one_poisoned_instance_never_holds_up_the_others(place: Place) -> None:
    """DC-2: nine of twelve reach their end; the three are visible with their reasons."""
    flows = [f"w{number}" for number in range(12)]
    going(place, LOOP | {"verify": ["complete"]}, w1={"plan": [64]}, w5={"plan": ["nonsense"]}, w9={"plan": [3]})
    for key in flows:
        create(place, key)
    with place.started("work", "--until-idle") as one, place.started("work", "--until-idle") as two:
        assert [finished(each, seconds=60).code for each in (one, two)] == [0, 0]
    work(place)
    found = {each["instance_key"]: (each["status"], each["cause"]) for each in place.rows("workflow", "list", "--all")}
    poisoned = {"w1": "task_failed", "w5": "signal_missing", "w9": "task_blocked"}
    assert found == {key: ("parked", poisoned[key]) if key in poisoned else ("completed", "") for key in flows}
    open_ones = place.rows("workflow", "list")
    assert {each["instance_key"] for each in open_ones} == set(poisoned)
    is_sound(place)


def test_an_instance_whose_task_is_refused_is_parked_with_the_reason_and_others_go_on(place: Place) -> None:
    """DC-2, IN-8: the adapter is gone when the next state wants its task."""
    going(place, {"one": ["next"], "two": ["x"]})
    create(place, "bad", "small")
    create(place, "good", "small")
    state = SMALL | {"states": SMALL["states"] | {"two": {"task": {"kind": "k2", "payload": {"args": 7}},
                                                          "completion_kinds": ["k2"]}}}  # fmt: skip
    (place.folder / "small.json").write_text(json.dumps(state))
    create(place, "worse", "small")
    work(place)
    found = {each["instance_key"]: each for each in place.rows("workflow", "list", "--all")}
    assert {key: each["status"] for key, each in found.items()} == {
        "bad": "completed", "good": "completed", "worse": "parked",
    }  # fmt: skip
    assert found["worse"]["cause"] == "task_refused"
    assert "payload.args" in found["worse"]["message"]


def test_a_move_and_its_task_lie_in_the_transaction_of_the_end(place: Place) -> None:
    """WF-7, LC-4."""
    going(place)
    create(place)
    place.ok("run-once")
    topics = place.topics()
    end = topics.index("task.completed.v1")
    assert topics[end - 1 : end + 5] == [
        "run.finished.v1", "task.completed.v1", "workflow.task_ended.v1", "workflow.transitioned.v1",
        "workflow.task_wanted.v1", "task.queued.v1",
    ]  # fmt: skip
    assert place.events("task.queued.v1")[1]["origin"]["kind"] == "workflow"


def test_a_dispatcher_that_is_killed_between_two_states_loses_no_move(place: Place) -> None:
    """WF-1, WF-7."""
    going(place, LOOP | {"verify": ["continue", "continue", "continue", "complete"]})
    text = (place.folder / "rt.toml").read_text()
    place.config(text.replace("attempts = 1", "attempts = 9\nbackoff_s = 0.01\nbackoff_max_s = 0.01"))
    create(place)
    for count in (2, 4):
        with place.started("work") as process:
            until(lambda: place.topics().count("task.completed.v1") >= count, seconds=40)  # noqa: B023  # awaited at once
            process.kill()
    with place.started("work") as process:
        until(lambda: shown(place)["status"] == "completed", seconds=40)
        interrupt(process)
    epochs = [each["epoch"] for each in place.events("workflow.transitioned.v1")]
    assert epochs == list(range(2, len(epochs) + 2))
    is_sound(place)


# a person


def test_a_person_moves_an_instance_and_the_open_task_is_canceled(place: Place) -> None:
    """WF-8."""
    going(place, {"one": ["next"], "two": ["x"]})
    create(place, template="small")
    task = shown(place)["task_id"]
    moved = place.json("workflow", "transition", "w", "--to", "two", "--context", '{"scope": ["a"]}')
    assert (moved["current_state"], moved["context"]["scope"]) == ("two", ["a"])
    assert place.task(task)["status"] == "operator_canceled"
    assert moved["task_id"] != task
    work(place)
    assert (seen(place), shown(place)["status"]) == (["two"], "completed")
    is_sound(place)


def test_a_running_task_of_the_state_that_is_left_is_ended(place: Place) -> None:
    """WF-8, OP-1."""
    going(place, {"one": ["next"], "two": ["x"]})
    place.script("helper", "#!/bin/sh\ntouch begun; exec sleep 60\n")
    create(place, template="small")
    task = shown(place)["task_id"]
    with place.started("work", "--until-idle") as process:
        until((place.folder / "begun").exists)
        place.script("new", HELPER)
        (place.folder / "new").replace(place.folder / "helper")
        place.ok("workflow", "transition", "w", "--signal", "next")
        assert finished(process).code == 0
    assert place.task(task)["status"] == "operator_canceled"
    ended = [each for each in place.rows("log", "tail") if each["topic"] in {
        "workflow.task_dropped.v1", "run.cancel_asked.v1", "run.cancel_requested.v1",
    }]  # fmt: skip
    assert len({each["at"] for each in ended}) == 1, "one transaction: no crash can leave it running"
    assert len(ended) == 3
    assert (seen(place), shown(place)["status"]) == (["two"], "completed")


def test_a_detached_task_goes_on_and_moves_nothing(place: Place) -> None:
    """WF-8."""
    going(place, {"one": ["next"], "two": ["x"]})
    create(place, template="small")
    task = shown(place)["task_id"]
    place.ok("workflow", "transition", "w", "--signal", "next", "--open-task", "detach")
    work(place)
    assert place.task(task)["status"] == "completed"
    assert sorted(seen(place)) == ["one", "two"]
    assert place.topics().count("workflow.transitioned.v1") == 1
    assert shown(place)["status"] == "completed"


def test_a_move_into_a_terminal_state_completes(place: Place) -> None:
    """WF-8."""
    going(place, LOOP | {"verify": [64]})
    create(place)
    work(place)
    assert shown(place)["status"] == "parked"
    assert place.json("workflow", "transition", "w", "--to", "complete")["status"] == "completed"


def test_a_person_skips_completes_and_cancels(place: Place) -> None:
    """WF-6."""
    going(place)
    for key in ("skip", "complete", "cancel"):
        create(place, key, "small")
    assert place.json("workflow", "skip", "skip")["current_state"] == "two"
    assert place.json("workflow", "complete", "complete")["status"] == "completed"
    assert place.json("workflow", "cancel", "cancel", "--reason", "no use")["status"] == "canceled"
    assert place.events("workflow.canceled.v1")[0]["reason"] == "no use"
    assert [task["status"] for task in place.rows("task", "list")].count("operator_canceled") == 3
    assert [each["instance_key"] for each in place.rows("workflow", "list")] == ["skip"]


REFUSED: list[tuple[str, tuple[str, ...], int, str]] = [
    ("to an unknown state", ("transition", "w", "--to", "nowhere"), 2, "no way on"),
    ("to a state that is no way on", ("transition", "w", "--to", "complete"), 2, "there are: execute"),
    ("an unknown signal", ("transition", "w", "--signal", "complete"), 2, "there are: plan_ready"),
    ("to nowhere", ("transition", "w"), 2, "say which state"),
    ("a context that is null", ("transition", "w", "--to", "execute", "--context", "null"), 2, "expected an object"),
    ("a context that is a list", ("transition", "w", "--to", "execute", "--context", "[]"), 2, "expected an object"),
    ("a base name", ("transition", "w", "--to", "execute", "--context", '{"base_name": "x"}'), 2, "cannot be set"),
    ("an unknown way of leaving", ("skip", "w", "--open-task", "kill"), 2, "cancel or detach"),
    ("a retry of what goes on", ("retry", "w"), 5, "only a parked one"),
    ("nobody", ("complete", "nobody"), 3, "nobody"),
    ("one that is over", ("complete", "over"), 5, "never moves again"),
    ("a move of one that is over", ("transition", "over", "--to", "two"), 5, "never moves again"),
    ("a cancel of one that is over", ("cancel", "over"), 5, "never moves again"),
]


@pytest.mark.parametrize(("argv", "code", "why"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_a_wish_that_cannot_be_is_refused_and_changes_nothing(
    place: Place, argv: tuple[str, ...], code: int, why: str
) -> None:
    """WF-7."""
    going(place)
    create(place)
    create(place, "over", "small")
    place.ok("workflow", "complete", "over")
    head = place.head()
    done = place.rt("workflow", *argv, "--json")
    assert done.code == code, done
    assert why in json.dumps(done.error)
    assert place.head() == head


def test_a_key_that_is_known_answers_with_the_one_that_is_there(place: Place) -> None:
    going(place)
    first = create(place)
    again = create(place, summary="something else")
    assert (again["created"], again["workflow_id"]) == (False, first["workflow_id"])
    assert shown(place)["context"]["summary"] == "tidy up"
    assert place.topics().count("workflow.created.v1") == 1


def test_an_instance_is_found_by_its_key_and_by_the_beginning_of_its_id(place: Place) -> None:
    going(place)
    made = create(place)
    assert shown(place, made["workflow_id"][:8])["instance_key"] == "w"
    assert place.rt("workflow", "show", made["workflow_id"][:3]).code == 3


BAD: list[tuple[str, tuple[str, ...], str]] = [
    ("an unknown state", ("--template", "goal-loop", "--key", "w", "--state", "nowhere"), "workflow.state"),
    ("a context that is null", ("--template", "goal-loop", "--key", "w", "--context", "null"), "workflow.context"),
    ("a context that is a text", ("--template", "goal-loop", "--key", "w", "--context", '"x"'), "workflow.context"),
    ("a blank key", ("--template", "goal-loop", "--key", " "), "workflow.instance_key"),
    ("a base name with a slash", ("--template", "goal-loop", "--key", "w", "--context", '{"base_name": "../x"}'),
     "workflow.context.base_name"),
]  # fmt: skip


@pytest.mark.parametrize(("argv", "where"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_what_cannot_begin_is_named_and_nothing_is_stored(place: Place, argv: tuple[str, ...], where: str) -> None:
    """WF-7, DC-2: also a context that is JSON null."""
    done = place.rt("workflow", "create", *argv, "--json")
    assert (done.code, done.error["where"]) == (2, where)
    assert place.head() == 0


def test_an_instance_may_begin_in_a_state_of_its_template(place: Place) -> None:
    """WF-7."""
    going(place)
    argv = ("--template", "goal-loop", "--key", "w", "--state", "verify")
    assert place.json("workflow", "create", *argv)["workflow"]["current_state"] == "verify"


def test_secrets_in_a_context_are_refused(place: Place) -> None:
    going(place, more='[secrets]\nenv = ["PASS"]\n')
    create(place)
    env, context = {"PASS": "hunter2hunter2"}, '{"note": "hunter2hunter2"}'
    for argv in (
        ("create", "--template", "small", "--key", "x", "--context", context),
        ("transition", "w", "--to", "execute", "--context", context),
        ("retry", "w", "--context", context),
    ):
        done = place.rt("workflow", *argv, "--json", env=env)
        assert (done.code, done.error["where"]) == (2, "workflow.context"), argv
        assert "registered secret" in done.error["why"]
    assert b"hunter2" not in (place.state / "log.db").read_bytes()


# templates


def test_all_templates_are_listed(place: Place) -> None:
    going(place)
    found = {each["template"]: each for each in place.rows("workflow", "templates")}
    assert set(found) == {"community-research", "goal-loop", "small", "wallet-onboarding"}
    assert found["goal-loop"]["start"] == "plan"
    assert found["small"]["states"] == ["one", "two"]


@pytest.mark.parametrize("template", ["community-research", "wallet-onboarding"])
def test_the_other_templates_run_to_their_end(place: Place, template: str) -> None:
    """WF-5: their parameters come from the context, the template, and the configuration."""
    going(place)
    create(place, template=template)
    work(place)
    assert shown(place)["status"] == "completed", shown(place)
    is_sound(place)


TOML = """name = "mine"
start = "one"
inputs = ["who"]
[parameters]
greeting = "hello"
[states.one]
signals.next = "two"
[states.one.task]
kind = "k1"
subject = "{ctx.greeting}, {ctx.who|you}"
[states.two]
completion_kinds = ["k2"]
[states.two.task]
kind = "k2"
"""


@pytest.mark.parametrize("form", ["toml", "json"])
def test_a_template_of_ones_own_is_a_file_of_either_form(place: Place, form: str) -> None:
    """WF-5."""
    import tomllib

    text = TOML if form == "toml" else json.dumps(tomllib.loads(TOML))
    (place.folder / f"mine.{form}").write_text(text)
    going(place, {"one": ["next"], "two": ["x"]})
    place.config(CONFIG + f'[workflows]\nmine = "mine.{form}"\n')
    create(place, template="mine", greeting="hi")
    assert place.task(shown(place)["task_id"])["subject"] == "hi, you"
    work(place)
    assert shown(place)["status"] == "completed"


WRONG: list[tuple[str, str, str]] = [
    ("does not parse", "name = ", "does not parse"),
    ("another name", TOML.replace('name = "mine"', 'name = "yours"'), "'yours'"),
    ("no such state", TOML.replace('signals.next = "two"', 'signals.next = "too"'), "did you mean 'two'"),
    ("a dead end", TOML.replace('completion_kinds = ["k2"]\n', ""), "dead end"),
    ("unreachable", TOML + '[states.three]\ncompletion_kinds = ["k"]\ntask.kind = "k"\n', "no way leads here"),
    ("an unknown field", TOML.replace("kind = ", "kindd = ", 1), "did you mean 'kind'"),
    ("no start", TOML.replace('start = "one"', 'start = "zero"'), "zero"),
    ("not UTF-8", "\udcff", "does not parse"),
]


@pytest.mark.parametrize(("text", "why"), [each[1:] for each in WRONG], ids=[each[0] for each in WRONG])
def test_a_template_that_is_wrong_is_named_with_its_file(place: Place, text: str, why: str) -> None:
    """WF-5."""
    (place.folder / "mine.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    place.config(CONFIG + '[workflows]\nmine = "mine.toml"\n')
    done = place.rt("workflow", "create", "--template", "mine", "--key", "w", "--json")
    assert (done.code, done.error["code"]) == (2, "config.invalid"), done
    assert done.error["where"].startswith("mine.toml")
    assert why in done.error["why"]
    assert place.head() == 0


def test_a_template_whose_file_is_missing_is_named(place: Place) -> None:
    place.config(CONFIG + '[workflows]\nmine = "mine.toml"\n')
    done = place.rt("workflow", "create", "--template", "mine", "--key", "w", "--json")
    assert (done.code, "mine.toml" in done.error["where"]) == (2, True)


@pytest.mark.parametrize("name", ["nothing", "../goal-loop", ""])
def test_an_unknown_template_is_named_with_those_that_there_are(place: Place, name: str) -> None:
    done = place.rt("workflow", "create", "--template", name, "--key", "w", "--json")
    assert (done.code, done.error["code"]) == (3, "workflow.unknown_template")
    assert "goal-loop" in json.dumps(done.error)


def test_an_instance_keeps_the_template_that_it_was_created_with(place: Place) -> None:
    """WF-5."""
    going(place, {"one": ["next"], "two": ["x"]})
    create(place, template="small")
    version = shown(place)["template_version"]
    changed = {"name": "small", "start": "one", "states": {"one": {"task": {"kind": "k1"}, "completion_kinds": ["k1"]}}}
    (place.folder / "small.json").write_text(json.dumps(changed))
    create(place, "new", "small")
    work(place)
    assert (seen(place), seen(place, "new")) == (["one", "two"], ["one"])
    assert (shown(place)["template_version"], shown(place, "new")["template_version"] != version) == (version, True)


@pytest.mark.parametrize(("allowed", "status"), [("", "parked"), ('allow_argv_from = ["workflow"]\n', "completed")])
def test_commands_come_from_a_template_only_where_the_configuration_says_so(
    place: Place, allowed: str, status: str
) -> None:
    """OU-2b."""
    states = {"one": {"task": {"kind": "k", "payload": {"argv": ["true"]}}, "completion_kinds": ["k"]}}
    (place.folder / "mine.json").write_text(json.dumps({"name": "mine", "start": "one", "states": states}))
    place.ok("init")
    place.config(allowed + '[workflows]\nmine = "mine.json"\n')
    create(place, template="mine")
    work(place)
    found = shown(place)
    assert found["status"] == status
    assert found["cause"] == ("task_refused" if status == "parked" else "")


def test_what_its_tasks_cost_counts_and_parks_it_at_the_cap(place: Place) -> None:
    """Also what failed attempts cost."""
    place.ok("init")
    place.script("claude", CLAUDE)
    capped = SMALL | {"name": "capped", "caps": {"cost_usd": 0.03}}
    (place.folder / "capped.json").write_text(json.dumps(capped))
    place.config(
        'default_adapter = "coder"\n[adapters.coder]\nkind = "claude-code"\ncommand = "./claude"\nstream = false\n'
        '[retry]\nattempts = 2\nbackoff_s = 0.01\n[workflows]\ncapped = "capped.json"\n'
    )
    create(place, template="capped")
    until(lambda: place.ok("work", "--until-idle").code == 0 and shown(place)["status"] == "parked")
    assert [each["cost_nusd"] for each in place.events("workflow.task_ended.v1")] == [40_000_000]
    assert shown(place)["cause"] == "cost"
    place.ok("replay", "--all")
