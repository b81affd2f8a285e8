"""Looking back over everything: the log, SQL, reports, snapshots, costs."""

import itertools
from collections.abc import Iterator
from importlib.metadata import version
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from adapters.log_read import ReadLog
from commands import costs, logs, moments, reports, snapshots, sql
from commands.api.route import Answer, Asked, Page, Row, Written, page
from commands.api.work_routes import Limit, Position, Word
from commands.items import event_document
from commands.report_page import html
from domain import errors
from domain.bounds import HTTP_LOOKED_AT_EVENTS_MAX, HTTP_PAGE_ITEMS, PAGE_EVENTS_MAX, SQL_ROWS_MAX, SQL_TEXT_BYTES_MAX
from domain.events import Recorded

Moment = Annotated[str, Meta(max_length=64)]
_STEP = 200
_HTML = ((200, "text/html; charset=utf-8"),)


class LogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The log by position: behind `after`, or the latest before `before`; `topic` is a beginning or a pattern."""

    after: Position | None = None
    before: Position | None = None
    topic: Word = ""
    stream: Word = ""
    limit: Limit = HTTP_PAGE_ITEMS


class SqlBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One SELECT, values for its `$names`, and a position or time at which the tables are to be true.

    Without `at` it is answered as of a quarter of a second ago at the earliest, with all that the same token wrote, and
    with the event at `min_position`.
    """

    query: Annotated[str, Meta(min_length=1, max_length=SQL_TEXT_BYTES_MAX)]
    parameters: dict[str, str | int | float | bool | None] = {}
    limit: Annotated[int, Meta(ge=1, le=SQL_ROWS_MAX)] = 1_000
    at: Moment = ""
    min_position: Position = 0


class ReportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A period (24h, 7d, a time), one picture alone, and the form; HTML comes as a file."""

    since: Moment = "24h"
    only: Word = ""
    form: Literal["json", "html"] = "json"


class RunReportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One picture alone, and the form."""

    only: Word = ""
    form: Literal["json", "html"] = "json"


class CompareQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two moments: positions, times or names of snapshots; the second is now where it is not named."""

    before: Word
    after: Word = ""


class SnapshotBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Its name, and the position or time that it is of; else now."""

    label: Annotated[str, Meta(max_length=100)] = ""
    at: Moment = ""


class CostQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By what, since when."""

    by: Literal["model", "agent", "task", "day", "controller"] = "model"
    since: Moment = ""
    limit: Limit = HTTP_PAGE_ITEMS


def list_events(asked: Asked) -> Answer:
    """The log's events, as pages; ascending behind `after`, descending before `before` or from the end."""
    query: LogQuery = asked.query
    if query.after is not None and query.before is not None:
        raise errors.Invalid(where="query.before", why="give one of after and before")
    log = asked.runtime.readable
    head = log.head().position
    if query.after is not None:
        events, at = _taken(_forward(log, query.after, head), query)
        return page(events, at if at < head else None, head)
    start = head if query.before is None else min(head, query.before - 1)
    events, at = _taken(_backward(log, start), query)
    return page(events, at if at > 1 else None, head)


def _forward(log: ReadLog, after: int, head: int) -> Iterator[Recorded]:
    while after < head and (events := log.read(after, PAGE_EVENTS_MAX, head)):
        yield from events
        after = events[-1].position


def _backward(log: ReadLog, upto: int) -> Iterator[Recorded]:
    while upto > 0:
        after = max(0, upto - _STEP)
        yield from reversed(log.read(after, _STEP, upto))
        upto = after


def _taken(events: Iterator[Recorded], query: LogQuery) -> tuple[list[dict[str, Any]], int]:
    """What is wanted of these events, as far as one answer goes; and the last position that was looked at."""
    found: list[dict[str, Any]] = []
    at = query.after or 0
    for event in itertools.islice(events, HTTP_LOOKED_AT_EVENTS_MAX):
        at = event.position
        if logs.is_of(event, query.topic) and query.stream in ("", event.stream):
            found.append(event_document(event))
            if len(found) == query.limit:
                break
    return found, at


def show_event(asked: Asked) -> Answer:
    """One event."""
    log = asked.runtime.readable
    return Answer(event_document(logs.event_at(log, asked.path["position"])), log.head().position)


def ask(asked: Asked) -> Answer:
    """Ask the tables one SELECT, in a child that can do nothing else, on a copy that blocks nobody."""
    body: SqlBody = asked.body
    house = asked.house
    head = asked.runtime.readable.head().position
    if body.min_position > head:
        raise errors.PositionAhead(given=body.min_position, head=head)
    known = max(body.min_position, house.written.get(asked.grant.name, 0))
    shared = house.copies.copied(asked.runtime, known)
    with sql.copied(asked.runtime, body.at) if body.at else shared as (copy, position):
        answer = sql.ask(
            copy, position, body.query, rows_max=body.limit, parameters=dict(body.parameters), forge=house.forge
        )
    return Answer({"position": position} | answer.found, position)


