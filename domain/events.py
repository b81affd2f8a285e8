"""What can happen, as frozen Structs, and the envelope in which each event lies in the log.

The tag of a class is the event's name for ever; its topic in the log is `<name>.v<VERSION>`. A new field with a
default needs no new version; anything else does, together with an upcast (`UPCASTS`) and a golden file.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from domain.agent_events import AgentRunEvent, MemoryEvent, PolicyEvent, ThreadEvent
from domain.payload import Consequence as Consequence  # noqa: PLC0414  # everybody who reads events needs these
from domain.payload import Fact as Fact  # noqa: PLC0414
from domain.payload import Payload as Payload  # noqa: PLC0414
from domain.payload import Policy as Policy  # noqa: PLC0414
from domain.payload import Text as Text  # noqa: PLC0414
from domain.routed import Routed

# the task's stream


class TaskQueued(Fact, frozen=True, kw_only=True, tag="task.queued"):
    """A unit of work was taken in. `payload` holds description and payload as one JSON document."""

    kind: str
    source: str
    adapter: str
    payload: Text
    priority: int
    max_attempts: int
    subject: str = ""
    profile: str = ""
    due_at_us: int = 0
    thread: str = ""
    routing: Routed | None = None  # how the profile was chosen, where nobody named it in the task
    parent_run: str = ""
    depth: int = 0


class TaskClaimed(Fact, frozen=True, kw_only=True, tag="task.claimed"):
    """A dispatcher took the task; `epoch` counts the claims of this task, `run` is the attempt that it starts."""

    run: str
    epoch: int
    attempt: int
    max_attempts: int
    dispatcher: str
    resumed: bool = False  # the same run goes on, and no attempt is spent


class TaskParked(Consequence, frozen=True, kw_only=True, tag="task.parked"):
    """The run waits for a person and holds no slot; with `due_at_us` something expires then."""

    run: str
    status: Literal["waiting_for_approval", "blocked"]
    cause: str
    due_at_us: int = 0


class TaskResumed(Consequence, frozen=True, kw_only=True, tag="task.resumed"):
    """The run can go on: its task is claimable again, for the same run."""

    run: str
    cause: str


class TaskCompleted(Consequence, frozen=True, kw_only=True, tag="task.completed"):
    """The run's outcome counts: the task is done."""

    run: str


class TaskRetryScheduled(Consequence, frozen=True, kw_only=True, tag="task.retry_scheduled"):
    """The attempt failed and another one is allowed after a pause."""

    run: str
    cause: str
    backoff_us: int
    due_at_us: int


class TaskFailed(Consequence, frozen=True, kw_only=True, tag="task.failed"):
    """The attempt failed in a way that another one would not mend."""

    run: str
    cause: str


class TaskBlocked(Consequence, frozen=True, kw_only=True, tag="task.blocked"):
    """The task stands still until a person acts; `cause` says why."""

    cause: str
    run: str = ""


class TaskCanceled(Consequence, frozen=True, kw_only=True, tag="task.canceled"):
    """A person's cancel took effect, before a run (`run` empty) or by ending one."""

    reason: str = ""
    run: str = ""


class TaskRetried(Fact, frozen=True, kw_only=True, tag="task.retried"):
    """A person wants another attempt; `max_attempts` is the new limit."""

    max_attempts: int
    reason: str = ""


class TaskUnblocked(Fact, frozen=True, kw_only=True, tag="task.unblocked"):
    """A person removed what the task was blocked on."""

    max_attempts: int
    note: str = ""


class TaskPrioritized(Fact, frozen=True, kw_only=True, tag="task.prioritized"):
    """A person moved the task in the queue; larger is sooner."""

    priority: int


# the run's decision stream


