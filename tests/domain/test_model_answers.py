"""What servers of models return for one whole answer: OL-2, OL-4, and that no bytes make a reader raise."""

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.cli_answers import Usage
from domain.model_answers import ollama, openai
from domain.said import Said

_KEYS = ("response", "error", "choices", "message", "content", "usage", "prompt_tokens", "eval_count", "finish_reason")
Reader = Callable[[bytes], Said]
GENERATED = {"response": "hello", "prompt_eval_count": 26, "eval_count": 298, "total_duration": 5_043_500_667}


def body(**fields: object) -> bytes:
    return json.dumps(GENERATED | fields).encode()


def completion(content: object = "hello", finish: str = "stop", **more: object) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 4}} | more).encode()


def test_ol4_the_response_is_the_answer_with_its_counts_and_its_time() -> None:
    assert ollama(body()) == Said("hello", usage=Usage(tokens_in=26, tokens_out=298, duration_us=5_043_500))


@pytest.mark.parametrize("response", ["", " \n", None, 7, ["hello"], {"status": "completed"}])
def test_ol2_thinking_is_never_the_answer(response: object) -> None:
    found = ollama(body(response=response, thinking='{"status": "completed"}'))
    assert (found.text, found.cause) == ("", "empty_output")
    assert found.usage is not None, "what it used is known all the same"


@pytest.mark.parametrize("count", [-1, 1.5, "26", True, None, 1 << 53, [26]])
def test_ol4_what_is_no_count_stays_unknown(count: object) -> None:
    usage = ollama(body(prompt_eval_count=count, eval_count=count, total_duration=count)).usage
    assert usage == Usage()


def test_an_error_of_the_server_is_told_and_bounded() -> None:
    found = ollama(body(error="e" * 5_000))
    assert (found.cause, len(found.text)) == ("agent_error", 2_000)


@pytest.mark.parametrize("raw", [b"", b"no", b"[]", b"null", b"7", b'"text"', b"\xff\xfe", b"{", b"[" * 100_000])
def test_what_is_no_document_is_said_to_be_none(raw: bytes) -> None:
    assert ollama(raw) == Said("", "not_json")


def test_a_completion_is_the_answer_with_its_counts() -> None:
    assert openai(completion()) == Said("hello", usage=Usage(tokens_in=3, tokens_out=4))


@pytest.mark.parametrize("content", ["", "  ", None])
def test_a_completion_without_words_is_empty(content: object) -> None:
    assert openai(completion(content)).cause == "empty_output"


def test_a_completion_that_was_cut_is_none() -> None:
    """A whole outcome may stand in it by chance; what followed it is not known."""
    found = openai(completion('{"status": "completed"}', "length"))
    assert (found.cause, found.text) == ("cut_answer", '{"status": "completed"}')


def test_a_completion_may_not_say_what_it_used() -> None:
    assert openai(completion(usage=None)).usage is None


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"no", b'{"choices": 7}', b"\xff", b"[" * 100_000])
def test_what_is_no_completion_is_said_to_be_none(raw: bytes) -> None:
    assert openai(raw).cause in ("not_a_completion", "empty_output")


@pytest.mark.parametrize("reader", [ollama, openai])
@given(
    raw=st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
            max_leaves=12,
        ).map(lambda document: json.dumps(document).encode()),
    )
)
def test_no_bytes_make_a_reader_raise_and_every_answer_can_be_stored(reader: Reader, raw: bytes) -> None:
    found = reader(raw)
    assert found.text.strip() or found.cause
    msgspec.json.encode(found)
