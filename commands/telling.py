"""Events in plain words, one sentence each, for people who ask why."""

import shlex
from collections.abc import Callable
from typing import Any

import msgspec

from adapters.log_read import ReadLog
from commands import render
from domain import errors
from domain.events import Recorded, Text
from domain.intake import a_door
from domain.json_text import UNREADABLE

_TEXT_CHARS = 160
Data = Any  # an event's own fields, whatever kind it is
Words = Callable[[Data, Recorded, ReadLog], str]


def tell(event: Recorded, log: ReadLog) -> str:
    """What an event says. Its name and fields where nobody found better words."""
    name = str(event.data.__struct_config__.tag)
    words = _WORDS.get(name)
    if words is None:
        from commands.follow import fields

        return f"{name} {fields(event.data)}".strip()
    return words(event.data, event, log)


def _head(text: str) -> str:
    shown = render.line(" ".join(text.split()))
    return shown if len(shown) <= _TEXT_CHARS else f"{shown[:_TEXT_CHARS]}…"


def _text(log: ReadLog, event: Recorded, text: Text | None) -> str:
    """The head of a text that an event names."""
    if text is None:
        return ""
    try:
        content = log.blob(event.correlation, text)
    except errors.BlobNotFound:
        return " (erased)"
    return f": {_head(content.decode('utf-8', 'replace'))}"


def _who(event: Recorded) -> str:
    kind, _, name = event.actor.partition(":")
    return f"dispatcher {name[:8]}" if kind == "system" else render.line(name or kind)


def _because(triggers: tuple[str, ...]) -> str:
    return f" because of {render.line(', '.join(triggers)[:_TEXT_CHARS])}" if triggers else ""


def _queued(data: Data, event: Recorded, _log: ReadLog) -> str:
    about = f" {render.line(data.subject)!r}" if data.subject else ""
    made = f", made by {a_door(data.origin.kind)}" if data.origin else ""
    where = f"kind {render.line(data.kind)}, source {render.line(data.source)}{made}"
    return f"{_who(event)} took in the task{about} ({where})"


def _claimed(data: Data, event: Recorded, _log: ReadLog) -> str:
    again = "took the run up again" if data.resumed else "claimed it"
    return f"{_who(event)} {again}: run {data.run[:8]}, attempt {data.attempt} of {data.max_attempts}"


def _started(data: Data, _event: Recorded, _log: ReadLog) -> str:
    profile = f", profile {render.line(data.profile)}" if data.profile else ""
    frozen = f"its inputs are frozen as {data.bundle.sha256[:12]}"
    return f"the run began with adapter {render.line(data.adapter)}{profile}; {frozen}"


def _asked(data: Data, _event: Recorded, _log: ReadLog) -> str:
    return f"{render.line(data.controller)} was asked on the {data.path} path{_because(data.triggers)}"


def _answered(data: Data, event: Recorded, log: ReadLog) -> str:
    took = f" after {data.latency_us / 1e6:.1f} s" if data.latency_us else ""
    return f"no answer came: {data.cause}" if data.cause else f"it answered{took}{_text(log, event, data.answer)}"


def _decided(data: Data, _event: Recorded, _log: ReadLog) -> str:
    rule = f" by rule {render.line(data.rule)}" if data.rule else ""
    calls = f" ({', '.join(f'c{call}' for call in data.calls)})" if data.calls else ""
    none = f"; the answer was refused: {render.line(data.refused)}" if data.refused else ""
    how = f"{data.decision}{calls}{rule}{_because(data.triggers)}{none}"
    return f"decision {data.number} of {render.line(data.controller)}: {how}"


def _wants_yes(data: Data, event: Recorded, log: ReadLog) -> str:
    rules = f" by {', '.join(map(render.line, data.rules))}" if data.rules else ""
    what = "a person was asked" if data.kind == "question" else f"the policy asks a person{rules}"
    return f"{what}: call c{data.call}, {render.line(data.tool)}{_text(log, event, data.arguments)}"


def _answer_of(verb: str) -> Words:
    def words(data: Data, event: Recorded, log: ReadLog) -> str:
        said = getattr(data, "note", None) or getattr(data, "reason", None)
        return f"{_who(event)} {verb} call c{data.call}{_text(log, event, said)}"

    return words


def _called(data: Data, event: Recorded, log: ReadLog) -> str:
    again = f", again for c{data.repeats}" if data.repeats else ""
    return f"call c{data.call} was asked for: {render.line(data.tool)}{again}{_command(log, event, data.input)}"


def _command(log: ReadLog, event: Recorded, text: Text) -> str:
    """What a call starts: its arguments where it is a process."""
    try:
        found = msgspec.json.decode(log.blob(event.correlation, text))
    except (errors.BlobNotFound, *UNREADABLE):
        return _text(log, event, text)
    argv = found.get("argv") if isinstance(found, dict) else None
    return f": {_head(shlex.join(map(str, argv)))}" if argv else _text(log, event, text)


