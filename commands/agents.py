"""Tasks for agents: what `rt do` and `rt reply` make of a goal, a profile and a controller."""

from pathlib import Path
from typing import Any

import typer

from commands import documents
from commands.options import invocation
from commands.wiring import Runtime
from domain import agents, errors
from domain.config import AGENT


def agent_document(
    runtime: Runtime,
    *,
    goal: str,
    shell: str | None,
    agent: str,
    controller: str,
    phrases: tuple[list[str], list[str]],
    context: str | None,
    timeout: float,
) -> dict[str, Any]:
    """The task input of a goal or a watched command. Raises Invalid, naming the ways that there are."""
    argv = ["/bin/sh", "-c", shell] if shell is not None else list(invocation.tail or ())
    if bool(goal) and bool(argv):
        raise typer.BadParameter("give one of them: a goal, or a command")
    profile = agent or ("watch" if argv else runtime.config.routing.default or "watch")
    payload: dict[str, Any] = {"cwd": str(Path.cwd())}
    cancel_on, finish_on = phrases
    if argv:
        payload |= {"argv": argv, "goal": f"watch: {' '.join(argv)}"[:2000]}
        if cancel_on or finish_on:
            payload |= {"cancel_on": cancel_on, "finish_on": finish_on}
    elif cancel_on or finish_on:
        raise errors.Invalid(where="--cancel-on", why="watches a command; put it behind --")
    else:
        payload["goal"] = goal
        _check_serves(runtime, profile, controller)
    if controller:
        payload["controller"] = controller
        _known_controller(runtime, controller)
    if context is not None:
        payload["context"] = _object(context)
    if timeout:
        payload["timeout_s"] = timeout
    subject = " ".join(argv) or goal
    return {
        "kind": "watch" if argv else "goal",
        "source": "cli",
        "subject": "".join(each if each.isprintable() else " " for each in subject)[:200],
        "payload": payload,
        "requested_adapter": AGENT,
        "requested_profile": profile,
    }


def _object(context: str) -> dict[str, Any]:
    given = documents.read(context, "--context")
    if not isinstance(given, dict):
        raise errors.Invalid(where="--context", why=f"expected an object, got {type(given).__name__}")
    return given


def _known_controller(runtime: Runtime, name: str) -> None:
    known = agents.controllers(runtime.config)
    if name not in known:
        raise errors.UnknownController(name=name, known=", ".join(known))


def _check_serves(runtime: Runtime, profile: str, controller: str) -> None:
    """A goal in words needs somebody who understands words."""
    if not controller:
        controller = agents.profile(runtime.config, profile).controller
    found = agents.controllers(runtime.config).get(controller)
    if found is not None and found.kind == "rules" and not found.rules:
        why = (
            f"the rules of profile {profile!r} understand no words; name a model with --controller qwen or openai,"
            " a profile that has one with --agent, or run a command with -- ARGV"
        )
        raise errors.Invalid(where="the goal", why=why)
