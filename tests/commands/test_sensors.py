"""`rt sensor`: what comes from outside counts once, however often it is told; its programs are looked after."""

import json
import random
from itertools import pairwise
from typing import Any

import pytest

from domain.bounds import BATCH_LINES_MAX
from tests.commands.place import Place, finished, interrupt, is_running, until

EVENT: dict[str, Any] = {"sensor_id": "s", "event_id": "e1", "source_ref": "r", "dedupe_key": "k1", "payload": {"a": 1}}
TASK: dict[str, Any] = {"kind": "look", "source": "sensor", "payload": {"objective": "look"}, "priority": 8}
HELPER = '[adapters.helper]\ncommand = "./helper"\noutcome = "text"\n'
FLOW = {"template": "goal-loop", "instance_key": "w1", "context": {"summary": "tidy up"}}


def told(**fields: object) -> str:
    return json.dumps({key: value for key, value in (EVENT | fields).items() if value is not None})


def ingest(place: Place, **fields: object) -> dict[str, Any]:
    return place.json("sensor", "ingest", told(**fields))


def with_helper(place: Place, more: str = "") -> Place:
    place.script("helper", "#!/bin/sh\necho done\n")
    return place.config(f'default_adapter = "helper"\n{HELPER}{more}')


# events


def test_an_event_is_accepted_once_and_known_from_then_on(place: Place) -> None:
    """SE-3: a repetition is answered with the first one."""
    first, again = ingest(place), ingest(place)
    assert (first["accepted"], again["accepted"]) == (True, False)
    assert first["event"] == again["event"]
    assert again["event"] == {
        "sensor_id": "s", "event_id": "e1", "source_ref": "r", "dedupe_key": "k1", "position": 1,
    }  # fmt: skip
    assert (again["conflict"], again["task_id"], again["workflow_id"]) == (False, None, None)
    assert place.topics() == ["sensor.accepted.v1", "sensor.named.v1", "sensor.deduplicated.v1"]


def test_an_event_is_the_same_by_its_key_and_by_its_sensors_own_id(place: Place) -> None:
    ingest(place)
    assert ingest(place, event_id="e2")["accepted"] is False
    assert ingest(place, dedupe_key="k2")["accepted"] is False
    assert ingest(place, event_id="e3", dedupe_key="k3")["accepted"] is True
    assert ingest(place, sensor_id="other", dedupe_key="k4")["accepted"] is True


def test_the_same_key_with_another_payload_is_a_conflict(place: Place) -> None:
    """SE-3."""
    ingest(place)
    again = ingest(place, payload={"a": 2})
    assert (again["accepted"], again["conflict"]) == (False, True)
    assert place.events("sensor.deduplicated.v1")[0]["conflict"] is True
    assert "payload differs" in place.ok("sensor", "ingest", told(payload={"a": 2})).errors


def test_a_proposed_task_is_made_once_and_linked(place: Place) -> None:
    """SE-6: its priority is passed as it is."""
    with_helper(place)
    first = ingest(place, proposed_task=TASK)
    again = ingest(place, proposed_task=TASK)
    assert first["task_id"] == again["task_id"]
    found = place.task(first["task_id"])
    assert (found["priority"], found["status"], found["kind"]) == (8, "pending", "look")
    [queued] = place.events("task.queued.v1")
    assert queued["origin"]["kind"] == "sensor"
    caused_by = place.json("sql", "SELECT caused_by FROM events WHERE topic = 'task.queued.v1'")["rows"]
    assert caused_by == [[first["event"]["position"]]]
    place.ok("work", "--until-idle")
    assert place.task(first["task_id"])["status"] == "completed"
    place.ok("replay", "--all")


