"""The outbox's deliveries: each message at least once, under one key, with growing pauses; who is told, and how."""

import hashlib
import hmac

from commands.making import Making
from commands.programs import Program, environment, run
from commands.world import World
from domain import agents, errors
from domain.bounds import MESSAGE_BYTES_MAX, OUTBOX_RETRY_S_MAX
from domain.ending import jittered
from domain.events import Event, Put, Recorded
from domain.payload import Fact
from domain.ports import HttpFailed, LogView, Request
from domain.stream_index import OUTBOX
from domain.work_config import DestinationConfig
from domain.work_events import OutboxDelivered, OutboxDropped, OutboxFailed, OutboxQueued, OutboxRetried

_AT_ONCE = 16


class Deliveries:
    """Delivers what is due. One that dies behind the delivery and before its event delivers twice, under one key."""

    def __init__(self, world: World, actor: str) -> None:
        self._world = world
        self._actor = actor

    def due(self) -> list[str]:
        """The messages that are due, the oldest first."""
        return self._world.log.due(OUTBOX, self._world.clock.now_us(), _AT_ONCE)

    async def deliver(self, stream: str) -> None:
        """One attempt; its end is an event."""
        events = self._world.log.stream(stream)
        queued = events[0].data if events else None
        if not isinstance(queued, OutboxQueued) or not _is_due(events[-1].data, self._world.clock.now_us()):
            return  # another dispatcher, or a person, was faster
        attempt = 1 + sum(1 for event in events if isinstance(event.data, OutboxFailed | OutboxDelivered))
        destination = self._world.config.outbox.destinations.get(queued.target)
        since_s = self._world.clock.monotonic_s()
        if destination is None:
            cause, answer, wait_us = "no_destination", "", 0
        else:
            cause, answer, wait_us = await self._attempt(destination, queued, events[0])
        fact: Fact
        if not cause:
            duration_us = int((self._world.clock.monotonic_s() - since_s) * 1_000_000)
            fact = OutboxDelivered(attempt=attempt, answer=answer, duration_us=duration_us)
        else:
            next_us = self._next_us(destination, stream, attempt, wait_us) if destination is not None else 0
            fact = OutboxFailed(attempt=attempt, cause=cause, next_us=next_us)
        await self._record(stream, events[-1].version, fact)

    def _next_us(self, destination: DestinationConfig, stream: str, attempt: int, wait_us: int) -> int:
        if attempt % destination.attempts == 0:  # a person's retry gives as many again
            return 0
        pause_s = min(destination.retry_s * 2 ** min(attempt - 1, 20), OUTBOX_RETRY_S_MAX)
        pause_us = max(jittered(int(pause_s * 1_000_000), f"{stream}:{attempt}"), wait_us)
        return self._world.clock.now_us() + pause_us

    async def _attempt(
        self, destination: DestinationConfig, queued: OutboxQueued, first: Recorded
    ) -> tuple[str, str, int]:
        """Why it failed, what was answered, and how long the receiver asks to wait."""
        try:
            body = self._world.log.blob(first.correlation, queued.message)
        except errors.BlobNotFound:
            return "message_erased", "", 0
        if destination.kind == "command":
            return await self._by_command(destination, queued, body)
        return await self._by_webhook(destination, queued, body)

    async def _by_webhook(
        self, destination: DestinationConfig, queued: OutboxQueued, body: bytes
    ) -> tuple[str, str, int]:
        from commands.asks import retry_after_us

        headers = {"content-type": "application/json", "idempotency-key": queued.key} | destination.headers
        environ = self._world.environment.all()
        for name in (destination.token_env, destination.sign_env):
            if name and not environ.get(name):
                return "no_key", f"the variable {name} is not set", 0
        if destination.token_env:
            headers["authorization"] = f"Bearer {environ[destination.token_env]}"
        if destination.sign_env:
            digest = hmac.new(environ[destination.sign_env].encode(), body, hashlib.sha256).hexdigest()
            headers["x-rt-signature"] = f"sha256={digest}"
        request = Request(
            method="POST",
            url=destination.url,
            headers=headers,
            body=body,
            private=destination.private,
            total_s=destination.timeout_s,
            bytes_max=MESSAGE_BYTES_MAX,
        )
        try:
            response = await self._world.http.send(request)
        except HttpFailed as problem:
            return problem.cause, "", 0
        if 200 <= response.status < 300:  # noqa: PLR2004  # what HTTP calls success
            return "", str(response.status), 0
        wait_us = retry_after_us(response.headers.get("retry-after", ""), self._world.clock.now_us())
        return f"http:{response.status}", "", wait_us

    async def _by_command(
        self, destination: DestinationConfig, queued: OutboxQueued, body: bytes
    ) -> tuple[str, str, int]:
        folder = self._world.folder
        first = destination.argv[0]
        told = {"RT_MESSAGE_KEY": queued.key, "RT_TASK_ID": queued.task, "RT_RUN_ID": queued.run}
        names = tuple(name for name in (destination.token_env, destination.sign_env) if name)
        ran = await run(
            self._world,
            Program(
                argv=(agents.below(folder, first) if "/" in first else first, *destination.argv[1:]),
                cwd=folder,
                env=environment(self._world.environment.all(), names, told),
                timeout_s=destination.timeout_s,
                bytes_max=MESSAGE_BYTES_MAX,
                stdin=body,
            ),
        )
        return ran.cause, "exit:0" if not ran.cause else "", 0

    async def _record(self, stream: str, version: int, fact: Fact) -> None:
        def work(view: LogView) -> Put | None:
            events = view.stream(stream, version)
            if any(isinstance(event.data, OutboxDelivered | OutboxDropped) for event in events):
                return None  # another dispatcher, or a person, was faster
            newer = any(isinstance(event.data, OutboxFailed | OutboxRetried) for event in events)
            if isinstance(fact, OutboxFailed) and newer:
                return None  # this attempt is counted already, or a person gave it another one
            making = Making(view, at_us=self._world.clock.now_us(), actor=self._actor)
            making.add(stream, fact)
            return making.put()

        await self._world.append(work)


def _is_due(last: Event, now_us: int) -> bool:
    """Whether a message wants to be delivered now, by its last event."""
    match last:
        case OutboxQueued():
            return not last.held
        case OutboxFailed():
            return 0 < last.next_us <= now_us
        case _:
            return isinstance(last, OutboxRetried)
