"""Rules on whole runs: every way in is checked, a denial leaves a record, a resume is checked again (PO-1 to PO-3)."""

import json
import tomllib
from typing import Any

import msgspec
import pytest

from domain import agents, errors, policies, setup
from domain.agent_checks import check
from domain.agent_config import PolicyConfig
from domain.agent_events import ApprovalClosed, CallRefused, RunDenied
from domain.bundle import compile_run
from domain.config import Adapter, Config, parse
from domain.events import (
    CancelRequested,
    RunFinished,
    RunOwnerLost,
    RunRefused,
    RunStarted,
    TaskBlocked,
    TaskClaimed,
    TaskFailed,
    TaskParked,
    ToolExited,
    ToolStarted,
)
from domain.ids import text_of
from domain.policies import RunWish, Verdict, admits
from domain.setup import Book, Effect, PolicyRule
from domain.task import Status, Task
from tests.agents import CALL, POLICY, answer, approved, begun, config, mind, resumed
from tests.story import RUN, TASK, Story, claimed, recorded

TOOL = {"type": "tool", "calls": [{"tool": "local-process", "input": {"command": "serve"}}]}
WISH = RunWish(profile="it", adapter="agent", kind="deploy", source="cli")
NO = PolicyConfig(id="no", effect="deny", on="run", reason="not on a friday")


def rule(effect: Effect = "deny", id_: str = "r", **given: Any) -> PolicyRule:  # noqa: ANN401  # fields of a rule
    return PolicyRule(id=id_, effect=effect, on="run", **given)


def kinds(made: Any) -> list[type]:  # noqa: ANN401  # consequences
    return [type(each) for each in made]


# what a rule on runs says


@pytest.mark.parametrize(
    ("fields", "denied"),
    [
        ({}, True),
        ({"profile": "i*"}, True),
        ({"profile": "watch"}, False),
        ({"adapter": "agent"}, True),
        ({"adapter": "command"}, False),
        ({"kind": "dep*"}, True),
        ({"kind": "DEPLOY"}, False),
        ({"source": "cli"}, True),
        ({"source": ""}, False),
        ({"profile": "it", "adapter": "agent", "kind": "deploy", "source": "cli"}, True),
        ({"profile": "it", "adapter": "agent", "kind": "deploy", "source": "sensor"}, False),
    ],
)
def test_a_rule_on_runs_matches_when_each_of_its_conditions_does(fields: dict[str, Any], *, denied: bool) -> None:
    assert admits(Book((rule(**fields),)), WISH).effect == ("deny" if denied else "allow")


def test_a_no_outweighs_a_yes_in_any_order_and_all_reasons_are_named() -> None:
    """PO-2 and PO-4."""
    found = (rule("allow", "yes"), rule(reason="not on a friday", id_="a"), rule(id_="b"), rule(id_="c", kind="x"))
    for rules in (found, found[::-1]):
        assert admits(Book(rules), WISH).effect == "deny"
    assert admits(Book(found), WISH) == Verdict(effect="deny", rules=("a", "b"), reason="not on a friday; b")


def test_without_a_rule_a_run_may_begin() -> None:
    assert admits(Book(()), WISH) == Verdict(effect="allow", rules=())


def test_a_rule_on_runs_says_nothing_of_calls_and_a_rule_on_calls_nothing_of_runs() -> None:
    call = PolicyRule(id="call", effect="deny")
    assert admits(Book((call,)), WISH).effect == "allow"
    tool = setup.Tool(name="t", kind="local-process", approval="allow")
    wish = policies.Wish(tool=tool, arguments={}, profile="it", origin="controller", cost_nusd=0, at_us=0)
    assert policies.evaluate(Book((rule(),)), wish).effect == "allow"
    assert policies.evaluate(Book((call,)), wish).effect == "deny"


# where a run begins


def compiled(of: Config, *, adapter: str = "", profile: str = "", **payload: object) -> RunStarted | RunRefused:
    """What the next run of such a task begins with."""
    stored = json.dumps({"description": "", "payload": {"argv": ["ls"], "goal": "g"} | payload}).encode()
    task = Task(
        task=TASK,
        version=1,
        status=Status.RUNNING,
        kind="deploy",
        source="cli",
        subject="",
        adapter=adapter,
        profile=profile,
        priority=5,
        payload=text_of(stored),
        attempts=1,
        max_attempts=3,
        epoch=1,
        created_at_us=1,
        updated_at_us=1,
        queued_position=1,
    )
    return compile_run(task, stored, of, "/home/p").fact


SCRIPT = {"script": Adapter(command="./s")}


