"""`rt report` and `rt snapshot`: findings that agree with the log, the same bytes for the same moment, and one file."""

import json
import os
import re
import shutil
import subprocess
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from adapters.log_sqlite import SqliteLog
from commands.reports import replay_matrix
from domain.events import LogMeasured, Put, Recorded
from domain.ids import LOG
from projections.drawing import label, many
from projections.pictures import PERIOD
from projections.run_pictures import RUN
from projections.timeline import Bar, Tick, draw
from tests.commands.place import Place

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = "<img src=x onerror=alert(1)></script><script>alert(2)</script>\u202eevil"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Runs that went well and badly, an early cancel, a schedule, and text of strangers."""
    place = Place(tmp_path_factory.mktemp("reports"))
    place.config("[retry]\nattempts = 1\n")
    place.ok("do", "--", "sh", "-c", "echo a; echo b")
    place.rt("do", "--", "false")
    place.rt("do", "--", "sh", "-c", "exit 3")
    place.ok("do", "demo", "early-cancel")
    place.ok("schedule", "create", "beat", "--every", "30m", "--", "true")
    place.ok("schedule", "tick")
    evil = {"kind": EVIL, "source": EVIL, "subject": EVIL, "payload": {"argv": ["printf", EVIL]}}
    place.ok("intake", json.dumps(evil))
    place.ok("work", "--until-idle")
    return place


@pytest.fixture(scope="module")
def page(made: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the last day as a file."""
    target = tmp_path_factory.mktemp("page") / "report.html"
    made.ok("report", "--out", str(target))
    return target


def finding(place: Place, name: str, *argv: str) -> dict[str, Any]:
    [found] = place.json("report", *argv, "--only", name)["pictures"]
    picture: dict[str, Any] = found
    return picture


# a period


def test_an_empty_log_has_a_report(place: Place) -> None:
    place.ok("init")
    found = place.json("report")
    assert "what happened" in place.ok("report").text
    assert found["pictures"]
    assert all(each["finding"] for each in found["pictures"])


def test_each_picture_has_a_finding_and_the_query_that_gives_its_numbers(made: Place) -> None:
    found = made.json("report")["pictures"]
    assert [each["name"] for each in found] == [*(each.name for each in PERIOD), "replay"]
    for each in found[:-1]:
        assert each["finding"]
        assert len(made.json("sql", each["query"])["rows"]) == len(each["rows"])


def test_what_is_found_is_what_happened(made: Place) -> None:
    assert finding(made, "runs")["finding"] == "2 of 6 runs failed or were lost (33 %)"
    assert finding(made, "failures")["finding"] == "exit:1 is behind 50 % of 2 failed runs"
    assert finding(made, "attempts")["finding"] == "100 % of 4 completed tasks needed one attempt"
    assert finding(made, "schedules")["finding"] == "schedules made 1 task and skipped 0 slots"
    assert finding(made, "saved")["finding"].startswith("1 early cancel saved ")
    assert finding(made, "cost")["finding"] == "no model was asked"
    assert finding(made, "people")["finding"] == "nobody was asked for a yes"
    assert finding(made, "replay")["finding"] == "today's code decides the latest 6 runs exactly as recorded"


def test_what_dispatchers_measured_is_drawn(place: Place) -> None:
    place.ok("init")
    assert finding(place, "lag")["finding"] == "no dispatcher worked for ten minutes at a stretch"
    log = SqliteLog(place.state)
    for version, (p99_us, behind) in enumerate(((9_000, 3), (12_500, 40)), 1):
        data = LogMeasured(
            seconds=600, appends=100, p50_us=2_000, p99_us=p99_us, most_us=20_000, behind=behind, behind_us=5_000_000
        )
        at_us = time.time_ns() // 1_000
        event = Recorded(stream=LOG, version=version, at_us=at_us, actor="system:d", data=data)
        assert not isinstance(log.append([Put(events=(event,))])[0], Exception)
    log.close()
    assert finding(place, "lag")["finding"] == (
        "when somebody looked, the tables lacked at most 40 events, the oldest 5 s old"
    )
    found = finding(place, "appends")
    assert found["finding"] == "99 of 100 of 200 appends were durable within 12.5 ms at every time"
    assert [row["p99_ms"] for row in found["rows"]] == [12.5, 9.0]


def test_bare_it_is_the_last_day_as_text(made: Place) -> None:
    text = made.ok("report").text
    assert "2 of 6 runs failed" in text
    found = {each["finding"] for each in made.json("report")["pictures"]}
    assert [line.removeprefix("· ") in found for line in text.splitlines()].count(True) == len(found)


