"""Commands that take work in and carry it out: do, intake, run-once, work."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import documents, options, render
from commands.invocation import invocation
from commands.taking_in import announce, check, take_in
from domain import errors
from domain.config import BUILT_IN

if TYPE_CHECKING:
    from commands.dispatch import Dispatcher
    from commands.taking_in import Taken
    from commands.wiring import Runtime
    from domain.intake import Accepted
    from domain.routed import Chosen


def do(  # the options of the everyday command
    goal: Annotated[
        list[str] | None, typer.Argument(metavar="[GOAL]", help="`demo [NAME]`, or a goal for --agent or --adapter.")
    ] = None,
    shell: Annotated[str | None, typer.Option("--shell", help="A line for /bin/sh, instead of -- ARGV.")] = None,
    adapter: Annotated[str, typer.Option("--adapter", help="A configured adapter, instead of running ARGV.")] = "",
    attempts: Annotated[int, typer.Option("--attempts", min=1, max=100, help="Attempts allowed.")] = 1,
    timeout: Annotated[float, typer.Option("--timeout", min=0, help="Seconds until it is ended; 0 = none.")] = 0,
    cancel_on: Annotated[
        list[str] | None, typer.Option("--cancel-on", help="End ARGV when it prints this phrase, as failed.")
    ] = None,
    finish_on: Annotated[
        list[str] | None, typer.Option("--finish-on", help="End ARGV when it prints this phrase, as completed.")
    ] = None,
    agent: Annotated[str, typer.Option("--agent", help="A profile that serves the goal, or auto.")] = "",
    controller: Annotated[str, typer.Option("--controller", help="Who decides, instead of the profile's own.")] = "",
    context: Annotated[
        str | None, typer.Option("--context", help="An object for the agent: JSON, @file, or -.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Take in a task, run it here and follow it."""
    if goal and goal[0] == "demo" and len(goal) <= 2 and invocation.tail is None and shell is None and not adapter:  # noqa: PLR2004
        from commands import demo

        raise typer.Exit(demo.run(invocation.runtime(create=True), goal[1] if len(goal) > 1 else "retry", controller))
    runtime = invocation.runtime(create=True)
    routes = runtime.config.routing
    serves_goals = bool(routes.default or routes.rules or routes.model)
    if cancel_on or finish_on or agent or controller or (goal and not adapter and serves_goals):
        from commands.agents import agent_document

        wanted, chosen = agent_document(
            runtime,
            goal=" ".join(goal or ()),
            shell=shell,
            agent=agent,
            controller=controller,
            phrases=(cancel_on or [], finish_on or []),
            context=context,
            timeout=timeout,
        )
        from commands.session import run_here

        raise typer.Exit(run_here(runtime, wanted | {"max_attempts": attempts}, chosen, as_json=as_json))
    payload = _payload(" ".join(goal or ()), shell, adapter)
    if timeout:
        payload["timeout_s"] = timeout
    subject = " ".join(payload["argv"]) if "argv" in payload else shell or payload.get("objective", "")
    document = {
        "kind": "command" if "objective" not in payload else "goal",
        "source": "cli",
        "subject": "".join(each if each.isprintable() else " " for each in subject)[:200],
        "payload": payload,
        "max_attempts": attempts,
        "requested_adapter": adapter or BUILT_IN,
    }
    from commands.session import run_here

    raise typer.Exit(run_here(runtime, document, as_json=as_json))


