"""Golden logs as tests of a project that uses rt: a pytest plugin, loaded by itself where rt is installed.

    # pyproject.toml                       # or by hand, in a test of your own
    [tool.pytest.ini_options]              def test_our_agents_decide_as_recorded(rt_golden):
    rt_golden = ["tests/golden/runs"]          rt_golden("tests/golden/runs")

Each golden log below a folder of `rt_golden` is a test. They are replayed by `rt golden check` in a process of its own,
with the project's own code nowhere in it, and nothing of rt is imported here.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_FILE = "log.jsonl"
_CHECKED = pytest.StashKey[dict[Path, dict[str, str]]]()


class GoldenLogDiffers(AssertionError):
    """A golden log does not replay; the message shows the first difference."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """See pytest: the folders that hold golden logs."""
    parser.addini("rt_golden", "Folders of golden logs of rt; each log in them is a test.", type="paths", default=[])


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """See pytest: a golden log is a file of one test."""
    folders = [Path(each).resolve() for each in parent.config.getini("rt_golden")]
    if file_path.name != _FILE or file_path.resolve().parent.parent not in folders:
        return None
    return _GoldenFile.from_parent(parent, path=file_path)


class _GoldenFile(pytest.File):
    def collect(self) -> Iterator[pytest.Item]:
        yield _GoldenItem.from_parent(self, name=self.path.parent.name)


class _GoldenItem(pytest.Item):
    def runtest(self) -> None:
        checked = self.config.stash.setdefault(_CHECKED, {})
        folder = self.path.parent.parent
        if folder not in checked:  # one process for all of a folder
            checked[folder] = differences(folder)
        shown = checked[folder].get(self.name, "")
        if shown:
            raise GoldenLogDiffers(shown)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401  # pytest's
        if isinstance(excinfo.value, GoldenLogDiffers):
            again = f"rt golden check {self.path.parent.parent}"
            after = f"look again: {again}; if it is wanted: rt golden update {self.name}"
            return f"golden log {self.name} diverged\n{excinfo.value}\n{after}"
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"golden log {self.name}"


@pytest.fixture
def rt_golden() -> Callable[[str | Path], None]:
    """Check all golden logs in a folder; a test fails with the first difference of each that diverged."""

    def check(folder: str | Path) -> None:
        found = {name: shown for name, shown in differences(Path(folder)).items() if shown}
        if found:
            raise GoldenLogDiffers("\n\n".join(f"{name}\n{shown}" for name, shown in found.items()))

    return check


def differences(folder: Path) -> dict[str, str]:
    """The first difference of each golden log in a folder, empty for those that are identical.

    Raises GoldenLogDiffers where they cannot be checked: none is there, or one is no golden log.
    """
    argv = [sys.executable, "-P", "-m", "rt_runtime", "golden", "check", str(folder), "--json"]
    done = subprocess.run(argv, capture_output=True, check=False)  # noqa: S603  # our own program
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = {each["name"]: each["shown"] for each in lines if each["schema"] == "rt.golden.v1"}
    if done.returncode not in (0, 4) or not found:
        raise GoldenLogDiffers(done.stderr.decode("utf-8", "replace").strip())
    return found
