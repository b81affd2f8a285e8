"""What stands behind the routes of one server: the log, its writer, what is live, threads for work, who may come."""

import asyncio
import inspect
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from starlette.types import Receive, Scope, Send

from adapters.log_reader import LogReader
from adapters.sandbox import Forge
from adapters.sessions import Sessions
from adapters.tokens import Tokens
from commands.api.copies import Copies
from commands.api.doors import Doors, Grant
from commands.api.keys import Keys
from commands.api.live import Live
from commands.api.route import Answer, Asked, Row
from commands.wiring import Runtime
from domain import errors
from domain.bounds import HTTP_HEAVY_AT_ONCE, HTTP_HEAVY_S, HTTP_WORKERS
from domain.ports import Writer

if TYPE_CHECKING:
    from commands.dispatch import Dispatcher


class Address(NamedTuple):
    """Where a server listens, and under which names it is known there."""

    host: str
    port: int
    names: frozenset[str]
    aliases: frozenset[str] = frozenset()  # as clients say them, with a port where they say one
    is_secure: bool = False
    is_plain_lan: bool = False
    is_read_only: bool = False


class House:
    """All that requests share."""

    def __init__(self, runtime: Runtime, writer: Writer, address: Address, *, writes_per_s: int) -> None:
        self.base = runtime
        self.writer = writer
        self.address = address
        self.tokens = Tokens(runtime.home.state)
        self.doors = Doors(self.tokens, Sessions(runtime.home.state), runtime.clock, writes_per_s=writes_per_s)
        self.live = Live(runtime)
        self.keys = Keys()
        self.copies = Copies()
        self.written: dict[str, int] = {}  # who -> the last position that they wrote here
        self.forge = Forge()
        self.table: tuple[Row, ...] = ()
        self.cookie = f"rt_{address.port}"  # browsers keep cookies by host, whatever the port
        self.dispatcher: Dispatcher | None = None
        self.started_s = time.monotonic()
        self.requests: Counter[tuple[str, str, int]] = Counter()
        self.nobody = Grant("nobody", frozenset(), "")
        scheme = "https" if address.is_secure else "http"
        with_port = {f"{name}:{address.port}" for name in address.names}
        without = address.names if address.port in (80, 443) else frozenset()
        self.hosts = frozenset({*with_port, *without, *address.aliases})
        self.origins = frozenset(f"{scheme}://{host}" for host in self.hosts)
        # paths of this machine are nobody's business on the other side
        self.hidden = {str(runtime.home.state): "the home", str(runtime.home.folder): "the folder"}
        self._local = threading.local()
        self._readers: list[LogReader] = []
        self._pool = ThreadPoolExecutor(HTTP_WORKERS, thread_name_prefix="http")
        self._heavy = asyncio.Semaphore(HTTP_HEAVY_AT_ONCE)
        self._heavy_pool = ThreadPoolExecutor(HTTP_HEAVY_AT_ONCE, thread_name_prefix="http-heavy")

    def runtime_for(self, grant: Grant | None) -> Runtime:
        """The runtime on behalf of whoever asks. Its raw reader is that of the thread that uses it."""
        name = grant.name if grant is not None else "http"
        return self.base.acting_for(f"operator:{name}", cast("LogReader", _Reader(self._reader)))

    def _reader(self) -> LogReader:
        found: LogReader | None = getattr(self._local, "reader", None)
        if found is None:
            found = self._local.reader = LogReader(self.base.home.state)
            self._readers.append(found)
        return found

    async def run(self, row: Row, asked: Asked) -> Answer:
        """Carry out a request: in the loop where it is written for that, else in a thread; heavy ones few at once."""
        if inspect.iscoroutinefunction(row.does):
            return cast("Answer", await row.does(asked))
        work = cast("Callable[[Asked], Answer]", row.does)
        loop = asyncio.get_running_loop()
        if not row.heavy:
            return await loop.run_in_executor(self._pool, work, asked)
        return await self.heavily(work, asked)

    async def heavily(self, work: Callable[[Asked], Answer], asked: Asked) -> Answer:
        """In a thread, few at once. Raises Unready when its turn does not come."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(HTTP_HEAVY_S):
                await self._heavy.acquire()
        except TimeoutError:
            raise errors.Unready(why=f"{HTTP_HEAVY_AT_ONCE} others are being answered", seconds=5) from None
        try:
            return await loop.run_in_executor(self._heavy_pool, work, asked)
        finally:
            self._heavy.release()

    async def streamed(self, row: Row, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """A route that sends by itself."""
        self.count(row, 200)
        does = cast("Callable[[Asked, Scope, Receive, Send], Any]", row.does)
        await does(asked, scope, receive, send)

    def count(self, row: Row, status: int) -> None:
        """For the metrics."""
        self.requests[row.method, row.path, status] += 1

    def debug(self, problem: BaseException) -> None:
        """A traceback of a bug, where a person asked for such."""
        from commands.invocation import invocation

        if invocation.debug:
            traceback.print_exception(problem, file=sys.stderr)

    def close(self) -> None:
        """Give back what was opened."""
        self.live.close()
        self._pool.shutdown(wait=True)
        self._heavy_pool.shutdown(wait=True)
        self.copies.close()
        self.forge.close()
        for reader in self._readers:
            reader.close()


class _Reader:
    """A LogReader for whichever thread touches it: one connection a thread, none before it is used."""

    def __init__(self, mine: Callable[[], LogReader]) -> None:
        self._mine = mine

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever a LogReader has
        return getattr(self._mine(), name)
