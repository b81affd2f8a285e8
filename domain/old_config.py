"""Configurations of agent-runtime, said in the words of the one configuration model.

What has no meaning any more is reported, never dropped in silence; what is unknown is refused.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from domain import errors
from domain.adapter_checks import PROCESSES, has_meaning
from domain.bounds import BACKOFF_MAX_S, TIMEOUT_S_MAX
from domain.config import CLIS, Adapter, AdapterKind, Config, Retry

AGENT_TIMEOUT_S: Final = 900.0  # where an old adapter says nothing
MODEL_TIMEOUT_S: Final = 120.0
SCRIPT_TIMEOUT_S: Final = 60.0

QUEUE: Final = "substrate"  # the one key that outlives the translation: files may override each other's


class Translated(msgspec.Struct, frozen=True, kw_only=True):
    """The same in the new form, and what a person should know about it."""

    document: dict[str, Any]
    warnings: tuple[str, ...] = ()


def fields(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """The fields of a part of the new form, and the type of each."""
    return {each.name: each.type for each in msgspec.structs.fields(struct)}


_SETTINGS = {
    "runtimeName": "runtime_name",
    "runtimePolicy": "runtime_policy",
    "artifactDir": "artifact_dir",
    "defaultProfile": "default_profile",
    "defaultAdapter": "default_adapter",
}
_RETRY = {"maxAttempts": "attempts", "retryBackoffSeconds": "backoff_s"}
_HOME = "the log lies in the home (--home, RT_HOME, or .rt beside rt.toml)"
_UNUSED = {
    "stateDir": _HOME,
    "dbPath": _HOME,
    "lockPath": "dispatchers hold kernel locks in the home",
    "logDir": "everything that was logged is in the log (rt log tail)",
}
_KEYS = (*_SETTINGS, *_RETRY, *_UNUSED, "profiles", "adapters", QUEUE, "extends")
_MILLISECONDS = Annotated[float, Meta(gt=0, le=TIMEOUT_S_MAX * 1000)]
_OPTIONS = {
    "command": "command",
    "timeoutMs": "timeout_s",
    "model": "model",
    "workingDir": "working_dir",
    "sandbox": "sandbox",
    "envFile": "env_file",
    "envFileOptional": "env_file_optional",
    "settingsFile": "settings_file",
    "env": "env",
    "inheritEnv": "inherit_env",
    "extraArgs": "args",
    "providerId": "provider_id",
    "providerName": "provider_name",
    "providerBaseUrl": "provider_base_url",
    "providerRequiresOpenAIAuth": "provider_requires_openai_auth",
    "autonomy": "autonomy",
    "mcp": "mcp",
    "endpoint": "endpoint",
    "outcome": "outcome",
    "allowTaskArgs": "allow_task_args",
    "allowTaskOptions": "allow_task_options",
    "retry_hint_service": "retry_hint_service",
    "fallback_adapter": "fallback",
}
_WIRE_API = "providerWireApi"
_ADAPTER_KEYS = (*_OPTIONS, _WIRE_API, "mode", "driver", "merge")
_MODES: Mapping[str, AdapterKind] = {"ollama-generate": "ollama", "script": "script"}
_DRIVERS: Mapping[str, AdapterKind] = {str(kind): kind for kind in CLIS if kind != "cli"}
_TIMEOUTS_S = dict.fromkeys(_DRIVERS.values(), AGENT_TIMEOUT_S) | {
    "ollama": MODEL_TIMEOUT_S,
    "script": SCRIPT_TIMEOUT_S,
}
# keys that no file of the new form has
_ONLY_OLD = {*_SETTINGS, *_RETRY, *_UNUSED}
_ONLY_OLD_OPTIONS = {*_ADAPTER_KEYS} - {*fields(Adapter), "merge"}


class _QueueConfig(msgspec.Struct, forbid_unknown_fields=True):
    """The old job queue's settings; they are looked at, and nothing else."""

    enabled: bool = False
    credential: str | None = None
    kinds: list[str] | None = None
    slotId: str | None = None  # noqa: N815  # as the file spells it, here and below
    host: str | None = None
    port: int | None = None
    database: str | None = None
    user: str | None = None
    leaseSecs: float | None = None  # noqa: N815
    leaseRecoveryCadenceSecs: float | None = None  # noqa: N815
    isLeaseRecoveryOwner: bool | None = None  # noqa: N815
    merge: str | None = None


