"""What only the log on disk can promise: it refuses to be changed, syncs, and notices what was done to its file."""

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from eventsourcing.persistence import EventStore

from adapters.codec import Codec
from adapters.head_record import HeadRecord
from adapters.log_memory import MemoryLog
from adapters.log_reader import LogReader
from adapters.log_schema import GENESIS, link
from adapters.log_sqlite import SqliteLog
from domain import errors
from domain.events import Blob, Put
from domain.ids import output_stream, text_of
from domain.ports import Head
from tests.adapters.puts import RUN, TASK, append, appended, claim, note, notes, output, put, queued, retry


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(folder: Path) -> Iterator[SqliteLog]:
    made = SqliteLog(folder, create=True)
    yield made
    made.close()


def foreign(folder: Path) -> sqlite3.Connection:
    """A connection of somebody who knows nothing of rt."""
    connection = sqlite3.connect(folder / "log.db", isolation_level=None)
    connection.execute("PRAGMA recursive_triggers=OFF")
    return connection


def break_open(folder: Path) -> sqlite3.Connection:
    """A connection of somebody who removed the triggers."""
    connection = foreign(folder)
    for trigger in ("no_update", "no_delete", "gapless"):
        connection.execute(f"DROP TRIGGER {trigger}")
    return connection


def first_bad(folder: Path) -> int | None:
    """Recompute the chain as its definition says; the first position that does not fit."""
    connection = sqlite3.connect(folder / "log.db")
    query = (
        "SELECT position, originator_id, originator_version, topic, caused_by, state, hash"
        " FROM stored_events ORDER BY position"
    )
    rows = connection.execute(query).fetchall()
    connection.close()
    before, expected = GENESIS, 1
    for *columns, found in rows:
        before = link(before, *columns)
        if before != found or columns[0] != expected:
            return int(columns[0])
        expected += 1
    return None


# append-only


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE stored_events SET topic = 'x' WHERE position = 1",
        "UPDATE OR REPLACE stored_events SET position = 2 WHERE position = 1",
        "DELETE FROM stored_events WHERE position = 2",
        "DELETE FROM stored_events",
        "INSERT OR REPLACE INTO stored_events VALUES (2, 'a', 2, 't', 0, x'00', x'00')",
        "REPLACE INTO stored_events VALUES (1, 'a', 1, 't', 0, x'00', x'00')",
        "INSERT INTO stored_events VALUES (1, 'z', 1, 't', 0, x'00', x'00') ON CONFLICT DO UPDATE SET topic = 'x'",
        "INSERT OR REPLACE INTO stored_events VALUES (3, 'a', 2, 't', 0, x'00', x'00')",
        "INSERT INTO stored_events VALUES (4, 'z', 1, 't', 0, x'00', x'00')",
        "INSERT INTO stored_events VALUES (NULL, 'z', 1, 't', 0, x'00', x'00')",
        "INSERT INTO stored_events VALUES (-5, 'z', 1, 't', 0, x'00', x'00')",
        "INSERT INTO stored_events VALUES (3, 'a', 2, 't', 0, x'00', x'00')",
    ],
)
def test_no_connection_can_change_what_was_appended(log: SqliteLog, folder: Path, statement: str) -> None:
    appended(log, notes("a", 1, 2))
    before = log.read(0, 10)
    connection = foreign(folder)
    with pytest.raises(sqlite3.Error):
        connection.execute(statement)
    connection.close()
    assert log.read(0, 10) == before


def test_the_log_goes_on_after_a_foreign_attempt(log: SqliteLog, folder: Path) -> None:
    appended(log, notes("a", 1, 1))
    connection = foreign(folder)
    with pytest.raises(sqlite3.Error):
        connection.execute("DELETE FROM stored_events")
    connection.close()
    assert appended(log, notes("a", 2, 2)) == [2]


def test_the_chain_is_as_it_is_defined(log: SqliteLog, folder: Path) -> None:
    append(log, queued(), claim(), output(1, b"x"), retry())
    assert first_bad(folder) is None


