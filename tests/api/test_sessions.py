"""Sessions of browsers: opened once by a code or a token, kept as a cookie that only this server gets, and ended."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from adapters import sessions
from adapters.sessions import Sessions
from adapters.tokens import Tokens
from commands.api.doors import Doors, Grant
from domain.bounds import SESSION_CODE_S, SESSION_S
from tests.api.serving import Served, until

JSON = {"content-type": "application/json"}
PAST_US = 1_700_000_000_000_000


class Watch:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.at_us = PAST_US

    def now_us(self) -> int:
        return self.at_us

    def monotonic_s(self) -> float:
        return self.at_us / 1_000_000


def login(client: httpx.Client, **body: str) -> httpx.Response:
    return client.post("/api/v1/session", json=body)


def tokens(at: Served) -> Tokens:
    return Tokens(at.folder / ".rt")


def code(at: Served, *scopes: str, since_s: float = 0) -> str:
    """A code that was made so many seconds ago."""
    return tokens(at).code("ann", scopes, time.time_ns() // 1_000 - int(since_s * 1_000_000))


def test_the_link_of_a_server_opens_one_session_that_may_everything(own: Served) -> None:
    with own.client() as client:
        assert client.get("/api/v1/session").status_code == 401
        opened = login(client, code=own.code)
        assert (opened.status_code, opened.json()["scopes"]) == (200, ["admin"])
        shown = client.get("/api/v1/session").json()
        assert (shown["name"], shown["scopes"]) == (opened.json()["name"], ["admin"])
        assert client.post("/api/v1/dispatcher", json={"paused": True}).status_code == 200
    with own.client() as client:
        again = login(client, code=own.code)
        assert (again.status_code, again.json()["code"]) == (401, "http.token")
        assert not client.cookies


def test_a_session_reaches_as_far_as_its_code(shared: Served) -> None:
    with shared.client() as client:
        assert login(client, code=code(shared, "read")).json() == {"name": "ann", "scopes": ["read"]}
        assert client.get("/api/v1/status").status_code == 200
        refused = client.post("/api/v1/dispatcher", json={"paused": True})
        assert (refused.status_code, refused.json()["code"]) == (403, "http.scope")


def test_a_code_is_void_when_its_minute_is_over(shared: Served) -> None:
    with shared.client() as client:
        assert login(client, code=code(shared, "read", since_s=SESSION_CODE_S)).status_code == 401
        assert login(client, code=code(shared, "read", since_s=SESSION_CODE_S - 45)).status_code == 200


@pytest.mark.parametrize(("after_us", "opens"), [(-1, True), (0, False), (1, False)])
def test_a_code_ends_to_the_microsecond(tmp_path: Path, after_us: int, *, opens: bool) -> None:
    made = Tokens(tmp_path)
    given = made.code("ann", ("read",), PAST_US)
    found = made.redeem(given, PAST_US + SESSION_CODE_S * 1_000_000 + after_us)
    assert (found is not None) == opens
    assert made.redeem(given, PAST_US) is None, "it was used, even where that was too late"


@pytest.mark.parametrize(("after_us", "holds"), [(-1, True), (0, False), (1, False)])
def test_a_session_ends_after_its_hours(tmp_path: Path, after_us: int, *, holds: bool) -> None:
    clock, made = Watch(), Tokens(tmp_path)
    doors = Doors(made, Sessions(tmp_path), clock, writes_per_s=1)
    grant, cookie = doors.open_session(code=made.code("ann", ("read",), PAST_US), token="", address="a")
    clock.at_us += SESSION_S * 1_000_000 + after_us
    assert doors.still(grant) == holds
    assert (doors.known("", cookie) is not None) == holds


def test_the_oldest_session_makes_room_for_one_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 5
    monkeypatch.setattr(sessions, "SESSIONS_MAX", most)
    made = Tokens(tmp_path)
    secret = made.add("ann", ("read",), PAST_US)
    doors = Doors(made, Sessions(tmp_path), Watch(), writes_per_s=1)
    grants: list[Grant] = []
    for _ in range(most):
        grants.append(doors.open_session(code="", token=secret, address="a")[0])
        assert doors.still(grants[0])
    grants.append(doors.open_session(code="", token=secret, address="a")[0])
    assert [doors.still(grant) for grant in grants] == [False] + most * [True]


def test_a_server_that_starts_anew_knows_its_sessions_and_no_cookie_is_written_down(tmp_path: Path) -> None:
    made = Tokens(tmp_path)
    secret = made.add("ann", ("read",), PAST_US)
    grant, cookie = Doors(made, Sessions(tmp_path), Watch(), writes_per_s=1).open_session(
        code="", token=secret, address="a"
    )
    anew = Doors(Tokens(tmp_path), Sessions(tmp_path), Watch(), writes_per_s=1)
    assert anew.known("", cookie) == grant
    kept = tmp_path / "sessions.json"
    assert cookie not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    anew.close_session(grant)
    assert anew.known("", cookie) is None


def test_of_many_who_bring_one_code_at_once_exactly_one_comes_in(own: Served) -> None:
    ways = 16  # fewer than the failures of a minute
    together = threading.Barrier(ways)

    def redeem(client: httpx.Client) -> int:
        together.wait()
        return login(client, code=own.code).status_code

    clients = [own.client() for _ in range(ways)]
    with ThreadPoolExecutor(ways) as pool:
        statuses = list(pool.map(redeem, clients))
    assert sorted(statuses) == [200] + (ways - 1) * [401]
    assert sum(len(client.cookies) for client in clients) == 1
    for client in clients:
        client.close()


def test_of_many_processes_that_redeem_one_code_exactly_one_has_it(tmp_path: Path) -> None:
    given, together = Tokens(tmp_path).code("ann", ("read",), PAST_US), threading.Barrier(16)

    def redeem(own: Tokens) -> bool:
        together.wait()
        return own.redeem(given, PAST_US) is not None

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(redeem, [Tokens(tmp_path) for _ in range(16)])) == 1


def test_a_code_opens_one_session_also_for_whoever_asks_again_under_the_same_key(shared: Served) -> None:
    """An answer that is remembered would hand the cookie out again, also after logging out."""
    given = code(shared, "read")
    with shared.client(headers={"idempotency-key": "again"}) as client:
        assert login(client, code=given).status_code == 200
        client.delete("/api/v1/session").raise_for_status()
    with shared.client(headers={"idempotency-key": "again"}) as client:
        answer = login(client, code=given)
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)


def test_the_cookie_is_for_this_server_alone_and_for_no_script(shared: Served) -> None:
    with shared.client() as client:
        opened = login(client, token=shared.token("read"))
    [header] = opened.headers.get_list("set-cookie")
    [(name, morsel)] = SimpleCookie(header).items()
    assert name == f"rt_{shared.port}"
    assert len(morsel.value) >= 43, "256 random bits"
    given = {key: value for key, value in morsel.items() if value}
    assert given == {"httponly": True, "samesite": "Strict", "path": "/", "max-age": str(SESSION_S)}


def test_no_two_sessions_have_the_same_cookie_and_it_tells_nothing(shared: Served) -> None:
    found = []
    for _ in range(5):
        with shared.client() as client:
            login(client, token=shared.token("read"))
            found.append(client.cookies[f"rt_{shared.port}"])
    assert len(set(found)) == 5
    assert not any(shared.token("read") in cookie for cookie in found)


def test_logging_out_ends_this_session_and_no_other(shared: Served) -> None:
    first, second = shared.client(), shared.client()
    with first, second:
        login(first, code=code(shared, "read"))
        login(second, code=code(shared, "read"))
        kept = first.cookies[f"rt_{shared.port}"]
        out = first.delete("/api/v1/session")
        assert (out.status_code, out.json()) == (200, {"ok": True})
        assert not first.cookies, "the browser forgets it"
        first.cookies[f"rt_{shared.port}"] = kept
        assert first.get("/api/v1/status").status_code == 401
        assert second.get("/api/v1/status").status_code == 200


def test_only_logging_in_and_out_sets_a_cookie(shared: Served) -> None:
    with shared.client("read") as client:
        for path in ("/", "/api/v1/status", "/api/v1/session", "/api/v1/health", "/nothing"):
            assert "set-cookie" not in client.get(path).headers


@pytest.mark.parametrize(
    "body",
    [
        {}, {"code": ""}, {"code": "", "token": ""}, {"code": "a", "token": "b"}, {"code": 1}, {"code": None},
        {"code": "x" * 201}, {"code": "a", "zz": 1}, {"token": ["a"]}, [], "code", None, 1,
    ],
)  # fmt: skip
def test_a_login_without_exactly_one_secret_is_wrong_input_and_opens_nothing(shared: Served, body: object) -> None:
    with shared.client() as client:
        refused = client.post("/api/v1/session", content=json.dumps(body), headers=JSON)
    assert (refused.status_code, refused.json()["code"]) == (422, "rt.invalid")
    assert refused.json()["where"].startswith("body")
    assert "set-cookie" not in refused.headers


def test_a_code_that_was_never_given_opens_nothing_whatever_it_looks_like(own: Served) -> None:
    given = ["x", "../tokens.json", "..", ".", "/etc/passwd", "a/b", "a\x00b", "é" * 100, "0" * 64, "%2e%2e", "\ud800"]
    with own.client() as client:
        for each in given:
            content = b'{"code": %s}' % json.dumps(each).encode()
            refused = client.post("/api/v1/session", content=content, headers=JSON)
            assert (each, refused.status_code) == (each, 422 if each in ("a\x00b", "\ud800") else 401)
        assert login(client, code=own.code).status_code == 200, "the code that was given is still there"


def test_a_wrong_token_is_refused_even_beside_a_right_cookie(shared: Served) -> None:
    with shared.client() as client:
        login(client, code=code(shared, "read"))
        assert client.get("/api/v1/status").status_code == 200
        wrong = {"authorization": f"Bearer rt_{'x' * 43}"}
        assert client.get("/api/v1/status", headers=wrong).status_code == 401


def test_a_cookie_counts_only_under_the_name_of_this_server(shared: Served) -> None:
    with shared.client() as client:
        login(client, code=code(shared, "read"))
        value = client.cookies[f"rt_{shared.port}"]
    with shared.client() as client:
        for name in ("rt", "rt_1", f"rt_{shared.port}x", f"x_rt_{shared.port}"):
            assert client.get("/api/v1/status", headers={"cookie": f"{name}={value}"}).status_code == 401
        among = f"a=b; rt_1=no; rt_{shared.port}={value}; c=d"
        assert client.get("/api/v1/status", headers={"cookie": among}).status_code == 200


def test_a_cookie_writes_nothing_for_a_page_of_another_site(own: Served) -> None:
    with own.client() as client:
        login(client, code=own.code)
        before = own.head()
        for site in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}, {"origin": "null"}):
            answer = client.post("/api/v1/dispatcher", json={"paused": True}, headers=site)
            assert (answer.status_code, answer.json()["code"]) == (403, "http.origin")
        assert own.head() == before
        here = {"sec-fetch-site": "same-origin", "origin": own.url}
        assert client.post("/api/v1/dispatcher", json={"paused": True}, headers=here).status_code == 200


def test_no_page_of_another_site_logs_anybody_in(own: Served) -> None:
    with own.client() as client:
        for site in ({"sec-fetch-site": "cross-site"}, {"origin": "http://evil.example"}, {"origin": "null"}):
            assert client.post("/api/v1/session", json={"code": own.code}, headers=site).status_code == 403
        assert login(client, code=own.code).status_code == 200, "the code was not used up"


def test_ending_all_sessions_ends_codes_too_and_no_token(own: Served) -> None:
    with own.client() as first, own.client("read") as by_token:
        login(first, token=own.token("read"))
        waiting = code(own, "read")
        own.rt("token", "revoke", "--sessions")
        assert until(lambda: first.get("/api/v1/status").status_code == 401, "the session is over")
        assert login(first, code=waiting).status_code == 401
        assert login(first, code=own.code).status_code == 401
        assert by_token.get("/api/v1/status").status_code == 200
        assert login(first, token=own.token("read")).status_code == 200
        assert first.get("/api/v1/status").status_code == 200


def test_a_session_that_a_token_opened_ends_with_the_token(own: Served) -> None:
    with own.client() as by_token, own.client() as by_code:
        login(by_token, token=own.token("read"))
        login(by_code, code=code(own, "read"))
        own.rt("token", "revoke", "read")
        assert by_token.get("/api/v1/status").status_code == 401
        assert by_code.get("/api/v1/status").status_code == 200
