"""The frozen inputs of a run: same inputs, same bytes, and no value of a variable among them."""

import json
from typing import Any

import msgspec
import pytest

from adapters.canonical import canonical
from domain.bundle import child_environment, compile_run, task_variables
from domain.bundle_parts import Compiled
from domain.calls import CallInput
from domain.config import Adapter, Config, Retry, Work
from domain.events import Policy, RunRefused, RunStarted
from domain.ids import effect_key, text_of
from domain.run import Run
from domain.task import Status, Task
from tests.story import RUN, TASK

SECRET = "hunter2-hunter2"  # noqa: S105  # a canary
SCRIPT = Adapter(
    command="./bin/s", args=("-v",), working_dir="w", timeout_s=7, env={"GH_TOKEN": SECRET, "A": "1"}, effect="once"
)
RUN_STATE = Run(run=RUN, task=TASK, dispatcher="d", epoch=1, attempt=1, max_attempts=3)
FOLDERS = {"artifacts": "/a", "state": "/s", "payload_file": "/p.json"}


def config(script: Adapter = SCRIPT, **fields: Any) -> Config:  # noqa: ANN401  # fields of Config
    return Config(adapters={"script": script}, **fields)


def compiled(payload: dict[str, Any], *, adapter: str = "", of: Config | None = None, task: str = TASK) -> Compiled:
    stored = json.dumps({"description": "", "payload": payload}).encode()
    state = Task(
        task=task,
        version=1,
        status=Status.RUNNING,
        kind="k",
        source="s",
        subject="",
        adapter=adapter,
        profile="",
        priority=5,
        payload=text_of(stored),
        attempts=1,
        max_attempts=3,
        epoch=1,
        created_at_us=1,
        updated_at_us=1,
        queued_position=1,
    )
    return compile_run(state, stored, of or config(), "/home/p", canonical=canonical)


def call(made: Compiled) -> CallInput:
    assert made.call is not None, made.fact
    return made.call


def policy(made: Compiled) -> Policy:
    assert isinstance(made.fact, RunStarted)
    return made.fact.policy


def refusal(made: Compiled) -> str:
    assert isinstance(made.fact, RunRefused)
    assert made.call is None
    return made.fact.cause


# bytes


def test_the_same_inputs_give_the_same_bytes() -> None:
    one, other = compiled({"args": []}, adapter="script"), compiled({"args": []}, adapter="script")
    assert one.texts == other.texts
    assert one.fact == other.fact


def test_the_fact_names_the_texts_that_are_to_be_stored() -> None:
    made = compiled({"argv": ["ls"]})
    assert isinstance(made.fact, RunStarted)
    assert (made.fact.bundle, made.fact.call) == tuple(map(text_of, made.texts))
    assert msgspec.json.decode(made.texts[1], type=CallInput) == made.call


@pytest.mark.parametrize(
    "other",
    [
        compiled({"argv": ["ls", "-l"]}),
        compiled({"argv": ["ls"], "timeout_s": 5}),
        compiled({"argv": ["ls"], "cwd": "x"}),
        compiled({"argv": ["ls"], "note": "another payload"}),
        compiled({"argv": ["ls"]}, of=config(retry=Retry(backoff_s=1))),
        compiled({"argv": ["ls"]}, of=config(work=Work(kill_grace_s=1))),
    ],
    ids=["argv", "timeout", "cwd", "payload", "retry", "work"],
)
def test_any_other_input_gives_another_bundle(other: Compiled) -> None:
    assert other.texts[0] != compiled({"argv": ["ls"]}).texts[0]


def test_equal_work_has_equal_hashes_and_another_task_another_bundle_but_the_same_inputs() -> None:
    """BN-4."""
    one, again, other = (compiled({"argv": ["ls"]}, task=task).fact for task in (TASK, TASK, "b" * 32))
    assert isinstance(one, RunStarted)
    assert isinstance(again, RunStarted)
    assert isinstance(other, RunStarted)
    assert (one.bundle_hash, one.input_hash) == (again.bundle_hash, again.input_hash)
    assert one.bundle_hash != other.bundle_hash
    assert one.input_hash == other.input_hash
    assert len(one.bundle_hash) == len(one.input_hash) == 64


