"""`rt health`: one document and one exit status for monitors, whatever is wrong. Work and adapters, 26."""

import json
import shutil
import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from adapters.system import SystemClock
from tests.adapters.ollama_server import Answer, serving
from tests.commands.asking import RULES
from tests.commands.place import Place

GOOD = '[adapters.good]\ncommand = "/bin/true"\n'
BROKEN = '[adapters.broken]\ncommand = "./nowhere"\n'
TASK = {"kind": "k", "payload": {}, "requested_adapter": "broken"}
SCHEDULE = {"name": "s", "task": TASK, "interval_seconds": 3600}


def health(place: Place, *options: str) -> tuple[int, dict[str, Any]]:
    """Its exit status and its document, which is there whatever is wrong."""
    done = place.rt(*options, "health", "--json")
    found = done.document
    assert set(found) >= {"ok", "configIssues", "profileChecks", "adapterChecks", "checks"}
    assert done.code == (0 if found["ok"] else 1), done
    return done.code, found


def adapter(found: dict[str, Any], name: str) -> dict[str, Any]:
    [each] = [each for each in found["adapterChecks"] if each["adapterId"] == name]
    assert set(each) >= {"adapterId", "ok", "detail"}
    return dict(each)


def check(found: dict[str, Any], what: str) -> dict[str, Any]:
    [each] = [each for each in found["checks"] if each["what"] == what]
    return dict(each)


# its form


def test_a_home_that_is_well_says_so_in_all_its_parts(place: Place) -> None:
    place.config(GOOD + RULES)
    place.do("true")
    code, found = health(place)
    assert (code, found["ok"], found["configIssues"]) == (0, True, [])
    assert found["profileChecks"] == [{"profileId": "asker", "issues": []}]
    assert adapter(found, "good")["ok"]
    wanted = {"disk", "clock", "log", "modes", "projection", "dispatchers", "outbox", "workflows", "sensors"}
    assert {each["what"] for each in found["checks"] if each["ok"]} >= wanted
    assert found["latency_ms"] > 0
    assert place.ok("health").text == "ok\n"


def test_where_there_is_nothing_yet_it_is_well_and_makes_nothing(place: Place) -> None:
    code, found = health(place)
    assert code == 0
    assert check(found, "log") == {"what": "log", "ok": False, "warning": True, "detail": "there is none yet"}
    assert place.files() == set()


def test_a_person_reads_what_is_wrong_in_lines(place: Place) -> None:
    place.config(f'default_adapter = "broken"\n{BROKEN}[adapters.other]\ncommand = "./gone"\n')
    done = place.rt("health")
    assert done.code == 1
    assert done.text.splitlines()[0] == "not ok"
    assert "adapter   broken: command_not_found: " in done.text
    assert "warning   other: command_not_found: " in done.text


# HC-1

INVALID = {
    "no TOML": "[adapters",
    "an unknown field": "[work]\nspeed = 3\n",
    "an unknown kind": '[adapters.a]\nkind = "oracle"\n',
    "a blank command": '[adapters.a]\nkind = "script"\ncommand = ""\n',
    "a model without an endpoint": '[adapters.a]\nkind = "ollama"\nmodel = "m"\n',
    "an endpoint without a model": '[adapters.a]\nkind = "ollama"\nendpoint = "http://127.0.0.1:1"\n',
    "no attempts": "[retry]\nattempts = 0\n",
    "no such default": 'default_adapter = "gone"\n',
    "a blank name": 'runtime_name = ""\n',
    "a profile of an adapter that is not there": '[profiles.p]\nprogram = "one_shot"\nadapter = "gone"\n',
    "a fallback that is not there": '[adapters.a]\ncommand = "x"\nfallback = "gone"\n',
    "what it extends is not there": 'extends = "gone.toml"\n',
    "no text": "\0\0",
}


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_hc1_an_invalid_file_is_an_issue_in_the_document(place: Place, text: str) -> None:
    place.config(text)
    code, found = health(place)
    assert code == 1
    assert len(found["configIssues"]) == 1
    assert "rt.toml" in found["configIssues"][0] or "gone.toml" in found["configIssues"][0]


