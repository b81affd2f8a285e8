"""Models that stand in for each other, and one that summarizes: through the real program, with a loopback endpoint."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.adapters.model_server import FINISH, Model, called, completion, serving
from tests.commands.place import Done, Place, finished, until

KEYS = {"FIRST_KEY": "sk-canary-first-8d1e", "SECOND_KEY": "sk-canary-second-2b7f"}
TOML = """
[models.first]
base_url = "{first}/v1"
name = "first"
key_env = "FIRST_KEY"
private = true
timeout_s = {timeout}
stream = {stream}
[models.second]
base_url = "{second}/v1"
name = "second"
key_env = "SECOND_KEY"
private = true
stream = {stream}
[models.short]
base_url = "{short}/v1"
name = "short"
private = true
[controllers.one]
kind = "openai"
model = "first"
retries = {retries}
retry_s = 0.01
[controllers.two]
kind = "openai"
model = "second"
retries = 0
[profiles.it]
controller = "one"
program = "{program}"
tools = ["local-process"]
middleware = [
    {{ kind = "model-fallback", controllers = ["two"] }},
    {{ kind = "trim-history", messages = 1 }},
    {{ kind = "summarize-history", model = "short", chars = 200 }},
]
[[policies]]
id = "free"
effect = "allow"
tool = "local-process"
"""


@dataclass
class Two:
    """A folder, and an endpoint that behaves in another way for each model."""

    place: Place
    model: Model

    def go(self, *argv: str, env: dict[str, str] | None = None, **ways: object) -> Done:
        """Run a goal, with models that behave that way."""
        self.configured(**ways)
        wanted = ("do", "--agent", "it", "--json", *(argv or ("the goal",)))
        return self.place.rt(*wanted, env=KEYS if env is None else env)

    def configured(self, **ways: object) -> None:
        """What is configured from now on."""
        plain = {"first": "broken", "second": "good", "short": "good"} | ways
        bases = {name: f"{self.model.base}/{plain[name]}" for name in ("first", "second", "short")}
        fields = {"timeout": 20, "retries": 1, "stream": "false", "program": "controller"} | plain | bases
        self.place.config(TOML.format(**fields))

    def events(self, topic: str) -> list[dict[str, Any]]:
        """The data of the latest run's events of a topic."""
        lines = self.place.rows("run", "log", "@last")
        return [line["data"] for line in lines if line["topic"] == f"{topic}.v1"]

    def decisions(self) -> list[tuple[str, str]]:
        """Who decided what."""
        return [(each["controller"], each["decision"]) for each in self.events("run.decision_made")]

    def asked(self) -> list[str]:
        """Which model was asked, in order."""
        return [each.body["model"] for each in self.model.seen]


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One log for all these runs: at the end it replays, and no key is in it."""
    place = Place(tmp_path_factory.mktemp("fallbacks"))
    yield place
    assert place.rt("replay", "--all").code == 0
    exported = place.ok("log", "export").out
    for key in KEYS.values():
        assert key.encode() not in exported
        for path in place.state.rglob("*"):
            assert not path.is_file() or key.encode() not in path.read_bytes(), path


@pytest.fixture
def two(_home: Place) -> Iterator[Two]:
    with serving() as model:
        yield Two(_home, model)


@pytest.mark.parametrize(
    ("way", "asks", "timeout"),
    [("broken", 2, 20), ("forbidden", 1, 20), ("busy", 2, 20), ("cut", 2, 20), ("garbage", 2, 20), ("drip", 2, 0.3)],
)
def test_where_the_first_model_fails_the_second_one_decides(two: Two, way: str, asks: int, timeout: float) -> None:
    """CT-1: each answer that was none is recorded, and so is the change."""
    done = two.go(first=way, timeout=timeout)
    assert (done.code, done.document["status"], done.document["summary"]) == (0, "completed", "all is well")
    assert two.decisions() == [("one", "none")] * asks + [("two", "finish")]
    (replaced,) = two.events("run.controller_replaced")
    assert (replaced["controller"], replaced["by"], replaced["errors"]) == ("one", "two", asks)
    assert two.asked() == ["first"] * asks + ["second"]
    assert {each.headers["authorization"] for each in two.model.seen} == {f"Bearer {key}" for key in KEYS.values()}


def test_while_the_first_model_answers_nobody_else_is_asked(two: Two) -> None:
    assert two.go(first="good").code == 0
    assert two.asked() == ["first"]
    assert two.events("run.controller_replaced") == []


def test_where_the_second_one_fails_as_well_the_run_is_blocked(two: Two) -> None:
    done = two.go(second="broken")
    assert (done.code, done.document["status"], done.document["cause"]) == (1, "blocked", "controller_failed")
    assert two.asked() == ["first", "first", "second"]
    assert [each["budget"] for each in two.events("run.budget_reached")] == ["errors"]


def test_a_second_model_without_a_key_is_not_reached_and_its_failure_is_recorded(two: Two) -> None:
    done = two.go(env={"FIRST_KEY": KEYS["FIRST_KEY"]})
    assert (done.code, done.document["cause"]) == (1, "controller_failed")
    assert [each["cause"] for each in two.events("run.controller_answered")] == ["http:500", "http:500", "no_key"]


def test_a_first_model_without_a_key_is_no_reason_to_refuse_a_goal_that_the_second_one_can_serve(two: Two) -> None:
    done = two.go(env={"SECOND_KEY": KEYS["SECOND_KEY"]})
    assert (done.code, done.document["status"]) == (0, "completed")
    assert two.asked() == ["second"]
    assert [each.get("cause", "") for each in two.events("run.controller_answered")] == ["no_key", ""]


def test_a_goal_is_refused_where_no_model_has_its_key(two: Two) -> None:
    done = two.go(env={})
    assert done.code == 2
    assert b"FIRST_KEY" in done.err
    assert two.asked() == []


def test_the_second_one_stays_until_the_run_ends(two: Two) -> None:
    tool = {"tool": "local-process", "input": {"command": "echo", "args": ["found it"]}}
    two.model.script += [completion(json.dumps({"type": "tool", "calls": [tool]})), completion(FINISH)]
    assert two.go(second="script").code == 0
    assert two.asked()[:3] == ["first", "first", "second"]
    assert set(two.asked()[3:]) == {"second"}
    assert "found it" in json.dumps(two.model.seen[-1].body)


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_chat_goes_on_with_the_second_model_and_its_words_alone_are_the_answer(two: Two, stream: str) -> None:
    ways: dict[str, Any] = {"first": "cutstream", "second": "words"} if stream == "true" else {}
    done = two.go(program="chat", stream=stream, **ways)
    assert (done.code, done.document["summary"]) == (0, "hello w\u00f6rld" if stream == "true" else FINISH)
    assert two.decisions() == [("one", "none"), ("one", "none"), ("two", "finish")]


def test_a_chat_that_called_a_tool_hands_its_turns_over(two: Two) -> None:
    two.model.script += [
        called(("local-process", '{"command":"echo","args":["found it"]}')),
        completion("", usage=None),
    ]
    done = two.go(program="chat", first="script", retries=0)
    assert done.code == 0, done
    assert two.asked() == ["first", "first", "second"]
    roles = [each["role"] for each in two.model.seen[-1].body["messages"]]
    assert roles == ["system", "user", "assistant", "tool"]
    assert "found it" in two.model.seen[-1].body["messages"][-1]["content"]


def test_a_run_that_waits_for_the_second_one_can_be_canceled(two: Two) -> None:
    two.configured(first="forbidden", second="late")
    slow = Place(two.place.folder, KEYS)
    with slow.started("do", "--agent", "it", "--json", "the goal") as process:
        until(lambda: two.asked() == ["first", "second"])
        two.place.ok("cancel", "@last", "--reason", "enough")
        done = finished(process)
    assert (done.code, done.document["status"]) == (1, "operator_canceled")
    assert len(two.events("run.finished")) == 1


# summaries


def talks(two: Two, thread: str) -> None:
    """Three messages of a conversation, of which later ones leave some out."""
    for text in ("the port is 8080", "the host is example.org"):
        assert two.go("--thread", thread, text, first="good", short="broken").code == 0
    two.model.seen.clear()


def test_what_a_history_leaves_out_is_summarized_once_and_shown(two: Two) -> None:
    """TH-2."""
    talks(two, "a")
    two.model.script.append(completion("The port is 8080."))
    assert two.go("--thread", "a", "and now?", first="good", short="script").code == 0
    assert two.asked() == ["short", "first"]
    shown = json.loads(two.model.seen[0].body["messages"][-1]["content"])["messages"]
    assert [each["content"] for each in shown] == ["the port is 8080", "all is well", "the host is example.org"]
    history = json.loads(two.model.seen[1].body["messages"][-1]["content"])["history"]
    assert history[0]["content"].startswith("[3 earlier messages are left out]\nA summary of them")
    assert history[0]["content"].endswith("The port is 8080.")
    assert history[1:] == [{"role": "assistant", "content": "all is well"}]
    (summarized,) = two.events("run.history_summarized")
    assert (summarized["messages"], summarized["tokens_in"], summarized["tokens_out"]) == (3, 100, 20)
    asked, decided = two.events("run.controller_asked")
    assert (asked["purpose"], asked["controller"]) == ("summary", "short")
    assert decided.get("purpose", "decision") == "decision"


@pytest.mark.parametrize(
    ("short", "refused"), [("broken", "http:500"), ("empty", "empty"), ("array", "not_a_completion")]
)
def test_without_a_summary_the_run_goes_on_and_says_why(two: Two, short: str, refused: str) -> None:
    talks(two, f"b-{short}")
    assert two.go("--thread", f"b-{short}", "and now?", first="good", short=short).code == 0
    assert two.asked() == ["short", "first"], "once, and not again"
    assert [each["refused"] for each in two.events("run.history_summarized")] == [refused]
    history = json.loads(two.model.seen[1].body["messages"][-1]["content"])["history"]
    assert history[0]["content"] == "[3 earlier messages are left out]"


def test_a_summary_and_a_second_model_go_together(two: Two) -> None:
    talks(two, "c")
    two.model.script.append(completion("The port is 8080."))
    assert two.go("--thread", "c", "and now?", short="script").code == 0
    assert two.asked() == ["short", "first", "first", "second"]
    assert "The port is 8080." in json.dumps(two.model.seen[-1].body)


def test_a_streamed_summary_is_no_output_of_the_run(two: Two) -> None:
    """Only the words of an answer are: a summary is for the next request."""
    talks(two, "d")
    two.configured(first="words", stream="true", program="chat", short="words")
    text = (two.place.folder / "rt.toml").read_text()
    two.place.config(text.replace('name = "short"\n', 'name = "short"\nstream = true\n'))
    done = two.place.rt("do", "--agent", "it", "--json", "--thread", "d", "and now?", env=KEYS)
    assert (done.code, done.document["summary"]) == (0, "hello w\u00f6rld")
    assert {each["call"] for each in two.events("output.appended")} == {2}, "the answer of the second ask"
    assert [each.get("refused", "") for each in two.events("run.history_summarized")] == [""]
