"""Small programs of the house: sensors, deliveries. None outlives what it was run for."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from adapters.process import LocalProcesses
from adapters.system import SystemClock
from commands.programs import Program, run
from commands.world import World
from tests.adapters.test_process import alive, pids


def test_one_that_is_given_up_is_ended_with_all_its_children(tmp_path: Path) -> None:
    """Nothing in the log names it, so nobody could end it later."""
    noted = tmp_path / "pids"
    argv = ("/bin/sh", "-c", f"trap '' TERM; echo $$ >> {noted}; setsid sleep 30 & echo $! >> {noted}; sleep 30")
    program = Program(argv, str(tmp_path), {"PATH": "/usr/bin:/bin"}, timeout_s=20, bytes_max=100)

    async def story() -> None:
        processes = LocalProcesses()
        parts = SimpleNamespace(ids=SimpleNamespace(new=lambda: "a" * 32), clock=SystemClock(), processes=processes)
        going = asyncio.create_task(run(cast("World", parts), program))
        while len(pids(noted)) < 2:  # noqa: ASYNC110  # another process writes it
            await asyncio.sleep(0.01)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
        processes.close()

    asyncio.run(story())
    assert alive(*pids(noted)) == []
