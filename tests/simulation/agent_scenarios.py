"""Scenarios of agents: what is wished for, what people say, and how the tasks may end."""

from typing import Any

from tests.simulation import people, verdicts
from tests.simulation.agent_world import (
    EVERYTHING,
    Answer,
    Shown,
    acting_on,
    call,
    config,
    fetch,
    finish,
    goal,
    told,
    tools,
)
from tests.simulation.people import often
from tests.simulation.plan import Scenario
from tests.simulation.scenarios import drain

_DONE = ("completed",)
_CANCELED = ("operator_canceled",)
_RECONCILE = "blocked:needs_reconcile"
_ASKED: dict[str, Any] = {"asked": {}}
_TELLS = "blocked:rule:{}"


def agents(name: str, *ends: tuple[str, ...], **given: Any) -> Scenario:  # noqa: ANN401  # the fields of Scenario
    defaults: dict[str, Any] = {
        "config": config(),
        "programs": EVERYTHING,
        "tasks": (goal(call("work")),),
        "horizon_s": 300.0,
    }
    return Scenario(name=name, ends=ends, **(defaults | given))


def expecting(rule: str = "ask", **more: Any) -> Any:  # noqa: ANN401  # a configuration that asks for risky tools
    policy = {"id": "careful", "effect": rule, "tool": "risky*"} | more.pop("policy", {})
    return config(policies=[policy], **more)


WATCHING = (
    agents("exit ok", _DONE),
    agents("exit failed", ("permanent_failure:rule:failed",), tasks=(goal(call("work", program="fails")),)),
    agents("early cancel", ("permanent_failure:rule:urgent",), tasks=(goal(call("work", program="urgent")),)),
    agents("milestone", _DONE, tasks=(goal(call("work", program="serve")),)),
    agents(
        "milestone of who does not end",
        _DONE,
        tasks=(goal(call("work", program="deaf-server")),),
    ),
    agents("no such program", ("permanent_failure:rule:failed",), tasks=(goal(call("work", program="nothing")),)),
    agents("nothing to do", ("blocked:rule:nothing",), tasks=(goal(),)),
    agents("refused by the policy", ("blocked:rule:refused",), tasks=(goal(call("forbidden")),)),
    agents(
        "the next call when one has ended",
        _DONE,
        config=config(
            rules=[
                {"when": "start", "then": "tool", "id": "first"},
                {"when": "exit:failed", "then": "tool", "id": "second", "calls": (call("work"),)},
                {"when": "exit:ok", "then": "finish"},
            ]
        ),
        tasks=(goal(call("work", program="fails")),),
    ),
    agents(
        "one that must not be repeated",
        ("completed", _RECONCILE),
        tasks=(goal(call("pay")),),
    ),
    agents(
        "a request that must not be repeated",
        ("completed", _RECONCILE),
        tasks=(goal(fetch("pay-web", "pay", "POST")),),
        model=acting_on(),
    ),
    agents("a request", _DONE, tasks=(goal(fetch("web", "page")),), model=acting_on()),
    agents(
        "silence",
        ("permanent_failure:rule:quiet",),
        config=config(
            limits={"silence_s": 1},
            rules=[
                {"when": "start", "then": "tool"},
                {"when": "silence", "then": "finish", "id": "quiet", "outcome": "failed"},
            ],
        ),
        tasks=(goal(call("work", program="long")),),
    ),
    agents(
        "a call that takes too long",
        ("permanent_failure:rule:failed",),
        tasks=(goal(call("work", program="long"), timeout_s=1),),
    ),
    agents(
        "wall",
        ("blocked:budget:wall",),
        config=config(budgets={"wall_s": 2}),
        tasks=(goal(call("work", program="long")),),
    ),
)

_THREE = (call("work", "1"), call("work", "2", program="slow"), call("risky-work", "3"))
_PAIR = (call("pay"), call("risky"))
_APPROVED = often(people.approve)


