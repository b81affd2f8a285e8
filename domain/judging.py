"""How a one-shot run with a brief ends: its answer is read, a wait is granted, claims are verified."""

import msgspec

from domain import cli_answers, hints, model_answers, outcome, verification
from domain.bounds import ISSUES_MAX
from domain.brief import Brief
from domain.ending import Ending
from domain.events import RunVerified, VerificationRequested
from domain.hints import Hint
from domain.ids import text_of
from domain.managed_path import After
from domain.outcome import Outcome
from domain.payload import Consequence
from domain.run_state import Run
from domain.said import Said
from domain.verification import Check

Decided = tuple[Consequence, ...] | Ending
_after = msgspec.json.Decoder(After).decode
_SILENT = frozenset({"empty_output", "missing_result"})  # how the program ended says more than that it said nothing


def said(run: Run) -> Said:
    """The answer, from what was printed or returned."""
    brief = _brief(run)
    if brief.reader == "script":
        return Said(run.answered.decode("utf-8", "replace"))
    if brief.reader == "cli":
        assert brief.cli is not None, "a brief of a command line says which"
        found = cli_answers.answered(brief.cli, run.answered, run.printed_errors, run.last_message)
        return Said(found.text, found.cause, found.permanent, found.usage)
    return _returned(run, brief)


def _returned(run: Run, brief: Brief) -> Said:
    """What a model's server returned."""
    text = run.answer.decode("utf-8", "replace")
    if run.returned:
        status = run.returned.removeprefix("http:")
        permanent = status.isdecimal() and not hints.retryable_status(int(status))
        return Said(
            text[:2_000],
            run.returned,
            permanent or run.returned in ("no_key", "refused", "private_address"),
            wait_us=run.wait_us,
        )
    return model_answers.ollama(run.answer) if brief.reader == "ollama" else model_answers.openai(run.answer)


def ended(run: Run, failed: str = "", *, permanent: bool = False) -> Decided:
    """What follows from the end of the call; `failed` is how it went wrong by its exit or its server."""
    brief = _brief(run)
    answer = said(run)
    cause = failed if failed and answer.cause in _SILENT else answer.cause or failed
    if cause:
        return _failed(run, brief, answer, cause, permanent=permanent or answer.permanent)
    found = _outcome(run, answer)
    if found.status == "blocked" and (hint := _hint(brief, found, answer)) is not None:
        return _waits(run, brief, found, answer, hint)
    if found.status == "completed" and _is_verified(brief, found):
        return (VerificationRequested(call=1),)
    return _reported(found, answer)


def _failed(run: Run, brief: Brief, answer: Said, cause: str, *, permanent: bool) -> Ending:
    """The end of a run that gave no answer. What its server asks to wait is a hint like any other."""
    if answer.wait_us and brief.hint_most_s and not permanent:
        hint = Hint(
            seconds=min(-(-answer.wait_us // 1_000_000), brief.hint_most_s), source="http", pattern="retry-after"
        )
        return _waits(run, brief, None, answer, hint)
    return Ending(
        state="failed",
        retry="permanent" if permanent else "retryable",
        cause=cause,
        outcome=_document(outcome.from_text(answer.text)) if answer.text.strip() else b"",
        usage=answer.usage,
    )


def judged(run: Run, after: bytes) -> Decided:
    """What follows from the evidence."""
    brief = _brief(run)
    answer = said(run)
    found = _outcome(run, answer)
    assert brief.where is not None, "evidence was asked for"
    checks = verification.verify(
        found,
        brief.payload,
        run.prompt.decode("utf-8", "replace") if brief.echo else "",
        brief.before,
        _after(after),
        started_us=run.started_at_us,
        where=brief.where,
    )
    document = msgspec.json.encode(checks)
    counts = {
        result: sum(1 for each in checks if each.result == result) for result in ("passed", "failed", "unverifiable")
    }
    verified = RunVerified(checks=text_of(document), **counts)
    ending = _reported(found, answer) if not counts["failed"] else _unverified(brief, found, answer, checks)
    return msgspec.structs.replace(ending, before=(verified,), texts=(document,))


def _unverified(brief: Brief, found: Outcome, answer: Said, checks: tuple[Check, ...]) -> Ending:
    issues = [f"{each.what} {each.path}: {each.why}".replace(" :", ":") for each in checks if each.result == "failed"]
    told = msgspec.structs.replace(found, warnings=(*found.warnings, *issues[:ISSUES_MAX]))
    block = brief.on_unverified == "block"
    return Ending(
        state="failed",
        retry="none" if block else "retryable",
        cause="unverified",
        blocked=block,
        outcome=_document(told),
        usage=answer.usage,
    )


def lost_evidence(run: Run) -> Ending:
    """The dispatcher died between the end of the work and the look at it."""
    if run.policy is not None and run.policy.effect == "once":
        return Ending(state="lost", cause="verification_lost", blocked=True)
    return Ending(state="lost", retry="retryable", cause="verification_lost")


def outcome_of(run: Run) -> Outcome:
    """The outcome that a run reported, before anybody looked whether it is true."""
    return _outcome(run, said(run))


def _hint(brief: Brief, found: Outcome, answer: Said) -> Hint | None:
    if not brief.hint_most_s:
        return None
    return hints.found(found, answer.text, service=brief.hint_service, most_s=brief.hint_most_s)


def _waits(run: Run, brief: Brief, found: Outcome | None, answer: Said, hint: Hint) -> Ending:
    document = b"" if found is None else _document(found)
    if run.refunds >= brief.hint_refunds_max:
        return Ending(state="failed", cause="rate_limit_persists", blocked=True, outcome=document, usage=answer.usage)
    return Ending(
        state="failed",
        retry="retryable",
        cause="rate_limit_retry",
        outcome=document,
        usage=answer.usage,
        wait_us=hint.seconds * 1_000_000,
        refund=True,
        hint=f"{hint.source}: {hint.pattern}" + (f", cut from {hint.clamped_from} s" if hint.clamped_from else ""),
    )


def _outcome(run: Run, answer: Said) -> Outcome:
    brief = _brief(run)
    assert run.policy is not None, "a run with a brief was started"
    read = outcome.from_text if run.policy.outcome == "text" else outcome.from_json
    return read(answer.text, brief.blocked_phrases)


def _is_verified(brief: Brief, found: Outcome) -> bool:
    """Whether there is anything to look at."""
    if brief.where is None:
        return False
    wanted = verification.wanted(brief.payload, found, brief.where)
    return brief.echo or bool(wanted.artifacts or wanted.workspace_paths)


def _reported(found: Outcome, answer: Said) -> Ending:
    document = _document(found)
    match found.status:
        case "completed":
            return Ending(state="completed", outcome=document, usage=answer.usage)
        case "blocked":
            return Ending(state="failed", cause="reported_blocked", blocked=True, outcome=document, usage=answer.usage)
        case "permanent_failure":
            return Ending(
                state="failed", retry="permanent", cause="reported_failure", outcome=document, usage=answer.usage
            )
        case "retryable_failure":
            cause = found.machine_status if found.machine_status == "no_outcome" else "reported_retry"
            return Ending(state="failed", retry="retryable", cause=cause, outcome=document, usage=answer.usage)


def _document(found: Outcome) -> bytes:
    return msgspec.json.encode(found)


def _brief(run: Run) -> Brief:
    assert run.brief is not None, "it is judged by its brief"
    return run.brief
