"""Phrases in output: found as tools really print them, however it is cut or coloured, and in linear time."""

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bounds import PHRASE_CHARS_MAX
from domain.patterns import CARRY_CHARS, DEFAULT, Hit, Seen, scan
from domain.setup import Pattern, Patterns

TRACEBACK = b"fine so far\nTraceback (most recent call last):\n  File 'x'\nKeyError: 'a'\n"


def fired(*blocks: bytes, patterns: Patterns = DEFAULT, stream: str = "stdout") -> list[Hit]:
    seen, hits = Seen(), []
    for block in blocks:
        seen, new = scan(patterns, seen, stream, block)
        hits += new
    return hits


def phrases(*blocks: bytes, patterns: Patterns = DEFAULT, stream: str = "stdout") -> list[str]:
    return [hit.phrase for hit in fired(*blocks, patterns=patterns, stream=stream)]


def urgent(*wanted: str | Pattern) -> Patterns:
    return Patterns(tuple(each if isinstance(each, Pattern) else Pattern(each) for each in wanted), ())


@pytest.mark.parametrize(
    "code",
    ["1/0", "import nowhere_at_all", "from os import nothing_like_it", "raise SystemError('x') from KeyError('y')"],
)
def test_what_an_interpreter_really_prints_is_urgent(code: str) -> None:
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).stderr
    assert "traceback (most recent call last)" in phrases(printed, stream="stderr")


def test_import_errors_are_named_beside_their_traceback() -> None:
    script = "import sys, traceback\ntry:\n import nowhere_at_all\nexcept ImportError:\n traceback.print_exc()"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stderr
    assert phrases(printed, stream="stderr") == ["traceback (most recent call last)", "modulenotfounderror"]


def test_a_hit_names_its_line_and_whether_it_is_urgent() -> None:
    assert fired(TRACEBACK) == [Hit("traceback (most recent call last)", urgent=True, line=1)]
    assert fired(b"a\nb\nListening on 1234\n") == [Hit("listening on", urgent=False, line=2)]


@pytest.mark.parametrize("cut", range(1, len(TRACEBACK)))
def test_a_phrase_is_found_once_wherever_the_output_is_cut(cut: int) -> None:
    assert phrases(TRACEBACK[:cut], TRACEBACK[cut:]) == ["traceback (most recent call last)"]


COLOURED = b"ok\n\x1b[1;31mTrace\x1b[0m\x1b[38;5;196mback (most\x1b[K recent\x1b[m call last)\x1b[0m:\n"


@pytest.mark.parametrize("cut", range(1, len(COLOURED)))
def test_colours_inside_of_a_phrase_do_not_hide_it_wherever_they_are_cut(cut: int) -> None:
    assert phrases(COLOURED[:cut], COLOURED[cut:]) == ["traceback (most recent call last)"]


def test_a_phrase_that_comes_byte_by_byte_is_found_once() -> None:
    assert phrases(*(bytes([byte]) for byte in COLOURED)) == ["traceback (most recent call last)"]


FOREIGN = "Fehler: gr\u00f6\u00dfer als \u20ac \U0001f4a5 erlaubt\n".encode()


@pytest.mark.parametrize("cut", range(1, len(FOREIGN)))
def test_a_phrase_is_found_though_one_of_its_characters_is_cut(cut: int) -> None:
    wanted = "gr\u00f6\u00dfer als \u20ac \U0001f4a5"
    assert phrases(FOREIGN[:cut], FOREIGN[cut:], patterns=urgent(wanted)) == [wanted]


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_can_be_scanned_and_what_is_kept_is_bounded(blocks: list[bytes]) -> None:
    seen = Seen()
    for block in blocks:
        seen, _ = scan(DEFAULT, seen, "stdout", block)
        assert len(seen.carry) <= 512
        assert len(seen.rest) <= 48