@pytest.mark.parametrize(
    "change",
    [
        "position = 9 WHERE position = 4",
        "originator_id = 'other' WHERE position = 2",
        "originator_version = 9 WHERE position = 2",
        "topic = 'run.cancel_asked.v2' WHERE position = 2",
        "caused_by = 1 WHERE position = 2",
        "state = replace(CAST(state AS TEXT), 'two', 'tow') WHERE position = 2",
        "hash = zeroblob(32) WHERE position = 2",
    ],
    ids=lambda change: change.split()[0],
)
def test_a_change_of_any_column_is_found_at_its_position(log: SqliteLog, folder: Path, change: str) -> None:
    appended(log, put(note("a", 1, "one"), note("a", 2, "two"), note("a", 3, "three"), note("a", 4, "four")))
    connection = break_open(folder)
    if change.startswith("state"):
        change = change.replace("replace(", "CAST(replace(").replace(" WHERE", " AS BLOB) WHERE")
    connection.execute(f"UPDATE stored_events SET {change}")  # noqa: S608  # the table above
    connection.close()
    assert first_bad(folder) == (9 if change.startswith("position") else 2)


@pytest.mark.parametrize("position", [1, 2])
def test_a_removed_event_is_found(log: SqliteLog, folder: Path, position: int) -> None:
    appended(log, notes("a", 1, 3))
    connection = break_open(folder)
    connection.execute("DELETE FROM stored_events WHERE position = ?", (position,))
    connection.close()
    assert first_bad(folder) == position + 1


def test_two_swapped_events_are_found(log: SqliteLog, folder: Path) -> None:
    appended(log, put(note("a", 1, "one"), note("b", 1, "two")))
    connection = break_open(folder)
    connection.execute("UPDATE stored_events SET position = 3 - position + 100")
    connection.execute("UPDATE stored_events SET position = position - 100")
    connection.close()
    assert first_bad(folder) == 1


def test_words_cannot_move_between_columns_unnoticed() -> None:
    plain = link(GENESIS, 1, "ab", 1, "c", 0, b"de")
    others = [("a", "bc", b"de"), ("ab", "cd", b"e"), ("abc", "", b"de"), ("", "abc", b"de"), ("abcde", "", b"")]
    assert plain not in {link(GENESIS, 1, stream, 1, name, 0, state) for stream, name, state in others}


# durability


def test_every_connection_of_the_log_syncs_fully(log: SqliteLog) -> None:
    connection = log.recorder.datastore.pool.get_connection()
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous")
    assert cursor.fetchone()[0] == 2
    cursor.execute("PRAGMA journal_mode")
    assert cursor.fetchone()[0] == "wal"
    cursor.execute("PRAGMA recursive_triggers")
    assert cursor.fetchone()[0] == 1
    log.recorder.datastore.pool.put_connection(connection)


def test_a_log_that_was_not_closed_is_complete(folder: Path, tmp_path: Path) -> None:
    """A crash is a copy of the files at any moment after the acknowledgement."""
    log = SqliteLog(folder, create=True)
    append(log, queued(), claim(), output(1, b"body"))
    shutil.copytree(folder, tmp_path / "crashed")
    log.close()
    again = SqliteLog(tmp_path / "crashed")
    assert again.head().position == 3
    assert again.output(RUN)[0].body == b"body"
    again.close()


def test_a_reopened_log_goes_on_where_it_ended(folder: Path) -> None:
    log = SqliteLog(folder, create=True)
    append(log, queued(), claim())
    head = log.head()
    log.close()
    again = SqliteLog(folder)
    assert again.head() == head
    assert appended(again, retry()) == [3, 4]
    assert first_bad(folder) is None
    again.close()


def test_creating_a_log_that_is_there_changes_nothing(folder: Path) -> None:
    log = SqliteLog(folder, create=True)
    append(log, notes("a", 1, 2))
    log.close()
    again = SqliteLog(folder, create=True)
    assert again.head().position == 2
    again.close()


def test_only_the_owner_may_enter_the_folder(log: SqliteLog, folder: Path) -> None:
    assert log.path.parent == folder
    assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["with space", "50% off", "%41", "a?b", "a#b", "ü"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    log = SqliteLog(tmp_path / name, create=True)
    append(log, notes("a", 1, 1))
    assert log.head().position == 1
    log.close()
    reader = LogReader(tmp_path / name)
    assert reader.head()[0] == 1
    reader.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]


# the head record


def lose_tail(folder: Path) -> None:
    """An older database comes back under the head record of the newer one."""
    log = SqliteLog(folder, create=True)
    append(log, notes("a", 1, 3))
    log.close()
    kept = (folder / "log.db").read_bytes()
    log = SqliteLog(folder)
    append(log, notes("a", 4, 5))
    log.close()
    (folder / "log.db").write_bytes(kept)


