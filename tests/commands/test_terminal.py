"""On a terminal nothing that a stranger wrote does anything: no control byte leaves rt but the ends of lines."""

import json
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.commands.place import RT, Place

EVIL = (
    b"esc \x1b[2J\x1b[31m osc8 \x1b]8;;http://evil\x07link\x1b]8;;\x07 osc52 \x1b]52;c;ZXZpbA==\x07 "
    b"c1 \xc2\x9b2J raw \x9b2J bidi \xe2\x80\xae\xe2\x81\xa6 back \x08\x08 del \x7f zero \xe2\x80\x8b "
    b"tag \xf3\xa0\x80\x81 bell \x07 form \x0c vt \x0b sep \xe2\x80\xa8 cr \rover nul \0 end\n"
)
TEXT = EVIL.decode("utf-8", "replace").replace("\0", "").replace("\n", "")
ALLOWED = {"\n", "\t", "\r"}
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _on_a_terminal(place: Place, *argv: str) -> tuple[int, str]:
    """The exit status and everything that reached the terminal, from both streams."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*RT, *argv],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=place.folder,
        env=place.environment | {"TERM": "xterm-256color"},
    ) as process:
        os.close(slave)
        seen = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            seen += part
        os.close(master)
        process.wait(30)
    return process.returncode, seen.decode("utf-8")


def _assert_tame(seen: str) -> None:
    wild = {each for each in COLOUR.sub("", seen) if not each.isprintable() and each not in ALLOWED}
    assert not wild, [hex(ord(each)) for each in wild]
    bare = re.findall(r"\r(?![\r\n])", seen)
    assert not bare, "a carriage return alone overwrites a line"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A home in which everything that can be hostile is."""
    place = Place(tmp_path_factory.mktemp("hostile"))
    script = place.folder / "report.sh"
    (place.folder / "evil").write_bytes(EVIL)
    outcome = json.dumps({"status": "completed", "operator_summary": TEXT, "machine_status": TEXT})
    (place.folder / "outcome").write_text(outcome)
    script.write_text("#!/bin/sh\ncat outcome\n")
    script.chmod(0o755)
    place.config('[adapters.report]\ncommand = "./report.sh"\n')
    document = {"kind": TEXT[:190], "source": TEXT[:190], "subject": TEXT, "payload": {TEXT: TEXT}}
    place.ok("intake", "--json", json.dumps(document | {"requested_adapter": "report", "description": TEXT}))
    place.ok("work", "--until-idle")
    place.rt("do", "--", f"./{TEXT[:50]}")
    place.rt("do", "--", "sh", "-c", "cat evil; cat evil >&2; exit 3")
    place.ok("cancel", place.queue("true", options=("--subject", TEXT)), "--reason", TEXT)
    place.queue("true", options=("--subject", TEXT))
    place.ok("pause", "--reason", TEXT, "--actor", TEXT)
    return place


@pytest.mark.parametrize(
    "argv",
    [
        ("status",),
        ("task", "list"),
        ("task", "show", "@last"),
        ("task", "show", "@waiting"),
        ("task", "show", "@failed"),
        ("run", "list"),
        ("run", "show", "@last"),
        ("run", "log", "@last"),
        ("run", "output", "@last"),
        ("run", "output", "@failed"),
        ("watch", "@failed"),
        ("replay", "@last"),
        ("log", "tail", "--after", "0", "--limit", "1000"),
        ("log", "tail", "--after", "0", "--limit", "1000", "--json"),
        ("run", "output", "@failed", "--json"),
        ("task", "list", "--json"),
        ("sql", "SELECT * FROM tasks"),
        ("sql", "SELECT * FROM tasks", "--csv"),
        ("sql", "SELECT * FROM tasks", "--json"),
        ("sql", "SELECT text FROM output"),
        ("sql", 'SELECT text AS "\x1b[2J\x9b\u202e" FROM output'),
        ("sql", 'SELECT * FROM "\x1b[2J\x9b\u202e"'),
        ("sql", 'SELECT * FROM "\x1b[2J\x9b\u202e"', "--json"),
        ("task", "show", "\x1b[2J\x9b\u202e"),
        ("task", "show", "\x1b[2J\x9b\u202e", "--json"),
        ("task", "list", "--state", "\x1b[2J"),
        ("\x1b[2J\x9b\u202e",),
        ("status", "--\x1b[2J\x9b\u202e"),
        ("--home", "/nowhere/\x1b[2J", "status"),
        ("--config", "/nowhere/\x1b[2J", "config", "check"),
        ("intake", '{"kind": 1, "\x1b[2J\u202e": 2}'),
        ("intake", '{"kind": "k", "source": "s", "payload": {"argv": ["true"]}, "\u202e\x9b": 2}'),
        ("do", "--", "cat", "evil"),
        ("do", "--", "sh", "-c", "cat evil >&2; exit 9"),
        ("do", "--", "/no/\x1b[2J\x9b\u202e"),
        ("doctor",),
        ("log", "export"),
    ],
    ids=lambda argv: repr(" ".join(argv)),
)
def test_nothing_wild_reaches_a_terminal(hostile: Place, tmp_path: Path, argv: tuple[str, ...]) -> None:
    place = hostile
    if argv[0] in ("do", "intake"):  # what these add would change what the others see
        shutil.copytree(hostile.folder, tmp_path / "copy")
        place = Place(tmp_path / "copy")
    if argv[0] == "do":
        place.ok("resume")
    code, seen = _on_a_terminal(place, *argv)
    assert code in (0, 1, 2, 3), seen
    assert seen
    _assert_tame(seen)


