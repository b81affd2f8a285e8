"""Runs `rt` in forks of one process that has it loaded, for tests: the program itself, without its start.

Takes requests on a socket: arguments, folder and environment as JSON, and three descriptors to be stdin, stdout and
stderr. Ends with the process that started it. What the start of a process is about is tested with real starts.
"""

import atexit
import importlib
import io
import json
import os
import random
import select
import signal
import socket
import sys
import threading
import traceback
from typing import Any, NoReturn

_LOADED = (
    "adapters.archive", "adapters.log_sqlite", "adapters.process", "adapters.writer", "commands.app", "commands.cli",
    "commands.dispatch", "commands.session", "commands.work", "commands.world", "projections.catch_up",
    "projections.status", "replays.audit", "replays.golden", "replays.substitute",
)  # fmt: skip


def main() -> None:
    """Serve until the starter is gone."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    for name in _LOADED:
        importlib.import_module(name)
    importlib.import_module("commands.app").build(None)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how the handlers ended
    while True:
        ready, _, _ = select.select([listener.fileno(), 0], [], [])
        if 0 in ready:  # the starter closed its end
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _handle(connection)
        connection.close()


def _handle(connection: socket.socket) -> NoReturn:
    """In a child: start the program in one of its own, and tell how that ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, descriptors, _, _ = socket.recv_fds(connection, 8, 3)
    length = int.from_bytes(size, "big")
    text = b""
    while len(text) < length:
        text += connection.recv(length - len(text))
    child = os.fork()
    if child == 0:
        connection.close()
        _become(json.loads(text), descriptors)
    _, status = os.waitpid(child, 0)
    connection.sendall(os.waitstatus_to_exitcode(status).to_bytes(4, "big", signed=True))
    os._exit(0)


def _become(request: dict[str, Any], descriptors: list[int]) -> NoReturn:
    """Be the program."""
    kinds = [(each.encoding, each.errors) for each in (sys.stdin, sys.stdout, sys.stderr)]
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, 1024)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    random.seed()
    sys.argv = ["rt", *request["argv"]]
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "rb")), *kinds[0])
    sys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, "wb")), *kinds[1])
    sys.stderr = io.TextIOWrapper(io.BufferedWriter(io.FileIO(2, "wb")), *kinds[2], line_buffering=True)
    sys.__stderr__ = sys.stderr  # type: ignore[misc]  # as an interpreter keeps it: whoever replaces it does not close it
    os._exit(_ended())


def _ended() -> int:
    """Run it to its end, as an interpreter would; its exit status."""
    from rt_runtime import main as program

    status = 0
    try:
        program()
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:  # noqa: BLE001  # what an interpreter shows
        traceback.print_exc()
        status = 1
    threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001  # as an interpreter does at its end
    atexit._run_exitfuncs()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = status or 120  # as an interpreter says
    return status


if __name__ == "__main__":
    main()
