"""The API as an OpenAPI 3.1 document, made from the table of routes and the Structs that it names."""

import inspect
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
from starlette.routing import compile_path

from commands.api.problems import MEDIA, Problem
from commands.api.route import Nothing, Row
from domain import bounds, errors

_REF = "#/components/schemas/{name}"
_EVERYWHERE: tuple[type[errors.RtError], ...] = (
    errors.Invalid, errors.TokenMissing, errors.ScopeMissing, errors.HostRefused, errors.OriginRefused,
    errors.TooLarge, errors.TooMany, errors.Unready,
)  # fmt: skip
_WITH_BODY: tuple[type[errors.RtError], ...] = (errors.NotJson, errors.MediaRefused, errors.TooSlow)


@lru_cache(maxsize=2)
def encoded_document(table: Sequence[Row]) -> bytes:
    """The document as JSON."""
    return json.dumps(document(table), indent=1, sort_keys=True).encode()


def document(table: Sequence[Row]) -> dict[str, Any]:
    """The document."""
    table = [row for row in table if not row.is_page]
    kinds = [kind for row in table for kind in (row.query, row.body, row.answer) if kind is not None]
    schemas, components = msgspec.json.schema_components([*kinds, Problem], ref_template=_REF)
    found = dict(zip(map(str, kinds), schemas, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for row in table:
        paths.setdefault(row.path, {})[row.method.lower()] = _operation(row, found, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rt",
            "version": _version(),
            "description": "An event-sourced runtime for agents. Every read says at which log position it is true,"
            " every write at which position it became durable (Rt-Position).",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "rt token new --scope SCOPE"},
                "session": {"type": "apiKey", "in": "cookie", "name": "rt", "description": "set by /api/v1/session"},
            },
        },
        "x-limits": {
            name.lower(): value
            for name, value in vars(bounds).items()
            if name.startswith(("HTTP_", "SSE_", "SQL_", "SESSION"))
        },
    }  # fmt: skip


def _operation(row: Row, found: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    words = inspect.getdoc(row.does) or ""
    operation: dict[str, Any] = {
        "operationId": f"{row.method.lower()}_{row.path.strip('/').replace('/', '_').translate(_NAMES)}",
        "summary": words.partition("\n")[0],
        "parameters": [*_of_path(row), *_of_query(row, components), *_of_headers(row)],
        "responses": _responses(row, found),
        "x-scope": row.scope,
    }
    if row.scope not in ("open", "signed"):
        operation["security"] = [{"token": []}, {"session": []}]
    if row.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": found[str(row.body)]}},
        }
    return operation


_NAMES = str.maketrans({"{": "", "}": "", ".": "_"})


def _of_path(row: Row) -> Iterable[dict[str, Any]]:
    _, _, names = compile_path(row.path)
    for name in names:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _of_query(row: Row, components: dict[str, Any]) -> Iterable[dict[str, Any]]:
    if row.query is not Nothing:
        schema = components[row.query.__name__]
        for name, about in schema["properties"].items():
            yield {"name": name, "in": "query", "required": name in schema.get("required", []), "schema": about}
    if row.method == "GET" and not row.is_old:
        yield {"name": "min_position", "in": "query", "schema": {"type": "integer", "minimum": 0},
               "description": "wait until the log was read up to here"}  # fmt: skip
        yield {"name": "wait_s", "in": "query",
               "schema": {"type": "number", "minimum": 0, "maximum": bounds.HTTP_WAIT_S_MAX},
               "description": "so long at most"}  # fmt: skip


def _of_headers(row: Row) -> Iterable[dict[str, Any]]:
    if row.method == "POST" and row.scope not in ("open", "signed"):
        yield {"name": "Idempotency-Key", "in": "header",
               "schema": {"type": "string", "maxLength": bounds.KEY_CHARS_MAX, "pattern": "^[ -~]*$"},
               "description": "the same key twice is the same request"}  # fmt: skip


def _responses(row: Row, found: dict[str, Any]) -> dict[str, Any]:
    good = {"description": "as asked", "content": {row.media: {"schema": _schema(row, found)}}}
    codes = ["200"] if row.method == "GET" else ["200", "201", "202"]
    answers: dict[str, Any] = dict.fromkeys(codes, good)
    for status, media in row.also:
        known = answers.get(str(status), {"description": "as asked", "content": {}})
        answers[str(status)] = known | {"content": known["content"] | {media: {"schema": {"type": "string"}}}}
    if row.method == "GET":
        answers["304"] = {"description": "the position that If-None-Match names is still the last one"}
    more = _WITH_BODY if row.method != "GET" else ()
    more += (errors.AnswerKnown,) if row.method == "POST" and row.scope not in ("open", "signed") else ()
    for kind in (*_EVERYWHERE, *more, *row.problems):
        status = 400 if row.is_old and kind.http == errors.Invalid.http else kind.http
        known = answers.setdefault(
            str(status),
            {"description": "", "content": {MEDIA: {"schema": {"$ref": _REF.format(name="Problem")}}}},
        )
        known["description"] = ", ".join(filter(None, (known["description"], kind.code)))
    answers["default"] = {
        "description": "any other problem",
        "content": {MEDIA: {"schema": {"$ref": _REF.format(name="Problem")}}},
    }
    return answers


def _schema(row: Row, found: dict[str, Any]) -> Any:  # noqa: ANN401  # a schema
    return {"type": "string"} if row.media != "application/json" else found[str(row.answer)]


def _version() -> str:
    try:
        return version("rt-runtime")
    except PackageNotFoundError:
        return "0"
