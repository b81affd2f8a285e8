"""What a caller gives an agent beside the goal: read once, and frozen in the task."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

from commands import documents
from domain import errors
from domain.bounds import FILE_BYTES_MAX


class Brought(NamedTuple):
    """What a caller gives an agent beside the goal; frozen when the task is taken in."""

    context: str | None = None
    state: str | None = None
    files: tuple[str, ...] = ()


def carried(brought: Brought) -> dict[str, Any]:
    """The part of a payload that holds what is brought. Raises Invalid naming option and file."""
    carried: dict[str, Any] = {}
    if brought.context is not None:
        carried["context"] = _object(brought.context, "--context")
    if brought.state is not None:
        carried["state"] = _object(brought.state, "--state")
    if brought.files:
        carried["files"] = [_file(path) for path in brought.files]
    return carried


def _file(path: str) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as problem:
        raise errors.Invalid(where="--file", why=f"{path}: {problem.strerror}") from None
    if len(content) > FILE_BYTES_MAX:
        raise errors.Invalid(where="--file", why=f"{path}: more than {FILE_BYTES_MAX} bytes")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise errors.Invalid(where="--file", why=f"{path}: is no text in UTF-8") from None
    digest = hashlib.sha256(content).hexdigest()
    return {"path": path, "sha256": digest, "size": len(content), "content": text}


def _object(text: str, where: str) -> dict[str, Any]:
    given = documents.read(text, where)
    if not isinstance(given, dict):
        raise errors.Invalid(where=where, why=f"expected an object, got {type(given).__name__}")
    return given
