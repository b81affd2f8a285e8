"""A dispatcher for the time of one command: started, interrupted and ended in one place."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from commands import ending, render
from commands.cancel import cancel_task
from commands.dispatch import Dispatcher
from commands.follow import Printer
from commands.taking_in import Taken, announce, check, check_not_paused, take_in
from commands.wiring import Runtime
from commands.world import Watch
from domain import errors
from domain.events import RunFinished
from domain.policies import DENIED
from domain.routed import Chosen
from domain.task import CLAIMABLE, Status, Task


def refuse_while_paused(runtime: Runtime) -> None:
    """Refuse what would be run here, before anything is asked or paid for it. Raises ClaimsPaused."""
    if (runtime.home.state / "log.db").exists():
        check_not_paused(runtime.log)


def run_here(runtime: Runtime, document: dict[str, Any], chosen: Chosen | None = None, *, as_json: bool) -> int:
    """Take in a task, claim it in the same put, drive it to its end; the exit status."""
    accepted = check(runtime, document, chosen)
    announce(runtime)
    shown = Printer(output=not as_json)
    taken: list[Taken] = []

    def task() -> Task:
        found = runtime.log.task(taken[0].task)
        assert found is not None, "what was taken in is there"
        return found

    async def body(dispatcher: Dispatcher) -> None:
        shown.gone = lambda: cancel(dispatcher, "the reader of its output went away")

        async def begin() -> None:
            taken.append(take_in(runtime, accepted, dispatcher=dispatcher.id))
            dispatcher.take(task(), taken[0].claim)

        await dispatcher.work(begin=begin, until=lambda: task().status not in CLAIMABLE | {Status.RUNNING})

    def cancel(dispatcher: Dispatcher, reason: str = "interrupted at the terminal") -> None:
        """Ctrl-C means this task, not this dispatcher."""
        if taken and (task().status in CLAIMABLE | {Status.RUNNING}):
            cancel_task(runtime.log, taken[0].task, runtime.clock.now_us(), runtime.actor, reason)
        dispatcher.drain()

    interrupted = dispatch(runtime, 1, shown.events, body, cancel)
    ended = task()
    if as_json:
        said = {"summary": summary(runtime, ended) or None}
        render.document("rt.do.v1", _result(ended, runtime.log.head().position) | said)
    else:
        shown.end(ended, summary(runtime, ended))
    runtime.close()
    if shown.lost:
        raise errors.OutputLost(why=shown.lost)
    return interrupted or exit_status(ended)


def summary(runtime: Runtime, task: Task) -> str:
    """What the task's latest run said at its end; empty when it said nothing."""
    if not task.run:
        return ""
    ends = [event.data for event in runtime.log.stream(task.run) if isinstance(event.data, RunFinished)]
    if not ends or ends[-1].outcome is None:
        return ""
    return str(msgspec.json.decode(runtime.log.blob(task.task, ends[-1].outcome)).get("operator_summary", ""))


def _result(task: Task, position: int) -> dict[str, Any]:
    return {
        "position": position,
        "task": task.task,
        "run": task.run,
        "status": task.status.value,
        "cause": task.cause,
        "attempts": task.attempts,
    }


def exit_status(task: Task) -> int:
    """0 completed, 8 waits for a person or for its time, 6 denied by the policy, 1 otherwise."""
    if task.status is Status.COMPLETED:
        return 0
    if task.cause == DENIED:
        return errors.Refused.exit
    return 8 if task.status in CLAIMABLE | {Status.RUNNING, Status.WAITING_FOR_APPROVAL} else 1


def dispatch(
    runtime: Runtime,
    concurrency: int,
    watch: Watch,
    body: Callable[[Dispatcher], Awaitable[None]],
    interrupt: Callable[[Dispatcher], None],
) -> int:
    """Run a dispatcher in an event loop of its own; 0, or the status of the signal that ended it.

    The first signal to end calls `interrupt`, the second one stops at once.
    """
    received: list[int] = []

    def on_signal(dispatcher: Dispatcher, number: int) -> None:
        received.append(number)
        if len(received) == 1:
            interrupt(dispatcher)
        else:
            dispatcher.stop()

    async def main() -> None:
        async with runtime.world(watch, render.note) as world:
            dispatcher = Dispatcher(world, concurrency)
            loop = asyncio.get_running_loop()
            for number in ending.signals():
                loop.add_signal_handler(number, on_signal, dispatcher, number)
            await body(dispatcher)

    asyncio.run(main())
    return 128 + received[0] if received else 0
