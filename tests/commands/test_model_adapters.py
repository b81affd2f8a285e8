"""Models that answer one prompt, in one piece or as it comes, of Ollama's kind and of OpenAI's, on a loopback server.

Work and adapters, section 12; retry by status as in section 4.
"""

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from typing import Any

import pytest

from domain.bounds import ANSWER_STORED_BYTES_MAX
from domain.events import TaskFailed, TaskRetryScheduled
from tests.adapters.ollama_server import DIGEST, Answer, Models, generated, serving, spoken, streamed
from tests.commands.fakes import Bench, Run
from tests.commands.place import Place, finished, until

KEY = "sk-canary-model-51c0"
CONFIG = """
[secrets]
env = ["MODEL_KEY"]
[adapters.ollama]
kind = "ollama"
endpoint = "{base}/"
model = "m"
private = true
timeout_s = {timeout}
[adapters.text]
kind = "ollama"
endpoint = "{base}"
model = "m"
private = true
outcome = "text"
[adapters.small]
kind = "ollama"
endpoint = "{base}"
model = "m"
private = true
max_bytes = 2000
[adapters.unpinned]
kind = "ollama"
endpoint = "{base}"
model = "another"
private = true
[adapters.public]
kind = "ollama"
endpoint = "{base}"
model = "m"
probe = false
[adapters.openai]
kind = "openai"
endpoint = "{base}/v1/"
model = "gpt"
key_env = "MODEL_KEY"
private = true
"""
DONE = {"status": "completed", "operator_summary": "did it", "machine_status": "ok"}


def completed(content: object, finish: str = "stop", **more: Any) -> Answer:  # noqa: ANN401  # fields of the answer
    """A chat completion."""
    text = content if isinstance(content, str) else json.dumps(content)
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    used = {"prompt_tokens": 11, "completion_tokens": 7}
    return Answer(json.dumps({"choices": [choice], "usage": used, "model": "gpt"} | more).encode())


@pytest.fixture(scope="module")
def server() -> Iterator[Models]:
    with serving() as models:
        yield models


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, server: Models) -> Iterator[Bench]:
    """One home for all; at the end each of its runs replays, without the server."""
    made = Bench(Place(tmp_path_factory.mktemp("models"), {"MODEL_KEY": KEY, "HTTP_PROXY": "http://127.0.0.1:1"}))
    made.config(CONFIG.format(base=server.base, timeout=10))
    yield made
    server.begin()
    made.replays()
    assert server.asked == [], "a replay asks nobody"
    for path, content in made.everything():
        assert KEY.encode() not in content, path


def went(bench: Bench, server: Models, answer: Answer, adapter: str = "ollama", **task: Any) -> Run:  # noqa: ANN401
    """One run with this answer."""
    server.begin(answer)
    return bench.run(requested_adapter=adapter, **task)


# ollama


def test_ollama_is_sent_the_stored_prompt_and_its_answer_and_usage_are_kept(bench: Bench, server: Models) -> None:
    """Section 12, OL-3: a slash at the end of the endpoint, and no proxy of the environment; OL-4: the usage."""
    run = went(bench, server, generated(DONE), subject="a subject")
    (post,) = server.posts
    assert post.path == "/api/generate"
    assert json.loads(post.body) == {"model": "m", "prompt": run.prompt, "stream": True, "format": "json"}
    assert "a subject" in run.prompt
    assert "authorization" not in post.headers
    assert run.end == ("completed", "none", "")
    assert run.usage == (26, 298, None)
    assert [each.path for each in server.asked] == ["/api/tags", "/api/generate"]


def test_ol4_the_digest_of_the_model_is_in_the_bundle(bench: Bench, server: Models) -> None:
    run = went(bench, server, generated(DONE))
    assert run.bundle["adapter"]["model_digest"] == DIGEST
    assert run.bundle["adapter"]["endpoint"].startswith("http://127.0.0.1:")


def test_bn2_a_model_that_the_server_does_not_list_is_not_pinned(bench: Bench, server: Models) -> None:
    run = went(bench, server, generated(DONE), "unpinned")
    assert run.bundle["adapter"]["model_digest"] == ""
    assert run.one("run.started").grade in ("best_effort", "non_replayable_model")


