"""Runs: lists, one of them from every side, its past, what it would be today, and what it could have been."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from commands import forking, replaying, why
from commands.api.route import Answer, Asked, Page, Row, Written, page
from commands.api.work_routes import Limit, Position, ReasonBody, Word
from commands.cancel import ask_cancel
from commands.items import event_document, item
from commands.tasks import reason_of
from domain import errors
from domain.bounds import HTTP_PAGE_BYTES_MAX, HTTP_PAGE_ITEMS, TIMELINE_TICKS_MAX
from domain.events import OutputAppended, Recorded, RunFinished, RunVerified, Text
from domain.json_text import UNREADABLE
from domain.ports import RunView

Moment = Annotated[str, Meta(max_length=64)]
_LATEST = 100  # events within which a run says how it ended


class RunsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Runs, newest first: `before` is the `next` of the page before."""

    state: Word = ""
    task: Word = ""
    before: Position | None = None
    limit: Limit = HTTP_PAGE_ITEMS


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A run's events by position, from the one behind `after`."""

    after: Position = 0
    limit: Limit = HTTP_PAGE_ITEMS


class OutputQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a run printed, from the piece behind `after` (a version of its output stream); at most 1 MiB at once."""

    stream: Literal["", "stdout", "stderr", "content", "reasoning"] = ""
    after: Position = 0
    limit: Limit = HTTP_PAGE_ITEMS


class AtQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A position, @decision3, or a time; without it the end."""

    at: Moment = ""


class WhyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A position, @decision3, the name of an event, or a field of the state; without it the end."""

    about: Word = ""


class WhyOfQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a run or a task: which one, and what about it."""

    of: Word
    about: Word = ""


class DiffQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two runs."""

    a: Word
    b: Word


class ForkBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From where a run is to go on otherwise, by whom, and with which inputs: `PATH=JSON` each."""

    at: Moment
    controller: Word = ""
    set: Annotated[tuple[Annotated[str, Meta(max_length=4_096)], ...], Meta(max_length=50)] = ()


def list_runs(asked: Asked) -> Answer:
    """Runs, newest first."""
    from projections import status

    query: RunsQuery = asked.query
    task = asked.runtime.find_task(query.task) if query.task else ""
    before = 1 << 62 if query.before is None else query.before
    found, head = asked.runtime.projection().ask(
        lambda database, at: (
            status.runs(database, task=task, state=query.state, before=before, limit=query.limit), at
        )
    )  # fmt: skip
    return page(found, found[-1]["position"] if len(found) == query.limit else None, head)


def show_run(asked: Asked) -> Answer:
    """One run with its calls; its outcome where it has one."""
    from projections import status

    runtime = asked.runtime
    wanted = runtime.find_run(asked.path["run"])
    found, position = runtime.projection().ask(lambda database, at: (status.run(database, wanted), at))
    assert found is not None, "an id of the index is in the tables"
    return Answer(found | {"outcome": outcome(runtime.readable, wanted, found["task"])}, position)


def outcome(log: RunView, run: str, task: str) -> Any:  # noqa: ANN401  # the document, as the run reported it
    """The canonical outcome of a run; None where it has none, or where it was erased."""
    ends = [event.data for event in _latest(log, run) if isinstance(event.data, RunFinished)]
    return _text(log, task, ends[-1].outcome) if ends else None


def _latest(log: RunView, run: str) -> list[Recorded]:
    """The end of a run's stream: a long one is not read for what stands in its last events."""
    return log.stream(run, max(0, log.version(run) - _LATEST))


def _text(log: RunView, scope: str, text: Text | None) -> Any:  # noqa: ANN401  # a document
    if text is None:
        return None
    try:
        return msgspec.json.decode(log.blob(scope, text))
    except (errors.BlobNotFound, *UNREADABLE):
        return None


