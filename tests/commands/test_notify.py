"""`[notify]`: somebody is told when something happens: once, where to look, and nothing of what a run printed."""

import json
from typing import Any

import pytest

from tests.commands.asking import RULES, begin, wanting
from tests.commands.place import Place, finished, interrupt, until

TOLD = "#!/bin/sh\n{ cat; echo; } >> told\n"
SECRET = "hunter2hunter2"  # noqa: S105  # made up


def config(place: Place, *rules: str, more: str = "") -> Place:
    """A place in which a program is told what happens."""
    if not place.state.exists():
        place.ok("init")
    place.script("tell", TOLD)
    named = "".join(f"[[notify]]\n{rule}\n" for rule in rules)
    return place.config(
        f'link_base = "https://rt.example.test/"\n{more}{named}'
        '[outbox.destinations.me]\nkind = "command"\nargv = ["./tell"]\n'
    )


def rule(*on: str, **fields: object) -> str:
    given = {"on": list(on), "to": "me", "id": "r"} | fields
    return "\n".join(f"{key} = {json.dumps(value)}" for key, value in given.items())


def told(place: Place) -> list[dict[str, Any]]:
    """What the program was told."""
    path = place.folder / "told"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def work(place: Place) -> None:
    place.ok("work", "--until-idle")


ENDS = [
    ("completed", ("true",), {}),
    ("failed", ("sh", "-c", "exit 64"), {"cause": "exit:64"}),
    ("blocked", ("false",), {"cause": "attempts_exhausted"}),
]


@pytest.mark.parametrize(("on", "argv", "more"), ENDS, ids=[each[0] for each in ENDS])
def test_the_end_of_a_task_is_told_to_those_who_want_it(
    place: Place, on: str, argv: tuple[str, ...], more: dict[str, Any]
) -> None:
    config(place, rule(on))
    task = place.queue(*argv, options=("--attempts", "1", "--subject", "the weekly"))
    work(place)
    [found] = told(place)
    assert (found["event"], found["task"], found["kind"], found["subject"]) == (on, task, "command", "the weekly")
    assert found["link"] == f"https://rt.example.test/tasks/{task[:12]}"
    assert {key: found[key] for key in more} == more
    assert found["run"] == place.json("run", "show", "@last")["run"]
    [message] = place.rows("outbox", "list")
    assert (message["kind"], message["rule"], message["status"]) == ("notification", "r", "delivered")
    place.ok("replay", "--all")


def test_what_nobody_asked_for_is_not_told(place: Place) -> None:
    config(place, rule("failed"), rule("completed", profile="other"), rule("completed", kind="x*"))
    place.queue("true")
    place.queue("false", options=("--attempts", "1"))
    work(place)
    assert (told(place), place.rows("outbox", "list")) == ([], [])


def test_a_retry_is_no_end(place: Place) -> None:
    config(place, rule("failed", "blocked", "completed"), more="[retry]\nattempts = 3\nbackoff_s = 0.01\n")
    place.queue("sh", "-c", "[ -e seen ] || { touch seen; exit 1; }")
    with place.started("work") as process:
        until(lambda: told(place))
        interrupt(process)
    assert [each["event"] for each in told(place)] == ["completed"]


def test_a_notification_lies_in_the_transaction_of_what_it_is_about(place: Place) -> None:
    """LC-4."""
    config(place, rule("completed"))
    place.queue("true")
    work(place)
    topics = place.topics()
    at = topics.index("task.completed.v1")
    assert topics[at - 1 : at + 2] == ["run.finished.v1", "task.completed.v1", "outbox.queued.v1"]


def test_each_rule_tells_once_whoever_dispatches(place: Place) -> None:
    config(place, rule("completed", id="a"), rule("completed", id="b"))
    for _ in range(4):
        place.queue("true")
    with place.started("work", "--until-idle") as one, place.started("work", "--until-idle") as two:
        assert [finished(each).code for each in (one, two)] == [0, 0]
    work(place)
    rows = place.rows("outbox", "list")
    assert len(rows) == len({row["key"] for row in rows}) == 8
    assert {row["status"] for row in rows} == {"delivered"}


