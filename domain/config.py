"""The one configuration model, whatever file it was read from. Every field is enforced or refused."""

import difflib
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from domain import bounds, errors
from domain.agent_config import (
    MODELS,
    NAME,
    PROFILES,
    STRUCTS,
    ControllerConfig,
    ModelConfig,
    Name,
    PolicyConfig,
    ProfileConfig,
    RoutingConfig,
    Seconds,
    ToolConfig,
    Variable,
)
from domain.refusals import told
from domain.work_config import STRUCTS as WORK_STRUCTS
from domain.work_config import BridgeConfig, CredentialsConfig, NotifyConfig, OutboxConfig, SensorConfig

ExitCode = Annotated[int, Meta(ge=1, le=255)]


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Attempts and the growing pause between them."""

    attempts: Annotated[int, Meta(ge=1, le=bounds.ATTEMPTS_MAX)] = bounds.ATTEMPTS
    backoff_s: Annotated[float, Meta(ge=0, le=bounds.BACKOFF_S_MAX)] = bounds.BACKOFF_BASE_S
    backoff_max_s: Annotated[float, Meta(ge=0, le=bounds.BACKOFF_S_MAX)] = bounds.BACKOFF_MAX_S


class Work(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the dispatcher works."""

    concurrency: Annotated[int, Meta(ge=1, le=bounds.CONCURRENCY_MAX)] = bounds.CONCURRENCY
    max_runs: Annotated[int, Meta(ge=0, le=100_000)] = 0  # of all dispatchers together; 0 = no limit
    kill_grace_s: Annotated[float, Meta(ge=0, le=bounds.GRACE_S_MAX)] = bounds.GRACE_S
    output_max_bytes: Annotated[int, Meta(ge=0, le=1 << 40)] = bounds.OUTPUT_BYTES_MAX


