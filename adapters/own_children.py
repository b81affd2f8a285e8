"""Children of the dispatcher that belong to no call: short helpers whose exit status is read where they were started.

Whoever looks after the trees of calls neither collects these nor takes them for strays.
"""

import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

_lock = threading.Lock()
_pids: set[int] = set()


@contextmanager
def started(
    argv: Sequence[str], env: Mapping[str, str], *, cwd: str | None = None, errors: int = subprocess.PIPE
) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a helper in a session of its own, without input; it has been waited for in the end. Raises OSError."""
    with _lock:  # between its birth and its entry nobody may look
        process = subprocess.Popen(  # noqa: S603  # argv only, and who starts it names the program
            argv,
            cwd=cwd,
            env={**env, "RT_CALL": "helper"},  # what it starts carries a marker that is no call's
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        _pids.add(process.pid)
    try:
        with process:
            yield process
    finally:
        _pids.discard(process.pid)


def begin(argv: Sequence[str], env: Mapping[str, str], stdin: int) -> "subprocess.Popen[bytes]":
    """Start a helper that stays until `end`, in a session of its own; what it says goes nowhere. Raises OSError."""
    with _lock:
        process = subprocess.Popen(  # noqa: S603  # argv only, and who starts it names the program
            argv,
            cwd="/",
            env={**env, "RT_CALL": "helper"},
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        _pids.add(process.pid)
    return process


def end(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a helper that was told to leave."""
    process.wait()
    _pids.discard(process.pid)


def pids() -> frozenset[int]:
    """The helpers of this moment."""
    with _lock:
        return frozenset(_pids)
