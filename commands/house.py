"""Commands about the house: init, doctor, and the reference pages of `rt help`."""

import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from adapters.head_record import HeadRecord
from adapters.log_problems import unwritable
from adapters.log_reader import SQLITE_VERSION
from commands import options, render
from commands.home import CONFIG, STATE, absolute
from commands.invocation import invocation
from commands.wiring import Runtime
from domain import errors
from domain.bounds import DISK_FREE_BYTES_MIN

help_topics = typer.Typer(no_args_is_help=True)

TEMPLATE = """\
# rt: every field is optional; this file shows the defaults
# default_adapter = "command"

[retry]
attempts = 3            # per task
backoff_s = 60.0        # doubled with each attempt
backoff_max_s = 3600.0

[work]
concurrency = 4
kill_grace_s = 5.0      # between TERM and KILL

[secrets]
env = []                # variables whose values are taken out of everything before it is stored

# [adapters.report]     # a script of yours: it gets RT_TASK_PAYLOAD_FILE and prints {"status": "completed", ...}
# command = "./report.sh"
# timeout_s = 60.0
"""


def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="Where; the current folder without it.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Overwrite an rt.toml that is there.")] = False,
    example: Annotated[str, typer.Option("--example", help="With documents to try it out: operator.")] = "",
    agent_package: Annotated[
        Path | None, typer.Option("--agent-package", help="The package of an agent: identity, purpose, units.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Make a home."""
    options.no_tail()
    if example or agent_package:
        _folder(folder, example, agent_package, force=force, as_json=as_json)
        return
    target = absolute(folder)
    file = target / CONFIG
    if file.exists() and not force:
        better = "DIR  # a home in another folder; this one is a home already, and --force writes the defaults over it"
        raise errors.HomeExists(path=str(file), better=better)
    try:
        target.mkdir(parents=True, exist_ok=True)
        file.write_text(TEMPLATE)
    except OSError as problem:
        raise errors.StoreFull(path=str(file), why=str(problem.strerror)) from None
    invocation.home = str(target / STATE)
    runtime = invocation.runtime()
    runtime.create_log()
    runtime.close()
    ignored = _ignore(target)
    if as_json:
        render.document("rt.init.v1", {"config": str(file), "home": str(target / STATE), "gitignore": ignored})
        return
    render.out(f"made {file} and {target / STATE}{' (added to .gitignore)' if ignored else ''}")
    render.note("next: rt do -- echo hello")


def _folder(folder: Path, example: str, agent_package: Path | None, *, force: bool, as_json: bool) -> None:
    """Make a home that is more than its configuration."""
    from commands import agent_packages

    if agent_package is not None and (example or folder != Path()):
        raise typer.BadParameter("names its own folder; give either it, or --example with DIR")
    target = absolute(agent_package or folder)
    try:
        if agent_package is None:
            written = agent_packages.example(example, target, force=force)
        else:
            written = agent_packages.package(target, force=force)
    except OSError as problem:
        raise errors.StoreFull(path=str(problem.filename or target), why=str(problem.strerror)) from None
    invocation.home, invocation.config = str(target / STATE), None
    runtime = invocation.runtime()
    runtime.create_log()
    runtime.close()
    if as_json:
        answer = {"folder": str(target), "files": written, "home": str(target / STATE), "gitignore": _ignore(target)}
        render.document("rt.init_folder.v1", answer)
        return
    _ignore(target)
    render.out(f"made {target} with {len(written)} files")
    render.note(f"next: {target / 'README.md'}")


def _ignore(folder: Path) -> bool:
    """Keep the log out of git, where the folder is a checkout."""
    path = folder / ".gitignore"
    if not (folder / ".git").exists():
        return False
    known = path.read_text() if path.exists() else ""
    if f"{STATE}/" in known.split():
        return False
    path.write_text(known + ("" if not known or known.endswith("\n") else "\n") + f"{STATE}/\n")
    return True


class Check(NamedTuple):
    """One finding of the doctor."""

    what: str
    level: str  # ok, warning, error
    detail: str


def doctor(
    reindex: Annotated[bool, typer.Option("--reindex", help="Compute the claim index again from the events.")] = False,
    as_json: options.Json = False,
) -> None:
    """Check everything."""
    options.no_tail()
    runtime = invocation.runtime()
    if reindex:
        from adapters import archive
        from adapters.codec import Codec

        count = runtime.log.bulk(lambda db: archive.reindex(db, Codec()))
        render.note(f"the claim index was computed again from {count} events")
    checks = [*_machine(), *_home(runtime)]
    runtime.close()
    worst = "error" if any(each.level == "error" for each in checks) else "ok"
    if as_json:
        render.document("rt.doctor.v1", {"ok": worst == "ok", "checks": [each._asdict() for each in checks]})
    else:
        for each in checks:
            render.out(f"{each.level:<8} {each.what:<12} {render.line(each.detail)}")
    if worst == "error":
        raise typer.Exit(1)


_SQLITE_SAFE = (3, 51, 3)


def _machine() -> Iterator[Check]:
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("rt-runtime")
    except PackageNotFoundError:
        own = "unknown: not installed"
    yield Check("rt", "ok", f"{own}, Python {platform.python_version()}, {platform.system()} {platform.release()}")
    level = "ok" if SQLITE_VERSION >= _SQLITE_SAFE else "warning"
    why = "" if level == "ok" else "; before 3.51.3 a rare bug can lose the WAL when two processes checkpoint at once"
    yield Check("sqlite", level, f"{'.'.join(map(str, SQLITE_VERSION))}{why}")


def _home(runtime: Runtime) -> Iterator[Check]:
    state = runtime.home.state
    yield Check("home", "ok", str(state))
    try:
        known = runtime.config
        yield Check("config", "ok", str(runtime.home.config_file or "defaults: there is no rt.toml"))
        for name, adapter in known.adapters.items():
            folder = runtime.home.folder
            command = str(folder / adapter.command) if "/" in adapter.command else adapter.command
            found = shutil.which(command)
            used = name == known.default_adapter
            level = "ok" if found else "error" if used else "warning"
            yield Check(f"adapter {name}", level, found or f"{adapter.command} is not there or not executable")
    except errors.RtError as problem:
        yield Check("config", "error", str(problem))
    if not (state / "log.db").exists():
        yield Check("log", "warning", "none yet: rt do -- echo hello")
        return
    try:
        yield from _log(runtime)
    except errors.RtError as problem:
        yield Check("log", "error", f"{problem}" + (f"; try: {problem.advice}" if problem.advice else ""))


def _log(runtime: Runtime) -> Iterator[Check]:
    state = runtime.home.state
    record = HeadRecord(state / "head.json")
    recorded = record.read()
    head = runtime.readable.head()
    record.check(recorded, head.position, runtime.readable.hash_at)
    yield Check("log", "ok", f"ends at position {head.position}, its head record agrees")
    mode = state.stat().st_mode & 0o077
    yield Check("modes", "warning" if mode else "ok", f"{oct(state.stat().st_mode & 0o777)} on {state}")
    free = shutil.disk_usage(state).free
    yield Check("disk", "ok" if free > DISK_FREE_BYTES_MIN else "error", f"{free >> 20} MiB free")
    closed = unwritable(state)
    yield Check("writable", "error" if closed else "ok", f"{closed} cannot be written" if closed else str(state))
    lost = {each.dispatcher for each in runtime.readable.running() if not runtime.liveness.alive(each.dispatcher)}
    detail = (
        f"{len(lost)} died with runs in hand: rt work ends those and goes on"
        if lost
        else "none is dead with runs in hand"
    )
    yield Check("dispatchers", "warning" if lost else "ok", detail)
    position = runtime.projection().ask(lambda _database, at: at)
    yield Check("projection", "ok", f"true at position {position}")
    yield Check(
        "paused",
        "warning" if runtime.readable.paused() else "ok",
        "yes: rt resume" if runtime.readable.paused() else "no",
    )


EXIT_CODES = (
    (0, "done; also: was already so"),
    (1, "it ran and failed"),
    (2, "usage, invalid document, missing input"),
    (3, "not found, ambiguous prefix"),
    (4, "diverged: replay, golden logs"),
    (5, "conflict or busy; trying again can help"),
    (6, "refused by a rule; trying again does not help"),
    (
        7,
        "the store: damaged, tail lost, disk full, newer format; nothing was acknowledged. `output.lost`: it was done",
    ),
    (8, "pending: waits for a person or for its time"),
    (70, "a bug in rt"),
    (130, "interrupted (143: terminated), after draining"),
)


@help_topics.command("exit-codes", help="What the exit status says.")
def exit_codes() -> None:
    """Print the exit codes."""
    for code, meaning in EXIT_CODES:
        render.out(f"{code:>3}  {meaning}")


@help_topics.command("errors", help="Every error with its code, exit status and HTTP status.")
def error_codes() -> None:
    """Print the errors."""
    for kind in sorted(errors.tree(), key=lambda kind: kind.code):
        render.out(f"{kind.code:<22} exit {kind.exit:<3} http {kind.http}  {(kind.__doc__ or '').splitlines()[0]}")


@help_topics.command("limits", help="Every limit, with its unit in its name.")
def limits() -> None:
    """Print the limits."""
    from domain import bounds

    for name in sorted(vars(bounds)):
        if name.isupper():
            render.out(f"{name:<24} {getattr(bounds, name)}")


@help_topics.command("topics", help="Every event, and what it says.")
def topics() -> None:
    """Print the events."""
    from domain.events import REGISTRY, Fact, topic

    for kind in REGISTRY.values():
        role = "fact" if issubclass(kind, Fact) else "consequence"
        render.out(f"{topic(kind):<28} {role:<12} {(kind.__doc__ or '').splitlines()[0]}")


@help_topics.command("environment", help="The variables that rt reads and the ones that it sets for tools.")
def environment() -> None:
    """Print the variables."""
    for name, meaning in (
        ("RT_HOME", "the folder of the log, like --home"),
        ("RT_ACTOR", "recorded as the operator, like --actor"),
        ("NO_COLOR", "no colour; also FORCE_COLOR, TERM=dumb"),
        ("RT_TASK_ID", "set for tools: the task"),
        ("RT_RUN_ID", "set for tools: the run"),
        ("RT_CALL", "set for tools: the marker of the call, by which its processes are found"),
        ("RT_EFFECT_KEY", "set for tools: the same on every repetition of the call"),
        ("RT_TASK_PAYLOAD_FILE", "set for scripts: the payload as a JSON file"),
        ("RT_TASK_PAYLOAD_JSON", "set for scripts: the payload, where it fits"),
        (
            "RT_ARTIFACT_DIR, RT_STATE_DIR, RT_NAME, RT_ATTEMPT_ID",
            "set for scripts; also with AGENT_RUNTIME_ before them",
        ),
    ):
        render.out(f"{name:<28} {meaning}")


@help_topics.command("reference", help="Write the reference pages of the docs into a folder.")
def reference(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where.")]) -> None:
    """Write the reference pages."""
    from commands.reference import pages

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages(EXIT_CODES).items():
        (folder / name).write_text(content)
        render.out(str(folder / name))
