"""Placeholders in the texts of workflow templates: what may stand there, and what it becomes.

`{ctx.NAME}`, `{iteration}`, `{base}`, `{slug:ctx.NAME}`, with alternatives behind `|`, each a reference or a text:
`{ctx.path|ctx.other|wiki/{slug:ctx.topic}.md|wiki/page.md}`. The first one that is given counts. A text that is one
placeholder and nothing else keeps the type of what it refers to. `{{` and `}}` are braces.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import msgspec

from domain.bounds import PLACEHOLDER_DEPTH_MAX, SLUG_CHARS_MAX

PARAMETER = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_REFERENCE = re.compile(rf"(slug:)?(?:ctx\.({PARAMETER})|(iteration|base))")
_PLAIN = re.compile(r"(?:[^{}]|\{\{|\}\})+")


class RenderFailed(ValueError):
    """A task cannot be made of this template and this context; its instance is parked with the reason."""


class NotGiven(RenderFailed):
    """What a placeholder refers to is missing or blank, and it has no alternative."""


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What placeholders refer to."""

    context: dict[str, Any]
    parameters: dict[str, Any]
    iteration: int


class Reference(msgspec.Struct, frozen=True):
    """`ctx.NAME`, `iteration` or `base`, as it is or as a slug."""

    spelled: str
    name: str  # in the context; empty for the iteration
    is_slug: bool


class Place(msgspec.Struct, frozen=True):
    """A placeholder: alternatives, of which the first that is given counts."""

    choices: tuple["Reference | tuple[str | Place, ...]", ...]

    def names(self) -> Iterator[str]:
        """The names in the context that it refers to; empty ones for references to something else."""
        for choice in self.choices:
            if isinstance(choice, Reference):
                yield choice.name
            else:
                for piece in choice:
                    yield from piece.names() if isinstance(piece, Place) else ()


def render(value: Any, scope: Scope) -> Any:  # noqa: ANN401  # any JSON value, and one like it
    """A value with its placeholders filled in. What is filled in is never looked at again. Raises RenderFailed."""
    match value:
        case str():
            return _rendered(pieces(value), scope)
        case dict():
            return {name: render(item, scope) for name, item in value.items()}
        case list() | tuple():
            return [render(item, scope) for item in value]
        case _:
            return value


def _rendered(parts: tuple[str | Place, ...], scope: Scope) -> Any:  # noqa: ANN401  # see render
    if len(parts) == 1 and isinstance(parts[0], Place):
        return _filled(parts[0], scope)
    return "".join(part if isinstance(part, str) else _within(_filled(part, scope)) for part in parts)


def _within(value: object) -> str:
    if isinstance(value, dict | list):
        what = "an object" if isinstance(value, dict) else "a list"
        message = f"{what} cannot stand within a text"
        raise RenderFailed(message)
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _filled(place: Place, scope: Scope) -> Any:  # noqa: ANN401  # see render
    missing: NotGiven | None = None
    for choice in place.choices:
        try:
            return _referred(choice, scope) if isinstance(choice, Reference) else _rendered(choice, scope)
        except NotGiven as problem:
            missing = missing or problem
    assert missing is not None, "a placeholder has a choice"
    raise missing


def _referred(reference: Reference, scope: Scope) -> Any:  # noqa: ANN401  # see render
    found: Any = scope.iteration
    if reference.name:
        given = (source.get(reference.name) for source in (scope.context, scope.parameters))
        found = next((value for value in given if not _is_blank(value)), None)
    if reference.is_slug and found is not None:
        found = slug(_within(found))
    if _is_blank(found):
        message = f"{reference.spelled} is not given"
        raise NotGiven(message)
    return found


def _is_blank(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def slug(text: str) -> str:
    """Lower case, with `-` for each run of other characters than letters and digits of ASCII."""
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:SLUG_CHARS_MAX].rstrip("-")


@lru_cache(maxsize=1024)
def pieces(text: str, depth: int = PLACEHOLDER_DEPTH_MAX) -> tuple[str | Place, ...]:
    """A text taken apart. Raises ValueError with a reason."""
    found: list[str | Place] = []
    at = 0
    while at < len(text):
        plain = _PLAIN.match(text, at)
        if plain is not None:
            found.append(plain.group().replace("{{", "{").replace("}}", "}"))
            at = plain.end()
            continue
        end = _closing(text, at)
        found.append(_place(text[at + 1 : end], depth))
        at = end + 1
    return tuple(found)


def _closing(text: str, begin: int) -> int:
    open_braces = 0
    for at in range(begin, len(text)):
        open_braces += {"{": 1, "}": -1}.get(text[at], 0)
        if open_braces <= 0:
            break
    else:
        at = begin
    if at == begin:
        message = f"a single brace at character {begin + 1}; {{{{ and }}}} are braces"
        raise ValueError(message)
    return at


def _place(inside: str, depth: int) -> Place:
    if not depth:
        message = f"placeholders nested deeper than {PLACEHOLDER_DEPTH_MAX}"
        raise ValueError(message)
    first, *others = _split(inside)
    if not _REFERENCE.fullmatch(first):
        message = f"{first[:100]!r} is no placeholder; there are ctx.NAME, iteration, base and slug:ctx.NAME"
        raise ValueError(message)
    return Place(tuple(_choice(each, depth) for each in (first, *others)))


def _choice(text: str, depth: int) -> Reference | tuple[str | Place, ...]:
    reference = _REFERENCE.fullmatch(text)
    if reference is None:
        return pieces(text, depth - 1)
    name = reference.group(2) or ("base_name" if reference.group(3) == "base" else "")
    return Reference(text, name, reference.group(1) is not None)


def _split(inside: str) -> list[str]:
    """At each `|` that stands in no inner placeholder."""
    parts, open_braces = [""], 0
    for character in inside:
        open_braces += {"{": 1, "}": -1}.get(character, 0)
        if character == "|" and not open_braces:
            parts.append("")
        else:
            parts[-1] += character
    return parts