def test_hc1_a_missing_file_is_an_issue_in_the_document(place: Place) -> None:
    code, found = health(place, "--config", "nowhere.toml")
    assert code == 1
    assert "nowhere.toml" in found["configIssues"][0]


def test_hc1_a_log_that_is_none_is_an_issue_in_the_document(place: Place) -> None:
    place.do("true")
    (place.state / "log.db").write_bytes(b"not a database" * 1000)
    code, found = health(place)
    assert code == 1
    assert not check(found, "log")["ok"]


def test_hc1_files_that_are_named_and_missing_are_issues(place: Place) -> None:
    place.config('[constitution]\nsoul = "gone.md"\n')
    code, found = health(place)
    assert (code, found["configIssues"]) == (1, [f"constitution.soul: {place.folder}/gone.md is not there"])


def test_hc1_variables_that_deliveries_need_are_issues(place: Place) -> None:
    place.config('[outbox.destinations.d]\nkind = "webhook"\nurl = "https://example.org/x"\ntoken_env = "HOOK_TOKEN"\n')
    code, found = health(place)
    assert (code, found["configIssues"]) == (1, ["outbox.destinations.d: the variable HOOK_TOKEN is not set"])
    assert place.rt("health", env={"HOOK_TOKEN": "hunter2hunter2"}).code == 0


# profiles

PROFILE = '[profiles.p]\nprogram = "one_shot"\n'


@pytest.mark.parametrize(
    ("text", "issues"),
    [
        ('role = "a worker"\nprompt = ["do it"]\n', []),
        ('prompt = ["do it"]\n', ["role is empty"]),
        ('role = " "\nprompt = ["do it"]\n', ["role is empty"]),
        ('role = "a worker"\n', ["prompt is empty: it has no directives"]),
        (
            'role = "a worker"\nprompt = ["do it"]\nskills = ["planning"]\n',
            ["skill 'planning' has no file in [skills]"],
        ),
    ],
)
def test_a_profile_that_lacks_what_a_prompt_needs_is_not_well(place: Place, text: str, issues: list[str]) -> None:
    place.config(PROFILE + text)
    code, found = health(place)
    assert found["profileChecks"] == [{"profileId": "p", "issues": issues}]
    assert code == bool(issues)


# adapters


def bad(fields: str) -> str:
    return f'default_adapter = "it"\n[adapters.it]\n{fields}'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('command = "./nowhere"\n', "command_not_found"),
        ('command = "./plain"\n', "not_executable"),
        ('command = "/bin/true"\nenv_file = "gone.env"\n', "/gone.env is not there"),
        ('kind = "claude-code"\ncommand = "./agent"\nsettings_file = "gone.json"\n', "/gone.json is not there"),
        ('kind = "claude-code"\ncommand = "./agent"\nautonomy = "trusted-vm"\n', "trusted-vm without a settings_file"),
        (
            'kind = "codex"\ncommand = "./agent"\nprovider_base_url = "http://127.0.0.1:1/v1"\nprobe = false\n',
            "a provider's address without a model",
        ),
        (
            'kind = "openai"\nendpoint = "http://127.0.0.1:1/v1"\nmodel = "m"\nkey_env = "A_KEY"\nprobe = false\n',
            "the variable A_KEY is not set",
        ),
    ],
)
def test_an_adapter_that_cannot_work_says_why(place: Place, text: str, why: str) -> None:
    place.config(bad(text))
    place.script("agent", "#!/bin/sh\necho agent 1\n")
    (place.folder / "plain").write_text("x")
    code, found = health(place)
    assert code == 1
    assert why in adapter(found, "it")["detail"]


