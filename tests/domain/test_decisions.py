"""How an answer of a controller is read: strictly, but for its wrapping; and never for long."""

import time
from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import decisions
from domain.decisions import Ask, CancelRun, Finish, ToolCalls, Wait
from domain.setup import Wanted

FINISH = '{"type":"finish","message":"done"}'


def slow(text: str) -> decisions.Read:
    return decisions.read(text, path="slow")


def chat(message: dict[str, Any], why: str | None = "stop") -> decisions.Read:
    found = decisions.completion(msgspec.json.encode({"choices": [{"message": message, "finish_reason": why}]}))
    assert found is not None
    return decisions.read_chat(found)


def call(name: str, arguments: str) -> dict[str, Any]:
    return {"id": "1", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("text", "decision"),
    [
        ('{"type":"wait"}', Wait()),
        ('{"type":"wait","until_seconds":30,"rationale":"why not"}', Wait(until_seconds=30.0, rationale="why not")),
        ('{"type":"tool","calls":[{"tool":"a"}]}', ToolCalls(calls=(Wanted("a"),))),
        ('{"type":"cancel_run","call_id":"c1"}', CancelRun(call_id="c1")),
        ('{"type":"cancel_run","runId":"all","then":"finish"}', CancelRun(run_id="all", then="finish")),
        ('{"type":"cancel","call_id":"c1"}', CancelRun(call_id="c1")),
        (FINISH, Finish(message="done")),
        ('{"type":"finish","message":"","outcome":"blocked"}', Finish(message="", outcome="blocked")),
        ('{"type":"ask","question":"who?"}', Ask(question="who?")),
    ],
)
def test_each_shape_is_read(text: str, decision: decisions.Decision) -> None:
    assert slow(text) == decisions.Read(decision)


@pytest.mark.parametrize(
    "text",
    [
        f"```json\n{FINISH}\n```",
        f"```\n{FINISH}\n```\n\n",
        f"\n\n ```JSON  \n  {FINISH}```",
        f"```json\r\n{FINISH}\r\n```",
        f"  {FINISH}\n",
    ],
)
def test_fences_and_white_space_around_an_object_are_taken_off(text: str) -> None:
    assert slow(text) == decisions.Read(Finish(message="done"))


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("", "not_json"),
        ("I think we should wait.", "not_json"),
        (f"Sure! {FINISH}", "not_json"),
        (f"{FINISH}{FINISH}", "not_json"),
        (f"```json\n{FINISH}\n```\nI hope this helps.", "not_json"),
        (f"```{FINISH}```", "not_json"),
        ("``````", "not_json"),
        ("```", "not_json"),
        ('{"type":"finish","message":"\\ud800"}', "not_json"),
        ("NaN", "not_json"),
        ("[]", "not_an_object"),
        ("null", "not_an_object"),
        ('"finish"', "not_an_object"),
        ("{}", "unknown_type: ''"),
        ('{"type":"explode"}', "unknown_type: 'explode'"),
        ('{"type":["finish"]}', "unknown_type: \"['finish']\""),
        ('{"type":"cancel_run"}', "wrong_shape: cancel_run names no call"),
        ("[" * 100_000, "too_deep"),
        ('{"type":"tool","calls":[{"tool":"a","input":{"b":' + "[" * 70 + "]" * 70 + "}}]}", "too_deep"),
    ],
)
def test_what_is_no_decision_is_refused_by_name(text: str, refused: str) -> None:
    assert slow(text) == decisions.Read(None, refused)


@pytest.mark.parametrize(
    "text",
    [
        '{"type":"finish"}',
        '{"type":"finish","message":null}',
        '{"type":"finish","message":"x","outcome":"great"}',
        '{"type":"finish","message":"' + "x" * 20_001 + '"}',
        '{"type":"wait","until_seconds":-1}',
        '{"type":"wait","until_seconds":86401}',
        '{"type":"wait","until_seconds":"soon"}',
        '{"type":"tool"}',
        '{"type":"tool","calls":[]}',
        '{"type":"tool","calls":[{}]}',
        '{"type":"tool","calls":[{"tool":"a","input":[]}]}',
        '{"type":"tool","calls":[' + ",".join(['{"tool":"a"}'] * 17) + "]}",
        '{"type":"cancel_run","call_id":1}',
        '{"type":"cancel_run","call_id":"c1","then":"explode"}',
        '{"type":"ask","question":""}',
    ],
)
def test_what_violates_the_schema_is_refused_and_says_where(text: str) -> None:
    read = slow(text)
    assert read.decision is None
    assert read.refused.startswith("wrong_shape: ")


