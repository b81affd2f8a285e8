"""A workflow instance: facts in, moves and wanted tasks out. Wishes may be refused, facts may not.

An instance that is not over has an open task, or is parked with a cause. A task counts for one entry of one state.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from domain.bounds import (
    DESCRIPTION_CHARS_MAX,
    PAYLOAD_BYTES_MAX,
    REASON_CHARS_MAX,
    SIGNAL_CHARS_MAX,
    SUBJECT_CHARS_MAX,
    WORKFLOW_CONTEXT_BYTES_MAX,
)
from domain.events import Recorded
from domain.ids import keyed_task, text_of
from domain.intake import TaskInput
from domain.payload import Consequence, Fact
from domain.workflow_events import (
    WorkflowCanceled,
    WorkflowCompleteAsked,
    WorkflowCompleted,
    WorkflowCreated,
    WorkflowEvent,
    WorkflowParked,
    WorkflowRetryAsked,
    WorkflowSignaled,
    WorkflowTaskDropped,
    WorkflowTaskEnded,
    WorkflowTaskWanted,
    WorkflowTransitioned,
    WorkflowUnparked,
)
from domain.workflow_render import RenderFailed, Scope, render
from domain.workflow_state import State, Status, belongs, evolve, fold, moment, ours
from domain.workflow_template import Move, StateTemplate, TaskTemplate
from domain.workflow_wishes import Made, cancel, complete, create, retry, skip, transition

_TASK_CAUSES = {"operator_canceled": "task_canceled", "blocked": "task_blocked", "permanent_failure": "task_failed"}

Why = Literal["entered", "signal", "failed", "asked"]
_NO_TEXTS: Mapping[str, bytes] = {}


class Step(msgspec.Struct, frozen=True):
    """What one fact led to. `texts` are the contents that the consequences name by digest."""

    state: State
    consequences: tuple[Consequence, ...]
    texts: tuple[bytes, ...] = ()


def step(state: State | None, fact: Recorded) -> Step:
    """Fold a fact, decide on the new state, fold the consequences. They trigger nothing further."""
    data = ours(fact.data)
    assert isinstance(data, Fact), "only facts are fed to the core"
    after = evolve(state, data, stream=fact.stream, at_us=fact.at_us, texts=fact.texts)
    if state is not None and (state.over or (isinstance(data, WorkflowTaskEnded) and not belongs(state, data))):
        return Step(after, ())
    plan = _Plan(after, fact.at_us)
    _decide(plan, data)
    return Step(plan.state, tuple(plan.out), tuple(plan.texts))


class _Plan:
    """The consequences of one fact in the making: each is folded as it is added, so that the next one sees it."""

    def __init__(self, state: State, at_us: int) -> None:
        self.state = state
        self.at_us = at_us
        self.out: list[Consequence] = []
        self.texts: list[bytes] = []

    def add(self, consequence: Consequence, texts: Mapping[str, bytes] = _NO_TEXTS) -> None:
        """Let this follow."""
        self.out.append(consequence)
        self.texts += texts.values()
        self.state = evolve(self.state, ours(consequence), at_us=self.at_us, texts=texts)

    def park(self, cause: str, message: str = "", signal: str = "") -> None:
        """Stand still until a person acts."""
        said = message[:REASON_CHARS_MAX]
        self.add(WorkflowParked(cause=cause, state=self.state.state, message=said, signal=signal))

    def unpark(self) -> None:
        """Go on, where it stood still."""
        if self.state.status is Status.PARKED:
            self.add(WorkflowUnparked(state=self.state.state))


def _decide(plan: _Plan, fact: WorkflowEvent) -> None:
    match fact:
        case WorkflowCreated():
            _arrive(plan)
        case WorkflowTaskEnded():
            _ended(plan, fact)
        case WorkflowSignaled():
            _signaled(plan, fact)
        case WorkflowRetryAsked():
            _retry(plan)
        case WorkflowCompleteAsked():
            _drop(plan, fact.open_task)
            plan.add(WorkflowCompleted(state=plan.state.state))
        case WorkflowCanceled():
            _drop(plan, fact.open_task)
        case _:  # consequences, which are no facts
            return


def _arrive(plan: _Plan, signal: str = "") -> None:
    """A state was entered: it is the end, or it wants its task."""
    here = plan.state.here
    if here is None:
        _lose(plan)
    elif here.terminal:
        plan.add(WorkflowCompleted(state=plan.state.state, signal=signal))
    else:
        _want(plan, "entered")


def _lose(plan: _Plan) -> None:
    """Nobody can say what the state means."""
    if plan.state.definition is None:
        plan.park("unreadable", "the definition that the workflow was created with cannot be read")
    else:
        plan.park("unknown_state", "the definition has no such state")


def _ended(plan: _Plan, fact: WorkflowTaskEnded) -> None:
    plan.unpark()
    here = plan.state.here
    if here is None:
        _lose(plan)
    elif fact.status == "completed":
        _completed(plan, here, fact)
    elif fact.status == "refused":  # another one like it would be refused as well
        plan.park("task_refused", fact.cause)
    elif fact.status != "operator_canceled" and plan.state.retries < plan.state.caps.state_retry_max:
        _again(plan, "failed")
    else:
        plan.park(_TASK_CAUSES[fact.status], fact.cause)


def _completed(plan: _Plan, here: StateTemplate, fact: WorkflowTaskEnded) -> None:
    signal = _chosen(here, fact.signal)
    if fact.kind in here.completion_kinds:
        plan.add(WorkflowCompleted(state=plan.state.state, signal=fact.signal))
    elif signal:
        _move(plan, signal)
    elif not here.required_signals:
        plan.park("unexpected_kind", f"a task of kind {fact.kind!r} does not complete this state")
    elif plan.state.reasks < plan.state.caps.signal_retry_max:
        _again(plan, "signal", _issue(here, fact.signal))
    else:
        plan.park("signal_missing", f"{plan.state.attempt} tasks named none of: {', '.join(here.required_signals)}")


def _chosen(here: StateTemplate, said: str) -> str:
    """The signal that counts: one that the state requires, or where it requires none, its only one."""
    if here.required_signals:
        return said if said in here.required_signals else ""
    return next(iter(here.signals)) if len(here.signals) == 1 else ""


def _issue(here: StateTemplate, said: str) -> str:
    named = f"named the signal {said[:SIGNAL_CHARS_MAX]!r}, which is none of them" if said else "named no signal"
    wanted = ", ".join(here.required_signals)
    return f"The workflow cannot go on: workflow_signal has to be one of: {wanted}. The task before this one {named}."


def _signaled(plan: _Plan, fact: WorkflowSignaled) -> None:
    definition = plan.state.definition
    move = definition.move(plan.state.state, fact.signal) if definition else None
    if move is None or move.to != fact.to:
        return  # the wish was checked; only another definition can disagree
    _drop(plan, fact.open_task)
    plan.unpark()
    _go(plan, fact.signal, move, {})


def _retry(plan: _Plan) -> None:
    if plan.state.status is not Status.PARKED:
        return
    held_up = plan.state.held_up
    plan.unpark()
    if plan.state.here is None:
        _lose(plan)
    elif held_up:
        _move(plan, held_up)  # the caps were renewed
    else:
        _want(plan, "asked")


def _drop(plan: _Plan, how: Literal["cancel", "detach", ""]) -> None:
    state = plan.state
    if state.open_task:
        dropped = WorkflowTaskDropped(task=state.task, state=state.state, epoch=state.epoch, how=how or "cancel")
        plan.add(dropped)


def _move(plan: _Plan, signal: str) -> None:
    """A completed task moves the workflow on, as far as its caps allow."""
    definition = plan.state.definition
    move = definition.move(plan.state.state, signal) if definition else None
    assert definition is not None, "a signal was chosen from a definition"
    assert move is not None, "a signal was chosen from those of the state"
    cap = None if definition.states[move.to].terminal else _cap(plan.state, move, plan.at_us)
    if cap is not None:
        plan.park(*cap, signal=signal)
        return
    try:
        patch = _remembered(plan.state, plan.at_us)
    except RenderFailed as problem:
        plan.park("render_failed", str(problem), signal)
        return
    _go(plan, signal, move, patch)


def _go(plan: _Plan, signal: str, move: Move, patch: dict[str, Any]) -> None:
    state = plan.state
    iteration = state.iteration + (move.counts == "iteration")
    patch |= {"last_workflow_signal": signal, "execution_iteration": iteration}
    content = msgspec.json.encode(patch, order="sorted")
    entered = WorkflowTransitioned(
        from_state=state.state,
        to_state=move.to,
        epoch=state.epoch + 1,
        signal=signal,
        iteration=iteration,
        revisions=state.revisions + (move.counts == "revision"),
        patch=text_of(content),
    )
    plan.add(entered, {"patch": content})
    _arrive(plan, signal)


def _cap(state: State, move: Move, at_us: int) -> tuple[str, str] | None:
    """The cap that this move would pass: its cause, and what it says."""
    allowed = state.allowed
    if move.counts == "iteration" and state.iteration >= allowed.iterations:
        return "max_iterations", f"{allowed.iterations} iterations were allowed"
    if move.counts == "revision" and state.revisions >= allowed.revisions:
        return "max_revisions", f"{allowed.revisions} revisions were allowed"
    if state.epoch >= allowed.epochs:
        return "max_epochs", f"{allowed.epochs} entries of states were allowed"
    return _spent(state, at_us)


def _spent(state: State, at_us: int) -> tuple[str, str] | None:
    allowed = state.allowed
    if allowed.until_us and at_us >= allowed.until_us:
        return "wall_time", f"{state.caps.wall_s:g} seconds were allowed"
    if allowed.cost_nusd and state.cost_nusd >= allowed.cost_nusd:
        return "cost", f"{allowed.cost_nusd / 1_000_000_000:g} USD were allowed"
    return None


def _again(plan: _Plan, why: Why, issue: str = "") -> None:
    """Another task for the same entry of the state, where time and money allow it."""
    spent = _spent(plan.state, plan.at_us)
    if spent is not None:
        plan.park(*spent)
    else:
        _want(plan, why, issue)


# what is rendered


def _want(plan: _Plan, why: Why, issue: str = "") -> None:
    state = plan.state
    attempt = state.attempt + 1
    key = f"workflow:{state.workflow}:{state.state}:{state.epoch}:{attempt}"
    try:
        document = _document(state, key, issue)
    except RenderFailed as problem:
        plan.park("render_failed", str(problem))
        return
    wanted = WorkflowTaskWanted(
        task=keyed_task(key),
        state=state.state,
        epoch=state.epoch,
        attempt=attempt,
        why=why,
        document=text_of(document),
    )
    plan.add(wanted, {"document": document})


def _document(state: State, key: str, issue: str) -> bytes:
    """The task input as JSON. Raises RenderFailed."""
    here = state.here
    task = here.task if here else None
    if here is None or task is None:
        message = "the state has no task"
        raise RenderFailed(message)
    scope = _scope(state)
    payload = _payload(state, here, task, scope)
    fields = {
        "kind": task.kind,
        "source": f"workflow:{state.workflow}:{state.state}",
        "subject": _words(render(task.subject, scope), "subject", SUBJECT_CHARS_MAX),
        "description": _described(_words(render(task.description, scope), "description", DESCRIPTION_CHARS_MAX), issue),
        "priority": task.priority,
        "payload": payload,
        "idempotency_key": key,
    }
    profile = _words(render(task.profile, scope), "profile", SUBJECT_CHARS_MAX)
    return _stored(fields | ({"requested_profile": profile} if profile else {}))


def _stored(fields: dict[str, Any]) -> bytes:
    try:
        stored = msgspec.json.encode(fields, order="sorted")
        msgspec.convert(fields, TaskInput)
    except (TypeError, ValueError, OverflowError, RecursionError) as problem:  # of which ValidationError is one
        message = f"no task input: {problem}"
        raise RenderFailed(message) from None
    if len(stored) > PAYLOAD_BYTES_MAX:
        message = f"the task has {len(stored)} bytes; at most {PAYLOAD_BYTES_MAX}"
        raise RenderFailed(message)
    return stored


def _scope(state: State) -> Scope:
    parameters = state.definition.parameters if state.definition else {}
    return Scope(context=state.context, parameters=parameters, iteration=state.iteration)


def _payload(state: State, here: StateTemplate, task: TaskTemplate, scope: Scope) -> dict[str, Any]:
    payload: dict[str, Any] = render(task.payload, scope)
    required = list(here.required_signals)
    if len(required) > 1:
        payload.setdefault("accepted_signals", required)
    if required:
        contract = payload.get("response_contract")
        named = {"required_workflow_signal": " or ".join(required)}
        payload["response_contract"] = named | (contract if isinstance(contract, dict) else {})
    return payload | {
        "workflow_id": state.workflow,
        "workflow_template": state.template,
        "workflow_state": state.state,
        "workflow_instance_key": state.instance_key,
        "workflow_epoch": state.epoch,
    }


def _words(value: object, what: str, chars_max: int) -> str:
    """A rendered text, cut visibly where a long context makes it too long."""
    if not isinstance(value, str):
        message = f"the {what} is no text"
        raise RenderFailed(message)
    return value if len(value) <= chars_max else value[: chars_max - 1] + "…"


def _described(description: str, issue: str) -> str:
    return f"{description[: DESCRIPTION_CHARS_MAX - len(issue) - 2]}\n\n{issue}".strip() if issue else description


def _remembered(state: State, at_us: int) -> dict[str, Any]:
    """What the context learns from the completed task. Raises RenderFailed."""
    here = state.here
    assert here is not None, "a task was completed in it"
    found: dict[str, Any] = render(here.remember, _scope(state)) | {
        "last_completed_task_id": state.task,
        "last_completed_task_kind": here.task.kind if here.task else "",
        "last_completed_task_at": moment(at_us),
    }
    size = len(msgspec.json.encode(state.context | found))
    if size > WORKFLOW_CONTEXT_BYTES_MAX:
        message = f"the context would have {size} bytes; at most {WORKFLOW_CONTEXT_BYTES_MAX}"
        raise RenderFailed(message)
    return found


__all__ = [
    "Made", "State", "Status", "Step", "belongs", "cancel", "complete", "create", "evolve", "fold", "retry", "skip",
    "step", "transition",
]  # fmt: skip
