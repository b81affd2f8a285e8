"""Commands with which a person decides: approve, reject, settle, and what waits for them."""

import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec
import typer

from commands import answers, documents, options, render
from commands.invocation import invocation
from commands.recover import read_tip
from commands.surroundings import grants as standing
from commands.wiring import Runtime
from domain import errors, mind
from domain.agent_events import ApprovalRequested, CallSettled
from domain.bounds import KEY_CHARS_MAX, REASON_CHARS_MAX
from domain.intake import check_text
from domain.ports import RunView

app = typer.Typer(no_args_is_help=True)
grants = typer.Typer(no_args_is_help=True)
Call = Annotated[int | None, typer.Argument(metavar="[CALL]", help="Its number, where several wait.")]
Digest = Annotated[str, typer.Option("--digest", help="Refuse unless exactly this is what waits.")]
Key = Annotated[str, typer.Option("--key", help="The same key twice is the same answer.")]
Note = Annotated[str, typer.Option("--note", help="For the record; the answer, where a question waits.")]
_SHOWN = 70  # characters of a call in a list
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def approve(
    run: options.RunArgument,
    call: Call = None,
    note: Note = "",
    edit: Annotated[str | None, typer.Option("--edit", help="Other arguments: JSON, @file, or -.")] = None,
    digest: Digest = "",
    always_for: Annotated[
        str, typer.Option("--always-for", help="Also without asking, for so long: 30m, 8h, 7d.")
    ] = "",
    match: Annotated[
        list[str] | None, typer.Option("--match", help="With --always-for: PATH=GLOB instead of these arguments.")
    ] = None,
    key: Key = "",
    as_json: options.Json = False,
) -> None:
    """Say yes to exactly what waits."""
    options.no_tail()
    if match and not always_for:
        raise errors.Invalid(where="--match", why="says what a standing grant covers; give --always-for too")
    if edit is not None and (always_for or note):
        raise errors.Invalid(where="--edit", why="cannot be combined with --always-for or --note")
    runtime = invocation.runtime()
    wanted, who, said = runtime.find_run(run), _who(runtime, key), short(runtime, note, "--note")
    document = _edited(runtime, edit) if edit is not None else None

    def give() -> None:
        bound = _digest(runtime, wanted, call, digest)
        if edit is not None:
            position, found = answers.edit(runtime.log, wanted, call, who, document, digest=bound)
        else:
            scope = None
            if always_for:
                until_us = who.at_us + int(seconds(always_for, "--always-for") * 1_000_000)
                scope = answers.Scope(runtime.ids.new(), until_us, _match(runtime, wanted, call, match))
            position, found = answers.approve(runtime.log, wanted, call, who, digest=bound, note=said, scope=scope)
        _said(runtime, "edited" if edit is not None else "approved", wanted, found, position, as_json=as_json)

    def same(data: answers.Answer) -> bool:
        if edit is not None:
            return answers.is_edit(runtime.log, wanted, data, document)
        return answers.is_approval(runtime.log, wanted, data, said, standing=bool(always_for))

    _once(runtime, wanted, answers.Under(who.key, call, digest, same), give, as_json=as_json)


def reject(
    run: options.RunArgument,
    call: Call = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; the agent is told.")] = "",
    digest: Digest = "",
    key: Key = "",
    as_json: options.Json = False,
) -> None:
    """Say no."""
    options.no_tail()
    runtime = invocation.runtime()
    wanted, who, said = runtime.find_run(run), _who(runtime, key), short(runtime, reason, "--reason")

    def give() -> None:
        bound = _digest(runtime, wanted, call, digest)
        position, found = answers.reject(runtime.log, wanted, call, who, said, digest=bound)
        _said(runtime, "rejected", wanted, found, position, as_json=as_json)

    under = answers.Under(who.key, call, digest, lambda data: answers.is_rejection(data, said))
    _once(runtime, wanted, under, give, as_json=as_json)


