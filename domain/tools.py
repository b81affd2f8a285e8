"""The tools that a run may call: their typed inputs, and what each describes. No tool is special to the core."""

import hashlib
import re
import shlex
from functools import cache
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from domain.bounds import ARGUMENT_BYTES_MAX, MEMORY_CHARS_MAX, TOOL_TIMEOUT_S
from domain.calls import CallInput, HttpInput, MemoryInput
from domain.json_text import UNREADABLE
from domain.payload import CallKind
from domain.setup import Setup, Tool

_Argument = Annotated[str, Meta(max_length=ARGUMENT_BYTES_MAX)]
_HOST = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_-]{0,31}@)?[A-Za-z0-9][A-Za-z0-9._:-]{0,254}")


class WrongInput(Exception):  # an answer of this module, which becomes an event
    """The input does not fit the tool."""


class LocalProcess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Run a program of this machine: its name and its arguments, never a shell line."""

    command: Annotated[str, Meta(min_length=1, max_length=4096)]
    args: tuple[_Argument, ...] = ()


class SshCommand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Run a command line on another machine over ssh."""

    host: Annotated[str, Meta(min_length=1, max_length=288)]
    command: Annotated[str, Meta(min_length=1, max_length=32_768)]


class HttpRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Send one HTTP request to an allowed address."""

    url: Annotated[str, Meta(min_length=1, max_length=8192)]
    method: Annotated[str, Meta(pattern="^[A-Z]{3,10}$")] = "GET"
    headers: dict[str, str] = {}
    body: Annotated[str, Meta(max_length=1_048_576)] = ""


class AskPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask a person a question and wait for the answer."""

    question: Annotated[str, Meta(min_length=1, max_length=4_000)]


class Memory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Remember a text under a key, recall what contains all words of a query, or forget a key."""

    do: Literal["remember", "recall", "forget"]
    key: Annotated[str, Meta(max_length=200)] = ""
    text: Annotated[str, Meta(max_length=MEMORY_CHARS_MAX)] = ""
    query: Annotated[str, Meta(max_length=1_000)] = ""
    scope: Literal["workspace", "agent", "thread", "user"] = "thread"


INPUTS: dict[str, type[msgspec.Struct]] = {
    "local-process": LocalProcess,
    "ssh-command": SshCommand,
    "http-request": HttpRequest,
    "ask-person": AskPerson,
    "memory": Memory,
}
_FRAMING = frozenset(  # where a request goes and where it ends: the allow-list is about the address alone
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "expect"}
)
_SSH_OPTIONS = (
    "BatchMode=yes",
    "ForwardAgent=no",
    "ClearAllForwardings=yes",
    "PermitLocalCommand=no",
    "ConnectTimeout=15",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
)


class Discovered(msgspec.Struct, frozen=True):
    """A tool as its server describes it."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")]
    description: Annotated[str, Meta(max_length=4_000)] = ""
    schema: dict[str, Any] = {}


def extended(setup: Setup, server: str, document: bytes) -> Setup:
    """The setup with tools that were discovered at run time: their effect may not be repeated, and a person is asked.

    None replaces a tool that is there, nor one that every profile may have: a server cannot take over a name. What is
    described as no tool can be is left out: a server says what it likes, and a fact is not refused.
    """
    there = {tool.name for tool in setup.tools} | INPUTS.keys()
    new = {
        each.name: Tool(
            name=each.name,
            kind="mcp",
            description=each.description,
            effect="once",
            approval="ask",
            schema=each.schema,
            tags=(server,),
        )
        for each in _discovered(document)
        if each.name not in there
    }
    return msgspec.structs.replace(setup, tools=(*setup.tools, *new.values()))


def schemas(document: bytes) -> dict[str, str]:
    """The digest of each discovered tool's canonical schema: what a later change of it is noticed by."""
    found = _discovered(document)
    return {each.name: hashlib.sha256(msgspec.json.encode(each.schema, order="sorted")).hexdigest() for each in found}


def _discovered(document: bytes) -> list[Discovered]:
    try:
        said = msgspec.json.decode(document)
    except UNREADABLE:
        return []
    found = [_described(each) for each in said] if isinstance(said, list) else []
    return [each for each in found if each is not None]


def _described(each: object) -> Discovered | None:
    try:
        return msgspec.convert(each, Discovered)
    except msgspec.ValidationError:
        return None


def schema(tool: Tool) -> dict[str, Any]:
    """The JSON schema of a tool's input, as a model is shown it."""
    return tool.schema if tool.schema is not None else _schema(tool.kind)


@cache
def _schema(kind: str) -> dict[str, Any]:
    made = msgspec.json.schema(INPUTS[kind])
    found: dict[str, Any] = made["$defs"][INPUTS[kind].__name__]
    return {name: value for name, value in found.items() if name != "title"}


def canonical(tool: Tool, arguments: dict[str, Any]) -> bytes:
    """The arguments in the one form that is digested and carried out. Raises WrongInput naming the field."""
    if tool.kind == "mcp":
        _check_texts(arguments)
        return msgspec.json.encode(arguments, order="sorted")
    try:
        checked = msgspec.convert(arguments, INPUTS[tool.kind])
    except msgspec.ValidationError as problem:
        raise WrongInput(str(problem)[:300]) from None
    _check_texts(arguments)
    match checked:
        case LocalProcess():
            _check_command(checked.command)
        case SshCommand():
            check_host(checked.host)
            if checked.host not in tool.hosts and checked.host.rpartition("@")[2] not in tool.hosts:
                raise WrongInput(f"host {checked.host!r} is not on the list of the tool {tool.name!r}")
        case HttpRequest():
            _check_address(tool, checked)
        case Memory():
            _check_memory(checked)
        case _:
            pass
    return msgspec.json.encode(msgspec.to_builtins(checked), order="sorted")


