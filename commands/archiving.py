"""`rt archive`: the oldest events move to a file beside the log. Reports, SQL and replays see them as before."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands import moments, options, render
from commands.invocation import invocation
from commands.retention import DryRun
from commands.wiring import Runtime
from domain import errors
from domain.events import LogArchived, Put, Recorded
from domain.ids import LOG
from domain.ports import LogView

if TYPE_CHECKING:
    from adapters import sealed


def archive(
    before: Annotated[str, typer.Option("--before", metavar="TIME", help="Events before then: 90d, or a time.")],
    dry_run: DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Move old events away."""
    from adapters import archive as whole_log
    from adapters import sealed

    options.no_tail()
    runtime = invocation.runtime()
    before_us = moments.since(before, runtime.clock.now_us(), "--before")
    db = whole_log.connect(runtime.home.state)
    found = sealed.cut(db, before_us)
    db.close()
    position = runtime.readable.head().position
    done = found.events > 0 and not dry_run
    if done:
        _refuse_at_work(runtime)
        position = _record(runtime, found)
        runtime.log.bulk(lambda writer: sealed.seal(writer, runtime.home.state, found.upto))
    runtime.close()
    if as_json:
        render.document("rt.archived.v1", {"archived": done, "position": position} | found._asdict())
        return
    text = f"{found.events} events up to {found.upto}, {found.size} bytes as stored" if found.events else "nothing"
    render.out(f"archived: {text}" if done else f"nothing archived; there is {text} to archive")
    if done:
        render.note(f"keep {runtime.home.state / sealed.FILE} with the log: one is no use without the other")


def _refuse_at_work(runtime: Runtime) -> None:
    """A connection that is open already would not see the archive. Raises LogInUse."""
    names = [path.stem for path in (runtime.home.state / "dispatchers").glob("*.lock")]
    alive = sum(runtime.liveness.alive(name) for name in names)
    if alive:
        raise errors.LogInUse(count=alive)


def _record(runtime: Runtime, found: "sealed.Cut") -> int:
    """Say so first, in the log that goes on: a crash in between leaves something to archive again."""
    data = LogArchived(upto=found.upto, hash=runtime.readable.hash_at(found.upto), events=found.events, size=found.size)

    def work(view: LogView) -> Put:
        version = view.version(LOG) + 1
        event = Recorded(stream=LOG, version=version, at_us=runtime.clock.now_us(), actor=runtime.actor, data=data)
        return Put(events=(event,))

    result = runtime.log.append([work])[0]
    if isinstance(result, Exception):
        raise result
    return result[-1]
