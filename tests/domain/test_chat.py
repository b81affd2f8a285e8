"""The chat program: text ends it, tool calls go on, and their results stand in the next request."""

from typing import Any

import msgspec

from domain.agent_events import ApprovalRequested, CallRefused, ControllerAnswered, ControllerAsked, DecisionMade
from domain.config import Config
from domain.events import Recorded, RunFinished, TaskBlocked, TaskCompleted, TaskParked, TimerFired, ToolCallRequested
from domain.events import ToolExited as Exited
from domain.events import ToolStarted as Started
from domain.ids import text_of
from domain.run import next_timer
from domain.setup import Message
from tests.adapters.model_server import called, completion
from tests.agents import ALLOW, approved, begun, config, mind, printed, rejected, resumed
from tests.domain.test_controller import claimed_again, kinds
from tests.story import Story, recorded

CHAT = config(program="chat", policies=[ALLOW])
LOOK = ("local-process", '{"command":"look","args":["around"]}')


def said(story: Story, document: dict[str, Any]) -> Recorded:
    """What the endpoint answers to the question that is open."""
    body = msgspec.json.encode(document)
    fact = ControllerAnswered(ask=mind(story.now).question.ask, answer=text_of(body), latency_us=5)
    return msgspec.structs.replace(recorded(fact), texts={"answer": body})


def started(call: int) -> Started:
    return Started(call=call, pid=7, start_ticks=8, boot_id="b")


def exited(call: int, code: int = 0) -> Exited:
    return Exited(call=call, duration_us=5, exit_code=code)


def request(story: Story, fact: Any) -> dict[str, Any]:  # noqa: ANN401  # an event
    """The body that is sent because of this fact."""
    step = story.when(fact).step()
    assert kinds(step.consequences)[-1] is ControllerAsked
    found: dict[str, Any] = msgspec.json.decode(step.texts[-1])
    return found


def retried(story: Story) -> TimerFired:
    timer = next_timer(story.now)
    assert timer is not None
    assert timer.timer.startswith("retry:")
    return TimerFired(timer=timer.timer, due_us=timer.due_us)


def test_the_end_of_a_text_finishes_the_run_with_it() -> None:
    story = begun(CHAT)
    made = story.when(said(story, completion("hello"))).made()
    assert kinds(made) == [DecisionMade, RunFinished, TaskCompleted]
    assert made[0].decision == "finish"
    assert (made[0].tokens_in, made[0].tokens_out, made[0].cost_nusd) == (100, 20, None)


def test_a_tool_call_is_a_tool_decision_and_nothing_is_asked_until_it_ends() -> None:
    story = begun(CHAT)
    made = story.when(said(story, called(LOOK))).made()
    assert kinds(made) == [DecisionMade, ToolCallRequested]
    assert (made[0].decision, made[0].calls) == ("tool", (2,))
    story = story.given(said(story, called(LOOK)), started(2))
    assert story.when(printed(b"fatal: no\nlistening on 1\n", call=2)).made() == ()


def test_the_result_of_a_call_stands_in_the_messages_of_the_next_request() -> None:
    story = begun(CHAT, goal="find it")
    story = story.given(said(story, called(LOOK)), started(2), printed(b"a key\n", call=2))
    body = request(story, exited(2))
    system, user, assistant, result = body["messages"]
    assert system["role"] == "system"
    assert user == {"role": "user", "content": "find it"}
    (call,) = assistant["tool_calls"]
    assert call["function"]["name"] == "local-process"
    assert msgspec.json.decode(call["function"]["arguments"]) == {"command": "look", "args": ["around"]}
    assert result == {"role": "tool", "tool_call_id": call["id"], "content": "a key\n\n[exit 0]"}
    assert [each["function"]["name"] for each in body["tools"]] == ["local-process"]


def test_several_calls_of_one_answer_are_answered_together_in_their_order() -> None:
    story = begun(CHAT)
    story = story.given(said(story, called(LOOK, LOOK)), started(2), started(3))
    story = story.given(printed(b"second\n", call=3))
    assert story.when(exited(3)).made() == ()
    story = story.given(exited(3), printed(b"first\n", call=2))
    assistant, *results = request(story, exited(2, 3))["messages"][2:]
    assert [each["id"] for each in assistant["tool_calls"]] == ["c2", "c3"]
    assert [each["content"] for each in results] == ["first\n\n[exit 3]", "second\n\n[exit 0]"]


