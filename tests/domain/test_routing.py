"""Which profile new input gets: by name, by its thread, by rules, by default; and why, as it is recorded."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors, routing
from domain.agent_config import ProfileConfig, RouteConfig, RoutingConfig
from domain.config import Config
from domain.routing import Input

PROFILES = {"one": ProfileConfig(), "two": ProfileConfig(), "inner": ProfileConfig(host_facing=False)}


def config(*rules: RouteConfig, **more: Any) -> Config:  # noqa: ANN401  # fields of the routing
    return Config(profiles=PROFILES, routing=RoutingConfig(rules=rules, **more))


def routed(of: Config, text: str = "hello", **more: Any) -> Any:  # noqa: ANN401  # a Routed that is there
    found = routing.route(of, Input(text=text, **more))
    assert found is not None
    return found


def test_a_profile_that_is_named_is_taken_also_one_that_no_rule_may_choose() -> None:
    found = routed(config(RouteConfig(profile="two", phrases=("hello",))), requested="inner", thread_profile="one")
    assert (found.selected, found.by, found.reason) == ("inner", "explicit", "handed over from one")
    assert routed(config(), requested="one", thread_profile="one").reason == "named"


@pytest.mark.parametrize("name", ["nobody", "ONE", "Auto", " one"])
def test_a_profile_that_is_not_there_is_refused_and_never_replaced(name: str) -> None:
    with pytest.raises(errors.UnknownProfile, match="one, two"):
        routing.route(config(default="one"), Input(text="x", requested=name, thread_profile="two"))


@pytest.mark.parametrize("requested", ["", "auto"])
def test_a_thread_keeps_its_profile_before_any_rule(requested: str) -> None:
    of = config(RouteConfig(profile="two", phrases=("hello",)))
    found = routed(of, requested=requested, thread_profile="one")
    assert (found.selected, found.by, found.requested) == ("one", "thread", requested)


def test_a_thread_does_not_keep_a_profile_that_is_gone_or_where_it_shall_not() -> None:
    rule = RouteConfig(profile="two", phrases=("hello",))
    assert routed(config(rule), thread_profile="gone").by == "rule"
    assert routed(config(rule, sticky=False), thread_profile="one").selected == "two"


def test_the_first_rule_by_priority_then_order_wins_and_is_named() -> None:
    of = config(
        RouteConfig(profile="one", phrases=("hello",)),
        RouteConfig(profile="two", phrases=("hello",), priority=1),
        RouteConfig(profile="one", phrases=("hello",), priority=1),
    )
    found = routed(of)
    assert (found.selected, found.by, found.rule, found.reason) == ("two", "rule", 1, "phrase 'hello'")
    assert found.candidates == ("one", "two")


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"phrases": ("good bye", "HELLO")}, True),
        ({"phrases": ("hell",)}, False),
        ({"phrases": ("hello",), "source": "mail"}, False),
        ({"source": "cli"}, True),
        ({"kind": "goal"}, True),
        ({"kind": "go"}, False),
        ({"source": "cli", "kind": "other"}, False),
        ({"phrases": ("world",)}, True),
        ({"phrases": (".*",)}, False),
    ],
)
def test_a_rule_matches_literal_words_source_and_kind_all_of_them(rule: dict[str, Any], *, fits: bool) -> None:
    found = routing.route(
        config(RouteConfig(profile="two", **rule)), Input(text="well, hello\nworld!", source="cli", kind="goal")
    )
    assert (found is not None) is fits


def test_where_nothing_matches_the_default_is_taken_and_says_why() -> None:
    assert routing.route(config(default="two"), Input(text="x")) is None
    found = routing.default(config(default="two"), Input(text="x", requested="auto"), "the model was silent")
    assert found is not None
    assert (found.selected, found.by, found.reason, found.requested) == (
        "two",
        "default",
        "the model was silent",
        "auto",
    )
    assert routing.default(config(), Input(text="x")) is None


def test_only_host_facing_profiles_are_candidates() -> None:
    assert routing.candidates(config()) == ("one", "two")


@given(st.text(max_size=300), st.integers(0, 1 << 32))
def test_the_same_input_is_routed_the_same_way_whatever_it_says(text: str, seed: int) -> None:
    phrases = [(f"word{n}",) for n in range(5)]
    rules = [
        RouteConfig(profile=random.Random(seed + n).choice(["one", "two"]), phrases=each, priority=seed % (n + 1))
        for n, each in enumerate(phrases)
    ]
    of = config(*rules)
    given_ = Input(text=f"{text} word3 word1")
    first = routing.route(of, given_)
    assert first == routing.route(of, given_)
    if first is not None:
        best = max(rules[n].priority for n in range(5) if f"word{n}" in given_.text.lower() and first.rule >= 0)
        assert rules[first.rule].priority <= best
