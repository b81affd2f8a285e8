"""One dispatcher's process and all that dies with it. Its ports raise once it is dead: nothing more is carried out."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, cast

from adapters.http import ScriptedHttp
from adapters.process_fake import FakeProcesses
from adapters.system import FixedEnvironment
from adapters.writer import InlineWriter
from commands.dispatch import Dispatcher
from commands.world import World
from domain import errors
from domain.events import Put, Recorded
from domain.ports import Appended, Clock, Environment, Files, Http, Ids, Liveness, Log, LogView, Processes, Work
from domain.world_ports import P, T
from tests.simulation import checks

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation


class Crash(BaseException):
    """The dispatcher's process is gone."""


class _Held:
    """A port in the hands of a dispatcher."""

    def __init__(self, node: "Node", port: object) -> None:
        self._node = node
        self._port = port

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the port has
        if self._node.dead:
            raise Crash
        return getattr(self._port, name)


class _NodeLog:
    """The log as one dispatcher reaches it: the place where faults happen."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._seen = -1

    def changed(self) -> bool:
        """Each process has looked at another time."""
        end = len(self._node.simulation.log.rows)
        moved, self._seen = end != self._seen, end
        return moved

    def append(self, works: Sequence[Work]) -> list[Appended | Exception]:
        simulation = self._node.simulation
        match simulation.fault():
            case "before":
                self._node.crash()
            case "after":
                simulation.log.append(works)
                self._node.crash()
            case "full":
                raise errors.StoreFull(path="/log", why="no space left on device")
            case "busy":
                raise errors.LogBusy(seconds=5)
            case "conflict" if isinstance(works[0], Put):
                return [errors.StreamConflict(stream="?", found=0, expected=0)]
        return simulation.log.append(works)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the log has
        return getattr(self._node.simulation.log, name)


class _Writer:
    """Notes what was acknowledged, by content. With a seed the store is slow, before the commit and after it."""

    def __init__(self, node: "Node", log: Log) -> None:
        self._node = node
        self._inner = InlineWriter(log)

    async def submit(self, work: Work) -> Appended:
        puts: list[Put] = []

        def noted(view: LogView) -> Put | None:
            assert not isinstance(work, Put)
            puts[:] = [put] if (put := work(view)) is not None else []
            return puts[0] if puts else None

        await self._node.simulation.delay()
        positions = await self._inner.submit(work if isinstance(work, Put) else noted)
        await self._node.simulation.delay()
        if self._node.dead:
            raise Crash
        for put in [work] if isinstance(work, Put) else puts:
            self._node.simulation.acknowledge(put, positions)
        return positions

    def close(self) -> None:
        """Nothing is held."""


_NODE: contextvars.ContextVar["Node | None"] = contextvars.ContextVar("node", default=None)


async def _at_once(look: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """A look takes no simulated time, and no thread."""
    await asyncio.sleep(0)
    return look(*args, **kwargs)


class Node:
    """One dispatcher's process."""

    def __init__(self, simulation: "Simulation") -> None:
        self.simulation = simulation
        self.dead = False
        self.tasks: list[asyncio.Task[Any]] = []
        self.processes = FakeProcesses(simulation.machine)
        log = cast(Log, _Held(self, _NodeLog(self)))
        self.world = World(
            log=log,
            writer=_Writer(self, log),
            processes=cast(Processes, _Held(self, self.processes)),
            http=cast(Http, _Held(self, ScriptedHttp(simulation.answer))),
            liveness=cast(Liveness, _Held(self, simulation.locks)),
            clock=cast(Clock, _Held(self, simulation.clock)),
            ids=cast(Ids, _Held(self, simulation.ids)),
            environment=cast(Environment, _Held(self, FixedEnvironment({"PATH": "/bin", "HOME": "/root"}))),
            files=cast(Files, _Held(self, simulation.files)),
            secrets=simulation.secrets,
            config=simulation.configured(len(simulation.nodes)),
            folder="/folder",
            state="/state",
            urgent=None,
            watch=self._watch,
            warn=simulation.warnings.append,
            aside=_at_once,
            states=simulation.states,
        )
        self.dispatcher = Dispatcher(self.world, simulation.scenario.concurrency)

    def start(self, *, here: bool) -> asyncio.Task[None]:
        """Begin to work."""
        context = contextvars.copy_context()
        context.run(_NODE.set, self)
        main = context.run(asyncio.get_running_loop().create_task, self._work(here=here))
        self.tasks.append(main)
        return main

    async def _work(self, *, here: bool) -> None:
        await self.dispatcher.work(begin=self._begin if here else None, until=self.simulation.settled)

    async def _begin(self) -> None:
        """As `rt do` does; a person tries again when the store is full."""
        for document in self.simulation.scenario.tasks:
            taken = None
            while taken is None:
                try:
                    taken = self.simulation.take_in(document, self.world.log, self.dispatcher.id)
                except (errors.StoreFull, errors.LogBusy, errors.StreamConflict):
                    await asyncio.sleep(1)
            task = self.world.log.task(taken.task)
            assert task is not None, "what was taken in is there"
            if taken.claim is not None:
                self.dispatcher.take(task, taken.claim)

    def crash(self) -> NoReturn:
        """Die here and now: the kernel closes pipes and locks, and nothing is cleaned up."""
        simulation = self.simulation
        simulation.violations += [f"at the crash: {each}" for each in checks.live(simulation.log, self.dispatcher)]
        self.dead = True
        self.processes.die()
        simulation.locks.drop(self.dispatcher.id)
        simulation.crashes += 1
        simulation.check("at the crash")
        current = asyncio.current_task()
        for task in self.tasks:
            if task is not current:
                task.cancel()
        raise Crash

    def _watch(self, events: Sequence[Recorded]) -> None:
        """People are told of what is durable only."""
        self.simulation.violations += checks.durable(self.simulation.log, events)


def node_task(
    loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], context: contextvars.Context | None = None
) -> asyncio.Task[Any]:
    """Every task knows its node, so that it ends with it."""
    task = asyncio.Task(coro, loop=loop, context=context)
    node = _NODE.get()
    if node is not None:
        node.tasks.append(task)
    return task
