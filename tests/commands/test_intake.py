"""`rt intake`: every way in, every refusal; nothing is stored on an error."""

import json
from typing import Any

import pytest

from domain.bounds import DOCUMENT_BYTES_MAX, PAYLOAD_BYTES_MAX
from tests.commands.place import Place

GOOD: dict[str, Any] = {"kind": "k", "source": "s", "payload": {"argv": ["true"]}}
TEXT = json.dumps(GOOD)


def test_a_document_comes_as_text_as_a_file_or_on_stdin(place: Place) -> None:
    (place.folder / "doc.json").write_text(TEXT)
    (place.folder / "bom.json").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    ways = (place.ok("intake", TEXT), place.ok("intake", "@doc.json"), place.ok("intake", "@bom.json"))
    assert all(done.text.startswith("queued: task ") for done in ways)
    assert place.ok("intake", "-", stdin=TEXT.encode()).text.startswith("queued: task ")
    tasks = place.rows("task", "list")
    assert len({task["task"] for task in tasks}) == 4
    assert {(task["kind"], task["source"], task["status"]) for task in tasks} == {("k", "s", "pending")}


def test_the_answer_names_the_task_and_its_position(place: Place) -> None:
    answer = place.json("intake", TEXT)
    assert answer == {
        "schema": "rt.intake.v1",
        "queued": True,
        "task_id": answer["task_id"],
        "profile": "",
        "available_at": None,
        "deduplicated": False,
        "ignored_keys": [],
        "position": 1,
    }
    assert place.task(answer["task_id"])["payload"] == GOOD["payload"]


def test_options_build_the_document(place: Place) -> None:
    task = place.queue("echo", "a b", options=("--kind", "k2", "--source", "me", "--priority", "-3", "--attempts", "2"))
    shown = place.task(task)
    expected = {"kind": "k2", "source": "me", "priority": -3, "max_attempts": 2, "subject": "echo a b"}
    assert {name: shown[name] for name in expected} == expected
    assert shown["payload"] == {"argv": ["echo", "a b"], "cwd": str(place.folder)}


def test_a_payload_and_a_goal_go_to_an_adapter(place: Place) -> None:
    place.config('[adapters.helper]\ncommand = "./helper"\n')
    place.ok("intake", "--kind", "k", "--adapter", "helper", "--payload", '{"a": [1, 2.5, null, "ä"]}')
    assert place.task("@last")["payload"] == {"a": [1, 2.5, None, "ä"]}
    place.ok("intake", "--adapter", "helper", "--goal", "tidy up")
    shown = place.task("@last")
    assert (shown["payload"], shown["kind"], shown["adapter"]) == ({"objective": "tidy up"}, "goal", "helper")


def test_options_complete_a_document(place: Place) -> None:
    place.ok("intake", TEXT, "--priority", "9", "--attempts", "7", "--in-minutes", "30")
    shown = place.task("@last")
    assert (shown["priority"], shown["max_attempts"]) == (9, 7)
    assert shown["due_at"] > shown["created_at"]


def test_a_time_is_kept_to_the_second_whatever_its_zone(place: Place) -> None:
    for given in ("2030-01-02T03:04:05", "2030-01-02T03:04:05Z", "2030-01-02T05:04:05+02:00"):
        assert place.json("intake", TEXT, "--at", given)["available_at"].startswith("2030-01-02T03:04:05")


def test_unknown_keys_are_reported_and_never_lost_silently(place: Place) -> None:
    document = json.dumps(GOOD | {"priorty": 9, "Kind": "x"})
    assert place.json("intake", document)["ignored_keys"] == ["Kind", "priorty"]
    assert "ignored keys: Kind, priorty" in place.ok("intake", document).errors


def test_the_same_key_twice_is_the_same_task(place: Place) -> None:
    first = place.json("intake", "--key", "k-1", TEXT)
    again = place.json("intake", "--key", "k-1", TEXT)
    assert again["task_id"] == first["task_id"]
    assert (first["deduplicated"], again["deduplicated"]) == (False, True)
    assert again["position"] == first["position"] == place.head()
    assert place.ok("intake", "--key", "k-1", TEXT).text.startswith("known: task ")


def test_the_same_key_with_another_delay_is_the_same_task(place: Place) -> None:
    first = place.json("intake", "--key", "k-1", "--in-minutes", "5", TEXT)
    assert place.json("intake", "--key", "k-1", "--in-minutes", "5", TEXT)["task_id"] == first["task_id"]


def test_the_same_key_with_other_content_is_a_conflict(place: Place) -> None:
    task = place.json("intake", "--key", "k-1", TEXT)["task_id"]
    done = place.rt("intake", "--key", "k-1", "--priority", "6", "--json", TEXT)
    assert done.code == 5
    error = done.error
    assert (error["code"], error["key"], error["task"]) == ("task.key_conflict", "k-1", task[:8])
    assert place.head() == 1


