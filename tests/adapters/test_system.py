"""Clock, ids, environment, files and liveness: each promise on the real one and on its fake."""

import itertools
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.system import (
    CountedIds,
    DiskFiles,
    FileLocks,
    FixedEnvironment,
    MemoryFiles,
    MemoryLocks,
    OrderedIds,
    SystemClock,
    SystemEnvironment,
)
from domain.ports import Environment, Files, Ids, Liveness
from tests.adapters.children import ROOT

# clock (its fake is the simulator's, and lives there)


def test_the_clock_tells_microseconds_since_1970() -> None:
    now_us = SystemClock().now_us()
    assert 1_700_000_000_000_000 < now_us < 1 << 53
    assert isinstance(now_us, int)


def test_monotonic_time_never_goes_back() -> None:
    clock = SystemClock()
    told = [clock.monotonic_s() for _ in range(1000)]
    assert told == sorted(told)


# ids


@pytest.fixture(params=[OrderedIds, CountedIds])
def ids(request: pytest.FixtureRequest) -> Ids:
    made: Ids = request.param()
    return made


def test_an_id_is_a_uuid_in_hex(ids: Ids) -> None:
    for _ in range(100):
        new = ids.new()
        assert uuid.UUID(new).variant == uuid.RFC_4122
        assert new == uuid.UUID(new).hex


def test_no_id_comes_twice_not_even_as_a_prefix_of_eight(ids: Ids) -> None:
    assert len({ids.new()[:8] for _ in range(200)}) == 200


def test_many_ids_at_once_are_ids_like_any_other(ids: Ids) -> None:
    made = [ids.new(), *ids.many(100), ids.new(), *ids.many(0), *ids.many(1)]
    assert len({each[:8] for each in made}) == 103
    assert {uuid.UUID(each).hex for each in made} == set(made)
    assert {uuid.UUID(each).variant for each in made} == {uuid.RFC_4122}


def test_a_real_id_is_a_uuid_of_the_version_for_layouts_of_ones_own() -> None:
    assert {uuid.UUID(OrderedIds().new()).version for _ in range(100)} == {8}


def test_ids_sort_in_the_order_in_which_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", itertools.count(50_000 << 31, 20_000).__next__)  # faster than the ticks
    ids = OrderedIds()
    made = [ids.new() for _ in range(1000)] + ids.many(1000) + [ids.new()]
    assert made == sorted(made)
    assert {uuid.UUID(each).version for each in made} == {8}


def test_first_digits_come_round_again_and_stay_apart_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", itertools.count((1 << 32) * 50_000 - 200_000, 50_000).__next__)
    ids = OrderedIds()
    assert [ids.new()[:8] for _ in range(5)] == ["fffffffc", "fffffffd", "fffffffe", "ffffffff", "00000000"]


def test_a_clock_that_jumps_back_makes_no_first_digits_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", iter([50_000_000, 0, 0]).__next__)
    ids = OrderedIds()
    assert len({ids.new()[:8] for _ in range(3)}) == 3


def test_two_processes_at_the_same_moment_make_different_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 0)
    assert OrderedIds().new() != OrderedIds().new()


def test_a_salt_has_sixteen_bytes_and_never_comes_twice(ids: Ids) -> None:
    salts = [ids.salt() for _ in range(100)]
    assert {len(salt) for salt in salts} == {16}
    assert len(set(salts)) == 100


def test_counted_ids_are_the_same_every_time() -> None:
    one, other = CountedIds(), CountedIds()
    assert [one.new() for _ in range(3)] == [other.new() for _ in range(3)]


# environment


def test_the_real_environment_is_the_processs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RT_TEST_VARIABLE", "here")
    assert SystemEnvironment().all()["RT_TEST_VARIABLE"] == "here"


@pytest.mark.parametrize("environment", [SystemEnvironment(), FixedEnvironment({"A": "1"})], ids=["real", "fixed"])
def test_an_environment_holds_texts_and_misses_what_is_not_there(environment: Environment) -> None:
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in environment.all().items())
    assert "RT_NOBODY_SETS_THIS" not in environment.all()


def test_a_fixed_environment_does_not_change_with_what_it_was_made_of() -> None:
    given = {"A": "1"}
    environment = FixedEnvironment(given)
    given["A"] = "2"
    assert environment.all() == {"A": "1"}


# files


@pytest.fixture(params=["disk", "memory"])
def files(request: pytest.FixtureRequest) -> Files:
    return DiskFiles() if request.param == "disk" else MemoryFiles()


@pytest.mark.parametrize("content", [b"", b"text", bytes(range(256)) * 1000])
def test_what_was_written_is_read(files: Files, tmp_path: Path, content: bytes) -> None:
    files.write(str(tmp_path / "file"), content)
    assert files.read(str(tmp_path / "file")) == content


def test_a_file_that_is_not_there_reads_as_none(files: Files, tmp_path: Path) -> None:
    assert files.read(str(tmp_path / "nothing")) is None
    assert files.read(str(tmp_path / "no folder" / "nothing")) is None


def test_writing_replaces_the_whole_file(files: Files, tmp_path: Path) -> None:
    files.write(str(tmp_path / "file"), b"a long content")
    files.write(str(tmp_path / "file"), b"short")
    assert files.read(str(tmp_path / "file")) == b"short"


def test_missing_folders_are_made(files: Files, tmp_path: Path) -> None:
    files.write(str(tmp_path / "a" / "b" / "file"), b"x")
    assert files.read(str(tmp_path / "a" / "b" / "file")) == b"x"


