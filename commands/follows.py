"""Whether anything follows from a put; what does is loaded when it is needed, for most puts lead to nothing."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from domain.agent_events import ApprovalRequested, BudgetReached
from domain.events import Put, TaskBlocked, TaskCanceled, TaskCompleted, TaskFailed
from domain.ports import LogView
from domain.workflow_events import WorkflowTaskDropped

if TYPE_CHECKING:
    from adapters.redact import Secrets
    from domain.config import Config

TRIGGERS = frozenset(
    (TaskCompleted, TaskFailed, TaskBlocked, TaskCanceled, ApprovalRequested, BudgetReached, WorkflowTaskDropped)
)


class Follows:
    """The follower of a home (`domain.ports.Follower`)."""

    def __init__(self, config: "Callable[[], Config]", secrets: "Callable[[], Secrets]") -> None:
        self._config = config
        self._secrets = secrets

    def wants(self, put: Put) -> bool:
        """See domain.ports.Follower."""
        return not TRIGGERS.isdisjoint([type(event.data) for event in put.events])

    def follow(self, view: LogView, put: Put) -> Put | None:
        """See domain.ports.Follower."""
        from commands.following import Following

        return Following(self._config, self._secrets).follow(view, put)
