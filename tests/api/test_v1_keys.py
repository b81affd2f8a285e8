"""The same Idempotency-Key is the same request: carried out once, answered alike, and never for another content."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import httpx
import pytest

from commands.api.app import TABLE
from commands.api.route import Row
from domain.bounds import KEY_CHARS_MAX
from tests.api.both import Both
from tests.api.rich import Rich, rich

TASK = {"kind": "k", "source": "s", "payload": {"goal": "x"}, "available_at": "2199-01-01T00:00:00Z"}
SCHEDULE = {"name": "keyed", "interval_seconds": 3_600, "task": {"kind": "k", "source": "s", "payload": {}}}
SENSED = {
    "sensor_id": "x", "event_id": "e1", "source_ref": "r", "dedupe_key": "k1", "payload": {},
    "observed_at": "2026-01-01T00:00:00Z",
}  # fmt: skip


class Wanted(NamedTuple):
    """A request that works once, and another content for the same address."""

    path: str
    body: dict[str, Any] | None
    other: dict[str, Any] | None


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    with rich(tmp_path_factory.mktemp("keyed") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def both(house: Rich) -> Iterator[Both]:
    found = Both(house.at, "admin")
    yield found
    found.close()


def a_task(both: Both) -> str:
    return str(both.done("tasks", TASK, 201)["task_id"])


def a_flow(both: Both, key: str) -> str:
    """A workflow whose key says for which address it is."""
    both.done("workflows", {"template": "goal-loop", "instance_key": key, "context": {"goal": "y"}}, 201)
    return key


def a_parked_flow(both: Both) -> str:
    a_flow(both, "retried")
    both.done(f"tasks/{both.get('workflows/retried')['task_id']}/cancel", {}, 202)
    return "retried"


def a_schedule(both: Both, name: str) -> str:
    both.done("schedules", SCHEDULE | {"name": name}, 201)
    return name


def a_thread(both: Both, name: str) -> str:
    """A thread in which nobody waits for an answer any more."""
    task = both.done("tasks", TASK | {"thread": name}, 201)["task_id"]
    both.done(f"tasks/{task}/cancel", {"reason": "x"}, 202)
    return name


REASONS = ({"reason": "one"}, {"reason": "two"})
Making = Callable[[Both, Rich], Wanted]
WRITES: dict[tuple[str, str], Making] = {
    ("POST", "/api/v1/tasks"): lambda *_: Wanted("v1/tasks", TASK, TASK | {"subject": "x"}),
    ("POST", "/api/v1/tasks/{task}/cancel"): lambda b, _: Wanted(f"v1/tasks/{a_task(b)}/cancel", *REASONS),
    ("POST", "/api/v1/tasks/{task}/retry"): lambda _, h: Wanted(f"v1/tasks/{h.blocked[0]}/retry", *REASONS),
    ("POST", "/api/v1/tasks/{task}/unblock"): lambda _, h: Wanted(f"v1/tasks/{h.blocked[1]}/unblock", *REASONS),
    ("POST", "/api/v1/tasks/{task}/prioritize"): lambda b, _: Wanted(
        f"v1/tasks/{a_task(b)}/prioritize", {"priority": 1}, {"priority": 2}
    ),
    ("POST", "/api/v1/runs/{run}/approvals/{call}"): lambda _, h: Wanted(
        f"v1/runs/{h.waiting}/approvals/1",
        {"answer": "reject", "shown_sha256": h.digest, "reason": "no"},
        {"answer": "approve", "shown_sha256": h.digest},
    ),
    ("DELETE", "/api/v1/grants/{grant}"): lambda _, h: Wanted(f"v1/grants/{h.grant}", None, {}),
    ("POST", "/api/v1/threads/{thread}/messages"): lambda *_: Wanted(
        "v1/threads/keyed/messages", {"text": "a", "agent": "asker"}, {"text": "b", "agent": "asker"}
    ),
    ("POST", "/api/v1/threads/{thread}/restart"): lambda b, _: Wanted(
        f"v1/threads/{a_thread(b, 'begun')}/restart", {}, {"into": "t2"}
    ),
    ("DELETE", "/api/v1/threads/{thread}"): lambda b, _: Wanted(f"v1/threads/{a_thread(b, 'gone')}", None, {}),
    ("POST", "/api/v1/schedules"): lambda *_: Wanted("v1/schedules", SCHEDULE, SCHEDULE | {"interval_seconds": 7}),
    ("POST", "/api/v1/schedules/tick"): lambda b, _: Wanted(
        "v1/schedules/tick", {"name": a_schedule(b, "ticked")}, {"name": "nightly"}
    ),
    ("PATCH", "/api/v1/schedules/{name}"): lambda b, _: Wanted(
        f"v1/schedules/{a_schedule(b, 'patched')}", {"enabled": False}, {"enabled": True}
    ),
    ("DELETE", "/api/v1/schedules/{name}"): lambda b, _: Wanted(f"v1/schedules/{a_schedule(b, 'removed')}", None, {}),
    ("POST", "/api/v1/sensors/events"): lambda *_: Wanted("v1/sensors/events", SENSED, SENSED | {"payload": {"n": 1}}),
    ("POST", "/api/v1/workflows"): lambda *_: Wanted(
        "v1/workflows",
        {"template": "goal-loop", "instance_key": "made", "context": {"goal": "y"}},
        {"template": "goal-loop", "instance_key": "made-too", "context": {"goal": "y"}},
    ),
    ("POST", "/api/v1/workflows/{key}/transition"): lambda b, _: Wanted(
        f"v1/workflows/{a_flow(b, 'moved')}/transition", {"to": "execute"}, {"signal": "plan_ready"}
    ),
    ("POST", "/api/v1/workflows/{key}/skip"): lambda b, _: Wanted(
        f"v1/workflows/{a_flow(b, 'skipped')}/skip", {}, {"open_task": "detach"}
    ),
    ("POST", "/api/v1/workflows/{key}/retry"): lambda b, _: Wanted(
        f"v1/workflows/{a_parked_flow(b)}/retry", {}, {"context": {"a": 1}}
    ),
    ("POST", "/api/v1/workflows/{key}/complete"): lambda b, _: Wanted(
        f"v1/workflows/{a_flow(b, 'completed')}/complete", {}, {"open_task": "detach"}
    ),
    ("POST", "/api/v1/workflows/{key}/cancel"): lambda b, _: Wanted(
        f"v1/workflows/{a_flow(b, 'canceled')}/cancel", *REASONS
    ),
    ("POST", "/api/v1/outbox/{message}/drop"): lambda _, h: Wanted(f"v1/outbox/{h.messages[0]}/drop", *REASONS),
    ("POST", "/api/v1/outbox/{message}/retry"): lambda _, h: Wanted(f"v1/outbox/{h.messages[1]}/retry", *REASONS),
    ("POST", "/api/v1/snapshots"): lambda *_: Wanted("v1/snapshots", {"label": "one"}, {"label": "two"}),
    ("POST", "/api/v1/dispatcher"): lambda *_: Wanted("v1/dispatcher", {"paused": True}, {"paused": False}),
    ("POST", "/api/pause"): lambda *_: Wanted("pause", {"paused": False}, {"paused": True}),
    ("POST", "/api/tasks/queue"): lambda *_: Wanted("tasks/queue", {"message": "a"}, {"message": "b"}),
    ("POST", "/api/tasks/{task}/cancel"): lambda b, _: Wanted(f"tasks/{a_task(b)}/cancel", *REASONS),
    ("POST", "/api/schedules"): lambda *_: Wanted(
        "schedules", SCHEDULE | {"name": "old"}, SCHEDULE | {"name": "older"}
    ),
    ("POST", "/api/schedules/tick"): lambda *_: Wanted("schedules/tick", {}, {"at": "2190-01-01T00:00:00Z"}),
    ("POST", "/api/sensors/events"): lambda *_: Wanted(
        "sensors/events", SENSED | {"dedupe_key": "old"}, SENSED | {"dedupe_key": "older"}
    ),
}
ELSEWHERE = {
    ("POST", "/api/v1/runs/{run}/effects/{call}"),  # where an effect is not known: with the other answers of people
    ("POST", "/api/v1/runs/{run}/cancel"),  # where a run goes on: below
}


def asked(both: Both, method: str, path: str, body: dict[str, Any] | None, key: str) -> httpx.Response:
    headers = {"Idempotency-Key": key, "content-type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    return both.client.request(method, f"/api/{path}", content=content, headers=headers)


def test_every_address_that_writes_for_somebody_is_among_those_that_are_asked_twice() -> None:
    writing = {(row.method, row.path) for row in TABLE if _is_of_somebody(row)}
    assert writing == WRITES.keys() | ELSEWHERE


def _is_of_somebody(row: Row) -> bool:
    return row.changes and row.scope not in ("open", "signed")


@pytest.mark.parametrize("route", list(WRITES), ids=" ".join)
def test_the_same_key_is_answered_alike_and_writes_once(both: Both, house: Rich, route: tuple[str, str]) -> None:
    method = route[0]
    wanted = WRITES[route](both, house)
    key = f"key of {method} {route[1]}"
    first = asked(both, method, wanted.path, wanted.body, key)
    assert first.is_success, first.text
    assert "idempotency-replayed" not in first.headers
    head = both.served.head()
    for _ in range(2):
        again = asked(both, method, wanted.path, wanted.body, key)
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers.get("rt-position") == first.headers.get("rt-position")
        assert again.headers.get("location") == first.headers.get("location")
    other = asked(both, method, wanted.path, wanted.other, key)
    assert (other.status_code, other.json()["code"]) == (409, "http.key_conflict")
    assert both.served.head() == head


def test_a_run_is_asked_to_end_once_for_a_key(both: Both) -> None:
    call = {"tool": "local-process", "input": {"command": "echo", "args": ["x"]}}
    task = {"kind": "k", "source": "s", "payload": {"goal": "g", "calls": [call]}, "requested_adapter": "agent"}
    both.place.ok("resume")
    both.place.ok("intake", json.dumps(task | {"requested_profile": "asker", "priority": 1000}))
    both.place.ok("run-once")
    [run] = [each["run"] for each in both.items("approvals")][-1:]
    answers = [both.post(f"runs/{run}/cancel", {"reason": "one"}, key="cancel") for _ in range(3)]
    assert {(each.status_code, each.content) for each in answers} == {(202, answers[0].content)}
    assert both.post(f"runs/{run}/cancel", {"reason": "two"}, key="cancel").json()["code"] == "http.key_conflict"


def test_a_key_belongs_to_who_sent_it_and_to_the_address(both: Both) -> None:
    first = both.post("tasks", TASK, key="mine")
    moved = both.post(f"tasks/{first.json()['task_id']}/prioritize", {"priority": 3}, key="mine")
    assert (moved.status_code, "idempotency-replayed" in moved.headers) == (202, False)
    with both.served.client("operate") as other:
        theirs = other.post("/api/v1/schedules", json=SCHEDULE | {"name": "theirs"}, headers={"Idempotency-Key": "a"})
        mine = both.post("schedules", SCHEDULE | {"name": "mine"}, key="a")
        assert (theirs.status_code, mine.status_code) == (201, 201)
        assert mine.json()["schedule"]["name"] == "mine"


def test_what_failed_is_tried_again_under_its_key(both: Both) -> None:
    task = a_task(both)
    body = {"name": "later"}
    assert both.post("schedules/tick", body, key="later").status_code == 404
    a_schedule(both, "later")
    again = both.post("schedules/tick", body, key="later")
    assert (again.status_code, again.json()["tasksCreated"]) == (200, 1)
    assert both.post(f"tasks/{task}/unblock", {}, key="u").status_code == 409
    assert both.post(f"tasks/{task}/unblock", {}, key="u").json()["code"] == "task.wrong_state"


@pytest.mark.parametrize("path", ["tasks", "schedules/tick"])
def test_the_same_key_many_times_at_once_writes_once(both: Both, path: str) -> None:
    body = TASK if path == "tasks" else {"name": a_schedule(both, "at-once")}
    both.served.token("operate")
    before = both.served.head()[0]

    def ask(_: int) -> bytes:
        with both.served.client("operate") as client:
            done = client.post(f"/api/v1/{path}", json=body, headers={"Idempotency-Key": f"at once {path}"})
            assert done.is_success, done.text
            return done.content

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    after = both.served.head()[0]
    queued = [each for each in both.items("events", after=before, limit=500) if each["topic"] == "task.queued.v1"]
    assert len(queued) == 1
    assert after > before


@pytest.mark.parametrize(
    ("key", "status"),
    [("x" * KEY_CHARS_MAX, 201), ("x" * (KEY_CHARS_MAX + 1), 422), ("é", 422), ("a\tb", 422), ("a b!", 201)],
)
def test_a_key_is_a_bounded_text_that_can_be_printed(both: Both, key: str, status: int) -> None:
    answer = both.client.post("/api/v1/tasks", json=TASK, headers=[(b"Idempotency-Key", key.encode("latin-1"))])
    assert answer.status_code == status, answer.text
