"""Histories of tasks and runs, written into a real log through the real core, as a list of numbers says."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from adapters.log_sqlite import SqliteLog
from adapters.system import CountedIds
from domain import task as tasks
from domain.advance import Happened, Tip, advance, appended, claimed
from domain.events import (
    Blob,
    DispatchPaused,
    DispatchResumed,
    Event,
    OutputAppended,
    Policy,
    Put,
    Recorded,
    RunCancelAsked,
    RunOwnerLost,
    RunRefused,
    RunStarted,
    TaskQueued,
    TimerFired,
    ToolExited,
    ToolNotStarted,
    ToolStarted,
)
from domain.ids import DISPATCH, text_of
from domain.task import Status, Wish

NOW_US = 1_700_000_000_000_000
TASKS_MAX = 60
POLICY = Policy(
    outcome="json",
    effect="idempotent",
    timeout_us=60_000_000,
    grace_us=1_000_000,
    output_bytes_max=1 << 20,
    backoff_base_us=1_000_000,
    backoff_max_us=60_000_000,
    exit_retryable=(75,),
    exit_permanent=(64,),
)
ANSWERS = (
    b'{"status": "completed"}\n',
    b'{"status": "ok"}\n',
    b'{"status": "blocked"}\n',
    b"no outcome\n",
    b"\xff\xfe not text\n",
)


class History:
    """A log in the making. Each number is one step; what it means depends on the state that was reached."""

    def __init__(self, folder: Path) -> None:
        self.log = SqliteLog(folder, create=True)
        self._ids = CountedIds()
        self._tips: dict[str, Tip] = {}  # by task
        self._tasks: list[str] = []
        self._now_us = NOW_US
        self._sizes: dict[str, int] = {}

    def steps(self, numbers: Sequence[int]) -> "History":
        """Take these steps."""
        for number in numbers:
            self.step(number)
        return self

    def step(self, number: int) -> None:
        """Take one step: a new task, or something that may happen to one that is there."""
        self._now_us += 1_000 + number
        number, choice = divmod(number, 7)
        if not self._tasks or (choice == 0 and len(self._tasks) < TASKS_MAX):
            self._queue(number)
            return
        task = self._tasks[number % len(self._tasks)]
        number //= len(self._tasks)
        tip = self._tips.get(task)
        if choice == 1:
            self._dispatch(DispatchPaused(reason="noon") if number % 2 else DispatchResumed())
        elif tip is not None and not tip.state.ended:
            self._happen(task, tip, number)
        else:
            self._outside(task, number)

    def _put(self, put: Put) -> Sequence[int]:
        result = self.log.append([put])[0]
        assert not isinstance(result, Exception), result
        return result

    def _recorded(self, stream: str, data: Event, task: str = "") -> Recorded:
        version = self.log.version(stream) + 1
        return Recorded(stream=stream, version=version, at_us=self._now_us, actor="test", data=data, correlation=task)

    def _dispatch(self, data: Event) -> None:
        self._put(Put(events=(self._recorded(DISPATCH, data),)))

    def _queue(self, number: int) -> None:
        task = self._ids.new()
        payload = b'{"description":"","payload":{"number":%d}}' % number
        queued = TaskQueued(
            kind=("build", "test")[number % 2],
            source="cli",
            adapter="",
            payload=text_of(payload),
            priority=number % 5 - 2,
            max_attempts=1 + number % 3,
            subject=("", "a subject", 'quo"ted\n')[number % 3],
            due_at_us=0 if number % 4 else self._now_us + 5_000_000,
        )
        self._put(Put(events=(self._recorded(task, queued, task),), blobs=(Blob(task, payload),)))
        self._tasks.append(task)

    def _outside(self, task: str, number: int) -> None:
        """A claim, or what a person does to a task that does not run."""
        state = self.log.task(task)
        assert state is not None
        if state.status in tasks.CLAIMABLE and number % 4:
            claim = self._recorded(task, tasks.claim(state, run=self._ids.new(), dispatcher="d1"), task)
            self._put(Put(events=(claim,)))
            self._tips[task] = claimed(claim)
            return
        verb = ("retry", "unblock", "retry", "unblock", "cancel")[number % 5]
        allowed = {
            "cancel": state.status in tasks.OPEN and state.status is not Status.RUNNING,
            "retry": state.status in tasks.RETRYABLE_BY_PERSON,
            "unblock": state.status is Status.BLOCKED,
        }
        if allowed[verb]:
            wish = Wish(verb, "because")  # type: ignore[arg-type]  # one of the three literals
            self._put(Put(events=(self._recorded(task, tasks.decide(state, wish), task),)))

    def _happen(self, task: str, tip: Tip, number: int) -> None:
        possible = list(self._possible(tip))
        happened = possible[number % len(possible)](number // len(possible))
        state, put = advance(tip, [happened], at_us=self._now_us, actor="system:d1")
        self._tips[task] = appended(tip, state, put, self._put(put))

    def _possible(self, tip: Tip) -> Iterator[Callable[[int], Happened]]:
        yield lambda _: Happened(RunOwnerLost(dispatcher="d1", cause="dispatcher_died", killed=2))
        yield lambda _: Happened(RunCancelAsked(reason="enough"))
        if tip.state.policy is None:
            yield from [_begun] * 8
        for call in tip.state.open_calls:
            if call.started_at_us:
                yield from [lambda number: self._output(tip, number)] * 4
                yield from [lambda number: self._exited(tip, number)] * 5
                yield lambda _: Happened(TimerFired(timer="timeout:1", due_us=self._now_us))
            else:
                yield from [lambda _: Happened(ToolStarted(call=1, pid=4711, start_ticks=9, boot_id="b"))] * 8
                yield lambda _: Happened(ToolNotStarted(call=1, cause="command_not_found", message="x: no"))

    def _output(self, tip: Tip, number: int) -> Happened:
        body = ANSWERS[number % len(ANSWERS)]
        run = tip.state.run
        offset = self._sizes.get(run, 0)
        self._sizes[run] = offset + len(body)
        lines = body.count(b"\n")
        data = OutputAppended(call=1, stream="stdout", offset=offset, size=len(body), lines=lines, digest="d" * 64)
        return Happened(data, body)

    def _exited(self, tip: Tip, number: int) -> Happened:
        code = (0, 0, 1, 64, 75, None)[number % 6]
        exited = ToolExited(
            call=1,
            duration_us=1_500_000 + number,
            exit_code=code,
            signal="" if code is not None else "SIGKILL",
            stdout_bytes=self._sizes.get(tip.state.run, 0),
            killed=number % 3,
        )
        return Happened(exited)


def _begun(number: int) -> Happened:
    if number % 5 == 0:
        return Happened(RunRefused(cause="task_args_refused", message="no"))
    if number % 15 == 1:
        return Happened(RunRefused(cause="no_adapter_available", message="gone", retry_after_us=7, refunded=True))
    started = RunStarted(
        program="one_shot", adapter="command", bundle=text_of(b"bundle"), call=text_of(b"call"), policy=POLICY
    )
    return Happened(started)
