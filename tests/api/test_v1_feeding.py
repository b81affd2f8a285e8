"""What brings work in and what goes out, through the door: schedules, sensors, workflows, the outbox."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.both import Both
from tests.api.rich import Rich, rich

TASK = {"kind": "k", "source": "s", "payload": {"goal": "x"}}
EVERY = {"name": "n1", "interval_seconds": 60, "task": TASK}
SENSED = {
    "sensor_id": "x", "source_ref": "r", "payload": {"n": 1}, "observed_at": "2026-01-01T00:00:00Z",
    "proposed_task": TASK,
}  # fmt: skip
ARGV = {"kind": "k", "source": "s", "payload": {"argv": ["true"]}, "requested_adapter": "command"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    with rich(tmp_path_factory.mktemp("feeding") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def both(house: Rich) -> Iterator[Both]:
    found = Both(house.at)
    yield found
    found.close()


def sensed(name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of an event
    return SENSED | {"event_id": f"e-{name}", "dedupe_key": f"k-{name}"} | more


def change(both: Both, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
    headers = {"content-type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    return both.client.request(method, f"/api/v1/{path}", content=content, headers=headers)


def flow(both: Both, key: str) -> dict[str, Any]:
    body = {"template": "goal-loop", "instance_key": key, "context": {"goal": "y"}}
    found: dict[str, Any] = both.done("workflows", body, 201)["workflow"]
    return found


# schedules


def test_a_schedule_is_made_replaced_only_when_it_differs_and_shown(both: Both) -> None:
    made = both.done("schedules", EVERY | {"name": "made"}, 201)
    assert made["changed"]
    assert both.done("schedules", EVERY | {"name": "made"}, 200) == made | {"changed": False}
    replaced = both.done("schedules", EVERY | {"name": "made", "interval_seconds": 30}, 201)
    assert (replaced["changed"], replaced["schedule"]["interval_seconds"]) == (True, 30)
    shown = both.get("schedules/made")
    assert shown == replaced["schedule"]
    said = both.said("schedule", "show", "made")
    assert said | {"position": 0} == shown | {"position": 0}
    assert both.items("schedules") == both.listed("schedule", "list")


@pytest.mark.parametrize(
    ("change_of", "status"),
    [({"cron": "x"}, 422), ({"interval_seconds": 0}, 422), ({"interval_seconds": None}, 422), ({"name": ""}, 422),
     ({"task": {}}, 422), ({"task": ARGV}, 403), ({"more": 1}, 422), ({"timezone": "Nowhere/At_All"}, 422),
     ({"cron": "0 3 * * *"}, 422), ({"task": TASK | {"requested_adapter": "nobody"}}, 422)],
)  # fmt: skip
def test_a_schedule_that_is_wrong_is_refused(both: Both, change_of: dict[str, Any], status: int) -> None:
    assert both.refused("schedules", EVERY | {"name": "wrong"} | change_of)[0] == status


def test_a_schedule_pauses_goes_on_and_is_removed(both: Both) -> None:
    both.done("schedules", EVERY | {"name": "moved"}, 201)
    paused = change(both, "PATCH", "schedules/moved", {"enabled": False, "reason": "holiday"})
    assert (paused.status_code, paused.json()["changed"]) == (200, True)
    assert int(paused.headers["rt-position"]) == paused.json()["position"] == both.served.head()[0]
    assert both.get("schedules/moved")["reason"] == "holiday"
    again = change(both, "PATCH", "schedules/moved", {"enabled": False})
    assert again.json() == paused.json() | {"changed": False} == both.said("schedule", "disable", "moved")
    assert change(both, "PATCH", "schedules/moved", {"enabled": True}).json()["changed"]
    assert both.get("schedules/moved")["enabled"]
    for wrong in ({}, {"enabled": "yes"}, {"enabled": True, "interval_seconds": 5}):
        assert change(both, "PATCH", "schedules/moved", wrong).status_code == 422
    assert change(both, "PATCH", "schedules/none", {"enabled": True}).status_code == 404
    assert change(both, "DELETE", "schedules/moved").json()["verb"] == "remove"
    gone = change(both, "DELETE", "schedules/moved")
    assert (gone.status_code, gone.json()["code"]) == (404, "schedule.not_found")
    assert both.error("schedule", "show", "moved")[1] == "schedule.not_found"


def test_schedules_are_evaluated_as_of_a_time_and_one_of_them_at_once(both: Both) -> None:
    both.done("schedules", EVERY | {"name": "ticked", "interval_seconds": 3_600}, 201)
    first = both.done("schedules/tick", {"at": "2190-01-01T00:00:00Z"})
    assert first["tasksCreated"] == len(first["taskIds"]) >= 1
    assert all(both.get(f"tasks/{each}")["status"] == "pending" for each in first["taskIds"])
    same = both.done("schedules/tick", {"at": "2190-01-01T00:00:00Z"})
    assert (same["tasksCreated"], same["taskIds"]) == (0, [])
    said = both.said("schedule", "tick", "--at", "2190-01-01T00:00:00Z")
    assert {name: said[name] for name in ("tasksCreated", "taskIds", "failed")} == {
        name: same[name] for name in ("tasksCreated", "taskIds", "failed")
    }
    one = both.done("schedules/tick", {"name": "ticked"})
    assert both.get(f"tasks/{one['taskIds'][0]}")["source"].startswith("s:")
    assert both.get("schedules/ticked")["fired"] >= 2
    assert both.refused("schedules/tick", {"name": "none"})[:2] == (404, "schedule.not_found")


# sensors


def test_what_a_sensor_tells_is_taken_once_and_told_again_names_the_first(both: Both) -> None:
    first = both.done("sensors/events", sensed("once"), 201)
    assert first["accepted"]
    assert both.get(f"tasks/{first['task_id']}")["payload"]["goal"] == "x"
    again = both.done("sensors/events", sensed("once"), 200)
    assert (again["accepted"], again["task_id"], again["event"]) == (False, first["task_id"], first["event"])
    other = both.done("sensors/events", sensed("once", payload={"n": 2}), 200)
    assert (other["conflict"], other["task_id"]) == (True, first["task_id"])
    said = both.said("sensor", "ingest", json.dumps(sensed("once")))
    assert {name: said[name] for name in said if name != "position"} == {
        name: again[name] for name in again if name != "position"
    }
    [listed] = [each for each in both.items("sensors/events") if each["key"] == "k-once"]
    assert (listed["repetitions"], listed["conflicts"], listed["task"]) == (3, 1, first["task_id"])


def test_what_a_sensor_tells_again_is_durable_where_the_answer_says(both: Both) -> None:
    """A repetition is an event, too: whoever waits for its position sees it."""
    both.done("sensors/events", sensed("twice"), 201)
    again = both.done("sensors/events", sensed("twice"), 200)
    assert again["position"] == both.served.head()[0]
    assert both.said("sensor", "ingest", json.dumps(sensed("twice")))["position"] == both.served.head()[0]


@pytest.mark.parametrize(
    ("more", "status"),
    [({"observed_at": "soon"}, 422), ({"event_id": ""}, 422), ({"dedupe_key": ""}, 422), ({"payload": []}, 422),
     ({"more": 1}, 422), ({"proposed_task": ARGV}, 403), ({"proposed_task": {"kind": "k"}}, 422)],
)  # fmt: skip
def test_a_sensor_event_that_is_wrong_is_refused(both: Both, more: dict[str, Any], status: int) -> None:
    assert both.refused("sensors/events", sensed("wrong", **more))[0] == status


def test_sensor_events_are_paged(both: Both) -> None:
    for number in range(5):
        both.done("sensors/events", sensed(f"paged-{number}"), 201)
    whole = both.items("sensors/events", limit=500)
    first = both.get("sensors/events", limit=2)
    both.done("sensors/events", sensed("paged-later"), 201)
    following = both.items("sensors/events", limit=500, before=first["next"])
    assert first["items"] + following == whole


# workflows


def test_a_workflow_is_created_once_for_a_key(both: Both) -> None:
    made = flow(both, "once")
    body = {"template": "goal-loop", "instance_key": "once", "context": {"goal": "y"}}
    again = both.done("workflows", body, 200)
    assert (again["created"], again["workflow_id"]) == (False, made["workflow_id"])
    said = both.said("workflow", "create", "--template", "goal-loop", "--key", "once", "--context", '{"goal":"y"}')
    assert said == again
    other = body | {"instance_key": "other"}
    assert both.refused("workflows", other | {"template": "none"})[:2] == (404, "workflow.unknown_template")
    assert both.refused("workflows", other | {"state": "none"})[0] == 422
    assert both.refused("workflows", body | {"instance_key": ""})[0] == 422


def test_a_workflow_moves_by_state_and_by_signal_and_its_machine_says_how(both: Both) -> None:
    made = flow(both, "moves")
    task = made["task_id"]
    status, code, detail = both.refused("workflows/moves/transition", {"to": "verify"})
    assert (status, code, "there are: execute" in detail) == (422, "rt.invalid", True)
    told = both.error("workflow", "transition", "moves", "--to", "verify")
    assert (told[1], told[2].replace("workflow.to", "body.to")) == (code, detail)
    moved = both.done("workflows/moves/transition", {"to": "execute", "context": {"a": 1}})
    assert (moved["current_state"], moved["context"]["a"], moved["epoch"]) == ("execute", 1, 2)
    assert both.get(f"tasks/{task}")["status"] == "operator_canceled"
    signalled = both.done("workflows/moves/transition", {"signal": "execute_ready", "open_task": "detach"})
    assert signalled["current_state"] == "verify"
    assert both.get(f"tasks/{moved['task_id']}")["status"] == "pending"
    shown = both.get("workflows/moves")
    ways = {way["signal"]: way["to"] for way in shown["machine"]["ways"] if way["from"] == "verify"}
    assert ways == shown["ways_on"]
    assert [each["topic"] for each in shown["moves"]].count("workflow.transitioned.v1") == 2
    for wrong in ({}, {"signal": "none"}, {"to": "execute", "open_task": "keep"}):
        assert both.refused("workflows/moves/transition", wrong)[0] == 422


def test_the_states_of_a_machine_stand_in_the_order_of_their_template(both: Both) -> None:
    flow(both, "ordered")
    [template] = [each for each in both.items("workflows/templates") if each["template"] == "goal-loop"]
    machine = both.get("workflows/ordered")["machine"]
    assert machine["start"] == template["start"] == machine["states"][0]
    assert machine["states"] == template["states"]


def test_a_workflow_is_skipped_on_completed_and_moves_no_more(both: Both) -> None:
    flow(both, "ends")
    assert both.done("workflows/ends/skip")["current_state"] == "execute"
    assert both.refused("workflows/ends/retry")[:2] == (409, "workflow.refused")
    done = both.done("workflows/ends/complete")
    assert (done["status"], done["task_status"]) == ("completed", "canceled")
    for verb in ("complete", "cancel", "skip", "retry"):
        refused = both.refused(f"workflows/ends/{verb}")
        assert refused == (409, *both.error("workflow", verb, "ends")[1:])
    assert "ends" not in [each["instance_key"] for each in both.items("workflows")]
    assert "ends" in [each["instance_key"] for each in both.items("workflows", all="true")]


def test_a_workflow_is_given_up_with_a_reason(both: Both) -> None:
    flow(both, "given-up")
    done = both.done("workflows/given-up/cancel", {"reason": "not wanted", "open_task": "detach"})
    assert (done["status"], done["message"], done["task_status"]) == ("canceled", "not wanted", "detached")
    assert both.refused("workflows/none/cancel")[:2] == (404, "workflow.not_found")


def test_a_reason_that_would_not_be_recorded_is_not_taken(both: Both) -> None:
    for verb in ("skip", "complete"):
        flow(both, f"reason-{verb}")
        answer = both.post(f"workflows/reason-{verb}/{verb}", {"reason": "because-5501"})
        events = json.dumps(both.items("events", limit=20))
        assert answer.status_code == 422 or "because-5501" in events, verb


def test_a_parked_workflow_is_retried_after_a_change_of_its_context(both: Both) -> None:
    made = flow(both, "parked")
    both.done(f"tasks/{made['task_id']}/cancel", {"reason": "no"}, 202)
    parked = both.get("workflows/parked")
    assert (parked["status"], bool(parked["cause"])) == ("parked", True)
    done = both.done("workflows/parked/retry", {"context": {"hint": "z"}})
    assert (done["status"], done["context"]["hint"]) == ("active", "z")
    assert done["task_id"] != made["task_id"]


# what goes out


def test_a_message_is_let_go_dropped_and_then_over(both: Both, house: Rich) -> None:
    first, second = house.messages[:2]
    assert both.get(f"outbox/{first}") == both.said("outbox", "show", first)
    dropped = both.done(f"outbox/{first}/drop", {"reason": "not now"})
    assert (dropped["message"], dropped["verb"]) == (first, "drop")
    assert [each["message"] for each in both.items("outbox", status="dropped")] == [first]
    for verb in ("drop", "retry"):
        refused = both.refused(f"outbox/{first}/{verb}")
        assert refused[:2] == (409, "outbox.refused")
        assert both.error("outbox", verb, first)[1:] == refused[1:], "the same sentence at both doors"
    assert both.done(f"outbox/{second[:10]}/retry")["message"] == second
    assert both.get(f"outbox/{second}")["status"] == "queued"
    assert both.refused("outbox/none/retry")[:2] == (404, "outbox.not_found")
    both.place.ok("run-once")
    assert both.get(f"outbox/{second}")["status"] == "delivered"


def test_all_of_it_is_in_the_log_with_the_name_of_the_token(both: Both, tmp_path: Path) -> None:
    both.done("schedules", EVERY | {"name": "last"}, 201)
    both.done("sensors/events", sensed("last"), 201)
    flow(both, "last")
    for topic in ("schedule.created", "sensor.accepted", "workflow.created"):
        assert both.items("events", topic=topic, limit=1)[0]["actor"] == "operator:admin-sql", tmp_path
