"""Short helpers end within their bounds, and leave nothing of their group behind."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from adapters import own_children
from adapters.own_children import Done
from tests.adapters.children import is_gone

ENV = {"PATH": os.environ["PATH"]}
QUICK_S = 10.0  # on a busy machine


def shell(  # the helper's own options
    script: str,
    *,
    timeout_s: float = 30,
    errors_max: int = 0,
    cwd: str | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Done:
    argv = ["/bin/sh", "-c", script]
    return own_children.run(argv, ENV, timeout_s=timeout_s, out_max=1000, errors_max=errors_max, cwd=cwd, stdin=stdin)


def test_a_helper_says_something_and_ends() -> None:
    assert shell("echo hello; echo why >&2; exit 3", errors_max=100) == Done(3, b"hello\n", b"why\n", is_cut=False)


def test_without_room_for_errors_they_go_nowhere() -> None:
    assert shell("echo why >&2; readlink /proc/self/fd/2").out == b"/dev/null\n"


def test_the_signal_that_ended_it_is_told() -> None:
    assert shell("kill -TERM $$").code == -15


def test_it_gets_its_input_and_its_folder(tmp_path: Path) -> None:
    with (tmp_path / "given").open("w+") as given:
        given.write("line")
        given.seek(0)
        assert shell("cat; pwd", cwd=str(tmp_path), stdin=given.fileno()).out == f"line{tmp_path}\n".encode()


def test_without_input_it_reads_the_end_at_once() -> None:
    assert shell("cat; echo over").out == b"over\n"


@pytest.mark.parametrize("noise", ["yes", "yes >&2; yes"], ids=["out", "first errors"])
def test_one_that_talks_without_end_is_stopped(noise: str) -> None:
    began_s = time.monotonic()
    found = shell(f"timeout 1 sh -c '{noise}'; exec yes", errors_max=10)
    assert (found.code, found.is_cut, len(found.out)) == (None, True, 1000)
    assert time.monotonic() - began_s < QUICK_S


def test_of_many_errors_the_first_are_kept_and_it_goes_on() -> None:
    found = shell("echo first >&2; head -c 5000000 /dev/zero >&2; echo done; exit 2", errors_max=6)
    assert found == Done(2, b"done\n", b"first\n", is_cut=False)


def test_one_that_hangs_is_killed_with_all_of_its_group(tmp_path: Path) -> None:
    script = f"trap '' TERM; sleep 600 & echo $! > {tmp_path}/below; echo $$ > {tmp_path}/own; echo so far; wait"
    began_s = time.monotonic()
    assert shell(script, timeout_s=0.5) == Done(None, b"so far\n", b"", is_cut=False)
    assert time.monotonic() - began_s < QUICK_S
    assert all(is_gone(int((tmp_path / name).read_text())) for name in ("own", "below"))


def test_who_inherited_its_pipes_is_not_waited_for_and_does_not_stay(tmp_path: Path) -> None:
    began_s = time.monotonic()
    assert shell(f"sleep 600 & echo $! > {tmp_path}/below; echo end").out == b"end\n"
    assert time.monotonic() - began_s < QUICK_S
    assert is_gone(int((tmp_path / "below").read_text()))


def test_what_it_says_last_is_not_lost() -> None:
    """Its end and its last words become known together."""
    for _ in range(50):
        assert shell("printf %0900d 7").out == b"0" * 899 + b"7"


def test_it_is_known_as_ours_only_while_it_runs(tmp_path: Path) -> None:
    script = f"echo $$ > {tmp_path}/own; exit 1"
    before = own_children.pids()
    assert shell(script).code == 1
    assert own_children.pids() == before
    with pytest.raises(ChildProcessError):  # collected
        os.waitpid(int((tmp_path / "own").read_text()), os.WNOHANG)


def test_one_that_is_not_there_cannot_be_started() -> None:
    before = own_children.pids()
    with pytest.raises(OSError, match="No such file"):
        own_children.run(["/nonexistent/helper"], ENV, timeout_s=1, out_max=1)
    assert own_children.pids() == before


def test_no_descriptor_stays_open() -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    shell("true", errors_max=1)
    before = count()
    shell("echo x; echo y >&2", errors_max=1)
    shell("sleep 1", timeout_s=0.05)
    shell("yes")
    assert count() == before
