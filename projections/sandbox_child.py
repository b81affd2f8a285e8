"""The child in which user SQL runs: a private copy, read-only, no files, no network, bounded memory and time.

Settings alone are no fence, so the process itself is limited before DuckDB is loaded. Reads one JSON request from
standard input, writes one JSON answer.
"""

import json
import math
import os
import resource
import signal
import socket
import sys
from typing import Any, NoReturn

LOCKED: dict[str, str | bool | int | float | list[str]] = {
    "access_mode": "READ_ONLY",
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "max_temp_directory_size": "0B",
    "memory_limit": "512MB",
    "threads": "1",
    "lock_configuration": "true",
}
ALLOWED = ("SELECT", "EXPLAIN")
_ZONED = "WITH TIME ZONE"
_ADDRESS_BYTES = 2 << 30
_FILES = 32


def main() -> None:
    """Answer one query and leave."""
    request = json.load(sys.stdin)
    text = _answered(request)
    sys.stdout.write(text)
    sys.stdout.flush()
    os._exit(0)  # DuckDB's threads may hang in a limit; nothing is left to tidy


def forge() -> None:
    """Load what answers queries once, and fork a child for each that is handed over, until nobody hands over any more.

    Standard input is a Unix socket over which one end of a socket comes for each query. A child that was forked has
    limits of its own, and knows nothing of the queries before it: its parent never looks at one.
    """
    import _duckdb  # noqa: F401  # here once, and there in every child

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    control = socket.socket(fileno=0)
    while True:
        _, handed, _, _ = socket.recv_fds(control, 1, 1)
        if not handed:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            _serve(socket.socket(fileno=handed[0]))
        os.close(handed[0])


def _serve(line: socket.socket) -> NoReturn:
    """Answer one query in a child of the forge."""
    try:
        with line.makefile("rb") as asked:
            request = json.load(asked)
        signal.alarm(int(request["wall_s"]))  # what hangs in DuckDB ends too
        os.chdir(request["folder"])
        line.sendall(_answered(request).encode())
    finally:
        os._exit(0)


def _answered(request: dict[str, Any]) -> str:
    """The answer as JSON; from here on this process is limited."""
    cpu = int(request["cpu_s"])
    limits = (
        (resource.RLIMIT_AS, _ADDRESS_BYTES),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _FILES),
    )
    for what, most in limits:
        resource.setrlimit(what, (most, most))
    try:
        answer = _answer(request)
    except MemoryError:
        answer = {"refused": "the query needs more memory than it may have"}
    return json.dumps(answer, default=_plain)


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    import _duckdb as duckdb  # without the package around it, whose import takes longer than most queries

    try:
        database = duckdb.connect(request["path"], config=LOCKED)
        refused = _refused(database, request["sql"])
        if refused:
            return {"refused": refused}
        parameters = request.get("parameters") or None
        found = database.execute(request["sql"], parameters)
        columns, types = ([str(column[at]) for column in found.description] for at in (0, 1))
        if any(_ZONED in each for each in types):
            found = database.execute(_without_zones(duckdb, request["sql"], types), parameters)
        return {"columns": columns, "types": types} | _rows(found, request["rows"], request["bytes"])
    except (duckdb.PermissionException, duckdb.OutOfMemoryException) as problem:
        return {"refused": _text(problem)}
    except duckdb.InvalidInputException as problem:
        text = _text(problem)
        return {"refused" if "read-only" in text or "disabled" in text else "error": text}
    except duckdb.Error as problem:
        return {"error": _text(problem)}


def _refused(database: Any, sql: str) -> str:  # noqa: ANN401  # duckdb is loaded behind the limits
    statements = database.extract_statements(sql)
    if len(statements) != 1:
        return f"one statement, please; this is {len(statements)}"
    try:
        kind = statements[0].type.name
    except Exception:  # noqa: BLE001  # a statement that does not even know its type is no SELECT
        kind = "UNKNOWN"
    return "" if kind in ALLOWED else f"only SELECT is answered, this is {kind}"


def _without_zones(duckdb: Any, sql: str, types: list[str]) -> str:  # noqa: ANN401  # duckdb is loaded behind the limits
    """The same with moments of a zone as text: DuckDB would need another package to hand them over."""
    text = sql.encode()
    tokens = [at for at, kind in duckdb.tokenize(sql) if kind != duckdb.token_type.comment]
    while tokens and text[tokens[-1] : tokens[-1] + 1] == b";":
        text = text[: tokens.pop()]
    names = [f"c{number}" for number in range(len(types))]
    shown = [f"CAST({name} AS VARCHAR)" if _ZONED in each else name for name, each in zip(names, types, strict=True)]
    return f"SELECT {', '.join(shown)} FROM ({text.decode()}\n) AS t({', '.join(names)})"  # noqa: S608  # fenced as before


def _rows(result: Any, rows_max: int, bytes_max: int) -> dict[str, Any]:  # noqa: ANN401  # duckdb is loaded behind the limits
    rows: list[Any] = []
    room = bytes_max
    cut = False
    while not cut and (part := result.fetchmany(200)):
        for row in map(_finite, part):
            room -= len(json.dumps(row, default=_plain))
            cut = room < 0 or len(rows) == rows_max
            if cut:
                break
            rows.append(row)
    return {"rows": rows, "truncated": cut}


def _finite(value: Any) -> Any:  # noqa: ANN401  # whatever DuckDB gives
    """NaN and the infinities as words: JSON has no numbers for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _finite(each) for name, each in value.items()}
    return value


def _plain(value: object) -> object:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return str(value)


def _text(problem: Exception) -> str:
    return str(problem)[:1000]
