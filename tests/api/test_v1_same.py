"""The same story told through either door leaves the same events, but for who, by which way, ids and times."""

import json
import re
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.api.both import Both
from tests.api.serving import served
from tests.commands.asking import DECIDED, DECIDER, ECHO, RULES, wanting
from tests.commands.place import Place

CONFIG = f"""
allow_argv_from = ["http", "sensor"]
default_adapter = "fails"
[adapters.fails]
command = "/bin/false"
outcome = "exit"
[retry]
attempts = 1
[outbox]
default = "desk"
[outbox.destinations.desk]
kind = "command"
argv = ["true"]
hold = true
[adapters.talks]
command = "./talks"
[profiles.talker]
program = "one_shot"
external_messages = true
{RULES}{DECIDED.replace("[work]", "").replace("kill_grace_s = 0.3", "")}"""
TALKS = """#!/bin/sh
echo '{"status":"completed","operator_summary":"s","external_messages":[{"text":"hello"},{"text":"again"}]}'
"""
TASK = {"kind": "k", "source": "s", "payload": {"goal": "x"}, "subject": "hello"}
TALK = TASK | {"requested_profile": "talker", "requested_adapter": "talks"}
SCHEDULE = {"interval_seconds": 60, "task": {"kind": "k", "source": "s", "payload": {"goal": "x"}}}
SENSED = {
    "sensor_id": "x", "event_id": "e1", "source_ref": "r", "dedupe_key": "k1", "payload": {"n": 1},
    "observed_at": "2026-01-01T00:00:00Z", "proposed_task": TASK,
}  # fmt: skip
DOC, DIGEST, MESSAGE = json.dumps(TASK), "{digest}", "{message}"


class Step(NamedTuple):
    """One thing that a person does: by HTTP, and on the command line."""

    ask: str  # method and path
    body: dict[str, Any]
    say: tuple[str, ...]


class Tale(NamedTuple):
    """What was before, on the command line, and what is compared."""

    before: tuple[tuple[str, ...], ...]
    steps: tuple[Step, ...]
    after: tuple[tuple[str, ...], ...] = ()


def answer(how: str, *options: str, **more: Any) -> tuple[Step, ...]:  # noqa: ANN401  # fields of an answer
    body = {"answer": how, "shown_sha256": DIGEST} | more
    verb = "reject" if how == "reject" else "approve"
    return (Step("POST runs/@last/approvals/1", body, (verb, "@last", "--digest", DIGEST, *options)),)


