"""Tokens: made, listed and revoked on the command line, kept as digests in files of the owner alone, and guarded."""

import json
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from adapters.sessions import Sessions
from adapters.tokens import Tokens
from commands.api.doors import Doors
from domain import errors
from domain.bounds import HTTP_LOGIN_FAILURES_PER_MINUTE, TOKENS_MAX
from tests.api.serving import WITHIN_S, Served, run, served, until
from tests.api.wire import Wire, named

WRONG = f"rt_{'x' * 43}"


class Watch:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.at_s = 1_000.0

    def now_us(self) -> int:
        return int(self.at_s * 1_000_000)

    def monotonic_s(self) -> float:
        return self.at_s


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokens")
    run(folder, "init")
    return folder


def refused(folder: Path, *arguments: str) -> tuple[int, str, str]:
    """How a command was refused: its exit status, the code and the message of the error."""
    done = run(folder, *arguments, "--json", check=False)
    assert "Traceback" not in done.stderr
    error = json.loads(done.stderr or '{"error": {"code": "none", "message": ""}}')["error"]
    return done.returncode, error["code"], error["message"]


# on the command line


def test_a_new_token_is_printed_once_and_kept_as_its_digest(place: Path) -> None:
    made = json.loads(run(place, "token", "new", "--scope", "read", "--name", "ann", "--json").stdout)
    assert (made["name"], made["scopes"]) == ("ann", ["read"])
    assert made["token"].startswith("rt_")
    assert len(made["token"]) >= 40
    for folder in place.rglob("*"):
        assert not folder.is_file() or made["token"].encode() not in folder.read_bytes()
    listed = run(place, "token", "list", "--json").stdout
    assert '"name": "ann"' in listed or '"name":"ann"' in listed
    assert made["token"] not in listed
    assert made["token"] not in run(place, "token", "list").stdout


def test_people_get_the_token_alone_on_stdout_and_the_rest_beside_it(place: Path) -> None:
    done = run(place, "token", "new", "--scope", "sql", "--scope", "read", "--scope", "read", "--name", "bob")
    assert done.stdout.strip().startswith("rt_")
    assert len(done.stdout.split()) == 1
    assert "read, sql" in done.stderr


def test_a_token_without_a_name_gets_one_that_says_its_scope(place: Path) -> None:
    first, second = (json.loads(run(place, "token", "new", "--scope", "read", "--json").stdout) for _ in range(2))
    assert first["name"].startswith("read-")
    assert first["name"] != second["name"]
    assert first["token"] != second["token"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["new", "--scope", "read", "--name", "twice"], (5, "token.exists")),
        (["new", "--scope", "write"], (2, "rt.invalid")),
        (["new", "--scope", "Read"], (2, "rt.invalid")),
        (["new", "--scope", ""], (2, "rt.invalid")),
        (["new", "--scope", "open"], (2, "rt.invalid")),
        (["new", "--scope", "signed"], (2, "rt.invalid")),
        (["new", "--scope", "read", "--name", "-a"], (2, "rt.invalid")),
        (["new", "--scope", "read", "--name", "a b"], (2, "rt.invalid")),
        (["new", "--scope", "read", "--name", "a/b"], (2, "rt.invalid")),
        (["new", "--scope", "read", "--name", "a\nb"], (2, "rt.invalid")),
        (["new", "--scope", "read", "--name", "a\n"], (2, "rt.invalid")),
        (["new", "--scope", "read", "--name", "ä"], (2, "rt.invalid")),
        (["new", "--scope", "read", "--name", "a" * 65], (2, "rt.invalid")),
        (["revoke", "nobody"], (3, "token.not_found")),
        (["revoke"], (2, "rt.invalid")),
        (["revoke", "twice", "--sessions"], (2, "rt.invalid")),
        (["link"], (3, "serve.not_running")),
    ],
)
def test_wrong_input_is_refused_with_the_right_status(
    place: Path, arguments: list[str], expected: tuple[int, str]
) -> None:
    if not any(token.name == "twice" for token in Tokens(place / ".rt").book().tokens):
        Tokens(place / ".rt").add("twice", ("read",), 1)
    before = (place / ".rt" / "tokens.json").read_bytes()
    assert refused(place, "token", *arguments)[:2] == expected
    assert (place / ".rt" / "tokens.json").read_bytes() == before


@pytest.mark.parametrize(
    "arguments",
    [["new"], ["new", "--scope"], ["new", "read"], ["list", "x"], ["revoke", "a", "b"], ["link", "x"], ["x"]],
)
def test_a_wrong_command_line_is_refused_as_such(place: Path, arguments: list[str]) -> None:
    assert run(place, "token", *arguments, check=False).returncode == 2


def test_a_name_may_have_sixty_four_signs(place: Path) -> None:
    run(place, "token", "new", "--scope", "read", "--name", "a" * 64)
    run(place, "token", "revoke", "a" * 64)


