"""What a configuration of agents must hold: names that resolve, rules that do not contradict each other."""

import re
from collections.abc import Iterable, Mapping

import msgspec

from domain import errors, tools
from domain.agent_config import (
    MODELS,
    QUARANTINE,
    TOOLS,
    ControllerConfig,
    LimitsConfig,
    Middleware,
    ModelConfig,
    ModelFallback,
    PolicyConfig,
    ProfileConfig,
    SummarizeHistory,
    ToolConfig,
)
from domain.agents import controllers, profiles
from domain.config import AGENT, BUILT_IN, Config
from domain.policies import matches
from domain.setup import Wanted


def check(config: Config, source: str) -> None:
    """Names that resolve, rules that do not contradict each other. Raises InvalidConfig naming the field."""
    for name, model in config.models.items():
        _check_model(model, f"{source}: models.{name}")
    for name, controller in config.controllers.items():
        _check_controller(config, name, controller, f"{source}: controllers.{name}")
    for name, tool in config.tools.items():
        _check_tool(tool, f"{source}: tools.{name}")
    for name, each in config.profiles.items():
        _check_profile(config, each, f"{source}: profiles.{name}")
    _check_routing(config, source)
    _check_policies(config, source)


_NOT_OF_ONE_SHOT = ("controller", "tools", "patterns", "budgets", "approvals", "middleware")
_ONLY_OF_ONE_SHOT = ("adapter", "style", "max_prompt_chars", "on_unverified", "autonomy", "mcp")
_DEFAULTS = ProfileConfig()


def _check_profile(config: Config, each: ProfileConfig, where: str) -> None:
    _check_fields(each, where)
    _known(each.controller, controllers(config), f"{where}.controller", "controller")
    for at, wanted in enumerate(each.tools):
        _known(wanted, TOOLS | config.tools, f"{where}.tools[{at}]", "tool")
    for wanted in each.approvals:
        _known(wanted, dict.fromkeys(each.tools), f"{where}.approvals", "tool of this profile")
    for at, item in enumerate(each.middleware):
        _check_middleware(config, each, item, f"{where}.middleware[{at}]")
    if each.budgets.cost_usd and not _is_priced(config, each.controller):
        why = f"nobody can tell what {each.controller!r} costs: its model has no prices"
        raise errors.InvalidConfig(where=f"{where}.budgets.cost_usd", why=why)
    if each.program == "chat" and controllers(config)[each.controller].kind != "openai":
        why = "a chat needs a model: a controller of kind openai"
        raise errors.InvalidConfig(where=f"{where}.controller", why=why)


def _check_fields(each: ProfileConfig, where: str) -> None:
    """A limit that nothing holds is worse than none: what the profile's program does not know is refused."""
    alone = each.program == "one_shot"
    for name in _NOT_OF_ONE_SHOT if alone else _ONLY_OF_ONE_SHOT:
        if getattr(each, name) != getattr(_DEFAULTS, name):
            decides = "an adapter decides" if alone else "a controller decides"
            why = f"has no effect where program is {each.program!r}: there {decides}; leave it out"
            raise errors.InvalidConfig(where=f"{where}.{name}", why=why)
    own = LimitsConfig(history_messages=each.limits.history_messages, history_bytes=each.limits.history_bytes)
    if alone and each.limits != own:
        why = "only history_messages and history_bytes have an effect where program is 'one_shot'"
        raise errors.InvalidConfig(where=f"{where}.limits", why=why)
    if each.style == QUARANTINE and each.follow_up_tasks:
        why = f"a profile of the style {QUARANTINE!r} makes no tasks of what strangers write"
        raise errors.InvalidConfig(where=f"{where}.follow_up_tasks", why=why)


def _check_middleware(config: Config, each: ProfileConfig, item: Middleware, where: str) -> None:
    for wanted in getattr(item, "tools", ()):
        _known(wanted, dict.fromkeys(each.tools), f"{where}.tools", "tool of this profile")
    if isinstance(item, SummarizeHistory):
        _check_summarizer(config, each, item, f"{where}.model")
    if isinstance(item, ModelFallback):
        for wanted in item.controllers:
            _check_spare(config, each, wanted, f"{where}.controllers")


def _check_spare(config: Config, each: ProfileConfig, wanted: str, where: str) -> None:
    _known(wanted, controllers(config), where, "controller")
    if each.budgets.cost_usd and not _is_priced(config, wanted):
        raise errors.InvalidConfig(where=where, why=f"nobody can tell what {wanted!r} costs: its model has no prices")
    if each.program == "chat" and controllers(config)[wanted].kind != "openai":
        raise errors.InvalidConfig(where=where, why="a chat needs a model: a controller of kind openai")


