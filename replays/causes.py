"""Why a replay differs: a class for people and for summaries, from what differs and from what was put in its place."""

from typing import Literal

Cause = Literal["code", "prompt", "config", "undecodable", "missing", "surplus", "damaged"]
SAID: dict[Cause, str] = {
    "code": "code changed",
    "prompt": "prompt changed",
    "config": "policy or configuration changed",
    "undecodable": "event no longer decodes",
    "missing": "missing event",
    "surplus": "surplus event",
    "damaged": "output is not what its event says",
}
_PROMPTS = frozenset({"prompts"})
_BY_KIND: dict[str, Cause] = {
    "undecodable": "undecodable", "missing": "missing", "surplus": "surplus", "digest": "damaged",
}  # fmt: skip


def cause_of(kind: str, event: str, field: str, substituted: frozenset[str] = frozenset()) -> Cause:
    """The class of a difference. `substituted` are the parts that another configuration says otherwise.

    With the run's own inputs it is the code that changed: its prompts, where the request to a controller differs.
    """
    if kind in ("undecodable", "digest"):
        return _BY_KIND[kind]
    if substituted:
        return "prompt" if substituted <= _PROMPTS else "config"
    if kind in _BY_KIND:
        return _BY_KIND[kind]
    return "prompt" if event == "run.controller_asked" and field.startswith("request") else "code"
