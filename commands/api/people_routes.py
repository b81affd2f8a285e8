"""What people decide and say: approvals, effects of unknown outcome, grants, threads."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from commands import answers, approvals, threads
from commands.agents import check_serves, routed_document
from commands.api.route import Answer, Asked, Page, Row, Written, located, page
from commands.api.work_routes import Limit, Reason, Word, keyed
from commands.approvals import short
from commands.surroundings import conversation
from commands.surroundings import grants as standing
from commands.surroundings import threads as known_threads
from commands.taking_in import check, take_in
from domain import errors
from domain.bounds import HTTP_INTAKE_BYTES_MAX, HTTP_PAGE_ITEMS, HTTP_PAGE_ITEMS_MAX, SUBJECT_CHARS_MAX

_CHANNEL = "http"


class AnswerBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A person's answer to exactly what was shown; a rejection needs a reason, a question a note, an edit arguments."""

    answer: Literal["approve", "reject", "edit"]
    shown_sha256: Annotated[str, Meta(pattern="^[0-9a-f]{8,64}$")]
    note: Reason = ""
    reason: Reason = ""
    edit: dict[str, Any] | None = None


class SettleBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether an effect happened whose dispatcher died in the middle of it."""

    happened: bool
    note: Reason = ""


class MessageBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Something that is said in a thread, and to whom; the thread's own agent where nobody is named."""

    text: Annotated[str, Meta(min_length=1, max_length=20_000)]
    agent: Word = "auto"


class RestartBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Into which thread; the same one where none is named."""

    into: Word = ""


class DeleteQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why; and whether also while a run of it is open."""

    reason: Reason = ""
    force: bool = False


class ThreadQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The latest messages."""

    limit: Limit = HTTP_PAGE_ITEMS


def list_approvals(asked: Asked) -> Answer:
    """What waits for a person, the oldest first."""
    head = asked.runtime.readable.head().position
    found = list(approvals.waiting(asked.runtime))
    return page(found[:HTTP_PAGE_ITEMS_MAX], None, head)


def show_approval(asked: Asked) -> Answer:
    """Exactly what waits: the tool, its arguments, and the digest of both."""
    runtime = asked.runtime
    found = answers.asked(runtime.readable, runtime.find_run(asked.path["run"]), _call(asked))
    position, shown = approvals.document(runtime.readable, found)
    return Answer(shown | {"asked_at_position": position}, runtime.readable.head().position)


def _call(asked: Asked) -> int:
    text = asked.path["call"].removeprefix("c")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):  # noqa: PLR2004  # an ordinal
        raise errors.Invalid(where="path.call", why="expected a number")
    return int(text)


def answer(asked: Asked) -> Answer:
    """Approve, reject or edit exactly what was shown; the same key twice is the same answer."""
    runtime, body = asked.runtime, asked.body
    run, call = runtime.find_run(asked.path["run"]), _call(asked)
    words = short(runtime, body.reason if body.answer == "reject" else body.note, "body.note")
    _check_edit(asked)
    who = answers.Who(runtime.actor, _CHANNEL, runtime.clock.now_us(), asked.key)
    same = answers.Under(asked.key, call, body.shown_sha256, lambda data: _same(asked, run, data, words))
    already = answers.given(runtime.log, run, same)
    if already is None:
        try:
            return _answered(asked, run, call, who, words)
        except (errors.ApprovalResolved, errors.ApprovalNotFound):
            already = answers.given(runtime.log, run, same)  # somebody with the same key may have been faster
            if already is None:
                raise
    made = {"run": run, "call": call, "decision": already.how, "position": already.position, "deduplicated": True}
    return Answer(made, already.position)


def _check_edit(asked: Asked) -> None:
    body = asked.body
    if (body.edit is not None) != (body.answer == "edit"):
        raise errors.Invalid(where="body.edit", why="belongs to the answer 'edit', and to no other")
    text = msgspec.json.encode(body.edit).decode()
    if asked.runtime.secrets.text(text) != text:
        raise errors.Invalid(where="body.edit", why="contains the value of a registered secret")


def _same(asked: Asked, run: str, data: answers.Answer, words: str) -> bool:
    log, body = asked.runtime.log, asked.body
    if body.answer == "edit":
        return answers.is_edit(log, run, data, body.edit)
    if body.answer == "reject":
        return answers.is_rejection(data, words)
    return answers.is_approval(log, run, data, words, standing=False)


def _answered(asked: Asked, run: str, call: int, who: answers.Who, words: str) -> Answer:
    log, body = asked.runtime.log, asked.body
    shown = answers.asked(log, run, call).approval.digest
    digest = shown if shown.startswith(body.shown_sha256) else body.shown_sha256
    if body.answer == "edit":
        position, found = answers.edit(log, run, call, who, body.edit, digest=digest)
    elif body.answer == "reject":
        position, found = answers.reject(log, run, call, who, words, digest=digest)
    else:
        position, found = answers.approve(log, run, call, who, digest=digest, note=words)
    how = {"approve": "approved", "reject": "rejected", "edit": "edited"}[body.answer]
    made = {"run": run, "call": call, "decision": how, "digest": found.approval.digest, "position": position}
    return Answer(made, position)


def settle(asked: Asked) -> Answer:
    """Say whether an effect of unknown outcome happened."""
    runtime, body = asked.runtime, asked.body
    run = runtime.find_run(asked.path["run"])
    who = answers.Who(runtime.actor, _CHANNEL, runtime.clock.now_us(), asked.key)
    note = short(runtime, body.note, "body.note")
    position, call = answers.settle(runtime.log, run, _call(asked), who, happened=body.happened, note=note)
    return Answer({"run": run, "call": call, "happened": body.happened, "position": position}, position)


def list_grants(asked: Asked) -> Answer:
    """Standing grants that hold now."""
    from commands import render

    runtime = asked.runtime
    head = runtime.readable.head().position
    found = standing(runtime.readable, runtime.clock.now_us())
    return page([msgspec.to_builtins(each) | {"until": render.moment_us(each.until_us)} for each in found], None, head)


def revoke(asked: Asked) -> Answer:
    """End a standing grant now."""
    runtime = asked.runtime
    who = answers.Who(runtime.actor, _CHANNEL, runtime.clock.now_us())
    position, found = answers.revoke(runtime.log, asked.path["grant"], who, "")
    return Answer({"grant": found, "revoked": True, "position": position}, position)


def list_threads(asked: Asked) -> Answer:
    """Threads, with their latest message."""
    log = asked.runtime.readable
    head = log.head().position
    names = known_threads(log)[-HTTP_PAGE_ITEMS_MAX:][::-1]
    return page([threads.about(name, conversation(log, name)) for name in names], None, head)


def show_thread(asked: Asked) -> Answer:
    """A thread's messages, the oldest first."""
    runtime = asked.runtime
    head = runtime.readable.head().position
    found = list(threads.messages(threads.there(runtime, asked.path["thread"])))
    return page(found[-asked.query.limit :], None, head)


