"""Configuration files read, put on top of what they extend, and checked as a whole; each value knows its file.

Paths mean what they mean in the file that says them: they are made absolute before files are put together.
"""

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from commands.config_layers import Said, Tree, absolute, anchored, is_deep, is_said, merged, parted, tree_of
from domain import errors
from domain.adapter_checks import PROCESSES, check_adapters
from domain.agent_checks import check
from domain.bounds import DOCUMENT_BYTES_MAX, EXTENDS_MAX, JSON_DEPTH_MAX
from domain.config import parse
from domain.intake import parse_json
from domain.old_config import QUEUE, check_queue, is_old, translate

if TYPE_CHECKING:
    from domain.config import Config


# tables whose entries replace each other by name; the fields of settings replace each other one by one
BY_NAME = (
    "adapters", "profiles", "models", "controllers", "tools", "sensors", "bridges", "workflows", "skills",
)  # fmt: skip
_BY_FIELD = ("retry", "work")


class Loaded(NamedTuple):
    """A configuration before it is checked. Key paths have dots; `files` begins with the file that was named."""

    document: dict[str, Any]
    origins: dict[str, str]
    warnings: tuple[str, ...]
    files: tuple[str, ...]


class Read(NamedTuple):
    """A configuration that was checked, and what it was read from."""

    config: "Config"
    loaded: Loaded


def read(path: Path) -> Read:
    """The configuration of a file, checked as a whole. Raises InvalidConfig naming file and field."""
    loaded = load(path)
    source = path.name
    try:
        config = parse(loaded.document, source)
        check(config, source)
        check_adapters(config, source)
    except errors.InvalidConfig as problem:
        raise _placed(problem, loaded, source) from None
    return Read(config, loaded)


def load(path: Path) -> Loaded:
    """The file on top of what it extends, with its profiles and its workspace. Raises InvalidConfig."""
    return _Loading(path.absolute()).run()


class _Layer(NamedTuple):
    """One file in the new form, with absolute paths."""

    document: dict[str, Any]
    file: Path


