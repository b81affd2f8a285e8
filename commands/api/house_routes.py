"""The house: whether it is well, who is in, its one screen, its numbers, adapters, profiles, and pausing it."""

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from commands import adapters, snapshots, tasks
from commands.api import openapi
from commands.api.metrics import MEDIA as METRICS
from commands.api.metrics import text as metrics_text
from commands.api.route import Answer, Asked, Page, Row, Written, page
from commands.api.work_routes import Reason
from commands.health import checked
from commands.past import ask as ask_past
from commands.tasks import reason_of
from domain import agents, errors
from domain.bounds import SESSION_S
from domain.config import AGENT, BUILT_IN

if TYPE_CHECKING:
    from projections.board import Board

_ALIVE_S = 1.0  # how old the word on living dispatchers may be


class StatusQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A position, a time or a snapshot's label; else now."""

    at: Annotated[str, Meta(max_length=64)] = ""


class SessionBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The one-time code of a link, or a token."""

    code: Annotated[str, Meta(max_length=200)] = ""
    token: Annotated[str, Meta(max_length=200)] = ""


class PauseBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether claiming rests, why, and how much rests with it."""

    paused: bool
    reason: Reason = ""
    scope: Literal["claiming", "feeders", "stop"] = "claiming"


class ProbeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether they are looked at, or only their configuration is told."""

    probe: bool = False


async def health(asked: Asked) -> Answer:
    """A bare ok, for monitors and without a token."""
    _ = asked
    return Answer({"ok": True})


async def open_session(asked: Asked) -> Answer:
    """Log a browser in, with the code of a link or with a token; the answer sets a cookie."""
    body: SessionBody = asked.body
    if bool(body.code) == bool(body.token):
        raise errors.Invalid(where="body.code", why="give one of code and token")
    grant, cookie = asked.house.doors.open_session(code=body.code, token=body.token, address=asked.client)
    headers = {"set-cookie": _cookie(asked, cookie, SESSION_S)}
    return Answer({"name": grant.name, "scopes": sorted(grant.scopes)}, None, 200, headers)


def _cookie(asked: Asked, value: str, lasts_s: int) -> str:
    secure = "; Secure" if asked.house.address.is_secure else ""
    return f"{asked.house.cookie}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={lasts_s}{secure}"


async def show_session(asked: Asked) -> Answer:
    """Who is logged in, how far that reaches, and what kind of server this is."""
    house = asked.house
    made = {
        "name": asked.grant.name,
        "scopes": sorted(asked.grant.scopes),
        "runtime_name": asked.runtime.config.runtime_name,
        "read_only": house.address.is_read_only,
        "plain_lan": house.address.is_plain_lan,
        "works": house.dispatcher is not None,
        "position": house.live.position,
    }
    return Answer(made)


async def close_session(asked: Asked) -> Answer:
    """Log out."""
    asked.house.doors.close_session(asked.grant)
    return Answer({"ok": True}, None, 200, {"set-cookie": _cookie(asked, "", 0)})


async def status(asked: Asked) -> Answer:
    """What `rt status --json` says: now from memory, or as it was at a position, a time or a snapshot's label."""
    if asked.query.at:
        return await asked.house.heavily(_past_status, asked)
    alive = asked.runtime.liveness.alive

    def made(board: "Board") -> dict[str, Any]:
        document = board.document()
        drivers = board.dispatchers()
        known = {each: alive(each) for each in {drivers[row["run"]] for row in document["running"]}}
        for row in document["running"]:
            row["dispatcher_alive"] = known[drivers[row["run"]]]
        return document

    text, position = await asked.house.live.screen("status", made, lasts_s=_ALIVE_S)
    return Answer(None, position, content=text)


def _past_status(asked: Asked) -> Answer:
    from projections.status import status as question

    at = snapshots.position(asked.runtime, asked.query.at, "query.at")
    return Answer(ask_past(asked.runtime, at, question), at)


async def metrics(asked: Asked) -> Answer:
    """Numbers for Prometheus."""
    text, position = await asked.house.live.screen("metrics", lambda board: dict(board.counts))
    content = metrics_text(asked.house, msgspec.json.decode(text), position)
    return Answer(None, None, content=content.encode(), media=METRICS)


def list_adapters(asked: Asked) -> Answer:
    """Who runs tasks; with `probe` whether they can be used now."""
    import asyncio

    config = asked.runtime.config
    names = [BUILT_IN, AGENT, *config.adapters]
    seen = asyncio.run(adapters.looked(asked.runtime, names)) if asked.query.probe else adapters.unlooked(config, names)
    return page([adapters.shown(config, each) for each in seen], None, asked.runtime.readable.head().position)


def health_checks(asked: Asked) -> Answer:
    """What `rt health` says: configuration, profiles, adapters, store."""
    began_s = time.monotonic()
    found = checked(asked.runtime)
    return Answer(found | {"latency_ms": round((time.monotonic() - began_s) * 1000, 1)})


def list_profiles(asked: Asked) -> Answer:
    """Profiles, built-in ones too."""
    found = agents.profiles(asked.runtime.config)
    made = [{"profile": name} | msgspec.to_builtins(each) for name, each in found.items()]
    return page(made, None, asked.runtime.readable.head().position)


async def dispatching(asked: Asked) -> Answer:
    """Whether claiming rests, and since when."""
    text, position = await asked.house.live.screen("paused", paused)
    return Answer(None, position, content=text)


def paused(board: "Board") -> dict[str, Any]:
    """Whether claiming rests, why, and when that was said."""
    from commands import render

    at = render.moment_us(board.pause_changed_us) if board.pause_changed_us else None
    return {"paused": board.paused, "reason": board.pause_reason, "updated_at": at}


def pause(asked: Asked) -> Answer:
    """Stop claiming, or claim again."""
    runtime, body = asked.runtime, asked.body
    reason = reason_of(runtime, body.reason, "body.reason")
    changed, position = tasks.paused(runtime, reason, body.scope) if body.paused else tasks.resumed(runtime)
    return Answer({"paused": body.paused, "changed": changed, "position": position}, position)


async def document(asked: Asked) -> Answer:
    """The API as an OpenAPI document."""
    return Answer(None, None, content=openapi.encoded_document(asked.house.table))


ROWS = (
    Row("GET", "/api/v1/health", "open", health),
    Row("POST", "/api/v1/session", "open", open_session, body=SessionBody, problems=(errors.TokenMissing,)),
    Row("GET", "/api/v1/session", "read", show_session),
    Row("DELETE", "/api/v1/session", "read", close_session),
    Row("GET", "/api/v1/status", "read", status, StatusQuery, problems=(errors.PositionUnknown,)),
    Row("GET", "/api/v1/metrics", "read", metrics, media=METRICS),
    Row("GET", "/api/v1/adapters", "read", list_adapters, ProbeQuery, answer=Page, heavy=True),
    Row("GET", "/api/v1/health/checks", "read", health_checks, heavy=True),
    Row("GET", "/api/v1/profiles", "read", list_profiles, answer=Page),
    Row("GET", "/api/v1/dispatcher", "read", dispatching),
    Row("POST", "/api/v1/dispatcher", "operate", pause, body=PauseBody, answer=Written),
    Row("GET", "/api/v1/openapi.json", "read", document),
)  # fmt: skip
