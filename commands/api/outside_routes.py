"""What comes from other services as signed hooks, and what goes out to them."""

from typing import Literal

import msgspec

from adapters import signatures
from commands import bridge_commands, outbox
from commands.api import json_body
from commands.api.route import Answer, Asked, Page, Row, Written, page
from commands.api.work_routes import Limit, ReasonBody
from commands.approvals import short
from domain import bridges, errors
from domain.bounds import HTTP_INTAKE_BYTES_MAX, HTTP_PAGE_ITEMS
from domain.work_config import BridgeConfig


class OutboxQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Messages in one state, or all."""

    status: Literal["", "queued", "held", "delivered", "failed", "dropped"] = ""
    limit: Limit = HTTP_PAGE_ITEMS


# hooks


def github(asked: Asked) -> Answer:
    """A webhook of GitHub, signed with the configured secret (X-Hub-Signature-256)."""
    runtime, headers = asked.runtime, asked.headers
    config = runtime.config.bridges.get("github", BridgeConfig())
    secret = runtime.environment.all().get(config.secret_env, "") if config.secret_env else ""
    if not secret:
        why = "this hook takes nothing before bridges.github.secret_env names a variable that holds its secret"
        raise errors.TokenMissing(why=why)
    if not signatures.github(secret.encode(), asked.raw, headers.get("x-hub-signature-256", "")):
        raise errors.TokenMissing(why="the signature does not fit the payload")
    event, delivery = headers.get("x-github-event", "")[:200], headers.get("x-github-delivery", "")[:200]
    bridged = bridges.github(json_body.read(asked.raw), config, event=event, delivery=delivery)
    return _bridged(asked, "github", bridged)


def discord(asked: Asked) -> Answer:
    """An interaction or message of Discord, signed with the configured key, and not older than five minutes."""
    runtime, headers = asked.runtime, asked.headers
    config = runtime.config.bridges.get("discord", BridgeConfig())
    stamp = headers.get("x-signature-timestamp", "")
    if not config.public_key:
        why = "this hook takes nothing before bridges.discord.public_key is configured"
        raise errors.TokenMissing(why=why)
    if not signatures.is_recent(stamp, runtime.clock.now_us() / 1_000_000) or not bridge_commands.is_discords(
        config.public_key, stamp, asked.raw, headers.get("x-signature-ed25519", "")
    ):
        raise errors.TokenMissing(why="the signature does not fit the payload, or is older than five minutes")
    document = json_body.read(asked.raw)
    if isinstance(document, dict) and document.get("type") == 1:  # it asks whether somebody listens
        return Answer({"type": 1}, None)
    return _bridged(asked, "discord", bridges.discord(document, config))


def _bridged(asked: Asked, name: str, bridged: bridges.Bridged) -> Answer:
    runtime = asked.runtime.acting_for(f"bridge:{name}", asked.runtime.reader)
    accepted = bridge_commands.accepted_of(runtime, bridged)
    made = bridge_commands.queued(runtime, name, bridged, accepted)
    return Answer(made, made.get("position"), 201 if made["queued"] and not made["deduplicated"] else 200)


# what goes out


def list_outbox(asked: Asked) -> Answer:
    """What goes out: the newest first."""
    head = asked.runtime.readable.head().position
    return page(outbox.listed(asked.runtime, asked.query.status, asked.query.limit), None, head)


def show_message(asked: Asked) -> Answer:
    """One message, with its content."""
    head = asked.runtime.readable.head().position
    return Answer(outbox.whole(asked.runtime, asked.path["message"]), head)


def retry_message(asked: Asked) -> Answer:
    """Deliver a message now: one that failed, waits, or is held."""
    return _said(asked, "retry")


def drop_message(asked: Asked) -> Answer:
    """Give a message up."""
    return _said(asked, "drop")


def _said(asked: Asked, verb: str) -> Answer:
    text = short(asked.runtime, asked.body.reason, "body.reason")
    stream, position = outbox.say(asked.runtime, asked.path["message"], verb, text)
    return Answer({"message": stream, "verb": verb, "position": position}, position)


_BIG = HTTP_INTAKE_BYTES_MAX
_NO_MESSAGE = (errors.MessageNotFound, errors.MessageRefused, errors.IdAmbiguous)
ROWS = (
    Row("POST", "/hooks/github", "signed", github, body_bytes_max=_BIG, problems=(errors.TokenMissing,)),
    Row("POST", "/hooks/discord", "signed", discord, body_bytes_max=_BIG, problems=(errors.TokenMissing,)),
    Row("GET", "/api/v1/outbox", "read", list_outbox, OutboxQuery, answer=Page),
    Row("GET", "/api/v1/outbox/{message}", "read", show_message, problems=_NO_MESSAGE),
    Row("POST", "/api/v1/outbox/{message}/retry", "operate", retry_message, body=ReasonBody, answer=Written,
        problems=_NO_MESSAGE),
    Row("POST", "/api/v1/outbox/{message}/drop", "operate", drop_message, body=ReasonBody, answer=Written,
        problems=_NO_MESSAGE),
)  # fmt: skip
