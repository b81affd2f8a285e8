"""Profiles of agent-runtime, said in the words of the one configuration model: one prompt for one adapter.

What cannot be enforced is reported by name, never dropped in silence; what is unknown is refused.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from domain.agent_config import QUARANTINE, ProfileConfig
from domain.old_config import Translated, fields, known, near, typed, unknown
from domain.prompt import STYLE_RULES

_PROFILE_KEYS = (
    "profile_id", "style", "role", "system_prompt_parts", "skills", "default_adapter", "tool_policy",
    "context_policy", "result_schema", "integration_policies",
)  # fmt: skip
_ONLY_OLD_PROFILE = set(_PROFILE_KEYS) - set(fields(ProfileConfig))
_AS_IT_IS = {
    "style": "style",
    "role": "role",
    "system_prompt_parts": "prompt",
    "skills": "skills",
    "default_adapter": "adapter",
}
_RESULT = {
    "allow_follow_up_tasks": "follow_up_tasks",
    "allow_external_messages": "external_messages",
    "on_unverified": "on_unverified",
}
_UNENFORCED = "is not enforced: rt has no means to"


class _ContextPolicy(msgspec.Struct, forbid_unknown_fields=True):
    """What the old runtime put into a prompt."""

    include_recent_task_memory: bool = False
    max_prompt_chars: int | None = None


def is_old_profile(document: object) -> bool:
    """Whether a profile is in the form of agent-runtime."""
    return isinstance(document, dict) and not _ONLY_OLD_PROFILE.isdisjoint(document)


def translate(document: Mapping[str, Any], source: str) -> Translated:
    """A profile in the new form: its runs are one prompt for one adapter. Raises InvalidConfig."""
    made: dict[str, Any] = {"program": "one_shot"}
    warnings: list[str] = []
    types = fields(ProfileConfig)
    for key, value in document.items():
        where = f"{source}: {key}"
        if key not in _PROFILE_KEYS:
            raise unknown(key, _PROFILE_KEYS, source, new=types)
        if value is None:
            continue
        if key in _AS_IT_IS:
            made[_AS_IT_IS[key]] = typed(value, types[_AS_IT_IS[key]], where)
        else:
            _PARTS[key](value, where, made, warnings)
    hint = style_hint(str(made.get("style", "")))
    warnings += [f"{source}: style: {hint}"] if hint else []
    if made.get("style") == QUARANTINE:
        if made.get("follow_up_tasks"):
            warnings.append(f"{source}: result_schema.allow_follow_up_tasks: is not used: the style is {QUARANTINE}")
        made |= {"autonomy": "restricted", "follow_up_tasks": False}
    return Translated(document=made, warnings=tuple(warnings))


def style_hint(style: str) -> str:
    """What to say of a style that looks like a known one; nothing of others: an unknown style is a style."""
    styles = (*STYLE_RULES, QUARANTINE)
    nearest = "" if style in styles else near(style, styles)
    return f"{style!r} has no rules of its own{nearest}" if nearest else ""


def _profile_id(value: object, where: str, _made: dict[str, Any], _warnings: list[str]) -> None:
    typed(value, Annotated[str, Meta(min_length=1)], where)


def _tool_policy(value: object, where: str, _made: dict[str, Any], warnings: list[str]) -> None:
    denied = [name for name, allowed in typed(value, dict[str, bool], where).items() if not allowed]
    if denied:
        means = "keep an agent from its tools; its adapter's sandbox or settings_file has"
        warnings.append(f"{where}: deny {', '.join(denied)}: {_UNENFORCED} {means}")


def _context_policy(value: object, where: str, made: dict[str, Any], warnings: list[str]) -> None:
    found = known(value, _ContextPolicy, where)
    if found.get("include_recent_task_memory"):
        made["memory"] = ["workspace"]
        what = "puts what is remembered for the workspace into the prompt (rt memory), not what recent tasks did"
        warnings.append(f"{where}.include_recent_task_memory: {what}")
    if found.get("max_prompt_chars") is not None:
        name = "max_prompt_chars"
        made[name] = typed(found[name], fields(ProfileConfig)[name], f"{where}.{name}")


def _result_schema(value: object, where: str, made: dict[str, Any], warnings: list[str]) -> None:
    for name, each in typed(value, dict[str, Any], where).items():
        if each is None:
            continue
        if name in _RESULT:
            made[_RESULT[name]] = typed(each, fields(ProfileConfig)[_RESULT[name]], f"{where}.{name}")
        else:
            warnings.append(f"{where}.{name}: {_UNENFORCED} hold an answer to it{near(name, _RESULT)}")


def _integration_policies(value: object, where: str, made: dict[str, Any], warnings: list[str]) -> None:
    for name, each in typed(value, dict[str, str], where).items():
        if (name, each) == ("aibtc", "none"):
            made["mcp"] = "none"
        else:
            warnings.append(f"{where}.{name}: {each}: {_UNENFORCED} hold an agent to it")


_PARTS = {
    "profile_id": _profile_id,
    "tool_policy": _tool_policy,
    "context_policy": _context_policy,
    "result_schema": _result_schema,
    "integration_policies": _integration_policies,
}
