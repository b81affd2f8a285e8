"""What a controller's run remembers: the window on its tools' output, what waits for an answer, what was spent.

Pure folding: `domain.controller` decides on it. The window is bounded in bytes and events, and pins what matters.
"""

from typing import Any, Literal

import msgspec

from domain.bounds import OBSERVATION_CHARS_MAX, PIN_BYTES_MAX, TRIGGERS_MAX, WINDOW_BYTES_MAX
from domain.decisions import Read
from domain.patterns import Hit, Seen, scan
from domain.payload import Text, Window
from domain.setup import Book, Controller, Setup

TriggerKind = Literal[
    "start", "urgent", "milestone", "exit", "result", "silence", "refused", "rejected", "expired", "settled", "resumed",
    "answered", "idle", "retry",
]  # fmt: skip
FAST = frozenset({"urgent", "exit", "silence"})


class Trigger(msgspec.Struct, frozen=True):
    """Why a step is due."""

    kind: TriggerKind
    call: int = 0
    detail: str = ""  # the phrase; ok or failed

    @property
    def name(self) -> str:
        """As events name it."""
        detail = f":{self.detail}" if self.detail else ""
        return f"{self.kind}{detail}" + (f"@c{self.call}" if self.call else "")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing in the window."""

    kind: Literal["started", "output", "exited", "observation"]
    call: int
    stream: str = ""
    text: str = ""
    lines: int = 0
    version: int = 0  # of the output stream


class Pin(msgspec.Struct, frozen=True):
    """An urgent line with three lines around it, which no burst pushes out."""

    stream: str
    text: str
    wanted: int  # lines that may still follow


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one call's output."""

    call: int
    tool: str
    arguments: dict[str, Any] = {}  # as they were wished for, or edited
    origin: Literal["task", "controller"] = "controller"  # who wished
    at_us: int  # of its start or its latest output
    started_us: int = 0
    lines: int = 0
    tail: str = ""
    stdout: Seen = Seen()
    stderr: Seen = Seen()
    first: Pin | None = None
    last: Pin | None = None


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """A call that waits for a person, or what the person said and nobody acted on yet."""

    call: int
    tool: str
    arguments: Text
    digest: str
    kind: Literal["approval", "question"]
    expires_at_us: int
    on_expire: Literal["tell_agent", "fail"]
    on_reject: Literal["tell_agent", "fail"]
    verdict: Literal["", "approved", "edited", "rejected", "expired"] = ""
    note: str = ""
    edited: bytes = b""


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """A call whose dispatcher died while it ran; `happened` is what a person found out."""

    call: int
    original: int  # the call whose effect key it carries
    effect: Literal["idempotent", "once"]
    happened: Literal["", "yes", "no"] = ""
    note: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What an outside controller was asked and has not answered."""

    ask: int
    path: Literal["slow", "fast"]
    triggers: tuple[Trigger, ...]
    window: Window
    request: Text
    attempt: int
    reserved_tokens: int
    reserved_nusd: int
    purpose: Literal["decision", "summary"] = "decision"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back and was not decided on yet."""

    cause: str
    text: Text | None
    read: Read
    latency_us: int
    retry_after_us: int
    model: str = ""
    tokens_in: int | None = None
    tokens_out: int | None = None
    said: str = ""  # a summary


class Finishing(msgspec.Struct, frozen=True, kw_only=True):
    """The run is to end once its open calls have."""

    outcome: Literal["completed", "failed", "blocked", "canceled"]
    cause: str
    message: str = ""
    retryable: bool = False
    triggers: tuple[str, ...] = ()  # of a rule: the line that it rests on is looked up when all was printed
    evidence: tuple[str, ...] = ()


class Turn(msgspec.Struct, frozen=True):
    """The calls that one answer of a chat asked for."""

    calls: tuple[tuple[int, str, str], ...]  # ordinal, tool, arguments


