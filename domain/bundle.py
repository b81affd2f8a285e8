"""The frozen inputs of a run, computed from its task and the configuration: same inputs, same bytes."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from domain import agents, calls, errors, policies
from domain import brief as briefs
from domain import setup as setups
from domain.bounds import HINT_REFUNDS_MAX, HINT_S_MAX, PAYLOAD_ENV_BYTES_MAX
from domain.brief import Brief
from domain.bundle_parts import Canonical, Compiled, hashed, policy_of
from domain.calls import CallInput
from domain.config import AGENT, BUILT_IN, Adapter, Config, runs_as
from domain.events import RunRefused, RunStarted
from domain.ids import effect_key, text_of
from domain.prompted import Prepared, compile_prompted
from domain.run_state import Run
from domain.setup import Grant, Message
from domain.task import Task

BASE_ENV = ("PATH", "HOME", "LANG", "TMPDIR", "TERM", "USER", "LOGNAME", "SHELL", "TZ")  # and LC_*
_NOT_LOOKED_AT = "best_effort"  # the grade where nobody looked at what surrounds the run: unknown is not clean
_COMMAND = Adapter(command=BUILT_IN, outcome="exit", timeout_s=0)


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says of a run's surroundings when it starts: grants, the thread's history, memories."""

    grants: tuple[Grant, ...] = ()
    thread: str = ""
    history: tuple[Message, ...] = ()
    history_left_out: int = 0
    older: tuple[Message, ...] = ()  # the latest of those that are left out, for a summary
    memory: tuple[str, ...] = ()
    parent_run: str = ""
    depth: int = 0


ALONE = Surroundings()


def is_agent(task: Task, config: Config) -> bool:
    """Whether a task is run by a profile."""
    return runs_as(config, task.adapter, task.profile) == AGENT


def profile_of(task: Task, config: Config) -> str:
    """The profile of a task; an agent without one watches a command."""
    found = task.profile or config.default_profile
    return found or ("watch" if is_agent(task, config) else "")


def compile_run(  # noqa: PLR0913, PLR0917  # what a bundle is made of
    task: Task,
    stored_payload: bytes,
    config: Config,
    folder: str,
    around: Surroundings = ALONE,
    prepared: Prepared | None = None,
    canonical: Canonical | None = None,
) -> Compiled:
    """The bundle of a task's next run. `folder` is where relative paths of the configuration begin.

    What gets a prompt needs to be prepared: see `domain.prompted`.
    """
    wanted = runs_as(config, task.adapter, task.profile)
    name = wanted if prepared is None else prepared.choice.selected
    refused = _refused(task, config, (wanted, name), prepared)
    if refused is not None:
        return Compiled(fact=refused)
    if is_agent(task, config):
        return _agent(task, stored_payload, config, folder, around, canonical)
    adapter = _COMMAND if name == BUILT_IN else config.adapters.get(name)
    if adapter is None:
        known = ", ".join([BUILT_IN, *config.adapters])
        return Compiled(fact=RunRefused(cause="adapter_not_found", message=f"no adapter {name!r}; configured: {known}"))
    if prepared is not None and adapter.kind != "script":
        assert canonical is not None, "the bundle of a prompt has a canonical form"
        return compile_prompted(task, stored_payload, config, folder, prepared, canonical)
    payload: dict[str, Any] = msgspec.json.decode(stored_payload)["payload"]
    made = _command(payload, folder) if name == BUILT_IN else _script(name, adapter, payload, folder)
    if isinstance(made, RunRefused):
        return Compiled(fact=made)
    policy = policy_of(adapter, config, float(payload.get("timeout_s", 0)) or adapter.timeout_s)
    call = calls.encoded(made)
    document = {
        "bundle_version": "2",
        "task": {"task_id": task.task, "kind": task.kind, "source": task.source, "payload_sha256": task.payload.sha256},
        "adapter": {"adapter_id": name, "mode": adapter.kind if name != BUILT_IN else BUILT_IN},
        "call_sha256": text_of(call).sha256,
        "policy": policy,
    }
    bundle = msgspec.json.encode(document, order="sorted")
    judged = b""
    if prepared is not None and adapter.outcome == "json":  # else there is no claim to look at
        judged = briefs.encode(_judged(task, prepared, payload, config, adapter))
    fact = RunStarted(
        program="one_shot",
        adapter=name,
        bundle=text_of(bundle),
        call=text_of(call),
        policy=policy,
        brief=text_of(judged) if judged else None,
        choice=prepared.choice if prepared is not None and len(prepared.choice.chain) > 1 else None,
        grade=_NOT_LOOKED_AT,
    )
    fact = hashed(fact, canonical, document)
    return Compiled(fact=fact, texts=(bundle, call), call=made, read={"brief": judged} if judged else {})


