"""Numbers for monitors, in the text format of Prometheus (version 0.0.4)."""

import resource
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from commands.api.house import House

MEDIA: Final = "text/plain; version=0.0.4; charset=utf-8"
_KIB = 1024


def text(house: "House", counts: Mapping[str, int], position: int) -> str:
    """All numbers. `counts` are tasks by status at `position`."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    lines: list[str] = []
    lines += _metric("rt_log_position", "gauge", "last position of the log", [("", position)])
    lines += _metric(
        "rt_tasks", "gauge", "tasks by status", [(f'status="{name}"', count) for name, count in counts.items()]
    )
    lines += _metric("rt_sse_clients", "gauge", "streams that are open", [("", house.live.listeners)])
    lines += _metric(
        "rt_http_requests_total", "counter", "requests by route and status",
        [
            (f'method="{method}",route="{path}",status="{status}"', count)
            for (method, path, status), count in sorted(house.requests.items())
        ],
    )  # fmt: skip
    lines += _metric(
        "rt_uptime_seconds", "gauge", "since this server began", [("", round(time.monotonic() - house.started_s, 3))]
    )
    lines += _metric(
        "rt_cpu_seconds_total", "counter", "processor time", [("", round(usage.ru_utime + usage.ru_stime, 3))]
    )
    lines += _metric("rt_memory_bytes_max", "gauge", "most memory held so far", [("", usage.ru_maxrss * _KIB)])
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, about: str, values: Iterable[tuple[str, float]]) -> list[str]:
    rows = [f"{name}{{{labels}}} {value}" if labels else f"{name} {value}" for labels, value in values]
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}", *rows]
