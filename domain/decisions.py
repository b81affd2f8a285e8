"""Decisions: their shapes, and how an answer of a controller is read: strictly, but for its wrapping."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from domain.bounds import DECISION_CALLS_MAX, JSON_DEPTH_MAX, TOKENS_TOLD_MAX
from domain.json_text import UNREADABLE
from domain.setup import Wanted

_Seconds = Annotated[float, Meta(ge=0, le=86_400)]
_Message = Annotated[str, Meta(max_length=20_000)]


class Wait(msgspec.Struct, frozen=True, kw_only=True, tag="wait"):
    """Nothing to do; go on watching."""

    rationale: _Message | None = None
    until_seconds: _Seconds | None = None


class ToolCalls(msgspec.Struct, frozen=True, kw_only=True, tag="tool"):
    """Start tool calls."""

    calls: Annotated[tuple[Wanted, ...], Meta(min_length=1, max_length=16)]
    rationale: _Message | None = None


class CancelRun(msgspec.Struct, frozen=True, kw_only=True, tag="cancel_run", rename={"run_id": "runId"}):
    """Stop one tool call, or all of them (`call_id`: "all")."""

    run_id: str | None = None
    call_id: str | None = None
    rationale: _Message | None = None
    then: Literal["continue", "finish"] = "continue"

    @property
    def wanted(self) -> str:
        """The call that is named."""
        return self.call_id or self.run_id or ""


class Finish(msgspec.Struct, frozen=True, kw_only=True, tag="finish"):
    """The goal is reached or given up."""

    message: _Message
    outcome: Literal["completed", "failed", "blocked"] = "completed"
    evidence: tuple[str, ...] = ()
    rationale: _Message | None = None


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag="ask"):
    """Ask a person."""

    question: Annotated[str, Meta(min_length=1, max_length=4_000)]
    rationale: _Message | None = None


Decision = Wait | ToolCalls | CancelRun | Finish | Ask
FAST = (Wait, CancelRun, Finish)  # what the fast path may answer
_SHAPES: dict[str, type[Decision]] = {"wait": Wait, "tool": ToolCalls, "cancel_run": CancelRun, "finish": Finish}
_SHAPES |= {"ask": Ask, "cancel": CancelRun}


class Read(msgspec.Struct, frozen=True):
    """What an answer says: a decision, or why it is none; and the fields that nobody knows."""

    decision: Decision | None
    refused: str = ""
    ignored: tuple[str, ...] = ()


_LANGUAGE = re.compile(r"[a-zA-Z]{0,10}[ \t\r]*")
_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


def _unfenced(text: str) -> str:
    """What stands between the fences of a text that is nothing but one fenced block; else the text."""
    text = text.strip()
    if len(text) < 6 or not (text.startswith("```") and text.endswith("```")):  # noqa: PLR2004  # two fences
        return text
    language, newline, inside = text[3:-3].partition("\n")
    return inside.strip() if newline and _LANGUAGE.fullmatch(language) else text


def _is_deep(document: bytes) -> bool:
    """Whether a JSON text is nested too deep: counted, for a decoder's own limit depends on who calls it."""
    depth = 0
    for found in _BRACKET.finditer(document):
        sign = found.group()[:1]
        depth += (sign in b"[{") - (sign in b"]}")
        if depth > JSON_DEPTH_MAX:
            return True
    return False


def read(text: str, *, path: Literal["slow", "fast"]) -> Read:  # noqa: PLR0911  # one return a refusal
    """The decision in an answer: one JSON object, bare or fenced."""
    answer = _unfenced(text).encode("utf-8", "replace")
    if _is_deep(answer):
        return Read(None, "too_deep")
    try:
        document = msgspec.json.decode(answer)
    except msgspec.DecodeError:
        return Read(None, "not_json")
    if not isinstance(document, dict):
        return Read(None, "not_an_object")
    shape = _SHAPES.get(str(document.get("type", "")))
    if shape is None:
        return Read(None, f"unknown_type: {str(document.get('type', ''))[:40]!r}")
    known = {field.encode_name for field in msgspec.structs.fields(shape)} | {"type"}
    ignored = tuple(sorted(str(name)[:60] for name in set(document) - known))[:16]
    try:
        decision: Decision = msgspec.convert(document | {"type": shape.__struct_config__.tag}, shape)
    except msgspec.ValidationError as problem:
        return Read(None, f"wrong_shape: {str(problem)[:200]}", ignored)
    if path == "fast" and not isinstance(decision, FAST):
        return Read(None, f"not_on_the_fast_path: {decision.__struct_config__.tag}", ignored)
    if isinstance(decision, CancelRun) and not decision.wanted:
        return Read(None, "wrong_shape: cancel_run names no call", ignored)
    return Read(decision, "", ignored)


class Usage(msgspec.Struct, frozen=True):
    """Tokens that an answer says it used; None where it does not say."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Function(msgspec.Struct, frozen=True):
    name: str = ""
    arguments: str = ""


class _ToolCall(msgspec.Struct, frozen=True):
    function: _Function = _Function()
    id: str = ""


class _Words(msgspec.Struct, frozen=True):
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[_ToolCall, ...] | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Words
    finish_reason: str | None = None


class Completion(msgspec.Struct, frozen=True):
    """An answer of a chat completions endpoint, as far as it matters here.

    Source: the OpenAI API reference, "The chat completion object".
    """

    choices: tuple[_Choice, ...] = ()
    model: str = ""
    usage: Usage | None = None


class _Sent(msgspec.Struct, frozen=True):
    """A completion as it came: what is said beside the choices may be anything."""

    choices: tuple[_Choice, ...] = ()
    model: Any = ""
    usage: Any = None


def completion(answer: bytes) -> Completion | None:
    """A chat completion; None for what is none."""
    if _is_deep(answer):
        return None
    try:
        sent = msgspec.json.decode(answer, type=_Sent)
    except UNREADABLE:
        return None
    model = sent.model if isinstance(sent.model, str) else ""
    if not isinstance(sent.usage, dict):
        return Completion(sent.choices, model)
    counts = [_tokens(sent.usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
    return Completion(sent.choices, model, Usage(*counts))


def _tokens(said: object) -> int | None:
    """A number of tokens that can be one: a negative one would give back a budget."""
    return said if isinstance(said, int) and not isinstance(said, bool) and 0 <= said <= TOKENS_TOLD_MAX else None


def read_chat(found: Completion) -> Read:
    """The decision in a chat answer: tool calls are a `tool` decision, the end of a text is `finish`."""
    if not found.choices:
        return Read(None, "no_choices")
    message, why = found.choices[0].message, found.choices[0].finish_reason
    if message.tool_calls:
        return _read_calls(message.tool_calls)
    if why == "length":
        return Read(None, "cut: the answer ran into its token limit")
    if not message.content or not message.content.strip():
        return Read(None, "empty")
    return Read(Finish(message=message.content[:20_000]))


def _read_calls(sent: tuple[_ToolCall, ...]) -> Read:
    if len(sent) > DECISION_CALLS_MAX:
        return Read(None, f"wrong_shape: {len(sent)} tool calls, at most {DECISION_CALLS_MAX} at once")
    if any(_is_deep(call.function.arguments.encode()) for call in sent):
        return Read(None, "too_deep")
    try:
        calls = tuple(Wanted(call.function.name, _arguments(call.function.arguments)) for call in sent)
    except msgspec.MsgspecError:
        return Read(None, "wrong_shape: the arguments of a tool call are no JSON object")
    return Read(ToolCalls(calls=calls))


def _arguments(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text.encode() or b"{}", type=dict[str, Any])
