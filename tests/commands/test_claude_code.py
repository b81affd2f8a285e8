"""Claude Code through the real program: what it is started with, byte for byte, and what each of its envelopes means.

Work and adapters, section 10.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.events import TaskBlocked, TaskFailed, TaskRetryScheduled
from tests.commands.fakes import Bench, Run, allowed
from tests.commands.place import Place

CONFIG = """
[adapters.plain]
kind = "claude-code"
command = "./claude"
working_dir = "ws"
stream = false
[adapters.full]
kind = "claude-code"
command = "./claude"
autonomy = "trusted-vm"
model = "a-model"
settings_file = "settings.json"
mcp = "none"
args = ["--max-turns", "7"]
[adapters.hidden]
kind = "claude-code"
command = "./claude"
args = ["--permission-mode", "bypassPermissions", "--add-dir", "/srv"]
[adapters.argument]
kind = "claude-code"
command = "./claude"
prompt_by = "argument"
[adapters.file]
kind = "claude-code"
command = "./claude"
prompt_by = "file"
[profiles.strict]
program = "one_shot"
adapter = "full"
autonomy = "restricted"
[profiles.quiet]
program = "one_shot"
adapter = "plain"
mcp = "none"
"""
USED = {"input_tokens": 5, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 30, "output_tokens": 6}
DONE = {"status": "completed", "operator_summary": "did it", "machine_status": "ok"}
RESULT = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": json.dumps(DONE),
    "usage": USED,
    "total_cost_usd": 0.0123,
    "num_turns": 3,
}


def printing(*documents: dict[str, Any], code: int = 0) -> str:
    """A program that prints these, one a line."""
    text = "".join(json.dumps(each) + "\n" for each in documents)
    return f"out({text!r})\nsys.exit({code})"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One home for all; at the end each of its runs replays."""
    made = Bench(Place(tmp_path_factory.mktemp("claude")))
    (made.folder / "ws").mkdir()
    made.config(CONFIG)
    yield made
    made.replays()


def went(bench: Bench, body: str, adapter: str = "plain", **task: Any) -> Run:  # noqa: ANN401  # fields of a task
    """One run of a program that does this."""
    bench.program("claude", body)
    return bench.run(requested_adapter=adapter, **task)


# what it is started with


def test_the_arguments_and_standard_input_are_exactly_these(bench: Bench) -> None:
    """CC-2: the prompt goes over standard input."""
    run = went(bench, printing(RESULT), subject="a subject")
    (seen,) = bench.seen("claude")
    assert Path(seen.argv[0].decode()) == bench.folder / "claude"
    assert seen.arguments == ["-p", "--output-format", "json"]
    assert seen.stdin.decode() == run.prompt
    assert "a subject" in run.prompt
    assert seen.cwd == str(bench.folder / "ws")
    assert allowed(seen) == set(), "AD-5"
    assert run.one("run.started").bypass == ()


def test_each_option_has_its_flag_in_the_documented_order(bench: Bench) -> None:
    """Section 10, CC-3, CC-4, AD-11."""
    run = went(bench, printing(RESULT), "full")
    (seen,) = bench.seen("claude")
    bypass = ("--allow-dangerously-skip-permissions", "--dangerously-skip-permissions")
    assert seen.arguments == [
        *("-p", "--output-format", "stream-json", "--verbose", "--model", "a-model"),
        *("--settings", str(bench.folder / "settings.json"), "--strict-mcp-config"),
        *bypass,
        *("--permission-mode", "bypassPermissions", "--max-turns", "7"),
    ]
    assert run.one("run.started").bypass == (*bypass, "--permission-mode bypassPermissions")


