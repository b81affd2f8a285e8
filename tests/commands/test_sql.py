"""`rt sql`: one SELECT in three forms, with the position at which it is true; and what it must refuse."""

import csv
import io
import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import rt_runtime
from adapters import own_children, sandbox
from adapters.log_reader import LogReader
from domain import errors
from domain.bounds import SQL_BYTES_MAX, SQL_ROWS_MAX, SQL_WALL_S_MAX
from projections.catch_up import Projection
from projections.tables import COLUMNS, VIEWS
from tests.commands.place import Place, until

QUERY = "SELECT task, status, attempts FROM tasks ORDER BY position"


def test_a_table_for_people_with_the_position_on_stderr(shared: Place) -> None:
    done = shared.ok("sql", QUERY)
    lines = done.text.splitlines()
    assert lines[0].split() == ["TASK", "STATUS", "ATTEMPTS"]
    assert len(lines) == 7
    assert done.errors == f"-- at position {shared.head()}, 6 rows\n"


def test_json_carries_columns_types_and_position(shared: Place) -> None:
    found = shared.json("sql", QUERY)
    assert found.keys() == {"schema", "position", "columns", "types", "rows", "truncated"}
    assert (found["schema"], found["position"], found["truncated"]) == ("rt.sql.v1", shared.head(), False)
    assert found["columns"] == ["task", "status", "attempts"]
    assert found["types"] == ["VARCHAR", "VARCHAR", "INTEGER"]
    assert [row[1:] for row in found["rows"]][:2] == [["completed", 1], ["blocked", 2]]


def test_csv_is_free_of_everything_but_csv(shared: Place) -> None:
    done = shared.ok("sql", "SELECT 'a,b' AS x, 'c\"d' AS y, NULL AS z, [1, 2] AS l", "--csv")
    assert list(csv.reader(io.StringIO(done.text))) == [["x", "y", "z", "l"], ["a,b", 'c"d', "", "[1, 2]"]]
    assert f"-- at position {shared.head()}" in done.errors


def test_a_query_comes_from_a_file_or_stdin(shared: Place, tmp_path: Path) -> None:
    (tmp_path / "query.sql").write_text("-- a comment\nSELECT 42 AS answer;\n")
    assert shared.json("sql", f"@{tmp_path}/query.sql")["rows"] == [[42]]
    done = shared.rt("sql", "--json", "-", stdin=b"SELECT 43")
    assert done.document["rows"] == [[43]]


