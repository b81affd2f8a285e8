"""Bundles of adapters that get a prompt: coding agents and models. Same inputs, same bytes."""

import hashlib
from typing import Any, Literal

import msgspec

from domain import agents, brief, calls, launch, prompt, reports, task_types
from domain.bounds import HINT_REFUNDS_MAX, HINT_S_MAX, PROMPT_CHARS
from domain.brief import Brief
from domain.bundle_parts import Canonical, Compiled, digest, policy_of
from domain.calls import CallInput, HttpInput
from domain.config import CLIS, Adapter, Config, to_us
from domain.events import RunRefused, RunStarted
from domain.ids import text_of
from domain.launch import AgentCli
from domain.managed_path import Before, Workspace
from domain.outcome import BLOCKED_PHRASES
from domain.payload import AdapterChoice
from domain.prompt import Skill
from domain.task import Task
from domain.task_folder import cwd_of
from domain.verification import Where

COMMANDS = {"codex": "codex", "claude-code": "claude", "hermes-agent": "hermes"}
_SAME = "00000000000000000000000000000000"


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What the shell found out for a run before its bundle is compiled: facts about files, git, the last attempt."""

    run: str
    tmp: str  # the folder of the run's private files
    cwd: str = ""  # where it works, with links resolved where a task chose it
    marker: str
    choice: AdapterChoice
    where: Where
    before: Before = Before()
    existing: frozenset[str] = frozenset()
    workspace: Workspace = Workspace(kind="unknown")
    skills: tuple[Skill, ...] = ()
    issues: tuple[str, ...] = ()  # what verification found at the last attempt
    input_issues: tuple[str, ...] = ()
    env: dict[str, str] = {}  # of the env file and the adapter, without secrets: what a launch looks up in it
    env_names: tuple[str, ...] = ()
    inherited_bytes: int = 0
    constitution: dict[str, str] = {}  # soul, purpose: digests; "absent"
    model_digest: str = ""
    tool_version: str = ""
    external: tuple[dict[str, Any], ...] = ()
    rt_version: str = ""
    memory: tuple[str, ...] = ()
    history: tuple[tuple[str, str], ...] = ()


def cli_of(name: str, adapter: Adapter, folder: str) -> AgentCli | None:
    """The command line that an adapter stands for; None for a model or a script."""
    if adapter.kind not in CLIS:
        return None
    driver: launch.Driver = adapter.kind  # type: ignore[assignment]  # just looked
    command = adapter.command or COMMANDS.get(adapter.kind, name)
    own = {"args": adapter.args} if driver == "cli" else {"extra_args": adapter.args}
    return AgentCli(
        driver=driver,
        command=agents.below(folder, command) if "/" in command else command,
        model=adapter.model,
        sandbox=adapter.sandbox,
        autonomy=adapter.autonomy,
        settings_file=agents.below(folder, adapter.settings_file) if adapter.settings_file else "",
        provider_id=adapter.provider_id,
        provider_name=adapter.provider_name,
        provider_base_url=adapter.provider_base_url,
        provider_requires_openai_auth=adapter.provider_requires_openai_auth,
        mcp=adapter.mcp,
        prompt_by=adapter.prompt_by,
        stream=adapter.stream,
        answer=adapter.answer,
        **own,  # type: ignore[arg-type]  # one of two fields
    )


def compile_prompted(  # noqa: PLR0913, PLR0917  # what a bundle is made of
    task: Task, stored: bytes, config: Config, folder: str, found: Prepared, canonical: Canonical
) -> Compiled:
    """The bundle of a run that gets a prompt; a refusal where it cannot be made or may not run."""
    name = found.choice.selected
    adapter = config.adapters[name]
    document = msgspec.json.decode(stored)
    try:
        made = prompt.assemble(_inputs(task, document, config, found))
    except prompt.TooLong as problem:
        return Compiled(fact=RunRefused(cause="prompt_too_long", message=str(problem)))
    cli = _capped(cli_of(name, adapter, folder), config, task)
    try:
        cwd = found.cwd or cwd_of(document["payload"], name, adapter, folder)
        call, bypass, stdin = _call(cli, name, adapter, made.text, cwd, found)
    except launch.NotLaunchable as problem:
        return Compiled(fact=RunRefused(cause=problem.cause, message=problem.message))
    profile = config.profiles.get(task.profile or config.default_profile)
    if bypass and profile is not None and profile.is_restricted:
        message = f"profile {task.profile!r} is restricted, and the adapter sets {', '.join(bypass)}"
        return Compiled(fact=RunRefused(cause="autonomy_refused", message=message[:2_000]))
    judged = brief.encode(_brief(task, document["payload"], config, adapter, cli, found))
    policy = policy_of(adapter, config, float(document["payload"].get("timeout_s", 0)) or adapter.timeout_s)
    bundle = _document(task, document, config, name, adapter, cli, made, call, found)
    content = canonical(bundle)
    fact = RunStarted(
        program="one_shot",
        adapter=name,
        bundle=text_of(content),
        policy=policy,
        call=text_of(calls.encoded(call)),
        profile=task.profile or config.default_profile,
        thread=task.thread,
        parent_run=task.parent_run,
        depth=task.depth,
        brief=text_of(judged),
        prompt=text_of(made.text.encode()),
        bundle_hash=digest(canonical, _without_run(bundle, made.text, found)),
        input_hash=digest(canonical, _without_task(bundle)),
        grade=grade(adapter, found),
        bypass=bypass,
        choice=found.choice if len(found.choice.chain) > 1 or found.choice.selected != found.choice.wanted else None,
    )
    texts = {"brief": judged, "prompt": made.text.encode()}
    return Compiled(
        fact=fact,
        texts=(content, calls.encoded(call), *((stdin,) if stdin else ())),
        call=call if isinstance(call, CallInput) else None,
        read=texts,
    )


def _inputs(task: Task, document: dict[str, Any], config: Config, found: Prepared) -> prompt.Inputs:
    name = task.profile or config.default_profile
    profile = agents.profiles(config).get(name)
    payload = document["payload"]
    given = _signals(task, payload)
    return prompt.Inputs(
        runtime_policy=config.runtime_policy,
        profile_id=name or "none",
        style=profile.style if profile else "",
        role=profile.role if profile else "",
        directives=profile.prompt if profile else (),
        skills=found.skills,
        kind=task.kind,
        source=task.source,
        priority=task.priority,
        subject=task.subject,
        description=document["description"],
        payload=payload,
        payload_path=f"{found.tmp}/{found.marker}.json",
        artifact_root=found.where.artifact_root,
        existing=found.existing,
        nonce=nonce(task),
        max_chars=profile.max_prompt_chars if profile else PROMPT_CHARS,
        accepted_signals=given if len(given) > 1 else (),
        required_signal=given[0] if len(given) == 1 else "",
        issues=found.issues,
        memory=found.memory,
        thread_history=found.history,
    )


def _signals(task: Task, payload: dict[str, Any]) -> tuple[str, ...]:
    """The signals of which an answer has to name one: those that the task lists, its workflow knows, or requires."""
    accepted = payload.get("accepted_signals")
    if isinstance(accepted, list):
        return tuple(each for each in accepted if isinstance(each, str))
    if task.origin and task.origin.signals:
        return task.origin.signals
    contract = payload.get("response_contract")
    required = contract.get("required_workflow_signal") if isinstance(contract, dict) else None
    return tuple(each for each in required.split(" or ") if each.strip()) if isinstance(required, str) else ()


def nonce(task: Task) -> str:
    """What the marks around data carry: made of when and where the task was taken in, which nobody outside knows."""
    seed = f"{task.task}:{task.created_at_us}:{task.queued_position}"
    return hashlib.sha256(seed.encode()).hexdigest()[:16]


def _capped(cli: AgentCli | None, config: Config, task: Task) -> AgentCli | None:
    """The command line under what the profile allows at most, and without servers of tools where it says so."""
    profile = config.profiles.get(task.profile or config.default_profile)
    if cli is None or profile is None:
        return cli
    cli = launch.capped(cli, "restricted" if profile.is_restricted else "trusted-vm")
    return msgspec.structs.replace(cli, mcp="none") if profile.has_no_servers else cli


def _call(  # noqa: PLR0913, PLR0917  # what a call is made of
    cli: AgentCli | None, name: str, adapter: Adapter, text: str, cwd: str, found: Prepared
) -> tuple[CallInput | HttpInput, tuple[str, ...], bytes]:
    """What is started or sent, what in it takes a restraint away, and what it reads. Raises NotLaunchable."""
    if cli is None:
        return _request(adapter, text), (), b""
    around = launch.Surroundings(
        cwd=cwd,
        prompt=text,
        last_message_file=f"{found.tmp}/{found.marker}.last",
        prompt_file=f"{found.tmp}/{found.marker}.prompt",
        env=found.env,
        inherited_bytes=found.inherited_bytes,
    )
    made = launch.launch(cli, around)
    by_file = launch.prompt_by(cli) == "file"
    call = CallInput(
        argv=made.argv,
        cwd=cwd,
        adapter=name,
        inherit_env=adapter.inherit_env,
        adapter_env=tuple(sorted(adapter.env)),
        payload_file=True,
        stdin=text_of(made.stdin) if made.stdin else None,
        prompt_file=around.prompt_file if by_file else "",
        last_message_file=around.last_message_file if made.last_message else "",
        resolved_env=found.env_names,
    )
    return call, made.bypass, made.stdin


def _request(adapter: Adapter, text: str) -> HttpInput:
    endpoint = adapter.endpoint.rstrip("/")
    body: dict[str, Any]
    if adapter.kind == "ollama":
        url, body = f"{endpoint}/api/generate", {"model": adapter.model, "prompt": text, "stream": adapter.stream}
        body |= {"format": "json"} if adapter.outcome == "json" else {}
    else:
        url = f"{endpoint}/chat/completions"
        body = {"model": adapter.model, "messages": [{"role": "user", "content": text}]}
        body |= {"response_format": {"type": "json_object"}} if adapter.outcome == "json" else {}
        body |= {"stream": True, "stream_options": {"include_usage": True}} if adapter.stream else {}
    return HttpInput(
        method="POST",
        url=url,
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(body).decode(),
        private=adapter.private,
        bytes_max=adapter.max_bytes,
        total_us=to_us(adapter.timeout_s or 600.0),
        key_env=adapter.key_env,
        whole=True,
        stream=("ollama" if adapter.kind == "ollama" else "openai") if adapter.stream else "",
    )


def _brief(  # noqa: PLR0913, PLR0917  # what a run is judged by
    task: Task, payload: dict[str, Any], config: Config, adapter: Adapter, cli: AgentCli | None, found: Prepared
) -> Brief:
    profile = config.profiles.get(task.profile or config.default_profile)
    reader: Literal["cli", "ollama", "openai"] = "cli" if cli else "ollama" if adapter.kind == "ollama" else "openai"
    return Brief(
        reader=reader,
        cli=cli,
        payload=brief.about_artifacts(task.kind, payload),
        where=found.where,
        before=found.before,
        blocked_phrases=config.blocked_phrases or BLOCKED_PHRASES,
        hint_service=adapter.retry_hint_service,
        hint_most_s=HINT_S_MAX,
        hint_refunds_max=HINT_REFUNDS_MAX,
        on_unverified=profile.on_unverified if profile else "retry",
        reports=reports.are_read(cli),
    )


def grade(adapter: Adapter, found: Prepared) -> str:
    """How well what comes from outside was frozen; never whether the run can be replayed: that it always can."""
    cached = all(each["cache_status"] == "cached" for each in found.external)
    if found.workspace.kind != "git" or found.workspace.dirty is not False or not cached:
        return "best_effort"
    if adapter.kind in CLIS or not found.model_digest:
        return "non_replayable_model"
    return "inputs_frozen"


def _document(  # noqa: PLR0913, PLR0917  # all of it
    task: Task,
    document: dict[str, Any],
    config: Config,
    name: str,
    adapter: Adapter,
    cli: AgentCli | None,
    made: prompt.Prompt,
    call: CallInput | HttpInput,
    found: Prepared,
) -> dict[str, Any]:
    """The bundle as documented (section "bundles"), with what was missing there."""
    profile = agents.profiles(config).get(task.profile or config.default_profile)
    skills = [each.name for each in found.skills]
    return {
        "bundle_version": "2",
        "bundle_id": found.run,
        "task": _of_task(task, document),
        "workflow": None if task.origin is None or task.origin.kind != "workflow" else msgspec.to_builtins(task.origin),
        "agent": {
            "internal_name": config.runtime_name,
            "policy_sha256": text_of(config.runtime_policy.encode()).sha256,
        },
        "constitution": found.constitution,
        "profile": {
            "profile_id": task.profile or config.default_profile,
            "style": profile.style if profile else "",
            "role": profile.role if profile else "",
            "skills": skills,
            "digest": text_of(msgspec.json.encode(profile, order="sorted")).sha256 if profile else "",
        },
        "adapter": {
            "adapter_id": name,
            "mode": adapter.kind,
            "model": adapter.model,
            "model_digest": found.model_digest,
            "tool_version": found.tool_version,
            "timeout_us": to_us(adapter.timeout_s),
            "autonomy": cli.autonomy if cli else "",
            "sandbox": cli.sandbox if cli else "",
            "argv": _template(call.argv, made.text, found) if isinstance(call, CallInput) else [],
            "cwd": call.cwd if isinstance(call, CallInput) else "",
            "env_names": sorted({*found.env_names, *adapter.env}),
            "endpoint": adapter.endpoint,
        },
        "workspace": msgspec.to_builtins(found.workspace),
        "artifacts": [
            {
                "role": each.role,
                "path": each.path,
                "exists": each.path in found.existing,
                "sha256": seen.sha256 if (seen := found.before.artifacts.get(each.path)) else "",
            }
            for each in task_types.declared(document["payload"])
        ],
        "external_inputs": list(found.external),
        "prompt": {"sha256": text_of(made.text.encode()).sha256, "cuts": msgspec.to_builtins(made.cuts)},
        "rt_version": found.rt_version,
    }


def _of_task(task: Task, document: dict[str, Any]) -> dict[str, Any]:
    return {
        "task_id": task.task,
        "kind": task.kind,
        "source": task.source,
        "subject": task.subject,
        "description": document["description"],
        "priority": task.priority,
        "payload": document["payload"],
        "requested_profile": task.profile,
        "requested_adapter": task.adapter,
        "created_at_us": task.created_at_us,
        "max_attempts": task.max_attempts,
    }


def _template(argv: tuple[str, ...], text: str, found: Prepared) -> list[str]:
    """The arguments without what belongs to this run alone: its private files; and without a copy of the prompt."""
    return [each.replace(text, "{prompt}").replace(found.marker, "{run}") for each in argv]


def _without_run(bundle: dict[str, Any], text: str, found: Prepared) -> dict[str, Any]:
    """The bundle without its own name, and without that of its run, which a cut payload names in the prompt."""
    same = text_of(text.replace(found.marker, "{run}").encode()).sha256
    return bundle | {"bundle_id": _SAME, "prompt": bundle["prompt"] | {"sha256": same}}


def _without_task(bundle: dict[str, Any]) -> dict[str, Any]:
    """The bundle without what names its task; the prompt does, and all that it is made of is there."""
    task = {name: value for name, value in bundle["task"].items() if name not in ("task_id", "created_at_us")}
    rest = {name: value for name, value in bundle.items() if name not in ("bundle_id", "prompt", "workflow")}
    return rest | {"task": task}


def external_inputs(payload: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """The inputs from outside that a payload names, and whether each is frozen."""
    given = payload.get("external_inputs")
    return tuple(_external(at, each) for at, each in enumerate(given)) if isinstance(given, list) else ()


def _external(at: int, each: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever stands there
    if isinstance(each, str):
        return {"index": at, "source": each, "cache_status": "uncached"}
    fields = each if isinstance(each, dict) else {}
    named = next((fields[key] for key in ("source", "url", "name") if isinstance(fields.get(key), str)), "")
    frozen = any(str(fields.get(key) or "").strip() for key in ("cache_path", "cache_hash", "cached_content"))
    status = "cached" if frozen else "uncached"
    return {"index": at, "source": named or f"external_input_{at}", "cache_status": status}
