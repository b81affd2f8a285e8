"""What an answer names: the field that came, where what was made can be read, and the state beside the status."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.listening import ADAPTER
from tests.api.serving import served

TASK = {"kind": "k", "source": "s", "payload": {"objective": "x"}}
SENSED = {"sensor_id": "d", "event_id": "e", "source_ref": "x", "dedupe_key": "k", "payload": {"free": 1}}
FLOW = {"template": "goal-loop", "context": {"goal": "x"}}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("fields") / "here"
    folder.mkdir()
    (folder / "rt.toml").write_text(ADAPTER)
    with served(folder) as at, at.client("admin") as found:
        yield found


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("tasks", TASK | {"available_at": "soon"}, "body.available_at"),
        ("tasks", TASK | {"kind": ""}, "body.kind"),
        ("tasks/queue", {"message": "x", "priority": "high"}, "body.priority"),
        ("schedules", {"name": "n", "task": TASK, "cron": "61 * * * *"}, "body.cron"),
        ("schedules", {"name": "n", "task": TASK | {"priority": 1e9}, "interval_seconds": 9}, "body.task.priority"),
        ("sensors/events", SENSED | {"observed_at": "soon"}, "body.observed_at"),
        ("workflows", FLOW | {"instance_key": ""}, "body.instance_key"),
        ("workflows/there/transition", {"to": "nowhere"}, "body.to"),
        ("workflows/there/transition", {"signal": "none"}, "body.signal"),
    ],
)
def test_what_was_wrong_is_named_as_it_came(client: httpx.Client, path: str, body: dict[str, Any], where: str) -> None:
    client.post("/api/v1/workflows", json=FLOW | {"instance_key": "there"}).raise_for_status()
    address = f"/api/{path}" if path == "tasks/queue" else f"/api/v1/{path}"
    problem = client.post(address, json=body).json()
    assert problem["where"] == where
    assert where in problem["detail"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("v1/tasks", TASK),
        ("tasks/queue", {"message": "x"}),
        ("v1/schedules", {"name": "a/b", "task": TASK, "interval_seconds": 86_400}),
        ("v1/sensors/events", SENSED),
        ("v1/workflows", FLOW | {"instance_key": "a/b"}),
        ("v1/snapshots", {"label": "now"}),
    ],
)
def test_what_was_made_can_be_read_where_the_answer_says(client: httpx.Client, path: str, body: dict[str, Any]) -> None:
    made = client.post(f"/api/{path}", json=body)
    assert made.status_code == 201, made.text
    found = client.get(made.headers["location"])
    assert found.status_code == 200, found.text


def test_the_state_that_stands_in_the_way_is_told_beside_the_status_of_the_answer(client: httpx.Client) -> None:
    task = client.post("/api/v1/tasks", json=TASK).json()["task_id"]
    client.post(f"/api/v1/tasks/{task}/cancel", json={}).raise_for_status()
    problem = client.post(f"/api/v1/tasks/{task}/unblock", json={}).json()
    assert (problem["status"], problem["state"]) == (409, "operator_canceled")
