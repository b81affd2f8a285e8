"""Where an agent's variables come from, who resolves its credentials, and that no secret stays anywhere.

Work and adapters, sections 8 and 20.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.bundle import BASE_ENV
from tests.commands.fakes import Bench, allowed
from tests.commands.place import Place, finished, until

CANARIES = {
    "env_file": "tok-canary-envfile-91c2",
    "own": "tok-canary-own-5e07",
    "command": "tok-canary-command-77aa",
    "file": "tok-canary-file-1d3b",
    "env": "tok-canary-env-c0de",
    "keyring": "tok-canary-keyring-b1f8",
    "inherited": "tok-canary-inherited-04f1",
    "master": "tok-canary-master-e2e2",
}
ADAPTERS = """
[adapters.coder]
kind = "codex"
command = "./codex"
env_file = "coder.env"
env = {{ PLAIN = "from the adapter", OWN_TOKEN = "{own}" }}
inherit_env = ["CHOSEN_TOKEN"]
timeout_s = 30
[adapters.missing]
kind = "codex"
command = "./codex"
env_file = "nowhere.env"
[adapters.optional]
kind = "codex"
command = "./codex"
env_file = "nowhere.env"
env_file_optional = true
[adapters.damaged]
kind = "codex"
command = "./codex"
env_file = "damaged.env"
[adapters.all]
kind = "codex"
command = "./codex"
inherit_env = "all"
[adapters.keyed]
kind = "codex"
command = "./codex"
env = {{ API_TOKEN_CREDENTIAL = "the-id", PLAIN = "x" }}
[adapters.script]
kind = "script"
command = "./codex"
outcome = "text"
env = {{ API_TOKEN_CREDENTIAL = "the-id" }}
[adapters.large]
kind = "codex"
command = "./codex"
env_file = "large.env"
"""
RESOLVERS = {
    "command": '[credentials]\nresolver = "command"\nargv = ["./keeper"]\nstdin_env = "MASTER"\ntimeout_s = 5\n',
    "file": '[credentials]\nresolver = "file"\nfolder = "keys"\n',
    "env": '[credentials]\nresolver = "env"\n',
    "keyring": '[credentials]\nresolver = "keyring"\nservice = "of the agents"\ntimeout_s = 20\n',
}
KEYRING = """
from keyring.backend import KeyringBackend

class Keeper(KeyringBackend):
    priority = 1

    def get_password(self, service, name):
        return {{("of the agents", "the-id"): {value!r}}}.get((service, name))

    def set_password(self, service, name, password):
        raise NotImplementedError
"""
SECRETS_AND_ALL = """
import base64
tokens = [value for name, value in os.environ.items() if "TOKEN" in name]
for each in tokens:
    out(each + "\\n")
    out(base64.b64encode(each.encode()).decode() + "\\n")
    err("the token is " + each + "\\n")
    half = len(each) // 2
    out(each[:half])
    time.sleep(0.05)
    out(each[half:] + "\\n")
last(DONE | {"operator_summary": "tokens: " + " ".join(tokens)})
"""


def config(bench: Bench, resolver: str = "") -> None:
    """The configuration, with one who resolves."""
    bench.config(ADAPTERS.format(own=CANARIES["own"]) + RESOLVERS.get(resolver, ""))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One home for all. At the end each run replays, and no canary is in any file of it."""
    outside = {"CHOSEN_TOKEN": CANARIES["inherited"], "MASTER": CANARIES["master"], "OTHER_TOKEN": "tok-other-4d2e"}
    made = Bench(Place(tmp_path_factory.mktemp("env"), outside))
    folder = made.folder
    (folder / "coder.env").write_text(
        f"# mine\nexport FILE_TOKEN={CANARIES['env_file']}\nPLAIN=from the file\nQ='a b'\n"
    )
    (folder / "damaged.env").write_bytes(b"A=\xff\xfe\n")
    (folder / "large.env").write_text("BIG=" + "x" * 140_000 + "\n")
    (folder / "keys").mkdir(mode=0o700)
    (folder / "keys/the-id").write_text(CANARIES["file"] + "\n")
    (folder / "keys/the-id").chmod(0o600)
    own_keyring(folder, tmp_path_factory.mktemp("keyring"))
    made.program("codex", SECRETS_AND_ALL)
    config(made)
    yield made
    config(made)
    made.replays()
    for path, content in made.everything():
        for name, canary in CANARIES.items():
            assert canary.encode() not in content, (name, path)