@pytest.mark.parametrize(
    ("named", "matching"),
    [
        ({"adapter": "command"}, {"adapter": "command"}),
        ({"adapter": "script"}, {"adapter": "scr*"}),
        ({"adapter": "agent", "profile": "it"}, {"adapter": "agent", "profile": "it"}),
        ({"adapter": "agent"}, {"profile": "watch"}),
        ({"profile": "it"}, {"adapter": "agent"}),
        ({}, {"adapter": "command"}),
        ({}, {"kind": "deploy", "source": "cli"}),
    ],
)
def test_a_run_of_any_program_is_refused_with_rule_reason_and_version(
    named: dict[str, str], matching: dict[str, Any]
) -> None:
    """PO-1: one check for agents, commands and scripts. PO-2: what the record says."""
    no = PolicyConfig(id="no", effect="deny", on="run", reason="not on a friday", **matching)
    of = msgspec.structs.replace(config(policies=[no]), adapters=SCRIPT)
    fact = compiled(of, **named)
    assert isinstance(fact, RunRefused)
    assert fact.cause == "denied_by_policy"
    digest = policies.digest_of(agents.book(of))
    assert fact.message == f"not on a friday (rules no of policy {digest[:12]})"
    other = msgspec.structs.replace(no, **{next(iter(matching)): "other"})
    free = compiled(msgspec.structs.replace(of, policies=(other,)), **named)
    assert isinstance(free, RunStarted), "nothing else refuses it"


def test_a_refused_run_blocks_its_task_whatever_attempts_are_left() -> None:
    fact = RunRefused(cause=policies.DENIED, message="no")
    made = Story().given(claimed(max_attempts=9)).when(fact).made()
    assert kinds(made) == [RunFinished, TaskBlocked]
    assert made[-1].cause == "denied_by_policy"


def test_what_rules_on_runs_match_is_part_of_the_frozen_setup() -> None:
    given = agents.Given(goal="g", kind="deploy", source="sensor:x")
    made = agents.setup(config(policies=[NO]), "it", given)
    assert (made.kind, made.source, made.book.rules[0].on) == ("deploy", "sensor:x", "run")
    assert setup.decode(setup.encode(made)) == made


# where a run goes on


def claimed_again(story: Story) -> Story:
    return story.given(TaskClaimed(run=RUN, epoch=2, attempt=1, max_attempts=3, dispatcher="d2", resumed=True))


def waiting() -> Story:
    """A run that waits for a yes."""
    story = begun()
    return story.given(answer(story, TOOL))


def test_what_was_approved_is_not_executed_when_the_run_is_denied_by_now() -> None:
    story = waiting()
    story = claimed_again(story.given(approved(story, 2)))
    deny = config(policies=[NO])
    step = story.when(resumed(deny)).step()
    assert kinds(step.consequences) == [RunDenied, RunFinished, TaskBlocked]
    denied, _, blocked = step.consequences
    digest = policies.digest_of(agents.book(deny))
    assert denied == RunDenied(policy=digest, rules=("no",), reason="not on a friday")
    assert isinstance(blocked, TaskBlocked)
    assert blocked.cause == "denied_by_policy"
    assert b"not on a friday" in step.texts[-1], "the outcome says why"


def test_what_still_waits_is_withdrawn_when_the_run_is_denied() -> None:
    story = begun()
    both = {"type": "tool", "calls": TOOL["calls"] * 2}  # type: ignore[operator]  # a list
    story = story.given(answer(story, both))
    story = claimed_again(story.given(approved(story, 2)))
    made = story.when(resumed(config(policies=[NO]))).made()
    assert kinds(made) == [RunDenied, ApprovalClosed, RunFinished, TaskBlocked]
    assert (made[1].call, made[1].how) == (3, "withdrawn")


def test_what_runs_is_ended_first_when_a_run_is_denied_while_it_goes_on() -> None:
    """A person answers while the run is driven by a dispatcher whose policy denies it by now."""
    story = begun(config(policies=[PolicyConfig(id="free", effect="allow", arguments={"command": "serve"})]))
    other = {"tool": "local-process", "input": {"command": "other"}}
    story = story.given(answer(story, {"type": "tool", "calls": [*TOOL["calls"], other]}))
    story = story.given(ToolStarted(call=2, pid=7, start_ticks=8, boot_id="b"), approved(story, 3))
    made = story.when(resumed(config(policies=[NO]))).made()
    assert kinds(made) == [RunDenied, CancelRequested]
    story = story.given(resumed(config(policies=[NO])))
    ended = story.when(ToolExited(call=2, duration_us=5, signal="SIGTERM")).made()
    assert kinds(ended) == [RunFinished, TaskBlocked]


def test_a_lost_call_is_not_repeated_in_a_run_that_is_denied_by_now() -> None:
    of = config(controller="rules")
    story = begun(of, calls=(CALL,)).given(ToolStarted(call=1, pid=7, start_ticks=8, boot_id="b"))
    story = story.given(RunOwnerLost(dispatcher="d1", cause="dispatcher_died"))
    assert kinds(claimed_again(story).when(resumed(config(policies=[NO]))).made())[:1] == [RunDenied]


def test_an_effect_of_which_nobody_knows_waits_for_a_person_before_the_denial_counts() -> None:
    """What may have happened is found out first: a denial does not make it unhappen."""
    story = waiting()
    story = claimed_again(story.given(approved(story, 2))).given(resumed())
    story = story.given(ToolStarted(call=2, pid=7, start_ticks=8, boot_id="b"))
    made = story.when(RunOwnerLost(dispatcher="d2", cause="dispatcher_died")).made()
    assert kinds(made) == [TaskParked]
    assert made[0].cause == "needs_reconcile"


