"""Points in time and in the log as people write them."""

import re

from domain import errors
from domain.intake import parse_time
from replays.states import Wanted

_DURATION = re.compile(r"(\d{1,9})(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def at(text: str, where: str = "--at") -> Wanted:
    """A position, `@decisionN`, or a time (RFC 3339). Raises Invalid."""
    if text.isascii() and text.isdecimal() and len(text) < 19:  # noqa: PLR2004  # of a position
        if int(text) == 0:
            raise errors.Invalid(where=where, why="positions begin with 1")
        return Wanted(position=int(text))
    name, number = text[:9], text[9:]
    if name == "@decision" and number.isascii() and number.isdecimal() and 0 < len(number) < 10 and int(number):  # noqa: PLR2004
        return Wanted(decision=int(number))
    if text.startswith("@"):
        raise errors.Invalid(where=where, why=f"{text!r}: expected @decision and its number, such as @decision3")
    return Wanted(at_us=parse_time(text, where))


def since(text: str, now_us: int, where: str = "--since") -> int:
    """A time as microseconds: a duration before now (90s, 30m, 12h, 7d, 2w) or a time (RFC 3339). Raises Invalid."""
    found = _DURATION.fullmatch(text)
    if found is not None:
        return max(0, now_us - int(found[1]) * _SECONDS[found[2]] * 1_000_000)
    try:
        return parse_time(text, where)
    except errors.Invalid:
        why = f"{text!r}: expected a duration (90s, 30m, 12h, 7d, 2w) or a time such as 2026-01-31T12:00:00Z"
        raise errors.Invalid(where=where, why=why) from None
