"""`rt schedule`: every rule of time through the real program, evaluated as of a moment that the test names."""

import json
import time
from typing import Any

import pytest

from tests.commands.place import Place, finished

TASK: dict[str, Any] = {"kind": "k", "payload": {"argv": ["true"]}}


def wanted(name: str = "s", **fields: object) -> str:
    """A schedule that begins at the start of 2030."""
    plain = {"name": name, "task": TASK, "interval_seconds": 3600, "next_run_at": "2030-01-01T00:00:00Z"}
    return json.dumps({key: value for key, value in (plain | fields).items() if value is not None})


def create(place: Place, name: str = "s", **fields: object) -> dict[str, Any]:
    return place.json("schedule", "create", wanted(name, **fields))


def tick(place: Place, at: str) -> dict[str, Any]:
    return place.json("schedule", "tick", "--at", at)


def shown(place: Place, name: str = "s") -> dict[str, Any]:
    return place.json("schedule", "show", name)


def sources(place: Place) -> list[str]:
    """Where the tasks came from, the oldest first."""
    return [event["source"] for event in place.events("task.queued.v1")]


def is_sound(place: Place, runs: int) -> None:
    """The log is whole, and all runs replay as they were."""
    place.ok("log", "verify")
    assert place.ok("replay", "--all").text.startswith(f"{runs} of {runs} runs identical\n")


# wishes


def test_a_schedule_from_options_runs_a_command_again_and_again(place: Place) -> None:
    made = place.ok("schedule", "create", "beat", "--every", "30m", "--json", "--", "touch", "beat").document
    assert (made["interval_seconds"], made["changed"], made["status"]) == (1800, True, "enabled")
    assert place.json("schedule", "tick")["tasksCreated"] == 1
    place.ok("work", "--until-idle")
    assert (place.folder / "beat").exists()
    assert place.json("schedule", "tick")["tasksCreated"] == 0
    is_sound(place, 1)


def test_a_document_of_the_old_format_is_taken_as_it_is(place: Place) -> None:
    """SC-4: an imported one counts from the tick."""
    task = TASK | {"source": "old", "priority": 7, "subject": "s"}
    made = create(place, task=task, schedule_id="a-1", enabled=True, created_at="2020-01-01")
    assert made["anchor"] == "tick"
    assert made["ignored_keys"] == ["created_at"]
    tick(place, "2030-01-01T00:00:00Z")
    assert sources(place) == ["old:2030-01-01T00:00:00.000Z"]
    assert place.task("@last")["priority"] == 7


BAD: list[tuple[str, str, str, str]] = [
    ("not JSON", "{", "schedule", "not JSON"),
    ("a list", "@list.json", "schedule", "object"),
    ("no name", wanted(name=None), "schedule.name", "is missing"),  # type: ignore[arg-type]  # on purpose
    ("blank name", wanted(name="  "), "schedule.name", "blank"),
    ("no rhythm", wanted(interval_seconds=None), "schedule.interval_seconds", "is missing"),
    ("no interval", wanted(interval_seconds=0), "schedule.interval_seconds", ">= 1"),
    ("two rhythms", wanted(cron="* * * * *"), "schedule.cron", "one of the two"),
    ("no cron", wanted(interval_seconds=None, cron="61 * * * *"), "schedule.cron", ""),
    ("no zone", wanted(interval_seconds=None, cron="1 * * * *", timezone="Mars/Base"), "schedule.timezone", ""),
    ("no date", wanted(next_run_at="soon"), "schedule.next_run_at", "not a date"),
    ("unknown overlap", wanted(overlap="replace"), "schedule.overlap", "replace"),
    ("no task", wanted(task=None), "schedule.task", "is missing"),
    ("task without kind", wanted(task={"payload": {"argv": ["x"]}}), "task.kind", "is missing"),
    ("task with a bad payload", wanted(task={"kind": "k", "payload": []}), "task.payload", "object"),
    ("task with an empty command", wanted(task={"kind": "k", "payload": {"argv": []}}), "task.payload.argv", ""),
    ("task with a bad priority", wanted(task=TASK | {"priority": 1001}), "task.priority", "1000"),
    ("task of a run", wanted(task=TASK | {"parent_run": "9" * 32}), "task.parent_run", "schedule"),
]


