"""What the door promises, written down by hand and apart from the code that keeps it."""

from typing import Final

PAGES: Final = (
    "/", "/tasks", "/tasks/{task}", "/runs", "/runs/{run}", "/runs/{run}/replay", "/approvals",
    "/approvals/{run}/{call}", "/threads", "/threads/{thread}", "/schedules", "/sensors", "/workflows",
    "/workflows/{key}", "/adapters", "/outbox", "/files", "/log", "/sql", "/report", "/login", "/assets/{name}",
    "/favicon.ico",
)  # fmt: skip
OPEN: Final = ("GET /api/heartbeat", "GET /api/v1/health", "POST /api/v1/session", *(f"GET {each}" for each in PAGES))
SIGNED: Final = ("POST /hooks/github", "POST /hooks/discord")
SQL: Final = ("POST /api/v1/sql",)
APPROVE: Final = (
    "POST /api/v1/runs/{run}/approvals/{call}",
    "POST /api/v1/runs/{run}/effects/{call}",
    "DELETE /api/v1/grants/{grant}",
)
OPERATE: Final = (
    "POST /api/pause", "POST /api/tasks/queue", "POST /api/tasks/{task}/cancel", "POST /api/schedules",
    "POST /api/schedules/tick", "POST /api/sensors/events", "POST /api/v1/dispatcher", "POST /api/v1/tasks",
    "POST /api/v1/tasks/{task}/cancel", "POST /api/v1/tasks/{task}/retry", "POST /api/v1/tasks/{task}/unblock",
    "POST /api/v1/tasks/{task}/prioritize", "POST /api/v1/runs/{run}/cancel", "POST /api/v1/threads/{thread}/messages",
    "POST /api/v1/threads/{thread}/restart", "DELETE /api/v1/threads/{thread}", "POST /api/v1/schedules",
    "POST /api/v1/schedules/tick", "PATCH /api/v1/schedules/{name}", "DELETE /api/v1/schedules/{name}",
    "POST /api/v1/sensors/events", "POST /api/v1/workflows", "POST /api/v1/workflows/{key}/transition",
    "POST /api/v1/workflows/{key}/skip", "POST /api/v1/workflows/{key}/retry",
    "POST /api/v1/workflows/{key}/complete", "POST /api/v1/workflows/{key}/cancel",
    "POST /api/v1/outbox/{message}/retry", "POST /api/v1/outbox/{message}/drop", "POST /api/v1/snapshots",
)  # fmt: skip
READ: Final = (
    "GET /api/state", "GET /api/pause", "GET /api/tasks", "GET /api/tasks/{task}", "GET /api/runs/{run}",
    "GET /api/events", "GET /api/workflows", "GET /api/schedules", "GET /api/sensors/events", "GET /api/artifacts",
    "GET /artifacts", "GET /api/artifact", "GET /api/snapshots", "GET /snapshots", "GET /api/snapshot",
    "GET /api/report", "GET /api/report/latest", "GET /api/v1/session", "DELETE /api/v1/session", "GET /api/v1/status",
    "GET /api/v1/metrics", "GET /api/v1/adapters", "GET /api/v1/health/checks", "GET /api/v1/profiles",
    "GET /api/v1/dispatcher", "GET /api/v1/openapi.json", "GET /api/v1/tasks", "GET /api/v1/tasks/{task}",
    "GET /api/v1/stream", "GET /api/stream", "GET /api/v1/runs", "GET /api/v1/runs/{run}",
    "GET /api/v1/runs/{run}/events", "GET /api/v1/runs/{run}/output", "GET /api/v1/runs/{run}/state",
    "GET /api/v1/runs/{run}/decisions", "GET /api/v1/runs/{run}/timeline", "GET /api/v1/runs/{run}/artifacts",
    "GET /api/v1/runs/{run}/why", "GET /api/v1/why", "GET /api/v1/diff", "POST /api/v1/runs/{run}/replay",
    "POST /api/v1/runs/{run}/fork", "GET /api/v1/approvals", "GET /api/v1/runs/{run}/approvals/{call}",
    "GET /api/v1/grants", "GET /api/v1/threads", "GET /api/v1/threads/{thread}", "GET /api/v1/schedules",
    "GET /api/v1/schedules/{name}", "GET /api/v1/sensors", "GET /api/v1/sensors/events", "GET /api/v1/workflows",
    "GET /api/v1/workflows/templates", "GET /api/v1/workflows/{key}", "GET /api/v1/outbox",
    "GET /api/v1/outbox/{message}", "GET /api/v1/events", "GET /api/v1/events/{position}",
    "GET /api/v1/sql/questions", "GET /api/v1/report", "GET /api/v1/report/compare", "GET /api/v1/runs/{run}/report",
    "GET /api/v1/snapshots", "GET /api/v1/snapshots/{name}", "GET /api/v1/costs", "GET /api/v1/artifacts",
    "GET /api/v1/artifacts/text", "GET /api/v1/artifacts/file",
)  # fmt: skip

# route -> the scope that it needs; a route that is not here, and a row without a route, are red
NEEDS: Final[dict[str, str]] = {
    route: scope
    for scope, routes in (
        ("open", OPEN), ("signed", SIGNED), ("read", READ), ("approve", APPROVE), ("operate", OPERATE), ("sql", SQL),
    )
    for route in routes
}  # fmt: skip

# the scope of a token -> every scope that lies within it
HOLDS: Final = {
    "read": {"read"},
    "approve": {"read", "approve"},
    "operate": {"read", "approve", "operate"},
    "admin": {"read", "approve", "operate", "admin", "sql"},
    "sql": {"sql"},
}

SAFE: Final = ("GET", "HEAD")  # methods that change nothing, whoever asks

SECURITY: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none';"
    " require-trusted-types-for 'script'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


def is_old(path: str) -> bool:
    """Whether an address is one of the older runtime's, which answers 400 to wrong input."""
    return path in ("/artifacts", "/snapshots") or (path.startswith("/api/") and not path.startswith("/api/v1/"))


def let_in(path: str) -> int:
    """What whoever is let in hears of a parameter that is not known: the page's addresses alone take any."""
    if path in PAGES and path != "/favicon.ico":
        return 404 if path == "/assets/{name}" else 200  # there is no file of that name
    return 400 if is_old(path) else 422
