"""Workflow templates are data: checked as a whole, frozen as JSON, filled in without surprises (WF-5)."""

import copy
import datetime as dt
import json
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidConfig
from domain.workflow_render import NotGiven, RenderFailed, Scope, pieces, render, slug
from domain.workflow_template import Move, Template, decode, encode, parse, version

FOLDER = Path(__file__).resolve().parents[2] / "commands" / "templates"
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.toml"))
SMALL: dict[str, Any] = {
    "name": "small",
    "start": "draft",
    "inputs": ["summary"],
    "parameters": {"path": "a.md", "tags": ["x"]},
    "states": {
        "draft": {
            "task": {"kind": "draft", "subject": "{ctx.summary|a draft}", "payload": {"path": "{ctx.path}"}},
            "signals": {"ready": "review"},
        },
        "review": {
            "task": {"kind": "review"},
            "signals": {"again": {"to": "draft", "counts": "iteration"}, "fine": "done"},
            "required_signals": ["again", "fine"],
        },
        "done": {"terminal": True},
    },
}


def shipped(name: str) -> Template:
    return parse(tomllib.loads((FOLDER / f"{name}.toml").read_text()), f"{name}.toml")


def small(path: str = "", value: object = None, *, drop: bool = False) -> dict[str, Any]:
    """The small template with one value at a path replaced, or dropped."""
    document = copy.deepcopy(SMALL)
    if path:
        *steps, last = path.split("/")
        found: Any = document
        for step in steps:
            found = found[step]
        if drop:
            del found[last]
        else:
            found[last] = value
    return document


def scope(*, iteration: int = 2, parameters: dict[str, Any] | None = None, **context: object) -> Scope:
    return Scope(context=context, parameters=parameters or {}, iteration=iteration)


def test_wf5_the_three_templates_ship_and_are_valid() -> None:
    assert SHIPPED == ["community-research", "goal-loop", "wallet-onboarding"]
    assert [shipped(name).name for name in SHIPPED] == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_wf5_a_definition_comes_back_from_its_frozen_form_with_the_same_version(name: str) -> None:
    template = shipped(name)
    assert decode(encode(template)) == template
    assert version(decode(encode(template))) == version(template)


def test_wf5_the_frozen_form_spells_out_every_default_and_does_not_depend_on_the_order_of_keys() -> None:
    template = parse(small(), "t.toml")
    backwards = parse(dict(reversed(small().items())), "other.toml")
    assert encode(template) == encode(backwards)
    assert json.loads(encode(template))["caps"] == {
        "cost_usd": 0,
        "max_iterations": 10,
        "max_revisions": 3,
        "signal_retry_max": 2,
        "state_retry_max": 2,
        "wall_s": 0,
    }


def test_a_change_of_the_template_is_another_version() -> None:
    assert version(parse(small(), "t")) != version(parse(small("states/draft/task/priority", 6), "t"))


def test_wf9_the_goal_loop_gives_a_failed_phase_to_a_person_and_the_others_try_twice_more() -> None:
    retries = {name: shipped(name).caps.state_retry_max for name in SHIPPED}
    assert retries == {"community-research": 2, "goal-loop": 0, "wallet-onboarding": 2}


def test_a_move_may_be_a_name_or_say_what_counts_it() -> None:
    template = parse(small(), "t")
    assert template.move("draft", "ready") == Move(to="review")
    assert template.move("review", "again") == Move(to="draft", counts="iteration")
    assert template.move("review", "ready") is None
    assert template.move("nowhere", "ready") is None


