"""The wheel: built through the sdist, one name in site-packages, and rt works where others have a `domain` too."""

import os
import site
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("adapters", "commands", "domain", "projections", "replays")
pytestmark = pytest.mark.xdist_group("packaging")


def _run(argv: Sequence[str | Path], cwd: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "HOME": os.devnull, "LANG": "C.UTF-8"} | variables
    return subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=120)


def _must(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built offline from an unpacked sdist."""
    folder = tmp_path_factory.mktemp("build")
    hatchling = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    _must(_run([*hatchling, "-t", "sdist"], ROOT))
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as packed:
        packed.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    _must(_run([*hatchling, "-t", "wheel"], unpacked))
    (made,) = folder.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; dependencies are borrowed from ours."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    _must(_run([sys.executable, "-m", "venv", "--without-pip", str(folder)], ROOT))
    python = folder / "bin" / "python"
    before = set(_packages(folder).iterdir())
    _must(
        _run([sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", wheel], ROOT)
    )
    added = {path.name for path in set(_packages(folder).iterdir()) - before}
    assert {name for name in added if not name.endswith(".dist-info")} == {"rt_runtime"}
    assert len(added) == 2
    (_packages(folder) / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder


def _packages(environment: Path) -> Path:
    (found,) = environment.glob("lib/python*/site-packages")
    return found


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Somebody's repository, whose packages have our names and must never be imported."""
    for name in FOLDERS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text('raise RuntimeError("the wrong package")\n')
    return tmp_path


def test_the_wheel_holds_the_folders_in_one_package_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"rt_runtime"}
    assert {name.split("/")[1] for name in names if name.count("/") > 1 and ".dist-info" not in name} >= set(FOLDERS)
    assert not [name for name in names if "tests" in name or "__pycache__" in name]
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            assert f"rt_runtime/{path.relative_to(ROOT)}" in names


STARTS = {
    "rt": ("bin/rt",),
    "python -m": ("bin/python", "-m", "rt_runtime"),
    "python -P -m": ("bin/python", "-P", "-m", "rt_runtime"),
}


@pytest.mark.parametrize("path", ["", "."], ids=["plain", "PYTHONPATH=."])
@pytest.mark.parametrize("start", STARTS)
def test_rt_works_beside_packages_of_the_same_names(environment: Path, foreign: Path, start: str, path: str) -> None:
    program, *rest = STARTS[start]
    argv = [str(environment / program), *rest]
    variables = {"PYTHONPATH": path} if path else {}
    help_text = _must(_run([*argv, "--help"], foreign, **variables))
    assert "Usage: rt" in help_text
    done = _run([*argv, "do", "--", "echo", "works"], foreign, **variables)
    assert _must(done) == "works\n"
    assert '"rows": [[1]]' in _must(_run([*argv, "sql", "--json", "SELECT count(*) FROM tasks"], foreign, **variables))
    assert "identical" in _must(_run([*argv, "replay", "@last"], foreign, **variables))
    refused = _run([*argv, "task", "show", "ffff", "--json"], foreign, **variables)
    assert (refused.returncode, refused.stdout) == (3, "")


def test_the_version_is_the_one_of_the_distribution(environment: Path, tmp_path: Path) -> None:
    text = (ROOT / "pyproject.toml").read_text()
    version = text.partition('version = "')[2].partition('"')[0]
    assert _must(_run([environment / "bin/rt", "--version"], tmp_path)) == f"rt {version}\n"


def test_our_names_are_not_importable_without_rt(environment: Path, tmp_path: Path) -> None:
    for name in FOLDERS:
        done = _run([environment / "bin/python", "-P", "-c", f"import {name}"], tmp_path)
        assert "ModuleNotFoundError" in done.stderr, name


def test_rt_refuses_a_process_that_has_loaded_a_foreign_package(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "domain").mkdir()
    (tmp_path / "domain" / "__init__.py").write_text("")
    program = "import sys; sys.path.insert(0, '.'); import domain, rt_runtime; rt_runtime.main()"
    done = _run([environment / "bin/python", "-c", program], tmp_path)
    assert done.returncode != 0
    assert "rt needs a process of its own" in done.stderr
    assert site.ENABLE_USER_SITE is not None
