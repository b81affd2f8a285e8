"""The canonical form of JSON (RFC 8785), by which equal documents have equal digests."""

from typing import Any

from domain import errors


def canonical(document: Any) -> bytes:  # noqa: ANN401  # any JSON
    """The canonical bytes. Raises Invalid for numbers that no reader of JSON holds exactly."""
    import rfc8785

    try:
        return bytes(rfc8785.dumps(document))
    except rfc8785.CanonicalizationError as problem:
        raise errors.Invalid(where="the bundle", why=str(problem)) from None
