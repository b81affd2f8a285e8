"""What coding agents print becomes an answer or a cause; no bytes make a reader raise (CX, CC, HA-1, AD-9)."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bounds import NUMBER_MAX, REPORT_LINE_BYTES_MAX, REPORT_TEXT_CHARS_MAX
from domain.cli_answers import Answer, Line, Usage, answered, claude_code, claude_line, codex, codex_line, hermes, plain
from domain.launch import AgentCli

READERS: tuple[Callable[[bytes, bytes], Answer], ...] = (codex, claude_code, hermes, plain)


def lines(*documents: object) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


def item(kind: str, happened: str = "completed", **fields: object) -> dict[str, Any]:
    return {"type": f"item.{happened}", "item": {"id": "item_0", "type": kind} | fields}


def said(text: str) -> dict[str, Any]:
    return item("agent_message", text=text)


STARTED = ({"type": "thread.started", "thread_id": "67e5"}, {"type": "turn.started"})
RAN = item("command_execution", command="make", aggregated_output="{}", exit_code=0, status="completed")
COMPLETED = {
    "type": "turn.completed",
    "usage": {"input_tokens": 1200, "cached_input_tokens": 200, "output_tokens": 345},
}
FAILED = {"type": "turn.failed", "error": {"message": "stream disconnected"}}
LOST = {"type": "error", "message": "Reconnecting... 1/5"}


# codex


def test_cx1_the_events_of_codex_are_counted_and_its_last_message_is_the_answer() -> None:
    """CX-1, AD-9."""
    events = lines(*STARTED, said("first"), RAN, said("second"), COMPLETED)
    assert codex(events, b"noise", b" from the file\n") == Answer(
        text="from the file", usage=Usage(tokens_in=1200, tokens_out=345), steps=3
    )


@pytest.mark.parametrize("last_message", [None, b"", b" \n"])
def test_without_a_file_the_last_message_of_the_events_is_the_answer(last_message: bytes | None) -> None:
    found = codex(lines(*STARTED, said("first"), said("second"), RAN, COMPLETED), b"", last_message)
    assert (found.text, found.cause) == ("second", "")


def test_cx1_what_is_no_event_is_ignored_between_events() -> None:
    noise = b'warning: no json\n{"type":"turn.completed",\n{"odd":1}\n[1]\n{"type":7}\n\xff\n'
    found = codex(lines(*STARTED) + noise + lines(said("done"), {"type": "new.kind"}, COMPLETED) + noise, b"")
    assert (found.text, found.cause, found.steps) == ("done", "", 1)


def test_older_names_of_items_are_understood() -> None:
    older = {"type": "item.completed", "item": {"id": "0", "item_type": "assistant_message", "text": "done"}}
    assert codex(lines(older), b"").text == "done"


def test_where_codex_prints_no_events_its_output_is_the_answer() -> None:
    assert codex(b'{"status": "completed"}\n', b"noise").text == '{"status": "completed"}'


@pytest.mark.parametrize("stdout", [b"", b" \n", lines(*STARTED, RAN, COMPLETED), lines(said(" "), COMPLETED)])
def test_cx2_no_message_and_no_text_is_empty_output_and_standard_error_is_shown(stdout: bytes) -> None:
    found = codex(stdout, b"Reading prompt from stdin...\n", b"")
    assert (found.cause, found.permanent, found.text) == ("empty_output", False, "Reading prompt from stdin...")


@pytest.mark.parametrize(
    ("events", "cause", "text"),
    [
        ((FAILED,), "turn_failed", "stream disconnected"),
        ((LOST, FAILED), "turn_failed", "stream disconnected"),
        ((LOST, {"type": "turn.failed"}), "turn_failed", "Reconnecting... 1/5"),
        ((said("half"), {"type": "turn.failed", "error": "out of luck"}), "turn_failed", "out of luck"),
        ((said("half"), {"type": "turn.failed"}), "turn_failed", "half"),
        ((LOST,), "agent_error", "Reconnecting... 1/5"),
        ((said("done"), LOST, COMPLETED), "", "done"),
        ((FAILED, said("done"), COMPLETED), "", "done"),
        ((COMPLETED, said("done"), FAILED), "turn_failed", "stream disconnected"),
        ((item("error", message="a warning"), said("done"), COMPLETED), "", "done"),
    ],
)
def test_cx1_the_last_end_of_a_turn_says_whether_it_failed(events: tuple[object, ...], cause: str, text: str) -> None:
    found = codex(lines(*STARTED, *events), b"")
    assert (found.cause, found.text, found.permanent) == (cause, text, False)


@pytest.mark.parametrize(
    "message",
    ["unexpected status 401 Unauthorized: ", "Not logged in", "401: authentication_error", "Invalid API key"],
)
def test_a_missing_login_is_permanent(message: str) -> None:
    found = codex(lines({"type": "turn.failed", "error": {"message": message}}), b"")
    assert (found.cause, found.permanent) == ("authentication", True)


def test_a_message_of_the_model_about_logins_is_no_missing_login() -> None:
    found = codex(lines(said("401 Unauthorized: Not logged in"), FAILED), b"")
    assert (found.cause, found.permanent) == ("turn_failed", False)


def test_ad9_codex_counts_from_the_start_so_that_the_last_count_holds() -> None:
    more = {"type": "turn.completed", "usage": {"input_tokens": 2000, "output_tokens": 400}}
    silent = {"type": "turn.failed", "error": {"message": "no"}}
    assert codex(lines(COMPLETED, more, silent), b"").usage == Usage(tokens_in=2000, tokens_out=400)


@pytest.mark.parametrize(
    ("used", "usage"),
    [
        ({}, None),
        (None, None),
        ("many", None),
        ({"input_tokens": "1", "output_tokens": True}, None),
        ({"input_tokens": -1, "output_tokens": 2.5}, None),
        ({"input_tokens": NUMBER_MAX + 1, "output_tokens": 7}, Usage(tokens_out=7)),
        ({"input_tokens": 0}, Usage(tokens_in=0)),
    ],
)
def test_ad9_what_is_not_told_or_is_no_count_stays_unknown(used: object, usage: Usage | None) -> None:
    assert codex(lines(said("a"), {"type": "turn.completed", "usage": used}), b"").usage == usage


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (STARTED[0], Line(kind="step", text="thread.started")),
        (STARTED[1], Line(kind="step", text="turn.started")),
        (item("command_execution", "started", command="ls", exit_code=None), Line(kind="tool", text="ls")),
        (RAN, Line(kind="tool", text="make (exit 0)")),
        (
            item("file_change", changes=[{"path": "a.py", "kind": "update"}, {"path": "b.py"}, 7]),
            Line(kind="tool", text="update a.py, b.py"),
        ),
        (item("mcp_tool_call", "started", server="files", tool="read"), Line(kind="tool", text="files.read")),
        (item("mcp_tool_call", tool="read"), Line(kind="tool", text="read")),
        (item("web_search", query="rust"), Line(kind="tool", text="rust")),
        (said("hello"), Line(kind="message", text="hello")),
        (item("reasoning", text="hm"), Line(kind="step", text="hm")),
        (item("todo_list", "updated", items=[]), Line(kind="step", text="todo_list")),
        (item("error", message="careful"), Line(kind="error", text="careful")),
        (COMPLETED, Line(kind="usage", text="1200 tokens in, 345 tokens out")),
        ({"type": "turn.completed"}, Line(kind="usage")),
        (FAILED, Line(kind="error", text="stream disconnected")),
        (LOST, Line(kind="error", text="Reconnecting... 1/5")),
        ({"type": "item.completed", "item": 7}, Line(kind="step")),
        ({"type": "new.kind"}, Line(kind="other")),
        ({"no": "type"}, Line(kind="other")),
        ([1], Line(kind="other")),
    ],
)
def test_cx1_a_line_of_codex_can_be_followed_while_it_runs(event: object, line: Line) -> None:
    assert codex_line(json.dumps(event).encode()) == line


# claude-code


def result(**fields: object) -> dict[str, Any]:
    envelope = {
        "type": "result",
        "subtype": "success",
        "is_error": False,
        "result": "done",
        "num_turns": 4,
        "duration_ms": 1500,
        "total_cost_usd": 0.0176284,
        "usage": {
            "input_tokens": 9,
            "cache_creation_input_tokens": 100,
            "cache_read_input_tokens": 1000,
            "output_tokens": 36,
        },
    }
    return {key: value for key, value in (envelope | fields).items() if value is not ...}


def speech(*content: object, **fields: object) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": list(content)}, "parent_tool_use_id": None} | fields


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


SYSTEM = {"type": "system", "subtype": "init", "model": "m-1"}
TOOL = {"type": "tool_use", "name": "Bash", "input": {"command": "ls", "description": "look"}}
USED = Usage(tokens_in=1109, tokens_out=36, cost_nusd=17_628_400, duration_us=1_500_000)


@pytest.mark.parametrize(
    "stdout",
    [
        lines(result()),
        json.dumps(result(), indent=2).encode(),
        lines([SYSTEM, speech(text("hi")), result()]),
        lines(SYSTEM, speech(text("hi")), speech(TOOL), {"type": "user"}, result()),
        lines(SYSTEM, result(result="earlier", is_error=True), result()) + b"trailing noise\n",
    ],
    ids=["one document", "indented", "a list", "a stream", "two results"],
)
def test_cc1_the_last_result_is_the_answer_with_its_usage(stdout: bytes) -> None:
    """CC-1, CC-4, AD-9."""
    assert claude_code(stdout, b"noise") == Answer(text="done", usage=USED, steps=4)


def test_an_answer_that_fits_a_schema_is_taken_where_there_is_no_text() -> None:
    found = claude_code(lines(result(result="", structured_output={"status": "completed", "share": 0.5})), b"")
    assert (json.loads(found.text), found.cause) == ({"status": "completed", "share": 0.5}, "")


MAX_TURNS = result(subtype="error_max_turns", result=..., errors=["Reached maximum number of turns (3)"])


@pytest.mark.parametrize(
    ("envelope", "cause", "permanent", "shown"),
    [
        (MAX_TURNS, "error_max_turns", False, "Reached maximum number of turns (3)"),
        (MAX_TURNS | {"is_error": True}, "error_max_turns", False, "Reached maximum number of turns (3)"),
        (
            result(subtype="error_max_turns", result="401 Unauthorized is what the test says"),
            "error_max_turns",
            False,
            "401 Unauthorized is what the test says",
        ),
        (result(subtype="error_during_execution", result=...), "error_during_execution", False, "half"),
        (result(result=...), "missing_result", False, "half"),
        (result(result=" "), "missing_result", False, "half"),
        (result(result={"a": 1}), "missing_result", False, "half"),
        (result(is_error=True, result="API Error: overloaded"), "api_error", False, "API Error: overloaded"),
        (result(is_error="false"), "api_error", False, "done"),
        (result(subtype=7), "invalid_result", False, "done"),
        (result(subtype=None), "invalid_result", False, "done"),
        (result(is_error=True, result="Invalid API key · Please run /login"), "authentication", True, None),
        (result(is_error=True, result='API Error: 401 {"type":"error"}'), "authentication", True, None),
        (result(is_error=True, api_error_status=401, result="no"), "authentication", True, "no"),
        (result(is_error=True, api_error_status=403, result="no"), "authentication", True, "no"),
        (result(subtype="error_odd", errors=["one", 7, "two"]), "error_odd", False, "one\ntwo"),
        (result(is_error=True, api_error_status=400, result="too long"), "api_error", True, "too long"),
        (result(is_error=True, api_error_status=429, result="wait"), "api_error", False, "wait"),
        (result(is_error=True, api_error_status=529, result="wait"), "api_error", False, "wait"),
        (
            result(subtype="error_during_execution", errors=["OAuth token has expired"]),
            "authentication",
            True,
            "OAuth token has expired",
        ),
    ],
)
def test_cc1_an_envelope_that_is_no_success_is_a_failure_with_its_subtype_as_cause(
    envelope: dict[str, Any], cause: str, shown: str | None, *, permanent: bool
) -> None:
    found = claude_code(lines(SYSTEM, speech(text(" half ")), speech(text(" ")), envelope), b"")
    assert (found.cause, found.permanent) == (cause, permanent)
    assert found.text == (shown or envelope["result"])
    assert found.usage == USED


@pytest.mark.parametrize(
    ("code", "cause", "permanent"),
    [
        ("authentication_failed", "authentication", True),
        ("billing_error", "billing_error", True),
        ("rate_limit", "rate_limit", False),
        ("server_error", "server_error", False),
        ("", "api_error", False),
        (7, "api_error", False),
    ],
)
def test_cc1_a_failed_call_to_the_model_is_named_as_its_last_message_is_marked(
    code: object, cause: str, *, permanent: bool
) -> None:
    found = claude_code(lines(speech(text("no"), error=code), result(is_error=True, result="no")), b"")
    assert (found.cause, found.permanent) == (cause, permanent)


def test_an_envelope_without_a_subtype_counts_by_its_result() -> None:
    assert claude_code(lines({"type": "result", "result": "done"}), b"") == Answer(text="done")


@pytest.mark.parametrize(
    ("stdout", "stderr", "expected"),
    [
        (b"", b"", Answer(text="", cause="empty_output")),
        (b"", b"crashed", Answer(text="crashed", cause="missing_result")),
        (b"[]", b"", Answer(text="[]", cause="missing_result")),
        (b"Here is prose.\n", b"x", Answer(text="Here is prose.", cause="missing_result")),
        (lines(SYSTEM, speech(text("half"))), b"x", Answer(text="half", cause="missing_result", steps=1)),
        (lines(result())[:-20], b"", Answer(text=lines(result())[:-20].decode(), cause="missing_result")),
        (b"Invalid API key \xc2\xb7 Please run /login", b"", None),
        (b"", b"Not logged in", None),
    ],
)
def test_cc1_without_a_result_there_is_no_answer(stdout: bytes, stderr: bytes, expected: Answer | None) -> None:
    found = claude_code(stdout, stderr)
    if expected is None:
        assert (found.cause, found.permanent) == ("authentication", True)
    else:
        assert found == expected


def test_what_a_helper_of_the_agent_says_answers_nothing() -> None:
    helper = speech(text("from a helper"), parent_tool_use_id="toolu_1", error="authentication_failed")
    found = claude_code(lines(speech(text("half")), helper, result(result=...)), b"")
    assert (found.text, found.cause) == ("half", "missing_result")
    assert claude_code(lines(helper, result(is_error=True, result="no")), b"").cause == "api_error"


@pytest.mark.parametrize(
    ("cost", "nusd"),
    [
        ("0", 0),
        ("0.1", 100_000_000),
        ("0.30000000000000004", 300_000_000),
        ("1e-9", 1),
        ("4.9999999999e-10", 0),
        ("5e-10", 1),
        ("9007199.254740991", NUMBER_MAX),
        ("9007199.254740992", None),
        ("1e999999999", None),
        ("1e-999999999", 0),
        ("1e99999999999999999999", None),
        ("-0.1", None),
        ("NaN", None),
        ("Infinity", None),
        ("true", None),
        ('"0.1"', None),
        ("null", None),
        ("9" * 5000, None),
    ],
)
def test_ad9_a_cost_becomes_billionths_of_a_dollar_without_drift(cost: str, nusd: int | None) -> None:
    usage = claude_code(b'{"type":"result","result":"a","num_turns":1,"total_cost_usd":%s}' % cost.encode(), b"").usage
    assert (usage.cost_nusd if usage else None) == nusd


@given(st.decimals(min_value=0, max_value=9_000_000, places=9))
def test_ad9_every_cost_of_nine_places_is_taken_over_exactly(cost: Decimal) -> None:
    usage = claude_code(b'{"type":"result","result":"a","total_cost_usd":%s}' % f"{cost:f}".encode(), b"").usage
    assert usage is not None
    assert usage.cost_nusd == int(cost * 10**9)


def test_ad9_parts_of_the_usage_are_taken_where_the_rest_is_wrong() -> None:
    found = claude_code(
        lines(result(usage={"input_tokens": 5, "cache_read_input_tokens": "x"}, total_cost_usd=[], duration_ms=1.5)),
        b"",
    )
    assert found.usage == Usage(tokens_in=5, duration_us=1_500)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (SYSTEM, Line(kind="step", text="init")),
        (speech(text("hi"), text("there")), Line(kind="message", text="hi\nthere")),
        (speech(text("look"), TOOL, TOOL), Line(kind="tool", text="Bash ls, Bash ls")),
        (speech({"type": "tool_use", "name": "Odd", "input": 7}), Line(kind="tool", text="Odd")),
        (speech({"type": "thinking", "thinking": "hm"}), Line(kind="step", text="thinking")),
        (speech(text("no"), error="rate_limit"), Line(kind="error", text="rate_limit: no")),
        (speech(error="rate_limit"), Line(kind="error", text="rate_limit")),
        ({"type": "assistant", "message": "odd"}, Line(kind="step", text="thinking")),
        ({"type": "user", "message": {"content": "x"}}, Line(kind="step", text="tool result")),
        (result(), Line(kind="usage", text="1109 tokens in, 36 tokens out")),
        (MAX_TURNS, Line(kind="error", text="error_max_turns: Reached maximum number of turns (3)")),
        (result(result=...), Line(kind="error", text="missing_result")),
        ({"type": "stream_event"}, Line(kind="other")),
        ({"type": ["x"]}, Line(kind="other")),
        ("text", Line(kind="other")),
    ],
)
def test_cc4_a_line_of_claude_code_can_be_followed_while_it_runs(event: object, line: Line) -> None:
    assert claude_line(json.dumps(event).encode()) == line


# hermes-agent, and any other program


@pytest.mark.parametrize(
    ("stdout", "answer"),
    [
        (b"session_id: 12\n\nAll is well.\n  \nBye.\n", "All is well.\nBye."),
        (b'Here: {"status": "completed"} as asked.\nsession_id: 12', '{"status": "completed"}'),
        (b'{\n\n"a": {"b": 1}\n}', '{\n"a": {"b": 1}\n}'),
        (b"use {braces} and {more}", "use {braces} and {more}"),
        (b'{"a": 1} and {"b": 2}', '{"a": 1} and {"b": 2}'),
        (b"} before {", "} before {"),
        (b"only {", "only {"),
    ],
)
def test_ha1_a_span_of_json_is_the_answer_only_if_it_parses(stdout: bytes, answer: str) -> None:
    assert hermes(stdout, b"noise") == Answer(text=answer)


@pytest.mark.parametrize("reader", [hermes, plain])
def test_standard_error_answers_where_standard_output_is_blank(reader: Callable[[bytes, bytes], Answer]) -> None:
    assert reader(b" \n", b"so it is\n") == Answer(text="so it is")
    assert reader(b"yes\n", b"noise") == Answer(text="yes")
    assert reader(b" \n", b"") == Answer(text="", cause="empty_output")


def test_a_session_id_alone_is_empty_output() -> None:
    assert hermes(b"session_id: 12\n", b"").cause == "empty_output"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"driver": "codex"}, "from the file"),
        ({"driver": "claude-code"}, "done"),
        ({"driver": "hermes-agent"}, '{"type": "result", "result": "done"}'),
        ({"driver": "cli"}, 'x\n{"type": "result", "result": "done"}'),
        ({"driver": "cli", "answer": "last_message"}, "from the file"),
        ({"driver": "cli", "answer": "json"}, "done"),
        ({"driver": "cli", "answer": "stream-json"}, "done"),
    ],
)
def test_an_answer_is_read_as_the_driver_and_the_configuration_say(fields: dict[str, Any], expected: str) -> None:
    stdout = b"x\n" + lines({"type": "result", "result": "done"})
    assert answered(AgentCli(command="it", **fields), stdout, b"", b"from the file\n").text == expected


@pytest.mark.parametrize("last_message", [None, b"\n"])
def test_a_last_message_that_was_not_written_leaves_the_output(last_message: bytes | None) -> None:
    cli = AgentCli(driver="cli", command="it", answer="last_message")
    assert answered(cli, b"printed", b"", last_message).text == "printed"


# hostile bytes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    *("type", "subtype", "is_error", "result", "errors", "error", "message", "item", "item_type", "text", "usage"),
    *("input_tokens", "total_cost_usd", "duration_ms", "num_turns", "api_error_status", "content", "name", "input"),
    *("structured_output", "changes", "command", "exit_code", "parent_tool_use_id"),
)
TYPES = (
    *("result", "assistant", "user", "system", "error", "turn.failed", "turn.completed", "thread.started"),
    *("item.started", "item.completed", "item.\ud800"),
)
EVENTS = st.dictionaries(
    st.sampled_from(KEYS), JSON | st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4)
).flatmap(lambda event: st.sampled_from(TYPES).map(lambda kind: event | {"type": kind}))
HOSTILE = st.binary(max_size=200) | st.lists(EVENTS, max_size=4).map(lambda events: lines(*events))


@given(stdout=HOSTILE, stderr=st.binary(max_size=50))
def test_no_bytes_make_a_reader_raise_and_every_answer_can_be_stored(stdout: bytes, stderr: bytes) -> None:
    for reader in READERS:
        found = reader(stdout, stderr)
        assert f"{found.text}{found.cause}".encode()
        assert found.text or found.cause


@given(HOSTILE)
def test_no_line_makes_a_follower_raise_and_every_line_is_short(raw: bytes) -> None:
    for line in raw.split(b"\n"):
        for found in (codex_line(line), claude_line(line)):
            assert len(found.text.encode()) <= 4 * REPORT_TEXT_CHARS_MAX


@pytest.mark.parametrize(
    "stdout",
    [
        b"[" * 100_000,
        b'{"type":' * 100_000,
        b'{"type":"result","structured_output":' + b'{"a":' * 970 + b"1" + b"}" * 971,
        b'{"type":"result","structured_output":{"a":1e999}}',
        b'{"type":"result","result":"\\ud800","subtype":"\\ud800"}',
        b'{"type":"item.completed","item":{"type":"agent_message","text":"\\ud800"}}',
        b"\x00\xff{",
    ],
    ids=range(7),
)
def test_depth_size_and_half_characters_are_survived(stdout: bytes) -> None:
    for reader in READERS:
        assert reader(stdout, b"").text.encode() is not None


def test_a_line_over_its_bound_is_no_event() -> None:
    huge = lines(said("x" * REPORT_LINE_BYTES_MAX))
    assert codex_line(huge) == Line(kind="other")
    assert codex(lines(said("small")) + huge, b"").text == "small"