def test_there_are_a_hundred_tokens_and_not_one_more(tmp_path: Path) -> None:
    run(tmp_path, "init")
    made = Tokens(tmp_path / ".rt")
    for at in range(TOKENS_MAX - 1):
        made.add(f"t{at}", ("read",), 1)
    run(tmp_path, "token", "new", "--scope", "read", "--name", "last")
    code, error, message = refused(tmp_path, "token", "new", "--scope", "read", "--name", "more")
    assert (code, error) == (2, "rt.invalid")
    assert "100" in message
    run(tmp_path, "token", "revoke", "t0")
    run(tmp_path, "token", "new", "--scope", "read", "--name", "more")


def test_of_many_tokens_made_at_once_none_is_lost(tmp_path: Path) -> None:
    def make(at: int) -> None:
        Tokens(tmp_path).add(f"t{at}", ("read",), 1)

    threads = [threading.Thread(target=make, args=(at,)) for at in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WITHIN_S)
    assert {token.name for token in Tokens(tmp_path).book().tokens} == {f"t{at}" for at in range(20)}


# what lies on the disk


def test_what_opens_a_door_is_in_files_of_the_owner_and_only_as_digest(tmp_path: Path) -> None:
    with served(tmp_path / "home") as at:
        secrets = [at.token(scope) for scope in ("read", "admin")]
        linked = json.loads(at.rt("token", "link", "--json").stdout)["link"].partition("#code=")[2]
        with at.client() as client:
            assert client.post("/api/v1/session", json={"code": at.code}).status_code == 200
            assert client.post("/api/v1/dispatcher", json={"paused": True}).status_code == 200
            secrets += [at.code, linked, client.cookies[f"rt_{at.port}"]]
            for secret in secrets[:2]:
                client.post("/api/v1/tasks", json={}, headers={"authorization": f"Bearer {secret}"})
        wrong = "rt_a-wrong-token-is-no-ones-business-either"
        with at.client(headers={"authorization": f"Bearer {wrong}"}) as client:
            assert client.get(f"/api/v1/status?token={secrets[0]}").status_code == 401
        files = [path for path in (at.folder / ".rt").rglob("*") if path.is_file()]
        assert {"tokens.json", "tokens.lock", "serve.lock"} <= {path.name for path in files}
        guarded = [path for path in files if path.name.startswith(("tokens", "serve")) or path.parent.name == "codes"]
        assert [oct(stat.S_IMODE(path.stat().st_mode)) for path in guarded] == len(guarded) * ["0o600"]
        assert stat.S_IMODE((at.folder / ".rt" / "codes").stat().st_mode) == 0o700
        contents = {path: path.read_bytes() for path in files}
    said = (at.folder / "serve.err").read_bytes()
    for secret in [*secrets, wrong]:
        assert [path for path, content in contents.items() if secret.encode() in content] == []
        assert secret.encode() not in said


def test_whoever_cannot_write_the_book_of_tokens_is_told_and_the_old_one_stays(tmp_path: Path) -> None:
    made = Tokens(tmp_path)
    secret = made.add("ann", ("read",), 1)
    (tmp_path / "tokens.json").unlink()
    (tmp_path / "tokens.json").mkdir()
    (tmp_path / "tokens.json" / "x").touch()
    with pytest.raises(errors.RtError):
        made.add("bob", ("read",), 1)
    assert not [path.name for path in tmp_path.iterdir() if path.name.endswith(".new")]
    assert secret


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"tokens":[{"name":1}]}', b"\xff\xfe"])
def test_a_book_of_tokens_that_does_not_read_lets_nobody_in_and_says_where_it_is(
    tmp_path: Path, content: bytes
) -> None:
    made = Tokens(tmp_path)
    secret = made.add("ann", ("read",), 1)
    (tmp_path / "tokens.json").write_bytes(content)
    with pytest.raises(errors.Corrupt, match=r"tokens\.json"):
        Tokens(tmp_path).named(secret)


# guessing


def ask(at: Served, token: str, source: str) -> httpx.Response:
    transport = httpx.HTTPTransport(local_address=source)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(base_url=at.url, transport=transport, headers=headers, timeout=WITHIN_S) as client:
        return client.get("/api/v1/status")


def test_the_twentieth_wrong_token_is_unknown_and_the_next_one_has_to_wait(shared: Served) -> None:
    guesser, other = "127.0.2.1", "127.0.2.2"
    with Wire(shared.port, source=guesser) as wire:
        wrong = [wire.ask("GET", "/api/v1/status", named(shared.port, WRONG)) for _ in range(22)]
        right = wire.ask("GET", "/api/v1/status", named(shared.port, shared.token("read")))
        nothing = wire.ask("GET", "/api/v1/status", named(shared.port))
        body = b'{"code":"no"}'
        login = wire.ask("POST", "/api/v1/session", [*named(shared.port), ("Content-Type", "application/json")], body)
        content = json.dumps({"token": shared.token("read")}).encode()
        known = wire.ask(
            "POST", "/api/v1/session", [*named(shared.port), ("Content-Type", "application/json")], content
        )
    assert [reply.status for reply in wrong] == HTTP_LOGIN_FAILURES_PER_MINUTE * [401] + 2 * [429]
    assert all(1 <= int(reply.header("retry-after")) <= 60 for reply in wrong[-2:])
    assert wrong[-1].json()["code"] == "http.too_many"
    assert (right.status, nothing.status, login.status, known.status) == (200, 401, 429, 200)
    assert ask(shared, WRONG, other).status_code == 401, "another address is not held back"


