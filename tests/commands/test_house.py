"""doctor, config, help, golden and the projection's own commands."""

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from commands.app import build
from commands.cli import OLD_COMMANDS
from commands.house import EXIT_CODES
from domain import bounds, errors
from domain.events import REGISTRY, topic
from projections.tables import COLUMNS
from tests.commands.place import RT, Place

duckdb = importlib.import_module("duckdb")


# doctor


def _checks(place: Place) -> dict[str, tuple[str, str]]:
    done = place.rt("doctor", "--json")
    return {check["what"]: (check["level"], check["detail"]) for check in done.document["checks"]}


def test_a_healthy_home(shared: Place) -> None:
    done = shared.rt("doctor", "--json")
    assert (done.code, done.document["ok"]) == (0, True)
    checks = _checks(shared)
    assert checks["log"] == ("ok", f"ends at position {shared.head()}, its head record agrees")
    assert checks["projection"] == ("ok", f"true at position {shared.head()}")
    assert {"rt", "sqlite", "home", "config", "modes", "disk", "writable", "dispatchers", "paused"} <= checks.keys()
    assert len(shared.ok("doctor").text.splitlines()) == len(checks)


def test_the_doctor_names_what_is_wrong(history: Place) -> None:
    history.config('default_adapter = "gone"\n[adapters.gone]\ncommand = "./gone.sh"\n')
    history.ok("pause")
    history.state.chmod(0o755)
    checks = _checks(history)
    assert checks["adapter gone"][0] == "error"
    assert "./gone.sh" in checks["adapter gone"][1]
    assert checks["paused"] == ("warning", "yes: rt resume")
    assert checks["modes"][0] == "warning"
    assert history.rt("doctor").code == 1


def test_the_doctor_reports_a_broken_configuration_and_goes_on(history: Place) -> None:
    history.config("[retry]\nattemps = 3\n")
    checks = _checks(history)
    assert checks["config"][0] == "error"
    assert "attemps" in checks["config"][1]
    assert "log" in checks


def test_the_doctor_of_an_empty_home_creates_nothing(place: Place) -> None:
    place.config("")
    before = place.files()
    assert place.rt("doctor").code == 0
    assert place.files() == before


def test_reindexing_changes_nothing(history: Place) -> None:
    before = history.ok("task", "list", "--json").out
    assert "claim index" in history.ok("doctor", "--reindex").errors
    assert history.ok("task", "list", "--json").out == before
    assert history.json("work", "--until-idle")["runs"] == 1


# config


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("[retry]\nattemps = 3\n", "rt.toml: retry", "did you mean 'attempts'?"),
        ("[retry]\nattempts = 0\n", "rt.toml: retry.attempts", ""),
        ('[work]\nconcurrency = "many"\n', "rt.toml: work.concurrency", "expected `int`"),
        ("[worker]\n", "rt.toml: ", "did you mean 'work'?"),
        ('default_adapter = "x"\n', "rt.toml: default_adapter", "configured: command"),
        ('[adapters.x]\ncommnd = "y"\n', "rt.toml: adapters", "did you mean 'command'?"),
        ("[adapters.x]\n", "rt.toml: adapters", "command"),
        ('[adapters.command]\ncommand = "y"\n', "rt.toml: adapters.command", "built-in"),
        ("[retry]\nbackoff_s = 10.0\nbackoff_max_s = 1.0\n", "rt.toml: retry.backoff_max_s", "smaller"),
        ("[retry]\nbackoff_s = nan\n", "rt.toml: retry.backoff_s", ""),
        ("[retry]\nbackoff_s = inf\n", "rt.toml: retry.backoff_s", ""),
        ("not toml", "rt.toml", "does not parse"),
        ('[secrets]\nenv = ["with space"]\n', "rt.toml: secrets.env", ""),
    ],
)
def test_a_wrong_field_is_named_with_its_file(place: Place, text: str, where: str, why: str) -> None:
    place.config(text)
    done = place.rt("config", "check", "--json")
    assert (done.code, done.error["code"]) == (2, "config.invalid"), done
    assert where in done.error["message"]
    assert why in done.error["message"]
    assert place.files() == {"rt.toml"}


