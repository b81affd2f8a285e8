"""A cut connection is said within seconds, and afterwards every event is there once."""

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.api.serving import Served, served
from tests.browser.cable import Cable, cable
from tests.browser.homes import House, furnished
from tests.browser.tabs import Tabs
from tests.browser.watch import Tab, expect

WITHIN_S = 5.0


@pytest.fixture
def line() -> Iterator[Cable]:
    """What is between the browser and the server."""
    with cable() as made:
        yield made


@pytest.fixture
def tab(home: House, tabs: Tabs, line: Cable) -> Tab:
    """The log, as it comes, at the other end of the cable."""
    made = tabs.stranger(home.at, proxy={"server": line.address}).log_in().go("/log")
    made.allow(r"net::ERR_")
    return made


def positions(tab: Tab) -> list[int]:
    """The events that the log shows, newest first."""
    links = tab.main.locator("ol.events li a[href^='/log?at=']").all_inner_texts()
    return [int(each) for each in links]


def whole(tab: Tab, at: Served) -> list[int]:
    """Every event up to the last one is there once; their positions."""
    tab.told(at.head()[0])
    tab.until(lambda: positions(tab)[0] == at.head()[0], "the last event is not there")
    found = positions(tab)
    assert found == list(range(found[0], found[0] - len(found), -1))
    return found


def spoken(tab: Tab) -> int:
    """The position that the banner names."""
    found = re.search(r"showing position (\d+), reconnecting", tab.banner.inner_text())
    assert found is not None
    return int(found[1])


def test_a_cut_is_said_within_seconds_with_the_position_that_is_shown(home: House, tab: Tab, line: Cable) -> None:
    known = home.at.head()[0]
    tab.told(known)
    expect(tab.banner).to_be_hidden()
    began_s = time.monotonic()
    line.pull()
    expect(tab.banner).to_be_visible()
    assert time.monotonic() - began_s < WITHIN_S
    assert known <= spoken(tab) <= home.at.head()[0]
    expect(tab.page.locator("#pulse")).to_contain_text("reconnecting")
    expect(tab.page.get_by_role("button", name="Log out")).to_be_visible()
    tab.shot("cut")
    line.plug()
    expect(tab.banner).to_be_hidden()
    expect(tab.page.locator("#pulse")).to_contain_text("live")


def test_after_a_cut_no_event_is_missing_and_none_is_there_twice(home: House, tab: Tab, line: Cable) -> None:
    home.done("echo", "before")
    tab.told(home.at.head()[0])
    for _ in range(3):
        line.pull()
        expect(tab.banner).to_be_visible()
        home.done("echo", "in between")
        line.plug()
        home.done("echo", "afterwards")
        expect(tab.banner).to_be_hidden()
    whole(tab, home.at)


def test_what_is_done_while_it_is_cut_is_said_to_have_failed(home: House, tabs: Tabs, line: Cable) -> None:
    task = home.queue({"objective": "x"}, available_at="2200-01-01T00:00:00Z")
    tab = tabs.stranger(home.at, proxy={"server": line.address}).log_in().go(f"/tasks/{task}")
    tab.allow(r"net::ERR_")
    line.pull()
    expect(tab.banner).to_be_visible()
    tab.act(tab.button("Cancel"), "now")
    expect(tab.main.locator(".problem")).to_contain_text("the server does not answer")
    assert home.status(task) == "pending"
    line.plug()
    expect(tab.banner).to_be_hidden()
    tab.act(tab.button("Cancel"), "now")
    expect(tab.main).to_contain_text("■ operator_canceled")


def test_a_hidden_tab_hears_later_what_it_missed(home: House, tab: Tab) -> None:
    tab.told(home.at.head()[0])
    _visibility(tab, "hidden")
    home.done("echo", "unseen")
    _visibility(tab, "visible")
    whole(tab, home.at)
    expect(tab.banner).to_be_hidden()


def _visibility(tab: Tab, state: str) -> None:
    """As a browser tells a page that its tab was hidden, or shown again."""
    tab.page.evaluate(
        """state => {
          Object.defineProperty(document, 'visibilityState', {value: state, configurable: true});
          Object.defineProperty(document, 'hidden', {value: state === 'hidden', configurable: true});
          document.dispatchEvent(new Event('visibilitychange'));
        }""",
        state,
    )


def test_a_server_that_comes_back_is_found_again(tabs: Tabs, tmp_path: Path) -> None:
    folder = furnished(tmp_path / "here")
    with ExitStack() as first:
        at = first.enter_context(served(folder, "--work"))
        house = House(at)
        house.done("echo", "before")
        tab = tabs.open(at, "/log")
        tab.allow(r"net::ERR_|status of 401")
        tab.told(at.head()[0])
        seen = positions(tab)
        house.close()
        began_s = time.monotonic()
        at.stop()
        expect(tab.banner).to_be_visible()
        assert time.monotonic() - began_s < WITHIN_S
    with served(folder, "--work", "--port", str(at.port)) as again:
        assert again.url == at.url
        again.tokens |= at.tokens
        house = House(again)
        house.done("echo", "afterwards")
        house.close()
        expect(tab.banner).to_be_hidden()
        assert set(seen) <= set(whole(tab, again))


def test_a_server_of_another_home_asks_for_the_login_and_shows_nothing_of_the_first(tabs: Tabs, tmp_path: Path) -> None:
    with served(furnished(tmp_path / "one"), "--work") as at:
        house = House(at)
        house.done("echo", "of the first log")
        house.close()
        tab = tabs.open(at, "/tasks")
        tab.allow(r"net::ERR_|status of 401")
        expect(tab.rows("tasks")).to_have_count(1)
    expect(tab.banner).to_be_visible()
    with served(furnished(tmp_path / "two"), "--work", "--port", str(at.port)) as other:
        expect(tab.page).to_have_title("rt: log in")
        assert "of the first log" not in tab.page.locator("body").inner_text()
        expect(tab.banner).to_be_hidden()
        tab.field("token").fill(other.token("read"))
        tab.button("Log in").click()
        expect(tab.main).to_contain_text("no tasks")


def test_a_position_that_is_ahead_of_the_log_makes_the_page_begin_anew(home: House, tabs: Tabs) -> None:
    tab = tabs.stranger(home.at).log_in()
    tab.answered(409)
    ahead = {"status": 409, "code": "log.position_ahead", "detail": "another log"}
    tab.page.route("**/api/v1/stream", lambda route: route.fulfill(status=409, json=ahead), times=1)
    tab.go("/tasks")
    expect(tab.page.locator("#pulse")).to_contain_text("live")
    home.done("echo", "x")
    tab.told(home.at.head()[0])
