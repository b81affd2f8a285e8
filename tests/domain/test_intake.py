"""Work coming in is checked whole: each refusal names its field and its rule (IN-1 to IN-4, IN-8)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors, intake
from domain.config import Adapter, Config, Retry
from domain.ids import text_of

CONFIG = Config(adapters={"script": Adapter(command="./s")}, retry=Retry(attempts=7))
NOW_US = 1_700_000_000_000_000


def task(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  # whatever a stranger sends
    return {"kind": "k", "source": "s", "payload": {"argv": ["true"]}} | fields


def accept(document: object) -> intake.Accepted:
    return intake.accept(document, CONFIG, NOW_US)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in task().items() if key != name}


def nested(containers: int) -> dict[str, Any]:
    """Objects in objects; the innermost is empty."""
    found: dict[str, Any] = {}
    for _ in range(containers - 1):
        found = {"d": found}
    return found


def test_a_task_becomes_one_event_and_one_stored_text() -> None:
    made = accept(task(subject="t", description="d", priority=9, requested_profile="watch", requested_adapter="script"))
    assert made.payload == b'{"description":"d","payload":{"argv":["true"]}}'
    assert made.event.payload == text_of(made.payload)
    event = made.event
    assert (event.kind, event.source, event.subject, event.priority) == ("k", "s", "t", 9)
    assert (event.profile, event.adapter) == ("watch", "script")


def test_what_is_left_out_has_its_documented_default() -> None:
    event = accept(task()).event
    assert (event.priority, event.max_attempts, event.due_at_us, event.adapter, event.subject) == (5, 7, 0, "", "")


def test_null_stands_for_left_out() -> None:
    made = accept(task(subject=None, description=None, requested_profile=None, requested_adapter=None))
    assert made == accept(task())


def test_equal_payloads_are_stored_as_equal_bytes() -> None:
    one = accept(task(payload={"argv": ["a"], "b": 1}))
    other = accept(task(payload={"b": 1, "argv": ["a"]}))
    assert one.payload == other.payload


# IN-1


@pytest.mark.parametrize(
    ("document", "where", "rule"),
    [
        ([], "task", "expected an object, got list"),
        ("text", "task", "expected an object, got str"),
        (without("kind"), "task.kind", "is missing"),
        (without("source"), "task.source", "is missing"),
        (without("payload"), "task.payload", "is missing"),
        (task(kind=""), "task.kind", "length >= 1"),
        (task(kind="  "), "task.kind", "is blank"),
        (task(kind=7), "task.kind", "expected `str`, got `int`"),
        (task(source=""), "task.source", "length >= 1"),
        (task(source="\t\n"), "task.source", "is blank"),
        (task(source=None), "task.source", "got `null`"),
        (task(payload=None), "task.payload", "expected `object`, got `null`"),
        (task(payload=[]), "task.payload", "expected `object`, got `array`"),
        (task(payload="{}"), "task.payload", "expected `object`, got `str`"),
        (task(priority=5.5), "task.priority", "expected `int`, got `float`"),
        (task(priority="5"), "task.priority", "expected `int`, got `str`"),
        (task(priority=True), "task.priority", "expected `int`, got `bool`"),
        (task(priority=None), "task.priority", "got `null`"),
        (task(max_attempts=0), "task.max_attempts", ">= 1"),
        (task(max_attempts=101), "task.max_attempts", "<= 100"),
        (task(max_attempts=1.5), "task.max_attempts", "got `float`"),
        (task(available_at="tomorrow"), "task.available_at", "not a date and time"),
        (task(available_at=""), "task.available_at", "not a date and time"),
        (task(available_at=17), "task.available_at", "got `int`"),
        (task(available_at="2026-02-30T00:00:00Z"), "task.available_at", "not a date and time"),
        (task(schedule={"delay_minutes": -1}), "task.schedule.delay_minutes", ">= 0"),
        (task(schedule={"delay_minutes": "5"}), "task.schedule.delay_minutes", "got `str`"),
        (task(schedule={}), "task.schedule.delay_minutes", "is missing"),
        (task(schedule={"delay_minutes": 1, "x": 1}), "task.schedule", "unknown field `x`"),
        (task(schedule=5), "task.schedule", "expected `object"),
        (task(subject=[]), "task.subject", "got `array`"),
        (task(idempotency_key=""), "task.idempotency_key", "length >= 1"),
    ],
)
def test_in1_a_wrong_field_is_refused_with_its_path_and_rule(document: object, where: str, rule: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        accept(document)
    assert refusal.value.fields["where"] == where
    assert rule in str(refusal.value.fields["why"])


@pytest.mark.parametrize(
    ("payload", "where", "rule"),
    [
        ({}, "task.payload.argv", "payload.shell"),
        ({"argv": []}, "task.payload.argv", "begins with a command"),
        ({"argv": "ls"}, "task.payload.argv", "list of strings"),
        ({"argv": ["ls", 1]}, "task.payload.argv[1]", "expected a string, got int"),
        ({"argv": ["", "x"]}, "task.payload.argv[0]", "the command is empty"),
        ({"argv": ["a" * 131_072]}, "task.payload.argv[0]", "more than 131071 bytes"),
        ({"argv": ["a"], "args": "x"}, "task.payload.args", "list of strings"),
        ({"argv": ["a"], "args": [None]}, "task.payload.args[0]", "got NoneType"),
        ({"shell": ""}, "task.payload.shell", "non-empty string"),
        ({"shell": 5}, "task.payload.shell", "non-empty string"),
        ({"argv": ["a"], "cwd": []}, "task.payload.cwd", "non-empty string"),
        ({"argv": ["a"], "timeout_s": -1}, "task.payload.timeout_s", "expected a number from 0"),
        ({"argv": ["a"], "timeout_s": True}, "task.payload.timeout_s", "expected a number from 0"),
        ({"argv": ["a"], "timeout_s": "9"}, "task.payload.timeout_s", "expected a number from 0"),
        ({"argv": ["a"], "timeout_s": 2_592_001}, "task.payload.timeout_s", "expected a number from 0 to 2592000"),
    ],
)
def test_in1_a_payload_that_its_adapter_cannot_use_is_refused(payload: dict[str, Any], where: str, rule: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        accept(task(payload=payload))
    assert refusal.value.fields["where"] == where
    assert rule in str(refusal.value.fields["why"])


@pytest.mark.parametrize(
    ("given", "due_at_us"),
    [
        ({"available_at": "1970-01-01T00:00:01Z"}, 1_000_000),
        ({"available_at": "1970-01-01T01:00:00.5+01:00"}, 500_000),
        ({"available_at": "1970-01-02"}, 86_400_000_000),
        ({"available_at": "1960-01-01"}, 0),
        ({"schedule": {"delay_minutes": 0}}, 0),
        ({"schedule": {"delay_minutes": 0.5}}, NOW_US + 30_000_000),
        ({"available_at": "1970-01-01T00:00:01Z", "schedule": {"delay_minutes": 5}}, 1_000_000),
    ],
)
def test_a_task_is_due_when_it_says(given: dict[str, Any], due_at_us: int) -> None:
    assert accept(task(**given)).event.due_at_us == due_at_us


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59Z", "2256-01-01", "9999-12-31T23:59:59-23:59"])
def test_a_time_that_json_cannot_hold_exactly_is_refused(moment: str) -> None:
    """Events hold no integer above 2^53 (domain.events): beyond the year 2255 there are only mistakes."""
    with pytest.raises(errors.Invalid) as refusal:
        accept(task(available_at=moment))
    assert refusal.value.fields["where"] == "task.available_at"


# IN-2


@pytest.mark.parametrize(
    ("at_limit", "above", "where"),
    [
        (task(kind="k" * 200), task(kind="k" * 201), "task.kind"),
        (task(source="s" * 200), task(source="s" * 201), "task.source"),
        (task(subject="s" * 500), task(subject="s" * 501), "task.subject"),
        (task(description="d" * 20_000), task(description="d" * 20_001), "task.description"),
        (task(priority=1000), task(priority=1001), "task.priority"),
        (task(priority=-1000), task(priority=-1001), "task.priority"),
        (task(max_attempts=100), task(max_attempts=101), "task.max_attempts"),
        (
            task(schedule={"delay_minutes": 525_600}),
            task(schedule={"delay_minutes": 525_600.5}),
            "task.schedule.delay_minutes",
        ),
        (task(idempotency_key="k" * 500), task(idempotency_key="k" * 501), "task.idempotency_key"),
        (task(payload={"argv": ["a" * 131_071]}), task(payload={"argv": ["a" * 131_072]}), "task.payload.argv[0]"),
        (
            task(payload={"argv": ["a"], "timeout_s": 2_592_000}),
            task(payload={"argv": ["a"], "timeout_s": 2_592_000.1}),
            "task.payload.timeout_s",
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_in2_each_bound_holds_at_its_limit_and_not_above(at_limit: object, above: object, where: str) -> None:
    accept(at_limit)
    with pytest.raises(errors.Invalid) as refusal:
        accept(above)
    assert refusal.value.fields["where"] == where


def test_in2_a_payload_may_have_one_mebibyte_as_it_is_stored() -> None:
    around = len(accept(task(payload={"argv": ["a"], "text": ""})).payload)
    room = (1 << 20) - around
    assert len(accept(task(payload={"argv": ["a"], "text": "x" * room})).payload) == 1 << 20
    with pytest.raises(errors.Invalid, match="1048577 bytes; at most 1048576"):
        accept(task(payload={"argv": ["a"], "text": "x" * (room + 1)}))


def test_in2_a_payload_may_be_64_deep() -> None:
    accept(task(payload={"argv": ["a"], "deep": nested(63)}))
    with pytest.raises(errors.Invalid, match="nested deeper than 64"):
        accept(task(payload={"argv": ["a"], "deep": nested(64)}))


def test_in2_a_document_of_absurd_depth_is_refused_like_one_that_is_a_little_too_deep() -> None:
    with pytest.raises(errors.Invalid, match="nested deeper than 64"):
        intake.parse_json("[" * 100_000 + "]" * 100_000, "task")
    with pytest.raises(errors.Invalid, match="nested deeper than 64"):
        intake.parse_json("[" * 70 + "]" * 70, "task")


def test_in2_many_keys_of_which_the_last_stands_there_twice_are_refused_as_soon_as_few() -> None:
    """To look for each key among all others would take minutes here."""
    keys = ",".join(f'"{at:x}":0' for at in range(150_000))
    with pytest.raises(errors.Invalid, match="the key '249ef' stands there twice"):
        intake.parse_json(f'{{{keys},"249ef":0}}', "task")


def test_in2_a_long_document_is_not_read_by_the_decoder_that_is_slow_at_large_numbers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stranger could hold a server up with a megabyte of them."""
    monkeypatch.setattr(intake, "_read_plain", lambda _text: pytest.fail("it was"))
    assert intake.parse_json(f"[{'9e300,' * 20_000}0]", "task") == [9e300] * 20_000 + [0]


