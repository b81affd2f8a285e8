"""Hermes through the real program: the one agent whose prompt is an argument. Work and adapters, section 11."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.bounds import ARGUMENT_BYTES_MAX
from tests.commands.fakes import Bench, Run, allowed
from tests.commands.place import Place

CONFIG = """
[adapters.plain]
kind = "hermes-agent"
command = "./hermes"
[adapters.full]
kind = "hermes-agent"
command = "./hermes"
autonomy = "trusted-vm"
model = "a-model"
args = ["--max-steps", "4"]
[adapters.filed]
kind = "hermes-agent"
command = "./hermes"
prompt_by = "file"
[adapters.set]
kind = "hermes-agent"
command = "./hermes"
env = {{ HERMES_YOLO_MODE = "1" }}
[adapters.inherits]
kind = "hermes-agent"
command = "./hermes"
inherit_env = ["HERMES_YOLO_MODE"]
[profiles.wide]
program = "one_shot"
adapter = "plain"
max_prompt_chars = {most}
role = "{role}"
[profiles.wide_filed]
program = "one_shot"
adapter = "filed"
max_prompt_chars = {most}
role = "{role}"
[profiles.strict]
program = "one_shot"
adapter = "full"
autonomy = "restricted"
"""
DONE = '{"status": "completed", "operator_summary": "did it", "machine_status": "ok"}'


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One home for all; at the end each of its runs replays."""
    made = Bench(Place(tmp_path_factory.mktemp("hermes")))
    made.config(CONFIG.format(most=200_000, role="\u00e4" * 60_000))
    yield made
    made.replays()


def went(bench: Bench, body: str, adapter: str = "plain", **task: Any) -> Run:  # noqa: ANN401  # fields of a task
    """One run of a program that does this."""
    bench.program("hermes", body)
    return bench.run(requested_adapter=adapter, **task)


def test_the_prompt_is_the_last_argument_and_standard_input_is_empty(bench: Bench) -> None:
    run = went(bench, f"out({DONE!r})", subject="a subject")
    (seen,) = bench.seen("hermes")
    assert Path(seen.argv[0].decode()) == bench.folder / "hermes"
    assert seen.arguments == ["chat", "-Q", "-q", run.prompt]
    assert seen.stdin == b""
    assert allowed(seen) == set()
    assert "a subject" in run.prompt
    assert run.bundle["adapter"]["argv"][1:] == ["chat", "-Q", "-q", "{prompt}"], "BN-3: a template, no second copy"


def test_model_bypass_and_extra_arguments_come_before_it(bench: Bench) -> None:
    """AD-11."""
    run = went(bench, f"out({DONE!r})", "full")
    assert bench.seen("hermes")[0].arguments[:-1] == [
        "chat",
        "-Q",
        "--model",
        "a-model",
        "--yolo",
        "--max-steps",
        "4",
        "-q",
    ]
    assert run.one("run.started").bypass == ("--yolo",)


def test_pr4_a_restricted_profile_runs_without_the_bypass(bench: Bench) -> None:
    run = went(bench, f"out({DONE!r})", "", requested_profile="strict")
    assert "--yolo" not in bench.seen("hermes")[0].arguments
    assert run.one("run.started").bypass == ()


@pytest.mark.parametrize("adapter", ["set", "inherits"])
def test_pr4_a_bypass_by_a_variable_is_refused_under_a_restricted_profile(bench: Bench, adapter: str) -> None:
    """It cannot be taken away from the command line, so nothing is started; without the profile it is named."""
    bench.program("hermes", f"out({DONE!r})")
    run = bench.run(requested_adapter=adapter, requested_profile="strict", env={"HERMES_YOLO_MODE": "1"})
    assert run.one("run.refused").cause == "autonomy_refused"
    assert bench.seen("hermes") == []
    free = bench.run(requested_adapter=adapter, env={"HERMES_YOLO_MODE": "1"})
    assert free.one("run.started").bypass == ("HERMES_YOLO_MODE",)


def test_a_prompt_that_begins_with_a_dash_is_no_option(bench: Bench) -> None:
    bench.config('runtime_policy = "--yolo"\n' + CONFIG.format(most=200_000, role="x"))
    run = went(bench, f"out({DONE!r})")
    bench.config(CONFIG.format(most=200_000, role="\u00e4" * 60_000))
    assert run.prompt.startswith("--yolo")
    assert bench.seen("hermes")[0].arguments[-1] == f"\n{run.prompt}"
    assert run.one("run.started").bypass == ()


def test_ad4_a_prompt_that_is_too_large_for_an_argument_is_refused_before_anything_is_started(bench: Bench) -> None:
    """The bytes count, not the characters."""
    bench.config(CONFIG.format(most=200_000, role="\u00e4" * 63_900))
    run = went(bench, f"out({DONE!r})", "", requested_profile="wide", payload={"fill": "x" * 3_000})
    bench.config(CONFIG.format(most=200_000, role="\u00e4" * 60_000))
    refused = run.one("run.refused")
    assert refused.cause == "argument_too_large"
    assert str(ARGUMENT_BYTES_MAX) in refused.message
    assert bench.seen("hermes") == []
    assert run.end == ("failed", "permanent", "argument_too_large")


def test_ad4_one_that_just_fits_is_handed_over_whole(bench: Bench) -> None:
    run = went(bench, f"out({DONE!r})", "", requested_profile="wide")
    assert len(bench.seen("hermes")[0].argv[-1]) == len(run.prompt.encode()) > 120_000


def test_ad4_a_larger_prompt_may_lie_in_a_file(bench: Bench) -> None:
    body = f'write("told", sys.argv[-1])\nwrite("copied", open(sys.argv[-1].split()[3]).read())\nout({DONE!r})'
    bench.config(CONFIG.format(most=200_000, role="\u00e4" * 63_900))
    run = went(bench, body, "", requested_profile="wide_filed", payload={"fill": "x" * 3_000})
    bench.config(CONFIG.format(most=200_000, role="\u00e4" * 60_000))
    assert (bench.folder / "told").read_text().startswith("Read the file ")
    assert (bench.folder / "copied").read_text() == run.prompt
    assert len(run.prompt.encode()) > ARGUMENT_BYTES_MAX
    assert run.end == ("completed", "none", "")


@pytest.mark.parametrize(
    ("printed", "end", "summary"),
    [
        (f"session_id: abc\n\n{DONE}\n", ("completed", "none", ""), "did it"),
        (f"I think {DONE} is it", ("completed", "none", ""), "did it"),
        ("{ broken", ("failed", "retryable", "no_outcome"), "{ broken"),
        ("session_id: abc\n{oops} and {again}", ("failed", "retryable", "no_outcome"), "{oops} and {again}"),
        ("prose without end", ("failed", "retryable", "no_outcome"), "prose without end"),
        ("[]", ("failed", "retryable", "no_outcome"), "[]"),
    ],
)
def test_ha1_a_span_of_json_is_taken_only_where_it_parses(
    bench: Bench, printed: str, end: tuple[str, str, str], summary: str
) -> None:
    run = went(bench, f"out({printed!r})")
    assert run.end == end
    assert run.outcome["operator_summary"] == summary


@pytest.mark.parametrize("printed", ["", "session_id: abc\n", "\n\n"])
def test_without_a_word_there_is_no_answer(bench: Bench, printed: str) -> None:
    assert went(bench, f"out({printed!r})").end == ("failed", "retryable", "empty_output")
