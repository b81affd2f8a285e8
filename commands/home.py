"""Where rt lives: the folder of the log, and the configuration beside it. Finding it creates nothing."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from domain import errors
from domain.bounds import DOCUMENT_BYTES_MAX

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
    """
    named = given or os.environ.get("RT_HOME")
    if named:
        state = Path(named).expanduser().absolute()
        folder = state.parent if state.name == STATE else state
        return _with_config(Home(state, _if_file(folder / CONFIG), folder), config)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / STATE).is_dir() or (folder / CONFIG).is_file():
            return _with_config(Home(folder / STATE, _if_file(folder / CONFIG), folder), config)
    if not create:
        raise errors.HomeNotFound(folder=str(here))
    return _with_config(Home(here / STATE, None, here), config)


def _with_config(home: Home, config: str | None) -> Home:
    if config is None:
        return home
    path = Path(config).expanduser().absolute()
    return Home(home.state, path, path.parent)


def _if_file(path: Path) -> Path | None:
    return path if path.is_file() else None


def load_config(home: Home) -> "Config":
    """The configuration, checked as a whole. Raises InvalidConfig."""
    from domain.config import Config

    return Config() if home.config_file is None else read_config(home.config_file)


def read_config(path: Path) -> "Config":
    """A configuration file with its workspace, checked as a whole. Raises InvalidConfig."""
    import tomllib

    from domain.agent_checks import check
    from domain.config import parse

    try:
        content = path.read_bytes()
    except OSError as problem:
        raise errors.InvalidConfig(where=str(path), why=f"cannot be read: {problem.strerror}") from None
    if len(content) > DOCUMENT_BYTES_MAX:
        raise errors.InvalidConfig(where=str(path), why=f"{len(content)} bytes; at most {DOCUMENT_BYTES_MAX}")
    try:
        text = content.decode("utf-8-sig")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as problem:
        raise errors.InvalidConfig(where=str(path), why=f"does not parse: {problem}") from None
    config = parse(_with_workspace(document, path), path.name)
    check(config, path.name)
    return config


def _with_workspace(document: object, path: Path) -> object:
    """The document with what its workspace folder says; what stands in the file itself wins."""
    if not isinstance(document, dict) or not isinstance(document.get("workspace"), str) or not document["workspace"]:
        return document
    from adapters.workspace import read
    from domain.workspace import compile_workspace

    made, warnings = compile_workspace(read(path.parent / document["workspace"]))
    for text in warnings:
        sys.stderr.write(f"warning: {text}\n")
    merged = dict(document)
    for table, value in made.items():
        own = document.get(table)
        if isinstance(value, list):
            merged[table] = [*(own or []), *value]
        else:
            merged[table] = value | own if isinstance(own, dict) else value
    return merged
