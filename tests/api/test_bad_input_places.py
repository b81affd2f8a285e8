"""Addresses that are wrong: ids of other kinds, paths that climb, parameters of every wrong form."""

import itertools
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from commands.api.app import TABLE
from domain.ids import keyed_task
from tests.api.expected import PAGES, is_old
from tests.api.refusals import check_refusal
from tests.api.rich import Rich, rich
from tests.api.test_gate_writes import WRITES
from tests.api.wire import Wire, named, request

KIND: Final = ("Content-Type", "application/json")
NAMED: Final = [
    f"{row.method} {row.path}" for row in TABLE if "{" in row.path and (row.path not in PAGES or "assets" in row.path)
]
# as they stand on the wire
CLIMBING: Final = (
    "..", ".", "...", "%2e%2e", "%2E%2e", ".%2e", "..%2f..%2fetc%2fpasswd", "%2f", "%2fetc%2fpasswd", "..\\..\\x",
    "%5c..%5c", "%00", "a%00b", "%0d%0aset-cookie:x=y", "%0a", "%ff%fe", "%c0%ae%c0%ae", "%e2%80%ae", "%ed%a0%80",
    "%", "%2", "%zz", "%25", "%252e%252e%252f", "~root", "$HOME", "`id`", ";id", "%20", "%09", "*", "@", "@@last",
    "@nothing", "@last%00", "-1", "____", "1e9", "'--", "%27%20OR%201=1", "<script>", "{run}", "a" * 300, "x" * 3_000,
)  # fmt: skip
PARAMETERS: Final = (
    "", "%00", "%ff", "%zz", "%ed%a0%80", "-1", "9" * 30, "1e999", "NaN", "[]", "..%2f..%2fetc%2fpasswd", "@nothing",
    "'%20OR%201=1", "%1b[31m%e2%80%ae", "y" * 2_000,
)  # fmt: skip
READS: Final = {row.path: row for row in TABLE if row.method == "GET" and row.path not in PAGES}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    with rich(tmp_path_factory.mktemp("places") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def client(home: Rich) -> Iterator[httpx.Client]:
    with home.at.client("admin") as found:
        yield found


def body_of(home: Rich, route: str) -> bytes:
    """What the route takes, so that nothing but its address is wrong."""
    if route not in WRITES:
        return b'{"at":"end"}' if route.endswith("/fork") else b"{}"
    content: Any = WRITES[route][1]
    return json.dumps(content(home) if callable(content) else content or {}).encode()


def ask(home: Rich, wire: Wire, method: str, target: str, body: bytes = b"") -> httpx.Response:
    """Send an address exactly as it is here."""
    headers = [*named(home.at.port, home.at.token("admin")), *([KIND] if body else [])]
    wire.send(request(method, target, headers, body))
    reply = wire.head()
    if reply.header("content-type").startswith("text/event-stream"):
        return httpx.Response(reply.status)
    reply = reply._replace(body=wire.rest(method, reply))
    return httpx.Response(reply.status, headers=reply.headers, content=reply.body)


@pytest.mark.parametrize("route", NAMED)
def test_a_name_that_nothing_has_is_missing_or_wrong_whatever_it_looks_like(home: Rich, route: str) -> None:
    method, _, path = route.partition(" ")
    body = b"" if method == "GET" else body_of(home, route)
    before = home.at.head()
    first = path[path.index("{") : path.index("}") + 1]
    with Wire(home.at.port) as wire:
        for given in CLIMBING:
            if path.endswith("/messages") and re.fullmatch(r"[a-z0-9][\w.-]{,63}", given, re.ASCII):
                continue  # a thread may have that name
            target = home.path(path.replace(first, "\0")).replace("\0", given)
            answer = ask(home, wire, method, target, body)
            check_refusal(answer, home.at)
            assert (given, answer.status_code in (404, 405, 409, 422)) == (given, True), answer.text
            assert "set-cookie" not in answer.headers
    assert home.at.head() == before


@pytest.mark.parametrize("route", [route for route in NAMED if "{call}" in route])
@pytest.mark.parametrize("call", ["0", "c0", "-1", "1.5", "x", "cc1", "", "99", "9" * 9, "9" * 30, "%d9%a1", "c", "1c"])
def test_a_call_that_is_none_is_missing_or_wrong(home: Rich, route: str, call: str) -> None:
    method, _, path = route.partition(" ")
    before = home.at.head()
    with Wire(home.at.port) as wire:
        body = b"" if method == "GET" else body_of(home, route)
        answer = ask(home, wire, method, home.path(path, call=call), body)
    check_refusal(answer, home.at)
    assert answer.status_code in (404, 405, 422)
    assert home.at.head() == before


@pytest.mark.parametrize("route", [route for route in NAMED if "{run}" in route or "{task}" in route])
def test_an_id_of_another_kind_or_too_short_is_none(home: Rich, route: str) -> None:
    """A task's id stands for its latest run; nothing stands for a task but its own."""
    method, _, path = route.partition(" ")
    kind = "run" if "{run}" in path else "task"
    own, before = home.done[kind], home.at.head()
    wrong = [home.messages[0], home.grant, own[:3], own[:1], own + "0", f"{own[:-1]}g", f"{own}/"]
    wrong += [home.done["run"], home.done["run"][:8]] if kind == "task" else []
    with Wire(home.at.port) as wire:
        body = b"" if method == "GET" else body_of(home, route)
        for given in wrong:
            answer = ask(home, wire, method, home.path(path, **{kind: given}), body)
            assert check_refusal(answer, home.at)["code"] in ("id.not_found", "http.path")
            assert answer.status_code == 404
    assert home.at.head() == before


def test_a_beginning_that_several_ids_have_is_ambiguous_and_changes_nothing(home: Rich, client: httpx.Client) -> None:
    first, second = next(
        (one, other)
        for one, other in itertools.combinations((f"key-{at}" for at in range(2_000)), 2)
        if keyed_task(one)[:4] == keyed_task(other)[:4]
    )
    for key in (first, second):
        task = {"kind": "k", "source": "s", "payload": {}, "idempotency_key": key}
        assert client.post("/api/v1/tasks", json=task).status_code == 201
    short, before = keyed_task(first)[:4], home.at.head()
    for method, path in (("GET", ""), ("POST", "/cancel"), ("POST", "/prioritize"), ("POST", "/retry")):
        body = {"priority": 1} if path == "/prioritize" else {}
        answer = client.request(method, f"/api/v1/tasks/{short}{path}", json=body if method == "POST" else None)
        problem = check_refusal(answer, home.at)
        assert (path, answer.status_code, problem["code"]) == (path, 404, "id.ambiguous")
    assert home.at.head() == before
    assert client.get(f"/api/v1/tasks/{keyed_task(first)[:16]}").status_code == 200


@pytest.mark.parametrize("path", READS)
def test_no_parameter_of_any_form_is_a_bug(home: Rich, path: str) -> None:
    row, before = READS[path], home.at.head()
    wire = Wire(home.at.port)
    for name, value in itertools.product(row.query.__struct_fields__, PARAMETERS):
        answer = ask(home, wire, "GET", replaced(f"{home.path(path)}{home.query(path)}", name, value))
        if answer.status_code != 200:
            check_refusal(answer, home.at)
        elif row.stream:  # it goes on: another one for the next
            wire.socket.close()
            wire = Wire(home.at.port)
    wire.socket.close()
    assert home.at.head() == before


@pytest.mark.parametrize("value", [*PARAMETERS, "-1", "1.5", "true", "9223372036854775808"])
@pytest.mark.parametrize("name", ["min_position", "wait_s"])
def test_a_position_to_wait_for_that_is_none_is_wrong_input(home: Rich, name: str, value: str) -> None:
    if (name, value) == ("wait_s", "1.5"):
        return
    with Wire(home.at.port) as wire:
        answer = ask(home, wire, "GET", f"/api/v1/status?{name}={value}")
    assert answer.status_code == 422
    assert check_refusal(answer, home.at)["where"] == f"query.{name}"


def replaced(target: str, name: str, value: str) -> str:
    """The address with this parameter as it is here, whatever it was."""
    path, _, query = target.partition("?")
    kept = [each for each in query.split("&") if each and not each.startswith(f"{name}=")]
    return f"{path}?{'&'.join([*kept, f'{name}={value}'])}"


@pytest.mark.parametrize("path", READS)
def test_a_parameter_that_is_not_known_or_stands_there_twice_is_named(home: Rich, path: str) -> None:
    with Wire(home.at.port) as wire:
        for query in ("zz=1", "zz", "limit[]=1", "zz=1&zz=2", "%00=1", "=1", "ZZ=%ff"):
            answer = ask(home, wire, "GET", f"{home.path(path)}?{query}")
            problem = check_refusal(answer, home.at)
            assert (query, answer.status_code) == (query, 400 if is_old(path) else 422)
            assert problem["where"].startswith("query")


@pytest.mark.parametrize("path", ["/api/v1/stream", "/api/stream"])
@pytest.mark.parametrize("given", ["x", "-1", "1.5", "9" * 17, "\xb2", "1,2", "0x1", "NaN", "1 2"])
def test_a_last_event_id_that_is_no_position_is_wrong_input(home: Rich, path: str, given: str) -> None:
    with Wire(home.at.port) as wire:
        headers = [*named(home.at.port, home.at.token("read")), ("Last-Event-ID", given)]
        reply = wire.ask("GET", path, headers)
    assert reply.status == (400 if is_old(path) else 422)
    assert reply.json()["where"] == "Last-Event-ID"


@pytest.mark.parametrize("path", ["/api/v1/stream", "/api/stream"])
def test_a_position_beyond_the_end_is_that_of_another_log(home: Rich, path: str) -> None:
    head = home.at.head()[0]
    name = "since" if is_old(path) else "after"
    with Wire(home.at.port) as wire:
        for target, more in ((f"{path}?{name}={head + 1}", []), (path, [("Last-Event-ID", str(head + 1))])):
            reply = wire.ask("GET", target, [*named(home.at.port, home.at.token("read")), *more])
            assert (reply.status, reply.json()["code"]) == (409, "log.position_ahead")


@pytest.mark.parametrize("tag", ["", "*", '"x"', 'W/"', "W/", '"1", "2"', "x" * 3_000, "\xff"])
def test_a_tag_that_is_none_of_ours_is_answered_with_the_whole(home: Rich, tag: str) -> None:
    with Wire(home.at.port) as wire:
        headers = [*named(home.at.port, home.at.token("read")), ("If-None-Match", tag)]
        assert wire.ask("GET", "/api/v1/status", headers).status == 200
