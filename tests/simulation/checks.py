"""What must hold: at any time, at the instant of a crash, and when nothing moves any more.

Each check answers with sentences about what does not hold.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from adapters.codec import Codec
from adapters.log_memory import MemoryLog
from adapters.log_schema import GENESIS, link
from adapters.process_fake import Machine
from commands.dispatch import Dispatcher
from domain import errors
from domain import mind as minds
from domain import run as core
from domain import task as tasks
from domain.agent_events import CallSettled, ControllerAsked
from domain.events import (
    Put,
    Recorded,
    RunFinished,
    TaskClaimed,
    TaskQueued,
    TaskRetried,
    TaskUnblocked,
    Text,
    ToolCallRequested,
)
from domain.ids import effect_key, output_stream
from domain.ports import ProcessSpec, Running
from replays.replay import replay

CODEC = Codec()


class Acknowledged(NamedTuple):
    """An event that somebody was told to be durable, by content."""

    position: int
    stream: str
    version: int
    topic: str
    state: bytes
    body: bytes | None


def acknowledged(put: Put, positions: Sequence[int]) -> Iterator[Acknowledged]:
    """What an acknowledgement of a put promises."""
    assert len(put.events) == len(positions), "one position an event"
    for event, position in zip(put.events, positions, strict=True):
        topic, state = CODEC.encode(event)
        yield Acknowledged(position, event.stream, event.version, topic, state, event.body)


def durable(log: MemoryLog, events: Sequence[Recorded]) -> Iterator[str]:
    """What is told is in the log."""
    rows = {(row.stream, row.version): (row.topic, row.state) for row in log.rows}
    for event in events:
        if rows.get((event.stream, event.version)) != CODEC.encode(event):
            yield f"told of {type(event.data).__name__}, which is not in the log"


def always(log: MemoryLog, promised: Sequence[Acknowledged]) -> Iterator[str]:
    """The log is whole, holds what was acknowledged, and each run in it replays."""
    yield from _whole(log)
    yield from _kept(log, promised)
    if log.rows:
        events = log.read(0, len(log.rows))
        yield from _index(log, events)
        yield from _runs(log, events)


def _whole(log: MemoryLog) -> Iterator[str]:
    chain, versions = GENESIS, Counter[str]()
    for at, row in enumerate(log.rows, start=1):
        versions[row.stream] += 1
        if row.position != at:
            yield f"position {row.position} where {at} belongs"
        if row.version != versions[row.stream]:
            yield f"version {row.version} of {row.stream[:8]} where {versions[row.stream]} belongs"
        if row.caused_by >= at:
            yield f"event {at} is caused by {row.caused_by}"
        chain = link(chain, row.position, row.stream, row.version, row.topic, row.caused_by, row.state)
    if log.rows and chain.hex() != log.head().hash:
        yield "the chain is broken"


def _kept(log: MemoryLog, promised: Sequence[Acknowledged]) -> Iterator[str]:
    for each in promised:
        row = log.rows[each.position - 1] if each.position <= len(log.rows) else None
        if row is None or (row.stream, row.version, row.topic, row.state) != each[1:5]:
            yield f"{each.topic} was acknowledged at {each.position} and is not there"
        elif each.body is not None:
            kept = log.output(each.stream.removesuffix(".output"), each.version - 1, 1)[0].body
            if kept != each.body:
                yield f"the output at {each.position} is not the one that was acknowledged"


def _index(log: MemoryLog, events: Sequence[Recorded]) -> Iterator[str]:
    """The claim index is what folding the streams gives."""
    states = [state for event in events if isinstance(event.data, TaskQueued) if (state := log.task(event.stream))]
    claims = {event.stream: event.data for event in events if isinstance(event.data, TaskClaimed)}
    running = [
        Running(state.task, state.run, claims[state.task].dispatcher)
        for state in states
        if state.status is tasks.Status.RUNNING
    ]
    if log.running() != running:
        yield "the claim index has other running tasks than the log"
    claimable = [state for state in states if state.status in tasks.CLAIMABLE]
    order = [
        state.task
        for state in sorted(claimable, key=lambda each: (-each.priority, not each.open_run, each.queued_position))
        if _is_its_turn(state, states)
    ]
    if log.ready(1 << 62, 1 << 30) != order:
        yield "the claim index has other claimable tasks than the log"
    if log.next_due_us() != min((state.due_at_us for state in claimable if state.due_at_us), default=None):
        yield "the claim index has another next due time than the log"


def _is_its_turn(task: tasks.Task, others: Sequence[tasks.Task]) -> bool:
    """Whether no earlier message of its thread is still being answered."""
    open_ones = tasks.CLAIMABLE | {tasks.Status.RUNNING, tasks.Status.WAITING_FOR_APPROVAL}
    earlier = (each for each in others if each.queued_position < task.queued_position and each.status in open_ones)
    return not task.thread or all(each.thread != task.thread for each in earlier)


def _runs(log: MemoryLog, events: Sequence[Recorded]) -> Iterator[str]:
    claims = [(event.stream, event.data) for event in events if isinstance(event.data, TaskClaimed)]
    for run, task in {claim.run: task for task, claim in claims}.items():
        mine = list(log.run_events(run, bodies=True))
        found = replay(mine, log.salt(run))
        if found.difference is not None:
            yield f"run {run[:8]} does not replay: {found.difference}"
        ends = [at for at, event in enumerate(mine) if isinstance(event.data, RunFinished)]
        if len(ends) > 1:
            yield f"run {run[:8]} ended {len(ends)} times"
        if ends and any(event.stream in {run, output_stream(run)} for event in mine[ends[0] + 1 :]):
            yield f"something of run {run[:8]} was recorded after its end"
        for event in mine:
            yield from _texts(log, task, event)
    for task, count in Counter(task for task, _ in claims).items():
        epochs = [claim.epoch for other, claim in claims if other == task]
        if epochs != list(range(1, count + 1)):
            yield f"task {task[:8]} has the epochs {epochs}"


def _texts(log: MemoryLog, task: str, event: Recorded) -> Iterator[str]:
    """A text is durable with the event that names it."""
    for field in event.data.__struct_fields__:
        named = getattr(event.data, field)
        if isinstance(named, Text):
            try:
                log.blob(task, named)
            except errors.BlobNotFound:
                yield f"a text that event {event.position} names is not there: {field}"


def live(log: MemoryLog, dispatcher: Dispatcher) -> Iterator[str]:
    """What a dispatcher believes of its runs is the fold of what it has seen of them."""
    for run, driver in dispatcher._drivers.items():  # noqa: SLF001  # its belief is nowhere else
        tip = driver._tip  # noqa: SLF001
        seen = [each for each in _run(log, run, bodies=True) if each.version <= tip.versions.get(each.stream, 0)]
        if core.fold(seen) != tip.state:
            yield f"the live state of run {run[:8]} is not what its events say"


def _run(log: MemoryLog, run: str, *, bodies: bool = False) -> list[Recorded]:
    try:
        return list(log.run_events(run, bodies=bodies))
    except errors.IdNotFound:  # what nobody wrote down is found out elsewhere
        return []


def start(log: MemoryLog, spec: ProcessSpec, alive: Sequence[str]) -> Iterator[str]:
    """A process starts when its request is durable and nothing is left of an earlier run of its task or try of it."""
    run, _, number = spec.call.rpartition("-")
    call = int(number)
    wishes = {event.data.call: event.data for event in log.stream(run) if isinstance(event.data, ToolCallRequested)}
    if call not in wishes:
        if not any(isinstance(event.data, ControllerAsked) and event.data.ask == call for event in log.stream(run)):
            yield f"an effect of run {run[:8]} before its request is durable"
        return
    original = wishes[call].repeats or call
    if "RT_EFFECT_KEY" in spec.env and spec.env["RT_EFFECT_KEY"] != effect_key(run, original):
        yield f"call {call} of run {run[:8]} has another effect key than the call that it repeats"
    task = log.stream(run)[0].correlation
    runs = {event.data.run for event in log.stream(task) if isinstance(event.data, TaskClaimed)}
    same = {each.call for each in wishes.values() if (each.repeats or each.call) == original}
    for other in sorted(alive):
        their, _, at = other.rpartition("-")
        if (their in runs and their != run) or (their == run and int(at) in same):
            yield f"run {run[:8]} starts while call {other[:8]} of the same task is alive"


def effects(log: MemoryLog, machine: Machine) -> Iterator[str]:
    """No call twice; an effect that must happen once only happens once in the whole life of its task.

    A person who found that it did not happen, or who wants the task to be tried again, allows one more.
    """
    for call, times in Counter(spec.call for spec in machine.started).items():
        if times > 1:
            yield f"the effect {call[:8]} was carried out {times} times"
    once = list(_once(log, machine))
    for (run, number), times in Counter((run, number) for _, run, number in once).items():
        if times > 1 + _not_happened(log, run, number):
            yield f"the once effect {number} of run {run[:8]} was carried out {times} times"
    for task in {task for task, _, _ in once}:
        runs = {run for other, run, _ in once if other == task}
        again = [event for event in log.stream(task) if isinstance(event.data, TaskRetried | TaskUnblocked)]
        if len(runs) > 1 + len(again):
            yield f"a once effect of task {task[:8]} was carried out {len(runs)} times"


def _once(log: MemoryLog, machine: Machine) -> Iterator[tuple[str, str, int]]:
    """Each start that must not be repeated: its task, its run, and the call that it is or repeats."""
    for spec in machine.started:
        run, _, number = spec.call.rpartition("-")
        for event in log.stream(run):
            wish = event.data
            if isinstance(wish, ToolCallRequested) and wish.call == int(number) and wish.effect == "once":
                yield event.correlation, run, wish.repeats or wish.call


def _not_happened(log: MemoryLog, run: str, call: int) -> int:
    """How often a person found that this effect did not happen."""
    settled = [event.data for event in log.stream(run) if isinstance(event.data, CallSettled)]
    return sum(1 for each in settled if not each.happened and _origin(log, run, each.call) == call)


def _origin(log: MemoryLog, run: str, call: int) -> int:
    wishes = [event.data for event in log.stream(run) if isinstance(event.data, ToolCallRequested)]
    return next((wish.repeats or wish.call for wish in wishes if wish.call == call), 0)


def ended(log: MemoryLog, machine: Machine) -> Iterator[str]:
    """When nothing moves any more: every run is over, every task is over or says what it waits for."""
    for left in machine.markers():
        yield f"a process of call {left[:8]} is left"
    for event in log.read(0, max(1, len(log.rows))):
        if isinstance(event.data, TaskClaimed):
            state = core.fold(log.run_events(event.data.run, bodies=True))
            if state is None or not (state.ended or _waits(log, state)):
                yield f"run {event.data.run[:8]} never ended"
        if isinstance(event.data, TaskQueued):
            task = log.task(event.stream)
            if task is None or task.status in tasks.CLAIMABLE or task.status is tasks.Status.RUNNING:
                yield f"task {event.stream[:8]} never ended"
            elif task.status is not tasks.Status.COMPLETED and not task.cause:
                yield f"task {event.stream[:8]} does not say why it is {task.status}"


def _waits(log: MemoryLog, state: core.Run) -> bool:
    """Whether a run waits for a person, and says so."""
    task, known = log.task(state.task), state.mind
    if task is None or known is None or task.open_run != state.run:
        return False
    if state.status is core.Status.WAITING_FOR_APPROVAL:
        return task.status is tasks.Status.WAITING_FOR_APPROVAL and bool(minds.pending(known))
    reconciled = state.status is core.Status.NEEDS_RECONCILE and task.status is tasks.Status.BLOCKED
    return reconciled and task.cause == "needs_reconcile" and bool(minds.unknown(known))


def ends(log: MemoryLog, taken: Sequence[str]) -> list[str]:
    """How each task ended."""
    found = [log.task(task) for task in taken]
    return [_end(task) for task in found if task is not None]


def _end(task: tasks.Task) -> str:
    status = task.status.value
    return f"{status}:{task.cause}" if task.cause and task.status is not tasks.Status.OPERATOR_CANCELED else status
