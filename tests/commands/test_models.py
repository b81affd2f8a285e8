"""Runs that a model decides, through the real program, with an endpoint that is good or bad in every way."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from commands.asks import retry_after_us
from tests.adapters.model_server import FINISH, Model, called, completion, serving
from tests.commands.place import Done, Place, finished, until

KEY = "sk-canary-4f1b9c27d86e"
TOML = """
[models.m]
base_url = "{base}/{way}/v1/"
name = "m"
key_env = "MODEL_KEY"
private = {private}
timeout_s = {timeout}
stream = {stream}
{more}
[controllers.it]
kind = "openai"
model = "m"
retries = {retries}
retry_s = 0.01
fallback = {fallback}
fast = {fast}
[profiles.it]
controller = "it"
program = "{program}"
tools = {tools}
[[policies]]
id = "free"
effect = "allow"
tool = "local-process"
"""
_LEFT_OUT: dict[str, Any] = {  # fields that say nothing are not written
    "cause": "", "refused": "", "tokens_in": None, "tokens_out": None, "cost_nusd": None, "ignored": [], "prices": "",
    "retry_after_us": 0,
}  # fmt: skip


@dataclass
class Way:
    """A folder, an endpoint, and what is configured to go there."""

    place: Place
    model: Model
    log: list[dict[str, Any]] = field(default_factory=list)  # of the latest run

    def go(self, way: str, *argv: str, key: str = KEY, **given: object) -> Done:
        """Run a goal, or a command, with a model that behaves that way."""
        self.configure(way, **given)
        wanted = ("do", "--agent", "it", "--json", *(argv or ("the goal",)))
        done = self.place.rt(*wanted, env={"MODEL_KEY": key, "http_proxy": "http://127.0.0.1:1"})
        self.log = self.place.rows("run", "log", "@last")
        return done

    def configure(self, way: str, **given: object) -> None:
        """Have a profile whose model behaves that way."""
        plain = {"private": "true", "timeout": 20, "stream": "false", "retries": 1, "fallback": "true", "more": ""}
        plain |= {"fast": "true", "tools": '["local-process"]'}
        fields = plain | {"program": "controller", "base": self.model.base} | given
        self.place.config(TOML.format(way=way, **fields))

    def events(self, topic: str) -> list[dict[str, Any]]:
        """What the latest run's log says about this, as a person's program reads it."""
        return [_LEFT_OUT | line["data"] for line in self.log if line["topic"] == f"{topic}.v1"]

    def causes(self) -> list[str]:
        """How each ask ended; empty for an answer."""
        return [each["cause"] for each in self.events("run.controller_answered")]

    def refusals(self) -> list[str]:
        """Why answers were none."""
        return [each["refused"] for each in self.events("run.decision_made")]

    def is_sound(self) -> None:
        """Has an end, and says nothing of the key; that it replays is checked for all runs at once."""
        assert self.events("run.finished")
        assert KEY not in json.dumps(self.log)


_TASK = {
    "kind": "goal",
    "source": "test",
    "payload": {"goal": "the goal"},
    "requested_adapter": "agent",
    "requested_profile": "it",
    "max_attempts": 1,
}


@pytest.fixture(scope="module")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One log for all these runs: at the end it replays, and the key is nowhere in it."""
    place = Place(tmp_path_factory.mktemp("models"))
    place.ok("do", "--", "true")
    yield place
    assert place.rt("replay", "--all").code == 0
    assert KEY.encode() not in place.ok("log", "export").out
    for path in place.state.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


@pytest.fixture
def way(_home: Place) -> Iterator[Way]:
    with serving() as model:
        yield Way(_home, model)


@pytest.mark.parametrize("path", ["good", "fenced", "unknown", "soon"])
def test_a_good_answer_completes_the_run_and_its_tokens_are_recorded(way: Way, path: str) -> None:
    done = way.go(path)
    assert (done.code, done.document["status"]) == (0, "completed")
    (decision,) = way.events("run.decision_made")
    assert (decision["decision"], decision["tokens_in"], decision["tokens_out"]) == ("finish", 100, 20)
    assert decision["cost_nusd"] is None
    assert decision["ignored"] == (["mood"] if path == "unknown" else [])
    (request,) = way.model.seen
    assert request.path == f"/{path}/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["accept-encoding"] == "identity"
    assert request.body["model"] == "m"
    assert request.body["response_format"] == {"type": "json_object"}
    assert [each["role"] for each in request.body["messages"]] == ["system", "user"]
    assert json.loads(request.body["messages"][1]["content"])["goal"] == "the goal"
    way.is_sound()


