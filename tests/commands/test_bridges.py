"""`rt bridge`: what GitHub and Discord sent becomes a task once, and never a command (BR-1, BR-2)."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters import signatures
from commands import bridge_commands
from domain import errors
from tests.commands.place import Place

STORY: dict[str, Any] = {
    "event": "pull_request_merged", "repository": "o/r", "title": "Add it", "number": 7, "author": "ann",
    "url": "https://example.test/7", "merged": True, "summary": "What it does",
}  # fmt: skip
POST: dict[str, Any] = {"event": "message", "channel": "c", "author": "bob", "message": "why?", "message_id": "99"}
HOOK: dict[str, Any] = {
    "action": "opened",
    "repository": {"full_name": "o/r"},
    "sender": {"login": "ann"},
    "issue": {
        "title": "Broken",
        "number": 3,
        "user": {"login": "ann"},
        "html_url": "https://example.test/3",
        "body": "It",
    },
}
CONFIG = (
    'default_adapter = "helper"\n[adapters.helper]\ncommand = "./helper"\n[profiles.scribe]\nprogram = "one_shot"\n'
)


def ready(place: Place, more: str = "") -> Place:
    place.script("helper", '#!/bin/sh\necho \'{"status": "completed", "operator_summary": "s"}\'\n')
    return place.config(CONFIG + more)


def bridge(place: Place, name: str, document: dict[str, Any], *argv: str) -> dict[str, Any]:
    return place.json("bridge", name, json.dumps(document), *argv)


@pytest.mark.parametrize(
    ("name", "document", "expected"),
    [
        ("github", STORY, {"kind": "github-story", "source": "github-bridge", "priority": 7}),
        ("discord", POST, {"kind": "discord-reply", "source": "discord-bridge", "priority": 6}),
    ],
)
def test_the_short_form_becomes_a_task(
    place: Place, name: str, document: dict[str, Any], expected: dict[str, Any]
) -> None:
    """BR-1: the event is kept in the payload."""
    ready(place)
    answer = bridge(place, name, document)
    assert (answer["queued"], answer["bridge"], answer["deduplicated"], answer["conflict"]) == (
        True,
        name,
        False,
        False,
    )
    found = place.task(answer["task_id"])
    assert {key: found[key] for key in expected} == expected
    assert found["payload"]["event"] == document["event"]
    place.ok("work", "--until-idle")
    assert place.task(answer["task_id"])["status"] == "completed"
    place.ok("replay", "--all")


def test_the_profile_and_more_are_configured(place: Place) -> None:
    """BR-1."""
    ready(place, '[bridges.github]\nprofile = "scribe"\npriority = 2\nkind = "news"\n')
    answer = bridge(place, "github", STORY)
    found = place.task(answer["task_id"])
    assert (answer["profile"], found["profile"], found["kind"], found["priority"]) == ("scribe", "scribe", "news", 2)


@pytest.mark.parametrize(("name", "document"), [("github", STORY), ("discord", POST), ("github", HOOK)])
def test_a_redelivery_makes_no_second_task(place: Place, name: str, document: dict[str, Any]) -> None:
    """BR-2: also after the first one is over."""
    ready(place)
    first = bridge(place, name, document)
    place.ok("work", "--until-idle")
    head = place.head()
    again = bridge(place, name, document)
    assert (again["queued"], again["deduplicated"], again["task_id"]) == (True, True, first["task_id"])
    assert place.head() == head
    assert place.ok("bridge", name, json.dumps(document)).text.startswith("known: task ")


def test_a_redelivery_in_other_words_makes_no_second_task_and_says_so(place: Place) -> None:
    """BR-2: the title was edited meanwhile."""
    ready(place)
    first = bridge(place, "github", STORY)
    again = bridge(place, "github", STORY | {"title": "Add it, better"})
    assert (again["task_id"], again["deduplicated"], again["conflict"]) == (first["task_id"], True, True)
    assert place.head() == 1
    assert "differs from the first time" in place.ok("bridge", "github", json.dumps(STORY | {"title": "x"})).errors


def test_another_event_of_the_same_thing_is_another_task(place: Place) -> None:
    """BR-2."""
    ready(place)
    answers = [
        bridge(place, "github", STORY | fields)
        for fields in ({}, {"merged": False}, {"number": 8}, {"event": "opened"}, {"repository": "o/s"})
    ]
    assert len({answer["task_id"] for answer in answers}) == 5


def test_what_github_itself_sends_is_understood(place: Place) -> None:
    ready(place)
    answer = bridge(place, "github", HOOK, "--event", "issues")
    assert answer["event"] == "issues.opened"
    assert place.task(answer["task_id"])["payload"]["number"] == 3


def test_an_event_of_which_nothing_is_made_is_told_and_stores_nothing(place: Place) -> None:
    ready(place)
    answer = bridge(place, "github", {"zen": "z", "hook_id": 1}, "--event", "ping")
    assert (answer["queued"], answer["task_id"], bool(answer["ignored"])) == (False, None, True)
    assert place.head() == 0


BAD: list[tuple[str, str, str, str]] = [
    ("not JSON", "github", "{", "bridge.github"),
    ("a list", "github", "[]", "bridge.github"),
    ("no title", "github", json.dumps({key: value for key, value in STORY.items() if key != "title"}),
     "bridge.github.title"),
    ("a number that is none", "github", json.dumps(STORY | {"number": "7"}), "bridge.github.number"),
    ("nothing known", "discord", '{"a": 1}', "bridge.discord"),
    ("no message", "discord", json.dumps(POST | {"message": None}), "bridge.discord.message"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "given", "where"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_what_is_wrong_is_named_and_nothing_is_stored(place: Place, name: str, given: str, where: str) -> None:
    """BR-1."""
    ready(place)
    done = place.rt("bridge", name, given, "--json")
    assert done.code == 2, done
    assert done.error["where"].startswith(where)
    assert place.head() == 0


def test_text_of_a_stranger_never_becomes_a_command(place: Place) -> None:
    """OU-2b: where the task would be run by the built-in adapter, it is refused; keys of a stranger are dropped."""
    done = place.rt("bridge", "github", json.dumps(STORY | {"argv": ["touch", "pwned"]}), "--json")
    assert (done.code, done.error["where"]) == (2, "task.payload.argv")
    ready(place)
    answer = bridge(place, "github", STORY | {"argv": ["touch", "pwned"], "shell": "touch pwned"})
    assert not {"argv", "shell"} & place.task(answer["task_id"])["payload"].keys()
    place.ok("work", "--until-idle")
    assert not (place.folder / "pwned").exists()


def test_a_secret_in_a_payload_is_refused(place: Place) -> None:
    ready(place, '[secrets]\nenv = ["PASS"]\n')
    given = json.dumps(STORY | {"title": "hunter2hunter2"})
    done = place.rt("bridge", "github", given, "--json", env={"PASS": "hunter2hunter2"})
    assert (done.code, "registered secret" in done.error["why"], place.head()) == (2, True, 0)


# signatures


def test_with_a_secret_only_what_it_signed_is_taken(place: Place) -> None:
    ready(place, '[bridges.github]\nsecret_env = "HOOK_SECRET"\n')
    body = json.dumps(HOOK).encode()
    fits = "sha256=" + hmac.new(b"hush-hush", body, hashlib.sha256).hexdigest()
    argv = ("bridge", "github", "-", "--event", "issues", "--json")
    env = {"HOOK_SECRET": "hush-hush"}
    for words, given, variables in (
        ((), body, env),
        (("--signature", fits), body + b" ", env),
        (("--signature", fits), body, {}),
    ):
        refused = place.rt(*argv, *words, stdin=given, env=variables)
        assert (refused.code, refused.error["code"]) == (2, "rt.invalid"), refused
    assert not (place.state / "log.db").exists() or "task.queued.v1" not in place.topics()
    assert place.rt(*argv, "--signature", fits, stdin=body, env=env).document["queued"] is True


def test_with_a_public_key_only_what_its_owner_signed_is_taken(place: Place) -> None:
    key = Ed25519PrivateKey.generate()
    ready(place, f'[bridges.discord]\npublic_key = "{key.public_key().public_bytes_raw().hex()}"\n')
    body, stamp = json.dumps(POST).encode(), "1700000000"
    words = ("--timestamp", stamp, "--signature", key.sign(stamp.encode() + body).hex())
    assert place.rt("bridge", "discord", "-", stdin=body).code == 2
    assert place.rt("bridge", "discord", "-", *words, stdin=body + b" ").code == 2
    assert place.rt("bridge", "discord", "-", "--json", *words, stdin=body).document["queued"] is True


def test_without_the_library_of_a_signature_nothing_is_taken_and_its_name_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: object) -> bool:
        raise signatures.SignatureUnavailable("cryptography")

    monkeypatch.setattr(signatures, "discord", missing)
    with pytest.raises(errors.Invalid, match=r"cryptography.*extra 'discord'"):
        bridge_commands.is_discords("00" * 32, "1", b"{}", "00")


def test_a_signature_that_is_missing_is_told_so(place: Place) -> None:
    ready(place, f'[bridges.github]\nsecret_env = "HOOK"\n[bridges.discord]\npublic_key = "{"0" * 64}"\n')
    done = place.rt("bridge", "github", "--json", json.dumps(STORY), env={"HOOK": "s3cret-enough"})
    assert done.error["why"].startswith("is needed: bridges.github.secret_env is configured")
    done = place.rt("bridge", "discord", "--json", json.dumps(POST))
    assert done.error["why"].startswith("is needed and so is --timestamp: bridges.discord.public_key is configured")
