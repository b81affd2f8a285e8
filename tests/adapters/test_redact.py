"""The funnel: no spelling of a known secret passes it, wherever the reads were cut; nothing else is touched."""

import base64
import json
import time
import urllib.parse
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.redact import MARK, Secrets
from domain import errors
from domain.bounds import SECRET_BYTES_MAX, SECRETS_MAX

# overlapping, one the beginning of another, one inside another, repetitive, with characters that every coding escapes
AWKWARD = (
    "hunter22",
    "hunter22-and-more",
    "er22-and",
    "aaaaaa",
    "aaaaaaaaab",
    "ababab",
    "a/b+c=d?&%",
    'quote"back\\slash',
    "line\nbreak",
    "pässwörd☃",
    "spa ce d",
)
SECRETS = Secrets(AWKWARD)


def spellings(secret: str) -> dict[str, bytes]:
    """How tools print a value: written down again here, apart from the code under test."""
    coded = secret.encode()
    return {
        "plain": coded,
        "url": urllib.parse.quote(secret, safe="").encode(),
        "form": urllib.parse.quote_plus(secret).encode(),
        "json": json.dumps(secret)[1:-1].encode(),
        "json utf-8": json.dumps(secret, ensure_ascii=False)[1:-1].encode(),
        "hex": coded.hex().encode(),
        "HEX": coded.hex().upper().encode(),
        "base64": base64.b64encode(coded).rstrip(b"="),
        "base64 url": base64.urlsafe_b64encode(coded).rstrip(b"="),
    }


SPELLED = [
    pytest.param(form, id=f"{number} {name}")
    for number, secret in enumerate(AWKWARD)
    for name, form in spellings(secret).items()
]


def through(parts: list[bytes], secrets: Secrets = SECRETS) -> bytes:
    stream = secrets.stream()
    return b"".join([*(stream.feed(part) for part in parts), stream.feed(b"", final=True)])


def cut(data: bytes, at: list[int]) -> list[bytes]:
    borders = [0, *sorted(each % (len(data) + 1) for each in at), len(data)]
    return [data[start:end] for start, end in pairwise(borders)]


CUTS = st.lists(st.integers(0, 4000), max_size=12)
PIECES = st.lists(
    st.one_of(
        st.sampled_from([form for secret in AWKWARD for form in spellings(secret).values()]),
        st.sampled_from([secret.encode()[:size] for secret in AWKWARD for size in (1, 3, 5)]),
        st.sampled_from([b"[redacted]", b"a", b"er22", b"\n", b"%", b"\xff", b"\xc3"]),
        st.binary(max_size=6),
    ),
    max_size=10,
).map(b"".join)


@given(data=PIECES, at=CUTS)
@example(data=b"hunter22-and-more", at=[8, 9])
@example(data=b"aaaaaaaaaaaaab", at=list(range(14)))
def test_no_secret_survives_in_any_cut(data: bytes, at: list[int]) -> None:
    clean = through(cut(data, at))
    for secret in AWKWARD:
        for name, form in spellings(secret).items():
            if len(form) >= 6 and "base64" not in name:
                assert form not in clean


@given(data=PIECES, at=CUTS)
def test_the_result_does_not_depend_on_the_cuts_where_no_two_secrets_overlap(data: bytes, at: list[int]) -> None:
    one = Secrets(["hunter22-and-more"])
    assert through(cut(data, at), one) == through([data], one)


@pytest.mark.parametrize("form", SPELLED)
def test_each_spelling_is_found_at_every_cut(form: bytes) -> None:
    data = b"before " + form + b" after"
    expected = through([data])
    assert form not in expected
    assert expected.startswith(b"before ")
    assert expected.endswith(b" after")
    for at in range(len(data) + 1):
        assert through([data[:at], data[at:]]) == expected
    assert through([data[at : at + 1] for at in range(len(data))]) == expected


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", range(4))
@pytest.mark.parametrize("secret", AWKWARD)
def test_base64_is_found_at_each_alignment(secret: str, before: int, after: int) -> None:
    """Of a secret inside a longer encoded text, what is not shared with its neighbours disappears."""
    plain = b"\1" * before + secret.encode() + b"\2" * after
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        coded = encode(plain)
        clean = through([coded])
        assert MARK in clean
        left = clean.replace(MARK, b"")
        assert len(left) <= (before + after) * 4 / 3 + 8
        assert len(coded) - len(left) >= len(secret.encode()) * 4 // 3 - 3


@given(data=st.binary(max_size=200), at=CUTS)
def test_text_without_secrets_passes_byte_for_byte(data: bytes, at: list[int]) -> None:
    """Bytes that hold no letter of any secret's spelling, and bytes that hold beginnings only."""
    harmless = bytes(byte for byte in data if byte not in b"haeqlpsHAEQLPS%abcdefABCDEF0123456789\xc3cYWbhIDR")
    assert through(cut(harmless, at)) == harmless


