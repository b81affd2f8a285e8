"""The database of agent-runtime is read as it lies: by names of tables, whatever columns it has, and never written."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from adapters.old_database import OldDatabase, history, time_us, whole
from domain import errors
from domain.bounds import IMPORTED_HISTORY_BYTES_MAX


def _made(path: Path, *statements: str) -> Path:
    db = sqlite3.connect(path)
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()
    return path


@contextmanager
def _opened(path: Path) -> Iterator[OldDatabase]:
    old = OldDatabase(path)
    yield old
    old.close()


TASKS = "CREATE TABLE tasks(task_id TEXT PRIMARY KEY, status TEXT, payload TEXT, created_at TEXT)"


def test_rows_come_oldest_first_with_their_documents_read(tmp_path: Path) -> None:
    path = _made(
        tmp_path / "old.db",
        TASKS.replace("payload", "payload_json"),
        "INSERT INTO tasks VALUES ('b', 'pending', '{\"n\": 2}', '2026-01-02T00:00:00.000Z')",
        "INSERT INTO tasks VALUES ('a', 'pending', '{\"n\": 1}', '2026-01-01T00:00:00.000Z')",
        "INSERT INTO tasks VALUES ('c', 'pending', 'no json', '2026-01-03T00:00:00.000Z')",
    )
    with _opened(path) as old:
        assert [(row["task_id"], row["payload"]) for row in old.rows("tasks")] == [
            ("a", {"n": 1}),
            ("b", {"n": 2}),
            ("c", "no json"),
        ]
        assert old.count("tasks") == 3


@pytest.mark.parametrize(("attempts", "events"), [("attempts", "events"), ("task_attempts", "runtime_events")])
def test_a_table_is_found_under_either_name(tmp_path: Path, attempts: str, events: str) -> None:
    path = _made(
        tmp_path / "old.db",
        TASKS,
        f"CREATE TABLE {attempts}(attempt_id TEXT, task_id TEXT, started_at TEXT)",
        f"INSERT INTO {attempts} VALUES ('second', 'a', '2026-01-02')",  # noqa: S608  # names of this test, as below
        f"INSERT INTO {attempts} VALUES ('first', 'a', '2026-01-01'), ('x', 'b', '2026')",  # noqa: S608
        f"CREATE TABLE {events}(id INTEGER PRIMARY KEY, event_type TEXT, task_id TEXT, detail TEXT)",
        f"INSERT INTO {events} VALUES (1, 'task_enqueued', 'a', '{{\"by\": \"intake\"}}')",  # noqa: S608
        f"INSERT INTO {events} VALUES (2, 'dispatch_idle', NULL, NULL)",  # noqa: S608
    )
    with _opened(path) as old:
        found = old.of_tasks("attempts", ["a", "none"])
        assert [each["attempt_id"] for each in found["a"]] == ["first", "second"]
        assert found["none"] == []
        assert [each["detail"] for each in old.of_tasks("events", ["a"])["a"]] == [{"by": "intake"}]
        assert (old.count("attempts"), old.count("events")) == (3, 2)


def test_what_is_missing_is_empty(tmp_path: Path) -> None:
    """A table that is not there, one without what tells its rows apart, a column that is not there."""
    path = _made(tmp_path / "old.db", "CREATE TABLE tasks(id TEXT)", "CREATE TABLE schedules(title TEXT)")
    with _opened(path) as old:
        assert list(old.rows("schedules")) == list(old.rows("workflows")) == list(old.rows("tasks")) == []
        assert old.of_tasks("events", ["a"]) == {"a": []}
        assert old.count("sensor_events") == 0


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_nothing_is_written(tmp_path: Path, mode: str) -> None:
    path = _made(tmp_path / "old.db", f"PRAGMA journal_mode = {mode}", TASKS, "INSERT INTO tasks(task_id) VALUES ('a')")
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    with _opened(path) as old:
        assert len(list(old.rows("tasks"))) == 1
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_what_is_still_in_the_wal_is_read(tmp_path: Path) -> None:
    path = _made(tmp_path / "old.db", "PRAGMA journal_mode = wal", TASKS)
    writer = sqlite3.connect(path)
    writer.execute("INSERT INTO tasks(task_id) VALUES ('late')")
    writer.commit()
    with _opened(path) as old:
        assert [row["task_id"] for row in old.rows("tasks")] == ["late"]
    writer.close()


@pytest.mark.parametrize("content", [None, b"", b"not a database" * 100], ids=["missing", "empty", "text"])
def test_what_is_no_database_of_that_runtime_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "old.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(errors.Invalid) as refused:
        OldDatabase(path)
    assert refused.value.fields["where"] == str(path)


def test_bytes_that_are_no_text_and_nuls_are_replaced(tmp_path: Path) -> None:
    path = _made(tmp_path / "old.db", TASKS, "INSERT INTO tasks(task_id, status) VALUES (CAST(x'61FF00' AS TEXT), 'x')")
    with _opened(path) as old:
        (row,) = old.rows("tasks")
    assert row["task_id"] == "a\ufffd\ufffd"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1970-01-01T00:00:01.500Z", 1_500_000),
        ("1970-01-01 00:00:02", 2_000_000),
        (3, 3_000_000),
        (1_700_000_000_000, 1_700_000_000_000_000),
        (None, 7),
        ("soon", 7),
        (float("inf"), 7),
    ],
)
def test_times_read_in_each_form_that_was_written(value: object, expected: int) -> None:
    assert time_us({"created_at": value}, ("created_at",), 7) == expected


@pytest.mark.parametrize(("value", "expected"), [(3, 3), ("4", 4), (5.9, 5), (None, 1), ("many", 1), ("inf", 1)])
def test_numbers_read_or_give_way_to_the_default(value: object, expected: int) -> None:
    assert whole(value, 1) == expected


def test_a_history_that_is_too_long_keeps_its_newest_part_and_says_how_much_is_left_out() -> None:
    events: list[dict[str, object]] = [{"id": number, "detail": "x" * 20_000} for number in range(100)]
    found = history({"task_id": "a", "payload": {}}, [], events)
    assert [each["id"] for each in found["events"]] == list(range(80, 100))
    assert found["left_out"] == 80
    huge = history({"task_id": "a", "outcome": "x" * IMPORTED_HISTORY_BYTES_MAX}, [], events)
    assert (huge["task"], huge["events"], huge["left_out"]) == ({}, [], 100)
    assert "left_out" not in history({"task_id": "a"}, [], events[:2])
