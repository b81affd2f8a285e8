"""The whole of it: the table of routes, the router over it, and the gate before it."""

from collections.abc import Sequence
from itertools import groupby
from typing import NoReturn

from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from commands.api import (
    feeding_routes,
    file_routes,
    house_routes,
    looking_routes,
    old_routes,
    outside_routes,
    pages,
    people_routes,
    run_routes,
    streams,
    work_routes,
)
from commands.api.endpoint import Endpoint
from commands.api.gate import Gate
from commands.api.house import House
from commands.api.route import Row
from domain import errors

# what is asked most comes first: a router looks through them in this order; a named address before a pattern
TABLE: tuple[Row, ...] = (
    *old_routes.ROWS,
    *house_routes.ROWS,
    *work_routes.ROWS,
    *streams.ROWS,
    *run_routes.ROWS,
    *people_routes.ROWS,
    *feeding_routes.ROWS,
    *outside_routes.ROWS,
    *looking_routes.ROWS,
    *file_routes.ROWS,
    *pages.ROWS,
)


def table(*, read_only: bool) -> tuple[Row, ...]:
    """The routes of a server; one that is only read has none that write."""
    return tuple(row for row in TABLE if not (read_only and row.changes))


def build(house: House) -> ASGIApp:
    """The ASGI application of a house."""
    house.table = table(read_only=house.address.is_read_only)
    paths = {path: list(rows) for path, rows in groupby(_by_path(house.table), lambda row: row.path)}
    routes = [Route(path, Endpoint(rows, house)) for path, rows in paths.items()]
    return Gate(Router(routes, redirect_slashes=False, default=_nowhere), house, house.table)


def _by_path(rows: Sequence[Row]) -> list[Row]:
    """Rows of one path side by side, paths in the order in which they first appear."""
    order = {path: at for at, path in enumerate(dict.fromkeys(row.path for row in rows))}
    return sorted(rows, key=lambda row: order[row.path])


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> NoReturn:
    _ = scope, receive, send
    raise errors.PathUnknown
