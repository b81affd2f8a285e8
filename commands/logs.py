"""Commands about the log itself: tail, verify, backup, export, import."""

import json
import sys
import time
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer

from adapters.head_record import HeadRecord
from adapters.log_read import ReadLog
from commands import follow, options, render
from commands.home import load_config
from commands.invocation import invocation
from commands.items import event_document
from domain import errors
from domain.bounds import FOLLOW_POLL_S, PAGE_EVENTS_MAX
from domain.events import LossAccepted, Put, Recorded
from domain.events import topic as topic_of
from domain.ids import LOG
from domain.ports import Head

app = typer.Typer(no_args_is_help=True)
_DIGITS = 17  # a position has fewer


@app.command("tail", help="Events by position: the last ones, or all after --after.")
def tail(  # noqa: C901  # a page after the other
    after: Annotated[int | None, typer.Option("--after", min=0, help="Only events after this position.")] = None,
    topic: Annotated[str, typer.Option("--topic", help="Only topics like this, for example 'run.*'.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000_000, help="At most so many events.")] = 20,
    follow_it: Annotated[bool, typer.Option("--follow", "-f", help="Go on as events come.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show the end of the log."""
    runtime = invocation.runtime()
    log = runtime.readable
    at = _begin(log, topic, limit) if after is None else after
    shown = 0
    while True:
        for event in log.read(at, PAGE_EVENTS_MAX):
            if shown >= limit and not follow_it:
                break
            at = event.position
            if not is_of(event, topic):
                continue
            shown += 1
            if as_json:
                render.document("rt.event.v1", event_document(event))
            else:
                name = topic_of(type(event.data))
                render.out(f"{at:>7}  {render.moment_us(event.at_us)}  {name:<28} {follow.fields(event.data)}")
        if (shown >= limit and not follow_it) or at >= log.head().position:
            if not follow_it:
                break
            time.sleep(FOLLOW_POLL_S)
    if as_json:
        head = log.head().position
        render.document("rt.end.v1", {"count": shown, "position": head, "next": at if at < head else None})
    runtime.close()


@app.command("show", help="One event, whole.")
def show(
    position: Annotated[str, typer.Argument(metavar="POS", help="Its position.")], as_json: options.Json = False
) -> None:
    """Show an event."""
    runtime = invocation.runtime()
    found = event_document(event_at(runtime.readable, position))
    hashed = (runtime.reader.hash_at(found["position"]) or b"").hex()
    runtime.close()
    if as_json:
        render.document("rt.event.v1", found | {"hash": hashed})
        return
    for name, value in (found | {"hash": hashed}).items():
        if name != "data" and value not in ("", None):
            render.out(f"{name:<10} {render.value(value)}")
    render.out("data")
    for line in json.dumps(found["data"], ensure_ascii=False, indent=2).splitlines():
        render.out(f"  {render.line(line)}")


def event_at(log: ReadLog, given: str) -> Recorded:
    """The event at a position. Raises PositionUnknown."""
    head = log.head().position
    wanted = int(given) if given.isascii() and given.isdecimal() and len(given) < _DIGITS else 0
    found = log.read(wanted - 1, 1, wanted) if 0 < wanted <= head else []
    if not found:
        raise errors.PositionUnknown(what="the log", given=given[:20], first=1, last=head)
    return found[0]


def is_of(event: Recorded, topic: str) -> bool:
    """Whether an event is of a topic: the beginning of one, or a pattern such as `run.*`."""
    return not topic or fnmatchcase(topic_of(type(event.data)), topic if "*" in topic else f"{topic}*")


def _begin(log: ReadLog, topic: str, limit: int) -> int:
    """The position after which the last `limit` events of this topic lie."""
    upto = log.head().position
    if not topic:
        return max(0, upto - limit)
    found = 0
    while upto > 0:
        after = max(0, upto - PAGE_EVENTS_MAX)
        for event in reversed(log.read(after, PAGE_EVENTS_MAX, upto)):
            found += is_of(event, topic)
            if found == limit:
                return event.position - 1
        upto = after
    return 0


@app.command("verify", help="Check the hash chain, every output and text, and the head record.")
def verify(
    accept_loss: Annotated[
        bool, typer.Option("--accept-loss", help="Go on with a log whose end was lost; recorded as an event.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Verify the log."""
    from adapters import archive

    runtime = invocation.runtime()
    record = HeadRecord(runtime.home.state / "head.json")
    try:
        recorded, is_lost = record.read(), False
    except errors.TailLost:
        if not accept_loss:
            raise
        recorded, is_lost = Head(0, ""), True
    db = archive.connect(runtime.home.state)
    try:
        found = archive.verify(db)

        def hash_at(position: int) -> str:
            row = db.execute("SELECT hash FROM stored_events WHERE position = ?", (position,)).fetchone()
            return row[0].hex() if row else ""

        try:
            record.check(recorded, found.events, hash_at)
        except errors.TailLost:
            is_lost = True
            if not accept_loss:
                raise
        if is_lost:
            _accept(record, recorded, Head(found.events, found.hash))
            found, recorded = archive.verify(db), record.read()
    finally:
        db.close()
    answer = {
        "position": found.events,
        "hash": found.hash,
        "bodies": found.bodies,
        "bodies_erased": found.bodies_missing,
        "texts": found.texts,
        "head_record": recorded.position,
    }
    runtime.close()
    if as_json:
        render.document("rt.verify.v1", answer)
        return
    erased = f", {found.bodies_missing} outputs erased" if found.bodies_missing else ""
    render.out(f"whole: {found.events} events, {found.bodies} outputs, {found.texts} texts{erased}")
    render.out(f"head {found.events} {found.hash}")
    render.note(f"the head record names position {recorded.position}; keep the head elsewhere to notice more")


def _accept(record: HeadRecord, recorded: Head, end: Head) -> None:
    record.replace(end)
    runtime = invocation.runtime()

    lost = LossAccepted(end=end.position, recorded_position=recorded.position, recorded_hash=recorded.hash)
    version = runtime.log.version(LOG) + 1
    event = Recorded(stream=LOG, version=version, at_us=runtime.clock.now_us(), actor=runtime.actor, data=lost)
    result = runtime.log.append([Put(events=(event,))])[0]
    if isinstance(result, Exception):
        raise result
    runtime.close()
    render.note(f"accepted: the events after {end.position} are gone; recorded at position {result[-1]}")


@app.command("backup", help="A verified copy of the log, also under load; FILE.head.json says where it ends.")
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")],
    as_json: options.Json = False,
) -> None:
    """Back the log up."""
    from commands.backups import save

    options.no_tail()
    runtime = invocation.runtime()
    saved = save(runtime.home.state, target.expanduser().absolute())
    runtime.close()
    if as_json:
        answer = {"position": saved.position, "hash": saved.hash, "size_bytes": saved.size_bytes}
        render.document("rt.backup.v1", answer | {"file": str(target), "head_file": str(saved.head_file)})
        return
    render.out(f"backed up {saved.position} events to {target}, verified")
    render.note(f"the head lies in {saved.head_file}; keep a copy of both elsewhere")


@app.command("export", help="The whole log as lines of JSON, on stdout or into a file.")
def export(
    target: Annotated[str, typer.Argument(metavar="[FILE]", help="A file; - is stdout.")] = "-",
    upto: Annotated[int | None, typer.Option("--upto", min=1, help="Not what is behind this position.")] = None,
    as_json: options.Json = False,
) -> None:
    """Export the log."""
    from adapters import archive, transfer

    if target == "-" and sys.stdout.isatty():
        raise errors.Invalid(
            where="FILE", why="is missing; an export is nothing for a terminal: name a file or use a pipe"
        )
    runtime = invocation.runtime()
    db = archive.connect(runtime.home.state)
    position, head = runtime.reader.head()
    try:
        if upto is not None and upto > position:
            raise errors.PositionUnknown(what="the log", given=upto, first=1, last=position)
        if upto is not None:
            position, head = upto, runtime.reader.hash_at(upto) or b""
        header = transfer.Header(format=transfer.FORMAT, events=position, position=position, hash=head.hex())
        _export(target, transfer.encode(header, archive.entries(db, position)))
    finally:
        db.close()
        runtime.close()
    if target != "-":
        answer = {"position": position, "hash": head.hex(), "file": target}
        if as_json:
            render.document("rt.export.v1", answer)
        else:
            render.out(f"exported {position} events to {target}")


def _export(target: str, lines: Iterable[bytes]) -> None:
    """Write lines to a new file, or to stdout for -. A file that could not be written whole is not left there."""
    if target == "-":
        for line in lines:
            sys.stdout.buffer.write(line)
        sys.stdout.flush()
        return
    try:
        Path(target).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Path(target).open("xb") as file:
            try:
                file.writelines(lines)
            except BaseException:
                Path(target).unlink()
                raise
    except FileExistsError:
        raise errors.FileThere(path=target) from None
    except OSError as problem:
        raise errors.StoreFull(path=target, why=str(problem.strerror)) from None


@app.command("import", help="Write an exported log into an empty home; hashes are checked, all of it or nothing.")
def import_(
    source: Annotated[str, typer.Argument(metavar="FILE", help="An export; - is stdin.")],
    as_json: options.Json = False,
) -> None:
    """Import a log."""
    from adapters import archive, transfer
    from adapters.codec import Codec

    runtime = invocation.runtime(create=True)
    load_config(runtime.home)
    try:
        file = sys.stdin.buffer if source == "-" else Path(source).open("rb")  # noqa: SIM115  # closed below
    except OSError as problem:
        raise errors.Invalid(where=source, why=f"cannot be read: {problem.strerror}") from None
    with file:
        header, entries = transfer.decode(file, source)
        if header.run:
            raise errors.Invalid(where=source, why="this is the golden log of one run, not a whole log")
        runtime.create_log()
        end = (header.position, header.hash)
        position, head = runtime.log.bulk(
            lambda db: archive.restore(db, entries, Codec(), end, str(runtime.home.state))
        )
    runtime.close()
    if as_json:
        render.document("rt.import.v1", {"position": position, "hash": head})
    else:
        render.out(f"imported {position} events")


@app.command("stats", help="What the log holds and where its bytes are.")
def stats(*, as_json: options.Json = False) -> None:
    """Show what the log holds."""
    from adapters import archive, erasure

    runtime = invocation.runtime()
    db = archive.connect(runtime.home.state)
    found, topics = erasure.stats(db), erasure.by_topic(db, 12)
    db.close()
    files = {each.name: each.stat().st_size for each in sorted(runtime.home.state.iterdir()) if each.is_file()}
    position = runtime.readable.head().position
    runtime.close()
    if as_json:
        largest = [{"topic": topic, "events": count, "bytes": size} for topic, count, size in topics]
        render.document("rt.log.stats.v1", found | {"files": files, "topics": largest, "position": position})
        return
    for name, value in found.items():
        render.out(f"{name:<22} {value:>14,}")
    render.table(("file", "bytes"), [(render.line(name), f"{size:,}") for name, size in files.items()])
    render.table(("topic", "events", "bytes"), [(topic, f"{count:,}", f"{size:,}") for topic, count, size in topics])
