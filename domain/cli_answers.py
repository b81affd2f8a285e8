"""What coding agents print, read: the answer, why there is none, and what was used. No bytes make a reader raise.

A reader judges what the program said, never how it exited: that is the caller's.
"""

import json
import re
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Literal

import msgspec

from domain.bounds import (
    DIGITS_MAX,
    ERROR_LOOK_CHARS_MAX,
    NUMBER_MAX,
    REPORT_CAUSE_CHARS_MAX,
    REPORT_LINE_BYTES_MAX,
    REPORT_TEXT_CHARS_MAX,
)
from domain.launch import AgentCli

_AUTHENTICATION = re.compile(
    r"\b(?:error|status|code)[:= ]{1,3}401\b|\bunauthorized\b|authentication[_ ](?:error|failed)|failed to authenticate"
    r"|invalid api key|not logged in|run /login|oauth (?:access )?token (?:is|has) (?:invalid|expired)",
    re.IGNORECASE,
)
_AUTHENTICATION_CODES = frozenset({"authentication_failed", "oauth_org_not_allowed", "cloud_credential_error"})
_PERMANENT_CODES = frozenset({"billing_error", "account_on_hold", "invalid_request", "model_not_found"})
_CLIENT_ERROR = 4  # the first digit of a status of HTTP that says: the request is wrong
_RETRYABLE_STATUSES = frozenset({408, 409, 425, 429})