class Mind(msgspec.Struct, frozen=True, kw_only=True):
    """All that a controller's run remembers."""

    setup: Setup
    book: Book
    calls: int = 0  # ordinals given away, to calls and asks alike
    waiting: tuple[Trigger, ...] = ()
    more: int = 0  # triggers beyond those that are named
    entries: tuple[Entry, ...] = ()
    kept: int = 0  # bytes of them
    dropped_lines: int = 0  # since the last decision
    watched: tuple[Watched, ...] = ()
    outputs: int = 0  # output events so far: the version of the output stream
    window: Window = Window(0, 0, 0)
    approvals: tuple[Approval, ...] = ()
    lost: tuple[Lost, ...] = ()
    question: Question | None = None
    answer: Answer | None = None
    finishing: Finishing | None = None
    resumed: bool = True  # nothing that a person said waits for a dispatcher to act on it
    retry_at_us: int = 0  # when the question may be put again
    attempt: int = 0  # answers that were none, in this step
    last_words: str = ""  # of the last decision: shown to the controller
    repeated: str = ""  # the decision that changed nothing ...
    repeats: int = 0  # ... and how often it came in a row
    decisions: int = 0
    tool_calls: int = 0
    errors: int = 0
    tokens: int = 0
    cost_nusd: int = 0
    recoveries: int = 0
    active_us: int = 0  # before the latest claim
    since_us: int = 0  # the latest claim
    decided_us: int = 0
    until_us: int = 0  # when the controller wants to be asked again
    turns: tuple[Turn, ...] = ()
    remote_unknown: tuple[int, ...] = ()  # calls on other machines whose end there nobody saw
    replaced: int = 0  # controllers that did not answer and were replaced
    summary: str | None = None  # of the messages that the history leaves out; empty where nobody made one

    @property
    def controller(self) -> Controller:
        """Who decides now."""
        return self.setup.spares[self.replaced - 1] if self.replaced else self.setup.controller

    @property
    def asked(self) -> Controller:
        """Whom the open question is put to."""
        summary = self.question is not None and self.question.purpose == "summary"
        return self.setup.summarizer if summary and self.setup.summarizer else self.controller


def trigger(mind: Mind, new: Trigger) -> Mind:
    """Remember why a step is due: each class of trigger is kept, however many come."""
    if new in mind.waiting:
        return mind
    same = sum(1 for each in mind.waiting if each.kind == new.kind)
    if same and len(mind.waiting) >= TRIGGERS_MAX:
        return msgspec.structs.replace(mind, more=mind.more + 1)
    return msgspec.structs.replace(mind, waiting=(*mind.waiting, new))


def note(mind: Mind, entry: Entry) -> Mind:
    """Put something into the window; what is oldest leaves it, counted in lines."""
    entries, kept, dropped = (*mind.entries, entry), mind.kept + len(entry.text), mind.dropped_lines
    most, room = mind.setup.limits.window_events, mind.setup.limits.window_bytes
    while len(entries) > 1 and (len(entries) > most or kept > room):
        oldest = _leaves(entries, ("started", "exited") if len(entries) > most else ("output",))
        gone = entries[oldest]
        entries = entries[:oldest] + entries[oldest + 1 :]
        kept -= len(gone.text)
        dropped += gone.lines
    return msgspec.structs.replace(mind, entries=entries, kept=kept, dropped_lines=dropped)


_LATEST = 6  # entries that nothing pushes out for their kind alone


def _leaves(entries: tuple[Entry, ...], kinds: tuple[str, ...]) -> int:
    """Which entry goes first: of too many, starts and ends of long ago; of too large ones, output."""
    older = entries[: -_LATEST if len(entries) > _LATEST else -1]
    return next((at for at, each in enumerate(older) if each.kind in kinds), 0)


