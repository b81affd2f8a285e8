"""Scenarios of agents that are replaced, summarized for, that remember, and that are denied: whatever dies when."""

from collections.abc import Iterator
from typing import Any

import msgspec

from domain.agent_config import ModelConfig, ModelFallback, SummarizeHistory, ToolConfig
from domain.agent_events import ControllerReplaced, HistorySummarized, MemoryForgotten, MemoryKept
from domain.config import Config
from domain.payload import Payload
from domain.ports import Request
from tests.simulation import people, verdicts
from tests.simulation.agent_scenarios import agents
from tests.simulation.agent_world import (
    NEVER,
    Answer,
    Model,
    acting_on,
    broken,
    call,
    config,
    finish,
    goal,
    said,
    shown,
    tools,
    wait,
)
from tests.simulation.models import always
from tests.simulation.people import often
from tests.simulation.plan import Scenario
from tests.simulation.scenarios import drain, stop
from tests.simulation.simulator import Simulation

_DONE = ("completed",)
_DENIED = ("blocked:denied_by_policy",)
_OTHER = ModelConfig(base_url="http://model/v1", name="other", private=True, timeout_s=2)
_MEMORY = {"memory": ToolConfig(kind="memory", effect="idempotent")}


def two(*middleware: ModelFallback | SummarizeHistory, **given: Any) -> Config:  # noqa: ANN401  # fields of a profile
    """A profile with two models, of which the second one is called "other"."""
    made = config(asked={"retries": 1}, middleware=middleware, **given)
    return msgspec.structs.replace(made, models=made.models | {"other": _OTHER})


def by_name(**models: Model) -> Model:
    """Each model answers in its own way."""

    def answer(number: int, request: Request) -> Answer:
        name = msgspec.json.decode(request.body)["model"]
        return models[name](number, request)

    return answer


def fails_later(_: int, request: Request) -> Answer:
    """Starts a tool, and never answers again."""
    return tools(call("work")) if "start" in shown(request)["triggers"] else broken(500)


def made(kind: type[Payload], times: int) -> verdicts.Verdict:
    """So many of these were recorded."""

    def verdict(simulation: Simulation) -> Iterator[str]:
        events = simulation.log.read(0, len(simulation.log.rows))
        found = sum(isinstance(event.data, kind) for event in events)
        if found != times:
            yield f"{found} of {kind.__name__}, expected {times}"

    return verdict


def remember(key: str = "k", **more: str) -> dict[str, Any]:
    return {"tool": "memory", "input": {"do": "remember", "key": key, "text": "it is so"} | more}


def one_by_one(*calls: dict[str, Any]) -> Model:
    """Makes these calls, each when the one before is over."""

    def model(_: int, request: Request) -> Answer:
        seen = shown(request)
        if seen["path"] == "fast" or seen["active_calls"] or seen["waiting_for_approval"]:
            return wait()
        over = sum(each["type"] == "observation" for each in seen["recentEvents"])
        return tools(calls[over]) if over < len(calls) else finish()

    return model


def remembering(name: str, *ends: tuple[str, ...], **given: Any) -> Scenario:  # noqa: ANN401  # fields of Scenario
    """An agent that remembers, for a thread unless it says otherwise."""
    plain = {"config": config(asked={}, tools=_MEMORY), "tasks": (_of_thread(),)}
    return agents(name, *ends, **(plain | given))


def _of_thread(thread: str = "talk") -> dict[str, Any]:
    return goal() | {"thread": thread}


_FALLBACK = ModelFallback(controllers=("other",))
_SUMMARY = SummarizeHistory(model="other")
_FORGET = {"tool": "memory", "input": {"do": "forget", "key": "k"}}

