"""How a run with a brief ends: by its answer, by a wait that is asked for, by what is found of its claims."""

import json
from typing import Any

import msgspec
import pytest

from domain import brief as briefs
from domain import hints
from domain.agent_events import ToolReturned
from domain.bounds import HINT_REFUNDS_MAX, HINT_S_MAX
from domain.brief import Brief, Reader
from domain.calls import HttpInput
from domain.events import (
    AnswerRead,
    EvidenceGathered,
    Recorded,
    RunCancelAsked,
    RunFinished,
    RunOwnerLost,
    RunRefused,
    RunStarted,
    RunVerified,
    TaskBlocked,
    TaskCompleted,
    TaskFailed,
    TaskRetryScheduled,
    ToolExited,
    ToolStarted,
    VerificationRequested,
)
from domain.ids import text_of
from domain.launch import AgentCli
from domain.managed_path import After, Before, Seen
from domain.payload import Fact, Policy
from domain.verification import Check, Where
from tests.story import NOW_US, RUN, Story, claimed, recorded, stdout, text

POLICY = Policy(
    outcome="json",
    effect="idempotent",
    timeout_us=60_000_000,
    grace_us=5_000_000,
    output_bytes_max=1 << 20,
    backoff_base_us=1_000_000,
    backoff_max_us=1_000_000,
    exit_retryable=(75,),
    exit_permanent=(64, 77, 126, 127),
)
WHERE = Where(artifact_root="/a", roots=("/w",))
CODEX = AgentCli(driver="codex", command="codex")
RUNS = ToolStarted(call=1, pid=4711, start_ticks=99, boot_id="b")
PROMPT = b"Do something about the header, and say what was done in words for a person. " * 8
OLD = Seen(exists=True, kind="file", sha256="11" * 32, size=1, mtime_us=1)
NEW = Seen(exists=True, kind="file", sha256="22" * 32, size=2, mtime_us=NOW_US + 5)


def brief(reader: Reader = "cli", **fields: Any) -> Brief:  # noqa: ANN401  # fields of a brief
    cli = CODEX if reader == "cli" else None
    plain: dict[str, Any] = {"hint_most_s": HINT_S_MAX, "hint_refunds_max": HINT_REFUNDS_MAX}
    return Brief(reader=reader, cli=cli, **(plain | fields))


def begun(by: Brief, *, policy: Policy = POLICY, attempt: int = 1, refunds: int = 0) -> Story:
    """A run whose call is open."""
    claim = msgspec.structs.replace(claimed(attempt=attempt), refunds=refunds)
    document = briefs.encode(by)
    started = RunStarted(
        program="one_shot",
        adapter="it",
        bundle=text("b"),
        call=text("c"),
        policy=policy,
        brief=text_of(document),
        prompt=text_of(PROMPT),
    )
    story = Story().given(claim, told(started, brief=document, prompt=PROMPT))
    return story.given(RUNS) if by.reader in ("cli", "script") else story


def told(fact: Fact, **texts: bytes) -> Recorded:
    """A fact with the texts that it names."""
    return msgspec.structs.replace(recorded(fact), texts=texts)  # type: ignore[arg-type]  # every fact is an event


def exited(code: int = 0) -> ToolExited:
    return ToolExited(call=1, duration_us=5, exit_code=code)


def reported(**fields: object) -> bytes:
    return json.dumps({"status": "completed", "operator_summary": "did it", "machine_status": "ok"} | fields).encode()


def last_message(content: bytes) -> Recorded:
    return told(AnswerRead(call=1, text=text_of(content)), text=content)


def returned(body: bytes, *, cause: str = "", wait_us: int = 0) -> Recorded:
    fact = ToolReturned(call=1, ok=not cause, cause=cause, result=text_of(body), duration_us=1, retry_after_us=wait_us)
    return told(fact, result=body)


def ends(story: Story) -> tuple[RunFinished, Any]:
    """How the run ends, and what that means for its task."""
    *_, finished, task = story.made()
    assert isinstance(finished, RunFinished)
    return finished, task


