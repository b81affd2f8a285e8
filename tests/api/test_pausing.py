"""Pausing through HTTP: the same scopes as on the command line, with actor and reason."""

import json
import time
from pathlib import Path

from tests.api.serving import Served, served, until

SLEEPER = json.dumps({"kind": "k", "source": "s", "payload": {"shell": "exec sleep 60"}, "max_attempts": 3})


def test_op2_stop_ends_what_runs_and_holds_the_rest(tmp_path: Path) -> None:
    (tmp_path / "rt.toml").write_text("[work]\nkill_grace_s = 0.3\n")
    with served(tmp_path, "--work") as own, own.client("operate") as client:
        own.rt("intake", SLEEPER)

        def states() -> list[str]:
            items = client.get("/api/v1/tasks").raise_for_status().json()["items"]
            return [each["status"] for each in items]

        until(lambda: states() == ["running"], "it runs")
        body = {"paused": True, "scope": "stop", "reason": "the disk smells"}
        done = client.post("/api/v1/dispatcher", json=body)
        assert done.status_code == 200, done.text
        assert (done.json()["paused"], done.json()["changed"]) == (True, True)
        until(lambda: states() == ["operator_canceled"], "it ended")
        own.rt("intake", SLEEPER)
        assert client.get("/api/v1/dispatcher").json()["paused"]
        time.sleep(0.3)
        assert sorted(states()) == ["operator_canceled", "pending"]
    tail = [json.loads(line) for line in own.rt("log", "tail", "--json").stdout.splitlines()]
    [row] = [each for each in tail if each.get("topic") == "dispatcher.paused.v1"]
    assert row["actor"] == "operator:operate"
    assert (row["data"]["scope"], row["data"]["reason"]) == ("stop", "the disk smells")


def test_op2_an_unknown_scope_is_refused(own: Served) -> None:
    with own.client("operate") as client:
        answer = client.post("/api/v1/dispatcher", json={"paused": True, "scope": "everything"})
        assert answer.status_code in (400, 422)
        assert not client.get("/api/v1/dispatcher").json()["paused"]