def _judged(task: Task, prepared: Prepared, payload: dict[str, Any], config: Config, adapter: Adapter) -> Brief:
    """What a script that reports an outcome is judged by: what it claims is looked at, as everybody's is."""
    return Brief(
        reader="script",
        payload=briefs.about_artifacts(task.kind, payload),
        where=prepared.where,
        before=prepared.before,
        blocked_phrases=config.blocked_phrases,
        hint_service=adapter.retry_hint_service,
        hint_most_s=HINT_S_MAX,
        hint_refunds_max=HINT_REFUNDS_MAX,
        echo=False,
    )


def _refused(task: Task, config: Config, names: Iterable[str], prepared: Prepared | None) -> RunRefused | None:
    """Why the run must not begin: the rules about runs, or what earlier phases left for it."""
    for each in dict.fromkeys(names):  # what stands in for a denied adapter is denied too, and the reverse
        denied = _denied(task, config, each)
        if denied is not None:
            return denied
    if prepared is None or not prepared.input_issues:
        return None
    return RunRefused(cause="input_verification_failed", message="; ".join(prepared.input_issues)[:2_000])


def _denied(task: Task, config: Config, adapter: str) -> RunRefused | None:
    """What the rules about runs say; the run is then recorded as refused, with the reasons."""
    profile = profile_of(task, config)
    wish = policies.RunWish(profile=profile, adapter=adapter, kind=task.kind, source=task.source)
    book = agents.book(config)
    verdict = policies.admits(book, wish)
    if verdict.effect != "deny":
        return None
    message = f"{verdict.reason} (rules {', '.join(verdict.rules)} of policy {policies.digest_of(book)[:12]})"
    return RunRefused(cause=policies.DENIED, message=message)


def _agent(  # noqa: PLR0913, PLR0917  # what a bundle is made of
    task: Task, stored_payload: bytes, config: Config, folder: str, around: Surroundings, canonical: Canonical | None
) -> Compiled:
    stored = msgspec.json.decode(stored_payload)
    given = agents.given(stored["payload"], stored["description"], folder)
    given = msgspec.structs.replace(
        given,
        history=around.history,
        history_left_out=around.history_left_out,
        older=around.older,
        memory=around.memory,
        kind=task.kind,
        source=task.source,
        thread=around.thread,
    )
    try:
        made = agents.setup(config, profile_of(task, config), given, around.grants)
    except errors.UnknownProfile as problem:
        return Compiled(fact=RunRefused(cause="profile_not_found", message=str(problem)))
    document = setups.encode(made)
    policy = policy_of(_COMMAND, config, float(stored["payload"].get("timeout_s", 0)))
    frozen = {
        "bundle_version": "2",
        "task": {"task_id": task.task, "kind": task.kind, "source": task.source, "payload_sha256": task.payload.sha256},
        "adapter": {"adapter_id": AGENT, "mode": made.program},
        "setup_sha256": text_of(document).sha256,
        "parts": {part: text_of(content).sha256 for part, content in setups.parts(made).items()},
        "policy": policy,
    }
    bundle = msgspec.json.encode(frozen, order="sorted")
    fact = RunStarted(
        program=made.program,
        adapter=AGENT,
        bundle=text_of(bundle),
        policy=policy,
        setup=text_of(document),
        profile=made.profile,
        thread=around.thread,
        parent_run=around.parent_run,
        depth=around.depth,
        grade="non_replayable_model" if made.controller.model is not None else _NOT_LOOKED_AT,
    )
    fact = hashed(fact, canonical, frozen)
    return Compiled(fact=fact, texts=(bundle,), setup=document)


