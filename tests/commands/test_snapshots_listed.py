"""Snapshots that lie with the others: a corrupt one is listed with its error; and what two of them say differently."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from commands import snapshots
from commands.home import Home
from commands.wiring import Runtime
from domain import errors
from domain.bounds import SNAPSHOT_FILE_BYTES_MAX
from tests.commands.place import Place
from tests.commands.test_workflows import CLAUDE

FORM = '{"captured_at": "2026-01-01T00:00:00Z", "status": '
CORRUPT = {
    "empty": "",
    "cut": '{"captured_at": "2026',
    "a list": "[]",
    "a number": "7",
    "no status": '{"captured_at": "2026-01-01T00:00:00Z"}',
    "no time": '{"status": {"counts": []}}',
    "counts of no form": FORM + '{"counts": [1, 2]}}',
    "counts that are words": FORM + '{"counts": [{"status": "completed", "count": "many"}]}}',
    "tasks that are a number": FORM + '{}, "queued_tasks": 7}',
    "tasks without ids": FORM + '{}, "queued_tasks": [{"status": "pending"}]}',
    "workflows without keys": FORM + '{}, "workflows": [{}]}',
    "artifacts that are numbers": FORM + '{}, "artifact_files": [7]}',
    "costs in words": FORM + '{}, "cost_usd": "a lot"}',
    "too deep": "[" * 200_000,
    "of another log": FORM + '{"counts": []}, "position": 1, "hash": "00"}',
}


@contextmanager
def runtime(place: Place) -> Iterator[Runtime]:
    made = Runtime(Home(place.state, None, place.folder), "test")
    yield made
    made.close()


def listed(place: Place) -> list[dict[str, Any]]:
    with runtime(place) as made:
        return snapshots.listed(made)


def other(place: Place, text: str | bytes) -> Path:
    """A file that is no snapshot, between two that are."""
    place.do("true")
    place.ok("snapshot", "--label", "first")
    place.do("true")
    place.ok("snapshot", "--label", "last")
    path = place.state / "snapshots" / "000000000002-bad.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("text", CORRUPT.values(), ids=CORRUPT)
def test_sn3_a_corrupt_snapshot_is_listed_with_its_error_and_the_others_still_work(place: Place, text: str) -> None:
    path = other(place, text)
    found = listed(place)
    good = [each for each in found if "error" not in each]
    assert [each["name"].partition("-")[2] for each in good] == ["last.json", "first.json"]
    assert [each["completed_tasks"] for each in good] == [2, 1]
    [bad] = [each for each in found if "error" in each]
    assert (bad["name"], bad["path"]) == (path.name, path.name)
    assert bad["error"]
    assert place.json("report", "--before", "first", "--after", "last")["completed_task_delta"]["delta"] == 1
    done = place.rt("report", "--before", str(path), "--json")
    assert (done.code, done.error["code"]) == (2, "rt.invalid")


def test_sn3_the_size_of_one_is_bounded(place: Place) -> None:
    path = other(place, "{}")
    with path.open("wb") as file:
        file.truncate(SNAPSHOT_FILE_BYTES_MAX + 1)  # it has holes, and takes no space
    [bad] = [each for each in listed(place) if "error" in each]
    assert str(SNAPSHOT_FILE_BYTES_MAX) in bad["error"]


def test_sn3_what_is_no_file_is_an_error_too(place: Place) -> None:
    path = other(place, "")
    path.unlink()
    path.mkdir()
    assert [each["name"] for each in listed(place) if "error" in each] == [path.name]


def test_sn3_a_list_is_bounded_and_begins_with_the_newest(place: Place) -> None:
    other(place, "")
    with runtime(place) as made:
        found = snapshots.listed(made, 1)
    assert [each["name"].partition("-")[2] for each in found] == ["last.json"]


def test_one_that_lies_elsewhere_is_not_found_by_its_name(place: Place) -> None:
    path = other(place, "{}")
    with runtime(place) as made:
        assert snapshots.named(made, path.name) == path
        for name in ("../log.db", "none.json", f"../snapshots/{path.name}", "head.json", "."):
            with pytest.raises(errors.SnapshotNotFound):
                snapshots.named(made, name)


# what two say differently

TEMPLATE = {
    "name": "small",
    "start": "one",
    "states": {
        "one": {"task": {"kind": "k1"}, "signals": {"next": "two"}},
        "two": {"task": {"kind": "k2"}, "completion_kinds": ["k2"]},
    },
    "caps": {"state_retry_max": 1},
}
CONFIG = """default_adapter = "agent-cli"
[retry]
attempts = 1
[adapters.agent-cli]
kind = "claude-code"
command = "./claude"
[workflows]
small = "small.json"
"""


def flows(place: Place) -> Place:
    """A place with a workflow of two states."""
    place.config(CONFIG)
    (place.folder / "asked").touch()
    (place.folder / "small.json").write_text(json.dumps(TEMPLATE))
    place.script("claude", CLAUDE)
    return place


def begin(place: Place, key: str) -> None:
    place.ok("workflow", "create", "--template", "small", "--key", key)


def moves(found: dict[str, Any]) -> list[tuple[str, str, str | None, str | None]]:
    """Key, change, from (or where it is), to."""
    return [
        (each["instance_key"], each["change"], each.get("from_state") or each.get("state"), each.get("to_state"))
        for each in found["workflow_state_changes"]
    ]


def test_a_report_tells_workflows_that_are_new_advanced_and_completed(place: Place) -> None:
    flows(place)
    begin(place, "w1")
    place.ok("snapshot", "--label", "begun")
    begin(place, "w2")
    place.ok("run-once")  # the task of w1's first state
    place.ok("snapshot", "--label", "moved")
    found = place.json("report", "--before", "begun", "--after", "moved")
    assert found["workflow_counts"] == {"before": 1, "after": 2}
    assert moves(found) == [("w1", "advanced", "one", "two"), ("w2", "new", "one", None)]
    assert {each["template"] for each in found["workflow_state_changes"]} == {"small"}
    place.ok("work", "--until-idle")
    place.ok("snapshot", "--label", "done")
    found = place.json("report", "--before", "moved", "--after", "done")
    assert found["workflow_counts"] == {"before": 2, "after": 2}
    assert ("w2", "advanced", "one", "two") in moves(found)
    ended = [each for each in found["workflow_state_changes"] if each["change"] == "completed"]
    assert sorted(each["instance_key"] for each in ended) == ["w1", "w2"]
    assert all(each["completed_at"] for each in ended)


def test_sn2_a_report_tells_how_long_runs_took_between_the_two(place: Place) -> None:
    place.do("sleep", "0.4")
    place.ok("snapshot", "--label", "before")
    place.do("sleep", "0.2")
    between = place.json("report", "--before", "before")["run_seconds"]
    whole = place.json("report", "--before", "1")["run_seconds"]
    assert 0.2 <= between < 30
    assert whole >= between + 0.4


def test_sn2_a_report_tells_open_tasks_and_their_causes(place: Place) -> None:
    place.config("[retry]\nbackoff_s = 3600\n")
    place.do("true")
    place.ok("snapshot", "--label", "before")
    blocked = place.do("sh", "-c", "exit 3")["task"]
    waiting = place.queue("sh", "-c", "exit 3", options=("--attempts", "2"))
    place.ok("run-once")
    pending = place.queue("true")
    found = place.json("report", "--before", "before")
    told = {each["task_id"]: (each["status"], each["cause"]) for each in found["blocked_or_retryable_tasks"]}
    assert set(told) == {blocked, waiting}
    assert told[blocked] == ("blocked", "attempts_exhausted")
    assert told[waiting][0] == "retryable_failure"
    assert pending not in told
    assert {each["cause"]: each["tasks"] for each in found["causes"]}["attempts_exhausted"] == 1
    assert found["queued_task_delta"] == {"before": 0, "after": 3, "delta": 3}
    assert found["ended_idle"] is False


def test_sn4_a_house_in_which_only_blocked_tasks_are_left_is_idle(place: Place) -> None:
    place.do("true")
    place.ok("snapshot", "--label", "before")
    place.do("sh", "-c", "exit 3")
    place.ok("pause")  # the last event says nothing of idleness
    assert place.json("report", "--before", "before")["ended_idle"] is True


def test_sn4_what_is_due_later_leaves_the_runtime_idle_and_what_is_due_now_does_not(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.queue("true", options=["--in-minutes", "60"])
    place.ok("snapshot", "--label", "later")
    place.queue("true")
    place.ok("snapshot", "--label", "now")
    place.ok("snapshot", "--label", "again")
    ended = [place.json("report", "--before", "later", "--after", name)["ended_idle"] for name in ("later", "now")]
    assert ended == [True, False]