def test_nothing_runs_and_nothing_is_made_with_a_wrong_configuration(place: Place) -> None:
    place.config("[retry]\nattempts = 0\n")
    for argv in (("do", "--", "true"), ("intake", "--", "true")):
        assert place.rt(*argv).code == 2, argv
        assert place.files() == {"rt.toml"}, argv


def test_a_json_file_loads_as_well(place: Place) -> None:
    (place.folder / "old.json").write_text('{"retry": {"attempts": 9}}')
    found = place.ok("--config", "old.json", "config", "show", "--json").document
    assert found["retry"]["attempts"] == 9
    assert found["file"] == str(place.folder / "old.json")


def test_the_effective_configuration_is_shown_whole(place: Place) -> None:
    place.config('[adapters.x]\ncommand = "./x"\nenv = { API_KEY = "abcdefgh", PLAIN = "seen" }\n')
    text = place.ok("config", "show").text
    for part in ("retry.attempts = 3", "./x", "seen", "***"):
        assert part in text
    assert "abcdefgh" not in text
    done = place.json("config", "check")
    assert done["adapters"] == ["command", "x"]


@pytest.mark.parametrize("text", ["[retry]\nattempts = 2\n", ""])
def test_looking_at_the_configuration_creates_nothing(place: Place, text: str) -> None:
    place.config(text)
    place.ok("config", "show")
    place.ok("config", "check")
    assert place.files() == {"rt.toml"}


def test_a_configuration_file_that_is_not_there_is_named(place: Place) -> None:
    done = place.rt("--config", "nowhere.toml", "do", "--json", "--", "true")
    assert (done.code, done.error["code"]) == (2, "config.invalid")
    assert "nowhere.toml" in done.error["message"]
    assert place.files() == set()


# help


