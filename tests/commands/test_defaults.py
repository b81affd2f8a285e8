"""Who runs what nobody was named for: a command is run as it stands, a goal goes to the adapter of its profile."""

from pathlib import Path

import pytest

from tests.commands.place import FAST_RETRY, Place

CONFIG = (
    """
default_adapter = "helper"
default_profile = "scribe"
[adapters.helper]
command = "./helper"
outcome = "text"
[profiles.scribe]
program = "one_shot"
adapter = "helper"
[profiles.other]
program = "one_shot"
[routing]
default = "scribe"
"""
    + FAST_RETRY
)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path).config(CONFIG)
    made.script("helper", "#!/bin/sh\nenv >> helped; echo done\n")
    return made


@pytest.mark.parametrize(
    "argv",
    [
        ("intake", "--", "touch", "here"),
        ("intake", "--subject", "mine", "--", "touch", "here"),
        ("do", "--", "touch", "here"),
        ("schedule", "create", "s", "--every", "1h", "--", "touch", "here"),
    ],
    ids=lambda argv: " ".join(argv[:3]),
)
def test_a_command_is_run_and_not_handed_to_the_default_adapter(place: Place, argv: tuple[str, ...]) -> None:
    place.ok(*argv)
    if argv[0] == "schedule":
        place.ok("schedule", "run", "s")
    place.ok("work", "--until-idle")
    assert (place.folder / "here").exists()
    assert not (place.folder / "helped").exists()
    assert {task["status"] for task in place.rows("task", "list")} == {"completed"}


def test_an_adapter_that_is_named_gets_the_command_as_its_payload(place: Place) -> None:
    place.ok("intake", "--adapter", "helper", "--", "touch", "here")
    place.ok("work", "--until-idle")
    assert not (place.folder / "here").exists()
    assert (place.folder / "helped").exists()


@pytest.mark.parametrize(
    "argv",
    [
        ("intake", "--profile", "scribe", "--goal", "write it down"),
        ("intake", "--profile", "other", "--goal", "write it down"),
        ("intake", "--profile", "auto", "--goal", "write it down"),
        ("do", "--agent", "scribe", "write it down"),
        ("do", "--agent", "auto", "write it down"),
    ],
    ids=lambda argv: " ".join(argv[:3]),
)
def test_a_goal_for_a_profile_of_an_adapter_reaches_that_adapter(place: Place, argv: tuple[str, ...]) -> None:
    place.ok(*argv)
    place.ok("work", "--until-idle")
    (task,) = place.rows("task", "list")
    assert task["status"] == "completed"
    assert "write it down" in (place.folder / "helped").read_text()


@pytest.mark.parametrize(
    ("argv", "where"),
    [
        (("do", "--agent", "scribe", "--", "true"), "--agent"),
        (("do", "--agent", "scribe", "--controller", "qwen", "write"), "--controller"),
    ],
)
def test_what_such_a_profile_cannot_do_is_said(place: Place, argv: tuple[str, ...], where: str) -> None:
    done = place.rt(*argv[:1], "--json", *argv[1:])
    assert (done.code, done.error["where"]) == (2, where)
    assert "gives a prompt to its adapter" in done.error["why"]
    assert not (place.state / "log.db").exists() or place.rows("task", "list") == []
