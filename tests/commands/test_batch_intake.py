"""`rt intake --lines`: many tasks in one command, each acknowledged when synced, each bad line named (IN-1 to IN-7)."""

import json
import os
import signal
import subprocess
from typing import Any

import pytest

from commands import batches
from domain.bounds import BATCH_LINES_MAX, INTAKE_GROUP_BYTES_MAX, LINE_BYTES_MAX
from tests.commands.place import RT, Done, Place, finished, until

GOOD: dict[str, Any] = {"kind": "k", "source": "s", "payload": {"argv": ["true"]}}


def line(**fields: object) -> str:
    return json.dumps(GOOD | fields)


def intake(place: Place, *lines: str, options: tuple[str, ...] = ()) -> Done:
    (place.folder / "tasks").write_text("\n".join(lines) + "\n")
    return place.rt("intake", "--lines", *options, "--json", "@tasks")


def counted(done: Done) -> tuple[int, int, int]:
    found = json.loads(done.out)
    return found["queued"], found["deduplicated"], found["refused"]


def test_ten_thousand_tasks_come_in_with_one_command(place: Place) -> None:
    done = intake(place, *(line(subject=str(at), priority=at % 10) for at in range(10_000)))
    assert (done.code, counted(done)) == (0, (10_000, 0, 0))
    assert place.json("sql", "SELECT count(DISTINCT stream), max(position) FROM events")["rows"] == [[10_000, 10_000]]
    place.ok("log", "verify")


def test_tasks_of_every_kind_come_in_in_the_order_of_their_lines(place: Place) -> None:
    """Those with a key, of a thread, and without either, some of them refused."""
    given = [
        line(subject="1"),
        line(subject="2"),
        line(subject="3", idempotency_key="a"),
        line(subject="4", thread="t"),
        line(subject="5", thread="t"),
        line(subject="6", parent_run="0" * 32),
        line(subject="7"),
        line(subject="8", idempotency_key="a"),
        line(subject="3", idempotency_key="a"),
        line(subject="9"),
    ]
    done = intake(place, *given)
    assert (done.code, counted(done)) == (2, (7, 1, 2))
    assert [json.loads(each)["line"] for each in done.errors.splitlines()[1:]] == [6, 8]
    query = "SELECT data->>'subject' FROM events WHERE topic LIKE 'task.queued%' ORDER BY position"
    assert [row[0] for row in place.json("sql", query)["rows"]] == ["1", "2", "3", "4", "5", "7", "9"]


def test_each_line_is_acknowledged_with_its_task_where_that_is_asked_for(place: Place) -> None:
    given = [line(subject="a"), "", "{", line(idempotency_key="k"), line(idempotency_key="k"), line(surprise=1)]
    done = intake(place, *given, options=("--each",))
    *each, whole = map(json.loads, done.out.splitlines())
    assert [(one["line"], one["deduplicated"], one["position"]) for one in each] == [
        (1, False, 1),
        (4, False, 2),
        (5, True, 2),
        (6, False, 3),
    ]
    assert [one["ignored_keys"] for one in each] == [[], [], [], ["surprise"]]
    assert each[1]["task_id"] == each[2]["task_id"]
    assert {one["task_id"] for one in each} == {task["task"] for task in place.rows("task", "list")}
    assert (whole["schema"], whole["queued"], whole["deduplicated"], whole["refused"]) == ("rt.batch.v1", 3, 1, 1)


def test_each_line_is_acknowledged_to_people_too(place: Place) -> None:
    (place.folder / "tasks").write_text(line() + "\n" + line() + "\n")
    lines = place.ok("intake", "--lines", "--each", "@tasks").text.splitlines()
    tasks = [task["task"][:8] for task in reversed(place.rows("task", "list"))]
    assert lines[:2] == [f"line {at}: queued: task {tasks[at - 1]} at position {at}" for at in (1, 2)]


def test_with_all_or_none_each_line_is_acknowledged_when_all_are_synced(place: Place) -> None:
    done = intake(place, *[line()] * 3, options=("--each", "--all-or-none"))
    assert [json.loads(each).get("line") for each in done.out.splitlines()] == [1, 2, 3, None]
    refused = intake(place, *[line()] * 3, "{", options=("--each", "--all-or-none"))
    assert [json.loads(each)["schema"] for each in refused.out.splitlines()] == ["rt.batch.v1"]


