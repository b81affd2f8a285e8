"""Conversations through the door: said, answered by a dispatcher, begun anew, removed; and what they took."""

from collections.abc import Iterator

import pytest

from tests.api.both import Both
from tests.api.serving import served, until
from tests.commands.asking import DECIDED, DECIDER


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("threads")
    (folder / "rt.toml").write_text(DECIDED)
    (folder / "decider.py").write_text(DECIDER)
    with served(folder, "--work") as server:
        found = Both(server)
        yield found
        found.close()


def said(both: Both, thread: str, text: str, agent: str = "one") -> list[str]:
    """Say something and wait for the answer; all that was said in this thread."""
    before = [each for each in both.items("threads") if each["thread"] == thread]
    count = before[0]["messages"] if before else 0
    done = both.done(f"threads/{thread}/messages", {"text": text, "agent": agent}, 201)
    assert done["deduplicated"] is False
    until(lambda: len(both.items(f"threads/{thread}")) >= count + 2, "no answer")
    until(lambda: both.get(f"tasks/{done['task_id']}")["status"] == "completed", "it goes on")
    return [each["content"] for each in both.items(f"threads/{thread}")]


def test_what_is_said_is_answered_and_both_are_in_the_thread(both: Both) -> None:
    assert said(both, "t1", "hello") == ["hello", "re: hello"]
    assert said(both, "t1", "again", "auto") == ["hello", "re: hello", "again", "re: again"]
    assert both.items("threads/t1") == both.listed("thread", "show", "t1")
    assert both.items("threads") == both.listed("thread", "list")
    assert [each["content"] for each in both.items("threads/t1", limit=1)] == ["re: again"]


def test_a_key_says_something_once(both: Both) -> None:
    said(both, "t2", "first")
    body = {"text": "second", "agent": "one"}
    answers = [both.post("threads/t2/messages", body, key="m1") for _ in range(3)]
    assert {(each.status_code, each.content) for each in answers} == {(201, answers[0].content)}
    assert both.post("threads/t2/messages", {"text": "third"}, key="m1").json()["code"] == "http.key_conflict"
    until(lambda: len(both.items("threads/t2")) == 4, "no answer")


@pytest.mark.parametrize(
    ("thread", "body", "status", "code"),
    [
        ("t1", {"text": ""}, 422, "rt.invalid"),
        ("t1", {"text": "x" * 20_001}, 422, "rt.invalid"),
        ("t1", {"text": "x", "agent": "nobody"}, 404, "profile.unknown"),
        ("nobody-yet", {"text": "x"}, 422, "rt.invalid"),
        ("not a name", {"text": "x", "agent": "one"}, 422, "rt.invalid"),
        ("t1", {"text": "x", "more": 1}, 422, "rt.invalid"),
    ],
)
def test_what_cannot_be_said_is_refused(
    both: Both, thread: str, body: dict[str, object], status: int, code: str
) -> None:
    assert both.refused(f"threads/{thread}/messages", body)[:2] == (status, code)


def test_a_thread_begins_anew_and_what_came_before_stays_in_the_log(both: Both) -> None:
    said(both, "t3", "before")
    done = both.done("threads/t3/restart")
    assert (done["thread"], done["status"]) == ("t3", "restarted")
    assert both.items("threads/t3") == both.listed("thread", "show", "t3") == []
    assert said(both, "t3", "after") == ["after", "re: after"]
    assert [each["data"]["thread"] for each in both.items("events", topic="task.queued") if each["data"].get("thread")]
    into = both.done("threads/t3/restart", {"into": "t4"})
    assert into["thread"] == "t4"
    assert both.items("threads/t3") != []
    assert both.refused("threads/none/restart")[:2] == (404, "id.not_found")


def test_a_thread_is_removed_from_lists_but_not_while_something_runs_in_it(both: Both) -> None:
    said(both, "t5", "hello")
    hold = both.place.folder / "hold"
    hold.touch()
    try:
        made = both.done("threads/t5/messages", {"text": "hold on"}, 201)["task_id"]
        until(lambda: both.get(f"tasks/{made}")["status"] == "running", "it does not run")
        exits = both.error("thread", "delete", "t5")
        answer = both.client.delete("/api/v1/threads/t5", headers={"content-type": "application/json"})
        assert (answer.status_code, exits[0]) == (409, 5)
        assert (answer.json()["code"], answer.json()["detail"]) == exits[1:]
    finally:
        hold.unlink()
    until(lambda: both.get(f"tasks/{made}")["status"] == "completed", "it goes on")
    done = both.client.delete("/api/v1/threads/t5", params={"reason": "old"})
    assert (done.status_code, done.json()["status"]) == (200, "deleted")
    assert int(done.headers["rt-position"]) == done.json()["position"] == both.served.head()[0]
    assert "t5" not in [each["thread"] for each in both.items("threads")]
    assert both.client.get("/api/v1/threads/t5").status_code == 404
    assert both.client.delete("/api/v1/threads/t5").status_code == 404


@pytest.mark.parametrize("by", ["model", "agent", "task", "day", "controller"])
def test_what_answers_took_is_told_as_on_the_command_line(both: Both, by: str) -> None:
    if not both.items("threads"):
        said(both, "t9", "hello")
    found = both.items("costs", by=by)
    assert found == both.listed("cost", "--by", by)
    assert sum(each["answers"] for each in found) >= 1
    assert both.items("costs", by=by, since="2200-01-01") == []
