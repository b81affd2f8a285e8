"""What rt says beside its answers never stops its work (DC-6), and no file takes the place of a closed stream."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.commands.place import RT, Place

LOST = {"a full disk": "2>/dev/full", "a closed stream": "2>&-", "a reader that left": "2> >(exec true)"}


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path)
    made.queue("sh", "-c", "echo out; echo err >&2", options=["--attempts", "1"])
    return made


def redirected(place: Place, redirection: str, *argv: str) -> "subprocess.CompletedProcess[bytes]":
    """A command whose standard streams are what the shell makes of them."""
    script = f'"$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", script, "bash", *RT, *argv],
        cwd=place.folder,
        env=place.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())
@pytest.mark.parametrize(
    "argv",
    [("run-once",), ("work", "--until-idle", "--log", "json"), ("run-once", "--json")],
    ids=" ".join,
)
def test_dc6_a_line_that_cannot_be_written_aborts_no_work(place: Place, lost: str, argv: tuple[str, ...]) -> None:
    done = redirected(place, lost, *argv)
    assert done.returncode == 0
    assert [task["status"] for task in place.rows("task", "list")] == ["completed"]
    for line in done.stdout.splitlines() if "--json" in argv else []:
        assert json.loads(line)


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST.keys())
def test_dc6_what_fails_ends_with_its_own_status_all_the_same(place: Place, lost: str) -> None:
    done = redirected(place, lost, "task", "show", "nothing-like-it")
    assert (done.returncode, done.stdout) == (3, b"")


def test_dc6_notes_never_stand_among_the_answers(place: Place) -> None:
    done = redirected(place, "2>&-", "do", "--json", "--", "sh", "-c", "echo out; echo err >&2")
    (line,) = done.stdout.splitlines()
    assert json.loads(line)["status"] == "completed"


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_stream(place: Place, closed: str) -> None:
    """A database that is opened as number 2 would be written into by the next message."""
    assert redirected(place, closed, "work", "--until-idle").returncode == 0
    assert [task["status"] for task in place.rows("task", "list")] == ["completed"]
    place.ok("log", "verify")


@pytest.mark.parametrize("argv", [("status",), ("task", "list"), ("log", "tail")], ids=" ".join)
def test_an_answer_that_cannot_be_written_is_an_error(place: Place, argv: tuple[str, ...]) -> None:
    """Of stdout nothing is lost in silence."""
    done = redirected(place, "2>&1 1>/dev/full", *argv, "--json")
    assert done.returncode == 7
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["why"]) == ("output.lost", "No space left on device")


def test_a_run_whose_output_nobody_could_keep_goes_on_and_the_loss_is_said(place: Place) -> None:
    done = redirected(place, "2>&1 1>/dev/full", "do", "--", "sh", "-c", "echo one; sleep 0.2; echo two; touch ended")
    assert done.returncode == 7
    assert b"output.lost" in done.stdout
    assert (place.folder / "ended").exists()
    assert place.json("run", "show", "@last")["state"] == "completed"
    assert place.ok("run", "output", "@last").text == "one\ntwo\n"


@pytest.mark.parametrize(
    "script", ["seq 1 100000", "seq 1 100000; sleep 0.5", "while :; do echo again; sleep 0.02; done"]
)
def test_a_reader_that_leaves_cancels_what_still_runs_without_a_complaint(place: Place, script: str) -> None:
    done = redirected(place, "2>err | head -1", "do", "--shell", script)
    assert done.stdout in (b"1\n", b"again\n")
    assert place.json("run", "show", "@last")["state"] in ("completed", "canceled")
    errors = (place.folder / "err").read_text()
    assert "broke" not in errors
    assert "Refused" not in errors


def test_a_dispatcher_goes_on_when_who_reads_its_notes_leaves(place: Place) -> None:
    place.queue("sh", "-c", "sleep 0.5; touch late")
    done = redirected(place, "2>&1 | head -1", "work", "--until-idle")
    assert done.stdout
    assert (place.folder / "late").exists()
    assert [task["status"] for task in place.rows("task", "list")] == ["completed", "completed"]
