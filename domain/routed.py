"""How a profile was chosen: part of the event that takes a task in."""

from typing import Literal

import msgspec

from domain.payload import Text

By = Literal["explicit", "thread", "rule", "model", "default"]


class Routed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a profile was chosen."""

    selected: str
    by: By
    requested: str = ""
    rule: int = -1  # of the configured ones, from 0
    candidates: tuple[str, ...] = ()
    reason: str = ""
    request: Text | None = None  # what a model was asked, and what it said
    answer: Text | None = None


class Chosen(msgspec.Struct, frozen=True):
    """How a profile was chosen, with the texts that this names."""

    routed: Routed
    texts: tuple[bytes, ...] = ()
