"""`rt redecide`: what another controller would have said at each decision of a run. Nothing it says is carried out."""

import asyncio
from typing import Annotated, Any, NamedTuple

import msgspec
import typer

from commands import options, render, unrecorded
from commands.agents import known_controller
from commands.invocation import invocation
from commands.wiring import Runtime
from commands.world import World
from domain import agents, errors
from domain import run as core
from domain.agent_events import DecisionMade
from domain.bounds import REDECIDED_MAX
from domain.ids import text_of
from domain.setup import Controller
from replays.points import Point, points, with_controller


class Redecided(NamedTuple):
    """A recorded decision and the other one; `cause` where there is none."""

    point: Point
    other: DecisionMade | None
    cause: str = ""

    @property
    def same(self) -> bool:
        """Whether both decide the same, for whatever reason."""
        return self.other is not None and _essence(self.other) == _essence(self.point.recorded)


def redecide(
    run: options.RunArgument,
    controller: Annotated[str, typer.Option("--controller", help="Who is to decide instead.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=REDECIDED_MAX, help="At most so many decisions.")] = 50,
    as_json: options.Json = False,
) -> None:
    """Ask another controller."""
    options.no_tail()
    runtime = invocation.runtime()
    known_controller(runtime, controller)
    wanted = runtime.find_run(run)
    found = list(points(runtime.readable.run_events(wanted, bodies=True)))
    if not found:
        raise errors.Invalid(where="RUN", why=f"run {wanted[:8]} has no controller that decided anything")
    made = asyncio.run(_all(runtime, found[:limit], controller))
    position = runtime.readable.head().position
    runtime.close()
    if as_json:
        render.documents("rt.redecided.v1", [_document(each) for each in made], position=position)
        return
    rows = [
        (
            each.point.recorded.number,
            each.point.position,
            _shown(each.point.recorded),
            _shown(each.other) if each.other is not None else f"none: {render.line(each.cause)}",
            "same" if each.same else "differs",
        )
        for each in made
    ]
    render.table(("decision", "position", "recorded", render.line(controller), ""), rows)
    differ = sum(not each.same for each in made)
    render.note(f"{differ} of {len(made)} would differ; each is asked at its recorded moment, whatever it said before")


async def _all(runtime: Runtime, found: list[Point], name: str) -> list[Redecided]:
    def warn(text: str) -> None:
        render.note(text)

    async with runtime.world(lambda _: None, warn) as world:
        controller = agents.controller_of(runtime.config, name, 0, str(runtime.home.folder))
        return [await _one(world, point, controller) for point in found]


async def _one(world: World, point: Point, controller: Controller) -> Redecided:
    try:
        step = core.step(*with_controller(point, controller))
    except Exception as problem:  # noqa: BLE001  # whatever it cannot do at this moment is an answer too
        return Redecided(point, None, f"{type(problem).__name__}: {problem}")
    decided = _decision(step)
    if decided is not None:
        return Redecided(point, decided)
    mind = step.state.mind
    if mind is None or mind.question is None:
        return Redecided(point, None, "it would not have been asked here")
    texts = {text_of(text).sha256: text for text in step.texts}
    fact = await unrecorded.answer(world, step.state, texts)
    after = core.step(step.state, fact)
    cause = str(getattr(fact.data, "cause", ""))
    return Redecided(point, _decision(after), cause or "its answer was none")


def _decision(step: core.Step) -> DecisionMade | None:
    return next((each for each in step.consequences if isinstance(each, DecisionMade)), None)


def _essence(data: DecisionMade) -> tuple[object, ...]:
    return data.decision, data.calls, bool(data.refused)


def _shown(data: DecisionMade) -> str:
    calls = f" {', '.join(f'c{call}' for call in data.calls)}" if data.calls else ""
    rule = f" ({render.line(data.rule)})" if data.rule else ""
    refused = f", refused: {render.line(data.refused[:60])}" if data.refused else ""
    return f"{data.decision}{calls}{rule}{refused}"


def _document(each: Redecided) -> dict[str, Any]:
    return {
        "number": each.point.recorded.number,
        "position": each.point.position,
        "recorded": msgspec.to_builtins(each.point.recorded),
        "other": None if each.other is None else msgspec.to_builtins(each.other),
        "cause": each.cause if each.other is None else "",
        "same": each.same,
    }
