"""SQL through the door: the tables as on the command line, values beside the text, and nothing but a SELECT."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from commands.api import copies
from commands.home import Home
from commands.wiring import Runtime
from domain import errors
from domain.bounds import SQL_BYTES_MAX, SQL_COPY_S, SQL_ROWS_MAX, SQL_TEXT_BYTES_MAX, SQL_WALL_S_MAX
from tests.api.both import Both
from tests.api.serving import Served, until


@pytest.fixture(scope="module")
def both(shared: Served) -> Iterator[Both]:
    found = Both(shared, "sql")
    yield found
    found.close()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT status, count(*) AS n FROM tasks GROUP BY 1 ORDER BY 1",
        "SELECT task, subject, created_at, attempts FROM tasks ORDER BY position",
        "SELECT run, state, cause, claimed_at FROM runs ORDER BY position",
        "SELECT 9007199254740993, 1.5, 'x'::BLOB, DATE '2030-01-02', [1, 2], {'a': 1}, NULL, 0.10::DECIMAL(4,2)",
        "WITH x AS (SELECT 1 AS a) SELECT * FROM x",
        "/* a comment */\nSELECT topic FROM events ORDER BY position;",
        "SHOW TABLES",
    ],
)
def test_a_question_is_answered_as_on_the_command_line(both: Both, query: str) -> None:
    found = both.done("sql", {"query": query})
    assert found == both.said("sql", query)
    assert found["rows"]


def test_every_published_question_is_answered(both: Both) -> None:
    with both.served.client("read") as client:
        asked = client.get("/api/v1/sql/questions").json()["items"]
    assert len(asked) >= 20
    for each in asked:
        assert both.done("sql", {"query": each["sql"]}).keys() == {
            "position", "columns", "types", "rows", "truncated",
        }, each["asks"]  # fmt: skip


@pytest.mark.parametrize("value", ["x", "it's; DROP TABLE tasks --", "", "é\n\"'", 7, -1.5, True, False, None])
def test_values_are_bound_and_never_become_text_of_the_query(both: Both, value: object) -> None:
    found = both.done("sql", {"query": "SELECT $value AS v, $value AS again", "parameters": {"value": value}})
    assert found["rows"] == [[value, value]]


def test_tables_are_asked_as_they_were_at_a_position(both: Both) -> None:
    counts = [
        both.done("sql", {"query": "SELECT count(*) FROM events", "at": str(at)})["rows"][0][0] for at in (1, 5, 9)
    ]
    assert counts == [1, 5, 9]
    assert both.done("sql", {"query": "SELECT 1", "at": "5"}) == both.said("sql", "SELECT 1", "--at", "5")


def test_an_answer_is_cut_at_its_limit_and_says_so(both: Both) -> None:
    for limit, is_cut in ((99, True), (100, False), (101, False)):
        found = both.done("sql", {"query": "SELECT * FROM range(100)", "limit": limit})
        assert (len(found["rows"]), found["truncated"]) == (min(limit, 100), is_cut)
    assert len(both.done("sql", {"query": "SELECT * FROM range(20000)"})["rows"]) == 1_000
    found = both.done("sql", {"query": "SELECT * FROM range(20000)", "limit": SQL_ROWS_MAX})
    assert (len(found["rows"]), found["truncated"]) == (SQL_ROWS_MAX, True)
    large = both.post("sql", {"query": "SELECT repeat('x', 100000) FROM range(200)"})
    assert large.json()["truncated"]
    assert len(large.content) <= SQL_BYTES_MAX * 1.1


REFUSED = [
    "DELETE FROM tasks", "UPDATE tasks SET status = 'x'", "INSERT INTO tasks VALUES (1)", "DROP TABLE tasks",
    "CREATE TABLE x AS SELECT 1", "SELECT 1; SELECT 2", "COPY tasks TO 'x.csv'", "ATTACH 'x.db'", "PRAGMA version",
    "INSTALL httpfs", "LOAD httpfs", "SET memory_limit = '1TB'", "CALL pragma_version()", "EXPORT DATABASE 'x'",
    "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM '/etc/passwd'", "SELECT * FROM read_text('rt.toml')",
    "SELECT * FROM glob('/*')", "SELECT getenv('HOME')", " ",
]  # fmt: skip


@pytest.mark.parametrize("query", REFUSED)
def test_what_is_no_plain_select_or_touches_files_is_refused_as_on_the_command_line(both: Both, query: str) -> None:
    status, code, detail = both.refused("sql", {"query": query})
    exits, same_code, message = both.error("sql", query)
    assert (status, exits) in ((403, 6), (422, 2))
    assert (code, detail) == (same_code, message)
    assert code in ("sql.refused", "sql.invalid")


@pytest.mark.parametrize("query", ["SELECT nope", "SELEC 1", "SELECT * FROM nothing", "SELECT $a", "SELECT 1 / 'x'"])
def test_what_does_not_make_sense_is_invalid_and_says_why(both: Both, query: str) -> None:
    status, code, detail = both.refused("sql", {"query": query})
    assert (status, code, detail) == (422, *both.error("sql", query)[1:])
    assert code == "sql.invalid"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"query": ""}, 422),
        ({"query": 1}, 422),
        ({"query": "SELECT 1", "limit": 0}, 422),
        ({"query": "SELECT 1", "limit": SQL_ROWS_MAX + 1}, 422),
        ({"query": "SELECT 1", "parameters": {"a": [1]}}, 422),
        ({"query": "SELECT 1", "parameters": [1]}, 422),
        ({"query": "SELECT 1", "at": "1000000"}, 404),
        ({"query": "SELECT 1", "more": 1}, 422),
        ({"query": f"SELECT '{'x' * SQL_TEXT_BYTES_MAX}'"}, 413),
    ],
)
def test_a_wrong_question_is_refused_before_it_is_asked(both: Both, body: dict[str, object], status: int) -> None:
    assert both.refused("sql", body)[0] == status


def test_sql_needs_its_own_scope_and_no_other_one_holds_it_but_the_widest(shared: Served) -> None:
    for scope, status in (("read", 403), ("operate", 403), ("sql", 200), ("admin", 200)):
        with shared.client(scope) as client:
            assert client.post("/api/v1/sql", json={"query": "SELECT 1"}).status_code == status
    with shared.client("sql") as client:
        assert client.get("/api/v1/tasks").status_code == 403


def test_a_question_without_end_is_ended_and_others_are_answered_meanwhile(both: Both, shared: Served) -> None:
    endless = {"query": "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range + b.range = 3"}
    with ThreadPoolExecutor(1) as pool, shared.client("read") as client:
        begin_s = time.monotonic()
        asking = pool.submit(both.refused, "sql", endless)
        while not asking.done():
            assert client.get("/api/v1/status").status_code == 200
            time.sleep(0.05)
        status, code, _ = asking.result()
        assert (status, code) == (403, "sql.refused")
        assert time.monotonic() - begin_s >= SQL_WALL_S_MAX * 0.5


def counted(client: httpx.Client, **body: object) -> int:
    answer = client.post("/api/v1/sql", json={"query": "SELECT count(*) FROM events"} | body)
    return int(answer.raise_for_status().json()["rows"][0][0])


def test_who_writes_sees_it_at_once_however_fresh_the_shared_copy_is(fed: Served) -> None:
    with fed.client("admin") as client:
        for _ in range(10):
            counted(client)
            task = {"kind": "k", "source": "s", "payload": {"objective": "x"}}
            position = client.post("/api/v1/tasks", json=task).raise_for_status().json()["position"]
            assert counted(client) >= position


def test_what_others_wrote_is_seen_where_it_is_asked_for_and_a_moment_later_anyway(fed: Served) -> None:
    with fed.client("admin") as client, fed.client("operate") as other:
        for wanted in (True, False):
            counted(client)
            task = {"kind": "k", "source": "s", "payload": {"objective": "x"}}
            position = other.post("/api/v1/tasks", json=task).raise_for_status().json()["position"]
            if wanted:
                assert counted(client, min_position=position) >= position
            else:
                time.sleep(SQL_COPY_S)
                assert counted(client) >= position
        ahead = client.post("/api/v1/sql", json={"query": "SELECT 1", "min_position": 10_000})
        assert (ahead.status_code, ahead.json()["code"]) == (409, "log.position_ahead")


def test_copies_are_shared_and_none_is_left(fed: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(Home(fed.folder / ".rt", None, fed.folder), "test")
    found = copies.Copies()
    monkeypatch.setattr(copies, "SQL_COPY_S", 600.0)
    with found.copied(runtime, 0) as (first, _), found.copied(runtime, 0) as (second, _):
        assert first == second
    with found.copied(runtime, 0) as (third, _):
        assert third == first, "a moment later it is still the same"
    found.close()
    assert not first.exists()
    monkeypatch.setattr(copies, "SQL_COPY_S", 0.01)
    with found.copied(runtime, 0) as (fourth, _):
        assert fourth.exists()
    until(lambda: not fourth.exists(), "it is kept")
    with pytest.raises(errors.HomeNotFound), found.copied(Runtime(Home(tmp_path, None, tmp_path), "test"), 0):
        pass
    found.close()
    runtime.close()
