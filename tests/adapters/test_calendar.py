"""When slots are: crons and intervals, on days when clocks are moved and after years without anybody looking."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from adapters.calendar import Calendar, Due
from domain import errors
from domain.bounds import TIME_US_MAX

CALENDAR = Calendar()
SECOND = 1_000_000
MINUTE = 60 * SECOND
DAY = 86_400 * SECOND
ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # moves its clocks by half an hour
    "Africa/Casablanca",  # moves them around Ramadan
    "Asia/Kathmandu",  # five hours and three quarters ahead, never moved
    "UTC",
)


def us(text: str) -> int:
    """Microseconds of a date and time with its offset; UTC without one."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()) * SECOND


def slots(cron: str, zone: str, after_us: int, until_us: int) -> Iterator[int]:
    """One slot after the other."""
    at_us = CALENDAR.next_after(cron, zone, after_us)
    while at_us is not None and at_us <= until_us:
        yield at_us
        at_us = CALENDAR.next_after(cron, zone, at_us)


def told(cron: str, zone: str, after: str, count: int) -> list[str]:
    """The next slots as the clock of the zone shows them."""
    found: list[str] = []
    at_us = us(after)
    for _ in range(count):
        following = CALENDAR.next_after(cron, zone, at_us)
        assert following is not None
        found.append(CALENDAR.local(zone, following))
        at_us = following
    return found


# days when clocks are moved (robustness row 11, fact 24)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        pytest.param(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00",
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
            id="what-the-clock-leaves-out-comes-right-after-the-gap",
        ),
        pytest.param(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
            id="what-the-clock-shows-twice-comes-the-first-time",
        ),
        pytest.param(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-25T01:10",  # 02:10 for the second time
            ["2026-10-26T02:30:00+01:00"],
            id="and-not-again-when-somebody-looks-in-between",
        ),
        pytest.param(
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T12:00",
            ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
            id="new-york-autumn",
        ),
        pytest.param(
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00",
            ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
            id="a-gap-of-half-an-hour",
        ),
        pytest.param(
            "0,20,40 2,3 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00",
            ["2026-03-29T03:00:00+02:00", "2026-03-29T03:20:00+02:00"],
            id="all-of-one-gap-come-together-with-its-end",
        ),
        pytest.param(
            "30 2,9 * * *",
            "Pacific/Apia",
            "2011-12-29T20:00",  # its 29th, at 10 in the morning; there was no 30th
            ["2011-12-31T00:00:00+14:00", "2011-12-31T02:30:00+14:00"],
            id="a-gap-of-a-whole-day",
        ),
        pytest.param(
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25T00:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"],
            id="every-hour-follows-the-clock-in-autumn",
        ),
        pytest.param(
            "30 0-23 * * *",
            "Europe/Berlin",
            "2026-03-29T00:00",
            ["2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"],
            id="every-hour-follows-the-clock-in-spring",
        ),
        pytest.param(
            "0 9 * * mon-fri",
            "Asia/Kathmandu",
            "2026-01-02T12:00",
            ["2026-01-05T09:00:00+05:45", "2026-01-06T09:00:00+05:45"],
            id="working-days",
        ),
        pytest.param(
            "@monthly", "UTC", "2026-01-01T00:00", ["2026-02-01T00:00:00+00:00", "2026-03-01T00:00:00+00:00"], id="name"
        ),
        pytest.param(
            "0 12 29 2 *", "UTC", "2096-02-29T12:00", ["2104-02-29T12:00:00+00:00"], id="a-leap-day-that-is-left-out"
        ),
    ],
)
def test_a_local_time_becomes_an_instant(cron: str, zone: str, after: str, expected: list[str]) -> None:
    assert told(cron, zone, after, len(expected)) == expected


