"""What the log says of a run's surroundings when it starts: standing grants, its thread's history, memories."""

from typing import NamedTuple

import msgspec

from commands.world import World
from domain import agents, bundle, errors
from domain.agent_config import ProfileConfig
from domain.agent_events import (
    GrantMade,
    GrantRevoked,
    MemoryForgotten,
    MemoryKept,
    ThreadDeleted,
    ThreadMessage,
    ThreadRestarted,
)
from domain.bounds import HISTORY_BYTES_MAX, HISTORY_MESSAGES_MAX, MEMORIES_MAX, MEMORY_CHARS_MAX
from domain.config import Config
from domain.events import RunFinished
from domain.ids import POLICY, memory_stream, thread_stream
from domain.json_text import UNREADABLE
from domain.middleware import applied
from domain.payload import Text
from domain.ports import LogView
from domain.setup import Grant, Message
from domain.task import Task


def grants(log: LogView, at_us: int) -> tuple[Grant, ...]:
    """The standing grants of this moment."""
    found: dict[str, Grant] = {}
    for event in log.stream(POLICY):
        match event.data:
            case GrantMade() as made:
                found[made.grant] = Grant(
                    id=made.grant,
                    tool=made.tool,
                    arguments=made.arguments,
                    until_us=made.until_us,
                    profile=made.profile,
                )
            case GrantRevoked() as revoked:
                found.pop(revoked.grant, None)
            case _:
                pass
    return tuple(grant for grant in found.values() if grant.until_us > at_us)


class Spoken(NamedTuple):
    """A message of a thread, and what came of it: `answer` is None until its run completed."""

    position: int
    task: str
    text: str
    profile: str
    status: str
    cause: str
    run: str
    answer: str | None


def threads(log: LogView) -> list[str]:
    """The names of the threads, in the order in which they began."""
    return [name for name in log.threads() if ":" not in name and not _deleted(log, name)]  # else a schedule's lane


def _deleted(log: LogView, thread: str) -> bool:
    last = [event.data for event in log.stream(thread_stream(thread))][-1:]
    return bool(last) and isinstance(last[0], ThreadDeleted)


def conversation(log: LogView, thread: str, before: str = "", most: int = 10_000) -> list[Spoken]:
    """What was said in a thread since it began or was begun anew; only what came before a task, the latest `most`."""
    said: list[tuple[int, ThreadMessage]] = []
    for event in log.stream(thread_stream(thread)):
        match event.data:
            case ThreadMessage() as message:
                if message.task == before:
                    break
                said.append((event.position, message))
            case ThreadRestarted(after=after):
                said = [each for each in said if each[0] > after]
            case ThreadDeleted():
                said = []
            case _:
                pass
    return [_spoken(log, position, message) for position, message in said[len(said) - min(most, len(said)) :]]


def _spoken(log: LogView, position: int, message: ThreadMessage) -> Spoken:
    task = log.task(message.task)
    text = _text(log, message.task, message.text)
    if task is None:
        return Spoken(position, message.task, text, message.profile, "unknown", "", "", None)
    answer = _answer(log, task) if task.status.value == "completed" else None
    return Spoken(position, message.task, text, task.profile, task.status.value, task.cause, task.run, answer)


def _text(log: LogView, scope: str, text: Text) -> str:
    try:
        return log.blob(scope, text).decode("utf-8", "replace")
    except errors.BlobNotFound:
        return "[erased]"


def _answer(log: LogView, task: Task) -> str | None:
    ends = [event.data for event in log.stream(task.run) if isinstance(event.data, RunFinished)]
    if not ends or ends[-1].outcome is None:
        return ""
    try:
        return str(msgspec.json.decode(_text(log, task.task, ends[-1].outcome)).get("operator_summary", ""))
    except UNREADABLE:  # erased
        return "[erased]"


class History(NamedTuple):
    """A thread's history for a run: what it is given, how many messages are left out, and the latest of those."""

    kept: tuple[Message, ...] = ()
    left_out: int = 0
    older: tuple[Message, ...] = ()


