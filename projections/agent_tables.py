"""The DuckDB tables about controllers and people: decisions in full, approvals, messages, and views on them."""

from typing import Final

DECISION_COLUMNS: Final = {
    "number": ("INTEGER", "ordinal of a controller's decision in its run, NULL for what a one-shot program derived"),
    "path": ("VARCHAR", "slow or fast"),
    "controller": ("VARCHAR", "who decided"),
    "rule": ("VARCHAR", "the rule of the table that spoke"),
    "triggers": ("VARCHAR", "why it was asked, with commas between"),
    "refused": ("VARCHAR", "why the answer was none"),
    "window_first": ("INTEGER", "version of the run's output stream from which on it saw"),
    "window_last": ("INTEGER", "version of the run's output stream up to which it saw"),
    "window_bytes": ("BIGINT", "end of the last chunk that it saw, in bytes of its call and stream"),
    "request_sha256": ("VARCHAR", "digest of the exact request"),
    "answer_sha256": ("VARCHAR", "digest of the raw answer"),
    "model": ("VARCHAR", "the model that answered"),
    "tokens_in": ("BIGINT", "NULL where it did not say"),
    "tokens_out": ("BIGINT", "NULL where it did not say"),
    "latency_s": ("DOUBLE", "from the question to the answer"),
    "cost_usd": ("DECIMAL(18,9)", "NULL where prices or tokens are not known"),
    "prices": ("VARCHAR", "version of the price list"),
}

COLUMNS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "approvals": {
        "run": ("VARCHAR", "its run"),
        "call": ("INTEGER", "ordinal of the call in the run"),
        "task": ("VARCHAR", "its task"),
        "position": ("BIGINT", "where it was asked for"),
        "tool": ("VARCHAR", "what is to be called"),
        "kind": ("VARCHAR", "approval or question"),
        "digest": ("VARCHAR", "what an answer is bound to: tool, arguments, profile, policy"),
        "rules": ("VARCHAR", "which rules ask, with commas between"),
        "state": ("VARCHAR", "pending, approved, edited, rejected, expired or withdrawn"),
        "approver": ("VARCHAR", "who answered"),
        "channel": ("VARCHAR", "through which door"),
        "requested_at": ("TIMESTAMP", "UTC"),
        "expires_at": ("TIMESTAMP", "UTC, NULL for never"),
        "resolved_at": ("TIMESTAMP", "UTC"),
    },
    "messages": {
        "position": ("BIGINT", "where it was said"),
        "thread": ("VARCHAR", "its thread"),
        "task": ("VARCHAR", "the task that answers it"),
        "profile": ("VARCHAR", "the profile that it was given to"),
        "text_sha256": ("VARCHAR", "digest of its text"),
        "recorded_at": ("TIMESTAMP", "UTC"),
    },
}

TABLE_DOCS: Final[dict[str, str]] = {
    "approvals": "one row a call or question that waited for a person",
    "messages": "one row a message of a thread; the answer is the outcome of its task's run",
}

# name -> (definition, {column: meaning})
VIEWS: Final[dict[str, tuple[str, str, dict[str, str]]]] = {
    "costs": (
        "what asking models took, one row an answer; of an adapter that tells it, one row a run",
        """SELECT d.position, d.run, d.task, d.recorded_at, d.controller, d.model, d.tokens_in, d.tokens_out,
       d.cost_usd, d.prices
FROM decisions d WHERE d.request_sha256 IS NOT NULL
UNION ALL SELECT r.finished_position, r.run, r.task, r.finished_at, r.adapter, '', r.tokens_in, r.tokens_out,
       r.cost_usd, NULL
FROM runs r WHERE r.tokens_in IS NOT NULL OR r.tokens_out IS NOT NULL OR r.cost_usd IS NOT NULL""",
        {
            "position": "of the decision, or of the run's end",
            "run": "its run",
            "task": "its task",
            "recorded_at": "UTC",
            "controller": "who was asked, or the adapter",
            "model": "the model that answered, empty for an adapter",
            "tokens_in": "NULL where it did not say",
            "tokens_out": "NULL where it did not say",
            "cost_usd": "NULL where prices or tokens are not known",
            "prices": "version of the price list",
        },
    ),
    "windows": (
        "which output a decision saw, as positions of the log",
        """SELECT d.run, d.number, d.position, a.position AS seen_from, b.position AS seen_to
FROM decisions d LEFT JOIN events a ON a.stream = d.run || '.output' AND a.version = d.window_first
LEFT JOIN events b ON b.stream = d.run || '.output' AND b.version = d.window_last WHERE d.number IS NOT NULL""",
        {
            "run": "its run",
            "number": "ordinal of the decision",
            "position": "of the decision",
            "seen_from": "position of the first output event that it saw, NULL for none",
            "seen_to": "position of the last output event that it saw",
        },
    ),
    "early_cancels": (
        "calls that a controller ended, and what that saved against a stated baseline",
        """SELECT c.run, c.call, c.task, c.tool, c.duration_s, b.baseline_s, b.baseline_s - c.duration_s AS saved_s,
       b.basis
FROM tool_calls c, LATERAL (
  SELECT coalesce(max(o.duration_s), c.timeout_s) AS baseline_s,
         CASE WHEN max(o.duration_s) IS NOT NULL THEN 'earlier full run'
              WHEN c.timeout_s IS NOT NULL THEN 'time limit' END AS basis
  FROM tool_calls o WHERE o.input_sha256 = c.input_sha256 AND o.cause = '' AND o.state = 'exited'
    AND o.position < c.position
) b WHERE c.cause = 'controller' AND c.state = 'exited'""",
        {
            "run": "its run",
            "call": "ordinal of the call",
            "task": "its task",
            "tool": "what was called",
            "duration_s": "how long it ran",
            "baseline_s": "how long it would have run, NULL where nothing says it",
            "saved_s": "the difference, NULL without a baseline",
            "basis": "earlier full run or time limit",
        },
    ),
}

