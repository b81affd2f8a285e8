"""The timers of a run: when the core wants to be told that time has passed."""

from collections.abc import Iterator

import msgspec

from domain import mind as minds
from domain.run_state import Run


class Timer(msgspec.Struct, frozen=True):
    """When the core wants to be told that time has passed: so long after something that lies in the log.

    `due_us` is that moment on the recorded clock; whoever waits does so on a clock that never jumps.
    """

    timer: str
    after_us: int
    due_us: int


def next_timer(state: Run) -> Timer | None:
    """The timer to wait for in this state."""
    if state.ended or state.policy is None:
        return None
    return min(_timers(state), key=lambda timer: timer.due_us, default=None)


def due_us(state: Run, name: str) -> int | None:
    """When a timer of this name comes due in this state; None where the state has none of that name."""
    if state.ended or state.policy is None:
        return None
    return next((timer.due_us for timer in _timers(state) if timer.timer == name), None)


def _timers(state: Run) -> Iterator[Timer]:
    assert state.policy is not None, "a run that was started has a policy"
    if state.parked:
        if state.mind is not None:
            yield from _expiries(state.mind)
        return
    for call in state.open_calls:
        after_us = call.timeout_us or state.policy.timeout_us
        if call.started_at_us and not call.cancel and after_us:
            yield Timer(f"timeout:{call.ordinal}", after_us, call.started_at_us + after_us)
    if state.mind is not None and state.mind.finishing is None:
        yield from _of_a_controller(state, state.mind)


def _of_a_controller(state: Run, mind: minds.Mind) -> Iterator[Timer]:  # noqa: C901  # one arm a timer
    budgets, limits = mind.setup.budgets, mind.setup.limits
    yield from _expiries(mind)
    if budgets.wall_us:
        left = max(0, budgets.wall_us - mind.active_us)
        yield Timer("wall", left, mind.since_us + left)
    if mind.retry_at_us:
        yield Timer(f"retry:{mind.decisions}", mind.retry_at_us - mind.decided_us, mind.retry_at_us)
        return
    if mind.question is not None or mind.setup.program == "chat":
        return
    if mind.until_us:
        yield Timer("until", mind.until_us - mind.decided_us, mind.until_us)
    controller = mind.controller
    if controller.kind == "rules" and not any(rule.when == "silence" for rule in controller.rules):
        return  # no rule speaks of silence: nothing would follow from it
    for call in state.open_calls:
        about = minds.watched(mind, call.ordinal)
        if about is None or not about.at_us or call.cancel:
            continue
        if limits.silence_us:
            yield Timer(f"silence:{call.ordinal}", limits.silence_us, about.at_us + limits.silence_us)
        if limits.max_wait_us:
            since = max(mind.decided_us, about.started_us)
            yield Timer(f"max_wait:{call.ordinal}", limits.max_wait_us, since + limits.max_wait_us)


def _expiries(mind: minds.Mind) -> Iterator[Timer]:
    for each in minds.pending(mind):
        if each.expires_at_us:
            yield Timer(f"approval:{each.call}", max(0, each.expires_at_us - mind.since_us), each.expires_at_us)