def test_ad11_who_runs_without_restraints_is_seen_wherever_the_run_is_shown(bench: Bench) -> None:
    free, bound = went(bench, printing(RESULT), "full"), went(bench, printing(RESULT), "plain")
    place = bench.place
    flag = "--dangerously-skip-permissions"
    assert flag in place.json("run", "show", free.run)["bypass"]
    assert flag in place.ok("run", "show", free.run).text
    assert flag in place.json("task", "show", free.task)["runs"][0]["bypass"]
    shown = {row["run"]: row["bypass"] for row in place.rows("run", "list")}
    assert (flag in shown[free.run], shown[bound.run]) == (True, "")
    listed = {line[:8]: line for line in place.ok("run", "list").text.splitlines()}
    assert ("full (bypass)" in listed[free.run[:8]], "bypass" in listed[bound.run[:8]]) == (True, False)
    adapters = {
        each["id"]: each["bypass"]
        for each in place.rt("adapter", "list", "--json").document["adapters"]
        if "bypass" in each
    }
    checks = {each["adapterId"]: each["bypass"] for each in place.rt("health", "--json").document["adapterChecks"]}
    for found in (adapters, checks):
        assert "trusted-vm" in found["full"]
        assert "--permission-mode bypassPermissions" in found["hidden"]
        assert found["plain"] is None


def test_ad9_what_an_adapter_tells_of_its_cost_is_summed(bench: Bench) -> None:
    run = went(bench, printing(RESULT), "full")
    query = f"SELECT controller, tokens_in, cost_usd::VARCHAR AS usd FROM costs WHERE run = '{run.run}'"  # noqa: S608
    (row,) = bench.place.ok("sql", query, "--jsonl").out.splitlines()
    assert json.loads(row) == {"controller": "full", "tokens_in": 1035, "usd": "0.012300000"}
    assert bench.place.json("run", "show", run.run)["tokens_out"] == 6


@pytest.mark.parametrize("adapter", ["", "full"])
def test_pr4_a_restricted_profile_takes_the_bypass_away(bench: Bench, adapter: str) -> None:
    """Also where the task names the adapter itself."""
    run = went(bench, printing(RESULT), adapter, requested_profile="strict")
    (seen,) = bench.seen("claude")
    assert seen.arguments[-3:] == ["--strict-mcp-config", "--max-turns", "7"]
    assert run.one("run.started").bypass == ()


def test_pr4_a_bypass_among_the_extra_arguments_leaves_too(bench: Bench) -> None:
    went(bench, printing(RESULT), "hidden", requested_profile="strict")
    assert bench.seen("claude")[0].arguments[-2:] == ["--add-dir", "/srv"]


def test_cc3_a_profile_may_forbid_servers_of_tools(bench: Bench) -> None:
    went(bench, printing(RESULT), "", requested_profile="quiet")
    assert bench.seen("claude")[0].arguments == ["-p", "--output-format", "json", "--strict-mcp-config"]


def test_cc2_the_prompt_as_an_argument_is_the_last_one_and_standard_input_is_empty(bench: Bench) -> None:
    run = went(bench, printing(RESULT), "argument")
    (seen,) = bench.seen("claude")
    assert seen.arguments == ["-p", "--output-format", "stream-json", "--verbose", run.prompt]
    assert seen.stdin == b""


def test_the_prompt_as_a_file_is_private_and_gone_afterwards(bench: Bench) -> None:
    lines = (
        'path = given.decode().removeprefix("Read the file ").removesuffix(" and do what it says.")',
        f'write("{bench.folder}/copied", open(path).read() + "|" + oct(os.stat(path).st_mode & 0o777))',
        printing(RESULT),
    )
    bench.program("claude", "\n".join(lines))
    run = bench.run(requested_adapter="file")
    assert (bench.folder / "copied").read_text() == f"{run.prompt}|0o600"
    assert list((bench.place.state / "tmp").iterdir()) == []


# what it answers


