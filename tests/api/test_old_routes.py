"""Every address of an older runtime, with the fields that its clients read; and what differs on purpose."""

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from tests.api.expected import NEEDS
from tests.api.listening import OLD, Ear
from tests.api.refusals import check_refusal
from tests.api.rich import Rich, rich
from tests.api.serving import Served

COUNTS: Final = {
    "queued", "running", "completed", "blocked", "retryable_failure", "permanent_failure", "operator_canceled",
}  # fmt: skip
STATE: Final = {"runtime_name", "runtime_state", "counts", "dispatch_paused", "last_event"}
EVENT: Final = {"id", "event_type", "task_id", "attempt_id", "detail", "created_at"}
TASK: Final = {
    "task_id", "kind", "source", "subject", "description", "priority", "payload", "status", "requested_profile",
    "created_at", "updated_at", "started_at", "finished_at", "attempt_count", "max_attempts", "available_at",
    "last_error", "artifact_paths", "operator_summary", "machine_status", "requested_adapter", "selected_adapter",
    "cause", "cost_usd",
}  # fmt: skip
SENSED: Final = {"sensor_id": "disk", "event_id": "e1", "source_ref": "r", "dedupe_key": "d1", "payload": {"n": 1}}
SCHEDULE: Final = {"name": "hourly", "interval_seconds": 3600, "task": {"kind": "k", "source": "s", "payload": {}}}
ROUTES: Final = {
    "GET /api/state", "GET /api/heartbeat", "GET /api/pause", "POST /api/pause", "GET /api/tasks",
    "POST /api/tasks/queue", "POST /api/tasks/{task}/cancel", "GET /api/events", "GET /api/workflows",
    "GET /api/schedules", "POST /api/schedules", "POST /api/schedules/tick", "GET /api/sensors/events",
    "POST /api/sensors/events", "GET /api/artifacts", "GET /artifacts", "GET /api/artifact", "GET /api/snapshots",
    "GET /snapshots", "GET /api/snapshot", "GET /api/report", "GET /api/report/latest", "GET /api/stream", "GET /",
    "GET /favicon.ico", "GET /api/tasks/{task}", "GET /api/runs/{run}",
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    with rich(tmp_path_factory.mktemp("old") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def client(home: Rich) -> Iterator[httpx.Client]:
    with home.at.client("operate") as found:
        yield found


def get(client: httpx.Client, path: str) -> Any:  # noqa: ANN401  # a document
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def wrong(client: httpx.Client, path: str, body: object) -> dict[str, Any]:
    """What wrong input is told: 400, with what its clients look at too."""
    answer = client.post(path, json=body)
    assert answer.status_code == 400, answer.text
    found: dict[str, Any] = answer.json()
    assert (found["ok"], found["error"]) == (False, found["detail"])
    return found


def test_all_of_its_addresses_are_there() -> None:
    assert set(NEEDS) >= ROUTES


def test_the_state_has_its_counts_and_what_was_last(client: httpx.Client) -> None:
    state = get(client, "/api/state")
    assert set(state) >= STATE
    assert set(state["counts"]) >= COUNTS
    assert all(isinstance(count, int) for count in state["counts"].values())
    assert (state["runtime_name"], state["runtime_state"]) == ("rt", "idle")
    assert (state["counts"]["completed"], state["counts"]["blocked"]) == (2, 3)
    assert set(state["dispatch_paused"]) == {"paused", "reason", "updated_at"}
    assert set(state["last_event"]) == EVENT


def test_a_heart_beats_for_everybody(home: Rich) -> None:
    with home.at.client() as stranger:
        found = get(stranger, "/api/heartbeat")
    assert set(found) == {"ok", "latency_ms"}
    assert found["ok"] is True
    assert isinstance(found["latency_ms"], int | float)


def test_a_pause_is_set_and_cleared_and_shown(client: httpx.Client) -> None:
    done = client.post("/api/pause", json={"paused": True, "reason": "lunch", "by": "somebody"})
    assert done.status_code == 200
    assert set(done.json()) >= {"ok", "paused", "reason", "updated_at"}
    assert (done.json()["ok"], done.json()["paused"], done.json()["reason"]) == (True, True, "lunch")
    wait = f"/api/v1/status?min_position={done.json()['position']}"
    get(client, wait)
    shown = get(client, "/api/pause")
    assert (shown["paused"], shown["reason"]) == (True, "lunch")
    assert shown["updated_at"]
    assert get(client, "/api/state")["runtime_state"] == "paused"
    cleared = client.post("/api/pause", json={"paused": False})
    assert (cleared.json()["ok"], cleared.json()["paused"]) == (True, False)
    get(client, f"/api/v1/status?min_position={cleared.json()['position']}")
    assert get(client, "/api/pause")["paused"] is False


@pytest.mark.parametrize(
    "body", [{}, {"paused": "yes"}, {"paused": 1}, {"paused": None}, {"paused": True, "reason": 1}]
)
def test_a_pause_that_is_none_is_wrong_input(home: Rich, client: httpx.Client, body: dict[str, Any]) -> None:
    before = home.at.head()
    assert wrong(client, "/api/pause", body)["where"].startswith("body")
    assert home.at.head() == before


def test_tasks_have_all_their_fields_and_those_that_changed_last_come_first(home: Rich, client: httpx.Client) -> None:
    tasks = get(client, "/api/tasks?limit=200")["tasks"]
    assert all(set(each) >= TASK for each in tasks)
    changed = [each["updated_at"] for each in tasks]
    assert changed == sorted(changed, reverse=True)
    done = next(each for each in tasks if each["task_id"] == home.done["task"])
    assert (done["status"], done["requested_profile"], done["selected_adapter"]) == ("completed", "it", "worker")
    assert (done["artifact_paths"], done["operator_summary"]) == (["reports/s.md"], "s")
    assert (done["attempt_count"], done["payload"]) == (1, {"objective": "x"})
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    failed = next(each for each in tasks if each["task_id"] == home.blocked[0])
    assert (failed["status"], failed["last_error"], failed["max_attempts"]) == ("blocked", "attempts_exhausted", 1)
    later = next(each for each in tasks if each["task_id"] == home.pending[1])
    assert (later["status"], later["finished_at"], later["selected_adapter"]) == ("pending", None, None)
    assert later["available_at"].startswith("2200-01-01T00:00:00")


@pytest.mark.parametrize(
    ("query", "status"), [("", None), ("&status=blocked", "blocked"), ("&status=pending", "pending")]
)
def test_tasks_are_chosen_by_number_and_status(client: httpx.Client, query: str, status: str | None) -> None:
    tasks = get(client, f"/api/tasks?limit=2{query}")["tasks"]
    assert len(tasks) == 2
    assert status is None or {each["status"] for each in tasks} == {status}


def test_twenty_tasks_come_where_no_number_is_said(own: Served) -> None:
    task = {"kind": "k", "source": "s", "payload": {"argv": ["true"]}}
    tasks = [task | {"subject": f"one of many: {at}"} for at in range(21)]
    (own.folder / "tasks.json").write_text(json.dumps({"tasks": tasks}))
    own.rt("seed", "@tasks.json")
    with own.client("read") as client:
        assert len(get(client, "/api/tasks")["tasks"]) == 20


@pytest.mark.parametrize("path", ["/api/tasks", "/api/events", "/api/sensors/events"])
@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "", "1.5"])
def test_a_wrong_number_is_wrong_input(client: httpx.Client, path: str, limit: str) -> None:
    answer = client.get(path, params={"limit": limit})
    assert (answer.status_code, answer.json()["where"]) == (400, "query.limit")


