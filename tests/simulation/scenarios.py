"""The one-shot scenarios: what is taken in, what the programs do, what people do meanwhile."""

from typing import Any

from adapters.process_fake import Fork, Print, Program, Sleep
from commands.cancel import ask_cancel
from domain import task as tasks
from domain.bounds import CHUNK_BYTES_MAX
from domain.config import Adapter, Config, Retry, Work
from domain.errors import RtError
from domain.events import DispatchPaused, DispatchResumed, Event, Put, Recorded, TaskClaimed
from domain.ids import DISPATCH
from domain.ports import LogView
from tests.simulation.plan import Act, Scenario
from tests.simulation.simulator import Simulation

CONFIG = Config(retry=Retry(attempts=4, backoff_s=0.2, backoff_max_s=1.0), work=Work(kill_grace_s=0.4))
AT_ONCE = Config(retry=Retry(attempts=4, backoff_s=0.0, backoff_max_s=0.0), work=Work(kill_grace_s=0.4))
ADAPTERS = {
    "report": Adapter(command="report", outcome="json", timeout_s=5),
    "payment": Adapter(command="payment", outcome="exit", effect="once", timeout_s=5),
}
SCRIPTS = Config(retry=CONFIG.retry, work=CONFIG.work, adapters=ADAPTERS)

_JSON = b'working\n{"status": "completed", "operator_summary": "all good", "file_changes": ["a.txt"]}\n'
_LINES = b"".join(b"line %06d of a longer output\n" % number for number in range(9_000))
OK = Program(steps=(Print(b"hello\n"), Sleep(0.1), Print(b"world\n", "stderr"), Sleep(0.1), Print(b"the end")))
FAILS = Program(steps=(Sleep(0.05), Print(b"no\n", "stderr")), exit_code=1)
SLOW = Program(steps=(Print(b"begun\n"), Sleep(1.5), Print(b"finished\n")))
STUBBORN = Program(
    steps=(
        Fork(Program(steps=(Sleep(100),), ignores_term=True, ignores_pipe=True)),
        Print(b"deaf\n"),
        Sleep(0.2),
        Print(b"still here\n"),
        Sleep(100),
    ),
    ignores_term=True,
    ignores_pipe=True,
)


def task(command: str, **given: object) -> dict[str, Any]:
    """A task input that runs a command."""
    payload = {"argv": [command]} | ({"timeout_s": given.pop("timeout_s")} if "timeout_s" in given else {})
    return {"kind": "command", "source": "test", "payload": payload} | given


def script(adapter: str, **given: object) -> dict[str, Any]:
    """A task input for a script adapter."""
    return {"kind": "goal", "source": "test", "payload": {"n": 1}, "requested_adapter": adapter} | given


# what people do


def wish(number: int, wanted: tasks.Wish) -> Act:
    """A person's wish for a task that does not run."""

    def act(simulation: Simulation) -> None:
        name = simulation.tasks[number]

        def decide(view: LogView) -> Put:
            state = view.task(name)
            assert state is not None
            return Put(events=(_event(simulation, name, state.version + 1, tasks.decide(state, wanted)),))

        simulation.order(decide)

    return act


def cancel(number: int) -> Act:
    """End a task whatever its state is, as `rt task cancel` does."""

    def act(simulation: Simulation) -> None:
        if number >= len(simulation.tasks):
            return
        state = simulation.log.task(simulation.tasks[number])
        if state is None:
            return
        if state.status is tasks.Status.RUNNING:
            try:
                ask_cancel(simulation.log, state.run, simulation.clock.now_us(), "operator:ann", "enough")
            except RtError as problem:
                simulation.refusals.append(problem.code)
        else:
            wish(number, tasks.Wish("cancel", "enough"))(simulation)

    return act


def cancel_first_run(simulation: Simulation) -> None:
    """Ask a run to end that may have ended long ago."""
    claims = [event.data for event in simulation.log.stream(simulation.tasks[0]) if isinstance(event.data, TaskClaimed)]
    if claims:
        try:
            ask_cancel(simulation.log, claims[0].run, simulation.clock.now_us(), "operator:ann", "too late")
        except RtError as problem:
            simulation.refusals.append(problem.code)


def dispatching(event: DispatchPaused | DispatchResumed) -> Act:
    """Pause or resume."""

    def act(simulation: Simulation) -> None:
        simulation.order(
            lambda view: Put(events=(_event(simulation, DISPATCH, view.version(DISPATCH) + 1, event, about=""),))
        )

    return act