def _printed(data: Data, event: Recorded, _log: ReadLog) -> str:
    lines = (event.body or b"").decode("utf-8", "replace").splitlines()
    shown = f": {_head(lines[-1])}" if lines else " (erased)"
    return f"call c{data.call} printed {data.size} bytes to {data.stream}, the last line{shown}"


def _exited(data: Data, _event: Recorded, _log: ReadLog) -> str:
    how = f"was ended by {data.signal}" if data.signal else f"exited with {data.exit_code}"
    return f"its process {how} after {data.duration_us / 1e6:.2f} s"


def _finished(data: Data, event: Recorded, log: ReadLog) -> str:
    cause = f", {render.line(data.cause)}" if data.cause else ""
    return f"the run ended: {data.state}{cause}{_text(log, event, data.outcome)}"


def _plain(template: str) -> Words:
    """Words with the event's own fields in them."""

    def words(data: Data, event: Recorded, _log: ReadLog) -> str:
        values = {name: _value(getattr(data, name)) for name in data.__struct_fields__}
        return template.format(who=_who(event), **values).rstrip(" :;,")

    return words


def _value(value: object) -> str:
    return "" if value is None else _head(str(value))


_WORDS: dict[str, Words] = {
    "task.queued": _queued,
    "task.claimed": _claimed,
    "task.completed": _plain("the task is completed"),
    "task.failed": _plain("the task failed for good: {cause}"),
    "task.blocked": _plain("the task is blocked: {cause}"),
    "task.canceled": _plain("{who} canceled the task: {reason}"),
    "task.retry_scheduled": _plain("the task will be tried again: {cause}"),
    "task.retried": _plain("{who} wanted another attempt: {reason}"),
    "task.edited": _plain("{who} changed {changed} of the task: {reason}"),
    "task.unblocked": _plain("{who} let it go on: {note}"),
    "task.parked": _plain("the run waits without a slot: {cause}"),
    "task.resumed": _plain("the run may go on: {cause}"),
    "run.started": _started,
    "run.refused": _plain("the run could not begin: {cause}: {message}"),
    "run.resumed": _plain("the run goes on, by the policy of that moment"),
    "run.controller_asked": _asked,
    "run.controller_answered": _answered,
    "run.controller_replaced": _plain("{by} decides in the place of {controller}, which did not answer"),
    "run.decision_made": _decided,
    "run.approval_requested": _wants_yes,
    "run.approval_closed": _plain("nobody answered for call c{call}: {how}"),
    "run.call_approved": _answer_of("approved"),
    "run.call_edited": _answer_of("approved other arguments for"),
    "run.call_rejected": _answer_of("rejected"),
    "run.call_settled": _answer_of("found out about"),
    "run.call_refused": _plain("call c{call} was refused: {cause}: {reason}"),
    "run.tool_call_requested": _called,
    "run.tool_started": _plain("its process began, pid {pid}"),
    "run.tool_not_started": _plain("it was not started: {cause}: {message}"),
    "run.tool_returned": _plain("call c{call} came back: {cause}"),
    "run.tool_exited": _exited,
    "run.agent_reported": _plain("the agent told of a {kind}"),
    "run.cancel_asked": _plain("{who} asked the run to end: {reason}"),
    "run.cancel_requested": _plain("call c{call} is to end: {cause}"),
    "run.timer_fired": _plain("time was over: {timer}"),
    "run.budget_reached": _plain("a budget was used up: {budget}, {used} of {limit}"),
    "run.owner_lost": _plain("the dispatcher was lost: {cause}"),
    "run.denied": _plain("the policy denies the run: {reason}"),
    "run.finished": _finished,
    "output.appended": _printed,
    "schedule.created": _plain("{who} created schedule {name}"),
    "schedule.came_due": _plain("a slot of the schedule came due"),
    "schedule.fired": _plain("the schedule made its task number {ordinal}"),
    "schedule.ticked": _plain("the schedules were evaluated"),
    "sensor.accepted": _plain("sensor {sensor} told of {event}, from {source_ref}"),
    "workflow.created": _plain("{who} created workflow {instance_key} from {template}"),
    "workflow.transitioned": _plain("the workflow moved from {from_state} to {to_state} at signal {signal}"),
    "workflow.task_ended": _plain("the workflow heard that its task ended: {status} {signal}"),
    "workflow.task_wanted": _plain("the workflow wants a task for its state {state}"),
    "workflow.signaled": _plain("{who} gave signal {signal}"),
    "workflow.task_dropped": _plain("the workflow no longer waits for its task: {how}"),
    "outbox.queued": _plain("a {kind} to {target} was queued"),
}
