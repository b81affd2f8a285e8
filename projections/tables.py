"""The DuckDB tables, what each column means, and the SQL that brings them up to date from new events."""

import hashlib
from typing import Final

from projections import agent_tables, work_views

OLD_TOPICS: Final[frozenset[str]] = frozenset()  # topics that are upcast before they are projected

# table -> {column: (type, meaning)}
COLUMNS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "events": {
        "position": ("BIGINT", "place in the log, from 1, without gaps"),
        "stream": ("VARCHAR", "task id, run id, or run id followed by .output"),
        "version": ("INTEGER", "place in the stream, from 1"),
        "topic": ("VARCHAR", "name of the event with its version"),
        "recorded_at": ("TIMESTAMP", "when it was recorded, UTC"),
        "actor": ("VARCHAR", "who caused it: operator, adapter or system, with a name"),
        "task": ("VARCHAR", "the task it belongs to, empty for none"),
        "caused_by": ("BIGINT", "position of the event that led to it, 0 for none"),
        "data": ("JSON", "the fields of the event itself"),
    },
    "tasks": {
        "task": ("VARCHAR", "id"),
        "position": ("BIGINT", "where it was taken in"),
        "kind": ("VARCHAR", "sort of work"),
        "source": ("VARCHAR", "where it came from"),
        "subject": ("VARCHAR", "one line for people"),
        "adapter": ("VARCHAR", "wanted adapter, empty for the default"),
        "profile": ("VARCHAR", "wanted profile"),
        "priority": ("INTEGER", "larger is sooner"),
        "status": ("VARCHAR", "state of the task"),
        "cause": ("VARCHAR", "why it is blocked, failed or waits for a retry"),
        "attempts": ("INTEGER", "attempts spent"),
        "max_attempts": ("INTEGER", "attempts allowed"),
        "run": ("VARCHAR", "latest run"),
        "created_at": ("TIMESTAMP", "when it was taken in, UTC"),
        "updated_at": ("TIMESTAMP", "when its state last changed, UTC"),
        "due_at": ("TIMESTAMP", "not claimable before, NULL for at once"),
    },
    "runs": {
        "run": ("VARCHAR", "id"),
        "task": ("VARCHAR", "its task"),
        "position": ("BIGINT", "where its task was claimed"),
        "attempt": ("INTEGER", "which attempt of the task"),
        "epoch": ("INTEGER", "which claim of the task"),
        "dispatcher": ("VARCHAR", "the dispatcher that claimed it"),
        "adapter": ("VARCHAR", "the adapter that ran it"),
        "state": (
            "VARCHAR",
            "running, waiting_for_approval, needs_reconcile, resuming, or how it ended",
        ),
        "cause": ("VARCHAR", "why it ended so"),
        "retry": ("VARCHAR", "none, retryable or permanent"),
        "claimed_at": ("TIMESTAMP", "UTC"),
        "started_at": ("TIMESTAMP", "when its bundle was compiled, UTC"),
        "finished_at": ("TIMESTAMP", "UTC"),
        "finished_position": ("BIGINT", "where it ended"),
        "bundle_sha256": ("VARCHAR", "digest of its frozen inputs"),
        "outcome_sha256": ("VARCHAR", "digest of the outcome that it reported, where there is one"),
        "bypass": ("VARCHAR", "what its program was started with that takes a restraint away, empty for nothing"),
        "tokens_in": ("BIGINT", "as its adapter told, NULL where it did not"),
        "tokens_out": ("BIGINT", "as its adapter told, NULL where it did not"),
        "cost_usd": ("DECIMAL(18,9)", "as its adapter told, NULL where it did not"),
    },
    "tool_calls": {
        "run": ("VARCHAR", "its run"),
        "call": ("INTEGER", "ordinal in the run, from 1"),
        "task": ("VARCHAR", "its task"),
        "position": ("BIGINT", "where it was asked for"),
        "tool": ("VARCHAR", "what was called"),
        "effect": ("VARCHAR", "idempotent or once"),
        "input_sha256": ("VARCHAR", "digest of argv, folder and names of variables"),
        "state": ("VARCHAR", "requested, running, exited, not_started, returned, failed or lost"),
        "cause": ("VARCHAR", "why it was not started, or asked to end"),
        "pid": ("BIGINT", "of its leader"),
        "requested_at": ("TIMESTAMP", "UTC"),
        "started_at": ("TIMESTAMP", "UTC"),
        "ended_at": ("TIMESTAMP", "UTC"),
        "exit_code": ("INTEGER", "NULL when a signal ended it"),
        "signal": ("VARCHAR", "empty when it exited by itself"),
        "duration_s": ("DOUBLE", "from start to exit, monotonic clock"),
        "stdout_bytes": ("BIGINT", "stored"),
        "stderr_bytes": ("BIGINT", "stored"),
        "dropped_bytes": ("BIGINT", "read beyond the limit and not stored"),
        "killed": ("INTEGER", "descendants that had to be ended"),
        "timeout_s": ("DOUBLE", "its own time limit, NULL for that of the run"),
    },
    "output": {
        "position": ("BIGINT", "of the output event"),
        "run": ("VARCHAR", "its run"),
        "call": ("INTEGER", "ordinal of the call in the run"),
        "stream": ("VARCHAR", "stdout or stderr"),
        "offset": ("BIGINT", "bytes of this call and stream before it"),
        "size": ("BIGINT", "bytes"),
        "lines": ("INTEGER", "line ends in it"),
        "recorded_at": ("TIMESTAMP", "when it was recorded, UTC"),
        "text": ("VARCHAR", "the output, undecodable bytes replaced; NULL once erased"),
    },
    "decisions": {
        "position": ("BIGINT", "of the decision"),
        "run": ("VARCHAR", "its run"),
        "task": ("VARCHAR", "its task"),
        "recorded_at": ("TIMESTAMP", "UTC"),
        "decision": (
            "VARCHAR",
            "call, retry, block; of a controller: wait, tool, ask, none; of both: cancel, finish",
        ),
        "cause": ("VARCHAR", "what it rests on"),
        "call": ("INTEGER", "the call that it concerns, NULL for the whole run"),
        "seen_position": ("BIGINT", "the fact that it answers"),
    }
    | agent_tables.DECISION_COLUMNS,
} | agent_tables.COLUMNS

