"""A wanted schedule is checked whole: each refusal names its field and its rule (SC-1, SC-5, SC-6)."""

from typing import Any

import msgspec
import pytest

from domain import errors, schedule
from domain.ids import text_of
from domain.schedule_events import ScheduleCreated
from domain.schedule_input import Accepted, accept

NOW_US = 1_700_000_000_000_000
TASK: dict[str, Any] = {"kind": "k", "payload": {"argv": ["true"]}}


def wanted(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a stranger sends
    return {"name": "nightly", "interval_seconds": 1800, "task": TASK} | fields


def cron(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a stranger sends
    return {"name": "nightly", "cron": "30 2 * * *", "task": TASK} | fields


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in wanted().items() if key != name}


def nested(containers: int) -> dict[str, Any]:
    """Objects in objects; the innermost is empty."""
    found: dict[str, Any] = {}
    for _ in range(containers - 1):
        found = {"d": found}
    return found


def event(document: object) -> ScheduleCreated:
    return accept(document, NOW_US).event


def test_the_old_format_is_accepted_and_means_what_it_meant() -> None:
    """Due at once, enabled, coalescing, overlaps allowed, the next one counted from the tick (SC-3 to SC-5)."""
    made = accept(wanted(schedule_id="a1"), NOW_US)
    assert made == Accepted(
        input=made.input,
        event=ScheduleCreated(
            name="nightly",
            every_us=1_800_000_000,
            cron="",
            zone="UTC",
            task=text_of(made.task),
            task_source="",
            catch_up="coalesce",
            catch_up_max=1,
            overlap="allow",
            anchor="tick",
            jitter_us=0,
            ends_us=0,
            next_us=NOW_US,
            enabled=True,
        ),
        task=b'{"kind":"k","payload":{"argv":["true"]}}',
        ignored_keys=(),
    )
    assert made.input.schedule_id == "a1"


def test_what_is_said_is_kept() -> None:
    made = event(
        cron(
            timezone="Europe/Berlin",
            catch_up="all:7",
            overlap="skip",
            jitter_seconds=90,
            ends_at="2030-01-01",
            next_run_at="2026-01-01T00:00:00Z",
            enabled=False,
            task=TASK | {"source": "mine"},
        )
    )
    assert (made.cron, made.zone, made.every_us, made.anchor) == ("30 2 * * *", "Europe/Berlin", 0, "slot")
    assert (made.catch_up, made.catch_up_max, made.overlap) == ("all", 7, "skip")
    assert (made.jitter_us, made.ends_us) == (90_000_000, 1_893_456_000_000_000)
    assert (made.first_us, made.next_us) == (1_767_225_600_000_000, 1_767_225_600_000_000)
    assert (made.enabled, made.task_source) == (False, "mine")


def test_null_stands_for_left_out() -> None:
    names = ("next_run_at", "enabled", "cron", "timezone", "catch_up", "overlap", "anchor", "jitter_seconds", "ends_at")
    assert event(wanted(**dict.fromkeys(names))) == event(wanted())


@pytest.mark.parametrize(
    ("said", "catch_up", "most"),
    [
        ("coalesce", "coalesce", 1),
        ("one", "coalesce", 1),
        ("skip", "skip", 1),
        ("all", "all", 100),
        ("all:1", "all", 1),
        ("all:100", "all", 100),
    ],
)
def test_sc3_catch_up_has_three_policies(said: str, catch_up: str, most: int) -> None:
    made = event(wanted(catch_up=said))
    assert (made.catch_up, made.catch_up_max) == (catch_up, most)


@pytest.mark.parametrize(
    ("said", "overlap"), [("allow", "allow"), ("skip", "skip"), ("queue", "queue_one"), ("queue_one", "queue_one")]
)
def test_sc5_overlap_has_three_policies(said: str, overlap: str) -> None:
    assert event(wanted(overlap=said)).overlap == overlap


def test_unknown_keys_are_named_and_not_refused() -> None:
    """IN-3, for schedules."""
    made = accept(wanted(zz=1, interval_minutes=5), NOW_US)
    assert made.ignored_keys == ("interval_minutes", "zz")
    assert made.event == event(wanted())


def test_equal_tasks_are_stored_as_equal_bytes() -> None:
    """SC-8 rests on that: the order of keys in a file is no change."""
    turned = dict(reversed(TASK.items()))
    assert accept(wanted(task=turned), NOW_US).task == accept(wanted(), NOW_US).task
    assert event(wanted(task=TASK | {"kind": "other"})) != event(wanted())


@pytest.mark.parametrize(
    ("document", "where", "rule"),
    [
        ([], "schedule", "expected an object, got list"),
        (without("name"), "schedule.name", "is missing"),
        (without("task"), "schedule.task", "is missing"),
        (without("interval_seconds"), "schedule.interval_seconds", "say how often (interval_seconds) or when (cron)"),
        (wanted(interval_seconds=None), "schedule.interval_seconds", "say how often"),
        (wanted(cron="* * * * *"), "schedule.cron", "one of the two"),
        (wanted(name=""), "schedule.name", "length >= 1"),
        (wanted(name=" \t"), "schedule.name", "is blank"),
        (wanted(name=7), "schedule.name", "got `int`"),
        (wanted(name="a\0b"), "schedule.name", "NUL"),
        (wanted(name="\ud800"), "schedule.name", "lone surrogate"),
        (wanted(**{"\ud800": 1}), "schedule", "lone surrogate"),
        (wanted(interval_seconds=0), "schedule.interval_seconds", ">= 1"),
        (wanted(interval_seconds=-5), "schedule.interval_seconds", ">= 1"),
        (wanted(interval_seconds=0.5), "schedule.interval_seconds", "got `float`"),
        (wanted(interval_seconds=float("nan")), "schedule.interval_seconds", "got `float`"),
        (wanted(interval_seconds=float("inf")), "schedule.interval_seconds", "got `float`"),
        (wanted(interval_seconds="30m"), "schedule.interval_seconds", "got `str`"),
        (wanted(interval_seconds=True), "schedule.interval_seconds", "got `bool`"),
        (wanted(interval_seconds=10**30), "schedule.interval_seconds", "<= 315360000"),
        (wanted(next_run_at="tomorrow"), "schedule.next_run_at", "not a date and time"),
        (wanted(next_run_at=""), "schedule.next_run_at", "not a date and time"),
        (wanted(next_run_at=17), "schedule.next_run_at", "got `int`"),
        (wanted(next_run_at="9999-12-31"), "schedule.next_run_at", "beyond the year 2255"),
        (wanted(ends_at="never"), "schedule.ends_at", "not a date and time"),
        (wanted(next_run_at="2027-01-02", ends_at="2027-01-01"), "schedule.ends_at", "before next_run_at"),
        (wanted(enabled="yes"), "schedule.enabled", "got `str`"),
        (wanted(schedule_id=1), "schedule.schedule_id", "got `int`"),
        (cron(cron=""), "schedule.cron", "length >= 1"),
        (cron(cron="  "), "schedule.cron", "is blank"),
        (cron(cron=5), "schedule.cron", "got `int`"),
        (cron(timezone=""), "schedule.timezone", "length >= 1"),
        (cron(timezone="Europe/\0"), "schedule.timezone", "NUL"),
        (cron(anchor="tick"), "schedule.anchor", "belongs to an interval"),
        (wanted(timezone="Europe/Berlin"), "schedule.timezone", "belongs to a cron"),
        (wanted(anchor="slots"), "schedule.anchor", "'slots' is none of: tick, slot"),
        (wanted(overlap="replace"), "schedule.overlap", "is none of: allow, skip, queue_one, queue"),
        (wanted(catch_up="none"), "schedule.catch_up", "expected coalesce"),
        (wanted(catch_up="all:0"), "schedule.catch_up", "N from 1 to 100"),
        (wanted(catch_up="all:101"), "schedule.catch_up", "N from 1 to 100"),
        (wanted(catch_up="all:٣"), "schedule.catch_up", "N from 1 to 100"),
        (wanted(jitter_seconds=-1), "schedule.jitter_seconds", ">= 0"),
        (wanted(jitter_seconds=1801), "schedule.jitter_seconds", "longer than the interval"),
        (cron(jitter_seconds=86_401), "schedule.jitter_seconds", "<= 86400"),
        (wanted(task=[]), "schedule.task", "got `array`"),
        (wanted(task={"source": 5}), "schedule.task.source", "expected a string, got int"),
        (wanted(task={"payload": {"x": float("nan")}}), "schedule.task", "NaN is not a number of JSON"),
        (wanted(task={"subject": "\ud800"}), "schedule.task.subject", "lone surrogate"),
        (wanted(task=nested(66)), "schedule.task" + ".d" * 65, "nested deeper than 64"),
        (wanted(task=nested(100_000)), "schedule.task", "nested deeper than 64"),
    ],
)
def test_sc1_a_wrong_field_is_refused_with_its_path_and_rule(document: object, where: str, rule: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        accept(document, NOW_US)
    assert refusal.value.fields["where"] == where
    assert rule in str(refusal.value.fields["why"])


@pytest.mark.parametrize(
    ("at_limit", "above", "where"),
    [
        (wanted(name="n" * 120), wanted(name="n" * 121), "schedule.name"),
        (wanted(interval_seconds=315_360_000), wanted(interval_seconds=315_360_001), "schedule.interval_seconds"),
        (wanted(jitter_seconds=1800), wanted(jitter_seconds=1801), "schedule.jitter_seconds"),
        (cron(cron="*" * 200), cron(cron="*" * 201), "schedule.cron"),
        (cron(timezone="z" * 100), cron(timezone="z" * 101), "schedule.timezone"),
        (wanted(task={"source": "s" * 175}), wanted(task={"source": "s" * 176}), "schedule.task.source"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_each_bound_holds_at_its_limit_and_not_above(at_limit: object, above: object, where: str) -> None:
    accept(at_limit, NOW_US)
    with pytest.raises(errors.Invalid) as refusal:
        accept(above, NOW_US)
    assert refusal.value.fields["where"] == where


def test_the_source_of_a_slot_s_task_always_fits() -> None:
    made = event(wanted(name="n" * 120))
    assert len(schedule.source(made.name, made.task_source, NOW_US)) <= 200


def test_a_blank_source_of_the_task_is_none() -> None:
    assert event(wanted(task={"source": " "})).task_source == ""


def test_a_schedule_whose_end_is_over_waits_for_nothing() -> None:
    """Not refused: the same file, sent again after the end, changes nothing (SC-8)."""
    assert event(wanted(ends_at="2020-01-01")).next_us == 0
    assert event(wanted(ends_at="2026-01-01", next_run_at="2026-01-01")).next_us == 1_767_225_600_000_000


def test_every_field_of_the_input_has_a_say() -> None:
    """A field that were read and dropped would be worse than one that is refused."""
    different: dict[str, Any] = {
        "name": "other",
        "interval_seconds": 60,
        "task": {"kind": "other"},
        "next_run_at": "2026-01-01",
        "enabled": False,
        "catch_up": "skip",
        "overlap": "skip",
        "anchor": "slot",
        "jitter_seconds": 1,
        "ends_at": "2030-01-01",
    }
    for name, value in different.items():
        assert event(wanted(**{name: value})) != event(wanted()), name
    assert event(cron(timezone="Asia/Kathmandu")) != event(cron()) != event(cron(cron="0 0 * * *"))
    says_nothing = {"schedule_id", "cron", "timezone"}
    assert different.keys() | says_nothing == set(accept(wanted(), 0).input.__struct_fields__)


def test_the_event_can_be_stored() -> None:
    made = event(cron(jitter_seconds=86_400, ends_at="2255-01-01"))
    assert msgspec.json.decode(msgspec.json.encode(made), type=ScheduleCreated) == made
