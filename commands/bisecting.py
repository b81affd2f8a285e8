"""`rt bisect`: the commit that changed a decision, found in the history of code or of a configuration."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from adapters.revisions import Commit, Repository, check_with
from commands import options, render
from commands.home import read_config
from commands.invocation import invocation
from commands.wiring import Runtime
from domain import errors


class Verdict(NamedTuple):
    """How a revision decides a run: as recorded, or with a first difference; `known` is False where it cannot say."""

    difference: dict[str, Any] | None = None
    known: bool = True

    @property
    def mark(self) -> tuple[object, ...]:
        """What makes two differences the same one."""
        found = self.difference
        return () if found is None else (found["position"], found["event"], found["field"], found["today"])


Look = Callable[[Path], Verdict]


class Found(NamedTuple):
    """What a search ended with: the commit, how it decides, and what it took."""

    commit: Commit
    verdict: Verdict
    looked: int
    skipped: tuple[str, ...]


def bisect(
    run: options.RunArgument,
    good: Annotated[str, typer.Option("--good", metavar="REV", help="A revision that decides one way.")],
    bad: Annotated[str, typer.Option("--bad", metavar="REV", help="A later one that decides another way.")] = "HEAD",
    repo: Annotated[Path, typer.Option("--repo", metavar="DIR", help="The repository; else the one here.")] = Path(),
    config: Annotated[
        str, typer.Option("--config-file", metavar="PATH", help="A configuration in it, instead of its code.")
    ] = "",
    as_json: options.Json = False,
) -> None:
    """Find the commit."""
    options.no_tail()
    runtime = invocation.runtime()
    wanted = runtime.find_run(run)
    repository = Repository(repo)
    first, last = repository.commit(good, "--good"), repository.commit(bad, "--bad")
    with tempfile.TemporaryDirectory(prefix="rt-bisect-") as folder:
        look = _by_config(runtime, wanted, config) if config else _by_code(runtime, wanted, Path(folder))
        found = search(repository, first, last, look)
    runtime.close()
    difference = found.verdict.difference
    if as_json:
        answer = {"run": wanted, "commit": found.commit._asdict(), "difference": difference}
        render.document("rt.bisect.v1", answer | {"looked": found.looked, "skipped": list(found.skipped)})
        return
    commit = found.commit
    render.out(f"{commit.sha[:12]}  {commit.date[:10]}  {render.line(commit.author)}: {render.line(commit.subject)}")
    if difference is None:
        render.out("  from here on the run is decided as recorded")
    else:
        field = f", field {difference['field']}" if difference["field"] else ""
        render.out(f"  changes position {difference['position']}: {difference['event']}{field}")
        render.out(f"  recorded  {render.line(str(difference['recorded']))}")
        render.out(f"  then      {render.line(str(difference['today']))}")
    skipped = f", {len(found.skipped)} could not say" if found.skipped else ""
    render.note(f"looked at {found.looked} revisions{skipped}")


def search(repository: Repository, good: Commit, bad: Commit, look: Look) -> Found:
    """The first commit behind the good one that decides as the bad one does, by halving.

    Raises Invalid where both decide the same, or one of them cannot say.
    """
    commits = repository.between(good, bad)
    seen: dict[str, Verdict] = {}

    def verdict(commit: Commit) -> Verdict:
        if commit.sha not in seen:
            with repository.checked_out(commit) as tree:
                seen[commit.sha] = look(tree)
        return seen[commit.sha]

    before = verdict(good)
    _check_ends(before, verdict(bad))
    low, high = -1, len(commits) - 1  # the good one lies before the first
    while high - low > 1:
        middle = (low + high) // 2
        near = (*range(middle, high), *range(middle - 1, low, -1))
        known = next((at for at in near if verdict(commits[at]).known), None)
        if known is None:  # none between them can say
            break
        low, high = (known, high) if verdict(commits[known]).mark == before.mark else (low, known)
    skipped = tuple(sha for sha, each in seen.items() if not each.known)
    return Found(commits[high], verdict(commits[high]), len(seen), skipped)


def _check_ends(good: Verdict, bad: Verdict) -> None:
    for where, each in (("--good", good), ("--bad", bad)):
        if not each.known:
            raise errors.Invalid(where=where, why="this revision cannot replay the run")
    if good.mark == bad.mark:
        raise errors.Invalid(where="--good, --bad", why="both decide this run the same")


def _by_code(runtime: Runtime, run: str, folder: Path) -> Look:
    """The run as a golden log, replayed by the rt of each revision."""
    from adapters import archive, transfer
    from replays.golden import FILE

    db = archive.connect(runtime.home.state)
    entries = archive.run_entries(db, run)
    db.close()
    target = folder / "run" / FILE
    target.parent.mkdir()
    header = transfer.Header(format=transfer.FORMAT, events=len(entries), run=run, name="run")
    target.write_bytes(b"".join(transfer.encode(header, entries)))

    def look(tree: Path) -> Verdict:
        found = check_with(tree, folder)
        return Verdict(known=False) if found is None else Verdict(found["difference"])

    return look


def _by_config(runtime: Runtime, run: str, path: str) -> Look:
    """The run with the configuration of each revision, replayed by the rt of now."""
    import msgspec

    from replays.audit import RUN, Other, Wanted, verdict
    from replays.substitute import PARTS

    def look(tree: Path) -> Verdict:
        file = tree / path
        if not file.is_file() or not file.resolve().is_relative_to(tree.resolve()):
            return Verdict(known=False)
        try:
            other = Other(dict.fromkeys(PARTS, read_config(file)), str(runtime.home.folder))
            found = verdict(runtime.readable, Wanted(RUN, run), other).result.difference
        except errors.RtError:
            return Verdict(known=False)
        return Verdict(None if found is None else msgspec.to_builtins(found))

    return look
