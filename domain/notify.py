"""Who is told what: the rules of [notify] over events. What is told holds ids and causes, never output."""

from typing import Any, NamedTuple

import msgspec

from domain.agent_events import ApprovalRequested, BudgetReached
from domain.config import Config
from domain.events import Recorded, TaskBlocked, TaskCompleted, TaskFailed
from domain.policies import matches
from domain.task import Task
from domain.work_config import NotifyConfig, NotifyOn


class Notice(NamedTuple):
    """One notification: by which rule, where to, under which key, and what it says."""

    rule: str
    target: str
    key: str
    document: dict[str, Any]
    path: str  # of the page that shows it


_ON: dict[type, NotifyOn] = {
    ApprovalRequested: "approval",
    BudgetReached: "budget",
    TaskBlocked: "blocked",
    TaskFailed: "failed",
    TaskCompleted: "completed",
}


def notices(config: Config, task: Task, event: Recorded) -> list[Notice]:
    """The notifications that an event asks for."""
    on = _ON.get(type(event.data))
    if on is None:
        return []
    return [_notice(at, rule, task, on, event) for at, rule in _rules(config, task, on)]


def content(notice: Notice, config: Config, at_us: int) -> bytes:
    """What is sent: the document, when it was made, and where to look."""
    document = notice.document | {"at_us": at_us}
    if config.link_base:
        document["link"] = f"{config.link_base.rstrip('/')}/{notice.path}"
    return msgspec.json.encode(document, order="sorted")


class Expiring(NamedTuple):
    """An approval that will expire."""

    run: str
    call: int
    at_us: int


def expiring(config: Config, task: Task, approval: Expiring, now_us: int) -> list[Notice]:
    """The notifications about an approval that will soon expire."""
    found: list[Notice] = []
    run, call, expires_us = approval
    for at, rule in _rules(config, task, "approval_expiring"):
        if expires_us - int(rule.before_s * 1_000_000) <= now_us:
            document = _document(task, "approval_expiring") | {"run": run, "call": call, "expires_at_us": expires_us}
            key = f"{rule.id or at}:approval_expiring:{run}:{call}:{expires_us}"
            found.append(Notice(rule.id or str(at), rule.to, key, document, f"approvals/{run[:12]}/c{call}"))
    return found


def _rules(config: Config, task: Task, on: NotifyOn) -> list[tuple[int, NotifyConfig]]:
    return [
        (at, rule)
        for at, rule in enumerate(config.notify)
        if on in rule.on and matches(rule.profile, task.profile) and matches(rule.kind, task.kind)
    ]


def _notice(at: int, rule: NotifyConfig, task: Task, on: NotifyOn, event: Recorded) -> Notice:
    data = event.data
    document = _document(task, on)
    path = f"tasks/{task.task[:12]}"
    match data:
        case ApprovalRequested():
            document |= {"run": event.stream, "call": data.call, "tool": data.tool, "digest": data.digest}
            document |= {"expires_at_us": data.expires_at_us} if data.expires_at_us else {}
            path = f"approvals/{event.stream[:12]}/c{data.call}"
        case BudgetReached():
            document |= {"run": event.stream, "budget": data.budget, "limit": data.limit, "used": data.used}
            path = f"runs/{event.stream[:12]}"
        case TaskBlocked() | TaskFailed():
            document |= {"cause": data.cause} | ({"run": data.run} if data.run else {})
        case TaskCompleted():
            document |= {"run": data.run}
        case _:
            pass
    key = f"{rule.id or at}:{on}:{event.stream}:{event.version}"
    return Notice(rule.id or str(at), rule.to, key, document, path)


def _document(task: Task, on: NotifyOn) -> dict[str, Any]:
    return {"event": on, "task": task.task, "kind": task.kind, "subject": task.subject, "profile": task.profile}
