"""What a listener is told: from where, of what, and what the server says when it cannot tell it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.api.listening import ADAPTER, OLD, STREAM, Ear, lines, positions, recorded, taken_in, task, told
from tests.api.serving import Served, served, until


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose log holds a run that printed something, and tasks that wait."""
    folder = tmp_path_factory.mktemp("streamed")
    (folder / "rt.toml").write_text(ADAPTER)
    with served(folder) as found:
        found.rt("do", "--", "sh", "-c", "echo canary-$((4700 + 11))")
        found.rt("intake", "--lines", str(lines(folder, 20)))
        told(found)
        yield found


@pytest.mark.parametrize("path", [STREAM, OLD])
def test_without_a_position_a_stream_begins_at_the_head(house: Served, path: str) -> None:
    told(house)
    with Ear(house, path) as ear:
        ear.caught_up()
        position = taken_in(house)
        ear.until_position(position)
        assert ear.positions == [position]


def test_from_the_first_position_everything_is_told_once_and_in_order(house: Served) -> None:
    with Ear(house, f"{STREAM}?after=0") as ear:
        head = ear.caught_up().data["head"]
        assert ear.positions == list(range(1, head + 1))
        assert ear.heard[-1].id == head >= 20


@pytest.mark.parametrize("path", [f"{STREAM}?after=5", f"{OLD}?since=5"])
def test_a_stream_begins_behind_the_position_that_is_named(house: Served, path: str) -> None:
    head = told(house)
    with Ear(house, path) as ear:
        ear.until_position(head)
        assert ear.positions == list(range(6, head + 1))


@pytest.mark.parametrize("path", [f"{STREAM}?after=1", f"{OLD}?since=1"])
def test_the_last_event_id_goes_before_the_position_in_the_address(house: Served, path: str) -> None:
    head = told(house)
    with Ear(house, path, last=head - 2) as ear:
        ear.until_position(head)
        assert ear.positions == [head - 1, head]


def test_an_event_is_told_as_the_log_lists_it_under_its_position_and_its_topic(house: Served) -> None:
    with Ear(house, f"{STREAM}?after=0") as ear, house.client("read") as client:
        ear.caught_up()
        for heard in ear.heard[:12]:
            assert heard.data == client.get(f"/api/v1/events/{heard.id}").json()
            assert (heard.data["position"], heard.data["topic"]) == (heard.id, heard.name)


def test_a_stream_says_what_it_is_and_that_nobody_keeps_it(house: Served) -> None:
    with Ear(house) as ear:
        ear.caught_up()
        assert (ear.status, ear.comments) == (200, 1)
        assert ear.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert ear.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in ear.headers["content-security-policy"]
        assert b"retry: 1000\n" in ear.body


@pytest.mark.parametrize(
    ("wanted", "topics"),
    [
        ("topic=task.queued", {"task.queued.v1"}),
        ("topic=run.*", None),
        ("topic=output.", {"output.appended.v1"}),
        ("topic=*finished*", {"run.finished.v1"}),
        ("topic=nothing", set()),
    ],
)
def test_a_topic_is_a_beginning_or_a_pattern(house: Served, wanted: str, topics: set[str] | None) -> None:
    with Ear(house, f"{STREAM}?after=0&{wanted}") as ear, Ear(house, f"{STREAM}?after=0") as whole:
        head = ear.caught_up().data["head"]
        whole.until_position(head)
        runs = {told.name for told in whole.heard if told.name.startswith("run.")}
        fitting = [told for told in whole.heard if told.name in (runs if topics is None else topics)]
        assert positions(fitting) == ear.positions
        assert bool(ear.positions) == (topics != set())


def test_where_everything_was_filtered_out_a_listener_still_learns_how_far_it_is(house: Served) -> None:
    head = told(house)
    with Ear(house, f"{STREAM}?after=0&topic=nothing") as ear:
        caught = ear.caught_up()
        assert (caught.id, caught.data["head"], ear.positions) == (head, head, [])
    position = taken_in(house)
    with Ear(house, f"{STREAM}?topic=task.queued", last=caught.id) as ear:
        ear.until_position(position)
        assert ear.positions == [position]


def test_a_stream_a_run_and_a_task_can_be_listened_to_alone(house: Served) -> None:
    events = recorded(house)
    run = next(event.stream for event in events if event.data.__struct_config__.tag == "run.started")
    found = next(event.correlation for event in events if event.stream == run)
    assert any(event.correlation != found for event in events)
    heard: dict[str, list[int]] = {}
    for wanted in (f"stream={found}", f"stream={run}", f"task={found}", f"run={run}", f"run={run[:8]}"):
        with Ear(house, f"{STREAM}?after=0&{wanted}") as ear:
            ear.caught_up()
            heard[wanted] = ear.positions
    assert heard[f"stream={run}"] == [event.position for event in events if event.stream == run]
    assert heard[f"stream={found}"] == [event.position for event in events if event.stream == found]
    assert heard[f"task={found}"] == [event.position for event in events if event.correlation == found]
    of_run = [
        event.position
        for event in events
        if event.correlation == found and (event.stream != found or getattr(event.data, "run", "") == run)
    ]
    assert heard[f"run={run}"] == heard[f"run={run[:8]}"] == of_run
    assert len(heard[f"stream={run}"]) < len(of_run) < len(heard[f"task={found}"])


def test_output_is_told_by_its_size_and_digest_and_never_by_its_text(house: Served) -> None:
    with Ear(house, f"{STREAM}?after=0") as ear, Ear(house, f"{OLD}?since=0") as old:
        head = ear.caught_up().data["head"]
        old.until_position(head)
        [output] = [heard for heard in ear.heard if heard.name == "output.appended.v1"]
        assert output.data["data"]["size"] == len("canary-4711\n")
        assert len(output.data["data"]["digest"]) == 64
        assert b"canary-4711" not in bytes(ear.body + old.body)


