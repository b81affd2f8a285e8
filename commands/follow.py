"""What people see of runs as they go: one line a change of state on stderr, the output on stdout."""

from collections.abc import Callable, Sequence

import msgspec

from commands import render
from commands.items import event_document
from domain.agent_events import (
    ApprovalClosed,
    ApprovalRequested,
    BudgetReached,
    CallApproved,
    CallEdited,
    CallRefused,
    CallRejected,
    ControllerAsked,
    DecisionMade,
)
from domain.events import (
    AgentReported,
    CancelRequested,
    OutputAppended,
    Payload,
    Recorded,
    RunFinished,
    RunOwnerLost,
    RunRefused,
    TaskClaimed,
    TaskParked,
    TaskRetryScheduled,
    ToolCallRequested,
    ToolNotStarted,
)
from domain.task import Status, Task


class Printer:
    """Prints what became durable in this process."""

    def __init__(self, *, output: bool, quiet: bool = False, gone: Callable[[], None] = lambda: None) -> None:
        """`gone` is called once when the reader of the output went away."""
        self.gone = gone
        self.tasks: list[str] = []
        self.ended = 0
        self.lost = ""  # why the output could not be shown
        self._output = output
        self._open_line = False  # whether the output on stderr's terminal stands in the middle of a line
        self._quiet = quiet or render.style.quiet

    def events(self, events: Sequence[Recorded]) -> None:
        """Show events, in order."""
        for event in events:
            data = event.data
            if isinstance(data, OutputAppended):
                self._print(event.body or b"", stderr=data.stream == "stderr")
                continue
            if isinstance(data, TaskClaimed):
                self.tasks.append(event.stream)
            if isinstance(data, RunFinished):
                self.ended += 1
            if not self._quiet:
                self._tell(event)

    def _tell(self, event: Recorded) -> None:
        if render.style.logs_json:
            known = event_document(event)  # which has no position yet: stream and version name it
            del known["position"], known["caused_by"]
            render.logged("rt.event.v1", known)
        elif text := sentence(event):
            if self._open_line:
                render.raw(b"\n", stderr=True)
                self._open_line = False
            render.note(text)

    def _print(self, data: bytes, *, stderr: bool) -> None:
        if not self._output:
            return
        try:
            render.raw(data, stderr=stderr)
            self._open_line = render.is_terminal() and not data.endswith(b"\n")
        except BrokenPipeError:  # `rt do -- yes | head`
            self._output = False
            self.gone()
        except OSError as problem:  # a full disk: the run goes on, and its output is in the log
            self._output = False
            self.lost = str(problem.strerror)

    @staticmethod
    def end(task: Task, summary: str = "") -> None:
        """The last lines of `rt do`."""
        if summary:
            render.note(f"  {render.line(summary[:300])}")
        cause = f"  {task.cause}" if task.cause else ""
        attempts = f"{cause}  ({task.attempts} of {task.max_attempts} attempts)"
        render.note(attempts, before=render.mark(task.status, stderr=True))
        if task.status is Status.WAITING_FOR_APPROVAL:
            render.note(f"next: rt approval show {task.run[:8]} · rt approve {task.run[:8]} · rt reject {task.run[:8]}")
            return
        again = f" · rt retry {task.task[:8]}" if task.status in (Status.BLOCKED, Status.PERMANENT_FAILURE) else ""
        render.note(f"next: rt replay @last · rt run show @last{again}")


def sentence(event: Recorded) -> str:  # noqa: PLR0911  # one line an event
    """A change of state in one line; empty for what is no news to people."""
    data = event.data
    match data:
        case TaskClaimed():
            return f"● run {data.run[:8]} of task {event.stream[:8]}, attempt {data.attempt} of {data.max_attempts}"
        case ToolNotStarted():
            return f"  call {data.call} was not started: {data.cause}" + (f": {data.message}" if data.message else "")
        case TaskRetryScheduled():
            return f"  again in {data.backoff_us / 1e6:.1f} s"
        case RunRefused():
            return f"  refused: {data.cause}: {data.message}"
        case RunFinished():
            return f"  run {event.stream[:8]} {data.state}" + (f": {data.cause}" if data.cause else "")
        case CancelRequested():
            return f"  ending call c{data.call}: {data.cause}"
        case RunOwnerLost():
            return f"  run {event.stream[:8]}: {data.cause}, {data.killed} processes were left over"
        case _:
            return _of_an_agent(event)


def _of_an_agent(event: Recorded) -> str:  # noqa: C901, PLR0911  # one line an event
    data = event.data
    match data:
        case ToolCallRequested() if data.tool != "process":
            return f"  call c{data.call}  {render.line(data.tool)}" + (
                f", again for c{data.repeats}" if data.repeats else ""
            )
        case ControllerAsked():
            return f"  asking {data.controller} ({data.path} path): {_because(data.triggers)}"
        case DecisionMade():
            return _decision(data)
        case CallRefused():
            why = f": {render.line(data.reason)}" if data.reason else ""
            return f"  call c{data.call} refused: {data.cause}{why}"
        case ApprovalRequested():
            verb = "a question waits" if data.kind == "question" else "waits for a yes"
            show = f"rt approval show {event.stream[:8]} {data.call}"
            return f"  call c{data.call}  {render.line(data.tool)} {verb} · {show}"
        case ApprovalClosed():
            return f"  call c{data.call}: {data.how}"
        case CallApproved() | CallEdited() | CallRejected():
            how = str(data.__struct_config__.tag).rpartition("_")[2]
            return f"  call c{data.call} {how} by {render.line(event.actor)}"
        case TaskParked():
            return f"  run {data.run[:8]} waits: {data.cause}"
        case AgentReported():
            return f"  {data.kind}: {render.line(event.text('text').decode()[:200])}".rstrip(": ")
        case BudgetReached():
            return f"  budget reached: {data.budget} {data.used} of {data.limit}"
        case _:
            return ""


def _because(triggers: tuple[str, ...]) -> str:
    return render.line(", ".join(triggers)[:120])


def _decision(data: DecisionMade) -> str:
    about = f" {' '.join(f'c{call}' for call in data.calls)}" if data.calls else ""
    rule = f" by rule {data.rule}" if data.rule else ""
    refused = f", refused: {render.line(data.refused)}" if data.refused else ""
    cost = f", {data.tokens_in} + {data.tokens_out} tokens" if data.tokens_in is not None else ""
    how = f"{data.decision}{about}{rule} ({data.path} path{cost}{refused})"
    return f"  decision {data.number}  {how}: {_because(data.triggers)}"


def one_line(event: Recorded, start_us: int) -> str:
    """Any event in one line, with its distance from a start."""
    since_s = (event.at_us - start_us) / 1_000_000
    name = str(event.data.__struct_config__.tag)
    return f"{event.position:>7}  {since_s:+9.3f}s  {name:<24} {fields(event.data)}".rstrip()


def fields(data: Payload) -> str:
    """The fields that are set, short."""
    shown = []
    for name in data.__struct_fields__:
        value = getattr(data, name)
        if value in ("", None, 0, (), False):
            continue
        if isinstance(value, msgspec.Struct):
            value = getattr(value, "sha256", "…")
        text = str(value)
        shown.append(f"{name}={render.line(text[:12] if len(text) in (32, 64) else text[:80])}")
    return " ".join(shown)
