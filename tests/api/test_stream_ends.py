"""Streams across the life of a server: they end with it, go on with the next one, and never tell what could be lost."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from adapters.log_reader import LogReader
from tests.api.listening import ADAPTER, OLD, STREAM, Ear, positions, recorded, taken_in, task
from tests.api.serving import Served, served

AT_MOST_S = 20.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "rt.toml").write_text(ADAPTER)
    return tmp_path


@pytest.mark.parametrize("path", [STREAM, OLD])
def test_a_stream_ends_soon_when_the_server_stops_and_goes_on_at_the_next_one(home: Path, path: str) -> None:
    with served(home) as first:
        with Ear(first, path) as ear:
            ear.caught_up()
            heard = [taken_in(first) for _ in range(5)]
            ear.until_position(heard[-1])
            begin_s = time.monotonic()
            first.process.send_signal(signal.SIGTERM)
            ear.to_the_end()
            assert time.monotonic() - begin_s < AT_MOST_S
            assert ear.positions == heard
            last = ear.last
        assert first.stop() == 128 + signal.SIGTERM
        first.rt("intake", "--goal", "while nobody serves")
    with served(home) as second:
        second.tokens = first.tokens
        heard.append(taken_in(second))
        with Ear(second, path, last=last) as ear:
            ear.until_position(heard[-1])
            assert ear.positions == [heard[-1] - 1, heard[-1]]


def test_a_server_stops_soon_though_many_listen_and_one_of_them_reads_nothing(home: Path) -> None:
    with served(home) as server:
        ears = [Ear(server) for _ in range(20)]
        for ear in ears:
            ear.caught_up()
        begin_s = time.monotonic()
        assert server.stop() == 128 + signal.SIGTERM
        assert time.monotonic() - begin_s < AT_MOST_S
        for ear in ears:
            ear.to_the_end()
            ear.socket.close()


def test_what_is_told_is_in_the_file_of_the_log_already(home: Path) -> None:
    with served(home) as server, ThreadPoolExecutor(1) as pool, Ear(server) as ear:
        ear.caught_up()
        writing = pool.submit(write, server, 150)
        log = LogReader(home / ".rt")
        try:
            looked = 0
            while looked < 150:
                assert ear.more()
                head = log.head()[0]
                assert all(position <= head for position in ear.positions[looked:])
                looked = len(ear.positions)
        finally:
            log.close()
        assert writing.result() == ear.positions


def write(server: Served, count: int) -> list[int]:
    with server.client("operate") as client:
        return [int(client.post("/api/v1/tasks", json=task()).json()["position"]) for _ in range(count)]


def test_what_was_told_before_the_server_was_killed_is_in_the_log_and_is_not_told_again(home: Path) -> None:
    with served(home) as server, ThreadPoolExecutor(4) as pool:
        server.token("operate")
        stopped = Event()
        writing = [pool.submit(write_on, server, stopped) for _ in range(4)]
        with Ear(server, f"{STREAM}?after=0") as ear:
            while len(ear.positions) < 100:
                assert ear.more()
            os.kill(server.process.pid, signal.SIGKILL)
            stopped.set()
            ear.to_the_end()
        acknowledged = [position for each in writing for position in each.result()]
        last = ear.last
    events = recorded(server)
    assert ear.positions == [event.position for event in events][: len(ear.positions)]
    assert set(acknowledged) <= {event.position for event in events}
    with served(home) as again:
        again.tokens = server.tokens
        head = taken_in(again)
        with Ear(again, last=last) as following:
            following.until_position(head)
        assert positions([*ear.heard, *following.heard]) == list(range(1, head + 1))


def write_on(server: Served, stopped: Event) -> list[int]:
    """The positions that were acknowledged before the server was gone."""
    import httpx

    found = []
    with server.client("operate") as client:
        while not stopped.is_set():
            try:
                found.append(int(client.post("/api/v1/tasks", json=task()).json()["position"]))
            except httpx.TransportError:
                break
    return found
