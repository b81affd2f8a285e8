"""The audit files of a run: what the log holds of it, in files that nobody else may read."""

import json

from tests.commands.place import Place


def test_calls_output_and_events_of_a_run_become_files(place: Place) -> None:
    place.ok("do", "--", "sh", "-c", "printf 'a\\0b'; echo wrong >&2")
    run = place.json("run", "show", "@last")["run"]
    answer = place.json("run", "audit", "@last", "audit")
    folder = place.folder / "audit"
    assert (answer["run"], answer["erased"]) == (run, [])
    assert sorted(answer["files"]) == sorted(path.name for path in folder.iterdir())
    assert (folder / "call-1.stdout").read_bytes() == b"a\0b"
    assert (folder / "call-1.stderr").read_bytes() == b"wrong\n"
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert events[0]["topic"] == "task.claimed.v1"
    assert events[-1]["topic"] == "task.completed.v1"
    (call,) = folder.glob("*-run.started.v1.call.json")
    assert json.loads(call.read_bytes())["argv"] == ["sh", "-c", "printf 'a\\0b'; echo wrong >&2"]
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_nothing_is_overwritten_and_an_unknown_run_makes_no_folder(place: Place) -> None:
    place.ok("do", "--", "true")
    place.ok("run", "audit", "@last", "audit")
    assert place.rt("run", "audit", "@last", "audit").code == 5
    refused = place.rt("run", "audit", "12345678", "other")
    assert refused.code == 3
    assert not (place.folder / "other").exists()
