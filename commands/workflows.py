"""Commands about workflows: instances of state machines that create tasks and move on their outcomes."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer

from commands import documents, options, render
from commands.approvals import short
from commands.invocation import invocation
from commands.taking_in import announce
from commands.templates import names, template
from commands.wiring import Runtime
from commands.workflow_doors import Wanted, Workflows, all_of, find
from commands.workflow_moves import state_of
from domain import errors, workflow
from domain.workflow import Made, State

app = typer.Typer(no_args_is_help=True)
Key = Annotated[str, typer.Argument(metavar="KEY", help="Its instance key, or its id.")]
OpenTask = Annotated[str, typer.Option("--open-task", help="The task of the state that is left: cancel or detach.")]


@app.command("create", help="Create an instance; a key that is known answers with the one that is there.")
def create(
    wanted: Annotated[str, typer.Option("--template", help="Which state machine: rt workflow templates.")],
    key: Annotated[str, typer.Option("--instance_key", "--key", help="What tells this instance from others.")],
    context: Annotated[str | None, typer.Option("--context", help="An object: JSON, @file, or -.")] = None,
    state: Annotated[str, typer.Option("--state", help="Begin there instead of at the start.")] = "",
    as_json: options.Json = False,
) -> None:
    """Create a workflow."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    given: object = {} if context is None else documents.read(context, "workflow.context")
    check_secrets(runtime, key, given)
    template(runtime.config, runtime.home.folder, wanted)  # before a log is made for it
    announce(runtime)
    doors = Workflows(runtime.config, runtime.home.folder)
    done = doors.create(runtime.log, Wanted(wanted, key, given, state or None), runtime.clock.now_us(), runtime.actor)
    runtime.close()
    if as_json:
        answer = {"created": done.changed, "workflow_id": done.state.workflow, "position": done.position}
        render.document("rt.workflow.v1", answer | {"workflow": shown(done.state)})
        return
    render.out(f"{'created' if done.changed else 'known'}: {_line(done.state)} at position {done.position}")


def check_secrets(runtime: Runtime, key: str, context: object) -> None:
    """Refuse what holds the value of a registered secret. Raises Invalid."""
    text = f"{key}\n{context}"
    if runtime.secrets.text(text) != text:
        raise errors.Invalid(where="workflow.context", why="contains the value of a registered secret")


def _patch(context: str | None) -> dict[str, Any] | None:
    """What is to be merged into a context; None where nothing is. Raises Invalid."""
    if context is None:
        return None
    given = documents.read(context, "workflow.context")
    if not isinstance(given, dict):
        raise errors.Invalid(where="workflow.context", why=f"expected an object, got {type(given).__name__}")
    check_secrets(invocation.runtime(), "", given)
    return given


@app.command("list", help="Instances, those that are not over first.")
def list_workflows(
    every: Annotated[bool, typer.Option("--all", help="Also those that are over.")] = False,
    as_json: options.Json = False,
) -> None:
    """List workflows."""
    runtime = invocation.runtime()
    found = [each for each in all_of(runtime.readable) if every or not each.over]
    position = runtime.readable.head().position
    runtime.close()
    found.sort(key=lambda each: each.over)
    if as_json:
        render.documents("rt.workflow.v1", [shown(each) for each in found], position=position)
        return
    rows = [
        (
            each.workflow[:8],
            each.instance_key,
            each.template,
            each.state,
            each.status.value,
            each.cause or each.task[:8],
        )
        for each in found
    ]
    render.table(("id", "key", "template", "state", "status", "cause or task"), rows)


@app.command("show", help="One instance: where it stands, why, and which ways lead on.")
def show(key: Key, as_json: options.Json = False) -> None:
    """Show a workflow."""
    runtime = invocation.runtime()
    state = state_of(runtime.readable, find(runtime.readable, key))
    assert state is not None, "an id of the index is in the log"
    position = runtime.readable.head().position
    runtime.close()
    document = shown(state) | {"position": position}
    if as_json:
        render.document("rt.workflow.v1", document)
        return
    for name, value in document.items():
        if value not in (None, "", [], {}, 0):
            render.out(f"{name:<17} {render.value(value)}")


