"""What people answer: the real commands, at moments at which there may be nothing to answer."""

from collections.abc import Callable, Iterator

from commands import answers
from commands.answers import Who
from commands.cancel import cancel_task
from commands.recover import read_tip
from domain import mind as minds
from domain.errors import RtError
from domain.mind import Mind
from tests.simulation.plan import Act
from tests.simulation.simulator import Simulation

Times = tuple[tuple[float, Act], ...]


def who(simulation: Simulation) -> Who:
    return Who("operator:ann", "cli", simulation.clock.now_us())


def minded(simulation: Simulation) -> Iterator[tuple[str, Mind]]:
    """The runs that wait, or go on, with what they remember."""
    for name in simulation.tasks:
        task = simulation.log.task(name)
        if task is not None and task.open_run:
            mind = read_tip(simulation.log, task.open_run).state.mind
            if mind is not None:
                yield task.open_run, mind


def trying(what: Callable[[Simulation, str, Mind], None]) -> Act:
    """Do it for each run that is open; a refusal is an answer, too."""

    def act(simulation: Simulation) -> None:
        for run, mind in list(minded(simulation)):
            try:
                what(simulation, run, mind)
            except RtError as problem:
                simulation.refusals.append(problem.code)

    return act


def _approve(simulation: Simulation, run: str, mind: Mind) -> None:
    for each in minds.pending(mind):
        note = "forty-two" if each.kind == "question" else ""
        answers.approve(simulation.desk, run, each.call, who(simulation), digest=each.digest, note=note)


def _approve_late(simulation: Simulation, run: str, mind: Mind) -> None:
    """Of somebody who looked a while ago: whatever was asked for, whoever was faster."""
    for call in range(1, mind.calls + 1):
        try:
            answers.approve(simulation.desk, run, call, who(simulation), note="me too")
        except RtError as problem:
            simulation.refusals.append(problem.code)


def _reject(simulation: Simulation, run: str, mind: Mind) -> None:
    for each in minds.pending(mind):
        answers.reject(simulation.desk, run, each.call, who(simulation), "too risky")


def _edit(simulation: Simulation, run: str, mind: Mind) -> None:
    for each in minds.pending(mind):
        document = {"command": each.tool, "args": ["edited"]}
        answers.edit(simulation.desk, run, each.call, who(simulation), document)


def _settle(happened: bool) -> Callable[[Simulation, str, Mind], None]:  # noqa: FBT001  # what was found
    def act(simulation: Simulation, run: str, mind: Mind) -> None:
        for each in minds.unknown(mind):
            answers.settle(simulation.desk, run, each.call, who(simulation), happened=happened, note="looked")

    return act


def look(_: Simulation) -> None:
    """Somebody looks and does nothing."""


approve, approve_late, reject, edit = trying(_approve), trying(_approve_late), trying(_reject), trying(_edit)
happened, did_not_happen = trying(_settle(happened=True)), trying(_settle(happened=False))


def cancel(simulation: Simulation) -> None:
    """As `rt task cancel` does."""
    for name in simulation.tasks:
        try:
            cancel_task(simulation.desk, name, simulation.clock.now_us(), "operator:ann", "enough")
        except RtError as problem:
            simulation.refusals.append(problem.code)


def reconfigured(simulation: Simulation) -> None:
    """The configuration changes: for dispatchers that start from now on."""
    assert simulation.scenario.later is not None
    simulation.config = simulation.scenario.later


def often(*acts: Act, begin_s: float = 0.5, every_s: float = 0.7, times: int = 7) -> Times:
    """Somebody who looks now and then, so that a crash does not make them miss what waits."""
    return tuple((begin_s + every_s * number, act) for number in range(times) for act in acts)
