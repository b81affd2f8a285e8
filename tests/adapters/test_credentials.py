"""Credentials come from real programs, files, variables and keyrings; what fails is named, and no value is ever shown.

CR-1 to CR-4 of the reference. How a run ends that has no credential is tested with the dispatcher.
"""

import asyncio
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

import msgspec
import pytest

from adapters import credentials
from adapters.credentials import (
    Command,
    CommandResolver,
    CredentialProblem,
    EnvResolver,
    FileResolver,
    KeyringResolver,
    Resolver,
    read_env_file,
    references,
    resolved,
)
from adapters.process import LocalProcesses
from domain.bounds import (
    CREDENTIAL_ID_CHARS_MAX,
    CREDENTIAL_OUTPUT_BYTES_MAX,
    CREDENTIALS_MAX,
    ENV_FILE_BYTES_MAX,
    SECRET_BYTES_MAX,
)
from domain.env_file import EnvFile
from domain.errors import InvalidConfig
from domain.ports import ProcessSpec
from tests.adapters.children import is_gone, said

CANARY = "sk-Canary-91c0ffee"
MASTER = "Canary of a master 91c0ffee"
ENVIRON = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "API_TOKEN": CANARY}
ASKED_MAX_S = 10.0  # what a bounded answer may take on a busy machine


def asks(*argv: str, stdin_secret: str | None = None, **options: object) -> CommandResolver:
    command = msgspec.convert({"argv": argv, **options}, Command)
    return CommandResolver(command, ENVIRON, stdin_secret)


def shell(script: str, stdin_secret: str | None = None, **options: object) -> CommandResolver:
    """A resolver whose command is a line of shell; the id is its $0."""
    return asks("sh", "-c", script, stdin_secret=stdin_secret, **options)


def problem_of(resolver: Resolver, name: str = "db-password") -> CredentialProblem:
    """The failure, which must be silent about everything but the id."""
    with pytest.raises(CredentialProblem) as failure:
        resolver.resolve(name)
    assert failure.value.cause == "credential_failed"
    assert failure.value.named == name
    assert repr(name)[1:-1] in str(failure.value)
    assert_silent(failure.value)
    return failure.value


def assert_silent(problem: BaseException) -> None:
    """No value: not in the text, the arguments or attributes, not in a cause, not in a frame of the module."""
    shown = [*traceback.format_exception(problem), *_inside(problem), *_frames(problem.__traceback__)]
    assert not [each for each in shown if "Canary" in each]


def _inside(problem: BaseException | None) -> Iterator[str]:
    while problem is not None:
        yield from (repr(problem), str(problem), repr(problem.args), repr(vars(problem)))
        problem = problem.__cause__ or problem.__context__


def _frames(trace: TracebackType | None) -> Iterator[str]:
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == credentials.__file__:
            yield from map(repr, trace.tb_frame.f_locals.values())
        trace = trace.tb_next


# references


def test_a_key_with_the_suffix_names_a_credential() -> None:
    env = {
        "API_KEY_CREDENTIAL": "id one",
        "PATH": "/bin",
        "DB_CREDENTIAL": "id/two",
        "CREDENTIAL": "x",
        "A_CREDENTIALS": "y",
    }
    assert references(env) == {"API_KEY": "id one", "DB": "id/two"}


@pytest.mark.parametrize(
    ("env", "named", "why"),
    [
        pytest.param({"A_CREDENTIAL": ""}, "A_CREDENTIAL", "the id is empty", id="empty"),
        pytest.param({"A_CREDENTIAL": " \t"}, "A_CREDENTIAL", "the id is empty", id="blank"),
        pytest.param({"_CREDENTIAL": "x"}, "_CREDENTIAL", "names no variable", id="no variable"),
        pytest.param(
            {"A_CREDENTIAL_CREDENTIAL": "x"}, "A_CREDENTIAL_CREDENTIAL", "names no variable", id="of a reference"
        ),
    ],
)
def test_a_reference_that_cannot_be_followed_is_refused(env: dict[str, str], named: str, why: str) -> None:
    with pytest.raises(CredentialProblem, match=f"'{named}': {why}") as failure:
        references({"B_CREDENTIAL": "fine", **env})
    assert (failure.value.cause, failure.value.named) == ("credential_failed", named)


