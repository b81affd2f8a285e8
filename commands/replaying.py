"""The command that replays: whether today's code decides as recorded."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import debugging, options, render
from commands.invocation import invocation
from commands.wiring import Runtime
from domain import errors
from replays.replay import Replayed

if TYPE_CHECKING:
    from replays.audit import Other, Verdict, Wanted

_PROGRESS_S = 0.5


def replay(  # what is replayed, with what, and how it is looked at
    run: Annotated[
        list[str] | None, typer.Argument(metavar="RUN…", help="Id, unique prefix of an id, @last or @failed.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every run, workflow and schedule of the log.")] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="All runs that began since then; 7d, 12h or a time.")
    ] = "",
    jobs: Annotated[int, typer.Option("--jobs", min=0, help="With --all: processes; 0 is one a processor.")] = 0,
    other: Annotated[
        list[str] | None,
        typer.Option("--with", help="`today`: with the configuration of now; PART=FILE: with a part of another one."),
    ] = None,
    at: Annotated[
        str, typer.Option("--at", metavar="POS", help="Show the state there: a position, @decision3 or a time.")
    ] = "",
    step: Annotated[bool, typer.Option("--step", help="Walk through its events in the terminal.")] = False,
    cause: Annotated[bool, typer.Option("--follow-cause", help="Show what led to its last event, or the one --at.")] = (
        False
    ),
    as_json: options.Json = False,
) -> None:
    """Replay runs."""
    options.no_tail()
    every = every or bool(since and not run)
    if bool(run) is every:
        raise errors.Invalid(where="RUN", why="name runs, or give --all; for example: rt replay @last")
    if (since or jobs) and not every:
        raise errors.Invalid(where="--since, --jobs", why="belong to --all, which takes no RUN")
    runtime = invocation.runtime()
    try:
        if at or step or cause:
            if every or other or len(run or ()) != 1:
                raise errors.Invalid(where="--at, --step, --follow-cause", why="look at one run, as it is in the log")
            wanted = runtime.find_run((run or [""])[0])
            debugging.look(runtime, wanted, debugging.Look(at=at, step=step, cause=cause), as_json=as_json)
            return
        found = _all(runtime, since) if every else _runs([runtime.find_run(each) for each in run or ()])
        _audit(runtime, found, _other(runtime, other or []), summary=every, jobs=jobs, as_json=as_json)
    finally:
        runtime.close()


def replay_runs(runtime: Runtime, runs: Sequence[str]) -> int:
    """Replay runs and show each; 0. Raises Diverged."""
    _audit(runtime, _runs(runs), None, summary=False, jobs=1, as_json=False)
    return 0


def _runs(runs: Sequence[str]) -> "list[Wanted]":
    from replays.audit import RUN, Wanted

    return [Wanted(RUN, run) for run in runs]


def _all(runtime: Runtime, since: str) -> "list[Wanted]":
    """Every run, workflow and schedule; with a time only the runs that were claimed since then."""
    from commands import moments
    from replays.audit import Wanted
    from replays.nouns import KINDS

    if since:
        position = runtime.reader.position_before(moments.since(since, runtime.clock.now_us()))
        return _runs(runtime.reader.recent_runs(-1, position))
    nouns = [Wanted(kind, noun.stream) for kind in KINDS for noun in runtime.readable.nouns(kind)]
    return [*_runs(runtime.reader.recent_runs(-1)), *nouns]


def _other(runtime: Runtime, given: list[str]) -> "Other | None":
    if not given:
        return None
    from commands.home import read_config
    from replays.audit import Other
    from replays.substitute import PARTS, Substitution

    parts: dict[str, Any] = {}
    for each in given:
        name, separator, file = each.partition("=")
        if each == "today":
            parts |= dict.fromkeys(PARTS, runtime.config)
        elif not separator or not file:
            raise errors.Invalid(where="--with", why=f"{each!r}: expected today, or PART=FILE")
        else:
            parts[name] = read_config(Path(file))
    other = Other(parts, str(runtime.home.folder))
    Substitution(*other)  # refuses a part that there is none of before anything is replayed
    return other


def _audit(  # what is replayed, with what, and how it is shown
    runtime: Runtime, wanted: "list[Wanted]", other: "Other | None", *, summary: bool, jobs: int, as_json: bool
) -> None:
    """Replay and show. With `summary` only differences and counts are shown. Raises Diverged."""
    from replays.audit import RUN, audit, by_cause

    differ: list[Verdict] = []
    erased = 0
    progress = _Progress(len(wanted), shown=summary and not as_json)
    for done, each in enumerate(audit(runtime.home.state, wanted, other, jobs), 1):
        _show(each, summary=summary, as_json=as_json)
        differ += [each] if each.cause is not None else []
        erased += each.result.erased
        progress.at(done)
    causes = by_cause(differ)
    if as_json:
        head = runtime.readable.head().position
        end = {"count": len(wanted), "position": head, "next": None, "diverged": len(differ), "causes": causes}
        render.document("rt.end.v1", end)
    elif summary:
        _summarize(wanted, differ, causes, erased)
    if differ:
        first = next((each for each in differ if each.kind == RUN), differ[0])
        raise errors.Diverged(count=len(differ), total=len(wanted), run=first.result.run[:8])


class _Progress:
    """How far many replays have come, on a terminal's stderr."""

    def __init__(self, total: int, *, shown: bool) -> None:
        self._total = total
        self._shown = shown and sys.stderr.isatty()
        self._next_s = time.monotonic() + _PROGRESS_S

    def at(self, done: int) -> None:
        """So many are done."""
        if self._shown and time.monotonic() >= self._next_s:
            render.note(f"{done} of {self._total} replayed")
            self._next_s = time.monotonic() + _PROGRESS_S


def _summarize(wanted: "list[Wanted]", differ: "list[Verdict]", causes: Any, erased: int) -> None:  # noqa: ANN401  # cause -> count
    from replays.audit import RUN
    from replays.causes import SAID

    runs = sum(each.kind == RUN for each in wanted)
    others = len(wanted) - runs
    wrong = sum(each.kind == RUN for each in differ)
    render.out(f"{runs - wrong} of {runs} runs identical")
    if others:
        render.out(f"{others - len(differ) + wrong} of {others} workflows and schedules identical")
    if erased:
        render.out(f"{erased} runs with erased texts: compared as far as they are there")
    for cause, count in causes.items():
        render.out(f"{count:>7}  {SAID[cause]}")


def _show(each: "Verdict", *, summary: bool, as_json: bool) -> None:
    result = each.result
    if as_json:
        render.document("rt.replay.v1", document(result, each.took_s) | {"kind": each.kind})
    elif result.difference is not None:
        render.out(f"diverged: {each.kind} {result.run[:8]}")
        render.out(render.clean(str(result.difference)))
    elif result.erased and not summary:
        render.out(f"run {result.run[:8]}: texts of it were erased; what can be compared without them is identical")
    elif not summary:
        going = ", still running" if result.state == "running" else f", {result.state}"
        render.out(
            f"identical: run {result.run[:8]}, {result.events} events, {result.consequences} consequences{going};"
            f" today's code decides as recorded ({each.took_s * 1000:.0f} ms, nothing was run)"
        )


def document(result: Replayed, took_s: float) -> dict[str, Any]:
    """A replay for programs."""
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
        "erased": result.erased,
    }
