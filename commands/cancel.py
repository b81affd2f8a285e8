"""What a person wants of a task, from any process: each wish and what follows from it in one put, by the same core.

The dispatcher of a running task sees the request to cancel in the log and climbs the ladder.
"""

import contextlib
from collections.abc import Callable

from domain import errors
from domain import task as tasks
from domain.advance import Happened, advance, catch_up, claimed
from domain.bounds import REASON_CHARS_MAX
from domain.events import Blob, Put, Recorded, RunCancelAsked, TaskClaimed, TaskEdited, TaskEvent
from domain.ports import Log, LogView
from domain.task import Status, Task, Wish


def ask_cancel(log: Log, run: str, at_us: int, actor: str, reason: str) -> int:
    """Ask a run to end; the position of the request. Raises RunOver, IdNotFound."""
    task = next(iter(log.run_events(run, bodies=False))).stream

    def ask(view: LogView) -> Put:
        events = view.stream(task)
        begin = next(
            at for at, each in enumerate(events) if isinstance(each.data, TaskClaimed) and each.data.run == run
        )
        mine = sorted([*events[begin + 1 :], *view.stream(run)], key=lambda event: event.position)
        tip = catch_up(claimed(events[begin]), mine)
        if tip.state.ended:
            raise errors.RunOver(run=run[:8], status=tip.state.status.value)
        _, put = advance(tip, [Happened(RunCancelAsked(reason=reason), None, actor)], at_us=at_us, actor=actor)
        return put

    result = log.append([ask])[0]
    if isinstance(result, Exception):
        raise result
    return result[-1]


Edit = Callable[[Task, bytes], tuple[TaskEdited, bytes]]  # from a task and its stored text


def fulfil(log: Log, task: str, wish: Wish, at_us: int, actor: str, edit: Edit | None = None) -> int:
    """Fulfil a wish in one transaction with the look at the state that allows it, after an edit; its position.

    Raises TaskStateRefused, and what the edit raises.
    """

    def decide(view: LogView) -> Put:
        state = view.task(task)
        assert state is not None, "an id of the index is in the log"
        facts: list[TaskEvent] = [tasks.decide(state, wish)]
        texts: tuple[bytes, ...] = ()
        if edit is not None:
            edited, text = edit(state, view.blob(task, state.payload))
            facts, texts = [edited, *facts], (text,)
        events = tuple(
            Recorded(stream=task, version=version, at_us=at_us, actor=actor, data=data, correlation=task)
            for version, data in enumerate(facts, state.version + 1)
        )
        return Put(events=events, blobs=tuple(Blob(task, text) for text in texts))

    result = log.append([decide])[0]
    if isinstance(result, Exception):
        raise result
    return result[-1]


def cancel_task(log: Log, task: str, at_us: int, actor: str, reason: str) -> tuple[int, str]:
    """Cancel a task in whatever state it is, and what its runs delegated; the position, and what came of it.

    Raises TaskStateRefused for a task that is over.
    """
    done = _cancel(log, task, at_us, actor, reason)
    for child in _delegated(log, task):
        with contextlib.suppress(errors.TaskStateRefused):  # over already
            cancel_task(log, child, at_us, actor, f"its parent was canceled: {reason}"[:REASON_CHARS_MAX])
    return done


def _delegated(log: Log, task: str) -> list[str]:
    runs = [event.data.run for event in log.stream(task) if isinstance(event.data, TaskClaimed)]
    return [child for run in dict.fromkeys(runs) for child in log.children(run)]


def _cancel(log: Log, task: str, at_us: int, actor: str, reason: str) -> tuple[int, str]:
    while True:
        state = log.task(task)
        assert state is not None, "an id of the index is in the log"
        try:
            if state.status is Status.OPERATOR_CANCELED:
                return log.head().position, "was canceled already"
            if state.open_run:
                return ask_cancel(log, state.open_run, at_us, actor, reason), "is asked to end"
            return fulfil(log, task, Wish("cancel", reason), at_us, actor), "is canceled"
        except (errors.RunOver, errors.TaskStateRefused):  # it moved meanwhile: look again
            again = log.task(task)
            if again is None or again.version == state.version:
                raise
