"""What follows from an event, whoever appends it, in the same put: workflows move, follow-ups and messages are made.

The log asks for it (`domain.ports.Follower`), so that no way of ending a task can forget it.
"""

import contextlib
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec

from adapters.redact import Secrets
from commands.cancel import canceled
from commands.follows import TRIGGERS
from commands.making import Making, accepted_from
from commands.workflow_moves import feed, state_of
from domain import errors, follow_ups, notify, outcome
from domain.config import Config
from domain.events import (
    Put,
    Recorded,
    RunFinished,
    TaskBlocked,
    TaskCanceled,
    TaskClaimed,
    TaskCompleted,
    TaskFailed,
    Text,
)
from domain.ids import keyed_task, outbox_stream, text_of
from domain.notify import Notice
from domain.outcome import Outcome
from domain.ports import LogView
from domain.stream_index import WORKFLOW
from domain.task import Task
from domain.work_events import Origin, OutboxQueued, OutboxRefused
from domain.workflow import Made
from domain.workflow_events import WorkflowTaskDropped, WorkflowTaskEnded

T = TypeVar("T")
_What = Literal["message", "follow_up", "workflow_task"]
_ENDS = (TaskCompleted, TaskFailed, TaskBlocked, TaskCanceled)
_STATUS: dict[type, Any] = {
    TaskCompleted: "completed",
    TaskFailed: "permanent_failure",
    TaskBlocked: "blocked",
    TaskCanceled: "operator_canceled",
}


class Following:
    """What follows in a home. The configuration is read when something happens that it could say anything about."""

    def __init__(self, config: Callable[[], Config], secrets: Callable[[], Secrets]) -> None:
        self._config = config
        self._secrets = secrets

    def follow(self, view: LogView, put: Put) -> Put | None:
        """See domain.ports.Follower. What goes wrong here is recorded: it never holds up the end of a task."""
        first = put.events[0]
        making = Making(view, at_us=first.at_us, actor=first.actor, base=put.events)
        for at, event in enumerate(put.events):
            if type(event.data) in TRIGGERS:
                self._one(making, put, at, event)
        return making.put()

    def _one(self, making: Making, put: Put, at: int, event: Recorded) -> None:
        """Each part for itself: one that goes wrong is recorded, and takes nothing else with it."""
        if isinstance(event.data, WorkflowTaskDropped):
            self._part(making, event, at, "workflow_task", lambda: self._drop(making, event, at))
            return
        try:
            task = making.view.task(event.correlation or event.stream)
        except errors.Corrupt as problem:  # it is being parked for that; nothing can follow from it
            _refuse(making, event, "workflow_task", 1, str(problem)[:500], at)
            return
        if task is None:
            return
        if isinstance(event.data, _ENDS):
            found = self._part(making, event, at, "follow_up", lambda: _outcome(making.view, put, task, event))
            if task.origin is not None and task.origin.kind == "workflow" and making.view.has(WORKFLOW):
                self._part(making, event, at, "workflow_task", lambda: self._move(making, put, task, event, at, found))
            if isinstance(event.data, TaskCompleted) and found is not None:
                self._part(making, event, at, "follow_up", lambda: self._wishes(making, task, event, at, found))
        self._part(making, event, at, "message", lambda: self._notices(making, task, event, at))

    def _part(self, making: Making, event: Recorded, at: int, what: _What, part: Callable[[], T]) -> T | None:
        kept = (len(making.events), len(making.blobs))
        try:
            return part()
        except Exception as problem:  # noqa: BLE001  # the end of the task stands, whatever is wrong with what follows
            del making.events[kept[0] :], making.blobs[kept[1] :]
            making.forget()
            _refuse(making, event, what, 1, f"{type(problem).__name__}: {problem}"[:500], at)
            return None

    def _drop(self, making: Making, event: Recorded, at: int) -> None:
        """A task that its workflow no longer waits for ends with the move, so that no crash can leave it running."""
        dropped = event.data
        if not isinstance(dropped, WorkflowTaskDropped) or dropped.how != "cancel":
            return
        with contextlib.suppress(errors.TaskStateRefused):  # over already
            put, _ = canceled(making.view, dropped.task, making.at_us, making.actor, "its workflow moved on")
            making.adopt(put)
            for each in put.events if put else ():
                task = making.view.task(each.stream) if isinstance(each.data, TaskCanceled) else None
                if task is not None:
                    self._notices(making, task, each, at)

    def _notices(self, making: Making, task: Task, event: Recorded, at: int) -> None:
        for notice in notify.notices(self._config(), task, event):
            self._tell(making, task, event, at, notice)

    def _move(  # all that a task ends with
        self, making: Making, put: Put, task: Task, event: Recorded, at: int, found: Outcome | None
    ) -> None:
        origin = task.origin
        assert origin is not None, "it is the task of a workflow"
        state = state_of(making.view, origin.stream)
        if state is None:
            return
        said = outcome.signal(found, msgspec.json.encode(found).decode(), origin.signals) if found else ""
        ended = WorkflowTaskEnded(
            task=task.task,
            state=origin.state,
            epoch=origin.epoch,
            status=_STATUS[type(event.data)],
            kind=task.kind,
            signal=said,
            cause=getattr(event.data, "cause", "") or getattr(event.data, "reason", ""),
            cost_nusd=_cost_nusd(making.view, put, task.task),
        )
        feed(making, state, origin.stream, Made(ended), self._config(), cause=at)

    def _wishes(self, making: Making, task: Task, event: Recorded, at: int, found: Outcome) -> None:
        if not (found.follow_up_tasks or found.external_messages):
            return
        config = self._config()
        depth = task.origin.depth if task.origin else 0
        wanted = follow_ups.wanted(found, config, task.profile or config.default_profile, depth)
        run = getattr(event.data, "run", "")
        for what, count, reason in wanted.refused:
            _refuse(making, event, what, count, reason, at)
        for number, document in enumerate(wanted.tasks, 1):
            origin = Origin(kind="follow_up", stream=task.task, depth=depth + 1)
            try:
                accepted, _ = accepted_from(document, "follow_up", config, making.at_us)
            except errors.RtError as problem:
                _refuse(making, event, "follow_up", 1, str(problem)[:500], at)
                continue
            making.queue(accepted, keyed_task(f"follow-up:{run}:{number}"), origin=origin, cause=at)
        for number, message in enumerate(wanted.messages, 1):
            self._send(making, task, event, at, message.target, message.content, key=f"message:{run}:{number}")

    def _tell(self, making: Making, task: Task, event: Recorded, at: int, notice: Notice) -> None:
        content = notify.content(notice, self._config(), making.at_us)
        self._send(making, task, event, at, notice.target, content, key=notice.key, rule=notice.rule)

    def _send(  # what a message is made of
        self,
        making: Making,
        task: Task,
        event: Recorded,
        at: int,
        target: str,
        content: bytes,
        *,
        key: str,
        rule: str = "",
    ) -> None:
        stream = outbox_stream(key)
        if making.version(stream):
            return  # told already
        text = self._secrets().text(content.decode()).encode()
        queued = OutboxQueued(
            kind="notification" if rule else "message",
            target=target,
            message=text_of(text),
            key=key,
            task=task.task,
            run=getattr(event.data, "run", "") or (event.stream if event.stream != task.task else ""),
            rule=rule,
            held=self._config().outbox.destinations[target].hold,
        )
        making.add(stream, queued, correlation=task.task, cause=at)
        making.keep(task.task, text)


