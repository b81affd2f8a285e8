"""What a program printed becomes an outcome; nothing defaults to completed (OU-1 to OU-8)."""

import json
import time
from collections.abc import Callable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bounds import ANSWER_BYTES_MAX, NUMBER_MAX
from domain.outcome import BLOCKED_PHRASES, Outcome, Verdict, encode, from_json, from_text, mentioned, signal

TASK: dict[str, object] = {"kind": "k", "source": "s", "payload": {"a": [1, None, 0.5]}}


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
        said(status="operator_canceled"),
        said(status="waiting_for_approval"),
        said(status=True),
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
    [
        ("failed", "permanent_failure"),
        ("FAILED", "permanent_failure"),
        (" failed ", "permanent_failure"),
        ("error", "permanent_failure"),
        ("permanent_failure", "permanent_failure"),
        ("needs_retry", "retryable_failure"),
        ("retryable_failure", "retryable_failure"),
        ("blocked", "blocked"),
        ("canceled", "blocked"),
        ("ok", "completed"),
        ("continue", "completed"),  # a signal of a workflow
        ("x", "completed"),
    ],
)
def test_ou4_a_contradiction_goes_to_the_worse_side(machine_status: str, status: Verdict) -> None:
    assert from_json(said(status="completed", machine_status=machine_status)).status == status


@pytest.mark.parametrize("machine_status", ["completed", "ok", "needs_retry", "failed", "blocked"])
@pytest.mark.parametrize("status", ["permanent_failure", "blocked", "retryable_failure"])
def test_ou4_a_machine_status_changes_no_status_but_completed(status: str, machine_status: str) -> None:
    assert from_json(said(status=status, machine_status=machine_status)).status == status


@pytest.mark.parametrize("read", [from_json, from_text])
@pytest.mark.parametrize("phrase", BLOCKED_PHRASES)
def test_ou5_a_refusal_in_words_is_blocked_where_no_status_was_given(
    phrase: str, read: Callable[[str, Sequence[str]], Outcome]
) -> None:
    found = read(f"I looked around, but: {phrase.upper()}. Sorry.", BLOCKED_PHRASES)
    assert (found.status, found.status_source, found.machine_status) == ("blocked", "language", "blocked")
    assert found.warnings == (f"the summary says: {mentioned(phrase, BLOCKED_PHRASES)}",)


def test_ou5_what_a_bubblewrap_that_cannot_set_up_its_loopback_prints_is_a_refusal() -> None:
    printed = "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted\n"
    assert from_json(printed, BLOCKED_PHRASES).status == "blocked"
    assert from_text(printed, BLOCKED_PHRASES).status == "blocked"


def test_ou5_without_phrases_words_block_nothing() -> None:
    assert from_json("I do not have permission.").machine_status == "no_outcome"
    assert from_text("I do not have permission.").status == "completed"


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("no way in", True),
        ("There is NO\n  way   In, sorry", True),
        ("I don\u2019t dare", True),
        ("(no way in)", True),
        ("no way into it", False),
        ("casino way in", False),
        ("no_way_in", False),
        ("casino way in, and no way in", True),
        ("x" * 4000 + " no way in", False),
    ],
)
def test_ou5_phrases_are_literal_and_stand_between_word_borders(*, text: str, blocks: bool) -> None:
    for read in (from_json, from_text):
        assert (read(text, ("", " ", "no way in", "i don't dare")).status == "blocked") is blocks


@pytest.mark.parametrize("status", ["completed", "done", "failed", "needs_retry"])
def test_ou5_a_phrase_in_a_report_with_a_status_does_not_block_it(status: str) -> None:
    text = "no shell access\n" + said(status=status, operator_summary="I fixed 'no shell access' in the docs")
    assert from_json(text, BLOCKED_PHRASES) == from_json(text)


