"""`rt log backup`: a whole copy of the log under load, its head beside it, and a restore that goes on (DP-2)."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.commands.place import Place, finished, until


def _restore(backup: Path, folder: Path) -> Place:
    """What docs/operations.md says."""
    (folder / ".rt").mkdir(parents=True, mode=0o700)
    shutil.copyfile(backup, folder / ".rt" / "log.db")
    shutil.copyfile(f"{backup}.head.json", folder / ".rt" / "head.json")
    return Place(folder)


def test_a_backup_says_where_it_ends_and_lies_beside_its_head(place: Place) -> None:
    place.config().do("echo", "hello")
    verified = place.json("log", "verify")
    saved = place.json("log", "backup", "one.db")
    head_file = place.folder / "one.db.head.json"
    assert (saved["position"], saved["hash"]) == (verified["position"], verified["hash"])
    assert saved["head_file"] == str(head_file)
    assert json.loads(head_file.read_text()) == {"position": saved["position"], "hash": saved["hash"]}
    assert saved["size_bytes"] == (place.folder / "one.db").stat().st_size
    assert (place.folder / "one.db").stat().st_mode & 0o077 == 0
    assert {name for name in place.files() if name.startswith((".one", "one"))} == {"one.db", "one.db.head.json"}


def test_a_restored_log_verifies_and_goes_on(place: Place) -> None:
    """DP-2"""
    first = place.config().do("echo", "kept")
    waiting = place.queue("true")
    saved = place.json("log", "backup", "one.db")
    place.do("echo", "after the backup")
    restored = _restore(place.folder / "one.db", place.folder / "restored").config()
    assert restored.json("log", "verify")["hash"] == saved["hash"]
    restored.ok("work", "--until-idle")
    assert restored.task(waiting)["status"] == "completed"
    assert restored.ok("run", "output", first["run"]).text == "kept\n"
    assert restored.json("log", "verify")["position"] > saved["position"]
    restored.ok("replay", "--all")


def test_a_backup_under_load_is_whole(place: Place) -> None:
    """DP-2: a dispatcher appends all the while."""
    place.config()
    for _ in range(8):
        place.queue("sh", "-c", "for i in $(seq 200); do echo $i; done")
    with place.started("work", "--until-idle") as worker:
        until(lambda: place.head() > 20)
        saved = [place.json("log", "backup", f"{number}.db")["position"] for number in range(3)]
        assert finished(worker).code == 0
    assert saved == sorted(saved)
    for number, position in enumerate(saved):
        restored = _restore(place.folder / f"{number}.db", place.folder / f"restored-{number}")
        assert restored.json("log", "verify")["position"] == position


@pytest.mark.parametrize("there", ["one.db", "one.db.head.json"])
def test_nothing_is_overwritten(place: Place, there: str) -> None:
    place.config().do("true")
    (place.folder / there).write_text("mine")
    done = place.rt("log", "backup", "one.db", "--json")
    assert (done.code, done.error["code"]) == (5, "file.exists")
    assert (place.folder / there).read_text() == "mine"
    assert [name for name in place.files() if "one.db" in name] == [there]


def test_a_damaged_log_gives_no_backup(place: Place) -> None:
    place.config().do("true")
    db = sqlite3.connect(place.state / "log.db")
    db.execute("DROP TRIGGER no_update")
    db.execute("UPDATE stored_events SET state = CAST('{}' AS BLOB) WHERE position = 2")
    db.commit()
    db.close()
    done = place.rt("log", "backup", "one.db", "--json")
    assert (done.code, done.error["code"]) == (7, "log.event_damaged")
    assert not [name for name in place.files() if "one.db" in name]


def test_a_backup_needs_a_log_and_makes_its_folder(place: Place) -> None:
    place.config()
    assert place.rt("log", "backup", "one.db").code == 3
    place.do("true")
    place.ok("log", "backup", "backups/of/today.db")
    assert (place.folder / "backups/of").stat().st_mode & 0o777 == 0o700
    place.ok("log", "export", "exports/of/today.jsonl")
    assert (place.folder / "exports/of/today.jsonl").is_file()
    assert place.rt("log", "backup", "/proc/nowhere/one.db", "--json").error["code"] == "log.not_writable"


def test_a_restored_log_that_is_older_than_its_head_record_is_noticed(place: Place) -> None:
    place.config().do("true")
    place.ok("log", "backup", "one.db")
    place.do("true")
    shutil.copyfile(place.folder / "one.db", place.state / "log.db")
    done = place.rt("log", "verify", "--json")
    assert (done.code, done.error["code"]) == (7, "log.tail_lost")
