"""The command that takes work in: one task from options or a document, or many from a file of lines."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import batches, documents, one_task, options, render
from commands.invocation import invocation
from commands.taking_in import announce, check, take_in_many
from domain import errors
from domain.config import BUILT_IN

if TYPE_CHECKING:
    from commands.taking_in import Taken
    from commands.wiring import Runtime
    from domain.intake import Accepted
    from domain.routed import Chosen


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
    lines: Annotated[bool, typer.Option("--lines", help="DOC is a file of lines, one task each.")] = False,
    all_or_none: Annotated[
        bool, typer.Option("--all-or-none", help="With --lines: take in all of them or none.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Take in a task."""
    runtime = invocation.runtime(create=True)
    if lines:
        _many(runtime, document or "-", all_or_none=all_or_none, as_json=as_json)
        return
    if all_or_none:
        raise typer.BadParameter("--all-or-none belongs to --lines")
    if document is not None:
        if any(each is not None for each in (payload, goal, kind, subject, invocation.tail)):
            raise typer.BadParameter("a document brings its own fields; give either DOC or the options")
        whole = documents.read(document, "task")
    else:
        content = _intake_payload(payload, goal)
        whole = {"kind": kind or ("command" if "argv" in content else "goal"), "source": source, "payload": content}
        if invocation.tail is not None and adapter is None and profile is None:
            adapter = BUILT_IN  # a command is run, whoever else is the default
        if subject is None and "argv" in content:
            subject = one_task.subject(content["argv"])
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
    one_task.queue(runtime, whole, chosen, as_json=as_json)


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


def _many(runtime: "Runtime", given: str, *, all_or_none: bool, as_json: bool) -> None:
    """Take in lines: in groups that are each acknowledged when synced, or all of them in one transaction."""
    groups = batches.grouped(batches.lines(given, "tasks"))
    if all_or_none:
        groups = iter([[line for group in groups for line in group]])
    counts = {"queued": 0, "deduplicated": 0, "refused": 0}
    announce(runtime)
    for group in groups:
        good = {line.number: accepted for line in group if (accepted := _accepted(runtime, line)) is not None}
        counts["refused"] += len(group) - len(good)
        if all_or_none and counts["refused"]:
            render.note("nothing was taken in: --all-or-none")
            break
        taken = take_in_many(runtime, list(good.values()), together=all_or_none)
        for number, each in zip(good, taken, strict=True):
            counts[_how(each, number)] += 1
    position = runtime.log.head().position
    runtime.close()
    if as_json:
        render.document("rt.batch.v1", counts | {"position": position})
    else:
        render.out(", ".join(f"{count} {name}" for name, count in counts.items()) + f", at position {position}")
    if counts["refused"]:
        raise typer.Exit(errors.Invalid.exit)


def _how(taken: "Taken | errors.RtError", number: int) -> str:
    if isinstance(taken, errors.RtError):
        render.note(f"line {number}: {taken}")
        return "refused"
    return "deduplicated" if taken.deduplicated else "queued"


def _accepted(runtime: "Runtime", line: batches.Line) -> "Accepted | None":
    try:
        if line.problem is not None:
            raise line.problem
        return check(runtime, line.document, read=True)
    except errors.RtError as problem:
        render.note(f"line {line.number}: {problem}")
        return None