def evidence(**files: Seen) -> Recorded:
    after = msgspec.json.encode(After(files={f"/w/{name}": seen for name, seen in files.items()}))
    return told(EvidenceGathered(after=text_of(after)), after=after)


# what is asked for


@pytest.mark.parametrize(
    ("reader", "kind"), [("cli", "process"), ("script", "process"), ("ollama", "http"), ("openai", "http")]
)
def test_a_model_is_asked_over_http_and_all_others_are_started(reader: Reader, kind: str) -> None:
    document = briefs.encode(brief(reader))
    started = RunStarted(
        program="one_shot", adapter="it", bundle=text("b"), call=text("c"), policy=POLICY, brief=text_of(document)
    )
    (asked,) = Story().given(claimed()).when(told(started, brief=document, prompt=b"")).made()
    assert (asked.kind, asked.call, asked.effect) == (kind, 1, "idempotent")


# the answer


def test_an_honest_answer_without_claims_completes_the_task() -> None:
    finished, task = ends(begun(brief()).given(last_message(reported())).when(exited()))
    assert (finished.state, finished.cause, task) == ("completed", "", TaskCompleted(run=RUN))


@pytest.mark.parametrize(
    ("code", "printed", "retry", "cause"),
    [
        (0, b"", "retryable", "empty_output"),
        (1, b"", "retryable", "exit:1"),
        (64, b"", "permanent", "exit:64"),
        (127, b"", "permanent", "exit:127"),
        (75, reported(), "retryable", "exit:75"),
        (1, b'{"type":"turn.failed","error":{"message":"oh"}}\n', "retryable", "turn_failed"),
        (77, b'{"type":"turn.failed","error":{"message":"oh"}}\n', "permanent", "turn_failed"),
        (1, b'{"type":"error","message":"error: 401 Unauthorized"}\n', "permanent", "authentication"),
        (0, b"prose", "retryable", "no_outcome"),
    ],
)
def test_rt7_exit_and_answer_together_say_why_a_run_failed(code: int, printed: bytes, retry: str, cause: str) -> None:
    """A name that the program gave its failure goes before its code; that it said nothing does not."""
    story = begun(brief()).given(stdout(printed)) if printed else begun(brief())
    finished, task = ends(story.when(exited(code)))
    assert (finished.state, finished.retry, finished.cause) == ("failed", retry, cause)
    assert isinstance(task, TaskFailed if retry == "permanent" else TaskRetryScheduled)


def test_ad9_what_was_used_is_kept_also_by_a_run_that_fails() -> None:
    used = b'{"type":"turn.completed","usage":{"input_tokens":7,"output_tokens":9}}\n'
    finished, _ = ends(begun(brief()).given(stdout(used)).when(exited(1)))
    assert (finished.tokens_in, finished.tokens_out) == (7, 9)


def test_a_last_message_that_was_not_written_leaves_the_output() -> None:
    story = begun(brief()).given(stdout(reported()), recorded(AnswerRead(call=1)))
    finished, _ = ends(story.when(exited()))
    assert finished.state == "completed"


# waits


def test_rt2_a_blocked_answer_with_a_wait_gives_the_attempt_back() -> None:
    answer = reported(status="blocked", retry_after_seconds=90)
    finished, task = ends(begun(brief()).given(last_message(answer)).when(exited()))
    assert finished.cause == "rate_limit_retry"
    assert task == TaskRetryScheduled(
        run=RUN,
        cause="rate_limit_retry",
        backoff_us=90_000_000,
        due_at_us=NOW_US + 90_000_000,
        refunded=True,
        hint="structured: retry_after_seconds",
    )


@pytest.mark.parametrize("attempt", [1, 3])
def test_rt2_also_on_the_last_attempt(attempt: int) -> None:
    answer = reported(status="blocked", retry_after_seconds=90)
    _, task = ends(begun(brief(), attempt=attempt).given(last_message(answer)).when(exited()))
    assert isinstance(task, TaskRetryScheduled)


