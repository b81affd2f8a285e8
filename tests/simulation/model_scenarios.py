"""Scenarios of controllers that are asked: late, wrong, never; budgets; cancels at any time; several dispatchers."""

from collections.abc import Iterator
from typing import Any

from adapters.process_fake import Print, Program, Sleep
from commands import answers
from commands.answers import Scope
from domain import mind as minds
from domain.mind import Mind
from tests.simulation import people, verdicts
from tests.simulation.agent_scenarios import APPROVALS, WATCHING, agents, gives_in
from tests.simulation.agent_world import (
    EVERYTHING,
    NEVER,
    acting_on,
    broken,
    call,
    config,
    decided,
    fetch,
    finish,
    goal,
    said,
    shown,
    tools,
)
from tests.simulation.models import (
    again_and_again,
    always,
    cancels,
    cancels_at_once,
    chats,
    every_other,
    pays_first,
    waits_first,
)
from tests.simulation.more_scenarios import MORE
from tests.simulation.people import often
from tests.simulation.plan import Act, Scenario
from tests.simulation.scenarios import chatty, drain, lose_lock, stop
from tests.simulation.simulator import Simulation

_DONE = ("completed",)
_CANCELED = ("operator_canceled",)
_MAYBE = ("operator_canceled", "completed")
_RECONCILE = "blocked:needs_reconcile"
_FAILED = ("blocked:controller_failed",)


def asking(name: str, *ends: tuple[str, ...], **given: Any) -> Scenario:  # noqa: ANN401  # the fields of Scenario
    """A model decides."""
    defaults = {"config": config(asked={}), "tasks": (goal(),), "model": acting_on(call("work"))}
    return agents(name, *ends, **(defaults | given))


def within(seconds: float) -> verdicts.Verdict:
    """The run ends in time."""

    def verdict(simulation: Simulation) -> Iterator[str]:
        events = simulation.log.read(0, len(simulation.log.rows))
        took_s = (events[-1].at_us - events[0].at_us) / 1_000_000
        if took_s > seconds:
            yield f"it took {took_s:.1f} s, at most {seconds} s were allowed"

    return verdict


def _granting(simulation: Simulation, run: str, mind: Mind) -> None:
    for each in minds.pending(mind):
        now = people.who(simulation)
        scope = Scope(simulation.ids.new(), now.at_us + 3_600_000_000, {"command": "w*"})
        answers.approve(simulation.desk, run, each.call, now, scope=scope)


def _stops(*times_s: float) -> tuple[tuple[float, Act], ...]:
    return tuple((at_s, stop) for at_s in times_s)


ANSWERS = (
    asking("asked and done", _DONE, model=always(finish())),
    asking("a tool and done", _DONE),
    asking("gives up", ("permanent_failure:controller",), model=always(finish("no", "failed"))),
    asking("cancels what runs", _DONE, model=cancels),
    asking("cancels all and is done", _DONE, model=cancels_at_once),
    asking("waits for a while", _DONE, model=waits_first),
    asking("every other answer is garbage", _DONE, model=every_other(said("I think that"), acting_on(call("work")))),
    asking(
        "every other answer is too many requests",
        _DONE,
        model=every_other(broken(429, **{"retry-after": "1"}), acting_on(call("work"))),
    ),
    asking(
        "every other answer is late",
        _DONE,
        model=every_other(finish()[1:] and (3.0, finish()[1]), acting_on(call("work"))),
    ),
    asking("every other answer never comes", _DONE, model=every_other((NEVER, finish()[1]), acting_on(call("work")))),
    asking("garbage only", _FAILED, model=always(said("I think that"))),
    asking("no model at all", _FAILED, model=always(broken(404))),
    asking(
        "never an answer, no retry", _FAILED, model=always((NEVER, finish()[1])), config=config(asked={"retries": 0})
    ),
    asking(
        "never an answer, and rules that decide instead",
        _DONE,
        model=always(broken(500)),
        tasks=(goal(call("work")),),
        config=config(asked={}, budgets={"errors": 30}),
    ),
    asking(
        "never an answer, and no rules",
        _FAILED,
        model=always(broken(500)),
        tasks=(goal(call("work")),),
        config=config(asked={"fallback": False, "retries": 1}),
    ),
    asking("no key", _FAILED, config=config(asked={}, model={"key_env": "NO_SUCH_KEY"})),
    asking(
        "a program is asked",
        _DONE,
        config=config(asked={"kind": "command", "argv": ("oracle",), "model": ""}),
        programs=EVERYTHING | {"oracle": (Program(steps=(Sleep(0.1), Print(b'{"type":"finish","message":"so"}'))),)},
    ),
    asking(
        "a program is asked that never answers",
        _FAILED,
        config=config(
            asked={"kind": "command", "argv": ("oracle",), "model": "", "timeout_s": 1, "retries": 1, "fallback": False}
        ),
        programs=EVERYTHING | {"oracle": (Program(steps=(Sleep(500),), ignores_term=True, ignores_pipe=True),)},
    ),
)

