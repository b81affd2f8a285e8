"""The timeline of a run: what took time, looked at from near and far."""

import re

import pytest

from tests.browser.homes import House, Rich
from tests.browser.tabs import Tabs
from tests.browser.watch import Locator, Tab, expect


@pytest.fixture
def tab(full: Rich, tabs: Tabs) -> Tab:
    """The timeline of a run that is over."""
    made = tabs.open(full.at, f"/runs/{full.hello}#timeline")
    expect(picture(made)).to_be_visible()
    return made


def picture(tab: Tab) -> Locator:
    return tab.main.locator("svg.timeline")


def spanned(tab: Tab) -> str:
    """From when to when it shows."""
    found = re.search(r"run, (.*) of", picture(tab).get_attribute("aria-label") or "")
    assert found is not None
    return found[1]


def test_what_took_time_is_a_bar_and_what_happened_a_tick(full: Rich, tab: Tab) -> None:
    found = full.get(f"runs/{full.hello}/timeline")
    expect(picture(tab).locator("rect:not(.brush)")).to_have_count(len(found["bars"]))
    expect(picture(tab).locator("path:not(.grid)")).to_have_count(len(found["ticks"]))
    titles = picture(tab).locator("title").all_text_contents()
    assert titles == [each["text"] for each in (*found["bars"], *found["ticks"])]
    tab.shot("timeline")


def test_it_is_zoomed_by_dragging_and_shown_whole_by_a_double_click(tab: Tab) -> None:
    whole = spanned(tab)
    box = picture(tab).bounding_box()
    assert box is not None
    across = box["y"] + box["height"] / 2
    mouse = tab.page.mouse
    mouse.move(box["x"] + box["width"] * 0.4, across)
    mouse.down()
    mouse.move(box["x"] + box["width"] * 0.5, across)
    assert float(picture(tab).locator(".brush").get_attribute("width") or 0) > 0
    mouse.move(box["x"] + box["width"] * 0.6, across)
    mouse.up()
    tab.until(lambda: spanned(tab) != whole, "it is not zoomed")
    near = spanned(tab)
    mouse.dblclick(box["x"] + box["width"] * 0.5, across)
    tab.until(lambda: spanned(tab) == whole, f"it shows {near}, not {whole}")


def test_it_is_zoomed_with_buttons_too(tab: Tab) -> None:
    whole = spanned(tab)
    tab.button("zoom in").click()
    near = spanned(tab)
    assert near != whole
    tab.button("zoom out").click()
    assert spanned(tab) == whole
    tab.button("zoom in").click()
    tab.button("all").click()
    assert spanned(tab) == whole


def test_a_zoom_stays_while_the_run_goes_on(home: House, tabs: Tabs) -> None:
    (home.folder / "next").unlink(missing_ok=True)
    wait = "for i in $(seq 1200); do [ -e next ] && break; sleep 0.05; done"
    task = home.command("sh", "-c", f"echo begun; {wait}; echo more; sleep 600")
    while not home.run_of(task):
        pass
    run = home.run_of(task)
    tab = tabs.open(home.at, f"/runs/{run}#timeline")
    expect(picture(tab)).to_be_visible()
    tab.button("zoom in").click()
    near = spanned(tab)
    known = len(home.events(run))
    (home.folder / "next").touch()
    tab.until(lambda: len(home.events(run)) > known, "nothing is printed")
    tab.page.wait_for_timeout(1_000)
    later = spanned(tab)
    home.post(f"runs/{run}/cancel", reason="seen")
    assert later == near
