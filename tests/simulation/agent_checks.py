"""What must hold for the effects of agents: nothing is carried out that nobody said yes to, nothing twice.

Tools are told apart by name, not by what the product says of them: programs named `risky…` and addresses that contain
`risky` are asked for in every configuration, those with `forbidden` never run, those with `pay` only once.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from adapters.log_memory import MemoryLog
from domain.agent_events import CallApproved, CallEdited, CallSettled, ControllerAsked, ToolReturned
from domain.calls import HttpInput
from domain.events import Recorded, RunFinished, ToolCallRequested
from domain.ports import ProcessSpec, Request


def approved(log: MemoryLog, spec: ProcessSpec) -> Iterator[str]:
    """At the start of a process: whoever has to be asked said yes to exactly this, and it is not over."""
    run, _, number = spec.call.rpartition("-")
    if spec.argv[0].startswith("forbidden"):
        yield f"{spec.argv[0]} runs, which nobody may allow"
    if any(isinstance(event.data, RunFinished) for event in log.stream(run)):
        yield f"a process of run {run[:8]} starts after its end"
    if spec.argv[0].startswith("risky"):
        yield from _yes(log, run, int(number), tuple(spec.argv))


def _yes(log: MemoryLog, run: str, call: int, what: tuple[str, ...]) -> Iterator[str]:
    events = log.stream(run)
    wishes = {event.data.call: event.data for event in events if isinstance(event.data, ToolCallRequested)}
    wish = wishes.get(call)
    if wish is None:
        return  # said elsewhere
    original = wish.repeats or wish.call
    bound, said = _said(events, original)
    if not bound:
        yield f"{what[0]} runs, and nobody said yes"
    elif bound != wishes[original].digest:
        yield f"{what[0]} runs with another digest than the one that was approved"
    arguments = msgspec.json.decode(said) if said else {}
    if "command" in arguments and (arguments["command"], *arguments["args"]) != what:
        yield f"{' '.join(what)} runs, which is not what was edited"


def _said(events: Sequence[Recorded], call: int) -> tuple[str, bytes]:
    """The digest of the latest yes to a call, and the arguments, where it came with others."""
    bound, said = "", b""
    for event in events:
        if isinstance(event.data, CallApproved) and event.data.call == call:
            bound = event.data.digest
        if isinstance(event.data, CallEdited) and event.data.call == call:
            bound, said = event.data.edited_digest, event.texts["arguments"]
    return bound, said


def asked(log: MemoryLog, request: Request) -> Iterator[str]:
    """A request goes out when it is durable, word for word."""
    if request.url.endswith("/chat/completions"):
        digest = hashlib.sha256(request.body).hexdigest()
        asks = (event.data for event in log.read(0, len(log.rows)) if isinstance(event.data, ControllerAsked))
        if not any(ask.request.sha256 == digest for ask in asks):
            yield "a model is asked before the question is durable"
        return
    if not (open_calls := list(_wishes(log, request))):
        yield f"a request to {request.url} that nobody wished for, or that was answered"
    for run, call in open_calls:
        if "risky" in request.url:
            yield from _yes(log, run, call, (request.url,))


def _wishes(log: MemoryLog, request: Request) -> Iterator[tuple[str, int]]:
    """The open calls for this address."""
    answered = {
        (event.stream, event.data.call) for event in log.read(0, len(log.rows)) if isinstance(event.data, ToolReturned)
    }
    for event in log.read(0, len(log.rows)):
        wish = event.data
        if isinstance(wish, ToolCallRequested) and wish.kind == "http" and (event.stream, wish.call) not in answered:
            described = msgspec.json.decode(log.blob(event.correlation, wish.input), type=HttpInput)
            if described.url == request.url:
                yield event.stream, wish.call


def sent_once(log: MemoryLog, sent: Sequence[Request]) -> Iterator[str]:
    """A request that must not be repeated is not, unless a person found that it did not happen."""
    settled = [each for each in log.read(0, max(1, len(log.rows))) if isinstance(each.data, CallSettled)]
    allowed = 1 + sum(1 for each in settled if isinstance(each.data, CallSettled) and not each.data.happened)
    for url, times in Counter(request.url for request in sent if "pay" in request.url).items():
        if times > allowed:
            yield f"{url} was sent {times} times"