def test_a_lost_tail_is_noticed_when_the_log_is_opened(folder: Path) -> None:
    lose_tail(folder)
    with pytest.raises(errors.TailLost, match="the log ends at 3, its head record says 5"):
        SqliteLog(folder)


def test_a_lost_tail_that_was_overwritten_is_noticed(folder: Path) -> None:
    lose_tail(folder)
    record = (folder / "head.json").read_bytes()
    (folder / "head.json").unlink()
    log = SqliteLog(folder)
    append(log, notes("b", 1, 4))
    log.close()
    (folder / "head.json").write_bytes(record)
    with pytest.raises(errors.TailLost, match="event 5 is not the one that was acknowledged"):
        SqliteLog(folder)


def test_a_lost_wal_is_noticed(folder: Path, tmp_path: Path) -> None:
    log = SqliteLog(folder, create=True)
    append(log, notes("a", 1, 1))
    log.idle()
    append(log, notes("a", 2, 9))
    shutil.copytree(folder, tmp_path / "crashed")
    log.close()
    shutil.copy(folder / "head.json", tmp_path / "crashed")
    (tmp_path / "crashed" / "log.db-wal").unlink()
    with pytest.raises(errors.TailLost, match="the log ends at 1"):
        SqliteLog(tmp_path / "crashed")


def test_a_log_ahead_of_its_record_is_normal(folder: Path, tmp_path: Path) -> None:
    log = SqliteLog(folder, create=True)
    append(log, notes("a", 1, 1))
    log.idle()
    shutil.copy(folder / "head.json", tmp_path)
    append(log, notes("a", 2, 2))
    log.close()
    shutil.copy(tmp_path / "head.json", folder)
    again = SqliteLog(folder)
    assert again.head().position == 2
    again.close()


def test_closing_records_the_head(folder: Path) -> None:
    log = SqliteLog(folder, create=True)
    append(log, notes("a", 1, 3))
    head = log.head()
    log.close()
    assert HeadRecord(folder / "head.json").read() == head


def test_a_head_record_never_goes_back_by_itself(tmp_path: Path) -> None:
    record = HeadRecord(tmp_path / "head.json")
    record.advance(5, "55")
    record.flush()
    behind = HeadRecord(tmp_path / "head.json")
    behind.advance(3, "33")
    behind.flush()
    assert record.read() == Head(5, "55")


def test_a_head_record_goes_back_when_a_person_accepts_the_loss(tmp_path: Path) -> None:
    record = HeadRecord(tmp_path / "head.json")
    record.advance(5, "55")
    record.flush()
    record.replace(Head(3, "33"))
    assert record.read() == Head(3, "33")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b'{"position": "x", "hash": ""}', b"\xff"])
def test_a_damaged_head_record_is_an_error_and_not_the_beginning(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "head.json").write_bytes(content)
    with pytest.raises(errors.Corrupt, match=r"head\.json does not read"):
        HeadRecord(tmp_path / "head.json").read()


def test_a_head_record_that_is_damaged_meanwhile_does_not_fail_a_commit(tmp_path: Path) -> None:
    """The commit stands; telling its caller otherwise would be a lie."""
    record = HeadRecord(tmp_path / "head.json")
    record.advance(1, "11")
    record.flush()
    (tmp_path / "head.json").write_bytes(b"{")
    record.advance(2, "22")
    record.flush()


# what is not a log of this rt


def test_no_log_is_not_found(folder: Path) -> None:
    with pytest.raises(errors.HomeNotFound):
        SqliteLog(folder)
    assert not folder.exists()


def test_a_newer_schema_is_refused_and_untouched(folder: Path) -> None:
    SqliteLog(folder, create=True).close()
    connection = foreign(folder)
    connection.execute("PRAGMA user_version = 5")
    connection.close()
    before = (folder / "log.db").read_bytes()
    for create in (False, True):
        with pytest.raises(errors.NewerLog, match=r"schema 5, this one knows schema 4"):
            SqliteLog(folder, create=create)
    with pytest.raises(errors.NewerLog, match="schema 4"):
        LogReader(folder)
    assert (folder / "log.db").read_bytes() == before