@pytest.mark.parametrize(
    "text",
    [
        'command = "/bin/true"\nenv_file = "gone.env"\nenv_file_optional = true\n',
        'command = "/bin/true"\nenv_file = "there"\n',
        'kind = "claude-code"\ncommand = "./agent"\nautonomy = "trusted-vm"\nsettings_file = "there"\n',
        'kind = "codex"\ncommand = "./agent"\nprovider_base_url = "http://127.0.0.1:1"\nmodel = "m"\nprobe = false\n',
    ],
)
def test_an_adapter_that_has_what_it_needs_is_well(place: Place, text: str) -> None:
    place.config(bad(text))
    place.script("agent", "#!/bin/sh\necho agent 1\n")
    (place.folder / "there").write_text("")
    code, found = health(place)
    assert (code, adapter(found, "it")["ok"]) == (0, True), found


# HC-2


def test_hc2_a_broken_adapter_that_nothing_leads_to_is_a_warning(place: Place) -> None:
    place.config(BROKEN)
    code, found = health(place)
    assert (code, adapter(found, "broken")["ok"], adapter(found, "broken")["needed"]) == (0, False, False)


WAYS = {
    "the default": f'default_adapter = "broken"\n{BROKEN}',
    "a profile": f'{BROKEN}{PROFILE}adapter = "broken"\nrole = "r"\nprompt = ["do it"]\n',
    "the default profile": (
        f'default_profile = "p"\n{BROKEN}{PROFILE}adapter = "broken"\nrole = "r"\nprompt = ["do it"]\n'
    ),
    "the fallback of the default": f'default_adapter = "good"\n{GOOD}fallback = "broken"\n{BROKEN}',
    "the fallback of a fallback": (
        f'default_adapter = "good"\n{GOOD}fallback = "next"\n'
        f'[adapters.next]\ncommand = "/bin/true"\nfallback = "broken"\n{BROKEN}'
    ),
    "the fallback of a profile's": (
        f'{GOOD}fallback = "broken"\n{BROKEN}{PROFILE}adapter = "good"\nrole = "r"\nprompt = ["do it"]\n'
    ),
}


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_hc2_a_broken_adapter_that_is_reached_is_an_error(place: Place, text: str) -> None:
    place.config(text)
    code, found = health(place)
    assert (code, adapter(found, "broken")["ok"], adapter(found, "broken")["needed"]) == (1, False, True)


SCHEDULED = {
    "by its own name": (BROKEN, TASK),
    "as the fallback of the one that it names": (
        f'{GOOD}fallback = "broken"\n{BROKEN}',
        TASK | {"requested_adapter": "good"},
    ),
}


@pytest.mark.parametrize(("text", "task"), SCHEDULED.values(), ids=SCHEDULED)
def test_hc2_a_schedule_reaches_an_adapter(place: Place, text: str, task: dict[str, Any]) -> None:
    place.config(text)
    place.ok("schedule", "create", json.dumps(SCHEDULE | {"task": task}))
    code, found = health(place)
    assert (code, adapter(found, "broken")["needed"]) == (1, True)


def test_hc2_a_schedule_that_is_disabled_or_removed_reaches_nothing(place: Place) -> None:
    place.config(BROKEN)
    place.ok("schedule", "create", json.dumps(SCHEDULE))
    place.ok("schedule", "disable", "s")
    assert health(place)[0] == 0
    place.ok("schedule", "enable", "s")
    assert health(place)[0] == 1
    place.ok("schedule", "remove", "s")
    assert health(place)[0] == 0


# HC-3


