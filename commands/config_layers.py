"""Documents on top of each other: what replaces what, which file says it, and where its paths begin."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from domain import errors

_HOW = ("deep", "replace")


class Said(NamedTuple):
    """A value, and the file that says it."""

    value: Any
    file: str


Tree: TypeAlias = dict[str, Any]  # of trees and of Said


def tree_of(value: object, file: str) -> Any:  # noqa: ANN401  # a tree, or what is said
    """A value, each of whose parts knows its file."""
    return {key: tree_of(each, file) for key, each in value.items()} if isinstance(value, dict) else Said(value, file)


def parted(tree: Tree) -> tuple[dict[str, Any], dict[str, str]]:
    """The document of a tree, and which file says which of its values."""
    document: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, each in tree.items():
        if isinstance(each, Said):
            document[key], origins[key] = each
        else:
            document[key], inner = parted(each)
            origins |= {f"{key}.{path}": file for path, file in inner.items()}
    return document, origins


def is_said(part: object) -> bool:
    """Whether a file says something here that is not blank."""
    return isinstance(part, Said) and part.value != ""


def is_deep(entry: object) -> bool:
    """Whether an entry goes into the one that is there, key by key."""
    return isinstance(entry, dict) and isinstance(entry.get("merge"), Said) and entry["merge"].value == "deep"


def merged(there: Any, said: Any, where: str) -> Any:  # noqa: ANN401  # trees, or what is said
    """What is said instead of what is there; key by key where it says so itself. Raises InvalidConfig."""
    if not isinstance(said, dict) or "merge" not in said:
        return said
    how = said.pop("merge")
    if not isinstance(how, Said) or how.value not in _HOW:
        raise errors.InvalidConfig(where=f"{where}.merge", why=f"expected one of: {', '.join(_HOW)}")
    return _deep(there, said) if how.value == "deep" and isinstance(there, dict) else said


def _deep(there: Tree, said: Tree) -> Tree:
    made = dict(there)
    for key, each in said.items():
        inner = made.get(key)
        made[key] = _deep(inner, each) if isinstance(inner, dict) and isinstance(each, dict) else each
    return made


# paths


def anchored(document: dict[str, Any], folder: str, source: str) -> dict[str, Any]:
    """The document with absolute paths; what is no path, and what is wrong, stays as it is.

    Raises InvalidConfig for what no path can be.
    """

    def path(value: object, key: str) -> object:
        return absolute(value, folder, f"{source}: {key}") if isinstance(value, str) and value else value

    def program(value: object, key: str) -> object:
        return path(value, key) if isinstance(value, str) and "/" in value else value  # else it is looked up

    def argv(value: object, key: str) -> object:
        return [program(value[0], key), *value[1:]] if isinstance(value, list) and value else value

    kinds: dict[str, Callable[[object, str], object]] = {"path": path, "program": program, "argv": argv}
    for pattern, kind in _PATHS.items():
        document = _changed(document, pattern.split("."), kinds[kind], "")
    return document


_PATHS = {
    "artifact_dir": "path",
    "workspace": "path",
    "profiles.*": "path",
    "constitution.*": "path",
    "workflows.*": "path",
    "skills.*": "path",
    "adapters.*.command": "program",
    "adapters.*.working_dir": "path",
    "adapters.*.env_file": "path",
    "adapters.*.settings_file": "path",
    "tools.*.program": "program",
    "tools.*.working_dir": "path",
    "controllers.*.argv": "argv",
    "sensors.*.argv": "argv",
    "sensors.*.working_dir": "path",
    "credentials.argv": "argv",
    "credentials.folder": "path",
    "outbox.destinations.*.argv": "argv",
}


def _changed(value: Any, parts: list[str], change: Callable[[object, str], object], at: str) -> Any:  # noqa: ANN401
    """A document with one of its values, or one of each entry, changed."""
    if not parts:
        return change(value, at.removeprefix("."))
    if not isinstance(value, dict):
        return value
    names = list(value) if parts[0] == "*" else [parts[0]] if parts[0] in value else []
    return value | {name: _changed(value[name], parts[1:], change, f"{at}.{name}") for name in names}


def absolute(text: str, folder: str, where: str) -> str:
    """A path as it is meant in a file of this folder; `~` is somebody's home, `${NAME}` is nothing special.

    Raises InvalidConfig.
    """
    if "\0" in text:
        raise errors.InvalidConfig(where=where, why="contains a NUL character")
    if text.startswith("~"):
        try:
            return str(Path(text).expanduser())
        except RuntimeError:
            raise errors.InvalidConfig(where=where, why=f"{text[:100]!r}: there is no such user") from None
    return text if text.startswith("/") else f"{folder}/{text}"