def test_values_of_every_kind_become_json(shared: Place) -> None:
    query = (
        "SELECT 9007199254740993 AS big, 1.5::DOUBLE AS f, 'x'::BLOB AS b, TIMESTAMP '2030-01-02 03:04:05' AS t,"
        " DATE '2030-01-02' AS d, INTERVAL 1 DAY AS i, {'a': 1} AS s, true AS ok, 'nan'::DOUBLE AS nan,"
        " 123.450::DECIMAL(10,3) AS m, uuid() IS NOT NULL AS u"
    )
    done = shared.ok("sql", "--json", query)
    (row,) = done.document["rows"]
    assert row[:4] == [9007199254740993, 1.5, "78", "2030-01-02T03:04:05"]
    assert row[7] is True
    json.loads(done.text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_a_cut_result_says_so(shared: Place) -> None:
    found = shared.json("sql", "SELECT * FROM range(100000)", "--limit", "7")
    assert (len(found["rows"]), found["truncated"]) == (7, True)
    assert "cut: there are more" in shared.ok("sql", "SELECT * FROM range(100000)", "--limit", "7").errors
    assert shared.json("sql", "SELECT * FROM range(7)", "--limit", "7")["truncated"] is False
    assert len(shared.json("sql", "SELECT * FROM range(20000)")["rows"]) == SQL_ROWS_MAX


def test_a_large_result_is_cut_by_bytes(shared: Place) -> None:
    found = shared.json("sql", "SELECT repeat('x', 100000) FROM range(200)")
    assert found["truncated"]
    assert len(json.dumps(found["rows"])) <= SQL_BYTES_MAX + 100_000


@pytest.mark.parametrize(
    ("argv", "code", "name"),
    [
        (("SELEC 1",), 2, "sql.invalid"),
        (("SELECT * FROM nowhere",), 2, "sql.invalid"),
        (("",), 6, "sql.refused"),
        (("SELECT 1; SELECT 2",), 6, "sql.refused"),
        (("SELECT 1 -- " + "x" * 300_000,), 2, None),
        ((), 2, "rt.invalid"),
        (("@nowhere.sql",), 2, "rt.invalid"),
        (("SELECT 1", "--limit", "0"), 2, None),
        (("SELECT 1", "--csv", "--table"), 2, None),
    ],
)
def test_a_query_that_cannot_be_answered(shared: Place, argv: tuple[str, ...], code: int, name: str | None) -> None:
    if argv and len(argv[0]) > 100_000:
        done = shared.rt("sql", "--json", "-", stdin=argv[0].encode())
        assert (done.code, done.error["code"]) == (6, "sql.refused")
        return
    done = shared.rt("sql", *argv, "--json")
    assert (done.code, done.out) == (code, b""), done
    if name is not None:
        assert done.error["code"] == name


def test_sql_shows_what_was_just_taken_in(place: Place) -> None:
    for count in (1, 2):
        place.queue("true")
        found = place.json("sql", "SELECT count(*) FROM tasks")
        assert (found["rows"], found["position"]) == ([[count]], count)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT now() AS n, 1 AS one, now() AS n; -- the end;",
        "SELECT now() AS n, 1 AS one, now() AS n /* ; */ ;",
        "SELECT n, one, n FROM (SELECT now() AS n, 1 AS one) ORDER BY n",
    ],
)
def test_moments_of_a_zone_are_shown(shared: Place, statement: str) -> None:
    found = shared.json("sql", statement)
    assert found["columns"] == ["n", "one", "n"]
    assert found["types"][0] == "TIMESTAMP WITH TIME ZONE"
    [[first, one, other]] = found["rows"]
    assert (one, first) == (1, other)
    assert str(first)[:2] == "20"


def test_lists_and_parameters_of_moments_are_shown(shared: Place) -> None:
    found = shared.json("sql", "SELECT [now()] AS l, $a AS a", "--param", "a=x")
    assert found["rows"][0][1] == "x"


def test_every_column_is_described(shared: Place) -> None:
    rows = shared.rows("projection", "tables")
    assert {(row["table"], row["column"]) for row in rows} == {
        *((table, column) for table, columns in COLUMNS.items() for column in columns),
        *((view, column) for view, (_, _, columns) in VIEWS.items() for column in columns),
    }
    assert all(row["meaning"] for row in rows)
    text = shared.ok("projection", "tables").text
    assert all(f"{table}: " in text for table in COLUMNS)


# the fence: robustness.md section 9

