"""Commands about sensors: facts from outside that are told once, however often they come."""

from typing import Annotated, Any

import typer

from commands import batches, documents, options, render
from commands.invocation import invocation
from commands.sensing import Ingested, Sensors
from commands.taking_in import announce
from commands.wiring import Runtime
from domain import errors
from domain.sensed import Sensed
from domain.stream_index import SENSOR

app = typer.Typer(no_args_is_help=True)


@app.command("ingest", help="Ingest a sensor event; one that is known answers with the first one.")
def ingest(
    document: Annotated[str | None, typer.Argument(metavar="[DOC]", help="JSON, @file, or - for stdin.")] = None,
    sensor: Annotated[str, typer.Option("--sensor", help="Its sensor_id, where the document names none.")] = "",
    key: Annotated[str, typer.Option("--key", help="Its dedupe_key, where the document names none.")] = "",
    lines: Annotated[bool, typer.Option("--lines", help="DOC is a file of lines, one event each.")] = False,
    as_json: options.Json = False,
) -> None:
    """Ingest sensor events."""
    options.no_tail()
    runtime = invocation.runtime(create=True)
    given = {name: value for name, value in (("sensor_id", sensor), ("dedupe_key", key)) if value}
    if lines:
        _many(runtime, document or "-", given, as_json=as_json)
        return
    found = _merged(documents.read(document or "-", "event"), given)
    sensed = check(runtime, found)
    announce(runtime)
    doors = Sensors(runtime.config, runtime.home.folder)
    done = doors.ingest(runtime.log, [sensed], runtime.clock.now_us(), runtime.actor)[0]
    position = runtime.log.head().position
    runtime.close()
    if isinstance(done, errors.RtError):
        raise done
    if as_json:
        answer = done.answer() | {"position": position, "ignored_keys": list(sensed.ignored_keys)}
        render.document("rt.sensor.v1", answer)
        return
    _said(done)
    if sensed.ignored_keys:
        render.note(f"ignored keys: {', '.join(sensed.ignored_keys)}")


def check(runtime: Runtime, document: object) -> Sensed:
    """A sensor event as it may be stored. Raises Invalid."""
    found = Sensors(runtime.config, runtime.home.folder).check(document, runtime.clock.now_us())
    texts = f"{found.payload.decode()}\n{found.input.proposed_task}\n{found.input.proposed_workflow}"
    if runtime.secrets.text(texts) != texts:
        raise errors.Invalid(where="event", why="contains the value of a registered secret")
    return found


def _merged(document: object, given: dict[str, str]) -> object:
    return given | document if isinstance(document, dict) else document


def _said(done: Ingested) -> None:
    event = done.event
    made = [
        text
        for text in (event.task and f"task {event.task[:8]}", event.workflow and f"workflow {event.workflow[:8]}")
        if text
    ]
    how = "accepted" if done.accepted else "known"
    render.out(
        f"{how}: {render.line(event.key)} at position {done.position}" + (f" ({', '.join(made)})" if made else "")
    )
    if done.conflict:
        render.note("its payload differs from the first one's")


def _many(runtime: Runtime, given: str, fields: dict[str, str], *, as_json: bool) -> None:
    doors = Sensors(runtime.config, runtime.home.folder)
    groups = batches.groups(given, "events")
    announce(runtime)
    counts = {"accepted": 0, "deduplicated": 0, "refused": 0}
    try:
        for group in groups:
            good = {
                line.number: sensed
                for line in group
                if (sensed := _good(runtime, line, fields, as_json=as_json)) is not None
            }
            counts["refused"] += len(group) - len(good)
            ingested = doors.ingest(runtime.log, list(good.values()), runtime.clock.now_us(), runtime.actor)
            for number, done in zip(good, ingested, strict=True):
                counts[_how(done, number, as_json=as_json)] += 1
    except errors.Invalid:  # what comes next cannot be read; what came before is taken in
        _counted(counts, runtime.log.head().position, as_json=as_json)
        raise
    position = runtime.log.head().position
    runtime.close()
    _counted(counts, position, as_json=as_json)
    if counts["refused"]:
        raise typer.Exit(errors.Invalid.exit)


def _counted(counts: dict[str, int], position: int, *, as_json: bool) -> None:
    if as_json:
        render.document("rt.batch.v1", counts | {"position": position})
    else:
        shown = ", ".join(f"{count} {name}" for name, count in counts.items())
        render.out(f"{shown}, at position {position}")


def _good(runtime: Runtime, line: batches.Line, fields: dict[str, str], *, as_json: bool) -> Sensed | None:
    try:
        if line.problem is not None:
            raise line.problem
        return check(runtime, _merged(line.document, fields))
    except errors.RtError as problem:
        batches.tell_refused(line.number, problem, as_json=as_json)
        return None


def _how(done: Ingested | errors.RtError, number: int, *, as_json: bool) -> str:
    if isinstance(done, errors.RtError):
        batches.tell_refused(number, done, as_json=as_json)
        return "refused"
    return "accepted" if done.accepted else "deduplicated"


@app.command("list", help="The configured sensors, and how they are.")
def list_sensors(as_json: options.Json = False) -> None:
    """List sensors."""
    runtime = invocation.runtime()
    position = runtime.readable.head().position
    found = listed(runtime)
    runtime.close()
    if as_json:
        render.documents("rt.sensor.v1", found, position=position)
        return
    rows = [
        (each["sensor"], each["status"], each["every_s"], each["next_at"] or "", " ".join(each["argv"])[:60])
        for each in found
    ]
    render.table(("sensor", "status", "every s", "next", "program"), rows)


def listed(runtime: Runtime) -> list[dict[str, Any]]:
    """The configured sensors for programs."""
    known = {noun.name: noun for noun in runtime.readable.nouns(SENSOR)}
    found: list[dict[str, Any]] = []
    for name, each in runtime.config.sensors.items():
        noun = known.get(name)
        status = "disabled" if not each.enabled else noun.status if noun else "waiting"
        due = render.moment_us(noun.due_us) if noun and noun.due_us else None
        found.append(
            {"sensor": name, "status": status, "every_s": each.every_s, "next_at": due, "argv": list(each.argv)}
        )
    return found


@app.command("run", help="Run a configured sensor's program now and ingest what it prints.")
def run(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The sensor.")], as_json: options.Json = False
) -> None:
    """Run a sensor."""
    import asyncio

    from commands.sensor_programs import SensorPrograms

    options.no_tail()
    runtime = invocation.runtime(create=True)
    if name not in runtime.config.sensors:
        raise errors.SensorNotFound(name=name, known=", ".join(runtime.config.sensors) or "none")
    announce(runtime)

    async def main() -> dict[str, Any]:
        async with runtime.world(lambda _events: None, render.note) as world:
            return await SensorPrograms(world, runtime.actor, runtime.home.folder).run(name, explicit=True)

    done = asyncio.run(main())
    runtime.close()
    if as_json:
        render.document("rt.sensor_run.v1", done)
    else:
        render.out(f"{done['accepted']} accepted, {done['deduplicated']} known, {done['refused']} refused")
        if done["cause"]:
            render.note(": ".join(filter(None, (done["cause"], done["message"]))))
    if done["cause"]:
        raise typer.Exit(1)
