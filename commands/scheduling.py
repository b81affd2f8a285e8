"""Schedules as every door uses them: upsert, evaluate, enable, disable, remove, run now. Each is one transaction."""

from typing import Any, NamedTuple

import msgspec

from adapters.calendar import Calendar
from commands.making import Making, accepted_from
from domain import errors, schedule
from domain.bounds import CATCH_UP_MAX, CLOCK_BACK_US_MAX, REASON_CHARS_MAX, SCHEDULE_LOOK_BACK_MAX
from domain.config import Config
from domain.events import Put, Recorded
from domain.ids import SCHEDULES, keyed_task, schedule_stream
from domain.payload import Fact
from domain.ports import Log, LogView
from domain.schedule import State
from domain.schedule_events import (
    ScheduleCameDue,
    ScheduleCreated,
    ScheduleDisabled,
    ScheduleEnabled,
    ScheduleFired,
    ScheduleRemoved,
    ScheduleSkipped,
    ScheduleTicked,
)
from domain.schedule_input import Accepted, accept
from domain.stream_index import SCHEDULE
from domain.task import CLAIMABLE, Status
from domain.work_events import Origin

_OPEN = CLAIMABLE | {Status.RUNNING, Status.WAITING_FOR_APPROVAL}


class Known(NamedTuple):
    """A schedule as it is in the log: its state, the document of its task, and the slots that it fired last."""

    stream: str
    version: int
    state: State
    task: dict[str, Any]
    slots: tuple[int, ...]


class Ticked(NamedTuple):
    """What an evaluation did."""

    evaluated: int
    tasks: tuple[str, ...]
    skipped: int
    position: int
    failed: tuple[tuple[str, str], ...]  # schedules that could not be evaluated, and why