@pytest.mark.parametrize(
    "text",
    [
        'I fixed the message "no shell access" in the docs.',
        "I fixed the message `no shell access` in the docs.",
        "I fixed the message \u201cno shell access\u201d in the docs.",
        "The user wrote:\n> I have no shell access\nI answered.",
        "The log said\n```\nno shell access\n```\nand that is mended.",
    ],
)
def test_ou5_prose_that_quotes_a_phrase_is_completed(text: str) -> None:
    assert from_text(text, BLOCKED_PHRASES).status == "completed"
    unquoted = "".join(mark for mark in text if mark not in '"`>\u201c\u201d')
    assert from_text(unquoted, BLOCKED_PHRASES).status == "blocked"


def test_ou5_only_the_final_summary_is_searched() -> None:
    log = said(operator_summary="no shell access") + "\nno shell access\n"
    calm = from_json(log + said(status="in_progress", operator_summary="going on"), BLOCKED_PHRASES)
    refused = from_json("going on\n" + said(status="continue", operator_summary="no shell access"), BLOCKED_PHRASES)
    assert (calm.status, calm.machine_status) == ("retryable_failure", "no_outcome")
    assert (refused.status, refused.operator_summary) == ("blocked", "no shell access")


@pytest.mark.parametrize(
    ("item", "change"),
    [
        ("a", "a"),
        ({"path": "a"}, "a"),
        ({"file": "a"}, "a"),
        ({"path": "a", "change": None}, "a"),
        ({"path": "a", "change": "painted"}, "a"),
        ({"path": "a", "change": "created"}, "created a"),
        ({"file": "a", "change": "Modified"}, "modified a"),
        ({"path": "a", "change": "updated"}, "modified a"),
        ({"path": "a", "change": "added"}, "created a"),
        ({"path": "a", "change": "deleted"}, "deleted a"),
        ({"path": "a", "change": "removed"}, "deleted a"),
        ({"path": "b", "change": "renamed", "old": "a"}, "renamed a -> b"),
    ],
)
def test_a_change_of_a_file_is_one_string_that_says_what_happened(item: object, change: str) -> None:
    found = from_json(said(status="done", file_changes=[item]))
    assert (found.file_changes, found.warnings) == ((change,), ())


@pytest.mark.parametrize("old", [None, "", " ", 1, ["a"]])
def test_ou6_a_rename_without_its_old_name_is_a_path_with_a_warning(old: object) -> None:
    found = from_json(said(status="done", file_changes=[{"path": "b", "change": "renamed", "old": old}]))
    assert found.file_changes == ("b",)
    assert found.warnings == ("file_changes: renamed without an old path, 1 times",)


@pytest.mark.parametrize("item", ["", " ", {}, {"path": " ", "change": "deleted"}, {"change": "created"}, 1, None, []])
def test_ou6_a_change_without_a_path_is_dropped_and_counted(item: object) -> None:
    found = from_json(said(status="done", file_changes=["a", item]))
    assert (found.file_changes, found.warnings) == (("a",), ("1 items of file_changes were dropped",))


@pytest.mark.parametrize(
    "task",
    [
        TASK,
        TASK | {"subject": "s", "description": "d", "priority": 7, "requested_profile": "p", "max_attempts": 2},
        TASK | {"available_at": "2026-01-01", "schedule": {"delay_minutes": 5}, "idempotency_key": "i"},
        TASK | {"payload": {"argv": ["rm", "-rf", "/"], "shell": "true"}},  # what it may do is for the policy to say
    ],
)
def test_a_follow_up_task_is_kept_as_it_was_written(task: dict[str, object]) -> None:
    found = from_json(said(status="done", follow_up_tasks=[task]))
    assert (found.follow_up_tasks, found.warnings) == ((task,), ())


