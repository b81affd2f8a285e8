"""The recorded golden logs of this repository, as events."""

from pathlib import Path

from adapters import transfer
from adapters.codec import Codec
from domain.events import Recorded, hydrated
from domain.ids import text_of

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "runs"


def golden_names() -> list[str]:
    """All of them."""
    return sorted(path.parent.name for path in GOLDEN.glob("*/log.jsonl"))


def load(name: str) -> tuple[list[Recorded], bytes]:
    """The events of a golden log, and its salt."""
    with (GOLDEN / name / "log.jsonl").open("rb") as file:
        _, found = transfer.decode(file, name)
        entries = list(found)
    codec = Codec()
    salt = next((entry.salt for entry in entries if entry.salt), b"")
    texts = {text_of(blob.content).sha256: blob.content for entry in entries for blob in entry.texts}
    decoded = [codec.decode(entry.row, entry.body) for entry in entries]
    return [hydrated(event, lambda _, text: texts.get(text.sha256)) for event in decoded], salt


def golden_events(name: str) -> list[Recorded]:
    """The events of a golden log."""
    return load(name)[0]