@pytest.mark.parametrize(
    ("refunds", "expected"), [(HINT_REFUNDS_MAX - 1, TaskRetryScheduled), (HINT_REFUNDS_MAX, TaskBlocked)]
)
@pytest.mark.parametrize("reader", ["cli", "ollama"])
def test_rt4_only_so_many_refunds_in_a_row(reader: Reader, refunds: int, expected: type) -> None:
    """By an answer that asks for a wait, and by a server that does."""
    story = begun(brief(reader), refunds=refunds)
    if reader == "cli":
        story = story.given(last_message(reported(status="blocked", retry_after_seconds=90))).when(exited())
    else:
        story = story.when(returned(b"", cause="http:429", wait_us=5_000_000))
    finished, task = ends(story)
    assert isinstance(task, expected)
    assert finished.cause == ("rate_limit_persists" if expected is TaskBlocked else "rate_limit_retry")


@pytest.mark.parametrize(
    ("refunds", "expected"), [(HINT_REFUNDS_MAX - 1, TaskRetryScheduled), (HINT_REFUNDS_MAX, TaskBlocked)]
)
def test_fb1_to_wait_for_a_healthy_adapter_is_bounded_too(refunds: int, expected: type) -> None:
    claim = msgspec.structs.replace(claimed(), refunds=refunds)
    refused = RunRefused(cause="no_adapter_available", retry_after_us=1_000_000, refunded=True)
    finished, task = ends(Story().given(claim).when(refused))
    assert isinstance(task, expected)
    assert finished.cause == "no_adapter_available"


def test_a_wait_without_a_bound_is_not_granted() -> None:
    """A brief that was written before waits were known grants none."""
    answer = reported(status="blocked", retry_after_seconds=90)
    _, task = ends(begun(brief(hint_most_s=0)).given(last_message(answer)).when(exited()))
    assert task == TaskBlocked(run=RUN, cause="reported_blocked")


@pytest.mark.parametrize("wait_us", [1, 999_999, 1_000_000])
def test_rt8_what_a_server_asks_is_rounded_up_to_whole_seconds(wait_us: int) -> None:
    _, task = ends(begun(brief("ollama")).when(returned(b"", cause="http:503", wait_us=wait_us)))
    assert (task.backoff_us, task.refunded, task.hint) == (1_000_000, True, "http: retry-after")


@pytest.mark.parametrize(
    ("cause", "retry"),
    [(f"http:{code}", "retryable" if hints.retryable_status(code) else "permanent") for code in range(300, 600, 7)]
    + [("connection", "retryable"), ("timeout", "retryable"), ("too_large", "retryable")]
    + [("no_key", "permanent"), ("refused", "permanent")],
)
def test_rt8_a_request_that_failed_is_classified(cause: str, retry: str) -> None:
    finished, _ = ends(begun(brief("openai")).when(returned(b"no", cause=cause)))
    assert (finished.retry, finished.cause) == (retry, cause)


# claims

CLAIM = reported(file_changes=["modified src/a.py"])


def waiting(**fields: Any) -> Story:  # noqa: ANN401  # fields of a brief
    """A run that claims a change and waits for what is found of it."""
    before = Before(files={"/w/src/a.py": OLD})
    return begun(brief(where=WHERE, before=before, **fields)).given(last_message(CLAIM), exited())


def test_a_claim_asks_for_a_look_before_anything_counts() -> None:
    story = begun(brief(where=WHERE)).given(last_message(CLAIM)).when(exited())
    story.then(VerificationRequested(call=1))


def test_an_answer_alone_is_looked_at_only_for_an_echo() -> None:
    asked = begun(brief(where=WHERE)).given(last_message(reported())).when(exited()).made()
    assert asked == (VerificationRequested(call=1),)
    without = begun(brief("script", where=WHERE, echo=False)).given(stdout(reported())).when(exited())
    assert ends(without)[0].state == "completed"


