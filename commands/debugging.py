"""Looking into one run: its state at any of its events, what an event changed, and what led to it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from commands import causality, follow, render
from commands.items import event_document
from commands.wiring import Runtime
from domain.events import Recorded, topic

if TYPE_CHECKING:
    from replays.states import Change, Moment

_VALUE_CHARS = 160
_HIDDEN = "mind.setup."  # the frozen inputs: the same at every event, and long


class Look(NamedTuple):
    """How a run is looked at."""

    at: str = ""
    step: bool = False
    cause: bool = False


def look(runtime: Runtime, run: str, how: Look, *, as_json: bool) -> None:
    """Show one moment of a run, the chain that led to it, or let a person walk. Raises PositionUnknown, Invalid."""
    from commands import moments, run_moments, walking
    from replays.states import Wanted

    if how.step:
        walking.walk(runtime, run, moments.at(how.at) if how.at else None, as_json=as_json)
        return
    wanted = moments.at(how.at) if how.at else Wanted()
    head = runtime.readable.head().position
    if wanted.position > head:
        from domain import errors

        raise errors.PositionUnknown(what="the log", given=how.at, first=1, last=head)
    found = run_moments.at(runtime, run, wanted)
    if how.cause:
        _show_chain(causality.chain(runtime.readable, found.event), as_json=as_json)
    elif as_json:
        render.document("rt.state.v1", document(found))
    else:
        for line in lines(found, whole=True):
            render.out(line)


def _show_chain(chain: Sequence[Recorded], *, as_json: bool) -> None:
    if as_json:
        render.documents("rt.event.v1", [event_document(each) for each in chain], position=chain[-1].position)
        return
    for depth, each in enumerate(chain):
        led = "└ led to " if depth else ""
        render.out(f"{each.position:>7}  {'  ' * max(0, depth - 1)}{led}{topic(type(each.data)).rpartition('.v')[0]}"
                   f"  {follow.fields(each.data)}  by {render.line(each.actor)}")  # fmt: skip


def document(found: "Moment") -> dict[str, Any]:
    """A moment for programs."""
    from replays.states import flat

    state = flat(found.state)
    return {
        "run": found.state.run,
        "number": found.number,
        "position": found.event.position,
        "event": event_document(found.event),
        "state": state,
        "changes": [each._asdict() for each in _changes(found)],
    }


def lines(found: "Moment", *, whole: bool) -> list[str]:
    """A moment for people: the event, what it changed, and with `whole` everything that is set."""
    from replays.states import flat, is_set

    event = found.event
    cause = f", caused by {event.caused_by}" if event.caused_by else ""
    shown = [
        f"run {found.state.run[:8]}, its event {found.number} at position {event.position}{cause}",
        follow.one_line(event, event.at_us).replace("  +0.000s", f"  {render.moment_us(event.at_us)}"),
    ]
    if event.body:
        shown += [f"         │ {render.line(each)}" for each in _head(event.body)]
    shown.append("changed")
    changed = [each for each in _changes(found) if not each.path.startswith(_HIDDEN)]
    shown += [f"  {each.path:<34} {_value(each.before)} → {_value(each.after)}" for each in changed] or ["  nothing"]
    if whole:
        shown.append("state")
        state = {path: value for path, value in flat(found.state).items() if is_set(value)}
        shown += [f"  {path:<34} {_value(value)}" for path, value in state.items() if not path.startswith(_HIDDEN)]
        if any(path.startswith(_HIDDEN) for path in state):
            shown.append(f"  {_HIDDEN}… is frozen at the start: --json shows it")
    return shown


def _changes(found: "Moment") -> "list[Change]":
    from replays.states import changes, flat, is_set

    return [
        each for each in changes(flat(found.before), flat(found.state)) if is_set(each.before) or is_set(each.after)
    ]


def _head(body: bytes) -> list[str]:
    text = body.decode("utf-8", "replace").splitlines()
    return text[:5] + ([f"… {len(text) - 5} more lines"] if len(text) > 5 else [])  # noqa: PLR2004  # a glance


def _value(value: Any) -> str:  # noqa: ANN401  # any plain value
    text = "—" if value is None or value == "" else render.line(str(value))
    return text if len(text) <= _VALUE_CHARS else f"{text[:_VALUE_CHARS]}…"
