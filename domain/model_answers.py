"""What servers of models return for one whole answer, read. No bytes make a reader raise."""

from typing import Any

import msgspec

from domain.cli_answers import Usage
from domain.decisions import completion
from domain.json_text import UNREADABLE
from domain.said import Said

_NS = 1_000  # a microsecond


def ollama(body: bytes) -> Said:
    """An answer of Ollama's generate call. Thinking is never the answer (source: its API reference, "Generate")."""
    try:
        document = msgspec.json.decode(body)
    except UNREADABLE:
        return Said("", "not_json")
    if not isinstance(document, dict):
        return Said("", "not_json")
    usage = Usage(
        tokens_in=_count(document.get("prompt_eval_count")),
        tokens_out=_count(document.get("eval_count")),
        duration_us=_us(document.get("total_duration")),
    )
    if isinstance(document.get("error"), str):
        return Said(document["error"][:2_000], "agent_error", usage=usage)
    text = document.get("response")
    if not isinstance(text, str) or not text.strip():
        return Said("", "empty_output", usage=usage)
    return Said(text, usage=usage)


def openai(body: bytes) -> Said:
    """A chat completion of the OpenAI kind."""
    found = completion(body)
    if found is None:
        return Said("", "not_a_completion")
    used = found.usage
    usage = Usage(tokens_in=used.prompt_tokens, tokens_out=used.completion_tokens) if used else None
    text = (found.choices[0].message.content or "") if found.choices else ""
    if found.choices and found.choices[0].finish_reason == "length":
        return Said(text, "cut_answer", usage=usage)
    return Said(text, usage=usage) if text.strip() else Said("", "empty_output", usage=usage)


def _count(value: Any) -> int | None:  # noqa: ANN401  # whatever a server writes
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 53 else None


def _us(value: Any) -> int | None:  # noqa: ANN401  # nanoseconds, or anything
    found = _count(value)
    return None if found is None else found // _NS