class SecretSources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where secret values come from; they are taken out of everything before it is stored."""

    env: tuple[Variable, ...] = ()


AdapterKind = Literal["script", "codex", "claude-code", "hermes-agent", "cli", "ollama", "openai"]
CLIS: tuple[AdapterKind, ...] = ("codex", "claude-code", "hermes-agent", "cli")
MODELS_ALONE: tuple[AdapterKind, ...] = ("ollama", "openai")


class Adapter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who runs a task: a program, the command line of a coding agent, or a model; and how its end is read."""

    kind: AdapterKind = "script"
    command: Annotated[str, Meta(max_length=4096)] = ""  # default: the name that the kind's program has
    args: tuple[str, ...] = ()  # of a cli: with {model}, {cwd}, {prompt}, {prompt_file}, {last_message}
    timeout_s: Seconds = 60.0
    working_dir: str = ""  # default: the folder of the file that declares the adapter
    env: dict[Variable, str] = {}
    inherit_env: tuple[Variable, ...] | Literal["all"] = ()
    outcome: Literal["json", "text", "exit"] = "json"
    effect: Literal["idempotent", "once"] = "idempotent"
    allow_task_args: bool = False
    allow_task_options: bool = False
    allow_task_cwd: bool = False  # also a folder outside of the working one
    exit_retryable: tuple[ExitCode, ...] = (75,)
    exit_permanent: tuple[ExitCode, ...] = (64, 77, 126, 127)
    env_file: str = ""
    env_file_optional: bool = False
    fallback: str = ""  # the adapter that is taken where this one is not healthy
    fallback_wider: bool = False  # also where that one may do more than this one
    retry_hint_service: str = ""
    probe: bool = True
    # of coding agents
    model: Annotated[str, Meta(max_length=200)] = ""
    sandbox: Literal["read-only", "workspace-write", "danger-full-access"] = "workspace-write"
    autonomy: Literal["restricted", "trusted-vm"] = "restricted"
    settings_file: str = ""
    provider_id: str = ""
    provider_name: str = ""
    provider_base_url: str = ""
    provider_requires_openai_auth: bool = False
    mcp: Literal["", "none"] = ""
    prompt_by: Literal["", "stdin", "argument", "file"] = ""
    stream: bool = True  # what it says is seen, and can be canceled, while it says it
    answer: Literal["stdout", "last_message", "json", "stream-json"] = "stdout"
    # of models
    endpoint: Annotated[str, Meta(max_length=2_000)] = ""
    key_env: Variable | Literal[""] = ""
    private: bool = False
    max_bytes: Annotated[int, Meta(ge=1, le=64 * bounds.MIB)] = bounds.MIB


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that can be configured; each field has a default."""

    runtime_name: Annotated[str, Meta(min_length=1, max_length=200)] = "rt"
    runtime_policy: Annotated[str, Meta(max_length=20_000)] = ""
    default_adapter: str = "command"
    default_profile: str = ""
    artifact_dir: str = ""  # default: artifacts in the folder of the log
    constitution: dict[Name, str] = {}  # soul, purpose, …: files that say who the agent is, hashed into bundles
    link_base: str = ""  # where the page is reached, for links in notifications
    allow_argv_from: tuple[Literal["sensor", "bridge", "http", "follow_up", "workflow"], ...] = ()
    blocked_phrases: tuple[str, ...] = ()
    retry: Retry = Retry()
    work: Work = Work()
    secrets: SecretSources = SecretSources()
    adapters: dict[Name, Adapter] = {}
    workspace: str = ""  # a folder of documents that belong to this configuration
    models: dict[Name, ModelConfig] = {}
    controllers: dict[Name, ControllerConfig] = {}
    tools: dict[Name, ToolConfig] = {}
    profiles: dict[Name, ProfileConfig] = {}
    policies: tuple[PolicyConfig, ...] = ()
    routing: RoutingConfig = RoutingConfig()
    sensors: dict[Name, SensorConfig] = {}
    bridges: dict[Name, BridgeConfig] = {}
    workflows: dict[Name, str] = {}  # template -> its file
    skills: dict[Name, str] = {}  # skill -> its file or folder
    outbox: OutboxConfig = OutboxConfig()
    notify: tuple[NotifyConfig, ...] = ()
    credentials: CredentialsConfig = CredentialsConfig()


AGENT = "agent"  # runs a profile: a controller or a chat
BUILT_IN = "command"  # runs the argv of the payload; exit 0 is completed
_SECRET_NAME = re.compile(r"token|secret|password|passwd|key|auth|credential", re.IGNORECASE)


def parse(document: object, source: str) -> Config:
    """A configuration from what a TOML or JSON file said. Raises InvalidConfig naming file and field."""
    if isinstance(document, dict):
        _named(document, source)
    try:
        config = msgspec.convert(document, Config)
    except msgspec.ValidationError as problem:
        where, why = _told(problem, document, Config)
        raise errors.InvalidConfig(where=f"{source}: {where or 'the document'}", why=why) from None
    _check_adapters(config, source)
    if config.default_adapter != BUILT_IN and config.default_adapter not in config.adapters:
        why = f"no adapter {config.default_adapter!r}; configured: {', '.join([BUILT_IN, *config.adapters])}"
        raise errors.InvalidConfig(where=f"{source}: default_adapter", why=why)
    if config.retry.backoff_max_s < config.retry.backoff_s:
        raise errors.InvalidConfig(where=f"{source}: retry.backoff_max_s", why="is smaller than retry.backoff_s")
    return config


def _check_adapters(config: Config, source: str) -> None:
    for name, adapter in config.adapters.items():
        if name in (BUILT_IN, AGENT):
            why = f"the name {name!r} belongs to the built-in adapter"
            raise errors.InvalidConfig(where=f"{source}: adapters.{name}", why=why)
        if adapter.kind in ("script", "cli") and not adapter.command:
            why = "is empty; the program that runs the task"
            raise errors.InvalidConfig(where=f"{source}: adapters.{name}.command", why=why)


_TABLES: dict[str, type[msgspec.Struct]] = {
    "adapters": Adapter,
    "models": ModelConfig,
    "controllers": ControllerConfig,
    "tools": ToolConfig,
    "profiles": ProfileConfig,
    "sensors": SensorConfig,
    "bridges": BridgeConfig,
}


def _named(document: dict[str, Any], source: str) -> None:
    """Check each entry of a table by its name, so that an error can name it."""
    for table, kind in _TABLES.items():
        if isinstance(document.get(table), dict):
            for name, fields in document[table].items():
                _one(table, name, fields, kind, source)


def _one(table: str, name: str, fields: object, kind: type[msgspec.Struct], source: str) -> None:
    if not re.fullmatch(NAME, name):
        why = f"{name!r} is no name: letters, digits, . _ - only, 64 at most, not beginning with a sign"
        raise errors.InvalidConfig(where=f"{source}: {table}", why=why)
    try:
        msgspec.convert(fields, kind)
    except msgspec.ValidationError as problem:
        where, why = _told(problem, fields, kind)
        raise errors.InvalidConfig(where=f"{source}: {'.'.join(filter(None, (table, name, where)))}", why=why) from None


def runs_as(config: Config, adapter: str, profile: str) -> str:
    """The adapter that runs a task: the one that it asks for, else its profile's, else the default."""
    if adapter:
        return adapter
    name = profile or config.default_profile
    found = config.profiles.get(name) or PROFILES.get(name)
    if found is None:
        return config.default_adapter
    return AGENT if found.program != "one_shot" else found.adapter or config.default_adapter


