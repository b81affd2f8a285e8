"""The tables: the same whether they were made at once or event by event, and the same as the core says."""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.log_reader import LogReader
from domain import errors
from domain import run as core
from domain.events import (
    REGISTRY,
    AgentReported,
    AnswerRead,
    EvidenceGathered,
    RunVerified,
    TaskEdited,
    TaskParked,
    TaskPrioritized,
    TaskResumed,
    VerificationRequested,
    topic,
)  # fmt: skip
from projections import catch_up, status
from projections.catch_up import Database, Projection
from projections.tables import COLUMNS, TABLE_DOCS, UPDATES
from tests.projections.histories import History

OF_THE_LOG = {"log.loss_accepted.v1", "log.texts_erased.v1", "log.archived.v1", "log.measured.v1"}
ROOT = Path(__file__).resolve().parents[2]
NUMBERS = st.lists(st.integers(0, 10**7), min_size=1, max_size=40)
_RANDOM = random.Random(20)  # the same history each time
LONG = [_RANDOM.randrange(10**7) for _ in range(1200)]


def dump(database: Database, position: int) -> tuple[int, dict[str, list[tuple[Any, ...]]]]:
    """Every table, ordered."""
    tables = {table: database.execute(f"SELECT * FROM {table} ORDER BY ALL").fetchall() for table in COLUMNS}  # noqa: S608
    return position, tables


