"""An answer under a key can be given again: the same one is known, another one is a conflict (AP-4)."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.commands.asking import ECHO, RULES, begin, last, printed, started
from tests.commands.place import Place, finished, interrupt, until

OTHER = '{"command":"echo","args":["something else"]}'
KEYED = ("--key", "k1")


@pytest.fixture(scope="module")
def _asked(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("asked")).config(RULES)
    second = {"command": "echo", "args": ["second"]}
    assert begin(made, ECHO, second)["status"] == "waiting_for_approval"
    return made


@pytest.fixture
def waiting(_asked: Place, tmp_path: Path) -> Place:
    """A copy of a home with one run, of which two calls of `echo` wait."""
    shutil.copytree(_asked.folder, tmp_path / "home", dirs_exist_ok=True)
    return Place(tmp_path / "home")


def known(place: Place, *argv: str) -> None:
    """The same again is known: nothing is appended."""
    before = place.head()
    done = place.ok(*argv)
    assert done.text.startswith("known: call 1 of run")
    assert place.json(*argv)["deduplicated"] is True
    assert place.head() == before


def conflicts(place: Place, *argv: str) -> str:
    """Another answer under the key is refused; what the error says."""
    before = place.head()
    done = place.rt(*argv, "--json")
    assert (done.code, done.error["code"]) == (5, "approval.key_conflict"), done
    assert place.head() == before
    return str(done.error["message"])


def replays(place: Place) -> None:
    assert place.rt("replay", "--all").code == 0


APPROVE = ("approve", "@last", "1", *KEYED)
REJECT = ("reject", "@last", "1", "--reason", "no", *KEYED)
EDIT = (*APPROVE, "--edit", OTHER)
ANSWERS = {
    "approve": APPROVE,
    "approve with a note": (*APPROVE, "--note", "fine"),
    "approve for a while": (*APPROVE, "--always-for", "1h"),
    "approve other arguments": EDIT,
    "approve yet other arguments": (*APPROVE, "--edit", '{"command":"echo","args":["third"]}'),
    "reject": REJECT,
    "reject for another reason": ("reject", "@last", "1", "--reason", "never", *KEYED),
}


@pytest.mark.parametrize("how", ANSWERS)
def test_the_same_answer_again_is_known_and_every_other_one_under_its_key_is_a_conflict(
    waiting: Place, how: str
) -> None:
    waiting.ok(*ANSWERS[how])
    known(waiting, *ANSWERS[how])
    for other, argv in ANSWERS.items():
        if other != how:
            message = conflicts(waiting, *argv)
            assert "'k1'" in message
            assert f"at position {last_answer(waiting)}" in message
    waiting.ok("run-once")
    known(waiting, *ANSWERS[how])
    replays(waiting)


def last_answer(place: Place) -> int:
    """Where the latest answer of a person is."""
    topics = place.topics()
    return max(at for at, topic in enumerate(topics, 1) if topic.removesuffix(".v1") in {
        "run.call_approved", "run.call_edited", "run.call_rejected", "run.call_settled",
    })  # fmt: skip


def test_a_known_answer_is_told_as_the_first_one_was(waiting: Place) -> None:
    first = waiting.json(*EDIT)
    again = waiting.json(*EDIT)
    assert again | {"deduplicated": None, "position": 0} == first | {"deduplicated": None, "position": 0}
    assert (again["decision"], again["position"]) == ("edited", last_answer(waiting))


def test_an_edit_is_the_same_however_it_is_written(waiting: Place) -> None:
    waiting.ok("approve", "@last", "1", *KEYED, "--edit", '{"command":"true"}')
    known(waiting, "approve", "@last", "1", *KEYED, "--edit", '{ "args": [], "command": "true" }')
    conflicts(waiting, "approve", "@last", "1", *KEYED, "--edit", '{"command":"rm x"}')
    conflicts(waiting, "approve", "@last", "1", *KEYED, "--edit", "[]")


def test_a_key_is_for_one_call(waiting: Place) -> None:
    """Who says yes to another call under it is not told that it was allowed."""
    waiting.ok(*APPROVE)
    conflicts(waiting, "approve", "@last", "2", *KEYED)
    waiting.ok("approve", "@last", "2", "--key", "k2")
    assert waiting.topics().count("run.call_approved.v1") == 2
    known(waiting, "approve", "@last", *KEYED)


def test_a_key_binds_to_what_was_shown(waiting: Place) -> None:
    digest = str(waiting.json("approval", "show", "@last", "1")["digest"])
    waiting.ok(*APPROVE, "--digest", digest)
    known(waiting, *APPROVE, "--digest", digest)
    known(waiting, *APPROVE, "--digest", digest[:12])
    conflicts(waiting, *APPROVE, "--digest", "0" * 64)


def test_without_a_key_or_under_another_one_the_first_answer_wins(waiting: Place) -> None:
    waiting.ok(*APPROVE)
    for more in ((), ("--key", "k2"), ("--key", "")):
        done = waiting.rt("approve", "@last", "1", *more, "--json")
        assert (done.code, done.error["code"]) == (5, "approval.resolved")


def test_a_refused_answer_takes_no_key(waiting: Place) -> None:
    assert waiting.rt("reject", "@last", "1", "--reason", " ", *KEYED).code == 2
    assert waiting.rt(*APPROVE, "--digest", "0" * 64).code == 5
    assert waiting.rt(*APPROVE, "--edit", "[]").code == 2
    waiting.ok(*APPROVE)


@pytest.mark.parametrize("key", [b"\xff", b"x" * 501])
@pytest.mark.parametrize("verb", [("approve",), ("reject", "--reason", "no"), ("settle", "--happened")])
def test_what_can_be_no_key_is_refused(waiting: Place, verb: tuple[str, ...], key: bytes) -> None:
    before = waiting.head()
    done = waiting.rt(*verb, "--json", "@last", "1", b"--key=" + key)
    assert (done.code, done.error["code"]) == (2, "rt.invalid")
    assert "--key" in done.error["message"]
    assert waiting.head() == before


def test_a_secret_is_no_part_of_a_key(waiting: Place) -> None:
    secret = {"CANARY": "canary-3b7e-value"}
    waiting.config(RULES + '[secrets]\nenv = ["CANARY"]\n')
    for _ in range(2):
        assert waiting.rt("approve", "@last", "1", "--key", "of canary-3b7e-value", env=secret).code == 0
    assert last(waiting, "run.call_approved")["key"] == "of [redacted]"


@pytest.mark.parametrize("verb", [APPROVE, REJECT, EDIT])
def test_the_same_answer_from_two_at_once_is_given_once_and_both_are_told_so(
    waiting: Place, verb: tuple[str, ...]
) -> None:
    for number in range(3):
        keyed = [f"k{number}" if each == "k1" else each for each in verb]
        home = Place(waiting.folder.parent / f"copy{number}")
        shutil.copytree(waiting.folder, home.folder)
        with home.started(*keyed) as one, home.started(*keyed) as two:
            both = [finished(one), finished(two)]
        assert [done.code for done in both] == [0, 0], both
        answered = [topic for topic in home.topics() if topic.startswith("run.call_")]
        assert len(answered) == 1


def test_a_key_is_the_runs_own(waiting: Place) -> None:
    waiting.ok(*APPROVE)
    waiting.ok("work", "--until-idle")
    begin(waiting)
    assert "deduplicated" not in waiting.json("approve", "@last", *KEYED)
    replays(waiting)


def test_a_question_is_answered_once_under_its_key(place: Place) -> None:
    place.config(RULES)
    begin(place, {"tool": "ask-person", "input": {"question": "which port?"}})
    answer = ("approve", "@last", *KEYED, "--note", "8080")
    place.ok(*answer)
    known(place, *answer)
    conflicts(place, "approve", "@last", *KEYED, "--note", "9090")
    assert place.json("run-once")["status"] == "completed"
    known(place, *answer)


def test_what_happened_is_said_once_under_its_key_and_not_otherwise(place: Place) -> None:
    """The opposite under the same key would else pass for known."""
    place.config(RULES.replace('"ask" }', '"allow" }'))
    with place.started("do", "--agent", "asker", "--", "sh", "-c", "echo begun; sleep 60") as it:
        until(lambda: started(place) and "output.appended.v1" in place.topics())
        interrupt(it, signal.SIGKILL)
        it.communicate()
    place.ok("run-once")
    assert place.task("@last")["cause"] == "needs_reconcile"
    settle = ("settle", "@last", "--happened", "--note", "looked", *KEYED)
    first = place.json(*settle)
    again = place.json(*settle)
    assert again["deduplicated"] is True
    assert (again["schema"], again["happened"], again["call"]) == (first["schema"], True, first["call"])
    known(place, *settle)
    conflicts(place, "settle", "@last", "--did-not-happen", "--note", "looked", *KEYED)
    conflicts(place, "settle", "@last", "--happened", "--note", "guessed", *KEYED)
    conflicts(place, "approve", "@last", *KEYED)
    assert place.rt("settle", "@last", "--happened", "--note", "looked").code == 3
    place.ok("run-once")
    known(place, *settle)
    assert printed(place) == "begun\n"
    assert place.topics().count("run.call_settled.v1") == 1
    replays(place)


def test_the_key_is_part_of_what_is_recorded(waiting: Place) -> None:
    waiting.ok(*APPROVE)
    waiting.ok("reject", "@last", "2", "--reason", "no")
    assert last(waiting, "run.call_approved")["key"] == "k1"
    assert last(waiting, "run.call_rejected").get("key", "") == ""
    assert json.loads(waiting.ok("run", "log", "@last", "--json").out.splitlines()[-1])["schema"] == "rt.end.v1"
