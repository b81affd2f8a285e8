"""`rt log`: tail, verify, export and import; damage is named by position, and nothing is half done."""

import json
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.commands.place import RT, Place, finished, until


def test_the_tail_is_the_last_events(shared: Place) -> None:
    head = shared.head()
    done = shared.ok("log", "tail", "--limit", "5", "--json")
    assert [event["position"] for event in done.documents] == list(range(head - 4, head + 1))
    assert done.end == {"schema": "rt.end.v1", "count": 5, "position": head, "next": None}
    assert len(shared.ok("log", "tail", "--limit", "5").text.splitlines()) == 5


def test_pages_of_the_log_join_without_a_gap(shared: Place) -> None:
    at: int | None = 0
    seen: list[int] = []
    while at is not None:
        done = shared.ok("log", "tail", "--after", str(at), "--limit", "7", "--json")
        seen += [event["position"] for event in done.documents]
        at = done.end["next"]
    assert seen == list(range(1, shared.head() + 1))


def test_a_topic_filters(shared: Place) -> None:
    for pattern, count in (("task.queued", 6), ("run.*", None), ("task.canceled.v1", 1), ("nothing", 0)):
        found = shared.rows("log", "tail", "--after", "0", "--topic", pattern, "--limit", "100")
        assert count is None or len(found) == count, pattern
        assert all(event["topic"].startswith(pattern.rstrip("*")) for event in found)


def test_the_last_events_of_a_topic_are_found_wherever_they_lie(shared: Place) -> None:
    """Without --after, `--topic X` asks for the last events of that topic, not for those among the last 20."""
    found = shared.rows("log", "tail", "--topic", "run.finished", "--limit", "2")
    assert len(found) == 2


def test_one_event_is_shown_whole(shared: Place) -> None:
    known = shared.rows("log", "tail", "--after", "0", "--limit", "3")[2]
    shown = shared.json("log", "show", "3")
    assert {name: shown[name] for name in known} == known
    assert len(shown["hash"]) == 64
    text = shared.ok("log", "show", "3").text
    assert f"hash       {shown['hash']}" in text
    assert json.loads(text.partition("\ndata\n")[2]) == known["data"]


@pytest.mark.parametrize("given", ["0", "999999", "-", "x", "1.5", "9" * 40])
def test_where_no_event_is_none_is_shown(shared: Place, given: str) -> None:
    done = shared.rt("log", "show", given, "--json")
    assert (done.code, done.error["code"], done.error["last"]) == (3, "position.not_found", shared.head())


def test_the_tail_is_followed(place: Place) -> None:
    place.queue("true")
    with place.started("log", "tail", "--follow", "--json") as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["position"] == 1
        place.ok("pause")
        assert json.loads(process.stdout.readline())["topic"] == "dispatcher.paused.v1"
        process.send_signal(2)
        assert finished(process).code == 130


@pytest.mark.parametrize(
    "command",
    [("log", "tail"), ("log", "tail", "--json"), ("log", "export"), ("run", "log", "@last"), ("sql", "SELECT 1")],
)
def test_a_closed_pipe_ends_quietly(shared: Place, command: tuple[str, ...]) -> None:
    """As in `rt log tail | head -n 1`, with a reader that is gone before the first line."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*RT, *command],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=shared.folder,
            env=shared.environment,
            check=False,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_verify_tells_the_head(shared: Place) -> None:
    found = shared.json("log", "verify")
    assert found["schema"] == "rt.verify.v1"
    assert found["position"] == found["head_record"] == shared.head()
    assert len(found["hash"]) == 64
    assert shared.ok("log", "verify").text.splitlines()[1] == f"head {found['position']} {found['hash']}"


def _damage(place: Place, statement: str, *parameters: object) -> None:
    """Change the log behind the program's back."""
    db = sqlite3.connect(place.state / "log.db")
    for trigger in ("no_update", "no_delete", "gapless"):
        db.execute(f"DROP TRIGGER {trigger}")
    db.execute(statement, parameters)
    db.commit()
    db.close()


