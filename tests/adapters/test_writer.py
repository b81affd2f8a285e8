"""Both writers: what is awaited is durable, each caller hears its own result, and the queue is bounded."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest

from adapters.log_memory import MemoryLog
from adapters.writer import GroupWriter, InlineWriter
from domain import errors
from domain.bounds import BLOB_BYTES_MAX, GROUP_MAX, WRITER_QUEUE_BYTES_MAX
from domain.events import Blob, Put
from domain.ports import Appended, LogView, Work, Writer
from tests.adapters.puts import note, notes, put

MAKERS: dict[str, Callable[[MemoryLog], Writer]] = {"group": GroupWriter, "inline": InlineWriter}


class GatedLog(MemoryLog):
    """A log that takes as long as the test wants, and says what it was given at once."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.groups: list[int] = []
        self.fails: Exception | None = None

    def append(self, works: Sequence[Work]) -> list[Appended | Exception]:
        self.gate.wait(10)
        self.groups.append(len(works))
        if self.fails is not None:
            raise self.fails
        return super().append(works)


def driven(log: MemoryLog, kind: str, story: Callable[[Writer], Awaitable[None]]) -> None:
    async def run() -> None:
        writer = MAKERS[kind](log)
        try:
            await story(writer)
        finally:
            writer.close()

    asyncio.run(run())


async def soon(work: Awaitable[Appended]) -> Appended:
    return await asyncio.wait_for(work, 10)


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_awaited_is_in_the_log(kind: str) -> None:
    log = MemoryLog()

    async def story(writer: Writer) -> None:
        assert list(await soon(writer.submit(notes("a", 1, 2)))) == [1, 2]
        assert log.head().position == 2

    driven(log, kind, story)


@pytest.mark.parametrize("kind", MAKERS)
def test_each_caller_gets_its_own_positions(kind: str) -> None:
    async def story(writer: Writer) -> None:
        found = await asyncio.gather(*(soon(writer.submit(notes(f"s{number}", 1, 2))) for number in range(20)))
        assert sorted(position for each in found for position in each) == list(range(1, 41))
        assert all(len(each) == 2 and each[1] == each[0] + 1 for each in found)

    driven(MemoryLog(), kind, story)


@pytest.mark.parametrize("kind", MAKERS)
def test_works_of_one_caller_are_appended_in_order(kind: str) -> None:
    log = MemoryLog()

    async def story(writer: Writer) -> None:
        for version in range(1, 30):
            await soon(writer.submit(notes("a", version, version)))

    driven(log, kind, story)
    assert log.version("a") == 29


@pytest.mark.parametrize("kind", MAKERS)
def test_a_conflict_is_raised_to_its_own_caller_only(kind: str) -> None:
    async def story(writer: Writer) -> None:
        first, loser, last = await asyncio.gather(
            soon(writer.submit(notes("a", 1, 1))),
            soon(writer.submit(put(note("a", 9)))),
            soon(writer.submit(notes("b", 1, 1))),
            return_exceptions=True,
        )
        assert isinstance(loser, errors.StreamConflict)
        assert not isinstance(first, BaseException)
        assert not isinstance(last, BaseException)

    driven(MemoryLog(), kind, story)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_function_runs_in_the_transaction_and_its_error_is_raised_to_its_caller(kind: str) -> None:
    def seeing(view: LogView) -> Put:
        return notes("a", view.version("a") + 1, view.version("a") + 1)

    def failing(_: LogView) -> Put:
        message = "mine"
        raise LookupError(message)

    async def story(writer: Writer) -> None:
        assert list(await soon(writer.submit(seeing))) == [1]
        assert list(await soon(writer.submit(seeing))) == [2]
        assert list(await soon(writer.submit(lambda _: None))) == []
        with pytest.raises(LookupError, match="mine"):
            await soon(writer.submit(failing))
        assert list(await soon(writer.submit(seeing))) == [3]

    driven(MemoryLog(), kind, story)


