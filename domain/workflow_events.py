"""Events of workflows: instances of a state machine that create tasks and move on their outcomes.

The stream is the instance; its id is nowhere in a payload.
"""

from typing import Literal

from domain.payload import Consequence, Fact, Text

OpenTask = Literal["cancel", "detach", ""]  # what a person wants for the task of the state that is left


class WorkflowCreated(Fact, frozen=True, kw_only=True, tag="workflow.created"):
    """An instance begins. It keeps the definition (its template as JSON) that it was created with."""

    TEXTS = ("definition", "context")

    instance_key: str
    template: str
    template_version: str  # SHA-256 of the definition
    definition: Text
    context: Text
    state: str  # where it begins


class WorkflowTaskEnded(Fact, frozen=True, kw_only=True, tag="workflow.task_ended"):
    """A task of this instance came to its end, or was `refused` before it began. Only the latest task counts."""

    task: str
    state: str
    epoch: int
    status: Literal["completed", "permanent_failure", "blocked", "operator_canceled", "refused"]
    kind: str
    signal: str = ""  # the one that its outcome named; empty for none
    cause: str = ""
    cost_nusd: int = 0  # billionths of a dollar


class WorkflowSignaled(Fact, frozen=True, kw_only=True, tag="workflow.signaled"):
    """A person gives the signal that leads to `to`; caps do not hold a person up. `patch` goes into the context."""

    TEXTS = ("patch",)

    to: str
    signal: str
    patch: Text | None = None
    open_task: OpenTask = ""


class WorkflowRetryAsked(Fact, frozen=True, kw_only=True, tag="workflow.retry_asked"):
    """A person wants a parked instance to go on: past the cap that stopped it, or with its state's task once more."""

    TEXTS = ("patch",)

    patch: Text | None = None


class WorkflowCompleteAsked(Fact, frozen=True, kw_only=True, tag="workflow.complete_asked"):
    """A person says that the instance is done, whatever its state."""

    open_task: OpenTask = ""


class WorkflowCanceled(Fact, frozen=True, kw_only=True, tag="workflow.canceled"):
    """A person gave the instance up. Nothing follows."""

    reason: str = ""
    open_task: OpenTask = ""


class WorkflowTransitioned(Consequence, frozen=True, kw_only=True, tag="workflow.transitioned"):
    """The instance entered a state. `epoch` numbers the entries, so that no old task matches a new one."""

    TEXTS = ("patch",)

    from_state: str
    to_state: str
    epoch: int
    signal: str
    iteration: int
    revisions: int
    patch: Text | None = None


class WorkflowTaskWanted(Consequence, frozen=True, kw_only=True, tag="workflow.task_wanted"):
    """The task of this state entry. `document` is its task input; `task` is made of the document's idempotency key."""

    task: str
    state: str
    epoch: int
    attempt: int  # within the epoch
    why: Literal["entered", "signal", "failed", "asked"]
    document: Text


class WorkflowTaskDropped(Consequence, frozen=True, kw_only=True, tag="workflow.task_dropped"):
    """The open task counts no longer: a person moved the instance on. It is canceled, or goes on by itself."""

    task: str
    state: str
    epoch: int
    how: Literal["cancel", "detach"]


class WorkflowParked(Consequence, frozen=True, kw_only=True, tag="workflow.parked"):
    """The instance stands still until a person acts. `signal` is the move that a cap held up."""

    cause: str
    state: str
    message: str = ""
    signal: str = ""


class WorkflowUnparked(Consequence, frozen=True, kw_only=True, tag="workflow.unparked"):
    """The instance goes on, and what its caps allow is counted anew from here."""

    state: str


class WorkflowCompleted(Consequence, frozen=True, kw_only=True, tag="workflow.completed"):
    """The instance is done; it never moves again."""

    state: str
    signal: str = ""


WorkflowEvent = (
    WorkflowCreated
    | WorkflowTaskEnded
    | WorkflowSignaled
    | WorkflowRetryAsked
    | WorkflowCompleteAsked
    | WorkflowCanceled
    | WorkflowTransitioned
    | WorkflowTaskWanted
    | WorkflowTaskDropped
    | WorkflowParked
    | WorkflowUnparked
    | WorkflowCompleted
)