def test_a_proposed_workflow_begins_unless_it_is_there(place: Place) -> None:
    with_helper(place)
    first = ingest(place, proposed_workflow=FLOW)
    other = ingest(place, event_id="e2", dedupe_key="k2", proposed_workflow=FLOW)
    assert first["workflow_id"] == other["workflow_id"]
    assert ["workflow_known" in each for each in place.events("sensor.accepted.v1")] == [False, True]
    assert place.topics().count("workflow.created.v1") == 1
    assert place.json("workflow", "show", "w1")["context"]["summary"] == "tidy up"


def test_an_event_whose_workflow_is_refused_leaves_nothing_and_a_redelivery_does_the_work(place: Place) -> None:
    """SE-1."""
    with_helper(place)
    given = told(proposed_task=TASK, proposed_workflow=FLOW | {"template": "mine"})
    done = place.rt("sensor", "ingest", given, "--json")
    assert (done.code, done.error["code"]) == (3, "workflow.unknown_template")
    assert place.head() == 0
    text = '{"name": "mine", "start": "a", "states": {"a": {"task": {"kind": "k"}, "completion_kinds": ["k"]}}}'
    (place.folder / "mine.json").write_text(text)
    with_helper(place, '[workflows]\nmine = "mine.json"\n')
    answer = place.ok("sensor", "ingest", given, "--json").document
    assert answer["accepted"] is True
    assert place.topics().count("task.queued.v1") == 2


def test_an_event_whose_task_is_refused_in_the_transaction_leaves_nothing(place: Place) -> None:
    """SE-1: the configuration changed after it was checked."""
    from commands.home import Home
    from commands.sensing import Sensors
    from commands.wiring import Runtime
    from domain import errors
    from domain.config import Config

    with_helper(place)
    runtime = Runtime(Home(place.state, place.folder / "rt.toml", place.folder), "test")
    runtime.create_log()
    task = TASK | {"requested_adapter": "helper"}
    good = EVENT | {"event_id": "e2", "dedupe_key": "k2"}
    sensed = [Sensors(runtime.config, place.folder).check(each, 1) for each in (EVENT | {"proposed_task": task}, good)]
    refused, accepted = Sensors(Config(), place.folder).ingest(runtime.log, sensed, 1, "test")
    assert isinstance(refused, errors.UnknownAdapter)
    assert not isinstance(accepted, errors.RtError)
    assert place.topics() == ["sensor.accepted.v1", "sensor.named.v1"]
    [again] = Sensors(runtime.config, place.folder).ingest(runtime.log, sensed[:1], 1, "test")
    runtime.close()
    assert not isinstance(again, errors.RtError)
    assert again.accepted
    assert place.task(again.event.task)["status"] == "pending"


def test_a_key_that_lives_for_a_while_can_be_told_again_later(place: Place) -> None:
    """SE-4."""
    ingest(place, dedupe_ttl_seconds=1)
    until(lambda: ingest(place, dedupe_ttl_seconds=1, event_id="e2")["accepted"], seconds=20)
    windows = [each["window"] for each in place.events("sensor.accepted.v1")]
    assert len(set(windows)) == len(windows) >= 2


def test_the_border_of_two_windows_doubles_nothing(place: Place) -> None:
    """SE-4: a key counts for so long from when it was told, not until midnight."""
    from commands.home import Home
    from commands.sensing import Sensors
    from commands.wiring import Runtime

    place.config("")
    runtime = Runtime(Home(place.state, place.folder / "rt.toml", place.folder), "test")
    runtime.create_log()
    sensors, day_us = Sensors(runtime.config, place.folder), 86_400_000_000
    first_us = 20_000 * day_us - 1_000_000
    told_at = [first_us, first_us + 2_000_000, first_us + day_us - 1, first_us + day_us + 2_000_000]
    accepted = []
    for now_us in told_at:
        sensed = sensors.check(EVENT | {"dedupe_ttl_seconds": 86_400}, now_us)
        [found] = sensors.ingest(runtime.log, [sensed], now_us, "test")
        assert not isinstance(found, Exception)
        accepted.append(found.accepted)
    runtime.close()
    assert accepted == [True, False, False, True]


