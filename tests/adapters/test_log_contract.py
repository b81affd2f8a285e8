"""What every log promises: the one in memory, which other tests trust, and the one on disk."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from adapters.log_memory import MemoryLog
from adapters.log_sqlite import SqliteLog
from domain import errors
from domain.bounds import BLOB_BYTES_MAX
from domain.events import (
    Blob,
    DispatchPaused,
    DispatchResumed,
    Put,
    Recorded,
    RunCancelAsked,
    TaskBlocked,
    TaskEdited,
    TaskParked,
    TaskPrioritized,
    TaskQueued,
    TaskResumed,
)
from domain.ids import DISPATCH, output_stream, text_of
from domain.ports import Head, Log, LogView, Running, Work
from domain.stream_index import EXPIRY, OUTBOX, SCHEDULE, SENSOR, Noun
from domain.task import Status
from domain.work_events import (
    OutboxDelivered,
    OutboxDropped,
    OutboxFailed,
    OutboxQueued,
    OutboxRetried,
    SensorParked,
    SensorRan,
)
from tests.adapters.puts import (
    RUN,
    TASK,
    append,
    appended,
    claim,
    event,
    note,
    notes,
    output,
    put,
    queued,
    retry,
)
from tests.story import text

NEVER_US = 1 << 52


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Log]:
    made: Log = MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "log", create=True)
    yield made
    made.close()


def positions(found: list[Recorded]) -> list[int]:
    return [each.position for each in found]


# positions, versions, fences


def test_an_empty_log_is_at_its_beginning(log: Log) -> None:
    assert log.head() == Head(0, "")
    assert log.read(0, 10) == []
    assert log.version(RUN) == 0
    assert log.stream(RUN) == []
    assert log.task(TASK) is None


def test_positions_are_contiguous_in_the_order_of_commits(log: Log) -> None:
    assert append(log, notes("a", 1, 2), notes("b", 1, 3)) == [range(1, 3), range(3, 6)]
    assert appended(log, notes("a", 3, 3)) == [6]
    assert positions(log.read(0, 100)) == [1, 2, 3, 4, 5, 6]
    assert log.head().position == 6


def test_what_was_appended_comes_back_as_it_was(log: Log) -> None:
    given = put(event("a", 1, RunCancelAsked(reason="später ☃"), caused_by=0), note("a", 2))
    appended(log, given)
    assert log.read(0, 10) == [msgspec.structs.replace(each, position=at + 1) for at, each in enumerate(given.events)]


def test_a_put_of_several_streams_is_appended_in_its_own_order(log: Log) -> None:
    appended(log, put(note("a", 1), note("b", 1), note("a", 2)))
    assert [(each.stream, each.version) for each in log.read(0, 10)] == [("a", 1), ("b", 1), ("a", 2)]
    assert positions(log.stream("a")) == [1, 3]


@pytest.mark.parametrize("count", [1, 26, 249, 250, 251, 299])  # many rows are written some at a time
def test_many_tasks_in_one_put_are_stored_each_with_its_text_and_its_place(log: Log, count: int) -> None:
    tasks = [f"{number:032x}" for number in range(count)]
    puts = [queued(task) for task in tasks]
    whole = put(*(event for each in puts for event in each.events))
    appended(log, msgspec.structs.replace(whole, blobs=tuple(blob for each in puts for blob in each.blobs)))
    assert [(each.stream, each.position) for each in log.read(0, 1000)] == list(
        zip(tasks, range(1, 1001), strict=False)
    )
    assert log.ready(0, 1000) == tasks
    payload = text_of(puts[0].blobs[0].content)
    assert {log.blob(task, payload) for task in tasks} == {puts[0].blobs[0].content}


@pytest.mark.parametrize("version", [1, 2, 4, 5])
def test_a_stream_that_is_elsewhere_is_a_conflict(log: Log, version: int) -> None:
    appended(log, notes("a", 1, 2))
    [result] = append(log, put(note("a", version)))
    assert isinstance(result, errors.StreamConflict)
    assert result.fields == {"stream": "a", "found": 2, "expected": version - 1}
    assert log.head().position == 2


@pytest.mark.parametrize("fence", [{RUN: 0}, {RUN: 2}, {"unknown": 1}, {RUN: 1, "unknown": 7}])
def test_a_fence_that_is_elsewhere_refuses_the_whole_put(log: Log, fence: dict[str, int]) -> None:
    appended(log, notes(RUN, 1, 1))
    given = msgspec.structs.replace(output(1, b"x"), fence=fence)
    [result] = append(log, given)
    assert isinstance(result, errors.StreamConflict)
    assert log.version(output_stream(RUN)) == 0
    assert log.head().position == 1


def test_a_fence_that_holds_lets_the_put_in(log: Log) -> None:
    appended(log, notes(RUN, 1, 1))
    assert appended(log, msgspec.structs.replace(output(1, b"x"), fence={RUN: 1, "nothing yet": 0})) == [2]


def test_a_refused_put_leaves_no_text_and_no_salt(log: Log) -> None:
    given = Put(events=(note("a", 5),), blobs=(Blob("s", b"text"),), salts={output_stream(RUN): b"salt"})
    assert isinstance(append(log, given)[0], errors.StreamConflict)
    with pytest.raises(errors.BlobNotFound):
        log.blob("s", text_of(b"text"))
    assert log.salt(RUN) == b""


def test_an_empty_put_with_a_text_stores_the_text(log: Log) -> None:
    assert appended(log, Put(events=(), blobs=(Blob("s", b"text"),))) == []
    assert log.blob("s", text_of(b"text")) == b"text"


# groups


def test_one_loser_does_not_fail_the_others_of_its_group(log: Log) -> None:
    first, loser, last = append(log, notes("a", 1, 1), put(note("a", 1, "late")), notes("b", 1, 1))
    assert (first, last) == (range(1, 2), range(2, 3))
    assert isinstance(loser, errors.StreamConflict)
    assert positions(log.read(0, 10)) == [1, 2]


def test_a_stream_that_begins_a_second_time_fails_alone(log: Log) -> None:
    """Whether it is new is left to the table, and looked up only once that refused it."""
    append(log, put(note("a", 1)))
    told: list[int] = []

    def work(view: LogView) -> Put:
        told.append(view.version("b"))
        return put(note("d", 1))

    works = (put(note("b", 1)), put(note("a", 1), note("c", 1)), work, put(note("e", 1)))
    first, again, third, last = append(log, *works)
    assert isinstance(again, errors.StreamConflict)
    assert [list(each) for each in (first, third, last) if not isinstance(each, Exception)] == [[2], [3], [4]]
    assert [each.stream for each in log.read(0, 10)] == ["a", "b", "d", "e"]
    assert set(told) == {1}


def test_works_of_a_group_see_the_ones_before_them(log: Log) -> None:
    assert append(log, notes("a", 1, 2), put(note("a", 3)), put(note("b", 1), fence={"a": 3})) == [
        range(1, 3),
        range(3, 4),
        range(4, 5),
    ]


def test_a_function_sees_what_its_group_appended_before_it(log: Log) -> None:
    seen: list[object] = []

    def look(view: LogView) -> Put:
        seen.extend([view.version("a"), positions(view.stream("a")), view.blob("s", text_of(b"text"))])
        return notes("a", 2, 2)

    append(log, Put(events=(note("a", 1),), blobs=(Blob("s", b"text"),)), look, notes("a", 3, 3))
    assert seen == [1, [1], b"text"]
    assert log.version("a") == 3


def test_a_function_that_raises_fails_alone_and_gets_its_own_error_back(log: Log) -> None:
    class Mine(Exception):
        pass

    problem = Mine()

    def raising(_: LogView) -> Put:
        raise problem

    first, failed, last = append(log, notes("a", 1, 1), raising, notes("b", 1, 1))
    assert failed is problem
    assert (first, last) == (range(1, 2), range(2, 3))


def test_a_function_that_returns_nothing_appends_nothing(log: Log) -> None:
    assert appended(log, lambda view: None) == []  # noqa: ARG005  # the port's signature
    assert log.head() == Head(0, "")


@pytest.mark.parametrize(
    "poison",
    [
        put(note("p", 1), note("p", 3)),
        put(note("p", 1, "\ud800")),
        put(event("p", 1, RunCancelAsked(reason=object()))),  # type: ignore[arg-type]  # on purpose
    ],
    ids=["versions with a gap", "not encodable text", "not encodable at all"],
)
def test_a_work_that_cannot_be_appended_fails_alone(log: Log, poison: Put) -> None:
    """One bad run must not take down the appends of all others in its group."""
    first, failed, last = append(log, notes("a", 1, 1), poison, notes("b", 1, 1))
    assert isinstance(failed, Exception)
    assert (first, last) == (range(1, 2), range(2, 3))
    assert log.version("p") == 0


# caused_by


def test_a_relative_cause_becomes_a_position(log: Log) -> None:
    appended(log, notes("a", 1, 5))
    appended(
        log,
        put(note("b", 1), event("b", 2, RunCancelAsked(), caused_by=-1), event("c", 1, RunCancelAsked(), caused_by=-2)),
    )
    assert [each.caused_by for each in log.read(5, 10)] == [0, 6, 6]


def test_an_absolute_cause_stays(log: Log) -> None:
    appended(log, notes("a", 1, 2))
    appended(log, put(event("b", 1, RunCancelAsked(), caused_by=2)))
    assert log.read(2, 1)[0].caused_by == 2


# reading


def test_reading_is_bounded_on_both_sides(log: Log) -> None:
    appended(log, notes("a", 1, 5))
    assert positions(log.read(1, 2)) == [2, 3]
    assert positions(log.read(1, 10, upto=3)) == [2, 3]
    assert positions(log.read(1, 1, upto=3)) == [2]
    assert log.read(5, 10) == []


def test_reading_up_to_the_beginning_gives_nothing(log: Log) -> None:
    appended(log, notes("a", 1, 2))
    assert log.read(0, 10, upto=0) == []


def test_a_stream_is_read_after_a_version(log: Log) -> None:
    appended(log, notes("a", 1, 4))
    assert [each.version for each in log.stream("a", after=2)] == [3, 4]


def test_touched_names_the_streams_since_a_position(log: Log) -> None:
    append(log, notes("a", 1, 2), notes("b", 1, 1), notes("a", 3, 3))
    assert log.touched(0) == (4, {"a", "b"})
    assert log.touched(3) == (4, {"a"})
    assert log.touched(4) == (4, set())


def test_touched_tells_the_end_also_to_a_follower_that_was_beyond_it(log: Log) -> None:
    appended(log, notes("a", 1, 2))
    assert log.touched(7) == (2, set())


def test_changed_says_so_once_after_each_append(log: Log) -> None:
    log.changed()
    assert not log.changed()
    appended(log, notes("a", 1, 1))
    assert log.changed()
    assert not log.changed()


def test_a_refused_append_changes_no_head(log: Log) -> None:
    appended(log, notes("a", 1, 1))
    before = log.head()
    append(log, put(note("a", 1)))
    assert log.head() == before


# the claim index


def test_claims_go_by_priority_then_age(log: Log) -> None:
    append(log, queued("low", priority=-1), queued("old"), queued("high", priority=9), queued("young"))
    assert log.ready(0, 10) == ["high", "old", "young", "low"]
    assert log.ready(0, 2) == ["high", "old"]


def test_a_task_that_a_person_moves_is_claimed_in_its_new_place(log: Log) -> None:
    append(log, queued("first"), queued("second"), queued("third"))
    append(
        log, put(event("third", 2, TaskPrioritized(priority=9))), put(event("first", 2, TaskPrioritized(priority=-9)))
    )
    assert log.ready(0, 10) == ["third", "second", "first"]


def test_a_changed_task_counts_for_its_new_profile(log: Log) -> None:
    append(log, queued("a"), queued("b"))
    edit = TaskEdited(changed=("requested_profile",), payload=text("p"), adapter="x", profile="full")
    append(log, put(event("a", 2, edit)))
    assert log.ready(0, 10, ["full"]) == ["b"]


def test_age_is_the_intake_also_after_a_retry(log: Log) -> None:
    append(log, queued("old"), queued("young"), claim("old"), retry("old", due_at_us=10))
    assert log.ready(10, 5) == ["old", "young"]


def test_a_run_that_was_answered_goes_on_before_new_work_of_its_priority(log: Log) -> None:
    append(log, queued("old"), queued("answered"), claim("answered"), queued("high", priority=9))
    parked = TaskParked(run=RUN, status="waiting_for_approval", cause="approval", due_at_us=7)
    append(log, put(event("answered", 3, parked)))
    assert log.ready(0, 5) == ["high", "old"]
    assert [(each.task, each.due_at_us) for each in log.waiting()] == [("answered", 7)]
    append(log, put(event("answered", 4, TaskResumed(run=RUN, cause="answered"))))
    assert log.ready(0, 5) == ["high", "answered", "old"]
    assert log.waiting() == []


@pytest.mark.parametrize("within", [False, True], ids=["outside", "in a transaction"])
def test_a_task_becomes_ready_when_its_time_has_come_to_the_microsecond(log: Log, *, within: bool) -> None:
    append(log, queued("later", priority=9, due_at_us=1000), queued("now"))
    assert ready(log, 999, within=within) == ["now"]
    assert ready(log, 1000, within=within) == ["later", "now"]


def ready(log: Log, now_us: int, *, within: bool) -> list[str]:
    if not within:
        return log.ready(now_us, 10)
    found: list[str] = []
    appended(log, lambda view: found.extend(view.ready(now_us, 10)))
    return found


def test_the_next_due_time_is_the_earliest_that_is_waited_for(log: Log) -> None:
    assert log.next_due_us() is None
    append(log, queued("b", due_at_us=2000), queued("a", due_at_us=1000), queued("now"))
    assert log.next_due_us() == 1000
    append(log, claim("a"))
    assert log.next_due_us() == 2000


def test_a_task_that_a_claim_found_due_is_no_longer_waited_for(log: Log) -> None:
    """Else a dispatcher whose slots are full would be woken for it again and again."""
    append(log, queued("a", due_at_us=1000), queued("b", due_at_us=2000))
    assert ready(log, 1000, within=True) == ["a"]
    assert log.next_due_us() == 2000


def test_a_claimed_task_is_running_and_not_ready(log: Log) -> None:
    append(log, queued("b"), queued("a"), claim("a", run="r1", dispatcher="d1"), claim("b", run="r2", dispatcher="d2"))
    assert log.ready(NEVER_US, 10) == []
    assert log.running() == [Running("b", "r2", "d2"), Running("a", "r1", "d1")]


def test_a_task_that_failed_waits_for_its_retry(log: Log) -> None:
    append(log, queued(), claim(), retry(due_at_us=1000))
    assert log.running() == []
    assert log.ready(999, 10) == []
    assert log.ready(1000, 10) == [TASK]
    assert log.next_due_us() == 1000


def test_a_blocked_task_is_neither_ready_nor_running_nor_waited_for(log: Log) -> None:
    append(log, queued(due_at_us=5), put(event(TASK, 2, TaskBlocked(cause="why"))))
    assert (log.ready(NEVER_US, 10), log.running(), log.next_due_us()) == ([], [], None)


def test_a_task_is_the_fold_of_its_stream(log: Log) -> None:
    append(log, queued(priority=7), claim(), retry())
    state = log.task(TASK)
    assert state is not None
    assert (state.status, state.priority, state.version, state.attempts) == (Status.RETRYABLE_FAILURE, 7, 3, 1)
    assert state.queued_position == 1


def test_two_claims_in_one_group_take_two_tasks(log: Log) -> None:
    append(log, queued("a"), queued("b"))

    def claiming(run: str) -> Work:
        def pick(view: LogView) -> Put | None:
            found = view.ready(0, 1)
            return claim(found[0], run=run) if found else None

        return pick

    append(log, claiming("r1"), claiming("r2"), claiming("r3"))
    assert [(each.task, each.run) for each in log.running()] == [("a", "r1"), ("b", "r2")]


# runs and their output


def test_a_runs_events_are_merged_by_position(log: Log) -> None:
    append(log, queued(), claim(), notes(RUN, 1, 2), output(1, b"one"), notes("foreign", 1, 1), notes(RUN, 3, 3))
    append(log, output(2, b"two"))
    found = list(log.run_events(RUN, bodies=True))
    assert positions(found) == [2, 3, 4, 5, 7, 8]
    assert [each.body for each in found if each.body is not None] == [b"one", b"two"]


def test_a_runs_events_come_without_bodies_where_none_are_wanted(log: Log) -> None:
    append(log, queued(), claim(), output(1, b"one"))
    assert [each.body for each in log.run_events(RUN, bodies=False)] == [None, None]


def test_a_run_has_its_part_of_the_tasks_stream_and_no_more(log: Log) -> None:
    append(log, queued(), claim(run="r1"), retry(run="r1"), claim(version=4, run="r2"), retry(version=5, run="r2"))
    assert positions(list(log.run_events("r1", bodies=False))) == [2, 3, 4]
    assert positions(list(log.run_events("r2", bodies=False))) == [5, 6, 7]


def test_a_run_that_nobody_claimed_is_not_found(log: Log) -> None:
    with pytest.raises(errors.IdNotFound):
        list(log.run_events("nobody", bodies=False))


def test_output_comes_with_its_bytes_after_a_version_and_bounded(log: Log) -> None:
    append(log, *(output(version, f"{version}\n".encode() * 100) for version in range(1, 6)))
    assert [each.body for each in log.output(RUN, after=1, limit=2)] == [b"2\n" * 100, b"3\n" * 100]
    assert [each.version for each in log.output(RUN)] == [1, 2, 3, 4, 5]
    assert log.output("nobody") == []


@pytest.mark.parametrize("body", [b"", b"\0\xff\xfe", b"x", bytes(range(256)), b"a" * 70_000])
def test_output_comes_back_byte_for_byte(log: Log, body: bytes) -> None:
    append(log, output(1, body))
    assert log.output(RUN)[0].body == body


def test_bodies_do_not_come_with_plain_reading(log: Log) -> None:
    append(log, output(1, b"x"))
    assert log.read(0, 1)[0].body is None
    assert log.stream(output_stream(RUN))[0].body is None


def test_the_first_salt_of_a_run_stays(log: Log) -> None:
    assert log.salt(RUN) == b""
    stream = output_stream(RUN)
    append(log, msgspec.structs.replace(output(1, b"x"), salts={stream: b"first"}))
    append(log, msgspec.structs.replace(output(2, b"x"), salts={stream: b"second"}))
    assert log.salt(RUN) == b"first"


# texts


def test_a_text_is_found_under_its_scope_only(log: Log) -> None:
    append(log, Put(events=(), blobs=(Blob("mine", b"text"),)))
    assert log.blob("mine", text_of(b"text")) == b"text"
    with pytest.raises(errors.BlobNotFound):
        log.blob("yours", text_of(b"text"))


def test_the_same_text_may_be_stored_twice_and_under_two_scopes(log: Log) -> None:
    blobs = (Blob("a", b"text"), Blob("a", b"text"), Blob("b", b"text"))
    append(log, Put(events=(), blobs=blobs), Put(events=(), blobs=blobs))
    assert log.blob("a", text_of(b"text")) == log.blob("b", text_of(b"text"))


def test_a_missing_text_is_named(log: Log) -> None:
    with pytest.raises(errors.BlobNotFound) as missing:
        log.blob("scope", text_of(b"nowhere"))
    assert text_of(b"nowhere").sha256[:12] in str(missing.value)


def test_a_text_may_have_its_bound_and_no_byte_more(log: Log) -> None:
    largest = b"x" * BLOB_BYTES_MAX
    fits, other, above = append(
        log,
        Put(events=(note("a", 1),), blobs=(Blob("s", largest),)),
        notes("b", 1, 1),
        Put(events=(note("c", 1),), blobs=(Blob("s", largest + b"x"),)),
    )
    assert (fits, other) == (range(1, 2), range(2, 3))
    assert isinstance(above, errors.Invalid)
    assert log.blob("s", text_of(largest)) == largest
    assert log.version("c") == 0


# pausing


def test_dispatching_is_paused_between_its_two_events(log: Log) -> None:
    assert not log.paused()
    append(log, put(event(DISPATCH, 1, DispatchPaused(reason="r"))))
    assert log.paused()
    append(log, put(event(DISPATCH, 2, DispatchResumed())))
    assert not log.paused()


def test_a_claim_sees_a_pause_of_its_own_group(log: Log) -> None:
    seen: list[bool] = []
    append(log, put(event(DISPATCH, 1, DispatchPaused())), lambda view: seen.append(view.paused()))
    assert seen == [True]


# schedules, workflows, messages, sensors, deadlines: the index of the other streams


def message(stream: str, version: int = 1, *, target: str = "hook", held: bool = False) -> Recorded:
    return event(
        stream, version, OutboxQueued(kind="message", target=target, message=text_of(b"m"), key=stream, held=held)
    )


def failed(stream: str, version: int, next_us: int) -> Recorded:
    return event(stream, version, OutboxFailed(attempt=version, cause="c", next_us=next_us))


def expiring(task: str, expires_us: int) -> Put:
    [plain] = queued(task).events
    assert isinstance(plain.data, TaskQueued)
    wanted = msgspec.structs.replace(plain.data, expires_us=expires_us)
    return Put(events=(msgspec.structs.replace(plain, data=wanted),), blobs=queued(task).blobs)


def test_a_log_has_no_nouns_of_a_kind_before_the_first(log: Log) -> None:
    append(log, queued(), notes("a", 1, 1))
    assert not any(log.has(kind) for kind in (OUTBOX, SENSOR, EXPIRY, SCHEDULE))
    assert (log.nouns(OUTBOX), log.due(OUTBOX, NEVER_US, 9)) == ([], [])


def test_nouns_are_in_the_order_in_which_they_began(log: Log) -> None:
    append(log, put(message("b"), message("a", target="other")), put(failed("b", 2, 0)), put(message("c", held=True)))
    assert log.nouns(OUTBOX) == [
        Noun("b", "hook", "failed", 0),
        Noun("a", "other", "queued", 1),
        Noun("c", "hook", "held", 0),
    ]
    assert log.has(OUTBOX)
    assert log.nouns(SENSOR) == []


def test_nouns_can_be_asked_for_by_their_status(log: Log) -> None:
    append(log, put(message("a"), message("b")), put(event("a", 2, OutboxDelivered(attempt=1))))
    assert [each.stream for each in log.nouns(OUTBOX, "queued")] == ["b"]
    assert [each.stream for each in log.nouns(OUTBOX, "delivered")] == ["a"]
    assert log.nouns(OUTBOX, "dropped") == []


def test_a_kind_is_there_for_ever_once_it_was(log: Log) -> None:
    append(log, put(message("a"), event("a", 2, OutboxDropped())))
    assert log.has(OUTBOX)
    assert log.due(OUTBOX, NEVER_US, 9) == []


@pytest.mark.parametrize("within", [False, True], ids=["outside", "in a transaction"])
def test_what_is_due_comes_earliest_first_and_to_the_microsecond(log: Log, *, within: bool) -> None:
    append(log, put(message("a"), failed("a", 2, 2000)), put(message("b"), failed("b", 2, 1000)), put(message("c")))
    assert due(log, 999, within=within) == ["c"]
    assert due(log, 1000, within=within) == ["c", "b"]
    assert due(log, 2000, within=within) == ["c", "b", "a"]
    assert due(log, 2000, limit=2, within=within) == ["c", "b"]


def due(log: Log, now_us: int, *, within: bool = False, limit: int = 10, kind: str = OUTBOX) -> list[str]:
    if not within:
        return log.due(kind, now_us, limit)
    found: list[str] = []
    appended(log, lambda view: found.extend(view.due(kind, now_us, limit)))
    return found


def test_the_same_time_goes_by_age(log: Log) -> None:
    append(log, put(message("b"), message("a")), put(message("c")))
    assert due(log, 1) == ["b", "a", "c"]


def test_a_work_sees_the_nouns_of_its_group(log: Log) -> None:
    seen: list[object] = []

    def look(view: LogView) -> None:
        seen.extend([view.has(OUTBOX), [each.stream for each in view.nouns(OUTBOX)], view.due(OUTBOX, 1, 9)])

    append(log, put(message("a")), look, put(message("b")))
    assert seen == [True, ["a"], ["a"]]


def test_a_refused_put_leaves_no_noun(log: Log) -> None:
    [result] = append(log, put(message("a"), note("x", 7)))
    assert isinstance(result, errors.StreamConflict)
    assert not log.has(OUTBOX)


def test_a_sensor_is_one_noun_however_often_it_ran(log: Log) -> None:
    ran = SensorRan(sensor="s", accepted=1, deduplicated=0, next_us=5)
    broken = msgspec.structs.replace(ran, cause="exit:1")
    append(log, put(event("s1", 1, ran)), put(message("a")), put(event("s1", 2, broken)))
    assert log.nouns(SENSOR) == [Noun("s1", "s", "failing", 5)]
    append(log, put(event("s1", 3, broken), event("s1", 4, SensorParked(sensor="s", failures=2))))
    assert log.nouns(SENSOR) == [Noun("s1", "s", "parked", 0)]
    append(log, put(event("s1", 5, ran)))
    assert log.nouns(SENSOR) == [Noun("s1", "s", "fresh", 5)]


def test_a_task_with_a_deadline_is_due_until_somebody_looked(log: Log) -> None:
    append(log, expiring("a", 1000), expiring("b", 2000), queued("c"))
    assert due(log, 1500, kind=EXPIRY) == ["a"]
    assert appended(log, lambda view: view.settle("a")) == []
    assert due(log, 2000, kind=EXPIRY) == ["b"]
    assert [each.stream for each in log.nouns(EXPIRY)] == ["a", "b"]
    assert log.ready(0, 9) == ["a", "b", "c"]


def test_nothing_is_settled_outside_of_a_transaction(log: Log) -> None:
    append(log, expiring("a", 1000))
    log.settle("a")
    assert due(log, 1000, kind=EXPIRY) == ["a"]


def test_what_was_settled_is_due_again_once_an_event_says_so(log: Log) -> None:
    append(log, put(message("a")), lambda view: view.settle("a"))
    assert due(log, NEVER_US) == []
    append(log, put(event("a", 2, OutboxRetried())))
    assert due(log, 1) == ["a"]


# what follows


class Echo:
    """Lets a note follow on every message, and keeps a text of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.seen: list[tuple[int, bool]] = []

    def wants(self, put: Put) -> bool:
        self.asked.append(put.events[0].stream if put.events else "")
        return any(isinstance(each.data, OutboxQueued) for each in put.events)

    def follow(self, view: LogView, put: Put) -> Put | None:
        self.seen.append((view.version("echo"), view.has(OUTBOX)))
        said = msgspec.structs.replace(note("echo", view.version("echo") + 1, put.events[0].stream), caused_by=-1)
        return Put(events=(said,), blobs=(Blob("echo", put.events[0].stream.encode()),))


