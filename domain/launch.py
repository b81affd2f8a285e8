"""The command lines of coding agents: how each is put together, and what in one takes the agent's restraints away.

Nothing here looks at the disk or at the environment of this process: paths and variables come in with `Surroundings`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from domain.bounds import ARGUMENT_BYTES_MAX, ARGV_BYTES_MAX
from domain.errors import InvalidConfig

STRING_EXTRA_BYTES: Final = 9  # what one argument or variable takes beside its text: a NUL and a pointer

Driver = Literal["codex", "claude-code", "hermes-agent", "cli"]
Sandbox = Literal["read-only", "workspace-write", "danger-full-access"]
Autonomy = Literal["restricted", "trusted-vm"]
PromptBy = Literal["stdin", "argument", "file"]
AnswerIn = Literal["stdout", "last_message", "json", "stream-json"]
Cause = Literal["argument_too_large", "nul_in_argument", "task_cwd_refused"]

_SANDBOXES: tuple[Sandbox, ...] = ("read-only", "workspace-write", "danger-full-access")
_PROMPT_BY: dict[Driver, PromptBy] = {
    "codex": "stdin",
    "claude-code": "stdin",
    "hermes-agent": "argument",
    "cli": "stdin",
}
_POINTER = "Read the file {path} and do what it says."  # for agents that take a text, and read files by themselves
_PLACEHOLDER = re.compile(r"\{(model|cwd|prompt|prompt_file|last_message)\}")
_PROVIDER_ID = re.compile(r"[A-Za-z0-9_-]*")  # it becomes a bare key

_BYPASS_PREFIXES = ("--dangerously-", "--allow-dangerously-")
_BYPASS_FLAGS = frozenset(
    {"--y", "--yo", "--yol", "--yolo", "--allow-all", "--allow-all-tools", "--yes-always"}
)  # --y and so on: some parsers accept the beginning of a flag
_BYPASS_WORDS = ("bypassPermissions", "danger-full-access", "danger-no-sandbox")  # inside of values, in any spelling
_BYPASS_VALUE = "yolo"  # of an approval mode
_BYPASS_VARIABLES = frozenset({"HERMES_YOLO_MODE"})


class NotLaunchable(Exception):  # an answer of this module, which becomes a permanent failure of the run
    """The system would not start this command line. `cause` is the cause of the run's end."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause: Cause = cause
        self.message = message


class AgentCli(msgspec.Struct, frozen=True, kw_only=True):
    """A coding agent that is started as a program, as it is configured."""

    driver: Driver
    command: str
    model: str = ""
    sandbox: Sandbox = "workspace-write"
    autonomy: Autonomy = "restricted"
    extra_args: tuple[str, ...] = ()
    settings_file: str = ""
    provider_id: str = ""
    provider_name: str = ""
    provider_base_url: str = ""
    provider_wire_api: str = "responses"
    provider_requires_openai_auth: bool = False
    mcp: Literal["", "none"] = ""
    prompt_by: Literal["", "stdin", "argument", "file"] = ""  # empty: as the driver does it
    stream: bool = True  # claude-code: lines while it runs, instead of one document at the end
    args: tuple[str, ...] = ()  # driver cli: the arguments, with placeholders
    answer: AnswerIn = "stdout"  # driver cli: where the answer is


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What one launch brings: its folder, its prompt, its private files, its variables, the system's limits."""

    cwd: str
    prompt: str
    last_message_file: str = ""
    prompt_file: str = ""
    env: Mapping[str, str] = {}  # of the env file and the adapter, nothing else
    inherited_bytes: int = 0  # what the rest of the child's environment takes
    argument_bytes_max: int = ARGUMENT_BYTES_MAX
    total_bytes_max: int = ARGV_BYTES_MAX


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """What to start. `bypass` names what takes the agent's restraints away; it is shown wherever the run is."""

    argv: tuple[str, ...]
    stdin: bytes
    last_message: bool  # the agent is told to write its last message into the file
    bypass: tuple[str, ...] = ()


def launch(cli: AgentCli, around: Surroundings) -> Launch:
    """The command line of one run. Raises NotLaunchable where the system would refuse it."""
    text = _told(cli, around)
    argv = _argv(cli, around, _as_argument(text))
    _check_sizes(argv, around)
    return Launch(
        argv=argv,
        stdin=text.encode() if _reads_stdin(cli) else b"",
        last_message=cli.driver == "codex" or (cli.driver == "cli" and cli.answer == "last_message"),
        # without the prompt: to speak of a flag is not to set it
        bypass=bypass_flags(_argv(cli, around, "")) + bypass_variables(around.env),
    )


def prompt_by(cli: AgentCli) -> PromptBy:
    """How the prompt reaches the agent."""
    return cli.prompt_by or _PROMPT_BY[cli.driver]


def check(cli: AgentCli, where: str) -> None:
    """What no launch could make good. Raises InvalidConfig naming the field."""
    for field, why in _problems(cli):
        raise InvalidConfig(where=f"{where}.{field}", why=why)