@pytest.mark.parametrize(
    ("field", "named"),
    [
        ({"priority": "high"}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 1001}, "priority"),
        ({"subject": 1}, "subject"),
        ({"subject": "s" * 501}, "subject"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"schedule": {"delay_minutes": -1}}, "schedule"),
        ({"schedule": "tomorrow"}, "schedule"),
        ({"thread": "../x"}, "thread"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"colour": "red"}, "an unknown field"),
    ],
)
def test_ou6_a_field_of_a_follow_up_that_is_not_well_typed_is_dropped_alone(
    field: dict[str, object], named: str
) -> None:
    found = from_json(said(status="done", follow_up_tasks=[TASK | field, TASK]))
    assert found.follow_up_tasks == (TASK, TASK)
    assert found.warnings == (f"follow_up_tasks: {named} was dropped, 1 times",)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("a task", "not an object"),
        (None, "not an object"),
        ([TASK], "not an object"),
        ({}, "without a valid kind"),
        (TASK | {"kind": " "}, "without a valid kind"),
        (TASK | {"kind": "k" * 201}, "without a valid kind"),
        (TASK | {"source": 1}, "without a valid source"),
        (TASK | {"payload": [1]}, "without a valid payload"),
        (TASK | {"payload": {"a": float("nan")}}, "not JSON: NaN is not a number of JSON"),
        (TASK | {"payload": {"a": float("inf")}}, "not JSON: Infinity is not a number of JSON"),
        (TASK | {"payload": {"a": 2**64}}, "an integer beyond 64 bits"),
        (TASK | {"payload": {"a": "\0"}}, "contains a NUL character"),
        (TASK | {"payload": {"\ud800": 1}}, "contains a lone surrogate or bytes that are not UTF-8"),
        (TASK | {"payload": json.loads('{"a":' * 70 + "1" + "}" * 70)}, "nested deeper than 64"),
    ],
)
def test_ou6_a_follow_up_that_can_be_no_task_is_dropped_with_its_reason(item: object, why: str) -> None:
    found = from_json(said(status="done", follow_up_tasks=[item, TASK]))
    assert found.follow_up_tasks == (TASK,)
    assert found.warnings == (f"1 items of follow_up_tasks were dropped: 1 {why}",)


def test_ou6_reasons_are_counted() -> None:
    found = from_json(said(status="done", follow_up_tasks=[1, {}, "x", TASK]))
    reasons = "2 not an object, 1 without a valid kind"
    assert found.warnings == (f"3 items of follow_up_tasks were dropped: {reasons}",)


def test_external_messages_are_objects_of_any_shape() -> None:
    found = from_json(said(status="done", external_messages=[{"to": "x", "body": {"a": [1]}}, "hello", {"a": "\0"}]))
    assert found.external_messages == ({"to": "x", "body": {"a": [1]}},)
    reasons = "1 not an object, 1 contains a NUL character"
    assert found.warnings == (f"2 items of external_messages were dropped: {reasons}",)


@pytest.mark.parametrize("key", ["follow_up_tasks", "external_messages"])
@pytest.mark.parametrize("given_", [None, {}, "x", 7])
def test_ou6_what_is_no_list_is_said(key: str, given_: object) -> None:
    assert from_json(said(status="done", **{key: given_})).warnings == (f"{key} is not a list",)


@pytest.mark.parametrize(
    ("given_", "seconds", "warned"),
    [
        (30, 30, False),
        (29.2, 30, False),
        (0.1, 1, False),
        (0, 0, False),
        (None, 0, False),
        (-1, 0, True),
        (True, 0, True),
        ("30", 0, True),
        ([30], 0, True),
        (float("nan"), 0, True),
        (NUMBER_MAX, NUMBER_MAX, False),
        (NUMBER_MAX + 1, NUMBER_MAX, True),
        (10**400, NUMBER_MAX, True),
        (float("inf"), NUMBER_MAX, True),
    ],
)
def test_ou8_a_structured_hint_survives_in_whole_seconds(given_: object, seconds: int, *, warned: bool) -> None:
    found = from_json(said(status="blocked", retry_after_seconds=given_, retry_hint_source="svc"))
    assert (found.retry_after_seconds, found.retry_hint_source, bool(found.warnings)) == (seconds, "svc", warned)
    assert msgspec.json.decode(encode(found), type=Outcome) == found


def test_ou8_a_workflow_signal_survives() -> None:
    assert from_json(said(status="done", workflow_signal=" plan_ready ")).workflow_signal == "plan_ready"


@pytest.mark.parametrize("key", ["workflow_signal", "retry_hint_source"])
def test_ou6_a_signal_or_a_source_that_is_no_string_is_said(key: str) -> None:
    assert from_json(said(status="done", **{key: 7})).warnings == (f"{key} is not a string",)
    assert from_json(said(status="done", **{key: None})).warnings == ()


