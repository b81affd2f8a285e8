"""The command line: which command is where, the global options, and how a program of rt ends.

A command pays only for what it imports: the module of the one that was asked for is loaded, the others lend their help.
"""

import contextlib
import errno
import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from commands import render
from commands.options import invocation
from domain import errors

# name -> (module, function, help)
COMMANDS = {
    "do": ("work", "do", "Take in a task, run it here and follow it: `rt do -- ARGV`, or `rt do demo`."),
    "intake": ("work", "intake", "Take in a task: a document, or `-- ARGV`."),
    "run-once": ("work", "run_once", "One dispatch cycle: recovery, then at most one run."),
    "work": ("work", "work", "Dispatch until stopped: Ctrl-C once drains, twice stops now."),
    "status": ("status", "status", "One screen: what waits for you, what runs, what comes next."),
    "watch": ("runs", "watch", "Follow one run live; Ctrl-C detaches, the run goes on."),
    "replay": ("replaying", "replay", "Replay runs offline: exit 0 identical, 4 diverged."),
    "sql": ("query", "sql", "Ask the projection one SELECT; read-only."),
    "cancel": ("tasks", "cancel", "End a task or its running run; returns when nothing of it is left."),
    "retry": ("tasks", "retry", "Give a task that failed or is blocked another attempt."),
    "unblock": ("tasks", "unblock", "Let a blocked task go on."),
    "approve": ("approvals", "approve", "Say yes to exactly what waits for a person."),
    "reject": ("approvals", "reject", "Say no to what waits; the agent is told why."),
    "settle": ("approvals", "settle", "Say whether an effect of unknown outcome happened."),
    "pause": ("tasks", "pause", "Stop claiming; running runs go on."),
    "resume": ("tasks", "resume", "Claim again."),
    "init": ("house", "init", "Make a home here: rt.toml and .rt."),
    "doctor": ("house", "doctor", "Check this machine, the home, the log and the projection."),
}
# name -> (module, group, help)
GROUPS = {
    "task": ("tasks", "app", "Tasks."),
    "run": ("runs", "app", "Runs."),
    "approval": ("approvals", "app", "What waits for a person."),
    "grant": ("approvals", "grants", "Standing grants."),
    "profile": ("profiles", "app", "Agents: who decides, with which tools, within which limits."),
    "log": ("logs", "app", "The log."),
    "projection": ("query", "projection", "The DuckDB tables."),
    "golden": ("replaying", "golden", "Recorded runs as tests."),
    "config": ("house", "config", "The configuration."),
    "help": ("house", "help_topics", "Reference pages."),
}
OLD_COMMANDS = {
    "adapters": "rt doctor",
    "healthcheck": "rt doctor",
    "snapshot": "rt log export",
    "seed-backlog": "rt intake",
}  # of the old runtime, where there is a new one
_ClickException: type[Exception] = typer.BadParameter.__mro__[2]  # typer brings its own click and exports little of it
assert _ClickException.__name__ == "ClickException", "typer changed what BadParameter is"
_WITH_VALUE = {"--home", "--config", "--color", "--actor"}
_FLAGS = {"-q", "--quiet", "--debug"}


