"""What holds for every command: options, errors, exit statuses, and what is never created."""

import ctypes
import os
import shutil
from pathlib import Path

import pytest

from tests.commands.place import Place

READERS = (
    ("status",),
    ("task", "list"),
    ("task", "show", "@last"),
    ("run", "list"),
    ("run", "show", "@last"),
    ("run", "log", "@last"),
    ("run", "output", "@last"),
    ("watch", "@last"),
    ("replay", "@last"),
    ("replay", "--all"),
    ("log", "tail"),
    ("log", "verify"),
    ("log", "export"),
    ("sql", "SELECT 1"),
    ("golden", "record", "@last", "--failed"),
    ("doctor",),
)
DISPATCHERS = (("run-once",), ("work", "--until-idle"))
WRITERS = (
    *DISPATCHERS,
    ("cancel", "@last"),
    ("retry", "@failed"),
    ("unblock", "@waiting"),
    ("pause",),
    ("resume",),
    ("projection", "rebuild"),
)


@pytest.mark.parametrize("command", READERS + WRITERS, ids=" ".join)
def test_in_an_empty_folder_a_command_says_how_to_begin_and_creates_nothing(
    place: Place, command: tuple[str, ...]
) -> None:
    done = place.rt(*command, "--json")
    assert (done.code, done.error["code"], done.error["hint"]) == (3, "home.not_found", "rt init"), done
    assert place.files() == set()


@pytest.mark.parametrize("command", [each for each in READERS + WRITERS if each not in DISPATCHERS], ids=" ".join)
def test_in_a_home_without_a_log_nothing_is_created_either(place: Place, command: tuple[str, ...]) -> None:
    place.config("")
    done = place.rt(*command, "--json")
    assert done.code == (0 if command == ("doctor",) else 3), done
    assert place.files() == {"rt.toml"}


@pytest.mark.parametrize("command", DISPATCHERS, ids=" ".join)
def test_a_dispatcher_begins_the_log_of_a_home_that_is_configured(place: Place, command: tuple[str, ...]) -> None:
    """Its sensors and schedules may be all that ever brings work in."""
    place.config("")
    assert place.rt(*command, "--json").code == 0
    assert (place.state / "log.db").exists()


def _without_capabilities() -> None:
    """A root user who may not write where the modes say no: for tests that run as root."""
    libc = ctypes.CDLL(None)
    for capability in range(4):
        libc.prctl(24, capability, 0, 0, 0)


@pytest.fixture
def locked(history: Place) -> Place:
    """A home on which nothing may be written."""
    for folder, _, names in os.walk(history.folder):
        for name in names:
            (Path(folder) / name).chmod(0o444)
        Path(folder).chmod(0o555)
    return history


@pytest.mark.parametrize("command", READERS, ids=" ".join)
def test_a_reader_works_on_a_home_that_cannot_be_written(locked: Place, command: tuple[str, ...]) -> None:
    if command[0] == "golden":
        command = (*command, "--dir", "/proc/nowhere")
    done = locked.rt(*command, prepare=_without_capabilities)
    if command[0] == "golden":
        assert done.code == 7, done
    elif command == ("doctor",):
        assert done.code == 1, done
        assert "writable" in done.text
    else:
        assert done.code == 0, done
        assert done.out or command[:2] == ("run", "output"), "the last run printed nothing"


LOG_WRITERS = [each for each in WRITERS if each[0] not in ("resume", "projection")]  # there is nothing to resume


@pytest.mark.parametrize("command", [*LOG_WRITERS, ("do", "--", "true"), ("intake", "--", "true")], ids=" ".join)
def test_a_writer_refuses_a_home_that_cannot_be_written_in_one_line(locked: Place, command: tuple[str, ...]) -> None:
    at = command.index("--") if "--" in command else len(command)
    done = locked.rt(*command[:at], "--json", *command[at:], prepare=_without_capabilities)
    assert done.code == 7, done
    assert done.error["code"] == "log.not_writable"


def test_a_rebuild_that_changes_nothing_does_not_claim_to_have_rebuilt(locked: Place) -> None:
    """The tables of a home that cannot be written stay as they are: that is no success."""
    done = locked.rt("projection", "rebuild", "--json", prepare=_without_capabilities)
    assert (done.code, done.out) == (7, b""), done


def test_a_home_that_cannot_be_made_is_told_in_one_line(place: Place) -> None:
    place.folder.chmod(0o555)
    for command in (("do", "--json", "--", "true"), ("intake", "--json", "--", "true"), ("init", "--json")):
        done = place.rt(*command, prepare=_without_capabilities)
        assert (done.code, done.error["code"]) == (7, "log.not_writable"), (command, done)
    place.folder.chmod(0o755)


