"""codex through the real program: what it is started with, byte for byte, and how its answers and its misbehavior end.

Work and adapters, sections 8 and 9.
"""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.bounds import ANSWER_BYTES_MAX, REPORTS_MAX
from domain.events import TaskBlocked, TaskFailed, TaskRetryScheduled
from tests.commands.fakes import Bench, Run, allowed
from tests.commands.place import Place, finished, is_running, until

CONFIG = """
runtime_policy = "Be kind."
[adapters.plain]
kind = "codex"
command = "./codex"
working_dir = "ws"
timeout_s = 20
[adapters.full]
kind = "codex"
command = "./codex"
working_dir = "ws"
sandbox = "danger-full-access"
autonomy = "trusted-vm"
model = 'm "1"'
provider_id = "here"
provider_name = "Here"
provider_base_url = "{url}"
probe = false
args = ["--color", "never"]
[adapters.filed]
kind = "codex"
command = "./codex"
working_dir = "ws"
env_file = "codex.env"
[adapters.anywhere]
kind = "codex"
command = "./codex"
working_dir = "ws"
allow_task_cwd = true
[adapters.housed]
kind = "codex"
command = "./codex"
working_dir = "ws"
env = { CODEX_HOME = "own/home" }
[adapters.hasty]
kind = "codex"
command = "./codex"
working_dir = "ws"
timeout_s = 0.5
[profiles.strict]
program = "one_shot"
adapter = "full"
autonomy = "restricted"
role = "a reviewer"
"""
GOOD = """
event("thread.started")
event("item.completed", item={"type": "command_execution", "command": "ls", "exit_code": 0})
event("turn.completed", usage={"input_tokens": 100, "cached_input_tokens": 40, "output_tokens": 20})
last(DONE)
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One home for all; at the end each of its runs replays."""
    made = Bench(Place(tmp_path_factory.mktemp("codex")))
    (made.folder / "ws").mkdir()
    made.config(CONFIG.replace("{url}", "http://127.0.0.1:9"))
    (made.folder / "codex.env").write_text(
        "CODEX_MODEL=from-the-file\nexport CODEX_MODEL_PROVIDER_ID='p'\n# CODEX_MODEL=no\n"
        'CODEX_MODEL_PROVIDER_NAME="P"\nCODEX_BASE_URL=http://127.0.0.1:9/v1\n'
    )
    yield made
    made.replays()


def went(bench: Bench, body: str, adapter: str = "plain", **task: Any) -> Run:  # noqa: ANN401  # fields of a task input
    """One run of a codex that does this."""
    bench.program("codex", body)
    return bench.run(requested_adapter=adapter, **task)


# what it is started with


def test_the_arguments_the_folder_and_standard_input_are_exactly_these(bench: Bench) -> None:
    """Section 9: in this order, and the prompt on standard input alone."""
    run = went(bench, GOOD, subject="a subject", payload={"objective": "an objective"})
    (seen,) = bench.seen("codex")
    home = str(bench.folder)
    (at,) = [at for at, each in enumerate(seen.arguments) if each == "--output-last-message"]
    last_message = seen.arguments[at + 1]
    assert Path(seen.argv[0].decode()) == bench.folder / "codex"
    assert seen.arguments == [
        *("exec", "--json", "--skip-git-repo-check", "--ephemeral"),
        *("--sandbox", "workspace-write"),
        *("--output-last-message", last_message),
        *("--cd", f"{home}/ws"),
        "-",
    ]
    assert last_message.startswith(f"{home}/.rt/tmp/"), "a private file"
    assert seen.cwd == f"{home}/ws"
    assert seen.stdin.decode() == run.prompt, "the stored copy, byte for byte"
    assert "a subject" in run.prompt
    assert "Be kind." in run.prompt
    assert not any(b"a subject" in each for each in seen.argv), "AD-4: no prompt among the arguments"
    assert list((bench.place.state / "tmp").iterdir()) == [], "its private files are gone"


