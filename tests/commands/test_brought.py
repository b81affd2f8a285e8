"""What a caller brings beside the goal: read once, frozen with the task, the same in every run of it (AP-2)."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from domain.bounds import FILE_BYTES_MAX, FILES_MAX
from tests.adapters.model_server import completion, serving
from tests.commands.place import Place

DECIDER = """\
import json, sys
asked = json.load(sys.stdin)
with open("asked.jsonl", "a") as file:
    print(json.dumps(asked), file=file)
first = "start" in asked["triggers"]
if first and "fail" in asked["goal"]:
    sys.exit(3)
elif first and "question" in asked["goal"]:
    print(json.dumps({"type": "ask", "question": "really?"}))
else:
    print(json.dumps({"type": "finish", "message": "re: " + asked["goal"]}))
"""
TOML = """
[controllers.it]
kind = "command"
argv = ["python3", "decider.py"]
retries = 0
fallback = false
[controllers.other]
kind = "command"
argv = ["python3", "decider.py"]
retries = 0
fallback = false
[profiles.one]
controller = "it"
tools = ["ask-person"]
[profiles.two]
controller = "it"
tools = ["ask-person"]
middleware = [{ kind = "model-fallback", controllers = ["other"] }]
[adapters.script]
command = "./script"
[secrets]
env = ["CANARY"]
[work]
kill_grace_s = 0.3
"""
TEXT = 'a "b" \u00fc\r\n\tlast line without an end'
STATE = {"step": 3, "seen": ["a", {"b": None}], "\u00fc": 1.5}


@pytest.fixture
def place(place: Place) -> Place:
    """A folder in which a program decides, with a file to bring."""
    (place.folder / "decider.py").write_text(DECIDER)
    (place.folder / "note.txt").write_bytes(TEXT.encode())
    return place.config(TOML)


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder for wishes that store nothing."""
    made = Place(tmp_path_factory.mktemp("idle"))
    (made.folder / "note.txt").write_text("x")
    (made.folder / "large.txt").write_bytes(b"x" * (FILE_BYTES_MAX + 1))
    (made.folder / "most.txt").write_bytes(b"x" * FILE_BYTES_MAX)
    (made.folder / "binary").write_bytes(b"\xff\xfe\0")
    (made.folder / "nul.txt").write_bytes(b"a\0b")
    (made.folder / "secret.txt").write_text("it is canary-9a3b-value")
    (made.folder / "folder").mkdir()
    return made.config(TOML)


BROUGHT = ("--context", '{"who": "jo"}', "--state", json.dumps(STATE), "--file", "note.txt")


def asked(place: Place) -> list[dict[str, Any]]:
    """What the program was asked, each time: what was brought, of it."""
    names = ("context", "state", "files")
    lines = (place.folder / "asked.jsonl").read_text().splitlines()
    return [{name: json.loads(line).get(name) for name in names} for line in lines]


GIVEN = {"context": {"who": "jo"}, "state": STATE, "files": {"note.txt": TEXT}}


def changed(place: Place) -> None:
    """What was brought is another one by now."""
    (place.folder / "note.txt").write_text("other")


def replays(place: Place) -> None:
    assert place.rt("replay", "--all").code == 0


def test_a_controller_is_shown_what_was_brought(place: Place) -> None:
    place.ok("do", "--agent", "one", *BROUGHT, "the goal")
    assert asked(place) == [GIVEN]
    replays(place)


def test_where_nothing_was_brought_nothing_is_shown(place: Place) -> None:
    place.ok("do", "--agent", "one", "the goal")
    assert asked(place) == [{"context": {}, "state": None, "files": None}]


def test_documents_come_from_files_and_from_standard_input_too(place: Place) -> None:
    (place.folder / "state.json").write_text(json.dumps(STATE))
    argv = ("do", "--agent", "one", "--context", "-", "--state", "@state.json", "--file", "note.txt", "the goal")
    place.ok(*argv, stdin=b'{"who": "jo"}')
    assert asked(place) == [GIVEN]


def test_a_retry_is_given_the_same_though_the_file_is_another_one(place: Place) -> None:
    assert place.rt("do", "--agent", "one", *BROUGHT, "fail").code == 1
    changed(place)
    place.ok("retry", "@last")
    place.ok("run-once")
    assert asked(place) == [GIVEN, GIVEN]
    bundles = [each["setup"]["sha256"] for each in place.events("run.started.v1")]
    assert len(bundles) == 2
    assert len(set(bundles)) == 1, "same inputs, same bytes"
    replays(place)


def test_a_resumed_run_is_given_the_same_though_the_file_is_another_one(place: Place) -> None:
    assert place.rt("do", "--agent", "one", *BROUGHT, "question").code == 8
    changed(place)
    place.ok("approve", "@last", "--note", "yes")
    assert place.json("run-once")["status"] == "completed"
    assert asked(place) == [GIVEN, GIVEN]
    replays(place)


def test_the_controller_that_takes_over_is_given_the_same(place: Place) -> None:
    assert place.rt("do", "--agent", "two", *BROUGHT, "fail").code == 1
    assert asked(place) == [GIVEN, GIVEN]
    (replaced,) = place.events("run.controller_replaced.v1")
    assert (replaced["controller"], replaced["by"]) == ("it", "other")
    replays(place)


def test_a_chat_is_shown_it_with_the_goal_as_data(place: Place) -> None:
    with serving() as model:
        model.script.append(completion("It is well."))
        text = f'[models.m]\nbase_url = "{model.base}/script/v1"\nname = "m"\nprivate = true\n'
        place.config(f'{TOML}{text}[profiles.chat]\nprogram = "chat"\ncontroller = "m"\n')
        place.ok("do", "--agent", "chat", *BROUGHT, "the goal")
        (seen,) = model.seen
    goal, _, brought = seen.body["messages"][-1]["content"].partition("\n\nWhat comes with it (data): ")
    assert goal == "the goal"
    assert json.loads(brought) == GIVEN
    replays(place)


