"""Children of the dispatcher that belong to no call: short helpers whose exit status is read where they were started.

Whoever looks after the trees of calls neither collects these nor takes them for strays.
"""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple

from domain.bounds import KILL_S_MAX, MIB

_lock = threading.Lock()
_pids: set[int] = set()


class Done(NamedTuple):
    """How a helper ended: `code` is None when it did not end in time or said too much, and was killed."""

    code: int | None  # negative: the number of the signal that ended it
    out: bytes
    errors: bytes
    is_cut: bool


def run(  # noqa: PLR0913  # what a helper needs
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    timeout_s: float,
    out_max: int,
    errors_max: int = 0,
    cwd: str | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Done:
    """Run a helper in a session of its own; nothing of its group is left in the end. Raises OSError, ValueError.

    It has ended when its leader has: who inherited its pipes is not waited for. Of its errors the first bytes are kept.
    """
    with _started(argv, env, cwd, stdin, wants_errors=errors_max > 0) as process:
        ended, out, errors = _read(process, time.monotonic() + timeout_s, out_max, errors_max)
    is_cut = len(out) > out_max
    code = process.returncode if ended and not is_cut else None
    return Done(code, bytes(out[:out_max]), bytes(errors[:errors_max]), is_cut)


def _read(
    process: "subprocess.Popen[bytes]", until_s: float, out_max: int, errors_max: int
) -> tuple[bool, bytearray, bytearray]:
    """Whether it ended, and what it said."""
    ended, out, errors = False, bytearray(), bytearray()
    with _exit_of(process) as exit_, selectors.DefaultSelector() as ready:
        ready.register(exit_, selectors.EVENT_READ)
        for pipe, into in ((process.stdout, out), (process.stderr, errors)):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                ready.register(pipe, selectors.EVENT_READ, into)
        while not ended and len(out) <= out_max and (left_s := until_s - time.monotonic()) > 0:
            told = ready.select(left_s)
            ended = any(key.fd == exit_ for key, _ in told)
            # what came with the end may not have been told
            for key in list(ready.get_map().values()) if ended else [key for key, _ in told]:
                if key.fd != exit_ and not _take(key.fd, key.data):
                    ready.unregister(key.fileobj)
            del errors[errors_max:]
    return ended, out, errors


def _take(descriptor: int, into: bytearray) -> bool:
    """Take what a pipe holds; whether more may come."""
    try:
        chunk = os.read(descriptor, MIB)
    except BlockingIOError:
        return True
    into += chunk
    return bool(chunk)


@contextmanager
def _exit_of(process: "subprocess.Popen[bytes]") -> Iterator[int]:
    """A descriptor that becomes readable when a process ends, without collecting it: its number stays its own."""
    descriptor = os.pidfd_open(process.pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _started(
    argv: Sequence[str], env: Mapping[str, str], cwd: str | None, stdin: int, *, wants_errors: bool
) -> Iterator["subprocess.Popen[bytes]"]:
    with _lock:  # between its birth and its entry nobody may look
        process = subprocess.Popen(  # noqa: S603  # argv only, and who starts it names the program
            argv,
            cwd=cwd,
            env={**env, "RT_CALL": "helper"},  # what it starts carries a marker that is no call's
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if wants_errors else subprocess.DEVNULL,
            start_new_session=True,
        )
        _pids.add(process.pid)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):  # not collected yet, so that this group is still its own
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        with suppress(subprocess.TimeoutExpired):  # in an uninterruptible sleep: the kernel ends it when it can
            process.wait(KILL_S_MAX)
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