def test_prices_make_a_cost_and_a_missing_usage_none(way: Way) -> None:
    prices = '[models.m.prices]\nversion = "2026"\ninput_usd_per_million = 2\noutput_usd_per_million = 10\n'
    assert way.go("good", more=prices).code == 0
    (decision,) = way.events("run.decision_made")
    assert (decision["cost_nusd"], decision["prices"]) == (100 * 2_000 + 20 * 10_000, "2026")
    assert way.go("nousage", more=prices).code == 0
    (decision,) = way.events("run.decision_made")
    assert (decision["cost_nusd"], decision["tokens_in"]) == (None, None)
    assert way.go("debt", more=prices).code == 0
    (decision,) = way.events("run.decision_made")
    assert (decision["cost_nusd"], decision["tokens_in"], decision["tokens_out"]) == (None, None, None)
    way.is_sound()


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("garbage", "not_json"),
        ("schema", "wrong_shape"),
        ("empty", "not_json"),
        ("nochoice", "not_json"),
        ("array", "not_a_completion"),
        ("notjson", "not_a_completion"),
        ("nothing", "not_a_completion"),
        ("deep", "too_deep"),
        ("fence", "not_json"),
    ],
)
def test_an_answer_that_is_no_decision_is_recorded_and_asked_again_then_the_run_is_blocked(
    way: Way, path: str, refused: str
) -> None:
    _blocked(way, way.go(path))
    assert way.causes() == ["", ""]
    assert all(each.startswith(refused) for each in way.refusals())
    assert [each["attempt"] for each in way.events("run.controller_asked")] == [1, 2]


@pytest.mark.parametrize(
    ("path", "cause", "asks", "timeout"),
    [
        ("huge", "too_large", 2, 20),
        ("bomb", "refused", 1, 20),
        ("drip", "timeout", 2, 0.4),
        ("late", "timeout", 2, 0.4),
        ("busy", "http:429", 2, 20),
        ("broken", "http:500", 2, 20),
        ("forbidden", "http:401", 1, 20),
        ("moved", "http:307", 2, 20),
        ("cut", "connection", 2, 20),
    ],
)
def test_an_endpoint_that_fails_is_asked_again_where_that_can_help_then_the_run_is_blocked(
    way: Way, path: str, cause: str, asks: int, timeout: float
) -> None:
    _blocked(way, way.go(path, timeout=timeout))
    assert way.causes() == [cause] * asks
    assert way.model.paths == [f"/{path}/v1/chat/completions"] * asks


def _blocked(way: Way, done: Done) -> None:
    assert (done.code, done.document["status"], done.document["cause"]) == (1, "blocked", "controller_failed")
    assert [each["decision"] for each in way.events("run.decision_made")] == ["none"] * len(way.model.seen)
    assert [each["budget"] for each in way.events("run.budget_reached")] == ["errors"]
    way.is_sound()


def test_nobody_listens(way: Way) -> None:
    done = way.go("good", base="http://127.0.0.1:1")
    assert (done.code, done.document["cause"]) == (1, "controller_failed")
    assert way.causes() == ["connection", "connection"]
    way.is_sound()


def test_an_address_of_a_private_network_is_refused_unless_it_is_allowed(way: Way) -> None:
    for host in ("127.0.0.1", "localhost"):
        base = way.model.base.replace("127.0.0.1", host)
        assert way.go("good", private="false", base=base).document["cause"] == "controller_failed"
        assert way.causes() == ["private_address"]
    assert way.model.seen == []
    way.is_sound()


def test_a_key_that_cannot_be_sent_ends_the_run(way: Way) -> None:
    assert way.go("good", key="schl\u00fcssel-\u00fc").document["cause"] == "controller_failed"
    assert way.causes() == ["refused"]
    assert way.model.seen == []
    way.is_sound()


def test_a_goal_whose_model_has_no_key_is_refused_before_anything_is_stored(way: Way) -> None:
    way.configure("good")
    before = way.place.rows("task", "list")
    done = way.place.rt("do", "--agent", "it", "--json", "the goal", env={"MODEL_KEY": ""})
    assert (done.code, done.error["code"]) == (2, "rt.invalid")
    assert "MODEL_KEY" in done.error["message"]
    assert way.place.rows("task", "list") == before