def test_who_writes_lines_into_a_pipe_is_answered_before_the_next_one(place: Place) -> None:
    place.ok("init")
    with subprocess.Popen(
        [*RT, "intake", "--lines", "-", "--each", "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        cwd=place.folder, env=place.environment,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for at in range(1, 4):
            process.stdin.write(f"{line(subject=str(at))}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["line"] == at
            assert place.head() == at
        process.stdin.write(line(subject="no line end").encode())
        process.stdin.close()
        assert [json.loads(each)["position"] for each in process.stdout] == [4, 4]
        assert process.wait() == 0


def test_large_lines_share_a_transaction_with_few_others(place: Place) -> None:
    """Whoever else writes must not wait for long."""
    large = line(payload={"argv": ["true"], "text": "x" * (INTAKE_GROUP_BYTES_MAX // 5)})
    (place.folder / "tasks").write_text("\n".join([*[large] * 12, *[line()] * 3]))
    groups = batches.groups(f"@{place.folder / 'tasks'}", "tasks")
    assert [[each.number for each in group] for group in groups] == [
        [1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10],
        [11, 12, 13, 14, 15],
    ]


def test_lines_come_on_stdin_too_and_blank_ones_are_left_out(place: Place) -> None:
    text = f"\n{line()}\n   \n{line()}".encode()
    done = place.rt("intake", "--lines", "--json", stdin=text)
    assert (done.code, counted(done)) == (0, (2, 0, 0))


def test_each_bad_line_is_named_and_nothing_else_is_lost(place: Place) -> None:
    """IN-1, IN-4."""
    bad = {
        2: ("{", "not JSON"),
        4: (line(priority=1001), "task.priority"),
        5: ('{"kind": "k", "kind": "k"}', "stands there twice"),
        6: ('{"kind": "k", "source": "s"}', "task.payload: is missing"),
        7: (line(kind=" "), "task.kind: is blank"),
        8: ("[]", "expected an object"),
        9: ('{"kind": "\\u0000", "source": "s", "payload": {}}', "NUL"),
        10: ('{"kind": "\\ud800", "source": "s", "payload": {}}', "lone surrogate"),
        11: ("NaN", "NaN"),
        12: (line(requested_adapter="codex"), "no adapter 'codex'"),
        13: ("x" * (LINE_BYTES_MAX + 10), f"more than {LINE_BYTES_MAX} bytes"),
        14: ("x" * (3 * LINE_BYTES_MAX), f"more than {LINE_BYTES_MAX} bytes"),
        15: ("x" * (LINE_BYTES_MAX + 1), f"more than {LINE_BYTES_MAX} bytes"),
        16: (line()[:-1] + " " * (LINE_BYTES_MAX - len(line())) + "}?", f"more than {LINE_BYTES_MAX} bytes"),
    }
    done = intake(place, *(bad[at][0] if at in bad else line(subject=str(at)) for at in range(1, 20)))
    assert (done.code, counted(done)) == (2, (5, 0, 14))
    told = {each["line"]: each["error"] for each in map(json.loads, done.errors.splitlines()[1:])}
    assert told.keys() == bad.keys()
    for number, (_, why) in bad.items():
        assert why in told[number]["message"], (number, told[number])
    assert {task["subject"] for task in place.rows("task", "list")} == {"1", "3", "17", "18", "19"}


def test_all_or_none_takes_none_where_one_is_bad(place: Place) -> None:
    done = intake(place, *[line()] * 600, "{", options=("--all-or-none",))
    assert (done.code, counted(done)) == (2, (0, 0, 1))
    assert json.loads(done.errors.splitlines()[-2])["line"] == 601
    assert place.head() == 0


def test_all_or_none_takes_all_in_one_transaction(place: Place) -> None:
    done = intake(place, *[line()] * 1200, options=("--all-or-none",))
    assert (done.code, counted(done)) == (0, (1200, 0, 0))
    assert json.loads(done.out)["position"] == place.head() == 1200


@pytest.mark.parametrize("options", [(), ("--all-or-none",)], ids=["each", "all or none"])
def test_the_same_file_twice_is_the_same_tasks(place: Place, options: tuple[str, ...]) -> None:
    """IN-7: also the same key twice in one file."""
    lines = [line(idempotency_key=f"k{at % 50}") for at in range(60)]
    assert counted(intake(place, *lines, options=options)) == (50, 10, 0)
    assert counted(intake(place, *lines, line(), options=options)) == (1, 60, 0)
    assert place.head() == 51


def test_one_key_from_many_callers_at_once_is_one_task(place: Place) -> None:
    """IN-6."""
    place.ok("init")
    argv = ("intake", "--key", "same", "--json", line())
    with place.started(*argv) as one, place.started(*argv) as two, place.started(*argv) as three:
        answers = [finished(each).document for each in (one, two, three)]
    assert len({answer["task_id"] for answer in answers}) == 1
    assert sorted(answer["deduplicated"] for answer in answers) == [False, True, True]
    assert place.head() == 1


def test_a_key_with_other_content_is_named_with_its_line_and_the_others_go_in(place: Place) -> None:
    """IN-7."""
    done = intake(place, line(idempotency_key="a"), line(idempotency_key="a", priority=9), line())
    assert (done.code, counted(done)) == (2, (2, 0, 1))
    told = json.loads(done.errors.splitlines()[-1])
    assert (told["line"], told["error"]["code"]) == (2, "task.key_conflict")


@pytest.mark.parametrize("first", [True, False], ids=["in the log", "in the file"])
def test_all_or_none_takes_none_where_a_key_has_other_content(place: Place, first: bool) -> None:  # noqa: FBT001  # a parameter
    """IN-7."""
    head = 0
    if first:
        head = place.json("intake", line(idempotency_key="a"))["position"]
    rest = [] if first else [line(idempotency_key="a")]
    done = intake(place, line(), *rest, line(idempotency_key="a", priority=9), options=("--all-or-none",))
    assert (done.code, done.error["code"], done.error["key"]) == (5, "task.key_conflict", "a")
    assert place.head() == head


@pytest.mark.parametrize("options", [(), ("--all-or-none",)], ids=["each", "all or none"])
def test_messages_of_one_thread_keep_their_order(place: Place, options: tuple[str, ...]) -> None:
    done = intake(place, *(line(thread="t", description=str(at)) for at in range(3)), options=options)
    assert counted(done) == (3, 0, 0)
    place.ok("work", "--until-idle")
    assert {task["status"] for task in place.rows("task", "list")} == {"completed"}
    place.ok("log", "verify")


def test_what_was_acknowledged_is_there_when_the_command_is_killed(place: Place) -> None:
    """IN-5: whole tasks, no half one; the second delivery makes the rest."""
    lines = "".join(line(idempotency_key=f"k{at}") + "\n" for at in range(3000))
    reading, writing = os.pipe()
    place.ok("init")
    with subprocess.Popen(
        [*RT, "intake", "--lines", "-", "--each", "--json"], stdin=reading, cwd=place.folder, env=place.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        os.close(reading)
        data = lines.encode()
        half = data[: len(data) // 2]
        while half:
            half = half[os.write(writing, half) :]
        until(lambda: place.head() >= 500)
        process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        whole = [each for each in process.stdout if each.endswith(b"\n")]  # the last one may be half a line
    os.close(writing)
    before = place.head()
    assert 500 <= before < 3000
    place.ok("log", "verify")
    there = {row["task"]: row["position"] for row in place.rows("task", "list", "--limit", "3000")}
    acknowledged = {each["task_id"]: each["position"] for each in map(json.loads, whole)}
    assert acknowledged.items() <= there.items()
    done = intake(place, *lines.splitlines())
    assert counted(done) == (3000 - before, before, 0)
    assert place.head() == 3000


def test_who_stops_listening_to_acknowledgements_does_not_learn_that_all_is_well(place: Place) -> None:
    (place.folder / "tasks").write_text(f"{line()}\n" * 3000)
    place.ok("init")
    with subprocess.Popen(
        [*RT, "intake", "--lines", "@tasks", "--each"], cwd=place.folder, env=place.environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"line 1: queued")
        process.stdout.close()
        assert b"[output.lost]" in process.stderr.read()
        assert process.wait() == 7
    assert place.head() in (1000, 2000, 3000)


def test_what_was_taken_in_before_a_file_turned_out_too_long_is_told(place: Place) -> None:
    one = line(subject="x" * 60)  # long enough for a group to end early, so that the last one is no whole one
    (place.folder / "tasks").write_text(f"{one}\n" * (BATCH_LINES_MAX + 1))
    done = place.rt("intake", "--lines", "@tasks", "--json")
    error = json.loads(done.errors.splitlines()[-1])["error"]
    assert (done.code, error["code"]) == (2, "rt.invalid")
    assert f"more than {BATCH_LINES_MAX} documents" in error["message"]
    assert (counted(done), place.head()) == ((BATCH_LINES_MAX, 0, 0), BATCH_LINES_MAX)


@pytest.mark.parametrize("given", ["@nothing", "@."])
def test_a_file_that_cannot_be_read_is_named_and_makes_no_log(place: Place, given: str) -> None:
    done = place.rt("intake", "--lines", given, "--json")
    assert (done.code, done.error["where"]) == (2, "tasks")
    assert place.files() == set()


def test_options_of_lines_belong_to_lines(place: Place) -> None:
    for option in ("--all-or-none", "--each"):
        done = place.rt("intake", option, line())
        assert (done.code, f"{option} belongs to --lines" in done.errors) == (2, True)


def test_an_empty_file_takes_nothing_in(place: Place) -> None:
    for options in ((), ("--all-or-none",)):
        assert counted(intake(place, "", options=options)) == (0, 0, 0)


def test_the_answer_for_people_counts(place: Place) -> None:
    (place.folder / "tasks").write_text(line() + "\n" + line() + "\n")
    assert place.ok("intake", "--lines", "@tasks").text == "2 queued, 0 deduplicated, 0 refused, at position 2\n"


def test_for_people_a_bad_line_is_named_once(place: Place) -> None:
    (place.folder / "tasks").write_text(line() + "\n{\n" + line(priority=1001) + "\n")
    told = place.rt("intake", "--lines", "@tasks").errors.splitlines()
    assert [each.partition(": ")[2].partition(":")[0] for each in told[-2:]] == ["task", "task.priority"]
    assert [each.partition(":")[0] for each in told[-2:]] == ["line 2", "line 3"]


@pytest.mark.parametrize(
    "options",
    [("--key", "k"), ("--priority", "1"), ("--adapter", "command"), ("--at", "2027-01-01"), ("--source", "s")],
)
def test_options_that_lines_would_ignore_are_refused(place: Place, options: tuple[str, ...]) -> None:
    done = intake(place, line(), options=options)
    assert (done.code, done.error["code"]) == (2, "cli.usage")
    assert f"leave out {options[0]}" in done.error["message"]


def test_a_command_beside_lines_is_refused(place: Place) -> None:
    (place.folder / "tasks").write_text(line() + "\n")
    done = place.rt("intake", "--lines", "@tasks", "--json", "--", "true")
    assert (done.code, "leave out -- ARGV" in done.error["message"]) == (2, True)


def test_unknown_keys_of_lines_are_told_with_their_count_and_first_lines(place: Place) -> None:
    lines = [line(colour="red"), *[line()] * 3, *[line(colour="red", size=1)] * 6]
    found = intake(place, *lines).document["ignored_keys"]
    assert found == {"colour": {"count": 7, "lines": [1, 5, 6, 7, 8]}, "size": {"count": 6, "lines": [5, 6, 7, 8, 9]}}
    told = place.ok("intake", "--lines", "@tasks").errors
    assert "ignored key colour of 7 lines: 1, 5, 6, 7, 8…" in told


def test_all_or_none_tells_conflicts_of_keys_beside_other_bad_lines(place: Place) -> None:
    done = intake(
        place, line(idempotency_key="a"), "{", line(idempotency_key="a", priority=9), options=("--all-or-none",)
    )
    assert (done.code, counted(done)) == (2, (0, 0, 2))
    told = [json.loads(each) for each in done.errors.splitlines() if '"line"' in each]
    assert [(each["line"], each["error"]["code"]) for each in told] == [(2, "rt.invalid"), (3, "task.key_conflict")]