@pytest.mark.parametrize("kind", MAKERS)
def test_an_error_of_the_store_reaches_the_callers_and_the_writer_goes_on(kind: str) -> None:
    log = GatedLog()
    log.gate.set()

    async def story(writer: Writer) -> None:
        log.fails = errors.StoreFull(path="p", why="full")
        found = await asyncio.gather(
            *(soon(writer.submit(notes(f"s{number}", 1, 1))) for number in range(3)), return_exceptions=True
        )
        assert [type(each) for each in found] == [errors.StoreFull] * 3
        log.fails = None
        assert list(await soon(writer.submit(notes("a", 1, 1)))) == [1]

    driven(log, kind, story)


def test_appends_that_come_during_a_commit_share_the_next_one() -> None:
    log = GatedLog()

    async def story(writer: Writer) -> None:
        works = [asyncio.ensure_future(soon(writer.submit(notes(f"s{number}", 1, 1)))) for number in range(40)]
        await asyncio.sleep(0)
        log.gate.set()
        await asyncio.gather(*works)

    driven(log, "group", story)
    assert sum(log.groups) == 40
    assert len(log.groups) <= 2


def test_a_group_is_bounded() -> None:
    log = GatedLog()

    async def story(writer: Writer) -> None:
        works = [
            asyncio.ensure_future(soon(writer.submit(notes(f"s{number}", 1, 1)))) for number in range(3 * GROUP_MAX)
        ]
        await asyncio.sleep(0)
        log.gate.set()
        await asyncio.gather(*works)

    driven(log, "group", story)
    assert max(log.groups) <= GROUP_MAX
    assert sum(log.groups) == 3 * GROUP_MAX


def test_a_full_queue_makes_callers_wait_and_then_lets_them_in() -> None:
    log = GatedLog()
    size = BLOB_BYTES_MAX // 2
    fit = WRITER_QUEUE_BYTES_MAX // (size + 512)

    async def story(writer: Writer) -> None:
        def work(number: int) -> Put:
            return Put(events=(note(f"s{number}", 1),), blobs=(Blob("s", bytes([number]) * size),))

        works = [asyncio.ensure_future(soon(writer.submit(work(number)))) for number in range(3 * fit)]
        await asyncio.sleep(0.05)
        log.gate.set()
        await asyncio.gather(*works)

    driven(log, "group", story)
    assert max(log.groups) <= fit
    assert log.head().position == 3 * fit


def test_a_work_larger_than_the_queue_is_still_let_in() -> None:
    log = MemoryLog()
    blobs = tuple(Blob("s", bytes([number]) * BLOB_BYTES_MAX) for number in range(4))

    async def story(writer: Writer) -> None:
        await soon(writer.submit(Put(events=(note("a", 1),), blobs=blobs)))

    driven(log, "group", story)
    assert log.version("a") == 1


def test_a_caller_that_gave_up_does_not_hold_up_the_others() -> None:
    log = GatedLog()

    async def story(writer: Writer) -> None:
        impatient = asyncio.ensure_future(writer.submit(notes("a", 1, 1)))
        await asyncio.sleep(0)
        impatient.cancel()
        patient = asyncio.ensure_future(soon(writer.submit(notes("b", 1, 1))))
        await asyncio.sleep(0)
        log.gate.set()
        await patient
        with pytest.raises(asyncio.CancelledError):
            await impatient

    driven(log, "group", story)
    assert log.version("a") == 1, "what was handed over is appended: nobody can take it back"


def test_closing_finishes_what_is_queued() -> None:
    log = GatedLog()

    async def run() -> None:
        writer = GroupWriter(log)
        works = [asyncio.ensure_future(writer.submit(notes(f"s{number}", 1, 1))) for number in range(10)]
        await asyncio.sleep(0)
        log.gate.set()
        writer.close()
        assert log.head().position == 10
        assert len(await asyncio.wait_for(asyncio.gather(*works), 10)) == 10

    asyncio.run(run())
    assert not any(thread.name == "log-writer" for thread in threading.enumerate())
