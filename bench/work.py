"""How fast work comes in: intake, claims beside many queued tasks, schedules, a storm of sensor events, workflows."""

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from adapters.log_sqlite import SqliteLog
from bench import harness
from bench.harness import Row
from commands import home, taking_in
from commands.batches import GROUP
from commands.follows import Follows
from commands.making import Making
from commands.scheduling import Scheduler
from commands.sensing import Sensors
from commands.wiring import Runtime
from commands.workflow_doors import Wanted, Workflows, all_of
from domain import task as tasks
from domain.config import Config, parse
from domain.events import Put, Recorded
from domain.intake import parse_json
from domain.ports import LogView
from domain.sensed import accept as accept_event
from domain.stream_index import WORKFLOW

ROUNDS = 5
SINGLES = 300
MANY = 20_000
STORM = 100_000
NOW_US = 1_767_225_600_000_000


def measure() -> list[Row]:
    """All of it."""
    with harness.folder() as folder:
        return [*_intake(folder), *_claims(folder), *_schedules(folder), *_storm(folder), *_workflows(folder)]


def _lines(count: int) -> list[bytes]:
    return [
        json.dumps(
            {
                "kind": "command",
                "source": "bench",
                "subject": f"part {at}",
                "payload": {"argv": ["/usr/bin/make", "check", f"PART={at}"], "cwd": "/srv/project"},
            }
        ).encode()
        for at in range(count)
    ]


def _runtime(folder: Path) -> Runtime:
    runtime = Runtime(home.Home(harness.empty(folder / "rt") / ".rt", None, folder / "rt"), "bench")
    runtime.create_log()
    return runtime


def _intake(folder: Path) -> list[Row]:
    singles, many = _lines(SINGLES), _lines(MANY)

    def rows(lines: list[bytes]) -> list[tuple[str, int, str, bytes]]:
        """The same rows: what the log stores of these tasks, ready-made."""
        runtime = _runtime(folder)
        taking_in.take_in_many(runtime, [taking_in.check(runtime, parse_json(each.decode(), "t")) for each in lines])
        found = [
            (row[1], row[2], row[3], row[5].encode() if isinstance(row[5], str) else row[5])
            for row in sqlite3.connect(runtime.home.state / "log.db").execute("SELECT * FROM stored_events")
        ]
        runtime.close()
        return found

    single_rows, many_rows = rows(singles), rows(many)

    def raw(given: list[tuple[str, int, str, bytes]], size: int) -> float:
        db = harness.raw_log(harness.empty(folder / "raw") / "raw.db", unique=False)
        took_s = harness.timed(lambda: _raw(db, given, size))
        db.close()
        return len(given) / took_s

    def one_by_one() -> float:
        runtime = _runtime(folder)
        took_s = harness.timed(lambda: _singles(runtime, singles))
        runtime.close()
        return len(singles) / took_s

    def batch() -> float:
        runtime = _runtime(folder)
        took_s = harness.timed(lambda: _batches(runtime, many))
        runtime.close()
        return len(many) / took_s

    found = harness.rounds(
        ROUNDS,
        {
            "raw 1": lambda: raw(single_rows, 1),
            "rt 1": one_by_one,
            "raw many": lambda: raw(many_rows, GROUP),
            "rt many": batch,
        },
    )
    return _of_intake(found)


def _of_intake(found: dict[str, list[float]]) -> list[Row]:
    ratio = harness.ratio(found["rt 1"], found["raw 1"])
    rate = harness.median(found["rt many"])
    return [
        Row(
            what="intake of JSON, one by one, each acknowledged",
            target=">= 0.4 x raw",
            measured=harness.rate(harness.median(found["rt 1"])),
            floor=f"sqlite3, the same rows: {harness.rate(harness.median(found['raw 1']))}",
            ratio=ratio,
            ok=ratio >= 0.4,
        ),
        Row(
            what=f"intake of JSON in a batch, {GROUP} a commit",
            target=">= 30,000/s",
            measured=harness.rate(rate),
            floor=f"sqlite3, the same rows: {harness.rate(harness.median(found['raw many']))}",
            ratio=harness.ratio(found["rt many"], found["raw many"]),
            ok=rate >= 30_000,
        ),
    ]


def _singles(runtime: Runtime, lines: list[bytes]) -> None:
    for line in lines:
        _one(runtime, line)


def _one(runtime: Runtime, line: bytes) -> None:
    taking_in.take_in(runtime, taking_in.check(runtime, parse_json(line.decode(), "task")))


def _batches(runtime: Runtime, lines: list[bytes]) -> None:
    for at in range(0, len(lines), GROUP):
        texts = [line.decode() for line in lines[at : at + GROUP]]
        group = [taking_in.check(runtime, parse_json(text, "task"), read=True) for text in texts]
        taking_in.take_in_many(runtime, group)


def _raw(db: sqlite3.Connection, rows: list[tuple[str, int, str, bytes]], size: int) -> None:
    cursor = db.cursor()
    for at in range(0, len(rows), size):
        cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(
            "INSERT INTO events(stream, version, topic, state) VALUES (?, ?, ?, ?)", rows[at : at + size]
        )
        cursor.execute("COMMIT")


