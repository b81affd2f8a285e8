"""Erasing, ageing and measuring: what is gone is gone, what was said stays said, and everything else still replays."""

import json

import pytest

from tests.commands.place import Place, interrupt, until

SECRET = "my-private-words-7261"  # noqa: S105  # made up


def everything(place: Place) -> bytes:
    """All bytes of the home."""
    return b"".join(path.read_bytes() for path in sorted(place.state.rglob("*")) if path.is_file())


@pytest.fixture
def told(place: Place) -> Place:
    """A run that printed something private, and one that did not."""
    (place.folder / "words").write_text(SECRET + "\n")
    place.ok("do", "--", "sh", "-c", "cat words; cat words words words")
    place.ok("do", "--", "echo", "harmless")
    return place


def runs(place: Place) -> list[str]:
    return [each["run"] for each in place.rows("run", "list")][::-1]


# by hand


def test_an_erased_run_is_nowhere_in_the_home_and_the_log_still_verifies(told: Place) -> None:
    told.ok("status")
    told.ok("sql", "SELECT * FROM output")
    first, _ = runs(told)
    assert SECRET in told.ok("run", "output", first).text
    done = told.json("erase", first, "--reason", "on request", "--yes")
    assert done["erased"] is True
    assert done["bodies"] >= 1
    assert SECRET.encode() not in everything(told)
    assert told.ok("run", "output", first).text == ""
    verified = told.json("log", "verify")
    assert verified["bodies_erased"] >= 1
    [event] = told.events("log.texts_erased.v1")
    assert (event["rule"], event["runs"], event["reason"]) == ("run", [first], "on request")


def test_what_was_not_erased_replays_and_what_was_says_so(told: Place) -> None:
    first, second = runs(told)
    told.ok("erase", first, "--yes")
    assert "identical" in told.ok("replay", second).text
    assert "were erased" in told.ok("replay", first).text
    text = told.ok("replay", "--all").text
    assert "2 of 2 runs identical" in text
    assert "1 runs with erased texts" in text
    assert told.rt("replay", first, "--json").documents[0]["erased"] is True


def test_a_controllers_run_without_its_texts_is_no_difference(place: Place) -> None:
    place.ok("do", "demo", "early-cancel")
    place.ok("erase", "@last", "--yes")
    found = place.rt("replay", "@last", "--json").documents[0]
    assert (found["identical"], found["erased"]) == (True, True)


def test_a_task_goes_with_its_payload_and_is_found_by_its_key(place: Place) -> None:
    document = {"kind": "k", "source": "s", "payload": {"argv": ["echo", SECRET]}, "idempotency_key": "order-7"}
    place.ok("intake", json.dumps(document))
    place.ok("work", "--until-idle")
    assert SECRET.encode() in place.ok("run", "output", "@last").out
    done = place.json("erase", "order-7", "--yes")
    assert done["erased"] is True
    assert SECRET.encode() not in everything(place)
    assert place.events("log.texts_erased.v1")[0]["rule"] == "task"
    assert place.json("task", "show", "@last")["payload"] is None
    place.ok("log", "verify")
    assert place.ok("replay", "--all").code == 0


def test_one_run_of_a_task_goes_without_the_others(place: Place) -> None:
    place.config("[retry]\nbackoff_s = 0.01\nattempts = 2\n")
    (place.folder / "words").write_text("first words\n")
    task = place.queue("sh", "-c", "cat words; echo second words > words; exit 75")
    with place.started("work") as process:
        until(lambda: place.task(task)["status"] == "blocked")
        interrupt(process)
    place.ok("cancel", task)
    first, second = runs(place)
    place.ok("erase", first, "--yes")
    assert place.ok("run", "output", first).text == ""
    assert place.ok("run", "output", second).text == "second words\n"
    assert place.task(task)["payload"]["argv"][0] == "sh"


def test_erasing_again_finds_nothing(told: Place) -> None:
    first, _ = runs(told)
    told.ok("erase", first, "--yes")
    head = told.head()
    done = told.json("erase", first, "--yes")
    assert (done["erased"], done["bodies"], done["texts"]) == (False, 0, 0)
    assert told.head() == head


