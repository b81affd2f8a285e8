"""The audit files of a run, written from the log when somebody wants them: nothing is kept twice."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from commands.items import event_document
from domain import errors
from domain.events import OutputAppended, Recorded, Text, topic
from domain.json_text import UNREADABLE

if TYPE_CHECKING:
    from adapters.log_read import ReadLog

EVENTS = "events.jsonl"


def write(log: "ReadLog", run: str, folder: Path) -> tuple[list[str], list[str]]:
    """Write all that the log holds of a run into a new folder: names of its files, and of what was erased.

    `events.jsonl` has the events by position. Each text that one of them names is a file `POSITION-TOPIC.FIELD`: the
    call with its arguments, the bundle, the prompt, what a controller was asked and answered, the outcome. The output
    is one file per stream, byte for byte. Raises FileThere, StoreFull, IdNotFound.
    """
    task = next(iter(log.run_events(run, bodies=False))).stream
    written: list[str] = []
    erased: list[str] = []
    try:
        folder.mkdir(parents=True, mode=0o700)
        with (folder / EVENTS).open("x", encoding="utf-8") as lines:
            for event in log.run_events(run, bodies=True):
                lines.write(json.dumps(event_document(event), ensure_ascii=False) + "\n")
                if isinstance(event.data, OutputAppended):
                    _append(folder, event, written, erased)
                    continue
                for name, text in _texts(event):
                    try:
                        content = log.blob(task, text)
                    except errors.BlobNotFound:
                        erased.append(name)
                        continue
                    path = folder / f"{name}{_suffix(content)}"
                    path.write_bytes(content)
                    written.append(path.name)
            lines.flush()
            os.fsync(lines.fileno())
    except FileExistsError as problem:
        raise errors.FileThere(path=str(problem.filename)) from None
    except OSError as problem:
        raise errors.StoreFull(path=str(folder), why=str(problem.strerror)) from None
    return [EVENTS, *dict.fromkeys(written)], list(dict.fromkeys(erased))


def _texts(event: Recorded) -> Iterator[tuple[str, Text]]:
    prefix = f"{event.position:07}-{topic(type(event.data))}"
    for field in event.data.__struct_fields__:
        value = getattr(event.data, field)
        if isinstance(value, Text):
            yield f"{prefix}.{field}", value


def _append(folder: Path, event: Recorded, written: list[str], erased: list[str]) -> None:
    assert isinstance(event.data, OutputAppended)
    if event.body is None:
        erased.append(f"{event.position:07}-output")
        return
    name = f"call-{event.data.call}.{event.data.stream}"
    with (folder / name).open("ab") as file:
        file.write(event.body)
    written.append(name)


def _suffix(content: bytes) -> str:
    try:
        found = msgspec.json.decode(content)
    except UNREADABLE:
        return ".txt"
    return ".json" if isinstance(found, dict | list) else ".txt"