def rows(database: Database, _position: int) -> dict[str, list[dict[str, Any]]]:
    """Every table as dicts."""
    return {table: status.rows(database, f"SELECT * FROM {table}") for table in COLUMNS}  # noqa: S608


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(NUMBERS, st.lists(st.integers(1, 20), min_size=1, max_size=5), st.sampled_from([1, 2, 5, 11, 40]))
def test_catching_up_at_any_borders_equals_a_rebuild(numbers: list[int], pauses: list[int], batch: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        history = History(folder)
        reader = LogReader(folder)
        try:
            step_by_step = Projection(folder, reader)
            at = 0
            with mock.patch.object(catch_up, "BATCH", batch):
                for pause in pauses:
                    history.steps(numbers[at : at + pause])
                    at += pause
                    position = step_by_step.ask(lambda _, position: position)
                    assert position == history.log.head().position
                history.steps(numbers[at:])
                incremental = step_by_step.ask(dump)
            fresh_folder = folder / "fresh"
            fresh_folder.mkdir()
            fresh = Projection(fresh_folder, reader)
            assert fresh.ask(dump) == incremental
            assert fresh.rebuild() == incremental[0]
            assert fresh.ask(dump) == incremental
        finally:
            reader.close()
            history.log.close()


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(NUMBERS)
def test_the_tables_say_what_the_core_says(numbers: list[int]) -> None:
    with tempfile.TemporaryDirectory() as name:
        history = History(Path(name)).steps(numbers)
        reader = LogReader(Path(name))
        try:
            _assert_like_the_core(history, Projection(Path(name), reader).ask(rows))
        finally:
            reader.close()
            history.log.close()


def _assert_like_the_core(history: History, found: dict[str, list[dict[str, Any]]]) -> None:
    log = history.log
    events = {event.position: event for event in log.read(0, 1 << 30)}
    assert [row["position"] for row in found["events"]] == list(events)
    for row in found["tasks"]:
        state = log.task(row["task"])
        assert state is not None
        expected = {
            "status": state.status.value,
            "cause": state.cause,
            "attempts": state.attempts,
            "max_attempts": state.max_attempts,
            "run": state.run,
            "priority": state.priority,
            "position": state.queued_position,
            "subject": state.subject,
            "kind": state.kind,
        }
        assert {name: row[name] for name in expected} == expected, state
        assert (row["due_at"] is not None) == bool(state.due_at_us), state
    for row in found["runs"]:
        run = core.fold(log.run_events(row["run"], bodies=True))
        assert run is not None
        assert (row["state"], row["attempt"], row["task"]) == (run.status.value, run.attempt, run.task)
    calls = {row["run"]: row for row in found["tool_calls"]}
    for run_id, row in calls.items():
        run = core.fold(log.run_events(run_id, bodies=True))
        assert run is not None
        assert row["pid"] == (run.calls[0].pid or None)
        assert (row["state"] in ("exited", "not_started", "lost")) == (run.calls[0].over or run.ended), row
    outputs = {row["position"]: row["text"] for row in found["output"]}
    for row in found["runs"]:
        for event in log.run_events(row["run"], bodies=True):
            if event.body is not None:
                assert outputs.pop(event.position) == event.body.decode("utf-8", "replace")
    assert not outputs
    for row in found["decisions"]:
        assert row["seen_position"] < row["position"]
        assert row["seen_position"] in events


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a long history."""
    folder = tmp_path_factory.mktemp("long")
    history = History(folder).steps(LONG)
    history.log.close()
    return folder


@pytest.fixture
def feed(long: Path) -> Any:  # noqa: ANN401  # a generator fixture
    reader = LogReader(long)
    yield reader
    reader.close()


def test_every_table_and_column_is_described_and_typed(feed: LogReader, tmp_path: Path) -> None:
    def described(database: Database, _: int) -> Any:  # noqa: ANN401  # rows of the catalog
        columns = database.execute(
            "SELECT table_name, column_name, data_type, comment FROM duckdb_columns() WHERE table_name <> 'meta'"
        ).fetchall()
        tables = database.execute("SELECT table_name, comment FROM duckdb_tables() WHERE table_name <> 'meta'")
        return columns, dict(tables.fetchall())

    columns, tables = Projection(tmp_path, feed).ask(described)
    mine = [each for each in columns if each[0] in COLUMNS]
    assert {(table, column): (kind, doc) for table, column, kind, doc in mine} == {
        (table, column): known for table, known_columns in COLUMNS.items() for column, known in known_columns.items()
    }
    assert {name: tables[name] for name in TABLE_DOCS} == TABLE_DOCS
    assert all(doc for *_, doc in mine)


def test_a_long_history_reaches_every_state(feed: LogReader, tmp_path: Path) -> None:
    """The random histories are worth something only if they get around."""
    found = Projection(tmp_path, feed).ask(rows)
    elsewhere = ("domain.agent_events", "domain.schedule_events", "domain.workflow_events", "domain.work_events")
    of_agents = {topic(kind) for kind in REGISTRY.values() if kind.__module__ in elsewhere}
    of_agents |= {topic(each) for each in (AnswerRead, VerificationRequested, EvidenceGathered, RunVerified)}
    of_agents |= {topic(each) for each in (AgentReported, TaskParked, TaskResumed, TaskPrioritized, TaskEdited)}
    topics = {topic(kind) for kind in REGISTRY.values()} - OF_THE_LOG - of_agents
    assert {row["topic"] for row in found["events"]} == topics
    assert {row["state"] for row in found["runs"]} >= {"completed", "failed", "canceled", "lost"}
    assert {row["state"] for row in found["tool_calls"]} >= {"exited", "not_started", "lost"}
    assert {row["decision"] for row in found["decisions"]} == {"call", "cancel", "finish", "retry", "block"}


def test_status_agrees_with_the_tables(feed: LogReader, tmp_path: Path) -> None:
    projection = Projection(tmp_path, feed)
    found = projection.ask(status.status)
    tables = projection.ask(rows)
    states = [row["status"] for row in tables["tasks"]]
    assert found["counts"] == {name: states.count(name) for name in status.STATUSES}
    assert found["position"] == feed.head()[0]
    assert len(found["running"]) == min(50, states.count("running"))
    assert len(found["failed"]) == min(10, states.count("permanent_failure"))
    assert len(found["needs_you"]) == min(20, states.count("blocked"))
    due = [
        row["due_at"] for row in tables["tasks"] if row["due_at"] and row["status"] in ("pending", "retryable_failure")
    ]
    assert [row["due_at"] for row in found["next"]] == sorted(due)[:5]
    now = max(row["recorded_at"] for row in tables["events"])
    claimable = [row for row in tables["tasks"] if row["status"] in ("pending", "retryable_failure")]
    waiting = [
        ((row["due_at"] or row["created_at"]), row["position"], row["task"])
        for row in claimable
        if (row["due_at"] or row["created_at"]) <= now
    ]
    assert waiting, "the history leaves something to do"
    assert found["oldest_due"] is not None
    assert found["oldest_due"]["task"] == min(waiting)[2]
    paused = [row for row in tables["events"] if row["topic"].startswith("dispatcher.")]
    assert found["paused"] is paused[-1]["topic"].startswith("dispatcher.paused")


def test_lists_are_pages_of_the_tables(feed: LogReader, tmp_path: Path) -> None:
    projection = Projection(tmp_path, feed)
    tables = projection.ask(rows)
    everything = projection.ask(lambda database, _: status.tasks(database, where={}, before=1 << 62, limit=1 << 30))
    assert [row["position"] for row in everything] == sorted((row["position"] for row in tables["tasks"]), reverse=True)
    some = projection.ask(
        lambda database, _: status.tasks(database, where={"status": "blocked", "kind": "build"}, before=500, limit=3)
    )
    assert all(row["status"] == "blocked" and row["kind"] == "build" and row["position"] < 500 for row in some)
    runs = projection.ask(lambda database, _: status.runs(database, task="", state="lost", before=1 << 62, limit=5))
    assert all(row["state"] == "lost" for row in runs)
    wanted = runs[0]["run"]
    shown = projection.ask(lambda database, _: status.run(database, wanted))
    assert shown is not None
    assert shown["run"] == wanted
    assert projection.ask(lambda database, _: status.run(database, "nobody")) is None
    assert projection.ask(lambda database, _: status.task(database, "nobody")) is None


def test_a_copy_is_whole_and_stays_as_it_was(feed: LogReader, tmp_path: Path) -> None:
    projection = Projection(tmp_path, feed)
    position = projection.copy(tmp_path / "copy")
    assert position == feed.head()[0]
    database = duckdb.connect(str(tmp_path / "copy"), read_only=True)
    assert dump(database, position) == projection.ask(dump)
    database.close()


CHILD = """
import sys
from pathlib import Path
from adapters.log_reader import LogReader
from projections import catch_up
catch_up.BATCH = 7
def progress(done, total):
    print(done, flush=True)
reader = LogReader(Path(sys.argv[1]))
catch_up.Projection(Path(sys.argv[2]), reader, progress).ask(lambda database, position: None)
print("done", flush=True)
"""


@pytest.mark.parametrize("kill_after", [1, 3, 8, 20])
def test_a_kill_while_catching_up_leaves_a_file_that_goes_on(
    long: Path, feed: LogReader, tmp_path: Path, kill_after: int
) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-c", CHILD, str(long), str(tmp_path)],
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    ) as child:
        assert child.stdout is not None
        for _ in range(kill_after):
            assert child.stdout.readline() != b"done\n"
        child.kill()
    with mock.patch.object(catch_up, "BATCH", 50):
        interrupted = Projection(tmp_path, feed).ask(dump)
    assert not (tmp_path / "projection.duckdb.set-aside").exists(), "a kill is no damage"
    (tmp_path / "fresh").mkdir()
    assert Projection(tmp_path / "fresh", feed).ask(dump) == interrupted


class Forged:
    """A log in which one event says something that no table can hold."""

    def __init__(self, feed: LogReader, position: int, find: str, put: str) -> None:
        self._feed = feed
        self._position = position
        self._find = find
        self._put = put
        self.head = feed.head
        self.hash_at = feed.hash_at
        self.bodies = feed.bodies

    def lines(self, after: int, upto: int) -> bytes:
        """The rows, one of them forged."""
        lines = self._feed.lines(after, upto)
        at = self._position - after - 1
        split = lines.split(b"\n")
        if 0 <= at < len(split):
            split[at] = split[at].replace(self._find.encode(), self._put.encode())
        return b"\n".join(split)


@pytest.mark.parametrize(
    ("topic", "find", "put"),
    [
        ("task.queued.v1", '"priority":', '"priority":"high","x":'),
        ("task.claimed.v1", '"attempt":', '"attempt":"first","x":'),
        ("run.tool_exited.v1", '"duration_us":', '"duration_us":"long","x":'),
    ],
)
def test_one_wrong_event_is_named_by_its_position(
    feed: LogReader, tmp_path: Path, topic: str, find: str, put: str
) -> None:
    position = [row.position for row in feed.rows(0, 1 << 60, 1 << 60) if row.topic == topic][3]
    with pytest.raises(errors.ProjectionFailed) as caught:
        Projection(tmp_path, Forged(feed, position, find, put)).ask(dump)
    assert f"event {position} " in str(caught.value) or f"position {position}:" in str(caught.value)
    assert Projection(tmp_path, feed).ask(dump)[0] == feed.head()[0], "once it is right, all is right"


def test_each_update_names_the_events_that_it_needs() -> None:
    known = {name for name in REGISTRY if "." in name}
    for names, statement in UPDATES:
        said = {name for name in known if f"'{name}'" in statement}
        if "LIKE 'task.%'" in statement:
            said = {name for name in known if name.startswith("task.")} - {
                "task.queued", "task.prioritized", "task.edited",
            }  # fmt: skip
        assert set(names) == said, statement


def test_a_wrong_question_leaves_the_file_alone(feed: LogReader, tmp_path: Path) -> None:
    projection = Projection(tmp_path, feed)
    projection.ask(dump)
    made = (tmp_path / "projection.duckdb").stat().st_ino
    with pytest.raises(duckdb.ProgrammingError):
        projection.ask(lambda database, _: database.execute("SELECT * FROM nowhere"))
    assert (tmp_path / "projection.duckdb").stat().st_ino == made
    assert not list(tmp_path.glob("*.set-aside"))


@pytest.mark.parametrize("at", [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize("how", ["flip", "cut"])
@pytest.mark.parametrize("where", ["", ".wal"], ids=["file", "wal"])
def test_damage_anywhere_never_gives_a_wrong_answer(
    feed: LogReader, tmp_path: Path, at: float, how: str, where: str
) -> None:
    projection = Projection(tmp_path, feed)
    with mock.patch.object(catch_up, "_WAL_BYTES", 1 << 30 if where else 0):
        right = projection.ask(dump)
    path = tmp_path / f"projection.duckdb{where}"
    assert path.stat().st_size > 1 << 18
    content = bytearray(path.read_bytes())
    place = min(int(at * len(content)), len(content) - 1)
    if how == "flip":
        content[place] ^= 0x10
    else:
        del content[place:]
    path.write_bytes(content)
    assert projection.ask(dump) == right


def test_the_json_of_events_reads_back(feed: LogReader, tmp_path: Path) -> None:
    stored = {row.position: json.loads(row.state)["data"] for row in feed.rows(0, 1 << 60, 1 << 60)}
    found = Projection(tmp_path, feed).ask(rows)["events"]
    assert {row["position"]: json.loads(row["data"]) for row in found} == stored
