"""Agents as data: the documents of a workspace folder, compiled into the one configuration model.

Kinds and old key names are those of the agent harness; what `rt` cannot do is refused by name, never dropped.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from domain import errors
from domain.agent_config import ControllerConfig, ModelConfig, PolicyConfig, ProfileConfig, ToolConfig


class Document(NamedTuple):
    """A document of a workspace and where it stands."""

    where: str
    content: dict[str, Any]


_TABLES = {"agent": "profiles", "model": "models", "tool": "tools", "policy": "policies", "controller": "controllers"}
KINDS = ("workspace", "agent-context", *_TABLES)
_TOOL_KINDS = {"process": "local-process", "ssh": "ssh-command", "http": "http-request", "person": "ask-person"}
_AGENT_KEYS = {"hostFacing": "host_facing", "limits": "budgets"}
_TOOL_KEYS = {"timeout": "timeout_s"}
_MODEL_KEYS = {"baseUrl": "base_url", "base URL": "base_url", "keyRef": "key_env", "model": "name"}
_IGNORED = {"embedding-model", "vector-store"}  # accepted with a warning: nothing of rt uses them


def compile_workspace(documents: Sequence[Document]) -> tuple[dict[str, Any], list[str]]:
    """The configuration that the documents say, and warnings. Raises InvalidConfig naming file, kind and name."""
    made: dict[str, Any] = {"profiles": {}, "models": {}, "tools": {}, "policies": [], "controllers": {}}
    warnings: list[str] = []
    context: list[str] = []
    for document in documents:
        kind, name, spec = _parts(document)
        if kind in _IGNORED:
            warnings.append(f"{document.where}: documents of kind {kind!r} are not used")
        elif kind == "workspace":
            _workspace(document, spec, made, warnings)
        elif kind == "agent-context":
            context.append(_text(document, spec))
        else:
            _add(document, kind, name, spec, made)
    for profile in made["profiles"].values():
        profile["prompt"] = [*context, *profile.get("prompt", [])]
    return {table: value for table, value in made.items() if value}, warnings


def _parts(document: Document) -> tuple[str, str, dict[str, Any]]:
    content = document.content
    kind = str(content.get("kind", "")).lower()
    if kind not in KINDS and kind not in _IGNORED:
        why = f"kind {content.get('kind')!r} is not supported; there are: {', '.join(KINDS)}"
        raise errors.InvalidConfig(where=document.where, why=why)
    unknown = sorted(set(content) - {"kind", "metadata", "spec", "apiVersion"})
    if unknown:
        raise errors.InvalidConfig(where=f"{document.where}: {unknown[0]}", why="unknown field of a document")
    metadata, spec = content.get("metadata", {}), content.get("spec", {})
    if not isinstance(metadata, dict) or not isinstance(spec, dict | str):
        raise errors.InvalidConfig(where=document.where, why="metadata and spec are objects")
    name = metadata.get("name", "")
    if kind not in ("workspace", "agent-context") and (not isinstance(name, str) or not name):
        raise errors.InvalidConfig(where=f"{document.where}: metadata.name", why="is missing")
    return kind, str(name), spec if isinstance(spec, dict) else {"text": spec}


def _workspace(document: Document, spec: dict[str, Any], made: dict[str, Any], warnings: list[str]) -> None:
    _only(document, spec, {"name", "defaultAgent", "routing", "concurrency", "recovery", "policies"}, "spec")
    if "recovery" in spec:
        warnings.append(f"{document.where}: spec.recovery is not used: every run whose dispatcher died is recovered")
    routing = dict(_object(document, spec, "routing"))
    if "defaultAgent" in spec:
        routing["default"] = spec["defaultAgent"]
    if routing:
        made["routing"] = routing
    concurrency = _object(document, spec, "concurrency")
    _only(document, concurrency, {"maxConcurrentRuns"}, "spec.concurrency")
    if concurrency.get("maxConcurrentRuns"):
        made["work"] = {"max_runs": concurrency["maxConcurrentRuns"]}
    made["policies"] += _policies(document, spec)


def _only(document: Document, fields: dict[str, Any], known: set[str], where: str) -> None:
    for name in fields:
        if name not in known:
            raise errors.InvalidConfig(
                where=f"{document.where}: {where}.{name}", why=f"unknown field; there are: {', '.join(sorted(known))}"
            )


def _policies(document: Document, spec: dict[str, Any]) -> list[dict[str, Any]]:
    found = spec.get("policies", [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise errors.InvalidConfig(where=f"{document.where}: spec.policies", why="expected a list of objects")
    made = [{"id": each.get("id", "")} | _policy(document, each) for each in found]
    for each in made:
        _check(document, "policy", str(each["id"]), each)
    return made


def _object(document: Document, spec: dict[str, Any], name: str) -> dict[str, Any]:
    found = spec.get(name, {})
    if not isinstance(found, dict):
        raise errors.InvalidConfig(where=f"{document.where}: spec.{name}", why="expected an object")
    return found


def _text(document: Document, spec: dict[str, Any]) -> str:
    text = spec.get("text", spec.get("content", ""))
    if not isinstance(text, str) or not text:
        raise errors.InvalidConfig(where=f"{document.where}: spec.text", why="a context is a text")
    return text


def _add(document: Document, kind: str, name: str, spec: dict[str, Any], made: dict[str, Any]) -> None:
    table = _TABLES[kind]
    if kind == "policy":
        policy = {"id": name} | _policy(document, spec)
        _check(document, kind, name, policy)
        made["policies"].append(policy)
        return
    if name in made[table]:
        raise errors.InvalidConfig(where=f"{document.where}: metadata.name", why=f"a second {kind} is called {name!r}")
    renamed = _agent(document, spec) if kind == "agent" else {"model": _model, "tool": _tool}.get(kind, dict)(spec)
    _check(document, kind, name, renamed)
    made[table][name] = renamed


_STRUCTS: dict[str, type[msgspec.Struct]] = {
    "agent": ProfileConfig,
    "model": ModelConfig,
    "tool": ToolConfig,
    "policy": PolicyConfig,
    "controller": ControllerConfig,
}


def _check(document: Document, kind: str, name: str, fields: dict[str, Any]) -> None:
    """Fields that fit, while it is known from which file they are. Raises InvalidConfig."""
    try:
        msgspec.convert(fields, _STRUCTS[kind])
    except msgspec.ValidationError as problem:
        raise errors.InvalidConfig(where=f"{document.where}: {kind} {name!r}", why=str(problem)) from None


def _agent(document: Document, spec: dict[str, Any]) -> dict[str, Any]:
    if spec.get("executionMode", "direct") not in ("direct", "orchestra"):
        where = f"{document.where}: spec.executionMode"
        raise errors.InvalidConfig(where=where, why="expected direct or orchestra")
    made = {
        _AGENT_KEYS.get(key, key): value for key, value in spec.items() if key not in ("id", "executionMode", "model")
    }
    if "model" in spec and "controller" not in spec:
        made["controller"] = spec["model"]
    if spec.get("executionMode") == "direct":
        made["program"] = "chat"
    return made


def _model(spec: dict[str, Any]) -> dict[str, Any]:
    return {_MODEL_KEYS.get(key, key): value for key, value in spec.items() if key not in ("id", "provider")}


def _tool(spec: dict[str, Any]) -> dict[str, Any]:
    kind = spec.get("kind", "")
    made = {_TOOL_KEYS.get(key, key): value for key, value in spec.items() if key != "id"}
    return made | {"kind": _TOOL_KINDS.get(kind, kind) if isinstance(kind, str) else kind}


def _policy(document: Document, spec: dict[str, Any]) -> dict[str, Any]:
    """The match of a policy stands beside its effect here."""
    match = _object(document, spec, "match")
    names = {"agent": "profile", "tool": "tool", "arguments": "arguments"}
    beside = {key: value for key, value in spec.items() if key not in ("id", "match")}
    return beside | {names.get(str(key), str(key)): value for key, value in match.items()}