def is_old(document: object) -> bool:
    """Whether a configuration is in the form of agent-runtime."""
    if not isinstance(document, dict):
        return False
    adapters = document.get("adapters")
    entries = adapters.values() if isinstance(adapters, dict) else ()
    return not _ONLY_OLD.isdisjoint(document) or any(
        isinstance(each, dict) and not _ONLY_OLD_OPTIONS.isdisjoint(each) for each in entries
    )


def translate(document: Mapping[str, Any], source: str) -> Translated:
    """A configuration in the new form; its profiles stay the paths that they are. Raises InvalidConfig."""
    made: dict[str, Any] = {}
    warnings: list[str] = []
    types = fields(Config)
    for key, value in document.items():
        where = f"{source}: {key}"
        if key not in _KEYS:
            raise unknown(key, _KEYS, source, new=types)
        if value is None or key == "extends":
            continue
        if key in _SETTINGS:
            made[_SETTINGS[key]] = typed(value, types[_SETTINGS[key]], where)
        elif key in _RETRY:
            made.setdefault("retry", {})[_RETRY[key]] = typed(value, fields(Retry)[_RETRY[key]], where)
        elif key in _UNUSED:
            typed(value, str, where)
            warnings.append(f"{where}: is not used: {_UNUSED[key]}")
        else:
            made[key] = _table(key, value, where, warnings)
    if made.get("retry", {}).get("backoff_s", 0) > BACKOFF_MAX_S:
        made["retry"]["backoff_max_s"] = made["retry"]["backoff_s"]
    return Translated(document=made, warnings=tuple(warnings))


def _table(key: str, value: object, where: str, warnings: list[str]) -> dict[str, Any]:
    if key == QUEUE:
        return known(value, _QueueConfig, where)
    table: dict[str, Any] = typed(value, dict[str, Any], where)
    if key == "profiles":
        return {name: typed(each, str, f"{where}.{name}") for name, each in table.items()}
    made = {name: _adapter(each, f"{where}.{name}", warnings) for name, each in table.items()}
    bare = [
        name
        for name, each in made.items()
        if each.get("kind") in PROCESSES and "inherit_env" not in each and "merge" not in each
    ]
    if bare:
        named = ", ".join(bare)
        warnings.append(
            f'{where}: {named}: gets PATH, HOME and the like only; inheritEnv names more, or "all" as before'
        )
    return made


def check_queue(settings: object, where: str) -> None:
    """Refuse the old job queue where it is switched on. Raises InvalidConfig."""
    if isinstance(settings, Mapping) and settings.get("enabled"):
        why = (
            "rt has no bridge to this job queue; set enabled to false, and let a program hand its jobs to"
            " rt intake --key JOB"
        )
        raise errors.InvalidConfig(where=f"{where}.enabled", why=why)


# adapters


def _adapter(value: object, where: str, warnings: list[str]) -> dict[str, Any]:
    old: dict[str, Any] = typed(value, dict[str, Any], where)
    kind = _kind(old, where)
    made: dict[str, Any] = {"kind": kind} if kind else {}
    if old.get("merge") is not None:
        made["merge"] = old["merge"]
    types = fields(Adapter)
    for key, each in old.items():
        if key not in _ADAPTER_KEYS:
            raise unknown(key, _ADAPTER_KEYS, where, new=types)
        field = _OPTIONS.get(key)
        if field is None or each is None:
            continue
        typed(each, _MILLISECONDS if key == "timeoutMs" else types[field], f"{where}.{key}")
        if kind and not has_meaning(kind, field):
            warnings.append(f"{where}.{key}: is not used: it means nothing for {kind}")
        else:
            made[field] = each / 1000 if key == "timeoutMs" else each
    _check_wire_api(old, where)
    if "driver" in old and kind not in _DRIVERS.values():
        warnings.append(f"{where}.driver: is not used: it belongs to mode agent-cli")
    return _with_old_behavior(made, kind, where, warnings)


