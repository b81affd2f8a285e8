"""The log as lines of JSON: export, import, and golden logs. Stored bytes travel unchanged, so hashes still hold.

A file is a header line, then one line an event in order of position, each with what it brings: the body of an output
event, the texts and the salt that are new with it.
"""

import base64
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from adapters.codec import Row
from domain import errors
from domain.events import Blob
from domain.json_text import UNREADABLE

FORMAT = 1


class Header(msgspec.Struct, frozen=True, kw_only=True, tag="rt.log", tag_field="schema"):
    """What the file is. `run` is set for the excerpt of one run, whose events are no whole chain."""

    format: int
    events: int
    position: int = 0
    hash: str = ""
    run: str = ""
    name: str = ""


class Body(msgspec.Struct, frozen=True):
    """Bytes as text where they are UTF-8, else as base64."""

    text: str | None = None
    base64: str | None = None

    @classmethod
    def of(cls, content: bytes) -> "Body":
        """The smaller of the two forms that keeps every byte."""
        try:
            return cls(text=content.decode())
        except UnicodeDecodeError:
            return cls(base64=base64.b64encode(content).decode())

    def content(self) -> bytes:
        """The bytes again."""
        return base64.b64decode(self.base64) if self.base64 is not None else (self.text or "").encode()


class Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An event with its stored bytes."""

    position: int
    stream: str
    version: int
    topic: str
    caused_by: int
    state: msgspec.Raw
    hash: str = ""
    body: Body | None = None
    texts: tuple["Stored", ...] = ()
    salt: str = ""


class Stored(msgspec.Struct, frozen=True):
    """A text of a task."""

    scope: str
    body: Body


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An event as it comes out of a store or a file."""

    row: Row
    hash: bytes
    body: bytes | None
    texts: tuple[Blob, ...]
    salt: bytes


def encode(header: Header, entries: Iterable[Entry]) -> Iterator[bytes]:
    """The lines of a file."""
    yield msgspec.json.encode(header) + b"\n"
    for entry in entries:
        line = Line(
            position=entry.row.position,
            stream=entry.row.stream,
            version=entry.row.version,
            topic=entry.row.topic,
            caused_by=entry.row.caused_by,
            state=msgspec.Raw(entry.row.state),
            hash=entry.hash.hex(),
            body=None if entry.body is None else Body.of(entry.body),
            texts=tuple(Stored(blob.scope, Body.of(blob.content)) for blob in entry.texts),
            salt=entry.salt.hex(),
        )
        yield msgspec.json.encode(line) + b"\n"


def decode(lines: Iterable[bytes], source: str) -> tuple[Header, Iterator[Entry]]:
    """What a file holds. Raises Invalid naming the line, NewerLog for a format of the future."""
    numbered = iter(enumerate(lines, 1))
    _, first = next(numbered, (1, b""))
    try:
        found: dict[str, Any] = msgspec.json.decode(first)
        if isinstance(found, dict) and found.get("schema") == "rt.log" and found.get("format", 0) > FORMAT:
            raise errors.NewerLog(what=source, found=f"format {found['format']}", known=f"format {FORMAT}")
        header = msgspec.convert(found, Header)
    except UNREADABLE as problem:
        raise errors.Invalid(where=f"{source}, line 1", why=f"not a header of a log of rt: {problem}") from None
    return header, _entries(numbered, source)


def _entries(numbered: Iterator[tuple[int, bytes]], source: str) -> Iterator[Entry]:
    decoder = msgspec.json.Decoder(Line)
    for number, text in numbered:
        if not text.strip():
            continue
        try:
            line = decoder.decode(text)
            yield Entry(
                row=Row(line.position, line.stream, line.version, line.topic, line.caused_by, bytes(line.state)),
                hash=bytes.fromhex(line.hash),
                body=None if line.body is None else line.body.content(),
                texts=tuple(Blob(stored.scope, stored.body.content()) for stored in line.texts),
                salt=bytes.fromhex(line.salt),
            )
        except (*UNREADABLE, ValueError) as problem:
            raise errors.Invalid(where=f"{source}, line {number}", why=f"not an event: {problem}") from None