@pytest.mark.parametrize(
    "argv",
    [
        ("status", "--nonsense"),
        ("nonsense",),
        ("task", "nonsense"),
        ("task", "show"),
        ("task", "list", "--limit", "many"),
        ("task", "list", "--limit", "0"),
        ("log", "tail", "--after", "-1"),
        ("status", "surplus"),
        ("status", "--", "surplus"),
        ("work", "--concurrency", "0"),
        ("work", "--concurrency", "257"),
        ("--color", "blue", "status"),
        ("--home",),
    ],
)
def test_wrong_usage_is_exit_2(shared: Place, argv: tuple[str, ...]) -> None:
    done = shared.rt(*argv)
    assert (done.code, done.out) == (2, b""), done
    assert "Traceback" not in done.errors


@pytest.mark.parametrize("argv", [("status", "--nonsense"), ("task", "show"), ("task", "list", "--limit", "many")])
def test_wrong_usage_is_one_line_of_json_where_json_was_asked_for(shared: Place, argv: tuple[str, ...]) -> None:
    done = shared.rt(*argv, "--json")
    assert done.code == 2
    assert done.error["message"]
    assert done.error["code"]


@pytest.mark.parametrize("position", ["before", "after", "equals", "between"])
def test_global_options_stand_anywhere(place: Place, shared: Place, position: str) -> None:
    option = ("--home", str(shared.state))
    argv = {
        "before": (*option, "task", "list", "--json"),
        "after": ("task", "list", "--json", *option),
        "equals": ("task", "list", f"--home={shared.state}", "--json"),
        "between": ("task", *option, "list", "--json"),
    }[position]
    assert len(place.ok(*argv).documents) == 6
    assert place.files() == set()


def test_what_stands_behind_the_dashes_is_not_ours(place: Place) -> None:
    done = place.rt("-q", "do", "--", "echo", "--home", "/x", "--json", "-q", "--color", "never", "--", "--help")
    assert done.out == b"--home /x --json -q --color never -- --help\n"


def test_the_home_is_named_by_option_or_variable_or_found_upwards(place: Place, shared: Place) -> None:
    by_variable = Place(place.folder, {"RT_HOME": str(shared.state)})
    assert by_variable.json("status")["position"] == shared.head()
    below = shared.folder / "a" / "b"
    below.mkdir(parents=True, exist_ok=True)
    assert shared.rt("status", "--json", cwd=below).document["position"] == shared.head()
    shutil.rmtree(shared.folder / "a")
    done = place.rt("--home", "nowhere", "status", "--json")
    assert (done.code, done.error["code"]) == (3, "home.not_found")
    assert place.files() == set()


def test_errors_for_people_say_what_why_and_the_way_out(shared: Place) -> None:
    done = shared.rt("task", "show", "ffff")
    assert done.errors == "error: no task begins with 'ffff'  [id.not_found]\n  try: rt task list\n"


def test_quiet_says_nothing_but_the_answer(place: Place) -> None:
    done = place.rt("-q", "do", "--", "echo", "hi")
    assert (done.out, done.err) == (b"hi\n", b"")


def test_colour_and_glyphs_follow_the_wish_of_the_reader(shared: Place) -> None:
    assert b"\x1b[" not in shared.ok("task", "list").out
    assert b"\x1b[" in shared.ok("--color", "always", "task", "list").out
    assert b"\x1b[" not in shared.rt("task", "list", env={"NO_COLOR": "1", "FORCE_COLOR": "1"}).out
    ascii_only = shared.rt(
        "task", "list", env={"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    )
    assert ascii_only.code == 0
    assert ascii_only.out.isascii()
    assert b"+ completed" in ascii_only.out


def test_colour_on_stderr_is_colour_and_no_text(place: Place) -> None:
    done = place.rt("--color", "always", "do", "--", "true")
    assert "\\x1b" not in done.errors


def test_version_and_shell_completion_do_not_need_a_home(place: Place) -> None:
    assert place.rt("--help").code == 0
    assert place.rt("--show-completion", env={"SHELL": "/bin/bash"}).code in (0, 1)
    assert place.files() == set()


def test_every_json_line_names_its_schema(shared: Place) -> None:
    import json

    for command in READERS:
        if command[0] == "golden" or command[:2] == ("log", "export"):
            continue
        done = shared.rt(*command, "--json")
        for line in done.out.splitlines():
            assert json.loads(line)["schema"].startswith("rt."), command


def test_the_value_of_a_global_option_is_no_command(shared: Place) -> None:
    assert shared.rt("--actor", "snapshot", "status", "--json").code == 0
    assert shared.rt("status", "--json", "--actor", "adapters").code == 0