def stop(simulation: Simulation) -> None:
    """The second SIGTERM: the dispatchers end their runs and go."""
    for node in simulation.nodes:
        if not node.dead:
            node.dispatcher.stop()


def drain(simulation: Simulation) -> None:
    """The first SIGTERM: the dispatchers claim nothing more and go when their runs have ended."""
    for node in simulation.nodes:
        if not node.dead:
            node.dispatcher.drain()


def lose_lock(simulation: Simulation) -> None:
    """The first dispatcher counts as dead and does not know it; it is told to claim nothing more."""
    first = simulation.nodes[0]
    if not first.dead:
        simulation.locks.holders.discard(first.dispatcher.id)
        first.dispatcher.drain()


def _event(simulation: Simulation, stream: str, version: int, data: Event, about: str | None = None) -> Recorded:
    return Recorded(
        stream=stream,
        version=version,
        at_us=simulation.clock.now_us(),
        actor="operator:ann",
        data=data,
        correlation=stream if about is None else about,
    )


def chatty(count: int, every_s: float) -> Program:
    """Prints a line again and again."""
    steps: list[Print | Sleep] = []
    for number in range(count):
        steps += [Print(b"line %d\n" % number), Sleep(every_s)]
    return Program(steps=tuple(steps), ignores_pipe=True)


def _scenario(name: str, *ends: tuple[str, ...], **given: Any) -> Scenario:  # noqa: ANN401  # the fields of Scenario
    return Scenario(name=name, ends=ends, **({"config": CONFIG} | given))


_CANCELED = ("operator_canceled",)
_DONE = ("completed",)
_CANCEL_MAYBE_LATE = ("operator_canceled", "completed")

SCENARIOS: tuple[Scenario, ...] = (
    _scenario("success", _DONE, tasks=(task("ok"),), programs={"ok": (OK,)}),
    _scenario("do", _DONE, tasks=(task("ok"),), programs={"ok": (OK,)}, here=True),
    _scenario(
        "much output",
        _DONE,
        tasks=(task("big"),),
        programs={
            "big": (
                Program(
                    steps=(Print(_LINES), Print(_LINES, "stderr"), Sleep(0.3), Print(b"x" * (CHUNK_BYTES_MAX * 2)))
                ),
            )
        },
    ),
    _scenario("retry", _DONE, tasks=(task("flaky"),), programs={"flaky": (FAILS, OK)}),
    _scenario(
        "permanent failure",
        ("permanent_failure:exit:64",),
        tasks=(script("report"),),
        programs={"report": (Program(steps=(Sleep(0.05),), exit_code=64),)},
        config=SCRIPTS,
    ),
    _scenario(
        "attempts exhausted",
        ("blocked:attempts_exhausted",),
        tasks=(task("bad", max_attempts=2),),
        programs={"bad": (FAILS,)},
    ),
    _scenario("spawn failure", ("permanent_failure:command_not_found",), tasks=(task("nothing"),), programs={}),
    _scenario(
        "out of resources",
        _DONE,
        tasks=(task("scarce"),),
        programs={"scarce": (Program(refused="out_of_resources"), OK)},
    ),
    _scenario(
        "timeout obeyed",
        ("blocked:attempts_exhausted",),
        tasks=(task("slow", timeout_s=0.5, max_attempts=2),),
        programs={"slow": (Program(steps=(Print(b"begun\n"), Sleep(100))),)},
    ),
    _scenario(
        "timeout ignored, child left over",
        _DONE,
        tasks=(task("deaf", timeout_s=0.5),),
        programs={"deaf": (STUBBORN, OK)},
    ),
    _scenario(
        "held pipe",
        _DONE,
        tasks=(task("holder"),),
        programs={"holder": (Program(steps=(Fork(Program(steps=(Sleep(100),))), Print(b"gone\n"))),)},
    ),
    _scenario(
        "cancel before the claim", _CANCELED, tasks=(task("ok"),), programs={"ok": (OK,)}, acts=((0, cancel(0)),)
    ),
    _scenario(
        "cancel while running", _CANCELED, tasks=(task("slow"),), programs={"slow": (SLOW,)}, acts=((0.5, cancel(0)),)
    ),
    _scenario(
        "cancel of who ignores it",
        _CANCELED,
        tasks=(task("deaf"),),
        programs={"deaf": (STUBBORN,)},
        acts=((0.5, cancel(0)),),
    ),
    _scenario(
        "cancel after a crash",
        ("completed", "operator_canceled"),
        tasks=(task("deaf"),),
        programs={"deaf": (Program(steps=(Print(b"a\n"), Sleep(1)), ignores_pipe=True),)},
        on_crash=cancel(0),
    ),
    _scenario(
        "cancel of a run that is over",
        _DONE,
        tasks=(task("flaky"),),
        programs={"flaky": (FAILS, SLOW)},
        acts=((0.9, cancel_first_run),),
    ),
    _scenario(
        "pause and resume",
        _DONE,
        _DONE,
        tasks=(task("ok"), task("ok")),
        programs={"ok": (OK,)},
        acts=((0, dispatching(DispatchPaused(reason="lunch"))), (0.5, dispatching(DispatchResumed()))),
    ),
    _scenario(
        "two tasks side by side",
        _DONE,
        _DONE,
        tasks=(task("ok"), task("flaky", priority=9)),
        programs={"ok": (OK,), "flaky": (FAILS, OK)},
    ),
    _scenario(
        "once",
        ("completed", "blocked:needs_reconcile"),
        tasks=(script("payment"),),
        programs={"payment": (Program(steps=(Print(b"paying\n"), Sleep(0.3), Print(b"paid\n")), ignores_pipe=True),)},
        config=SCRIPTS,
    ),
    _scenario(
        "json outcome",
        _DONE,
        tasks=(script("report"),),
        programs={"report": (Program(steps=(Print(_JSON),)),)},
        config=SCRIPTS,
    ),
    _scenario(
        "stopped",
        _DONE,
        _DONE,
        tasks=(task("slow"), task("ok")),
        programs={"slow": (SLOW,), "ok": (OK,)},
        acts=((0.4, stop),),
    ),
    _scenario(
        "drained",
        _DONE,
        _DONE,
        tasks=(task("slow"), task("ok")),
        programs={"slow": (SLOW,), "ok": (OK,)},
        acts=((0.4, drain),),
        concurrency=1,
    ),
    _scenario(
        "blocked, then unblocked",
        ("completed", "blocked:attempts_exhausted"),
        tasks=(task("bad", max_attempts=1),),
        programs={"bad": (FAILS, OK)},
        acts=((4.0, wish(0, tasks.Wish("unblock", "mended"))),),
    ),
    _scenario(
        "two dispatchers",
        _DONE,
        _DONE,
        _DONE,
        tasks=(task("ok"), task("flaky"), task("slow")),
        programs={"ok": (OK,), "flaky": (FAILS, OK), "slow": (SLOW,)},
        nodes=2,
        concurrency=1,
    ),
    _scenario(
        "two dispatchers and a cancel",
        _CANCEL_MAYBE_LATE,
        _DONE,
        tasks=(task("slow"), task("ok")),
        programs={"ok": (OK,), "slow": (SLOW,)},
        nodes=2,
        acts=((0.3, cancel(0)),),
    ),
)

