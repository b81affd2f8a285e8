"""Runs that delegate: a task knows the run that it belongs to, how deep it is, and ends with it."""

import json

import pytest

from domain.bounds import RUN_DEPTH_MAX
from tests.commands.asking import RULES, begin, wanting
from tests.commands.place import Place


@pytest.fixture
def empty(place: Place) -> Place:
    return place.config(RULES)


def test_each_delegated_run_is_one_deeper_and_the_depth_is_bounded(empty: Place) -> None:
    run = begin(empty)["attempt_id"]
    for depth in range(1, RUN_DEPTH_MAX + 1):
        run = begin(empty, parent_run=run)["attempt_id"]
        (fact,) = [each for each in empty.events("run.started.v1") if each.get("depth", 0) == depth]
        assert fact["parent_run"]
    done = empty.rt("intake", wanting([{"command": "true"}], parent_run=run), "--json")
    assert (done.code, done.error["code"]) == (2, "rt.invalid")
    assert f"at most {RUN_DEPTH_MAX} deep" in done.error["message"]


def test_a_document_cannot_say_how_deep_it_is_or_how_its_profile_was_chosen(empty: Place) -> None:
    routing = {"selected": "asker", "by": "model", "texts": ["x"]}
    answer = empty.json("intake", wanting([{"command": "true"}], depth=3, routing=routing))
    assert answer["ignored_keys"] == ["depth", "routing"]
    (queued,) = empty.events("task.queued.v1")
    assert "depth" not in queued
    assert "routing" not in queued


def test_a_run_that_is_not_there_or_over_delegates_nothing(empty: Place) -> None:
    ended = empty.do("true")["run"]
    for parent, code in (("f" * 32, 3), (ended, 5)):
        head = empty.head()
        assert empty.rt("intake", wanting([{"command": "true"}], parent_run=parent)).code == code
        assert empty.head() == head


def test_a_cancel_reaches_what_a_run_delegated_and_what_that_delegated(empty: Place) -> None:
    first = begin(empty)
    second = begin(empty, parent_run=first["attempt_id"])
    third = begin(empty, parent_run=second["attempt_id"])
    other = begin(empty)
    empty.ok("cancel", first["task_id"], "--reason", "enough")
    for each in (first, second, third):
        assert empty.task(each["task_id"])["status"] == "operator_canceled"
    assert empty.task(other["task_id"])["status"] == "waiting_for_approval"
    assert json.loads(empty.ok("replay", "--all", "--json").out.splitlines()[0])["identical"]
