"""Probes: what is asked of whom, what is a failure, how long an answer is kept. Work and adapters, 14."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from adapters.system import FixedEnvironment
from commands.probes import Health, Probes
from domain.bounds import PROBE_KEPT_S, PROBE_S
from domain.config import Adapter, Config
from domain.ports import HttpFailed, Request, Response

BASE: Final = "http://models.example.org"


@dataclass
class Hands:
    """A clock that a test turns."""

    at_s: float = 1_000.0

    def now_us(self) -> int:
        return int(self.at_s * 1_000_000)

    def monotonic_s(self) -> float:
        return self.at_s


@dataclass
class Server:
    """A client whose answers a test gives."""

    answer: Response | HttpFailed = field(default_factory=lambda: said(200))
    asked: list[Request] = field(default_factory=list)

    async def send(self, request: Request, part: Callable[[bytes], None] | None = None) -> Response:
        _ = part
        self.asked.append(request)
        await asyncio.sleep(0)
        if isinstance(self.answer, HttpFailed):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        """Nothing is open."""


def said(status: int, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> Response:
    return Response(status=status, headers=dict(headers or {}), body=body)


@dataclass
class Looking:
    """The part of a world that probes touch."""

    config: Config
    folder: str
    http: Any
    clock: Hands = field(default_factory=Hands)
    environment: FixedEnvironment = field(default_factory=lambda: FixedEnvironment({"PATH": "/bin:/usr/bin"}))

    async def aside(self, look: Callable[..., Any], /, *args: Any, **named: Any) -> Any:  # noqa: ANN401  # its own
        return look(*args, **named)


class Seen:
    """Probes of adapters, and what they asked."""

    def __init__(self, folder: Path, **adapters: Adapter) -> None:
        self.server = Server()
        self.world = Looking(Config(adapters=adapters), str(folder), self.server)
        self.resting: set[str] = set()
        self.probes = Probes(self.world, lambda: self.resting)

    def health(self, name: str = "it") -> Health:
        return asyncio.run(self._awaited(self.probes.health(name)))

    async def _awaited(self, found: Awaitable[Health]) -> Health:
        return await found

    @property
    def asked(self) -> list[tuple[str, str]]:
        return [(each.method, each.url) for each in self.server.asked]


def ollama(**more: Any) -> Adapter:  # noqa: ANN401  # fields of an adapter
    return Adapter(kind="ollama", endpoint=BASE, model="m", **more)


def agent(folder: Path, text: str = "#!/bin/sh\necho agent 1.2\n", **more: Any) -> Adapter:  # noqa: ANN401  # see above
    path = folder / "agent"
    path.write_text(text)
    path.chmod(0o755)
    return Adapter(kind="codex", command=str(path), **more)


# what is asked


@pytest.mark.parametrize("endpoint", [BASE, f"{BASE}/"])
def test_a_server_of_models_is_asked_for_its_tags_within_two_and_a_half_seconds(tmp_path: Path, endpoint: str) -> None:
    seen = Seen(tmp_path, it=Adapter(kind="ollama", endpoint=endpoint, model="m"))
    assert seen.health().ok
    assert seen.asked == [("GET", f"{BASE}/api/tags")]
    assert seen.server.asked[0].total_s == PROBE_S == 2.5


@pytest.mark.parametrize("body", [b"", b"[]", b'{"models":[1]}', b'{"models":[{"name":"\x80"}]}', b"[" * 100_000])
def test_a_server_whose_list_of_models_does_not_read_is_well_all_the_same(tmp_path: Path, body: bytes) -> None:
    seen = Seen(tmp_path, it=ollama())
    seen.server.answer = said(200, body)
    found = seen.health()
    assert (found.ok, found.detail) == (True, "its list of models does not read")


def test_an_endpoint_of_openais_kind_is_asked_for_its_models(tmp_path: Path) -> None:
    seen = Seen(tmp_path, it=Adapter(kind="openai", endpoint=f"{BASE}/v1", model="m"))
    assert seen.health().ok
    assert seen.asked == [("GET", f"{BASE}/v1/models")]


@pytest.mark.parametrize("base", [f"{BASE}/v1", f"{BASE}/v1/"])
def test_an_agent_with_a_provider_is_looked_up_and_then_its_provider_is_asked(tmp_path: Path, base: str) -> None:
    seen = Seen(tmp_path, it=agent(tmp_path, provider_base_url=base, model="m"))
    found = seen.health()
    assert (found.ok, found.version, found.detail) == (True, "agent 1.2", str(tmp_path / "agent"))
    assert seen.asked == [("GET", f"{BASE}/v1/models")]


def test_an_agent_without_a_provider_asks_nobody(tmp_path: Path) -> None:
    seen = Seen(tmp_path, it=agent(tmp_path))
    assert seen.health().ok
    assert seen.asked == []


def test_a_provider_is_not_asked_where_the_program_is_missing(tmp_path: Path) -> None:
    wanted = Adapter(kind="codex", command="/nowhere/codex", provider_base_url=BASE, model="m")
    seen = Seen(tmp_path, it=wanted)
    assert (seen.health().ok, seen.health().reason) == (False, "command_not_found")
    assert seen.asked == []


def test_a_script_is_looked_up_and_never_started(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    script.chmod(0o755)
    seen = Seen(tmp_path, it=Adapter(command="./script"))
    assert (seen.health().ok, Path(seen.health().detail).resolve()) == (True, script)
    assert not (tmp_path / "started").exists()


def test_a_program_is_looked_up_on_the_path(tmp_path: Path) -> None:
    assert Seen(tmp_path, it=Adapter(command="true")).health().ok
    assert Seen(tmp_path, it=Adapter(command="no-such-program-7")).health().reason == "command_not_found"


def test_what_is_there_and_no_program_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    assert Seen(tmp_path, it=Adapter(command="./plain")).health().reason == "not_executable"


def test_who_wants_no_probe_is_taken_as_healthy(tmp_path: Path) -> None:
    seen = Seen(tmp_path, it=ollama(probe=False), other=Adapter(command="/nowhere", probe=False))
    seen.server.answer = HttpFailed("connection", "no route")
    assert (seen.health().ok, seen.health("other").ok) == (True, True)
    assert seen.asked == []


# what counts as a failure


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 403, 404, 429, 499])
def test_only_errors_of_the_server_are_failures(tmp_path: Path, status: int) -> None:
    for adapter in (ollama(), agent(tmp_path, provider_base_url=BASE, model="m")):
        seen = Seen(tmp_path, it=adapter)
        seen.server.answer = said(status, b"no list")
        assert seen.health().ok


@pytest.mark.parametrize("status", [500, 502, 503, 599])
def test_an_error_of_the_server_is_a_failure_with_its_status(tmp_path: Path, status: int) -> None:
    openai = Adapter(kind="openai", endpoint=BASE, model="m")
    for adapter in (ollama(), openai, agent(tmp_path, provider_base_url=BASE, model="m")):
        seen = Seen(tmp_path, it=adapter)
        seen.server.answer = said(status)
        assert (seen.health().ok, seen.health().reason) == (False, f"http:{status}")


def test_a_server_that_is_not_reached_is_a_failure_with_its_cause(tmp_path: Path) -> None:
    for adapter in (ollama(), agent(tmp_path, provider_base_url=BASE, model="m")):
        seen = Seen(tmp_path, it=adapter)
        seen.server.answer = HttpFailed("connection", "no route")
        assert (seen.health().ok, seen.health().reason) == (False, "connection")


def test_a_program_that_does_not_tell_its_version_in_time_is_healthy_all_the_same(tmp_path: Path) -> None:
    seen = Seen(tmp_path, it=agent(tmp_path, "#!/bin/sh\nexec sleep 60\n"))
    began_s = time.monotonic()
    found = seen.health()
    assert (found.ok, found.version) == (True, "")
    assert time.monotonic() - began_s < 10


# for how long


def test_an_answer_is_kept_for_half_a_minute_and_asked_anew_then(tmp_path: Path) -> None:
    seen = Seen(tmp_path, it=ollama())
    assert PROBE_KEPT_S == 30.0
    assert seen.health().ok
    seen.server.answer = said(500)
    seen.world.clock.at_s += 29.9
    assert seen.health().ok
    assert len(seen.asked) == 1
    seen.world.clock.at_s += 0.2
    assert not seen.health().ok
    assert len(seen.asked) == 2


def test_a_failure_is_kept_as_long(tmp_path: Path) -> None:
    seen = Seen(tmp_path, it=ollama())
    seen.server.answer = HttpFailed("connection", "no route")
    assert not seen.health().ok
    seen.server.answer = said(200)
    seen.world.clock.at_s += 29.9
    assert not seen.health().ok
    seen.world.clock.at_s += 0.2
    assert seen.health().ok


def test_adapters_are_kept_apart(tmp_path: Path) -> None:
    seen = Seen(tmp_path, it=ollama(), other=ollama())
    assert (seen.health().ok, seen.health("other").ok) == (True, True)
    assert len(seen.asked) == 2


def test_fb4_one_that_rests_is_not_asked_and_is_back_when_its_rest_is_over(tmp_path: Path) -> None:
    seen = Seen(tmp_path, it=ollama())
    seen.resting.add("it")
    assert (seen.health().ok, seen.health().reason) == (False, "failed_to_start")
    assert seen.asked == []
    seen.resting.clear()
    assert seen.health().ok
