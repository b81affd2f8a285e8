"""The frozen inputs of a run: the document, its hashes, and how well the outside was frozen. Section 7."""

import hashlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.canonical import canonical
from tests.adapters.ollama_server import Models, generated, serving
from tests.commands.fakes import Bench, Run
from tests.commands.place import Place

CONFIG = """
runtime_name = "the-runtime"
runtime_policy = "Be kind."
[constitution]
soul = "SOUL.md"
purpose = "nowhere.md"
[adapters.coder]
kind = "codex"
command = "./codex"
working_dir = "ws"
env_file = "coder.env"
args = ["--color", "never"]
[adapters.hermes]
kind = "hermes-agent"
command = "./codex"
working_dir = "ws"
[adapters.nowhere]
kind = "codex"
command = "./codex"
[adapters.model]
kind = "ollama"
endpoint = "{base}"
model = "m"
private = true
[profiles.it]
program = "one_shot"
adapter = "coder"
style = "codex-like"
role = "an engineer"
skills = ["planning"]
[profiles.keen]
program = "one_shot"
adapter = "coder"
memory = ["workspace", "thread"]
limits = {{ history_messages = 2 }}
"""


IN_WS = {"cwd": "ws"}
GOOD = "last(DONE) if '--output-last-message' in sys.argv else out(json.dumps(DONE))"


def git(folder: Path, *arguments: str) -> str:
    """One command of git, with nothing of this machine's configuration."""
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_GLOBAL": "/dev/null"}
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, env=env, check=True, capture_output=True)
    return done.stdout.decode().strip()


@pytest.fixture(scope="module")
def server() -> Iterator[Models]:
    with serving() as models:
        models.begin(generated({"status": "completed", "operator_summary": "did it"}))
        yield models


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, server: Models) -> Iterator[Bench]:
    """One home with a repository for all; at the end each of its runs replays."""
    made = Bench(Place(tmp_path_factory.mktemp("bundles")))
    workspace = made.folder / "ws"
    workspace.mkdir()
    (workspace / "a.py").write_text("a = 1\n")
    git(workspace, "init", "-q")
    git(workspace, "add", ".")
    git(workspace, "commit", "-q", "-m", "first")
    (made.folder / "SOUL.md").write_text("be good")
    (made.folder / "coder.env").write_text("API_TOKEN=tok-canary-7431aa\nPLAIN=x\n")
    made.config(CONFIG.format(base=server.base))
    made.program("codex", GOOD)
    yield made
    made.replays()


def went(bench: Bench, adapter: str = "coder", **task: Any) -> Run:  # noqa: ANN401  # fields of a task
    """One run."""
    return bench.run(requested_adapter=adapter, **task)


def hashes(run: Run) -> tuple[str, str]:
    """The hash of the bundle, and that of its inputs."""
    started = run.one("run.started")
    return started.bundle_hash, started.input_hash


def test_the_document_holds_what_the_run_was_made_of(bench: Bench) -> None:
    """Section 7 and BN-3: names of variables and no value, the sandbox, the arguments as a template, the versions."""
    payload = {
        "output_path": "reports/x.md",
        "external_inputs": ["https://example.org/a", {"url": "u", "cache_hash": "h"}],
    }
    given: dict[str, Any] = {"subject": "s", "description": "d", "priority": 7, "payload": payload}
    run = bench.run(requested_profile="it", **given)
    bundle = run.bundle
    task = bench.log.task(run.task)
    assert task is not None
    assert bundle["task"] == {
        **given,
        "task_id": run.task,
        "kind": "work",
        "source": "test",
        "requested_profile": "it",
        "requested_adapter": "",
        "max_attempts": 3,
        "created_at_us": task.created_at_us,
    }
    assert (bundle["bundle_version"], bundle["bundle_id"]) == ("2", run.run)
    assert bundle["agent"]["internal_name"] == "the-runtime"
    assert bundle["constitution"] == {"soul": hashlib.sha256(b"be good").hexdigest(), "purpose": "absent"}
    assert {key: bundle["profile"][key] for key in ("profile_id", "style", "role", "skills")} == {
        "profile_id": "it",
        "style": "codex-like",
        "role": "an engineer",
        "skills": ["planning"],
    }
    assert len(bundle["profile"]["digest"]) == 64
    adapter = bundle["adapter"]
    assert (adapter["mode"], adapter["sandbox"], adapter["autonomy"]) == ("codex", "workspace-write", "restricted")
    assert adapter["env_names"] == ["API_TOKEN", "PLAIN"]
    assert adapter["argv"][-3:] == ["--color", "never", "-"]
    assert Path(adapter["argv"][8]) == bench.place.state / "tmp" / "{run}.last"
    assert adapter["cwd"] == str(bench.folder / "ws")
    workspace = bundle["workspace"]
    assert (workspace["kind"], workspace["dirty"]) == ("git", False)
    assert workspace["sha"] == git(bench.folder / "ws", "rev-parse", "HEAD")
    assert bundle["artifacts"] == [{"role": "artifact_path", "path": "reports/x.md", "exists": False, "sha256": ""}]
    assert [each["cache_status"] for each in bundle["external_inputs"]] == ["uncached", "cached"]
    assert bundle["prompt"]["sha256"] == hashlib.sha256(run.prompt.encode()).hexdigest()
    assert bundle["rt_version"]
    assert adapter["tool_version"] == "fake 1.2"


