"""Replay: the recorded facts of a run through today's core, its consequences compared with the recorded ones.

Opens no socket, starts no process, appends nothing. A missing or surplus consequence is a difference, never a call.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal, Protocol

import msgspec

from domain import errors, timers
from domain import run as core
from domain.advance import stream_of
from domain.agent_events import ApprovalRequested, CallRefused, ControllerAsked, DecisionMade
from domain.bounds import REPLAY_INPUTS_SHOWN_MAX
from domain.events import (
    CancelRequested,
    Consequence,
    OutputAppended,
    Payload,
    Recorded,
    TaskBlocked,
    TaskCanceled,
    TimerFired,
    ToolCallRequested,
)
from replays.causes import SAID, Cause, cause_of

Kind = Literal["field", "event", "missing", "surplus", "digest", "error", "undecodable"]
_CARRIED_OUT = (ToolCallRequested, CallRefused, ApprovalRequested, CancelRequested)  # what a decision leads to
_INPUT_CHARS = 300


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """The first place where today's core does not derive what the log says; None on the side where nothing is."""

    kind: Kind
    position: int
    event: str
    field: str
    recorded: str | None
    today: str | None
    fact_position: int  # the fact that it was derived from
    fact: str
    decision: int = 0  # of a controller, from 1: the one that differs or that is being asked for
    cause: Cause = "code"
    inputs: tuple[str, ...] = ()  # what went in: the fact, its texts, the state that it met

    def __str__(self) -> str:
        """One paragraph for people."""
        lines = [
            f"first difference at position {self.position}: {self.event}"
            + (f" (decision {self.decision})" if self.decision else "")
            + (f", field {self.field}" if self.field else "")
        ]
        lines.append(f"  recorded  {'nothing' if self.recorded is None else _one_line(self.recorded)}")
        lines.append(f"  today     {'nothing' if self.today is None else _one_line(self.today)}")
        lines.append(f"  derived from position {self.fact_position}: {self.fact}")
        lines += [f"  with      {_one_line(each)}" for each in self.inputs[:REPLAY_INPUTS_SHOWN_MAX]]
        lines.append(f"  cause     {SAID[self.cause]}")
        return "\n".join(lines)


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay found."""

    run: str
    events: int
    consequences: int
    output_bytes: int
    state: str
    difference: Difference | None
    erased: bool = False  # texts that went into it are gone; what follows from them was not compared


def replay(
    events: Iterable[Recorded], salt: bytes = b"", instead: Callable[[Recorded], Recorded] | None = None
) -> Replayed:
    """Replay a run from its events by position (`Log.run_events`). Bodies, where they are given, are checked too.

    `instead` gives a fact as it would be with other inputs: another policy, another prompt.
    """
    replaying = Replaying(salt, instead)
    try:
        for event in events:
            if replaying.take(event):
                break
        else:
            replaying.finish()
    except (errors.Undecodable, errors.NewerLog) as problem:
        replaying.cannot_read(problem)
    state = replaying.state
    return Replayed(
        run=state.run if state else "",
        events=replaying.events,
        consequences=replaying.consequences,
        output_bytes=replaying.output_bytes,
        state=state.status.value if state else "",
        difference=None if replaying.erased and _may_be_erasure(replaying.difference) else replaying.difference,
        erased=replaying.erased,
    )


def is_erased(fact: Recorded) -> bool:
    """Whether a text that the fact names is gone."""
    if isinstance(fact.data, OutputAppended):
        return fact.body is None and fact.data.size > 0
    return any(getattr(fact.data, field) is not None and field not in fact.texts for field in fact.data.TEXTS)


def _may_be_erasure(difference: Difference | None) -> bool:
    """Whether texts that are gone may be behind a difference: a changed event without any would still be one."""
    return difference is None or difference.cause not in ("damaged", "undecodable")


def is_derived(data: Consequence) -> bool:
    """Whether the core derives this event; a person's, for a task that does not run, it does not."""
    return not (isinstance(data, TaskCanceled | TaskBlocked) and not data.run)


class Stepped(Protocol):
    """What one fact led to."""

    @property
    def state(self) -> Any:  # noqa: ANN401  # of a run, a workflow, a schedule
        """The state after it."""
        ...

    @property
    def consequences(self) -> tuple[Consequence, ...]:
        """What follows."""
        ...