def test_the_references_of_one_environment_are_bounded() -> None:
    env = {f"A{number}_CREDENTIAL": "x" for number in range(CREDENTIALS_MAX)}
    assert len(references(env)) == CREDENTIALS_MAX
    with pytest.raises(CredentialProblem, match=f"{CREDENTIALS_MAX + 1} references; at most {CREDENTIALS_MAX}"):
        references(env | {"B_CREDENTIAL": "x"})


class Counted:
    """A resolver that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def resolve(self, name: str) -> str:
        self.asked.append(name)
        return f"secret of {name}"


def test_references_are_replaced_by_values_and_the_values_are_told() -> None:
    env = {"PATH": "/bin", "KEY_CREDENTIAL": "one", "DB_CREDENTIAL": "two", "DB": "an older value"}
    found, secrets = resolved(env, Counted())
    assert found == {"PATH": "/bin", "KEY": "secret of one", "DB": "secret of two"}
    assert secrets == {"secret of one", "secret of two"}
    assert "KEY_CREDENTIAL" in env


def test_an_id_that_is_named_twice_is_asked_for_once() -> None:
    resolver = Counted()
    found, secrets = resolved({"A_CREDENTIAL": "one", "B_CREDENTIAL": "one"}, resolver)
    assert found == {"A": "secret of one", "B": "secret of one"}
    assert resolver.asked == ["one"]
    assert secrets == {"secret of one"}


def test_without_references_nothing_is_checked() -> None:
    broken = asks("/nonexistent/command", stdin_secret="")
    assert resolved({"PATH": "/bin"}, broken) == ({"PATH": "/bin"}, frozenset())


def test_the_first_reference_that_fails_is_named() -> None:
    resolver = EnvResolver({"good": CANARY})
    with pytest.raises(CredentialProblem, match="'missing'") as failure:
        resolved({"A_CREDENTIAL": "good", "B_CREDENTIAL": "missing"}, resolver)
    assert failure.value.named == "missing"


# what every resolver promises


@pytest.fixture(params=["command", "text command", "file", "env"])
def holding(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Resolver]:
    """Makes a resolver that knows `db-password`, by each way."""

    def made(value: str) -> Resolver:
        file = tmp_path / "db-password"
        file.write_bytes(value.encode("utf-8", "surrogatepass"))
        file.chmod(0o600)
        if request.param == "file":
            return FileResolver(tmp_path)
        if request.param == "env":
            return EnvResolver({"db-password": value})
        if request.param == "text command":
            return asks("cat", str(tmp_path / "{id}"), answer="text")
        file.write_text(msgspec.json.encode({"value": value}).decode() if value.isprintable() else value)
        return asks("cat", str(tmp_path / "{id}"))

    return made


@pytest.mark.parametrize(
    "value", [CANARY, "pässwörd☃", "  spaces inside and around  ", '"quoted"\\', "x" * SECRET_BYTES_MAX]
)
def test_the_value_comes_back_as_it_is(holding: Callable[[str], Resolver], value: str) -> None:
    assert holding(value).resolve("db-password") == value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        pytest.param("", "empty|no JSON", id="empty"),
        pytest.param("   ", "empty", id="blank"),
        pytest.param("abc", "a secret of 3 bytes; 6 to", id="too short to be redacted"),
        pytest.param(CANARY * 500, "a secret of 9000 bytes|more than", id="too long"),
        pytest.param(f"{CANARY}\0", "NUL|no JSON", id="NUL"),
    ],
)
def test_a_value_that_is_of_no_use_fails(holding: Callable[[str], Resolver], value: str, why: str) -> None:
    """Also what redaction could not find later (CR-3)."""
    problem = str(problem_of(holding(value)))
    assert any(each in problem for each in why.split("|"))
    assert "abc" not in problem


@pytest.mark.parametrize(
    ("name", "why"),
    [
        pytest.param("", "the id is empty", id="empty"),
        pytest.param("  ", "the id is empty", id="blank"),
        pytest.param("-rf", "begins with a dash", id="an option"),
        pytest.param("a\nb", "cannot be printed", id="a line break"),
        pytest.param("a\0b", "cannot be printed", id="a NUL"),
        pytest.param("a\x1b[31m", "cannot be printed", id="an escape sequence"),
        pytest.param("a\udc80", "cannot be printed", id="not text"),
        pytest.param("x" * (CREDENTIAL_ID_CHARS_MAX + 1), f"at most {CREDENTIAL_ID_CHARS_MAX} characters", id="long"),
    ],
)
def test_an_id_that_could_be_something_else_is_refused(holding: Callable[[str], Resolver], name: str, why: str) -> None:
    assert why in str(problem_of(holding(CANARY), name))


def test_a_message_is_bounded_however_long_the_id() -> None:
    with pytest.raises(CredentialProblem) as failure:
        EnvResolver({}).resolve("x" * 100_000)
    assert len(str(failure.value)) < 1_000


def test_no_resolver_shows_what_it_holds(tmp_path: Path) -> None:
    """CR-3: neither whole nor by one of its attributes."""
    command = shell("true", MASTER, inherit_env=["API_TOKEN"])
    for resolver in (command, EnvResolver({"x": CANARY}), FileResolver(tmp_path), KeyringResolver("rt")):
        attributes = [getattr(resolver, name) for name in dir(resolver)]
        shown = [repr(resolver), str(resolver), repr(vars(resolver)), *map(repr, attributes), *map(str, attributes)]
        assert not [each for each in shown if "Canary" in each]


# a command


@pytest.mark.parametrize("field", ["value", "password"])
def test_a_command_answers_with_a_value_or_a_password(field: str) -> None:
    assert shell(f"""printf '{{"other": 1, "{field}": "{CANARY}"}}'""").resolve("x") == CANARY


def test_a_value_goes_before_a_password() -> None:
    assert shell("""echo '{"password": "not this one", "value": "this one"}'""").resolve("x") == "this one"


@pytest.mark.parametrize("end", ["", "\\n", "\\r\\n", "\\nsecond line\\n"])
def test_of_a_text_the_first_line_counts(end: str) -> None:
    assert shell(f"printf '{CANARY}{end}'", answer="text").resolve("x") == CANARY


def test_the_id_comes_last_or_where_it_is_wanted() -> None:
    shown = """printf '{"value": "<%s>"}' "$*" """
    assert asks("sh", "-c", shown, "sh", "get", "--").resolve("a b") == "<get -- a b>"
    assert asks("sh", "-c", shown, "sh", "op://{id}/x", "{id}", "-q").resolve("a b") == "<op://a b/x a b -q>"


def test_an_id_is_an_argument_and_no_shell_reads_it(tmp_path: Path) -> None:
    name = f"$(touch {tmp_path}/made); `id` 'x' \\ * {{id}}"
    file = tmp_path / "value"
    asks("sh", "-c", f"""printf '%s' "$1" > {file}; echo '{{"value": "{CANARY}"}}'""", "sh").resolve(name)
    assert file.read_text() == name
    assert [path.name for path in tmp_path.iterdir()] == ["value"]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param(f"echo {CANARY}; exit 3", "ended with status 3", id="non-zero"),
        pytest.param(f"""echo '{{"value": "{CANARY}"}}'; exit 1""", "ended with status 1", id="a value and non-zero"),
        pytest.param(f"echo {CANARY} >&2; exit 1", "ended with status 1", id="stderr"),
        pytest.param(f"""echo '{{"value": "{CANARY}"}}'; kill -9 $$""", "was killed by SIGKILL", id="killed"),
        pytest.param(f"""echo '{{"value": "{CANARY}"}}'; kill -9 0""", "was killed by SIGKILL", id="the group killed"),
        pytest.param("true", "no JSON", id="nothing"),
        pytest.param(f"echo {CANARY}", "no JSON", id="garbage"),
        pytest.param(f"""echo '{{"value": "{CANARY}"'""", "no JSON", id="half of it"),
        pytest.param(f"""echo '{{"value": "{CANARY}"}} {CANARY}'""", "no JSON", id="more than it"),
        pytest.param(f"printf '\\377\\376{CANARY}'", "no JSON", id="not UTF-8"),
        pytest.param("head -c 60000 /dev/zero | tr '\\0' '['", "no JSON", id="deep"),
        pytest.param("head -c 60000 /dev/urandom", "no JSON", id="noise"),
        pytest.param(f"""echo '["{CANARY}"]'""", "no JSON object", id="a list"),
        pytest.param(f"""echo '"{CANARY}"'""", "no JSON object", id="a string"),
        pytest.param(f"""echo '{{"secret": "{CANARY}"}}'""", "neither a `value` nor a `password`", id="another key"),
        pytest.param(f"""echo '{{"value": ["{CANARY}"]}}'""", "not a text", id="a list as value"),
        pytest.param("""echo '{"value": 12345678}'""", "not a text", id="a number"),
        pytest.param("""echo '{"value": null}'""", "not a text", id="null"),
        pytest.param("""echo '{"value": ""}'""", "the value is empty", id="empty"),
        pytest.param(
            """echo '{"value": "", "password": "not this one"}'""", "the value is empty", id="no second choice"
        ),
        pytest.param(f"""printf '{{"value": "{CANARY}\\\\u0000"}}'""", "NUL", id="NUL"),
        pytest.param("exec /nonexistent/command", "ended with status 127", id="nothing to execute"),
    ],
)
def test_a_command_that_gives_no_value_fails_and_is_not_quoted(script: str, why: str) -> None:
    assert why in str(problem_of(shell(script)))


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param("true", "the value is empty", id="nothing"),
        pytest.param(f"printf '\\n{CANARY}\\n'", "the value is empty", id="an empty first line"),
        pytest.param(f"printf '{CANARY}\\377'", "not UTF-8", id="not UTF-8"),
        pytest.param(f"printf '{CANARY}\\0'", "NUL", id="NUL"),
        pytest.param(f"echo {CANARY}; exit 3", "ended with status 3", id="non-zero"),
    ],
)
def test_a_command_that_prints_no_usable_line_fails(script: str, why: str) -> None:
    assert why in str(problem_of(shell(script, answer="text")))


def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    """CR-2: the timeout, and nothing is left."""
    script = f"echo {CANARY}; sleep 600 & echo $! > {tmp_path}/below; echo $$ > {tmp_path}/own; sleep 600"
    began_s = time.monotonic()
    assert "did not end within 1 s" in str(problem_of(shell(script, timeout_s=1)))
    assert 1 <= time.monotonic() - began_s < ASKED_MAX_S
    assert is_gone(int((tmp_path / "own").read_text()))
    assert is_gone(int((tmp_path / "below").read_text()))


def test_a_command_that_ignores_every_polite_signal_is_killed(tmp_path: Path) -> None:
    script = f"trap '' TERM HUP INT PIPE; echo $$ > {tmp_path}/own; while :; do sleep 600; done"
    assert "did not end within 1 s" in str(problem_of(shell(script, timeout_s=1)))
    assert is_gone(int((tmp_path / "own").read_text()))


@pytest.mark.parametrize(("end", "why"), [("exit 1", "status 1"), ("kill -9 $$", "was killed by SIGKILL")])
def test_a_command_that_fails_is_not_asked_again(end: str, why: str, tmp_path: Path) -> None:
    """That is for the retry of the run, with its pause (CR-4): a vault may lock itself after a few wrong tries."""
    assert why in str(problem_of(shell(f"echo started >> {tmp_path}/starts; {end}")))
    assert (tmp_path / "starts").read_text() == "started\n"


def test_a_command_that_closes_its_output_and_hangs_is_killed_too(tmp_path: Path) -> None:
    script = f"""echo '{{"value": "{CANARY}"}}'; echo $$ > {tmp_path}/own; exec >&- 2>&-; sleep 600"""
    assert "did not end within 1 s" in str(problem_of(shell(script, timeout_s=1)))
    assert is_gone(int((tmp_path / "own").read_text()))


@pytest.mark.parametrize("source", ["/dev/zero", "/dev/urandom"])
def test_a_command_that_prints_a_hundred_megabytes_is_stopped(source: str, tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/own; head -c 100000000 {source} && touch {tmp_path}/done; sleep 600"
    assert f"more than {CREDENTIAL_OUTPUT_BYTES_MAX} bytes" in str(problem_of(shell(script)))
    assert is_gone(int((tmp_path / "own").read_text()))
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("answer", ["json", "text"])
def test_the_bound_holds_for_what_comes_with_the_end(answer: str) -> None:
    line = f'{{"value": "{CANARY}"}}'
    room = CREDENTIAL_OUTPUT_BYTES_MAX - len(line) - 1
    fits, does_not = (shell(f"printf '%s\\n%{size}s' '{line}' ''", answer=answer) for size in (room, room + 1))
    assert fits.resolve("x") == (CANARY if answer == "json" else line)
    assert "printed more than" in str(problem_of(does_not))


def test_what_goes_to_stderr_is_nobodys_business() -> None:
    script = f"""head -c 10000000 /dev/zero >&2; echo 0 >&2; echo '{{"value": "{CANARY}"}}'"""
    assert shell(script).resolve("x") == CANARY


def test_a_grandchild_that_keeps_the_output_open_is_not_waited_for(tmp_path: Path) -> None:
    """Nor does it stay."""
    script = f"""sleep 600 & echo $! > {tmp_path}/below; echo '{{"value": "{CANARY}"}}'"""
    began_s = time.monotonic()
    assert shell(script).resolve("x") == CANARY
    assert time.monotonic() - began_s < ASKED_MAX_S
    assert is_gone(int((tmp_path / "below").read_text()))


def test_a_grandchild_in_a_session_of_its_own_is_not_waited_for_either(tmp_path: Path) -> None:
    script = f"""setsid sh -c 'echo $$ > {tmp_path}/below; exec sleep 600' & echo '{{"value": "{CANARY}"}}'"""
    script += f"; while [ ! -s {tmp_path}/below ]; do :; done"
    assert shell(script).resolve("x") == CANARY
    os.kill(int((tmp_path / "below").read_text()), 9)  # an agent of a password manager would stay


def test_a_command_gets_the_allow_list_and_what_it_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OF_THIS_PROCESS", "x")
    names = """printf '{"value": "%s"}' "$(env | cut -d= -f1 | tr '\\n' ' ')" """
    shells_own = {"PWD", "OLDPWD", "SHLVL", "_", "RT_CALL"}
    assert set(shell(names).resolve("x").split()) - shells_own == {"PATH", "HOME", "LC_ALL"}
    named = shell(names, inherit_env=["API_TOKEN", "MISSING"]).resolve("x")
    assert set(named.split()) - shells_own == {"PATH", "HOME", "LC_ALL", "API_TOKEN"}


def test_a_command_has_a_session_of_its_own_and_the_folder_that_is_configured(tmp_path: Path) -> None:
    script = """printf '{"value": "%s %s"}' "$(cut -d' ' -f6 /proc/$$/stat)" "$PWD" """
    session, folder = shell(script, cwd=str(tmp_path)).resolve("x").split()
    assert int(session) not in (0, os.getsid(0))
    assert folder == str(tmp_path)


def test_a_master_password_goes_by_standard_input_and_no_other_way(tmp_path: Path) -> None:
    """CR-2: `ps` shows it nowhere on the way."""
    script = f"""cat /proc/$$/cmdline /proc/$PPID/cmdline /proc/$$/environ /proc/$PPID/environ > {tmp_path}/seen