def test_what_an_operator_wants_is_queued_in_words(client: httpx.Client) -> None:
    long = "use /planning, then /artifact-reporting. " + "x" * 200
    done = client.post("/api/tasks/queue", json={"message": long, "skill_refs": ["first"], "zz": 1})
    assert done.status_code == 201
    found = done.json()
    assert (found["ok"], found["kind"], found["source"]) == (True, "operator", "operator-ui")
    task = get(client, f"/api/tasks/{found['task_id']}")
    assert (task["subject"], task["adapter"], task["profile"]) == (long[:120], "", "")
    assert task["payload"]["skill_refs"] == ["first", "planning", "artifact-reporting"]
    assert task["payload"]["message"] == long
    fields = {
        "message": "do it", "subject": "S", "description": "D", "priority": 9, "parent_id": "p1", "kind": "research",
        "requested_profile": "it", "requested_adapter": "worker", "max_attempts": 2, "skill_refs": None,
    }  # fmt: skip
    named = get(client, f"/api/tasks/{client.post('/api/tasks/queue', json=fields).json()['task_id']}")
    assert (named["kind"], named["subject"], named["description"]) == ("operator", "S", "D")
    assert (named["priority"], named["profile"], named["adapter"], named["max_attempts"]) == (9, "it", "worker", 2)
    assert (named["payload"]["kind_override"], named["payload"]["parent_id"]) == ("research", "p1")
    assert "skill_refs" not in named["payload"]


