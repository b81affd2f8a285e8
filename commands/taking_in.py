"""One way in for every task: checked, freed of secrets, stored once, acknowledged when synced."""

from typing import Any, NamedTuple

import msgspec

from commands import render
from commands.wiring import Runtime
from domain import errors
from domain import task as tasks
from domain.events import Blob, Put, Recorded, TaskClaimed
from domain.ids import keyed_task
from domain.intake import Accepted, accept


class Taken(NamedTuple):
    """A task that is in the log; `claim` is set when it was claimed in the same put."""

    task: str
    accepted: Accepted
    deduplicated: bool
    position: int
    claim: Recorded | None = None


def check(runtime: Runtime, document: object) -> Accepted:
    """A task input as it may be stored. Raises Invalid; nothing is stored on an error."""
    accepted = accept(document, runtime.config, runtime.clock.now_us())
    text = accepted.payload.decode() + "\n" + msgspec.json.encode(accepted.event).decode()
    if runtime.secrets.text(text) != text:
        why = "contains the value of a registered secret; name the variable in the adapter's inherit_env instead"
        raise errors.Invalid(where="task", why=why)
    return accepted


def take_in(runtime: Runtime, accepted: Accepted, *, dispatcher: str = "") -> Taken:
    """Append a task; with a dispatcher, claim it in the same transaction.

    The same key twice is the same task: the second one is answered with the first one's id, or refused when its
    content differs.
    """
    task = keyed_task(accepted.key) if accepted.key else runtime.ids.new()
    at_us = runtime.clock.now_us()
    queued = Recorded(stream=task, version=1, at_us=at_us, actor=runtime.actor, data=accepted.event, correlation=task)
    events = [queued]
    if dispatcher:
        state = tasks.fold([queued])
        assert state is not None, "a queued task has a state"
        data = tasks.claim(state, run=runtime.ids.new(), dispatcher=dispatcher)
        actor = f"system:{dispatcher}"
        events.append(
            Recorded(stream=task, version=2, at_us=at_us, actor=actor, data=data, correlation=task, caused_by=-1)
        )
    result = runtime.log.append([Put(events=tuple(events), blobs=(Blob(task, accepted.payload),))])[0]
    if isinstance(result, errors.StreamConflict) and accepted.key:
        return _known(runtime, task, accepted)
    if isinstance(result, Exception):
        raise result
    claim = None
    if dispatcher:
        claim = msgspec.structs.replace(events[1], position=result[1])
        assert isinstance(claim.data, TaskClaimed), "the second event is the claim"
    return Taken(task, accepted, deduplicated=False, position=result[-1], claim=claim)


def _known(runtime: Runtime, task: str, accepted: Accepted) -> Taken:
    first = runtime.log.stream(task)[0]
    if msgspec.structs.replace(accepted.event, due_at_us=0) != _without_time(first):
        raise errors.KeyConflict(key=accepted.key, task=task[:8])
    return Taken(task, accepted, deduplicated=True, position=first.position)


def _without_time(event: Recorded) -> Any:  # noqa: ANN401  # the queued event, whose due time depends on the clock
    return msgspec.structs.replace(event.data, due_at_us=0)


def announce(runtime: Runtime) -> None:
    """Make the log where there is none, and say so."""
    if (runtime.home.state / "log.db").exists():
        return
    runtime.create_log()
    render.note(f"no log here yet: made {runtime.home.state}")
