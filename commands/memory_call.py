"""Calls of the tool `memory`: what a run remembers, recalls and forgets, in the streams of memories."""

from collections.abc import Callable
from typing import NamedTuple

from commands.asks import Errand
from commands.surroundings import memories
from commands.world import World
from domain import errors
from domain.advance import Happened
from domain.agent_events import MemoryForgotten, MemoryKept
from domain.bounds import MEMORIES_MAX, MEMORY_CHARS_MAX
from domain.calls import MemoryInput
from domain.events import Blob, Put, Recorded
from domain.ids import memory_stream, text_of
from domain.payload import Fact
from domain.ports import LogView


class Remembers(NamedTuple):
    """Which call of which run it is: what it keeps is kept once, however often it is begun."""

    run: str
    call: int


class MemoryCall(Errand):
    """One call."""

    actor = "adapter:memory"

    def __init__(
        self, world: World, ordinal: int, wanted: MemoryInput, about: Remembers, changed: Callable[[], None]
    ) -> None:
        self._wanted = wanted
        self._about = about
        super().__init__(world, ordinal, changed)

    async def _go(self) -> Happened:
        wanted = self._wanted
        if wanted.scope == "thread" and not wanted.owner:
            return self._returned(ok=False, cause="no_thread", result="this run belongs to no thread")
        if wanted.do == "recall":
            return self._returned(ok=True, cause="", result=self._recalled())
        try:
            await self._world.append(self._change)
        except errors.NothingRemembered:
            return self._returned(ok=False, cause="not_found", result="nothing is remembered under this key")
        return self._returned(ok=True, cause="", result="remembered" if wanted.do == "remember" else "forgotten")

    def _recalled(self) -> str:
        wanted = self._wanted
        words = wanted.query.lower().split()
        found = [
            each
            for each in memories(self._world.log, wanted.scope, wanted.owner, self._world.clock.now_us())
            if all(word in f"{each.key} {each.text}".lower() for word in words)
        ]
        return "\n".join(f"{each.key}: {each.text}" for each in found[-MEMORIES_MAX:])

    def _change(self, view: LogView) -> Put | None:
        wanted, (run, call) = self._wanted, self._about
        stream = memory_stream(wanted.scope, wanted.owner)
        events = view.stream(stream)
        if any(_is_of(event.data, run, call) for event in events):
            return None  # done before its dispatcher died
        text = self._world.secrets.text(wanted.text)[:MEMORY_CHARS_MAX].encode("utf-8", "replace")
        key = self._world.secrets.text(wanted.key)
        data: Fact = MemoryKept(
            key=key,
            scope=wanted.scope,
            owner=wanted.owner,
            text=text_of(text),
            from_run=run,
            from_call=call,
        )
        if wanted.do == "forget":
            known = memories(view, wanted.scope, wanted.owner, self._world.clock.now_us())
            if key not in {each.key for each in known}:
                raise errors.NothingRemembered(key=key[:60])
            data = MemoryForgotten(key=key, scope=wanted.scope, owner=wanted.owner, from_run=run, from_call=call)
        event = Recorded(
            stream=stream,
            version=len(events) + 1,
            at_us=self._world.clock.now_us(),
            actor=f"controller:{run[:8]}",
            data=data,  # type: ignore[arg-type]  # a memory is an Event
            correlation=stream,
        )
        return Put(events=(event,), blobs=(Blob(stream, text),) if wanted.do == "remember" else ())

    def _ended(self) -> Happened:
        return self._returned(ok=False, cause="canceled", result="")


def _is_of(data: object, run: str, call: int) -> bool:
    return isinstance(data, MemoryKept | MemoryForgotten) and (data.from_run, data.from_call) == (run, call)
