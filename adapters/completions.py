"""A streamed answer put together again: deltas as they come, and at the end the whole answer.

Sources: the OpenAI API reference ("Streaming"), the HTML standard's server-sent events for the framing, and the API
reference of Ollama ("Generate a completion") for its lines.
"""

from typing import Any

import msgspec

from domain.bounds import MODEL_LINE_BYTES_MAX
from domain.json_text import UNREADABLE


class _Lines:
    """Bytes of a stream as they come, line by line."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[tuple[str, str]]:
        """New pieces as (content or reasoning, text)."""
        new: list[tuple[str, str]] = []
        self._rest += data
        if b"\n" not in data:  # a line that comes in many pieces is looked at once
            if len(self._rest) > 2 * MODEL_LINE_BYTES_MAX:
                del self._rest[:-MODEL_LINE_BYTES_MAX]
            return new
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            new += self._line(line.rstrip(b"\r"))
        return new

    def _line(self, line: bytes) -> list[tuple[str, str]]:
        raise NotImplementedError

    def whole(self) -> bytes | None:
        """The answer as one that was not streamed; None when the stream was cut."""
        raise NotImplementedError


def _document(text: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(text)
    except UNREADABLE:
        return None
    return found if isinstance(found, dict) else None


class OllamaAssembler(_Lines):
    """An answer of Ollama's generate call: one document a line, the last one says `done`."""

    def __init__(self) -> None:
        super().__init__()
        self._said = {"response": [""], "thinking": [""]}
        self._last: dict[str, Any] | None = None

    def _line(self, line: bytes) -> list[tuple[str, str]]:
        event = _document(line)
        if event is None:
            return []
        if event.get("done") is True or "error" in event:
            self._last = event
        new: list[tuple[str, str]] = []
        for field, name in (("thinking", "reasoning"), ("response", "content")):
            if isinstance(event.get(field), str) and event[field]:
                self._said[field].append(event[field])
                new.append((name, event[field]))
        return new

    def whole(self) -> bytes | None:
        """See _Lines. Without the numbers by which a server would go on with the conversation."""
        self.feed(b"\n")  # the last line may lack its end
        if self._last is None:
            return None
        said = {field: "".join(parts) for field, parts in self._said.items()}
        about = {field: value for field, value in self._last.items() if field != "context"}
        return msgspec.json.encode(about | {field: text for field, text in said.items() if text})


class Assembler(_Lines):
    """A chat completion of the OpenAI kind, as server-sent events."""

    def __init__(self) -> None:
        super().__init__()
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._about: dict[str, Any] = {}
        self._finish = ""
        self._done = False

    def _line(self, line: bytes) -> list[tuple[str, str]]:
        name, _, value = line.partition(b":")
        return self._event(value.strip()) if name == b"data" else []

    def _event(self, value: bytes) -> list[tuple[str, str]]:
        if value == b"[DONE]":
            self._done = True
            return []
        event = _document(value)
        if event is None:
            return []
        for field in ("model", "usage"):
            if event.get(field):
                self._about[field] = event[field]
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            return []
        self._finish = choices[0].get("finish_reason") or self._finish
        delta = choices[0].get("delta")
        return self._delta(delta) if isinstance(delta, dict) else []

    def _delta(self, delta: dict[str, Any]) -> list[tuple[str, str]]:
        new: list[tuple[str, str]] = []
        for field, kept, name in (
            ("content", self._content, "content"),
            ("reasoning_content", self._reasoning, "reasoning"),
            ("reasoning", self._reasoning, "reasoning"),
        ):
            if isinstance(delta.get(field), str) and delta[field]:
                kept.append(delta[field])
                new.append((name, delta[field]))
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict):
                self._call(call)
        return new

    def _call(self, call: dict[str, Any]) -> None:
        index = call.get("index")
        known = self._calls.setdefault(
            index if isinstance(index, int) else len(self._calls), {"name": "", "arguments": ""}
        )
        function = call.get("function")
        if isinstance(call.get("id"), str):
            known["id"] = call["id"]
        for field in ("name", "arguments"):
            if isinstance(function, dict) and isinstance(function.get(field), str):
                known[field] += function[field]

    def whole(self) -> bytes | None:
        """See _Lines: a completion."""
        self.feed(b"\n")  # the last line may lack its end
        if not self._done and not self._finish:
            return None
        message: dict[str, Any] = {"role": "assistant", "content": "".join(self._content) or None}
        if self._reasoning:
            message["reasoning_content"] = "".join(self._reasoning)
        if self._calls:
            message["tool_calls"] = [
                {
                    "id": call.get("id", ""),
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for _, call in sorted(self._calls.items())
            ]
        choice = {"index": 0, "message": message, "finish_reason": self._finish or None}
        return msgspec.json.encode(self._about | {"object": "chat.completion", "choices": [choice]})
