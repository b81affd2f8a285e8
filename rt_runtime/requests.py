"""What a client asks, before it is sent: the same for one that waits and for one that does not."""

import uuid
from typing import Any, NamedTuple

import httpx
import msgspec

from rt_runtime.answers import OVER, Answer, Approval, Problem, Result

WAIT_FIRST_S = 0.2
WAIT_MOST_S = 5.0
TRIES = 3  # of a request whose answer was not heard: its key makes it one request
STREAM = httpx.Timeout(10.0, read=45.0)  # a server says something at least every 15 s


class Request(NamedTuple):
    """A request that can be sent again: a write has a key."""

    method: str
    path: str
    query: dict[str, Any]
    body: dict[str, Any] | None
    headers: dict[str, str]


def read(path: str, **query: Any) -> Request:  # noqa: ANN401  # of a query
    """A read."""
    return Request("GET", path, {name: value for name, value in query.items() if value not in (None, "")}, None, {})


def write(path: str, body: dict[str, Any], key: str = "") -> Request:
    """A write, with a key of its own where none is given."""
    return Request("POST", path, {}, body, {"idempotency-key": key or uuid.uuid4().hex})


def task(goal: str, payload: dict[str, Any] | None, fields: dict[str, Any], key: str) -> Request:
    """A task: a goal in words, or a payload."""
    if bool(goal) == (payload is not None):
        message = "give one of goal and payload"
        raise ValueError(message)
    content = {"goal": goal, "objective": goal} if payload is None else payload
    named = {"kind": "goal" if goal else "task", "source": "client", "subject": goal[:200] or None, "payload": content}
    document = {name: value for name, value in (named | fields).items() if value is not None}
    return write("/api/v1/tasks", document, key)


def answer(to: Approval, how: Answer, text: str, edit: dict[str, Any] | None, key: str) -> Request:
    """A person's answer to exactly what was shown."""
    body: dict[str, Any] = {"answer": how, "shown_sha256": to.digest}
    body |= {"reason": text} if how == "reject" else {"note": text}
    body |= {"edit": edit} if how == "edit" else {}
    return write(f"/api/v1/runs/{to.run}/approvals/{to.call}", body, key)


def stream_headers(position: int | None) -> dict[str, str]:
    """From where a stream goes on."""
    return {} if position is None else {"last-event-id": str(position)}


def decoded(response: httpx.Response) -> Any:  # noqa: ANN401  # a document
    """The document of an answer. Raises Problem."""
    kind = response.headers.get("content-type", "")
    if not response.is_success:
        document = response.json() if "json" in kind else {"detail": response.text[:500]}
        raise Problem(response.status_code, document)
    return response.json() if "json" in kind else response.text


def approvals(found: dict[str, Any], run: str) -> tuple[Approval, ...]:
    """What of a list waits in one run, or in any."""
    return tuple(msgspec.convert(each, Approval, strict=False) for each in found["items"] if run in ("", each["run"]))


def is_settled(status: str) -> bool:
    """Whether nothing happens to a task by itself any more."""
    return status in OVER or status == "waiting_for_approval"


def result(shown: dict[str, Any], run: dict[str, Any] | None, waits: tuple[Approval, ...], position: int) -> Result:
    """How a task stands."""
    return Result(
        task=shown["task"],
        run=shown["run"],
        status=shown["status"],
        cause=shown["cause"],
        position=position,
        outcome=(run or {}).get("outcome"),
        waits=waits,
    )
