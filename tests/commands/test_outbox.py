"""`rt outbox`: what goes out goes at least once under one key, again after growing pauses, and without secrets."""

import hashlib
import hmac
import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.commands.place import Done, Place, finished, interrupt, until

TOKEN, SECRET = "token-canary-77aa", "sign-canary-88bb"  # made up
KEYS = {"HOOK_TOKEN": TOKEN, "HOOK_SECRET": SECRET}


@dataclass
class Receiver:
    """What came to the server on 127.0.0.1, and what it answers next."""

    url: str = ""
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # one after the other; then 200
    hold: Callable[[], None] | None = None  # called before it answers

    @property
    def keys(self) -> Counter[str]:
        return Counter(headers["idempotency-key"] for headers, _ in self.came)


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
            if receiver.hold is not None:
                receiver.hold()
            status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
            try:
                self.send_response(status)
                for name, value in (headers | {"content-length": "0"}).items():
                    self.send_header(name, value)
                self.end_headers()
            except (BrokenPipeError, ConnectionResetError):
                pass  # it was killed meanwhile

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


def config(place: Place, url: str, *, allowed: str = "true", **fields: object) -> Place:
    """A place whose runs send messages to the hook."""
    if not place.state.exists():
        place.ok("init")
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
    return place.config(
        'default_profile = "it"\ndefault_adapter = "helper"\n'
        '[adapters.helper]\ncommand = "./helper"\n'
        f'[profiles.it]\nprogram = "one_shot"\nexternal_messages = {allowed}\n'
        f'[outbox]\ndefault = "hook"\n[outbox.destinations.hook]\nurl = "{url}"\nprivate = true\n{more}'
    )


def says(place: Place, *messages: dict[str, Any], text: str = "") -> None:
    """Let a run end with these messages."""
    outcome = {"status": "completed", "operator_summary": "s", "external_messages": list(messages)}
    (place.folder / "outcome").write_text(json.dumps(outcome))
    place.script("helper", f"#!/bin/sh\n{text}\ncat outcome\n")
    place.ok("intake", "--kind", "k", "--payload", '{"objective": "x"}')


def work(place: Place, env: dict[str, str] | None = None) -> Done:
    done = place.rt("work", "--until-idle", env=env)
    assert done.code == 0, done
    return done


def messages(place: Place) -> list[dict[str, Any]]:
    return place.rows("outbox", "list")


def stored(place: Place) -> bytes:
    """Every byte of the home's own files."""
    with sqlite3.connect(place.state / "log.db") as log:
        log.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return b"".join(path.read_bytes() for path in place.state.rglob("*") if path.is_file())


# delivery


def test_a_message_goes_out_once_with_its_key_and_its_signature(place: Place, receiver: Receiver) -> None:
    """OU-9: the body is what was stored; the HMAC is over its bytes."""
    config(place, receiver.url, token_env="HOOK_TOKEN", sign_env="HOOK_SECRET", timeout_s=10)  # noqa: S106
    says(place, {"text": "hello", "n": 1})
    work(place, KEYS)
    [(headers, body)] = receiver.came
    assert json.loads(body) == {"text": "hello", "n": 1}
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["x-rt-signature"] == "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["content-type"] == "application/json"
    [message] = messages(place)
    assert (message["status"], message["attempts"], message["key"]) == ("delivered", 1, headers["idempotency-key"])
    assert place.json("outbox", "show", message["message"][:8])["content"] == {"text": "hello", "n": 1}
    assert not any(secret.encode() in stored(place) for secret in KEYS.values())
    work(place, KEYS)
    assert len(receiver.came) == 1
    place.ok("replay", "--all")


