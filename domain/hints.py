"""How long a rate limit asks to wait: read from an outcome, from prose by fixed phrases, or from an HTTP header."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from domain import errors
from domain.bounds import HINT_DATE_CHARS_MAX, HINT_TEXT_CHARS_MAX, NUMBER_MAX, PARSER_PHRASES_MAX, PHRASE_CHARS_MAX
from domain.outcome import Outcome, flattened, mentioned, stands_alone

_DIGITS = frozenset("0123456789")
_SAFE_DIGITS = 15  # fewer than what NUMBER_MAX has
_SECONDS = frozenset({"s", "sec", "secs", "second", "seconds"})
_LONGER = frozenset(
    {"m", "min", "mins", "minute", "minutes", "h", "hr", "hrs", "hour", "hours", "d", "day", "days"}
    | {"ms", "msec", "millisecond", "milliseconds"}
)  # units that a phrase without a unit must not take for seconds


class Hint(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long to wait, who says so, and which pattern found it."""

    seconds: int
    source: str
    pattern: str
    clamped_from: int = 0  # what was asked for, where that is more than may be waited


class Parser(msgspec.Struct, frozen=True, kw_only=True):
    """How a service words its hints.

    A phrase is literal text with one {n} for the number; directly behind it, `s` stands for any spelling of seconds.
    """

    label: str
    phrases: tuple[str, ...]  # the first one that gives a positive number counts
    requires: tuple[str, ...] = ()  # at least one of these must be mentioned, if there are any
    order: Literal["summary_first", "joined"] = "joined"


_GENERIC = (
    "retry-after: {n}",
    "retry-after : {n}",
    "retry-after= {n}",
    "retry-after = {n}",
    "retry-after {n}",
    "retry in {n} s",
    "retry after {n} s",
    "try again in {n} s",
    "try again after {n} s",
    "wait {n} s before",
    "wait {n} s to",
)
_TOO_MANY = ("too many requests", "too-many-requests", "too_many_requests")
_LIMITED = (
    *("rate limit", "rate limits", "rate limited", "rate limiting", "rate-limit", "rate-limits", "rate-limited"),
    *("rate-limiting", "ratelimit", "ratelimited", "rate_limit", "rate_limited", "rate_limit_error"),
    *("rate_limit_exceeded", "throttle", "throttled", "throttles", "throttling"),
)
PARSERS: Mapping[str, Parser] = {
    "generic": Parser(label="generic", phrases=_GENERIC),
    "aibtc": Parser(
        label="aibtc",
        phrases=("check in again in {n} s", "try again in {n} s", "retry in {n} s"),
        requires=_LIMITED + _TOO_MANY,
        order="summary_first",
    ),
    "hiro": Parser(label="hiro", phrases=_GENERIC, requires=("hiro", "429", *_TOO_MANY)),
}


def found(
    outcome: Outcome, error_text: str, *, service: str = "", parsers: Mapping[str, Parser] = PARSERS, most_s: int
) -> Hint | None:
    """The hint of a run: a structured one, else what the service's parser finds, else what the generic one finds.

    `error_text` is the adapter's own answer or error, never the output of tools.
    """
    if outcome.retry_after_seconds > 0:
        source = outcome.retry_hint_source or service or "structured"
        return _hint(outcome.retry_after_seconds, source, "retry_after_seconds", most_s)
    texts = (flattened(outcome.operator_summary), flattened(error_text[-HINT_TEXT_CHARS_MAX:]))
    for name in dict.fromkeys((service, "generic")):
        parser = parsers.get(name)
        if parser is not None and (hit := _parsed(parser, texts)) is not None:
            seconds, phrase = hit
            return _hint(seconds, parser.label, phrase, most_s)
    return None


def check(parser: Parser, where: str) -> None:
    """What a configured parser must keep. Raises InvalidConfig, naming the phrase."""
    for name, phrases in (("phrases", parser.phrases), ("requires", parser.requires)):
        if len(phrases) > PARSER_PHRASES_MAX:
            raise errors.InvalidConfig(where=f"{where}.{name}", why=f"more than {PARSER_PHRASES_MAX}")
        for at, phrase in enumerate(phrases):
            if not phrase.strip() or len(phrase) > PHRASE_CHARS_MAX:
                raise errors.InvalidConfig(where=f"{where}.{name}[{at}]", why=f"expected 1 to {PHRASE_CHARS_MAX} chars")
    for at, phrase in enumerate(parser.phrases):
        words = phrase.split()
        if words.count("{n}") != 1 or phrase.count("{n}") != 1 or words[0] == "{n}":
            why = "expected words, then one {n} that stands alone, then perhaps words"
            raise errors.InvalidConfig(where=f"{where}.phrases[{at}]", why=why)
        if not _LONGER.isdisjoint(words[words.index("{n}") + 1 :][:1]):
            raise errors.InvalidConfig(where=f"{where}.phrases[{at}]", why="a hint is in seconds: {n} s")


def retryable_status(code: int) -> bool:
    """Whether an HTTP status says that trying again can help."""
    return code in {408, 409, 425, 429} or 500 <= code <= 599  # noqa: PLR2004  # the table of the statuses


