"""`rt snapshot`: what a moment of the log says, the same bytes whenever it is made; and two of them compared."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from commands import documents, options, past, render, seen_artifacts
from commands.invocation import invocation
from commands.wiring import Runtime
from domain import errors
from domain.bounds import SNAPSHOT_FILE_BYTES_MAX, SNAPSHOT_LABEL_CHARS_MAX
from projections.snapshot import delta, moment

if TYPE_CHECKING:
    from projections.catch_up import Database


class _Count(msgspec.Struct):
    status: str
    count: int


class _Status(msgspec.Struct):
    counts: tuple[_Count, ...] = ()


class _Flow(msgspec.Struct):
    instance_key: str


class _Open(msgspec.Struct):
    task_id: str
    status: str


class _Artifact(msgspec.Struct):
    path: str
    sha256: str = ""


class _Snapshot(msgspec.Struct):
    """What a file must hold to be looked at and compared: ours, and those of an older runtime."""

    captured_at: str
    status: _Status
    workflows: tuple[_Flow, ...] = ()
    queued_tasks: tuple[_Open, ...] = ()
    artifact_files: tuple[_Artifact | str, ...] = ()
    position: int | None = None
    cost_usd: Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$")] | float = 0.0
    run_seconds: float = 0.0


def snapshot(
    label: Annotated[str, typer.Option("--label", help="Its name; else the position.")] = "",
    at: Annotated[str, typer.Option("--at", metavar="POS", help="A position or time; else now.")] = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where; else in snapshots/.")] = None,
    as_json: options.Json = False,
) -> None:
    """Write a snapshot."""
    options.no_tail()
    if len(label) > SNAPSHOT_LABEL_CHARS_MAX:
        raise errors.Invalid(where="--label", why=f"{len(label)} characters; at most {SNAPSHOT_LABEL_CHARS_MAX}")
    runtime = invocation.runtime()
    target, position, named = written(runtime, label, at, out)
    runtime.close()
    if as_json:
        answer = {"file": str(target), "position": position, "label": named}
        render.document("rt.snapshot.written.v1", answer)
    else:
        render.out(f"{target}: position {position}")


def written(runtime: Runtime, label: str, at: str, out: Path | None = None) -> tuple[Path, int, str]:
    """Write a snapshot: the file, its position, and the label as a file's name can hold it. Raises PositionUnknown."""
    made = taken(runtime, past.position(runtime, at) if at else 0)
    named = "".join(each if each.isascii() and (each.isalnum() or each in "-_") else "-" for each in label)
    target = out or folder(runtime) / f"{made['position']:012d}{'-' + named if named else ''}.json"
    runtime.files.write(documents.target(target), encoded(made))
    return target, made["position"], named


def folder(runtime: Runtime) -> Path:
    """Where snapshots lie."""
    return runtime.home.state / "snapshots"


def named(runtime: Runtime, name: str) -> Path:
    """The file of a snapshot that lies with the others. Raises SnapshotNotFound."""
    path = folder(runtime) / name
    if Path(name).name != name or not name.endswith(".json") or path.is_symlink() or not path.is_file():
        raise errors.SnapshotNotFound(name=name[:200])
    return path


def listed(runtime: Runtime, limit: int = 500) -> list[dict[str, Any]]:
    """Snapshots that lie with the others, the newest first; one that cannot be read with the reason."""
    found: list[dict[str, Any]] = []
    for path in sorted(folder(runtime).glob("*.json"), reverse=True)[:limit]:
        about: dict[str, Any] = {"name": path.name, "path": path.name}
        try:
            made = read(runtime, str(path), path.name)
        except errors.Invalid as problem:
            found.append(about | {"error": str(problem.fields["why"])})
            continue
        counts = {each["status"]: each["count"] for each in made["status"].get("counts", ())}
        about |= {
            "captured_at": made["captured_at"],
            "runtime_name": made.get("runtime_name", ""),
            "queued_tasks": len(made.get("queued_tasks", ())),
            "completed_tasks": counts.get("completed", 0),
            "position": made.get("position"),
        }
        found.append(about)
    return found


def _now(runtime: Runtime, _position: int, question: Callable[["Database", int], dict[str, Any]]) -> dict[str, Any]:
    return runtime.projection().ask(question)


def encoded(made: dict[str, Any]) -> bytes:
    """The bytes of a snapshot: the same moment, the same bytes."""
    return json.dumps(made, indent=1, sort_keys=True, default=_plain, ensure_ascii=False).encode() + b"\n"


def _plain(value: object) -> object:
    return f"{value.isoformat()}Z" if hasattr(value, "isoformat") else str(value)


def taken(runtime: Runtime, upto: int = 0) -> dict[str, Any]:
    """What a moment says, up to a position or now: counts, open tasks, latest results, workflows, spending."""
    name = runtime.config.runtime_name

    def question(database: "Database", position: int) -> dict[str, Any]:
        return moment(database, position, name) | {"looks": seen_artifacts.looks(database)}

    made = (past.ask if upto else _now)(runtime, upto, question)
    made["artifact_files"] = seen_artifacts.listed(runtime.readable, made.pop("looks"))
    made["hash"] = (runtime.reader.hash_at(made["position"]) or b"").hex()
    return made


def compare(runtime: Runtime, before: str, after: str, *, as_json: bool, out: Path | None) -> None:
    """What changed between two moments; each a snapshot's file or label, a position, or a time."""
    found = compared(runtime, before, after)
    if out is not None:
        from commands.report_page import Page
        from commands.reports import write

        write(runtime, out, Page(*_page(found)))
    if as_json:
        render.document("rt.report.v1", found)
    elif out is None:
        for line in _lines(found):
            render.out(line)


