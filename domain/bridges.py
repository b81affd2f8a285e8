"""Payloads of GitHub and Discord become task inputs; what strangers wrote in them is data and sets nothing else.

Two forms come in: a short document that a program of one's own wrote, and what the service itself sends. Only the short
one may bring a question or a goal: whoever writes a title or a message gives no orders.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from domain import errors
from domain.bounds import (
    BRIDGE_BODY_CHARS_MAX,
    BRIDGE_FORM_DEPTH_MAX,
    BRIDGE_NAME_CHARS_MAX,
    BRIDGE_TEXT_CHARS_MAX,
    BRIDGE_TITLE_CHARS_MAX,
    BRIDGE_URL_CHARS_MAX,
    NUMBER_MAX,
    REASON_CHARS_MAX,
    SUBJECT_CHARS_MAX,
)
from domain.intake import check_text
from domain.work_config import BridgeConfig

QUESTION: Final = "What happened here, why does it matter to this project, and does anything have to be done about it?"
GOAL: Final = "Write an answer to this message that helps its author; say plainly what is not known."
REPLY_STYLE: Final = "short"

_CUT = {"title": BRIDGE_TITLE_CHARS_MAX, "summary": BRIDGE_BODY_CHARS_MAX, "message": BRIDGE_BODY_CHARS_MAX}
_GITHUB = {"kind": "github-story", "source": "github-bridge", "priority": 7}
_DISCORD = {"kind": "discord-reply", "source": "discord-bridge", "priority": 6}
_SHA_CHARS = 7
_NOBODY = "ghost"  # what GitHub itself calls whoever deleted the account
_PING = "it only asks whether somebody listens"


class Bridged(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a payload: a task input, or the reason why nothing is made of it."""

    event: str  # as the configuration's `events` name it
    task: dict[str, Any] | None = None
    ignored: str = ""
    delivery: str = ""  # the service's name for this delivery; the task does not depend on it (BR-2)


_T = TypeVar("_T")
_KINDS = {str: "a string", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}


class _Reader(NamedTuple):
    """An object of the payload, and its path. Null is the same as left out. Raises Invalid, naming key and rule."""

    where: str
    found: dict[str, Any]

    def has(self, name: str) -> bool:
        return self.found.get(name) is not None

    def value(self, name: str, kind: type[_T], default: _T | None = None) -> _T:
        value = self.found[name] if self.has(name) else default
        if value is None:
            raise self.refusal(name, "is missing")
        if type(value) is not kind:  # a bool is no number
            raise self.refusal(name, f"expected {_KINDS[kind]}, got {type(value).__name__}")
        return value

    def text(self, name: str, default: str | None = None, *, most: int = BRIDGE_NAME_CHARS_MAX) -> str:
        """A string; what has to be there has to say something."""
        text = self.value(name, str, default)
        if len(text) > most:
            raise self.refusal(name, f"{len(text)} characters; at most {most}")
        if default is None and not text.strip():
            raise self.refusal(name, "is blank")
        check_text(text, f"{self.where}.{name}")
        return text

    def prose(self, name: str, default: str | None = None) -> str:
        """A string that will be cut."""
        return self.text(name, default, most=BRIDGE_TEXT_CHARS_MAX)

    def number(self, name: str) -> int:
        number = self.value(name, int)
        if not 0 <= number <= NUMBER_MAX:
            raise self.refusal(name, f"expected a number from 0 to {NUMBER_MAX}")
        return number

    def id(self, name: str) -> str:
        """An id of Discord: a string, or the integer of 64 bits that some programs make of it."""
        value = self.found.get(name)
        return str(value) if type(value) is int and 0 <= value < 2**64 else self.text(name)

    def at(self, name: str, default: dict[str, Any] | None = None) -> "_Reader":
        """The object under a key."""
        return _Reader(f"{self.where}.{name}", self.value(name, dict, default))

    def each(self, name: str) -> list["_Reader"]:
        """The objects in a list; none where there is no list."""
        items = enumerate(self.value(name, list, []))
        return [_whole(item, f"{self.where}.{name}[{at}]") for at, item in items]

    def login(self, name: str) -> str:
        """A user of GitHub."""
        return self.at(name, {}).text("login", "") or _NOBODY

    def refusal(self, name: str, why: str) -> errors.Invalid:
        return errors.Invalid(where=f"{self.where}.{name}", why=why)