def _kind(old: Mapping[str, Any], where: str) -> AdapterKind | None:
    """The kind of an adapter; None for a part that is merged into another one."""
    mode, driver = old.get("mode"), old.get("driver")
    if mode is None and old.get("merge") == "deep":
        mode = "agent-cli" if driver is not None else None
        if mode is None:
            return None
    if mode == "agent-cli":
        return _one_of(driver, _DRIVERS, f"{where}.driver")
    return _one_of(mode, _MODES, f"{where}.mode", "agent-cli")


def _one_of(value: object, there: Mapping[str, AdapterKind], where: str, *further: str) -> AdapterKind:
    if isinstance(value, str) and value in there:
        return there[value]
    known = (*there, *further)
    why = "is missing" if value is None else f"{value!r} is not known{near(str(value), known)}"
    raise errors.InvalidConfig(where=where, why=f"{why}; there are: {', '.join(known)}")


def _check_wire_api(old: Mapping[str, Any], where: str) -> None:
    if old.get(_WIRE_API) not in (None, "responses"):
        why = f"{old[_WIRE_API]!r} is not spoken; expected 'responses'"
        raise errors.InvalidConfig(where=f"{where}.{_WIRE_API}", why=why)


def _with_old_behavior(
    made: dict[str, Any], kind: AdapterKind | None, where: str, warnings: list[str]
) -> dict[str, Any]:
    """What the old runtime did without being told to."""
    if "env_file" in made:
        made.setdefault("env_file_optional", True)  # a missing file was an empty one
    if kind is None or made.get("merge") == "deep":
        return made
    made.setdefault("outcome", "json")
    made.setdefault("timeout_s", _TIMEOUTS_S[kind])
    if kind == "ollama":
        made["private"] = True  # it could be on this machine or in its network
    if kind == "script" and "allow_task_args" not in made:
        made["allow_task_args"] = True
        why = "the arguments of tasks reach the script, as before; false where tasks come from strangers"
        warnings.append(f"{where}.allowTaskArgs: is on: {why}")
    return made


# values


def typed(value: object, kind: Any, where: str) -> Any:  # noqa: ANN401  # what a file said
    """The value, once it is known to be of this type. Raises InvalidConfig."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as problem:
        why, _, at = str(problem).partition(" - at `$")
        raise errors.InvalidConfig(where=where + at.rstrip("`"), why=why[:1].lower() + why[1:]) from None
    return value


def known(value: object, kind: type[msgspec.Struct], where: str) -> dict[str, Any]:
    """A table with the fields of a struct, without those that are null."""
    table: dict[str, Any] = {key: each for key, each in typed(value, dict[str, Any], where).items() if each is not None}
    for key in table:
        if key not in kind.__struct_fields__:
            raise unknown(key, kind.__struct_fields__, where)
    typed(table, kind, where)
    return table


def unknown(key: str, there: Iterable[str], where: str, new: Iterable[str] = ()) -> errors.InvalidConfig:
    """The refusal of a key, with the nearest known one (CF-1)."""
    if key in new:
        why = f"{key!r} belongs to the new form, what stands beside it to the old one; extend one file by another"
        return errors.InvalidConfig(where=where, why=why)
    return errors.InvalidConfig(where=where, why=f"unknown field {key!r}{near(key, there)}")


def near(name: str, there: Iterable[str]) -> str:
    """What to add to a refusal of a name that looks like another one."""
    found = difflib.get_close_matches(name, list(there), 1)
    return f"; did you mean {found[0]!r}?" if found else ""
