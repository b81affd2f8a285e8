"""Around the start and the end of a process: what it reads, why it did not start, what its signal is called."""

import errno
import os
import signal

from domain.ports import NotStarted, NotStartedCause, ProcessSpec


def memory_file(content: bytes) -> int:
    """A file in memory to read from: no pipe that could fill up, no file that could be left."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def signal_name(number: int) -> str:
    """The name of a signal."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"  # a real-time signal


_CAUSES: dict[int, NotStartedCause] = {
    errno.ENOENT: "command_not_found",
    errno.ENOTDIR: "command_not_found",
    errno.EACCES: "not_executable",
    errno.EPERM: "not_executable",
    errno.ENOEXEC: "not_executable",
    errno.E2BIG: "argument_too_large",
    errno.EAGAIN: "out_of_resources",
    errno.ENOMEM: "out_of_resources",
    errno.EMFILE: "out_of_resources",
    errno.ENFILE: "out_of_resources",
}


def not_started(problem: OSError | ValueError, spec: ProcessSpec) -> NotStarted:
    """Why a process did not start, in the words of the port."""
    if isinstance(problem, ValueError):
        return NotStarted("command_not_found", str(problem))
    if problem.filename == spec.cwd:
        return NotStarted("cwd_missing", f"{spec.cwd}: {problem.strerror}")
    cause = _CAUSES.get(problem.errno or 0, "out_of_resources")
    return NotStarted(cause, f"{spec.argv[0]}: {problem.strerror}")