_SERVE = acting_on(call("work", program="long"))

BUDGETS = (
    asking(
        "always asks for tools",
        ("blocked:budget:tool_calls",),
        model=always(tools(call("work"))),
        config=config(asked={"fast": False}, budgets={"tool_calls": 3}),
    ),
    asking(
        "always asks for three tools",
        ("blocked:budget:tool_calls", _RECONCILE),
        model=always(tools(call("work"), call("pay"), call("work"))),
        config=config(asked={"fast": False}, budgets={"tool_calls": 4}),
    ),
    asking(
        "always decides",
        ("blocked:budget:decisions",),
        model=always(tools(call("work"))),
        config=config(asked={}, budgets={"decisions": 4}),
    ),
    asking("always waits", ("blocked:controller_stuck",), model=always(decided(type="wait"))),
    asking(
        "the same call, always refused",
        ("blocked:controller_stuck",),
        model=always(tools(call("forbidden"))),
        verify=verdicts.started(),
    ),
    asking("a tool that there is not", ("blocked:controller_stuck",), model=always(tools(call("wrok")))),
    asking(
        "spends its tokens",
        ("blocked:budget:tokens",),
        model=always(tools(call("work"))),
        config=config(asked={"fast": False}, budgets={"tokens": 4600}),
    ),
    asking(
        "out of time while it is asked",
        ("blocked:budget:wall",),
        model=always((NEVER, finish()[1])),
        config=config(asked={}, budgets={"wall_s": 1}),
    ),
    asking(
        "out of time between two answers",
        ("blocked:budget:wall",),
        model=always(broken(500)),
        config=config(asked={"retries": 20, "retry_s": 5}, budgets={"wall_s": 3, "errors": 0}),
    ),
    asking(
        "errors",
        ("blocked:controller_failed",),
        model=always(said("?")),
        config=config(asked={}, budgets={"errors": 2}),
    ),
    asking(
        "recovers once, and then begins again",
        _DONE,
        config=config(asked={}, budgets={"recoveries": 1}),
    ),
    asking(
        "recovers once, and does not begin again what happened",
        ("completed", "blocked:recoveries_exhausted", _RECONCILE),
        config=config(asked={}, budgets={"recoveries": 1}),
        model=pays_first,
    ),
    asking(
        "out of time though it is stopped again and again",
        ("blocked:budget:wall",),
        config=config(asked={}, budgets={"wall_s": 2}),
        model=_SERVE,
        acts=_stops(0.9, 1.8, 2.7, 3.6, 4.5, 5.4),
        verify=within(4),
    ),
    agents(
        "rules with no limits at all",
        ("blocked:controller_stuck",),
        config=config(rules=[{"when": "start", "then": "wait"}], budgets={"decisions": 0, "stuck": 0}),
    ),
)