def test_a_message_lies_in_the_transaction_of_the_end(place: Place, receiver: Receiver) -> None:
    """LC-4."""
    config(place, receiver.url)
    says(place, {"text": "a"})
    place.ok("pause", "--scope", "feeders")
    place.ok("resume")
    work(place)
    topics = place.topics()
    at = topics.index("outbox.queued.v1")
    assert topics[at - 2 : at] == ["run.finished.v1", "task.completed.v1"]
    assert messages(place)[0]["run"] == place.json("run", "show", "@last")["run"]


def test_a_variable_that_is_not_set_is_a_failure_that_is_named(place: Place, receiver: Receiver) -> None:
    config(place, receiver.url, token_env="HOOK_TOKEN", attempts=1)  # noqa: S106  # the name of a variable
    says(place, {"text": "a"})
    work(place)
    assert receiver.came == []
    assert [(each["status"], each["cause"]) for each in messages(place)] == [("failed", "no_key")]


@pytest.mark.parametrize("status", [301, 400, 404, 408, 429, 500, 503])
def test_what_is_no_success_is_tried_again_and_then_given_up(place: Place, receiver: Receiver, status: int) -> None:
    config(place, receiver.url, attempts=2, retry_s=0.01)
    says(place, {"text": "a"})
    receiver.answers = [(status, {})] * 9
    with place.started("work") as process:
        until(lambda: messages(place)[:1] and messages(place)[0]["status"] == "failed")
        interrupt(process)
    [message] = messages(place)
    assert (message["attempts"], message["cause"], message["next_at"]) == (2, f"http:{status}", None)
    assert receiver.keys == {message["key"]: 2}


def test_the_pauses_grow(place: Place, receiver: Receiver) -> None:
    """Each is about twice the one before it, within its jitter."""
    config(place, receiver.url, attempts=4, retry_s=0.2)
    says(place, {"text": "a"})
    receiver.answers = [(500, {})] * 9
    with place.started("work") as process:
        until(lambda: len(place.events("outbox.failed.v1")) == 4, seconds=25)
        interrupt(process)
    failed = place.events("outbox.failed.v1")
    assert [each["attempt"] for each in failed] == [1, 2, 3, 4]
    query = "SELECT epoch_us(recorded_at) FROM events WHERE topic = 'outbox.failed.v1' ORDER BY position"
    pauses = [each["next_us"] - at for each, [at] in zip(failed[:3], place.json("sql", query)["rows"], strict=False)]
    assert all(0.7 * 200_000 * 2**at <= pause <= 1.3 * 200_000 * 2**at for at, pause in enumerate(pauses)), pauses
    assert "next_us" not in failed[3]


@pytest.mark.parametrize("asked", ["3600", "0"])
def test_a_receiver_may_ask_for_a_longer_pause_and_for_no_shorter_one(
    place: Place, receiver: Receiver, asked: str
) -> None:
    """RT-8: Retry-After."""
    config(place, receiver.url, retry_s=600)
    says(place, {"text": "a"})
    receiver.answers = [(429, {"retry-after": asked})]
    work(place)
    [message] = messages(place)
    wait_s = (datetime.fromisoformat(message["next_at"]) - datetime.fromisoformat(message["queued_at"])).total_seconds()
    low, high = (3595, 3700) if asked == "3600" else (400, 800)
    assert low <= wait_s <= high
    assert (message["status"], message["attempts"]) == ("queued", 1)


def test_a_receiver_that_is_not_there_fails_and_holds_up_nothing(place: Place) -> None:
    """DC-2."""
    config(place, "http://127.0.0.1:1/hook", retry_s=600)
    says(place, {"text": "a"})
    work(place)
    task = place.task("@last")
    assert task["status"] == "completed"
    assert messages(place)[0]["status"] == "queued"
    assert messages(place)[0]["cause"]


