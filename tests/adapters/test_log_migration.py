"""DP-3: a database of an older version is brought up to date in one transaction, also by several processes at once."""

import json
import sqlite3
from pathlib import Path
from typing import Any, Final

import pytest

from adapters import archive
from adapters.log_schema import INDEX_TABLES, SCHEMA
from adapters.log_sqlite import SqliteLog
from tests.adapters.children import start
from tests.adapters.puts import queued

COUNT: Final = 2_000
OPENS: Final = """
import time
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
log = SqliteLog(Path(sys.argv[1]), create=sys.argv[3] == "create")
mine = f"by-{sys.argv[4]}"
[done] = log.append([queued(mine)])
assert not isinstance(done, Exception), done
print(json.dumps({"ready": len(log.ready(0, 10_000)), "mine": mine in log.ready(0, 10_000)}))
log.close()
"""


def old(folder: Path, version: int = 1, count: int = COUNT) -> Path:
    """A log as an older version left it: the same events, another index."""
    log = SqliteLog(folder, create=True)
    for at in range(0, count, 500):
        log.append([queued(f"t{number}") for number in range(at, min(at + 500, count))])
    log.close()
    database = sqlite3.connect(folder / "log.db", isolation_level=None)
    for table in INDEX_TABLES:
        database.execute(f"DROP TABLE {table}")
    database.execute("CREATE TABLE task_index(task TEXT PRIMARY KEY, status TEXT)")
    database.execute("INSERT INTO task_index VALUES ('t0', 'pending')")
    database.execute(f"PRAGMA user_version = {version}")
    database.close()
    return folder


def version(folder: Path) -> int:
    database = sqlite3.connect(folder / "log.db")
    found: int = database.execute("PRAGMA user_version").fetchone()[0]
    database.close()
    return found


@pytest.mark.parametrize("how", ["create", "open"])
@pytest.mark.parametrize("attempt", range(2))
def test_dp3_processes_that_open_an_old_log_at_once_all_succeed(tmp_path: Path, how: str, attempt: int) -> None:
    import time

    _ = attempt
    folder = old(tmp_path / "log")
    at = time.time() + 1.5
    children = [start(OPENS, folder, at, how, number) for number in range(4)]
    said: list[dict[str, Any]] = []
    for child in children:
        out, _ = child.communicate(timeout=60)
        assert child.returncode == 0, out
        said.append(json.loads(out))
    assert all(each["mine"] for each in said)
    assert all(COUNT < each["ready"] <= COUNT + 4 for each in said)
    log = SqliteLog(folder)
    assert (version(folder), len(log.ready(0, 10_000)), log.head().position) == (SCHEMA, COUNT + 4, COUNT + 4)
    log.close()


@pytest.mark.parametrize("found", range(1, SCHEMA))
def test_dp3_every_older_version_is_brought_up_to_date(tmp_path: Path, found: int) -> None:
    folder = old(tmp_path / "log", found, 3)
    log = SqliteLog(folder)
    assert (version(folder), log.ready(0, 9)) == (SCHEMA, ["t0", "t1", "t2"])
    log.close()


def test_dp3_what_breaks_in_the_middle_leaves_the_old_one_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = old(tmp_path / "log", 1, 3)

    def broken(*_: object) -> int:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(archive, "reindex_within", broken)
        with pytest.raises(ZeroDivisionError):
            SqliteLog(folder)
    database = sqlite3.connect(folder / "log.db")
    assert database.execute("SELECT * FROM task_index").fetchall() == [("t0", "pending")]
    database.close()
    assert version(folder) == 1
    log = SqliteLog(folder)
    assert log.ready(0, 9) == ["t0", "t1", "t2"]
    log.close()
