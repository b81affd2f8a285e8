"""The tables about decisions, approvals, costs, windows and messages, from a log that the program itself wrote."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from adapters.log_reader import LogReader
from projections import catch_up
from projections.catch_up import Projection
from tests.commands.asking import RULES, begin, decided
from tests.commands.place import Place
from tests.projections.test_catch_up import dump

MODEL = (
    '[models.gone]\nbase_url = "http://127.0.0.1:1/v1"\nname = "m"\nprivate = true\n'
    '[controllers.far]\nkind = "openai"\nmodel = "gone"\nretries = 0\n[profiles.far]\ncontroller = "far"\n'
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A log with one of everything that a person can say, a thread, and a call that was ended early."""
    place = Place(tmp_path_factory.mktemp("tables")).config(RULES)
    for answer in (("approve",), ("approve", "--edit", '{"command":"echo"}'), ("reject", "--reason", "no")):
        begin(place)
        place.ok("--actor", "jo", answer[0], "@last", *answer[1:])
        if answer == ("approve", "--edit", '{"command":"echo"}'):
            place.config(RULES + '[[policies]]\nid = "stricter"\neffect = "ask"\n')
        place.ok("run-once")
        place.config(RULES)
    place.ok("cancel", "@waiting")
    begin(place)
    place.config(RULES + '[[policies]]\nid = "soon"\neffect = "ask"\nexpires_s = 0.01\n')
    begin(place)
    place.rt("run-once")
    place.config(RULES)
    place.do("sh", "-c", "echo it is broken; sleep 60", options=("--cancel-on", "is broken", "--timeout", "50"))
    decided(place, MODEL)
    place.ok("reply", "a", "hello", "--agent", "one")
    place.rt("do", "--agent", "far", "ask the model")
    return place


@pytest.fixture
def reader(made: Place) -> Iterator[LogReader]:
    """The log, to be read."""
    opened = LogReader(made.state)
    yield opened
    opened.close()


def rows(made: Place, query: str) -> list[list[Any]]:
    """What a query answers."""
    found: list[list[Any]] = made.json("sql", query)["rows"]
    return found


def test_approvals_tell_who_answered_what(made: Place) -> None:
    found = rows(made, "SELECT state, approver, channel, rules FROM approvals ORDER BY position")
    jo = ["operator:jo", "cli"]
    assert found == [
        ["approved", *jo, "default"],
        ["edited", *jo, "default"],
        ["withdrawn", "", "", "stricter"],
        ["rejected", *jo, "default"],
        ["pending", "", "", "default"],
        ["expired", "", "", "soon"],
    ]
    assert rows(made, "SELECT count(*) FROM approvals WHERE (expires_at IS NULL) <> (rules <> 'soon')") == [[0]]
    assert rows(made, "SELECT count(*) FROM approvals WHERE (resolved_at IS NULL) <> (state = 'pending')") == [[0]]


def test_decisions_tell_who_decided_by_which_rule_and_why(made: Place) -> None:
    found = rows(made, "SELECT controller, rule, triggers FROM decisions WHERE rule <> '' ORDER BY position")
    assert found[0] == ["rules:rules/1", "rule-1", "start"]
    assert ["rules:rules/1", "rule-2", "exit:ok@c1"] in found
    counts = rows(made, "SELECT run, count(*), max(number) FROM decisions WHERE number IS NOT NULL GROUP BY run")
    assert all(count == most for _, count, most in counts)


def test_costs_are_there_only_where_somebody_outside_was_asked(made: Place) -> None:
    found = rows(made, "SELECT DISTINCT controller, cost_usd, tokens_in FROM costs ORDER BY 1")
    assert ["it", None, None] in found
    assert all(not controller.startswith("rules") for controller, *_ in found)
    assert Decimal(rows(made, "SELECT coalesce(sum(cost_usd), 0)::VARCHAR FROM costs")[0][0]) == 0


def test_windows_point_at_the_output_that_a_decision_saw(made: Place) -> None:
    query = "SELECT w.seen_from <= w.seen_to, w.seen_to < w.position FROM windows w WHERE w.seen_from IS NOT NULL"
    found = rows(made, query)
    assert found
    assert all(each == [True, True] for each in found)


def test_a_call_that_was_ended_early_is_measured_against_a_stated_baseline(made: Place) -> None:
    ((tool, saved, basis),) = rows(made, "SELECT tool, saved_s > 0, basis FROM early_cancels")
    assert tool == "local-process"
    assert (saved, basis) in {(True, "time limit"), (None, None)}


def test_messages_tell_what_was_said_to_whom(made: Place) -> None:
    query = "SELECT m.thread, m.profile, t.status FROM messages m JOIN tasks t ON t.task = m.task"
    assert rows(made, query) == [["a", "one", "completed"]]


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 50])
def test_catching_up_in_steps_gives_the_same_tables_as_a_rebuild(
    made: Place, reader: LogReader, tmp_path: Path, batch: int
) -> None:
    whole = Projection(tmp_path, reader).ask(dump)
    stepped = tmp_path / "stepped"
    stepped.mkdir()
    with mock.patch.object(catch_up, "BATCH", batch):
        assert Projection(stepped, reader).ask(dump) == whole
    assert made.head() == whole[0]
