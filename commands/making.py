"""A put in the making, inside the transaction that will hold it: streams grow, tasks are queued, texts are kept."""

from collections.abc import Mapping
from typing import Any

import msgspec

from domain import errors, intake
from domain.config import Config
from domain.events import Blob, Put, Recorded
from domain.ids import keyed_task
from domain.intake import Accepted
from domain.payload import Payload
from domain.ports import LogView
from domain.work_events import Origin

_NO_TEXTS: Mapping[str, bytes] = {}


class Making:
    """What is to be appended. `base` events of the same put come before it; causes may point to them."""

    def __init__(
        self, view: LogView, *, at_us: int, actor: str, as_of_us: int = 0, base: tuple[Recorded, ...] = ()
    ) -> None:
        """`as_of_us`: what is looked at as it would be at another time than now, when it is recorded."""
        self.view = view
        self.at_us = at_us
        self.as_of_us = as_of_us or at_us
        self.actor = actor
        self._base = len(base)
        self._first = {event.stream: event.version for event in base}
        self._versions: dict[str, int] = dict(self._first)
        self.events: list[Recorded] = []
        self.blobs: list[Blob] = []

    @property
    def here(self) -> int:
        """The place of the next event in the put, from 0."""
        return self._base + len(self.events)

    def version(self, stream: str) -> int:
        """The last version of a stream, with what is in the making."""
        if stream not in self._versions:
            self._versions[stream] = self.view.version(stream)
        return self._versions[stream]

    def add(  # what an envelope holds
        self,
        stream: str,
        data: Payload,
        *,
        correlation: str = "",
        cause: int | None = None,
        texts: Mapping[str, bytes] = _NO_TEXTS,
        actor: str = "",
    ) -> Recorded:
        """Let this follow on a stream. `cause` is the place of its cause in the put; `texts` are those it names."""
        version = self.version(stream) + 1
        event = Recorded(
            stream=stream,
            version=version,
            at_us=self.at_us,
            actor=actor or self.actor,
            data=data,  # type: ignore[arg-type]  # every Payload of ours is an Event
            correlation=correlation,
            caused_by=0 if cause is None else cause - self.here,
            texts=dict(texts),
        )
        self._versions[stream] = version
        self.events.append(event)
        self.keep(correlation, *texts.values())
        return event

    def keep(self, scope: str, *texts: bytes) -> None:
        """Keep texts that an event names."""
        self.blobs += [Blob(scope, text) for text in texts]

    def queue(self, accepted: Accepted, task: str, *, origin: Origin | None = None, cause: int | None = None) -> str:
        """Queue a task under this id, unless it is there already; the id."""
        if self.version(task):
            return task
        event = accepted.event
        if origin is not None:
            event = msgspec.structs.replace(event, origin=origin, depth=max(event.depth, origin.depth))
        self.add(task, event, correlation=task, cause=cause)
        self.keep(task, accepted.payload, *accepted.texts)
        return task

    def take(self, other: "Making") -> None:
        """Take over what was made apart; its causes count back within it, and so stay right."""
        self.events += other.events
        self.blobs += other.blobs
        self._versions |= {event.stream: event.version for event in other.events}

    def adopt(self, put: Put | None) -> None:
        """Take over a put that was made on the same view, of streams that nothing here has grown."""
        if put is None:
            return
        self.events += put.events
        self.blobs += put.blobs
        self._versions |= {event.stream: event.version for event in put.events}

    def forget(self) -> None:
        """Count versions anew, after events were taken back."""
        known = {event.stream: event.version for event in self.events}
        self._versions = self._first | known

    def put(self) -> Put | None:
        """All of it; None when it is nothing."""
        return Put(events=tuple(self.events), blobs=tuple(self.blobs)) if self.events else None


def accepted_from(document: dict[str, Any], door: str, config: Config, now_us: int) -> tuple[Accepted, str]:
    """A task input that did not come from the local command line, and the task's id where it has a key.

    Raises Invalid, Refused, UnknownAdapter, UnknownProfile.
    """
    intake.refuse_argv(document, door, config)
    accepted = intake.accept(document, config, now_us)
    if accepted.event.parent_run or accepted.event.thread:
        field = "parent_run" if accepted.event.parent_run else "thread"
        raise errors.Invalid(where=f"task.{field}", why=f"cannot be claimed by {intake.a_door(door)}")
    return accepted, keyed_task(accepted.key) if accepted.key else ""