@pytest.mark.parametrize("text", ['{"type":"tool","calls":[{"tool":"a"}]}', '{"type":"ask","question":"q"}'])
def test_the_fast_path_takes_no_tools_and_no_questions(text: str) -> None:
    assert slow(text).decision is not None
    assert decisions.read(text, path="fast").refused.startswith("not_on_the_fast_path: ")


def test_brackets_inside_of_texts_are_no_nesting() -> None:
    deep = '\\"' + "[{" * 500
    assert slow('{"type":"finish","message":"' + deep + '"}').decision == Finish(message='"' + "[{" * 500)


def test_unknown_fields_are_named_sorted_and_bounded_and_otherwise_ignored() -> None:
    more = {f"field-{at:02}": at for at in range(40)} | {"x" * 500: 1, "a": 2}
    read = slow(msgspec.json.encode({"type": "wait"} | more).decode())
    assert read.decision == Wait()
    assert len(read.ignored) == 16
    assert read.ignored[:2] == ("a", "field-00")


@pytest.mark.parametrize(
    "text",
    [
        "```\n" + " " * 256_000,
        "```" + "\n" * 256_000,
        "```json\n" + "\n ```x" * 40_000,
        " " * 256_000 + "```",
        "`" * 256_000,
        '"' * 256_000,
        '"' + "\\" * 256_000,
        "[]" * 128_000,
        "{" * 256_000,
    ],
)
def test_no_answer_takes_long_to_read(text: str) -> None:
    begun_s = time.monotonic()
    assert slow(text).decision is None
    assert decisions.completion(text.encode()) is None
    assert time.monotonic() - begun_s < 5


@given(st.text(max_size=200) | st.recursive(st.none(), st.lists).map(lambda value: msgspec.json.encode(value).decode()))
def test_any_text_is_a_decision_or_a_refusal(text: str) -> None:
    paths: tuple[Literal["slow", "fast"], ...] = ("slow", "fast")
    for path in paths:
        read = decisions.read(text, path=path)
        assert (read.decision is None) == bool(read.refused)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_completion_or_none(body: bytes) -> None:
    found = decisions.completion(body)
    assert found is None or isinstance(found, decisions.Completion)


def test_the_end_of_a_chats_text_is_finish_and_its_calls_are_a_tool_decision() -> None:
    assert chat({"content": "hello"}).decision == Finish(message="hello")
    read = chat({"content": "let me see", "tool_calls": [call("a", '{"x":1}'), call("b", "")]})
    assert read.decision == ToolCalls(calls=(Wanted("a", {"x": 1}), Wanted("b", {})))


@pytest.mark.parametrize(
    ("message", "why", "refused"),
    [
        ({"content": None}, "stop", "empty"),
        ({"content": " \n"}, "stop", "empty"),
        ({"content": "half a sent"}, "length", "cut: the answer ran into its token limit"),
        ({"tool_calls": [call("a", "{")]}, "stop", "wrong_shape: the arguments of a tool call are no JSON object"),
        ({"tool_calls": [call("a", "[]")]}, "stop", "wrong_shape: the arguments of a tool call are no JSON object"),
        ({"tool_calls": [call("a", "{}")] * 17}, "stop", "wrong_shape: 17 tool calls, at most 16 at once"),
        ({"tool_calls": [call("a", '{"b":' + "[" * 5_000)]}, "stop", "too_deep"),
    ],
)
def test_a_chats_answer_that_is_none_is_refused(message: dict[str, Any], why: str, refused: str) -> None:
    assert chat(message, why) == decisions.Read(None, refused)


def test_a_completion_without_choices_is_refused() -> None:
    found = decisions.completion(b'{"choices":[]}')
    assert found is not None
    assert decisions.read_chat(found) == decisions.Read(None, "no_choices")


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'{"choices":7}', b'{"choices":[{}]}', b"<html>", b'"\xff"'])
def test_what_is_no_completion_is_none(body: bytes) -> None:
    assert decisions.completion(body) is None


@pytest.mark.parametrize("said", [-1, 10**40, 1.5, "7", None, True, [], {}])
def test_a_number_of_tokens_that_can_be_none_is_not_believed(said: object) -> None:
    usage = {"prompt_tokens": said, "completion_tokens": 3}
    found = decisions.completion(msgspec.json.encode({"choices": [], "usage": usage, "model": 7}))
    assert found is not None
    assert found.usage == decisions.Usage(None, 3)
    assert found.model == ""
