"""Workflow templates as data: a state machine whose states say which task they create and what its end leads to.

Texts of a task may hold placeholders: see `domain.workflow_render`.
"""

import difflib
import hashlib
import re
from collections.abc import Collection, Iterator
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from domain import bounds, errors
from domain.agent_config import NAME, Name, Usd
from domain.workflow_render import PARAMETER, Place, pieces

_KEPT = (  # what the engine itself keeps in a context
    "base_name",
    "execution_iteration",
    "last_completed_task_id",
    "last_completed_task_kind",
    "last_completed_task_at",
    "last_workflow_signal",
)

Parameter = Annotated[str, Meta(pattern=f"^{PARAMETER}$")]
Kind = Annotated[str, Meta(min_length=1, max_length=bounds.KIND_CHARS_MAX)]
T = TypeVar("T")


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a signal leads, and which cap counts it."""

    to: Name
    counts: Literal["", "iteration", "revision"] = ""


class TaskTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The task that a state creates."""

    kind: Kind
    priority: Annotated[int, Meta(ge=bounds.PRIORITY_MIN, le=bounds.PRIORITY_MAX)] = 5
    subject: str = ""
    description: str = ""
    profile: str = ""  # empty = that of the configuration
    payload: dict[str, Any] = {}


class StateTemplate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One state. Its task must name one of `required_signals`; where there are none, being completed is the signal."""

    task: TaskTemplate | None = None
    signals: dict[Name, Name | Move] = {}
    required_signals: tuple[Name, ...] = ()
    completion_kinds: tuple[Kind, ...] = ()  # a completed task of such a kind completes the workflow
    remember: dict[Parameter, Any] = {}  # goes into the context when a task moves the workflow on from here
    terminal: bool = False


class Caps(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a workflow may use up before a person is asked."""

    max_iterations: Annotated[int, Meta(ge=1, le=1_000)] = 10
    max_revisions: Annotated[int, Meta(ge=0, le=1_000)] = 3
    wall_s: Annotated[float, Meta(ge=0, le=bounds.WORKFLOW_WALL_S_MAX)] = 0.0  # 0 = no cap
    cost_usd: Usd = 0.0  # 0 = no cap
    signal_retry_max: Annotated[int, Meta(ge=0, le=100)] = 2
    state_retry_max: Annotated[int, Meta(ge=0, le=100)] = 2


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole template. `parameters` have defaults; `inputs` are further names that a context may give."""

    name: Name
    start: Name
    states: dict[Name, StateTemplate]
    description: str = ""
    parameters: dict[Parameter, Any] = {}
    inputs: tuple[Parameter, ...] = ()
    caps: Caps = Caps()

    def move(self, state: str, signal: str) -> Move | None:
        """Where a signal leads from a state."""
        found = self.states[state].signals.get(signal) if state in self.states else None
        return Move(to=found) if isinstance(found, str) else found


def encode(template: Template) -> bytes:
    """Canonical JSON. It spells every default out: a later default must not change an old instance."""
    return msgspec.json.encode(template, order="sorted")


def decode(content: bytes) -> Template:
    """A definition as an instance keeps it. Raises msgspec.DecodeError."""
    return msgspec.json.decode(content, type=Template)


def version(template: Template) -> str:
    """The digest by which an instance says what it was created with."""
    return hashlib.sha256(encode(template)).hexdigest()


# reading and checking


def parse(document: object, source: str) -> Template:
    """A template from what a file said. Raises InvalidConfig naming file and key path."""
    try:
        template = _converted(document, source)
        for name, state in template.states.items():
            _check_state(template, name, state, f"{source}: states.{name}")
            _check_values(template, state, f"{source}: states.{name}")
        _check_graph(template, source)
        if len(encode(template)) > bounds.DOCUMENT_BYTES_MAX:
            raise errors.InvalidConfig(where=source, why=f"more than {bounds.DOCUMENT_BYTES_MAX} bytes")
    except RecursionError:
        raise errors.InvalidConfig(where=source, why=f"nested deeper than {bounds.JSON_DEPTH_MAX}") from None
    return template


def _converted(document: object, source: str) -> Template:
    """Entries of tables first, each by its name, so that an error can name it."""
    states = document.get("states") if isinstance(document, dict) else None
    for name, state in states.items() if isinstance(states, dict) else ():
        if not re.fullmatch(NAME, name):
            why = f"{name!r} is no name: letters, digits, . _ - only, 64 at most, not beginning with a sign"
            raise errors.InvalidConfig(where=f"{source}: states", why=why)
        signals = state.get("signals") if isinstance(state, dict) else None
        for signal, move in signals.items() if isinstance(signals, dict) else ():
            kind = Move if isinstance(move, dict) else str
            _convert(move, kind, f"{source}: states.{name}.signals.{signal}")
        _convert(state, StateTemplate, f"{source}: states.{name}")
    return _convert(document, Template, source)


def _convert(value: object, kind: type[T], where: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as problem:
        text, _, place = str(problem).partition(" - at `")
        path = place.removeprefix("key` in `").removeprefix("$").removesuffix("`")
        missing = re.fullmatch("Object missing required field `(.*)`", text)
        path += f".{missing.group(1)}" if missing else ""
        full = where + path if ": " in where else f"{where}: {path.removeprefix('.') or 'the document'}"
        raise errors.InvalidConfig(where=full, why="is missing" if missing else _why(text)) from None


def _why(text: str) -> str:
    unknown = re.fullmatch("Object contains unknown field `(.*)`", text)
    if unknown is None:
        return text[:1].lower() + text[1:]
    kinds: tuple[type[msgspec.Struct], ...] = (Template, StateTemplate, TaskTemplate, Move, Caps)
    known = sorted({field for kind in kinds for field in kind.__struct_fields__})
    return f"unknown field {unknown.group(1)!r}" + _near(unknown.group(1), known)


def _near(name: str, known: Collection[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _check_state(template: Template, name: str, state: StateTemplate, where: str) -> None:
    for signal in state.signals:
        move = template.move(name, signal)
        if move is not None and move.to not in template.states:
            why = f"there is no state {move.to!r}{_near(move.to, template.states)}"
            raise errors.InvalidConfig(where=f"{where}.signals.{signal}", why=why)
    for at, signal in enumerate(state.required_signals):
        if signal not in state.signals:
            why = f"{signal!r} is no signal of this state{_near(signal, state.signals)}"
            raise errors.InvalidConfig(where=f"{where}.required_signals[{at}]", why=why)
    if state.terminal and (state.task or state.signals or state.completion_kinds):
        raise errors.InvalidConfig(where=where, why="a terminal state has no task, no signals and no completion_kinds")
    if not state.terminal:
        _check_ways_on(state, where)


def _check_ways_on(state: StateTemplate, where: str) -> None:
    if not state.signals and not state.completion_kinds:
        why = "a dead end: it needs signals or completion_kinds, or terminal = true"
        raise errors.InvalidConfig(where=where, why=why)
    if state.task is None:
        raise errors.InvalidConfig(where=f"{where}.task", why="is missing: without a task nothing moves this state on")
    if state.completion_kinds and state.task.kind not in state.completion_kinds:
        why = f"the task of this state is of kind {state.task.kind!r}, which is not among them"
        raise errors.InvalidConfig(where=f"{where}.completion_kinds", why=why)
    if state.completion_kinds and state.required_signals:
        why = "means nothing where the completed task completes the workflow"
        raise errors.InvalidConfig(where=f"{where}.required_signals", why=why)
    if not state.completion_kinds and not state.required_signals and len(state.signals) > 1:
        why = "is missing: there are several signals, and a task has to name one of them"
        raise errors.InvalidConfig(where=f"{where}.required_signals", why=why)


def _check_graph(template: Template, source: str) -> None:
    if template.start not in template.states:
        why = f"there is no state {template.start!r}{_near(template.start, template.states)}"
        raise errors.InvalidConfig(where=f"{source}: start", why=why)
    if len(template.states) > bounds.TEMPLATE_STATES_MAX:
        why = f"{len(template.states)} states; at most {bounds.TEMPLATE_STATES_MAX}"
        raise errors.InvalidConfig(where=f"{source}: states", why=why)
    ways = {name: _next(template, name) for name in template.states}
    lost = set(template.states) - _reached(ways, {template.start})
    if lost:
        why = f"no way leads here from the start, {template.start!r}"
        raise errors.InvalidConfig(where=f"{source}: states.{min(lost)}", why=why)
    back = {name: {other for other, to in ways.items() if name in to} for name in ways}
    ends = {name for name, state in template.states.items() if state.terminal or state.completion_kinds}
    trapped = set(template.states) - _reached(back, ends)
    if trapped:
        why = "a dead end: no way leads from here to an end"
        raise errors.InvalidConfig(where=f"{source}: states.{min(trapped)}", why=why)


def _next(template: Template, name: str) -> set[str]:
    moves = (template.move(name, signal) for signal in template.states[name].signals)
    return {move.to for move in moves if move is not None}


def _reached(ways: dict[str, set[str]], begin: set[str]) -> set[str]:
    seen, new = set(begin), set(begin)
    while new:
        new = {to for name in new for to in ways[name]} - seen
        seen |= new
    return seen


def _check_values(template: Template, state: StateTemplate, where: str) -> None:
    """Every placeholder is one, and refers to something that somebody can give."""
    remembered = {name for each in template.states.values() for name in each.remember}
    known = {*template.parameters, *template.inputs, *_KEPT, *remembered}
    total = 0
    parts: dict[str, Any] = {"remember": state.remember}
    if state.task is not None:
        parts |= {
            f"task.{name}": getattr(state.task, name) for name in ("subject", "description", "profile", "payload")
        }
    for path, text in _texts(parts, where):
        try:
            names = [each for piece in pieces(text) if isinstance(piece, Place) for each in piece.names()]
        except ValueError as problem:
            raise errors.InvalidConfig(where=path, why=str(problem)) from None
        total += len(names)
        for name in names:
            if name and name not in known:
                why = f"ctx.{name} is neither in parameters nor in inputs{_near(name, known)}"
                raise errors.InvalidConfig(where=path, why=why)
    if total > bounds.PLACEHOLDERS_MAX:
        raise errors.InvalidConfig(where=where, why=f"{total} placeholders; at most {bounds.PLACEHOLDERS_MAX}")


def _texts(value: object, where: str) -> Iterator[tuple[str, str]]:
    match value:
        case str():
            yield where, value
        case dict():
            for name, item in value.items():
                yield from _texts(item, f"{where}.{name}")
        case list() | tuple():
            for at, item in enumerate(value):
                yield from _texts(item, f"{where}[{at}]")
        case int() | float() | None:
            return
        case _:
            why = f"a {type(value).__name__} is nothing that JSON knows; write it as a text"
            raise errors.InvalidConfig(where=where, why=why)
