"""`rt fork`: a run as it would have gone on with other inputs. The log is not touched, and nothing is kept."""

import asyncio
import json
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
import typer

from commands import moments, options, render, run_moments, unrecorded
from commands.agents import known_controller
from commands.follow import one_line
from commands.invocation import invocation
from commands.items import event_document
from commands.wiring import Runtime
from commands.world import World
from domain import agents, errors, setup
from domain.bounds import FORK_SHOWN_MAX
from domain.events import OutputAppended, Recorded
from domain.run_state import Call, Run
from replays import fork as forks
from replays.diff import Said, said
from replays.states import Before, Moment

_T = TypeVar("_T")
_CONTROLLER = "controller"


def fork(
    run: options.RunArgument,
    at: Annotated[str, typer.Option("--at", help="From where: a position, @decisionN, or a time.")],
    controller: Annotated[str, typer.Option("--controller", help="Who is to decide from there on.")] = "",
    changes: Annotated[
        list[str] | None, typer.Option("--set", help="A frozen input as PATH=JSON, such as budgets.wall_us=5000000.")
    ] = None,
    live: Annotated[
        str, typer.Option("--live", help="Tools to call, and `controller` to ask, where the record does not say: a,b.")
    ] = "",
    as_json: options.Json = False,
) -> None:
    """Go on otherwise."""
    options.no_tail()
    runtime = invocation.runtime()
    wanted = runtime.find_run(run)
    names = frozenset(name.strip() for name in live.split(",") if name.strip())
    head, found = forked(runtime, wanted, Wish(at, controller, changes or (), names))
    runtime.close()
    if as_json:
        render.document("rt.fork.v1", document(wanted, found) | {"position": head})
    else:
        _show(wanted, found)


class Wish(NamedTuple):
    """How a run is to go on: from where, by whom, with which other inputs, and what is done in earnest."""

    at: str
    controller: str = ""
    changes: Sequence[str] = ()
    live: frozenset[str] = frozenset()


def forked(runtime: Runtime, wanted: str, wish: Wish) -> tuple[int, forks.Forked]:
    """The fork, and the end of the log. Raises Invalid, PositionUnknown, UnknownController."""
    at, controller, changes, live = wish
    if controller:
        known_controller(runtime, controller)
    head = runtime.readable.head().position
    where = moments.at(at)
    if where.position > head:
        raise errors.PositionUnknown(what="the log", given=at, first=1, last=head)
    before, events, point = run_moments.from_there(runtime, wanted, where)
    if not _is_over(point, events):
        raise errors.Invalid(where="RUN", why=f"run {wanted[:8]} is not over yet; fork it when it is")
    position = point.event.position

    def change(frozen: setup.Setup) -> setup.Setup:
        if controller:
            chosen = agents.controller_of(runtime.config, controller, 0, str(runtime.home.folder))
            frozen = msgspec.structs.replace(frozen, controller=chosen, spares=())
        return _with(frozen, changes)

    if live and any(each.startswith("book") for each in changes):
        raise errors.Invalid(
            where="--live", why="what is really done is by the policy that it was started with: no --set book"
        )
    if not live:
        return head, forks.fork(events, position, change, _Nothing(), before)
    return head, asyncio.run(_fork(runtime, before, events, position, change, live))


def _is_over(point: Moment, events: Sequence[Recorded]) -> bool:
    from domain import run as core

    state = core.fold((each for each in events if each.position > point.event.position), point.state)
    return state is not None and state.ended


async def _fork(  # what a fork is made of
    runtime: Runtime,
    before: Before,
    events: list[Recorded],
    position: int,
    change: forks.Change,
    names: frozenset[str],
) -> forks.Forked:
    def warn(text: str) -> None:
        render.note(text)

    async with runtime.world(lambda _: None, warn) as world:
        live = _Live(world, runtime.ids.new(), names, asyncio.get_running_loop())
        return await asyncio.to_thread(forks.fork, events, position, change, live, before)


class _Nothing:
    """Nothing is done in earnest: what the record does not know ends the fork."""

    def answer(self, state: Run, texts: dict[str, bytes]) -> Recorded | None:
        """See replays.fork.Live."""

    def carry_out(self, state: Run, call: Call, texts: dict[str, bytes]) -> list[Recorded] | None:
        """See replays.fork.Live."""