CANCELS = (
    *(
        asking(f"canceled at {at_s}", _MAYBE, acts=((at_s, people.cancel),))
        for at_s in (0.01, 0.02, 0.05, 0.06, 0.08, 0.1, 0.3, 0.38)
    ),
    asking("canceled while a tool runs", _CANCELED, model=_SERVE, acts=((0.5, people.cancel),)),
    asking("canceled while it finishes", _MAYBE, model=cancels_at_once, acts=((0.35, people.cancel),)),
    asking(
        "canceled while the model is asked about a tool",
        _CANCELED,
        model=lambda _, r: (
            tools(call("work", program="long")) if "start" in shown(r)["triggers"] else (0.5, finish()[1])
        ),
        config=config(asked={}, limits={"silence_s": 1}),
        acts=((1.4, people.cancel),),
    ),
    asking(
        "canceled while a program is asked",
        _CANCELED,
        config=config(asked={"kind": "command", "argv": ("oracle",), "model": ""}),
        programs=EVERYTHING | {"oracle": (Program(steps=(Sleep(50),), ignores_term=True, ignores_pipe=True),)},
        acts=often(people.cancel, begin_s=0.3, times=3),
    ),
    asking("canceled after a crash", ("completed", "operator_canceled"), on_crash=people.cancel),
    asking("stopped", _DONE, acts=_stops(0.2)),
    asking("stopped while asked", _DONE, acts=_stops(0.08)),
    asking("stopped again and again", _DONE, acts=_stops(0.08, 0.2, 0.4)),
    asking("drained", _DONE, _DONE, acts=((0.2, drain),), tasks=(goal(), goal())),
    asking(
        "stopped while one waits",
        (_RECONCILE, "completed"),
        acts=((0.3, drain), (0.4, people.approve), *_stops(0.42, 0.44, 0.46, 0.5), *often(people.approve)),
        model=acting_on(call("risky")),
    ),
)

_WORKS = acting_on(call("work"), call("risky-work"))

TOGETHER = (
    asking(
        "two dispatchers",
        _DONE,
        _DONE,
        nodes=2,
        tasks=(goal(), goal()),
        model=acting_on(call("risky-work")),
        acts=often(people.approve, times=3),
    ),
    asking(
        "two dispatchers, one slot",
        _DONE,
        _DONE,
        nodes=2,
        concurrency=1,
        tasks=(goal(), goal()),
        model=_WORKS,
        acts=often(people.approve, times=3),
    ),
    asking(
        "two dispatchers and a cancel",
        _MAYBE,
        _MAYBE,
        nodes=2,
        tasks=(goal(), goal()),
        model=_WORKS,
        acts=((0.15, people.cancel), *often(people.approve, times=4)),
    ),
    asking(
        "one that allows and one that denies",
        ("completed", "blocked:controller", _RECONCILE),
        nodes=2,
        model=acting_on(call("risky"), then=gives_in),
        acts=often(people.approve),
        configs=(config(asked={}), config(asked={}, policies=[{"id": "no", "effect": "deny", "tool": "risky*"}])),
    ),
    asking(
        "a standing yes",
        _DONE,
        model=again_and_again,
        acts=often(people.trying(_granting)),
        verify=verdicts.started("work", "work", "work"),
    ),
    asking(
        "many approvals at once",
        *[("completed",)] * 3,
        tasks=(goal(),) * 3,
        concurrency=2,
        model=acting_on(call("risky-work")),
        acts=often(people.approve, begin_s=0.15, every_s=0.13, times=8),
    ),
)

_CHAT: dict[str, Any] = {"program": "chat", "asked": {}}
CHATS = (
    asking("chat", _DONE, config=config(**_CHAT), model=chats(call("work"), fetch("web", "page"))),
    asking(
        "chat that asks",
        ("completed", _RECONCILE),
        config=config(**_CHAT),
        model=chats(call("work"), call("risky")),
        acts=often(people.approve),
    ),
    asking(
        "chat that is told no",
        _DONE,
        config=config(**_CHAT),
        model=chats(call("risky")),
        acts=often(people.reject),
        verify=verdicts.started(),
    ),
    asking(
        "chat that pays",
        ("completed", _RECONCILE),
        config=config(**_CHAT),
        model=chats(call("pay"), fetch("pay-web", "pay", "POST")),
    ),
    asking("streaming chat", _DONE, config=config(**_CHAT, model={"stream": True}), model=chats(call("work"))),
)

SCENARIOS: tuple[Scenario, ...] = (
    *WATCHING, *APPROVALS, *ANSWERS, *BUDGETS, *CANCELS, *TOGETHER, *CHATS, *MORE,
)  # fmt: skip
_TALKS = acting_on(call("work", program="chatty"), call("work", program="slow"))

# A dispatcher that counts as dead without being it: impossible with kernel locks, but not with leases.
LOST_LOCK = asking(
    "an agent's lost lock",
    _DONE,
    nodes=2,
    model=_TALKS,
    programs=EVERYTHING | {"chatty": (chatty(200, 0.005),)},
    acts=((0.5, lose_lock),),
)


def named(name: str) -> Scenario:
    """A scenario by its name."""
    return next(each for each in (*SCENARIOS, LOST_LOCK) if each.name == name)