def test_what_surrounds_a_plain_command_was_not_looked_at_and_its_grade_says_so() -> None:
    """BN-2: unknown is not clean."""
    fact = compiled({"argv": ["ls"]}).fact
    assert isinstance(fact, RunStarted)
    assert fact.grade == "best_effort"


def test_no_value_of_a_variable_stands_in_the_stored_texts() -> None:
    made = compiled({}, adapter="script")
    assert SECRET.encode() not in b"".join(made.texts)
    assert call(made).adapter_env == ("A", "GH_TOKEN")


# the built-in adapter


def test_the_built_in_adapter_runs_the_payloads_argv() -> None:
    made = call(compiled({"argv": ["ls", "-l"], "cwd": "sub"}))
    assert (made.argv, made.cwd, made.payload_file) == (("ls", "-l"), "/home/p/sub", False)


def test_the_built_in_adapter_gives_a_shell_line_to_the_shell() -> None:
    assert call(compiled({"shell": "ls | wc"})).argv == ("/bin/sh", "-c", "ls | wc")


@pytest.mark.parametrize(("cwd", "found"), [("", "/home/p"), ("sub", "/home/p/sub"), ("/abs", "/abs")])
def test_a_relative_folder_begins_at_the_configuration(cwd: str, found: str) -> None:
    assert call(compiled({"argv": ["ls"], "cwd": cwd})).cwd == found


def test_the_built_in_adapter_goes_by_exit_code_and_has_no_timeout_of_its_own() -> None:
    found = policy(compiled({"argv": ["ls"]}))
    assert (found.outcome, found.timeout_us, found.effect) == ("exit", 0, "idempotent")


def test_a_payload_without_a_command_is_refused() -> None:
    assert refusal(compiled({})) == "invalid_payload"


def test_the_default_adapter_runs_what_names_none() -> None:
    assert call(compiled({}, of=config(default_adapter="script"))).adapter == "script"


def test_an_adapter_that_is_gone_is_refused_and_the_configured_ones_are_named() -> None:
    made = compiled({"argv": ["ls"]}, adapter="gone")
    assert refusal(made) == "adapter_not_found"
    assert isinstance(made.fact, RunRefused)
    assert made.fact.message == "no adapter 'gone'; configured: command, script"


# scripts


def test_a_script_runs_where_its_adapter_says() -> None:
    made = call(compiled({}, adapter="script"))
    assert (made.argv, made.cwd, made.payload_file) == (("/home/p/./bin/s", "-v"), "/home/p/w", True)


def test_a_script_without_a_slash_is_looked_up_in_the_path() -> None:
    assert call(compiled({}, adapter="script", of=config(Adapter(command="python3")))).argv == ("python3",)


def test_a_scripts_policy_is_its_adapters() -> None:
    found = policy(compiled({}, adapter="script"))
    assert (found.outcome, found.effect, found.timeout_us) == ("json", "once", 7_000_000)
    assert found.exit_permanent == (64, 77, 126, 127)


def test_a_tasks_timeout_comes_before_its_adapters() -> None:
    assert policy(compiled({"timeout_s": 0.5}, adapter="script")).timeout_us == 500_000


def test_sx1_arguments_of_a_task_are_refused_unless_the_adapter_allows_them() -> None:
    assert refusal(compiled({"args": ["x"]}, adapter="script")) == "task_args_refused"


def test_sx1_allowed_arguments_follow_a_double_dash_so_that_none_is_an_option() -> None:
    adapter = Adapter(command="s", args=("-v",), allow_task_args=True)
    made = call(compiled({"args": ["--rf", "x"]}, adapter="script", of=config(adapter)))
    assert made.argv == ("s", "-v", "--", "--rf", "x")


def test_sx1_options_need_a_permission_of_their_own() -> None:
    adapter = Adapter(command="s", allow_task_args=True, allow_task_options=True)
    assert call(compiled({"args": ["--rf"]}, adapter="script", of=config(adapter))).argv == ("s", "--rf")


def test_sx1_the_permission_for_options_alone_allows_nothing() -> None:
    adapter = Adapter(command="s", allow_task_options=True)
    assert refusal(compiled({"args": ["--rf"]}, adapter="script", of=config(adapter))) == "task_args_refused"


