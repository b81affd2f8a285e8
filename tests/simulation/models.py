"""Models that answer by what they are shown, so that a crash changes nothing of what they say."""

from typing import Any

import msgspec

from domain.ports import Request, Response
from tests.simulation.agent_world import Answer, Model, call, decided, finish, said, shown, told, tools, wait, web


def every_other(first: Answer, model: Model) -> Model:
    """Every other answer is another one."""

    def answer(number: int, request: Request) -> Answer:
        return first if number % 2 else model(number, request)

    return answer


def always(answer: Answer) -> Model:
    return lambda _, __: answer


def cancels(_: int, request: Request) -> Answer:
    """Cancels what runs as soon as it speaks, by its id, and is done."""
    seen = shown(request)
    if "start" in seen["triggers"]:
        return tools(call("work", program="serve"))
    if seen["activeRunId"]:
        return decided(type="cancel_run", call_id=seen["activeRunId"])
    return finish()


def cancels_at_once(_: int, request: Request) -> Answer:
    seen = shown(request)
    if "start" in seen["triggers"]:
        return tools(call("work", "1", program="serve"), call("work", "2", program="deaf-server"))
    return decided(type="cancel_run", call_id="all", then="finish") if seen["activeRunId"] else finish()


def waits_first(_: int, request: Request) -> Answer:
    """Looks again when it said it would."""
    seen = shown(request)
    if "start" in seen["triggers"]:
        return decided(type="wait", until_seconds=1)
    return finish()


def chats(*calls: dict[str, Any]) -> Model:
    """Calls tools once, then says what they said; as a stream where it is asked to."""

    def answer(_: int, request: Request) -> Answer:
        if web(request):
            return 0.1, Response(status=200, headers={}, body=b"found")
        body = msgspec.json.decode(request.body)
        last = body["messages"][-1]
        message: dict[str, Any] = {"content": "it says: " + last["content"]}
        if last["role"] != "tool":
            message = {"content": "", "tool_calls": [_wish(at, each) for at, each in enumerate(calls)]}
        return streamed(message) if body.get("stream") else said(**message)

    return answer


def _wish(at: int, each: dict[str, Any]) -> dict[str, Any]:
    wanted = {"name": each["tool"], "arguments": msgspec.json.encode(each["input"]).decode()}
    return {"index": at, "id": f"x{at}", "type": "function", "function": wanted}


def streamed(message: dict[str, Any]) -> Answer:
    """The same answer as server-sent events."""
    deltas = [{"delta": message}, {"delta": {}, "finish_reason": "stop"}]
    lines = [b"data: " + msgspec.json.encode({"model": "m-1", "choices": [each]}) for each in deltas]
    body = b"\n\n".join([*lines, b"data: [DONE]", b""])
    return 0.05, Response(status=200, headers={"content-type": "text/event-stream"}, body=body)


def pays_first(_: int, request: Request) -> Answer:
    """Pays, then works, then is done."""
    seen = shown(request)
    if "start" in seen["triggers"]:
        return tools(call("pay"))
    if seen["path"] == "fast" or seen["active_calls"]:
        return wait()
    return finish() if told(seen, "finished") else tools(call("work", program="slow"))


def again_and_again(_: int, request: Request) -> Answer:
    """The same call three times, one after the other."""
    seen = shown(request)
    if seen["path"] == "fast" or seen["active_calls"] or seen["waiting_for_approval"]:
        return wait()
    count = seen["budget"]["tool_calls"]
    return tools(call("risky-work", program="work")) if count > 47 else finish()