TABLE_DOCS: Final[dict[str, str]] = {
    "events": "the log, one row an event",
    "tasks": "one row a task, as it is now",
    "runs": "one row an attempt at a task",
    "tool_calls": "one row a process that a run asked for",
    "output": "one row an output event, with its text",
    "decisions": "one row a decision of a run's program or controller",
} | agent_tables.TABLE_DOCS

VIEWS: Final = agent_tables.VIEWS | work_views.VIEWS
META: Final = "CREATE TABLE meta(schema VARCHAR, position BIGINT, hash BLOB)"
BODIES: Final = "CREATE OR REPLACE TEMP TABLE bodies(position BIGINT, text VARCHAR)"


def create_statements() -> list[str]:
    """The DDL of every table."""
    made = [META]
    for table, columns in COLUMNS.items():
        fields = ", ".join(f'"{name}" {kind}' for name, (kind, _) in columns.items())
        made.append(f"CREATE TABLE {table}({fields})")
        made.append(f"COMMENT ON TABLE {table} IS {_quoted(TABLE_DOCS[table])}")
        made += [f'COMMENT ON COLUMN {table}."{name}" IS {_quoted(doc)}' for name, (_, doc) in columns.items()]
    for view, (doc, definition, _) in VIEWS.items():
        made += [f"CREATE VIEW {view} AS {definition}", f"COMMENT ON VIEW {view} IS {_quoted(doc)}"]
    return made


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


# `fresh`: the events of this batch, read from a file of lines, with `e` their name without version
FRESH: Final = """CREATE OR REPLACE TEMP TABLE fresh AS
SELECT i.position, i.stream, i.version, i.topic, make_timestamp(i.state.at_us) AS recorded_at, i.state.actor AS actor,
       coalesce(i.state.correlation, '') AS task, i.caused_by, i.state.data AS data,
       regexp_replace(i.topic, '\\.v[0-9]+$', '') AS e
FROM read_json('{file}', format = 'newline_delimited', columns = {{
         position: 'BIGINT', stream: 'VARCHAR', version: 'INTEGER', topic: 'VARCHAR', caused_by: 'BIGINT',
         state: 'STRUCT(at_us BIGINT, actor VARCHAR, correlation VARCHAR, data JSON)'}}) i"""

_CHANGES = (
    "task.claimed",
    "task.completed",
    "task.retry_scheduled",
    "task.failed",
    "task.blocked",
    "task.canceled",
    "task.retried",
    "task.unblocked",
    "task.parked",
    "task.resumed",
)
_DECISIONS = (
    "run.tool_call_requested",
    "run.cancel_requested",
    "run.finished",
    "task.retry_scheduled",
    "task.blocked",
)