def test_what_follows_lies_behind_its_cause_and_is_not_among_the_positions(log: Log) -> None:
    log.followed_by(Echo())
    assert append(log, put(message("a")), notes("x", 1, 1), put(message("b"))) == [
        range(1, 2),
        range(3, 4),
        range(4, 5),
    ]
    assert [(each.stream, each.caused_by) for each in log.read(0, 9)] == [
        ("a", 0), ("echo", 1), ("x", 0), ("b", 0), ("echo", 4),
    ]  # fmt: skip
    assert log.blob("echo", text_of(b"b")) == b"b"


def test_a_follower_is_asked_about_every_put_and_works_for_those_that_it_wants(log: Log) -> None:
    echo = Echo()
    log.followed_by(echo)
    append(log, notes("x", 1, 1), lambda _: put(message("a")), lambda _: None, put(message("b")))
    assert echo.asked == ["x", "a", "b"]
    assert echo.seen == [(0, False), (1, True)]


def test_a_put_that_is_refused_takes_what_follows_with_it(log: Log) -> None:
    log.followed_by(Echo())
    [result, good] = append(log, put(message("a"), note("x", 9)), put(message("b")))
    assert isinstance(result, errors.StreamConflict)
    assert good == range(1, 2)
    assert [each.stream for each in log.read(0, 9)] == ["b", "echo"]
    with pytest.raises(errors.BlobNotFound):
        log.blob("echo", text_of(b"a"))


