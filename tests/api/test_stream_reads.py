"""Reading what one wrote: a read waits until the server knows everything up to a position, or says that it does not."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.listening import task, told
from tests.api.serving import Served

READS = ("/api/v1/status", "/api/v1/tasks", "/api/v1/runs", "/api/v1/events", "/api/v1/dispatcher", "/api/v1/schedules")


def test_a_read_that_waits_for_a_write_shows_it(fed: Served) -> None:
    with fed.client("operate") as client:
        for _ in range(30):
            made = client.post("/api/v1/tasks", json=task()).json()
            done = client.get("/api/v1/tasks", params={"min_position": made["position"]})
            assert done.json()["items"][0]["task"] == made["task_id"]
            assert int(done.headers["rt-position"]) >= made["position"]
            screen = client.get("/api/v1/status", params={"min_position": made["position"]})
            assert screen.json()["position"] >= made["position"]


@pytest.mark.parametrize("path", READS)
def test_a_read_waits_for_what_is_written_past_the_server(shared: Served, path: str) -> None:
    with shared.client("read") as client, ThreadPoolExecutor(1) as pool:
        wanted = told(shared) + 1
        reading = pool.submit(client.get, path, params={"min_position": wanted, "wait_s": 5})
        shared.rt("intake", "--", "true")
        done = reading.result()
        assert (done.status_code, int(done.headers["rt-position"]) >= wanted) == (200, True)


@pytest.mark.parametrize("path", READS)
def test_a_read_that_waited_in_vain_says_how_far_the_server_is_and_when_to_come_again(
    shared: Served, path: str
) -> None:
    head = told(shared)
    with shared.client("read") as client:
        begin_s = time.monotonic()
        done = client.get(path, params={"min_position": head + 1_000, "wait_s": 0.3})
        assert time.monotonic() - begin_s >= 0.3
        assert (done.status_code, done.headers["retry-after"]) == (503, "1")
        assert done.json()["code"] == "http.unready"
        assert f"up to {head}, not to {head + 1_000}" in done.json()["detail"]
        assert client.get(path, params={"min_position": head, "wait_s": 0}).status_code == 200
        assert client.get(path, params={"min_position": head + 1, "wait_s": 0}).status_code == 503


@pytest.mark.parametrize(
    "wrong",
    [{"min_position": "x"}, {"min_position": "-1"}, {"min_position": "1.5"}, {"wait_s": "-1"}, {"wait_s": "5.1"},
     {"wait_s": "nan"}, {"wait_s": "soon"}, {"min_positions": "1"}],
)  # fmt: skip
def test_a_wait_that_is_none_is_refused(shared: Served, wrong: dict[str, str]) -> None:
    with shared.client("read") as client:
        done = client.get("/api/v1/tasks", params=wrong)
        assert (done.status_code, done.json()["code"]) == (422, "rt.invalid")
        assert next(iter(wrong)) in done.json()["detail"]