def test_in2_a_document_of_absurd_size_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(errors.Invalid, match="2097153 characters"):
        intake.parse_json("{" * (2 * 1024 * 1024 + 1), "task")


# IN-3


def test_in3_unknown_keys_are_listed_and_do_not_fail_the_intake() -> None:
    made = accept(task(zeta=1, alpha={}))
    assert made.ignored_keys == ("alpha", "zeta")
    assert made.event == accept(task()).event


# IN-4


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ('{"a": NaN}', "NaN is not a number of JSON"),
        ('{"a": Infinity}', "Infinity is not a number of JSON"),
        ('{"a": -Infinity}', "-Infinity is not a number of JSON"),
        ('{"a": 1e400}', "beyond what a double holds"),
        ('{"a": 1, "a": 2}', "the key 'a' stands there twice"),
        ('{"x": [{"a": 1, "b": 0, "a": 1}]}', "the key 'a' stands there twice"),
        ('{"a": "\\ud800"}', "lone surrogate"),
        ('{"a": ["\\udfff x"]}', "lone surrogate"),
        ('{"\\udc00": 1}', "lone surrogate"),
        ('{"a": "\\u0000"}', "NUL character"),
        ('{"\\u0000": 1}', "NUL character"),
        ('{"a": 9223372036854775808}', "beyond 64 bits"),
        ('{"a": -9223372036854775808}', "beyond 64 bits"),
        ('{"a": ' + "9" * 400 + ".5}", "beyond what a double holds"),
        ('{"a": 1E+400}', "beyond what a double holds"),
        ('{"a": "\ud800"}', "lone surrogate"),
        ('{"a": "\0"}', "not JSON"),
        ('{"a": ' + "9" * 5001 + "}", "not JSON"),
        ("", "not JSON"),
        ("{", "not JSON"),
        ("{} {}", "not JSON"),
    ],
)
def test_in4_json_that_programs_read_differently_is_refused(text: str, rule: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        intake.parse_json(text, "task")
    assert rule in str(refusal.value)


@pytest.mark.parametrize(
    "number", ["0", "-7", "1.5", "1e5", "2E-3", "9223372036854775807", "-9223372036854775807", "0." + "1" * 400]
)
@pytest.mark.parametrize("beside", ["x", "ü", "\\n", "\\u00fc"])
def test_in4_numbers_that_can_be_stored_are_read_as_they_are(number: str, beside: str) -> None:
    assert intake.parse_json(f'{{"a": {number}, "b": "{beside}"}}', "task") == {
        "a": json.loads(number),
        "b": json.loads(f'"{beside}"'),
    }


def test_in4_the_refusal_names_the_place() -> None:
    with pytest.raises(errors.Invalid) as refusal:
        intake.parse_json('{"payload": {"list": [1, "\\u0000"]}}', "task")
    assert refusal.value.fields["where"] == "task.payload.list[1]"


@pytest.mark.parametrize("field", ["kind", "source", "subject", "description", "requested_profile", "idempotency_key"])
@pytest.mark.parametrize("text", ["a\0b", "a\ud800b"], ids=["nul", "surrogate"])
def test_in4_documents_that_were_not_parsed_here_are_checked_alike(field: str, text: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        accept(task(**{field: text}))
    assert refusal.value.fields["where"] == f"task.{field}"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1 << 63])