READY = ("plan_ready", "revise_plan", "continue", "blocked")


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        (said(status="done", workflow_signal="plan_ready"), "plan_ready"),
        (said(status="done", machine_status="plan_ready"), "plan_ready"),
        (said(status="done", workflow_signal="continue", machine_status="plan_ready"), "continue"),
        (said(status="done", workflow_signal="unheard_of", machine_status="plan_ready"), "plan_ready"),
        (said(status="continue"), "continue"),
        (said(workflow_signal="plan_ready"), "plan_ready"),
        (said(workflow_signal="plan_ready") + said(note=1), "plan_ready"),
        (said(workflow_signal="plan_ready") + said(workflow_signal="continue"), "continue"),
        (said(workflow_signal="plan_ready") + said(status="done"), ""),
        (said(status="done") + said(workflow_signal="plan_ready"), ""),
        (said(status="done", workflow_signal="PLAN_READY"), ""),
        (said(status="done", workflow_signal=["plan_ready"]), ""),
        (said(status="done", follow_up_tasks=[{"workflow_signal": "plan_ready"}]), ""),
        (said(status="done", operator_summary="plan_ready"), ""),
        ("plan_ready", ""),
        ("workflow_signal: plan_ready", ""),
        ("", ""),
        ("I have no shell access.", ""),  # blocked by its words, which say no signal
    ],
)
def test_the_first_accepted_word_of_the_json_is_the_signal(text: str, heard: str) -> None:
    """Section 23: workflow_signal, machine_status, then the three names in the JSON; prose never moves a workflow."""
    assert signal(from_json(text, BLOCKED_PHRASES), text, READY) == heard


def test_without_a_list_the_outcomes_own_signal_counts() -> None:
    text = said(status="done", workflow_signal="anything", machine_status="ok")
    assert signal(from_json(text), text, ()) == "anything"
    assert signal(from_json("anything"), "anything", ()) == ""


def test_prose_of_an_adapter_that_answers_in_prose_moves_nothing() -> None:
    assert signal(from_text("plan_ready"), "plan_ready", READY) == ""


def test_an_outcome_of_the_fields_that_were_always_there_keeps_its_bytes() -> None:
    """Recorded outcomes are compared by digest: new fields are absent where nothing was said."""
    text = said(
        status="done", machine_status="x", file_changes=["a", {"file": "b"}, 1, {}], artifact_paths="c", other=[{}]
    )
    assert encode(from_json(text)) == (
        b'{"status":"completed","operator_summary":'
        + json.dumps(text).encode()
        + b',"status_source":"json","machine_status":"x","reported_status":"done","candidate":1,"candidates":1,'
        b'"file_changes":["a","b"],"warnings":["2 items of file_changes were dropped","artifact_paths is not a list"]}'
    )
    assert encode(from_json("no")) == (
        b'{"status":"retryable_failure","operator_summary":"no","status_source":"none","machine_status":"no_outcome"}'
    )


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


@pytest.mark.parametrize(
    ("key", "item"), [("follow_up_tasks", TASK), ("external_messages", {"a": 1}), ("artifact_paths", "a")]
)
def test_ou7_every_list_has_at_most_1000_items(key: str, item: object) -> None:
    at_limit = from_json(said(status="done", **{key: [item] * 1000}))
    above = from_json(said(status="done", **{key: [item] * 1002}))
    assert (len(getattr(at_limit, key)), at_limit.warnings) == (1000, ())
    assert len(getattr(above, key)) == 1000
    assert above.warnings[0].startswith(f"2 items of {key} were dropped")


def test_ou6_items_above_the_limit_are_a_reason_of_their_own() -> None:
    found = from_json(said(status="done", external_messages=[1] + [{}] * 1000))
    reasons = "1 not an object, 1 beyond the first 1000"
    assert found.warnings == (f"2 items of external_messages were dropped: {reasons}",)


