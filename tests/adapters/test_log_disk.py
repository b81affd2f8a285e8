"""The log on disks that are full, read-only or broken, and beside other processes. All of it real, in children."""

import functools
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.log_sqlite import SqliteLog
from domain import errors
from tests.adapters.children import said, shim, start
from tests.adapters.puts import append, notes, queued
from tests.adapters.test_log_sqlite import first_bad

KIB = 1024


@functools.cache
def private_mounts() -> tuple[str, ...]:
    """The command that gives a child mounts of its own, which vanish with it; empty where that is not allowed."""
    for command in (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")):
        try:
            subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return command
    return ()


# a full disk

LIMIT = """
import resource, signal, subprocess
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder, mounted = Path(sys.argv[1]), sys.argv[2] == "mounted"
def space(kib):
    if mounted:
        how = ["-o", f"remount,size={kib}k"] if os.path.ismount(folder) else ["-t", "tmpfs", "-o", f"size={kib}k"]
        subprocess.run(["mount", *how, "none", folder], check=True)
    else:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kib * 1024, resource.RLIM_INFINITY))
"""
FULL = (
    LIMIT
    + """
space(600)
log = SqliteLog(folder / "log", create=True)
acknowledged, problem, version = 0, None, 1
while problem is None and version < 1000:
    try:
        [result] = log.append([put(note("a", version, "x" * (9000 if version % 2 else 1)))])
        acknowledged, version = result[-1], version + 1
    except errors.RtError as found:
        problem = type(found).__name__
again = []
for _ in range(3):
    try:
        log.append([put(note("a", version, "x" * 200000))])
        again.append("appended")
    except errors.RtError as found:
        again.append(type(found).__name__)
read = [event.version for event in log.read(0, 2000)]
space(8000)
[later] = log.append([put(note("a", version, "x" * 9000))])
end = log.head().position
log.close()
reopened = SqliteLog(folder / "log")
print(json.dumps({"acknowledged": acknowledged, "problem": problem, "again": again, "read": len(read),
    "later": list(later), "end": end, "reopened": reopened.head().position}))
"""
)


@pytest.fixture(scope="module", params=["limited", *(["mounted"] if private_mounts() else [])])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What happened to a log on a disk that filled up (or beyond a quota) and was then enlarged."""
    folder, mounted = tmp_path_factory.mktemp("full"), request.param == "mounted"
    said_of_it = said(FULL, folder, request.param, wrapper=private_mounts() if mounted else ())
    found: dict[str, Any] = json.loads(said_of_it)
    return found


def test_a_full_disk_is_named_and_nothing_more_is_acknowledged(full: dict[str, Any]) -> None:
    assert full["problem"] == "StoreFull"
    assert full["again"] == ["StoreFull"] * 3


def test_a_full_disk_loses_nothing_that_was_acknowledged_and_stays_readable(full: dict[str, Any]) -> None:
    assert full["acknowledged"] > 10
    assert full["read"] == full["acknowledged"]


def test_the_same_log_goes_on_by_itself_when_there_is_space_again(full: dict[str, Any]) -> None:
    assert full["later"] == [full["acknowledged"] + 1]
    assert full["end"] == full["reopened"] == full["acknowledged"] + 1


# a folder that cannot be written

READ = """
import adapters.log_reader, adapters.compress, adapters.codec, ctypes
folder = Path(sys.argv[1])
if sys.argv[2] == "mounted":
    import subprocess
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
elif os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
found = {}
for name, how in (("open", dict()), ("create", dict(create=True))):
    try:
        log = SqliteLog(folder, **how)
        log.append([notes("b", 1, 1)])
        found[name] = "appended"
    except BaseException as problem:
        found[name] = type(problem).__name__ + ": " + str(problem)
try:
    reader = adapters.log_reader.LogReader(folder)
    found["read"] = [row.stream for row in reader.rows(0, 99, 99)]
except errors.RtError as problem:
    found["read"] = type(problem).__name__ + ": " + str(problem)
print(json.dumps(found))
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that another user can reach but not write."""
    folder = Path(tempfile.mkdtemp(prefix="rt-readable-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def ways() -> list[str]:
    return ["another user", *(["mounted"] if private_mounts() else [])]


def open_up(folder: Path) -> None:
    """Readable for everybody, writable for its owner at most."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    if os.geteuid():
        folder.chmod(0o555)


@pytest.mark.parametrize("way", ways())
def test_a_log_that_cannot_be_written_says_so_and_is_read_as_it_lies(public: Path, way: str) -> None:
    log = SqliteLog(public / "log", create=True)
    append(log, notes("a", 1, 2))
    log.close()
    open_up(public)
    wrapper = private_mounts() if way == "mounted" else ()
    found = json.loads(said(READ, public / "log", way, wrapper=wrapper))
    assert found["read"] == ["a", "a"]
    assert found["open"].startswith(f"StoreFull: {public}/log/log.db cannot be written: ")
    assert found["create"].startswith(f"StoreFull: {public}/log/log.db cannot be written: ")


@pytest.mark.parametrize("way", ways())
def test_a_reader_without_the_last_events_says_so_instead_of_hiding_them(public: Path, way: str) -> None:
    log = SqliteLog(public / "log", create=True)
    append(log, notes("a", 1, 2))
    shutil.copytree(public / "log", public / "crashed")
    log.close()
    (public / "crashed" / "log.db-shm").unlink()
    open_up(public)
    wrapper = private_mounts() if way == "mounted" else ()
    found = json.loads(said(READ, public / "crashed", way, wrapper=wrapper))
    assert found["read"].startswith("StoreFull: ")
    assert "the last events lie in its WAL file" in found["read"]


def test_a_log_whose_folder_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StoreFull):
        SqliteLog(tmp_path / "file" / "log", create=True)


