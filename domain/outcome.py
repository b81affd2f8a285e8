"""The canonical outcome, read from what a program printed. Nothing defaults to completed."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import msgspec

from domain import errors, intake
from domain.bounds import KIND_CHARS_MAX, NUMBER_MAX, OUTCOME_EFFORT_CHARS_MAX, OUTCOME_ITEMS_MAX, SUMMARY_CHARS_MAX

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
    "error": "permanent_failure",
    "permanent_failure": "permanent_failure",
    "needs_retry": "retryable_failure",
    "retryable_failure": "retryable_failure",
    "blocked": "blocked",
    "canceled": "blocked",
}  # what a contradicting machine_status turns a completed into


_CHANGES = {
    "created": "created",
    "added": "created",
    "modified": "modified",
    "updated": "modified",
    "deleted": "deleted",
    "removed": "deleted",
    "renamed": "renamed",
}
_SIGNALS = ("workflow_signal", "status", "machine_status")  # where a document may name one, in this order
_TASK_FIELDS = {field.name: field for field in msgspec.structs.fields(intake.TaskInput)}
_QUOTATION = re.compile(r'"[^"\n]*"|`[^`\n]*`|“[^“”\n]*”')

BLOCKED_PHRASES: tuple[str, ...] = (
    # a sandbox that could not be set up, or said no
    *("bwrap: loopback", "failed rtm_newaddr", "sandbox denied", "sandbox refused", "sandbox does not allow"),
    *("blocked by the sandbox", "denied by the sandbox", "refused by the sandbox", "forbidden by the sandbox"),
    *("sandbox prevents me", "sandbox is read-only"),
    # a permission that nobody gave
    *("i do not have permission", "i don't have permission", "i lack the permission", "permission was not granted"),
    *("permission has not been granted", "need your permission", "needs your permission", "waiting for permission"),
    *("need your approval", "needs your approval", "waiting for your approval"),
    # no way to start a command
    *("no shell access", "without shell access", "not have shell access", "don't have shell access"),
    *("shell access is not available", "shell access is unavailable", "shell access is disabled"),
    *("cannot run shell commands", "can't run shell commands", "unable to run shell commands"),
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a run reported, normalised. `status_source` says what the status rests on."""

    status: Verdict
    operator_summary: str
    status_source: Literal["json", "text", "none", "controller", "language"]
    machine_status: str = ""
    reported_status: str = ""  # as it was spelled, where that differs
    candidate: int = 0  # which of the candidates was taken, counted from 1
    candidates: int = 0
    file_changes: tuple[str, ...] = ()
    artifact_paths: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()  # what was dropped, and what a status from language rests on
    follow_up_tasks: tuple[dict[str, Any], ...] = ()  # task inputs; whether they may run is for the policy
    external_messages: tuple[dict[str, Any], ...] = ()
    workflow_signal: str = ""
    retry_after_seconds: int = 0  # 0 is none
    retry_hint_source: str = ""


T = TypeVar("T")
_Read = tuple[T | None, tuple[str, ...]]  # an item, or None when it is dropped; and why, or what was dropped of it

encode = msgspec.json.Encoder().encode


def from_text(text: str, blocked_phrases: Iterable[str] = ()) -> Outcome:
    """For programs that answer in prose by nature: exit 0 and non-blank text is completed.

    Prose that speaks of a refusal is blocked instead; a refusal that it merely quotes is none.
    """
    if not text.strip():
        return _nothing(text)
    summary = _cut(text)
    phrase = mentioned(_unquoted(summary), blocked_phrases)
    if phrase:
        return _blocked(summary, phrase)
    return Outcome(status="completed", operator_summary=summary, status_source="text")


def from_json(text: str, blocked_phrases: Iterable[str] = ()) -> Outcome:
    """The last JSON object with a known status wins, fenced or bare, also inside prose.

    Where no object has one, the final summary is searched for the phrases: a refusal in words is blocked.
    """
    documents = list(_objects(text))
    found = [document for document in documents if _has_status(document)]
    if found:
        return _reported(found[-1], text, len(found))
    summary = _final_summary(documents, text)
    phrase = mentioned(summary, blocked_phrases)
    return _blocked(summary, phrase) if phrase else _nothing(text)


