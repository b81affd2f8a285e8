"""The virtual loop: time passes only when nobody has anything to do, and waiting for nothing is an error."""

import asyncio
import time

import pytest

from tests.simulation.loop import START_US, Deadlock, VirtualClock, VirtualLoop, run


def test_a_day_passes_at_once_and_in_order() -> None:
    async def main() -> list[str]:
        seen: list[str] = []

        async def after(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            seen.append(name)

        await asyncio.gather(after(86_400, "late"), after(0.5, "early"), after(3600, "between"))
        return seen

    began_s = time.monotonic()
    assert run(main()) == ["early", "between", "late"]
    assert time.monotonic() - began_s < 5


def test_both_clocks_move_with_the_loop() -> None:
    async def main() -> tuple[float, int]:
        clock = VirtualClock(asyncio.get_running_loop())
        began_s, began_us = clock.monotonic_s(), clock.now_us()
        await asyncio.sleep(2)
        assert began_us >= START_US
        return clock.monotonic_s() - began_s, clock.now_us() - began_us

    passed_s, passed_us = run(main())
    assert 2 <= passed_s < 2.001
    assert 2_000_000 <= passed_us < 2_001_000


def test_waiting_for_what_never_comes_is_a_deadlock() -> None:
    with pytest.raises(Deadlock):
        run(asyncio.Event().wait())


def test_a_seed_shuffles_what_is_ready_and_the_same_seed_does_it_again() -> None:
    def order(seed: int) -> list[int]:
        loop = VirtualLoop(seed)
        seen: list[int] = []

        async def main() -> None:
            for number in range(8):
                loop.call_soon(seen.append, number)
            await asyncio.sleep(0.1)

        loop.run_until_complete(main())
        loop.close()
        return seen

    assert order(0) == sorted(order(0))
    assert order(3) == order(3) != order(0)
    assert sorted(order(3)) == order(0)