def _whole(document: object, where: str) -> _Reader:
    if not isinstance(document, dict):
        raise errors.Invalid(where=where, why=f"expected an object, got {type(document).__name__}")
    return _Reader(where, document)


# GitHub


def github(document: object, config: BridgeConfig, *, event: str = "", delivery: str = "") -> Bridged:
    """The task that a payload of GitHub asks for. `event` and `delivery` are headers of its webhooks.

    Raises Invalid, whose `where` begins with bridge.github.
    """
    found = _whole(document, "bridge.github")
    headers = _Reader(found.where, {"event": event, "delivery": delivery})
    if isinstance(found.found.get("event"), str) and not isinstance(found.found.get("repository"), dict):
        made = _story(found, config)
    else:
        made = _hook(found, config, headers.text("event", "") or _recognized(found))
    return msgspec.structs.replace(made, delivery=headers.text("delivery", ""))


def _story(found: _Reader, config: BridgeConfig) -> Bridged:
    """The short form."""
    payload: dict[str, Any] = {
        "event": found.text("event"),
        "repository": found.text("repository"),
        "title": found.prose("title"),
        "number": found.number("number"),
        "author": found.text("author"),
        "url": found.text("url", most=BRIDGE_URL_CHARS_MAX),
        "merged": found.value("merged", bool, default=False),
        "summary": found.prose("summary", ""),
    }
    question = found.text("operator_question", "", most=REASON_CHARS_MAX)
    return _about(payload, config, question, payload["event"], ("repository", "number", "event", "merged"))


def _hook(found: _Reader, config: BridgeConfig, name: str) -> Bridged:
    """What GitHub itself sends."""
    if name not in _EVENTS:
        return Bridged(event=name, ignored=_PING if name == "ping" else "no task is made of this event")
    actions, tell, marks = _EVENTS[name]
    action = found.text("action") if actions else ""
    event = f"{name}.{action}" if action else name
    if actions and action not in actions:
        return Bridged(event=event, ignored="no task is made of this action")
    told = tell(found)
    if isinstance(told, str):
        return Bridged(event=event, ignored=told)
    repository, sender = found.at("repository").text("full_name"), found.login("sender")
    payload = {"event": name, "action": action, "repository": repository, "sender": sender, "merged": False} | told
    return _about(payload, config, "", event, ("repository", "event", "action", "merged", *marks))


def _about(payload: dict[str, Any], config: BridgeConfig, question: str, event: str, marks: Sequence[str]) -> Bridged:
    """A story. It is the same one where all the marks are the same (BR-2)."""
    place = f"{payload['repository']}#{payload['number']}" if "number" in payload else payload["repository"]
    question = question or config.question or QUESTION
    task = _GITHUB | {
        "subject": f"{place}: {payload['title']}",
        "description": question,
        "payload": payload | {"operator_question": question},
        "idempotency_key": f"github:{_digest([payload[mark] for mark in marks])}",
    }
    names = [event, payload["event"], *([f"{payload['event']}.merged"] if payload["merged"] else [])]
    return _made(task, config, names)


def _recognized(found: _Reader) -> str:
    """The event whose keys these are, where no header names it."""
    for name, keys in _KEYS.items():
        if all(key in found.found for key in keys):
            return name
    raise found.refusal("event", "is missing, and the keys are not those of an event of GitHub")


def _item(item: _Reader) -> dict[str, Any]:
    """A pull request, an issue or a discussion."""
    return {
        "title": item.prose("title", ""),
        "number": item.number("number"),
        "author": item.login("user"),
        "url": item.text("html_url", most=BRIDGE_URL_CHARS_MAX),
        "merged": item.value("merged", bool, default=False),
        "summary": item.prose("body", ""),
    }


def _comment(found: _Reader) -> dict[str, Any] | str:
    """A comment on an issue or a pull request."""
    comment = found.at("comment")
    if comment.at("user", {}).text("type", "") == "Bot":
        return "the comment of a bot"  # it may be the answer to an earlier one
    return _item(found.at("issue")) | {
        "author": comment.login("user"),
        "url": comment.text("html_url", most=BRIDGE_URL_CHARS_MAX),
        "summary": comment.prose("body", ""),
        "comment_id": comment.number("id"),
    }