IFS= read -r line || exit 1; printf '{{"value": "<%s>%s"}}' "$line" "$(cat)" """
    assert shell(script, MASTER).resolve("x") == f"<{MASTER}>"
    assert b"Canary" not in (tmp_path / "seen").read_bytes()
    assert b"sh\0-c\0" in (tmp_path / "seen").read_bytes()


def test_a_command_without_a_master_password_reads_the_end_at_once() -> None:
    assert shell("""printf '{"value": "<%s>empty"}' "$(cat)" """).resolve("x") == "<>empty"


def test_a_command_need_not_read_its_master_password() -> None:
    assert shell(f"""exec <&-; echo '{{"value": "{CANARY}"}}'""", MASTER * 10_000).resolve("x") == CANARY


@pytest.mark.parametrize("missing", ["", "  ", "\n", "Canary\ud800"])
def test_a_master_password_that_is_missing_is_said_to_be(missing: str) -> None:
    assert "master password is missing" in str(problem_of(shell("true", missing)))


def test_a_master_password_in_an_argument_is_refused() -> None:
    assert "stands in an argument" in str(
        problem_of(asks("sh", "-c", "true", f"--password={MASTER}", stdin_secret=MASTER))
    )


@pytest.mark.parametrize(
    "program", ["/nonexistent/command", "no-such-command-anywhere", "./nothing", "plain", "./plain"]
)
def test_a_command_that_is_not_there_is_named(program: str, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("not executable")
    assert f"the command {program} was not found" in str(problem_of(asks(program, cwd=str(tmp_path))))


def test_a_command_with_a_slash_lies_below_its_folder(tmp_path: Path) -> None:
    script = tmp_path / "vault"
    script.write_text(f"""#!/bin/sh\necho '{{"value": "{CANARY} '$1'"}}'\n""")
    script.chmod(0o700)
    assert asks("./vault", cwd=str(tmp_path)).resolve("x") == f"{CANARY} x"


