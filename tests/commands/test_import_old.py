"""`rt import agent-runtime`: the old database becomes history, once; what was open goes on here."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.commands.place import Place

SCHEMA = (
    "CREATE TABLE tasks(task_id TEXT PRIMARY KEY, kind TEXT, source TEXT, subject TEXT, description TEXT,"
    " priority REAL, payload_json TEXT, requested_profile TEXT, requested_adapter TEXT, status TEXT, created_at TEXT,"
    " updated_at TEXT, attempt_count INTEGER, max_attempts INTEGER, available_at TEXT, started_at TEXT,"
    " finished_at TEXT, outcome_json TEXT, last_error TEXT)",
    "CREATE TABLE task_attempts(attempt_id TEXT PRIMARY KEY, task_id TEXT, adapter_id TEXT, status TEXT,"
    " started_at TEXT, ended_at TEXT, exit_status TEXT, retry_class TEXT, diagnostics TEXT)",
    "CREATE TABLE runtime_events(id INTEGER PRIMARY KEY, event_type TEXT, task_id TEXT, attempt_id TEXT,"
    " detail TEXT, created_at TEXT)",
    "CREATE TABLE workflow_instances(id TEXT PRIMARY KEY, template TEXT, instance_key TEXT UNIQUE,"
    " current_state TEXT, context TEXT, created_at TEXT, updated_at TEXT, completed_at TEXT)",
    "CREATE TABLE schedules(schedule_id TEXT PRIMARY KEY, name TEXT, interval_seconds INTEGER, task TEXT,"
    " enabled INTEGER, next_run_at TEXT, created_at TEXT, updated_at TEXT, last_run_at TEXT)",
    "CREATE TABLE sensor_events(sensor_id TEXT, event_id TEXT, source_ref TEXT, dedupe_key TEXT, payload TEXT,"
    " observed_at TEXT, created_at TEXT, task_id TEXT, workflow_id TEXT)",
)
CONFIG = """
default_adapter = "report"
[adapters.report]
command = "./report"

"""
REPORT = '#!/bin/sh\necho \'{"status": "completed", "operator_summary": "done"}\'\n'
DONE = "0b0e4f0e-5e9c-4a51-8f7e-0d3f5a3f1a01"
DAY = "2026-01-02"


class Old:
    """A database of agent-runtime in the making."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db = sqlite3.connect(path)
        for statement in SCHEMA:
            self._db.execute(statement)

    def add(self, table: str, **fields: object) -> None:
        values = [json.dumps(each) if isinstance(each, dict | list) else each for each in fields.values()]
        marks = ", ".join("?" * len(fields))
        self._db.execute(f"INSERT INTO {table}({', '.join(fields)}) VALUES ({marks})", values)  # noqa: S608  # names of this test
        self._db.commit()

    def task(self, name: str, status: str, **fields: object) -> None:
        known: dict[str, object] = {"kind": "note", "source": "intake", "payload_json": {"n": 1}, "priority": 5}
        known |= {"max_attempts": 3, "attempt_count": 0, "created_at": f"{DAY}T03:04:05.678Z"}
        self.add("tasks", **(known | {"task_id": name, "status": status} | fields))


@pytest.fixture
def old(tmp_path: Path) -> Old:
    """One of each."""
    old = Old(tmp_path / "old.db")
    spent = {"attempt_count": 1, "finished_at": f"{DAY}T04:00:00.000Z"}
    old.task(DONE, "completed", subject="the first", outcome_json={"operator_summary": "all good"}, **spent)
    old.task("t-failed", "permanent_failure", last_error="no", **spent)
    old.task("t-blocked", "blocked", **spent)
    old.task("t-canceled", "operator_canceled", outcome_json={"operator_summary": "not needed"}, **spent)
    old.task("t-pending", "pending", priority=9.0, description="do it")
    old.task("t-running", "running", attempt_count=1)
    old.task("t-retry", "retryable_failure", attempt_count=2, available_at=f"{DAY}T05:00:00.000Z")
    old.task("t-limbo", "retryable_failure", attempt_count=3)
    old.add("task_attempts", attempt_id="a-1", task_id=DONE, adapter_id="codex", diagnostics={"reason": ""})
    old.add("runtime_events", id=1, event_type="task_enqueued", task_id=DONE, detail={"source": "intake"})
    old.add("runtime_events", id=2, event_type="dispatch_idle")
    task = {"kind": "beat", "source": "clock", "payload": {}}
    old.add("schedules", schedule_id="s1", name="heartbeat", interval_seconds=305, task=task, enabled=1,
            next_run_at=f"{DAY}T06:00:00.000Z", created_at=f"{DAY}T00:00:00.000Z")  # fmt: skip
    old.add("sensor_events", sensor_id="mail", event_id="m1", source_ref="inbox", dedupe_key="mail:m1",
            payload={"from": "a@example.org"}, observed_at=f"{DAY}T01:00:00.000Z", task_id=DONE)  # fmt: skip
    return old