ASKS = (("intake", wanting([ECHO])), ("run-once",))
FAILS = (("intake", DOC), ("run-once",))
FLOW = {"template": "goal-loop", "instance_key": "w", "context": {"goal": "y"}}
A_FLOW = (("workflow", "create", "--template", "goal-loop", "--key", "w", "--context", '{"goal":"y"}'),)
EDIT = {"subject": "changed", "payload": {"goal": "better"}}
OTHER = {"command": "echo", "args": ["something else"]}
TALES = {
    "a task is taken in, moved and canceled": Tale((), (
        Step("POST tasks", TASK, ("intake", DOC)),
        Step("POST tasks", TASK | {"idempotency_key": "k"}, ("intake", DOC, "--key", "k")),
        Step("POST tasks", TASK | {"idempotency_key": "k"}, ("intake", DOC, "--key", "k")),
        Step("POST tasks/@last/prioritize", {"priority": 9}, ("prioritize", "@last", "9")),
        Step("POST tasks/@last/cancel", {"reason": "no"}, ("cancel", "@last", "--reason", "no")),
    ), (("run-once",),)),
    "a command is taken in and run": Tale((), (
        Step("POST tasks", {"kind": "k", "source": "s", "payload": {"argv": ["true"]}, "requested_adapter": "command"},
             ("intake", '{"kind":"k","source":"s","payload":{"argv":["true"]},"requested_adapter":"command"}')),
    ), (("run-once",),)),
    "a failed task is tried again after a change": Tale(FAILS, (
        Step("POST tasks/@last/retry", {"reason": "try", "edit": EDIT},
             ("retry", "@last", "--edit", json.dumps(EDIT), "--reason", "try")),
    ), (("run-once",),)),
    "a blocked task goes on": Tale(FAILS, (
        Step("POST tasks/@last/unblock", {"reason": "looked"}, ("unblock", "@last", "--note", "looked")),
    ), (("run-once",),)),
    "a call is approved": Tale(ASKS, answer("approve", "--note", "go on", note="go on"), (("run-once",),)),
    "a call is rejected": Tale(ASKS, answer("reject", "--reason", "no", reason="no"), (("run-once",),)),
    "a call is edited": Tale(ASKS, answer("edit", "--edit", json.dumps(OTHER), edit=OTHER), (("run-once",),)),
    "a run that waits is canceled": Tale(ASKS, (
        Step("POST runs/@last/cancel", {"reason": "no"}, ("cancel", "@last", "--reason", "no")),
    ), (("run-once",),)),
    "claiming rests and goes on": Tale((("intake", DOC),), (
        Step("POST dispatcher", {"paused": True, "reason": "r"}, ("pause", "--reason", "r")),
        Step("POST dispatcher", {"paused": True, "reason": "r"}, ("pause", "--reason", "r")),
        Step("POST dispatcher", {"paused": False}, ("resume",)),
    )),
    "a schedule is made, rests, fires and is removed": Tale((), (
        Step("POST schedules", SCHEDULE | {"name": "n"}, ("schedule", "create", json.dumps(SCHEDULE | {"name": "n"}))),
        Step("PATCH schedules/n", {"enabled": False, "reason": "r"}, ("schedule", "disable", "n", "--reason", "r")),
        Step("PATCH schedules/n", {"enabled": True}, ("schedule", "enable", "n")),
        Step("POST schedules/tick", {}, ("schedule", "tick")),
        Step("DELETE schedules/n", {}, ("schedule", "remove", "n")),
    )),
    "a sensor tells something twice": Tale((), (
        Step("POST sensors/events", SENSED, ("sensor", "ingest", json.dumps(SENSED))),
        Step("POST sensors/events", SENSED, ("sensor", "ingest", json.dumps(SENSED))),
    )),
    "a workflow is made, moves, is skipped on and completed": Tale((), (
        Step("POST workflows", FLOW, A_FLOW[0]),
        Step("POST workflows/w/transition", {"to": "execute", "context": {"a": 1}},
             ("workflow", "transition", "w", "--to", "execute", "--context", '{"a":1}')),
        Step("POST workflows/w/skip", {"open_task": "detach"}, ("workflow", "skip", "w", "--open-task", "detach")),
        Step("POST workflows/w/complete", {}, ("workflow", "complete", "w")),
    )),
    "a workflow is parked, tried again and given up": Tale((*A_FLOW, ("cancel", "@last")), (
        Step("POST workflows/w/retry", {"context": {"a": 1}}, ("workflow", "retry", "w", "--context", '{"a":1}')),
        Step("POST workflows/w/cancel", {"reason": "no"}, ("workflow", "cancel", "w", "--reason", "no")),
    )),
    "a thread begins anew and is removed": Tale(
        (("intake", wanting([ECHO], thread="t1")), ("run-once",), ("cancel", "@last"), ("run-once",)), (
        Step("POST threads/t1/restart", {}, ("thread", "restart", "t1")),
        Step("DELETE threads/t1?reason=old", {}, ("thread", "delete", "t1", "--reason", "old")),
    )),
    "messages are let go and dropped": Tale((("intake", json.dumps(TALK)), ("run-once",)), (
        Step(f"POST outbox/{MESSAGE}/drop", {"reason": "no"}, ("outbox", "drop", MESSAGE, "--reason", "no")),
        Step(f"POST outbox/{MESSAGE}/retry", {"reason": "go"}, ("outbox", "retry", MESSAGE, "--reason", "go")),
    )),
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("same") / "home"
    folder.mkdir()
    (folder / "rt.toml").write_text(CONFIG)
    (folder / "decider.py").write_text(DECIDER)
    (folder / "talks").write_text(TALKS)
    (folder / "talks").chmod(0o755)
    return folder


@pytest.mark.parametrize("tale", list(TALES))
def test_the_same_story_through_either_door_leaves_the_same_events(made: Path, tmp_path: Path, tale: str) -> None:
    told = TALES[tale]
    home = tmp_path / "home"
    shutil.copytree(made, home)
    place = Place(home)
    place.ok("token", "list")  # makes the log
    for argv in told.before:
        place.rt(*argv)
    begun = place.head()
    shutil.copytree(home, tmp_path / "said")
    asked(home, told)
    here, there = list(leaves(place, begun)), list(leaves(said(tmp_path / "said", told), begun))
    assert here == there
    assert len(here) >= len({each.ask for each in told.steps})


def asked(home: Path, told: Tale) -> None:
    """The story through the server."""
    with served(home) as server:
        both = Both(server, "admin")
        for step in told.steps:
            method, path = step.ask.split(" ")
            filled = fill(both.place, [path, json.dumps(step.body)])
            content = {"content": filled[1].encode()} if step.body or method != "DELETE" else {}
            headers = {"content-type": "application/json"}
            done = both.client.request(method, f"/api/v1/{filled[0]}", headers=headers, **content)  # type: ignore[arg-type]
            assert done.is_success, (step, done.text)
        both.close()
    for argv in told.after:
        Place(home).rt(*argv)


def said(home: Path, told: Tale) -> Place:
    """The story on the command line."""
    place = Place(home)
    for step in told.steps:
        place.ok(*fill(place, step.say))
    for argv in told.after:
        place.rt(*argv)
    return place


def fill(place: Place, texts: tuple[str, ...] | list[str]) -> list[str]:
    """What is only known when it is there: the digest of what waits, a message that was not dealt with."""
    found = list(texts)
    if any(DIGEST in each for each in texts):
        digest = str(place.rows("approval", "list")[0]["digest"])
        found = [each.replace(DIGEST, digest) for each in found]
    if any(MESSAGE in each for each in texts):
        held = place.rows("outbox", "list", "--status", "held")
        found = [each.replace(MESSAGE, held[0]["message"]) for each in found]
    return found


def leaves(place: Place, begun: int) -> Iterator[tuple[str, str, str]]:
    """The events behind a position: stream, topic, and data, with ids by their first mention and without times."""
    names: dict[str, str] = {}
    numbers = count(1)

    def named(found: re.Match[str]) -> str:
        if found[0] not in names:
            names[found[0]] = f"#{next(numbers)}"
        return names[found[0]]

    for event in place.rows("log", "tail", "--after", "0", "--limit", "100000"):
        text = json.dumps(plain(event["data"]), sort_keys=True).replace(str(place.folder), "HOME")
        line = re.sub(r"\b[0-9a-f]{32}\b", named, f"{event['stream']} {text}")
        stream, _, data = re.sub(r"\d{4}-\d\d-\d\dT\d\d[:-]\d\d[:-]\d\d(\.\d+)?Z", "TIME", line).partition(" ")
        actor = re.sub("operator:.*|[0-9a-f]{32}", "", event["actor"])
        if event["position"] > begun:
            yield f"{actor} {stream}", event["topic"], data


WITHOUT = re.compile(r".*(_us|_ticks|_id|_s|_at|_hash)|channel|pid|at|sha256|digest|slots")


def plain(data: Any) -> Any:  # noqa: ANN401  # a document
    """A document without what differs from one time to another."""
    if isinstance(data, dict):
        return {name: plain(value) for name, value in data.items() if not WITHOUT.fullmatch(name)}
    return [plain(each) for each in data] if isinstance(data, list) else data