def test_wrong_codes_are_counted_like_wrong_tokens(shared: Served) -> None:
    with Wire(shared.port, source="127.0.2.3") as wire:
        headers = [*named(shared.port), ("Content-Type", "application/json")]
        statuses = [wire.ask("POST", "/api/v1/session", headers, b'{"code":"no"}').status for _ in range(21)]
        assert statuses == 20 * [401] + [429]
        assert wire.ask("GET", "/api/v1/status", named(shared.port, WRONG)).status == 429


@pytest.mark.parametrize(("after_s", "waits"), [(59.9, True), (60.1, False)])
def test_a_minute_later_an_address_may_be_wrong_again(tmp_path: Path, after_s: float, *, waits: bool) -> None:
    clock = Watch()
    doors = Doors(Tokens(tmp_path), Sessions(tmp_path), clock, writes_per_s=1)
    for _ in range(HTTP_LOGIN_FAILURES_PER_MINUTE):
        assert isinstance(doors.refusal("a", is_guess=True), errors.TokenMissing)
    clock.at_s += after_s
    assert isinstance(doors.refusal("a", is_guess=True), errors.TooMany if waits else errors.TokenMissing)


# revoking


def test_a_revoked_token_opens_nothing_from_then_on(own: Served) -> None:
    with own.client("read") as client:
        assert client.get("/api/v1/status").status_code == 200
        own.rt("token", "revoke", "read")
        assert client.get("/api/v1/status").status_code == 401


def test_streams_end_with_what_opened_them_and_others_go_on(own: Served) -> None:
    """Within five seconds; the deadline here is that of a slow machine."""
    by_token, other, by_session, by_code = own.client("read"), own.client("admin"), own.client(), own.client()
    by_session.post("/api/v1/session", json={"token": own.token("read")}).raise_for_status()
    by_code.post("/api/v1/session", json={"code": own.code}).raise_for_status()
    listening = [Listening(each) for each in (by_token, by_session, by_code, other)]
    own.rt("token", "revoke", "read")
    until(lambda: listening[0].is_over() and listening[1].is_over(), "the token's streams are over", 20)
    own.rt("token", "revoke", "--sessions")
    until(listening[2].is_over, "the session's stream is over", 20)
    other.post("/api/v1/dispatcher", json={"paused": True}).raise_for_status()
    until(lambda: b"dispatcher.paused" in listening[3].said, "the other stream goes on")
    assert not listening[3].is_over()
    assert by_token.get("/api/v1/stream").status_code == 401
    for each in (by_token, by_session, by_code, other):
        each.close()


def test_logging_out_ends_the_streams_of_the_session(own: Served) -> None:
    with own.client() as client:
        client.post("/api/v1/session", json={"code": own.code}).raise_for_status()
        listening = Listening(client)
        client.delete("/api/v1/session").raise_for_status()
        until(listening.is_over, "the stream is over", 20)


class Listening:
    """A stream that is read by a thread of its own, from its first words on."""

    def __init__(self, client: httpx.Client) -> None:
        self.said = b""
        self._thread = threading.Thread(target=self._read, args=(client,), daemon=True)
        self._thread.start()
        until(lambda: b"caught_up" in self.said, "it is connected")

    def _read(self, client: httpx.Client) -> None:
        for part in self._parts(client):
            self.said += part

    def _parts(self, client: httpx.Client) -> Iterator[bytes]:
        with client.stream("GET", "/api/v1/stream") as stream:
            try:
                yield from stream.iter_raw()
            except (httpx.TransportError, httpx.StreamError):
                return

    def is_over(self) -> bool:
        return not self._thread.is_alive()


# links


def test_a_link_of_the_command_line_opens_one_session(own: Served) -> None:
    made = json.loads(own.rt("token", "link", "--json").stdout)
    assert made["link"].startswith(f"{own.url}/#code=")
    with own.client() as client:
        code = made["link"].partition("#code=")[2]
        assert client.post("/api/v1/session", json={"code": code}).status_code == 200
        assert client.post("/api/v1/session", json={"code": code}).status_code == 401
    printed = own.rt("token", "link")
    assert printed.stdout.startswith(f"{own.url}/#code=")
    assert "60 s" in printed.stderr


def test_a_link_is_made_only_where_somebody_serves(tmp_path: Path) -> None:
    with served(tmp_path / "home") as at:
        at.rt("token", "link")
        at.stop()
        assert refused(at.folder, "token", "link")[:2] == (3, "serve.not_running")


def test_codes_that_nobody_uses_are_bounded_and_make_room_when_they_are_too_old(tmp_path: Path) -> None:
    made = Tokens(tmp_path)
    now_us = time.time_ns() // 1_000
    for _ in range(100):
        made.code("ann", ("read",), now_us)
    with pytest.raises(errors.TooMany):
        made.code("ann", ("read",), now_us)
    assert made.code("ann", ("read",), now_us + 60_000_000)
    assert len(list((tmp_path / "codes").iterdir())) == 1
