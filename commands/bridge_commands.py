"""Commands about bridges: what another service sent becomes a task, by file now and by HTTP where it is served."""

from typing import Annotated, Any

import typer

from adapters import signatures
from commands import documents, options, render
from commands.invocation import invocation
from commands.making import accepted_from
from commands.taking_in import announce, check_secrets, take_in
from commands.wiring import Runtime
from domain import bridges, errors
from domain.bridges import Bridged
from domain.ids import keyed_task
from domain.intake import Accepted, parse_json
from domain.work_config import BridgeConfig

app = typer.Typer(no_args_is_help=True)
Document = Annotated[str, typer.Argument(metavar="[DOC]", help="The payload: JSON, @file, or - for stdin.")]


@app.command("github", help="A payload of GitHub: a webhook's, or the old short form.")
def github(
    document: Document = "-",
    event: Annotated[str, typer.Option("--event", help="What X-GitHub-Event says.")] = "",
    signature: Annotated[
        str, typer.Option("--signature", help="What X-Hub-Signature-256 says; needed where secret_env is configured.")
    ] = "",
    as_json: options.Json = False,
) -> None:
    """Bridge a GitHub payload."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    config = runtime.config.bridges.get("github", BridgeConfig())
    content, source = documents.raw(document, "bridge.github")
    if config.secret_env:
        secret = runtime.environment.all().get(config.secret_env, "")
        if not secret:
            raise errors.Invalid(where="bridges.github.secret_env", why=f"the variable {config.secret_env} is not set")
        if not signatures.github(secret.encode(), content, signature):
            raise _unsigned("github.secret_env", signature)
    payload = parse_json(documents.decode(content, source), "bridge.github")
    bridged = bridges.github(payload, config, event=event)
    _queue(runtime, "github", bridged, as_json=as_json)


@app.command("discord", help="A payload of Discord: a message, an interaction, or the old short form.")
def discord(
    document: Document = "-",
    signature: Annotated[
        str, typer.Option("--signature", help="What X-Signature-Ed25519 says; needed where public_key is configured.")
    ] = "",
    timestamp: Annotated[str, typer.Option("--timestamp", help="What X-Signature-Timestamp says.")] = "",
    as_json: options.Json = False,
) -> None:
    """Bridge a Discord payload."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    config = runtime.config.bridges.get("discord", BridgeConfig())
    content, source = documents.raw(document, "bridge.discord")
    # its age is not looked at: a receiver may have kept it for a while, and a second delivery makes no second task
    if config.public_key and not is_discords(config.public_key, timestamp, content, signature):
        raise _unsigned("discord.public_key", signature and timestamp)
    bridged = bridges.discord(parse_json(documents.decode(content, source), "bridge.discord"), config)
    _queue(runtime, "discord", bridged, as_json=as_json)


def is_discords(key: str, timestamp: str, content: bytes, signature: str) -> bool:
    """Whether the signature is that of the key's owner. Raises Invalid where it cannot be checked here."""
    try:
        return signatures.discord(key, timestamp, content, signature)
    except signatures.SignatureUnavailable as problem:
        why = f"{problem}; install rt with its extra 'discord'"
        raise errors.Invalid(where="bridges.discord.public_key", why=why) from None


def _unsigned(field: str, given: str) -> errors.Invalid:
    why = "does not fit the payload; hand on the bytes and the headers as they came"
    if not given:
        stamp = " and so is --timestamp" if field.startswith("discord") else ""
        why = f"is needed{stamp}: bridges.{field} is configured; hand on what the headers say"
    return errors.Invalid(where="--signature", why=why)


def _queue(runtime: Runtime, bridge: str, bridged: Bridged, *, as_json: bool) -> None:
    accepted = accepted_of(runtime, bridged)
    if accepted is not None:
        announce(runtime)
    answer = queued(runtime, bridge, bridged, accepted)
    runtime.close()
    _said(answer, as_json=as_json)


def accepted_of(runtime: Runtime, bridged: Bridged) -> Accepted | None:
    """The task of a payload as it may be stored; None where nothing is made of it. Raises Invalid, Refused."""
    if bridged.task is None:
        return None
    accepted, _ = accepted_from(bridged.task, "bridge", runtime.config, runtime.clock.now_us())
    check_secrets(runtime, accepted.payload, accepted.event)
    return accepted


def queued(runtime: Runtime, bridge: str, bridged: Bridged, accepted: Accepted | None) -> dict[str, Any]:
    """What became of a payload, for programs."""
    answer: dict[str, Any] = {"queued": False, "bridge": bridge, "event": bridged.event, "task_id": None}
    if accepted is None:
        return answer | {"ignored": bridged.ignored}
    return answer | {"queued": True, "profile": accepted.event.profile} | _taken(runtime, accepted)


def _taken(runtime: Runtime, accepted: Accepted) -> dict[str, Any]:
    """The task that is there now. What was told before in other words makes no second one, and is no error (BR-2)."""
    try:
        taken = take_in(runtime, accepted)
    except errors.KeyConflict:
        task = keyed_task(accepted.key)
        position = runtime.log.stream(task)[0].position
        return {"task_id": task, "deduplicated": True, "conflict": True, "position": position}
    return {
        "task_id": taken.task,
        "deduplicated": taken.deduplicated,
        "conflict": False,
        "position": taken.position,
    }


def _said(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        render.document("rt.bridge.v1", answer)
    elif not answer["queued"]:
        render.out(f"nothing is made of it: {render.line(answer['ignored'])}")
    else:
        how = "known" if answer["deduplicated"] else "queued"
        render.out(f"{how}: task {answer['task_id'][:8]} at position {answer['position']}")
        if answer["conflict"]:
            render.note("what it says differs from the first time")
