"""`rt adapter list` and `rt adapter check`: how adapters are now, and what would be used instead of one."""

import pytest

from tests.commands.place import Place

CONFIG = """
[adapters.good]
command = "/bin/true"
[adapters.broken]
command = "./nowhere"
fallback = "lost"
[adapters.lost]
command = "./nowhere"
fallback = "good"
[adapters.alone]
command = "./nowhere"
[adapters.vm]
kind = "claude-code"
command = "./agent"
autonomy = "trusted-vm"
"""
NAMES = ["command", "agent", "good", "broken", "lost", "alone", "vm"]


@pytest.fixture
def home(place: Place) -> Place:
    place.script("agent", "#!/bin/sh\necho agent 1\n")
    return place.config(CONFIG)


def default(home: Place, name: str) -> Place:
    return home.config(f'default_adapter = "{name}"\n{CONFIG}')


def test_all_adapters_are_listed_with_what_is_broken_and_why(home: Place) -> None:
    found = home.json("adapter", "list")
    assert (found["defaultAdapter"], found["defaultOk"]) == ("command", True)
    assert [each["id"] for each in found["adapters"]] == NAMES
    told = {each["id"]: each for each in found["adapters"]}
    assert [each["id"] for each in found["adapters"] if each["isDefault"]] == ["command"]
    assert (told["good"]["ok"], told["good"]["broken_reason"], told["good"]["mode"]) == (True, None, "script")
    broken = told["broken"]
    assert (broken["ok"], broken["broken_reason"]) == (False, "command_not_found")
    assert (broken["fallback_adapter"], told["good"]["fallback_adapter"]) == ("lost", None)
    assert (told["vm"]["autonomy"], told["vm"]["mode"]) == ("trusted-vm", "claude-code")
    assert "runs without restraints" in told["vm"]["detail"]


def test_the_list_fails_where_the_default_adapter_cannot_be_used_and_only_there(home: Place) -> None:
    assert default(home, "good").rt("adapter", "list").code == 0
    done = default(home, "broken").rt("adapter", "list", "--json")
    assert (done.code, done.document["defaultOk"], done.document["defaultAdapter"]) == (1, False, "broken")
    text = home.rt("adapter", "list")
    assert text.code == 1
    assert "broken (default)" in text.text


def test_nothing_is_looked_at_where_nobody_wants_it(home: Place) -> None:
    found = default(home, "broken").json("adapter", "list", "--no-probe")
    assert all(each["ok"] for each in found["adapters"])
    assert "not looked at" in found["adapters"][2]["detail"]


@pytest.mark.parametrize(("name", "code"), [("good", 0), ("broken", 1), ("alone", 1), ("command", 0), ("agent", 0)])
def test_one_adapter_is_looked_at(home: Place, name: str, code: int) -> None:
    done = home.rt("adapter", "check", name, "--json")
    assert (done.code, done.document["id"], done.document["ok"]) == (code, name, code == 0)
    assert home.rt("adapter", "check", name).text.startswith("ok: " if code == 0 else "command_not_found: ")


def test_without_a_name_it_is_the_default(home: Place) -> None:
    assert default(home, "alone").rt("adapter", "check", "--json").document["id"] == "alone"


def test_an_adapter_that_is_not_there_is_refused_with_those_that_are(home: Place) -> None:
    done = home.rt("adapter", "check", "codex", "--json")
    assert (done.code, done.error["code"]) == (2, "adapter.unknown")
    assert "good" in done.errors


def test_the_chain_tells_what_would_be_used(home: Place) -> None:
    found = home.json("adapter", "check", "broken", "--chain")
    assert (found["wanted"], found["selected"], found["ok"]) == ("broken", "good", True)
    assert found["chain"] == [
        {"adapter": "broken", "ok": False, "reason": "command_not_found"},
        {"adapter": "lost", "ok": False, "reason": "command_not_found"},
        {"adapter": "good", "ok": True, "reason": None},
    ]
    assert home.ok("adapter", "check", "broken", "--chain").text.splitlines()[-1] == "would use good"


def test_fb1_a_chain_without_a_healthy_one_fails_and_says_that_the_task_would_wait(home: Place) -> None:
    done = home.rt("adapter", "check", "alone", "--chain", "--json")
    assert (done.code, done.document["selected"], done.document["ok"]) == (1, None, False)
    assert "the task would wait" in home.rt("adapter", "check", "alone", "--chain").text


def test_looking_makes_nothing(home: Place) -> None:
    before = home.files()
    home.rt("adapter", "list")
    home.rt("adapter", "check", "broken", "--chain")
    assert home.files() == before
