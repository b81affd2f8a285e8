"""Replay on the page: what today's code would decide, and where it would decide otherwise."""

from collections.abc import Iterator

import pytest

from tests.api.serving import Served, run
from tests.browser.homes import House, Rich, furnished, served_by
from tests.browser.tabs import Tabs
from tests.browser.watch import Browser, expect

# a core that takes every exit status for a success
OTHERWISE = "from domain import one_shot\none_shot._exited = lambda run, fact: one_shot.Ending(state='completed')\n"


@pytest.fixture(scope="module")
def otherwise(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A home with a run that failed, served by code that decides otherwise."""
    assert browser.is_connected()
    folder = furnished(tmp_path_factory.mktemp("otherwise") / "here")
    run(folder, "do", "--", "sh", "-c", "echo no >&2; exit 3", check=False)
    with served_by(folder, OTHERWISE) as found:
        yield found


def test_an_identical_run_says_so_and_nothing_was_done(home: House, full: Rich, tabs: Tabs) -> None:
    begun = home.folder / "begun-once"
    mine = home.done("sh", "-c", f"echo x >> {begun}; echo hello")
    for house, each in ((home, mine), (full, full.watched)):
        known = house.events(each)
        tab = tabs.open(house.at, f"/runs/{each}/replay")
        expect(tab.main).to_contain_text("✓ identical")
        expect(tab.main).to_contain_text(f"{len(known)} events")
        assert house.events(each) == known
    assert begun.read_text() == "x\n"


def test_a_difference_is_open_at_its_position_with_both_sides(otherwise: Served, tabs: Tabs) -> None:
    with otherwise.client("read") as client:
        failed = client.get("/api/v1/runs").json()["items"][0]["run"]
        events = client.get(f"/api/v1/runs/{failed}/events").json()["items"]
    tab = tabs.open(otherwise, f"/runs/{failed}/replay")
    expect(tab.main).to_contain_text("✗ diverged")
    at = next(number for number, each in enumerate(events) if each["topic"].startswith("run.finished"))
    expect(
        tab.main.get_by_role("heading", name=f"First difference at position {events[at]['position']}")
    ).to_be_visible()
    expect(tab.main.get_by_label("recorded", exact=True)).to_contain_text("failed")
    expect(tab.main.get_by_label("today", exact=True)).to_contain_text("completed")
    for words in ("run.finished", "run.tool_exited", "code"):
        expect(tab.main.locator("section dl")).to_contain_text(words)
    expect(tab.main.locator("summary").first).to_have_text(f"{at} events identical")
    expect(tab.main.locator("summary").last).to_have_text(f"{len(events) - at} events recorded from there on")
    tab.shot("diverged")
    tab.link("Fork here").click()
    expect(tab.main.locator("output")).to_contain_text(f"position {events[at]['position']}: run.finished")