@pytest.mark.parametrize("stream", [False, True])
def test_cc1_the_result_is_the_answer_with_its_usage_and_its_exact_cost(bench: Bench, *, stream: bool) -> None:
    """AD-9: tokens from the cache count too, and the cost is not rounded."""
    speech = {"type": "assistant", "message": {"content": [{"type": "text", "text": "hm"}]}}
    documents = ({"type": "system", "subtype": "init"}, speech, RESULT) if stream else (RESULT,)
    run = went(bench, printing(*documents), "full" if stream else "plain")
    assert run.end == ("completed", "none", "")
    assert run.usage == (1035, 6, 12_300_000)
    assert run.outcome["operator_summary"] == "did it"


@pytest.mark.parametrize(
    ("fields", "code", "end"),
    [
        ({"subtype": "error_max_turns", "result": None}, 0, ("retryable", "error_max_turns")),
        ({"subtype": "error_max_turns", "is_error": True, "result": None}, 1, ("retryable", "error_max_turns")),
        ({"subtype": "error_during_execution", "is_error": True}, 0, ("retryable", "error_during_execution")),
        ({"subtype": "error_max_budget_usd", "result": None}, 0, ("retryable", "error_max_budget_usd")),
        ({"is_error": True, "result": "Invalid API key \u00b7 Please run /login"}, 1, ("permanent", "authentication")),
        ({"is_error": True, "api_error_status": 401, "result": "no"}, 1, ("permanent", "authentication")),
        ({"is_error": True, "api_error_status": 529, "result": "Overloaded"}, 1, ("retryable", "api_error")),
        ({"is_error": True, "api_error_status": 429, "result": "slow down"}, 0, ("retryable", "api_error")),
        ({"is_error": True, "api_error_status": 400, "result": "too long"}, 1, ("permanent", "api_error")),
        ({"result": ""}, 0, ("retryable", "missing_result")),
        ({"result": None}, 0, ("retryable", "missing_result")),
        ({"result": None}, 126, ("permanent", "exit:126")),
        ({"subtype": 7}, 0, ("retryable", "invalid_result")),
        ({}, 1, ("retryable", "exit:1")),
        ({}, 77, ("permanent", "exit:77")),
    ],
)
def test_cc1_an_envelope_that_is_no_success_fails_the_run_with_its_subtype(
    bench: Bench, fields: dict[str, Any], code: int, end: tuple[str, str]
) -> None:
    """RT-7 holds beside it: an exit code of the permanent table is permanent."""
    run = went(bench, printing(RESULT | fields, code=code))
    assert run.end == ("failed", *end)
    assert isinstance(run.task_event, TaskFailed if end[0] == "permanent" else TaskRetryScheduled)
    assert run.usage == (1035, 6, 12_300_000), "what it used is known all the same"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("", "empty_output"),
        ("err('nothing to say')", "missing_result"),
        ("out('plain prose')", "missing_result"),
        ("out(b'\\xff\\x00{' * 1000)", "missing_result"),
        ("out('[1, 2, 3]')", "missing_result"),
        ('out(\'{"type": "result"\')', "missing_result"),
        ("out(json.dumps({'type': 'assistant', 'message': {'content': 7}}))", "empty_output"),
    ],
)
def test_cc1_without_a_result_the_run_has_failed(bench: Bench, body: str, cause: str) -> None:
    assert went(bench, body).end == ("failed", "retryable", cause)


def test_ou1_a_result_in_prose_is_no_completion(bench: Bench) -> None:
    run = went(bench, printing(RESULT | {"result": "All tests pass, I am done."}))
    assert run.end == ("failed", "retryable", "no_outcome")
    assert "All tests pass" in run.outcome["operator_summary"]


def test_a_reported_block_needs_a_person(bench: Bench) -> None:
    blocked = json.dumps({"status": "blocked", "operator_summary": "which key?"})
    run = went(bench, printing(RESULT | {"result": blocked}))
    assert run.end == ("failed", "none", "reported_blocked")
    assert isinstance(run.task_event, TaskBlocked)
    assert run.usage[2] == 12_300_000
