"""Runs as a dispatcher writes them, made by the real core without starting a process."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from adapters.log_sqlite import SqliteLog
from domain import intake, task
from domain.advance import Happened, Tip, advance, appended, claimed
from domain.bundle import compile_run
from domain.config import Config, parse
from domain.events import Blob, Fact, OutputAppended, Put, Recorded, TaskCanceled, ToolExited, ToolStarted
from domain.ids import output_stream

AT_ONCE = 500  # tasks a transaction
BOOT = "6a1f0d7e-9f53-4c43-8d1e-0d6f5a1f2b3c"
CONFIG = parse(
    {
        "adapters": {
            "answers": {"command": "/usr/bin/env", "outcome": "json"},
            "says": {"command": "/usr/bin/env", "outcome": "exit"},
        }
    },
    "bench",
)
LINE = b"2026-01-01T12:00:00.000Z INFO  worker-3 step 17 of 40 done in 12 ms\n"


@dataclass
class Teller:
    """Tells lives of tasks, counting positions as the log will give them."""

    position: int = 0
    dispatcher: str = f"{7:032x}"
    boot_id: str = BOOT
    config: Config = field(default_factory=lambda: CONFIG)
    step_us: int = 997  # from one event to the next
    _count: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _at_us: int = 1_767_225_600_000_000

    def queued(self, adapter: str = "") -> tuple[str, Put]:
        """A task is taken in."""
        number = next(self._count)
        name = _id(number)
        payload = {"argv": ["/usr/bin/make", "check", f"PART={number}"], "cwd": "/srv/project"}
        document = {
            "kind": "command",
            "source": "cli",
            "subject": f"/usr/bin/make check PART={number}",
            "payload": payload if not adapter else {"objective": f"part {number}"},
            "requested_adapter": adapter or "command",
        }
        accepted = intake.accept(document, self.config, self._now())
        event = self._event(name, 1, "operator:bench", accepted.event, name)
        return name, self._told(Put(events=(event,), blobs=(Blob(name, accepted.payload),)))

    def claimed(self, queued: Put) -> tuple[Tip, Put]:
        """A dispatcher claims it."""
        state = task.fold(list(queued.events))
        assert state is not None
        run = _id(next(self._count))
        data = task.claim(state, run=run, dispatcher=self.dispatcher)
        event = self._event(state.task, 2, f"system:{self.dispatcher}", data, state.task)
        return claimed(event), self._told(Put(events=(event,)))

    def started(self, tip: Tip, queued: Put) -> tuple[Tip, Put]:
        """The bundle is compiled, the call asked for."""
        state = task.fold(list(queued.events))
        assert state is not None
        compiled = compile_run(state, queued.blobs[0].content, self.config, "/srv/project")
        tip, put = self._advance(tip, compiled.fact)
        blobs = tuple(Blob(state.task, text) for text in compiled.texts)
        return tip, msgspec.structs.replace(put, blobs=put.blobs + blobs)

    def spawned(self, tip: Tip, pid: int = 4242) -> tuple[Tip, Put]:
        """Its process runs."""
        return self._advance(tip, ToolStarted(call=1, pid=pid, start_ticks=386_211, boot_id=self.boot_id))

    def printed(self, tip: Tip, bodies: Sequence[bytes], offset: int = 0) -> tuple[Tip, Put]:
        """It printed."""
        salt = tip.state.run[:16].encode()
        happened = []
        for body in bodies:
            digest = hashlib.sha256(salt + body).hexdigest()
            fact = OutputAppended(
                call=1, stream="stdout", offset=offset, size=len(body), lines=body.count(b"\n"), digest=digest
            )
            happened.append(Happened(fact, body, "adapter:process"))
            offset += len(body)
        tip, put = self._advance(tip, *happened)
        return tip, msgspec.structs.replace(put, salts={output_stream(tip.state.run): salt})

    def exited(self, tip: Tip, code: int = 0, stdout_bytes: int = 0) -> tuple[Tip, Put]:
        """It ended, and with it the run."""
        return self._advance(tip, ToolExited(call=1, duration_us=12_345, exit_code=code, stdout_bytes=stdout_bytes))

    def life(self, *, lines: int = 3, code: int = 0) -> list[Put]:
        """A whole run: nine events in the six puts that a dispatcher makes of them."""
        _, queued = self.queued()
        tip, claim = self.claimed(queued)
        tip, start = self.started(tip, queued)
        tip, spawn = self.spawned(tip)
        body = LINE * lines
        tip, output = self.printed(tip, [body])
        _, end = self.exited(tip, code, len(body))
        return [queued, claim, start, spawn, output, end]

    def canceled(self) -> list[Put]:
        """A task that was taken in and canceled before a run."""
        name, queued = self.queued()
        event = self._event(name, 2, "operator:bench", TaskCanceled(reason="not needed"), name)
        return [queued, self._told(Put(events=(event,)))]

    def _advance(self, tip: Tip, *happened: Happened | Fact) -> tuple[Tip, Put]:
        facts = [each if isinstance(each, Happened) else Happened(each) for each in happened]
        state, put = advance(tip, facts, at_us=self._now(), actor=f"system:{self.dispatcher}")
        first = self.position + 1
        self._told(put)
        return appended(tip, state, put, range(first, self.position + 1)), put

    def _event(self, stream: str, version: int, actor: str, data: object, correlation: str) -> Recorded:
        return Recorded(
            stream=stream,
            version=version,
            at_us=self._now(),
            actor=actor,
            data=data,  # type: ignore[arg-type]  # an Event, as the caller says
            correlation=correlation,
        )

    def _told(self, put: Put) -> Put:
        self.position += len(put.events)
        return put

    def _now(self) -> int:
        self._at_us += self.step_us
        return self._at_us


def _id(number: int) -> str:
    """As the real ones: what comes first tells them apart and grows, the rest looks random."""
    return f"{number:08x}{hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()[:24]}"


def store(log: SqliteLog, puts: Sequence[Put]) -> None:
    """Append, all in one transaction, and believe nothing."""
    for result in log.append(puts):
        if isinstance(result, Exception):
            raise result


def fill(log: SqliteLog, teller: Teller, *, runs: int, canceled: int = 0, pending: int = 0) -> None:
    """Complete runs, one in twenty failing, tasks that were canceled before one, then tasks that wait."""
    for start in range(0, runs, AT_ONCE):
        lives = [teller.life(code=int(number % 20 == 19)) for number in range(start, min(start + AT_ONCE, runs))]
        store(log, [put for life in lives for put in life])
    for start in range(0, canceled, AT_ONCE):
        store(log, [put for _ in range(min(AT_ONCE, canceled - start)) for put in teller.canceled()])
    store(log, [teller.queued()[1] for _ in range(pending)])
