"""The commands and global options, as typer knows them.

A command pays only for what it imports: the module of the one that was asked for is loaded, the others lend their help.
"""

from importlib import import_module
from typing import Annotated, Any

import typer

from commands import render
from commands.invocation import invocation
from domain import errors

# name -> (module, function, help)
COMMANDS = {
    "do": ("work", "do", "Take in a task, run it here and follow it: `rt do -- ARGV`, or `rt do demo`."),
    "intake": ("intakes", "intake", "Take in a task: a document, or `-- ARGV`."),
    "run-once": ("work", "run_once", "One dispatch cycle: recovery, then at most one run."),
    "work": ("work", "work", "Dispatch until stopped: Ctrl-C once drains, twice stops now."),
    "serve": ("serving", "serve", "The HTTP API and the page; --work dispatches too."),
    "status": ("status", "status", "One screen: what waits for you, what runs, what comes next."),
    "watch": ("runs", "watch", "Follow one run live; Ctrl-C detaches, the run goes on."),
    "replay": ("replaying", "replay", "Replay runs offline: exit 0 identical, 4 diverged."),
    "diff": ("comparing", "diff", "Two runs beside each other: exit 0 the same, 1 not."),
    "report": ("reports", "report", "What happened: a period, a run, or two moments; text, JSON, or one HTML file."),
    "snapshot": ("snapshots", "snapshot", "What a moment of the log says, as one document."),
    "cost": ("costs", "cost", "What models cost, by model, agent, task or day."),
    "erase": ("retention", "erase", "Erase outputs and texts of a run or task for good; the log still verifies."),
    "gc": ("retention", "gc", "Erase outputs and texts of old runs; --dry-run says what would go."),
    "archive": ("archiving", "archive", "Move the oldest events to a file beside the log; all still read them."),
    "redecide": ("redeciding", "redecide", "What another controller would have said at each decision of a run."),
    "fork": ("forking", "fork", "A run as it would have gone on from a moment with other inputs."),
    "bisect": ("bisecting", "bisect", "The commit that changed a decision of a run."),
    "why": ("why", "why", "What led to it: the chain of causes in plain words."),
    "sql": ("sql", "sql", "Ask the tables one SELECT, read-only; without one a shell."),
    "cancel": ("tasks", "cancel", "End a task or its running run; returns when nothing of it is left."),
    "retry": ("tasks", "retry", "Give a task that failed or is blocked another attempt."),
    "unblock": ("tasks", "unblock", "Let a blocked task go on."),
    "prioritize": ("tasks", "prioritize", "Move a task that waits in the queue."),
    "approve": ("approvals", "approve", "Say yes to exactly what waits for a person."),
    "reject": ("approvals", "reject", "Say no to what waits; the agent is told why."),
    "settle": ("approvals", "settle", "Say whether an effect of unknown outcome happened."),
    "reply": ("threads", "reply", "Say something in a thread, and run what it asks for."),
    "pause": ("tasks", "pause", "Stop claiming; running runs go on."),
    "resume": ("tasks", "resume", "Claim again."),
    "init": ("house", "init", "Make a home here: rt.toml and .rt."),
    "seed": ("seeding", "seed", "Create workflows and queue tasks from one document."),
    "health": ("health", "health", "Whether everything that is needed can be used: exit 0 or 1, for monitors."),
    "doctor": ("house", "doctor", "Check this machine, the home, the log and the projection."),
}
# name -> (module, group, help)
GROUPS = {
    "task": ("tasks", "app", "Tasks."),
    "run": ("runs", "app", "Runs."),
    "approval": ("approvals", "app", "What waits for a person."),
    "grant": ("approvals", "grants", "Standing grants."),
    "thread": ("threads", "app", "Conversations."),
    "schedule": ("schedules", "app", "What brings work in again and again."),
    "sensor": ("sensors", "app", "Facts from outside, told once."),
    "workflow": ("workflows", "app", "State machines that create tasks and move on their outcomes."),
    "bridge": ("bridge_commands", "app", "Payloads of other services, as tasks."),
    "outbox": ("outbox", "app", "What goes out."),
    "memory": ("memories", "app", "What agents are told to remember."),
    "adapter": ("adapters", "app", "Who runs tasks, and whether they can be used now."),
    "profile": ("profiles", "app", "Agents: who decides, with which tools, within which limits."),
    "token": ("token_commands", "app", "Who may come in over HTTP."),
    "log": ("logs", "app", "The log."),
    "projection": ("query", "projection", "The DuckDB tables."),
    "golden": ("goldens", "app", "Recorded runs as tests."),
    "import": ("old_runtime", "app", "What another runtime left."),
    "config": ("config_commands", "app", "The configuration."),
    "help": ("house", "help_topics", "Reference pages."),
}


class _App(typer.Typer):
    """The command line; of a wrong one it says which command's help to read."""

    def __call__(self, *given: Any, **named: Any) -> Any:  # noqa: ANN401  # as typer has it
        try:
            return super().__call__(*given, **named)
        except Exception as problem:
            context = getattr(problem, "ctx", None)  # click's own exceptions have one; typer exports few of them
            if context is None or not isinstance(problem, _USAGE) or type(problem).__name__ == "NoArgsIsHelpError":
                raise
            why = problem.format_message()
            raise errors.Usage(why=why[:1].lower() + why[1:], command=context.command_path) from None


_USAGE: Any = typer.BadParameter.__base__  # click's UsageError


def build(verb: str | None) -> typer.Typer:
    """The command line with the command that was asked for; None loads all of them."""
    app = _App(
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
