"""Events to and from the bytes of the log. Topics are names from the registry; nothing is ever resolved by import."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, cast

import msgspec
from eventsourcing.persistence import Mapper, StoredEvent

from domain import errors
from domain.events import REGISTRY, UPCASTS, Event, Payload, Recorded, Upcast, topic
from domain.json_text import UNREADABLE


class _Encoded(msgspec.Struct, omit_defaults=True, gc=False):
    at_us: int
    actor: str
    data: Any
    correlation: str = ""


class _Decoded(msgspec.Struct):
    at_us: int
    actor: str
    data: msgspec.Raw
    correlation: str = ""


class Row(NamedTuple):
    """An event as the store keeps it; `state` is the JSON that the chain covers."""

    position: int
    stream: str
    version: int
    topic: str
    caused_by: int
    state: bytes


class Codec(Mapper[str]):
    """The mapper of the eventsourcing library for Structs; old versions are upcast from plain dicts."""

    def __init__(
        self,
        registry: Mapping[str, type[Payload]] = REGISTRY,
        upcasts: Mapping[tuple[str, int], Upcast] = UPCASTS,
    ) -> None:
        super().__init__(transcoder=cast("Any", None))  # our own encode and decode: the library's is never called
        self._registry = registry
        self._upcasts = upcasts
        self._topics = {kind: topic(kind) for kind in registry.values()}
        self._kinds = {topic(kind): kind for kind in registry.values()}
        self._current: dict[str, Callable[[msgspec.Raw], Payload]] = {}  # made when they are needed: most never are
        self._encode = msgspec.json.Encoder().encode
        self._envelope = msgspec.json.Decoder(_Decoded).decode

    def encode(self, event: Recorded) -> tuple[str, bytes]:
        """The topic and the state of an event."""
        data = event.data
        return self._topics[type(data)], self._encode(_Encoded(event.at_us, event.actor, data, event.correlation))

    def decode(self, row: Row, body: bytes | None = None) -> Recorded:
        """The event in a row. Raises NewerLog for what only a newer rt knows, Corrupt for what nobody wrote."""
        try:
            state = self._envelope(row.state)
            decode = self._current.get(row.topic) or self._decoder(row.topic)
            data = decode(state.data) if decode else self._upcast(row, state.data)
        except (*UNREADABLE, KeyError) as problem:
            raise errors.Undecodable(position=row.position, topic=row.topic, why=str(problem)) from problem
        return Recorded(
            stream=row.stream,
            version=row.version,
            at_us=state.at_us,
            actor=state.actor,
            data=cast("Event", data),
            correlation=state.correlation,
            caused_by=row.caused_by,
            position=row.position,
            body=body,
        )

    def _decoder(self, name: str) -> Callable[[msgspec.Raw], Payload] | None:
        kind = self._kinds.get(name)
        if kind is None:
            return None
        made = self._current[name] = msgspec.json.Decoder(kind).decode
        return made

    def to_stored_event(self, domain_event: Any) -> StoredEvent:  # noqa: ANN401  # the library's signature
        """For the library: an event with what its own row type can hold."""
        name, state = self.encode(domain_event)
        return StoredEvent(domain_event.stream, domain_event.version, name, state)

    def to_domain_event(self, stored_event: StoredEvent) -> Any:  # noqa: ANN401  # the library's signature
        """For the library: the event, with what its own row type can hold."""
        position = getattr(stored_event, "id", 0)  # notifications have one
        stream, version = str(stored_event.originator_id), stored_event.originator_version
        return self.decode(Row(position, stream, version, stored_event.topic, 0, stored_event.state))

    def _upcast(self, row: Row, raw: msgspec.Raw) -> Payload:
        name, _, number = row.topic.rpartition(".v")
        kind = self._registry.get(name)
        if kind is None or not number.isdecimal() or int(number) > kind.VERSION:
            known = f"v{kind.VERSION}" if kind else "no such event"
            raise errors.NewerLog(what=f"event {row.position}", found=row.topic, known=known)
        old: dict[str, Any] = msgspec.json.decode(raw)
        for version in range(int(number), kind.VERSION):
            old = self._upcasts[name, version](old)
        return msgspec.convert(old, kind)
