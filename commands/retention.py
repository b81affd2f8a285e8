"""Erasing outputs and texts, by run, by task, by age. Each time an event says what is gone, and who wanted it."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands import moments, options, render
from commands.invocation import invocation
from commands.wiring import Runtime
from domain import errors
from domain.bounds import ERASED_RUNS_LISTED_MAX, REASON_CHARS_MAX
from domain.events import Put, Recorded, TaskClaimed, TextsErased
from domain.ids import LOG, keyed_task
from domain.intake import check_text
from domain.ports import LogView
from domain.task import OPEN

if TYPE_CHECKING:
    from adapters.erasure import Erased, Target

Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and leave it.")]

_AGE = "90d"
_NOT_DONE = {True: "would erase: ", False: "nothing erased; there are "}  # by whether it was only asked
_KEPT = 1_000  # runs


def erase(
    what: Annotated[
        str,
        typer.Argument(metavar="RUN|TASK|KEY", help="A run; a task with its runs; its key."),
    ],
    reason: options.Reason = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: options.Json = False,
) -> None:
    """Erase outputs and texts."""
    options.no_tail()
    runtime = invocation.runtime()
    targets = _targets(runtime, what)
    rule = "task" if targets[0].whole else "run"
    _carry_out(runtime, rule, targets, reason, dry_run=dry_run, yes=yes, as_json=as_json)


def gc(
    older: Annotated[
        str, typer.Option("--older", metavar="TIME", help="Runs before then: 90d, or a time; 90d without --keep.")
    ] = "",
    keep: Annotated[
        int | None,
        typer.Option("--keep", min=0, help="The latest runs that stay, 1000 with --older; alone: all others go."),
    ] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: options.Json = False,
) -> None:
    """Erase outputs and texts of old runs."""
    from adapters import archive, erasure

    options.no_tail()
    runtime = invocation.runtime()
    db = archive.connect(runtime.home.state)
    by_count = keep is not None and not older
    age, kept = older or ("0s" if by_count else _AGE), _KEPT if keep is None else keep
    before_us = moments.since(age, runtime.clock.now_us(), "--older")
    candidates = erasure.ended_before(db, before_us, kept)
    targets = [each for each in candidates if erasure.measure(db, [each]) != erasure.Erased()]
    db.close()
    reason = f"beyond the latest {kept}" if by_count else f"older than {age}, beyond the latest {kept}"
    rule = "count" if by_count else "age"
    _carry_out(runtime, rule, targets, reason, dry_run=dry_run, yes=yes, as_json=as_json)


def _targets(runtime: Runtime, what: str) -> "list[Target]":
    """The runs that are meant. Raises IdNotFound, RunWaits for what has not ended."""
    from adapters.erasure import Target

    if runtime.readable.task(keyed_task(what)) is not None:
        task = keyed_task(what)
    else:
        try:
            task = runtime.find_task(what)
        except errors.IdNotFound:
            run = runtime.find_run(what)
            task = next(iter(runtime.readable.run_events(run, bodies=False))).stream
            _check_over(runtime, task)
            return [Target(run, task)]
    _check_over(runtime, task)
    runs = [event.data.run for event in runtime.readable.stream(task) if isinstance(event.data, TaskClaimed)]
    return [Target(run, task, whole=True) for run in dict.fromkeys(runs)] or [Target(task, task, whole=True)]


def _check_over(runtime: Runtime, task: str) -> None:
    """What goes on still needs its texts. Raises TaskStateRefused."""
    state = runtime.readable.task(task)
    assert state is not None, "an id of the index is in the log"
    if state.status in OPEN:
        raise errors.TaskStateRefused(
            task=task[:8], status=state.status.value, verb="erase", needs="a task that is over"
        )


def _carry_out(  # what goes, why, and how it is asked for
    runtime: Runtime, rule: str, targets: "Sequence[Target]", reason: str, *, dry_run: bool, yes: bool, as_json: bool
) -> None:
    from adapters import archive, erasure, sealed

    check_text(reason, "--reason")
    if len(reason) > REASON_CHARS_MAX:
        raise errors.Invalid(where="--reason", why=f"{len(reason)} characters; at most {REASON_CHARS_MAX}")
    db = archive.connect(runtime.home.state)
    found = erasure.measure(db, targets)
    db.close()
    position = runtime.readable.head().position
    done = bool(targets) and found != erasure.Erased() and not dry_run
    if done:
        _confirm(len(targets), found, yes=yes)
        position = _record(runtime, rule, targets, found, reason)
        runtime.log.bulk(lambda writer: sealed.clear_leftover(writer, runtime.home.state))  # it holds outputs too
        runtime.log.bulk(lambda writer: erasure.erase(writer, targets))
        forget_tables(runtime.home.state)
    elif targets and not dry_run and rule in ("run", "task"):
        forget_tables(runtime.home.state)  # asked again: an erasure that was killed may have left them
    runtime.close()
    if as_json:
        answer = {"erased": done, "runs": len(targets), "position": position} | found._asdict()
        render.document("rt.erased.v1", answer)
        return
    text = f"{len(targets)} runs, {found.bodies} outputs, {found.texts} texts, {found.size} bytes as stored"
    render.out(f"erased: {text}" if done else _NOT_DONE[dry_run] + text)
    if done:
        render.note("backups, exports and golden logs made before still hold it")


def _confirm(runs: int, found: "Erased", *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise errors.Invalid(where="--yes", why="is needed where nobody can be asked: it does not come back")
    render.note(f"this erases {found.bodies} outputs and {found.texts} texts of {runs} runs for good")
    if input("erase? [y/N] ").strip().lower() != "y":
        raise typer.Exit(0)


def _record(runtime: Runtime, rule: str, targets: "Sequence[Target]", found: "Erased", reason: str) -> int:
    """Say so first: a crash in between leaves something to erase again, and never something that nobody knows of."""
    data = TextsErased(
        rule=rule,  # type: ignore[arg-type]  # one of our words
        runs=tuple(each.run for each in targets[:ERASED_RUNS_LISTED_MAX]),
        count=len(targets),
        bodies=found.bodies,
        texts=found.texts,
        size=found.size,
        reason=runtime.secrets.text(reason),
    )

    def work(view: LogView) -> Put:
        version = view.version(LOG) + 1
        event = Recorded(stream=LOG, version=version, at_us=runtime.clock.now_us(), actor=runtime.actor, data=data)
        return Put(events=(event,))

    result = runtime.log.append([work])[0]
    if isinstance(result, Exception):
        raise result
    return result[-1]


def forget_tables(state: Path) -> None:
    """The tables and the states that are kept hold texts too: they are computed again without them."""
    from adapters.state_cache import StateCache
    from projections.reached import FILE

    StateCache(state, lambda _: "").forget()

    for each in state.glob(f"{FILE}*"):
        if not each.name.endswith(".lock"):
            each.unlink(missing_ok=True)
