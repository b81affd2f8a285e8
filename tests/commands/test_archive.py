"""`rt archive`: the oldest events lie elsewhere, and nobody who asks notices."""

import json
import signal
import sqlite3

import pytest

from tests.commands.place import Place, finished, interrupt, until


@pytest.fixture
def old(place: Place) -> Place:
    """Runs of programs and of a controller, all over."""
    place.config("[retry]\nattempts = 1\n")
    place.ok("do", "--", "sh", "-c", "echo a; echo b >&2")
    place.rt("do", "--", "sh", "-c", "echo no; exit 3")
    place.ok("do", "demo", "early-cancel")
    return place


def asked(place: Place) -> list[object]:
    """What people ask of what was."""
    return [
        [place.ok("run", "output", run["run"]).text for run in place.rows("run", "list")],
        place.json("sql", "SELECT * FROM events WHERE topic <> 'log.archived.v1' ORDER BY position")["rows"],
        place.json("sql", "SELECT run, state, cause FROM runs ORDER BY run")["rows"],
        place.ok("why", "@last").text,
        [each["status"] for each in place.rows("task", "list")],
    ]


def test_replay_sql_output_and_reasons_are_as_before(old: Place) -> None:
    before = asked(old)
    head = old.head()
    done = old.json("archive", "--before", "0s")
    assert (done["archived"], done["upto"], done["events"]) == (True, head - 1, head - 1)
    assert asked(old) == before
    assert "3 of 3 runs identical" in old.ok("replay", "--all").text
    assert old.json("log", "verify")["position"] == head + 1
    [event] = old.events("log.archived.v1")
    assert event["upto"] == head - 1
    old.ok("projection", "rebuild")
    assert asked(old) == before
    with sqlite3.connect(old.state / "log.db") as db:
        assert db.execute("SELECT count(*) FROM main.stored_events").fetchone() == (2,)


def test_work_goes_on_and_more_is_archived_later(old: Place) -> None:
    old.ok("archive", "--before", "0s")
    old.ok("do", "--", "echo", "later")
    old.ok("retry", old.rows("task", "list")[-2]["task"])
    old.ok("work", "--until-idle")
    done = old.json("archive", "--before", "0s")
    assert done["archived"] is True
    assert "5 of 5 runs identical" in old.ok("replay", "--all").text
    old.ok("log", "verify")


def test_a_key_of_archived_work_is_still_known(place: Place) -> None:
    place.config()
    task = json.dumps({"kind": "k", "source": "s", "payload": {"argv": ["true"]}})
    for _ in range(2):
        place.ok("intake", "--key", "once", task)
        place.ok("work", "--until-idle")
        place.ok("archive", "--before", "0s")
    assert len(place.rows("task", "list")) == 1


def test_an_export_and_a_backup_hold_everything(old: Place) -> None:
    old.ok("archive", "--before", "0s")
    head = old.json("log", "verify")["hash"]
    old.ok("log", "backup", "saved.db")
    (old.folder / "export").write_bytes(old.ok("log", "export").out)
    restored, imported = (Place(old.folder / name) for name in ("restored", "imported"))
    restored.state.mkdir(parents=True)
    (restored.state / "log.db").write_bytes((old.folder / "saved.db").read_bytes())
    imported.folder.mkdir()
    imported.ok("init")
    imported.ok("log", "import", "../export")
    for place in (restored, imported):
        assert place.json("log", "verify")["hash"] == head
        place.ok("replay", "--all")


def test_archived_outputs_are_erased_on_demand(old: Place) -> None:
    old.ok("archive", "--before", "0s")
    run = old.rows("run", "list")[-1]["run"]
    assert old.json("erase", run, "--yes")["bodies"] >= 1
    assert old.json("log", "verify")["bodies_erased"] >= 1
    assert "were erased" in old.ok("replay", run).text


def test_what_an_interrupted_move_left_goes_with_what_is_erased(old: Place) -> None:
    run = old.rows("run", "list")[-1]["run"]
    with sqlite3.connect(old.state / "log.db") as log:
        log.execute("ATTACH ? AS left", (str(old.state / "archive.db"),))
        for table in ("stored_events", "bodies"):
            log.execute(f"CREATE TABLE left.{table} AS SELECT * FROM main.{table}")  # noqa: S608  # our own names
    log.close()
    old.ok("erase", run, "--yes")
    assert not (old.state / "archive.db").exists()
    old.ok("log", "verify")


def test_a_dry_run_and_a_time_before_all_move_nothing(old: Place) -> None:
    dry = old.json("archive", "--before", "0s", "--dry-run")
    assert (dry["archived"], dry["events"] > 0) == (False, True)
    assert old.json("archive", "--before", "2001-01-01T00:00:00Z") == dry | {"upto": 0, "events": 0, "size": 0}
    assert "nothing archived; there is nothing" in old.ok("archive", "--before", "7d").text
    assert not (old.state / "archive.db").exists()
    assert old.events("log.archived.v1") == []


def test_what_is_not_over_stays_in_the_log(old: Place) -> None:
    first = old.head() + 1
    old.queue("true")
    old.ok("do", "--", "true")
    assert old.json("archive", "--before", "0s")["upto"] == first - 1


def test_it_is_refused_while_a_dispatcher_works(old: Place) -> None:
    with old.started("work") as process:
        until(lambda: list((old.state / "dispatchers").glob("*.lock")))
        done = old.rt("archive", "--before", "0s")
        interrupt(process, signal.SIGTERM)
        finished(process)
    assert (done.code, done.out) == (5, b"")
    assert "1 dispatchers are at work" in done.errors
    assert not (old.state / "archive.db").exists()


@pytest.mark.parametrize("given", ["soon", "", "-3d"])
def test_a_time_that_is_none_is_refused(old: Place, given: str) -> None:
    done = old.rt("archive", f"--before={given}")
    assert done.code == 2
    assert "--before" in done.errors


def test_without_its_archive_a_log_says_what_is_missing(old: Place) -> None:
    old.ok("archive", "--before", "0s")
    (old.state / "archive.db").rename(old.folder / "away.db")
    for argv in (("status",), ("log", "verify"), ("do", "--", "true")):
        done = old.rt(*argv)
        assert done.code == 7, done
        assert "archive.db is missing" in done.errors
    (old.folder / "away.db").rename(old.state / "archive.db")
    old.ok("log", "verify")