def test_a_dispatcher_that_is_killed_before_it_could_write_delivers_again_under_the_same_key(
    place: Place, receiver: Receiver
) -> None:
    """OU-9: at least once; the receiver tells by the key that it has it."""
    config(place, receiver.url)
    says(place, {"text": "a"}, {"text": "b"})
    came, go = threading.Event(), threading.Event()

    def hold() -> None:
        came.set()
        go.wait(20)

    receiver.hold = hold
    with place.started("work") as process:
        assert came.wait(20)
        until(lambda: len(receiver.came) == 2)
        process.kill()
        process.wait()
    go.set()
    receiver.hold = None
    assert place.events("outbox.delivered.v1") == []
    work(place)
    assert sorted(receiver.keys.values()) == [2, 2]
    assert [message["status"] for message in messages(place)] == ["delivered", "delivered"]
    assert {message["key"] for message in messages(place)} == set(receiver.keys)
    work(place)
    assert sorted(receiver.keys.values()) == [2, 2]
    place.ok("log", "verify")


def test_one_cycle_delivers_what_its_run_wants_to_say(place: Place, receiver: Receiver) -> None:
    """DC-1."""
    config(place, receiver.url)
    says(place, {"text": "a"})
    place.ok("run-once")
    assert (len(receiver.came), messages(place)[0]["status"]) == (1, "delivered")


def test_two_dispatchers_deliver_a_message_once(place: Place, receiver: Receiver) -> None:
    config(place, receiver.url)
    says(place, *({"n": at} for at in range(6)))
    with place.started("work", "--until-idle") as one, place.started("work", "--until-idle") as two:
        assert [finished(each).code for each in (one, two)] == [0, 0]
    work(place)
    assert {message["status"] for message in messages(place)} == {"delivered"}
    assert len(place.events("outbox.delivered.v1")) == len(receiver.keys) == 6
    assert set(receiver.keys.values()) == {1}


# a program as the receiver


def test_a_program_gets_the_message_on_its_stdin_and_the_key_in_its_environment(place: Place) -> None:
    place.script("send", '#!/bin/sh\ncat > got; echo "$RT_MESSAGE_KEY $RT_TASK_ID $RT_RUN_ID" > told\n')
    config(place, "")
    text = (
        (place.folder / "rt.toml")
        .read_text()
        .replace('url = ""\nprivate = true', 'kind = "command"\nargv = ["./send"]')
    )
    place.config(text)
    says(place, {"text": "hello"})
    work(place)
    [message] = messages(place)
    assert json.loads((place.folder / "got").read_text()) == {"text": "hello"}
    assert (place.folder / "told").read_text().split() == [message["key"], message["task"], message["run"]]
    assert message["status"] == "delivered"


def test_a_program_that_fails_is_started_again(place: Place) -> None:
    place.script("send", "#!/bin/sh\necho x >> tries; [ $(wc -l < tries) = 2 ]\n")
    config(place, "", retry_s=0.01)
    text = (
        (place.folder / "rt.toml")
        .read_text()
        .replace('url = ""\nprivate = true', 'kind = "command"\nargv = ["./send"]')
    )
    place.config(text)
    says(place, {"text": "hello"})
    with place.started("work") as process:
        until(lambda: messages(place)[:1] and messages(place)[0]["status"] == "delivered")
        interrupt(process)
    assert [each["cause"] for each in place.events("outbox.failed.v1")] == ["exit:1"]


# what is not sent


def test_what_the_profile_does_not_allow_is_recorded_as_refused(place: Place, receiver: Receiver) -> None:
    """OU-9."""
    config(place, receiver.url, allowed="false")
    says(place, {"text": "a"}, {"text": "b"})
    work(place)
    [refused] = place.events("outbox.refused.v1")
    assert (refused["what"], refused["count"], "allows no external messages" in refused["reason"]) == (
        "message",
        2,
        True,
    )
    assert (receiver.came, messages(place)) == ([], [])
    assert place.task("@last")["status"] == "completed"