def own_keyring(home: Path, elsewhere: Path) -> None:
    """A keyring that the real library finds as a user would tell it: by the file in the home."""
    (elsewhere / "keepsake.py").write_text(KEYRING.format(value=CANARIES["keyring"]))
    told = home / ".config/python_keyring/keyringrc.cfg"
    told.parent.mkdir(parents=True)
    told.write_text(f"[backend]\ndefault-keyring=keepsake.Keeper\nkeyring-path={elsewhere}\n")


def test_config_check_tells_what_an_env_file_does_not_set(place: Place) -> None:
    file = place.folder / "a.env"
    file.write_text('A=1\nnothing here\nB=\'x\nC="x" # y\n')
    file.chmod(0o644)
    place.config('[adapters.a]\ncommand = "/bin/true"\nenv_file = "a.env"\n')
    assert place.json("config", "check")["warnings"] == [
        f"{file}: others can read or write it; chmod 600",
        f"{file}: sets nothing in line 2; expected NAME=value",
        f"{file}: a quote that nothing closes stays part of the value in lines 3, 4",
    ]
    file.write_text("A=1\n")
    file.chmod(0o600)
    assert place.json("config", "check")["warnings"] == []
    file.write_bytes(b"A=\xff\n")
    assert len(place.json("config", "check")["warnings"]) == 1


def keeper(bench: Bench, body: str) -> None:
    """The program that is asked for credentials."""
    bench.place.script("keeper", f"#!/bin/sh\n{body}\n")


# variables


def test_ad5_the_environment_is_the_list_the_env_file_the_adapter_and_the_task(bench: Bench) -> None:
    """Section 20: base < env file < adapter; AD-5: what else the dispatcher has does not reach it."""
    config(bench)
    bench.program("codex", "last(DONE)")
    bench.run(requested_adapter="coder", env={"LC_TIME": "C", "AGENT_SECRET": "no", "LD_PRELOAD_X": "no"})
    (seen,) = bench.seen("codex")
    assert allowed(seen) == {"PLAIN", "Q", "FILE_TOKEN", "OWN_TOKEN", "CHOSEN_TOKEN"}
    assert (seen.env["PLAIN"], seen.env["Q"]) == ("from the adapter", "a b")
    assert seen.env["LC_TIME"] == "C"
    assert seen.env["CHOSEN_TOKEN"] == CANARIES["inherited"]
    assert {name for name in BASE_ENV if name in seen.env} >= {"PATH", "HOME", "LANG"}


def test_ad5_all_is_the_old_behavior(bench: Bench) -> None:
    bench.program("codex", "last(DONE)")
    bench.run(requested_adapter="all", env={"ANYTHING": "goes"})
    assert bench.seen("codex")[0].env["ANYTHING"] == "goes"


def test_the_task_is_told_under_both_names(bench: Bench) -> None:
    bench.program("codex", "last(DONE)")
    run = bench.run(requested_adapter="all", payload={"n": 1})
    (seen,) = bench.seen("codex")
    for prefix in ("RT_", "AGENT_RUNTIME_"):
        assert seen.env[f"{prefix}TASK_ID"] == run.task
        assert seen.env[f"{prefix}ATTEMPT_ID"] == run.run
        assert seen.env[f"{prefix}TASK_PAYLOAD_JSON"] == '{"n":1}'


