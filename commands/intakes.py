"""The command that takes work in: one task from options or a document, or many from a file of lines."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import batches, documents, one_task, options, render
from commands.home import absolute
from commands.invocation import invocation
from commands.taking_in import announce, check, differing, take_in_many
from domain import errors
from domain.config import BUILT_IN

if TYPE_CHECKING:
    from commands.taking_in import Taken
    from commands.wiring import Runtime
    from domain.config import Config
    from domain.intake import Accepted
    from domain.routed import Chosen


_OWN = ("--payload", "--goal", "--kind", "--source", "--subject")  # what a document says itself
_REST = ("--priority", "--adapter", "--profile", "--attempts", "--at", "--in-minutes", "--key")


def intake(  # the fields of a task
    document: Annotated[str | None, typer.Argument(metavar="[DOC]", help="JSON text, @file, or - for stdin.")] = None,
    payload: Annotated[str | None, typer.Option("--payload", help="The payload: JSON text, @file, or -.")] = None,
    goal: Annotated[str | None, typer.Option("--goal", help="A goal in words, for --adapter.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="What sort of work it is.")] = None,
    source: Annotated[str | None, typer.Option("--source", help="Where it comes from; else cli.")] = None,
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
    each: Annotated[
        bool, typer.Option("--each", help="With --lines: acknowledge each line once it is synced.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Take in a task."""
    runtime = invocation.runtime(create=True)
    own = dict(zip(_OWN, (payload, goal, kind, source, subject), strict=True))
    rest = dict(zip(_REST, (priority, adapter, profile, attempts, at, delay, key), strict=True))
    if lines:
        _refuse({**own, **rest}, "each line brings its own fields")
        _many(runtime, document or "-", all_or_none=all_or_none, each=each, as_json=as_json)
        return
    if all_or_none or each:
        raise typer.BadParameter(f"{'--all-or-none' if all_or_none else '--each'} belongs to --lines")
    if at is not None and delay is not None:
        raise typer.BadParameter("give one of them: --at or --in-minutes")
    if document is not None:
        _refuse(own, "a document brings its own fields; give either DOC or the options")
        whole = documents.read(document, "task")
    else:
        content = _intake_payload(runtime, payload, goal, named=adapter is not None or profile is not None)
        kind = kind or ("command" if "argv" in content else "goal")
        whole = {"kind": kind, "source": source or "cli", "payload": content}
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


def _refuse(given: Mapping[str, object], why: str) -> None:
    """Refuse options that would be ignored. Raises BadParameter."""
    every = {**given, "-- ARGV": invocation.tail}
    ignored = [name for name, value in every.items() if value is not None]
    if ignored:
        raise typer.BadParameter(f"{why}; leave out {', '.join(ignored)}")


def _intake_payload(runtime: "Runtime", payload: str | None, goal: str | None, *, named: bool) -> dict[str, Any]:
    """The payload of the options. `named`: they say who runs it. Raises Invalid."""
    given = [each for each in (payload, goal, invocation.tail) if each is not None]
    if len(given) != 1:
        raise errors.Invalid(where="rt intake", why="give one of: DOC, --payload DOC, --goal TEXT, -- ARGV")
    if invocation.tail is not None:
        return {"argv": list(invocation.tail), "cwd": str(absolute(Path()))}
    if goal is not None:
        if not named:
            _check_served(runtime.config)
        return {"objective": goal}
    content = documents.read(payload or "", "task.payload")
    if not isinstance(content, dict):
        raise errors.Invalid(where="task.payload", why=f"expected an object, got {type(content).__name__}")
    return content


def _check_served(config: "Config") -> None:
    """A goal needs somebody who understands it. Raises Invalid."""
    from domain.config import runs_as

    if runs_as(config, "", "") == BUILT_IN:
        why = "the default adapter 'command' runs programs; say who gets the goal: --adapter NAME or --profile NAME"
        raise errors.Invalid(where="--goal", why=why)


def _many(runtime: "Runtime", given: str, *, all_or_none: bool, each: bool, as_json: bool) -> None:
    """Take in lines: in groups that are each acknowledged when synced, or all of them in one transaction."""
    groups = batches.groups(given, "tasks")
    if all_or_none:
        groups = iter([[line for group in groups for line in group]])
    said = _Said(each=each, as_json=as_json)
    announce(runtime)
    try:
        _take_groups(runtime, groups, said, all_or_none=all_or_none)
    except errors.Invalid:  # what comes next cannot be read; what came before is taken in
        said.end(runtime.log.head().position)
        raise
    position = runtime.log.head().position
    runtime.close()
    said.end(position)
    if said.counts["refused"]:
        raise typer.Exit(errors.Invalid.exit)


def _take_groups(
    runtime: "Runtime", groups: "Iterator[list[batches.Line]]", said: "_Said", *, all_or_none: bool
) -> None:
    for group in groups:
        good = dict(_accepted(runtime, group, said))
        if all_or_none:
            _check_keys(good, said)
            if said.counts["refused"]:
                render.note("nothing was taken in: --all-or-none")
                break
        taken = take_in_many(runtime, list(good.values()), together=all_or_none)
        for number, found in zip(good, taken, strict=True):
            said.taken(number, found)


class _Said:
    """What is said of lines: of refused ones at once, of the others where that is wanted, in the end how many."""

    def __init__(self, *, each: bool, as_json: bool) -> None:
        self._each = each
        self._as_json = as_json
        self._ignored = batches.Ignored()
        self.counts = {"queued": 0, "deduplicated": 0, "refused": 0}

    def refused(self, number: int, problem: errors.RtError) -> None:
        """A line was not taken in."""
        self.counts["refused"] += 1
        batches.tell_refused(number, problem, as_json=self._as_json)

    def taken(self, number: int, found: "Taken | errors.RtError") -> None:
        """A line is durable, or was refused by what is in the log."""
        if isinstance(found, errors.RtError):
            self.refused(number, found)
            return
        self.counts["deduplicated" if found.deduplicated else "queued"] += 1
        self._ignored.add(number, found.accepted.ignored_keys)
        if self._each:
            self._acknowledge(number, found)

    def _acknowledge(self, number: int, found: "Taken") -> None:
        """Raises OutputLost: to end as if all were well would leave the other lines behind in silence."""
        try:
            if self._as_json:
                render.document("rt.intake.v1", {"line": number} | one_task.answer(found))
            else:
                render.out(f"line {number}: {one_task.told(found)}")
        except OSError as problem:
            raise errors.OutputLost(why=str(problem.strerror)) from problem

    def end(self, position: int) -> None:
        """All of them."""
        if self._as_json:
            document = {"ignored_keys": self._ignored.document(), "position": position}
            render.document("rt.batch.v1", self.counts | document)
        else:
            render.out(
                ", ".join(f"{count} {name}" for name, count in self.counts.items()) + f", at position {position}"
            )
            self._ignored.tell()


def _check_keys(good: "dict[int, Accepted]", said: _Said) -> None:
    """Tell the lines that use a key of an earlier line for something else.

    Raises KeyConflict where nothing else is wrong.
    """
    alone = not said.counts["refused"]
    found = differing(good)
    for number, problem in found.items():
        said.refused(number, problem)
    if found and alone:
        raise next(iter(found.values()))


def _accepted(runtime: "Runtime", group: list[batches.Line], said: _Said) -> "Iterator[tuple[int, Accepted]]":
    """The good lines with their numbers; the others are told."""
    for line in group:
        try:
            if line.problem is not None:
                raise line.problem
            yield line.number, check(runtime, line.document, read=True)
        except errors.RtError as problem:
            said.refused(line.number, problem)
