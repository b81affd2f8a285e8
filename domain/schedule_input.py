"""A wanted schedule coming in: a document is checked whole, then becomes one event and the text of its task."""

import json
import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from domain import bounds, errors
from domain.bounds import (
    CATCH_UP_MAX,
    CRON_CHARS_MAX,
    INTERVAL_S_MAX,
    JITTER_S_MAX,
    SCHEDULE_NAME_CHARS_MAX,
    ZONE_CHARS_MAX,
)
from domain.ids import text_of
from domain.intake import check_text, parse_json, parse_time
from domain.refusals import told
from domain.schedule import source, starting
from domain.schedule_events import ScheduleCreated

_Chars = Meta(min_length=1)


class ScheduleInput(msgspec.Struct, frozen=True, kw_only=True):
    """The schedule input as documented; the first six keys are those of the old format."""

    name: Annotated[str, _Chars, Meta(max_length=SCHEDULE_NAME_CHARS_MAX)]
    task: dict[str, Any]
    interval_seconds: Annotated[int, Meta(ge=1, le=INTERVAL_S_MAX)] | None = None
    next_run_at: str | None = None
    enabled: bool | None = None
    schedule_id: Annotated[str, Meta(max_length=bounds.KEY_CHARS_MAX)] | None = None  # the name is the identity
    cron: Annotated[str, _Chars, Meta(max_length=CRON_CHARS_MAX)] | None = None
    timezone: Annotated[str, _Chars, Meta(max_length=ZONE_CHARS_MAX)] | None = None
    catch_up: Annotated[str, Meta(max_length=20)] | None = None
    overlap: Literal["allow", "skip", "queue_one", "queue"] | None = None
    anchor: Literal["tick", "slot"] | None = None
    jitter_seconds: Annotated[int, Meta(ge=0, le=JITTER_S_MAX)] | None = None
    ends_at: str | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """What a schedule input becomes: the event, and the text of its task.

    The event's `next_us` is the earliest that it may fire. For a cron the caller puts the calendar's first slot from
    there in its place, with `starting`.
    """

    input: ScheduleInput
    event: ScheduleCreated
    task: bytes
    ignored_keys: tuple[str, ...]


def accept(document: object, now_us: int) -> Accepted:
    """Check a schedule input. Raises Invalid naming the field. The task in it is for the intake to check (SC-1)."""
    if not isinstance(document, dict):
        raise errors.Invalid(where="schedule", why=f"expected an object, got {type(document).__name__}")
    for key in document:
        check_text(str(key), "schedule")
    try:
        wanted = msgspec.convert(document, ScheduleInput)
    except msgspec.ValidationError as problem:
        raise _invalid(problem, document) from None
    _check_texts(wanted)
    _check_timing(wanted)
    task = _task_json(wanted.task)
    ignored = tuple(sorted(set(document) - set(ScheduleInput.__struct_fields__)))
    return Accepted(input=wanted, event=_event(wanted, task, now_us), task=task, ignored_keys=ignored)


def _event(wanted: ScheduleInput, task: bytes, now_us: int) -> ScheduleCreated:
    catch_up, most = _catch_up_of(wanted.catch_up or "coalesce")
    first_us = parse_time(wanted.next_run_at, "schedule.next_run_at") if wanted.next_run_at is not None else 0
    event = ScheduleCreated(
        name=wanted.name,
        every_us=(wanted.interval_seconds or 0) * 1_000_000,
        cron=wanted.cron or "",
        zone=wanted.timezone or "UTC",
        task=text_of(task),
        task_source=_source_of(wanted.task),
        catch_up=catch_up,
        catch_up_max=most,
        overlap="queue_one" if wanted.overlap == "queue" else wanted.overlap or "allow",
        anchor="slot" if wanted.cron else wanted.anchor or "tick",
        jitter_us=(wanted.jitter_seconds or 0) * 1_000_000,
        ends_us=parse_time(wanted.ends_at, "schedule.ends_at") if wanted.ends_at is not None else 0,
        next_us=0,
        enabled=wanted.enabled is not False,
        first_us=first_us,
    )
    if event.ends_us and event.ends_us < first_us:
        raise errors.Invalid(where="schedule.ends_at", why="is before next_run_at: there would be no slot")
    return starting(event, first_us or now_us)