def test_a_name_that_the_shell_knows_too_is_a_program_all_the_same() -> None:
    """`exit` and the like are looked up like any other, so that none is run by the shell in between."""
    assert "was not found" in str(problem_of(asks("exit")))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        pytest.param({"cwd": "/nonexistent"}, "could not be started: No such file", id="no folder"),
        pytest.param({"argv": ("sh", "-c", "x" * 200_000)}, "could not be started: Argument list", id="too long"),
        pytest.param({"argv": ("sh", "-c", "a\0b")}, "could not be started: an argument", id="NUL"),
    ],
)
def test_a_command_that_cannot_be_started_fails(options: dict[str, object], why: str) -> None:
    assert why in str(problem_of(asks(**{"argv": ("true",), **options})))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [{"argv": []}, {"timeout_s": 0}, {"timeout_s": 601}, {"answer": "yaml"}, {"shell": True}, {"argv": "vault get"}],
    ids=repr,
)
def test_a_configured_command_is_checked(wrong: dict[str, object]) -> None:
    """CR-2: a list, never a shell line."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"argv": ["true"], **wrong}, Command)


def test_a_command_is_not_taken_for_a_stray_of_a_call_that_ends(tmp_path: Path) -> None:
    """While a call is ended, its dispatcher looks for what it left behind and ends that; the command is its sibling."""
    stubborn = ("sh", "-c", "trap '' TERM; echo up; while :; do read -r line < gate; done")
    os.mkfifo(tmp_path / "gate")
    value = f"""echo '{{"value": "{CANARY}"}}'"""
    resolvers = [shell(value), shell(f"cat /dev/zero | head -c 50000000 > /dev/null; {value}")]

    async def beside() -> list[str]:
        processes, changed = LocalProcesses(), asyncio.Event()
        env = {"PATH": os.environ["PATH"]}
        processes.spawn(ProcessSpec(call="c1", argv=stubborn, cwd=str(tmp_path), env=env), changed.set)
        await changed.wait()
        processes.kill("c1", 600)
        found = [await asyncio.to_thread(resolver.resolve, "x") for resolver in resolvers * 10]
        processes.close()
        return found

    assert asyncio.run(beside()) == [CANARY] * 20


# files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of credentials with a good one."""
    (tmp_path / "vault").mkdir(mode=0o700)
    secret_file(tmp_path / "vault" / "db-password")
    return tmp_path / "vault"