class Replaying:
    """The state of one replay; of a run, unless a subclass says otherwise."""

    def __init__(self, salt: bytes, instead: Callable[[Recorded], Recorded] | None = None) -> None:
        self._instead = instead
        self.state: Any = None
        self.events = 0
        self.consequences = 0
        self.output_bytes = 0
        self.erased = False
        self.difference: Difference | None = None
        self._salt = salt
        self._decisions = 0
        self._expected: deque[Consequence] = deque()
        self._fact: Recorded | None = None
        self._met: Any = None  # the state that the fact met
        self._last = 0

    def take(self, event: Recorded) -> bool:
        """Take the next event in; whether to stop."""
        self.events += 1
        self._last = event.position
        data = event.data
        if isinstance(data, Consequence) and self.is_derived(data):
            self.consequences += 1
            self._compare(event, data)
            self._decisions += isinstance(data, DecisionMade) and self.difference is None
        else:
            self._missing(event.position)
            if self.difference is None:
                self._feed(event)
        return self.difference is not None

    def is_derived(self, data: Consequence) -> bool:
        """Whether this stream's own code derives this event."""
        return is_derived(data)

    def step(self, fact: Recorded) -> Stepped:
        """What today's core makes of a fact."""
        return core.step(self.state, fact)

    def stream(self, data: Payload) -> str:
        """The stream on which a consequence belongs."""
        return stream_of(self.state, data)

    def finish(self) -> None:
        """Nothing follows: all that was derived must have been recorded."""
        self._missing(self._last)

    def cannot_read(self, problem: errors.RtError) -> None:
        """The next event cannot be read by today's code."""
        topic = str(problem.fields.get("topic") or problem.fields.get("found") or "")
        position = problem.fields.get("position") or str(problem.fields.get("what", "")).rpartition(" ")[2]
        self.difference = Difference(
            kind="undecodable",
            position=int(position) if str(position).isdecimal() else self._last + 1,
            event=topic.rpartition(".v")[0] or topic,
            field="",
            recorded=topic,
            today=str(problem),
            fact_position=self._last,
            fact=show(self._fact.data) if self._fact else "",
            cause="undecodable",
        )

    def _feed(self, fact: Recorded) -> None:
        self._fact, self._met = fact, self.state
        self.erased = self.erased or is_erased(fact)
        if isinstance(fact.data, OutputAppended) and fact.body is not None:
            self.output_bytes += len(fact.body)
            digest = hashlib.sha256(self._salt + fact.body).hexdigest()
            if digest != fact.data.digest:
                self._differs("digest", fact, "digest", fact.data.digest, digest)
                return
        due_us = timers.due_us(self.state, fact.data.timer) if isinstance(fact.data, TimerFired) else None
        if isinstance(fact.data, TimerFired) and due_us not in (None, fact.data.due_us):
            self._differs("field", fact, "due_us", str(fact.data.due_us), str(due_us))
            return
        try:
            step = self.step(fact if self._instead is None else self._instead(fact))
        except Exception as problem:  # noqa: BLE001  # today's core refusing a fact is a difference to show
            self._differs("error", fact, "", _name(fact.data), f"{type(problem).__name__}: {problem}")
            return
        self.state = step.state
        self._expected.extend(step.consequences)

    def _compare(self, event: Recorded, recorded: Consequence) -> None:
        if not self._expected:
            self._differs("surplus", event, "", show(recorded), None)
            return
        today = self._expected.popleft()
        if type(today) is not type(recorded):
            self._differs("event", event, "event", show(recorded), show(today))
            return
        for field in recorded.__struct_fields__:
            was, now = getattr(recorded, field), getattr(today, field)
            if was != now:
                self._differs("field", event, field, _value(was), _value(now))
                return
        assert self.state is not None, "a consequence follows a fact"
        if event.stream != self.stream(today):
            self._differs("field", event, "stream", event.stream, self.stream(today))

    def _missing(self, position: int) -> None:
        if self._expected and self.difference is None:
            today = self._expected.popleft()
            self.difference = Difference(
                kind="missing",
                position=position,
                event=_name(today),
                field="",
                recorded=None,
                today=show(today),
                fact_position=self._fact.position if self._fact else 0,
                fact=show(self._fact.data) if self._fact else "",
                decision=self._decision(type(today)),
                cause=cause_of("missing", _name(today), "", self._substituted),
                inputs=self._inputs(),
            )

    def _differs(self, kind: Kind, event: Recorded, field: str, recorded: str, today: str | None) -> None:
        self.difference = Difference(
            kind=kind,
            position=event.position,
            event=_name(event.data),
            field=field,
            recorded=recorded,
            today=today,
            fact_position=self._fact.position if self._fact else 0,
            fact=show(self._fact.data) if self._fact else "",
            decision=self._decision(type(event.data)),
            cause=cause_of(kind, _name(event.data), field, self._substituted),
            inputs=self._inputs(),
        )

    @property
    def _substituted(self) -> frozenset[str]:
        """The parts of the run's inputs that were put in the place of its own and say something else."""
        return frozenset(getattr(self._instead, "changed", ()))

    def _inputs(self) -> tuple[str, ...]:
        """What went into the decision that differs."""
        fact = self._fact
        if fact is None:
            return ()
        texts = {"output": fact.body} if fact.body is not None else {}
        found = [f"{name}: {_head(text)}" for name, text in (texts | fact.texts).items() if text]
        met = getattr(self._met, "status", None)
        return (*found, *([f"state before: {met}"] if met is not None else []))

    def _decision(self, kind: type[Payload]) -> int:
        """The number of the decision that an event is about. Today's state has gone on to all that follows."""
        if kind in (ControllerAsked, DecisionMade):
            return self._decisions + 1
        return self._decisions if kind in _CARRIED_OUT else 0


def show(data: Payload) -> str:
    """An event as one short line: its name and the fields that are set."""
    fields = ", ".join(
        f"{name}={_value(getattr(data, name))}"
        for name in data.__struct_fields__
        if getattr(data, name) not in ("", None, 0, ())
    )
    return f"{_name(data)} {fields}".rstrip()


def _one_line(text: str) -> str:
    return text.replace("\n", "\\n")


def _head(text: bytes) -> str:
    shown = text[: 2 * _INPUT_CHARS].decode("utf-8", "replace")
    return shown if len(shown) <= _INPUT_CHARS else f"{shown[:_INPUT_CHARS]}… ({len(text)} bytes)"


def _name(data: Payload) -> str:
    return str(data.__struct_config__.tag)


def _value(value: object) -> str:
    if isinstance(value, msgspec.Struct):
        return msgspec.json.encode(value).decode()
    return str(value)