@pytest.mark.parametrize(
    ("key", "at_most"), [("machine_status", 4000), ("workflow_signal", 4000), ("retry_hint_source", 200)]
)
def test_ou7_every_string_is_bounded(key: str, at_most: int) -> None:
    found = from_json(said(status="done", **{key: "m" * 200_000}))
    assert getattr(found, key) == "m" * at_most


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
        '{"status":"no","operator_summary":"no shell"}',
        "no shell ",
        '"',
        "\u201c",
        "```",
        ">",
    ],
)
def test_hostile_output_of_full_size_is_read_within_a_second(pattern: str) -> None:
    """The core runs in the dispatcher's event loop: what it does with one run's output holds up all others."""
    text = (pattern * (ANSWER_BYTES_MAX // len(pattern) + 1))[:ANSWER_BYTES_MAX]
    began_s = time.process_time()
    found = from_json(text, BLOCKED_PHRASES)
    from_text(text, BLOCKED_PHRASES)
    signal(found, text, READY)
    assert time.process_time() - began_s < 1.0


@pytest.mark.parametrize("item", ["{}", "1", '{"kind":"k","source":"s","payload":{}}', '{"a":' * 60 + "1" + "}" * 60])
@pytest.mark.parametrize("key", ["follow_up_tasks", "external_messages", "file_changes"])
def test_a_hostile_list_of_full_size_is_read_within_a_second(key: str, item: str) -> None:
    items = ",".join([item] * (ANSWER_BYTES_MAX // (len(item) + 1)))
    began_s = time.process_time()
    assert from_json(f'{{"status":"done","{key}":[{items}]}}').status == "completed"
    assert time.process_time() - began_s < 1.0


KEYS = st.sampled_from(
    [
        *("status", "machine_status", "file_changes", "path", "change", "old", "operator_summary", "follow_up_tasks"),
        *("external_messages", "workflow_signal", "retry_after_seconds", "retry_hint_source"),
        *("kind", "source", "payload", "priority"),
    ]
)
WORDS = st.sampled_from(["completed", "done", "blocked", "failed", "renamed", "no shell access", "\0", "\ud800"])
LEAVES = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=8), WORDS)
OBJECTS = st.dictionaries(KEYS, LEAVES | st.dictionaries(KEYS, LEAVES, max_size=2), max_size=5)
LISTS = st.lists(LEAVES | OBJECTS, max_size=4)
DOCUMENTS = st.dictionaries(KEYS, LEAVES | LISTS | OBJECTS)
REPORTS = DOCUMENTS.map(lambda document: document | {"status": "completed"})
JSONISH = st.one_of(LEAVES, LISTS, DOCUMENTS, REPORTS)
PRINTED = st.text() | JSONISH.map(json.dumps) | st.text(alphabet='{}[]":,\\ud80abcstatusdone `>\u201c')


@given(text=PRINTED, phrases=st.lists(st.text(max_size=3), max_size=3))
def test_any_text_gives_an_outcome_that_can_be_stored(text: str, phrases: list[str]) -> None:
    """OU-7: what is encoded is decoded to the same, and no text makes reading raise."""
    printable = text.encode("utf-8", "replace").decode()
    for read in (from_json, from_text):
        for found in (read(printable), read(printable, BLOCKED_PHRASES), read(printable, phrases)):
            assert msgspec.json.decode(encode(found), type=Outcome) == found


@given(documents=st.lists(DOCUMENTS, max_size=3))
def test_ou1_completed_is_never_derived_without_an_object_that_says_so(documents: list[dict[str, object]]) -> None:
    text = "\n".join(json.dumps(document) for document in documents)
    statuses = [document.get("status") for document in documents]
    if from_json(text, BLOCKED_PHRASES).status == "completed":
        assert {"completed", "done"} & {each for each in statuses if isinstance(each, str)}


@given(document=DOCUMENTS)
def test_ou1_an_object_without_a_status_never_completes_whatever_else_it_says(document: dict[str, object]) -> None:
    document.pop("status", None)
    assert from_json(json.dumps(document), BLOCKED_PHRASES).status in ("retryable_failure", "blocked")


@given(text=PRINTED, accepted=st.lists(st.sampled_from(["completed", "blocked", "done"]), min_size=1))
def test_a_signal_is_one_of_the_accepted_or_none(text: str, accepted: list[str]) -> None:
    assert signal(from_json(text), text, accepted) in {"", *accepted}
