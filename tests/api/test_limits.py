"""Each limit of the HTTP door at one less, at itself, and at one more."""

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from adapters.sessions import Sessions
from adapters.tokens import Tokens
from commands.api.app import TABLE
from commands.api.doors import Doors, Grant
from commands.api.keys import Keys
from domain import errors
from domain.bounds import (
    HTTP_BODY_BYTES_MAX,
    HTTP_HEADER_BYTES_MAX,
    HTTP_INTAKE_BYTES_MAX,
    HTTP_KEYS_MAX,
    HTTP_PAGE_BYTES_MAX,
    HTTP_URL_BYTES_MAX,
    JSON_DEPTH_MAX,
    KEY_CHARS_MAX,
    SQL_TEXT_BYTES_MAX,
    SSE_CLIENTS_MAX,
)
from tests.api.expected import SECURITY, is_old
from tests.api.serving import Served, run, served, until
from tests.api.wire import Headers, Wire, named, request

KIND: Final = ("Content-Type", "application/json")
TASK: Final = {"kind": "k", "source": "s", "payload": {"argv": ["true"]}}
INTAKES: Final = {
    "POST /api/tasks/queue", "POST /api/schedules", "POST /api/sensors/events", "POST /api/v1/tasks",
    "POST /api/v1/tasks/{task}/retry", "POST /api/v1/schedules", "POST /api/v1/sensors/events",
    "POST /api/v1/workflows", "POST /api/v1/threads/{thread}/messages", "POST /hooks/github", "POST /hooks/discord",
}  # fmt: skip
BODIES: Final = [f"{row.method} {row.path}" for row in TABLE if row.method != "GET"]
PAGES: Final = {
    "/api/v1/tasks": 500, "/api/v1/runs": 500, "/api/v1/runs/{run}/events": 500, "/api/v1/runs/{run}/output": 500,
    "/api/v1/events": 500, "/api/v1/sensors/events": 500, "/api/v1/outbox": 500, "/api/v1/costs": 500,
    "/api/v1/threads/{thread}": 500, "/api/tasks": 200, "/api/events": 200, "/api/sensors/events": 200,
}  # fmt: skip


