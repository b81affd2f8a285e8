"""A schedule: which of the slots that came due fire, which are skipped, and why (SC-2 to SC-8)."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import bounds, schedule
from domain.schedule import State
from domain.schedule_events import (
    ScheduleCameDue,
    ScheduleCreated,
    ScheduleDisabled,
    ScheduleEnabled,
    ScheduleEnded,
    ScheduleEvent,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSkipped,
    ScheduleTicked,
)
from tests.story import NOW_US, text

SECOND = 1_000_000
HOUR = 3600 * SECOND
YEAR = 365 * 24 * HOUR


def created(**fields: Any) -> ScheduleCreated:  # noqa: ANN401  # fields of the event
    defaults: dict[str, Any] = {
        "name": "hourly",
        "every_us": HOUR,
        "cron": "",
        "zone": "UTC",
        "task": text("7"),
        "task_source": "",
        "catch_up": "coalesce",
        "catch_up_max": 1,
        "overlap": "allow",
        "anchor": "tick",
        "jitter_us": 0,
        "ends_us": 0,
        "next_us": NOW_US,
        "enabled": True,
    }
    return ScheduleCreated(**(defaults | fields))


def told(*events: ScheduleEvent) -> State:
    state: State | None = None
    for at, event in enumerate(events):
        state = schedule.evolve(state, event, NOW_US + at)
    assert state is not None
    return state


def came_due(*slots: int, late_us: int = 0, **fields: Any) -> ScheduleCameDue:  # noqa: ANN401  # fields of the event
    """These slots, looked at so much later than the last of them."""
    tick_us = slots[-1] + late_us if slots else NOW_US
    defaults: dict[str, Any] = {"tick_us": tick_us, "slots": slots, "missed": 0, "next_us": tick_us + HOUR}
    return ScheduleCameDue(**(defaults | fields))


def hours(count: int) -> tuple[int, ...]:
    return tuple(NOW_US + at * HOUR for at in range(count))


def fired(slot_us: int, ordinal: int = 1, *, missed: int = 0, waits: bool = False) -> ScheduleFired:
    return ScheduleFired(slot_us=slot_us, missed=missed, ordinal=ordinal, waits=waits)


def led_to(definition: ScheduleCreated, fact: ScheduleCameDue) -> tuple[object, ...]:
    return schedule.step(told(definition), fact, NOW_US).consequences


# SC-3: catching up


def test_a_slot_that_came_due_fires() -> None:
    for catch_up in ("coalesce", "skip", "all"):
        assert led_to(created(catch_up=catch_up, catch_up_max=100), came_due(NOW_US)) == (fired(NOW_US),)


def test_sc3_one_task_stands_for_all_that_were_missed_and_counts_them() -> None:
    """As the old runtime: the task is that of the oldest slot."""
    assert led_to(created(), came_due(*hours(5))) == (fired(NOW_US, missed=4),)
    newest = hours(105)[5:]
    assert led_to(created(), came_due(*newest, missed=5)) == (fired(NOW_US, missed=104),)


def test_sc3_all_fires_the_newest_so_many_and_says_what_it_left_out() -> None:
    definition = created(catch_up="all", catch_up_max=3)
    first, second, third, fourth, fifth = hours(5)
    assert led_to(definition, came_due(first, second)) == (fired(first, 1), fired(second, 2))
    assert led_to(definition, came_due(*hours(5))) == (
        ScheduleSkipped(slot_us=first, reason="catch_up", count=2),
        fired(third, 1),
        fired(fourth, 2),
        fired(fifth, 3),
    )
    assert led_to(definition, came_due(fourth, fifth, missed=3)) == (
        ScheduleSkipped(slot_us=NOW_US, reason="catch_up", count=3),
        fired(fourth, 1),
        fired(fifth, 2),
    )


def test_sc3_skip_fires_only_a_slot_that_is_not_late() -> None:
    definition = created(catch_up="skip")
    late = bounds.SCHEDULE_LATE_US_MAX
    first, *_, last = hours(4)
    assert led_to(definition, came_due(first, late_us=late)) == (fired(first),)
    assert led_to(definition, came_due(first, late_us=late + 1)) == (
        ScheduleSkipped(slot_us=first, reason="catch_up", count=1),
    )
    assert led_to(definition, came_due(*hours(4), missed=6)) == (
        ScheduleSkipped(slot_us=first, reason="catch_up", count=9),
        fired(last),
    )
    assert led_to(definition, came_due(*hours(4), late_us=late + 1)) == (
        ScheduleSkipped(slot_us=first, reason="catch_up", count=4),
    )


def test_sc3_a_slot_is_not_late_because_of_its_jitter() -> None:
    definition = created(catch_up="skip", jitter_us=HOUR)
    assert led_to(definition, came_due(NOW_US, late_us=HOUR)) == (fired(NOW_US),)


# SC-5: overlaps


def test_sc5_allow_fires_beside_an_open_task() -> None:
    assert led_to(created(), came_due(NOW_US, open_task="t1")) == (fired(NOW_US),)


def test_sc5_skip_fires_nothing_while_a_task_is_open() -> None:
    definition = created(overlap="skip")
    assert led_to(definition, came_due(NOW_US)) == (fired(NOW_US),)
    skipped = ScheduleSkipped(slot_us=NOW_US, reason="overlap", count=1)
    assert led_to(definition, came_due(NOW_US, open_task="t1")) == (skipped,)
    assert led_to(definition, came_due(NOW_US, queued_task="t1")) == (skipped,)


def test_sc5_what_is_skipped_for_an_overlap_counts_all_that_its_task_would_have_stood_for() -> None:
    definition = created(overlap="skip")
    skipped = ScheduleSkipped(slot_us=NOW_US, reason="overlap", count=10)
    assert led_to(definition, came_due(*hours(4), missed=6, open_task="t1")) == (skipped,)


@pytest.mark.parametrize(
    ("open_task", "queued_task", "fires"),
    [
        ("", "", (fired(NOW_US, 1), fired(NOW_US + HOUR, 2, waits=True))),
        ("t1", "", (fired(NOW_US, 1, waits=True),)),
        ("t1", "t2", ()),
    ],
)
def test_sc5_queue_one_lets_one_run_and_one_wait(
    open_task: str, queued_task: str, fires: tuple[ScheduleFired, ...]
) -> None:
    definition = created(overlap="queue_one", catch_up="all", catch_up_max=100)
    made = led_to(definition, came_due(*hours(4), open_task=open_task, queued_task=queued_task))
    left = 4 - len(fires)
    assert made == (*fires, ScheduleSkipped(slot_us=hours(4)[-left], reason="overlap", count=left))


def test_sc5_slots_that_catch_up_do_not_overlap_one_another_either() -> None:
    definition = created(overlap="skip", catch_up="all", catch_up_max=100)
    assert led_to(definition, came_due(*hours(4))) == (
        fired(NOW_US),
        ScheduleSkipped(slot_us=NOW_US + HOUR, reason="overlap", count=3),
    )


def test_each_task_of_a_schedule_has_the_next_ordinal() -> None:
    state = told(created(catch_up="all", catch_up_max=100))
    state = schedule.step(state, came_due(*hours(3)), NOW_US).state
    assert schedule.step(state, came_due(hours(4)[-1]), NOW_US).consequences == (fired(hours(4)[-1], 4),)


# SC-6: run now


def test_sc6_run_now_fires_beside_the_slots() -> None:
    state = told(created(next_us=NOW_US + HOUR, catch_up="skip"))
    forced = came_due(forced=True, tick_us=NOW_US + 5, next_us=0)
    after, made = schedule.step(state, forced, NOW_US)
    assert made == (fired(NOW_US + 5),)
    assert after.next_us == NOW_US + HOUR
    assert not after.ended
    assert after.last_run_us == NOW_US + 5


def test_sc6_run_now_works_while_disabled_and_still_minds_overlaps() -> None:
    state = told(created(overlap="skip"), ScheduleDisabled(reason="r"))
    assert schedule.step(state, came_due(forced=True), NOW_US).consequences == (fired(NOW_US),)
    made = schedule.step(state, came_due(forced=True, open_task="t1"), NOW_US).consequences
    assert made == (ScheduleSkipped(slot_us=NOW_US, reason="overlap", count=1),)


# SC-6: ends and switches


def test_sc6_a_schedule_ends_with_its_last_slot() -> None:
    definition = created(ends_us=NOW_US + HOUR)
    after, made = schedule.step(told(definition), came_due(NOW_US), NOW_US)
    assert (made, after.ended) == ((fired(NOW_US),), False)
    after, made = schedule.step(after, came_due(NOW_US + HOUR), NOW_US)
    assert made == (fired(NOW_US + HOUR, 2), ScheduleEnded())
    assert (after.ended, after.next_us, schedule.due_at_us(after)) == (True, 0, 0)


def test_sc6_a_schedule_whose_calendar_has_no_further_slot_ends() -> None:
    assert led_to(created(), came_due(NOW_US, next_us=0)) == (fired(NOW_US), ScheduleEnded())


def test_sc6_a_slot_behind_the_end_does_not_fire() -> None:
    definition = created(ends_us=NOW_US)
    assert led_to(definition, came_due(*hours(3))) == (
        fired(NOW_US),
        ScheduleSkipped(slot_us=NOW_US + HOUR, reason="ended", count=2),
        ScheduleEnded(),
    )


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (ScheduleDisabled(), "disabled"),
        (ScheduleRemoved(), "disabled"),
        (ScheduleEnded(), "ended"),
    ],
)
def test_sc6_a_slot_that_lost_against_a_person_is_skipped_and_not_refused(before: ScheduleEvent, reason: str) -> None:
    made = schedule.step(told(created(), before), came_due(*hours(2), missed=3), NOW_US).consequences
    assert [(type(each), msgspec.to_builtins(each).get("reason")) for each in made] == [(ScheduleSkipped, reason)]
    assert [each.count for each in made if isinstance(each, ScheduleSkipped)] == [5]
    first = NOW_US + HOUR if reason == "ended" else NOW_US  # an ended one waits for no slot: the tick stands for it
    assert [each.slot_us for each in made if isinstance(each, ScheduleSkipped)] == [first]


def test_sc6_only_an_active_schedule_comes_due() -> None:
    active = told(created())
    assert schedule.due_at_us(active) == NOW_US
    for event in (ScheduleDisabled(), ScheduleRemoved(), ScheduleEnded()):
        assert schedule.due_at_us(told(created(), event)) == 0
    assert schedule.due_at_us(told(created(enabled=False))) == 0
    assert schedule.due_at_us(told(created(next_us=0))) == 0


def test_sc6_what_was_switched_off_says_why_and_comes_back_with_a_slot_of_its_own() -> None:
    off = told(created(), ScheduleDisabled(reason="holidays"))
    assert (off.active, off.reason) == (False, "holidays")
    on = schedule.evolve(off, ScheduleEnabled(next_us=NOW_US + 5), NOW_US)
    assert (on.active, on.reason, on.next_us) == (True, "", NOW_US + 5)


def test_sc6_enabling_makes_up_for_nothing() -> None:
    state = told(created(next_us=NOW_US), ScheduleDisabled())
    assert schedule.next_when_enabled(state, NOW_US - 1) == NOW_US
    assert schedule.next_when_enabled(state, NOW_US) == NOW_US + HOUR
    assert schedule.next_when_enabled(state, NOW_US + 100 * HOUR + 1) == NOW_US + 101 * HOUR
    ended = schedule.evolve(state, ScheduleEnded(), NOW_US)
    assert schedule.next_when_enabled(ended, NOW_US + 5) == NOW_US + HOUR
    assert schedule.next_when_enabled(told(created(next_us=0)), NOW_US + 5) == NOW_US + HOUR + 5


def test_sc6_enabling_behind_the_end_changes_nothing_about_the_end() -> None:
    state = told(created(ends_us=NOW_US + 5), ScheduleDisabled(), ScheduleEnabled(next_us=NOW_US + 6))
    assert (state.ended, state.next_us, state.active) == (True, 0, False)


def test_sc6_a_schedule_without_a_first_slot_has_ended() -> None:
    assert told(created(next_us=0)).ended
    assert not told(created()).ended


def test_the_due_ones_are_evaluated_by_slot_and_then_by_name() -> None:
    names = {"b": NOW_US, "a": NOW_US, "c": NOW_US - 1, "later": NOW_US + 1}
    states = [told(created(name=name, next_us=next_us)) for name, next_us in names.items()]
    assert [state.definition.name for state in schedule.due(states, NOW_US)] == ["c", "a", "b"]


# SC-4: anchors


def test_sc4_the_next_slot_counts_from_the_tick_or_lies_on_the_grid() -> None:
    tick_us = NOW_US + 3 * HOUR + 7
    assert schedule.next_after_tick(told(created(anchor="tick")), tick_us) == tick_us + HOUR
    assert schedule.next_after_tick(told(created(anchor="slot")), tick_us) == NOW_US + 4 * HOUR
    assert schedule.next_after_tick(told(created(anchor="slot")), NOW_US + HOUR) == NOW_US + 2 * HOUR


# SC-6: jitter


@given(st.text(max_size=20), st.integers(0, 2**53), st.integers(0, 86_400 * SECOND))
def test_sc6_jitter_is_bounded_and_the_same_for_the_same_slot(name: str, slot_us: int, most_us: int) -> None:
    drawn = schedule.jitter_us(name, slot_us, most_us)
    assert 0 <= drawn <= most_us
    assert drawn == schedule.jitter_us(name, slot_us, most_us)


def test_sc6_jitter_spreads_names_and_slots_over_its_whole_width() -> None:
    for drawn in (
        [schedule.jitter_us(f"s{at}", NOW_US, HOUR) for at in range(500)],
        [schedule.jitter_us("s", slot, HOUR) for slot in hours(500)],
    ):
        assert len(set(drawn)) == 500
        assert min(drawn) < HOUR // 20
        assert max(drawn) > HOUR - HOUR // 20


def test_sc6_jitter_is_pinned_because_replays_and_other_machines_draw_it_again() -> None:
    assert schedule.jitter_us("hourly", NOW_US, HOUR) == 850_806_996


def test_sc6_jitter_moves_when_a_slot_comes_due_and_not_the_slot() -> None:
    state = told(created(jitter_us=HOUR, anchor="slot"))
    due_at = schedule.due_at_us(state)
    assert NOW_US < due_at < NOW_US + HOUR
    assert schedule.due([state], due_at - 1) == []
    assert schedule.due([state], due_at) == [state]
    assert schedule.horizon_us(state, due_at) == NOW_US
    assert schedule.next_after_tick(state, due_at) == NOW_US + HOUR


def test_sc6_no_slot_is_due_before_the_longest_jitter_is_over_but_the_one_that_was_waited_for() -> None:
    state = told(created(jitter_us=HOUR))
    assert schedule.horizon_us(state, NOW_US + 10) == NOW_US
    assert schedule.horizon_us(state, NOW_US + 5 * HOUR) == NOW_US + 4 * HOUR


def test_sc6_no_slot_is_looked_for_behind_the_end() -> None:
    state = told(created(ends_us=NOW_US + HOUR))
    assert schedule.horizon_us(state, NOW_US + YEAR) == NOW_US + HOUR


# SC-7: clocks that jump


def test_sc7_a_jump_of_years_makes_one_task_and_counts_the_rest() -> None:
    state = told(created(every_us=SECOND))
    now_us = NOW_US + 10 * YEAR
    count = 10 * YEAR // SECOND + 1
    newest = tuple(now_us - at * SECOND for at in reversed(range(100)))
    fact = came_due(*newest, missed=count - 100, next_us=schedule.next_after_tick(state, now_us))
    after, made = schedule.step(state, fact, now_us)
    assert made == (fired(NOW_US, missed=count - 1),)
    assert (after.next_us, after.missed, after.last_run_us) == (now_us + SECOND, count - 1, now_us)


def test_sc7_a_clock_that_goes_back_makes_nothing_due() -> None:
    after = schedule.step(told(created()), came_due(NOW_US), NOW_US).state
    assert schedule.due([after], NOW_US - HOUR) == []
    assert not schedule.stranded(after, NOW_US - HOUR)


def test_sc7_a_schedule_that_was_looked_at_with_a_wrong_clock_is_noticed_and_comes_back() -> None:
    wrong = NOW_US + 10 * YEAR
    ahead = schedule.step(told(created()), came_due(NOW_US, tick_us=wrong, next_us=wrong + HOUR), wrong).state
    assert schedule.stranded(ahead, NOW_US + HOUR)
    assert not schedule.stranded(ahead, wrong)
    back = came_due(tick_us=NOW_US + HOUR, next_us=NOW_US + 2 * HOUR)
    again, made = schedule.step(ahead, back, NOW_US + HOUR)
    assert made == ()
    assert (again.next_us, schedule.stranded(again, NOW_US + HOUR)) == (NOW_US + 2 * HOUR, False)


# SC-8: the same again


def test_sc8_an_unchanged_definition_changes_nothing() -> None:
    """Neither when it would be due at once, as a file without a first slot always is, nor after a disable."""
    ran = schedule.step(told(created()), came_due(NOW_US), NOW_US).state
    again = created(next_us=NOW_US + 5)
    assert schedule.upsert(ran, again) is None
    assert schedule.upsert(schedule.evolve(ran, ScheduleDisabled(), NOW_US), again) is None
    assert schedule.upsert(told(created(ends_us=1, next_us=0)), created(ends_us=1, next_us=0)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"every_us": 2 * HOUR},
        {"every_us": 0, "cron": "0 * * * *"},
        {"zone": "Asia/Kathmandu"},
        {"task": text("8")},
        {"task_source": "s"},
        {"catch_up": "skip"},
        {"catch_up_max": 2},
        {"overlap": "skip"},
        {"anchor": "slot"},
        {"jitter_us": 1},
        {"ends_us": NOW_US + YEAR},
        {"enabled": False},
        {"first_us": NOW_US + 5},
    ],
    ids=str,
)
def test_sc8_a_changed_definition_is_recorded(change: dict[str, Any]) -> None:
    wanted = created(**change)
    assert schedule.upsert(told(created()), wanted) == wanted


def test_sc8_a_changed_definition_starts_over_and_keeps_the_history() -> None:
    """As the old runtime: the next slot is reset; identity, age and the last run are kept."""
    ran = schedule.step(told(created()), came_due(*hours(3)), NOW_US).state
    changed = created(task=text("8"), next_us=NOW_US + 9 * HOUR)
    state = schedule.evolve(ran, changed, NOW_US + 77)
    assert (state.definition, state.next_us, state.updated_at_us) == (changed, NOW_US + 9 * HOUR, NOW_US + 77)
    assert (state.created_at_us, state.fired, state.missed) == (ran.created_at_us, 1, 2)
    assert (state.last_run_us, state.last_slot_us) == (ran.last_run_us, NOW_US)


def test_a_new_or_removed_schedule_can_be_created() -> None:
    assert schedule.upsert(None, created()) == created()
    gone = told(created(), ScheduleRemoved(reason="r"))
    assert schedule.upsert(gone, created()) == created()
    assert schedule.evolve(gone, created(), NOW_US).active


# the fold


def test_a_stream_begins_with_its_creation() -> None:
    with pytest.raises(AssertionError, match=r"begins with schedule\.created"):
        schedule.evolve(None, ScheduleDisabled(), NOW_US)


def test_a_tick_lies_on_the_stream_of_all_schedules() -> None:
    tick = ScheduleTicked(explicit=True, at_us=NOW_US, evaluated=1, fired=1, skipped=0)
    with pytest.raises(AssertionError, match="does not belong"):
        schedule.evolve(told(created()), tick, NOW_US)  # type: ignore[arg-type]  # that is the point


def test_a_schedule_knows_what_it_did() -> None:
    definition = created(catch_up="all", catch_up_max=2)
    state = schedule.step(told(definition), came_due(*hours(5), late_us=9), NOW_US).state
    assert (state.fired, state.skipped, state.missed) == (2, 3, 0)
    assert (state.tick_us, state.last_run_us, state.last_slot_us) == (hours(5)[-1] + 9, hours(5)[-1] + 9, hours(5)[-1])


def test_an_evaluation_that_only_skips_is_no_run() -> None:
    state = schedule.step(told(created(overlap="skip")), came_due(NOW_US, open_task="t"), NOW_US).state
    assert (state.tick_us, state.last_run_us, state.fired) == (NOW_US, 0, 0)


@given(
    catch_up=st.sampled_from(["coalesce", "skip", "all"]),
    catch_up_max=st.integers(1, 100),
    overlap=st.sampled_from(["allow", "skip", "queue_one"]),
    ends_after=st.integers(0, 120) | st.none(),
    due=st.integers(0, 120),
    named=st.integers(1, 100),
    late_us=st.integers(0, HOUR - 1),
    tasks=st.sampled_from([("", ""), ("t1", ""), ("t1", "t2")]),
)
def test_each_slot_that_came_due_is_accounted_for_exactly_once(  # noqa: PLR0913, PLR0917  # what a decision rests on
    catch_up: str,
    catch_up_max: int,
    overlap: str,
    ends_after: int | None,
    due: int,
    named: int,
    late_us: int,
    tasks: tuple[str, str],
) -> None:
    """SC-2, SC-3, SC-5: fired, stood for by another one's task, or skipped with a reason."""
    ends_us = 0 if ends_after is None else NOW_US + ends_after * HOUR
    definition = created(catch_up=catch_up, catch_up_max=catch_up_max, overlap=overlap, ends_us=ends_us)
    slots = hours(due)[-named:]
    fact = came_due(
        *slots, late_us=late_us, missed=due - len(slots), open_task=tasks[0], queued_task=tasks[1], next_us=2**52
    )
    after, made = schedule.step(told(definition), fact, NOW_US)
    fires = [each for each in made if isinstance(each, ScheduleFired)]
    skips = [each for each in made if isinstance(each, ScheduleSkipped)]
    assert sum(1 + each.missed for each in fires) + sum(each.count for each in skips) == due
    assert after.fired + after.missed + after.skipped == due
    assert len({each.slot_us for each in fires}) == len(fires)
    assert [each.ordinal for each in fires] == list(range(1, len(fires) + 1))
    assert all(each.count > 0 for each in skips)
    open_tasks = len(fires) + len([task for task in tasks if task])
    assert not fires or overlap == "allow" or open_tasks <= {"skip": 1, "queue_one": 2}[overlap]
    assert ScheduleEnded() not in made[:-1]


# names


@pytest.mark.parametrize(
    ("name", "task_source", "slot_us", "source"),
    [
        ("nightly", "", NOW_US, "schedule:nightly:2023-11-14T22:13:20.000Z"),
        ("nightly", "mine", NOW_US + 999_999, "mine:2023-11-14T22:13:20.999Z"),
        ("n", "", 0, "schedule:n:1970-01-01T00:00:00.000Z"),
        ("n", "", 2**53 - 1, "schedule:n:2255-06-05T23:47:34.740Z"),
    ],
)
def test_sc2_the_source_of_a_task_names_its_slot(name: str, task_source: str, slot_us: int, source: str) -> None:
    assert schedule.source(name, task_source, slot_us) == source


def test_sc2_the_task_of_a_slot_is_the_wanted_one_with_that_source() -> None:
    state = told(created(task_source="mine"))
    made = schedule.task_of(state, {"kind": "k", "source": "mine"}, NOW_US)
    assert made == {"kind": "k", "source": "mine:2023-11-14T22:13:20.000Z"}