def events(asked: Asked) -> Answer:
    """A run's events by position: its task's part, its decisions, its output without the text."""
    runtime, query = asked.runtime, asked.query
    wanted = runtime.find_run(asked.path["run"])
    head = runtime.readable.head().position
    found: list[dict[str, Any]] = []
    for event in runtime.readable.run_events(wanted, bodies=False, after=query.after):
        found.append(event_document(event))
        if len(found) == query.limit:
            break
    return page(found, found[-1]["position"] if len(found) == query.limit else None, head)


def output(asked: Asked) -> Answer:
    """What a run printed, piece by piece."""
    runtime, query = asked.runtime, asked.query
    wanted = runtime.find_run(asked.path["run"])
    head = runtime.readable.head().position
    found: list[dict[str, Any]] = []
    size, after, more = 0, query.after, True
    while more and len(found) < query.limit and size < HTTP_PAGE_BYTES_MAX:
        pieces = runtime.readable.output(wanted, after)
        more = bool(pieces)
        for event in pieces:
            after = event.version
            data = event.data
            assert isinstance(data, OutputAppended), "the output stream holds output"
            if query.stream in ("", data.stream):
                found.append(item(event, event_document(event)) | {"erased": event.body is None})
                size += len(event.body or b"")
            if len(found) == query.limit or size >= HTTP_PAGE_BYTES_MAX:
                break
    return page(found, after if more else None, head)


def state(asked: Asked) -> Answer:
    """A run's whole state at one of its events, with what that event changed."""
    from commands import moments, run_moments
    from commands.debugging import document
    from replays.states import Wanted

    runtime = asked.runtime
    wanted = runtime.find_run(asked.path["run"])
    where = moments.at(asked.query.at, "query.at") if asked.query.at else Wanted()
    head = runtime.readable.head().position
    if where.position > head:
        raise errors.PositionUnknown(what="the log", given=asked.query.at, first=1, last=head)
    return Answer(document(run_moments.at(runtime, wanted, where)), head)


def decisions(asked: Asked) -> Answer:
    """The decisions of a run, in order."""
    from projections.status import rows

    wanted = asked.runtime.find_run(asked.path["run"])
    query = "SELECT * FROM decisions WHERE run = ? ORDER BY position LIMIT 2000"
    found, head = asked.runtime.projection().ask(lambda database, at: (rows(database, query, wanted), at))
    return page(found, None, head)


def timeline(asked: Asked) -> Answer:
    """Bars and ticks of a run, in seconds from its claim: what the pictures are drawn from."""
    from projections import timeline as lanes
    from projections.run_pictures import about

    wanted = asked.runtime.find_run(asked.path["run"])
    found, head = asked.runtime.projection().ask(lambda database, at: (about(database, wanted), at))
    [row] = found["runs"]
    bars, ticks, whole_s = lanes.parts(row, found["calls"], found)
    made = {
        "whole_s": whole_s,
        "bars": [bar._asdict() for bar in bars],
        "ticks": [tick._asdict() for tick in ticks],
        "cut": len(ticks) >= TIMELINE_TICKS_MAX,
    }
    return Answer(made, head)


def artifacts(asked: Asked) -> Answer:
    """What a run says that it made, and what was found of it."""
    runtime = asked.runtime
    wanted = runtime.find_run(asked.path["run"])
    stream = _latest(runtime.readable, wanted)
    task = stream[0].correlation if stream else ""
    checks = [event.data.checks for event in stream if isinstance(event.data, RunVerified)]
    reported = outcome(runtime.readable, wanted, task) or {}
    document = {
        "run": wanted,
        "paths": reported.get("artifact_paths", []) if isinstance(reported, dict) else [],
        "checks": (_text(runtime.readable, task, checks[-1]) if checks else None) or [],
    }
    return Answer(document, runtime.readable.head().position)


def why_run(asked: Asked) -> Answer:
    """What led to it: the chain of causes in plain words, the first cause first."""
    runtime = asked.runtime
    return _chain(asked, runtime.find_run(asked.path["run"]), asked.query.about)


def why_of(asked: Asked) -> Answer:
    """What led to something of a run or a task."""
    return _chain(asked, asked.query.of, asked.query.about)


