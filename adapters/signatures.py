"""Whether a payload comes from who shares a secret or a key with us. Always of the raw body: parsing comes later.

A wrong signature, of whatever form, is False and never an exception.
"""

import hashlib
import hmac
import re
from typing import Final

STAMP_WITHIN_S: Final = 300  # how old, or how far ahead, what is signed may be

_STAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_DIGEST = re.compile(r"sha256=([0-9a-fA-F]{64})", re.ASCII)
_KEY = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-fA-F]{128}", re.ASCII)


class SignatureUnavailable(Exception):  # for the wiring to name; a user meets it when a hook is set up
    """A kind of signature cannot be checked: the library for it is not installed."""

    def __init__(self, library: str) -> None:
        super().__init__(f"the library {library!r} is not installed")
        self.library = library


def github(secret: bytes, body: bytes, header: str) -> bool:
    """Whether X-Hub-Signature-256 (`sha256=` and hexadecimal digits) is that of the body. An empty secret fits none."""
    return _fits(secret, body, header)


def hmac_stamped(  # noqa: PLR0913, PLR0917  # what a signature with a time is made of
    secret: bytes, body: bytes, header: str, stamp: str, now_s: float, within_s: float = STAMP_WITHIN_S
) -> bool:
    """Whether the header is that of `<stamp>.<body>`, and the stamp (whole seconds since 1970) is of these minutes."""
    if not is_recent(stamp, now_s, within_s):
        return False
    return _fits(secret, stamp.encode() + b"." + body, header)


def is_recent(stamp: str, now_s: float, within_s: float = STAMP_WITHIN_S) -> bool:
    """Whether a stamp is at most so far from now, before or after it: a recorded request cannot be sent again later."""
    return _STAMP.fullmatch(stamp) is not None and abs(now_s - int(stamp)) <= within_s


def discord(public_key_hex: str, stamp: str, body: bytes, signature_hex: str) -> bool:
    """Whether an Ed25519 signature is that of the stamp and the body behind it, by the owner of this public key.

    The stamp is signed as it is; whether it is of these minutes is for `is_recent`. Raises SignatureUnavailable.
    """
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise SignatureUnavailable("cryptography") from None
    if not (_KEY.fullmatch(public_key_hex) and _SIGNATURE.fullmatch(signature_hex)):
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key_hex))
        key.verify(bytes.fromhex(signature_hex), stamp.encode() + body)
    except (InvalidSignature, ValueError):  # the latter: the stamp is no text, the key no point of the curve
        return False
    return True


def _fits(secret: bytes, content: bytes, header: str) -> bool:
    given = _DIGEST.fullmatch(header)
    if given is None or not secret:  # whoever has no secret shares it with everybody
        return False
    wanted = hmac.new(secret, content, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, given[1].lower())
