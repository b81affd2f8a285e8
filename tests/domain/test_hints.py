"""How long to wait: structured before prose, fixed phrases in linear time, never more than allowed (RT-2 to RT-8)."""

import time
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bounds import HINT_TEXT_CHARS_MAX, NUMBER_MAX, PARSER_PHRASES_MAX, PHRASE_CHARS_MAX
from domain.errors import InvalidConfig
from domain.hints import PARSERS, Hint, Parser, check, found, from_header
from domain.hints import retryable_status as retryable
from domain.outcome import Outcome, from_json

DAY_S = 86_400
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
NOTHING = Outcome(status="blocked", operator_summary="", status_source="none")


def said(summary: str, **fields: object) -> Outcome:
    return msgspec.structs.replace(NOTHING, operator_summary=summary, **fields)


def heard(text: str, service: str = "", summary: str = "") -> int:
    """The seconds that a text asks for; 0 without a hint."""
    hint = found(said(summary), text, service=service, most_s=DAY_S)
    return hint.seconds if hint else 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Retry-After: 30", 30),
        ("retry-after:30", 30),
        ("retry-after = 30", 30),
        ("retry-after=30", 30),
        ("RETRY-AFTER 30", 30),
        ("retry-after: 30, then go on", 30),
        ("Please retry in 5 s.", 5),
        ("retry in 5s", 5),
        ("retry in 5 sec", 5),
        ("retry in 5 secs", 5),
        ("retry in 5 second", 5),
        ("retry after 5 seconds", 5),
        ("retry\n  in\t5\n seconds", 5),
        ("Try again in 12 seconds", 12),
        ("try again after 12s", 12),
        ("Wait 7 seconds before the next call", 7),
        ("wait 7s to continue", 7),
        ("try again in 1.2s", 2),
        ("try again in 2.0s", 2),
        ("try again in 0.3 s", 1),
        ("retry-after: 30.", 30),
        ("retry-after: 0030", 30),
        ("retry-after: " + "0" * 400 + "30", 30),
        ("retry in 0 s, no: retry in 4 s", 4),
        ("retry in a moment, retry in 4 s", 4),
        ("limited (retry in 4 s)", 4),
    ],
)
def test_the_generic_parser_hears(text: str, seconds: int) -> None:
    assert heard(text) == seconds
    assert heard("", summary=text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "retry",
        "retry-after",
        "retry-after: soon",
        "retry-after: -5",
        "retry-after: 0",
        "retry-after: 5 minutes",
        "retry-after: 5ms",
        "retry-after: 5x",
        "no-retry-afterwards 5",
        "retry in 5",
        "retry in 5 minutes",
        "retry in 5ms",
        "retry in 5 ss",
        "retry in 5 s5",
        "retry in 5 secondsandmore",
        "retry in5 s",
        "retry in -5 s",
        "retry in 1,000 s",
        "retry in 0 s",
        "retry in 0.0 s",
        "retry in ٣ s",
        "retry in ² s",
        "retryin 5 s",
        "unretry in 5 s",
        "wait 7 seconds",
        "wait 7 seconds beforehand",
        "wait 7 seconds for",
        "await 7 seconds to",
        "in 5 s",
        "check in again in 5 s",
    ],
)
def test_the_generic_parser_hears_nothing(text: str) -> None:
    assert heard(text) == 0


def test_no_phrase_goes_from_the_summary_over_into_the_error() -> None:
    assert heard("in 5 s", summary="retry") == 0


@pytest.mark.parametrize(
    "mention", ["Rate limit reached", "rate-limited", "rate_limit_exceeded", "Too many\nrequests", "we throttle you"]
)
def test_aibtc_hears_its_own_wording_where_a_limit_is_mentioned(mention: str) -> None:
    for words in ("check in again in 5 s", "Try again in 5 seconds", "retry in 5s"):
        for hint in (
            found(said(mention), words, service="aibtc", most_s=DAY_S),
            found(said(words), mention, service="aibtc", most_s=DAY_S),
        ):
            assert hint is not None
            assert (hint.seconds, hint.source) == (5, "aibtc")


@pytest.mark.parametrize("text", ["check in again in 5 s", "prorate limitations: check in again in 5 s"])
def test_aibtc_hears_nothing_of_its_own_without_a_mention(text: str) -> None:
    assert heard(text, "aibtc") == 0


def test_aibtc_reads_the_summary_first_and_the_generic_parser_goes_by_its_phrases() -> None:
    summary, error = "throttled: retry in 9 s", "try again in 5 s, retry-after: 3"
    assert heard(error, "aibtc", summary) == 9
    assert heard(error, "", summary) == 3