class RunStarted(Fact, frozen=True, kw_only=True, tag="run.started"):
    """The bundle was compiled: the frozen inputs of the run.

    `call` is the process that a one-shot program will ask for, `setup` what a controller's or chat program decides by.
    """

    TEXTS = ("setup",)

    program: Literal["one_shot", "controller", "chat"]
    adapter: str
    bundle: Text
    policy: Policy
    call: Text | None = None
    setup: Text | None = None
    profile: str = ""
    thread: str = ""
    parent_run: str = ""
    depth: int = 0  # how many runs stand above it


class RunRefused(Fact, frozen=True, kw_only=True, tag="run.refused"):
    """The bundle could not be compiled; nothing was started."""

    cause: str
    message: str = ""


class ToolCallRequested(Consequence, frozen=True, kw_only=True, tag="run.tool_call_requested"):
    """The effect that may now be carried out. `call` is its ordinal in the run, `input` what to start."""

    call: int
    tool: str
    input: Text
    effect: Literal["idempotent", "once"]
    kind: Literal["process", "http"] = "process"
    timeout_us: int = 0  # 0 = that of the policy
    repeats: int = 0  # the call, lost with its dispatcher, that this one does again under the same effect key
    digest: str = ""  # what was allowed or approved: tool, arguments, profile


class ToolStarted(Fact, frozen=True, kw_only=True, tag="run.tool_started"):
    """A process runs. Pid, start time (clock ticks since boot) and boot id together name it for ever."""

    call: int
    pid: int
    start_ticks: int
    boot_id: str


class ToolNotStarted(Fact, frozen=True, kw_only=True, tag="run.tool_not_started"):
    """The process could not be started."""

    call: int
    cause: Literal[
        "command_not_found", "not_executable", "cwd_missing", "argument_too_large", "out_of_resources", "canceled"
    ]
    message: str = ""


class ToolExited(Fact, frozen=True, kw_only=True, tag="run.tool_exited"):
    """The leader ended and the drain is over. Code or signal, never both; `killed` counts ended descendants."""

    call: int
    duration_us: int
    exit_code: int | None = None
    signal: str = ""
    stdout_bytes: int = 0
    stderr_bytes: int = 0
    dropped_bytes: int = 0  # beyond the run's output limit: read, counted, not stored
    drain_cut: bool = False  # something held the pipe open beyond the drain limit
    killed: int = 0
    escaped: tuple[int, ...] = ()  # pids that were still there after KILL


class TimerFired(Fact, frozen=True, kw_only=True, tag="run.timer_fired"):
    """A timer of the core came due."""

    timer: str
    due_us: int


class RunCancelAsked(Fact, frozen=True, kw_only=True, tag="run.cancel_asked"):
    """A person wants the run to end."""

    reason: str = ""


class RunOwnerLost(Fact, frozen=True, kw_only=True, tag="run.owner_lost"):
    """The dispatcher that drove the run is gone; its left-over processes have been ended."""

    dispatcher: str
    cause: Literal["dispatcher_died", "dispatcher_stopped", "internal_error"]
    killed: int = 0


class CancelRequested(Consequence, frozen=True, kw_only=True, tag="run.cancel_requested"):
    """The effect of ending a call: TERM, grace, KILL."""

    call: int
    cause: Literal["operator", "timeout", "controller", "finish"]


class RunFinished(Consequence, frozen=True, kw_only=True, tag="run.finished"):
    """How the run ended. `outcome` is the canonical outcome as JSON, where the program produced one."""

    state: Literal["completed", "failed", "canceled", "lost"]
    retry: Literal["none", "retryable", "permanent"]
    cause: str = ""
    outcome: Text | None = None


# the run's output stream


class OutputAppended(Fact, frozen=True, kw_only=True, tag="output.appended"):
    """Whole lines (or a bounded part of one) of one stream of a call. The bytes lie in `bodies`.

    `offset` counts stored bytes of this call and stream; `digest` is SHA-256 over the run's salt and the bytes.
    """

    call: int
    stream: Literal["stdout", "stderr", "content", "reasoning"]  # the latter two are a model's
    offset: int
    size: int
    lines: int
    digest: str