class _Live:
    """Asks and calls in earnest what was allowed to be, under an id of its own: its effects are no repetitions."""

    def __init__(self, world: World, run: str, names: frozenset[str], loop: asyncio.AbstractEventLoop) -> None:
        self._world, self._run, self._names, self._loop = world, run, names, loop

    def answer(self, state: Run, texts: dict[str, bytes]) -> Recorded | None:
        """See replays.fork.Live."""
        if _CONTROLLER not in self._names:
            return None
        return self._wait(unrecorded.answer(self._world, self._own(state), texts))

    def carry_out(self, state: Run, call: Call, texts: dict[str, bytes]) -> list[Recorded] | None:
        """See replays.fork.Live. What keeps something in the log is no effect of a fork."""
        if call.tool not in self._names or call.kind == "memory":
            return None
        return self._wait(unrecorded.carry_out(self._world, self._own(state), call, texts))

    def _own(self, state: Run) -> Run:
        return msgspec.structs.replace(state, run=self._run)

    def _wait(self, found: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(found, self._loop).result()


def _with(frozen: setup.Setup, changes: Sequence[str]) -> setup.Setup:
    """The inputs with some of them said otherwise. Raises Invalid for what is no input, or not of its shape."""
    document: Any = msgspec.to_builtins(frozen)
    for each in changes:
        path, found, text = each.partition("=")
        try:
            value = json.loads(text) if found else None
        except ValueError:
            value = text  # a word needs no quotation marks
        if not found or not path:
            raise errors.Invalid(where="--set", why=f"{each!r}: expected PATH=JSON, such as budgets.wall_us=5000000")
        _put(document, path.split("."), value, path)
    try:
        made = msgspec.convert(document, setup.Setup)
    except msgspec.ValidationError as problem:
        raise errors.Invalid(where="--set", why=str(problem)) from None
    taken = msgspec.to_builtins(made)
    for each in changes:  # what the shape does not know is dropped: such a name is a mistake
        _put(taken, each.partition("=")[0].split("."), None, each.partition("=")[0], new=False)
    return made


def _put(document: Any, path: list[str], value: object, whole: str, *, new: bool = True) -> None:  # noqa: ANN401  # any JSON
    """Set what stands at a path; a last name that is new may be one that was left out. Raises Invalid."""
    for depth, name in enumerate(path):
        key: Any = int(name) if isinstance(document, list) and name.isascii() and name.isdecimal() else name
        there = range(len(document)) if isinstance(document, list) else document if isinstance(document, dict) else ()
        if key not in there and not (new and isinstance(document, dict) and depth and depth == len(path) - 1):
            known = ", ".join(str(each) for each in there) or "nothing, for it is no object"
            raise errors.Invalid(where="--set", why=f"{whole}: there is no {name!r} here; there is: {known}")
        if depth == len(path) - 1:
            document[key] = value
        else:
            document = document[key]


def _difference(found: forks.Forked) -> tuple[int, str, str] | None:
    """The number in the fork, and what it and the parent say there first otherwise."""
    own = [each.event for each in found.told]
    pairs = [[_without_names(each) for each in said(events)] for events in (own, list(found.replaced))]
    for at in range(max(map(len, pairs))):
        here, there = (each[at] if at < len(each) else None for each in pairs)
        if here is None and found.stopped:
            return None  # it is not over: nobody knows whether it would differ
        if here is None or there is None or (here.event, here.fields) != (there.event, there.fields):
            return at + 1, _said(here), _said(there)
    return None


def _without_names(each: Said) -> Said:
    """What is decided, not who or which rule decided it."""
    return each._replace(fields={key: value for key, value in each.fields.items() if key not in ("rule", "controller")})


def _said(each: Said | None) -> str:
    if each is None:
        return "nothing"
    fields = ", ".join(f"{key}={value}" for key, value in each.fields.items() if value not in ("", None, 0, [], False))
    return f"{each.event} {fields}"[:FORK_SHOWN_MAX]


def document(parent: str, found: forks.Forked) -> dict[str, Any]:
    """A fork for programs."""
    first = _difference(found)
    return {
        "run": parent,
        "after": found.at,
        "state": found.state.status.value,
        "stopped": found.stopped,
        "assumed": sum(each.source == "assumed" for each in found.told),
        "events": [event_document(each.event) | {"source": each.source} for each in found.told],
        "difference": None if first is None else dict(zip(("number", "fork", "parent"), first, strict=True)),
    }


def _show(parent: str, found: forks.Forked) -> None:
    begun_us = found.told[0].event.at_us if found.told else 0
    render.out(f"run {parent[:8]} up to position {found.at}, and then otherwise")
    for each in found.told[:FORK_SHOWN_MAX]:
        render.out(f"  {each.source:<8} {one_line(each.event, begun_us)}")
        if isinstance(each.event.data, OutputAppended) and each.event.body:
            for text in each.event.body.decode("utf-8", "replace").splitlines()[:5]:
                render.out(f"           │ {render.line(text)}")
    if len(found.told) > FORK_SHOWN_MAX:
        render.out(f"  … {len(found.told) - FORK_SHOWN_MAX} more events: --json has them")
    render.out(f"it is {found.state.status.value}" + (f"; it stops here: {found.stopped}" if found.stopped else ""))
    first = _difference(found)
    if first is None:
        render.out("it says the same as the recorded run, as far as it goes")
    else:
        render.out(f"first difference at its event {first[0]}")
        render.out(f"  fork      {render.line(first[1])}")
        render.out(f"  recorded  {render.line(first[2])}")
    assumed = sum(each.source == "assumed" for each in found.told)
    if assumed:
        render.note(f"{assumed} ends of calls are assumed: in the record those went on")
