"""What msgspec refuses, told to people: where it is, down to the name of an entry, and what is allowed there."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from domain.agent_config import ADDRESS, NAME, VARIABLE
from domain.bounds import SHOWN_VALUE_CHARS_MAX
from domain.work_config import PUBLIC_KEY

_PATTERNS: Final[Mapping[str, str]] = {
    f"^{NAME}$": "a name: letters, digits, . _ - only, 64 at most, not beginning with a sign",
    VARIABLE: "the name of a variable: letters, digits and _ only, not beginning with a digit",
    PUBLIC_KEY: "64 hex digits",
    ADDRESS: "an address that begins with http:// or https://",
}
_PART = re.compile(r"\.?([^.\[\]]+)|\[(\.\.\.|[0-9]+)\]")
_KEY = "key` in `"
_UNIONS = (Union, type(int | str))


def told(problem: msgspec.ValidationError, document: object, kind: Any) -> tuple[str, str]:  # noqa: ANN401  # a type
    """Where it is, as a path with a dot before each field, and why. `document` is what was no `kind`.

    Names of entries are shown, values are not where any text may stand: they may be secrets.
    """
    text, _, at = str(problem).partition(" - at `")
    is_key = at.startswith(_KEY)
    where, value, kind = _at(at.removeprefix(_KEY).removeprefix("$").removesuffix("`"), document, kind)
    pattern = re.search(r" matching regex '(.*)'$", text)
    wrong = re.match(r"Invalid (?:enum )?value (.*)$", text, re.DOTALL)
    if pattern is not None:
        wanted = _PATTERNS.get(pattern[1], f"a text that matches {pattern[1]}")
        why = f"expected {wanted}"
        if is_key:
            why = f"{_wrong_entry(value, kind)[:SHOWN_VALUE_CHARS_MAX]!r}: {why}"
    elif wrong is not None and (allowed := list(_allowed(kind))):
        why = f"{wrong[1][:SHOWN_VALUE_CHARS_MAX]} is none of: {', '.join(allowed)}"
    else:
        why = text[:1].lower() + text[1:]
    return where, why


def _at(path: str, value: Any, kind: Any) -> tuple[str, Any, Any]:  # noqa: ANN401  # parts of documents and types
    """Where a path of msgspec's leads: spelled with the names of entries, what stands there, and what should."""
    where = ""
    for name, index in _PART.findall(path):
        if index == "...":
            entry = _wrong_entry(value, kind)
            where, value, kind = f"{where}.{entry}", value.get(entry), _inside(kind, dict)
        elif index:
            where, value, kind = f"{where}[{index}]", value[int(index)], _inside(kind, tuple)
        else:
            where, kind = f"{where}.{name}", _field(kind, name)
            value = value.get(name) if isinstance(value, dict) else None
    return where, value, kind


def _wrong_entry(entries: Any, kind: Any) -> str:  # noqa: ANN401  # a part of a document, a type
    """The first entry of a table that is refused."""
    for name, each in entries.items():
        try:
            msgspec.convert({name: each}, kind)
        except msgspec.ValidationError:
            return str(name)
    return "…"


def _arms(kind: Any) -> Iterator[Any]:  # noqa: ANN401  # a type
    """What something may be, without what is annotated to it."""
    if get_origin(kind) is Annotated:
        yield from _arms(get_args(kind)[0])
    elif get_origin(kind) in _UNIONS:
        for each in get_args(kind):
            yield from _arms(each)
    elif kind is not type(None):
        yield kind


def _inside(kind: Any, of: type) -> Any:  # noqa: ANN401  # types
    """What the entries of a table or list are."""
    found = next((each for each in _arms(kind) if get_origin(each) in (of, list if of is tuple else of)), None)
    if found is None:
        return Any
    return get_args(found)[1] if of is dict else get_args(found)[0]


def _field(kind: Any, name: str) -> Any:  # noqa: ANN401  # types
    """What a field of a struct is; of several structs, which of them it is stands in a field of its own."""
    structs = [each for each in _arms(kind) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    tags = [each.__struct_config__.tag for each in structs if each.__struct_config__.tag_field == name]
    if tags:
        return Literal[tuple(tags)]
    hints = (get_type_hints(each, include_extras=True) for each in structs)
    return next((found[name] for found in hints if name in found), Any)


def _allowed(kind: Any) -> Iterator[str]:  # noqa: ANN401  # a type
    """The words that may stand there."""
    for each in _arms(kind):
        if get_origin(each) is Literal:
            yield from (str(word) or '""' for word in get_args(each))
        elif get_origin(each) in (tuple, list):
            yield "a list"
