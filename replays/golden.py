"""Golden logs: recorded runs kept as files, replayed on every check. A changed decision shows up as a difference."""

from collections.abc import Iterable
from typing import NamedTuple

from adapters import transfer
from adapters.codec import Codec
from domain import errors
from domain.events import Recorded, hydrated
from domain.ids import text_of
from replays.replay import Replayed, replay

FILE = "log.jsonl"


class Golden(NamedTuple):
    """One golden log and what its replay found."""

    name: str
    result: Replayed


def encode(name: str, run: str, entries: list[transfer.Entry]) -> bytes:
    """The file of a golden log. Raises GoldenRefused for a run that does not replay or has not ended."""
    header = transfer.Header(format=transfer.FORMAT, events=len(entries), run=run, name=name)
    content = b"".join(transfer.encode(header, entries))
    result = check(content.splitlines(keepends=True), name).result
    if result.difference is not None:
        raise errors.GoldenRefused(run=run[:8], why=f"it does not replay: {result.difference}")
    if result.state == "running":
        raise errors.GoldenRefused(run=run[:8], why="it has not ended")
    return content


def check(lines: Iterable[bytes], source: str) -> Golden:
    """Replay a golden log. Raises Invalid for a file that is none."""
    header, entries = transfer.decode(lines, source)
    found = list(entries)
    if len(found) != header.events:
        raise errors.Invalid(where=source, why=f"{len(found)} events; its header says {header.events}")
    salt = next((entry.salt for entry in found if entry.salt), b"")
    codec = Codec()
    texts = {text_of(blob.content).sha256: blob.content for entry in found for blob in entry.texts}
    events: list[Recorded] = [
        hydrated(codec.decode(entry.row, entry.body), lambda _, text: texts.get(text.sha256)) for entry in found
    ]
    return Golden(header.name, replay(events, salt))
