"""Documents that a person hands over (JSON text, @file, or - for standard input), and files that one wants written."""

import sys
from pathlib import Path

from domain import errors
from domain.bounds import DOCUMENT_BYTES_MAX
from domain.intake import parse_json


def read(given: str, where: str) -> object:
    """The document. Raises Invalid naming where it came from."""
    content, source = raw(given, where)
    return parse_json(decode(content, source), where)


def raw(given: str, where: str) -> tuple[bytes, str]:
    """Its bytes as they came, of a bounded size but for one byte more, and where they came from. Raises Invalid."""
    if given == "-":
        return sys.stdin.buffer.read(DOCUMENT_BYTES_MAX + 1), "standard input"
    if not given.startswith("@"):
        return given.encode("utf-8", "surrogateescape"), where
    path = Path(given[1:])
    try:
        with path.open("rb") as file:
            return file.read(DOCUMENT_BYTES_MAX + 1), str(path)
    except OSError as problem:
        raise errors.Invalid(where=str(path), why=f"cannot be read: {problem.strerror}") from None


def target(path: Path) -> str:
    """The file that a person wants written. Raises Invalid for a folder."""
    if path.is_dir():
        raise errors.Invalid(where=str(path), why="is a folder; name a file")
    return str(path.resolve())


def decode(content: bytes, source: str) -> str:
    """Text of a bounded size. Raises Invalid."""
    if len(content) > DOCUMENT_BYTES_MAX:
        raise errors.Invalid(where=source, why=f"more than {DOCUMENT_BYTES_MAX} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise errors.Invalid(where=source, why=f"not UTF-8: {problem.reason} at byte {problem.start}") from None
