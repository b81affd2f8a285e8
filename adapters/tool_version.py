"""What a program says about its version."""

from collections.abc import Mapping

from adapters import own_children
from domain.bounds import VERSION_BYTES_MAX


def tool_version(program: str, environment: Mapping[str, str], timeout_s: float) -> str:
    """The first line of `PROGRAM --version`, at most 200 bytes of it; empty when it says nothing in time."""
    env = {name: environment[name] for name in ("PATH", "HOME") if name in environment}
    try:
        done = own_children.run([program, "--version"], env, timeout_s=timeout_s, out_max=VERSION_BYTES_MAX)
    except (OSError, ValueError):
        return ""
    if done.code is None and not done.is_cut:
        return ""
    return done.out[:VERSION_BYTES_MAX].decode("utf-8", "replace").partition("\n")[0].strip()