def _command(payload: dict[str, Any], folder: str) -> CallInput | RunRefused:
    argv = ["/bin/sh", "-c", payload["shell"]] if "shell" in payload else payload.get("argv")
    if not argv:
        return RunRefused(cause="invalid_payload", message="the adapter 'command' needs payload.argv or payload.shell")
    cwd = agents.below(folder, payload.get("cwd", ""))
    return CallInput(argv=tuple(argv), cwd=cwd, adapter=BUILT_IN, inherit_env=(), adapter_env=(), payload_file=False)


def _script(name: str, adapter: Adapter, payload: dict[str, Any], folder: str) -> CallInput | RunRefused:
    given = [argument for argument in payload.get("args", []) if isinstance(argument, str)]
    if given and not adapter.allow_task_args:
        message = f"the task brings arguments; adapters.{name}.allow_task_args is off"
        return RunRefused(cause="task_args_refused", message=message)
    if given and not adapter.allow_task_options:
        given = ["--", *given]  # an argument that looks like an option cannot act as one
    command = agents.below(folder, adapter.command) if "/" in adapter.command else adapter.command
    return CallInput(
        argv=(command, *adapter.args, *given),
        cwd=agents.below(folder, adapter.working_dir),
        adapter=name,
        inherit_env=adapter.inherit_env,
        adapter_env=tuple(sorted(adapter.env)),
        payload_file=True,
    )


def child_environment(
    call: CallInput,
    config: Config,
    environ: Mapping[str, str],
    task: Mapping[str, str],
    own: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The whole environment of a call: an allow-list, what the adapter names, and the task's variables on top.

    `own` is what its env file and its own variables say, references resolved; None: its variables as they are.
    """
    chosen: dict[str, str]
    if call.inherit_env == "all":
        chosen = dict(environ)
    else:
        names = {*BASE_ENV, *call.inherit_env}
        chosen = {name: value for name, value in environ.items() if name in names or name.startswith("LC_")}
    if own is not None:
        return chosen | dict(own) | dict(task)
    adapter = config.adapters.get(call.adapter)
    if adapter is not None:
        chosen |= {name: value for name, value in adapter.env.items() if name in call.adapter_env}
    return chosen | dict(task)


def task_variables(
    run: Run, call: int, *, name: str, folders: Mapping[str, str], payload: bytes | None
) -> dict[str, str]:
    """What a call is told of its task. Scripts get both the old names and ours; `payload` only where it fits."""
    told = {"RT_TASK_ID": run.task, "RT_RUN_ID": run.run, "RT_EFFECT_KEY": effect_key(run.run, call)}
    if payload is None:
        return told
    shared = {
        "NAME": name,
        "TASK_ID": run.task,
        "ATTEMPT_ID": run.run,
        "ARTIFACT_DIR": folders["artifacts"],
        "STATE_DIR": folders["state"],
    }
    if len(payload) <= PAYLOAD_ENV_BYTES_MAX:
        shared["TASK_PAYLOAD_JSON"] = payload.decode()
    for prefix in ("AGENT_RUNTIME_", "RT_"):
        told |= {f"{prefix}{key}": value for key, value in shared.items()}
    return told | {"RT_TASK_PAYLOAD_FILE": folders["payload_file"]}
