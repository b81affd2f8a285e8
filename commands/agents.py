"""Tasks for agents: what `rt do` and `rt reply` make of a goal, a profile and a controller."""

from pathlib import Path
from typing import Any

import typer

from commands.brought import Brought, carried
from commands.invocation import invocation
from commands.surroundings import conversation
from commands.wiring import Runtime
from domain import agents, errors, routing
from domain.agent_config import MODELS
from domain.config import AGENT
from domain.middleware import fallbacks
from domain.routed import Chosen


def agent_document(
    runtime: Runtime,
    *,
    goal: str,
    shell: str | None,
    agent: str,
    controller: str,
    phrases: tuple[list[str], list[str]],
    brought: Brought,
    thread: str,
    timeout: float,
) -> tuple[dict[str, Any], Chosen | None]:
    """The task input of a goal or a watched command, and how its profile was chosen, where it was not named.

    Raises Invalid, naming the ways that there are.
    """
    argv = ["/bin/sh", "-c", shell] if shell is not None else list(invocation.tail or ())
    if bool(goal) and bool(argv):
        raise typer.BadParameter("give one of them: a goal, or a command")
    profile, chosen = (_named(agent), None) if argv else _chosen(runtime, goal, agent, thread)
    payload, adapter = _begun(runtime, profile)
    cancel_on, finish_on = phrases
    if argv and adapter is None:
        why = f"profile {profile!r} gives a prompt to its adapter and watches no command; give it a goal in words"
        raise errors.Invalid(where="--agent", why=why)
    if argv:
        payload |= {"argv": argv, "goal": f"watch: {' '.join(argv)}"[:2000]}
        if cancel_on or finish_on:
            payload |= {"cancel_on": cancel_on, "finish_on": finish_on}
    elif cancel_on or finish_on:
        raise errors.Invalid(where="--cancel-on", why="watches a command; put it behind --")
    else:
        payload["goal"] = goal
        check_serves(runtime, profile, controller)
    if controller:
        payload["controller"] = controller
        known_controller(runtime, controller)
    payload |= carried(brought)
    if timeout:
        payload["timeout_s"] = timeout
    subject = " ".join(argv) or goal
    document = {
        "kind": "watch" if argv else "goal",
        "source": "cli",
        "subject": "".join(each if each.isprintable() else " " for each in subject)[:200],
        "payload": payload,
        "requested_adapter": adapter,
        "requested_profile": profile,
    }
    return document | ({"thread": thread} if thread else {}), chosen


def _begun(runtime: Runtime, profile: str) -> tuple[dict[str, Any], str | None]:
    """What a payload begins with, and who serves the profile: our own agents, or the adapter that it names."""
    if agents.profile(runtime.config, profile).program == "one_shot":
        return {}, None  # the adapter has a folder of its own
    return {"cwd": str(Path.cwd())}, AGENT


def _named(agent: str) -> str:
    return agent if agent not in ("", "auto") else "watch"


def _chosen(runtime: Runtime, goal: str, agent: str, thread: str) -> tuple[str, Chosen | None]:
    """The profile for a goal; where it was chosen and not named, how."""
    if _named(agent) == agent:
        return agent, None
    chosen = _route(runtime, goal, agent, thread)
    if chosen is not None:
        return chosen.routed.selected, chosen
    if agent == "auto":
        raise _nobody()
    return _named(agent), None


def known_controller(runtime: Runtime, name: str) -> None:
    """Raises UnknownController."""
    known = agents.controllers(runtime.config)
    if name not in known:
        raise errors.UnknownController(name=name, known=", ".join(known))


def check_serves(runtime: Runtime, profile: str, controller: str) -> None:
    """A goal in words needs somebody who understands words: the controller, one that takes over from it, an adapter."""
    if agents.profile(runtime.config, profile).program == "one_shot":
        if controller:
            why = f"profile {profile!r} gives a prompt to its adapter; leave --controller out"
            raise errors.Invalid(where="--controller", why=why)
        return
    names = [controller]
    if not controller:
        found = agents.profile(runtime.config, profile)
        names = [found.controller, *fallbacks(found)]
    reasons = [_why_not(runtime, profile, name) for name in names]
    if all(reasons):
        raise errors.Invalid(where="the goal", why=reasons[0])


def _why_not(runtime: Runtime, profile: str, controller: str) -> str:
    """Why a controller cannot serve a goal in words; empty where it can."""
    found = agents.controllers(runtime.config).get(controller)
    if found is not None and found.kind == "rules" and not found.rules:
        return (
            f"the rules of profile {profile!r} understand no words; name a model with --controller qwen or openai,"
            " a profile that has one with --agent, or run a command with -- ARGV"
        )
    model = (MODELS | runtime.config.models).get(found.model) if found is not None and found.kind == "openai" else None
    if model is not None and model.key_env and not runtime.environment.all().get(model.key_env):
        return (
            f"the model of {controller!r} needs the variable {model.key_env}, which is not set; set it, or name a model"
            " that needs none in [models.NAME] (docs/agents.md)"
        )
    return ""


def routed_document(runtime: Runtime, *, goal: str, agent: str, thread: str = "") -> tuple[dict[str, Any], Chosen]:
    """The task input of a goal whose profile is chosen: by name, by the thread, by rules, by a model, by default.

    Raises UnknownProfile, and Invalid where nothing chooses one.
    """
    chosen = _route(runtime, goal, agent, thread)
    if chosen is None:
        raise _nobody()
    payload, adapter = _begun(runtime, chosen.routed.selected)
    document = {
        "kind": "goal",
        "source": "cli",
        "subject": "".join(each if each.isprintable() else " " for each in goal)[:200],
        "payload": payload | {"goal": goal},
        "requested_adapter": adapter,
        "requested_profile": chosen.routed.selected,
        "thread": thread or None,
    }
    return document, chosen


def _route(runtime: Runtime, goal: str, agent: str, thread: str = "") -> Chosen | None:
    given = routing.Input(text=goal, source="cli", kind="goal", requested=agent, thread_profile=_of(runtime, thread))
    routed = routing.route(runtime.config, given)
    if routed is None and runtime.config.routing.model:
        from commands.router import ask

        return ask(runtime, given)
    routed = routed or routing.default(runtime.config, given)
    return Chosen(routed) if routed is not None else None


def _nobody() -> errors.Invalid:
    why = "no rule of [routing] matches and it has no default; name a profile (rt profile list)"
    return errors.Invalid(where="the goal", why=why)


def _of(runtime: Runtime, thread: str) -> str:
    """The profile of a thread: that of its latest message."""
    if not thread or not (runtime.home.state / "log.db").exists():
        return ""
    spoken = conversation(runtime.readable, thread, most=1)
    return spoken[-1].profile if spoken else ""
