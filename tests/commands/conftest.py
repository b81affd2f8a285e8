"""Places for the tests of the command line."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.commands.place import Place

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background by a shell: programs would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty folder."""
    return Place(tmp_path)


@pytest.fixture(scope="session")
def _made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("history")).config()
    made.do("sh", "-c", "echo first; echo loud >&2")
    made.do("sh", "-c", "echo broken; exit 3", options=("--attempts", "2"))
    made.do("/nowhere/at-all")
    made.ok("cancel", made.queue("true"), "--reason", "not needed")
    made.queue("true", options=("--priority", "7", "--subject", "a waiting one"))
    made.queue("true", options=("--in-minutes", "60"))
    made.ok("status")
    return made


@pytest.fixture
def history(_made: Place, tmp_path: Path) -> Place:
    """A copy of a home with a completed, a blocked, a failed, a canceled, a due and a delayed task."""
    shutil.copytree(_made.folder, tmp_path / "history", dirs_exist_ok=True)
    return Place(tmp_path / "history")


@pytest.fixture
def shared(_made: Place) -> Place:
    """The same home for tests that only look at it."""
    return _made