def _check_texts(wanted: ScheduleInput) -> None:
    for name in ("name", "cron", "timezone", "catch_up", "schedule_id"):
        text = getattr(wanted, name)
        if text is None:
            continue
        check_text(text, f"schedule.{name}")
        if not text.strip():
            raise errors.Invalid(where=f"schedule.{name}", why="is blank")
    longest = len(source(wanted.name, _source_of(wanted.task), 0))
    if longest > bounds.KIND_CHARS_MAX:
        why = f"{longest} characters with the slot behind it; at most {bounds.KIND_CHARS_MAX}"
        raise errors.Invalid(where="schedule.task.source", why=why)


def _source_of(task: dict[str, Any]) -> str:
    """What the task says where it comes from; nothing where it says nothing."""
    found = task.get("source")
    if found is not None and not isinstance(found, str):
        raise errors.Invalid(where="schedule.task.source", why=f"expected a string, got {type(found).__name__}")
    return found if found and found.strip() else ""


def _check_timing(wanted: ScheduleInput) -> None:
    if wanted.interval_seconds is None and wanted.cron is None:
        why = "is missing: say how often (interval_seconds) or when (cron)"
        raise errors.Invalid(where="schedule.interval_seconds", why=why)
    if wanted.cron is not None:
        if wanted.interval_seconds is not None:
            why = "stands beside interval_seconds; a schedule has one of the two"
            raise errors.Invalid(where="schedule.cron", why=why)
        if wanted.anchor == "tick":
            raise errors.Invalid(where="schedule.anchor", why="'tick' belongs to an interval; a cron has its own slots")
        return
    if wanted.timezone is not None:
        why = "belongs to a cron; an interval is the same everywhere"
        raise errors.Invalid(where="schedule.timezone", why=why)
    if (wanted.jitter_seconds or 0) > (wanted.interval_seconds or 0):
        raise errors.Invalid(where="schedule.jitter_seconds", why="is longer than the interval")


def _catch_up_of(text: str) -> tuple[Literal["coalesce", "skip", "all"], int]:
    match text:
        case "coalesce" | "one":
            return "coalesce", 1
        case "skip":
            return "skip", 1
        case "all":
            return "all", CATCH_UP_MAX
        case _:
            return "all", _all_of(text)


def _all_of(text: str) -> int:
    found = re.fullmatch(r"all:([0-9]{1,4})", text)
    if found is None or not 1 <= int(found[1]) <= CATCH_UP_MAX:
        why = f"expected coalesce (or one), skip, all, or all:N with N from 1 to {CATCH_UP_MAX}"
        raise errors.Invalid(where="schedule.catch_up", why=why)
    return int(found[1])


def _task_json(task: dict[str, Any]) -> bytes:
    """The task as it is stored: equal tasks are equal bytes."""
    try:
        text = json.dumps(task, ensure_ascii=False)
    except RecursionError:
        why = f"nested deeper than {bounds.JSON_DEPTH_MAX}"
        raise errors.Invalid(where="schedule.task", why=why) from None
    return msgspec.json.encode(parse_json(text, "schedule.task"), order="sorted")


def _invalid(problem: msgspec.ValidationError, document: object) -> errors.Invalid:
    where, why = told(problem, document, ScheduleInput)
    missing = re.fullmatch("object missing required field `(.*)`", why)
    if missing is not None:
        return errors.Invalid(where=f"schedule{where}.{missing[1]}", why="is missing")
    return errors.Invalid(where=f"schedule{where}", why=why)
