"""A sensor event coming in: a document is checked whole, then becomes one event and one stored payload."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from domain import bounds, errors
from domain.ids import text_of
from domain.intake import check_json, check_text, invalid, parse_time
from domain.payload import Text

_Word = Annotated[str, Meta(min_length=1, max_length=bounds.KEY_CHARS_MAX)]


class ProposedWorkflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow that the event should begin."""

    template: _Word
    instance_key: _Word
    state: str | None = None
    context: dict[str, Any] = {}


class SensorInput(msgspec.Struct, frozen=True, kw_only=True):
    """The sensor event input as documented."""

    sensor_id: _Word
    event_id: _Word
    source_ref: Annotated[str, Meta(max_length=2_000)]
    dedupe_key: _Word
    payload: dict[str, Any]
    observed_at: str | None = None
    proposed_task: dict[str, Any] | None = None
    proposed_workflow: ProposedWorkflow | None = None
    dedupe_ttl_seconds: Annotated[int, Meta(ge=1, le=10 * 365 * 86_400)] | None = None


class Sensed(msgspec.Struct, frozen=True, kw_only=True):
    """What is stored of it."""

    input: SensorInput
    payload: bytes
    text: Text
    observed_us: int
    window: int  # of a key that counts anew after a while; 0 where it counts for ever
    ignored_keys: tuple[str, ...]


def accept(document: object, now_us: int) -> Sensed:
    """Check a sensor event. Raises Invalid naming the field (SE-2); the proposed task is for the intake to check."""
    if not isinstance(document, dict):
        raise errors.Invalid(where="sensor event", why=f"expected an object, got {type(document).__name__}")
    check_json(document, "event")
    try:
        found = msgspec.convert(document, SensorInput)
    except msgspec.ValidationError as problem:
        raise invalid(problem, "event") from None
    for name in ("sensor_id", "event_id", "dedupe_key"):
        text = getattr(found, name)
        check_text(text, f"event.{name}")
        if not text.strip():
            raise errors.Invalid(where=f"event.{name}", why="is blank")
    payload = msgspec.json.encode(found.payload, order="sorted")
    if len(payload) > bounds.PAYLOAD_BYTES_MAX:
        raise errors.Invalid(where="event.payload", why=f"{len(payload)} bytes; at most {bounds.PAYLOAD_BYTES_MAX}")
    observed_us = parse_time(found.observed_at, "event.observed_at") if found.observed_at else now_us
    window = now_us // (found.dedupe_ttl_seconds * 1_000_000) if found.dedupe_ttl_seconds else 0
    return Sensed(
        input=found,
        payload=payload,
        text=text_of(payload),
        observed_us=observed_us,
        window=window,
        ignored_keys=tuple(sorted(set(document) - set(SensorInput.__struct_fields__))),
    )
