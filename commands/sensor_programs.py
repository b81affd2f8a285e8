"""Sensors that are programs: run on their interval, what they print is ingested, what fails too often is parked."""

from pathlib import Path
from typing import Any, NamedTuple

from commands.making import Making
from commands.programs import Program, Ran, environment, run
from commands.sensing import Ingested, Sensors
from commands.world import World
from domain import agents, errors
from domain.bounds import LINE_BYTES_MAX, SENSOR_EVENTS_MAX, SENSOR_OUTPUT_BYTES_MAX
from domain.events import Put
from domain.ids import sensor_stream
from domain.intake import parse_json
from domain.ports import LogView
from domain.sensed import Sensed
from domain.stream_index import SENSOR, Noun
from domain.work_config import SensorConfig
from domain.work_events import SensorParked, SensorRan, SensorWentStale

_MESSAGE_CHARS = 500  # the end of what a program says about its failure


class _Seen(NamedTuple):
    """What was read of a sensor's stream up to a version: when it last brought something new, and failures in a row."""

    version: int = 0
    fresh_us: int = 0
    failures: int = 0


class SensorPrograms:
    """The programs of one home's sensors."""

    def __init__(self, world: World, actor: str, folder: Path) -> None:
        self._world = world
        self._actor = actor
        self._sensors = Sensors(world.config, folder)
        self._began_us = world.clock.now_us()
        self._next_us: dict[str, int] = {}
        self._known: dict[str, _Seen] = {}
        self._told: dict[str, int] = {}  # sensor -> the last event that its staleness was told for

    def due(self) -> list[str]:
        """The sensors whose time has come, and that are not parked."""
        now_us = self._world.clock.now_us()
        known = {noun.name: noun for noun in self._world.log.nouns(SENSOR)}
        return [
            name
            for name, each in self._world.config.sensors.items()
            if each.enabled and self._is_due(name, each, known.get(name), now_us)
        ]

    def _is_due(self, name: str, sensor: SensorConfig, known: Noun | None, now_us: int) -> bool:
        """Its interval counts across dispatchers, as far as its runs were recorded."""
        if known is not None and known.status == "parked":
            return False
        next_us = max(self._next_us.get(name, 0), known.due_us if known else 0)
        return next_us <= now_us or next_us - now_us > int(sensor.every_s * 1_000_000)  # or the clock was wrong

    async def run(self, name: str, *, explicit: bool = False) -> dict[str, Any]:
        """Run one and ingest what it tells; what came of it. A quiet run of the dispatcher is not recorded."""
        sensor = self._world.config.sensors[name]
        self._next_us[name] = self._world.clock.now_us() + int(sensor.every_s * 1_000_000)
        ran = await run(self._world, self._program(sensor))
        counts = {"accepted": 0, "deduplicated": 0, "refused": 0}
        cause = ran.cause
        message = self._world.secrets.text(ran.stderr.decode("utf-8", "replace")).strip()[-_MESSAGE_CHARS:]
        if cause == "timeout" and not message:
            message = f"nothing on stderr; it was ended after {sensor.timeout_s:g} s (timeout_s)"
        if not cause:
            cause, message = self._ingest(name, ran, counts)
        failed = self._seen(name).failures
        failures = failed + 1 if cause else 0
        if explicit or cause or counts["accepted"] or counts["deduplicated"] or failed:
            await self._record(name, counts, cause, message, failures)
        return counts | {"sensor": name, "cause": cause, "message": message, "failures": failures}

    def _program(self, sensor: SensorConfig) -> Program:
        folder = self._world.folder
        command = agents.below(folder, sensor.argv[0]) if "/" in sensor.argv[0] else sensor.argv[0]
        return Program(
            argv=(command, *sensor.argv[1:]),
            cwd=agents.below(folder, sensor.working_dir),
            env=environment(self._world.environment.all(), sensor.inherit_env, sensor.env),
            timeout_s=sensor.timeout_s,
            bytes_max=SENSOR_OUTPUT_BYTES_MAX,
        )

    def _ingest(self, name: str, ran: Ran, counts: dict[str, int]) -> tuple[str, str]:
        lines = [line for line in ran.stdout.splitlines() if line.strip()]
        if len(lines) > SENSOR_EVENTS_MAX:
            return "too_many_events", f"{len(lines)} events in one run; at most {SENSOR_EVENTS_MAX}"
        good: list[Sensed] = []
        first = ""
        for number, line in enumerate(lines, 1):
            try:
                good.append(self._sensed(name, line, number))
            except errors.RtError as problem:
                counts["refused"] += 1
                first = first or str(problem)
        done: list[Ingested | errors.RtError] = []
        for at in range(0, len(good), 500):
            done += self._sensors.ingest(self._world.log, good[at : at + 500], self._world.clock.now_us(), self._actor)
        for each in done:
            if isinstance(each, errors.RtError):
                counts["refused"] += 1
                first = first or str(each)
            else:
                counts["accepted" if each.accepted else "deduplicated"] += 1
        return ("refused_events", first[:_MESSAGE_CHARS]) if counts["refused"] else ("", "")

    def _sensed(self, name: str, line: bytes, number: int) -> Sensed:
        where = f"line {number}"
        if len(line) > LINE_BYTES_MAX:
            raise errors.Invalid(where=where, why=f"more than {LINE_BYTES_MAX} bytes")
        try:
            document = parse_json(self._world.secrets.text(line.decode()), where)
        except UnicodeDecodeError:
            raise errors.Invalid(where=where, why="is not UTF-8") from None
        if isinstance(document, dict):
            document = {"sensor_id": name} | document
        return self._sensors.check(document, self._world.clock.now_us())

    def _seen(self, name: str) -> _Seen:
        """What the log says of its runs; only what is new since the last look is read."""
        seen = self._known.get(name, _Seen())
        for event in self._world.log.stream(sensor_stream(name), seen.version):
            seen = seen._replace(version=event.version)
            if isinstance(event.data, SensorRan):
                fresh_us = event.at_us if event.data.accepted else seen.fresh_us
                seen = seen._replace(fresh_us=fresh_us, failures=event.data.failures)
        self._known[name] = seen
        return seen

    async def _record(self, name: str, counts: dict[str, int], cause: str, message: str, failures: int) -> None:
        sensor = self._world.config.sensors[name]
        ran = SensorRan(
            sensor=name,
            accepted=counts["accepted"],
            deduplicated=counts["deduplicated"],
            cause=cause,
            message=message,
            failures=failures,
            next_us=self._next_us[name],
        )

        def work(view: LogView) -> Put | None:
            making = Making(view, at_us=self._world.clock.now_us(), actor=self._actor)
            at = making.here
            making.add(sensor_stream(name), ran)
            if failures >= sensor.failures_max:
                making.add(sensor_stream(name), SensorParked(sensor=name, failures=failures), cause=at)
            return making.put()

        await self._world.append(work)

    async def tell_stale(self) -> None:
        """Note, once, that nothing came from a sensor within its freshness deadline."""
        now_us = self._world.clock.now_us()
        for name, sensor in self._world.config.sensors.items():
            if not (sensor.enabled and sensor.freshness_s):
                continue
            last_us = self._seen(name).fresh_us
            deadline_us = max(last_us, self._began_us) + int(sensor.freshness_s * 1_000_000)
            if now_us < deadline_us or self._told.get(name) == last_us:
                continue
            self._told[name] = last_us
            stale = SensorWentStale(sensor=name, last_us=last_us, deadline_us=deadline_us)

            def work(view: LogView, name: str = name, stale: SensorWentStale = stale) -> Put | None:
                told = (each.data for each in view.stream(sensor_stream(name)))
                if any(isinstance(each, SensorWentStale) and each.last_us == stale.last_us for each in told):
                    return None
                making = Making(view, at_us=now_us, actor=self._actor)
                making.add(sensor_stream(name), stale)
                return making.put()

            await self._world.append(work)
