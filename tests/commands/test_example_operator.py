"""`rt init --example operator`: a home in which everything that agent-runtime documented can be tried, offline."""

import json
import re
import shlex
import tomllib

import pytest

from tests.commands.place import ROOT, Place

EXAMPLE = ROOT / "commands" / "examples" / "operator"
COMMANDS = tuple(re.findall(r"^    rt (.*)$", (EXAMPLE / "README.md").read_text(), re.MULTILINE))


@pytest.fixture
def home(place: Place) -> Place:
    made = place.json("init", "--example", "operator", "home")
    assert made["home"] == str(place.folder / "home" / ".rt")
    return Place(place.folder / "home")


@pytest.mark.parametrize(
    "verb",
    [
        "intake", "schedule create", "schedule tick", "sensor ingest", "run-once", "status", "bridge github",
        "bridge discord", "workflow create", "workflow list", "workflow show", "workflow transition",
        "workflow complete", "seed", "config check", "adapter check", "health", "doctor",
    ],
)  # fmt: skip
def test_each_verb_of_the_old_runtime_has_its_example(verb: str) -> None:
    assert any(command.startswith(f"{verb} ") or command == verb for command in COMMANDS)


def test_every_command_of_its_readme_works_in_order(home: Place) -> None:
    """IN-8"""
    for command in COMMANDS:
        done = home.rt(*shlex.split(command))
        assert done.code == 0, (command, done)
    tasks = home.rows("task", "list")
    assert {row["status"] for row in tasks} == {"completed", "operator_canceled"}
    flows = {row["instance_key"]: row["status"] for row in home.rows("workflow", "list", "--all")}
    assert flows == dict.fromkeys(("hello", "basics", "onboard-newcomer-17", "research-seeded"), "completed")
    assert (home.folder / "artifacts" / "reports" / "open.md").is_file()


def test_the_heartbeat_comes_every_305_seconds(home: Place) -> None:
    created = home.json("schedule", "create", "@schedules/heartbeat.json")
    assert created["interval_seconds"] == 305
    for at in ("2030-01-01T00:00:00Z", "2030-01-01T00:05:04Z", "2030-01-01T00:05:05Z"):
        home.ok("schedule", "tick", "--at", at)
    assert home.json("schedule", "show", "heartbeat")["fired"] == 2
    home.ok("work", "--until-idle")
    beats = home.rows("task", "list", "--kind", "heartbeat")
    assert [row["status"] for row in beats] == ["completed", "completed"]


def test_the_old_form_of_the_configuration_says_the_same(home: Place) -> None:
    """CF-7"""
    new, old = home.json("config", "show"), home.json("--config", "agent-runtime.json", "config", "show")
    told = ("runtime_name", "default_adapter", "default_profile", "artifact_dir", "retry", "profiles")
    assert {name: old[name] for name in told} == {name: new[name] for name in told}
    assert set(old["adapters"]) == set(new["adapters"])
    assert home.json("--config", "agent-runtime.json", "config", "check")["warnings"] == []


def test_its_documents_are_complete(home: Place) -> None:
    written = {str(path.relative_to(EXAMPLE)) for path in EXAMPLE.rglob("*") if path.is_file()}
    assert written <= home.files()
    for name in written:
        path = home.folder / name
        if path.suffix == ".json":
            assert isinstance(json.loads(path.read_text()), dict)
        if path.suffix == ".toml":
            assert tomllib.loads(path.read_text())
        assert path.stat().st_mode & 0o777 == (0o700 if name.startswith("scripts/") else 0o600)


def test_no_address_in_it_is_anybodys() -> None:
    """DP-6"""
    for path in (path for path in EXAMPLE.rglob("*") if path.is_file()):
        for host in re.findall(r"https?://([^/\"\s]+)", path.read_text()):
            assert host == "example.org", path


def test_nothing_is_overwritten_without_force(place: Place) -> None:
    (place.folder / "tasks").mkdir()
    mine = place.folder / "tasks" / "errand.json"
    mine.write_text("mine")
    done = place.rt("init", "--example", "operator", "--json")
    assert (done.code, done.error["code"]) == (5, "home.exists")
    assert done.error["hint"].startswith("rt init --example operator DIR ")
    assert place.files() == {"tasks", "tasks/errand.json"}
    place.ok("init", "--example", "operator", "--force")
    assert json.loads(mine.read_text())["kind"] == "errand"


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (("--example", "nobody"), "operator"),
        (("--example", "../../tests"), "operator"),
        (("--example", "operator", "--agent-package", "ada"), "own folder"),
    ],
)
def test_what_is_no_example_is_refused(place: Place, argv: tuple[str, ...], word: str) -> None:
    done = place.rt("init", *argv, "--json")
    assert done.code == 2
    assert word in done.error["message"]
    assert place.files() == set()
