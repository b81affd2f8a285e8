"""Waits that are asked for: rescheduled, the attempt given back, within bounds. Work and adapters, section 4."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from domain.bounds import HINT_S_MAX
from tests.commands.fakes import Bench, Run
from tests.commands.place import Place

CONFIG = """
[adapters.coder]
kind = "codex"
command = "./codex"
[adapters.aibtc]
kind = "codex"
command = "./codex"
retry_hint_service = "aibtc"
[adapters.script]
kind = "script"
command = "./codex"
"""


QUOTED = """
tool = {"type": "command_execution", "command": "curl", "aggregated_output": "retry-after: 60"}
event("item.completed", item=tool)
message = json.dumps({"status": "blocked", "operator_summary": "no"})
event("item.completed", item={"type": "agent_message", "text": message})
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One home for all; at the end each of its runs replays."""
    made = Bench(Place(tmp_path_factory.mktemp("hints")))
    made.config(CONFIG)
    yield made
    made.replays()


def blocked(summary: str = "later", **fields: Any) -> str:  # noqa: ANN401  # fields of the outcome
    """A program whose outcome is blocked."""
    document = {"status": "blocked", "operator_summary": summary, "machine_status": "blocked"} | fields
    return f"out({json.dumps(document)!r})"


def went(bench: Bench, body: str, adapter: str = "coder", **task: Any) -> Run:  # noqa: ANN401  # fields of a task
    """One run of a program that does this."""
    bench.program("codex", body)
    return bench.run(requested_adapter=adapter, **task)


@pytest.mark.parametrize("adapter", ["coder", "script"])
@pytest.mark.parametrize(
    ("body", "seconds", "hint"),
    [
        (blocked(retry_after_seconds=90), 90, "structured: retry_after_seconds"),
        (blocked(retry_after_seconds=90, retry_hint_source="the api"), 90, "the api: retry_after_seconds"),
        (blocked("rate limited, try again in 45 s"), 45, "generic: try again in {n} s"),
        (blocked("wait 45 seconds before the next call", retry_after_seconds=5), 5, "structured: retry_after_seconds"),
    ],
)
def test_rt2_a_blocked_outcome_that_says_how_long_is_tried_again_then(
    bench: Bench, body: str, seconds: int, hint: str, adapter: str
) -> None:
    """RT-2, RT-6: the attempt is given back, a structured hint wins, and what matched is recorded."""
    run = went(bench, body, adapter)
    assert run.end == ("failed", "retryable", "rate_limit_retry")
    scheduled = run.one("task.retry_scheduled")
    assert (scheduled.backoff_us, scheduled.refunded, scheduled.hint) == (seconds * 1_000_000, True, hint)
    task = bench.log.task(run.task)
    assert task is not None
    assert task.attempts == 0


def test_the_parser_that_the_adapter_names_is_asked_first(bench: Bench) -> None:
    run = went(bench, blocked("Throttled. Check in again in 30 seconds; retry after 99 s"), "aibtc")
    scheduled = run.one("task.retry_scheduled")
    assert (scheduled.backoff_us, scheduled.hint) == (30_000_000, "aibtc: check in again in {n} s")


@pytest.mark.parametrize("asked", [HINT_S_MAX + 1, 10**12, 10**30])
def test_rt3_an_absurd_wait_is_clamped_and_the_clamp_is_recorded(bench: Bench, asked: int) -> None:
    run = went(bench, blocked(retry_after_seconds=asked))
    scheduled = run.one("task.retry_scheduled")
    assert scheduled.backoff_us == HINT_S_MAX * 1_000_000
    assert ", cut from " in scheduled.hint


@pytest.mark.parametrize(
    "body",
    [
        blocked("a key is missing"),
        blocked(retry_after_seconds=0),
        blocked(retry_after_seconds=-5),
        blocked(retry_after_seconds="soon"),
        QUOTED,
        'err("retry-after: 60")\n' + blocked("no"),
    ],
)
def test_rt6_what_is_no_hint_of_the_answer_leaves_it_blocked(bench: Bench, body: str) -> None:
    """Never from the output of tools that the agent merely used."""
    run = went(bench, body)
    assert run.end == ("failed", "none", "reported_blocked")


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ('out(json.dumps(DONE | {"operator_summary": "I told them: retry after 60 s"}))', ""),
        ('out(json.dumps({"status": "failed", "retry_after_seconds": 60}))', "reported_failure"),
        (blocked(retry_after_seconds=60) + "\nsys.exit(1)", "exit:1"),
    ],
)
def test_a_hint_counts_only_where_the_outcome_is_blocked_and_the_exit_is_ok(
    bench: Bench, body: str, cause: str
) -> None:
    run = went(bench, body)
    assert run.end[2] == cause
    assert not any(each.refunded for each in run.of("task.retry_scheduled"))


def test_rt4_each_refund_in_a_row_is_counted(bench: Bench) -> None:
    """Where the count ends is a matter of `domain.judging`, and tested there."""
    bench.program("codex", blocked(retry_after_seconds=1) + "\nsys.exit(number == 3)")
    task = bench.queue(requested_adapter="coder", max_attempts=1)
    runs = bench.settle(task, most=3)
    assert [run.of("task.claimed")[0].refunds for run in runs] == [0, 1, 2]
    assert [run.of("task.claimed")[0].attempt for run in runs] == [1, 1, 1]
    assert runs[-1].end == ("failed", "retryable", "exit:1")
    assert bench.status(task) == ("blocked", "attempts_exhausted")


def test_rt1_the_pause_after_failures_grows_and_is_spread(bench: Bench) -> None:
    """Base * 2^(n-1), capped, a fifth up or down; the same in every replay."""
    bench.config(CONFIG.replace("[adapters.coder]", '[adapters.coder]\nenv = { A = "1" }'))
    text = (bench.folder / "rt.toml").read_text()
    (bench.folder / "rt.toml").write_text(
        text.replace("backoff_s = 0.01\nbackoff_max_s = 0.01", "backoff_s = 0.1\nbackoff_max_s = 0.3")
    )
    bench.program("codex", "sys.exit(1)")
    task = bench.queue(requested_adapter="coder", max_attempts=5)
    pauses = [run.one("task.retry_scheduled").backoff_us for run in bench.settle(task)[:-1]]
    bench.config(CONFIG)
    assert len(pauses) == 4
    for pause, base in zip(pauses, (100_000, 200_000, 300_000, 300_000), strict=True):
        assert 0.8 * base <= pause <= 1.2 * base
    assert len(set(pauses)) == 4
    assert bench.status(task) == ("blocked", "attempts_exhausted")