def signal(outcome: Outcome, text: str, accepted: Sequence[str]) -> str:
    """The signal of a workflow's task: the first one said that is accepted, or "".

    Only JSON says one. A machine status that was derived from words, or from their absence, is none.
    """
    if not accepted:
        return outcome.workflow_signal
    derived = outcome.status_source in ("none", "text", "language")
    said = [outcome.workflow_signal, "" if derived else outcome.machine_status, *_signals(text)]
    return next((each for each in said if each and each in accepted), "")


def mentioned(text: str, phrases: Iterable[str]) -> str:
    """The first of these literal phrases that the text contains between word borders, in any case; "" without one."""
    flat = flattened(text)
    return next((phrase for phrase in phrases if _contains(flat, flattened(phrase))), "")


def flattened(text: str) -> str:
    """Lower case, one space where there is any white space, straight apostrophes."""
    return " ".join(text.lower().replace("\u2019", "'").split())


def stands_alone(text: str, at: int, end: int) -> bool:
    """Whether no word goes on across these two places."""
    before = 0 < at < len(text) and _is_word(text[at - 1]) and _is_word(text[at])
    after = 0 < end < len(text) and _is_word(text[end - 1]) and _is_word(text[end])
    return not before and not after


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


def _contains(text: str, phrase: str) -> bool:
    at = text.find(phrase) if phrase else -1
    while at >= 0 and not stands_alone(text, at, at + len(phrase)):
        at = text.find(phrase, at + 1)
    return at >= 0


def _unquoted(text: str) -> str:
    """Without fenced blocks, quoted lines and what stands in quotation marks."""
    outside = "\n".join(text.split("```")[::2])
    lines = (line for line in outside.splitlines() if not line.lstrip().startswith(">"))
    return _QUOTATION.sub('""', "\n".join(lines))


def _has_status(document: dict[str, Any]) -> bool:
    status = document.get("status")
    return isinstance(status, str) and status.lower() in _SPELLINGS


def _final_summary(documents: list[dict[str, Any]], text: str) -> str:
    summaries = [document.get("operator_summary") for document in documents]
    return _cut(next((each for each in summaries[::-1] if isinstance(each, str) and each.strip()), text))


def _signals(text: str) -> list[str]:
    """What the document of a text names as signals: the one that the outcome was read from, else the last that does."""
    documents = list(_objects(text))
    with_status = [document for document in documents if _has_status(document)]
    naming = (document for document in documents[::-1] if any(isinstance(document.get(key), str) for key in _SIGNALS))
    document = with_status[-1] if with_status else next(naming, {})
    return [_cut(value) for key in _SIGNALS if isinstance(value := document.get(key), str)]


def _reported(document: dict[str, Any], text: str, candidates: int) -> Outcome:
    reported: str = document["status"]
    status = _SPELLINGS[reported.lower()]
    machine_status = _string(document, "machine_status")
    if status == "completed":
        status = _WORSE.get(machine_status.lower(), status)
    summary = document.get("operator_summary")
    files, files_warned = _listed(document, "file_changes", _change, explained=False)
    artifacts, artifacts_warned = _listed(document, "artifact_paths", _path, explained=False)
    tasks, tasks_warned = _listed(document, "follow_up_tasks", _follow_up)
    messages, messages_warned = _listed(document, "external_messages", _message)
    seconds, seconds_warned = _retry_after(document)
    warnings = files_warned + artifacts_warned + tasks_warned + messages_warned + seconds_warned
    return Outcome(
        status=status,
        operator_summary=_cut(summary if isinstance(summary, str) and summary.strip() else text),
        status_source="json",
        machine_status=machine_status,
        reported_status=_cut(reported) if reported != status else "",
        candidate=candidates,
        candidates=candidates,
        file_changes=files,
        artifact_paths=artifacts,
        warnings=warnings + _no_strings(document),
        follow_up_tasks=tasks,
        external_messages=messages,
        workflow_signal=_string(document, "workflow_signal"),
        retry_after_seconds=seconds,
        retry_hint_source=_string(document, "retry_hint_source")[:KIND_CHARS_MAX],
    )


def _no_strings(document: dict[str, Any]) -> tuple[str, ...]:
    given = ((key, document.get(key)) for key in ("workflow_signal", "retry_hint_source"))
    return tuple(f"{key} is not a string" for key, value in given if not isinstance(value, str | None))


def _nothing(text: str) -> Outcome:
    return Outcome(
        status="retryable_failure", machine_status="no_outcome", operator_summary=_cut(text), status_source="none"
    )