def test_in4_numbers_of_documents_that_were_not_parsed_here_are_checked_alike(number: float) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        accept(task(payload={"argv": ["a"], "n": [number]}))
    assert refusal.value.fields["where"] == "task.payload.n[0]"


_NAMES = st.sampled_from(["a", "b", ":", 'a":', "ü"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([":", '"', "{:}", "é", "\n"]),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(_NAMES, inner), max_size=4).map(tuple),
    max_leaves=12,
)  # fmt: skip


def _rendered(value: object, colon: str) -> str:
    """As JSON; a tuple is an object, whose keys may stand there twice."""
    if isinstance(value, tuple):
        inner = [f"{json.dumps(name, ensure_ascii=False)}{colon}{_rendered(each, colon)}" for name, each in value]
        return "{" + ", ".join(inner) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_rendered(each, colon) for each in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _twice(value: object) -> bool:
    if isinstance(value, tuple):
        return len({name for name, _ in value}) < len(value) or any(_twice(each) for _, each in value)
    return isinstance(value, list) and any(map(_twice, value))


@given(value=_VALUES, colon=st.sampled_from([":", ": ", " :"]))
def test_in4_every_document_is_read_as_it_stands_or_refused_for_a_key_that_stands_twice(
    value: object, colon: str
) -> None:
    text = _rendered(value, colon)
    if _twice(value):
        with pytest.raises(errors.Invalid, match="stands there twice"):
            intake.parse_json(text, "task")
    else:
        assert repr(intake.parse_json(text, "task")) == repr(json.loads(text))


