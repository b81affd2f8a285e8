"""Changed code is found by replaying the golden logs, at the right event; changed configuration by `--with today`."""

import compileall
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.adapters.model_server import FINISH, completion, serving
from tests.commands.place import ROOT, Done, Place
from tests.mutations.mutants import MUTANTS, UNSEEN, Mutant, Unseen
from tests.replays.recorded import GOLDEN, golden_names

PARTS = ("adapters", "commands", "domain", "projections", "replays", "rt_runtime")
DIVERGED = 4


class Copy:
    """The code in a folder of its own, in which one file at a time is another one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in PARTS:
            shutil.copytree(ROOT / part, folder / part)
        compileall.compile_dir(folder, quiet=2)  # once; what is compiled holds as long as a file's time and size do

    @contextmanager
    def mutated(self, change: Mutant | Unseen) -> Iterator[None]:
        """The same code with this change."""
        path = self.folder / "domain" / change.file
        right = path.read_text()
        assert right.count(change.old) == 1, f"{change.file} holds it {right.count(change.old)} times: {change.old}"
        path.write_text(right.replace(change.old, change.new))
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):  # of another text of perhaps the same size
            compiled.unlink()
        try:
            yield
        finally:
            path.write_text(right)

    def check(self) -> Done:
        """Replay all golden logs by this code."""
        env = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": str(self.folder)}
        argv = [sys.executable, "-P", "-B", "-m", "rt_runtime", "golden", "check", str(GOLDEN), "--json"]
        done = subprocess.run(argv, cwd=self.folder, env=env, capture_output=True, timeout=60, check=False)
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """One for each process that runs tests."""
    return Copy(tmp_path_factory.mktemp("copy"))


def differences(done: Done) -> dict[str, dict[str, Any]]:
    """The first difference of each golden log that diverged."""
    return {each["name"]: each["difference"] for each in done.documents if not each["identical"]}


def _dashed(change: Mutant | Unseen) -> str:
    return change.name.replace(" ", "-")


# the code


def test_the_unchanged_copy_finds_nothing(copy: Copy) -> None:
    done = copy.check()
    assert (done.code, done.end["count"]) == (0, len(golden_names())), done
    assert differences(done) == {}


@pytest.mark.parametrize("mutant", MUTANTS, ids=_dashed)
def test_a_changed_decision_is_found_at_the_event_that_it_changes(copy: Copy, mutant: Mutant) -> None:
    with copy.mutated(mutant):
        done = copy.check()
    assert done.code == DIVERGED, done
    found = differences(done)
    assert mutant.log in found, found
    difference = found[mutant.log]
    assert difference["event"] == mutant.event, difference
    assert difference["kind"] != "error", "it decides otherwise; code that breaks would be too easy to find"


def test_a_changed_prompt_is_told_apart_from_other_code(copy: Copy) -> None:
    with copy.mutated(next(each for each in MUTANTS if each.name == "a chat is to answer in Markdown")):
        found = differences(copy.check())
    assert {name: (each["field"], each["cause"]) for name, each in found.items()} == {"chat": ("request", "prompt")}
    with copy.mutated(next(each for each in MUTANTS if each.name == "pauses vary by a tenth")):
        found = differences(copy.check())
    assert ("backoff_us", "code") in {(each["field"], each["cause"]) for each in found.values()}
    assert {each["cause"] for each in found.values()} == {"code"}


def test_every_sort_of_change_is_there_more_than_once() -> None:
    sorts = Counter(mutant.sort for mutant in MUTANTS)
    assert set(sorts) == {"prompt", "rule", "ordering", "default", "normalisation", "budget"}
    assert min(sorts.values()) > 1
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 25


@pytest.mark.parametrize("unseen", UNSEEN, ids=_dashed)
def test_what_no_replay_of_a_recorded_run_can_see_is_known(copy: Copy, unseen: Unseen) -> None:
    with copy.mutated(unseen):
        done = copy.check()
    assert done.code == 0, f"it is seen: a mutant by now, and no longer so that {unseen.why}"


# the configuration


AGENT = """
[models.m]
base_url = "{base}/script/v1"
name = "m"
private = true
[controllers.table]
kind = "rules"
rules = [
  {{ when = "start", then = "tool" }},
  {{ when = "exit:ok", then = "tool", id = "again" }},
]
[profiles.asks]
controller = "m"
prompt = ["Be brief."]
[profiles.plain]
controller = "rules"
[profiles.circle]
controller = "table"
[profiles.circle.budgets]
tool_calls = 2
[[policies]]
id = "mine"
effect = "allow"
tool = "local-process"
"""
CIRCLE = ("--agent", "circle", "--", "true")
ASKS = ("--agent", "asks", "how is the house?")
PLAIN = ("--agent", "plain", "--", "true")


class Home(NamedTuple):
    """A folder with runs, and which profile each of them is of."""

    place: Place
    profiles: dict[str, str]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home with runs by a table of its own, by a model, and by the built-in table."""
    place, profiles = Place(tmp_path_factory.mktemp("configured")), dict[str, str]()
    with serving() as model:
        model.script = [completion(FINISH)]
        place.config(AGENT.format(base=model.base))
        for argv in (CIRCLE, ASKS, PLAIN):
            place.rt("do", *argv)
            profiles[place.rows("run", "list")[0]["run"]] = argv[1]
    return Home(place, profiles)


