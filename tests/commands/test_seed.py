"""`rt seed`: a backlog in one document, all of it or nothing, and as often as one likes (BR-4)."""

import json
from typing import Any

import pytest

from tests.commands.place import Place, finished

TASK: dict[str, Any] = {"kind": "k", "source": "seed", "payload": {"argv": ["true"]}}
FLOW: dict[str, Any] = {"template": "goal-loop", "instance_key": "w1", "context": {"summary": "x"}}
HELPER = 'default_adapter = "helper"\n[adapters.helper]\ncommand = "./helper"\n'


def document(*tasks: dict[str, Any], flows: tuple[dict[str, Any], ...] = ()) -> str:
    return json.dumps({"tasks": tasks, "workflows": flows})


def ready(place: Place) -> Place:
    return place.config(HELPER)


def test_a_backlog_becomes_tasks_and_workflows(place: Place) -> None:
    ready(place)
    answer = place.json("seed", document(TASK, TASK | {"kind": "other"}, flows=(FLOW,)))
    assert [(each["created"], each["kind"], each["source"]) for each in answer["queuedTasks"]] == [
        (True, "k", "seed"), (True, "other", "seed"),
    ]  # fmt: skip
    [flow] = answer["createdWorkflows"]
    assert (flow["created"], flow["workflow"]["current_state"]) == (True, "plan")
    assert place.json("workflow", "show", "w1")["workflow_id"] == flow["workflow_id"]
    assert {task["task"] for task in place.rows("task", "list")} >= {each["task_id"] for each in answer["queuedTasks"]}
    origins = [event["origin"]["kind"] for event in place.events("task.queued.v1")]
    assert sorted(origins) == ["seed", "seed", "workflow"]


def test_seeding_again_makes_nothing_new(place: Place) -> None:
    """BR-4: also while the tasks are long over, and whatever the order of their keys."""
    ready(place)
    first = place.json("seed", document(TASK, flows=(FLOW,)))
    head = place.head()
    again = place.json("seed", document(dict(reversed(TASK.items())), flows=(FLOW,)))
    assert [each["created"] for each in again["queuedTasks"] + again["createdWorkflows"]] == [False, False]
    assert [each["task_id"] for each in again["queuedTasks"]] == [each["task_id"] for each in first["queuedTasks"]]
    assert place.head() == head
    assert "2 were there already" in place.ok("seed", document(TASK, flows=(FLOW,))).text


def test_force_queues_the_tasks_again_and_no_workflow(place: Place) -> None:
    """BR-4."""
    ready(place)
    place.ok("seed", document(TASK, flows=(FLOW,)))
    again = place.json("seed", "--force", document(TASK, flows=(FLOW,)))
    assert [each["created"] for each in again["queuedTasks"]] == [True]
    assert [each["created"] for each in again["createdWorkflows"]] == [False]
    assert len(place.rows("task", "list", "--kind", "k")) == 2


@pytest.mark.parametrize("before", [False, True], ids=["no log yet", "a log"])
def test_a_dry_run_says_what_would_happen_and_writes_nothing(place: Place, before: bool) -> None:  # noqa: FBT001  # a parameter
    """BR-4."""
    ready(place)
    if before:
        place.ok("seed", document(TASK))
    files = place.files()
    head = place.head()
    answer = place.json("seed", "--dry-run", document(TASK, TASK | {"kind": "new"}, flows=(FLOW,)))
    assert [each["created"] for each in answer["queuedTasks"]] == [not before, True]
    assert [each["created"] for each in answer["createdWorkflows"]] == [True]
    assert answer["dry_run"] is True
    assert place.head() == head
    assert before or place.files() == files


BAD: list[tuple[str, str, str, str]] = [
    ("not JSON", "{", "seed", "not JSON"),
    ("a list", "[]", "seed", "object"),
    ("an unknown part", '{"task": []}', "seed", "task"),
    ("tasks are no list", '{"tasks": {}}', "seed", "array"),
    ("a task without kind", document(TASK, {"source": "s", "payload": {}}), "seed.tasks[1]", "task.kind: is missing"),
    ("a task of an unknown adapter", document(TASK | {"requested_adapter": "x"}), "seed.tasks[0]", "no adapter 'x'"),
    ("a task of a thread", document(TASK, TASK | {"thread": "t"}), "seed.tasks[1]", "thread"),
    ("a task of a run", document(TASK | {"parent_run": "9" * 32}), "seed.tasks[0]", "parent_run"),
    ("an unknown template", document(TASK, flows=(FLOW, FLOW | {"template": "x"})), "seed.workflows[1]", "'x'"),
    ("an unknown state", document(TASK, flows=(FLOW, FLOW | {"instance_key": "w2", "state": "nowhere"})),
     "seed.workflows[1]", "nowhere"),
    ("a blank key", document(flows=(FLOW | {"instance_key": " "},)), "seed.workflows[0]", "not blank"),
    ("a bad base name", document(flows=(FLOW | {"context": {"base_name": "../x"}},)), "seed.workflows[0]", "base_name"),
    ("a context that is null", document(flows=(FLOW | {"context": None},)), "seed", "context"),
    ("a workflow without key", document(flows=({"template": "goal-loop"},)), "seed", "instance_key"),
]  # fmt: skip


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["seed", "dry run"])
@pytest.mark.parametrize(("given", "where", "why"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_one_bad_entry_is_named_and_nothing_is_made(
    place: Place, given: str, where: str, why: str, dry: tuple[str, ...]
) -> None:
    """BR-4: all or nothing."""
    ready(place)
    done = place.rt("seed", *dry, given, "--json")
    assert done.code == 2, done
    assert done.error["where"].startswith(where), done.error
    assert why in json.dumps(done.error)
    assert place.head() == 0


def test_the_same_entry_twice_in_one_document_is_one(place: Place) -> None:
    ready(place)
    answer = place.json("seed", document(TASK, TASK, flows=(FLOW, FLOW)))
    assert [each["created"] for each in answer["queuedTasks"]] == [True, False]
    assert [each["created"] for each in answer["createdWorkflows"]] == [True, False]
    assert len(place.rows("task", "list", "--kind", "k")) == 1


def test_two_seedings_at_once_make_each_entry_once(place: Place) -> None:
    place.ok("init")
    ready(place)
    given = document(*(TASK | {"subject": str(at)} for at in range(20)), flows=(FLOW,))
    with place.started("seed", given, "--json") as one, place.started("seed", given, "--json") as two:
        answers = [finished(each).document for each in (one, two)]
    assert sum(each["created"] for answer in answers for each in answer["queuedTasks"]) == 20
    assert len(place.rows("task", "list", "--kind", "k")) == 20
    assert place.topics().count("workflow.created.v1") == 1


def test_a_secret_in_a_backlog_is_refused(place: Place) -> None:
    place.config(HELPER + '[secrets]\nenv = ["PASS"]\n')
    done = place.rt("seed", document(TASK | {"subject": "hunter2hunter2"}), "--json", env={"PASS": "hunter2hunter2"})
    assert (done.code, "registered secret" in done.error["why"], place.head()) == (2, True, 0)


def test_what_was_seeded_runs(place: Place) -> None:
    place.config("")
    place.ok("seed", document(TASK, TASK | {"subject": "b"}))
    place.ok("work", "--until-idle")
    assert {task["status"] for task in place.rows("task", "list")} == {"completed"}
    assert place.ok("replay", "--all").text.startswith("2 of 2 runs identical\n")
