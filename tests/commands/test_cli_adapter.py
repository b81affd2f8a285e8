"""Any other agent that is described by a template; and scripts that report an outcome. Work and adapters, 8 and 13."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands.fakes import Bench, Run, allowed
from tests.commands.place import Place

CONFIG = """
artifact_dir = "made"
[adapters.stdin]
kind = "cli"
command = "./tool"
args = ["run", "--model={model}", "--in", "{cwd}", "-"]
working_dir = "ws"
[adapters.argument]
kind = "cli"
command = "./tool"
args = ["--ask={prompt}"]
prompt_by = "argument"
[adapters.file]
kind = "cli"
command = "./tool"
args = ["--file", "{prompt_file}", "--model", "{model}"]
prompt_by = "file"
model = "a model"
[adapters.last]
kind = "cli"
command = "./tool"
args = ["--output-last-message", "{last_message}"]
answer = "last_message"
[adapters.json]
kind = "cli"
command = "./tool"
answer = "json"
[adapters.prose]
kind = "cli"
command = "./tool"
outcome = "text"
[adapters.once]
kind = "cli"
command = "./tool"
effect = "once"
timeout_s = 0.4
[adapters.codes]
kind = "cli"
command = "./tool"
exit_retryable = [3]
exit_permanent = [4, 3]
[adapters.report]
kind = "script"
command = "./tool"
[adapters.counted]
kind = "script"
command = "./tool"
outcome = "exit"
env_file = "some.env"
[adapters.spoken]
kind = "script"
command = "./tool"
outcome = "text"
env_file = "some.env"
"""
GOOD = "out(json.dumps(DONE))"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One home for all; at the end each of its runs replays."""
    made = Bench(Place(tmp_path_factory.mktemp("cli")))
    (made.folder / "ws").mkdir()
    (made.folder / "some.env").write_text("MODE=fast\n")
    made.config(CONFIG)
    yield made
    made.replays()


def went(bench: Bench, body: str, adapter: str = "stdin", **task: Any) -> Run:  # noqa: ANN401  # fields of a task
    """One run of a program that does this."""
    bench.program("tool", body)
    return bench.run(requested_adapter=adapter, **task)


# templates


def test_a_template_is_filled_in_and_the_prompt_goes_to_standard_input(bench: Bench) -> None:
    run = went(bench, GOOD)
    (seen,) = bench.seen("tool")
    assert Path(seen.argv[0].decode()) == bench.folder / "tool"
    assert seen.arguments == ["run", "--in", str(bench.folder / "ws"), "-"], "what is empty is dropped"
    assert seen.stdin.decode() == run.prompt
    assert seen.cwd == str(bench.folder / "ws")
    assert allowed(seen) == set()
    assert run.end == ("completed", "none", "")


def test_the_prompt_as_an_argument_stands_where_the_template_says(bench: Bench) -> None:
    run = went(bench, GOOD, "argument")
    (seen,) = bench.seen("tool")
    assert seen.arguments == [f"--ask={run.prompt}"]
    assert seen.stdin == b""


def test_the_prompt_as_a_file_can_be_read_and_is_gone_afterwards(bench: Bench) -> None:
    run = went(bench, 'write("copied", open(option("--file")).read())\n' + GOOD, "file")
    (seen,) = bench.seen("tool")
    assert (bench.folder / "copied").read_text() == run.prompt
    assert seen.arguments[2:] == ["--model", "a model"]
    assert seen.stdin == b""
    assert not Path(seen.arguments[1]).exists()


def test_ad4_a_payload_of_300_kb_does_not_hinder_the_start(bench: Bench) -> None:
    """SX-2 for agents too: as a file, and the prompt cut."""
    body = 'write("size", str(os.path.getsize(os.environ["RT_TASK_PAYLOAD_FILE"])))\n' + GOOD
    run = went(bench, body, "argument", payload={"text": "x" * 300_000})
    assert run.end == ("completed", "none", "")
    assert int((bench.folder / "size").read_text()) > 300_000