def _check_summarizer(config: Config, each: ProfileConfig, item: SummarizeHistory, where: str) -> None:
    _known(item.model, controllers(config), where, "model")
    if controllers(config)[item.model].kind != "openai":
        raise errors.InvalidConfig(where=where, why=f"{item.model!r} is no model: only a model summarizes")
    if each.budgets.cost_usd and not _is_priced(config, item.model):
        raise errors.InvalidConfig(where=where, why=f"nobody can tell what {item.model!r} costs: it has no prices")


def _is_priced(config: Config, controller: str) -> bool:
    found = controllers(config)[controller]
    if found.kind == "openai":
        return (MODELS | config.models)[found.model].prices is not None
    return found.kind == "rules"  # which cost nothing; what a program costs, nobody knows


def _check_routing(config: Config, source: str) -> None:
    for at, route in enumerate(config.routing.rules):
        _known(route.profile, profiles(config), f"{source}: routing.rules[{at}].profile", "profile")
        if not (route.phrases or route.source or route.kind):
            raise errors.InvalidConfig(
                where=f"{source}: routing.rules[{at}]", why="matches nothing; name phrases, source or kind"
            )
    if config.routing.default:
        _known(config.routing.default, profiles(config), f"{source}: routing.default", "profile")
    if config.routing.model:
        _known(config.routing.model, MODELS | config.models, f"{source}: routing.model", "model")


NO_ADDRESS = "expected http(s)://host[:port][/path] without a user or a query"  # which is not shown: it may be secret
_NO_DEADLINE = "expected more than 0: what never answers would never end"


def _check_model(model: ModelConfig, where: str) -> None:
    if not re.fullmatch(r"https?://[^\s/@?#\\]+(?:/[^\s@?#\\]*)?", model.base_url):
        raise errors.InvalidConfig(where=f"{where}.base_url", why=NO_ADDRESS)
    if not model.timeout_s:
        raise errors.InvalidConfig(where=f"{where}.timeout_s", why=_NO_DEADLINE)


def _check_controller(config: Config, name: str, found: ControllerConfig, where: str) -> None:
    if name in config.models:
        raise errors.InvalidConfig(where=where, why=f"there is a model {name!r} too; one of them needs another name")
    if found.kind == "openai":
        _known(found.model, MODELS | config.models, f"{where}.model", "model")
    if found.kind == "command" and not (found.argv and found.argv[0]):
        raise errors.InvalidConfig(where=f"{where}.argv", why="a controller of kind command needs a program to ask")
    if any("\0" in each for each in found.argv):
        raise errors.InvalidConfig(where=f"{where}.argv", why="expected texts without NUL characters")
    if found.kind == "command" and not found.timeout_s:
        raise errors.InvalidConfig(where=f"{where}.timeout_s", why=_NO_DEADLINE)
    _refuse_idle(found, found.kind, _CONTROLLER_ONLY, where)
    _check_rules(found, where)


_CONTROLLER_ONLY = {"openai": ("model",), "command": ("argv", "timeout_s"), "rules": ()}
_TOOL_ONLY = {
    "local-process": ("working_dir", "inherit_env"),
    "ssh-command": ("hosts", "check_host_keys", "program", "working_dir", "inherit_env"),
    "http-request": ("hosts", "methods", "private", "max_bytes"),
    "ask-person": (),
    "memory": (),
}


def _refuse_idle(found: msgspec.Struct, kind: str, only: Mapping[str, tuple[str, ...]], where: str) -> None:
    """A field that does nothing for its kind is an error, not a surprise."""
    for name in sorted({name for names in only.values() for name in names} - set(only[kind])):
        if getattr(found, name) != next(each.default for each in msgspec.structs.fields(found) if each.name == name):
            kinds = ", ".join(each for each, names in only.items() if name in names)
            raise errors.InvalidConfig(
                where=f"{where}.{name}", why=f"means nothing for kind {kind}; it belongs to: {kinds}"
            )


def _check_rules(found: ControllerConfig, where: str) -> None:
    ids = [each.id or f"rule-{at}" for at, each in enumerate(found.rules, 1)]
    if len(ids) != len(set(ids)):
        raise errors.InvalidConfig(where=f"{where}.rules", why="two rules have the same id")
    for at, each in enumerate(found.rules):
        kind, _, detail = each.when.partition(":")
        if kind not in _WHEN:
            raise errors.InvalidConfig(
                where=f"{where}.rules[{at}].when", why=f"{each.when!r} is none of: {', '.join(_WHEN)}"
            )
        if (kind in ("exit", "result") and detail not in ("", "ok", "failed")) or (kind == "phrase" and not detail):
            why = f"{each.when!r}: expected {kind}:" + ("PHRASE" if kind == "phrase" else "ok or failed")
            raise errors.InvalidConfig(where=f"{where}.rules[{at}].when", why=why)
        for number, call in enumerate(each.calls):
            try:
                msgspec.convert(call, Wanted)
            except msgspec.ValidationError as problem:
                raise errors.InvalidConfig(where=f"{where}.rules[{at}].calls[{number}]", why=str(problem)) from None


