"""The inputs of tools: what is carried out exactly as it is written, and what never is."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import agents, tools
from domain.agent_config import ToolConfig
from domain.calls import CallInput, HttpInput, MemoryInput
from domain.config import Config
from domain.setup import Setup, Tool
from tests.agents import config

LOCAL = Tool(name="local-process", kind="local-process")
SSH = Tool(name="ssh", kind="ssh-command", hosts=("box", "me@other", "[::1]"))
HTTP = Tool(name="web", kind="http-request", hosts=("https://api.example.com", "http://LOCAL.test:8080"))


def refused(tool: Tool, arguments: dict[str, Any]) -> str:
    with pytest.raises(tools.WrongInput) as problem:
        tools.canonical(tool, arguments)
    return str(problem.value)


def described(tool: Tool, arguments: dict[str, Any]) -> CallInput | HttpInput | MemoryInput | None:
    setup: Setup = agents.setup(config(), "it", agents.Given(goal="g", cwd="/folder"))
    return tools.describe(setup, tool, tools.canonical(tool, arguments))


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), max_size=8))
def test_arguments_reach_the_process_as_they_are(args: list[str]) -> None:
    made = described(LOCAL, {"command": "probe", "args": args})
    assert isinstance(made, CallInput)
    assert made.argv == ("probe", *args)
    assert made.cwd == "/folder"


@pytest.mark.parametrize("command", ["ls", "/bin/ls", "./a.out", "python3.11", "/opt/my app/run", "g++", "a_b-c", "ä"])
def test_a_program_is_a_name_or_a_path(command: str) -> None:
    assert msgspec.json.decode(tools.canonical(LOCAL, {"command": command})) == {"command": command, "args": []}


@pytest.mark.parametrize(
    "command",
    [
        "ls -la",
        "ls -la /tmp",
        "rm -rf /",
        " ls",
        "ls ",
        " ",
        "\t",
        "ls\ttmp",
        "ls\u00a0tmp",
        "/bin/ls ",
        "a|b",
        "a;b",
        "a&&b",
        "a&",
        "a>b",
        "a<b",
        "$HOME/x",
        "`x`",
        "$(x)",
        "a\nb",
        "*.py",
        "a?",
        "(a)",
        "{a,b}",
        "[a]",
        "!x",
        '"a"',
        "'a'",
    ],
)
def test_a_shell_line_is_refused_with_a_hint_to_split_it(command: str) -> None:
    assert "args" in refused(LOCAL, {"command": command})


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({}, "command"),
        ({"command": ""}, "$.command"),
        ({"command": 7}, "$.command"),
        ({"command": "a" * 4097}, "$.command"),
        ({"command": "a", "args": "b"}, "$.args"),
        ({"command": "a", "args": [1]}, "$.args[0]"),
        ({"command": "a", "args": ["x" * 131_072]}, "$.args[0]"),
        ({"command": "a", "cwd": "/"}, "cwd"),
        ({"command": "a\0b"}, "NUL"),
        ({"command": "a", "args": ["\0"]}, "NUL"),
        ({"command": "a", "args": ["\ud800"]}, "surrogate"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_and_names_the_field(arguments: dict[str, Any], field: str) -> None:
    assert field in refused(LOCAL, arguments)


def test_the_order_of_fields_does_not_change_the_canonical_form() -> None:
    assert tools.canonical(LOCAL, {"args": ["b"], "command": "a"}) == tools.canonical(
        LOCAL, {"command": "a", "args": ["b"]}
    )


@pytest.mark.parametrize(
    "host",
    [
        "-oProxyCommand=x",
        "--",
        "-l",
        "a b",
        "a\n-oX",
        "@box",
        "-x@box",
        "me@-box",
        "me@@box",
        "box;x",
        "$box",
        "box/..",
        "b\u00f6x",
        "",
        ".box",
        "a@b@box",
        "ssh://box",
        "%h",
        "box\n",
    ],
)
def test_a_host_that_could_be_an_option_is_refused(host: str) -> None:
    refused(SSH, {"host": host, "command": "true"})
    with pytest.raises(tools.WrongInput):
        tools.check_host(host)


def test_only_hosts_of_the_list_are_reached() -> None:
    assert "not on the list" in refused(SSH, {"host": "elsewhere", "command": "true"})
    assert "not on the list" in refused(SSH, {"host": "other", "command": "true"})
    assert "not on the list" in refused(SSH, {"host": "BOX", "command": "true"})
    for host in ("box", "anyone@box", "me@other"):
        tools.canonical(SSH, {"host": host, "command": "true"})


def test_ssh_gets_its_options_before_the_host_and_the_command_in_one_word() -> None:
    made = described(SSH, {"host": "box", "command": "echo 'a b'; id"})
    assert isinstance(made, CallInput)
    *options, dashes, host, command = made.argv
    assert (made.argv[0], dashes, host) == ("ssh", "--", "box")
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "ForwardAgent=no", "PermitLocalCommand=no"):
        assert options[options.index(option) - 1] == "-o"
    assert command.startswith("/bin/sh -c ")


def test_switched_off_host_keys_are_seen_in_the_call() -> None:
    made = described(msgspec.structs.replace(SSH, check_host_keys=False), {"host": "box", "command": "true"})
    assert isinstance(made, CallInput)
    assert "StrictHostKeyChecking=no" in made.argv


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/",
        "https://api.example.com/a?b=http://elsewhere#@elsewhere",
        "https://API.example.com/a",
        "HTTPS://api.example.com/a",
        "http://local.test:8080/a",
    ],
)
def test_an_address_of_the_list_is_allowed_whatever_its_case(url: str) -> None:
    made = described(HTTP, {"url": url})
    assert isinstance(made, HttpInput)
    assert (made.url, made.method) == (url, "GET")


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere/",
        "http://api.example.com/",
        "https://api.example.com:443/",
        "https://api.example.com:8443/",
        "https://api.example.com.elsewhere/",
        "https://api.example.com@elsewhere/",
        "https://user@api.example.com/",
        "https://user:pass@api.example.com/",
        "https://elsewhere#@api.example.com/",
        "https://elsewhere\\@api.example.com/",
        "https://api.example.com\\@elsewhere/",
        "https://api.example.com\\.elsewhere/",
        "https:\\\\api.example.com/",
        "https:/api.example.com/",
        "https:///api.example.com/",
        "//api.example.com/",
        "/a",
        "api.example.com",
        "https://",
        "https://api.example.com./",
        "https://api.example.com:/",
        "https://api.example.com:x/",
        "https://api.example.com:99999/",
        "https://api.example.c\u043em/",
        "https://api\u3002example\u3002com/",
        "https://\uff41pi.example.com/",
        "https://api.example.com%2eelsewhere/",
        "https://[::1/",
        "file:///etc/passwd",
        "ftp://api.example.com/",
        "javascript:alert(1)",
        "http://local.test/",
        "http://127.0.0.1/",
        "https://api.example.com\n@elsewhere/",
        "https://elsewhere/\nhttps://api.example.com",
    ],
)
def test_an_address_that_is_not_on_the_list_is_refused_however_it_is_spelled(url: str) -> None:
    refused(HTTP, {"url": url})


@pytest.mark.parametrize(
    "url", [" https://api.example.com/", "https://api.\nexample.com/", "https://api.example.com/\t"]
)
def test_white_space_in_an_address_is_refused_and_not_repaired(url: str) -> None:
    assert "address" in refused(HTTP, {"url": url})


@pytest.mark.parametrize("method", ["POST", "get", "GET ", "DELETE", "", "G\nET"])
def test_only_methods_of_the_list_are_sent(method: str) -> None:
    refused(HTTP, {"url": "https://api.example.com/", "method": method})


@pytest.mark.parametrize(
    "headers",
    [
        {"x y": "1"},
        {"x:": "1"},
        {"": "1"},
        {"x": "a\r\nhost: elsewhere"},
        {"x": "\u00fc"},
        {"x": "\x7f"},
        {"x": "a\0"},
        {"Host": "elsewhere"},
        {"host": "elsewhere"},
        {"Content-Length": "0"},
        {"Transfer-Encoding": "chunked"},
        {"Connection": "upgrade"},
        {"x": 1},
    ],
)
def test_headers_that_change_the_request_itself_are_refused(headers: dict[str, Any]) -> None:
    refused(HTTP, {"url": "https://api.example.com/", "headers": headers})


def test_a_request_is_described_with_the_bounds_of_its_tool() -> None:
    tool = msgspec.structs.replace(HTTP, bytes_max=10, timeout_us=5, private=True)
    made = described(tool, {"url": "https://api.example.com/", "headers": {"Accept": "a/b"}, "body": "x"})
    assert isinstance(made, HttpInput)
    assert (made.bytes_max, made.total_us, made.private, made.body) == (10, 5, True, "x")


def test_a_question_starts_nothing() -> None:
    tool = Tool(name="ask-person", kind="ask-person")
    assert described(tool, {"question": "who?"}) is None
    assert "$.question" in refused(tool, {"question": ""})


@pytest.mark.parametrize("kind", tools.INPUTS)
def test_each_tool_shows_the_schema_that_is_checked(kind: Any) -> None:  # noqa: ANN401  # a literal
    shown = tools.schema(Tool(name="t", kind=kind))
    assert shown["type"] == "object"
    assert shown["additionalProperties"] is False
    assert set(shown["required"]) <= set(shown["properties"])
    assert "title" not in shown
    assert msgspec.json.decode(msgspec.json.encode(shown)).keys() == shown.keys()


def test_a_discovered_tool_shows_its_own_schema_and_takes_any_object() -> None:
    tool = Tool(name="t", kind="mcp", schema={"type": "object"})
    assert tools.schema(tool) == {"type": "object"}
    assert tools.canonical(tool, {"b": 1, "a": [{}]}) == b'{"a":[{}],"b":1}'


def test_a_profile_gets_its_tools_with_their_limits() -> None:
    given_tool = ToolConfig(kind="http-request", hosts=("https://h",), timeout_s=2, approval="ask", max_bytes=5)
    base = config(tools=("web",), approvals={"web": "deny"})
    made = agents.setup(
        Config(models=base.models, controllers=base.controllers, profiles=base.profiles, tools={"web": given_tool}),
        "it",
        agents.Given(goal="g"),
    )
    tool = made.tool("web")
    assert tool is not None
    assert (tool.approval, tool.timeout_us, tool.bytes_max, tool.methods) == ("deny", 2_000_000, 5, ("GET", "HEAD"))
