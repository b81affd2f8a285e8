"""What a program says about its version."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress

from adapters import own_children

_BYTES_MAX = 200


def tool_version(program: str, environment: Mapping[str, str], timeout_s: float) -> str:
    """The first line of `PROGRAM --version`, at most 200 bytes of it; empty when it says nothing in time."""
    env = {name: environment[name] for name in ("PATH", "HOME") if name in environment}
    try:
        with own_children.started([program, "--version"], env, errors=subprocess.DEVNULL) as process:
            try:
                printed, _ = process.communicate(timeout=timeout_s)
            finally:
                with suppress(ProcessLookupError):  # whoever it started goes with it
                    os.killpg(process.pid, signal.SIGKILL)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return printed[:_BYTES_MAX].decode("utf-8", "replace").partition("\n")[0].strip()
