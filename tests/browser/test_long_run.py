"""A run of ten thousand events: its summary comes first, and only what can be seen is in the document."""

import time
from collections.abc import Iterator

import pytest

from tests.api.serving import Served, run, served
from tests.browser.tabs import Tabs
from tests.browser.watch import Browser, Route, Tab, expect
from tests.telling import RUN, told

LINES = [b"line %d of a program that prints very much\n" % each for each in range(1, 10_001)]
SUMMARY_S = 1.0  # measured and told, not asserted: machines differ
ROWS_MAX = 200


@pytest.fixture(scope="module")
def long(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of a log with one long run."""
    assert browser.is_connected()
    folder = tmp_path_factory.mktemp("long")
    run(folder, "init")
    told(folder, LINES)
    with served(folder) as at:
        yield at


@pytest.fixture
def events(long: Served) -> int:
    """How many events its run has: all of the log but the one that took the task in."""
    return long.head()[0] - 1


def rows(tab: Tab) -> int:
    return int(tab.page.evaluate("() => document.querySelectorAll('.line').length"))


def test_the_summary_is_there_before_the_events_are(long: Served, events: int, tabs: Tabs) -> None:
    tab = tabs.stranger(long).log_in()
    late: list[Route] = []

    def keep(route: Route) -> None:
        late.append(route)  # the first page of them comes when it is let through, and the others after it

    tab.page.route("**/events?*", keep, times=1)
    began_s = time.monotonic()
    tab.page.goto(f"{long.url}/runs/{RUN}#log")
    expect(tab.main.locator("h1")).to_have_text("prints very much")
    expect(tab.main).to_contain_text("✓ completed")
    expect(tab.rows("calls")).to_contain_text("exit 0")
    summary_s = time.monotonic() - began_s
    tab.until(lambda: late, "no events are asked for")
    assert rows(tab) == 0
    late[0].continue_()
    expect(tab.main.get_by_text(f"{events} of {events} events")).to_be_visible()
    took_s = time.monotonic() - began_s
    tab.note(
        "long-run.txt", f"summary: {summary_s:.2f} s (goal: {SUMMARY_S} s), with all {events} events: {took_s:.2f} s\n"
    )


def test_scrolling_to_the_end_shows_the_last_event_with_few_rows(long: Served, events: int, tabs: Tabs) -> None:
    tab = tabs.open(long, f"/runs/{RUN}#log")
    expect(tab.main.get_by_text(f"{events} of {events} events")).to_be_visible()
    box = tab.main.get_by_label("events of the run")
    for share in (0.25, 0.5, 0.75):
        box.evaluate("(it, share) => it.scrollTo(0, it.scrollHeight * share)", share)
        expect(box).to_contain_text(str(int(events * share)))
        assert rows(tab) < ROWS_MAX
    box.evaluate("it => it.scrollTo(0, it.scrollHeight)")
    expect(box.locator(".line").last).to_contain_text("task.completed")
    box.scroll_into_view_if_needed()
    expect(box.locator(".line").last).to_be_in_viewport()
    assert 0 < rows(tab) < ROWS_MAX
    tab.main.get_by_role("searchbox", name="Search").fill("task.completed")
    expect(box.locator(".line")).to_have_count(1)


def test_its_output_is_read_to_the_last_line(long: Served, tabs: Tabs) -> None:
    tab = tabs.open(long, f"/runs/{RUN}#output")
    expect(tab.main.get_by_text(f"{len(LINES)} lines")).to_be_visible()
    tab.page.keyboard.press("f")
    box = tab.main.get_by_label("output of the run")
    expect(box.locator(".line").last).to_contain_text("line 10000 of a program")
    assert 0 < rows(tab) < ROWS_MAX


def test_its_timeline_and_its_state_are_there(long: Served, tabs: Tabs) -> None:
    tab = tabs.open(long, f"/runs/{RUN}#timeline")
    expect(tab.main.locator("svg.timeline")).to_be_visible()
    expect(tab.main).to_contain_text("only the first 2000 ticks are drawn")
    tab.go(f"/runs/{RUN}#state@5000")
    expect(tab.main.locator("output")).to_contain_text("position 5000: output.appended")
