"""Whether an adapter can be used now: looked at, remembered for a while; one that rests is left alone.

What was looked at and decides goes into the log with the run.
"""

import shutil
from collections.abc import Callable, Container
from pathlib import Path
from typing import NamedTuple, Protocol

from adapters.tool_version import tool_version
from domain import agents, launch
from domain.bounds import FALLBACKS_MAX, PROBE_KEPT_S, PROBE_S
from domain.config import CLIS, MODELS_ALONE, Adapter, Config
from domain.json_text import UNREADABLE
from domain.payload import AdapterChoice, Probed
from domain.ports import Aside, Clock, Environment, Http, HttpFailed, Request
from domain.prompted import COMMANDS, cli_of

_ANSWER_BYTES = 4 * 1024 * 1024
_READER = launch.AgentCli(driver="cli", command="", sandbox="read-only")


class Health(NamedTuple):
    """What a probe saw."""

    ok: bool
    reason: str = ""
    detail: str = ""
    digest: str = ""  # of the model, where its server tells
    version: str = ""  # of the program, as it says itself


class Surface(Protocol):
    """The part of a dispatcher's world that a probe touches."""

    @property
    def config(self) -> Config:
        """The configuration."""
        ...

    @property
    def folder(self) -> str:
        """Where its relative paths begin."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock."""
        ...

    @property
    def aside(self) -> Aside:
        """What does blocking looks."""
        ...

    @property
    def environment(self) -> Environment:
        """The environment."""
        ...

    @property
    def http(self) -> Http:
        """The client."""
        ...


class Probes:
    """What one process knows of adapters."""

    def __init__(self, world: Surface, resting: Callable[[], Container[str]]) -> None:
        self._world = world
        self._resting = resting
        self._kept: dict[str, tuple[float, Health]] = {}

    async def choose(self, wanted: str, *, alone: bool = False) -> AdapterChoice:
        """The first healthy adapter of the chain; `selected` is empty where there is none."""
        seen: list[Probed] = []
        for name in self._chain(wanted, alone=alone):
            found = await self.health(name)
            seen.append(Probed(name, found.ok, found.reason))
            if found.ok:
                return AdapterChoice(wanted, name, tuple(seen))
        return AdapterChoice(wanted, "", tuple(seen))

    def _chain(self, wanted: str, *, alone: bool) -> list[str]:
        config = self._world.config
        chain = [wanted]
        while not alone and len(chain) <= FALLBACKS_MAX:
            here = config.adapters.get(chain[-1])
            following = here.fallback if here else ""
            if not following or following in chain or following not in config.adapters:
                break
            if self._is_wider(chain[0], following):
                break
            chain.append(following)
        return chain

    def _is_wider(self, wanted: str, other: str) -> bool:
        """Whether a fallback may do more than what was wanted, and nobody said that this is fine."""
        adapters = self._world.config.adapters
        if adapters[wanted].fallback_wider:
            return False
        alone = adapters[wanted].kind in MODELS_ALONE  # it reads what it is given, and touches nothing
        first = _READER if alone else cli_of(wanted, adapters[wanted], self._world.folder)
        second = cli_of(other, adapters[other], self._world.folder)
        return first is not None and second is not None and launch.less_restricted(first, second)

    async def health(self, name: str) -> Health:
        """Whether an adapter is healthy, as it was seen at most half a minute ago."""
        if name in self._resting():
            return Health(ok=False, reason="failed_to_start", detail="it failed to start several times in a row")
        now_s = self._world.clock.monotonic_s()
        kept = self._kept.get(name)
        if kept is not None and now_s - kept[0] < PROBE_KEPT_S:
            return kept[1]
        found = await self.look(name)
        self._kept[name] = (now_s, found)
        return found

    async def look(self, name: str) -> Health:
        """Look now."""
        adapter = self._world.config.adapters.get(name)
        if adapter is None:  # built in
            return Health(ok=True)
        if not adapter.probe:
            return Health(ok=True, detail="is not probed")
        if adapter.kind == "ollama":
            return await self._tags(adapter)
        if adapter.kind == "openai":
            return await self._reachable(f"{adapter.endpoint.rstrip('/')}/models", adapter)
        return await self._program(name, adapter)

    async def _program(self, name: str, adapter: Adapter) -> Health:
        cli = cli_of(name, adapter, self._world.folder)
        command = cli.command if cli else _below(self._world.folder, adapter.command)
        path = self._world.environment.all().get("PATH", "")
        found, there = await self._world.aside(_looked_up, command, path)
        if found is None:
            return Health(ok=False, reason="not_executable" if there else "command_not_found", detail=command)
        if adapter.kind in CLIS and adapter.provider_base_url:
            reached = await self._reachable(f"{adapter.provider_base_url.rstrip('/')}/models", adapter)
            if not reached.ok:
                return reached
        knows = adapter.kind in COMMANDS  # any other program might do something else when it is asked
        version = await self._world.aside(tool_version, found, self._world.environment.all(), PROBE_S) if knows else ""
        return Health(ok=True, detail=found, version=version)

    async def _tags(self, adapter: Adapter) -> Health:
        import msgspec

        status, body = await self._get(f"{adapter.endpoint.rstrip('/')}/api/tags", adapter)
        if isinstance(status, str) or status >= 500:  # noqa: PLR2004  # what HTTP calls a server's error
            return Health(ok=False, reason=status if isinstance(status, str) else f"http:{status}")
        try:
            models = msgspec.json.decode(body).get("models", [])
            named = {each["name"]: str(each.get("digest", "")) for each in models}
        except (*UNREADABLE, AttributeError, KeyError, TypeError):
            return Health(ok=True, detail="its list of models does not read")
        found = named.get(adapter.model) or named.get(f"{adapter.model}:latest", "")
        detail = "" if found or adapter.model in named else f"the model {adapter.model!r} is not listed"
        return Health(ok=True, detail=detail, digest=found)

    async def _reachable(self, url: str, adapter: Adapter) -> Health:
        status, _ = await self._get(url, adapter)
        if isinstance(status, str):
            return Health(ok=False, reason=status)
        return Health(ok=status < 500, reason="" if status < 500 else f"http:{status}")  # noqa: PLR2004

    async def _get(self, url: str, adapter: Adapter) -> tuple[int | str, bytes]:
        request = Request(method="GET", url=url, private=adapter.private, total_s=PROBE_S, bytes_max=_ANSWER_BYTES)
        try:
            answer = await self._world.http.send(request)
        except HttpFailed as problem:
            return problem.cause, b""
        return answer.status, answer.body


def _looked_up(command: str, path: str) -> tuple[str | None, bool]:
    """The program, and whether there is at least a file of that name."""
    return shutil.which(command, path=path), "/" in command and Path(command).exists()


def _below(folder: str, command: str) -> str:
    return agents.below(folder, command) if "/" in command else command