REFUSED = """
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM read_csv_auto('/etc/passwd')
SELECT * FROM '/etc/passwd'
SELECT * FROM read_text('/etc/passwd')
SELECT size FROM read_blob('/etc/passwd')
SELECT * FROM read_json('$W/s.json')
SELECT * FROM read_json_objects('$W/s.json')
SELECT * FROM read_ndjson('$W/s.json')
SELECT * FROM read_parquet('$W/x.parquet')
SELECT * FROM parquet_metadata('$W/x.parquet')
SELECT * FROM parquet_schema('$W/x.parquet')
SELECT * FROM sniff_csv('$W/s.csv')
SELECT * FROM glob('/etc/*')
SELECT * FROM read_csv('/dev/stdin')
SELECT * FROM read_text('/proc/self/environ')
SELECT * FROM query_table('$W/s.csv')
SELECT * FROM query('SELECT * FROM read_text(''/etc/passwd'')')
EXPLAIN ANALYZE SELECT * FROM read_text('/etc/passwd')
SELECT 1; SELECT * FROM read_text('/etc/passwd')
COPY (SELECT 1) TO '$W/out.csv'
COPY events TO '$W/out.parquet' (FORMAT parquet)
COPY (SELECT 1) TO '/dev/stdout'
COPY events FROM '/etc/passwd'
EXPORT DATABASE '$W/exp'
IMPORT DATABASE '$W/exp'
ATTACH '$W/other.db' AS o
ATTACH ':memory:' AS m
CREATE TEMP VIEW v AS SELECT * FROM read_text('/etc/passwd')
CREATE TEMP MACRO m() AS TABLE SELECT * FROM read_text('/etc/passwd')
SELECT * FROM 'http://127.0.0.1:9/x.csv'
SELECT * FROM read_csv('https://127.0.0.1:9/x.csv')
SELECT * FROM read_csv('s3://bucket/x.csv')
ATTACH '$W/x.sqlite' AS s (TYPE sqlite)
ATTACH 'host=127.0.0.1' AS pg (TYPE postgres)
INSTALL httpfs
FORCE INSTALL httpfs
INSTALL h3 FROM community
LOAD httpfs
LOAD '$W/x.duckdb_extension'
UPDATE EXTENSIONS
SELECT * FROM duckdb_extensions()
SELECT * FROM duckdb_secrets()
SELECT * FROM which_secret('s3://x', 's3')
CREATE SECRET s (TYPE http, BEARER_TOKEN 'x')
CREATE PERSISTENT SECRET s (TYPE http, BEARER_TOKEN 'x')
SET enable_external_access=true
SET lock_configuration=false
RESET lock_configuration
SET memory_limit='100GB'
SET threads=64
SET temp_directory='$W/t'
SET max_temp_directory_size='10GB'
SET allowed_directories=['/']
SET allowed_paths=['/etc/passwd']
SET home_directory='$W'
SET extension_directory='$W'
SET secret_directory='$W'
SET custom_extension_repository='http://127.0.0.1:9'
SET allow_unsigned_extensions=true
SET autoinstall_known_extensions=true
SET log_query_path='$W/q.log'
SET enable_logging=true
SET file_search_path='/etc'
SET TimeZone='UTC'
PRAGMA enable_profiling='json'
PRAGMA profiling_output='$W/p.json'
CALL enable_logging(storage='file', storage_path='$W/logs')
CALL enable_profiling()
CALL force_checkpoint()
SELECT 1; SET memory_limit='9GB'
INSERT INTO events VALUES (1)
UPDATE events SET topic='z'
DELETE FROM events
TRUNCATE events
DROP TABLE events
ALTER TABLE events ADD COLUMN c INT
CREATE TABLE t(i INT)
CREATE MACRO m() AS 1
CREATE FUNCTION f() AS 1
SELECT nextval('s1')
WITH x AS (INSERT INTO events VALUES (3) RETURNING *) SELECT * FROM x
MERGE INTO events USING (SELECT 1 AS i) n ON events.position = n.i WHEN MATCHED THEN DELETE
ATTACH '$DB' AS o (READ_ONLY)
DETACH copy
USE memory
SET search_path='main'
SET VARIABLE x=1
PRAGMA database_list
CALL pragma_version()
CHECKPOINT
FORCE CHECKPOINT
VACUUM ANALYZE
CREATE TEMP TABLE t AS SELECT 1
BEGIN TRANSACTION
PREPARE p AS SELECT 1
EXECUTE p
COPY FROM DATABASE copy TO memory
SELECT * FROM some_python_variable
SELECT getenv('HOME')
""".strip().splitlines()

STOPPED = """
SELECT count(*) FROM range(1000000000) a, range(1000000000) b
SELECT length(repeat('x', 4000000000::BIGINT))
SELECT generate_series(1, 3000000000)
SELECT length(lpad('x', 2000000000, 'y'))
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT max(n) FROM r
""".strip().splitlines()


assert rt_runtime.FOLDERS  # loaded, as in the program: the child is started from beside it