def _check_texts(arguments: dict[str, Any]) -> None:
    for text in _texts(arguments):
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise WrongInput("a text contains a NUL character or a lone surrogate")


def _check_memory(wanted: Memory) -> None:
    if wanted.do != "recall" and not wanted.key.strip():
        raise WrongInput(f"to {wanted.do} something needs a key")
    if wanted.do == "remember" and not wanted.text.strip():
        raise WrongInput("to remember something needs a text")


def check_host(host: str) -> None:
    """A host name that cannot act as an option. Raises WrongInput."""
    if not _HOST.fullmatch(host):
        raise WrongInput(f"{host[:80]!r} is no host name: letters, digits, . _ : - only, not beginning with a sign")


def describe(setup: Setup, tool: Tool, arguments: bytes) -> CallInput | HttpInput | MemoryInput | None:
    """What is started for these canonical arguments; None for a question, which a person answers."""
    given = msgspec.json.decode(arguments)
    match tool.kind:
        case "local-process":
            return _process(setup, tool, (given["command"], *given["args"]))
        case "ssh-command":
            argv = _ssh(tool, given["host"], given["command"])
            return msgspec.structs.replace(_process(setup, tool, argv), hold_stdin=True)
        case "http-request":
            return HttpInput(
                method=given["method"],
                url=given["url"],
                headers=given["headers"],
                body=given["body"],
                private=tool.private,
                bytes_max=tool.bytes_max,
                total_us=tool.timeout_us or int(TOOL_TIMEOUT_S * 1_000_000),
            )
        case "memory":
            owners = {"workspace": "", "user": "", "agent": setup.profile, "thread": setup.thread}
            known = msgspec.convert(given, Memory)
            return MemoryInput(
                do=known.do,
                scope=known.scope,
                owner=owners[known.scope],
                key=known.key,
                text=known.text,
                query=known.query,
            )
        case _:
            return None


KINDS: dict[type, CallKind] = {CallInput: "process", HttpInput: "http", MemoryInput: "memory"}


def _process(setup: Setup, tool: Tool, argv: tuple[str, ...]) -> CallInput:
    return CallInput(
        argv=argv,
        cwd=tool.cwd or setup.cwd,
        adapter="",
        inherit_env=tool.inherit_env,
        adapter_env=(),
        payload_file=False,
    )


def _ssh(tool: Tool, host: str, command: str) -> tuple[str, ...]:
    """The remote side dies with the call: a wrapper watches its stdin, which ends with the connection."""
    checking = "yes" if tool.check_host_keys else "no"
    options = (f"StrictHostKeyChecking={checking}", *_SSH_OPTIONS)
    named = tuple(part for option in options for part in ("-o", option))
    wrapper = _REMOTE.replace("COMMAND", shlex.quote(command))
    return (tool.program, *named, "--", host, "/bin/sh -c " + shlex.quote(wrapper))


# the command leads a group of its own; whoever watches stdin ends that group when the connection, or the call, ends
_REMOTE = (
    "exec 3<&0; if command -v setsid >/dev/null 2>&1; then setsid /bin/sh -c COMMAND </dev/null 3<&- & "
    "else /bin/sh -c COMMAND </dev/null 3<&- & fi; child=$!; "
    "(cat <&3 >/dev/null 2>&1; kill -TERM -$child 2>/dev/null || kill -TERM $child 2>/dev/null; sleep 5; "
    "kill -KILL -$child 2>/dev/null || kill -KILL $child 2>/dev/null) >/dev/null 2>&1 & watch=$!; "
    "wait $child 2>/dev/null; status=$?; kill $watch 2>/dev/null; exit $status"
)


def _check_command(command: str) -> None:
    if any(character in command for character in "|&;<>$`\n*?(){}[]!\"'"):
        raise WrongInput(f"{command[:80]!r} looks like a shell line; give the program as command and the rest as args")
    words = command.split()
    if words != [command] and (not words or "/" not in words[0] or command != command.strip()):
        raise WrongInput(f"{command[:80]!r} is no program; put what follows it into args")


def _check_address(tool: Tool, request: HttpRequest) -> None:
    if request.method not in tool.methods:
        raise WrongInput(f"method {request.method} is not allowed; allowed: {', '.join(tool.methods)}")
    if re.search(r"[\x00-\x20\x7f\\]|\s", request.url):  # what readers of addresses drop or turn round, each its own
        raise WrongInput("an address has no white space, control characters or backslashes; encode them")
    try:
        parts = urlsplit(request.url)
        origin = f"{parts.scheme}://{parts.netloc}"
        _ = parts.port
    except ValueError:
        raise WrongInput("the address cannot be read") from None
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not parts.hostname:
        raise WrongInput("an address is http:// or https://, with a host and without a user")
    if origin.lower() not in {host.lower() for host in tool.hosts}:
        raise WrongInput(f"{origin[:100]!r} is not on the list of the tool {tool.name!r}")
    _check_headers(request.headers)


def _check_headers(headers: dict[str, str]) -> None:
    for name, value in headers.items():
        if not re.fullmatch(r"[A-Za-z0-9-]{1,100}", name) or not re.fullmatch(r"[\t -~]{0,8192}", value):
            raise WrongInput(f"the header {name[:60]!r} is none: letters, digits and - only, and printable ASCII")
        if name.lower() in _FRAMING:
            raise WrongInput(f"the header {name!r} is set by the client itself")


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in _texts(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in _texts(each)]
    return []