Document = dict[str, Any]


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What the program says that it used; None where it does not say."""

    tokens_in: int | None = None  # cached ones too
    tokens_out: int | None = None
    cost_nusd: int | None = None
    duration_us: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The text of the answer. With a cause the run has failed, and the text says what a person should know."""

    text: str
    cause: str = ""
    permanent: bool = False
    usage: Usage | None = None
    steps: int = 0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line as it is shown, or looked at, while the agent works."""

    kind: Literal["step", "tool", "message", "usage", "error", "other"]
    text: str = ""


_OTHER = Line(kind="other")


def answered(cli: AgentCli, stdout: bytes, stderr: bytes, last_message: bytes | None = None) -> Answer:
    """The answer of an agent, read as its driver and its configuration say."""
    if cli.driver == "codex":
        return codex(stdout, stderr, last_message)
    if cli.driver == "hermes-agent":
        return hermes(stdout, stderr)
    if cli.driver == "claude-code" or cli.answer in {"json", "stream-json"}:
        return claude_code(stdout, stderr)
    if cli.answer == "last_message" and last_message is not None and last_message.strip():
        return plain(last_message, stderr)
    return plain(stdout, stderr)


def plain(stdout: bytes, stderr: bytes) -> Answer:
    """Standard output, else standard error."""
    text = _decoded(stdout) or _decoded(stderr)
    return Answer(text=text, cause="" if text else "empty_output")


def hermes(stdout: bytes, stderr: bytes) -> Answer:
    """The span of JSON if it parses, else all lines but blank ones and the name of the session."""
    lines = (line for line in _decoded(stdout).split("\n") if line.strip() and not line.startswith("session_id:"))
    text = "\n".join(lines)
    span = text[text.find("{") : text.rfind("}") + 1] if "{" in text else ""
    if span and isinstance(_parsed(span), dict):
        text = span
    return plain(text.encode(), stderr)


# codex


def codex(stdout: bytes, stderr: bytes, last_message: bytes | None = None) -> Answer:
    """The last message; else what the events hold of it. What is on standard error is shown, but answers nothing."""
    events = [document for document in _documents(stdout) if _is_codex(document)]
    ends = [event for event in events if event["type"] in {"turn.completed", "turn.failed"}]
    items = [_map(event, "item") for event in events if event["type"] == "item.completed"]
    messages = [_str(item, "text") for item in items if _item_kind(item) in _CODEX_MESSAGES]
    text = _decoded(last_message or b"") or (messages or [""])[-1].strip()
    if not events:  # a wrapper, or a version that prints prose
        text = text or _decoded(stdout)
    cause, permanent, why = _codex_failure(events, ends)
    if not cause and not text:
        cause, why = "empty_output", _decoded(stderr)
    return Answer(
        text=(why or text) if cause else text,
        cause=cause,
        permanent=permanent,
        usage=_codex_usage(ends),
        steps=sum(_item_kind(item) != "error" for item in items),
    )


def codex_line(line: bytes) -> Line:
    """One line of `codex exec --json`."""
    event = _document(line)
    if event is None or not _is_codex(event):
        return _OTHER
    kind = event["type"]
    if kind.startswith("item."):
        return _codex_item(_map(event, "item"), ended=kind == "item.completed")
    if kind == "turn.completed":
        return _used(_codex_usage([event]))
    if kind in {"turn.failed", "error"}:
        return _line("error", _message(event.get("error", event)))
    return _line("step", _str(event, "type"))


def _is_codex(document: Document) -> bool:
    kind = document.get("type")
    return isinstance(kind, str) and (kind == "error" or kind.startswith(("thread.", "turn.", "item.")))


def _codex_failure(events: list[Document], ends: list[Document]) -> tuple[str, bool, str]:
    """Cause, permanence and message. An error before a completed turn was overcome, such as a lost connection."""
    errors = [_message(event) for event in events if event["type"] == "error"]
    failed = bool(ends) and ends[-1]["type"] == "turn.failed"
    if not failed and (ends or not errors):
        return "", False, ""
    why = (_message(ends[-1].get("error")) if failed else "") or (errors or [""])[-1]
    if _is_authentication(why):
        return "authentication", True, why
    return ("turn_failed" if failed else "agent_error"), False, why


def _codex_usage(ends: list[Document]) -> Usage | None:
    """Of the last turn that says it: codex counts from the start of the thread."""
    used: Document = next((usage for end in reversed(ends) if (usage := _map(end, "usage"))), {})
    return _told(Usage(tokens_in=_count(used.get("input_tokens")), tokens_out=_count(used.get("output_tokens"))))


_CODEX_MESSAGES = frozenset({"agent_message", "assistant_message"})


def _item_kind(item: Document) -> str:
    return _str(item, "type") or _str(item, "item_type")  # the second: older versions


def _codex_item(item: Document, *, ended: bool) -> Line:
    kind = _item_kind(item)
    if kind in _CODEX_MESSAGES:
        return _line("message", _str(item, "text"))
    if kind == "error":
        return _line("error", _message(item))
    if kind in _CODEX_TOOLS:
        code = _count(item.get("exit_code")) if ended else None
        return _line("tool", _CODEX_TOOLS[kind](item) + (f" (exit {code})" if code is not None else ""))
    return _line("step", _str(item, "text") or kind)


def _changes(item: Document) -> str:
    changes = [change for change in _list(item, "changes") if isinstance(change, dict)]
    return ", ".join(f"{_str(change, 'kind')} {_str(change, 'path')}".strip() for change in changes)


_CODEX_TOOLS: dict[str, Callable[[Document], str]] = {
    "command_execution": lambda item: _str(item, "command"),
    "file_change": _changes,
    "mcp_tool_call": lambda item: f"{_str(item, 'server')}.{_str(item, 'tool')}".strip("."),
    "web_search": lambda item: _str(item, "query"),
}


# claude-code


def claude_code(stdout: bytes, stderr: bytes) -> Answer:
    """The last result, of one document or of a stream of lines. Without one there is no answer."""
    documents = list(_documents(stdout))
    results = [document for document in documents if document.get("type") == "result"]
    speeches = [document for document in documents if _is_speech(document)]
    spoken = next((text for each in reversed(speeches) if (text := _spoken(each))), "")
    if not results:
        text = spoken or ("" if documents else _decoded(stdout)) or _decoded(stderr)
        cause, permanent = _resultless(text, spoken)
        return Answer(text=text, cause=cause, permanent=permanent, steps=len(speeches))
    envelope = results[-1]
    text = _result_text(envelope)
    code = _str(speeches[-1], "error") if speeches else ""
    cause, permanent = _claude_failure(envelope, code, text)
    if cause:
        text = _errors(envelope) or text or spoken or _decoded(stderr)
    turns = _count(envelope.get("num_turns"))
    return Answer(
        text=text,
        cause=cause,
        permanent=permanent,
        usage=_claude_usage(envelope),
        steps=len(speeches) if turns is None else turns,
    )


def claude_line(line: bytes) -> Line:
    """One line of `claude -p --output-format stream-json`."""
    document = _document(line)
    kind = document.get("type") if document is not None else None
    if document is None or not isinstance(kind, str):
        return _OTHER
    if kind == "assistant":
        return _speech(document)
    if kind == "result":
        cause, _ = _claude_failure(document, "", _result_text(document))
        said = f"{cause}: {_errors(document) or _result_text(document)}".rstrip(": ")
        return _line("error", said) if cause else _used(_claude_usage(document))
    if kind == "user":
        return _line("step", "tool result")
    return _line("step", _str(document, "subtype")) if kind == "system" else _OTHER


def _resultless(text: str, spoken: str) -> tuple[str, bool]:
    if not text:
        return "empty_output", False
    if not spoken and _is_authentication(text):  # the program's own words, not the model's
        return "authentication", True
    return "missing_result", False


def _claude_failure(envelope: Document, code: str, text: str) -> tuple[str, bool]:
    """Cause and permanence. `code` is the error that the last message of the model was marked with."""
    subtype = envelope.get("subtype", "success")
    if envelope.get("is_error") in (None, False) and subtype == "success":
        return ("", False) if text else ("missing_result", False)
    status = _count(envelope.get("api_error_status")) or 0
    said = _errors(envelope) or (text if subtype == "success" else "")  # the program's own words, not the model's
    if status in {401, 403} or code in _AUTHENTICATION_CODES or _is_authentication(said):
        return "authentication", True
    permanent = code in _PERMANENT_CODES or (status // 100 == _CLIENT_ERROR and status not in _RETRYABLE_STATUSES)
    named = (code or "api_error") if subtype == "success" else _str(envelope, "subtype").strip()
    return named[:REPORT_CAUSE_CHARS_MAX] or "invalid_result", permanent


def _result_text(envelope: Document) -> str:
    """The result; or, where a schema was asked for, the object that fits it."""
    text, structured = _str(envelope, "result").strip(), _map(envelope, "structured_output")
    try:
        return text or (json.dumps(structured, default=float, allow_nan=False) if structured else "")
    except (ValueError, RecursionError):  # no number of a computer, or just shallow enough to be read
        return ""


def _errors(envelope: Document) -> str:
    return "\n".join(filter(None, map(_message, _list(envelope, "errors")))).strip()


def _claude_usage(envelope: Document) -> Usage | None:
    used = _map(envelope, "usage")
    fresh = _count(used.get("input_tokens"))
    cached = sum(_count(used.get(f"cache_{way}_input_tokens")) or 0 for way in ("creation", "read"))
    return _told(
        Usage(
            tokens_in=None if fresh is None else fresh + cached,
            tokens_out=_count(used.get("output_tokens")),
            cost_nusd=_scaled(envelope.get("total_cost_usd"), 9),
            duration_us=_scaled(envelope.get("duration_ms"), 3),
        )
    )


def _is_speech(document: Document) -> bool:
    """A message of the main agent; what a helper of the agent says answers nothing."""
    return document.get("type") == "assistant" and document.get("parent_tool_use_id") is None


def _blocks(document: Document, kind: str) -> list[Document]:
    content = _list(_map(document, "message"), "content")
    return [block for block in content if isinstance(block, dict) and block.get("type") == kind]


def _spoken(document: Document) -> str:
    return "\n".join(_str(block, "text") for block in _blocks(document, "text")).strip()


def _speech(document: Document) -> Line:
    text = _spoken(document)
    if code := _str(document, "error"):
        return _line("error", f"{code}: {text}".rstrip(": "))
    if tools := _blocks(document, "tool_use"):
        return _line("tool", ", ".join(_tool(block) for block in tools))
    return _line("message", text) if text else _line("step", "thinking")


def _tool(block: Document) -> str:
    given = _map(block, "input")
    names = ("command", "file_path", "path", "pattern", "url", "query", "description")
    hint = next((text for name in names if (text := _str(given, name))), "")
    return f"{_str(block, 'name')} {hint}".strip()


# what all of them need


def _documents(stdout: bytes) -> Iterator[Document]:
    """The JSON objects: one document, a list of them, or one on each line. What is none is left out."""
    whole = _parsed(_decoded(stdout)) if stdout.lstrip()[:1] in {b"{", b"["} else None
    if whole is not None:
        yield from (each for each in (whole if isinstance(whole, list) else [whole]) if isinstance(each, dict))
        return
    for line in stdout.split(b"\n"):
        if (document := _document(line)) is not None:
            yield document


def _document(line: bytes) -> Document | None:
    if len(line) > REPORT_LINE_BYTES_MAX or line.lstrip()[:1] != b"{":
        return None
    found = _parsed(_decoded(line))
    return found if isinstance(found, dict) else None


def _parsed(text: str) -> Any:  # noqa: ANN401  # any JSON
    """None for what is no JSON. Numbers with a point stay decimal: a cost is not rounded on its way in."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refused)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _refused(name: str) -> None:
    raise ValueError(name)  # NaN and the infinities are no JSON


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").strip()


