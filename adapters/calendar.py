"""The calendar: when the slots of a schedule are. Local times become instants here and nowhere else.

Two rules for days on which a clock is moved:

- A cron that names its hours runs each nominal local time exactly once. One that the clock leaves out (02:30 on a day
  that jumps from 02:00 to 03:00) comes at the first instant after the gap, all those of one gap together; one that
  the clock shows twice comes the first time.
- A cron of every hour (`*`, or all 24) follows the clock: what is left out does not come, what is shown twice comes
  twice, so that `*/15 * * * *` comes every fifteen minutes on such a day too.

So an instant stands for one nominal local time (or for all that fell into its gap), and is key enough for a slot.
cronsim reads the cron and matches days; it sees no zone. Counting is exact and takes a step a day, not one a slot.
"""

import difflib
import zoneinfo
from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from cronsim import CronSim, CronSimError

from domain import errors
from domain.bounds import CRON_CHARS_MAX, TIME_US_MAX

SEARCH_DAYS = (2, 40, 400, 4_000, 20_000)  # how far the next slot is looked for: most are near, none beyond 54 years

_SECOND_US = 1_000_000
_DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # nominal times have no zone
_LOOK_BACK_S = 2 * _DAY_S  # no clock was ever moved back by more than a day
_NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_FORM = "five fields: minute hour day-of-month month day-of-week, like '30 2 * * *' for 02:30 every day"


class Due(NamedTuple):
    """The newest slots that are due, oldest first; how many lie before them; the next one, 0 for none."""

    slots: tuple[int, ...]
    missed: int
    next_us: int


