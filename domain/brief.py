"""What a one-shot run is judged by, frozen at its start: who answers and how that is read, and what is verified."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from domain.launch import AgentCli
from domain.managed_path import Before
from domain.task_types import task_type
from domain.verification import Where

Reader = Literal["script", "cli", "ollama", "openai"]
_BESIDE = ("inputs", "phase")


class Brief(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One JSON document, named by digest in `run.started`. `hint_most_s` is where a wait that is asked for ends."""

    reader: Reader
    cli: AgentCli | None = None
    payload: dict[str, Any] = {}  # what it says of artifacts
    where: Where | None = None  # None: nothing is verified
    before: Before = Before()
    blocked_phrases: tuple[str, ...] = ()
    hint_service: str = ""
    hint_most_s: int = 0
    hint_refunds_max: int = 0
    on_unverified: Literal["retry", "block"] = "retry"
    reports: bool = False  # what the agent tells while it works is an event each
    echo: bool = True  # whether its answer is compared with its prompt


def about_artifacts(kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a payload that speaks of artifacts; of none where the answer to this kind of task is all."""
    found = task_type(kind)
    keys = () if found.success == "answer" else found.declared_keys
    return {name: payload[name] for name in (*keys, *_BESIDE) if name in payload}


def encode(brief: Brief) -> bytes:
    """The bytes that are stored; the same brief is the same bytes."""
    return msgspec.json.encode(brief, order="sorted")


decode = msgspec.json.Decoder(Brief).decode