@pytest.mark.parametrize("mention", ["Hiro says:", "https://api.hiro.so/x", "HTTP 429", "too many requests"])
def test_hiro_is_the_generic_parser_under_its_own_name(mention: str) -> None:
    hint = found(said(mention), "retry-after: 5", service="hiro", most_s=DAY_S)
    assert hint == Hint(seconds=5, source="hiro", pattern="retry-after: {n}")


@pytest.mark.parametrize("mention", ["hirose", "4290", "x429"])
def test_hiro_without_a_mention_leaves_it_to_the_generic_parser(mention: str) -> None:
    hint = found(said(mention), "retry-after: 5", service="hiro", most_s=DAY_S)
    assert hint == Hint(seconds=5, source="generic", pattern="retry-after: {n}")


def test_an_unknown_service_leaves_it_to_the_generic_parser() -> None:
    hint = found(NOTHING, "retry in 5 s", service="nowhere", most_s=DAY_S)
    assert hint == Hint(seconds=5, source="generic", pattern="retry in {n} s")


@pytest.mark.parametrize(
    ("named", "service", "source"),
    [("svc", "hiro", "svc"), ("", "hiro", "hiro"), ("", "", "structured")],
)
def test_rt2_rt6_a_structured_hint_wins_over_all_prose(named: str, service: str, source: str) -> None:
    outcome = said("HTTP 429, retry in 5 s", retry_after_seconds=70, retry_hint_source=named)
    hint = found(outcome, "retry-after: 6", service=service, most_s=DAY_S)
    assert hint == Hint(seconds=70, source=source, pattern="retry_after_seconds")


def test_rt2_the_structured_hint_of_a_printed_outcome_is_reached() -> None:
    outcome = from_json('{"status": "blocked", "retry_after_seconds": 90, "retry_hint_source": "svc"}')
    assert found(outcome, "", most_s=DAY_S) == Hint(seconds=90, source="svc", pattern="retry_after_seconds")


@pytest.mark.parametrize("asked", [DAY_S - 1, DAY_S])
def test_rt3_up_to_the_limit_a_hint_is_taken_as_it_is(asked: int) -> None:
    for hint in (
        found(said("", retry_after_seconds=asked), "", most_s=DAY_S),
        found(NOTHING, f"retry in {asked} s", most_s=DAY_S),
        from_header(str(asked), NOW_US, DAY_S),
    ):
        assert hint is not None
        assert (hint.seconds, hint.clamped_from) == (asked, 0)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        (str(DAY_S + 1), DAY_S + 1),
        ("9" * 15, 10**15 - 1),
        ("1" + "0" * 16, NUMBER_MAX),
        ("9" * 400, NUMBER_MAX),
        ("9" * 10_000, NUMBER_MAX),
    ],
)
def test_rt3_an_absurd_hint_is_clamped_and_the_clamp_is_recorded(asked: str, kept: int) -> None:
    for hint in (
        found(NOTHING, f"retry in {asked} s", most_s=DAY_S),
        found(NOTHING, f"retry-after: {asked}", most_s=DAY_S),
        from_header(asked, NOW_US, DAY_S),
    ):
        assert hint is not None
        assert (hint.seconds, hint.clamped_from) == (DAY_S, kept)
        assert msgspec.json.decode(msgspec.json.encode(hint), type=Hint) == hint


def test_rt3_an_absurd_number_with_a_fraction_is_no_more_than_what_is_kept() -> None:
    hint = found(NOTHING, f"retry in {'9' * 400}.5 s", most_s=DAY_S)
    assert hint is not None
    assert hint.clamped_from == NUMBER_MAX


def test_rt3_an_absurd_structured_hint_is_clamped_too() -> None:
    outcome = from_json('{"status": "blocked", "retry_after_seconds": ' + "9" * 400 + "}")
    hint = found(outcome, "", most_s=DAY_S)
    assert hint is not None
    assert (hint.seconds, hint.clamped_from) == (DAY_S, NUMBER_MAX)


def test_where_nothing_may_be_waited_there_is_no_hint() -> None:
    assert found(said("", retry_after_seconds=5), "", most_s=0) is None
    assert found(NOTHING, "retry in 5 s", most_s=0) is None
    assert from_header("5", NOW_US, 0) is None


