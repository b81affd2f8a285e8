"""A program's version is asked for, never waited for, and never trusted to be short."""

from pathlib import Path

from adapters.tool_version import tool_version


def program(folder: Path, body: str) -> str:
    path = folder / "tool"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def test_the_first_line_is_the_version(tmp_path: Path) -> None:
    tool = program(tmp_path, "test $# = 1 && test $1 = --version && echo 'tool 1.2 ' && echo more")
    assert tool_version(tool, {"PATH": "/usr/bin:/bin"}, 5) == "tool 1.2"


def test_one_that_hangs_is_missing_or_talks_without_end_does_no_harm(tmp_path: Path) -> None:
    assert tool_version(program(tmp_path, "exec sleep 20"), {"PATH": "/usr/bin:/bin"}, 0.1) == ""
    assert tool_version(str(tmp_path / "none"), {}, 5) == ""
    assert tool_version(program(tmp_path, "printf %0500d 7"), {"PATH": "/usr/bin:/bin"}, 5) == "0" * 200


def test_it_sees_nothing_of_the_environment_but_path_and_home(tmp_path: Path) -> None:
    tool = program(tmp_path, 'echo "$HOME $TOKEN."')
    assert tool_version(tool, {"PATH": "/usr/bin:/bin", "HOME": "/h", "TOKEN": "secret"}, 5) == "/h ."
