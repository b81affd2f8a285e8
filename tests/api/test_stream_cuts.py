"""A listener whose connection is cut anywhere, again and again, comes back and has heard everything once, in order.

It is cut after a random number of bytes, in the middle of heads, chunks and events, while tasks come in through the
server and past it and a run prints; it comes back with the last id that it saw whole.
"""

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from threading import Event
from typing import NamedTuple

import pytest

from domain.events import Recorded, topic
from domain.ids import output_stream
from tests.api.listening import ADAPTER, OLD, STREAM, Ear, Told, lines, positions, recorded, task
from tests.api.serving import Served, served, until

CUTS = 60  # of each listener at least
BYTES_MAX = (400, 4_000, 60_000)  # that a connection lives: cut in its head, in an event, in a page
LIFE_S = (0.01, 0.2)  # and so long at most
TALKS = 'i=0; while [ ! -e stop ]; do i=$((i + 1)); echo "line $i"; sleep 0.05; done'
Of = Callable[[Recorded, str, str], bool]  # whether an event is for a listener, with the task and the run that it names


def of_run(event: Recorded, _: str, run: str) -> bool:
    named = event.stream == event.correlation and getattr(event.data, "run", "") == run
    return named or event.stream in (run, output_stream(run))


LISTENERS: dict[str, tuple[str, Of]] = {
    "everything": (STREAM, lambda *_: True),
    "a topic": (f"{STREAM}?topic=task.queued", lambda event, *_: topic(type(event.data)).startswith("task.queued")),
    "topics": (f"{STREAM}?topic=*.ap*", lambda event, *_: fnmatchcase(topic(type(event.data)), "*.ap*")),
    "a stream": (f"{STREAM}?stream={{run}}.output", lambda event, _, run: event.stream == output_stream(run)),
    "a task": (f"{STREAM}?task={{task}}", lambda event, task, _: event.correlation == task),
    "a run": (f"{STREAM}?run={{run}}", of_run),
    "the old stream": (OLD, lambda *_: True),
}


class Story(NamedTuple):
    """What was in the log at the end, and what each listener heard of it."""

    events: list[Recorded]
    task: str
    run: str
    heard: dict[str, list[Told]]
    cuts: dict[str, int]


def listened(server: Served, path: str, seed: int, writing: Event, cuts: list[int]) -> list[Told]:
    """Listen and be cut, until nobody writes any more and everything was heard."""
    chance = random.Random(seed)
    heard: list[Told] = []
    last = 0
    while writing.is_set():
        with Ear(server, path, last=last) as ear:
            left = chance.randrange(1, chance.choice(BYTES_MAX))
            ends_s = time.monotonic() + chance.uniform(*LIFE_S)
            with suppress(TimeoutError):
                while left > 0 and (rest_s := ends_s - time.monotonic()) > 0:
                    ear.socket.settimeout(rest_s)
                    left -= ear.more(left) or left
            assert ear.status in (0, 200), bytes(ear.body)
            heard += ear.heard
            last = ear.last or last
        cuts.append(last)
    head = server.head()[0]
    if last < head:
        with Ear(server, path, last=last) as ear:
            ear.until_position(head)
            heard += ear.heard
    return heard


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("cut")
    (folder / "rt.toml").write_text(ADAPTER)
    with served(folder, "--work") as server, ThreadPoolExecutor(len(LISTENERS) + 2) as pool:
        server.token("read")
        server.token("operate")
        server.rt("intake", "--adapter", "command", "--", "sh", "-c", TALKS)
        begun = until(lambda: [each for each in recorded(server) if topic(type(each.data)) == "run.started.v1"], "run")
        mine, run = begun[0].correlation, begun[0].stream
        writing = Event()
        writing.set()
        try:
            writers = [pool.submit(writes, server, writing), pool.submit(writes_beside, server, folder, writing)]
            cuts: dict[str, list[int]] = {name: [] for name in LISTENERS}
            listeners = {
                name: pool.submit(listened, server, path.format(task=mine, run=run), seed, writing, cuts[name])
                for seed, (name, (path, _)) in enumerate(LISTENERS.items())
            }
            until(lambda: all(len(each) >= CUTS for each in cuts.values()) or _is_over(listeners), "cuts", 300)
        finally:
            (folder / "stop").touch()
            writing.clear()
        for each in writers:
            each.result()
        heard = {name: each.result() for name, each in listeners.items()}
        yield Story(recorded(server), mine, run, heard, {name: len(each) for name, each in cuts.items()})


def _is_over(listeners: dict[str, "Future[list[Told]]"]) -> bool:
    return any(each.done() for each in listeners.values())


def writes(server: Served, writing: Event) -> None:
    """Tasks through the server, each acknowledged."""
    with server.client("operate") as client:
        while writing.is_set():
            assert client.post("/api/v1/tasks", json=task()).status_code == 201
            time.sleep(0.01)


def writes_beside(server: Served, folder: Path, writing: Event) -> None:
    """Tasks past it, by another process."""
    while writing.is_set():
        server.rt("intake", "--lines", str(lines(folder, 30)))


@pytest.mark.parametrize("name", list(LISTENERS))
def test_a_listener_that_is_cut_anywhere_hears_every_event_once_and_in_order(story: Story, name: str) -> None:
    path, fits = LISTENERS[name]
    heard = positions(story.heard[name])
    upto = max([told.id or 0 for told in story.heard[name]])
    wanted = [each.position for each in story.events if fits(each, story.task, story.run) and each.position <= upto]
    assert heard == wanted, path
    assert story.cuts[name] >= CUTS
    assert len(wanted) > 10
