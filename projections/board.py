"""The one screen of `rt status` kept in memory, for whoever is asked for it all the time: folded event by event.

It begins from the tables and says the same as `projections.status.status` at every position. What is over and cannot
be moved again is only counted, so that memory follows the open tasks and not the log.
"""

from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from heapq import nlargest, nsmallest
from typing import Any

from domain.events import (
    DispatchPaused,
    DispatchResumed,
    Recorded,
    RunStarted,
    TaskClaimed,
    TaskEdited,
    TaskPrioritized,
    TaskQueued,
    TaskRetried,
    TaskUnblocked,
)
from domain.task import Task, index_change
from projections.catch_up import Database
from projections.status import STATUSES, rows

_FAILED_KEPT = 1_000
_RECENT = 50
_GONE = ("completed", "operator_canceled")  # nobody moves them again
_WAITING = ("pending", "retryable_failure")
_CARDS = """SELECT t.task, t.position, t.subject, t.kind, t.profile, t.status, t.cause, t.priority, t.max_attempts,
  t.run, epoch_us(t.created_at) AS created_us, epoch_us(t.updated_at) AS updated_us, epoch_us(t.due_at) AS due_us,
  r.adapter, r.attempt, epoch_us(r.claimed_at) AS claimed_us, r.position AS run_position, r.dispatcher
FROM tasks t LEFT JOIN runs r ON r.run = t.run WHERE t.status """
_OPEN = f"{_CARDS} NOT IN ('completed', 'operator_canceled', 'permanent_failure')"
_LATEST_FAILED = f"{_CARDS} = 'permanent_failure' ORDER BY t.updated_at DESC, t.position DESC LIMIT {_FAILED_KEPT}"


class Card:
    """A task as the screen shows it. Times are microseconds; `run_position` is that of the run's first claim."""

    __slots__ = (
        "adapter", "attempt", "cause", "claimed_us", "created_us", "dispatcher", "due_us", "kind", "max_attempts",
        "position", "priority", "profile", "run", "run_position", "status", "subject", "task", "updated_us",
    )  # fmt: skip

    def __init__(self, found: dict[str, Any]) -> None:
        for name in Card.__slots__:
            setattr(self, name, found[name])

    task: str
    position: int
    subject: str
    kind: str
    profile: str
    status: str
    cause: str
    priority: int
    max_attempts: int
    run: str
    created_us: int
    updated_us: int
    due_us: int | None
    adapter: str | None
    attempt: int | None
    claimed_us: int | None
    run_position: int | None
    dispatcher: str | None


