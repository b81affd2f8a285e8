"""The composition root: which adapter stands behind which port, for one invocation of the program."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from adapters.log_reader import LogReader
from adapters.system import DiskFiles, FileLocks, OrderedIds, SystemClock, SystemEnvironment
from commands import home as homes
from domain import errors
from domain.bounds import PREFIX_CHARS_MIN

if TYPE_CHECKING:
    import tempfile

    from adapters.log_read import ReadLog
    from adapters.log_sqlite import SqliteLog
    from adapters.redact import Secrets
    from adapters.state_cache import StateCache
    from commands.world import Watch, World
    from domain.config import Config
    from projections.catch_up import Projection


class Runtime:
    """What a command works with. Nothing is opened before it is used; readers create nothing."""

    def __init__(self, home: homes.Home, actor: str | None) -> None:
        self.home = home
        self.clock = SystemClock()
        self.ids = OrderedIds()
        self.environment = SystemEnvironment()
        self.files = DiskFiles()
        self.liveness = FileLocks(home.state / "dispatchers")
        self._actor = actor
        self._private: tempfile.TemporaryDirectory[str] | None = None

    @cached_property
    def actor(self) -> str:
        """Who gives the orders, as it is recorded."""
        name = self._actor or self.environment.all().get("RT_ACTOR")
        if not name:
            import getpass

            try:
                name = getpass.getuser()
            except (OSError, KeyError):
                name = "unknown"
        return f"operator:{name[:200]}"

    def acting_for(self, actor: str, reader: LogReader) -> "Runtime":
        """The same house on somebody's behalf, for one request of a server; what is open is shared, not opened anew."""
        _ = self.config, self.secrets  # made once, for all requests
        other = copy(self)
        other.__dict__ |= {"actor": actor, "reader": reader}
        return other

    @cached_property
    def config(self) -> "Config":
        """The effective configuration."""
        return homes.load_config(self.home)

    @cached_property
    def secrets(self) -> "Secrets":
        """The known secret values, ready to be taken out of everything."""
        from adapters.redact import Secrets
        from domain.config import secret_values

        return Secrets(secret_values(self.config, self.environment.all()))

    @cached_property
    def log(self) -> "SqliteLog":
        """The log, for writing. Raises HomeNotFound, LogNotFound when there is none yet."""
        from adapters.log_sqlite import SqliteLog

        with self._log_is_there():
            return self._followed(SqliteLog(self.home.state))

    def _followed(self, log: "SqliteLog") -> "SqliteLog":
        from commands.follows import Follows

        log.followed_by(Follows(lambda: self.config, lambda: self.secrets))
        return log

    def create_log(self) -> "SqliteLog":
        """The log, made where there is none."""
        from adapters.log_sqlite import SqliteLog

        log = self._followed(SqliteLog(self.home.state, create=True))
        self.__dict__["log"] = log
        return log

    def begin(self) -> None:
        """Make the log of a home that has a configuration and no log yet."""
        if self.home.config_file is not None:
            self.create_log()

    @cached_property
    def readable(self) -> "ReadLog":
        """The log, for commands that only read: also in a folder that cannot be written."""
        from adapters.log_read import ReadLog

        with self._log_is_there():
            return self.__dict__["log"] if "log" in self.__dict__ else ReadLog(self.home.state)

    @cached_property
    def reader(self) -> LogReader:
        """The log, raw and read-only."""
        with self._log_is_there():
            return LogReader(self.home.state)

    @cached_property
    def states(self) -> "StateCache":
        """States of long runs that are kept beside the log."""
        from adapters.state_cache import StateCache

        return StateCache(self.home.state, self.readable.hash_at)

    @contextmanager
    def _log_is_there(self) -> Iterator[None]:
        try:
            yield
        except errors.HomeNotFound:
            if self.home.config_file is None:
                raise
            raise errors.LogNotFound(folder=str(self.home.state)) from None

    def projection(self, progress: Callable[[int, int], None] | None = None) -> "Projection":
        """The projection of the log; a private one for the time of this command where the home cannot be written."""
        from projections.catch_up import Projection
        from projections.reached import FILE

        if os.access(self.home.state, os.W_OK):
            return Projection(self.home.state, self.reader, progress)
        import shutil
        import tempfile

        self._private = tempfile.TemporaryDirectory(prefix="rt-projection-")
        folder = Path(self._private.name)
        if (self.home.state / FILE).exists():
            shutil.copyfile(self.home.state / FILE, folder / FILE)
        return Projection(folder, self.reader, progress)

    @asynccontextmanager
    async def world(self, watch: "Watch", warn: Callable[[str], None]) -> AsyncIterator["World"]:
        """The ports of a dispatcher in the running event loop."""
        import asyncio

        from ahocorasick_rs import BytesAhoCorasick

        from adapters.lazy_http import LazyHttp
        from adapters.process import LocalProcesses
        from adapters.writer import GroupWriter
        from commands.world import World
        from domain.patterns import URGENT

        writer = GroupWriter(self.log)
        processes = LocalProcesses()
        http = LazyHttp()
        try:
            yield World(
                log=self.log,
                writer=writer,
                processes=processes,
                http=http,
                liveness=self.liveness,
                clock=self.clock,
                ids=self.ids,
                environment=self.environment,
                files=self.files,
                secrets=self.secrets,
                config=self.config,
                folder=str(self.home.folder),
                state=str(self.home.state),
                urgent=BytesAhoCorasick([pattern.encode() for pattern in URGENT]),
                watch=watch,
                warn=warn,
                states=self.states,
            )
        finally:
            await asyncio.to_thread(writer.close)
            processes.close()
            await http.close()

    def close(self) -> None:
        """Give back what was opened."""
        if self._private is not None:
            self._private.cleanup()
        for name in ("reader", "readable", "log"):  # the one that writes last: it can then tidy its WAL away
            opened = self.__dict__.pop(name, None)
            if opened is not None and opened is not self.__dict__.get("log"):
                opened.close()

    def find_task(self, given: str) -> str:
        """A task by id, unique prefix, @last, @failed, @waiting, or a run's id. Raises IdNotFound, IdAmbiguous."""
        special = {"@last": "", "@failed": "permanent_failure", "@waiting": "blocked"}
        if given in special:
            found = self.reader.last_task(special[given])
            if found is None:
                raise errors.IdNotFound(what="task", given=given)
            return found
        return _one("task", given, self.reader.tasks)

    def find_run(self, given: str) -> str:
        """A run by id, unique prefix, @last, @failed, or the latest of a task. Raises IdNotFound, IdAmbiguous."""
        if given == "@waiting":
            waiting = self.readable.waiting()
            if not waiting:
                raise errors.NothingWaits
            if len(waiting) > 1:  # a yes must not land on another call than the one that was looked at
                shown = ", ".join(each.run[:12] for each in waiting[:5]) + ("…" if len(waiting) > 5 else "")  # noqa: PLR2004
                raise errors.IdAmbiguous(what="run", given=given, count=len(waiting), candidates=shown)
            return waiting[0].run
        if given in ("@last", "@failed"):
            found = self.reader.last_run(failed=given == "@failed")
            if found is None:
                raise errors.IdNotFound(what="run", given=given)
            return found
        try:
            return _one("run", given, self.reader.runs)
        except errors.IdNotFound:
            tasks = self.reader.tasks(_plain(given), 2) if len(_plain(given)) >= PREFIX_CHARS_MIN else []
            run = self.reader.last_run_of(tasks[0]) if len(tasks) == 1 else None
            if run is None:
                raise
            return run


def _plain(given: str) -> str:
    return given.replace("-", "").lower()


def _one(what: str, given: str, look_up: Callable[[str, int], list[str]]) -> str:
    prefix = _plain(given)
    if len(prefix) < PREFIX_CHARS_MIN or not set(prefix) <= set("0123456789abcdef"):
        raise errors.IdNotFound(what=what, given=given)
    found = look_up(prefix, 6)
    if not found:
        raise errors.IdNotFound(what=what, given=given)
    if len(found) > 1:
        shown = ", ".join(each[:12] for each in found[:5]) + ("…" if len(found) > 5 else "")  # noqa: PLR2004
        raise errors.IdAmbiguous(what=what, given=given, count=len(found), candidates=shown)
    return found[0]