@pytest.fixture(scope="module")
def copy(_made: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private copy that the child sees."""
    path = tmp_path_factory.mktemp("child") / "copy"
    reader = LogReader(_made.state)
    Projection(_made.state, reader).copy(path)
    reader.close()
    return path


@pytest.fixture
def writable(tmp_path: Path) -> Path:
    """A folder that a query would like to read from and write into."""
    (tmp_path / "s.csv").write_text("canary\n1\n")
    (tmp_path / "s.json").write_text('{"canary": 1}\n')
    return tmp_path


def _contents(*folders: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def _forged() -> Iterator[sandbox.Forge]:
    made = sandbox.Forge()
    yield made
    made.close()


@pytest.fixture(params=["alone", "forged"])
def forge(request: pytest.FixtureRequest, _forged: sandbox.Forge) -> sandbox.Forge | None:
    """Both ways in which a child is begun: for one query, or forked from a process that is there for many."""
    return _forged if request.param == "forged" else None


@pytest.mark.parametrize("statement", REFUSED)
def test_a_statement_that_is_no_harmless_select_is_refused(
    copy: Path, writable: Path, statement: str, forge: sandbox.Forge | None
) -> None:
    before = _contents(copy.parent, writable)
    assert len(before) == 3
    sql = statement.replace("$W", str(writable)).replace("$DB", str(copy))
    with pytest.raises((errors.SqlRefused, errors.SqlInvalid)) as caught:
        sandbox.ask(copy, sql, forge=forge)
    message = str(caught.value)
    assert "root:" not in message
    assert "canary" not in message
    assert "Traceback" not in message
    assert _contents(copy.parent, writable) == before


@pytest.mark.parametrize("statement", STOPPED)
def test_a_statement_without_end_is_stopped_by_a_limit(
    copy: Path, writable: Path, statement: str, forge: sandbox.Forge | None
) -> None:
    before = _contents(copy.parent, writable)
    start_s = time.monotonic()
    with pytest.raises(errors.SqlRefused):
        sandbox.ask(copy, statement, forge=forge)
    assert time.monotonic() - start_s < SQL_WALL_S_MAX + 3
    assert _contents(copy.parent, writable) == before


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT 1",
        "FROM events LIMIT 1",
        "WITH x AS (SELECT 1 AS a) SELECT * FROM x",
        "SHOW TABLES",
        "DESCRIBE tasks",
        "SUMMARIZE tasks",
        "EXPLAIN SELECT * FROM tasks",
        "VALUES (1), (2)",
        "SELECT data->>'$.cause' FROM events WHERE topic = 'run.finished.v1'",
        "SELECT current_setting('memory_limit')",
    ],
)
def test_a_harmless_question_is_answered(copy: Path, statement: str, forge: sandbox.Forge | None) -> None:
    assert sandbox.ask(copy, statement, forge=forge)["columns"]


def test_a_forge_that_died_is_begun_anew(copy: Path) -> None:
    others = own_children.pids()
    made = sandbox.Forge()
    try:
        assert made.ask(b"no request") == b"", "a child that cannot read its request says nothing"
        assert sandbox.ask(copy, "SELECT 1", forge=made)["rows"] == [[1]]
        (process,) = own_children.pids() - others
        os.kill(process, signal.SIGKILL)
        until(lambda: Path(f"/proc/{process}/stat").read_text().split()[2] == "Z")
        assert sandbox.ask(copy, "SELECT 2", forge=made)["rows"] == [[2]]
    finally:
        made.close()


def test_queries_of_a_forge_run_side_by_side_and_know_nothing_of_each_other(copy: Path) -> None:
    made = sandbox.Forge()
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda n: sandbox.ask(copy, f"SELECT {n}", forge=made), range(40)))
        assert [each["rows"] for each in found] == [[[n]] for n in range(40)]
    finally:
        made.close()


@pytest.mark.parametrize("hint", ["SHOW TABLES", "SELECT * FROM runs LIMIT 10"])
def test_the_queries_of_the_hints_work(shared: Place, hint: str) -> None:
    shared.ok("sql", hint)
    assert f'rt sql "{hint}"' in (errors.SqlInvalid.hint, errors.SqlRefused.hint)


def test_the_settings_show_nothing_of_the_home(shared: Place) -> None:
    for query in ("SELECT value FROM duckdb_settings()", "SELECT path FROM duckdb_databases()"):
        assert str(shared.folder) not in shared.ok("sql", query, "--json").text


def test_nothing_of_the_copy_is_left_behind(shared: Place, tmp_path: Path) -> None:
    before = shared.files()
    for query in ("SELECT 1", "SELEC", "DROP TABLE events"):
        shared.rt("sql", query, env={"TMPDIR": str(tmp_path)})
    assert list(tmp_path.iterdir()) == []
    assert shared.files() == before
