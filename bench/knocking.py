"""Whoever asks a server for measurements: another process, on another core where there is one, with raw sockets."""

import itertools
import multiprocessing
import os
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import TypeVar

T = TypeVar("T")
WARM_S = 1.0
SERVER_CORE, LOAD_CORE = min(os.sched_getaffinity(0)), max(os.sched_getaffinity(0))


def elsewhere(work: Callable[..., T], *arguments: object) -> Callable[[], T]:
    """Begin something in another process, on the other core; what gives its result."""
    context = multiprocessing.get_context("fork")
    mine, its = context.Pipe(duplex=False)

    def body() -> None:
        os.sched_setaffinity(0, {LOAD_CORE})
        its.send(work(*arguments))

    process = context.Process(target=body, daemon=True)
    process.start()
    its.close()

    def result() -> T:
        found: T = mine.recv()
        process.join()
        return found

    return result


@dataclass
class Connection:
    """One that asks again as soon as it was answered."""

    client: socket.socket
    received: bytearray = field(default_factory=bytearray)
    asked_s: float = 0.0


def taken(received: bytearray) -> int:
    """The status of a whole answer, which is taken away; 0 while there is none."""
    end = received.find(b"\r\n\r\n")
    if end < 0:
        return 0
    at = received.find(b"content-length: ", 0, end + 2)
    size = int(received[at + 16 : received.find(b"\r\n", at)]) if at >= 0 else 0
    if len(received) < end + 4 + size:
        return 0
    status = int(received[9:12])
    del received[: end + 4 + size]
    return status


def asked(client: socket.socket, request: bytes) -> float:
    """Seconds that one request takes; it must be answered well."""
    start_s = time.perf_counter()
    client.sendall(request)
    received = bytearray()
    while not (status := taken(received)):
        part = client.recv(1 << 18)
        assert part, "the server hung up"
        received += part
    assert status in (200, 201), status
    return time.perf_counter() - start_s


def size_of(port: int, request: bytes) -> int:
    """Bytes of an answer without its head."""
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(request)
        answer = HTTPResponse(client)
        answer.begin()
        return len(answer.read())


def knock(port: int, connections: int, requests: Callable[[int], bytes], seconds: float) -> list[float]:
    """Ask over so many connections, each as soon as it was answered; all waits after the first second."""
    selector = selectors.DefaultSelector()
    waits: list[float] = []
    count = itertools.count()
    for _ in range(connections):
        client = socket.create_connection(("127.0.0.1", port))
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        mine = Connection(client, asked_s=time.perf_counter())
        selector.register(client, selectors.EVENT_READ, mine)
        client.sendall(requests(next(count)))
    begin_s = time.perf_counter() + WARM_S
    ends_s = begin_s + seconds
    while (now_s := time.perf_counter()) < ends_s:
        for key, _ in selector.select(1.0):
            mine = key.data
            mine.received += mine.client.recv(1 << 18)
            if not (status := taken(mine.received)):
                continue
            assert status in (200, 201), status
            now_s = time.perf_counter()
            if now_s > begin_s:
                waits.append(now_s - mine.asked_s)
            mine.asked_s = now_s
            mine.client.sendall(requests(next(count)))
    return waits


def percentile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]
