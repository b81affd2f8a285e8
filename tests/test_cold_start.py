"""A cold start is a feature: what a command may load before it answers."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.place import Place

HEAVY = {"pydantic", "duckdb", "_duckdb", "httpx", "starlette", "uvicorn", "plotly", "psycopg"}
DOCUMENT = '{"kind": "k", "source": "s", "payload": {"argv": ["true"]}}'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A home with a task in it."""
    place = Place(tmp_path_factory.mktemp("cold"))
    place.queue("true")
    return place


def loaded(place: Place, *argv: str) -> set[str]:
    """The top-level modules that a command loads."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-P", "-m", "rt_runtime", *argv],
        capture_output=True,
        text=True,
        cwd=place.folder,
        env=place.environment,
        check=False,
    )
    assert done.returncode == 0, done
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("argv", [("--help",), ("--version",), ("intake", DOCUMENT), ("task", "--help")], ids=" ".join)
def test_what_needs_no_table_loads_none_of_the_heavy_modules(home: Place, argv: tuple[str, ...]) -> None:
    assert not loaded(home, *argv) & HEAVY


@pytest.mark.parametrize("argv", [("--help",), ("help", "exit-codes")], ids=" ".join)
def test_help_loads_neither_the_library_of_the_log_nor_the_dispatcher(home: Place, argv: tuple[str, ...]) -> None:
    assert not loaded(home, *argv) & {"eventsourcing", "asyncio", "zstandard", "ahocorasick_rs"}


def test_status_loads_the_tables_and_nothing_else_that_is_heavy(home: Place) -> None:
    found = loaded(home, "status")
    assert found & HEAVY == {"_duckdb"}
    assert not found & {"eventsourcing", "typer", "msgspec"}


@pytest.mark.parametrize("argv", [("do", "--", "true"), ("work", "--until-idle")], ids=" ".join)
def test_a_dispatcher_loads_no_tables(home: Place, argv: tuple[str, ...]) -> None:
    assert not loaded(home, *argv) & HEAVY


@pytest.mark.parametrize(
    "argv", [("intake", DOCUMENT), ("intake", "--", "true"), ("intake", "--json", DOCUMENT)], ids=" ".join
)
def test_a_plain_intake_does_not_load_what_reads_options(home: Place, argv: tuple[str, ...]) -> None:
    assert not loaded(home, *argv) & {"typer", "click", "rich", "asyncio"}


def test_the_list_is_real(home: Place) -> None:
    assert {"typer", "msgspec", "commands", "domain"} <= loaded(home, "intake", DOCUMENT, "--priority", "1")
    assert Path(home.folder).is_dir()
