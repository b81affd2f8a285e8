"""A driver that waits misses nothing that came while it was about to."""

import pytest

from adapters.process_fake import Program, Sleep
from commands.cancel import ask_cancel
from commands.drive import Driver
from domain.events import Fact, ToolStarted
from tests.simulation.plan import Scenario
from tests.simulation.scenarios import task
from tests.simulation.simulator import simulate


def test_a_cancel_that_comes_while_a_start_is_noted_is_seen_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Driver._note_start  # noqa: SLF001  # the moment that matters

    async def interrupted(self: Driver, fact: Fact) -> None:
        await noted(self, fact)
        if isinstance(fact, ToolStarted):
            log, now_us = self._world.log, self._world.clock.now_us()
            ask_cancel(log, self.state.run, now_us, "operator:ann", "enough")
            log.changed()  # the follower of the log looked just now
            self.look_again()

    monkeypatch.setattr(Driver, "_note_start", interrupted)
    silent: dict[str, tuple[Program, ...]] = {"silent": (Program(steps=(Sleep(400),)),)}
    simulation = simulate(
        Scenario(name="silent", tasks=(task("silent"),), programs=silent, ends=(("operator_canceled",),))
    )
    assert simulation.violations == []
    events = simulation.log.read(0, 1_000)
    assert events[-1].at_us - events[0].at_us < 60_000_000
