"""A model that is asked who serves a goal may answer anything: what names no profile chooses none."""

import json

import pytest

from commands.router import profile_of


def answered(content: str | None) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}).encode()


@pytest.mark.parametrize(
    ("answer", "profile"),
    [
        (answered('{"profile":"one"}'), "one"),
        (answered('{"profile":1}'), "1"),
        (answered("one"), ""),
        (answered("[]"), ""),
        (answered(None), ""),
        (answered("[" * 100_000), ""),
        (b'{"choices":[]}', ""),
        (b'{"choices":[{"message":{"content":"\x80"}}]}', ""),
        (b"", ""),
    ],
)
def test_only_an_object_that_names_a_profile_chooses_one(answer: bytes, profile: str) -> None:
    assert profile_of(answer) == profile
