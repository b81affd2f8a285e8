"""What people decide through the door: exactly what was shown, once, whoever is first, as on the command line."""

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.api.both import Both
from tests.api.serving import served, until
from tests.commands.asking import ECHO, RULES, printed, started, summary, wanting

ALLOWS = 'allow_argv_from = ["http"]\n'
OTHER = {"command": "echo", "args": ["something else"]}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """A server that dispatches, with an agent that asks before it does anything."""
    folder = tmp_path_factory.mktemp("people")
    (folder / "rt.toml").write_text(ALLOWS + RULES)
    with served(folder, "--work") as server:
        found = Both(server)
        yield found
        found.close()


def waiting(both: Both, *calls: dict[str, Any]) -> dict[str, Any]:
    """An agent's call that waits for a person; alone, for nothing else waits any more."""
    for each in both.items("approvals"):
        both.done(f"tasks/{each['task']}/cancel", {}, 202)
    both.done("tasks", json.loads(wanting(list(calls) or [ECHO])), 201)
    return until(lambda: both.items("approvals"), "nothing waits")[0]


def answered(both: Both, asked: dict[str, Any], answer: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401  # fields
    body = {"answer": answer, "shown_sha256": asked["digest"]} | more
    return both.done(f"runs/{asked['run']}/approvals/{asked['call']}", body)


def refused(both: Both, asked: dict[str, Any], answer: str, **more: Any) -> tuple[int, str, str]:  # noqa: ANN401  # fields
    body = {"answer": answer, "shown_sha256": asked["digest"]} | more
    return both.refused(f"runs/{asked['run']}/approvals/{asked['call']}", body)


def over(both: Both, run: str) -> str:
    """Wait until a run has ended; how."""
    ends = ("completed", "failed", "canceled", "blocked")
    until(lambda: both.get(f"runs/{run}")["state"] in ends, f"run {run} goes on")
    return str(both.get(f"runs/{run}")["state"])


def test_a_yes_lets_the_dispatcher_go_on_and_records_who_said_it_where(both: Both) -> None:
    asked = waiting(both)
    before = started(both.place)
    shown = both.get(f"runs/{asked['run']}/approvals/1")
    assert {name: shown[name] for name in asked} == asked
    done = answered(both, asked, "approve", note="go on")
    assert (done["decision"], done["digest"], done["call"]) == ("approved", asked["digest"], 1)
    assert over(both, asked["run"]) == "completed"
    assert (started(both.place) - before, printed(both.place)) == (1, "it is done\n")
    [event] = both.items("events", stream=asked["run"], topic="run.call_approved", after=0)
    assert (event["actor"], event["data"]["channel"]) == ("operator:admin-sql", "http")
    assert both.post(f"runs/{asked['run']}/replay").json()["identical"]


def test_the_beginning_of_a_digest_names_what_was_shown_and_another_one_does_not(both: Both) -> None:
    asked = waiting(both)
    for stale in ("0" * 64, "0" * 8, asked["digest"][1:]):
        for answer, more in (("approve", {}), ("reject", {"reason": "no"}), ("edit", {"edit": OTHER})):
            found = refused(both, asked | {"digest": stale}, answer, **more)
            assert found[:2] == (409, "approval.changed")
    for short in ("", asked["digest"][:7], asked["digest"][:20].upper(), "z" * 64):
        assert refused(both, asked | {"digest": short}, "approve")[:2] == (422, "rt.invalid")
    assert len(both.items("approvals")) == 1
    assert answered(both, asked | {"digest": asked["digest"][:8]}, "approve")["digest"] == asked["digest"]
    assert over(both, asked["run"]) == "completed"


def test_a_no_needs_a_reason_which_the_agent_is_told(both: Both) -> None:
    asked = waiting(both)
    before = started(both.place)
    for more in ({}, {"reason": ""}, {"reason": "  "}, {"note": "no"}):
        assert refused(both, asked, "reject", **more)[:2] == (422, "rt.invalid")
    assert answered(both, asked, "reject", reason="not on a friday")["decision"] == "rejected"
    assert over(both, asked["run"]) == "failed"
    assert (started(both.place), summary(both.place)) == (before, "no: refused: rejected: not on a friday")


def test_an_edit_is_executed_as_edited_and_has_a_digest_of_its_own(both: Both) -> None:
    asked = waiting(both)
    for wrong in ({"command": 1}, {"command": "a", "more": 1}, {}):
        assert refused(both, asked, "edit", edit=wrong)[:2] == (422, "rt.invalid")
    assert refused(both, asked, "edit")[0] == 422
    assert refused(both, asked, "approve", edit=OTHER)[0] == 422
    done = answered(both, asked, "edit", edit=OTHER)
    assert (done["decision"], done["digest"]) == ("edited", asked["digest"])
    assert over(both, asked["run"]) == "completed"
    assert printed(both.place) == "something else\n"
    [edited] = both.place.events("run.call_edited.v1")
    assert edited["edited_digest"] == both.place.events("run.tool_call_requested.v1")[-1]["digest"] != asked["digest"]


@pytest.mark.parametrize(
    ("answer", "more", "where"),
    [("reject", {}, "body.reason"), ("edit", {"edit": {"command": 1}}, "body.edit"), ("edit", {}, "body.edit")],
)
def test_what_an_answer_lacks_is_named_as_it_was_sent(
    both: Both, answer: str, more: dict[str, Any], where: str
) -> None:
    asked = waiting(both)
    body = {"answer": answer, "shown_sha256": asked["digest"]} | more
    problem = both.post(f"runs/{asked['run']}/approvals/1", body)
    assert (problem.status_code, problem.json()["where"]) == (422, where)


def test_the_second_answer_loses_and_is_told_who_was_first_whichever_door_it_takes(both: Both) -> None:
    asked = waiting(both)
    both.place.ok("--actor", "jo", "reject", asked["run"], "1", "--reason", "no")
    over(both, asked["run"])
    for answer, more in (("approve", {}), ("reject", {"reason": "no"}), ("edit", {"edit": OTHER})):
        status, code, detail = refused(both, asked, answer, **more)
        assert (status, code) == (409, "approval.resolved")
        assert "rejected already, by operator:jo at position" in detail
    asked = waiting(both)
    with both.served.client("approve") as client:
        path = f"/api/v1/runs/{asked['run']}/approvals/1"
        assert client.post(path, json={"answer": "approve", "shown_sha256": asked["digest"]}).status_code == 200
    over(both, asked["run"])
    exits, code, message = both.error("reject", asked["run"], "1", "--reason", "no")
    assert (exits, code) == (5, "approval.resolved")
    assert "approved already, by operator:approve at position" in message
    assert refused(both, asked, "approve")[2] == message


def test_many_answers_at_once_are_one_answer(both: Both) -> None:
    asked = waiting(both)
    before = started(both.place)
    path = f"/api/v1/runs/{asked['run']}/approvals/1"
    body = {"answer": "approve", "shown_sha256": asked["digest"]}
    both.served.token("approve")

    def answer(_: int) -> tuple[int, str]:
        with both.served.client("approve") as client:
            done = client.post(path, json=body)
            return done.status_code, done.json().get("code", "")

    with ThreadPoolExecutor(6) as pool:
        found = sorted(pool.map(answer, range(6)))
    assert found == [(200, ""), *[(409, "approval.resolved")] * 5]
    assert over(both, asked["run"]) == "completed"
    assert started(both.place) == before + 1


def test_the_same_key_is_the_same_answer_also_at_the_next_server(tmp_path: Path) -> None:
    (tmp_path / "rt.toml").write_text(ALLOWS + RULES)
    with served(tmp_path, "--work") as first:
        both = Both(first)
        asked = waiting(both)
        path, body = f"runs/{asked['run']}/approvals/1", {"answer": "approve", "shown_sha256": asked["digest"]}
        answers = [both.post(path, body, key="yes") for _ in range(3)]
        assert {(each.status_code, each.content) for each in answers} == {(200, answers[0].content)}
        assert both.post(path, body | {"note": "x"}, key="yes").json()["code"] == "http.key_conflict"
        over(both, asked["run"])
        both.close()
    with served(tmp_path) as second:
        second.tokens = first.tokens
        both = Both(second)
        head = second.head()
        again = both.post(path, body, key="yes")
        assert (again.status_code, again.json()["deduplicated"], again.json()["decision"]) == (200, True, "approved")
        assert both.post(path, body, key="no").json()["code"] == "approval.resolved"
        other = {"answer": "reject", "shown_sha256": asked["digest"], "reason": "no"}
        assert both.post(path, other, key="yes").status_code == 409
        assert second.head() == head
        both.close()


def test_an_answer_needs_the_scope_for_it_and_that_scope_reaches_no_further(both: Both) -> None:
    asked = waiting(both)
    path, body = f"/api/v1/runs/{asked['run']}/approvals/1", {"answer": "approve", "shown_sha256": asked["digest"]}
    with both.served.client("read") as client:
        assert client.post(path, json=body).status_code == 403
    with both.served.client("approve") as client:
        assert client.post("/api/v1/tasks", json={"kind": "k", "source": "s", "payload": {}}).status_code == 403
        assert client.post(path, json=body).status_code == 200


def test_a_question_is_answered_with_a_text(both: Both) -> None:
    asked = waiting(both, {"tool": "ask-person", "input": {"question": "which port?"}})
    assert (asked["kind"], asked["shown"]) == ("question", "which port?")
    for more in ({}, {"note": " "}):
        assert refused(both, asked, "approve", **more)[:2] == (422, "rt.invalid")
    answered(both, asked, "approve", note="port 8080")
    assert over(both, asked["run"]) == "completed"
    assert both.get(f"runs/{asked['run']}")["outcome"]["operator_summary"] == "told: port 8080"


def test_what_a_canceled_run_asked_for_is_withdrawn(both: Both) -> None:
    asked = waiting(both)
    both.done(f"tasks/{asked['task']}/cancel", {"reason": "x"}, 202)
    assert both.items("approvals") == []
    assert "withdrawn" in refused(both, asked, "approve")[2]


def test_a_standing_grant_holds_until_it_is_revoked(both: Both) -> None:
    asked = waiting(both)
    both.place.ok("approve", asked["run"], "1", "--always-for", "8h")
    [grant] = both.items("grants")
    assert [grant] == both.listed("grant", "list")
    granted = both.done("tasks", json.loads(wanting([ECHO])), 201)["task_id"]
    until(lambda: both.get(f"tasks/{granted}")["status"] == "completed", "it waits though it was granted")
    done = both.client.delete(f"/api/v1/grants/{grant['id']}", headers={"content-type": "application/json"})
    assert (done.status_code, done.json()["revoked"]) == (200, True)
    assert both.items("grants") == []
    assert waiting(both)["digest"] == asked["digest"]


def test_a_run_that_ended_is_forked_as_on_the_command_line_and_nothing_is_kept(both: Both) -> None:
    asked = waiting(both)
    fork = f"runs/{asked['run']}/fork"
    assert both.refused(fork, {"at": "@decision1"})[0] in (409, 422)
    answered(both, asked, "approve")
    over(both, asked["run"])
    before = both.served.head()
    found = both.post(fork, {"at": "@decision1"}).json()
    assert found | {"position": before[0]} == both.said("fork", asked["run"], "--at", "@decision1")
    changed = both.post(fork, {"at": "@decision1", "set": ["budgets.wall_us=5000000"]}).json()
    said = both.said("fork", asked["run"], "--at", "@decision1", "--set", "budgets.wall_us=5000000")
    assert changed | {"position": before[0]} == said
    assert both.refused(fork, {"at": "@decision9"})[:2] == (404, "position.not_found")
    assert both.refused(fork, {"at": "@decision1", "controller": "nobody"})[:2] == (404, "controller.unknown")
    assert both.refused(fork, {"at": "@decision1", "set": ["x"]})[:2] == (422, "rt.invalid")
    assert both.served.head() == before


def test_whether_an_effect_happened_is_said_by_a_person(tmp_path: Path) -> None:
    (tmp_path / "rt.toml").write_text(ALLOWS + RULES.replace('"ask" }', '"allow" }'))
    with served(tmp_path, "--work") as server:
        both = Both(server)
        call = {"command": "sh", "args": ["-c", "test -e once || { touch once; exec sleep 60; }"]}
        both.done("tasks", json.loads(wanting([call])), 201)
        until(lambda: (tmp_path / "once").exists() and started(both.place), "the effect did not begin")
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        both.close()
    with served(tmp_path, "--work") as again:
        again.tokens = server.tokens
        both = Both(again)
        task = until(lambda: both.items("tasks", state="blocked"), "it is not known that it is not known")[0]
        assert task["cause"] == "needs_reconcile"
        path = f"runs/{task['run']}/effects/1"
        assert both.refused(f"runs/{task['run']}/effects/7", {"happened": True})[:2] == (404, "approval.not_found")
        answers = [both.post(path, {"happened": False, "note": "looked"}, key="settle") for _ in range(2)]
        assert [each.status_code for each in answers] == [200, 200]
        assert answers[0].content == answers[1].content
        assert (answers[0].json()["call"], answers[0].json()["happened"]) == (1, False)
        assert over(both, task["run"]) == "completed"
        assert len(both.place.events("run.tool_started.v1")) == 2
        assert both.refused(path, {"happened": True})[0] in (404, 409)
        both.close()