def test_a_trusted_machine_and_a_provider_become_flags_and_settings(bench: Bench) -> None:
    """Section 9 and AD-11: the bypass is named in the run."""
    run = went(bench, GOOD, "full")
    (seen,) = bench.seen("codex")
    assert seen.arguments[4:6] == ["--sandbox", "danger-full-access"]
    assert seen.arguments[10:] == [
        *("-c", 'model="m \\"1\\""', "-c", 'model_provider="here"'),
        "-c",
        'model_providers.here={name="Here",base_url="http://127.0.0.1:9",wire_api="responses",requires_openai_auth=false}',
        "--dangerously-bypass-approvals-and-sandbox",
        *("--color", "never", "-"),
    ]
    assert run.one("run.started").bypass == (
        "--sandbox danger-full-access",
        "--dangerously-bypass-approvals-and-sandbox",
    )
    assert run.bundle["adapter"]["autonomy"] == "trusted-vm"


def test_pr4_a_restricted_profile_takes_every_bypass_away(bench: Bench) -> None:
    run = went(bench, GOOD, "", requested_profile="strict")
    (seen,) = bench.seen("codex")
    assert seen.arguments[4:6] == ["--sandbox", "workspace-write"]
    assert not [each for each in seen.arguments if "danger" in each]
    assert run.one("run.started").bypass == ()
    assert "Role: a reviewer" in run.prompt
    assert run.end == ("completed", "none", "")


def test_the_model_and_the_provider_may_come_from_the_env_file(bench: Bench) -> None:
    """Section 9: CODEX_MODEL and its sisters, looked up in the env file; the child gets them too (section 20)."""
    went(bench, GOOD, "filed")
    (seen,) = bench.seen("codex")
    assert seen.arguments[10:-1] == [
        *("-c", 'model="from-the-file"', "-c", 'model_provider="p"', "-c"),
        'model_providers.p={name="P",base_url="http://127.0.0.1:9/v1",wire_api="responses",requires_openai_auth=false}',
    ]
    assert allowed(seen) == {
        f"CODEX_{each}" for each in ("MODEL", "MODEL_PROVIDER_ID", "MODEL_PROVIDER_NAME", "BASE_URL")
    }


def test_a_task_may_choose_a_folder_below_the_adapters_and_no_other(bench: Bench) -> None:
    """What a task brings is not trusted: the folder is what an agent may write to."""
    (bench.folder / "ws/inner").mkdir(exist_ok=True)
    went(bench, GOOD, payload={"cwd": "ws/inner"})
    assert [each.cwd for each in bench.seen("codex")] == [str(bench.folder / "ws/inner")]
    run = went(bench, GOOD, payload={"cwd": "ws/../.."})
    assert run.one("run.refused").cause == "task_cwd_refused"
    assert "adapters.plain.allow_task_cwd is off" in run.one("run.refused").message
    assert bench.seen("codex") == []


def test_a_link_below_that_leads_elsewhere_is_no_folder_below(bench: Bench, tmp_path: Path) -> None:
    """An agent may have made it, for a task that it asks for."""
    (bench.folder / "ws/up").symlink_to(tmp_path)
    run = went(bench, GOOD, payload={"cwd": "ws/up"})
    (bench.folder / "ws/up").unlink()
    assert run.one("run.refused").cause == "task_cwd_refused"
    assert bench.seen("codex") == []


def test_an_adapter_may_let_tasks_choose_any_folder(bench: Bench, tmp_path: Path) -> None:
    went(bench, GOOD, "anywhere", payload={"cwd": str(tmp_path)})
    (seen,) = bench.seen("codex")
    assert seen.cwd == str(tmp_path)


def test_its_own_folder_is_made_where_it_is_missing(bench: Bench) -> None:
    """Section 8: CODEX_HOME, relative to the working directory."""
    went(bench, 'assert os.path.isdir("own/home"), "made before it began"' + GOOD, "housed")
    (seen,) = bench.seen("codex")
    assert seen.env["CODEX_HOME"] == "own/home"
    assert (bench.folder / "ws/own/home").stat().st_mode & 0o777 == 0o700


