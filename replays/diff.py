"""Two runs beside each other: the first event in which they differ, and what came of each."""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any, NamedTuple

import msgspec

from domain.agent_events import DecisionMade
from domain.events import OutputAppended, Payload, Recorded, RunFinished, TaskClaimed, ToolCallRequested

_SHOWN_CHARS = 400


class Said(NamedTuple):
    """What an event says that does not change from run to run."""

    position: int
    event: str
    fields: dict[str, Any]


class First(msgspec.Struct, frozen=True, kw_only=True):
    """The first difference. `field` is empty where another event, or none, stands there."""

    number: int  # of the compared events, from 1
    event: str
    field: str
    a: str | None
    b: str | None
    a_position: int
    b_position: int


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run, and what it took."""

    run: str
    state: str
    cause: str
    events: int
    decisions: int
    tool_calls: int
    output_bytes: int
    seconds: float
    tokens: int
    cost_usd: float | None


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Two runs compared; `first` is None where they say the same."""

    first: First | None
    a: Summary
    b: Summary


def diff(a: Iterable[Recorded], b: Iterable[Recorded]) -> Difference:
    """Compare two runs event by event, without what is different in every run (`Payload.VOLATILE`).

    Output is compared as text, however it was cut into events.
    """
    one, two = list(a), list(b)
    return Difference(first=_first(one, two), a=_summary(one), b=_summary(two))


def _first(a: list[Recorded], b: list[Recorded]) -> First | None:
    for number, (one, two) in enumerate(zip_longest(said(a), said(b)), 1):
        if one is None or two is None or one.event != two.event:
            return First(
                number=number,
                event=one.event if one else two.event if two else "",
                field="",
                a=_shown(one),
                b=_shown(two),
                a_position=one.position if one else 0,
                b_position=two.position if two else 0,
            )
        for field in dict.fromkeys((*one.fields, *two.fields)):
            if one.fields.get(field) != two.fields.get(field):
                return First(
                    number=number,
                    event=one.event,
                    field=field,
                    a=_text(one.fields.get(field)),
                    b=_text(two.fields.get(field)),
                    a_position=one.position,
                    b_position=two.position,
                )
    return None


def said(events: list[Recorded]) -> Iterator[Said]:
    """What the events say; adjacent output of one call and stream is one."""
    waiting: Said | None = None
    for event in events:
        data = event.data
        if isinstance(data, OutputAppended):
            key = {"call": data.call, "stream": data.stream}
            text = (event.body or b"").decode("utf-8", "replace")
            if waiting is not None and {name: waiting.fields[name] for name in key} == key:
                waiting = waiting._replace(fields=key | {"text": waiting.fields["text"] + text})
                continue
            if waiting is not None:
                yield waiting
            waiting = Said(event.position, _name(data), key | {"text": text})
            continue
        if waiting is not None:
            yield waiting
            waiting = None
        yield Said(event.position, _name(data), _steady(data))
    if waiting is not None:
        yield waiting


def _steady(data: Payload) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(data)
    return {name: value for name, value in fields.items() if name not in data.VOLATILE and name != "type"}


def _summary(events: list[Recorded]) -> Summary:
    kinds = [event.data for event in events]
    end = next((each for each in reversed(kinds) if isinstance(each, RunFinished)), None)
    decisions = [each for each in kinds if isinstance(each, DecisionMade)]
    costs = [each.cost_nusd for each in decisions if each.request is not None]
    costs += [end.cost_nusd] if end is not None and end.cost_nusd is not None else []
    tokens = sum((each.tokens_in or 0) + (each.tokens_out or 0) for each in decisions)
    tokens += ((end.tokens_in or 0) + (end.tokens_out or 0)) if end is not None else 0
    return Summary(
        run=next((each.run for each in kinds if isinstance(each, TaskClaimed)), ""),
        state=end.state if end is not None else "running",
        cause=end.cause if end is not None else "",
        events=len(events),
        decisions=len(decisions),
        tool_calls=sum(isinstance(each, ToolCallRequested) for each in kinds),
        output_bytes=sum(each.size for each in kinds if isinstance(each, OutputAppended)),
        seconds=round((events[-1].at_us - events[0].at_us) / 1e6, 3) if events else 0.0,
        tokens=tokens,
        cost_usd=None if any(cost is None for cost in costs) else sum(cost or 0 for cost in costs) / 1e9,
    )


def _shown(found: Said | None) -> str | None:
    if found is None:
        return None
    fields = ", ".join(
        f"{name}={value}" for name, value in found.fields.items() if value not in ("", None, 0, [], False)
    )
    return _text(f"{found.event} {fields}".strip())


def _text(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def _name(data: Payload) -> str:
    return str(data.__struct_config__.tag)
