"""One task that is taken in, from a document or a command. Needs nothing that reads options: programs call it often."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands import documents, render
from commands.invocation import invocation
from commands.taking_in import announce, check, take_in
from domain.config import BUILT_IN

if TYPE_CHECKING:
    from commands.taking_in import Taken
    from commands.wiring import Runtime
    from domain.routed import Chosen

_JSON = "--json"


def is_plain(arguments: Sequence[str]) -> bool:
    """Whether it is `rt intake DOC` or `rt intake -- ARGV`, and no option but --json."""
    given = [each for each in arguments if each != _JSON]
    if any(each.startswith("-") and each != "-" for each in given) or arguments.count(_JSON) > 1:
        return False
    return len(given) == (1 if invocation.tail is None else 0)


def take(arguments: Sequence[str]) -> None:
    """Take in what a plain call says. Raises RtError."""
    runtime = invocation.runtime(create=True)
    given = [each for each in arguments if each != _JSON]
    whole = documents.read(given[0], "task") if given else of_command(invocation.tail or ())
    queue(runtime, whole, as_json=_JSON in arguments)


def of_command(argv: Sequence[str]) -> dict[str, Any]:
    """The task of a command, to be run where it is said."""
    payload = {"argv": list(argv), "cwd": str(Path.cwd())}
    about = {"kind": "command", "source": "cli", "subject": subject(argv)}
    return about | {"payload": payload, "requested_adapter": BUILT_IN}  # a command is run, whoever else is the default


def subject(argv: Sequence[str]) -> str:
    """One line about a command."""
    return "".join(each if each.isprintable() else " " for each in " ".join(argv))[:200]


def queue(runtime: "Runtime", whole: object, chosen: "Chosen | None" = None, *, as_json: bool) -> None:
    """Take in a task, and say so. Raises RtError."""
    accepted = check(runtime, whole, chosen)
    announce(runtime)
    taken = take_in(runtime, accepted)
    runtime.close()
    if as_json:
        render.document("rt.intake.v1", answer(taken))
        return
    render.out(told(taken))
    if accepted.ignored_keys:
        render.note(f"ignored keys: {', '.join(accepted.ignored_keys)}")


def answer(taken: "Taken") -> dict[str, Any]:
    """What programs learn of a task that was taken in."""
    event = taken.accepted.event
    return {
        "queued": True,
        "task_id": taken.task,
        "profile": event.profile,
        "available_at": render.moment_us(event.due_at_us) if event.due_at_us else None,
        "deduplicated": taken.deduplicated,
        "ignored_keys": list(taken.accepted.ignored_keys),
        "position": taken.position,
    }


def told(taken: "Taken") -> str:
    """What people learn of it."""
    return f"{'known' if taken.deduplicated else 'queued'}: task {taken.task[:8]} at position {taken.position}"
