"""Small puts for the tests of stores: a task, its runs, output."""

from domain.events import (
    Blob,
    Event,
    OutputAppended,
    Put,
    Recorded,
    RunCancelAsked,
    RunFinished,
    TaskClaimed,
    TaskQueued,
    TaskRetryScheduled,
)
from domain.ids import output_stream, text_of
from domain.ports import Appended, Log, Work

TASK = "7a" * 16
RUN = "9b" * 16


def event(stream: str, version: int, data: Event, *, caused_by: int = 0, body: bytes | None = None) -> Recorded:
    return Recorded(
        stream=stream,
        version=version,
        at_us=1_700_000_000_000_000 + version,
        actor="dispatcher:test",
        data=data,
        correlation=TASK,
        caused_by=caused_by,
        body=body,
    )


def note(stream: str, version: int, text: str = "") -> Recorded:
    """An event that concerns no index."""
    return event(stream, version, RunCancelAsked(reason=text))


def put(*events: Recorded, fence: dict[str, int] | None = None) -> Put:
    return Put(events=events, fence=fence or {})


def notes(stream: str, first: int, last: int) -> Put:
    return put(*(note(stream, version) for version in range(first, last + 1)))


def queued(task: str = TASK, *, priority: int = 5, due_at_us: int = 0) -> Put:
    payload = b'{"description":"","payload":{}}'
    data = TaskQueued(
        kind="k",
        source="s",
        adapter="a",
        payload=text_of(payload),
        priority=priority,
        max_attempts=3,
        due_at_us=due_at_us,
    )
    return Put(events=(event(task, 1, data),), blobs=(Blob(task, payload),))


def claim(task: str = TASK, version: int = 2, *, run: str = RUN, dispatcher: str = "d1") -> Put:
    data = TaskClaimed(run=run, epoch=version // 2, attempt=version // 2, max_attempts=9, dispatcher=dispatcher)
    return put(event(task, version, data))


def retry(task: str = TASK, version: int = 3, *, run: str = RUN, due_at_us: int = 1000) -> Put:
    """The end of a run and its task's next try, as one put."""
    end = event(run, 1, RunFinished(state="failed", retry="retryable", cause="exit:1"))
    data = TaskRetryScheduled(run=run, cause="exit:1", backoff_us=1, due_at_us=due_at_us)
    return put(end, event(task, version, data, caused_by=-1))


def output(version: int, body: bytes, *, run: str = RUN) -> Put:
    data = OutputAppended(call=1, stream="stdout", offset=0, size=len(body), lines=1, digest=f"d{version}")
    return put(event(output_stream(run), version, data, body=body))


def append(log: Log, *works: Work) -> list[Appended | Exception]:
    return log.append(works)


def appended(log: Log, work: Work) -> list[int]:
    """Append one work that must succeed; its positions."""
    result = log.append([work])[0]
    if isinstance(result, Exception):
        raise result
    return list(result)
