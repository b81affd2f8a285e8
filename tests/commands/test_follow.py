"""Following a run from another program: the log's own events as items, from a position on, until its end."""

import asyncio
from typing import Any

import pytest

from rt_runtime.follow import FollowError, follow
from tests.commands.asking import RULES, begin
from tests.commands.place import ROOT, Place


@pytest.fixture(autouse=True)
def _as_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def items(place: Place, run: str, after: int = 0) -> list[dict[str, Any]]:
    async def collected() -> list[dict[str, Any]]:
        return [item async for item in follow(run, home=str(place.state), after=after)]

    return asyncio.run(collected())


def test_a_run_is_given_whole_in_order_and_in_kinds_and_again_from_any_position(place: Place) -> None:
    place.config(RULES)
    run = begin(place)["attempt_id"]
    place.ok("approve", run)
    place.ok("work", "--until-idle")
    found = items(place, run)
    positions = [item["position"] for item in found]
    assert positions == sorted(set(positions))
    assert [item["kind"] for item in found if item["kind"] != "event"] == [
        "decision", "approval", "state", "approval", "state", "tool-call", "output", "tool-result", "decision", "state",
    ]  # fmt: skip
    assert [item["text"] for item in found if item["kind"] == "output"] == ["it is done\n"]
    assert items(place, run, after=positions[4]) == found[5:]


def test_a_run_that_is_still_going_on_is_followed_to_its_end(place: Place) -> None:
    place.config(RULES)
    run = begin(place)["attempt_id"]

    async def answered_meanwhile() -> list[str]:
        kinds = []
        async for item in follow(run, home=str(place.state)):
            kinds.append(item["kind"])
            if item["topic"] == "task.parked.v1":
                await asyncio.to_thread(place.ok, "reject", run, "--reason", "no")
                await asyncio.to_thread(place.ok, "work", "--until-idle")
        return kinds

    assert asyncio.run(asyncio.wait_for(answered_meanwhile(), 30))[-2:] == ["state", "event"]


def test_what_watch_refuses_is_said(place: Place) -> None:
    place.config(RULES)
    begin(place)
    with pytest.raises(FollowError, match="no run begins with"):
        items(place, "f" * 32)
