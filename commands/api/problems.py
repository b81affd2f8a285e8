"""Errors as RFC 9457 problem documents, of the same class, code and words as on the command line."""

from typing import Any

import msgspec

from commands import render
from commands.api.route import Answer
from domain import errors

MEDIA = "application/problem+json"
_LATER_S = 1


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not answered: RFC 9457, with the code, the hint and the fields that the command line has."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str = ""
    position: int = 0
    reference: str = ""  # of a bug: where the server's own log tells more


def of(problem: errors.RtError, hidden: dict[str, str], *, is_old: bool = False, reference: str = "") -> Answer:
    """The answer to a request that failed. `hidden` are paths of this machine and what stands for them."""
    status = problem.http
    if is_old and status == errors.Invalid.http:
        status = 400
    document: dict[str, Any] = {
        "type": f"/docs/errors#{problem.code}",
        "title": problem.code,
        "status": status,
        "code": problem.code,
        "detail": _without(render.clean(str(problem)), hidden),
    }
    if problem.advice:
        document["hint"] = _without(render.line(problem.advice), hidden)
    # `status` is the answer's: that of a task, which is a field on the command line, is its `state` here
    renamed = {"state" if name == "status" else name: value for name, value in problem.fields.items()}
    fields = {name: value for name, value in renamed.items() if name not in document and name != "path"}
    document |= {
        name: _without(render.clean(value), hidden) if isinstance(value, str) else value
        for name, value in fields.items()
    }
    if reference:
        document["reference"] = reference
    if is_old:
        document |= {"ok": False, "error": document["detail"]}
    return Answer(document, None, status, _headers(problem, status), media=MEDIA)


def bug(reference: str) -> errors.Bug:
    """What a client learns of a bug: that it is one, and under which name the server's log has it."""
    return errors.Bug(kind="in the server", text=f"its log has it as {reference}")


def _headers(problem: errors.RtError, status: int) -> dict[str, str]:
    if isinstance(problem, errors.MethodRefused):
        return {"allow": str(problem.fields["allowed"])}
    if isinstance(problem, errors.RangeRefused):
        return {"content-range": f"bytes */{problem.fields['size']}"}
    if status in (429, 503):
        return {"retry-after": str(problem.fields.get("seconds", _LATER_S))}
    return {"www-authenticate": 'Bearer realm="rt"'} if status == errors.TokenMissing.http else {}


def _without(text: str, hidden: dict[str, str]) -> str:
    for path, name in hidden.items():
        text = text.replace(path, name)
    return text