class Scheduler:
    """Reads schedules, each event once in the life of a process, and evaluates them."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._calendar = Calendar()
        self._known: dict[str, Known] = {}

    def known(self, view: LogView, stream: str) -> Known | None:
        """A schedule; None where there is none."""
        before = self._known.get(stream)
        found = before
        for event in view.stream(stream, before.version if before else 0):
            found = _folded(found, event)
        if found is not None and found is not before:
            self._known[stream] = found
        return found

    def named(self, view: LogView, name: str) -> Known:
        """A schedule by its name. Raises ScheduleNotFound."""
        found = self.known(view, schedule_stream(name))
        if found is None or found.state.removed:
            raise errors.ScheduleNotFound(name=name)
        return found

    def all(self, view: LogView) -> list[Known]:
        """Every schedule that was not removed, in the order of creation."""
        found = [self.known(view, noun.stream) for noun in view.nouns(SCHEDULE)]
        return [each for each in found if each is not None and not each.state.removed]

    def accepted(self, document: object, now_us: int) -> Accepted:
        """A schedule input, checked with its calendar and its task (SC-1). Raises Invalid, UnknownAdapter, Refused."""
        made = accept(document, now_us)
        event = made.event
        if event.cron:
            self._calendar.check(event.cron, event.zone)
            first_us = self._calendar.next_after(event.cron, event.zone, event.next_us - 1)
            event = schedule.starting(event, first_us)
        task = msgspec.json.decode(made.task)
        accepted_from(
            task | {"source": schedule.source(event.name, event.task_source, 0)}, "schedule", self._config, now_us
        )
        return msgspec.structs.replace(made, event=event)

    def upsert(self, log: Log, made: Accepted, now_us: int, actor: str) -> tuple[int, bool]:
        """Create or replace a schedule: its position, and whether anything changed."""
        stream = schedule_stream(made.event.name)

        def work(view: LogView) -> Put | None:
            found = self.known(view, stream)
            wanted = schedule.upsert(found.state if found else None, made.event)
            if wanted is None:
                return None
            making = Making(view, at_us=now_us, actor=actor)
            making.add(stream, wanted, correlation=stream, texts={"task": made.task})
            return making.put()

        return _appended(log, work)

    def change(self, log: Log, name: str, verb: str, now_us: int, actor: str, reason: str = "") -> tuple[int, bool]:
        """Enable, disable or remove a schedule. Raises ScheduleNotFound."""
        stream = schedule_stream(name)

        def work(view: LogView) -> Put | None:
            found = self.named(view, name)
            data = self._change(found.state, verb, now_us, reason[:REASON_CHARS_MAX])
            if data is None:
                return None
            making = Making(view, at_us=now_us, actor=actor)
            making.add(stream, data, correlation=stream)
            return making.put()

        return _appended(log, work)

    def _change(self, state: State, verb: str, now_us: int, reason: str) -> Fact | None:
        match verb:
            case "enable":
                return None if state.enabled else ScheduleEnabled(next_us=self._next(state, now_us))
            case "disable":
                return ScheduleDisabled(reason=reason) if state.enabled else None
            case _:
                return ScheduleRemoved(reason=reason)

    def _next(self, state: State, now_us: int) -> int:
        wanted = state.definition
        if wanted.cron:
            return self._calendar.next_after(wanted.cron, wanted.zone, now_us) or 0
        return schedule.next_when_enabled(state, now_us)

    def _back(self, state: State, now_us: int) -> int:
        """The next slot after a wrong clock: the first one from now on, and not before the schedule's own first."""
        wanted = state.definition
        if wanted.cron:
            return self._calendar.next_after(wanted.cron, wanted.zone, max(now_us, wanted.first_us - 1)) or 0
        if wanted.first_us > now_us:
            return wanted.first_us
        return now_us + ((state.next_us - now_us) % wanted.every_us or wanted.every_us)

    def tick(
        self, log: Log, now_us: int, actor: str, *, explicit: bool = False, only: str = "", recorded_us: int = 0
    ) -> Ticked:
        """Evaluate what is due: all of it in one transaction. An idle evaluation that nobody asked for writes nothing.

        `now_us` may be another time than that at which it is recorded. `only` names one schedule that a person wants to
        run now. Raises ScheduleNotFound.
        """
        evaluation = self.evaluation(now_us, actor, explicit=explicit, only=only, recorded_us=recorded_us)
        position, _ = _appended(log, evaluation.work)
        return evaluation.done._replace(position=position)

    def stranded(self, view: LogView, now_us: int) -> bool:
        """Whether a wrong clock left any schedule waiting for years (SC-7)."""
        found = (self.known(view, stream) for stream in _far_ahead(view, now_us))
        return any(each is not None and schedule.stranded(each.state, now_us) for each in found)

    def evaluation(
        self, now_us: int, actor: str, *, explicit: bool = False, only: str = "", recorded_us: int = 0
    ) -> "Evaluation":
        """An evaluation that is still to be appended."""
        return Evaluation(self, now_us, actor, explicit=explicit, only=only, recorded_us=recorded_us or now_us)

    def evaluated(self, making: Making, view: LogView, only: str) -> Ticked:
        """What follows from the slots that are due, in a put that is in the making."""
        states = [self.named(view, only)] if only else self._due(view, making)
        tasks: list[str] = []
        skipped = 0
        failed: list[tuple[str, str]] = []
        for each in states:
            kept = len(making.events), len(making.blobs)
            try:
                fired, left_out = self._evaluate(making, view, each, forced=bool(only))
            except errors.RtError as problem:  # one that cannot be evaluated never stops the others
                del making.events[kept[0] :], making.blobs[kept[1] :]
                making.forget()
                failed.append((each.state.definition.name, str(problem)))
                self._give_up(making, each, str(problem))
                continue
            tasks += fired
            skipped += left_out
        return Ticked(len(states), tuple(tasks), skipped, 0, tuple(failed))

    def _due(self, view: LogView, making: Making) -> list[Known]:
        now_us = making.as_of_us
        looks_back = now_us < making.at_us  # then a slot that lies far ahead says nothing about a wrong clock
        streams = [*view.due(SCHEDULE, now_us, 1 << 20), *([] if looks_back else _far_ahead(view, now_us))]
        known = [each for stream in streams if (each := self.known(view, stream)) is not None]
        found = {each.state.definition.name: each for each in known}
        order = schedule.due([each.state for each in known], now_us)
        stranded = [each for each in known if schedule.stranded(each.state, now_us)]
        return [found[state.definition.name] for state in order] + stranded

    def _evaluate(self, making: Making, view: LogView, each: Known, *, forced: bool) -> tuple[list[str], int]:
        state, wanted, now_us = each.state, each.state.definition, making.as_of_us
        opened = self._open_tasks(view, each)
        slots: tuple[int, ...] = (now_us,)
        missed, next_us = 0, state.next_us
        if not forced:
            slots, missed, next_us = self._slots(state, now_us)
        fact = ScheduleCameDue(
            tick_us=now_us,
            slots=slots,
            missed=missed,
            next_us=next_us,
            open_task=opened[0] if opened else "",
            queued_task=opened[1] if len(opened) > 1 else "",
            forced=forced,
        )
        at = making.here
        making.add(each.stream, fact, correlation=each.stream)
        tasks: list[str] = []
        skipped = 0
        for consequence in schedule.step(state, fact, now_us).consequences:
            place = making.here
            making.add(each.stream, consequence, correlation=each.stream, cause=at)
            if isinstance(consequence, ScheduleFired):
                tasks.append(self._fire(making, each, consequence, place, lane=wanted.overlap == "queue_one"))
            elif isinstance(consequence, ScheduleSkipped):
                skipped += consequence.count
        return tasks, skipped

    def _slots(self, state: State, now_us: int) -> tuple[tuple[int, ...], int, int]:
        wanted = state.definition
        if schedule.stranded(state, now_us):
            return (), 0, self._back(state, now_us)
        horizon_us = schedule.horizon_us(state, now_us)
        found = self._calendar.due(wanted.cron, wanted.zone, wanted.every_us, state.next_us, horizon_us, CATCH_UP_MAX)
        next_us = schedule.next_after_tick(state, now_us) if wanted.every_us else found.next_us
        return found.slots, found.missed, next_us

    def _fire(self, making: Making, each: Known, fired: ScheduleFired, cause: int, *, lane: bool) -> str:
        document = schedule.task_of(each.state, each.task, fired.slot_us)
        accepted, _ = accepted_from(document, "schedule", self._config, making.as_of_us)
        if lane:  # tasks of one lane do not overtake each other, nor run side by side
            event = msgspec.structs.replace(accepted.event, thread=f"schedule:{each.stream[:32]}")
            accepted = msgspec.structs.replace(accepted, event=event)
        task = keyed_task(f"schedule:{each.stream}:{fired.slot_us}")
        return making.queue(accepted, task, origin=Origin(kind="schedule", stream=each.stream), cause=cause)

    def _open_tasks(self, view: LogView, each: Known) -> list[str]:
        found: list[str] = []
        for slot_us in each.slots:
            task = keyed_task(f"schedule:{each.stream}:{slot_us}")
            state = view.task(task)
            if state is not None and state.status in _OPEN:
                found.append(task)
        return found

    def _give_up(self, making: Making, each: Known, why: str) -> None:
        """A schedule whose task is refused would be evaluated for ever: it is disabled, with the reason."""
        making.add(
            each.stream,
            ScheduleDisabled(reason=f"its task is refused: {why}"[:REASON_CHARS_MAX]),
            correlation=each.stream,
        )