def test_what_the_dispatcher_has_in_its_environment_is_no_setting_of_codex(bench: Bench) -> None:
    """AD-5, and section 9: look-ups see the env file and the adapter only."""
    bench.program("codex", GOOD)
    bench.run(requested_adapter="plain", env={"CODEX_MODEL": "from-outside", "OPENAI_API_KEY": "sk-outside"})
    (seen,) = bench.seen("codex")
    assert "-c" not in seen.arguments
    assert allowed(seen) == set()


def test_sx2_a_payload_of_300_kb_reaches_it_as_a_file_and_is_cut_in_the_prompt(bench: Bench) -> None:
    """PM-4: all of it can be read where the prompt says."""
    body = 'write("payload.copy", open(os.environ["RT_TASK_PAYLOAD_FILE"]).read())\n' + GOOD
    run = went(bench, body, payload={"rows": ["x" * 1_000] * 300})
    (seen,) = bench.seen("codex")
    assert len(json.loads((bench.folder / "ws/payload.copy").read_text())["rows"]) == 300
    assert "RT_TASK_PAYLOAD_JSON" not in seen.env
    assert seen.env["RT_TASK_PAYLOAD_FILE"] in seen.stdin.decode()
    assert len(seen.stdin) < 30_000
    assert run.bundle["prompt"]["cuts"][0]["section"] == "payload"
    assert run.end == ("completed", "none", "")


# what it answers


def test_the_last_message_is_the_answer_and_its_usage_is_kept(bench: Bench) -> None:
    """Section 9 and AD-9."""
    run = went(bench, GOOD)
    assert run.end == ("completed", "none", "")
    assert run.usage == (100, 20, None)
    assert run.outcome["operator_summary"] == "did it"
    names = run.names
    assert names.index("run.answer_read") + 1 == names.index("run.tool_exited"), "the exit decides on it"


@pytest.mark.parametrize(
    ("body", "summary"),
    [
        ('out(json.dumps(DONE | {"operator_summary": "as output"}))', "as output"),
        ('event("item.completed", item={"type": "agent_message", "text": json.dumps(DONE)})', "did it"),
        ('last("prose, then " + json.dumps(DONE))\nout("noise")', "did it"),
    ],
    ids=["prose of an old version", "an event", "a file with prose around"],
)
def test_without_the_file_the_output_is_the_answer(bench: Bench, body: str, summary: str) -> None:
    run = went(bench, body)
    assert run.end == ("completed", "none", "")
    assert run.outcome["operator_summary"] == summary


@pytest.mark.parametrize(
    ("body", "end"),
    [
        ("", ("failed", "retryable", "empty_output")),
        ('event("turn.completed")', ("failed", "retryable", "empty_output")),
        ('last("")\nerr("I am tired")', ("failed", "retryable", "empty_output")),
        ('out(b"\\xff\\xfe\\x00 garbage " * 500)', ("failed", "retryable", "no_outcome")),
        ('last("I did all of it.")', ("failed", "retryable", "no_outcome")),
        ('last("[]")', ("failed", "retryable", "no_outcome")),
        ('last({"status": "in_progress"})', ("failed", "retryable", "no_outcome")),
        ('event("turn.failed", error={"message": "stream disconnected"})', ("failed", "retryable", "turn_failed")),
        ('event("error", message="unexpected status 401: Unauthorized")', ("failed", "permanent", "authentication")),
        ("last(DONE)\nsys.exit(1)", ("failed", "retryable", "exit:1")),
        ('err("usage: codex")\nsys.exit(64)', ("failed", "permanent", "exit:64")),
        ("sys.exit(127)", ("failed", "permanent", "exit:127")),
        ("sys.exit(75)", ("failed", "retryable", "exit:75")),
        ("last(DONE)\nos.kill(os.getpid(), signal.SIGKILL)", ("failed", "retryable", "signal:SIGKILL")),
        ('last({"status": "failed", "operator_summary": "cannot"})', ("failed", "permanent", "reported_failure")),
        ('last({"status": "needs_retry", "operator_summary": "later"})', ("failed", "retryable", "reported_retry")),
        ('last(DONE | {"machine_status": "needs_retry"})', ("failed", "retryable", "reported_retry")),
        ('last({"status": "blocked", "operator_summary": "need a key"})', ("failed", "none", "reported_blocked")),
    ],
)
def test_whatever_it_does_instead_the_run_ends_with_a_cause(bench: Bench, body: str, end: tuple[str, str, str]) -> None:
    """CX-2, OU-1, OU-4, RT-5, RT-7: nothing defaults to completed, and each failure is classified."""
    run = went(bench, body)
    assert run.end == end
    expected = {"retryable": TaskRetryScheduled, "permanent": TaskFailed, "none": TaskBlocked}[end[1]]
    assert isinstance(run.task_event, expected)