@pytest.mark.parametrize(("adapter", "cause"), [("missing", "env_file_missing"), ("damaged", "env_file_invalid")])
def test_cr1_an_env_file_that_is_missing_or_damaged_fails_the_run_before_anything_starts(
    bench: Bench, adapter: str, cause: str
) -> None:
    bench.program("codex", "last(DONE)")
    run = bench.run(requested_adapter=adapter)
    refused = run.one("run.refused")
    assert refused.cause == cause
    assert f"adapters.{adapter}" in refused.message
    assert bench.seen("codex") == []
    assert bench.status(run.task)[0] == "blocked"


def test_cr1_unless_it_is_optional(bench: Bench) -> None:
    bench.program("codex", "last(DONE)")
    assert bench.run(requested_adapter="optional").end == ("completed", "none", "")


def test_ad4_a_variable_that_the_system_would_refuse_starts_nothing(bench: Bench) -> None:
    bench.program("codex", "last(DONE)")
    run = bench.run(requested_adapter="large")
    assert run.end == ("failed", "permanent", "argument_too_large")
    assert bench.seen("codex") == []


# secrets in what it prints


def test_ad6_secrets_of_env_file_adapter_and_environment_leave_all_that_is_printed(bench: Bench) -> None:
    """Also in another form, and across the border of two writes; looked for in all files at the end of the module."""
    config(bench)
    bench.program("codex", SECRETS_AND_ALL)
    run = bench.run(requested_adapter="coder")
    shown = bench.place.ok("run", "output", run.run).out
    assert shown.count(b"\n") >= 9
    for name in ("env_file", "own", "inherited"):
        assert CANARIES[name].encode() not in shown, name
        assert CANARIES[name] not in run.outcome["operator_summary"], name
    assert run.end == ("completed", "none", "")
    assert bench.seen("codex")[0].env["FILE_TOKEN"] == CANARIES["env_file"], "the program itself has it"


def listing() -> bytes:
    return subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, check=True).stdout


def test_cr3_no_secret_stands_in_the_process_table(bench: Bench) -> None:
    config(bench, "command")
    keeper(bench, f'cat > /dev/null; echo \'{{"value": "{CANARIES["command"]}"}}\'')
    bench.program("codex", "time.sleep(20)")
    task = bench.queue(requested_adapter="keyed")
    with bench.place.started("work") as process:
        until(lambda: bench.seen("codex"))
        until(lambda: b"codex" in listing())
        listed = listing()
        bench.place.ok("cancel", task, "--reason", "seen enough")
        os.kill(process.pid, signal.SIGTERM)
        finished(process)
    for name, canary in CANARIES.items():
        assert canary.encode() not in listed, name


# credentials


@pytest.mark.parametrize("adapter", ["keyed", "script"])
@pytest.mark.parametrize("resolver", ["command", "file", "env", "keyring"])
def test_cr2_a_reference_is_resolved_and_leaves_the_environment(bench: Bench, resolver: str, adapter: str) -> None:
    """Section 20: the value under the name without the suffix, and no reference."""
    config(bench, resolver)
    keeper(bench, f'read -r master; [ "$1" = the-id ] && echo \'{{"value": "{CANARIES["command"]}"}}\'')
    bench.program("codex", SECRETS_AND_ALL if adapter == "keyed" else "out(os.environ['API_TOKEN'])")
    run = bench.run(requested_adapter=adapter, env={"the-id": CANARIES["env"], "the_id": CANARIES["env"]})
    (seen,) = bench.seen("codex")
    assert seen.env["API_TOKEN"] == CANARIES[resolver]
    assert "API_TOKEN_CREDENTIAL" not in seen.env
    assert run.end == ("completed", "none", "")
    assert CANARIES[resolver] not in run.outcome["operator_summary"]


def test_cr2_the_master_password_goes_to_standard_input_and_nowhere_else(bench: Bench) -> None:
    config(bench, "command")
    told = bench.folder / "told"
    answer = """echo '{"value": "v-123456"}'"""
    keeper(bench, f'read -r master; echo "$#:$1:${{#master}}:$(env | grep -c "^MASTER=")" > {told}; {answer}')
    bench.program("codex", "last(DONE)")
    bench.run(requested_adapter="keyed")
    assert told.read_text() == f"1:the-id:{len(CANARIES['master'])}:0\n"