_WHEN = (
    "start", "urgent", "milestone", "phrase", "exit", "result", "silence", "refused", "rejected", "expired", "answered",
    "settled", "idle",
)  # fmt: skip


def _check_tool(tool: ToolConfig, where: str) -> None:
    if tool.kind == "mcp":
        why = "tools of kind mcp are discovered at run time; none can be configured"
        raise errors.InvalidConfig(where=f"{where}.kind", why=why)
    _refuse_idle(tool, tool.kind, _TOOL_ONLY, where)
    if tool.kind in ("ssh-command", "http-request") and not tool.hosts:
        raise errors.InvalidConfig(
            where=f"{where}.hosts", why=f"a tool of kind {tool.kind} needs the hosts that it may reach"
        )
    if tool.kind == "ssh-command":
        _check_ssh(tool, where)
    if tool.kind == "http-request":
        _check_http(tool, where)


def _check_ssh(tool: ToolConfig, where: str) -> None:
    for at, host in enumerate(tool.hosts):
        try:
            tools.check_host(host)
        except tools.WrongInput as problem:
            raise errors.InvalidConfig(where=f"{where}.hosts[{at}]", why=str(problem)) from None


def _check_http(tool: ToolConfig, where: str) -> None:
    for at, host in enumerate(tool.hosts):
        if not re.fullmatch(r"https?://[^\s/@?#\\]+", host, re.IGNORECASE):
            why = "is never met; expected http(s)://host[:port], without a path, and without a user"
            raise errors.InvalidConfig(where=f"{where}.hosts[{at}]", why=why)
    for at, method in enumerate(tool.methods):
        if not re.fullmatch("[A-Z]{3,10}", method):
            why = f"{method[:20]!r} is none; expected capital letters, such as GET"
            raise errors.InvalidConfig(where=f"{where}.methods[{at}]", why=why)


_ABOUT_CALLS = ("tool", "origin", "arguments", "cost_over_usd")
_ABOUT_RUNS = ("adapter", "kind", "source")


def _check_reach(each: PolicyConfig, where: str) -> None:
    """A rule about runs matches what runs have, one about calls what calls have."""
    idle = _ABOUT_CALLS if each.on == "run" else _ABOUT_RUNS
    defaults = {field.name: field.default for field in msgspec.structs.fields(each)} | {"arguments": {}}
    for name in idle:
        if getattr(each, name) != defaults[name]:
            raise errors.InvalidConfig(where=f"{where}.{name}", why=f"means nothing for a rule on {each.on}s")
    if each.on == "run" and each.effect == "ask":
        why = "a rule on runs says allow or deny; to ask a person, use rules on calls"
        raise errors.InvalidConfig(where=f"{where}.effect", why=why)


def _known(name: str, there: Mapping[str, object], where: str, what: str) -> None:
    if name not in there:
        raise errors.InvalidConfig(where=where, why=f"no {what} {name!r}; there are: {', '.join(there) or 'none'}")


def _meets(glob: str, there: Iterable[str], where: str, what: str) -> None:
    """A rule that fits nothing forbids nothing: rather an error than a surprise."""
    if not any(matches(glob, name) for name in there):
        raise errors.InvalidConfig(where=where, why=f"no {what} is named {glob!r}; there are: {', '.join(there)}")


def _check_policies(config: Config, source: str) -> None:
    seen: dict[bytes, PolicyConfig] = {}
    ids: set[str] = set()
    for at, each in enumerate(config.policies):
        where = f"{source}: policies[{at}]"
        if each.id in ids:
            raise errors.InvalidConfig(where=f"{where}.id", why=f"two rules are called {each.id!r}")
        ids.add(each.id)
        _meets(each.tool, TOOLS | config.tools, f"{where}.tool", "tool")
        _meets(each.profile, profiles(config), f"{where}.profile", "profile")
        _check_reach(each, where)
        _meets(each.adapter, (AGENT, BUILT_IN, *config.adapters), f"{where}.adapter", "adapter")
        same = (
            each.tool, each.profile, each.origin, each.arguments, each.cost_over_usd, each.on, each.adapter, each.kind,
            each.source,
        )  # fmt: skip
        other = seen.setdefault(msgspec.json.encode(same, order="sorted"), each)
        if other.effect != each.effect:
            why = f"{each.id!r} says {each.effect} where {other.id!r} says {other.effect}, for the same {each.on}s"
            raise errors.InvalidConfig(where=where, why=why)
        if each.effect != "ask" and (each.expires_s or each.on_expire == "fail" or each.on_reject == "fail"):
            why = f"expires_s, on_expire and on_reject belong to rules that ask; this one says {each.effect}"
            raise errors.InvalidConfig(where=where, why=why)
