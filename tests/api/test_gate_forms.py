"""The finer forms of names, sites and methods, which need no matrix of their own."""

import pytest

from commands.api.app import TABLE
from tests.api.expected import NEEDS, SECURITY, let_in
from tests.api.serving import Served
from tests.api.wire import Headers, Reply, Wire, named

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
PATHS = list(dict.fromkeys(row.path for row in TABLE))
EVIL = "evil.example"


def knock(at: Served, headers: Headers, method: str = "GET", target: str = "/api/v1/status") -> Reply:
    """Ask with these headers and a token that may everything."""
    more: Headers = [("Authorization", f"Bearer {at.token('admin')}"), ("Content-Type", "application/json")]
    with Wire(at.port) as wire:
        return wire.ask(method, target, [*headers, *more], b"{}" if method == "POST" else b"")


@pytest.mark.parametrize("name", ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}", "[::1]:{port}"])
def test_a_name_of_this_server_is_one_in_whatever_case(shared: Served, name: str) -> None:
    assert knock(shared, [("HOST", name.format(port=shared.port))]).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "", "127.0.0.1", "localhost", "[::1]", "::1:{port}", "127.0.0.1:", "127.0.0.1:0{port}", "127.0.0.1:+{port}",
        "127.0.0.1:{port}.", "127.0.0.1.:{port}", "localhost.:{port}", "127.0.0.1:{port}, evil.example",
        "evil.example,127.0.0.1:{port}", "evil.example@127.0.0.1:{port}", "127.0.0.1:{port}@evil.example",
        "http://127.0.0.1:{port}", "127.0.0.1:{port}/", "127.0.0.1%00:{port}", "127.0.0.2:{port}", "2130706433:{port}",
        "0x7f000001:{port}", "0.0.0.0:{port}", "127.1:{port}", "[::]:{port}", "[::ffff:127.0.0.1]:{port}",
        "[0:0:0:0:0:0:0:1]:{port}", "127.0.0.1.evil.example:{port}", "localhost.evil.example:{port}",
        "evil-localhost:{port}", "127.0.0.1:{port} evil", "\xa0127.0.0.1:{port}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", ["/api/v1/health", "/", "/api/v1/stream", "/no/such/address"])
def test_whatever_is_not_exactly_a_name_of_this_server_is_refused(shared: Served, name: str, target: str) -> None:
    host = [("Host", name.format(port=shared.port))]
    reply = knock(shared, host, target=target)
    assert (reply.status, reply.json()["code"]) == (421, "http.host")
    for method in METHODS[1:]:
        assert (method, knock(shared, host, method, target).status) == (method, 421)


@pytest.mark.parametrize("host", [EVIL, "127.0.0.1:{port}"])
@pytest.mark.parametrize("authority", [EVIL, "evil.example:{port}", "127.0.0.1.evil:{port}", "127.0.0.1:1"])
def test_a_foreign_name_in_the_request_line_is_refused_whatever_the_host_says(
    shared: Served, authority: str, host: str
) -> None:
    target = f"http://{authority.format(port=shared.port)}/api/v1/health"
    assert knock(shared, [("Host", host.format(port=shared.port))], target=target).status in (400, 421)


@pytest.mark.parametrize("target", ["*", EVIL, "", "//evil.example/api/v1/health", "http:///api/v1/health", "api/v1"])
@pytest.mark.parametrize("method", ["OPTIONS", "GET", "CONNECT"])
def test_a_target_that_is_no_path_of_ours_is_refused_as_a_wrong_request(
    shared: Served, method: str, target: str
) -> None:
    reply = knock(shared, named(shared.port), method, target)
    assert reply.status in (400, 404, 421)
    assert dict(reply.headers).items() >= SECURITY.items()


@pytest.mark.parametrize(
    ("site", "links", "reads", "writes"),
    [
        ([("Sec-Fetch-Site", "none")], 200, 200, 422),
        ([("Sec-Fetch-Site", "same-origin")], 200, 200, 422),
        ([("Sec-Fetch-Site", "same-site")], 200, 403, 403),
        ([("Sec-Fetch-Site", "cross-site")], 200, 403, 403),
        ([("Sec-Fetch-Site", "")], 200, 403, 403),
        ([("Sec-Fetch-Site", "what comes next")], 200, 403, 403),
        ([("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")], 200, 403, 403),
        ([("Origin", "http://127.0.0.1:{port}")], 200, 200, 422),
        ([("Origin", "http://localhost:{port}")], 200, 200, 422),
        ([("Origin", "http://[::1]:{port}")], 200, 200, 422),
        ([("Origin", "https://127.0.0.1:{port}")], 403, 403, 403),
        ([("Origin", "http://127.0.0.1")], 403, 403, 403),
        ([("Origin", "http://127.0.0.1:1{port}")], 403, 403, 403),
        ([("Origin", "http://127.0.0.1:{port}/")], 403, 403, 403),
        ([("Origin", "http://127.0.0.1:{port}.evil.example")], 403, 403, 403),
        ([("Origin", "http://evil.example@127.0.0.1:{port}")], 403, 403, 403),
        ([("Origin", "http://127.0.0.1:{port}"), ("Origin", "http://evil.example")], 403, 403, 403),
        ([("Origin", "http://127.0.0.1:{port} http://evil.example")], 403, 403, 403),
        ([("Origin", "null"), ("Sec-Fetch-Site", "same-origin")], 403, 403, 403),
        ([("Origin", "")], 403, 403, 403),
    ],
)
def test_a_page_of_another_site_may_link_to_ours_and_nothing_else(
    shared: Served, site: Headers, links: int, reads: int, writes: int
) -> None:
    given = [(name, value.format(port=shared.port)) for name, value in site]
    assert knock(shared, [*named(shared.port), *given], target="/runs").status == links
    assert knock(shared, [*named(shared.port), *given], target="/artifacts").status == reads
    assert knock(shared, [*named(shared.port), *given]).status == reads
    assert knock(shared, [*named(shared.port), *given], "POST", "/api/v1/tasks").status == writes