def test_keys_hold_across_tasks_that_have_ended(place: Place) -> None:
    task = place.json("intake", "--key", "once", TEXT)["task_id"]
    place.ok("work", "--until-idle")
    again = place.json("intake", "--key", "once", TEXT)
    assert (again["task_id"], again["deduplicated"]) == (task, True)
    assert place.task(task)["status"] == "completed"


def _with(**fields: object) -> str:
    return json.dumps(GOOD | fields)


def _payload(**fields: object) -> str:
    return json.dumps(GOOD | {"payload": {"argv": ["true"]} | fields})


def _without(name: str) -> str:
    return json.dumps({key: value for key, value in GOOD.items() if key != name})


DEEP = '{"kind": "k", "source": "s", "payload": {"argv": ["true"], "x": ' + "[" * 70 + "]" * 70 + "}}"
VERY_DEEP = '{"kind": "k", "source": "s", "payload": {"x": ' + "[" * 100_000 + "]" * 100_000 + "}}"
LARGE = json.dumps(GOOD | {"payload": {"argv": ["true"], "x": "y" * (PAYLOAD_BYTES_MAX + 1)}})
HUGE = b'{"kind": "' + b"k" * (DOCUMENT_BYTES_MAX + 1) + b'"}'

BAD = [
    ("malformed", b"{", "not JSON"),
    ("empty", b"", "not JSON"),
    ("two documents", TEXT.encode() * 2, "not JSON"),
    ("trailing comma", b'{"kind": "k",}', "not JSON"),
    ("not UTF-8", b'{"kind": "\xff"}', "not UTF-8"),
    ("a list", b"[]", "expected an object, got list"),
    ("null", b"null", "expected an object"),
    ("a number", b"7", "expected an object"),
    ("too large", HUGE, str(DOCUMENT_BYTES_MAX)),
    ("payload too large", LARGE.encode(), f"bytes; at most {PAYLOAD_BYTES_MAX}"),
    ("deep", DEEP.encode(), "nested deeper than 64"),
    ("very deep", VERY_DEEP.encode(), "nested deeper than 64"),
    ("duplicate keys", b'{"kind": "a", "kind": "b"}', "'kind' stands there twice"),
    ("duplicate keys below", b'{"kind": "k", "payload": {"x": 1, "x": 2}}', "'x' stands there twice"),
    ("NaN", b'{"kind": NaN}', "NaN is not a number of JSON"),
    ("Infinity", b'{"kind": -Infinity}', "-Infinity is not a number of JSON"),
    ("1e400", _payload(x=0).replace("0", "1e400").encode(), "beyond what a double holds"),
    ("5001 digits", _payload(x=0).replace("0", "9" * 5001).encode(), "task"),
    ("2^63", _payload(x=2**63).encode(), "task.payload.x: an integer beyond 64 bits"),
    ("lone surrogate", b'{"kind": "\\ud800"}', "task.kind: contains a lone surrogate"),
    ("NUL", b'{"kind": "\\u0000"}', "task.kind: contains a NUL character"),
    ("NUL in a key", _payload(**{"a\0b": 1}).encode(), "contains a NUL character"),
    ("kind missing", _without("kind").encode(), "task.kind: is missing"),
    ("source missing", _without("source").encode(), "task.source: is missing"),
    ("payload missing", _without("payload").encode(), "task.payload: is missing"),
    ("kind null", _with(kind=None).encode(), "task.kind: expected `str`, got `null`"),
    ("kind empty", _with(kind="").encode(), "task.kind: "),
    ("kind blank", _with(kind=" \t").encode(), "task.kind: is blank"),
    ("kind too long", _with(kind="k" * 201).encode(), "task.kind: "),
    ("source number", _with(source=7).encode(), "task.source: expected `str`, got `int`"),
    ("payload list", _with(payload=[]).encode(), "task.payload: expected `object`, got `array`"),
    ("subject too long", _with(subject="s" * 501).encode(), "task.subject: "),
    ("priority text", _with(priority="high").encode(), "task.priority: "),
    ("priority float", _with(priority=1.5).encode(), "task.priority: "),
    ("priority true", _with(priority=True).encode(), "task.priority: "),
    ("priority absurd", _with(priority=10**9).encode(), "task.priority: "),
    ("priority just over", _with(priority=1001).encode(), "task.priority: "),
    ("no attempts", _with(max_attempts=0).encode(), "task.max_attempts: "),
    ("attempts absurd", _with(max_attempts=101).encode(), "task.max_attempts: "),
    ("delay negative", _with(schedule={"delay_minutes": -1}).encode(), "task.schedule.delay_minutes: "),
    ("delay absurd", _with(schedule={"delay_minutes": 10**9}).encode(), "task.schedule.delay_minutes: "),
    ("delay unknown", _with(schedule={"minutes": 1}).encode(), "task.schedule"),
    ("time nonsense", _with(available_at="tomorrow").encode(), "task.available_at: not a date and time"),
    ("time number", _with(available_at=5).encode(), "task.available_at: expected `str"),
    ("key empty", _with(idempotency_key="").encode(), "task.idempotency_key: "),
    ("key too long", _with(idempotency_key="k" * 501).encode(), "task.idempotency_key: "),
    ("unknown adapter", _with(requested_adapter="nobody").encode(), "no adapter 'nobody'; configured: command"),
    ("argv text", _payload(argv="rm -rf x").encode(), "task.payload.argv: "),
    ("argv empty", _payload(argv=[]).encode(), "task.payload.argv: "),
    ("argv[0] empty", _payload(argv=[""]).encode(), "task.payload.argv[0]: the command is empty"),
    ("argv of numbers", _payload(argv=["a", 1]).encode(), "task.payload.argv[1]: expected a string, got int"),
    ("argument too long", _payload(argv=["a", "b" * (128 * 1024)]).encode(), "task.payload.argv[1]: more than"),
    ("shell a list", _payload(shell=["x"]).encode(), "task.payload.shell: "),  # noqa: S604  # a field of that name
    ("shell empty", _payload(shell="").encode(), "task.payload.shell: "),
    ("cwd a number", _payload(cwd=3).encode(), "task.payload.cwd: "),
    ("args text", _payload(args="x").encode(), "task.payload.args: "),
    ("timeout negative", _payload(timeout_s=-1).encode(), "task.payload.timeout_s: "),
    ("timeout absurd", _payload(timeout_s=10**12).encode(), "task.payload.timeout_s: "),
    ("timeout text", _payload(timeout_s="5").encode(), "task.payload.timeout_s: "),
    ("timeout true", _payload(timeout_s=True).encode(), "task.payload.timeout_s: "),
    ("nothing to run", _with(payload={}).encode(), "task.payload.argv: "),
]


