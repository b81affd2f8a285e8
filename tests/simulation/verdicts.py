"""What a scenario adds to what must always hold."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.simulator import Simulation

Verdict = Callable[["Simulation"], Iterator[str]]


def started(*expected: str) -> Verdict:
    """These programs ran, and no others."""

    def verdict(simulation: "Simulation") -> Iterator[str]:
        found = [" ".join(spec.argv) for spec in simulation.machine.started]
        if sorted(found) != sorted(expected):
            yield f"{found} ran, expected {list(expected)}"

    return verdict


def refused(code: str) -> Verdict:
    """Somebody was told no, in this way."""

    def verdict(simulation: "Simulation") -> Iterator[str]:
        if code not in simulation.refusals:
            yield f"nobody was refused with {code}: {simulation.refusals}"

    return verdict