def _and_again(*calls: dict[str, Any]) -> Any:  # noqa: ANN401  # a model
    """Does it again when a person said no or nothing was said: the same wish, over and over."""
    return acting_on(*calls, then=lambda _: tools(*calls))


def gives_in(seen: Shown) -> Answer:
    return finish("gave in", "blocked") if told(seen, "refused") else finish()


APPROVALS = (
    agents("three at once", _DONE, config=config(asked={}), model=acting_on(*_THREE), acts=_APPROVED, tasks=(goal(),)),
    agents(
        "approved",
        ("completed", _RECONCILE),
        config=config(asked={}),
        model=acting_on(call("risky"), then=gives_in),
        acts=_APPROVED,
        tasks=(goal(),),
        verify=verdicts.started("risky"),
    ),
    agents(
        "approved by two at once",
        ("completed",),
        config=config(asked={}),
        model=acting_on(call("risky-work")),
        acts=((0.5, people.approve), (0.5, people.approve_late), *_APPROVED),
        tasks=(goal(),),
        verify=verdicts.refused("approval.resolved"),
    ),
    agents(
        "approved after a crash",
        ("waiting_for_approval:approval", "completed"),
        config=config(asked={}),
        model=acting_on(call("risky-work")),
        on_crash=people.approve,
        acts=((1.0, lambda _: None),),
        tasks=(goal(),),
    ),
    agents(
        "rejected",
        ("blocked:controller",),
        config=config(asked={}),
        model=acting_on(call("risky"), then=gives_in),
        acts=often(people.reject),
        tasks=(goal(),),
        verify=verdicts.started(),
    ),
    agents(
        "rejected for good",
        ("permanent_failure:approval_rejected",),
        config=expecting(asked={}, policy={"on_reject": "fail"}),
        model=acting_on(call("risky"), then=gives_in),
        acts=often(people.reject),
        tasks=(goal(),),
        verify=verdicts.started(),
    ),
    agents(
        "edited",
        ("completed", _RECONCILE),
        config=config(asked={}),
        model=acting_on(call("risky", "as it was")),
        acts=often(people.edit),
        tasks=(goal(),),
        verify=verdicts.started("risky edited"),
    ),
    agents(
        "edited and repeated",
        _DONE,
        config=config(asked={}),
        model=acting_on(call("risky-work", "as it was")),
        acts=often(people.edit),
        tasks=(goal(),),
        verify=verdicts.started("risky-work edited"),
    ),
    agents(
        "nobody answers in time",
        ("blocked:controller",),
        config=expecting(asked={}, policy={"expires_s": 2}),
        model=acting_on(call("risky"), then=gives_in),
        tasks=(goal(),),
        verify=verdicts.started(),
    ),
    agents(
        "nobody answers in time, and that is the end",
        ("permanent_failure:approval_expired",),
        config=expecting(asked={}, policy={"expires_s": 2, "on_expire": "fail"}),
        model=acting_on(call("risky"), then=gives_in),
        tasks=(goal(),),
    ),
    agents(
        "somebody answers when time is over",
        ("blocked:controller", "completed", _RECONCILE),
        config=expecting(asked={}, policy={"expires_s": 2}),
        model=acting_on(call("risky"), then=gives_in),
        acts=((2.2, people.approve), (2.5, people.approve_late)),
        tasks=(goal(),),
        verify=verdicts.started(),
    ),
    agents(
        "nobody answers at all",
        ("waiting_for_approval:approval",),
        config=config(asked={}),
        model=acting_on(call("risky")),
        tasks=(goal(),),
    ),
    agents(
        "two wait, of which one runs out",
        ("blocked:controller", "completed"),
        config=expecting(asked={}, policy={"tool": "risky", "expires_s": 2}),
        model=acting_on(call("risky"), call("risky-work"), then=gives_in),
        acts=(*often(people.look, times=3), (4.0, people.approve), (8.0, people.approve)),
        tasks=(goal(),),
    ),
    agents(
        "canceled while it waits",
        _CANCELED,
        config=config(asked={}),
        model=acting_on(call("risky")),
        acts=often(people.cancel, begin_s=1, times=3),
        tasks=(goal(),),
    ),
    agents(
        "approved and canceled at once",
        ("operator_canceled", "completed", _RECONCILE),
        config=config(asked={}),
        model=acting_on(call("risky")),
        acts=((0.5, people.approve), (0.5, people.cancel), (2.0, people.approve), (2.0, people.cancel)),
        tasks=(goal(),),
    ),
    agents(
        "a question",
        _DONE,
        config=config(asked={}),
        model=acting_on(
            {"tool": "ask-person", "input": {"question": "how much?"}},
            then=lambda seen: finish() if told(seen, "forty-two") else finish("was told nothing", "failed"),
        ),
        acts=_APPROVED,
        tasks=(goal(),),
    ),
    agents(
        "a question that is rejected",
        ("blocked:controller",),
        config=config(asked={}),
        model=acting_on({"tool": "ask-person", "input": {"question": "how much?"}}, then=gives_in),
        acts=often(people.reject),
        tasks=(goal(),),
    ),
    agents(
        "the same wish that is always rejected",
        ("blocked:controller_stuck",),
        config=config(asked={}, budgets={"stuck": 3}),
        model=_and_again(call("risky")),
        acts=often(people.reject, times=5),
        tasks=(goal(),),
        verify=verdicts.started(),
    ),
    agents(
        "a task's own call that is asked for",
        ("completed", _RECONCILE),
        config=config(
            policies=[
                {"id": "careful", "effect": "ask", "tool": "risky", "origin": "task"},
                {"id": "own", "effect": "deny", "tool": "*", "origin": "controller"},
            ]
        ),
        acts=_APPROVED,
        tasks=(goal(call("risky")),),
        verify=verdicts.started("risky"),
    ),
    agents(
        "denied by now",
        ("blocked:controller",),
        config=config(asked={}),
        later=expecting("deny", asked={}),
        model=acting_on(call("risky"), then=gives_in),
        acts=((0.5, people.reconfigured), (0.6, drain), *often(people.approve, begin_s=0.7)),
        tasks=(goal(),),
        verify=verdicts.started(),
    ),
    agents(
        "asked for by another rule by now",
        ("completed", _RECONCILE),
        config=config(asked={}),
        later=expecting(asked={}),
        model=acting_on(call("risky"), then=gives_in),
        acts=((0.5, people.reconfigured), (0.6, drain), *often(people.approve, begin_s=0.7)),
        tasks=(goal(),),
        verify=verdicts.started("risky"),
    ),
    agents(
        "approved while another call goes on",
        ("completed", _RECONCILE),
        config=config(asked={}),
        model=acting_on(call("risky"), call("work", program="slow"), then=gives_in),
        acts=((0.4, people.approve), *_APPROVED),
        tasks=(goal(),),
        verify=verdicts.started("risky", "slow"),
    ),
    agents(
        "approved while it is not known whether another one happened",
        ("completed", _RECONCILE),
        config=config(asked={}),
        model=acting_on(*_PAIR, then=gives_in),
        acts=_APPROVED,
        tasks=(goal(),),
        verify=verdicts.started("pay", "risky"),
    ),
    agents(
        "runs out while it is not known whether another one happened",
        ("completed", "blocked:controller", _RECONCILE),
        config=expecting(asked={}, policy={"expires_s": 2}),
        model=acting_on(*_PAIR),
        tasks=(goal(),),
        verify=verdicts.started("pay"),
    ),
    agents(
        "it did happen",
        _DONE,
        config=config(asked={}),
        model=acting_on(*_PAIR, then=gives_in),
        acts=often(people.approve, people.happened, times=16),
        tasks=(goal(),),
        verify=verdicts.started("pay", "risky"),
    ),
    agents(
        "it did not happen",
        _DONE,
        config=config(asked={}),
        model=acting_on(*_PAIR, fetch("pay-web", "pay", "POST"), then=gives_in),
        acts=often(people.did_not_happen, people.approve, times=16),
        tasks=(goal(),),
    ),
)
