"""What a run waits for that is no tool's process: answers of controllers, and requests of tools over HTTP."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from adapters.completions import Assembler, OllamaAssembler
from commands.words import Words
from commands.world import World
from domain.advance import Happened
from domain.agent_events import ControllerAnswered, ToolReturned
from domain.bounds import ANSWER_STORED_BYTES_MAX, HINT_S_MAX, OBSERVATION_CHARS_MAX
from domain.calls import HttpInput
from domain.ids import text_of
from domain.mind import Question
from domain.ports import HttpFailed, Request, Response
from domain.setup import Controller, Model

_ACTOR = "controller:"


def answered(
    world: World, question: Question, *, answer: bytes = b"", cause: str = "", since_s: float, retry_after_us: int = 0
) -> Happened:
    """The fact of an answer, without secrets and within its bound."""
    kept = world.secrets.text(answer.decode("utf-8", "replace")).encode("utf-8", "replace")[:ANSWER_STORED_BYTES_MAX]
    fact = ControllerAnswered(
        ask=question.ask,
        cause=cause,
        answer=text_of(kept) if kept else None,
        latency_us=int((world.clock.monotonic_s() - since_s) * 1_000_000),
        retry_after_us=retry_after_us,
    )
    return Happened(fact, None, _ACTOR + "model", {"answer": kept} if kept else {})


class Errand:
    """Something that goes on in the event loop and ends in one fact."""

    actor = "adapter:http"

    def __init__(self, world: World, ordinal: int, changed: Callable[[], None]) -> None:
        self.ordinal = ordinal
        self.over = False
        self.ending = False
        self.started_s = world.clock.monotonic_s()
        self._world = world
        self._going = asyncio.get_running_loop().create_task(self._go())
        self._going.add_done_callback(lambda _: changed())

    async def _go(self) -> Happened:
        raise NotImplementedError

    def _returned(self, *, ok: bool, cause: str, result: str, wait_us: int = 0, whole: bool = False) -> Happened:
        """The fact of what a tool brought back, without secrets and within its bound."""
        most = ANSWER_STORED_BYTES_MAX if whole else 4 * OBSERVATION_CHARS_MAX
        kept = self._world.secrets.text(result)[:most].encode("utf-8", "replace")
        fact = ToolReturned(
            call=self.ordinal,
            ok=ok,
            cause=cause,
            result=text_of(kept),
            duration_us=int((self._world.clock.monotonic_s() - self.started_s) * 1_000_000),
            retry_after_us=wait_us,
        )
        return Happened(fact, None, self.actor, {"result": kept})

    def collect(self, now_s: float) -> list[Happened]:
        """What may be recorded now."""
        _ = now_s
        if not self._going.done() or self.over:
            return []
        self.over = True
        return [self._ended()] if self._going.cancelled() else [self._going.result()]

    def _ended(self) -> Happened:
        raise NotImplementedError

    def due_s(self) -> float | None:
        """When something should be collected though nothing changed."""
        return None

    def end(self, grace_s: float) -> None:
        """Give it up."""
        _ = grace_s
        self._going.cancel()

    def release(self) -> None:
        """Forget it."""


class Streamed(Errand):
    """One whose answer may come piece by piece: put together here, and shown as it comes where somebody may look."""

    def __init__(  # what a stream is made of
        self,
        world: World,
        ordinal: int,
        *,
        assembler: Assembler | OllamaAssembler | None,
        words: Words | None,
        changed: Callable[[], None],
    ) -> None:
        self._assembler = assembler
        self._words = words
        self._changed = changed
        super().__init__(world, ordinal, changed)

    def _part(self, data: bytes) -> None:
        new = self._assembler.feed(data) if self._assembler is not None else []
        if self._words is not None and new:
            self._words.feed(new)
            self._changed()

    def collect(self, now_s: float) -> list[Happened]:
        """What may be recorded now: words before the answer that they are part of."""
        final = super().collect(now_s)
        return final if self._words is None else [*self._words.take(now_s, final=bool(final)), *final]

    def due_s(self) -> float | None:
        """When words that wait now should be collected."""
        return self._words.due_s() if self._words is not None and not self.over else None


class ModelAsk(Streamed):
    """An answer of a chat endpoint. With a stream, its words are output as they come."""

    def __init__(
        self,
        world: World,
        question: Question,
        controller: Controller,
        *,
        shown: bool,
        salt: bytes,
        request: bytes,
        changed: Callable[[], None],
    ) -> None:
        model = controller.model
        assert model is not None, "a controller that asks a model has one"
        self._model: Model = model
        self._question = question
        self._request = request
        super().__init__(
            world,
            question.ask,
            assembler=Assembler() if model.stream else None,
            words=Words(world, question.ask, salt, _ACTOR + "model") if model.stream and shown else None,
            changed=changed,
        )

    async def _go(self) -> Happened:
        headers = {"content-type": "application/json"}
        if self._model.key_env:
            key = self._world.environment.all().get(self._model.key_env, "")
            if not key:
                text = f"the variable {self._model.key_env} is not set".encode()
                return self._answer(cause="no_key", answer=text)
            headers["authorization"] = f"Bearer {key}"
        request = Request(
            method="POST",
            url=f"{self._model.base_url}/chat/completions",
            headers=headers,
            body=self._request,
            private=self._model.private,
            total_s=self._model.deadline_us / 1_000_000,
            bytes_max=8 * ANSWER_STORED_BYTES_MAX if self._model.stream else ANSWER_STORED_BYTES_MAX,
        )
        try:
            response = await self._world.http.send(request, self._part)
        except HttpFailed as problem:
            return self._answer(cause=problem.cause, answer=str(problem).encode())
        if not 200 <= response.status < 300:  # noqa: PLR2004  # what HTTP calls success
            wait = retry_after_us(response.headers.get("retry-after", ""), self._world.clock.now_us())
            return self._answer(cause=f"http:{response.status}", answer=response.body[:4096], retry_after_us=wait)
        if (
            self._assembler is None
            or "event-stream" not in response.headers.get("content-type", "event-stream").lower()
        ):
            return self._answer(answer=response.body)
        whole = self._assembler.whole()
        return self._answer(cause="cut_stream") if whole is None else self._answer(answer=whole)

    def _answer(self, *, answer: bytes = b"", cause: str = "", retry_after_us: int = 0) -> Happened:
        return answered(
            self._world,
            self._question,
            answer=answer,
            cause=cause,
            since_s=self.started_s,
            retry_after_us=retry_after_us,
        )

    def _ended(self) -> Happened:
        return self._answer(cause="given_up")


def retry_after_us(value: str, now_us: int) -> int:
    """The pause that a server asks for, in seconds or as a date (RFC 9110, section 10.2.3); 0 for none."""
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return min(int(value[:20]), HINT_S_MAX) * 1_000_000
    try:
        moment = parsedate_to_datetime(value[:100])
    except (ValueError, TypeError, OverflowError, IndexError):  # whatever a server writes there
        return 0
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return max(0, min(int(since.total_seconds() * 1_000_000) - now_us, HINT_S_MAX * 1_000_000))


class ProcessAsk:
    """An answer of a program: the request on its stdin, the decision on its stdout."""

    def __init__(self, world: World, question: Question, *, marker: str, deadline_s: float) -> None:
        self.ordinal = question.ask
        self.over = False
        self.ending = False
        self.started_s = world.clock.monotonic_s()
        self._world = world
        self._question = question
        self._marker = marker
        self._deadline_s = self.started_s + deadline_s
        self._answer = b""
        self._offset = 0
        self._cause = ""

    def collect(self, now_s: float) -> list[Happened]:
        """What may be recorded now."""
        found = self._world.processes.read(self._marker, self._offset)
        self._offset += sum(len(piece.data) for piece in found.pieces)
        self._answer += b"".join(piece.data for piece in found.pieces if piece.stream == "stdout")
        if len(self._answer) > ANSWER_STORED_BYTES_MAX:
            self._answer = self._answer[:ANSWER_STORED_BYTES_MAX]
            self._fail("too_large")
        if now_s >= self._deadline_s:
            self._fail("timeout")
        if found.exit is None or self.over:
            return []
        self.over = True
        if not self._cause and (found.exit.exit_code != 0 or found.exit.signal):
            self._cause = f"signal:{found.exit.signal}" if found.exit.signal else f"exit:{found.exit.exit_code}"
        return [answered(self._world, self._question, answer=self._answer, cause=self._cause, since_s=self.started_s)]

    def _fail(self, cause: str) -> None:
        if not self._cause:
            self._cause = cause
            self._world.processes.kill(self._marker, 0.5)

    def due_s(self) -> float | None:
        """Its deadline."""
        return None if self.over or self._cause else self._deadline_s

    def end(self, grace_s: float) -> None:
        """Give it up."""
        self._cause = self._cause or "given_up"
        self._world.processes.kill(self._marker, grace_s)

    def release(self) -> None:
        """Forget it."""
        self._world.processes.release(self._marker)


_ASSEMBLERS: Mapping[str, tuple[type[Assembler | OllamaAssembler], str]] = {
    "openai": (Assembler, "event-stream"),
    "ollama": (OllamaAssembler, "ndjson"),
}
_OVERHEAD = 8  # what comes on the wire for what is kept of a stream


class HttpCall(Streamed):
    """One request of a tool, or of a model that is asked once. The words of a stream are output as they come."""

    def __init__(  # what a request is made of
        self,
        world: World,
        ordinal: int,
        wanted: HttpInput,
        *,
        key: str,
        salt: bytes,
        changed: Callable[[], None],
    ) -> None:
        self._wanted = wanted
        self._key = key  # the same on every repetition, so that a receiver can drop duplicates
        made, self._streams_as = _ASSEMBLERS[wanted.stream] if wanted.stream else (None, "")
        super().__init__(
            world,
            ordinal,
            assembler=made() if made else None,
            words=Words(world, ordinal, salt, self.actor) if made else None,
            changed=changed,
        )

    async def _go(self) -> Happened:
        wanted = self._wanted
        headers = {"idempotency-key": self._key} | wanted.headers
        if wanted.key_env:
            key = self._world.environment.all().get(wanted.key_env, "")
            if not key:
                return self._returned(ok=False, cause="no_key", result=f"the variable {wanted.key_env} is not set")
            headers["authorization"] = f"Bearer {key}"
        most = min(wanted.bytes_max, ANSWER_STORED_BYTES_MAX) if wanted.whole else wanted.bytes_max
        request = Request(
            method=wanted.method,
            url=wanted.url,
            headers=headers,
            body=wanted.body.encode(),
            private=wanted.private,
            total_s=wanted.total_us / 1_000_000,
            bytes_max=most * _OVERHEAD if wanted.stream else most,
        )
        try:
            response = await self._world.http.send(request, self._part if wanted.stream else None)
        except HttpFailed as problem:
            return self._returned(ok=False, cause=problem.cause, result=str(problem))
        return self._read(response, most)

    def _read(self, response: Response, bytes_max: int) -> Happened:
        most = 300 if self._wanted.whole else 400  # that an answer lies elsewhere is none, for nobody goes there
        ok = 200 <= response.status < most  # noqa: PLR2004  # what HTTP calls success
        wait_us = 0 if ok else retry_after_us(response.headers.get("retry-after", ""), self._world.clock.now_us())
        cause, body = "" if ok else f"http:{response.status}", response.body
        if ok and self._assembler is not None and self._streams_as in response.headers.get("content-type", "").lower():
            whole = self._assembler.whole()
            cause, body = ("cut_stream", b"") if whole is None else ("", whole)
        if not cause and len(body) > bytes_max:
            cause, body = "too_large", f"more than {bytes_max} bytes".encode()
        text = body.decode("utf-8", "replace")
        return self._returned(ok=not cause, cause=cause, result=text, wait_us=wait_us, whole=self._wanted.whole)

    def _ended(self) -> Happened:
        return self._returned(ok=False, cause="canceled", result="")