def test_a_span_without_anything_says_so_once(made: Place) -> None:
    found = made.json("report", "--since", "2200-01-01")
    assert {each["finding"] for each in found["pictures"]} >= {"no run was claimed", "nothing happened"}
    assert made.ok("report", "--since", "2200-01-01").text.count("no run was claimed") == 1


@pytest.mark.parametrize(
    "argv",
    [
        ("--since", "soon"),
        ("--only", "nothing"),
        ("@last", "--only", "runs"),
        ("@last", "--since", "1h"),
        ("--after", "3"),
        ("--before", "1", "--since", "1h"),
    ],
)
def test_what_does_not_go_together_is_refused(made: Place, argv: tuple[str, ...]) -> None:
    done = made.rt("report", *argv)
    assert done.code == (0 if argv == ("@last", "--since", "1h") else 2)


# a run


def test_a_run_has_its_timeline_and_its_verdict(made: Place, tmp_path: Path) -> None:
    demo = next(each["run"] for each in made.rows("run", "list") if each["subject"].startswith("demo"))
    found = made.json("report", demo, "--out", str(tmp_path / "run.html"))
    assert [each["name"] for each in found["pictures"]] == ["timeline", *(each.name for each in RUN), "replay"]
    assert found["pictures"][-1]["finding"] == "today's code decides this run exactly as recorded"
    text = (tmp_path / "run.html").read_text()
    assert '<svg class="timeline"' in text
    assert "because of" in text


def test_the_timeline_has_a_lane_for_each_thing_and_stays_inside() -> None:
    bars = [Bar("run", 0, 10, "run", "all"), Bar("c1 <b>", 1, 99, "call", "&")]
    svg = draw(bars, [Tick("people", 5, "decision", "x")], 10)
    assert svg.count('class="lane"') == 3
    assert "<b>" not in svg
    assert svg == draw(bars, [Tick("people", 5, "decision", "x")], 10)
    for x, width in re.findall(r'<rect class="\w+" x="([\d.]+)"[^>]* width="([\d.]+)"', svg):
        assert float(x) + float(width) <= 960


def test_the_matrix_names_what_today_would_decide_otherwise() -> None:
    recent = [{"adapter": "a", "day": "2026-01-01", "run": "1"}, {"adapter": "b", "day": "2026-01-01", "run": "2"}]
    found = replay_matrix(recent, [True, False])
    assert found.drawn.title == "1 of the latest 2 runs would be decided otherwise by today's code"
    assert found.drawn.traces[0]["z"] == [[1.0], [0.0]]


# one file


def test_the_same_moment_is_the_same_bytes(made: Place, page: Path, tmp_path: Path) -> None:
    made.ok("report", "--out", str(tmp_path / "again.html"))
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_the_file_asks_for_nothing_from_outside_and_says_where_it_is_true(page: Path) -> None:
    text = page.read_text()
    ours = text[: text.index("<script>")] + text[text.rindex("<script>") :]
    assert "default-src 'none'" in ours
    assert "unsafe-eval" not in ours
    assert not re.findall(r'(?:src|href)="(?!#)', ours)
    assert re.search(r"true at position \d+ of the log, chain hash [0-9a-f]{16}", ours)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]


def test_text_of_strangers_is_no_markup(page: Path) -> None:
    text = page.read_text()
    ours = text[: text.index("<script>")]
    tags = _Tags()
    tags.feed(ours)
    assert "img" not in tags.seen
    assert "alert(2)</script>" not in ours
    [data] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert "<" not in data
    traces = [trace for picture in json.loads(data).values() for trace in picture["traces"]]
    names = [each for trace in traces for each in trace.get("x", [])]
    assert not [each for each in names if isinstance(each, str) and "<img" in each]


def test_a_label_is_short_and_no_markup() -> None:
    assert label("<b>x</b>\n&") == "&lt;b&gt;x&lt;/b&gt; &amp;"
    assert len(label("x" * 500)) == 40
    assert (many(1, "run"), many(0, "run")) == ("1 run", "0 runs")


