"""What dispatchers measure is told in the log now and then, and not by those who only wait."""

import pytest

from commands import dispatch
from commands.measuring import Latencies
from domain.events import LogMeasured
from tests.simulation.plan import Plan
from tests.simulation.scenarios import A_DAY
from tests.simulation.simulator import simulate


def test_a_dispatcher_tells_every_ten_minutes_in_which_it_appended_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "FOLLOW_POLL_S", 10.0)  # a day of looking fifty times a second takes minutes
    monkeypatch.setattr(dispatch, "RECOVERY_CHECK_S", 10.0)
    simulation = simulate(A_DAY, Plan())
    assert not simulation.violations, simulation
    events = list(simulation.log.read(0, 1 << 20))
    told = [each for each in events if isinstance(each.data, LogMeasured)]
    begun_us = events[0].at_us
    spans = [(each.at_us - begun_us) // 600_000_000 for each in told]
    assert told
    assert len(spans) == len(set(spans)), "once in ten minutes at most"
    assert len(told) < 20, "of the 144 spans of the day only those in which something was appended"
    assert all(each.data.appends and each.data.p50_us <= each.data.p99_us <= each.data.most_us for each in told)  # type: ignore[union-attr]
    assert told[0].data.behind == told[0].position - 1, "nobody asked the tables"  # type: ignore[union-attr]


def test_quantiles_are_those_of_what_was_measured_and_of_nothing_nothing_is_told() -> None:
    latencies = Latencies()
    assert latencies.told(5.0, 0, 0) is None
    for ms in range(1, 101):
        latencies.note(1.0, 1.0 + ms / 1_000)
    found = latencies.told(9.6, 7, 3)
    assert found == LogMeasured(
        seconds=9, appends=100, p50_us=51_000, p99_us=100_000, most_us=100_000, behind=7, behind_us=3
    )
    latencies.forget()
    assert latencies.told(9.6, 0, 0) is None