@pytest.fixture(scope="module")
def open_to_argv(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that takes commands over HTTP, so that tasks need nothing configured; and a run that said much."""
    folder = tmp_path_factory.mktemp("limits")
    run(folder, "init")
    (folder / "rt.toml").write_text('allow_argv_from = ["http"]\n')
    run(folder, "do", "--", "sh", "-c", "yes 'a line that is said again and again' | head -c 3000000")
    with served(folder) as found:
        yield found


@pytest.fixture
def client(open_to_argv: Served) -> Iterator[httpx.Client]:
    with open_to_argv.client("admin") as found:
        yield found


def body_max(route: str) -> int:
    if route == "POST /api/v1/sql":
        return SQL_TEXT_BYTES_MAX
    return HTTP_INTAKE_BYTES_MAX if route in INTAKES else HTTP_BODY_BYTES_MAX


def status_of(answer: httpx.Response) -> int:
    assert answer.status_code < 500, answer.text
    return answer.status_code


# bodies


@pytest.mark.parametrize("route", BODIES)
def test_a_body_of_one_byte_too_many_is_refused_before_it_is_read(client: httpx.Client, route: str) -> None:
    """Blanks are no JSON: what is not too large is wrong in another way."""
    method, _, path = route.partition(" ")
    most = body_max(route)
    target = path.translate(str.maketrans("", "", "{}"))
    headers = {"content-type": "application/json"}
    for size, is_refused in ((most - 1, False), (most, False), (most + 1, True)):
        for content in (b" " * size, pieces(size)):
            answer = client.request(method, target, content=content, headers=headers)
            assert (size, status_of(answer) == 413) == (size, is_refused)
            assert (answer.json().get("most") == most) == is_refused


def pieces(size: int) -> Iterator[bytes]:
    """So many blanks, without their number being announced."""
    yield from itertools.repeat(b" " * 4_096, size // 4_096)
    yield b" " * (size % 4_096)


@pytest.mark.parametrize("length", [str(10**12), "9" * 30, str(HTTP_BODY_BYTES_MAX + 1)])
def test_a_body_that_is_announced_too_large_is_not_waited_for(open_to_argv: Served, length: str) -> None:
    headers = [*named(open_to_argv.port, open_to_argv.token("admin")), KIND, ("Content-Length", length)]
    with Wire(open_to_argv.port) as wire:
        assert wire.ask("POST", "/api/v1/dispatcher", headers).status in (400, 413)


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "1 2", "", "\xb2", "1,1"])
def test_a_length_that_is_no_number_is_a_wrong_request(open_to_argv: Served, length: str) -> None:
    headers = [*named(open_to_argv.port, open_to_argv.token("admin")), KIND]
    with Wire(open_to_argv.port) as wire:
        wire.send(request("POST", "/api/v1/dispatcher", [*headers, ("Content-Length", length)]) + b"{}")
        assert wire.reply().status == 400


# heads


def padded(path: str, headers: Headers, size: int) -> bytes:
    """A request whose head has so many bytes before the blank line that ends it."""
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    short = "\r\n".join([*lines, "x-padding: "]).encode("latin-1")
    return short + b"x" * (size - len(short)) + b"\r\n\r\n"


HEADS: Final = ((HTTP_HEADER_BYTES_MAX - 1, 200), (HTTP_HEADER_BYTES_MAX, 200), (HTTP_HEADER_BYTES_MAX + 1, 431))


@pytest.mark.parametrize(("size", "status"), HEADS)
def test_a_head_of_one_byte_too_many_is_refused_and_the_connection_ends(
    open_to_argv: Served, size: int, status: int
) -> None:
    with Wire(open_to_argv.port) as wire:
        wire.send(padded("/api/v1/health", named(open_to_argv.port), size))
        assert wire.reply().status == status
        if status == 431:
            assert wire.is_closed()


@pytest.mark.parametrize(("size", "status"), HEADS)
def test_a_later_head_on_a_connection_is_bounded_alike(open_to_argv: Served, size: int, status: int) -> None:
    with Wire(open_to_argv.port) as wire:
        wire.ask("POST", "/api/v1/session", [*named(open_to_argv.port), KIND], b"{}")
        wire.send(padded("/api/v1/health", named(open_to_argv.port), size))
        assert wire.reply().status == status


@pytest.mark.parametrize("size", [HTTP_HEADER_BYTES_MAX + 1, 100_000])
def test_a_head_right_behind_another_request_is_bounded_alike(open_to_argv: Served, size: int) -> None:
    """Both may arrive in one piece."""
    first = padded("/api/v1/health", named(open_to_argv.port), 200)
    with Wire(open_to_argv.port) as wire:
        wire.send(first + padded("/api/v1/health", named(open_to_argv.port), size))
        statuses = [wire.reply().status]
        if statuses == [200]:
            statuses.append(wire.reply().status)
        assert statuses[-1] == 431


def test_a_head_that_comes_in_pieces_is_bounded_alike(open_to_argv: Served) -> None:
    with Wire(open_to_argv.port) as wire:
        wire.send(b"GET /api/v1/health HTTP/1.1\r\n")
        assert ends_before(wire, b"x-more: " + b"y" * 1_000 + b"\r\n", 2 * HTTP_HEADER_BYTES_MAX)


def test_fields_behind_a_body_are_bounded_like_a_head(open_to_argv: Served) -> None:
    """Without a token too: the answer is there, and the request still goes on."""
    for token in ("", open_to_argv.token("operate")):
        headers = [*named(open_to_argv.port, token), KIND, ("Transfer-Encoding", "chunked")]
        with Wire(open_to_argv.port) as wire:
            wire.send(request("POST", "/api/v1/tasks", headers) + b"2\r\n{}\r\n0\r\n")
            assert ends_before(wire, b"x-trailer: " + b"y" * 60_000 + b"\r\n", 20_000_000)


def ends_before(wire: Wire, piece: bytes, most: int) -> bool:
    """Whether the connection ends before so many bytes were taken."""
    sent = 0
    try:
        while sent < most:
            wire.send(piece)
            sent += len(piece)
    except ConnectionError:
        return True
    wire.socket.settimeout(5)
    return wire.is_closed()


def test_a_refused_head_carries_the_headers_of_the_house(open_to_argv: Served) -> None:
    with Wire(open_to_argv.port) as wire:
        wire.send(padded("/api/v1/health", named(open_to_argv.port), HTTP_HEADER_BYTES_MAX + 1))
        assert dict(wire.reply().headers).items() >= SECURITY.items()


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_an_address_of_one_byte_too_many_is_refused(open_to_argv: Served, more: int) -> None:
    size = HTTP_URL_BYTES_MAX + more
    headers = named(open_to_argv.port, open_to_argv.token("read"))
    with Wire(open_to_argv.port) as wire:
        for target, good in (("/?x=" + "y" * (size - 3), 200), ("/api/v1/" + "y" * (size - 8), 404)):
            reply = wire.ask("GET", target, headers)
            assert reply.status == (413 if more > 0 else good)
            assert (reply.status == 413) == (b"http.too_large" in reply.body)


# what stands in a document


@pytest.mark.parametrize(("depth", "status"), [(63, 201), (64, 201), (65, 422), (1_000, 422), (100_000, 422)])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_a_document_is_at_most_so_deep(client: httpx.Client, depth: int, status: int, begin: str, end: str) -> None:
    """The document and its payload are two of the levels."""
    inner = begin * (depth - 2) + "1" + end * (depth - 2)
    content = '{"kind":"k","source":"s","payload":{"argv":["true"],"x":%s}}' % inner  # noqa: UP031  # braces
    answer = client.post("/api/v1/tasks", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    if status == 422:
        assert str(JSON_DEPTH_MAX) in answer.json()["detail"]


@pytest.mark.parametrize(("count", "status"), [(49, 200), (50, 200), (51, 422)])
def test_an_address_has_at_most_fifty_parameters(client: httpx.Client, count: int, status: int) -> None:
    answer = client.get("/?" + "&".join(f"a{at}=" for at in range(count)))
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["where"] == "query"


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_at_most_so_many_items(client: httpx.Client, path: str) -> None:
    run_id = client.get("/api/v1/runs").json()["items"][0]["run"]
    target, most = path.replace("{run}", run_id).replace("{thread}", "t"), PAGES[path]
    good = 404 if "thread" in path else 200
    for limit, is_good in ((0, False), (1, True), (most - 1, True), (most, True), (most + 1, False), (-1, False)):
        answer = client.get(f"{target}?limit={limit}")
        assert (limit, answer.status_code) == (limit, good if is_good else 400 if is_old(path) else 422)
        if not is_good:
            assert answer.json()["where"] == "query.limit"
    for text in ("", "x", "1.5", "999999999999999999999999", "NaN", "\xb2", "true", "0x10"):
        answer = client.get(target, params={"limit": text})
        assert (text, answer.status_code) == (text, 400 if is_old(path) else 422)


def test_every_list_that_takes_a_limit_is_tested() -> None:
    assert {row.path for row in TABLE if row.method == "GET" and "limit" in row.query.__struct_fields__} == set(PAGES)


@pytest.mark.parametrize(("size", "status"), [(1, 201), (KEY_CHARS_MAX - 1, 201), (KEY_CHARS_MAX, 201), (501, 422)])
def test_a_key_is_at_most_so_long(client: httpx.Client, size: int, status: int) -> None:
    answer = client.post("/api/v1/tasks", json=TASK, headers={"idempotency-key": f"{size:0>{size}}"})
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["where"] == "Idempotency-Key"


@pytest.mark.parametrize("key", ["é", "a\tb", "\x7f", "\xff"])
def test_a_key_is_of_signs_that_print(open_to_argv: Served, key: str) -> None:
    headers = [*named(open_to_argv.port, open_to_argv.token("admin")), KIND, ("Idempotency-Key", key)]
    with Wire(open_to_argv.port) as wire:
        reply = wire.ask("POST", "/api/v1/tasks", headers, json.dumps(TASK).encode())
    assert reply.status in (400, 422)


def test_so_many_answers_are_remembered_and_the_oldest_makes_room() -> None:
    keys = Keys()
    names = [("ann", "/p", "", str(at)) for at in range(HTTP_KEYS_MAX + 1)]
    for name in names[:-1]:
        keys.begin(name, b"")
    assert keys.get(names[0]) is not None
    keys.begin(names[-1], b"")
    assert [keys.get(names[at]) is not None for at in (0, 1, -1)] == [False, True, True]


@pytest.mark.parametrize(
    ("wait_s", "status"),
    [("0", 200), ("4.9", 200), ("5", 200), ("5.0", 200), ("5.001", 422), ("-0.001", 422), ("nan", 422), ("inf", 422)],
)
def test_a_read_waits_at_most_five_seconds_for_a_position(client: httpx.Client, wait_s: str, status: int) -> None:
    answer = client.get("/api/v1/status", params={"min_position": 1, "wait_s": wait_s})
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["where"] == "query.wait_s"


def test_a_position_that_does_not_come_is_said_to_be_missing_after_the_wait(client: httpx.Client) -> None:
    answer = client.get("/api/v1/status", params={"min_position": 10**9, "wait_s": 0.1})
    assert (answer.status_code, answer.json()["code"]) == (503, "http.unready")
    assert int(answer.headers["retry-after"]) >= 1


def test_output_comes_in_pages_of_a_mebibyte_and_all_of_it_comes(client: httpx.Client) -> None:
    run_id = client.get("/api/v1/runs").json()["items"][0]["run"]
    sizes: list[int] = []
    texts: list[str] = []
    after: int | None = 0
    while after is not None:
        answer = client.get(f"/api/v1/runs/{run_id}/output?limit=500&stream=stdout&after={after}").json()
        texts += [item["text"] for item in answer["items"]]
        sizes.append(sum(len(item["text"]) for item in answer["items"]))
        after = answer["next"]
    assert sum(sizes) == 3_000_000
    assert max(sizes) < HTTP_PAGE_BYTES_MAX + 65_537, "one piece may be begun below the limit"
    assert len(sizes) >= 3
    assert "".join(texts) == ("a line that is said again and again\n" * 90_000)[:3_000_000]


# how often, and how many


class Watch:
    def __init__(self) -> None:
        self.at_s = 1_000.0

    def now_us(self) -> int:
        return int(self.at_s * 1_000_000)

    def monotonic_s(self) -> float:
        return self.at_s


def test_a_token_writes_twice_its_rate_at_once_and_then_its_rate(tmp_path: Path) -> None:
    clock = Watch()
    doors = Doors(Tokens(tmp_path), Sessions(tmp_path), clock, writes_per_s=5)
    ann, bob = (Grant(name, frozenset(), name) for name in ("ann", "bob"))

    def may(grant: Grant) -> bool:
        try:
            doors.count_write(grant)
        except errors.TooMany:
            return False
        return True

    assert [may(ann) for _ in range(11)] == 10 * [True] + [False]
    assert may(bob), "another token has a rate of its own"
    clock.at_s += 0.21
    assert [may(ann) for _ in range(2)] == [True, False]
    clock.at_s += 100
    assert [may(ann) for _ in range(11)] == 10 * [True] + [False]


def test_whoever_writes_too_often_is_told_when_to_come_again_and_may_then(tmp_path: Path) -> None:
    with served(tmp_path / "home", "--writes-per-s", "5") as at, at.client("operate") as client:
        began_s = time.monotonic()
        answers: list[httpx.Response] = []
        while not answers or answers[-1].status_code == 200:
            answers.append(client.post("/api/v1/dispatcher", json={"paused": len(answers) % 2 == 0}))
            assert len(answers) < 1_000
        took_s = time.monotonic() - began_s
        refused = answers[-1]
        assert (refused.status_code, refused.json()["code"]) == (429, "http.too_many")
        assert 10 <= len(answers) - 1 <= 11 + 5 * took_s
        assert client.get("/api/v1/status").status_code == 200, "reading goes on"
        with at.client("admin") as other:
            assert other.post("/api/v1/dispatcher", json={"paused": False}).status_code == 200
        time.sleep(float(refused.headers["retry-after"]))  # what the client was told, not a wait for the server
        assert client.post("/api/v1/dispatcher", json={"paused": False}).status_code == 200


@pytest.mark.parametrize("rate", ["0", "-1", "1000001", "x"])
def test_a_rate_that_is_none_is_a_wrong_command_line(tmp_path: Path, rate: str) -> None:
    assert run(tmp_path, "serve", "--writes-per-s", rate, check=False).returncode == 2


def test_so_many_listen_and_the_next_one_is_told_to_come_again(own: Served) -> None:
    headers = named(own.port, own.token("read"))
    wires = [Wire(own.port) for _ in range(SSE_CLIENTS_MAX + 1)]

    def listen(wire: Wire) -> None:
        wire.send(request("GET", "/api/v1/stream", headers))

    for wire in wires[:-1]:
        listen(wire)
        assert wire.head().status == 200
    listen(wires[-1])
    refused = wires[-1].reply()
    assert (refused.status, refused.json()["code"]) == (429, "http.too_many")
    assert int(refused.header("retry-after")) >= 1
    wires[0].socket.close()

    def comes_in() -> bool:
        with Wire(own.port) as wire:
            listen(wire)
            return wire.head().status == 200

    assert until(comes_in, "a place is free again")
    for wire in wires:
        wire.socket.close()
