"""Golden logs: runs that are kept as files, so that a changed decision fails a test."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from commands import options, render
from commands.invocation import invocation
from commands.replaying import document
from domain import errors
from replays import golden as goldens

app = typer.Typer(no_args_is_help=True)
GOLDEN = Path("tests/golden/runs")
Folder = Annotated[Path, typer.Option("--dir", help="Where golden logs lie.")]
Where = Annotated[Path, typer.Argument(metavar="[DIR]", help="Where golden logs lie.")]


@app.command("record", help="Keep a run as a golden log.")
def record(
    run: options.RunArgument,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Its name; else the run's prefix.")] = None,
    directory: Folder = GOLDEN,
    failed: Annotated[bool, typer.Option("--failed", help="Also a run that did not complete.")] = False,
    as_json: options.Json = False,
) -> None:
    """Record a golden log."""
    from adapters import archive

    runtime = invocation.runtime()
    wanted = runtime.find_run(run)
    called = name or wanted[:8]
    if not called.replace("-", "").replace("_", "").isalnum():
        raise errors.Invalid(where="NAME", why=f"{called!r}: letters, digits, - and _ only")
    db = archive.connect(runtime.home.state)
    content = goldens.encode(called, wanted, archive.run_entries(db, wanted), failed=failed)
    db.close()
    text = content.decode("utf-8", "replace")
    if runtime.secrets.text(text) != text:
        raise errors.GoldenRefused(run=wanted[:8], why="it holds the value of a registered secret")
    target = directory / called / goldens.FILE
    if target.exists():
        raise errors.FileThere(path=str(target))
    runtime.files.write(str(target), content)
    runtime.close()
    if as_json:
        render.document("rt.golden.v1", {"name": called, "run": wanted, "file": str(target)})
    else:
        render.out(f"recorded {called}: {target}")


@app.command("check", help="Replay golden logs: exit 0 when all are identical, 4 when one diverged.")
def check(directory: Where = GOLDEN, as_json: options.Json = False) -> None:
    """Check golden logs."""
    found = _files(directory)
    diverged: list[str] = []
    for path in found:
        start_s = time.monotonic()
        with path.open("rb") as file:
            result = goldens.check(file, str(path)).result
        shown = str(result.difference) if result.difference is not None else ""
        if shown:
            diverged.append(path.parent.name)
        if as_json:
            answer = {"name": path.parent.name, "shown": shown} | document(result, time.monotonic() - start_s)
            render.document("rt.golden.v1", answer)
        elif shown:
            render.out(f"diverged: {path.parent.name}")
            render.out(render.clean(shown))
    _end(len(found), f"{len(found) - len(diverged)} of {len(found)} golden logs identical", as_json=as_json)
    if diverged:
        raise errors.GoldenDiverged(count=len(diverged), total=len(found), name=diverged[0], folder=str(directory))


@app.command("update", help="Take over what today's code decides, where it asks for the same effects.")
def update(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME…]", help="Which; all that differ without it.")
    ] = None,
    directory: Folder = GOLDEN,
    as_json: options.Json = False,
) -> None:
    """Update golden logs."""
    runtime = invocation.runtime(create=True)
    changed = 0
    for path in _files(directory, names or []):
        with path.open("rb") as file:
            made = goldens.update(file, str(path))
        if made.difference is not None:
            changed += 1
            runtime.files.write(str(path), made.content)
        if as_json:
            shown = {"changed": made.difference is not None, "shown": str(made.difference or "")}
            render.document("rt.golden.v1", {"name": path.parent.name} | shown)
        elif made.difference is not None:
            render.out(f"updated: {path.parent.name}")
            render.out(render.clean(str(made.difference)))
    _end(changed, f"{changed} golden logs updated", as_json=as_json)


@app.command("list", help="Golden logs: what they hold, without replaying them.")
def list_golden(directory: Where = GOLDEN, as_json: options.Json = False) -> None:
    """List golden logs."""
    rows = list(_described(_files(directory)))
    if as_json:
        render.documents("rt.golden.v1", rows, position=0)
        return
    render.table(tuple(rows[0]), [tuple(row.values()) for row in rows])


def _described(files: list[Path]) -> Iterator[dict[str, Any]]:
    for path in files:
        with path.open("rb") as file:
            found = goldens.read(file, str(path))
        last = found.events[-1].data
        yield {
            "name": path.parent.name,
            "run": found.header.run[:8],
            "events": len(found.events),
            "bytes": path.stat().st_size,
            "ends": str(last.__struct_config__.tag),
        }


def _files(directory: Path, names: list[str] | None = None) -> list[Path]:
    """The files of golden logs. Raises GoldenNotFound, also for one of several names."""
    found = sorted(directory.glob(f"*/{goldens.FILE}"))
    if names:
        known = {path.parent.name: path for path in found}
        missing = [name for name in names if name not in known]
        if missing:
            raise errors.Invalid(where="NAME", why=f"no golden log {missing[0]!r}; see rt golden list")
        found = [known[name] for name in dict.fromkeys(names)]
    if not found:
        raise errors.GoldenNotFound(folder=str(directory))
    return found


def _end(count: int, text: str, *, as_json: bool) -> None:
    if as_json:
        render.document("rt.end.v1", {"count": count, "position": 0, "next": None})
    else:
        render.out(text)