def secret_file(path: Path, mode: int = 0o600, content: str = f"{CANARY}\n") -> None:
    path.write_text(content)
    path.chmod(mode)


@pytest.mark.parametrize(
    ("content", "value"), [("a secret", "a secret"), ("a secret\n", "a secret"), ("a secret\r\n", "a secret")]
)
def test_a_file_holds_the_value_and_perhaps_the_end_of_a_line(folder: Path, content: str, value: str) -> None:
    (folder / "db-password").write_text(content, newline="")
    assert FileResolver(folder).resolve("db-password") == value


def test_a_file_may_hold_several_lines(folder: Path) -> None:
    (folder / "db-password").write_text("-----BEGIN\nxyz\n-----END\n\n")
    assert FileResolver(folder).resolve("db-password") == "-----BEGIN\nxyz\n-----END\n"


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_file_that_only_its_owner_reads_is_read(folder: Path, mode: int) -> None:
    (folder / "db-password").chmod(mode)
    assert FileResolver(folder).resolve("db-password") == CANARY


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o700, 0o644, 0o666, 0o777, 0o4600])
def test_a_file_that_others_have_access_to_is_not_read(folder: Path, mode: int) -> None:
    """CR-2."""
    (folder / "db-password").chmod(mode)
    if mode == 0o4600:
        assert FileResolver(folder).resolve("db-password") == CANARY  # gives nobody anything
        return
    assert f"the file has mode {mode:04o}; 0600" in str(problem_of(FileResolver(folder)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_somebody_else_is_not_read(folder: Path) -> None:
    os.chown(folder / "db-password", 12345, -1)
    assert "belongs to somebody else" in str(problem_of(FileResolver(folder)))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_folder_of_somebody_else_is_not_trusted(folder: Path) -> None:
    os.chown(folder, 12345, -1)
    assert "others may change the folder" in str(problem_of(FileResolver(folder)))


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_change_is_not_trusted(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert "others may change the folder" in str(problem_of(FileResolver(folder)))


def test_a_symbolic_link_is_not_followed(folder: Path) -> None:
    secret_file(folder.parent / "elsewhere")
    (folder / "link").symlink_to(folder.parent / "elsewhere")
    assert "symbolic link" in str(problem_of(FileResolver(folder), "link"))


@pytest.mark.parametrize("name", ["../elsewhere", "/etc/passwd", "below/db-password", ".", "..", ".hidden"])
def test_an_id_does_not_lead_out_of_the_folder(folder: Path, name: str) -> None:
    (folder / "below").mkdir()
    for path in ("../elsewhere", "below/db-password", ".hidden"):
        secret_file(folder / path)
    assert "not the name of a file" in str(problem_of(FileResolver(folder), name))


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o600)
    assert "not a regular file" in str(problem_of(FileResolver(folder), "pipe"))


def test_a_folder_is_no_credential(folder: Path) -> None:
    (folder / "below").mkdir(mode=0o700)
    assert "Is a directory" in str(problem_of(FileResolver(folder), "below"))


def test_a_huge_file_is_not_read_whole(folder: Path) -> None:
    os.truncate(folder / "db-password", 1 << 40)
    assert f"more than {SECRET_BYTES_MAX + 2} bytes" in str(problem_of(FileResolver(folder)))


def test_a_file_that_is_not_text_fails(folder: Path) -> None:
    (folder / "db-password").write_bytes(CANARY.encode() + b"\xff")
    assert "not UTF-8" in str(problem_of(FileResolver(folder)))


def test_a_missing_file_and_a_missing_folder_are_told_apart(folder: Path) -> None:
    """A missing store and a missing entry."""
    assert "there is no such file" in str(problem_of(FileResolver(folder), "missing"))
    assert "the folder of credentials cannot be opened" in str(problem_of(FileResolver(folder / "missing")))


# variables


def test_a_variable_holds_the_value() -> None:
    assert EnvResolver(ENVIRON).resolve("API_TOKEN") == CANARY


def test_a_missing_variable_is_named() -> None:
    assert str(problem_of(EnvResolver(ENVIRON), "NOTHING")) == "credential 'NOTHING': there is no such variable"


def test_a_variable_that_is_not_utf8_is_handed_on_as_it_is() -> None:
    value = b"\xff\xfesecret".decode("utf-8", "surrogateescape")
    handed_on = EnvResolver({"X": value}).resolve("X") == value
    assert handed_on  # not shown whole: it is not text


# the keyring


@pytest.fixture
def entries() -> Iterator[dict[tuple[str, str], object]]:
    """A keyring in memory behind the real library; an entry that is an exception is raised, an event waited for."""
    import keyring
    from keyring.backend import KeyringBackend

    held: dict[tuple[str, str], object] = {}

    class Memory(KeyringBackend):
        priority = -1  # never chosen by itself

        def get_password(self, service: str, username: str) -> str | None:
            found = held.get((service, username))
            if isinstance(found, Exception):
                raise found
            if isinstance(found, threading.Event):
                found.wait(60)
            return found if isinstance(found, str) else None

        def set_password(self, service: str, username: str, password: str) -> None:
            held[service, username] = password

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())  # type: ignore[no-untyped-call]
    yield held
    keyring.set_keyring(before)


def test_a_keyring_is_asked_for_the_service_and_the_id(entries: dict[tuple[str, str], object]) -> None:
    entries["rt", "db-password"] = CANARY
    assert KeyringResolver("rt").resolve("db-password") == CANARY
    assert "no such entry" in str(problem_of(KeyringResolver("another")))


def test_a_keyring_that_fails_is_not_quoted(entries: dict[tuple[str, str], object]) -> None:
    entries["rt", "db-password"] = RuntimeError(CANARY)
    assert str(problem_of(KeyringResolver("rt"))) == "credential 'db-password': the keyring failed: RuntimeError"


def test_a_keyring_that_waits_for_a_person_is_given_up(entries: dict[tuple[str, str], object]) -> None:
    entries["rt", "db-password"] = gate = threading.Event()
    assert "did not answer within 0.05 s" in str(problem_of(KeyringResolver("rt", timeout_s=0.05)))
    gate.set()


def test_a_keyring_library_that_is_not_there_is_said_to_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "not installed" in str(problem_of(KeyringResolver("rt")))


def test_the_keyring_library_is_not_loaded_before_it_is_asked() -> None:
    source = """
from adapters.credentials import EnvResolver, KeyringResolver
KeyringResolver("rt")
EnvResolver({"x": "a secret"}).resolve("x")
print("keyring" in sys.modules)
"""
    assert said(source) == "False\n"


# env files


def test_an_env_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "some.env").write_bytes(b"\xef\xbb\xbfA=1\r\nexport B='\xc3\xbc'\r\noops\r\n")
    assert read_env_file(tmp_path / "some.env") == EnvFile(values={"A": "1", "B": "ü"}, skipped=(3,))


