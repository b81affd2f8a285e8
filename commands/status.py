"""`rt status`: one screen, of now, of a moment that is past, or again and again."""

from typing import Annotated

import typer

from commands import options, screen
from domain import errors


def status(
    *,
    at: Annotated[
        str, typer.Option("--at", metavar="POS", help="As it was at a position, a time, or a snapshot's label.")
    ] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Again whenever something changed, until Ctrl+C.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show one screen."""
    options.no_tail()
    if at and watch:
        raise errors.Invalid(where="--watch", why="what is past does not change; leave out --at or --watch")
    if at:
        screen.show_past(at, as_json=as_json)
    elif watch:
        screen.watch(as_json=as_json)
    else:
        screen.show(as_json=as_json)
