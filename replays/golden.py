"""Golden logs: recorded runs kept as files, replayed on every check. A changed decision shows up as a difference."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from adapters import transfer
from adapters.codec import Codec
from domain import errors
from domain import run as core
from domain.advance import stream_of
from domain.agent_events import ApprovalRequested, ControllerAsked
from domain.events import (
    Blob,
    CancelRequested,
    Consequence,
    Recorded,
    ToolCallRequested,
    VerificationRequested,
    hydrated,
)
from domain.ids import text_of
from domain.secret_shapes import looks_like
from replays.replay import Difference, Replayed, is_derived, replay

FILE = "log.jsonl"
_EFFECTS = (ToolCallRequested, CancelRequested, ControllerAsked, ApprovalRequested, VerificationRequested)
_HASH = b""


class Golden(NamedTuple):
    """One golden log and what its replay found."""

    name: str
    result: Replayed


class Updated(NamedTuple):
    """A golden log as today's code would have it; `difference` is what made it another one, None for nothing."""

    content: bytes
    difference: Difference | None


class _Read(NamedTuple):
    header: transfer.Header
    entries: list[transfer.Entry]
    events: list[Recorded]
    salt: bytes


def encode(name: str, run: str, entries: list[transfer.Entry], *, failed: bool = False) -> bytes:
    """The file of a golden log.

    Raises GoldenRefused for a run that does not replay, has not ended, holds what looks like a credential, or, unless
    `failed` ones are wanted, did not complete.
    """
    header = transfer.Header(format=transfer.FORMAT, events=len(entries), run=run, name=name)
    content = b"".join(transfer.encode(header, entries))
    result = check(content.splitlines(keepends=True), name).result
    if result.difference is not None:
        raise errors.GoldenRefused(run=run[:8], why=f"it does not replay: {result.difference}")
    if result.state == "running":
        raise errors.GoldenRefused(run=run[:8], why="it has not ended")
    if result.state != "completed" and not failed:
        raise errors.GoldenRefused(run=run[:8], why=f"it ended as {result.state}; keep it all the same with --failed")
    shape = looks_like(content.decode("utf-8", "replace"))
    if shape:
        raise errors.GoldenRefused(run=run[:8], why=f"it holds what looks like {shape}, and files are passed on")
    return content


def check(lines: Iterable[bytes], source: str) -> Golden:
    """Replay a golden log. Raises Invalid for a file that is none, NewerLog for one of a newer rt."""
    found = read(lines, source)
    return Golden(found.header.name, replay(found.events, found.salt))


def read(lines: Iterable[bytes], source: str) -> _Read:
    """What a golden log holds. Raises Invalid, NewerLog."""
    header, entries = transfer.decode(lines, source)
    found = list(entries)
    if len(found) != header.events:
        raise errors.Invalid(where=source, why=f"{len(found)} events; its header says {header.events}")
    salt = next((entry.salt for entry in found if entry.salt), b"")
    codec = Codec()
    texts = {text_of(blob.content).sha256: blob.content for entry in found for blob in entry.texts}
    events = [hydrated(codec.decode(entry.row, entry.body), lambda _, text: texts.get(text.sha256)) for entry in found]
    return _Read(header, found, events, salt)


def update(lines: Iterable[bytes], source: str) -> Updated:
    """The same facts with the consequences of today's code.

    Raises GoldenRefused where today's code asks for other effects than were recorded: then nobody knows what would have
    come of them, and the run has to be recorded again.
    """
    found = read(lines, source)
    difference = replay(found.events, found.salt).difference
    if difference is None:
        return Updated(b"", None)
    if difference.cause in ("damaged", "undecodable") or difference.kind == "error":
        raise errors.GoldenRefused(run=found.header.run[:8], why=f"it cannot be followed: {difference}")
    entries = _Rewriting(found).entries()
    header = msgspec.structs.replace(found.header, events=len(entries))
    content = b"".join(transfer.encode(header, entries))
    left = check(content.splitlines(keepends=True), source).result.difference
    assert left is None, "what today's code says replays today"
    return Updated(content, difference)