def test_a_file_is_kept_byte_for_byte_with_its_digest(place: Place) -> None:
    (place.folder / "most.txt").write_bytes("\u00fc".encode() * (FILE_BYTES_MAX // 2))
    place.ok("do", "--agent", "one", "--file", "note.txt", "--file", "most.txt", "the goal")
    kept = place.task("@last")["payload"]["files"]
    assert kept[0] == {
        "path": "note.txt",
        "sha256": hashlib.sha256(TEXT.encode()).hexdigest(),
        "size": len(TEXT.encode()),
        "content": TEXT,
    }
    assert (kept[1]["size"], len(kept[1]["content"])) == (FILE_BYTES_MAX, FILE_BYTES_MAX // 2)


def test_a_goal_belongs_to_a_conversation(place: Place) -> None:
    place.ok("do", "--agent", "one", "--thread", "talk", "first")
    place.ok("do", "--agent", "one", "--thread", "talk", *BROUGHT, "second")
    last = json.loads((place.folder / "asked.jsonl").read_text().splitlines()[-1])
    assert last["history"] == [
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "re: first"},
    ]
    assert [row["content"] for row in place.rows("thread", "show", "talk")] == ["first", "re: first", "second",
                                                                                "re: second"]  # fmt: skip
    replays(place)


def test_a_watched_command_may_belong_to_a_conversation_and_bring_something(place: Place) -> None:
    place.ok("do", "--thread", "talk", "--file", "note.txt", "--", "echo", "hello")
    assert place.rows("thread", "show", "talk")[0]["content"] == "watch: echo hello"
    assert place.task("@last")["payload"]["files"][0]["content"] == TEXT
    replays(place)


@pytest.mark.parametrize(
    ("argv", "where"),
    [
        (("--context", "[]"), "--context: expected an object, got list"),
        (("--context", "{"), "--context: not JSON"),
        (("--context", ""), "--context: not JSON"),
        (("--context", '{"a": NaN}'), "--context: not JSON"),
        (("--context", '{"a": 1, "a": 2}'), "--context: not JSON"),
        (("--context", '{"a": "\\u0000"}'), "NUL"),
        (("--context", "@nowhere.json"), "nowhere.json: cannot be read"),
        (("--state", "7"), "--state: expected an object, got int"),
        (("--state", ""), "--state: not JSON"),
        (("--state", "{" + '"a":{' * 70 + "}" * 71), "--state"),
        (("--context", "-", "--state", "-"), "--context"),
        (("--file", "nowhere.txt"), "--file: nowhere.txt: No such file"),
        (("--file", "folder"), "--file: folder: Is a directory"),
        (("--file", ""), "--file"),
        (("--file", "large.txt"), f"--file: large.txt: more than {FILE_BYTES_MAX} bytes"),
        (("--file", "/dev/zero"), "--file: /dev/zero: more than"),
        (("--file", "binary"), "--file: binary: is no text in UTF-8"),
        (("--file", "nul.txt"), "task.payload.files[0].content: contains a NUL character"),
        (("--file", b"\xff"), "--file"),
        (("--file", "secret.txt"), "registered secret"),
        (("--file", "note.txt") * (FILES_MAX + 1), f"task.payload.files: expected a list of at most {FILES_MAX} files"),
        (("--file", "most.txt") * 9, "task.payload: "),
        (("--thread", "bad name"), "task.thread"),
        (("--thread", "-x"), "task.thread"),
    ],
)
def test_what_cannot_be_brought_is_refused_by_name_and_nothing_is_stored(
    idle: Place, argv: tuple[str | bytes, ...], where: str
) -> None:
    done = idle.rt("do", "--agent", "one", "--json", *argv, "the goal", env={"CANARY": "canary-9a3b-value"})
    assert done.code == 2, done
    assert where in done.error["message"]
    assert idle.head() == 0


@pytest.mark.parametrize("option", ["--context", "--state", "--file"])
def test_an_empty_text_is_none_and_is_not_overlooked(idle: Place, option: str) -> None:
    done = idle.rt("do", "--json", option, "", "--", "touch", "made")
    assert done.code == 2, done
    assert option in done.error["message"]
    assert idle.head() == 0


@pytest.mark.parametrize("brought", [("--context", "{}"), ("--state", "{}"), ("--file", "note.txt"), ("--thread", "t")])
def test_what_only_an_agent_understands_goes_to_no_other_adapter(idle: Place, brought: tuple[str, str]) -> None:
    done = idle.rt("do", "--json", "--adapter", "script", *brought, "the goal")
    assert (done.code, done.error["code"]) == (2, "rt.invalid")
    assert "--adapter" in done.error["message"]
    assert idle.head() == 0


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ("x", "expected a list"),
        ([7], "files[0]"),
        ([{"path": "a", "content": "x"}], "sha256"),
        ([{"path": "a", "sha256": "", "size": 1, "content": "x" * (FILE_BYTES_MAX + 1)}], "more than"),
        ([{"path": "a", "sha256": "", "size": 1, "content": "\u00fc" * (FILE_BYTES_MAX // 2 + 1)}], "more than"),
    ],
)
def test_the_bounds_hold_for_a_document_as_well(idle: Place, files: object, why: str) -> None:
    task = {"kind": "k", "source": "s", "payload": {"goal": "g", "files": files}, "requested_profile": "one"}
    Path(idle.folder / "task.json").write_text(json.dumps(task))
    done = idle.rt("intake", "--json", "@task.json")
    assert done.code == 2, done
    assert why in done.error["message"]
    assert idle.head() == 0
