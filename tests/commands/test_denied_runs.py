"""Runs that the policy denies: every way in is checked, each denial leaves a record, exit 6 (PO-1, PO-2)."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.commands.asking import RULES, begin, last, started
from tests.commands.place import Done, Place, interrupt, until

ROUTED = '[routing]\ndefault = "asker"\n[adapters.script]\ncommand = "./script"\n'
FREE = RULES.replace('"ask" }', '"allow" }') + ROUTED
ALL = '[[policies]]\nid = "frozen"\neffect = "deny"\non = "run"\nreason = "nothing runs on a friday"\n'
AGENT = {"kind": "k", "source": "s", "payload": {"goal": "g"}, "requested_profile": "asker", "max_attempts": 5}


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One log for all these runs: at the end each of them replays to the same."""
    home = Place(tmp_path_factory.mktemp("denied"))
    home.state.mkdir()
    yield home
    assert home.rt("replay", "--all").code == 0


@pytest.fixture
def place(_home: Place, tmp_path: Path) -> Place:
    """A folder of its own with the common log, in which nothing may run."""
    (tmp_path / ".rt").symlink_to(_home.state)
    made = Place(tmp_path)
    made.script("script", "#!/bin/sh\ntouch made\n")
    return made.config(FREE + ALL)


def took_in(place: Place, *argv: str) -> Done:
    """Take something in, and drive it elsewhere."""
    place.ok("intake", *argv)
    return place.rt("run-once", "--fail-on-outcome")


WAYS: dict[str, Callable[[Place], Done]] = {
    "a command": lambda place: place.rt("do", "--", "touch", "made"),
    "a line for a shell": lambda place: place.rt("do", "--shell", "touch made"),
    "a watched command": lambda place: place.rt("do", "--finish-on", "ready", "--", "touch", "made"),
    "a goal": lambda place: place.rt("do", "--agent", "asker", "the goal"),
    "a goal that is routed": lambda place: place.rt("do", "the goal"),
    "a script": lambda place: place.rt("do", "--adapter", "script"),
    "a goal of a conversation": lambda place: place.rt("do", "--agent", "asker", "--thread", "t", "the goal"),
    "a reply": lambda place: place.rt("reply", "r", "hello", "--agent", "asker"),
    "a command taken in": lambda place: took_in(place, "--", "touch", "made"),
    "a task for an agent": lambda place: took_in(place, json.dumps(AGENT)),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_into_a_run_is_checked(place: Place, way: str) -> None:
    before = started(place)
    done = WAYS[way](place)
    assert done.code == 6, done
    task = place.task("@last")
    assert (task["status"], task["cause"]) == ("blocked", "denied_by_policy")
    refused = last(place, "run.refused")
    assert refused["cause"] == "denied_by_policy"
    assert refused["message"].startswith("nothing runs on a friday (rules frozen of policy ")
    digest = refused["message"].rpartition(" ")[2].removesuffix(")")
    assert last(place, "policy.changed")["digest"].startswith(digest)
    assert started(place) == before
    assert not (place.folder / "made").exists()


def test_a_retry_is_checked_again_and_runs_when_the_rule_is_gone(place: Place) -> None:
    assert place.rt("do", "--", "touch", "made").code == 6
    place.ok("retry", "@last")
    assert place.rt("run-once", "--fail-on-outcome").code == 6
    place.ok("retry", "@last")
    place.config(FREE)
    assert place.rt("run-once", "--fail-on-outcome").code == 0
    assert (place.folder / "made").exists()


def test_a_program_is_told_the_cause(place: Place) -> None:
    done = place.rt("do", "--json", "--", "true")
    assert (done.code, done.document["status"], done.document["cause"]) == (6, "blocked", "denied_by_policy")


@pytest.mark.parametrize(
    ("fields", "argv", "code"),
    [
        ('adapter = "command"', ("--", "true"), 6),
        ('adapter = "agent"', ("--", "true"), 0),
        ('profile = "asker"', ("--agent", "asker", "--", "true"), 6),
        ('profile = "asker"', ("--finish-on", "ready", "--", "true"), 0),
        ('kind = "watch"', ("--finish-on", "ready", "--", "true"), 6),
        ('source = "sensor*"', ("--", "true"), 0),
        ('source = "cl?"', ("--", "true"), 6),
    ],
)
def test_a_rule_denies_what_it_matches_and_nothing_else(
    place: Place, fields: str, argv: tuple[str, ...], code: int
) -> None:
    place.config(FREE + ALL + fields)
    assert place.rt("do", *argv).code == code


def test_what_was_approved_yesterday_is_not_executed_today(place: Place) -> None:
    """PO-3."""
    before = started(place)
    place.config(RULES)
    assert begin(place)["status"] == "waiting_for_approval"
    place.ok("approve", "@last")
    place.config(RULES + ALL)
    assert place.rt("run-once", "--fail-on-outcome").code == 6
    denied = last(place, "run.denied")
    assert (denied["rules"], denied["reason"]) == (["frozen"], "nothing runs on a friday")
    assert denied["policy"] == last(place, "policy.changed")["digest"]
    assert place.task("@last")["cause"] == "denied_by_policy"
    assert started(place) == before


def test_a_run_whose_dispatcher_died_is_checked_before_it_goes_on(place: Place) -> None:
    """PO-1: start-up recovery is a way in, too."""
    before = started(place)
    place.config(
        FREE.replace(
            "[profiles.asker]\n",
            '[tools.local-process]\nkind = "local-process"\neffect = "idempotent"\n[profiles.asker]\n',
        )
    )
    with place.started("do", "--agent", "asker", "--", "sleep", "60") as it:
        until(lambda: started(place) > before)
        interrupt(it, signal.SIGKILL)
        it.communicate()
    place.config((place.folder / "rt.toml").read_text() + ALL)
    place.ok("work", "--until-idle")
    assert last(place, "run.denied")["rules"] == ["frozen"]
    assert place.task("@last")["cause"] == "denied_by_policy"
    assert started(place) == before + 1