def test_turns_stay_in_the_conversation() -> None:
    story = begun(CHAT)
    for call in (2, 4):
        story = story.given(said(story, called(LOOK)), started(call), exited(call))
    roles = [each["role"] for each in msgspec.json.decode(story_request(story))["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "assistant", "tool"]


def story_request(story: Story) -> bytes:
    """The request that is open, made once more from what the run remembers."""
    from domain import asking

    known = mind(story.now)
    return asking.request(story.now, known, "slow", known.question.triggers, 0)


def test_an_empty_answer_is_none_and_the_question_is_put_again() -> None:
    story = begun(CHAT)
    empty = said(story, completion("  "))
    made = story.when(empty).made()
    assert kinds(made) == [DecisionMade]
    assert (made[0].decision, made[0].refused) == ("none", "empty")
    story = story.given(empty)
    assert kinds(story.when(retried(story)).made()) == [ControllerAsked]


def test_a_model_that_stays_silent_ends_the_run_as_controller_failed() -> None:
    story = begun(CHAT)
    for _ in range(3):
        story = story.given(said(story, completion(None)))
        story = story.given(retried(story))
    made = story.when(said(story, completion(None))).made()
    assert kinds(made)[-1] is TaskBlocked
    assert made[-1].cause == "controller_failed"


def test_a_call_of_an_unknown_tool_or_with_a_wrong_input_is_told_to_the_model() -> None:
    for name, arguments, why in (("nowhere", "{}", "unknown_tool"), ("local-process", '{"x":1}', "wrong_input")):
        story = begun(CHAT)
        step = story.when(said(story, called((name, arguments)))).step()
        assert kinds(step.consequences) == [DecisionMade, CallRefused, ControllerAsked]
        messages = msgspec.json.decode(step.texts[-1])["messages"]
        assert why in messages[-1]["content"]
        assert messages[-1]["tool_call_id"] == messages[-2]["tool_calls"][0]["id"]


def test_arguments_that_are_no_object_are_no_answer() -> None:
    story = begun(CHAT)
    made = story.when(said(story, called(("local-process", "not json")))).made()
    assert kinds(made) == [DecisionMade]
    assert made[0].refused.startswith("wrong_shape")


def test_what_a_policy_asks_for_waits_for_a_person_and_goes_on_with_the_answer() -> None:
    asking_first = config(program="chat")
    story = begun(asking_first)
    made = story.when(said(story, called(LOOK))).made()
    assert kinds(made) == [DecisionMade, ApprovalRequested, TaskParked]
    story = story.given(said(story, called(LOOK)))
    yes = claimed_again(story.given(approved(story, 2)))
    assert kinds(yes.when(resumed(asking_first)).made()) == [ToolCallRequested]
    no = claimed_again(story.given(rejected(story, 2, "not this one")))
    assert "not this one" in request(no, resumed(asking_first))["messages"][-1]["content"]


def test_history_memory_and_prompts_stand_before_the_goal() -> None:
    from domain import agents, setup
    from domain.events import RunStarted
    from tests.agents import POLICY
    from tests.story import claimed

    before = (Message(role="user", content="hi"), Message(role="assistant", content="hello"))
    given = agents.Given(goal="go on", history=before, history_left_out=4, memory=("likes tea",))
    of: Config = config(program="chat", prompt=("Be brief.",))
    document = setup.encode(agents.setup(of, "it", given))
    fact = RunStarted(
        program="chat", adapter="agent", bundle=text_of(b""), policy=POLICY, setup=text_of(document), profile="it"
    )
    start = msgspec.structs.replace(recorded(fact), texts={"setup": document})
    system, left_out, *rest = request(Story().given(claimed()), start)["messages"]
    assert "Be brief." in system["content"]
    assert "likes tea" in system["content"]
    assert "4 earlier messages" in left_out["content"]
    assert [each["content"] for each in rest] == ["hi", "hello", "go on"]