@pytest.mark.parametrize(
    ("path", "last"),
    [
        (f"{STREAM}?after=1000000", None),
        (STREAM, 1_000_000),
        (f"{STREAM}?after=1", 1_000_000),
        (f"{OLD}?since=1000000", None),
        (OLD, 1_000_000),
    ],
)
def test_a_position_beyond_the_log_is_a_conflict_that_names_the_head(
    house: Served, path: str, last: int | None
) -> None:
    with Ear(house, path, last=last) as ear:
        problem = ear.problem()
        assert (ear.status, problem["code"]) == (409, "log.position_ahead")
        assert (problem["given"], problem["head"]) == (1_000_000, house.head()[0])
        assert "load the state anew" in problem["detail"]


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "1e3", "0x10", "+1", "²", "1" * 17, "1 2", "1,2"])
def test_a_last_event_id_that_is_no_position_is_refused(house: Served, last: str) -> None:
    for path, status in ((STREAM, 422), (OLD, 400)):
        with Ear(house, path, last=last) as ear:
            problem = ear.problem()
            assert (ear.status, problem["code"]) == (status, "rt.invalid")
            assert "Last-Event-ID" in problem["detail"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("after=-1", 422, "rt.invalid"),
        ("after=x", 422, "rt.invalid"),
        ("after=9007199254740993", 422, "rt.invalid"),
        ("since=1", 422, "rt.invalid"),
        ("after=1&after=2", 422, "rt.invalid"),
        (f"topic={'x' * 201}", 422, "rt.invalid"),
        ("run=ffffffffffff", 404, "id.not_found"),
        ("task=ffffffffffff", 404, "id.not_found"),
    ],
)
def test_what_a_stream_does_not_understand_is_refused_before_it_begins(
    house: Served, query: str, status: int, code: str
) -> None:
    with Ear(house, f"{STREAM}?{query}") as ear:
        assert (ear.problem()["code"], ear.status) == (code, status)


def test_what_was_written_before_is_not_told_to_who_begins_behind_it(house: Served) -> None:
    """Whoever was told a position by a write goes on from there at once, before the server has looked at its log."""
    for _ in range(40):
        mine = taken_in(house)
        with Ear(house, f"{STREAM}?after={mine}") as ear:
            ear.caught_up()
            following = taken_in(house)
            ear.until_position(following)
            assert ear.positions == [following]


def test_a_quiet_stream_is_kept_alive_and_says_how_far_it_is(own: Served) -> None:
    """The one test that waits for it really."""
    with Ear(own) as ear, Ear(own, OLD) as old:
        caught = ear.caught_up()
        old.caught_up()
        comments = old.comments
        while len(ear.heard) == 1:
            assert ear.more()
        while old.comments == comments:
            assert old.more()
        assert ear.heard[1] == caught
        assert len(old.heard) == 1


def test_the_old_stream_begins_with_the_state_and_tells_events_in_portions(house: Served, tmp_path: Path) -> None:
    with Ear(house, OLD) as ear, house.client("read") as client:
        board = ear.caught_up()
        assert board.id is None
        assert board.data["state"].keys() == client.get("/api/state").json().keys()
        assert "runtime_policy" in board.data
        house.rt("intake", "--lines", str(lines(tmp_path, 120)))
        head = told(house)
        ear.until_position(head)
        portions = [heard for heard in ear.heard if heard.name == "events"]
        assert all(1 <= len(each.data["events"]) <= 50 for each in portions)
        assert all(each.id == each.data["events"][-1]["id"] for each in portions)
        assert sum(len(each.data["events"]) for each in portions) == 120
        now = portions[-1].data
        assert now["status"].keys() == {"runtime_state", "counts", "last_event", "recent"}
        assert now["status"]["counts"] == now["state"]["counts"] == client.get("/api/state").json()["counts"]
        assert now["events"][-1].keys() == {"id", "event_type", "task_id", "attempt_id", "detail", "created_at"}


def test_as_many_listen_as_may_and_one_more_is_told_to_come_again(own: Served) -> None:
    ears = [Ear(own) for _ in range(256)]
    try:
        for ear in ears:
            ear.caught_up()
        with Ear(own) as late:
            problem = late.problem()
            assert (late.status, problem["code"], late.headers["retry-after"]) == (429, "http.too_many", "5")
        ears.pop().socket.close()

        def comes_in() -> bool:
            with Ear(own) as again:
                return bool(again.more()) and again.status == 200

        until(comes_in, "a place that is free again is not given away")
    finally:
        for ear in ears:
            ear.socket.close()


def test_many_writers_are_all_heard_each_once_and_in_the_order_of_the_log(house: Served, tmp_path: Path) -> None:
    begun = told(house)

    def through_the_door(_: int) -> list[int]:
        with house.client("operate") as client:
            return [int(client.post("/api/v1/tasks", json=task()).json()["position"]) for _ in range(25)]

    def beside_it(file: Path) -> None:
        house.rt("intake", "--lines", str(file))

    house.token("operate")
    with Ear(house, f"{STREAM}?after={begun}") as ear, ThreadPoolExecutor(8) as pool:
        acknowledged = pool.map(through_the_door, range(6))
        list(pool.map(beside_it, [lines(tmp_path, 200) for _ in range(2)]))
        durable = [position for each in acknowledged for position in each]
        head = told(house)
        ear.until_position(head)
        assert ear.positions == list(range(begun + 1, head + 1))
        assert set(durable) <= set(ear.positions)
        assert head == begun + 6 * 25 + 400