def test_ou2_an_adapter_that_answers_in_prose_may_say_so(bench: Bench, server: Models) -> None:
    run = went(bench, server, generated("Forty-two."), "text")
    assert "format" not in json.loads(server.posts[0].body)
    assert run.end == ("completed", "none", "")
    assert (run.outcome["operator_summary"], run.outcome["status_source"]) == ("Forty-two.", "text")


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (generated("", thinking=json.dumps(DONE)), "empty_output"),
        (generated("  \n"), "empty_output"),
        (Answer(json.dumps({"thinking": json.dumps(DONE), "done": True}).encode()), "empty_output"),
        (Answer(json.dumps({"response": 7}).encode()), "empty_output"),
        (Answer(json.dumps(DONE).encode()), "empty_output"),
        (Answer(b"<html>no</html>"), "not_json"),
        (Answer(b"\xff\xfe"), "not_json"),
        (Answer(b""), "not_json"),
        (Answer(b"[]"), "not_json"),
        (Answer(b"[" * 100_000), "not_json"),
        (Answer(b'{"error":"model runner has stopped"}'), "agent_error"),
        (generated("All is well."), "no_outcome"),
        (generated([]), "no_outcome"),
        (Answer(b'{"response":', length=10_000), "connection"),
        (generated("x" * ANSWER_STORED_BYTES_MAX), "too_large"),
    ],
)
def test_ol2_what_is_no_answer_is_tried_again(bench: Bench, server: Models, answer: Answer, cause: str) -> None:
    """Thinking is never the answer, and what is cut by a bound says so: OL-2, OL-3, OU-1."""
    run = went(bench, server, answer)
    assert run.end == ("failed", "retryable", cause)


def test_ol2_thinking_is_kept_beside_the_answer(bench: Bench, server: Models) -> None:
    run = went(bench, server, generated(DONE, thinking="hm, hm"))
    assert run.end == ("completed", "none", "")
    assert json.loads(run.text(run.one("run.tool_returned").result))["thinking"] == "hm, hm"


def test_ol3_an_answer_larger_than_its_bound_is_none(bench: Bench, server: Models) -> None:
    run = went(bench, server, generated("x" * 2_000), "small")
    assert run.end == ("failed", "retryable", "too_large")


def test_ol3_a_redirect_is_not_followed(bench: Bench, server: Models) -> None:
    run = went(bench, server, Answer(b"", 307, {"location": f"{server.base}/elsewhere"}))
    assert run.end == ("failed", "permanent", "http:307")
    assert [each.path for each in server.posts] == ["/api/generate"]


def test_a_private_address_is_refused_unless_the_adapter_says_so(bench: Bench, server: Models) -> None:
    run = went(bench, server, generated(DONE), "public")
    assert run.end == ("failed", "permanent", "private_address")
    assert server.asked == []


# status, pauses, time


@pytest.mark.parametrize("adapter", ["ollama", "openai"])
@pytest.mark.parametrize(
    ("status", "retry"),
    [
        *((status, "retryable") for status in (408, 409, 425, 429, 500, 502, 503, 504, 529, 599)),
        *((status, "permanent") for status in (400, 401, 403, 404, 413, 422)),
    ],
)
def test_rt8_a_status_says_whether_trying_again_can_help(
    bench: Bench, server: Models, status: int, retry: str, adapter: str
) -> None:
    """RT-8, OL-1."""
    run = went(bench, server, Answer(b'{"error":"no"}', status), adapter)
    assert run.end == ("failed", retry, f"http:{status}")
    assert isinstance(run.task_event, TaskRetryScheduled if retry == "retryable" else TaskFailed)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "within_s"),
    [("7", (7, 7)), ("date", (25, 31)), ("9" * 400, (86_400, 86_400))],
    ids=["s", "date", "absurd"],
)
def test_rt8_a_retry_after_is_a_hint_and_gives_the_attempt_back(
    bench: Bench, server: Models, status: int, value: str, within_s: tuple[int, int]
) -> None:
    """RT-3: an absurd one is clamped to a day."""
    value = formatdate(time.time() + 30, usegmt=True) if value == "date" else value
    run = went(bench, server, Answer(b"", status, {"retry-after": value}))
    assert run.end == ("failed", "retryable", "rate_limit_retry")
    scheduled = run.one("task.retry_scheduled")
    assert within_s[0] <= scheduled.backoff_us / 1_000_000 <= within_s[1]
    assert (scheduled.refunded, scheduled.hint) == (True, "http: retry-after")
    task = bench.log.task(run.task)
    assert task is not None
    assert task.attempts == 0


