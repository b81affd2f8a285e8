"""Secret values: refused where a person hands them over, taken out of what tools print."""

import base64
import json
import sqlite3
import urllib.parse
from collections.abc import Iterator

import pytest

from adapters.compress import unpack
from tests.commands.place import Place

SECRET = "sk-Canary/4+7=é 91c0ffee-zZ"  # noqa: S105  # a canary
CONFIG = '[secrets]\nenv = ["API_TOKEN"]\n'


def _in_base64(neighbours: int) -> bytes:
    """The characters of a base64 text that hold nothing but the secret, when so many bytes stand before it."""
    coded = base64.b64encode(b"x" * neighbours + SECRET.encode()).rstrip(b"=")
    partial = (neighbours + len(SECRET.encode())) % 3 != 0
    return coded[(0, 2, 3)[neighbours] : len(coded) - partial]


FORMS = {
    "plain": SECRET.encode(),
    "base64": _in_base64(0),
    "base64 behind one": _in_base64(1),
    "base64 behind two": _in_base64(2),
    "hex": SECRET.encode().hex().encode(),
    "HEX": SECRET.encode().hex().upper().encode(),
    "url": urllib.parse.quote(SECRET, safe="").encode(),
    "form": urllib.parse.quote_plus(SECRET, safe="").encode(),
}


@pytest.fixture
def guarded(place: Place) -> Place:
    """A home that knows a secret."""
    return Place(place.folder, {"API_TOKEN": SECRET}).config(CONFIG)


def _stored(place: Place) -> Iterator[tuple[str, bytes]]:
    """Every byte below the home, and what lies compressed in the log."""
    for path in place.state.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()
    with sqlite3.connect(f"file:{place.state}/log.db?mode=ro", uri=True) as db:
        for table in ("bodies", "blobs"):
            for codec, data in db.execute(f"SELECT codec, data FROM {table}"):  # noqa: S608  # our own names
                yield table, unpack(codec, data)
    db.close()


def _assert_nowhere(place: Place) -> None:
    for where, content in _stored(place):
        for form, spelled in FORMS.items():
            assert spelled not in content, (form, where)


@pytest.mark.parametrize("argv", [("printf", SECRET), ("sh", "-c", f"echo {SECRET} | wc")])
def test_a_secret_in_an_argument_is_refused_and_not_repeated(guarded: Place, argv: tuple[str, ...]) -> None:
    for done in (guarded.rt("do", "--", *argv), guarded.rt("intake", "--", *argv)):
        assert (done.code, done.out) == (2, b"")
        assert "registered secret" in done.errors
        assert "Canary" not in done.errors
    assert guarded.head() == 0


@pytest.mark.parametrize("form", ["plain", "base64", "hex", "url"])
def test_a_secret_in_a_payload_is_refused_in_any_spelling(guarded: Place, form: str) -> None:
    document = {"kind": "k", "source": "s", "payload": {"argv": ["true"], "deep": [{"x": FORMS[form].decode()}]}}
    done = guarded.rt("intake", "-", "--json", stdin=json.dumps(document).encode())
    assert done.code == 2
    assert "Canary" not in done.errors
    assert guarded.head() == 0


@pytest.mark.parametrize("field", ["--subject", "--kind", "--source"])
def test_a_secret_in_another_field_is_refused(guarded: Place, field: str) -> None:
    assert guarded.rt("intake", field, SECRET, "--", "true").code == 2
    assert guarded.head() == 0


def test_a_secret_that_a_tool_prints_never_reaches_a_file(guarded: Place) -> None:
    (guarded.folder / "lines").write_bytes(b"".join(b"<" + spelled + b">\n" for spelled in FORMS.values()))
    (guarded.folder / "encoded").write_bytes(base64.b64encode(b"user:" + SECRET.encode() + b":rest") + b"\n")
    split = SECRET.encode()
    (guarded.folder / "one").write_bytes(b"begin " + split[:11])
    (guarded.folder / "two").write_bytes(split[11:] + b" end\n")
    program = "cat lines encoded; cat lines >&2; cat one; sleep 0.4; cat two; cat one >&2; cat two >&2"
    done = guarded.rt("do", "--", "sh", "-c", program)
    assert done.code == 0
    for spelled in FORMS.values():
        assert spelled not in done.out + done.err
    assert b"begin [redacted] end\n" in done.out
    assert done.out.count(b"[redacted]") == len(FORMS) + 2
    guarded.ok("status")
    guarded.ok("sql", "SELECT text FROM output")
    _assert_nowhere(guarded)
    assert guarded.ok("replay", "@last").code == 0


def test_a_secret_that_a_script_adapter_reports_stays_out(guarded: Place) -> None:
    script = guarded.script(
        "helper", '#!/bin/sh\nprintf \'{"status": "completed", "operator_summary": "%s"}\' "$API_TOKEN"\n'
    )
    guarded.config(CONFIG + f'[adapters.helper]\ncommand = "{script}"\ninherit_env = ["API_TOKEN"]\n')
    done = guarded.rt("do", "--adapter", "helper", "--json")
    assert (done.code, done.document["status"]) == (0, "completed")
    _assert_nowhere(guarded)


def test_a_secret_in_the_name_of_what_cannot_be_started_stays_out(guarded: Place) -> None:
    guarded.config(CONFIG + '[adapters.helper]\ncommand = "./helper"\nenv = { PASSWORD = "hunter2-hunter2" }\n')
    shown = guarded.ok("config", "show", "--json").text
    assert "hunter2" not in shown
    assert "***" in shown


def test_a_secret_in_a_reason_stays_out(guarded: Place) -> None:
    task = guarded.queue("true")
    guarded.rt("cancel", task, "--reason", f"because {SECRET}")
    guarded.rt("pause", "--reason", SECRET)
    _assert_nowhere(guarded)


def test_a_secret_too_short_to_be_found_is_refused(place: Place) -> None:
    short = Place(place.folder, {"API_TOKEN": "abc"}).config(CONFIG)
    done = short.rt("config", "check", "--json")
    assert done.code == 2
    assert "3 bytes" in done.error["message"]
    assert "abc" not in done.error["message"]
    assert short.rt("do", "--", "true").code == 2