def _release(found: _Reader) -> dict[str, Any]:
    release = found.at("release")
    tag = release.text("tag_name")
    return {
        "title": release.prose("name", "") or tag,
        "author": release.login("author"),
        "url": release.text("html_url", most=BRIDGE_URL_CHARS_MAX),
        "summary": release.prose("body", ""),
        "tag": tag,
        "release_id": release.number("id"),
    }


def _push(found: _Reader) -> dict[str, Any] | str:
    ref, after = found.text("ref"), found.text("after")
    if found.value("deleted", bool, default=False) or not after.strip("0"):
        return "a branch or a tag was deleted"
    lines = [f"{each.text('id')[:_SHA_CHARS]} {_line(each.prose('message', ''))}" for each in found.each("commits")]
    head = _line(found.at("head_commit", {}).prose("message", "")) or f"{len(lines)} commits"
    return {
        "title": f"{ref.removeprefix('refs/heads/').removeprefix('refs/')}: {head}",
        "author": found.at("pusher", {}).text("name", "") or found.login("sender"),
        "url": found.text("compare", "", most=BRIDGE_URL_CHARS_MAX),
        "summary": "\n".join(lines),
        "ref": ref,
        "after": after,
    }


_OPENED = ("opened", "closed", "reopened")
_Tell = Callable[[_Reader], dict[str, Any] | str]  # what a payload is about, or why nothing is made of it
_EVENTS: dict[str, tuple[tuple[str, ...], _Tell, tuple[str, ...]]] = {
    "pull_request": ((*_OPENED, "ready_for_review"), lambda found: _item(found.at("pull_request")), ("number",)),
    "issues": (_OPENED, lambda found: _item(found.at("issue")), ("number",)),
    "issue_comment": (("created",), _comment, ("number", "comment_id")),
    "discussion": (("created",), lambda found: _item(found.at("discussion")), ("number",)),
    "release": (("published",), _release, ("release_id",)),
    "push": ((), _push, ("ref", "after")),  # one commit may arrive on several branches
}  # event -> the actions that make a task (a push has none), how it is read, what sets it apart from others
_KEYS = {
    "ping": ("zen", "hook_id"),
    "pull_request_review": ("review", "pull_request"),
    "pull_request_review_comment": ("comment", "pull_request"),
    "issue_comment": ("comment", "issue"),
    "discussion_comment": ("comment", "discussion"),
    "pull_request": ("action", "pull_request"),
    "issues": ("action", "issue"),
    "discussion": ("action", "discussion"),
    "release": ("action", "release"),
    "push": ("ref", "before", "after"),
}  # the first one counts: a comment has the keys of its issue too


# Discord


def discord(document: object, config: BridgeConfig) -> Bridged:
    """The task that a payload of Discord asks for: an interaction, a message, a webhook event or the short form.

    Raises Invalid, whose `where` begins with bridge.discord.
    """
    found = _whole(document, "bridge.discord")
    match found.found:
        case {"event": str()}:
            return _post(found, config)
        case {"event": dict()}:
            return _webhook(found, config)
        case {"content": _} | {"author": dict()}:
            return _message(found, config, "message")
        case {"type": _}:
            return _interaction(found, config)
        case _:
            raise found.refusal("event", "is missing, and the keys are not those of anything that Discord sends")


def _post(found: _Reader, config: BridgeConfig) -> Bridged:
    """The short form."""
    payload = {name: found.text(name) for name in ("event", "channel", "author")}
    payload |= {"message": found.prose("message"), "reply_style": found.text("reply_style", "") or REPLY_STYLE}
    digest = _digest([payload[name] for name in ("channel", "author", "message")])
    key = f"message:{found.id('message_id')}" if found.has("message_id") else f"digest:{digest}"
    return _reply(payload, config, key, found.text("operator_goal", "", most=REASON_CHARS_MAX))


def _webhook(found: _Reader, config: BridgeConfig) -> Bridged:
    event = found.at("event")
    name = event.text("type")
    if name not in ("LOBBY_MESSAGE_CREATE", "GAME_DIRECT_MESSAGE_CREATE"):
        return Bridged(event=name, ignored="it brings no message")
    return _message(event.at("data"), config, name)