@pytest.mark.parametrize(
    "body",
    [
        {}, {"message": ""}, {"message": None}, {"message": 1}, {"message": "m", "priority": "high"},
        {"message": "m", "priority": 1_001}, {"message": "m", "max_attempts": 0}, {"message": "m", "skill_refs": "a"},
        {"message": "m", "subject": "x" * 501}, {"message": "x" * 20_001}, {"message": "m", "kind": 1},
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_queued_is_wrong_input(home: Rich, client: httpx.Client, body: dict[str, Any]) -> None:
    before = home.at.head()
    assert wrong(client, "/api/tasks/queue", body)["where"].startswith(("body", "task"))
    assert home.at.head() == before


def test_a_task_is_canceled_with_its_reason(home: Rich, client: httpx.Client) -> None:
    task = home.pending[3]
    done = client.post(f"/api/tasks/{task}/cancel", json={"reason": "not now", "who": "me"})
    assert done.status_code == 200
    assert {name: done.json()[name] for name in ("ok", "task_id", "status")} == {
        "ok": True, "task_id": task, "status": "operator_canceled",
    }  # fmt: skip
    shown = next(each for each in get(client, "/api/tasks?limit=200")["tasks"] if each["task_id"] == task)
    assert (shown["status"], shown["machine_status"]) == ("operator_canceled", "canceled")
    for path, status in (("0" * 32, 404), (home.done["task"], 409)):
        answer = client.post(f"/api/tasks/{path}/cancel", json={})
        check_refusal(answer, home.at)
        assert answer.status_code == status


def test_a_task_and_a_run_are_told_with_all_that_belongs_to_them(home: Rich, client: httpx.Client) -> None:
    task = get(client, f"/api/tasks/{home.done['task']}")
    assert [each["run"] for each in task["runs"]] == [home.done["run"]]
    run = get(client, f"/api/runs/{home.done['run']}")
    assert run["outcome"]["operator_summary"] == "s"
    assert run["bundle_sha256"]


def test_events_come_in_the_order_of_the_log_from_anywhere(home: Rich, client: httpx.Client) -> None:
    head = home.at.head()[0]
    latest = get(client, "/api/events?limit=3")["events"]
    assert [each["id"] for each in latest] == [head - 2, head - 1, head]
    assert all(set(each) == EVENT for each in latest)
    assert [each["id"] for each in get(client, "/api/events?since=5&limit=4")["events"]] == [6, 7, 8, 9]
    assert get(client, f"/api/events?since={head}")["events"] == []
    assert len(get(client, "/api/events")["events"]) == min(50, head)
    names = {each["event_type"] for each in get(client, "/api/events?since=1&limit=200")["events"]}
    assert {"task_enqueued", "task_claimed", "task_finished", "schedule_upserted"} <= names


def test_whatever_an_event_calls_a_task_is_one(client: httpx.Client) -> None:
    """Its clients lead from the event to the task."""
    for event in get(client, "/api/events?since=1&limit=200")["events"]:
        if event["task_id"] is not None:
            status = client.get(f"/api/tasks/{event['task_id']}").status_code
            assert (event["event_type"], status) == (event["event_type"], 200)


def test_workflows_come_with_their_contexts_the_oldest_first(client: httpx.Client) -> None:
    body = {"template": "goal-loop", "instance_key": "w2", "context": {"goal": "y"}}
    client.post("/api/v1/workflows", json=body).raise_for_status()
    found = get(client, "/api/workflows")["workflows"]
    assert [each["instance_key"] for each in found] == ["w1", "w2"]
    assert found[0]["context"]["goal"] == "x"
    fields = {"workflow_id", "template", "instance_key", "current_state", "status", "created_at", "updated_at"}
    assert all(set(each) >= fields for each in found)


def test_a_schedule_is_kept_listed_and_fires(home: Rich, client: httpx.Client) -> None:
    made = client.post("/api/schedules", json=SCHEDULE | {"next_run_at": "2000-01-01T00:00:00Z", "zz": 1})
    assert made.status_code == 201
    assert (made.json()["ok"], made.json()["schedule"]["name"]) == (True, "hourly")
    off = client.post("/api/schedules", json=SCHEDULE | {"name": "a-first-name", "enabled": False})
    assert off.status_code == 201
    listed = get(client, "/api/schedules")["schedules"]
    assert [each["name"] for each in listed] == ["hourly", "nightly", "a-first-name"]
    assert {"schedule_id", "name", "enabled", "interval_seconds", "next_run_at", "last_run_at"} <= set(listed[0])
    before = home.at.head()
    ticked = client.post("/api/schedules/tick", json={"at": "2000-01-01T00:00:00Z"}).json()
    assert set(ticked) >= {"schedulesEvaluated", "tasksCreated", "taskIds"}
    assert (ticked["tasksCreated"], len(ticked["taskIds"])) == (1, 1)
    assert home.at.head() != before
    assert get(client, f"/api/tasks/{ticked['taskIds'][0]}")["source"].startswith("s")
    again = client.post("/api/schedules/tick", json={"at": "2000-01-01T00:00:00Z"}).json()
    assert again["tasksCreated"] == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/schedules", {}), ("/api/schedules", SCHEDULE | {"interval_seconds": 0}),
        ("/api/schedules", SCHEDULE | {"task": None}), ("/api/schedules/tick", {"at": "soon"}),
        ("/api/schedules/tick", {"at": 1}), ("/api/sensors/events", {}),
        ("/api/sensors/events", SENSED | {"payload": 1}),
        ("/api/sensors/events", SENSED | {"dedupe_key": ""}), ("/api/sensors/events", SENSED | {"observed_at": "x"}),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_wrong_input(home: Rich, client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    before = home.at.head()
    assert wrong(client, path, body)["where"]
    assert home.at.head() == before


def test_a_sensor_event_is_accepted_once_and_told(client: httpx.Client) -> None:
    first = client.post("/api/sensors/events", json=SENSED | {"zz": 1})
    assert (first.status_code, first.json()["accepted"], first.json()["ignored_keys"]) == (201, True, ["zz"])
    second = client.post("/api/sensors/events", json=SENSED)
    assert (second.status_code, second.json()["accepted"]) == (200, False)
    client.post("/api/sensors/events", json=SENSED | {"event_id": "e2", "dedupe_key": "d2"}).raise_for_status()
    told = get(client, "/api/sensors/events")["events"]
    assert [each["event_id"] for each in told] == ["e2", "e1"]
    fields = {
        "sensor_id",
        "event_id",
        "dedupe_key",
        "source_ref",
        "observed_at",
        "task_id",
        "workflow_id",
        "created_at",
    }
    assert set(told[0]) == fields
    assert len(get(client, "/api/sensors/events?limit=1")["events"]) == 1


@pytest.mark.parametrize("path", ["/api/snapshots", "/snapshots"])
def test_snapshots_are_listed_the_newest_first(home: Rich, client: httpx.Client, path: str) -> None:
    found = get(client, path)["snapshots"]
    fields = {"name", "path", "captured_at", "runtime_name", "queued_tasks", "completed_tasks"}
    assert all(set(each) >= fields for each in found)
    assert home.snapshot in [each["name"] for each in found]
    assert [each["name"] for each in found] == sorted((each["name"] for each in found), reverse=True)


def test_a_snapshot_is_found_by_its_name_and_by_its_path(home: Rich, client: httpx.Client) -> None:
    by_name = get(client, f"/api/snapshot?path={home.snapshot}")
    assert get(client, f"/api/snapshot?path=snapshots/{home.snapshot}") == by_name
    assert {"captured_at", "runtime_name", "status", "workflows", "queued_tasks", "recent_completed"} <= set(by_name)
    for wrong_path in ("none.json", "../rt.toml", "/etc/passwd", "snapshots/../../rt.toml", "tokens.json"):
        answer = client.get("/api/snapshot", params={"path": wrong_path})
        check_refusal(answer, home.at)
        assert answer.status_code in (400, 404)


def test_two_snapshots_are_compared_and_the_latest_two_by_themselves(home: Rich, client: httpx.Client) -> None:
    home.at.rt("snapshot", "--label", "second", "--at", "5")
    names = [each["name"] for each in get(client, "/api/snapshots")["snapshots"]]
    assert len(names) == 2
    report = get(client, f"/api/report?before={names[1]}&after={names[0]}")
    fields = {
        "runtime_name", "before_captured_at", "after_captured_at", "completed_task_delta", "queued_task_delta",
        "new_artifacts_created", "workflow_counts", "workflow_state_changes", "blocked_or_retryable_tasks",
    }  # fmt: skip
    assert set(report) >= fields
    assert set(report["completed_task_delta"]) == {"before", "after", "delta"}
    assert get(client, "/api/report/latest")["report"] == report


def test_without_two_snapshots_there_is_no_latest_report(own: Served) -> None:
    with own.client("read") as client:
        assert get(client, "/api/report/latest") == {"report": None}


@pytest.mark.parametrize("path", ["/api/artifacts", "/artifacts"])
def test_artifacts_are_listed_and_read(client: httpx.Client, path: str) -> None:
    top = get(client, path)
    assert (top["path"], top["type"]) == ("", "directory")
    inner = get(client, f"{path}?path=reports")["entries"]
    assert [set(each) for each in inner] == [{"name", "path", "type", "size", "updated_at"}]
    file = get(client, f"{path}?path=reports/s.md")
    assert (file["path"], file["type"]) == ("reports/s.md", "file")
    text = get(client, "/api/artifact?path=reports/s.md")
    assert set(text) >= {"path", "size", "updated_at", "content_type", "content"}
    assert (text["content"], text["size"]) == ("a report\n", 9)


def test_the_stream_says_first_how_it_is_and_then_what_happens(home: Rich, client: httpx.Client) -> None:
    since = home.at.head()[0] - 2
    with Ear(home.at, f"{OLD}?since={since}") as ear:
        board = ear.caught_up()
        assert (board.id, board.name, set(board.data)) == (None, "dashboard", {"state", "runtime_policy"})
        assert set(board.data["state"]) >= STATE
        first = ear.until(lambda told: told.name == "events")
        assert [each["id"] for each in first.data["events"]] == [since + 1, since + 2]
        written = client.post("/api/pause", json={"paused": True, "reason": "r"}).json()["position"]
        ear.until_position(written)
        last = ear.heard[-1]
        assert set(last.data) == {"events", "status", "state"}
        assert set(last.data["status"]) == {"runtime_state", "counts", "last_event", "recent"}
        assert (last.id, last.data["events"][-1]["id"]) == (written, written)
        assert last.data["events"][-1]["event_type"] == "dispatch_pause_enabled"
    with Ear(home.at, OLD, last=written - 1) as again:
        again.until_position(written)
        assert again.positions == [written]
    client.post("/api/pause", json={"paused": False}).raise_for_status()


def test_the_page_and_its_icon_are_there(home: Rich) -> None:
    with home.at.client() as stranger:
        page = stranger.get("/")
        icon = stranger.get("/favicon.ico")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (icon.status_code, icon.content) == (204, b"")
