"""Standing grants: a yes for later calls too, of one tool, with such arguments, for so long, and revocable."""

import pytest

from tests.commands.asking import ECHO, RULES, begin, last, started
from tests.commands.place import Place, until

SECOND = {"command": "echo", "args": ["another"]}


@pytest.fixture
def asked(place: Place) -> Place:
    """A home in which one call of `echo` waits for a yes."""
    begin(place.config(RULES))
    return place


def granted(place: Place, *more: str) -> str:
    """Say yes with a grant, let the run end; the grant's id."""
    place.ok("approve", "@last", "--always-for", "8h", *more)
    assert place.json("run-once")["status"] == "completed"
    return str(last(place, "policy.grant_made")["grant"])


def test_without_more_a_grant_covers_exactly_these_arguments_of_this_profile(asked: Place) -> None:
    grant = granted(asked)
    (listed,) = asked.rows("grant", "list")
    assert (listed["id"], listed["tool"], listed["profile"]) == (grant, "local-process", "asker")
    assert begin(asked, ECHO)["status"] == "completed"
    assert asked.topics().count("run.approval_requested.v1") == 1
    assert begin(asked, SECOND)["status"] == "waiting_for_approval"
    assert asked.rt("replay", "--all").code == 0


@pytest.mark.parametrize("words", [["a*"], ["[ab]"], ["what?"], ["[!x]"]])
def test_what_looks_like_a_pattern_in_arguments_covers_itself_alone(place: Place, words: list[str]) -> None:
    place.config(RULES)
    begin(place, {"command": "echo", "args": words})
    granted(place)
    assert begin(place, {"command": "echo", "args": words})["status"] == "completed"
    for other in (["ab"], ["a"], ["whats"], ["b"]):
        assert begin(place, {"command": "echo", "args": other})["status"] == "waiting_for_approval"


def test_a_match_says_what_else_is_covered(asked: Place) -> None:
    granted(asked, "--match", "command=echo", "--match", "args.0=it *")
    assert begin(asked, {"command": "echo", "args": ["it goes on", "and on"]})["status"] == "completed"
    for other in ({"command": "echo", "args": ["that"]}, {"command": "true", "args": ["it is"]}, {"command": "echo"}):
        assert begin(asked, other)["status"] == "waiting_for_approval"


def test_a_grant_covers_no_other_profile(place: Place) -> None:
    second = RULES[RULES.index("[profiles.asker]") : RULES.index("[work]")].replace("profiles.asker", "profiles.other")
    place.config(RULES + second)
    begin(place)
    granted(place)
    assert begin(place, ECHO, profile="other")["status"] == "waiting_for_approval"


def test_a_revoked_grant_holds_no_longer(asked: Place) -> None:
    grant = granted(asked)
    for wrong in ("", grant[:3], "ffffffff"):
        assert asked.rt("grant", "revoke", wrong, "--json").error["code"] == "id.not_found"
    done = asked.json("grant", "revoke", grant[:6], "--reason", "enough")
    assert (done["grant"], asked.rows("grant", "list")) == (grant, [])
    assert begin(asked, ECHO)["status"] == "waiting_for_approval"
    assert asked.rt("grant", "revoke", grant, "--json").error["code"] == "id.not_found"


def test_a_grant_that_is_revoked_while_a_run_waits_does_not_help_it(asked: Place) -> None:
    grant = granted(asked)
    begin(asked, SECOND)
    asked.ok("approve", "@last", "--match", "command=*", "--always-for", "1h")
    asked.ok("grant", "revoke", grant)
    assert asked.json("run-once")["status"] == "completed"
    assert [row["arguments"] for row in asked.rows("grant", "list")] == [{"command": "*"}]


def test_a_grant_ends_by_itself(asked: Place) -> None:
    asked.ok("approve", "@last", "--always-for", "0.1s")
    assert asked.json("run-once")["status"] == "completed"
    until(lambda: asked.rows("grant", "list") == [])
    assert begin(asked, ECHO)["status"] == "waiting_for_approval"


@pytest.mark.parametrize("given", ["8", "h", "8w", "-1h", "1e3s", "", "8h "])
def test_what_is_no_duration_makes_no_grant(asked: Place, given: str) -> None:
    done = asked.rt("approve", "@last", "--match", "command=*", "--always-for", given)
    assert done.code == (0 if given.strip() == "8h" else 2)
    assert len(asked.rows("grant", "list")) == (given.strip() == "8h")


@pytest.mark.parametrize("given", [("91d",), ("0s",), ("999999999d",)])
def test_a_grant_is_bounded_in_time(asked: Place, given: tuple[str]) -> None:
    assert asked.rt("approve", "@last", "--always-for", *given, "--json").error["code"] == "grant.refused"
    assert "run.call_approved.v1" not in asked.topics()


@pytest.mark.parametrize("more", [("--match", "command=*"), ("--match", "x", "--always-for", "8h"),
                                  ("--match", "=x", "--always-for", "8h"), ("--edit", "{}", "--always-for", "8h"),
                                  ("--edit", "{}", "--note", "x")])  # fmt: skip
def test_options_that_do_not_go_together_are_refused(asked: Place, more: tuple[str, ...]) -> None:
    assert asked.rt("approve", "@last", *more).code == 2
    assert "run.call_approved.v1" not in asked.topics()


def test_a_tool_that_may_carry_data_away_is_asked_for_each_time(place: Place) -> None:
    tool = '[tools.send]\nkind = "local-process"\napproval = "ask"\ntags = ["exfiltrating"]\n'
    place.config(RULES.replace('["local-process", "ask-person"]', '["local-process", "send"]') + tool)
    begin(place, {"tool": "send", "input": ECHO})
    before = place.head()
    assert place.rt("approve", "@last", "--always-for", "8h", "--json").error["code"] == "grant.refused"
    assert place.head() == before
    place.ok("approve", "@last")
    assert place.json("run-once")["status"] == "completed"
    assert started(place) == 1