class Board:
    """The status read model of one log. Not thread-safe: its owner locks."""

    def __init__(self, database: Database, position: int, look_up: Callable[[str, int], Task | None]) -> None:
        """`look_up` gives a task as it was before a position: for one that was over and is taken up again."""
        self.position = position
        self._look_up = look_up
        found = dict(database.execute("SELECT status, count(*) FROM tasks GROUP BY status").fetchall())
        self.counts: dict[str, int] = {name: found.get(name, 0) for name in STATUSES}
        loaded = [*rows(database, _OPEN), *reversed(rows(database, _LATEST_FAILED))]
        self._cards = {card.task: card for card in map(Card, loaded)}
        self._by_run = {card.run: card for card in self._cards.values() if card.run}
        self._failed = {card.task: card for card in self._cards.values() if card.status == "permanent_failure"}
        paused = database.execute(
            "SELECT topic LIKE 'dispatcher.paused.%', data->>'$.reason', epoch_us(recorded_at) FROM events"
            " WHERE topic LIKE 'dispatcher.%' ORDER BY position DESC LIMIT 1"
        ).fetchone() or (False, "", 0)
        self.paused: bool = bool(paused[0])
        self.pause_reason: str = (paused[1] or "") if self.paused else ""
        self.pause_changed_us: int = paused[2] or 0
        latest = database.execute("SELECT coalesce(epoch_us(max(recorded_at)), 0) FROM events").fetchone()
        self.latest_us: int = latest[0] if latest else 0
        self.recent: deque[Recorded] = deque(maxlen=_RECENT)

    def fold(self, events: Iterable[Recorded]) -> None:
        """Take in what follows in the log."""
        for event in events:
            self.position = event.position
            self.latest_us = max(self.latest_us, event.at_us)
            self.recent.append(event)
            self._fold(event)

    def _fold(self, event: Recorded) -> None:
        data = event.data
        match data:
            case RunStarted():
                if card := self._by_run.get(event.stream):
                    card.adapter = data.adapter
            case DispatchPaused() | DispatchResumed():
                self.paused, self.pause_changed_us = isinstance(data, DispatchPaused), event.at_us
                self.pause_reason = data.reason if isinstance(data, DispatchPaused) else ""
            case TaskQueued():
                self._queue(event, data)
            case TaskPrioritized() | TaskEdited():
                self._change(event, data)
            case _:
                self._move(event)

    def _change(self, event: Recorded, data: TaskPrioritized | TaskEdited) -> None:
        card = self._card(event)
        if card is None:
            return
        card.updated_us = max(card.updated_us, event.at_us)
        if isinstance(data, TaskPrioritized):
            card.priority = data.priority
        else:
            card.profile, card.subject = data.profile, data.subject

    def _queue(self, event: Recorded, data: TaskQueued) -> None:
        self.counts["pending"] += 1
        self._cards[event.stream] = Card(
            {
                "task": event.stream,
                "position": event.position,
                "subject": data.subject,
                "kind": data.kind,
                "profile": data.profile,
                "status": "pending",
                "cause": "",
                "priority": data.priority,
                "max_attempts": data.max_attempts,
                "run": "",
                "created_us": event.at_us,
                "updated_us": event.at_us,
                "due_us": data.due_at_us or None,
            }
            | dict.fromkeys(("adapter", "attempt", "claimed_us", "run_position", "dispatcher"))
        )

    def _move(self, event: Recorded) -> None:
        change = index_change(event.data)
        card = self._card(event) if change is not None else None
        if change is None or card is None:
            return
        self.counts[card.status] -= 1
        self._failed.pop(card.task, None)
        card.status, card.cause, card.updated_us = change.status.value, change.cause, event.at_us
        card.due_us = change.due_at_us or None
        self.counts[card.status] += 1
        if isinstance(event.data, TaskClaimed):
            self._claim(card, event, event.data)
        elif isinstance(event.data, TaskRetried | TaskUnblocked):
            card.max_attempts = event.data.max_attempts
        if card.status in _GONE:
            self._forget(card)
        elif card.status == "permanent_failure":
            self._failed[card.task] = card
            if len(self._failed) > _FAILED_KEPT:
                self._forget(self._failed.pop(next(iter(self._failed))))

    def _claim(self, card: Card, event: Recorded, data: TaskClaimed) -> None:
        card.dispatcher = data.dispatcher
        if data.run != card.run:
            self._by_run.pop(card.run, None)
            self._by_run[data.run] = card
            card.run, card.attempt, card.adapter = data.run, data.attempt, ""
            card.claimed_us, card.run_position = event.at_us, event.position

    def _forget(self, card: Card) -> None:
        self._cards.pop(card.task, None)
        self._by_run.pop(card.run, None)

    def _card(self, event: Recorded) -> Card | None:
        """The card of a task; one that was over is looked up, as it was before this event."""
        card = self._cards.get(event.stream)
        if card is None and (task := self._look_up(event.stream, event.position)) is not None:
            card = self._cards[task.task] = Card(
                {
                    "position": task.queued_position,
                    "created_us": task.created_at_us,
                    "updated_us": task.updated_at_us,
                    "due_us": task.due_at_us or None,
                    "status": task.status.value,
                }
                | {
                    name: getattr(task, name)
                    for name in ("task", "subject", "kind", "profile", "cause", "priority", "max_attempts", "run")
                }
                | dict.fromkeys(("adapter", "attempt", "claimed_us", "run_position", "dispatcher"))
            )
        return card

    def document(self) -> dict[str, Any]:
        """What `rt status --json` says at this position."""
        cards = self._cards.values()
        waiting = [card for card in cards if card.status in _WAITING]
        due = [card for card in waiting if (card.due_us or card.created_us) <= self.latest_us]
        oldest = min(due, key=lambda card: (card.due_us or card.created_us, card.position), default=None)
        running = nsmallest(50, (c for c in cards if c.status == "running"), key=lambda card: card.run_position or 0)
        stuck = [card for card in cards if card.status in ("blocked", "waiting_for_approval")]
        later = nsmallest(
            5, (card for card in waiting if card.due_us), key=lambda card: (card.due_us or 0, card.position)
        )
        queue = nsmallest(20, waiting, key=lambda card: (-card.priority, card.position))
        return {
            "schema": "rt.status.v1",
            "position": self.position,
            "paused": self.paused,
            "counts": dict(self.counts),
            "running": [
                _row(card, "task run subject kind adapter attempt max_attempts", claimed_at=card.claimed_us)
                for card in running
            ],
            "needs_you": [
                _row(card, "task run subject kind status cause", updated_at=card.updated_us)
                for card in nlargest(20, stuck, key=_newest)
            ],
            "failed": [
                _row(card, "task run subject kind cause", updated_at=card.updated_us)
                for card in nlargest(10, self._failed.values(), key=_newest)
            ],
            "next": [_row(card, "task subject kind status", due_at=card.due_us) for card in later],
            "oldest_due": None if oldest is None
            else _row(oldest, "task subject kind", since=oldest.due_us or oldest.created_us),
            "queue": [
                {"place": place}
                | _row(card, "task subject kind profile priority status", created_at=card.created_us)
                for place, card in enumerate(queue, 1)
            ],
        }  # fmt: skip

    def dispatchers(self) -> dict[str, str]:
        """Who drives each running run."""
        return {card.run: card.dispatcher or "" for card in self._cards.values() if card.status == "running"}

    @property
    def last(self) -> Recorded | None:
        """The last event that was folded."""
        return self.recent[-1] if self.recent else None


def _newest(card: Card) -> tuple[int, int]:
    return card.updated_us, card.position


def _row(card: Card, names: str, **times: int | None) -> dict[str, Any]:
    made: dict[str, Any] = {name: getattr(card, name) for name in names.split()}
    return made | {name: None if at_us is None else _moment(at_us) for name, at_us in times.items()}


def _moment(at_us: int) -> datetime:
    """As the tables hold it: UTC, without saying so."""
    return datetime.fromtimestamp(at_us / 1_000_000, UTC).replace(tzinfo=None)