def _refuse(making: Making, event: Recorded, what: _What, count: int, reason: str, at: int) -> None:
    task = event.correlation or event.stream
    run = getattr(event.data, "run", "")
    refused = OutboxRefused(what=what, count=count, reason=reason, task=task, run=run)
    making.add(outbox_stream(f"refused:{run or task}"), refused, correlation=task, cause=at)


def _cost_nusd(view: LogView, put: Put, task: str) -> int:
    """What all runs of a task cost, as far as it is known; those that failed cost too."""
    runs = [event.data.run for event in view.stream(task) if isinstance(event.data, TaskClaimed)]
    ends = [event for run in runs for event in view.stream(run) if isinstance(event.data, RunFinished)]
    ends += [event for event in put.events if isinstance(event.data, RunFinished)]
    costs = {event.stream: event.data.cost_nusd or 0 for event in ends if isinstance(event.data, RunFinished)}
    return sum(costs.values())


def _outcome(view: LogView, put: Put, task: Task, event: Recorded) -> Outcome | None:
    """The outcome of the run that ends in this put, where it reported one."""
    run = getattr(event.data, "run", "")
    ends = [each.data for each in put.events if isinstance(each.data, RunFinished) and each.stream == run]
    named: Text | None = ends[-1].outcome if ends else None
    if named is None:
        return None
    content = next((blob.content for blob in put.blobs if text_of(blob.content) == named), None)
    if content is None:
        content = view.blob(task.task, named)
    return msgspec.json.decode(content, type=Outcome)