# A dispatcher that counts as dead without being it: impossible with kernel locks, but not with leases.
LOST_LOCK = _scenario(
    "lost lock",
    _DONE,
    tasks=(task("talks"),),
    programs={"talks": (chatty(400, 0.005),)},
    nodes=2,
    config=AT_ONCE,
    acts=((0.5, lose_lock),),
)
_DAY = Config(retry=Retry(attempts=3), adapters=ADAPTERS)  # the pauses of the defaults: a minute, growing
A_DAY = _scenario(
    "a day",
    _DONE,
    _DONE,
    ("blocked:attempts_exhausted",),
    ("permanent_failure:command_not_found",),
    _DONE,
    ("blocked:attempts_exhausted",),
    ("completed", "blocked:needs_reconcile"),
    _CANCELED,
    tasks=(
        task("ok"),
        task("flaky", max_attempts=9),
        task("bad"),
        task("nothing"),
        task("ok", schedule={"delay_minutes": 23 * 60}),
        task("deaf", timeout_s=3600),
        script("payment"),
        task("ok", schedule={"delay_minutes": 60}),
    ),
    programs={
        "ok": (OK,),
        "flaky": (FAILS, FAILS, FAILS, FAILS, OK),
        "bad": (FAILS,),
        "deaf": (Program(steps=(Sleep(1e6),), ignores_term=True, ignores_pipe=True),),
        "payment": (Program(steps=(Sleep(3),), ignores_pipe=True),),
    },
    config=_DAY,
    acts=((1800.0, cancel(7)), (86_400.0, lambda _: None)),
    horizon_s=86_500.0,
)


def named(name: str) -> Scenario:
    """A scenario by its name."""
    return next(each for each in (*SCENARIOS, LOST_LOCK, A_DAY) if each.name == name)