def test_rt5_what_asks_to_be_tried_again_is_until_attempts_are_spent(bench: Bench) -> None:
    """LC-1: then it is blocked, with a cause."""
    bench.program("codex", 'last({"status": "needs_retry", "operator_summary": "later"})')
    task = bench.queue(requested_adapter="plain")
    assert [run.end for run in bench.settle(task)] == [("failed", "retryable", "reported_retry")] * 3
    assert bench.status(task) == ("blocked", "attempts_exhausted")
    assert len(bench.seen("codex")) == 3


def test_ad3_output_of_three_megabytes_is_kept_and_the_answer_found(bench: Bench) -> None:
    body = 'for at in range(3000): out("y" * 1000 + "\\n")\nlast(DONE)'
    run = went(bench, body)
    assert run.one("run.tool_exited").stdout_bytes == 3_003_000
    assert run.end == ("completed", "none", "")


def test_a_last_message_without_end_is_bounded_and_its_end_counts(bench: Bench) -> None:
    run = went(bench, 'last("z" * 2_000_000 + json.dumps(DONE))')
    assert run.one("run.answer_read").text.size == ANSWER_BYTES_MAX
    assert run.end == ("completed", "none", "")


# time, and what is left over


def test_ad1_one_that_hangs_and_ignores_term_is_killed_with_all_its_children(bench: Bench) -> None:
    body = """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["/bin/sh", "-c", "trap '' TERM; sleep 60"], start_new_session=True)
        write("child", str(child.pid))
        out("begun\\n")
        time.sleep(60)
    """
    before_s = time.monotonic()
    run = went(bench, body, "hasty")
    assert time.monotonic() - before_s < 6
    assert run.end == ("failed", "retryable", "timeout")
    (seen,) = bench.seen("codex")
    assert not is_running(seen.pid)
    assert not is_running(int((bench.folder / "ws/child").read_text()))
    assert run.one("run.tool_exited").killed >= 1


def test_ad2_a_grandchild_that_holds_the_pipe_does_not_turn_success_into_a_timeout(bench: Bench) -> None:
    body = 'subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)\n' + GOOD
    run = went(bench, body)
    assert run.end == ("completed", "none", "")
    exited = run.one("run.tool_exited")
    assert exited.drain_cut or exited.killed, "and it is recorded"


def test_an_answer_without_an_exit_is_none_until_the_time_is_over(bench: Bench) -> None:
    run = went(bench, "last(DONE)\ntime.sleep(60)", "hasty")
    assert run.end == ("failed", "retryable", "timeout")


@pytest.mark.parametrize(
    ("mode", "cause"), [(0o644, "not_executable"), (None, "command_not_found")], ids=["not executable", "gone"]
)
def test_fb1_without_the_program_nothing_is_launched_and_no_attempt_is_spent(
    bench: Bench, mode: int | None, cause: str
) -> None:
    path = bench.folder / "codex"
    bench.program("codex", GOOD)
    if mode is None:
        path.unlink()
    else:
        path.chmod(mode)
    run = bench.run(requested_adapter="plain")
    refused = run.one("run.refused")
    assert (refused.cause, refused.refunded) == ("no_adapter_available", True)
    assert cause in refused.message
    assert run.one("task.retry_scheduled").refunded
    assert bench.seen("codex") == []


