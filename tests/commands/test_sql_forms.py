"""`rt sql` in all its forms: parameters, files, the past, the shell, copies for other clients; and the examples."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

import rt_runtime
from commands.sql_shell import Shell, completions
from domain import errors
from projections.questions import QUESTIONS
from projections.tables import COLUMNS, TABLE_DOCS, VIEWS
from tests.commands.place import Place

EVENT = {"sensor_id": "s", "event_id": "e1", "source_ref": "r", "dedupe_key": "k1", "payload": {"a": 1}}
CONFIG = """
default_adapter = "helper"
[adapters.helper]
command = "./helper"
outcome = "text"
[[notify]]
id = "done"
on = ["completed"]
to = "hook"
[outbox.destinations.hook]
kind = "command"
argv = ["./send"]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A home with a bit of everything: runs, an early cancel, schedules, sensor events, workflows, a message."""
    place = Place(tmp_path_factory.mktemp("forms"))
    place.script("helper", "#!/bin/sh\necho done\n")
    place.script("send", "#!/bin/sh\ncat > sent\n")
    place.config(CONFIG)
    place.ok("do", "--", "sh", "-c", "echo hello; echo an error >&2")
    place.rt("do", "--", "false")
    place.ok("do", "demo", "early-cancel")
    place.ok(
        "schedule",
        "create",
        json.dumps({"name": "hourly", "interval_seconds": 3600, "next_run_at": "2200-01-01", "task": _task("k")}),
    )
    place.ok(
        "schedule", "create", json.dumps({"name": "off", "cron": "0 4 * * *", "task": _task("k"), "enabled": False})
    )
    for _ in range(3):
        place.ok("sensor", "ingest", json.dumps(EVENT))
    place.ok(
        "workflow", "create", "--template", "goal-loop", "--instance_key", "w1", "--context", '{"summary": "tidy"}'
    )
    place.ok("work", "--until-idle")
    return place


def _task(kind: str) -> dict[str, Any]:
    return {"kind": kind, "source": "schedule", "payload": {"objective": "look"}}


def rows(place: Place, query: str, *options: str) -> list[Any]:
    found: list[Any] = place.json("sql", query, *options)["rows"]
    return found


# the examples and the views


@pytest.mark.parametrize("question", QUESTIONS, ids=[each.asks for each in QUESTIONS])
def test_each_example_question_has_an_answer(made: Place, question: Any) -> None:  # noqa: ANN401  # a Question
    found = made.json("sql", question.sql)
    assert found["columns"]
    assert question.sql.count(";") == 0


def test_there_are_at_least_twenty_five_questions_about_every_table() -> None:
    assert len(QUESTIONS) >= 25
    asked = " ".join(each.sql for each in QUESTIONS)
    assert [each for each in (*COLUMNS, *VIEWS) if each not in asked] == ["windows"]


@pytest.mark.parametrize("view", sorted(VIEWS))
def test_each_column_of_a_view_is_described_and_no_other(made: Place, view: str) -> None:
    found = made.json("sql", f"SELECT * FROM {view} LIMIT 0")  # noqa: S608  # a name of ours
    assert found["columns"] == list(VIEWS[view][2])
    assert all(VIEWS[view][2].values())


def test_schedules_are_as_their_own_list_says(made: Place) -> None:
    listed = {each["name"]: each for each in made.rows("schedule", "list")}
    found = rows(made, "SELECT name, every_s, cron, state, next_at IS NULL, fired FROM schedules ORDER BY name")
    assert found == [
        ["hourly", 3600.0, None, "enabled", False, 0],
        ["off", None, "0 4 * * *", "disabled", True, 0],
    ]
    assert set(listed) == {"hourly", "off"}


def test_a_fact_that_is_told_three_times_is_one_row(made: Place) -> None:
    query = "SELECT sensor, event, key, repetitions, conflicts FROM sensor_events"
    assert rows(made, query) == [["s", "e1", "k1", 2, 0]]


def test_workflows_and_their_moves_are_as_their_own_list_says(made: Place) -> None:
    [shown] = made.rows("workflow", "list")
    [found] = rows(made, "SELECT instance_key, template, state, status, transitions FROM workflows")
    assert found[:4] == ["w1", "goal-loop", shown["current_state"], shown["status"]]
    moves = rows(made, "SELECT from_state, to_state FROM transitions ORDER BY position")
    assert len(moves) == found[4]


def test_messages_that_went_out_are_delivered_rows(made: Place) -> None:
    listed = made.rows("outbox", "list")
    found = rows(made, "SELECT message, status, attempts, target FROM outbox ORDER BY position")
    assert sorted(row[1] for row in found) == sorted(each["status"] for each in listed)
    assert {row[3] for row in found} == {"hook"}


# parameters, files, limits


def test_parameters_are_values_and_never_sql(made: Place) -> None:
    query = "SELECT $n + 1, $s, $b, $z IS NULL"
    evil = "x'; DROP TABLE tasks; --"
    given = ("--param", "n=41", "--param", f"s={evil}", "--param", "b=true", "--param", "z=null")
    assert rows(made, query, *given) == [[42, evil, True, True]]


@pytest.mark.parametrize("given", ["n", "=1", "1x=2", "a b=c"])
def test_a_parameter_without_a_name_is_refused(made: Place, given: str) -> None:
    assert made.rt("sql", "SELECT 1", "--param", given).code == 2


def test_a_parquet_file_holds_the_rows_with_their_types(made: Place, tmp_path: Path) -> None:
    target = tmp_path / "o'dd.parquet"
    made.ok("sql", "SELECT task, attempts, created_at, due_at FROM tasks ORDER BY position", "--parquet", str(target))
    name = str(target).replace("'", "''")
    found = duckdb.sql(f"SELECT * FROM '{name}'")  # noqa: S608  # a file of ours
    assert found is not None
    assert [str(each) for each in found.types] == ["VARCHAR", "INTEGER", "TIMESTAMP", "TIMESTAMP"]
    assert len(found.fetchall()) == len(rows(made, "SELECT 1 FROM tasks"))
    assert made.rt("sql", "SELECT 1", "--parquet", str(target)).code == 5, "it is there already"


def test_an_object_a_line_for_programs(made: Place) -> None:
    done = made.ok("sql", "SELECT status, count(*) AS n FROM tasks GROUP BY 1 ORDER BY 1", "--jsonl")
    found = [json.loads(line) for line in done.out.splitlines()]
    assert all(set(each) == {"status", "n"} for each in found)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("SELECT * FROM taks", 'Did you mean "tasks"'),
        ("SELECT subjekt FROM tasks", '"subject"'),
        ("SELECT 1 +", "line 1"),
        ("SELECT *\nFROM tasks\nWHERE", "syntax error"),
        ("SELECT nofunction(1)", "does not exist"),
    ],
)
def test_an_error_says_where_and_what_may_be_meant_on_one_line(made: Place, query: str, says: str) -> None:
    done = made.rt("sql", query)
    assert done.code == 2
    assert says in done.errors
    assert len(done.errors.splitlines()) == 2, "the error and a hint"


def test_the_place_of_an_error_counts_lines_and_columns(made: Place) -> None:
    assert "(line 2, column 6: FROM taks)" in made.rt("sql", "SELECT *\nFROM taks").errors


# the past


def test_the_past_is_as_it_was(made: Place) -> None:
    ends = rows(made, "SELECT finished_position FROM runs WHERE finished_position IS NOT NULL ORDER BY position")
    at = ends[0][0]
    assert rows(made, "SELECT max(position) FROM events", "--at", str(at)) == [[at]]
    assert rows(made, "SELECT count(*) FROM runs", "--at", str(at)) == [[1]]
    assert rows(made, "SELECT count(*) FROM tasks WHERE status = 'pending'", "--at", "1") == [[1]]


def test_the_past_at_a_time(made: Place) -> None:
    [[recorded]] = rows(made, "SELECT recorded_at FROM events WHERE position = 3")
    [[count]] = rows(made, "SELECT count(*) FROM events", "--at", recorded)
    assert count >= 3
    assert rows(made, "SELECT count(*) FROM events", "--at", "1999-01-01") == [[0]]


@pytest.mark.parametrize(("at", "code"), [("999999", 3), ("0", 2), ("@decision1", 2), ("then", 2)])
def test_a_past_that_there_was_none_of_is_refused(made: Place, at: str, code: int) -> None:
    assert made.rt("sql", "SELECT 1", "--at", at).code == code


# copies


def test_a_copy_opens_in_any_client_and_belongs_to_its_maker_alone(made: Place, tmp_path: Path) -> None:
    target = tmp_path / "copy.duckdb"
    done = made.json("sql", "--open", str(target))
    assert target.stat().st_mode & 0o077 == 0
    with duckdb.connect(str(target), read_only=True) as client:
        found = client.execute("SELECT max(position) FROM events").fetchone()
    assert found == (done["position"],)
    assert made.rt("sql", "--open", str(target)).code == 5, "it is there already"
    assert made.rt("sql", "SELECT 1", "--open", str(tmp_path / "x")).code == 2


def test_a_notebook_gets_a_connection(made: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", made.environment["PYTHONPATH"])
    connection = rt_runtime.connect(str(made.state))
    assert connection.execute("SELECT count(*) FROM runs").fetchone()[0] >= 3
    with pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("CREATE TABLE x(y INTEGER)")
    past = rt_runtime.connect(str(made.state), at=1)
    assert past.execute("SELECT max(position) FROM events").fetchone() == (1,)
    connection.close()
    past.close()


def test_a_notebook_is_told_why_there_is_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Place
) -> None:
    monkeypatch.setenv("PYTHONPATH", made.environment["PYTHONPATH"])
    with pytest.raises(rt_runtime.ConnectError, match="there is no"):
        rt_runtime.connect(str(tmp_path))


# the shell


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Iterator[tuple[Shell, list[str]]]:
    """A shell that notes what it is asked."""
    asked: list[str] = []

    def answered(text: str) -> Any:  # noqa: ANN401  # an Answer
        from commands.sql import Answer

        asked.append(text)
        if "wrong" in text:
            raise errors.SqlInvalid(why="that is wrong")
        return Answer({"columns": ["a"], "types": ["INTEGER"], "rows": [[1]], "truncated": False}, 7)

    yield Shell(answered, "table"), asked
    capsys.readouterr()


def typed(shell: Shell, *lines: str) -> None:
    given = iter(lines)

    def read(_prompt: str) -> str:
        try:
            return next(given)
        except StopIteration:
            raise EOFError from None

    shell.run(read)


def test_lines_are_one_query_up_to_a_semicolon(shell: tuple[Shell, list[str]]) -> None:
    typed(shell[0], "", "SELECT", "  1", ";", "SELECT 2;")
    assert shell[1] == ["SELECT\n  1\n;", "SELECT 2;"]


def test_a_wrong_query_is_no_end_of_the_shell(
    shell: tuple[Shell, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    typed(shell[0], "wrong;", "SELECT 1;")
    assert shell[1] == ["wrong;", "SELECT 1;"]
    assert "that is wrong" in capsys.readouterr().err


def test_commands_of_the_shell(shell: tuple[Shell, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    typed(shell[0], ".tables", ".schema slots", ".questions", ".help", ".mode csv", "SELECT 1;")
    out = capsys.readouterr().out
    assert all(each in out for each in (*TABLE_DOCS, *VIEWS, "whose limit it counts for", QUESTIONS[0].asks, ".quit"))
    assert out.endswith("a\n1\n\n")
    typed(shell[0], ".nope", ".mode xml", ".schema nowhere", ".quit x", ".quit", "SELECT 3;")
    assert shell[1] == ["SELECT 1;"]
    assert capsys.readouterr().err.count("is no command of this shell") == 4


@pytest.mark.parametrize(
    ("line", "word", "expected"),
    [
        ("select * from tas", "tas", "tasks"),
        ("select tasks.subj", "tasks.subj", "tasks.subject"),
        ("select subj from tasks", "subj", "subject"),
        ("sel", "sel", "select"),
        (".sch", ".sch", ".schema"),
        ("select * from sched", "sched", "schedules"),
    ],
)
def test_words_are_completed(line: str, word: str, expected: str) -> None:
    assert expected in completions(line, word)


def test_nothing_is_completed_where_nothing_fits() -> None:
    assert completions("x", "xyzzy") == []
    assert completions("", "") == []


def test_without_a_terminal_a_query_is_needed(made: Place) -> None:
    done = made.rt("sql")
    assert done.code == 2
    assert "for example" in done.errors
