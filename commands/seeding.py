"""The command that seeds a home: workflows and tasks from one document, all or nothing, and repeatable."""

import hashlib
from typing import Annotated, Any

import msgspec
import typer

from commands import documents, options, render
from commands.invocation import invocation
from commands.making import Making
from commands.taking_in import announce
from commands.templates import template
from commands.wiring import Runtime
from commands.workflow_doors import Wanted, Workflows
from commands.workflow_moves import state_of
from domain import errors, workflow
from domain.events import Put
from domain.ids import keyed_task, workflow_stream
from domain.intake import accept
from domain.ports import LogView
from domain.work_events import Origin


class _Workflow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    template: str
    instance_key: str
    state: str | None = None
    context: dict[str, Any] = {}


class _Seed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    workflows: tuple[_Workflow, ...] = ()
    tasks: tuple[dict[str, Any], ...] = ()


def seed(
    document: Annotated[str, typer.Argument(metavar="DOC", help="{workflows: […], tasks: […]}: JSON, @file, or -.")],
    force: Annotated[bool, typer.Option("--force", help="Queue tasks again that were seeded before.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would happen.")] = False,
    as_json: options.Json = False,
) -> None:
    """Seed workflows and tasks."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    given = _read(document)
    _check(runtime, given)
    if not dry_run:
        announce(runtime)
    answer: dict[str, Any] = {}

    def work(view: LogView) -> Put | None:
        making = Making(view, at_us=runtime.clock.now_us(), actor=runtime.actor)
        answer.clear()
        answer.update(_made(runtime, making, given, force=force))
        return making.put()

    position = 0
    if dry_run:
        work(_looked_at(runtime))
    else:
        result = runtime.log.append([work])[0]
        if isinstance(result, Exception):
            raise result
        position = runtime.log.head().position
    runtime.close()
    if as_json:
        render.document("rt.seed.v1", answer | {"dry_run": dry_run, "position": position})
        return
    created = sum(1 for each in answer["createdWorkflows"] if each["created"])
    queued = sum(1 for each in answer["queuedTasks"] if each["created"])
    verb = "would create" if dry_run else "created"
    known = len(given.workflows) + len(given.tasks) - created - queued
    render.out(f"{verb} {created} workflows and {queued} tasks; {known} were there already")


def _looked_at(runtime: Runtime) -> LogView:
    """The log as it is; an empty one where there is none yet."""
    if (runtime.home.state / "log.db").exists():
        return runtime.readable
    from adapters.log_memory import MemoryLog

    return MemoryLog()


def _read(document: str) -> _Seed:
    found = documents.read(document, "seed")
    try:
        return msgspec.convert(found, _Seed)
    except msgspec.ValidationError as problem:
        raise errors.Invalid(where="seed", why=str(problem)) from None


def _check(runtime: Runtime, given: _Seed) -> None:
    """Every entry, before anything is stored; each error names its entry."""
    now_us = runtime.clock.now_us()
    for at, each in enumerate(given.workflows):
        try:
            found = template(runtime.config, runtime.home.folder, each.template)
            workflow.create(found, each.instance_key, each.context, each.state, now_us)
        except errors.RtError as problem:
            raise errors.Invalid(where=f"seed.workflows[{at}]", why=str(problem)) from None
    for at, task in enumerate(given.tasks):
        try:
            event = accept(task, runtime.config, now_us).event
        except errors.RtError as problem:
            raise errors.Invalid(where=f"seed.tasks[{at}]", why=str(problem)) from None
        for name in ("thread", "parent_run"):
            if getattr(event, name):
                raise errors.Invalid(where=f"seed.tasks[{at}].{name}", why="cannot be seeded; use rt intake")
    text = msgspec.json.encode(given).decode()
    if runtime.secrets.text(text) != text:
        raise errors.Invalid(where="seed", why="contains the value of a registered secret")


def _made(runtime: Runtime, making: Making, given: _Seed, *, force: bool) -> dict[str, Any]:
    doors = Workflows(runtime.config, runtime.home.folder)
    workflows: list[dict[str, Any]] = []
    for each in given.workflows:
        if making.version(workflow_stream(each.instance_key)):
            state, created = state_of(making.view, workflow_stream(each.instance_key)), False
        else:
            state, created = doors.begin(making, Wanted(each.template, each.instance_key, each.context, each.state))
        shown = {"instance_key": each.instance_key, "template": each.template}
        shown["current_state"] = state.state if state is not None else each.state or ""
        workflows.append({"created": created, "workflow_id": workflow_stream(each.instance_key), "workflow": shown})
    tasks = [_queued(runtime, making, each, force=force) for each in given.tasks]
    return {"createdWorkflows": workflows, "queuedTasks": tasks}


def _queued(runtime: Runtime, making: Making, document: dict[str, Any], *, force: bool) -> dict[str, Any]:
    digest = hashlib.sha256(msgspec.json.encode(document, order="sorted")).hexdigest()
    accepted = accept(document, runtime.config, making.at_us)
    task = keyed_task(accepted.key) if accepted.key else keyed_task(f"seed:{digest}")
    if force and not accepted.key:
        task = runtime.ids.new()
    created = not making.version(task)
    making.queue(accepted, task, origin=Origin(kind="seed", stream=task))
    return {"created": created, "task_id": task, "kind": accepted.event.kind, "source": accepted.event.source}
