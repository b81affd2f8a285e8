"""Slots: how many runs there may be at once, of all dispatchers together, of a profile, of a thread.

Counted inside the transaction that claims, from the claim index, which is a fold of the log: never one too many. A run
that waits for a person holds none; that of a dead dispatcher is freed when the run is recovered.
"""

from domain.config import Config
from domain.ports import LogView

_EVERY = 1 << 20


def wanted(view: LogView, config: Config, now_us: int, free: int, *, only: str = "") -> list[str]:
    """The tasks to claim now, in claim order; of `only` one task, that one or none."""
    limits = {name: each.max_runs for name, each in config.profiles.items() if each.max_runs}
    most = config.work.max_runs
    if only:
        return [only] if is_free(view, config, now_us, only) else []
    if not most and not limits:
        return view.ready(now_us, free)
    running = view.running_profiles()
    if most:
        free = min(free, most - sum(running.values()))
    chosen: list[str] = []
    while len(chosen) < free:
        full = [name for name, limit in limits.items() if running.get(name, 0) >= limit]
        found = [task for task in view.ready(now_us, len(chosen) + 1, full) if task not in chosen][:1]
        if not found:
            break
        chosen += found
        state = view.task(found[0])
        if state is not None:
            running[state.profile] = running.get(state.profile, 0) + 1
    return chosen


def is_free(view: LogView, config: Config, now_us: int, task: str) -> bool:
    """Whether there is a slot for this task, and it is its turn."""
    state = view.task(task)
    if state is None:
        return False
    if not has_room(view, config, state.profile):
        return False
    return not state.thread or task in view.ready(now_us, _EVERY)


def has_room(view: LogView, config: Config, profile: str) -> bool:
    """Whether one more run of this profile may begin."""
    most = config.work.max_runs
    limit = config.profiles[profile].max_runs if profile in config.profiles else 0
    if not most and not limit:
        return True
    running = view.running_profiles()
    return (not most or sum(running.values()) < most) and (not limit or running.get(profile, 0) < limit)
