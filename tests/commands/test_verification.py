"""What a run claims is looked at: through real files, a real repository, and the next attempt. Section 16."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.events import TaskBlocked, TaskRetryScheduled
from tests.commands.fakes import Bench, Run
from tests.commands.place import Place, finished, until

CONFIG = """
[adapters.coder]
kind = "codex"
command = "./codex"
working_dir = "ws"
[profiles.strict]
program = "one_shot"
adapter = "coder"
on_unverified = "block"
[profiles.lenient]
program = "one_shot"
adapter = "coder"
[adapters.checker]
kind = "script"
command = "./codex"
outcome = "exit"
"""


def git(folder: Path, *arguments: str) -> None:
    """One command of git, with nothing of this machine's configuration."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_GLOBAL": "/dev/null"}
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    subprocess.run(["git", *who, *arguments], cwd=folder, env=env, check=True, capture_output=True)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One home with a repository for all; at the end each of its runs replays."""
    made = Bench(Place(tmp_path_factory.mktemp("verified")))
    workspace = made.folder / "ws"
    (workspace / "src").mkdir(parents=True)
    for name in ("src/a.py", "src/b.py", "src/c.py", "README.md"):
        (workspace / name).write_text(f"# {name}\n")
    git(workspace, "init", "-q")
    git(workspace, "add", ".")
    git(workspace, "commit", "-q", "-m", "first")
    (made.folder / "outside.txt").write_text("outside")
    made.config(CONFIG)
    yield made
    made.replays()


@pytest.fixture(autouse=True)
def _clean(bench: Bench) -> Iterator[None]:
    """Each test begins with the committed files."""
    yield
    git(bench.folder / "ws", "reset", "-q", "--hard")
    git(bench.folder / "ws", "clean", "-qfd")


def went(bench: Bench, body: str, claims: str = "", **task: Any) -> Run:  # noqa: ANN401  # fields of a task
    """One run of an agent that does this, and claims that."""
    bench.program("codex", f"{body}\nlast(DONE | {{{claims}}})")
    return bench.run(**({"requested_adapter": "coder"} | task))


# changes of the workspace


@pytest.mark.parametrize(
    ("body", "claims"),
    [
        ('write("src/a.py", "new")', '"file_changes": ["modified src/a.py"]'),
        ('write("src/a.py", "new")', '"file_changes": ["src/a.py - the header"]'),
        ('write("src/new.py", "x")', '"file_changes": ["created src/new.py"]'),
        ('write("new/deep/x.py", "x")', '"file_changes": ["new/deep"]'),
        ('os.remove("src/b.py")', '"file_changes": ["deleted src/b.py"]'),
        ('os.remove("src/b.py")', '"file_changes": [{"path": "src/b.py", "change": "deleted"}]'),
        ('os.rename("src/c.py", "src/d.py")', '"file_changes": ["renamed src/c.py -> src/d.py"]'),
        ('write("src/a.py", "new")', '"file_changes": [os.getcwd() + "/src/a.py"]'),
    ],
)
def test_ve1_ve2_ve3_what_was_really_changed_passes(bench: Bench, body: str, claims: str) -> None:
    run = went(bench, body, claims)
    assert run.end == ("completed", "none", ""), run.checks
    assert [result for what, _, result in run.checks if what == "file_change"] == ["passed"]
    assert run.names.index("run.evidence_gathered") < run.names.index("run.verified") < run.names.index("run.finished")


@pytest.mark.parametrize(
    ("body", "claims"),
    [
        ("", '"file_changes": ["modified src/a.py"]'),
        ("", '"file_changes": ["created src/never.py"]'),
        ("", '"file_changes": ["deleted src/a.py"]'),
        ('write("src/d.py", "other")', '"file_changes": ["renamed src/c.py -> src/d.py"]'),
        ('write("src/a.py", "new")', '"file_changes": ["modified src/a.py", "modified src/b.py"]'),
    ],
)
def test_ve2_what_was_there_before_proves_nothing(bench: Bench, body: str, claims: str) -> None:
    """VE-6: an issue is tried again like any failure, while attempts remain."""
    run = went(bench, body, claims)
    assert run.end == ("failed", "retryable", "unverified"), run.checks
    assert len(run.issues) == 1
    assert isinstance(run.task_event, TaskRetryScheduled)
    assert any(run.issues[0][1] in each for each in run.outcome["warnings"]), "the outcome says which evidence failed"


@pytest.mark.parametrize(
    "path", ["../outside.txt", "src/../../outside.txt", "/etc/hostname"], ids=["up", "up again", "absolute"]
)
def test_ve1_what_lies_outside_is_unverifiable_and_no_pass(bench: Bench, path: str) -> None:
    run = went(bench, "", f'"file_changes": ["modified {path}"]')
    assert [result for what, _, result in run.checks if what == "file_change"] == ["unverifiable"]
    assert run.one("run.verified").unverifiable == 1


def test_ve9_a_link_out_of_the_workspace_is_not_followed(bench: Bench) -> None:
    run = went(bench, 'os.symlink("../../outside.txt", "src/link")', '"file_changes": ["created src/link/x"]')
    assert "passed" not in [result for what, _, result in run.checks if what == "file_change"]


# artifacts


@pytest.mark.parametrize("key", ["output_path", "checklist_path", "required_artifacts", "proposal_artifact"])
def test_ve4_a_declared_artifact_has_to_be_written_in_this_run(bench: Bench, key: str) -> None:
    path = f"reports/{key}.md"
    payload = {key: [path] if key == "required_artifacts" else path}
    missing = went(bench, "", payload=payload)
    assert ("declared_artifact", path) in missing.issues
    listed = f'"artifact_paths": ["{path}"]'
    written = went(bench, f'artifact("{path}", "x")', listed, payload=payload)
    assert written.end == ("completed", "none", ""), written.checks
    untouched = went(bench, "", listed, payload=payload)
    assert ("declared_artifact", path) in untouched.issues, "the one of the run before does not count"


def test_ve4_an_artifact_that_is_an_input_needs_not_be_written(bench: Bench) -> None:
    artifacts = bench.place.state / "artifacts/inputs"
    artifacts.mkdir(parents=True, exist_ok=True)
    (artifacts / "old.md").write_text("old")
    payload = {"required_artifacts": ["inputs/old.md"], "inputs": ["inputs/old.md"]}
    assert went(bench, "", payload=payload).end == ("completed", "none", "")


def test_declared_but_not_named_in_artifact_paths_is_an_issue(bench: Bench) -> None:
    run = went(bench, 'artifact("reports/n.md", "x")', payload={"output_path": "reports/n.md"})
    assert ("artifact_paths", "") in run.issues


def test_an_artifact_that_lies_in_the_working_directory_as_well_is_an_issue(bench: Bench) -> None:
    body = 'artifact("reports/s.md", "x")\nwrite("reports/s.md", "x")'
    run = went(bench, body, '"artifact_paths": ["reports/s.md"]', payload={"output_path": "reports/s.md"})
    assert ("stray_artifact", "reports/s.md") in run.issues


@pytest.mark.parametrize("path", ["../../etc/passwd", "reports/none.md", "/etc/passwd"])
def test_an_artifact_path_that_names_no_managed_file_is_an_issue(bench: Bench, path: str) -> None:
    run = went(bench, "", f'"artifact_paths": ["{path}"]')
    assert run.end == ("failed", "retryable", "unverified")
    assert [what for what, _ in run.issues] == ["artifact_path"]


# words


def test_ve5_a_summary_that_repeats_its_prompt_is_no_report(bench: Bench) -> None:
    bench.program("codex", 'last(DONE | {"operator_summary": given.decode()[-700:]})')
    run = bench.run(requested_adapter="coder")
    assert ("prompt_echo", "") in run.issues


def test_ve5_to_quote_a_label_is_fine(bench: Bench) -> None:
    run = went(bench, "", '"operator_summary": "Task kind: work. Nothing else was asked for, and all is done."')
    assert run.end == ("completed", "none", "")


def test_ou5_an_honest_report_may_quote_a_refusal(bench: Bench) -> None:
    run = went(bench, "", '"operator_summary": "The log said permission denied; I mended the mode."')
    assert run.end == ("completed", "none", "")


# the next attempt


def test_ve6_the_issues_go_into_the_next_prompt_as_data(bench: Bench) -> None:
    claim = 'last(DONE | {"file_changes": ["modified src/a.py"]})'
    bench.program("codex", f'if number == 2: write("src/a.py", "mended")\n{claim}')
    task = bench.queue(requested_adapter="coder")
    first, second = bench.settle(task)
    assert (first.end[2], second.end[0]) == ("unverified", "completed")
    assert "What verification found at the last attempt:" not in first.prompt
    _, _, told = second.prompt.partition("What verification found at the last attempt:\n")
    marked = told.splitlines()
    assert "RT-DATA" in marked[0]
    assert "file_change src/a.py" in marked[1]
    assert bench.seen("codex")[1].stdin.decode() == second.prompt
    assert first.one("run.started").bundle_hash != second.one("run.started").bundle_hash, "other inputs"


def test_ve6_in_the_end_it_is_blocked(bench: Bench) -> None:
    bench.program("codex", 'last(DONE | {"file_changes": ["modified src/a.py"]})')
    task = bench.queue(requested_adapter="coder", max_attempts=2)
    assert [run.end for run in bench.settle(task)] == [("failed", "retryable", "unverified")] * 2
    assert bench.status(task) == ("blocked", "attempts_exhausted")


def test_ve6_a_profile_may_block_at_once(bench: Bench) -> None:
    run = went(bench, "", '"file_changes": ["modified src/a.py"]', requested_adapter="", requested_profile="strict")
    assert run.end == ("failed", "none", "unverified")
    assert isinstance(run.task_event, TaskBlocked)


def test_ve8_every_check_is_in_the_log_with_its_path_and_digest(bench: Bench) -> None:
    run = went(bench, 'write("src/a.py", "new")', '"file_changes": ["modified src/a.py"]')
    verified = run.one("run.verified")
    assert (verified.passed, verified.failed, verified.unverifiable) == (4, 0, 0)
    stored = run.text(verified.checks).decode()
    assert '"sha256":"' in stored
    assert {what for what, _, _ in run.checks} == {"prompt_echo", "machine_status", "blocked_language", "file_change"}


# before the launch


def goal(bench: Bench, phase: str, **texts: str) -> dict[str, Any]:
    """The payload of a phase, with its artifacts written."""
    payload: dict[str, Any] = {"phase": phase}
    for key, text in texts.items():
        path = bench.place.state / f"artifacts/goal/{phase}-{key}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        payload[f"{key}_artifact"] = f"goal/{phase}-{key}.md"
    return payload


PLAN = "# Plan\n\n1. Do it.\n"
REPORT = "# Report\n\nDid it.\n"


@pytest.mark.parametrize(
    ("phase", "texts", "why"),
    [
        ("execute", {}, "proposal_artifact is missing"),
        ("verify", {"proposal": PLAN}, "implementation_artifact is missing"),
        ("execute", {"proposal": "# Verification\n\nAll good.\n"}, "heading"),
        ("execute", {"proposal": "# Plan\n\nKind: goal-verify-x\n"}, "foreign kind"),
        ("execute", {"proposal": '{"phase": "verify-plan"}'}, "was made by verify-plan"),
        ("execute", {"proposal": "# Plan\n\n**Status: blocked**\n"}, "blocked"),
        ("execute", {"proposal": "# Plan\n\nI need elevated permissions.\n"}, "elevated permissions"),
        ("verify", {"proposal": PLAN, "implementation": "# Verification\n"}, "heading"),
        ("verify", {"proposal": PLAN, "implementation": "---\nphase: verify\n---\n# Report\n"}, "was made by verify"),
    ],
)
def test_inputs_that_are_not_what_they_are_taken_for_block_the_task_before_the_launch(
    bench: Bench, phase: str, texts: dict[str, str], why: str
) -> None:
    """Section 16 and VE-7."""
    run = went(bench, "", payload=goal(bench, phase, **texts))
    refused = run.one("run.refused")
    assert refused.cause == "input_verification_failed"
    assert why in refused.message
    assert bench.seen("codex") == []
    assert bench.status(run.task) == ("blocked", "input_verification_failed")


def test_a_script_is_not_launched_with_them_either(bench: Bench) -> None:
    run = went(bench, "", payload=goal(bench, "verify", proposal=PLAN), requested_adapter="checker")
    assert run.one("run.refused").cause == "input_verification_failed"
    assert bench.seen("codex") == []
    assert bench.status(run.task) == ("blocked", "input_verification_failed")
    bench.program("codex", "out('fine')")
    run = bench.run(payload=goal(bench, "execute", proposal=PLAN), requested_adapter="checker")
    assert run.end == ("completed", "none", "")


@pytest.mark.parametrize(
    ("phase", "texts"),
    [
        ("plan", {}),
        ("execute", {"proposal": PLAN}),
        ("execute", {"proposal": PLAN + '\n```json\n{"follow_up": {"kind": "goal-execute"}}\n```\n'}),
        ("verify", {"proposal": PLAN, "implementation": REPORT}),
        ("another", {}),
    ],
)
def test_clean_inputs_are_launched_with(bench: Bench, phase: str, texts: dict[str, str]) -> None:
    run = went(bench, "", payload=goal(bench, phase, **texts))
    assert run.end == ("completed", "none", "")
    assert len(bench.seen("codex")) == 1


# whoever dies


def test_a_dispatcher_killed_between_exit_and_verification_verifies_nothing_and_tries_again(bench: Bench) -> None:
    """The work is not trusted unseen: what it claims is looked at by the next attempt. git answers late meanwhile."""
    slow = bench.folder / "slow"
    slow.mkdir(exist_ok=True)
    real = subprocess.run(["/bin/sh", "-c", "command -v git"], capture_output=True, check=True).stdout.decode().strip()
    once = slow / "once"
    text = f'#!/bin/sh\nif [ -e "{once}" ]; then touch "{slow}/asked"; sleep 8; fi\nexec {real} "$@"\n'
    (slow / "git").write_text(text)
    (slow / "git").chmod(0o755)
    claim = '"file_changes": ["modified src/a.py"]'
    body = f'write("src/a.py", str(number))\nwrite({str(once)!r}, "") if number == 1 else None'
    bench.program("codex", f"{body}\nlast(DONE | {{{claim}}})")
    task = bench.queue(requested_adapter="coder")
    place = Place(bench.folder, {"PATH": f"{slow}:{os.environ['PATH']}"})
    with place.started("work") as process:
        until((slow / "asked").exists)
        until(lambda: "run.verification_requested" in bench.last(task).names)
        os.kill(process.pid, signal.SIGKILL)
        finished(process)
    once.unlink()
    before_s = time.monotonic()
    first, second = bench.settle(task)
    assert time.monotonic() - before_s < 10
    assert first.end == ("lost", "retryable", "verification_lost")
    assert "run.verified" not in first.names
    assert second.end == ("completed", "none", "")
    assert second.of("task.claimed")[0].attempt == 2
