"""Requests that come at the wrong time: 404 for what is not there, 409 where the state does not allow it."""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.api.refusals import check_refusal
from tests.api.rich import HOOK_SECRET, LATER, Rich, rich

FLOW: Final = {"template": "goal-loop", "context": {"goal": "x"}}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    with rich(tmp_path_factory.mktemp("states") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def client(home: Rich) -> Iterator[httpx.Client]:
    with home.at.client("admin") as found:
        yield found


def refused(home: Rich, client: httpx.Client, path: str, body: dict[str, Any], method: str = "POST") -> tuple[int, str]:
    """How a write was refused; nothing was appended."""
    before = home.at.head()
    answer = client.request(method, f"/api/{path}", json=body)
    problem = check_refusal(answer, home.at)
    assert home.at.head() == before
    return answer.status_code, problem["code"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("tasks/{task}/cancel", {}),
        ("v1/tasks/{task}/cancel", {}),
        ("v1/tasks/{task}/retry", {}),
        ("v1/tasks/{task}/unblock", {}),
        ("v1/tasks/{task}/prioritize", {"priority": 1}),
    ],
)
def test_a_completed_task_is_left_as_it_is(home: Rich, client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    status, code = refused(home, client, path.format(task=home.done["task"]), body)
    assert (status, code.partition(".")[0]) == (409, "task")


@pytest.mark.parametrize("verb", ["retry", "unblock"])
def test_a_task_that_waits_is_neither_retried_nor_unblocked(home: Rich, client: httpx.Client, verb: str) -> None:
    before = home.at.head()
    answer = client.post(f"/api/v1/tasks/{home.pending[0]}/{verb}", json={})
    assert (answer.status_code, home.at.head()) == (409, before)
    assert "pending" in answer.json()["detail"], "it says in which state the task is"


@pytest.mark.parametrize("path", ["tasks/{task}/cancel", "v1/tasks/{task}/cancel"])
def test_canceling_what_is_canceled_is_no_error_and_no_event(home: Rich, client: httpx.Client, path: str) -> None:
    task = {"kind": "k", "source": "s", "payload": {}, "available_at": LATER}
    made = client.post("/api/v1/tasks", json=task).json()["task_id"]
    first = client.post(f"/api/{path.format(task=made)}", json={"reason": "no"})
    before = home.at.head()
    second = client.post(f"/api/{path.format(task=made)}", json={"reason": "no"})
    assert first.status_code in (200, 202)
    assert (second.status_code, home.at.head()) == (first.status_code, before)


def test_a_run_that_is_over_is_not_canceled(home: Rich, client: httpx.Client) -> None:
    assert refused(home, client, f"v1/runs/{home.done['run']}/cancel", {}) == (409, "run.over")


def test_an_approval_is_answered_once_and_only_as_it_was_shown(home: Rich, client: httpx.Client) -> None:
    path = f"v1/runs/{home.waiting}/approvals/1"
    yes = {"answer": "approve", "shown_sha256": home.digest}
    assert refused(home, client, path, yes | {"shown_sha256": "0" * 64})[0] == 409
    assert refused(home, client, path.replace("approvals/1", "approvals/7"), yes)[0] == 404
    wrongs: tuple[dict[str, Any], ...] = (
        {"answer": "edit"}, {"edit": {}}, {"answer": "edit", "edit": {"command": 1}}, {"answer": "reject"},
        {"shown_sha256": home.digest[:7]}, {"shown_sha256": home.digest.upper()}, {"shown_sha256": ""},
        {"answer": "edit", "edit": {"zz": 1}}, {"answer": "maybe"}, {"note": "x" * 2_001},
    )  # fmt: skip
    for wrong in wrongs:
        assert refused(home, client, path, yes | wrong) == (422, "rt.invalid")
    assert client.post(f"/api/{path}", json=yes).status_code == 200
    assert refused(home, client, path, yes) == (409, "approval.resolved")
    assert refused(home, client, path, {"answer": "reject", "shown_sha256": home.digest, "reason": "no"})[0] == 409
    assert refused(home, client, f"v1/runs/{home.waiting}/effects/1", {"happened": True})[0] in (404, 409)


def test_a_grant_ends_once(home: Rich, client: httpx.Client) -> None:
    assert client.request("DELETE", f"/api/v1/grants/{home.grant}").status_code == 200
    before = home.at.head()
    assert client.request("DELETE", f"/api/v1/grants/{home.grant}").status_code in (404, 409)
    assert home.at.head() == before


def test_a_workflow_moves_only_along_its_ways(home: Rich, client: httpx.Client) -> None:
    client.post("/api/v1/workflows", json=FLOW | {"instance_key": "moves"}).raise_for_status()
    path = "v1/workflows/moves"
    assert refused(home, client, f"{path}/transition", {"to": "nowhere"})[0] in (409, 422)
    assert refused(home, client, f"{path}/transition", {"signal": "nothing"})[0] in (409, 422)
    assert refused(home, client, f"{path}/transition", {}) == (422, "rt.invalid")


def test_a_workflow_that_is_not_parked_cannot_be_retried(home: Rich, client: httpx.Client) -> None:
    client.post("/api/v1/workflows", json=FLOW | {"instance_key": "active"}).raise_for_status()
    assert refused(home, client, "v1/workflows/active/retry", {})[0] == 409


@pytest.mark.parametrize(
    ("verb", "body"), [("transition", {"to": "execute"}), ("skip", {}), ("retry", {}), ("complete", {}), ("cancel", {})]
)
def test_a_workflow_that_is_over_stays_so(home: Rich, client: httpx.Client, verb: str, body: dict[str, Any]) -> None:
    key = f"over-{verb}"
    client.post("/api/v1/workflows", json=FLOW | {"instance_key": key}).raise_for_status()
    end = "cancel" if verb == "complete" else "complete"  # what is done twice is no error
    client.post(f"/api/v1/workflows/{key}/{end}", json={}).raise_for_status()
    assert refused(home, client, f"v1/workflows/{key}/{verb}", body)[0] == 409


@pytest.mark.parametrize("body", [{"template": "nothing"}, {"state": "nowhere"}, {"instance_key": ""}])
def test_a_workflow_that_cannot_be_made_is_not_made(home: Rich, client: httpx.Client, body: dict[str, Any]) -> None:
    status, _ = refused(home, client, "v1/workflows", FLOW | {"instance_key": "new"} | body)
    assert status in (404, 422)


def test_a_message_that_was_dropped_does_not_go_out(home: Rich, client: httpx.Client) -> None:
    path = f"/api/v1/outbox/{home.messages[1]}"
    client.post(f"{path}/drop", json={}).raise_for_status()
    assert refused(home, client, f"{path.removeprefix('/api/')}/retry", {})[0] == 409


def test_a_thread_that_waits_for_an_answer_is_busy(home: Rich, client: httpx.Client) -> None:
    client.post("/api/v1/threads/t9/messages", json={"text": "hello", "agent": "asker"}).raise_for_status()
    assert refused(home, client, "v1/threads/t9/restart", {}) == (409, "thread.busy")
    assert client.request("DELETE", "/api/v1/threads/t9").status_code == 409
    assert client.request("DELETE", "/api/v1/threads/t9?force=true").status_code == 200


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"requested_adapter": "nothing"}, (404, 422)),
        ({"requested_profile": "nothing"}, (404, 422)),
        ({"payload": {"argv": ["true"]}}, (403,)),
        ({"payload": {"shell": "true"}}, (403,)),
        ({"payload": {"calls": []}}, (403,)),
        ({"kind": " "}, (422,)),
        ({"available_at": "tomorrow"}, (422,)),
        ({"available_at": "2023-02-30T00:00:00Z"}, (422,)),
        ({"thread": "../x"}, (422,)),
        ({"parent_run": "0" * 32}, (404, 409, 422)),
        ({"payload": {"x": "y" * 1_048_576}}, (413, 422)),
    ],
)
def test_a_task_that_cannot_be_carried_out_is_not_taken_in(
    home: Rich, client: httpx.Client, body: dict[str, Any], where: tuple[int, ...]
) -> None:
    task = {"kind": "k", "source": "s", "payload": {}}
    assert refused(home, client, "v1/tasks", task | body)[0] in where