def questions(asked: Asked) -> Answer:
    """Questions that people ask of a log, each as one SELECT."""
    from projections.questions import QUESTIONS

    return page([each._asdict() for each in QUESTIONS], None, asked.runtime.readable.head().position)


def report(asked: Asked) -> Answer:
    """What happened in a period."""
    # in this process alone: a server starts none of its own beside those of its dispatcher
    return _reported(reports.of_period(asked.runtime, asked.query.since, asked.query.only, jobs=1), asked)


def run_report(asked: Asked) -> Answer:
    """What happened in a run."""
    wanted = asked.runtime.find_run(asked.path["run"])
    return _reported(reports.of_run(asked.runtime, wanted, asked.query.only), asked)


def _reported(found: reports.Report, asked: Asked) -> Answer:
    position = found.document["position"]
    if asked.query.form == "json":
        return Answer(found.document, position)
    headers = {
        "content-disposition": f'attachment; filename="rt-report-{position}.html"',
        "x-plotly": version("plotly"),
    }
    return Answer(None, position, headers=headers, content=html(found.page).encode(), media=_HTML[0][1])


def compare(asked: Asked) -> Answer:
    """What two moments say differently."""
    query = asked.query
    found = snapshots.compared(
        asked.runtime,
        moment(asked, query.before, "query.before"),
        moment(asked, query.after, "query.after") if query.after else "",
        ("query.before", "query.after"),
    )
    return Answer(found, asked.runtime.readable.head().position)


def moment(asked: Asked, given: str, where: str) -> str:
    """A moment as it is compared: the file of a snapshot that lies with the others, a position, or a time.

    Nothing else that is a file here is ever looked at. Raises SnapshotNotFound, Invalid.
    """
    if given.endswith(".json"):
        return str(snapshots.named(asked.runtime, given))
    found = snapshots.labelled(asked.runtime, given)
    if found is None:
        moments.at(given, where)
    return given if found is None else str(found)


def list_snapshots(asked: Asked) -> Answer:
    """Snapshots, newest first; one that cannot be read is listed with the reason."""
    head = asked.runtime.readable.head().position
    return page(snapshots.listed(asked.runtime), None, head)


def take_snapshot(asked: Asked) -> Answer:
    """Write what a moment says, the same bytes whenever it is made."""
    path, position, label = snapshots.written(asked.runtime, asked.body.label, asked.body.at)
    made = {"name": path.name, "position": position, "label": label}
    return Answer(made, position, 201, {"location": f"/api/v1/snapshots/{path.name}"})


def show_snapshot(asked: Asked) -> Answer:
    """One snapshot."""
    path = snapshots.named(asked.runtime, asked.path["name"])
    found = snapshots.read(asked.runtime, str(path), "path.name")
    return Answer(found, found.get("position"))


def cost(asked: Asked) -> Answer:
    """What models took, the dearest first."""
    query = asked.query
    found, head = costs.costs(asked.runtime, query.by, query.since, query.limit, ("query.by", "query.since"))
    return page(found, None, head)


ROWS = (
    Row("GET", "/api/v1/events", "read", list_events, LogQuery, answer=Page),
    Row("GET", "/api/v1/events/{position}", "read", show_event, problems=(errors.PositionUnknown,)),
    Row("POST", "/api/v1/sql", "sql", ask, body=SqlBody, heavy=True, body_bytes_max=SQL_TEXT_BYTES_MAX,
        problems=(errors.SqlRefused, errors.SqlInvalid, errors.PositionUnknown, errors.PositionAhead)),
    Row("GET", "/api/v1/sql/questions", "read", questions, answer=Page),
    Row("GET", "/api/v1/report", "read", report, ReportQuery, heavy=True, also=_HTML),
    Row("GET", "/api/v1/report/compare", "read", compare, CompareQuery, heavy=True,
        problems=(errors.PositionUnknown, errors.SnapshotNotFound)),
    Row("GET", "/api/v1/runs/{run}/report", "read", run_report, RunReportQuery, heavy=True, also=_HTML,
        problems=(errors.IdNotFound, errors.IdAmbiguous)),
    Row("GET", "/api/v1/snapshots", "read", list_snapshots, answer=Page),
    Row("POST", "/api/v1/snapshots", "operate", take_snapshot, body=SnapshotBody, answer=Written, heavy=True,
        problems=(errors.PositionUnknown,)),
    Row("GET", "/api/v1/snapshots/{name}", "read", show_snapshot, problems=(errors.SnapshotNotFound,)),
    Row("GET", "/api/v1/costs", "read", cost, CostQuery, answer=Page),
)  # fmt: skip