@pytest.mark.parametrize(("document", "where", "why"), [each[1:] for each in BAD], ids=[each[0] for each in BAD])
def test_what_is_wrong_is_named_when_it_is_wanted_and_nothing_is_stored(
    place: Place, document: str, where: str, why: str
) -> None:
    """SC-1."""
    (place.folder / "list.json").write_text("[]")
    done = place.rt("schedule", "create", document, "--json")
    assert done.code == 2, done
    assert done.error["where"].startswith(where)
    assert why in done.error["why"]
    assert place.head() == 0


def test_an_adapter_that_is_not_there_is_refused_when_it_is_wanted(place: Place) -> None:
    """SC-1, IN-8."""
    done = place.rt("schedule", "create", wanted(task=TASK | {"requested_adapter": "codex"}), "--json")
    assert (done.code, done.error["code"]) == (2, "adapter.unknown")


def test_wanting_the_same_again_changes_nothing_and_fires_nothing(place: Place) -> None:
    """SC-8."""
    create(place)
    tick(place, "2030-01-01T00:00:00Z")
    head, before = place.head(), shown(place)
    again = create(place)
    assert (again["changed"], place.head()) == (False, head)
    assert shown(place) == before
    assert tick(place, "2030-01-01T00:00:01Z")["tasksCreated"] == 0


def test_wanting_something_else_starts_over_and_keeps_the_history(place: Place) -> None:
    create(place)
    tick(place, "2030-01-01T00:00:00Z")
    made = create(place, interval_seconds=60, next_run_at="2030-01-02T00:00:00Z")
    assert (made["changed"], made["fired"], made["interval_seconds"]) == (True, 1, 60)
    assert made["next_run_at"].startswith("2030-01-02T00:00:00")
    assert tick(place, "2030-01-01T23:59:59Z")["tasksCreated"] == 0
    assert tick(place, "2030-01-02T00:00:00Z")["tasksCreated"] == 1


def test_a_schedule_that_nobody_knows_is_not_found(place: Place) -> None:
    place.ok("init")
    for verb in ("show", "enable", "disable", "remove", "run"):
        done = place.rt("schedule", verb, "nobody", "--json")
        assert (done.code, done.error["code"]) == (3, "schedule.not_found"), verb


# time


def test_slots_that_were_missed_become_one_task_that_counts_them(place: Place) -> None:
    """SC-3: coalesce is the default."""
    create(place)
    answer = tick(place, "2030-01-01T05:30:00Z")
    assert (answer["schedulesEvaluated"], answer["tasksCreated"], len(answer["taskIds"])) == (1, 1, 1)
    [fired] = place.events("schedule.fired.v1")
    assert fired["missed"] == 5
    assert sources(place) == ["schedule:s:2030-01-01T00:00:00.000Z"]
    assert shown(place)["missed"] == 5


@pytest.mark.parametrize(
    ("catch_up", "made", "left_out"),
    [("coalesce", 1, 0), ("one", 1, 0), ("skip", 0, 6), ("all", 6, 0), ("all:2", 2, 4)],
)
def test_what_becomes_of_missed_slots_is_said(place: Place, catch_up: str, made: int, left_out: int) -> None:
    """SC-3."""
    create(place, catch_up=catch_up)
    answer = tick(place, "2030-01-01T05:30:00Z")
    assert (answer["tasksCreated"], answer["skipped"]) == (made, left_out)
    assert len(set(sources(place))) == made


def test_all_missed_slots_are_bounded(place: Place) -> None:
    """SC-3: at most a hundred tasks of one evaluation; the rest is counted."""
    create(place, catch_up="all", interval_seconds=60)
    answer = tick(place, "2030-01-02T00:00:00Z")
    assert answer["tasksCreated"] == 100
    assert answer["tasksCreated"] + answer["skipped"] == 24 * 60 + 1


@pytest.mark.parametrize(
    ("anchor", "after"),
    [("tick", "2030-01-01T01:20:00"), ("slot", "2030-01-01T01:00:00"), (None, "2030-01-01T01:20:00")],
)
def test_the_next_slot_counts_from_the_tick_or_on_the_grid(place: Place, anchor: str | None, after: str) -> None:
    """SC-4."""
    create(place, anchor=anchor)
    tick(place, "2030-01-01T00:20:00Z")
    assert shown(place)["next_run_at"].startswith(after)


