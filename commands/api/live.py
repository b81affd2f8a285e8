"""What is going on, for everybody who watches: one thread follows the log, keeps the screen, and tells all listeners.

Only what is synced is in the log, so only that is told. Writers never wait for readers: a listener that takes nothing
loses its place, and comes back from the last position that it saw.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, NamedTuple

from adapters.log_read import ReadLog
from commands import render
from commands.api.route import encoded
from commands.items import event_document
from commands.wiring import Runtime
from domain import errors
from domain import task as tasks
from domain.bounds import FOLLOW_POLL_S, PAGE_EVENTS_MAX, SSE_BUFFER_BYTES_MAX, SSE_CLIENTS_MAX
from domain.events import Recorded, TaskClaimed, topic
from domain.ids import output_stream
from domain.task import Task

if TYPE_CHECKING:
    from projections.board import Board

_FAILED_S = 1.0


class Frame(NamedTuple):
    """An event on its way to the listeners, encoded once for all of them: `data` is a whole server-sent event."""

    event: Recorded
    topic: str
    data: bytes

    @property
    def position(self) -> int:
        """Where it is in the log."""
        return self.event.position


class Filter(NamedTuple):
    """What a listener wants to hear of."""

    topic: str = ""
    stream: str = ""
    run: str = ""
    task: str = ""

    def wants(self, frame: Frame) -> bool:
        """Whether an event is for this listener."""
        event = frame.event
        if self.topic and not fnmatchcase(frame.topic, self.topic if "*" in self.topic else f"{self.topic}*"):
            return False
        if self.stream and event.stream != self.stream:
            return False
        if self.task and event.correlation != self.task:
            return False
        return not self.run or self._is_of_run(event)

    def _is_of_run(self, event: Recorded) -> bool:
        if event.stream in (self.run, output_stream(self.run)):
            return True
        named = getattr(event.data, "run", "")
        return bool(named == self.run) and (isinstance(event.data, TaskClaimed) or event.stream == event.correlation)


def framed(event: Recorded) -> Frame:
    """An event as it is told."""
    name = topic(type(event.data))
    return Frame(event, name, sent(name, event_document(event), event.position))


def sent(name: str, document: object, position: int) -> bytes:
    """A server-sent event; its id is the position up to which the client knows everything now."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (position, name.encode(), encoded(document))


class Listener:
    """Who listens: frames that wait to be sent, bounded in bytes. Belongs to the event loop."""

    def __init__(self, wanted: Filter) -> None:
        self.wanted = wanted
        self.frames: deque[Frame] = deque()
        self.position = 0  # up to which everything was looked at
        self.overflowed = False
        self.is_live = False  # until it has caught up, it reads the log itself
        self.is_gone = False
        self.awake = asyncio.Event()
        self._bytes = 0

    def begin(self, position: int) -> None:
        """From now on it is told what comes behind a position: its own may be ahead of what was told to others."""
        self.is_live, self.position = True, position

    def tell(self, frames: Sequence[Frame]) -> None:
        """Queue what is for this listener."""
        if self.overflowed or not self.is_live:
            return
        for frame in frames:
            if frame.position > self.position and self.wanted.wants(frame):
                self._bytes += len(frame.data)
                if self._bytes > SSE_BUFFER_BYTES_MAX:
                    self.overflowed = True
                    self.frames.clear()  # it comes back from what it was sent last, and gets them then
                    self.awake.set()
                    return
                self.frames.append(frame)
        self.position = max(self.position, frames[-1].position)
        self.awake.set()

    def take(self) -> list[Frame]:
        """All that waits."""
        found = list(self.frames)
        self.frames.clear()
        self._bytes = 0
        self.awake.clear()
        return found


