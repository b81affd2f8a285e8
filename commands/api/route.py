"""What a route is: one row of the table that the router, the gate, the OpenAPI document and the tests are made from."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import quote

import msgspec

from commands import render
from domain import errors

if TYPE_CHECKING:
    from commands.api.doors import Grant
    from commands.api.house import House
    from commands.wiring import Runtime

Scope = Literal["open", "signed", "read", "approve", "operate", "admin", "sql"]
LEVELS: tuple[Scope, ...] = ("read", "approve", "operate", "admin")  # each holds those before it


class Written(msgspec.Struct, frozen=True):
    """What a write answers: the position at which it is durable, and ids."""

    position: int


class Page(msgspec.Struct, frozen=True):
    """A bounded part of a list: `next` is what `after` or `before` takes to go on, null at the end."""

    items: list[dict[str, Any]]
    next: int | None
    head: int


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class Asked(msgspec.Struct, frozen=True):
    """A request that was let in: on whose behalf, and what it brings, checked."""

    house: "House"
    runtime: "Runtime"
    grant: "Grant"
    path: Mapping[str, str]
    query: Any
    body: Any
    raw: bytes
    headers: Mapping[str, str]
    key: str  # of Idempotency-Key
    client: str  # its address


class Answer(msgspec.Struct, frozen=True):
    """What goes back: a document with the position at which it is true or durable; or bytes of another media type."""

    document: Any = None
    position: int | None = None
    status: int = 200
    headers: Mapping[str, str] = {}
    content: bytes | None = None
    media: str = "application/json"

    def body(self) -> bytes:
        """The bytes."""
        return self.content if self.content is not None else encoded(self.document)


Handler = Callable[[Asked], Answer] | Callable[[Asked], Awaitable[Answer]]


class Row(NamedTuple):
    """A route. Its function's docstring says what it does; `changes` is whether it may append to the log."""

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    scope: Scope
    does: Handler
    query: type[msgspec.Struct] = Nothing
    body: type[msgspec.Struct] | None = None
    answer: Any = dict[str, Any]
    heavy: bool = False  # few at once
    stream: bool = False  # it sends by itself: server-sent events, files
    body_bytes_max: int = 0  # 0: the usual
    problems: tuple[type[errors.RtError], ...] = ()
    media: str = "application/json"
    also: tuple[tuple[int, str], ...] = ()  # other good answers: status and media type

    @property
    def changes(self) -> bool:
        """Whether a read-only server leaves it out."""
        return self.method != "GET" and self.scope in ("approve", "operate", "admin", "signed")

    @property
    def is_old(self) -> bool:
        """Whether an older runtime's clients use it: wrong input is answered with 400, as they know it."""
        return is_old(self.path)

    @property
    def is_page(self) -> bool:
        """Whether it serves a file of the page, which is no part of the API."""
        return not (self.is_old or self.path.startswith(("/api/", "/hooks/")))


def is_old(path: str) -> bool:
    """Whether an address is one of the older runtime's."""
    return path in ("/artifacts", "/snapshots") or (path.startswith("/api/") and not path.startswith("/api/v1/"))


def encoded(document: object) -> bytes:
    """JSON, as commands print it."""
    text = json.dumps(document, default=render.plain, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def located(kind: str, name: str) -> dict[str, str]:
    """Where that which a write made can be read."""
    return {"location": f"/api/v1/{kind}/{quote(name, safe='')}"}


def page(items: list[dict[str, Any]], following: int | None, head: int) -> Answer:
    """A part of a list."""
    return Answer({"items": items, "next": following, "head": head}, head)


def rows_of(query: object) -> int:
    """The wanted size of a page."""
    return int(getattr(query, "limit", 0))
