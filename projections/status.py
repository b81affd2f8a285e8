"""What `rt status` shows, and the lists of tasks and runs: questions to the projection."""

from typing import Any

from projections.catch_up import Database

STATUSES = (
    "pending",
    "running",
    "waiting_for_approval",
    "blocked",
    "retryable_failure",
    "completed",
    "permanent_failure",
    "operator_canceled",
)


def status(database: Database, position: int) -> dict[str, Any]:
    """Counts, what runs, what waits for a person, what comes next, and the position at which this is true."""
    counts = dict(database.execute("SELECT status, count(*) FROM tasks GROUP BY status").fetchall())
    oldest = rows(
        database,
        "SELECT task, subject, kind, coalesce(due_at, created_at) AS since FROM tasks"
        " WHERE status IN ('pending', 'retryable_failure') AND since <= (SELECT max(recorded_at) FROM events)"
        " ORDER BY since, position LIMIT 1",
    )
    paused = database.execute(
        "SELECT arg_max(topic LIKE 'dispatcher.paused.%', position) FROM events WHERE topic LIKE 'dispatcher.%'"
    ).fetchone()
    return {
        "schema": "rt.status.v1",
        "position": position,
        "paused": bool(paused and paused[0]),
        "counts": {name: counts.get(name, 0) for name in STATUSES},
        "running": rows(
            database,
            "SELECT t.task, t.run, t.subject, t.kind, r.adapter, r.attempt, t.max_attempts, r.claimed_at FROM tasks t"
            " JOIN runs r ON r.run = t.run WHERE t.status = 'running' ORDER BY r.position LIMIT 50",
        ),
        "needs_you": rows(
            database,
            "SELECT task, run, subject, kind, status, cause, updated_at FROM tasks"
            " WHERE status IN ('blocked', 'waiting_for_approval') ORDER BY updated_at DESC, position DESC LIMIT 20",
        ),
        "failed": rows(
            database,
            "SELECT task, run, subject, kind, cause, updated_at FROM tasks WHERE status = 'permanent_failure'"
            " ORDER BY updated_at DESC, position DESC LIMIT 10",
        ),
        "next": rows(
            database,
            "SELECT task, subject, kind, status, due_at FROM tasks WHERE status IN ('pending', 'retryable_failure')"
            " AND due_at IS NOT NULL ORDER BY due_at, position LIMIT 5",
        ),
        "oldest_due": next(iter(oldest), None),
        "queue": rows(
            database,
            "SELECT row_number() OVER (ORDER BY priority DESC, position) AS place, task, subject, kind, profile,"
            " priority, status, created_at FROM tasks WHERE status IN ('pending', 'retryable_failure')"
            " ORDER BY priority DESC, position LIMIT 20",
        ),
    }


def tasks(database: Database, *, where: dict[str, str], before: int, limit: int) -> list[dict[str, Any]]:
    """Tasks, newest first, with a position below `before`."""
    wanted = {name: value for name, value in where.items() if value}
    conditions = "".join(f' AND "{name}" = ?' for name in wanted)
    query = f"SELECT * FROM tasks WHERE position < ?{conditions} ORDER BY position DESC LIMIT ?"  # noqa: S608  # column names are ours
    return rows(database, query, before, *wanted.values(), limit)


def runs(database: Database, *, task: str, state: str, before: int, limit: int) -> list[dict[str, Any]]:
    """Runs, newest first, with a position below `before`."""
    query = (
        "SELECT r.*, t.subject, t.kind, t.max_attempts FROM runs r JOIN tasks t USING (task) WHERE r.position < ?"
        " AND (? = '' OR r.task = ?) AND (? = '' OR r.state = ?) ORDER BY r.position DESC LIMIT ?"
    )
    return rows(database, query, before, task, task, state, state, limit)


def run(database: Database, wanted: str) -> dict[str, Any] | None:
    """One run with its calls."""
    query = "SELECT r.*, t.subject, t.kind, t.max_attempts FROM runs r JOIN tasks t USING (task) WHERE r.run = ?"
    found = rows(database, query, wanted)
    if not found:
        return None
    calls = rows(database, "SELECT * FROM tool_calls WHERE run = ? ORDER BY call", wanted)
    return found[0] | {"calls": calls}


def task(database: Database, wanted: str) -> dict[str, Any] | None:
    """One task with its runs."""
    found = rows(database, "SELECT * FROM tasks WHERE task = ?", wanted)
    if not found:
        return None
    mine = rows(
        database,
        "SELECT run, attempt, state, cause, claimed_at, finished_at, bypass FROM runs WHERE task = ? ORDER BY position",
        wanted,
    )
    return found[0] | {"runs": mine}


def rows(database: Database, query: str, *parameters: object) -> list[dict[str, Any]]:
    """A query's rows as dicts, fetched at once: a connection holds one result."""
    result = database.execute(query, list(parameters))
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
