"""Files beneath a real root: no link is followed, nothing hangs, nothing is overwritten (AR-1 to AR-4)."""

import hashlib
import itertools
import os
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.artifacts import HEAD_CHARS, head, look, snapshot, survey, tree, write_atomic
from domain import errors
from domain.bounds import NAME_BYTES_MAX, TREE_DEPTH_MAX
from domain.managed_path import MISSING, BadPath, Place, managed
from tests.adapters.children import ROOT as CHECKOUT

SECRET = b"outside of the root"


@pytest.fixture
def root(tmp_path: Path) -> str:
    """A root with a plan in it, beside a secret."""
    made = tmp_path / "artifacts"
    (made / "plans").mkdir(parents=True)
    (made / "plans" / "a.md").write_bytes(b"a plan")
    (tmp_path / "secret").write_bytes(SECRET)
    return str(made)


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# looking


def test_ar3_a_file_is_told_by_its_digest_size_and_time(root: str) -> None:
    os.utime(Path(root, "plans/a.md"), ns=(0, 1_700_000_000_123_456_789))
    found = look(root, "plans/a.md")
    assert (found.exists, found.kind, found.sha256, found.size) == (True, "file", digest(b"a plan"), 6)
    assert found.mtime_us == 1_700_000_000_123_456


def test_a_folder_is_told_as_one(root: str) -> None:
    assert (look(root, "plans").kind, look(root, "plans/").exists) == ("folder", True)


@pytest.mark.parametrize("path", ["plans/b.md", "none/a.md", "plans/a.md/below-a-file"])
def test_what_is_not_there_is_missing(root: str, path: str) -> None:
    assert look(root, path) == MISSING


def test_in_a_root_that_is_not_there_all_is_missing(tmp_path: Path) -> None:
    assert look(str(tmp_path / "none"), "a.md") == MISSING


def test_the_root_itself_may_be_reached_through_a_link(root: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert look(str(tmp_path / "link"), "plans/a.md").sha256 == digest(b"a plan")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../secret", "goes upwards"),
        ("plans/../../secret", "goes upwards"),
        ("/etc/passwd", "is absolute"),
        ("plans/a.md\0", "holds a control character"),
        ("plans\\a.md", "holds a backslash"),
        ("", "is empty"),
        (".", "names the folder itself"),
        ("n" * (NAME_BYTES_MAX + 1), f"holds a name of more than {NAME_BYTES_MAX} bytes"),
    ],
)
def test_ar2_a_bad_path_is_refused(root: str, path: str, why: str) -> None:
    found = look(root, path)
    assert (found.exists, found.kind, found.sha256, found.why) == (False, "refused", "", why)


@pytest.mark.parametrize("target", ["../secret", "plans/a.md", "none", "link", "plans", "/dev/zero", "/proc/self/mem"])
def test_ar2_a_link_is_refused_wherever_it_leads(root: str, target: str) -> None:
    Path(root, "link").symlink_to(target)
    found = look(root, "link")
    assert (found.exists, found.kind, found.sha256, found.why) == (True, "refused", "", "is a symbolic link")


@pytest.mark.parametrize("target", ["..", "plans", "/", "."])
def test_ar2_a_link_on_the_way_is_not_followed(root: str, target: str) -> None:
    Path(root, "way").symlink_to(target)
    for path in ("way/secret", "way/a.md", "way/etc/passwd", "way/plans/a.md", "way/none"):
        found = look(root, path)
        assert (found.kind, found.sha256, found.why) == ("refused", "", "a symbolic link is on the way")


def made_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path may be short only
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)


@pytest.mark.parametrize(("make", "why"), [(os.mkfifo, "is a FIFO"), (made_socket, "is a socket")])
def test_ar2_what_is_no_file_is_refused_without_being_opened(root: str, make: object, why: str) -> None:
    assert callable(make)
    make(Path(root, "special"))
    began_s = time.monotonic()
    found = look(root, "special")
    assert (found.exists, found.kind, found.why) == (True, "refused", why)
    assert look(root, "special/below") == MISSING
    assert time.monotonic() - began_s < 1.0


@pytest.mark.parametrize(
    ("path", "why"), [("null", "is a device"), ("zero", "is a device"), ("stdin", "is a symbolic link")]
)
def test_ar2_a_device_is_refused(path: str, why: str) -> None:
    found = look("/dev", path)
    assert found.kind == "refused"
    assert why in found.why


