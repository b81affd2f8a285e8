"""Commands about threads: conversations whose messages are events, and whose answers are runs."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from commands import options, render
from commands.approvals import short
from commands.invocation import invocation
from commands.surroundings import Spoken, conversation, threads
from commands.wiring import Runtime
from domain import errors
from domain.agent_config import NAME
from domain.agent_events import ThreadDeleted, ThreadRestarted
from domain.events import Put, Recorded
from domain.ids import thread_stream

app = typer.Typer(no_args_is_help=True)
Thread = Annotated[str, typer.Argument(metavar="THREAD", help="Its name.")]


def reply(
    thread: Thread,
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="What to say.")],
    agent: Annotated[str, typer.Option("--agent", help="Another profile than the thread's, or auto.")] = "",
    controller: Annotated[str, typer.Option("--controller", help="Who decides, instead of the profile's own.")] = "",
    as_json: options.Json = False,
) -> None:
    """Say something in a thread, and run what it asks for here."""
    from commands.agents import check_serves, known_controller, routed_document
    from commands.session import refuse_while_paused, run_here

    options.no_tail()
    runtime = invocation.runtime(create=True)
    refuse_while_paused(runtime)
    document, chosen = routed_document(runtime, goal=" ".join(text), agent=agent or "auto", thread=thread)
    if controller:
        known_controller(runtime, controller)
        document["payload"]["controller"] = controller
    check_serves(runtime, document["requested_profile"], controller)
    raise typer.Exit(run_here(runtime, document | {"max_attempts": 1}, chosen, as_json=as_json))


@app.command("list", help="Threads, with their latest message.")
def list_threads(as_json: options.Json = False) -> None:
    """List threads, the youngest first."""
    runtime = invocation.runtime()
    names = reversed(threads(runtime.readable))
    found = [about(name, conversation(runtime.readable, name)) for name in names]
    position = runtime.readable.head().position
    runtime.close()
    if as_json:
        render.documents("rt.thread.v1", found, position=position)
        return
    rows = [(each["thread"], each["profile"], each["messages"], each["status"], each["latest"][:60]) for each in found]
    render.table(("thread", "profile", "messages", "status", "latest"), rows)


def about(name: str, spoken: list[Spoken]) -> dict[str, Any]:
    """A thread for programs."""
    last = spoken[-1] if spoken else None
    return {
        "thread": name,
        "profile": last.profile if last else "",
        "messages": sum(1 + bool(each.answer) for each in spoken),
        "status": last.status if last else "empty",
        "latest": last.text if last else "",
        "run": last.run if last else "",
    }


@app.command("show", help="A thread's messages.")
def show(thread: Thread, as_json: options.Json = False) -> None:
    """Show a thread."""
    runtime = invocation.runtime()
    spoken = there(runtime, thread)
    position = runtime.readable.head().position
    runtime.close()
    said = list(messages(spoken))
    if as_json:
        render.documents("rt.message.v1", said, position=position)
        return
    for each in said:
        synthetic = "  (not part of the history)" if each["synthetic"] else ""
        render.out(f"{each['role']:<10} {each['position']:>7}  {render.line(each['content'])}{synthetic}")


def messages(spoken: list[Spoken]) -> Iterator[dict[str, Any]]:
    """Its messages for programs."""
    for each in spoken:
        where = {"position": each.position, "task": each.task, "run": each.run}
        yield where | {"role": "user", "content": each.text, "synthetic": False}
        if each.answer:
            yield where | {"role": "assistant", "content": each.answer, "synthetic": False}
        elif each.answer is None and each.status not in ("pending", "running", "retryable_failure"):
            yield where | {"role": "assistant", "content": f"[{each.status}: {each.cause}]", "synthetic": True}


@app.command(
    "restart", help="Begin the conversation anew; nothing is rewritten, and what came before stays in the log."
)
def restart(
    thread: Thread,
    into: Annotated[str, typer.Option("--into", help="Another thread, which points to this one.")] = "",
    as_json: options.Json = False,
) -> None:
    """Restart a thread."""
    runtime = invocation.runtime()
    target, position = restarted(runtime, thread, into)
    runtime.close()
    _said("restarted", target, position, as_json=as_json)


def restarted(runtime: Runtime, thread: str, into: str) -> tuple[str, int]:
    """Begin a conversation anew, here or in another thread; which, and where. Raises ThreadBusy, Invalid."""
    spoken = there(runtime, thread)
    _refuse_open(thread, spoken)
    target = into or thread
    if not re.fullmatch(NAME, target):
        raise errors.Invalid(where="--into", why="expected 1 to 64 letters, digits, . _ -, not beginning with a sign")
    if target != thread:  # what was said there is history no longer either
        spoken = conversation(runtime.readable, target)
        _refuse_open(target, spoken)
    after = spoken[-1].position if spoken else 0
    position = _append(runtime, target, ThreadRestarted(thread=target, after=after, from_thread=thread if into else ""))
    return target, position


@app.command("delete", help="Remove a thread from lists, searches and histories; the log stays whole.")
def delete(
    thread: Thread,
    reason: Annotated[str, typer.Option("--reason", help="For the record.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Also while a run of it is open.")] = False,
    as_json: options.Json = False,
) -> None:
    """Delete a thread."""
    runtime = invocation.runtime()
    position = deleted(runtime, thread, short(runtime, reason, "--reason"), force=force)
    runtime.close()
    _said("deleted", thread, position, as_json=as_json)


def deleted(runtime: Runtime, thread: str, reason: str, *, force: bool = False) -> int:
    """Take a thread out of lists and histories; where that is recorded. Raises IdNotFound, ThreadBusy."""
    spoken = there(runtime, thread)
    if not force:
        _refuse_open(thread, spoken)
    return _append(runtime, thread, ThreadDeleted(thread=thread, reason=reason))


def there(runtime: Runtime, thread: str) -> list[Spoken]:
    """What was said in a thread. Raises IdNotFound."""
    if thread not in threads(runtime.readable):
        raise errors.IdNotFound(what="thread", given=thread)
    return conversation(runtime.readable, thread)


def _refuse_open(thread: str, spoken: list[Spoken]) -> None:
    for each in spoken:
        if each.status in ("pending", "running", "retryable_failure", "waiting_for_approval"):
            raise errors.ThreadBusy(thread=thread, task=each.task[:8], status=each.status)


def _append(runtime: Runtime, thread: str, data: ThreadRestarted | ThreadDeleted) -> int:
    stream = thread_stream(thread)
    result = runtime.log.append(
        [
            lambda view: Put(
                events=(
                    Recorded(
                        stream=stream,
                        version=view.version(stream) + 1,
                        at_us=runtime.clock.now_us(),
                        actor=runtime.actor,
                        data=data,
                    ),
                )
            )
        ]
    )[0]
    if isinstance(result, Exception):
        raise result
    return result[-1]


def _said(how: str, thread: str, position: int, *, as_json: bool) -> None:
    if as_json:
        render.document("rt.thread.v1", {"thread": thread, "status": how, "position": position})
    else:
        render.out(f"{how}: thread {thread} at position {position}")