def test_the_reason_of_a_pause_is_shown_tamely_to_whoever_it_refuses(hostile: Place) -> None:
    code, seen = _on_a_terminal(hostile, "do", "--", "true")
    assert (code, "claims are paused" in seen) == (5, True)
    _assert_tame(seen)


def test_an_error_in_a_configuration_is_shown_tamely(place: Place) -> None:
    place.config('"\\u001b[2J\\u202e" = 1\n')
    _, seen = _on_a_terminal(place, "config", "check")
    _assert_tame(seen)
    place.config("x = \x1b[2J\n")
    _, seen = _on_a_terminal(place, "config", "check")
    _assert_tame(seen)


def test_what_was_made_harmless_stays_visible(hostile: Place) -> None:
    _, seen = _on_a_terminal(hostile, "run", "output", "@failed")
    for shown in ("\\x1b[2J", "\\u202e", "\\x9b", "\\x07", "\\x08"):
        assert shown in seen


def test_progress_lines_end_where_they_should(place: Place) -> None:
    code, seen = _on_a_terminal(place, "do", "--", "printf", "a\\r\\nb\\r\\n")
    assert code == 0
    assert "a\r\nb\r\n" in seen
    assert "\\x1b" not in seen, "colours of our own are colours, not text"


def test_tables_are_cut_to_the_width_of_the_terminal(hostile: Place) -> None:
    _, seen = _on_a_terminal(hostile, "--color", "never", "sql", "SELECT repeat('x', 1000) AS wide")
    assert max(len(line) for line in seen.splitlines()) <= 200
    assert "x" * 1000 in hostile.ok("sql", "SELECT repeat('x', 1000) AS wide").text, "never cut in a pipe"


@pytest.mark.parametrize("argv", [("run", "list"), ("task", "list")])
def test_a_coloured_row_is_cut_like_its_header(place: Place, argv: tuple[str, ...]) -> None:
    place.do("sh", "-c", "exit 1 # " + "x" * 200)
    code, seen = _on_a_terminal(Place(place.folder, {"COLUMNS": "60"}), *argv)
    assert code == 0
    rows = seen.splitlines()
    assert any(COLOUR.search(row) for row in rows)
    assert all(len(COLOUR.sub("", row)) <= 60 for row in rows), rows
    assert all(len(COLOUR.findall(row)) % 2 == 0 for row in rows), "each colour is taken back"


def test_what_has_parts_is_shown_as_json(place: Place) -> None:
    place.ok("intake", '{"kind": "k", "source": "s", "payload": {"argv": ["a"], "x": {"y": null, "z": true}}}')
    shown = next(row for row in place.ok("task", "show", "@last").text.splitlines() if row.startswith("payload"))
    assert json.loads(shown.removeprefix("payload")) == {"argv": ["a"], "x": {"y": None, "z": True}}
    place.rt("workflow", "create", "--template", "goal-loop", "--instance_key", "w", "--context", '{"summary": "s"}')
    rows = [row.partition(" ") for row in place.ok("workflow", "show", "w").text.splitlines()]
    told = {name: text.strip() for name, _, text in rows}
    assert json.loads(told["ways_on"]) == {"plan_ready": "execute"}
    assert json.loads(told["context"])["summary"] == "s"
