"""Documents that a person hands over: JSON text, @file, or - for standard input."""

import sys
from pathlib import Path

from domain import errors
from domain.bounds import DOCUMENT_BYTES_MAX
from domain.intake import parse_json


def read(given: str, where: str) -> object:
    """The document. Raises Invalid naming where it came from."""
    if given == "-":
        return parse_json(decode(sys.stdin.buffer.read(DOCUMENT_BYTES_MAX + 1), "standard input"), where)
    if given.startswith("@"):
        path = Path(given[1:])
        try:
            with path.open("rb") as file:
                content = file.read(DOCUMENT_BYTES_MAX + 1)
        except OSError as problem:
            raise errors.Invalid(where=str(path), why=f"cannot be read: {problem.strerror}") from None
        return parse_json(decode(content, str(path)), where)
    return parse_json(given, where)


def decode(content: bytes, source: str) -> str:
    """Text of a bounded size. Raises Invalid."""
    if len(content) > DOCUMENT_BYTES_MAX:
        raise errors.Invalid(where=source, why=f"more than {DOCUMENT_BYTES_MAX} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise errors.Invalid(where=source, why=f"not UTF-8: {problem.reason} at byte {problem.start}") from None