@contextmanager
def silent() -> Iterator[str]:
    """A server that takes connections and never answers; its address."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_hc3_probes_have_a_timeout_and_run_side_by_side(place: Place) -> None:
    with silent() as base:
        model = f'kind = "ollama"\nendpoint = "{base}"\nmodel = "m"\nprivate = true\n'
        place.config('default_adapter = "m0"\n' + "".join(f"[adapters.m{each}]\n{model}" for each in range(6)))
        began_s = time.monotonic()
        code, found = health(place)
        took_s = time.monotonic() - began_s
    assert code == 1
    assert [each["ok"] for each in found["adapterChecks"]] == [False] * 6
    assert 2.4 < took_s < 8.0  # one after the other would take 15 s


def test_a_model_that_its_server_does_not_list_is_named(place: Place) -> None:
    with serving() as models:
        models.listed = Answer(b'{"models": [{"name": "other"}]}')
        text = f'kind = "ollama"\nendpoint = "{models.base}"\nmodel = "m"\nprivate = true\n'
        place.config(f"[adapters.it]\n{text}")
        found = health(place)[1]
    assert "'m' is not listed" in adapter(found, "it")["detail"]


def test_hc3_a_log_that_is_shorter_than_its_head_record_is_not_well(place: Place) -> None:
    place.do("true")
    record = json.loads((place.state / "head.json").read_text())
    (place.state / "head.json").write_text(json.dumps(record | {"position": record["position"] + 3}))
    code, found = health(place)
    assert (code, check(found, "log")["ok"]) == (1, False)
    assert "its head record says" in check(found, "log")["detail"]


def test_hc3_a_log_that_is_another_one_than_its_head_record_says_is_not_well(place: Place) -> None:
    place.do("true")
    record = json.loads((place.state / "head.json").read_text())
    (place.state / "head.json").write_text(json.dumps(record | {"hash": "00" * 32}))
    assert health(place)[0] == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"position": "many"}'])
def test_hc3_a_head_record_that_does_not_read_is_not_well(place: Place, content: str) -> None:
    place.do("true")
    (place.state / "head.json").write_text(content)
    code, found = health(place)
    assert (code, check(found, "log")["ok"]) == (1, False)


def test_hc3_a_folder_that_others_may_enter_is_a_warning(place: Place) -> None:
    place.do("true")
    place.state.chmod(0o755)
    code, found = health(place)
    assert (code, check(found, "modes")["ok"], check(found, "modes")["warning"]) == (0, False, True)
    place.state.chmod(0o700)
    assert check(health(place)[1], "modes")["ok"]


def test_hc3_a_pause_and_parked_things_are_told_as_warnings(place: Place) -> None:
    place.do("true")
    place.ok("pause")
    code, found = health(place)
    assert (code, check(found, "paused")["ok"]) == (0, False)


def test_hc3_a_projection_that_is_behind_is_brought_up_to_date_and_told(place: Place) -> None:
    place.do("true")
    place.ok("status")
    place.do("true")
    assert check(health(place)[1], "projection")["ok"]


def _checked(place: Place) -> dict[str, Any]:
    """What is checked, in this process, where a test has another clock or disk."""
    from commands.health import checked
    from commands.home import Home
    from commands.wiring import Runtime

    class Unset(SystemClock):
        def now_us(self) -> int:
            return 1_000_000

    runtime = Runtime(Home(place.state, None, place.folder), "test")
    runtime.clock = Unset()
    found = checked(runtime)
    runtime.close()
    return found


def test_hc3_a_clock_that_was_never_set_is_not_well(place: Place) -> None:
    place.do("true")
    found = _checked(place)
    assert (found["ok"], check(found, "clock")["ok"]) == (False, False)


def test_hc3_a_disk_that_is_nearly_full_is_not_well(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.do("true")
    usage = shutil.disk_usage(place.folder)._replace(free=100 << 20)
    monkeypatch.setattr("commands.health.shutil.disk_usage", lambda _path: usage)
    found = _checked(place)
    assert not found["ok"]
    assert check(found, "disk") == {"what": "disk", "ok": False, "warning": False, "detail": "100 MiB free"}


def test_hc3_a_log_of_a_newer_rt_is_not_well(place: Place) -> None:
    place.do("true")
    with closing(sqlite3.connect(place.state / "log.db")) as database:
        database.execute("PRAGMA user_version = 99")
    code, found = health(place)
    assert (code, check(found, "log")["ok"]) == (1, False)