def test_a_task_holds_no_registered_secret(home: Rich, client: httpx.Client) -> None:
    """Its value is not in what is said about that either."""
    task = {"kind": "k", "source": "s", "payload": {"x": f"it is {HOOK_SECRET}."}}
    before = home.at.head()
    answer = client.post("/api/v1/tasks", json=task)
    assert (answer.status_code, home.at.head()) == (422, before)
    assert HOOK_SECRET not in answer.text


def test_a_key_that_was_used_for_something_else_is_a_conflict(home: Rich, client: httpx.Client) -> None:
    task = {"kind": "k", "source": "s", "payload": {}}
    headers = {"idempotency-key": "once"}
    assert client.post("/api/v1/tasks", json=task, headers=headers).status_code == 201
    before = home.at.head()
    again = client.post("/api/v1/tasks", json=task, headers=headers)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    other = client.post("/api/v1/tasks", json=task | {"kind": "other"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "http.key_conflict")
    both = client.post("/api/v1/tasks", json=task | {"idempotency_key": "a"}, headers={"idempotency-key": "b"})
    assert (both.status_code, both.json()["where"]) == (422, "body.idempotency_key")
    assert home.at.head() == before


@pytest.mark.parametrize(
    "body",
    [
        {"interval_seconds": None}, {"interval_seconds": 0}, {"cron": "61 * * * *", "interval_seconds": None},
        {"cron": "* * * * *"}, {"timezone": "Mars/Base"}, {"task": {}}, {"task": {"kind": "k"}}, {"name": ""},
        {"next_run_at": "soon"}, {"overlap": "maybe"}, {"catch_up": "never ever"}, {"name": "a" * 121},
        {"ends_at": "never"}, {"task": {"kind": "k", "source": "s", "payload": {"argv": ["true"]}}},
    ],
)  # fmt: skip
def test_a_schedule_that_cannot_fire_is_not_kept(home: Rich, client: httpx.Client, body: dict[str, Any]) -> None:
    schedule = {"name": "x", "interval_seconds": 60, "task": {"kind": "k", "source": "s", "payload": {}}}
    assert refused(home, client, "v1/schedules", schedule | body)[0] in (403, 422)
    assert refused(home, client, "schedules", schedule | body)[0] in (400, 403)


@pytest.mark.parametrize(
    "query",
    [
        "SELECT", "", "DROP TABLE tasks", "SELECT 1; SELECT 2", "SELECT * FROM nothing", "COPY tasks TO '/tmp/x'",
        "SELECT * FROM read_csv('/etc/passwd')", "PRAGMA version", "INSTALL httpfs", "SELECT getenv('HOME')",
        "ATTACH '/etc/passwd'", "\x00", "SELECT $missing", "SET memory_limit='1TB'", "SELECT * FROM '/etc/passwd'",
    ],
)  # fmt: skip
def test_sql_that_is_more_than_a_question_is_refused(home: Rich, client: httpx.Client, query: str) -> None:
    status, _ = refused(home, client, "v1/sql", {"query": query})
    assert status in (403, 422)