@pytest.fixture
def home(place: Place) -> Place:
    place.config(CONFIG + "[retry]\nattempts = 3\nbackoff_s = 0.01\nbackoff_max_s = 0.01\n")
    place.script("report", REPORT)
    return place


def _import(home: Place, *options: str) -> dict[str, Any]:
    return home.json("import", "agent-runtime", "old.db", *options)


def _tasks(home: Place) -> dict[str, dict[str, Any]]:
    shown = [(home.task(row["task"]), row) for row in home.rows("task", "list")]
    return {task["imported"]["task"]["task_id"]: row for task, row in shown if "imported" in task}


def test_every_task_is_there_in_its_state_with_its_old_times(home: Place, old: Old) -> None:
    """LC-1: what nobody would have claimed any more is blocked with a cause."""
    _ = old
    answer = _import(home)
    assert answer["counts"]["tasks"] == {"found": 8, "imported": 8, "known": 0, "skipped": 0}
    found = _tasks(home)
    assert {name: (row["status"], row["cause"]) for name, row in found.items()} == {
        DONE: ("completed", ""),
        "t-failed": ("permanent_failure", "imported"),
        "t-blocked": ("blocked", "imported"),
        "t-canceled": ("operator_canceled", "operator_canceled"),
        "t-pending": ("pending", ""),
        "t-running": ("retryable_failure", "imported_running"),
        "t-retry": ("retryable_failure", "imported"),
        "t-limbo": ("blocked", "attempts_exhausted"),
    }
    done = found[DONE]
    assert done["task"] == DONE.replace("-", "")
    assert (done["created_at"], done["updated_at"]) == (f"{DAY}T03:04:05.678Z", f"{DAY}T04:00:00.000Z")
    assert (found["t-pending"]["priority"], found["t-retry"]["max_attempts"]) == (9, 1)
    actors = {json.loads(line)["actor"] for line in home.ok("log", "tail", "--json").text.splitlines()[:-1]}
    assert actors == {"import:agent-runtime"}


def test_attempts_and_events_are_kept_as_text_with_their_task(home: Place, old: Old) -> None:
    _ = old
    counts = _import(home)["counts"]
    assert (counts["attempts"], counts["events"]) == ({"found": 1, "imported": 1}, {"found": 2, "imported": 1})
    past = home.task(DONE)["imported"]
    assert past["attempts"][0]["adapter_id"] == "codex"
    assert past["events"] == [
        {"id": 1, "event_type": "task_enqueued", "task_id": DONE, "attempt_id": None, "detail": {"source": "intake"},
         "created_at": None}
    ]  # fmt: skip
    assert past["task"]["outcome"] == {"operator_summary": "all good"}


def test_a_second_import_changes_nothing_and_later_rows_are_added(home: Place, old: Old) -> None:
    _import(home)
    head = home.head()
    again = _import(home)
    assert (home.head(), again["position"]) == (head, head)
    assert all(counts["imported"] == 0 for counts in again["counts"].values())
    assert again["counts"]["tasks"]["known"] == 8
    old.task("t-late", "completed")
    assert _import(home)["counts"]["tasks"] == {"found": 9, "imported": 1, "known": 8, "skipped": 0}


def test_a_dry_run_says_the_same_and_makes_nothing(home: Place, old: Old) -> None:
    _ = old
    would = _import(home, "--dry-run")
    assert not home.state.exists()
    did = _import(home)
    assert (would["counts"], would["notes"]) == (did["counts"], did["notes"])
    assert _import(home, "--dry-run")["counts"]["tasks"]["known"] == 8


