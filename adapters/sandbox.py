"""Starts the child that answers user SQL, with nothing of our environment, and stops it when its time is over."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from domain import errors
from domain.bounds import SQL_BYTES_MAX, SQL_CPU_S_MAX, SQL_ROWS_MAX, SQL_TEXT_BYTES_MAX, SQL_WALL_S_MAX


def ask(
    copy: Path, sql: str, *, rows_max: int = SQL_ROWS_MAX, parameters: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Columns, types, rows and whether they were cut. Raises SqlRefused or SqlInvalid."""
    if len(sql.encode("utf-8", "replace")) > SQL_TEXT_BYTES_MAX:
        raise errors.SqlRefused(why=f"the query is longer than {SQL_TEXT_BYTES_MAX} bytes")
    request = {
        "path": copy.name,
        "sql": sql,
        "rows": rows_max,
        "bytes": SQL_BYTES_MAX,
        "cpu_s": SQL_CPU_S_MAX,
        "parameters": dict(parameters or {}),
    }
    argv = [sys.executable, "-P", "-m", "rt_runtime", "sql-child"]
    environment = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "PYTHONPATH": _root(), "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(  # noqa: S603  # our own program
            argv,
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=SQL_WALL_S_MAX,
            env=environment,
            cwd=copy.parent,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise errors.SqlRefused(why=f"the query took longer than {SQL_WALL_S_MAX} s and was stopped") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise errors.SqlRefused(
            why=f"the query was stopped by a limit of memory or time (status {done.returncode})"
        ) from None
    if "refused" in answer:
        raise errors.SqlRefused(why=answer["refused"])
    if "error" in answer:
        raise errors.SqlInvalid(why=_said(answer["error"]))
    return answer


def _said(text: str) -> str:
    """What DuckDB says in one sentence: the message, its suggestion, and where in the query, as line and column."""
    message, _, shown = text.partition("\n\nLINE ")
    words = "; ".join(part.strip() for part in message.splitlines() if part.strip())
    number, colon, rest = shown.partition(": ")
    lines = rest.splitlines()
    if not (colon and number.isdecimal() and len(lines) > 1 and "^" in lines[1]):
        return words
    column = lines[1].index("^") - len(f"LINE {number}: ") + 1
    return f"{words} (line {number}, column {column}: {lines[0].strip()[:100]})"


def _root() -> str:
    """The folder that holds rt_runtime, also when it was started from a checkout."""
    return str(Path(sys.modules["rt_runtime"].__file__ or "").resolve().parent.parent)