def test_a_file_at_the_bound_is_read_and_one_above_it_is_not(root: str) -> None:
    Path(root, "at").write_bytes(b"x" * 100)
    Path(root, "above").write_bytes(b"x" * 101)
    assert look(root, "at", bytes_max=100).sha256 == digest(b"x" * 100)
    found = look(root, "above", bytes_max=100)
    assert (found.exists, found.kind, found.size, found.why) == (True, "refused", 101, "has more than 100 bytes")


def test_a_huge_sparse_file_is_refused_at_once(root: str) -> None:
    with Path(root, "sparse").open("wb") as file:
        file.truncate(1 << 42)
    began_s = time.monotonic()
    found = look(root, "sparse")
    assert (found.exists, found.kind, found.size, found.sha256) == (True, "refused", 1 << 42, "")
    assert time.monotonic() - began_s < 1.0


def test_a_file_without_an_end_is_read_to_the_bound_only() -> None:
    """Its size says nothing: files of the kernel have none."""
    found = look("/proc/self", "maps", bytes_max=100)
    assert (found.kind, found.why) == ("refused", "has more than 100 bytes")


UNREADABLE = """
import os, sys
from adapters.artifacts import look, tree
if os.geteuid() == 0:
    os.setuid(65534)
print(*(look(".", path).kind for path in ("file", "folder/below", "readable")), look(".", "file").why, sep=";")
print(look(".", "file").exists, tree(".").is_cut, "folder" in tree(".").seen, sep=";")
"""