@pytest.mark.parametrize("zone", ZONES)
def test_a_daily_cron_comes_once_on_each_of_the_days_of_forty_years(zone: str) -> None:
    """Robustness row 11: 2000 to 2040, whatever the clocks do at 01:30, 02:15 or 02:30."""
    begin, end = (us(f"{year}-01-01T12:00") for year in (2000, 2040))
    days = (end - begin) // DAY
    for cron in ("30 1 * * *", "15 2 * * *", "30 2 * * *"):
        first = CALENDAR.next_after(cron, zone, begin)
        assert first is not None
        due = CALENDAR.due(cron, zone, 0, first, end, 20_000)
        assert len(due.slots) == days
        assert all(later - earlier > DAY - 3 * 3600 * SECOND for earlier, later in pairwise(due.slots))


@pytest.mark.parametrize("zone", ZONES)
def test_a_cron_of_every_hour_has_the_same_pace_all_the_time(zone: str) -> None:
    begin, end = us("2000-01-01T00:15"), us("2040-01-01T00:15")
    first = CALENDAR.next_after("*/30 * * * *", zone, begin - SECOND)
    assert first is not None
    due = CALENDAR.due("*/30 * * * *", zone, 0, first, end - SECOND, 50_000)
    assert {later - earlier for earlier, later in pairwise(due.slots)} == {30 * MINUTE}
    assert len(due.slots) + due.missed == (end - begin) // (30 * MINUTE)