@given(text=st.text(alphabet='{}[]":,0123456789.eE-+\\unltrfasNI\0 ', max_size=60) | st.text(max_size=30))
def test_in4_any_text_parses_or_is_refused_by_name(text: str) -> None:
    try:
        value = intake.parse_json(text, "task")
    except errors.Invalid:
        return
    assert json.loads(json.dumps(value)) == value


@given(
    document=st.dictionaries(
        st.sampled_from(["kind", "source", "payload", "priority", "max_attempts", "available_at", "schedule", "x"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just({"argv": ["a"]}),
    )
)
def test_any_document_is_accepted_or_refused_by_name(document: dict[str, object]) -> None:
    try:
        made = accept(document)
    except errors.Invalid:
        return
    assert json.loads(made.payload)["payload"] == document["payload"]


# IN-8


def test_in8_an_adapter_that_is_not_configured_is_refused_and_the_configured_ones_are_named() -> None:
    with pytest.raises(errors.UnknownAdapter) as refusal:
        accept(task(requested_adapter="scirpt"))
    assert str(refusal.value) == "no adapter 'scirpt'; configured: command, agent, script"


def test_in8_the_built_in_adapter_is_always_there() -> None:
    assert accept(task(requested_adapter="command")).event.adapter == "command"


def test_only_the_built_in_adapter_needs_a_command_in_the_payload() -> None:
    assert accept(task(requested_adapter="script", payload={})).event.adapter == "script"


@pytest.mark.parametrize(
    ("door", "said"),
    [("http", "an HTTP request"), ("import", "an import"), ("follow_up", "a follow-up"), ("sensor", "a sensor")],
)
def test_a_door_is_named_with_its_article(door: str, said: str) -> None:
    assert intake.a_door(door) == said
