"""`rt why`: the chain of causes of anything that happened, in plain words, each with its position."""

from typing import Annotated, Any

import typer

from commands import causality, moments, options, render, run_moments
from commands.invocation import invocation
from commands.items import event_document
from commands.wiring import Runtime
from domain import errors
from domain.events import Recorded, topic
from replays import states
from replays.states import Wanted


def why(
    what: Annotated[str, typer.Argument(metavar="RUN|TASK", help="Id, unique prefix of an id, @last or @failed.")],
    about: Annotated[
        str,
        typer.Argument(
            metavar="[EVENT|FIELD]",
            help="A position, @decision3, the name of an event, or a field of the state, such as status; else its end.",
        ),
    ] = "",
    as_json: options.Json = False,
) -> None:
    """Say why."""
    options.no_tail()
    runtime = invocation.runtime()
    try:
        found = reasons(runtime, what, about)
        position = runtime.readable.head().position
    finally:
        runtime.close()
    if as_json:
        render.documents("rt.why.v1", map(document, found), position=position)
        return
    for each in found:
        render.out(f"{each.event.position:>7}  {render.moment_us(each.event.at_us)[11:23]}  {each.says}")


def reasons(runtime: Runtime, what: str, about: str) -> list[causality.Link]:
    """What led to it, the first cause first. Raises IdNotFound, PositionUnknown, Invalid."""
    return causality.links(runtime.readable, causality.chain(runtime.readable, _event(runtime, what, about)))


def document(each: causality.Link) -> dict[str, Any]:
    """A link of the chain for programs."""
    return event_document(each.event) | {"says": each.says}


def _event(runtime: Runtime, what: str, about: str) -> Recorded:
    """The event that is asked about. Raises IdNotFound, PositionUnknown."""
    try:
        run = runtime.find_run(what)
    except errors.IdNotFound:
        return _of_task(runtime, runtime.find_task(what), about)
    return _of_run(runtime, run, about)


def _of_run(runtime: Runtime, run: str, about: str) -> Recorded:
    if not about or about.isdecimal() or about.startswith("@"):
        wanted = moments.at(about, "EVENT") if about else Wanted()
        if wanted.decision:
            return run_moments.at(runtime, run, wanted).event
        return _at(list(runtime.readable.run_events(run, bodies=False)), wanted.position, f"run {run[:8]}")
    events = list(runtime.readable.run_events(run, bodies=True))
    named = [each for each in events if _name(each) in (about, f"run.{about}", f"task.{about}")]
    return named[-1] if named else _last_change(events, about, run)


def _of_task(runtime: Runtime, task: str, about: str) -> Recorded:
    events = runtime.readable.stream(task)
    if about and not about.isdecimal():
        named = [each for each in events if _name(each) in (about, f"task.{about}")]
        if not named:
            known = ", ".join(dict.fromkeys(_name(each) for each in events))
            raise errors.Invalid(where="EVENT", why=f"task {task[:8]} has no {about!r}; it has {known}")
        return named[-1]
    return _at(events, int(about or 0), f"task {task[:8]}")


def _at(events: list[Recorded], position: int, what: str) -> Recorded:
    before = [each for each in events if not position or each.position <= position]
    if not before:
        first, last = events[0].position, events[-1].position
        raise errors.PositionUnknown(what=what, given=position, first=first, last=last)
    return before[-1]


def _last_change(events: list[Recorded], field: str, run: str) -> Recorded:
    """The event that last changed a field of the state."""
    found: Recorded | None = None
    fields: set[str] = set()
    before: dict[str, object] = {}
    for each in states.moments(events):
        after = states.flat(each.state)
        if any(change.path == field for change in states.changes(before, after)):
            found = each.event
        before, fields = after, fields | set(after)
    if found is None:
        near = sorted(name for name in fields if field.lower() in name.lower())[:8]
        known = f"; near it: {', '.join(near)}" if near else "; rt replay RUN --at POS --json shows all fields"
        raise errors.Invalid(where="EVENT|FIELD", why=f"run {run[:8]} has no event or field {field[:100]!r}{known}")
    return found


def _name(event: Recorded) -> str:
    return topic(type(event.data)).rpartition(".v")[0]