def shown(walls: list[tuple[int, int]], minutes: set[int], hours: set[int]) -> list[int]:
    """The rules once more, read off a clock (instant, shown minute since 1970) that is looked at every minute."""
    once = len(hours) < 24
    found: list[int] = []
    seen: set[int] = set()
    before = walls[0][1]
    for at_us, wall in walls:
        passed = range(before + 1, wall + 1) if once and wall > before else (wall,)
        wanted = {each for each in passed if each % 60 in minutes and each // 60 % 24 in hours}
        if wanted - seen if once else wanted:
            found.append(at_us)
        seen |= wanted
        before = wall
    return found


def moved(zone: str) -> list[int]:
    """Noons from 2000 to 2040, each before a day in which the clock is moved; some plain ones where it never is."""
    where = ZoneInfo(zone)
    noons = [datetime(2000, 1, 1, 12, tzinfo=UTC) + timedelta(days=day) for day in range(40 * 365)]
    offsets = [noon.astimezone(where).utcoffset() for noon in noons]
    found = [noon for noon, offset, later in zip(noons, offsets, offsets[1:], strict=False) if offset != later]
    return [int(noon.timestamp()) * SECOND for noon in found or noons[59:5000:1000]]


EVERY_HOUR = set(range(24))
WANTED: tuple[tuple[set[int], set[int]], ...] = (
    ({30}, {2}),
    ({0, 30}, {1, 2, 3}),
    ({0, 15, 30, 45}, {2}),
    ({59}, {0, 1, 2, 23}),
    ({5, 35}, EVERY_HOUR),
)


@pytest.mark.parametrize("zone", ZONES)
def test_around_each_moved_clock_the_slots_are_those_that_the_clock_shows(zone: str) -> None:
    """Robustness row 11: against minute by minute stepping, over each change from 2000 to 2040."""
    where = ZoneInfo(zone)
    windows = moved(zone)
    assert len(windows) >= 5
    for noon in windows:
        begin, end = noon - DAY // 4, noon + DAY + DAY // 4
        walls: list[tuple[int, int]] = []
        for at_us in range(begin, end + 1, MINUTE):
            offset = datetime.fromtimestamp(at_us // SECOND, where).utcoffset()
            assert offset is not None
            walls.append((at_us, at_us // MINUTE + offset // timedelta(minutes=1)))
        for minutes, hours in WANTED:
            cron = f"{','.join(map(str, minutes))} {','.join(map(str, hours))} * * *"
            assert list(slots(cron, zone, begin - 1, end)) == shown(walls, minutes, hours), (cron, noon)


# what is due


@settings(deadline=None, max_examples=60)
@given(
    cron=st.sampled_from(["* * * * *", "*/7 * * * *", "30 1,2 * * *", "0,30 */2 * * *", "15 2 * * 0", "0 3 L * *"]),
    zone=st.sampled_from([*ZONES, "Pacific/Apia"]),
    begin=st.integers(us("2005-01-01"), us("2036-01-01")),
    length_h=st.integers(0, 60),
    most=st.integers(1, 100),
)
@example(cron="0,30 2,3 * * *", zone="Europe/Berlin", begin=us("2026-03-27T12:00"), length_h=48, most=100)
@example(cron="0,30 2,3 * * *", zone="Europe/Berlin", begin=us("2026-03-27T12:00"), length_h=48, most=1)
@example(cron="30 1,2 * * *", zone="Pacific/Apia", begin=us("2011-12-30"), length_h=48, most=2)
@example(cron="*/7 * * * *", zone="Europe/Berlin", begin=us("2026-10-24T23:00"), length_h=6, most=100)
def test_what_is_due_is_what_one_slot_after_the_other_finds(
    cron: str, zone: str, begin: int, length_h: int, most: int
) -> None:
    """SC-3: the newest are named, all others counted."""
    first = CALENDAR.next_after(cron, zone, begin)
    assert first is not None
    now = first + length_h * 3600 * SECOND
    one_by_one = list(slots(cron, zone, first - 1, now))
    due = CALENDAR.due(cron, zone, 0, first, now, most)
    assert due.slots == tuple(one_by_one[-most:])
    assert due.missed == len(one_by_one) - len(due.slots)
    assert due.next_us == CALENDAR.next_after(cron, zone, now)


@given(every=st.integers(1, 50), first=st.integers(0, 1000), now=st.integers(0, 2000), most=st.integers(1, 100))
def test_an_interval_is_counted_as_if_it_were_stepped_through(every: int, first: int, now: int, most: int) -> None:
    """SC-3, SC-4: the grid is first + k * every."""
    all_of_them = list(range(first, now + 1, every))
    due = CALENDAR.due("", "UTC", every, first, now, most)
    assert due.slots == tuple(all_of_them[-most:])
    assert due.missed == len(all_of_them) - len(due.slots)
    assert due.next_us == first + len(all_of_them) * every


def test_a_slot_is_due_in_the_very_microsecond_and_not_before() -> None:
    slot = us("2026-05-01T02:30")
    assert CALENDAR.due("30 2 * * *", "UTC", 0, slot, slot - 1, 100) == Due((), 0, slot)
    assert CALENDAR.due("30 2 * * *", "UTC", 0, slot, slot, 100) == Due((slot,), 0, slot + DAY)
    assert CALENDAR.next_after("30 2 * * *", "UTC", slot - 1) == slot
    assert CALENDAR.next_after("30 2 * * *", "UTC", slot) == slot + DAY


def test_the_first_slot_counts_also_where_today_s_rules_would_not_make_it() -> None:
    """A zone's rules change; a slot that was announced comes all the same."""
    announced = us("2026-05-01T02:31")
    due = CALENDAR.due("30 2 * * *", "UTC", 0, announced, announced + 2 * DAY, 100)
    assert due.slots == (announced, us("2026-05-02T02:30"), us("2026-05-03T02:30"))


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_ten_years_of_minutes_are_counted_and_not_walked_through(zone: str) -> None:
    """SC-7: one step a day; the newest hundred are named."""
    first, now = us("2025-01-01T00:00"), us("2035-01-01T00:00")
    due = CALENDAR.due("* * * * *", zone, 0, first, now, 100)
    assert due.slots == tuple(range(now - 99 * MINUTE, now + 1, MINUTE))
    assert due.missed == 3652 * 1440 + 1 - 100
    assert due.next_us == now + MINUTE


def test_a_second_in_ten_years_is_counted_too() -> None:
    due = CALENDAR.due("", "UTC", SECOND, us("2025-01-01T00:00"), us("2035-01-01T00:00"), 100)
    assert len(due.slots) + due.missed == 3652 * 86_400 + 1


def test_no_slot_lies_beyond_what_the_log_can_hold() -> None:
    assert CALENDAR.next_after("* * * * *", "UTC", TIME_US_MAX) is None
    assert CALENDAR.next_after("0 0 29 2 *", "Europe/Berlin", TIME_US_MAX - DAY) is None
    assert CALENDAR.next_after("* * * * *", "UTC", 2**63) is None
    assert CALENDAR.due("", "UTC", DAY, TIME_US_MAX - DAY, 2**63, 100) == Due((TIME_US_MAX - DAY, TIME_US_MAX), 0, 0)


# what is refused


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("", "0 fields; expected five fields: minute hour"),
        ("* * * *", "4 fields"),
        ("0 0 2 * * *", "6 fields"),
        ("@reboot", "1 fields"),
        ("60 * * * *", "bad minute"),
        ("* 24 * * *", "bad hour"),
        ("* * 32 * *", "bad day-of-month"),
        ("* * * 13 *", "bad month"),
        ("* * * * 8", "bad day-of-week"),
        ("* * * * noday", "bad day-of-week"),
        ("*/0 * * * *", "bad minute"),
        ("-1 * * * *", "bad minute"),
        ("5-1 * * * *", "bad minute"),
        ("٣ * * * *", "bad minute"),
        ("a b c d e", "bad minute"),
        ("0 0 30 2 *", "bad day-of-month"),
        ("0 0 31 4,6 *", "bad day-of-month"),
        ("0 0 */32 * mon#5", "never comes"),
        (f"{'1,' * 100}1 * * * *", "at most 200"),
        ("9" * 5000, "at most 200"),
    ],
)
def test_a_cron_that_has_no_slots_is_refused_with_what_is_expected(cron: str, says: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        CALENDAR.check(cron, "UTC")
    assert refusal.value.fields["where"] == "schedule.cron"
    assert says in str(refusal.value.fields["why"])


@pytest.mark.parametrize(
    ("zone", "says"),
    [
        ("", "like Europe/Berlin or UTC"),
        ("Berlin", "did you mean Europe/Berlin?"),
        ("europe/berlin", "did you mean Europe/Berlin?"),
        ("Europe/Berln", "did you mean Europe/Berlin?"),
        ("utc", "did you mean UTC?"),
        ("CEST", "like Europe/Berlin or UTC"),
        ("+02:00", "like Europe/Berlin or UTC"),
        ("America", "like Europe/Berlin or UTC"),
        ("localtime", "like Europe/Berlin or UTC"),
        ("posix/UTC", "is not a time zone's name"),
        ("right/UTC", "is not a time zone's name"),
        ("../../etc/passwd", "is not a time zone's name"),
        ("/etc/localtime", "is not a time zone's name"),
        ("U\0TC", "is not a time zone's name"),
        ("\ud800", "is not a time zone's name"),
        ("x" * 10_000, "is not a time zone's name"),
    ],
)
def test_a_zone_that_means_nothing_or_different_things_is_refused(zone: str, says: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        CALENDAR.check("* * * * *", zone)
    assert refusal.value.fields["where"] == "schedule.timezone"
    assert says in str(refusal.value.fields["why"])


TERMS = ("*", "*/2", "1-5", "3,7", "5", "12", "29", "30", "31", "*/32", "L", "LW", "mon", "1#5", "5L", "feb", "jan-mar")
FIELD = (
    st.sampled_from(TERMS) | st.sampled_from(("*", "2", "11")) | st.text("*/-,0123456789LW#", min_size=1, max_size=6)
)


@settings(deadline=None, max_examples=300)
@given(st.tuples(FIELD, FIELD, FIELD, FIELD, FIELD).map(" ".join))
@example("0 0 LW/2 * 5L/2")
@example("0 0 L * 1#5/2")
def test_a_cron_is_either_refused_or_has_a_slot(cron: str) -> None:
    try:
        CALENDAR.check(cron, "Europe/Berlin")
    except errors.Invalid:
        event("refused")
    else:
        event("has a slot")
        assert CALENDAR.next_after(cron, "Europe/Berlin", us("2026-01-01")) is not None


@pytest.mark.parametrize("zone", ZONES)
def test_what_is_fine_is_not_refused(zone: str) -> None:
    for cron in ("* * * * *", "*/5 9-17 * * mon-fri", "0 0 L * *", "0 0 LW * *", "0 9 * jan,jul 1#1", "@DAILY"):
        CALENDAR.check(cron, zone)
