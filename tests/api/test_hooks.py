"""Hooks of GitHub and Discord: signed over the bytes as they came, or nothing; and what comes twice is one task."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.bounds import HTTP_INTAKE_BYTES_MAX
from tests.api.refusals import check_refusal
from tests.api.serving import Served, run, served

SECRET: Final = "hook-canary-9017"  # noqa: S105  # made up
KEY: Final = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CONFIG: Final = f"""
default_adapter = "worker"
[adapters.worker]
command = "./worker"
[bridges.github]
secret_env = "HOOK_SECRET"
[bridges.discord]
public_key = "{KEY.public_key().public_bytes_raw().hex()}"
"""
JSON: Final = {"content-type": "application/json"}
PULL: Final = {
    "action": "opened",
    "number": 7,
    "pull_request": {
        "number": 7, "title": "Mend it", "user": {"login": "ann"}, "html_url": "https://github.test/r/pull/7",
        "merged": False, "body": "It was broken.",
    },
    "repository": {"full_name": "a/r"},
    "sender": {"login": "ann"},
}  # fmt: skip


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hooks")
    with configured(folder, CONFIG) as found:
        yield found


def configured(folder: Path, config: str, env: dict[str, str] | None = None) -> Any:  # noqa: ANN401  # a context manager
    run(folder, "init")
    (folder / "rt.toml").write_text(config)
    return served(folder, env={"HOOK_SECRET": SECRET} if env is None else env)


@pytest.fixture
def client(hooked: Served) -> Iterator[httpx.Client]:
    """A stranger: hooks bring no token."""
    with hooked.client() as found:
        yield found


def pull(number: int) -> bytes:
    request = PULL["pull_request"] | {"number": number}  # type: ignore[operator]  # it is a dict
    return json.dumps(PULL | {"number": number, "pull_request": request}).encode()


def github(client: httpx.Client, content: bytes, *, event: str = "pull_request", **headers: str) -> httpx.Response:
    """Deliver as GitHub does; a header that is given takes the place of the right one."""
    digest = hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    right = {"x-hub-signature-256": f"sha256={digest}", "x-github-event": event, "x-github-delivery": "d-1"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/hooks/github", content=content, headers=JSON | right | named)


def discord(
    client: httpx.Client, content: bytes, *, ago_s: float = 0, stamp: str = "", key: Ed25519PrivateKey = KEY
) -> httpx.Response:
    """Deliver as Discord does, so many seconds ago."""
    stamp = stamp or str(round(time.time() - ago_s))
    signed = key.sign(stamp.encode() + content).hex()
    headers = JSON | {"x-signature-timestamp": stamp, "x-signature-ed25519": signed}
    return client.post("/hooks/discord", content=content, headers=headers)


def message(number: int) -> bytes:
    author = {"id": "1", "username": "bob"}
    return json.dumps({"id": str(number), "channel_id": "2", "author": author, "content": "how are you?"}).encode()


def refused(at: Served, before: tuple[int, bytes], answer: httpx.Response, status: int = 401) -> None:
    check_refusal(answer, at)
    assert answer.status_code == status
    assert at.head() == before
    assert SECRET not in answer.text


# GitHub


def test_a_signed_story_of_github_becomes_a_task_of_the_bridge(hooked: Served, client: httpx.Client) -> None:
    answer = github(client, pull(101))
    assert (answer.status_code, answer.json()["queued"]) == (201, True)
    assert int(answer.headers["rt-position"]) == answer.json()["position"]
    with hooked.client("read") as reader:
        task = reader.get(f"/api/v1/tasks/{answer.json()['task_id']}").json()
        assert (task["kind"], task["source"], task["priority"]) == ("github-story", "github-bridge", 7)
        assert task["payload"]["number"] == 101
        [event] = reader.get("/api/v1/events", params={"stream": task["task"]}).json()["items"]
    assert event["actor"] == "bridge:github"


@pytest.mark.parametrize(
    "signature",
    [
        "", "sha256=", "sha256=" + "0" * 64, "sha1=" + "0" * 40, "{digest}", "SHA256={digest}", "sha256={digest}0",
        "sha256= {digest}", "sha256={short}", "sha256={digest},sha256={digest}", "sha512={digest}", "sha256={other}",
        "sha256={empty}", "\xff",
    ],
)  # fmt: skip
def test_without_the_right_signature_nothing_is_taken(hooked: Served, client: httpx.Client, signature: str) -> None:
    content, before = pull(102), hooked.head()
    digest = hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    other = hmac.new(SECRET.encode(), content + b" ", hashlib.sha256).hexdigest()
    empty = hmac.new(b"", content, hashlib.sha256).hexdigest()
    given = signature.format(digest=digest, short=digest[:-1], other=other, empty=empty)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in (JSON | {"x-github-event": "ping"}).items()]
    signed = [(b"x-hub-signature-256", given.encode("latin-1"))]
    refused(hooked, before, client.post("/hooks/github", content=content, headers=headers + signed))


def test_without_any_signature_nothing_is_taken_whoever_asks(hooked: Served, client: httpx.Client) -> None:
    before = hooked.head()
    refused(hooked, before, client.post("/hooks/github", content=pull(103), headers=JSON))
    with hooked.client("admin") as admin:
        refused(hooked, before, admin.post("/hooks/github", content=pull(103), headers=JSON))


def test_the_signature_is_of_the_bytes_as_they_came(hooked: Served, client: httpx.Client) -> None:
    content, before = pull(104), hooked.head()
    digest = hmac.new(SECRET.encode(), content, hashlib.sha256).hexdigest()
    for changed in (content + b" ", content + b"\n", b" " + content, content.replace(b'": ', b'":'), b"", b"{}"):
        refused(hooked, before, github(client, changed, x_hub_signature_256=f"sha256={digest}"))
    assert github(client, content, x_hub_signature_256=f"sha256={digest.upper()}").status_code == 201


def test_a_redelivery_makes_no_second_task(hooked: Served, client: httpx.Client) -> None:
    first = github(client, pull(105)).json()
    before = hooked.head()
    again = github(client, pull(105), x_github_delivery="d-2")
    assert (again.status_code, again.json()["deduplicated"]) == (200, True)
    assert again.json()["task_id"] == first["task_id"]
    told_otherwise = pull(105).replace(b"Mend it", b"Mend it now")
    other = github(client, told_otherwise)
    assert (other.status_code, other.json()["task_id"]) == (200, first["task_id"])
    assert hooked.head() == before


def test_deliveries_at_once_make_one_task(hooked: Served) -> None:
    before = hooked.head()[0]
    clients = [hooked.client() for _ in range(8)]
    with ThreadPoolExecutor(len(clients)) as pool:
        answers = list(pool.map(lambda each: github(each, pull(106)), clients))
    assert sorted(answer.status_code for answer in answers) == 7 * [200] + [201]
    assert len({answer.json()["task_id"] for answer in answers}) == 1
    assert hooked.head()[0] == before + 1
    for each in clients:
        each.close()


def test_a_key_in_the_header_lets_nobody_in_who_has_no_signature(hooked: Served, client: httpx.Client) -> None:
    """The answer to a request that was signed is for who signed it."""
    assert github(client, pull(107), idempotency_key="same").status_code == 201
    before = hooked.head()
    headers = JSON | {"idempotency-key": "same", "x-github-event": "pull_request"}
    refused(hooked, before, client.post("/hooks/github", content=pull(107), headers=headers))


def test_a_ping_is_answered_and_makes_nothing(hooked: Served, client: httpx.Client) -> None:
    before = hooked.head()
    answer = github(client, b'{"zen":"Keep it simple.","hook_id":1,"repository":{"full_name":"a/r"}}', event="ping")
    assert (answer.status_code, answer.json()["queued"]) == (200, False)
    assert answer.json()["ignored"]
    assert hooked.head() == before


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400), (b"{", 400), (b"\xff", 400), (b'{"a":NaN}', 400), (b'{"a":1,"a":2}', 400), (b"[]", 422),
        (b"null", 422), (b"{}", 422), (b'{"action":"opened","number":1}', 422), (b'{"a":"\\ud800"}', 422),
        (b'{"event":"opened","repository":1}', 422), (b'{"event":"opened","repository":"a/r","number":-1}', 422),
    ],
)  # fmt: skip
def test_what_is_signed_and_wrong_is_refused_with_the_field(
    hooked: Served, client: httpx.Client, content: bytes, status: int
) -> None:
    before = hooked.head()
    answer = github(client, content)
    refused(hooked, before, answer, status)
    assert answer.json()["where"].startswith(("bridge.github", "the body", "body."))


def test_more_than_a_mebibyte_is_not_looked_at(hooked: Served, client: httpx.Client) -> None:
    before = hooked.head()
    for size in (HTTP_INTAKE_BYTES_MAX, HTTP_INTAKE_BYTES_MAX + 1):
        answer = github(client, b'{"a":"' + b"x" * (size - 8) + b'"}')
        refused(hooked, before, answer, 413 if size > HTTP_INTAKE_BYTES_MAX else 422)


def test_a_form_is_no_hook(hooked: Served, client: httpx.Client) -> None:
    """GitHub offers to send forms; what a page can send without asking is not taken."""
    before = hooked.head()
    answer = github(client, b"payload=%7B%7D", content_type="application/x-www-form-urlencoded")
    refused(hooked, before, answer, 415)


@pytest.mark.parametrize("config", ["", '[bridges.github]\nsecret_env = "NOT_SET"\n', '[bridges.github]\nkind = "k"\n'])
def test_without_a_secret_a_hook_takes_nothing_even_signed_with_nothing(tmp_path: Path, config: str) -> None:
    with configured(tmp_path, config) as at, at.client() as client:
        before = at.head()
        content = pull(1)
        empty = "sha256=" + hmac.new(b"", content, hashlib.sha256).hexdigest()
        refused(at, before, github(client, content))
        refused(at, before, github(client, content, x_hub_signature_256=empty))
        refused(at, before, discord(client, message(1)))


# Discord


def test_a_signed_ping_of_discord_is_answered_as_it_wants(hooked: Served, client: httpx.Client) -> None:
    before = hooked.head()
    answer = discord(client, b'{"type":1}')
    assert (answer.status_code, answer.json()) == (200, {"type": 1})
    assert hooked.head() == before


def test_a_signed_message_of_discord_becomes_one_task(hooked: Served, client: httpx.Client) -> None:
    first = discord(client, message(201))
    assert (first.status_code, first.json()["queued"]) == (201, True)
    before = hooked.head()
    second = discord(client, message(201), ago_s=10)
    assert (second.status_code, second.json()["deduplicated"]) == (200, True)
    assert second.json()["task_id"] == first.json()["task_id"]
    assert hooked.head() == before
    with hooked.client("read") as reader:
        task = reader.get(f"/api/v1/tasks/{first.json()['task_id']}").json()
    assert (task["kind"], task["source"], task["priority"]) == ("discord-reply", "discord-bridge", 6)


@pytest.mark.parametrize(("ago_s", "status"), [(280, 201), (-280, 201), (330, 401), (-330, 401), (10**9, 401)])
def test_a_request_that_was_recorded_cannot_be_sent_later(client: httpx.Client, ago_s: int, status: int) -> None:
    """Five minutes either way, less what a slow machine takes."""
    answer = discord(client, message(300 + ago_s), ago_s=ago_s)
    assert answer.status_code == status


@pytest.mark.parametrize("stamp", ["0", "-1", "1.5", "now", "1e9", "9" * 13, "9" * 300, "0x10", "\xb2"])
def test_a_stamp_that_is_no_time_fits_nothing(hooked: Served, client: httpx.Client, stamp: str) -> None:
    before = hooked.head()
    content = message(202)
    headers = {**JSON, "x-signature-ed25519": KEY.sign(stamp.encode("latin-1") + content).hex()}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"x-signature-timestamp", stamp.encode("latin-1")))
    refused(hooked, before, client.post("/hooks/discord", content=content, headers=raw))


def test_another_key_another_stamp_and_another_body_do_not_fit(hooked: Served, client: httpx.Client) -> None:
    before, content = hooked.head(), message(203)
    stamp = str(round(time.time()))
    signed = KEY.sign(stamp.encode() + content).hex()
    refused(hooked, before, discord(client, content, key=Ed25519PrivateKey.generate()))
    for changes in (
        {"x-signature-timestamp": str(int(stamp) + 1)}, {"x-signature-ed25519": signed[:-2]},
        {"x-signature-ed25519": ""}, {"x-signature-ed25519": "zz" * 64}, {"x-signature-ed25519": "00" * 64},
    ):  # fmt: skip
        headers = JSON | {"x-signature-timestamp": stamp, "x-signature-ed25519": signed} | changes
        refused(hooked, before, client.post("/hooks/discord", content=content, headers=headers))
    headers = JSON | {"x-signature-timestamp": stamp, "x-signature-ed25519": signed}
    refused(hooked, before, client.post("/hooks/discord", content=content + b" ", headers=headers))
    assert client.post("/hooks/discord", content=content, headers=headers).status_code == 201


@pytest.mark.parametrize(
    ("content", "status"), [(b"", 400), (b"{", 400), (b"[]", 422), (b"{}", 422), (b'{"type":"x"}', 422), (b"\xff", 400)]
)
def test_what_discord_signed_and_is_wrong_is_refused_with_the_field(
    hooked: Served, client: httpx.Client, content: bytes, status: int
) -> None:
    before = hooked.head()
    answer = discord(client, content)
    refused(hooked, before, answer, status)
    assert answer.json()["where"].startswith(("bridge.discord", "the body"))
