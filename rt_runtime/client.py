"""A typed client of `rt serve`, for sibling agents and programs: `AsyncClient` is awaited, `Client` waits.

    with Client("http://127.0.0.1:4314", token) as rt:
        result = rt.run("summarise the incident", requested_profile="writer")
        while result.waits:
            result = rt.resume(result.waits[0], "approve")
        print(result.summary)

Every write carries a key and is sent again when its answer was not heard; a stream that is cut goes on behind the last
event that was seen, so that each event comes once and in order.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import aclosing
from typing import Any, Self, TypeVar

import httpx
import msgspec

from rt_runtime import requests
from rt_runtime.answers import Answer, Approval, Event, Problem, Reader, Result, Taken
from rt_runtime.requests import STREAM, TRIES, WAIT_FIRST_S, WAIT_MOST_S, Request

__all__ = ["Approval", "AsyncClient", "Client", "Event", "Problem", "Result", "Taken"]
_FINAL = (401, 403, 404, 409, 422)  # asking again would not help
_T = TypeVar("_T")


class AsyncClient:
    """Talks to one server. Raises Problem for what the server refuses, httpx.TransportError where it is not there."""

    def __init__(self, url: str, token: str, *, timeout_s: float = 30.0) -> None:
        headers = {"authorization": f"Bearer {token}", "accept-encoding": "identity"}
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout_s, trust_env=False)

    async def __aenter__(self) -> Self:
        """Use it, and close it afterwards."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def ask(self, request: Request) -> Any:  # noqa: ANN401  # a document
        """Send any request (`requests.read`, `requests.write`); its document."""
        return requests.decoded(await self._send(request))

    async def _send(self, request: Request) -> httpx.Response:
        for attempt in range(1, TRIES + 1):
            try:
                return await self._http.request(
                    request.method, request.path, params=request.query, json=request.body, headers=request.headers
                )
            except httpx.TransportError:
                if attempt == TRIES:
                    raise
            await asyncio.sleep(WAIT_FIRST_S * 2**attempt)
        raise AssertionError

    async def submit(
        self,
        goal: str = "",
        *,
        payload: dict[str, Any] | None = None,
        key: str = "",
        **fields: Any,  # noqa: ANN401  # of a task
    ) -> Taken:
        """Take in a task, and return when it is durable. `fields`: those of a task input, such as `priority`."""
        return msgspec.convert(await self.ask(requests.task(goal, payload, fields, key)), Taken, strict=False)

    async def run(
        self,
        goal: str = "",
        *,
        payload: dict[str, Any] | None = None,
        key: str = "",
        timeout_s: float | None = None,
        **fields: Any,  # noqa: ANN401  # of a task
    ) -> Result:
        """Take in a task and wait until it is over or waits for a person. Raises TimeoutError; the task goes on."""
        taken = await self.submit(goal, payload=payload, key=key, **fields)
        return await self.wait(taken.task_id, timeout_s=timeout_s)

    async def task(self, task: str, *, at_least: int = 0) -> dict[str, Any]:
        """One task; `at_least`: as of this position or later."""
        found: dict[str, Any] = await self.ask(requests.read(f"/api/v1/tasks/{task}", min_position=at_least or None))
        return found

    async def wait(self, task: str, *, timeout_s: float | None = None) -> Result:
        """Wait until a task is over or waits for a person. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            answer = await self._send(requests.read(f"/api/v1/tasks/{task}"))
            shown, position = requests.decoded(answer), int(answer.headers.get("rt-position", 0))
            if requests.is_settled(shown["status"]):
                return await self._result(shown, position)
            async with aclosing(self.subscribe(task=shown["task"], after=position)) as events:
                async for event in events:
                    if event.stream != shown["task"]:
                        continue
                    shown = await self.task(shown["task"], at_least=event.position)
                    if requests.is_settled(shown["status"]):
                        return await self._result(shown, event.position)
        raise AssertionError

    async def _result(self, shown: dict[str, Any], position: int) -> Result:
        run = await self.ask(requests.read(f"/api/v1/runs/{shown['run']}")) if shown["run"] else None
        waits = await self.approvals(shown["run"]) if shown["status"] == "waiting_for_approval" else ()
        return requests.result(shown, run, waits, position)

    async def stream(self, task: str, *, after: int = 0) -> AsyncGenerator[Event, None]:
        """The events of a task and its runs, until it is over or waits for a person."""
        if 0 < await self._end(task, 0) <= after:
            return
        async with aclosing(self.subscribe(task=task, after=after)) as events:
            async for event in events:
                yield event
                if event.stream == event.task and 0 < await self._end(task, event.position) <= event.position:
                    return

    async def _end(self, task: str, at_least: int) -> int:
        """The position of a task's last event, where nothing happens to it by itself any more; else 0."""
        shown = await self.task(task, at_least=at_least)
        if not requests.is_settled(shown["status"]):
            return 0
        found = await self.ask(requests.read("/api/v1/events", stream=shown["task"], limit=1))
        return int(found["items"][0]["position"])

    async def subscribe(
        self, *, after: int | None = None, topic: str = "", run: str = "", task: str = "", stream: str = ""
    ) -> AsyncGenerator[Event, None]:
        """The log as it grows, for ever; from now on where no position is given. Cuts are mended."""
        reader, wait_s = Reader(after), WAIT_FIRST_S
        query = {"topic": topic, "run": run, "task": task, "stream": stream}
        request = requests.read("/api/v1/stream", **query)
        while True:
            try:
                headers = requests.stream_headers(reader.position)
                async with self._http.stream(
                    "GET", request.path, params=request.query, headers=headers, timeout=STREAM
                ) as answer:
                    if not answer.is_success:
                        await answer.aread()
                        requests.decoded(answer)
                    async for text in answer.aiter_text():
                        wait_s = WAIT_FIRST_S
                        for event in reader.feed(text):
                            yield event
            except httpx.TransportError:
                pass
            except Problem as problem:
                if problem.status in _FINAL:
                    raise
            reader.cut()
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, WAIT_MOST_S)

    async def approvals(self, run: str = "") -> tuple[Approval, ...]:
        """What waits for a person, in one run or in all."""
        return requests.approvals(await self.ask(requests.read("/api/v1/approvals")), run)

    async def approve(
        self, what: Approval, note: str = "", *, edit: dict[str, Any] | None = None, key: str = ""
    ) -> int:
        """Say yes to exactly what was shown, or to other arguments; the position. A question is answered by `note`."""
        how: Answer = "approve" if edit is None else "edit"
        return int((await self.ask(requests.answer(what, how, note, edit, key)))["position"])

    async def reject(self, what: Approval, reason: str, *, key: str = "") -> int:
        """Say no; the agent is told why. The position."""
        return int((await self.ask(requests.answer(what, "reject", reason, None, key)))["position"])

    async def resume(
        self,
        what: Approval,
        how: Answer,
        text: str = "",
        *,
        edit: dict[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> Result:
        """Answer what waits and wait again: until the task is over, or the next thing waits. `text`: note or reason."""
        await self.ask(requests.answer(what, how, text, edit, ""))
        return await self.wait(what.task, timeout_s=timeout_s)

    async def cancel(self, task: str, reason: str = "") -> str:
        """End a task in whatever state it is; what came of it."""
        return str((await self.ask(requests.write(f"/api/v1/tasks/{task}/cancel", {"reason": reason})))["state"])


class Client:
    """The same for programs that wait; works in a notebook too, as its event loop is a thread of its own."""

    def __init__(self, url: str, token: str, *, timeout_s: float = 30.0) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rt-client", daemon=True)
        self._thread.start()
        self._client = AsyncClient(url, token, timeout_s=timeout_s)

    def __enter__(self) -> Self:
        """Use it, and close it afterwards."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close its connections, and end its thread."""
        self._do(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        doing = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return doing.result()
        except BaseException:
            doing.cancel()
            raise

    def _each(self, events: AsyncGenerator[Event, None]) -> Generator[Event, None, None]:
        try:
            while True:
                try:
                    yield self._do(_next(events))
                except StopAsyncIteration:
                    return
        finally:
            self._do(events.aclose())

    def ask(self, request: Request) -> Any:  # noqa: ANN401  # a document
        """See AsyncClient.ask."""
        return self._do(self._client.ask(request))

    def submit(self, goal: str = "", **more: Any) -> Taken:  # noqa: ANN401  # as there
        """See AsyncClient.submit."""
        return self._do(self._client.submit(goal, **more))

    def run(self, goal: str = "", **more: Any) -> Result:  # noqa: ANN401  # as there
        """See AsyncClient.run."""
        return self._do(self._client.run(goal, **more))

    def task(self, task: str, *, at_least: int = 0) -> dict[str, Any]:
        """See AsyncClient.task."""
        return self._do(self._client.task(task, at_least=at_least))

    def wait(self, task: str, *, timeout_s: float | None = None) -> Result:
        """See AsyncClient.wait."""
        return self._do(self._client.wait(task, timeout_s=timeout_s))

    def stream(self, task: str, *, after: int = 0) -> Generator[Event, None, None]:
        """See AsyncClient.stream."""
        return self._each(self._client.stream(task, after=after))

    def subscribe(self, *, after: int | None = None, **wanted: str) -> Generator[Event, None, None]:
        """See AsyncClient.subscribe."""
        return self._each(self._client.subscribe(after=after, **wanted))

    def approvals(self, run: str = "") -> tuple[Approval, ...]:
        """See AsyncClient.approvals."""
        return self._do(self._client.approvals(run))

    def approve(self, what: Approval, note: str = "", *, edit: dict[str, Any] | None = None, key: str = "") -> int:
        """See AsyncClient.approve."""
        return self._do(self._client.approve(what, note, edit=edit, key=key))

    def reject(self, what: Approval, reason: str, *, key: str = "") -> int:
        """See AsyncClient.reject."""
        return self._do(self._client.reject(what, reason, key=key))

    def resume(self, what: Approval, how: Answer, text: str = "", **more: Any) -> Result:  # noqa: ANN401  # as there
        """See AsyncClient.resume."""
        return self._do(self._client.resume(what, how, text, **more))

    def cancel(self, task: str, reason: str = "") -> str:
        """See AsyncClient.cancel."""
        return self._do(self._client.cancel(task, reason))


async def _next(events: AsyncGenerator[Event, None]) -> Event:
    return await anext(events)
