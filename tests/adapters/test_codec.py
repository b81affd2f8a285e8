"""Events to bytes and back; only names of the registry are ever resolved."""

from typing import Any, ClassVar

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent

from adapters.codec import Codec, Row
from domain import errors
from domain.events import REGISTRY, Payload, Recorded, RunCancelAsked, topic
from tests.adapters.representatives import REPRESENTATIVES

ENVELOPE = b'{"at_us":5,"actor":"me","data":%s}'


def row(name: str, data: bytes, *, position: int = 7) -> Row:
    return Row(position, "stream", 3, name, 2, ENVELOPE % data)


@pytest.mark.parametrize("given", REPRESENTATIVES, ids=lambda given: topic(type(given.data)))
def test_every_event_comes_back_as_it_was(given: Recorded) -> None:
    name, state = Codec().encode(given)
    found = Codec().decode(Row(given.position, given.stream, given.version, name, given.caused_by, state), given.body)
    assert found == given


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=lambda kind: kind.__name__)
def test_a_topic_is_the_name_with_its_version(kind: type[Payload]) -> None:
    assert topic(kind) == f"{kind.__struct_config__.tag}.v{kind.VERSION}"


def test_the_state_is_json_that_sql_can_read() -> None:
    _, state = Codec().encode(Recorded(stream="s", version=1, at_us=5, actor="me", data=RunCancelAsked(reason="ü")))
    expected = '{"at_us":5,"actor":"me","data":{"type":"run.cancel_asked","reason":"ü"}}'
    assert state == expected.encode()


def test_a_field_that_an_older_rt_did_not_write_has_its_default() -> None:
    found = Codec().decode(row("run.cancel_asked.v1", b'{"type":"run.cancel_asked"}'))
    assert found.data == RunCancelAsked(reason="")


def test_position_stream_version_and_cause_come_from_the_row() -> None:
    found = Codec().decode(row("run.cancel_asked.v1", b'{"type":"run.cancel_asked"}'))
    assert (found.position, found.stream, found.version, found.caused_by) == (7, "stream", 3, 2)
    assert (found.at_us, found.actor, found.correlation) == (5, "me", "")


@pytest.mark.parametrize(
    "name",
    [
        "run.cancel_asked.v2",
        "run.cancel_asked.v99999999999999999999",
        "run.cancel_asked",
        "run.cancel_asked.v",
        "run.cancel_asked.v-1",
        "run.cancel_asked.vone",
        "run.never_heard_of.v1",
        "os:system",
        "domain.events:RunCancelAsked",
        "",
    ],
)
def test_a_topic_that_is_not_in_the_registry_is_a_newer_log(name: str) -> None:
    with pytest.raises(errors.NewerLog, match="event 7 was written by a newer rt"):
        Codec().decode(row(name, b'{"type":"run.cancel_asked"}'))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("run.cancel_asked.v1", b'{"type":"run.finished"}'),
        ("run.cancel_asked.v1", b"[]"),
        ("run.cancel_asked.v1", b"null"),
        ("run.cancel_asked.v1", b'{"type":"run.cancel_asked","reason":5}'),
        ("run.finished.v1", b'{"type":"run.finished","state":"happy","retry":"none"}'),
        ("run.cancel_asked.v0", b'{"type":"run.cancel_asked"}'),
        ("run.cancel_asked.v1", b'{"type":"run.cancel_asked","reason":"\x80"}'),
    ],
)
def test_a_state_that_does_not_fit_its_topic_is_corrupt_and_named(name: str, data: bytes) -> None:
    with pytest.raises(errors.Corrupt, match=r"event 7 .* does not decode") as problem:
        Codec().decode(row(name, data))
    assert problem.type is errors.Undecodable


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{",
        b"[]",
        b'{"at_us":1}',
        b'{"at_us":1,"actor":"\x80","data":{}}',
        b'{"at_us":"x","actor":"a","data":{}}',
        b"\xff\xfe",
    ],
)
def test_an_envelope_that_does_not_read_is_corrupt(state: bytes) -> None:
    with pytest.raises(errors.Corrupt) as problem:
        Codec().decode(Row(1, "s", 1, "run.cancel_asked.v1", 0, state))
    assert problem.type is errors.Undecodable


class Moved(Payload, frozen=True, kw_only=True, tag="test.moved"):
    """v2: `where` became two fields; v3: `z` was added."""

    VERSION: ClassVar[int] = 3
    x: int
    y: int
    z: int


def _v1_to_v2(old: dict[str, Any]) -> dict[str, Any]:
    x, y = old.pop("where")
    return old | {"x": x, "y": y}


def _v2_to_v3(old: dict[str, Any]) -> dict[str, Any]:
    return old | {"z": 0}


MOVED = Codec({"test.moved": Moved}, {("test.moved", 1): _v1_to_v2, ("test.moved", 2): _v2_to_v3})


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("test.moved.v1", b'{"type":"test.moved","where":[1,2]}'),
        ("test.moved.v2", b'{"type":"test.moved","x":1,"y":2}'),
        ("test.moved.v3", b'{"type":"test.moved","x":1,"y":2,"z":0}'),
    ],
)
def test_old_versions_are_upcast_one_after_the_other(name: str, data: bytes) -> None:
    found: object = MOVED.decode(row(name, data)).data
    assert found == Moved(x=1, y=2, z=0)


def test_a_version_above_todays_is_a_newer_log() -> None:
    with pytest.raises(errors.NewerLog, match=r"it has test\.moved\.v4, this one knows v3"):
        MOVED.decode(row("test.moved.v4", b'{"type":"test.moved","x":1,"y":2,"z":0}'))


def test_a_forgotten_upcast_is_an_error_and_no_guess() -> None:
    codec = Codec({"test.moved": Moved}, {("test.moved", 2): _v2_to_v3})
    with pytest.raises(errors.Corrupt):
        codec.decode(row("test.moved.v1", b'{"type":"test.moved","where":[1,2]}'))


def test_an_upcast_that_gives_the_wrong_shape_is_corrupt() -> None:
    codec = Codec({"test.moved": Moved}, {("test.moved", 2): lambda old: old})
    with pytest.raises(errors.Corrupt):
        codec.decode(row("test.moved.v2", b'{"type":"test.moved","x":1,"y":2}'))


def test_an_event_that_is_not_registered_cannot_be_written() -> None:
    given: Any = msgspec.structs.replace(REPRESENTATIVES[0], data=Moved(x=1, y=2, z=3))
    with pytest.raises(KeyError):
        Codec().encode(given)


def test_the_library_sees_an_event_as_its_own_row() -> None:
    given = Recorded(stream="s", version=4, at_us=5, actor="me", data=RunCancelAsked(reason="r"))
    stored = Codec().to_stored_event(given)
    assert stored == StoredEvent("s", 4, *Codec().encode(given))
    assert Codec().to_domain_event(stored) == given
