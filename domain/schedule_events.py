"""Events of schedules: what was wanted, which slots came due, and what each slot led to."""

from typing import Literal

from domain.payload import Consequence, Fact, Text

# a schedule's own stream


class ScheduleCreated(Fact, frozen=True, kw_only=True, tag="schedule.created"):
    """A schedule as it was wanted; the same name again replaces the definition and keeps the history.

    `every_us` is 0 where `cron` says when. `first_us` is the first slot as it was asked for, 0 where nobody did.
    `next_us` is the slot that it waits for, 0 where none will come.
    """

    TEXTS = ("task",)

    name: str
    every_us: int
    cron: str
    zone: str
    task: Text  # the task input as JSON
    task_source: str
    catch_up: Literal["coalesce", "skip", "all"]
    catch_up_max: int
    overlap: Literal["allow", "skip", "queue_one"]
    anchor: Literal["tick", "slot"]
    jitter_us: int
    ends_us: int  # 0 = never
    next_us: int
    enabled: bool
    first_us: int = 0


class ScheduleEnabled(Fact, frozen=True, kw_only=True, tag="schedule.enabled"):
    """A person switched it on; slots from before are not made up for."""

    next_us: int


class ScheduleDisabled(Fact, frozen=True, kw_only=True, tag="schedule.disabled"):
    """A person switched it off; no slot comes due until it is enabled."""

    reason: str = ""


class ScheduleRemoved(Fact, frozen=True, kw_only=True, tag="schedule.removed"):
    """A person removed it. What it made stays; the name can be created again."""

    reason: str = ""


class ScheduleCameDue(Fact, frozen=True, kw_only=True, tag="schedule.came_due"):
    """An evaluation at `tick_us` found slots whose time had come. What of them fires is a consequence.

    `slots` are the newest ones, oldest first; `missed` counts those before them. `open_task` is the earliest task of
    the schedule that is not over, `queued_task` one that waits behind it. `forced`: a person wants it to run now.
    """

    tick_us: int
    slots: tuple[int, ...]
    missed: int
    next_us: int  # 0 = none will come
    open_task: str = ""
    queued_task: str = ""
    forced: bool = False


class ScheduleFired(Consequence, frozen=True, kw_only=True, tag="schedule.fired"):
    """A task is made for this slot. `missed` counts the further slots that it stands for."""

    slot_us: int
    missed: int
    ordinal: int  # among all that this schedule ever fired, from 1
    waits: bool = False  # it may start only when the task before it is over


class ScheduleSkipped(Consequence, frozen=True, kw_only=True, tag="schedule.skipped"):
    """`count` slots, `slot_us` the first of them, get no task."""

    slot_us: int
    reason: Literal["catch_up", "overlap", "ended", "disabled"]
    count: int


class ScheduleEnded(Consequence, frozen=True, kw_only=True, tag="schedule.ended"):
    """No further slot will come."""


# the one stream of all schedules


class ScheduleTicked(Fact, frozen=True, kw_only=True, tag="schedule.ticked"):
    """The schedules were evaluated: because a person asked for it, or with something to do."""

    explicit: bool
    at_us: int
    evaluated: int
    fired: int
    skipped: int


ScheduleEvent = (
    ScheduleCreated
    | ScheduleEnabled
    | ScheduleDisabled
    | ScheduleRemoved
    | ScheduleCameDue
    | ScheduleFired
    | ScheduleSkipped
    | ScheduleEnded
)
