"""Views on what brings work in and goes out, computed from the events where they are asked for."""

from typing import Final

# name -> (meaning, definition, {column: meaning})
VIEWS: Final[dict[str, tuple[str, str, dict[str, str]]]] = {
    "schedules": (
        "one row a schedule, as it is now",
        """WITH own AS (
  SELECT *, regexp_replace(topic, '\\.v[0-9]+$', '') AS e FROM events
  WHERE topic LIKE 'schedule.%' AND topic NOT LIKE 'schedule.ticked.v%'
), made AS (
  SELECT * FROM own WHERE e = 'schedule.created'
  QUALIFY row_number() OVER (PARTITION BY stream ORDER BY position DESC) = 1
), so_far AS (
  SELECT stream, min(recorded_at) FILTER (e = 'schedule.created') AS created_at,
         arg_max(e, position) FILTER (e IN ('schedule.created', 'schedule.enabled', 'schedule.disabled',
                                            'schedule.removed', 'schedule.ended')) AS last,
         arg_max((data->>'$.next_us')::BIGINT, position)
             FILTER (e IN ('schedule.created', 'schedule.enabled', 'schedule.came_due')) AS next_us,
         count(*) FILTER (e = 'schedule.fired') AS fired,
         coalesce(sum((data->>'$.count')::BIGINT) FILTER (e = 'schedule.skipped'), 0)::BIGINT AS skipped,
         max((data->>'$.slot_us')::BIGINT) FILTER (e = 'schedule.fired') AS slot_us
  FROM own GROUP BY stream
)
SELECT m.stream AS schedule, m.data->>'$.name' AS name,
       nullif((m.data->>'$.every_us')::BIGINT, 0) / 1e6 AS every_s, nullif(coalesce(m.data->>'$.cron', ''), '') AS cron,
       m.data->>'$.zone' AS zone, m.data->>'$.catch_up' AS catch_up, m.data->>'$.overlap' AS overlap,
       CASE WHEN s.last = 'schedule.created' THEN
                 CASE WHEN coalesce(m.data->>'$.enabled', 'false') = 'true' THEN 'enabled' ELSE 'disabled' END
            ELSE replace(s.last, 'schedule.', '') END AS state,
       CASE WHEN state = 'enabled' AND s.next_us > 0 THEN make_timestamp(s.next_us) END AS next_at,
       s.fired, s.skipped, CASE WHEN s.slot_us IS NOT NULL THEN make_timestamp(s.slot_us) END AS last_slot_at,
       s.created_at
FROM made m JOIN so_far s USING (stream)""",
        {
            "schedule": "its stream",
            "name": "its name",
            "every_s": "its interval, NULL where a cron says when",
            "cron": "its cron expression, NULL where an interval says when",
            "zone": "the time zone that it counts in",
            "catch_up": "what becomes of slots that were missed: coalesce, skip or all",
            "overlap": "what becomes of a slot while its task runs: allow, skip or queue_one",
            "state": "enabled, disabled, removed or ended",
            "next_at": "the slot that it waits for, UTC",
            "fired": "tasks that it made",
            "skipped": "slots that got none",
            "last_slot_at": "the latest slot that got a task, UTC",
            "created_at": "UTC",
        },
    ),
    "sensor_events": (
        "one row a fact that a sensor told, however often it told it",
        """SELECT a.position, a.data->>'$.sensor' AS sensor, a.data->>'$.event' AS event, a.data->>'$.key' AS key,
       a.data->>'$.source_ref' AS source_ref, a.recorded_at,
       make_timestamp((a.data->>'$.observed_us')::BIGINT) AS observed_at,
       coalesce(a.data->>'$.task', '') AS task, coalesce(a.data->>'$.workflow', '') AS workflow,
       coalesce(r.repetitions, 0)::BIGINT AS repetitions, coalesce(r.conflicts, 0)::BIGINT AS conflicts
FROM events a LEFT JOIN (
  SELECT (data->>'$.first')::BIGINT AS first, count(*) AS repetitions,
         count(*) FILTER (data->>'$.conflict' = 'true') AS conflicts
  FROM events WHERE topic LIKE 'sensor.deduplicated.v%' GROUP BY 1
) r ON r.first = a.position WHERE a.topic LIKE 'sensor.accepted.v%'""",
        {
            "position": "where it was accepted",
            "sensor": "who told it",
            "event": "the sensor's own id of it",
            "key": "what makes it the same fact",
            "source_ref": "where it comes from",
            "recorded_at": "UTC",
            "observed_at": "when the sensor saw it, UTC",
            "task": "the task that was made of it, empty for none",
            "workflow": "the workflow that was made of it, empty for none",
            "repetitions": "how often it was told again",
            "conflicts": "how often with another payload",
        },
    ),
    "workflows": (
        "one row an instance of a state machine, as it is now",
        """WITH own AS (
  SELECT *, regexp_replace(topic, '\\.v[0-9]+$', '') AS e FROM events WHERE topic LIKE 'workflow.%'
), so_far AS (
  SELECT stream, max(recorded_at) AS updated_at,
         coalesce(arg_max(data->>'$.to_state', position) FILTER (e = 'workflow.transitioned'),
                  arg_max(data->>'$.state', position) FILTER (e = 'workflow.created')) AS state,
         arg_max(CASE e WHEN 'workflow.parked' THEN 'parked' WHEN 'workflow.completed' THEN 'completed'
                        WHEN 'workflow.canceled' THEN 'canceled' ELSE 'active' END, position)
             FILTER (e IN ('workflow.created', 'workflow.parked', 'workflow.unparked', 'workflow.completed',
                           'workflow.canceled')) AS status,
         arg_max(data->>'$.cause', position) FILTER (e = 'workflow.parked') AS cause,
         count(*) FILTER (e = 'workflow.transitioned') AS transitions,
         count(*) FILTER (e = 'workflow.task_wanted') AS tasks,
         arg_max(data->>'$.task', position) FILTER (e = 'workflow.task_wanted') AS task
  FROM own GROUP BY stream
)
SELECT c.stream AS workflow, c.data->>'$.instance_key' AS instance_key, c.data->>'$.template' AS template, s.state,
       s.status,
       CASE WHEN s.status = 'parked' THEN coalesce(s.cause, '') ELSE '' END AS cause, s.transitions, s.tasks,
       coalesce(s.task, '') AS task, c.position, c.recorded_at AS created_at, s.updated_at
FROM own c JOIN so_far s USING (stream) WHERE c.e = 'workflow.created'""",
        {
            "workflow": "its id",
            "instance_key": "its key",
            "template": "the state machine that it follows",
            "state": "where it stands",
            "status": "active, parked, completed or canceled",
            "cause": "why it is parked, empty otherwise",
            "transitions": "moves so far",
            "tasks": "tasks that it wanted so far",
            "task": "the latest of them, empty for none",
            "position": "where it began",
            "created_at": "UTC",
            "updated_at": "when anything last happened to it, UTC",
        },
    ),
    "transitions": (
        "one row a move of a workflow",
        """SELECT t.position, t.stream AS workflow, c.data->>'$.instance_key' AS instance_key,
       t.data->>'$.from_state' AS from_state,
       t.data->>'$.to_state' AS to_state, t.data->>'$.signal' AS signal, (t.data->>'$.epoch')::INTEGER AS epoch,
       (t.data->>'$.iteration')::INTEGER AS iteration, t.recorded_at
FROM events t JOIN events c ON c.stream = t.stream AND c.topic LIKE 'workflow.created.v%'
WHERE t.topic LIKE 'workflow.transitioned.v%'""",
        {
            "position": "of the move",
            "workflow": "its instance",
            "instance_key": "the instance's key",
            "from_state": "where it stood",
            "to_state": "where it went",
            "signal": "what moved it",
            "epoch": "which entry of a state this is, counted over the instance",
            "iteration": "how often the state was entered",
            "recorded_at": "UTC",
        },
    ),
    "outbox": (
        "one row a message that goes out, or that was refused",
        """WITH own AS (
  SELECT *, regexp_replace(topic, '\\.v[0-9]+$', '') AS e FROM events WHERE topic LIKE 'outbox.%'
), so_far AS (
  SELECT stream, count(*) FILTER (e IN ('outbox.failed', 'outbox.delivered')) AS attempts,
         arg_max(e, position) AS last, arg_max(coalesce((data->>'$.next_us')::BIGINT, 0), position) AS next_us,
         arg_max(data->>'$.cause', position) FILTER (e = 'outbox.failed') AS cause,
         max(recorded_at) FILTER (e IN ('outbox.delivered', 'outbox.dropped')) AS ended_at
  FROM own WHERE e <> 'outbox.refused' GROUP BY stream
)
SELECT q.stream AS message, q.position, q.data->>'$.kind' AS kind, q.data->>'$.target' AS target,
       CASE s.last WHEN 'outbox.queued' THEN CASE WHEN q.data->>'$.held' = 'true' THEN 'held' ELSE 'queued' END
                   WHEN 'outbox.failed' THEN CASE WHEN s.next_us > 0 THEN 'queued' ELSE 'failed' END
                   WHEN 'outbox.retried' THEN 'queued' ELSE replace(s.last, 'outbox.', '') END AS status,
       coalesce(s.cause, '') AS cause, s.attempts, q.data->>'$.key' AS key, coalesce(q.data->>'$.task', '') AS task,
       coalesce(q.data->>'$.run', '') AS run, coalesce(q.data->>'$.rule', '') AS rule, q.recorded_at AS queued_at,
       s.ended_at
FROM own q JOIN so_far s USING (stream) WHERE q.e = 'outbox.queued'
UNION ALL
SELECT stream, position, data->>'$.what', '', 'refused', data->>'$.reason', 0, '', coalesce(data->>'$.task', ''),
       coalesce(data->>'$.run', ''), '', recorded_at, recorded_at FROM own WHERE e = 'outbox.refused'""",
        {
            "message": "its stream",
            "position": "where it was queued or refused",
            "kind": "message or notification; of a refusal: message, follow_up or workflow_task",
            "target": "the destination, empty where it was refused",
            "status": "queued, held, delivered, failed, dropped or refused",
            "cause": "why the latest attempt failed, or why it was refused",
            "attempts": "deliveries tried",
            "key": "under which the receiver tells repetitions",
            "task": "the task that wanted it",
            "run": "the run that wanted it",
            "rule": "the rule of [notify] that wanted it",
            "queued_at": "UTC",
            "ended_at": "when it was delivered, dropped or refused, UTC",
        },
    ),
    "slots": (
        "one row a slot that is taken: a run that a dispatcher drives now",
        """SELECT r.run, r.task, t.profile, coalesce(q.data->>'$.thread', '') AS thread, t.priority, r.dispatcher,
       r.claimed_at AS since
FROM runs r JOIN tasks t USING (task) JOIN events q ON q.position = t.position WHERE r.state = 'running'""",
        {
            "run": "the run that holds it",
            "task": "its task",
            "profile": "the profile whose limit it counts for",
            "thread": "the thread that answers one message at a time, empty for none",
            "priority": "of its task",
            "dispatcher": "who drives it",
            "since": "when it was claimed, UTC",
        },
    ),
}