@pytest.mark.parametrize("column", ["state", "topic", "originator_id", "caused_by", "hash"])
def test_a_changed_event_is_found_at_its_position(history: Place, column: str) -> None:
    changed = {
        "state": "state = CAST(replace(CAST(state AS TEXT), 'operator:', 'OPERATOR:') AS BLOB)",
        "topic": "topic = 'task.retried.v1'",
        "originator_id": "originator_id = 'x' || originator_id",
        "caused_by": "caused_by = 1",
        "hash": "hash = zeroblob(32)",
    }
    queued = history.rows("log", "tail", "--after", "0", "--topic", "task.queued")[1]["position"]
    _damage(history, f"UPDATE stored_events SET {changed[column]} WHERE position = ?", queued)  # noqa: S608
    done = history.rt("log", "verify", "--json")
    assert (done.code, done.error["code"]) == (7, "log.event_damaged")
    assert f"event {queued} " in done.error["message"]
    assert done.error["hint"] == f"rt log export saved.jsonl --upto {queued - 1}"


def test_what_stands_before_the_damage_is_saved_and_taken_in_elsewhere(history: Place, tmp_path: Path) -> None:
    queued = history.rows("log", "tail", "--after", "0", "--topic", "task.queued")[1]["position"]
    _damage(history, "UPDATE stored_events SET caused_by = 1 WHERE position = ?", queued)
    done = history.rt("log", "export", "whole.jsonl", "--json")
    assert (done.code, done.error["code"]) == (7, "log.event_damaged")
    assert not (history.folder / "whole.jsonl").exists(), "half of a log is none"
    advice = done.error["hint"].split()[1:]
    saved = history.json(*advice)
    assert saved["position"] == queued - 1
    other = Place(tmp_path / "other")
    other.folder.mkdir()
    other.ok("log", "import", str(history.folder / "saved.jsonl"))
    assert other.json("log", "verify")["position"] == queued - 1


def test_an_export_up_to_a_position_ends_there(shared: Place) -> None:
    head = shared.json("log", "verify")["position"]
    lines = shared.ok("log", "export", "--upto", "3").out.splitlines()
    assert [json.loads(line).get("position") for line in lines[1:]] == [1, 2, 3]
    assert json.loads(lines[0])["events"] == 3
    done = shared.rt("log", "export", "--upto", str(head + 1), "--json")
    assert (done.code, done.error["code"]) == (3, "position.not_found")


def test_a_head_record_that_does_not_read_can_be_set_anew(history: Place) -> None:
    (history.state / "head.json").write_text("not json")
    for command in (("do", "--", "true"), ("log", "verify")):
        done = history.rt(*command[:1], *command[1:])
        assert done.code == 7
        assert "rt log verify --accept-loss" in done.errors
    history.ok("log", "verify", "--accept-loss")
    history.ok("do", "--", "true")
    assert history.events("log.loss_accepted.v1")[-1]["recorded_position"] == 0


def test_a_changed_output_is_found_at_its_position(history: Place) -> None:
    (first, *_) = history.rows("log", "tail", "--after", "0", "--topic", "output.*")
    _damage(history, "UPDATE bodies SET codec = 0, data = CAST('forged' AS BLOB) WHERE position = ?", first["position"])
    done = history.rt("log", "verify", "--json")
    assert done.code == 7
    assert f"event {first['position']} " in done.error["message"]
    assert history.rt("replay", "--all").code == 4


def test_bytes_that_do_not_decompress_are_damage_and_no_bug(history: Place) -> None:
    (first, *_) = history.rows("log", "tail", "--after", "0", "--topic", "output.*")
    _damage(history, "UPDATE bodies SET codec = 1, data = CAST('torn' AS BLOB) WHERE position = ?", first["position"])
    done = history.rt("log", "verify", "--json")
    assert (done.code, done.error["code"]) == (7, "log.corrupt"), done
    assert f"{first['position']}" in done.error["message"]


def test_a_forged_text_is_found(history: Place) -> None:
    _damage(history, "UPDATE blobs SET codec = 0, data = CAST('forged' AS BLOB) WHERE rowid = 1")
    done = history.rt("log", "verify", "--json")
    assert done.code == 7
    assert "the text" in done.error["message"]


def test_a_file_that_is_no_database_is_damage_everywhere(history: Place) -> None:
    (history.state / "log.db").write_bytes(b"not a database at all" * 1000)
    commands = (
        ("log", "verify"), ("status",), ("log", "tail"), ("do", "--", "true"), ("run", "show", "@last"),
        ("run", "list"), ("log", "export"), ("replay", "--all"), ("doctor", "--reindex"),
    )  # fmt: skip
    for command in commands:
        done = history.rt(*command, "--json") if "--" not in command else history.rt("do", "--json", "--", "true")
        assert done.code == 7, (command, done)
        assert done.error["code"] == "log.corrupt", (command, done)


