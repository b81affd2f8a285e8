"""Ending a run from any process: the wish and what follows from it are appended in one put, by the same core.

The run's dispatcher sees the request in the log and climbs the ladder; when it is dead, whoever asks ends the run.
"""

from domain import errors
from domain.advance import Happened, advance, catch_up, claimed
from domain.events import Put, RunCancelAsked, TaskClaimed
from domain.ports import Log, LogView


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