class _Rewriting:
    """A golden log in the making: its facts, and what today's code makes of them."""

    def __init__(self, found: _Read) -> None:
        self._found = found
        self._codec = Codec()
        self._made: list[transfer.Entry] = []
        self._versions: dict[str, int] = {}
        self._places: dict[int, int] = {}  # position then -> position now
        self._new: list[Blob] = []

    def entries(self) -> list[transfer.Entry]:
        """All of it. Raises GoldenRefused."""
        state: core.Run | None = None
        for fact, entry, recorded in _steps(self._found):
            self._add(fact, entry)
            try:
                step = core.step(state, fact)
            except Exception as problem:  # today's code may refuse what was recorded
                raise errors.GoldenRefused(run=self._found.header.run[:8], why=str(problem)[:300]) from problem
            state = step.state
            self._same_effects(recorded, step.consequences)
            self._new += [Blob(state.task, text) for text in step.texts]
            for consequence in step.consequences:
                self._derive(fact, consequence, state)
        first = self._made[0]
        self._made[0] = msgspec.structs.replace(first, texts=_merged(first.texts, self._new))
        return self._made

    def _same_effects(self, recorded: Sequence[Consequence], today: Sequence[Consequence]) -> None:
        was, now = _effects(recorded), _effects(today)
        if was != now:
            missing = ", ".join(sorted(now - was)) or "none"
            unused = ", ".join(sorted(was - now)) or "none"
            why = f"today's code asks for other effects: missing {missing}; unused {unused}. Record the run again"
            raise errors.GoldenRefused(run=self._found.header.run[:8], why=why)

    def _add(self, event: Recorded, entry: transfer.Entry) -> None:
        row = entry.row._replace(
            position=self._next(event.position),
            version=self._version(event.stream, event.version),
            caused_by=self._places.get(event.caused_by, event.caused_by),
        )
        self._made.append(msgspec.structs.replace(entry, row=row, hash=_HASH))

    def _derive(self, fact: Recorded, consequence: Consequence, state: core.Run) -> None:
        stream = stream_of(state, consequence)
        event = msgspec.structs.replace(fact, data=consequence, stream=stream, body=None, texts={}, actor=self._actor)
        name, content = self._codec.encode(event)
        position = self._next(0)
        row = self._made[-1].row._replace(
            position=position,
            stream=stream,
            version=self._version(stream, 0),
            topic=name,
            caused_by=self._places[fact.position],
            state=content,
        )
        self._made.append(transfer.Entry(row=row, hash=_HASH, body=None, texts=(), salt=b""))

    @property
    def _actor(self) -> str:
        """Who derives: the dispatcher that claimed the run."""
        return self._found.events[0].actor

    def _next(self, was: int) -> int:
        position = self._made[-1].row.position + 1 if self._made else self._found.events[0].position
        if was:
            self._places[was] = position
        return position

    def _version(self, stream: str, was: int) -> int:
        self._versions[stream] = self._versions[stream] + 1 if stream in self._versions else was or 1
        return self._versions[stream]


def _steps(found: _Read) -> Iterable[tuple[Recorded, transfer.Entry, list[Consequence]]]:
    """Each fact with the consequences that were recorded for it."""
    at = 0
    events = found.events
    while at < len(events):
        fact, entry = events[at], found.entries[at]
        at += 1
        recorded: list[Consequence] = []
        while at < len(events) and isinstance(data := events[at].data, Consequence) and is_derived(data):
            recorded.append(data)
            at += 1
        yield fact, entry, recorded


def _effects(consequences: Sequence[Consequence]) -> frozenset[str]:
    """The effects among them, by kind and ordinal."""
    return frozenset(
        f"{each.__struct_config__.tag} c{getattr(each, 'call', 0) or getattr(each, 'ask', 0)}"
        for each in consequences
        if isinstance(each, _EFFECTS)
    )


def _merged(known: Sequence[Blob], new: Sequence[Blob]) -> tuple[Blob, ...]:
    return tuple({(blob.scope, blob.content): blob for blob in (*known, *new)}.values())