# other processes

CREATE = """
print("ready", flush=True)
sys.stdin.readline()
log = SqliteLog(Path(sys.argv[1]), create=True)
for version in range(1, 11):
    [result] = log.append([notes(sys.argv[2], version, version)])
    assert not isinstance(result, Exception), result
log.close()
print("done")
"""


@pytest.mark.parametrize("attempt", range(4))
def test_processes_that_create_the_same_log_at_once_all_succeed(tmp_path: Path, attempt: int) -> None:
    folder = tmp_path / f"log{attempt}"
    children = [start(CREATE, folder, f"s{number}") for number in range(6)]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    assert [child.communicate(timeout=30)[0] for child in children] == ["done\n"] * 6
    log = SqliteLog(folder)
    assert log.head().position == 60
    assert first_bad(folder) is None
    log.close()


ACKNOWLEDGE = """
log = SqliteLog(Path(sys.argv[1]), create=True)
for version in range(1, 100000):
    [result] = log.append([notes("a", version, version), output(version, b"x" * 100)])[:1]
    print(version, flush=True)
"""


def test_a_killed_process_loses_nothing_that_it_had_acknowledged(tmp_path: Path) -> None:
    child = start(ACKNOWLEDGE, tmp_path / "log")
    assert child.stdout is not None
    lines = [child.stdout.readline() for _ in range(50)]
    child.kill()
    rest = child.communicate(timeout=30)[0].splitlines()
    acknowledged = int((rest or lines)[-1])
    log = SqliteLog(tmp_path / "log")
    assert log.version("a") >= acknowledged
    assert [each.version for each in log.stream("a")] == list(range(1, log.version("a") + 1))
    assert first_bad(tmp_path / "log") is None
    log.close()


# syncs

SYNCED = """
def syncs():
    return [line for line in Path(os.environ["SYNC_TRACE"]).read_text().splitlines() if line.endswith("log.db-wal")]
log = SqliteLog(Path(sys.argv[1]), create=True)
counts, before = [], len(syncs())
for version in range(1, 21):
    log.append([notes(f"s{version}.{number}", 1, 1) for number in range(version)])
    counts.append(len(syncs()) - before)
    before = len(syncs())
print(json.dumps(counts))
os._exit(0)
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> str:
    return shim(tmp_path_factory.mktemp("shim"))


def test_every_acknowledged_append_was_synced_and_a_group_only_once(tmp_path: Path, library: str) -> None:
    trace = tmp_path / "trace"
    trace.touch()
    counts = json.loads(said(SYNCED, tmp_path / "log", LD_PRELOAD=library, SYNC_TRACE=str(trace)))
    assert min(counts) >= 1
    assert counts[1:] == [1] * 19


def test_closing_syncs_the_head_record_and_its_folder(tmp_path: Path, library: str) -> None:
    trace = tmp_path / "trace"
    trace.touch()
    source = "log = SqliteLog(Path(sys.argv[1]), create=True); log.append([notes('a', 1, 1)]); log.close()"
    said(source, tmp_path / "log", LD_PRELOAD=library, SYNC_TRACE=str(trace))
    synced = trace.read_text().splitlines()
    at = synced.index(f"{tmp_path}/log/head.json.new")
    assert synced[at + 1] == f"{tmp_path}/log"


FAILING = """
log = SqliteLog(Path(sys.argv[1]), create=True)
told = []
for version in range(1, 9):
    expected = log.version("a") + 1
    try:
        [result] = log.append([put(note("a", expected, f"{version}"))])
        told.append([expected, f"{version}", isinstance(result, Exception)])
    except errors.RtError as problem:
        told.append([expected, f"{version}", type(problem).__name__])
print(json.dumps(told), flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("failures", [1, 1000], ids=["once", "from then on"])
@pytest.mark.parametrize("number", range(1, 8))
def test_an_io_error_at_any_sync_loses_nothing_that_was_acknowledged(
    tmp_path: Path, library: str, number: int, failures: int
) -> None:
    folder = tmp_path / "log"
    SqliteLog(folder, create=True).close()
    source = said(FAILING, folder, LD_PRELOAD=library, SYNC_FAIL=str(number), SYNC_FAILURES=str(failures))
    told = json.loads(source)
    acknowledged = {version: text for version, text, failed in told if failed is False}
    failed = [failed for _, _, failed in told if failed is not False]
    assert failed, "the fault was not reached"
    assert set(failed) == {"OutcomeUnknown"}
    log = SqliteLog(folder)
    stored = {each.version: getattr(each.data, "reason", "") for each in log.stream("a")}
    assert stored.items() >= acknowledged.items()
    assert first_bad(folder) is None
    assert log.append([queued()])[0] == range(len(stored) + 1, len(stored) + 2)
    log.close()