BAD: list[tuple[str, str, int, str, str]] = [
    ("not JSON", "{", 2, "event", "not JSON"),
    ("no key", told(dedupe_key=None), 2, "event.dedupe_key", "is missing"),
    ("no payload", told(payload=None), 2, "event.payload", "is missing"),
    ("blank id", told(event_id=" "), 2, "event.event_id", "blank"),
    ("a task without kind", told(proposed_task={"source": "s", "payload": {}}), 2, "task.kind", "is missing"),
    ("a task of a thread", told(proposed_task=TASK | {"thread": "t"}), 2, "task.thread", "sensor"),
]


@pytest.mark.parametrize(("given", "code", "where", "why"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_what_is_wrong_is_named_and_never_counts_as_told(
    place: Place, given: str, code: int, where: str, why: str
) -> None:
    """SE-2."""
    with_helper(place)
    done = place.rt("sensor", "ingest", given, "--json")
    assert done.code == code, done
    assert done.error["where"].startswith(where)
    assert why in done.error["why"]
    assert place.head() == 0


@pytest.mark.parametrize("payload", [{"argv": ["true"]}, {"shell": "true"}, {"calls": [{"tool": "local-process"}]}])
def test_commands_are_not_accepted_from_a_sensor(place: Place, payload: dict[str, Any]) -> None:
    """OU-2b."""
    done = place.rt("sensor", "ingest", told(proposed_task=TASK | {"payload": payload}), "--json")
    assert (done.code, done.error["code"]) == (6, "rt.refused"), done
    assert place.head() == 0


def test_commands_are_accepted_from_a_sensor_where_the_configuration_says_so(place: Place) -> None:
    """OU-2b."""
    place.config('allow_argv_from = ["sensor"]\n')
    answer = ingest(place, proposed_task=TASK | {"payload": {"argv": ["true"]}})
    place.ok("work", "--until-idle")
    assert place.task(answer["task_id"])["status"] == "completed"


def test_a_secret_in_an_event_is_refused(place: Place) -> None:
    with_helper(place, '[secrets]\nenv = ["PASS"]\n')
    for fields in ({"payload": {"a": "hunter2hunter2"}}, {"proposed_task": TASK | {"subject": "hunter2hunter2"}}):
        done = place.rt("sensor", "ingest", told(**fields), "--json", env={"PASS": "hunter2hunter2"})
        assert (done.code, done.error["where"]) == (2, "event")
    assert place.head() == 0


def test_options_name_what_the_document_leaves_out(place: Place) -> None:
    answer = place.json("sensor", "ingest", told(sensor_id=None, dedupe_key=None), "--sensor", "o", "--key", "k9")
    assert (answer["event"]["sensor_id"], answer["event"]["dedupe_key"]) == ("o", "k9")


# many


def test_a_burst_of_duplicates_has_one_effect_for_each_key(place: Place) -> None:
    """SE-5: 2,000 events in any order, nine of ten are repetitions."""
    with_helper(place)
    lines = [
        told(event_id=f"e{key}", dedupe_key=f"k{key}", proposed_task=TASK) for key in range(200) for _ in range(10)
    ]
    random.Random(7).shuffle(lines)  # the same order every time
    (place.folder / "events").write_text("\n".join(lines) + "\n")
    answer = place.json("sensor", "ingest", "--lines", "@events")
    assert (answer["accepted"], answer["deduplicated"], answer["refused"]) == (200, 1800, 0)
    topics = place.topics()
    assert (topics.count("task.queued.v1"), topics.count("sensor.accepted.v1")) == (200, 200)
    again = place.json("sensor", "ingest", "--lines", "@events")
    assert (again["accepted"], again["deduplicated"]) == (0, 2000)
    assert place.topics().count("task.queued.v1") == 200


def test_two_deliveries_of_the_same_events_at_once_have_one_effect(place: Place) -> None:
    """SE-5."""
    place.ok("init")
    with_helper(place)
    lines = [told(event_id=f"e{key}", dedupe_key=f"k{key}", proposed_task=TASK) for key in range(100)]
    (place.folder / "events").write_text("\n".join(lines))
    argv = ("sensor", "ingest", "--lines", "@events", "--json")
    with place.started(*argv) as one, place.started(*argv) as two:
        ends = [finished(each).document for each in (one, two)]
    assert sum(end["accepted"] for end in ends) == sum(end["deduplicated"] for end in ends) == 100
    assert place.topics().count("task.queued.v1") == 100


def test_what_came_before_a_file_turned_out_too_long_is_ingested_and_told(place: Place) -> None:
    (place.folder / "events").write_text(json.dumps(EVENT) + "\n" + "{\n" * BATCH_LINES_MAX)
    done = place.rt("sensor", "ingest", "--lines", "@events", "--json")
    assert (done.code, json.loads(done.errors.splitlines()[-1])["error"]["code"]) == (2, "rt.invalid")
    counts = json.loads(done.out)
    assert (counts["accepted"], counts["refused"]) == (1, BATCH_LINES_MAX - 1)


def test_one_key_that_is_told_very_often_costs_no_more_each_time(place: Place) -> None:
    """SE-5: telling again reads one event, however many repetitions there were."""
    from commands.home import Home
    from commands.sensing import Sensors
    from commands.wiring import Runtime

    ingest(place)
    runtime = Runtime(Home(place.state, None, place.folder), "test")
    doors = Sensors(runtime.config, place.folder)
    sensed = doors.check(EVENT, 1)
    doors.ingest(runtime.log, [sensed] * 500, 1, "test")
    runtime.close()
    query = "SELECT count(*) FROM events WHERE stream = (SELECT stream FROM events WHERE position = 1)"
    assert place.json("sql", query)["rows"] == [[1]]
    assert place.topics().count("sensor.deduplicated.v1") == 500


def test_each_bad_line_is_named_and_the_others_are_taken(place: Place) -> None:
    lines = [told(), "{", "", told(event_id="e2", dedupe_key=None), told(event_id="e3", dedupe_key="k3"), "[]", "\xff"]
    (place.folder / "events").write_bytes("\n".join(lines).encode("latin-1"))
    done = place.rt("sensor", "ingest", "--lines", "@events", "--json")
    assert done.code == 2
    found = json.loads(done.out)
    assert (found["accepted"], found["deduplicated"], found["refused"]) == (2, 0, 4)
    for number, why in ((2, "not JSON"), (4, "event.dedupe_key: is missing"), (6, "an object"), (7, "not UTF-8")):
        assert any(f'"line": {number},' in line and why in line for line in done.errors.splitlines()), done.errors


def test_a_file_that_is_not_there_is_named_and_makes_no_log(place: Place) -> None:
    done = place.rt("sensor", "ingest", "--lines", "@nothing", "--json")
    assert (done.code, "nothing" in done.error["why"]) == (2, True)
    assert place.files() == set()


# programs


def sensor(place: Place, text: str, **fields: object) -> Place:
    """A sensor named box, whose program is a shell script."""
    place.script("box", f"#!/bin/sh\n{text}\n")
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
    if not place.state.exists():
        place.ok("init")
    return place.config(f'[sensors.box]\nargv = ["./box"]\n{more}')


def printing(*documents: str) -> str:
    return "cat <<'END'\n" + "\n".join(documents) + "\nEND"


def line(key: str) -> str:
    return json.dumps({"event_id": key, "source_ref": "", "dedupe_key": key, "payload": {"key": key}})


def run(place: Place, code: int = 0) -> dict[str, Any]:
    done = place.rt("sensor", "run", "box", "--json")
    assert done.code == code, done
    return done.document


def test_what_a_program_prints_is_ingested_under_its_name(place: Place) -> None:
    sensor(place, printing(line("a"), "", line("b"), line("a")))
    answer = run(place)
    assert (answer["accepted"], answer["deduplicated"], answer["refused"], answer["cause"]) == (2, 1, 0, "")
    assert {each["sensor"] for each in place.events("sensor.accepted.v1")} == {"box"}
    assert run(place)["deduplicated"] == 3
    assert place.rows("sensor", "list")[0]["status"] == "fresh"


def test_lines_that_are_no_events_are_refused_and_the_others_count(place: Place) -> None:
    sensor(place, printing(line("a"), "garbage", '{"event_id": "x"}', line("b")) + "\nprintf '\\377\\n'")
    answer = run(place, 1)
    assert (answer["accepted"], answer["refused"], answer["cause"]) == (2, 3, "refused_events")
    assert "line 2" in answer["message"]
    assert place.rows("sensor", "list")[0]["status"] == "failing"


def test_a_program_that_fails_says_why_and_its_events_do_not_count(place: Place) -> None:
    sensor(place, printing(line("a")) + "\necho no disk >&2\nexit 3")
    answer = run(place, 1)
    assert (answer["accepted"], answer["cause"], answer["message"]) == (0, "exit:3", "no disk")
    assert place.topics() == ["sensor.ran.v1"]


def test_a_program_that_does_not_end_is_ended_with_all_it_started(place: Place) -> None:
    sensor(place, "sleep 60 & echo $! > child; echo $$ > parent; wait", timeout_s=0.5)
    done = run(place, 1)
    assert (done["cause"], done["message"]) == ("timeout", "nothing on stderr; it was ended after 0.5 s (timeout_s)")
    assert not any(is_running(int((place.folder / name).read_text())) for name in ("child", "parent"))


def test_a_program_that_prints_without_end_is_ended(place: Place) -> None:
    sensor(place, "exec yes", timeout_s=50)
    answer = run(place, 1)
    assert (answer["cause"], answer["accepted"]) == ("too_much_output", 0)


def test_a_program_that_is_not_there_is_a_failure(place: Place) -> None:
    place.config('[sensors.box]\nargv = ["./nowhere"]\n')
    answer = run(place, 1)
    assert answer["cause"]
    assert answer["failures"] == 1


def test_a_sensor_that_is_not_configured_is_named(place: Place) -> None:
    done = place.rt("sensor", "run", "box", "--json")
    assert (done.code, done.error["code"]) == (3, "sensor.not_found")


def test_a_sensor_that_fails_too_often_is_parked_until_a_person_runs_it(place: Place) -> None:
    """DC-2."""
    sensor(place, "echo x >> ran; [ -e good ]", failures_max=2, every_s=1)
    assert [run(place, 1)["failures"] for _ in range(2)] == [1, 2]
    assert place.rows("sensor", "list")[0]["status"] == "parked"
    task = place.queue("true")
    place.ok("work", "--until-idle")
    assert place.task(task)["status"] == "completed"
    assert (place.folder / "ran").read_text() == "x\nx\n"
    assert run(place, 1)["failures"] == 3
    assert place.topics().count("sensor.parked.v1") == 2
    (place.folder / "good").touch()
    assert run(place)["failures"] == 0
    assert place.rows("sensor", "list")[0]["status"] == "fresh"


def test_a_failing_sensor_never_holds_up_work_and_is_parked_by_a_dispatcher_too(place: Place) -> None:
    """DC-2."""
    sensor(place, "echo x >> ran; exit 1", failures_max=2, every_s=1)
    task = place.queue("true")
    with place.started("work") as process:
        until(lambda: place.topics().count("sensor.parked.v1") == 1)
        interrupt(process)
    assert place.task(task)["status"] == "completed"
    assert len(place.events("sensor.ran.v1")) == 2


def test_a_dispatcher_runs_a_sensor_on_its_interval_and_its_tasks_with_it(place: Place) -> None:
    task = json.dumps(TASK | {"payload": {"objective": "x"}})
    text = f"""date +%s%N >> ran; n=$(wc -l < ran)
printf '{{"event_id": "%s", "source_ref": "", "dedupe_key": "%s", "payload": {{}}, "proposed_task": %s}}\\n' \\
 $n $n '{task}' """
    place.script("box", f"#!/bin/sh\n{text}\n")
    place.ok("init")
    with_helper(place, '[sensors.box]\nargv = ["./box"]\nevery_s = 1\n')
    with place.started("work") as process:
        until(lambda: place.topics().count("task.completed.v1") >= 2)
        interrupt(process)
    times = [int(each) for each in (place.folder / "ran").read_text().split()]
    assert all(later - earlier > 900_000_000 for earlier, later in pairwise(times))
    place.ok("replay", "--all")


def test_the_interval_counts_across_dispatchers(place: Place) -> None:
    sensor(place, f"echo x >> ran\n{printing(line('a'))}", every_s=3600)
    for _ in range(3):
        place.ok("work", "--until-idle")
    assert (place.folder / "ran").read_text() == "x\n"


def test_of_two_dispatchers_one_runs_a_sensor_until_it_is_killed(place: Place) -> None:
    sensor(place, "echo $PPID >> ran; sleep 0.3", every_s=1)

    def ran() -> list[str]:
        found = place.folder / "ran"
        return found.read_text().split() if found.exists() else []

    with place.started("work") as one:
        until(lambda: len(ran()) >= 1)
        with place.started("work") as two:
            until(lambda: len(ran()) >= 4)
            assert set(ran()) == {str(one.pid)}
            one.kill()
            one.wait()
            until(lambda: ran()[-1] == str(two.pid))
            interrupt(two)


def test_a_quiet_sensor_writes_nothing(place: Place) -> None:
    """DC-4."""
    sensor(place, "echo x >> ran", every_s=1)
    with place.started("work") as process:
        until(lambda: (place.folder / "ran").exists() and len((place.folder / "ran").read_text()) >= 4)
        interrupt(process)
    assert [topic for topic in place.topics() if topic.startswith("sensor.")] == []


def test_silence_beyond_its_deadline_is_told_once(place: Place) -> None:
    """A second dispatcher does not tell it again."""
    sensor(place, "true", every_s=1000, freshness_s=1)
    with place.started("work") as process:
        until(lambda: place.topics().count("sensor.went_stale.v1") == 1)
        interrupt(process)
    config = (place.folder / "rt.toml").read_text()
    later = '[sensors.later]\nargv = ["./box"]\nevery_s = 1000\nfreshness_s = 2\n'
    place.config(config + later)
    with place.started("work") as process:
        until(lambda: "later" in {each["sensor"] for each in place.events("sensor.went_stale.v1")})
        interrupt(process)
    assert [each["sensor"] for each in place.events("sensor.went_stale.v1")] == ["box", "later"]


def test_secrets_in_what_a_program_prints_are_taken_out(place: Place) -> None:
    event = '{"event_id": "a", "source_ref": "", "dedupe_key": "a", "payload": {"at": "\'"$PASS"\'"}}'
    place.script("box", f"#!/bin/sh\necho '{event}'\necho $PASS >&2; [ -e good ]\n")
    place.config('[secrets]\nenv = ["PASS"]\n[sensors.box]\nargv = ["./box"]\ninherit_env = ["PASS"]\n')
    env = {"PASS": "hunter2hunter2"}
    failed = place.rt("sensor", "run", "box", "--json", env=env)
    (place.folder / "good").touch()
    done = place.rt("sensor", "run", "box", "--json", env=env)
    assert (failed.code, done.code, done.document["accepted"]) == (1, 0, 1)
    assert b"hunter2hunter2" not in failed.out + failed.err + done.out + done.err
    assert b"hunter2hunter2" not in (place.state / "log.db").read_bytes()
