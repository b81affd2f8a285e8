"""Workflow templates: those that come with rt, and those that the configuration names. All are files of one form."""

import json
import tomllib
from importlib.resources import files
from pathlib import Path

from domain import errors
from domain.bounds import DOCUMENT_BYTES_MAX
from domain.config import Config
from domain.workflow_template import Template, parse


def template(config: Config, folder: Path, name: str) -> Template:
    """A template by its name. Raises UnknownTemplate, InvalidConfig."""
    if name in config.workflows:
        return _read(folder / Path(config.workflows[name]).expanduser(), name)
    built_in = files("commands").joinpath("templates", f"{name}.toml")
    if "/" in name or not built_in.is_file():
        raise errors.UnknownTemplate(name=name[:100], known=", ".join(names(config)))
    return parse(tomllib.loads(built_in.read_text("utf-8")), f"{name}.toml")


def names(config: Config) -> list[str]:
    """All templates."""
    shipped = [each.name.removesuffix(".toml") for each in files("commands").joinpath("templates").iterdir()]
    return sorted({*shipped, *config.workflows})


def _read(path: Path, name: str) -> Template:
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise errors.InvalidConfig(
            where=f"workflows.{name}: {path.name}", why=f"cannot be read: {problem.strerror}"
        ) from None
    if len(content) > DOCUMENT_BYTES_MAX:
        raise errors.InvalidConfig(where=path.name, why=f"{len(content)} bytes; at most {DOCUMENT_BYTES_MAX}")
    try:
        text = content.decode("utf-8-sig")
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as problem:
        raise errors.InvalidConfig(where=path.name, why=f"does not parse: {problem}") from None
    found = parse(document, path.name)
    if found.name != name:
        raise errors.InvalidConfig(
            where=f"{path.name}: name", why=f"is {found.name!r}; the configuration says {name!r}"
        )
    return found
