"""What becomes of a payload of GitHub or Discord: one task, the reason why there is none, or a refusal with its key."""

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import bridges, errors, intake
from domain.bridges import GOAL, QUESTION, Bridged
from domain.config import Config
from domain.work_config import BridgeConfig

PLAIN = BridgeConfig()

STORY: dict[str, Any] = {
    "event": "pull_request_merged",
    "repository": "octo/paint",
    "title": "Mix colors",
    "number": 12,
    "author": "ada",
    "url": "https://github.example/octo/paint/pull/12",
}
POST: dict[str, Any] = {"event": "message", "channel": "help", "author": "ada", "message": "Does it mix?"}

REPOSITORY = {"id": 7, "full_name": "octo/paint", "private": False}
ADA = {"login": "ada", "id": 1, "type": "User"}
BOB = {"login": "bob", "id": 2, "type": "User"}
BOT = {"login": "paint[bot]", "id": 3, "type": "Bot"}
SHA = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
DELETED = "0" * 40


def item(**more: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a stranger sends
    """A pull request, an issue or a discussion, as GitHub describes one."""
    about = {
        "number": 12,
        "title": "Mix colors",
        "html_url": "https://github.example/12",
        "user": ADA,
        "body": "Why not",
    }
    return about | {"state": "open", "node_id": "x"} | more


def hook(action: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a stranger sends
    return {"action": action, "repository": REPOSITORY, "sender": BOB} | more


def pull(action: str = "opened", **more: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of the pull request
    return hook(action, number=12, pull_request=item(**({"merged": False} | more)))


def issue(action: str = "opened", **more: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of the issue
    return hook(action, issue=item(**more))


def comment(action: str = "created", **more: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of the comment
    said = {"id": 99, "html_url": "https://github.example/12#99", "user": BOB, "body": "It does"} | more
    return hook(action, issue=item(), comment=said)


def discussion(action: str = "created") -> dict[str, Any]:
    return hook(action, discussion=item(category={"name": "General"}))


def release(action: str = "published", **more: Any) -> dict[str, Any]:  # noqa: ANN401  # fields of the release
    about = {"id": 5, "tag_name": "v1.0", "html_url": "https://github.example/v1.0", "name": None, "body": None}
    return hook(action, release=about | {"author": ADA} | more)


def push(**more: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a stranger sends
    commits = [{"id": SHA, "message": "Mix colors\n\nAll of them."}, {"id": "abc", "message": ""}]
    about = {"ref": "refs/heads/main", "before": "b" * 40, "after": SHA, "deleted": False, "commits": commits}
    about |= {"compare": "https://github.example/compare", "head_commit": commits[0], "pusher": {"name": "bob"}}
    return about | {"repository": REPOSITORY, "sender": BOB} | more


PING = {"zen": "Keep it simple.", "hook_id": 1, "hook": {"type": "Repository"}, "repository": REPOSITORY}


def message(**more: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a stranger sends
    """A message as a bot forwards it."""
    author = {"id": "4", "username": "ada", "global_name": "Ada"}
    return {"id": "1001", "channel_id": "55", "author": author, "content": "Does it mix?", "type": 0} | more


def interaction(kind: int = 2, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a stranger sends
    data = {"id": "8", "name": "ask", "options": [{"name": "question", "type": 3, "value": "Does it mix?"}]}
    about = {"id": "2002", "application_id": "3", "type": kind, "token": "opens-the-conversation", "version": 1}
    return about | {"channel_id": "55", "member": {"user": {"id": "4", "username": "ada"}}, "data": data} | more


def webhook(name: str, **data: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a stranger sends
    event = {"type": name, "timestamp": "2026-01-01T00:00:00Z", "data": data}
    return {"version": 1, "application_id": "3", "type": 1, "event": event}


def github(document: object, config: BridgeConfig = PLAIN, event: str = "") -> dict[str, Any]:
    made = bridges.github(document, config, event=event)
    assert made.task is not None, made.ignored
    return made.task


def discord(document: object, config: BridgeConfig = PLAIN) -> dict[str, Any]:
    made = bridges.discord(document, config)
    assert made.task is not None, made.ignored
    return made.task


# the short forms


def test_br1_a_short_story_is_a_task_with_its_event_in_the_payload() -> None:
    made = bridges.github(STORY, PLAIN)
    assert made.task is not None
    key = made.task.pop("idempotency_key")
    assert key.startswith("github:")
    assert made == Bridged(
        event="pull_request_merged",
        task={
            "kind": "github-story",
            "source": "github-bridge",
            "priority": 7,
            "subject": "octo/paint#12: Mix colors",
            "description": QUESTION,
            "payload": STORY | {"merged": False, "summary": "", "operator_question": QUESTION},
        },
    )


def test_br1_a_short_post_is_a_task_with_its_event_in_the_payload() -> None:
    made = bridges.discord(POST, PLAIN)
    assert made.task is not None
    key = made.task.pop("idempotency_key")
    assert key.startswith("discord:digest:")
    assert made == Bridged(
        event="message",
        task={
            "kind": "discord-reply",
            "source": "discord-bridge",
            "priority": 6,
            "subject": "ada in help: Does it mix?",
            "description": GOAL,
            "payload": POST | {"reply_style": "short", "operator_goal": GOAL},
        },
    )


def test_br1_what_the_short_forms_say_is_kept() -> None:
    said = {"merged": True, "summary": "All of them.", "operator_question": "Is it safe?"}
    assert github(STORY | said)["payload"] == STORY | said
    said_too = {"reply_style": "long", "operator_goal": "Calm down."}
    assert discord(POST | said_too)["payload"] == POST | said_too


@pytest.mark.parametrize("nothing", [{}, {"operator_question": None, "operator_goal": None}, {"operator_question": ""}])
def test_a_question_comes_from_the_document_then_the_configuration_then_from_us(nothing: dict[str, Any]) -> None:
    config = BridgeConfig(question="Who asks?", goal="Be kind.")
    assert github(STORY | nothing, config)["payload"]["operator_question"] == "Who asks?"
    assert discord(POST | nothing, config)["payload"]["operator_goal"] == "Be kind."
    assert github(STORY | {"operator_question": "Mine?"}, config)["description"] == "Mine?"
    assert discord(POST | {"operator_goal": "Mine."}, config)["description"] == "Mine."


def test_unknown_keys_are_left_out() -> None:
    """So that nobody puts a command, a file or a skill into a payload."""
    strange = {"argv": ["rm"], "goal": "obey", "context": {}, "kind": "x", "requested_profile": "root", "payload": {}}
    assert github(STORY | strange) == github(STORY)
    assert discord(POST | strange) == discord(POST)
    assert github(pull() | strange | {"event": "push"}) == github(pull())
    assert discord(message(**strange)) == discord(message())


def test_only_the_short_forms_bring_a_question_or_a_goal() -> None:
    orders = {"operator_question": "Obey?", "operator_goal": "Obey.", "reply_style": "obedient"}
    assert github(issue(**orders) | orders) == github(issue())
    assert discord(message(**orders)) == discord(message())
    assert discord(interaction() | orders) == discord(interaction())


@pytest.mark.parametrize(
    ("more", "where", "why"),
    [
        ({"event": " "}, "event", "is blank"),
        ({"repository": ""}, "repository", "is blank"),
        ({"repository": 5}, "repository", "expected a string, got int"),
        ({"repository": None}, "repository", "is missing"),
        ({"repository": "r" * 301}, "repository", "301 characters; at most 300"),
        ({"title": None}, "title", "is missing"),
        ({"title": "\n"}, "title", "is blank"),
        ({"title": ["a"]}, "title", "expected a string, got list"),
        ({"title": "t" * 1_000_001}, "title", "at most 1000000"),
        ({"title": "a\0b"}, "title", "NUL"),
        ({"title": "a\ud800b"}, "title", "lone surrogate"),
        ({"number": "12"}, "number", "expected a whole number, got str"),
        ({"number": 1.5}, "number", "expected a whole number, got float"),
        ({"number": True}, "number", "expected a whole number, got bool"),
        ({"number": -1}, "number", "from 0 to"),
        ({"number": 2**53}, "number", "from 0 to"),
        ({"author": {}}, "author", "expected a string, got dict"),
        ({"author": "a" * 301}, "author", "at most 300"),
        ({"url": "u" * 2_001}, "url", "at most 2000"),
        ({"merged": "yes"}, "merged", "expected true or false, got str"),
        ({"merged": 1}, "merged", "expected true or false, got int"),
        ({"summary": 5}, "summary", "expected a string, got int"),
        ({"summary": "s" * 1_000_001}, "summary", "at most 1000000"),
        ({"operator_question": "q" * 2_001}, "operator_question", "at most 2000"),
    ],
)
def test_br1_a_wrong_story_is_refused_with_its_key_and_rule(more: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        bridges.github(STORY | more, PLAIN)
    assert refusal.value.fields["where"] == f"bridge.github.{where}"
    assert why in str(refusal.value.fields["why"])


@pytest.mark.parametrize(
    ("more", "where", "why"),
    [
        ({"event": ""}, "event", "is blank"),
        ({"channel": None}, "channel", "is missing"),
        ({"channel": 5}, "channel", "expected a string, got int"),
        ({"author": "a" * 301}, "author", "at most 300"),
        ({"message": " "}, "message", "is blank"),
        ({"message": {}}, "message", "expected a string, got dict"),
        ({"message": "m" * 1_000_001}, "message", "at most 1000000"),
        ({"message": "a\0b"}, "message", "NUL"),
        ({"reply_style": []}, "reply_style", "expected a string, got list"),
        ({"operator_goal": "g" * 2_001}, "operator_goal", "at most 2000"),
        ({"message_id": -1}, "message_id", "expected a string, got int"),
        ({"message_id": 2**64}, "message_id", "expected a string, got int"),
        ({"message_id": "i" * 301}, "message_id", "at most 300"),
    ],
)
def test_br1_a_wrong_post_is_refused_with_its_key_and_rule(more: dict[str, Any], where: str, why: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        bridges.discord(POST | more, PLAIN)
    assert refusal.value.fields["where"] == f"bridge.discord.{where}"
    assert why in str(refusal.value.fields["why"])


@pytest.mark.parametrize("name", STORY)
def test_br1_a_story_lacks_no_required_key(name: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        bridges.github({key: said for key, said in STORY.items() if key != name}, PLAIN)
    assert refusal.value.fields["where"] == f"bridge.github.{name}"


@pytest.mark.parametrize("name", ["event", "channel", "author", "message"])
def test_br1_a_post_lacks_no_required_key(name: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        bridges.discord({key: said for key, said in POST.items() if key != name}, PLAIN)
    assert refusal.value.fields["where"] == f"bridge.discord.{name}"


@pytest.mark.parametrize("document", [None, 5, "text", [STORY], True])
def test_a_document_is_an_object(document: object) -> None:
    with pytest.raises(errors.Invalid, match=r"bridge\.github: expected an object"):
        bridges.github(document, PLAIN)
    with pytest.raises(errors.Invalid, match=r"bridge\.discord: expected an object"):
        bridges.discord(document, PLAIN)


# what GitHub sends


@pytest.mark.parametrize(
    ("document", "event", "told"),
    [
        (pull("opened"), "pull_request.opened", {"number": 12, "author": "ada", "merged": False}),
        (pull("closed", merged=True), "pull_request.closed", {"merged": True, "summary": "Why not"}),
        (pull("reopened", body=None), "pull_request.reopened", {"summary": "", "action": "reopened"}),
        (pull("ready_for_review", user=None), "pull_request.ready_for_review", {"author": "ghost"}),
        (issue("opened"), "issues.opened", {"title": "Mix colors", "url": "https://github.example/12"}),
        (issue("closed"), "issues.closed", {"merged": False, "sender": "bob"}),
        (issue("reopened"), "issues.reopened", {"number": 12}),
        (comment(), "issue_comment.created", {"author": "bob", "summary": "It does", "comment_id": 99, "number": 12}),
        (discussion(), "discussion.created", {"number": 12, "title": "Mix colors", "summary": "Why not"}),
        (release(), "release.published", {"title": "v1.0", "tag": "v1.0", "release_id": 5, "author": "ada"}),
        (release(name="One", body="New"), "release.published", {"title": "One", "summary": "New"}),
        (push(), "push", {"title": "main: Mix colors", "author": "bob", "summary": "6dcb09b Mix colors\nabc "}),
        (push(ref="refs/tags/v1", head_commit=None, commits=[]), "push", {"title": "tags/v1: 0 commits"}),
        (push(pusher=None, compare=None), "push", {"author": "bob", "url": ""}),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_an_event_of_github_is_a_task_by_its_header_and_by_its_keys(
    document: dict[str, Any], event: str, told: dict[str, Any]
) -> None:
    name = event.partition(".")[0]
    made = bridges.github(document, PLAIN, event=name)
    assert made == bridges.github(document, PLAIN)
    assert made.task is not None
    payload = made.task["payload"]
    assert made.event == event
    assert payload["event"] == name  # BR-1
    assert payload["repository"] == "octo/paint"
    assert payload["operator_question"] == QUESTION
    assert {key: payload[key] for key in told} == told
    assert (made.task["kind"], made.task["source"], made.task["priority"]) == ("github-story", "github-bridge", 7)


@pytest.mark.parametrize(
    ("document", "event", "why"),
    [
        (PING, "ping", "listens"),
        (pull("labeled"), "pull_request.labeled", "this action"),
        (pull("synchronize"), "pull_request.synchronize", "this action"),
        (issue("deleted"), "issues.deleted", "this action"),
        (comment("edited"), "issue_comment.edited", "this action"),
        (comment(user=BOT), "issue_comment.created", "a bot"),
        (discussion("answered"), "discussion.answered", "this action"),
        (release("created"), "release.created", "this action"),
        (push(after=DELETED), "push", "deleted"),
        (push(deleted=True), "push", "deleted"),
        (pull("submitted") | {"review": {}}, "pull_request_review", "this event"),
        (pull("created") | {"comment": {}}, "pull_request_review_comment", "this event"),
        (discussion("created") | {"comment": {}}, "discussion_comment", "this event"),
    ],
)
def test_nothing_is_made_of_what_is_no_news(document: dict[str, Any], event: str, why: str) -> None:
    made = bridges.github(document, PLAIN)
    assert (made.event, made.task) == (event, None)
    assert why in made.ignored


def test_nothing_is_made_of_an_event_that_only_the_header_names() -> None:
    made = bridges.github(hook("created"), PLAIN, event="star")
    assert (made.event, made.task, made.ignored) == ("star", None, "no task is made of this event")


def test_a_pull_request_of_a_bot_is_a_story_all_the_same() -> None:
    """Only what may be our own answer is left out."""
    assert github(pull(user=BOT))["payload"]["author"] == "paint[bot]"


@pytest.mark.parametrize(
    ("document", "event", "where"),
    [
        ({}, "", "event"),
        (hook("opened"), "", "event"),
        (hook("opened"), "issues", "issue"),
        (hook("opened", issue=[]), "issues", "issue"),
        (issue() | {"action": None}, "issues", "action"),
        (issue() | {"action": 5}, "issues", "action"),
        (issue() | {"repository": None}, "issues", "repository"),
        (issue() | {"repository": {"full_name": 5}}, "issues", "repository.full_name"),
        (issue() | {"sender": {"login": 5}}, "issues", "sender.login"),
        (issue(number=None), "", "issue.number"),
        (issue(title=5), "", "issue.title"),
        (issue(html_url=None), "", "issue.html_url"),
        (issue(user="ada"), "", "issue.user"),
        (issue(body=5), "", "issue.body"),
        (pull(merged="no"), "", "pull_request.merged"),
        (comment(id="99"), "", "comment.id"),
        (comment(user=5), "", "comment.user"),
        (comment() | {"issue": {}}, "", "issue.number"),
        (release(tag_name=" "), "", "release.tag_name"),
        (release(id=None), "", "release.id"),
        (push(ref=None), "", "ref"),
        (push(after=5), "", "after"),
        (push(commits={}), "", "commits"),
        (push(commits=[{"id": "a", "message": "b"}, 5]), "", "commits[1]"),
        (push(commits=[{"id": "a", "message": 5}]), "", "commits[0].message"),
        (push(head_commit=[]), "", "head_commit"),
        (issue(), "e" * 301, "event"),
    ],
)
def test_br1_a_wrong_event_of_github_is_refused_with_the_path_of_its_key(
    document: dict[str, Any], event: str, where: str
) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        bridges.github(document, PLAIN, event=event)
    assert refusal.value.fields["where"] == f"bridge.github.{where}"


# what Discord sends


def test_a_message_is_a_task_that_keeps_where_it_came_from() -> None:
    made = bridges.discord(message(), PLAIN)
    assert made.event == "message"
    assert made.task is not None
    assert made.task["payload"] == {
        "event": "message",
        "channel": "55",
        "author": "ada",
        "message": "Does it mix?",
        "message_id": "1001",
        "reply_style": "short",
        "operator_goal": GOAL,
    }
    assert made.task["idempotency_key"] == "discord:message:1001"


def test_some_programs_write_ids_as_integers() -> None:
    assert discord(message(id=1001, channel_id=55)) == discord(message())
    assert discord(message(id=2**64 - 1))["payload"]["message_id"] == "18446744073709551615"


@pytest.mark.parametrize(
    ("document", "action", "said"),
    [
        (interaction(), "command", "/ask\nquestion: Does it mix?"),
        (interaction(data={"name": "mix"}), "command", "/mix"),
        (
            interaction(data={"name": "a", "options": [{"name": "b", "options": [{"name": "c", "value": 5}]}]}),
            "command",
            "/a\nb\nc: 5",
        ),
        (
            interaction(data={"name": "a", "options": [{"name": "b", "value": False}, {"name": "c", "value": 0.5}]}),
            "command",
            "/a\nb: false\nc: 0.5",
        ),
        (interaction(3, data={"custom_id": "yes", "component_type": 2}), "component", "yes"),
        (interaction(3, data={"custom_id": "color", "values": ["red", "blue"]}), "component", "color: red, blue"),
        (
            interaction(
                5, data={"custom_id": "form", "components": [{"components": [{"custom_id": "a", "value": "b"}]}]}
            ),
            "modal",
            "form\na: b",
        ),
        (
            interaction(
                5, data={"custom_id": "form", "components": [{"component": {"custom_id": "a", "values": ["b"]}}]}
            ),
            "modal",
            "form\na: b",
        ),
    ],
)
def test_an_interaction_is_a_task_with_what_was_said_in_words(document: dict[str, Any], action: str, said: str) -> None:
    made = bridges.discord(document, PLAIN)
    assert made.event == f"interaction.{action}"
    assert made.task is not None
    payload = made.task["payload"]
    assert (payload["event"], payload["action"], payload["message"]) == ("interaction", action, said)
    assert (payload["channel"], payload["author"], payload["interaction_id"]) == ("55", "ada", "2002")
    assert made.task["idempotency_key"] == "discord:interaction:2002"


def test_an_interaction_in_a_direct_message_names_its_user_elsewhere() -> None:
    alone = interaction(member=None, user={"username": "ada"})
    assert discord(alone) == discord(interaction())


def test_the_token_of_an_interaction_is_nowhere() -> None:
    assert "opens-the-conversation" not in repr(bridges.discord(interaction(), PLAIN))


@pytest.mark.parametrize("name", ["LOBBY_MESSAGE_CREATE", "GAME_DIRECT_MESSAGE_CREATE"])
def test_a_webhook_event_that_brings_a_message_is_a_task(name: str) -> None:
    made = bridges.discord(webhook(name, **message()), PLAIN)
    assert made.event == name
    assert made.task is not None
    assert (made.task["payload"]["event"], made.task["payload"]["message"]) == (name, "Does it mix?")
    assert made.task["idempotency_key"] == "discord:message:1001"


@pytest.mark.parametrize(
    ("document", "event", "why"),
    [
        ({"type": 1}, "ping", "listens"),
        (interaction(1), "ping", "listens"),
        ({"type": 0, "version": 1, "application_id": "3"}, "ping", "listens"),
        (interaction(4), "interaction.4", "this kind"),
        (webhook("APPLICATION_AUTHORIZED", user={}), "APPLICATION_AUTHORIZED", "no message"),
        (message(author={"username": "paint", "bot": True}), "message", "a bot"),
        (message(webhook_id="7"), "message", "a bot"),
        (webhook("LOBBY_MESSAGE_CREATE", **message(author={"bot": True})), "LOBBY_MESSAGE_CREATE", "a bot"),
        (message(content=""), "message", "without a text"),
        (message(content=None), "message", "without a text"),
    ],
)
def test_nothing_is_made_of_what_needs_no_reply(document: dict[str, Any], event: str, why: str) -> None:
    made = bridges.discord(document, PLAIN)
    assert (made.event, made.task) == (event, None)
    assert why in made.ignored


@pytest.mark.parametrize(
    ("document", "where"),
    [
        ({}, "event"),
        (message(author="ada"), "author"),
        (message(author={}), "author.username"),
        (message(author={"username": "a", "bot": "no"}), "author.bot"),
        (message(id=None), "id"),
        (message(channel_id=[]), "channel_id"),
        (message(content=5), "content"),
        ({"type": "2"}, "type"),
        ({"type": 2**60}, "type"),
        (interaction(data=None), "data"),
        (interaction(data={}), "data.name"),
        (interaction(3, data={"name": "x"}), "data.custom_id"),
        (interaction(member={}), "member.user"),
        (interaction(member=None), "user"),
        (interaction(channel_id=None), "channel_id"),
        (interaction(data={"name": "a", "options": [5]}), "data.options[0]"),
        (interaction(data={"name": "a", "options": [{"name": "b", "value": {}}]}), "data.options[0].value"),
        (interaction(data={"name": "a", "options": [{"name": "b", "value": 10**5000}]}), "data.options[0].value"),
        (interaction(3, data={"custom_id": "a", "values": "b"}), "data.values"),
        (webhook("LOBBY_MESSAGE_CREATE"), "event.data.author"),
        ({"event": {}}, "event.type"),
        ({"event": {"type": "LOBBY_MESSAGE_CREATE"}}, "event.data"),
    ],
)
def test_br1_a_wrong_payload_of_discord_is_refused_with_the_path_of_its_key(
    document: dict[str, Any], where: str
) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        bridges.discord(document, PLAIN)
    assert refusal.value.fields["where"] == f"bridge.discord.{where}"


def test_a_form_is_read_eight_levels_deep_and_refused_beyond() -> None:
    def nested(levels: int) -> dict[str, Any]:
        data: dict[str, Any] = {"custom_id": "last", "value": "x"}
        for _ in range(levels):
            data = {"custom_id": "row", "components": [data]}
        return interaction(5, data=data)

    assert discord(nested(8))["payload"]["message"].endswith("last: x")
    for levels in (9, 5_000):
        with pytest.raises(errors.Invalid, match="nested deeper than 8"):
            bridges.discord(nested(levels), PLAIN)


# BR-2


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (STORY, STORY | {"repository": "octo/ink"}),
        (STORY, STORY | {"number": 13}),
        (STORY, STORY | {"event": "pull_request_opened"}),
        (STORY, STORY | {"merged": True}),
        (pull("opened"), pull("closed")),
        (pull("closed"), pull("closed", merged=True)),
        (pull("opened"), pull("opened", number=13)),
        (pull("opened"), issue("opened")),
        (issue("closed"), issue("reopened")),
        (issue(), issue() | {"repository": {"full_name": "octo/ink"}}),
        (comment(), comment(id=100)),
        (release(), release(id=6)),
        (push(), push(after="a" * 40)),
        (push(), push(ref="refs/heads/next")),
    ],
)
def test_br2_other_news_of_github_has_another_key(first: dict[str, Any], other: dict[str, Any]) -> None:
    assert github(first)["idempotency_key"] != github(other)["idempotency_key"]


@pytest.mark.parametrize(
    ("first", "again"),
    [
        (
            STORY,
            STORY | {"title": "Mix all colors", "url": "https://elsewhere.example", "summary": "x", "author": "bob"},
        ),
        (STORY, STORY | {"merged": False}),
        (pull("opened"), pull("opened", title="Mix all colors")),
        (comment(), comment(body="It does not")),
    ],
)
def test_br2_the_same_news_of_github_has_the_same_key(first: dict[str, Any], again: dict[str, Any]) -> None:
    assert github(first)["idempotency_key"] == github(again)["idempotency_key"]


@pytest.mark.parametrize("document", [STORY, pull(), comment(), push()])
def test_br2_a_redelivery_is_the_same_task_whatever_its_number(document: dict[str, Any]) -> None:
    first = bridges.github(document, PLAIN, delivery="72d3162e")
    again = bridges.github(document, PLAIN, delivery="81a0b9cc")
    assert first.task is not None
    assert first.task == again.task
    assert (first.delivery, again.delivery) == ("72d3162e", "81a0b9cc")


def test_br2_a_post_is_known_by_its_id_or_else_by_what_it_says() -> None:
    assert discord(POST | {"message_id": "1001"})["idempotency_key"] == discord(message())["idempotency_key"]
    key = discord(POST)["idempotency_key"]
    assert discord(POST | {"reply_style": "long"})["idempotency_key"] == key
    for name in ("channel", "author", "message"):
        assert discord(POST | {name: "other"})["idempotency_key"] != key
    assert discord(POST | {"channel": "help ada"})["idempotency_key"] != discord(POST | {"author": "ada help"})


def test_br2_a_message_and_an_interaction_of_one_id_are_two() -> None:
    assert discord(message(id="1"))["idempotency_key"] != discord(interaction(id="1"))["idempotency_key"]


def test_br2_two_long_posts_that_differ_beyond_the_cut_are_two() -> None:
    long = "m" * 30_000
    assert discord(POST | {"message": long})["idempotency_key"] != discord(POST | {"message": f"{long}."})


# bounds


@pytest.mark.parametrize(("name", "most"), [("title", 500), ("summary", 20_000)])
def test_a_text_is_kept_up_to_its_bound_and_cut_visibly_above(name: str, most: int) -> None:
    assert github(STORY | {name: "t" * most})["payload"][name] == "t" * most
    cut = github(STORY | {name: "t" * (most + 1)})["payload"][name]
    kept, _, note = cut.partition(" ")
    assert len(cut) <= most
    assert note == f"[… {most + 1 - len(kept)} more characters]"


def test_a_message_is_cut_where_a_summary_is() -> None:
    assert discord(message(content="m" * 20_000))["payload"]["message"] == "m" * 20_000
    assert discord(message(content="m" * 999_999))["payload"]["message"].endswith("more characters]")


def test_the_commits_of_a_push_are_cut_like_any_summary() -> None:
    many = push(commits=[{"id": SHA, "message": "Mix colors"}] * 2_048)
    assert github(many)["payload"]["summary"].endswith("more characters]")


def test_a_subject_is_one_line_of_at_most_500_characters() -> None:
    subject = github(STORY | {"title": "Mix\n\ncolors " * 100})["subject"]
    assert subject.startswith("octo/paint#12: Mix colors Mix colors")
    assert len(subject) <= 500
    assert "\n" not in subject


# configuration


@pytest.mark.parametrize(
    ("events", "document", "wanted"),
    [
        ((), pull("closed"), True),
        (("pull_request",), pull("closed"), True),
        (("pull_request.closed",), pull("closed"), True),
        (("pull_request.merged",), pull("closed"), False),
        (("pull_request.merged",), pull("closed", merged=True), True),
        (("pull_request.opened", "issues"), pull("closed"), False),
        (("issues",), pull("closed"), False),
        (("push",), push(), True),
        (("pull_request.labeled",), pull("labeled"), False),
        (("pull_request_merged",), STORY, True),
        (("pull_request",), STORY, False),
    ],
)
def test_events_of_github_that_the_bridge_does_not_name_are_left_out(
    events: tuple[str, ...], document: dict[str, Any], *, wanted: bool
) -> None:
    made = bridges.github(document, BridgeConfig(events=events))
    assert (made.task is not None) == wanted
    assert bool(made.ignored) != wanted


@pytest.mark.parametrize(
    ("events", "document", "wanted"),
    [
        (("message",), message(), True),
        (("message",), POST, True),
        (("message",), interaction(), False),
        (("interaction",), interaction(), True),
        (("interaction.command",), interaction(), True),
        (("interaction.modal",), interaction(), False),
        (("LOBBY_MESSAGE_CREATE",), webhook("LOBBY_MESSAGE_CREATE", **message()), True),
    ],
)
def test_events_of_discord_that_the_bridge_does_not_name_are_left_out(
    events: tuple[str, ...], document: dict[str, Any], *, wanted: bool
) -> None:
    made = bridges.discord(document, BridgeConfig(events=events))
    assert (made.task is not None) == wanted
    assert bool(made.ignored) != wanted


def test_br1_the_configuration_says_who_does_it_and_how_urgent_it_is() -> None:
    config = BridgeConfig(profile="writer", adapter="codex", kind="news", priority=0)
    said = {"requested_profile": "writer", "requested_adapter": "codex", "kind": "news", "priority": 0}
    for task in (github(STORY, config), github(pull(), config), discord(POST, config), discord(message(), config)):
        assert {name: task[name] for name in said} == said
        assert task["source"] in ("github-bridge", "discord-bridge")


def test_nobody_is_named_where_the_configuration_names_nobody() -> None:
    for task in (github(STORY), github(pull()), discord(POST), discord(message())):
        assert not {"requested_profile", "requested_adapter", "thread"} & set(task)


# whatever comes


WHOLE = [STORY, POST, pull(), issue(), comment(), discussion(), release(), push(), message(), interaction()]
KEYS = st.sampled_from(sorted(set(re.findall(r'"(\w+)":', json.dumps(WHOLE)))))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["opened", "\0", "\ud800"])
)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=8))


@st.composite
def almost_right(draw: st.DrawFn) -> object:
    """A good document in which one thing, anywhere, is something else or gone."""
    document = json.loads(json.dumps(draw(st.sampled_from(WHOLE))))
    inside = document
    while True:
        names = list(inside) if isinstance(inside, dict) else list(range(len(inside)))
        name = draw(st.sampled_from(names))
        if isinstance(inside[name], dict | list) and inside[name] and draw(st.booleans()):
            inside = inside[name]
            continue
        if draw(st.booleans()):
            inside[name] = draw(DOCUMENTS)
        else:
            del inside[name]
        return document


def check(made: Bridged) -> None:
    """Either a task that the intake accepts as it is, or a reason."""
    assert bool(made.ignored) == (made.task is None)
    msgspec.json.encode(made)
    if made.task is not None:
        accepted = intake.accept(made.task, Config(default_adapter="agent"), 0)
        assert accepted.ignored_keys == ()
        assert accepted.key


@pytest.mark.parametrize("service", ["github", "discord"])
@given(document=DOCUMENTS | almost_right(), event=st.sampled_from(["", "issues", "push", "ping"]) | st.text())
def test_a_document_becomes_a_task_or_is_ignored_or_is_refused_and_nothing_else(
    service: str, document: object, event: str
) -> None:
    try:
        github = service == "github"
        made = bridges.github(document, PLAIN, event=event) if github else bridges.discord(document, PLAIN)
    except errors.Invalid as refusal:
        assert str(refusal.fields["where"]).startswith(f"bridge.{service}")  # noqa: PT017  # either end is right
    else:
        check(made)


@pytest.mark.parametrize("document", WHOLE)
def test_the_intake_accepts_every_task_as_it_is(document: dict[str, Any]) -> None:
    made = bridges.github(document, PLAIN) if "repository" in document else bridges.discord(document, PLAIN)
    assert made.task is not None
    check(made)