class Evaluation:
    """One evaluation as a work of the log; `done` says what it did, once it was appended."""

    def __init__(
        self, scheduler: Scheduler, now_us: int, actor: str, *, explicit: bool, only: str, recorded_us: int
    ) -> None:
        self._scheduler = scheduler
        self._now_us = now_us
        self._recorded_us = recorded_us
        self._actor = actor
        self._explicit = explicit
        self._only = only
        self.done = Ticked(0, (), 0, 0, ())

    def work(self, view: LogView) -> Put | None:
        """See domain.ports.Work."""
        making = Making(view, at_us=self._recorded_us, as_of_us=self._now_us, actor=self._actor)
        made = self.done = self._scheduler.evaluated(making, view, self._only)
        if not (self._explicit or making.events):
            return None
        ticked = ScheduleTicked(
            explicit=self._explicit,
            at_us=self._now_us,
            evaluated=made.evaluated,
            fired=len(made.tasks),
            skipped=made.skipped,
        )
        making.add(SCHEDULES, ticked)
        return making.put()


def _far_ahead(view: LogView, now_us: int) -> list[str]:
    """Schedules that wait for a slot so late that a wrong clock may have put it there."""
    return [noun.stream for noun in view.nouns(SCHEDULE, "enabled") if noun.due_us - now_us > CLOCK_BACK_US_MAX]


def _folded(found: Known | None, event: Recorded) -> Known:
    data: Any = event.data
    state = schedule.evolve(found.state if found else None, data, event.at_us)
    task = found.task if found else {}
    slots = found.slots if found else ()
    if isinstance(data, ScheduleCreated):
        task = msgspec.json.decode(event.texts.get("task", b"{}"))
    if isinstance(data, ScheduleFired):
        slots = (*slots, data.slot_us)[-SCHEDULE_LOOK_BACK_MAX:]
    return Known(event.stream, event.version, state, task, slots)


def _appended(log: Log, work: Any) -> tuple[int, bool]:  # noqa: ANN401  # a Work
    result = log.append([work])[0]
    if isinstance(result, Exception):
        raise result
    return (result[-1], True) if result else (log.head().position, False)
