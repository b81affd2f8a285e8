"""One way in for every task: checked, freed of secrets, stored once, acknowledged when synced."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import msgspec

from commands import render, slots
from commands.wiring import Runtime
from domain import errors
from domain import task as tasks
from domain.agent_events import ThreadMessage
from domain.bounds import RUN_DEPTH_MAX
from domain.events import Blob, DispatchPaused, Put, Recorded, TaskClaimed, TaskEdited, TaskQueued
from domain.ids import DISPATCH, keyed_task, text_of, thread_stream
from domain.intake import Accepted, accept
from domain.ports import Appended, Log, LogView, Work, Writer
from domain.routed import Chosen
from domain.task import Status


class Taken(msgspec.Struct, frozen=True, gc=False):
    """A task that is in the log; `claim` is set when it was claimed in the same put."""

    task: str
    accepted: Accepted
    deduplicated: bool
    position: int
    claim: Recorded | None = None


def check(runtime: Runtime, document: object, chosen: Chosen | None = None, *, read: bool = False) -> Accepted:
    """A task input as it may be stored. Raises Invalid; nothing is stored on an error. `read`: by `parse_json`."""
    accepted = accept(document, runtime.config, runtime.clock.now_us(), chosen, read=read)
    check_secrets(runtime, accepted.payload, accepted.event)
    return accepted


def check_secrets(runtime: Runtime, stored: bytes, event: TaskQueued | TaskEdited) -> None:
    """Refuse a task that holds the value of a registered secret. Raises Invalid."""
    secrets = runtime.secrets
    if secrets.find is not None and (secrets.within(stored) or secrets.within(msgspec.json.encode(event))):
        why = "contains the value of a registered secret; name the variable in the adapter's inherit_env instead"
        raise errors.Invalid(where="task", why=why)


def take_in(runtime: Runtime, accepted: Accepted, *, dispatcher: str = "") -> Taken:
    """Append a task; with a dispatcher, claim it in the same transaction, where there is a slot and it is its turn.

    Raises ClaimsPaused where a dispatcher may claim nothing, whatever the key: who wants it run now should learn that.

    The same key twice is the same task: the second one is answered with the first one's id, or refused when its
    content differs.
    """
    task = keyed_task(accepted.key) if accepted.key else runtime.ids.new()
    run = runtime.ids.new() if dispatcher else ""
    at_us = runtime.clock.now_us()
    actor = f"system:{dispatcher}"
    thread = accepted.event.thread
    made: list[Recorded] = []

    def work(view: LogView) -> Put:
        if dispatcher:
            check_not_paused(view)
        event = _delegated(view, accepted.event)
        queued = Recorded(stream=task, version=1, at_us=at_us, actor=runtime.actor, data=event, correlation=task)
        made[:] = [queued]
        free = slots.has_room(view, runtime.config, accepted.event.profile)
        if dispatcher and free and not (thread and _is_busy(view, thread)):
            state = tasks.fold([queued])
            assert state is not None, "a queued task has a state"
            data = tasks.claim(state, run=run, dispatcher=dispatcher)
            made.append(
                Recorded(stream=task, version=2, at_us=at_us, actor=actor, data=data, correlation=task, caused_by=-1)
            )
        if thread:
            made.append(_message(view, runtime, accepted, task, at_us, -len(made)))
        return Put(events=tuple(made), blobs=_blobs(task, accepted))

    result = runtime.log.append([work])[0]
    if isinstance(result, errors.StreamConflict) and accepted.key:
        return _known(runtime, task, accepted)
    if isinstance(result, Exception):
        raise result
    claim = None
    if len(made) > 1 and isinstance(made[1].data, TaskClaimed):
        claim = msgspec.structs.replace(made[1], position=result[1])
    return Taken(task, accepted, deduplicated=False, position=result[-1], claim=claim)


async def take_in_grouped(runtime: Runtime, writer: Writer, accepted: Accepted) -> Taken:
    """As `take_in`, in a transaction that is shared with whatever else comes at the same time."""
    task = keyed_task(accepted.key) if accepted.key else runtime.ids.new()
    try:
        positions = await writer.submit(_work(runtime, accepted, task, runtime.clock.now_us()))
    except errors.StreamConflict:
        if not accepted.key:
            raise
        return _known(runtime, task, accepted)
    return Taken(task, accepted, deduplicated=False, position=positions[-1])


def take_in_many(
    runtime: Runtime, given: Sequence[Accepted], *, together: bool = False
) -> list[Taken | errors.RtError]:
    """Append many tasks in one transaction, each whole or not at all; with `together` all of them or none."""
    at_us = runtime.clock.now_us()
    new = iter(runtime.ids.many(sum(not each.key for each in given)))
    tasks = [keyed_task(each.key) if each.key else next(new) for each in given]
    if together:
        return _together(runtime, given, tasks, at_us)
    parts = _parts(runtime, given, tasks, at_us)
    results = runtime.log.append([work for work, _ in parts])
    found: list[Taken | errors.RtError] = []
    for task, accepted, result in zip(tasks, given, _of_each(parts, results), strict=True):
        if isinstance(result, int):
            found.append(Taken(task, accepted, deduplicated=False, position=result))
        elif isinstance(result, errors.StreamConflict) and accepted.key:
            found.append(_or_error(runtime, task, accepted))
        elif isinstance(result, errors.RtError):
            found.append(result)
        else:
            raise result
    return found


def _parts(runtime: Runtime, given: Sequence[Accepted], tasks: Sequence[str], at_us: int) -> list[tuple[Work, int]]:
    """The works that take them in, in order, each with the number of its tasks.

    Neighbours that nothing can refuse any more, for they have no key and no surroundings, share a put.
    """
    parts: list[tuple[Work, int]] = []
    next_tasks = iter(tasks)
    for refusable, group in groupby(given, _is_refusable):
        some = [(accepted, next(next_tasks)) for accepted in group]
        if refusable:
            parts += [(_work(runtime, accepted, task, at_us), 1) for accepted, task in some]
            continue
        events = [_queued(runtime, accepted, task, at_us) for accepted, task in some]
        blobs = [blob for accepted, task in some for blob in _blobs(task, accepted)]
        parts.append((Put(events=tuple(events), blobs=tuple(blobs)), len(some)))
    return parts


def _of_each(parts: Sequence[tuple[Work, int]], results: Sequence[Appended | Exception]) -> Iterator[int | Exception]:
    """Up to where each task lies in the log, or what refused it."""
    for (_, count), result in zip(parts, results, strict=True):
        yield from [result] * count if isinstance(result, Exception) else result[-count:]


def _is_refusable(accepted: Accepted) -> bool:
    event = accepted.event
    return bool(accepted.key or event.thread or event.parent_run)


def _or_error(runtime: Runtime, task: str, accepted: Accepted) -> Taken | errors.RtError:
    try:
        return _known(runtime, task, accepted)
    except errors.KeyConflict as problem:
        return problem


def _work(runtime: Runtime, accepted: Accepted, task: str, at_us: int) -> Work:
    """A task without surroundings is a plain put: nothing has to be looked at."""
    if not (accepted.event.thread or accepted.event.parent_run):
        return Put(events=(_queued(runtime, accepted, task, at_us),), blobs=_blobs(task, accepted))

    def work(view: LogView) -> Put:
        event = _delegated(view, accepted.event)
        made = [msgspec.structs.replace(_queued(runtime, accepted, task, at_us), data=event)]
        if accepted.event.thread:
            made.append(_message(view, runtime, accepted, task, at_us, -1))
        return Put(events=tuple(made), blobs=_blobs(task, accepted))

    return work


def _queued(runtime: Runtime, accepted: Accepted, task: str, at_us: int) -> Recorded:
    return Recorded(stream=task, version=1, at_us=at_us, actor=runtime.actor, data=accepted.event, correlation=task)


def _blobs(task: str, accepted: Accepted) -> tuple[Blob, ...]:
    payload = Blob(task, accepted.payload, accepted.event.payload.sha256)
    return (payload, *[Blob(task, text) for text in accepted.texts]) if accepted.texts else (payload,)


def _together(
    runtime: Runtime, given: Sequence[Accepted], tasks: Sequence[str], at_us: int
) -> list[Taken | errors.RtError]:
    """All of them in one put, without those that are there already. Raises what refused one, and so all."""
    found: list[Taken | errors.RtError] = []

    def work(view: LogView) -> Put:
        found.clear()
        new: dict[str, TaskQueued] = {}
        puts: list[Put] = []
        for accepted, task in zip(given, tasks, strict=True):
            first = new.get(task) or (_first(view, task) if accepted.key else None)
            if first is not None and _comparable(first) != _comparable(accepted.event):
                raise errors.KeyConflict(key=accepted.key, task=task[:8])
            found.append(Taken(task, accepted, deduplicated=first is not None, position=0))
            if first is None:
                new[task] = accepted.event
                made = _work(runtime, accepted, task, at_us)
                puts += [put for put in [made if isinstance(made, Put) else made(view)] if put is not None]
        return _joined(puts)

    result = runtime.log.append([work])[0]
    if isinstance(result, Exception):
        raise result
    position = result[-1] if result else runtime.log.head().position
    return [msgspec.structs.replace(each, position=position) for each in found if isinstance(each, Taken)]


def differing(given: Mapping[int, Accepted]) -> dict[int, errors.KeyConflict]:
    """Those that use the key of an earlier one for something else, by number."""
    first: dict[str, Accepted] = {}
    found: dict[int, errors.KeyConflict] = {}
    for number, each in given.items():
        if each.key and _comparable(first.setdefault(each.key, each).event) != _comparable(each.event):
            found[number] = errors.KeyConflict(key=each.key, task=keyed_task(each.key)[:8])
    return found


def _first(view: LogView, task: str) -> TaskQueued | None:
    """How a task was taken in; None for one that is not there."""
    events = view.stream(task)
    return events[0].data if events and isinstance(events[0].data, TaskQueued) else None


def _joined(puts: Sequence[Put]) -> Put:
    """One put of many; what several of them add to a stream follows each other."""
    last: dict[str, int] = {}
    events: list[Recorded] = []
    for event in (event for put in puts for event in put.events):
        version = last[event.stream] = last.get(event.stream, event.version - 1) + 1
        events.append(msgspec.structs.replace(event, version=version))
    return Put(events=tuple(events), blobs=tuple(blob for put in puts for blob in put.blobs))


def _delegated(view: LogView, event: TaskQueued) -> TaskQueued:
    """A task that a run delegates is one deeper than the run's own. Raises IdNotFound, RunOver, Invalid."""
    if not event.parent_run:
        return event
    begun = view.stream(event.parent_run)
    parent = view.task(begun[0].correlation) if begun else None
    if parent is None:
        raise errors.IdNotFound(what="run", given=event.parent_run)
    if parent.open_run != event.parent_run:
        raise errors.RunOver(run=event.parent_run[:8], status=parent.status.value)
    if parent.depth >= RUN_DEPTH_MAX:
        raise errors.Invalid(where="task.parent_run", why=f"runs delegate at most {RUN_DEPTH_MAX} deep")
    return msgspec.structs.replace(event, depth=parent.depth + 1)


