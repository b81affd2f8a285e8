"""What a moment of the log says, and what two moments say differently."""

from decimal import Decimal
from typing import Any, Final

from projections.catch_up import Database
from projections.run_pictures import rows

_WORKFLOWS: Final = """SELECT instance_key, template, state AS current_state, status, created_at, updated_at
FROM workflows ORDER BY position LIMIT 1000"""
_LISTS: Final = {
    "queued_tasks": """SELECT task AS task_id, kind, source, subject, status, cause, priority, attempts, created_at
FROM tasks WHERE status IN ('pending', 'retryable_failure', 'running', 'blocked', 'waiting_for_approval')
ORDER BY position LIMIT 1000""",
    "recent_completed": """SELECT task AS task_id, kind, source, subject, run, updated_at FROM tasks
WHERE status = 'completed' ORDER BY updated_at DESC, position DESC LIMIT 15""",
    "causes": """SELECT cause, count(*) AS tasks FROM tasks WHERE cause <> ''
GROUP BY cause ORDER BY tasks DESC, cause LIMIT 50""",
}
_COUNTS: Final = "SELECT status, count(*) AS count FROM tasks GROUP BY status ORDER BY status"
_RECENT: Final = "SELECT position, topic, task, recorded_at FROM events ORDER BY position DESC LIMIT 5"
_TOTALS: Final = """SELECT (SELECT max(recorded_at) FROM events) AS captured_at,
  (SELECT coalesce(sum(cost_usd), 0) FROM costs) AS cost_usd,
  (SELECT round(coalesce(sum(epoch(finished_at - claimed_at)), 0), 3) FROM runs WHERE finished_at IS NOT NULL)
      AS run_seconds,
  (SELECT count(*) = 0 FROM tasks WHERE status = 'running' OR (status IN ('pending', 'retryable_failure')
      AND (due_at IS NULL OR due_at <= (SELECT max(recorded_at) FROM events)))) AS idle"""


def moment(database: Database, position: int, name: str) -> dict[str, Any]:
    """Counts, open tasks, latest results, workflows and spending; true at a position, and timed by its last event."""
    [totals] = rows(database, _TOTALS)
    recent, workflows = rows(database, _RECENT), rows(database, _WORKFLOWS)
    return {
        "schema": "rt.snapshot.v1",
        "position": position,
        "runtime_name": name,
        "status": {
            "counts": rows(database, _COUNTS),
            "recent": recent,
            "lastEvent": recent[0] if recent else None,
        },
        "workflows": workflows,
        "active_workflows": [each for each in workflows if each["status"] == "active"],
        **{listed: rows(database, sql) for listed, sql in _LISTS.items()},
        **totals | {"cost_usd": f"{totals['cost_usd']:f}"},
    }


def delta(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What two snapshots say differently; also of snapshots that an older runtime wrote."""
    counts = [_counts(before), _counts(after)]
    flows = [{each["instance_key"]: each for each in made.get("workflows", ())} for made in (before, after)]
    changed = _changed(*(_artifacts(made) for made in (before, after)))
    open_then, open_now = ({each["task_id"]: each for each in made.get("queued_tasks", ())} for made in (before, after))
    return {
        "runtime_name": after.get("runtime_name", ""),
        "before_position": before.get("position"),
        "after_position": after.get("position"),
        "before_captured_at": before["captured_at"],
        "after_captured_at": after["captured_at"],
        "completed_task_delta": _numbers(counts[0].get("completed", 0), counts[1].get("completed", 0)),
        "queued_task_delta": _numbers(len(open_then), len(open_now)),
        "status_deltas": {
            status: _numbers(counts[0].get(status, 0), counts[1].get(status, 0))
            for status in sorted({*counts[0], *counts[1]})
        },
        "workflow_counts": {"before": len(flows[0]), "after": len(flows[1])},
        "workflow_state_changes": _moves(*flows),
        "workflows_removed": sorted(set(flows[0]) - set(flows[1])),
        "new_artifacts_created": [each["path"] for each in changed if each["change"] == "new"],
        "artifact_changes": changed,
        "blocked_or_retryable_tasks": [
            each for each in after.get("queued_tasks", ()) if each["status"] in ("blocked", "retryable_failure")
        ],
        "causes": after.get("causes", []),
        "cost_usd": _spent(before, after),
        "run_seconds": round(float(after.get("run_seconds", 0)) - float(before.get("run_seconds", 0)), 3),
        "ended_idle": bool(after.get("idle")),
    }


def _artifacts(made: dict[str, Any]) -> dict[str, str]:
    """Digests by path; an older runtime's snapshots list paths alone, whose digests nobody knows."""
    found = made.get("artifact_files", ())
    return {each["path"]: each.get("sha256", "") for each in map(_named, found)}


def _named(each: object) -> dict[str, Any]:
    return each if isinstance(each, dict) else {"path": str(each), "sha256": ""}


def _changed(then: dict[str, str], now: dict[str, str]) -> list[dict[str, str]]:
    """Artifacts that are new, gone, or of other content; where a digest is not known, nothing is said of content."""
    found: list[dict[str, str]] = []
    for path in sorted({*then, *now}):
        was, is_now = then.get(path), now.get(path)
        change = "new" if was is None else "removed" if is_now is None else "changed" if was != is_now else ""
        if change and not (change == "changed" and not (was and is_now)):
            found.append({"path": path, "change": change, "before_sha256": was or "", "after_sha256": is_now or ""})
    return found


def _counts(made: dict[str, Any]) -> dict[str, int]:
    return {each["status"]: int(each["count"]) for each in made["status"].get("counts", ())}


def _numbers(before: int, after: int) -> dict[str, int]:
    return {"before": before, "after": after, "delta": after - before}


def _spent(before: dict[str, Any], after: dict[str, Any]) -> str:
    spent = Decimal(str(after.get("cost_usd", 0))) - Decimal(str(before.get("cost_usd", 0)))
    return f"{spent:f}"


def _moves(then: dict[str, Any], now: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for key, each in now.items():
        about = {"instance_key": key, "template": each.get("template")}
        was = then.get(key)
        if was is None:
            found.append(about | {"change": "new", "state": each.get("current_state")})
        elif was.get("current_state") != each.get("current_state"):
            move = {"from_state": was.get("current_state"), "to_state": each.get("current_state")}
            found.append(about | {"change": "advanced"} | move)
        if each.get("status") == "completed" and (was is None or was.get("status") != "completed"):
            found.append(about | {"change": "completed", "completed_at": each.get("updated_at")})
    return found