# each with the names of the events without which it has nothing to do, none for all
UPDATES: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (
        (),
        """INSERT INTO events
SELECT position, stream, version, topic, recorded_at, actor, task, caused_by, data FROM fresh""",
    ),
    (
        ("task.queued",),
        """INSERT INTO tasks
SELECT stream, position, data->>'$.kind', data->>'$.source', coalesce(data->>'$.subject', ''), data->>'$.adapter',
       coalesce(data->>'$.profile', ''), (data->>'$.priority')::INTEGER, 'pending', '', 0,
       (data->>'$.max_attempts')::INTEGER, '', recorded_at, recorded_at, make_timestamp((data->>'$.due_at_us')::BIGINT)
FROM fresh WHERE e = 'task.queued'""",
    ),
    (
        _CHANGES,
        """UPDATE tasks SET status = n.status, cause = n.cause, due_at = n.due_at, updated_at = n.recorded_at,
       attempts = coalesce(n.attempts, tasks.attempts) - n.given_back,
       max_attempts = coalesce(n.max_attempts, tasks.max_attempts), run = coalesce(n.run, tasks.run)
FROM (SELECT stream, max(recorded_at) AS recorded_at,
             arg_max(CASE e WHEN 'task.claimed' THEN 'running' WHEN 'task.completed' THEN 'completed'
                     WHEN 'task.retry_scheduled' THEN 'retryable_failure' WHEN 'task.failed' THEN 'permanent_failure'
                     WHEN 'task.blocked' THEN 'blocked' WHEN 'task.canceled' THEN 'operator_canceled'
                     WHEN 'task.parked' THEN data->>'$.status'
                     ELSE 'pending' END, position) AS status,
             arg_max(CASE e WHEN 'task.canceled' THEN 'operator_canceled' WHEN 'task.resumed' THEN ''
                     ELSE coalesce(data->>'$.cause', '') END, position) AS cause,
             arg_max(coalesce(data->>'$.due_at_us', '-1')::BIGINT, position) AS due_us,
             CASE WHEN due_us > 0 THEN make_timestamp(due_us) END AS due_at,
             arg_max((data->>'$.attempt')::INTEGER, position) FILTER (e = 'task.claimed') AS attempts,
             coalesce(arg_max(e, position) FILTER (e = 'task.claimed' OR data->>'$.refunded' = 'true')
                      = 'task.retry_scheduled', false)::INTEGER AS given_back,
             arg_max((data->>'$.max_attempts')::INTEGER, position)
                 FILTER (e IN ('task.retried', 'task.unblocked')) AS max_attempts,
             arg_max(data->>'$.run', position) FILTER (e = 'task.claimed') AS run
      FROM fresh WHERE e LIKE 'task.%' AND e NOT IN ('task.queued', 'task.prioritized', 'task.edited')
      GROUP BY stream) n
WHERE tasks.task = n.stream""",
    ),
    (
        ("task.prioritized",),
        """UPDATE tasks SET priority = n.priority, updated_at = greatest(tasks.updated_at, n.recorded_at)
FROM (SELECT stream, arg_max((data->>'$.priority')::INTEGER, position) AS priority, max(recorded_at) AS recorded_at
      FROM fresh WHERE e = 'task.prioritized' GROUP BY stream) n
WHERE tasks.task = n.stream""",
    ),
    (
        ("task.edited",),
        """UPDATE tasks SET adapter = n.adapter, profile = n.profile, subject = n.subject,
       updated_at = greatest(tasks.updated_at, n.recorded_at)
FROM (SELECT stream, max(recorded_at) AS recorded_at, arg_max(data->>'$.adapter', position) AS adapter,
             arg_max(coalesce(data->>'$.profile', ''), position) AS profile,
             arg_max(coalesce(data->>'$.subject', ''), position) AS subject
      FROM fresh WHERE e = 'task.edited' GROUP BY stream) n
WHERE tasks.task = n.stream""",
    ),
    (
        ("task.claimed",),
        """INSERT INTO runs
SELECT data->>'$.run', stream, position, (data->>'$.attempt')::INTEGER, (data->>'$.epoch')::INTEGER,
       data->>'$.dispatcher', '', 'running', '', '', recorded_at, NULL, NULL, NULL, '', '', '',
       NULL, NULL, NULL
FROM fresh WHERE e = 'task.claimed' AND data->>'$.resumed' IS NULL""",
    ),
    (
        ("run.started",),
        """UPDATE runs SET adapter = data->>'$.adapter', started_at = recorded_at,
       bundle_sha256 = data->>'$.bundle.sha256', bypass = coalesce(array_to_string(data->>'$.bypass[*]', ', '), '')
FROM fresh WHERE e = 'run.started' AND runs.run = stream""",
    ),
    (
        ("run.finished",),
        """UPDATE runs SET state = data->>'$.state', cause = coalesce(data->>'$.cause', ''), retry = data->>'$.retry',
       finished_at = recorded_at, finished_position = fresh.position,
       outcome_sha256 = coalesce(data->>'$.outcome.sha256', ''), tokens_in = (data->>'$.tokens_in')::BIGINT,
       tokens_out = (data->>'$.tokens_out')::BIGINT,
       cost_usd = ((data->>'$.cost_nusd')::BIGINT * 0.000000001)::DECIMAL(18, 9)
FROM fresh WHERE e = 'run.finished' AND runs.run = stream""",
    ),
    (
        ("run.tool_call_requested",),
        """INSERT INTO tool_calls
SELECT stream, (data->>'$.call')::INTEGER, task, position, data->>'$.tool', data->>'$.effect', data->>'$.input.sha256',
       'requested', '', NULL, recorded_at, NULL, NULL, NULL, '', NULL, 0, 0, 0, 0,
       nullif(coalesce((data->>'$.timeout_us')::BIGINT, 0), 0) / 1e6
FROM fresh WHERE e = 'run.tool_call_requested'""",
    ),
    (
        ("run.tool_started",),
        """UPDATE tool_calls SET state = 'running', pid = (data->>'$.pid')::BIGINT, started_at = recorded_at
FROM fresh WHERE e = 'run.tool_started' AND run = stream AND call = (data->>'$.call')::INTEGER""",
    ),
    (
        ("run.tool_not_started",),
        """UPDATE tool_calls SET state = 'not_started', ended_at = recorded_at
FROM fresh WHERE e = 'run.tool_not_started' AND run = stream AND call = (data->>'$.call')::INTEGER""",
    ),
    (
        ("run.cancel_requested", "run.tool_not_started"),
        """UPDATE tool_calls SET cause = n.cause
FROM (SELECT stream, (data->>'$.call')::INTEGER AS call, arg_max(data->>'$.cause', position) AS cause
      FROM fresh WHERE e IN ('run.cancel_requested', 'run.tool_not_started') GROUP BY ALL) n
WHERE run = n.stream AND tool_calls.call = n.call""",
    ),
    (
        ("run.tool_exited",),
        """UPDATE tool_calls SET state = 'exited', ended_at = recorded_at, exit_code = (data->>'$.exit_code')::INTEGER,
       signal = coalesce(data->>'$.signal', ''), duration_s = (data->>'$.duration_us')::BIGINT / 1e6,
       stdout_bytes = coalesce((data->>'$.stdout_bytes')::BIGINT, 0),
       stderr_bytes = coalesce((data->>'$.stderr_bytes')::BIGINT, 0),
       dropped_bytes = coalesce((data->>'$.dropped_bytes')::BIGINT, 0),
       killed = coalesce((data->>'$.killed')::INTEGER, 0)
FROM fresh WHERE e = 'run.tool_exited' AND run = stream AND call = (data->>'$.call')::INTEGER""",
    ),
    (
        ("run.owner_lost",),
        """UPDATE tool_calls SET state = 'lost', ended_at = recorded_at
FROM fresh WHERE e = 'run.owner_lost' AND run = stream AND state IN ('requested', 'running')""",
    ),
    (
        ("output.appended",),
        """INSERT INTO output
SELECT f.position, split_part(stream, '.', 1), (data->>'$.call')::INTEGER, data->>'$.stream',
       (data->>'$.offset')::BIGINT, (data->>'$.size')::BIGINT, (data->>'$.lines')::INTEGER, recorded_at, b.text
FROM fresh f LEFT JOIN bodies b USING (position) WHERE e = 'output.appended' ORDER BY f.position""",
    ),
    (
        _DECISIONS,
        """INSERT INTO decisions
SELECT position, CASE WHEN e LIKE 'run.%' THEN stream ELSE data->>'$.run' END, task, recorded_at,
       CASE e WHEN 'run.tool_call_requested' THEN 'call' WHEN 'run.cancel_requested' THEN 'cancel'
              WHEN 'run.finished' THEN 'finish' WHEN 'task.retry_scheduled' THEN 'retry' ELSE 'block' END,
       coalesce(data->>'$.cause', data->>'$.state', ''), (data->>'$.call')::INTEGER, caused_by,
       NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM fresh WHERE e IN ('run.tool_call_requested', 'run.cancel_requested', 'run.finished', 'task.retry_scheduled')
   OR (e = 'task.blocked' AND data->>'$.run' IS NOT NULL) ORDER BY position""",
    ),
    *agent_tables.UPDATES,
)

# what a file was made by: another definition makes another file
SCHEMA: Final = hashlib.sha256("\n".join([*create_statements(), FRESH, repr(UPDATES)]).encode()).hexdigest()[:16]
