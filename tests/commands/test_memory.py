"""Memories: kept as events, given to runs as data, bounded, and frozen with the run that got them."""

import pytest

from tests.commands.asking import asked, decided
from tests.commands.place import Place


@pytest.fixture
def place(place: Place) -> Place:
    """A folder in which a program answers, and one message was said."""
    decided(place, '[secrets]\nenv = ["CANARY"]\n[routing]\ndefault = "one"\n')
    place.ok("reply", "talk", "hello")
    return place


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A home that remembers one thing, for wishes that change nothing."""
    made = decided(Place(tmp_path_factory.mktemp("known")), '[secrets]\nenv = ["CANARY"]\n')
    remember(made, "known", "x")
    return made


def remember(place: Place, key: str, text: str, scope: str = "workspace", *more: str) -> None:
    """Remember something."""
    place.ok("memory", "remember", "--scope", scope, *more, key, text)


def test_a_run_is_given_what_is_remembered_for_it_and_nothing_else(place: Place) -> None:
    for scope in ("workspace", "agent:one", "agent:two", "thread:talk", "user"):
        remember(place, "of " + scope, "text", scope)
    place.ok("reply", "talk", "now")
    assert asked(place)["memory"] == [
        f"of {scope}: text" for scope in ("workspace", "agent:one", "thread:talk", "user")
    ]
    place.ok("reply", "other", "now")
    assert asked(place)["memory"] == [f"of {scope}: text" for scope in ("workspace", "agent:one", "user")]
    place.ok("reply", "other", "now", "--agent", "two")
    assert asked(place)["memory"] == []


def test_what_a_run_was_given_is_frozen_and_replayed(place: Place) -> None:
    remember(place, "port", "8080")
    place.ok("reply", "talk", "now")
    place.ok("memory", "update", "port", "9090")
    place.ok("reply", "talk", "again")
    assert asked(place)["memory"] == ["port: 9090"]
    place.ok("memory", "forget", "port")
    place.ok("reply", "talk", "and again")
    assert asked(place)["memory"] == []
    assert place.rt("replay", "--all").code == 0


def test_no_more_than_the_latest_twenty_are_given(place: Place) -> None:
    for number in range(22):
        remember(place, f"k{number}", "x")
    place.ok("memory", "update", "k0", "newer")
    place.ok("reply", "talk", "now")
    given = asked(place)["memory"]
    assert (len(given), given[-1], given[0]) == (20, "k0: newer", "k3: x")


def test_what_is_remembered_is_listed_recalled_replaced_and_forgotten(place: Place) -> None:
    remember(place, "Port", "The server listens on 8080")
    remember(place, "host", "example.org", "user")
    assert [row["key"] for row in place.rows("memory", "list")] == ["Port", "host"]
    assert [row["key"] for row in place.rows("memory", "list", "--scope", "user")] == ["host"]
    assert [row["key"] for row in place.rows("memory", "recall", "SERVER", "8080")] == ["Port"]
    assert place.rows("memory", "recall", "server", "org") == []
    place.ok("memory", "update", "Port", "9090")
    assert [row["text"] for row in place.rows("memory", "recall", "port")] == ["9090"]
    place.ok("memory", "forget", "Port", "--reason", "old")
    assert [row["key"] for row in place.rows("memory", "list")] == ["host"]
    remember(place, "Port", "anew")


def test_what_is_remembered_for_a_while_is_forgotten_by_itself(place: Place) -> None:
    remember(place, "soon", "x", "workspace", "--for", "0.01s")
    remember(place, "later", "x", "workspace", "--for", "7d")
    (row,) = place.rows("memory", "list")
    assert (row["key"], bool(row["expires_at"])) == ("later", True)
    place.ok("reply", "talk", "now")
    assert asked(place)["memory"] == ["later: x"]
    remember(place, "soon", "again")


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("remember", "known", "x"), 5),
        (("update", "unknown", "x"), 3),
        (("forget", "unknown"), 3),
        (("forget", "known", "--scope", "user"), 3),
        (("forget", "known", b"--reason=\xff"), 2),
        (("remember", "", "x"), 2),
        (("remember", "k" * 201, "x"), 2),
        (("remember", "k", " "), 2),
        (("remember", "k", "x" * 4001), 2),
        (("remember", b"\xff", "x"), 2),
        (("remember", "k", b"\xff"), 2),
        (("remember", "k", "x", "--scope", "planet"), 2),
        (("remember", "k", "x", "--scope", "agent"), 2),
        (("remember", "k", "x", "--scope", "user:me"), 2),
        (("remember", "k", "x", "--scope", "agent:nobody"), 3),
        (("remember", "k", "x", "--scope", "thread:nowhere"), 3),
        (("remember", "k", "x", "--for", "soon"), 2),
        (("remember", "k", "x", "--for", "999999999d"), 2),
        (("remember", "k", "it is canary-7c1f-value"), 2),
        (("remember", "canary-7c1f-value", "x"), 2),
    ],
)
def test_a_wrong_wish_changes_nothing(known: Place, argv: tuple[str | bytes, ...], code: int) -> None:
    before = known.head()
    done = known.rt("memory", *argv, env={"CANARY": "canary-7c1f-value"})
    assert (done.code, known.head()) == (code, before), done


def test_control_characters_do_nothing_to_the_terminal(place: Place) -> None:
    remember(place, "k\x1b[31m", "a\x1b[2Kb\u202ec")
    assert not {"\x1b", "\u202e"} & set(place.ok("memory", "list").text)


@pytest.mark.parametrize(
    ("argv", "code", "hint"),
    [
        (("forget", "unknown"), "memory.not_found", "rt memory list"),
        (("update", "unknown", "x"), "memory.not_found", "rt memory list"),
        (("remember", "known", "x"), "memory.exists", "rt memory update known TEXT"),
    ],
)
def test_a_key_that_is_not_there_or_there_already_has_its_own_error(
    known: Place, argv: tuple[str, ...], code: str, hint: str
) -> None:
    error = known.rt("memory", *argv, "--json").error
    assert (error["code"], error["hint"]) == (code, hint)
