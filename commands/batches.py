"""Many documents in one command: lines of JSON, taken in in groups, each whole or not at all."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from commands import render
from domain import errors
from domain.bounds import (
    BATCH_LINES_MAX,
    IGNORED_KEYS_NAMED_MAX,
    LINE_BYTES_MAX,
    LINES_NAMED_MAX,
    SHOWN_VALUE_CHARS_MAX,
)
from domain.intake import parse_json

GROUP = 1000  # documents that share a transaction


class Line(NamedTuple):
    """A line: its number from 1, and what it says, or why it says nothing."""

    number: int
    document: object
    problem: errors.RtError | None = None


def lines(given: str, what: str) -> Iterator[Line]:
    """The documents of a file of lines (`@file`, or `-` for stdin); blank lines are left out. Raises Invalid.

    The file is opened at once: one that cannot be read is refused before anything is made for it.
    """
    if given == "-":
        return _lines(sys.stdin.buffer, what)
    path = Path(given.removeprefix("@"))
    try:
        return _of_file(path.open("rb"), what, path)
    except OSError as problem:
        raise _unreadable(what, path, problem) from None


def _of_file(file: BinaryIO, what: str, path: Path) -> Iterator[Line]:
    try:
        with file:
            yield from _lines(file, what)
    except OSError as problem:
        raise _unreadable(what, path, problem) from None


def _unreadable(what: str, path: Path, problem: OSError) -> errors.Invalid:
    return errors.Invalid(where=what, why=f"{path}: {problem.strerror}")


def _lines(file: BinaryIO, what: str) -> Iterator[Line]:
    number = found = 0
    while line := file.readline(LINE_BYTES_MAX + 1):
        number += 1
        if not line.strip():
            continue
        found += 1
        if found > BATCH_LINES_MAX:
            raise errors.Invalid(where=what, why=f"more than {BATCH_LINES_MAX} documents; split the file")
        where = what.removesuffix("s")  # of which line it is, who tells it says
        if len(line) > LINE_BYTES_MAX:
            while line and not line.endswith(b"\n"):  # the rest of it
                line = file.readline(LINE_BYTES_MAX)
            yield Line(number, None, errors.Invalid(where=where, why=f"more than {LINE_BYTES_MAX} bytes"))
            continue
        try:
            yield Line(number, parse_json(line.decode("utf-8-sig"), where))
        except UnicodeDecodeError:
            yield Line(number, None, errors.Invalid(where=where, why="is not UTF-8"))
        except errors.RtError as problem:
            yield Line(number, None, problem)


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


def grouped(given: Iterator[Line]) -> Iterator[list[Line]]:
    """The lines, as many at once as share a transaction."""
    group: list[Line] = []
    for line in given:
        group.append(line)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group
