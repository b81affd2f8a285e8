"""Every route, asked by everybody, under every name, from every site: who comes in stands in one table.

Each request carries a parameter that no route takes. Whoever is let in learns that; nothing is ever carried out.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import pytest

from commands.api.app import TABLE
from tests.api.expected import HOLDS, NEEDS, PAGES, SAFE, SECURITY, is_old, let_in
from tests.api.serving import SCOPES, Served
from tests.api.wire import Headers, Reply, Wire, request

NOBODY: Final = f"rt_{'x' * 43}"
ROUTES: Final = [f"{row.method} {row.path}" for row in TABLE]
AT_ONCE: Final = 100


class Knock(NamedTuple):
    """One way to ask: under which name, from which site, with which token; and how far that may come."""

    about: str
    headers: Headers
    is_named: bool
    reaches: str  # what a page of that site may do here: nothing, link to the page, or everything
    token: str


def hosts(port: int) -> dict[str, tuple[Headers, bool]]:
    """Host headers, and whether they name this server."""
    return {
        "right": ([("Host", f"127.0.0.1:{port}")], True),
        "IPv6": ([("Host", f"[::1]:{port}")], True),
        "foreign": ([("Host", f"evil.example:{port}")], False),
        "longer": ([("Host", f"127.0.0.1.evil:{port}")], False),
        "trailing dot": ([("Host", f"127.0.0.1.:{port}")], False),
        "missing": ([], False),
        "doubled": ([("Host", f"127.0.0.1:{port}"), ("Host", f"127.0.0.1:{port}")], False),
        "wrong port": ([("Host", f"127.0.0.1:{port % 65_535 + 1}")], False),
    }


def sites(port: int) -> dict[str, tuple[Headers, str]]:
    """What a browser says of the page behind a request, and what that one may do here."""
    here = f"http://127.0.0.1:{port}"
    return {
        "no browser": ([], "everything"),
        "this page": ([("Origin", here), ("Sec-Fetch-Site", "same-origin")], "everything"),
        "foreign": ([("Origin", "http://evil.example")], "nothing"),
        "null": ([("Origin", "null")], "nothing"),
        "cross-site": ([("Sec-Fetch-Site", "cross-site")], "link"),
    }


@pytest.fixture(scope="module")
def knocks(shared: Served) -> Sequence[Knock]:
    """Everybody, under every name, from every site."""
    secrets = {scope: shared.token(scope) for scope in SCOPES} | {"wrong": NOBODY}
    keys: dict[str, Headers] = {"none": []}
    keys |= {name: [("Authorization", f"Bearer {secret}")] for name, secret in secrets.items()}
    ways = itertools.product(hosts(shared.port).items(), sites(shared.port).items(), keys.items())
    return [
        Knock(f"{host}, {site}, {token}", [*named, *came, *shown], is_named, reaches, token)
        for (host, (named, is_named)), (site, (came, reaches)), (token, shown) in ways
    ]


@pytest.fixture
def unchanged(shared: Served) -> Iterator[None]:
    """Whatever is asked here, the log ends as it ended before."""
    before = shared.head()
    yield
    assert shared.head() == before


def test_every_route_stands_in_the_table_of_expectations_and_nothing_else_does() -> None:
    assert sorted(ROUTES) == sorted(NEEDS)


@pytest.mark.parametrize("at", range(len(ROUTES)), ids=ROUTES.__getitem__)
@pytest.mark.usefixtures("unchanged")
def test_whoever_may_not_is_refused_by_host_then_site_then_token_then_scope(
    shared: Served, knocks: Sequence[Knock], at: int
) -> None:
    method, _, path = ROUTES[at].partition(" ")
    source = f"127.0.{1 + at // 200}.{1 + at % 200}"  # wrong tokens are counted by address: each route has its own
    with Wire(shared.port, source=source) as wire:
        replies = list(asked(wire, method, f"{path.translate(_BARE)}?zz=1", knocks))
    answered = {knock.about: reply.status for knock, reply in zip(knocks, replies, strict=True)}
    assert answered == {knock.about: status(ROUTES[at], knock) for knock in knocks}
    for reply in replies:
        check_headers(reply)
        if reply.status != 200:
            check_problem(reply, method, path)


_BARE: Final = str.maketrans("", "", "{}")


def status(route: str, knock: Knock) -> int:
    """What a request is answered with: the first reason counts."""
    method, _, path = route.partition(" ")
    scope = NEEDS[route]
    reasons = (
        (421, not knock.is_named),
        (403, knock.reaches == "nothing" or (knock.reaches == "link" and not (method in SAFE and path in PAGES))),
        (let_in(path), scope in ("open", "signed")),
        (401, knock.token in ("none", "wrong")),
        (403, scope not in HOLDS.get(knock.token, ())),
        (let_in(path), True),
    )
    return next(each for each, holds in reasons if holds)


def asked(wire: Wire, method: str, target: str, knocks: Sequence[Knock]) -> Iterator[Reply]:
    """Ask many times over one connection, without waiting for each answer."""
    is_safe = method in SAFE
    more, body = ([], b"") if is_safe else ([("Content-Type", "application/json")], b'{"zz":1}')
    for begin in range(0, len(knocks), AT_ONCE):
        part = knocks[begin : begin + AT_ONCE]
        wire.send(b"".join(request(method, target, [*knock.headers, *more], body) for knock in part))
        for _ in part:
            yield wire.reply(method)


def check_headers(reply: Reply) -> None:
    found = dict(reply.headers)
    assert len(found) == len(reply.headers), "a header comes twice"
    assert found.items() >= SECURITY.items()
    assert not [name for name in found if name.startswith("access-control-") or name in ("server", "set-cookie")]


def check_problem(reply: Reply, method: str, path: str) -> None:
    assert reply.header("content-type") == "application/problem+json"
    assert bool(reply.header("www-authenticate")) == (reply.status == 401)
    if method == "HEAD":
        assert reply.body == b""
        return
    document = json.loads(reply.body)
    assert document["status"] == reply.status
    assert document["type"] == f"/docs/errors#{document['code']}"
    assert document.get("ok") is (False if is_old(path) else None)