def _blocked(summary: str, phrase: str) -> Outcome:
    return Outcome(
        status="blocked",
        machine_status="blocked",
        operator_summary=summary,
        status_source="language",
        warnings=(f"the summary says: {_cut(phrase)}",),
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


def _listed(
    document: dict[str, Any], key: str, read: Callable[[object], _Read[T]], *, explained: bool = True
) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """The items of a list that can be used, and what was dropped.

    The two lists of paths keep the wording without reasons: recorded outcomes carry it.
    """
    given = document.get(key, [])
    if not isinstance(given, list):
        return (), (f"{key} is not a list",)
    read_items = [read(item) for item in given[:OUTCOME_ITEMS_MAX]]
    kept = tuple(value for value, _ in read_items if value is not None)
    dropped = Counter(why for value, notes in read_items if value is None for why in notes)
    dropped[f"beyond the first {OUTCOME_ITEMS_MAX}"] = max(0, len(given) - OUTCOME_ITEMS_MAX)
    notes = Counter(note for value, notes in read_items if value is not None for note in notes)
    count = len(given) - len(kept)
    reasons = ": " + ", ".join(f"{times} {why}" for why, times in dropped.items() if times) if explained else ""
    warnings = [f"{count} items of {key} were dropped{reasons}"] if count else []
    return kept, (*warnings, *(f"{key}: {note}, {times} times" for note, times in notes.items()))


def _path(item: object) -> _Read[str]:
    path = item.get("path", item.get("file")) if isinstance(item, dict) else item
    return (_whole(path), ()) if isinstance(path, str) and path.strip() else (None, ("without a path",))


def _change(item: object) -> _Read[str]:
    """A path, behind what happened to it where the item says so: "deleted a", "renamed a -> b"."""
    path, why = _path(item)
    if path is None or not isinstance(item, dict):
        return path, why
    change = _CHANGES.get(_string(item, "change").lower(), "")
    if not change:
        return path, ()
    if change != "renamed":
        return f"{change} {path}", ()
    old, _ = _path(item.get("old"))
    return (f"renamed {old} -> {path}", ()) if old else (path, ("renamed without an old path",))


def _message(item: object) -> _Read[dict[str, Any]]:
    if not isinstance(item, dict):
        return None, ("not an object",)
    why = _unstorable(item)
    return (None, (why,)) if why else (item, ())


def _follow_up(item: object) -> _Read[dict[str, Any]]:
    """A task input with the fields that are well typed. What it may not ask for is refused later, visibly."""
    task, why = _message(item)
    if task is None:
        return None, why
    for name in ("kind", "source", "payload"):
        if not _fits(name, task.get(name)):
            return None, (f"without a valid {name}",)
    kept = {name: value for name, value in task.items() if _fits(name, value)}
    lost = [name if name in _TASK_FIELDS else "an unknown field" for name in task if name not in kept]
    return kept, tuple(f"{name} was dropped" for name in lost)


def _fits(name: str, value: object) -> bool:
    if name not in _TASK_FIELDS or (isinstance(value, str) and not value.strip() and name in ("kind", "source")):
        return False
    try:
        msgspec.convert(value, _TASK_FIELDS[name].type)
    except msgspec.ValidationError:
        return False
    return True


def _unstorable(item: dict[str, Any]) -> str:
    """Why an object cannot be stored as it is: the rules of the intake; "" when it can."""
    try:
        intake.parse_json(json.dumps(item), "item")
    except errors.Invalid as problem:
        return str(problem.fields["why"])
    except RecursionError:
        return "nested too deep"
    return ""


def _retry_after(document: dict[str, Any]) -> tuple[int, tuple[str, ...]]:
    given = document.get("retry_after_seconds") or 0
    if isinstance(given, bool) or not isinstance(given, int | float) or not given >= 0:  # NaN is not >= 0 either
        return 0, ("retry_after_seconds is not a positive number",)
    warnings = (f"retry_after_seconds was cut to {NUMBER_MAX}",) if given > NUMBER_MAX else ()
    return math.ceil(min(given, NUMBER_MAX)), warnings


def _string(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    return _cut(value) if isinstance(value, str) else ""


def _cut(text: str) -> str:
    return _whole(text.strip()[:SUMMARY_CHARS_MAX])


def _whole(text: str) -> str:
    """Without half characters: JSON may spell them, and nothing can store them."""
    return text.encode("utf-8", "replace").decode()
