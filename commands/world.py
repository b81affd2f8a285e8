"""What a dispatcher needs of the world, all of it behind ports."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from ahocorasick_rs import BytesAhoCorasick

from adapters.redact import Secrets
from commands.measuring import Latencies
from domain import errors
from domain.config import Config
from domain.events import Recorded
from domain.ports import Appended, Aside, Clock, Environment, Files, Http, Ids, Liveness, Log, Processes, Work, Writer

if TYPE_CHECKING:
    from adapters.state_cache import StateCache
    from commands.probes import Probes

_STORE_RETRY_S = (0.1, 0.2, 0.5, 1.0, 2.0)


def artifacts_folder(config: Config, folder: str, state: str) -> str:
    """The managed folder of artifacts of a home."""
    from domain.agents import below

    return below(folder, config.artifact_dir) if config.artifact_dir else f"{state}/artifacts"


Watch = Callable[[Sequence[Recorded]], None]  # told of what became durable


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """The ports of one dispatcher, its configuration, and whom it tells."""

    log: Log
    writer: Writer
    processes: Processes
    http: Http
    liveness: Liveness
    clock: Clock
    ids: Ids
    environment: Environment
    files: Files
    secrets: Secrets
    config: Config
    folder: str  # where relative paths of the configuration begin
    state: str  # the folder of the log
    urgent: BytesAhoCorasick | None
    watch: Watch
    warn: Callable[[str], None]
    aside: Aside = asyncio.to_thread
    states: "StateCache | None" = None  # where states of long runs are kept
    latencies: Latencies = field(default_factory=Latencies)

    @cached_property
    def probes(self) -> "Probes":
        """What is known of adapters."""
        from commands.circuit import resting
        from commands.probes import Probes

        return Probes(self, lambda: resting(self.log, self.clock.now_us()))

    @property
    def artifacts(self) -> str:
        """The managed folder of artifacts."""
        return artifacts_folder(self.config, self.folder, self.state)

    @property
    def private(self) -> str:
        """The folder of the private files of calls that are open."""
        return f"{self.state}/tmp"  # noqa: S108  # below our own folder

    def payload_file(self, marker: str) -> str:
        """Where a script finds its payload."""
        return f"{self.private}/{marker}.json"

    def private_files(self, marker: str) -> tuple[str, ...]:
        """All that a call may have of its own."""
        return tuple(f"{self.private}/{marker}.{kind}" for kind in ("json", "prompt", "last"))

    async def append(self, work: Work) -> Appended:
        """Append; a store that is full or busy is waited for: nothing was acknowledged, and nothing is lost."""
        attempt = 0
        began_s = self.clock.monotonic_s()
        while True:
            try:
                done = await self.writer.submit(work)
            except (errors.StoreFull, errors.LogBusy) as problem:
                if attempt == 0:
                    self.warn(f"{problem}; trying again until it works")
                await asyncio.sleep(_STORE_RETRY_S[min(attempt, len(_STORE_RETRY_S) - 1)])
                attempt += 1
            else:
                self.latencies.note(began_s, self.clock.monotonic_s())
                return done
