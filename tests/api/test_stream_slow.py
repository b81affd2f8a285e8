"""Listeners that are slower than the log grows: they lose their place, come back, and have lost nothing else."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from domain.bounds import PAGE_EVENTS_MAX, SSE_STALLED_S
from tests.api.listening import OLD, STREAM, Ear, Told, lines, positions, taken_in, told
from tests.api.serving import WITHIN_S, Served

WIDE = "é" * 500  # of one event's subject: two bytes each
MANY = 4_000  # events of that width are more than a socket and a listener's place hold


def persistent(server: Served, after: int, upto: int) -> tuple[list[Told], int]:
    """Listen until everything up to a position was heard, and come back whenever the server ends it."""
    heard: list[Told] = []
    ended, last = 0, after
    ends_s = time.monotonic() + WITHIN_S
    while last < upto:
        assert time.monotonic() < ends_s, last
        with Ear(server, STREAM, last=last) as ear:
            while (ear.last or 0) < upto and ear.more():
                pass
            ended += ear.is_over
            heard += ear.heard
            last = ear.last or last
    return heard, ended


def test_a_listener_that_reads_nothing_is_ended_and_slows_neither_writers_nor_others(
    fed: Served, tmp_path: Path
) -> None:
    fed.token("read")
    file = lines(tmp_path, MANY, subject=WIDE)
    with Ear(fed, receive_bytes=4_096) as stalled, ThreadPoolExecutor(2) as pool:
        stalled.caught_up()
        other = pool.submit(persistent, fed, 0, MANY)
        fed.rt("intake", "--lines", str(file))
        taken_in(fed)
        told(fed)
        heard, _ = other.result()
        assert positions(heard)[-1] >= MANY
        stalled.to_the_end()
        assert stalled.positions == list(range(1, len(stalled.positions) + 1))
        assert len(stalled.positions) < MANY
        assert stalled.is_over
        following, _ = persistent(fed, stalled.last or 0, MANY)
        assert [*stalled.positions, *positions(following)][:MANY] == list(range(1, MANY + 1))


def test_a_listener_that_was_overtaken_is_told_from_where_to_come_back(fed: Served, tmp_path: Path) -> None:
    with Ear(fed, receive_bytes=4_096) as stalled:
        stalled.caught_up()
        begin_s = time.monotonic()
        fed.rt("intake", "--lines", str(lines(tmp_path, MANY, subject=WIDE)))
        told(fed)
        is_in_time = time.monotonic() - begin_s < SSE_STALLED_S  # later it is dropped, without a word
        stalled.to_the_end()
        overflow = stalled.heard[-1]
        assert not is_in_time or (overflow.name, overflow.data["position"]) == ("overflow", overflow.id)
        assert overflow.id == (stalled.positions or [0])[-1]


@pytest.mark.parametrize("width", [200, 400])
def test_a_burst_of_events_is_heard_whole_by_whoever_comes_back(fed: Served, tmp_path: Path, width: int) -> None:
    """Several writers at once, more than a listener's place holds in an instant."""
    fed.token("read")
    files = [lines(tmp_path, 1_500, subject="é" * width) for _ in range(3)]
    count = 3 * 1_500
    with ThreadPoolExecutor(8) as pool:
        listening = [pool.submit(persistent, fed, 0, count) for _ in range(3)]
        with fed.client("read") as client:
            while b"rt_sse_clients 3\n" not in client.get("/api/v1/metrics").content:
                time.sleep(0.02)
        writing = [pool.submit(fed.rt, "intake", "--lines", str(file)) for file in files]
        assert [each.result().returncode for each in writing] == [0, 0, 0]
        for each in listening:
            heard, _ = each.result()
            assert positions(heard) == list(range(1, count + 1))


@pytest.mark.parametrize("path", [f"{STREAM}?after=0", f"{OLD}?since=0"])
def test_a_long_past_is_read_in_pages_without_losing_the_place(fed: Served, tmp_path: Path, path: str) -> None:
    count = 2 * PAGE_EVENTS_MAX + 17
    fed.rt("intake", "--lines", str(lines(tmp_path, count, subject=WIDE)))
    with Ear(fed, path) as ear:
        ear.until_position(count)
        ear.until_position(taken_in(fed))
        assert ear.positions == list(range(1, count + 2))


def test_a_listener_has_not_caught_up_before_what_it_wants_was_told(fed: Served, tmp_path: Path) -> None:
    """Also where nothing in the first pages is for it."""
    fed.rt("intake", "--lines", str(lines(tmp_path, PAGE_EVENTS_MAX + 200)))
    fed.rt("pause")
    head = told(fed)
    with Ear(fed, f"{STREAM}?after=0&topic=dispatcher.") as ear:
        caught = ear.caught_up()
        assert (caught.id, caught.data["head"]) == (head, head)
        assert ear.positions == [head]
