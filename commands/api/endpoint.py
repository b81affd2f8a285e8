"""One address: its methods, the checks of what they bring, and what becomes of an answer."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import unquote

import msgspec
from msgspec import Meta
from starlette.types import Receive, Scope, Send

from commands.api import json_body
from commands.api.gate import parameters, respond
from commands.api.house import House
from commands.api.route import Answer, Asked, Row
from domain import errors
from domain.bounds import HTTP_BODY_BYTES_MAX, HTTP_REQUEST_S, HTTP_WAIT_S_MAX, KEY_CHARS_MAX, TIME_US_MAX

_JSON = "application/json"
# what a route's body is, in the words of who checks it
_NOUNS = {
    "tasks": ("task",),
    "tasks/queue": ("task",),
    "schedules": ("schedule", "task"),
    "sensors/events": ("event",),
    "workflows": ("workflow",),
}


class _Waiting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every read of v1 takes: wait until the log has been read up to a position, to see what was written."""

    min_position: Annotated[int, Meta(ge=0, le=TIME_US_MAX)] = 0
    wait_s: Annotated[float, Meta(ge=0, le=HTTP_WAIT_S_MAX)] = HTTP_WAIT_S_MAX


class Endpoint:
    """An ASGI application for one path."""

    def __init__(self, rows: Sequence[Row], house: House) -> None:
        self._rows = {row.method: row for row in rows}
        self._house = house
        self._allowed = ", ".join(sorted({*self._rows, *(["HEAD"] if "GET" in self._rows else [])}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI. Raises RtError for the gate to answer."""
        method = str(scope["method"])
        row = self._rows.get("GET" if method == "HEAD" else method)  # type: ignore[call-overload]  # any method may come
        if row is None:
            raise errors.MethodRefused(method=method[:20], allowed=self._allowed)
        grant = scope["rt.grant"]
        if row.scope not in ("open", "signed"):
            if grant is None:
                raise errors.TokenMissing(why="this address needs a token")
            if not grant.reaches(row.scope):
                raise errors.ScopeMissing(scope=row.scope, has=grant.level)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        given = parameters(scope)
        await self._wait(row, given)
        query = converted(given, row.query, "query", strict=False)
        raw, body = await _body(row, headers, receive)
        house = self._house
        if grant is not None and method not in ("GET", "HEAD"):
            house.doors.count_write(grant)
        asked = Asked(
            house=house,
            runtime=house.runtime_for(grant),
            grant=grant or house.nobody,
            path={name: unquote(value) for name, value in scope["path_params"].items()},
            query=query,
            body=body,
            raw=raw,
            headers=headers,
            key=_key(headers),
            client=(scope.get("client") or ("unknown", 0))[0],
        )
        try:
            await self._carry_out(row, asked, scope, receive, send)
        except errors.Invalid as problem:
            raise _named(problem, row) from None

    async def _carry_out(self, row: Row, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        house = self._house
        if row.stream:
            await house.streamed(row, asked, scope, receive, send)
            return
        is_once = bool(asked.key) and row.changes and row.scope != "signed"
        answer = await (self._once(row, asked) if is_once else house.run(row, asked))
        house.count(row, answer.status)
        if row.changes and answer.position is not None:
            house.written[asked.grant.name] = max(answer.position, house.written.get(asked.grant.name, 0))
        await respond(_tagged(row, answer, asked.headers), scope, send)

    async def _wait(self, row: Row, given: dict[str, Any]) -> None:
        """Until what a client wrote can be read."""
        if row.method != "GET" or row.is_old:
            return
        named = {name: given.pop(name) for name in ("min_position", "wait_s") if name in given}
        if not named:
            return
        wanted = converted(named, _Waiting, "query", strict=False)
        if not await self._house.live.reached(wanted.min_position, wanted.wait_s):
            at = self._house.live.position
            raise errors.Unready(why=f"the log has been read up to {at}, not to {wanted.min_position}", seconds=1)

    async def _once(self, row: Row, asked: Asked) -> Answer:
        """The same key is the same request: it is carried out once, and answered alike as long as it is remembered."""
        keys = self._house.keys
        name = (asked.grant.name, row.path, str(sorted(asked.path.items())), asked.key)
        about = hashlib.sha256(asked.raw).digest()
        known = keys.get(name)
        if known is None:
            known = keys.begin(name, about)
        elif known.about != about:
            raise errors.AnswerKnown(key=asked.key[:100])
        async with known.lock:
            if known.answer is not None:
                return msgspec.structs.replace(
                    known.answer, headers={**known.answer.headers, "idempotency-replayed": "true"}
                )
            try:
                answer = await self._house.run(row, asked)
            except BaseException:
                keys.forget(name)
                raise
            if len(answer.body()) > HTTP_BODY_BYTES_MAX:  # of no write of ours; nothing large is remembered
                keys.forget(name)
            known.answer = answer
            return answer


def converted(given: object, kind: Any, where: str, *, strict: bool = True) -> Any:  # noqa: ANN401  # an instance of `kind`
    """A document as a Struct. Raises Invalid naming the field."""
    try:
        return msgspec.convert(given, kind, strict=strict)
    except msgspec.ValidationError as problem:
        text, _, path = str(problem).partition(" - at `$")
        place = f"{where}{path.rstrip('`')}"
        if "unknown field" in text:
            text = text.replace("Object contains unknown field", "there is no field")
        raise errors.Invalid(where=place, why=text[:1].lower() + text[1:]) from None


async def _body(row: Row, headers: Mapping[str, str], receive: Receive) -> tuple[bytes, Any]:
    """The body as it came, and what it says."""
    most = row.body_bytes_max or HTTP_BODY_BYTES_MAX
    if row.method == "GET":
        return b"", None
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length) > most:
        raise errors.TooLarge(where="the body", most=most)
    try:
        async with asyncio.timeout(HTTP_REQUEST_S):
            raw = await _read(receive, most)
    except TimeoutError:
        raise errors.TooSlow(seconds=round(HTTP_REQUEST_S)) from None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != _JSON and (raw or row.method != "DELETE"):
        raise errors.MediaRefused(given=kind[:100])
    if row.body is None:
        if raw and row.scope != "signed":
            converted(json_body.read(raw), _Empty, "body")
        return raw, None
    return raw, converted(json_body.read(raw) if raw else {}, row.body, "body")


def _named(problem: errors.Invalid, row: Row) -> errors.Invalid:
    """An error about an option of the command line, or about what a document says, named as the field that came."""
    where = str(problem.fields.get("where", ""))
    name = where.removeprefix("--").replace("-", "_")
    noun, _, field = where.partition(".")
    if not where.startswith("--"):
        # `/api/v1/tasks` takes a task: its fields are the body's; a schedule holds one
        collection = row.path.removeprefix("/api/").removeprefix("v1/").partition("/{")[0]
        own = noun in _NOUNS.get(collection, ())
        if not (own and field) or row.method == "GET":
            return problem
        holds = noun == "task" and "schedules" in row.path
        name = f"body.{where if holds else field}"
    elif row.body is not None and name in row.body.__struct_fields__:
        name = f"body.{name}"
    elif name in row.query.__struct_fields__:
        name = f"query.{name}"
    return type(problem)(**{**problem.fields, "where": name})


class _Empty(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A body without fields."""


async def _read(receive: Receive, most: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise errors.NotJson(where="the body", why="the connection was cut in the middle of it")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise errors.TooLarge(where="the body", most=most)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _key(headers: Mapping[str, str]) -> str:
    key = headers.get("idempotency-key", "")
    if len(key) > KEY_CHARS_MAX or not key.isascii() or not key.isprintable():
        raise errors.Invalid(where="Idempotency-Key", why=f"expected at most {KEY_CHARS_MAX} printable characters")
    return key


def _tagged(row: Row, answer: Answer, headers: Mapping[str, str]) -> Answer:
    """Reads carry their position as an ETag; who knows it already gets no body."""
    more = {"cache-control": "no-store", **answer.headers}
    if row.method == "GET" and answer.position is not None and answer.status == 200:  # noqa: PLR2004  # OK
        tag = f'W/"{answer.position}"'
        known = headers.get("if-none-match", "")
        more["etag"] = tag
        if known in (tag, tag[2:]):
            return Answer(None, answer.position, 304, more)
    return msgspec.structs.replace(answer, headers=more)
