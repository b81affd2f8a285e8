"""What the shape of the code promises: a pure domain, files and functions that can be read at one sitting."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("adapters", "commands", "domain", "projections", "replays", "rt_runtime")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
PURE = {"__future__", "collections", "dataclasses", "datetime", "decimal", "difflib", "enum", "functools", "hashlib"}
PURE |= {
    "contextlib",
    "fnmatch",
    "itertools",
    "json",
    "math",
    "re",
    "shlex",
    "typing",
    "urllib",
    "uuid",
    "msgspec",
    "domain",
}
PURE |= {"posixpath"}  # of paths, only how they are written
# names of pure modules that are not pure
IMPURE = frozenset({"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "uuid.uuid1", "uuid.uuid4"})


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _imports(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are flat"
            found.add(node.module or "")
    return found


def test_there_is_something_to_look_at() -> None:
    assert len(FILES) > 40


@pytest.mark.parametrize("path", [path for path in FILES if "domain" in path.relative_to(ROOT).parts], ids=_named)
def test_domain_imports_only_what_is_pure(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert {name.split(".")[0] for name in _imports(tree)} <= PURE
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not {name for name in called if any(name.endswith(each) for each in IMPURE)}
    assert not called & {"open", "print", "input", "exec", "eval", "__import__", "hash", "id"}


BOUNDS = ROOT / "domain/bounds.py"
APART = frozenset({"rt_runtime"})  # thin clients import none of the folders


@pytest.mark.parametrize(
    "path", [path for path in FILES if path != BOUNDS and path.relative_to(ROOT).parts[0] not in APART], ids=_named
)
def test_every_limit_stands_in_one_module(path: Path) -> None:
    named = [target.id for node in ast.parse(path.read_text()).body for target in _names(node)]
    assert not [name for name in named if name.endswith(("_MAX", "_MIN"))], "limits belong to domain/bounds.py"


def _names(node: ast.stmt) -> list[ast.Name]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return [each for each in targets if isinstance(each, ast.Name)]


@pytest.mark.parametrize("path", FILES, ids=_named)
def test_a_file_has_at_most_400_lines_and_a_docstring(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    docstring = ast.get_docstring(ast.parse(text))
    assert docstring, "a module says what it owns"


@pytest.mark.parametrize("path", FILES, ids=_named)
def test_a_function_has_at_most_60_lines(path: Path) -> None:
    long = {
        node.name: length
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > 60
    }
    assert long == {}


@pytest.mark.parametrize("path", [path for path in FILES if "commands" not in path.relative_to(ROOT).parts], ids=_named)
def test_only_commands_print(path: Path) -> None:
    called = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
    assert "print" not in called


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[-2] == "rt_runtime"], ids=_named)
def test_the_launcher_imports_nothing_of_ours_before_it_is_asked_to(path: Path) -> None:
    tree = ast.parse(path.read_text())
    at_import = {
        name
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in _imports(ast.Module(body=[node], type_ignores=[]))
    }
    assert not {name.split(".")[0] for name in at_import} & set(FOLDERS) - {"rt_runtime"}


def test_every_test_folder_is_a_package() -> None:
    for folder in {path.parent for path in (ROOT / "tests").rglob("*.py")}:
        assert (folder / "__init__.py").exists(), folder
