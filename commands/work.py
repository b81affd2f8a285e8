"""Commands that take work in and carry it out: do, intake, run-once, work."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from commands import options, render
from commands.brought import Brought
from commands.home import absolute
from commands.invocation import invocation
from domain import errors
from domain.config import AGENT, BUILT_IN

if TYPE_CHECKING:
    from commands.dispatch import Dispatcher
    from commands.wiring import Runtime


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
    state: Annotated[
        str | None, typer.Option("--state", help="An object that is handed on to the agent: JSON, @file, or -.")
    ] = None,
    files: Annotated[
        list[str] | None, typer.Option("--file", help="A text file for the agent, as it is now; more than one is fine.")
    ] = None,
    thread: Annotated[str, typer.Option("--thread", help="A conversation that this belongs to.")] = "",
    as_json: options.Json = False,
) -> None:
    """Take in a task, run it here and follow it."""
    if goal and goal[0] == "demo" and len(goal) <= 2 and invocation.tail is None and shell is None and not adapter:  # noqa: PLR2004
        from commands import demo

        raise typer.Exit(demo.run(invocation.runtime(create=True), goal[1] if len(goal) > 1 else "retry", controller))
    runtime = invocation.runtime(create=True)
    brought = Brought(context, state, tuple(files or ()))
    phrases = (cancel_on or [], finish_on or [])
    from commands.session import refuse_while_paused, run_here

    refuse_while_paused(runtime)
    wants_agent = bool(agent or controller or thread or any(phrases) or brought != Brought())
    if wants_agent and adapter not in ("", AGENT):
        why = "an agent serves this, and no other adapter; leave out --adapter, or what only an agent understands"
        raise errors.Invalid(where="--adapter", why=why)
    if wants_agent or (goal and not adapter and _routes(runtime)):
        from commands.agents import agent_document

        wanted, chosen = agent_document(
            runtime,
            goal=" ".join(goal or ()),
            shell=shell,
            agent=agent,
            controller=controller,
            phrases=phrases,
            brought=brought,
            thread=thread,
            timeout=timeout,
        )
        raise typer.Exit(run_here(runtime, wanted | {"max_attempts": attempts}, chosen, as_json=as_json))
    document = _document(" ".join(goal or ()), shell, adapter, timeout) | {"max_attempts": attempts}
    raise typer.Exit(run_here(runtime, document, as_json=as_json))


def _routes(runtime: "Runtime") -> bool:
    """Whether the configuration says who serves goals in words."""
    routes = runtime.config.routing
    return bool(routes.default or routes.rules or routes.model)


def _document(goal: str, shell: str | None, adapter: str, timeout: float) -> dict[str, Any]:
    payload = _payload(goal, shell, adapter)
    if timeout:
        payload["timeout_s"] = timeout
    subject = " ".join(payload["argv"]) if "argv" in payload else shell or payload.get("objective", "")
    return {
        "kind": "command" if "objective" not in payload else "goal",
        "source": "cli",
        "subject": "".join(each if each.isprintable() else " " for each in subject)[:200],
        "payload": payload,
        "requested_adapter": adapter or BUILT_IN,
    }


def _payload(goal: str, shell: str | None, adapter: str) -> dict[str, Any]:
    given = [name for name, there in (("a goal", goal), ("--shell", shell), ("-- ARGV", invocation.tail)) if there]
    if len(given) > 1:
        raise typer.BadParameter(f"give one of them: {' or '.join(given)}")
    if invocation.tail is not None:
        if not invocation.tail:
            raise errors.Invalid(where="-- ARGV", why="there is no command behind --")
        return (
            {"argv": list(invocation.tail), "cwd": str(absolute(Path()))}
            if not adapter
            else {"args": list(invocation.tail)}
        )
    if shell is not None:
        return {"shell": shell, "cwd": str(absolute(Path()))}
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
    runtime.begin()
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
    log: Annotated[
        Literal["text", "json"], typer.Option("--log", help="What stderr tells: text, or an object a line.")
    ] = "text",
    as_json: options.Json = False,
) -> None:
    """Dispatch until stopped."""
    from commands.dispatch import Dispatcher
    from commands.follow import Printer
    from commands.session import dispatch

    options.no_tail()
    runtime = invocation.runtime()
    runtime.begin()
    render.style.logs_json = log == "json"
    shown = Printer(output=False, quiet=as_json and log == "text")
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
        runs = "1 run" if shown.ended == 1 else f"{shown.ended} runs"
        render.note(f"{runs} ended{'; dispatching is paused' if answer['paused'] else ''}{waiting}")
    raise typer.Exit(interrupted)