def _commands(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _commands(inner, (*path, name))


COMMANDS = list(_commands(typer.main.get_command(build(None))))


def test_every_command_and_option_has_help() -> None:
    for path, command in COMMANDS:
        assert command.help, path
        for parameter in command.params:
            assert getattr(parameter, "help", None), (path, parameter.name)


def test_every_command_prints_its_help() -> None:
    """In this process: the parser is the same one."""
    for path, command in COMMANDS:
        text = command.get_help(command.make_context("rt", [], resilient_parsing=True))
        assert "Usage:" in text, path


def test_hints_name_commands_that_there_are() -> None:
    known = {path for path, _ in COMMANDS}
    for kind in errors.tree():
        words = re.sub(r"--home NEW ", "", kind.hint.format_map(_Any())).split()[1:]
        if not words or words[0].startswith("-"):
            continue
        assert any(tuple(words[:length]) in known for length in (1, 2)), (kind.code, kind.hint)
        if (words[0],) in known and (words[0], words[1] if len(words) > 1 else "") not in known:
            group = next(command for path, command in COMMANDS if path == (words[0],))
            assert not hasattr(group, "commands"), (kind.code, kind.hint)


class _Any(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "task" if key == "what" else "x"


def test_the_exit_codes_agree_with_the_error_classes(place: Place) -> None:
    text = place.ok("help", "exit-codes").text
    told = {int(line.split()[0]) for line in text.splitlines()}
    assert told == {code for code, _ in EXIT_CODES}
    assert {kind.exit for kind in errors.tree()} <= told
    assert len(told) == len(EXIT_CODES)


def test_every_error_is_listed_once(place: Place) -> None:
    lines = [line.split() for line in place.ok("help", "errors").text.splitlines()]
    codes = [line[0] for line in lines]
    assert len(codes) == len(set(codes)), "codes are unique"
    exits = {line[0]: int(line[2]) for line in lines}
    for kind in errors.tree():
        assert exits[kind.code] == kind.exit, kind.code


def test_limits_and_topics_are_listed_whole(place: Place) -> None:
    limits = {line.split()[0] for line in place.ok("help", "limits").text.splitlines()}
    assert limits == {name for name in vars(bounds) if name.isupper()}
    topics = {line.split()[0] for line in place.ok("help", "topics").text.splitlines()}
    assert topics == {topic(kind) for kind in REGISTRY.values()}
    assert "RT_HOME" in place.ok("help", "environment").text
    assert place.files() == set()


def test_cli5_every_command_of_the_old_runtime_is_there_or_names_the_new_one() -> None:
    old = (
        *("intake", "schedule-create", "schedule-tick", "sensor-event", "run-once", "status", "bridge-github"),
        *("bridge-discord", "adapters", "healthcheck", "workflow-list", "workflow-show", "workflow-create"),
        *("workflow-transition", "workflow-complete", "snapshot", "seed-backlog", "report"),
    )
    here = {path[0] for path, _ in COMMANDS if path}
    assert [name for name in old if name not in here and name not in OLD_COMMANDS] == []
    assert [name for name in OLD_COMMANDS if name in here or name not in old] == []


@pytest.mark.parametrize("old", sorted(OLD_COMMANDS))
def test_an_old_command_names_the_new_one(place: Place, old: str) -> None:
    done = place.rt(old, "--json", "{}")
    assert (done.code, done.error["code"]) == (2, "cli.old_command")
    assert f"no command {old!r}; try: {OLD_COMMANDS[old]}" in done.error["message"]


@pytest.mark.parametrize("old", sorted(OLD_COMMANDS))
def test_the_new_command_that_is_named_is_there(old: str) -> None:
    words = tuple(OLD_COMMANDS[old].split()[1:])
    assert words in {path for path, _ in COMMANDS}, "an answer that sends people to a command that does not exist"


# the projection's own commands


def _dump(place: Place) -> dict[str, list[tuple[Any, ...]]]:
    place.ok("status")
    database = duckdb.connect(str(place.state / "projection.duckdb"), read_only=True)
    try:
        return {table: database.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall() for table in COLUMNS}  # noqa: S608
    finally:
        database.close()


def test_a_rebuild_changes_nothing(history: Place) -> None:
    before = _dump(history)
    assert before["tasks"]
    assert history.json("projection", "rebuild") == {"schema": "rt.projection.v1", "position": history.head()}
    assert _dump(history) == before
    for path in history.state.glob("projection.duckdb*"):
        path.unlink()
    assert _dump(history) == before


def test_catching_up_step_by_step_is_a_rebuild(place: Place) -> None:
    place.config()
    for argv in (("echo", "a"), ("false",), ("/nowhere",)):
        place.do(*argv)
        place.ok("status")
    place.ok("cancel", place.queue("true"))
    before = _dump(place)
    place.ok("projection", "rebuild")
    assert _dump(place) == before


@pytest.mark.parametrize("damage", ["garbage", "empty", "cut", "flip", "text"])
def test_a_damaged_file_is_set_aside_and_rebuilt(history: Place, damage: str) -> None:
    path = history.state / "projection.duckdb"
    before = _dump(history)
    content = path.read_bytes()
    broken = {
        "garbage": b"\xff" * len(content),
        "empty": b"",
        "cut": content[: len(content) // 2],
        "flip": content[:8192] + bytes(byte ^ 0xFF for byte in content[8192:16384]) + content[16384:],
        "text": b"hello",
    }
    path.write_bytes(broken[damage])
    assert history.json("status")["position"] == history.head()
    assert _dump(history) == before
    assert (history.state / "projection.duckdb.set-aside").exists() or damage == "empty"


def test_a_file_that_another_program_has_open_is_kept_and_said_to_be_open(history: Place) -> None:
    path = history.state / "projection.duckdb"
    held = f"held = duckdb.connect({str(path)!r}, read_only=True)"
    program = f"import duckdb, sys; {held}; print(1, flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        other.stdout.readline()
        done = history.rt("status")
        other.stdin.close()
    assert done.code == 5, done
    assert f"(pid {other.pid}) has the projection open" in done.errors
    assert not (history.state / "projection.duckdb.set-aside").exists()
    assert history.json("status")["position"] == history.head()


def test_a_file_of_another_schema_is_rebuilt(history: Place) -> None:
    before = _dump(history)
    database = duckdb.connect(str(history.state / "projection.duckdb"))
    database.execute("UPDATE meta SET schema = 'older'")
    database.execute("DELETE FROM tasks")
    database.close()
    assert _dump(history) == before


def test_tables_of_a_log_that_lost_its_tail_are_made_again(history: Place) -> None:
    old = (history.state / "log.db").read_bytes()
    before = _dump(history)
    history.do("echo", "to be lost")
    assert _dump(history) != before
    (history.state / "log.db").write_bytes(old)
    assert _dump(history) == before
    history.ok("log", "verify", "--accept-loss")
    history.do("echo", "something else")
    assert len(_dump(history)["events"]) == history.head()
    history.ok("projection", "rebuild")
    assert len(_dump(history)["events"]) == history.head()


# golden logs


def test_a_run_is_recorded_and_checked(history: Place) -> None:
    (run,) = history.rows("run", "list", "--state", "completed")
    answer = history.json("golden", "record", run["run"], "good")
    assert answer["file"] == "tests/golden/runs/good/log.jsonl"
    history.ok("golden", "record", "@failed", "bad", "--dir", "elsewhere", "--failed")
    assert history.ok("golden", "check").text == "1 of 1 golden logs identical\n"
    assert history.ok("golden", "check", "elsewhere").text == "1 of 1 golden logs identical\n"
    away = Path(history.folder) / "away"
    (history.folder / "tests").rename(away)
    for path in history.state.iterdir():
        if path.is_file():
            path.unlink()
    found = history.rows("golden", "check", "away/golden/runs")
    assert [(each["name"], each["identical"]) for each in found] == [("good", True)]


def test_a_golden_name_is_used_once_and_is_a_name(history: Place) -> None:
    history.ok("golden", "record", "@last", "good", "--failed")
    before = (history.folder / "tests/golden/runs/good/log.jsonl").read_bytes()
    done = history.rt("golden", "record", "@failed", "good", "--failed", "--json")
    assert done.code == 5
    assert "init" not in done.error["hint"], "the hint is about what was asked"
    assert (history.folder / "tests/golden/runs/good/log.jsonl").read_bytes() == before
    for name in ("../evil", "a/b", "", ".", "a b", "\x1b"):
        assert history.rt("golden", "record", "@last", name, "--failed").code == (0 if name == "" else 2), name


def _golden(place: Place) -> Path:
    (run,) = place.rows("run", "list", "--state", "completed")
    place.ok("golden", "record", run["run"], "good")
    return place.folder / "tests/golden/runs/good/log.jsonl"


def test_a_changed_line_diverges(history: Place) -> None:
    path = _golden(history)
    lines = path.read_bytes().splitlines()
    at = next(at for at, line in enumerate(lines) if b'"run.finished.v1"' in line)
    lines[at] = lines[at].replace(b'"state":"completed"', b'"state":"failed"')
    path.write_bytes(b"\n".join(lines) + b"\n")
    done = history.rt("golden", "check")
    assert done.code == 4
    assert "diverged: good" in done.text
    assert "recorded  failed" in done.text
    assert "today     completed" in done.text
    assert "golden.diverged" in done.errors


def test_a_damaged_golden_log_is_exit_2_and_names_the_line(history: Place) -> None:
    path = _golden(history)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"version":2', b'"version":}', 1))
    done = history.rt("golden", "check", "--json")
    assert (done.code, done.error["code"]) == (2, "rt.invalid")
    assert ", line " in done.error["message"]
    path.write_bytes(b"".join(content.splitlines(keepends=True)[:-1]))
    done = history.rt("golden", "check", "--json")
    assert done.code == 2
    assert "its header says" in done.error["message"]


def test_an_empty_folder_is_exit_3_and_a_newer_format_7(history: Place) -> None:
    assert history.rt("golden", "check", "nowhere", "--json").code == 3
    path = _golden(history)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(json.dumps(json.loads(lines[0]) | {"format": 99}).encode() + b"\n" + b"".join(lines[1:]))
    done = history.rt("golden", "check", "--json")
    assert (done.code, done.error["code"]) == (7, "log.newer")


def test_golden_check_needs_no_home_and_creates_nothing(history: Place, tmp_path: Path) -> None:
    path = _golden(history)
    empty = tmp_path / "empty"
    (empty / "g" / "good").mkdir(parents=True)
    (empty / "g" / "good" / "log.jsonl").write_bytes(path.read_bytes())
    assert Place(empty).ok("golden", "check", "g").text == "1 of 1 golden logs identical\n"
    assert Place(empty).files() == {"g", "g/good", "g/good/log.jsonl"}


# replay


def test_replay_tells_each_run_and_all_runs(shared: Place) -> None:
    text = shared.ok("replay", "@last").text
    assert text.startswith("identical: run ")
    assert "nothing was run" in text
    found = shared.ok("replay", "--all", "--json")
    assert [each["identical"] for each in found.documents] == [True] * 4
    assert found.end["count"] == 4


@pytest.mark.parametrize(("argv", "code"), [((), 2), (("@last", "--all"), 2), (("ffffff",), 3)])
def test_what_cannot_be_replayed(shared: Place, argv: tuple[str, ...], code: int) -> None:
    done = shared.rt("replay", *argv, "--json")
    assert (done.code, done.out) == (code, b"")


def test_todays_code_that_decides_otherwise_is_exit_4(shared: Place) -> None:
    """The real command, with a core that takes every exit status for a success."""
    program = (
        "import sys\nfrom domain import one_shot\n"
        "old = one_shot._exited\n"
        "one_shot._exited = lambda run, fact: one_shot.Ending(state='completed')\n"
        "from commands.cli import main\nsys.argv = ['rt', 'replay', '--all', *sys.argv[1:]]\nmain()\n"
    )
    argv = [sys.executable, "-P", "-c", program]
    done = subprocess.run(argv, cwd=shared.folder, env=shared.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 4, done
    assert done.stdout.count("diverged: run ") == 2
    assert "recorded  failed" in done.stdout
    assert "today     completed" in done.stdout
    assert "2 of 4 runs identical" in done.stdout
    assert "2 of 4 runs diverged" in done.stderr
    as_json = subprocess.run(
        [*argv, "--json"], cwd=shared.folder, env=shared.environment, capture_output=True, text=True, check=False
    )
    assert as_json.returncode == 4
    differences = [json.loads(line).get("difference") for line in as_json.stdout.splitlines()]
    assert [each["kind"] for each in differences if each] == ["field", "field"]
    assert json.loads(as_json.stderr)["error"]["code"] == "replay.diverged"


@pytest.mark.parametrize(
    ("argv", "hint"),
    [
        (("do", "--nosuch"), "rt do --help"),
        (("run", "show"), "rt run show --help"),
        (("run", "nosuch"), "rt run --help"),
        (("do", "x", "--", "y"), "rt do --help"),
        (("nosuch",), "rt --help"),
        (("adapter", "check", "nosuch"), "rt adapter list"),
    ],
)
def test_a_wrong_command_line_hints_at_the_help_of_its_command(place: Place, argv: tuple[str, ...], hint: str) -> None:
    at = argv.index("--") if "--" in argv else len(argv)
    done = place.rt(*argv[:at], "--json", *argv[at:])
    assert (done.code, done.error["hint"]) == (2, hint)


@pytest.mark.parametrize("argv", [("status",), ("do", "--", "true"), ("init",), ("--home", "x", "task", "list")])
def test_a_current_folder_that_was_deleted_is_said(place: Place, argv: tuple[str, ...]) -> None:
    gone = place.folder / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["/bin/sh", "-c", 'rmdir "$PWD"; exec "$@"', "sh", *RT, *argv],
        cwd=gone,
        env=place.environment,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, b"[home.folder_gone]" in done.stderr) == (3, True), done
