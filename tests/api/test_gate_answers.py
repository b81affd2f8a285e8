"""What every good answer carries too, whole or without its body; and what a server that is only read leaves out."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.api.app import TABLE
from tests.api.expected import NEEDS, PAGES, SECURITY
from tests.api.rich import Rich, rich
from tests.api.serving import WITHIN_S, Served, environment, served
from tests.api.wire import Reply, Wire, named

READS = [row.path for row in TABLE if row.method == "GET"]
STREAMS = ("/api/v1/stream", "/api/stream")
ANSWERS = [path for path in READS if path not in STREAMS]
WRITES = [route for route, scope in NEEDS.items() if scope in ("approve", "operate", "signed")]
SOON_S = 10.0  # what hangs for so long hangs for ever


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    with rich(tmp_path_factory.mktemp("rich") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("read_only"), "--read-only") as found:
        yield found


@pytest.mark.parametrize("path", ANSWERS)
def test_a_good_answer_carries_the_headers_of_the_house_and_changes_nothing(home: Rich, path: str) -> None:
    before = home.at.head()
    with Wire(home.at.port) as wire:
        reply = wire.ask("GET", home.path(path) + home.query(path), named(home.at.port, home.at.token("admin")))
    assert reply.status == (204 if path == "/favicon.ico" else 200), reply.body
    check_headers(reply, "no-cache" if path in PAGES and path != "/favicon.ico" else "no-store")
    assert home.at.head() == before


def check_headers(reply: Reply, cache_control: str) -> None:
    once = [each for each in reply.headers if each != ("content-security-policy", "sandbox")]  # a second one, of files
    found = dict(once)
    assert len(found) == len(once), "a header comes twice"
    assert found.items() >= (SECURITY | {"cache-control": cache_control}).items()
    assert not [name for name in found if name.startswith("access-control-") or name in ("server", "set-cookie")]


@pytest.mark.parametrize("path", ANSWERS)
def test_a_head_is_answered_as_its_get_without_the_body(home: Rich, path: str) -> None:
    headers = named(home.at.port, home.at.token("admin"))
    target = home.path(path) + home.query(path)
    with Wire(home.at.port) as wire:
        whole, head, after = (wire.ask(method, target, headers) for method in ("GET", "HEAD", "GET"))
    assert head.body == b""
    assert head.status == whole.status == after.status
    assert lasting(head) == lasting(whole)


def lasting(reply: Reply) -> list[str]:
    """The names of its headers; the length of a document with times and measurements in it may differ."""
    return [name for name, _ in reply.headers]


@pytest.mark.parametrize("path", STREAMS)
def test_a_stream_carries_the_headers_of_the_house(home: Rich, path: str) -> None:
    with home.at.client("read") as client, client.stream("GET", path) as stream:
        assert stream.status_code == 200
        assert next(stream.iter_raw())
        raw = [(name.decode(), value.decode()) for name, value in stream.headers.raw]
    check_headers(Reply(200, [(name.lower(), value) for name, value in raw], b""), "no-store")
    assert dict(raw)["content-type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("path", STREAMS)
def test_the_head_of_a_stream_ends_and_the_connection_goes_on(home: Rich, path: str) -> None:
    headers = named(home.at.port, home.at.token("read"))
    with Wire(home.at.port, within_s=SOON_S) as wire:
        assert wire.ask("HEAD", path, headers).header("content-type") == "text/event-stream; charset=utf-8"
        assert wire.ask("GET", "/api/v1/health", headers).status == 200


@pytest.mark.parametrize("route", WRITES)
def test_a_read_only_server_has_no_address_that_writes(read_only: Served, route: str) -> None:
    method, _, path = route.partition(" ")
    target = path.translate(str.maketrans("", "", "{}"))
    with read_only.client("admin") as client:
        answer = client.request(method, target, json={})
    left = {other.partition(" ")[0] for other in NEEDS if other not in WRITES and fits(other, target)}
    left |= {"HEAD"} if "GET" in left else set()
    assert answer.status_code == (405 if left else 404)
    assert set(filter(None, answer.headers.get("allow", "").split(", "))) == left


def fits(route: str, target: str) -> bool:
    """Whether an address is one of a route's; a queue may be a task by its name."""
    return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", route.partition(" ")[2]), target) is not None


def test_a_read_only_server_says_so_and_documents_nothing_that_writes(read_only: Served) -> None:
    with read_only.client("read") as client:
        assert client.get("/api/v1/session").json()["read_only"] is True
        paths = client.get("/api/v1/openapi.json").json()["paths"]
    documented = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    assert documented == {route for route in NEEDS if route not in WRITES and route.partition(" ")[2] not in PAGES}


def test_a_read_only_server_does_not_work(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "rt_runtime", "serve", "--port", "0", "--read-only", "--work"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=WITHIN_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--work" in done.stderr
