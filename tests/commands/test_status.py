"""`rt status`: now, as it was, and again and again."""

import json
import time

from tests.commands.place import Place, finished


def test_a_moment_that_is_past_is_shown_as_it_was(place: Place) -> None:
    place.queue("true")
    at = place.head()
    place.ok("snapshot", "--label", "before")
    place.ok("work", "--until-idle")
    assert place.json("status")["counts"]["completed"] == 1
    for moment in (str(at), "before"):
        found = place.json("status", "--at", moment)
        assert (found["position"], found["counts"]["pending"], found["counts"]["completed"]) == (at, 1, 0)
    assert place.ok("status", "--at", str(at)).text.startswith(f"○ pending 1  · position {at}\n")


def test_a_time_is_a_moment_too(place: Place) -> None:
    place.queue("true")
    at = place.head()
    time.sleep(0.01)  # times are told in milliseconds
    place.ok("pause")
    later = place.rows("log", "tail", "--limit", "1")[0]
    found = place.json("status", "--at", later["at"])
    assert (found["position"], found["paused"]) in ((at, False), (at + 1, True))
    assert place.json("status", "--at", "2200-01-01T00:00:00Z")["paused"]


def test_a_moment_that_is_none_is_refused(place: Place) -> None:
    place.queue("true")
    head = place.head()
    for moment, code, name in (
        (str(head + 1), 3, "position.not_found"),
        ("nolabel", 2, "rt.invalid"),
        ("0", 2, "rt.invalid"),
    ):
        done = place.rt("status", "--at", moment, "--json")
        assert (done.code, done.error["code"]) == (code, name), moment
    assert "the label of no snapshot" in place.rt("status", "--at", "nolabel").errors
    done = place.rt("status", "--at", "1", "--watch", "--json")
    assert (done.code, done.error["code"]) == (2, "rt.invalid")


def test_it_is_watched(place: Place) -> None:
    place.queue("true")
    with place.started("status", "--watch", "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["counts"]["pending"] == 1
        place.ok("pause")
        assert json.loads(process.stdout.readline())["paused"]
        process.send_signal(2)
        assert finished(process).code == 130


def test_a_house_without_a_log_says_so(place: Place) -> None:
    (place.folder / "rt.toml").write_text("")
    done = place.rt("status", "--json")
    assert (done.code, done.error["code"], done.error["hint"]) == (3, "log.not_found", "rt do -- echo hello")


def test_what_stands_still_and_is_no_task_is_told_with_the_command_that_shows_it(place: Place) -> None:
    context = '{"objective": "x"}'
    for name in ("one", "two"):
        place.ok("workflow", "create", "--template", "goal-loop", "--instance_key", name, "--context", context)
    assert {row["status"] for row in place.rows("workflow", "list")} == {"parked"}, "nobody is configured to do it"
    assert "2 workflows are parked: rt workflow list" in place.ok("status").text
    place.ok("workflow", "cancel", "one")
    assert "1 workflow is parked: rt workflow list" in place.ok("status").text
