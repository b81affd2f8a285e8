"""Tasks: lists, intake, one of them, and what an operator does to it."""

from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta

from commands.api import json_body
from commands.api.route import Answer, Asked, Page, Row, Written, located, page
from commands.cancel import cancel_task, fulfil
from commands.taking_in import check, take_in_grouped
from commands.tasks import edit_of, moved, payload, reason_of
from domain import errors
from domain.bounds import (
    HTTP_INTAKE_BYTES_MAX,
    HTTP_PAGE_ITEMS,
    HTTP_PAGE_ITEMS_MAX,
    PRIORITY_MAX,
    PRIORITY_MIN,
    REASON_CHARS_MAX,
    TIME_US_MAX,
)
from domain.intake import TaskInput, refuse_argv
from domain.task import Wish

Limit = Annotated[int, Meta(ge=1, le=HTTP_PAGE_ITEMS_MAX)]
Position = Annotated[int, Meta(ge=0, le=TIME_US_MAX)]
Word = Annotated[str, Meta(max_length=200)]
Reason = Annotated[str, Meta(max_length=REASON_CHARS_MAX)]
TaskStatus = Literal[
    "", "pending", "running", "completed", "retryable_failure", "permanent_failure", "blocked", "waiting_for_approval",
    "operator_canceled",
]  # fmt: skip


class TasksQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tasks, newest first: `before` is the `next` of the page before."""

    state: TaskStatus = ""
    kind: Word = ""
    source: Word = ""
    profile: Word = ""
    before: Position | None = None
    limit: Limit = HTTP_PAGE_ITEMS


class TaskBody(TaskInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task input, as `rt intake` takes it."""


class ReasonBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; recorded with the event."""

    reason: Reason = ""


class RetryBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Another attempt; `edit` changes the task first: any of payload, description, subject, adapter, profile."""

    reason: Reason = ""
    edit: dict[str, Any] | None = None


class PriorityBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The new priority; larger is sooner."""

    priority: Annotated[int, Meta(ge=PRIORITY_MIN, le=PRIORITY_MAX)]


class TaskTaken(msgspec.Struct, frozen=True):
    """A task that is durable; `deduplicated` when its key was known."""

    task_id: str
    position: int
    deduplicated: bool
    profile: str
    available_at: str | None


def list_tasks(asked: Asked) -> Answer:
    """Tasks, newest first."""
    from projections import status

    query: TasksQuery = asked.query
    where = {"status": query.state, "kind": query.kind, "source": query.source, "profile": query.profile}
    before = 1 << 62 if query.before is None else query.before
    found, head = asked.runtime.projection().ask(
        lambda database, at: (status.tasks(database, where=where, before=before, limit=query.limit), at)
    )
    return page(found, found[-1]["position"] if len(found) == query.limit else None, head)


async def take_in(asked: Asked) -> Answer:
    """Take in a task: 201, or 200 when its key was known."""
    from commands import render

    runtime = asked.runtime
    document = cast("dict[str, Any]", json_body.read(asked.raw))
    refuse_argv(document, "http", runtime.config)
    accepted = check(runtime, keyed(document, asked.key), read=True)
    taken = await take_in_grouped(runtime, asked.house.writer, accepted)
    event = accepted.event
    made = {
        "task_id": taken.task,
        "position": taken.position,
        "deduplicated": taken.deduplicated,
        "profile": event.profile,
        "available_at": render.moment_us(event.due_at_us) if event.due_at_us else None,
    }
    return Answer(made, taken.position, 200 if taken.deduplicated else 201, located("tasks", taken.task))


def keyed(document: dict[str, Any], key: str) -> dict[str, Any]:
    """A task with the key of its request. Raises Invalid for two different ones."""
    own = document.get("idempotency_key")
    if key and own is not None and own != key:
        raise errors.Invalid(where="body.idempotency_key", why="is another one than the header's Idempotency-Key")
    return document | {"idempotency_key": key} if key else document


def show_task(asked: Asked) -> Answer:
    """One task with its runs and its payload."""
    from projections import status

    runtime = asked.runtime
    wanted = runtime.find_task(asked.path["task"])
    found, position = runtime.projection().ask(lambda database, at: (status.task(database, wanted), at))
    assert found is not None, "an id of the index is in the tables"
    return Answer(found | payload(runtime, wanted), position)


def cancel(asked: Asked) -> Answer:
    """End a task in whatever state it is; a running one is asked to end, and its dispatcher ends its processes."""
    runtime = asked.runtime
    wanted = runtime.find_task(asked.path["task"])
    reason = reason_of(runtime, asked.body.reason, "body.reason")
    position, was = cancel_task(runtime.log, wanted, runtime.clock.now_us(), runtime.actor, reason)
    state = runtime.log.task(wanted)
    assert state is not None, "an id of the index is in the log"
    return Answer({"task": wanted, "position": position, "state": was, "status": state.status.value}, position, 202)


def retry(asked: Asked) -> Answer:
    """Give a task that failed or is blocked another attempt, after a change where one is brought."""
    runtime = asked.runtime
    wanted = runtime.find_task(asked.path["task"])
    wish = Wish("retry", reason_of(runtime, asked.body.reason, "body.reason"))
    change = asked.body.edit
    if change is not None:
        refuse_argv(change, "http", runtime.config)
    how = None if change is None else edit_of(runtime, change, wish.note)
    position = fulfil(runtime.log, wanted, wish, runtime.clock.now_us(), runtime.actor, how)
    return Answer({"task": wanted, "edited": change is not None, "position": position}, position, 202)


def unblock(asked: Asked) -> Answer:
    """Let a blocked task go on."""
    runtime = asked.runtime
    wanted = runtime.find_task(asked.path["task"])
    wish = Wish("unblock", reason_of(runtime, asked.body.reason, "body.reason"))
    position = fulfil(runtime.log, wanted, wish, runtime.clock.now_us(), runtime.actor)
    return Answer({"task": wanted, "position": position}, position, 202)


def prioritize(asked: Asked) -> Answer:
    """Move a task that waits in the queue."""
    wanted = asked.runtime.find_task(asked.path["task"])
    position = moved(asked.runtime, wanted, asked.body.priority)
    return Answer({"task": wanted, "priority": asked.body.priority, "position": position}, position, 202)


_NO_TASK = (errors.KeyConflict, errors.Refused, errors.UnknownProfile, errors.IdNotFound, errors.RunOver)
_REFUSED = (errors.IdNotFound, errors.IdAmbiguous, errors.TaskStateRefused)
ROWS = (
    Row("GET", "/api/v1/tasks", "read", list_tasks, TasksQuery, answer=Page),
    Row("POST", "/api/v1/tasks", "operate", take_in, body=TaskBody, answer=TaskTaken,
        body_bytes_max=HTTP_INTAKE_BYTES_MAX, problems=_NO_TASK),
    Row("GET", "/api/v1/tasks/{task}", "read", show_task, problems=_REFUSED[:2]),
    Row("POST", "/api/v1/tasks/{task}/cancel", "operate", cancel, body=ReasonBody, answer=Written, problems=_REFUSED),
    Row("POST", "/api/v1/tasks/{task}/retry", "operate", retry, body=RetryBody, answer=Written, problems=_REFUSED,
        body_bytes_max=HTTP_INTAKE_BYTES_MAX),
    Row("POST", "/api/v1/tasks/{task}/unblock", "operate", unblock, body=ReasonBody, answer=Written, problems=_REFUSED),
    Row("POST", "/api/v1/tasks/{task}/prioritize", "operate", prioritize, body=PriorityBody, answer=Written,
        problems=_REFUSED),
)  # fmt: skip
