"""Work coming in: a document is checked whole, then becomes one event and one stored text."""

import functools
import json
import math
import re
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta

from domain import bounds, errors
from domain.agent_config import PROFILES
from domain.config import AGENT, BUILT_IN, Config, runs_as
from domain.events import TaskQueued
from domain.ids import text_of
from domain.routed import Chosen
from domain.setup import File


class Delay(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When not to start before, relative to the intake."""

    delay_minutes: Annotated[float, Meta(ge=0, le=bounds.DELAY_MINUTES_MAX)]


class TaskInput(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The task input as documented; unknown keys are reported, never lost silently."""

    kind: Annotated[str, Meta(min_length=1, max_length=bounds.KIND_CHARS_MAX)]
    source: Annotated[str, Meta(min_length=1, max_length=bounds.KIND_CHARS_MAX)]
    payload: dict[str, Any]
    subject: Annotated[str, Meta(max_length=bounds.SUBJECT_CHARS_MAX)] | None = None
    description: Annotated[str, Meta(max_length=bounds.DESCRIPTION_CHARS_MAX)] | None = None
    priority: Annotated[int, Meta(ge=bounds.PRIORITY_MIN, le=bounds.PRIORITY_MAX)] = 5
    requested_profile: Annotated[str, Meta(max_length=bounds.KIND_CHARS_MAX)] | None = None
    requested_adapter: Annotated[str, Meta(max_length=bounds.KIND_CHARS_MAX)] | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=bounds.ATTEMPTS_MAX)] | None = None
    available_at: str | None = None
    schedule: Delay | None = None
    thread: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")] | None = None
    parent_run: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")] | None = None  # the run that delegates this
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=bounds.KEY_CHARS_MAX)] | None = None
    queue_max_wait_seconds: Annotated[float, Meta(gt=0, le=bounds.QUEUE_WAIT_S_MAX)] | None = None
    allow_fallback: bool = True


_FIELDS = frozenset(TaskInput.__struct_fields__)