def test_what_was_open_goes_on_here_in_the_order_of_claims(home: Place, old: Old) -> None:
    _ = old
    _import(home)
    home.ok("run-once")
    assert _tasks(home)["t-pending"]["status"] == "completed"
    home.ok("work", "--until-idle")
    statuses = {name: row["status"] for name, row in _tasks(home).items()}
    assert (statuses["t-running"], statuses["t-retry"], statuses["t-limbo"]) == ("completed", "completed", "blocked")
    home.ok("replay", "--all")
    home.ok("log", "verify")
    home.ok("doctor")


def test_a_schedule_fires_by_its_old_rhythm(home: Place, old: Old) -> None:
    """SC-4: imported ones count from the tick, as before."""
    _ = old
    _import(home)
    shown = home.json("schedule", "show", "heartbeat")
    assert (shown["interval_seconds"], shown["anchor"], shown["enabled"]) == (305, "tick", True)
    assert shown["next_run_at"].startswith(f"{DAY}T06:00:00")
    assert shown["created_at"].startswith(f"{DAY}T00:00:00")
    ticked = home.json("schedule", "tick", "--at", f"{DAY}T06:00:00Z")
    assert ticked["tasksCreated"] == 1
    assert home.task(ticked["taskIds"][0])["source"] == f"clock:{DAY}T06:00:00.000Z"


def test_a_redelivered_sensor_event_is_known(home: Place, old: Old) -> None:
    """SE-3: by its key, by the sensor's own id, and with another payload it is a conflict."""
    _ = old
    _import(home)
    told = {"sensor_id": "mail", "event_id": "m1", "source_ref": "inbox", "dedupe_key": "mail:m1"}
    again = home.json("sensor", "ingest", json.dumps(told | {"payload": {"from": "a@example.org"}}))
    assert (again["accepted"], again["conflict"], again["task_id"]) == (False, False, DONE.replace("-", ""))
    renamed = home.json("sensor", "ingest", json.dumps(told | {"dedupe_key": "other", "payload": {}}))
    assert (renamed["accepted"], renamed["conflict"]) == (False, True)


def _workflow(old: Old, key: str, state: str, template: str = "goal-loop", **fields: object) -> None:
    context = {"summary": f"the {key} goal", "base_name": "old-base", "execution_iteration": 2}
    known: dict[str, object] = {"id": f"wf-{key}", "template": template, "instance_key": key, "current_state": state}
    old.add("workflow_instances", **(known | {"context": context, "created_at": f"{DAY}T00:00:00.000Z"} | fields))


def test_a_workflow_stands_in_its_state_and_asks_for_one_task(home: Place, old: Old) -> None:
    _workflow(old, "going", "execute")
    old.task("t-of-flow", "pending", source="workflow:wf-going:execute")
    _import(home)
    shown = home.json("workflow", "show", "going")
    assert (shown["current_state"], shown["status"], shown["iteration"]) == ("execute", "active", 2)
    assert (shown["context"]["base_name"], shown["task_status"]) == ("old-base", "open")
    assert shown["created_at"].startswith(f"{DAY}T00:00:00")
    superseded = _tasks_of(home, "workflow:wf-going:execute")
    assert [row["status"] for row in superseded] == ["operator_canceled"]
    wanted = home.task(shown["task_id"])
    assert (wanted["status"], wanted["kind"]) == ("pending", "goal-execute")
    home.ok("replay", "--all")


def _tasks_of(home: Place, source: str) -> list[dict[str, Any]]:
    return home.rows("task", "list", "--source", source)


def test_a_workflow_that_stood_still_is_parked_until_a_person_acts(home: Place, old: Old) -> None:
    _workflow(old, "stuck", "verify")
    old.task("t-stuck", "blocked", source="workflow:wf-stuck:verify")
    _import(home)
    shown = home.json("workflow", "show", "stuck")
    assert (shown["current_state"], shown["status"], shown["cause"]) == ("verify", "parked", "task_canceled")
    assert home.task(shown["task_id"])["status"] == "operator_canceled"
    assert home.json("workflow", "retry", "stuck")["status"] == "active"
    home.ok("replay", "--all")


