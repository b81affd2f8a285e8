"""A workspace folder read from disk: YAML, JSON and TOML, by a loader that builds nothing but plain values."""

import json
import tomllib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from domain import errors
from domain.bounds import DOCUMENT_BYTES_MAX, JSON_DEPTH_MAX, WORKSPACE_ENTRIES_MAX, WORKSPACE_FILES_MAX
from domain.workspace import Document


class _Refused(yaml.YAMLError):
    """What YAML allows and a workspace does not."""


class _Loader(yaml.SafeLoader):
    """The safe loader, without aliases (a few lines of them can stand for gigabytes) and without double keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401  # PyYAML's own types
        if self.check_event(yaml.AliasEvent):
            raise _Refused("aliases are not allowed")  # noqa: TRY003
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:  # noqa: ANN401, FBT001, FBT002
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        if len(names) != len({str(name) for name in names}):
            raise _Refused("a key stands there twice")  # noqa: TRY003
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def read(folder: Path) -> list[Document]:
    """The documents of a folder, by file name. Raises InvalidConfig naming the file."""
    if not folder.is_dir():
        raise errors.InvalidConfig(where=str(folder), why="is not a folder")
    entries = list(islice(folder.rglob("*"), WORKSPACE_ENTRIES_MAX + 1))
    if len(entries) > WORKSPACE_ENTRIES_MAX:
        why = f"holds more than {WORKSPACE_ENTRIES_MAX} files and folders; name a folder of its own"
        raise errors.InvalidConfig(where=str(folder), why=why)
    files = sorted(path for path in entries if path.suffix in {".yaml", ".yml", ".json", ".toml"} and path.is_file())
    if len(files) > WORKSPACE_FILES_MAX:
        raise errors.InvalidConfig(where=str(folder), why=f"{len(files)} files; at most {WORKSPACE_FILES_MAX}")
    return [document for path in files for document in _read(folder, path)]


def _read(folder: Path, path: Path) -> Iterator[Document]:
    where = str(path.relative_to(folder))
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise errors.InvalidConfig(where=where, why=f"cannot be read: {problem.strerror}") from None
    if len(content) > DOCUMENT_BYTES_MAX:
        raise errors.InvalidConfig(where=where, why=f"{len(content)} bytes; at most {DOCUMENT_BYTES_MAX}")
    try:
        found = _parsed(path.suffix, content.decode("utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, LookupError, AttributeError) as problem:
        # the last three: what PyYAML trips over in a tag that does not fit its value
        raise errors.InvalidConfig(where=where, why=f"does not parse: {' '.join(str(problem).split())[:300]}") from None
    for number, document in enumerate(each for each in found if each is not None):
        place = where if len(found) == 1 else f"{where} (document {number + 1})"
        if not isinstance(document, dict) or not _is_plain(document, JSON_DEPTH_MAX):
            raise errors.InvalidConfig(
                where=place, why=f"expected an object of plain values, at most {JSON_DEPTH_MAX} deep"
            )
        yield Document(place, document)


def _parsed(suffix: str, text: str) -> list[Any]:
    if suffix == ".json":
        return [json.loads(text, object_pairs_hook=_unique)]
    if suffix == ".toml":
        return [tomllib.loads(text)]
    return list(yaml.load_all(text, _Loader))  # a safe loader, narrowed


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise _Refused("a key stands there twice")  # noqa: TRY003
    return dict(pairs)


def _is_plain(value: object, depth: int) -> bool:
    if depth < 0:
        return False
    if isinstance(value, dict):
        return all(
            isinstance(name, str) and _is_plain(name, 0) and _is_plain(each, depth - 1) for name, each in value.items()
        )
    if isinstance(value, list):
        return all(_is_plain(each, depth - 1) for each in value)
    if isinstance(value, str):
        return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
    return value is None or isinstance(value, int | float | bool)