def _message(found: _Reader, config: BridgeConfig, event: str) -> Bridged:
    author = found.at("author")
    if author.value("bot", bool, default=False) or found.has("webhook_id"):
        return Bridged(event=event, ignored="the message of a bot")  # it may be the answer to an earlier one
    text, number = found.prose("content", ""), found.id("id")
    if not text.strip():
        return Bridged(event=event, ignored="a message without a text that the bot may read")
    payload = {"event": event, "channel": found.id("channel_id"), "author": author.text("username")}
    return _reply(payload | {"message": text, "message_id": number}, config, f"message:{number}")


def _interaction(found: _Reader, config: BridgeConfig) -> Bridged:
    """What somebody did with a command, a button or a form. Its token opens the conversation, and is not kept."""
    kind = found.number("type")
    if kind in (0, 1):  # of webhook events, of interactions
        return Bridged(event="ping", ignored=_PING)
    action = {2: "command", 3: "component", 5: "modal"}.get(kind, "")
    if not action:
        return Bridged(event=f"interaction.{kind}", ignored="no task is made of this kind of interaction")
    data, number = found.at("data"), found.id("id")
    data.text("name" if action == "command" else "custom_id")
    said = "\n".join(filter(None, _said(data, BRIDGE_FORM_DEPTH_MAX)))
    payload = {
        "event": "interaction",
        "action": action,
        "channel": found.id("channel_id"),
        "author": (found.at("member") if found.has("member") else found).at("user").text("username"),
        "message": f"/{said}" if action == "command" else said,
        "interaction_id": number,
    }
    return _reply(payload, config, f"interaction:{number}")


def _said(found: _Reader, depth: int) -> Iterator[str]:
    """What was chosen or typed, each after its name in the command or the form."""
    if depth < 0:
        raise errors.Invalid(where=found.where, why=f"nested deeper than {BRIDGE_FORM_DEPTH_MAX}")
    values = [found.found.get("value"), *found.value("values", list, [])]
    said = ", ".join(_plain(found, value) for value in values if value is not None)
    yield ": ".join(filter(None, [found.text("name", "") or found.text("custom_id", ""), said]))
    inner = [*found.each("options"), *found.each("components")]
    for each in inner + ([found.at("component")] if found.has("component") else []):
        yield from _said(each, depth - 1)


def _plain(found: _Reader, value: object) -> str:
    """A value of a command or a form as it was typed."""
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) <= NUMBER_MAX):
        return json.dumps(value)
    return _Reader(found.where, {"value": value}).prose("value", "")


def _reply(payload: dict[str, Any], config: BridgeConfig, key: str, goal: str = "") -> Bridged:
    goal = goal or config.goal or GOAL
    names = [f"{payload['event']}.{payload['action']}"] if "action" in payload else []
    task = _DISCORD | {
        "subject": f"{payload['author']} in {payload['channel']}: {payload['message']}",
        "description": goal,
        "payload": {"reply_style": REPLY_STYLE} | payload | {"operator_goal": goal},
        "idempotency_key": f"discord:{key}",
    }
    return _made(task, config, [*names, payload["event"]])


def _made(task: dict[str, Any], config: BridgeConfig, names: Sequence[str]) -> Bridged:
    """The task as the configuration wants it. `names` are those of the event, the most exact one first."""
    if config.events and not set(names) & set(config.events):
        return Bridged(event=names[0], ignored="the bridge is configured for other events")
    payload = {name: _cut(text, _CUT[name]) if name in _CUT else text for name, text in task["payload"].items()}
    task |= {"subject": _cut(" ".join(task["subject"].split()), SUBJECT_CHARS_MAX), "payload": payload}
    texts = {"kind": config.kind, "requested_profile": config.profile, "requested_adapter": config.adapter}
    task |= {name: text for name, text in texts.items() if text}
    priority = task["priority"] if config.priority is None else config.priority
    return Bridged(event=names[0], task=task | {"priority": priority})


def _cut(text: str, most: int) -> str:
    """Without its end where it is too long; it says how much is missing."""
    if len(text) <= most:
        return text
    room = most - len(f" [… {len(text)} more characters]")
    return f"{text[:room]} [… {len(text) - room} more characters]"


def _line(text: str) -> str:
    """The first line."""
    return next(iter(text.strip().splitlines()), "")


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
