"""Released events stay readable: what is locked holds, and each way of breaking it is found."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from domain.events import UPCASTS
from tests.schema_lock import Fields, broken, locked, today

NAME = "run.tool_exited.v1"
Schema = dict[str, Fields]


def test_what_was_released_can_still_be_read() -> None:
    assert broken(locked(), today(), set(UPCASTS)) == []


def test_every_event_and_field_of_today_is_locked() -> None:
    """Where this fails: python -m tests.schema_lock, and a line in CHANGELOG.md under Log format."""
    known = locked()
    new = {name: set(fields) - set(known.get(name, {})) for name, fields in today().items()}
    assert {name: sorted(fields) for name, fields in new.items() if fields or name not in known} == {}


def _change(change: Callable[[Fields], Any]) -> Schema:
    changed = copy.deepcopy(today())
    change(changed[NAME])
    return changed


BREAKS: list[tuple[str, Callable[[Fields], Any], str]] = [
    ("a field is removed", lambda found: found.pop("signal"), "signal is gone"),
    ("a field is renamed", lambda found: found.update(sig=found.pop("signal")), "signal is gone"),
    ("an optional field becomes required", lambda found: found["signal"].update(required=True), "signal must be there"),
    (
        "a new field is required",
        lambda found: found.update(new={"required": True, "type": {"type": "string"}}),
        "new is new and must be there",
    ),
    ("another type", lambda found: found["signal"].update(type={"type": "integer"}), "signal takes less"),
    (
        "no longer nullable",
        lambda found: found["exit_code"].update(type={"type": "integer"}),
        "exit_code takes less",
    ),
    (
        "a shorter bound",
        lambda found: found["signal"].update(type={"type": "string", "maxLength": 3}),
        "signal takes less",
    ),
    (
        "a choice instead of any text",
        lambda found: found["signal"].update(type={"enum": ["SIGTERM"]}),
        "signal takes less",
    ),
]


@pytest.mark.parametrize(("change", "says"), [each[1:] for each in BREAKS], ids=[each[0] for each in BREAKS])
def test_each_way_of_breaking_a_released_event_is_found(change: Callable[[Fields], Any], says: str) -> None:
    [problem] = broken(today(), _change(change), set())
    assert problem.startswith(f"{NAME}.{says}")


HARMLESS: list[tuple[str, Callable[[Fields], Any]]] = [
    ("a new field with a default", lambda found: found.update(new={"required": False, "type": {"type": "string"}})),
    ("a field that may be missing now", lambda found: found["call"].update(required=False)),
    ("a number where an integer was", lambda found: found["call"].update(type={"type": "number"})),
    (
        "also null",
        lambda found: found["signal"].update(type={"anyOf": [{"type": "string"}, {"type": "null"}]}),
    ),
]


@pytest.mark.parametrize("change", [each[1] for each in HARMLESS], ids=[each[0] for each in HARMLESS])
def test_what_takes_more_than_before_is_no_break(change: Callable[[Fields], Any]) -> None:
    assert broken(today(), _change(change), set()) == []


def test_a_choice_may_grow_and_not_shrink() -> None:
    then: Schema = {"a.v1": {"how": {"required": True, "type": {"enum": ["x", "y"]}}}}
    more: Schema = {"a.v1": {"how": {"required": True, "type": {"enum": ["x", "y", "z"]}}}}
    assert broken(then, more, set()) == []
    assert broken(more, then, set()) == ["a.v1.how takes less than it did"]


def test_a_version_that_is_gone_needs_its_upcast() -> None:
    then: Schema = {"a.v1": {}}
    now: Schema = {"a.v2": {}}
    assert broken(then, now, set()) == ["a.v1 is gone, and no upcast reads it"]
    assert broken(then, now, {("a", 1)}) == []