@given(data=PIECES, at=CUTS)
def test_without_known_secrets_everything_passes_at_once(data: bytes, at: list[int]) -> None:
    stream = Secrets([]).stream()
    for part in cut(data, at):
        assert stream.feed(part) == part
    assert stream.feed(b"", final=True) == b""


@given(sizes=st.lists(st.integers(1, 16), max_size=10), at=CUTS)
def test_what_waits_is_less_than_the_longest_spelling(sizes: list[int], at: list[int]) -> None:
    secret = AWKWARD[1]
    data = b"".join(secret[:size].encode() for size in sizes)
    stream, waiting = Secrets([secret]).stream(), 0
    for part in cut(data, at):
        waiting += len(part) - len(stream.feed(part))
        assert 0 <= waiting < len(secret)


def test_a_beginning_of_a_secret_waits_and_is_given_back_when_it_was_none() -> None:
    stream = Secrets(["hunter22"]).stream()
    assert stream.feed(b"the hunter") == b"the "
    assert stream.feed(b" came home") == b"hunter came home"


def test_a_beginning_of_a_secret_is_given_back_at_the_end() -> None:
    stream = Secrets(["hunter22"]).stream()
    assert stream.feed(b"the hunter") + stream.feed(b"", final=True) == b"the hunter"


def test_ordinary_text_does_not_wait() -> None:
    assert Secrets(["hunter22"]).stream().feed(b"12:00 all is well\n") == b"12:00 all is well\n"


def test_of_two_secrets_that_begin_alike_the_longer_is_taken() -> None:
    assert through([b"x hunter22-and-more y"]) == b"x [redacted] y"


def test_each_occurrence_is_marked() -> None:
    assert through([b"hunter22 hunter22\nhunter22"]) == b"[redacted] [redacted]\n[redacted]"


def test_two_streams_do_not_mix() -> None:
    one, other = SECRETS.stream(), SECRETS.stream()
    assert one.feed(b"hunte") == b""
    assert other.feed(b"r22!") == b"r22!"
    assert one.feed(b"!") == b"hunte!"


@given(st.sampled_from(AWKWARD), st.binary(max_size=20), st.binary(max_size=20))
def test_that_a_secret_is_within_is_seen_without_taking_it_out(secret: str, before: bytes, after: bytes) -> None:
    assert SECRETS.within(before + secret.encode() + after)


def test_nothing_is_within_what_is_harmless_or_where_no_secret_is_known() -> None:
    assert not SECRETS.within(b"nothing to see")
    assert not Secrets(()).within(b"hunter22")


def test_a_text_is_redacted_whole() -> None:
    assert SECRETS.text("pässwörd☃ für hunter22, später") == "[redacted] für [redacted], später"
    assert SECRETS.text("\ud800 stays") == "\ud800 stays"


def test_a_secret_that_is_not_text_is_found_in_a_text_from_the_same_source() -> None:
    """Variables and arguments that are not UTF-8 arrive with surrogates (PEP 383)."""
    secret = b"\xff\xfesecret\xff".decode("utf-8", "surrogateescape")
    survived = "secret" in Secrets([secret]).text(f"a {secret} b")  # shown whole, it would break pytest-xdist
    assert not survived
    assert through([b"a \xff\xfesecret\xff b"], Secrets([secret])) == b"a [redacted] b"


@pytest.mark.parametrize(
    ("size", "fits"), [(5, False), (6, True), (SECRET_BYTES_MAX, True), (SECRET_BYTES_MAX + 1, False)]
)
def test_a_secret_that_cannot_be_found_reliably_is_refused(size: int, *, fits: bool) -> None:
    value = "".join(f"{number:07}" for number in range(size // 7 + 1))[:size]
    if fits:
        assert through([value.encode()], Secrets([value])) == MARK
        return
    with pytest.raises(errors.InvalidConfig, match=f"a secret of {size} bytes") as refusal:
        Secrets([value])
    assert value[:5] not in str(refusal.value)


@pytest.mark.parametrize("unit", ["x", "xy", "0123456789"])
def test_a_secret_of_half_the_largest_size_is_ready_within_a_second(unit: str) -> None:
    """Every command that stores anything builds this first."""
    value = (unit * SECRET_BYTES_MAX)[: SECRET_BYTES_MAX // 2]
    began_s = time.process_time()
    Secrets([value])
    assert time.process_time() - began_s < 1.0


def test_the_number_of_secrets_is_bounded() -> None:
    values = [f"secret-{number:06}" for number in range(SECRETS_MAX + 1)]
    Secrets(values[:-1])
    with pytest.raises(errors.InvalidConfig, match=f"{SECRETS_MAX + 1} values; at most {SECRETS_MAX}"):
        Secrets(values)


def test_an_empty_value_is_no_secret() -> None:
    assert through([b"text"], Secrets(["", ""])) == b"text"
