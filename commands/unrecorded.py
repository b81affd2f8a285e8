"""Questions and calls that are really made, and whose facts are written nowhere: for what might have been."""

import asyncio
import dataclasses
from typing import Any

import msgspec

from commands.effects import Effects
from commands.world import World
from domain.advance import Happened
from domain.agent_events import ControllerAnswered
from domain.bounds import UNRECORDED_CALL_S_MAX
from domain.events import Recorded, Text
from domain.ports import Log
from domain.run_state import Call, Run

_POLL_S = 0.01


async def answer(world: World, state: Run, texts: dict[str, bytes]) -> Recorded:
    """The fact of the controller's answer. It is asked as in the run, and no longer than its deadline."""
    mind = state.mind
    assert mind is not None, "there is a question"
    assert mind.question is not None, "there is a question"
    world = _knowing(world, texts)
    effects = Effects(world, state.run, lambda: None)
    happened = list(effects.ask(state, mind, mind.question))
    while not (found := [each for each in happened if isinstance(each.fact, ControllerAnswered)]):
        await asyncio.sleep(_POLL_S)
        happened += effects.collect(world.clock.monotonic_s())
    await effects.clear()
    return _recorded(world, state, found[-1])


async def carry_out(world: World, state: Run, call: Call, texts: dict[str, bytes]) -> list[Recorded]:
    """The facts of a call, to its end: at most its own timeout, or a minute, and then it is ended."""
    world = _knowing(world, texts)
    effects = Effects(world, state.run, lambda: None)
    state = msgspec.structs.replace(state, calls=(call,))
    begun_s = world.clock.monotonic_s()
    timeout_us = call.timeout_us or (state.policy.timeout_us if state.policy is not None else 0)
    until_s = begun_s + min(UNRECORDED_CALL_S_MAX, timeout_us / 1_000_000 or UNRECORDED_CALL_S_MAX)
    facts: list[Recorded] = []
    while not facts or not effects.idle:
        late = world.clock.monotonic_s() > until_s
        facts += [_recorded(world, state, each) for each in effects.carry_out(state, abandoned=late)]
        await asyncio.sleep(_POLL_S)
        facts += [_recorded(world, state, each) for each in effects.collect(world.clock.monotonic_s())]
    await effects.clear()
    return facts


def _knowing(world: World, texts: dict[str, bytes]) -> World:
    return dataclasses.replace(world, log=_With(world.log, texts))


def _recorded(world: World, state: Run, happened: Happened) -> Recorded:
    return Recorded(
        stream=state.run,
        version=0,
        at_us=world.clock.now_us(),
        actor=happened.actor or "fork",
        data=happened.fact,  # type: ignore[arg-type]  # every Fact of ours is an Event
        correlation=state.task,
        body=happened.body,
        texts=happened.texts,
    )


class _With:
    """A log that knows a few texts more: what is asked here is written nowhere."""

    def __init__(self, log: Log, texts: dict[str, bytes]) -> None:
        self._log = log
        self._texts = texts

    def blob(self, scope: str, text: Text) -> bytes:
        """See domain.ports.LogView."""
        return self._texts[text.sha256] if text.sha256 in self._texts else self._log.blob(scope, text)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever the log has
        return getattr(self._log, name)