def test_an_empty_file_is_damage_everywhere(history: Place) -> None:
    (history.state / "log.db").write_bytes(b"")
    for command in ("status", "run list", "log verify", "log export", "intake -- true"):
        done = history.rt(*command.split())
        assert done.code == 7, (command, done)


def test_a_torn_file_is_damage_and_no_bug(history: Place) -> None:
    path = history.state / "log.db"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    for command in (("log", "verify"), ("status",), ("log", "tail")):
        done = history.rt(*command, "--json")
        assert done.code == 7, (command, done)


def _with_lost_tail(place: Place) -> tuple[int, int]:
    """An old copy of the log is put back; its end and the one that was acknowledged."""
    shutil.copy(place.state / "log.db", place.folder / "old.db")
    old = place.head()
    place.ok("status")
    place.do("echo", "to be lost")
    new = place.head()
    shutil.copy(place.folder / "old.db", place.state / "log.db")
    return old, new


def test_a_lost_tail_stops_everything_until_a_person_accepts(history: Place) -> None:
    old, new = _with_lost_tail(history)
    for command in (
        ("log", "verify"),
        ("intake", "--payload", '{"argv": ["true"]}'),
        ("work", "--until-idle"),
        ("pause",),
    ):
        done = history.rt(*command, "--json")
        assert (done.code, done.error["code"]) == (7, "log.tail_lost"), (command, done)
        assert str(old) in done.error["message"]
        assert str(new) in done.error["message"]
        assert done.error["hint"] == "rt log verify --accept-loss"
    assert history.head() == old


def test_an_accepted_loss_is_an_event_and_the_log_goes_on(history: Place) -> None:
    old, new = _with_lost_tail(history)
    assert f"accepted: the events after {old} are gone" in history.ok("log", "verify", "--accept-loss").errors
    (accepted,) = history.events("log.loss_accepted.v1")
    assert (accepted["end"], accepted["recorded_position"]) == (old, new)
    history.do("true")
    found = history.json("log", "verify")
    assert found["position"] == found["head_record"] == history.head()
    assert history.json("status")["position"] == history.head()


def test_the_answer_after_an_accepted_loss_tells_the_end_as_it_is(history: Place) -> None:
    old, _ = _with_lost_tail(history)
    found = history.json("log", "verify", "--accept-loss")
    assert found["position"] in (old, old + 1)
    assert found["head_record"] <= found["position"], "the record that was accepted away is not told as the present one"


def test_a_status_with_a_lost_tail_does_not_keep_silent(history: Place) -> None:
    _with_lost_tail(history)
    status = history.rt("status", "--json")
    doctor = history.rt("doctor", "--json")
    assert doctor.code == 1
    assert any(check["level"] == "error" for check in doctor.document["checks"])
    assert status.code in (0, 7)
    if status.code == 0:
        assert status.document["position"] == history.head()