@pytest.mark.parametrize(
    ("template", "state"), [("goal-loop", "complete"), ("wallet-onboarding", "draft-wallet-checklist")]
)
def test_a_completed_workflow_is_over_and_its_key_is_known(home: Place, old: Old, template: str, state: str) -> None:
    _workflow(old, "over", state, template, context={}, completed_at=f"{DAY}T02:00:00.000Z")
    _import(home)
    assert home.json("workflow", "show", "over")["status"] == "completed"
    again = home.json("workflow", "create", "--template", template, "--key", "over")
    assert again["created"] is False
    assert not [row for row in home.rows("task", "list", "--state", "pending") if row["kind"].startswith("wallet")]
    home.ok("replay", "--all")


def test_a_template_that_nobody_knows_is_reported(home: Place, old: Old) -> None:
    _workflow(old, "odd", "somewhere", template="home-made")
    answer = _import(home)
    assert answer["counts"]["workflows"]["skipped"] == 1
    (note,) = answer["notes"]
    assert (note["kind"], note["id"]) == ("workflows", "odd")
    assert "home-made" in note["why"]


def test_an_open_task_that_could_not_be_taken_in_waits_for_a_person(home: Place, old: Old) -> None:
    """OU-2b: a command out of the old database is not run because it lies there. IN-8: nor an unknown adapter."""
    old.task("t-argv", "pending", payload_json={"argv": ["touch", "ran"]})
    old.task("t-odd", "pending", requested_adapter="codex-main")
    answer = _import(home)
    found = _tasks(home)
    assert [found[name]["cause"] for name in ("t-argv", "t-odd")] == ["import_refused"] * 2
    assert [note["id"] for note in answer["notes"]] == ["t-argv", "t-odd"]
    home.ok("work", "--until-idle")
    assert not (home.folder / "ran").exists()


def test_a_command_of_a_schedule_is_not_taken_over(home: Place, old: Old) -> None:
    task = {"kind": "command", "source": "web", "payload": {"argv": ["touch", "ran"]}}
    old.add("schedules", name="odd", interval_seconds=60, task=task)
    answer = _import(home)
    assert answer["counts"]["schedules"] == {"found": 2, "imported": 1, "known": 0, "skipped": 1}


def test_nothing_of_what_ended_long_ago_is_told_to_anybody(home: Place, old: Old) -> None:
    _ = old
    text = (home.folder / "rt.toml").read_text()
    home.config(text + '[outbox.destinations.ops]\nkind = "command"\nargv = ["true"]\n'
                       '[[notify]]\non = ["blocked", "failed", "completed"]\nto = "ops"\n')  # fmt: skip
    _import(home)
    assert home.rows("outbox", "list") == []


def test_secrets_do_not_come_in(home: Place, old: Old) -> None:
    secret = "canary-of-the-old-runtime"  # noqa: S105  # that is the point
    text = (home.folder / "rt.toml").read_text()
    home.config(text + '[secrets]\nenv = ["OLD_TOKEN"]\n')
    old.task("t-secret", "completed", subject=f"with {secret}", outcome_json={"raw_output": secret})
    task = {"kind": "beat", "source": "x", "payload": {"token": secret}}
    old.add("schedules", name="leaky", interval_seconds=60, task=task)
    known = Place(home.folder, {"OLD_TOKEN": secret})
    assert _import(known)["counts"]["schedules"]["skipped"] == 1
    exported = known.ok("log", "export", "-").out
    assert b"t-secret" in exported
    assert secret.encode() not in exported


def test_rows_with_odd_values_come_in_as_far_as_they_go(home: Place, old: Old) -> None:
    old.task("", "weird", kind=None, source="s" * 500, priority="high", payload_json="[1]", created_at="soon")
    old.add("tasks", task_id="t-bare")
    _import(home)
    found = _tasks(home)
    assert (found[""]["status"], found[""]["kind"], found[""]["priority"]) == ("blocked", "unknown", 5)
    assert len(found[""]["source"]) == 200
    assert found["t-bare"]["status"] == "blocked"


def test_many_rows_take_several_transactions(home: Place, old: Old) -> None:
    for number in range(450):
        old.task(f"many-{number}", "completed")
    assert _import(home)["counts"]["tasks"]["imported"] == 458
    assert home.json("log", "verify")["position"] > 900


def test_what_is_no_database_is_refused_and_nothing_is_made(home: Place) -> None:
    done = home.rt("import", "agent-runtime", "none.db", "--json")
    assert (done.code, done.error["code"]) == (2, "rt.invalid")
    assert not home.state.exists()
