"""The only place that prints: tables and lines for people, JSON for programs, errors for both.

Whatever tools or strangers wrote goes through `clean` before it reaches a terminal.
"""

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from domain import errors

_MARKS = {
    "running": "●",
    "waiting_for_approval": "◐",
    "completed": "✓",
    "failed": "✗",
    "permanent_failure": "✗",
    "lost": "✗",
    "canceled": "■",
    "operator_canceled": "■",
    "blocked": "▲",
    "pending": "○",
    "retryable_failure": "↻",
}
_ASCII = {"●": "*", "◐": "?", "✓": "+", "✗": "x", "■": "-", "▲": "!", "○": ".", "↻": "~"}
_COLORS = {"✓": "32", "✗": "31", "▲": "33", "●": "36", "◐": "33", "■": "35", "↻": "33"}


_ESCAPE = re.compile("(\x1b\\[[0-9]*m)")


class _Style:
    """How to print in this invocation; set once by the command line."""

    color: str = "auto"
    quiet: bool = False
    logs_json: bool = False  # what is noted is for a collector of logs: an object a line


style = _Style()


def clean(text: str) -> str:
    """Text that does nothing to a terminal: control, C1 and bidirectional characters become visible."""
    if text.isprintable():
        return text
    return "".join(each if each in "\n\t" or each.isprintable() else _visible(each) for each in text)