def test_a_task_whose_model_has_no_key_ends_with_that_cause(way: Way) -> None:
    way.configure("good")
    taken = way.place.rt("intake", "--json", json.dumps(_TASK))
    assert taken.code == 0, taken
    way.place.rt("work", "--until-idle", env={"MODEL_KEY": ""})
    way.log = way.place.rows("run", "log", "@last")
    assert way.causes() == ["no_key"]
    assert way.model.seen == []
    way.is_sound()


def test_a_host_that_can_be_none_ends_the_run(way: Way) -> None:
    assert way.go("good", base="http://a..b", private="false").document["cause"] == "controller_failed"
    assert set(way.causes()) <= {"refused", "connection"}
    way.is_sound()


def test_a_key_that_the_endpoint_repeats_does_not_reach_the_log(way: Way) -> None:
    done = way.go("key", program="chat")
    assert done.code == 0
    assert "[redacted]" in way.place.ok("log", "export").text
    way.is_sound()


@pytest.mark.parametrize(("path", "least_us"), [("busy1", 1_000_000), ("busydate", 1)])
def test_the_pause_that_a_busy_endpoint_asks_for_is_kept(way: Way, path: str, least_us: int) -> None:
    way.go(path)
    waits = [each["retry_after_us"] for each in way.events("run.controller_answered")]
    assert len(waits) == 2
    assert all(least_us <= each <= 3_000_000 for each in waits[:1])
    asked, again = [line["at"] for line in way.log if line["topic"] == "run.controller_asked.v1"]
    assert datetime.fromisoformat(again) - datetime.fromisoformat(asked) >= timedelta(microseconds=least_us)
    way.is_sound()


@pytest.mark.parametrize("path", ["busyday", "busynonsense"])
def test_a_pause_of_days_is_recorded_as_one_at_most(way: Way, path: str) -> None:
    way.go(path, retries=0)
    assert [each["retry_after_us"] for each in way.events("run.controller_answered")] == [86_400_000_000]
    way.is_sound()


def test_where_the_model_fails_the_rules_go_on_with_the_command(way: Way) -> None:
    done = way.go("broken", "--", "sh", "-c", "echo worked")
    assert done.code == 0, done
    decisions = [(each["decision"], each["controller"].partition(":")[0]) for each in way.events("run.decision_made")]
    assert decisions[:3] == [("none", "it"), ("none", "it"), ("tool", "fallback")]
    assert way.events("run.tool_exited")[0]["exit_code"] == 0
    way.is_sound()


def test_without_a_fallback_the_command_is_not_started(way: Way) -> None:
    done = way.go("broken", "--", "touch", "made", fallback="false")
    assert (done.code, done.document["cause"]) == (1, "controller_failed")
    assert not (way.place.folder / "made").exists()
    way.is_sound()


def test_a_model_starts_a_tool_and_sees_what_came_of_it(way: Way) -> None:
    tool = {"tool": "local-process", "input": {"command": "echo", "args": ["found it"]}}
    way.model.script += [completion(json.dumps({"type": "tool", "calls": [tool]})), completion(FINISH)]
    assert way.go("script").code == 0
    seen = json.dumps(way.model.seen[-1].body)
    assert "found it" in seen
    assert [each["exit_code"] for each in way.events("run.tool_exited")] == [0]
    way.is_sound()


def test_a_chat_calls_a_tool_and_its_result_stands_in_the_next_request(way: Way) -> None:
    way.model.script += [
        called(("local-process", '{"command":"echo","args":["found it"]}')),
        completion("It is there."),
    ]
    assert way.go("script", program="chat").code == 0
    *_, assistant, result = way.model.seen[-1].body["messages"]
    assert result["tool_call_id"] == assistant["tool_calls"][0]["id"]
    assert "found it" in result["content"]
    way.is_sound()


def test_deep_arguments_of_a_chats_tool_call_are_no_answer(way: Way) -> None:
    _blocked(way, way.go("deepcall", program="chat"))
    assert way.refusals() == ["too_deep", "too_deep"]


def test_a_streamed_answer_is_output_while_it_comes_and_one_answer_at_its_end(way: Way) -> None:
    assert way.go("words", program="chat", stream="true").code == 0
    parts = way.events("output.appended")
    assert {each["stream"] for each in parts} == {"content", "reasoning"}
    (decision,) = way.events("run.decision_made")
    assert (decision["decision"], decision["tokens_in"], decision["tokens_out"]) == ("finish", 100, 20)
    assert way.model.seen[0].body["stream"] is True
    way.is_sound()