@pytest.mark.parametrize("path", ["missing.env", "no folder/missing.env", "file/missing.env"])
def test_a_missing_env_file_is_a_problem_unless_it_is_optional(tmp_path: Path, path: str) -> None:
    """CR-1."""
    (tmp_path / "file").touch()
    assert read_env_file(tmp_path / path, optional=True) == EnvFile()
    with pytest.raises(CredentialProblem, match=r"env file '.*missing\.env': there is no such file") as failure:
        read_env_file(tmp_path / path)
    assert (failure.value.cause, failure.value.named) == ("env_file_missing", str(tmp_path / path))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        pytest.param(f"A={CANARY}\xff".encode("latin-1"), "not UTF-8 text", id="not UTF-8"),
        pytest.param(f"A={CANARY}\0".encode(), "line 1 holds a NUL", id="NUL"),
        pytest.param(CANARY.encode() * 20_000, f"more than {ENV_FILE_BYTES_MAX} bytes", id="large"),
    ],
)
def test_an_env_file_that_cannot_be_read_is_refused_and_not_quoted(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "some.env"
    path.write_bytes(content)
    with pytest.raises(InvalidConfig) as refusal:
        read_env_file(path, optional=True)
    assert str(path) in str(refusal.value)
    assert why in str(refusal.value)
    assert_silent(refusal.value)


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_an_env_file_is_a_file(tmp_path: Path, kind: str) -> None:
    if kind == "pipe":
        os.mkfifo(tmp_path / kind)
    else:
        (tmp_path / kind).mkdir()
    with pytest.raises(InvalidConfig, match=r"not a regular file|Is a directory"):
        read_env_file(tmp_path / kind)