def looks_secret(name: str) -> bool:
    """Whether a variable's name says that its value is a secret: the second net beside the registered ones."""
    return _SECRET_NAME.search(name) is not None


def secret_values(config: Config, environ: Mapping[str, str]) -> set[str]:
    """Every known secret: registered variables, keys, and what adapters and tools hand on under a name like one.

    Of the latter, values too short to be found in output are no secrets: `AUTH_MODE=none`.
    """
    keys = {model.key_env for model in (MODELS | config.models).values()}
    keys |= {adapter.key_env for adapter in config.adapters.values()}
    keys |= {name for each in config.outbox.destinations.values() for name in (each.token_env, each.sign_env)}
    keys |= {bridge.secret_env for bridge in config.bridges.values()} | {config.credentials.stdin_env}
    registered = {environ[name] for name in {*config.secrets.env, *keys} if environ.get(name)}
    handed_on: dict[str, str] = {}
    for adapter in config.adapters.values():
        names = environ.keys() if adapter.inherit_env == "all" else adapter.inherit_env
        handed_on |= {name: environ[name] for name in names if name in environ} | adapter.env
    for tool in config.tools.values():
        handed_on |= {name: environ[name] for name in tool.inherit_env if name in environ}
    references = "_CREDENTIAL"  # what ends so holds the id of a secret, not the secret
    looking = {value for name, value in handed_on.items() if looks_secret(name) and not name.endswith(references)}
    return registered | {value for value in looking if len(value.encode("utf-8", "replace")) >= bounds.SECRET_BYTES_MIN}


def _told(problem: msgspec.ValidationError, document: object, kind: type[msgspec.Struct]) -> tuple[str, str]:
    """Where it is and why, in words."""
    where, why = told(problem, document, kind)
    where = where.removeprefix(".")
    unknown = re.match(r"object contains unknown field `(.*)`$", why)
    return where, why if unknown is None else _unknown(unknown[1], is_top=not where and kind is Config)


def _unknown(name: str, *, is_top: bool) -> str:
    """Why a field is refused: a key that stands behind a table of TOML belongs to that table."""
    said = f"unknown field {name!r}"
    if name in Config.__struct_fields__ and not is_top:
        return f"{said}; it belongs to the top of the file, before the first [table]"
    kinds: tuple[type[msgspec.Struct], ...] = (Config, Retry, Work, SecretSources, Adapter, *STRUCTS, *WORK_STRUCTS)
    known = sorted({field for kind in kinds for field in kind.__struct_fields__} - {name})
    near = difflib.get_close_matches(name, known, 1)
    return said + (f"; did you mean {near[0]!r}?" if near else "")


def to_us(seconds: float) -> int:
    """Seconds of the configuration as the integer microseconds of events."""
    return int(seconds * 1_000_000)


def as_document(config: Config) -> Any:  # noqa: ANN401  # plain JSON values
    """The effective configuration for people and programs, with secrets masked."""
    document = msgspec.to_builtins(config)
    for adapter in document["adapters"].values():
        adapter["env"] = {name: "***" if looks_secret(name) else value for name, value in adapter["env"].items()}
    return document
