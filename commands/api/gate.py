"""The gate before every address, file, error and stream: host, origin, token, scope, sizes, in this order."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, quote, unquote

from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.log_problems import known
from commands import render
from commands.api import problems
from commands.api.doors import Grant
from commands.api.house import House
from commands.api.route import Answer, Row, is_old
from domain import errors
from domain.bounds import HTTP_FIELDS_NAMED_MAX, HTTP_URL_BYTES_MAX

_SAFE = ("GET", "HEAD")
_OURS = ("/api/", "/hooks/", "/artifacts", "/snapshots")
_SITES = (b"same-origin", b"none")


class Gate:
    """Lets requests through to the routes, and answers for those that it does not let through."""

    def __init__(self, routes: ASGIApp, house: House, table: Sequence[Row]) -> None:
        self._routes = routes
        self._house = house
        self._cookie = f"{house.cookie}="
        # what is answered to strangers: a bare ok, the way in, signed hooks, and the page, which holds nothing
        self._open = [(row.method, compile_path(row.path)[0]) for row in table if row.scope in ("open", "signed")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return  # no websockets; a lifespan is not asked for
        # an encoded slash is part of a name: addresses are told apart as they came, each part encoded in one way
        scope["path"] = "/".join(
            quote(unquote(part), safe="") for part in scope["raw_path"].decode("latin-1").split("/")
        )
        old = is_old(scope["path"])
        try:
            headers = scope["headers"]
            self._check_host(scope, headers)
            self._check_site(scope, headers)
            self._check_size(scope)
            scope["rt.grant"] = self._grant(scope)
            await self._routes(scope, receive, send)
        except errors.RtError as problem:
            await respond(problems.of(problem, self._house.hidden, is_old=old), scope, send)
        except Exception as problem:  # noqa: BLE001  # whatever broke, the client gets no text of it
            told = known(problem, self._house.base.home.state)
            if told is not None:
                render.note(f"{scope['method']} {scope['path']}: {told}")
                await respond(problems.of(told, self._house.hidden, is_old=old), scope, send)
                return
            reference = secrets.token_hex(4)
            render.note(f"bug {reference}: {scope['method']} {scope['path']}: {type(problem).__name__}: {problem}")
            self._house.debug(problem)
            await respond(problems.of(problems.bug(reference), {}, is_old=old, reference=reference), scope, send)

    def _check_host(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
        found = [value for name, value in headers if name == b"host"]
        named: bytes | None = scope.get("rt.authority")
        if named is not None and named.decode("latin-1").lower() not in self._house.hosts:
            raise errors.HostRefused(host=named.decode("latin-1")[:200])
        if len(found) != 1 or found[0].decode("latin-1").lower() not in self._house.hosts:
            raise errors.HostRefused(host=b", ".join(found).decode("latin-1")[:200])

    def _check_site(self, scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
        """Other sites may link to the page, and have nothing to do with the API."""
        is_theirs = scope["method"] in _SAFE and not scope["path"].startswith(_OURS)
        for name, value in headers:
            if name == b"sec-fetch-site" and not is_theirs and value not in _SITES:
                raise errors.OriginRefused(why=f"Sec-Fetch-Site is {value.decode('latin-1')[:40]!r}")
            if name == b"origin" and value.decode("latin-1").lower() not in self._house.origins:
                raise errors.OriginRefused(why=f"the origin {value.decode('latin-1')[:200]!r} is not this server")

    def _check_size(self, scope: Scope) -> None:
        if len(scope["raw_path"]) + len(scope["query_string"]) > HTTP_URL_BYTES_MAX:
            raise errors.TooLarge(where="the address", most=HTTP_URL_BYTES_MAX)

    def _grant(self, scope: Scope) -> Grant | None:
        """Who asks; None for a stranger at what is open. Raises TokenMissing, TooMany."""
        bearer, cookie = _credentials(scope["headers"], self._cookie)
        doors = self._house.doors
        grant = doors.known(bearer, cookie)
        if grant is None and not self._is_open(scope):
            client = scope.get("client") or ("unknown", 0)
            raise doors.refusal(client[0], is_guess=bool(bearer or cookie))
        return grant

    def _is_open(self, scope: Scope) -> bool:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        return any(method == each and pattern.match(scope["path"]) for each, pattern in self._open)


def _credentials(headers: list[tuple[bytes, bytes]], wanted: str) -> tuple[str, str]:
    bearer = cookie = ""
    for name, value in headers:
        if name == b"authorization":
            kind, _, secret = value.decode("latin-1").partition(" ")
            bearer = secret.strip() if kind.lower() == "bearer" else bearer
        elif name == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                if pair.strip().startswith(wanted):
                    cookie = pair.strip()[len(wanted) :]
    return bearer, cookie


async def respond(answer: Answer, scope: Scope, send: Send) -> None:
    """Send an answer whole."""
    body = b"" if answer.status in (204, 304) else answer.body()
    headers: dict[str, str] = {"content-type": answer.media, "content-length": str(len(body)), **answer.headers}
    if answer.position is not None:
        headers["rt-position"] = str(answer.position)
    if answer.status in (204, 304):
        del headers["content-type"], headers["content-length"]
    raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    try:
        await send({"type": "http.response.start", "status": answer.status, "headers": raw})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
    except OSError:
        pass  # the client went away


def parameters(scope: Scope) -> dict[str, Any]:
    """The query's parameters, each once. Raises Invalid."""
    try:
        text = scope["query_string"].decode("latin-1")
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=HTTP_FIELDS_NAMED_MAX)
    except ValueError:
        raise errors.Invalid(where="query", why=f"more than {HTTP_FIELDS_NAMED_MAX} parameters") from None
    found: dict[str, Any] = dict(pairs)
    if len(found) != len(pairs):
        raise errors.Invalid(where="query", why="a parameter stands there twice")
    return found


def security_headers() -> Mapping[str, str]:
    """What every answer carries, also those that the server itself gives to what is no HTTP."""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
        " frame-ancestors 'none'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-resource-policy": "same-origin",
        "cross-origin-opener-policy": "same-origin",
        "x-frame-options": "DENY",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
    }