def test_no_value_of_a_variable_is_in_it(bench: Bench) -> None:
    run = went(bench)
    assert b"tok-canary" not in run.text(run.one("run.started").bundle)


def test_bn7_the_document_is_canonical_and_named_by_its_digest(bench: Bench) -> None:
    run = went(bench)
    text = run.one("run.started").bundle
    content = run.text(text)
    assert hashlib.sha256(content).hexdigest() == text.sha256
    assert canonical(run.bundle) == content


@pytest.mark.parametrize("adapter", ["coder", "hermes"])
def test_the_runs_of_one_task_have_one_hash(bench: Bench, adapter: str) -> None:
    """Also where its payload is cut, and the prompt names a private file of the run."""
    bench.program("codex", f"if number == 1: sys.exit(1)\n{GOOD}")
    task = bench.queue(requested_adapter=adapter, payload={"rows": ["x" * 500] * 40})
    first, second = bench.settle(task)
    assert hashes(first) == hashes(second)
    assert first.bundle["bundle_id"] != second.bundle["bundle_id"]
    assert first.bundle["prompt"]["cuts"], "else the test proves less than it says"
    assert first.prompt != second.prompt


def test_bn4_equal_work_of_another_task_has_the_same_input_hash(bench: Bench) -> None:
    given: dict[str, Any] = {"subject": "s", "description": "d", "payload": {"n": 1}}
    first, second = went(bench, **given), went(bench, **given)
    assert first.task != second.task
    assert hashes(first)[0] != hashes(second)[0]
    assert hashes(first)[1] == hashes(second)[1]