def test_a_log_of_a_newer_rt_is_refused(history: Place) -> None:
    db = sqlite3.connect(history.state / "log.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    for command in (("status",), ("log", "tail"), ("log", "verify"), ("pause",), ("task", "list"), ("log", "export")):
        done = history.rt(*command, "--json")
        assert (done.code, done.error["code"]) == (7, "log.newer"), (command, done)


def test_a_topic_of_a_newer_rt_is_refused(history: Place) -> None:
    _damage(history, "UPDATE stored_events SET topic = 'task.completed.v99' WHERE topic = 'task.completed.v1'")
    done = history.rt("log", "tail", "--after", "0", "--limit", "1000")
    assert done.code == 7
    assert "newer rt" in done.errors


# export and import


@pytest.fixture
def exported(shared: Place, tmp_path: Path) -> Path:
    target = tmp_path / "log.jsonl"
    shared.ok("log", "export", str(target))
    return target


def test_an_imported_log_is_the_same_log(shared: Place, exported: Path, place: Place) -> None:
    other = place
    before = shared.json("log", "verify")
    answer = other.json("log", "import", str(exported))
    after = other.json("log", "verify")
    for name in ("position", "hash", "bodies", "texts"):
        assert after[name] == before[name], name
    assert answer == {"schema": "rt.import.v1", "position": before["position"], "hash": before["hash"]}
    assert other.ok("replay", "--all").text == shared.ok("replay", "--all").text == "4 of 4 runs identical\n"
    assert other.ok("log", "export").out == exported.read_bytes()
    for asked in (("status",), ("task", "list"), ("run", "list")):
        assert other.ok(*asked, "--json").out == shared.ok(*asked, "--json").out
    (run,) = shared.rows("run", "list", "--state", "completed")
    assert other.ok("run", "output", run["run"], "--stream", "stdout").out == b"first\n"
    task = other.rows("task", "list", "--state", "pending")[-1]["task"]
    other.ok("work", "--until-idle")
    assert other.task(task)["status"] == "completed"


def test_an_export_goes_through_a_pipe(shared: Place, place: Place) -> None:
    content = shared.ok("log", "export").out
    place.ok("log", "import", "-", stdin=content)
    assert place.json("log", "verify")["hash"] == shared.json("log", "verify")["hash"]


def test_an_export_overwrites_nothing(shared: Place, tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.write_text("mine")
    done = shared.rt("log", "export", str(target), "--json")
    assert done.code == 5
    assert target.read_text() == "mine"
    assert "init" not in done.error["hint"], "the hint is about what was asked"


def test_an_export_where_nothing_can_be_written_names_the_file(shared: Place) -> None:
    done = shared.rt("log", "export", "/proc/nowhere/file", "--json")
    assert done.code == 7
    assert "/proc/nowhere/file" in done.error["message"]


def test_an_import_into_a_log_that_holds_something_is_refused(exported: Path, history: Place) -> None:
    before = history.head()
    done = history.rt("log", "import", str(exported), "--json")
    assert (done.code, done.error["code"]) == (5, "log.not_empty")
    assert str(history.state) in done.error["message"] or str(history.folder) in done.error["message"]
    assert history.head() == before


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def _edited(line: bytes, **fields: Any) -> bytes:  # noqa: ANN401  # any JSON
    return json.dumps(json.loads(line) | fields).encode() + b"\n"


@pytest.mark.parametrize("what", ["half a line", "not json", "changed state", "changed hash", "gap", "cut", "doubled"])
def test_a_damaged_export_is_named_and_nothing_is_imported(exported: Path, place: Place, what: str) -> None:
    lines = _lines(exported)
    match what:
        case "half a line":
            lines[5] = lines[5][:40] + b"\n"
        case "not json":
            lines[5] = b"\xff\xfe\n"
        case "changed state":
            lines[5] = _edited(lines[5], state=json.loads(lines[5])["state"] | {"actor": "operator:mallory"})
        case "changed hash":
            lines[5] = _edited(lines[5], hash="00" * 32)
        case "gap":
            del lines[5]
        case "cut":
            del lines[-3:]
        case _:
            lines.insert(5, lines[5])
    exported.write_bytes(b"".join(lines))
    done = place.rt("log", "import", str(exported), "--json")
    assert done.code in (2, 7), done
    assert done.error["code"] in ("rt.invalid", "log.corrupt")
    if what != "cut":
        assert any(f"{name} {at}" in done.error["message"] for name in ("line", "event") for at in (5, 6)), done.error
    assert place.head() == 0


def test_after_a_damaged_import_a_good_one_works(exported: Path, place: Place) -> None:
    content = exported.read_bytes()
    assert place.rt("log", "import", "-", stdin=content[:-50]).code in (2, 7)
    place.ok("log", "import", "-", stdin=content)
    place.ok("log", "verify")


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"[]\n", b"{}\n", b"hello\n", b'{"schema": "other"}\n', b"7\n", b"null\n"]
)
def test_what_is_no_export_is_exit_2(place: Place, content: bytes) -> None:
    done = place.rt("log", "import", "-", "--json", stdin=content)
    assert (done.code, done.error["code"]) == (2, "rt.invalid"), done
    assert not (place.state / "log.db").exists()


def test_an_export_of_a_newer_rt_is_refused(exported: Path, place: Place) -> None:
    lines = _lines(exported)
    lines[0] = _edited(lines[0], format=99)
    done = place.rt("log", "import", "-", "--json", stdin=b"".join(lines))
    assert (done.code, done.error["code"]) == (7, "log.newer")


def test_a_file_that_is_not_there_is_exit_2_and_makes_no_home(place: Place) -> None:
    assert place.rt("log", "import", "nowhere.jsonl").code == 2
    assert place.files() == set()


def test_export_while_a_run_prints_is_a_whole_log(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    place.queue("sh", "-c", "while [ ! -e go ]; do echo line; done")
    with place.started("work", "--until-idle") as worker:
        until(lambda: place.head() > 20)
        content = place.ok("log", "export").out
        (place.folder / "go").touch()
        finished(worker)
    other = Place(tmp_path_factory.mktemp("other"))
    other.ok("log", "import", "-", stdin=content)
    found = other.json("log", "verify")
    assert found["position"] == len(content.splitlines()) - 1