# the dispatchers' and the log's own streams


class DispatchPaused(Fact, frozen=True, kw_only=True, tag="dispatcher.paused"):
    """No more claims until resumed; running runs go on."""

    reason: str = ""


class DispatchResumed(Fact, frozen=True, kw_only=True, tag="dispatcher.resumed"):
    """Claims are allowed again."""


class LossAccepted(Fact, frozen=True, kw_only=True, tag="log.loss_accepted"):
    """A person accepted that acknowledged events after `end` are gone; the head record had named them."""

    end: int
    recorded_position: int
    recorded_hash: str


TaskEvent = (
    TaskQueued
    | TaskClaimed
    | TaskCompleted
    | TaskRetryScheduled
    | TaskFailed
    | TaskBlocked
    | TaskCanceled
    | TaskRetried
    | TaskUnblocked
    | TaskParked
    | TaskResumed
    | TaskPrioritized
)
RunEvent = (
    OutputAppended
    | TaskClaimed
    | RunStarted
    | RunRefused
    | ToolCallRequested
    | ToolStarted
    | ToolNotStarted
    | ToolExited
    | TimerFired
    | RunCancelAsked
    | RunOwnerLost
    | CancelRequested
    | RunFinished
    | TaskCompleted
    | TaskRetryScheduled
    | TaskFailed
    | TaskBlocked
    | TaskCanceled
    | TaskParked
    | TaskResumed
    | AgentRunEvent
)
DispatcherEvent = DispatchPaused | DispatchResumed
Event = TaskEvent | RunEvent | DispatcherEvent | PolicyEvent | ThreadEvent | MemoryEvent | LossAccepted

REGISTRY: dict[str, type[Payload]] = {str(kind.__struct_config__.tag): kind for kind in Event.__args__}

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTS: dict[tuple[str, int], Upcast] = {}  # (name, old version): dict of that version -> dict of the next


def topic(kind: type[Payload]) -> str:
    """The name under which today's version of this event lies in the log."""
    return f"{kind.__struct_config__.tag}.v{kind.VERSION}"


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """An event in its envelope.

    `caused_by`: > 0 a position; < 0 so many events back in the same put; 0 nothing in the log. `position` is 0
    until the log gave one. `body` holds the bytes of an output event, whose JSON has only their digest.
    """

    stream: str
    version: int
    at_us: int
    actor: str
    data: Event
    correlation: str = ""  # the task
    caused_by: int = 0
    position: int = 0
    body: bytes | None = None
    texts: dict[str, bytes] = {}  # field -> content, of the fields that its class names in TEXTS

    def text(self, field: str) -> bytes:
        """The content of a text that the event names; empty when it names none, or when it was erased."""
        return self.texts.get(field, b"")


def hydrated(event: Recorded, blob: Callable[[str, Text], bytes | None]) -> Recorded:
    """The event with the contents that the core reads; what was erased stays away."""
    if not event.data.TEXTS:
        return event
    named = {field: getattr(event.data, field) for field in event.data.TEXTS}
    found = {field: blob(event.correlation, text) for field, text in named.items() if text is not None}
    return msgspec.structs.replace(
        event, texts={field: content for field, content in found.items() if content is not None}
    )


class Blob(msgspec.Struct, frozen=True):
    """A text to be stored with the events that name it, under the task whose erasure would remove it."""

    scope: str
    content: bytes


class Put(msgspec.Struct, frozen=True, kw_only=True):
    """What is appended in one transaction or not at all.

    Each stream's first version must be the one after its last in the log; `fence` names further streams (stream ->
    expected last version). `salts` are for the digests of output (output stream -> salt).
    """

    events: tuple[Recorded, ...]
    fence: dict[str, int] = {}
    blobs: tuple[Blob, ...] = ()
    salts: dict[str, bytes] = {}