# whoever dies


def test_a_dispatcher_killed_while_the_agent_runs_leaves_nothing_and_the_task_goes_on(bench: Bench) -> None:
    """LC-5 to LC-7: the run is lost, its processes are ended first, the attempt is spent."""
    bench.program("codex", "if number == 1: time.sleep(60)\n" + GOOD)
    task = bench.queue(requested_adapter="plain")
    with bench.place.started("work") as process:
        until(lambda: bench.seen("codex"))
        until(lambda: "run.tool_started" in bench.last(task).names)
        os.kill(process.pid, signal.SIGKILL)
        finished(process)
    first, second = bench.settle(task)
    assert first.end == ("lost", "retryable", "dispatcher_died")
    assert not is_running(bench.seen("codex")[0].pid)
    assert second.end == ("completed", "none", "")
    assert second.of("task.claimed")[0].attempt == 2
    assert first.one("run.started").bundle_hash == second.one("run.started").bundle_hash, "the same inputs"


def test_a_run_can_be_canceled_while_its_agent_works(bench: Bench) -> None:
    """OP-1."""
    bench.program("codex", "time.sleep(60)")
    task = bench.queue(requested_adapter="plain")
    with bench.place.started("work", "--until-idle") as process:
        until(lambda: bench.seen("codex"))
        bench.place.ok("cancel", task, "--reason", "enough")
        finished(process)
    assert bench.status(task)[0] == "operator_canceled"
    assert not is_running(bench.seen("codex")[0].pid)


# what it tells while it works

TURN = """
event("thread.started", thread_id="t")
event("item.completed", item={"type": "reasoning", "text": "look first"})
event("item.started", item={"type": "command_execution", "command": "ls -la"})
out("a line that is no event\\n")
event("item.completed", item={"type": "command_execution", "command": "ls -la", "exit_code": 0})
event("item.completed", item={"type": "agent_message", "text": "all is well"})
event("turn.completed", usage={"input_tokens": 24763, "output_tokens": 122})
last(DONE)
"""


def told(run: Run) -> list[tuple[str, str]]:
    """What it reported of its work."""
    return [(each.kind, run.text(each.text).decode() if each.text else "") for each in run.of("run.agent_reported")]


def test_cx1_each_line_that_means_something_is_an_event(bench: Bench) -> None:
    bench.program("codex", TURN)
    run = bench.run(requested_adapter="plain")
    assert told(run) == [
        ("step", "thread.started"),
        ("step", "look first"),
        ("tool", "ls -la"),
        ("tool", "ls -la (exit 0)"),
        ("message", "all is well"),
        ("usage", "24763 tokens in, 122 tokens out"),
    ]
    assert run.end == ("completed", "none", "")
    assert b"a line that is no event" in bench.place.ok("run", "output", run.run).out


def test_cx1_a_step_is_seen_while_the_agent_still_works_and_the_run_can_be_canceled_for_it(bench: Bench) -> None:
    body = 'event("item.started", item={"type": "command_execution", "command": "rm -rf /srv"})\ntime.sleep(30)'
    bench.program("codex", body)
    task = bench.queue(requested_adapter="plain")
    with bench.place.started("work", "--until-idle") as process:
        until(lambda: "run.agent_reported" in bench.place.rt("run", "log", task).text)
        bench.place.ok("cancel", task, "--reason", "not that")
        assert finished(process).code == 0
    assert told(bench.last(task)) == [("tool", "rm -rf /srv")]
    assert bench.status(task)[0] == "operator_canceled"


def test_cx1_an_agent_that_tells_without_end_is_told_of_up_to_a_bound(bench: Bench) -> None:
    body = (
        'for at in range(3_000):\n    event("item.completed", item={"type": "reasoning", "text": str(at)})\nlast(DONE)'
    )
    bench.program("codex", body)
    run = bench.run(requested_adapter="plain")
    assert [text for _, text in told(run)] == [str(at) for at in range(REPORTS_MAX)]
    assert run.end == ("completed", "none", "")
