"""Events of the task's own stream."""

from typing import Literal

from domain.payload import Consequence, Fact, Text
from domain.routed import Routed
from domain.work_events import Origin


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
    origin: Origin | None = None  # what made it, where that was no person
    expires_us: int = 0  # where nobody has claimed it by then, it is not wanted any more
    own_adapter_only: bool = False  # no fallback


class TaskClaimed(Fact, frozen=True, kw_only=True, tag="task.claimed"):
    """A dispatcher took the task; `epoch` counts the claims of this task, `run` is the attempt that it starts."""

    VOLATILE = ("run", "epoch", "dispatcher")

    run: str
    epoch: int
    attempt: int
    max_attempts: int
    dispatcher: str
    refunds: int = 0  # attempts that were given back in a row before this one
    resumed: bool = False  # the same run goes on, and no attempt is spent


class TaskParked(Consequence, frozen=True, kw_only=True, tag="task.parked"):
    """The run waits for a person and holds no slot; with `due_at_us` something expires then."""

    VOLATILE = ("run", "due_at_us")

    run: str
    status: Literal["waiting_for_approval", "blocked"]
    cause: str
    due_at_us: int = 0


class TaskResumed(Consequence, frozen=True, kw_only=True, tag="task.resumed"):
    """The run can go on: its task is claimable again, for the same run."""

    VOLATILE = ("run",)

    run: str
    cause: str


class TaskCompleted(Consequence, frozen=True, kw_only=True, tag="task.completed"):
    """The run's outcome counts: the task is done."""

    VOLATILE = ("run",)

    run: str


class TaskRetryScheduled(Consequence, frozen=True, kw_only=True, tag="task.retry_scheduled"):
    """The attempt failed and another one is allowed after a pause."""

    VOLATILE = ("run", "backoff_us", "due_at_us")

    run: str
    cause: str
    backoff_us: int
    due_at_us: int
    refunded: bool = False  # the attempt does not count
    hint: str = ""  # who asked for the wait, and in which words


class TaskFailed(Consequence, frozen=True, kw_only=True, tag="task.failed"):
    """The attempt failed in a way that another one would not mend."""

    VOLATILE = ("run",)

    run: str
    cause: str


class TaskBlocked(Consequence, frozen=True, kw_only=True, tag="task.blocked"):
    """The task stands still until a person acts; `cause` says why."""

    VOLATILE = ("run",)

    cause: str
    run: str = ""


class TaskCanceled(Consequence, frozen=True, kw_only=True, tag="task.canceled"):
    """A person's cancel took effect, before a run (`run` empty) or by ending one."""

    VOLATILE = ("run",)

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


class TaskEdited(Fact, frozen=True, kw_only=True, tag="task.edited"):
    """A person changed what the next attempt shall do. All of what can be changed, as it is from now on."""

    changed: tuple[str, ...]  # the fields of the task's document that differ
    payload: Text
    adapter: str
    subject: str = ""
    profile: str = ""
    reason: str = ""


class TaskPrioritized(Fact, frozen=True, kw_only=True, tag="task.prioritized"):
    """A person moved the task in the queue; larger is sooner."""

    priority: int
