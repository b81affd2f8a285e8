"""`rt replay --at`, `--step`, `--follow-cause` and `--all --since`: looking into runs, as people and programs do."""

import os
import pty
import select
import subprocess
import time
from itertools import pairwise

import pytest

from commands.walking import Walk
from replays.states import moments
from tests.commands.place import RT, Place
from tests.replays.recorded import golden_events

PARENTS = ["task.queued", "task.claimed", "run.started", "run.tool_call_requested", "run.tool_started"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A run with two decisions."""
    place = Place(tmp_path_factory.mktemp("debugging"))
    place.ok("do", "demo", "early-cancel")
    return place


# one moment


def test_the_state_at_the_end_is_shown_with_what_the_last_event_changed(demo: Place) -> None:
    head = demo.head()
    text = demo.ok("replay", "@last", "--at", str(head)).text
    assert f"at position {head}" in text.splitlines()[0]
    assert "changed" in text
    assert "  status                             completed" in text


def test_a_decision_is_found_by_its_number_and_shows_what_it_changed(demo: Place) -> None:
    found = demo.json("replay", "@last", "--at", "@decision2")
    assert found["event"]["topic"] == "run.decision_made.v1"
    assert found["event"]["data"]["number"] == 2
    assert {"path": "mind.decisions", "before": 1, "after": 2} in found["changes"]
    assert found["state"]["mind.decisions"] == 2


def test_a_position_of_another_stream_means_the_last_event_before_it(demo: Place) -> None:
    events = demo.rows("run", "log", "@last")[:-1]
    inside = events[3]["position"]
    assert demo.json("replay", "@last", "--at", str(inside))["position"] == inside


def test_a_time_means_what_was_known_then(demo: Place) -> None:
    events = [each for each in demo.rows("run", "log", "@last") if "at" in each]
    found = demo.json("replay", "@last", "--at", events[4]["at"][:-1] + "999Z")
    assert found["position"] >= events[4]["position"]


@pytest.mark.parametrize(
    ("at", "code", "why"),
    [
        ("99999", 3, "from 1 to"),
        ("1", 3, "its events lie from"),
        ("0", 2, "begin with 1"),
        ("@decision9", 3, "its events lie from"),
        ("@decision", 2, "such as @decision3"),
        ("@decision0", 2, "such as @decision3"),
        ("yesterday", 2, "not a date"),
        ("1999-01-01", 3, "its events lie from"),
        ("-1", 2, ""),
    ],
)
def test_a_moment_that_there_is_none_of_is_refused(demo: Place, at: str, code: int, why: str) -> None:
    done = demo.rt("replay", "@last", f"--at={at}")
    assert done.code == code
    assert why in done.errors


@pytest.mark.parametrize(
    "argv",
    [
        ("--all", "--at", "3"),
        ("@last", "--since", "1h"),
        ("@last", "--at", "3", "--with", "today"),
        ("@last", "@last", "--step"),
        ("@last", "--step"),
        ("@last", "--jobs", "2"),
        ("--all", "--since", "soon"),
    ],
)
def test_ways_that_do_not_go_together_are_refused(demo: Place, argv: tuple[str, ...]) -> None:
    assert demo.rt("replay", *argv).code == 2


# causes


def test_the_chain_of_causes_goes_back_to_who_wanted_it(place: Place) -> None:
    place.ok("do", "--", "true")
    rows = place.rows("replay", "@last", "--follow-cause")
    topics = [each["topic"].rpartition(".v")[0] for each in rows]
    assert topics == [*PARENTS, "run.tool_exited", "task.completed"]
    assert all(one["position"] == other["caused_by"] for one, other in pairwise(rows))
    assert rows[0]["actor"].startswith("operator:")
    text = place.ok("replay", "@last", "--follow-cause").text
    assert "└ led to run.tool_started" in text


# all of them


def test_an_audit_counts_what_is_identical_and_ends_with_a_summary(place: Place) -> None:
    place.ok("do", "--", "true")
    place.ok("do", "--", "true")
    assert "2 of 2 runs identical" in place.ok("replay", "--all").text
    end = place.rt("replay", "--all", "--json").end
    assert (end["count"], end["diverged"], end["causes"]) == (2, 0, {})
    assert "2 of 2 runs" in place.ok("replay", "--all", "--since", "1h").text
    assert "2 of 2 runs" in place.ok("replay", "--since", "1h").text
    assert "0 of 0 runs" in place.ok("replay", "--all", "--since", "2200-01-01").text


def test_many_runs_are_replayed_in_parallel_with_the_same_verdicts(place: Place) -> None:
    for _ in range(70):
        place.queue("true")
    place.ok("work", "--until-idle")
    one, two = (place.rt("replay", "--all", "--json", "--jobs", jobs).documents for jobs in ("1", "2"))
    assert len(one) == 70
    for documents in (one, two):
        for each in documents:
            each.pop("took_s", None)
    assert one == two


def test_what_differs_is_counted_by_cause(place: Place) -> None:
    place.config(
        '[controllers.patient]\nkind = "rules"\nrules = [{when = "start", then = "tool"},'
        ' {when = "exit", then = "finish", message = "over"}]\n[profiles.p]\ncontroller = "patient"\n'
    )
    for _ in range(2):
        place.ok("do", "--agent", "p", "--", "true")
    text = (place.folder / "rt.toml").read_text()
    place.config(text.replace('"over"', '"at last"'))
    done = place.rt("replay", "--all", "--with", "today")
    assert done.code == 4
    assert "0 of 2 runs identical" in done.text
    assert "      2  policy or configuration changed" in done.text
    end = place.rt("replay", "--all", "--with", "today", "--json").end
    assert end["causes"] == {"config": 2}


# walking


def walking() -> Walk:
    return Walk(list(moments(golden_events("early-cancel"))))


def test_keys_walk_forward_and_back_and_stop_at_the_ends() -> None:
    walk = walking()
    walk.press("n")
    walk.press(" ")
    assert walk.at == 2
    walk.press("p")
    assert walk.at == 1
    walk.press("0")
    walk.press("k")
    assert (walk.at, walk.said) == (0, "this is the first event")
    walk.press("$")
    last = walk.at
    walk.press("\x1b[C")
    assert (walk.at, walk.said) == (last, "this is the last event")


def test_keys_jump_between_decisions_and_to_causes() -> None:
    walk = walking()
    walk.press("d")
    first = walk.at
    walk.press("d")
    assert walk.at > first
    walk.press("D")
    assert walk.at == first
    walk.press("D")
    assert walk.said == "no decision there"
    walk.press("$")
    before = walk.at
    walk.press("c")
    assert walk.at < before


def test_the_screen_shows_the_event_the_keys_and_on_request_the_whole_state() -> None:
    walk = walking()
    short = walk.screen()
    assert short[-1].startswith("n next event")
    assert f"event 1 of {len(golden_events('early-cancel'))}" in short[-2]
    walk.press("s")
    assert len(walk.screen()) > len(short)
    walk.press("x")
    assert "no key x" in walk.screen()[-2]
    walk.press("q")
    assert walk.left


def test_in_a_terminal_keys_move_and_q_leaves_it_as_it_was(demo: Place) -> None:
    master, slave = pty.openpty()
    argv = [*RT, "replay", "@last", "--step"]
    with subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, cwd=demo.folder, env=demo.environment) as it:
        os.close(slave)
        try:
            assert b"event 1 of" in _until(master, b"q leave")
            os.write(master, b"n")
            assert b"event 2 of" in _until(master, b"q leave")
            os.write(master, b"q")
            assert it.wait(10) == 0
        finally:
            it.kill()
    os.close(master)


def _until(master: int, mark: bytes) -> bytes:
    seen = b""
    end_s = time.monotonic() + 15
    while mark not in seen and time.monotonic() < end_s:
        if select.select([master], [], [], 0.2)[0]:
            seen += os.read(master, 65_536)
    return seen