def replayed(home: Home, old: str, new: str) -> dict[str, tuple[str, str, str, int]]:
    """Event, field, cause and decision of the first difference of each run, by its profile, when this changes."""
    place = home.place
    right = (place.folder / "rt.toml").read_text()
    assert right.count(old) == 1
    place.config(right.replace(old, new))
    done = place.rt("replay", *home.profiles, "--with", "today", "--json")
    place.config(right)
    found = {each["run"]: each["difference"] for each in done.documents if not each["identical"]}
    assert done.code == (DIVERGED if found else 0), done
    return {
        home.profiles[run]: (each["event"], each["field"], each["cause"], each["decision"])
        for run, each in found.items()
    }


def test_todays_configuration_of_an_unchanged_home_finds_nothing(home: Home) -> None:
    assert replayed(home, "[models.m]", "[models.m]") == {}


def test_a_changed_prompt_names_the_question_that_it_changes(home: Home) -> None:
    found = replayed(home, '"Be brief."', '"Take your time."')
    assert found == {"asks": ("run.controller_asked", "request", "prompt", 1)}


def test_a_changed_rule_names_the_decision_that_it_changes(home: Home) -> None:
    found = replayed(home, '"exit:ok", then = "tool"', '"exit:ok", then = "finish"')
    assert found == {"circle": ("run.decision_made", "decision", "config", 2)}


def test_a_changed_policy_names_the_call_that_it_stops(home: Home) -> None:
    found = replayed(home, 'effect = "allow"', 'effect = "deny"')
    stopped = ("run.tool_call_requested", "event", "config", 1)
    assert found == {"circle": stopped, "plain": stopped}


def test_a_changed_budget_names_where_it_is_reached(home: Home) -> None:
    found = replayed(home, "tool_calls = 2", "tool_calls = 1")
    assert found == {"circle": ("run.tool_call_requested", "event", "config", 2)}


def test_a_changed_model_names_the_question_that_it_changes(home: Home) -> None:
    found = replayed(home, 'name = "m"', 'name = "larger"')
    assert found == {"asks": ("run.controller_asked", "request", "config", 1)}


@pytest.mark.parametrize("unseen", [each for each in UNSEEN if each.profile], ids=_dashed)
def test_what_is_frozen_at_the_start_is_seen_with_todays_configuration(copy: Copy, home: Home, unseen: Unseen) -> None:
    argv = ("replay", *home.profiles, "--with", "today", "--json")
    with copy.mutated(unseen):
        done = home.place.rt(*argv, env={"PYTHONPATH": str(copy.folder)})
    assert done.code == DIVERGED, done
    found = {home.profiles[each["run"]]: each["difference"] for each in done.documents if not each["identical"]}
    assert found[unseen.profile]["event"] == unseen.event, found