def compared(
    runtime: Runtime, before: str, after: str, where: tuple[str, str] = ("--before", "--after")
) -> dict[str, Any]:
    """What the second moment says differently; the second is now where it is not named. Raises Invalid."""
    one = read(runtime, before, where[0])
    return delta(one, read(runtime, after, where[1]) if after else json.loads(encoded(taken(runtime))))


def read(runtime: Runtime, given: str, where: str) -> dict[str, Any]:
    """A snapshot from a file, from a label, or made of a position or time. Raises Invalid for a file that is none."""
    path = _file(runtime, given)
    if path is None:
        return json.loads(encoded(taken(runtime, _moment(runtime, given, where))))  # type: ignore[no-any-return]  # an object of ours
    return _of_file(runtime, path, where)


def position(runtime: Runtime, given: str, where: str = "--at") -> int:
    """The position that a number, a time or a snapshot's label means. Raises PositionUnknown, Invalid."""
    path = None if given.isdecimal() else labelled(runtime, given)
    if path is None:
        return _moment(runtime, given, where)
    return int(_of_file(runtime, path, where)["position"])


def _moment(runtime: Runtime, given: str, where: str) -> int:
    """The position that a number or a time means; of what is neither it is said what else there could be."""
    if given.isidentifier():
        why = f"{given!r} is no position, no time, and the label of no snapshot"
        raise errors.Invalid(where=where, why=f"{why}; rt snapshot --label {given} makes one")
    return past.position(runtime, given, where)


def _of_file(runtime: Runtime, path: Path, where: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(_content(path))
        msgspec.convert(found, _Snapshot)
    except (OSError, ValueError, RecursionError) as problem:
        raise errors.Invalid(where=where, why=f"{path}: no snapshot: {problem}") from None
    if "hash" in found and found["hash"] != _hash_at(runtime, found.get("position", 0)):
        raise errors.Invalid(where=where, why=f"{path}: a snapshot of another log")
    return found


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError("no such file")
    with path.open("rb") as file:
        content = file.read(SNAPSHOT_FILE_BYTES_MAX + 1)
    if len(content) > SNAPSHOT_FILE_BYTES_MAX:
        raise ValueError(f"more than {SNAPSHOT_FILE_BYTES_MAX} bytes")
    return content


def _hash_at(runtime: Runtime, position: object) -> str:
    return (runtime.reader.hash_at(position) or b"").hex() if isinstance(position, int) else ""


def _file(runtime: Runtime, given: str) -> Path | None:
    if given.isascii() and given.isdecimal():
        return None
    path = Path(given)
    if path.suffix == ".json" or path.is_file():
        return path
    return labelled(runtime, given)


def labelled(runtime: Runtime, label: str) -> Path | None:
    """The newest snapshot with this label; None when there is none."""
    plain = label.replace("-", "").replace("_", "")
    found = sorted(folder(runtime).glob(f"*-{label}.json")) if plain.isascii() and plain.isalnum() else []
    return found[-1] if found else None


def _lines(found: dict[str, Any]) -> list[str]:
    """The comparison for people."""
    lines = [
        f"from {found['before_captured_at']} (position {found['before_position']})"
        f" to {found['after_captured_at']} (position {found['after_position']})"
    ]
    for status, each in found["status_deltas"].items():
        lines.append(f"  {status:<22} {each['before']:>7} → {each['after']:>7}  {each['delta']:+}")
    for each in found["workflow_state_changes"]:
        how = each.get("state") or f"{each.get('from_state')} → {each.get('to_state')}"
        lines.append(f"  workflow {render.line(each['instance_key'])}: {each['change']} {render.line(str(how))}")
    lines += [
        f"  {each['status']}: task {each['task_id'][:8]} {render.line(str(each.get('subject') or ''))}"
        for each in found["blocked_or_retryable_tasks"][:20]
    ]
    lines += [f"  artifact {each['change']}: {render.line(each['path'])}" for each in found["artifact_changes"][:20]]
    idle = "idle" if found["ended_idle"] else "not idle"
    lines.append(f"  spent ${found['cost_usd']}, {found['run_seconds']} s of runs; {idle}")
    return lines


def _page(found: dict[str, Any]) -> tuple[Any, ...]:
    from commands.report_page import Section
    from projections.drawing import SERIES, Drawn, axes, bars

    names = list(found["status_deltas"])
    traces = tuple(
        bars(when, names, [found["status_deltas"][name][when] for name in names], SERIES[at])
        for at, when in enumerate(("before", "after"))
    )
    done = found["completed_task_delta"]["delta"]
    changes = found["workflow_state_changes"]
    sections = [
        Section("tasks", Drawn(f"{done} more tasks are completed", traces, axes("state", "tasks"), sum(_sizes(found)))),
        Section("workflows", Drawn(f"{len(changes)} moves of workflows"), rows=changes),
        Section(
            "artifacts",
            Drawn(f"{len(found['artifact_changes'])} artifacts are new, changed or gone"),
            rows=found["artifact_changes"],
        ),
        Section(
            "waiting",
            Drawn(f"{len(found['blocked_or_retryable_tasks'])} tasks are blocked or wait for a retry"),
            rows=found["blocked_or_retryable_tasks"],
        ),
    ]
    cards = [("spent", f"${found['cost_usd']}"), ("seconds of runs", str(found["run_seconds"]))]
    span = f"{found['before_captured_at']} to {found['after_captured_at']}"
    where = f"positions {found['before_position']} and {found['after_position']}"
    return f"{found['runtime_name']}: two moments", span, cards, sections, where


def _sizes(found: dict[str, Any]) -> list[int]:
    return [each["after"] for each in found["status_deltas"].values()]
