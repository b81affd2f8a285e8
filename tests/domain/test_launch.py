"""The command lines of coding agents: exact, bounded, and never freer than a profile allows (sections 8 to 11)."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bounds import ARGUMENT_BYTES_MAX
from domain.errors import InvalidConfig
from domain.launch import (
    STRING_EXTRA_BYTES,
    AgentCli,
    Driver,
    Launch,
    NotLaunchable,
    PromptBy,
    Surroundings,
    bypass_flags,
    capped,
    check,
    launch,
    less_restricted,
    prompt_by,
)

MARK = "say 7f3a2c"
DRIVERS: tuple[Driver, ...] = ("codex", "claude-code", "hermes-agent", "cli")
CODEX_HEAD = ("codex", "exec", "--json", "--skip-git-repo-check", "--ephemeral", "--sandbox")
CODEX_FILES = ("--output-last-message", "/run/last", "--cd", "/repo")
CODEX_START = (*CODEX_HEAD, "workspace-write", *CODEX_FILES)
CLAUDE_BYPASS = (
    "--allow-dangerously-skip-permissions",
    "--dangerously-skip-permissions",
    "--permission-mode",
    "bypassPermissions",
)


def agent(driver: Driver, **fields: Any) -> AgentCli:  # noqa: ANN401  # fields of an agent
    return AgentCli(**({"driver": driver, "command": driver.removesuffix("-code").removesuffix("-agent")} | fields))


def around(prompt: str = MARK, **fields: Any) -> Surroundings:  # noqa: ANN401  # fields of the surroundings
    files = {"cwd": "/repo", "last_message_file": "/run/last", "prompt_file": "/run/prompt"}
    return Surroundings(prompt=prompt, **(files | fields))


def started(driver: Driver, prompt: str = MARK, **fields: Any) -> Launch:  # noqa: ANN401  # fields of an agent
    return launch(agent(driver, **fields), around(prompt))


# codex (section 9)


def test_codex_gets_its_prompt_on_standard_input_and_its_answer_in_a_file() -> None:
    """AD-4."""
    assert started("codex") == Launch(argv=(*CODEX_START, "-"), stdin=MARK.encode(), last_message=True)


PROVIDER = {"provider_id": "near", "provider_name": "Near", "provider_base_url": "https://example.org/v1"}
NEAR = 'model_providers.near={name="Near",base_url="https://example.org/v1",wire_api="responses",'


@pytest.mark.parametrize(
    ("fields", "env", "settings"),
    [
        ({}, {}, ()),
        ({"model": "m-1"}, {}, ('model="m-1"',)),
        ({}, {"CODEX_MODEL": "m-2"}, ('model="m-2"',)),
        ({"model": "m-1"}, {"CODEX_MODEL": "m-2"}, ('model="m-1"',)),
        ({}, {"CODEX_MODEL": ""}, ()),
        ({"model": 'a"b\\c\n\u00e9\U0001f600'}, {}, ('model="a\\"b\\\\c\\n\u00e9\U0001f600"',)),
        ({"provider_id": "near"}, {}, ('model_provider="near"',)),
        ({"provider_id": "near", "provider_name": "Near"}, {}, ('model_provider="near"',)),
        ({"provider_id": "near", "provider_base_url": "https://example.org"}, {}, ('model_provider="near"',)),
        ({"provider_name": "Near", "provider_base_url": "https://example.org/v1"}, {}, ()),
        (PROVIDER, {}, ('model_provider="near"', NEAR + "requires_openai_auth=false}")),
        (
            PROVIDER | {"model": "m-1", "provider_requires_openai_auth": True},
            {},
            ('model="m-1"', 'model_provider="near"', NEAR + "requires_openai_auth=true}"),
        ),
        (
            {},
            {
                "CODEX_MODEL_PROVIDER_ID": "near",
                "CODEX_MODEL_PROVIDER_NAME": "Near",
                "CODEX_BASE_URL": "https://example.org/v1",
            },
            ('model_provider="near"', NEAR + "requires_openai_auth=false}"),
        ),
    ],
)
def test_codex_gets_model_and_provider_as_quoted_settings(
    fields: dict[str, Any], env: dict[str, str], settings: tuple[str, ...]
) -> None:
    found = launch(agent("codex", **fields), around(env=env))
    assert found.argv == (*CODEX_START, *(part for each in settings for part in ("-c", each)), "-")


def test_codex_on_a_trusted_machine_says_so_before_the_extra_arguments() -> None:
    """AD-11: the bypass is named."""
    found = started("codex", autonomy="trusted-vm", extra_args=("--search",), sandbox="read-only")
    flag = "--dangerously-bypass-approvals-and-sandbox"
    assert found.argv == (*CODEX_HEAD, "read-only", *CODEX_FILES, flag, "--search", "-")
    assert found.bypass == (flag,)


# claude-code (section 10)


@pytest.mark.parametrize(
    ("fields", "argv"),
    [
        ({"stream": False}, ("-p", "--output-format", "json")),
        ({}, ("-p", "--output-format", "stream-json", "--verbose")),
        (
            {
                "stream": False,
                "model": "m-1",
                "settings_file": "/s.json",
                "mcp": "none",
                "autonomy": "trusted-vm",
                "extra_args": ("--max-turns", "3"),
            },
            (
                *("-p", "--output-format", "json", "--model", "m-1", "--settings", "/s.json", "--strict-mcp-config"),
                *CLAUDE_BYPASS,
                *("--max-turns", "3"),
            ),
        ),
    ],
    ids=["CC-2 one document", "CC-4 lines while it runs", "CC-3 everything"],
)
def test_claude_code_gets_its_options_in_order_and_its_prompt_on_standard_input(
    fields: dict[str, Any], argv: tuple[str, ...]
) -> None:
    found = started("claude-code", **fields)
    assert (found.argv, found.stdin, found.last_message) == (("claude", *argv), MARK.encode(), False)


def test_claude_code_takes_its_prompt_as_the_last_argument_where_that_is_configured() -> None:
    """CC-2: the argument form is a fallback."""
    found = started("claude-code", stream=False, prompt_by="argument", extra_args=("--debug",))
    assert found.argv == ("claude", "-p", "--output-format", "json", "--debug", MARK)
    assert found.stdin == b""


# hermes-agent (section 11)


def test_hermes_gets_its_prompt_as_an_argument() -> None:
    assert started("hermes-agent") == Launch(argv=("hermes", "chat", "-Q", "-q", MARK), stdin=b"", last_message=False)


def test_hermes_gets_model_bypass_and_extra_arguments_before_the_prompt() -> None:
    found = started("hermes-agent", model="m-1", autonomy="trusted-vm", extra_args=("-t", "web"))
    assert found.argv == ("hermes", "chat", "-Q", "--model", "m-1", "--yolo", "-t", "web", "-q", MARK)
    assert found.bypass == ("--yolo",)


def test_a_prompt_too_large_for_an_argument_can_lie_in_a_file_that_the_agent_reads() -> None:
    """AD-4."""
    large = MARK * ARGUMENT_BYTES_MAX
    with pytest.raises(NotLaunchable):
        started("hermes-agent", large)
    found = started("hermes-agent", large, prompt_by="file")
    assert found.argv[-2:] == ("-q", "Read the file /run/prompt and do what it says.")
    for driver in ("codex", "claude-code"):
        assert started(driver, large, prompt_by="file").stdin == b"Read the file /run/prompt and do what it says."


# any other program


@pytest.mark.parametrize(
    ("args", "fields", "argv"),
    [
        (("run", "{model}", "-C", "{cwd}"), {}, ("run", "-C", "/repo")),
        (("run", "--model={model}"), {}, ("run",)),
        (("run", "--model={model}"), {"model": "m"}, ("run", "--model=m")),
        (("{prompt}",), {"prompt_by": "argument"}, (MARK,)),
        (("--file", "{prompt_file}"), {"prompt_by": "file"}, ("--file", "/run/prompt")),
        (("-o", "{last_message}"), {"answer": "last_message"}, ("-o", "/run/last")),
        (("{cwd}:{model}", "{other}", "{}", ""), {}, ("/repo:", "{other}", "{}", "")),
        (("a",), {"extra_args": ("b",)}, ("a", "b")),
    ],
)
def test_a_template_becomes_arguments_and_what_would_be_empty_is_dropped(
    args: tuple[str, ...], fields: dict[str, Any], argv: tuple[str, ...]
) -> None:
    found = started("cli", args=args, **fields)
    assert found.argv == ("cli", *argv)
    assert found.last_message == (fields.get("answer") == "last_message")
    assert found.stdin == (b"" if "prompt_by" in fields else MARK.encode())


def test_a_prompt_is_not_searched_for_placeholders() -> None:
    found = started("cli", "use {model} and {cwd}", args=("{prompt}",), prompt_by="argument", model="m")
    assert found.argv == ("cli", "use {model} and {cwd}")


# the prompt


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("prompt", ["--yolo", "-", "--dangerously-skip-permissions", "-c x=1"])
def test_a_prompt_as_an_argument_is_never_taken_for_an_option(driver: Driver, prompt: str) -> None:
    found = started(driver, prompt, prompt_by="argument", args=("{prompt}",))
    assert found.argv[-1] == f"\n{prompt}"
    assert found.bypass == ()


def test_to_speak_of_a_bypass_is_not_to_set_it() -> None:
    found = started("hermes-agent", "why is bypassPermissions bad?")
    assert found.bypass == ()


def test_a_half_character_in_a_prompt_is_replaced() -> None:
    assert started("codex", "a\ud800b").stdin == b"a?b"
    assert started("hermes-agent", "a\ud800b").argv[-1] == "a?b"


@given(
    driver=st.sampled_from(DRIVERS),
    way=st.sampled_from(("stdin", "file")),
    prompt=st.text(),
    args=st.lists(st.sampled_from(("{prompt}", "x{prompt}", "{prompt_file}", "{cwd}"))),
)
def test_no_argument_holds_the_prompt_unless_it_is_to(
    driver: Driver, way: PromptBy, prompt: str, args: list[str]
) -> None:
    """AD-4."""
    found = started(driver, f"7f3a2c{prompt}", prompt_by=way, args=tuple(args))
    assert not any("7f3a2c" in each for each in found.argv)


@pytest.mark.parametrize(
    ("driver", "way"), [("codex", "stdin"), ("claude-code", "stdin"), ("hermes-agent", "argument"), ("cli", "stdin")]
)
def test_ad4_a_prompt_takes_standard_input_where_the_agent_reads_it(driver: Driver, way: PromptBy) -> None:
    assert prompt_by(agent(driver)) == way


# sizes


def refused(change: Callable[[], Launch]) -> NotLaunchable:
    with pytest.raises(NotLaunchable) as found:
        change()
    return found.value


def test_ad4_an_argument_may_be_as_large_as_the_system_allows_and_no_larger() -> None:
    fits = "\u00e9" * (ARGUMENT_BYTES_MAX // 2) + "a"
    assert started("hermes-agent", fits).argv[-1] == fits
    problem = refused(lambda: started("hermes-agent", fits + "a"))
    assert problem.cause == "argument_too_large"
    assert problem.message == f"argument 4 has {ARGUMENT_BYTES_MAX + 1} bytes; one may have {ARGUMENT_BYTES_MAX}"


def test_ad4_a_prompt_on_standard_input_may_be_larger_and_hold_a_nul() -> None:
    large = "a" * (ARGUMENT_BYTES_MAX + 1) + "\0"
    assert started("claude-code", large).stdin == large.encode()


def test_ad4_a_nul_in_an_argument_is_refused() -> None:
    problem = refused(lambda: started("hermes-agent", "a\0b"))
    assert (problem.cause, problem.message) == ("nul_in_argument", "argument 4 holds a NUL character")
    assert str(refused(lambda: started("codex", command="a\0"))) == "the command holds a NUL character"


@pytest.mark.parametrize(
    ("value", "cause"), [("s3cret\0", "nul_in_argument"), ("s3cret" * ARGUMENT_BYTES_MAX, "argument_too_large")]
)
def test_ad4_variables_count_too_and_their_values_are_not_told(value: str, cause: str) -> None:
    problem = refused(lambda: launch(agent("codex"), around(env={"TOKEN": value})))
    assert problem.cause == cause
    assert "TOKEN" in problem.message
    assert "s3cret" not in problem.message


def test_ad4_arguments_and_environment_have_one_common_limit() -> None:
    cli, env = agent("cli", args=("abc",)), {"A": "bc"}
    exactly = 3 + 3 + 4 + 3 * STRING_EXTRA_BYTES + 100

    def within(limit: int) -> Launch:
        return launch(cli, around(env=env, inherited_bytes=100, total_bytes_max=limit))

    assert within(exactly).argv == ("cli", "abc")
    problem = refused(lambda: within(exactly - 1))
    assert problem.cause == "argument_too_large"
    assert problem.message.endswith(f"have {exactly} bytes; together they may have {exactly - 1}")


# bypasses

BYPASSES: tuple[tuple[str, ...], ...] = (
    ("--dangerously-bypass-approvals-and-sandbox",),
    ("--dangerously-skip-permissions",),
    ("--allow-dangerously-skip-permissions",),
    ("--dangerously-allow-all",),
    ("--permission-mode", "bypassPermissions"),
    ("--permission-mode=bypassPermissions",),
    ("--settings", '{"permissions":{"defaultMode":"bypassPermissions"}}'),
    ("--sandbox", "danger-full-access"),
    ("--sandbox=danger-full-access",),
    ("-s", "danger-full-access"),
    ("-sdanger-full-access",),
    ("-c", 'sandbox_mode="danger-full-access"'),
    ("--yolo",),
    ("--yo",),
    ("--yolo=true",),
    ("--approval-mode", "yolo"),
    ("--approval-mode=yolo",),
    ("--allow-all-tools",),
)
HARMLESS = ("--search", "-c", "model_reasoning_effort=high", "--max-turns", "3", "--", "-", "{model}", "{prompt}")


@pytest.mark.parametrize("flags", BYPASSES, ids=" ".join)
def test_a_known_bypass_is_recognised_with_its_option_and_nothing_else(flags: tuple[str, ...]) -> None:
    named = " ".join(flags)
    assert bypass_flags(("x", "--search", *flags, "--verbose", "3")) == (named,)
    assert bypass_flags((*flags, *flags)) == (named, named)


def test_an_option_that_has_its_value_already_stays() -> None:
    assert bypass_flags(("--mode=x", "danger-full-access")) == ("danger-full-access",)


@pytest.mark.parametrize(
    "flags",
    [
        ("--permission-mode", "plan"),
        ("--sandbox", "read-only"),
        ("--approval-mode", "default"),
        ("--youtube",),
        ("--allowedTools", "Read"),
    ],
)
def test_what_only_looks_like_a_bypass_is_none(flags: tuple[str, ...]) -> None:
    assert bypass_flags(flags) == ()


@pytest.mark.parametrize("flags", BYPASSES, ids=" ".join)
def test_pr4_a_bypass_hidden_in_the_arguments_is_shown_and_leaves_under_a_cap(flags: tuple[str, ...]) -> None:
    for field in ("extra_args", "args"):
        cli = agent("cli", **{field: ("--search", *flags, "--verbose")})
        assert launch(cli, around()).bypass == (" ".join(flags),)
        assert launch(capped(cli, "restricted"), around()).argv == ("cli", "--search", "--verbose")


@given(
    driver=st.sampled_from(DRIVERS),
    extra=st.lists(st.sampled_from(sorted({each for flags in BYPASSES for each in flags} | set(HARMLESS)))),
    autonomy=st.sampled_from(("restricted", "trusted-vm")),
    sandbox=st.sampled_from(("read-only", "workspace-write", "danger-full-access")),
)
def test_pr4_a_capped_agent_runs_with_no_bypass_whatever_its_configuration_says(
    driver: Driver, extra: list[str], autonomy: str, sandbox: str
) -> None:
    cli = agent(driver, extra_args=tuple(extra), args=tuple(extra), autonomy=autonomy, sandbox=sandbox)
    quarantined = capped(cli, "restricted")
    assert launch(quarantined, around()).bypass == ()
    assert quarantined.autonomy == "restricted"
    assert not less_restricted(cli, quarantined)
    assert capped(quarantined, "restricted") == quarantined


def test_pr4_a_cap_that_allows_all_changes_nothing() -> None:
    cli = agent("codex", autonomy="trusted-vm", sandbox="danger-full-access", extra_args=("--yolo",))
    assert capped(cli, "trusted-vm") is cli


def test_pr4_a_cap_leaves_a_narrower_sandbox_as_it_is() -> None:
    assert capped(agent("codex", sandbox="read-only"), "restricted").sandbox == "read-only"


@pytest.mark.parametrize(("value", "named"), [("1", ("HERMES_YOLO_MODE",)), ("0", ()), ("", ())])
def test_ad11_a_bypass_in_a_variable_is_named_too(value: str, named: tuple[str, ...]) -> None:
    assert launch(agent("hermes-agent"), around(env={"HERMES_YOLO_MODE": value})).bypass == named


# fallback


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {}, False),
        ({}, {"autonomy": "trusted-vm"}, True),
        ({"autonomy": "trusted-vm"}, {}, False),
        ({"sandbox": "read-only"}, {}, True),
        ({}, {"sandbox": "read-only"}, False),
        ({"sandbox": "read-only", "autonomy": "trusted-vm"}, {"sandbox": "workspace-write"}, True),
        ({}, {"extra_args": ("--yolo",)}, True),
        ({}, {"args": ("--yolo",)}, True),
        ({"autonomy": "trusted-vm"}, {"extra_args": ("--yolo",)}, False),
    ],
)
def test_fb3_an_agent_is_less_restricted_by_autonomy_by_sandbox_or_by_a_hidden_flag(
    one: dict[str, Any], other: dict[str, Any], *, expected: bool
) -> None:
    assert less_restricted(agent("codex", **one), agent("cli", **other)) is expected


# the configuration


@pytest.mark.parametrize(
    ("driver", "fields", "where"),
    [
        ("codex", {"command": " "}, "command"),
        ("codex", {"provider_id": 'a"={'}, "provider_id"),
        ("codex", {"args": ("x",)}, "args"),
        ("claude-code", {"answer": "json"}, "answer"),
        ("hermes-agent", {"prompt_by": "stdin"}, "prompt_by"),
        ("cli", {"prompt_by": "argument"}, "args"),
        ("cli", {"args": ("{prompt}",)}, "args"),
        ("cli", {"prompt_by": "file", "args": ("{prompt}",)}, "args"),
        ("cli", {"prompt_by": "file"}, "args"),
        ("cli", {"answer": "last_message"}, "args"),
    ],
)
def test_what_no_launch_could_make_good_is_an_error_that_names_the_field(
    driver: Driver, fields: dict[str, Any], where: str
) -> None:
    with pytest.raises(InvalidConfig) as found:
        check(agent(driver, **fields), "adapters.it")
    assert found.value.fields["where"] == f"adapters.it.{where}"


@pytest.mark.parametrize(
    ("driver", "fields"),
    [
        *((driver, {}) for driver in DRIVERS),
        ("hermes-agent", {"prompt_by": "file"}),
        ("codex", {"prompt_by": "argument", "provider_id": "near-1_x"}),
        ("cli", {"prompt_by": "argument", "args": ("-p", "{prompt}")}),
        ("cli", {"prompt_by": "file", "args": ("{prompt_file}", "{last_message}"), "answer": "last_message"}),
    ],
)
def test_what_can_be_launched_passes(driver: Driver, fields: dict[str, Any]) -> None:
    check(agent(driver, **fields), "adapters.it")