def test_a_cron_keeps_its_hour_when_the_clocks_change(place: Place) -> None:
    """SC-6: 09:00 in Berlin is 08:00 UTC in winter and 07:00 UTC in summer."""
    create(place, interval_seconds=None, cron="0 9 * * *", timezone="Europe/Berlin", next_run_at="2030-03-30T00:00:00Z")
    for day in (30, 31):
        tick(place, f"2030-03-{day}T12:00:00Z")
    assert sources(place) == ["schedule:s:2030-03-30T08:00:00.000Z", "schedule:s:2030-03-31T07:00:00.000Z"]


def test_after_its_end_a_schedule_fires_no_more_and_says_so(place: Place) -> None:
    """SC-6."""
    create(place, ends_at="2030-01-01T01:30:00Z", anchor="slot", catch_up="all")
    assert tick(place, "2030-01-05T00:00:00Z")["tasksCreated"] == 2
    assert shown(place)["status"] == "ended"
    assert tick(place, "2030-01-06T00:00:00Z")["schedulesEvaluated"] == 0


def test_jitter_is_the_same_for_the_same_slot(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    """SC-6."""
    create(place, jitter_seconds=3000)
    [line] = [each for each in place.rows("schedule", "list") if each["name"] == "s"]
    assert line["jitter_seconds"] == 3000
    first = next(minute for minute in range(0, 60, 5) if tick(place, f"2030-01-01T00:{minute:02}:00Z")["tasksCreated"])
    assert sources(place) == ["schedule:s:2030-01-01T00:00:00.000Z"]
    other = Place(tmp_path_factory.mktemp("other"))
    create(other, jitter_seconds=3000)
    if first:
        assert tick(other, f"2030-01-01T00:{first - 5:02}:00Z")["tasksCreated"] == 0
    assert tick(other, f"2030-01-01T00:{first:02}:00Z")["tasksCreated"] == 1


def test_a_clock_that_jumps_years_ahead_makes_one_task_and_back_none(place: Place) -> None:
    """SC-7: both are in the log, and the schedule goes on from the right time."""
    create(place)
    assert tick(place, "2030-01-01T00:00:00Z")["tasksCreated"] == 1
    assert tick(place, "2055-06-01T00:00:00Z")["tasksCreated"] == 1
    assert tick(place, "2030-01-01T02:00:00Z")["tasksCreated"] == 0
    assert [event["slots"] != [] for event in place.events("schedule.came_due.v1")] == [True, True, False]
    assert shown(place)["next_run_at"].startswith("2030-01-01T0")
    assert tick(place, "2030-01-01T04:00:00Z")["tasksCreated"] == 1
    assert len(set(sources(place))) == 3


def test_a_dispatcher_brings_a_schedule_back_after_a_wrong_clock(place: Place) -> None:
    """SC-7: nobody has to ask for it."""
    place.ok("schedule", "create", "s", "--every", "1h", "--", "true")
    tick(place, "2099-01-01T00:00:00Z")
    assert shown(place)["next_run_at"].startswith("2099")
    place.ok("work", "--until-idle")
    assert not shown(place)["next_run_at"].startswith("2099")
    assert len(place.events("schedule.fired.v1")) == 1


# transactions


def test_two_evaluations_at_once_make_one_task_for_each_slot(place: Place) -> None:
    """SC-2."""
    for number in range(20):
        create(place, f"s{number}")
    argv = ("schedule", "tick", "--at", "2030-01-01T00:00:00Z", "--json")
    with place.started(*argv) as one, place.started(*argv) as two, place.started(*argv) as three:
        ends = [finished(each) for each in (one, two, three)]
    assert [end.code for end in ends] == [0, 0, 0]
    assert sum(end.document["tasksCreated"] for end in ends) == 20
    assert len(sources(place)) == len(set(sources(place))) == 20
    assert len(place.events("schedule.came_due.v1")) == 20


def test_a_slot_and_its_task_lie_in_one_transaction_each_with_its_cause(place: Place) -> None:
    """SC-2."""
    create(place)
    tick(place, "2030-01-01T00:00:00Z")
    assert place.topics()[1:] == ["schedule.came_due.v1", "schedule.fired.v1", "task.queued.v1", "schedule.ticked.v1"]
    [queued] = place.events("task.queued.v1")
    assert queued["origin"] == {"kind": "schedule", "stream": shown(place)["schedule_id"]}


def test_a_thousand_schedules_that_are_due_make_a_thousand_tasks_in_one_evaluation(place: Place) -> None:
    from commands.home import Home
    from commands.scheduling import Scheduler
    from commands.wiring import Runtime

    runtime = Runtime(Home(place.state, None, place.folder), "test")
    runtime.create_log()
    scheduler = Scheduler(runtime.config)
    for number in range(1000):
        made = scheduler.accepted(json.loads(wanted(f"s{number:04}")), 1)
        scheduler.upsert(runtime.log, made, 1, runtime.actor)
    runtime.close()
    answer = tick(place, "2030-01-01T00:00:00Z")
    assert (answer["schedulesEvaluated"], answer["tasksCreated"], len(set(answer["taskIds"]))) == (1000, 1000, 1000)
    assert sources(place)[::999] == [
        "schedule:s0000:2030-01-01T00:00:00.000Z",
        "schedule:s0999:2030-01-01T00:00:00.000Z",
    ]
    assert tick(place, "2030-01-01T00:00:00Z")["schedulesEvaluated"] == 0


def test_an_evaluation_that_was_asked_for_is_recorded_and_an_idle_dispatcher_writes_nothing(place: Place) -> None:
    """DC-4."""
    create(place)
    head = tick(place, "2029-01-01T00:00:00Z")["position"]
    [ticked] = place.events("schedule.ticked.v1")
    assert (ticked["explicit"], ticked["evaluated"], ticked["fired"]) == (True, 0, 0)
    topics = place.topics()
    place.ok("run-once")
    assert place.topics()[: len(topics)] == topics
    assert not [topic for topic in place.topics()[head:] if topic.startswith(("schedule.", "task."))]


# overlap


@pytest.mark.parametrize(("overlap", "made"), [("allow", [1, 1, 1]), ("skip", [1, 0, 0]), ("queue", [1, 1, 0])])
def test_while_a_task_is_open_others_are_made_or_not_as_it_is_said(place: Place, overlap: str, made: list[int]) -> None:
    """SC-5."""
    create(place, overlap=overlap)
    assert [tick(place, f"2030-01-01T0{hour}:00:00Z")["tasksCreated"] for hour in (0, 1, 2)] == made
    place.ok("work", "--until-idle")
    assert tick(place, "2030-01-01T09:00:00Z")["tasksCreated"] == 1


def test_a_queued_one_never_runs_beside_the_one_before_it(place: Place) -> None:
    """SC-5: two dispatchers with room for eight runs."""
    line = "mkdir running || echo twice >> twice; sleep 0.4; rmdir running; echo done >> done"
    create(place, overlap="queue_one", task={"kind": "k", "payload": {"shell": line, "cwd": str(place.folder)}})
    assert [tick(place, f"2030-01-01T0{hour}:00:00Z")["tasksCreated"] for hour in (0, 1)] == [1, 1]
    place.queue("touch", "other")
    with place.started("work", "--until-idle") as one, place.started("work", "--until-idle") as two:
        assert [finished(one).code, finished(two).code] == [0, 0]
    place.ok("work", "--until-idle")
    assert (place.folder / "done").read_text() == "done\ndone\n"
    assert not (place.folder / "twice").exists()
    assert (place.folder / "other").exists()
    is_sound(place, 3)


# one that cannot go on


def test_a_task_that_is_refused_later_disables_its_schedule_and_no_other(place: Place) -> None:
    """DC-2: the reason is named; it is not evaluated for ever."""
    place.config('[adapters.gone]\ncommand = "./x"\n')
    create(place, "bad", task=TASK | {"requested_adapter": "gone"})
    create(place, "good")
    place.config("")
    answer = tick(place, "2030-01-01T00:00:00Z")
    assert answer["tasksCreated"] == 1
    [failed] = answer["failed"]
    assert (failed["name"], "no adapter 'gone'" in failed["why"]) == ("bad", True)
    found = shown(place, "bad")
    assert (found["status"], "no adapter 'gone'" in found["reason"]) == ("disabled", True)
    assert sources(place) == ["schedule:good:2030-01-01T00:00:00.000Z"]
    assert tick(place, "2030-01-01T01:00:00Z")["failed"] == []


def test_a_dispatcher_says_which_schedule_it_disabled_and_works_on(place: Place) -> None:
    """DC-2."""
    place.config('[adapters.gone]\ncommand = "./x"\n')
    create(place, "bad", task=TASK | {"requested_adapter": "gone"}, next_run_at=None)
    place.config("")
    task = place.queue("true")
    done = place.ok("work", "--until-idle")
    assert "schedule bad is disabled" in done.errors
    assert place.task(task)["status"] == "completed"


# a person's verbs


def test_a_disabled_schedule_waits_and_makes_up_for_nothing(place: Place) -> None:
    """SC-6."""
    create(place)
    assert place.json("schedule", "disable", "s", "--reason", "holidays")["changed"] is True
    assert (shown(place)["status"], shown(place)["reason"]) == ("disabled", "holidays")
    assert tick(place, "2030-01-01T05:00:00Z")["schedulesEvaluated"] == 0
    assert place.json("schedule", "disable", "s")["changed"] is False
    assert place.json("schedule", "enable", "s")["changed"] is True
    assert place.json("schedule", "enable", "s")["changed"] is False
    assert place.topics().count("schedule.enabled.v1") == 1


def test_a_removed_schedule_is_gone_and_can_be_made_anew(place: Place) -> None:
    create(place)
    place.ok("schedule", "remove", "s")
    assert place.rows("schedule", "list") == []
    assert tick(place, "2030-01-01T05:00:00Z")["schedulesEvaluated"] == 0
    assert create(place)["changed"] is True
    assert tick(place, "2030-01-01T05:00:00Z")["tasksCreated"] == 1


def test_a_schedule_is_run_by_hand_beside_its_slots(place: Place) -> None:
    """SC-6: run now; what was to come comes as it would have come."""
    create(place)
    before = shown(place)["next_run_at"]
    assert place.json("schedule", "run", "s")["tasksCreated"] == 1
    assert shown(place)["next_run_at"] == before
    assert tick(place, "2030-01-01T00:00:00Z")["tasksCreated"] == 1
    assert len(set(sources(place))) == 2


def test_the_list_has_enabled_ones_first_by_their_next_slot(place: Place) -> None:
    create(place, "late", next_run_at="2031-01-01T00:00:00Z")
    create(place, "off", enabled=False)
    create(place, "soon")
    assert [each["name"] for each in place.rows("schedule", "list")] == ["soon", "late", "off"]
    assert place.ok("schedule", "list").text.splitlines()[1].startswith("soon")


def test_a_secret_in_a_schedule_is_refused(place: Place) -> None:
    place.config('[secrets]\nenv = ["PASS"]\n')
    task = TASK | {"payload": {"argv": ["curl", "hunter2hunter2"]}}
    done = place.rt("schedule", "create", wanted(task=task), "--json", env={"PASS": "hunter2hunter2"})
    assert (done.code, done.error["where"]) == (2, "schedule.task")
    assert "hunter2hunter2" not in done.errors


def test_pausing_more_than_claims_holds_schedules_and_claims_alone_do_not(place: Place) -> None:
    """OP-2: what falls due meanwhile is coalesced."""
    create(place, next_run_at=None)
    place.ok("pause", "--scope", "feeders")
    place.ok("run-once")
    assert sources(place) == []
    place.ok("resume")
    place.ok("work", "--until-idle")
    assert len(sources(place)) == 1


def test_a_tick_as_of_another_time_is_recorded_when_it_happened(place: Place) -> None:
    """What comes in years from now must not stand in the log as if it had happened."""
    place.ok("schedule", "create", "s", "--cron", "0 3 * * *", "--", "true")
    assert tick(place, "2100-01-01T00:00:00Z")["tasksCreated"] == 1
    (row,) = place.ok("sql", "SELECT epoch_us(max(recorded_at)) AS last FROM events", "--jsonl").out.splitlines()
    assert abs(json.loads(row)["last"] - time.time_ns() // 1000) < 60_000_000
    assert place.events("schedule.ticked.v1")[-1]["at_us"] == 4_102_444_800_000_000


def test_a_tick_as_of_a_time_that_is_over_moves_no_schedule_back(place: Place) -> None:
    place.ok("schedule", "create", "s", "--cron", "0 3 * * *", "--", "true")
    (before,) = place.rows("schedule", "list")
    assert tick(place, "2020-01-01T00:00:00Z")["tasksCreated"] == 0
    (after,) = place.rows("schedule", "list")
    assert after["next_run_at"] == before["next_run_at"]
    assert place.json("schedule", "tick")["tasksCreated"] == 0
