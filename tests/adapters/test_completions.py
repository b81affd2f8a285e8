"""Streamed completions: the same answer however the bytes are cut, and nothing of a broken stream."""

import json
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.completions import Assembler
from domain import decisions
from tests.adapters.model_server import events

CALLS: tuple[dict[str, Any], ...] = (
    {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "look", "arguments": '{"at"'}}]},
    {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "go", "arguments": ""}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": ': "h\u00f6me"}'}}]},
    {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
)


def whole(*parts: bytes) -> decisions.Completion | None:
    assembler = Assembler()
    for part in parts:
        assembler.feed(part)
    answer = assembler.whole()
    return None if answer is None else decisions.completion(answer)


def test_content_and_reasoning_come_apart_as_they_arrive() -> None:
    assembler = Assembler()
    new = assembler.feed(events({"reasoning_content": "hm"}, {"content": "hello "}, {"content": "w\u00f6rld"}))
    assert new == [("reasoning", "hm"), ("content", "hello "), ("content", "w\u00f6rld")]
    assert json.loads(assembler.whole() or b"")["choices"][0]["message"] == {
        "role": "assistant",
        "content": "hello w\u00f6rld",
        "reasoning_content": "hm",
    }


@given(st.lists(st.integers(0, 2_000), max_size=30))
def test_the_answer_is_the_same_wherever_its_bytes_are_cut(cuts: list[int]) -> None:
    stream = events({"content": "gr\u00fc\u00dfe \U0001f600"}, *CALLS, finish="tool_calls")
    borders = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    parts = [stream[begin:end] for begin, end in pairwise(borders)]
    assert whole(*parts) == whole(stream)


def test_tool_calls_that_come_interleaved_are_put_together_by_their_index() -> None:
    found = whole(events(*CALLS, finish="tool_calls"))
    assert found is not None
    read = decisions.read_chat(found)
    assert isinstance(read.decision, decisions.ToolCalls)
    assert [(each.tool, each.input) for each in read.decision.calls] == [("look", {"at": "h\u00f6me"}), ("go", {})]


def test_usage_and_model_of_a_stream_are_kept() -> None:
    found = whole(events({"content": "x"}))
    assert found is not None
    assert (found.model, found.usage) == ("m-1", decisions.Usage(100, 20))


def test_a_stream_that_breaks_off_is_no_answer() -> None:
    assert whole(events({"content": "hello"}, finish="", done=False)) is None


def test_a_stream_with_an_end_but_without_done_is_whole() -> None:
    assert whole(events({"content": "hello"}, done=False)) is not None


def test_a_stream_whose_last_line_has_no_end_is_whole() -> None:
    assert whole(events({"content": "hello"}, finish="").rstrip(b"\n")) is not None


def test_lines_may_end_with_carriage_returns_and_fields_without_a_space() -> None:
    stream = events({"content": "hello"}).replace(b"\n", b"\r\n").replace(b"data: ", b"data:")
    assert whole(stream) == whole(events({"content": "hello"}))


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"data",
        b"data:",
        b"data: {",
        b"data: []",
        b"data: 7",
        b'data: {"choices": 7}',
        b'data: {"choices": []}',
        b'data: {"choices": [7]}',
        b'data: {"choices": [{"delta": 7}]}',
        b'data: {"choices": [{"delta": {"content": 7, "tool_calls": 7}}]}',
        b'data: {"choices": [{"delta": {"tool_calls": [7]}}]}',
        b"data: " + b"[" * 5_000,
        b'data: {"choices": [{"delta": {"content": "\xff"}}]}',
        b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}',
        b"event: ping",
        b"id: 1",
        b"\xff\xfe\0",
    ],
)
def test_lines_that_mean_nothing_change_nothing(line: bytes) -> None:
    stream = events({"content": "hello"})
    assert whole(line + b"\n\n" + stream) == whole(stream)


def test_a_tool_call_without_an_index_or_with_a_wrong_one_is_a_call_of_its_own() -> None:
    odd: dict[str, Any] = {"tool_calls": [{"function": {"name": "a"}}, {"index": "x", "function": {"name": "b"}}]}
    found = whole(events(odd))
    assert found is not None
    read = decisions.read_chat(found)
    assert isinstance(read.decision, decisions.ToolCalls)
    assert [each.tool for each in read.decision.calls] == ["a", "b"]


def test_a_line_that_comes_byte_by_byte_takes_linear_time() -> None:
    assembler = Assembler()
    begun_s = time.monotonic()
    for _ in range(300_000):
        assembler.feed(b"x")
    assert assembler.feed(b"\n" + events({"content": "hello"})) == [("content", "hello")]
    assert time.monotonic() - begun_s < 5


def test_a_line_without_an_end_keeps_the_memory_bounded() -> None:
    assembler = Assembler()
    for _ in range(40):
        assembler.feed(b"x" * 65_536)
    assert assembler.feed(b"\n" + events({"content": "hello"})) == [("content", "hello")]