def output(  # noqa: PLR0913  # what a block is
    mind: Mind, *, call: int, stream: str, block: bytes, end: int, at_us: int
) -> Mind:
    """Fold a block of output: the window, the call's tail, its pins, and the phrases that fire."""
    known = watched(mind, call)
    if known is None or stream not in ("stdout", "stderr"):  # a model's words are its answer, not a tool's output
        return msgspec.structs.replace(mind, outputs=mind.outputs + 1)
    seen, hits = scan(mind.setup.patterns, known.stderr if stream == "stderr" else known.stdout, stream, block)
    text, lines = _tail(block, min(WINDOW_BYTES_MAX, mind.setup.limits.window_bytes) // 2)
    every = block.count(b"\n")
    tail = (known.tail + block[-OBSERVATION_CHARS_MAX:].decode("utf-8", "replace"))[-OBSERVATION_CHARS_MAX:]
    pinned = _pinned(known, stream, block, hits)
    now = msgspec.structs.replace(
        pinned,
        at_us=at_us,
        lines=known.lines + every,
        tail=tail,
        stdout=seen if stream == "stdout" else known.stdout,
        stderr=seen if stream == "stderr" else known.stderr,
    )
    number = mind.outputs + 1
    mind = msgspec.structs.replace(
        keep(mind, now),
        outputs=number,
        dropped_lines=mind.dropped_lines + every - lines,
    )
    mind = note(mind, Entry(kind="output", call=call, stream=stream, text=text, lines=lines, version=number))
    first = next(entry.version for entry in mind.entries if entry.kind == "output")
    mind = msgspec.structs.replace(mind, window=Window(first, number, end))
    for hit in hits:
        mind = trigger(mind, Trigger("urgent" if hit.urgent else "milestone", call, hit.phrase))
    return mind


def _tail(block: bytes, room: int) -> tuple[str, int]:
    """The end of a block, from a line's begin on where that is possible, and how many lines are in it."""
    if len(block) > room:
        cut = block.find(b"\n", len(block) - room) + 1
        block = block[cut:] if 0 < cut < len(block) else block[-room:]
    return block.decode("utf-8", "replace"), block.count(b"\n")


_AROUND = 3


def _pinned(known: Watched, stream: str, block: bytes, hits: list[Hit]) -> Watched:
    first, last = _grown(known.first, stream, block), _grown(known.last, stream, block)
    urgent = [hit for hit in hits if hit.urgent]
    if urgent:
        lines = block.decode("utf-8", "replace").splitlines(keepends=True)
        if first is None:
            first = _pin(stream, lines, min(hit.line for hit in urgent))
        last = _pin(stream, lines, max(_last_line(block, hit) for hit in urgent))
    return msgspec.structs.replace(known, first=first, last=last)


def _last_line(block: bytes, hit: Hit) -> int:
    """The line of the last place where the phrase stands in the block."""
    at = block.lower().rfind(hit.phrase.lower().encode())
    return block.count(b"\n", 0, at) if at >= 0 else hit.line


def _pin(stream: str, lines: list[str], at: int) -> Pin:
    at = max(0, at)
    part = lines[max(0, at - _AROUND) : at + _AROUND + 1]
    return Pin(stream, "".join(part)[:PIN_BYTES_MAX], max(0, _AROUND - (len(lines) - 1 - at)))


def _grown(pin: Pin | None, stream: str, block: bytes) -> Pin | None:
    if pin is None or pin.stream != stream or not pin.wanted:
        return pin
    lines = block[:PIN_BYTES_MAX].decode("utf-8", "replace").splitlines(keepends=True)[: pin.wanted]
    return Pin(stream, (pin.text + "".join(lines))[:PIN_BYTES_MAX], pin.wanted - len(lines))


def watched(mind: Mind, call: int) -> Watched | None:
    """What is known of a call's output."""
    return next((each for each in mind.watched if each.call == call), None)


def keep(mind: Mind, now: Watched) -> Mind:
    """Replace what is known of a call."""
    others = tuple(each for each in mind.watched if each.call != now.call)
    return msgspec.structs.replace(mind, watched=(*others, now))


def approval(mind: Mind, call: int) -> Approval | None:
    """What waits for a person under this ordinal."""
    return next((each for each in mind.approvals if each.call == call), None)


def decided(mind: Mind, now: Approval) -> Mind:
    """Replace an approval by what became of it."""
    others = tuple(now if each.call == now.call else each for each in mind.approvals)
    return msgspec.structs.replace(mind, approvals=others)


def pending(mind: Mind) -> tuple[Approval, ...]:
    """The approvals that nobody answered."""
    return tuple(each for each in mind.approvals if not each.verdict)


def unknown(mind: Mind) -> tuple[Lost, ...]:
    """Lost effects of which nobody knows whether they happened."""
    return tuple(each for each in mind.lost if each.effect == "once" and not each.happened)
