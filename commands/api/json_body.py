"""A body as JSON: what is none is told apart from what is some, and not what was asked for."""

from domain import errors
from domain.intake import parse_json


def read(raw: bytes) -> object:
    """What a body says. Raises NotJson; Invalid for what JSON can say and nobody should."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as problem:
        raise errors.NotJson(where="the body", why=f"not UTF-8: {problem.reason} at byte {problem.start}") from None
    try:
        return parse_json(text, "body")
    except errors.Invalid as problem:
        if "not JSON" in str(problem):
            raise errors.NotJson(where="the body", why=str(problem.fields["why"])) from None
        raise
