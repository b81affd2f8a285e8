"""Runs the real dispatcher, driver and recovery over fake ports in virtual time, kills them, and checks the traces.

What outlives a dispatcher is here: the log (a disk), the machine with its processes, the locks, the files. All that
belongs to a dispatcher is a `Node`.
"""

import asyncio
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

from adapters.log_memory import MemoryLog
from adapters.process_fake import Machine
from adapters.redact import Secrets
from adapters.state_cache import StateCache
from adapters.system import CountedIds, MemoryFiles, MemoryLocks
from commands.taking_in import check, take_in
from commands.wiring import Runtime
from domain import errors
from domain.config import Config
from domain.events import Put
from domain.ports import Appended, Log, LogView, ProcessSpec, Request, Response, Work
from tests.simulation import agent_checks, checks
from tests.simulation.loop import VirtualClock, VirtualLoop
from tests.simulation.node import Crash, Node, node_task
from tests.simulation.plan import Fault, Kind, Plan, Scenario

RESTART_S = 0.05
_FOREVER_US = 1 << 62


class _Files(MemoryFiles):
    """Remembers what was ever written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def write(self, path: str, content: bytes) -> None:
        self.written.append(path)
        super().write(path, content)


class _Desk:
    """The log in the hands of a person: what it acknowledges is noted."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation

    def append(self, works: Sequence[Work]) -> list[Appended | Exception]:
        """One work at a time, as the commands do."""
        puts: list[Put] = []

        def noted(view: LogView) -> Put | None:
            puts[:] = [put] if (put := works[0] if isinstance(works[0], Put) else works[0](view)) is not None else []
            return puts[0] if puts else None

        result = self._simulation.log.append([noted])[0]
        if puts and not isinstance(result, Exception):
            self._simulation.acknowledge(puts[0], result)
        return [result]

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the log has
        return getattr(self._simulation.log, name)


