"""The operator's page: a few files that hold nothing of the log. Every address of it is the same document."""

import gzip
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from commands.api.route import Answer, Asked, Row
from domain import errors

_FOLDER: Final = Path(__file__).resolve().parent.parent / "web"
_MEDIA: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
# the addresses that people send each other; the page itself reads them
VIEWS: Final = (
    "/", "/tasks", "/tasks/{task}", "/runs", "/runs/{run}", "/runs/{run}/replay",
    "/approvals", "/approvals/{run}/{call}", "/threads", "/threads/{thread}", "/schedules", "/sensors",
    "/workflows", "/workflows/{key}", "/adapters", "/outbox", "/files", "/log", "/sql", "/report", "/login",
)  # fmt: skip


class Anything(msgspec.Struct, frozen=True):
    """Parameters for the page itself, which reads them in the browser."""


class File(NamedTuple):
    """A file of the page."""

    content: bytes
    packed: bytes  # gzip: there is nothing secret in it that its size could tell
    media: str
    tag: str


@lru_cache(maxsize=1)
def files() -> dict[str, File]:
    """All of them, read once."""
    found = {path.name: (path.read_bytes(), _MEDIA[path.suffix]) for path in _FOLDER.iterdir() if path.suffix in _MEDIA}
    return {
        name: File(content, gzip.compress(content, 9, mtime=0), media, f'"{hashlib.sha256(content).hexdigest()[:32]}"')
        for name, (content, media) in found.items()
    }


async def view(asked: Asked) -> Answer:
    """The page."""
    return _file(asked, "index.html")


async def asset(asked: Asked) -> Answer:
    """A file of the page."""
    return _file(asked, asked.path["name"])


async def icon(asked: Asked) -> Answer:
    """No icon."""
    _ = asked
    return Answer(status=204)


def _file(asked: Asked, name: str) -> Answer:
    found = files().get(name)
    if found is None:
        raise errors.PathUnknown
    headers = {"etag": found.tag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if asked.headers.get("if-none-match") == found.tag:
        return Answer(None, None, 304, headers)
    if "gzip" in asked.headers.get("accept-encoding", ""):
        return Answer(headers=headers | {"content-encoding": "gzip"}, content=found.packed, media=found.media)
    return Answer(headers=headers, content=found.content, media=found.media)


ROWS = (
    *(Row("GET", path, "open", view, Anything, media="text/html") for path in VIEWS),
    Row("GET", "/assets/{name}", "open", asset, Anything, media="text/javascript"),
    Row("GET", "/favicon.ico", "open", icon, media="image/x-icon"),
)