def test_a_fence_holds_for_what_follows_too(log: Log) -> None:
    log.followed_by(Echo())
    append(log, put(message("a"), fence={"x": 1}))
    assert log.head().position == 0


def test_a_follower_that_has_nothing_to_say_adds_nothing(log: Log) -> None:
    class Silent(Echo):
        def follow(self, view: LogView, put: Put) -> None:
            super().follow(view, put)

    log.followed_by(Silent())
    assert append(log, put(message("a"))) == [range(1, 2)]
    assert log.head().position == 1


# the chain


def test_both_stores_have_the_same_chain_over_the_same_puts(tmp_path: Path) -> None:
    memory, disk = MemoryLog(), SqliteLog(tmp_path, create=True)
    works = (
        Put(events=(note("a", 1), event("a", 2, RunCancelAsked(reason="ü"), caused_by=-1)), blobs=(Blob("s", b"t"),)),
        put(note("a", 9)),
        queued(),
        claim(),
        retry(),
        output(1, b"body"),
    )
    for log in (memory, disk):
        append(log, *works[:3])
        append(log, *works[3:])
    assert memory.head() == disk.head()
    assert memory.read(0, 100) == disk.read(0, 100)
    disk.close()


def test_the_hash_depends_on_what_came_before(log: Log) -> None:
    appended(log, notes("a", 1, 1))
    first = log.head().hash
    appended(log, notes("b", 1, 1))
    assert len({first, log.head().hash, ""}) == 3


def test_idle_changes_nothing_that_can_be_read(log: Log) -> None:
    append(log, queued(), output(1, b"x"))
    before = (log.head(), log.read(0, 10), log.ready(0, 5))
    log.idle()
    assert (log.head(), log.read(0, 10), log.ready(0, 5)) == before
