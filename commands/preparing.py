"""What is found out for a run before its bundle is compiled: adapter, environment, files, git, the last attempt.

Whatever goes wrong here ends the run with a cause, before anything is started.
"""

import hashlib
import os
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

from adapters import artifacts, git_state
from adapters.credentials import (
    Command,
    CommandResolver,
    CredentialProblem,
    EnvResolver,
    FileResolver,
    KeyringResolver,
    Resolver,
    read_env_file,
    references,
    resolved,
)
from commands.surroundings import History, told
from commands.world import World
from domain import agents, errors, task_types, verification
from domain.bounds import FALLBACKS_MAX, GIT_S, ISSUES_MAX
from domain.bundle import BASE_ENV
from domain.config import AGENT, BUILT_IN, Adapter, Config, runs_as, to_us
from domain.events import RunRefused, RunVerified, TaskClaimed
from domain.ids import marker
from domain.launch import STRING_EXTRA_BYTES, NotLaunchable
from domain.managed_path import Before, Workspace
from domain.payload import AdapterChoice
from domain.prompt import Skill
from domain.prompted import COMMANDS, Prepared, external_inputs
from domain.task import Task
from domain.task_folder import cwd_of, is_below
from domain.verification import Check, Where


class NotReady(Exception):  # an answer of this module, which becomes the end of the run
    """The run cannot begin."""

    def __init__(self, fact: RunRefused) -> None:
        super().__init__(fact.cause)
        self.fact = fact


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What a run may begin with. `own_env` holds resolved secrets: it stays in memory."""

    prepared: Prepared
    own_env: dict[str, str]


async def prepare(world: World, task: Task, run: str, stored: bytes) -> Ready | None:
    """What the bundle of a run needs; None for runs that need nothing. Raises NotReady."""
    config = world.config
    wanted = runs_as(config, task.adapter, task.profile)
    adapter = config.adapters.get(wanted)
    if wanted in (BUILT_IN, AGENT) or adapter is None:
        return None
    payload = msgspec.json.decode(stored)["payload"]
    if adapter.kind == "script" and not _needs(adapter, payload):
        return None
    choice = await _chosen(world, task, wanted, adapter)
    adapter = config.adapters[choice.selected]
    own_env = await world.aside(_own_env, world, adapter, f"adapters.{choice.selected}")
    prepared = await world.aside(_prepared, world, task, run, payload, choice, adapter, own_env)
    if adapter.kind == "ollama" or adapter.kind in COMMANDS:
        found = await world.probes.health(choice.selected)
        prepared = msgspec.structs.replace(prepared, model_digest=found.digest, tool_version=found.version)
    return Ready(prepared=prepared, own_env=own_env)


def _needs(adapter: Adapter, payload: Mapping[str, Any]) -> bool:
    """Whether there is something to find out for a script: most make no claims and begin with nothing of others."""
    claims = adapter.outcome == "json" or bool(verification.inputs(payload))
    return claims or bool(adapter.env_file or adapter.fallback or references(adapter.env))


async def _chosen(world: World, task: Task, wanted: str, adapter: Adapter) -> AdapterChoice:
    if adapter.kind == "script" and not adapter.fallback:
        return AdapterChoice(wanted, wanted, ())
    choice = await world.probes.choose(wanted, alone=task.own_adapter_only)
    if choice.selected:
        return choice
    seen = "; ".join(f"{each.adapter}: {each.reason}" for each in choice.chain[: FALLBACKS_MAX + 1])
    raise NotReady(
        RunRefused(
            cause="no_adapter_available",
            message=f"no adapter is healthy: {seen}",
            retry_after_us=max(1_000_000, to_us(world.config.retry.backoff_s)),
            refunded=True,
        )
    )


def _own_env(world: World, adapter: Adapter, where: str) -> dict[str, str]:
    """What the env file and the adapter say, references resolved and known to redaction. Raises NotReady."""
    values: dict[str, str] = {}
    try:
        if adapter.env_file:
            path = Path(agents.below(world.folder, adapter.env_file))
            values |= read_env_file(path, optional=adapter.env_file_optional).values
        values |= adapter.env
        if references(values):
            values, secrets = resolved(values, resolver(world.config, world.environment.all(), world.folder))
            world.secrets.learn(secrets)
    except CredentialProblem as problem:
        again_us = max(1_000_000, to_us(world.config.retry.backoff_s)) if problem.cause == "credential_failed" else 0
        message = f"{where}: {problem}"
        raise NotReady(RunRefused(cause=problem.cause, message=message, retry_after_us=again_us)) from None
    except errors.InvalidConfig as problem:
        raise NotReady(RunRefused(cause="env_file_invalid", message=f"{where}: {problem}")) from None
    _learn(world, values)
    return values


def _learn(world: World, values: Mapping[str, str]) -> None:
    """What an env file sets under a name like a secret's is one."""
    from domain.bounds import SECRET_BYTES_MAX, SECRET_BYTES_MIN
    from domain.config import looks_secret

    found = {
        value
        for name, value in values.items()
        if looks_secret(name) and SECRET_BYTES_MIN <= len(value.encode("utf-8", "replace")) <= SECRET_BYTES_MAX
    }
    world.secrets.learn(found)


def resolver(config: Config, environ: Mapping[str, str], folder: str) -> Resolver:
    """Who resolves references to credentials. Raises CredentialProblem where nobody is configured."""
    wanted = config.credentials
    match wanted.resolver:
        case "command":
            command = Command(argv=wanted.argv, answer=wanted.format, cwd=folder, timeout_s=wanted.timeout_s)
            secret = environ.get(wanted.stdin_env) if wanted.stdin_env else None
            return CommandResolver(command, environ, stdin_secret=secret)
        case "file":
            return FileResolver(Path(agents.below(folder, wanted.folder)))
        case "env":
            return EnvResolver(environ)
        case "keyring":
            return KeyringResolver(wanted.service, timeout_s=wanted.timeout_s)
        case _:
            raise CredentialProblem("a credential", "is named, and [credentials] configures no resolver")


