"""What a program printed becomes an outcome; nothing defaults to completed (OU-1 to OU-7)."""

import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bounds import ANSWER_BYTES_MAX
from domain.outcome import Outcome, Verdict, from_json, from_text


def said(**fields: object) -> str:
    return json.dumps(fields)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n",
        "[]",
        "42",
        "null",
        "true",
        '"completed"',
        "completed",
        "Everything is completed, I promise.",
        "{}",
        said(status=""),
        said(status="in_progress"),
        said(status="continue"),
        said(status="finished?"),
        said(status=None),
        said(status=["completed"]),
        said(state="completed"),
        '{"status": "completed"',
    ],
)
def test_ou1_what_names_no_known_status_is_no_outcome(text: str) -> None:
    found = from_json(text)
    assert (found.status, found.machine_status, found.status_source) == ("retryable_failure", "no_outcome", "none")


@pytest.mark.parametrize(
    ("spelling", "status"),
    [
        ("completed", "completed"),
        ("success", "completed"),
        ("succeeded", "completed"),
        ("done", "completed"),
        ("ok", "completed"),
        ("OK", "completed"),
        ("failed", "permanent_failure"),
        ("error", "permanent_failure"),
        ("permanent_failure", "permanent_failure"),
        ("needs_retry", "retryable_failure"),
        ("retryable_failure", "retryable_failure"),
        ("blocked", "blocked"),
    ],
)
def test_ou1_accepted_spellings_are_normalised_and_kept(spelling: str, status: Verdict) -> None:
    found = from_json(said(status=spelling))
    assert found.status == status
    assert found.reported_status == ("" if spelling == status else spelling)


def test_ou2_prose_counts_only_where_the_adapter_says_so() -> None:
    assert from_json("all is well").status == "retryable_failure"
    assert from_text("all is well").status == "completed"
    assert from_text("all is well").status_source == "text"


@pytest.mark.parametrize("text", ["", " \n\t "])
def test_ou2_blank_prose_is_no_outcome(text: str) -> None:
    assert from_text(text).machine_status == "no_outcome"


def test_ou3_the_last_object_with_a_status_wins_and_the_choice_is_recorded() -> None:
    found = from_json(said(status="failed") + "\nand then\n" + said(status="done") + said(note="no status"))
    assert (found.status, found.candidate, found.candidates) == ("completed", 2, 2)


@pytest.mark.parametrize(
    "text",
    [
        'Here it is:\n```json\n{"status": "completed"}\n```\nBye.',
        'I use {braces} and {"status": "completed"} inline.',
        '{"status": "completed"}',
        '{{{"status": "completed"}',
    ],
)
def test_ou3_an_outcome_may_stand_fenced_bare_or_inside_prose(text: str) -> None:
    assert from_json(text).status == "completed"


def test_ou3_an_object_inside_another_object_is_no_outcome_of_its_own() -> None:
    assert from_json(said(result={"status": "completed"})).machine_status == "no_outcome"


@pytest.mark.parametrize(
    ("machine_status", "status"),
    [("failed", "permanent_failure"), ("needs_retry", "retryable_failure"), ("blocked", "blocked"), ("x", "completed")],
)
def test_ou4_a_contradiction_goes_to_the_worse_side(machine_status: str, status: Verdict) -> None:
    assert from_json(said(status="completed", machine_status=machine_status)).status == status


@pytest.mark.parametrize("status", ["failed", "blocked", "needs_retry"])
def test_ou4_a_machine_status_never_improves_a_status(status: str) -> None:
    assert from_json(said(status=status, machine_status="completed")).status != "completed"


def test_ou6_dropped_items_are_listed() -> None:
    found = from_json(
        said(status="done", file_changes=["a", 1, {"path": "b"}, {"file": "c"}, "", {}], artifact_paths=7)
    )
    assert found.file_changes == ("a", "b", "c")
    assert found.warnings == ("3 items of file_changes were dropped", "artifact_paths is not a list")


def test_ou7_a_summary_has_at_most_4000_characters() -> None:
    assert from_json(said(status="done", operator_summary="s" * 4000)).operator_summary == "s" * 4000
    assert from_json(said(status="done", operator_summary="s" * 4001)).operator_summary == "s" * 4000
    assert len(from_text("x" * 9999).operator_summary) == 4000


def test_ou7_a_list_has_at_most_1000_items() -> None:
    at_limit = from_json(said(status="done", file_changes=["a"] * 1000))
    above = from_json(said(status="done", file_changes=["a"] * 1001))
    assert (len(at_limit.file_changes), at_limit.warnings) == (1000, ())
    assert (len(above.file_changes), above.warnings) == (1000, ("1 items of file_changes were dropped",))


def test_ou7_a_machine_status_is_bounded_like_a_summary() -> None:
    found = from_json(said(status="done", machine_status="m" * 200_000))
    assert len(found.machine_status) <= 4000


@pytest.mark.parametrize(
    "pattern",
    [
        "{",
        "{\n",
        '{"a"',
        '{"a":',
        '{"a":[',
        '{"a":"',
        '{"status":"completed",',
        '{"a":[' + "0," * 10,
        '{"a":[' + "0," * 128,
        '{"a":1}',
        "[{",
        '{"a":1e999999,',
    ],
)
def test_hostile_output_of_full_size_is_read_within_a_second(pattern: str) -> None:
    """The core runs in the dispatcher's event loop: what it does with one run's output holds up all others."""
    text = (pattern * (ANSWER_BYTES_MAX // len(pattern) + 1))[:ANSWER_BYTES_MAX]
    began_s = time.process_time()
    from_json(text)
    assert time.process_time() - began_s < 1.0


KEYS = st.sampled_from(["status", "machine_status", "file_changes", "path", "operator_summary"])
LEAVES = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=8))
LISTS = st.lists(LEAVES | st.dictionaries(KEYS, LEAVES), max_size=4)
JSONISH = st.one_of(LEAVES, LISTS, st.dictionaries(KEYS, LEAVES | LISTS))


@given(text=st.text() | JSONISH.map(json.dumps) | st.text(alphabet='{}[]":,\\ud80abcstatusdone '))
def test_any_text_gives_an_outcome_that_can_be_stored(text: str) -> None:
    for read in (from_json, from_text):
        found = read(text.encode("utf-8", "replace").decode())
        assert msgspec.json.decode(msgspec.json.encode(found), type=Outcome) == found


@given(document=JSONISH)
def test_completed_is_never_derived_without_the_word(document: object) -> None:
    text = json.dumps(document)
    if from_json(text).status == "completed":
        assert any(word in text.lower() for word in ("completed", "success", "succeeded", "done", "ok"))
