"""A driver that breaks: its run ends with a cause, its slot is free again, and the dispatcher goes on."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, NamedTuple, cast

import pytest

from commands.dispatch import Dispatcher
from commands.home import Home
from commands.wiring import Runtime
from commands.world import World
from domain import errors
from tests.commands.place import Place, is_running, until

SLOW_RETRY: Final = "[retry]\nattempts = 2\nbackoff_s = 3600\n[work]\nmax_runs = 1\nkill_grace_s = 0.3\n"
AT_ONCE: Final = "[retry]\nattempts = 2\nbackoff_s = 0\nbackoff_max_s = 0\n[work]\nmax_runs = 1\nkill_grace_s = 0.3\n"
REPORTER: Final = '[adapters.reporter]\ncommand = "./reporter"\n'
MARK: Final = "BREAK_ME"


class Breaking:
    """A port of which one function raises what no driver expects, for what is asked of it in the name of the mark."""

    def __init__(self, port: object, function: str, problem: Exception, *, always: bool) -> None:
        self._port = port
        self._function = function
        self._problem = problem
        self._always = always
        self.marked: set[str] = set()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the port has
        found = getattr(self._port, name)
        if name != self._function:
            return self._noting(found) if name == "spawn" else found

        def broken(*given: Any, **named: Any) -> Any:  # noqa: ANN401  # whatever the function takes
            if self._always or MARK in str(given) or any(str(each) in self.marked for each in given):
                raise self._problem
            return found(*given, **named)

        return broken

    def _noting(self, spawn: Callable[..., Any]) -> Callable[..., Any]:
        """Later functions are asked by the name of the call alone."""

        def spawned(spec: Any, changed: Any) -> Any:  # noqa: ANN401  # see the port
            if MARK in str(spec.argv):
                self.marked.add(spec.call)
            return spawn(spec, changed)

        return spawned


class Break(NamedTuple):
    """Where a driver breaks."""

    port: str
    function: str
    problem: Exception


BREAKS: Final = {
    "before the program starts": Break("processes", "spawn", RuntimeError("a bug in rt")),
    "while its output is read": Break("processes", "read", RuntimeError("a bug in rt")),
    "with an argument that the system cannot take": Break("processes", "spawn", ValueError("embedded null byte")),
    "with memory at its end": Break("processes", "read", MemoryError()),
    "with a refusal of our own": Break("processes", "spawn", errors.Invalid(where="argv", why="cannot be")),
}


def worked(place: Place, broken: Break, *, always: bool = False) -> list[str]:
    """Dispatch until nothing is due, with a port that breaks; what people were warned of."""
    warnings: list[str] = []
    file = place.folder / "rt.toml"
    runtime = Runtime(Home(place.state, file if file.exists() else None, place.folder), "test")

    async def main() -> None:
        async with runtime.world(lambda _events: None, warnings.append) as world:
            port = Breaking(getattr(world, broken.port), broken.function, broken.problem, always=always)
            dispatcher = Dispatcher(_with(world, broken.port, port), 1)
            idle: Callable[[], bool] = lambda: not runtime.log.ready(runtime.clock.now_us(), 1)  # noqa: E731  # short
            await asyncio.wait_for(dispatcher.work(until=idle), 30)

    asyncio.run(main())
    runtime.close()
    return warnings


def _with(world: World, name: str, port: Breaking) -> World:
    return replace(world, **{name: cast(Any, port)})


def both(place: Place) -> tuple[str, str]:
    """A task whose driver breaks, and one that is claimed after it."""
    first = place.queue("sh", "-c", f"echo {MARK}; echo $$ > pid; exec sleep 60", options=("--priority", "9"))
    return first, place.queue("echo", "hello")


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS)
def test_lc2_a_driver_that_breaks_ends_its_run_and_others_go_on_in_the_only_slot(place: Place, broken: Break) -> None:
    place.config(SLOW_RETRY)
    task, other = both(place)
    warnings = worked(place, broken)
    assert place.task(other)["status"] == "completed"
    assert (place.task(task)["status"], place.task(task)["attempts"]) == ("retryable_failure", 1)
    [lost] = place.events("run.owner_lost.v1")
    assert lost["cause"] == "internal_error"
    ends = [(each["state"], each.get("cause")) for each in place.events("run.finished.v1")]
    assert ends == [("lost", "internal_error"), ("completed", None)]
    assert [each for each in warnings if "broke" in each and type(broken.problem).__name__ in each]


def test_lc2_its_task_waits_for_the_normal_backoff_and_the_attempt_is_spent(place: Place) -> None:
    place.config(SLOW_RETRY)
    task, _ = both(place)
    before_us = time.time_ns() // 1_000
    worked(place, BREAKS["before the program starts"])
    [retry] = place.events("task.retry_scheduled.v1")
    assert "refunded" not in retry
    assert 3600 * 0.79 < (retry["due_at_us"] - before_us) / 1_000_000 < 3600 * 1.21
    assert place.task(task)["attempts"] == 1


def test_lc1_one_that_breaks_each_time_is_blocked_when_its_attempts_are_spent(place: Place) -> None:
    place.config(AT_ONCE)
    task, other = both(place)
    worked(place, BREAKS["before the program starts"])
    found = place.task(task)
    assert (found["status"], found["cause"], found["attempts"]) == ("blocked", "attempts_exhausted", 2)
    assert place.task(other)["status"] == "completed"


def test_lc2_no_process_of_a_run_outlives_its_driver(place: Place) -> None:
    place.config(SLOW_RETRY)
    both(place)
    worked(place, BREAKS["while its output is read"])
    pid = place.folder / "pid"
    if pid.exists() and pid.read_text():  # else it was ended before it came so far
        until(lambda: not is_running(int(pid.read_text())), seconds=5)


def test_lc2_the_run_replays_as_it_was(place: Place) -> None:
    place.config(SLOW_RETRY)
    both(place)
    worked(place, BREAKS["while its output is read"])
    place.ok("log", "verify")
    assert place.ok("replay", "--all").text.startswith("2 of 2 runs identical")


def test_lc2_a_disk_without_space_for_the_private_files_ends_the_run_and_not_the_dispatcher(place: Place) -> None:
    place.config(SLOW_RETRY + REPORTER)
    place.script("reporter", '#!/bin/sh\necho \'{"status":"completed"}\'\n')
    task = place.ok("intake", '{"kind":"k","source":"s","payload":{"n":1},"requested_adapter":"reporter"}', "--json")
    other = place.queue("echo", "hello")
    full = OSError(28, "No space left on device")
    warnings = worked(place, Break("files", "write", full), always=True)
    assert place.task(task.document["task_id"])["status"] == "retryable_failure"
    assert place.task(other)["status"] == "completed"
    assert [each for each in warnings if "No space left" in each]


def test_lc2_one_that_breaks_before_its_run_has_a_policy_waits_for_the_normal_backoff_too(place: Place) -> None:
    place.config(SLOW_RETRY)
    tasks = both(place)
    worked(place, Break("environment", "all", RuntimeError("a bug in rt")), always=True)
    assert [place.task(task)["status"] for task in tasks] == ["retryable_failure"] * 2
    retries = place.events("task.retry_scheduled.v1")
    assert [each["cause"] for each in retries] == ["internal_error"] * 2
    assert all(each["backoff_us"] > 3600 * 0.79 * 1_000_000 for each in retries)
