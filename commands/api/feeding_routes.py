"""What brings work in again and again: schedules, sensors, workflows."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from commands import schedules, sensors, workflows
from commands.api import json_body
from commands.api.route import Answer, Asked, Page, Row, Written, located, page
from commands.api.work_routes import Limit, Position, Reason, Word
from commands.approvals import short
from commands.scheduling import Scheduler
from commands.sensing import Sensors
from commands.templates import names, template
from commands.workflow_doors import Wanted, Workflows, all_of, find
from commands.workflow_moves import state_of
from domain import errors, workflow
from domain.bounds import HTTP_INTAKE_BYTES_MAX, HTTP_PAGE_ITEMS, HTTP_PAGE_ITEMS_MAX
from domain.intake import refuse_argv
from domain.schedule_input import ScheduleInput
from domain.sensed import SensorInput
from domain.workflow import Made, State

_EVENTS = """SELECT * FROM sensor_events WHERE position < ? ORDER BY position DESC LIMIT ?"""


class SchedulePut(ScheduleInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule, as `rt schedule create` takes it."""


class OldSchedule(ScheduleInput, frozen=True, kw_only=True):
    """A schedule; what is not known in it is passed over, as it was."""


class SensedPut(SensorInput, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sensor event, as `rt sensor ingest` takes it."""


class OldSensed(SensorInput, frozen=True, kw_only=True):
    """A sensor event; what is not known in it is passed over, as it was."""


class ScheduleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether it fires, and why not."""

    enabled: bool
    reason: Reason = ""


class TickBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As of which time; which one alone, whatever its time."""

    at: Annotated[str, Meta(max_length=64)] | None = None
    name: Word = ""


class BeforeQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Newest first: `before` is the `next` of the page before."""

    before: Position | None = None
    limit: Limit = HTTP_PAGE_ITEMS


class WorkflowsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Also those that are over."""

    all: bool = False


class WorkflowBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An instance of a template under a key; the same key twice is the same instance."""

    template: Word
    instance_key: Annotated[str, Meta(min_length=1, max_length=500)]
    context: dict[str, Any] = {}
    state: Word | None = None


class MoveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to, or by which signal; what becomes of the task of the state that is left."""

    to: Word = ""
    signal: Word = ""
    context: dict[str, Any] | None = None
    open_task: Literal["cancel", "detach"] = "cancel"


class LeaveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of the task of the state that is left."""

    open_task: Literal["cancel", "detach"] = "cancel"


class EndBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why, and what becomes of the task of the state that is left."""

    reason: Reason = ""
    open_task: Literal["cancel", "detach"] = "cancel"


class PatchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Merged into the context, shallowly."""

    context: dict[str, Any] | None = None


# schedules


def list_schedules(asked: Asked) -> Answer:
    """All schedules, enabled ones first, then by their next slot."""
    head = asked.runtime.readable.head().position
    found = schedules.listed(asked.runtime)[:HTTP_PAGE_ITEMS_MAX]
    return page([schedules.shown(each) for each in found], None, head)


def show_schedule(asked: Asked) -> Answer:
    """One schedule: its definition, its task, what it did."""
    runtime = asked.runtime
    head = runtime.readable.head().position
    return Answer(schedules.shown(Scheduler(runtime.config).named(runtime.readable, asked.path["name"])), head)


def put_schedule(asked: Asked) -> Answer:
    """Create a schedule, or replace the one of its name."""
    document = parsed(asked)
    if isinstance(document, dict) and isinstance(document.get("task"), dict):
        refuse_argv(document["task"], "http", asked.runtime.config)
    made = schedules.accepted(asked.runtime, document)
    position, changed, found = schedules.upsert(asked.runtime, made)
    shown = schedules.shown(found)
    answer = {"ok": True, "changed": changed, "position": position, "schedule": shown}
    return Answer(answer, position, 201 if changed else 200, located("schedules", shown["name"]))


def change_schedule(asked: Asked) -> Answer:
    """Let a schedule fire again, or pause."""
    return _changed(asked, "enable" if asked.body.enabled else "disable", asked.body.reason)


def remove_schedule(asked: Asked) -> Answer:
    """Remove a schedule; what it made stays."""
    return _changed(asked, "remove", "")


def _changed(asked: Asked, verb: str, reason: str) -> Answer:
    runtime, name = asked.runtime, asked.path["name"]
    text = short(runtime, reason, "body.reason")
    scheduler = Scheduler(runtime.config)
    position, changed = scheduler.change(runtime.log, name, verb, runtime.clock.now_us(), runtime.actor, text)
    return Answer({"name": name, "verb": verb, "changed": changed, "position": position}, position)


def tick(asked: Asked) -> Answer:
    """Evaluate the schedules now, or as of another time; or run one of them."""
    done = schedules.evaluated(asked.runtime, asked.body.at or "", asked.body.name, "body.at")
    return Answer(schedules.ticked(done), done.position)


# sensors


def list_sensors(asked: Asked) -> Answer:
    """The configured sensors, and how they are."""
    head = asked.runtime.readable.head().position
    return page(sensors.listed(asked.runtime), None, head)


def sensor_events(asked: Asked) -> Answer:
    """What sensors told, newest first."""
    from projections.status import rows

    query = asked.query
    before = 1 << 62 if query.before is None else query.before
    found, head = asked.runtime.projection().ask(
        lambda database, at: (rows(database, _EVENTS, before, query.limit), at)
    )
    return page(found, found[-1]["position"] if len(found) == query.limit else None, head)


def ingest(asked: Asked) -> Answer:
    """Ingest a sensor event: 201, or 200 with the first one when it is known."""
    runtime = asked.runtime
    sensed = sensors.check(runtime, parsed(asked))
    doors = Sensors(runtime.config, runtime.home.folder)
    done = doors.ingest(runtime.log, [sensed], runtime.clock.now_us(), runtime.actor)[0]
    if isinstance(done, errors.RtError):
        raise done
    position = runtime.log.head().position  # a repetition is an event too
    made = done.answer() | {"position": position, "ignored_keys": list(sensed.ignored_keys)}
    return Answer(made, position, 201 if done.accepted else 200, located("events", str(made["position"])))


# workflows


def list_workflows(asked: Asked) -> Answer:
    """Instances, those that are not over first."""
    log = asked.runtime.readable
    head = log.head().position
    found = [each for each in all_of(log) if asked.query.all or not each.over]
    found.sort(key=lambda each: each.over)
    return page([workflows.shown(each) for each in found[:HTTP_PAGE_ITEMS_MAX]], None, head)


def show_workflow(asked: Asked) -> Answer:
    """One instance: where it stands, why, which ways lead on, its moves, and its state machine."""
    log = asked.runtime.readable
    head = log.head().position
    stream = find(log, asked.path["key"])
    state = state_of(log, stream)
    assert state is not None, "an id of the index is in the log"
    return Answer(workflows.shown(state) | {"machine": machine(state), "moves": _moves(asked, stream)}, head)


def machine(state: State) -> dict[str, Any] | None:
    """The state machine of an instance, for whoever draws it: states in their order, and the ways between them."""
    definition = state.definition
    if definition is None:
        return None
    ways = [
        {"from": name, "signal": signal, "to": move.to}
        for name, each in definition.states.items()
        for signal in each.signals
        if (move := definition.move(name, signal)) is not None
    ]
    order = [definition.start]
    for reached in order:  # grows while it is walked: states as they are reached; what is never reached comes last
        order += [way["to"] for way in ways if way["from"] == reached and way["to"] not in order]
    order = list(dict.fromkeys([*order, *definition.states]))
    return {"start": definition.start, "states": order, "ways": ways}


def _moves(asked: Asked, stream: str) -> list[dict[str, Any]]:
    from commands.items import event_document

    events = asked.runtime.readable.stream(stream)
    return [event_document(event) for event in events[-HTTP_PAGE_ITEMS_MAX:]]


def create_workflow(asked: Asked) -> Answer:
    """Create an instance; a key that is known answers with the one that is there."""
    runtime, body = asked.runtime, asked.body
    workflows.check_secrets(runtime, body.instance_key, body.context)
    wanted = Wanted(body.template, body.instance_key, body.context, body.state)
    doors = Workflows(runtime.config, runtime.home.folder)
    done = doors.create(runtime.log, wanted, runtime.clock.now_us(), runtime.actor)
    made = {"created": done.changed, "workflow_id": done.state.workflow, "position": done.position}
    made["workflow"] = workflows.shown(done.state)
    return Answer(made, done.position, 201 if done.changed else 200, located("workflows", body.instance_key))


def transition(asked: Asked) -> Answer:
    """Move an instance to a state that its present one leads to."""
    body = asked.body
    if not (body.to or body.signal):
        raise errors.Invalid(where="body.to", why="say which state to enter, or give a signal")
    patch = _patch(asked)
    return _wished(
        asked,
        lambda state: workflow.transition(state, to=body.to, signal=body.signal, patch=patch, open_task=body.open_task),
    )


def skip(asked: Asked) -> Answer:
    """Go on as if the task of the present state had been completed."""
    return _wished(asked, lambda state: workflow.skip(state, open_task=asked.body.open_task))


def retry(asked: Asked) -> Answer:
    """Let a parked instance go on."""
    patch = _patch(asked)
    return _wished(asked, lambda state: workflow.retry(state, patch=patch))


def complete(asked: Asked) -> Answer:
    """Declare an instance done, whatever its state."""
    return _wished(asked, lambda state: workflow.complete(state, open_task=asked.body.open_task))


def cancel(asked: Asked) -> Answer:
    """Give an instance up."""
    said = short(asked.runtime, asked.body.reason, "body.reason")
    return _wished(asked, lambda state: workflow.cancel(state, reason=said, open_task=asked.body.open_task))


def _patch(asked: Asked) -> dict[str, Any] | None:
    given: dict[str, Any] | None = asked.body.context
    if given is not None:
        workflows.check_secrets(asked.runtime, "", given)
    return given


def _wished(asked: Asked, wish: Callable[[State], Made]) -> Answer:
    runtime = asked.runtime
    doors = Workflows(runtime.config, runtime.home.folder)
    done = doors.wish(runtime.log, asked.path["key"], wish, runtime.clock.now_us(), runtime.actor)
    return Answer(workflows.shown(done.state) | {"position": done.position}, done.position)


def templates(asked: Asked) -> Answer:
    """The state machines that there are."""
    runtime = asked.runtime
    found = [template(runtime.config, runtime.home.folder, name) for name in names(runtime.config)]
    made = [{"template": each.name, "start": each.start, "states": list(each.states)} for each in found]
    return page(made, None, runtime.readable.head().position)


def parsed(asked: Asked) -> Any:  # noqa: ANN401  # a document
    """The body as a whole; it was read before, and is an object."""
    return json_body.read(asked.raw) if asked.raw else {}


_BIG = HTTP_INTAKE_BYTES_MAX
_NO_FLOW = (errors.WorkflowNotFound, errors.WorkflowRefused)
ROWS = (
    Row("GET", "/api/v1/schedules", "read", list_schedules, answer=Page),
    Row("POST", "/api/v1/schedules", "operate", put_schedule, body=SchedulePut, answer=Written, body_bytes_max=_BIG),
    Row("POST", "/api/v1/schedules/tick", "operate", tick, body=TickBody, answer=Written,
        problems=(errors.ScheduleNotFound,)),
    Row("GET", "/api/v1/schedules/{name}", "read", show_schedule, problems=(errors.ScheduleNotFound,)),
    Row("PATCH", "/api/v1/schedules/{name}", "operate", change_schedule, body=ScheduleBody, answer=Written,
        problems=(errors.ScheduleNotFound,)),
    Row("DELETE", "/api/v1/schedules/{name}", "operate", remove_schedule, answer=Written,
        problems=(errors.ScheduleNotFound,)),
    Row("GET", "/api/v1/sensors", "read", list_sensors, answer=Page),
    Row("GET", "/api/v1/sensors/events", "read", sensor_events, BeforeQuery, answer=Page),
    Row("POST", "/api/v1/sensors/events", "operate", ingest, body=SensedPut, answer=Written, body_bytes_max=_BIG),
    Row("GET", "/api/v1/workflows", "read", list_workflows, WorkflowsQuery, answer=Page),
    Row("POST", "/api/v1/workflows", "operate", create_workflow, body=WorkflowBody, answer=Written,
        body_bytes_max=_BIG, problems=(errors.UnknownTemplate,)),
    Row("GET", "/api/v1/workflows/templates", "read", templates, answer=Page),
    Row("GET", "/api/v1/workflows/{key}", "read", show_workflow, problems=_NO_FLOW[:1]),
    Row("POST", "/api/v1/workflows/{key}/transition", "operate", transition, body=MoveBody, answer=Written,
        problems=_NO_FLOW),
    Row("POST", "/api/v1/workflows/{key}/skip", "operate", skip, body=LeaveBody, answer=Written, problems=_NO_FLOW),
    Row("POST", "/api/v1/workflows/{key}/retry", "operate", retry, body=PatchBody, answer=Written, problems=_NO_FLOW),
    Row("POST", "/api/v1/workflows/{key}/complete", "operate", complete, body=LeaveBody, answer=Written,
        problems=_NO_FLOW),
    Row("POST", "/api/v1/workflows/{key}/cancel", "operate", cancel, body=EndBody, answer=Written, problems=_NO_FLOW),
)  # fmt: skip