class Simulation:
    """One scenario under one plan."""

    states: StateCache | None = None  # where states are kept; nothing of a run depends on it

    def __init__(self, scenario: Scenario, plan: Plan, loop: VirtualLoop) -> None:
        self.scenario = scenario
        self.plan = plan
        self.loop = loop
        self.clock = VirtualClock(loop)
        self.ids = CountedIds()
        self.log = MemoryLog(checks.CODEC)
        self.machine = Machine(scenario.programs, self._witness)
        self.locks = MemoryLocks()
        self.files = _Files()
        self.secrets = Secrets(())
        self.config = scenario.config
        self.sent: list[Request] = []
        self.appends = 0
        self.asked = 0
        self.crashes = 0
        self.fired: list[Fault] = []
        self.acknowledged: list[checks.Acknowledged] = []
        self.violations: list[str] = []
        self.refusals: list[str] = []
        self.warnings: list[str] = []
        self.tasks: list[str] = []
        self.nodes: list[Node] = []
        self.acts_done = False
        self._faults = {fault.at: fault for fault in plan.faults}
        self._random = random.Random(plan.seed) if plan.seed else None

    # what the nodes and the people ask of the simulation

    def answer(self, request: Request) -> tuple[float, Response]:
        """What a model says: the scenario's answers by number; it is asked for what is durable only."""
        self.asked += 1
        self.sent.append(request)
        self.violations += agent_checks.asked(self.log, request)
        if self.scenario.model is None:
            return 0.0, Response(status=404, headers={}, body=b"nobody is there")
        return self.scenario.model(self.asked, request)

    def configured(self, number: int) -> Config:
        """What the n-th dispatcher is configured with."""
        configs = self.scenario.configs
        return configs[number % len(configs)] if configs else self.config

    def fault(self) -> Kind | None:
        """What is to happen at this append."""
        self.appends += 1
        fault = self._faults.get(self.appends)
        if fault is None:
            return None
        self.fired.append(fault)
        return fault.kind

    async def delay(self) -> None:
        """How long the store takes."""
        if self._random is not None and self._random.random() < 0.3:
            await asyncio.sleep(self._random.choice((0.001, 0.02, 0.1)))

    def acknowledge(self, put: Put, positions: Sequence[int]) -> None:
        """Somebody was told that this is durable."""
        self.acknowledged += checks.acknowledged(put, positions)

    def take_in(self, document: dict[str, Any], log: Log, dispatcher: str = "") -> Any:  # noqa: ANN401  # a Taken
        """The real intake, with as much of a runtime as it needs."""
        runtime = cast(
            Runtime,
            SimpleNamespace(
                log=log,
                ids=self.ids,
                clock=self.clock,
                config=self.config,
                secrets=self.secrets,
                actor="operator:ann",
            ),
        )
        taken = take_in(runtime, check(runtime, document), dispatcher=dispatcher)
        self.tasks.append(taken.task)
        return taken

    def order(self, work: Work) -> None:
        """A person's command, from another process; its refusal is an answer, too."""
        puts: list[Put] = []

        def noted(view: LogView) -> Put | None:
            puts[:] = [put] if (put := work if isinstance(work, Put) else work(view)) is not None else []
            return puts[0] if puts else None

        result = self.log.append([noted])[0]
        if isinstance(result, errors.RtError):
            self.refusals.append(result.code)
        elif isinstance(result, Exception):
            raise result
        elif puts:
            self.acknowledge(puts[0], result)

    @property
    def desk(self) -> Log:
        """The log as people's commands reach it."""
        return cast(Log, _Desk(self))

    def settled(self) -> bool:
        """Nothing runs, nothing can be claimed now or later, nothing expires, and nobody is going to do anything."""
        moving = self.log.running() or self.log.ready(_FOREVER_US, 1) or any(e.due_at_us for e in self.log.waiting())
        return self.acts_done and not moving

    def check(self, when: str) -> None:
        """Everything that must hold at any time."""
        self.violations += [f"{when}: {each}" for each in checks.always(self.log, self.acknowledged)]
        self.violations += [f"{when}: {each}" for each in checks.effects(self.log, self.machine)]
        self.violations += [f"{when}: {each}" for each in agent_checks.sent_once(self.log, self.sent)]

    def _witness(self, spec: ProcessSpec) -> None:
        """Sees every start at the moment when it happens."""
        self.violations += checks.start(self.log, spec, self.machine.markers())
        self.violations += agent_checks.approved(self.log, spec)

    # the course of things

    async def run(self) -> None:
        """From the intake to the end."""
        self._begin()
        people = asyncio.create_task(self._people())
        mains: dict[asyncio.Task[None], Node] = {}
        for number in range(self.scenario.nodes):
            self._start(mains, here=self.scenario.here and number == 0)
        while mains and self.loop.time() < self.scenario.horizon_s:
            await asyncio.wait(mains, timeout=self.scenario.horizon_s, return_when=asyncio.FIRST_COMPLETED)
            for main in [main for main in mains if main.done()]:
                await self._ended(mains.pop(main), main, mains)
        await asyncio.wait([people], timeout=1)
        if mains:
            self.violations.append(f"stuck: {self._stuck()}")
        self._finish()
        for node in self.nodes:
            node.dead = True  # nothing after the end counts
        people.cancel()

    def _begin(self) -> None:
        if not self.scenario.here:
            for document in self.scenario.tasks:
                self.take_in(document, self.log)
        for at_s, act in self.scenario.acts:
            if at_s == 0:
                act(self)

    def _start(self, mains: dict[asyncio.Task[None], Node], *, here: bool = False) -> None:
        node = Node(self)
        self.nodes.append(node)
        mains[node.start(here=here)] = node

    async def _ended(self, node: Node, main: asyncio.Task[None], mains: dict[asyncio.Task[None], Node]) -> None:
        problem = None if main.cancelled() else main.exception()
        if not node.dead and problem is not None:
            self.violations.append(f"a dispatcher failed: {type(problem).__name__}: {problem}")
            node.dead = True
            node.processes.die()
            self.locks.drop(node.dispatcher.id)
        if not node.dead and self.settled():
            return
        await asyncio.sleep(RESTART_S / 2)
        if node.dead and self.crashes == 1 and self.scenario.on_crash is not None:
            self.scenario.on_crash(self)
        await asyncio.sleep(RESTART_S / 2)
        self._start(mains)

    async def _people(self) -> None:
        for at_s, act in self.scenario.acts:
            if at_s:
                await asyncio.sleep(max(0.0, at_s - self.loop.time()))
                try:
                    act(self)
                except Exception as problem:  # noqa: BLE001  # a command that breaks is a finding
                    self.violations.append(f"a command broke: {type(problem).__name__}: {problem}")
        self.acts_done = True

    def _stuck(self) -> str:
        running = [each.task[:8] for each in self.log.running()]
        return f"running {running}, claimable {[each[:8] for each in self.log.ready(_FOREVER_US, 9)]}"

    def _finish(self) -> None:
        self.check("at the end")
        self.violations += checks.ended(self.log, self.machine)
        found = checks.ends(self.log, self.tasks)
        calm = not self.plan.faults and not self.plan.seed
        for end, allowed in zip(found, self.scenario.ends, strict=False):
            if end not in (allowed[:1] if calm else allowed):
                self.violations.append(f"a task ended as {end}, expected {' or '.join(allowed)}")
        if calm and self.scenario.verify is not None:
            self.violations += self.scenario.verify(self)

    def __repr__(self) -> str:
        found = "\n  ".join(self.violations) or "nothing was violated"
        return f"{self.scenario.name} under {self.plan}:\n  {found}"

    def payload_files(self) -> list[str]:
        """Payloads that lie in files, outside the log."""
        written = {path for path in self.files.written if "/tmp/" in path}  # noqa: S108  # a name, not a folder
        return sorted(path for path in written if self.files.read(path) is not None)

    def trace(self) -> list[object]:
        """All that was observable, for comparing two executions."""
        return [*self.log.rows, self.log.head(), [spec.call for spec in self.machine.started], self.refusals]


def simulate(scenario: Scenario, plan: Plan | None = None) -> Simulation:
    """Run a scenario to its end; look at `violations` afterwards."""
    plan = plan or Plan()
    loop = VirtualLoop(plan.seed)
    asyncio.set_event_loop(loop)
    loop.set_task_factory(node_task)  # type: ignore[arg-type]  # the stubs know no `context` yet
    unexpected: list[str] = []

    def noticed(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        problem = context.get("exception")
        if not isinstance(problem, Crash):
            unexpected.append(f"unexpected: {context['message']}: {problem!r}")

    loop.set_exception_handler(noticed)

    async def main() -> Simulation:
        simulation = Simulation(scenario, plan, loop)
        await simulation.run()
        return simulation

    try:
        simulation = loop.run_until_complete(main())
        _bury(loop, simulation.nodes)
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    simulation.violations += unexpected
    return simulation


def _bury(loop: VirtualLoop, nodes: list[Node]) -> None:
    """End what is left of dead dispatchers, and look at each end once, so that asyncio does not complain later."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
    for task in [*left, *(task for node in nodes for task in node.tasks)]:
        if not task.cancelled():
            task.exception()