def _visible(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004


def line(text: str) -> str:
    """One line of untrusted text."""
    return clean(text).replace("\n", "\\n").replace("\t", " ")


def mark(state: str, *, stderr: bool = False) -> str:
    """Glyph and word of a state; ASCII where the locale is."""
    glyph = _MARKS.get(state, "·")
    shown = glyph if _unicode() else _ASCII.get(glyph, ".")
    text = f"{shown} {state}"
    return f"\x1b[{_COLORS[glyph]}m{text}\x1b[0m" if glyph in _COLORS and _colored(stderr=stderr) else text


def _unicode() -> bool:
    return "utf" in (sys.stdout.encoding or "").lower()


def _colored(*, stderr: bool) -> bool:
    if style.color != "auto":
        return style.color == "always"
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (sys.stderr if stderr else sys.stdout).isatty()


def is_terminal() -> bool:
    """Whether output and notes meet on one terminal."""
    return sys.stdout.isatty() and sys.stderr.isatty()


def out(text: str = "") -> None:
    """A line on stdout. Its untrusted parts were cleaned by who made it."""
    print(text if _unicode() else text.encode("ascii", "replace").decode(), flush=True)  # noqa: T201  # this is where rt prints


def note(text: str, *, before: str = "") -> None:
    """A line on stderr about what is going on; `before` was made by `mark`."""
    if style.quiet:
        return
    if style.logs_json:
        logged("rt.note.v1", {"text": text.strip()})
    else:
        print(before + clean(text), file=sys.stderr, flush=True)  # noqa: T201


def logged(schema: str, value: Mapping[str, Any]) -> None:
    """One JSON object on a line of stderr, for a collector of logs."""
    sys.stderr.write(_line(schema, value))
    sys.stderr.flush()


def raw(data: bytes, *, stderr: bool = False) -> None:
    """Bytes that a tool printed: as they are into a pipe or file, cleaned onto a terminal."""
    target = sys.stderr if stderr else sys.stdout
    if target.isatty():
        data = clean(data.decode("utf-8", "replace").replace("\r\n", "\n")).encode(
            target.encoding or "utf-8", "replace"
        )
    target.buffer.write(data)
    target.flush()


def screen(lines: Sequence[str]) -> None:
    """Show these lines on a cleared terminal. Their untrusted parts were cleaned by who made them."""
    sys.stdout.write("\x1b[H\x1b[2J\x1b[3J" + "\n".join(lines) + "\n")
    sys.stdout.flush()


def document(schema: str, value: Mapping[str, Any]) -> None:
    """One JSON object on one line."""
    sys.stdout.write(_line(schema, value))
    sys.stdout.flush()


def line_of_json(value: Mapping[str, Any]) -> None:
    """One JSON object on one line, with no schema of ours: somebody else's columns."""
    sys.stdout.write(_tame(json.dumps(value, default=plain, ensure_ascii=False)) + "\n")
    sys.stdout.flush()


def _line(schema: str, value: Mapping[str, Any]) -> str:
    return _tame(json.dumps({"schema": schema} | dict(value), default=plain, ensure_ascii=False)) + "\n"


def _tame(text: str) -> str:
    """The same JSON, with everything that could act on a terminal spelled as an escape of JSON."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


def documents(schema: str, values: Iterable[Mapping[str, Any]], *, position: int, following: int | None = None) -> None:
    """JSON lines, closed by a line that shows whether the list was cut."""
    count = 0
    for value in values:
        document(schema, value)
        count += 1
    document("rt.end.v1", {"count": count, "position": position, "next": following})


def plain(value: object) -> object:
    """What JSON has no word for: times, digests, exact numbers."""
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, bytes):
        return value.hex()
    return str(value)


def moment(at: datetime | None) -> str:
    """A time as RFC 3339, UTC."""
    return at.isoformat(timespec="milliseconds") + "Z" if at else ""


def moment_us(at_us: int) -> str:
    """A recorded time as RFC 3339, UTC."""
    return moment(datetime.fromtimestamp(at_us / 1_000_000, UTC).replace(tzinfo=None))


def value(said: object) -> str:
    """One line of what a document says, for people: words as they are, anything with parts as JSON."""
    if isinstance(said, dict | list | tuple | bool):
        return line(json.dumps(said, default=plain, ensure_ascii=False))
    return line(moment(said) if isinstance(said, datetime) else str(said))


def table(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns without borders; cut to the width of a terminal, never in a pipe."""
    import shutil

    shown = [
        [("" if cell is None else str(cell)) if _is_ours(cell) else line(str(cell)) for cell in row] for row in rows
    ]
    heads = [line(heading).upper() for heading in headings]
    widths = [max(_width(cell) for cell in column) for column in zip(heads, *shown, strict=True)]
    right = [all(isinstance(row[at], int | float) for row in rows) and bool(rows) for at in range(len(headings))]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in [heads, *shown]:
        cells = [
            " " * (widths[at] - _width(cell)) + cell if right[at] else cell + " " * (widths[at] - _width(cell))
            for at, cell in enumerate(row)
        ]
        text = "  ".join(cells).rstrip()
        out(text if width is None else _cut(text, width))


def _cut(text: str, width: int) -> str:
    """As much of a row as fits; the escape codes of `mark` take no room, and all of them stay."""
    kept = ""
    for part in _ESCAPE.split(text):
        if part.startswith("\x1b"):
            kept += part
        else:
            kept, width = kept + part[:width], max(0, width - len(part))
    return kept


def _is_ours(cell: object) -> bool:
    return cell is None or isinstance(cell, int | float | Marked)


class Marked(str):
    """A cell that was made by `mark`: its escape codes are ours."""

    __slots__ = ()


def _width(cell: str) -> int:
    return len(cell) - (9 if "\x1b[" in cell else 0)


def error(problem: errors.RtError, *, as_json: bool) -> None:
    """An error on stderr: what, why, and the command that helps."""
    if as_json:
        said = {"code": problem.code, "message": str(problem), "hint": problem.advice}
        content = problem.fields | said  # a field of the same name never takes the place of the sentence
        sys.stderr.write(_tame(json.dumps({"error": content}, ensure_ascii=False)) + "\n")
        return
    print(f"error: {line(str(problem))}  [{problem.code}]", file=sys.stderr)  # noqa: T201
    if problem.advice:
        print(f"  try: {line(problem.advice)}", file=sys.stderr)  # noqa: T201