def settle(
    run: options.RunArgument,
    call: Call = None,
    happened: Annotated[
        bool | None, typer.Option("--happened/--did-not-happen", help="What you found out; without it nothing is done.")
    ] = None,
    note: Note = "",
    key: Key = "",
    as_json: options.Json = False,
) -> None:
    """Say whether an effect happened whose dispatcher died in the middle of it."""
    options.no_tail()
    if happened is None:
        raise errors.Invalid(where="--happened", why="find out and say --happened or --did-not-happen: nobody guesses")
    runtime = invocation.runtime()
    wanted, who, said = runtime.find_run(run), _who(runtime, key), short(runtime, note, "--note")

    def give() -> None:
        position, number = answers.settle(runtime.log, wanted, call, who, happened=happened, note=said)
        runtime.close()
        if as_json:
            values = {"run": wanted, "call": number, "happened": happened, "position": position}
            render.document("rt.settled.v1", values)
        else:
            how = "happened" if happened else "did not happen, and will be done again"
            render.out(f"recorded: call {number} of run {wanted[:8]} {how}, at position {position}")

    under = answers.Under(who.key, call, "", lambda data: answers.is_settlement(data, said, happened=happened))
    _once(runtime, wanted, under, give, as_json=as_json)


@app.command("list", help="What waits for a person, oldest first.")
def list_approvals(as_json: options.Json = False) -> None:
    """List what waits."""
    runtime = invocation.runtime()
    position = runtime.readable.head().position
    found = list(waiting(runtime))
    runtime.close()
    if as_json:
        render.documents("rt.approval.v1", found, position=position)
        return
    now = render.moment_us(runtime.clock.now_us())
    rows = [
        (
            each["run"][:8],
            each["call"],
            each["tool"],
            each["kind"],
            _cut(each["shown"]),
            _until(each["expires_at"], now),
        )
        for each in found
    ]
    render.table(("run", "call", "tool", "kind", "what", "expires"), rows)
    if any(each["kind"] != "unknown outcome" for each in found):
        render.note("next: rt approval show RUN CALL · rt approve RUN CALL · rt reject RUN CALL --reason …")
    if any(each["kind"] == "unknown outcome" for each in found):
        render.note("find out, then: rt settle RUN CALL --happened | --did-not-happen")


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _until(expires: str | None, now: str) -> str:
    return "" if expires is None else f"{expires} (over: rt work goes on)" if expires <= now else expires


def waiting(runtime: Runtime) -> Iterator[dict[str, Any]]:
    """All that waits for a person, the oldest first."""
    log = runtime.readable
    runs = [each.run for each in log.waiting()] + [each.run for each in log.running()]
    known = [document(log, answers.asked(log, run, call)) for run in runs for call in _calls(runtime, run)]
    yield from (document for _, document in sorted(known, key=lambda each: each[0]))
    for run in runs:
        yield from _unsettled(runtime, run)


def _unsettled(runtime: Runtime, run: str) -> Iterator[dict[str, Any]]:
    """Effects of which nobody knows whether they happened."""
    tip = read_tip(runtime.readable, run)
    known = tip.state.mind
    for lost in mind.unknown(known) if known is not None else ():
        about = mind.watched(known, lost.call) if known is not None else None
        arguments = about.arguments if about is not None else {}
        yield {
            "run": run,
            "task": tip.state.task,
            "call": lost.call,
            "kind": "unknown outcome",
            "tool": about.tool if about is not None else "",
            "arguments": arguments,
            "shown": msgspec.json.encode(arguments, order="sorted").decode(),
            "expires_at": None,
        }


def _calls(runtime: Runtime, run: str) -> list[int]:
    known = read_tip(runtime.readable, run).state.mind
    return [each.call for each in mind.pending(known)] if known is not None else []


