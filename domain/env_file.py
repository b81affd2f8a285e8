"""Env files: lines of NAME=value, taken literally. No escapes, no interpolation, nothing after a value is a comment."""

import msgspec

from domain import errors
from domain.bounds import ENV_FILE_BYTES_MAX, ENV_FILE_LINES_MAX

_EXPORT = "export "
_QUOTES = ('"', "'")
_BYTE_ORDER_MARK = "\ufeff"  # some editors begin a file with it


class EnvFile(msgspec.Struct, frozen=True, kw_only=True):
    """What an env file sets, and which of its lines (counted from 1) set nothing. Shows names, never a value.

    `quoted` are lines whose value begins with a quote that stays: nothing closes it at the end of the line.
    """

    values: dict[str, str] = {}
    skipped: tuple[int, ...] = ()
    quoted: tuple[int, ...] = ()

    def __repr__(self) -> str:
        """The names: this may end up in a traceback, and values are secrets more often than not."""
        return f"EnvFile(values={self._masked()}, skipped={self.skipped})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        """The same for rich, which would look at the fields otherwise."""
        return [("values", self._masked()), ("skipped", self.skipped)]

    def _masked(self) -> dict[str, str]:
        return dict.fromkeys(self.values, "***")


def parse(text: str, source: str) -> EnvFile:
    """The variables of an env file; later lines win. `source` names it in errors.

    A line that is neither blank nor a comment and has no `=` behind a name is skipped; `rt config check` reports it.
    Raises InvalidConfig for a NUL, which no variable can hold, and for a file over the bounds.
    """
    lines = text.removeprefix(_BYTE_ORDER_MARK).split("\n")  # the CR of a CRLF is trimmed with the line
    _check(text, lines, source)
    values: dict[str, str] = {}
    skipped: list[int] = []
    quoted: list[int] = []
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix(_EXPORT).partition("=")
        if equals and name.strip():
            values[name.strip()] = taken = _unquoted(value.strip())
            quoted += [number] if taken == value.strip() and taken[:1] in _QUOTES else []
        else:
            skipped.append(number)
    return EnvFile(values=values, skipped=tuple(skipped), quoted=tuple(quoted))


def _check(text: str, lines: list[str], source: str) -> None:
    if len(text.encode("utf-8", "surrogatepass")) > ENV_FILE_BYTES_MAX:
        raise errors.InvalidConfig(where=source, why=f"an env file has at most {ENV_FILE_BYTES_MAX} bytes")
    if len(lines) > ENV_FILE_LINES_MAX:
        raise errors.InvalidConfig(where=source, why=f"an env file has at most {ENV_FILE_LINES_MAX} lines")
    broken = next((number for number, line in enumerate(lines, 1) if "\0" in line), None)
    if broken is not None:
        raise errors.InvalidConfig(where=source, why=f"line {broken} holds a NUL")


def _unquoted(value: str) -> str:
    """Without one pair of quotes around it; what is inside stays as it is, spaces too."""
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in _QUOTES
    return value[1:-1] if quoted else value