def build(verb: str | None) -> typer.Typer:
    """The command line with the command that was asked for; None loads all of them."""
    app = typer.Typer(
        name="rt",
        help="An event-sourced runtime for agents: every fact is one event in one log, and any run replays exactly.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_globals)
    for name, (module, function, text) in COMMANDS.items():
        wanted = verb in (None, name)
        app.command(name, help=text)(_load(module, function) if wanted else _elsewhere)
    for name, (module, group, text) in GROUPS.items():
        wanted = verb in (None, name)
        app.add_typer(_load(module, group) if wanted else _nothing(), name=name, help=text)
    return app


def _load(module: str, name: str) -> Any:  # noqa: ANN401  # a command or a group, as the tables say
    return getattr(import_module(f"commands.{module}"), name)


def _elsewhere() -> None:
    """Stand for a command that was not asked for."""


def _nothing() -> typer.Typer:
    group = typer.Typer()
    group.callback()(_elsewhere)
    return group


def _version(asked: bool) -> None:  # noqa: FBT001  # typer calls it so
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            render.out(f"rt {version('rt-runtime')}")
        except PackageNotFoundError:
            render.out("rt, from a checkout that is not installed")
        raise typer.Exit


def _globals(
    home: Annotated[
        str | None, typer.Option("--home", help="The folder of the log; else the nearest .rt upwards.")
    ] = None,
    config: Annotated[str | None, typer.Option("--config", help="A TOML or JSON file, instead of rt.toml.")] = None,
    color: Annotated[str, typer.Option("--color", help="auto, always or never.")] = "auto",
    actor: Annotated[str | None, typer.Option("--actor", help="Recorded as the operator.")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    _ = version  # its callback printed it and left
    if color not in ("auto", "always", "never"):
        raise typer.BadParameter("auto, always or never", param_hint="--color")
    render.style.color, render.style.quiet = color, quiet
    invocation.home, invocation.config, invocation.actor, invocation.debug = home, config, actor, debug


def main() -> None:
    """Run one command and end with its exit status."""
    os.umask(0o077)  # what rt writes is for its user alone
    arguments, tail = _split(sys.argv[1:])
    invocation.tail = tail
    try:
        _refuse_old(arguments)
        status = build(_verb(arguments))(args=arguments, prog_name="rt", standalone_mode=False)
    except Exception as problem:
        if invocation.debug and not isinstance(problem, errors.RtError | _ClickException):
            raise
        sys.exit(_failed(problem, arguments))
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit as leaving:
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        sys.exit(_failed(leaving.__context__, arguments))  # typer would call that a failure
    sys.exit(status if isinstance(status, int) else 0)


def _failed(problem: Exception, arguments: list[str]) -> int:
    """Say what went wrong, and end."""
    if isinstance(problem, BrokenPipeError):  # `rt log tail | head` ends quietly
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if type(problem).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(f"{problem}\n")
        return errors.Usage.exit
    shown = _for_users(problem)
    render.error(shown, as_json="--json" in arguments)
    return shown.exit


_NO_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR}


def _for_users(problem: Exception) -> errors.RtError:
    """What to say of an exception: a wrong command line and a disk that takes nothing are no bugs of ours."""
    if isinstance(problem, errors.RtError):
        return problem
    if isinstance(problem, _ClickException):
        why = problem.format_message()  # type: ignore[attr-defined]  # click's own
        return errors.Usage(why=why[:1].lower() + why[1:])
    if isinstance(problem, OSError) and problem.errno in _NO_WRITING:
        return errors.StoreFull(path=str(problem.filename or "the home"), why=str(problem.strerror))
    return errors.Bug(kind=type(problem).__name__, text=str(problem)[:300])


def _split(given: list[str]) -> tuple[list[str], tuple[str, ...] | None]:
    """Global options first, wherever they stood; apart from them what stands behind `--`."""
    tail: tuple[str, ...] | None = None
    if "--" in given:
        at = given.index("--")
        given, tail = given[:at], tuple(given[at + 1 :])
    front: list[str] = []
    rest: list[str] = []
    waiting = iter(given)
    for argument in waiting:
        if argument in _WITH_VALUE:
            front += [argument, *([value] if (value := next(waiting, None)) is not None else [])]
        elif argument in _FLAGS or argument.partition("=")[0] in _WITH_VALUE:
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest, tail


def _verb(arguments: list[str]) -> str:
    """The command that is asked for; the global options stand before it, some with a value."""
    waiting = iter(arguments)
    for argument in waiting:
        if argument in _WITH_VALUE:
            next(waiting, None)
        elif not argument.startswith("-"):
            return argument
    return ""


def _refuse_old(arguments: list[str]) -> None:
    command = _verb(arguments)
    if command in OLD_COMMANDS:
        raise errors.OldCommand(old=command, new=OLD_COMMANDS[command])