@pytest.mark.parametrize(
    ("name", "phrase"), [(name, phrase) for name, parser in PARSERS.items() for phrase in parser.phrases]
)
def test_rt6_the_pattern_that_matched_is_recorded(name: str, phrase: str) -> None:
    error = "429, rate limit. " + phrase.replace("{n}", "41")
    hint = found(NOTHING, error, service=name, most_s=DAY_S)
    assert hint == Hint(seconds=41, source=name, pattern=phrase)


@pytest.mark.parametrize(("name", "parser"), PARSERS.items())
def test_the_parsers_that_ship_keep_their_own_rules(name: str, parser: Parser) -> None:
    check(parser, name)


def test_a_parser_is_data() -> None:
    mine = Parser(label="mine", phrases=("Back-off of {n} s please",), requires=("quota",))
    for text, hint in (
        ("Quota! back-off of 8 seconds PLEASE", Hint(seconds=8, source="mine", pattern="Back-off of {n} s please")),
        ("back-off of 8 seconds please", None),
    ):
        assert found(NOTHING, text, service="mine", parsers={"mine": mine}, most_s=DAY_S) == hint


@pytest.mark.parametrize(
    ("phrases", "requires", "where"),
    [
        (("",), (), "p.phrases[0]"),
        ((" ",), (), "p.phrases[0]"),
        (("retry in {n} s", "soon"), (), "p.phrases[1]"),
        (("{n} s",), (), "p.phrases[0]"),
        (("retry {n} or {n} s",), (), "p.phrases[0]"),
        (("retry in {n}s",), (), "p.phrases[0]"),
        (("retry in{n} s {n}",), (), "p.phrases[0]"),
        (("retry in {n} minutes",), (), "p.phrases[0]"),
        (("r" * (PHRASE_CHARS_MAX - 3) + " {n}",), (), "p.phrases[0]"),
        (("retry in {n} s",) * (PARSER_PHRASES_MAX + 1), (), "p.phrases"),
        (("retry in {n} s",), ("limit", " "), "p.requires[1]"),
        (("retry in {n} s",), ("m" * (PHRASE_CHARS_MAX + 1),), "p.requires[0]"),
        (("retry in {n} s",), ("m",) * (PARSER_PHRASES_MAX + 1), "p.requires"),
    ],
)
def test_a_parser_that_cannot_work_is_refused(phrases: tuple[str, ...], requires: tuple[str, ...], where: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        check(Parser(label="p", phrases=phrases, requires=requires), "p")
    assert refused.value.fields["where"] == where


def test_the_bounds_of_a_parser_are_allowed_themselves() -> None:
    longest = "r" * (PHRASE_CHARS_MAX - 4) + " {n}"
    limit = PARSER_PHRASES_MAX
    check(Parser(label="p", phrases=(longest,) * limit, requires=("m" * PHRASE_CHARS_MAX,) * limit), "p")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("30", 30),
        (" 30\t", 30),
        ("0030", 30),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30),
        ("sun, 1 mar 2026 12:00:30 gmt", 30),
        ("Sunday, 01-Mar-26 12:00:30 GMT", 30),
        ("Sun Mar  1 12:00:30 2026", 30),
        ("Sun, 01 Mar 2026 12:00:60 GMT", 59),
        ("Sunday, 01-Mar-76 12:00:30 GMT", DAY_S),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY_S),
    ],
)
def test_rt8_a_header_names_seconds_or_a_date_in_one_of_three_forms(value: str, seconds: int) -> None:
    hint = from_header(value, NOW_US, DAY_S)
    assert hint is not None
    assert (hint.seconds, hint.source) == (seconds, "http")


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        "0",
        "-5",
        "+5",
        "5.5",
        "5s",
        "1e3",
        "٣",
        "²",
        "soon",
        "Sun, 01 Mar 2026 12:00:00 GMT",
        "Sun, 01 Mar 2026 11:59:59 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sunday, 01-Mar-77 12:00:30 GMT",  # 51 years ahead is 49 years ago
        "Sunday, 01-Mar-2026 12:00:30 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun, 30 Feb 2027 12:00:30 GMT",
        "Sun, 01 Foo 2027 12:00:30 GMT",
        "Sun, 01 Mar 2027 12:00:61 GMT",
        "Sun, 01 Mar 2027 25:00:30 GMT",
        "Sun, 01 Mar 2027 12:00 GMT",
        "Sun, 01 Mar 2027 12:00:30 CET",
        "Sun, 01 Mar 2027 12:00:30",
        "Sun, 01 Mar 20270 12:00:30 GMT",
        "Sun, 01 Mar 0000 12:00:30 GMT",
        "Sun, -1 Mar 2027 12:00:30 GMT",
        "Sunday, 01-Mar 12:00:30 GMT",
        "Sunday, 01-Mar-27 12:00:30 CET",
        "Sun, 01 Mar 2027 12:00:30" + " " * 60 + "GMT",  # longer than any date
        "2027-03-01T12:00:30Z",
    ],
)
def test_rt8_a_header_that_is_garbage_negative_or_past_is_no_hint(value: str) -> None:
    assert from_header(value, NOW_US, DAY_S) is None