def _prepared(  # what there is to look at
    world: World,
    task: Task,
    run: str,
    payload: dict[str, Any],
    choice: AdapterChoice,
    adapter: Adapter,
    own_env: Mapping[str, str],
) -> Prepared:
    cwd = _cwd(payload, choice.selected, adapter, world.folder)
    is_script = adapter.kind == "script"
    workspace = Workspace(kind="unknown", root=cwd) if is_script else git_state.workspace(cwd, GIT_S)
    roots = tuple(dict.fromkeys(root for root in (cwd, workspace.repo_root) if root))
    where = Where(artifact_root=world.artifacts, roots=roots)
    wanted = verification.wanted(payload, None, where)
    before = Before(
        artifacts=artifacts.snapshot(world.artifacts, wanted.artifacts),
        files=artifacts.survey(wanted.workspace_paths),
        workspace=workspace,
    )
    inherited = {
        name: value
        for name, value in world.environment.all().items()
        if adapter.inherit_env == "all" or name in {*BASE_ENV, *adapter.inherit_env} or name.startswith("LC_")
    }
    looked_up = {name: value for name, value in own_env.items() if name.startswith(("CODEX_", "HERMES_"))}
    bypasses = {name: value for name, value in inherited.items() if name.startswith("HERMES_")}
    memory, said = told(world, task) if not is_script else ((), History())
    return Prepared(
        run=run,
        tmp=world.private,
        cwd=cwd,
        marker=marker(run, 1),
        choice=choice,
        where=where,
        before=before,
        existing=frozenset(path for path, seen in before.artifacts.items() if seen.exists),
        workspace=workspace,
        skills=_skills(world, task, payload),
        issues=_last_issues(world, task, run),
        input_issues=_input_issues(world, payload, where),
        env=bypasses | looked_up,
        env_names=tuple(sorted(own_env)),
        inherited_bytes=_bytes(inherited) + _bytes(own_env),
        external=external_inputs(payload),
        constitution=_constitution(world),
        rt_version=_version(),
        memory=memory,
        history=tuple((each.role, each.content) for each in said.kept),
    )


def _cwd(payload: dict[str, Any], name: str, adapter: Adapter, folder: str) -> str:
    """Where the program works, with the links of a task's folder resolved. Raises NotReady."""
    try:
        cwd = cwd_of(payload, name, adapter, folder)
        own = agents.below(folder, adapter.working_dir)
        if cwd != own and not adapter.allow_task_cwd:  # what lies below by its name may lead elsewhere
            cwd = is_below(os.path.realpath(cwd), os.path.realpath(own), name)
    except NotLaunchable as problem:
        raise NotReady(RunRefused(cause=problem.cause, message=problem.message)) from None
    return cwd


def _bytes(variables: Mapping[str, str]) -> int:
    """What these variables take of the room that a program is started with."""
    named = (f"{name}={value}" for name, value in variables.items())
    return sum(len(each.encode("utf-8", "replace")) + STRING_EXTRA_BYTES for each in named)


def _version() -> str:
    try:
        return version("rt-runtime")
    except PackageNotFoundError:
        return "checkout"


def _skills(world: World, task: Task, payload: Mapping[str, Any]) -> tuple[Skill, ...]:
    """The skills of profile and payload, each once, with the file that says what it is."""
    profile = agents.profiles(world.config).get(task.profile or world.config.default_profile)
    given = payload.get("phase_skills")
    more = [each for each in given if isinstance(each, str)] if isinstance(given, list) else []
    names = dict.fromkeys([*(profile.skills if profile else ()), *more])
    return tuple(Skill(name[:200], _skill_path(world, name)) for name in names)


def _skill_path(world: World, name: str) -> str:
    path = world.config.skills.get(name)
    if not path:
        return ""
    found = Path(agents.below(world.folder, path))
    return str(found / "SKILL.md") if (found / "SKILL.md").is_file() else str(found)


def _constitution(world: World) -> dict[str, str]:
    """The digests of the files that say who the agent is."""
    found: dict[str, str] = {}
    for name, path in world.config.constitution.items():
        try:
            content = Path(agents.below(world.folder, path)).read_bytes()
        except OSError:
            found[name] = "absent"
            continue
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def _input_issues(world: World, payload: Mapping[str, Any], where: Where) -> tuple[str, ...]:
    """What is wrong with what earlier phases left for this one."""
    if task_types.phase(payload) not in ("execute", "verify"):
        return ()
    wanted = verification.wanted(payload, None, where)
    texts = {path: artifacts.head(world.artifacts, path) for path in wanted.artifacts}
    return verification.input_issues(payload, texts, artifact_root=world.artifacts)


def _last_issues(world: World, task: Task, run: str) -> tuple[str, ...]:
    """What verification found at the last attempt, for this one to mend (VE-6)."""
    if not task.run or task.run == run:
        runs = [event.data.run for event in world.log.stream(task.task) if isinstance(event.data, TaskClaimed)]
        runs = [each for each in runs if each != run]
    else:
        runs = [task.run]
    if not runs:
        return ()
    for event in reversed(world.log.stream(runs[-1])):
        if isinstance(event.data, RunVerified):
            checks = msgspec.json.decode(world.log.blob(task.task, event.data.checks), type=tuple[Check, ...])
            failed = [each for each in checks if each.result == "failed"]
            return tuple(f"{each.what} {each.path}: {each.why}"[:500] for each in failed[:ISSUES_MAX])
    return ()
