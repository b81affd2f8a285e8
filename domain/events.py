"""What can happen, as frozen Structs, and the envelope in which each event lies in the log.

The tag of a class is the event's name for ever; its topic in the log is `<name>.v<VERSION>`. A new field with a
default needs no new version; anything else does, together with an upcast (`UPCASTS`) and a golden file.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from domain.agent_events import AgentRunEvent, MemoryEvent, PolicyEvent, ThreadEvent
from domain.payload import Consequence as Consequence
from domain.payload import Fact as Fact
from domain.payload import Payload as Payload
from domain.payload import Policy as Policy
from domain.payload import Text as Text
from domain.run_events import AgentReported as AgentReported
from domain.run_events import AnswerRead as AnswerRead
from domain.run_events import CancelRequested as CancelRequested
from domain.run_events import EvidenceGathered as EvidenceGathered
from domain.run_events import OutputAppended as OutputAppended
from domain.run_events import RunCancelAsked as RunCancelAsked
from domain.run_events import RunFinished as RunFinished
from domain.run_events import RunOwnerLost as RunOwnerLost
from domain.run_events import RunRefused as RunRefused
from domain.run_events import RunStarted as RunStarted
from domain.run_events import RunVerified as RunVerified
from domain.run_events import TimerFired as TimerFired
from domain.run_events import ToolCallRequested as ToolCallRequested
from domain.run_events import ToolExited as ToolExited
from domain.run_events import ToolNotStarted as ToolNotStarted
from domain.run_events import ToolStarted as ToolStarted
from domain.run_events import VerificationRequested as VerificationRequested
from domain.schedule_events import ScheduleEvent, ScheduleTicked
from domain.task_events import TaskBlocked as TaskBlocked
from domain.task_events import TaskCanceled as TaskCanceled
from domain.task_events import TaskClaimed as TaskClaimed
from domain.task_events import TaskCompleted as TaskCompleted
from domain.task_events import TaskEdited as TaskEdited
from domain.task_events import TaskFailed as TaskFailed
from domain.task_events import TaskParked as TaskParked
from domain.task_events import TaskPrioritized as TaskPrioritized
from domain.task_events import TaskQueued as TaskQueued
from domain.task_events import TaskResumed as TaskResumed
from domain.task_events import TaskRetried as TaskRetried
from domain.task_events import TaskRetryScheduled as TaskRetryScheduled
from domain.task_events import TaskUnblocked as TaskUnblocked
from domain.work_events import AdapterEvent, OutboxEvent, SensorEvent
from domain.workflow_events import WorkflowEvent

# the dispatchers' and the log's own streams


class DispatchPaused(Fact, frozen=True, kw_only=True, tag="dispatcher.paused"):
    """No more claims until resumed; running runs go on. With `feeders` schedules and sensors rest too."""

    reason: str = ""
    scope: Literal["claiming", "feeders", "stop"] = "claiming"  # `stop`: what runs was canceled as well


class DispatchResumed(Fact, frozen=True, kw_only=True, tag="dispatcher.resumed"):
    """Claims are allowed again."""


class LossAccepted(Fact, frozen=True, kw_only=True, tag="log.loss_accepted"):
    """A person accepted that acknowledged events after `end` are gone; the head record had named them."""

    end: int
    recorded_position: int
    recorded_hash: str


class TextsErased(Fact, frozen=True, kw_only=True, tag="log.texts_erased"):
    """A person had outputs and texts erased. The events that name them stay, and the chain still holds.

    `runs` are those that lost something, up to a bound; `count` is their number.
    """

    rule: Literal["run", "task", "count", "age"]
    runs: tuple[str, ...]
    count: int
    bodies: int
    texts: int
    size: int  # bytes, as they were stored
    reason: str = ""


class LogMeasured(Fact, frozen=True, kw_only=True, tag="log.measured"):
    """What a dispatcher measured since it last said so: its appends, until they were durable, and how the tables lag.

    Tables catch up when they are asked: `behind` are the events that they lacked, `behind_us` is the age of the first.
    """

    VOLATILE = ("seconds", "appends", "p50_us", "p99_us", "most_us", "behind", "behind_us")

    seconds: int
    appends: int
    p50_us: int
    p99_us: int
    most_us: int
    behind: int
    behind_us: int


class LogArchived(Fact, frozen=True, kw_only=True, tag="log.archived"):
    """A person had the oldest events moved to the archive, up to a position whose chain hash is named."""

    upto: int
    hash: str
    events: int
    size: int  # bytes, as they were stored


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
    | TaskEdited
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
    | AgentReported
    | AnswerRead
    | VerificationRequested
    | EvidenceGathered
    | RunVerified
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
Event = (
    TaskEvent
    | RunEvent
    | DispatcherEvent
    | PolicyEvent
    | ThreadEvent
    | MemoryEvent
    | ScheduleEvent
    | ScheduleTicked
    | SensorEvent
    | AdapterEvent
    | WorkflowEvent
    | OutboxEvent
    | LossAccepted
    | LogMeasured
    | TextsErased
    | LogArchived
)

REGISTRY: dict[str, type[Payload]] = {str(kind.__struct_config__.tag): kind for kind in Event.__args__}

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTS: dict[tuple[str, int], Upcast] = {}  # (name, old version): dict of that version -> dict of the next


def topic(kind: type[Payload]) -> str:
    """The name under which today's version of this event lies in the log."""
    return f"{kind.__struct_config__.tag}.v{kind.VERSION}"


class Recorded(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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


class Blob(msgspec.Struct, frozen=True, gc=False):
    """A text to be stored with the events that name it, under the task whose erasure would remove it.

    `sha256` is its digest where that is known already; whoever acts on a text checks it again.
    """

    scope: str
    content: bytes
    sha256: str = ""


class Put(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What is appended in one transaction or not at all.

    Each stream's first version must be the one after its last in the log; `fence` names further streams (stream ->
    expected last version). `salts` are for the digests of output (output stream -> salt).
    """

    events: tuple[Recorded, ...]
    fence: dict[str, int] = {}
    blobs: tuple[Blob, ...] = ()
    salts: dict[str, bytes] = {}
