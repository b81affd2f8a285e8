"""The typed client against a real server with a dispatcher: what people who come from a library expect."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rt_runtime.answers import Reader
from rt_runtime.client import AsyncClient, Client, Problem
from tests.api.serving import WITHIN_S, Served, served, until
from tests.commands.asking import ECHO, RULES

FAST = 'runtime_name = "house"\nallow_argv_from = ["http"]\n[retry]\nattempts = 1\n'


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("house")
    (folder / "rt.toml").write_text(FAST + RULES)
    with served(folder, "--work") as found:
        yield found


@pytest.fixture
def rt(house: Served) -> Iterator[Client]:
    with Client(house.url, house.token("operate"), timeout_s=WITHIN_S) as found:
        yield found


def argv(*words: str) -> dict[str, object]:
    return {"argv": list(words)}


def wanting() -> dict[str, object]:
    """A payload whose agent wants to call a tool that needs a yes."""
    return {"goal": "do it", "calls": [{"tool": "local-process", "input": ECHO}]}


def test_run_returns_the_result_of_a_task(rt: Client) -> None:
    result = rt.run(payload=argv("echo", "hello"), kind="command", timeout_s=WITHIN_S)
    assert result.completed
    assert result.run


def test_run_tells_why_it_failed(rt: Client) -> None:
    result = rt.run(payload=argv("sh", "-c", "exit 3"), kind="command", max_attempts=1, timeout_s=WITHIN_S)
    assert (result.status, result.cause) == ("blocked", "attempts_exhausted")


def test_the_same_key_is_the_same_task(rt: Client) -> None:
    one = rt.submit(payload=argv("true"), kind="command", key="once")
    two = rt.submit(payload=argv("true"), kind="command", key="once")
    assert one.task_id == two.task_id


def test_a_stream_of_a_task_ends_with_it_and_can_be_taken_up_in_the_middle(rt: Client) -> None:
    task = rt.submit(payload=argv("echo", "hello"), kind="command").task_id
    events = list(rt.stream(task))
    assert [events[0].name, events[-1].name] == ["task.queued", "task.completed"]
    assert [event.position for event in events] == sorted({event.position for event in events})
    assert list(rt.stream(task, after=events[2].position)) == events[3:]
    assert list(rt.stream(task, after=events[-1].position)) == []


def test_what_waits_is_approved_and_the_task_goes_on(rt: Client) -> None:
    result = rt.run(payload=wanting(), requested_adapter="agent", requested_profile="asker", timeout_s=WITHIN_S)
    (waits,) = result.waits
    assert waits.arguments == ECHO
    done = rt.resume(waits, "approve", timeout_s=WITHIN_S)
    assert done.completed
    assert done.summary == "it ran"
    with pytest.raises(Problem) as problem:
        rt.approve(waits)
    assert (problem.value.status, problem.value.code) == (409, "approval.resolved")


def test_a_rejection_reaches_the_agent(rt: Client) -> None:
    result = rt.run(
        payload=wanting(), requested_adapter="agent", requested_profile="asker", max_attempts=1, timeout_s=WITHIN_S
    )
    done = rt.resume(result.waits[0], "reject", "not today", timeout_s=WITHIN_S)
    assert not done.completed
    assert "not today" in done.summary


def test_other_arguments_are_what_is_executed(rt: Client) -> None:
    result = rt.run(payload=wanting(), requested_adapter="agent", requested_profile="asker", timeout_s=WITHIN_S)
    done = rt.resume(result.waits[0], "edit", edit={"command": "echo", "args": ["something else"]}, timeout_s=WITHIN_S)
    assert done.completed


def test_a_running_task_is_canceled(rt: Client) -> None:
    task = rt.submit(payload=argv("sleep", "600"), kind="command").task_id
    until(lambda: rt.task(task)["status"] == "running", "it never ran")
    assert rt.cancel(task, "enough") == "is asked to end"
    assert rt.wait(task, timeout_s=WITHIN_S).status == "operator_canceled"


def test_waiting_ends_at_its_limit_and_the_task_goes_on(rt: Client) -> None:
    task = rt.submit(payload=argv("sleep", "600"), kind="command").task_id
    with pytest.raises(TimeoutError):
        rt.wait(task, timeout_s=0.5)
    assert rt.task(task)["status"] in ("pending", "running")
    rt.cancel(task)


def test_a_subscription_hears_what_comes_and_only_what_is_wanted(rt: Client) -> None:
    begun = rt.submit(payload=argv("true"), kind="command").position - 1
    heard = list(itertools.islice(rt.subscribe(after=begun, topic="task.*"), 3))
    assert {event.topic.partition(".")[0] for event in heard} == {"task"}


def test_what_is_refused_says_why_and_where(rt: Client) -> None:
    with pytest.raises(Problem) as problem:
        rt.submit(payload={}, kind="", source="x")
    assert problem.value.status == 422
    assert problem.value.where == "body.kind"
    with pytest.raises(ValueError, match="give one of"):
        rt.submit()


def test_a_wrong_token_is_refused_at_once(house: Served) -> None:
    with Client(house.url, "rt_wrong") as stranger, pytest.raises(Problem) as problem:
        next(stranger.subscribe(after=0))
    assert problem.value.status == 401


def test_the_same_awaited(house: Served) -> None:
    async def main() -> list[str]:
        async with AsyncClient(house.url, house.token("operate"), timeout_s=WITHIN_S) as rt:
            results = await asyncio.gather(
                *(rt.run(payload=argv("echo", str(at)), kind="command", timeout_s=WITHIN_S) for at in range(5))
            )
            return [result.status for result in results]

    assert asyncio.run(main()) == ["completed"] * 5


def test_a_subscription_outlives_its_server(tmp_path: Path) -> None:
    folder = tmp_path / "moving"
    with served(folder) as first:
        port, token = first.port, first.token("operate")
        with Client(first.url, token, timeout_s=WITHIN_S) as rt:
            first.rt("intake", "--", "true")
            events = rt.subscribe(after=0, topic="task.")
            assert next(events).position == 1
            first.stop()
            with served(folder, "--port", str(port)) as second:
                second.rt("intake", "--", "true")
                assert next(events).position == 2
            events.close()


def test_a_server_that_is_not_there_is_said_so() -> None:
    with Client("http://127.0.0.1:9", "rt_x") as nobody, pytest.raises(httpx.TransportError):
        nobody.approvals()


def test_events_are_read_whatever_the_pieces_in_which_they_come() -> None:
    events = [
        {"position": n, "stream": "s", "version": n, "topic": "task.queued.v1", "at": "", "actor": "", "task": "",
         "caused_by": 0, "data": {"text": "a: b\\n\\nc"}}
        for n in (1, 2)
    ]  # fmt: skip
    text = ": connected\nretry: 1000\n\n" + "".join(
        f"id: {each['position']}\nevent: {each['topic']}\ndata: {json.dumps(each)}\n\n" for each in events
    )
    text += 'id: 7\nevent: caught_up\ndata: {"head":7}\n\n'
    for size in (1, 3, 50, len(text)):
        reader = Reader(None)
        pieces = [text[at : at + size] for at in range(0, len(text), size)]
        found = [event.position for piece in pieces for event in reader.feed(piece)]
        assert found == [1, 2]
        assert reader.position == 7