class Accepted(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an intake stores: the event and the text that it names."""

    event: TaskQueued
    payload: bytes
    key: str
    ignored_keys: tuple[str, ...]
    texts: tuple[bytes, ...] = ()  # further texts: the message of a thread, what a router was asked and said


def parse_json(text: str, where: str) -> object:
    """JSON as a program should read it from strangers: bounded, no duplicates, no NaN, no lone surrogates, no NUL."""
    if len(text) > bounds.DOCUMENT_BYTES_MAX:
        raise errors.Invalid(where=where, why=f"{len(text)} characters; at most {bounds.DOCUMENT_BYTES_MAX}")
    if len(text) <= bounds.PLAIN_CHARS_MAX and _is_plain(text) and (read := _read_plain(text)) is not _UNREAD:
        return read
    try:
        value = _ANY.decode(text)
    except RecursionError:
        raise errors.Invalid(where=where, why=f"nested deeper than {bounds.JSON_DEPTH_MAX}") from None
    except ValueError as problem:
        raise errors.Invalid(where=where, why=f"not JSON: {problem}") from None
    check_json(value, where)
    return value


_UNREAD = object()


def _read_plain(text: str) -> object:
    """What most documents are, read fast; `_UNREAD` for one that is to be looked at closely."""
    try:
        value = _plain_decoder().decode(text)
    except msgspec.DecodeError:
        return _UNREAD
    # of a key that stands twice one is gone, and its colon with it
    return value if msgspec.json.encode(value).count(b":") == text.count(":") else _UNREAD


@functools.cache
def _plain_decoder() -> msgspec.json.Decoder[Any]:
    """Reads what is nested as deep as tasks are, and refuses numbers that cannot be stored."""
    scalar: Any = Annotated[int, Meta(ge=1 - 2**63, le=2**63 - 1)] | float | str | bool | None
    value = scalar
    for _ in range(_PLAIN_DEPTH):
        value = scalar | list[value] | dict[str, value]  # type: ignore[valid-type]
    return msgspec.json.Decoder(value)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        message = f"the key {twice[:100]!r} stands there twice"
        raise ValueError(message)
    return found


def _not_a_number(text: str) -> NoReturn:
    message = f"{text} is not a number of JSON"
    raise ValueError(message)


_ANY = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_not_a_number)


def check_json(value: object, where: str) -> None:
    """What every value of a document must be: bounded in depth, storable. Raises Invalid naming where it is not."""
    _check(value, where, bounds.JSON_DEPTH_MAX)


_PLAIN_DEPTH = 4  # a decoder takes twice as long to make for each further one
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _is_plain(text: str) -> bool:
    """Whether its strings can hold nothing that `_check` refuses."""
    return "\\u" not in text and (text.isascii() or _SURROGATE.search(text) is None)


def _check(value: object, where: str, depth: int) -> None:  # noqa: C901  # one arm a kind of value
    if depth < 0:
        raise errors.Invalid(where=where, why=f"nested deeper than {bounds.JSON_DEPTH_MAX}")
    match value:
        case str():
            check_text(value, where)
        case float() if not math.isfinite(value):
            raise errors.Invalid(where=where, why="a number beyond what a double holds")
        case int() if not isinstance(value, bool) and abs(value) >= 2**63:
            raise errors.Invalid(where=where, why="an integer beyond 64 bits")
        case list():
            for at, item in enumerate(value):
                _check(item, f"{where}[{at}]", depth - 1)
        case dict():
            for name, item in value.items():
                check_text(name, where)
                _check(item, f"{where}.{name[:100]}", depth - 1)
        case _:
            return


def check_text(text: str, where: str) -> None:
    """Refuse what cannot be stored or passed on. Raises Invalid."""
    if "\0" in text:
        raise errors.Invalid(where=where, why="contains a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise errors.Invalid(where=where, why="contains a lone surrogate or bytes that are not UTF-8")


def accept(
    document: object, config: Config, now_us: int, chosen: Chosen | None = None, *, read: bool = False
) -> Accepted:
    """Check a whole task input. Raises Invalid, naming field and rule; nothing is stored on an error.

    `chosen` is how its profile was chosen by us: a document cannot say that itself. `read`: it comes from `parse_json`.
    """
    if not isinstance(document, dict):
        raise errors.Invalid(where="task", why=f"expected an object, got {type(document).__name__}")
    if not read:
        check_json(document, "task")
    try:
        task = msgspec.convert(document, TaskInput)
    except msgspec.ValidationError as problem:
        raise invalid(problem, "task") from None
    if not (task.kind.strip() and task.source.strip()):
        raise errors.Invalid(where=f"task.{'source' if task.kind.strip() else 'kind'}", why="is blank")
    adapter = task.requested_adapter or ""
    runs_as = _adapter(task, config)
    check_payload(task.payload, runs_as, described=bool(task.description))
    stored = msgspec.json.encode({"description": task.description or "", "payload": task.payload}, order="sorted")
    if len(stored) > bounds.PAYLOAD_BYTES_MAX:
        raise errors.Invalid(where="task.payload", why=f"{len(stored)} bytes; at most {bounds.PAYLOAD_BYTES_MAX}")
    event = TaskQueued(
        kind=task.kind,
        source=task.source,
        adapter=adapter,
        payload=text_of(stored),
        priority=task.priority,
        max_attempts=task.max_attempts or config.retry.attempts,
        subject=task.subject or "",
        profile=task.requested_profile or "",
        due_at_us=_due_at_us(task, now_us),
        thread=task.thread or "",
        routing=chosen.routed if chosen else None,
        parent_run=task.parent_run or "",
        expires_us=now_us + int(task.queue_max_wait_seconds * 1_000_000) if task.queue_max_wait_seconds else 0,
        own_adapter_only=not task.allow_fallback,
    )
    ignored = () if document.keys() <= _FIELDS else tuple(sorted(document.keys() - _FIELDS))
    texts: tuple[bytes, ...] = (_message(task),) if task.thread else ()
    if chosen is not None:
        texts += chosen.texts
    return Accepted(event=event, payload=stored, key=task.idempotency_key or "", ignored_keys=ignored, texts=texts)


def _adapter(task: TaskInput, config: Config) -> str:
    """Who will run the task. Raises UnknownAdapter, UnknownProfile."""
    adapter, profile = task.requested_adapter or "", task.requested_profile or ""
    if adapter and adapter not in (BUILT_IN, AGENT) and adapter not in config.adapters:
        raise errors.UnknownAdapter(name=adapter, known=", ".join([BUILT_IN, AGENT, *config.adapters]))
    if profile and profile not in config.profiles and profile not in PROFILES:
        raise errors.UnknownProfile(name=profile, known=", ".join(PROFILES | config.profiles))
    return runs_as(config, adapter, profile)


_PROCESSES = ("argv", "shell", "calls")  # what a payload may spell out that is then run without a question


def refuse_argv(document: dict[str, Any], door: str, config: Config) -> None:
    """Commands come from the local command line; from elsewhere only where the configuration allows it. Raises Refused.

    Text from outside must never become a command that nobody asked for.
    """
    payload = document.get("payload")
    if door == "schedule" or not isinstance(payload, dict) or door in config.allow_argv_from:
        return  # a schedule comes from the command line too
    found = [name for name in _PROCESSES if name in payload]
    if found:
        why = f"payload.{found[0]} is not accepted from {a_door(door)}; see allow_argv_from"
        raise errors.Refused(why=why)


def a_door(door: str) -> str:
    """Where something comes from, with its article."""
    known = {"http": "an HTTP request", "import": "an import"}
    return known.get(door) or f"a {door.replace('_', '-')}"


def _message(task: TaskInput) -> bytes:
    """What a task says in its thread."""
    payload = task.payload
    said = payload.get("goal") or payload.get("objective") or payload.get("prompt") or task.description or task.subject
    return str(said or task.kind).encode()


def check_payload(payload: dict[str, Any], adapter: str, *, described: bool = False) -> None:
    """What the adapter will need of the payload must be there and of the right shape. Raises Invalid."""
    if adapter == AGENT:
        _check_agent(payload, described=described)
    if adapter == BUILT_IN and "shell" not in payload and "argv" not in payload:
        why = "the adapter 'command' runs payload.argv (a list of strings) or payload.shell (a string)"
        raise errors.Invalid(where="task.payload.argv", why=why)
    if "argv" in payload:
        _check_argv(payload["argv"], "task.payload.argv", empty_allowed=False)
    if "args" in payload:
        _check_argv(payload["args"], "task.payload.args", empty_allowed=True)
    for name in ("shell", "cwd"):
        if name in payload and (not isinstance(payload[name], str) or not payload[name]):
            raise errors.Invalid(where=f"task.payload.{name}", why="expected a non-empty string")
    if "timeout_s" in payload:
        _check_timeout(payload["timeout_s"])


def _check_timeout(timeout_s: object) -> None:
    if (
        isinstance(timeout_s, bool)
        or not isinstance(timeout_s, int | float)
        or not 0 <= timeout_s <= bounds.TIMEOUT_S_MAX
    ):
        raise errors.Invalid(where="task.payload.timeout_s", why=f"expected a number from 0 to {bounds.TIMEOUT_S_MAX}")


def _check_agent(payload: dict[str, Any], *, described: bool) -> None:
    names = ("goal", "objective", "prompt")
    if not described and not any(payload.get(name) for name in (*names, "argv", "calls")):
        raise errors.Invalid(where="task.payload.goal", why="an agent needs a goal, or calls to make")
    for name in (*names, "controller"):
        if name in payload and not isinstance(payload[name], str):
            raise errors.Invalid(where=f"task.payload.{name}", why="expected a string")
    for name in ("cancel_on", "finish_on"):
        phrases = payload.get(name, [])
        if not isinstance(phrases, list) or not all(_is_phrase(each) for each in phrases):
            why = f"expected a list of phrases of 2 to {bounds.PHRASE_CHARS_MAX} characters"
            raise errors.Invalid(where=f"task.payload.{name}", why=why)
    for name in ("context", "state"):
        if not isinstance(payload.get(name, {}), dict):
            raise errors.Invalid(where=f"task.payload.{name}", why="expected an object")
    _check_files(payload.get("files", []))
    _check_calls(payload.get("calls", []))


def _check_files(files: object) -> None:
    if not isinstance(files, list) or len(files) > bounds.FILES_MAX:
        raise errors.Invalid(where="task.payload.files", why=f"expected a list of at most {bounds.FILES_MAX} files")
    for at, each in enumerate(files):
        try:
            found = msgspec.convert(each, File)
        except msgspec.ValidationError as problem:
            raise errors.Invalid(where=f"task.payload.files[{at}]", why=str(problem)) from None
        if _is_longer(found.content, bounds.FILE_BYTES_MAX):
            raise errors.Invalid(where=f"task.payload.files[{at}]", why=f"more than {bounds.FILE_BYTES_MAX} bytes")


def _check_calls(calls: object) -> None:
    if not isinstance(calls, list):
        raise errors.Invalid(where="task.payload.calls", why="expected a list of calls")
    for at, call in enumerate(calls):
        fits = isinstance(call, dict) and isinstance(call.get("tool"), str) and isinstance(call.get("input", {}), dict)
        if not fits:
            raise errors.Invalid(where=f"task.payload.calls[{at}]", why="expected {tool, input}")


def _is_phrase(each: object) -> bool:
    return isinstance(each, str) and 2 <= len(each) <= bounds.PHRASE_CHARS_MAX and "\n" not in each  # noqa: PLR2004


def _check_argv(argv: object, where: str, *, empty_allowed: bool) -> None:
    if not isinstance(argv, list) or not (argv or empty_allowed):
        raise errors.Invalid(where=where, why="expected a list of strings that begins with a command")
    for at, argument in enumerate(argv):
        if not isinstance(argument, str):
            raise errors.Invalid(where=f"{where}[{at}]", why=f"expected a string, got {type(argument).__name__}")
        if _is_longer(argument, bounds.ARGUMENT_BYTES_MAX):
            raise errors.Invalid(where=f"{where}[{at}]", why=f"more than {bounds.ARGUMENT_BYTES_MAX} bytes")
    if argv and not argv[0] and not empty_allowed:
        raise errors.Invalid(where=f"{where}[0]", why="the command is empty")


def _is_longer(text: str, bytes_max: int) -> bool:
    """Whether it has more bytes as UTF-8, of which a character takes at most four."""
    return len(text) > bytes_max // 4 and len(text.encode("utf-8", "surrogatepass")) > bytes_max


def invalid(problem: msgspec.ValidationError, what: str) -> errors.Invalid:
    """What is wrong with a document, with the path of the field."""
    text, _, path = str(problem).partition(" - at `$")
    missing = text.removeprefix("Object missing required field `")
    if missing != text:
        return errors.Invalid(where=f"{what}{path.rstrip('`')}.{missing.rstrip('`')}", why="is missing")
    return errors.Invalid(where=f"{what}{path.rstrip('`')}", why=text[:1].lower() + text[1:])


def _due_at_us(task: TaskInput, now_us: int) -> int:
    if task.available_at is not None:
        return parse_time(task.available_at, "task.available_at")
    if task.schedule is not None and task.schedule.delay_minutes:
        return now_us + int(task.schedule.delay_minutes * 60_000_000)
    return 0


def parse_time(text: str, where: str) -> int:
    """A date and time as microseconds since 1970; without a zone it is UTC. Raises Invalid."""
    try:
        moment = datetime.fromisoformat(text)
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError) as problem:
        said = repr(text[:60]) if str(problem).startswith("Invalid isoformat") else str(problem)
        raise errors.Invalid(where=where, why=f"not a date and time: {said}; write 2026-01-31T12:00:00Z") from None
    at_us = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if at_us > bounds.TIME_US_MAX:
        raise errors.Invalid(where=where, why="is beyond the year 2255")
    return max(0, at_us)