STATE = {"task": {"kind": "k"}, "signals": {"go": "done"}}
WRONG: list[tuple[str, dict[str, Any], str, str]] = [
    ("no start", small("start", drop=True), "t.toml: start", "is missing"),
    ("no states", small("states", drop=True), "t.toml: states", "is missing"),
    ("no kind", small("states/draft/task/kind", drop=True), "t.toml: states.draft.task.kind", "is missing"),
    ("undefined start", small("start", "drat"), "t.toml: start", "no state 'drat'; did you mean 'draft'?"),
    (
        "undefined target",
        small("states/draft/signals/ready", "revew"),
        "t.toml: states.draft.signals.ready",
        "no state 'revew'; did you mean 'review'?",
    ),
    (
        "undefined target in a table",
        small("states/review/signals/again", {"to": "x"}),
        "t.toml: states.review.signals.again",
        "no state 'x'",
    ),
    ("unreachable", small("states/lone", STATE), "t.toml: states.lone", "no way leads here from the start, 'draft'"),
    (
        "dead end",
        small("states/done", {"task": {"kind": "k"}}),
        "t.toml: states.done",
        "a dead end: it needs signals or completion_kinds, or terminal = true",
    ),
    (
        "no end",
        small("states/review", {"task": {"kind": "k"}, "signals": {"again": "draft"}}),
        "t.toml: states.done",
        "no way leads here",
    ),
    (
        "trap",
        small("states/done", {"task": {"kind": "k"}, "signals": {"on": "done"}}),
        "t.toml: states.done",
        "a dead end: no way leads from here to an end",
    ),
    ("no task", small("states/draft/task", drop=True), "t.toml: states.draft.task", "is missing: without a task"),
    (
        "unknown required signal",
        small("states/review/required_signals", ["agan"]),
        "t.toml: states.review.required_signals[0]",
        "'agan' is no signal of this state; did you mean 'again'?",
    ),
    (
        "several signals and none required",
        small("states/review/required_signals", drop=True),
        "t.toml: states.review.required_signals",
        "is missing: there are several signals",
    ),
    (
        "completion of another kind",
        small("states/draft", {"task": {"kind": "k"}, "completion_kinds": ["q"], "signals": {"ready": "review"}}),
        "t.toml: states.draft.completion_kinds",
        "of kind 'k', which is not among them",
    ),
    (
        "required beside completion",
        small("states/draft", {**STATE, "completion_kinds": ["k"], "required_signals": ["go"]}),
        "t.toml: states.draft.required_signals",
        "means nothing",
    ),
    (
        "terminal with a task",
        small("states/done/task", {"kind": "k"}),
        "t.toml: states.done",
        "a terminal state has no",
    ),
    ("unknown field", small("strat", "draft"), "t.toml: the document", "unknown field 'strat'; did you mean 'start'?"),
    (
        "unknown field of a state",
        small("states/draft/signal", {}),
        "t.toml: states.draft",
        "unknown field 'signal'; did you mean 'signals'?",
    ),
    (
        "unknown field of a task",
        small("states/draft/task/priorty", 1),
        "t.toml: states.draft.task",
        "unknown field 'priorty'; did you mean 'priority'?",
    ),
    (
        "unknown field of a move",
        small("states/review/signals/again/count", "iteration"),
        "t.toml: states.review.signals.again",
        "unknown field 'count'; did you mean 'counts'?",
    ),
    ("unknown cap", small("caps", {"max_iteration": 1}), "t.toml: caps", "did you mean 'max_iterations'?"),
    ("cap out of range", small("caps", {"max_iterations": 0}), "t.toml: caps.max_iterations", "expected `int` >= 1"),
    ("priority", small("states/draft/task/priority", 1001), "t.toml: states.draft.task.priority", "<= 1000"),
    (
        "a move of a wrong type",
        small("states/draft/signals/ready", 7),
        "t.toml: states.draft.signals.ready",
        "got `int`",
    ),
    ("a state of a wrong type", small("states/draft", "x"), "t.toml: states.draft", "got `str`"),
    ("a name of a state", small("states/a b", STATE), "t.toml: states", "'a b' is no name"),
    ("a name of a parameter", small("parameters", {"a-b": 1}), "t.toml: parameters", "expected `str` matching regex"),
    (
        "a name nobody gives",
        small("states/draft/task/payload/path", "{ctx.pth}"),
        "t.toml: states.draft.task.payload.path",
        "ctx.pth is neither in parameters nor in inputs; did you mean 'path'?",
    ),
    (
        "a name nobody gives, within a list",
        small("states/draft/task/payload/list", ["a", "{ctx.path|b{slug:ctx.nobody}}"]),
        "t.toml: states.draft.task.payload.list[1]",
        "ctx.nobody",
    ),
    (
        "no placeholder",
        small("states/draft/task/subject", "{summary}"),
        "t.toml: states.draft.task.subject",
        "'summary' is no placeholder; there are ctx.NAME",
    ),
    (
        "a single brace",
        small("states/draft/remember", {"x": "open {ctx.path"}),
        "t.toml: states.draft.remember.x",
        "a single brace at character 6",
    ),
    (
        "a date",
        small("states/draft/task/payload/when", dt.date(2024, 1, 1)),
        "t.toml: states.draft.task.payload.when",
        "a date is nothing that JSON knows",
    ),
    (
        "too many placeholders",
        small("states/draft/task/payload/text", "{iteration}" * 201),
        "t.toml: states.draft",
        "203 placeholders; at most 200",
    ),
    (
        "too many states",
        small("states", {f"s{at}": {"terminal": True} for at in range(101)} | {"draft": {"terminal": True}}),
        "t.toml: states",
        "102 states; at most 100",
    ),
]


