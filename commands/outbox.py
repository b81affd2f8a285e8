"""Commands about the outbox: messages and notifications that go out, and what became of them."""

from typing import Annotated, Any

import msgspec
import typer

from commands import options, render
from commands.approvals import short
from commands.invocation import invocation
from commands.making import Making
from commands.wiring import Runtime
from domain import errors
from domain.bounds import LIST_ROWS
from domain.events import Put, Recorded
from domain.payload import Fact
from domain.ports import LogView
from domain.stream_index import OUTBOX
from domain.work_events import OutboxDelivered, OutboxDropped, OutboxFailed, OutboxQueued, OutboxRetried

app = typer.Typer(no_args_is_help=True)
_OPEN = ("queued", "failed", "held")
Message = Annotated[str, typer.Argument(metavar="MESSAGE", help="Its id, or the beginning of it.")]


@app.command("list", help="What goes out: the newest first.")
def list_messages(
    status: Annotated[str, typer.Option("--status", help="queued, held, delivered, failed or dropped.")] = "",
    limit: options.Limit = LIST_ROWS,
    as_json: options.Json = False,
) -> None:
    """List the outbox."""
    runtime = invocation.runtime()
    nouns = runtime.readable.nouns(OUTBOX, status)
    found = listed(runtime, status, limit)
    position = runtime.readable.head().position
    runtime.close()
    if as_json:
        render.documents("rt.message.v1", found, position=position)
        return
    rows = [
        (
            each["message"][:8],
            each["status"],
            each["kind"],
            each["target"],
            each["attempts"],
            each["task"][:8],
            each["cause"],
        )
        for each in found
    ]
    render.table(("message", "status", "kind", "to", "attempts", "task", "cause"), rows)
    if len(nouns) > limit:
        render.note(f"{len(nouns) - limit} older ones are not shown; --limit {len(nouns)}")


def listed(runtime: Runtime, status: str, limit: int) -> list[dict[str, Any]]:
    """Messages, the newest first."""
    nouns = runtime.readable.nouns(OUTBOX, status)
    return [shown(runtime.readable.stream(noun.stream), noun.status) for noun in nouns[-limit:][::-1]]


def whole(runtime: Runtime, message: str) -> dict[str, Any]:
    """One message with its content. Raises MessageNotFound, IdAmbiguous."""
    stream, status = find(runtime, message)
    events = runtime.readable.stream(stream)
    found = shown(events, status)
    queued = events[0].data
    assert isinstance(queued, OutboxQueued), "a message's stream begins with it"
    try:
        found["content"] = msgspec.json.decode(runtime.readable.blob(events[0].correlation, queued.message))
    except errors.BlobNotFound:
        found["content"] = None
    return found


@app.command("show", help="One message, with its content.")
def show(message: Message, as_json: options.Json = False) -> None:
    """Show a message."""
    runtime = invocation.runtime()
    found = whole(runtime, message)
    runtime.close()
    if as_json:
        render.document("rt.message.v1", found)
        return
    for name, value in found.items():
        if value not in (None, "", 0):
            render.out(f"{name:<12} {render.value(value)}")


@app.command("retry", help="Deliver a message now: one that failed, waits, or is held.")
def retry(message: Message, reason: options.Reason = "", as_json: options.Json = False) -> None:
    """Retry a message."""
    _say(message, "retry", reason, as_json=as_json)


@app.command("drop", help="Give a message up.")
def drop(message: Message, reason: options.Reason = "", as_json: options.Json = False) -> None:
    """Drop a message."""
    _say(message, "drop", reason, as_json=as_json)


def _say(message: str, verb: str, reason: str, *, as_json: bool) -> None:
    options.no_tail()
    runtime = invocation.runtime()
    stream, position = say(runtime, message, verb, short(runtime, reason, "--reason"))
    runtime.close()
    if as_json:
        render.document("rt.message.v1", {"message": stream, "verb": verb, "position": position})
    else:
        how = "queued again" if verb == "retry" else "dropped"
        render.out(f"{how}: message {stream[:8]} at position {position}")


def say(runtime: Runtime, message: str, verb: str, text: str) -> tuple[str, int]:
    """Retry or drop a message that is not over: its id, and where that is recorded. Raises MessageRefused."""
    stream, _ = find(runtime, message)
    fact: Fact = OutboxRetried(reason=text) if verb == "retry" else OutboxDropped(reason=text)

    def work(view: LogView) -> Put | None:
        status = next(noun.status for noun in view.nouns(OUTBOX) if noun.stream == stream)
        if status not in _OPEN:
            raise errors.MessageRefused(message=stream[:8], status=status, verb=verb, needs="one that is not over")
        making = Making(view, at_us=runtime.clock.now_us(), actor=runtime.actor)
        making.add(stream, fact)
        return making.put()

    result = runtime.log.append([work])[0]
    if isinstance(result, Exception):
        raise result
    return stream, result[-1]


def find(runtime: Runtime, given: str) -> tuple[str, str]:
    """A message's stream and status. Raises MessageNotFound, IdAmbiguous."""
    plain = given.replace("-", "").lower()
    found = [noun for noun in runtime.readable.nouns(OUTBOX) if len(plain) >= 4 and noun.stream.startswith(plain)]  # noqa: PLR2004
    if not found:
        raise errors.MessageNotFound(given=given[:100])
    if len(found) > 1:
        shown = ", ".join(each.stream[:12] for each in found[:5])
        raise errors.IdAmbiguous(what="message", given=given, count=len(found), candidates=shown)
    return found[0].stream, found[0].status


def shown(events: list[Recorded], status: str) -> dict[str, Any]:
    """A message for programs."""
    first = events[0]
    queued = first.data
    assert isinstance(queued, OutboxQueued), "a message's stream begins with it"
    failures = [event.data for event in events if isinstance(event.data, OutboxFailed)]
    delivered = [event for event in events if isinstance(event.data, OutboxDelivered)]
    next_us = failures[-1].next_us if failures and status == "queued" else 0
    return {
        "message": first.stream,
        "status": status,
        "kind": queued.kind,
        "target": queued.target,
        "key": queued.key,
        "rule": queued.rule,
        "task": queued.task,
        "run": queued.run,
        "attempts": len(failures) + len(delivered),
        "cause": failures[-1].cause if failures and status != "delivered" else "",
        "next_at": render.moment_us(next_us) if next_us else None,
        "queued_at": render.moment_us(first.at_us),
        "delivered_at": render.moment_us(delivered[-1].at_us) if delivered else None,
        "position": first.position,
    }