class Live:
    """The follower of one server, its screen, and its listeners."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._loop = asyncio.get_running_loop()
        self._listeners: set[Listener] = set()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._board: Board | None = None
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._kept: dict[str, tuple[int, float, bytes]] = {}
        self._problem = ""
        self.position = runtime.log.head().position  # up to which listeners were told
        self.is_closing = False
        self.ready = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="log-follower", daemon=True)
        self._thread.start()

    # for routes

    async def screen(self, name: str, made: Callable[["Board"], Any], *, lasts_s: float = 0.0) -> tuple[bytes, int]:
        """A document of the screen, encoded once a position and at most `lasts_s` old. Raises Unready."""
        if not self.ready.is_set():
            try:
                async with asyncio.timeout(10):
                    await self.ready.wait()
            except TimeoutError:
                raise errors.Unready(why=self._problem or "the tables are being made", seconds=5) from None
        board = self._board
        assert board is not None, "ready with a board"
        found = self._kept.get(name)
        if found is not None and found[0] == board.position and (not lasts_s or found[1] > time.monotonic()):
            return found[2], found[0]
        with self._lock:
            position = board.position
            document = made(board)
        text = encoded(document)
        self._kept[name] = (position, time.monotonic() + lasts_s, text)
        return text, position

    async def reached(self, position: int, within_s: float) -> bool:
        """Wait until a position was told, so long at most; whether it was."""
        if position <= self.position:
            return True
        waiting: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((position, waiting))
        try:
            async with asyncio.timeout(within_s):
                await waiting
        except TimeoutError:
            return False
        finally:
            self._waiting = [each for each in self._waiting if each[1] is not waiting]
        return True

    def join(self, listener: Listener) -> None:
        """Tell somebody what comes from now on. Raises TooMany."""
        if len(self._listeners) >= SSE_CLIENTS_MAX:
            raise errors.TooMany(what="listeners", most=SSE_CLIENTS_MAX, seconds=5)
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        """Tell somebody no more."""
        self._listeners.discard(listener)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def end_streams(self) -> None:
        """Every stream ends now; its client comes back when there is a server again."""
        self.is_closing = True
        for listener in self._listeners:
            listener.awake.set()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()

    # the follower's thread

    def _run(self) -> None:
        log = ReadLog(self._runtime.home.state)
        try:
            while not self._stop.is_set():
                try:
                    self._turn(log)
                except Exception as problem:  # noqa: BLE001  # the thread must live: without it nobody hears anything
                    self._problem = str(problem)
                    self._board = None
                    self._call(self.ready.clear)
                    render.note(f"following the log failed: {type(problem).__name__}: {problem}")
                    self._stop.wait(_FAILED_S)
        finally:
            log.close()

    def _turn(self, log: ReadLog) -> None:
        if self._board is None:
            self._board = self._begun(log)
            self._call(self.ready.set)
        told = self.position
        while not self._stop.is_set():
            if log.changed():
                while events := log.read(min(told, self._board.position), PAGE_EVENTS_MAX):
                    fresh = [event for event in events if event.position > self._board.position]
                    with self._lock:
                        self._board.fold(fresh)
                    new = [event for event in events if event.position > told]
                    told = events[-1].position
                    if new:
                        self._call(self._deliver, [framed(event) for event in new] if self._listeners else [], told)
            self._stop.wait(FOLLOW_POLL_S)

    def _begun(self, log: ReadLog) -> "Board":
        from projections.board import Board

        def before(task: str, position: int) -> Task | None:
            return tasks.fold([event for event in log.stream(task) if event.position < position])

        board = self._runtime.projection().ask(lambda database, at: Board(database, at, before))
        board.recent.extend(log.read(max(0, board.position - 50), 50, board.position))
        return board

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:  # the loop is gone: nobody listens any more
            self._stop.set()

    # in the loop

    def _deliver(self, frames: Sequence[Frame], position: int) -> None:
        if not frames and self._listeners:  # somebody joined while these were made
            frames = [framed(event) for event in self._runtime.log.read(self.position, 2 * PAGE_EVENTS_MAX, position)]
        self.position = position
        for listener in self._listeners:
            listener.tell(frames)
        for wanted, waiting in self._waiting:
            if wanted <= position and not waiting.done():
                waiting.set_result(None)
