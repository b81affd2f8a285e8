"""`rt status`: one screen."""

from commands import options, screen


def status(*, as_json: options.Json = False) -> None:
    """Show one screen."""
    options.no_tail()
    screen.show(as_json=as_json)