def say(asked: Asked) -> Answer:
    """Say something in a thread; a dispatcher runs what it asks for."""
    runtime, body = asked.runtime, asked.body
    document, chosen = routed_document(runtime, goal=body.text, agent=body.agent, thread=asked.path["thread"])
    check_serves(runtime, document["requested_profile"], "")
    document |= {"max_attempts": 1, "source": "http", "subject": document["subject"][:SUBJECT_CHARS_MAX]}
    document["payload"].pop("cwd", None)  # of this server's process: it says nothing about the one who asks
    taken = take_in(runtime, check(runtime, keyed(document, asked.key), chosen))
    made = {"task_id": taken.task, "position": taken.position, "deduplicated": taken.deduplicated}
    return Answer(made, taken.position, 200 if taken.deduplicated else 201, located("tasks", taken.task))


def restart(asked: Asked) -> Answer:
    """Begin a conversation anew; what came before stays in the log."""
    target, position = threads.restarted(asked.runtime, asked.path["thread"], asked.body.into)
    return Answer({"thread": target, "status": "restarted", "position": position}, position)


def delete(asked: Asked) -> Answer:
    """Remove a thread from lists and histories; the log stays whole."""
    runtime, query = asked.runtime, asked.query
    thread = asked.path["thread"]
    position = threads.deleted(runtime, thread, short(runtime, query.reason, "query.reason"), force=query.force)
    return Answer({"thread": thread, "status": "deleted", "position": position}, position)


_NO_CALL = (errors.IdNotFound, errors.IdAmbiguous, errors.ApprovalNotFound, errors.ApprovalResolved)
ROWS = (
    Row("GET", "/api/v1/approvals", "read", list_approvals, answer=Page),
    Row("GET", "/api/v1/runs/{run}/approvals/{call}", "read", show_approval, problems=_NO_CALL),
    Row("POST", "/api/v1/runs/{run}/approvals/{call}", "approve", answer, body=AnswerBody, answer=Written,
        problems=(*_NO_CALL, errors.ApprovalChanged, errors.AnswerKeyConflict)),
    Row("POST", "/api/v1/runs/{run}/effects/{call}", "approve", settle, body=SettleBody, answer=Written,
        problems=_NO_CALL),
    Row("GET", "/api/v1/grants", "read", list_grants, answer=Page),
    Row("DELETE", "/api/v1/grants/{grant}", "approve", revoke, answer=Written, problems=_NO_CALL[:2]),
    Row("GET", "/api/v1/threads", "read", list_threads, answer=Page),
    Row("GET", "/api/v1/threads/{thread}", "read", show_thread, ThreadQuery, answer=Page, problems=_NO_CALL[:1]),
    Row("POST", "/api/v1/threads/{thread}/messages", "operate", say, body=MessageBody, answer=Written,
        body_bytes_max=HTTP_INTAKE_BYTES_MAX, problems=(errors.UnknownProfile,)),
    Row("POST", "/api/v1/threads/{thread}/restart", "operate", restart, body=RestartBody, answer=Written,
        problems=(errors.IdNotFound, errors.ThreadBusy)),
    Row("DELETE", "/api/v1/threads/{thread}", "operate", delete, DeleteQuery, answer=Written,
        problems=(errors.IdNotFound, errors.ThreadBusy)),
)  # fmt: skip
