"""Commands about the configuration: what is in force and which file says it, where it is, whether it is right."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import options, render
from commands.invocation import invocation
from domain import errors
from domain.bounds import LINES_NAMED_MAX

if TYPE_CHECKING:
    from commands.config_files import Read
    from domain.config import Adapter, Config

app = typer.Typer(no_args_is_help=True)

_NO_FILE = "the defaults: there is no rt.toml"
_MASK = "***"
_OTHERS = 0o077  # bits of a mode
_WITH_SECRETS = ("env", "headers", "extra")  # tables whose keys are names that say what their values are


@app.command("show", help="The effective configuration and which file says what of it, secrets masked.")
def show(*, as_json: options.Json = False) -> None:
    """Show the configuration."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    found = _read(runtime.home.config_file)
    document = _masked(found.config, runtime.environment.all())
    file = str(runtime.home.config_file or "")
    if as_json:
        about = {"file": file, "files": found.loaded.files, "origins": found.loaded.origins}
        render.document("rt.config.v1", about | {"warnings": found.loaded.warnings} | document)
        return
    render.note(f"from {file or _NO_FILE}")
    for key, value in _lines(document):
        origin = found.loaded.origins.get(key, "")
        if origin or not _is_entry(key):
            render.out(render.line(f"{key} = {value!r}" + (f"    # {origin}" if origin else "")))
    render.note("of adapters, profiles and the like only what a file says; --json tells all of them")


@app.command("path", help="The file of the configuration; nothing where there is none.")
def path(*, as_json: options.Json = False) -> None:
    """Say where the configuration is."""
    options.no_tail()
    home = invocation.runtime(create=True).home
    if as_json:
        render.document("rt.config_path.v1", {"file": str(home.config_file or ""), "home": str(home.state)})
    elif home.config_file is None:
        render.note(_NO_FILE)
    else:
        render.out(render.line(str(home.config_file)))


@app.command("check", help="Check the configuration: exit 2 with file and field when it is wrong.")
def check(
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Another one than that of this home.")] = None,
    *,
    as_json: options.Json = False,
) -> None:
    """Check the configuration."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    chosen = file.expanduser().absolute() if file is not None else runtime.home.config_file
    found = _read(chosen)
    _check_secrets(found.config, runtime.environment.all())
    warnings = [*found.loaded.warnings, *_missing(found.config), *_env_files(found.config), *_hints(found)]
    adapters = ["command", *found.config.adapters]
    if as_json:
        answer = {"file": str(chosen or ""), "files": found.loaded.files, "adapters": adapters, "warnings": warnings}
        render.document("rt.config_check.v1", answer)
        return
    for text in warnings:
        render.out(f"warning: {render.line(text)}")
    render.out(render.line(f"good: {chosen or 'the defaults'}, adapters: {', '.join(adapters)}"))


def _read(file: Path | None) -> "Read":
    from commands.config_files import Loaded, Read, read
    from domain.config import Config

    return Read(Config(), Loaded({}, {}, (), ())) if file is None else read(file)


def _check_secrets(config: "Config", environ: Mapping[str, str]) -> None:
    """Compiling the secret values checks them. Raises what that raises."""
    from adapters.redact import Secrets
    from domain.config import secret_values

    Secrets(secret_values(config, environ))


# what is shown


def _masked(config: "Config", environ: Mapping[str, str]) -> dict[str, Any]:
    """The configuration without secrets: by the name of a variable, and by value wherever one stands."""
    from domain.config import as_document, secret_values

    secrets = sorted((value for value in secret_values(config, environ) if value), key=len, reverse=True)
    document: dict[str, Any] = _hidden(as_document(config), secrets)
    return document


def _hidden(value: Any, secrets: list[str], table: str = "") -> Any:  # noqa: ANN401  # plain JSON values
    from domain.config import looks_secret

    if isinstance(value, dict):
        return {
            key: _MASK if table in _WITH_SECRETS and looks_secret(key) else _hidden(each, secrets, key)
            for key, each in value.items()
        }
    if isinstance(value, list | tuple):
        return [_hidden(each, secrets) for each in value]
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, _MASK)
    return value


def _lines(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its key path; an empty table is a value."""
    for key, each in value.items():
        if isinstance(each, dict) and each:
            yield from _lines(each, f"{before}{key}.")
        else:
            yield f"{before}{key}", each


def _is_entry(key: str) -> bool:
    """Whether a value belongs to something that has a name of its own, and fields that nobody asks about."""
    from commands.config_files import BY_NAME

    table, _, name = key.partition(".")
    return table in BY_NAME and bool(name)


# what is not wrong, and yet will not work


def _missing(config: "Config") -> Iterator[str]:
    """Programs and files that are named and not there."""
    for name, controller in config.controllers.items():
        if controller.kind == "command" and shutil.which(controller.argv[0]) is None:
            yield f"controllers.{name}.argv: {controller.argv[0]} is not there or not executable"
    for name, adapter in config.adapters.items():
        yield from _missing_of(f"adapters.{name}", adapter)
    for table, paths in (("workflows", config.workflows), ("skills", config.skills)):
        for name, path in paths.items():
            if not Path(path).expanduser().exists():
                yield f"{table}.{name}: {path} is not there"


def _missing_of(where: str, adapter: "Adapter") -> Iterator[str]:
    if adapter.command and shutil.which(adapter.command) is None:
        yield f"{where}.command: {adapter.command} is not there or not executable"
    if adapter.env_file and not adapter.env_file_optional and not Path(adapter.env_file).is_file():
        yield f"{where}.env_file: {adapter.env_file} is not there"
    if adapter.settings_file and not Path(adapter.settings_file).is_file():
        yield f"{where}.settings_file: {adapter.settings_file} is not there"
    if adapter.working_dir and not Path(adapter.working_dir).expanduser().is_dir():
        yield f"{where}.working_dir: {adapter.working_dir} is not there"


def _env_files(config: "Config") -> Iterator[str]:
    """Env files that others can read, and lines of them that do not set what they look like."""
    from adapters.credentials import read_env_file

    for path in dict.fromkeys(Path(each.env_file) for each in config.adapters.values() if each.env_file):
        if not path.is_file():
            continue
        if path.stat().st_mode & _OTHERS:
            yield f"{path}: others can read or write it; chmod 600"
        try:
            read = read_env_file(path)
        except errors.InvalidConfig as problem:
            yield str(problem)
            continue
        if read.skipped:
            yield f"{path}: sets nothing in {_numbered(read.skipped)}; expected NAME=value"
        if read.quoted:
            yield f"{path}: a quote that nothing closes stays part of the value in {_numbered(read.quoted)}"


def _numbered(lines: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, lines[:LINES_NAMED_MAX])) + ("…" if len(lines) > LINES_NAMED_MAX else "")
    return f"line {shown}" if len(lines) == 1 else f"lines {shown}"


def _hints(found: "Read") -> Iterator[str]:
    """Styles that look like misspelled ones; of those in old files it was said before."""
    from domain.old_profile import style_hint

    for name, profile in found.config.profiles.items():
        hint = style_hint(profile.style)
        if hint and not any(hint in said for said in found.loaded.warnings):
            yield f"profiles.{name}.style: {hint}"