def test_the_claim_index_of_an_older_version_is_made_anew_and_no_event_changes(folder: Path) -> None:
    log = SqliteLog(folder, create=True)
    log.append([queued("first"), queued("second", priority=9)])
    before = log.head()
    log.close()
    connection = foreign(folder)
    connection.execute("DROP TABLE task_index")
    connection.execute("CREATE TABLE task_index(task TEXT PRIMARY KEY, status TEXT)")
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    with pytest.raises(errors.OlderIndex, match="older rt"):
        LogReader(folder)
    log = SqliteLog(folder)
    assert (log.head(), log.ready(0, 9)) == (before, ["second", "first"])
    log.close()
    LogReader(folder).close()


def test_an_unknown_topic_is_a_newer_log(log: SqliteLog, folder: Path) -> None:
    connection = foreign(folder)
    state = b'{"at_us":1,"actor":"a","data":{"type":"os:system"}}'
    connection.execute("INSERT INTO stored_events VALUES (1, 'a', 1, 'os:system', 0, ?, x'00')", (state,))
    connection.close()
    with pytest.raises(errors.NewerLog, match="event 1 was written by a newer rt"):
        log.read(0, 1)


@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize(
    "content", [b"no database at all, but long enough for a header\n" * 50, b"SQLite format 3\0" + b"\xee" * 4080]
)
def test_a_file_that_is_no_database_is_corrupt(folder: Path, content: bytes, *, create: bool) -> None:
    folder.mkdir()
    (folder / "log.db").write_bytes(content)
    with pytest.raises(errors.Corrupt) as problem:
        SqliteLog(folder, create=create)
    assert problem.type is errors.Corrupt
    assert (folder / "log.db").read_bytes() == content


def test_a_database_of_somebody_else_is_corrupt_and_untouched(folder: Path) -> None:
    folder.mkdir()
    connection = sqlite3.connect(folder / "log.db")
    connection.execute("CREATE TABLE mine(x)")
    connection.close()
    with pytest.raises(errors.Corrupt, match="is not a log of rt"):
        SqliteLog(folder)


def test_a_database_of_somebody_else_does_not_become_a_log(folder: Path) -> None:
    folder.mkdir()
    connection = sqlite3.connect(folder / "log.db")
    connection.execute("CREATE TABLE stored_events(x)")
    connection.close()
    with pytest.raises(errors.Corrupt):
        SqliteLog(folder, create=True)


# unknown outcomes


class _Lying:
    """A connection whose next COMMIT reports an error, before or after it did its work."""

    def __init__(self, real: sqlite3.Connection, *, commits: bool) -> None:
        self._real = real
        self._commits = commits
        self.armed = True

    def cursor(self) -> "_LyingCursor":
        return _LyingCursor(self, self._real.cursor())

    def commit(self, run: Callable[[], object]) -> object:
        if not self.armed:
            return run()
        self.armed = False
        if self._commits:
            run()
        message = "disk I/O error"
        raise sqlite3.OperationalError(message)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # everything else is the real one
        return getattr(self._real, name)


class _LyingCursor:
    def __init__(self, connection: _Lying, real: sqlite3.Cursor) -> None:
        self._connection = connection
        self._real = real

    def execute(self, statement: str, *parameters: Any) -> object:  # noqa: ANN401  # sqlite3's signature
        def run() -> object:
            return self._real.execute(statement, *parameters)

        return self._connection.commit(run) if statement == "COMMIT" else run()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # everything else is the real one
        return getattr(self._real, name)


def lie(log: SqliteLog, *, commits: bool) -> None:
    log._writer = cast("sqlite3.Connection", _Lying(log._writer, commits=commits))  # noqa: SLF001  # a broken disk


def test_a_commit_that_reported_an_error_and_happened_is_acknowledged(log: SqliteLog, folder: Path) -> None:
    lie(log, commits=True)
    assert append(log, notes("a", 1, 2), notes("b", 1, 1)) == [range(1, 3), range(3, 4)]
    assert append(log, notes("a", 3, 3)) == [range(4, 5)]
    assert first_bad(folder) is None


def test_a_commit_that_reported_an_error_and_did_not_happen_is_not_acknowledged(log: SqliteLog) -> None:
    appended(log, notes("a", 1, 1))
    lie(log, commits=False)
    with pytest.raises(errors.OutcomeUnknown):
        append(log, notes("a", 2, 2))
    assert log.head().position == 1
    assert append(log, notes("a", 2, 2)) == [range(2, 3)]


