"""Credentials: references in an environment, and where their secret values come from. They live in memory only.

What fails says which credential and why, and nothing that was read: neither in its text nor in what it was caused by.
"""

import os
import shutil
import stat
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Generic, Literal, Protocol, TypeVar

import msgspec

from adapters import own_children
from adapters.process_start import memory_file, signal_name
from domain import errors
from domain.bounds import (
    CREDENTIAL_ID_CHARS_MAX,
    CREDENTIAL_NAMED_CHARS_MAX,
    CREDENTIAL_OUTPUT_BYTES_MAX,
    CREDENTIAL_S,
    CREDENTIAL_S_MAX,
    CREDENTIALS_MAX,
    ENV_FILE_BYTES_MAX,
    SECRET_BYTES_MAX,
    SECRET_BYTES_MIN,
)
from domain.bundle import BASE_ENV
from domain.env_file import EnvFile, parse

SUFFIX = "_CREDENTIAL"

_T = TypeVar("_T")
_Cause = Literal["credential_failed", "env_file_missing"]
_WHAT: dict[_Cause, str] = {"credential_failed": "credential", "env_file_missing": "env file"}


class CredentialProblem(Exception):  # an answer of the port, not an error that a user meets
    """A credential gave no usable value, or a needed env file is not there. `named` is the id, or the path."""

    def __init__(self, named: str, why: str, cause: _Cause = "credential_failed") -> None:
        super().__init__(f"{_WHAT[cause]} {named[:CREDENTIAL_NAMED_CHARS_MAX]!r}: {why}")
        self.cause: _Cause = cause
        self.named = named


class Resolver(Protocol):
    """Knows secret values by the ids of credentials. May take seconds: not for an event loop's own thread."""

    def resolve(self, name: str) -> str:
        """The secret value of a credential, never empty. Raises CredentialProblem."""
        ...


class Hidden(Generic[_T]):
    """Holds what must not be shown by accident: not by repr, not by a traceback."""

    __slots__ = ("_held",)

    def __init__(self, held: _T) -> None:
        self._held = held

    def __repr__(self) -> str:
        """Says nothing."""
        return "***"

    def show(self) -> _T:
        """What is held."""
        return self._held


_Found = Hidden[str] | str  # the value; or, in the open, why there is none
_Read = Hidden[bytes] | str  # the same of bytes
_MISSING = "there is no such file"


def references(env: Mapping[str, str]) -> dict[str, str]:
    """The credentials that an environment refers to: `X_CREDENTIAL=id` is `{X: id}`. Raises CredentialProblem."""
    found = {key.removesuffix(SUFFIX): name for key, name in env.items() if key.endswith(SUFFIX)}
    for variable, name in found.items():
        if not variable or variable.endswith(SUFFIX):  # a value that looks like an id would be shown like one
            raise CredentialProblem(variable + SUFFIX, "names no variable that can hold a secret")
        if not name.strip():
            raise CredentialProblem(variable + SUFFIX, "the id is empty")
    if len(found) > CREDENTIALS_MAX:
        raise CredentialProblem(SUFFIX, f"{len(found)} references; at most {CREDENTIALS_MAX}")
    return found


def resolved(env: Mapping[str, str], resolver: Resolver) -> tuple[dict[str, str], frozenset[str]]:
    """The environment with its references replaced by values, and these values, to be redacted before first use.

    Without references nothing is asked. Each id is asked for once. Raises CredentialProblem at the first that fails.
    """
    wanted = references(env)
    values = {name: resolver.resolve(name) for name in sorted(set(wanted.values()))}
    kept = {key: value for key, value in env.items() if not key.endswith(SUFFIX)}
    return kept | {variable: values[name] for variable, name in wanted.items()}, frozenset(values.values())


def read_env_file(path: Path, *, optional: bool = False) -> EnvFile:
    """What an env file sets. Raises CredentialProblem when it is missing and must not be, and InvalidConfig."""
    content = _content(path.absolute(), None, ENV_FILE_BYTES_MAX)
    if content == _MISSING and optional:
        return EnvFile()
    if content == _MISSING:
        raise CredentialProblem(str(path), _MISSING, "env_file_missing")
    text = content if isinstance(content, str) else _text(content.show())
    if isinstance(text, str):
        raise errors.InvalidConfig(where=str(path), why=text)
    return parse(text.show(), str(path))