def test_a_controller_may_be_streamed_too(way: Way) -> None:
    assert way.go("finishes", stream="true").code == 0
    way.is_sound()


@pytest.mark.parametrize(("path", "cause", "refused"), [("cutstream", "cut_stream", ""), ("nostream", "", "empty")])
def test_a_stream_that_is_none_is_no_answer(way: Way, path: str, cause: str, refused: str) -> None:
    _blocked(way, way.go(path, program="chat", stream="true"))
    assert way.causes() == [cause] * 2
    assert refused in way.refusals()[0]


def test_an_endpoint_that_does_not_stream_though_asked_to_is_understood(way: Way) -> None:
    assert way.go("good", stream="true").code == 0
    way.is_sound()


def test_without_json_mode_the_same_checks_apply(way: Way) -> None:
    _blocked(way, way.go("garbage", more="json_mode = false"))
    assert "response_format" not in way.model.seen[0].body


def test_a_model_that_always_wants_tools_is_stopped_by_its_budget(way: Way) -> None:
    tool = {"tool": "local-process", "input": {"command": "true"}}
    way.model.script.append(completion(json.dumps({"type": "tool", "calls": [tool]})))
    done = way.go("script", fast="false", more="[profiles.it.budgets]\ntool_calls = 3\n")
    assert (done.code, done.document["cause"]) == (1, "budget:tool_calls")
    assert len(way.events("run.tool_exited")) == 3
    way.is_sound()


def test_a_run_that_waits_for_its_model_can_be_canceled(way: Way) -> None:
    way.go("good")  # writes the configuration, too
    text = (way.place.folder / "rt.toml").read_text().replace("/good/", "/late/")
    way.place.config(text)
    slow = Place(way.place.folder, {"MODEL_KEY": KEY})
    with slow.started("do", "--agent", "it", "--json", "the goal") as process:
        until(lambda: len(way.model.seen) == 2)
        way.place.ok("cancel", "@last", "--reason", "enough")
        done = finished(process)
    assert (done.code, done.document["status"]) == (1, "operator_canceled")
    way.log = way.place.rows("run", "log", "@last")
    way.is_sound()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 0),
        ("0", 0),
        (" 7 ", 7),
        ("9" * 5_000, 86_400),
        ("-1", 0),
        ("1.5", 0),
        ("\u0663", 0),
        ("soon", 0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90),
        ("Thu, 01 Jan 1970 00:00:05 GMT", 0),
        ("Thu, 01 Jan 1970 00:01:40", 90),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Thu, 01 Jan 1970 00:00:00 +99999999999999999999", 0),
        ("Thu, 99 Foo 99999 99:99:99 GMT", 0),
    ],
)
def test_whatever_an_endpoint_writes_as_its_pause_is_a_bounded_number_of_seconds(value: str, seconds: int) -> None:
    assert retry_after_us(value, 10_000_000) == seconds * 1_000_000


WEB = """
[tools.web]
kind = "http-request"
hosts = ["{base}"]
methods = ["POST"]
private = {private}
approval = "allow"
timeout_s = 5
[profiles.it.budgets]
decisions = 10
"""


@pytest.mark.parametrize(
    ("path", "private", "result"),
    [
        ("/good", "true", "all is well"),
        ("/broken", "true", "failed: http:500 oh no"),
        ("/bomb", "true", "failed: refused"),
        ("/good", "false", "failed: private_address"),
        ("@elsewhere/good", "true", "refused: wrong_input"),
        (".elsewhere/good", "true", "refused: wrong_input"),
    ],
)
def test_a_request_of_a_tool_reaches_what_is_allowed_and_tells_what_came_of_it(
    way: Way, path: str, private: str, result: str
) -> None:
    wanted = json.dumps({"url": way.model.base + path, "method": "POST", "body": "{}"})
    way.model.script += [called(("web", wanted)), completion("I see.")]
    more = WEB.format(base=way.model.base, private=private)
    assert way.go("script", program="chat", tools='["web"]', more=more).code == 0
    assert result in way.model.seen[-1].body["messages"][-1]["content"]
    reached = [each for each in way.model.paths if not each.startswith("/script")]
    assert reached == ([path] if private == "true" and "elsewhere" not in path else [])
    way.is_sound()