def history(log: LogView, thread: str, before: str, messages: int, size: int) -> History:
    """A thread's history for a run, bounded in messages and bytes."""
    everything = [message for spoken in conversation(log, thread, before) for message in _said(spoken)]
    kept = _latest(everything, messages, size)
    rest = everything[: len(everything) - len(kept)]
    return History(kept, len(rest), _latest(rest, HISTORY_MESSAGES_MAX, HISTORY_BYTES_MAX))


def _latest(said: list[Message], messages: int, size: int) -> tuple[Message, ...]:
    kept: list[Message] = []
    for message in reversed(said):
        size -= len(message.content.encode())
        if len(kept) >= messages or size < 0:
            break
        kept.append(message)
    return tuple(reversed(kept))


def _said(spoken: Spoken) -> list[Message]:
    said = [Message(role="user", content=spoken.text)]
    if spoken.answer:
        said.append(Message(role="assistant", content=spoken.answer, run=spoken.run))
    return said


class Memory(NamedTuple):
    """Something that is remembered."""

    key: str
    scope: str
    owner: str
    text: str
    position: int
    from_run: str
    expires_us: int


def memories(log: LogView, scope: str, owner: str, at_us: int) -> list[Memory]:
    """What is remembered for somebody, the latest last."""
    found: dict[str, Memory] = {}
    for event in log.stream(memory_stream(scope, owner)):
        match event.data:
            case MemoryKept() as kept:
                found.pop(kept.key, None)
                text = event.text("text").decode("utf-8", "replace") if event.texts else "[erased]"
                found[kept.key] = Memory(kept.key, scope, owner, text, event.position, kept.from_run, kept.expires_us)
            case MemoryForgotten() as forgotten:
                found.pop(forgotten.key, None)
            case _:
                pass
    return [each for each in found.values() if not each.expires_us or each.expires_us > at_us]


def owners(profile: str, thread: str) -> dict[str, str]:
    """Whose memories a run may be given, by scope."""
    return {"workspace": "", "agent": profile, "thread": thread, "user": ""}


def surroundings(world: World, task: Task) -> bundle.Surroundings:
    """What an agent's run is given beside its task and the configuration."""
    if not bundle.is_agent(task, world.config):
        return bundle.ALONE
    log, now_us = world.log, world.clock.now_us()
    profile = bundle.profile_of(task, world.config)
    said = _so_far(world, task, agents.profile(world.config, profile))
    return bundle.Surroundings(
        grants=grants(log, now_us),
        thread=task.thread,
        history=said.kept,
        history_left_out=said.left_out,
        older=said.older,
        memory=_remembered(log, world.config, profile, task.thread, now_us),
        parent_run=task.parent_run,
        depth=task.depth,
    )


def told(world: World, task: Task) -> tuple[tuple[str, ...], History]:
    """What the prompt of an adapter says of earlier work: what its profile remembers, and the thread so far."""
    name = bundle.profile_of(task, world.config)
    profile = agents.profile(world.config, name) if name else ProfileConfig()
    memory = _remembered(world.log, world.config, name, task.thread, world.clock.now_us()) if name else ()
    return memory, _so_far(world, task, profile)


def _so_far(world: World, task: Task, profile: ProfileConfig) -> History:
    if not task.thread:
        return History()
    limits = applied(profile).limits
    return history(world.log, task.thread, task.task, limits.history_messages, limits.history_bytes)


def _remembered(log: LogView, config: Config, profile: str, thread: str, now_us: int) -> tuple[str, ...]:
    found: list[Memory] = []
    for scope in agents.profile(config, profile).memory:
        owner = owners(profile, thread)[scope]
        if scope != "thread" or owner:
            found += memories(log, scope, owner, now_us)
    latest = sorted(found, key=lambda each: each.position)[-MEMORIES_MAX:]
    return tuple(f"{each.key}: {each.text[:MEMORY_CHARS_MAX]}" for each in latest)
