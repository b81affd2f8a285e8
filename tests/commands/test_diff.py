"""`rt diff`: what differs between two runs, and nothing of what differs between any two."""

import pytest

from domain.events import REGISTRY
from tests.commands.place import Place


def run(place: Place, *argv: str) -> str:
    place.rt("do", "--", *argv)
    found: str = place.rows("run", "list", "--limit", "1")[0]["run"]
    return found


def test_the_same_command_twice_says_the_same(place: Place) -> None:
    one, two = (run(place, "sh", "-c", "echo a; sleep 0.05; echo b") for _ in range(2))
    assert f"the same: runs {one[:8]} and {two[:8]}" in place.ok("diff", one, two).text
    found = place.json("diff", one, two)
    assert (found["same"], found["first"]) == (True, None)


def test_output_is_compared_as_text_however_it_came(place: Place) -> None:
    one = run(place, "sh", "-c", "printf 'a\\nb\\n'; exit 0")
    two = run(place, "sh", "-c", "printf 'a\\n'; sleep 0.1; printf 'b\\n'; exit 0")
    first = place.rt("diff", one, two, "--json").document["first"]
    assert first["event"] != "output.appended", "the command differs, its output does not"


def test_the_first_difference_is_named_with_both_sides(place: Place) -> None:
    place.script("try", "#!/bin/sh\ncat answer\n")
    (place.folder / "answer").write_text("yes\n")
    one = run(place, "./try")
    (place.folder / "answer").write_text("no\n")
    two = run(place, "./try")
    done = place.rt("diff", one, two)
    assert done.code == 1
    assert "output.appended, field text" in done.text
    assert "yes\\n" in done.text
    assert "no\\n" in done.text
    first = place.rt("diff", one, two, "--json").document["first"]
    assert (first["a"], first["b"]) == ("yes\n", "no\n")
    assert 0 < first["a_position"] < first["b_position"]


def test_outcome_time_and_cost_stand_beside_each_other(place: Place) -> None:
    one, two = run(place, "true"), run(place, "false")
    found = place.rt("diff", one, two, "--json").document
    assert (found["a"]["state"], found["b"]["state"], found["b"]["cause"]) == ("completed", "failed", "exit:1")
    assert found["a"]["cost_usd"] == 0
    text = place.rt("diff", one, two).text
    assert "completed" in text
    assert "exit:1" in text


def test_two_demos_make_the_same_decisions(place: Place) -> None:
    for _ in range(2):
        place.ok("do", "demo", "early-cancel")
    one, two = (each["run"] for each in place.rows("run", "list", "--limit", "2"))
    found = place.rt("diff", one, two, "--json").document
    assert found["a"]["state"] == found["b"]["state"] == "completed"


def test_a_run_that_is_not_there_is_said(place: Place) -> None:
    run(place, "true")
    assert place.rt("diff", "@last", "deadbeef").code == 3


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_volatile_fields_are_fields_of_their_event(kind: str) -> None:
    assert set(REGISTRY[kind].VOLATILE) <= set(REGISTRY[kind].__struct_fields__)
