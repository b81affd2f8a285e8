"""What coding agents tell while they work: the same events however their output is cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bounds import REPORT_LINE_BYTES_MAX
from domain.brief import Brief
from domain.events import OutputAppended
from domain.launch import AgentCli
from domain.reports import are_read, reported
from domain.run import evolve
from domain.run_state import Run

CODEX = AgentCli(driver="codex", command="codex")
CLAUDE = AgentCli(driver="claude-code", command="claude")
LINES = "".join(
    json.dumps(each) + "\n"
    for each in (
        {"type": "thread.started"},
        {"type": "item.completed", "item": {"type": "reasoning", "text": "gr\u00fc\u00dfe"}},
        {"no": "event"},
        {"type": "item.started", "item": {"type": "command_execution", "command": "ls"}},
        {"type": "error", "message": "lost"},
    )
).encode()
TOLD = [("step", "thread.started"), ("step", "gr\u00fc\u00dfe"), ("tool", "ls"), ("error", "lost")]


def run(cli: AgentCli | None, *, reports: bool = True) -> Run:
    brief = Brief(reader="cli", cli=cli, reports=reports)
    return Run(run="r", task="t", dispatcher="d", epoch=1, attempt=1, max_attempts=1, brief=brief)


def told(state: Run, *parts: bytes, stream: str = "stdout") -> list[tuple[str, str]]:
    """What these pieces of output tell, one after the other, as the core folds them."""
    found: list[tuple[str, str]] = []
    for part in parts:
        data = OutputAppended(
            call=1, stream=stream, offset=0, size=len(part), lines=0, digest="",  # type: ignore[arg-type]
        )  # fmt: skip
        events, texts = reported(state, data, part)
        known = iter(texts)
        found += [(each.kind, next(known).decode() if each.text else "") for each in events]
        state = evolve(state, data, body=part)
        for each in events:
            state = evolve(state, each)
    return found


@given(st.lists(st.integers(0, len(LINES)), max_size=12))
def test_the_same_is_told_however_the_output_is_cut(cuts: list[int]) -> None:
    borders = sorted({0, len(LINES), *cuts})
    assert told(run(CODEX), *(LINES[begin:end] for begin, end in pairwise(borders))) == TOLD


def test_a_line_without_its_end_is_not_told_yet() -> None:
    assert told(run(CODEX), LINES[:-1]) == TOLD[:-1]


def test_what_is_on_standard_error_tells_nothing() -> None:
    assert told(run(CODEX), LINES, stream="stderr") == []


def test_runs_that_were_started_before_there_were_reports_tell_nothing() -> None:
    assert told(run(CODEX, reports=False), LINES) == []


def test_a_line_that_is_too_long_is_no_event_and_takes_no_more_room_than_one_may() -> None:
    state = run(CODEX)
    part = b"x" * 65_536
    data = OutputAppended(call=1, stream="stdout", offset=0, size=len(part), lines=0, digest="")
    for _ in range(40):
        state = evolve(state, data, body=part)
    assert len(state.line_rest) == REPORT_LINE_BYTES_MAX + 1
    assert told(state, b"\n" + LINES) == TOLD


@pytest.mark.parametrize("garbage", [b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"{}\n", b"\n\n", b"null\n", b"\x00\n"])
def test_garbage_tells_nothing_and_stops_nothing(garbage: bytes) -> None:
    for cli in (CODEX, CLAUDE):
        assert told(run(cli), garbage) == []
    assert told(run(CODEX), garbage + LINES) == TOLD


def test_the_lines_of_claude_are_told_too() -> None:
    lines = [
        {"type": "system", "subtype": "init"},
        {"type": "assistant", "message": {"content": [{"type": "text", "text": "hello"}]}},
    ]
    text = "".join(json.dumps(each) + "\n" for each in lines).encode()
    assert told(run(CLAUDE), text) == [("step", "init"), ("message", "hello")]


@pytest.mark.parametrize(
    ("cli", "expected"),
    [
        (CODEX, True),
        (CLAUDE, True),
        (AgentCli(driver="claude-code", command="c", stream=False), False),
        (AgentCli(driver="hermes-agent", command="h"), False),
        (AgentCli(driver="cli", command="x"), False),
        (AgentCli(driver="cli", command="x", answer="stream-json"), True),
        (None, False),
    ],
)
def test_lines_are_read_of_agents_that_print_them(cli: AgentCli | None, *, expected: bool) -> None:
    assert are_read(cli) is expected
