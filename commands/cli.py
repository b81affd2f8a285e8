"""The command line: which command is where, the global options, and how a program of rt ends."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from commands import house, logs, query, render, replaying, runs, tasks, work
from commands.options import invocation
from domain import errors

app = typer.Typer(
    name="rt",
    help="An event-sourced runtime for agents: every fact is one event in one log, and any run replays exactly.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=True,
)

app.command("do", help="Take in a task, run it here and follow it: `rt do -- ARGV`, or `rt do demo`.")(work.do)
app.command("intake", help="Take in a task: a document, or `-- ARGV`.")(work.intake)
app.command("run-once", help="One dispatch cycle: recovery, then at most one run.")(work.run_once)
app.command("work", help="Dispatch until stopped: Ctrl-C once drains, twice stops now.")(work.work)
app.command("status", help="One screen: what waits for you, what runs, what comes next.")(query.status)
app.command("watch", help="Follow one run live; Ctrl-C detaches, the run goes on.")(runs.watch)
app.command("replay", help="Replay runs offline: exit 0 identical, 4 diverged.")(replaying.replay)
app.command("sql", help="Ask the projection one SELECT; read-only.")(query.sql)
app.command("cancel", help="End a task or its running run; returns when nothing of it is left.")(tasks.cancel)
app.command("retry", help="Give a task that failed or is blocked another attempt.")(tasks.retry)
app.command("unblock", help="Let a blocked task go on.")(tasks.unblock)
app.command("pause", help="Stop claiming; running runs go on.")(tasks.pause)
app.command("resume", help="Claim again.")(tasks.resume)
app.command("init", help="Make a home here: rt.toml and .rt.")(house.init)
app.command("doctor", help="Check this machine, the home, the log and the projection.")(house.doctor)
app.add_typer(tasks.app, name="task", help="Tasks.")
app.add_typer(runs.app, name="run", help="Runs.")
app.add_typer(logs.app, name="log", help="The log.")
app.add_typer(query.projection, name="projection", help="The DuckDB tables.")
app.add_typer(replaying.golden, name="golden", help="Recorded runs as tests.")
app.add_typer(house.config, name="config", help="The configuration.")
app.add_typer(house.help_topics, name="help", help="Reference pages.")

OLD_COMMANDS = {
    "schedule-create": "rt schedule create",
    "schedule-tick": "rt schedule tick",
    "sensor-event": "rt sensor ingest",
    "workflow-list": "rt workflow list",
    "bridge-github": "rt bridge github",
    "bridge-discord": "rt bridge discord",
    "adapters": "rt doctor",
    "healthcheck": "rt doctor",
    "snapshot": "rt log export",
    "seed-backlog": "rt intake",
}
_WITH_VALUE = {"--home", "--config", "--color", "--actor"}
_FLAGS = {"-q", "--quiet", "--debug"}


@app.callback()
def _globals(  # the global options
    home: Annotated[
        str | None, typer.Option("--home", help="The folder of the log; else the nearest .rt upwards.")
    ] = None,
    config: Annotated[str | None, typer.Option("--config", help="A TOML or JSON file, instead of rt.toml.")] = None,
    color: Annotated[str, typer.Option("--color", help="auto, always or never.")] = "auto",
    actor: Annotated[str | None, typer.Option("--actor", help="Recorded as the operator.")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Tracebacks.")] = False,
) -> None:
    if color not in ("auto", "always", "never"):
        raise typer.BadParameter("auto, always or never", param_hint="--color")
    render.style.color, render.style.quiet = color, quiet
    invocation.home, invocation.config, invocation.actor, invocation.debug = home, config, actor, debug


@house.help_topics.command("reference", help="Write the reference pages of the docs into a folder.")
def _reference(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where.")]) -> None:
    from commands.reference import pages

    folder.mkdir(parents=True, exist_ok=True)
    for name, content in pages(typer.main.get_command(app), house.EXIT_CODES).items():
        (folder / name).write_text(content)
        render.out(str(folder / name))


def main() -> None:
    """Run one command and end with its exit status."""
    os.umask(0o077)  # what rt writes is for its user alone
    arguments, tail = _split(sys.argv[1:])
    invocation.tail = tail
    as_json = "--json" in arguments
    try:
        _refuse_old(arguments)
        app(args=arguments, prog_name="rt", standalone_mode=True)
    except errors.RtError as problem:
        render.error(problem, as_json=as_json)
        sys.exit(problem.exit)
    except BrokenPipeError:  # `rt log tail | head` ends quietly
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as problem:
        if invocation.debug:
            raise
        render.error(Bug(kind=type(problem).__name__, text=str(problem)[:300]), as_json=as_json)
        sys.exit(Bug.exit)


class Bug(errors.RtError):
    """Anything that escaped."""

    code = "rt.bug"
    exit = 70
    message = "a bug in rt: {kind}: {text}"
    hint = "rt --debug …  # shows where; please report it with the output of rt doctor"


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


def _refuse_old(arguments: list[str]) -> None:
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    if command in OLD_COMMANDS:
        raise errors.OldCommand(old=command, new=OLD_COMMANDS[command])
