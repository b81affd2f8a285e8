"""Signatures of payloads (BR-3): the documented examples fit, and everything else is False."""

import hashlib
import hmac
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import signatures

# the example in GitHub's own documentation
SECRET = b"It's a Secret to Everybody"
BODY = b"Hello, World!"
DIGEST = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

NOW_S = 1_700_000_000.0
STAMP = "1700000000"

# RFC 8032, 7.1: public key, message, signature
RFC_8032 = {
    "TEST 1": (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    "TEST 2": (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    "TEST 3": (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
}
KEY, _, SIGNATURE = RFC_8032["TEST 2"]


def stamped(stamp: str, body: bytes = BODY, secret: bytes = SECRET) -> str:
    return "sha256=" + hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()


# GitHub


def test_br3_the_documented_example_of_github_fits() -> None:
    assert signatures.github(SECRET, BODY, f"sha256={DIGEST}")
    assert signatures.github(SECRET, BODY, f"sha256={DIGEST.upper()}")


@pytest.mark.parametrize(
    ("secret", "body", "header"),
    [
        pytest.param(b"another", BODY, f"sha256={DIGEST}", id="another secret"),
        pytest.param(SECRET, b"Hello, World?", f"sha256={DIGEST}", id="another body"),
        pytest.param(SECRET, BODY, "", id="none"),
        pytest.param(SECRET, BODY, DIGEST, id="no algorithm"),
        pytest.param(SECRET, BODY, f"sha1={DIGEST}", id="another algorithm"),
        pytest.param(SECRET, BODY, f"SHA256={DIGEST}", id="algorithm in capitals"),
        pytest.param(SECRET, BODY, f"sha256={DIGEST[:-1]}", id="too short"),
        pytest.param(SECRET, BODY, f"sha256={DIGEST}0", id="too long"),
        pytest.param(SECRET, BODY, f"sha256={DIGEST}\n", id="a line end behind it"),
        pytest.param(SECRET, BODY, f" sha256={DIGEST}", id="a space before it"),
        pytest.param(SECRET, BODY, f"sha256={DIGEST[:-1]}g", id="no hexadecimal digit"),
        pytest.param(SECRET, BODY, f"sha256={DIGEST[:-1]}\uff17", id="a digit of another script"),
        pytest.param(SECRET, BODY, f"sha256={DIGEST},sha256={DIGEST}", id="two of them"),
        pytest.param(SECRET, BODY, "sha256=\ud800", id="no text at all"),
    ],
)
def test_br3_what_is_not_the_signature_of_the_body_does_not_fit(secret: bytes, body: bytes, header: str) -> None:
    assert signatures.github(secret, body, header) is False


def test_br3_an_empty_secret_fits_nothing() -> None:
    """Everybody knows it: a bridge whose variable is unset is closed, not open."""
    digest = hmac.new(b"", BODY, hashlib.sha256).hexdigest()
    assert not signatures.github(b"", BODY, f"sha256={digest}")
    assert not signatures.hmac_stamped(b"", BODY, stamped(STAMP, secret=b""), STAMP, NOW_S)


@given(header=st.text())
def test_br3_a_header_of_any_form_is_answered_with_no(header: str) -> None:
    assert signatures.github(SECRET, BODY, header) is False
    assert signatures.hmac_stamped(SECRET, BODY, header, STAMP, NOW_S) is False


# with a time


@pytest.mark.parametrize("off_s", [0, -300, 300, 299.5])
def test_br3_a_stamp_of_these_five_minutes_fits(off_s: float) -> None:
    assert signatures.hmac_stamped(SECRET, BODY, stamped(STAMP), STAMP, NOW_S + off_s)


@pytest.mark.parametrize("off_s", [-301, 301, 300.5, 86_400])
def test_br3_a_stamp_that_is_older_or_of_the_future_does_not_fit(off_s: float) -> None:
    assert not signatures.hmac_stamped(SECRET, BODY, stamped(STAMP), STAMP, NOW_S + off_s)


def test_br3_how_long_a_stamp_fits_can_be_said() -> None:
    assert signatures.hmac_stamped(SECRET, BODY, stamped(STAMP), STAMP, NOW_S + 10, within_s=10)
    assert not signatures.hmac_stamped(SECRET, BODY, stamped(STAMP), STAMP, NOW_S + 11, within_s=10)


@pytest.mark.parametrize(
    "stamp", ["", "now", "-1700000000", "+1700000000", " 1700000000", "1700000000.0", "1_700_000_000"]
)
def test_br3_a_stamp_of_another_form_does_not_fit_although_it_is_signed(stamp: str) -> None:
    assert not signatures.hmac_stamped(SECRET, BODY, stamped(stamp), stamp, NOW_S)


@pytest.mark.parametrize("stamp", ["1700000000\n", "1\u0667" + "\u0660" * 8, "9" * 5_000])
def test_br3_a_stamp_that_int_would_take_or_die_of_does_not_fit(stamp: str) -> None:
    assert not signatures.is_recent(stamp, NOW_S)


def test_br3_the_stamp_is_signed_too() -> None:
    """Else an old body would fit a new time."""
    assert not signatures.hmac_stamped(SECRET, BODY, stamped("1600000000"), STAMP, NOW_S)
    assert not signatures.hmac_stamped(SECRET, BODY, f"sha256={DIGEST}", STAMP, NOW_S)


def test_br3_the_border_between_stamp_and_body_is_signed_too() -> None:
    assert not signatures.hmac_stamped(SECRET, b"0." + BODY, stamped(STAMP), STAMP[:-1], NOW_S / 10, within_s=1e10)


# Discord


@pytest.mark.parametrize("name", RFC_8032)
def test_br3_the_vectors_of_rfc_8032_fit(name: str) -> None:
    key, content, signature = RFC_8032[name]
    assert signatures.discord(key, "", bytes.fromhex(content), signature)
    assert signatures.discord(key.upper(), "", bytes.fromhex(content), signature.upper())


def test_br3_the_stamp_stands_before_the_body() -> None:
    assert signatures.discord(KEY, "r", b"", SIGNATURE)  # the message of TEST 2 is 0x72, an r
    assert not signatures.discord(KEY, "r", b"r", SIGNATURE)


@pytest.mark.parametrize(
    ("key", "stamp", "body", "signature"),
    [
        pytest.param(RFC_8032["TEST 3"][0], "", b"r", SIGNATURE, id="another key"),
        pytest.param(KEY, "", b"s", SIGNATURE, id="another body"),
        pytest.param(KEY, "1", b"r", SIGNATURE, id="another stamp"),
        pytest.param(KEY, "é", b"r", SIGNATURE, id="a stamp that is not ASCII"),
        pytest.param(KEY, "\ud800", b"r", SIGNATURE, id="a stamp that is no text"),
        pytest.param(KEY, "", b"r", RFC_8032["TEST 3"][2], id="another signature"),
        pytest.param(KEY, "", b"r", SIGNATURE[:-2], id="a short signature"),
        pytest.param(KEY, "", b"r", SIGNATURE + "\n", id="a line end behind it"),
        pytest.param(KEY, "", b"r", "", id="no signature"),
        pytest.param(KEY, "", b"r", "zz" * 64, id="no hexadecimal digits"),
        pytest.param(KEY, "", b"r", "00" * 64, id="a signature of zeros"),
        pytest.param("", "", b"r", SIGNATURE, id="no key"),
        pytest.param("ff" * 32, "", b"r", SIGNATURE, id="a key that is no point"),
        pytest.param(KEY[:-2], "", b"r", SIGNATURE, id="a short key"),
    ],
)
def test_br3_what_is_not_discords_signature_does_not_fit(key: str, stamp: str, body: bytes, signature: str) -> None:
    assert signatures.discord(key, stamp, body, signature) is False


@given(key=st.text(), stamp=st.text(), body=st.binary(), signature=st.text())
def test_br3_headers_of_any_form_are_answered_with_no(key: str, stamp: str, body: bytes, signature: str) -> None:
    assert signatures.discord(key, stamp, body, SIGNATURE) is False
    assert signatures.discord(KEY, stamp, body, signature) is False


def test_without_its_library_nothing_is_said_to_be_signed_or_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(signatures.SignatureUnavailable, match="'cryptography' is not installed") as problem:
        signatures.discord(KEY, "", b"r", SIGNATURE)
    assert problem.value.library == "cryptography"
