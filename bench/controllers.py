"""Controllers: durable decisions a second, from an urgent line to its decision, and what watching costs."""

import asyncio
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from adapters.log_sqlite import SqliteLog
from adapters.writer import GroupWriter
from bench import dispatcher, harness
from bench.harness import Row
from commands.dispatch import Dispatcher
from commands.wiring import Runtime
from commands.world import Watch
from domain import agents, setup
from domain.advance import Happened, Tip, advance, appended, claimed
from domain.agent_config import BudgetsConfig, ControllerConfig, ProfileConfig, RuleConfig
from domain.agent_events import DecisionMade
from domain.config import Config
from domain.events import OutputAppended, Policy, Put, Recorded, RunStarted, TaskClaimed, ToolStarted
from domain.ids import text_of
from domain.setup import Wanted

RUNS = 20
DECISIONS = 400  # a run
DECISIONS_MIN = 2_000
LATENCY_MS_MAX = 20
LINES_S = 50
WATCHED_S = 8
CPU_MAX = 0.30
CONFIG_TOML = """
[work]
concurrency = 32
[controllers.patient]
kind = "rules"
rules = [
  {when = "start", then = "tool"},
  {when = "urgent", then = "wait"},
  {when = "exit", then = "finish", message = "over"},
]
[profiles.watched]
controller = "patient"
budgets = {decisions = 0}
"""
URGENT = """
import sys, time
for _ in range(120):
    time.sleep(0.04)
    print("fatal: %d" % time.time_ns(), flush=True)
"""
CHATTY = f"""
import time
for number in range({LINES_S * WATCHED_S}):
    print("step %d of a longer piece of work is done" % number, flush=True)
    time.sleep({1 / LINES_S})
"""


def measure() -> list[Row]:
    with harness.folder() as folder:
        decided = [asyncio.run(_decide(harness.empty(folder / "decide"))) for _ in range(3)]
        latencies = asyncio.run(_latency(harness.empty(folder / "latency")))
        busy = asyncio.run(_watch(harness.empty(folder / "watch")))
    rate = statistics.median(decided)
    p95 = statistics.quantiles(latencies, n=20)[-1]
    return [
        Row(
            what=f"durable decisions of the rules controller, {RUNS} runs",
            target=f">= {DECISIONS_MIN:,}/s",
            measured=harness.rate(rate),
            ok=rate >= DECISIONS_MIN,
        ),
        Row(
            what=f"from an urgent line to its durable decision, p95 of {len(latencies)}",
            target=f"< {LATENCY_MS_MAX} ms",
            measured=f"{p95:.1f} ms (median {statistics.median(latencies):.1f})",
            ok=p95 < LATENCY_MS_MAX,
        ),
        Row(
            what=f"{RUNS} controller runs of {LINES_S} lines/s each",
            target=f"< {CPU_MAX:.0%} of a core",
            measured=f"{busy:.0%}",
            ok=busy < CPU_MAX,
        ),
    ]


def frozen_inputs() -> bytes:
    """Of a run whose controller is asked at each urgent line, and waits."""
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


async def _decide(folder: Path) -> float:
    """Facts as a run's shell would record them, each of which leads to one decision, through one writer."""
    log = SqliteLog(folder, create=True)
    writer = GroupWriter(log)
    document = frozen_inputs()
    start_s = time.perf_counter()
    await asyncio.gather(*(_run(writer, f"{number:032x}", document) for number in range(1, RUNS + 1)))
    took_s = time.perf_counter() - start_s
    await asyncio.to_thread(writer.close)
    found = sum(isinstance(event.data, DecisionMade) for event in log.read(0, 1 << 30))
    log.close()
    assert found == RUNS * (DECISIONS + 1), found
    return found / took_s


async def _run(writer: GroupWriter, run: str, document: bytes) -> None:
    task = run[::-1]
    policy = Policy(
        outcome="exit",
        effect="idempotent",
        timeout_us=0,
        grace_us=0,
        output_bytes_max=1 << 30,
        backoff_base_us=0,
        backoff_max_us=0,
        exit_retryable=(),
        exit_permanent=(),
    )
    claim = TaskClaimed(run=run, epoch=1, attempt=1, max_attempts=1, dispatcher="d")
    event = Recorded(stream=task, version=1, at_us=1, actor="bench", data=claim, correlation=task)
    await writer.submit(Put(events=(event,)))
    tip = claimed(event)
    fact = RunStarted(
        program="controller", adapter="agent", bundle=text_of(b""), policy=policy, setup=text_of(document)
    )
    tip = await _record(writer, tip, Happened(fact, None, "", {"setup": document}))
    tip = await _record(writer, tip, Happened(ToolStarted(call=1, pid=1, start_ticks=1, boot_id="b")))
    line = b"fatal: once more\n"
    for number in range(DECISIONS):
        out = OutputAppended(
            call=1, stream="stdout", offset=number * len(line), size=len(line), lines=1, digest="d" * 64
        )
        tip = await _record(writer, tip, Happened(out, line))


async def _record(writer: GroupWriter, tip: Tip, happened: Happened) -> Tip:
    state, put = advance(tip, [happened], at_us=time.time_ns() // 1000, actor="bench")
    return appended(tip, state, put, await writer.submit(put))


def _document(argv: list[str]) -> dict[str, object]:
    return {
        "kind": "watch",
        "source": "bench",
        "payload": {"argv": argv},
        "requested_adapter": "agent",
        "requested_profile": "watched",
        "max_attempts": 1,
    }


async def _latency(folder: Path) -> list[float]:
    made = dispatcher.runtime(folder, CONFIG_TOML)
    dispatcher.queue_document(made, _document([sys.executable, "-c", URGENT]), 1)
    found: list[float] = []
    printed: list[int] = []

    def watch(events: Sequence[Recorded]) -> None:
        now_ns = time.time_ns()
        for event in events:
            if isinstance(event.data, OutputAppended):
                printed.extend(int(line.split()[1]) for line in (event.body or b"").splitlines())
            if isinstance(event.data, DecisionMade) and event.data.triggers[0].startswith("urgent"):
                found.extend((now_ns - each) / 1e6 for each in printed)
                printed.clear()

    await _work(made, watch)
    return found


async def _watch(folder: Path) -> float:
    """The share of a core that the dispatcher itself takes, children not counted."""
    made = dispatcher.runtime(folder, CONFIG_TOML)
    dispatcher.queue_document(made, _document([sys.executable, "-c", CHATTY]), RUNS)
    before = resource.getrusage(resource.RUSAGE_SELF)
    start_s = time.perf_counter()
    await _work(made, lambda _: None)
    took_s = time.perf_counter() - start_s
    after = resource.getrusage(resource.RUSAGE_SELF)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / took_s


async def _work(made: Runtime, watch: Watch) -> None:
    def warn(text: str) -> None:
        raise AssertionError(text)

    async with made.world(watch, warn) as world:
        await Dispatcher(world, RUNS).work(until=lambda: not made.log.ready(made.clock.now_us(), 1))
    made.close()


if __name__ == "__main__":
    harness.main(measure)
