"""Another template, rule of coalescing, policy, prompt or phrase: the first decision that it changes is named."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from domain import asking, controller, errors
from domain import mind as minds
from domain.agent_config import PatternsConfig, PolicyConfig, RuleConfig
from domain.config import Config
from domain.errors import Invalid, UnknownProfile
from domain.events import Consequence, Event, OutputAppended, Recorded, ToolExited, ToolStarted
from domain.run import Run, step
from replays.replay import Difference, replay
from replays.substitute import PARTS, Substitution
from tests.agents import ALLOW, CALL, answer, config, printed, started
from tests.story import Story, claimed, recorded

TOOL = {"type": "tool", "calls": [{"tool": "local-process", "input": {"command": "serve", "args": ["--port", "1"]}}]}
Next = Callable[[Story], Event | Recorded]


def told(facts: Sequence[Next | Event | Recorded]) -> list[Recorded]:
    """A run as it would lie in the log: each fact with what followed from it."""
    events: list[Recorded] = []
    state: Run | None = None
    for each in facts:
        fact = each(Story(state)) if callable(each) else each
        fact = fact if isinstance(fact, Recorded) else recorded(fact)
        fact = msgspec.structs.replace(fact, position=len(events) + 1)
        if isinstance(fact.data, OutputAppended):
            digest = hashlib.sha256(fact.body or b"").hexdigest()
            fact = msgspec.structs.replace(fact, data=msgspec.structs.replace(fact.data, digest=digest))
        made = step(state, fact)
        events.append(fact)
        state = made.state
        for consequence in made.consequences:
            place = msgspec.structs.replace(recorded(consequence), position=len(events) + 1)  # type: ignore[arg-type]
            events.append(place)
    return events


def asked(of: Config) -> list[Recorded]:
    """A model starts a tool, is asked again at an urgent line and a milestone, and waits."""
    return told(
        [
            claimed(),
            started(of),
            lambda story: answer(story, TOOL),
            ToolStarted(call=2, pid=7, start_ticks=8, boot_id="b"),
            printed(b"listening on 1\n", call=2),
            printed(b"fatal: no\n", call=2),
            printed(b"listening on 2\n", call=2),
            lambda story: answer(story, {"type": "wait"}),
            lambda story: answer(story, {"type": "finish", "message": "it failed"}),
            ToolExited(call=2, duration_us=5, signal="SIGTERM"),
        ]
    )


def decided(of: Config) -> list[Recorded]:
    """The rules watch a tool until an urgent line."""
    return told(
        [
            claimed(),
            started(of, calls=(CALL,)),
            ToolStarted(call=1, pid=7, start_ticks=8, boot_id="b"),
            printed(b"fatal: no\n"),
            ToolExited(call=1, duration_us=5, signal="SIGTERM"),
        ]
    )


FREE = config(policies=[ALLOW])
CALM = PatternsConfig(urgent=("nothing of that",))
RULES = config(controller="rules", policies=[ALLOW])


def difference(events: list[Recorded], **other: Config) -> Difference:
    found = replay(events, instead=Substitution(other)).difference
    assert found is not None
    return found


@pytest.mark.parametrize(("events"), [asked(FREE), decided(RULES)], ids=["model", "rules"])
def test_nothing_differs_with_the_same_inputs(events: list[Recorded]) -> None:
    assert replay(events).difference is None


def test_with_today_and_the_same_configuration_nothing_differs() -> None:
    every = dict.fromkeys(("controller", "tools", "patterns", "prompts", "book", "budgets", "limits"))
    for events, of in ((asked(FREE), FREE), (decided(RULES), RULES)):
        assert replay(events, instead=Substitution(dict.fromkeys(every, of))).difference is None


def test_another_prompt_template_names_the_first_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    events = asked(FREE)
    monkeypatch.setattr(asking, "SLOW", asking.SLOW + " Be quick.")
    found = replay(events).difference
    assert found is not None
    assert (found.event, found.field, found.decision) == ("run.controller_asked", "request", 1)
    assert "(decision 1)" in str(found)


def test_another_rule_of_coalescing_names_the_step_that_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    events = asked(FREE)

    def forgetful(mind: minds.Mind, new: minds.Trigger) -> minds.Mind:
        return msgspec.structs.replace(mind, waiting=(new,))

    monkeypatch.setattr(minds, "trigger", forgetful)
    found = replay(events).difference
    assert found is not None
    assert (found.event, found.decision) == ("run.controller_asked", 3)


def test_another_order_of_paths_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    events = asked(FREE)
    monkeypatch.setattr(controller, "_is_fast", lambda *_: False)
    found = replay(events).difference
    assert found is not None
    assert (found.field, found.recorded, found.today) == ("path", "fast", "slow")


def test_todays_policy_shows_what_it_would_have_done() -> None:
    ask = config(policies=[PolicyConfig(id="hm", effect="ask", tool="local-process")])
    found = difference(asked(FREE), book=ask)
    assert (found.kind, found.event) == ("event", "run.tool_call_requested")
    assert "run.approval_requested" in str(found.today)
    deny = config(policies=[PolicyConfig(id="no", effect="deny", tool="local-process")])
    assert "run.call_refused" in str(difference(asked(FREE), policy=deny).today)


def test_todays_prompt_rule_and_phrase_show_the_decision_that_they_change() -> None:
    assert difference(asked(FREE), prompts=config(policies=[ALLOW], prompt=("Be terse.",))).decision == 1
    patient = (RuleConfig(id="start", when="start", then="tool"), RuleConfig(id="urgent", when="urgent", then="wait"))
    other = Config(**{**_fields(RULES), "controllers": {"rules": msgspec.structs.replace(_rules(), rules=patient)}})
    found = difference(decided(RULES), rules=other)
    assert (found.event, found.field, found.decision) == ("run.decision_made", "decision", 2)
    calm = config(controller="rules", policies=[ALLOW], patterns=CALM)
    assert difference(decided(RULES), patterns=calm).kind == "surplus"


def _rules() -> Any:  # noqa: ANN401  # a ControllerConfig
    from domain.agent_config import CONTROLLERS

    return CONTROLLERS["rules"]


def _fields(of: Config) -> dict[str, Any]:
    return {name: getattr(of, name) for name in of.__struct_fields__}


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"prompts": config(policies=[ALLOW], prompt=("Be terse.",))}, "prompt"),
        ({"book": config(policies=[PolicyConfig(id="no", effect="deny", tool="local-process")])}, "config"),
    ],
    ids=["prompt", "policy"],
)
def test_the_cause_says_what_was_put_in_the_place_of_the_record(change: dict[str, Config], cause: str) -> None:
    found = difference(asked(FREE), **change)
    assert found.cause == cause
    every = difference(asked(FREE), **(dict.fromkeys(PARTS, FREE) | change))
    assert every.cause == cause, "parts that say the same are no cause"


def test_the_cause_of_what_code_changed_is_the_code_or_its_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    events = asked(FREE)
    with monkeypatch.context() as patched:
        patched.setattr(asking, "SLOW", asking.SLOW + " Be quick.")
        found = replay(events).difference
        assert found is not None
        assert found.cause == "prompt"
    with monkeypatch.context() as patched:
        patched.setattr(controller, "_is_fast", lambda *_: False)
        found = replay(events).difference
        assert found is not None
        assert found.cause == "code"


def test_a_missing_and_a_surplus_event_are_their_own_causes() -> None:
    events = asked(FREE)
    last = next(
        at
        for at, (each, following) in enumerate(pairwise(events))
        if isinstance(each.data, Consequence) and not isinstance(following.data, Consequence)
    )
    for changed, cause in (
        (events[:last] + events[last + 1 :], "missing"),
        (events[: last + 1] + events[last:], "surplus"),
    ):
        found = replay(changed).difference
        assert found is not None
        assert (found.cause, found.kind) == (cause, cause)


def test_what_went_in_is_named() -> None:
    found = difference(asked(FREE), prompts=config(policies=[ALLOW], prompt=("Be terse.",)))
    assert any(each.startswith("setup: ") for each in found.inputs)
    line = difference(decided(RULES), patterns=config(controller="rules", policies=[ALLOW], patterns=CALM))
    assert "output: fatal: no\n" in line.inputs


def test_an_event_that_no_longer_decodes_is_a_difference_and_no_end_of_the_audit() -> None:
    def broken() -> Iterator[Recorded]:
        yield from asked(FREE)[:3]
        raise errors.Undecodable(position=4, topic="run.decision_made.v1", why="a field is gone")

    found = replay(broken()).difference
    assert found is not None
    assert (found.kind, found.cause, found.position, found.event) == (
        "undecodable",
        "undecodable",
        4,
        "run.decision_made",
    )
    assert "no longer decodes" in str(found)


def test_a_part_that_there_is_none_of_and_a_profile_that_is_gone_are_said() -> None:
    with pytest.raises(Invalid, match="no part 'weather'"):
        Substitution({"weather": FREE})
    found = difference(asked(FREE), prompts=Config())
    assert found.kind == "error"
    assert UnknownProfile.__name__ in str(found.today)
