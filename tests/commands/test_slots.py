"""Slots: never more runs at once than configured, whoever dispatches; first come, first served within a priority."""

from tests.commands.asking import RULES, decided, wanting
from tests.commands.place import Place, finished

BEGINS = {"task.claimed.v1"}
ENDS = {"task.completed.v1", "task.failed.v1", "task.blocked.v1", "task.parked.v1", "task.canceled.v1",
        "task.retry_scheduled.v1"}  # fmt: skip


def most_at_once(place: Place) -> int:
    """How many claims were open at once, at most: the log folded."""
    now = most = 0
    for topic in place.topics():
        now += (topic in BEGINS) - (topic in ENDS)
        most = max(most, now)
    assert now == 0
    return most


def queue_up(place: Place, count: int) -> None:
    """Take in short commands."""
    for number in range(count):
        place.queue("sh", "-c", "sleep 0.05", options=("--subject", str(number)))


def test_two_dispatchers_together_never_run_more_than_the_slots(place: Place) -> None:
    place.config("[work]\nmax_runs = 2\n")
    queue_up(place, 8)
    with place.started("work", "--until-idle") as one, place.started("work", "--until-idle") as two:
        assert [finished(one).code, finished(two).code] == [0, 0]
    place.ok("work", "--until-idle")
    assert place.topics().count("task.completed.v1") == 8
    assert 1 <= most_at_once(place) <= 2


def test_one_dispatcher_fills_the_slots_and_no_more(place: Place) -> None:
    place.config("[work]\nmax_runs = 3\n")
    queue_up(place, 6)
    place.ok("work", "--until-idle", "--concurrency", "8")
    assert most_at_once(place) == 3


def test_a_profile_has_slots_of_its_own(place: Place) -> None:
    place.config(RULES.replace('approvals = { local-process = "ask" }', "max_runs = 1"))
    for _ in range(3):
        place.ok("intake", wanting([{"command": "sleep", "args": ["0.05"]}]))
    place.ok("work", "--until-idle", "--concurrency", "4")
    assert place.topics().count("task.completed.v1") == 3
    assert most_at_once(place) == 1


def test_a_full_profile_holds_up_nobody_else(place: Place) -> None:
    decided(place, '[profiles.three]\ncontroller = "it"\nmax_runs = 1\n')
    for _ in range(2):
        place.ok("intake", wanting([], profile="three", payload={"goal": "x"}))
    other = place.queue("true")
    place.ok("work", "--until-idle", "--concurrency", "2")
    assert place.task(other)["status"] == "completed"
    assert place.topics().count("task.completed.v1") == 3


def test_a_run_that_waits_for_a_person_holds_no_slot(place: Place) -> None:
    place.config(RULES + "max_runs = 1\n")
    place.ok("intake", wanting([{"command": "true"}]))
    place.queue("true")
    place.ok("work", "--until-idle")
    assert sorted(row["status"] for row in place.rows("task", "list")) == ["completed", "waiting_for_approval"]
    place.ok("approve", "@waiting")
    place.ok("work", "--until-idle")
    assert {row["status"] for row in place.rows("task", "list")} == {"completed"}
    assert most_at_once(place) == 1


def test_who_came_first_is_served_first_within_a_priority(place: Place) -> None:
    place.config("[work]\nmax_runs = 1\n")
    given = [("late", "5"), ("first", "9"), ("later", "5"), ("second", "9"), ("last", "-1")]
    for subject, priority in given:
        place.queue("true", options=("--subject", subject, "--priority", priority))
    place.ok("work", "--until-idle", "--concurrency", "4")
    query = "SELECT t.subject FROM runs r JOIN tasks t ON t.task = r.task ORDER BY r.position"
    order = [subject for (subject,) in place.json("sql", query)["rows"]]
    assert order == ["first", "second", "late", "later", "last"]


def test_a_command_at_the_terminal_waits_for_its_slot_too(place: Place) -> None:
    place.config("[work]\nmax_runs = 1\n")
    with place.started("do", "--", "sleep", "0.3") as one, place.started("do", "--", "sleep", "0.3") as two:
        assert [finished(one).code, finished(two).code] == [0, 0]
    assert most_at_once(place) == 1
