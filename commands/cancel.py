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
    result = log.append([lambda view: _asked(view, task, run, at_us, actor, reason)])[0]
    if isinstance(result, Exception):
        raise result
    return result[-1]


def _asked(  # a run, and what an event says of who wants its end
    view: LogView, task: str, run: str, at_us: int, actor: str, reason: str
) -> Put:
    events = view.stream(task)
    begin = next(at for at, each in enumerate(events) if isinstance(each.data, TaskClaimed) and each.data.run == run)
    mine = sorted([*events[begin + 1 :], *view.stream(run)], key=lambda event: event.position)
    tip = catch_up(claimed(events[begin]), mine)
    if tip.state.ended:
        raise errors.RunOver(run=run[:8], status=tip.state.status.value)
    _, put = advance(tip, [Happened(RunCancelAsked(reason=reason), None, actor)], at_us=at_us, actor=actor)
    return put


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
    came: list[str] = []

    def work(view: LogView) -> Put | None:
        put, what = canceled(view, task, at_us, actor, reason)
        came[:] = [what]
        return put

    result = log.append([work])[0]
    if isinstance(result, Exception):
        raise result
    return (result[-1] if result else log.head().position), came[0]


def canceled(view: LogView, task: str, at_us: int, actor: str, reason: str) -> tuple[Put | None, str]:
    """The put that cancels a task and what its runs delegated, and what came of it. Raises TaskStateRefused."""
    put, what = _canceled(view, task, at_us, actor, reason)
    puts = [] if put is None else [put]
    for child in _delegated(view, task):
        with contextlib.suppress(errors.TaskStateRefused):  # over already
            more, _ = canceled(view, child, at_us, actor, f"its parent was canceled: {reason}"[:REASON_CHARS_MAX])
            puts += [] if more is None else [more]
    if not puts:
        return None, what
    return Put(
        events=tuple(event for each in puts for event in each.events),
        fence={stream: version for each in puts for stream, version in each.fence.items()},
        blobs=tuple(blob for each in puts for blob in each.blobs),
    ), what


def _delegated(view: LogView, task: str) -> list[str]:
    runs = [event.data.run for event in view.stream(task) if isinstance(event.data, TaskClaimed)]
    return [child for run in dict.fromkeys(runs) for child in view.children(run)]


def _canceled(view: LogView, task: str, at_us: int, actor: str, reason: str) -> tuple[Put | None, str]:
    state = view.task(task)
    assert state is not None, "an id of the index is in the log"
    if state.status is Status.OPERATOR_CANCELED:
        return None, "was canceled already"
    if state.open_run:
        return _asked(view, task, state.open_run, at_us, actor, reason), "is asked to end"
    data = tasks.decide(state, Wish("cancel", reason))
    event = Recorded(stream=task, version=state.version + 1, at_us=at_us, actor=actor, data=data, correlation=task)
    return Put(events=(event,)), "is canceled"