@pytest.mark.parametrize(
    "body", ["exit 3", "echo not json", "echo '{}'", 'echo \'{"value": ""}\'', "sleep 60"], ids=lambda body: body[:12]
)
def test_cr4_a_reference_that_cannot_be_resolved_ends_the_run_before_anything_starts(bench: Bench, body: str) -> None:
    """Retryable, with its pause; what the command printed is not quoted."""
    config(bench, "command")
    text = (bench.folder / "rt.toml").read_text()
    (bench.folder / "rt.toml").write_text(text.replace("timeout_s = 5", "timeout_s = 0.5"))
    keeper(bench, f"echo {CANARIES['command']} >&2; {body}")
    bench.program("codex", "last(DONE)")
    run = bench.run(requested_adapter="keyed")
    refused = run.one("run.refused")
    assert refused.cause == "credential_failed"
    assert refused.message.startswith("adapters.keyed: credential ")
    assert CANARIES["command"] not in refused.message
    scheduled = run.one("task.retry_scheduled")
    assert (scheduled.refunded, scheduled.backoff_us >= 1_000_000) == (False, True)
    assert bench.seen("codex") == []


def test_the_message_about_a_credential_names_its_id(bench: Bench) -> None:
    """Section 20: all errors name the id."""
    config(bench, "command")
    keeper(bench, "exit 3")
    assert "the-id" in bench.run(requested_adapter="keyed").one("run.refused").message


def test_cr4_in_the_end_the_task_is_blocked(bench: Bench) -> None:
    config(bench, "command")
    keeper(bench, "exit 3")
    run = bench.run(requested_adapter="keyed", max_attempts=1)
    assert bench.status(run.task) == ("blocked", "attempts_exhausted")


def test_a_file_that_others_may_read_is_no_credential(bench: Bench) -> None:
    """CR-2: its mode is checked."""
    config(bench, "file")
    path = bench.folder / "keys/the-id"
    path.chmod(0o644)
    run = bench.run(requested_adapter="keyed")
    path.chmod(0o600)
    assert run.one("run.refused").cause == "credential_failed"


def test_what_the_keyring_does_not_hold_is_said(bench: Bench) -> None:
    config(bench, "keyring")
    text = (bench.folder / "rt.toml").read_text()
    (bench.folder / "rt.toml").write_text(text.replace("of the agents", "of nobody"))
    refused = bench.run(requested_adapter="keyed").one("run.refused")
    assert (refused.cause, refused.message) == (
        "credential_failed",
        "adapters.keyed: credential 'the-id': the keyring has no such entry",
    )


def test_without_a_resolver_a_reference_is_refused(bench: Bench) -> None:
    config(bench)
    bench.program("codex", "last(DONE)")
    assert bench.run(requested_adapter="keyed").one("run.refused").cause == "credential_failed"
    assert bench.seen("codex") == []


def test_a_dispatcher_killed_while_the_agent_has_its_secret_leaves_none_behind(bench: Bench) -> None:
    """CR-3: the files of the killed run are searched too, at the end of the module."""
    config(bench, "file")
    bench.program("codex", SECRETS_AND_ALL + "\nif number == 1: time.sleep(60)")
    task = bench.queue(requested_adapter="keyed")
    with bench.place.started("work") as process:
        until(lambda: bench.seen("codex"))
        until(lambda: "run.tool_started" in bench.last(task).names)
        until(lambda: list(Path(bench.place.state / "tmp").glob("*.last")))
        os.kill(process.pid, signal.SIGKILL)
        finished(process)
    first, second = bench.settle(task)
    assert (first.end[0], second.end[0]) == ("lost", "completed")
    left = list((bench.place.state / "tmp").iterdir())
    for path in left:
        path.unlink()
    assert left == [], "no private file of the killed run is left"
