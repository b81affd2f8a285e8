"""From configuration to the frozen setup of a run, and the checks that a configuration of agents must pass."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from domain import errors, patterns, rules, tools
from domain.agent_config import (
    CONTROLLERS,
    MODELS,
    PROFILES,
    TOOLS,
    ControllerConfig,
    ModelConfig,
    PatternConfig,
    PatternsConfig,
    PolicyConfig,
    ProfileConfig,
)
from domain.bounds import CONTROLLER_RETRY_S_MAX
from domain.config import Config, to_us
from domain.middleware import applied, fallbacks, hidden, humans, retries, summarizer
from domain.setup import (
    Book,
    Budgets,
    Controller,
    File,
    Grant,
    Limits,
    Message,
    Model,
    Pattern,
    Patterns,
    PolicyRule,
    Prices,
    Prompts,
    Rule,
    Setup,
    Tool,
    Wanted,
)


def profiles(config: Config) -> dict[str, ProfileConfig]:
    """Every profile by name, built-in ones too."""
    return PROFILES | config.profiles


def profile(config: Config, name: str) -> ProfileConfig:
    """A profile. Raises UnknownProfile."""
    found = profiles(config).get(name)
    if found is None:
        raise errors.UnknownProfile(name=name, known=", ".join(profiles(config)))
    return found


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What a task brings to its run, beside the configuration."""

    goal: str
    calls: tuple[Wanted, ...] = ()
    controller: str = ""
    urgent: tuple[str, ...] | None = None
    milestones: tuple[str, ...] | None = None
    context: dict[str, Any] = {}
    cwd: str = ""
    folder: str = ""  # where relative paths of the configuration begin
    history: tuple[Message, ...] = ()
    history_left_out: int = 0
    older: tuple[Message, ...] = ()
    memory: tuple[str, ...] = ()
    state: dict[str, Any] = {}
    files: tuple[File, ...] = ()
    kind: str = ""
    source: str = ""
    thread: str = ""


def given(payload: Mapping[str, Any], description: str, folder: str) -> Given:
    """What a payload says. Raises Invalid naming the field."""
    goal = payload.get("goal") or payload.get("objective") or payload.get("prompt") or description
    calls = [Wanted("local-process", _command(payload["argv"]))] if "argv" in payload else []
    for at, each in enumerate(payload.get("calls", ())):
        try:
            calls.append(msgspec.convert(each, Wanted))
        except msgspec.ValidationError as problem:
            raise errors.Invalid(where=f"task.payload.calls[{at}]", why=str(problem)) from None
    cwd = payload.get("cwd", "")
    return Given(
        goal=str(goal),
        calls=tuple(calls),
        controller=str(payload.get("controller", "")),
        urgent=tuple(payload["cancel_on"]) if "cancel_on" in payload else None,
        milestones=tuple(payload["finish_on"]) if "finish_on" in payload else None,
        context=dict(payload.get("context", {})),
        state=dict(payload.get("state", {})),
        files=msgspec.convert(payload.get("files", []), tuple[File, ...]),
        cwd=below(folder, cwd),
        folder=folder,
    )


def below(folder: str, path: str) -> str:
    """A path as it is meant from a folder; the folder itself for none."""
    return path if path.startswith("/") else f"{folder}/{path}" if path else folder


def _program(folder: str, name: str) -> str:
    """A program: a path as it is meant from the configuration's folder, or a name that is looked up."""
    return below(folder, name) if "/" in name and folder else name


def _command(argv: Sequence[str]) -> dict[str, Any]:
    return {"command": argv[0], "args": list(argv[1:])}


def setup(config: Config, name: str, task: Given, grants: tuple[Grant, ...] = ()) -> Setup:
    """The frozen setup of a run of this profile. Raises UnknownProfile, UnknownController, InvalidConfig."""
    denied = [tool for tool, each in (TOOLS | config.tools).items() if each.approval == "deny"]
    chosen = applied(profile(config, name), denied)
    controller = task.controller or chosen.controller
    spares = () if task.controller else fallbacks(chosen)
    summary = summarizer(chosen) if task.history_left_out else None
    assert chosen.program != "one_shot", "such a profile is run by an adapter"
    return Setup(
        program=chosen.program,
        goal=task.goal,
        profile=name,
        controller=controller_of(config, controller, retries(chosen), task.folder),
        tools=tuple(_tool(config, each, chosen, task.folder) for each in chosen.tools),
        patterns=_patterns(chosen.patterns, task),
        prompts=Prompts(chosen.prompt, hidden(chosen)),
        book=book(config, grants),
        budgets=_budgets(chosen),
        limits=Limits(
            window_bytes=chosen.limits.window_bytes,
            window_events=chosen.limits.window_events,
            silence_us=to_us(chosen.limits.silence_s),
            max_wait_us=to_us(chosen.limits.max_wait_s),
            history_messages=chosen.limits.history_messages,
            history_bytes=chosen.limits.history_bytes,
        ),
        calls=task.calls,
        history=task.history,
        history_left_out=task.history_left_out,
        memory=task.memory,
        context=task.context,
        cwd=task.cwd,
        spares=tuple(controller_of(config, each, retries(chosen), task.folder) for each in spares),
        summarizer=controller_of(config, summary.model, 0, task.folder) if summary else None,
        older=task.older if summary else (),
        summary_chars=summary.chars if summary else 0,
        state=task.state,
        files=task.files,
        kind=task.kind,
        source=task.source,
        thread=task.thread,
    )


