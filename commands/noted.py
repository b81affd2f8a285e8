"""Notes about many things, told to people once for each reason: a hundred equal lines hide the one that differs."""

from collections.abc import Iterator, Sequence


def lines(notes: Sequence[dict[str, str]]) -> Iterator[str]:
    """A line for each kind and reason, with the first that it is about and how many more there are."""
    found: dict[tuple[str, str], list[str]] = {}
    for note in notes:
        found.setdefault((note["kind"], note["why"]), []).append(note["id"])
    for (kind, why), names in found.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{kind} {names[0]}{more}: {why}"