def from_header(value: str, now_us: int, most_s: int) -> Hint | None:
    """The hint of a Retry-After header: seconds or one of the three forms of a date. None for anything else."""
    text = value.strip()
    if text and set(text) <= _DIGITS:
        return _hint(_number(text), "http", "retry-after: seconds", most_s)
    moment = _date(text, now_us)
    if moment is None:
        return None
    left_us = _us(moment) - now_us
    return _hint(-(-left_us // 1_000_000), "http", "retry-after: date", most_s)


def _hint(seconds: int, source: str, pattern: str, most_s: int) -> Hint | None:
    """The hint within its bound; None where there is nothing to wait for."""
    clamped = min(seconds, most_s)
    if clamped <= 0:
        return None
    return Hint(seconds=clamped, source=source, pattern=pattern, clamped_from=seconds if seconds > most_s else 0)


def _number(digits: str) -> int:
    """The number; an absurd one is the largest that is kept."""
    digits = digits.lstrip("0")
    return NUMBER_MAX if len(digits) > _SAFE_DIGITS else int(digits or "0")


# prose


class _Phrase(NamedTuple):
    head: str
    with_unit: bool
    tail: str


def _parsed(parser: Parser, texts: tuple[str, str]) -> tuple[int, str] | None:
    joined = "\n".join(texts)  # which no phrase crosses
    if parser.requires and not mentioned(joined, parser.requires):
        return None
    for text in texts if parser.order == "summary_first" else (joined,):
        for phrase in parser.phrases:
            seconds = next(_numbers(text, _compiled(phrase)), 0)
            if seconds:
                return seconds, phrase
    return None


@lru_cache(maxsize=256)
def _compiled(phrase: str) -> _Phrase:
    head, _, rest = flattened(phrase).partition("{n}")
    unit, _, tail = rest.strip().partition(" ")
    with_unit = unit == "s"
    return _Phrase(head.strip(), with_unit, tail if with_unit else rest.strip())


def _numbers(text: str, phrase: _Phrase) -> Iterator[int]:
    """The positive numbers that stand in the phrase's place; each occurrence costs no more than its own length."""
    at = text.find(phrase.head) if phrase.head else -1
    while at >= 0:
        end = at + len(phrase.head)
        seconds = _number_at(text, end, phrase) if stands_alone(text, at, end) else 0
        if seconds:
            yield seconds
        at = text.find(phrase.head, end)


def _number_at(text: str, at: int, phrase: _Phrase) -> int:
    """The number that begins here, rounded up, if what must follow it does; 0 otherwise."""
    at = _behind_space(text, at)
    end = _behind_digits(text, at)
    if end == at:
        return 0
    seconds = _number(text[at:end])
    if text[end : end + 1] == "." and (behind := _behind_digits(text, end + 1)) > end + 1:
        seconds = min(seconds + bool(text[end + 1 : behind].strip("0")), NUMBER_MAX)
        end = behind
    unit_at = _behind_space(text, end)
    unit_end = _behind_letters(text, unit_at)
    unit = text[unit_at:unit_end]
    if phrase.with_unit:
        fits, end = unit in _SECONDS and stands_alone(text, unit_end, unit_end), unit_end
    else:
        fits = unit not in _LONGER and stands_alone(text, end, end)
    return seconds if fits and _continues(text, end, phrase.tail) else 0


def _continues(text: str, at: int, tail: str) -> bool:
    at = _behind_space(text, at)
    return not tail or (text.startswith(tail, at) and stands_alone(text, at, at + len(tail)))


def _behind_space(text: str, at: int) -> int:
    return at + 1 if text[at : at + 1] == " " else at


def _behind_digits(text: str, at: int) -> int:
    while at < len(text) and text[at] in _DIGITS:
        at += 1
    return at


def _behind_letters(text: str, at: int) -> int:
    """Behind a word of letters, as far as a unit can be long."""
    end = at
    while end < len(text) and end - at <= len("milliseconds") and text[end].isalpha():
        end += 1
    return end


# dates of HTTP, in English whatever the locale is

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def _date(text: str, now_us: int) -> datetime | None:
    """A date as HTTP spells it, now or in older times; None for anything else."""
    parts = text.lower().replace(",", " ").split() if len(text) <= HINT_DATE_CHARS_MAX else []
    try:
        match len(parts):
            case 6 if parts[5] == "gmt":  # Sun, 06 Nov 1994 08:49:37 GMT
                return _moment(parts[3], parts[2], parts[1], parts[4])
            case 4 if parts[3] == "gmt":  # Sunday, 06-Nov-94 08:49:37 GMT
                day, month, year = parts[1].split("-")
                return _moment(_century(year, now_us), month, day, parts[2])
            case 5:  # Sun Nov  6 08:49:37 1994
                return _moment(parts[4], parts[1], parts[2], parts[3])
            case _:
                return None
    except ValueError:  # what is no number, no month, or no day of its month
        return None


def _moment(year: str, month: str, day: str, time: str) -> datetime:
    hour, minute, second = time.split(":")
    at = datetime(_int(year), _MONTHS.index(month) + 1, _int(day), _int(hour), _int(minute), tzinfo=UTC)
    if _int(second) > 60:  # noqa: PLR2004  # 60 is a leap second
        raise ValueError(second)
    return at + timedelta(seconds=min(_int(second), 59))


def _century(year: str, now_us: int) -> str:
    """The year that ends with these two digits and is at most 50 years ahead (RFC 9110, 5.6.7)."""
    if len(year) != 2:  # noqa: PLR2004  # two digits
        raise ValueError(year)
    last = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now_us)).year + 50
    return str(last - (last - _int(year)) % 100)


def _int(text: str) -> int:
    if not text or not set(text) <= _DIGITS:
        raise ValueError(text)
    return int(text)


def _us(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