@given(st.lists(st.sampled_from([b"fatal: ", b"x", b"\n", b"\x1b[", b"31m", b"\x1b[0m", b'"', b"\xc3", b"\xb6"])))
def test_two_blocks_or_one_fire_the_same(parts: list[bytes]) -> None:
    whole = b"".join(parts) + b"\n"
    assert bool(phrases(whole)) == bool(phrases(*parts, b"\n"))


def test_the_three_hundredth_page_in_a_row_does_not_fire_but_the_third_429_does() -> None:
    line = b"server said HTTP 429\n"
    assert phrases(line * 2) == []
    assert phrases(line * 3) == ["http 429"]
    assert phrases(line, line, line) == ["http 429"]
    assert phrases(line * 2, b"fine\n", line) == ["http 429"]


@pytest.mark.parametrize("cut", range(1, 63))
def test_what_is_counted_is_counted_once_wherever_the_output_is_cut(cut: int) -> None:
    text = b"server said HTTP 429\n" * 3
    assert phrases(text[:cut], text[cut:]) == ["http 429"]
    two = b"server said HTTP 429\n" * 2
    assert phrases(two[:cut], two[cut:]) == []


@pytest.mark.parametrize(
    "line",
    [
        b'the docs say "still retrying" means patience',
        b"the docs say `still retrying` means patience",
        b"the docs say 'still retrying' means patience",
        b"GET https://example.com/why?q=still retrying&x=1",
        b"GET https://example.com/still-retrying",
        b"instill retrying",
        b"still retryings",
        b"still_retrying",
        b"progress 429/500: GET /http 429/",
    ],
)
def test_what_only_quotes_a_phrase_or_holds_it_in_an_address_or_a_word_does_not_fire(line: bytes) -> None:
    assert phrases((line + b"\n") * 5) == []


@pytest.mark.parametrize(
    "line",
    [
        b"still retrying",
        b"Still Retrying...",
        b"[still retrying]",
        b"(5) still retrying!",
        b'said "hi", still retrying',
    ],
)
def test_what_says_a_phrase_fires(line: bytes) -> None:
    assert phrases(line + b"\n") == ["still retrying"]


@pytest.mark.parametrize("line", [b"kpanic: no", b"nonfatal: no", b"reboot", b"bootstrap", b"listening only", b"fatal"])
def test_a_phrase_stands_between_word_borders(line: bytes) -> None:
    assert phrases(line + b"\n") == []


def test_a_phrase_of_one_stream_is_not_looked_for_in_the_other() -> None:
    patterns = urgent(Pattern("oops", stream="stderr"))
    assert phrases(b"oops\n", patterns=patterns) == []
    assert phrases(b"oops\n", patterns=patterns, stream="stderr") == ["oops"]


def test_each_phrase_fires_at_most_once_a_block_and_in_the_order_of_the_patterns() -> None:
    assert phrases(b"two one\n" * 50, patterns=urgent("one", "two")) == ["one", "two"]


def test_the_longest_phrase_fits_into_what_is_carried_over() -> None:
    assert PHRASE_CHARS_MAX < CARRY_CHARS
    long = "x" * PHRASE_CHARS_MAX
    assert phrases(b"y" * 600 + b" " + b"x" * 100, b"x" * 100 + b"\n", patterns=urgent(long)) == [long]


@pytest.mark.parametrize(
    "block",
    [
        b"x" * (1 << 20),
        b"\x1b" * (1 << 20),
        b"\x1b[" * (1 << 19),
        b"\x1b[31" * (1 << 18),
        b"\xf0\x9f" * (1 << 19),
        b"\xff" * (1 << 20),
        b'"' * (1 << 20),
        b'"still retrying" ' * (1 << 16),
        b"traceback (most recent call last" * (1 << 15),
        b"http 42" * 150_000,
    ],
)
def test_a_line_of_a_mebibyte_is_scanned_in_linear_time(block: bytes) -> None:
    begun_s = time.monotonic()
    hits = fired(block, b"\nfatal: at last\n")
    assert time.monotonic() - begun_s < 5
    assert "fatal:" in [hit.phrase for hit in hits]