@pytest.mark.parametrize(
    "fields", [{"kind": "other"}, {"source": "other"}, {"profile": "other"}, {"adapter": "command"}]
)
def test_a_resumed_run_is_matched_as_what_it_was_taken_in(fields: dict[str, str]) -> None:
    given = agents.Given(goal="g", kind="deploy", source="cli")
    document = setup.encode(agents.setup(config(), "it", given))
    fact = RunStarted(
        program="controller",
        adapter="agent",
        bundle=text_of(b""),
        policy=POLICY,
        setup=text_of(document),
        profile="it",
    )
    story = Story().given(claimed(), msgspec.structs.replace(recorded(fact), texts={"setup": document}))
    story = claimed_again(story.given(RunOwnerLost(dispatcher="d1", cause="dispatcher_stopped")))
    mine = {"kind": "deploy", "source": "cli", "profile": "it", "adapter": "agent"}
    denied = msgspec.structs.replace(NO, **{name: mine[name] for name in fields})
    assert kinds(story.when(resumed(config(policies=[denied]))).made())[:1] == [RunDenied]
    free = msgspec.structs.replace(NO, **fields)
    assert RunDenied not in kinds(story.when(resumed(config(policies=[free]))).made())


def test_a_run_that_ends_already_keeps_its_own_cause() -> None:
    story = begun(config(policies=[PolicyConfig(id="free", effect="allow", arguments={"command": "serve"})]))
    other = {"tool": "local-process", "input": {"command": "other"}}
    story = story.given(answer(story, {"type": "tool", "calls": [*TOOL["calls"], other]}))
    story = story.given(ToolStarted(call=2, pid=7, start_ticks=8, boot_id="b"), approved(story, 3))
    story = story.given(resumed(config(policies=[NO])))
    assert mind(story.now).finishing.cause == "denied_by_policy"
    assert RunDenied not in kinds(story.when(resumed(config(policies=[NO]))).made())


def test_a_denial_of_a_call_does_not_end_the_run() -> None:
    story = waiting()
    story = claimed_again(story.given(approved(story, 2)))
    made = story.when(resumed(config(policies=[PolicyConfig(id="no", effect="deny")]))).made()
    assert CallRefused in kinds(made)
    assert TaskFailed not in kinds(made)
    assert TaskBlocked not in kinds(made)


# what a configuration may say

RULE = '[[policies]]\nid = "a"\neffect = "deny"\non = "run"\n'


@pytest.mark.parametrize(
    ("text", "field", "why"),
    [
        (RULE + 'tool = "local-process"', "policies[0].tool", "means nothing for a rule on runs"),
        (RULE + 'origin = "task"', "policies[0].origin", "means nothing for a rule on runs"),
        (RULE + 'arguments = {command = "x"}', "policies[0].arguments", "means nothing for a rule on runs"),
        (RULE + "cost_over_usd = 1", "policies[0].cost_over_usd", "means nothing for a rule on runs"),
        ('[[policies]]\nid = "a"\neffect = "deny"\nadapter = "agent"', "policies[0].adapter", "a rule on calls"),
        ('[[policies]]\nid = "a"\neffect = "deny"\nkind = "x"', "policies[0].kind", "a rule on calls"),
        ('[[policies]]\nid = "a"\neffect = "deny"\nsource = "x"', "policies[0].source", "a rule on calls"),
        (RULE.replace("deny", "ask"), "policies[0].effect", "allow or deny"),
        (RULE + 'adapter = "comand"', "policies[0].adapter", "there are: agent, command, codex"),
        (RULE + 'profile = "wach"', "policies[0].profile", "there are: watch"),
        (RULE.replace('"run"', '"task"'), "policies[0].on", "'task'"),
        (RULE + "expires_s = 1", "policies[0]", "belong to rules that ask"),
        (RULE + RULE.replace('"a"', '"b"').replace("deny", "allow"), "policies[1]", "for the same runs"),
    ],
)
def test_a_wrong_rule_is_named_with_its_place_and_what_was_expected(text: str, field: str, why: str) -> None:
    with pytest.raises(errors.InvalidConfig) as caught:
        check(parse(tomllib.loads("[adapters.codex]\ncommand = 'x'\n" + text), "rt.toml"), "rt.toml")
    assert f"rt.toml: {field}: " in str(caught.value)
    assert why in str(caught.value)


@pytest.mark.parametrize("adapter", ["agent", "command", "codex", "co*", "*"])
def test_a_rule_on_runs_may_name_each_adapter_that_there_is(adapter: str) -> None:
    text = f"[adapters.codex]\ncommand = 'x'\n{RULE}adapter = '{adapter}'\n"
    check(parse(tomllib.loads(text), "rt.toml"), "rt.toml")


def test_a_rule_on_runs_does_not_contradict_one_on_calls() -> None:
    text = RULE + '[[policies]]\nid = "b"\neffect = "allow"\n'
    check(parse(tomllib.loads(text), "rt.toml"), "rt.toml")