def test_ve8_what_was_found_is_an_event_before_the_end() -> None:
    verified, finished, task = waiting().when(evidence(**{"src/a.py": NEW})).made()
    assert isinstance(verified, RunVerified)
    assert (verified.passed, verified.failed) == (4, 0)
    assert (finished.state, task) == ("completed", TaskCompleted(run=RUN))


def test_ve8_the_text_of_the_checks_travels_with_the_step() -> None:
    step = waiting().when(evidence(**{"src/a.py": OLD})).step()
    checks = msgspec.json.decode(step.texts[0], type=tuple[Check, ...])
    assert step.consequences[0].checks == text_of(step.texts[0])  # type: ignore[attr-defined]  # it is RunVerified
    assert [(each.what, each.path) for each in checks if each.result == "failed"] == [("file_change", "src/a.py")]


@pytest.mark.parametrize(
    ("on_unverified", "retry", "expected"), [("retry", "retryable", TaskRetryScheduled), ("block", "none", TaskBlocked)]
)
def test_ve6_an_untouched_file_fails_the_run_as_the_profile_says(
    on_unverified: str, retry: str, expected: type
) -> None:
    story = waiting(on_unverified=on_unverified).when(evidence(**{"src/a.py": OLD}))
    finished, task = ends(story)
    assert (finished.state, finished.retry, finished.cause) == ("failed", retry, "unverified")
    assert isinstance(task, expected)
    outcome = json.loads(story.step().texts[1])
    assert any("src/a.py" in each for each in outcome["warnings"])


def test_ve6_on_the_last_attempt_it_is_blocked() -> None:
    before = Before(files={"/w/src/a.py": OLD})
    story = begun(brief(where=WHERE, before=before), attempt=3).given(last_message(CLAIM), exited())
    _, task = ends(story.when(evidence(**{"src/a.py": OLD})))
    assert task == TaskBlocked(run=RUN, cause="attempts_exhausted")


def test_ve5_a_summary_that_is_the_prompt_fails() -> None:
    answer = reported(operator_summary=PROMPT.decode())
    story = begun(brief(where=WHERE)).given(last_message(answer), exited())
    finished, _ = ends(story.when(evidence()))
    assert finished.cause == "unverified"


@pytest.mark.parametrize(
    ("effect", "retry", "expected"), [("idempotent", "retryable", TaskRetryScheduled), ("once", "none", TaskBlocked)]
)
@pytest.mark.parametrize(
    "fact", [RunOwnerLost(dispatcher="d1", cause="dispatcher_died"), EvidenceGathered(after=text("e"))]
)
def test_a_look_that_was_lost_proves_nothing(effect: str, retry: str, expected: type, fact: Fact) -> None:
    """The dispatcher died before it, or what it saw was erased. An effect that may happen once is not repeated."""
    policy = msgspec.structs.replace(POLICY, effect=effect)
    story = begun(brief(where=WHERE), policy=policy).given(last_message(CLAIM), exited())
    finished, task = ends(story.when(recorded(fact)))  # type: ignore[arg-type]  # every fact is an event
    assert (finished.state, finished.retry, finished.cause) == ("lost", retry, "verification_lost")
    assert isinstance(task, expected)


def test_a_cancel_while_somebody_looks_ends_the_run() -> None:
    finished, _ = ends(waiting().when(RunCancelAsked(reason="enough")))
    assert (finished.state, finished.cause) == ("canceled", "operator")


def test_a_look_that_comes_after_the_end_changes_nothing() -> None:
    story = waiting().given(RunCancelAsked(reason="enough"))
    assert story.when(evidence(**{"src/a.py": NEW})).made() == ()


def test_a_request_is_stored_without_the_value_of_its_key() -> None:
    asked = HttpInput(
        method="POST", url="http://x", headers={}, body="{}", private=False, bytes_max=1, total_us=1, key_env="NAME"
    )
    assert b'"key_env":"NAME"' in msgspec.json.encode(asked)
