"""Servers for tests: one that a whole module shares, and one that is a test's own."""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.api.listening import ADAPTER
from tests.api.serving import Served, run, served


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose log holds a run that completed, one that failed, a schedule and a workflow."""
    folder = tmp_path_factory.mktemp("shared")
    with filled(folder) as found:
        yield found


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """A server with an empty log, of this test alone."""
    with served(tmp_path / "own") as found:
        yield found


def filled(folder: Path) -> AbstractContextManager[Served]:
    run(folder, "init")
    run(folder, "do", "--", "echo", "hello")
    run(folder, "do", "--", "sh", "-c", "echo no >&2; exit 3", check=False)
    run(folder, "schedule", "create", "nightly", "--every", "30m", "--", "echo", "hi")
    run(folder, "workflow", "create", "--template", "goal-loop", "--key", "w1", "--context", '{"goal":"x"}')
    return served(folder)


@pytest.fixture
def fed(tmp_path: Path) -> Iterator[Served]:
    """A server with an empty log, of this test alone, that takes in tasks for a program that does nothing."""
    folder = tmp_path / "fed"
    folder.mkdir()
    (folder / "rt.toml").write_text(ADAPTER)
    with served(folder) as found:
        yield found