def test_a_message_to_nobody_is_refused_and_the_other_one_goes(place: Place, receiver: Receiver) -> None:
    config(place, receiver.url)
    says(place, {"target": "nowhere"}, {"text": "b"})
    work(place)
    assert len(receiver.came) == 1
    [refused] = place.events("outbox.refused.v1")
    assert "no destination 'nowhere'; configured: hook" in refused["reason"]


def test_a_secret_in_a_message_is_taken_out_before_it_is_stored(place: Place, receiver: Receiver) -> None:
    config(place, receiver.url, token_env="HOOK_TOKEN")  # noqa: S106  # the name of a variable
    text = (place.folder / "rt.toml").read_text()
    place.config(text.replace('command = "./helper"\n', 'command = "./helper"\ninherit_env = ["HOOK_TOKEN"]\n'))
    says(place, {"text": "SAY"}, text="sed -i s/SAY/$HOOK_TOKEN/ outcome")
    work(place, KEYS)
    [(headers, body)] = receiver.came
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN.encode() not in body
    assert TOKEN.encode() not in stored(place)


def test_a_held_message_waits_for_a_person(place: Place, receiver: Receiver) -> None:
    """OU-9."""
    config(place, receiver.url, hold=True)
    says(place, {"text": "a"})
    work(place)
    [message] = place.rows("outbox", "list", "--status", "held")
    assert receiver.came == []
    assert place.json("outbox", "retry", message["message"][:6], "--reason", "fine")["verb"] == "retry"
    work(place)
    assert (len(receiver.came), messages(place)[0]["status"]) == (1, "delivered")


def test_a_failed_message_is_sent_when_a_person_says_so(place: Place, receiver: Receiver) -> None:
    """It has as many attempts again."""
    config(place, receiver.url, attempts=1)
    says(place, {"text": "a"})
    receiver.answers = [(500, {}), (500, {})]
    for count in (1, 2):
        work(place)
        assert (messages(place)[0]["status"], messages(place)[0]["attempts"]) == ("failed", count)
        place.ok("outbox", "retry", messages(place)[0]["message"])
    work(place)
    assert (messages(place)[0]["status"], messages(place)[0]["attempts"]) == ("delivered", 3)


def test_a_dropped_message_is_never_sent(place: Place, receiver: Receiver) -> None:
    config(place, receiver.url, hold=True)
    says(place, {"text": "a"})
    work(place)
    message = messages(place)[0]["message"]
    place.ok("outbox", "drop", message, "--reason", "old news")
    work(place)
    assert (receiver.came, messages(place)[0]["status"]) == ([], "dropped")
    for verb in ("retry", "drop"):
        done = place.rt("outbox", verb, message, "--json")
        assert (done.code, done.error["code"], done.error["status"]) == (5, "outbox.refused", "dropped")


@pytest.mark.parametrize("given", ["nothing", "abc", "", "0000000000"])
def test_a_message_that_nobody_knows_is_not_found(place: Place, given: str) -> None:
    place.ok("init")
    done = place.rt("outbox", "show", given, "--json")
    assert (done.code, done.error["code"]) == (3, "outbox.not_found")


def test_a_destination_that_is_gone_fails_its_messages(place: Place, receiver: Receiver) -> None:
    config(place, receiver.url, hold=True)
    says(place, {"text": "a"})
    work(place)
    place.config("")
    place.ok("outbox", "retry", messages(place)[0]["message"])
    work(place)
    assert (messages(place)[0]["status"], messages(place)[0]["cause"]) == ("failed", "no_destination")


def test_the_list_has_the_newest_first_and_says_what_it_leaves_out(place: Place, receiver: Receiver) -> None:
    config(place, receiver.url, hold=True)
    says(place, *({"n": at} for at in range(3)))
    work(place)
    shown = place.rows("outbox", "list", "--limit", "2")
    assert [place.json("outbox", "show", each["message"])["content"] for each in shown] == [{"n": 2}, {"n": 1}]
    assert "1 older ones are not shown" in place.ok("outbox", "list", "--limit", "2").errors
