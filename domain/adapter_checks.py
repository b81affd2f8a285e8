"""What a configuration of adapters must hold: fields that do something, and names that lead somewhere."""

import re
from collections.abc import Iterable, Iterator, Mapping

from domain import errors
from domain.agent_checks import NO_ADDRESS
from domain.agents import profiles
from domain.bounds import FALLBACKS_MAX
from domain.config import AGENT, BUILT_IN, Adapter, AdapterKind, Config
from domain.work_config import DestinationConfig

_PROCESS = (
    "command", "args", "working_dir", "env", "inherit_env", "env_file", "env_file_optional", "exit_retryable",
    "exit_permanent",
)  # fmt: skip
_CLI = (*_PROCESS, "model", "autonomy", "prompt_by", "allow_task_cwd")
_MODEL = ("model", "endpoint", "key_env", "private", "max_bytes", "stream", "allow_task_cwd")
# what is not here, every kind has
_ONLY: Mapping[AdapterKind, tuple[str, ...]] = {
    "script": (*_PROCESS, "allow_task_args", "allow_task_options"),
    "codex": (
        *_CLI, "sandbox", "provider_id", "provider_name", "provider_base_url", "provider_requires_openai_auth",
    ),
    "claude-code": (*_CLI, "settings_file", "mcp", "stream", "provider_base_url"),
    "hermes-agent": (*_CLI, "provider_base_url"),
    "cli": (*_CLI, "answer"),
    "ollama": _MODEL,
    "openai": _MODEL,
}  # fmt: skip
_NEEDS: Mapping[AdapterKind, tuple[str, ...]] = {
    "script": ("command",),
    "cli": ("command",),
    "ollama": ("endpoint", "model"),
    "openai": ("endpoint", "model"),
}
_SPECIAL = {name for names in _ONLY.values() for name in names}
_DEFAULT = Adapter()
PROCESSES: tuple[AdapterKind, ...] = tuple(kind for kind, names in _ONLY.items() if "command" in names)


def check_adapters(config: Config, source: str) -> None:
    """Adapters that can work, and names of adapters, profiles and destinations that resolve. Raises InvalidConfig."""
    for name, adapter in config.adapters.items():
        _check_adapter(adapter, f"{source}: adapters.{name}")
    for name in config.adapters:
        _check_chain(config, name, f"{source}: adapters.{name}.fallback")
    for where, name, there, what in _references(config):
        if name and name not in there:
            why = f"no {what} {name!r}; there are: {', '.join(there) or 'none'}"
            raise errors.InvalidConfig(where=f"{source}: {where}", why=why)
    for name, each in config.outbox.destinations.items():
        _check_destination(each, f"{source}: outbox.destinations.{name}")


def has_meaning(kind: AdapterKind, field: str) -> bool:
    """Whether a field of an adapter does something for this kind."""
    return field in _ONLY[kind] or field not in _SPECIAL


def _check_adapter(adapter: Adapter, where: str) -> None:
    for field in adapter.__struct_fields__:
        if not has_meaning(adapter.kind, field) and getattr(adapter, field) != getattr(_DEFAULT, field):
            kinds = ", ".join(kind for kind, names in _ONLY.items() if field in names)
            why = f"means nothing for kind {adapter.kind}; it belongs to: {kinds}"
            raise errors.InvalidConfig(where=f"{where}.{field}", why=why)
    for field in _NEEDS.get(adapter.kind, ()):
        if not getattr(adapter, field).strip():
            raise errors.InvalidConfig(where=f"{where}.{field}", why=f"an adapter of kind {adapter.kind} needs it")
    if adapter.endpoint:
        _check_address(adapter.endpoint, f"{where}.endpoint")
    if adapter.kind not in PROCESSES and adapter.outcome == "exit":
        why = f"an adapter of kind {adapter.kind} has no exit status; expected json or text"
        raise errors.InvalidConfig(where=f"{where}.outcome", why=why)


def _check_address(url: str, where: str) -> None:
    if not re.fullmatch(r"https?://[^\s/@?#\\]+(?:/[^\s@?#\\]*)?", url):
        raise errors.InvalidConfig(where=where, why=NO_ADDRESS)


def _check_chain(config: Config, name: str, where: str) -> None:
    """Fallbacks that there are, and that come to an end."""
    chain = [name]
    while following := config.adapters[chain[-1]].fallback:
        chain.append(following)
        shown = " -> ".join(chain)
        if following not in config.adapters:
            why = f"no adapter {following!r} ({shown}); configured: {', '.join(config.adapters)}"
            raise errors.InvalidConfig(where=where, why=why)
        if following in chain[:-1]:
            raise errors.InvalidConfig(where=where, why=f"leads back: {shown}")
        if len(chain) > FALLBACKS_MAX + 1:
            raise errors.InvalidConfig(where=where, why=f"more than {FALLBACKS_MAX} fallbacks in a row: {shown}")


_Reference = tuple[str, str, Iterable[str], str]


def _references(config: Config) -> Iterator[_Reference]:
    """Each name that must be one of others: where it stands, the name, which there are, and what they are."""
    known, there = profiles(config), (BUILT_IN, AGENT, *config.adapters)
    yield "default_profile", config.default_profile, known, "profile"
    for name, profile in config.profiles.items():
        yield f"profiles.{name}.adapter", profile.adapter, config.adapters, "adapter"
    for name, bridge in config.bridges.items():
        yield f"bridges.{name}.adapter", bridge.adapter, there, "adapter"
        yield f"bridges.{name}.profile", bridge.profile, known, "profile"
    yield "outbox.default", config.outbox.default, config.outbox.destinations, "destination"
    for at, each in enumerate(config.notify):
        yield f"notify[{at}].to", each.to or "''", config.outbox.destinations, "destination"


def _check_destination(each: DestinationConfig, where: str) -> None:
    if each.kind == "webhook" and not re.match(r"https?://[^\s/]", each.url):
        raise errors.InvalidConfig(where=f"{where}.url", why="a webhook needs an address: http(s)://host[:port][/path]")
    if each.kind == "command" and not (each.argv and each.argv[0]):
        raise errors.InvalidConfig(where=f"{where}.argv", why="a destination of kind command needs a program to start")
    idle = ("url", "headers", "token_env", "sign_env", "private") if each.kind == "command" else ("argv",)
    defaults = DestinationConfig()
    for field in idle:
        if getattr(each, field) != getattr(defaults, field):
            raise errors.InvalidConfig(where=f"{where}.{field}", why=f"means nothing for kind {each.kind}")
