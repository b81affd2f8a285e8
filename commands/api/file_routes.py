"""Artifacts: what lies beneath the managed folder, opened without following any link, and never shown as a page."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta
from starlette.types import Receive, Scope, Send

from adapters import artifacts
from commands import render
from commands.api.route import Answer, Asked, Row
from commands.world import artifacts_folder
from domain import errors
from domain.bounds import HTTP_ARTIFACT_BYTES_MAX, HTTP_PAGE_BYTES_MAX, HTTP_PAGE_ITEMS_MAX
from domain.managed_path import BadPath

_CHUNK_BYTES = 256 << 10
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class PathQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A path beneath the artifacts, relative; empty for the folder itself."""

    path: Annotated[str, Meta(max_length=1_024)] = ""


def root(asked: Asked) -> str:
    """The managed folder."""
    home = asked.runtime.home
    return artifacts_folder(asked.runtime.config, str(home.folder), str(home.state))


def looked(asked: Asked) -> dict[str, Any]:
    """What is at a path: a folder with what is in it, folders first, or a file. Raises ArtifactNotFound."""
    path = asked.query.path.strip("/")
    try:
        seen = artifacts.look(root(asked), path, bytes_max=0) if path else None
        if seen is not None and seen.kind != "folder":
            if not seen.exists or "bytes" not in seen.why:
                raise errors.ArtifactNotFound(path=path, why=seen.why or "it is not there")
            return {"path": path, "type": "file", "size": seen.size, "updated_at": render.moment_us(seen.mtime_us)}
        found = artifacts.listing(root(asked), path)
    except BadPath as problem:
        raise errors.Invalid(where="query.path", why=problem.why) from None
    except OSError as problem:
        if not path and isinstance(problem, FileNotFoundError):
            return {"path": "", "type": "directory", "entries": []}
        raise errors.ArtifactNotFound(path=path, why=(problem.strerror or "").lower()) from None
    entries = [
        {
            "name": name,
            "path": f"{path}/{name}".lstrip("/"),
            "type": "directory" if seen.kind == "folder" else "file" if seen.kind == "file" else "other",
            "size": seen.size,
            "updated_at": render.moment_us(seen.mtime_us),
        }
        for name, seen in found
    ]
    entries.sort(key=lambda each: (each["type"] != "directory", each["name"]))
    return {"path": path, "type": "directory", "entries": entries[:HTTP_PAGE_ITEMS_MAX]}


def listed(asked: Asked) -> Answer:
    """What is at a path beneath the artifacts."""
    return Answer(looked(asked), asked.runtime.readable.head().position)


def shown(asked: Asked) -> Answer:
    """A text beneath the artifacts as JSON, as an older runtime told it; bytes that are no text are replaced."""
    path = asked.query.path.strip("/")
    with _opened(asked, path) as (descriptor, found):
        content = os.read(descriptor, HTTP_PAGE_BYTES_MAX)
    document = {
        "path": path,
        "size": found.st_size,
        "updated_at": render.moment_us(found.st_mtime_ns // 1000),
        "content_type": "text/plain; charset=utf-8",
        "content": content.decode("utf-8", "replace"),
        "cut": found.st_size > len(content),
    }
    return Answer(document, asked.runtime.readable.head().position)


@contextmanager
def _opened(asked: Asked, path: str) -> Iterator[tuple[int, os.stat_result]]:
    """An artifact, open. Raises Invalid, ArtifactNotFound."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(artifacts.opened(root(asked), path))
        except BadPath as problem:
            raise errors.Invalid(where="query.path", why=problem.why) from None
        except artifacts.NotRegular as problem:
            raise errors.ArtifactNotFound(path=path, why=str(problem)) from None
        except OSError as problem:
            raise errors.ArtifactNotFound(path=path, why=(problem.strerror or "").lower()) from None
        yield found


async def download(asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
    """An artifact as a file, whole or a range of it; never as something that a browser would open by itself."""
    _ = receive
    path = asked.query.path.strip("/")
    with _opened(asked, path) as (descriptor, found):
        if found.st_size > HTTP_ARTIFACT_BYTES_MAX:
            raise errors.TooLarge(where=f"the artifact {path}", most=HTTP_ARTIFACT_BYTES_MAX)
        begin, end, is_part = _range(asked.headers.get("range", ""), found.st_size)
        name = quote(path.rpartition("/")[2], safe="")
        headers = {
            "content-type": "application/octet-stream",
            "content-length": str(end - begin),
            "content-disposition": f"attachment; filename*=UTF-8''{name}",
            "accept-ranges": "bytes",
            "cache-control": "no-store",
            "content-security-policy": "sandbox",  # beside the one of every answer: both hold
            **({"content-range": f"bytes {begin}-{end - 1}/{found.st_size}"} if is_part else {}),
        }
        raw = [(key.encode(), value.encode("latin-1")) for key, value in headers.items()]
        await send({"type": "http.response.start", "status": 206 if is_part else 200, "headers": raw})
        if scope["method"] != "HEAD":
            async for chunk in _chunks(descriptor, begin, end):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _chunks(descriptor: int, begin: int, end: int) -> AsyncIterator[bytes]:
    """The bytes of the range; a file that shrank meanwhile is filled up, for its length was announced."""
    while begin < end:
        size = min(_CHUNK_BYTES, end - begin)
        chunk = await asyncio.to_thread(os.pread, descriptor, size, begin)
        chunk = chunk or b"\0" * size
        begin += len(chunk)
        yield chunk


def _range(header: str, size: int) -> tuple[int, int, bool]:
    """From, to, and whether that is a part. Raises RangeRefused."""
    if not header:
        return 0, size, False
    found = _RANGE.fullmatch(header)
    first, last = (found[1], found[2]) if found else ("", "")
    if first:
        begin, end = int(first), min(int(last) + 1 if last else size, size)
    elif last:
        begin, end = max(0, size - int(last)), size
    else:
        return 0, size, False  # a form that we do not know is not for us: the whole
    if begin >= end:
        raise errors.RangeRefused(given=header[:100], size=size)
    return begin, end, True


_BYTES = "application/octet-stream"
_ERRORS = (errors.ArtifactNotFound,)
ROWS = (
    Row("GET", "/api/v1/artifacts", "read", listed, PathQuery, problems=_ERRORS),
    Row("GET", "/api/v1/artifacts/text", "read", shown, PathQuery, problems=_ERRORS),
    Row("GET", "/api/v1/artifacts/file", "read", download, PathQuery, stream=True,  # type: ignore[arg-type]  # it sends by itself
        media=_BYTES, also=((206, _BYTES),), problems=(*_ERRORS, errors.RangeRefused, errors.TooLarge)),
)  # fmt: skip