def test_a_folder_is_made_with_those_above_it_and_one_that_is_there_stays(files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    files.make_folder(str(folder))
    files.write(str(folder / "file"), b"x")
    files.make_folder(str(folder))
    assert files.read(str(folder / "file")) == b"x"


def test_a_folder_on_disk_is_its_owners_alone_and_a_file_in_its_place_is_an_error(tmp_path: Path) -> None:
    DiskFiles().make_folder(str(tmp_path / "a"))
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="File exists"):
        DiskFiles().make_folder(str(tmp_path / "file"))


def test_removing_removes_and_is_content_with_nothing(files: Files, tmp_path: Path) -> None:
    files.write(str(tmp_path / "file"), b"x")
    files.remove(str(tmp_path / "file"))
    files.remove(str(tmp_path / "file"))
    files.remove(str(tmp_path / "no folder" / "file"))
    assert files.read(str(tmp_path / "file")) is None


def test_a_file_on_disk_is_its_owners_alone(tmp_path: Path) -> None:
    DiskFiles().write(str(tmp_path / "a" / "file"), b"x")
    assert (tmp_path / "a" / "file").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0


def test_a_write_leaves_nothing_beside_the_file(tmp_path: Path) -> None:
    DiskFiles().write(str(tmp_path / "file"), b"x")
    DiskFiles().write(str(tmp_path / "file"), b"y")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError, match="directory"):
        DiskFiles().write(str(tmp_path / "file"), b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# liveness


def file_locks(tmp_path: Path) -> Callable[[], Liveness]:
    return lambda: FileLocks(tmp_path / "locks")


def memory_locks(_: Path) -> Callable[[], Liveness]:
    world: set[str] = set()
    duties: dict[str, str] = {}
    return lambda: MemoryLocks(world, duties)


@pytest.fixture(params=[file_locks, memory_locks], ids=["files", "memory"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Liveness]:
    """Makes one more look at the same world of dispatchers."""
    made: Callable[[], Liveness] = request.param(tmp_path)
    return made


def test_nobody_is_alive_in_the_beginning(another: Callable[[], Liveness]) -> None:
    assert not another().alive("d1")


def test_who_holds_is_alive_for_itself_and_for_others(another: Callable[[], Liveness]) -> None:
    mine, other = another(), another()
    mine.hold("d1")
    assert mine.alive("d1")
    assert other.alive("d1")
    assert not other.alive("d2")
    mine.drop("d1")


def test_who_dropped_is_no_longer_alive(another: Callable[[], Liveness]) -> None:
    mine, other = another(), another()
    mine.hold("d1")
    mine.hold("d2")
    mine.drop("d1")
    assert not mine.alive("d1")
    assert not other.alive("d1")
    assert other.alive("d2")
    mine.drop("d2")


def test_asking_takes_no_lock_away(another: Callable[[], Liveness]) -> None:
    mine, other = another(), another()
    mine.hold("d1")
    assert all(other.alive("d1") for _ in range(5))
    assert not other.alive("d2")
    other.hold("d2")
    assert mine.alive("d2")
    mine.drop("d1")
    other.drop("d2")


def test_one_dispatcher_at_a_time_has_a_duty(another: Callable[[], Liveness]) -> None:
    mine, other = another(), another()
    mine.hold("d1")
    other.hold("d2")
    assert mine.on_duty("d1", "feeders")
    assert mine.on_duty("d1", "feeders")
    assert not other.on_duty("d2", "feeders")
    assert other.on_duty("d2", "something else")
    mine.drop("d1")
    assert other.on_duty("d2", "feeders")
    other.drop("d2")


def test_two_dispatchers_of_one_process_do_not_share_a_duty(another: Callable[[], Liveness]) -> None:
    both = another()
    both.hold("d1")
    both.hold("d2")
    assert both.on_duty("d1", "feeders")
    assert not both.on_duty("d2", "feeders")
    both.drop("d1")
    assert both.on_duty("d2", "feeders")
    both.drop("d2")


HOLD = """
import sys, time
from pathlib import Path
from adapters.system import FileLocks
locks = FileLocks(Path(sys.argv[1]))
locks.hold("d1")
assert locks.on_duty("d1", "feeders")
print("held", flush=True)
time.sleep(60)
"""


def test_the_kernel_ends_the_life_of_a_killed_dispatcher(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "locks")],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    locks = FileLocks(tmp_path / "locks")
    assert locks.alive("d1")
    holder.kill()
    holder.wait()
    holder.stdout.close()
    assert not locks.alive("d1")
    assert not locks.alive("d1")


def test_a_child_of_a_dispatcher_does_not_keep_it_alive(tmp_path: Path) -> None:
    mine, other = FileLocks(tmp_path / "locks"), FileLocks(tmp_path / "locks")
    mine.hold("d1")
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    mine.drop("d1")
    assert not other.alive("d1")
    child.kill()
    child.wait()


def test_locks_leave_no_files_behind(tmp_path: Path) -> None:
    mine = FileLocks(tmp_path / "locks")
    mine.hold("d1")
    mine.drop("d1")
    assert list((tmp_path / "locks").iterdir()) == []


def test_a_held_lock_names_its_process(tmp_path: Path) -> None:
    mine = FileLocks(tmp_path / "locks")
    mine.hold("d1")
    assert (tmp_path / "locks" / "d1.lock").read_text() == f"{os.getpid()}\n"
    mine.drop("d1")


def test_nobody_holds_what_another_holds(tmp_path: Path) -> None:
    mine, other = FileLocks(tmp_path / "locks"), FileLocks(tmp_path / "locks")
    mine.hold("d1")
    with pytest.raises(BlockingIOError):
        other.hold("d1")
    mine.drop("d1")