def test_sx1_no_arguments_need_no_permission_and_no_dash() -> None:
    assert call(compiled({"args": []}, adapter="script", of=config(Adapter(command="s")))).argv == ("s",)


# the child's environment

ENVIRON = {
    "PATH": "/bin",
    "HOME": "/root",
    "LC_ALL": "C",
    "LD_PRELOAD": "x.so",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "CI": "1",
    "RT_HOME": "/h",
}


def environment(adapter: Adapter, task: dict[str, str] | None = None) -> dict[str, str]:
    of = config(adapter)
    return child_environment(call(compiled({}, adapter="script", of=of)), of, ENVIRON, task or {})


def test_the_environment_is_an_allow_list() -> None:
    assert environment(Adapter(command="s")) == {"PATH": "/bin", "HOME": "/root", "LC_ALL": "C"}


def test_an_adapter_names_what_it_inherits_beside_the_list() -> None:
    assert environment(Adapter(command="s", inherit_env=("CI", "NOT_SET"))) == {
        "PATH": "/bin",
        "HOME": "/root",
        "LC_ALL": "C",
        "CI": "1",
    }


def test_an_adapter_may_inherit_everything() -> None:
    assert environment(Adapter(command="s", inherit_env="all")) == ENVIRON


def test_an_adapters_own_variables_come_before_inherited_ones_and_the_tasks_before_both() -> None:
    found = environment(Adapter(command="s", env={"PATH": "/mine", "RT_RUN_ID": "forged"}), {"RT_RUN_ID": "real"})
    assert (found["PATH"], found["RT_RUN_ID"]) == ("/mine", "real")


def test_only_variables_that_the_bundle_names_reach_the_child() -> None:
    of = config()
    named = msgspec.structs.replace(call(compiled({}, adapter="script", of=of)), adapter_env=("A",))
    assert "GH_TOKEN" not in child_environment(named, of, ENVIRON, {})


def test_the_built_in_adapter_inherits_the_list_only() -> None:
    of = config()
    assert child_environment(call(compiled({"argv": ["ls"]})), of, ENVIRON, {}).keys() == {"PATH", "HOME", "LC_ALL"}


# what a call is told


def test_every_call_is_told_its_ids_and_its_effect_key() -> None:
    told = task_variables(RUN_STATE, 1, name="rt", folders=FOLDERS, payload=None)
    assert told == {"RT_TASK_ID": TASK, "RT_RUN_ID": RUN, "RT_EFFECT_KEY": effect_key(RUN, 1)}


def test_the_effect_key_is_the_same_on_a_repetition_and_another_for_another_call() -> None:
    assert effect_key(RUN, 1) == effect_key(RUN, 1)
    assert len({effect_key(RUN, 1), effect_key(RUN, 2), effect_key(TASK, 1)}) == 3


def test_a_script_is_told_under_both_names() -> None:
    told = task_variables(RUN_STATE, 1, name="n", folders=FOLDERS, payload=b"{}")
    for prefix in ("RT_", "AGENT_RUNTIME_"):
        assert told[f"{prefix}NAME"] == "n"
        assert told[f"{prefix}TASK_ID"] == TASK
        assert told[f"{prefix}ATTEMPT_ID"] == RUN
        assert told[f"{prefix}ARTIFACT_DIR"] == "/a"
        assert told[f"{prefix}STATE_DIR"] == "/s"
        assert told[f"{prefix}TASK_PAYLOAD_JSON"] == "{}"
    assert told["RT_TASK_PAYLOAD_FILE"] == "/p.json"


@pytest.mark.parametrize(("size", "fits"), [(102_400, True), (102_401, False)])
def test_sx2_a_payload_beyond_100_kib_reaches_a_script_as_a_file_only(size: int, fits: bool) -> None:  # noqa: FBT001
    told = task_variables(RUN_STATE, 1, name="n", folders=FOLDERS, payload=b"x" * size)
    assert ("AGENT_RUNTIME_TASK_PAYLOAD_JSON" in told) is fits
    assert told["RT_TASK_PAYLOAD_FILE"] == "/p.json"