@app.command("show", help="Exactly what waits: the tool, its arguments, and the digest of both.")
def show(run: options.RunArgument, call: Call = None, as_json: options.Json = False) -> None:
    """Show what waits."""
    runtime = invocation.runtime()
    found = answers.asked(runtime.readable, runtime.find_run(run), call)
    _, shown = document(runtime.readable, found)
    position = runtime.readable.head().position
    runtime.close()
    if as_json:
        render.document("rt.approval.v1", shown | {"at_position": position})
        return
    for name in ("run", "call", "kind", "tool", "profile", "rules", "requested_by", "folder", "effect", "expires_at"):
        if shown[name] not in (None, "", []):
            value = ", ".join(shown[name]) if isinstance(shown[name], list) else str(shown[name])
            render.out(f"{name:<14} {render.line(value)}")
    for line in msgspec.json.format(found.arguments, indent=2).decode().splitlines():
        render.out(f"{'':<14} {render.line(line)}")
    render.out(f"{'digest':<14} {shown['digest']}")
    again = f"{shown['run'][:8]} {shown['call']} --digest {shown['digest']}"
    if shown["kind"] == "question":
        again = f"{shown['run'][:8]} {shown['call']}"
        render.note(f"next: rt approve {again} --note ANSWER · rt reject {again} --reason …")
        return
    render.note(f"next: rt approve {again} · rt reject {again} --reason …")


def document(log: RunView, found: answers.Asked) -> tuple[int, dict[str, Any]]:
    """What waits, and the position at which it was asked for."""
    approval, setup = found.approval, found.mind.setup
    arguments = msgspec.json.decode(found.arguments)
    position, rules = _request(log, found)
    tool = setup.tool(approval.tool)
    return position, {
        "run": found.tip.state.run,
        "task": found.tip.state.task,
        "call": approval.call,
        "kind": approval.kind,
        "tool": approval.tool,
        "profile": setup.profile,
        "requested_by": found.mind.controller.name,
        "folder": (tool.cwd if tool is not None else "") or setup.cwd,
        "effect": tool.effect if tool is not None else "",
        "arguments": arguments,
        "shown": arguments["question"] if approval.kind == "question" else found.arguments.decode(),
        "digest": approval.digest,
        "rules": list(rules),
        "expires_at": render.moment_us(approval.expires_at_us) if approval.expires_at_us else None,
        "on_reject": approval.on_reject,
    }


def _request(log: RunView, found: answers.Asked) -> tuple[int, tuple[str, ...]]:
    """Where it was asked for, and which rules ask."""
    wanted = found.approval
    for event in reversed(log.stream(found.tip.state.run)):
        data = event.data
        if isinstance(data, ApprovalRequested) and (data.call, data.digest) == (wanted.call, wanted.digest):
            return event.position, data.rules
    return 0, ()


@grants.command("list", help="Standing grants that hold now.")
def list_grants(as_json: options.Json = False) -> None:
    """List standing grants."""
    runtime = invocation.runtime()
    found = standing(runtime.readable, runtime.clock.now_us())
    position = runtime.readable.head().position
    runtime.close()
    if as_json:
        values = [msgspec.to_builtins(each) | {"until": render.moment_us(each.until_us)} for each in found]
        render.documents("rt.grant.v1", values, position=position)
        return
    rows = [
        (
            each.id[:8],
            each.tool,
            each.profile,
            " ".join(f"{path}={glob}" for path, glob in each.arguments.items()),
            render.moment_us(each.until_us),
        )
        for each in found
    ]
    render.table(("grant", "tool", "profile", "arguments", "until"), rows)


@grants.command("revoke", help="End a standing grant now.")
def revoke(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="Its id, or the beginning of it.")],
    reason: Annotated[str, typer.Option("--reason", help="For the record.")] = "",
    as_json: options.Json = False,
) -> None:
    """Revoke a standing grant."""
    runtime = invocation.runtime()
    position, found = answers.revoke(runtime.log, grant, _who(runtime), short(runtime, reason, "--reason"))
    runtime.close()
    if as_json:
        render.document("rt.grant.v1", {"grant": found, "revoked": True, "position": position})
    else:
        render.out(f"revoked: grant {found[:8]} at position {position}")