def _str(document: Document, key: str) -> str:
    """Without half characters: JSON may spell them, and nothing can store them."""
    value = document.get(key)
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def _map(document: Document, key: str) -> Document:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _list(document: Document, key: str) -> list[Any]:
    value = document.get(key)
    return value if isinstance(value, list) else []


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= NUMBER_MAX else None


def _scaled(value: object, digits: int) -> int | None:
    """A number with its point moved to the right, rounded once, to the nearest."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value < 0:
        return None
    number = Decimal(value)
    if number.adjusted() >= DIGITS_MAX:
        return None
    return _count(int(number.scaleb(digits).to_integral_value(ROUND_HALF_UP)))


def _told(usage: Usage) -> Usage | None:
    return usage if usage != Usage() else None


def _message(value: object) -> str:
    """The message of an error, which is a text or an object that holds one."""
    return _str(value if isinstance(value, dict) else {"message": value}, "message").strip()


def _is_authentication(message: str) -> bool:
    return _AUTHENTICATION.search(message[:ERROR_LOOK_CHARS_MAX]) is not None


def _line(kind: Literal["step", "tool", "message", "error"], text: str) -> Line:
    return Line(kind=kind, text=text.strip()[:REPORT_TEXT_CHARS_MAX])


def _used(usage: Usage | None) -> Line:
    told = ((usage.tokens_in, "in"), (usage.tokens_out, "out")) if usage is not None else ()
    return Line(kind="usage", text=", ".join(f"{count} tokens {way}" for count, way in told if count is not None))