class Calendar:
    """Slots of crons and intervals. Keeps nothing but what it has parsed."""

    def check(self, cron: str, zone: str) -> None:
        """Raises Invalid, naming schedule.cron or schedule.timezone, for what has no slots."""
        _zone(zone)
        if not any(True for _ in _plan(cron).days(range(max(SEARCH_DAYS)))):
            raise errors.Invalid(where="schedule.cron", why=f"{cron!r} never comes: no month has such a day")

    def next_after(self, cron: str, zone: str, at_us: int) -> int | None:
        """The first slot later than this; None where none will come. Raises Invalid."""
        plan, where = _plan(cron), _zone(zone)
        if at_us >= TIME_US_MAX:
            return None
        first_s = at_us // _SECOND_US + 1
        for days in SEARCH_DAYS:
            last_s = min(first_s + days * _DAY_S, TIME_US_MAX // _SECOND_US)
            found = next((slot for span in _spans(plan, where, first_s, last_s) for slot in span.slots(plan)), None)
            if found is not None:
                return found * _SECOND_US
        return None

    def due(self, cron: str, zone: str, every_us: int, first_us: int, now_us: int, most: int) -> Due:  # noqa: PLR0913, PLR0917  # what a schedule says
        """The slots from `first_us`, which is one, up to now; `most` of them by name. `every_us` is 0 for a cron.

        Raises Invalid.
        """
        now_us = min(now_us, TIME_US_MAX)
        if first_us > now_us:
            return Due((), 0, first_us)
        if every_us:
            return _due_of_interval(every_us, first_us, now_us, most)
        plan, first_s, last_s = _plan(cron), first_us // _SECOND_US + 1, now_us // _SECOND_US
        spans = list(_spans(plan, _zone(zone), first_s, last_s))
        total = 1 + sum(span.count(plan) for span in spans)
        latest = (slot * _SECOND_US for span in reversed(spans) for slot in span.slots_back(plan))
        newest = list(islice(latest, most))
        if len(newest) < most:
            newest.append(first_us)
        return Due(tuple(reversed(newest)), total - len(newest), self.next_after(cron, zone, now_us) or 0)

    def local(self, zone: str, at_us: int) -> str:
        """An instant as the clock of that zone shows it, with its offset. Raises Invalid."""
        return datetime.fromtimestamp(at_us // _SECOND_US, _zone(zone)).isoformat()


def _due_of_interval(every_us: int, first_us: int, now_us: int, most: int) -> Due:
    total = (now_us - first_us) // every_us + 1
    newest = range(max(0, total - most), total)
    following = first_us + total * every_us
    slots = tuple(first_us + at * every_us for at in newest)
    return Due(slots, total - len(slots), following if following <= TIME_US_MAX else 0)


class _Plan(NamedTuple):
    """A cron, taken apart: the days, and the seconds of such a day."""

    parsed: CronSim
    times: tuple[int, ...]
    once: bool  # each nominal time once, instead of following the clock

    def days(self, days: range) -> Iterator[int]:
        """Those of the days, counted from 1970, on which it comes."""
        for day in days:
            date = _EPOCH + timedelta(days=day)
            if date.month in self.parsed.months and self.parsed.match_day(date):
                yield day


class _Span(NamedTuple):
    """A stretch between two changes of the clock, in seconds: which nominal times are its own, and their offset."""

    first: int
    end: int
    offset: int
    shifted: int | None  # the instant at which the nominal times of the gap before it come

    def slots(self, plan: _Plan) -> Iterator[int]:
        """Its instants, in order."""
        if self.shifted is not None:
            yield self.shifted
        for day in plan.days(self._days()):
            low, high = self._within(plan, day)
            yield from (day * _DAY_S + time - self.offset for time in plan.times[low:high])

    def slots_back(self, plan: _Plan) -> Iterator[int]:
        """Its instants, the last one first."""
        for day in plan.days(self._days()[::-1]):
            low, high = self._within(plan, day)
            yield from (day * _DAY_S + time - self.offset for time in reversed(plan.times[low:high]))
        if self.shifted is not None:
            yield self.shifted

    def count(self, plan: _Plan) -> int:
        """How many there are."""
        ranges = (self._within(plan, day) for day in plan.days(self._days()))
        return sum(high - low for low, high in ranges) + (self.shifted is not None)

    def _days(self) -> range:
        return range(self.first // _DAY_S, (self.end - 1) // _DAY_S + 1)

    def _within(self, plan: _Plan, day: int) -> tuple[int, int]:
        """The range of the times of a day that lie in this span."""
        return bisect_left(plan.times, self.first - day * _DAY_S), bisect_left(plan.times, self.end - day * _DAY_S)


def _spans(plan: _Plan, zone: zoneinfo.ZoneInfo, first_s: int, last_s: int) -> Iterator[_Span]:
    """The spans of the instants from first to last. Begins earlier, to know what a moved clock has shown before."""
    begin = first_s - _LOOK_BACK_S
    offset = _offset(zone, begin)
    reached = begin + offset  # nominal times before this one have had their turn
    while True:
        change = _change(zone, begin, last_s)
        end = (last_s + 1 if change is None else change) + offset
        first, shifted = begin + offset, None
        if plan.once and first > reached and begin >= first_s and _any(plan, reached, first):
            first, shifted = first + 1, begin  # a nominal time at the end of the gap is the same instant
        elif plan.once:
            first = max(first, reached)
        first = max(first, first_s + offset)
        if first < end or shifted is not None:
            yield _Span(first, max(first, end), offset, shifted)
        if change is None:
            return
        reached = end
        begin, offset = change, _offset(zone, change)


def _any(plan: _Plan, first: int, end: int) -> bool:
    """Whether a nominal time lies in a gap of the clock."""
    return _Span(first, end, 0, None).count(plan) > 0


def _change(zone: zoneinfo.ZoneInfo, after_s: int, last_s: int) -> int | None:
    """The first instant after this one, up to the last, at which the clock is moved. No two changes share a day."""
    offset = _offset(zone, after_s)
    while after_s < last_s:
        ahead = min(after_s + _DAY_S, last_s)
        if _offset(zone, ahead) != offset:
            offsets = range(after_s, ahead + 1)
            return after_s + bisect_left(offsets, True, key=lambda at: _offset(zone, at) != offset)  # noqa: FBT003  # False before, True from there
        after_s = ahead
    return None


def _offset(zone: zoneinfo.ZoneInfo, at_s: int) -> int:
    """Seconds that the clock of this zone is ahead of UTC."""
    found = datetime.fromtimestamp(at_s, zone).utcoffset()
    assert found is not None, "a zone has an offset at every instant"
    return found.days * _DAY_S + found.seconds


@lru_cache(maxsize=1024)
def _plan(cron: str) -> _Plan:
    """A cron, checked and taken apart. Raises Invalid."""
    text = _NAMED.get(cron.strip().lower(), cron)
    fields = text.split()
    if len(text) > CRON_CHARS_MAX:
        raise errors.Invalid(where="schedule.cron", why=f"{len(text)} characters; at most {CRON_CHARS_MAX}")
    if len(fields) != 5:  # noqa: PLR2004  # of a cron
        raise errors.Invalid(where="schedule.cron", why=f"{cron!r} has {len(fields)} fields; expected {_FORM}")
    try:
        parsed = CronSim(text, _EPOCH)
    except CronSimError as problem:
        why = f"{cron!r}: {str(problem).lower()}; expected {_FORM}"
        raise errors.Invalid(where="schedule.cron", why=why) from None
    times = tuple(hour * 3600 + minute * 60 for hour in sorted(parsed.hours) for minute in sorted(parsed.minutes))
    return _Plan(parsed, times, once=len(parsed.hours) < 24)  # noqa: PLR2004  # hours of a day


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    """The zones that mean the same on every machine; "localtime" does not."""
    return frozenset(zoneinfo.available_timezones()) - {"localtime"}


def _zone(name: str) -> zoneinfo.ZoneInfo:
    """A zone by its name. Raises Invalid."""
    if name not in _names():
        return _unknown(name)
    return zoneinfo.ZoneInfo(name)


def _unknown(name: str) -> zoneinfo.ZoneInfo:
    """Raises Invalid with the name that was probably meant; never an abbreviation, for those are ambiguous."""
    shown, low = name[:100], name[:100].lower()
    places = [known for known in sorted(_names()) if "/" in known or known.lower() == low]
    by_low = {known.lower().rpartition("/")[2]: known for known in places} | {known.lower(): known for known in places}
    near = difflib.get_close_matches(low, by_low, n=1, cutoff=0.85)
    hint = f"; did you mean {by_low[near[0]]}?" if near else ", like Europe/Berlin or UTC"
    raise errors.Invalid(where="schedule.timezone", why=f"{shown!r} is not a time zone's name{hint}")