@pytest.mark.skipif(
    CHROMIUM is None and "RT_REQUIRE_TOOLS" not in os.environ, reason="needs Chromium: apt-get install chromium"
)
def test_it_draws_from_disk_without_network_and_without_an_error(page: Path, tmp_path: Path) -> None:
    assert CHROMIUM is not None, "the checks of this repository need Chromium: apt-get install chromium"
    argv = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
        "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr", "--virtual-time-budget=10000", "--dump-dom",
        page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, check=False, timeout=90)
    dom, said = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    assert "CONSOLE" not in said, said
    drawn = int(re.findall(r'data-drawn="(\d+)"', dom)[0])
    assert drawn >= 6
    assert dom.count('class="main-svg"') >= drawn


# snapshots


def test_a_snapshot_of_a_position_has_the_same_bytes_whenever_it_is_made(made: Place, tmp_path: Path) -> None:
    head = made.head()
    made.ok("snapshot", "--at", str(head), "--out", str(tmp_path / "a.json"))
    made.ok("snapshot", "--out", str(tmp_path / "b.json"))
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["position"], found["schema"]) == (head, "rt.snapshot.v1")
    assert {each["status"]: each["count"] for each in found["status"]["counts"]} == {"blocked": 2, "completed": 4}


def test_a_label_names_the_file_and_finds_it_again(place: Place) -> None:
    place.ok("do", "--", "true")
    first = place.json("snapshot", "--label", "before / the change")
    assert Path(first["file"]).name == f"{first['position']:012d}-before---the-change.json"
    place.ok("snapshot", "--label", "calm")
    place.rt("do", "--", "false")
    found = place.json("report", "--before", "calm")
    assert found["status_deltas"]["completed"] == {"before": 1, "after": 1, "delta": 0}
    assert found["status_deltas"]["blocked"]["delta"] == 1
    assert found["completed_task_delta"] == {"before": 1, "after": 1, "delta": 0}
    assert found["ended_idle"] is True
    assert "blocked                      0 →       1  +1" in place.ok("report", "--before", "calm").text


def test_positions_and_times_are_moments_too(made: Place, tmp_path: Path) -> None:
    found = made.json("report", "--before", "1", "--after", str(made.head()), "--out", str(tmp_path / "two.html"))
    assert found["completed_task_delta"] == {"before": 0, "after": 4, "delta": 4}
    assert "4 more tasks are completed" in (tmp_path / "two.html").read_text()


def test_a_snapshot_of_the_old_runtime_is_a_moment_as_well(made: Place, tmp_path: Path) -> None:
    old = {
        "captured_at": "2026-01-01T00:00:00Z",
        "runtime_name": "old",
        "status": {"counts": [{"status": "completed", "count": 2}], "recent": [], "lastEvent": None},
        "workflows": [{"instance_key": "w", "template": "t", "current_state": "plan", "status": "active"}],
        "queued_tasks": [],
        "artifact_files": [],
    }
    (tmp_path / "old.json").write_text(json.dumps(old))
    found = made.json("report", "--before", str(tmp_path / "old.json"))
    assert found["completed_task_delta"] == {"before": 2, "after": 4, "delta": 2}
    assert found["workflows_removed"] == ["w"]


def test_a_file_that_is_no_snapshot_or_of_another_log_is_refused(made: Place, tmp_path: Path) -> None:
    made.ok("snapshot", "--out", str(tmp_path / "ours.json"))
    other = json.loads((tmp_path / "ours.json").read_text()) | {"hash": "00" * 32}
    for name, text in (("other", json.dumps(other)), ("empty", ""), ("list", "[]"), ("object", "{}")):
        (tmp_path / f"{name}.json").write_text(text)
        done = made.rt("report", "--before", str(tmp_path / f"{name}.json"))
        assert done.code == 2, name
        assert ("another log" if name == "other" else "no snapshot") in done.errors
    assert made.rt("report", "--before", str(tmp_path / "nowhere.json")).code == 2
    assert made.rt("report", "--before", "99999").code == 3


@pytest.mark.parametrize("argv", [("report", "--out", "."), ("snapshot", "--out", ".")])
def test_a_folder_is_no_file_to_write(made: Place, argv: tuple[str, ...]) -> None:
    error = made.rt(*argv, "--json").error
    assert (error["code"], error["why"]) == ("rt.invalid", "is a folder; name a file")


@pytest.mark.parametrize(
    ("argv", "where"), [(("--before", "nosuch"), "--before"), (("--before", "1", "--after", "nosuch"), "--after")]
)
def test_a_moment_that_is_none_is_told_by_its_option_with_what_there_could_be(
    made: Place, argv: tuple[str, ...], where: str
) -> None:
    error = made.rt("report", *argv, "--json").error
    assert error["where"] == where
    assert "the label of no snapshot; rt snapshot --label nosuch" in error["why"]