def capped(cli: AgentCli, allowed: Autonomy) -> AgentCli:
    """The agent under the autonomy that a profile allows at most; known bypasses leave its arguments too.

    What `Launch.bypass` still names, such as a variable, is for the caller to refuse.
    """
    if allowed == "trusted-vm":
        return cli
    return msgspec.structs.replace(
        cli,
        autonomy="restricted",
        sandbox="workspace-write" if cli.sandbox == "danger-full-access" else cli.sandbox,
        extra_args=_without_bypass(cli.extra_args),
        args=_without_bypass(cli.args),
    )


def bypass_flags(argv: Sequence[str]) -> tuple[str, ...]:
    """The arguments that take approvals or the sandbox away; a value stands with its option.

    Only what is known is recognised: a settings file and an unknown program keep their secrets.
    """
    return tuple(" ".join(argv[start:end]) for start, end in _bypasses(argv))


def bypass_variables(env: Mapping[str, str]) -> tuple[str, ...]:
    """The names of variables that do the same."""
    return tuple(sorted(name for name in _BYPASS_VARIABLES & env.keys() if env[name].strip() not in ("", "0")))


def less_restricted(a: AgentCli, b: AgentCli) -> bool:
    """Whether b may do more than a, by its autonomy or by its sandbox."""
    more_autonomy = _is_trusted(b) and not _is_trusted(a)
    return more_autonomy or _SANDBOXES.index(b.sandbox) > _SANDBOXES.index(a.sandbox)


def _is_trusted(cli: AgentCli) -> bool:
    return cli.autonomy == "trusted-vm" or bool(bypass_flags(cli.extra_args) or bypass_flags(cli.args))


# the prompt


def _told(cli: AgentCli, around: Surroundings) -> str:
    """The prompt, or the sentence that points to its file. Without half characters: nothing can be sent them."""
    text = _POINTER.format(path=around.prompt_file) if prompt_by(cli) == "file" else around.prompt
    return text.encode("utf-8", "replace").decode()


def _as_argument(text: str) -> str:
    """A text that no parser takes for an option, nor for the dash that means standard input."""
    return f"\n{text}" if text.startswith("-") else text


def _reads_stdin(cli: AgentCli) -> bool:
    way = prompt_by(cli)
    return way == "stdin" or (way == "file" and cli.driver in {"codex", "claude-code"})


# the arguments


def _argv(cli: AgentCli, around: Surroundings, prompt: str) -> tuple[str, ...]:
    if cli.driver == "codex":
        return (cli.command, *_codex(cli, around, prompt))
    if cli.driver == "claude-code":
        return (cli.command, *_claude_code(cli, prompt))
    if cli.driver == "hermes-agent":
        return (cli.command, *_hermes_agent(cli, prompt))
    return (cli.command, *_template(cli, around, prompt), *cli.extra_args)


def _codex(cli: AgentCli, around: Surroundings, prompt: str) -> Iterator[str]:
    yield from ("exec", "--json", "--skip-git-repo-check", "--ephemeral")
    yield from ("--sandbox", cli.sandbox)
    yield from ("--output-last-message", around.last_message_file)
    yield from ("--cd", around.cwd)
    for setting in _codex_settings(cli, around.env):
        yield from ("-c", setting)
    if cli.autonomy == "trusted-vm":
        yield "--dangerously-bypass-approvals-and-sandbox"
    yield from cli.extra_args
    yield prompt if prompt_by(cli) == "argument" else "-"


def _codex_settings(cli: AgentCli, env: Mapping[str, str]) -> Iterator[str]:
    model = cli.model or env.get("CODEX_MODEL", "")
    provider = cli.provider_id or env.get("CODEX_MODEL_PROVIDER_ID", "")
    name = cli.provider_name or env.get("CODEX_MODEL_PROVIDER_NAME", "")
    url = cli.provider_base_url or env.get("CODEX_BASE_URL", "")
    if model:
        yield f"model={_quoted(model)}"
    if provider:
        yield f"model_provider={_quoted(provider)}"
    if provider and name and url:
        fields = (
            f"name={_quoted(name)}",
            f"base_url={_quoted(url)}",
            f"wire_api={_quoted(cli.provider_wire_api)}",
            f"requires_openai_auth={_quoted(cli.provider_requires_openai_auth)}",
        )
        yield f"model_providers.{provider}={{{','.join(fields)}}}"


def _quoted(value: str | bool) -> str:  # noqa: FBT001  # a value of TOML, which JSON spells alike
    # as it is, not as \u escapes: TOML knows no pairs of halves
    return json.dumps(value, ensure_ascii=False)


