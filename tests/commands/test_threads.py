"""Threads: what was said is handed over, in order and bounded; who answers stays, until somebody says otherwise."""

import json

import pytest

from tests.commands.asking import asked, decided, last
from tests.commands.place import Place, finished, interrupt, until

ROUTES = '[routing]\ndefault = "one"\n[[routing.rules]]\nphrases = ["second"]\nprofile = "two"\n'
TRIM = '[profiles.short]\ncontroller = "it"\nmiddleware = [{ kind = "trim-history", messages = 2 }]\n'
SMALL = '[profiles.small]\ncontroller = "it"\n[profiles.small.limits]\nhistory_bytes = 20\n'


@pytest.fixture
def place(place: Place) -> Place:
    """A folder in which a program answers."""
    return decided(place, ROUTES)


def history(place: Place) -> list[tuple[str, str]]:
    """What the program was handed over last."""
    return [(each["role"], each["content"]) for each in asked(place)["history"]]


def chosen(place: Place) -> tuple[str, str, str]:
    """The profile of the latest task, by what it was chosen, and why."""
    routed = last(place, "task.queued")["routing"]
    return routed["selected"], routed["by"], routed.get("reason", "")


def test_what_was_said_before_is_handed_over(place: Place) -> None:
    assert place.json("reply", "a", "hello", "there")["summary"] == "re: hello there"
    place.ok("reply", "b", "elsewhere")
    place.ok("reply", "a", "more")
    assert history(place) == [("user", "hello there"), ("assistant", "re: hello there")]
    assert [row["thread"] for row in place.rows("thread", "list")] == ["b", "a"]
    rows = place.rows("thread", "show", "a")
    assert [row["content"] for row in rows] == ["hello there", "re: hello there", "more", "re: more"]
    assert place.rt("replay", "--all").code == 0


def test_the_words_about_a_failed_run_are_shown_and_are_no_part_of_the_history(place: Place) -> None:
    assert place.rt("reply", "a", "fail").code == 1
    place.ok("reply", "a", "next")
    assert history(place) == [("user", "fail")]
    assert [(row["role"], row["synthetic"]) for row in place.rows("thread", "show", "a")] == [
        ("user", False), ("assistant", True), ("user", False), ("assistant", False),
    ]  # fmt: skip
    assert "not part of the history" in place.ok("thread", "show", "a").text


def test_an_empty_answer_is_no_message(place: Place) -> None:
    place.ok("reply", "a", "nothing")
    place.ok("reply", "a", "next")
    assert history(place) == [("user", "nothing")]
    assert [row["role"] for row in place.rows("thread", "show", "a")] == ["user", "user", "assistant"]
    assert place.rows("thread", "list")[0]["messages"] == 3


def test_the_history_is_bounded_and_says_how_much_is_left_out(place: Place) -> None:
    decided(place, ROUTES + TRIM + SMALL)
    for text in ("1", "2", "3"):
        place.ok("reply", "a", text)
    place.ok("reply", "a", "4", "--agent", "short")
    assert history(place) == [("system", "[4 earlier messages are left out]"), ("user", "3"), ("assistant", "re: 3")]
    place.ok("reply", "a", "5", "--agent", "small")
    assert history(place)[0] == ("system", "[2 earlier messages are left out]")
    assert [content for _, content in history(place)[1:]] == ["2", "re: 2", "3", "re: 3", "4", "re: 4"]
    assert place.rt("replay", "--all").code == 0


def test_two_replies_at_once_are_answered_in_the_order_in_which_they_came(place: Place) -> None:
    hold = place.folder / "hold"
    hold.touch()
    with place.started("reply", "a", "hold one") as one:
        until(lambda: "task.claimed.v1" in place.topics())
        with place.started("reply", "a", "hold two") as two:
            until(lambda: place.topics().count("thread.message.v1") == 2)
            assert place.rt("thread", "restart", "a", "--json").error["code"] == "thread.busy"
            assert place.rt("thread", "restart", "a", "--into", "b", "--json").error["code"] == "thread.busy"
            assert place.rt("thread", "delete", "a", "--json").error["code"] == "thread.busy"
            place.ok("reply", "b", "meanwhile")
            assert place.topics().count("task.claimed.v1") == 2
            hold.unlink()
            assert [finished(one).code, finished(two).code] == [0, 0]
    assert history(place) == [("user", "hold one"), ("assistant", "re: hold one")]


def test_messages_that_are_taken_in_for_others_to_answer_are_answered_one_after_the_other(place: Place) -> None:
    for text in ("1", "2", "3"):
        task = {"kind": "k", "source": "s", "payload": {"goal": text}, "requested_profile": "one", "thread": "a"}
        place.ok("intake", json.dumps(task))
    place.ok("work", "--until-idle", "--concurrency", "4")
    spoken = [row["content"] for row in place.rows("thread", "show", "a")]
    assert spoken == ["1", "re: 1", "2", "re: 2", "3", "re: 3"]
    topics = [topic for topic in place.topics() if topic in {"task.claimed.v1", "run.finished.v1"}]
    assert topics == ["task.claimed.v1", "run.finished.v1"] * 3
    assert history(place) == [("user", "1"), ("assistant", "re: 1"), ("user", "2"), ("assistant", "re: 2")]


