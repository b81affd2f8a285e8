"""Sensor events as every door uses them: accepted once, told again as often as they come, with what they begin."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from commands.making import Making, accepted_from
from commands.workflow_doors import Wanted, Workflows
from domain import errors
from domain.config import Config
from domain.events import Put, Recorded
from domain.ids import keyed_task, sensed_stream, sensor_event_stream
from domain.ports import Log, LogView
from domain.sensed import Sensed, accept
from domain.work_events import Origin, SensorAccepted, SensorDeduplicated, SensorNamed


class Ingested(NamedTuple):
    """What came of one sensor event: accepted, or known, with the first one's ids."""

    accepted: bool
    event: SensorAccepted
    position: int  # of the first one
    conflict: bool = False

    def answer(self) -> dict[str, Any]:
        """As it is answered to programs."""
        data = self.event
        return {
            "accepted": self.accepted,
            "task_id": data.task or None,
            "workflow_id": data.workflow or None,
            "conflict": self.conflict,
            "event": {
                "sensor_id": data.sensor,
                "event_id": data.event,
                "source_ref": data.source_ref,
                "dedupe_key": data.key,
                "position": self.position,
            },
        }


class Sensors:
    """The doors for sensor events of one home."""

    def __init__(self, config: Config, folder: Path) -> None:
        self._config = config
        self._workflows = Workflows(config, folder)

    def check(self, document: object, now_us: int) -> Sensed:
        """A sensor event as it may be stored, its proposed task checked. Raises Invalid, Refused and their like."""
        found = accept(document, now_us)
        if found.input.proposed_task is not None:
            accepted_from(found.input.proposed_task, "sensor", self._config, now_us)
        return found

    def ingest(self, log: Log, given: Sequence[Sensed], now_us: int, actor: str) -> list[Ingested | errors.RtError]:
        """Ingest events, each whole or not at all, all in one transaction (SE-1)."""
        made: dict[int, Ingested] = {}

        def work_of(at: int, sensed: Sensed) -> Any:  # noqa: ANN401  # a Work
            def work(view: LogView) -> Put | None:
                making = Making(view, at_us=now_us, actor=actor)
                made[at] = self._one(making, sensed)
                return making.put()

            return work

        results = log.append([work_of(at, sensed) for at, sensed in enumerate(given)])
        found: list[Ingested | errors.RtError] = []
        for at, result in enumerate(results):
            if isinstance(result, errors.RtError):
                found.append(result)
            elif isinstance(result, Exception):
                raise result
            else:
                done = made[at]
                found.append(done._replace(position=result[0]) if done.accepted else done)
        return found

    def _one(self, making: Making, sensed: Sensed) -> Ingested:
        wanted = sensed.input
        first = self._first(making.view, sensed, making.at_us)
        if first is not None:
            return self._again(making, sensed, first)
        stream = sensed_stream(wanted.dedupe_key, sensed.window)
        at = making.here
        # what it begins is named in the event, which comes first: ids are known before
        task = keyed_task(f"sensor:{stream}") if wanted.proposed_task is not None else ""
        workflow, known = "", False
        began = Making(making.view, at_us=making.at_us, actor=making.actor)
        if wanted.proposed_workflow is not None:
            proposed = wanted.proposed_workflow
            state, fresh = self._workflows.begin(
                began, Wanted(proposed.template, proposed.instance_key, proposed.context, proposed.state)
            )
            workflow, known = state.workflow, not fresh
        event = SensorAccepted(
            sensor=wanted.sensor_id,
            event=wanted.event_id,
            source_ref=wanted.source_ref,
            key=wanted.dedupe_key,
            payload=sensed.text,
            observed_us=sensed.observed_us,
            window=sensed.window,
            task=task,
            workflow=workflow,
            workflow_known=known,
        )
        making.add(stream, event, correlation=task or stream, texts={"payload": sensed.payload})
        named = SensorNamed(sensor=wanted.sensor_id, event=wanted.event_id, stream=stream)
        making.add(sensor_event_stream(wanted.sensor_id, wanted.event_id), named, cause=at)
        making.take(began)
        if wanted.proposed_task is not None:
            accepted, _ = accepted_from(wanted.proposed_task, "sensor", self._config, making.at_us)
            making.queue(accepted, task, origin=Origin(kind="sensor", stream=stream), cause=at)
        return Ingested(accepted=True, event=event, position=0)

    def _first(self, view: LogView, sensed: Sensed, now_us: int) -> Recorded | None:
        """The event that this one repeats, by its dedupe key or by its sensor's own id."""
        wanted = sensed.input
        events = view.stream(sensed_stream(wanted.dedupe_key, sensed.window))
        if not events and wanted.dedupe_ttl_seconds:  # one that came shortly before the border of the windows counts on
            before = view.stream(sensed_stream(wanted.dedupe_key, sensed.window - 1))
            if before and now_us - before[0].at_us < wanted.dedupe_ttl_seconds * 1_000_000:
                return before[0]
        if not events:
            names = view.stream(sensor_event_stream(wanted.sensor_id, wanted.event_id))
            if not names or (
                sensed.window and _stream_of(names[-1]) != sensed_stream(wanted.dedupe_key, sensed.window)
            ):
                return None
            events = view.stream(_stream_of(names[-1]))
        return events[0]

    def _again(self, making: Making, sensed: Sensed, first: Recorded) -> Ingested:
        accepted = first.data
        assert isinstance(accepted, SensorAccepted), "the stream of a sensor event begins with its acceptance"
        conflict = accepted.payload.sha256 != sensed.text.sha256
        again = SensorDeduplicated(
            sensor=sensed.input.sensor_id,
            event=sensed.input.event_id,
            first=first.position,
            payload_sha256=sensed.text.sha256,
            conflict=conflict,
        )
        making.add(_repetitions(first), again, correlation=first.correlation)
        return Ingested(accepted=False, event=accepted, position=first.position, conflict=conflict)


def _repetitions(first: Recorded) -> str:
    """Where it is noted that an event was told again: apart from it, so that looking at the first one stays cheap."""
    return sensed_stream(first.stream, -1)  # a window of a key is never negative


def _stream_of(event: Recorded) -> str:
    assert isinstance(event.data, SensorNamed), "such a stream holds names alone"
    return event.data.stream
