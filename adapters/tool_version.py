"""What a program says about its version."""

import subprocess
from collections.abc import Mapping

_BYTES_MAX = 200


def tool_version(program: str, environment: Mapping[str, str], timeout_s: float) -> str:
    """The first line of `PROGRAM --version`, at most 200 bytes of it; empty when it says nothing in time."""
    env = {name: environment[name] for name in ("PATH", "HOME") if name in environment}
    try:
        done = subprocess.run(  # noqa: S603  # the program that an adapter names
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=env,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout[:_BYTES_MAX].decode("utf-8", "replace").partition("\n")[0].strip()