class _Loading:
    """One configuration in the making."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []
        self.old_profiles: dict[str, str] = {}  # and their files

    def run(self) -> Loaded:
        """Read, put together, and complete."""
        layers = self._chain()
        tree: Tree = {}
        for layer in reversed(layers):
            self._lay(tree, layer)
        self._finish_profiles(tree)
        self._add_workspace(tree)
        self._check_queue(tree)
        document, origins = parted(tree)
        files = tuple(str(layer.file) for layer in layers)
        return Loaded(document, origins, tuple(self.warnings), files)

    def _check_queue(self, tree: Tree) -> None:
        """The old job queue is switched off, or missing: whatever else was said of it has no meaning."""
        enabled = _table(tree, QUEUE).get("enabled")
        if isinstance(enabled, Said):
            check_queue({"enabled": enabled.value}, f"{self._source(Path(enabled.file))}: {QUEUE}")
        tree.pop(QUEUE, None)

    def _source(self, path: Path) -> str:
        """How a file is called in a message."""
        return path.name if path == self.path else str(path)

    # reading

    def _chain(self) -> list[_Layer]:
        """The file, then what it extends."""
        layers: list[_Layer] = []
        seen: list[tuple[int, int]] = []
        following: Path | None = self.path
        where = ""  # who names it
        while following is not None:
            content, identity = _bytes(following, self._source(following), where)
            if identity in seen or len(layers) == EXTENDS_MAX:
                names = " -> ".join(self._source(path) for path in (*(each.file for each in layers), following))
                why = f"leads back: {names}" if identity in seen else f"more than {EXTENDS_MAX} files: {names}"
                raise errors.InvalidConfig(where=where, why=why)
            seen.append(identity)
            source = self._source(following)
            document = _document(content, following.suffix, source)
            where = f"{source}: extends"
            parent = _parent(document.pop("extends", None), following.parent, where)
            layers.append(_Layer(self._new_form(document, following.parent, source), following))
            following = parent
        return layers

    def _new_form(self, document: dict[str, Any], folder: Path, source: str) -> dict[str, Any]:
        if is_old(document):
            translated = translate(document, source)
            self.warnings += translated.warnings
            document = translated.document
        return anchored(document, str(folder), source)

    def _profile(self, name: str, said: Said) -> Tree:
        """A profile that stands in a file of its own."""
        path = Path(said.value)
        where = f"{self._source(Path(said.file))}: profiles.{name}"
        source = self._source(path)
        document = _document(_bytes(path, source, where)[0], path.suffix, source)
        from domain.old_profile import is_old_profile
        from domain.old_profile import translate as translate_profile

        if is_old_profile(document):
            translated = translate_profile(document, source)
            self.warnings += translated.warnings
            if document.get("profile_id", name) != name:
                self.warnings.append(f"{source}: profile_id: is not used: {where} calls it {name!r}")
            self.old_profiles[name] = str(path)
            document = translated.document
        tree: Tree = tree_of(document, str(path))
        return tree

    # putting together

    def _lay(self, tree: Tree, layer: _Layer) -> None:
        """Put a file on top of what is there."""
        for key, value in layer.document.items():
            said, there = tree_of(value, str(layer.file)), tree.get(key)
            if key in BY_NAME and isinstance(said, dict):
                table = dict(there) if isinstance(there, dict) else {}
                for name, entry in said.items():
                    table[name] = self._entry((key, name), table.get(name), entry, layer)
                tree[key] = table
            elif key in _BY_FIELD and isinstance(said, dict) and isinstance(there, dict) and "merge" not in said:
                there |= said
            else:
                tree[key] = merged(there, said, f"{self._source(layer.file)}: {key}")

    def _entry(self, at: tuple[str, str], there: Any, entry: Any, layer: _Layer) -> Any:  # noqa: ANN401  # trees
        table, name = at
        if table == "profiles" and _is_path(there) and is_deep(entry):
            there = self._profile(name, there)
        elif table == "profiles" and not is_deep(entry):
            self.old_profiles.pop(name, None)
        made = merged(there, entry, f"{self._source(layer.file)}: {table}.{name}")
        if table == "adapters" and _is_process(made) and not is_said(made.get("working_dir")):
            made["working_dir"] = Said(str(layer.file.parent), str(layer.file))
        return made

    def _finish_profiles(self, tree: Tree) -> None:
        """Read the profiles that stand in files of their own: only those that no other file replaced."""
        profiles, adapters = (_table(tree, name) for name in ("profiles", "adapters"))
        for name, each in profiles.items():
            if _is_path(each):
                profiles[name] = self._profile(name, each)
        for name, file in self.old_profiles.items():
            profile = _table(profiles, name)
            wanted = profile.get("adapter")
            if isinstance(wanted, Said) and wanted.file == file and wanted.value not in adapters:
                del profile["adapter"]
                where = f"{self._source(Path(file))}: default_adapter"
                self.warnings.append(f"{where}: no adapter {wanted.value!r}; the default one is taken")

    def _add_workspace(self, tree: Tree) -> None:
        """Add what the workspace folder says; what stands in a file wins."""
        said = tree.get("workspace")
        if not isinstance(said, Said) or not isinstance(said.value, str) or not said.value:
            return
        from adapters.workspace import read as read_workspace
        from domain.workspace import compile_workspace

        compiled, warnings = compile_workspace(read_workspace(Path(said.value)))
        self.warnings += warnings
        made = anchored(compiled, str(Path(said.file).parent), self._source(self.path))
        for table, value in made.items():
            own, found = tree.get(table), tree_of(value, said.value)
            if isinstance(own, Said) and isinstance(own.value, list) and isinstance(value, list):
                tree[table] = Said([*own.value, *value], own.file)
            elif own is None:
                tree[table] = found
            elif isinstance(own, dict):
                tree[table] = found | own


def _table(tree: Tree, name: str) -> Tree:
    """A table of a tree; an empty one where there is none, or something else."""
    found = tree.get(name)
    return found if isinstance(found, dict) else {}


def _is_path(part: object) -> bool:
    return isinstance(part, Said) and isinstance(part.value, str)


def _is_process(adapter: Any) -> bool:  # noqa: ANN401  # a tree, or what is said
    if not isinstance(adapter, dict):
        return False
    kind = adapter.get("kind")
    return kind is None or (isinstance(kind, Said) and kind.value in PROCESSES)


# files


def _parent(named: object, folder: Path, where: str) -> Path | None:
    if named is None or (isinstance(named, str) and not named.strip()):
        return None
    if not isinstance(named, str):
        raise errors.InvalidConfig(where=where, why=f"expected one path, got {named!r:.100}")
    return Path(absolute(named.strip(), str(folder), where))


def _bytes(path: Path, source: str, named_by: str) -> tuple[bytes, tuple[int, int]]:
    """What is in a file, and which file it is. `named_by` is where another file names it."""
    try:
        with path.open("rb") as file:
            content = file.read(DOCUMENT_BYTES_MAX + 1)
            found = path.stat()
    except OSError as problem:
        why = f"cannot be read: {problem.strerror}"
        where, why = (named_by, f"{path}: {why}") if named_by else (str(path), why)
        raise errors.InvalidConfig(where=where, why=why) from None
    if len(content) > DOCUMENT_BYTES_MAX:
        raise errors.InvalidConfig(where=source, why=f"more than {DOCUMENT_BYTES_MAX} bytes")
    return content, (found.st_dev, found.st_ino)


def _document(content: bytes, suffix: str, source: str) -> dict[str, Any]:
    try:
        text = content.decode("utf-8-sig")
        found = parse_json(text, "") if suffix == ".json" else tomllib.loads(text)
    except errors.Invalid as problem:
        at, why = str(problem.fields["where"]).lstrip("."), problem.fields["why"]
        raise errors.InvalidConfig(where=f"{source}: {at}" if at else source, why=f"does not parse: {why}") from None
    except (ValueError, RecursionError) as problem:
        raise errors.InvalidConfig(where=source, why=f"does not parse: {problem}") from None
    if not isinstance(found, dict):
        raise errors.InvalidConfig(where=f"{source}: the document", why="expected an object")
    if _is_too_deep(found):
        raise errors.InvalidConfig(where=source, why=f"nested deeper than {JSON_DEPTH_MAX}")
    return found


def _is_too_deep(value: object) -> bool:
    """Whether a document is nested deeper than anything that means something. Without recursion: it may be deep."""
    level = [value]
    for _ in range(JSON_DEPTH_MAX + 1):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
        ]
    return bool(level)


# messages


def _placed(problem: errors.InvalidConfig, loaded: Loaded, source: str) -> errors.InvalidConfig:
    """The same problem, told of the file that says the value, where that is another one."""
    key = str(problem.fields["where"]).removeprefix(f"{source}: ").partition("[")[0]
    why = str(problem.fields["why"])
    unknown = re.match("unknown field '([^']*)'", why)
    wanted = [f"{key}.{unknown[1]}", unknown[1]] if unknown else []
    while key:
        wanted.append(key)
        key = key.rpartition(".")[0]
    for each in wanted:
        for path, file in loaded.origins.items():
            if path == each or path.startswith(f"{each}."):
                if file == loaded.files[0]:
                    return problem
                where = str(problem.fields["where"]).removeprefix(f"{source}: ")
                return errors.InvalidConfig(where=f"{file}: {where}", why=why)
    return problem
