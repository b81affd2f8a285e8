"""Every write, complete and right, by those who may not: nothing happens; then by who may: then it does."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.api.expected import HOLDS, NEEDS
from tests.api.rich import Rich, rich
from tests.api.serving import SCOPES

TASK: Final = {"kind": "k", "source": "s", "payload": {}}
SCHEDULE: Final = {"name": "hourly", "interval_seconds": 3600, "task": TASK}
SENSED: Final = {"sensor_id": "disk", "event_id": "e1", "source_ref": "r", "dedupe_key": "d1", "payload": {"n": 1}}
FLOW: Final = {"template": "goal-loop", "context": {"goal": "x"}}
Write = tuple[Callable[[Rich], dict[str, str]], Any, int]


def same(at: Rich) -> dict[str, str]:
    """The usual ids."""
    _ = at
    return {}


# route -> what it is about, what it brings, how it is answered where it may be; in the order in which all work out
WRITES: Final[dict[str, Write]] = {
    "POST /api/v1/runs/{run}/approvals/{call}": (
        same, lambda at: {"answer": "approve", "shown_sha256": at.digest, "note": "yes"}, 200,
    ),
    "POST /api/v1/runs/{run}/effects/{call}": (same, {"happened": True}, 404),  # no effect of unknown outcome is there
    "DELETE /api/v1/grants/{grant}": (same, None, 200),
    "POST /api/pause": (same, {"paused": True, "reason": "lunch"}, 200),
    "POST /api/v1/dispatcher": (same, {"paused": False}, 200),
    "POST /api/tasks/queue": (same, {"message": "look at it"}, 201),
    "POST /api/v1/tasks": (same, TASK, 201),
    "POST /api/v1/tasks/{task}/prioritize": (lambda at: {"task": at.pending[1]}, {"priority": 9}, 202),
    "POST /api/tasks/{task}/cancel": (lambda at: {"task": at.pending[1]}, {"reason": "no"}, 200),
    "POST /api/v1/tasks/{task}/cancel": (lambda at: {"task": at.pending[2]}, {"reason": "no"}, 202),
    "POST /api/v1/tasks/{task}/retry": (lambda at: {"task": at.blocked[0]}, {"reason": "again"}, 202),
    "POST /api/v1/tasks/{task}/unblock": (lambda at: {"task": at.blocked[1]}, {}, 202),
    "POST /api/v1/runs/{run}/cancel": (lambda at: {"run": at.waiting}, {"reason": "no"}, 202),
    "POST /api/v1/threads/{thread}/restart": (same, {"into": "t2"}, 200),
    "DELETE /api/v1/threads/{thread}": (same, None, 200),
    "POST /api/v1/threads/{thread}/messages": (same, {"text": "hello", "agent": "asker"}, 201),
    "POST /api/schedules": (same, SCHEDULE | {"name": "daily"}, 201),
    "POST /api/v1/schedules": (same, SCHEDULE, 201),
    "POST /api/schedules/tick": (same, {"at": "2100-01-01T00:00:00Z"}, 200),
    "POST /api/v1/schedules/tick": (same, {"at": "2101-01-01T00:00:00Z"}, 200),
    "PATCH /api/v1/schedules/{name}": (same, {"enabled": False, "reason": "rest"}, 200),
    "DELETE /api/v1/schedules/{name}": (same, None, 200),
    "POST /api/sensors/events": (same, SENSED, 201),
    "POST /api/v1/sensors/events": (same, SENSED | {"dedupe_key": "d2", "event_id": "e2"}, 201),
    "POST /api/v1/workflows": (same, FLOW | {"instance_key": "new"}, 201),
    "POST /api/v1/workflows/{key}/transition": (lambda _: {"key": "f1"}, {"to": "execute"}, 200),
    "POST /api/v1/workflows/{key}/skip": (lambda _: {"key": "f2"}, {}, 200),
    "POST /api/v1/workflows/{key}/retry": (lambda _: {"key": "nothing"}, {}, 404),  # nor an instance that is parked
    "POST /api/v1/workflows/{key}/complete": (lambda _: {"key": "f4"}, {}, 200),
    "POST /api/v1/workflows/{key}/cancel": (lambda _: {"key": "f5"}, {"reason": "no"}, 200),
    "POST /api/v1/outbox/{message}/retry": (same, {"reason": "go"}, 200),
    "POST /api/v1/outbox/{message}/drop": (lambda at: {"message": at.messages[1]}, {"reason": "no"}, 200),
    "POST /api/v1/snapshots": (same, {"label": "second"}, 201),
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    with rich(tmp_path_factory.mktemp("rich") / "home") as found:
        with found.at.client("admin") as client:
            for key in ("f1", "f2", "f4", "f5"):
                client.post("/api/v1/workflows", json=FLOW | {"instance_key": key}).raise_for_status()
        yield found


@pytest.fixture
def stranger(home: Rich) -> Iterator[httpx.Client]:
    with home.at.client() as client:
        yield client


def state(home: Rich) -> tuple[object, ...]:
    """What a write would change: the end of the log, and the snapshots, which are files."""
    folder: Path = home.at.folder / ".rt"
    return (home.at.head(), sorted(path.name for path in folder.rglob("*.json")))


def send(stranger: httpx.Client, home: Rich, route: str, headers: dict[str, str]) -> httpx.Response:
    method, _, path = route.partition(" ")
    about, body, _ = WRITES[route]
    content = body(home) if callable(body) else body
    more = {} if content is None else {"json": content}
    kind = {"content-type": "application/json"}
    return stranger.request(method, home.path(path, **about(home)), headers=kind | headers, **more)


def shown(home: Rich, scope: str) -> dict[str, str]:
    return {"authorization": f"Bearer {home.at.token(scope)}"}


def test_every_route_that_writes_is_here() -> None:
    assert set(WRITES) == {route for route, scope in NEEDS.items() if scope in ("approve", "operate")}


@pytest.mark.parametrize("route", WRITES)
def test_a_right_write_by_whoever_may_not_changes_nothing(home: Rich, stranger: httpx.Client, route: str) -> None:
    at, needed, admin = home.at, NEEDS[route], shown(home, "admin")
    here = {"sec-fetch-site": "same-origin", "origin": at.url}
    refused: list[tuple[dict[str, str], int]] = [
        ({}, 401),
        (here, 401),
        *((shown(home, scope), 403) for scope in SCOPES if needed not in HOLDS[scope]),
        (admin | {"host": f"evil.example:{at.port}"}, 421),
        (admin | here | {"origin": "http://evil.example"}, 403),
        (admin | here | {"sec-fetch-site": "cross-site"}, 403),
        (admin | {"origin": "null"}, 403),
    ]
    before = state(home)
    for headers, status in refused:
        answer = send(stranger, home, route, headers)
        assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (status, False)
    assert state(home) == before


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "json"])
def test_what_a_form_can_send_without_asking_is_refused(home: Rich, stranger: httpx.Client, kind: str) -> None:
    before = state(home)
    for route in WRITES:
        method, _, path = route.partition(" ")
        headers = shown(home, "admin") | ({"content-type": kind} if kind else {})
        answer = stranger.request(method, home.path(path), headers=headers, content=b"{}")
        assert (route, answer.status_code) == (route, 415)
    assert state(home) == before


def test_the_same_writes_are_carried_out_for_whoever_may(home: Rich, stranger: httpx.Client) -> None:
    """So that the refusals above are not those of wrong requests."""
    for route, (_, _, status) in WRITES.items():
        before = state(home)
        answer = send(stranger, home, route, shown(home, NEEDS[route]))
        assert (route, answer.status_code) == (route, status), answer.text
        assert (route, state(home) != before) == (route, status < 300)
        if status < 300:
            assert int(answer.headers["rt-position"]) == answer.json()["position"]
