"""Tasks through the door: taken in, listed, moved, canceled, tried again; the same as on the command line."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.both import Both
from tests.api.listening import task
from tests.api.serving import served, until

CONFIG = """
default_adapter = "fails"
[adapters.fails]
command = "./fails"
outcome = "exit"
[retry]
attempts = 1
[work]
kill_grace_s = 0.3
"""
FAILS = "#!/bin/sh\ntest -e works || exit 3\n"
NOW: dict[str, Any] = {"kind": "k", "source": "s", "payload": {"goal": "x"}, "subject": "hello", "priority": 7}


def home(folder: Path, more: str = "") -> Path:
    (folder / "rt.toml").write_text(more + CONFIG)
    (folder / "fails").write_text(FAILS)
    (folder / "fails").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with served(home(tmp_path_factory.mktemp("worked"))) as server:
        found = Both(server)
        yield found
        found.close()


@pytest.fixture
def working(tmp_path: Path) -> Iterator[Both]:
    """A server that dispatches, too, and takes commands from whoever may operate."""
    with served(home(tmp_path, 'allow_argv_from = ["http"]\n'), "--work") as server:
        found = Both(server)
        yield found
        found.close()


def failed(both: Both) -> str:
    """A task whose only attempt failed."""
    made = both.done("tasks", NOW | {"priority": 1000}, 201)["task_id"]
    assert both.said("run-once")["task_id"] == made
    assert both.get(f"tasks/{made}")["status"] == "blocked"
    return str(made)


# taking in


def test_a_task_is_taken_in_and_is_where_the_answer_says(both: Both) -> None:
    answer = both.post("tasks", NOW)
    made = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/api/v1/tasks/{made['task_id']}")
    assert int(answer.headers["rt-position"]) == made["position"] == both.served.head()[0]
    said = both.said("intake", json.dumps(NOW))
    assert made.keys() == said.keys() - {"queued", "ignored_keys"}
    theirs, mine = both.get(f"tasks/{said['task_id']}"), both.client.get(answer.headers["location"]).json()
    differ = {name for name in mine if mine[name] != theirs[name]}
    assert differ <= {"task", "position", "created_at", "updated_at"}
    assert (mine["subject"], mine["priority"], mine["payload"]) == ("hello", 7, {"goal": "x"})


def test_a_task_that_is_to_wait_says_until_when(both: Both) -> None:
    made = both.done("tasks", NOW | {"available_at": "2199-01-01T00:00:00+01:00"}, 201)
    assert made["available_at"] == "2198-12-31T23:00:00.000Z"
    assert both.get(f"tasks/{made['task_id']}")["due_at"].startswith("2198-12-31T23:00:00")
    assert both.done("tasks", NOW | {"schedule": {"delay_minutes": 5}}, 201)["available_at"] is not None


def test_a_key_makes_one_task_also_for_the_next_server_and_for_the_command_line(tmp_path: Path) -> None:
    with served(home(tmp_path)) as first:
        both = Both(first)
        answers = [both.post("tasks", NOW, key="k1") for _ in range(3)]
        assert {each.content for each in answers} == {answers[0].content}
        assert [each.headers.get("idempotency-replayed") for each in answers] == [None, "true", "true"]
        assert both.post("tasks", NOW | {"subject": "other"}, key="k1").json()["code"] == "http.key_conflict"
        both.close()
    made = answers[0].json()
    with served(tmp_path) as second:
        second.tokens = first.tokens
        both = Both(second)
        again = both.post("tasks", NOW, key="k1")
        assert (again.status_code, again.json()) == (200, made | {"deduplicated": True})
        assert both.done("tasks", NOW | {"idempotency_key": "k1"}) == made | {"deduplicated": True}
        said = both.said("intake", json.dumps(NOW), "--key", "k1")
        assert (said["task_id"], said["deduplicated"]) == (made["task_id"], True)
        assert both.refused("tasks", NOW | {"idempotency_key": "k1", "subject": "other"})[:2] == (
            409,
            "task.key_conflict",
        )
        other = both.post("tasks", NOW | {"idempotency_key": "k2"}, key="k3")
        assert (other.status_code, other.json()["where"]) == (422, "body.idempotency_key")
        assert second.head()[0] == made["position"]
        both.close()


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"kind": ""}, 422, "rt.invalid"),
        ({"kind": None}, 422, "rt.invalid"),
        ({"priority": 1_001}, 422, "rt.invalid"),
        ({"priority": 1.5}, 422, "rt.invalid"),
        ({"payload": []}, 422, "rt.invalid"),
        ({"subject": "x" * 501}, 422, "rt.invalid"),
        ({"max_attempts": 0}, 422, "rt.invalid"),
        ({"available_at": "soon"}, 422, "rt.invalid"),
        ({"requested_adapter": "nobody"}, 422, "adapter.unknown"),
        ({"requested_profile": "nobody"}, 404, "profile.unknown"),
        ({"parent_run": "0" * 32}, 404, "id.not_found"),
        ({"thread": "not a name"}, 422, "rt.invalid"),
    ],
)
def test_a_task_that_is_wrong_is_refused_with_the_code_of_the_command_line(
    both: Both, change: dict[str, Any], status: int, code: str
) -> None:
    assert both.refused("tasks", NOW | change)[:2] == (status, code)
    exits, same, _ = both.error("intake", json.dumps(NOW | change))
    assert (exits in (2, 3), same) == (True, code)


def test_a_field_that_is_not_known_is_refused_though_the_command_line_only_names_it(both: Both) -> None:
    status, code, detail = both.refused("tasks", NOW | {"prioritty": 3})
    assert (status, code) == (422, "rt.invalid")
    assert "prioritty" in detail
    assert both.said("intake", json.dumps(NOW | {"prioritty": 3}))["ignored_keys"] == ["prioritty"]


def test_a_command_is_taken_in_only_where_the_configuration_says_so(both: Both, working: Both) -> None:
    command = NOW | {"payload": {"argv": ["touch", "made"]}, "requested_adapter": "command"}
    status, code, detail = both.refused("tasks", command)
    assert (status, code, "allow_argv_from" in detail) == (403, "rt.refused", True)
    working.done("tasks", command, 201)
    until((working.place.folder / "made").exists, "the command did not run")


# lists


def test_pages_do_not_shift_while_tasks_come_in(both: Both) -> None:
    for _ in range(7):
        both.done("tasks", task(), 201)
    wanted = [each["task"] for each in both.items("tasks", limit=500)]
    pages: list[tuple[dict[str, Any], list[str]]] = []
    before: dict[str, Any] = {"limit": 3}
    while True:
        page = both.get("tasks", **before)
        pages.append((before, [each["task"] for each in page["items"]]))
        both.done("tasks", task(), 201)
        if page["next"] is None:
            break
        before = {"limit": 3, "before": page["next"]}
    assert [each for _, items in pages for each in items] == wanted
    for asked, items in pages[1:]:
        assert [each["task"] for each in both.items("tasks", **asked)] == items


def test_lists_are_filtered_as_on_the_command_line(both: Both) -> None:
    both.done("tasks", task(kind="odd", source="there"), 201)
    both.done("tasks/@last/cancel", {"reason": "x"}, 202)
    both.done("tasks", task(), 201)
    for query in ({"kind": "odd"}, {"source": "there"}, {"state": "operator_canceled"}, {"state": "pending"}):
        [(name, value)] = query.items()
        assert both.items("tasks", **query) == both.listed("task", "list", f"--{name}", value) != []


# what an operator does


def test_a_task_is_moved_canceled_and_no_more_moved(both: Both) -> None:
    made = both.done("tasks", task(), 201)["task_id"]
    assert both.done(f"tasks/{made}/prioritize", {"priority": 9}, 202)["priority"] == 9
    assert both.said("prioritize", made, "10").keys() == {"task", "priority", "position"}
    assert both.get(f"tasks/{made}")["priority"] == 10
    for verb, needs in (("retry", "failed or is blocked"), ("unblock", "a blocked task")):
        refused = both.refused(f"tasks/{made}/{verb}")
        assert refused == (409, *both.error(verb, made)[1:])
        assert needs in refused[2]
    ended = both.done(f"tasks/{made}/cancel", {"reason": "not wanted"}, 202)
    assert (ended["state"], ended["status"]) == ("is canceled", "operator_canceled")
    head = both.served.head()
    assert both.done(f"tasks/{made}/cancel", {}, 202) == ended | {"state": "was canceled already"}
    assert both.said("cancel", made) == {name: ended[name] for name in ("task", "position")} | {
        "state": "was canceled already"
    }
    assert both.served.head() == head
    refused = both.refused(f"tasks/{made}/prioritize", {"priority": 1})
    assert refused == (409, *both.error("prioritize", made, "1")[1:])
    assert both.items("events", stream=made, limit=1)[0]["data"] == {"type": "task.canceled", "reason": "not wanted"}


def test_a_conflict_names_the_task_what_was_wanted_and_the_state_that_it_is_in(both: Both) -> None:
    made = both.done("tasks", task(), 201)["task_id"]
    problem = both.post(f"tasks/{made}/retry").json()
    assert (problem["status"], problem["verb"]) == (409, "retry")
    assert made.startswith(problem["task"])
    assert "is pending" in problem["detail"]


def test_a_failed_task_is_tried_again_after_a_change(both: Both) -> None:
    made = failed(both)
    edit = {"subject": "changed", "payload": {"goal": "better"}, "description": "more"}
    done = both.done(f"tasks/{made}/retry", {"reason": "try", "edit": edit}, 202)
    assert (done["task"], done["edited"]) == (made, True)
    now = both.get(f"tasks/{made}")
    assert (now["status"], now["subject"], now["payload"]) == ("pending", "changed", {"goal": "better"})
    assert both.refused(f"tasks/{made}/retry")[1] == "task.wrong_state"
    (both.place.folder / "works").touch()
    try:
        until(
            lambda: both.said("run-once")["status"] == "idle" or both.get(f"tasks/{made}")["run"] != now["run"], "run"
        )
    finally:
        (both.place.folder / "works").unlink()
    assert both.get(f"tasks/{made}")["status"] == "completed"
    topics = [each["topic"] for each in both.items("events", stream=made, after=0, limit=500)]
    assert topics.index("task.edited.v1") < topics.index("task.retried.v1")


@pytest.mark.parametrize(
    ("edit", "status"),
    [({"more": 1}, 422), ({"subject": "x" * 501}, 422), ({"payload": {"argv": ["true"]}}, 403), ({"priority": 3}, 422),
     ({"requested_adapter": "nobody"}, 422), ([], 422), ({}, 422)],
)  # fmt: skip
def test_a_change_that_is_none_leaves_a_task_as_it_is(both: Both, edit: object, status: int) -> None:
    made = failed(both)
    assert both.refused(f"tasks/{made}/retry", {"edit": edit})[0] == status
    both.done(f"tasks/{made}/cancel", {}, 202)


def test_a_blocked_task_is_let_go_on(both: Both) -> None:
    made = failed(both)
    done = both.done(f"tasks/{made}/unblock", {"reason": "looked"}, 202)
    assert (done["task"], both.get(f"tasks/{made}")["status"]) == (made, "pending")
    assert both.refused(f"tasks/{made}/unblock")[:2] == (409, "task.wrong_state")
    both.done(f"tasks/{made}/cancel", {}, 202)


# with a dispatcher beside it


def test_claiming_rests_and_goes_on(working: Both) -> None:
    paused = working.done("dispatcher", {"paused": True, "reason": "look first"})
    assert (paused["paused"], paused["changed"]) == (True, True)
    assert working.done("dispatcher", {"paused": True}) == paused | {"changed": False}
    state = working.get("dispatcher", min_position=paused["position"])
    assert (state["paused"], state["reason"]) == (True, "look first")
    (working.place.folder / "works").touch()
    made = working.done("tasks", NOW, 201)
    with working.served.client("read") as client:
        assert client.get("/api/state").json()["runtime_state"] == "paused"
    assert working.said("pause")["changed"] is False
    before = working.served.head()
    assert working.said("run-once")["status"] in ("paused", "idle")
    assert working.served.head() == before
    assert working.get(f"tasks/{made['task_id']}")["status"] == "pending"
    assert working.done("dispatcher", {"paused": False})["changed"] is True
    until(lambda: working.get(f"tasks/{made['task_id']}")["status"] == "completed", "it does not go on")


@pytest.mark.parametrize("what", ["runs", "tasks"])
def test_canceling_what_runs_ends_its_process(working: Both, what: str) -> None:
    script = "echo $$ > pid.new; mv pid.new pid; exec sleep 1000"
    made = working.done("tasks", NOW | {"payload": {"argv": ["sh", "-c", script]}, "requested_adapter": "command"}, 201)
    pid = int(
        until(lambda: (working.place.folder / "pid").exists() and (working.place.folder / "pid").read_text(), "pid")
    )
    run = until(lambda: working.get(f"tasks/{made['task_id']}")["run"], "no run")
    path = f"runs/{run}/cancel" if what == "runs" else f"tasks/{made['task_id']}/cancel"
    asked = working.done(path, {"reason": "enough"}, 202)
    assert asked[what[:-1]] == (run if what == "runs" else made["task_id"])
    until(lambda: not Path(f"/proc/{pid}").exists(), "the process goes on")
    until(lambda: working.get(f"runs/{run}")["state"] == "canceled", "the run goes on")
    assert working.get(f"tasks/{made['task_id']}")["status"] == "operator_canceled"
    over = working.refused(f"runs/{run}/cancel")
    assert over[:2] == (409, "run.over")
    assert working.items("events", topic="run.cancel_asked", limit=1)[0]["data"]["reason"] == "enough"


def test_a_server_that_dispatches_and_stops_ends_what_it_started(tmp_path: Path) -> None:
    with served(home(tmp_path, 'allow_argv_from = ["http"]\n'), "--work") as server:
        both = Both(server)
        script = "echo $$ > pid.new; mv pid.new pid; exec sleep 1000"
        both.done("tasks", NOW | {"payload": {"argv": ["sh", "-c", script]}, "requested_adapter": "command"}, 201)
        until((tmp_path / "pid").exists, "it does not run")
        pid = int((tmp_path / "pid").read_text())
        both.close()
        server.stop()
    assert not os.path.exists(f"/proc/{pid}")  # noqa: PTH110  # of the kernel


def test_who_did_it_is_the_name_of_the_token(both: Both) -> None:
    with both.served.client("operate") as client:
        made = client.post("/api/v1/tasks", json=task()).json()
        client.post(f"/api/v1/tasks/{made['task_id']}/cancel", json={})
    actors = [each["actor"] for each in both.items("events", stream=made["task_id"], after=0)]
    assert actors == ["operator:operate", "operator:operate"]
