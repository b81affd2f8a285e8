"""Group commit: one thread appends for all runs of a process, so that they share transactions and syncs."""

import asyncio
import queue
import threading
from collections import deque

from domain.bounds import EVENT_COST_BYTES, GROUP_MAX, WRITER_QUEUE_BYTES_MAX
from domain.events import Put
from domain.ports import Appended, Log, Work

_Item = tuple[Work, "asyncio.Future[Appended]", int]


class GroupWriter:
    """The writer of one event loop. What is awaited has been synced when it returns."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._inbox: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._queued_bytes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    async def submit(self, work: Work) -> Appended:
        """See domain.ports.Writer."""
        cost = _cost(work)
        while self._queued_bytes and self._queued_bytes + cost > WRITER_QUEUE_BYTES_MAX:
            turn: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(turn)
            await turn
        self._queued_bytes += cost
        done: asyncio.Future[Appended] = self._loop.create_future()
        self._inbox.put((work, done, cost))
        return await done

    def close(self) -> None:
        """See domain.ports.Writer."""
        self._inbox.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._inbox.get()) is not None:
            group = [item]
            last = False
            while len(group) < GROUP_MAX and not self._inbox.empty():
                following = self._inbox.get()
                if following is None:
                    last = True
                    break
                group.append(following)
            self._commit(group)
            if last:
                return

    def _commit(self, group: list[_Item]) -> None:
        results: list[Appended | Exception]
        try:
            results = self._log.append([work for work, _, _ in group])
        except Exception as problem:  # noqa: BLE001  # every caller must hear of it; the thread must live
            results = [problem] * len(group)
        try:
            self._loop.call_soon_threadsafe(self._deliver, group, results)
        except RuntimeError:  # the loop is gone: nobody waits any more
            return

    def _deliver(self, group: list[_Item], results: list[Appended | Exception]) -> None:
        for (_, done, cost), result in zip(group, results, strict=True):
            self._queued_bytes -= cost
            if done.cancelled():
                continue
            if isinstance(result, Exception):
                done.set_exception(result)
            else:
                done.set_result(result)
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)


class InlineWriter:
    """The same promise without a thread: for the simulator, where each append is one step."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def submit(self, work: Work) -> Appended:
        """See domain.ports.Writer."""
        await asyncio.sleep(0)
        result = self._log.append([work])[0]
        if isinstance(result, Exception):
            raise result
        return result

    def close(self) -> None:
        """See domain.ports.Writer."""


def _cost(work: Work) -> int:
    if not isinstance(work, Put):
        return EVENT_COST_BYTES
    bodies = sum(len(event.body or b"") for event in work.events)
    return EVENT_COST_BYTES * len(work.events) + bodies + sum(len(blob.content) for blob in work.blobs)
