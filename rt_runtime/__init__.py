"""The only name that rt adds to site-packages: puts rt's own folders first on the path, then starts the CLI.

rt runs inside other people's repositories, which may have a `domain/` or `commands/` of their own.
Beside it only thin clients live here; code imports `domain.run`, never `rt_runtime.domain.run`.
"""

import importlib
import sys
from pathlib import Path
from typing import Any

FOLDERS = ("adapters", "commands", "domain", "projections", "replays")


def main() -> None:
    """Run the `rt` command line (entry point of the console script and of `python -m rt_runtime`)."""
    activate()
    if sys.argv[1:] in (["sql-child"], ["sql-forge"]):  # our own: limited before anything large is loaded, or is known
        from projections import sandbox_child

        sandbox_child.main() if sys.argv[1] == "sql-child" else sandbox_child.forge()
        return
    from commands.cli import main as cli

    cli()


def activate() -> None:
    """Make `import domain` mean rt's domain, whatever the current directory and PYTHONPATH say."""
    root = _root()
    for name in FOLDERS:
        loaded = getattr(sys.modules.get(name), "__file__", None)
        if loaded is not None and root not in Path(loaded).resolve().parents:
            message = f"rt needs a process of its own: {name!r} is already loaded from {loaded}"
            raise ImportError(message)
    sys.path[:] = [str(root), *(entry for entry in sys.path if entry != str(root))]


def _root() -> Path:
    """Return the folder that holds rt's folders: this one when installed, its parent in a checkout."""
    here = Path(__file__).resolve().parent
    return here if (here / "domain").is_dir() else here.parent


_CLIENTS = {
    "connect": "notebook",
    "ConnectError": "notebook",
    "Client": "client",
    "AsyncClient": "client",
    "Problem": "client",
}  # name -> where it is


def __getattr__(name: str) -> Any:  # noqa: ANN401  # what the clients export
    """A client, imported when it is asked for: the program itself does without."""
    if name not in _CLIENTS:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(importlib.import_module(f"rt_runtime.{_CLIENTS[name]}"), name)