def test_a_busy_log_says_so_after_a_bounded_wait(log: SqliteLog, folder: Path) -> None:
    log._writer.execute("PRAGMA busy_timeout=50")  # noqa: SLF001  # the test need not wait for five seconds
    connection = foreign(folder)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(errors.LogBusy):
        append(log, notes("a", 1, 1))
    assert log.head().position == 0
    connection.execute("ROLLBACK")
    connection.close()
    assert append(log, notes("a", 1, 1)) == [range(1, 2)]


def test_readers_go_on_while_somebody_writes(log: SqliteLog, folder: Path) -> None:
    appended(log, notes("a", 1, 1))
    connection = foreign(folder)
    connection.execute("BEGIN IMMEDIATE")
    assert log.read(0, 10)[0].version == 1
    connection.execute("ROLLBACK")
    connection.close()


def test_the_log_serves_many_threads(log: SqliteLog, folder: Path) -> None:
    def work(name: str) -> None:
        for version in range(1, 21):
            assert not isinstance(append(log, notes(name, version, version))[0], Exception)
            assert log.version(name) == version

    threads = [threading.Thread(target=work, args=(f"s{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.head().position == 120
    assert first_bad(folder) is None


def test_another_process_is_noticed(log: SqliteLog, folder: Path) -> None:
    other = SqliteLog(folder)
    log.changed()
    appended(other, notes("a", 1, 1))
    assert log.changed()
    assert log.head() == other.head()
    assert isinstance(append(log, notes("a", 1, 1))[0], errors.StreamConflict)
    assert append(log, notes("a", 2, 2)) == [range(2, 3)]
    other.close()


def test_an_append_never_trusts_the_end_that_it_remembers(log: SqliteLog, folder: Path) -> None:
    other = SqliteLog(folder)
    for version in range(1, 6):
        assert append(log, notes("mine", version, version)) == [range(2 * version - 1, 2 * version)]
        assert append(other, notes("theirs", version, version)) == [range(2 * version, 2 * version + 1)]
    other.close()
    assert first_bad(folder) is None


# the claim index can be rebuilt


def test_the_index_says_what_the_log_says(log: SqliteLog, folder: Path) -> None:
    append(log, queued("a"), queued("b"), claim("a"), retry("a"), claim("b", run="r2"))
    again = MemoryLog()
    for each in log.read(0, 100):
        again.append([Put(events=(msgspec.structs.replace(each, position=0),))])
    assert log.running() == again.running()
    assert log.ready(1 << 52, 10) == again.ready(1 << 52, 10)
    assert log.head() == again.head()
    assert first_bad(folder) is None


# the library's own readers


def test_the_librarys_recorder_reads_streams(log: SqliteLog) -> None:
    append(log, notes("a", 1, 4), notes("b", 1, 1))
    select = log.recorder.select_events
    assert [each.originator_version for each in select("a")] == [1, 2, 3, 4]
    assert [each.originator_version for each in select("a", gt=1, lte=3)] == [2, 3]
    assert [each.originator_version for each in select("a", desc=True, limit=2)] == [4, 3]
    assert select("nobody") == []


def test_the_librarys_recorder_reads_notifications(log: SqliteLog) -> None:
    append(log, notes("a", 1, 3), queued())
    select = log.recorder.select_notifications
    assert [each.id for each in select(2, 10)] == [2, 3, 4]
    assert [each.id for each in select(2, 10, inclusive_of_start=False)] == [3, 4]
    assert [each.id for each in select(None, 2)] == [1, 2]
    assert [each.id for each in select(1, 10, stop=2)] == [1, 2]
    assert [each.originator_id for each in select(1, 10, topics=["task.queued.v1"])] == [TASK]


def test_the_librarys_recorder_knows_the_end(log: SqliteLog) -> None:
    assert log.recorder.max_notification_id() is None
    append(log, notes("a", 1, 3))
    assert log.recorder.max_notification_id() == 3


def test_the_librarys_event_store_gives_our_events(log: SqliteLog) -> None:
    append(log, put(note("a", 1, "one"), note("a", 2, "two")))
    store: Any = EventStore(Codec(), log.recorder)
    assert [each.data for each in store.get("a")] == [each.data for each in log.stream("a")]


def test_the_librarys_event_store_cannot_append_past_the_log(log: SqliteLog) -> None:
    store: Any = EventStore(Codec(), log.recorder)
    log.recorder.datastore.pool.pool_timeout = 0.05
    with pytest.raises(Exception):  # noqa: B017, PT011  # which of the library's errors is no promise of ours
        store.put([note("a", 1)])
    assert log.head().position == 0


# the raw reader


def test_the_raw_reader_sees_what_the_log_holds(log: SqliteLog, folder: Path) -> None:
    append(log, queued(), claim(), output(1, b"ok \xff\n"), retry())
    reader = LogReader(folder)
    assert reader.head() == (log.head().position, bytes.fromhex(log.head().hash))
    assert reader.hash_at(log.head().position) == reader.head()[1]
    assert reader.hash_at(99) is None
    assert [(row.position, row.stream, row.version) for row in reader.rows(1, 4, 10)] == [
        (2, TASK, 2),
        (3, output_stream(RUN), 1),
        (4, RUN, 1),
    ]
    assert reader.bodies(0, 99, 99) == (99, [(3, "ok �\n")])
    assert (reader.tasks(TASK[:4], 5), reader.runs(RUN[:4], 5), reader.runs("00", 5)) == ([TASK], [RUN], [])
    assert (reader.last_task(), reader.last_task("pending"), reader.last_run(failed=True)) == (TASK, None, RUN)
    assert (reader.last_run_of(TASK), reader.recent_runs(5), reader.recent_runs(5, since=2)) == (RUN, [RUN], [])
    reader.close()


def test_the_raw_reader_sees_running_tasks(log: SqliteLog, folder: Path) -> None:
    append(log, queued(), claim())
    reader = LogReader(folder)
    assert reader.running() == [(TASK, RUN, "d1")]
    reader.close()


def test_the_raw_reader_creates_nothing(folder: Path) -> None:
    with pytest.raises(errors.HomeNotFound):
        LogReader(folder)
    assert not folder.exists()


def test_a_damaged_body_is_corrupt_and_leaves_the_rest_readable(log: SqliteLog, folder: Path) -> None:
    append(log, output(1, b"a" * 1000), output(2, b"b" * 1000))
    connection = foreign(folder)
    connection.execute("UPDATE bodies SET data = x'00112233' WHERE position = 1")
    connection.close()
    with pytest.raises(errors.Corrupt, match="does not decompress"):
        log.output(RUN)
    assert log.output(RUN, after=1)[0].body == b"b" * 1000


def test_an_erased_text_is_missing_by_name_and_the_chain_still_holds(log: SqliteLog, folder: Path) -> None:
    append(log, Put(events=(note("a", 1),), blobs=(Blob("s", b"secret"),)))
    connection = foreign(folder)
    connection.execute("DELETE FROM blobs WHERE scope = 's'")
    connection.close()
    with pytest.raises(errors.BlobNotFound):
        log.blob("s", text_of(b"secret"))
    assert first_bad(folder) is None


def test_a_text_under_a_digest_that_is_not_its_own_is_stored_and_not_acted_on(folder: Path) -> None:
    log = SqliteLog(folder, create=True)
    right, wrong = text_of(b"as it was"), text_of(b"something else")
    texts = (Blob("a", b"as it was", right.sha256), Blob("a", b"as it was", wrong.sha256))
    [done] = log.append([Put(events=(note("a", 1),), blobs=texts)])
    assert not isinstance(done, Exception)
    assert log.blob("a", right) == b"as it was"
    with pytest.raises(errors.TextDamaged):
        log.blob("a", wrong)
    log.close()


def test_a_reader_waits_for_a_log_that_another_is_making(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = SqliteLog._prepare  # noqa: SLF001  # to be slow where another process may look

    def slowly(log: SqliteLog, path: Path, *, create: bool) -> None:
        time.sleep(0.3)
        prepare(log, path, create=create)

    monkeypatch.setattr(SqliteLog, "_prepare", slowly)
    maker = threading.Thread(target=lambda: SqliteLog(folder, create=True).close())
    maker.start()
    while not (folder / "log.db").exists():
        time.sleep(0.001)
    reader = LogReader(folder)
    assert reader.head() == (0, bytes(32))
    reader.close()
    maker.join()


def test_a_file_without_tables_that_nobody_is_making_is_no_log(folder: Path) -> None:
    folder.mkdir()
    (folder / "log.db").touch()
    with pytest.raises(errors.Corrupt, match="is not a log of rt"):
        LogReader(folder)
