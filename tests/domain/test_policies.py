"""The policy: the strictest rule wins, a standing yes is narrow, and a text widens no right."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import policies
from domain.policies import Verdict, Wish, evaluate
from domain.setup import Book, Effect, Grant, PolicyRule, Tool

TOOL = Tool(name="deploy", kind="local-process")
GRANT = Grant(id="g1", tool="deploy", arguments={"command": "make"}, until_us=100)
STRICTNESS: tuple[Effect, ...] = ("allow", "ask", "deny")


def wish(tool: Tool = TOOL, **given_: Any) -> Wish:  # noqa: ANN401  # fields of a wish
    fields: dict[str, Any] = {
        "arguments": {"command": "make"},
        "profile": "it",
        "origin": "controller",
        "cost_nusd": 0,
        "at_us": 50,
    }
    return Wish(**({"tool": tool} | fields | given_))


def rule(effect: Effect, id_: str = "", **given_: Any) -> PolicyRule:  # noqa: ANN401  # fields of a rule
    return PolicyRule(id=id_ or effect, effect=effect, **given_)


def effect(*rules: PolicyRule, grants: tuple[Grant, ...] = (), of: Wish | None = None) -> Effect:
    return evaluate(Book(rules, grants), of or wish()).effect


@given(st.lists(st.sampled_from(STRICTNESS), min_size=1, max_size=6))
def test_the_strictest_of_all_rules_that_match_wins_in_any_order(effects: list[Effect]) -> None:
    rules = tuple(rule(each, f"r{at}") for at, each in enumerate(effects))
    strictest = max(effects, key=STRICTNESS.index)
    assert effect(*rules) == strictest
    named = evaluate(Book(rules), wish()).rules
    assert named == tuple(each.id for each in rules if each.effect == strictest)


def test_the_verdict_says_why_and_how_an_approval_behaves() -> None:
    found = rule("ask", reason="costly", expires_us=7, on_expire="fail", on_reject="fail")
    assert evaluate(Book((rule("allow"), found)), wish()) == Verdict(
        effect="ask", rules=("ask",), reason="costly", expires_us=7, on_expire="fail", on_reject="fail"
    )


def test_without_a_rule_a_controller_has_to_ask_and_a_task_is_its_own_order() -> None:
    assert effect() == "ask"
    assert effect(of=wish(origin="task")) == "allow"


@pytest.mark.parametrize("says", STRICTNESS)
def test_what_a_tool_says_holds_where_no_rule_matches(says: Effect) -> None:
    tool = msgspec.structs.replace(TOOL, approval=says)
    for origin in ("task", "controller"):
        assert effect(rule("deny", tool="other"), of=wish(tool, origin=origin)) == says


def test_a_rule_outweighs_what_a_tool_says() -> None:
    tool = msgspec.structs.replace(TOOL, approval="allow")
    assert effect(rule("deny"), of=wish(tool)) == "deny"
    assert effect(rule("ask"), of=wish(tool)) == "ask"


def test_a_question_to_a_person_needs_no_approval_but_can_be_denied() -> None:
    tool = Tool(name="ask-person", kind="ask-person")
    assert effect(of=wish(tool)) == "allow"
    assert effect(rule("deny", tool="ask-*"), of=wish(tool)) == "deny"


@pytest.mark.parametrize(
    ("fields", "matches"),
    [
        ({"tool": "deploy"}, True),
        ({"tool": "dep*"}, True),
        ({"tool": "dep"}, False),
        ({"tool": "DEPLOY"}, False),
        ({"tool": ""}, False),
        ({"profile": "it"}, True),
        ({"profile": "i?"}, True),
        ({"profile": "that"}, False),
        ({"origin": "controller"}, True),
        ({"origin": "task"}, False),
        ({"arguments": {"command": "make"}}, True),
        ({"arguments": {"command": "m*"}}, True),
        ({"arguments": {"command": "mak"}}, False),
        ({"arguments": {"command": "*", "args.0": "x"}}, False),
        ({"arguments": {"nothing": "*"}}, False),
        ({"cost_over_nusd": -1}, True),
        ({"cost_over_nusd": 0}, False),
    ],
)
def test_a_rule_matches_when_each_of_its_conditions_does(fields: dict[str, Any], matches: bool) -> None:  # noqa: FBT001
    assert effect(rule("deny", **fields)) == ("deny" if matches else "ask")


def test_a_threshold_matches_above_and_not_at_its_cost() -> None:
    costly = rule("deny", cost_over_nusd=5)
    assert [effect(costly, of=wish(cost_nusd=cost)) for cost in (4, 5, 6)] == ["ask", "ask", "deny"]


@pytest.mark.parametrize(
    ("path", "glob", "fits"),
    [
        ("args.0", "--now", True),
        ("args.1", "a\nb", True),
        ("args.1", "a*b", True),
        ("args.2", "*", False),
        ("args.-1", "*", False),
        ("args.x", "*", False),
        ("args", '["--now",*', True),
        ("env.A", "1", True),
        ("env.A.B", "*", False),
        ("env.gone", "*", False),
        ("count", "7", True),
        ("flag", "true", True),
        ("", "*", False),
    ],
)
def test_an_argument_is_found_by_its_path_and_compared_whole(path: str, glob: str, fits: bool) -> None:  # noqa: FBT001
    arguments = {"args": ["--now", "a\nb"], "env": {"A": "1"}, "count": 7, "flag": True}
    assert effect(rule("deny", arguments={path: glob}), of=wish(arguments=arguments)) == ("deny" if fits else "ask")


def test_a_glob_of_many_stars_is_quick() -> None:
    many = rule("deny", arguments={"command": "*a" * 60 + "b"})
    assert effect(many, of=wish(arguments={"command": "a" * 100_000})) == "ask"


def test_a_standing_yes_turns_ask_into_allow_until_it_expires() -> None:
    for rules in ((), (rule("ask"),)):
        found = [effect(*rules, grants=(GRANT,), of=wish(at_us=at_us)) for at_us in (0, 99, 100, 101)]
        assert found == ["allow", "allow", "ask", "ask"]
    assert evaluate(Book((), (GRANT,)), wish()).rules == ("grant:g1",)


def test_a_standing_yes_never_turns_a_no_into_a_yes() -> None:
    assert effect(rule("deny"), rule("ask", "a"), grants=(GRANT,)) == "deny"
    assert effect(grants=(GRANT,), of=wish(msgspec.structs.replace(TOOL, approval="deny"))) == "deny"


@pytest.mark.parametrize(
    "narrower",
    [
        {"tool": "other"},
        {"tool": "*"},
        {"profile": "that"},
        {"arguments": {}},
        {"arguments": {"command": "other"}},
        {"arguments": {"command": "make", "args.0": "x"}},
    ],
)
def test_a_standing_yes_fits_this_tool_profile_and_arguments_only(narrower: dict[str, Any]) -> None:
    assert effect(grants=(msgspec.structs.replace(GRANT, **narrower),)) == "ask"
    assert effect(grants=(msgspec.structs.replace(GRANT, profile="it"),)) == "allow"


def test_no_standing_yes_applies_to_a_tool_that_sends_data_out() -> None:
    tool = msgspec.structs.replace(TOOL, tags=("exfiltrating",))
    assert effect(grants=(GRANT,), of=wish(tool)) == "ask"
    assert effect(rule("ask"), grants=(GRANT,), of=wish(tool)) == "ask"


def test_the_digest_of_an_action_covers_everything_that_it_is() -> None:
    fields = {"tool": "t", "arguments": b"{}", "profile": "p", "cwd": "/", "policy": "v"}
    digests = {policies.action_digest(**fields)}  # type: ignore[arg-type]  # as they are named
    for name, other in {"tool": "u", "arguments": b'{"a":1}', "profile": "q", "cwd": "/x", "policy": "w"}.items():
        digests.add(policies.action_digest(**(fields | {name: other})))  # type: ignore[arg-type]
    assert len(digests) == 6


def test_the_version_of_a_policy_is_that_of_its_rules_and_not_of_its_grants() -> None:
    book = Book((rule("ask"),))
    assert policies.digest_of(book) == policies.digest_of(Book(book.rules, (GRANT,)))
    assert policies.digest_of(book) != policies.digest_of(Book((rule("deny"),)))


def test_a_tool_that_a_person_always_allows_is_asked_for_whatever_a_rule_allows() -> None:
    tool = msgspec.structs.replace(TOOL, always_ask=True)
    assert effect(rule("allow"), of=wish(tool)) == "ask"
    assert effect(of=wish(tool, origin="task")) == "ask"
    assert effect(rule("allow"), rule("deny"), of=wish(tool)) == "deny"
    assert effect(rule("allow"), grants=(GRANT,), of=wish(tool)) == "allow", "a standing grant is a person's yes"
