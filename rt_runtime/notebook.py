"""The tables of a home as a DuckDB connection, for notebooks and scripts.

    from rt_runtime import connect
    connect().sql("SELECT status, count(*) FROM tasks GROUP BY 1")

`rt sql --open` makes the copy in a process of its own, so that nothing of rt is imported here.
"""

import json
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Any


class ConnectError(Exception):
    """`rt sql --open` refused; the message is what it said."""


def connect(home: str | None = None, *, at: str | int | None = None) -> Any:  # noqa: ANN401  # duckdb's own type
    """A read-only DuckDB connection on a private copy of the tables, which is removed with the connection.

    `home` is the folder of the log, else the nearest one upwards; `at` a position or time, else now. The copy does not
    follow what happens later: connect again. Raises ConnectError, and ImportError where DuckDB is not installed.
    """
    import duckdb

    folder = tempfile.TemporaryDirectory(prefix="rt-connect-")
    target = Path(folder.name) / "rt.duckdb"
    argv = [sys.executable, "-P", "-m", "rt_runtime", "sql", "--open", str(target), "--json"]
    argv += ["--home", home] if home else []
    argv += ["--at", str(at)] if at is not None else []
    done = subprocess.run(argv, capture_output=True, check=False)  # noqa: S603  # our own program
    if done.returncode:
        folder.cleanup()
        raise ConnectError(_why(done.stderr))
    connection = duckdb.connect(str(target), read_only=True)
    weakref.finalize(connection, folder.cleanup)
    return connection


def _why(said: bytes) -> str:
    text = said.decode("utf-8", "replace").strip()
    try:
        return str(json.loads(text.splitlines()[-1])["error"]["message"])
    except (ValueError, KeyError, IndexError):
        return text
