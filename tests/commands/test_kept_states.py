"""A long run is looked at from states that are kept: the same is said, only sooner, and nothing outlives an erasure."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import run_moments
from commands.home import Home
from commands.wiring import Runtime
from domain.events import Recorded
from replays.states import Wanted
from tests.commands.place import Place
from tests.telling import RUN, told, watched

LINES = [b"fatal: %d words-of-it\n" % each if each % 20 == 0 else b"line %d\n" % each for each in range(1, 3_001)]
MOMENTS = ("@decision1", "@decision100", "@decision149", "1200", "2500", "3150")


@pytest.fixture
def long(place: Place) -> Place:
    place.ok("init")
    told(place.folder, LINES, watched())
    return place


def kept(place: Place) -> list[Path]:
    return [each for each in (place.state / "states").rglob("*") if each.is_file()]


def looked(place: Place) -> list[dict[str, Any]]:
    return [json.loads(place.ok("replay", RUN, "--at", moment, "--json").out) for moment in MOMENTS] + [
        place.json("fork", RUN, "--at", moment) for moment in MOMENTS[3:]
    ]


def test_the_same_is_said_with_and_without_them(long: Place) -> None:
    first = looked(long)
    assert len(kept(long)) >= 2
    assert looked(long) == first
    for each in kept(long):
        each.write_bytes(b"damaged")
    assert looked(long) == first


def test_an_erasure_takes_them_with_it(long: Place) -> None:
    looked(long)
    assert any(b"words-of-it" in each.read_bytes() for each in kept(long))
    long.ok("erase", RUN, "--reason", "asked for", "--yes")
    assert kept(long) == []
    left = next((long.state / "states").iterdir()) / "left"
    left.write_bytes(b"words-of-it")  # as a kill in the middle of an erasure would leave it
    long.ok("erase", RUN, "--reason", "asked again", "--yes")
    assert kept(long) == []
    done = long.rt("replay", RUN, "--at", "3000", "--json")
    assert (done.code, done.error["code"], "were erased" in done.errors) == (2, "rt.invalid", True)
    assert kept(long) == [], "what is erased is no state that could be kept"


def test_a_moment_that_is_none_is_refused_as_without_them(long: Place) -> None:
    wrong = ("@decision999", "1", str(long.head() + 1))
    first = [long.rt("replay", RUN, "--at", each, "--json").error for each in wrong]
    looked(long)
    assert [long.rt("replay", RUN, "--at", each, "--json").error for each in wrong] == first


@pytest.mark.parametrize("look", [run_moments.at, run_moments.from_there])
def test_what_is_erased_while_it_is_read_is_not_kept(
    long: Place, look: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Runtime(Home(long.state, None, long.folder), "test")
    read = runtime.readable.run_events

    def and_then_erased(run: str, *, bodies: bool, after: int = 0) -> Iterator[Recorded]:
        found = list(read(run, bodies=bodies, after=after))
        runtime.states.forget()  # as an erasure by another process does
        return iter(found)

    monkeypatch.setattr(runtime.readable, "run_events", and_then_erased)
    look(runtime, RUN, Wanted(position=3_000))
    assert kept(long) == []
    monkeypatch.undo()
    look(runtime, RUN, Wanted(position=3_000))
    assert kept(long)
    runtime.close()