@app.command("transition", help="Move an instance to a state that its present one leads to.")
def transition(
    key: Key,
    to: Annotated[str, typer.Option("--to", help="The state to enter.")] = "",
    signal: Annotated[str, typer.Option("--signal", help="Or the signal that leads there.")] = "",
    context: Annotated[str | None, typer.Option("--context", help="Merged into the context, shallowly.")] = None,
    open_task: OpenTask = "cancel",
    as_json: options.Json = False,
) -> None:
    """Move a workflow by hand."""
    if not (to or signal):
        raise errors.Invalid(where="--to", why="say which state to enter, or give a --signal")
    patch = _patch(context)
    how = _open(open_task)
    _wish(
        key, lambda state: workflow.transition(state, to=to, signal=signal, patch=patch, open_task=how), as_json=as_json
    )


@app.command("skip", help="Go on as if the task of the present state had been completed.")
def skip(key: Key, open_task: OpenTask = "cancel", as_json: options.Json = False) -> None:
    """Skip a state."""
    how = _open(open_task)
    _wish(key, lambda state: workflow.skip(state, open_task=how), as_json=as_json)


@app.command("retry", help="Let a parked instance go on.")
def retry(
    key: Key,
    context: Annotated[str | None, typer.Option("--context", help="Merged into the context, shallowly.")] = None,
    as_json: options.Json = False,
) -> None:
    """Un-park a workflow."""
    patch = _patch(context)
    _wish(key, lambda state: workflow.retry(state, patch=patch), as_json=as_json)


@app.command("complete", help="Declare an instance done, whatever its state.")
def complete(key: Key, open_task: OpenTask = "cancel", as_json: options.Json = False) -> None:
    """Complete a workflow."""
    how = _open(open_task)
    _wish(key, lambda state: workflow.complete(state, open_task=how), as_json=as_json)


@app.command("cancel", help="Give an instance up.")
def cancel(
    key: Key, reason: options.Reason = "", open_task: OpenTask = "cancel", as_json: options.Json = False
) -> None:
    """Cancel a workflow."""
    how = _open(open_task)
    said = short(invocation.runtime(), reason, "--reason")
    _wish(key, lambda state: workflow.cancel(state, reason=said, open_task=how), as_json=as_json)


@app.command("templates", help="The state machines that there are.")
def templates(as_json: options.Json = False) -> None:
    """List templates."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    found = [template(runtime.config, runtime.home.folder, name) for name in names(runtime.config)]
    if as_json:
        values = [{"template": each.name, "start": each.start, "states": list(each.states)} for each in found]
        render.documents("rt.template.v1", values, position=0)
        return
    render.table(("template", "start", "states"), [(each.name, each.start, ", ".join(each.states)) for each in found])


def _open(text: str) -> Literal["cancel", "detach"]:
    if text == "cancel":
        return "cancel"
    if text == "detach":
        return "detach"
    raise errors.Invalid(where="--open-task", why=f"{text!r}: cancel or detach")


def _wish(key: str, wish: Callable[[State], Made], *, as_json: bool) -> None:
    options.no_tail()
    runtime = invocation.runtime()
    doors = Workflows(runtime.config, runtime.home.folder)
    done = doors.wish(runtime.log, key, wish, runtime.clock.now_us(), runtime.actor)
    runtime.close()
    if as_json:
        render.document("rt.workflow.v1", shown(done.state) | {"position": done.position})
    else:
        render.out(f"{_line(done.state)} at position {done.position}")


def _line(state: State) -> str:
    text = f"workflow {state.workflow[:8]} ({render.line(state.instance_key)}) is {state.status} in {state.state}"
    return text + (f", parked: {state.cause} {render.line(state.message)}".rstrip() if state.cause else "")


def shown(state: State) -> dict[str, Any]:
    """An instance for programs."""
    signals = dict(state.here.signals) if state.here is not None else {}
    moves = {name: state.definition.move(state.state, name) for name in signals} if state.definition else {}
    return {
        "workflow_id": state.workflow,
        "template": state.template,
        "template_version": state.template_version,
        "instance_key": state.instance_key,
        "current_state": state.state,
        "status": state.status.value,
        "cause": state.cause,
        "message": state.message,
        "epoch": state.epoch,
        "iteration": state.iteration,
        "task_id": state.task,
        "task_status": state.task_status,
        "ways_on": {name: move.to for name, move in moves.items() if move is not None},
        "context": state.context,
        "created_at": render.moment_us(state.created_at_us),
        "updated_at": render.moment_us(state.updated_at_us),
        "completed_at": render.moment_us(state.ended_at_us) if state.ended_at_us else None,
    }