def _chain(asked: Asked, what: str, about: str) -> Answer:
    head = asked.runtime.readable.head().position
    found = [why.document(each) for each in why.reasons(asked.runtime, what, about)]
    return page(found, None, head)


def diff(asked: Asked) -> Answer:
    """Two runs beside each other: where they first say something else, and what they took."""
    from commands.comparing import compared

    runtime = asked.runtime
    head = runtime.readable.head().position
    return Answer(compared(runtime, runtime.find_run(asked.query.a), runtime.find_run(asked.query.b)), head)


def cancel(asked: Asked) -> Answer:
    """Ask a run to end; its dispatcher ends its processes."""
    runtime = asked.runtime
    wanted = runtime.find_run(asked.path["run"])
    reason = reason_of(runtime, asked.body.reason, "body.reason")
    position = ask_cancel(runtime.log, wanted, runtime.clock.now_us(), runtime.actor, reason)
    return Answer({"run": wanted, "position": position}, position, 202)


def replay(asked: Asked) -> Answer:
    """Whether today's code decides as recorded; nothing is run, and nothing is appended."""
    from replays.audit import RUN, Wanted, verdict

    runtime = asked.runtime
    wanted = runtime.find_run(asked.path["run"])
    head = runtime.readable.head().position
    found = verdict(runtime.readable, Wanted(RUN, wanted))
    return Answer(replaying.document(found.result, found.took_s) | {"cause": found.cause}, head)


def fork(asked: Asked) -> Answer:
    """A run as it would have gone on with other inputs; tools answer from the record, and nothing is kept."""
    runtime, body = asked.runtime, asked.body
    wanted = runtime.find_run(asked.path["run"])
    head, found = forking.forked(runtime, wanted, forking.Wish(body.at, body.controller, body.set))
    return Answer(forking.document(wanted, found), head)


_NO_RUN = (errors.IdNotFound, errors.IdAmbiguous)
_NO_MOMENT = (*_NO_RUN, errors.PositionUnknown)
ROWS = (
    Row("GET", "/api/v1/runs", "read", list_runs, RunsQuery, answer=Page, problems=_NO_RUN),
    Row("GET", "/api/v1/runs/{run}", "read", show_run, problems=_NO_RUN),
    Row("GET", "/api/v1/runs/{run}/events", "read", events, EventsQuery, answer=Page, problems=_NO_RUN),
    Row("GET", "/api/v1/runs/{run}/output", "read", output, OutputQuery, answer=Page, problems=_NO_RUN),
    Row("GET", "/api/v1/runs/{run}/state", "read", state, AtQuery, problems=_NO_MOMENT, heavy=True),
    Row("GET", "/api/v1/runs/{run}/decisions", "read", decisions, answer=Page, problems=_NO_RUN),
    Row("GET", "/api/v1/runs/{run}/timeline", "read", timeline, problems=_NO_RUN),
    Row("GET", "/api/v1/runs/{run}/artifacts", "read", artifacts, problems=_NO_RUN),
    Row("GET", "/api/v1/runs/{run}/why", "read", why_run, WhyQuery, answer=Page, problems=_NO_MOMENT, heavy=True),
    Row("GET", "/api/v1/why", "read", why_of, WhyOfQuery, answer=Page, problems=_NO_MOMENT, heavy=True),
    Row("GET", "/api/v1/diff", "read", diff, DiffQuery, problems=_NO_RUN, heavy=True),
    Row("POST", "/api/v1/runs/{run}/cancel", "operate", cancel, body=ReasonBody, answer=Written,
        problems=(*_NO_RUN, errors.RunOver)),
    Row("POST", "/api/v1/runs/{run}/replay", "read", replay, problems=_NO_RUN, heavy=True),
    Row("POST", "/api/v1/runs/{run}/fork", "read", fork, body=ForkBody,
        problems=(*_NO_MOMENT, errors.UnknownController), heavy=True),
)  # fmt: skip
