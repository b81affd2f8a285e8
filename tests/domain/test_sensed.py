"""A sensor event is checked whole; what is missing or wrong is named and never counts as told before (SE-2)."""

from typing import Any

import pytest

from domain import errors
from domain.bounds import JSON_DEPTH_MAX, KEY_CHARS_MAX, PAYLOAD_BYTES_MAX
from domain.ids import text_of
from domain.sensed import accept

NOW_US = 1_700_000_000_000_000
GOOD: dict[str, Any] = {"sensor_id": "s", "event_id": "e1", "source_ref": "", "dedupe_key": "k", "payload": {"a": 1}}


def nested(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(depth):
        found = {"d": found}
    return found


def test_an_event_is_stored_as_it_came() -> None:
    found = accept(GOOD, NOW_US)
    assert (found.payload, found.text) == (b'{"a":1}', text_of(b'{"a":1}'))
    assert (found.observed_us, found.window, found.ignored_keys) == (NOW_US, 0, ())


def test_equal_payloads_are_equal_whatever_the_order_of_their_keys() -> None:
    one, two = (accept(GOOD | {"payload": each}, NOW_US) for each in ({"a": 1, "b": 2}, {"b": 2, "a": 1}))
    assert one.text == two.text


def test_when_it_was_observed_is_its_own_time() -> None:
    assert accept(GOOD | {"observed_at": "1970-01-01T00:00:01Z"}, NOW_US).observed_us == 1_000_000


def test_unknown_keys_are_told() -> None:
    assert accept(GOOD | {"severity": 1, "Payload": 2}, NOW_US).ignored_keys == ("Payload", "severity")


def test_a_key_that_lives_for_a_while_counts_anew_in_each_window() -> None:
    """SE-4: the window number becomes part of the identity."""
    window_us = 60_000_000
    begin_us = NOW_US - NOW_US % window_us
    windows = [
        accept(GOOD | {"dedupe_ttl_seconds": 60}, at).window
        for at in (begin_us, begin_us + window_us - 1, begin_us + window_us)
    ]
    assert windows[0] == windows[1] == windows[2] - 1 > 0


@pytest.mark.parametrize("name", ["sensor_id", "event_id", "source_ref", "dedupe_key", "payload"])
def test_a_missing_field_is_named(name: str) -> None:
    """SE-2."""
    with pytest.raises(errors.Invalid) as refused:
        accept({key: value for key, value in GOOD.items() if key != name}, NOW_US)
    assert refused.value.fields == {"where": f"event.{name}", "why": "is missing"}


BAD: list[tuple[str, object, str, str]] = [
    ("a list", [], "sensor event", "expected an object, got list"),
    ("null", None, "sensor event", "expected an object"),
    ("empty id", GOOD | {"event_id": ""}, "event.event_id", "length"),
    ("blank id", GOOD | {"event_id": " \t"}, "event.event_id", "is blank"),
    ("blank key", GOOD | {"dedupe_key": "  "}, "event.dedupe_key", "is blank"),
    ("NUL", GOOD | {"sensor_id": "a\0"}, "event", "NUL"),
    ("long key", GOOD | {"dedupe_key": "k" * (KEY_CHARS_MAX + 1)}, "event.dedupe_key", "length"),
    ("payload is a list", GOOD | {"payload": []}, "event.payload", "object"),
    ("payload is null", GOOD | {"payload": None}, "event.payload", "object"),
    ("deep", GOOD | {"payload": nested(JSON_DEPTH_MAX + 1)}, "event.payload", "nested deeper"),
    ("large", GOOD | {"payload": {"x": "y" * PAYLOAD_BYTES_MAX}}, "event.payload", f"at most {PAYLOAD_BYTES_MAX}"),
    ("no date", GOOD | {"observed_at": "yesterday"}, "event.observed_at", "not a date"),
    ("no window", GOOD | {"dedupe_ttl_seconds": 0}, "event.dedupe_ttl_seconds", ">= 1"),
    ("half a window", GOOD | {"dedupe_ttl_seconds": 1.5}, "event.dedupe_ttl_seconds", "int"),
    ("task is a text", GOOD | {"proposed_task": "do it"}, "event.proposed_task", "object"),
    ("workflow without key", GOOD | {"proposed_workflow": {"template": "t"}}, "event.proposed_workflow", "is missing"),
    ("workflow context", GOOD | {"proposed_workflow": {"template": "t", "instance_key": "k", "context": []}},
     "event.proposed_workflow.context", "object"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "where", "why"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_what_is_wrong_is_named_with_its_field(document: object, where: str, why: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        accept(document, NOW_US)
    assert str(refused.value.fields["where"]).startswith(where)
    assert why in str(refused.value.fields["why"])


def test_keys_may_have_their_bound() -> None:
    longest = "k" * KEY_CHARS_MAX
    assert accept(GOOD | {"dedupe_key": longest, "event_id": longest}, NOW_US).input.dedupe_key == longest
