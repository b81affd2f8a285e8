"""Starts the child that answers user SQL, with nothing of our environment, and stops it when its time is over."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters import own_children
from domain import errors
from domain.bounds import SQL_BYTES_MAX, SQL_CPU_S_MAX, SQL_ROWS_MAX, SQL_TEXT_BYTES_MAX, SQL_WALL_S_MAX

_LATE_S = 2.0  # a child ends itself; nobody waits much longer


class Forge:
    """A process that has loaded what answers queries, and forks a fenced child for each: for who asks many.

    Begun with the first query, and again when it died. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def ask(self, request: bytes) -> bytes:
        """The answer of a child; empty where it was stopped. Raises TimeoutExpired."""
        mine, theirs = socket.socketpair()
        with mine:
            with theirs:
                self._hand_over(theirs)
            mine.settimeout(SQL_WALL_S_MAX + _LATE_S)
            mine.sendall(request)
            mine.shutdown(socket.SHUT_WR)
            parts: list[bytes] = []
            try:
                while part := mine.recv(1 << 16):
                    parts.append(part)
            except TimeoutError:
                raise subprocess.TimeoutExpired(_argv("sql-forge"), SQL_WALL_S_MAX) from None
        return b"".join(parts)

    def close(self) -> None:
        """End it; children that answer yet do so."""
        with self._lock:
            if self._control is not None:
                self._control.close()
            if self._process is not None:
                own_children.end(self._process)
            self._control = self._process = None

    def _hand_over(self, end: socket.socket) -> None:
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._begin()
            assert self._control is not None, "begun with its socket"
            socket.send_fds(self._control, [b"."], [end.fileno()])

    def _begin(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            own_children.end(self._process)
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = own_children.begin(_argv("sql-forge"), _environment(), theirs.fileno())


def ask(
    copy: Path,
    sql: str,
    *,
    rows_max: int = SQL_ROWS_MAX,
    parameters: Mapping[str, Any] | None = None,
    forge: Forge | None = None,
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
        "folder": str(copy.parent),
        "wall_s": SQL_WALL_S_MAX,
    }
    text = json.dumps(request).encode()
    try:
        said = forge.ask(text) if forge is not None else _alone(copy.parent, text)
    except subprocess.TimeoutExpired:
        raise errors.SqlRefused(why=f"the query took longer than {SQL_WALL_S_MAX} s and was stopped") from None
    try:
        answer: dict[str, Any] = json.loads(said)
    except ValueError:
        raise errors.SqlRefused(why="the query was stopped by a limit of memory or time") from None
    if "refused" in answer:
        raise errors.SqlRefused(why=answer["refused"])
    if "error" in answer:
        raise errors.SqlInvalid(why=_said(answer["error"]))
    return answer


def _alone(folder: Path, request: bytes) -> bytes:
    """The answer of a process that is started for this query."""
    return subprocess.run(  # noqa: S603  # our own program
        _argv("sql-child"),
        input=request,
        capture_output=True,
        timeout=SQL_WALL_S_MAX,
        env=_environment(),
        cwd=folder,
        check=False,
    ).stdout


def _argv(name: str) -> list[str]:
    return [sys.executable, "-P", "-m", "rt_runtime", name]


def _environment() -> dict[str, str]:
    return {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "PYTHONPATH": _root(), "LC_ALL": "C.UTF-8"}


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
