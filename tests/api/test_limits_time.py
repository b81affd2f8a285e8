"""Who is slow, and who are many: nobody holds a connection for nothing, and those who come in time are answered.

What takes its seconds by design is waited for at once, not one after the other.
"""

import json
import resource
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from domain.bounds import HTTP_CONNECTIONS_MAX, HTTP_REQUEST_S
from tests.api.expected import SECURITY
from tests.api.serving import Served, served
from tests.api.wire import Closed, Wire, named, request

KIND: Final = ("Content-Type", "application/json")
LATEST_S: Final = 3 * HTTP_REQUEST_S  # on a slow machine
PAUSE_S: Final = 0.5  # between two bytes of somebody slow
Slow = Callable[[Served], tuple[float, str]]


def ended(wire: Wire, piece: Callable[[], bytes] = bytes) -> tuple[float, str]:
    """After how many seconds the server had enough, and what it said, while a piece is sent now and then."""
    began_s = time.monotonic()
    wire.socket.settimeout(PAUSE_S)
    said = b""
    while time.monotonic() - began_s < LATEST_S:
        try:
            part = wire.socket.recv(65_536)
        except TimeoutError:
            with suppress(ConnectionError):
                wire.send(piece())
            continue
        except ConnectionError:
            part = b""
        if not part:
            return time.monotonic() - began_s, said.decode("latin-1")
        said += part
    return LATEST_S, said.decode("latin-1")


def silent(at: Served) -> tuple[float, str]:
    with Wire(at.port) as wire:
        return ended(wire)


def half_a_line(at: Served) -> tuple[float, str]:
    with Wire(at.port) as wire:
        wire.send(b"GET /api/v1/hea")
        return ended(wire)


def half_a_head(at: Served) -> tuple[float, str]:
    with Wire(at.port) as wire:
        wire.send(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n")
        return ended(wire)


def a_head_byte_by_byte(at: Served) -> tuple[float, str]:
    with Wire(at.port) as wire:
        wire.send(b"GET /api/v1/health HTTP/1.1\r\nx-slow: ")
        return ended(wire, lambda: b"y")


def half_a_second_request(at: Served) -> tuple[float, str]:
    with Wire(at.port) as wire:
        wire.ask("GET", "/api/v1/health", named(at.port))
        wire.send(b"GET /api/v1/health HTTP/1.1\r\n")
        return ended(wire)


def no_body(at: Served) -> tuple[float, str]:
    with Wire(at.port) as wire:
        headers = [*named(at.port, at.token("operate")), KIND, ("Content-Length", "10")]
        wire.send(request("POST", "/api/v1/dispatcher", headers))
        return answered(wire, bytes)


def a_body_byte_by_byte(at: Served) -> tuple[float, str]:
    with Wire(at.port) as wire:
        headers = [*named(at.port, at.token("operate")), KIND, ("Content-Length", "1000")]
        wire.send(request("POST", "/api/v1/dispatcher", headers))
        return answered(wire, lambda: b" ")


def a_chunked_body_without_end(at: Served) -> tuple[float, str]:
    with Wire(at.port) as wire:
        headers = [*named(at.port, at.token("operate")), KIND, ("Transfer-Encoding", "chunked")]
        wire.send(request("POST", "/api/v1/dispatcher", headers))
        return answered(wire, lambda: b"1\r\n \r\n")


def a_login_without_its_body(at: Served) -> tuple[float, str]:
    with Wire(at.port) as wire:
        wire.send(request("POST", "/api/v1/session", [*named(at.port), KIND, ("Content-Length", "10")]))
        return answered(wire, bytes)


def a_refused_body_without_end(at: Served) -> tuple[float, str]:
    """It was answered with 401 at once; the rest of it is nobody's business, and holds a connection."""
    with Wire(at.port) as wire:
        wire.send(request("POST", "/api/v1/dispatcher", [*named(at.port), KIND, ("Content-Length", "100000")]))
        assert wire.reply().status == 401
        return ended(wire, lambda: b" ")


def answered(wire: Wire, piece: Callable[[], bytes]) -> tuple[float, str]:
    """As `ended`, until an answer is there."""
    began_s = time.monotonic()
    wire.socket.settimeout(PAUSE_S)
    while time.monotonic() - began_s < LATEST_S:
        try:
            reply = wire.reply()
        except TimeoutError:
            with suppress(ConnectionError):
                wire.send(piece())
            continue
        except Closed:
            return time.monotonic() - began_s, "closed"
        return time.monotonic() - began_s, f"{reply.status} {reply.json()['code']}"
    return LATEST_S, "nothing"


CLOSED: Final[tuple[Slow, ...]] = (
    silent, half_a_line, half_a_head, a_head_byte_by_byte, half_a_second_request, a_refused_body_without_end,
)  # fmt: skip
TIMED_OUT: Final[tuple[Slow, ...]] = (
    no_body, a_body_byte_by_byte, a_chunked_body_without_end, a_login_without_its_body,
)  # fmt: skip


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[float, str]]]:
    """What became of everybody who is slow, all at once."""
    with served(tmp_path_factory.mktemp("slow") / "home") as at:
        at.token("operate")
        each = (*CLOSED, *TIMED_OUT)
        before = at.head()
        with ThreadPoolExecutor(len(each)) as pool:
            waiting = [pool.submit(one, at) for one in each]
            found = {one.__name__: future.result() for one, future in zip(each, waiting, strict=True)}
        assert at.head() == before
        yield found


@pytest.mark.parametrize("who", CLOSED, ids=lambda one: one.__name__)
def test_a_connection_on_which_no_request_arrives_is_closed(slow: dict[str, tuple[float, str]], who: Slow) -> None:
    took_s, said = slow[who.__name__]
    assert took_s < LATEST_S
    assert took_s >= HTTP_REQUEST_S - 1 or who is a_refused_body_without_end
    assert said == ""


@pytest.mark.parametrize("who", TIMED_OUT, ids=lambda one: one.__name__)
def test_a_body_that_does_not_arrive_is_answered_with_a_timeout(slow: dict[str, tuple[float, str]], who: Slow) -> None:
    took_s, said = slow[who.__name__]
    assert HTTP_REQUEST_S - 1 <= took_s < LATEST_S
    assert said == "408 http.too_slow"


def test_so_many_connections_are_held_and_the_next_one_is_told_to_come_again(tmp_path: Path) -> None:
    needed = HTTP_CONNECTIONS_MAX + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        pytest.skip(f"this machine lets a process open {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    try:
        with served(tmp_path / "home") as at:
            check_connections(at)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def check_connections(at: Served) -> None:
    """One connection less than the limit is answered, at the limit none is, and afterwards all are again."""
    health = request("GET", "/api/v1/health", named(at.port))
    wires: list[Wire] = []
    try:
        for _ in range(HTTP_CONNECTIONS_MAX - 1):
            wires.append(Wire(at.port))
            wires[-1].send(health)
            assert wires[-1].reply().status == 200
        wires.append(Wire(at.port))
        wires[-1].send(health)
        refused = wires[-1].reply()
        assert refused.status == 503
        assert dict(refused.headers).items() >= SECURITY.items()
        wires.pop(0).socket.close()
        deadline_s = time.monotonic() + LATEST_S
        while (status := wires[0].ask("GET", "/api/v1/health", named(at.port)).status) != 200:
            assert time.monotonic() < deadline_s
        assert status == 200
        assert json.loads(wires[0].ask("GET", "/api/v1/health", named(at.port)).body) == {"ok": True}
    finally:
        for wire in wires:
            wire.socket.close()
