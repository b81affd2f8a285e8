"""Many documents in one command: lines of JSON, taken in in groups, each whole or not at all."""

import os
import select
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from commands import render
from domain import errors
from domain.bounds import (
    BATCH_LINES_MAX,
    IGNORED_KEYS_NAMED_MAX,
    INTAKE_GROUP_BYTES_MAX,
    LINE_BYTES_MAX,
    LINES_NAMED_MAX,
    SHOWN_VALUE_CHARS_MAX,
)
from domain.intake import parse_json

GROUP = 1000  # documents that share a transaction
_READ_BYTES = 1 << 18
_WAIT_S = 0.01  # a pipe holds less than a group, and its writer needs a moment to fill it again


class Line(NamedTuple):
    """A line: its number from 1, and what it says, or why it says nothing."""

    number: int
    document: object
    problem: errors.RtError | None = None


def groups(given: str, what: str) -> Iterator[list[Line]]:
    """The documents of a file of lines (`@file`, or `-` for stdin), as many at once as share a transaction.

    Who writes lines into a pipe is not kept waiting: what is there is a group. Blank lines are left out. The file is
    opened at once: one that cannot be read is refused before anything is made for it. Raises Invalid.
    """
    if given == "-":
        return _grouped(_lines(sys.stdin.buffer, what))
    path = Path(given.removeprefix("@"))
    try:
        return _grouped(_of_file(path.open("rb"), what, path))
    except OSError as problem:
        raise _unreadable(what, path, problem) from None


def _grouped(given: Iterator[Line | None]) -> Iterator[list[Line]]:
    group: list[Line] = []
    try:
        for line in given:
            if line is not None:
                group.append(line)
            if group and (line is None or len(group) == GROUP):
                yield group
                group = []
    except errors.Invalid:  # reading on failed; what was read is good
        if group:
            yield group
        raise
    if group:
        yield group


def _of_file(file: BinaryIO, what: str, path: Path) -> Iterator[Line | None]:
    try:
        with file:
            yield from _lines(file, what)
    except OSError as problem:
        raise _unreadable(what, path, problem) from None


def _unreadable(what: str, path: Path, problem: OSError) -> errors.Invalid:
    return errors.Invalid(where=what, why=f"{path}: {problem.strerror}")


def _lines(file: BinaryIO, what: str) -> Iterator[Line | None]:
    """Its lines; None where a group ends early: no more are there yet, or they are large."""
    number = found = size = 0
    where = what.removesuffix("s")  # of which line it is, who tells it says
    for text in _texts(file):
        if text is None:
            yield None
            continue
        number += 1
        if not text.strip():
            continue
        found += 1
        if found > BATCH_LINES_MAX:
            raise errors.Invalid(where=what, why=f"more than {BATCH_LINES_MAX} documents; split the file")
        yield _line(number, text, where)
        size += len(text)
        if size >= INTAKE_GROUP_BYTES_MAX:  # others want to write too
            size = 0
            yield None


def _line(number: int, text: bytes, where: str) -> Line:
    try:
        if len(text) > LINE_BYTES_MAX:
            raise errors.Invalid(where=where, why=f"more than {LINE_BYTES_MAX} bytes")
        return Line(number, parse_json(text.decode("utf-8-sig"), where))
    except UnicodeDecodeError:
        return Line(number, None, errors.Invalid(where=where, why="is not UTF-8"))
    except errors.RtError as problem:
        return Line(number, None, problem)


def _texts(file: BinaryIO) -> Iterator[bytes | None]:
    """What stands between line ends; None where the next one keeps us waiting. Of one too long only the head."""
    rest, is_told = b"", False
    while data := os.read(file.fileno(), _READ_BYTES):
        *whole, rest = (rest + data).split(b"\n")
        for text in whole:
            if not is_told:
                yield text
            is_told = False
        if len(rest) > LINE_BYTES_MAX:
            if not is_told:
                yield rest
            rest, is_told = b"", True
        if not select.select([file], (), (), _WAIT_S)[0]:
            yield None
    if rest and not is_told:
        yield rest


def tell_refused(number: int, problem: errors.RtError, *, as_json: bool) -> None:
    """Say on stderr which line was refused and why: for programs as a JSON line."""
    if as_json:
        said = {"code": problem.code, "message": str(problem), "hint": problem.advice}
        render.logged("rt.line_refused.v1", {"line": number, "error": problem.fields | said})
    else:
        render.note(f"line {number}: {problem}")


class Ignored:
    """Keys of lines that nobody knows: how often each stands there, and where first."""

    def __init__(self) -> None:
        self.keys: dict[str, tuple[int, tuple[int, ...]]] = {}

    def add(self, number: int, keys: Iterable[str]) -> None:
        """A line has these."""
        for key in keys:
            count, lines = self.keys.get(key, (0, ()))
            if count or len(self.keys) < IGNORED_KEYS_NAMED_MAX:
                self.keys[key] = (count + 1, (*lines, number)[:LINES_NAMED_MAX])

    def document(self) -> dict[str, Any]:
        """All of it for programs."""
        return {key: {"count": count, "lines": list(lines)} for key, (count, lines) in self.keys.items()}

    def tell(self) -> None:
        """All of it for people."""
        for key, (count, lines) in self.keys.items():
            shown = ", ".join(map(str, lines)) + ("…" if count > len(lines) else "")
            render.note(f"ignored key {key[:SHOWN_VALUE_CHARS_MAX]} of {count} line{'s' * (count > 1)}: {shown}")
