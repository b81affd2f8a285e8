"""Looking at everything through the door: the same as on the command line, at a position, and in pages that stay."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.both import Both, lines
from tests.api.rich import Rich, rich


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rich]:
    with rich(tmp_path_factory.mktemp("looked") / "home") as found:
        yield found


@pytest.fixture(scope="module")
def both(house: Rich) -> Iterator[Both]:
    found = Both(house.at)
    yield found
    found.close()


@pytest.fixture(scope="module")
def names(house: Rich, both: Both) -> dict[str, str]:
    """What stands for what in the tables below."""
    failed = [each["run"] for each in both.items("runs", state="failed")]
    known = {"run": house.done["run"], "task": house.done["task"], "waiting": house.waiting, "snapshot": house.snapshot}
    return known | {"f1": failed[0], "f2": failed[1], "message": house.messages[0], "head": str(house.at.head()[0])}


LISTS = [
    ("tasks?limit=500", "task list"),
    ("tasks?state=blocked", "task list --state blocked"),
    ("tasks?kind=k&source=s&limit=3", "task list --kind k --source s --limit 3"),
    ("tasks?before=20", "task list --before 20"),
    ("runs", "run list"),
    ("runs?task={task}", "run list --task {task}"),
    ("runs?state=failed&limit=2", "run list --state failed --limit 2"),
    ("runs/{run}/events?limit=500", "run log {run}"),
    ("runs/{waiting}/events?limit=500", "run log {waiting}"),
    ("runs/{run}/why", "why {run}"),
    ("runs/{waiting}/why?about=@decision1", "why {waiting} @decision1"),
    ("why?of={task}", "why {task}"),
    ("why?of={run}&about=status", "why {run} status"),
    ("approvals", "approval list"),
    ("grants", "grant list"),
    ("threads", "thread list"),
    ("threads/t1", "thread show t1"),
    ("schedules", "schedule list"),
    ("sensors", "sensor list"),
    ("workflows", "workflow list"),
    ("workflows?all=true", "workflow list --all"),
    ("workflows/templates", "workflow templates"),
    ("outbox", "outbox list"),
    ("outbox?status=held&limit=1", "outbox list --status held --limit 1"),
    ("costs?by=day", "cost --by day"),
    ("profiles", "profile list"),
    ("events?after=0&limit=500", "log tail --after 0 --limit 1000"),
    ("events?after=0&topic=run.*&limit=500", "log tail --after 0 --topic run.* --limit 1000"),
]


@pytest.mark.parametrize(("path", "command"), LISTS)
def test_a_list_says_what_the_command_line_lists(both: Both, names: dict[str, str], path: str, command: str) -> None:
    page = both.get(path.format_map(names))
    assert page["items"] == lines(both.place.ok(*command.format_map(names).split(), "--json"))
    assert page["head"] == both.served.head()[0]
    assert page["items"] or path.startswith("costs")


THINGS = [
    ("tasks/{task}", "task show {task}", set()),
    ("tasks/@last", "task show @last", set()),
    ("runs/{run}", "run show {run}", {"outcome"}),
    ("runs/@failed", "run show @failed", {"outcome"}),
    ("runs/{waiting}/approvals/1", "approval show {waiting} 1", {"asked_at_position"}),
    ("runs/{waiting}/approvals/c1", "approval show {waiting} 1", {"asked_at_position"}),
    ("schedules/nightly", "schedule show nightly", set()),
    ("workflows/w1", "workflow show w1", {"machine", "moves"}),
    ("outbox/{message}", "outbox show {message}", set()),
    ("runs/{waiting}/state?at=@decision1", "replay {waiting} --at @decision1", set()),
    ("runs/{run}/state", "replay {run} --at {head}", set()),
    ("diff?a={f1}&b={f2}", "diff {f1} {f2}", set()),
    ("report?since=7d", "report --since 7d", set()),
    ("report?only=failures", "report --only failures", set()),
    ("runs/{run}/report", "report {run}", set()),
    ("report/compare?before=5", "report --before 5", set()),
    ("report/compare?before=5&after=20", "report --before 5 --after 20", set()),
]


@pytest.mark.parametrize(("path", "command", "more"), THINGS)
def test_one_thing_is_shown_as_on_the_command_line(
    both: Both, names: dict[str, str], path: str, command: str, more: set[str]
) -> None:
    answer = both.client.get(f"/api/v1/{path.format_map(names)}")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    [said] = lines(both.place.rt(*command.format_map(names).split(), "--json"))
    position = said.pop("at_position", said.pop("position", None) if "position" not in found else None)
    assert position in (None, int(answer.headers["rt-position"]))
    assert {name: value for name, value in found.items() if name not in more} == said
    assert more <= found.keys()


def test_the_screen_is_that_of_the_command_line_now_and_then(both: Both) -> None:
    assert both.get("status") == both.place.json("status")
    then = both.get("status", at=20)
    now = both.get("status", at=both.served.head()[0])
    assert (then["position"], now["position"]) == (20, both.served.head()[0])
    assert then["counts"] != now["counts"] == both.get("status")["counts"]


def test_adapters_and_health_are_what_the_command_line_says_of_them(both: Both) -> None:
    [said] = lines(both.place.ok("adapter", "list", "--json"))
    assert both.items("adapters", probe="true") == said["adapters"]
    assert [each["id"] for each in both.items("adapters")] == [each["id"] for each in said["adapters"]]
    health, [checked] = both.get("health/checks"), lines(both.place.rt("health", "--json"))
    assert health.pop("latency_ms") > 0 < checked.pop("latency_ms")
    assert health == checked


def test_what_a_run_printed_is_told_in_pieces_that_make_the_whole(both: Both, names: dict[str, str]) -> None:
    run = names["f1"]
    items = both.items(f"runs/{run}/output")
    assert "".join(each["text"] for each in items) == both.place.ok("run", "output", run).text == "no\n"
    assert [each["kind"] for each in items] == ["output"]
    assert both.items(f"runs/{run}/output", stream="stderr") == items
    assert both.items(f"runs/{run}/output", stream="stdout") == []
    first = both.get(f"runs/{run}/output", limit=1)
    assert both.items(f"runs/{run}/output", after=first["next"]) == items[1:]


def test_a_runs_outcome_artifacts_decisions_and_timeline_are_there(both: Both, names: dict[str, str]) -> None:
    run, waiting = names["run"], names["waiting"]
    assert both.get(f"runs/{run}")["outcome"]["operator_summary"] == "s"
    made = both.get(f"runs/{run}/artifacts")
    assert made["paths"] == ["reports/s.md"]
    assert [each["result"] for each in made["checks"] if each["what"] == "artifact_path"] == ["passed"]
    [decision] = both.items(f"runs/{waiting}/decisions")
    query = "SELECT position, decision, controller, rule, call FROM decisions WHERE run = $run"
    asked = both.said("sql", query, "--param", f"run={waiting}")
    assert [[decision[name] for name in asked["columns"]]] == asked["rows"]
    line = both.get(f"runs/{run}/timeline")
    assert {each["lane"] for each in line["bars"]} == {"run", "c1 process"}
    assert all(0 <= each["begin_s"] <= each["end_s"] <= line["whole_s"] for each in line["bars"])
    assert all(0 <= each["at_s"] <= line["whole_s"] for each in line["ticks"])


def test_a_replay_says_that_todays_code_decides_as_recorded_and_appends_nothing(
    both: Both, names: dict[str, str]
) -> None:
    before = both.served.head()
    found = both.post(f"runs/{names['run']}/replay").json()
    [said] = lines(both.place.ok("replay", names["run"], "--json"))
    assert (found["identical"], found["difference"], found["cause"]) == (True, None, None)
    assert {name: found[name] for name in ("events", "consequences", "output_bytes", "state")} == {
        name: said[name] for name in ("events", "consequences", "output_bytes", "state")
    }
    assert both.served.head() == before


def test_events_are_paged_in_both_directions_and_every_page_stays_what_it_was(both: Both) -> None:
    head = both.served.head()[0]
    for topic, stream in (("", ""), ("run.*", ""), ("task.queued", ""), ("", both.items("tasks")[-1]["task"])):
        wanted = {"topic": topic, "stream": stream, "limit": 7}
        whole = both.items("events", after=0, topic=topic, stream=stream, limit=500)
        forward: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = both.get("events", after=after, **wanted)
            assert len(page["items"]) <= 7
            forward += page["items"]
            assert both.get("events", after=after, **wanted) == page
            after = page["next"]
        backward: list[dict[str, Any]] = []
        before: int | None = head + 1
        while before is not None:
            page = both.get("events", before=before, **wanted)
            backward += page["items"]
            before = page["next"]
        assert forward == backward[::-1] == whole
        assert both.items("events", **wanted) == whole[::-1][:7]
        assert len(whole) > 2


@pytest.mark.parametrize(
    ("path", "status"),
    [("events?after=1&before=3", 422), ("events?limit=0", 422), ("events?limit=501", 422), ("events?after=-1", 422),
     ("events/0", 404), ("events/x", 404), ("events/1000000", 404), ("events/-1", 404), ("tasks/ffff", 404),
     ("runs/ffff", 404), ("schedules/none", 404), ("workflows/none", 404), ("outbox/none", 404), ("threads/none", 404),
     ("runs/@last/approvals/9", 404), ("runs/@last/approvals/x", 422), ("snapshots/none.json", 404),
     ("runs/@last/state?at=1000000", 404), ("runs/@last/state?at=soon", 422), ("status?at=1000000", 404),
     ("report/compare?before=none.json", 404), ("report/compare?before=rt.toml", 422), ("why?of=ffff", 404),
     ("costs?by=colour", 422), ("costs?since=soon", 422), ("tasks?state=lost", 422)],
)  # fmt: skip
def test_what_is_not_there_is_404_and_what_is_no_question_is_422(both: Both, path: str, status: int) -> None:
    answer = both.client.get(f"/api/v1/{path}")
    assert (answer.status_code, answer.json()["status"]) == (status, status), answer.text


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("report?only=none", None, "query.only"),
        ("runs/@last/report?only=none", None, "query.only"),
        ("report?since=soon", None, "query.since"),
        ("report/compare?before=soon", None, "query.before"),
        ("report/compare?before=1&after=soon", None, "query.after"),
        ("costs?since=soon", None, "query.since"),
        ("status?at=soon", None, "query.at"),
        ("runs/@last/state?at=soon", None, "query.at"),
        ("sql", {"query": "SELECT 1", "at": "soon"}, "body.at"),
        ("snapshots", {"at": "soon"}, "body.at"),
        ("schedules/tick", {"at": "soon"}, "body.at"),
        ("runs/@failed/fork", {"at": "soon"}, "body.at"),
    ],
)
def test_a_wrong_field_is_named_as_it_was_sent_and_not_as_an_option(
    both: Both, path: str, body: dict[str, object] | None, where: str
) -> None:
    answer = both.client.get(f"/api/v1/{path}") if body is None else both.post(path, body)
    assert (answer.status_code, answer.json()["where"]) == (422, where), answer.text
    assert answer.json()["detail"].startswith(f"{where}: ")


@pytest.mark.parametrize("path", ["tasks", "runs", "status", "events", "schedules", "workflows/w1", "approvals"])
def test_who_knows_a_position_already_gets_no_body_until_something_happens(both: Both, path: str) -> None:
    first = both.client.get(f"/api/v1/{path}")
    tag = first.headers["etag"]
    assert tag == f'W/"{first.headers["rt-position"]}"'
    for known in (tag, tag.removeprefix("W/")):
        again = both.client.get(f"/api/v1/{path}", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["rt-position"]) == (304, b"", tag[3:-1])
    made = both.done("tasks", {"kind": "k", "source": "s", "payload": {}, "available_at": "2200-01-01T00:00:00Z"}, 201)
    wanted = {"min_position": made["position"]}
    later = both.client.get(f"/api/v1/{path}", params=wanted, headers={"If-None-Match": tag})
    assert (later.status_code, later.headers["etag"]) == (200, f'W/"{made["position"]}"')


def test_numbers_for_monitors_read_as_prometheus_reads_them_and_are_true(both: Both) -> None:
    both.get("status", min_position=both.served.head()[0])
    answer = both.client.get("/api/v1/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    known: dict[str, str] = {}
    found: dict[str, float] = {}
    for line in answer.text.splitlines():
        if named := re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line):
            known[named[2]] = named[3]
            continue
        sample = re.fullmatch(r'(([a-z_]+)(?:\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})?) ([0-9.e+-]+)', line)
        assert sample is not None, line
        assert known[sample[2]] in ("gauge", "counter")
        assert sample[1] not in found
        found[sample[1]] = float(sample[3])
    counts = both.get("status")["counts"]
    tasks = {name: found[f'rt_tasks{{status="{name}"}}'] for name in counts}
    assert (found["rt_log_position"], tasks) == (both.served.head()[0], counts)
    asked = 'rt_http_requests_total{method="GET",route="/api/v1/metrics",status="200"}'
    again = both.client.get("/api/v1/metrics").text
    assert f"{asked} {int(found.get(asked, 0)) + 1}\n" in again
    assert found["rt_memory_bytes_max"] > 10_000_000
    assert found["rt_cpu_seconds_total"] > 0 < found["rt_uptime_seconds"]


def test_a_report_as_a_page_is_a_file_with_the_bytes_of_the_command_line(
    both: Both, names: dict[str, str], tmp_path: Path
) -> None:
    run = names["run"]
    answer = both.client.get(f"/api/v1/runs/{run}/report", params={"form": "html"})
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    position = answer.headers["rt-position"]
    assert answer.headers["content-disposition"] == f'attachment; filename="rt-report-{position}.html"'
    both.place.ok("report", run, "--out", str(tmp_path / "report.html"))
    assert answer.content == (tmp_path / "report.html").read_bytes()
    period = both.client.get("/api/v1/report", params={"form": "html", "since": "7d"})
    assert "attachment" in period.headers["content-disposition"]
    assert period.text.startswith("<!doctype html>")


def test_a_snapshot_is_written_listed_shown_and_compared(both: Both, tmp_path: Path) -> None:
    answer = both.post("snapshots", {"label": "mine", "at": "20"})
    made = answer.json()
    assert (answer.status_code, made["position"], made["label"]) == (201, 20, "mine")
    assert answer.headers["location"] == f"/api/v1/snapshots/{made['name']}"
    shown = both.get(f"snapshots/{made['name']}")
    [file] = both.place.folder.rglob(made["name"])
    both.place.ok("snapshot", "--at", "20", "--out", str(tmp_path / "s.json"))
    assert json.loads(file.read_bytes()) == shown
    assert file.read_bytes() == (tmp_path / "s.json").read_bytes()
    assert made["name"] in [each["name"] for each in both.items("snapshots")]
    assert both.get("report/compare", before="mine") == both.said("report", "--before", "20")
    assert both.get("report/compare", before=made["name"]) == both.get("report/compare", before=20)