def _budgets(chosen: ProfileConfig) -> Budgets:
    limits = chosen.budgets
    return Budgets(
        decisions=limits.decisions,
        tool_calls=limits.tool_calls,
        errors=limits.errors,
        stuck=limits.stuck,
        tokens=limits.tokens,
        cost_nusd=int(limits.cost_usd * 1_000_000_000),
        wall_us=to_us(limits.wall_s),
        recoveries=limits.recoveries,
    )


def controllers(config: Config) -> dict[str, ControllerConfig]:
    """Every controller by name; a configured model is a controller of its own."""
    models = {name: ControllerConfig(kind="openai", model=name) for name in config.models}
    return CONTROLLERS | models | config.controllers


def controller_of(config: Config, name: str, attempts: int | None, folder: str) -> Controller:
    """The frozen form of a controller; `attempts` instead of its own retries. Raises UnknownController."""
    found = controllers(config).get(name)
    if found is None:
        raise errors.UnknownController(name=name, known=", ".join(controllers(config)))
    model = _model((MODELS | config.models)[found.model]) if found.kind == "openai" else None
    return Controller(
        name=name,
        kind=found.kind,
        fast=found.fast,
        rules=tuple(_rule(at, each) for at, each in enumerate(found.rules, 1)) or rules.DEFAULT,
        fallback=found.fallback,
        retries=found.retries if attempts is None else attempts,
        retry_base_us=to_us(found.retry_s),
        retry_max_us=to_us(CONTROLLER_RETRY_S_MAX),
        model=model,
        argv=(_program(folder, found.argv[0]), *found.argv[1:]) if found.argv else (),
        deadline_us=model.deadline_us if model else to_us(found.timeout_s),
    )


def _rule(at: int, each: Any) -> Rule:  # noqa: ANN401  # a RuleConfig
    return Rule(
        id=each.id or f"rule-{at}",
        when=each.when,
        then=each.then,
        message=each.message,
        outcome=each.outcome,
        calls=tuple(msgspec.convert(call, Wanted) for call in each.calls),
    )


def _model(found: ModelConfig) -> Model:
    prices = found.prices
    return Model(
        base_url=found.base_url.rstrip("/"),
        name=found.name,
        key_env=found.key_env,
        json_mode=found.json_mode,
        stream=found.stream,
        tokens_max=found.max_tokens,
        deadline_us=to_us(found.timeout_s),
        private=found.private,
        prices=None
        if prices is None
        else Prices(
            version=prices.version,
            in_musd=round(prices.input_usd_per_million * 1_000_000),
            out_musd=round(prices.output_usd_per_million * 1_000_000),
        ),
        extra=found.extra,
    )


def _tool(config: Config, name: str, chosen: ProfileConfig, folder: str) -> Tool:
    found = (TOOLS | config.tools)[name]
    return Tool(
        name=name,
        kind=found.kind,
        description=found.description or tools.INPUTS[found.kind].__doc__ or "",
        effect=found.effect,
        always_ask=name in humans(chosen),
        approval=chosen.approvals.get(name, found.approval),
        timeout_us=to_us(found.timeout_s),
        hosts=found.hosts,
        methods=found.methods,
        check_host_keys=found.check_host_keys,
        program=_program(folder, found.program),
        private=found.private,
        bytes_max=found.max_bytes,
        cwd=below(folder, found.working_dir) if found.working_dir else "",
        inherit_env=found.inherit_env,
        tags=found.tags,
    )


def _patterns(chosen: PatternsConfig, task: Given) -> Patterns:
    urgent = patterns.DEFAULT.urgent if chosen.urgent is None else _phrases(chosen.urgent)
    milestones = patterns.DEFAULT.milestones if chosen.milestones is None else _phrases(chosen.milestones)
    if task.urgent is not None or task.milestones is not None:  # a task that names its own wants those and no others
        urgent, milestones = _phrases(task.urgent or ()), _phrases(task.milestones or ())
    return Patterns(urgent, milestones)


def _phrases(found: Sequence[str | PatternConfig]) -> tuple[Pattern, ...]:
    return tuple(
        Pattern(each) if isinstance(each, str) else Pattern(each.phrase, each.at_least, each.quotable, each.stream)
        for each in found
    )


def book(config: Config, grants: tuple[Grant, ...] = ()) -> Book:
    """The policy of this moment."""
    return Book(tuple(_policy(each) for each in config.policies), grants)


def _policy(each: PolicyConfig) -> PolicyRule:
    return PolicyRule(
        id=each.id,
        effect=each.effect,
        reason=each.reason,
        tool=each.tool,
        profile=each.profile,
        origin=each.origin,
        arguments=each.arguments,
        cost_over_nusd=-1 if each.cost_over_usd is None else int(each.cost_over_usd * 1_000_000_000),
        expires_us=to_us(each.expires_s),
        on_expire=each.on_expire,
        on_reject=each.on_reject,
        on=each.on,
        adapter=each.adapter,
        kind=each.kind,
        source=each.source,
    )