@pytest.mark.parametrize(("document", "where", "why"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG])
def test_wf5_a_wrong_template_is_refused_naming_file_and_key(document: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        parse(document, "t.toml")
    assert caught.value.fields["where"] == where
    assert why in str(caught.value.fields["why"])


@pytest.mark.parametrize("document", [None, [], "x", 1, {}, {"states": []}, {"states": {"a": None}}])
def test_wf5_what_is_no_template_at_all_is_refused_too(document: object) -> None:
    with pytest.raises(InvalidConfig):
        parse(document, "t.toml")


def test_a_template_nested_beyond_measure_is_refused() -> None:
    deep: Any = "x"
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(InvalidConfig, match="nested deeper"):
        parse(small("states/draft/task/payload/deep", deep), "t.toml")


# rendering


@pytest.mark.parametrize("value", [["a", 1], {"a": 1}, 7, 1.5, True, False, 0, []])
def test_a_text_that_is_one_placeholder_keeps_the_type_of_what_it_refers_to(value: object) -> None:
    assert render("{ctx.x}", scope(x=value)) == value
    assert render({"a": ["{ctx.x}"]}, scope(x=value)) == {"a": [value]}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{iteration}", 2),
        ("n={iteration}", "n=2"),
        ("plans/{base}-plan.md", "plans/b-plan.md"),
        ("{ctx.none|other}", "other"),
        ("{ctx.none|ctx.topic|other}", "A Topic"),
        ("{ctx.blank|other}", "other"),
        ("{ctx.null|other}", "other"),
        ("{ctx.none|}", ""),
        ("{ctx.none|wiki/{slug:ctx.topic}.md|wiki/page.md}", "wiki/a-topic.md"),
        ("{ctx.none|wiki/{slug:ctx.other}.md|wiki/page.md}", "wiki/page.md"),
        ("{slug:ctx.topic}", "a-topic"),
        ("{slug:ctx.signs|ctx.topic}", "A Topic"),
        ("{slug:base}", "b"),
        ("{ctx.flag} {ctx.number}", "true 1.5"),
        ("{{ctx.topic}}", "{ctx.topic}"),
        ("a }} b {{", "a } b {"),
        ("{ctx.given_by_parameter}", "p"),
        ("{ctx.own}", "context first"),
    ],
)
def test_placeholders_take_the_first_alternative_that_is_given(text: str, rendered: object) -> None:
    given_parameters = {"given_by_parameter": "p", "own": "q"}
    where = scope(
        parameters=given_parameters, base_name="b", topic="A Topic", blank=" ", null=None, signs="!?", flag=True,
        number=1.5, own="context first",
    )  # fmt: skip
    assert render(text, where) == rendered


def test_what_is_filled_in_is_never_filled_in_again() -> None:
    assert render("{ctx.x}/{ctx.x}", scope(x="{ctx.y}", y="s")) == "{ctx.y}/{ctx.y}"


def test_what_nobody_gives_is_named() -> None:
    with pytest.raises(NotGiven, match=r"ctx\.topic is not given"):
        render("about {ctx.topic|ctx.other}", scope())


@pytest.mark.parametrize("value", [["a"], {"a": 1}])
def test_a_list_or_an_object_cannot_stand_within_a_text(value: object) -> None:
    with pytest.raises(RenderFailed, match="cannot stand within a text"):
        render("about {ctx.x}", scope(x=value))


@pytest.mark.parametrize("text", ["{", "}", "a{b", "{}", "{x}", "{ctx.}", "{ctx.a-b}", "{|x}", "{ctx.a|{b}}", "{" * 3])
def test_a_text_with_broken_placeholders_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"brace|placeholder"):
        pieces(text)


def test_alternatives_nest_to_a_bounded_depth() -> None:
    def nested(levels: int) -> str:
        return "x" if not levels else "{ctx.a|-" + nested(levels - 1) + "}"

    assert render(nested(4), scope()) == "----x"
    with pytest.raises(ValueError, match="nested deeper than 4"):
        pieces(nested(5))


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("Ship the New Page!", "ship-the-new-page"),
        ("  a -- b  ", "a-b"),
        ("Überblick", "berblick"),
        ("../../etc", "etc"),
        ("!", ""),
        ("x" * 81, "x" * 80),
        ("x" * 79 + " y", "x" * 79),
    ],
)
def test_a_slug_is_lower_case_with_one_dash_for_each_run_of_other_characters(text: str, made: str) -> None:
    assert slug(text) == made


@given(text=st.text(alphabet="{}|ctx.slug:base iteration"))
def test_any_text_is_taken_apart_or_refused_with_a_reason(text: str) -> None:
    try:
        assert pieces(text) is not None
    except ValueError as problem:
        assert str(problem)  # noqa: PT017  # either way is fine; the reason is the point


@given(text=st.text())
def test_a_text_with_doubled_braces_renders_to_itself(text: str) -> None:
    assert render(text.replace("{", "{{").replace("}", "}}"), scope()) == text


def test_a_definition_that_is_none_cannot_be_decoded() -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(b'{"name": "x"}')