class _Checked:
    """Checks what goes in and what comes out. No frame that an error passes through holds what was read."""

    def resolve(self, name: str) -> str:
        """See Resolver."""
        found = _wrong_id(name) or self._look(name)
        why = found if isinstance(found, str) else _unusable(found.show())
        if why or isinstance(found, str):
            raise CredentialProblem(name, why)
        return found.show()

    def _look(self, name: str) -> _Found:
        raise NotImplementedError


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that prints a secret. `{id}` in its arguments is the credential's id; else the id comes last."""

    argv: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    answer: Literal["json", "text"] = "json"  # an object with `value` or `password`; or the first line
    cwd: str = "/"
    inherit_env: tuple[str, ...] = ()  # beside the allow-list that every child gets
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=CREDENTIAL_S_MAX)] = CREDENTIAL_S


class CommandResolver(_Checked):
    """Asks a program, such as a password manager. A master password goes to it by standard input, as one line."""

    def __init__(self, command: Command, environ: Mapping[str, str], stdin_secret: str | None = None) -> None:
        self._command = command
        names = {*BASE_ENV, *command.inherit_env}
        self._env = Hidden({key: value for key, value in environ.items() if key in names or key.startswith("LC_")})
        self._stdin = None if stdin_secret is None else Hidden(stdin_secret)

    def _look(self, name: str) -> _Found:
        program, *rest = self._command.argv
        if self._stdin is not None and (why := _unfit(self._stdin.show(), self._command.argv)):
            return why
        below = str(Path(self._command.cwd, program)) if "/" in program else program
        path = shutil.which(below, path=self._env.show().get("PATH", os.defpath))
        if path is None:
            return f"the command {program} was not found, or may not be executed"
        if any("{id}" in each for each in rest):
            argv = [path, *(each.replace("{id}", name) for each in rest)]
        else:
            argv = [path, *rest, name]
        printed = self._printed(argv)
        if isinstance(printed, str):
            return printed
        if self._command.answer == "json":
            return _from_json(printed.show())
        return _text(printed.show().partition(b"\n")[0].removesuffix(b"\r"))

    def _printed(self, argv: list[str]) -> _Read:
        given = b"" if self._stdin is None else _coded(self._stdin.show() + "\n")
        timeout_s = self._command.timeout_s
        try:
            with os.fdopen(memory_file(given or b""), "rb") as stdin:
                done = own_children.run(
                    argv,
                    self._env.show(),
                    timeout_s=timeout_s,
                    out_max=CREDENTIAL_OUTPUT_BYTES_MAX,
                    cwd=self._command.cwd,
                    stdin=stdin.fileno(),
                )
        except (OSError, ValueError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else "an argument or a variable cannot be handed on"
            return f"the command could not be started: {why}"
        if done.is_cut:
            return f"the command printed more than {CREDENTIAL_OUTPUT_BYTES_MAX} bytes"
        if done.code is None:
            return f"the command did not end within {timeout_s:g} s"
        if done.code < 0:
            return f"the command was killed by {signal_name(-done.code)}"
        return f"the command ended with status {done.code}" if done.code else Hidden(done.out)


def _unfit(secret: str, argv: tuple[str, ...]) -> str:
    if not secret.strip() or _coded(secret) is None:
        return "the master password is missing, or is not text"
    if len(secret) >= SECRET_BYTES_MIN and any(secret in each for each in argv):
        return "the master password stands in an argument, where every user of the machine can read it"
    return ""


class FileResolver(_Checked):
    """Files of one folder, named by the ids. Only the owner may have access, and the owner is who runs this."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _look(self, name: str) -> _Found:
        if "/" in name or name.startswith("."):
            return "the id is not the name of a file"
        try:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as problem:
            return f"the folder of credentials cannot be opened: {problem.strerror}"
        try:
            found = os.fstat(folder)
            if found.st_uid not in (os.geteuid(), 0) or found.st_mode & 0o022:
                return "others may change the folder of credentials"
            content = _content(name, folder, SECRET_BYTES_MAX + 2)  # and the end of a line
        finally:
            os.close(folder)
        if isinstance(content, str):
            return content
        return _text(content.show().removesuffix(b"\n").removesuffix(b"\r"))


class EnvResolver(_Checked):
    """Variables, named by the ids."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = Hidden(environ)

    def _look(self, name: str) -> _Found:
        found = self._environ.show().get(name)
        return "there is no such variable" if found is None else Hidden(found)


class KeyringResolver(_Checked):
    """The keyring of the desktop or the operating system: the passwords of one service, with ids as user names."""

    def __init__(self, service: str, timeout_s: float = CREDENTIAL_S) -> None:
        self._service = service
        self._timeout_s = timeout_s

    def _look(self, name: str) -> _Found:
        found: list[_Found] = []  # a locked keyring may wait for a person, so that a thread is left to it
        asker = threading.Thread(target=lambda: found.append(self._asked(name)), daemon=True)
        asker.start()
        asker.join(self._timeout_s)
        return found[0] if found else f"the keyring did not answer within {self._timeout_s:g} s"

    def _asked(self, name: str) -> _Found:
        try:
            import keyring

            found = keyring.get_password(self._service, name)
        except ImportError:
            return "the keyring library is not installed"
        except Exception as problem:  # noqa: BLE001  # a backend may raise anything; its text is not ours to show
            return f"the keyring failed: {type(problem).__name__}"
        return "the keyring has no such entry" if found is None else Hidden(found)


def _wrong_id(name: str) -> str:
    if not name.strip():
        return "the id is empty"
    if len(name) > CREDENTIAL_ID_CHARS_MAX:
        return f"an id has at most {CREDENTIAL_ID_CHARS_MAX} characters"
    if name.startswith("-"):
        return "the id begins with a dash, as options do"
    return "" if name.isprintable() else "the id holds characters that cannot be printed"


def _unusable(value: str) -> str:
    """Why a value cannot be a variable whose every appearance is redacted; empty when it can."""
    coded = _coded(value)
    if coded is None or b"\0" in coded:
        return "the value is not text" if coded is None else "the value holds a NUL"
    if not coded.strip():
        return "the value is empty"
    if not SECRET_BYTES_MIN <= len(coded) <= SECRET_BYTES_MAX:
        return f"a secret of {len(coded)} bytes; {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} can be found in output"
    return ""


def _coded(text: str) -> bytes | None:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # it holds the text, so that nothing may be raised from it
        return None


def _from_json(printed: bytes) -> _Found:
    try:
        document = Hidden(msgspec.json.decode(printed))
    except (ValueError, RecursionError):
        return "the command printed no JSON"
    if not isinstance(document.show(), dict):
        return "the command printed no JSON object"
    fields = [document.show()[key] for key in ("value", "password") if key in document.show()]
    if not fields:
        return "the command printed neither a `value` nor a `password`"
    return Hidden(fields[0]) if isinstance(fields[0], str) else "the value is not a text"


def _text(content: bytes) -> _Found:
    try:
        return Hidden(content.decode())
    except UnicodeDecodeError:  # it holds the content, so that nothing may be raised from it
        return "not UTF-8 text"


def _content(path: Path | str, folder: int | None, bytes_max: int) -> _Read:
    """The content of a regular file; below an open folder, of a file of our own, that nobody else has access to."""
    kept = os.O_NOFOLLOW if folder is not None else 0
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | kept, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as file:
            why = _unread(os.fstat(descriptor), private=folder is not None)
            content = Hidden(b"" if why else file.read(bytes_max + 1))
    except (FileNotFoundError, NotADirectoryError):
        return _MISSING
    except OSError as problem:
        return f"cannot be read: {problem.strerror}"
    if len(content.show()) > bytes_max:
        return f"the file has more than {bytes_max} bytes"
    return why or content


def _unread(found: os.stat_result, *, private: bool) -> str:
    """Why a file is not read; empty when it is."""
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        return "not a regular file"
    if private and found.st_uid != os.geteuid():
        return "the file belongs to somebody else"
    return f"the file has mode {mode:04o}; 0600 keeps it to its owner" if private and mode & 0o177 else ""
