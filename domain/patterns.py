"""Phrases in tool output that are worth a step: literals between word borders, found in linear time, block by block."""

import re

import msgspec

from domain.setup import Pattern, Patterns

# as tools really print them; what people also quote has to be seen more than once, and outside of a quotation
DEFAULT = Patterns(
    urgent=(
        Pattern("traceback (most recent call last)"),
        Pattern("importerror:"),
        Pattern("modulenotfounderror"),
        Pattern("http 429", at_least=3, quotable=True),
        Pattern("still retrying", quotable=True),
        Pattern("panic:"),
        Pattern("fatal:"),
        Pattern("segmentation fault"),
        Pattern("out of memory"),
    ),
    milestones=(
        Pattern("boot"),
        Pattern("starting server"),
        Pattern("to see the gui"),
        Pattern("listening on"),
    ),
)
URGENT: tuple[str, ...] = tuple(pattern.phrase for pattern in DEFAULT.urgent)

CARRY_CHARS = 512  # of what came before, so that a phrase across a border is found; the longest phrase is shorter
_COLOUR = re.compile(rb"\x1b(?:\[[0-?]{0,32}[ -/]{0,8}[@-~]|[@-Z\\-_])")
_UNFINISHED = re.compile(
    rb"(?:\x1b(?:\[[0-?]{0,32}[ -/]{0,8})?|[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})\Z"
)


class Seen(msgspec.Struct, frozen=True):
    """What the scan of one stream of a call remembers: last characters, an unfinished colour or character, counts."""

    carry: str = ""
    rest: bytes = b""
    counts: tuple[tuple[str, int], ...] = ()


class Hit(msgspec.Struct, frozen=True):
    """A phrase that fired; `at` is where its line begins in the scanned text."""

    phrase: str
    urgent: bool
    line: int  # of the block, from 0; -1 when its line began before


def scan(patterns: Patterns, seen: Seen, stream: str, block: bytes) -> tuple[Seen, list[Hit]]:
    """The phrases that fire in a block of output, in order of the patterns: each at most once a block."""
    raw = seen.rest + block if seen.rest else block
    rest = b""
    if (unfinished := _UNFINISHED.search(raw, max(0, len(raw) - 48))) is not None:
        rest = unfinished.group()
        raw = raw[: len(raw) - len(rest)]
    if b"\x1b" in raw:
        raw = _COLOUR.sub(b"", raw)
    text = seen.carry + raw.decode("utf-8", "replace").lower()
    start = len(seen.carry)
    counts = dict(seen.counts)
    hits: list[Hit] = []
    for urgent, group in ((True, patterns.urgent), (False, patterns.milestones)):
        for pattern in group:
            if pattern.stream and pattern.stream != stream:
                continue
            found, first = _count(text, start, pattern)
            if not found:
                continue
            before = counts.get(pattern.phrase, 0)
            counts[pattern.phrase] = before + found
            if before + found >= pattern.at_least:
                hits.append(Hit(pattern.phrase, urgent, text.count("\n", start, first) if first >= start else -1))
    return Seen(text[-CARRY_CHARS:], rest, tuple(counts.items())), hits


def _count(text: str, start: int, pattern: Pattern) -> tuple[int, int]:
    """How often a phrase ends in the new part, and where it first stands."""
    phrase = pattern.phrase.lower()
    at = text.find(phrase, max(0, start - len(phrase) + 1))
    found, first = 0, -1
    while at >= 0 and found < pattern.at_least:
        end = at + len(phrase)
        if end > start and _stands_alone(text, at, end) and not (pattern.quotable and _quoted(text, at, end)):
            found += 1
            first = at if first < 0 else first
        at = text.find(phrase, end)
    return found, first


def _stands_alone(text: str, at: int, end: int) -> bool:
    """Between word borders, where the phrase itself ends with letters."""
    before = at > 0 and _word(text[at - 1]) and _word(text[at])
    after = end < len(text) and _word(text[end]) and _word(text[end - 1])
    return not before and not after


def _word(character: str) -> bool:
    return character.isalnum() or character == "_"


_LOOK_BACK = 256


def _quoted(text: str, at: int, end: int) -> bool:
    """Inside quotation marks on its line, or part of an address."""
    begin = max(text.rfind("\n", 0, at) + 1, at - _LOOK_BACK)
    before = text[begin:at]
    if any(before.count(mark) % 2 for mark in '"`'):
        return True
    if before[-1:] in {"'", "/", "=", "&", "?", "#"} or text[end : end + 1] in {"'", "/", "=", "&"}:
        return True
    return "://" in before.rpartition(" ")[2]
