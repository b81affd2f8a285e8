"""Commands about memories: what is remembered for the workspace, an agent, a thread or the user."""

from typing import Annotated, Any, Literal

import typer

from commands import options, render
from commands.approvals import seconds, short
from commands.invocation import invocation
from commands.surroundings import Memory, memories, threads
from commands.taking_in import announce
from commands.wiring import Runtime
from domain import agents, errors
from domain.agent_events import MemoryForgotten, MemoryKept
from domain.bounds import MEMORY_CHARS_MAX, TIME_US_MAX
from domain.events import Blob, Put, Recorded
from domain.ids import memory_stream, text_of
from domain.intake import check_text
from domain.payload import Fact

app = typer.Typer(no_args_is_help=True)
Scope = Literal["workspace", "agent", "thread", "user"]
_SCOPES: tuple[Scope, ...] = ("workspace", "agent", "thread", "user")
Key = Annotated[str, typer.Argument(metavar="KEY", help="Under which name.")]
Where = Annotated[str, typer.Option("--scope", help="workspace, agent:NAME, thread:NAME or user.")]
Words = Annotated[list[str], typer.Argument(metavar="TEXT", help="What.")]


@app.command("remember", help="Remember something under a new key.")
def remember(
    key: Key,
    text: Words,
    where: Where = "workspace",
    lasts: Annotated[str, typer.Option("--for", help="Forget it after so long: 30m, 8h, 7d.")] = "",
    as_json: options.Json = False,
) -> None:
    """Remember something."""
    _keep(key, " ".join(text), where, lasts, known=False, as_json=as_json)


@app.command("update", help="Replace what is remembered under a key.")
def update(
    key: Key,
    text: Words,
    where: Where = "workspace",
    lasts: Annotated[str, typer.Option("--for", help="Forget it after so long: 30m, 8h, 7d.")] = "",
    as_json: options.Json = False,
) -> None:
    """Replace something remembered."""
    _keep(key, " ".join(text), where, lasts, known=True, as_json=as_json)


def _keep(key: str, text: str, where: str, lasts: str, *, known: bool, as_json: bool) -> None:
    scope, owner = _scope(where)
    for name, value, most in (("KEY", key, 200), ("TEXT", text, MEMORY_CHARS_MAX)):
        check_text(value, name)
        if not value.strip() or len(value) > most:
            raise errors.Invalid(where=name, why=f"expected 1 to {most} characters")
    runtime = invocation.runtime(create=True)
    lasts_us = int(seconds(lasts, "--for") * 1_000_000) if lasts else 0
    announce(runtime)
    _check_owner(runtime, scope, owner)
    for name, value in (("KEY", key), ("TEXT", text)):
        if runtime.secrets.text(value) != value:
            raise errors.Invalid(where=name, why="contains the value of a registered secret")
    now_us = runtime.clock.now_us()
    there = key in {each.key for each in memories(runtime.log, scope, owner, now_us)}
    if known and not there:
        raise errors.NothingRemembered(key=key)
    if there and not known:
        raise errors.RememberedAlready(key=key)
    expires_us = now_us + lasts_us if lasts else 0
    if expires_us > TIME_US_MAX:
        raise errors.Invalid(where="--for", why="is beyond the year 2255")
    kept = MemoryKept(key=key, scope=scope, owner=owner, text=text_of(text.encode()), expires_us=expires_us)
    position = _append(runtime, scope, owner, kept, text.encode())
    _said(runtime, "remembered", key, position, as_json=as_json)


@app.command("recall", help="What is remembered that contains all of these words.")
def recall(words: Words, where: Where = "", as_json: options.Json = False) -> None:
    """Recall memories."""
    _show([word.lower() for word in " ".join(words).split()], where, as_json=as_json)


@app.command("list", help="All that is remembered.")
def list_memories(where: Where = "", as_json: options.Json = False) -> None:
    """List memories."""
    _show([], where, as_json=as_json)


def _show(words: list[str], where: str, *, as_json: bool) -> None:
    runtime = invocation.runtime()
    wanted = [_scope(where)] if where else _everybody(runtime)
    now_us = runtime.clock.now_us()
    found = [
        each
        for scope, owner in wanted
        for each in memories(runtime.readable, scope, owner, now_us)
        if all(word in f"{each.key} {each.text}".lower() for word in words)
    ]
    position = runtime.readable.head().position
    runtime.close()
    if as_json:
        render.documents("rt.memory.v1", [_document(each) for each in found], position=position)
        return
    rows = [(each.key, f"{each.scope}:{each.owner}".rstrip(":"), each.text[:80], each.position) for each in found]
    render.table(("key", "scope", "text", "position"), rows)


def _everybody(runtime: Runtime) -> list[tuple[Scope, str]]:
    """Everybody for whom something is or was remembered."""
    found: list[tuple[Scope, str]] = [("workspace", ""), ("user", "")]
    found += [("agent", name) for name in (*runtime.config.profiles, "watch")]
    return found + [("thread", name) for name in threads(runtime.readable)]


def _document(each: Memory) -> dict[str, Any]:
    expires = render.moment_us(each.expires_us) if each.expires_us else None
    return each._asdict() | {"expires_at": expires}


@app.command("forget", help="Forget what is remembered under a key.")
def forget(
    key: Key,
    where: Where = "workspace",
    reason: Annotated[str, typer.Option("--reason", help="For the record.")] = "",
    as_json: options.Json = False,
) -> None:
    """Forget something."""
    scope, owner = _scope(where)
    runtime = invocation.runtime()
    if key not in {each.key for each in memories(runtime.log, scope, owner, runtime.clock.now_us())}:
        raise errors.NothingRemembered(key=key)
    gone = MemoryForgotten(key=key, scope=scope, owner=owner, reason=short(runtime, reason, "--reason"))
    position = _append(runtime, scope, owner, gone, b"")
    _said(runtime, "forgotten", key, position, as_json=as_json)


def _scope(where: str) -> tuple[Scope, str]:
    name, _, owner = where.partition(":")
    found = next((each for each in _SCOPES if each == name), None)
    if found is None or bool(owner) is not (found in ("agent", "thread")):
        raise errors.Invalid(where="--scope", why=f"{where!r}: expected workspace, agent:NAME, thread:NAME or user")
    return found, owner


def _check_owner(runtime: Runtime, scope: Scope, owner: str) -> None:
    """Nobody remembers for somebody who is not there. Raises UnknownProfile, IdNotFound."""
    if scope == "agent":
        agents.profile(runtime.config, owner)
    if scope == "thread" and owner not in threads(runtime.log):
        raise errors.IdNotFound(what="thread", given=owner)


def _append(runtime: Runtime, scope: str, owner: str, data: Fact, text: bytes) -> int:
    stream = memory_stream(scope, owner)
    event = Recorded(
        stream=stream,
        version=runtime.log.version(stream) + 1,
        at_us=runtime.clock.now_us(),
        actor=runtime.actor,
        data=data,  # type: ignore[arg-type]  # a memory is an Event
        correlation=stream,
    )
    result = runtime.log.append([Put(events=(event,), blobs=(Blob(stream, text),) if text else ())])[0]
    if isinstance(result, Exception):
        raise result
    return result[-1]


def _said(runtime: Runtime, how: str, key: str, position: int, *, as_json: bool) -> None:
    runtime.close()
    if as_json:
        render.document("rt.memory.v1", {"key": key, "status": how, "position": position})
    else:
        render.out(f"{how}: {render.line(key)} at position {position}")