@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_an_address_does_not_take_is_refused_with_those_that_it_takes(shared: Served, path: str) -> None:
    takes = {route.partition(" ")[0] for route in NEEDS if route.partition(" ")[2] == path}
    takes |= {"HEAD"} if "GET" in takes else set()
    before = shared.head()
    with Wire(shared.port) as wire:
        for method in METHODS:
            reply = wire.ask(method, f"{path.translate(_BARE)}?zz=1", named(shared.port, shared.token("admin")))
            expected = let_in(path) if method in takes else 405
            assert (method, reply.status) == (method, expected)
            assert set(filter(None, reply.header("allow").split(", "))) == (takes if expected == 405 else set())
            assert dict(reply.headers).items() >= SECURITY.items()
            assert not [name for name, _ in reply.headers if name.startswith("access-control-")]
    assert shared.head() == before


_BARE = str.maketrans("", "", "{}")


@pytest.mark.parametrize("path", PATHS)
def test_a_stranger_learns_of_no_method_but_those_that_are_open(shared: Served, path: str) -> None:
    with Wire(shared.port) as wire:
        for method in METHODS:
            route = f"{'GET' if method == 'HEAD' else method} {path}"
            is_open = NEEDS.get(route) in ("open", "signed")
            expected = let_in(path) if is_open else 401
            status = wire.ask(method, f"{path.translate(_BARE)}?zz=1", named(shared.port)).status
            assert (method, status) == (method, expected)


@pytest.mark.parametrize(
    "path",
    [
        "/api", "/api/", "/api/v1", "/api/v1/", "/api/v2/status", "/api/v1/nothing", "/api/v1/status/",
        "/api/v1//status", "//api/v1/status", "/API/v1/status", "/api/v1/status;x=1", "/api/v1/tasks/a/b",
        "/hooks/", "/hooks/gitlab",
        "/docs", "/openapi.json", "/.git/config", "/.rt/tokens.json", "/assets/", "/assets/a/b", "/api/v1/tasks/",
        "/api/v1/runs//events", "/metrics", "/api/v1/./status", "/index.html", "/robots.txt", "/api/v1/status%20",
    ],
)  # fmt: skip
def test_an_unknown_address_is_missing_to_those_who_may_come_in_and_closed_to_all_others(
    shared: Served, path: str
) -> None:
    with Wire(shared.port) as wire:
        for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
            assert (method, wire.ask(method, path, named(shared.port)).status) == (method, 401)
            reply = wire.ask(method, path, named(shared.port, shared.token("read")))
            assert (method, reply.status) == (method, 404)
            assert reply.header("content-type") == "application/problem+json"
            assert dict(reply.headers).items() >= SECURITY.items()


@pytest.mark.parametrize(
    "shown",
    [
        "Bearer", "Bearer ", "bearer", "Basic {token}", "{token}", "Token {token}", "Bearer {token}x",
        "Bearer x{token}",
        "Bearer {upper}", "Bearer {token} {token}", 'Bearer "{token}"', "Bearer {token},", "Bearer {short}",
        "Bearer \xff\xfe", "Negotiate {token}", "Bearer,{token}", "Bearer={token}",
    ],
)  # fmt: skip
def test_what_is_nearly_a_token_is_none(shared: Served, shown: str) -> None:
    token = shared.token("admin")
    value = shown.format(token=token, upper=token.swapcase(), short=token[:-1])
    with Wire(shared.port, source="127.0.9.1") as wire:
        reply = wire.ask("GET", "/api/v1/status", [*named(shared.port), ("Authorization", value)])
    assert (reply.status, reply.header("www-authenticate")) == (401, 'Bearer realm="rt"')


@pytest.mark.parametrize("shown", ["Bearer {token}", "bearer {token}", "BEARER {token}", "Bearer   {token}  "])
def test_the_word_before_a_token_is_read_in_whatever_case(shared: Served, shown: str) -> None:
    with Wire(shared.port) as wire:
        headers = [*named(shared.port), ("Authorization", shown.format(token=shared.token("read")))]
        assert wire.ask("GET", "/api/v1/status", headers).status == 200


@pytest.mark.parametrize(
    "target", ["?token={token}", "?access_token={token}", "?authorization=Bearer%20{token}", "#{token}"]
)
def test_a_token_in_an_address_opens_nothing(shared: Served, target: str) -> None:
    with Wire(shared.port) as wire:
        path = f"/api/v1/status{target.format(token=shared.token('read'))}"
        assert wire.ask("GET", path, named(shared.port)).status in (400, 401)