@pytest.mark.parametrize("value", ["", "soon", "-5", "0", "Thu, 01 Jan 1970 00:00:00 GMT", "\x01"])
def test_rt8_a_retry_after_that_is_none_leaves_the_ordinary_pause(bench: Bench, server: Models, value: str) -> None:
    run = went(bench, server, Answer(b"", 429, {"retry-after": value}))
    assert run.end == ("failed", "retryable", "http:429")
    assert not run.one("task.retry_scheduled").refunded


def test_rt8_a_permanent_status_stays_permanent_whatever_its_header_asks(bench: Bench, server: Models) -> None:
    run = went(bench, server, Answer(b"", 403, {"retry-after": "5"}))
    assert run.end == ("failed", "permanent", "http:403")


def test_a_server_that_does_not_answer_in_time_is_tried_again(bench: Bench, server: Models) -> None:
    """Section 12: timeout / retryable."""
    bench.config(CONFIG.format(base=server.base, timeout=0.3))
    run = went(bench, server, Answer(late_s=20))
    bench.config(CONFIG.format(base=server.base, timeout=10))
    assert run.end == ("failed", "retryable", "timeout")


def test_a_run_that_waits_for_a_model_can_be_canceled(bench: Bench, server: Models) -> None:
    """OP-1."""
    server.begin(Answer(late_s=20))
    task = bench.queue(requested_adapter="ollama")
    with bench.place.started("work", "--until-idle") as process:
        until(lambda: server.posts)
        bench.place.ok("cancel", task, "--reason", "enough")
        finished(process)
    assert bench.status(task)[0] == "operator_canceled"


def test_a_dispatcher_killed_while_a_model_thinks_asks_again_afterwards(bench: Bench, server: Models) -> None:
    server.begin(Answer(late_s=20), generated(DONE))
    task = bench.queue(requested_adapter="ollama")
    with bench.place.started("work") as process:
        until(lambda: server.posts)
        process.kill()
        finished(process)
    first, second = bench.settle(task)
    assert first.end == ("lost", "retryable", "dispatcher_died")
    assert second.end == ("completed", "none", "")
    assert first.one("run.started").bundle_hash == second.one("run.started").bundle_hash


# openai


