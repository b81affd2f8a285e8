"""A run that printed very much, told by the real core without a process."""

import hashlib
from pathlib import Path

import msgspec

from adapters.log_sqlite import SqliteLog
from domain import agents, intake, setup, task
from domain.advance import Happened, Tip, advance, appended, claimed
from domain.agent_config import BudgetsConfig, ControllerConfig, ProfileConfig, RuleConfig
from domain.bundle import compile_run
from domain.config import Config
from domain.events import Blob, Fact, OutputAppended, Put, Recorded, RunStarted, ToolExited, ToolStarted
from domain.ids import output_stream, text_of
from domain.setup import Wanted

BEGAN_US, STEP_US = 1_767_225_600_000_000, 997
TASK, RUN, DISPATCHER = f"{7:032x}", f"{8:032x}", f"{9:032x}"
AT_ONCE = 500


class _Teller:
    """Appends what happens next, as a dispatcher would."""

    def __init__(self, log: SqliteLog) -> None:
        self._log = log
        self._at_us = BEGAN_US

    def now_us(self) -> int:
        self._at_us += STEP_US
        return self._at_us

    def stored(self, put: Put) -> int:
        """Append it; the position before."""
        before = self._log.head().position
        for result in self._log.append([put]):
            if isinstance(result, Exception):
                raise result
        return before

    def event(self, version: int, data: object) -> Recorded:
        """An event of the task."""
        at_us = self.now_us()
        return Recorded(
            stream=TASK, version=version, at_us=at_us, actor="system:test", data=data, correlation=TASK  # type: ignore[arg-type]
        )  # fmt: skip

    def on(self, tip: Tip, *happened: Happened | Fact, **more: object) -> Tip:
        """What follows from facts, with what the put carries besides."""
        facts = [each if isinstance(each, Happened) else Happened(each) for each in happened]
        state, put = advance(tip, facts, at_us=self.now_us(), actor=f"system:{DISPATCHER}")
        blobs = put.blobs + more.pop("blobs", ())  # type: ignore[operator]  # a tuple of blobs
        before = self.stored(msgspec.structs.replace(put, blobs=blobs, **more))
        return appended(tip, state, put, range(before + 1, before + 1 + len(put.events)))


def watched() -> bytes:
    """The frozen inputs of a run whose controller is asked at each `fatal:` line, and waits."""
    rules = (
        RuleConfig(when="start", then="tool"),
        RuleConfig(when="urgent", then="wait"),
        RuleConfig(when="exit", then="finish", message="over"),
    )
    config = Config(
        controllers={"patient": ControllerConfig(kind="rules", rules=rules)},
        profiles={"watched": ProfileConfig(controller="patient", budgets=BudgetsConfig(decisions=0, stuck=0))},
    )
    call = Wanted("local-process", {"command": "true", "args": []})
    return setup.encode(agents.setup(config, "watched", agents.Given(goal="go on", calls=(call,), cwd="/")))


def told(folder: Path, lines: list[bytes], frozen: bytes = b"") -> int:
    """Tell the life of a run that printed these lines, an event each; the last position of the log.

    With `frozen` inputs a controller watched it.
    """
    log = SqliteLog(folder / ".rt")
    try:
        teller = _Teller(log)
        document = {"kind": "k", "source": "s", "subject": "prints very much", "payload": {"argv": ["cat"], "cwd": "/"}}
        accepted = intake.accept(document | {"requested_adapter": "command"}, Config(), teller.now_us())
        queued = teller.event(1, accepted.event)
        teller.stored(Put(events=(queued,), blobs=(Blob(TASK, accepted.payload),)))
        state = task.fold([queued])
        assert state is not None
        claim = teller.event(2, task.claim(state, run=RUN, dispatcher=DISPATCHER))
        teller.stored(Put(events=(claim,)))
        compiled = compile_run(state, accepted.payload, Config(), "/")
        if frozen:
            assert isinstance(compiled.fact, RunStarted)
            fact = msgspec.structs.replace(compiled.fact, program="controller", adapter="agent", setup=text_of(frozen))
            started = Happened(fact, None, "", {"setup": frozen})
            tip = teller.on(claimed(claim), started, blobs=(Blob(TASK, frozen),))
        else:
            tip = teller.on(claimed(claim), compiled.fact, blobs=tuple(Blob(TASK, text) for text in compiled.texts))
        tip = teller.on(tip, ToolStarted(call=1, pid=4242, start_ticks=386_211, boot_id="b"))
        size = 0
        for at in range(0, len(lines), AT_ONCE):
            printed = [
                _printed(line, size + sum(map(len, lines[at : at + number])))
                for number, line in enumerate(lines[at : at + AT_ONCE])
            ]
            tip = teller.on(tip, *printed, salts={output_stream(RUN): RUN[:16].encode()})
            size += sum(map(len, lines[at : at + AT_ONCE]))
        teller.on(tip, ToolExited(call=1, duration_us=12_345, exit_code=0, stdout_bytes=size))
        return log.head().position
    finally:
        log.close()


def _printed(line: bytes, offset: int) -> Happened:
    digest = hashlib.sha256(RUN[:16].encode() + line).hexdigest()
    fact = OutputAppended(call=1, stream="stdout", offset=offset, size=len(line), lines=1, digest=digest)
    return Happened(fact, line, "adapter:process")