def test_without_a_yes_and_with_a_dry_run_nothing_goes(told: Place) -> None:
    first, _ = runs(told)
    before = told.head()
    done = told.rt("erase", first)
    assert done.code == 2
    assert "--yes" in done.errors
    assert told.json("erase", first, "--dry-run")["erased"] is False
    assert told.ok("erase", first, "--dry-run").text.startswith("would erase: 1 runs, ")
    assert told.ok("gc", "--keep", "0", "--dry-run").text.startswith("would erase: ")
    assert told.head() == before
    assert SECRET in told.ok("run", "output", first).text


def test_what_still_goes_on_is_not_erased(place: Place) -> None:
    task = place.queue("sleep", "20")
    done = place.rt("erase", task, "--yes")
    assert done.code == 5
    with place.started("work") as process:
        until(lambda: place.task(task)["status"] == "running")
        assert place.rt("erase", "@last", "--yes").code == 5
        interrupt(process)
        interrupt(process)
    assert place.events("log.texts_erased.v1") == []


def test_what_is_not_there_is_said(place: Place) -> None:
    place.ok("do", "--", "true")
    assert place.rt("erase", "deadbeef", "--yes").code == 3


# by age and count


def test_old_runs_lose_their_texts_and_the_latest_keep_theirs(place: Place) -> None:
    for number in range(4):
        place.ok("do", "--", "echo", f"number {number}")
    assert place.json("gc", "--older", "1h", "--keep", "0", "--dry-run")["runs"] == 0
    dry = place.json("gc", "--older", "0s", "--keep", "1", "--dry-run")
    assert (dry["runs"], dry["erased"]) == (3, False)
    done = place.json("gc", "--older", "0s", "--keep", "1", "--yes")
    assert (done["runs"], done["erased"]) == (3, True)
    kept = [place.ok("run", "output", run).text for run in runs(place)]
    assert kept == ["", "", "", "number 3\n"]
    place.ok("log", "verify")
    assert place.json("gc", "--older", "0s", "--keep", "1", "--yes")["runs"] == 0
    assert place.events("log.texts_erased.v1")[0]["rule"] == "age"


def test_a_number_alone_keeps_the_latest_whatever_their_age(place: Place) -> None:
    for number in range(3):
        place.ok("do", "--", "echo", f"number {number}")
    assert place.json("gc", "--dry-run")["runs"] == 0, "without a word about it, only what is old goes"
    assert place.json("gc", "--keep", "2", "--yes")["runs"] == 1
    assert [place.ok("run", "output", run).text for run in runs(place)] == ["", "number 1\n", "number 2\n"]
    (erased,) = place.events("log.texts_erased.v1")
    assert (erased["rule"], erased["reason"]) == ("count", "beyond the latest 2")


def test_blocked_tasks_keep_their_texts_whatever_their_age(place: Place) -> None:
    place.rt("do", "--", "sh", "-c", "echo why; exit 1")
    assert place.json("gc", "--older", "0s", "--keep", "0", "--dry-run")["runs"] == 0


# what there is


def test_the_statistics_add_up(told: Place) -> None:
    found = told.json("log", "stats")
    assert found["events"] == told.head()
    assert found["runs"] == found["tasks"] == 2
    assert found["files"]["log.db"] == (told.state / "log.db").stat().st_size
    assert sum(each["events"] for each in found["topics"]) == found["events"]
    text = told.ok("log", "stats").text
    assert "log.db" in text
    assert "output.appended.v1" in text


def test_costs_are_asked_by_model_agent_task_and_day(place: Place) -> None:
    place.ok("do", "--", "true")
    for by in ("model", "agent", "task", "day", "controller"):
        assert place.rows("cost", "--by", by) == []
    assert "no model was asked" in place.ok("cost").errors
    assert place.rt("cost", "--by", "colour").code == 2


def test_costs_of_answers_are_summed_and_unknown_prices_are_counted(place: Place) -> None:
    place.script("decide", '#!/bin/sh\ncat >/dev/null; echo \'{"type":"finish","message":"done"}\'\n')
    place.config('[controllers.it]\nkind = "command"\nargv = ["./decide"]\n[profiles.p]\ncontroller = "it"\n')
    place.ok("do", "--agent", "p", "the goal")
    [row] = place.rows("cost", "--by", "agent")
    assert (row["agent"], row["answers"], row["unknown"]) == ("p", 1, 1)
    assert row["cost_usd"] is None
    assert "unknown" in place.ok("cost", "--by", "agent").text
    assert place.rows("cost", "--since", "2200-01-01") == []