def test_what_may_not_be_read_is_refused_with_the_systems_reason(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "below").touch()
    for name in ("file", "readable"):
        (tmp_path / name).touch()
    (tmp_path / "file").chmod(0)
    (tmp_path / "folder").chmod(0)
    tmp_path.chmod(0o755)
    try:
        done = subprocess.run(
            [sys.executable, "-c", UNREADABLE],
            cwd=tmp_path,
            env={"PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        (tmp_path / "folder").chmod(0o700)
    assert done.stdout.splitlines() == [
        "refused;refused;file;permission denied",
        "True;True;True",
    ], done.stderr


@pytest.mark.parametrize("time_ns", [-(10**18), 0, (1 << 62)])
def test_a_time_that_no_reader_of_json_holds_is_clamped(root: str, time_ns: int) -> None:
    path = Path(root, "plans/a.md")
    os.utime(path, ns=(0, time_ns))
    assert 0 <= look(root, "plans/a.md").mtime_us < 1 << 53


PIECES = ("..", ".", "", "/", "\\", "\0", "secret", "out", "plans", "a.md", "link", "up", "fifo", "etc/passwd", "way")


def test_ar2_no_hostile_path_shows_a_byte_from_outside(root: str) -> None:
    """100,000 of them: what is shown is the plan and nothing else, whether or not its path was normalised first."""
    Path(root, "link").symlink_to("../secret")
    Path(root, "up").symlink_to("..")
    Path(root, "way").symlink_to("plans")
    os.mkfifo(Path(root, "fifo"))
    draw, shown = random.Random(20), set()
    for number in range(100_000):
        path = draw.choice(("/", "")).join(draw.choices(PIECES, k=draw.randint(1, 5)))
        if number % 2:
            try:
                path = managed(path, root)
            except BadPath:
                continue
        shown.add(look(root, path).sha256)
    assert shown == {"", digest(b"a plan")}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text(max_size=20) | st.text(alphabet="./\\\0aplns", max_size=12))
def test_ar2_looking_never_raises(root: str, path: str) -> None:
    found = look(root, path)
    assert found.exists == (found.kind in ("file", "folder"))
    assert bool(found.why) == (found.kind == "refused")


@pytest.fixture
def swapping(root: str) -> Iterator[str]:
    """A folder that becomes a link to the outside and back, as fast as it can."""
    outside = Path(root).parent / "outside"
    outside.mkdir()
    (outside / "a.md").write_bytes(SECRET)
    plans, is_over = Path(root, "plans"), threading.Event()

    def swap() -> None:
        for number in itertools.count():
            kept = Path(root, f"kept{number}")
            for step in (
                lambda kept=kept: plans.rename(kept),
                lambda: plans.symlink_to(outside),
                plans.unlink,
                lambda kept=kept: kept.rename(plans),
            ):
                with suppress(OSError):  # whoever writes meanwhile may make the folder anew
                    step()
            if is_over.is_set():
                return

    thread = threading.Thread(target=swap)
    thread.start()
    yield root
    is_over.set()
    thread.join()


def test_ar2_a_folder_that_becomes_a_link_shows_nothing_from_outside(swapping: str) -> None:
    shown = {look(swapping, "plans/a.md").sha256 for _ in range(5_000)}
    until_s = time.monotonic() + 20
    while digest(b"a plan") not in shown and time.monotonic() < until_s:  # a busy machine may never let it in
        shown.add(look(swapping, "plans/a.md").sha256)
    assert shown <= {"", digest(b"a plan")}
    assert digest(b"a plan") in shown


def test_ar4_a_folder_that_becomes_a_link_is_not_written_through(swapping: str) -> None:
    refusals = 0
    for number in range(300):
        try:
            write_atomic(swapping, f"plans/{number}.md", b"new")
        except errors.Invalid:
            refusals += 1
    assert sorted(path.name for path in (Path(swapping).parent / "outside").iterdir()) == ["a.md"]
    assert refusals < 300


# listing


def test_a_tree_lists_what_is_below_sorted_and_without_following_links(root: str) -> None:
    Path(root, "b").touch()
    Path(root, "up").symlink_to("..")
    Path(root, "plans", "deep").mkdir()
    Path(root, "plans", "deep", "c").write_bytes(b"12")
    found = tree(root)
    assert list(found.seen) == ["b", "plans", "plans/a.md", "plans/deep", "plans/deep/c", "up"]
    assert [seen.kind for seen in found.seen.values()] == ["file", "folder", "file", "folder", "file", "refused"]
    assert (found.seen["plans/deep/c"].size, found.seen["plans/deep/c"].sha256) == (2, "")
    assert not found.is_cut
    assert list(tree(root, "plans/deep").seen) == ["plans/deep/c"]


def test_a_tree_leaves_out_what_is_gits_own(root: str) -> None:
    Path(root, ".git").mkdir()
    Path(root, ".git", "config").touch()
    assert not [path for path in tree(root).seen if path.startswith(".git")]
    assert ".git/config" in tree(root, skip=frozenset()).seen


@pytest.mark.parametrize("below", ["none", "plans/a.md", "../", "up"])
def test_a_tree_of_no_folder_is_empty(root: str, below: str) -> None:
    Path(root, "up").symlink_to("..")
    assert tree(root, below).seen == {}


def test_a_tree_says_when_there_is_more_than_it_lists(root: str) -> None:
    for number in range(8):
        Path(root, "plans", str(number)).touch()
    assert len(tree(root).seen) == 10
    assert tree(root, entries_max=10) == tree(root)
    found = tree(root, entries_max=9)
    assert (len(found.seen), found.is_cut) == (9, True)


def test_a_tree_goes_only_so_deep_and_says_so(root: str) -> None:
    Path(root, *["d"] * (TREE_DEPTH_MAX - 1)).mkdir(parents=True)
    assert not tree(root).is_cut
    Path(root, *["d"] * TREE_DEPTH_MAX, "e").mkdir(parents=True)
    found = tree(root)
    assert found.is_cut
    assert max(path.count("/") for path in found.seen) == TREE_DEPTH_MAX - 1


def test_a_name_that_is_no_text_is_listed_in_a_form_that_can_be_stored(root: str) -> None:
    Path(os.fsdecode(os.fsencode(root) + b"/\xff")).touch()
    assert "\ufffd" in tree(root).seen


def test_a_snapshot_holds_each_path_and_what_is_below_folders(root: str) -> None:
    found = snapshot(root, ["plans", "none.md", "plans/a.md", "../secret"])
    assert {path: seen.kind for path, seen in found.items()} == {
        "plans": "folder",
        "plans/a.md": "file",
        "none.md": "missing",
        "../secret": "refused",
    }
    assert found["plans/a.md"].sha256 == digest(b"a plan")


def test_a_snapshot_digests_as_long_as_its_bytes_last(root: str) -> None:
    for name in "123":
        Path(root, name).write_bytes(b"x" * 40)
    found = snapshot(root, ["1", "2", "3"], bytes_max=100)
    assert [seen.kind for seen in found.values()] == ["file", "file", "refused"]
    assert found["3"].size == 40


def test_a_survey_looks_below_several_roots(root: str, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b").write_bytes(b"b")
    places = [Place(root, "plans"), Place(str(tmp_path / "other"), "b"), Place(root, "none")]
    found = survey(places)
    assert {path.removeprefix(f"{tmp_path}/"): seen.kind for path, seen in found.items()} == {
        "artifacts/plans": "folder",
        "artifacts/plans/a.md": "file",
        "other/b": "file",
        "artifacts/none": "missing",
    }
    assert survey(places, bytes_max=6)[f"{tmp_path}/other/b"].kind == "refused"


# the beginning of a text


def test_the_head_of_a_text_is_its_first_characters(root: str) -> None:
    Path(root, "long").write_text("ß" * (HEAD_CHARS + 10))
    assert head(root, "long") == "ß" * HEAD_CHARS
    assert head(root, "plans/a.md") == "a plan"
    assert head(root, "plans/a.md", chars=1) == "a"


def test_the_head_of_what_is_no_text_can_be_stored(root: str) -> None:
    Path(root, "binary").write_bytes(b"\xff\xfe\x00")
    text = head(root, "binary")
    assert text is not None
    assert text.encode()


@pytest.mark.parametrize("path", ["none.md", "plans", "link", "up/secret", "../secret", "fifo"])
def test_what_cannot_be_read_has_no_head(root: str, path: str) -> None:
    Path(root, "link").symlink_to("../secret")
    Path(root, "up").symlink_to("..")
    os.mkfifo(Path(root, "fifo"))
    assert head(root, path) is None


# writing


def test_ar4_a_file_is_written_whole_with_its_parents_and_nothing_beside_it(root: str) -> None:
    found = write_atomic(root, "reports/deep/a.md", b"a report")
    assert found == look(root, "reports/deep/a.md")
    assert Path(root, "reports/deep/a.md").read_bytes() == b"a report"
    assert os.listdir(Path(root, "reports/deep")) == ["a.md"]  # noqa: PTH208  # names


def test_ar4_the_root_is_made_with_its_first_file(tmp_path: Path) -> None:
    assert write_atomic(str(tmp_path / "new" / "root"), "a.md", b"x") == look(str(tmp_path / "new" / "root"), "a.md")


@pytest.mark.parametrize("there", ["file", "folder", "link", "dangling"])
def test_ar1_what_is_there_is_never_overwritten(root: str, there: str) -> None:
    path = Path(root, "taken")
    match there:
        case "file":
            path.write_bytes(b"mine")
        case "folder":
            path.mkdir()
        case _:
            path.symlink_to("../secret" if there == "link" else "../new")
    with pytest.raises(errors.FileThere):
        write_atomic(root, "taken", b"yours")
    assert sorted(os.listdir(root)) == ["plans", "taken"]  # noqa: PTH208  # names
    assert (Path(root).parent / "secret").read_bytes() == SECRET
    assert not (Path(root).parent / "new").exists()
    assert there != "file" or path.read_bytes() == b"mine"


def test_ar1_of_many_who_write_one_name_one_succeeds(root: str) -> None:
    outcomes: list[str] = []

    def write(content: str) -> None:
        try:
            write_atomic(root, "one.md", content.encode())
            outcomes.append(content)
        except errors.FileThere:
            pass

    threads = [threading.Thread(target=write, args=(str(number),)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [Path(root, "one.md").read_text()] == outcomes


@pytest.mark.parametrize("path", ["../a.md", "/a.md", "a\0.md", "", "way/a.md", "plans/a.md/b.md", "fifo/a.md"])
def test_ar2_what_would_leave_the_root_is_not_written(root: str, path: str) -> None:
    Path(root, "way").symlink_to("..")
    os.mkfifo(Path(root, "fifo"))
    with pytest.raises(errors.Invalid):
        write_atomic(root, path, b"x")
    assert sorted(os.listdir(Path(root).parent)) == ["artifacts", "secret"]  # noqa: PTH208  # names