@pytest.mark.parametrize(("document", "says"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])
def test_a_bad_document_is_refused_by_field_and_leaves_nothing(place: Place, document: bytes, says: str) -> None:
    done = place.rt("intake", "--json", "-", stdin=document)
    assert done.code == 2, done
    assert says in done.error["message"]
    assert len(done.err) < 2_000, "the refusal repeats no large input"
    assert place.files() == set()


@pytest.mark.parametrize(
    "argv",
    [
        (),
        ("--payload", "{}", "--goal", "x"),
        ("--goal", "x", "--", "true"),
        (TEXT, "--", "true"),
        (TEXT, "--kind", "other"),
        ("--payload", "[]"),
        ("--payload", "{"),
        ("--goal", ""),
        ("--",),
        ("--priority", "high", "--", "true"),
        ("--priority", "1001", "--", "true"),
        ("--attempts", "0", "--", "true"),
        ("--in-minutes", "-1", "--", "true"),
        ("--in-minutes", "nan", "--", "true"),
        ("--in-minutes", "1e300", "--", "true"),
        ("--at", "yesterday-ish", "--", "true"),
        ("--key", "", "--", "true"),
        ("--adapter", "nobody", "--", "true"),
        ("@no-such-file",),
        ("@.",),
        ("--no-such-option",),
    ],
)
def test_bad_options_are_exit_2_and_leave_nothing(place: Place, argv: tuple[str, ...]) -> None:
    done = place.rt("intake", *argv)
    assert (done.code, done.out) == (2, b""), done
    assert place.files() == set()


def test_a_refused_document_does_not_move_the_head(history: Place) -> None:
    before = history.head()
    assert history.rt("intake", "{").code == 2
    assert history.rt("do", "--adapter", "nobody").code == 2
    assert history.head() == before


def test_a_document_just_below_the_limit_is_stored_whole(place: Place) -> None:
    place.config('default_adapter = "helper"\n[adapters.helper]\ncommand = "./helper"\n')
    room = PAYLOAD_BYTES_MAX - len('{"description":"","payload":{"x":""}}')
    document = json.dumps({"kind": "k", "source": "s", "payload": {"x": "y" * room}})
    place.ok("intake", "-", stdin=document.encode())
    assert place.task("@last")["payload"] == {"x": "y" * room}
    document = json.dumps({"kind": "k", "source": "s", "payload": {"x": "y" * (room + 1)}})
    assert place.rt("intake", "-", stdin=document.encode()).code == 2


def test_a_goal_without_somebody_who_understands_it_is_told_whom_to_name(place: Place) -> None:
    place.ok("init")
    error = place.rt("intake", "--goal", "tidy up", "--json").error
    assert error["where"] == "--goal"
    assert "--adapter NAME or --profile NAME" in error["why"]


def test_a_time_and_a_delay_do_not_go_together(place: Place) -> None:
    done = place.rt("intake", "--at", "2027-01-01", "--in-minutes", "3", "--json", "--", "true")
    assert (done.code, done.error["code"]) == (2, "cli.usage")
    assert place.head() == 0
