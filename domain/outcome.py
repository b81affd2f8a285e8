"""The canonical outcome, read from what a program printed. Nothing defaults to completed."""

import json
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from domain.bounds import OUTCOME_EFFORT_CHARS_MAX, OUTCOME_ITEMS_MAX, SUMMARY_CHARS_MAX

_LOOK_CHARS = 512  # what looking costs at least
_DEEP_CHARS = 64 * 1024
_LAST_LINES = 16

Verdict = Literal["completed", "retryable_failure", "permanent_failure", "blocked"]

_SPELLINGS: dict[str, Verdict] = {
    "completed": "completed",
    "success": "completed",
    "succeeded": "completed",
    "done": "completed",
    "ok": "completed",
    "retryable_failure": "retryable_failure",
    "needs_retry": "retryable_failure",
    "permanent_failure": "permanent_failure",
    "failed": "permanent_failure",
    "error": "permanent_failure",
    "blocked": "blocked",
}
_WORSE: dict[str, Verdict] = {
    "failed": "permanent_failure",
    "needs_retry": "retryable_failure",
    "blocked": "blocked",
}  # what a contradicting machine_status turns a completed into


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run reported, normalised. `status_source` says what the status rests on."""

    status: Verdict
    operator_summary: str
    status_source: Literal["json", "text", "none", "controller"]
    machine_status: str = ""
    reported_status: str = ""  # as it was spelled, where that differs
    candidate: int = 0  # which of the candidates was taken, counted from 1
    candidates: int = 0
    file_changes: tuple[str, ...] = ()
    artifact_paths: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


encode = msgspec.json.Encoder().encode


def from_text(text: str) -> Outcome:
    """For programs that answer in prose by nature: exit 0 and non-blank text is completed."""
    if text.strip():
        return Outcome(status="completed", operator_summary=_cut(text), status_source="text")
    return _nothing(text)


def from_json(text: str) -> Outcome:
    """The last JSON object with a known status wins, fenced or bare, also inside prose."""
    found = [document for document in _objects(text) if str(document.get("status", "")).lower() in _SPELLINGS]
    if not found:
        return _nothing(text)
    document = found[-1]
    reported = str(document["status"])
    status = _SPELLINGS[reported.lower()]
    machine = document.get("machine_status")
    machine_status = machine if isinstance(machine, str) else ""
    if status == "completed":
        status = _WORSE.get(machine_status, status)
    files, file_warnings = _paths(document, "file_changes")
    artifacts, artifact_warnings = _paths(document, "artifact_paths")
    summary = document.get("operator_summary")
    return Outcome(
        status=status,
        operator_summary=_cut(summary if isinstance(summary, str) and summary.strip() else text),
        status_source="json",
        machine_status=_cut(machine_status),
        reported_status=_cut(reported) if reported != status else "",
        candidate=len(found),
        candidates=len(found),
        file_changes=files,
        artifact_paths=artifacts,
        warnings=file_warnings + artifact_warnings,
    )


def _nothing(text: str) -> Outcome:
    return Outcome(
        status="retryable_failure", machine_status="no_outcome", operator_summary=_cut(text), status_source="none"
    )


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects in the text, in order.

    The effort for braces that open no object is bounded; once it is used up, only the last lines that begin with a
    brace are tried, for that is where an answer stands.
    """
    decoder = json.JSONDecoder()
    at, effort = text.find("{"), OUTCOME_EFFORT_CHARS_MAX
    while at >= 0 and effort > 0:
        value, end, cost = _object_at(decoder, text, at)
        effort -= cost
        if value is not None:
            yield value
        at = text.find("{", end)
    if at >= 0:
        for start in _last_lines(text, at):
            value, _, _ = _object_at(decoder, text, start)
            if value is not None:
                yield value


def _object_at(decoder: json.JSONDecoder, text: str, at: int) -> tuple[dict[str, Any] | None, int, int]:
    """The object that begins here, where to go on, and what looking has cost."""
    try:
        value, end = decoder.raw_decode(text, at)
    except json.JSONDecodeError as problem:
        return None, at + 1, max(problem.pos - at, 0) + _LOOK_CHARS
    except (ValueError, RecursionError):  # a number of thousands of digits, a nesting of thousands of levels
        return None, at + 1, _DEEP_CHARS
    return (value if isinstance(value, dict) else None), end, 0


def _last_lines(text: str, after: int) -> list[int]:
    found: list[int] = []
    at = len(text)
    while len(found) < _LAST_LINES and (at := text.rfind("\n{", after, at)) >= 0:
        found.append(at + 1)
    return found[::-1]


def _paths(document: dict[str, Any], key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    given = document.get(key, [])
    if not isinstance(given, list):
        return (), (f"{key} is not a list",)
    kept: list[str] = []
    dropped = 0
    for item in given[:OUTCOME_ITEMS_MAX]:
        path = item.get("path", item.get("file")) if isinstance(item, dict) else item
        if isinstance(path, str) and path.strip():
            kept.append(_whole(path))
        else:
            dropped += 1
    dropped += max(0, len(given) - OUTCOME_ITEMS_MAX)
    return tuple(kept), ((f"{dropped} items of {key} were dropped",) if dropped else ())


def _cut(text: str) -> str:
    return _whole(text.strip()[:SUMMARY_CHARS_MAX])


def _whole(text: str) -> str:
    """Without half characters: JSON may spell them, and nothing can store them."""
    return text.encode("utf-8", "replace").decode()