@pytest.mark.parametrize(
    ("adapter", "body", "end"),
    [
        ("last", "last(DONE)", ("completed", "none", "")),
        ("last", GOOD, ("completed", "none", "")),
        ("last", "", ("failed", "retryable", "empty_output")),
        ("stdin", "err(json.dumps(DONE))", ("completed", "none", "")),
        ("json", 'event("result", subtype="success", result=json.dumps(DONE))', ("completed", "none", "")),
        ("json", 'event("result", subtype="error_max_turns")', ("failed", "retryable", "error_max_turns")),
        ("json", GOOD, ("failed", "retryable", "empty_output")),
        ("prose", "out('Forty-two.')", ("completed", "none", "")),
        ("prose", "out(' ')", ("failed", "retryable", "empty_output")),
        ("prose", "out('Forty-two.')\nsys.exit(1)", ("failed", "retryable", "exit:1")),
        ("stdin", "out('Forty-two.')", ("failed", "retryable", "no_outcome")),
    ],
)
def test_the_answer_is_where_the_adapter_says(bench: Bench, adapter: str, body: str, end: tuple[str, str, str]) -> None:
    """OU-1, OU-2."""
    assert went(bench, body, adapter).end == end


@pytest.mark.parametrize(
    ("code", "retry"), [(3, "retryable"), (4, "permanent"), (64, "retryable"), (75, "retryable"), (1, "retryable")]
)
def test_rt7_an_adapter_brings_its_own_table_of_exit_codes(bench: Bench, code: int, retry: str) -> None:
    """One that stands in both is tried again; the default table holds no longer."""
    assert went(bench, f"sys.exit({code})", "codes").end == ("failed", retry, f"exit:{code}")


def test_ad8_an_effect_that_may_happen_once_waits_for_a_person_when_it_was_cut_short(bench: Bench) -> None:
    run = went(bench, "time.sleep(30)", "once")
    assert run.end == ("failed", "none", "needs_reconcile")
    assert bench.status(run.task) == ("blocked", "needs_reconcile")


# scripts


def test_a_script_is_told_where_artifacts_belong_and_is_looked_after(bench: Bench) -> None:
    """Section 13, and AR: the configured folder, not the default one."""
    body = 'artifact("reports/a.md", "x")\nout(json.dumps(DONE | {"artifact_paths": ["reports/a.md"]}))'
    run = went(bench, body, "report", payload={"output_path": "reports/a.md"})
    assert (bench.folder / "made/reports/a.md").read_text() == "x"
    (seen,) = bench.seen("tool")
    assert seen.env["RT_ARTIFACT_DIR"] == seen.env["AGENT_RUNTIME_ARTIFACT_DIR"] == str(bench.folder / "made")
    assert run.end == ("completed", "none", ""), run.checks
    assert ("declared_artifact", "reports/a.md", "passed") in run.checks


def test_ve4_a_script_that_only_says_so_has_not_done_it(bench: Bench) -> None:
    run = went(bench, GOOD, "report", payload={"output_path": "reports/never.md"})
    assert run.end == ("failed", "retryable", "unverified")
    assert ("declared_artifact", "reports/never.md") in run.issues


@pytest.mark.parametrize(
    ("adapter", "body", "end"),
    [
        ("counted", "", ("completed", "none", "")),
        ("counted", "sys.exit(3)", ("failed", "retryable", "exit:3")),
        ("spoken", "out(os.environ['MODE'])", ("completed", "none", "")),
        ("spoken", "", ("failed", "retryable", "no_outcome")),
    ],
)
def test_ou2_an_env_file_does_not_change_how_a_script_answers(
    bench: Bench, adapter: str, body: str, end: tuple[str, str, str]
) -> None:
    run = went(bench, body, adapter)
    assert run.end == end
    assert bench.seen("tool")[0].env["MODE"] == "fast"


def test_sx2_a_script_gets_a_payload_that_fits_in_a_variable_too(bench: Bench) -> None:
    went(bench, GOOD, "report", payload={"n": 1})
    (seen,) = bench.seen("tool")
    assert json.loads(seen.env["AGENT_RUNTIME_TASK_PAYLOAD_JSON"]) == {"n": 1}
    assert seen.stdin == b""
    assert seen.arguments == []
