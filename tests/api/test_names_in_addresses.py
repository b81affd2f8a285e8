"""Names in addresses: whatever may stand in a name can be reached, each name by one address."""

from collections.abc import Iterator
from urllib.parse import quote

import httpx
import pytest

from tests.api.listening import ADAPTER
from tests.api.serving import served

NAMES = ("org/repo", "org%2Frepo", "a b", "ä#?&=+", "..", ".", "100%", "a//b", "/", "%", "x;y,z")
TASK = {"kind": "k", "source": "s", "payload": {"objective": "x"}}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("names") / "here"
    folder.mkdir()
    (folder / "rt.toml").write_text(ADAPTER)
    with served(folder) as at, at.client("admin") as found:
        yield found


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_is_reached_by_its_name(client: httpx.Client, name: str) -> None:
    wanted = {"name": name, "task": TASK, "interval_seconds": 86_400}
    client.post("/api/v1/schedules", json=wanted).raise_for_status()
    path = f"/api/v1/schedules/{encoded(name)}"
    client.patch(path, json={"enabled": False}).raise_for_status()
    states = {each["name"]: each["status"] for each in client.get("/api/v1/schedules").json()["items"]}
    assert states[name] == "disabled"
    removed = client.delete(path)
    assert removed.status_code == 200, removed.text


@pytest.mark.parametrize("name", NAMES)
def test_a_workflow_is_reached_by_its_key(client: httpx.Client, name: str) -> None:
    wanted = {"template": "goal-loop", "instance_key": name, "context": {"goal": "x"}}
    client.post("/api/v1/workflows", json=wanted).raise_for_status()
    found = client.get(f"/api/v1/workflows/{encoded(name)}").raise_for_status().json()
    assert found["instance_key"] == name


@pytest.mark.parametrize("path", ["/api/v1/%73tatus", "/%61pi/v1/status", "/api/v1/status?"])
def test_a_letter_may_be_encoded(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1%2Fstatus", "/api%2fv1/status", "/%2Fapi/v1/status"])
def test_an_encoded_slash_is_none(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 404


def encoded(name: str) -> str:
    """A part of an address; dots alone have to be encoded too, as clients take them away."""
    return "".join("%2E" for _ in name) if not name.strip(".") else quote(name, safe="")