@pytest.mark.parametrize(
    "other",
    [
        {"description": "another"},
        {"subject": "another"},
        {"payload": {"n": 2}},
        {"priority": 9},
        {"kind": "another"},
        {"adapter": "hermes"},
        {"requested_profile": "it"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_any_other_input_gives_other_hashes(bench: Bench, other: dict[str, Any]) -> None:
    given: dict[str, Any] = {"adapter": "coder", "description": "d", "payload": {"n": 1}}
    first, second = hashes(went(bench, **given)), hashes(went(bench, **(given | other)))
    assert first[0] != second[0]
    assert first[1] != second[1]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"never"', '"always"'),
        ("Be kind.", "Be short."),
        ("[adapters.coder]", '[adapters.coder]\nsandbox = "read-only"'),
    ],
    ids=["arguments", "policy", "sandbox"],
)
def test_a_change_of_the_configuration_gives_another_input_hash(bench: Bench, old: str, new: str) -> None:
    first = hashes(went(bench, payload={"n": 1}))
    before = (bench.folder / "rt.toml").read_text()
    (bench.folder / "rt.toml").write_text(before.replace(old, new))
    second = hashes(went(bench, payload={"n": 1}))
    (bench.folder / "rt.toml").write_text(before)
    assert first[1] != second[1]


# grades


def test_a_coding_agent_in_a_clean_repository_is_not_replayable_by_its_model(bench: Bench) -> None:
    assert went(bench).one("run.started").grade == "non_replayable_model"


def test_bn2_a_pinned_model_in_a_clean_repository_has_frozen_inputs(bench: Bench) -> None:
    assert went(bench, "model", payload=IN_WS).one("run.started").grade == "inputs_frozen"


@pytest.mark.parametrize(
    ("adapter", "payload"),
    [
        ("nowhere", {}),
        ("model", IN_WS | {"external_inputs": ["https://example.org/a"]}),
        ("model", IN_WS | {"external_inputs": [{"name": "x", "cache_path": " "}]}),
        ("model", IN_WS | {"external_inputs": [7]}),
    ],
    ids=["no repository", "an uncached input", "a blank cache", "an input that is none"],
)
def test_bn2_unknown_is_not_clean(bench: Bench, adapter: str, payload: dict[str, Any]) -> None:
    assert went(bench, adapter, payload=payload).one("run.started").grade == "best_effort"


def test_bn3_a_dirty_workspace_is_best_effort_and_its_difference_has_a_digest(bench: Bench) -> None:
    (bench.folder / "ws/a.py").write_text("a = 2\n")
    first = went(bench, "model", payload=IN_WS)
    (bench.folder / "ws/a.py").write_text("a = 3\n")
    second = went(bench, "model", payload=IN_WS)
    git(bench.folder / "ws", "checkout", "-q", "a.py")
    assert first.one("run.started").grade == "best_effort"
    assert first.bundle["workspace"]["dirty"] is True
    assert first.bundle["workspace"]["diff_sha256"] != second.bundle["workspace"]["diff_sha256"]


def test_bn6_hooks_and_monitors_of_a_repository_are_not_run(bench: Bench) -> None:
    workspace = bench.folder / "ws"
    (workspace / ".git/monitor").write_text(f"#!/bin/sh\ntouch {bench.folder}/monitored\n")
    (workspace / ".git/monitor").chmod(0o755)
    before = (workspace / ".git/config").read_text()
    git(workspace, "config", "core.fsmonitor", f"{workspace}/.git/monitor")
    run = went(bench)
    (workspace / ".git/config").write_text(before)
    assert run.bundle["workspace"]["kind"] == "git"
    assert not (bench.folder / "monitored").exists()


def test_pr1_what_is_remembered_and_what_was_said_in_the_thread_reaches_the_prompt(bench: Bench) -> None:
    """As much of it as the profile says; a profile that remembers nothing is told nothing."""
    bench.program("codex", GOOD)
    bench.place.ok("memory", "remember", "port", "the server listens on 8080")
    for goal in ("the first question", "the second question"):
        bench.run(requested_profile="keen", thread="talk", payload=IN_WS | {"goal": goal})
    bench.place.ok("memory", "remember", "--scope", "thread:talk", "name", "the user is called Ann")
    bench.run(requested_profile="keen", thread="talk", payload=IN_WS | {"goal": "the third question"})
    bench.run(requested_profile="it", payload=IN_WS | {"goal": "another question"})
    *_, third, other = (seen.stdin.decode() for seen in bench.seen("codex"))
    assert "- port: the server listens on 8080" in third
    assert "- name: the user is called Ann" in third
    assert "user: the second question" in third
    assert "the first question" not in third, "two messages, the oldest left out"
    assert "8080" not in other


def test_bn7_a_text_that_was_changed_where_it_is_stored_starts_nothing(bench: Bench) -> None:
    bench.program("codex", GOOD)
    task = bench.queue(requested_adapter="coder", payload=IN_WS | {"goal": "as it was asked for"})
    with sqlite3.connect(bench.place.state / "log.db") as db:
        forged = json.dumps({"description": "", "payload": IN_WS | {"goal": "something else"}}).encode()
        db.execute("UPDATE blobs SET codec = 0, data = ? WHERE scope = ?", (forged, task))
    bench.place.rt("run-once")
    assert bench.seen("codex") == []
    (run,) = bench.settle(task)
    assert (run.one("run.refused").cause, run.one("run.refused").message) == ("bundle_failed", "log.text_damaged")
    assert bench.status(task)[0] == "blocked"
    with sqlite3.connect(bench.place.state / "log.db") as db:  # the other tests' home is whole again
        db.execute("DELETE FROM blobs WHERE scope = ?", (task,))