REPLACED = (
    agents(
        "another model takes over at once",
        _DONE,
        config=two(_FALLBACK),
        model=by_name(m=always(broken(401)), other=acting_on(call("work"))),
        tasks=(goal(),),
        verify=made(ControllerReplaced, 1),
    ),
    agents(
        "another model takes over while a tool runs",
        _DONE,
        config=two(_FALLBACK),
        model=by_name(m=fails_later, other=acting_on(call("work"))),
        tasks=(goal(),),
        verify=made(ControllerReplaced, 1),
    ),
    agents(
        "another model takes over and fails as well",
        ("blocked:controller_failed",),
        config=two(_FALLBACK),
        model=always(broken(500)),
        tasks=(goal(),),
        verify=made(ControllerReplaced, 1),
    ),
)

_THREE = (_of_thread(),) * 3
SUMMARIZED = (
    agents(
        "a summary",
        *[_DONE] * 3,
        config=two(_SUMMARY, limits={"history_messages": 1}),
        model=by_name(m=always(finish()), other=always(said("They said hello."))),
        tasks=_THREE,
        verify=made(HistorySummarized, 2),
    ),
    agents(
        "a summary that never comes",
        *[_DONE] * 3,
        config=two(_SUMMARY, limits={"history_messages": 1}),
        model=by_name(m=always(finish()), other=always((NEVER, said("late")[1]))),
        tasks=_THREE,
        verify=made(HistorySummarized, 2),
    ),
    agents(
        "canceled while a summary is asked for",
        ("completed", "operator_canceled"),
        ("operator_canceled", "completed"),
        config=two(_SUMMARY, limits={"history_messages": 1}),
        model=by_name(m=always(finish()), other=always((1.0, said("late")[1]))),
        tasks=_THREE[:2],
        acts=((0.6, people.cancel),),
    ),
)

REMEMBERED = (
    remembering("remembers", _DONE, model=acting_on(remember()), verify=made(MemoryKept, 1)),
    remembering(
        "remembers two things at once",
        _DONE,
        model=acting_on(remember("a"), remember("b")),
        verify=made(MemoryKept, 2),
    ),
    remembering(
        "remembers and forgets",
        _DONE,
        model=one_by_one(remember(), _FORGET),
        verify=made(MemoryForgotten, 1),
    ),
    remembering(
        "remembers for all with a yes",
        _DONE,
        model=acting_on(remember(scope="workspace")),
        acts=often(people.approve),
        verify=made(MemoryKept, 1),
    ),
    remembering(
        "remembers nothing for all with a no",
        _DONE,
        model=acting_on(remember(scope="workspace")),
        acts=often(people.reject),
        verify=made(MemoryKept, 0),
    ),
    remembering(
        "two remember at once",
        _DONE,
        _DONE,
        nodes=2,
        tasks=(_of_thread("a"), _of_thread("b")),
        model=acting_on(remember(scope="user")),
        acts=often(people.approve),
        verify=made(MemoryKept, 2),
    ),
    remembering("stopped while it remembers", _DONE, model=acting_on(remember()), acts=((0.06, stop), (0.12, stop))),
)

_FROZEN = config(asked={}, policies=[{"id": "frozen", "effect": "deny", "on": "run", "reason": "not today"}])
DENIED = (
    agents(
        "the run is denied by now",
        _DENIED,
        config=config(asked={}),
        later=_FROZEN,
        model=acting_on(call("risky")),
        acts=((0.5, people.reconfigured), (0.6, drain), *often(people.approve, begin_s=0.7)),
        tasks=(goal(),),
        verify=verdicts.started(),
    ),
    agents(
        "the run is denied while its tool runs",
        _DENIED,
        config=config(asked={}),
        later=_FROZEN,
        model=acting_on(call("work", program="long")),
        acts=((0.5, people.reconfigured), (0.6, stop)),
        tasks=(goal(),),
        verify=verdicts.started("long"),
    ),
    agents(
        "no run may begin",
        _DENIED,
        _DENIED,
        config=_FROZEN,
        tasks=(goal(call("work")), {"kind": "command", "source": "test", "payload": {"argv": ["work"]}}),
        verify=verdicts.started(),
    ),
)

MORE: tuple[Scenario, ...] = (*REPLACED, *SUMMARIZED, *REMEMBERED, *DENIED)
