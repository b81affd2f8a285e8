"""The folder that a task's program works in: the adapter's own, or one below that the task chose."""

import posixpath
from collections.abc import Mapping
from typing import Any

from domain import agents
from domain.config import Adapter
from domain.launch import NotLaunchable


def cwd_of(payload: Mapping[str, Any], name: str, adapter: Adapter, folder: str) -> str:
    """Where the program works: a task may choose a folder below the adapter's. Raises NotLaunchable."""
    own = agents.below(folder, adapter.working_dir)
    wanted = payload.get("cwd")
    if not wanted or adapter.kind == "script":
        return own
    cwd = posixpath.normpath(agents.below(folder, str(wanted)))
    return cwd if adapter.allow_task_cwd else is_below(cwd, posixpath.normpath(own), name)


def is_below(cwd: str, own: str, name: str) -> str:
    """The folder, where it is the adapter's own or below. Raises NotLaunchable."""
    if f"{cwd}/".startswith(f"{own}/"):
        return cwd
    message = f"payload.cwd {cwd[:500]!r} is not below {own!r}; adapters.{name}.allow_task_cwd is off"
    raise NotLaunchable("task_cwd_refused", message)
