"""Commands that replay: runs of the log, and golden logs."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from commands import options, render
from commands.invocation import invocation
from commands.wiring import Runtime
from domain import errors
from domain.events import Recorded
from replays.replay import Replayed

golden = typer.Typer(no_args_is_help=True)
Folder = Annotated[Path, typer.Option("--dir", help="Where golden logs lie.")]
GOLDEN = Path("tests/golden/runs")
Instead = Callable[[Recorded], Recorded]


def replay(
    run: Annotated[
        list[str] | None, typer.Argument(metavar="RUN…", help="Id, unique prefix of an id, @last or @failed.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every run of the log.")] = False,
    other: Annotated[
        list[str] | None,
        typer.Option("--with", help="`today`: with the configuration of now; PART=FILE: with a part of another one."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Replay runs."""
    options.no_tail()
    if bool(run) is every:
        raise errors.Invalid(where="RUN", why="name runs, or give --all; for example: rt replay @last")
    runtime = invocation.runtime()
    wanted = runtime.reader.recent_runs(-1) if every else [runtime.find_run(each) for each in run or ()]
    try:
        streams = _streams(runtime) if every else []
        replay_runs(
            runtime, wanted, summary=every, as_json=as_json, instead=_instead(runtime, other or []), streams=streams
        )
    finally:
        runtime.close()


def _streams(runtime: Runtime) -> list[tuple[str, str]]:
    """Every workflow and schedule: kind and stream."""
    from replays.nouns import KINDS

    return [(kind, noun.stream) for kind in KINDS for noun in runtime.readable.nouns(kind)]


def _instead(runtime: Runtime, other: list[str]) -> Instead | None:
    if not other:
        return None
    from commands.home import read_config
    from replays.substitute import PARTS, instead

    parts: dict[str, Any] = {}
    for each in other:
        name, separator, file = each.partition("=")
        if each == "today":
            parts |= dict.fromkeys(PARTS, runtime.config)
        elif not separator or not file:
            raise errors.Invalid(where="--with", why=f"{each!r}: expected today, or PART=FILE")
        else:
            parts[name] = read_config(Path(file))
    return instead(parts, str(runtime.home.folder))


def replay_runs(  # what is replayed, and how it is shown
    runtime: Runtime,
    wanted: list[str],
    *,
    summary: bool,
    as_json: bool,
    instead: "Instead | None" = None,
    streams: Sequence[tuple[str, str]] = (),
) -> int:
    """Replay and show; 0. With `summary` only differences and counts are shown. Raises Diverged."""
    diverged = [each for each in wanted if not _shown_run(runtime, each, instead, summary=summary, as_json=as_json)]
    others = [name for kind, name in streams if not _shown_stream(runtime, kind, name, as_json=as_json)]
    if as_json:
        count = len(wanted) + len(streams)
        render.document("rt.end.v1", {"count": count, "position": runtime.readable.head().position, "next": None})
    elif summary:
        render.out(f"{len(wanted) - len(diverged)} of {len(wanted)} runs identical")
        if streams:
            render.out(f"{len(streams) - len(others)} of {len(streams)} workflows and schedules identical")
    if diverged or others:
        total = len(wanted) + len(streams)
        raise errors.Diverged(count=len(diverged) + len(others), total=total, run=(diverged + others)[0][:8])
    return 0


def _shown_run(runtime: Runtime, run: str, instead: "Instead | None", *, summary: bool, as_json: bool) -> bool:
    """Whether a run is identical."""
    from replays.replay import replay as replayed

    start_s = time.monotonic()
    result = replayed(runtime.readable.run_events(run, bodies=True), runtime.readable.salt(run), instead)
    took_s = time.monotonic() - start_s
    if as_json:
        render.document("rt.replay.v1", _document(result, took_s))
    elif result.difference is not None or not summary:
        _show(result, took_s)
    return result.difference is None


def _shown_stream(runtime: Runtime, kind: str, stream: str, *, as_json: bool) -> bool:
    """Whether a workflow or schedule is identical."""
    from replays.nouns import replay_stream

    start_s = time.monotonic()
    result = replay_stream(kind, stream, runtime.readable.stream(stream))
    if as_json:
        render.document("rt.replay.v1", _document(result, time.monotonic() - start_s) | {"kind": kind})
    elif result.difference is not None:
        render.out(f"diverged: {kind} {stream[:8]}")
        render.out(render.clean(str(result.difference)))
    return result.difference is None


def _document(result: Replayed, took_s: float) -> dict[str, Any]:
    import msgspec

    return {
        "run": result.run,
        "identical": result.difference is None,
        "state": result.state,
        "events": result.events,
        "consequences": result.consequences,
        "output_bytes": result.output_bytes,
        "took_s": round(took_s, 6),
        "difference": msgspec.to_builtins(result.difference),
    }


def _show(result: Replayed, took_s: float) -> None:
    if result.difference is not None:
        render.out(f"diverged: run {result.run[:8]}")
        render.out(render.clean(str(result.difference)))
        return
    going = ", still running" if result.state == "running" else f", {result.state}"
    render.out(
        f"identical: run {result.run[:8]}, {result.events} events, {result.consequences} consequences{going};"
        f" today's code decides as recorded ({took_s * 1000:.0f} ms, nothing was run)"
    )


@golden.command("record", help="Keep a run as a golden log.")
def record(
    run: options.RunArgument,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Its name; else the run's prefix.")] = None,
    directory: Folder = GOLDEN,
    as_json: options.Json = False,
) -> None:
    """Record a golden log."""
    from adapters import archive
    from replays import golden as goldens

    runtime = invocation.runtime()
    wanted = runtime.find_run(run)
    called = name or wanted[:8]
    if not called.replace("-", "").replace("_", "").isalnum():
        raise errors.Invalid(where="NAME", why=f"{called!r}: letters, digits, - and _ only")
    db = archive.connect(runtime.home.state)
    content = goldens.encode(called, wanted, archive.run_entries(db, wanted))
    db.close()
    target = directory / called / goldens.FILE
    if target.exists():
        raise errors.FileThere(path=str(target))
    runtime.files.write(str(target), content)
    runtime.close()
    if as_json:
        render.document("rt.golden.v1", {"name": called, "run": wanted, "file": str(target)})
    else:
        render.out(f"recorded {called}: {target}")


@golden.command("check", help="Replay golden logs: exit 0 when all are identical, 4 when one diverged.")
def check(
    directory: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where golden logs lie.")] = GOLDEN,
    as_json: options.Json = False,
) -> None:
    """Check golden logs."""
    from replays import golden as goldens

    found = sorted(directory.glob(f"*/{goldens.FILE}"))
    if not found:
        raise errors.GoldenNotFound(folder=str(directory))
    diverged: list[str] = []
    for path in found:
        start_s = time.monotonic()
        with path.open("rb") as file:
            result = goldens.check(file, str(path)).result
        if result.difference is not None:
            diverged.append(path.parent.name)
        if as_json:
            render.document("rt.golden.v1", {"name": path.parent.name} | _document(result, time.monotonic() - start_s))
        elif result.difference is not None:
            render.out(f"diverged: {path.parent.name}")
            render.out(render.clean(str(result.difference)))
    if as_json:
        render.document("rt.end.v1", {"count": len(found), "position": 0, "next": None})
    else:
        render.out(f"{len(found) - len(diverged)} of {len(found)} golden logs identical")
    if diverged:
        raise errors.GoldenDiverged(count=len(diverged), total=len(found), name=diverged[0], folder=str(directory))
