"""Who may only read sees everything and is offered nothing; another tab sees the same."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.api.serving import served
from tests.browser.homes import House, Rich
from tests.browser.tabs import Tabs
from tests.browser.watch import Tab, expect

# what looks and does nothing
LOOKS = re.compile(
    r"\?|Log out|Older|\+|\u2212|all|Ask|Show|Compare|Open|Download|Look at them now|Check everything|◀ before|after ▶"
    r"|copy.*"
)


def offered(tab: Tab) -> list[str]:
    """The buttons that would do something, wherever they are folded away."""
    names = [each.text_content() or "" for each in tab.page.locator("button").all()]
    return [name for name in names if not LOOKS.fullmatch(name.strip())]


@pytest.mark.parametrize("group", range(4))
def test_a_reader_sees_every_page_and_no_button_that_writes(full: Rich, tabs: Tabs, group: int) -> None:
    tab = tabs.stranger(full.at).log_in("read")
    tab.answered(403)  # SQL has a scope of its own
    for address in list(full.addresses().values())[group::4]:
        tab.go(address)
        expect(tab.main.get_by_text("loading…", exact=True)).to_have_count(0)
        expect(tab.main.get_by_role("heading").first).to_be_attached()
        expect(tab.main.get_by_role("heading", name="not here")).to_have_count(0)
        # each line of the log of a run is a button that shows the event
        assert [each for each in offered(tab) if not re.match(r"\d+\+\d", each)] == [], address
    expect(tab.page.locator("#bottom")).to_contain_text("read")


def test_a_reader_is_told_why_an_approval_cannot_be_answered(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/approvals/{full.asks}/c1", ("read",))
    expect(tab.main).to_contain_text("this token cannot answer; it needs the scope approve")
    tab.page.keyboard.press("a")
    tab.page.keyboard.press("r")
    expect(tab.page.get_by_role("dialog")).to_have_count(0)


def test_who_may_approve_is_offered_that_and_nothing_more(full: Rich, tabs: Tabs) -> None:
    tab = tabs.open(full.at, f"/approvals/{full.asks}/c1", ("approve",))
    expect(tab.button("Approve (a)")).to_be_visible()
    tab.go("/")
    expect(tab.main.get_by_role("link", name="Look and answer").first).to_be_visible()
    assert offered(tab) == []


@contextmanager
def read_only(folder: Path) -> Iterator[House]:
    """A server that reads only, of a home in which something happened."""
    with served(folder) as at:
        at.rt("do", "--", "echo", "hello")
        at.rt("schedule", "create", "nightly", "--every", "30m", "--", "echo", "hi")
        tokens = at.tokens
        tokens["admin"] = at.token("admin")
    with served(folder, "--read-only") as at:
        at.tokens |= tokens
        house = House(at)
        yield house
        house.close()


def test_a_server_that_reads_only_offers_an_admin_nothing_either(tabs: Tabs, tmp_path: Path) -> None:
    with read_only(tmp_path / "here") as house:
        tab = tabs.open(house.at)
        tab.allow("net::ERR_")  # when the server ends
        expect(tab.page.locator("#bottom")).to_contain_text("read-only")
        run = house.items("runs")[0]["run"]
        for address in (
            "/",
            "/tasks",
            f"/runs/{run}",
            "/schedules",
            "/log",
            "/adapters",
            "/report",
            "/outbox",
            "/approvals",
        ):
            tab.go(address)
            expect(tab.main.get_by_text("loading…", exact=True)).to_have_count(0)
            assert offered(tab) == [], address
        expect(tab.page.locator("#pulse")).to_contain_text("live")


def test_a_second_tab_sees_what_is_done_in_the_first(home: House, tabs: Tabs) -> None:
    run = home.waits()
    first = tabs.open(home.at, f"/approvals/{run}/c1")
    second = first.context.new_page()
    second.goto(f"{home.at.url}/approvals/{run}/c1")
    yes = second.get_by_role("button", name="Approve (a)")
    expect(yes).to_be_visible()
    first.answered(401)  # in the second one, later
    first.act(first.button("Approve (a)"), "")
    expect(yes).to_have_count(0)
    expect(second.locator("#main")).to_contain_text("meanwhile")
    second.get_by_role("button", name="Log out").click()
    expect(second).to_have_title("rt: log in")
    first.page.reload()
    expect(first.page).to_have_title("rt: log in")


def test_many_tabs_stay_live_at_once(home: House, tabs: Tabs) -> None:
    home.done("echo", "begin")
    first = tabs.open(home.at, "/log")
    pages = [first.page, *(first.context.new_page() for _ in range(3))]
    for page in pages[1:]:
        page.goto(f"{home.at.url}/log")
        expect(page.locator("ol.events li").first).to_be_visible()
    home.done("echo", "to all")
    head = home.at.head()[0]
    for page in pages:
        expect(page.locator(f"ol.events a[href='/log?at={head}']")).to_be_attached()