UPDATES: Final[tuple[tuple[tuple[str, ...], str], ...]] = (
    (
        ("run.decision_made",),
        """INSERT INTO decisions
SELECT position, stream, task, recorded_at, data->>'$.decision', coalesce(data->>'$.refused', ''),
       (data->>'$.calls[0]')::INTEGER, caused_by, (data->>'$.number')::INTEGER, data->>'$.path', data->>'$.controller',
       coalesce(data->>'$.rule', ''), array_to_string((data->'$.triggers')::VARCHAR[], ', '),
       coalesce(data->>'$.refused', ''), (data->>'$.window.first')::INTEGER, (data->>'$.window.last')::INTEGER,
       (data->>'$.window.offset')::BIGINT, data->>'$.request.sha256', data->>'$.answer.sha256',
       coalesce(data->>'$.model', ''), (data->>'$.tokens_in')::BIGINT, (data->>'$.tokens_out')::BIGINT,
       coalesce((data->>'$.latency_us')::BIGINT, 0) / 1e6,
       ((data->>'$.cost_nusd')::BIGINT * 0.000000001)::DECIMAL(18, 9),
       coalesce(data->>'$.prices', '')
FROM fresh WHERE e = 'run.decision_made' ORDER BY position""",
    ),
    (
        ("task.parked",),
        """UPDATE runs
SET state = CASE p.data->>'$.status' WHEN 'blocked' THEN 'needs_reconcile' ELSE p.data->>'$.status' END
FROM (SELECT * FROM fresh WHERE e = 'task.parked'
      QUALIFY row_number() OVER (PARTITION BY stream ORDER BY position DESC) = 1) p
WHERE runs.run = p.data->>'$.run' AND runs.finished_at IS NULL""",
    ),
    (
        ("task.claimed", "task.resumed", "task.parked"),
        """UPDATE runs SET state = p.state
FROM (SELECT data->>'$.run' AS run, position,
             CASE e WHEN 'task.claimed' THEN 'running' ELSE 'resuming' END AS state
      FROM fresh f WHERE (e = 'task.resumed' OR (e = 'task.claimed' AND data->>'$.resumed' = 'true'))
        AND NOT EXISTS (SELECT 1 FROM fresh o
                        WHERE o.e = 'task.parked' AND o.stream = f.stream AND o.position > f.position)
      QUALIFY row_number() OVER (PARTITION BY stream ORDER BY position DESC) = 1) p
WHERE runs.run = p.run AND runs.finished_at IS NULL""",
    ),
    (
        ("task.claimed",),  # who goes on with a run, also where it ends in the same batch
        """UPDATE runs SET dispatcher = p.dispatcher
FROM (SELECT data->>'$.run' AS run, data->>'$.dispatcher' AS dispatcher
      FROM fresh WHERE e = 'task.claimed' AND data->>'$.resumed' = 'true'
      QUALIFY row_number() OVER (PARTITION BY data->>'$.run' ORDER BY position DESC) = 1) p
WHERE runs.run = p.run""",
    ),
    (
        ("run.approval_requested",),
        """INSERT INTO approvals
SELECT stream, (data->>'$.call')::INTEGER, task, position, data->>'$.tool', data->>'$.kind', data->>'$.digest',
       array_to_string((data->'$.rules')::VARCHAR[], ', '), 'pending', '', '', recorded_at,
       CASE WHEN (data->>'$.expires_at_us')::BIGINT > 0 THEN make_timestamp((data->>'$.expires_at_us')::BIGINT) END,
       NULL
FROM fresh WHERE e = 'run.approval_requested'""",
    ),
    (
        ("run.call_approved", "run.call_edited", "run.call_rejected"),
        """UPDATE approvals SET state = n.state, approver = n.actor, channel = n.channel, resolved_at = n.recorded_at
FROM (SELECT stream, (data->>'$.call')::INTEGER AS call, recorded_at, data->>'$.digest' AS digest,
             replace(e, 'run.call_', '') AS state, actor, data->>'$.channel' AS channel
      FROM fresh WHERE e IN ('run.call_approved', 'run.call_edited', 'run.call_rejected')) n
WHERE approvals.run = n.stream AND approvals.call = n.call AND approvals.state = 'pending'
  AND n.digest = approvals.digest""",
    ),
    (  # after the answers: what was answered and asked for anew under another policy is not what was closed
        ("run.approval_closed",),
        """UPDATE approvals SET state = n.state, resolved_at = n.recorded_at
FROM (SELECT stream, (data->>'$.call')::INTEGER AS call, recorded_at, data->>'$.how' AS state
      FROM fresh WHERE e = 'run.approval_closed') n
WHERE approvals.run = n.stream AND approvals.call = n.call AND approvals.state = 'pending'""",
    ),
    (
        ("run.tool_returned",),
        """UPDATE tool_calls SET state = CASE data->>'$.ok' WHEN 'true' THEN 'returned' ELSE 'failed' END,
       cause = coalesce(data->>'$.cause', ''), ended_at = recorded_at,
       duration_s = coalesce((data->>'$.duration_us')::BIGINT, 0) / 1e6
FROM fresh WHERE e = 'run.tool_returned' AND run = stream AND call = (data->>'$.call')::INTEGER""",
    ),
    (
        ("thread.message",),
        """INSERT INTO messages
SELECT position, data->>'$.thread', data->>'$.task', coalesce(data->>'$.profile', ''), data->>'$.text.sha256',
       recorded_at
FROM fresh WHERE e = 'thread.message' ORDER BY position""",
    ),
)
