"""What a configuration of agents must hold: names that resolve, rules that do not contradict each other."""

from collections.abc import Mapping

import msgspec

from domain import errors, tools
from domain.agent_config import MODELS, TOOLS, ControllerConfig, PolicyConfig, ProfileConfig, ToolConfig
from domain.agents import controllers, profiles
from domain.config import Config
from domain.setup import Wanted


def check(config: Config, source: str) -> None:
    """Names that resolve, rules that do not contradict each other. Raises InvalidConfig naming the field."""
    for name, model in config.controllers.items():
        _check_controller(config, name, model, f"{source}: controllers.{name}")
    for name, tool in config.tools.items():
        _check_tool(tool, f"{source}: tools.{name}")
    for name, each in config.profiles.items():
        _check_profile(config, each, f"{source}: profiles.{name}")
    _check_routing(config, source)
    _check_policies(config, source)


def _check_profile(config: Config, each: ProfileConfig, where: str) -> None:
    _known(each.controller, controllers(config), f"{where}.controller", "controller")
    for at, wanted in enumerate(each.tools):
        _known(wanted, TOOLS | config.tools, f"{where}.tools[{at}]", "tool")
    for wanted in each.approvals:
        _known(wanted, dict.fromkeys(each.tools), f"{where}.approvals", "tool of this profile")
    if each.program == "chat" and controllers(config)[each.controller].kind != "openai":
        why = "a chat needs a model: a controller of kind openai"
        raise errors.InvalidConfig(where=f"{where}.controller", why=why)


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


def _check_controller(config: Config, name: str, found: ControllerConfig, where: str) -> None:
    if name in config.models:
        raise errors.InvalidConfig(where=where, why=f"there is a model {name!r} too; one of them needs another name")
    if found.kind == "openai":
        _known(found.model, MODELS | config.models, f"{where}.model", "model")
    if found.kind == "command" and not found.argv:
        raise errors.InvalidConfig(where=f"{where}.argv", why="a controller of kind command needs a program to ask")
    _check_rules(found, where)


def _check_rules(found: ControllerConfig, where: str) -> None:
    ids = [each.id for each in found.rules if each.id]
    if len(ids) != len(set(ids)):
        raise errors.InvalidConfig(where=f"{where}.rules", why="two rules have the same id")
    for at, each in enumerate(found.rules):
        kind = each.when.partition(":")[0]
        if kind not in _WHEN:
            raise errors.InvalidConfig(
                where=f"{where}.rules[{at}].when", why=f"{each.when!r} is none of: {', '.join(_WHEN)}"
            )
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
    if tool.kind in ("ssh-command", "http-request") and not tool.hosts:
        raise errors.InvalidConfig(
            where=f"{where}.hosts", why=f"a tool of kind {tool.kind} needs the hosts that it may reach"
        )
    if tool.kind == "ssh-command":
        for at, host in enumerate(tool.hosts):
            try:
                tools.check_host(host)
            except tools.WrongInput as problem:
                raise errors.InvalidConfig(where=f"{where}.hosts[{at}]", why=str(problem)) from None


def _known(name: str, there: Mapping[str, object], where: str, what: str) -> None:
    if name not in there:
        raise errors.InvalidConfig(where=where, why=f"no {what} {name!r}; there are: {', '.join(there) or 'none'}")


def _check_policies(config: Config, source: str) -> None:
    seen: dict[bytes, PolicyConfig] = {}
    ids: set[str] = set()
    for at, each in enumerate(config.policies):
        where = f"{source}: policies[{at}]"
        if each.id in ids:
            raise errors.InvalidConfig(where=f"{where}.id", why=f"two rules are called {each.id!r}")
        ids.add(each.id)
        matches = msgspec.json.encode((each.tool, each.profile, each.origin, each.arguments, each.cost_over_usd))
        other = seen.setdefault(matches, each)
        if other.effect != each.effect:
            why = f"{each.id!r} says {each.effect} where {other.id!r} says {other.effect}, for the same calls"
            raise errors.InvalidConfig(where=where, why=why)
        if each.effect != "ask" and (each.expires_s or each.on_expire == "fail" or each.on_reject == "fail"):
            why = f"expires_s, on_expire and on_reject belong to rules that ask; this one says {each.effect}"
            raise errors.InvalidConfig(where=where, why=why)
