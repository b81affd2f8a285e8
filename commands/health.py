"""The command for monitors: whether this home can do its work now, as one document and one exit status."""

import asyncio
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import typer

from adapters.head_record import HeadRecord
from adapters.log_problems import unwritable
from commands import options, render
from commands.adapters import Seen, freed, looked
from commands.invocation import invocation
from commands.scheduling import Scheduler
from commands.wiring import Runtime
from domain import agents, errors
from domain.bounds import CLOCK_US_MIN, DISK_FREE_BYTES_MIN
from domain.config import BUILT_IN, Config, runs_as
from domain.stream_index import OUTBOX, SENSOR, WORKFLOW


class Issue(NamedTuple):
    """What is not as it should be; a warning stops nothing."""

    what: str
    detail: str
    is_warning: bool = False


def health(as_json: options.Json = False) -> None:
    """Say whether everything that is needed can be used."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    started_s = time.monotonic()
    document = checked(runtime)
    runtime.close()
    document["latency_ms"] = round((time.monotonic() - started_s) * 1000, 1)
    if as_json:
        render.document("rt.health.v1", document)
    else:
        _print(document)
    if not document["ok"]:
        raise typer.Exit(1)


def _print(document: dict[str, Any]) -> None:
    render.out("ok" if document["ok"] else "not ok")
    for issue in document["configIssues"]:
        render.out(f"config    {render.line(issue)}")
    for profile in document["profileChecks"]:
        for issue in profile["issues"]:
            render.out(f"profile   {profile['profileId']}: {render.line(issue)}")
    for adapter in document["adapterChecks"]:
        if not adapter["ok"]:
            level = "adapter" if adapter["needed"] else "warning"
            render.out(f"{level:<9} {adapter['adapterId']}: {render.line(adapter['detail'])}")
    for check in document["checks"]:
        if not check["ok"]:
            render.out(
                f"{'warning' if check['warning'] else 'store':<9} {check['what']}: {render.line(check['detail'])}"
            )


def checked(runtime: Runtime) -> dict[str, Any]:
    """Everything; whatever is wrong is an entry, never an exception (HC-1)."""
    try:
        config = runtime.config
    except errors.RtError as problem:
        return {"ok": False, "configIssues": [str(problem)], "profileChecks": [], "adapterChecks": [], "checks": []}
    needed = _needed(runtime, config)
    seen = asyncio.run(looked(runtime, list(config.adapters)))
    adapters = [_adapter(runtime, each, needed) for each in seen]
    profiles = [{"profileId": name, "issues": list(_profile_issues(config, name))} for name in config.profiles]
    checks = [_shown(each) for each in _store(runtime)]
    issues = list(_config_issues(runtime, config))
    ok = (
        not issues
        and all(not each["issues"] for each in profiles)
        and all(each["ok"] or not each["needed"] for each in adapters)
        and all(each["ok"] or each["warning"] for each in checks)
    )
    return {"ok": ok, "configIssues": issues, "profileChecks": profiles, "adapterChecks": adapters, "checks": checks}


def _shown(each: Issue) -> dict[str, Any]:
    return {"what": each.what, "ok": not each.detail, "warning": each.is_warning, "detail": each.detail}


def _needed(runtime: Runtime, config: Config) -> set[str]:
    """The adapters that something leads to: defaults, profiles, schedules, and the fallbacks of all these (HC-2)."""
    found = {runs_as(config, "", name) for name in ("", *config.profiles)} | {config.default_adapter}
    reached = list(found | set(_scheduled(runtime, config)))
    for name in reached:  # it grows
        here = config.adapters.get(name)
        if here is not None and here.fallback and here.fallback not in reached:
            reached.append(here.fallback)
    return set(reached) & (config.adapters.keys() | {BUILT_IN})


def _scheduled(runtime: Runtime, config: Config) -> Iterator[str]:
    """The adapters of what enabled schedules bring in; none where the log does not read, which is told apart."""
    if not (runtime.home.state / "log.db").exists():
        return
    try:
        known = Scheduler(config).all(runtime.readable)
    except (errors.RtError, OSError):
        return
    for each in known:
        if each.state.enabled:
            yield runs_as(config, each.task.get("requested_adapter", ""), each.task.get("requested_profile", ""))


def _adapter(runtime: Runtime, each: Seen, needed: set[str]) -> dict[str, Any]:
    found = runtime.config.adapters[each.name]
    problems = [] if each.health.ok else [f"{each.health.reason}: {each.health.detail}".rstrip(": ")]
    for field in ("settings_file", "env_file"):
        path = getattr(found, field)
        optional = field == "env_file" and found.env_file_optional
        if path and not optional and not Path(agents.below(str(runtime.home.folder), path)).is_file():
            problems.append(f"{field} {path} is not there")
    if found.kind == "codex" and found.provider_base_url and not found.model:
        problems.append("a provider's address without a model")
    if found.kind == "claude-code" and found.autonomy == "trusted-vm" and not found.settings_file:
        problems.append("trusted-vm without a settings_file")
    if found.key_env and not runtime.environment.all().get(found.key_env):
        problems.append(f"the variable {found.key_env} is not set")
    return {
        "adapterId": each.name,
        "ok": not problems,
        "needed": each.name in needed,
        "detail": "; ".join(problems) or each.health.detail,
        "bypass": freed(runtime.config, each.name) or None,
    }


def _profile_issues(config: Config, name: str) -> Iterator[str]:
    profile = config.profiles[name]
    if profile.program != "one_shot":
        return
    if not profile.role.strip():
        yield "role is empty"
    if not profile.prompt:
        yield "prompt is empty: it has no directives"
    for skill in profile.skills:
        if skill not in config.skills:
            yield f"skill {skill!r} has no file in [skills]"


def _config_issues(runtime: Runtime, config: Config) -> Iterator[str]:
    environ = runtime.environment.all()
    for name, each in config.outbox.destinations.items():
        for variable in (each.token_env, each.sign_env):
            if variable and not environ.get(variable):
                yield f"outbox.destinations.{name}: the variable {variable} is not set"
    for name, path in config.constitution.items():
        if not Path(agents.below(str(runtime.home.folder), path)).is_file():
            yield f"constitution.{name}: {path} is not there"


def _store(runtime: Runtime) -> Iterator[Issue]:
    state = runtime.home.state
    folder = state if state.exists() else runtime.home.folder
    free = shutil.disk_usage(folder).free
    yield Issue("disk", "" if free > DISK_FREE_BYTES_MIN else f"{free >> 20} MiB free")
    yield Issue("clock", "" if runtime.clock.now_us() > CLOCK_US_MIN else "says a time before 2025")
    if not (state / "log.db").exists():
        yield Issue("log", "there is none yet", is_warning=True)
        return
    try:
        yield from _log(runtime)
    except (errors.RtError, OSError) as problem:
        yield Issue("log", str(problem))


def _log(runtime: Runtime) -> Iterator[Issue]:
    state, log = runtime.home.state, runtime.readable
    record = HeadRecord(state / "head.json")
    recorded = record.read()
    head = log.head()
    record.check(recorded, head.position, log.hash_at)
    closed = unwritable(state)
    yield Issue("log", f"{closed} cannot be written" if closed else "")
    mode = state.stat().st_mode & 0o077
    yield Issue("modes", f"{oct(state.stat().st_mode & 0o777)} on {state}" if mode else "", is_warning=True)
    dead = {each.dispatcher for each in log.running() if not runtime.liveness.alive(each.dispatcher)}
    yield Issue("dispatchers", f"{len(dead)} died with runs in hand: rt work goes on" if dead else "", is_warning=True)
    yield Issue("paused", "dispatching is paused: rt resume" if log.paused() else "", is_warning=True)
    failed = len(log.nouns(OUTBOX, "failed"))
    yield Issue("outbox", f"{failed} messages did not get through: rt outbox list" if failed else "", is_warning=True)
    parked = len(log.nouns(WORKFLOW, "parked"))
    yield Issue("workflows", f"{parked} are parked: rt workflow list" if parked else "", is_warning=True)
    resting = [noun.name for noun in log.nouns(SENSOR, "parked")]
    yield Issue("sensors", f"parked: {', '.join(resting[:10])}; rt sensor run NAME" if resting else "", is_warning=True)
    behind = head.position - runtime.projection().ask(lambda _database, at: at)
    yield Issue("projection", f"{behind} events behind" if behind > 0 else "", is_warning=True)
