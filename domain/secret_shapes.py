"""What looks like a credential, by the forms that services give theirs: the net below the known values."""

import re
from typing import Final

SHAPES: Final[tuple[tuple[str, re.Pattern[str]], ...]] = (
    ("a private key", re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----")),
    ("a token of GitHub", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b")),
    ("a key of AWS", re.compile(r"\bAKIA[0-9A-Z]{16}\b")),
    ("a key of a model's service", re.compile(r"\bsk-[A-Za-z0-9_-]{20,200}\b")),
    ("a token of Slack", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,200}\b")),
    ("a token of GitLab", re.compile(r"\bglpat-[A-Za-z0-9_-]{20}\b")),
)


def looks_like(text: str) -> str:
    """What kind of credential a text seems to hold; empty for none."""
    return next((kind for kind, shape in SHAPES if shape.search(text)), "")