def test_a_task_that_ends_a_second_time_is_told_again(place: Place) -> None:
    config(place, rule("blocked"))
    task = place.queue("false", options=("--attempts", "1"))
    work(place)
    place.ok("retry", task)
    work(place)
    assert [each["task"] for each in told(place)] == [task, task]


def test_nothing_of_what_a_run_printed_is_told(place: Place) -> None:
    config(place, rule("failed"))
    place.queue("sh", "-c", "echo printed-canary; exit 64", options=("--subject", "weekly"))
    work(place)
    [found] = told(place)
    assert "printed-canary" not in json.dumps(found)


def test_a_secret_that_became_one_later_is_taken_out(place: Place) -> None:
    config(place, rule("completed"))
    place.queue("true", options=("--subject", f"about {SECRET}"))
    config(place, rule("completed"), more='[secrets]\nenv = ["PASS"]\n')
    assert place.rt("work", "--until-idle", env={"PASS": SECRET}).code == 0
    [found] = told(place)
    assert SECRET not in json.dumps(found)
    assert found["subject"].startswith("about ")


def test_a_question_to_a_person_is_told_with_its_link(place: Place) -> None:
    config(place, rule("approval"), more="")
    text = (place.folder / "rt.toml").read_text()
    place.config(text + RULES)
    begin(place)
    work(place)
    [found] = told(place)
    run = place.json("run", "show", "@last")["run"]
    assert (found["event"], found["run"], found["call"], found["tool"]) == ("approval", run, 1, "local-process")
    assert found["link"] == f"https://rt.example.test/approvals/{run[:12]}/c1"
    assert "arguments" not in found
    work(place)
    assert len(told(place)) == 1
    place.ok("approve", "@waiting")
    work(place)
    place.ok("replay", "--all")


@pytest.mark.parametrize(("before_s", "count"), [(3600, 1), (1, 0)])
def test_a_question_that_will_expire_is_told_once_and_only_shortly_before(
    place: Place, before_s: int, count: int
) -> None:
    config(place, rule("approval_expiring", before_s=before_s))
    text = (place.folder / "rt.toml").read_text()
    policy = '[[policies]]\nid = "ask"\neffect = "ask"\ntool = "local-process"\nexpires_s = 600\n'
    place.config(text + RULES + policy)
    begin(place)
    work(place)
    work(place)
    assert len(told(place)) == count
    if count:
        [found] = told(place)
        run = place.json("run", "show", "@last")["run"]
        assert (found["event"], found["run"], found["call"]) == ("approval_expiring", run, 1)
        assert found["expires_at_us"] > found["at_us"]
        assert found["link"] == f"https://rt.example.test/approvals/{run[:12]}/c1"


def test_a_budget_that_is_reached_is_told(place: Place) -> None:
    config(place, rule("budget"))
    text = (place.folder / "rt.toml").read_text()
    rules = RULES.replace('approvals = { local-process = "ask" }', "budgets = { tool_calls = 1 }")
    place.config(text + rules)
    call = {"command": "true", "args": []}
    place.ok("intake", wanting([call, call, call]))
    work(place)
    [found] = told(place)
    assert (found["event"], found["budget"], found["limit"]) == ("budget", "tool_calls", 1)
    assert found["link"] == f"https://rt.example.test/runs/{found['run'][:12]}"


def test_a_destination_that_is_not_there_is_named_before_anything_happens(place: Place) -> None:
    config(place, rule("completed", to="nobody"))
    done = place.rt("intake", "--json", "--", "true")
    assert (done.code, done.error["code"]) == (2, "config.invalid")
    assert "nobody" in done.error["why"]


def test_a_receiver_that_fails_never_holds_up_work(place: Place) -> None:
    """DC-2."""
    config(place, rule("completed"))
    place.script("tell", "#!/bin/sh\nexit 1\n")
    tasks = [place.queue("true") for _ in range(3)]
    work(place)
    assert {place.task(task)["status"] for task in tasks} == {"completed"}
    assert {message["status"] for message in place.rows("outbox", "list")} == {"queued"}
