"""Decisions: their shapes, and how an answer of a controller is read: strictly, but for its wrapping."""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

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


_FENCED = re.compile(r"^\s*```[a-zA-Z]{0,10}\s*\n(.*?)\n?\s*```\s*$", re.DOTALL)


def read(text: str, *, path: Literal["slow", "fast"]) -> Read:  # noqa: PLR0911  # one return a refusal
    """The decision in an answer: one JSON object, bare or fenced."""
    fenced = _FENCED.match(text)
    try:
        document = msgspec.json.decode((fenced.group(1) if fenced else text).strip().encode("utf-8", "replace"))
    except (msgspec.DecodeError, RecursionError):
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


def completion(answer: bytes) -> Completion | None:
    """A chat completion; None for what is none."""
    try:
        return msgspec.json.decode(answer, type=Completion)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def read_chat(found: Completion) -> Read:
    """The decision in a chat answer: tool calls are a `tool` decision, the end of a text is `finish`."""
    if not found.choices:
        return Read(None, "no_choices")
    message, why = found.choices[0].message, found.choices[0].finish_reason
    if message.tool_calls:
        try:
            calls = tuple(
                Wanted(call.function.name, _arguments(call.function.arguments)) for call in message.tool_calls
            )
        except msgspec.MsgspecError:
            return Read(None, "wrong_shape: the arguments of a tool call are no JSON object")
        return Read(ToolCalls(calls=calls[:16]))
    if why == "length":
        return Read(None, "cut: the answer ran into its token limit")
    if not message.content or not message.content.strip():
        return Read(None, "empty")
    return Read(Finish(message=message.content[:20_000]))


def _arguments(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text.encode() or b"{}", type=dict[str, Any])