def test_a_reply_that_is_interrupted_while_it_waits_is_canceled_alone(place: Place) -> None:
    assert place.rt("reply", "a", "question").code == 8
    with place.started("reply", "a", "later") as later:
        until(lambda: place.topics().count("thread.message.v1") == 2)
        interrupt(later)
        assert finished(later).code == 130
    assert place.task("@last")["status"] == "operator_canceled"
    place.ok("approve", "@waiting", "--note", "yes")
    assert place.json("run-once")["status"] == "completed"


def test_a_thread_that_waits_for_a_person_answers_nothing_else_meanwhile(place: Place) -> None:
    assert place.rt("reply", "a", "question").code == 8
    task = {"kind": "k", "source": "s", "payload": {"goal": "next"}, "requested_profile": "one", "thread": "a"}
    place.ok("intake", json.dumps(task))
    assert place.json("run-once")["status"] == "idle"
    place.ok("approve", "@waiting", "--note", "yes")
    place.ok("work", "--until-idle")
    assert [row["content"] for row in place.rows("thread", "show", "a")] == ["question", "re: question", "next",
                                                                             "re: next"]  # fmt: skip


def test_a_restarted_thread_begins_anew_and_keeps_its_past_in_the_log(place: Place) -> None:
    place.ok("reply", "a", "old")
    before = place.head()
    place.ok("thread", "restart", "a")
    assert place.head() == before + 1
    query = "SELECT max(position) FROM messages"
    assert place.json("sql", query)["rows"] == [[last(place, "thread.restarted")["after"]]]
    assert place.rows("thread", "show", "a") == []
    place.ok("reply", "a", "new")
    assert history(place) == []
    assert [row["content"] for row in place.rows("thread", "show", "a")] == ["new", "re: new"]
    assert place.rt("replay", "--all").code == 0


def test_a_restart_into_another_thread_points_back_and_clears_that_one(place: Place) -> None:
    place.ok("reply", "a", "old")
    place.ok("reply", "b", "older")
    place.ok("thread", "restart", "a", "--into", "b")
    assert last(place, "thread.restarted")["from_thread"] == "a"
    assert place.rows("thread", "show", "b") == []
    assert len(place.rows("thread", "show", "a")) == 2
    for wrong in ("bad name", "x\x1b[31m", "-x", "x" * 65):
        assert place.rt("thread", "restart", "a", f"--into={wrong}").code == 2
    assert place.topics().count("thread.restarted.v1") == 1


def test_a_deleted_thread_is_in_no_list_and_no_history(place: Place) -> None:
    place.ok("reply", "a", "old")
    assert place.rt("thread", "delete", "a", b"--reason=\xff").code == 2
    place.ok("thread", "delete", "a", "--reason", "enough")
    assert place.rows("thread", "list") == []
    for verb in (("show", "a"), ("delete", "a"), ("restart", "a")):
        assert place.rt("thread", *verb, "--json").error["code"] == "id.not_found"
    place.ok("reply", "a", "new")
    assert history(place) == []
    assert [row["content"] for row in place.rows("thread", "show", "a")] == ["new", "re: new"]
    assert place.rt("replay", "--all").code == 0
    assert place.rt("log", "verify").code == 0


def test_a_busy_thread_is_deleted_by_force(place: Place) -> None:
    assert place.rt("reply", "a", "question").code == 8
    place.ok("thread", "delete", "a", "--force")
    assert place.rows("thread", "list") == []


def test_a_thread_stays_with_its_profile_until_another_is_named(place: Place) -> None:
    place.ok("reply", "a", "the second one")
    assert chosen(place) == ("two", "rule", "phrase 'second'")
    place.ok("reply", "a", "and now")
    assert chosen(place) == ("two", "thread", "sticky")
    place.ok("reply", "a", "you", "--agent", "one")
    assert chosen(place) == ("one", "explicit", "handed over from two")
    assert history(place)[0] == ("user", "the second one")
    place.ok("reply", "a", "second to none", "--agent", "auto")
    assert chosen(place) == ("one", "thread", "sticky")
    place.ok("reply", "b", "hello")
    assert chosen(place) == ("one", "default", "no rule matches")


def test_where_the_profile_of_a_thread_is_gone_the_rules_decide(place: Place) -> None:
    place.ok("reply", "a", "the second one")
    text = (place.folder / "rt.toml").read_text().replace("profiles.two]", "profiles.three]")
    place.config(text.replace('profile = "two"', 'profile = "three"'))
    place.ok("reply", "a", "hello")
    assert chosen(place) == ("one", "default", "no rule matches")


@pytest.mark.parametrize(
    ("argv", "code", "error"),
    [
        (("--agent", "nobody", "hello"), 3, "profile.unknown"),
        (("--controller", "nobody", "hello"), 3, "controller.unknown"),
        (("--agent", "watch", "hello"), 2, "rt.invalid"),
        (("",), 2, "rt.invalid"),
        ((b"\xff",), 2, "rt.invalid"),
    ],
)
def test_a_reply_that_nobody_can_serve_stores_nothing(
    place: Place, argv: tuple[str | bytes, ...], code: int, error: str
) -> None:
    done = place.rt("reply", "--json", "a", *argv)
    assert (done.code, done.error["code"]) == (code, error)
    assert place.head() == 0


@pytest.mark.parametrize("name", ["bad name", "-a", "a\x1b[31m", "ü", "a" * 65, "a/b"])
def test_what_is_no_name_of_a_thread_is_refused(place: Place, name: str) -> None:
    assert place.rt("reply", "--json", "--", name, "hello").code == 2
    assert place.head() == 0