def _payload(goal: str, shell: str | None, adapter: str) -> dict[str, Any]:
    given = [name for name, there in (("a goal", goal), ("--shell", shell), ("-- ARGV", invocation.tail)) if there]
    if len(given) > 1:
        raise typer.BadParameter(f"give one of them: {' or '.join(given)}")
    if invocation.tail is not None:
        if not invocation.tail:
            raise errors.Invalid(where="-- ARGV", why="there is no command behind --")
        return (
            {"argv": list(invocation.tail), "cwd": str(Path.cwd())} if not adapter else {"args": list(invocation.tail)}
        )
    if shell is not None:
        return {"shell": shell, "cwd": str(Path.cwd())}
    if goal and adapter and adapter != BUILT_IN:
        return {"objective": goal}
    if goal:
        ways = (
            "run a command with -- ARGV or --shell LINE, name a profile with --agent (rt profile list), a model with"
            " --controller qwen or openai, or an adapter that can with --adapter"
        )
        raise errors.Invalid(where="the goal", why=f"no configured controller serves a goal in words; {ways}")
    if adapter and adapter != BUILT_IN:
        return {}
    raise errors.Invalid(where="rt do", why="nothing to do; for example: rt do -- git log --stat")


def intake(  # the fields of a task
    document: Annotated[str | None, typer.Argument(metavar="[DOC]", help="JSON text, @file, or - for stdin.")] = None,
    payload: Annotated[str | None, typer.Option("--payload", help="The payload: JSON text, @file, or -.")] = None,
    goal: Annotated[str | None, typer.Option("--goal", help="A goal in words, for --adapter.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="What sort of work it is.")] = None,
    source: Annotated[str, typer.Option("--source", help="Where it comes from.")] = "cli",
    subject: Annotated[str | None, typer.Option("--subject", help="One line for people.")] = None,
    priority: Annotated[int | None, typer.Option("--priority", help="-1000 to 1000; larger is sooner.")] = None,
    adapter: Annotated[str | None, typer.Option("--adapter", help="Who shall run it.")] = None,
    profile: Annotated[str | None, typer.Option("--profile", help="An agent for the goal, or auto.")] = None,
    attempts: Annotated[int | None, typer.Option("--attempts", help="Attempts allowed, 1 to 100.")] = None,
    at: Annotated[str | None, typer.Option("--at", help="Not before this time.")] = None,
    delay: Annotated[float | None, typer.Option("--in-minutes", help="Not before so many minutes from now.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="The same key twice is the same task.")] = None,
    as_json: options.Json = False,
) -> None:
    """Take in a task."""
    runtime = invocation.runtime(create=True)
    if document is not None:
        if any(each is not None for each in (payload, goal, kind, subject, invocation.tail)):
            raise typer.BadParameter("a document brings its own fields; give either DOC or the options")
        whole = documents.read(document, "task")
    else:
        content = _intake_payload(payload, goal)
        whole = {"kind": kind or ("command" if "argv" in content else "goal"), "source": source, "payload": content}
        if subject is None and "argv" in content:
            subject = "".join(each if each.isprintable() else " " for each in " ".join(content["argv"]))[:200]
    served, chosen = _served(runtime, profile, whole)
    extra = {
        "subject": subject,
        "priority": priority,
        "requested_adapter": adapter,
        **served,
        "max_attempts": attempts,
        "available_at": at,
        "schedule": None if delay is None else {"delay_minutes": delay},
        "idempotency_key": key,
    }
    if isinstance(whole, dict):
        whole = whole | {name: value for name, value in extra.items() if value is not None}
    accepted = check(runtime, whole, chosen)
    announce(runtime)
    taken = take_in(runtime, accepted)
    answer = {
        "queued": True,
        "task_id": taken.task,
        "profile": accepted.event.profile,
        "available_at": render.moment_us(accepted.event.due_at_us) if accepted.event.due_at_us else None,
        "deduplicated": taken.deduplicated,
        "ignored_keys": list(accepted.ignored_keys),
        "position": taken.position,
    }
    runtime.close()
    _queued(taken, accepted, answer, as_json=as_json)


def _queued(taken: "Taken", accepted: "Accepted", answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        render.document("rt.intake.v1", answer)
        return
    render.out(f"{'known' if taken.deduplicated else 'queued'}: task {taken.task[:8]} at position {taken.position}")
    if accepted.ignored_keys:
        render.note(f"ignored keys: {', '.join(accepted.ignored_keys)}")


def _served(runtime: "Runtime", profile: str | None, whole: object) -> "tuple[dict[str, Any], Chosen | None]":
    """The fields by which an agent serves the task, and how it was chosen."""
    if profile is None:
        return {}, None
    from commands.agents import routed_document

    payload = whole.get("payload") if isinstance(whole, dict) else None
    goal = payload.get("objective") or payload.get("goal") or "" if isinstance(payload, dict) else ""
    made, chosen = routed_document(runtime, goal=str(goal), agent=profile)
    return {name: made[name] for name in ("requested_adapter", "requested_profile")}, chosen


def _intake_payload(payload: str | None, goal: str | None) -> dict[str, Any]:
    given = [each for each in (payload, goal, invocation.tail) if each is not None]
    if len(given) != 1:
        raise errors.Invalid(where="rt intake", why="give one of: DOC, --payload DOC, --goal TEXT, -- ARGV")
    if invocation.tail is not None:
        return {"argv": list(invocation.tail), "cwd": str(Path.cwd())}
    if goal is not None:
        return {"objective": goal}
    content = documents.read(payload or "", "task.payload")
    if not isinstance(content, dict):
        raise errors.Invalid(where="task.payload", why=f"expected an object, got {type(content).__name__}")
    return content


def run_once(
    fail_on_outcome: Annotated[bool, typer.Option("--fail-on-outcome", help="Exit 1 when the run failed.")] = False,
    as_json: options.Json = False,
) -> None:
    """Drive at most one run."""
    from commands.dispatch import Dispatcher
    from commands.follow import Printer
    from commands.session import dispatch, exit_status

    options.no_tail()
    runtime = invocation.runtime()
    shown = Printer(output=False, quiet=as_json)

    async def body(dispatcher: "Dispatcher") -> None:
        await dispatcher.work(most=1, until=lambda: True)

    interrupted = dispatch(runtime, 1, shown.events, body, Dispatcher.drain)
    task = runtime.log.task(shown.tasks[-1]) if shown.tasks else None
    paused = runtime.log.paused()
    position = runtime.log.head().position
    runtime.close()
    status = task.status.value if task else "paused" if paused else "idle"
    if as_json:
        ids = {"task_id": task.task, "attempt_id": task.run, "cause": task.cause} if task else {}
        render.document("rt.cycle.v1", {"ok": True, "status": status, "position": position} | ids)
    elif task is None:
        render.out(f"{status}: nothing was run")
    if interrupted:
        raise typer.Exit(interrupted)
    if fail_on_outcome and task is not None:
        raise typer.Exit(exit_status(task))


def work(
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="Stop when nothing runs and nothing is due.")
    ] = False,
    concurrency: options.Concurrency = None,
    as_json: options.Json = False,
) -> None:
    """Dispatch until stopped."""
    from commands.dispatch import Dispatcher
    from commands.follow import Printer
    from commands.session import dispatch

    options.no_tail()
    runtime = invocation.runtime()
    shown = Printer(output=False, quiet=as_json)
    slots = concurrency or runtime.config.work.concurrency

    def idle() -> bool:
        return until_idle and (runtime.log.paused() or not runtime.log.ready(runtime.clock.now_us(), 1))

    async def body(dispatcher: "Dispatcher") -> None:
        render.note(f"dispatcher {dispatcher.id[:8]} works, {slots} runs side by side; Ctrl-C drains, twice stops")
        await dispatcher.work(until=idle)

    interrupted = dispatch(runtime, slots, shown.events, body, Dispatcher.drain)
    due_us = runtime.log.next_due_us()
    answer = {
        "position": runtime.log.head().position,
        "runs": shown.ended,
        "paused": runtime.log.paused(),
        "next_due_at": render.moment_us(due_us) if due_us else None,
    }
    runtime.close()
    if as_json:
        render.document("rt.work.v1", answer)
    else:
        waiting = f"; the next task is due at {answer['next_due_at']}" if due_us else ""
        render.note(f"{shown.ended} runs ended{'; dispatching is paused' if answer['paused'] else ''}{waiting}")
    raise typer.Exit(interrupted)
