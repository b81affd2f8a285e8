"""Where rt lives: the folder of the log, and the configuration beside it. Finding it creates nothing."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from domain import errors
from domain.bounds import WARNINGS_SHOWN_MAX

if TYPE_CHECKING:
    from domain.config import Config

STATE = ".rt"
CONFIG = "rt.toml"


class Home(NamedTuple):
    """The folder of the log, the configuration file (None: all defaults), and where its relative paths begin."""

    state: Path
    config_file: Path | None
    folder: Path


def find(given: str | None, config: str | None, *, create: bool = False) -> Home:
    """The home that was named, or the nearest one upwards, as git does. Raises HomeNotFound.

    With `create`, a folder `.rt` in the current folder stands in for a missing one; it is not made here.
    Raises FolderGone.
    """
    named = given or os.environ.get("RT_HOME")
    if named:
        state = absolute(Path(named))
        folder = state.parent if state.name == STATE else state
        return _with_config(Home(state, _if_file(folder / CONFIG), folder), config)
    here = absolute(Path())
    for folder in (here, *here.parents):
        if (folder / STATE).is_dir() or (folder / CONFIG).is_file():
            return _with_config(Home(folder / STATE, _if_file(folder / CONFIG), folder), config)
    if not create:
        raise errors.HomeNotFound(folder=str(here))
    return _with_config(Home(here / STATE, None, here), config)


def _with_config(home: Home, config: str | None) -> Home:
    if config is None:
        return home
    path = absolute(Path(config))
    return Home(home.state, path, path.parent)


def absolute(path: Path) -> Path:
    """A path as it is meant in the current folder. Raises FolderGone where that was deleted."""
    try:
        return path.expanduser().absolute()
    except FileNotFoundError:
        raise errors.FolderGone from None


def _if_file(path: Path) -> Path | None:
    return path if path.is_file() else None


def load_config(home: Home) -> "Config":
    """The configuration, checked as a whole. Raises InvalidConfig."""
    from domain.config import Config

    return Config() if home.config_file is None else read_config(home.config_file)


def read_config(path: Path) -> "Config":
    """A configuration file with all that it names, checked as a whole. Raises InvalidConfig."""
    from commands.config_files import read

    found = read(path)
    warnings = found.loaded.warnings
    if len(warnings) > WARNINGS_SHOWN_MAX:
        warnings = (f"{path.name}: {len(warnings)} warnings; rt config check {path} tells them",)
    for text in warnings:
        sys.stderr.write(f"warning: {text}\n")
    return found.config
