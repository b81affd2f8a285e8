"""What a server says, as types: events, tasks, what waits for a person, results and problems."""

from typing import Any, Final, Literal

import msgspec

OVER: Final = ("completed", "permanent_failure", "operator_canceled", "blocked")
Answer = Literal["approve", "reject", "edit"]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the log. `topic` names its kind and version, `data` holds its own fields."""

    position: int
    stream: str
    version: int
    topic: str
    at: str
    actor: str
    task: str
    caused_by: int
    data: dict[str, Any]

    @property
    def name(self) -> str:
        """Its kind, without the version."""
        return self.topic.rpartition(".v")[0]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """A task that is durable; `deduplicated` when its key was known."""

    task_id: str
    position: int
    deduplicated: bool = False


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Exactly what waits for a person; `digest` binds the answer to it."""

    run: str
    task: str
    call: int
    kind: str
    tool: str
    arguments: dict[str, Any]
    digest: str = ""
    shown: str = ""
    expires_at: str | None = None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a task stands: over, or waiting for the answers in `waits`."""

    task: str
    run: str
    status: str
    cause: str
    position: int
    outcome: dict[str, Any] | None = None
    waits: tuple[Approval, ...] = ()

    @property
    def completed(self) -> bool:
        """Whether it did what was asked."""
        return self.status == "completed"

    @property
    def summary(self) -> str:
        """What it says of itself; empty where it says nothing."""
        return str((self.outcome or {}).get("operator_summary", ""))


class Problem(Exception):  # the name that RFC 9457 gives it
    """A request that was not answered: status, code and hint as the command line has them; `where` is the field."""

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        self.status = status
        self.code = str(document.get("code", ""))
        self.hint = str(document.get("hint", ""))
        self.where = str(document.get("where", ""))
        self.document = document
        super().__init__(f"{document.get('detail') or f'status {status}'}  [{self.code or status}]")


class Reader:
    """Server-sent events out of the pieces in which they come. `position` is where to go on after a cut."""

    def __init__(self, position: int | None) -> None:
        self.position = position
        self._rest = ""

    def feed(self, text: str) -> list[Event]:
        """The events that are whole now."""
        *parts, self._rest = (self._rest + text).split("\n\n")
        found = []
        for part in parts:
            fields = dict(line.split(": ", 1) for line in part.split("\n") if ": " in line and not line.startswith(":"))
            if fields.get("event", "") not in ("caught_up", "overflow") and "data" in fields:
                found.append(msgspec.json.decode(fields["data"], type=Event))
            if "id" in fields:
                self.position = int(fields["id"])
        return found

    def cut(self) -> None:
        """The connection is gone: what was not whole comes again."""
        self._rest = ""