def seconds(text: str, where: str) -> float:
    """A duration such as 90s, 30m, 8h, 7d. Raises Invalid."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smhd])", text.strip())
    if found is None:
        raise errors.Invalid(where=where, why=f"{text!r} is no duration; for example 30m, 8h or 7d")
    return float(found.group(1)) * _UNITS[found.group(2)]


def _match(runtime: Runtime, run: str, call: int | None, given: list[str] | None) -> dict[str, str]:
    """What a grant covers: what was said, else exactly these arguments."""
    if given:
        pairs = [each.partition("=") for each in given]
        if any(not path or not glob for path, _, glob in pairs):
            raise errors.Invalid(where="--match", why="expected PATH=GLOB, for example args.0=push")
        for each in given:
            if short(runtime, each, "--match") != each:
                raise errors.Invalid(where="--match", why="contains the value of a registered secret")
        return {path: glob for path, _, glob in pairs}
    arguments = msgspec.json.decode(answers.asked(runtime.log, run, call).arguments)
    return {name: _literal(value) for name, value in arguments.items()}


def _literal(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()
    return re.sub(r"([*?[])", r"[\1]", text)


def _digest(runtime: Runtime, run: str, call: int | None, given: str) -> str:
    """The whole digest for what was given of it; nothing given binds to what waits when it is read."""
    if not given:
        return ""
    found = answers.asked(runtime.log, run, call).approval.digest
    return found if len(given) >= 8 and found.startswith(given) else given  # noqa: PLR2004  # as long as ids are shown


def short(runtime: Runtime, text: str, where: str) -> str:
    """What a person says, as it may be stored: bounded, and without secrets. Raises Invalid."""
    check_text(text, where)
    if len(text) > REASON_CHARS_MAX:
        raise errors.Invalid(where=where, why=f"{len(text)} characters; at most {REASON_CHARS_MAX}")
    return runtime.secrets.text(text)


def _edited(runtime: Runtime, edit: str) -> object:
    document = documents.read(edit, "--edit")
    text = msgspec.json.encode(document).decode()
    if runtime.secrets.text(text) != text:
        raise errors.Invalid(where="--edit", why="contains the value of a registered secret")
    return document


def _who(runtime: Runtime, key: str = "") -> answers.Who:
    if len(key) > KEY_CHARS_MAX:
        raise errors.Invalid(where="--key", why=f"{len(key)} characters; at most {KEY_CHARS_MAX}")
    return answers.Who(runtime.actor, "cli", runtime.clock.now_us(), short(runtime, key, "--key"))


def _once(runtime: Runtime, run: str, under: answers.Under, give: Callable[[], None], *, as_json: bool) -> None:
    """Give an answer, unless it was given before under its key: then say so."""
    try:
        already = answers.given(runtime.log, run, under)
        if already is None:
            give()
            return
    except (errors.ApprovalResolved, errors.ApprovalNotFound):
        already = answers.given(runtime.log, run, under)  # somebody with the same key may have been faster
        if already is None:
            raise
    runtime.close()
    _repeated(run, already, as_json=as_json)


def _repeated(run: str, already: answers.Given, *, as_json: bool) -> None:
    position, data = already
    if not as_json:
        render.out(f"known: call {data.call} of run {run[:8]} was {already.how} at position {position}")
        return
    values = {"run": run, "call": data.call, "position": position, "deduplicated": True}
    if isinstance(data, CallSettled):
        render.document("rt.settled.v1", values | {"happened": data.happened})
    else:
        render.document("rt.decided.v1", values | {"decision": already.how, "digest": data.digest})


def _said(runtime: Runtime, how: str, run: str, found: answers.Asked, position: int, *, as_json: bool) -> None:
    runtime.close()
    if as_json:
        values = {"run": run, "call": found.approval.call, "decision": how, "position": position}
        render.document("rt.decided.v1", values | {"digest": found.approval.digest})
        return
    about = f"call {found.approval.call} ({render.line(found.approval.tool)}) of run {run[:8]}"
    render.out(f"{how}: {about} at position {position}")
    render.note("next: rt work --until-idle  # a dispatcher goes on with the run")
