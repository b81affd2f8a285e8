"""Questions that people ask of a log, each as one SELECT: examples in the documentation, and run by a test."""

from typing import Final, NamedTuple


class Question(NamedTuple):
    """What is asked, and how."""

    asks: str
    sql: str


QUESTIONS: Final[tuple[Question, ...]] = (
    Question(
        "How many tasks are in which state?",
        "SELECT status, count(*) AS tasks FROM tasks GROUP BY status ORDER BY tasks DESC",
    ),
    Question(
        "What waits for a person, the oldest first?",
        """SELECT run, call, tool, kind, requested_at, expires_at FROM approvals
WHERE state = 'pending' ORDER BY position""",
    ),
    Question(
        "Which tasks are blocked, and why?",
        "SELECT task, subject, cause, attempts, updated_at FROM tasks WHERE status = 'blocked' ORDER BY updated_at",
    ),
    Question(
        "What failed most in the last seven days?",
        """SELECT cause, count(*) AS runs, max(finished_at) AS latest FROM runs
WHERE state = 'failed' AND finished_at > (SELECT max(recorded_at) FROM events) - INTERVAL 7 DAY
GROUP BY cause ORDER BY runs DESC LIMIT 10""",
    ),
    Question(
        "How long do runs take, by adapter?",
        """SELECT adapter, count(*) AS runs, round(quantile_cont(epoch(finished_at - claimed_at), 0.5), 2) AS p50_s,
       round(quantile_cont(epoch(finished_at - claimed_at), 0.95), 2) AS p95_s
FROM runs WHERE finished_at IS NOT NULL GROUP BY adapter ORDER BY runs DESC""",
    ),
    Question(
        "How long do tasks wait before they are claimed?",
        """SELECT t.kind, count(*) AS tasks, round(avg(epoch(r.claimed_at - greatest(t.created_at, coalesce(t.due_at,
       t.created_at)))), 2) AS mean_s
FROM tasks t JOIN runs r USING (task) WHERE r.attempt = 1 GROUP BY t.kind ORDER BY tasks DESC""",
    ),
    Question(
        "Which tasks needed more than one attempt?",
        "SELECT task, subject, attempts, status FROM tasks WHERE attempts > 1 ORDER BY attempts DESC LIMIT 20",
    ),
    Question(
        "What did models cost, by day and model?",
        """SELECT date_trunc('day', recorded_at) AS day, model, count(*) AS answers, sum(tokens_in) AS tokens_in,
       sum(tokens_out) AS tokens_out, sum(cost_usd) AS cost_usd, count(*) FILTER (cost_usd IS NULL) AS unknown
FROM costs GROUP BY ALL ORDER BY day, cost_usd DESC""",
    ),
    Question(
        "Which runs cost most?",
        """SELECT run, count(*) AS answers, sum(cost_usd) AS cost_usd FROM costs
GROUP BY run ORDER BY cost_usd DESC NULLS LAST LIMIT 10""",
    ),
    Question(
        "What did controllers decide, and how often were their answers none?",
        """SELECT controller, decision, count(*) AS decisions, count(*) FILTER (refused <> '') AS refused
FROM decisions WHERE number IS NOT NULL GROUP BY ALL ORDER BY decisions DESC""",
    ),
    Question(
        "How long does it take from output to decision on the fast path?",
        """SELECT round(quantile_cont(epoch(d.recorded_at - o.recorded_at), 0.95) * 1000, 1) AS p95_ms,
       count(*) AS decisions
FROM decisions d JOIN output o ON o.position = d.seen_position WHERE d.path = 'fast'""",
    ),
    Question(
        "Which calls were ended early, and what did that save?",
        """SELECT run, call, tool, duration_s, baseline_s, saved_s, basis FROM early_cancels
ORDER BY saved_s DESC NULLS LAST""",
    ),
    Question(
        "How long do people take to answer?",
        """SELECT tool, count(*) AS asked, round(quantile_cont(epoch(resolved_at - requested_at), 0.5), 1) AS p50_s,
       count(*) FILTER (state = 'expired') AS expired
FROM approvals WHERE resolved_at IS NOT NULL GROUP BY tool ORDER BY asked DESC""",
    ),
    Question(
        "Who approved what?",
        """SELECT approver, channel, tool, state, count(*) AS answers FROM approvals
WHERE approver <> '' GROUP BY ALL ORDER BY answers DESC""",
    ),
    Question(
        "Which lines of output name an error?",
        """SELECT run, call, stream, position, left(line, 200) AS line
FROM (SELECT run, call, stream, position, unnest(string_split(text, chr(10))) AS line FROM output)
WHERE line ILIKE '%error%' ORDER BY position DESC LIMIT 50""",
    ),
    Question(
        "How much output did runs make?",
        """SELECT run, sum(size) AS bytes, sum(lines) AS lines, count(*) AS events FROM output
GROUP BY run ORDER BY bytes DESC LIMIT 10""",
    ),
    Question(
        "Which tool calls left processes behind that had to be killed?",
        "SELECT run, call, tool, killed, signal, duration_s FROM tool_calls WHERE killed > 0 ORDER BY killed DESC",
    ),
    Question(
        "Which schedules skip slots?",
        "SELECT name, state, fired, skipped, next_at FROM schedules WHERE skipped > 0 ORDER BY skipped DESC",
    ),
    Question(
        "Which sensors repeat themselves or contradict themselves?",
        """SELECT sensor, count(*) AS facts, sum(repetitions) AS repetitions, sum(conflicts) AS conflicts
FROM sensor_events GROUP BY sensor ORDER BY repetitions DESC""",
    ),
    Question(
        "Where do workflows stand, and which are parked?",
        """SELECT template, state, status, cause, count(*) AS instances FROM workflows
GROUP BY ALL ORDER BY instances DESC""",
    ),
    Question(
        "Which moves do workflows make most?",
        """SELECT from_state, to_state, signal, count(*) AS moves FROM transitions
GROUP BY ALL ORDER BY moves DESC LIMIT 20""",
    ),
    Question(
        "Which messages were not delivered?",
        "SELECT message, kind, target, status, cause, attempts FROM outbox WHERE status NOT IN ('delivered', 'queued')",
    ),
    Question(
        "What was said in a thread, and which tasks answered?",
        """SELECT m.position, m.thread, m.profile, t.status, t.subject FROM messages m JOIN tasks t USING (task)
ORDER BY m.thread, m.position""",
    ),
    Question(
        "Who holds a slot now, and since when?",
        "SELECT run, profile, thread, dispatcher, since FROM slots ORDER BY since",
    ),
    Question(
        "What led to an event? (the chain of causes, here of the last one)",
        """WITH RECURSIVE chain AS (
  SELECT position, topic, actor, caused_by, 0 AS steps FROM events WHERE position = (SELECT max(position) FROM events)
  UNION ALL
  SELECT e.position, e.topic, e.actor, e.caused_by, c.steps + 1 FROM chain c JOIN events e ON e.position = c.caused_by
) SELECT position, topic, actor FROM chain ORDER BY position""",
    ),
    Question(
        "How many events of which kind does the log hold, and how large are they?",
        """SELECT topic, count(*) AS events, sum(octet_length(encode(data::VARCHAR))) AS bytes FROM events
GROUP BY topic ORDER BY events DESC""",
    ),
)