def test_rt8_a_date_is_rounded_up_to_whole_seconds() -> None:
    hint = from_header("Sun, 01 Mar 2026 12:00:30 GMT", NOW_US + 1, DAY_S)
    assert hint == Hint(seconds=30, source="http", pattern="retry-after: date")


def test_rt8_a_year_of_two_digits_is_near_also_around_the_end_of_a_century() -> None:
    before = int(datetime(2099, 12, 31, 23, 59, 50, tzinfo=UTC).timestamp()) * 1_000_000
    hint = from_header("Friday, 01-Jan-00 00:00:10 GMT", before, DAY_S)
    assert hint == Hint(seconds=20, source="http", pattern="retry-after: date")


@pytest.mark.parametrize("code", [408, 409, 425, 429, 500, 502, 503, 504, 529, 599])
def test_rt8_trying_again_can_help_after(code: int) -> None:
    assert retryable(code)


@pytest.mark.parametrize("code", [0, 100, 200, 301, 400, 401, 403, 404, 410, 422, 428, 430, 499, 600, -429])
def test_rt8_trying_again_does_not_help_after(code: int) -> None:
    assert not retryable(code)


def test_only_the_end_of_a_long_error_is_searched() -> None:
    assert heard("x" * HINT_TEXT_CHARS_MAX + " retry in 5 s") == 5
    assert heard("retry in 5 s " + "x" * HINT_TEXT_CHARS_MAX) == 0


@pytest.mark.parametrize(
    "pattern", ["retry in ", "wait 1", "retry-after: 0 ", "9", "retry in 0.", "0", " ", "wait 1 s ", "rate limi", "429"]
)
@pytest.mark.parametrize("service", ["", "aibtc", "hiro"])
def test_hostile_text_of_a_megabyte_is_searched_within_a_second(pattern: str, service: str) -> None:
    text = pattern * (2**20 // len(pattern))
    began_s = time.process_time()
    found(NOTHING, text, service=service, most_s=DAY_S)
    from_header(text, NOW_US, DAY_S)
    assert time.process_time() - began_s < 1.0


WORDS = st.sampled_from(
    ["retry", "in", "after", "-", ":", "=", "try", "again", "wait", "before", "to", "s", "5", "0", ".", "9" * 99, "429"]
)
PROSE = st.text(max_size=40) | st.lists(WORDS, max_size=12).map(" ".join) | st.lists(WORDS, max_size=12).map("".join)


@given(summary=PROSE, error=PROSE, service=st.sampled_from(["", *PARSERS]), most_s=st.integers(0, 10**6))
def test_rt3_any_text_gives_no_hint_or_one_within_the_limit(
    summary: str, error: str, service: str, most_s: int
) -> None:
    hint = found(said(summary), error, service=service, most_s=most_s)
    if hint is not None:
        assert 1 <= hint.seconds <= most_s
        assert hint.clamped_from == 0 or most_s < hint.clamped_from <= NUMBER_MAX


@given(value=st.text(max_size=40), now_us=st.integers(0, 2**53 - 1))
def test_rt8_any_header_gives_no_hint_or_one_within_the_limit(value: str, now_us: int) -> None:
    hint = from_header(value, now_us, 100)
    assert hint is None or 1 <= hint.seconds <= 100


@given(moment=st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1)), ahead_s=st.integers(1, 10**9))  # noqa: DTZ001  # made aware below
def test_rt8_every_date_is_read_as_it_was_written(moment: datetime, ahead_s: int) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    now_us = (int(moment.timestamp()) - ahead_s) * 1_000_000
    days = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
    months = ("", "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    day, month = days[moment.weekday()], months[moment.month]
    for text in (f"{day}, {moment:%d} {month} {moment:%Y %H:%M:%S} GMT", f"{day} {month} {moment:%d %H:%M:%S %Y}"):
        assert from_header(text, now_us, 10**9) == Hint(seconds=ahead_s, source="http", pattern="retry-after: date")
