"""Goals and watched commands: who serves them, who cannot, and the demos that show it."""

from pathlib import Path

import pytest

from tests.commands.asking import DECIDED, RULES, asked, begin, decided, last, summary
from tests.commands.place import Place

ROUTES = '[routing]\n[[routing.rules]]\nphrases = ["second"]\nprofile = "two"\n'
BROKEN = '[models.gone]\nbase_url = "http://127.0.0.1:1/v1"\nname = "m"\nprivate = true\n[routing]\nmodel = "gone"\n'


@pytest.mark.parametrize("argv", [("mend it",), ("mend", "it", "--agent", "watch"), ("x", "--controller", "rules")])
def test_a_goal_that_nobody_serves_names_the_ways_that_there_are(place: Place, argv: tuple[str, ...]) -> None:
    done = place.rt("do", *argv)
    assert done.code == 2
    assert all(way in done.errors for way in ("--controller", "--agent", "-- ARGV"))
    assert place.files() == set()


def test_a_phrase_ends_a_command_as_failed_or_as_completed(place: Place) -> None:
    failed = place.do("sh", "-c", "echo it is broken; sleep 60", options=("--cancel-on", "is broken"))
    assert (failed["status"], failed["summary"]) == ("permanent_failure", "it is broken")
    ended = place.do("sh", "-c", "echo ready now; sleep 60", options=("--finish-on", "ready", "--cancel-on", "nope"))
    assert (ended["status"], ended["summary"]) == ("completed", "ready now")
    neither = place.do("sh", "-c", "echo Traceback", options=("--cancel-on", "is broken"))
    assert neither["status"] == "completed"
    assert place.rt("replay", "--all").code == 0


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("--cancel-on", "x y", "a goal"), 2),
        (("--finish-on", "x", "--", "true"), 2),
        (("--controller", "nobody", "--", "true"), 3),
        (("--controller", "nobody", "a goal"), 3),
        (("--agent", "nobody", "--", "true"), 3),
        (("--agent", "nobody", "a goal"), 3),
        (("--agent", "one", "--context", "[]", "a goal"), 2),
        (("--agent", "one", "--context", "{", "a goal"), 2),
        (("--agent", "one", "--context", "@nowhere", "a goal"), 2),
        (("--agent", "one", "--context", '{"a":1,"a":2}', "a goal"), 2),
        (("--agent", "one", "a goal", "--", "true"), 2),
        (("--agent", "one"), 2),
        (("--agent", "auto", "a goal"), 2),
    ],
)
def test_a_wrong_wish_is_refused_and_stores_nothing(place: Place, argv: tuple[str, ...], code: int) -> None:
    decided(place)
    assert place.rt("do", *argv).code == code
    assert place.head() == 0


def test_a_context_reaches_who_decides_and_the_log(place: Place) -> None:
    decided(place)
    (place.folder / "c.json").write_text('{"colour":"red"}')
    assert place.json("do", "--agent", "one", "--context", "@c.json", "paint")["status"] == "completed"
    assert asked(place)["context"] == {"colour": "red"}
    (place.folder / "c.json").unlink()
    assert place.rt("replay", "@last").code == 0


@pytest.mark.parametrize("more", [(), ("--agent", "auto")])
def test_a_goal_without_a_name_is_routed_and_how_is_recorded(place: Place, more: tuple[str, ...]) -> None:
    decided(place, ROUTES.replace("[routing]", '[routing]\ndefault = "one"'))
    place.ok("do", *more, "the second thing")
    routed = last(place, "task.queued")["routing"]
    assert (routed["selected"], routed["by"], routed["candidates"]) == ("two", "rule", ["one", "two"])
    place.ok("do", *more, "another thing")
    assert last(place, "task.queued")["routing"]["by"] == "default"
    assert place.rt("replay", "--all").code == 0


def test_rules_without_a_default_serve_what_they_match_and_nothing_else(place: Place) -> None:
    decided(place, ROUTES)
    assert place.json("do", "the second thing")["status"] == "completed"
    assert place.rt("do", "another thing").code == 2


def test_where_the_model_that_routes_does_not_answer_the_default_decides_visibly(place: Place) -> None:
    decided(place, BROKEN + 'default = "two"\n')
    place.ok("do", "something")
    routed = last(place, "task.queued")["routing"]
    assert (routed["selected"], routed["by"]) == ("two", "default")
    assert "the model chose none" in routed["reason"]
    decided(place, BROKEN)
    assert place.rt("do", "something", "--agent", "auto").code == 2


def test_profiles_are_listed_and_shown(place: Place) -> None:
    place.config(DECIDED)
    assert [row["profile"] for row in place.rows("profile", "list")] == ["watch", "one", "two"]
    assert place.json("profile", "show", "one")["controller"]["argv"] == ["python3", "decider.py"]
    assert place.rt("profile", "show", "nobody", "--json").error["code"] == "profile.unknown"


def test_middleware_that_asks_people_asks_for_what_a_task_itself_wants(place: Place) -> None:
    text = RULES.replace('approvals = { local-process = "ask" }', 'middleware = [{ kind = "human-approval" }]')
    assert begin(place.config(text))["status"] == "waiting_for_approval"


@pytest.mark.parametrize(
    ("demo", "said"),
    [("early-cancel", "missing config: /etc/demo/config.toml"), ("server-check", "To see the GUI go to")],
)
def test_a_demo_names_the_cause_leaves_nothing_behind_and_replays_anywhere(place: Place, demo: str, said: str) -> None:
    done = place.rt("do", "demo", demo)
    assert done.code == 0, done
    assert said in summary(place)
    assert not _left_over(place.folder)
    assert not list(place.state.glob("tmp/*"))
    for env in ({"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "1"}, {"TZ": "America/Lima", "PYTHONHASHSEED": "7"}):
        again = place.rt("replay", "@last", "--json", env=env)
        assert again.code == 0, again


def _left_over(folder: Path) -> list[str]:
    """Processes that run in a folder."""
    found = []
    for path in Path("/proc").iterdir():
        try:
            if path.name.isdecimal() and (path / "cwd").readlink() == folder:
                found.append((path / "cmdline").read_text())
        except OSError:
            continue
    return found