def test_openai_is_sent_the_prompt_with_its_key_and_its_usage_is_kept(bench: Bench, server: Models) -> None:
    run = went(bench, server, completed(DONE), "openai")
    (post,) = server.posts
    assert post.path == "/v1/chat/completions"
    assert json.loads(post.body) == {
        "model": "gpt",
        "messages": [{"role": "user", "content": run.prompt}],
        "response_format": {"type": "json_object"},
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert post.headers["authorization"] == f"Bearer {KEY}"
    assert run.end == ("completed", "none", "")
    assert run.usage == (11, 7, None)


@pytest.mark.parametrize(
    ("answer", "end"),
    [
        (completed(DONE, "length"), ("retryable", "cut_answer")),
        (completed(""), ("retryable", "empty_output")),
        (Answer(b'{"choices":[]}'), ("retryable", "empty_output")),
        (Answer(b"[]"), ("retryable", "not_a_completion")),
        (Answer(b"no"), ("retryable", "not_a_completion")),
        (completed("prose"), ("retryable", "no_outcome")),
        (completed({"status": "failed"}), ("permanent", "reported_failure")),
    ],
)
def test_what_is_no_answer_of_openai_ends_with_a_cause(
    bench: Bench, server: Models, answer: Answer, end: tuple[str, str]
) -> None:
    assert went(bench, server, answer, "openai").end == ("failed", *end)


def test_a_key_that_the_answer_repeats_is_not_stored(bench: Bench, server: Models) -> None:
    """CR-3: searched for in all files at the end of the module."""
    run = went(bench, server, completed(DONE | {"operator_summary": f"your key is {KEY}"}), "openai")
    assert KEY not in run.outcome["operator_summary"]
    assert run.outcome["operator_summary"].startswith("your key is ")


def test_without_its_key_nothing_is_sent(bench: Bench, server: Models) -> None:
    server.begin(completed(DONE))
    run = bench.run(requested_adapter="openai", env={"MODEL_KEY": ""})
    assert run.end == ("failed", "permanent", "no_key")
    assert server.posts == []


# answers that come piece by piece


def said(run: Run, stream: str = "content") -> str:
    """What was recorded of it while it came."""
    found = [each for each in run.log.run_events(run.run, bodies=True) if getattr(each.data, "stream", "") == stream]
    assert all(each.body for each in found)
    return b"".join(each.body or b"" for each in found).decode()


@pytest.mark.parametrize(("adapter", "stream"), [("ollama", streamed), ("openai", spoken)])
def test_ol5_an_answer_is_recorded_while_it_comes_and_is_the_same_as_a_whole_one(
    bench: Bench, server: Models, adapter: str, stream: Callable[..., Answer]
) -> None:
    text = json.dumps(DONE)
    run = went(bench, server, stream(text[:9], text[9:30], text[30:]), adapter)
    assert said(run) == text
    assert run.end == ("completed", "none", "")
    assert run.outcome["operator_summary"] == "did it"
    assert run.usage == ((26, 298, None) if adapter == "ollama" else (11, 7, None))


@pytest.mark.parametrize(("adapter", "stream"), [("ollama", streamed), ("openai", spoken)])
def test_ol5_a_stream_that_breaks_off_is_no_answer(
    bench: Bench, server: Models, adapter: str, stream: Callable[..., Answer]
) -> None:
    run = went(bench, server, stream(json.dumps(DONE), done=False), adapter)
    assert run.end == ("failed", "retryable", "cut_stream")
    assert said(run) == json.dumps(DONE)


def test_ol2_thinking_is_recorded_as_reasoning_and_is_no_answer(bench: Bench, server: Models) -> None:
    line = json.dumps({"model": "m", "done": False, "response": "", "thinking": "let me see"}).encode() + b"\n"
    answer = streamed()
    run = went(bench, server, dataclasses.replace(answer, parts=(line, *answer.parts)))
    assert said(run, "reasoning") == "let me see"
    assert run.end == ("failed", "retryable", "empty_output")


def test_an_error_in_the_middle_of_a_stream_fails_the_run(bench: Bench, server: Models) -> None:
    answer = streamed("half an ", done=False)
    error = json.dumps({"error": "the model ran out of memory"}).encode() + b"\n"
    run = went(bench, server, dataclasses.replace(answer, parts=(*answer.parts, error)))
    assert run.end[2] == "agent_error"
    assert said(run) == "half an "


def test_a_stream_that_goes_on_for_ever_is_cut_at_its_bound(bench: Bench, server: Models) -> None:
    run = went(bench, server, streamed(*(["x" * 900] * 40)), "small")
    assert run.end == ("failed", "retryable", "too_large")


def test_ol5_an_answer_that_goes_wrong_can_be_canceled_while_it_comes(bench: Bench, server: Models) -> None:
    server.begin(streamed("I will now delete", " everything", pause_s=20))
    task = bench.queue(requested_adapter="ollama")
    with bench.place.started("work", "--until-idle") as process:
        until(lambda: "I will now delete" in bench.place.rt("run", "output", task).text)
        bench.place.ok("cancel", task, "--reason", "no")
        assert finished(process).code == 0
    assert bench.status(task)[0] == "operator_canceled"
    assert said(bench.last(task)) == "I will now delete"


def test_a_key_in_the_middle_of_a_stream_is_not_recorded(bench: Bench, server: Models) -> None:
    run = went(bench, server, streamed("the key is " + KEY[:5], KEY[5:] + ", is it not?"), "text")
    assert KEY not in said(run)
    assert "is it not?" in said(run)