def _claims(folder: Path) -> list[Row]:
    def claiming(count: int) -> float:
        runtime = _runtime(folder)
        _batches(runtime, _lines(count))
        took_s = harness.timed(lambda: _claim_all(runtime.log, 100))
        runtime.close()
        return took_s / 100

    few = [claiming(200) for _ in range(3)]
    many = [claiming(100_000) for _ in range(2)]
    ratio = harness.median(many) / harness.median(few)
    return [
        Row(
            what="claim with 100,000 tasks queued, against 200",
            target="<= 1.3 x",
            measured=f"{harness.median(many) * 1000:.2f} ms",
            floor=f"200 queued: {harness.median(few) * 1000:.2f} ms",
            ratio=ratio,
            ok=ratio <= 1.3,
        )
    ]


def _claim_all(log: SqliteLog, count: int) -> None:
    for at in range(count):
        _claim(log, at)


def _claim(log: SqliteLog, at: int) -> None:
    def pick(view: LogView) -> Put | None:
        task = view.ready(NOW_US * 2, 1)[0]
        state = view.task(task)
        assert state is not None
        data = tasks.claim(state, run=f"{at:032x}", dispatcher="bench")
        event = Recorded(
            stream=task, version=state.version + 1, at_us=NOW_US, actor="bench", data=data, correlation=task
        )
        return Put(events=(event,))

    log.append([pick])


def _schedules(folder: Path) -> list[Row]:
    config = Config()
    log = SqliteLog(harness.empty(folder / "schedules"), create=True)
    scheduler = Scheduler(config)
    for at in range(1_000):
        task = {"kind": "command", "source": "s", "payload": {"argv": ["true"]}}
        document = {"name": f"schedule-{at}", "interval_seconds": 60, "task": task}
        scheduler.upsert(log, scheduler.accepted(document, NOW_US), NOW_US, "bench")
    fresh = Scheduler(config)
    took_s = harness.timed(lambda: fresh.tick(log, NOW_US + 1, "bench"))
    done = fresh.tick(log, NOW_US + 61_000_000, "bench")
    log.close()
    return [
        Row(
            what="1,000 due schedules evaluated, each makes its task, one transaction",
            target="< 1 s",
            measured=f"{took_s:.2f} s",
            floor=f"{len(done.tasks)} tasks in the next minute",
            ok=took_s < 1.0,
        )
    ]


def _storm(folder: Path) -> list[Row]:
    log = SqliteLog(harness.empty(folder / "storm"), create=True)
    doors = Sensors(Config(allow_argv_from=("sensor",)), folder)
    documents = [_event(at % (STORM // 10), at) for at in range(STORM)]

    def work() -> None:
        for at in range(0, STORM, GROUP):
            given = [accept_event(each, NOW_US) for each in documents[at : at + GROUP]]
            doors.ingest(log, given, NOW_US, "bench")

    took_s = harness.timed(work)
    made = len(log.ready(NOW_US * 2, STORM))
    log.close()
    return [
        Row(
            what=f"a storm of {STORM:,} sensor events, 90 % told again",
            target="exactly 10,000 tasks",
            measured=f"{made:,} tasks in {took_s:.1f} s ({harness.rate(STORM / took_s)})",
            ok=made == STORM // 10,
        )
    ]


def _event(key: int, at: int) -> dict[str, Any]:
    return {
        "sensor_id": "storm",
        "event_id": f"e{key}",
        "source_ref": "bench",
        "dedupe_key": f"key-{key}",
        "payload": {"number": key},
        "observed_at": "2026-01-01T00:00:00Z",
        "proposed_task": {"kind": "command", "source": "storm", "payload": {"argv": ["true", str(at)]}},
    }


def _workflows(folder: Path) -> list[Row]:
    config = parse({"adapters": {"agent-x": {"command": "/bin/true"}}, "default_adapter": "agent-x"}, "bench")
    log = SqliteLog(harness.empty(folder / "workflows"), create=True)
    from adapters.redact import Secrets

    log.followed_by(Follows(lambda: config, lambda: Secrets(())))
    doors = Workflows(config, folder)
    for at in range(1_000):
        context: dict[str, Any] = {"summary": f"goal {at}"}
        if at % 100 == 0:
            context["scope"] = {"poison": "x" * 10}
            context["requested_profile"] = ["not", "a", "text"]
        doors.create(
            log, Wanted("wallet-onboarding" if at % 100 else "goal-loop", f"key-{at}", context), NOW_US, "bench"
        )
    start_s = time.perf_counter()
    open_tasks = log.ready(NOW_US * 2, 10_000)
    for task in open_tasks:
        _end(log, task)
    took_s = time.perf_counter() - start_s
    moved = sum(1 for state in all_of(log) if state.epoch > 1 or state.over)
    parked = len(log.nouns(WORKFLOW, "parked"))
    log.close()
    return [
        Row(
            what="1,000 workflows of which 10 are poisoned: one state on for each that can",
            target="990 move, 10 are parked",
            measured=f"{moved} moved, {parked} parked, {harness.rate(len(open_tasks) / took_s)}",
            ok=moved == 990 and parked == 10,
        )
    ]


def _end(log: SqliteLog, task: str) -> None:
    """Complete a task as a run would, with what follows in the same transaction."""
    from domain.events import TaskCompleted

    def claim(view: LogView) -> Put | None:
        making = Making(view, at_us=NOW_US, actor="bench")
        state = view.task(task)
        assert state is not None
        making.add(task, tasks.claim(state, run=task[::-1], dispatcher="bench"), correlation=task)
        making.add(task, TaskCompleted(run=task[::-1]), correlation=task)
        return making.put()

    result = log.append([claim])[0]
    if isinstance(result, Exception):
        raise result


if __name__ == "__main__":
    harness.main(measure)