def _claude_code(cli: AgentCli, prompt: str) -> Iterator[str]:
    yield "-p"
    yield from ("--output-format", "stream-json", "--verbose") if cli.stream else ("--output-format", "json")
    if cli.model:
        yield from ("--model", cli.model)
    if cli.settings_file:
        yield from ("--settings", cli.settings_file)
    if cli.mcp == "none":
        yield "--strict-mcp-config"
    if cli.autonomy == "trusted-vm":
        yield from ("--allow-dangerously-skip-permissions", "--dangerously-skip-permissions")
        yield from ("--permission-mode", "bypassPermissions")
    yield from cli.extra_args
    if prompt_by(cli) == "argument":
        yield prompt


def _hermes_agent(cli: AgentCli, prompt: str) -> Iterator[str]:
    yield from ("chat", "-Q")
    if cli.model:
        yield from ("--model", cli.model)
    if cli.autonomy == "trusted-vm":
        yield "--yolo"
    yield from cli.extra_args
    if prompt_by(cli) != "stdin":
        yield from ("-q", prompt)


def _template(cli: AgentCli, around: Surroundings, prompt: str) -> Iterator[str]:
    """The arguments of a program that is described by a template.

    One whose placeholders are all empty is dropped, with the text around them: `--model={model}` without a model.
    """
    values = {
        "model": cli.model,
        "cwd": around.cwd,
        "prompt": prompt if prompt_by(cli) == "argument" else "",
        "prompt_file": around.prompt_file,
        "last_message": around.last_message_file,
    }
    for each in cli.args:
        names = _PLACEHOLDER.findall(each)
        if not names or any(values[name] for name in names):
            yield _PLACEHOLDER.sub(lambda found: values[found.group(1)], each)


# what the system would refuse


def _check_sizes(argv: tuple[str, ...], around: Surroundings) -> None:
    total = around.inherited_bytes
    for name, text in _strings(argv, around.env):
        if "\0" in text:
            raise NotLaunchable("nul_in_argument", f"{name} holds a NUL character")
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > around.argument_bytes_max:
            why = f"{name} has {size} bytes; one may have {around.argument_bytes_max}"
            raise NotLaunchable("argument_too_large", why)
        total += size + STRING_EXTRA_BYTES
    if total > around.total_bytes_max:
        why = f"arguments and environment have {total} bytes; together they may have {around.total_bytes_max}"
        raise NotLaunchable("argument_too_large", why)


def _strings(argv: tuple[str, ...], env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What the kernel is handed, and how a message calls it: never by its content, which may be secret."""
    for at, argument in enumerate(argv):
        yield f"argument {at}" if at else "the command", argument
    for name, value in env.items():
        yield f"the variable {name!r}", f"{name}={value}"


# bypasses


def _bypasses(args: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where each begins and ends. Each is known by itself, so that none arises where arguments are put together."""
    taken = 0
    for at, each in enumerate(args):
        if _is_bypass(each):
            with_option = at > taken and not each.startswith("-") and _is_bare_option(args[at - 1])
            yield at - with_option, at + 1
            taken = at + 1


def _is_bypass(argument: str) -> bool:
    return (
        argument.startswith(_BYPASS_PREFIXES)
        or argument.partition("=")[0] in _BYPASS_FLAGS
        or argument.rpartition("=")[2] == _BYPASS_VALUE
        or any(word in argument for word in _BYPASS_WORDS)
    )


def _is_bare_option(argument: str) -> bool:
    return argument.startswith("-") and "=" not in argument


def _without_bypass(args: tuple[str, ...]) -> tuple[str, ...]:
    gone = {at for start, end in _bypasses(args) for at in range(start, end)}
    return tuple(each for at, each in enumerate(args) if at not in gone)


# the configuration


def _problems(cli: AgentCli) -> Iterator[tuple[str, str]]:
    if not cli.command.strip():
        yield "command", "is blank"
    if not _PROVIDER_ID.fullmatch(cli.provider_id):
        yield "provider_id", "may hold letters, digits, - and _ only"
    if cli.driver == "hermes-agent" and cli.prompt_by == "stdin":
        yield "prompt_by", "hermes-agent takes no prompt from standard input; argument or file"
    yield from _template_problems(cli) if cli.driver == "cli" else _driver_problems(cli)


def _driver_problems(cli: AgentCli) -> Iterator[tuple[str, str]]:
    if cli.args:
        yield "args", f"is for the driver cli; {cli.driver} takes extra_args"
    if cli.answer != "stdout":
        yield "answer", f"is for the driver cli; {cli.driver} has its own way to answer"


def _template_problems(cli: AgentCli) -> Iterator[tuple[str, str]]:
    named = {name for each in cli.args for name in _PLACEHOLDER.findall(each)}
    way = prompt_by(cli)
    if way == "argument" and "prompt" not in named:
        yield "args", "no argument holds {prompt}, though prompt_by is argument"
    if way != "argument" and "prompt" in named:
        yield "args", f"an argument holds {{prompt}}, though prompt_by is {way}"
    if way == "file" and "prompt_file" not in named:
        yield "args", "no argument holds {prompt_file}, though prompt_by is file"
    if cli.answer == "last_message" and "last_message" not in named:
        yield "args", "no argument holds {last_message}, though answer is last_message"
