"""Options and arguments that return in several commands."""

from typing import Annotated

import typer

from commands.invocation import invocation
from domain.bounds import LIST_ROWS_MAX

RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="Id, unique prefix of an id, @last or @failed.")]
TaskArgument = Annotated[str, typer.Argument(metavar="TASK", help="Id, unique prefix of an id, @last or @failed.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=LIST_ROWS_MAX, help="At most so many rows.")]
Before = Annotated[int | None, typer.Option("--before", min=1, help="Only what began before this position.")]
Reason = Annotated[str, typer.Option("--reason", help="Recorded with the event.")]
Concurrency = Annotated[int | None, typer.Option("--concurrency", min=1, max=256, help="Runs side by side.")]


def no_tail() -> None:
    """Refuse `--` where nothing can stand behind it."""
    if invocation.tail is not None:
        raise typer.BadParameter("this command takes nothing after --")