def check_not_paused(view: LogView | Log) -> None:
    """Raises ClaimsPaused."""
    if view.paused():
        said = view.stream(DISPATCH)[-1].data
        raise errors.ClaimsPaused(
            reason=said.reason if isinstance(said, DispatchPaused) and said.reason else "rt pause"
        )


def _is_busy(view: LogView, thread: str) -> bool:
    """Whether an earlier message of the thread is still being answered."""
    for event in view.stream(thread_stream(thread)):
        if isinstance(event.data, ThreadMessage):
            state = view.task(event.data.task)
            if state is not None and state.status in tasks.CLAIMABLE | {Status.RUNNING, Status.WAITING_FOR_APPROVAL}:
                return True
    return False


def _message(view: LogView, runtime: Runtime, accepted: Accepted, task: str, at_us: int, caused_by: int) -> Recorded:
    stream = thread_stream(accepted.event.thread)
    said = ThreadMessage(
        thread=accepted.event.thread,
        task=task,
        text=text_of(accepted.texts[0]),
        profile=accepted.event.profile,
    )
    return Recorded(
        stream=stream,
        version=view.version(stream) + 1,
        at_us=at_us,
        actor=runtime.actor,
        data=said,
        correlation=task,
        caused_by=caused_by,
    )


def _known(runtime: Runtime, task: str, accepted: Accepted) -> Taken:
    first = runtime.log.stream(task)[0]
    if _comparable(accepted.event) != _comparable(first.data):
        raise errors.KeyConflict(key=accepted.key, task=task[:8])
    return Taken(task, accepted, deduplicated=True, position=first.position)


def _comparable(event: Any) -> Any:  # noqa: ANN401  # the queued event without what depends on when it came
    return msgspec.structs.replace(event, due_at_us=0, expires_us=0, depth=0, routing=None)


def announce(runtime: Runtime) -> None:
    """Make the log where there is none, and say so."""
    if (runtime.home.state / "log.db").exists():
        return
    runtime.create_log()
    render.note(f"no log here yet: made {runtime.home.state}")
